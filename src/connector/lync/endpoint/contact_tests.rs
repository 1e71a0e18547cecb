use super::*;

fn address() -> SipAddress {
    SipAddress::parse("sip:ocschat@contoso.com").unwrap_or_else(|why| panic!("{why}"))
}

const POOL_FQDN: &str = "pcpool.contoso.com";

fn contact(identity: &str, address: &str) -> Contact {
    let object = Value::custom([("Identity", identity), ("SipAddress", address)]);
    Contact::read(&object).unwrap_or_else(|why| panic!("{why}"))
}

fn seen(all: &[Contact], of_pool: &[&str], users: &[&str]) -> Seen {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Seen { all: all.to_vec(), of_pool: texts(of_pool), users: texts(users) }
}

fn verdict(seen: &Seen) -> Verdict {
    seen.judge(&address(), POOL_FQDN).verdict
}

#[test]
fn exactly_one_contact_with_the_address_in_our_pool_is_done_and_letter_case_does_not_count() {
    let built_in = contact("CN={1},CN=Application Contacts", "sip:GC-1-PersistentChatService-2@contoso.com");
    let ours = contact("CN={2},CN=Application Contacts", "SIP:OcsChat@contoso.com");
    let both =
        seen(&[built_in.clone(), ours.clone()], &["cn={1},cn=application contacts", "cn={2},CN=Application Contacts"], &[]);
    let judged = both.judge(&address(), POOL_FQDN);
    assert_eq!((judged.verdict, judged.contact), (Verdict::Done, Some(ours)));
    // The endpoint that every pool has from its installation is none of ours.
    let judged = seen(&[built_in], &["CN={1},CN=Application Contacts"], &[]).judge(&address(), POOL_FQDN);
    assert_eq!(judged.verdict, Verdict::NotDone);
    assert!(judged.seen.contains("GC-1-PersistentChatService-2"), "{}", judged.seen);
}

#[test]
fn an_address_that_anybody_else_holds_is_a_conflict_that_names_the_holder() {
    let ours = contact("CN={2}", "sip:ocschat@contoso.com");
    let elsewhere = seen(std::slice::from_ref(&ours), &[], &[]).judge(&address(), POOL_FQDN);
    assert_eq!(elsewhere.verdict, Verdict::Conflict);
    assert!(elsewhere.seen.contains("another pool") && elsewhere.seen.contains("CN={2}"), "{}", elsewhere.seen);
    let user = seen(&[], &[], &["CN=ocschat,OU=Service,DC=contoso,DC=com"]).judge(&address(), POOL_FQDN);
    assert_eq!(user.verdict, Verdict::Conflict);
    assert!(user.seen.contains("CN=ocschat,OU=Service,DC=contoso,DC=com"), "{}", user.seen);
    assert_eq!(verdict(&seen(std::slice::from_ref(&ours), &["CN={2}"], &["CN=ocschat"])), Verdict::Conflict);
    let twice = [ours, contact("CN={3}", "sip:ocschat@contoso.com")];
    assert_eq!(verdict(&seen(&twice, &["CN={2}"], &[])), Verdict::Conflict);
}

#[test]
fn while_a_contact_shows_no_address_nobody_is_said_to_have_none() {
    let mute = Contact::read(&Value::custom([("Identity", "CN={4}"), ("PrimaryUri", "sip:ocschat@contoso.com")]));
    let mute = mute.unwrap_or_else(|why| panic!("{why}"));
    let judged = seen(std::slice::from_ref(&mute), &["CN={4}"], &[]).judge(&address(), POOL_FQDN);
    assert_eq!(judged.verdict, Verdict::Unknown);
    assert!(judged.seen.contains("CN={4}"), "{}", judged.seen);
    let ours = contact("CN={2}", "sip:ocschat@contoso.com");
    assert_eq!(verdict(&seen(&[ours, mute], &["CN={2}"], &[])), Verdict::Done);
}

#[test]
fn a_contact_that_names_another_pool_than_the_server_is_not_understood() {
    let object = Value::custom([
        ("Identity", "CN={2}"),
        ("SipAddress", "sip:ocschat@contoso.com"),
        ("PersistentChatPoolFqdn", "other.contoso.com"),
    ]);
    let contact = Contact::read(&object).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(verdict(&seen(&[contact], &["CN={2}"], &[])), Verdict::Unknown);
    // The pool of the Front Ends is another one by its nature.
    let object =
        Value::custom([("Identity", "CN={2}"), ("SipAddress", "sip:ocschat@contoso.com"), ("RegistrarPool", "fe.contoso.com")]);
    let contact = Contact::read(&object).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(verdict(&seen(&[contact], &["CN={2}"], &[])), Verdict::Done);
}

#[test]
fn a_contact_without_a_distinguished_name_spoils_the_list() {
    // What an object is shown as that has no text of its own.
    assert!(Contact::read(&Value::custom([("Identity", "Microsoft.Rtc.Management.ADConnect.Core.ADObjectId")])).is_err());
    let named = Value::custom([("Identity", "x"), ("DistinguishedName", "cn={1},CN=Application Contacts")]);
    assert_eq!(Contact::read(&named).map(|contact| contact.identity), Ok("cn={1},CN=Application Contacts".to_owned()));
    assert!(contacts(&[named.clone(), named]).is_err(), "twice the same");
    assert!(Contact::read(&Value::custom([("SipAddress", "sip:a@b.c")])).is_err());
    assert!(Contact::read(&Value::from("sip:a@b.c")).is_err());
    let bare = Contact::read(&Value::custom([("Identity", "CN={9}")])).unwrap_or_else(|why| panic!("{why}"));
    assert!(!bare.has(&address()) && bare.address.is_none());
}

#[test]
fn an_image_holds_everything_and_is_refused_for_another_endpoint() {
    let image = seen(&[contact("CN={1}", "sip:a@contoso.com")], &["CN={1}"], &[]).image(&address(), POOL_FQDN);
    assert_eq!(identities(&image, &address(), POOL_FQDN), Ok(vec!["CN={1}".to_owned()]));
    assert!(identities(&image, &address(), "other.contoso.com").is_err());
    assert!(identities(&json!({}), &address(), POOL_FQDN).is_err());
}

#[test]
fn the_only_text_that_is_put_together_is_the_filter_for_users() {
    assert_eq!(
        users(&address()).get("Filter").map(Value::to_text).as_deref(),
        Some("SipAddress -eq \"sip:ocschat@contoso.com\"")
    );
    let command = creation(&address(), POOL_FQDN, Some("x'; Stop-Computer"));
    assert_eq!(command.get("DisplayName").map(Value::to_text).as_deref(), Some("x'; Stop-Computer"));
    assert!(!command.is_script);
}
