//! What the other cases rely on, proved with nothing of relevo.

use crate::cases::cases;
use crate::cli_support::wait_for;
use crate::security;
use crate::world::{Place, World};

cases![
    a_deleted_user_is_a_tombstone_on_both_domain_controllers,
    the_servers_log_tells_who_wrote_what,
    replication_is_held_until_it_is_released,
    a_killed_domain_controller_catches_up,
    only_who_may_read_deleted_objects_sees_a_tombstone,
    a_denial_protects_a_user_from_a_service_account,
];

fn a_deleted_user_is_a_tombstone_on_both_domain_controllers(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.wait_for(2, &user, true);
    place.admin().delete(&user.dn).unwrap();
    place.wait_for(2, &user, false);
    for dc in 1..=2 {
        let tombstone = place.tombstone(dc, &user).unwrap();
        assert_eq!(tombstone.one("sAMAccountName"), user.account);
        assert_eq!(tombstone.one("msRTCSIP-PrimaryUserAddress"), "", "a tombstone keeps little");
    }
}

fn the_servers_log_tells_who_wrote_what(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let migrate = world.client(1, "svc-mig");
    let mark = world.mark();
    migrate.delete(&user.dn).unwrap();
    let writes = world.writes_since(&mark);
    assert_eq!(writes.len(), 1, "{writes:?}");
    let account = world.admin(1).read(&format!("CN=svc-mig,OU=Accounts,{}", world.base()), &["objectSid"]).unwrap();
    assert_eq!(writes[0].user, crate::world::sid_text(&account.bytes("objectSid")));
    assert_eq!((writes[0].operation.as_str(), writes[0].dn.as_str(), writes[0].code), ("Delete", user.dn.as_str(), 0));
    // What is refused is in the log too, more than once: the server tries again with other rights.
    let other = Place::new(world).user();
    let reader = world.client(1, "svc-reader");
    let mark = world.mark();
    assert_eq!(reader.delete(&other.dn), Err(50));
    let writes = world.writes_since(&mark);
    assert!(!writes.is_empty() && writes.iter().all(|write| write.code == 50), "{writes:?}");
}

fn replication_is_held_until_it_is_released(world: &dyn World) {
    let place = Place::new(world);
    let (held, free) = (place.users(&["a"]).remove(0), place.users(&["b"]).remove(0));
    place.wait_for(2, &held, true);
    place.wait_for(2, &free, true);
    world.hold_replication(2);
    place.admin().delete(&held.dn).unwrap();
    // The other way is open: what is changed there arrives here, later than the deletion was made.
    world.admin(2).delete(&free.dn).unwrap();
    place.wait_for(1, &free, false);
    assert!(world.admin(2).read(&held.dn, &["cn"]).is_ok(), "the deletion went through");
    world.release_replication(2);
    place.wait_for(2, &held, false);
}

fn a_killed_domain_controller_catches_up(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    place.wait_for(2, &user, true);
    world.kill(2);
    assert!(world.admin(2).read("", &["dnsHostName"]).is_err());
    place.admin().delete(&user.dn).unwrap();
    world.start(2);
    place.wait_for(2, &user, false);
    wait_for("the tombstone", || place.tombstone(2, &user).is_some());
}

fn only_who_may_read_deleted_objects_sees_a_tombstone(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let sees = |account: &str| {
        let client = world.client(1, account);
        client.read_deleted(&format!("<GUID={}>", user.guid), &["isDeleted"]).is_ok()
    };
    assert!(sees("svc-blind"), "while it lives");
    place.admin().delete(&user.dn).unwrap();
    assert!(sees("svc-mig"));
    assert!(!sees("svc-blind"));
}

fn a_denial_protects_a_user_from_a_service_account(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let migrate = world.client(1, "svc-mig");
    security::deny(&place.admin(), &place.ou, security::DELETE_CHILD);
    assert_eq!(migrate.delete(&user.dn), Err(50));
    place.is_untouched(&user, &user.dn);
}
