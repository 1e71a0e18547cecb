//! The real program: a plan, exit codes, and the server's own log against the journal.

use serde_json::{Value, json};

use crate::cases::cases;
use crate::client::Found;
use crate::desk::{attempts, deletion, desk, events, plan};
use crate::world::{Place, World};

cases![
    a_run_deletes_and_waits_until_it_has_settled,
    i1_i4_i16_the_servers_log_and_the_journal_tell_the_same_story,
    f63_a_run_does_not_start_on_two_objects,
    i11_a_rehearsal_changes_nothing,
    f65_a_run_that_was_refused_by_the_server_says_so_and_tries_no_more,
];

fn a_run_deletes_and_waits_until_it_has_settled(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.wait_for(2, &user, true);
    let desk = desk(world, &world.account("svc-mig"));
    let gone = json!({ "directory": "contoso", "absent": { "sip_address": user.sip }, "on": "all_domain_controllers" });
    let steps = json!([deletion("delete", &user.sip, &place.base()), { "id": "gone", "needs": ["delete"], "uses": "ad.settle", "with": gone }]);
    plan(&desk, &steps);
    desk.relevo(&["run", "plan.yaml"]).exits(0);
    for dc in 1..=2 {
        assert!(place.tombstone(dc, &user).is_some(), "dc{dc}");
    }
    let pinned = events(&desk).iter().any(|event| event["identity_pinned"]["identity"]["objectGUID"] == user.guid);
    assert!(pinned, "{}", desk.journal());
    // The before-image is evidence, and no password is anywhere.
    assert!(std::fs::read_dir(desk.run_dir().join("evidence")).unwrap().count() > 0);
    let password = std::fs::read_to_string(world.password_file()).unwrap();
    let found = crate::cli_support::tree(&desk.run_dir());
    assert!(found.values().all(|(bytes, _)| !bytes.windows(password.len()).any(|window| window == password.as_bytes())));
}

fn i1_i4_i16_the_servers_log_and_the_journal_tell_the_same_story(world: &dyn World) {
    let place = Place::new(world);
    let users = place.users(&["a", "b", "c", "d", "e"]);
    let desk = desk(world, &world.account("svc-mig"));
    let base = place.base();
    let mut steps: Vec<Value> =
        users[..3].iter().zip(["one", "two", "three"]).map(|(user, id)| deletion(id, &user.sip, &base)).collect();
    steps.push(json!({ "id": "lync", "uses": "ad.user.disable_lync",
        "with": { "directory": "contoso", "sip_address": users[3].sip, "base": base } }));
    steps.push(json!({ "id": "note", "uses": "ldap.modify", "with": { "directory": "contoso", "guid": users[4].guid,
        "changes": [{ "attribute": "description", "from": "made by a test", "to": "noted" }] } }));
    // Done by somebody else: an attempt that is not made.
    place.admin().delete(&users[2].dn).unwrap();
    steps[2] = json!({ "id": "three", "uses": "ad.user.delete",
        "with": { "directory": "contoso", "guid": users[2].guid, "base": base } });
    plan(&desk, &json!(steps));
    let mark = world.mark();
    desk.relevo(&["run", "plan.yaml"]).exits(0);

    let writes = place.ours(&mark);
    let mut written: Vec<&str> = writes.iter().map(|write| write.dn.as_str()).collect();
    assert!(writes.iter().all(|write| write.code == 0), "{writes:?}");
    let events = events(&desk);
    let of = |step: &str| {
        let started = events.iter().filter_map(|event| event.get("attempt_started")).find(|started| started["step"] == step);
        started.unwrap()["identity"]["dn"].as_str().unwrap_or_default().to_owned()
    };
    let mut attempted: Vec<String> = attempts(&desk).iter().map(|(step, _)| of(step)).collect();
    written.sort_unstable();
    attempted.sort_unstable();
    assert_eq!(attempted, written, "{writes:?}\n{}", desk.journal());
    assert_eq!(attempted.len(), 4);
}

fn f63_a_run_does_not_start_on_two_objects(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let contact = place.contact("c", &user.sip);
    let desk = desk(world, &world.account("svc-mig"));
    plan(&desk, &json!([deletion("delete", &user.sip, &place.base())]));
    let mark = world.mark();
    let said = desk.relevo(&["run", "plan.yaml"]);
    assert!(said.code.is_some_and(|code| code != 0), "{}", said.all());
    said.says(&contact).says(&user.dn);
    place.nothing_written(&mark);
}

fn i11_a_rehearsal_changes_nothing(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let group = place.group("g", &[&user.dn]);
    let read = |dn: &str| -> Found { place.admin().read(dn, &["*", "uSNChanged"]).unwrap() };
    let before = (read(&user.dn), read(&group));
    let desk = desk(world, &world.account("svc-mig"));
    plan(&desk, &json!([deletion("delete", &user.sip, &place.base())]));
    let mark = world.mark();
    desk.relevo(&["rehearse", "plan.yaml"]).exits(0).says(&user.guid);
    place.nothing_written(&mark);
    let (mut after, mut then) = (read(&user.dn), before.0.clone());
    // A logon is no change.
    for found in [&mut after, &mut then] {
        found.attributes.remove("lastlogon");
    }
    assert_eq!(after, then);
    assert_eq!(read(&group), before.1);
}

fn f65_a_run_that_was_refused_by_the_server_says_so_and_tries_no_more(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let desk = desk(world, &world.account("svc-reader"));
    let mut step = deletion("delete", &user.sip, &place.base());
    step["on_failure"] = json!("stop");
    step["retry"] = json!({ "attempts": 1 });
    plan(&desk, &json!([step]));
    let said = desk.relevo(&["run", "plan.yaml"]);
    assert!(said.code.is_some_and(|code| code != 0), "{}", said.all());
    place.is_untouched(&user, &user.dn);
}
