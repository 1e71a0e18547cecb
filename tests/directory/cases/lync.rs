//! `ad.user.disable_lync`: the milder way, and back.

use relevo::plan::Verdict;
use relevo::run::event::Outcome;
use serde_json::json;

use crate::calls::Team;
use crate::cases::cases;
use crate::world::{Place, World};

cases![
    a_user_without_its_lync_attributes_is_otherwise_the_same,
    the_undo_gives_all_lync_attributes_back,
    a_renamed_user_is_not_disabled,
    a_user_that_never_had_lync_is_not_pinned_by_an_address,
];

const LYNC: &[&str] = &[
    "msRTCSIP-PrimaryUserAddress",
    "msRTCSIP-UserEnabled",
    "msRTCSIP-OptionFlags",
    "msRTCSIP-DeploymentLocator",
    "msRTCSIP-PrimaryHomeServer",
];
const OTHERS: &[&str] = &["displayName", "mail", "description", "userPrincipalName", "userAccountControl"];

fn a_user_without_its_lync_attributes_is_otherwise_the_same(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let before = place.admin().read(&user.dn, OTHERS).unwrap();
    let mut step = Team::new(world, &world.account("svc-mig"))
        .pinned("ad.user.disable_lync", &json!({ "sip_address": user.sip, "base": place.base() }));
    let mark = world.mark();
    step.succeed();
    let after = place.admin().read(&user.dn, LYNC).unwrap();
    for attribute in LYNC {
        assert_eq!(after.all(attribute), [""; 0], "{attribute}");
    }
    assert_eq!(place.admin().read(&user.dn, OTHERS).unwrap(), before);
    // The address is free: it is gone from here too, and mail goes on.
    assert_eq!(place.admin().read(&user.dn, &["proxyAddresses"]).unwrap().all("proxyAddresses").len(), 1);
    let writes = place.ours(&mark);
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(writes[0].operation, "Modify");
    // As after a crash: nothing more to do.
    assert_eq!(step.probe().verdict, Verdict::Done);
}

fn the_undo_gives_all_lync_attributes_back(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let all: Vec<&str> = LYNC.iter().chain(OTHERS).copied().chain(["proxyAddresses"]).collect();
    let before = place.admin().read(&user.dn, &all).unwrap();
    let mut step = Team::new(world, &world.account("svc-mig"))
        .pinned("ad.user.disable_lync", &json!({ "guid": user.guid, "base": place.base() }));
    step.succeed();
    let outcome = step.undo();
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    let after = place.admin().read(&user.dn, &all).unwrap();
    for attribute in all {
        assert_eq!(after.all(attribute), before.all(attribute), "{attribute}");
    }
    assert_eq!(step.probe().verdict, Verdict::NotDone);
}

fn a_renamed_user_is_not_disabled(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = Team::new(world, &world.account("svc-mig"))
        .pinned("ad.user.disable_lync", &json!({ "sip_address": user.sip, "base": place.base() }));
    step.keep().unwrap();
    place.admin().rename(&user.dn, "CN=somebody else", &place.ou);
    let mark = world.mark();
    step.be_refused();
    place.nothing_written(&mark);
}

fn a_user_that_never_had_lync_is_not_pinned_by_an_address(world: &dyn World) {
    let place = Place::new(world);
    let with = json!({ "sip_address": format!("sip:never-{}@{}", place.word, world.domain()), "base": place.base() });
    Team::new(world, &world.account("svc-mig")).step("ad.user.disable_lync", &with).not_pinned();
}
