//! What runs is what was agreed: skips, votes and what they are about, amendments, who may decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use relevo::plan::action::Effect;
use relevo::plan::{Plan, Step, StepIx, Targets, Verdict, Work};
use relevo::run::event::{Choices, Decision, Event, EvidenceRef, How, Identity, Outputs};
use relevo::run::letters::Sender;
use relevo::run::order::Order;
use relevo::run::{decide, gates};
use relevo::time::Span;
use serde_json::json;

use crate::story::{
    Story, applied, asked, asked_about, at, decided, ended, lock, looked, person, quiet, rejected, started, step_id, verified,
    vote,
};
use crate::support::{StepExt, action, checkpoint, gate, manual, plan};

fn destroys(id: &str) -> Step {
    action(id, Effect::Cas).acting(|action| action.destructive = true)
}

fn named(mut step: Step, fingerprint: &str) -> Step {
    step.fingerprint = Arc::from(fingerprint);
    step
}

/// The question is put about what lies behind the gate as things are now.
fn asks(story: &mut Story, gate: &str) {
    let event = asked_about(gate, None, Some(story.state()));
    story.tell(event);
}

/// The gate is asked, voted on and open.
fn opened(story: &mut Story, gate: &str) {
    asks(story, gate);
    story.tell(vote(gate, "bob", true)).tell(Event::GateOpened { step: step_id(gate) });
}

fn pinned(step: &str, guid: &str) -> Event {
    Event::IdentityPinned { step: step_id(step), identity: Identity::from([("objectGUID".to_owned(), guid.to_owned())]) }
}

fn holder(name: &str) -> Sender {
    Sender { person: person(name), holds: true }
}

// ---- Skips ----

#[test]
fn i2_a_skip_frees_nothing_before_what_the_skipped_step_needs_is_done() {
    let steps = vec![gate("g"), action("prepare", Effect::Ensure).needs(&[0]), destroys("destroy").needs(&[1])];
    let mut story = Story::of(plan(steps));
    asks(&mut story, "g");
    story.tell(decided("prepare", Decision::Skip));
    // The question is put anew, since a destructive step behind it rests on what was left out.
    story.next_is(&["ask g"]);
    asks(&mut story, "g");
    story.crash().next_is(&["held up by Person"]);
    story.refuses(started("destroy", 1));
}

#[test]
fn i2_a_chain_of_skipped_steps_is_as_long_as_the_gate_before_it() {
    let mut steps = vec![gate("g")];
    for n in 1..6_u32 {
        steps.push(action(&format!("s{n}"), Effect::Ensure).needs(&[n - 1]));
    }
    let mut story = Story::of(plan(steps));
    for n in 1..5 {
        story.tell(decided(&format!("s{n}"), Decision::Skip));
    }
    story.next_is(&["ask g"]);
    opened(&mut story, "g");
    story.next_is(&["look s5 1"]);
}

#[test]
fn i2_what_is_excluded_stands_in_for_itself_and_not_for_what_it_needs() {
    let mut left_out = action("stop", Effect::Ensure).needs(&[0]);
    left_out.item = Some((Arc::from("server"), json!("gc01")));
    let steps = vec![gate("g"), left_out, action("export", Effect::Ensure).needs(&[1])];
    let mut story = Story::with(plan(steps), Choices { exclude: vec!["gc01".to_owned()], ..Choices::default() });
    story.decides(&["stop is skipped: excluded: gc01", "ask g"]);
    story.tell(asked("g", None)).next_is(&["held up by Person"]);
}

#[test]
fn f88_a_run_of_an_older_version_is_read_by_its_own_rules_and_goes_on_by_the_new_ones() {
    let steps = vec![
        gate("g"),
        action("a", Effect::Ensure).needs(&[0]),
        action("b", Effect::Ensure).needs(&[1]),
        destroys("c").needs(&[2]),
    ];
    let mut story = Story::older(plan(steps));
    story.tell(asked("g", None)).tell(decided("a", Decision::Skip));
    // As it was then: `b` was free, and was done.
    story.tell(looked("b", 1, Verdict::NotDone)).tell(started("b", 1)).tell(ended("b", 1, applied())).tell(verified("b"));
    story.next_is(&["look c 1"]);
    story.tell(Event::SemanticsRaised { from: 1, to: 2, version: "new".to_owned() });
    story.refuses(started("c", 1));
    // What was asked in the old way is asked anew.
    story.next_is(&["ask g"]);
}

// ---- What a vote is about ----

#[test]
fn s35_a_vote_for_another_question_is_refused() {
    let mut story = Story::of(plan(vec![gate("g"), action("a", Effect::Read).needs(&[0])]));
    asks(&mut story, "g");
    let ballot = |nonce: Option<&str>| decide::vote(story.state(), StepIx(0), true, &person("bob"), (nonce, None), at(0));
    assert!(ballot(Some("q")).is_ok());
    assert!(ballot(Some("of another run")).is_err_and(|why| why.contains("something else")));
    assert!(ballot(None).is_err_and(|why| why.contains("which question")));
    let mut other = vote("g", "bob", true);
    if let Event::VoteCast { nonce, .. } = &mut other {
        *nonce = "older".to_owned();
    }
    assert!(story.refuses(other).contains("another question"));
}

#[test]
fn a_no_go_counts_whatever_question_it_was_typed_for() {
    let mut story = Story::of(plan(vec![gate("g")]));
    asks(&mut story, "g");
    assert!(decide::vote(story.state(), StepIx(0), false, &person("bob"), (Some("older"), None), at(0)).is_ok());
}

#[test]
fn a_go_after_the_question_has_lapsed_is_refused_recorded_or_not() {
    let mut story = Story::of(plan(vec![gate("g")]));
    story.tell(asked("g", Some(60))).wait(61);
    let late = decide::vote(story.state(), StepIx(0), true, &person("bob"), (Some("q"), None), at(61));
    assert!(late.is_err_and(|why| why.contains("lapsed")));
    // The word that the refusal names is accepted, in a run that nobody holds, too.
    assert_eq!(decide::allowed(story.state(), StepIx(0), Decision::Retry, at(61)), Ok(()));
    story.tell(decided("g", Decision::Retry)).next_is(&["ask g"]);
}

#[test]
fn every_question_has_a_name_of_its_own() {
    let mut story = Story::of(plan(vec![gate("g"), gate("h")]));
    let first = gates::nonce(story.state(), StepIx(0));
    assert_ne!(first, gates::nonce(story.state(), StepIx(1)));
    asks(&mut story, "g");
    assert_ne!(first, gates::nonce(story.state(), StepIx(0)));
}

#[test]
fn i4_what_lies_behind_a_gate_is_bound_across_checkpoints_and_manual_steps_up_to_the_next_gates() {
    let mut steps = vec![gate("g"), checkpoint("c").needs(&[0]), manual("m").needs(&[1]), destroys("d").needs(&[2])];
    for n in 4..40_u32 {
        steps.push(action(&format!("s{n}"), Effect::Ensure).needs(&[0]));
    }
    steps.push(gate("next").needs(&[3]));
    steps.push(destroys("later").needs(&[40]));
    let story = Story::of(plan(steps));
    let matter = gates::matter(story.state(), StepIx(0));
    assert!(["c", "m", "d", "s39"].iter().all(|id| matter.steps.contains_key(&step_id(id))), "{:?}", matter.steps.keys());
    assert!(!matter.steps.contains_key(&step_id("later")) && !matter.steps.contains_key(&step_id("next")));
    assert_eq!(matter.lines.len(), 38);
}

#[test]
fn i4_another_object_behind_an_open_gate_asks_again_and_nothing_starts_meanwhile() {
    let mut story = Story::of(plan(vec![gate("g"), checkpoint("c").needs(&[0]), destroys("d").needs(&[1])]));
    opened(&mut story, "g");
    story.decides(&["c is reached", "look d 1"]);
    story.tell(looked("d", 1, Verdict::NotDone)).next_is(&["apply d 1"]);
    // Its object is known only now, since its arguments were not known before.
    story.tell(pinned("d", "g-1"));
    let why = "the go of g lapsed: `d` destroys something, and only now it is known what: objectGUID=g-1";
    story.decides(&[why, "ask g"]);
    story.refuses(started("d", 1));
    opened(&mut story, "g");
    story.next_is(&["apply d 1"]);
}

#[test]
fn what_is_bound_only_later_and_destroys_nothing_asks_nobody_again() {
    let mut story = Story::of(plan(vec![gate("g"), action("a", Effect::Ensure).needs(&[0])]));
    opened(&mut story, "g");
    story.tell(looked("a", 1, Verdict::NotDone)).tell(pinned("a", "g-1")).next_is(&["apply a 1"]);
}

#[test]
fn skipping_what_a_destructive_step_needs_asks_again_and_excluding_an_item_does_not() {
    let mut guard = action("guard", Effect::Ensure);
    guard.item = Some((Arc::from("server"), json!("gc01")));
    let steps = || vec![gate("g"), guard.clone(), destroys("d").needs(&[0, 1])];
    let mut story = Story::of(plan(steps()));
    opened(&mut story, "g");
    story.tell(decided("guard", Decision::Skip));
    story.decides(&["the go of g lapsed: `d` or what it rests on has changed (`guard` is left out)", "ask g"]);

    let mut story = Story::of(plan(steps()));
    opened(&mut story, "g");
    story.resume(Choices { exclude: vec!["gc01".to_owned()], ..Choices::default() });
    story.decides(&["guard is skipped: excluded: gc01", "look d 1"]);
}

#[test]
fn a_go_lapses_if_nothing_behind_it_begins_in_time_and_stands_once_something_has_begun() {
    let valid = gate("g").with(|step| {
        if let Work::Gate(gate) = &mut step.work {
            gate.valid_for = Some(Span::from_secs(60));
        }
    });
    let steps = vec![valid, action("copy", Effect::Ensure).needs(&[0]), destroys("d").needs(&[1])];
    let mut story = Story::of(plan(steps.clone()));
    opened(&mut story, "g");
    story.tell(Event::RunPaused { by: person("bob"), reason: String::new() });
    story.wait(60).decides(&["the go of g lapsed: nothing behind it has begun in the time for which the go was valid", "ask g"]);

    let mut story = Story::of(plan(steps));
    opened(&mut story, "g");
    story.tell(looked("copy", 1, Verdict::NotDone)).tell(started("copy", 1)).wait(36_000);
    story.tell(ended("copy", 1, applied())).tell(verified("copy")).next_is(&["look d 1"]);
}

#[test]
fn without_valid_for_a_go_is_valid_until_the_question_would_have_lapsed() {
    let mut story = Story::of(plan(vec![gate("g"), action("a", Effect::Ensure).needs(&[0])]));
    let event = asked_about("g", Some(60), Some(story.state()));
    story.tell(event).tell(vote("g", "bob", true)).tell(Event::GateOpened { step: step_id("g") });
    story.wait(59).next_is(&["look a 1"]);
    story.wait(1).decides(&["the go of g lapsed: nothing behind it has begun in the time for which the go was valid", "ask g"]);
}

#[test]
fn f79_a_clock_that_jumps_does_not_make_a_duration_longer_or_shorter() {
    let mut story = Story::of(plan(vec![gate("g"), action("a", Effect::Ensure).needs(&[0])]));
    let event = asked_about("g", Some(60), Some(story.state()));
    story.tell(event).tell(vote("g", "bob", true)).tell(Event::GateOpened { step: step_id("g") });
    story.wait(7_200).tell(Event::ClockJumped { millis: 7_200_000 }).next_is(&["look a 1"]);
    story.wait(60).decides(&["the go of g lapsed: nothing behind it has begun in the time for which the go was valid", "ask g"]);
}

// ---- Amendments ----

fn amended(story: &mut Story, plan: Plan, by: &str) {
    let by = person(by);
    story.tell(Event::PlanAmended {
        plan: String::new(),
        whole: String::new(),
        stored: None,
        fingerprints: BTreeMap::new(),
        changes: Vec::new(),
        by: by.clone(),
    });
    story.scheduler.rebind(Arc::new(plan), Some(&by));
}

#[test]
fn i4_an_amended_step_keeps_neither_pin_nor_look_nor_answer() {
    let mut story = Story::of(plan(vec![named(destroys("d"), "old")]));
    story.tell(pinned("d", "g-old")).tell(looked("d", 1, Verdict::Conflict));
    story.decides(&["d failed: it cannot be done as things are: seen", "held up by Person"]);
    amended(&mut story, plan(vec![named(destroys("d"), "new")]), "bob");
    let facts = story.state().facts(StepIx(0));
    assert!(facts.identity.is_empty() && facts.last_probe.is_none() && facts.decided.is_none());
    story.next_is(&["look d 1"]);
}

#[test]
fn a_step_that_failed_and_is_quiet_may_be_amended_and_its_old_attempts_stay_known() {
    let kept = EvidenceRef { sha256: "e".repeat(64), bytes: 3, kind: "before-image".to_owned() };
    let mut story = Story::of(plan(vec![named(action("a", Effect::Ensure), "old"), checkpoint("c").needs(&[0])]));
    story.tell(pinned("a", "g-old")).tell(looked("a", 1, Verdict::NotDone));
    let mut intent = started("a", 1);
    if let Event::AttemptStarted { before_image, .. } = &mut intent {
        *before_image = Some(kept.clone());
    }
    story.tell(intent).tell(ended("a", 1, rejected(false))).decides(&["a failed: no", "held up by Person"]);
    amended(&mut story, plan(vec![named(action("a", Effect::Ensure), "new"), checkpoint("c").needs(&[0])]), "bob");
    let facts = story.state().facts(StepIx(0)).clone();
    assert_eq!(facts.earlier.iter().map(|earlier| (earlier.last, earlier.may_have_acted)).collect::<Vec<_>>(), [(1, true)]);
    assert_eq!((facts.earlier[0].before_image.as_ref(), facts.before_image.as_ref()), (Some(&kept), None));
    story.next_is(&["look a 2"]);
    story.tell(looked("a", 2, Verdict::NotDone)).tell(started("a", 2));
}

#[test]
fn s35_a_step_that_is_amended_behind_an_open_gate_asks_again_and_says_why() {
    let steps = |fingerprint: &str| vec![gate("g"), checkpoint("c").needs(&[0]), named(destroys("d"), fingerprint).needs(&[1])];
    let mut story = Story::of(plan(steps("old")));
    opened(&mut story, "g");
    story.decides(&["c is reached", "look d 1"]);
    amended(&mut story, plan(steps("new")), "bob");
    story.decides(&["the go of g lapsed: `d` has changed", "ask g"]);
}

#[test]
fn s35_other_targets_behind_an_open_gate_ask_again_although_no_step_differs() {
    let of = |url: &str| {
        let step = destroys("d").needs(&[0]).acting(|action| action.call.with = json!({ "directory": "contoso" }));
        let mut plan = plan(vec![gate("g"), step]);
        plan.targets = Arc::new(Targets {
            names: BTreeMap::from([("contoso".to_owned(), "directories".to_owned())]),
            value: json!({ "directories": { "contoso": { "url": url } } }).as_object().cloned().expect("a map"),
            ..Targets::default()
        });
        plan
    };
    let mut story = Story::of(of("ldaps://dc1"));
    opened(&mut story, "g");
    story.tell(pinned("d", "g-1"));
    opened_again_if_asked(&mut story);
    amended(&mut story, of("ldaps://evil"), "bob");
    assert!(story.state().facts(StepIx(1)).identity.is_empty(), "bound anew, at the other target");
    story.decides(&["the go of g lapsed: `d` has changed", "ask g"]);
}

fn opened_again_if_asked(story: &mut Story) {
    let why = "the go of g lapsed: `d` destroys something, and only now it is known what: objectGUID=g-1";
    story.decides(&[why, "ask g"]);
    opened(story, "g");
}

#[test]
fn s35_roles_and_quorum_cannot_be_amended_away_under_a_go() {
    let of = |accounts: &[&str]| {
        let asks = gate("g").with(|step| {
            if let Work::Gate(gate) = &mut step.work {
                gate.approvers = vec!["lead".to_owned()];
            }
        });
        let mut plan = plan(vec![asks, destroys("d").needs(&[0])]);
        let roles = BTreeMap::from([("lead".to_owned(), accounts.iter().map(|name| (*name).to_owned()).collect())]);
        plan.targets = Arc::new(Targets { roles, ..Targets::default() });
        plan
    };
    let mut story = Story::of(of(&["bob", "cy"]));
    opened(&mut story, "g");
    amended(&mut story, of(&["bob", "cy", "mallory"]), "bob");
    story.decides(&["the go of g lapsed: who may answer it has changed", "ask g"]);
}

#[test]
fn an_amendment_that_leaves_what_lies_behind_the_gate_alone_asks_nobody_again() {
    let steps = |other: &str| vec![gate("g"), named(destroys("d"), "same").needs(&[0]), named(action("x", Effect::Read), other)];
    let mut story = Story::of(plan(steps("old")));
    opened(&mut story, "g");
    amended(&mut story, plan(steps("new")), "bob");
    story.next_is(&["look d 1", "apply x 1"]);
}

// ---- Who may ----

fn four_eyes(state: &Story, by: &str) -> Result<(), String> {
    let Work::Gate(gate) = &state.state().plan.steps[0].work else { panic!("a gate") };
    decide::vote_counts(state.state(), StepIx(0), gate, &person(by))
}

#[test]
fn s34_whoever_runs_the_run_now_or_amended_what_lies_behind_is_no_second_pair_of_eyes() {
    let asks = gate("g").with(|step| {
        if let Work::Gate(gate) = &mut step.work {
            gate.not_initiator = true;
        }
    });
    let steps = |fingerprint: &str| vec![asks.clone(), named(destroys("d"), fingerprint).needs(&[0])];
    let mut story = Story::of(plan(steps("old")));
    assert!(four_eyes(&story, "ada").is_err() && four_eyes(&story, "bob").is_ok());
    // A change of shift: bob has taken over, and the two of them are enough.
    story.tell(lock()).tell(Event::RunResumed { by: person("bob"), choices: Choices::default() });
    assert!(four_eyes(&story, "bob").is_err() && four_eyes(&story, "ada").is_ok());
    amended(&mut story, plan(steps("new")), "cy");
    assert!(four_eyes(&story, "cy").is_err_and(|why| why.contains("amended")));
}

#[test]
fn s34_a_vote_of_whoever_takes_the_run_over_before_the_gate_opens_counts_no_more() {
    let asks = gate("g").with(|step| {
        if let Work::Gate(gate) = &mut step.work {
            (gate.not_initiator, gate.quorum) = (true, 2);
        }
    });
    let mut story = Story::of(plan(vec![asks, destroys("d").needs(&[0])]));
    asks_and_votes(&mut story);
    story.tell(lock()).tell(Event::RunResumed { by: person("bob"), choices: Choices::default() });
    story.tell(vote("g", "cy", true)).next_is(&["held up by Person"]);
    // Bob runs it now: of the three goes two count.
    story.tell(vote("g", "ada", true)).next_is(&["g opens"]);
}

fn asks_and_votes(story: &mut Story) {
    asks(story, "g");
    story.tell(vote("g", "bob", true));
}

#[test]
fn s34_deciding_is_for_operators_and_stopping_for_everybody() {
    let mut plan = plan(vec![action("a", Effect::Opaque), manual("m")]);
    plan.targets =
        Arc::new(Targets { roles: BTreeMap::from([("operators".to_owned(), vec!["bob".to_owned()])]), ..Targets::default() });
    let story = Story::of(plan);
    let decide_it =
        |decision| Order::Decide { step: Some(step_id("a")), decision, reason: String::new(), about: None, emergency: false };
    let go_on = Order::Continue { reason: String::new(), emergency: false };
    for order in [decide_it(Decision::Retry), decide_it(Decision::Skip), decide_it(Decision::Done), go_on] {
        assert!(decide::may(story.state(), &order, &holder("bob")).is_ok(), "{order:?}");
        assert!(decide::may(story.state(), &order, &holder("eve")).is_err(), "{order:?}");
    }
    for order in [Order::Pause { reason: String::new() }, Order::Abort { reason: String::new() }, decide_it(Decision::Stop)] {
        assert!(decide::may(story.state(), &order, &Sender { person: person("eve"), holds: false }).is_ok(), "{order:?}");
    }
}

#[test]
fn s34_without_the_role_the_holders_may_decide_and_voters_may_not() {
    let story = Story::of(plan(vec![action("a", Effect::Opaque)]));
    let retry = Order::Decide {
        step: Some(step_id("a")),
        decision: Decision::Retry,
        reason: String::new(),
        about: None,
        emergency: false,
    };
    assert!(decide::may(story.state(), &retry, &holder("eve")).is_ok());
    assert!(decide::may(story.state(), &retry, &Sender { person: person("eve"), holds: false }).is_err());
}

#[test]
fn s34_a_manual_step_is_answered_and_skipped_by_its_own_roles() {
    let by = manual("m").with(|step| {
        if let Work::Manual(manual) = &mut step.work {
            manual.by = vec!["lead".to_owned()];
        }
    });
    let story = Story::of(plan(vec![by]));
    let skip = Order::Decide {
        step: Some(step_id("m")),
        decision: Decision::Skip,
        reason: String::new(),
        about: None,
        emergency: false,
    };
    let done = Order::Answer {
        step: step_id("m"),
        done: true,
        reason: String::new(),
        evidence: Outputs::new(),
        about: None,
        emergency: false,
    };
    for order in [skip, done] {
        assert!(decide::may(story.state(), &order, &holder("bob")).is_ok());
        assert!(decide::may(story.state(), &order, &holder("eve")).is_err());
    }
}

#[test]
fn f86_an_answer_to_another_question_than_the_one_that_stands_is_refused() {
    let mut story = Story::of(plan(vec![action("a", Effect::Opaque)]));
    story.tell(started("a", 1)).tell(ended("a", 1, rejected(false))).decides(&["a failed: no", "held up by Person"]);
    let first = story.state().facts(StepIx(0)).asked_by;
    let retry = |about| Order::Decide {
        step: Some(step_id("a")),
        decision: Decision::Retry,
        reason: String::new(),
        about,
        emergency: false,
    };
    assert!(decide::event(story.state(), &retry(first), &person("bob"), at(0)).is_ok());
    story.tell(decided("a", Decision::Retry)).tell(started("a", 2)).tell(ended("a", 2, rejected(false)));
    story.decides(&["a failed: no", "held up by Person"]);
    let late = decide::event(story.state(), &retry(first), &person("cy"), at(0));
    assert!(late.is_err_and(|why| why.contains("something else by now")));
}

#[test]
fn one_decided_retry_runs_although_another_failed_step_still_waits() {
    let steps = vec![action("a", Effect::Ensure), action("b", Effect::Ensure), action("c", Effect::Ensure)];
    let mut story = Story::of(plan(steps));
    for id in ["a", "b"] {
        story.tell(looked(id, 1, Verdict::NotDone)).tell(started(id, 1)).tell(ended(id, 1, rejected(true)));
    }
    story.decides(&["a failed: no", "b failed: no", "held up by Person"]);
    story.tell(decided("b", Decision::Retry)).next_is(&["look b 2"]);
    story.tell(looked("b", 2, Verdict::NotDone)).next_is(&["apply b 2"]);
    story.tell(started("b", 2)).tell(ended("b", 2, applied())).tell(verified("b")).next_is(&["held up by Person"]);
}

#[test]
fn f87_what_was_looked_at_before_the_attempt_gives_no_outputs_after_it() {
    let mut story = Story::of(plan(vec![action("a", Effect::Ensure)]));
    let mut old = looked("a", 1, Verdict::NotDone);
    if let Event::ProbeFinished { outputs, .. } = &mut old {
        outputs.insert("dir".to_owned(), json!("/old"));
    }
    story.tell(old).tell(started("a", 1)).crash().tell(quiet("a", 1, Some(Verdict::Done)));
    let Some(relevo::run::command::Command::Record(Event::StepVerified { outputs, how: How::Applied, .. })) =
        story.scheduler.next(at(0), &relevo::run::command::Hand::default()).commands.into_iter().next()
    else {
        panic!("verified");
    };
    assert!(outputs.is_empty(), "{outputs:?}");
}
