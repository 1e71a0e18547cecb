//! What went wrong, and whether the server can have acted.

use crate::remoting::http::SendError;
use crate::remoting::psrp::{ErrorRecord, PsrpError};
use crate::remoting::wsman::{Fault, FaultKind, Malformed, NoResponse};

/// A call without the answer that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer at all.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The server says no.
    #[error(transparent)]
    Fault(Box<Fault>),
    /// An answer that is not understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl CallError {
    /// `false`: certain that the call had no effect. A fault is certain only where its kind says that the call was turned
    /// away: others are sent by servers that had begun.
    #[must_use]
    pub fn may_have_acted(&self) -> bool {
        match self {
            CallError::Send(error) => error.sent,
            CallError::Fault(fault) => match fault.kind() {
                FaultKind::TimedOut | FaultKind::Other => true,
                FaultKind::ShellNotFound
                | FaultKind::Quota
                | FaultKind::AccessDenied
                | FaultKind::Unsupported
                | FaultKind::Disconnected => false,
            },
            CallError::Malformed(_) => true,
        }
    }

    /// What a fault means; `None` for everything else.
    #[must_use]
    pub fn fault_kind(&self) -> Option<FaultKind> {
        match self {
            CallError::Fault(fault) => Some(fault.kind()),
            _ => None,
        }
    }
}

impl From<NoResponse> for CallError {
    fn from(error: NoResponse) -> Self {
        match error {
            NoResponse::Fault(fault) => CallError::Fault(fault),
            NoResponse::Malformed(error) => CallError::Malformed(error),
        }
    }
}

/// Why a shell cannot be used, or why nobody knows how a pipeline ended.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What came is no PSRP, or something is not possible now.
    #[error(transparent)]
    Psrp(#[from] PsrpError),
    /// The pool did not open.
    #[error("the runspace did not open: {}", .error.as_ref().map_or("the server does not say why", |error| error.message()))]
    NotOpened {
        /// The server's reason.
        error: Option<Box<ErrorRecord>>,
    },
    /// The server gave a new shell another id than the one that it was asked for. Nothing was run in it.
    #[error(
        "the server gave the shell the id {given} instead of {asked}, by which it would have to be found again; nothing was run in it, and \
         it {}",
        if *.removed { "was removed" } else { "could not be removed, so that the server keeps it for a while" }
    )]
    OtherId {
        /// The server's.
        given: String,
        /// Ours.
        asked: String,
        /// Whether the server confirmed that it is gone again.
        removed: bool,
    },
    /// Time ran out.
    #[error("{what} took longer than {:.0} s", .after.as_secs_f64())]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: std::time::Duration,
    },
    /// What a pipeline says can no longer be read. It had begun, so that this says nothing about what it did, however certain
    /// the failed call itself is.
    #[error("the pipeline had begun and can no longer be followed: {0}")]
    Reading(Box<ShellError>),
    /// A shell cannot be left here, or not taken over.
    #[error(
        "the server cannot leave a shell running and come back to it: that needs PowerShell 3.0 or newer{}",
        .version.as_ref().map_or(String::new(), |version| format!(", and it speaks version {version} of the protocol"))
    )]
    Unsupported {
        /// The version of the remoting protocol, where the server told it.
        version: Option<String>,
    },
    /// The server ended the command and does not say how the pipeline ended.
    #[error("the server ended the command and did not say how the pipeline ended")]
    NoState,
    /// A pipeline was left before its end, and its connection with it.
    #[error("a pipeline before was left without waiting for its end, so the shell can only be closed")]
    Left,
}

impl ShellError {
    /// `false`: certain that nothing was done on the server.
    #[must_use]
    pub fn may_have_acted(&self) -> bool {
        match self {
            ShellError::Call(error) => error.may_have_acted(),
            ShellError::Psrp(error) => !error.is_refusal(),
            ShellError::Left | ShellError::Unsupported { .. } | ShellError::OtherId { .. } => false,
            _ => true,
        }
    }
}
