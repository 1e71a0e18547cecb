//! `relevo salvage RUN`: a new run that stands where the records of a damaged one prove that it stood.

use super::common::{self, RunsArgs};
use super::messages::{self, Result};
use super::open::{self, Replay};
use super::{amend, in_lab};
use crate::connector::Connectors;
use crate::error::{Exit, Failure};
use crate::journal::run_dir::new_id;
use crate::journal::salvage::{self, Intact, Successor};
use crate::journal::{Reader, RunDir};
use crate::plan::Work;
use crate::run::event::{Event, Holder, Mode, Record};
use crate::run::state::{RunState, StepState};
use crate::view::next;
use crate::view::text::{count, list};

/// Up to so many steps are named per line.
const NAMED: usize = 8;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The damaged run; nothing in its folder is changed
    run: String,
    #[command(flatten)]
    runs: RunsArgs,
    /// Salvage a run that was last held on another machine: RUN/EPOCH, as the refusal names it
    #[arg(long, value_name = "RUN/EPOCH")]
    take_over: Option<String>,
}

pub fn salvage(args: &Args) -> Result {
    let dir = args.runs.open_run(Some(&args.run))?;
    let intact = salvage::read(&dir, args.take_over.as_deref()).map_err(Failure::from)?;
    let connectors = in_lab::connectors(open::resolved(&dir)?.lab.is_some());
    let (usable, why) = usable(&dir, &intact, &connectors)?;
    not_yet(args, &dir)?;
    let files: Vec<String> = usable.iter().filter_map(|record| amend::file_of(&record.event)).collect();
    let id = new_id(common::now());
    let holder = Holder::current();
    let new = Successor {
        id: &id,
        records: usable,
        watermark: intact.watermark,
        files: &files,
        by: common::me(),
        holder: &holder,
        at: common::now(),
        allow_fs: args.runs.allow_fs,
    };
    let made = salvage::write(&args.runs.runs, &dir, &new).map_err(Failure::from)?;
    super::two_runs::replaced(dir.path());
    let (scheduler, _) = open::read(&made.created.dir, &connectors)?;
    tell(scheduler.state(), &dir, made.created.dir.path(), &why);
    if made.evidence > 0 {
        outln!("  evidence: {} copied", count(made.evidence, "file"));
    }
    for line in &made.missing {
        messages::warn(&format!("evidence {line}"));
    }
    outln!("next: {}", next::resume(&id));
    Ok(Exit::Done)
}

/// The records that are intact and mean something, and why there are no more. They end also where a record is whole and
/// cannot be followed, such as one of an amendment whose plan is not there any more.
fn usable<'a>(dir: &RunDir, intact: &'a Intact, connectors: &Connectors) -> anyhow::Result<(&'a [Record], String)> {
    let mut replay = Replay::new(dir, connectors)?;
    let mut why = intact.damage.as_ref().map(|damage| damage.what.clone());
    let mut usable = intact.records.len();
    for (before, record) in intact.records.iter().enumerate() {
        replay.feed(record);
        if let Err(error) = replay.check() {
            if before == 0 {
                return Err(error);
            }
            (usable, why) = (before, Some(format!("record {} cannot be followed: {error}", record.seq)));
            break;
        }
    }
    if replay.mode == Mode::Rehearsal {
        return Err(Failure::new(Exit::Refused, format!("{} is a rehearsal; there is nothing in it to save", dir.id()))
            .hint("rehearse the plan again")
            .into());
    }
    match why {
        Some(why) => Ok((&intact.records[..usable], why)),
        None => Err(Failure::new(Exit::Refused, format!("the journal of {} is sound; there is nothing to salvage", dir.id()))
            .hint(format!("resume it: `{}`", next::resume(dir.id())))
            .into()),
    }
}

/// One run goes on in one successor: two of them would do the same steps twice.
fn not_yet(args: &Args, dir: &RunDir) -> anyhow::Result<()> {
    let listed = RunDir::list(&args.runs.runs).map_err(|error| Failure::io(args.runs.place().display(), &error))?;
    let began = listed.iter().find(|run| run.id == dir.id()).and_then(|run| run.started);
    // A successor has the first record of its origin, with the same time.
    for other in listed.iter().filter(|run| run.id != dir.id() && run.started == began) {
        let Ok(mut reader) = RunDir::open(&args.runs.runs, &other.id, args.runs.allow_fs)
            .map_err(drop)
            .and_then(|dir| Reader::open(dir.path()).map_err(drop))
        else {
            continue;
        };
        let mut follows = false;
        let mut look = |record: Record| {
            follows |= matches!(&record.event, Event::Salvaged { from, .. } if from == dir.id());
        };
        // A successor that is damaged itself, before the record that makes it one, is none that could be gone on with.
        let _ = reader.poll(&mut look).and_then(|_| reader.poll_rest(&mut look));
        if follows {
            return Err(Failure::new(Exit::Refused, format!("{} was salvaged already: {} goes on from it", dir.id(), other.id))
                .hint(format!("go on with that one: `{}`", next::resume(&other.id)))
                .into());
        }
    }
    Ok(())
}

fn tell(state: &RunState, from: &RunDir, path: &std::path::Path, why: &str) {
    let Some(origin) = &state.origin else { return };
    let ids = |choose: &dyn Fn(usize) -> bool| -> Vec<String> {
        let steps = state.plan.steps.iter().enumerate();
        steps.filter(|(at, _)| choose(*at)).map(|(_, step)| step.id.to_string()).collect()
    };
    let doubt = ids(&|at| matches!(state.steps[at], StepState::InDoubt { .. }));
    let asked = ids(&|at| {
        let question = matches!(state.plan.steps[at].work, Work::Gate(_) | Work::Manual(_));
        question && matches!(state.steps[at], StepState::Pending)
    });
    outln!("{} goes on from {}, in {}", state.run, from.id(), path.display());
    outln!("  records 1 to {} are intact: {why}", origin.records);
    outln!("  {}", origin.lost());
    outln!("  {} stand as they were; nothing of them is done again", count(state.satisfied, "step"));
    if !doubt.is_empty() {
        outln!("  in doubt, until you say what became of them: {}", list(&doubt, NAMED));
    }
    if !asked.is_empty() {
        outln!("  asked anew, when their turn comes: {}", list(&asked, NAMED));
    }
    outln!("  nothing was changed in {}", from.path().display());
}
