//! Failures: retries by class, deadlines, and what a failure means for the rest.

use relevo::plan::action::Effect;
use relevo::plan::{OnFailure, Verdict};
use relevo::run::event::Decision;
use relevo::time::Span;

use crate::story::{Story, decided, ended, looked, not_sent, quiet, rejected, started, unknown};
use crate::support::{StepExt, action, plan};

#[test]
fn a_refusal_that_touched_nothing_is_retried_for_every_class_with_growing_waits() {
    for effect in [Effect::Read, Effect::Ensure, Effect::Cas, Effect::Keyed, Effect::Once, Effect::Opaque] {
        let step = action("a", effect).with(|step| step.retry.attempts = 3).acting(|action| action.probed = false);
        let mut story = Story::of(plan(vec![step]));
        story.tell(started("a", 1)).tell(ended("a", 1, rejected(true)));
        story.decides(&["a is tried again: 2 in 10 s", "wake in 10 s", "held up by Time"]);
        story.wait(10).next_is(&["apply a 2"]);
        story.tell(started("a", 2)).tell(ended("a", 2, not_sent()));
        story.decides(&["a is tried again: 3 in 20 s", "wake in 20 s", "held up by Time"]);
        story.wait(20).tell(started("a", 3)).tell(ended("a", 3, rejected(true)));
        story.decides(&["a failed: no; 3 attempts were made", "held up by Person"]);
    }
}

#[test]
fn a_failure_that_may_have_touched_something_is_not_retried_where_a_repetition_harms() {
    for (effect, kind) in [(Effect::Once, "once"), (Effect::Opaque, "opaque")] {
        let mut story = Story::of(plan(vec![action("a", effect).with(|step| step.retry.attempts = 3)]));
        story.tell(started("a", 1)).tell(ended("a", 1, rejected(false)));
        let why = format!("a failed: no; not tried again, because its effect may not be nil (effect: {kind})");
        story.decides(&[&why, "held up by Person"]);
    }
    for effect in [Effect::Read, Effect::Ensure, Effect::Keyed] {
        let mut story = Story::of(plan(vec![action("a", effect).with(|step| step.retry.attempts = 3)]));
        story.tell(started("a", 1)).tell(ended("a", 1, rejected(false)));
        story.decides(&["a is tried again: 2 in 10 s", "wake in 10 s", "held up by Time"]);
    }
}

#[test]
fn what_destroys_blindly_is_not_retried_after_a_failure_that_may_have_touched_something() {
    let step = action("a", Effect::Ensure)
        .with(|step| step.retry.attempts = 3)
        .acting(|action| (action.destructive, action.probed) = (true, false));
    let mut story = Story::of(plan(vec![step]));
    story.tell(started("a", 1)).tell(ended("a", 1, rejected(false)));
    let why = "a failed: no; not tried again, because its effect may not be nil (effect: destructive, no probe)";
    story.decides(&[why, "held up by Person"]);
}

#[test]
fn what_destroyed_a_part_is_not_applied_again_unless_a_person_says_so() {
    let step = action("a", Effect::Ensure).with(|step| step.retry.attempts = 3).acting(|action| action.destructive = true);
    let mut story = Story::of(plan(vec![step]));
    story.tell(started("a", 1)).tell(ended("a", 1, rejected(false))).decides(&[
        "a is tried again: 2 in 10 s",
        "wake in 10 s",
        "held up by Time",
    ]);
    story.wait(10).tell(looked("a", 2, Verdict::Partial));
    story.decides(&["a failed: is partly done before attempt 2: seen", "held up by Person"]);
    story.tell(decided("a", Decision::Retry)).tell(looked("a", 2, Verdict::Partial)).next_is(&["apply a 2"]);
}

#[test]
fn a_deadline_leaves_no_time_for_another_attempt() {
    let step = action("a", Effect::Ensure).with(|step| {
        step.retry.attempts = 9;
        step.deadline = Some(Span::from_secs(15));
    });
    let mut story = Story::of(plan(vec![step]));
    story.tell(started("a", 1)).wait(6).tell(ended("a", 1, not_sent()));
    story.decides(&["a failed: no route; its deadline leaves no time for another attempt", "held up by Person"]);
}

#[test]
fn a_deadline_that_passes_while_the_step_waits_fails_it_and_a_decision_sets_it_anew() {
    let step = action("a", Effect::Ensure).with(|step| step.deadline = Some(Span::from_secs(60)));
    let mut story = Story::of(plan(vec![step]));
    story.tell(started("a", 1)).crash().wait(100).tell(quiet("a", 1, Some(Verdict::NotDone)));
    story.decides(&["a is tried again: 2 in 0 s", "a failed: its deadline has passed", "held up by Person"]);
    story.tell(decided("a", Decision::Retry)).next_is(&["look a 2"]);
    story.tell(looked("a", 2, Verdict::NotDone)).next_is(&["apply a 2"]);
    story.tell(started("a", 2)).wait(30).tell(ended("a", 2, unknown())).next_is(&["settle a 2"]);
}

fn two_branches(rule: OnFailure) -> Story {
    let steps = vec![
        action("a", Effect::Opaque).with(|step| step.on_failure = rule),
        action("b", Effect::Read).needs(&[0]),
        action("c", Effect::Read),
    ];
    let mut plan = plan(steps);
    plan.max_parallel = 1;
    let mut story = Story::of(plan);
    story.tell(started("a", 1)).tell(ended("a", 1, rejected(true)));
    story
}

#[test]
fn stop_launches_nothing_more_anywhere_and_ends_the_run() {
    two_branches(OnFailure::Stop).decides(&["a failed: no", "finished: Failed"]);
}

#[test]
fn ask_launches_nothing_more_until_a_person_has_answered() {
    let mut story = two_branches(OnFailure::Ask);
    story.decides(&["a failed: no", "held up by Person"]);
    story.tell(decided("a", Decision::Skip)).next_is(&["apply b 1"]);
}

#[test]
fn continue_frees_the_unrelated_branch_and_the_run_ends_as_failed() {
    let mut story = two_branches(OnFailure::Continue);
    story.decides(&["a failed: no", "apply c 1"]);
    story.tell(started("c", 1)).tell(ended("c", 1, crate::story::applied()));
    story.decides(&["c is verified: Applied", "finished: Failed"]);
}

#[test]
fn a_failed_step_asks_after_a_resume_whatever_its_rule_was() {
    let mut story = two_branches(OnFailure::Stop);
    story.decides(&["a failed: no", "finished: Failed"]);
    story.crash().next_is(&["held up by Person"]);
    story.tell(decided("a", Decision::Retry)).next_is(&["apply a 2"]);
}

#[test]
fn a_failure_keeps_a_step_from_starting_in_the_very_same_answer() {
    let steps = vec![action("a", Effect::Opaque), action("b", Effect::Read)];
    let mut story = Story::of(plan(steps));
    story.tell(started("a", 1)).tell(ended("a", 1, rejected(true)));
    story.next_is(&["a failed: no"]);
    story.decides(&["a failed: no", "held up by Person"]);
}

#[test]
fn a_failure_keeps_a_step_that_was_looked_at_from_being_applied_in_the_very_same_answer() {
    let mut story = Story::of(plan(vec![action("a", Effect::Opaque), action("b", Effect::Ensure)]));
    story.tell(started("a", 1)).tell(looked("b", 1, Verdict::NotDone)).tell(ended("a", 1, rejected(true)));
    story.decides(&["a failed: no", "held up by Person"]);
}

#[test]
fn a_deadline_that_has_passed_keeps_the_next_step_from_starting_in_the_very_same_answer() {
    let step = action("a", Effect::Read).with(|step| step.deadline = Some(Span::from_secs(60)));
    let mut story = Story::of(plan(vec![step, action("b", Effect::Read)]));
    story.tell(started("a", 1)).crash().wait(100).tell(quiet("a", 1, None));
    story.decides(&["a is tried again: 2 in 0 s", "a failed: its deadline has passed", "held up by Person"]);
}

#[test]
fn a_retry_in_a_moment_is_waited_for_before_people_are_left_to_their_questions() {
    let steps = vec![crate::support::gate("g"), action("a", Effect::Read).with(|step| step.retry.attempts = 2)];
    let mut story = Story::of(plan(steps));
    story.tell(crate::story::asked("g", None)).tell(started("a", 1)).tell(ended("a", 1, not_sent()));
    story.decides(&["a is tried again: 2 in 10 s", "wake in 10 s", "held up by Time"]);
}
