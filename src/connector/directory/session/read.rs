//! Searches: whole or not at all.

use std::time::Duration;

use ldap3::asn1::{PL, StructureTag, parse_tag};
use ldap3::controls::{PagedResults, RawControl};
use ldap3::{LdapError, LdapResult};

use super::super::dn::Address;
use super::super::entry::Entry;
use super::super::filter::Filter;
use super::super::outcome;
use super::link::Link;
use super::{Deleted, ReadError, Scope, Session};
use crate::foreign::one_line;

/// Entries of one page.
const PAGE: i32 = 500;
/// Entries of one search; more is not a search but an export.
const MOST_ENTRIES: usize = 100_000;
/// Bytes of one search.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Simple paged results (RFC 2696).
const PAGED: &str = "1.2.840.113556.1.4.319";
/// Deleted objects are seen (\[MS-ADTS\] 3.1.1.3.4.1.14).
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
/// Which parts of a security descriptor are wanted (\[MS-ADTS\] 3.1.1.3.4.1.11).
const SD_FLAGS: &str = "1.2.840.113556.1.4.801";
/// `SEQUENCE { INTEGER 7 }`: owner, group and DACL. The SACL needs a right that no account here should have.
const OWNER_GROUP_DACL: &[u8] = &[0x30, 0x03, 0x02, 0x01, 0x07];
const NO_SUCH_OBJECT: u32 = 32;

/// What is asked for.
pub struct Request {
    pub base: String,
    pub scope: Scope,
    pub filter: String,
    pub attributes: Vec<String>,
    pub deleted: Deleted,
}

/// The control for deleted objects, if they are wanted.
pub fn show_deleted(deleted: Deleted) -> Option<RawControl> {
    (deleted == Deleted::Shown).then(|| RawControl { ctype: SHOW_DELETED.to_owned(), crit: true, val: None })
}

impl Session {
    /// All entries, page by page. Referrals are not followed. An answer that is not complete is an error. Values that
    /// come in ranges (`member;range=0-1499`) are fetched whole.
    ///
    /// # Errors
    /// No answer, one that is not understood, or not all of it. A base that is not there is an error too, with code 32.
    pub async fn search(
        &mut self,
        base: &Address,
        scope: Scope,
        filter: &Filter,
        attributes: &[&str],
        deleted: Deleted,
    ) -> Result<Vec<Entry>, ReadError> {
        let attributes = attributes.iter().map(|name| (*name).to_owned()).collect();
        all(&mut self.link, &Request { base: base.to_protocol(), scope, filter: filter.to_string(), attributes, deleted }).await
    }

    /// One object; `None` if the server says that it has none (code 32). The security descriptor is read without its
    /// SACL (control 1.2.840.113556.1.4.801).
    ///
    /// # Errors
    /// No answer, or one that is not understood.
    pub async fn read(&mut self, at: &Address, attributes: &[&str], deleted: Deleted) -> Result<Option<Entry>, ReadError> {
        let everything = Filter::present("objectClass");
        let mut found = match self.search(at, Scope::Base, &everything, attributes, deleted).await {
            Err(error) if error.code == Some(NO_SUCH_OBJECT) => return Ok(None),
            other => other?,
        };
        match (found.pop(), found.is_empty()) {
            (Some(entry), true) => Ok(Some(entry)),
            (None, _) => Err(ReadError {
                code: None,
                message: format!(
                    "`{}` shows nothing of `{}` and does not say that it is missing; the account may lack the right to see it",
                    self.link.host,
                    one_line(&at.to_protocol(), 200)
                ),
            }),
            (Some(_), false) => Err(ReadError {
                code: None,
                message: format!("`{}` answered with several objects where one was asked for", self.link.host),
            }),
        }
    }
}

/// Carries out a search to its end.
///
/// # Errors
/// As [`Session::search`].
pub async fn all(link: &mut Link, request: &Request) -> Result<Vec<Entry>, ReadError> {
    let mut entries = Vec::new();
    let mut bytes = 0;
    let mut cookie = Vec::new();
    loop {
        let page = page(link, request, cookie, MOST_ENTRIES - entries.len(), MOST_BYTES - bytes).await?;
        bytes += page.bytes;
        entries.extend(page.entries);
        if page.cookie.is_empty() {
            break;
        }
        cookie = page.cookie;
    }
    let mut whole = Vec::with_capacity(entries.len());
    for partial in entries {
        whole.push(complete(link, request, partial, &mut bytes).await?);
    }
    Ok(whole)
}

/// An entry, and those of its attributes of which more is to come: name and where to go on.
struct Partial {
    entry: Entry,
    missing: Vec<(String, u64)>,
}

struct Page {
    entries: Vec<Partial>,
    bytes: usize,
    cookie: Vec<u8>,
}

fn not_understood(host: &str, what: &str) -> ReadError {
    ReadError { code: None, message: format!("the answer of `{host}` is not understood: {what}") }
}

async fn page(link: &mut Link, request: &Request, cookie: Vec<u8>, entries: usize, bytes: usize) -> Result<Page, ReadError> {
    let mut controls: Vec<RawControl> = show_deleted(request.deleted).into_iter().collect();
    if request.scope != Scope::Base {
        controls.push(PagedResults { size: PAGE, cookie }.into());
    }
    if request.attributes.iter().any(|name| name.eq_ignore_ascii_case("nTSecurityDescriptor")) {
        controls.push(RawControl { ctype: SD_FLAGS.to_owned(), crit: true, val: Some(OWNER_GROUP_DACL.to_vec()) });
    }
    let scope = match request.scope {
        Scope::Base => ldap3::Scope::Base,
        Scope::One => ldap3::Scope::OneLevel,
        Scope::Subtree => ldap3::Scope::Subtree,
    };
    let (base, filter, attributes) = (request.base.as_str(), request.filter.as_str(), request.attributes.clone());
    let time = link.timeout;
    let asked = link.ask(|ldap| collect(ldap, Asked { base, scope, filter, attributes, controls, time, entries, bytes })).await;
    let (collected, result) = match asked.map_err(|lost| ReadError { code: None, message: lost.message })? {
        Ok(found) => found,
        Err(TooMuch) => {
            let message = format!(
                "the answer of `{}` is larger than {MOST_ENTRIES} entries or {} MiB; a narrower search is needed",
                link.host,
                MOST_BYTES / 1024 / 1024
            );
            return Err(ReadError { code: None, message });
        }
    };
    if result.rc != 0 {
        return Err(refusal(link, request, &result));
    }
    let mut page = Page {
        entries: Vec::new(),
        bytes: 0,
        cookie: next_cookie(&result).map_err(|()| not_understood(&link.host, "its paging"))?,
    };
    for tag in collected {
        let (partial, size) = entry(tag).ok_or_else(|| not_understood(&link.host, "an entry is not as the standard says"))?;
        page.bytes += size;
        page.entries.push(partial);
    }
    Ok(page)
}

fn refusal(link: &Link, request: &Request, result: &LdapResult) -> ReadError {
    let base = one_line(&request.base, 200);
    let name = outcome::name(result.rc);
    let said = link.said(&result.text);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let message = match result.rc {
        3 | 4 | 11 => format!("`{}` gave only a part of the answer ({name}{said}); it counts as none", link.host),
        10 => format!("`{}` refers to another server for `{base}` ({name}); referrals are not followed", link.host),
        12 => format!("`{}` does not know a control that this search needs ({name}{said})", link.host),
        NO_SUCH_OBJECT => format!("`{}` has no object `{base}` ({name})", link.host),
        50 => format!("the account may not read `{base}` on `{}` ({name}{said})", link.host),
        _ => format!("`{}` refuses the search below `{base}` ({name}{said})", link.host),
    };
    ReadError { code: Some(result.rc), message }
}

struct Asked<'a> {
    base: &'a str,
    scope: ldap3::Scope,
    filter: &'a str,
    attributes: Vec<String>,
    controls: Vec<RawControl>,
    time: Duration,
    entries: usize,
    bytes: usize,
}

struct TooMuch;

/// The entries of one page as they came. References to other servers are passed over: they are not followed, and a
/// search of a domain has some for the partitions that are not part of it.
async fn collect(mut ldap: ldap3::Ldap, asked: Asked<'_>) -> Result<Result<(Vec<StructureTag>, LdapResult), TooMuch>, LdapError> {
    let mut stream = ldap
        .with_timeout(asked.time)
        .with_controls(asked.controls)
        .streaming_search(asked.base, asked.scope, asked.filter, asked.attributes)
        .await?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    while let Some(found) = stream.next().await? {
        if found.is_ref() {
            continue;
        }
        bytes += size(&found.0);
        entries.push(found.0);
        if entries.len() > asked.entries || bytes > asked.bytes {
            return Ok(Err(TooMuch));
        }
    }
    let result = stream.finish().await;
    Ok(Ok((entries, result)))
}

/// The bytes that an element holds, and what holding it costs.
fn size(tag: &StructureTag) -> usize {
    match &tag.payload {
        PL::P(bytes) => bytes.len() + size_of::<StructureTag>(),
        PL::C(inner) => inner.iter().map(size).sum::<usize>() + size_of::<StructureTag>(),
    }
}

/// Where the next page begins; empty if there is none.
fn next_cookie(result: &LdapResult) -> Result<Vec<u8>, ()> {
    let Some(control) = result.ctrls.iter().find(|control| control.1.ctype == PAGED) else { return Ok(Vec::new()) };
    let value = control.1.val.as_deref().ok_or(())?;
    // `SEQUENCE { size INTEGER, cookie OCTET STRING }`; the estimate of the size is of no use.
    let (_, tag) = parse_tag(value).map_err(|_| ())?;
    match tag.payload {
        PL::C(parts) => match <[StructureTag; 2]>::try_from(parts) {
            Ok([_, StructureTag { payload: PL::P(cookie), .. }]) => Ok(cookie),
            _ => Err(()),
        },
        PL::P(_) => Err(()),
    }
}

fn constructed(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(parts) => Some(parts),
        PL::P(_) => None,
    }
}

fn primitive(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

/// A `SearchResultEntry` (RFC 4511 section 4.5.2). Not by the library, which panics and sorts text apart from bytes.
fn entry(tag: StructureTag) -> Option<(Partial, usize)> {
    /// Of the protocol's own choice of operations.
    const ENTRY: u64 = 4;
    let bytes = size(&tag);
    if tag.id != ENTRY {
        return None;
    }
    let [name, attributes] = <[StructureTag; 2]>::try_from(constructed(tag)?).ok()?;
    let mut entry = Entry::new(String::from_utf8(primitive(name)?).ok()?);
    let mut missing = Vec::new();
    for attribute in constructed(attributes)? {
        let [name, values] = <[StructureTag; 2]>::try_from(constructed(attribute)?).ok()?;
        let name = String::from_utf8(primitive(name)?).ok()?;
        let values = constructed(values)?.into_iter().map(primitive).collect::<Option<Vec<_>>>()?;
        match range(&name) {
            Some((name, Some(last))) => {
                missing.push((name.to_owned(), last + 1));
                entry.add(name, values);
            }
            Some((name, None)) => entry.add(name, values),
            None => entry.add(&name, values),
        }
    }
    Some((Partial { entry, missing }, bytes))
}

/// The name in `member;range=0-1499`, and the number of the last value that came; `None` if that was the last of all
/// (`range=1500-*`). \[MS-ADTS\] 3.1.1.3.1.3.3.
fn range(name: &str) -> Option<(&str, Option<u64>)> {
    let (name, option) = name.split_once(';')?;
    let (key, bounds) = option.split_once('=')?;
    let (_, last) = bounds.split_once('-')?;
    if !key.eq_ignore_ascii_case("range") {
        return None;
    }
    Some((name, if last == "*" { None } else { Some(last.parse().ok()?) }))
}

/// Fetches the rest of the attributes that came in part. By identity where it is known: the object may be renamed
/// meanwhile.
async fn complete(link: &mut Link, request: &Request, partial: Partial, bytes: &mut usize) -> Result<Entry, ReadError> {
    let Partial { mut entry, mut missing } = partial;
    let base = entry.guid().map_or_else(|| entry.dn.clone(), |guid| Address::Guid(guid).to_protocol());
    while let Some((name, from)) = missing.pop() {
        let more = Request {
            base: base.clone(),
            scope: Scope::Base,
            filter: "(objectClass=*)".to_owned(),
            attributes: vec![format!("{name};range={from}-*")],
            deleted: request.deleted,
        };
        let mut page = page(link, &more, Vec::new(), 1, MOST_BYTES.saturating_sub(*bytes)).await?;
        *bytes += page.bytes;
        let Some(rest) = page.entries.pop() else {
            return Err(not_understood(&link.host, &format!("the rest of `{}` is missing", one_line(&name, 100))));
        };
        let values = rest.entry.values(&name);
        if values.is_empty() {
            return Err(not_understood(&link.host, &format!("the rest of `{}` is missing", one_line(&name, 100))));
        }
        entry.add(&name, values.iter().cloned());
        missing.extend(rest.missing.into_iter().filter(|(other, next)| other.eq_ignore_ascii_case(&name) && *next > from));
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_from_other_options() {
        assert_eq!(range("member;range=0-1499"), Some(("member", Some(1499))));
        assert_eq!(range("member;Range=1500-*"), Some(("member", None)));
        assert_eq!(range("userCertificate;binary"), None);
        assert_eq!(range("member"), None);
        assert_eq!(range("member;range=0-x"), None);
    }
}
