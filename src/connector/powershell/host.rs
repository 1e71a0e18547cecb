//! A host of the targets file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value};

use crate::connector::tls;
use crate::plan::Targets;
use crate::remoting::auth::{Account, Method, Wrapping};
use crate::remoting::http::{Address, Endpoint, Limits, Verification};
use crate::secret::{Secret, SecretRef};
use crate::time::Span;

/// For connecting, and for the logon.
const TIMEOUT: Span = Span::from_secs(15);
/// Between two looks.
const POLL: Span = Span::from_secs(5);
const SHORTEST_POLL: Span = Span::from_millis(10);
/// What Windows calls its own session configuration.
const CONFIGURATION: &str = "Microsoft.PowerShell";

/// How one host is reached.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name in the targets file.
    pub name: String,
    /// Where it answers.
    pub address: Address,
    /// `host:port` to connect to instead.
    pub connect_to: Option<String>,
    /// The certificate authority's file, if not the system's own.
    pub ca: Option<PathBuf>,
    /// Whether its certificate is checked.
    pub verification: Verification,
    /// How to log on.
    pub logon: Logon,
    /// The session configuration.
    pub configuration: String,
    /// Hosts to which a redirect is followed.
    pub redirects: Vec<String>,
    /// For connecting, and for the logon.
    pub timeout: Span,
    /// Between two looks at something that changes by itself.
    pub poll: Span,
    /// How long something must hold before it is believed, where an action has a reason to doubt a single look.
    pub stable_for: Option<Span>,
}

/// How to log on. Secrets are references still.
#[derive(Debug, Clone)]
pub enum Logon {
    /// NTLM, in SPNEGO.
    Ntlm {
        /// The account.
        user: String,
        /// Its password.
        password: SecretRef,
    },
    /// Kerberos, in SPNEGO.
    Kerberos {
        /// The account.
        user: String,
        /// Its password.
        password: SecretRef,
        /// Key distribution centres.
        kdc: Vec<String>,
        /// The service of the principal.
        service: String,
        /// The host of the principal, if not the URL's.
        service_host: Option<String>,
    },
    /// User and password in every request.
    Basic {
        /// The account.
        user: String,
        /// Its password.
        password: SecretRef,
    },
    /// A client certificate.
    Certificate {
        /// The chain, in PEM.
        file: PathBuf,
        /// The private key, in PEM.
        key: PathBuf,
    },
}

impl Logon {
    /// The account, as written; the file of a certificate.
    #[must_use]
    pub fn account(&self) -> String {
        match self {
            Logon::Ntlm { user, .. } | Logon::Kerberos { user, .. } | Logon::Basic { user, .. } => user.clone(),
            Logon::Certificate { file, .. } => format!("the certificate {}", file.display()),
        }
    }

    fn password(&self) -> Option<&SecretRef> {
        match self {
            Logon::Ntlm { password, .. } | Logon::Kerberos { password, .. } | Logon::Basic { password, .. } => Some(password),
            Logon::Certificate { .. } => None,
        }
    }
}

/// When the certificates of a connection expire.
#[derive(Debug, Clone, Default)]
pub struct Expiries {
    /// The server's, once it was proved.
    pub server: tls::Watch,
    /// Ours, if we log on with one.
    pub own: Option<jiff::Timestamp>,
}

impl Host {
    /// Reads a host. `longest_wait` shortens what it waits (in the lab).
    ///
    /// # Errors
    /// There is none of that name, or what it says cannot be used.
    pub fn read(targets: &Targets, name: &str, longest_wait: Option<Span>) -> Result<Self, String> {
        let hosts = targets.value.get("hosts").and_then(Value::as_object);
        let Some(keys) = hosts.and_then(|all| all.get(name)).and_then(Value::as_object) else {
            return Err(match targets.names.get(name) {
                Some(kind) => format!("`{name}` stands under `{kind}` in the targets file; a host stands under `hosts`"),
                None => format!("the targets file has no host `{name}`"),
            });
        };
        let wrong = |message: String| format!("the host `{name}`: {message}");
        let url = text(keys, "url").ok_or_else(|| wrong("`url` is missing".to_owned()))?;
        // What is not Windows' own service lives on a web server, with the ports of one.
        let own = url.trim_end_matches('/').to_ascii_lowercase().ends_with("/wsman");
        let address = Address::parse(url, !own).map_err(|error| wrong(error.to_string()))?;
        let logon = logon(keys).map_err(wrong)?;
        if !address.tls && matches!(logon, Logon::Basic { .. } | Logon::Certificate { .. }) {
            return Err(wrong("its way to log on needs `https`".to_owned()));
        }
        let span = |text: Option<&str>, what: &str| match text {
            None => Ok(None),
            Some(text) => text.parse::<Span>().map(Some).map_err(|_| wrong(format!("`{what}` is no duration"))),
        };
        let settle = keys.get("settle").and_then(Value::as_object);
        let poll = span(settle.and_then(|settle| text(settle, "poll")), "poll")?.unwrap_or(POLL);
        let stable_for = span(settle.and_then(|settle| text(settle, "stable_for")), "stable_for")?;
        let skip = keys.get("verify").and_then(|verify| verify.get("skip")).and_then(Value::as_str);
        Ok(Host {
            name: name.to_owned(),
            address,
            connect_to: text(keys, "address").map(str::to_owned),
            ca: text(keys, "ca").map(|ca| beside(targets, ca)),
            verification: skip.map_or(Verification::Full, |reason| Verification::Skipped { reason: reason.to_owned() }),
            logon: match logon {
                Logon::Certificate { file, key } => Logon::Certificate {
                    file: beside(targets, &file.to_string_lossy()),
                    key: beside(targets, &key.to_string_lossy()),
                },
                other => other,
            },
            configuration: text(keys, "configuration").unwrap_or(CONFIGURATION).to_owned(),
            redirects: texts(keys, "redirect_to"),
            timeout: span(text(keys, "timeout"), "timeout")?.filter(|span| *span > Span::ZERO).unwrap_or(TIMEOUT),
            poll: longest_wait.map_or(poll, |most| poll.min(most)).max(SHORTEST_POLL),
            stable_for,
        })
    }

    /// Everything that a connection needs, the password fetched.
    ///
    /// # Errors
    /// A file or the password cannot be had, or the account is no name.
    pub async fn endpoint(&self) -> Result<(Endpoint, Option<Secret>, Expiries), String> {
        let password = match self.logon.password().cloned() {
            None => None,
            Some(reference) => {
                // A command runs, or a person types: not on the thread that everything else runs on.
                let resolved = tokio::task::spawn_blocking(move || reference.resolve()).await;
                let resolved = resolved.map_err(|_| "the password cannot be had".to_owned())?;
                Some(resolved.map_err(|error| format!("the password cannot be had: {error}; {}", error.hint))?)
            }
        };
        let account = |user: &str| Account::parse(user).map_err(|error| error.to_string());
        let known = password.clone().unwrap_or_else(|| Secret::new(String::new()));
        let method = match &self.logon {
            Logon::Ntlm { user, .. } => Method::Ntlm { account: account(user)?, password: known, wrapping: Wrapping::Spnego },
            Logon::Kerberos { user, kdc, service, service_host, .. } => Method::Kerberos {
                account: account(user)?,
                password: known,
                kdcs: kdc.clone(),
                service: service.clone(),
                host: service_host.clone(),
                wrapping: Wrapping::Spnego,
            },
            Logon::Basic { user, .. } => Method::Basic { account: user.clone(), password: known },
            Logon::Certificate { .. } => Method::Certificate,
        };
        let (tls, expiries) = if self.address.tls {
            self.tls().map(|(config, expiries)| (Some(config), expiries))?
        } else {
            (None, Expiries::default())
        };
        let timeout = self.timeout.to_std();
        let limits = Limits { connect: timeout, logon: timeout.max(Duration::from_secs(30)), ..Limits::default() };
        let endpoint = Endpoint {
            address: self.address.clone(),
            connect_to: self.connect_to.clone(),
            tls,
            verification: self.verification.clone(),
            method,
            redirects: self.redirects.clone(),
            limits,
        };
        Ok((endpoint, password, expiries))
    }

    fn tls(&self) -> Result<(Arc<rustls::ClientConfig>, Expiries), String> {
        let Logon::Certificate { file, key } = &self.logon else {
            let (config, server) = tls::watched(self.ca.as_deref(), None)?;
            return Ok((config, Expiries { server, own: None }));
        };
        let cannot = |path: &PathBuf, error: &dyn std::fmt::Display| format!("cannot read `{}`: {error}", path.display());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(|error| cannot(file, &error))?.collect();
        let chain = chain.map_err(|error| cannot(file, &error))?;
        // What is wrong with a key may hold a part of it.
        let key = PrivateKeyDer::from_pem_file(key).map_err(|_| cannot(key, &"it is no PEM file with a private key"))?;
        let own = chain.first().and_then(|own| tls::facts(own)).map(|facts| facts.not_after);
        let (config, server) = tls::watched(self.ca.as_deref(), Some((chain, key)))?;
        Ok((config, Expiries { server, own }))
    }
}

fn logon(keys: &Map<String, Value>) -> Result<Logon, String> {
    let Some(auth) = keys.get("auth").and_then(Value::as_object) else {
        return Err("`auth` is missing; write `auth: { negotiate: { user: …, password: { env: … } } }`".to_owned());
    };
    let within = |way: &str| auth.get(way).and_then(Value::as_object);
    let account = |keys: &Map<String, Value>| {
        let user = text(keys, "user").ok_or("`user` is missing")?.to_owned();
        let reference = keys.get("password").and_then(|value| value.get("$secret")).cloned();
        let reference = reference.and_then(|reference| serde_json::from_value(reference).ok());
        let reference = reference.ok_or("`password` must be a reference to a secret, such as `{ env: MIG_PASSWORD }`")?;
        Ok::<_, String>((user, reference))
    };
    if let Some(keys) = within("negotiate") {
        let (user, password) = account(keys)?;
        if text(keys, "package") != Some("kerberos") {
            return Ok(Logon::Ntlm { user, password });
        }
        let kdc = texts(keys, "kdc");
        if kdc.is_empty() {
            return Err("Kerberos needs `kdc`".to_owned());
        }
        let service = text(keys, "service").unwrap_or("HTTP").to_owned();
        return Ok(Logon::Kerberos { user, password, kdc, service, service_host: text(keys, "service_host").map(str::to_owned) });
    }
    if let Some(keys) = within("basic") {
        let (user, password) = account(keys)?;
        return Ok(Logon::Basic { user, password });
    }
    if let Some(keys) = within("certificate") {
        let path = |key: &str| text(keys, key).map(PathBuf::from).ok_or_else(|| format!("`{key}` is missing"));
        return Ok(Logon::Certificate { file: path("file")?, key: path("key")? });
    }
    Err("`auth` names no way to log on".to_owned())
}

/// A path of the targets file starts beside it.
fn beside(targets: &Targets, path: &str) -> PathBuf {
    let folder = targets.path.as_deref().and_then(std::path::Path::parent);
    folder.map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
}

fn text<'k>(keys: &'k Map<String, Value>, key: &str) -> Option<&'k str> {
    keys.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

fn texts(keys: &Map<String, Value>, key: &str) -> Vec<String> {
    let items = keys.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
