//! Endpoints of Persistent Chat, users and the User Replicator of the lab: by the program, by pypsrp as a client that others
//! wrote, and by ldapsearch, which sees what they left in the directory.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

mod lab_support;
#[path = "support/python.rs"]
mod python;

use std::io::Write as _;
use std::process::Stdio;

use lab_support::{CHAT, Lab, wait_for};
use serde_json::{Value, json};

const URI: &str = "sip:ocschat@contoso.lan";
const CONTACTS: &str = "CN=Application Contacts,CN=RTC Service,CN=Services,CN=Configuration,DC=contoso,DC=lan";
const TYPE: &str = "Microsoft.Rtc.Management.ADConnect.Schema.OCSPersistentChatContact";

/// Runs cmdlets on the Front End as the migration account, one after the other; `None` without pypsrp.
fn cs(lab: &Lab, commands: &[(&str, Value)]) -> Option<Vec<Value>> {
    let program = python::python()?;
    let info = lab.info();
    let port = info["state"]["hosts"]["fe01"]["lync"].as_u64().unwrap().to_string();
    let mut command = python::command(&program, "cs.py");
    command.args(["--port", &port, "--user", "CONTOSO\\svc-mig", "--ca"]).arg(lab.dir().join("ca.pem"));
    command.arg("--password-file").arg(lab.dir().join("svc-mig.password"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!(commands).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// What a cmdlet gave that must have succeeded.
#[track_caller]
fn given(said: &Value) -> Vec<Value> {
    assert!(said["failed"].is_null() && said["errors"] == json!([]), "{said}");
    said["output"].as_array().unwrap().clone()
}

/// What a cmdlet said that must have been refused.
#[track_caller]
fn refusal(said: &Value) -> String {
    assert_eq!(said["output"], json!([]), "{said}");
    let text = format!("{} {}", said["failed"].as_str().unwrap_or_default(), said["errors"]);
    assert_ne!(text, " []", "it was not refused");
    text
}

/// Runs a cmdlet that must succeed.
#[track_caller]
fn good(lab: &Lab, name: &str, parameters: Value) -> Option<Vec<Value>> {
    cs(lab, &[(name, parameters)]).map(|said| given(&said[0]))
}

/// Runs a cmdlet that must be refused, and gives what it said.
#[track_caller]
fn refused(lab: &Lab, name: &str, parameters: Value) -> Option<String> {
    cs(lab, &[(name, parameters)]).map(|said| refusal(&said[0]))
}

fn texts<'v>(objects: &'v [Value], property: &str) -> Vec<&'v str> {
    objects.iter().map(|object| object[property].as_str().unwrap_or("")).collect()
}

fn new(address: &str, pool: &str) -> Value {
    json!({ "SipAddress": address, "PersistentChatPoolFqdn": pool, "PassThru": "<switch>" })
}

fn written(lab: &Lab, cmdlet: &str) -> Vec<Value> {
    lab.audit().into_iter().filter(|line| line["operation"] == cmdlet && line["wrote"] == true).collect()
}

#[test]
fn an_endpoint_is_created_found_by_everything_that_names_it_and_removed() {
    let lab = Lab::new();
    let address = "sip:legacy@fabrikam.lan";
    let Some(built_in) = good(&lab, "Get-CsPersistentChatEndpoint", json!({})) else { return };
    let contacts = ["sip:GC-1-PersistentChatService-2@contoso.lan", "sip:GC-1-PersistentChatService-3@contoso.lan"];
    let mut found = texts(&built_in, "SipAddress");
    found.sort_unstable();
    assert_eq!(found, contacts);
    let what_if = json!({ "SipAddress": address, "PersistentChatPoolFqdn": "pcpool.contoso.lan", "WhatIf": "<switch>" });
    assert!(good(&lab, "New-CsPersistentChatEndpoint", what_if).unwrap().is_empty());
    assert_eq!(written(&lab, "New-CsPersistentChatEndpoint"), Vec::<Value>::new());
    let mut parameters = new(address, "PCPOOL.contoso.lan");
    parameters["DisplayName"] = json!("Group Chat (old)");
    let made = good(&lab, "New-CsPersistentChatEndpoint", parameters).unwrap();
    let dn = made[0]["Identity"].as_str().unwrap().to_owned();
    assert!(dn.starts_with("CN={") && dn.ends_with(&format!("}},{CONTACTS}")), "{dn}");
    assert_eq!(made[0][".types"][0], TYPE);
    assert_eq!((&made[0]["SipAddress"], &made[0]["RegistrarPool"]), (&json!(address), &json!("pool01.contoso.lan")));
    let line = written(&lab, "New-CsPersistentChatEndpoint").remove(0);
    assert_eq!((&line["detail"]["dn"], &line["dc"], &line["code"]), (&json!(dn), &json!("fe01"), &json!(0)));
    let ways = [
        json!({ "Identity": "SIP:Legacy@fabrikam.lan" }),
        json!({ "Identity": "group chat (OLD)" }),
        json!({ "Identity": "Group*" }),
        json!({ "Identity": dn.replacen(',', ", ", 1) }),
        json!({ "Filter": format!("SipAddress -eq \"{address}\" -and Enabled -eq $true") }),
        json!({ "LdapFilter": "displayName=Group Chat \\28old\\29" }),
        json!({ "LdapFilter": "(displayName=Group*)", "OU": CONTACTS }),
        json!({ "PersistentChatPoolFqdn": "pcpool.contoso.lan", "Filter": "DisplayName -ne $null" }),
    ];
    let get = |ways: &[Value]| {
        let calls: Vec<_> = ways.iter().map(|way| ("Get-CsPersistentChatEndpoint", way.clone())).collect();
        cs(&lab, &calls).unwrap().iter().map(given).collect::<Vec<_>>()
    };
    for (found, way) in get(&ways).iter().zip(&ways) {
        assert_eq!(texts(found, "Identity"), [dn.as_str()], "{way}");
    }
    let counts = get(&[
        json!({ "PersistentChatPoolFqdn": "pcpool.contoso.lan" }),
        json!({ "PersistentChatPoolFqdn": "pcpool2.contoso.lan" }),
        json!({ "ResultSize": 2 }),
        json!({ "ResultSize": 0 }),
        json!({ "ResultSize": "Unlimited" }),
        json!({ "OU": "OU=Staff,DC=contoso,DC=lan" }),
    ]);
    assert_eq!(counts.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 2, 0, 3, 0]);
    // The Front End wrote on dc2; the other hears of it a little later.
    let search = ["-b", CONTACTS, &format!("(msRTCSIP-PrimaryUserAddress={address})"), "objectClass"];
    assert_eq!(lab.search("dc2", &search).exits(0).dns(), [dn.as_str()]);
    wait_for("the contact to be on dc1", || lab.search("dc1", &search).exits(0).dns() == [dn.as_str()]);
    good(&lab, "Remove-CsPersistentChatEndpoint", json!({ "Identity": dn, "Confirm": false })).unwrap();
    assert_eq!(written(&lab, "Remove-CsPersistentChatEndpoint")[0]["detail"]["dn"], dn.as_str());
    assert_eq!(lab.search("dc2", &search).exits(0).dns(), Vec::<String>::new());
    assert_eq!(get(&[json!({})])[0].len(), 2);
}

#[test]
fn an_address_that_anybody_has_or_that_is_none_of_the_deployment_is_refused() {
    let lab = Lab::new();
    let ldif = "dn: CN=bokoro,OU=Staff,DC=contoso,DC=lan\nchangetype: modify\nadd: proxyAddresses\nproxyAddresses: sip:alias@contoso.lan\n";
    lab.modify(ldif).exits(0);
    let alias = "(proxyAddresses=sip:alias@contoso.lan)";
    wait_for("the alias to be on dc2", || lab.search("dc2", &["-b", "DC=contoso,DC=lan", alias]).exits(0).out.contains("bokoro"));
    let cases = [
        (URI, "pcpool.contoso.lan", CHAT),
        ("SIP:OCSCHAT@contoso.lan", "pcpool.contoso.lan", CHAT),
        ("sip:alias@contoso.lan", "pcpool.contoso.lan", "CN=bokoro"),
        ("sip:GC-1-PersistentChatService-3@contoso.lan", "pcpool.contoso.lan", CONTACTS),
        ("legacy@contoso.lan", "pcpool.contoso.lan", "sip:name@domain"),
        ("sip:legacy@contoso.com", "pcpool.contoso.lan", "not a SIP domain"),
        ("sip:legacy@contoso.lan", "pool01.contoso.lan", "not a Persistent Chat pool"),
    ];
    let calls = cases.map(|(address, pool, _)| ("New-CsPersistentChatEndpoint", new(address, pool)));
    let Some(said) = cs(&lab, &calls) else { return };
    for (said, (address, _, why)) in said.iter().zip(cases) {
        assert!(refusal(said).contains(why), "{address}: {said}");
    }
    assert_eq!(written(&lab, "New-CsPersistentChatEndpoint"), Vec::<Value>::new());
    let nobody = json!({ "Identity": "sip:nobody@contoso.lan" });
    let calls = [
        ("Get-CsPersistentChatEndpoint", nobody.clone(), "Management object not found for identity"),
        ("Remove-CsPersistentChatEndpoint", nobody.clone(), "Management object not found for identity"),
        ("Get-CsUser", nobody, "Management object not found for identity"),
        ("Get-CsUser", json!({ "Filter": "SipAddress -gt 'a'" }), "-gt"),
        ("Get-CsPersistentChatEndpoint", json!({ "LdapFilter": "(displayName=" }), "not a filter"),
        ("Get-CsUser", json!({ "DomainController": "dc9.contoso.lan" }), "dc9"),
        ("Get-CsUser", json!({ "ResultSize": -1 }), "whole number"),
    ];
    let said = cs(&lab, &calls.clone().map(|(name, parameters, _)| (name, parameters))).unwrap();
    for (said, (name, _, why)) in said.iter().zip(calls) {
        assert!(refusal(said).contains(why), "{name}: {said}");
    }
}

#[test]
fn a_deletion_that_the_front_ends_domain_controller_has_not_heard_of_leaves_the_address_taken() {
    let lab = Lab::new();
    lab.relevo(&["lab", "fault", "hold-replication", "dc2"]).exits(0);
    lab.ldap("ldapdelete", "dc1", "Administrator", &[CHAT], "").exits(0);
    let pool = "pcpool.contoso.lan";
    let Some(said) = refused(&lab, "New-CsPersistentChatEndpoint", new(URI, pool)) else { return };
    assert!(said.contains(CHAT), "{said}");
    let filter = json!({ "Filter": format!("SipAddress -eq \"{URI}\"") });
    assert_eq!(good(&lab, "Get-CsUser", filter.clone()).unwrap().len(), 1);
    let elsewhere = json!({ "Filter": format!("SipAddress -eq \"{URI}\""), "DomainController": "dc1.contoso.lan" });
    assert_eq!(good(&lab, "Get-CsUser", elsewhere).unwrap().len(), 0);
    lab.relevo(&["lab", "fault", "release-replication", "dc2"]).exits(0);
    wait_for("dc2 to hear of it", || good(&lab, "Get-CsUser", filter.clone()).unwrap().is_empty());
    assert_eq!(good(&lab, "New-CsPersistentChatEndpoint", new(URI, pool)).unwrap().len(), 1);
    // The one that is there counts as well.
    refused(&lab, "New-CsPersistentChatEndpoint", new(URI, pool)).unwrap();
}

#[test]
fn a_user_is_disabled_and_enabled_again() {
    let lab = Lab::new();
    let Some(all) = good(&lab, "Get-CsUser", json!({})) else { return };
    let all_of_them = texts(&all, "SamAccountName");
    assert!(["aruiz", "bokoro", "cconti", "ocschat"].iter().all(|name| all_of_them.contains(name)), "{all_of_them:?}");
    assert!(texts(&all, "RegistrarPool").iter().all(|pool| *pool == "pool01.contoso.lan"));
    assert_eq!(all[0][".types"][0], "Microsoft.Rtc.Management.ADConnect.Schema.ADUser");
    let names = [URI, "ocschat@contoso.lan", "contoso\\OCSCHAT", "Group Chat", CHAT];
    let calls = names.map(|name| ("Get-CsUser", json!({ "Identity": name })));
    for (said, name) in cs(&lab, &calls).unwrap().iter().zip(names) {
        assert_eq!(texts(&given(said), "Identity"), [CHAT], "{name}");
    }
    // A logon name alone need not be unique in a forest.
    refused(&lab, "Get-CsUser", json!({ "Identity": "ocschat" })).unwrap();
    let staff = json!({ "OU": "OU=Staff,DC=contoso,DC=lan", "LdapFilter": "givenName=A*", "OnLyncServer": "<switch>" });
    assert_eq!(texts(&good(&lab, "Get-CsUser", staff).unwrap(), "SamAccountName"), ["aruiz"]);
    good(&lab, "Disable-CsUser", json!({ "Identity": URI, "WhatIf": "<switch>" })).unwrap();
    assert_eq!(good(&lab, "Get-CsUser", json!({ "Identity": URI })).unwrap().len(), 1);
    good(&lab, "Disable-CsUser", json!({ "Identity": URI, "Confirm": false })).unwrap();
    assert_eq!(written(&lab, "Disable-CsUser")[0]["detail"]["dn"], CHAT);
    refused(&lab, "Get-CsUser", json!({ "Identity": URI })).unwrap();
    let entry = lab.search("dc2", &["-b", CHAT, "-s", "base"]).exits(0).out;
    assert!(!entry.contains("msRTCSIP") && !entry.contains("sip:") && entry.contains("mail:"), "{entry}");
    let plain = good(&lab, "Get-CsAdUser", json!({ "Filter": "Enabled -ne $True -and SamAccountName -eq 'ocschat'" })).unwrap();
    assert_eq!((texts(&plain, "Identity"), &plain[0]["SipAddress"]), (vec![CHAT], &Value::Null));
    let enable = |address: &str| json!({ "Identity": CHAT, "RegistrarPool": "pool01.contoso.lan", "SipAddress": address });
    let said = refused(&lab, "Enable-CsUser", enable("sip:aruiz@contoso.lan")).unwrap();
    assert!(said.contains("CN=aruiz"), "{said}");
    good(&lab, "Enable-CsUser", enable(URI)).unwrap();
    let back = good(&lab, "Get-CsUser", json!({ "Identity": URI })).unwrap();
    assert_eq!((&back[0]["RegistrarPool"], &back[0]["ProxyAddresses"]), (&json!("pool01.contoso.lan"), &json!([URI])));
}

/// Whom the Front Ends know, as the lab keeps it.
fn known(lab: &Lab) -> Vec<String> {
    let deployment: Value = serde_json::from_slice(&std::fs::read(lab.dir().join("world/lync.json")).unwrap()).unwrap();
    let known = deployment["replicator"]["known"].as_array().unwrap().iter();
    known.map(|known| known["address"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn front_ends_know_what_was_read_last_until_a_read_is_asked_for() {
    let lab = Lab::new();
    let every = json!({ "ReplicationCycleInterval": "01:00:00" });
    let Some(_) = good(&lab, "Set-CsUserReplicatorConfiguration", every) else { return };
    let users = good(&lab, "Get-CsUser", json!({})).unwrap();
    // And the contacts of two pools.
    assert_eq!(known(&lab).len(), users.len() + 2, "{:?}", known(&lab));
    let settings = good(&lab, "Get-CsUserReplicatorConfiguration", json!({})).unwrap();
    assert_eq!(settings[0]["ReplicationCycleInterval"].as_str().map(|text| text.contains("3600")), Some(true), "{settings:?}");
    refused(&lab, "Set-CsUserReplicatorConfiguration", json!({ "ReplicationCycleInterval": "24:00:00" })).unwrap();
    refused(&lab, "Update-CsUserDatabase", json!({ "Fqdn": "pcpool.contoso.lan" })).unwrap();
    good(&lab, "Disable-CsUser", json!({ "Identity": URI })).unwrap();
    assert!(known(&lab).contains(&URI.to_owned()));
    good(&lab, "Update-CsUserDatabase", json!({ "Fqdn": "pool01.contoso.lan" })).unwrap();
    assert!(known(&lab).contains(&URI.to_owned()), "a read takes a moment");
    // Every look makes what is due; a further order is one.
    wait_for("the read", || {
        good(&lab, "Update-CsUserDatabase", json!({})).unwrap();
        !known(&lab).contains(&URI.to_owned())
    });
    assert_eq!(known(&lab).len(), users.len() + 1);
}

/// The plan that frees the address and gives it to a pool; or only gives it.
fn plan(lab: &Lab, pool: &str, frees: bool) -> String {
    let mut text = include_str!("lab_support/move.yaml").replace("pcpool.contoso.lan", pool);
    if !frees {
        let kept = |line: &&str| !line.contains("id: delete") && !line.contains("id: free");
        text = text.lines().filter(kept).map(|line| line.replace("needs: [free], ", "") + "\n").collect();
    }
    let path = lab.folder.path().join(format!("{pool}-{frees}.yaml"));
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn run(lab: &Lab, plan: &str) -> lab_support::Said {
    let runs = lab.folder.path().join("runs").display().to_string();
    lab.relevo(&["run", plan, "--lab=keep", "--go", "--runs", &runs])
}

#[test]
fn a_plan_moves_the_address_to_a_pool_once_and_another_pool_does_not_get_it() {
    let lab = Lab::new();
    let whole = plan(&lab, "pcpool.contoso.lan", true);
    lab.relevo(&["rehearse", &whole, "--lab=keep"]).exits(0);
    assert!(lab.audit().iter().all(|line| line["wrote"] == false), "a rehearsal changes nothing");
    run(&lab, &whole).exits(0);
    let created = written(&lab, "New-CsPersistentChatEndpoint");
    assert_eq!((created.len(), written(&lab, "Update-CsUserDatabase").len()), (1, 1));
    let search = ["-b", CONTACTS, &format!("(msRTCSIP-PrimaryUserAddress={URI})"), "displayName"];
    let dn = created[0]["detail"]["dn"].as_str().unwrap();
    for dc in ["dc1", "dc2"] {
        wait_for("the contact to be everywhere", || lab.search(dc, &search).exits(0).dns() == [dn]);
    }
    assert_eq!(lab.search("dc2", &search).value("displayName").as_deref(), Some("Group Chat"));
    // A second run finds the endpoint, and makes no other.
    run(&lab, &plan(&lab, "pcpool.contoso.lan", false)).exits(0);
    assert_eq!(written(&lab, "New-CsPersistentChatEndpoint").len(), 1);
    // The address belongs to that pool now.
    run(&lab, &plan(&lab, "pcpool2.contoso.lan", false)).exits(3).says("another pool");
    // The removal goes by the contact's name.
    let gone = lab.folder.path().join("gone.yaml");
    let text = "relevo: 1\nname: Give it up\ntargets: targets.yaml\nsteps:\n  - { id: gone, uses: lync.endpoint.remove, with: \
                { host: lync, sip_address: 'sip:ocschat@contoso.lan', pool: pcpool.contoso.lan } }\n";
    std::fs::write(&gone, text).unwrap();
    run(&lab, &gone.display().to_string()).exits(0);
    assert_eq!(written(&lab, "Remove-CsPersistentChatEndpoint")[0]["detail"]["dn"], dn);
    assert_eq!(lab.search("dc2", &search).exits(0).dns(), Vec::<String>::new());
}

#[test]
fn a_plan_that_forgets_the_old_holder_stops_before_anything_is_written() {
    let lab = Lab::new();
    run(&lab, &plan(&lab, "pcpool.contoso.lan", false)).exits(3).says(CHAT);
    assert_eq!(written(&lab, "New-CsPersistentChatEndpoint"), Vec::<Value>::new());
}
