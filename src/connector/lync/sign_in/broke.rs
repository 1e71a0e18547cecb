//! Where a sign-in broke, and what that is worth.

use crate::connector::lync::cs::shown;
use crate::sip::Message;

/// Why there was no sign-in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broke {
    /// Something on this side; nothing was sent.
    #[error("{0}")]
    Local(String),
    /// The registrar does not answer, or does not prove who it is.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody said no.
    #[error("{hop} refused with {code}{said}; {hint}")]
    Refused {
        /// Who, and when.
        hop: String,
        /// The SIP code.
        code: u16,
        /// What was said with it.
        said: String,
        /// What to look at.
        hint: &'static str,
    },
    /// What came is not understood, or nothing came.
    #[error("{0}")]
    Unknown(String),
}

impl Broke {
    /// Whether somebody answered clearly, so that the sign-in does not work as things stand.
    pub fn is_an_answer(&self) -> bool {
        matches!(self, Broke::Refused { .. })
    }

    /// An answer that is no success. Codes that say neither yes nor no are not understood.
    pub fn of(answer: &Message, hop: &str) -> Self {
        let code = answer.code().unwrap_or_default();
        let said = ["ms-diagnostics", "Warning"].iter().find_map(|name| answer.header(name));
        let said = said.map(|said| format!(" ({})", shown(said))).unwrap_or_default();
        let hint = match code {
            401 | 407 => {
                "it demands a logon, as Front Ends in production do; there a person signs in with a real client, in a `manual` step"
            }
            403 => {
                "may the user sign in, and does a Persistent Chat policy let them? look at Get-CsPersistentChatPolicy and Get-CsUser"
            }
            404 | 604 => {
                "nobody has the address as the Front End knows it; look at Get-CsPersistentChatEndpoint, at replication, and \
                 whether the User Replicator has run since (event 30024, Update-CsUserDatabase)"
            }
            480 | 408 => {
                "the address is somebody's, and nobody is signed in there; is it still the old user, with Group Chat stopped? then \
                 the endpoint is missing, or the User Replicator has not run since"
            }
            485 => "more than one object has the address; look for both in the directory",
            500..=599 => {
                "the pool that the address leads to has no server that takes clients; look at its services \
                 (Get-CsWindowsService), at its active servers, and at its database"
            }
            402..=499 | 600..=699 => "look at the Front End's traces for this call",
            _ => return Broke::Unknown(format!("{hop}: the answer {code} is not understood{said}")),
        };
        Broke::Refused { hop: hop.to_owned(), code, said, hint }
    }
}
