//! From a SIP address to exactly one object, or to the precise reason why not.
//!
//! - An address is an attribute of an object or one of its proxy addresses, in whatever letter case.
//! - It must be free in the whole forest, so it is looked for in the domain, in the Configuration partition (where the
//!   contacts of applications live) and in a global catalog (which knows the other domains).
//! - An answer that is not complete is never *there is none*.

use super::args::{SipAddress, Subject};
use super::dn::{Address, Dn};
use super::entry::Entry;
use super::filter::Filter;
use super::guid::Guid;
use super::session::{Deleted, Dialer, ReadError, Scope, Server, Session};
use super::target::Target;
use super::{NoAnswer, shown, topology};

/// What is read of an object that was found.
pub const ATTRIBUTES: &[&str] = &["objectGUID", "objectSid", "objectClass", "isDeleted", "whenChanged", PRIMARY, PROXY];
/// The SIP address of an account.
pub const PRIMARY: &str = "msRTCSIP-PrimaryUserAddress";
/// Addresses of all kinds, with the kind before the colon.
pub const PROXY: &str = "proxyAddresses";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Exactly one object, alive, where it must be.
    Living(Box<Entry>),
    /// Asked for by identity: it is deleted.
    Deleted(Box<Entry>),
    /// Not exactly one such object. Says what there is instead.
    Not(String),
}

/// Finds the object that a step is about.
///
/// # Errors
/// It could not be looked for everywhere.
pub async fn find(
    dialer: &Dialer,
    target: &Target,
    session: &mut Session,
    subject: &Subject,
    base: &Dn,
) -> Result<Found, NoAnswer> {
    match subject {
        Subject::Guid(guid) => {
            let seen = session.read(&Address::Guid(*guid), ATTRIBUTES, Deleted::Shown).await?;
            Ok(match seen {
                None => Found::Not(format!(
                    "there is no object with objectGUID {guid} on `{}`, neither living nor deleted",
                    shown(&session.root().host)
                )),
                Some(entry) if is_deleted(&entry) => Found::Deleted(Box::new(entry)),
                Some(entry) => user_within(entry, base, &subject.to_string()),
            })
        }
        Subject::Sip(address) => Ok(judge(everywhere(dialer, target, session, address).await?, address, base)),
    }
}

/// The name of the container that only the directory itself puts anything in (\[MS-ADTS\] section 3.1.1.5.5).
const DELETED_OBJECTS: &str = "Deleted Objects";

/// Whether an entry is of a deleted object. Not everybody who sees a tombstone may read its `isDeleted`; its name says it
/// as well: its own identity behind `DEL:`, among the deleted objects.
#[must_use]
pub fn is_deleted(entry: &Entry) -> bool {
    let by_name = || {
        let dn = entry.name().ok()?;
        let (_, guid) = dn.deleted_name()?;
        let there = dn.parent()?.name().is_some_and(|name| name.eq_ignore_ascii_case(DELETED_OBJECTS));
        Some(there && entry.guid() == Some(guid))
    };
    entry.is_true("isDeleted") || by_name().unwrap_or_default()
}

/// The objects that carry the address, in the domain and in the Configuration partition.
///
/// # Errors
/// One of the two could not be searched wholly.
pub async fn in_domain(session: &mut Session, address: &SipAddress) -> Result<Vec<Entry>, ReadError> {
    let mut hits = Vec::new();
    for partition in [session.root().domain.clone(), session.root().configuration.clone()] {
        let base = partition_dn(&partition)?;
        hits.extend(session.search(&base, Scope::Subtree, &filter(address), ATTRIBUTES, Deleted::Hidden).await?);
    }
    Ok(hits)
}

/// The objects of the whole forest that carry the address, as a global catalog knows them.
///
/// # Errors
/// It could not be searched wholly.
pub async fn in_catalog(catalog: &mut Session, address: &SipAddress) -> Result<Vec<Entry>, ReadError> {
    // The empty name is the whole forest there, and nowhere else (\[MS-ADTS\] section 3.1.1.3.1.3).
    catalog.search(&Address::Root, Scope::Subtree, &filter(address), ATTRIBUTES, Deleted::Hidden).await
}

/// Everybody else who carries the address, anywhere.
///
/// # Errors
/// It could not be looked for everywhere.
pub async fn others(
    dialer: &Dialer,
    target: &Target,
    session: &mut Session,
    address: &SipAddress,
    but: Guid,
) -> Result<Vec<Entry>, NoAnswer> {
    let mut hits = everywhere(dialer, target, session, address).await?;
    hits.retain(|hit| hit.guid() != Some(but));
    Ok(hits)
}

/// Everything that carries the address, in the domain, the Configuration partition and the forest.
async fn everywhere(
    dialer: &Dialer,
    target: &Target,
    session: &mut Session,
    address: &SipAddress,
) -> Result<Vec<Entry>, NoAnswer> {
    let mut hits = in_domain(session, address).await?;
    let mut catalog = catalog(dialer, target, session).await?;
    hits.extend(in_catalog(&mut catalog, address).await?);
    Ok(merge(hits))
}

/// A session with a global catalog: this very server if it is one, otherwise the first that answers.
///
/// # Errors
/// None answers.
pub async fn catalog(dialer: &Dialer, target: &Target, session: &mut Session) -> Result<Session, NoAnswer> {
    let root = session.root();
    if root.global_catalog || target.global_catalog.is_some() {
        let host = root.host.clone();
        return Ok(dialer.open(target, &Server::GlobalCatalog(host)).await?);
    }
    let mut tried = Vec::new();
    for controller in topology::controllers(session).await? {
        if controller.global_catalog {
            match dialer.open(target, &Server::GlobalCatalog(controller.host)).await {
                Ok(catalog) => return Ok(catalog),
                Err(error) => tried.push(error.to_string()),
            }
        }
    }
    let tried = if tried.is_empty() { "the domain has none".to_owned() } else { tried.join("; ") };
    Err(NoAnswer {
        unreachable: true,
        reason: format!("no global catalog could be asked whether the address is unique: {tried}"),
    })
}

fn partition_dn(text: &str) -> Result<Address, ReadError> {
    match Dn::parse(text) {
        Ok(dn) if !text.is_empty() => Ok(Address::Dn(dn)),
        _ => Err(ReadError {
            code: None,
            message: "the server does not say which partitions it has; is it Active Directory?".to_owned(),
        }),
    }
}

/// What carries the address.
#[must_use]
pub fn filter(address: &SipAddress) -> Filter {
    Filter::or([Filter::equal(PRIMARY, address.as_str()), Filter::equal(PROXY, address.as_str())])
}

/// Whether it carries the address.
#[must_use]
pub fn carries(entry: &Entry, address: &SipAddress) -> bool {
    entry.texts(PRIMARY).chain(entry.texts(PROXY)).any(|value| address.is(value))
}

/// The same object seen twice is one. One without a readable identity stays by itself.
#[must_use]
pub fn merge(hits: Vec<Entry>) -> Vec<Entry> {
    let mut merged: Vec<Entry> = Vec::new();
    for hit in hits {
        let known = merged.iter().any(|other| match (other.guid(), hit.guid()) {
            (Some(one), Some(two)) => one == two,
            _ => other.dn.eq_ignore_ascii_case(&hit.dn),
        });
        if !known {
            merged.push(hit);
        }
    }
    merged
}

/// What the hits mean.
fn judge(mut hits: Vec<Entry>, address: &SipAddress, base: &Dn) -> Found {
    match hits.len() {
        0 => Found::Not(format!(
            "no object carries the address `{address}`, neither in the domain nor in the Configuration partition nor in the \
             global catalog"
        )),
        1 => user_within(hits.remove(0), base, &format!("`{address}`")),
        count => {
            let all: Vec<String> = hits.iter().map(words).collect();
            Found::Not(format!(
                "{count} objects carry the address `{address}`, it must be exactly one: {}; find out which is meant, and free \
                 the address on the others",
                all.join("; ")
            ))
        }
    }
}

fn user_within(entry: Entry, base: &Dn, what: &str) -> Found {
    let is = |class: &str| entry.texts("objectClass").any(|has| has.eq_ignore_ascii_case(class));
    if !is("user") || is("computer") {
        return Found::Not(format!("{what} is {}, not a user", words(&entry)));
    }
    match entry.name() {
        Ok(dn) if dn.is_within(base) => Found::Living(Box::new(entry)),
        Ok(_) => Found::Not(format!(
            "{what} is {}, outside `{}`; correct `base` if that is really meant",
            words(&entry),
            shown(&base.to_string())
        )),
        Err(why) => Found::Not(format!("{what} is {}, whose name cannot be understood: {why}", words(&entry))),
    }
}

/// An object in words: name, class, identity.
#[must_use]
pub fn words(entry: &Entry) -> String {
    let class = class(entry);
    let guid = entry.guid().map_or_else(|| "that cannot be read".to_owned(), |guid| guid.to_string());
    format!("`{}` ({class}, objectGUID {guid})", shown(&entry.dn))
}

/// The most special class of an object, which comes last (\[MS-ADTS\] section 3.1.1.1.4).
#[must_use]
pub fn class(entry: &Entry) -> String {
    entry.texts("objectClass").last().map_or_else(|| "of unknown class".to_owned(), shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(dn: &str, guid: u8, classes: &[&str]) -> Entry {
        let mut entry = Entry::new(dn.to_owned());
        entry.add("objectGUID", [vec![guid; 16]]);
        entry.add("objectClass", classes.iter().map(|class| class.as_bytes().to_vec()));
        entry
    }

    fn judged(hits: Vec<Entry>) -> Found {
        let (address, base) = (SipAddress::parse("a@contoso.lan"), Dn::parse("OU=Service,DC=contoso,DC=lan"));
        match (address, base) {
            (Ok(address), Ok(base)) => judge(merge(hits), &address, &base),
            wrong => panic!("{wrong:?}"),
        }
    }

    fn reason(found: &Found) -> &str {
        match found {
            Found::Not(reason) => reason,
            other => panic!("found {other:?}"),
        }
    }

    const USER: &[&str] = &["top", "person", "organizationalPerson", "user"];

    #[test]
    fn a_tombstone_is_known_by_its_mark_or_by_its_name() {
        let guid = Guid::from_bytes(&[1; 16]).map(|guid| guid.to_string()).unwrap_or_default();
        let named = |dn: String| is_deleted(&entry(&dn, 1, USER));
        assert!(named(format!("CN=a\\0ADEL:{guid},CN=Deleted Objects,DC=contoso,DC=lan")));
        // Of another object, or somewhere else: a living object may be called anything.
        assert!(!named(format!("CN=a\\0ADEL:{},CN=Deleted Objects,DC=contoso,DC=lan", guid.replace('1', "2"))));
        assert!(!named(format!("CN=a\\0ADEL:{guid},OU=Service,DC=contoso,DC=lan")));
        assert!(!named("CN=a,OU=Service,DC=contoso,DC=lan".to_owned()));
        let mut marked = entry("CN=a,OU=Service,DC=contoso,DC=lan", 1, USER);
        marked.add("isDeleted", [b"TRUE".to_vec()]);
        assert!(is_deleted(&marked));
    }

    #[test]
    fn one_user_within_the_base_is_found_however_often_it_was_seen() {
        let one = entry("CN=a,OU=Service,DC=contoso,DC=lan", 1, USER);
        let again = entry("cn=A,ou=service,dc=contoso,dc=lan", 1, USER);
        assert_eq!(judged(vec![one.clone(), again]), Found::Living(Box::new(one)));
    }

    #[test]
    fn none_is_not_found() {
        assert!(reason(&judged(Vec::new())).starts_with("no object carries the address `sip:a@contoso.lan`"));
    }

    #[test]
    fn f63_several_are_all_listed_with_name_class_and_identity() {
        let user = entry("CN=a,OU=Service,DC=contoso,DC=lan", 1, USER);
        let contact = entry("CN={x},CN=Application Contacts,CN=Configuration,DC=contoso,DC=lan", 2, &["top", "contact"]);
        let found = judged(vec![user, contact]);
        let reason = reason(&found);
        for part in [
            "2 objects",
            "`CN=a,OU=Service,DC=contoso,DC=lan` (user",
            "(contact",
            &Guid::from_bytes(&[2; 16]).map(|g| g.to_string()).unwrap_or_default(),
        ] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
    }

    #[test]
    fn a_contact_a_computer_and_a_user_elsewhere_are_refused() {
        let contact = entry("CN=a,OU=Service,DC=contoso,DC=lan", 1, &["top", "contact"]);
        let computer = entry("CN=a,OU=Service,DC=contoso,DC=lan", 1, &["top", "user", "computer"]);
        assert!(reason(&judged(vec![contact])).contains("not a user"));
        assert!(reason(&judged(vec![computer])).contains("not a user"));
        let elsewhere = entry("CN=a,OU=Service2,DC=contoso,DC=lan", 1, USER);
        assert!(reason(&judged(vec![elsewhere])).contains("outside `OU=Service,DC=contoso,DC=lan`"));
    }
}
