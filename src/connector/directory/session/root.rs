//! The root DSE (RFC 4512 section 5.1, \[MS-ADTS\] 3.1.1.3.2): what a server says of itself, and whether it is the right one.

use jiff::Timestamp;

use super::super::dn::Address;
use super::super::entry::Entry;
use super::super::target::Target;
use super::dial::trouble;
use super::link::Link;
use super::read::{self, Request};
use super::{Deleted, OpenError, ReadError, RootDse, Scope, Server, Trouble};
use crate::foreign::one_line;

const ATTRIBUTES: &[&str] = &[
    "dnsHostName",
    "defaultNamingContext",
    "namingContexts",
    "configurationNamingContext",
    "schemaNamingContext",
    "rootDomainNamingContext",
    "dsServiceName",
    "currentTime",
    "isGlobalCatalogReady",
    "supportedControl",
];

/// Reads it.
///
/// # Errors
/// No answer, or one that is not understood.
pub async fn read(link: &mut Link) -> Result<RootDse, ReadError> {
    let request = Request {
        base: Address::Root.to_protocol(),
        scope: Scope::Base,
        filter: "(objectClass=*)".to_owned(),
        attributes: ATTRIBUTES.iter().map(|name| (*name).to_owned()).collect(),
        deleted: Deleted::Hidden,
    };
    match read::all(link, &request).await?.as_slice() {
        [entry] => Ok(from_entry(entry)),
        _ => Err(ReadError { code: None, message: format!("`{}` has no root DSE", link.host) }),
    }
}

fn from_entry(entry: &Entry) -> RootDse {
    let text = |name: &str| entry.text(name).unwrap_or_default().to_owned();
    RootDse {
        host: text("dnsHostName"),
        // Other servers name no default; their first naming context is what they are there for.
        domain: entry.text("defaultNamingContext").or_else(|| entry.text("namingContexts")).unwrap_or_default().to_owned(),
        configuration: text("configurationNamingContext"),
        schema: text("schemaNamingContext"),
        forest: text("rootDomainNamingContext"),
        settings: text("dsServiceName"),
        time: entry.text("currentTime").and_then(generalized_time),
        global_catalog: entry.is_true("isGlobalCatalogReady"),
        controls: entry.texts("supportedControl").map(str::to_owned).collect(),
    }
}

/// Whether it is the directory and the server that were meant.
///
/// # Errors
/// It is not. Nothing but the root DSE was asked for.
pub fn check(root: &RootDse, target: &Target, server: &Server) -> Result<(), OpenError> {
    let wrong = |message: String| Err(trouble(Trouble::WrongDirectory, message));
    // A global catalog may be one of another domain of the forest.
    if let (Some(domain), false) = (&target.domain, matches!(server, Server::GlobalCatalog(_))) {
        let found = dns_name(&root.domain);
        if found.as_deref().is_none_or(|found| !found.eq_ignore_ascii_case(domain.trim_end_matches('.'))) {
            let found = found.unwrap_or_else(|| one_line(&root.domain, 100));
            return wrong(format!("the directory `{}` must be `{domain}`, and what answered is `{found}`", target.name));
        }
    }
    if let Server::Host(host) = server
        && !root.host.trim_end_matches('.').eq_ignore_ascii_case(host.trim_end_matches('.'))
    {
        let found = if root.host.is_empty() { "no name".to_owned() } else { format!("`{}`", one_line(&root.host, 100)) };
        return wrong(format!(
            "`{host}` was wanted, and what answered gives {found} as its own: names and addresses are mixed up"
        ));
    }
    Ok(())
}

/// `contoso.com` of `DC=contoso,DC=com`; `None` if there is anything else in it.
#[must_use]
pub fn dns_name(dn: &str) -> Option<String> {
    let labels: Option<Vec<&str>> = dn
        .split(',')
        .map(|part| {
            let (attribute, value) = part.split_once('=')?;
            let label = value.trim();
            let plain = !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
            (attribute.trim().eq_ignore_ascii_case("DC") && plain).then_some(label)
        })
        .collect();
    labels.map(|labels| labels.join("."))
}

/// Reads GeneralizedTime in UTC, `20261122171019.0Z` (RFC 4517 section 3.3.13); fractions are dropped.
#[must_use]
pub fn generalized_time(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    let digits = digits.split(['.', ',']).next()?;
    if digits.len() != 14 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i8>().ok();
    let date = jiff::civil::Date::new(digits.get(..4)?.parse().ok()?, number(4..6)?, number(6..8)?).ok()?;
    // A leap second is written as 60.
    let time = jiff::civil::Time::new(number(8..10)?, number(10..12)?, number(12..14)?.min(59), 0).ok()?;
    Some(date.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_servers_are_read() {
        let expected: Timestamp = "2026-11-22T17:10:19Z".parse().unwrap();
        assert_eq!(generalized_time("20261122171019.0Z"), Some(expected));
        assert_eq!(generalized_time("20261122171019Z"), Some(expected));
        for wrong in ["", "Z", "2026112217101Z", "20261322171019Z", "20261122171019", "20261122171019+0100", "é0261122171019Z"] {
            assert_eq!(generalized_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_naming_context_is_compared_with_the_domain_by_its_dns_name() {
        assert_eq!(dns_name("DC=contoso,DC=com").as_deref(), Some("contoso.com"));
        assert_eq!(dns_name("dc=a, dc=b").as_deref(), Some("a.b"));
        assert_eq!(dns_name("OU=x,DC=com"), None);
        assert_eq!(dns_name(""), None);
        assert_eq!(dns_name("DC=a\\,b,DC=com"), None);
    }
}
