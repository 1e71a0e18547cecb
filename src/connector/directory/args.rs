//! The arguments of a call that only directories have, read into types; the others are those of all connectors.

use std::fmt;

use serde_json::Value;

use super::dn::Dn;
use super::guid::Guid;
pub use crate::connector::args::{as_text, list, needed, optional, required, span, text};
pub use crate::connector::sip::SipAddress;
use crate::foreign::one_line;
use crate::run::connector::Call;

/// Which object a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Whatever carries this address.
    Sip(SipAddress),
    /// This one.
    Guid(Guid),
}

impl Subject {
    /// From a map that holds exactly one of `sip_address` and `guid`.
    ///
    /// # Errors
    /// It holds neither, both, something else besides, or no value that can be understood.
    pub fn of_map(value: &Value, what: &str) -> Result<Self, String> {
        let Some(map) = value.as_object() else {
            return Err(format!("`{what}` must be a map such as `{{ sip_address: \"sip:ocschat@contoso.com\" }}`"));
        };
        if let Some(other) = map.keys().find(|key| !matches!(key.as_str(), "sip_address" | "guid")) {
            return Err(format!("`{what}` takes `sip_address` or `guid`, not `{}`", one_line(other, 40)));
        }
        let get = |name: &str| map.get(name).filter(|value| !value.is_null()).map(|value| as_text(value, name)).transpose();
        Self::of(get("sip_address")?.as_deref(), get("guid")?.as_deref(), &format!("`{what}` takes"))
    }

    /// From the arguments of a call.
    ///
    /// # Errors
    /// As [`Subject::of_map`].
    pub fn of_call(call: &Call) -> Result<Self, String> {
        Self::of(text(call, "sip_address")?.as_deref(), text(call, "guid")?.as_deref(), "it takes")
    }

    fn of(sip: Option<&str>, guid: Option<&str>, who: &str) -> Result<Self, String> {
        match (sip, guid) {
            (Some(sip), None) => SipAddress::parse(sip).map(Subject::Sip),
            (None, Some(guid)) => parse_guid(guid).map(Subject::Guid),
            _ => Err(format!("{who} exactly one of `sip_address` and `guid`")),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Sip(address) => write!(f, "`{address}`"),
            Subject::Guid(guid) => write!(f, "objectGUID {guid}"),
        }
    }
}

/// A name.
///
/// # Errors
/// It is not there, or no distinguished name.
pub fn dn(call: &Call, name: &str) -> Result<Dn, String> {
    parse_dn(&needed(call, name)?, name)
}

/// A name, from its text.
///
/// # Errors
/// It is none.
pub fn parse_dn(text: &str, name: &str) -> Result<Dn, String> {
    Dn::parse(text).map_err(|why| format!("`{name}` is `{}`, no distinguished name: {why}", one_line(text, 120)))
}

/// An identity, from its text.
///
/// # Errors
/// It is none.
pub fn parse_guid(text: &str) -> Result<Guid, String> {
    Guid::parse(text.trim()).ok_or_else(|| format!("`{}` is no objectGUID", one_line(text, 60)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_subject_is_exactly_one_of_address_and_guid() {
        let guid = "f3c2ad7e-0f1b-4a3c-9d52-6a1f0c3b7e11";
        assert_eq!(
            Subject::of_map(&json!({ "guid": guid }), "absent").map(|it| it.to_string()),
            Ok(format!("objectGUID {guid}"))
        );
        assert_eq!(
            Subject::of_map(&json!({ "sip_address": "A@b" }), "absent").map(|it| it.to_string()),
            Ok("`sip:a@b`".to_owned())
        );
        for wrong in
            [json!({}), json!({ "guid": guid, "sip_address": "a@b" }), json!({ "dn": "x" }), json!("a@b"), json!({ "guid": "x" })]
        {
            assert!(Subject::of_map(&wrong, "absent").is_err(), "{wrong}");
        }
    }
}
