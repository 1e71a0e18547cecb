//! What a step is bound to: the identity as the journal holds it, and as types.

use super::guard::Pinned;
use super::session::Server;
use crate::run::event::{Identity, VIA};

/// The key of the objectGUID.
pub const GUID: &str = "objectGUID";
/// The key of the objectSid.
pub const SID: &str = "objectSid";
/// The key of the name that the object had.
pub const DN: &str = "dn";

/// The key of the copy of the database that the server had: another one after it was restored from a backup, or made anew
/// under its name (\[MS-ADTS\] section 3.1.1.1.9, invocationId).
pub const INVOCATION: &str = "invocationId";

/// An object, and the server that was asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Who it is.
    pub object: Pinned,
    /// The DNS name of the server that everything of this step is asked of.
    pub via: String,
}

impl Bound {
    /// From the journal; `None` if nothing was bound.
    ///
    /// # Errors
    /// It was not written by this connector.
    pub fn read(identity: &Identity) -> Result<Option<Self>, String> {
        if identity.is_empty() {
            return Ok(None);
        }
        let get = |key: &str| identity.get(key).ok_or_else(|| format!("the recorded identity has no `{key}`"));
        let wrong = |key: &str| format!("the recorded `{key}` cannot be read");
        Ok(Some(Bound {
            object: Pinned {
                guid: super::guid::Guid::parse(get(GUID)?).ok_or_else(|| wrong(GUID))?,
                sid: super::sid::Sid::parse(get(SID)?).ok_or_else(|| wrong(SID))?,
                dn: super::dn::Dn::parse(get(DN)?).map_err(|_| wrong(DN))?,
            },
            via: get(VIA)?.clone(),
        }))
    }

    /// For the journal.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::from([
            (GUID.to_owned(), self.object.guid.to_string()),
            (SID.to_owned(), self.object.sid.to_string()),
            (DN.to_owned(), self.object.dn.to_string()),
            (VIA.to_owned(), self.via.clone()),
        ])
    }
}

/// The server of a step: the one that it is bound to, never another one. Another replica may not have heard of what was
/// done on the first, and would let it be done again.
#[must_use]
pub fn server(identity: &Identity) -> Server {
    identity.get(VIA).filter(|host| !host.is_empty()).map_or(Server::Url, |host| Server::Host(host.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written() {
        let identity = Identity::from([
            (GUID.to_owned(), "f3c2ad7e-0f1b-4a3c-9d52-6a1f0c3b7e11".to_owned()),
            (SID.to_owned(), "S-1-5-21-1-2-3-1104".to_owned()),
            (DN.to_owned(), "CN=ocschat,OU=Service,DC=contoso,DC=lan".to_owned()),
            (VIA.to_owned(), "dc1.contoso.lan".to_owned()),
        ]);
        assert_eq!(server(&identity), Server::Host("dc1.contoso.lan".to_owned()));
        let bound = Bound::read(&identity);
        assert_eq!(bound.map(|bound| bound.map(|bound| bound.identity())), Ok(Some(identity)));
    }

    #[test]
    fn one_that_lacks_something_is_never_taken_for_none() {
        assert_eq!(Bound::read(&Identity::new()), Ok(None));
        let half = Identity::from([(DN.to_owned(), "CN=x".to_owned())]);
        assert!(Bound::read(&half).is_err());
    }
}
