use super::super::super::image::Membership;
use super::super::super::sid::Sid;
use super::*;

const DN: &str = "CN=a,OU=Service,DC=c,DC=lan";

fn guid(byte: u8) -> Guid {
    Guid::from_bytes(&[byte; 16]).unwrap_or_else(|| panic!("16 bytes are an identity"))
}

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn account(texts: &[(&str, &str)]) -> Entry {
    let mut entry = Entry::new(DN.to_owned());
    entry.add("objectGUID", [guid(1).to_bytes().to_vec()]);
    entry.add("objectSid", Sid::parse("S-1-5-21-1-2-3-1104").map(|sid| sid.to_bytes()));
    entry.add("objectClass", [b"top".to_vec(), b"user".to_vec()]);
    for (name, value) in texts {
        entry.add(name, [value.as_bytes().to_vec()]);
    }
    entry
}

const WHOLE: &[(&str, &str)] = &[
    ("displayName", "Chat"),
    ("proxyAddresses", "sip:a@c.lan"),
    ("proxyAddresses", "smtp:a@c.lan"),
    ("msRTCSIP-PrimaryUserAddress", "sip:a@c.lan"),
    ("userAccountControl", "66048"),
    ("whenChanged", "20260101000000.0Z"),
];

fn image() -> BeforeImage {
    let groups = vec![Membership { dn: dn("CN=g,DC=c,DC=lan"), guid: guid(7) }];
    let taken = jiff::Timestamp::UNIX_EPOCH;
    BeforeImage::take(&account(WHOLE), taken, &dn("DC=c,DC=lan"), "dc1.c.lan", groups).unwrap_or_else(|why| panic!("{why}"))
}

fn living(texts: &[(&str, &str)], missing_groups: &[usize]) -> Seen {
    Seen::Living { object: Box::new(account(texts)), missing_groups: missing_groups.to_vec() }
}

#[test]
fn all_that_the_image_holds_is_done_and_says_what_is_lost() {
    let (verdict, said, lost) = meaning(&image(), &living(WHOLE, &[]), false);
    assert_eq!(verdict, Verdict::Done, "{said}");
    assert!(said.contains("password") && lost.iter().any(|line| line.contains("password")), "{said}");
}

#[test]
fn a_missing_attribute_value_or_group_is_partial_and_named() {
    let (verdict, said, _) = meaning(&image(), &living(&WHOLE[1..], &[]), false);
    assert!(verdict == Verdict::Partial && said.contains("`displayName`"), "{said}");
    let without: Vec<_> = WHOLE.iter().copied().filter(|(_, value)| *value != "smtp:a@c.lan").collect();
    let (verdict, said, _) = meaning(&image(), &living(&without, &[]), false);
    assert!(verdict == Verdict::Partial && said.contains("`proxyAddresses`"), "{said}");
    let (verdict, said, _) = meaning(&image(), &living(WHOLE, &[0]), false);
    assert!(verdict == Verdict::Partial && said.contains("CN=g,DC=c,DC=lan"), "{said}");
}

#[test]
fn what_this_account_may_not_write_is_lost_rather_than_missing() {
    let mut object = account(&WHOLE[1..]);
    object.add(WRITABLE, [b"description".to_vec()]);
    let seen = Seen::Living { object: Box::new(object), missing_groups: Vec::new() };
    let (verdict, said, lost) = meaning(&image(), &seen, false);
    assert_eq!(verdict, Verdict::Done, "{said}");
    assert!(lost.iter().any(|line| line.starts_with("`displayName`")), "{lost:?}");
}

#[test]
fn a_tombstone_is_not_done_and_absence_cannot_tell() {
    let mut tombstone = Entry::new("CN=a\\0ADEL:x,CN=Deleted Objects,DC=c,DC=lan".to_owned());
    tombstone.add("isDeleted", [b"TRUE".to_vec()]);
    assert_eq!(meaning(&image(), &Seen::Deleted(Box::new(tombstone)), false).0, Verdict::NotDone);
    assert_eq!(meaning(&image(), &Seen::Nowhere, false).0, Verdict::Unknown);
}

#[test]
fn an_account_that_came_back_disabled_stays_so_with_its_other_flags() {
    let flags = |now: &str| account_flags(&image(), &account(&[("userAccountControl", now)]));
    // Before: an ordinary account whose password does not expire.
    assert_eq!(flags("66048"), None);
    assert_eq!(flags("66050"), None);
    assert_eq!(flags("546"), Some(66050));
    assert_eq!(flags("512"), Some(66048));
    assert_eq!(account_flags(&image(), &account(&[])), None);
}

#[test]
fn the_addresses_of_an_image_are_those_of_sip() {
    assert_eq!(addresses(&image()), ["sip:a@c.lan", "sip:a@c.lan"]);
}
