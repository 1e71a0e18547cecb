//! Search filters, built by types: a value cannot become syntax (RFC 4515).

use std::fmt::{self, Write as _};

/// A search filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// `(attribute=value)`. The attribute's name is ours or was checked by [`is_attribute`]; the value is any bytes.
    #[must_use]
    pub fn equal(attribute: &str, value: impl AsRef<[u8]>) -> Self {
        Filter(format!("({}={})", name(attribute), escaped(value.as_ref())))
    }

    /// `(attribute=*)`.
    #[must_use]
    pub fn present(attribute: &str) -> Self {
        Filter(format!("({}=*)", name(attribute)))
    }

    /// `(attribute:1.2.840.113556.1.4.1941:=value)`: transitive, along a chain of links (\[MS-ADTS\] 3.1.1.3.4.4.3).
    #[must_use]
    pub fn in_chain(attribute: &str, value: impl AsRef<[u8]>) -> Self {
        Filter(format!("({}:1.2.840.113556.1.4.1941:={})", name(attribute), escaped(value.as_ref())))
    }

    /// All of them. Of one it is that one; of none it is true of everything (RFC 4526).
    #[must_use]
    pub fn and(all: impl IntoIterator<Item = Filter>) -> Self {
        joined('&', all)
    }

    /// Any of them. Of one it is that one; of none it is true of nothing (RFC 4526).
    #[must_use]
    pub fn or(any: impl IntoIterator<Item = Filter>) -> Self {
        joined('|', any)
    }

    /// Not it.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "reads as the other two")]
    pub fn not(filter: Filter) -> Self {
        Filter(format!("(!{filter})"))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn joined(operator: char, filters: impl IntoIterator<Item = Filter>) -> Filter {
    let mut filters: Vec<Filter> = filters.into_iter().collect();
    match filters.pop() {
        Some(only) if filters.is_empty() => only,
        last => Filter(format!("({operator}{})", filters.into_iter().chain(last).map(|filter| filter.0).collect::<String>())),
    }
}

/// Every byte that is not plainly harmless is written `\xx`.
fn escaped(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for &byte in value {
        if byte.is_ascii_alphanumeric() || b"-._@:=,".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "\\{byte:02x}");
        }
    }
    text
}

/// The attribute's name. What is none becomes text that is no filter to anybody, so that the search fails instead of
/// meaning something else.
fn name(attribute: &str) -> String {
    if is_attribute(attribute) { attribute.to_owned() } else { format!("\\{}", escaped(attribute.as_bytes())) }
}

/// Whether a text is the name of an attribute: a letter, then letters, digits and hyphens; at most 64. Options such as
/// `;range=0-99` are not part of a name.
#[must_use]
pub fn is_attribute(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s01_a_value_cannot_become_syntax() {
        let filter = Filter::equal("msRTCSIP-PrimaryUserAddress", "sip:a*)(objectClass=*)\\\0ü");
        assert_eq!(filter.to_string(), r"(msRTCSIP-PrimaryUserAddress=sip:a\2a\29\28objectClass=\2a\29\5c\00\c3\bc)");
        assert_eq!(Filter::equal("cn", "*").to_string(), r"(cn=\2a)");
        assert_eq!(
            Filter::in_chain("member", "CN=a (b),DC=c").to_string(),
            r"(member:1.2.840.113556.1.4.1941:=CN=a\20\28b\29,DC=c)"
        );
    }

    #[test]
    fn filters_are_joined_and_one_alone_is_not_wrapped() {
        let (a, b) = (Filter::present("a"), Filter::equal("b", "1"));
        assert_eq!(Filter::and([a.clone(), b.clone()]).to_string(), "(&(a=*)(b=1))");
        assert_eq!(Filter::or([a.clone(), Filter::not(b)]).to_string(), "(|(a=*)(!(b=1)))");
        assert_eq!(Filter::and([a.clone()]), a);
        assert_eq!(Filter::or([a.clone()]), a);
        assert_eq!(Filter::and([]).to_string(), "(&)");
        assert_eq!(Filter::or([]).to_string(), "(|)");
    }

    #[test]
    fn a_name_that_is_none_makes_a_filter_that_nobody_reads() {
        for wrong in ["", "cn=*)(a", "member;range=0-99", "1cn", "cn ", "c\u{6e0}n", &"a".repeat(65)] {
            assert!(!is_attribute(wrong), "{wrong}");
            assert!(ldap3::parse_filter(Filter::equal(wrong, "x").to_string()).is_err(), "{wrong}");
            assert!(ldap3::parse_filter(Filter::present(wrong).to_string()).is_err(), "{wrong}");
            assert!(ldap3::parse_filter(Filter::in_chain(wrong, "x").to_string()).is_err(), "{wrong}");
        }
        for right in ["cn", "msRTCSIP-PrimaryUserAddress", "a1", &"a".repeat(64)] {
            assert!(is_attribute(right), "{right}");
        }
    }
}
