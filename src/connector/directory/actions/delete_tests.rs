use super::super::super::sid::Sid;
use super::*;

const DN: &str = "CN=a,OU=Service,DC=c,DC=lan";

fn pinned() -> Pinned {
    match (Guid::from_bytes(&[1; 16]), Sid::parse("S-1-5-21-1-2-3-1104"), Dn::parse(DN)) {
        (Some(guid), Some(sid), Ok(dn)) => Pinned { guid, sid, dn },
        wrong => panic!("{wrong:?}"),
    }
}

fn arguments() -> Args {
    match (args::SipAddress::parse("sip:a@c.lan"), Dn::parse("OU=Service,DC=c,DC=lan")) {
        (Ok(address), Ok(base)) => Args { subject: Subject::Sip(address), base, permit_admin_count: false },
        wrong => panic!("{wrong:?}"),
    }
}

fn account(dn: &str, more: &[(&str, &str)]) -> Entry {
    let mut entry = Entry::new(dn.to_owned());
    entry.add("objectGUID", [pinned().guid.to_bytes().to_vec()]);
    entry.add("objectSid", [pinned().sid.to_bytes()]);
    let texts = [
        ("objectClass", "top"),
        ("objectClass", "user"),
        ("userAccountControl", "512"),
        ("sAMAccountType", "805306368"),
        ("primaryGroupID", "513"),
        ("msRTCSIP-PrimaryUserAddress", "sip:A@c.lan"),
    ];
    for (name, value) in texts.iter().chain(more) {
        entry.add(name, [value.as_bytes().to_vec()]);
    }
    entry
}

fn judged(seen: &Seen, untried: bool) -> (Verdict, String) {
    meaning(&arguments(), &pinned(), seen, untried, "dc1.c.lan")
}

fn living(entry: Entry) -> Seen {
    Seen::Living(Box::new(Known::ordinary(entry)), Vec::new())
}

fn tombstone(sid: &str) -> Seen {
    let mut entry = Entry::new(format!("CN=a\\0ADEL:{},CN=Deleted Objects,DC=c,DC=lan", pinned().guid));
    entry.add("objectGUID", [pinned().guid.to_bytes().to_vec()]);
    entry.add("objectSid", Sid::parse(sid).map(|sid| sid.to_bytes()));
    entry.add("isDeleted", [b"TRUE".to_vec()]);
    entry.add("whenChanged", [b"20261129203000.0Z".to_vec()]);
    Seen::Deleted(Box::new(entry))
}

#[test]
fn the_approved_object_alive_and_unchanged_is_not_done() {
    let (verdict, said) = judged(&living(account(DN, &[])), false);
    assert_eq!(verdict, Verdict::NotDone, "{said}");
}

#[test]
fn f60_anything_that_changed_about_a_living_one_is_a_conflict_with_all_reasons() {
    let moved = account("CN=b,OU=Elsewhere,DC=c,DC=lan", &[("adminCount", "1")]);
    let (verdict, said) = judged(&living(moved), false);
    assert_eq!(verdict, Verdict::Conflict);
    for part in ["renamed or moved", "outside", "adminCount"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn an_address_that_it_lost_or_shares_is_a_conflict() {
    let mut lost = Entry::new(DN.to_owned());
    for (name, values) in account(DN, &[]).attributes().filter(|(name, _)| *name != find::PRIMARY) {
        lost.add(name, values.to_vec());
    }
    let (verdict, said) = judged(&living(lost), false);
    assert!(verdict == Verdict::Conflict && said.contains("does not carry the address"), "{said}");
    let other = Entry::new("CN=other,DC=c,DC=lan".to_owned());
    let shared = Seen::Living(Box::new(Known::ordinary(account(DN, &[]))), vec![other]);
    let (verdict, said) = judged(&shared, false);
    assert!(verdict == Verdict::Conflict && said.contains("CN=other,DC=c,DC=lan"), "{said}");
}

#[test]
fn f62_its_tombstone_is_done_and_before_the_first_attempt_not_by_us() {
    let (verdict, said) = judged(&tombstone("S-1-5-21-1-2-3-1104"), false);
    assert_eq!(verdict, Verdict::Done);
    assert!(said.contains("0ADEL:") && said.contains("since 2026-11-29 20:30:00 UTC") && !said.contains("not by us"), "{said}");
    let (verdict, said) = judged(&tombstone("S-1-5-21-1-2-3-1104"), true);
    assert!(verdict == Verdict::Done && said.contains("not by us"), "{said}");
}

#[test]
fn f61_a_tombstone_of_another_account_is_a_conflict() {
    assert_eq!(judged(&tombstone("S-1-5-21-1-2-3-1105"), false).0, Verdict::Conflict);
}

#[test]
fn f65b_absence_is_never_done() {
    for readable in [true, false] {
        let (verdict, said) = judged(&Seen::Nowhere { readable }, false);
        assert_eq!(verdict, Verdict::Unknown, "{said}");
        assert_eq!(said.contains("cannot read Deleted Objects"), !readable, "{said}");
    }
}

#[test]
fn a_time_of_the_directory_is_shown_readably_and_a_strange_one_harmlessly() {
    assert_eq!(when("20261129203000.0Z"), "2026-11-29 20:30:00 UTC");
    assert_eq!(when("nonsense\u{1b}"), "nonsense\\u{1b}");
    assert_eq!(when("ää261129203000.0Z"), "ää261129203000.0Z");
}
