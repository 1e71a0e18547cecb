//! What the driver needs of a journal. The file one lives in `crate::journal`; the simulator brings its own.

use super::event::{Event, Record};
use crate::error::Exit;
use crate::time::Timestamp;

/// Why a record could not be made durable. After this nothing is appended by this process again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// No space is left (or a quota or file-size limit is reached).
    #[error("no space is left for the journal: {0}")]
    NoSpace(String),
    /// Writing or syncing failed. Never retried.
    #[error("the journal cannot be written: {0}")]
    Failed(String),
    /// Somebody else wrote to the file or replaced it.
    #[error("the journal was changed by somebody else: {0}")]
    Disturbed(String),
}

impl JournalError {
    /// The exit code of a process that had to stop because of it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            JournalError::NoSpace(_) => Exit::NoSpace,
            JournalError::Failed(_) | JournalError::Disturbed(_) => Exit::JournalFailed,
        }
    }
}

/// An append-only list of records.
pub trait Journal: Send {
    /// Appends one event and returns its record; `letter` is the letter that it answers. Not durable before
    /// [`Journal::sync`].
    ///
    /// # Errors
    /// After any error the journal is poisoned: every later call fails.
    fn append(&mut self, at: Timestamp, letter: Option<&str>, event: &Event) -> Result<Record, JournalError>;

    /// Makes everything appended so far durable. Cheap if nothing was appended since.
    ///
    /// # Errors
    /// As for `append`. A failed sync is never retried.
    fn sync(&mut self) -> Result<(), JournalError>;

    /// Moves the watermark to the last durable record and makes it durable: other readers believe the journal only
    /// up to it, and damage before it can never be taken for a torn tail. Owed before a destructive effect.
    ///
    /// # Errors
    /// As for `append`.
    fn publish(&mut self) -> Result<(), JournalError>;

    /// Whether there is room for what may follow. Asked before a destructive effect.
    ///
    /// # Errors
    /// There is too little, or it cannot be asked. The journal is as before.
    fn has_room(&self) -> Result<(), JournalError> {
        Ok(())
    }
}
