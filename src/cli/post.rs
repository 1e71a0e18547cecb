//! Leaving an order with the process that holds a run, and learning what became of it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::common;
use crate::error::{Exit, Failure};
use crate::journal::{Access, Lock, RunDir, inbox, lock};
use crate::run::event::Holder;
use crate::run::letters::Answer;
use crate::run::order::Order;

/// How long the holder may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is listened for an answer before a look whether the holder is still there.
const LISTEN: Duration = Duration::from_millis(500);

/// What came of asking the holder.
pub enum Reply {
    /// It answered, or the journal holds the record.
    Answered(Answer),
    /// It left without looking; the order was taken back, and the lock is ours.
    Gone(Lock),
}

/// Leaves an order with the holder and waits for its answer.
///
/// # Errors
/// The order cannot be left, or nobody has answered: it lies in the inbox then.
pub fn ask_holder(dir: &RunDir, order: &Order) -> anyhow::Result<Reply> {
    let path = dir.path();
    let id = match inbox::post(path, order, None, common::now()) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(no_letters(dir)),
        id => id?,
    };
    let answered = |answer| {
        // Only its owner may remove a letter from an inbox with the sticky bit. The record stands, so it may stay as well.
        let _ = inbox::withdraw(path, &id);
        Ok(Reply::Answered(answer))
    };
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(answer) = inbox::await_answer(path, &id, LISTEN)? {
            return answered(answer);
        }
        // A run that just ended or stopped at a question has nobody any more who looks into its inbox.
        if dir.access() != Access::Hold {
            if inbox::has_reader(path)? {
                continue;
            }
            return match settled(dir, &id)? {
                Some(answer) => answered(answer),
                None => Err(left_lying(dir)),
            };
        }
        if let Ok(lock) = dir.lock(&Holder::current(), "order", common::now()) {
            if let Some(answer) = settled(dir, &id)? {
                return answered(answer);
            }
            // If it cannot be taken back it would be found again: then it is left to whoever holds the run next.
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

/// What became of an order in a run that nobody holds any more: its holder may have died between record and answer.
fn settled(dir: &RunDir, id: &str) -> anyhow::Result<Option<Answer>> {
    if let Some(answer) = inbox::answer_to(dir.path(), id)? {
        return Ok(Some(answer));
    }
    Ok(inbox::recorded(dir.path(), id)?)
}

fn left_lying(dir: &RunDir) -> anyhow::Error {
    let resume = crate::view::next::resume(dir.id());
    Failure::new(Exit::WaitingForPerson, "nobody holds the run at the moment: the order is left, and not yet recorded")
        .detail("it lies in the run's inbox; the next holder reads it before anything else")
        .hint(format!("a holder goes on with `{resume}`; `relevo status` shows whether the order was recorded"))
        .into()
}

fn no_letters(dir: &RunDir) -> anyhow::Error {
    let me = common::me().name;
    Failure::new(Exit::Refused, format!("`{me}` may not leave an order in run `{}`", dir.id()))
        .detail(dir.circles().line())
        .hint("who may vote is said at the start of a run: `relevo run --voters GROUP`; nothing was left or recorded")
        .into()
}
