//! How long the Kerberos ticket of whoever runs relevo is good: read from the credential cache, a file in the format that MIT
//! documents ("Credential cache file format", version 4, and 3 without its header). Nothing of a key leaves this module.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::connector::lasts::{Last, moment};
use crate::foreign::one_line;
use crate::regular;
use crate::run::connector::{Finding, Level};

/// A cache with a hundred tickets is smaller.
const LARGEST: u64 = 4 << 20;
/// Parts of one name, addresses, and credentials of one cache; more is no cache.
const MOST: u32 = 10_000;
/// `renewable` among the flags of a ticket (RFC 4120 section 5.3, bit 8).
const RENEWABLE: u32 = 0x0080_0000;

/// The ticket that gets all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Whose it is.
    pub client: String,
    /// Until when it is good.
    pub ends: Timestamp,
    /// Until when it can be renewed, if it can.
    pub renewable: Option<Timestamp>,
}

/// What is to be told of it.
pub fn findings(last: &Last, now: Timestamp) -> Vec<Finding> {
    match place().and_then(|path| read(&path)) {
        Ok(ticket) => vec![told(&ticket, last, now)],
        Err(why) => {
            let message = format!("how long the Kerberos ticket is good cannot be told: {why}; `klist` tells");
            vec![Finding { level: Level::Fact, message }]
        }
    }
}

fn told(ticket: &Ticket, last: &Last, now: Timestamp) -> Finding {
    let todo = match ticket.renewable {
        Some(till) if till > ticket.ends => {
            format!("renew it with `kinit -R` (possible until {}) or get a new one with `kinit`", moment(till))
        }
        _ => "it cannot be renewed: get a new one with `kinit`".to_owned(),
    };
    last.ending(&format!("the Kerberos ticket of `{}`", one_line(&ticket.client, 120)), ticket.ends, now, &todo)
}

/// Where the cache is, if it is a file.
fn place() -> Result<PathBuf, String> {
    match std::env::var("KRB5CCNAME") {
        Ok(name) => of_name(&name),
        Err(_) => default(),
    }
}

fn of_name(name: &str) -> Result<PathBuf, String> {
    match name.split_once(':') {
        Some(("FILE", path)) => Ok(PathBuf::from(path)),
        // A drive's letter is no kind of cache.
        Some((kind, _)) if kind.len() > 1 && kind.chars().all(|c| c.is_ascii_alphanumeric()) => {
            Err(format!("it is kept in a cache of the kind `{kind}`, not in a file"))
        }
        _ => Ok(PathBuf::from(name)),
    }
}

#[cfg(unix)]
fn default() -> Result<PathBuf, String> {
    Ok(PathBuf::from(format!("/tmp/krb5cc_{}", nix::unistd::Uid::current())))
}

#[cfg(not(unix))]
fn default() -> Result<PathBuf, String> {
    Err("KRB5CCNAME names no file".to_owned())
}

fn read(path: &std::path::Path) -> Result<Ticket, String> {
    let shown = one_line(&path.display().to_string(), 200);
    match regular::read(path, LARGEST) {
        Ok(Some(bytes)) => parse(&bytes).map_err(|why| format!("`{shown}`: {why}")),
        Ok(None) => Err(format!("`{shown}` is larger than any credential cache")),
        Err(error) => Err(format!("`{shown}` cannot be read: {error}")),
    }
}

/// The newest ticket-granting ticket of the cache's own realm.
///
/// # Errors
/// It is no credential cache, or has no such ticket.
pub fn parse(bytes: &[u8]) -> Result<Ticket, String> {
    let broken = || "it is no credential cache that can be read".to_owned();
    let mut rest = Rest(bytes);
    let version = rest.u16().ok_or_else(broken)?;
    match version {
        0x0503 => {}
        0x0504 => {
            let header = rest.u16().ok_or_else(broken)?;
            rest.take(usize::from(header)).ok_or_else(broken)?;
        }
        other => return Err(format!("it is a credential cache of a version that is not known here ({other:#06x})")),
    }
    let owner = rest.principal().ok_or_else(broken)?;
    let mut best: Option<Ticket> = None;
    for _ in 0..MOST {
        if rest.0.is_empty() {
            break;
        }
        let (server, ticket) = rest.credential(version).ok_or_else(broken)?;
        let grants = server.realm == owner.realm && server.parts == [&b"krbtgt"[..], owner.realm];
        if grants && best.as_ref().is_none_or(|best| ticket.ends > best.ends) {
            best = Some(ticket);
        }
    }
    best.ok_or_else(|| "it holds no ticket-granting ticket".to_owned())
}

struct Principal<'b> {
    realm: &'b [u8],
    parts: Vec<&'b [u8]>,
}

impl Principal<'_> {
    fn name(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parts: Vec<String> = self.parts.iter().map(|part| text(part)).collect();
        format!("{}@{}", parts.join("/"), text(self.realm))
    }
}

/// What has not been read yet. Numbers are big-endian.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn data(&mut self) -> Option<&'b [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }

    fn count(&mut self) -> Option<u32> {
        self.u32().filter(|count| *count <= MOST)
    }

    fn principal(&mut self) -> Option<Principal<'b>> {
        let _kind = self.u32()?;
        let count = self.count()?;
        let realm = self.data()?;
        let mut parts = Vec::new();
        for _ in 0..count {
            parts.push(self.data()?);
        }
        Some(Principal { realm, parts })
    }

    /// One credential: for which service, and its times.
    fn credential(&mut self, version: u16) -> Option<(Principal<'b>, Ticket)> {
        let client = self.principal()?;
        let server = self.principal()?;
        self.u16()?;
        if version == 0x0503 {
            // The kind of the key stands there twice.
            self.u16()?;
        }
        let _key = self.data()?;
        let (_auth, _start, ends, till) = (self.u32()?, self.u32()?, self.u32()?, self.u32()?);
        let _for_user = self.take(1)?;
        let flags = self.u32()?;
        for _ in 0..2 {
            // Addresses, then authorization data: a kind and its bytes each.
            for _ in 0..self.count()? {
                self.u16()?;
                self.data()?;
            }
        }
        let (_ticket, _second) = (self.data()?, self.data()?);
        let time = |seconds: u32| Timestamp::from_second(i64::from(seconds)).ok();
        let renewable = if flags & RENEWABLE != 0 && till != 0 { time(till) } else { None };
        Some((server, Ticket { client: client.name(), ends: time(ends)?, renewable }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(bytes: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(bytes);
        out
    }

    fn principal(realm: &str, parts: &[&str]) -> Vec<u8> {
        let mut out = 1_u32.to_be_bytes().to_vec();
        out.extend(u32::try_from(parts.len()).unwrap().to_be_bytes());
        out.extend(data(realm.as_bytes()));
        for part in parts {
            out.extend(data(part.as_bytes()));
        }
        out
    }

    fn credential(realm: &str, service: &[&str], ends: u32, till: u32, flags: u32) -> Vec<u8> {
        let mut out = principal("CONTOSO.COM", &["svc-mig"]);
        out.extend(principal(realm, service));
        out.extend(18_u16.to_be_bytes());
        out.extend(data(&[7; 32]));
        for time in [1, 1, ends, till] {
            out.extend(u32::to_be_bytes(time));
        }
        out.push(0);
        out.extend(flags.to_be_bytes());
        // An address, and no authorization data.
        out.extend(1_u32.to_be_bytes());
        out.extend(2_u16.to_be_bytes());
        out.extend(data(&[127, 0, 0, 1]));
        out.extend(0_u32.to_be_bytes());
        out.extend(data(b"ticket"));
        out.extend(data(b""));
        out
    }

    fn cache(credentials: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![5, 4];
        // A header of twelve bytes: the offset of the centre's clock.
        out.extend(12_u16.to_be_bytes());
        out.extend([0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend(principal("CONTOSO.COM", &["svc-mig"]));
        for credential in credentials {
            out.extend(credential);
        }
        out
    }

    const OWN: [&str; 2] = ["krbtgt", "CONTOSO.COM"];

    fn at(seconds: u32) -> Timestamp {
        Timestamp::from_second(i64::from(seconds)).unwrap()
    }

    #[test]
    fn the_newest_ticket_of_the_own_realm_counts_and_nothing_else() {
        let bytes = cache(&[
            credential("X-CACHECONF:", &["krb5_ccache_conf_data", "fast_avail"], 0, 0, 0),
            credential("CONTOSO.COM", &OWN, 1000, 9000, RENEWABLE),
            credential("CONTOSO.COM", &OWN, 2000, 9000, RENEWABLE),
            credential("CONTOSO.COM", &["krbtgt", "OTHER.COM"], 5000, 0, 0),
            credential("CONTOSO.COM", &["ldap", "dc1.contoso.com"], 5000, 0, 0),
        ]);
        let expected = Ticket { client: "svc-mig@CONTOSO.COM".to_owned(), ends: at(2000), renewable: Some(at(9000)) };
        assert_eq!(parse(&bytes), Ok(expected));
        let fixed = parse(&cache(&[credential("CONTOSO.COM", &OWN, 2000, 9000, 0)])).unwrap();
        assert_eq!(fixed.renewable, None);
        assert!(parse(&cache(&[])).is_err_and(|why| why.contains("no ticket-granting ticket")));
    }

    #[test]
    fn a_cache_that_is_cut_or_forged_is_an_error_and_nothing_else() {
        let whole = cache(&[credential("CONTOSO.COM", &OWN, 1000, 0, 0)]);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length}");
        }
        for position in 0..whole.len() {
            let mut changed = whole.clone();
            changed[position] = 0xff;
            // No panic, no endless loop; what it says is not the point.
            let _ = parse(&changed);
        }
        assert!(parse(b"\x05\x01").is_err_and(|why| why.contains("version")));
        assert!(parse(&[0xff; 64]).is_err());
    }

    #[test]
    fn f66_a_ticket_that_ends_too_early_is_told_with_what_to_do() {
        let ticket = |renewable| Ticket { client: "svc-mig@CONTOSO.COM".to_owned(), ends: at(10_000), renewable };
        let last = Last::weekend(at(0));
        let found = told(&ticket(Some(at(600_000))), &last, at(0));
        assert_eq!(found.level, Level::Warning);
        assert!(found.message.contains("`kinit -R` (possible until 1970-01-07"), "{}", found.message);
        assert!(told(&ticket(None), &last, at(0)).message.contains("cannot be renewed: get a new one"));
    }

    #[test]
    fn only_a_cache_in_a_file_is_looked_for() {
        assert_eq!(of_name("FILE:/tmp/x"), Ok(PathBuf::from("/tmp/x")));
        assert_eq!(of_name("/tmp/x"), Ok(PathBuf::from("/tmp/x")));
        for other in ["KCM:", "KEYRING:persistent:0", "DIR:/run/x", "MEMORY:a"] {
            assert!(of_name(other).is_err(), "{other}");
        }
    }
}
