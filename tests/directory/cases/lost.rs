//! The answer is lost: a proxy cuts the connection at a byte of what the server says, at every byte of the answer to the
//! deletion and at many before it. The user is deleted once, or not at all and that is said.

use relevo::plan::Verdict;
use relevo::run::connector::{Quiescence, Sent};
use relevo::run::event::{Outcome, VIA};
use serde_json::json;

use crate::calls::Team;
use crate::cases::cases;
use crate::cli_support::{Desk, wait_for};
use crate::desk::{deletion, plan};
use crate::proxy::Proxy;
use crate::world::{Mark, Place, User, World};

cases![
    f49_f50_an_answer_cut_off_at_any_byte_never_makes_a_second_deletion,
    f51_f58_a_server_that_dies_with_its_answer_is_asked_again_after_its_restart,
    f50_a_run_whose_answers_are_cut_off_is_finished_by_resume,
    f74_an_attempt_is_quiet_once_its_sender_is_gone_and_never_because_a_connection_is,
    f04_a_kill_in_the_middle_of_a_request_never_makes_a_second_deletion,
];

/// Between two cuts before the answer to the deletion; `RELEVO_CUTS` makes it another one, down to every byte.
const COARSE: usize = 96;
/// What a session before the last exchange may say less or more than another one: lengths of signatures and tickets.
const SLACK: u64 = 12;

fn addresses(world: &dyn World, proxy: &Proxy) -> serde_json::Value {
    json!({ format!("{}:636", world.host(1)): proxy.address })
}

fn f49_f50_an_answer_cut_off_at_any_byte_never_makes_a_second_deletion(world: &dyn World) {
    let place = Place::new(world);
    let proxy = Proxy::start(&world.address(1));
    let account = world.account("svc-mig");
    let through = Team::through(world, &account, &addresses(world, &proxy));
    // Bound and kept past the proxy, so that it sees the attempt alone.
    let direct = Team::new(world, &account);
    let prepared = |user: &User| {
        let mut step = through.deletion(&place, user);
        step.call.identity = [("objectGUID", &user.guid), ("objectSid", &user.sid), ("dn", &user.dn), (VIA, &world.host(1))]
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .into();
        let mut kept = direct.deletion(&place, user);
        kept.call.identity.clone_from(&step.call.identity);
        kept.keep().unwrap();
        step.call.before_image = kept.call.before_image;
        step
    };

    // Its name is as long as the others': the server says it several times.
    let first = place.users(&["x000"]).remove(0);
    let step = prepared(&first);
    proxy.cut_after(u64::MAX);
    assert!(matches!(step.apply(), Outcome::Applied { .. }));
    let all = proxy.said();
    let answer = proxy.turns().into_iter().rev().find(|said| *said > 0).unwrap();
    println!("{}: the server says {all} bytes, the last {answer} of them about the deletion", world.name());

    let fine = all.saturating_sub(answer + SLACK).max(1);
    let coarse = std::env::var("RELEVO_CUTS").map_or(COARSE, |every| every.parse().unwrap());
    let mut cuts: Vec<u64> = (1..fine).step_by(coarse).collect();
    cuts.extend(fine..=all + SLACK);
    let suffixes: Vec<String> = (0..cuts.len()).map(|at| format!("c{at:03}")).collect();
    let mut users = Vec::new();
    for some in suffixes.chunks(100) {
        users.extend(place.users(&some.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    let mark = world.mark();
    let (mut not_sent, mut unknown_done, mut unknown_not, mut whole) = (0, 0, 0, 0);
    for (user, bytes) in users.iter().zip(cuts) {
        let step = prepared(user);
        proxy.cut_after(bytes);
        let outcome = step.apply();
        let cut = proxy.was_cut();
        proxy.cut_after(u64::MAX);
        let seen = step.probe();
        let at = format!("cut after {bytes} ({cut}): {outcome:?}; {seen:?}");
        let gone = seen.verdict == Verdict::Done;
        assert!(gone || seen.verdict == Verdict::NotDone, "{at}");
        match outcome {
            Outcome::Applied { .. } => {
                assert!(gone, "{at}");
                whole += 1;
            }
            Outcome::NotSent { .. } => {
                assert!(!gone, "{at}");
                not_sent += 1;
            }
            Outcome::Unknown { .. } if gone => unknown_done += 1,
            Outcome::Unknown { .. } => unknown_not += 1,
            _ => panic!("{at}"),
        }
        if !gone {
            let again = step.apply();
            assert!(matches!(again, Outcome::Applied { .. }), "{at}; {again:?}");
            assert_eq!(step.probe().verdict, Verdict::Done, "{at}");
        }
    }
    println!(
        "{} cuts: {not_sent} not sent, {unknown_done} in doubt and done, {unknown_not} in doubt and not, {whole} whole",
        users.len()
    );
    assert!(not_sent > 0 && unknown_done > 0 && whole > 0, "the cuts missed something");
    let writes = place.ours(&mark);
    for user in &users {
        let deletions: Vec<_> = writes.iter().filter(|write| write.dn == user.dn).collect();
        assert!(deletions.len() == 1 && deletions[0].code == 0, "{deletions:?}");
    }
}

fn f51_f58_a_server_that_dies_with_its_answer_is_asked_again_after_its_restart(world: &dyn World) {
    let place = Place::new(world);
    let users = place.users(&["x", "y"]);
    let proxy = Proxy::start(&world.address(1));
    let team = Team::through(world, &world.account("svc-mig"), &addresses(world, &proxy));
    let prepared = |user: &User| {
        let mut step = team.deletion(&place, user);
        step.bind();
        step.keep().unwrap();
        step
    };
    let step = prepared(&users[0]);
    proxy.cut_after(u64::MAX);
    assert!(matches!(step.apply(), Outcome::Applied { .. }));
    let (all, answer) = (proxy.said(), proxy.turns().into_iter().rev().find(|said| *said > 0).unwrap());

    let step = prepared(&users[1]);
    let mark = world.mark();
    proxy.cut_after(all - answer / 2);
    let outcome = step.apply();
    world.kill(1);
    // As long as it is down nothing can be said, and nobody else is asked instead.
    let down = step.probe();
    world.start(1);
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(down.verdict, Verdict::Unknown, "{down:?}");
    let seen = step.probe();
    assert_eq!(seen.verdict, Verdict::Done, "{seen:?}");
    assert_eq!(place.ours(&mark).len(), 1);
}

/// A desk with a plan that deletes a user through the proxy.
fn desk_behind(world: &dyn World, place: &Place<'_>, proxy: &Proxy, user: &User) -> Desk {
    let desk = Desk::new();
    let directory = world.directory(&world.account("svc-mig"), &addresses(world, proxy));
    desk.write("targets.yaml", &json!({ "relevo_targets": 1, "directories": { "contoso": directory } }).to_string());
    plan(&desk, &json!([deletion("delete", &user.sip, &place.base())]));
    desk
}

/// The server has one deletion of each, and it succeeded.
fn each_was_deleted_once(place: &Place<'_>, mark: &Mark, users: &[User]) {
    let writes = place.ours(mark);
    for user in users {
        let deletions: Vec<_> = writes.iter().filter(|write| write.dn == user.dn).collect();
        assert!(deletions.len() == 1 && deletions[0].code == 0, "{deletions:?}");
    }
}

fn f04_a_kill_in_the_middle_of_a_request_never_makes_a_second_deletion(world: &dyn World) {
    const CUTS: u64 = 16;
    let place = Place::new(world);
    let proxy = Proxy::start(&world.address(1));
    let suffixes: Vec<String> = (0..=CUTS).map(|at| format!("h{at}")).collect();
    let users = place.users(&suffixes.iter().map(String::as_str).collect::<Vec<_>>());
    let mark = world.mark();
    proxy.swallow_after(u64::MAX);
    desk_behind(world, &place, &proxy, &users[0]).relevo(&["run", "plan.yaml"]).exits(0);
    let all = proxy.heard();
    let mut killed = 0;
    for (user, at) in users[1..].iter().zip(1..) {
        let desk = desk_behind(world, &place, &proxy, user);
        proxy.swallow_after(all * at / CUTS - at % 7);
        let mut run = desk.start(&["run", "plan.yaml"]);
        // The server has a part of a request, and relevo waits for an answer.
        wait_for("half a request", || proxy.has_swallowed() || run.ended().is_some());
        killed += u32::from(run.ended().is_none());
        run.kill();
        proxy.swallow_after(u64::MAX);
        let said =
            if desk.run_dirs().is_empty() { desk.relevo(&["run", "plan.yaml"]) } else { desk.relevo(&["resume", "--yes"]) };
        assert!(matches!(said.code, Some(0 | 5)), "cut {at}: {:?}: {}\n{}", said.code, said.all(), desk.journal());
        assert!(desk.journal().contains("step_verified"), "cut {at}: {}", desk.journal());
    }
    println!("{killed} kills with a request under way");
    assert!(u64::from(killed) > CUTS / 2, "hardly anything was killed");
    each_was_deleted_once(&place, &mark, &users);
}

fn f50_a_run_whose_answers_are_cut_off_is_finished_by_resume(world: &dyn World) {
    const CUTS: u64 = 12;
    let place = Place::new(world);
    let proxy = Proxy::start(&world.address(1));
    let suffixes: Vec<String> = (0..=CUTS).map(|at| format!("r{at}")).collect();
    let users = place.users(&suffixes.iter().map(String::as_str).collect::<Vec<_>>());
    let started = |user: &User| desk_behind(world, &place, &proxy, user);
    let mark = world.mark();
    proxy.cut_after(u64::MAX);
    started(&users[0]).relevo(&["run", "plan.yaml"]).exits(0);
    let all = proxy.said();
    for (user, at) in users[1..].iter().zip(1..) {
        let desk = started(user);
        proxy.cut_after(all * at / CUTS - at % 7);
        let mut said = desk.relevo(&["run", "plan.yaml"]);
        for _ in 0..4 {
            if said.code == Some(0) {
                break;
            }
            proxy.cut_after(u64::MAX);
            // Cut off before anything was sent: a person is asked, and says that it may be tried again.
            if said.code == Some(3) {
                desk.relevo(&["decide", "delete", "retry", "--reason", "the network is back"]);
            }
            // Cut off before there was a run: it is started again.
            said =
                if desk.run_dirs().is_empty() { desk.relevo(&["run", "plan.yaml"]) } else { desk.relevo(&["resume", "--yes"]) };
        }
        assert_eq!(said.code, Some(0), "{}", said.all());
    }
    each_was_deleted_once(&place, &mark, &users);
}

fn f74_an_attempt_is_quiet_once_its_sender_is_gone_and_never_because_a_connection_is(world: &dyn World) {
    let place = Place::new(world);
    let users = place.users(&["x", "y"]);
    let account = world.account("svc-mig");
    let sent = |dead, ago: u64| Sent { dead, ago: Some(relevo::time::Span::from_secs(ago)) };
    // Of this process: its connection is closed.
    let mut step = Team::new(world, &account).deletion(&place, &users[0]);
    step.bind();
    step.keep().unwrap();
    assert!(matches!(step.apply(), Outcome::Applied { .. }));
    assert!(matches!(step.quiesce(), Quiescence::Quiet { .. }), "{:?}", step.quiesce());
    // Of another one, which nobody knows to be dead; the step has thirty seconds.
    let mut step = Team::new(world, &account).deletion(&place, &users[1]);
    step.bind();
    step.call.sent = sent(false, 5);
    assert!(matches!(step.quiesce(), Quiescence::Busy { .. }), "{:?}", step.quiesce());
    step.call.sent = sent(false, 3600);
    assert!(matches!(step.quiesce(), Quiescence::TimeIsOver { .. }), "{:?}", step.quiesce());
    step.call.sent = Sent::default();
    assert!(matches!(step.quiesce(), Quiescence::CannotTell { .. }), "{:?}", step.quiesce());
    step.call.sent = sent(true, 0);
    assert!(matches!(step.quiesce(), Quiescence::Quiet { .. }), "{:?}", step.quiesce());
    // A restore is a row of requests.
    let team = Team::new(world, &account);
    let mut restore = team.step("ad.user.restore", &json!({ "guid": users[1].guid, "before_image": "x" }));
    restore.call.sent = sent(false, 3600);
    assert!(matches!(restore.quiesce(), Quiescence::CannotTell { .. }), "{:?}", restore.quiesce());
    restore.call.sent = sent(true, 3600);
    assert!(matches!(restore.quiesce(), Quiescence::Quiet { .. }), "{:?}", restore.quiesce());
    // A look changes nothing.
    let mut look = team.step("ldap.search", &json!({ "base": place.base(), "filter": "(objectClass=*)" }));
    look.call.sent = sent(false, 0);
    assert!(matches!(look.quiesce(), Quiescence::Quiet { .. }), "{:?}", look.quiesce());
}
