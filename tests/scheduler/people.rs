//! Manual steps, decisions that are allowed and refused, the point of no return, and a plan that was amended.

use std::sync::Arc;

use relevo::plan::action::Effect;
use relevo::plan::{Call, Probe, Verdict, Work};
use relevo::run::event::{Decision, Event, How, Outputs, Phase};

use crate::story::{
    Story, applied, conditions, decided, ended, looked, not_sent, person, rejected, started, step_id, unknown, verified,
};
use crate::support::{StepExt, action, checkpoint, gate, manual, plan};

fn answered(step: &str, done: bool) -> Event {
    Event::ManualAnswered { step: step_id(step), by: person("bob"), done, reason: "did it".to_owned(), evidence: Outputs::new() }
}

fn asked(step: &str) -> Event {
    Event::ManualAsked { step: step_id(step), instructions: "do".to_owned() }
}

#[test]
fn a_manual_step_without_a_probe_is_done_on_a_persons_word() {
    let mut story = Story::of(plan(vec![manual("m")]));
    story.next_is(&["ask m"]);
    story.tell(asked("m")).next_is(&["held up by Person"]);
    story.tell(answered("m", true)).decides(&["m is verified: Decided", "finished: Done"]);
}

#[test]
fn f85_a_probe_may_contradict_a_person_and_the_question_stands_again() {
    let probe = Probe { call: Call { uses: "sim".to_owned(), with: serde_json::json!({}) }, verdict: Vec::new() };
    let step = manual("m").with(|step| {
        if let Work::Manual(manual) = &mut step.work {
            manual.probe = Some(probe);
        }
    });
    let mut story = Story::of(plan(vec![step]));
    story.tell(asked("m")).tell(answered("m", true)).next_is(&["confirm m"]);
    story.tell(conditions("m", Phase::Manual, Some(Verdict::NotDone), Vec::new())).next_is(&["held up by Person"]);
    story.tell(answered("m", true)).tell(conditions("m", Phase::Manual, Some(Verdict::Done), Vec::new()));
    story.decides(&["m is verified: Applied", "finished: Done"]);
}

#[test]
fn a_person_who_says_that_it_cannot_be_done_fails_the_step() {
    let mut story = Story::of(plan(vec![manual("m")]));
    story.tell(asked("m")).tell(answered("m", false)).next_is(&["held up by Person"]);
    assert_eq!(story.word("m"), "failed");
    story.tell(decided("m", Decision::Retry)).next_is(&["ask m"]);
}

#[test]
fn i9_decisions_are_refused_where_there_is_nothing_to_decide() {
    let mut story = Story::of(plan(vec![action("a", Effect::Opaque), gate("g")]));
    assert_eq!(story.refuses(decided("a", Decision::Retry)), "`a` is pending; `retry` decides nothing about it");
    assert_eq!(story.refuses(decided("a", Decision::Rollback)), "this version does not roll back; `stop` ends the run here");
    story.tell(started("a", 1));
    assert_eq!(story.refuses(decided("a", Decision::Skip)), "`a` is applying at the moment; wait until it has ended");
    assert_eq!(story.refuses(decided("a", Decision::Done)), "`a` is applying; `done` decides nothing about it");
    story.tell(ended("a", 1, applied())).tell(Event::StepVerified {
        step: step_id("a"),
        how: How::Unverified,
        outputs: Outputs::new(),
    });
    for decision in [Decision::Done, Decision::NotDone, Decision::Retry, Decision::Skip, Decision::Stop] {
        assert_eq!(story.refuses(decided("a", decision)), "`a` is done already");
    }
}

#[test]
fn a_failed_step_may_be_retried_skipped_or_taken_as_done() {
    for (decision, word) in [(Decision::Retry, "backoff"), (Decision::Skip, "skipped"), (Decision::Done, "verifying")] {
        let mut story = Story::of(plan(vec![action("a", Effect::Opaque)]));
        story.tell(started("a", 1)).tell(ended("a", 1, rejected(true))).decides(&["a failed: no", "held up by Person"]);
        story.tell(decided("a", decision));
        assert_eq!(story.word("a"), word);
    }
}

#[test]
fn a_look_at_will_decides_nothing() {
    let mut story = Story::of(plan(vec![action("a", Effect::Ensure)]));
    story.tell(started("a", 1)).tell(ended("a", 1, unknown())).tell(crate::story::busy("a", 1));
    story.tell(conditions("a", Phase::AtWill, Some(Verdict::NotDone), Vec::new()));
    story.next_is(&["wake in 2 s", "held up by Time"]);
}

#[test]
fn the_point_of_no_return_is_passed_once_its_attempt_has_started() {
    let mut story = Story::of(plan(vec![action("a", Effect::Ensure).with(|step| step.point_of_no_return = true)]));
    story.tell(looked("a", 1, Verdict::NotDone));
    assert!(!story.state().past_no_return);
    story.tell(started("a", 1));
    assert!(story.state().past_no_return);
    story.tell(ended("a", 1, not_sent()));
    assert!(story.state().past_no_return, "what was in doubt once is not taken back");
}

#[test]
fn a_point_of_no_return_that_was_found_done_or_done_by_hand_is_passed_too() {
    let mut story = Story::of(plan(vec![action("a", Effect::Ensure).with(|step| step.point_of_no_return = true)]));
    story.tell(looked("a", 1, Verdict::Done)).decides(&["a is verified: Adopted", "finished: Done"]);
    assert!(story.state().past_no_return);
    let mut story = Story::of(plan(vec![manual("m").with(|step| step.point_of_no_return = true)]));
    story.tell(asked("m")).tell(answered("m", true)).decides(&["m is verified: Decided", "finished: Done"]);
    assert!(story.state().past_no_return);
}

#[test]
fn an_amended_plan_keeps_what_is_known_by_id() {
    let mut story = Story::of(plan(vec![action("a", Effect::Read), action("b", Effect::Opaque), checkpoint("c").needs(&[0, 1])]));
    story.tell(started("a", 1)).tell(ended("a", 1, applied())).tell(verified("a"));
    story.tell(started("b", 1)).tell(ended("b", 1, unknown()));
    let amended = vec![
        action("new", Effect::Read),
        action("b", Effect::Opaque),
        action("a", Effect::Read),
        checkpoint("c").needs(&[0, 1, 2]),
    ];
    story.scheduler.rebind(Arc::new(plan(amended)), Some(&person("ada")));
    assert_eq!((story.word("a"), story.word("b"), story.word("new")), ("done", "unsettled", "pending"));
    story.next_is(&["settle b 1", "apply new 1"]);
}
