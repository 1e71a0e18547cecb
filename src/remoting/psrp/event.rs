//! What a client learns from the other side, and what it has to send.

use uuid::Uuid;

use super::error_record::ErrorRecord;
use super::host::HostCall;
use super::records::{InformationRecord, ProgressRecord};
use super::state::{PipelineState, PoolState};
use crate::remoting::clixml::Value;

/// Something that happened on the other side.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The pipeline that it concerns; none for the pool.
    pub pipeline: Option<Uuid>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// The pool is in another state.
    PoolState {
        /// The state.
        state: PoolState,
        /// The error that led to it.
        error: Option<ErrorRecord>,
    },
    /// What the server tells about itself.
    PrivateData(Value),
    /// The pipeline is in another state that is not its last.
    StateChanged(PipelineState),
    /// An object came out.
    Output(Value),
    /// An error that did not end the pipeline.
    Error(ErrorRecord),
    /// A warning.
    Warning(String),
    /// A verbose message.
    Verbose(String),
    /// A debug message.
    Debug(String),
    /// How far the pipeline is.
    Progress(ProgressRecord),
    /// Information.
    Information(InformationRecord),
    /// A call to the host. One that waits for an answer was refused; the refusal is in what is to be sent.
    HostCall {
        /// The call.
        call: HostCall,
        /// Whether an answer was due, and was a refusal.
        refused: bool,
    },
    /// The pipeline came to its end. Nothing comes after.
    Finished {
        /// Stopped, completed or failed.
        state: PipelineState,
        /// The error that ended it.
        terminating: Option<ErrorRecord>,
    },
    /// The server wants the client's key, to send or receive secure strings.
    KeyRequested,
    /// The session's key, under the client's.
    SessionKey(String),
    /// A message that could not be used. Nothing is known about what it would have said.
    Skipped(String),
}

/// The streams of the transport that a client sends on ([MS-PSRP] section 3.1.5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// `stdin`: everything else.
    Input,
    /// `pr`: answers to the host's calls.
    PromptResponse,
}

impl Stream {
    /// The stream's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stream::Input => "stdin",
            Stream::PromptResponse => "pr",
        }
    }
}

/// Bytes that are to be sent as one payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The pipeline that they are for; none for the pool.
    pub pipeline: Option<Uuid>,
    /// The stream they go on.
    pub stream: Stream,
    /// One fragment.
    pub payload: Vec<u8>,
}
