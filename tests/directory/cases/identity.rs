//! What may happen to a user between the start of the run and its deletion. Each time it is refused, the object is as
//! it was, and the server's own log holds no write of ours.

use relevo::plan::Verdict;
use relevo::run::event::Outcome;
use serde_json::json;

use crate::calls::{Step, Team};
use crate::cases::cases;
use crate::security::{self, DELETE, DELETE_CHILD, DELETE_TREE};
use crate::world::{Place, User, World};

cases![
    f60_a_user_that_was_renamed_is_not_deleted,
    f60_a_user_that_was_moved_is_not_deleted,
    f61_i4_s58_a_user_that_was_recreated_under_the_same_name_is_not_deleted,
    f64_a_user_that_got_children_is_not_deleted,
    f64_a_user_that_became_privileged_is_not_deleted,
    f64_a_user_that_became_privileged_through_another_group_is_not_deleted,
    a_stale_mark_of_privilege_is_refused_unless_it_is_permitted,
    f65_a_user_that_was_protected_is_not_deleted,
    f65_a_user_below_a_protected_parent_is_not_deleted,
    f60_an_address_that_was_taken_away_keeps_the_user_from_being_deleted,
    f59_a_server_with_another_copy_of_its_database_is_believed_in_nothing,
];

fn pinned(world: &dyn World, place: &Place<'_>, user: &User) -> Step {
    let mut step = Team::new(world, &world.account("svc-mig")).deletion(place, user);
    step.bind();
    // Kept now, so that nothing but the last look before the deletion can refuse it.
    step.keep().unwrap();
    step
}

/// Refused, untouched, and nothing in the log.
#[track_caller]
fn refused(place: &Place<'_>, step: &mut Step, user: &User, now: &str) -> String {
    let mark = place.world.mark();
    let said = step.be_refused();
    place.nothing_written(&mark);
    place.is_untouched(user, now);
    said
}

fn f59_a_server_with_another_copy_of_its_database_is_believed_in_nothing(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = pinned(world, &place, &user);
    let copy = step.call.identity.get("invocationId").expect("which copy it is was pinned").clone();
    assert_eq!(step.probe().verdict, Verdict::NotDone);
    // As if the step had been bound before the server was restored.
    let other = "0f0e0d0c-0b0a-4908-8706-050403020100";
    step.call.identity.insert("invocationId".to_owned(), other.to_owned());
    let mark = world.mark();
    let seen = step.probe();
    assert_eq!(seen.verdict, Verdict::Unknown, "{seen:?}");
    assert!(seen.seen.contains(&copy) && seen.seen.contains(other), "{seen:?}");
    let outcome = step.apply();
    assert!(matches!(outcome, Outcome::NotSent { .. }), "{outcome:?}");
    place.nothing_written(&mark);
    place.is_untouched(&user, &user.dn);
    // A run that was begun by an older program is bound without it, and goes on.
    step.call.identity.remove("invocationId");
    step.succeed();
}

fn f60_a_user_that_was_renamed_is_not_deleted(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = pinned(world, &place, &user);
    place.admin().rename(&user.dn, "CN=somebody else", &place.ou);
    let now = format!("CN=somebody else,{}", place.ou);
    let said = refused(&place, &mut step, &user, &now);
    assert!(said.contains("somebody else"), "{said}");
}

fn f60_a_user_that_was_moved_is_not_deleted(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = pinned(world, &place, &user);
    let base = place.base();
    place.admin().rename(&user.dn, &format!("CN={}", user.account), &base);
    refused(&place, &mut step, &user, &format!("CN={},{base}", user.account));
}

fn f61_i4_s58_a_user_that_was_recreated_under_the_same_name_is_not_deleted(world: &dyn World) {
    let place = Place::new(world);
    let old = place.user();
    let mut step = pinned(world, &place, &old);
    place.admin().delete(&old.dn).unwrap();
    let new = place.user();
    assert_eq!(new.dn, old.dn);
    let mark = world.mark();
    let attempt = step.attempt();
    // The one that was meant is gone, by somebody else, and the new one is none of ours.
    assert!(attempt.outcome.is_none(), "{attempt:#?}");
    assert!(attempt.before.seen.contains(&old.guid), "{attempt:#?}");
    step.apply();
    place.nothing_written(&mark);
    place.is_untouched(&new, &new.dn);
}

fn f64_a_user_that_got_children_is_not_deleted(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = pinned(world, &place, &user);
    // What the schema lets a user hold.
    place.admin().must(&format!("dn: CN=child,{}\nchangetype: add\nobjectClass: classStore\n", user.dn));
    refused(&place, &mut step, &user, &user.dn);
}

fn f64_a_user_that_became_privileged_is_not_deleted(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = pinned(world, &place, &user);
    place.join(&format!("CN=Domain Admins,CN=Users,{}", world.base()), &user.dn);
    let said = refused(&place, &mut step, &user, &user.dn);
    assert!(said.contains("Domain Admins") || said.contains("privileged"), "{said}");
}

fn f64_a_user_that_became_privileged_through_another_group_is_not_deleted(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let group = place.group("g", &[]);
    place.join(&format!("CN=Account Operators,CN=Builtin,{}", world.base()), &group);
    let mut step = pinned(world, &place, &user);
    place.join(&group, &user.dn);
    refused(&place, &mut step, &user, &user.dn);
}

fn a_stale_mark_of_privilege_is_refused_unless_it_is_permitted(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.admin().must(&format!("dn: {}\nchangetype: modify\nreplace: adminCount\nadminCount: 1\n", user.dn));
    let team = Team::new(world, &world.account("svc-mig"));
    let mark = world.mark();
    let said = team.refusal("ad.user.delete", &json!({ "sip_address": user.sip, "base": place.base() }));
    assert!(said.contains("adminCount"), "{said}");
    place.nothing_written(&mark);
    let with = json!({ "sip_address": user.sip, "base": place.base(), "permit": ["stale_admin_count"] });
    team.pinned("ad.user.delete", &with).succeed();
}

fn f65_a_user_that_was_protected_is_not_deleted(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = pinned(world, &place, &user);
    security::deny(&place.admin(), &user.dn, DELETE | DELETE_TREE);
    let said = refused(&place, &mut step, &user, &user.dn);
    assert!(said.contains("protected") || said.contains("den"), "{said}");
}

fn f65_a_user_below_a_protected_parent_is_not_deleted(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = pinned(world, &place, &user);
    security::deny(&place.admin(), &place.ou, DELETE_CHILD);
    refused(&place, &mut step, &user, &user.dn);
}

fn f60_an_address_that_was_taken_away_keeps_the_user_from_being_deleted(world: &dyn World) {
    let place = Place::new(world);
    let users = place.users(&["a", "b"]);
    let mut step = pinned(world, &place, &users[0]);
    // Now the second has it, and the first is not who was meant any more.
    let change = |dn: &str, sip: &str| {
        place.admin().must(&format!(
            "dn: {dn}\nchangetype: modify\nreplace: msRTCSIP-PrimaryUserAddress\nmsRTCSIP-PrimaryUserAddress: {sip}\n-\n\
             replace: proxyAddresses\nproxyAddresses: {sip}\n"
        ));
    };
    change(&users[1].dn, &users[0].sip);
    change(&users[0].dn, &format!("sip:{}z@{}", place.word, world.domain()));
    let said = refused(&place, &mut step, &users[0], &users[0].dn);
    assert!(said.contains(&users[0].sip), "{said}");
    place.is_untouched(&users[1], &users[1].dn);
}
