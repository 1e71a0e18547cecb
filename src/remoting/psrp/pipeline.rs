//! The client's side of one pipeline ([MS-PSRP] section 3.1.1.3).

use super::event::EventKind;
use super::fragment::Defragmenter;
use super::message::{Body, MessageType};
use super::state::PipelineState;

/// What a record means, of a pipeline or of the pool; the type of the message where it is none.
pub(super) fn record(body: Body) -> Result<EventKind, MessageType> {
    Ok(match body {
        Body::ErrorRecord(record) => EventKind::Error(record),
        Body::Warning(record) => EventKind::Warning(record.message),
        Body::Verbose(record) => EventKind::Verbose(record.message),
        Body::Debug(record) => EventKind::Debug(record.message),
        Body::Progress(record) => EventKind::Progress(record),
        Body::Information(record) => EventKind::Information(record),
        other => return Err(other.kind()),
    })
}

/// What the client knows of a pipeline.
#[derive(Debug)]
pub struct Pipeline {
    state: PipelineState,
    had_errors: bool,
    takes_input: bool,
    pub(super) stream: Defragmenter,
}

impl Pipeline {
    pub(super) fn new(takes_input: bool, stream: Defragmenter) -> Self {
        Pipeline { state: PipelineState::NotStarted, had_errors: false, takes_input, stream }
    }

    /// Its state, as the server told it last.
    #[must_use]
    pub fn state(&self) -> PipelineState {
        self.state
    }

    /// Whether its error stream held anything. That alone says nothing about what was done.
    #[must_use]
    pub fn had_errors(&self) -> bool {
        self.had_errors
    }

    /// Whether objects may be piped in now.
    #[must_use]
    pub fn takes_input(&self) -> bool {
        self.takes_input && !self.state.is_final()
    }

    pub(super) fn end_input(&mut self) {
        self.takes_input = false;
    }

    /// What a message of the server means.
    pub(super) fn receive(&mut self, body: Body) -> EventKind {
        if self.state.is_final() {
            return EventKind::Skipped(format!("a message {:?} came after the pipeline's end", body.kind()));
        }
        match body {
            Body::PipelineOutput(value) => EventKind::Output(value),
            Body::PipelineHostCall(call) => EventKind::HostCall { refused: !call.method.is_void(), call },
            Body::PipelineState(message) => {
                self.state = message.state;
                if message.state.is_final() {
                    EventKind::Finished { state: message.state, terminating: message.error }
                } else {
                    EventKind::StateChanged(message.state)
                }
            }
            other => match record(other) {
                Ok(event) => {
                    self.had_errors |= matches!(event, EventKind::Error(_));
                    event
                }
                Err(kind) => EventKind::Skipped(format!("a message {kind:?} has no place in a pipeline")),
            },
        }
    }
}
