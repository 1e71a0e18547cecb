//! What is never deleted, whoever asks.

use serde_json::json;

use crate::calls::Team;
use crate::cases::cases;
use crate::world::{Place, World, guid_text};

cases![
    f63_s05_two_users_with_the_address_are_both_listed_and_neither_is_deleted,
    f63_s05_a_contact_with_the_address_is_listed_and_nothing_is_deleted,
    an_address_held_only_among_the_proxy_addresses_counts,
    the_administrator_is_never_deleted,
    the_key_distribution_account_is_never_deleted,
    a_domain_controllers_account_is_never_deleted,
    the_account_that_we_log_on_with_is_never_deleted,
    s57_a_user_outside_the_base_is_not_deleted,
    f65_an_account_without_the_right_is_refused_and_nothing_is_changed,
];

fn f63_s05_two_users_with_the_address_are_both_listed_and_neither_is_deleted(world: &dyn World) {
    let place = Place::new(world);
    let users = place.users(&["a", "b"]);
    place.admin().must(&format!(
        "dn: {}\nchangetype: modify\nreplace: msRTCSIP-PrimaryUserAddress\nmsRTCSIP-PrimaryUserAddress: {}\n",
        users[1].dn, users[0].sip
    ));
    let mark = world.mark();
    let team = Team::new(world, &world.account("svc-mig"));
    let reason = team.deletion(&place, &users[0]).not_pinned();
    for user in &users {
        assert!(reason.contains(&user.dn), "{reason}");
        place.is_untouched(user, &user.dn);
    }
    place.nothing_written(&mark);
}

fn f63_s05_a_contact_with_the_address_is_listed_and_nothing_is_deleted(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let contact = place.contact("c", &user.sip);
    let mark = world.mark();
    let reason = Team::new(world, &world.account("svc-mig")).deletion(&place, &user).not_pinned();
    assert!(reason.contains(&contact) && reason.contains(&user.dn), "{reason}");
    place.nothing_written(&mark);
    place.is_untouched(&user, &user.dn);
}

fn an_address_held_only_among_the_proxy_addresses_counts(world: &dyn World) {
    let place = Place::new(world);
    let users = place.users(&["a", "b"]);
    // Outside the base, where it matters as much: an address is unique in the whole forest.
    let staff = format!("OU=Staff,{}", world.base());
    place.admin().rename(&users[1].dn, &format!("CN={}", users[1].account), &staff);
    let moved = format!("CN={},{staff}", users[1].account);
    place.admin().must(&format!(
        "dn: {moved}\nchangetype: modify\nadd: proxyAddresses\nproxyAddresses: {}\n",
        users[0].sip.replacen("sip:", "SIP:", 1)
    ));
    let reason = Team::new(world, &world.account("svc-mig")).deletion(&place, &users[0]).not_pinned();
    assert!(reason.contains(&moved), "{reason}");
    place.is_untouched(&users[0], &users[0].dn);
}

/// Refused for everybody: asked for by Administrator, who would be allowed to.
fn never_deleted(world: &dyn World, dn: &str) {
    let account = world.account("Administrator");
    let guid = guid_text(&world.admin(1).read(dn, &["objectGUID"]).unwrap().bytes("objectGUID"));
    let mark = world.mark();
    let said = Team::new(world, &account).refusal("ad.user.delete", &json!({ "guid": guid, "base": world.base() }));
    assert!(said.len() > 10, "{said}");
    let deletions: Vec<_> = world.writes_since(&mark).into_iter().filter(|write| write.operation == "Delete").collect();
    assert_eq!(deletions, []);
    assert!(world.admin(1).read(dn, &["cn"]).is_ok());
}

fn the_administrator_is_never_deleted(world: &dyn World) {
    never_deleted(world, &format!("CN=Administrator,CN=Users,{}", world.base()));
}

fn the_key_distribution_account_is_never_deleted(world: &dyn World) {
    never_deleted(world, &format!("CN=krbtgt,CN=Users,{}", world.base()));
}

fn a_domain_controllers_account_is_never_deleted(world: &dyn World) {
    never_deleted(world, &format!("CN=DC2,OU=Domain Controllers,{}", world.base()));
}

fn the_account_that_we_log_on_with_is_never_deleted(world: &dyn World) {
    let place = Place::new(world);
    let account = place.account("me", "My0wn!Passw0rd", "My0wn!Passw0rd");
    let dn = format!("CN={}me,OU=Accounts,{}", place.word, world.base());
    let guid = guid_text(&world.admin(1).read(&dn, &["objectGUID"]).unwrap().bytes("objectGUID"));
    let said = Team::new(world, &account).refusal("ad.user.delete", &json!({ "guid": guid, "base": world.base() }));
    assert!(said.contains("runs as"), "{said}");
    assert!(world.admin(1).read(&dn, &["cn"]).is_ok());
}

fn s57_a_user_outside_the_base_is_not_deleted(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mark = world.mark();
    let base = format!("OU=Staff,{}", world.base());
    let team = Team::new(world, &world.account("svc-mig"));
    for with in [json!({ "sip_address": user.sip, "base": base }), json!({ "guid": user.guid, "base": base })] {
        team.refusal("ad.user.delete", &with);
    }
    place.nothing_written(&mark);
    place.is_untouched(&user, &user.dn);
}

fn f65_an_account_without_the_right_is_refused_and_nothing_is_changed(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let with = json!({ "sip_address": user.sip, "base": place.base() });
    Team::new(world, &world.account("svc-reader")).refusal("ad.user.delete", &with);
    place.is_untouched(&user, &user.dn);
}
