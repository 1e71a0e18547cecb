//! `relevo resume [RUN]`: the card first, then the same loop over the journal that is there.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use super::amend;
use super::common::{self, RunsArgs};
use super::engine::{self, Session, ShowArgs};
use super::logging::{self, LogArgs};
use super::messages::{self, Result};
use super::open::{self, Replay, Resolved};
use super::{in_lab, preflight, run};
use crate::connector::Connectors;
use crate::error::{Exit, Failure};
use crate::journal::{self, FileJournal, Lock, RunDir};
use crate::plan::load::Inputs;
use crate::run::calls::Desk;
use crate::run::driver::Registry;
use crate::run::event::{Choices, Ending, Event, Holder, Mode};
use crate::run::journal::Journal as _;
use crate::run::scheduler::Scheduler;
use crate::view::{card, next};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run; the latest if left out
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// Do not ask after showing the card
    #[arg(long)]
    yes: bool,
    /// Take the run over from another machine: RUN/EPOCH, as the refusal names it
    #[arg(long, value_name = "RUN/EPOCH")]
    take_over: Option<String>,
    /// Go on with this plan instead of the stored one; steps that have begun must not differ
    #[arg(long, value_name = "PLAN")]
    amend: Option<PathBuf>,
    /// Run only what this checkpoint needs, and stop there
    #[arg(long, value_name = "CHECKPOINT")]
    until: Option<String>,
    /// Leave out a target from now on
    #[arg(long, value_name = "TARGET")]
    exclude: Vec<String>,
    /// Go on although the window is shut; the reason is recorded
    #[arg(long, value_name = "REASON")]
    override_window: Option<String>,
    #[command(flatten)]
    log: LogArgs,
}

/// A run that is ours again.
pub struct Taken {
    /// Its folder.
    pub dir: RunDir,
    /// Its journal; holds the lock.
    pub journal: FileJournal,
    /// Its state.
    pub scheduler: Scheduler,
    /// What is owed to the journal first.
    pub announcements: Vec<Event>,
    /// What kind of run it is.
    pub mode: Mode,
}

/// Takes the lock, reads everything, cuts a torn tail. Nothing is appended yet.
pub fn take(dir: RunDir, what: &str, take_over: Option<&str>, connectors: &Connectors) -> anyhow::Result<Taken> {
    let lock = dir.lock(&Holder::current(), what, common::now()).map_err(Failure::from)?;
    take_locked(dir, lock, take_over, connectors)
}

/// [`take`] with the lock in hand.
pub fn take_locked(dir: RunDir, lock: Lock, take_over: Option<&str>, connectors: &Connectors) -> anyhow::Result<Taken> {
    let mut replay = Replay::new(&dir, connectors)?;
    let opened =
        journal::open_for_writing(dir.path(), lock, take_over, &mut |record| replay.feed(&record)).map_err(Failure::from)?;
    let (scheduler, mode) = replay.finish()?;
    if let Some(torn) = &opened.torn {
        eprintln!(
            "note: the journal ended in the middle of a record ({} bytes, never durable); kept as {}",
            torn.bytes,
            torn.kept.display()
        );
    }
    let announcements = opened.announcements();
    let mut journal = opened.journal;
    // A crash between the last record and its watermark would otherwise hide that record from `status` for ever.
    journal.publish().map_err(|error| Failure::new(Exit::JournalFailed, error.to_string()))?;
    Ok(Taken { dir, journal, scheduler, announcements, mode })
}

pub fn resume(args: &Args) -> Result {
    common::guard_signals();
    let dir = args.runs.open_run(args.run.as_deref())?;
    let lab = open::resolved(&dir)?.lab;
    let connectors = in_lab::connectors(lab.is_some());
    let mut taken = take(dir, "resume", args.take_over.as_deref(), &connectors)?;
    let id = taken.dir.id().to_owned();
    if taken.mode == Mode::Rehearsal {
        next::was_rehearsed_with(&id, &open::resolved(&taken.dir)?.words());
        return Err(Failure::new(Exit::Refused, format!("{id} is a rehearsal, and a rehearsal is not resumed"))
            .hint(format!("start it again: `{}`", next::rehearse_again(&id)))
            .into());
    }
    if taken.scheduler.state().ending == Some(Ending::Done) {
        return Err(Failure::new(Exit::NothingToResume, format!("{id} is done; there is nothing to resume")).into());
    }
    let resolved = open::resolved(&taken.dir)?;
    if let Some(folder) = &lab {
        in_lab::enter_again(folder, &taken.dir.sources().map_err(Failure::from)?)?;
    }
    let mut opening = std::mem::take(&mut taken.announcements);
    let mut notes = Vec::new();
    let mut amended = None;
    if let Some(file) = &args.amend {
        let event = amend_with(&mut taken, file, &resolved, &connectors, &mut notes, &mut amended)?;
        opening.push(event);
    } else if let Some(note) = changed_on_disk(&taken, &resolved) {
        notes.push(note);
    }
    for (what, by) in [("pause", &taken.scheduler.state().paused), ("end", &taken.scheduler.state().stopped)] {
        if let Some((by, reason)) = by {
            eprintln!("note: this lifts the {what} that {} ordered: {reason}", by.name);
        }
    }
    let after = amended.as_ref().unwrap_or(&taken.scheduler).state();
    let choices = Choices {
        until: args.until.as_deref().map(|id| run::checkpoint(&after.plan, id)).transpose()?,
        exclude: args.exclude.clone(),
        window_override: args.override_window.clone(),
        go: args.show.go,
    };
    let page = super::screen::page();
    if args.show.format == common::Format::Text {
        outln!("{}", card::resume(after, &notes, common::now(), &page));
    }
    confirm(args)?;
    let registry: Arc<dyn Registry> = Arc::new(connectors);
    let desk = Desk {
        run: Arc::from(id.as_str()),
        folder: Arc::from(after.plan.folder.as_path()),
        scratch: std::env::temp_dir(),
        evidence: taken.dir.evidence().dir().to_owned(),
    };
    let ready = preflight::preflight(after, &registry, &desk, Mode::Execute)?;
    for warning in &ready.warnings {
        messages::warn(warning);
    }
    opening.push(Event::RunResumed { by: common::me(), choices });
    opening.extend(ready.pins);
    logging::start(&args.log, taken.dir.path());
    let session = Session {
        dir: taken.dir,
        journal: taken.journal,
        scheduler: taken.scheduler,
        amended: amended.map(|scheduler| Arc::clone(&scheduler.state().plan)),
        opening,
        registry,
        rehearsal: false,
    };
    engine::drive(session, &args.show)
}

/// Loads and checks the new plan, and stores its texts.
fn amend_with(
    taken: &mut Taken,
    file: &std::path::Path,
    resolved: &Resolved,
    connectors: &Connectors,
    notes: &mut Vec<String>,
    amended: &mut Option<Scheduler>,
) -> anyhow::Result<Event> {
    let inputs = Inputs { texts: None, ..resolved.inputs(Vec::new()) };
    let mut loaded = common::load_plan(file, &inputs, connectors)?;
    if resolved.lab.is_some() {
        in_lab::adapt(&mut loaded.plan);
    }
    let event = amend::amend(taken.scheduler.state(), &loaded.plan, common::me())?;
    if let Event::PlanAmended { changes, .. } = &event {
        notes.extend(changes.iter().map(|change| format!("plan: {change}")));
    }
    amend::store(
        &taken.dir,
        Resolved { lab: resolved.lab.clone(), ..Resolved::of(file, &inputs, &loaded.plan)? },
        loaded.sources,
        &loaded.plan,
    )?;
    let mut scheduler = taken.scheduler.clone();
    scheduler.rebind(Arc::new(loaded.plan));
    *amended = Some(scheduler);
    Ok(event)
}

/// Whether the files that the plan was made of say something else by now than the run's own copies.
fn changed_on_disk(taken: &Taken, resolved: &Resolved) -> Option<String> {
    if amend::is_stored(&taken.dir, &taken.scheduler.state().plan.sha256) {
        return None;
    }
    let changed = |(path, text): &(PathBuf, String)| std::fs::read_to_string(path).is_ok_and(|now| now != *text);
    taken.dir.sources().ok()?.iter().any(changed).then(|| {
        format!("{} has changed since; the run keeps its own copy (`--amend {0}` takes the new one)", resolved.plan.display())
    })
}

fn confirm(args: &Args) -> anyhow::Result<()> {
    if args.yes || args.show.go {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "`resume` asks before it goes on, and nobody is at a terminal")
            .hint("`--yes` goes on without asking (in the lab `--go` does, too); nothing was started")
            .into());
    }
    eprint!("Enter goes on, Ctrl-C leaves everything as it is: ");
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line)? == 0 {
        return Err(Failure::new(Exit::Usage, "not confirmed; nothing was started").into());
    }
    Ok(())
}
