//! The directory's values, built and read back, and hostile bytes: what is text never becomes syntax, and nothing
//! panics.

#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

use ldap3::asn1::{ASNTag as _, PL, StructureTag, TagClass};
use proptest::collection::vec;
use proptest::prelude::*;
use relevo::connector::directory::descriptor::{Ace, Descriptor};
use relevo::connector::directory::dn::{Dn, Rdn};
use relevo::connector::directory::filter::{Filter, is_attribute};
use relevo::connector::directory::guid::Guid;
use relevo::connector::directory::sid::Sid;

/// Any characters, and more often than chance those that mean something.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        3 => proptest::char::any(),
        3 => proptest::sample::select(" \"#+,;<=>\\\0\n\r()*&|!/\u{e9}\u{202e}0aA".chars().collect::<Vec<_>>()),
        1 => proptest::char::range('a', 'z'),
    ];
    vec(character, 0..12).prop_map(String::from_iter)
}

fn attribute() -> impl Strategy<Value = String> {
    "[a-zA-Z][a-zA-Z0-9-]{0,20}"
}

/// An attribute's name or number, and a value.
fn pair() -> impl Strategy<Value = (String, String)> {
    (prop_oneof![4 => attribute(), 1 => "[0-2](\\.(0|[1-9][0-9]{0,4})){1,5}".prop_map(|oid| oid)], text())
}

fn sid() -> impl Strategy<Value = Sid> {
    let authority = prop_oneof![Just(5_u64), 0..=0xffff_ffff_ffff_u64];
    (authority, vec(any::<u32>(), 0..=15)).prop_map(|(authority, parts)| {
        let parts: String = parts.iter().map(|part| format!("-{part}")).collect();
        Sid::parse(&format!("S-1-{authority}{parts}")).unwrap()
    })
}

fn guid() -> impl Strategy<Value = Guid> {
    any::<[u8; 16]>().prop_map(|bytes| Guid::from_bytes(&bytes).unwrap())
}

/// Rights without generic ones, which are resolved when they are read.
fn ace() -> impl Strategy<Value = Ace> {
    let guids = (proptest::option::of(guid()), proptest::option::of(guid()));
    (any::<bool>(), 0..0x0100_0000_u32, sid(), guids, any::<bool>(), any::<bool>()).prop_map(
        |(deny, mask, sid, (object, inherited_object), inherit_only, inherited)| Ace {
            deny,
            mask,
            sid,
            object,
            inherited_object,
            inherit_only,
            inherited,
        },
    )
}

/// Writes a descriptor by its specification, with its parts in either order and gaps between.
fn descriptor_bytes(descriptor: &Descriptor, owner_first: bool, gap: u8) -> Vec<u8> {
    let ace = |ace: &Ace| {
        let for_object = ace.object.is_some() || ace.inherited_object.is_some();
        let kind = u8::from(ace.deny) + if for_object { 5 } else { 0 };
        let flags = if ace.inherit_only { 8 } else { 0 } | if ace.inherited { 0x10 } else { 0 };
        let mut body = ace.mask.to_le_bytes().to_vec();
        if for_object {
            let present = u32::from(ace.object.is_some()) | u32::from(ace.inherited_object.is_some()) << 1;
            body.extend(present.to_le_bytes());
            body.extend(ace.object.into_iter().chain(ace.inherited_object).flat_map(Guid::to_bytes));
        }
        body.extend(ace.sid.to_bytes());
        let length = u16::try_from(body.len() + 4).unwrap();
        [&[kind, flags][..], &length.to_le_bytes(), &body].concat()
    };
    let owner = descriptor.owner.as_ref().map(Sid::to_bytes);
    let acl = descriptor.entries.as_ref().map(|entries| {
        let list: Vec<u8> = entries.iter().flat_map(ace).collect();
        let (size, count) = (u16::try_from(list.len() + 8).unwrap(), u16::try_from(entries.len()).unwrap());
        [&[4, 0][..], &size.to_le_bytes(), &count.to_le_bytes(), &[0, 0], &list].concat()
    });
    let control = 0x8000_u16 | if acl.is_some() { 4 } else { 0 };
    let mut offsets = [0_u32; 4];
    let mut body = vec![0xff; usize::from(gap)];
    let mut parts = [(0, owner), (3, acl)];
    if !owner_first {
        parts.reverse();
    }
    for (place, part) in parts {
        if let Some(part) = part {
            offsets[place] = 20 + u32::try_from(body.len()).unwrap();
            body.extend(part);
            body.extend(vec![0xff; usize::from(gap)]);
        }
    }
    let offsets: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    [&[1, 0][..], &control.to_le_bytes(), &offsets, &body].concat()
}

/// `(attribute=value)` by RFC 4515, read without any help of the code that wrote it: attribute and value, or nothing if
/// it is anything else than one test for equality.
fn read_equality(filter: &str) -> Option<(String, Vec<u8>)> {
    let (attribute, mut rest) = filter.strip_prefix('(')?.strip_suffix(')')?.split_once('=')?;
    let mut value = Vec::new();
    while let Some(character) = rest.chars().next() {
        match character {
            '\\' => {
                value.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
                rest = &rest[3..];
            }
            '(' | ')' | '*' | '\0' => return None,
            _ => {
                value.extend(character.to_string().bytes());
                rest = &rest[character.len_utf8()..];
            }
        }
    }
    Some((attribute.to_owned(), value))
}

/// What ldap3 would send: the tag's number and its strings.
fn sent(filter: &Filter) -> (u64, Vec<(u64, Vec<u8>)>) {
    let tag: StructureTag = ldap3::parse_filter(filter.to_string()).unwrap().into_structure();
    assert_eq!(tag.class, TagClass::Context);
    let PL::C(parts) = tag.payload else { return (tag.id, vec![(u64::MAX, tag.expect_primitive().unwrap_or_default())]) };
    let part = |part: StructureTag| match part.payload {
        PL::P(bytes) => (part.id, bytes),
        PL::C(_) => panic!("more than one assertion: {filter}"),
    };
    (tag.id, parts.into_iter().map(part).collect())
}

fn many(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// The cases of all properties together are well over one hundred thousand.

proptest! {
    #![proptest_config(many(20_000))]

    #[test]
    fn s02_a_name_that_was_built_is_read_back_the_same(pairs in vec(pair(), 0..5)) {
        let dn = pairs.iter().rev().fold(Dn::root(), |dn, (attribute, value)| dn.child(attribute, value));
        let written = dn.to_string();
        prop_assert!(!written.contains(['\0', '\n', '\r']), "{written:?}");
        let read = Dn::parse(&written).unwrap();
        prop_assert_eq!(&read, &dn);
        let exactly: Vec<_> = read.parts().iter().flat_map(Rdn::pairs).collect();
        let meant: Vec<_> = pairs.iter().map(|(attribute, value)| (attribute.as_str(), value.as_str())).collect();
        prop_assert_eq!(exactly, meant);
        prop_assert_eq!(read.to_string(), written);
        prop_assert_eq!(Dn::parse(&dn.to_string().replace(',', " , ").replace("\\ , ", "\\,")).unwrap(), dn.clone());
        prop_assert!(pairs.is_empty() || dn.is_within(&dn.parent().unwrap()));
    }

    #[test]
    fn a_part_of_several_attributes_is_read_back_the_same_in_any_order(pairs in vec(pair(), 1..4)) {
        let single: Vec<_> = pairs.iter().map(|(attribute, value)| Dn::root().child(attribute, value).to_string()).collect();
        let read = Dn::parse(&format!("{},DC=x", single.join("+"))).unwrap();
        prop_assert_eq!(read.parts().len(), 2);
        let exactly: Vec<_> = read.parts()[0].pairs().map(|(attribute, value)| (attribute.to_owned(), value.to_owned())).collect();
        prop_assert_eq!(exactly, pairs);
        let reversed: Vec<_> = single.into_iter().rev().collect();
        prop_assert_eq!(Dn::parse(&format!("{},dc=X", reversed.join("+"))).unwrap(), read);
    }

    #[test]
    fn s01_a_filter_of_any_bytes_is_one_test_for_exactly_these_bytes(
        attribute in attribute(),
        bytes in prop_oneof![vec(any::<u8>(), 0..24), text().prop_map(String::into_bytes)],
    ) {
        prop_assert!(is_attribute(&attribute));
        let filter = Filter::equal(&attribute, &bytes);
        prop_assert_eq!(read_equality(&filter.to_string()), Some((attribute.clone(), bytes.clone())));
        // 3 is equalityMatch (RFC 4511 section 4.5.1), of two octet strings.
        prop_assert_eq!(sent(&filter), (3, vec![(4, attribute.clone().into_bytes()), (4, bytes.clone())]));
        // 9 is extensibleMatch; its parts are the rule (1), the attribute (2) and the value (3).
        let (kind, parts) = sent(&Filter::in_chain(&attribute, &bytes));
        prop_assert_eq!(kind, 9);
        let rule = b"1.2.840.113556.1.4.1941".to_vec();
        prop_assert_eq!(parts[..3].to_vec(), vec![(1, rule), (2, attribute.into_bytes()), (3, bytes)]);
    }

    #[test]
    fn s03_a_name_in_a_filter_survives_both_escapings(pairs in vec(pair(), 1..4)) {
        let dn = pairs.iter().rev().fold(Dn::root(), |dn, (attribute, value)| dn.child(attribute, value));
        let filter = Filter::and([Filter::present("objectClass"), Filter::equal("member", dn.to_string())]).to_string();
        let inner = filter.strip_prefix("(&(objectClass=*)").unwrap().strip_suffix(')').unwrap();
        let (_, value) = read_equality(inner).unwrap();
        prop_assert_eq!(Dn::parse(std::str::from_utf8(&value).unwrap()).unwrap(), dn);
    }

    #[test]
    fn s04_an_identifier_is_the_same_as_bytes_and_as_text(sid in sid(), more in any::<u8>()) {
        let bytes = sid.to_bytes();
        prop_assert_eq!(Sid::parse(&sid.to_string()), Some(sid.clone()));
        prop_assert_eq!(Sid::from_bytes(&bytes), Some(sid));
        prop_assert_eq!(Sid::from_bytes(&[bytes.as_slice(), &[more]].concat()), None);
        prop_assert_eq!(Sid::from_bytes(&bytes[..bytes.len() - 1]), None);
    }
}

proptest! {
    #![proptest_config(many(20_000))]

    #[test]
    fn text_of_any_kind_never_panics_and_what_is_read_from_it_is_stable(text in prop_oneof![text(), "[A-Za-z]{1,3}=.{0,6}(,[a-z]=.{0,6}){0,3}"]) {
        let _ = (Sid::parse(&text), Guid::parse(&text), is_attribute(&text));
        if let Ok(dn) = Dn::parse(&text) {
            prop_assert_eq!(Dn::parse(&dn.to_string()).unwrap(), dn);
        }
        // Whatever stands for an attribute: never a filter that means something else.
        let built = Filter::equal(&text, "x").to_string();
        prop_assert!(is_attribute(&text) || ldap3::parse_filter(&built).is_err(), "{built}");
    }

    #[test]
    fn f53_s47_bytes_of_any_kind_never_panic(
        bytes in vec(any::<u8>(), 0..80),
        header in proptest::option::of((0..40_u32, 0..40_u32, any::<u16>())),
    ) {
        let _ = (Sid::from_bytes(&bytes), Guid::from_bytes(&bytes));
        // Half of them with a header that lets the rest be looked at.
        let bytes = header.map_or(bytes.clone(), |(owner, dacl, size)| {
            let acl = [&[4, 0][..], &size.to_le_bytes(), &[3, 0, 0, 0]].concat();
            [&[1, 0, 4, 0x80][..], &owner.to_le_bytes(), &[0; 8], &dacl.to_le_bytes(), &acl, &bytes].concat()
        });
        if let Ok(descriptor) = Descriptor::from_bytes(&bytes) {
            let _ = (descriptor.denies(u32::MAX), descriptor.grants(u32::MAX, &[]));
        }
    }
}

proptest! {
    #![proptest_config(many(4_000))]

    #[test]
    fn a_descriptor_is_read_as_it_was_built_and_damage_never_panics(
        owner in proptest::option::of(sid()),
        entries in proptest::option::of(vec(ace(), 0..5)),
        owner_first in any::<bool>(),
        gap in 0..9_u8,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let descriptor = Descriptor { owner, entries };
        let mut bytes = descriptor_bytes(&descriptor, owner_first, gap);
        prop_assert_eq!(Descriptor::from_bytes(&bytes), Ok(descriptor));
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
            if let Ok(descriptor) = Descriptor::from_bytes(&bytes) {
                let _ = (descriptor.denies(u32::MAX), descriptor.grants(u32::MAX, &[]));
            }
        }
    }
}
