//! The arguments of a call, read into types. Each mistake is told with the argument that holds it.

use std::fmt;

use serde_json::Value;

use super::dn::Dn;
use super::guid::Guid;
use crate::connector::text::one_line;
use crate::plan::action::{ArgSpec, ArgType};
use crate::run::connector::Call;
use crate::time::Span;

/// An argument that must be given.
#[must_use]
pub fn required(name: &'static str, kind: ArgType, doc: &'static str) -> ArgSpec {
    ArgSpec { name, kind, required: true, doc }
}

/// An argument that may be left out.
#[must_use]
pub fn optional(name: &'static str, kind: ArgType, doc: &'static str) -> ArgSpec {
    ArgSpec { name, kind, required: false, doc }
}

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

/// A text; `None` if it is not given.
///
/// # Errors
/// It is something else.
pub fn text(call: &Call, name: &str) -> Result<Option<String>, String> {
    call.with.get(name).filter(|value| !value.is_null()).map(|value| as_text(value, name)).transpose()
}

/// A text that must be given.
///
/// # Errors
/// It is not there, or something else.
pub fn needed(call: &Call, name: &str) -> Result<String, String> {
    text(call, name)?.ok_or_else(|| format!("`{name}` is missing"))
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

/// A length of time; `None` if it is not given.
///
/// # Errors
/// It is no duration.
pub fn span(call: &Call, name: &str) -> Result<Option<Span>, String> {
    let Some(text) = text(call, name)? else { return Ok(None) };
    let parsed: Option<Span> = text.trim().parse().ok();
    parsed.map(Some).ok_or_else(|| format!("`{name}` is `{}`, not a duration such as `30s`", one_line(&text, 40)))
}

/// A list of texts; empty if it is not given.
///
/// # Errors
/// It is something else.
pub fn list(call: &Call, name: &str) -> Result<Vec<String>, String> {
    match call.with.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| as_text(item, name)).collect(),
        Some(_) => Err(format!("`{name}` must be a list of texts")),
    }
}

/// What stands where a text is wanted: a number or a truth value that an expression gave is taken as its text.
///
/// # Errors
/// It is a list, a map or nothing.
pub fn as_text(value: &Value, name: &str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        // As a directory writes them.
        Value::Bool(true) => Ok("TRUE".to_owned()),
        Value::Bool(false) => Ok("FALSE".to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!("`{name}` must be a text")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
