//! `ad.settle`: on all domain controllers, or not at all.

use relevo::run::event::Outcome;
use relevo::time::Span;
use serde_json::{Value, json};

use crate::calls::{Step, Team};
use crate::cases::cases;
use crate::world::{Place, User, World};

cases![
    a_deletion_settles_on_all_domain_controllers,
    a_new_user_settles_on_all_domain_controllers,
    f58_held_replication_keeps_it_from_settling_until_it_is_released,
    a_killed_domain_controller_is_never_settled_until_it_is_back,
    f48_a_frozen_domain_controller_is_never_settled_and_holds_nothing_up,
    a_dead_domain_controller_can_be_excepted_by_name,
    a_server_that_is_named_alone_is_enough,
    a_site_is_made_of_its_domain_controllers,
    an_address_that_comes_back_on_another_domain_controller_is_not_absent,
];

/// A wait that may take this long.
fn settle(team: &Team, with: &Value, limit: Span) -> Step {
    let mut step = team.step("ad.settle", with);
    step.call.timeout = Some(limit);
    step
}

fn absent(user: &User) -> Value {
    json!({ "absent": { "sip_address": user.sip }, "on": "all_domain_controllers" })
}

#[track_caller]
fn settles(step: &Step) -> String {
    let outcome = step.apply();
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    format!("{outcome:?} {}", step.probe().seen)
}

#[track_caller]
fn does_not_settle(step: &Step) -> String {
    let outcome = step.apply();
    assert!(!matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    format!("{outcome:?}")
}

const LONG: Span = Span::from_secs(30);
/// Longer than a look at every server takes, and than what must hold.
const SHORT: Span = Span::from_millis(1500);

fn a_deletion_settles_on_all_domain_controllers(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.wait_for(2, &user, true);
    let team = Team::new(world, &world.account("svc-mig"));
    does_not_settle(&settle(&team, &absent(&user), Span::from_millis(600)));
    place.admin().delete(&user.dn).unwrap();
    settles(&settle(&team, &absent(&user), LONG));
    assert!(place.tombstone(2, &user).is_some(), "it was settled before it was there");
    // By identity, which asks for the tombstone.
    settles(&settle(&team, &json!({ "absent": { "guid": user.guid }, "on": "all_domain_controllers" }), LONG));
}

fn a_new_user_settles_on_all_domain_controllers(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let team = Team::new(world, &world.account("svc-reader"));
    for present in [json!({ "sip_address": user.sip }), json!({ "guid": user.guid })] {
        settles(&settle(&team, &json!({ "present": present, "on": "all_domain_controllers" }), LONG));
    }
    assert!(world.admin(2).read(&user.dn, &["cn"]).is_ok());
}

fn f58_held_replication_keeps_it_from_settling_until_it_is_released(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.wait_for(2, &user, true);
    world.hold_replication(2);
    place.admin().delete(&user.dn).unwrap();
    let team = Team::new(world, &world.account("svc-mig"));
    let said = does_not_settle(&settle(&team, &absent(&user), SHORT));
    let still = world.admin(2).read(&user.dn, &["cn"]).is_ok();
    world.release_replication(2);
    assert!(still, "replication was not held");
    assert!(said.contains("dc2"), "{said}");
    settles(&settle(&team, &absent(&user), LONG));
}

fn a_killed_domain_controller_is_never_settled_until_it_is_back(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.wait_for(2, &user, true);
    place.admin().delete(&user.dn).unwrap();
    place.wait_for(2, &user, false);
    world.kill(2);
    let team = Team::new(world, &world.account("svc-mig"));
    let said = does_not_settle(&settle(&team, &absent(&user), SHORT));
    world.start(2);
    assert!(said.contains("dc2"), "{said}");
    settles(&settle(&team, &absent(&user), LONG));
}

fn f48_a_frozen_domain_controller_is_never_settled_and_holds_nothing_up(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.wait_for(2, &user, true);
    place.admin().delete(&user.dn).unwrap();
    place.wait_for(2, &user, false);
    let account = world.account("svc-mig");
    let mut directory = world.directory(&account, &json!({}));
    directory["bind"]["password"] = json!({ "$secret": { "file": account.password_file } });
    directory["timeout"] = json!("300ms");
    let team = Team::with_directory(world, &directory);
    world.freeze(2);
    let begun = std::time::Instant::now();
    let said = does_not_settle(&settle(&team, &absent(&user), SHORT));
    let took = begun.elapsed();
    world.thaw(2);
    assert!(said.contains("dc2"), "{said}");
    assert!(took < std::time::Duration::from_secs(6), "it took {took:?}");
    settles(&settle(&team, &absent(&user), LONG));
}

fn a_dead_domain_controller_can_be_excepted_by_name(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.admin().delete(&user.dn).unwrap();
    world.kill(2);
    let host = world.host(2);
    let team = Team::new(world, &world.account("svc-mig")).without(&[&host]);
    let step = settle(&team, &absent(&user), LONG);
    let outcome = step.apply();
    world.start(2);
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    assert!(format!("{outcome:?}").to_lowercase().contains("dc2"), "who was left out is not named: {outcome:?}");
}

fn a_server_that_is_named_alone_is_enough(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.wait_for(2, &user, true);
    world.hold_replication(2);
    place.admin().delete(&user.dn).unwrap();
    let team = Team::new(world, &world.account("svc-mig"));
    let on = |dc: usize| json!({ "absent": { "guid": user.guid }, "on": { "servers": [world.host(dc)] } });
    let first = settle(&team, &on(1), LONG).apply();
    let second = settle(&team, &on(2), SHORT).apply();
    world.release_replication(2);
    assert!(matches!(first, Outcome::Applied { .. }), "{first:?}");
    assert!(!matches!(second, Outcome::Applied { .. }), "{second:?}");
}

fn a_site_is_made_of_its_domain_controllers(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let team = Team::new(world, &world.account("svc-mig"));
    let at = |site: &str| json!({ "present": { "guid": user.guid }, "on": { "sites": [site] } });
    settles(&settle(&team, &at(&world.site(1)), LONG));
    does_not_settle(&settle(&team, &at("Nowhere"), SHORT));
}

fn an_address_that_comes_back_on_another_domain_controller_is_not_absent(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.wait_for(2, &user, true);
    place.admin().delete(&user.dn).unwrap();
    place.wait_for(2, &user, false);
    // Somebody makes it anew there, and the first domain controller does not hear of it.
    world.hold_replication(1);
    let dn = format!("CN=anew,{}", place.ou);
    world.admin(2).must(&format!("dn: {dn}\nchangetype: add\nobjectClass: contact\nmsRTCSIP-PrimaryUserAddress: {}\n", user.sip));
    let team = Team::new(world, &world.account("svc-mig"));
    let said = does_not_settle(&settle(&team, &absent(&user), SHORT));
    world.release_replication(1);
    assert!(said.contains("dc2"), "{said}");
}
