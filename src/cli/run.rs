//! `relevo run PLAN`: a new run, from the preflight to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::common::{self, Format, PlanArgs, RunsArgs};
use super::engine::{self, Rehearsed, Session, ShowArgs};
use super::in_lab;
use super::logging::{self, LogArgs};
use super::messages::{self, Result};
use super::open::Resolved;
use super::preflight;
use super::rehearse;
use super::rehearsed;
use super::trust;
use super::two_runs::{self, TwoRunsArgs};
use crate::connector::Trial;
use crate::error::{Exit, Failure};
use crate::journal::run_dir::new_id;
use crate::journal::{NewRun, RunDir, Sharing};
use crate::plan::{Catalogue, Plan, StepId, Window, Work};
use crate::run::calls::Desk;
use crate::run::driver::Registry;
use crate::run::event::{Choices, Event, Holder, Mode, SEMANTICS};
use crate::run::rehearsal;
use crate::run::scheduler::Scheduler;
use crate::run::state::RunState;
use crate::time::Timestamp;
use crate::view::next;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    new: NewArgs,
    #[command(flatten)]
    two: TwoRunsArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// The same as `relevo rehearse`
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of a new run or rehearsal.
#[derive(Debug, Clone, clap::Args)]
pub struct NewArgs {
    #[command(flatten)]
    pub runs: RunsArgs,
    /// The run's id, instead of one made from the time
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
    /// Holders: a group whose members may resume the run. They write its files, and are trusted as whoever starts it
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Voters: a group whose members may read the run's status and leave votes and orders, and nothing else
    #[arg(long, value_name = "GROUP")]
    pub voters: Option<String>,
    /// Run only what this checkpoint needs, and stop there
    #[arg(long, value_name = "CHECKPOINT")]
    pub until: Option<String>,
    /// Leave out a target: its `for_each` instances and the steps that act on it
    #[arg(long, value_name = "TARGET")]
    pub exclude: Vec<String>,
    /// Start although the window is shut; the reason is recorded
    #[arg(long, value_name = "REASON")]
    pub override_window: Option<String>,
    #[command(flatten)]
    pub log: LogArgs,
}

impl NewArgs {
    /// Whom the run is shared with.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        Sharing { group: self.group.clone(), voters: self.voters.clone(), allow_fs: self.runs.allow_fs }
    }
}

pub fn run(args: &Args) -> Result {
    if args.dry_run {
        return rehearse::start(&args.plan, &args.new, args.show.format, false);
    }
    start(&args.plan, &args.new, &args.two, &args.show, Kind { mode: Mode::Execute, with_export: false })
}

/// What is started.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// For real, or a rehearsal.
    pub mode: Mode,
    /// Of a rehearsal: chat data is exported for real, into a scratch file.
    pub with_export: bool,
}

/// Starts a run of either kind.
pub fn start(plan_args: &PlanArgs, new: &NewArgs, two: &TwoRunsArgs, show: &ShowArgs, kind: Kind) -> Result {
    let mode = kind.mode;
    common::guard_signals();
    new.runs.say_where();
    plan_args.enter_lab(false)?;
    let lab = plan_args.lab()?;
    let connectors = in_lab::connectors(lab.is_some());
    let inputs = plan_args.inputs()?;
    let loaded = plan_args.load(&connectors)?;
    new.sharing().check().map_err(Failure::from)?;
    trust::warn(&loaded, &new.runs);
    trust::warn_of_sharing(new);
    let window = loaded.plan.window.as_ref().map(window_words);
    let plan = match mode {
        Mode::Execute => loaded.plan,
        Mode::Rehearsal => rehearsal::for_rehearsal(loaded.plan),
    };
    let mut choices = choices(new, show, &plan, &connectors.catalogue())?;
    two.choose(&mut choices)?;
    if mode == Mode::Execute {
        check_window(&plan, &choices)?;
    }
    let plan = Arc::new(plan);
    let id = new.run_id.clone().unwrap_or_else(|| new_id(common::now()));
    let asked = two_runs::New { plan: &plan, file: &plan_args.plan, run: &id, runs: &new.runs, choices: &choices };
    // What the lab acts on is nobody else's.
    let taken = (mode == Mode::Execute && lab.is_none()).then(|| two_runs::take(&asked, &connectors)).transpose()?;
    let trial = kind.with_export.then(|| connectors.trial()).flatten();
    let registry: Arc<dyn Registry> = match mode {
        Mode::Execute => Arc::new(connectors.clone()),
        Mode::Rehearsal => Arc::new(Rehearsed { connectors: connectors.clone(), trial: trial.clone() }),
    };
    let desk = Desk {
        run: Arc::from(id.as_str()),
        folder: Arc::from(plan.folder.as_path()),
        scratch: std::env::temp_dir(),
        evidence: std::env::temp_dir(),
    };
    let mut state = RunState::new(Arc::clone(&plan));
    state.choices = choices.clone();
    if let Some((_, earlier)) = &taken {
        two_runs::not_again(&asked, earlier, &state, &registry, &desk)?;
    }
    let ready = preflight::preflight(&state, &registry, &desk, mode)?;
    for warning in &ready.warnings {
        messages::warn(warning);
    }
    // In a fresh world everything is another object than before.
    if mode == Mode::Execute && !plan_args.in_a_fresh_world() {
        rehearsed::compare(&new.runs, &plan, &ready.pins, &connectors)?;
    }
    let first = Event::RunStarted {
        run: id.clone(),
        mode,
        semantics: SEMANTICS,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        plan: plan.sha256.clone(),
        whole: plan.whole.clone(),
        fingerprints: fingerprints(&plan),
        choices,
        by: common::me(),
    };
    let resolved = Resolved { lab, options: options(plan_args, new), ..Resolved::of(&plan_args.plan, &inputs, &plan)? };
    if mode == Mode::Rehearsal {
        next::was_rehearsed_with(&id, &resolved.words());
    }
    let resolved = serde_json::to_string_pretty(&resolved)?;
    let holder = Holder::current();
    let created = RunDir::create(
        &new.runs.runs,
        &NewRun {
            id: &id,
            sources: &loaded.sources,
            resolved: &resolved,
            holder: &holder,
            what: if mode == Mode::Execute { "run" } else { "rehearse" },
            at: common::now(),
            first: &[first],
        },
        &new.sharing(),
    )
    .map_err(Failure::from)?;
    let locks = taken.map(|(locks, _)| two_runs::begun(locks));
    two_runs::remember(created.dir.path());
    logging::start(&new.log, created.dir.path());
    if show.format == Format::Text {
        outln!("{} {id} in {}", if mode == Mode::Execute { "run" } else { "rehearsal" }, created.dir.path().display());
        if let (Mode::Rehearsal, Some(window)) = (mode, window) {
            outln!("the window is open {window}; a rehearsal does not wait for it");
        }
    }
    let mut scheduler = Scheduler::new(plan);
    for record in &created.records {
        scheduler.apply(record)?;
    }
    let session = Session {
        dir: created.dir,
        journal: created.journal,
        scheduler,
        opening: ready.pins,
        amended: None,
        registry,
        locks,
        rehearsal: mode == Mode::Rehearsal,
    };
    let exit = engine::drive(session, show);
    if let Some(trial) = trial {
        clean(&trial)?;
    }
    let exit = exit?;
    // What rests on described effects is assumed, but a run would not have begun.
    for line in &ready.unbound {
        eprintln!("error: a run would not start: {line}");
    }
    Ok(if exit == Exit::Done && !ready.unbound.is_empty() { Exit::RehearsalFailed } else { exit })
}

/// Removes what a trial has made; however the rehearsal ended.
fn clean(trial: &Trial) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for line in runtime.block_on(trial.clean()) {
        eprintln!("{line}");
    }
    Ok(())
}

/// The options that decide what a run is about, beside those that say where its plan comes from. Not the id, which is
/// each run's own, nor how it is shown.
fn options(plan: &PlanArgs, new: &NewArgs) -> Vec<String> {
    let mut words: Vec<String> = plan.lab_word().map(str::to_owned).into_iter().collect();
    if let Some(until) = &new.until {
        words.extend(["--until".to_owned(), until.clone()]);
    }
    words.extend(new.exclude.iter().flat_map(|target| ["--exclude".to_owned(), target.clone()]));
    for (option, value) in [("--override-window", &new.override_window), ("--group", &new.group), ("--voters", &new.voters)] {
        words.extend(value.iter().flat_map(|value| [option.to_owned(), value.clone()]));
    }
    if new.runs.allow_fs {
        words.push("--allow-fs".to_owned());
    }
    words
}

/// Fingerprint per step, as the journal holds them.
#[must_use]
pub fn fingerprints(plan: &Plan) -> BTreeMap<StepId, String> {
    plan.steps.iter().map(|step| (step.id.clone(), step.fingerprint.to_string())).collect()
}

fn choices(new: &NewArgs, show: &ShowArgs, plan: &Plan, catalogue: &Catalogue) -> anyhow::Result<Choices> {
    let until = new.until.as_deref().map(|id| checkpoint(plan, id)).transpose()?;
    let discovers = plan.steps.iter().any(|step| match &step.work {
        Work::Action(action) => catalogue.get(&action.call.uses).is_some_and(|spec| spec.discovers),
        Work::Gate(_) | Work::Manual(_) | Work::Checkpoint => false,
    });
    for name in &new.exclude {
        // Which servers are discovered is not known yet: any full DNS name may be one.
        let discovered = discovers && name.contains('.');
        if !discovered && !plan.steps.iter().any(|step| step.concerns(name)) {
            let failure = Failure::new(Exit::Usage, format!("`--exclude {name}` concerns no step of this plan"));
            let hint = "a server that a step discovers is left out by its full DNS name";
            return Err(if discovers { failure.hint(hint) } else { failure }.into());
        }
    }
    Ok(Choices {
        until,
        exclude: new.exclude.clone(),
        window_override: new.override_window.clone(),
        go: show.go,
        ..Choices::default()
    })
}

/// The checkpoint of that name.
pub fn checkpoint(plan: &Plan, id: &str) -> anyhow::Result<StepId> {
    let found = plan.find(id).map(|ix| plan.step(ix)).filter(|step| matches!(step.work, Work::Checkpoint));
    found.map(|step| step.id.clone()).ok_or_else(|| {
        let names: Vec<&str> =
            plan.steps.iter().filter(|step| matches!(step.work, Work::Checkpoint)).map(|step| step.id.as_str()).collect();
        let hint = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
        Failure::new(Exit::Usage, format!("the plan has no checkpoint `{id}`")).hint(hint).into()
    })
}

fn check_window(plan: &Plan, choices: &Choices) -> anyhow::Result<()> {
    let Some(window) = plan.window.as_ref().filter(|_| choices.window_override.is_none()) else { return Ok(()) };
    let now = common::now();
    if now >= window.opens && now < window.closes {
        return Ok(());
    }
    Err(Failure::new(Exit::WindowShut, "the window is shut")
        .detail(format!("it is open {}", window_words(window)))
        .detail(format!("it is now {}", local(window, now)))
        .hint("`--override-window REASON` starts all the same and records the reason; nothing was started")
        .into())
}

fn local(window: &Window, at: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::get(&window.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
    at.0.to_zoned(zone).strftime("%A %Y-%m-%d %H:%M %Z").to_string()
}

fn window_words(window: &Window) -> String {
    format!("from {} to {}", local(window, window.opens), local(window, window.closes))
}
