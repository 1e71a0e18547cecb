//! `ldap.modify`: compare and set.

use relevo::plan::Verdict;
use relevo::run::event::Outcome;
use serde_json::{Value, json};

use crate::calls::{Step, Team};
use crate::cases::cases;
use crate::world::{Place, User, World};

cases![
    a_value_is_replaced_if_it_is_the_one_that_was_expected,
    an_attribute_is_set_where_there_was_none_and_cleared_again,
    several_values_are_compared_as_a_set,
    a_value_that_changed_meanwhile_is_a_conflict,
    a_value_that_appeared_meanwhile_is_a_conflict,
    several_changes_happen_together_or_not_at_all,
    a_change_that_is_there_already_is_done,
    the_undo_sets_the_old_values_back,
];

fn step(world: &dyn World, user: &User, changes: &Value) -> Step {
    let team = Team::new(world, &world.account("svc-mig"));
    let mut step = team.step("ldap.modify", &json!({ "guid": user.guid, "changes": changes }));
    if let relevo::run::connector::Pin::Bound { identity, .. } = step.pin() {
        step.call.identity = identity;
    }
    step
}

fn now(place: &Place<'_>, user: &User, attribute: &str) -> Vec<String> {
    place.admin().read(&user.dn, &[attribute]).unwrap().all(attribute)
}

fn a_value_is_replaced_if_it_is_the_one_that_was_expected(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let change = json!([{ "attribute": "description", "from": "made by a test", "to": "retired" }]);
    let mark = world.mark();
    let mut step = step(world, &user, &change);
    step.succeed();
    assert_eq!(now(&place, &user, "description"), ["retired"]);
    assert_eq!(place.ours(&mark).len(), 1);
    // By name as well.
    let team = Team::new(world, &world.account("svc-mig"));
    let back = json!({ "dn": user.dn, "changes": [{ "attribute": "description", "from": "retired", "to": "made by a test" }] });
    let mut step = team.step("ldap.modify", &back);
    if let relevo::run::connector::Pin::Bound { identity, .. } = step.pin() {
        step.call.identity = identity;
    }
    step.succeed();
    assert_eq!(now(&place, &user, "description"), ["made by a test"]);
}

fn an_attribute_is_set_where_there_was_none_and_cleared_again(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    step(world, &user, &json!([{ "attribute": "info", "from": null, "to": "moved" }])).succeed();
    assert_eq!(now(&place, &user, "info"), ["moved"]);
    step(world, &user, &json!([{ "attribute": "info", "from": "moved", "to": null }])).succeed();
    assert_eq!(now(&place, &user, "info"), [""; 0]);
}

fn several_values_are_compared_as_a_set(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let have = now(&place, &user, "proxyAddresses");
    let turned: Vec<&String> = have.iter().rev().collect();
    let change = json!([{ "attribute": "proxyAddresses", "from": turned, "to": ["smtp:a@x.test", "smtp:b@x.test"] }]);
    step(world, &user, &change).succeed();
    assert_eq!(now(&place, &user, "proxyAddresses"), ["smtp:a@x.test", "smtp:b@x.test"]);
}

fn a_value_that_changed_meanwhile_is_a_conflict(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = step(world, &user, &json!([{ "attribute": "description", "from": "made by a test", "to": "retired" }]));
    assert_eq!(step.probe().verdict, Verdict::NotDone);
    step.keep().unwrap();
    place.admin().must(&format!("dn: {}\nchangetype: modify\nreplace: description\ndescription: theirs\n", user.dn));
    assert_eq!(step.probe().verdict, Verdict::Conflict);
    let outcome = step.apply();
    assert!(matches!(outcome, Outcome::Rejected { untouched: true, .. }), "{outcome:?}");
    assert_eq!(now(&place, &user, "description"), ["theirs"]);
}

fn a_value_that_appeared_meanwhile_is_a_conflict(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = step(world, &user, &json!([{ "attribute": "info", "from": null, "to": "ours" }]));
    step.keep().unwrap();
    place.admin().must(&format!("dn: {}\nchangetype: modify\nadd: info\ninfo: theirs\n", user.dn));
    let outcome = step.apply();
    assert!(matches!(outcome, Outcome::Rejected { untouched: true, .. }), "{outcome:?}");
    assert_eq!(now(&place, &user, "info"), ["theirs"]);
}

fn several_changes_happen_together_or_not_at_all(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = step(
        world,
        &user,
        &json!([
            { "attribute": "description", "from": "made by a test", "to": "retired" },
            { "attribute": "givenName", "from": "Somebody", "to": "Nobody" },
        ]),
    );
    let attempt = step.attempt();
    assert!(!matches!(attempt.outcome, Some(Outcome::Applied { .. })), "{attempt:#?}");
    step.apply();
    assert_eq!(now(&place, &user, "description"), ["made by a test"]);
    assert_eq!(now(&place, &user, "givenName"), ["Chat"]);
}

fn a_change_that_is_there_already_is_done(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let step = step(world, &user, &json!([{ "attribute": "description", "from": "something", "to": "made by a test" }]));
    assert_eq!(step.probe().verdict, Verdict::Done);
}

fn the_undo_sets_the_old_values_back(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let change = json!([
        { "attribute": "description", "from": "made by a test", "to": null },
        { "attribute": "info", "from": null, "to": "ours" },
    ]);
    let mut step = step(world, &user, &change);
    step.succeed();
    let outcome = step.undo();
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    assert_eq!(now(&place, &user, "description"), ["made by a test"]);
    assert_eq!(now(&place, &user, "info"), [""; 0]);
}
