//! The lab's own certificate authority, and a certificate per domain controller and host.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::contoso::CONTROLLERS;
use super::directory::well_known::REALM;
use super::files::{Files, Trouble};
use super::lync::contoso::FRONT_ENDS;
use super::windows::contoso::{is_front_end, machines};

/// Makes whatever is missing of the certificates.
///
/// # Errors
/// They cannot be made or written.
pub fn ensure(files: &Files) -> Result<(), Trouble> {
    let names: Vec<String> =
        CONTROLLERS.iter().map(|name| (*name).to_owned()).chain(machines().into_iter().map(|machine| machine.name)).collect();
    if files.pki("ca.key").exists() && names.iter().all(|name| files.pki(&format!("{name}.pem")).exists()) {
        return Ok(());
    }
    let trouble = |error: rcgen::Error| Trouble::new(format!("the lab's certificates cannot be made: {error}"));
    let key = KeyPair::generate().map_err(trouble)?;
    let today = jiff::Zoned::now();
    let until = rcgen::date_time_ymd(i32::from(today.year()) + 10, 1, 1);
    let mut authority = CertificateParams::default();
    authority.not_after = until;
    authority.distinguished_name.push(DnType::CommonName, "relevo lab");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = authority.self_signed(&key).map_err(trouble)?;
    for name in &names {
        let own = KeyPair::generate().map_err(trouble)?;
        let host = format!("{name}.{REALM}");
        let mut names = vec![host.clone(), "localhost".to_owned(), "127.0.0.1".to_owned()];
        if CONTROLLERS.contains(&name.as_str()) {
            names.extend([REALM.to_owned(), "127.0.0.2".to_owned()]);
        } else {
            names.push(name.clone());
            if is_front_end(name) {
                names.push(FRONT_ENDS.to_owned());
            }
        }
        let mut params = CertificateParams::new(names).map_err(trouble)?;
        params.not_after = until;
        params.distinguished_name.push(DnType::CommonName, host);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issued = params.signed_by(&own, &Issuer::from_params(&authority, &key)).map_err(trouble)?;
        files.write(&files.pki(&format!("{name}.key")), own.serialize_pem().as_bytes())?;
        files.write(&files.pki(&format!("{name}.pem")), issued.pem().as_bytes())?;
    }
    files.write(&files.ca(), certificate.pem().as_bytes())?;
    // Last: it says that all of them are there.
    files.write(&files.pki("ca.key"), key.serialize_pem().as_bytes())
}

/// The certificate of a domain controller or a host.
///
/// # Errors
/// It cannot be read.
pub fn certificate(files: &Files, name: &str) -> Result<CertificateDer<'static>, Trouble> {
    CertificateDer::from_pem_file(files.pki(&format!("{name}.pem")))
        .map_err(|error| Trouble::new(format!("the lab's certificate of {name} cannot be used: {error}")))
}

/// How a domain controller or a host answers TLS.
///
/// # Errors
/// Its certificate or key cannot be read.
pub fn server(files: &Files, name: &str) -> Result<Arc<rustls::ServerConfig>, Trouble> {
    let unreadable =
        |what: &str, error: &dyn std::fmt::Display| Trouble::new(format!("the lab's {what} of {name} cannot be used: {error}"));
    let certificate = certificate(files, name)?;
    let key = PrivateKeyDer::from_pem_file(files.pki(&format!("{name}.key"))).map_err(|error| unreadable("key", &error))?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unreadable("protocol versions", &error))?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .map_err(|error| unreadable("certificate", &error))?;
    Ok(Arc::new(config))
}
