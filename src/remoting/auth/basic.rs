//! What is said in every request instead of a handshake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;

/// `Authorization` of a request that is authenticated by the client certificate of its TLS connection ([MS-WSMV] section
/// 2.1, the profile of mutual authentication over HTTPS).
pub const CERTIFICATE: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";

/// `Authorization: Basic …` (RFC 7617, in UTF-8). Never to be called for a connection without TLS.
#[must_use]
pub fn basic(account: &str, password: &Secret) -> Secret {
    let pair = Secret::new(format!("{account}:{}", password.reveal()));
    Secret::new(format!("Basic {}", STANDARD.encode(pair.reveal())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_password_are_joined_as_the_standard_shows() {
        assert_eq!(basic("Aladdin", &Secret::new("open sesame".to_owned())).reveal(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
