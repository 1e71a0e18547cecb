//! The one canonical form of a SIP address, for directories and for Lync.

use std::fmt;

use crate::foreign::one_line;

/// A SIP address in its one canonical form: with `sip:`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipAddress(String);

impl SipAddress {
    /// Reads `sip:user@domain` or `user@domain`.
    ///
    /// # Errors
    /// It is no such address.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        let address = lower.strip_prefix("sip:").unwrap_or(&lower);
        let fits = |part: &str| !part.is_empty() && part.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '@');
        match address.split_once('@') {
            Some((user, domain)) if fits(user) && fits(domain) && address.len() <= 450 => {
                Ok(SipAddress(format!("sip:{address}")))
            }
            _ => Err(format!("`{}` is no SIP address such as `sip:ocschat@contoso.com`", one_line(text, 80))),
        }
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether a value of the directory is this address. Letter case does not count.
    #[must_use]
    pub fn is(&self, value: &str) -> bool {
        value.to_lowercase() == self.0
    }
}

impl fmt::Display for SipAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for text in ["sip:OcsChat@Contoso.com", "ocschat@contoso.com", " SIP:ocschat@contoso.com "] {
            assert_eq!(
                SipAddress::parse(text).map(|address| address.to_string()),
                Ok("sip:ocschat@contoso.com".to_owned()),
                "{text}"
            );
        }
        for wrong in ["", "sip:", "ocschat", "sip:@contoso.com", "sip:a@", "sip:a b@c", "sip:a@b@c", "a\u{0}@b"] {
            assert!(SipAddress::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_domain_of_an_address_is_what_follows_the_at_sign() {
        assert_eq!(
            SipAddress::parse("OcsChat@Contoso.com").map(|address| address.domain().to_owned()),
            Ok("contoso.com".to_owned())
        );
    }
}
