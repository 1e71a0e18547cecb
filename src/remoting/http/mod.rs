//! HTTP/1.1 for a protocol whose logon belongs to the connection.
//!
//! One [`Connection`] is one socket and one security context; there is no pool, and one request at a time. A [`Client`]
//! opens a new one where that is safe, and says of every failure whether the server can have acted ([`SendError::sent`]).
//!
//! ```text
//! address     what a URL says
//! socket      TCP and TLS, and how many bytes were written
//! wire        one request, one answer, in one task: nothing is written after it is given up
//! challenge   what a server offers in `WWW-Authenticate`
//! sealed      messages in `multipart/encrypted`
//! connection  the logon, then requests
//! client      repeats and redirects, as far as they are harmless
//! ```

mod address;
pub mod challenge;
mod client;
mod connection;
mod error;
pub mod sealed;
mod socket;
mod verification;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub use address::Address;
pub use client::Client;
pub use connection::{Answer, Connection};
pub use error::{Phase, SendError, Why};
pub use verification::Verification;

use crate::remoting::auth::Method;

/// Where to go, as whom, and how far to trust.
#[derive(Clone)]
pub struct Endpoint {
    /// The URL of the service; its host is the name in the certificate and in the Kerberos principal.
    pub address: Address,
    /// `host:port` to connect to instead of the URL's, as a target behind a forwarded port needs it.
    pub connect_to: Option<String>,
    /// The trust anchors, and the client certificate if there is one. Needed for `https`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Whether the server's certificate is checked.
    pub verification: Verification,
    /// Who we are.
    pub method: Method,
    /// Hosts to which a redirect is followed; a redirect on the same host and port always is.
    pub redirects: Vec<String>,
    /// Limits of time and size.
    pub limits: Limits,
}

/// Limits of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the TCP connection and the TLS handshake together.
    pub connect: Duration,
    /// For the whole logon.
    pub logon: Duration,
    /// The largest body of an answer, in bytes.
    pub answer: usize,
}

impl Default for Limits {
    /// 15 s to connect, 30 s to log on, 8 MiB (a server that keeps to `MaxEnvelopeSize` stays far below).
    fn default() -> Self {
        Limits { connect: Duration::from_secs(15), logon: Duration::from_secs(30), answer: 8 << 20 }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("address", &self.address).field("method", &self.method).finish_non_exhaustive()
    }
}
