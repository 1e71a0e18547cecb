//! Who we are: one small trait for security contexts, and what implements it.
//!
//! A context belongs to one connection. It dies with it: a new socket needs a new context, and every new context is a logon
//! that the domain counts.

mod account;
mod basic;
mod binding;
mod context;
mod kdc;
mod machine;

use std::fmt;

use async_trait::async_trait;

pub use account::Account;
pub use basic::{CERTIFICATE, basic};
pub use binding::ChannelBinding;
pub use context::Login;

use crate::secret::Secret;

/// How a connection proves who we are.
#[derive(Debug, Clone)]
pub enum Method {
    /// NTLM under `Negotiate`: seals messages over plain HTTP, binds itself to the channel over HTTPS.
    Ntlm {
        /// `DOMAIN\user`, `user@realm`, or a local `user`.
        account: Account,
        /// The account's password.
        password: Secret,
        /// In SPNEGO, or as it is.
        wrapping: Wrapping,
    },
    /// Kerberos with a password, in SPNEGO or as it is; tickets come from the key distribution centres named here. Seals
    /// messages over plain HTTP. Over HTTPS it is **not** bound to the channel, because of a defect below `sspi` (see
    /// [`Login::new`]): servers take that unless their `CbtHardeningLevel` is `Strict`, and those refuse the logon with a
    /// 401. There NTLM, which is bound, or Kerberos over plain HTTP, which is sealed, is the way. Never NTLM instead of it
    /// without being told.
    Kerberos {
        /// `user@realm`, or `DOMAIN\user` where the domain's name is also the realm's.
        account: Account,
        /// The account's password.
        password: Secret,
        /// `host` or `host:port`, asked in this order; port 88 unless named. Never empty.
        kdcs: Vec<String>,
        /// The service class of the principal, usually `HTTP`.
        service: String,
        /// The host name in the principal, when it is not the URL's.
        host: Option<String>,
        /// In SPNEGO under `Negotiate`, or as it is under `Kerberos`.
        wrapping: Wrapping,
    },
    /// Name and password in every request; only over TLS.
    Basic {
        /// Sent as written.
        account: String,
        /// The account's password.
        password: Secret,
    },
    /// The client certificate of the TLS configuration.
    Certificate,
}

impl Method {
    /// Whether messages can be sealed by this method; the others need TLS.
    #[must_use]
    pub fn seals(&self) -> bool {
        matches!(self, Method::Ntlm { .. } | Method::Kerberos { .. })
    }

    /// The method's name in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Method::Ntlm { .. } => "NTLM",
            Method::Kerberos { .. } => "Kerberos",
            Method::Basic { .. } => "Basic",
            Method::Certificate => "a client certificate",
        }
    }
}

/// How the tokens of a mechanism travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wrapping {
    /// In SPNEGO (RFC 4178), which protects the choice of the mechanism.
    #[default]
    Spnego,
    /// The mechanism's own tokens.
    Raw,
}

/// What one step of a handshake gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// To be sent to the server; empty when there is nothing more to say.
    pub token: Vec<u8>,
    /// Whether the context is established on our side.
    pub done: bool,
}

/// A message after sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedMessage {
    /// The signature (NTLM) or header (Kerberos), of the length that the context says.
    pub signature: Vec<u8>,
    /// The encrypted bytes.
    pub data: Vec<u8>,
}

/// A security context on one connection.
#[async_trait]
pub trait SecurityContext: Send {
    /// Takes the server's token (empty at the beginning) and gives ours.
    ///
    /// # Errors
    /// The account is refused, no ticket can be had, or the server's token is wrong. The context is of no more use then.
    async fn step(&mut self, token: &[u8], binding: Option<&ChannelBinding>) -> Result<Step, AuthError>;

    /// Seals a message. Messages count: each must be sent, in order.
    ///
    /// # Errors
    /// The context is not established.
    fn wrap(&mut self, plain: &[u8]) -> Result<SealedMessage, AuthError>;

    /// Opens the next message of the server.
    ///
    /// # Errors
    /// It was altered, or is not the next one. The context is of no more use then.
    fn unwrap(&mut self, sealed: SealedMessage) -> Result<Vec<u8>, AuthError>;

    /// Length of a signature in bytes, known once the context is established.
    ///
    /// # Errors
    /// The context is not established.
    fn trailer(&mut self) -> Result<usize, AuthError>;
}

/// Why we are not who we say, or why a message cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The name is none.
    #[error("`{0}` is no account name: write `DOMAIN\\user` or `user@realm`")]
    Account(String),
    /// Name or password are wrong, or the account may not log on.
    #[error("the account or its password is refused: {0}")]
    Refused(String),
    /// No key distribution centre answered.
    #[error("no key distribution centre answered: {0}")]
    NoKdc(String),
    /// The clocks differ too much for Kerberos.
    #[error("the clocks of this machine and of the domain differ by more than Kerberos allows: {0}")]
    Clock(String),
    /// The domain knows no such service.
    #[error("the domain knows no service `{0}`")]
    NoSuchService(String),
    /// The server did not prove who it is.
    #[error("the server did not finish the logon, so it did not prove who it is")]
    Unproved,
    /// The server's certificate gives no channel binding.
    #[error("no channel binding follows from the server's certificate: {0}")]
    Binding(String),
    /// A token that is not understood.
    #[error("the logon went wrong: {0}")]
    Token(String),
    /// A message that cannot be sealed or opened.
    #[error("a sealed message cannot be {verb}: {why}")]
    Sealing {
        /// `sealed` or `opened`.
        verb: &'static str,
        /// What the mechanism says.
        why: String,
    },
}

impl fmt::Display for Wrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wrapping::Spnego => "SPNEGO",
            Wrapping::Raw => "raw",
        })
    }
}
