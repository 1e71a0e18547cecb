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
use super::two_runs::{self, BesideArgs};
use super::{in_lab, preflight, rehearsed, run, trust};
use crate::connector::Connectors;
use crate::error::{Exit, Failure};
use crate::journal::{self, FileJournal, Lock, RunDir};
use crate::run::calls::Desk;
use crate::run::decide;
use crate::run::driver::Registry;
use crate::run::event::{Choices, Ending, Event, Holder, Mode, SEMANTICS};
use crate::run::journal::{Journal as _, JournalError};
use crate::run::scheduler::Scheduler;
use crate::run::state::RunState;
use crate::view::{card, next};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run; may be left out if only one is unfinished
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    #[command(flatten)]
    two: BesideArgs,
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
    /// Amend, take over or lift a pause although you belong to none of the roles that may; the reason is recorded
    #[arg(long, value_name = "REASON")]
    emergency: Option<String>,
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
    announcements: Vec<Event>,
    /// What kind of run it is.
    pub mode: Mode,
    /// True if it is taken from another machine, by a typed order.
    pub take_over: bool,
}

impl Taken {
    /// Records who holds the run now, durably: before that no look, no effect and no decision of this process counts.
    pub fn announce(&mut self) -> anyhow::Result<()> {
        let failed = |error: JournalError| {
            Failure::new(error.exit(), error.to_string()).hint("nothing was started; make room or mend the disk, and try again")
        };
        for event in std::mem::take(&mut self.announcements) {
            let record = self.journal.append(common::now(), None, &event).map_err(failed)?;
            self.scheduler.apply(&record)?;
        }
        self.journal.publish().map_err(failed)?;
        Ok(())
    }
}

/// Takes the lock, reads everything, cuts a torn tail. Nothing is appended before [`Taken::announce`].
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
    let mut announcements = opened.announcements();
    let from = scheduler.state().semantics;
    if from < SEMANTICS {
        announcements.push(Event::SemanticsRaised { from, to: SEMANTICS, version: env!("CARGO_PKG_VERSION").to_owned() });
    }
    Ok(Taken { dir, journal: opened.journal, scheduler, announcements, mode, take_over: opened.take_over })
}

pub fn resume(args: &Args) -> Result {
    common::guard_signals();
    let dir = args.runs.open_run(args.run.as_deref())?;
    let resolved = open::resolved(&dir)?;
    let lab = resolved.lab.clone();
    let connectors = in_lab::connectors(lab.is_some());
    let mut taken = take(dir, "resume", args.take_over.as_deref(), &connectors)?;
    let id = taken.dir.id().to_owned();
    if taken.mode == Mode::Rehearsal {
        next::was_rehearsed_with(&id, &resolved.words());
        return Err(Failure::new(Exit::Refused, format!("{id} is a rehearsal, and a rehearsal is not resumed"))
            .hint(format!("start it again: `{}`", next::rehearse_again(&id)))
            .into());
    }
    if taken.scheduler.state().ending == Some(Ending::Done) {
        return Err(Failure::new(Exit::NothingToResume, format!("{id} is done; there is nothing to resume")).into());
    }
    let mut opening: Vec<Event> = may(args, &taken)?.into_iter().collect();
    let semantics = taken.scheduler.state().semantics;
    let mut notes = Vec::new();
    let amendment = match &args.amend {
        Some(file) => {
            let amendment = amend::prepare(&taken.scheduler, file, &resolved, &connectors, &common::me())?;
            notes.extend(amendment.changes.iter().map(|change| format!("plan: {change}")));
            Some(amendment)
        }
        None => {
            notes.extend(changed_on_disk(&taken, &resolved));
            None
        }
    };
    taken.announce()?;
    if let Some(folder) = &lab {
        in_lab::enter_again(folder, &taken.dir.sources().map_err(Failure::from)?)?;
    }
    if semantics < SEMANTICS {
        notes.push(format!(
            "the run was begun by an older version (events {semantics}); from here on the rules of {SEMANTICS} hold"
        ));
    }
    for (what, by) in [("pause", &taken.scheduler.state().paused), ("end", &taken.scheduler.state().stopped)] {
        if let Some((by, reason)) = by {
            eprintln!("note: this lifts the {what} that {} ordered: {reason}", by.name);
        }
    }
    let after = amendment.as_ref().map_or(&taken.scheduler, |amendment| &amendment.after).state();
    let mut choices = Choices {
        until: args.until.as_deref().map(|id| run::checkpoint(&after.plan, id)).transpose()?,
        exclude: args.exclude.clone(),
        window_override: args.override_window.clone(),
        go: args.show.go,
        ..Choices::default()
    };
    args.two.choose(&mut choices)?;
    let locks = match &lab {
        Some(_) => None,
        None => Some(two_runs::take_again(&taken.dir, after, &choices, &resolved.plan, &connectors)?),
    };
    let page = super::screen::page();
    if args.show.format == common::Format::Text {
        outln!("{}", card::resume(after, &notes, common::now(), &page));
    }
    trust::warn_of_plan(&taken.dir, &after.plan, args.amend.as_deref(), &args.runs);
    let registry: Arc<dyn Registry> = Arc::new(connectors.clone());
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
    if let Some(amendment) = &amendment {
        // What a changed step would act upon is held against the rehearsal again, and shown before anybody accepts it.
        rehearsed::compare(&args.runs, &after.plan, &ready.pins, &connectors)?;
        for line in amendment.live(&ready.pins, &registry, &desk)? {
            eprintln!("changed: {line}");
        }
    }
    confirm(args)?;
    let mut amended = None;
    if let Some(amendment) = &amendment {
        let (event, plan) = amendment.accept(&taken.dir, common::me())?;
        opening.push(event);
        amended = Some(plan);
    }
    opening.push(Event::RunResumed { by: common::me(), choices });
    opening.extend(ready.pins);
    logging::start(&args.log, taken.dir.path());
    let session = Session {
        dir: taken.dir,
        journal: taken.journal,
        scheduler: taken.scheduler,
        amended,
        opening,
        registry,
        locks,
        rehearsal: false,
    };
    engine::drive(session, &args.show)
}

/// Whether whoever types this may: to amend, to take over, or to lift what a person ordered is for those who may decide. A
/// holder may go past that in an emergency; that is the record which is owed first.
fn may(args: &Args, taken: &Taken) -> anyhow::Result<Option<Event>> {
    let state = taken.scheduler.state();
    let decides = args.amend.is_some() || taken.take_over || state.stopped.is_some() || is_paused_by_a_person(state);
    let Err(rule) = decide::may_operate(state, &common::here()) else { return Ok(None) };
    match &args.emergency {
        _ if !decides => Ok(None),
        Some(reason) => Ok(Some(Event::RuleOverridden { step: None, rule, by: common::me(), reason: reason.clone() })),
        None => Err(Failure::new(Exit::Refused, rule)
            .detail("to amend, to take over or to lift a pause or an end is for those who may decide about the run")
            .hint("in an emergency a holder may go past that with `--emergency REASON`; nothing was started")
            .into()),
    }
}

fn is_paused_by_a_person(state: &RunState) -> bool {
    state.paused.as_ref().is_some_and(|(by, _)| !matches!(by.name.as_str(), "signal" | "clock"))
}

/// Whether the files that the plan was made of say something else by now than the run's own copies.
fn changed_on_disk(taken: &Taken, resolved: &Resolved) -> Option<String> {
    if taken.scheduler.state().is_amended {
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
