//! Searches: base, scope, filter, pages, order, and the references that Active Directory gives.

use std::collections::BTreeMap;

use ldap3_proto::proto::{
    LdapPartialAttribute, LdapResultCode as Code, LdapSearchRequest, LdapSearchResultEntry, LdapSearchScope,
};

use super::controls::Controls;
use super::dn::Name;
use super::entry::{self, Wanted};
use super::filter;
use super::ids::Guid;
use super::reply::{Answer, invalid_name, no_such_object, unwilling};
use super::rights::{self, Caller};
use super::store::{Object, Replica};
use super::value::{Value, folded};
use super::{schema, well_known};

/// Without pages no more entries than this are given (`MaxPageSize` of Active Directory).
const MOST_ENTRIES: usize = 1000;

/// Results that wait for the next page, by cookie.
#[derive(Debug, Default)]
pub struct Pages {
    waiting: BTreeMap<Vec<u8>, Vec<Guid>>,
    next: u64,
}

/// What a search gave.
#[derive(Debug)]
pub struct Found {
    /// The entries.
    pub entries: Vec<LdapSearchResultEntry>,
    /// References to other naming contexts.
    pub references: Vec<String>,
    /// The cookie for the next page; empty after the last.
    pub cookie: Option<Vec<u8>>,
    /// Success, or that the limit was reached.
    pub code: Code,
    /// The base.
    pub base: Guid,
}

/// Where the question came in.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    /// A global catalog: one search over all naming contexts.
    pub global_catalog: bool,
    /// `ldap` or `ldaps`, as references are written.
    pub scheme: &'static str,
}

/// Finds the object that a request names, if the caller may know of it.
///
/// # Errors
/// It is no name, or there is no such object.
pub fn resolve<'a>(replica: &'a Replica, caller: &Caller, name: &str, deleted: bool) -> Answer<&'a Object> {
    let parsed = Name::parse(name).ok_or_else(invalid_name)?;
    let best = || match &parsed {
        Name::Dn(dn) => replica.best_match(dn),
        _ => String::new(),
    };
    let object = replica.find(&parsed).ok_or_else(|| no_such_object(&best()))?;
    if (object.is_deleted() && !deleted) || !rights::visible(replica, caller, object) {
        return Err(no_such_object(&best()));
    }
    Ok(object)
}

/// Searches.
///
/// # Errors
/// The base is not there, or the cookie is not one of ours.
pub fn search(
    replica: &Replica,
    caller: &Caller,
    request: &LdapSearchRequest,
    controls: &Controls,
    door: Door,
    pages: &mut Pages,
) -> Answer<Found> {
    let everywhere = door.global_catalog || controls.phantom_root;
    let base = if request.base.trim().is_empty() && everywhere {
        replica.domain().ok_or_else(|| no_such_object(""))?
    } else if request.base.trim().is_empty() {
        return Err(no_such_object(""));
    } else {
        resolve(replica, caller, &request.base, controls.show_deleted)?
    };
    let mut found = match controls.page.as_ref().filter(|(_, cookie)| !cookie.is_empty()) {
        Some((_, cookie)) => pages.waiting.remove(cookie).ok_or_else(|| unwilling(0x2040, "the cookie is not known"))?,
        None => {
            let mut all = Vec::new();
            collect(replica, base, &request.scope, everywhere, &mut all);
            all.retain(|object| {
                (controls.show_deleted || !object.is_deleted())
                    && rights::visible(replica, caller, object)
                    && filter::fits(replica, object, &request.filter)
            });
            if let Some((attribute, reverse)) = &controls.sort {
                sort(replica, &mut all, attribute, *reverse);
            }
            all.iter().map(|object| object.guid).collect()
        }
    };
    let mut code = Code::Success;
    let mut cookie = None;
    let limit = usize::try_from(request.sizelimit).ok().filter(|limit| *limit > 0);
    let mut most = limit.unwrap_or(usize::MAX);
    if let Some((size, _)) = controls.page {
        let size = usize::try_from(size).unwrap_or(0).clamp(1, MOST_ENTRIES);
        let rest = if found.len() > size { found.split_off(size) } else { Vec::new() };
        cookie = Some(if rest.is_empty() { Vec::new() } else { pages.keep(rest) });
    } else {
        most = most.min(MOST_ENTRIES);
    }
    if found.len() > most {
        found.truncate(most);
        code = Code::SizeLimitExceeded;
    }
    let wanted = Wanted {
        attributes: &request.attrs,
        types_only: request.typesonly,
        sd_flags: controls.sd_flags,
        names: controls.names,
        base: request.scope == LdapSearchScope::Base,
    };
    let entries = found.iter().filter_map(|guid| replica.get(*guid)).map(|object| LdapSearchResultEntry {
        dn: entry::name(replica, object.guid, controls.names),
        attributes: entry::shown(replica, caller, object, &wanted),
    });
    let entries = entries.collect();
    let last_page = cookie.as_ref().is_none_or(Vec::is_empty);
    let quiet = everywhere || controls.domain_scope || !last_page || request.scope != LdapSearchScope::Subtree;
    let references = if quiet { Vec::new() } else { references(base, door.scheme) };
    Ok(Found { entries, references, cookie, code, base: base.guid })
}

impl Pages {
    fn keep(&mut self, rest: Vec<Guid>) -> Vec<u8> {
        self.next += 1;
        let cookie = format!("page-{}", self.next).into_bytes();
        // Whoever leaves more searches unfinished than this loses the oldest.
        while self.waiting.len() >= 32 {
            self.waiting.pop_first();
        }
        self.waiting.insert(cookie.clone(), rest);
        cookie
    }
}

fn collect<'a>(replica: &'a Replica, base: &'a Object, scope: &LdapSearchScope, everywhere: bool, all: &mut Vec<&'a Object>) {
    let below = |object: &Object| replica.children(object.guid).filter(|child| everywhere || !child.head).collect::<Vec<_>>();
    match scope {
        LdapSearchScope::Base => all.push(base),
        LdapSearchScope::OneLevel => all.extend(below(base)),
        LdapSearchScope::Subtree | LdapSearchScope::Children => {
            let mut open = vec![base];
            while let Some(object) = open.pop() {
                if object.guid != base.guid || *scope == LdapSearchScope::Subtree {
                    all.push(object);
                }
                open.extend(below(object));
            }
        }
    }
}

fn sort(replica: &Replica, all: &mut [&Object], attribute: &str, reverse: bool) {
    let Some(attribute) = schema::find(attribute) else { return };
    let key = |object: &Object| {
        let value = entry::raw(replica, object, attribute).into_iter().next();
        value.map(|value| match value {
            Value::Object(guid) => folded(&entry::name(replica, guid, entry::Names::Plain)),
            Value::Bytes(bytes) => folded(&String::from_utf8_lossy(&bytes)),
        })
    };
    all.sort_by_cached_key(|object| key(object));
    if reverse {
        all.reverse();
    }
}

/// Where else the subtree goes on.
fn references(base: &Object, scheme: &str) -> Vec<String> {
    let realm = well_known::REALM;
    if base.is_a("domainDNS") {
        let domain = well_known::DOMAIN;
        return vec![
            format!("{scheme}://{realm}/{}", well_known::CONFIGURATION),
            format!("{scheme}://DomainDnsZones.{realm}/DC=DomainDnsZones,{domain}"),
            format!("{scheme}://ForestDnsZones.{realm}/DC=ForestDnsZones,{domain}"),
        ];
    }
    if base.is_a("configuration") {
        return vec![format!("{scheme}://{realm}/{}", well_known::SCHEMA)];
    }
    Vec::new()
}

/// What RFC 4512 and MS-ADTS 3.1.1.3.2 have the server say of itself.
#[must_use]
pub fn root_dse(replica: &Replica, caller: Option<&Caller>, now: i64, asked: &[String]) -> Vec<LdapPartialAttribute> {
    let settings = replica.get(replica.dsa).map(|object| replica.dn(object)).unwrap_or_default();
    let upper = replica.name.to_ascii_uppercase();
    let host = format!("{}.{}", replica.name, well_known::REALM);
    let mut all: Vec<(&str, Vec<String>)> = vec![
        ("currentTime", vec![super::value::generalized_time(now)]),
        ("subschemaSubentry", vec![format!("CN=Aggregate,{}", well_known::SCHEMA)]),
        ("dsServiceName", vec![settings.to_string()]),
        ("serverName", vec![settings.parent().to_string()]),
        ("namingContexts", [well_known::DOMAIN, well_known::CONFIGURATION, well_known::SCHEMA].map(str::to_owned).to_vec()),
        ("defaultNamingContext", vec![well_known::DOMAIN.to_owned()]),
        ("configurationNamingContext", vec![well_known::CONFIGURATION.to_owned()]),
        ("schemaNamingContext", vec![well_known::SCHEMA.to_owned()]),
        ("rootDomainNamingContext", vec![well_known::DOMAIN.to_owned()]),
        ("supportedControl", super::controls::SUPPORTED.iter().map(|oid| (*oid).to_owned()).collect()),
        ("supportedLDAPVersion", vec!["3".to_owned(), "2".to_owned()]),
        ("supportedExtension", vec!["1.3.6.1.4.1.1466.20037".to_owned(), "1.3.6.1.4.1.4203.1.11.3".to_owned()]),
        ("highestCommittedUSN", vec![replica.usn.to_string()]),
        ("dnsHostName", vec![host]),
        ("ldapServiceName", vec![format!("{}:{}$@{}", well_known::REALM, replica.name, well_known::REALM.to_ascii_uppercase())]),
        (
            "supportedCapabilities",
            ["800", "1670", "1791", "1935", "2080"].iter().map(|end| format!("1.2.840.113556.1.4.{end}")).collect(),
        ),
        ("isSynchronized", vec!["TRUE".to_owned()]),
        ("isGlobalCatalogReady", vec!["TRUE".to_owned()]),
        ("domainFunctionality", vec!["4".to_owned()]),
        ("forestFunctionality", vec!["4".to_owned()]),
        ("domainControllerFunctionality", vec!["4".to_owned()]),
        ("vendorName", vec!["the lab of relevo, a stand-in for Active Directory".to_owned()]),
    ];
    debug_assert!(settings.to_string().contains(&upper), "the service's name holds the server's");
    let everything = asked.is_empty() || asked.iter().any(|name| name == "*" || name == "+");
    all.retain(|(name, _)| everything || asked.iter().any(|asked| asked.eq_ignore_ascii_case(name)));
    let mut attributes: Vec<LdapPartialAttribute> = all
        .into_iter()
        .map(|(name, values)| LdapPartialAttribute {
            atype: name.to_owned(),
            vals: values.into_iter().map(String::into_bytes).collect(),
        })
        .collect();
    // Given by name only: the caller and everything that it belongs to.
    if let Some(caller) = caller.filter(|_| asked.iter().any(|name| name.eq_ignore_ascii_case("tokenGroups"))) {
        let sids = caller.sids.iter().map(super::ids::Sid::to_wire).collect();
        attributes.push(LdapPartialAttribute { atype: "tokenGroups".to_owned(), vals: sids });
    }
    attributes
}
