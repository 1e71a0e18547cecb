//! WS-Management envelopes for remote shells ([MS-WSMV]): what is asked of a shell, and what it answers.
//!
//! One file per message, with the request and the response, each written and read there: the client writes requests and
//! reads responses, the embedded lab does the opposite. Envelopes are written as text and read as a document with limits.

mod command;
mod connect;
mod create;
mod delete;
mod disconnect;
mod duration;
mod enumerate;
mod envelope;
mod fault;
mod header;
mod identify;
pub mod names;
mod receive;
mod send;
mod signal;
mod xml;

pub use command::{Command, CommandResponse};
pub use connect::{Connect, ConnectResponse};
pub use create::{Create, CreateResponse};
pub use delete::{Delete, DeleteResponse};
pub use disconnect::{Disconnect, DisconnectResponse, Reconnect, ReconnectCommand, ReconnectResponse};
pub use enumerate::{Enumerate, EnumerateResponse, Pull, PullResponse, ShellInfo};
pub use envelope::{Operation, read_identify_response, read_request, read_response, request, response, room};
pub use fault::{Fault, FaultKind};
pub use header::{Header, Opt};
pub use identify::{Identify, IdentifyResponse};
pub use receive::{Chunk, Receive, ReceiveResponse};
pub use send::{Send, SendResponse};
pub use signal::{Signal, SignalCode, SignalResponse};

/// The largest envelope that every server takes: 150 KiB ([MS-WSMV] section 2.2.4.16, the value of version 2.0).
pub const MAX_ENVELOPE_SIZE: u32 = 153_600;

/// What stands in the body of an envelope.
pub trait Body: Sized {
    /// The action's URI, in the header.
    const ACTION: &'static str;

    /// Writes the content of the body. The prefixes of [`names`] are declared.
    fn write(&self, out: &mut String);

    /// Reads it; `body` is the body's element.
    ///
    /// # Errors
    /// Something that must be there is not, or is not what it should be.
    fn read(body: roxmltree::Node<'_, '_>) -> Result<Self, Malformed>;
}

/// A body that a client sends.
pub trait Request: Body {
    /// What is answered if it is no fault.
    type Response: Body;

    /// The options in the header.
    fn options(&self) -> Vec<Opt> {
        Vec::new()
    }
}

/// An envelope that is not what it should be: no XML, another namespace, something missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the envelope cannot be understood: {0}")]
pub struct Malformed(pub String);

/// What came instead of a response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoResponse {
    /// The server understood and says no (or "not yet").
    #[error(transparent)]
    Fault(Box<Fault>),
    /// Nobody knows what the server meant.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

#[cfg(test)]
mod tests;
