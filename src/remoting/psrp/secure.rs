//! Secure strings are not sent.
//!
//! They would have to be encrypted with a key of the session that both sides agree on first ([MS-PSRP] sections 2.2.5.1.24
//! and 3.1.5.4.3 to 3.1.5.4.5). Nothing here needs to send one, and a text put into one without that key would be a secret
//! in the clear: so a value that holds one is refused before anything is written. One that is received stays what it is,
//! encrypted.

use crate::remoting::clixml::{Content, Object, Value};

/// Whether there is a secure string anywhere in a value.
pub(super) fn holds_secure_string(value: &Value) -> bool {
    match value {
        Value::SecureString(_) => true,
        Value::Object(object) => in_object(object),
        _ => false,
    }
}

fn in_object(object: &Object) -> bool {
    let inside = match &object.content {
        Content::None | Content::PropertySet => false,
        Content::Primitive(value) => holds_secure_string(value),
        Content::List(items) | Content::Enumerable(items) | Content::Stack(items) | Content::Queue(items) => {
            items.iter().any(holds_secure_string)
        }
        Content::Dictionary(entries) => entries.iter().any(|(key, value)| holds_secure_string(key) || holds_secure_string(value)),
    };
    inside || object.adapted.iter().chain(&object.extended).any(|property| holds_secure_string(&property.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secure_string_is_found_wherever_it_hides() {
        let secret = || Value::SecureString("QUJD".to_owned());
        for value in [
            secret(),
            Value::array([secret()]),
            Value::list([Value::Nil, Value::list([secret()])]),
            Value::dictionary([("key", secret())]),
            Value::dictionary([(secret(), "value")]),
            Value::object([("Password", secret())]),
            Value::typed(&["T"], None, [("Password", secret())]),
            Object { content: Content::Primitive(secret()), ..Object::default() }.into(),
            Object { content: Content::Queue(vec![secret()]), ..Object::default() }.into(),
            Object { content: Content::Stack(vec![secret()]), ..Object::default() }.into(),
            Object { content: Content::Enumerable(vec![secret()]), ..Object::default() }.into(),
        ] {
            assert!(holds_secure_string(&value), "{value:?}");
        }
        assert!(!holds_secure_string(&Value::dictionary([("SecureString", Value::list([Value::from("QUJD"), Value::Nil]))])));
    }
}
