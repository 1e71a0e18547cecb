//! `ad.user.delete` where all is well.

use relevo::plan::Verdict;
use relevo::run::connector::Pin;
use relevo::run::event::Outcome;
use serde_json::json;

use crate::calls::{Team, image};
use crate::cases::cases;
use crate::world::{Place, World};

cases![
    a_user_is_pinned_by_what_it_is,
    i15_a_user_is_deleted_once_and_its_tombstone_is_the_proof,
    a_user_can_be_named_by_its_guid,
    the_before_image_holds_the_groups_and_the_attributes,
    f62_a_user_that_someone_else_deleted_is_done_but_not_by_us,
    a_look_before_the_deletion_says_not_done_and_changes_nothing,
    a_user_that_was_never_there_is_not_pinned,
    nothing_is_deleted_on_a_before_image_that_was_changed_or_is_of_another_object,
];

fn a_user_is_pinned_by_what_it_is(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let step = Team::new(world, &world.account("svc-mig")).deletion(&place, &user);
    let Pin::Bound { identity, seen } = step.pin() else { panic!("{:?}", step.pin()) };
    assert_eq!(identity["objectGUID"], user.guid);
    assert_eq!(identity["objectSid"], user.sid);
    assert!(identity["dn"].eq_ignore_ascii_case(&user.dn), "{identity:?}");
    assert!(identity[relevo::run::event::VIA].eq_ignore_ascii_case(&world.host(1)), "{identity:?}");
    assert!(seen.contains(&place.word), "{seen}");
}

fn i15_a_user_is_deleted_once_and_its_tombstone_is_the_proof(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = Team::new(world, &world.account("svc-mig")).deletion(&place, &user);
    step.bind();
    let mark = world.mark();
    let attempt = step.succeed();
    let writes = place.ours(&mark);
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!((writes[0].operation.as_str(), writes[0].dn.as_str(), writes[0].code), ("Delete", user.dn.as_str(), 0));
    assert!(place.tombstone(1, &user).is_some());
    let after = attempt.after.outputs;
    assert_eq!(after["guid"], user.guid);
    assert_eq!(after["sid"], user.sid);
    // Once more, as after a crash: it looks, and has nothing to do.
    assert_eq!(step.probe().verdict, Verdict::Done);
    assert_eq!(place.ours(&mark).len(), 1);
}

fn a_user_can_be_named_by_its_guid(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let team = Team::new(world, &world.account("svc-mig"));
    team.pinned("ad.user.delete", &json!({ "guid": user.guid, "base": place.base() })).succeed();
    assert!(place.tombstone(1, &user).is_some());
}

fn the_before_image_holds_the_groups_and_the_attributes(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let direct = place.group("g", &[&user.dn]);
    let outer = place.group("h", &[&direct]);
    let mut step = Team::new(world, &world.account("svc-mig")).deletion(&place, &user);
    step.bind();
    let attempt = step.succeed();
    let kept = image(attempt.image.unwrap().as_deref()).to_string();
    for wanted in [&user.guid, &user.sid, &user.sip, &direct, "Chat of ", "SRV:", "nTSecurityDescriptor"] {
        assert!(kept.to_lowercase().contains(&wanted.to_lowercase()), "`{wanted}` is missing: {kept}");
    }
    // Only what the user itself was a member of can be given back to it.
    assert!(!kept.contains(&format!("\"{outer}\"")), "{kept}");
}

fn f62_a_user_that_someone_else_deleted_is_done_but_not_by_us(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = Team::new(world, &world.account("svc-mig")).deletion(&place, &user);
    step.bind();
    place.admin().delete(&user.dn).unwrap();
    let mark = world.mark();
    let attempt = step.attempt();
    assert_eq!(attempt.before.verdict, Verdict::Done, "{attempt:#?}");
    assert_eq!(attempt.before.outputs["by_us"], json!(false), "{attempt:#?}");
    place.nothing_written(&mark);
}

fn a_look_before_the_deletion_says_not_done_and_changes_nothing(world: &dyn World) {
    let place = Place::new(world);
    let user = place.user();
    let mut step = Team::new(world, &world.account("svc-mig")).deletion(&place, &user);
    let mark = world.mark();
    step.bind();
    assert!(step.preflight().iter().all(|finding| finding.level < relevo::run::connector::Level::Fatal));
    assert_eq!(step.probe().verdict, Verdict::NotDone);
    step.keep().unwrap();
    place.nothing_written(&mark);
    place.is_untouched(&user, &user.dn);
}

fn a_user_that_was_never_there_is_not_pinned(world: &dyn World) {
    let place = Place::new(world);
    let team = Team::new(world, &world.account("svc-mig"));
    let sip = format!("sip:nobody-{}@{}", place.word, world.domain());
    let reason = team.step("ad.user.delete", &json!({ "sip_address": sip, "base": place.base() })).not_pinned();
    assert!(reason.contains(&sip), "{reason}");
}

fn nothing_is_deleted_on_a_before_image_that_was_changed_or_is_of_another_object(world: &dyn World) {
    let place = Place::new(world);
    let users = place.users(&["x", "y"]);
    let team = Team::new(world, &world.account("svc-mig"));
    let kept = |user: &crate::world::User| {
        let mut step = team.deletion(&place, user);
        step.bind();
        step.keep().unwrap();
        step
    };
    let (mut one, other) = (kept(&users[0]), kept(&users[1]));
    let right = one.call.before_image.clone().unwrap();
    let refusal = |step: &crate::calls::Step| match step.apply() {
        Outcome::Rejected { reason, untouched: true } => reason,
        outcome => panic!("it was not refused: {outcome:?}"),
    };
    let mark = world.mark();
    let bytes = std::fs::read(&right.path).unwrap();
    std::fs::write(&right.path, b"{}").unwrap();
    assert!(refusal(&one).contains("was changed"), "{}", refusal(&one));
    std::fs::remove_file(&right.path).unwrap();
    assert!(refusal(&one).contains("cannot be read"), "{}", refusal(&one));
    std::fs::write(&right.path, bytes).unwrap();
    one.call.before_image.clone_from(&other.call.before_image);
    assert!(refusal(&one).contains("of another object"), "{}", refusal(&one));
    place.nothing_written(&mark);
    one.call.before_image = Some(right);
    assert!(matches!(one.apply(), Outcome::Applied { .. }));
}
