//! `pause`, `continue`, `abort`, `note`, and the way every order takes: to the holder through the inbox, or straight
//! into the journal if nobody holds the run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::common::{self, RunsArgs};
use super::engine::{self, Session};
use super::messages::Result;
use super::resume;
use crate::error::{Exit, Failure};
use crate::journal::{Answer, Lock, LockError, RunDir, inbox, lock};
use crate::run::event::Holder;
use crate::run::order::Order;

/// How long the holder may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is listened for an answer before a look whether the holder is still there.
const LISTEN: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub struct PauseArgs {
    /// The run; the latest if left out
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub struct ContinueArgs {
    /// The run; the latest if left out
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
}

#[derive(Debug, clap::Args)]
pub struct AbortArgs {
    /// The run; the latest if left out
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
    send(args.runs.open_run(args.run.as_deref())?, Order::Pause { reason: args.reason.clone() })
}

pub fn go_on(args: &ContinueArgs) -> Result {
    send(args.runs.open_run(args.run.as_deref())?, Order::Continue {})
}

pub fn abort(args: &AbortArgs) -> Result {
    send(args.runs.open_run(args.run.as_deref())?, Order::Abort { reason: args.reason.clone() })
}

pub fn note(args: &NoteArgs) -> Result {
    send(args.runs.open_run(Some(&args.run))?, Order::Note { text: args.text.clone() })
}

/// Sends an order and prints what became of it.
pub fn send(dir: RunDir, order: Order) -> Result {
    let answer = match dir.lock(&Holder::current(), "order", common::now()) {
        Ok(lock) => record(dir, lock, order)?,
        Err(LockError::Held(_)) => match ask_holder(&dir, &order)? {
            Reply::Answered(answer) => answer,
            Reply::Gone(lock) => record(dir, lock, order)?,
        },
        Err(error) => return Err(Failure::from(error).into()),
    };
    match answer {
        Answer::Recorded { seq, note } => {
            outln!("recorded as {seq}");
            if let Some(note) = note {
                outln!("{note}");
            }
            Ok(Exit::Done)
        }
        Answer::Refused { reason } => Err(Failure::new(Exit::Refused, reason).into()),
    }
}

/// Records an order in a run whose lock we hold.
fn record(dir: RunDir, lock: Lock, order: Order) -> anyhow::Result<Answer> {
    let connectors = common::connectors();
    let taken = resume::take_locked(dir, lock, None, &connectors)?;
    let session = Session {
        dir: taken.dir,
        journal: taken.journal,
        scheduler: taken.scheduler,
        opening: taken.announcements,
        amended: None,
        registry: Arc::new(connectors),
        rehearsal: false,
    };
    Ok(match engine::record_only(session, order, common::me())? {
        Ok(receipt) => Answer::Recorded { seq: receipt.seq, note: receipt.note },
        Err(reason) => Answer::Refused { reason },
    })
}

/// What came of asking the holder.
enum Reply {
    /// It answered.
    Answered(Answer),
    /// It left without looking; the order was taken back, and the lock is ours.
    Gone(Lock),
}

/// Leaves an order with the holder and waits for its answer.
fn ask_holder(dir: &RunDir, order: &Order) -> anyhow::Result<Reply> {
    let path = dir.path();
    let id = inbox::post(path, order, None, common::now())?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(answer) = inbox::await_answer(path, &id, LISTEN)? {
            return Ok(Reply::Answered(answer));
        }
        // A run that just ended or stopped at a question has nobody any more who looks into its inbox.
        if let Ok(lock) = dir.lock(&Holder::current(), "order", common::now()) {
            if let Some(answer) = inbox::answer_to(path, &id)? {
                return Ok(Reply::Answered(answer));
            }
            inbox::withdraw(path, &id)?;
            return Ok(Reply::Gone(lock));
        }
    }
    let holder = lock::holder_of(path).map_or_else(String::new, |by| format!(" (pid {})", by.holder.pid));
    Err(Failure::new(Exit::Held, format!("the holder of the run{holder} has not answered yet"))
        .detail("the order lies in the run's inbox and will be taken up when the holder looks there")
        .hint("`relevo status` shows whether it was recorded")
        .into())
}
