//! A directory of the targets file.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::plan::Targets;
use crate::secret::SecretRef;
use crate::time::Span;

/// Of connecting, and of one operation.
const TIMEOUT: Span = Span::from_secs(10);
/// For how long a condition must hold.
const STABLE_FOR: Span = Span::from_secs(30);
/// Between two looks.
const POLL: Span = Span::from_secs(5);
/// A look more often than this would be a load of its own.
const SHORTEST_POLL: Span = Span::from_millis(10);

/// How one directory is reached.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in the targets file.
    pub name: String,
    /// Where it answers.
    pub url: Url,
    /// Where a global catalog answers; by default every domain controller that is one, at its port.
    pub global_catalog: Option<Url>,
    /// The certificate authority's file, if not the system's own.
    pub ca: Option<PathBuf>,
    /// How to log on.
    pub bind: Bind,
    /// The domain's DNS name that it must be; another one is refused.
    pub domain: Option<String>,
    /// Host or `host:port` → address, with a port or without, to connect to instead. The certificate must still be for the host.
    pub addresses: BTreeMap<String, String>,
    /// How long connecting, and one operation, may take each.
    pub timeout: Span,
    /// For how long a condition must hold on all servers.
    pub stable_for: Span,
    /// Between two looks.
    pub poll: Span,
    /// How long to wait for a condition in all, if the step has no timeout.
    pub settle_timeout: Option<Span>,
}

/// `ldaps://host[:port]`, or `ldap://host[:port]` for StartTLS. Never without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// True for StartTLS.
    pub start_tls: bool,
    /// The host; what the certificate must be for.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", if self.start_tls { "ldap" } else { "ldaps" }, self.host, self.port)
    }
}

impl Url {
    /// Reads `ldaps://host[:port]` or `ldap://host[:port]`; 636 and 389 unless a port is given.
    ///
    /// # Errors
    /// It is something else: says what and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| format!("`{text}` is not a URL; write `ldaps://dc1.contoso.com`"))?;
        let start_tls = match scheme.to_ascii_lowercase().as_str() {
            "ldaps" => false,
            "ldap" => true,
            _ => {
                return Err(format!(
                    "`{text}` is not the URL of a directory; it begins with `ldaps://`, or with `ldap://` for StartTLS"
                ));
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.starts_with('[') {
            return Err(format!("`{text}`: write a name, for which the certificate can be; `addresses` says where to connect"));
        }
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => {
                let port: u16 = port.parse().map_err(|_| format!("`{text}`: `{port}` is not a port"))?;
                (host, port)
            }
            None => (rest, if start_tls { 389 } else { 636 }),
        };
        let fits =
            !host.is_empty() && host.len() <= 253 && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        if !fits || port == 0 {
            return Err(format!(
                "`{text}` is not the URL of a directory; write `ldaps://dc1.contoso.com` or `ldaps://dc1.contoso.com:636`"
            ));
        }
        Ok(Url { start_tls, host: host.to_owned(), port })
    }
}

/// How to log on.
#[derive(Debug, Clone)]
pub enum Bind {
    /// A name (`user@realm`, `DOMAIN\user` or a DN) and a password.
    Simple {
        /// The name.
        user: String,
        /// The password.
        password: SecretRef,
    },
    /// The Kerberos ticket of whoever runs relevo.
    Kerberos,
}

impl Target {
    /// Reads a target. `longest_wait` shortens what it waits (in the lab).
    ///
    /// # Errors
    /// There is none of that name, or what it says cannot be used.
    pub fn read(targets: &Targets, name: &str, longest_wait: Option<Span>) -> Result<Self, String> {
        let directories = targets.value.get("directories").and_then(Value::as_object);
        let Some(keys) = directories.and_then(|all| all.get(name)).and_then(Value::as_object) else {
            return Err(match targets.names.get(name) {
                Some(kind) => {
                    format!("`{name}` stands under `{kind}` in the targets file; a directory stands under `directories`")
                }
                None => format!("the targets file has no directory `{name}`"),
            });
        };
        let wrong = |message: String| format!("the directory `{name}`: {message}");
        let url = Url::parse(text(keys, "url").ok_or_else(|| wrong("`url` is missing".to_owned()))?).map_err(wrong)?;
        let global_catalog = text(keys, "global_catalog").map(Url::parse).transpose().map_err(wrong)?;
        let settle = keys.get("settle").and_then(Value::as_object);
        let in_settle = |key: &str| settle.map_or(Ok(None), |settle| length(settle, key)).map_err(wrong);
        let shortened = |length: Span| longest_wait.map_or(length, |most| length.min(most));
        Ok(Target {
            name: name.to_owned(),
            url,
            global_catalog,
            ca: text(keys, "ca").map(PathBuf::from),
            bind: bind(keys).map_err(wrong)?,
            domain: text(keys, "domain").map(str::to_owned),
            addresses: addresses(keys).map_err(wrong)?,
            timeout: length(keys, "timeout").map_err(wrong)?.filter(|span| *span > Span::ZERO).unwrap_or(TIMEOUT),
            stable_for: shortened(in_settle("stable_for")?.unwrap_or(STABLE_FOR)),
            poll: shortened(in_settle("poll")?.unwrap_or(POLL)).max(SHORTEST_POLL),
            settle_timeout: in_settle("timeout")?,
        })
    }

    /// Where to connect for a host and a port, if the targets file says so.
    #[must_use]
    pub fn address_of(&self, host: &str, port: u16) -> Option<SocketAddr> {
        let with_port = format!("{host}:{port}");
        let find = |name: &str| self.addresses.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, address)| address);
        find(&with_port).or_else(|| find(host)).and_then(|address| socket(address, port))
    }
}

/// An address with a port, or one that is reached at the port of the URL.
fn socket(text: &str, port: u16) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, port)))
}

fn text<'a>(keys: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    keys.get(key).and_then(Value::as_str)
}

fn length(keys: &Map<String, Value>, key: &str) -> Result<Option<Span>, String> {
    let Some(value) = keys.get(key) else { return Ok(None) };
    let text = value.as_str().ok_or_else(|| format!("`{key}` must be a length of time such as `10s`"))?;
    text.parse().map(Some).map_err(|error: crate::time::TimeError| format!("`{key}`: {}", error.message))
}

fn bind(keys: &Map<String, Value>) -> Result<Bind, String> {
    let Some(bind) = keys.get("bind").and_then(Value::as_object) else {
        return Err("`bind` is missing; write `bind: { user: …, password: { env: … } }` or `bind: { kerberos: true }`".to_owned());
    };
    if let Some(key) = bind.keys().find(|key| !matches!(key.as_str(), "user" | "password" | "kerberos")) {
        return Err(format!("`bind` has no key `{key}`; it is `{{ user, password }}` or `{{ kerberos: true }}`"));
    }
    if let Some(kerberos) = bind.get("kerberos") {
        if bind.len() > 1 {
            return Err("`bind` names both Kerberos and a password; one of them".to_owned());
        }
        if kerberos != &Value::Bool(true) {
            return Err("`kerberos` is `true`, or is left out".to_owned());
        }
        return Ok(Bind::Kerberos);
    }
    let user = bind.get("user").and_then(Value::as_str).map(str::trim).unwrap_or_default();
    if user.is_empty() {
        return Err("`bind` names no `user`; a logon without a name would be an anonymous one".to_owned());
    }
    let reference = bind.get("password").and_then(|value| value.get("$secret")).cloned();
    let password = reference.and_then(|reference| serde_json::from_value(reference).ok());
    let Some(password) = password else {
        return Err("`bind` names no `password`; write a reference such as `{ env: AD_PASSWORD }`".to_owned());
    };
    Ok(Bind::Simple { user: user.to_owned(), password })
}

fn addresses(keys: &Map<String, Value>) -> Result<BTreeMap<String, String>, String> {
    let Some(value) = keys.get("addresses") else { return Ok(BTreeMap::new()) };
    let map = value.as_object().ok_or("`addresses` must be a map from a host to an address")?;
    let mut addresses = BTreeMap::new();
    for (host, address) in map {
        let Some(address) = address.as_str().filter(|address| socket(address, 0).is_some()) else {
            return Err(format!("`addresses`: what stands beside `{host}` is no address such as `10.0.0.12` or `10.0.0.12:636`"));
        };
        addresses.insert(host.clone(), address.to_owned());
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn targets(directory: Value) -> Targets {
        let value = json!({ "directories": { "contoso": directory }, "hosts": { "web": { "url": "https://web" } } });
        let Value::Object(value) = value else { unreachable!("written as a map") };
        let names = [("contoso", "directories"), ("web", "hosts")];
        Targets { value, names: names.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into(), ..Targets::default() }
    }

    fn bound(extra: Value) -> Value {
        let mut directory = json!({
            "url": "ldaps://dc1.contoso.com",
            "bind": { "user": "svc@contoso.com", "password": { "$secret": { "env": "AD" } } },
        });
        for (key, value) in extra.as_object().cloned().unwrap_or_default() {
            directory[key] = value;
        }
        directory
    }

    #[test]
    fn a_target_has_the_values_of_its_file_and_the_documented_ones_otherwise() {
        let target = Target::read(&targets(bound(json!({}))), "contoso", None).unwrap();
        assert_eq!(target.url.to_string(), "ldaps://dc1.contoso.com:636");
        assert_eq!((target.timeout, target.stable_for, target.poll), (TIMEOUT, STABLE_FOR, POLL));
        assert_eq!(target.settle_timeout, None);
        let told = bound(json!({
            "url": "ldap://dc2.contoso.com", "ca": "/etc/ca.pem", "domain": "contoso.com", "timeout": "3s",
            "settle": { "stable_for": "2m", "poll": "7s", "timeout": "1h" }, "global_catalog": "ldaps://gc:3269",
            "addresses": { "dc2.contoso.com": "10.0.0.2:1389", "dc3.contoso.com": "10.0.0.3", "dc4": "fd00::4", "GC:3269": "10.0.0.3:3269" },
        }));
        let target = Target::read(&targets(told), "contoso", Some(Span::from_secs(1))).unwrap();
        assert_eq!(target.url, Url { start_tls: true, host: "dc2.contoso.com".to_owned(), port: 389 });
        assert_eq!(
            (target.timeout, target.stable_for, target.poll),
            (Span::from_secs(3), Span::from_secs(1), Span::from_secs(1))
        );
        assert_eq!(target.settle_timeout, Some(Span::from_secs(3600)));
        assert_eq!(target.address_of("DC2.contoso.com", 636), "10.0.0.2:1389".parse().ok());
        assert_eq!(target.address_of("gc", 3269), "10.0.0.3:3269".parse().ok());
        assert_eq!(target.address_of("dc3.contoso.com", 3269), "10.0.0.3:3269".parse().ok());
        assert_eq!(target.address_of("dc4", 636), "[fd00::4]:636".parse().ok());
        assert_eq!(target.address_of("gc", 636), None);
    }

    #[test]
    fn what_cannot_be_used_is_told_with_what_to_write() {
        let error = |directory: Value| Target::read(&targets(directory), "contoso", None).unwrap_err();
        assert!(error(bound(json!({ "bind": { "kerberos": true, "user": "x" } }))).contains("both"));
        assert!(
            error(bound(json!({ "bind": { "user": " ", "password": { "$secret": { "env": "AD" } } } }))).contains("anonymous")
        );
        assert!(error(bound(json!({ "bind": { "user": "x" } }))).contains("no `password`"));
        assert!(error(bound(json!({ "bind": { "kerberos": "yes" } }))).contains("`true`"));
        assert!(error(bound(json!({ "bind": { "dn": "x" } }))).contains("no key `dn`"));
        assert!(error(bound(json!({ "url": "https://dc1" }))).contains("`ldaps://`"));
        assert!(error(bound(json!({ "url": "ldaps://dc1/ou=x" }))).contains("not the URL of a directory"));
        assert!(error(bound(json!({ "url": "ldaps://[::1]" }))).contains("`addresses`"));
        assert!(error(bound(json!({ "url": "ldaps://dc1:99999" }))).contains("not a port"));
        assert!(error(bound(json!({ "addresses": { "dc1": "dc2:636" } }))).contains("beside `dc1`"));
        assert!(Target::read(&targets(bound(json!({}))), "web", None).unwrap_err().contains("under `hosts`"));
        assert!(Target::read(&targets(bound(json!({}))), "nobody", None).unwrap_err().contains("no directory `nobody`"));
    }
}
