//! Samba's domain controller as Lync's directory: LDAP over TLS, as the administrator.
//!
//! Each operation has a connection and a thread of its own, so that it can be asked for from anywhere, and a server that went
//! away meanwhile is no matter. None takes longer than [`PATIENCE`].

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::{Ldap as Handle, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, Scope, SearchEntry};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::ADDRESS;
use crate::lab::contoso::CONTROLLERS;
use crate::lab::directory::well_known::REALM;
use crate::lab::files::{Files, Trouble};
use crate::lab::lync::directory::{Directory, Entry, READ};
use crate::secret::Secret;

/// The account that does it.
const ACCOUNT: &str = "Administrator";
/// How long an operation may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many entries a page holds.
const PAGE: i32 = 500;

/// How the domain controller is reached.
#[derive(Clone)]
pub struct Ldap {
    tls: Arc<rustls::ClientConfig>,
    password: Secret,
}

impl Ldap {
    /// Reads what a logon takes. Whether anybody answers shows itself later.
    ///
    /// # Errors
    /// The authority's certificate or the password cannot be read.
    pub fn open(files: &Files) -> Result<Self, Trouble> {
        let unreadable = |error: &dyn std::fmt::Display| Trouble::new(format!("the lab's Samba cannot be asked: {error}"));
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(files.ca()).map_err(|error| unreadable(&error))?;
        roots.add(authority).map_err(|error| unreadable(&error))?;
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unreadable(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let password = std::fs::read_to_string(files.password(ACCOUNT)).map_err(|error| unreadable(&error))?;
        Ok(Ldap { tls: Arc::new(tls), password: Secret::new(password.trim_end().to_owned()) })
    }

    /// Logs on, and does one thing.
    fn with<T: Send>(&self, work: impl AsyncFnOnce(&mut Handle) -> Result<T, String> + Send) -> Result<T, String> {
        let done = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| format!("The domain controller cannot be asked: {error}"))?;
            runtime.block_on(async {
                let all = async {
                    let mut ldap = self.log_on().await?;
                    let done = work(&mut ldap).await;
                    // What was asked for is done or not, whatever becomes of the farewell.
                    let _ = ldap.unbind().await;
                    done
                };
                tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| {
                    Err(format!("The domain controller did not answer within {} seconds.", PATIENCE.as_secs()))
                })
            })
        };
        std::thread::scope(|scope| scope.spawn(done).join()).unwrap_or_else(|_| Err("The lab failed.".to_owned()))
    }

    async fn log_on(&self) -> Result<Handle, String> {
        let settings = LdapConnSettings::new().set_config(Arc::clone(&self.tls));
        let url = format!("ldaps://{ADDRESS}:636");
        let none = |error: LdapError| format!("No domain controller of {REALM} could be contacted: {error}");
        let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &url).await.map_err(none)?;
        tokio::spawn(connection.drive());
        let name = format!("{ACCOUNT}@{REALM}");
        done(ldap.simple_bind(&name, self.password.reveal()).await)?;
        Ok(ldap)
    }
}

/// That a result is success.
fn done(result: Result<LdapResult, LdapError>) -> Result<(), String> {
    match result {
        Ok(result) if result.rc == 0 => Ok(()),
        Ok(result) => Err(format!("The directory refused it ({}): {}", result.rc, result.text.trim_end())),
        Err(error) => Err(format!("The domain controller's answer was not understood: {error}")),
    }
}

impl Directory for Ldap {
    fn ask(&mut self, controller: &str) -> Result<(), String> {
        let name = CONTROLLERS[0];
        let is = controller.eq_ignore_ascii_case(name) || controller.eq_ignore_ascii_case(&format!("{name}.{REALM}"));
        if is { Ok(()) } else { Err(format!("The domain controller \"{controller}\" could not be contacted.")) }
    }

    fn search(&mut self, base: &str, filter: &str) -> Result<Vec<Entry>, String> {
        if ldap3::parse_filter(filter).is_err() {
            return Err(format!("\"{filter}\" is not a filter of LDAP."));
        }
        self.with(async |ldap| {
            let pages: Vec<Box<dyn Adapter<_, _>>> = vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
            let lost = |error: LdapError| format!("The domain controller's answer was not understood: {error}");
            let mut search =
                ldap.streaming_search_with(pages, base, Scope::Subtree, filter, READ.to_vec()).await.map_err(lost)?;
            let mut found = Vec::new();
            while let Some(entry) = search.next().await.map_err(lost)? {
                let entry = SearchEntry::construct(entry);
                let bytes = |values: Vec<String>| values.into_iter().map(String::into_bytes).collect();
                let texts = entry.attrs.into_iter().map(|(name, values)| (name, bytes(values)));
                found.push(Entry::new(entry.dn, texts.chain(entry.bin_attrs)));
            }
            done(Ok(search.finish().await))?;
            Ok(found)
        })
    }

    fn add(&mut self, dn: &str, attributes: &[(&str, &str)]) -> Result<(), String> {
        let all: Vec<(&str, HashSet<&str>)> = attributes.iter().map(|(name, value)| (*name, HashSet::from([*value]))).collect();
        self.with(async |ldap| done(ldap.add(dn, all).await))
    }

    fn replace(&mut self, guid: &str, attributes: &[(&str, Vec<String>)]) -> Result<(), String> {
        let all: Vec<Mod<String>> =
            attributes.iter().map(|(name, values)| Mod::Replace((*name).to_owned(), values.iter().cloned().collect())).collect();
        self.with(async |ldap| done(ldap.modify(&format!("<GUID={guid}>"), all).await))
    }

    fn delete(&mut self, guid: &str) -> Result<(), String> {
        self.with(async |ldap| done(ldap.delete(&format!("<GUID={guid}>")).await))
    }
}
