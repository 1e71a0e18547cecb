//! Certificates, good and bad.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The name that the tests' certificates are for.
pub const HOST: &str = "dc1.contoso.lan";

/// An authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A server's certificate and key.
pub struct Identity {
    /// DER.
    pub certificate: Vec<u8>,
    /// PEM.
    pub pem: String,
    /// The key.
    pub key: KeyPair,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2045, 1, 1);
    params
}

/// What a good server certificate is made of.
pub fn server() -> CertificateParams {
    let mut params = params(HOST);
    params.subject_alt_names = vec![SanType::DnsName(HOST.try_into().unwrap()), SanType::IpAddress("127.0.0.1".parse().unwrap())];
    params
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let mut authority = params(name);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(authority, key), pem }
    }

    /// Writes its certificate.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("ca.pem");
        std::fs::write(&path, &self.pem).unwrap();
        path
    }

    /// Signs.
    pub fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.der().to_vec(), pem: certificate.pem(), key }
    }
}

/// A certificate that signs itself.
pub fn self_signed(params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity { certificate: certificate.der().to_vec(), pem: certificate.pem(), key }
}

impl Identity {
    /// A server's configuration.
    pub fn config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(self.certificate.clone())], key)
            .unwrap();
        Arc::new(config)
    }
}
