//! `pause`, `continue`, `abort`, `note`, and the way every order takes: to the holder through the inbox, or straight
//! into the journal if nobody holds the run.

use std::sync::Arc;

use super::common::{self, RunsArgs};
use super::engine::{self, Session};
use super::messages::Result;
use super::post::{self, Reply};
use super::{open, resume, two_runs};
use crate::error::{Exit, Failure};
use crate::journal::{Lock, LockError, RunDir};
use crate::run::event::Holder;
use crate::run::letters::Answer;
use crate::run::order::Order;
use crate::time::Span;

#[derive(Debug, clap::Args)]
pub struct PauseArgs {
    /// The run; may be left out if only one is unfinished
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub struct ContinueArgs {
    /// The run; may be left out if only one is unfinished
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    /// Although you belong to none of the roles that may, as a holder of the run may in an emergency; recorded
    #[arg(long, requires = "reason")]
    emergency: bool,
}

#[derive(Debug, clap::Args)]
pub struct ExtendArgs {
    /// The run; the latest if left out
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// For how long from now
    #[arg(long, value_name = "DURATION", conflicts_with = "until")]
    by: Option<String>,
    /// Until when, in the window's own time zone: "2026-11-30 07:00"
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only what this checkpoint needs, and the run ends there
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["by", "until"])]
    checkpoint: Option<String>,
    /// Why
    #[arg(long)]
    reason: String,
    /// Although you belong to none of the roles that may, as a holder of the run may in an emergency; recorded
    #[arg(long)]
    emergency: bool,
}

#[derive(Debug, clap::Args)]
pub struct AbortArgs {
    /// The run; may be left out if only one is unfinished
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// Why
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub struct NoteArgs {
    /// The run
    run: String,
    /// What to write down
    text: String,
    #[command(flatten)]
    runs: RunsArgs,
}

pub fn pause(args: &PauseArgs) -> Result {
    send(args.runs.open_run(args.run.as_deref())?, &[Order::Pause { reason: args.reason.clone() }])
}

pub fn go_on(args: &ContinueArgs) -> Result {
    let order = Order::Continue { reason: args.reason.clone(), emergency: args.emergency };
    send(args.runs.open_run(args.run.as_deref())?, &[order])
}

pub fn extend(args: &ExtendArgs) -> Result {
    let dir = args.runs.open_run(args.run.as_deref())?;
    let (scheduler, _) = open::read(&dir, &common::connectors())?;
    let usage = |what: String| Failure::new(Exit::Usage, what);
    let until = match (&args.by, &args.until) {
        (Some(by), _) => {
            let span: Span = by.parse().map_err(|_| usage(format!("`--by {by}` is no duration; write `2h` or `1h30m`")))?;
            Some(common::now().plus(span))
        }
        (None, Some(until)) => {
            let zone = scheduler.state().plan.window.as_ref().map_or("UTC", |window| window.timezone.as_str());
            let zone = crate::time::zone(zone).map_err(|error| usage(error.message))?;
            Some(crate::time::local(until, &zone).map_err(|error| usage(format!("`--until`: {}", error.message)))?)
        }
        (None, None) => None,
    };
    let checkpoint = args.checkpoint.as_deref().map(|id| super::run::checkpoint(&scheduler.state().plan, id)).transpose()?;
    send(dir, &[Order::Extend { until, checkpoint, reason: args.reason.clone(), emergency: args.emergency }])
}

pub fn abort(args: &AbortArgs) -> Result {
    send(args.runs.open_run(args.run.as_deref())?, &[Order::Abort { reason: args.reason.clone() }])
}

pub fn note(args: &NoteArgs) -> Result {
    send(args.runs.open_run(Some(&args.run))?, &[Order::Note { text: args.text.clone() }])
}

/// Sends orders, one after the other, and prints what became of each. The exit code is that of the worst.
pub fn send(dir: RunDir, orders: &[Order]) -> Result {
    let answers = match dir.lock(&Holder::current(), "order", common::now()) {
        Ok(lock) => record(dir, lock, orders)?,
        // A voter has no way but the inbox.
        Err(LockError::Held(_) | LockError::NotAHolder(_)) => ask(dir, orders)?,
        Err(error) => return Err(Failure::from(error).into()),
    };
    let mut refused = Vec::new();
    for (order, answer) in orders.iter().zip(answers) {
        let of = order.step().filter(|_| orders.len() > 1).map_or_else(String::new, |step| format!("`{step}`: "));
        match answer {
            Answer::Recorded { seq, not_counted: Some(why), .. } => {
                refused.push(format!("{of}recorded as {seq}, but it does not count: {why}"));
            }
            Answer::Recorded { seq, note, .. } => {
                outln!("{of}recorded as {seq}");
                if let Some(note) = note {
                    outln!("{note}");
                }
            }
            Answer::Refused { reason } => refused.push(format!("{of}{reason}")),
        }
    }
    match refused.split_first() {
        None => Ok(Exit::Done),
        Some((first, rest)) => {
            let mut failure = Failure::new(Exit::Refused, first.clone());
            failure.details = rest.to_vec();
            Err(failure.into())
        }
    }
}

/// Leaves orders with the holder; if it goes away meanwhile, records the rest here.
fn ask(dir: RunDir, orders: &[Order]) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for (at, order) in orders.iter().enumerate() {
        match post::ask_holder(&dir, order)? {
            Reply::Answered(answer) => answers.push(answer),
            Reply::Gone(lock) => {
                answers.extend(record(dir, lock, &orders[at..])?);
                break;
            }
        }
    }
    Ok(answers)
}

/// Records orders in a run whose lock we hold.
fn record(dir: RunDir, lock: Lock, orders: &[Order]) -> anyhow::Result<Vec<Answer>> {
    let connectors = common::connectors();
    let path = dir.path().to_owned();
    let mut taken = resume::take_locked(dir, lock, None, &connectors)?;
    taken.announce()?;
    let session = Session {
        dir: taken.dir,
        journal: taken.journal,
        scheduler: taken.scheduler,
        opening: Vec::new(),
        amended: None,
        registry: Arc::new(connectors),
        locks: None,
        rehearsal: false,
    };
    let receipts = engine::record_only(session, orders, &common::here())?;
    two_runs::forget_if_over(&path);
    let answer = |receipt: std::result::Result<_, String>| match receipt {
        Ok(crate::run::driver::Receipt { seq, not_counted }) => Answer::Recorded { seq, note: None, not_counted },
        Err(reason) => Answer::Refused { reason },
    };
    Ok(receipts.into_iter().map(answer).collect())
}
