//! The lab by the judgement of ldap-utils: what these programs do with a real Active Directory they do with it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod lab_support;

use lab_support::{CHAT, DELETED, DOMAIN, Lab, wait_for};

/// Whether ldap-utils are asked for. Says so if the test is left out.
fn wanted() -> bool {
    let all = std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all");
    let here = std::process::Command::new("ldapsearch").arg("-VV").output().is_ok();
    assert!(here || !all, "ldap-utils are not installed");
    if !here {
        eprintln!("left out: needs ldap-utils (tests/run installs it)");
    }
    here
}

const SIP: &str = "(msRTCSIP-PrimaryUserAddress=SIP:OCSCHAT@contoso.lan)";

#[test]
fn the_root_dse_is_for_everybody_and_the_rest_is_for_who_has_logged_on_over_tls() {
    if !wanted() {
        return;
    }
    let lab = Lab::new();
    let plain = format!("ldap://127.0.0.1:{}", lab.port("dc1", "ldap"));
    let anonymous = |arguments: &[&str]| {
        let output =
            std::process::Command::new("ldapsearch").args(["-x", "-LLL", "-H", &plain]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, root) = anonymous(&["-b", "", "-s", "base"]);
    assert_eq!(code, Some(0));
    for line in ["defaultNamingContext: DC=contoso,DC=lan", "dnsHostName: dc1.contoso.lan", "isGlobalCatalogReady: TRUE"] {
        assert!(root.contains(line), "{line}: {root}");
    }
    assert_eq!(anonymous(&["-b", DOMAIN, "-s", "base"]).0, Some(1), "operations error, as Active Directory says it");
    lab.ldap_at(&plain, "ldapsearch", "svc-mig", &["-b", "", "-s", "base"], "").exits(8);
    let over_tls = lab.ldap_at(&plain, "ldapsearch", "svc-mig", &["-LLL", "-ZZ", "-b", DOMAIN, SIP, "dn"], "").exits(0);
    assert_eq!(over_tls.dns(), [CHAT]);
    // Another authority's certificate is believed by nobody.
    let other = Lab::new();
    let url = format!("ldaps://127.0.0.1:{}", other.port("dc1", "ldaps"));
    lab.ldap_at(&url, "ldapsearch", "svc-mig", &["-b", "", "-s", "base"], "").exits(255);
}

#[test]
fn searches_have_pages_references_identities_and_matching_rules() {
    if !wanted() {
        return;
    }
    let lab = Lab::new();
    let found = lab.search("dc1", &["-b", DOMAIN, SIP, "memberOf"]).exits(0);
    assert_eq!(found.dns(), [CHAT]);
    assert_eq!(found.out.matches("# refldaps://").count(), 3, "{}", found.out);
    let paged =
        lab.search("dc1", &["-E", "pr=2/noprompt", "-b", "OU=Staff,DC=contoso,DC=lan", "(objectClass=user)", "dn"]).exits(0);
    assert_eq!(paged.dns().len(), 49);
    lab.search("dc1", &["-z", "1", "-b", "OU=Staff,DC=contoso,DC=lan", "dn"]).exits(4);
    let guid = lab.guid(CHAT);
    assert_eq!(lab.search("dc1", &["-b", &format!("<GUID={guid}>"), "-s", "base", "dn"]).exits(0).dns(), [CHAT]);
    let bytes: String = guid.as_bytes().chunks(2).map(|pair| format!("\\{}", std::str::from_utf8(pair).unwrap())).collect();
    assert_eq!(lab.search("dc1", &["-b", DOMAIN, &format!("(objectGUID={bytes})"), "dn"]).exits(0).dns(), [CHAT]);
    let users = "<WKGUID=a9d1ca15768811d1aded00c04fd8d5cd,DC=contoso,DC=lan>";
    assert_eq!(lab.search("dc1", &["-b", users, "-s", "base", "dn"]).exits(0).dns(), ["CN=Users,DC=contoso,DC=lan"]);
    let chain = "(memberOf:1.2.840.113556.1.4.1941:=CN=Administrators,CN=Builtin,DC=contoso,DC=lan)";
    let through = lab.search("dc1", &["-b", DOMAIN, &format!("(&(objectClass=user){chain})"), "dn"]).exits(0);
    assert_eq!(through.dns(), ["CN=Administrator,CN=Users,DC=contoso,DC=lan"]);
    let disabled = lab.search("dc1", &["-b", DOMAIN, "(userAccountControl:1.2.840.113556.1.4.803:=2)", "dn"]).exits(0);
    assert_eq!(disabled.dns().len(), 6, "Guest, krbtgt, and people of Group Chat");
    let catalog = format!("ldaps://127.0.0.1:{}", lab.port("dc2", "gc_tls"));
    assert_eq!(lab.ldap_at(&catalog, "ldapsearch", "svc-mig", &["-LLL", "-b", "", SIP, "dn"], "").exits(0).dns(), [CHAT]);
    let settings = lab.search("dc1", &["-b", "CN=Sites,CN=Configuration,DC=contoso,DC=lan", "(objectClass=nTDSDSA)", "dn"]);
    assert_eq!(settings.exits(0).dns().len(), 2);
    lab.search("dc1", &["-E", "!1.2.3.4=::AA==", "-b", "CN=nothing,DC=contoso,DC=lan"]).exits(12);
    lab.search("dc1", &["-b", "CN=nothing,DC=contoso,DC=lan"]).exits(32);
    lab.search("dc1", &["-b", "nothing"]).exits(34);
}

#[test]
fn what_was_deleted_is_a_tombstone_and_comes_back_without_what_it_lost() {
    if !wanted() {
        return;
    }
    let lab = Lab::new();
    let guid = format!("<GUID={}>", lab.guid(CHAT));
    let delete = |account: &str, more: &[&str]| lab.ldap("ldapdelete", "dc1", account, &[more, &[&guid]].concat(), "");
    delete("svc-reader", &[]).exits(50);
    delete("svc-mig", &[]).exits(0);
    delete("svc-mig", &[]).exits(32);
    delete("Administrator", &["-e", DELETED]).exits(53);
    lab.search("dc1", &["-b", &guid, "-s", "base"]).exits(32);
    let tombstone = lab.search("dc1", &["-E", DELETED, "-b", &guid, "-s", "base"]).exits(0);
    assert!(tombstone.dns()[0].starts_with("CN=ocschat\\0ADEL:"), "{}", tombstone.out);
    for (attribute, kept) in [
        ("sAMAccountName", true),
        ("userAccountControl", true),
        ("lastKnownParent", true),
        ("isDeleted", true),
        ("mail", false),
        ("msRTCSIP-PrimaryUserAddress", false),
        ("userPrincipalName", false),
        ("memberOf", false),
        ("objectCategory", false),
    ] {
        assert_eq!(tombstone.value(attribute).is_some(), kept, "{attribute}");
    }
    // Who cannot read Deleted Objects knows nothing of it.
    lab.ldap("ldapsearch", "dc1", "svc-blind", &["-E", DELETED, "-b", &guid, "-s", "base"], "").exits(32);
    let groups = lab.search("dc1", &["-b", "OU=Groups,DC=contoso,DC=lan", &format!("(member={CHAT})"), "dn"]).exits(0);
    assert_eq!(groups.dns(), Vec::<String>::new());
    let back = |to: &str| {
        format!("dn: {guid}\nchangetype: modify\ndelete: isDeleted\n-\nreplace: distinguishedName\ndistinguishedName: {to}\n-\n")
    };
    let reanimate = |account: &str, to: &str| lab.ldap("ldapmodify", "dc1", account, &["-e", DELETED], &back(to));
    reanimate("svc-reader", CHAT).exits(32);
    reanimate("svc-mig", "CN=ocschat,OU=Nowhere,DC=contoso,DC=lan").exits(32);
    lab.modify(&format!("dn: {CHAT}\nchangetype: add\nobjectClass: contact\n")).exits(0);
    reanimate("svc-mig", CHAT).exits(68);
    lab.ldap("ldapdelete", "dc1", "Administrator", &[CHAT], "").exits(0);
    lab.modify("dn: CN=other,OU=Staff,DC=contoso,DC=lan\nchangetype: add\nobjectClass: user\nsAMAccountName: ocschat\n").exits(0);
    reanimate("svc-mig", CHAT).exits(68);
    lab.ldap("ldapdelete", "dc1", "Administrator", &["CN=other,OU=Staff,DC=contoso,DC=lan"], "").exits(0);
    reanimate("svc-mig", CHAT).exits(0);
    let again = lab.search("dc1", &["-b", CHAT, "-s", "base"]).exits(0);
    assert_eq!(again.value("pwdLastSet").as_deref(), Some("0"));
    assert_eq!(again.value("mail"), None);
    assert_eq!(again.value("isDeleted"), None);
    assert_eq!(format!("<GUID={}>", lab.guid(CHAT)), guid);
}

#[test]
fn changes_are_refused_with_the_codes_of_active_directory() {
    if !wanted() {
        return;
    }
    let lab = Lab::new();
    let change = |what: &str| lab.modify(&format!("dn: {CHAT}\nchangetype: modify\n{what}\n"));
    for (what, code) in [
        ("add: nothing\nnothing: x", 16),
        ("delete: title", 16),
        ("delete: mail\nmail: other@contoso.lan", 16),
        ("add: mail\nmail: other@contoso.lan", 20),
        ("replace: msRTCSIP-UserEnabled\nmsRTCSIP-UserEnabled: maybe", 21),
        ("replace: msRTCSIP-OptionFlags\nmsRTCSIP-OptionFlags: x", 21),
        ("replace: manager\nmanager: x", 34),
        ("replace: manager\nmanager: CN=nobody,DC=contoso,DC=lan", 19),
        ("add: member\nmember: CN=Guest,CN=Users,DC=contoso,DC=lan", 65),
        ("replace: objectGUID\nobjectGUID: x", 19),
        ("replace: objectSid\nobjectSid: x", 53),
        ("add: memberOf\nmemberOf: CN=Domain Users,CN=Users,DC=contoso,DC=lan", 53),
        ("replace: cn\ncn: x", 67),
        ("replace: isDeleted\nisDeleted: TRUE", 19),
        ("replace: sAMAccountName\nsAMAccountName: krbtgt", 68),
        ("replace: userPrincipalName\nuserPrincipalName: aruiz@contoso.lan", 19),
        // Compare and set: the old value deleted and the new one added, in one.
        ("delete: mail\nmail: old@contoso.lan\n-\nadd: mail\nmail: new@contoso.lan", 16),
        ("delete: mail\nmail: ocschat@contoso.lan\n-\nadd: mail\nmail: new@contoso.lan", 0),
    ] {
        let said = change(what);
        assert_eq!(said.code, code, "{what}: {}", said.err);
    }
    let member = |what: &str, who: &str| {
        lab.modify(&format!("dn: CN=Staff,OU=Groups,DC=contoso,DC=lan\nchangetype: modify\n{what}: member\nmember: {who}\n"))
    };
    member("add", "CN=aruiz,OU=Staff,DC=contoso,DC=lan").exits(68);
    member("delete", CHAT).exits(53);
    member("add", CHAT).exits(0);
    let add = |dn: &str, rest: &str| lab.modify(&format!("dn: {dn}\nchangetype: add\n{rest}\n"));
    add(CHAT, "objectClass: user").exits(68);
    add("CN=x,OU=Service,DC=contoso,DC=lan", "objectClass: user\nsAMAccountName: ocschat").exits(68);
    add("CN=x,OU=Nowhere,DC=contoso,DC=lan", "objectClass: user").exits(32);
    add("CN=x,OU=Service,DC=contoso,DC=lan", "objectClass: nothing").exits(16);
    add("CN=x,OU=Service,DC=contoso,DC=lan", "cn: x").exits(65);
    add("OU=x,OU=Service,DC=contoso,DC=lan", "objectClass: user").exits(64);
    add(&format!("CN=x,{CHAT}"), "objectClass: user").exits(64);
    add("CN=x,OU=Service,DC=contoso,DC=lan", "objectClass: user\nunicodePwd:: IgBhACIA").exits(19);
    let delete = |dn: &str| lab.ldap("ldapdelete", "dc1", "Administrator", &[dn], "");
    delete("OU=Service,DC=contoso,DC=lan").exits(66);
    delete("CN=krbtgt,CN=Users,DC=contoso,DC=lan").exits(53);
    delete("CN=Deleted Objects,DC=contoso,DC=lan").exits(32);
    lab.ldap("ldapdelete", "dc1", "Administrator", &["-e", "!1.2.840.113556.1.4.805", "OU=Staff,DC=contoso,DC=lan"], "").exits(0);
    let rename = |arguments: &[&str]| lab.ldap("ldapmodrdn", "dc1", "Administrator", arguments, "");
    rename(&["-r", CHAT, "CN=chat"]).exits(0);
    rename(&["-r", "-s", "OU=Groups,DC=contoso,DC=lan", "CN=chat,OU=Service,DC=contoso,DC=lan", "CN=Staff"]).exits(68);
    rename(&["CN=chat,OU=Service,DC=contoso,DC=lan", "CN=other"]).exits(53);
}

#[test]
fn a_password_is_set_over_tls_and_five_wrong_ones_lock_the_account() {
    if !wanted() {
        return;
    }
    let lab = Lab::new();
    let user = "CN=aruiz,OU=Staff,DC=contoso,DC=lan";
    let set = |text: &str| {
        use base64::Engine as _;
        let bytes: Vec<u8> = format!("\"{text}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let value = base64::engine::general_purpose::STANDARD.encode(bytes);
        lab.modify(&format!("dn: {user}\nchangetype: modify\nreplace: unicodePwd\nunicodePwd:: {value}\n"))
    };
    set("short").exits(19);
    set("Right-Horse-9").exits(0);
    let log_on = |password: &str| {
        std::fs::write(lab.dir().join("aruiz.password"), password).unwrap();
        lab.ldap("ldapsearch", "dc1", "aruiz", &["-b", "", "-s", "base", "dn"], "")
    };
    log_on("Right-Horse-9").exits(0);
    let flags = |value: &str| {
        lab.modify(&format!("dn: {user}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: {value}\n"))
    };
    flags("514").exits(0);
    log_on("Right-Horse-9").exits(49).says("data 533");
    flags("512").exits(0);
    for _ in 0..5 {
        log_on("wrong").exits(49).says("data 52e, v3839");
    }
    log_on("Right-Horse-9").exits(49).says("data 775");
    lab.modify(&format!("dn: {user}\nchangetype: modify\nreplace: lockoutTime\nlockoutTime: 0\n")).exits(0);
    log_on("Right-Horse-9").exits(0);
    lab.modify(&format!("dn: {user}\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: 0\n")).exits(0);
    log_on("Right-Horse-9").exits(49).says("data 773");
    let audit = std::fs::read_to_string(lab.dir().join("audit.jsonl")).unwrap();
    assert!(audit.contains("(secret)") && !audit.contains("Right-Horse") && !audit.contains("IgBSAGkAZwBoAHQA"));
}

#[test]
fn replication_can_be_held_and_a_domain_controller_stopped() {
    if !wanted() {
        return;
    }
    let lab = Lab::new();
    let there = || lab.search("dc2", &["-b", CHAT, "-s", "base", "dn"]).code == 0;
    let guid = format!("<GUID={}>", lab.guid(CHAT));
    lab.relevo(&["lab", "fault", "hold-replication", "dc2"]).exits(0);
    lab.ldap("ldapdelete", "dc1", "svc-mig", &[CHAT], "").exits(0);
    lab.search("dc1", &["-b", CHAT, "-s", "base"]).exits(32);
    assert!(there(), "held");
    lab.kill();
    lab.relevo(&["lab", "up"]).exits(0);
    assert!(there(), "still held after a crash");
    lab.relevo(&["lab", "fault", "release-replication", "dc2"]).exits(0);
    wait_for("the deletion to come to dc2", || !there());
    lab.search("dc2", &["-E", DELETED, "-b", &guid, "-s", "base", "isDeleted"]).exits(0).says("isDeleted: TRUE");
    let url = format!("ldaps://127.0.0.1:{}", lab.port("dc2", "ldaps"));
    lab.relevo(&["lab", "fault", "stop-dc", "dc2"]).exits(0);
    let answers = || lab.ldap_at(&url, "ldapsearch", "Administrator", &["-b", "", "-s", "base"], "").code;
    wait_for("dc2 to be silent", || answers() == 255);
    lab.modify("dn: OU=Later,DC=contoso,DC=lan\nchangetype: add\nobjectClass: organizationalUnit\n").exits(0);
    lab.relevo(&["lab", "fault", "start-dc", "dc2"]).exits(0);
    wait_for("dc2 to answer at its port and to catch up", || {
        lab.ldap_at(&url, "ldapsearch", "Administrator", &["-b", "OU=Later,DC=contoso,DC=lan", "-s", "base"], "").code == 0
    });
}

#[test]
fn an_answer_can_be_lost_and_the_deletion_is_done_all_the_same() {
    if !wanted() {
        return;
    }
    let lab = Lab::new();
    lab.relevo(&["lab", "fault", "answer-lost", "--operation", "delete", "--dn", CHAT]).exits(0);
    lab.relevo(&["lab", "fault", "refuse", "51", "--operation", "modify"]).exits(0);
    let said = lab.ldap("ldapdelete", "dc1", "svc-mig", &[CHAT], "");
    assert_eq!(said.code, 255, "no answer: {}", said.err);
    // Whatever was answered, and what was not, outlives the process.
    lab.kill();
    lab.relevo(&["lab", "up"]).exits(0);
    lab.search("dc1", &["-b", CHAT, "-s", "base"]).exits(32);
    let deletions: Vec<_> = lab.audit().into_iter().filter(|line| line["operation"] == "delete").collect();
    assert_eq!(deletions.len(), 1);
    assert_eq!(
        (&deletions[0]["code"], &deletions[0]["answered"], &deletions[0]["wrote"]),
        (&0.into(), &false.into(), &true.into())
    );
    assert_eq!(deletions[0]["dn"], CHAT);
    let user = "dn: CN=aruiz,OU=Staff,DC=contoso,DC=lan\nchangetype: modify\nreplace: title\ntitle: x\n";
    lab.modify(user).exits(51);
    lab.modify(user).exits(0);
}

#[test]
fn a_deny_entry_holds_administrators_back_too() {
    use base64::Engine as _;

    if !wanted() {
        return;
    }
    let base64 = base64::engine::general_purpose::STANDARD;
    let lab = Lab::new();
    // Owner and list of an object, with a list that begins by denying everyone to delete it, and its parent's children.
    let deny = |dn: &str, mask: u32| {
        let said =
            lab.search("dc1", &["-E", "!1.2.840.113556.1.4.801=::MAMCAQQ=", "-b", dn, "-s", "base", "nTSecurityDescriptor"]);
        let mut bytes = base64.decode(said.exits(0).value("nTSecurityDescriptor").unwrap()).unwrap();
        let at = usize::try_from(u32::from_le_bytes(bytes[16..20].try_into().unwrap())).unwrap();
        let entry = [&[1, 0, 20, 0][..], &mask.to_le_bytes(), &[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]].concat();
        let size = u16::from_le_bytes(bytes[at + 2..at + 4].try_into().unwrap()) + 20;
        let count = u16::from_le_bytes(bytes[at + 4..at + 6].try_into().unwrap()) + 1;
        bytes[at + 2..at + 4].copy_from_slice(&size.to_le_bytes());
        bytes[at + 4..at + 6].copy_from_slice(&count.to_le_bytes());
        bytes.splice(at + 8..at + 8, entry);
        let ldif = format!(
            "dn: {dn}\nchangetype: modify\nreplace: nTSecurityDescriptor\nnTSecurityDescriptor:: {}\n",
            base64.encode(bytes)
        );
        lab.modify(&ldif).exits(0);
    };
    deny(CHAT, 0x1_0040);
    deny("OU=Service,DC=contoso,DC=lan", 0x2);
    lab.ldap("ldapdelete", "dc1", "Administrator", &[CHAT], "").exits(50);
    lab.ldap("ldapdelete", "dc1", "svc-mig", &[CHAT], "").exits(50);
}
