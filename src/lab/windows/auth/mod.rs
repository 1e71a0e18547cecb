//! Who is at the other end of a connection: `Negotiate` (NTLM, raw or in SPNEGO) and Basic.
//!
//! ```text
//! acceptor   one logon by tokens          spnego, der   the tokens of SPNEGO
//! seal       the session that follows     ntlm          the messages of NTLM
//! accounts   names and passwords
//! ```
//!
//! The library that relevo logs on with is not used here on purpose: a client and a server of one library agree with each
//! other and not necessarily with anybody else.

mod acceptor;
mod accounts;
mod der;
mod ntlm;
mod seal;
mod spnego;

pub use acceptor::{Acceptor, Progress};
pub use accounts::{LabAccounts, basic};
pub use ntlm::{Binding, binding_hash};
pub use seal::Session;

use crate::secret::Secret;

/// Where accounts come from.
pub trait Accounts: Sync {
    /// The account that a name means, as it is known, and its password.
    fn find(&self, name: &str) -> Option<(String, Secret)>;
}

/// Why somebody is not logged on; for the audit, never for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// In words.
    pub why: String,
    /// The account as the client named it.
    pub account: Option<String>,
}

impl Refused {
    fn new(why: &str) -> Self {
        Refused { why: why.to_owned(), account: None }
    }
}
