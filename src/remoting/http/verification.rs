//! Whether the server's certificate is checked. It is, unless somebody wrote down why not.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

/// Whether the server's certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Verification {
    /// By the trust anchors of the TLS configuration, and against the URL's host.
    #[default]
    Full,
    /// Not at all. Every connection is logged with the reason.
    Skipped {
        /// Why; written by a person. Never blank.
        reason: String,
    },
}

impl Verification {
    /// The TLS configuration under this rule, or why it is refused.
    #[expect(clippy::disallowed_methods, reason = "only where a person wrote down why, and then it is logged")]
    pub(super) fn apply(&self, config: &Arc<ClientConfig>, place: &str) -> Result<Arc<ClientConfig>, String> {
        match self {
            Verification::Full => Ok(Arc::clone(config)),
            Verification::Skipped { reason } if reason.trim().is_empty() => {
                Err(format!("the certificate of `{place}` is not to be checked, and no reason is given"))
            }
            Verification::Skipped { reason } => {
                tracing::warn!(place, reason, "the server's certificate is not checked");
                let mut config = ClientConfig::clone(config);
                let provider = Arc::clone(config.crypto_provider());
                config.dangerous().set_certificate_verifier(Arc::new(Anybody(provider)));
                Ok(Arc::new(config))
            }
        }
    }
}

/// Believes any certificate, but still demands that the server holds its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
