//! The one constructor of a TLS configuration, and what its refusals mean.
//!
//! TLS 1.2 and 1.3, ring, the certificate proved by webpki against `ca` alone or the system's store. There is no way to
//! prove less: `clippy.toml` refuses the methods that would turn it off.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, RootCertStore,
    SignatureScheme,
};

use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::foreign::one_line;

/// Longest text of foreign origin in a message.
const LONGEST: usize = 200;
/// What a certificate signed by itself is reported as; rustls has no word of its own.
const SELF_SIGNED: &str = "the certificate is signed by itself";

/// A certificate chain and its private key.
pub type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The configuration for a target: trusts `ca` alone, or the system's store if there is none.
///
/// # Errors
/// The file cannot be read or holds no certificate, or the system has no store.
pub fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    config_with(ca, None)
}

/// The same, with a certificate of our own to show.
///
/// # Errors
/// As [`config`]; or certificate and key do not belong together.
pub fn config_with(ca: Option<&Path>, own: Option<Own>) -> Result<Arc<ClientConfig>, String> {
    watched(ca, own).map(|(config, _)| config)
}

/// What was seen of the server's certificate in the last handshake that it was proved in.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Mutex<Option<Timestamp>>>);

impl Watch {
    /// When it expires; `None` before the first handshake, and where it is not checked.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same, and what is seen of the server's certificate.
///
/// # Errors
/// As [`config_with`].
pub fn watched(ca: Option<&Path>, own: Option<Own>) -> Result<(Arc<ClientConfig>, Watch), String> {
    let roots = match ca {
        Some(path) => from_file(path)?,
        None => from_system()?,
    };
    let watch = Watch::default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    #[expect(clippy::disallowed_methods, reason = "what is put in refuses all that webpki refuses, and only says more about why")]
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Explaining { inner, watch: watch.clone() }));
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| format!("the client certificate cannot be used: {}", short(&error)))?,
    };
    // Every connection proves the certificate: a resumed one would rest on what was proved before.
    config.resumption = rustls::client::Resumption::disabled();
    Ok((Arc::new(config), watch))
}

fn from_file(path: &Path) -> Result<RootCertStore, String> {
    let shown = path.display();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| format!("cannot read the authority's file `{shown}`: {error}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| format!("`{shown}` is not a PEM file with certificates: {error}"))?;
        roots.add(certificate).map_err(|error| format!("`{shown}` holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("`{shown}` holds no certificate; it must be a PEM file that begins with `BEGIN CERTIFICATE`"));
    }
    Ok(roots)
}

fn from_system() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems carry certificates that webpki does not accept; those that it accepts are enough.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(String::new, |error| format!(" ({})", one_line(&error.to_string(), LONGEST)));
        return Err(format!("this system trusts no certificate authority{why}; name one by `ca`"));
    }
    Ok(roots)
}

/// The verifier of webpki, with one more distinction in what it refuses. What webpki refuses stays refused.
#[derive(Debug)]
struct Explaining {
    inner: Arc<WebPkiServerVerifier>,
    watch: Watch,
}

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let proved = self.inner.verify_server_cert(certificate, intermediates, name, ocsp, now).map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
                if facts(certificate).is_some_and(|facts| facts.self_signed) =>
            {
                Error::General(SELF_SIGNED.to_owned())
            }
            error => error,
        })?;
        *self.watch.0.lock().unwrap_or_else(PoisonError::into_inner) = facts(certificate).map(|facts| facts.not_after);
        Ok(proved)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Why the handshake failed, in words. `host` is the name that was wanted.
#[must_use]
pub fn explain(error: &Error, host: &str) -> String {
    match error {
        Error::InvalidCertificate(problem) => certificate(problem, host),
        Error::General(text) if text == SELF_SIGNED => {
            format!("the certificate of `{host}` is signed by itself, and `ca` does not vouch for it")
        }
        Error::InvalidMessage(_) => format!("what answers as `{host}` speaks no TLS on this port"),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | Error::AlertReceived(AlertDescription::ProtocolVersion) => too_old(host),
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity)
        | Error::PeerIncompatible(_) => {
            format!("`{host}` and this program have no TLS version and cipher in common ({})", short(error))
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => format!("`{host}` demands a certificate of the client"),
        other => format!("the TLS handshake with `{host}` failed: {}", short(other)),
    }
}

fn too_old(host: &str) -> String {
    format!("`{host}` speaks only versions of TLS before 1.2, which are not safe; 1.2 must be turned on there")
}

fn certificate(problem: &CertificateError, host: &str) -> String {
    match problem {
        CertificateError::Expired => format!("the certificate of `{host}` has expired"),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate of `{host}` has expired, on {}", moment(*not_after))
        }
        CertificateError::NotValidYet => format!("the certificate of `{host}` is not valid yet; is this machine's clock right?"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!(
                "the certificate of `{host}` is not valid yet, only from {} on; is this machine's clock right?",
                moment(*not_before)
            )
        }
        CertificateError::NotValidForName => format!("the certificate is for another name than `{host}`"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = match presented.as_slice() {
                [] => "it has no name of a server".to_owned(),
                names => format!("it is for {}", one_line(&names.join(", "), LONGEST)),
            };
            format!("the certificate is not for `{host}`: {names}")
        }
        CertificateError::UnknownIssuer => {
            format!("the certificate of `{host}` is signed by an authority that is not trusted here; `ca` names another one")
        }
        CertificateError::Revoked => format!("the certificate of `{host}` was revoked"),
        CertificateError::BadSignature => format!("the certificate of `{host}` carries a signature that is wrong"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("the certificate of `{host}` is not meant for servers")
        }
        CertificateError::BadEncoding => format!("the certificate of `{host}` cannot be read"),
        other => format!("the certificate of `{host}` is refused: {}", one_line(&other.to_string(), LONGEST)),
    }
}

fn short(error: &Error) -> String {
    one_line(&error.to_string(), LONGEST)
}

fn moment(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "an impossible date".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// What is read from a certificate without trusting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// From when on it is not valid any more.
    pub not_after: Timestamp,
    /// Whether its issuer is its subject.
    pub self_signed: bool,
}

/// Reads an X.509 certificate as far as needed (RFC 5280 section 4.1). `None` if it is not one.
#[must_use]
pub fn facts(der: &[u8]) -> Option<Facts> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let not_after = Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
    Some(Facts { not_after, self_signed: certificate.issuer().as_raw() == certificate.subject().as_raw() })
}
