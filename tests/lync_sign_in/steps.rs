//! What a Group Chat client meets before the weekend, in its middle and after it, by the program against the lab.

use serde_json::json;

use crate::lab_support::{CHAT, Lab, wait_for};
use crate::world::{ADDRESS, SignIn as _, fill, move_address, outputs, step};

#[test]
fn before_the_weekend_the_old_pool_answers_and_shows_its_rooms() {
    let lab = Lab::new();
    lab.runs(&step(", expect: group_chat, min_messages: 1")).exits(0);
    let gave = outputs(&lab);
    assert_eq!((&gave["server"], &gave["version"]), (&json!("gc01.contoso.lan"), &json!("4.0.0.0")), "{gave}");
    assert!(gave["rooms"].as_u64().unwrap() > 1 && gave["messages"].as_u64().unwrap() > 0 && gave["room"].is_string(), "{gave}");
    // The Lookup service, and the Channel service that it named.
    assert_eq!(lab.invites(), [(200, "gc01.contoso.lan".to_owned()), (200, "gc01.contoso.lan".to_owned())]);
    lab.runs(&step(", expect: persistent_chat")).exits(1).says("still leads to the old pool");
    lab.runs(&step(&format!(", room: ['{}', 'No such room']", gave["room"].as_str().unwrap())))
        .exits(1)
        .says("the room `No such room` is not among");
    lab.runs(&step(", min_rooms: 1000")).exits(1).says("of at least 1000");
}

#[test]
fn a_stranger_does_not_get_in_and_an_address_of_nobody_is_not_found() {
    let lab = Lab::new();
    lab.runs(&step(", as: 'sip:nobody@contoso.lan'")).exits(1).says("403").says("sip:nobody@contoso.lan is no user");
    lab.runs(&step("").replace(ADDRESS, "sip:ocschat@fabrikam.lan"))
        .exits(1)
        .says("404")
        .says("1003")
        .says("Update-CsUserDatabase");
    lab.runs(&step("").replace(ADDRESS, "sip:bokoro@contoso.lan")).exits(1).says("480");
}

#[test]
fn stopped_services_of_the_old_pool_are_told_apart() {
    let lab = Lab::new();
    lab.services("gc01", "Stopped", &["LyncGCLookup"]);
    lab.runs(&step(", expect: group_chat")).exits(0);
    assert_eq!(lab.invites(), [(200, "gc02.contoso.lan".to_owned()), (200, "gc01.contoso.lan".to_owned())]);
    lab.services("gc02", "Stopped", &["LyncGCLookup"]);
    lab.runs(&step("")).exits(1).says("480").says("No Lookup service");
    lab.services("gc02", "Running", &["LyncGCLookup"]);
    lab.services("gc01", "Stopped", &["LyncGCChannel"]);
    lab.services("gc02", "StopPending", &["LyncGCChannel"]);
    lab.runs(&step("")).exits(1).says("503").says("no Channel service");
    lab.services("sql01", "Stopped", &["MSSQL$RTC"]);
    lab.services("gc01", "Running", &["LyncGCChannel"]);
    lab.runs(&step("")).exits(1).says("503").says("does not reach its database");
    lab.services("fe01", "Stopped", &["RTCSRV"]);
    lab.runs(&step("")).exits(69).says("does its Front End service run?");
}

#[test]
fn the_front_end_routes_by_what_it_read_last() {
    let lab = Lab::new();
    move_address(&lab);
    // It has not read the directory since: the old pool answers.
    lab.runs(&step(", expect: persistent_chat")).exits(1).says("still leads to the old pool");
    lab.replicate();
    // Now the contact leads to the new pool, whose service does not run yet.
    lab.runs(&step(", expect: persistent_chat")).exits(1).says("503").says("RTCCHAT").says("pc01.contoso.lan, pc02.contoso.lan");
    lab.services("pc02", "Running", &["RTCCHAT"]);
    lab.runs(&step(", expect: persistent_chat")).exits(1).says("has 0 rooms there");
    fill(&lab);
    lab.runs(&step(", expect: persistent_chat, room: ['trading: “rates” & <more>'], min_messages: 2")).exits(0);
    let gave = outputs(&lab);
    let expected = json!({ "server": "pc02.contoso.lan", "version": "5.0.0.0", "rooms": 1, "messages": 2, "room": "Trading: “rates” & <more>" });
    assert_eq!(gave, expected);
    lab.runs(&step(", expect: group_chat")).exits(1).says("answered already");
    lab.edit("lync.json", |deployment| deployment["policies"][0]["enabled"] = json!(false));
    lab.runs(&step("")).exits(1).says("403").says("policy of sip:aruiz@contoso.lan").says("Get-CsPersistentChatPolicy");
    lab.edit("lync.json", |deployment| {
        deployment["policies"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "identity": "Tag:Chatters", "enabled": true, "description": null }));
        deployment["granted"]["cn=aruiz,ou=staff,dc=contoso,dc=lan"] = json!("Chatters");
    });
    lab.runs(&step("")).exits(0);
    lab.edit("lync.json", |deployment| deployment["chat_pools"][0]["active"] = json!(["pc01.contoso.lan"]));
    lab.runs(&step("")).exits(1).says("503");
}

#[test]
fn a_deleted_user_without_a_contact_is_nobody() {
    let lab = Lab::new();
    lab.modify(&format!("dn: {CHAT}\nchangetype: delete\n")).exits(0);
    wait_for("dc2 to know", || lab.search("dc2", &["-b", CHAT, "-s", "base", "1.1"]).code != 0);
    lab.replicate();
    lab.runs(&step("")).exits(1).says("404");
    assert_eq!(lab.invites().last().map(|(code, _)| *code), Some(404));
}

/// The two steps of one place, as docs/lync.md shows them.
const EITHER: &str = "  - id: sign-in-lab
    when: targets.hosts.lync.vars.legacy_client == 'lab'
    uses: lync.legacy_sign_in
    with: { host: lync, sip_address: 'sip:ocschat@contoso.lan', min_messages: 1 }
  - id: sign-in
    when: targets.hosts.lync.vars.legacy_client != 'lab'
    manual:
      instructions: Sign in with a Group Chat client of the old version, on which nothing was changed
      evidence: { who: { ask: The account that signed in } }
  - { id: after, needs: [sign-in-lab, sign-in], checkpoint: true }
";

#[test]
fn in_the_lab_relevo_signs_in_and_elsewhere_a_person_does() {
    let lab = Lab::new();
    lab.runs(EITHER).exits(0);
    let shown = lab.relevo(&["status", "--format", "json"]).exits(0).out;
    assert!(shown.contains("not_applicable"), "{shown}");
    // Elsewhere the target says nothing of SIP, and the step that would need it is asked for nothing.
    let targets =
        "relevo_targets: 1\nhosts:\n  lync: { url: 'https://fe01.contoso.lan/OcsPowerShell', vars: { legacy_client: person } }\n";
    let own = lab.folder.path().join("own.yaml");
    std::fs::write(&own, targets).unwrap();
    let said = lab.relevo(&["run", "plan.yaml", "--targets", own.to_str().unwrap()]);
    said.exits(3).says("sign-in").says("on which nothing was changed");
}
