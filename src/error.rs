//! How a verb ends: the documented exit codes, and failures that carry their hint apart from their message.

use std::fmt;
use std::io;

/// The exit codes of the program; `docs/exit-codes.md` and the README list them, and they are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Everything asked for is done.
    Done,
    /// A step failed (or a gate was refused) and the run ended or stopped.
    Failed,
    /// The command line was wrong.
    Usage,
    /// A gate, a manual step or a failed step waits for a person.
    WaitingForPerson,
    /// A step is in doubt and a person must decide.
    InDoubt,
    /// There is nothing to resume.
    NothingToResume,
    /// The window is shut.
    WindowShut,
    /// The rehearsal found failures.
    RehearsalFailed,
    /// Refused for safety: the order is understood and will not be carried out.
    Refused,
    /// The plan, its targets or its parameters are invalid.
    InvalidPlan,
    /// The journal or the run directory is damaged.
    Damaged,
    /// A target is unreachable, before anything was started.
    Unreachable,
    /// Another process or host holds the run.
    Held,
    /// The journal, or another file of the run, cannot be read or written.
    JournalFailed,
    /// The journal cannot be written: no space is left.
    NoSpace,
    /// Stopped on request by an interrupt (Ctrl-C).
    Interrupted,
    /// Stopped on request by a termination signal.
    Terminated,
}

impl Exit {
    /// The process exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::WaitingForPerson => 3,
            Exit::InDoubt => 4,
            Exit::NothingToResume => 5,
            Exit::WindowShut => 6,
            Exit::RehearsalFailed => 7,
            Exit::Refused => 8,
            Exit::InvalidPlan => 64,
            Exit::Damaged => 65,
            Exit::Unreachable => 69,
            Exit::Held => 73,
            Exit::JournalFailed => 74,
            Exit::NoSpace => 75,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// What an error of a run's own files means: journal, watermark, lock, run directory, inbox, evidence. The one place
    /// that decides it.
    ///
    /// - No space is left, on the disk, in the quota or below the process's limit: that can be helped, and nothing is lost.
    /// - A file is missing, ends too early, or holds what cannot be: the run directory is damaged.
    /// - Everything else says nothing about what the files hold, only that the system would not do it.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Exit {
        use io::ErrorKind::{
            FileTooLarge, InvalidData, IsADirectory, NotADirectory, NotFound, QuotaExceeded, StorageFull, UnexpectedEof,
        };
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Exit::NoSpace,
            NotFound | UnexpectedEof | InvalidData | NotADirectory | IsADirectory => Exit::Damaged,
            _ => Exit::JournalFailed,
        }
    }
}

/// A verb's failure: the kind decides the exit code, the hints say what to do next.
#[derive(Debug)]
pub struct Failure {
    /// Decides the exit code.
    pub exit: Exit,
    /// Lower case, no final stop, the place first.
    pub message: String,
    /// Further lines: what is certain, what was found.
    pub details: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure without details or hints.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into(), details: Vec::new(), hints: Vec::new() }
    }

    /// A failure of a run's own files; see [`Exit::of_io`]. `what`: the file, or what was done with it.
    #[must_use]
    pub fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        Failure::new(Exit::of_io(error), format!("{what}: {error}"))
    }

    /// Adds a line of what is certain.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Adds what the operator may do next.
    #[must_use]
    pub fn hint(mut self, line: impl Into<String>) -> Self {
        self.hints.push(line.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for line in &self.details {
            write!(f, "\n  {line}")?;
        }
        for line in &self.hints {
            write!(f, "\nhint: {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f33_an_error_of_a_runs_files_has_one_meaning_by_its_kind() {
        let of = |errno: i32| Exit::of_io(&io::Error::from_raw_os_error(errno));
        // EIO, EROFS, ESTALE, EACCES, EMFILE, ENXIO.
        if cfg!(target_os = "linux") {
            assert!([5, 30, 116, 13, 24, 6].iter().all(|errno| of(*errno) == Exit::JournalFailed));
            // ENOSPC, EDQUOT, EFBIG.
            assert!([28, 122, 27].iter().all(|errno| of(*errno) == Exit::NoSpace));
            // ENOENT, ENOTDIR, EISDIR.
            assert!([2, 20, 21].iter().all(|errno| of(*errno) == Exit::Damaged));
        }
        assert_eq!(Exit::of_io(&io::Error::new(io::ErrorKind::InvalidData, "other bytes")), Exit::Damaged);
        assert_eq!(Exit::of_io(&io::Error::other("whatever it is")), Exit::JournalFailed);
    }
}
