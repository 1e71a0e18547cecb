//! How a person brings an object back with ordinary tools, as LDIF (RFC 2849).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::BeforeImage;
use super::attributes::forward_link;
use crate::connector::directory::dn::Address;
use crate::connector::directory::guid::Guid;

/// The control by which deleted objects are seen and can be changed (\[MS-ADTS\] section 3.1.1.3.4.1.14).
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";

/// The LDIF, line by line.
pub fn by_hand(image: &BeforeImage) -> Vec<String> {
    let object = &image.object;
    let dn = object.dn.to_string();
    let mut lines = vec![
        "version: 1".to_owned(),
        "# how to bring the object back by hand, should relevo be lost; for ldapmodify -c -f FILE".to_owned(),
        format!("# the object: {dn}"),
        "#".to_owned(),
        format!("# 1. bring it back; needs the control {SHOW_DELETED} (show deleted objects), and where a"),
        "#    tool does not understand the line `control:`, its own way of sending that. Here it has the name that".to_owned(),
        format!("#    deleted objects have; should it be another, search for the objectGUID {} with that control", object.guid),
    ];
    // By its name, not by its identity: some servers bring nothing back that is addressed by identity. The name holds the
    // identity all the same.
    let tombstone = object.dn.tombstone(object.guid, &image.domain).map_or_else(String::new, |dn| dn.to_string());
    let by_guid = |guid: Guid| Address::Guid(guid).to_protocol();
    let mut at = |address: String, note: &str, operations: &[(&str, &str, &[&[u8]])]| {
        lines.push(String::new());
        lines.push(format!("# {address}{note}"));
        lines.push(line("dn", address.as_bytes()));
        if address == tombstone {
            lines.push(format!("control: {SHOW_DELETED} true"));
        }
        lines.push("changetype: modify".to_owned());
        for (operation, attribute, values) in operations {
            lines.push(format!("{operation}: {attribute}"));
            lines.extend(values.iter().map(|value| line(attribute, value)));
            lines.push("-".to_owned());
        }
    };
    let rename: &[&[u8]] = &[dn.as_bytes()];
    at(tombstone.clone(), "", &[("delete", "isDeleted", &[]), ("replace", "distinguishedName", rename)]);
    for (index, (attribute, values)) in image.restorable().enumerate() {
        let note = if index == 0 { "  2. its attributes, one by one" } else { "" };
        let values: Vec<&[u8]> = values.iter().map(super::ValueText::bytes).collect();
        at(by_guid(object.guid), note, &[("replace", attribute, &values)]);
    }
    for group in &image.groups {
        at(by_guid(group.guid), &format!("  3. its groups: {}", group.dn), &[("add", "member", &[dn.as_bytes()])]);
    }
    if let Some(group) = image.primary_group() {
        let group = group.to_string();
        at(by_guid(object.guid), "  4. its primary group", &[("replace", "primaryGroupID", &[group.as_bytes()])]);
    }
    lines.push(String::new());
    lines.push("# 5. what this cannot bring back:".to_owned());
    lines.extend(image.lost().into_iter().map(|lost| format!("#    {lost}")));
    if let Some(reference) = image.references.iter().find_map(|reference| forward_link(&reference.attribute)) {
        lines.push(format!("#    (such an attribute, as `{reference}`, is written with the name {dn})"));
    }
    lines
}

/// `name: value`, or `name:: base64` where the value is not safe as it stands (RFC 2849, SAFE-STRING).
fn line(name: &str, value: &[u8]) -> String {
    let safe = value.iter().all(|&byte| (b' '..=b'~').contains(&byte));
    let start = value.first().is_none_or(|first| !b" :<".contains(first));
    match std::str::from_utf8(value) {
        Ok("") => format!("{name}:"),
        Ok(text) if safe && start && !text.ends_with(' ') => format!("{name}: {text}"),
        _ => format!("{name}:: {}", STANDARD.encode(value)),
    }
}
