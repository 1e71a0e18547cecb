//! What is wrong with bytes that should have been PSRP, or with what the client wants to do.

use uuid::Uuid;

use super::{MessageType, PipelineState, PoolState};
use crate::remoting::clixml::ClixmlError;

/// Why bytes are no PSRP, or why something cannot be done now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PsrpError {
    /// A fragment ends before its own length says, or before its header is complete.
    #[error("a fragment is cut off: {found} bytes of {wanted}")]
    CutFragment {
        /// Bytes that were there.
        found: usize,
        /// Bytes that should have been there.
        wanted: usize,
    },
    /// Objects are numbered from 1.
    #[error("a fragment belongs to object 0, and objects are numbered from 1")]
    ObjectZero,
    /// A fragment that is not the next of its object.
    #[error("fragment {found} of object {object} came where fragment {wanted} was due")]
    FragmentOrder {
        /// The object's id.
        object: u64,
        /// The fragment that came.
        found: u64,
        /// The fragment that was due.
        wanted: u64,
    },
    /// The mark of a first fragment is on another, or is missing.
    #[error("fragment {fragment} of object {object} is marked wrongly as the first or not the first")]
    FragmentMark {
        /// The object's id.
        object: u64,
        /// The fragment's number.
        fragment: u64,
    },
    /// An object with a number that was used before.
    #[error("object {object} was begun after object {highest}: numbers are used once and only grow")]
    ObjectReused {
        /// The object's id.
        object: u64,
        /// The highest id before it.
        highest: u64,
    },
    /// An object, or all that are open together, are larger than the limit.
    #[error("the objects under way take more than {limit} bytes")]
    ObjectTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Too many objects are open at once.
    #[error("more than {limit} objects are under way at once")]
    TooManyObjects {
        /// The limit.
        limit: usize,
    },
    /// The envelope leaves no room for a fragment.
    #[error("{payload} bytes are too few for a fragment")]
    NoRoom {
        /// The size that was given.
        payload: usize,
    },
    /// A message shorter than its header.
    #[error("a message of {0} bytes is shorter than its header")]
    ShortMessage(usize),
    /// A destination that is neither client nor server.
    #[error("a message is for destination {0}, which is neither client nor server")]
    Destination(u32),
    /// A type that the protocol does not have. The message can be skipped.
    #[error("a message is of the unknown type {kind:#010x}")]
    UnknownType {
        /// The type's number.
        kind: u32,
    },
    /// The body of a message is no CLIXML.
    #[error("the body of a message {kind:?} cannot be read: {error}")]
    Clixml {
        /// The type of the message.
        kind: MessageType,
        /// What is wrong.
        error: ClixmlError,
    },
    /// The body of a message lacks a field, or has a wrong value in it.
    #[error("a message {kind:?} has no valid field `{field}`")]
    Field {
        /// The type of the message.
        kind: MessageType,
        /// The field's name.
        field: &'static str,
    },
    /// A value that cannot be sent.
    #[error("a value cannot be sent: {0}")]
    Unwritable(ClixmlError),
    /// A message for the other side, or for another pool.
    #[error("a message {0:?} came that is not for this client and pool")]
    Misdirected(MessageType),
    /// The other side speaks another major version.
    #[error("the other side speaks version {0} of the remoting protocol, and only 2.x is known")]
    Version(String),
    /// Not possible while the pool is in this state.
    #[error("the pool is {0:?}")]
    PoolState(PoolState),
    /// Not possible while the pipeline is in this state.
    #[error("the pipeline is {0:?}")]
    PipelineState(PipelineState),
    /// No such pipeline.
    #[error("no pipeline {0} was created here")]
    NoPipeline(Uuid),
    /// Ids of pipelines are used once and are not zero.
    #[error("the id {0} cannot be used for a pipeline")]
    PipelineId(Uuid),
    /// Secure strings are not sent.
    #[error("a secure string cannot be sent: no key for it is agreed upon with servers")]
    SecureString,
    /// A pipeline without a command.
    #[error("a pipeline needs a command")]
    NoCommand,
}

impl PsrpError {
    /// Whether it is about what this side asked for, so that nothing was sent; the others are about what was received.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            PsrpError::NoRoom { .. }
                | PsrpError::Unwritable(_)
                | PsrpError::PoolState(_)
                | PsrpError::PipelineState(_)
                | PsrpError::NoPipeline(_)
                | PsrpError::PipelineId(_)
                | PsrpError::SecureString
                | PsrpError::NoCommand
        )
    }
}
