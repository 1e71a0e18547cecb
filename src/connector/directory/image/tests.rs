//! The before-image: whole, without secrets, and the same after it was written and read.

use proptest::prelude::*;

use super::*;
use crate::connector::directory::filter::is_attribute;

const GROUP: &str = "CN=Telefon\\, Büro,OU=Groups,DC=contoso,DC=com";

fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap()
}

fn guid(byte: u8) -> Guid {
    Guid::from_bytes(&[byte; 16]).unwrap()
}

fn object() -> Entry {
    let mut object = Entry::new("CN=ocschat,OU=Services,DC=contoso,DC=com".to_owned());
    object.add("objectGUID", [guid(7).to_bytes().to_vec()]);
    object.add("objectSid", [Sid::parse("S-1-5-21-1-2-3-1104").unwrap().to_bytes()]);
    for (name, values) in [
        ("objectClass", &["top", "person", "organizationalPerson", "user"][..]),
        ("cn", &["ocschat"]),
        ("name", &["ocschat"]),
        ("distinguishedName", &["CN=ocschat,OU=Services,DC=contoso,DC=com"]),
        ("sAMAccountName", &["ocschat"]),
        ("userAccountControl", &["512"]),
        ("primaryGroupID", &["1700"]),
        ("memberOf", &[GROUP]),
        ("directReports", &["CN=Bob,OU=Staff,DC=contoso,DC=com"]),
        ("msExchOtherBL", &["CN=Eve,OU=Staff,DC=contoso,DC=com"]),
        ("msRTCSIP-PrimaryUserAddress", &["sip:ocschat@contoso.com"]),
        ("proxyAddresses", &["SMTP:ocschat@contoso.com", "sip:ocschat@contoso.com"]),
        ("displayName", &["Büro <chat>"]),
        ("info", &["first\r\nsecond"]),
        ("description", &[" starts with a blank"]),
        ("manager", &["CN=Ann,OU=Staff,DC=contoso,DC=com"]),
        ("pwdLastSet", &["132000000000000000"]),
        ("uSNChanged", &["4711"]),
        ("lastLogonTimestamp", &["132000000000000001"]),
        ("thumbnailPhoto", &["text by chance"]),
        ("unicodePwd", &["hunter2"]),
        ("msLAPS-Password", &["hunter3"]),
        ("contosoAppPassword", &["hunter4"]),
        ("badPasswordTime", &["0"]),
    ] {
        object.add(name, values.iter().map(|value| value.as_bytes().to_vec()));
    }
    object.add("logonHours", [vec![0xff; 21]]);
    object
}

fn groups() -> Vec<Membership> {
    vec![Membership { dn: dn(GROUP), guid: guid(9) }]
}

fn take(object: &Entry, groups: Vec<Membership>) -> Result<BeforeImage, String> {
    BeforeImage::take(object, Timestamp::UNIX_EPOCH, &dn("DC=contoso,DC=com"), "dc1.contoso.com", groups)
}

fn image() -> BeforeImage {
    take(&object(), groups()).unwrap()
}

#[test]
fn the_image_is_readable_and_reads_back_the_same() {
    let bytes = image().to_bytes();
    let text = std::str::from_utf8(&bytes).unwrap();
    assert!(text.starts_with("{\n  \"relevo_before_image\": 1,\n  \"taken\": \"1970-01-01T00:00:00Z\","), "{text}");
    assert!(text.contains("\"sip:ocschat@contoso.com\""), "{text}");
    assert!(text.contains("\"guid\": \"07070707-0707-0707-0707-070707070707\""), "{text}");
    assert!(text.contains("\"sid\": \"S-1-5-21-1-2-3-1104\""), "{text}");
    // Bytes are bytes even where they happen to be text.
    assert!(text.contains("\"base64\": \"dGV4dCBieSBjaGFuY2U=\""), "{text}");
    assert_eq!(BeforeImage::from_bytes(&bytes), Ok(image()));
}

#[test]
fn s29_secrets_are_named_and_their_values_are_nowhere() {
    let image = image();
    let text = String::from_utf8(image.to_bytes()).unwrap();
    assert!(!text.contains("hunter"), "{text}");
    for encoded in ["aHVudGVy", "HVudGVy", "h1bnRlc"] {
        assert!(!text.contains(encoded), "{text}");
    }
    assert_eq!(image.withheld, ["contosoAppPassword", "msLAPS-Password", "unicodePwd"]);
    for secret in [
        "UNICODEPWD",
        "dBCSPwd",
        "ntPwdHistory",
        "lmPwdHistory",
        "supplementalCredentials",
        "currentValue",
        "priorValue",
        "initialAuthIncoming",
        "trustAuthOutgoing",
        "msDS-ManagedPassword",
        "ms-Mcs-AdmPwd",
        "msLAPS-EncryptedPassword",
        "msFVE-RecoveryPassword",
        "msFVE-KeyPackage",
        "userPassword",
        "msDS-ExecuteScriptPassword",
        "unixUserPassword",
        "userPassword;x-1",
    ] {
        assert!(attributes::is_secret(secret), "{secret}");
        assert_eq!(attributes::fate(secret), attributes::Fate::Secret);
    }
    for open in ["badPasswordTime", "pwdLastSet", "mail", "msRTCSIP-UserEnabled"] {
        assert!(!attributes::is_secret(open), "{open}");
    }
}

#[test]
fn a_restore_writes_back_what_a_deletion_takes_away_and_nothing_else() {
    let image = image();
    let names: Vec<_> = image.restorable().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "description",
            "displayName",
            "info",
            "logonHours",
            "manager",
            "msRTCSIP-PrimaryUserAddress",
            "proxyAddresses",
            "thumbnailPhoto"
        ]
    );
    let (_, addresses) = image.restorable().find(|(name, _)| *name == "proxyAddresses").unwrap();
    let bytes: Vec<_> = addresses.iter().map(ValueText::bytes).collect();
    assert_eq!(bytes, [&b"SMTP:ocschat@contoso.com"[..], b"sip:ocschat@contoso.com"]);
    assert_eq!(image.primary_group(), Some(1700));
}

#[test]
fn what_a_restore_cannot_bring_back_is_listed() {
    assert_eq!(
        image().lost(),
        [
            "its password: set a new one",
            "whether it is enabled: userAccountControl was 512, and servers may bring it back disabled",
            "`contosoAppPassword`: a secret, which is not kept",
            "`msLAPS-Password`: a secret, which is not kept",
            "`unicodePwd`: a secret, which is not kept",
            "`manager` of `CN=Bob,OU=Staff,DC=contoso,DC=com`: set it again",
            "what `CN=Eve,OU=Staff,DC=contoso,DC=com` held that made `msExchOtherBL` of this object: set it again",
        ]
    );
}

#[test]
fn an_object_that_was_not_read_whole_has_no_image() {
    let refused = |object: &Entry, groups, because: &str| {
        let error = take(object, groups).unwrap_err();
        assert!(error.starts_with("the before-image would not be complete: ") && error.contains(because), "{error}");
    };
    let mut ranged = object();
    ranged.add("member;range=0-1499", [b"CN=x".to_vec()]);
    refused(&ranged, groups(), "an attribute `member;range=0-1499`");
    let mut injected = object();
    injected.add("a\nchangetype: delete", [b"x".to_vec()]);
    refused(&injected, groups(), "an attribute `a\\u{a}changetype: delete`");
    refused(&object(), vec![], "the group `CN=Telefon\\, Büro,OU=Groups,DC=contoso,DC=com` could not be read");
    let mut link = object();
    link.add("managedObjects", [b"\xff".to_vec()]);
    refused(&link, groups(), "managedObjects: no text");
    refused(&Entry::new("CN=a,DC=b".to_owned()), vec![], "objectGUID");
    refused(&Entry::new("<GUID=x>".to_owned()), vec![], "is an address");
    let mut root = Entry::new(String::new());
    root.add("objectGUID", [vec![1; 16]]);
    refused(&root, vec![], "has no name");
}

#[test]
fn the_way_by_hand_is_ldif_for_the_object_its_attributes_and_its_groups() {
    let text = image().by_hand.join("\n");
    assert!(!text.contains("hunter"), "{text}");
    let of = |guid: Guid| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("<GUID={guid}>"));
    let (this, group) = (of(guid(7)), of(guid(9)));
    for part in [
        format!(
            "dn: CN=ocschat\\0ADEL:{},CN=Deleted Objects,DC=contoso,DC=com\ncontrol: 1.2.840.113556.1.4.417 true\nchangetype: modify\ndelete: isDeleted\n-\n\
             replace: distinguishedName\ndistinguishedName: CN=ocschat,OU=Services,DC=contoso,DC=com\n-\n",
            guid(7)
        ),
        format!(
            "dn:: {this}\nchangetype: modify\nreplace: proxyAddresses\nproxyAddresses: SMTP:ocschat@contoso.com\n\
             proxyAddresses: sip:ocschat@contoso.com\n-\n"
        ),
        "displayName:: QsO8cm8gPGNoYXQ+\n".to_owned(),
        "info:: Zmlyc3QNCnNlY29uZA==\n".to_owned(),
        "description:: IHN0YXJ0cyB3aXRoIGEgYmxhbms=\n".to_owned(),
        format!("dn:: {group}\nchangetype: modify\nadd: member\nmember: CN=ocschat,OU=Services,DC=contoso,DC=com\n-\n"),
        format!("dn:: {this}\nchangetype: modify\nreplace: primaryGroupID\nprimaryGroupID: 1700\n-\n"),
        "#    `manager` of `CN=Bob,OU=Staff,DC=contoso,DC=com`: set it again".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}\n--- is not in\n{text}");
    }
}

#[test]
fn another_version_and_what_is_no_image_are_refused_by_name() {
    let text = String::from_utf8(image().to_bytes()).unwrap();
    let refused = |text: &str, because: &str| {
        let error = BeforeImage::from_bytes(text.as_bytes()).unwrap_err();
        assert!(error.contains(because), "{error}");
    };
    let versions = [("2", "2"), ("\"1\"", "\"1\""), ("1.5", "1.5"), ("[]", "[]")];
    for (version, shown) in versions {
        let changed = text.replace("\"relevo_before_image\": 1", &format!("\"relevo_before_image\": {version}, \"new\": 0"));
        refused(&changed, &format!("the before-image has version {shown}, and this relevo reads version 1"));
    }
    refused(&text.replace("relevo_before_image", "other"), "not a before-image: it lacks");
    refused("hello", "not a before-image: ");
    refused(&text.replace("\"dc\"", "\"dcs\""), "the before-image is damaged: unknown field `dcs`");
    refused(&text.replace("S-1-5-21-1-2-3-1104", "S-1-x"), "`S-1-x` is no SID");
    refused(&text.replace("07070707-0707", "0707"), "is no GUID");
    refused(&text.replace("\"parent\": \"OU=", "\"parent\": \"<GUID="), "is an address");
    refused(&text.replace("dGV4dCBieSBjaGFuY2U=", "dGV4dCBieSBjaGFuY2U"), "the before-image is damaged");
    refused(&text[..text.len() / 2], "EOF");
    refused(&format!("{text}{{}}"), "trailing characters");
}

#[test]
fn every_name_in_the_tables_is_the_name_of_an_attribute() {
    for name in attributes::all_names() {
        assert!(is_attribute(name.trim_end_matches('*')), "{name}");
    }
}

fn any_object() -> impl Strategy<Value = Entry> {
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        "\\PC{0,12}".prop_map(String::into_bytes),
        "[ :<a\r\n\t\u{0}é]{0,4}".prop_map(String::into_bytes),
    ];
    let attribute = ("[a-z][a-zA-Z0-9-]{1,8}(;binary)?", proptest::collection::vec(value, 1..4));
    let name = proptest::collection::vec(proptest::char::any(), 1..8).prop_map(String::from_iter);
    (name, proptest::collection::vec(attribute, 0..6), any::<[u8; 16]>()).prop_map(|(name, attributes, guid)| {
        let mut object = Entry::new(dn("OU=a,DC=b").child("CN", &name).to_string());
        for (name, values) in attributes {
            if !attributes::is_back_link(&name) {
                object.add(&name, values);
            }
        }
        object.add("objectGUID", [guid.to_vec()]);
        object
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_object_survives_being_written_and_read_and_its_ldif_has_one_line_per_line(object in any_object()) {
        let image = take(&object, vec![]).unwrap();
        prop_assert_eq!(BeforeImage::from_bytes(&image.to_bytes()).unwrap(), image.clone());
        for (name, values) in object.attributes() {
            if !attributes::is_secret(name) {
                let kept: Vec<_> = image.values(name).iter().map(|value| value.bytes().to_vec()).collect();
                prop_assert_eq!(kept.as_slice(), values);
            }
        }
        for line in &image.by_hand {
            let ascii = line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            prop_assert!(!line.contains(['\n', '\r', '\0']) && (ascii || line.starts_with('#')), "{:?}", line);
        }
    }
}
