//! An account that may delete and cannot see what is deleted: absence proves nothing.

use relevo::plan::Verdict;
use relevo::run::connector::Level;
use serde_json::json;

use crate::calls::Team;
use crate::cases::cases;
use crate::world::{Place, World};

cases![
    f65b_a_blind_account_is_told_so_before_anything_starts,
    f65b_a_deletion_by_a_blind_account_is_never_called_done,
    f65b_a_user_that_a_blind_account_cannot_find_any_more_is_not_called_done,
];

fn f65b_a_blind_account_is_told_so_before_anything_starts(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let found = |account: &str| {
        let findings = Team::new(world, &world.account(account)).deletion(&place, &user).preflight();
        findings.into_iter().filter(|finding| finding.level > Level::Fact).collect::<Vec<_>>()
    };
    let blind = found("svc-blind");
    assert!(blind.iter().any(|finding| finding.message.to_lowercase().contains("deleted objects")), "{blind:?}");
    let sighted = found("svc-mig");
    assert!(!sighted.iter().any(|finding| finding.message.to_lowercase().contains("deleted objects")), "{sighted:?}");
}

fn f65b_a_deletion_by_a_blind_account_is_never_called_done(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = Team::new(world, &world.account("svc-blind")).deletion(&place, &user);
    step.bind();
    let attempt = step.attempt();
    assert_ne!(attempt.after.verdict, Verdict::Done, "{attempt:#?}");
    assert_ne!(step.probe().verdict, Verdict::Done);
}

fn f65b_a_user_that_a_blind_account_cannot_find_any_more_is_not_called_done(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let team = Team::new(world, &world.account("svc-blind"));
    let step = team.pinned("ad.user.delete", &json!({ "sip_address": user.sip, "base": place.base() }));
    place.admin().delete(&user.dn).unwrap();
    let seen = step.probe();
    assert_eq!(seen.verdict, Verdict::Unknown, "{seen:?}");
}
