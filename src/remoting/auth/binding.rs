//! The channel binding `tls-server-end-point`: a logon that is worth nothing on another TLS connection.

use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;

use super::AuthError;

/// The hash of the server's certificate, by which both sides know that they speak over one TLS connection (RFC 5929
/// section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelBinding(Vec<u8>);

impl ChannelBinding {
    /// From the certificate that the server showed, in DER. The hash is that of the certificate's signature, and SHA-256
    /// in place of MD5 and SHA-1.
    ///
    /// # Errors
    /// It is no certificate, or its signature has no hash of its own (Ed25519), for which nothing is defined.
    pub fn of_certificate(der: &[u8]) -> Result<Self, AuthError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| AuthError::Binding(error.to_string()))?;
        let digest = match hash_of(&certificate)? {
            Hash::Sha256 => Sha256::digest(der).to_vec(),
            Hash::Sha384 => Sha384::digest(der).to_vec(),
            Hash::Sha512 => Sha512::digest(der).to_vec(),
        };
        Ok(ChannelBinding([b"tls-server-end-point:".as_slice(), &digest].concat()))
    }

    /// The prefix and the hash.
    #[must_use]
    pub fn application_data(&self) -> &[u8] {
        &self.0
    }

    /// As `SEC_CHANNEL_BINDINGS`: eight little-endian numbers, of which only the length (at 24) and the place (at 28) of the
    /// application data are not zero, then the data.
    pub(super) fn structure(&self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or_else(|_| unreachable!("a prefix and a hash"));
        let mut bytes = vec![0; 24];
        bytes.extend(length.to_le_bytes());
        bytes.extend(32_u32.to_le_bytes());
        bytes.extend(&self.0);
        bytes
    }
}

enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

fn hash_of(certificate: &X509Certificate<'_>) -> Result<Hash, AuthError> {
    let algorithm = &certificate.signature_algorithm;
    let oid = algorithm.algorithm.to_id_string();
    // RSASSA-PSS names its hash in its parameters; the others are one with it.
    let named = match SignatureAlgorithm::try_from(algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) => parameters.hash_algorithm_oid().to_id_string(),
        _ => oid,
    };
    match named.as_str() {
        // With MD5 and SHA-1: rsaEncryption, ECDSA, DSA; the hashes alone (in PSS).
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" | "1.3.14.3.2.26" => {
            Ok(Hash::Sha256)
        }
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" | "2.16.840.1.101.3.4.2.1" => Ok(Hash::Sha256),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => Ok(Hash::Sha384),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.2.3" => Ok(Hash::Sha512),
        other => Err(AuthError::Binding(format!("it is signed by the algorithm {other}, for which none is defined"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed_by(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        rcgen::CertificateParams::new(vec!["host".to_owned()]).unwrap().self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_certificates_signature() {
        let der = signed_by(&rcgen::PKCS_ECDSA_P256_SHA256);
        let binding = ChannelBinding::of_certificate(&der).unwrap();
        assert_eq!(binding.application_data(), [b"tls-server-end-point:".as_slice(), &Sha256::digest(&der)].concat());
        let der = signed_by(&rcgen::PKCS_ECDSA_P384_SHA384);
        let binding = ChannelBinding::of_certificate(&der).unwrap();
        assert_eq!(binding.application_data(), [b"tls-server-end-point:".as_slice(), &Sha384::digest(&der)].concat());
    }

    #[test]
    fn a_signature_without_a_hash_of_its_own_gives_no_binding() {
        assert!(matches!(ChannelBinding::of_certificate(&signed_by(&rcgen::PKCS_ED25519)), Err(AuthError::Binding(_))));
        assert!(matches!(ChannelBinding::of_certificate(b"no certificate"), Err(AuthError::Binding(_))));
    }

    #[test]
    fn the_structure_points_at_its_data() {
        let binding = ChannelBinding::of_certificate(&signed_by(&rcgen::PKCS_ECDSA_P256_SHA256)).unwrap();
        let bytes = binding.structure();
        assert_eq!(bytes[24..32], [53, 0, 0, 0, 32, 0, 0, 0]);
        assert_eq!(&bytes[32..], binding.application_data());
    }
}
