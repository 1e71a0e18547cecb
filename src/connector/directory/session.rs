//! One connection to one server, logged on over TLS. The only place that knows ldap3.
//!
//! A [`Session`] reads. Only [`Session::writer`] gives what can write, so that nothing that looks can.
//!
//! ```text
//! dial       connects and proves the certificate; gives a `Secured`, without which nothing logs on
//! start_tls  the one exchange before TLS
//! logon      the logon, and what its refusals mean
//! root       the root DSE
//! link       one operation: bounded in time, and a library that panics does not take us with it
//! read       searches, page by page
//! write      delete and modify
//! ```

mod dial;
mod link;
mod logon;
mod read;
mod root;
mod start_tls;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;

use super::target::{Target, Url};
use crate::connector::refused::Refused;

pub use root::{dns_name, generalized_time};

/// Opens sessions, and remembers refused logons: one bad password is not sent twice within a minute, because three
/// would lock the account.
#[derive(Debug, Clone, Default)]
pub struct Dialer {
    refused: Arc<Refused>,
}

/// Which server of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// The one that the target's URL names.
    Url,
    /// A domain controller by its DNS name, at the port of the target's URL.
    Host(String),
    /// A global catalog: by the target's `global_catalog`, or on this domain controller.
    GlobalCatalog(String),
}

/// Why there is no session. Nothing that was asked for has been sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OpenError {
    /// What kind of trouble it is.
    pub kind: Trouble,
    /// For people.
    pub message: String,
}

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// No address, no answer, or none in time.
    Unreachable,
    /// TLS was refused, or is not what it must be. No credential has left.
    Tls,
    /// The server refused the logon.
    Logon,
    /// It was refused lately and is not tried again yet.
    LogonHeld,
    /// The password cannot be had, or the target cannot be used as it is written.
    Local,
    /// It is not the directory that the target says.
    WrongDirectory,
}

/// What the server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootDse {
    /// Its DNS name.
    pub host: String,
    /// `DC=contoso,DC=com`.
    pub domain: String,
    /// `CN=Configuration,…`.
    pub configuration: String,
    /// `CN=Schema,…`.
    pub schema: String,
    /// The forest's root domain.
    pub forest: String,
    /// The DN of its `nTDSDSA` object; its objectGUID is the DSA GUID.
    pub settings: String,
    /// Its clock.
    pub time: Option<jiff::Timestamp>,
    /// Whether it is a global catalog.
    pub global_catalog: bool,
    /// The controls that it knows.
    pub controls: Vec<String>,
}

impl RootDse {
    /// Whether it is Active Directory at all (or says so): it has a domain and a configuration.
    #[must_use]
    pub fn is_active_directory(&self) -> bool {
        !self.domain.is_empty() && !self.configuration.is_empty()
    }
}

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The base alone.
    Base,
    /// Its children.
    One,
    /// Everything below, and the base.
    Subtree,
}

/// Whether deleted objects are seen (control 1.2.840.113556.1.4.417, critical).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// They do not exist.
    Hidden,
    /// They are seen beside the others.
    Shown,
}

/// Why a read gave nothing that can be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    /// The result code, if the server gave one.
    pub code: Option<u32>,
    /// For people.
    pub message: String,
}

/// One connection, logged on.
pub struct Session {
    link: link::Link,
    root: RootDse,
    about: About,
}

/// What is known of a connection itself.
#[derive(Debug, Clone)]
pub struct About {
    /// The address that was connected to.
    pub address: SocketAddr,
    /// When the server's certificate expires, if that could be read.
    pub certificate_expires: Option<jiff::Timestamp>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("host", &self.root.host).field("about", &self.about).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Connects, proves the server's certificate, logs on, and reads the root DSE.
    ///
    /// # Errors
    /// Any of that failed. Nothing was asked for yet.
    pub async fn open(&self, target: &Target, server: &Server) -> Result<Session, OpenError> {
        let url = url_of(target, server);
        let credential = logon::Credential::of(&target.bind).await?;
        let secured = dial::secure(target, &url).await?;
        let (mut link, about) = logon::log_on(secured, &credential, target, &url, &self.refused).await?;
        let root = root::read(&mut link).await.map_err(|error| OpenError {
            kind: Trouble::Unreachable,
            message: format!("logged on to `{}`, but what it says of itself could not be read: {}", url.host, error.message),
        })?;
        root::check(&root, target, server)?;
        Ok(Session { link, root, about })
    }
}

/// The port of global catalogs with TLS (\[MS-ADTS\] 3.1.1.3.1.1.2).
const GLOBAL_CATALOG_TLS: u16 = 3269;
/// The port of global catalogs for StartTLS.
const GLOBAL_CATALOG: u16 = 3268;

/// Where a server answers.
fn url_of(target: &Target, server: &Server) -> Url {
    match (server, &target.global_catalog) {
        (Server::Url, _) => target.url.clone(),
        (Server::Host(host), _) => Url { host: host.clone(), ..target.url },
        (Server::GlobalCatalog(_), Some(url)) => url.clone(),
        (Server::GlobalCatalog(host), None) => {
            let port = if target.url.start_tls { GLOBAL_CATALOG } else { GLOBAL_CATALOG_TLS };
            Url { host: host.clone(), port, start_tls: target.url.start_tls }
        }
    }
}

impl Session {
    /// What the server says of itself.
    #[must_use]
    pub fn root(&self) -> &RootDse {
        &self.root
    }

    /// What is known of the connection itself.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// What can write.
    #[must_use]
    pub fn writer(self) -> Writer {
        Writer { session: self }
    }
}

/// A session that can write.
pub struct Writer {
    session: Session,
}

/// One change of a modify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Adds these values.
    Add(String, Vec<Vec<u8>>),
    /// Deletes these values; all if none are given.
    Delete(String, Vec<Vec<u8>>),
    /// Puts these values in place of all.
    Replace(String, Vec<Vec<u8>>),
}

/// What became of a write: the table of results in [`super::outcome`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The result code, if one came.
    pub code: Option<u32>,
    /// What it means.
    pub outcome: Outcomes,
    /// For people; what the server said, made harmless.
    pub message: String,
}

/// What a result means for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcomes {
    /// Done.
    Applied,
    /// Refused, and nothing was changed.
    Rejected,
    /// By identity: the object is not among the living. Whether it was deleted, its tombstone says.
    Gone,
    /// Nothing left this machine.
    NotSent,
    /// Cannot be told.
    Unknown,
}

impl Writer {
    /// Back to reading, on the same connection.
    #[must_use]
    pub fn reader(&mut self) -> &mut Session {
        &mut self.session
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_used_by_tasks_on_any_thread() {
        fn send<T: Send>(_: &T) {}
        let (dialer, value) = (
            Dialer::default(),
            serde_json::json!({ "directories": { "d": {
            "url": "ldaps://dc1", "bind": { "user": "u", "password": { "$secret": { "env": "P" } } },
        } } }),
        );
        let serde_json::Value::Object(value) = value else { unreachable!("written as a map") };
        let target = Target::read(&crate::plan::Targets { value, ..Default::default() }, "d", None).unwrap();
        send(&dialer.open(&target, &Server::Url));
        let _ = |mut writer: Writer| {
            send(&writer.delete(super::super::guid::Guid::parse("766ddcd8-acd0-445e-f3b9-a7f9b6744f2a").unwrap()));
        };
    }
}
