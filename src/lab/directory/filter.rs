//! Whether an object fits a filter (RFC 4511 4.5.1.7), with the matching rules of Active Directory (MS-ADTS
//! 3.1.1.3.4.4): all bits, any bit, and membership through groups.
//!
//! Three values: a comparison with an attribute that is not known is undefined, and so is its negation. One that is
//! known and absent is false, and its negation true.

use ldap3_proto::proto::{LdapFilter, LdapMatchingRuleAssertion, LdapSubstringFilter};

use super::codec::assertion_bytes;
use super::dn::Name;
use super::entry;
use super::ids::{Guid, Sid};
use super::schema::{self, Attribute, Syntax, Trait};
use super::store::{Object, Replica};
use super::value::{Value, folded, shown};

const ALL_BITS: &str = "1.2.840.113556.1.4.803";
const ANY_BIT: &str = "1.2.840.113556.1.4.804";
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";

/// Whether the object fits; undefined counts as no.
#[must_use]
pub fn fits(replica: &Replica, object: &Object, filter: &LdapFilter) -> bool {
    judge(replica, object, filter) == Some(true)
}

fn judge(replica: &Replica, object: &Object, filter: &LdapFilter) -> Option<bool> {
    match filter {
        LdapFilter::And(parts) => {
            let all: Vec<Option<bool>> = parts.iter().map(|part| judge(replica, object, part)).collect();
            if all.contains(&Some(false)) { Some(false) } else { all.into_iter().collect::<Option<Vec<_>>>().map(|_| true) }
        }
        LdapFilter::Or(parts) => {
            let all: Vec<Option<bool>> = parts.iter().map(|part| judge(replica, object, part)).collect();
            if all.contains(&Some(true)) { Some(true) } else { all.into_iter().collect::<Option<Vec<_>>>().map(|_| false) }
        }
        LdapFilter::Not(part) => judge(replica, object, part).map(|fits| !fits),
        LdapFilter::Present(name) => schema::find(name).map(|attribute| !values(replica, object, attribute).is_empty()),
        LdapFilter::Equality(name, value) | LdapFilter::Approx(name, value) => {
            let attribute = known(name)?;
            Some(equals(replica, object, attribute, &assertion_bytes(value)))
        }
        LdapFilter::Substring(name, parts) => {
            let attribute = known(name)?;
            // Names and numbers have no parts.
            if !matches!(attribute.syntax, Syntax::Text | Syntax::Octets) {
                return Some(false);
            }
            Some(values(replica, object, attribute).iter().any(|value| holds_parts(value, parts)))
        }
        LdapFilter::GreaterOrEqual(name, value) => ordered(replica, object, known(name)?, value, std::cmp::Ordering::is_ge),
        LdapFilter::LessOrEqual(name, value) => ordered(replica, object, known(name)?, value, std::cmp::Ordering::is_le),
        LdapFilter::Extensible(assertion) => extensible(replica, object, assertion),
    }
}

fn known(name: &str) -> Option<&'static Attribute> {
    schema::find(name).filter(|attribute| !attribute.is(Trait::Hidden))
}

/// The values as they are compared: kept ones, and constructed ones that are cheap.
fn values(replica: &Replica, object: &Object, attribute: &'static Attribute) -> Vec<Value> {
    if attribute.is(Trait::Hidden) {
        return Vec::new();
    }
    entry::raw(replica, object, attribute)
}

fn equals(replica: &Replica, object: &Object, attribute: &'static Attribute, wanted: &[u8]) -> bool {
    let text = std::str::from_utf8(wanted).ok();
    // `(objectCategory=user)` means the class's category.
    let category = text.filter(|_| attribute.name == "objectCategory").and_then(schema::class_named);
    let wanted_object = match attribute.syntax {
        Syntax::Name => category
            .and_then(|class| entry::category(replica, class))
            .or_else(|| replica.find(&Name::parse(text?)?).map(|object| object.guid)),
        _ => None,
    };
    values(replica, object, attribute).iter().any(|value| match value {
        Value::Object(guid) => Some(*guid) == wanted_object,
        Value::Bytes(bytes) => same(attribute, bytes, wanted),
    })
}

/// Whether two values of an attribute are the same.
#[must_use]
pub fn same(attribute: &Attribute, held: &[u8], wanted: &[u8]) -> bool {
    if held == wanted {
        return true;
    }
    let (Ok(held_text), Ok(wanted_text)) = (std::str::from_utf8(held), std::str::from_utf8(wanted)) else {
        return same_bytes(attribute, held, wanted);
    };
    match attribute.syntax {
        Syntax::Octets => same_bytes(attribute, held, wanted),
        Syntax::Integer | Syntax::Large => number(held_text).is_some_and(|number| Some(number) == self::number(wanted_text)),
        Syntax::Boolean | Syntax::Class => held_text.eq_ignore_ascii_case(wanted_text),
        Syntax::Text | Syntax::Name => folded(held_text) == folded(wanted_text),
        Syntax::Time => whole_seconds(held_text) == whole_seconds(wanted_text),
    }
}

/// Identities may be written as text, too (MS-ADTS 3.1.1.3.1.3.1).
fn same_bytes(attribute: &Attribute, held: &[u8], wanted: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(wanted) else { return false };
    match attribute.name {
        "objectSid" | "sIDHistory" | "tokenGroups" => {
            text.starts_with("S-1-") && Sid::parse(text).is_some_and(|sid| sid.to_wire() == held)
        }
        "objectGUID" | "schemaIDGUID" | "invocationId" => {
            text.contains('-') && Guid::parse(text).is_some_and(|guid| guid.to_wire() == held)
        }
        _ => false,
    }
}

fn whole_seconds(text: &str) -> &str {
    text.split(['.', 'Z']).next().unwrap_or(text)
}

fn number(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

fn ordered(
    replica: &Replica,
    object: &Object,
    attribute: &'static Attribute,
    wanted: &str,
    fits: fn(std::cmp::Ordering) -> bool,
) -> Option<bool> {
    let wanted = assertion_bytes(wanted);
    let wanted_text = std::str::from_utf8(&wanted).ok();
    let order = |held: &[u8]| match attribute.syntax {
        Syntax::Integer | Syntax::Large => Some(number(std::str::from_utf8(held).ok()?)?.cmp(&number(wanted_text?)?)),
        Syntax::Time => Some(whole_seconds(std::str::from_utf8(held).ok()?).cmp(whole_seconds(wanted_text?))),
        Syntax::Octets => Some(held.cmp(&wanted)),
        Syntax::Text => Some(folded(std::str::from_utf8(held).ok()?).cmp(&folded(wanted_text?))),
        Syntax::Boolean | Syntax::Name | Syntax::Class => None,
    };
    Some(values(replica, object, attribute).iter().filter_map(Value::bytes).filter_map(order).any(fits))
}

fn holds_parts(value: &Value, parts: &LdapSubstringFilter) -> bool {
    let Some(bytes) = value.bytes() else { return false };
    let (fold, text) = match std::str::from_utf8(bytes) {
        Ok(text) => (true, text.to_lowercase().into_bytes()),
        Err(_) => (false, bytes.to_vec()),
    };
    let part = |text: &str| {
        let bytes = assertion_bytes(text);
        match std::str::from_utf8(&bytes) {
            Ok(text) if fold => text.to_lowercase().into_bytes(),
            _ => bytes,
        }
    };
    let mut rest = text.as_slice();
    if let Some(initial) = &parts.initial {
        let Some(after) = rest.strip_prefix(part(initial).as_slice()) else { return false };
        rest = after;
    }
    for any in &parts.any {
        let any = part(any);
        if any.is_empty() {
            continue;
        }
        let Some(at) = rest.windows(any.len()).position(|window| window == any) else { return false };
        rest = &rest[at + any.len()..];
    }
    parts.final_.as_ref().is_none_or(|end| rest.ends_with(&part(end)))
}

fn extensible(replica: &Replica, object: &Object, assertion: &LdapMatchingRuleAssertion) -> Option<bool> {
    let attribute = known(assertion.type_.as_deref()?)?;
    let wanted = assertion_bytes(&assertion.match_value);
    let text = std::str::from_utf8(&wanted).ok();
    let bits = |fits: fn(i64, i64) -> bool| {
        let mask = number(text?)?;
        Some(values(replica, object, attribute).iter().filter_map(|value| number(value.as_text()?)).any(|held| fits(held, mask)))
    };
    match assertion.matching_rule.as_deref() {
        None => Some(equals(replica, object, attribute, &wanted)),
        Some(ALL_BITS) => bits(|held, mask| held & mask == mask),
        Some(ANY_BIT) => bits(|held, mask| held & mask != 0),
        Some(IN_CHAIN) => {
            let target = replica.find(&Name::parse(text?)?)?.guid;
            Some(reaches(replica, object, attribute, target))
        }
        Some(_) => None,
    }
}

/// Whether a chain of links leads from the object to the target.
fn reaches(replica: &Replica, object: &Object, attribute: &'static Attribute, target: Guid) -> bool {
    let mut seen = vec![object.guid];
    let mut open = vec![object.guid];
    while let Some(at) = open.pop() {
        let Some(object) = replica.get(at) else { continue };
        for value in entry::raw(replica, object, attribute) {
            let Value::Object(next) = value else { continue };
            if next == target {
                return true;
            }
            if !seen.contains(&next) {
                seen.push(next);
                open.push(next);
            }
        }
    }
    false
}

/// The filter as people write it (RFC 4515), for the audit.
#[must_use]
pub fn text(filter: &LdapFilter) -> String {
    let list = |parts: &[LdapFilter]| parts.iter().map(text).collect::<String>();
    let value = |text: &String| shown(&assertion_bytes(text));
    match filter {
        LdapFilter::And(parts) => format!("(&{})", list(parts)),
        LdapFilter::Or(parts) => format!("(|{})", list(parts)),
        LdapFilter::Not(part) => format!("(!{})", text(part)),
        LdapFilter::Equality(name, wanted) => format!("({name}={})", value(wanted)),
        LdapFilter::Approx(name, wanted) => format!("({name}~={})", value(wanted)),
        LdapFilter::GreaterOrEqual(name, wanted) => format!("({name}>={})", value(wanted)),
        LdapFilter::LessOrEqual(name, wanted) => format!("({name}<={})", value(wanted)),
        LdapFilter::Present(name) => format!("({name}=*)"),
        LdapFilter::Substring(name, parts) => {
            let mut all = vec![parts.initial.as_ref().map(value).unwrap_or_default()];
            all.extend(parts.any.iter().map(value));
            all.push(parts.final_.as_ref().map(value).unwrap_or_default());
            format!("({name}={})", all.join("*"))
        }
        LdapFilter::Extensible(assertion) => format!(
            "({}:{}:={})",
            assertion.type_.as_deref().unwrap_or_default(),
            assertion.matching_rule.as_deref().unwrap_or_default(),
            value(&assertion.match_value)
        ),
    }
}

#[cfg(test)]
mod tests {
    use ldap3_proto::parse_ldap_filter_str;

    use super::*;
    use crate::lab::contoso;

    fn found(filter: &str) -> Vec<String> {
        let [replica, _] = contoso::build(&std::collections::BTreeMap::new(), 1_000);
        let filter = parse_ldap_filter_str(filter).expect("a filter");
        let mut names: Vec<String> = replica
            .objects
            .values()
            .filter(|object| object.is_a("user") && fits(&replica, object, &filter))
            .filter_map(|object| object.text("sAMAccountName").map(str::to_owned))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn text_is_compared_without_regard_to_case_and_names_by_what_they_name() {
        assert_eq!(found("(mail=OCSCHAT@Contoso.LAN)"), ["ocschat"]);
        assert_eq!(found(r#"(memberOf="cn=chat services, ou=groups,dc=contoso,dc=lan")"#), ["ocschat"]);
        assert_eq!(found("(&(objectCategory=computer)(cn=dc*))"), ["DC1$", "DC2$"]);
        assert_eq!(found("(msRTCSIP-PrimaryUserAddress=sip:*ru*@contoso.lan)"), ["aruiz"]);
        assert_eq!(found("(primaryGroupID>=514)"), ["DC1$", "DC2$"]);
    }

    #[test]
    fn bits_and_chains_of_groups_are_found() {
        assert_eq!(found("(userAccountControl:1.2.840.113556.1.4.803:=8192)"), ["DC1$", "DC2$"]);
        assert_eq!(
            found("(userAccountControl:1.2.840.113556.1.4.804:=8194)"),
            ["DC1$", "DC2$", "Guest", "enovak", "imuller", "krbtgt", "msmith", "zhaas"]
        );
        assert_eq!(
            found(r#"(memberOf:1.2.840.113556.1.4.1941:="CN=Administrators,CN=Builtin,DC=contoso,DC=lan")"#),
            ["Administrator"]
        );
    }

    #[test]
    fn what_is_not_known_is_neither_true_nor_false_and_what_is_absent_is_false() {
        assert!(found("(nothing=x)").is_empty());
        assert!(found("(!(nothing=x))").is_empty());
        assert_eq!(found("(&(sAMAccountName=aruiz)(!(title=x)))"), ["aruiz"]);
        assert_eq!(found("(|(nothing=x)(sAMAccountName=aruiz))"), ["aruiz"]);
        assert!(found("(unicodePwd=*)").is_empty());
    }
}
