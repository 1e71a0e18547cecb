//! What can be known of a directory before anything is done to it: [`preflight`] for a run, [`survey`] for a person who
//! asks whether all is well. Neither changes anything.

use jiff::Timestamp;

use super::dn::{Address, Dn};
use super::entry::Entry;
use super::filter::Filter;
use super::session::{self, Deleted, Dialer, OpenError, ReadError, Scope, Server, Session, Trouble};
use super::target::{Bind, Target};
use super::ticket;
use super::topology::{self, Controller};
use crate::connector::lasts::Last;
use crate::foreign::one_line;
use crate::run::connector::{Finding, Level};

/// Kerberos refuses a clock that is off by more (RFC 4120 section 7.5.4 and the default of Active Directory).
const CLOCK_FATAL: i64 = 300;
/// Worth a look.
const CLOCK_WARNING: i64 = 60;
/// The days for which a tombstone is kept where nothing is set (\[MS-ADTS\] section 6.1.1.2.4.1.1).
const TOMBSTONE_DAYS: i64 = 60;
/// A certificate that expires sooner may do so in the window.
const CERTIFICATE_DAYS: i64 = 14;
/// The Recycle Bin among the optional features (\[MS-ADTS\] section 3.1.1.9.1).
const RECYCLE_BIN: &str = "766ddcd8-acd0-445e-f3b9-a7f9b6744f2a";
/// The last part of the SIDs of groups that may do everything: Domain Admins, Enterprise Admins, Schema Admins.
const MIGHTY: [u32; 3] = [512, 519, 518];

fn finding(level: Level, message: impl Into<String>) -> Finding {
    Finding { level, message: message.into() }
}

/// A session that was not to be had, as a finding.
#[must_use]
pub fn not_open(error: &OpenError) -> Finding {
    let level = if error.kind == Trouble::Unreachable { Level::Unreachable } else { Level::Fatal };
    finding(level, error.message.clone())
}

/// What a run cannot start without: the server answers, is the right one, lets us in, and its clock is near ours. And what
/// does not last until the run's end.
pub async fn preflight(dialer: &Dialer, target: &Target, last: &Last) -> Vec<Finding> {
    match dialer.open(target, &Server::Url).await {
        Ok(mut session) => {
            let mut found = clock(&session);
            found.extend(lasting(target, &mut session, last).await);
            found.retain(|finding| finding.level > Level::Fact);
            found
        }
        Err(error) => vec![not_open(&error)],
    }
}

/// Whether what lets us in lasts: the server's certificate, the account and its password, the ticket.
async fn lasting(target: &Target, session: &mut Session, last: &Last) -> Vec<Finding> {
    let now = Timestamp::now();
    let mut found = Vec::new();
    if let Some(expires) = session.about().certificate_expires {
        let what = format!("the certificate of `{}`", one_line(&target.url.host, 120));
        found.push(last.ending(&what, expires, now, "have the server given a new one"));
    }
    if session.root().is_active_directory() {
        match account(session, &["msDS-UserPasswordExpiryTimeComputed", "accountExpires"]).await {
            Ok(Some(entry)) => found.extend(of_account(&entry, target, last, now)),
            Ok(None) => {
                let message = "whether the account and its password last cannot be told: it has no object in this domain";
                found.push(finding(Level::Fact, message));
            }
            Err(error) => {
                let message = format!("whether the account and its password last cannot be told: {}", error.message);
                found.push(finding(Level::Fact, message));
            }
        }
    }
    if matches!(target.bind, Bind::Kerberos) {
        found.extend(ticket::findings(last, now));
    }
    found
}

/// What ends of an account. A password that never expires has none of it, and neither has an account.
fn of_account(entry: &Entry, target: &Target, last: &Last, now: Timestamp) -> Vec<Finding> {
    let name = match &target.bind {
        Bind::Simple { user, .. } => one_line(user, 120),
        Bind::Kerberos => one_line(&entry.dn, 200),
    };
    let ends = |attribute: &str| entry.number(attribute).and_then(file_time);
    let mut found = Vec::new();
    if let Some(at) = ends("msDS-UserPasswordExpiryTimeComputed") {
        let todo = "set a new one, and put it where the targets file says,";
        found.push(last.ending(&format!("the password of `{name}`"), at, now, todo));
    }
    if let Some(at) = ends("accountExpires") {
        found.push(last.ending(&format!("the account `{name}`"), at, now, "let it last longer (`accountExpires`)"));
    }
    found
}

/// The instant of a `FILETIME`; `None` for the two numbers that mean never.
fn file_time(number: i64) -> Option<Timestamp> {
    /// Seconds from 1601 to 1970.
    const EPOCH: i64 = 11_644_473_600;
    if number <= 0 || number == i64::MAX {
        return None;
    }
    Timestamp::from_second(number / 10_000_000 - EPOCH).ok()
}

/// Everything that can be told of a directory, good and bad.
pub async fn survey(dialer: &Dialer, target: &Target) -> Vec<Finding> {
    let mut session = match dialer.open(target, &Server::Url).await {
        Ok(session) => session,
        Err(error) => return vec![not_open(&error)],
    };
    let who = match &target.bind {
        Bind::Simple { user, .. } => format!("`{}`", one_line(user, 120)),
        Bind::Kerberos => "the ticket of whoever runs relevo".to_owned(),
    };
    let root = session.root().clone();
    let mut found = vec![finding(Level::Fact, format!("{} answers over TLS, and {who} is let in", target.url))];
    found.extend(certificate(&session));
    // What is told of the certificate beyond that is told just there.
    let lasts = lasting(target, &mut session, &Last::weekend(Timestamp::now())).await;
    found.extend(lasts.into_iter().skip(usize::from(session.about().certificate_expires.is_some())));
    found.extend(clock(&session));
    if !root.is_active_directory() {
        found.push(finding(Level::Fact, "this is not Active Directory: `ldap.*` actions work, `ad.*` do not"));
        return found;
    }
    let domain = session::dns_name(&root.domain).unwrap_or_default();
    let catalog = if root.global_catalog { ", a global catalog" } else { "" };
    found.push(finding(Level::Fact, format!("domain `{}`, domain controller `{}`{catalog}", domain, root.host)));
    if target.domain.is_none() {
        found.push(finding(
            Level::Warning,
            format!("the targets file does not say which domain this must be; `domain: {domain}` would refuse another"),
        ));
    }
    found.extend(report(rights(&mut session).await, "who the account is"));
    found.extend(report(deleted_objects(&mut session).await.map(|finding| vec![finding]), "whether deletions can be proved"));
    found.extend(report(lifetimes(&mut session).await, "how long deleted objects are kept"));
    match topology::controllers(&mut session).await {
        Ok(all) => found.extend(each(dialer, target, &all).await),
        Err(error) => found.push(finding(Level::Warning, format!("the list of domain controllers: {}", error.message))),
    }
    found
}

fn report(read: Result<Vec<Finding>, ReadError>, what: &str) -> Vec<Finding> {
    read.unwrap_or_else(|error| vec![finding(Level::Warning, format!("{what} cannot be told: {}", error.message))])
}

fn clock(session: &Session) -> Vec<Finding> {
    let Some(theirs) = session.root().time else { return Vec::new() };
    let off = theirs.as_second() - Timestamp::now().as_second();
    let words = format!("its clock is {} s {} ours", off.abs(), if off < 0 { "behind" } else { "ahead of" });
    let level = match off.abs() {
        off if off > CLOCK_FATAL => Level::Fatal,
        off if off > CLOCK_WARNING => Level::Warning,
        _ => Level::Fact,
    };
    vec![finding(level, words)]
}

/// Whether the account can see deleted objects. One that cannot finds none, which looks like there being none: so the
/// container itself is read.
///
/// # Errors
/// No answer, or one that is not understood.
pub async fn sees_deleted_objects(session: &mut Session) -> Result<bool, ReadError> {
    let domain = Dn::parse(&session.root().domain).map_err(|message| ReadError { code: None, message })?;
    let container = Address::deleted_objects(domain);
    // A server may show that it is there and nothing of it.
    let seen = session.read(&container, &["objectClass"], Deleted::Shown).await?;
    if seen.is_none_or(|entry| entry.values("objectClass").is_empty()) {
        return Ok(false);
    }
    let some = session.search(&container, Scope::One, &Filter::equal("isDeleted", "TRUE"), &["1.1"], Deleted::Shown).await;
    match some {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.code, Some(32 | 50)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn deleted_objects(session: &mut Session) -> Result<Finding, ReadError> {
    Ok(if sees_deleted_objects(session).await? {
        finding(Level::Fact, "the account can read Deleted Objects: a deletion can be proved")
    } else {
        let message = "the account cannot read Deleted Objects: no deletion by it can be proved, so none is made; grant it *List* and \
                       *Read* on that container";
        finding(Level::Warning, message)
    })
}

/// Whether the Recycle Bin is on: then a deleted object keeps everything.
///
/// # Errors
/// No answer, or one that is not understood.
pub async fn recycle_bin(session: &mut Session) -> Result<bool, ReadError> {
    let configuration = Dn::parse(&session.root().configuration).map_err(|message| ReadError { code: None, message })?;
    let partitions = Address::Dn(configuration.child("CN", "Partitions"));
    let Some(entry) = session.read(&partitions, &["msDS-EnabledFeature"], Deleted::Hidden).await? else { return Ok(false) };
    let features: Vec<Dn> = entry.texts("msDS-EnabledFeature").filter_map(|dn| Dn::parse(dn).ok()).collect();
    for feature in features {
        let feature = session.read(&Address::Dn(feature), &["msDS-OptionalFeatureGUID"], Deleted::Hidden).await?;
        let id = feature.as_ref().and_then(|entry| entry.values("msDS-OptionalFeatureGUID").first().cloned());
        if id.and_then(|id| super::guid::Guid::from_bytes(&id)).is_some_and(|id| id.to_string() == RECYCLE_BIN) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn lifetimes(session: &mut Session) -> Result<Vec<Finding>, ReadError> {
    let configuration = Dn::parse(&session.root().configuration).map_err(|message| ReadError { code: None, message })?;
    let service = ["Services", "Windows NT", "Directory Service"].iter().fold(configuration, |dn, name| dn.child("CN", name));
    let entry = session
        .read(&Address::Dn(service), &["tombstoneLifetime", "msDS-DeletedObjectLifetime"], Deleted::Hidden)
        .await?
        .unwrap_or_default();
    let tombstones = entry.number("tombstoneLifetime").unwrap_or(TOMBSTONE_DAYS);
    Ok(if recycle_bin(session).await? {
        let deleted = entry.number("msDS-DeletedObjectLifetime").unwrap_or(tombstones);
        vec![finding(Level::Fact, format!("the Recycle Bin is on: a deleted object comes back whole for {deleted} days"))]
    } else {
        let words = "the Recycle Bin is off: a deleted object keeps little more than its identity";
        vec![finding(Level::Fact, format!("{words}, and that for {tombstones} days"))]
    })
}

/// Who the account is to the directory, and whether it has more rights than needed.
async fn rights(session: &mut Session) -> Result<Vec<Finding>, ReadError> {
    // The root DSE's own token groups are those of the caller (\[MS-ADTS\] section 3.1.1.3.2.20).
    let entry: Entry = session.read(&Address::Root, &["tokenGroups"], Deleted::Hidden).await?.unwrap_or_default();
    let sids: Vec<_> = entry.values("tokenGroups").iter().filter_map(|bytes| super::sid::Sid::from_bytes(bytes)).collect();
    let mighty = sids.iter().any(|sid| sid.is_of_a_domain() && sid.rid().is_some_and(|rid| MIGHTY.contains(&rid)));
    let mut found = Vec::new();
    if let Some(own) = sids.first()
        && let Some(name) = named(session, own).await?
    {
        found.push(finding(Level::Fact, format!("the account is `{name}`")));
    }
    if mighty {
        let message = "the account is an administrator of the domain or the forest: more rights than any action here needs; an \
                       account of its own limits what a mistake can do";
        found.push(finding(Level::Warning, message));
    }
    Ok(found)
}

/// The name of the one object of the domain with this SID. The first of the caller's own is that of its account; one of
/// another domain has no object here.
async fn named(session: &mut Session, sid: &super::sid::Sid) -> Result<Option<String>, ReadError> {
    Ok(object_of(session, sid, &["1.1"]).await?.map(|entry| one_line(&entry.dn, 200)))
}

async fn object_of(session: &mut Session, sid: &super::sid::Sid, attributes: &[&str]) -> Result<Option<Entry>, ReadError> {
    let domain = Dn::parse(&session.root().domain).map_err(|message| ReadError { code: None, message })?;
    let has_it = Filter::equal("objectSid", sid.to_bytes());
    let mut found = session.search(&Address::Dn(domain), Scope::Subtree, &has_it, attributes, Deleted::Hidden).await?;
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// The object of the account that we are logged on as, if it is one of this domain.
async fn account(session: &mut Session, attributes: &[&str]) -> Result<Option<Entry>, ReadError> {
    let entry = session.read(&Address::Root, &["tokenGroups"], Deleted::Hidden).await?.unwrap_or_default();
    // The first is the account's own (\[MS-ADTS\] section 3.1.1.3.2.20).
    match entry.values("tokenGroups").first().and_then(|bytes| super::sid::Sid::from_bytes(bytes)) {
        Some(own) => object_of(session, &own, attributes).await,
        None => Ok(None),
    }
}

/// What is wrong with domain controllers that a step will ask.
pub async fn complaints(dialer: &Dialer, target: &Target, all: &[Controller]) -> Vec<Finding> {
    each(dialer, target, all).await.into_iter().filter(|finding| finding.level > Level::Fact).collect()
}

/// Every domain controller, asked in turn.
async fn each(dialer: &Dialer, target: &Target, all: &[Controller]) -> Vec<Finding> {
    let mut found = Vec::new();
    for controller in all.iter().filter(|controller| controller.in_domain) {
        let what = format!("domain controller `{}` (site {})", one_line(&controller.host, 120), one_line(&controller.site, 60));
        found.push(match dialer.open(target, &Server::Host(controller.host.clone())).await {
            Ok(session) => match clock(&session).into_iter().find(|finding| finding.level > Level::Fact) {
                None => finding(Level::Fact, format!("{what} answers")),
                Some(late) => finding(late.level.min(Level::Warning), format!("{what} answers, but {}", late.message)),
            },
            Err(error) => finding(
                Level::Warning,
                format!("{what} does not answer as it should: {}; no wait for all domain controllers will end", error.message),
            ),
        });
    }
    found
}

/// How long the server's certificate is still good.
fn certificate(session: &Session) -> Option<Finding> {
    let expires = session.about().certificate_expires?;
    let days = (expires.as_second() - Timestamp::now().as_second()) / 86_400;
    let level = if days < CERTIFICATE_DAYS { Level::Warning } else { Level::Fact };
    Some(finding(level, format!("its certificate expires in {days} days, on {}", expires.strftime("%Y-%m-%d"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_windows_is_an_instant_and_never_is_none() {
        assert_eq!(file_time(133_444_736_000_000_000), "2023-11-14T22:13:20Z".parse().ok());
        assert_eq!((file_time(0), file_time(i64::MAX), file_time(-1)), (None, None, None));
    }
}
