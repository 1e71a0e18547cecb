//! The states of pools and pipelines ([MS-PSRP] sections 2.2.3.4 and 2.2.3.5), and the messages that tell them.

use super::error_record::ErrorRecord;
use super::fields::Fields;
use super::{MessageType, PsrpError};
use crate::remoting::clixml::Value;

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> i32 {
                match self {
                    $($name::$variant => $number,)*
                }
            }

            /// The state of this number.
            #[must_use]
            pub fn of(number: i32) -> Option<Self> {
                match number {
                    $($number => Some($name::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

states! {
    /// The state of a runspace pool.
    PoolState {
        /// Nothing was sent yet.
        BeforeOpen = 0,
        /// The opening messages are on their way.
        Opening = 1,
        /// Pipelines may be created.
        Opened = 2,
        /// Ended in order.
        Closed = 3,
        /// Ending.
        Closing = 4,
        /// Ended by a failure.
        Broken = 5,
        /// The versions were sent.
        NegotiationSent = 6,
        /// The versions fit.
        NegotiationSucceeded = 7,
        /// A client is being connected to a pool that exists.
        Connecting = 8,
        /// No client is connected.
        Disconnected = 9,
    }
}

states! {
    /// The state of a pipeline.
    PipelineState {
        /// Created.
        NotStarted = 0,
        /// At work.
        Running = 1,
        /// Asked to stop.
        Stopping = 2,
        /// Stopped before its end.
        Stopped = 3,
        /// Ended; errors that did not end it may have been reported.
        Completed = 4,
        /// Ended by an error.
        Failed = 5,
        /// No client listens.
        Disconnected = 6,
    }
}

impl PoolState {
    /// Whether nothing comes after.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, PoolState::Closed | PoolState::Broken)
    }
}

impl PipelineState {
    /// Whether nothing comes after.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, PipelineState::Stopped | PipelineState::Completed | PipelineState::Failed)
    }
}

/// What a message says about a state: `RUNSPACEPOOL_STATE`, `PIPELINE_STATE` ([MS-PSRP] sections 2.2.2.9 and 2.2.2.21).
#[derive(Debug, Clone, PartialEq)]
pub struct StateMessage<S> {
    /// The state.
    pub state: S,
    /// The error that led to it.
    pub error: Option<ErrorRecord>,
}

impl<S: Copy> StateMessage<S> {
    /// Reads the message; `field` names the state's number.
    pub(super) fn decode(fields: Fields<'_>, field: &'static str, of: fn(i32) -> Option<S>) -> Result<Self, PsrpError> {
        let state = of(fields.small(field)?).ok_or_else(|| fields.missing(field))?;
        let error = fields.maybe("ExceptionAsErrorRecord").map(ErrorRecord::from_value);
        Ok(StateMessage { state, error })
    }

    pub(super) fn encode(&self, field: &'static str, number: fn(S) -> i32) -> Value {
        let error = self.error.as_ref().map(|error| ("ExceptionAsErrorRecord", error.to_value()));
        Value::object([(field, Value::I32(number(self.state)))].into_iter().chain(error))
    }
}

/// The pool's state from a message body.
pub(super) fn decode_pool(body: &Value) -> Result<StateMessage<PoolState>, PsrpError> {
    StateMessage::decode(Fields { kind: MessageType::RunspacePoolState, body }, "RunspaceState", PoolState::of)
}

/// The pipeline's state from a message body.
pub(super) fn decode_pipeline(body: &Value) -> Result<StateMessage<PipelineState>, PsrpError> {
    StateMessage::decode(Fields { kind: MessageType::PipelineState, body }, "PipelineState", PipelineState::of)
}
