//! Reads what [`super::guard`] needs to know of an object. What could not be read stays unknown; the guard refuses then.

use super::descriptor::{DELETE, DELETE_CHILD, Descriptor};
use super::dn::{Address, Dn};
use super::entry::Entry;
use super::filter::Filter;
use super::find;
use super::guard::{self, Facts, Pinned, Refusal};
use super::guid::Guid;
use super::session::{Deleted, ReadError, Scope, Session};
use super::sid::Sid;

/// The class that the actions on accounts are for.
const CLASS: &str = "user";
/// The schemaIDGUID of that class (\[MS-ADSC\]).
const USER_CLASS: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";

/// What is known of an object and of who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The object, with the attributes that the guard looks at.
    pub object: Entry,
    descriptor: Option<Descriptor>,
    parent: Option<Descriptor>,
    children: Option<bool>,
    domain: Option<Sid>,
    me: Option<Vec<Sid>>,
    groups: Option<Vec<Sid>>,
}

impl Known {
    /// Reads everything of a living object; `None` if there is no such one on this server.
    ///
    /// # Errors
    /// No answer, or one that is not understood. A refusal to show something is no error: it stays unknown.
    pub async fn read(session: &mut Session, guid: Guid) -> Result<Option<Self>, ReadError> {
        let at = Address::Guid(guid);
        let mut wanted = guard::ATTRIBUTES.to_vec();
        wanted.extend(["nTSecurityDescriptor", "tokenGroups", find::PRIMARY, find::PROXY]);
        let Some(object) = session.read(&at, &wanted, Deleted::Hidden).await? else { return Ok(None) };
        let parent = match object.name().ok().and_then(|dn| dn.parent()) {
            Some(parent) => {
                allowed(session.read(&Address::Dn(parent), &["nTSecurityDescriptor"], Deleted::Hidden).await)?.flatten()
            }
            None => None,
        };
        let below = session.search(&at, Scope::One, &Filter::present("objectClass"), &["objectClass"], Deleted::Hidden).await;
        let children = allowed(below)?.map(|children| !children.is_empty());
        let domain = match Dn::parse(&session.root().domain) {
            Ok(domain) => allowed(session.read(&Address::Dn(domain), &["objectSid"], Deleted::Hidden).await)?.flatten(),
            Err(_) => None,
        };
        let me = me(session).await?;
        Ok(Some(Known {
            descriptor: descriptor(&object),
            parent: parent.as_ref().and_then(descriptor),
            children,
            domain: domain.and_then(|domain| domain.sid()),
            me,
            groups: sids(&object),
            object,
        }))
    }

    /// All reasons why it may not be destroyed.
    #[must_use]
    pub fn refusals(&self, base: &Dn, pinned: Option<&Pinned>, permit_admin_count: bool) -> Vec<Refusal> {
        guard::guard(&Facts {
            object: &self.object,
            descriptor: self.descriptor.as_ref(),
            parent_descriptor: self.parent.as_ref(),
            children: self.children,
            base,
            pinned,
            domain_sid: self.domain.as_ref(),
            me: self.me.as_deref(),
            groups: self.groups.as_deref(),
            wanted_class: CLASS,
            permit_admin_count,
        })
    }

    /// Whether the account that asks seems to have the right to delete it. A forecast: the server decides. `None` if it
    /// cannot be told.
    #[must_use]
    pub fn may_delete(&self) -> Option<bool> {
        let (me, own, parent) = (self.me.as_ref()?, self.descriptor.as_ref()?, self.parent.as_ref()?);
        // Either is enough (\[MS-ADTS\] section 3.1.1.5.5). The right on the container is usually given for users alone.
        Some(own.grants(DELETE, me) || parent.grants_for(DELETE_CHILD, me, Guid::parse(USER_CLASS)))
    }
}

/// The account that this session belongs to, and its groups: the root DSE tells them (\[MS-ADTS\] section 3.1.1.3.2).
async fn me(session: &mut Session) -> Result<Option<Vec<Sid>>, ReadError> {
    let root = allowed(session.read(&Address::Root, &["tokenGroups"], Deleted::Hidden).await)?.flatten();
    Ok(root.as_ref().and_then(sids))
}

/// What the server refused is unknown; what did not come is an error.
fn allowed<T>(read: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match read {
        Ok(seen) => Ok(Some(seen)),
        Err(error) if error.code.is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

fn descriptor(entry: &Entry) -> Option<Descriptor> {
    entry.values("nTSecurityDescriptor").first().and_then(|bytes| Descriptor::from_bytes(bytes).ok())
}

/// All of `tokenGroups`, or nothing: a list with a hole would hide a group.
fn sids(entry: &Entry) -> Option<Vec<Sid>> {
    let all: Option<Vec<Sid>> = entry.values("tokenGroups").iter().map(|bytes| Sid::from_bytes(bytes)).collect();
    all.filter(|all| !all.is_empty())
}

#[cfg(test)]
impl Known {
    /// An ordinary account that nothing speaks against, in the domain `S-1-5-21-1-2-3`.
    #[must_use]
    pub fn ordinary(object: Entry) -> Self {
        let sid = |text: &str| Sid::parse(text).unwrap_or_else(|| panic!("{text} is a SID"));
        let open = Descriptor { owner: None, entries: Some(Vec::new()) };
        Known {
            object,
            descriptor: Some(open.clone()),
            parent: Some(open),
            children: Some(false),
            domain: Some(sid("S-1-5-21-1-2-3")),
            me: Some(vec![sid("S-1-5-21-1-2-3-1200")]),
            groups: Some(vec![sid("S-1-5-21-1-2-3-513")]),
        }
    }
}
