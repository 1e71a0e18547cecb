//! Why a request has no answer, and whether the server can have acted on it.

use std::time::Duration;

use super::Address;
use crate::remoting::auth::AuthError;

/// A request without an answer.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct SendError {
    /// `false`: certain that the server did not act. No byte of the request was written, or the server turned it away before
    /// looking at it (401, a redirect). `true`: it may have acted.
    pub sent: bool,
    /// What happened.
    pub why: Why,
}

/// The part of the work in which time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// TCP and TLS.
    Connect,
    /// The logon.
    Logon,
    /// Waiting for the answer.
    Answer,
}

/// What happened to a request.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It is against the rules to send it so.
    #[error("{0}")]
    Forbidden(String),
    /// No connection.
    #[error("cannot connect to `{place}`: {error}")]
    Connect {
        /// `host:port`.
        place: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// No TLS, or a certificate that is not trusted.
    #[error("no TLS with `{place}`: {error}")]
    Tls {
        /// `host:port`.
        place: String,
        /// What is wrong with the certificate or the handshake.
        error: std::io::Error,
    },
    /// The logon failed on our side.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The server refuses the logon (401).
    #[error("the server refuses the logon by {method}; it offers {}", if .offered.is_empty() { "nothing".to_owned() } else { .offered.join(", ") })]
    Refused {
        /// The method that was tried.
        method: &'static str,
        /// The schemes that the server names.
        offered: Vec<String>,
    },
    /// A redirect that is not followed.
    #[error("the server sends us to `{to}`, which is not followed: {why}")]
    Redirect {
        /// The place, as far as it could be read.
        to: String,
        /// The rule.
        why: &'static str,
    },
    /// A redirect that may be followed; dealt with by [`super::Client`].
    #[error("the server sends us to `{0}`")]
    Elsewhere(Address),
    /// Time ran out.
    #[error("no {} within {:.1} s", match .phase { Phase::Connect => "connection", Phase::Logon => "end of the logon", Phase::Answer => "answer" }, .after.as_secs_f64())]
    Timeout {
        /// Where.
        phase: Phase,
        /// How long it was waited.
        after: Duration,
    },
    /// The connection was closed before the request was begun.
    #[error("the server had closed the connection")]
    Closed,
    /// The connection broke, or what came is no HTTP.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The answer is larger than allowed.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A plain answer where a sealed one is due: whoever wrote it need not be the server.
    #[error("the answer (HTTP {status}) is not sealed, so nobody knows who wrote it")]
    NotSealed {
        /// Its status.
        status: u16,
    },
    /// The sealing of the answer is wrong in form.
    #[error("the sealed answer cannot be read: {0}")]
    Malformed(&'static str),
    /// A status with nothing of the protocol in its body.
    #[error("the server answers HTTP {status}{}", if .says.is_empty() { String::new() } else { format!(": {}", .says) })]
    Status {
        /// The status.
        status: u16,
        /// The beginning of the body, if it is text. Foreign text, to be made harmless before it is shown.
        says: String,
    },
}

impl SendError {
    /// Certain that the server did not act.
    #[must_use]
    pub fn not_sent(why: impl Into<Why>) -> Self {
        SendError { sent: false, why: why.into() }
    }

    /// The server may have acted.
    #[must_use]
    pub fn unknown(why: impl Into<Why>) -> Self {
        SendError { sent: true, why: why.into() }
    }
}
