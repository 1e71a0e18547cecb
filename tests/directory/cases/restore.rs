//! `ad.user.restore`, and the undo of a deletion.

use relevo::plan::Verdict;
use relevo::run::event::Outcome;
use serde_json::{Value, json};

use crate::calls::{Step, Team, outputs};
use crate::cases::cases;
use crate::client::Found;
use crate::world::{Place, User, World};

cases![
    a_deleted_user_comes_back_with_its_attributes_and_its_groups,
    the_undo_of_a_deletion_brings_the_user_back,
    restoring_twice_changes_nothing_more,
    an_occupied_name_is_refused,
    an_account_name_that_somebody_has_taken_is_refused_by_us,
    an_address_that_somebody_has_taken_is_refused,
    a_user_that_was_never_deleted_is_not_restored,
];

/// What a user is to come back with.
const ATTRIBUTES: &[&str] = &[
    "displayName",
    "givenName",
    "sn",
    "mail",
    "description",
    "userPrincipalName",
    "sAMAccountName",
    "objectSid",
    "proxyAddresses",
    "msRTCSIP-PrimaryUserAddress",
    "msRTCSIP-UserEnabled",
    "msRTCSIP-OptionFlags",
    "msRTCSIP-DeploymentLocator",
    "msRTCSIP-PrimaryHomeServer",
    "memberOf",
];

/// Deleted by us, with its before-image.
fn deleted(team: &Team, place: &Place<'_>, user: &User) -> Step {
    let mut step = team.deletion(place, user);
    step.bind();
    step.succeed();
    step
}

fn restoration(user: &User, deletion: &Step) -> Value {
    json!({ "guid": user.guid, "before_image": deletion.call.before_image.as_ref().unwrap().path })
}

#[track_caller]
fn is_whole(place: &Place<'_>, user: &User, before: &Found) {
    let after = place.admin().read(&user.by_guid(), ATTRIBUTES).unwrap();
    assert_eq!(after.dn, before.dn);
    for attribute in ATTRIBUTES {
        assert_eq!(after.all(attribute), before.all(attribute), "{attribute}");
    }
}

fn with_groups(place: &Place<'_>) -> (User, Found) {
    let user = place.user();
    place.group("g", &[&user.dn]);
    place.group("h", &[&user.dn]);
    let before = place.admin().read(&user.dn, ATTRIBUTES).unwrap();
    assert_eq!(before.all("memberOf").len(), 2);
    (user, before)
}

fn a_deleted_user_comes_back_with_its_attributes_and_its_groups(world: &dyn World) {
    let place = Place::new(world);
    let (user, before) = with_groups(&place);
    let team = Team::new(world, &world.account("svc-mig"));
    let deletion = deleted(&team, &place, &user);
    let mut step = team.step("ad.user.restore", &restoration(&user, &deletion));
    let attempt = step.succeed();
    is_whole(&place, &user, &before);
    let given = outputs(attempt.outcome.as_ref().unwrap());
    assert_eq!(given["guid"], user.guid);
    let lost = given["not_restored"].to_string().to_lowercase();
    assert!(lost.contains("password"), "{lost}");
}

fn the_undo_of_a_deletion_brings_the_user_back(world: &dyn World) {
    let place = Place::new(world);
    let (user, before) = with_groups(&place);
    let team = Team::new(world, &world.account("svc-mig"));
    let deletion = deleted(&team, &place, &user);
    let outcome = deletion.undo();
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    is_whole(&place, &user, &before);
    assert_eq!(deletion.probe().verdict, Verdict::NotDone);
}

fn restoring_twice_changes_nothing_more(world: &dyn World) {
    let place = Place::new(world);
    let (user, before) = with_groups(&place);
    let team = Team::new(world, &world.account("svc-mig"));
    let deletion = deleted(&team, &place, &user);
    let mut step = team.step("ad.user.restore", &restoration(&user, &deletion));
    step.succeed();
    let mark = world.mark();
    let again = step.attempt();
    assert_eq!(again.before.verdict, Verdict::Done, "{again:#?}");
    step.apply();
    place.nothing_written(&mark);
    is_whole(&place, &user, &before);
}

/// Refused with nothing written; the user is still deleted.
#[track_caller]
fn refused(place: &Place<'_>, team: &Team, user: &User, deletion: &Step) -> String {
    let mark = place.world.mark();
    let said = team.refusal("ad.user.restore", &restoration(user, deletion));
    place.nothing_written(&mark);
    assert!(place.tombstone(1, user).is_some());
    said
}

fn an_occupied_name_is_refused(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let team = Team::new(world, &world.account("svc-mig"));
    let deletion = deleted(&team, &place, &user);
    place.admin().must(&format!("dn: {}\nchangetype: add\nobjectClass: contact\n", user.dn));
    let said = refused(&place, &team, &user, &deletion);
    assert!(said.contains(&user.dn), "{said}");
}

fn an_account_name_that_somebody_has_taken_is_refused_by_us(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let team = Team::new(world, &world.account("svc-mig"));
    let deletion = deleted(&team, &place, &user);
    // A server that is not careful lets two accounts have one name; we do not.
    place
        .admin()
        .must(&format!("dn: CN=thief,{}\nchangetype: add\nobjectClass: user\nsAMAccountName: {}\n", place.ou, user.account));
    let said = refused(&place, &team, &user, &deletion);
    assert!(said.contains("CN=thief") && said.contains(&user.account), "{said}");
}

fn an_address_that_somebody_has_taken_is_refused(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let team = Team::new(world, &world.account("svc-mig"));
    let deletion = deleted(&team, &place, &user);
    let contact = place.contact("c", &user.sip);
    let said = refused(&place, &team, &user, &deletion);
    assert!(said.contains(&contact), "{said}");
}

fn a_user_that_was_never_deleted_is_not_restored(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let team = Team::new(world, &world.account("svc-mig"));
    let mut step = team.deletion(&place, &user);
    step.bind();
    step.keep().unwrap();
    let mark = world.mark();
    let mut restore = team.step("ad.user.restore", &restoration(&user, &step));
    if let relevo::run::connector::Pin::Bound { identity, .. } = restore.pin() {
        restore.call.identity = identity;
    }
    // It is there: nothing to be done, or nothing that may be done.
    assert_ne!(restore.probe().verdict, Verdict::NotDone);
    restore.apply();
    place.nothing_written(&mark);
    place.is_untouched(&user, &user.dn);
}
