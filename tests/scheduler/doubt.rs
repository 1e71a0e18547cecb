//! What a resume does, per effect class: the rows of the table, one test each.

use relevo::plan::action::Effect;
use relevo::plan::{InDoubt, Step, Verdict};
use relevo::run::event::Decision;

use crate::story::{
    Story, applied, busy, cannot_tell, decided, ended, looked, not_sent, quiet, rejected, shown, started, time_is_over, unknown,
};
use crate::support::{StepExt, action, plan};

/// A step whose attempt was started and never seen to end; the run has been resumed.
fn cut_off(step: Step) -> Story {
    let probed = step.is_probed();
    let mut story = Story::of(plan(vec![step]));
    if probed {
        story.tell(looked("a", 1, Verdict::NotDone));
    }
    story.tell(started("a", 1)).crash();
    story.next_is(&["settle a 1"]);
    story
}

const DOUBT: &str = "a is in doubt: attempt 1 is in doubt (its end was not seen); ";

#[test]
fn f01_nothing_recorded_means_that_the_step_runs_normally() {
    let mut story = Story::of(plan(vec![action("a", Effect::Once)]));
    story.crash().next_is(&["look a 1"]);
}

#[test]
fn a_read_that_was_cut_off_is_made_again() {
    let mut story = cut_off(action("a", Effect::Read));
    story.tell(quiet("a", 1, None)).decides(&["a is tried again: 2 in 0 s", "apply a 2"]);
}

#[test]
fn a_read_of_which_nobody_can_tell_whether_it_goes_on_needs_no_person() {
    let mut story = cut_off(action("a", Effect::Read));
    story.tell(cannot_tell("a", 1, None)).decides(&["a is tried again: 2 in 0 s", "apply a 2"]);
}

#[test]
fn f03_a_setting_that_is_not_done_is_set_again_after_another_look() {
    let mut story = cut_off(action("a", Effect::Ensure));
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).decides(&["a is tried again: 2 in 0 s", "look a 2"]);
    story.tell(looked("a", 2, Verdict::NotDone)).next_is(&["apply a 2"]);
}

#[test]
fn a_setting_that_is_half_done_is_set_again() {
    let mut story = cut_off(action("a", Effect::Ensure));
    story.tell(quiet("a", 1, Some(Verdict::Partial))).decides(&["a is tried again: 2 in 0 s", "look a 2"]);
    story.tell(looked("a", 2, Verdict::Partial)).next_is(&["apply a 2"]);
}

#[test]
fn a_setting_without_a_probe_is_set_again() {
    let mut story = cut_off(action("a", Effect::Ensure).acting(|action| action.probed = false));
    story.tell(quiet("a", 1, None)).decides(&["a is tried again: 2 in 0 s", "apply a 2"]);
}

#[test]
fn a_compare_and_set_that_is_not_done_is_made_again() {
    let mut story = cut_off(action("a", Effect::Cas));
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).decides(&["a is tried again: 2 in 0 s", "look a 2"]);
}

#[test]
fn a_compare_and_set_without_a_probe_goes_to_a_person() {
    let mut story = cut_off(action("a", Effect::Cas).acting(|action| action.probed = false));
    story.tell(quiet("a", 1, None)).decides(&[&format!("{DOUBT}it has no probe: seen"), "held up by Doubt"]);
}

#[test]
fn a_keyed_effect_is_made_again_with_or_without_a_probe() {
    let mut story = cut_off(action("a", Effect::Keyed));
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).decides(&["a is tried again: 2 in 0 s", "look a 2"]);
    let mut story = cut_off(action("a", Effect::Keyed).acting(|action| action.probed = false));
    story.tell(quiet("a", 1, None)).decides(&["a is tried again: 2 in 0 s", "apply a 2"]);
}

#[test]
fn f75_an_effect_that_must_happen_once_is_made_again_after_two_quiet_looks_apart() {
    let mut story = cut_off(action("a", Effect::Once));
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).next_is(&["wake in 2 s", "held up by Time"]);
    story.wait(2).next_is(&["settle a 1"]);
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).decides(&["a is tried again: 2 in 0 s", "look a 2"]);
}

#[test]
fn f75_two_looks_closer_than_the_time_in_which_a_change_is_seen_everywhere_are_one() {
    let mut story = cut_off(action("a", Effect::Once).with(|step| step.stable_for = relevo::time::Span::from_secs(10)));
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).next_is(&["wake in 10 s", "held up by Time"]);
    story.wait(1).crash().next_is(&["wake in 9 s", "held up by Time"]);
    // A look that comes early, for whatever reason, is not yet the second one that counts.
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).next_is(&["wake in 10 s", "held up by Time"]);
    story.wait(10).tell(quiet("a", 1, Some(Verdict::NotDone))).decides(&["a is tried again: 2 in 0 s", "look a 2"]);
}

#[test]
fn f75_i3_an_effect_that_must_happen_once_and_destroys_goes_to_a_person() {
    let mut story = cut_off(action("a", Effect::Once).acting(|action| action.destructive = true));
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).wait(2).tell(quiet("a", 1, Some(Verdict::NotDone)));
    let why = "the probe says twice that it is not done, and a repetition would destroy if that were wrong: seen";
    story.decides(&[&format!("{DOUBT}{why}"), "held up by Doubt"]);
    story.tell(decided("a", Decision::NotDone)).next_is(&["look a 2"]);
}

#[test]
fn the_author_may_have_a_person_asked_or_a_repetition_made() {
    let ask = |effect| cut_off(action("a", effect).with(|step| step.in_doubt = Some(InDoubt::Ask)));
    for effect in [Effect::Ensure, Effect::Cas, Effect::Keyed, Effect::Once] {
        let mut story = ask(effect);
        story.tell(quiet("a", 1, Some(Verdict::NotDone)));
        story.decides(&[&format!("{DOUBT}the plan says that a person decides: seen"), "held up by Doubt"]);
    }
    let repeat = action("a", Effect::Once).acting(|action| action.destructive = true);
    let mut story = cut_off(repeat.with(|step| step.in_doubt = Some(InDoubt::Repeat)));
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).wait(2).tell(quiet("a", 1, Some(Verdict::NotDone)));
    story.decides(&["a is tried again: 2 in 0 s", "look a 2"]);
}

#[test]
fn f52_done_counts_only_once_the_attempt_can_no_longer_act() {
    for effect in [Effect::Ensure, Effect::Cas, Effect::Keyed, Effect::Once] {
        let mut story = cut_off(action("a", effect));
        story.tell(cannot_tell("a", 1, Some(Verdict::Done)));
        story.decides(&[&format!("{DOUBT}nobody can tell whether it can still act: seen"), "held up by Doubt"]);
        story.tell(decided("a", Decision::Done)).decides(&["a is verified: Decided", "finished: Done"]);
    }
}

#[test]
fn f58_where_only_the_time_of_an_attempt_is_over_two_looks_apart_must_agree() {
    let mut story = cut_off(action("a", Effect::Cas));
    story.tell(time_is_over("a", 1, Some(Verdict::Done))).next_is(&["wake in 2 s", "held up by Time"]);
    story.wait(2).tell(time_is_over("a", 1, Some(Verdict::NotDone))).next_is(&["wake in 2 s", "held up by Time"]);
    story.wait(2).tell(time_is_over("a", 1, Some(Verdict::NotDone))).decides(&["a is tried again: 2 in 0 s", "look a 2"]);
    let mut story = cut_off(action("a", Effect::Cas));
    story.tell(time_is_over("a", 1, Some(Verdict::Done))).wait(2).tell(time_is_over("a", 1, Some(Verdict::Done)));
    story.decides(&["a is verified: Applied", "finished: Done"]);
}

#[test]
fn an_opaque_effect_always_goes_to_a_person() {
    let mut story = cut_off(action("a", Effect::Opaque));
    story.tell(quiet("a", 1, None)).decides(&[&format!("{DOUBT}an opaque effect cannot be probed: seen"), "held up by Doubt"]);
    story.crash().next_is(&["held up by Doubt"]);
    story.tell(decided("a", Decision::Retry)).next_is(&["apply a 2"]);
}

#[test]
fn f05_f06_what_is_found_done_after_a_crash_is_verified_and_not_applied_again() {
    for effect in [Effect::Ensure, Effect::Cas, Effect::Keyed, Effect::Once] {
        let mut story = cut_off(action("a", effect));
        story.tell(quiet("a", 1, Some(Verdict::Done))).decides(&["a is verified: Applied", "finished: Done"]);
    }
}

#[test]
fn f75_i3_what_destroys_is_repeated_only_after_two_quiet_looks_that_say_not_done() {
    for effect in [Effect::Ensure, Effect::Cas, Effect::Keyed] {
        let mut story = cut_off(action("a", effect).acting(|action| action.destructive = true));
        story.tell(quiet("a", 1, Some(Verdict::NotDone))).next_is(&["wake in 2 s", "held up by Time"]);
        story.wait(2).tell(quiet("a", 1, Some(Verdict::NotDone)));
        story.decides(&["a is tried again: 2 in 0 s", "look a 2"]);
    }
}

#[test]
fn f75_a_look_that_says_something_else_between_two_looks_starts_the_count_anew() {
    let mut story = cut_off(action("a", Effect::Cas).acting(|action| action.destructive = true));
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).wait(2).tell(quiet("a", 1, Some(Verdict::Unknown)));
    story.wait(2).tell(quiet("a", 1, Some(Verdict::NotDone))).next_is(&["wake in 2 s", "held up by Time"]);
}

#[test]
fn what_destroys_and_has_no_probe_goes_to_a_person_whatever_its_class() {
    for effect in [Effect::Ensure, Effect::Keyed] {
        let destroys = action("a", effect).acting(|action| (action.destructive, action.probed) = (true, false));
        let mut story = cut_off(destroys);
        story.tell(quiet("a", 1, None)).decides(&[&format!("{DOUBT}it destroys, and it has no probe: seen"), "held up by Doubt"]);
    }
}

#[test]
fn what_destroys_and_is_half_done_goes_to_a_person() {
    let mut story = cut_off(action("a", Effect::Ensure).acting(|action| action.destructive = true));
    story.tell(quiet("a", 1, Some(Verdict::Partial)));
    story.decides(&[&format!("{DOUBT}it is partly done: seen"), "held up by Doubt"]);
}

#[test]
fn f74_i3_not_done_counts_only_once_the_attempt_can_no_longer_act() {
    let mut story = cut_off(action("a", Effect::Ensure));
    story.tell(busy("a", 1)).next_is(&["wake in 2 s", "held up by Time"]);
    story.wait(2).next_is(&["settle a 1"]);
    story.tell(cannot_tell("a", 1, Some(Verdict::NotDone)));
    story.decides(&[&format!("{DOUBT}nobody can tell whether it can still act: seen"), "held up by Doubt"]);
}

#[test]
fn a_conflict_goes_to_a_person() {
    let mut story = cut_off(action("a", Effect::Ensure));
    story.tell(quiet("a", 1, Some(Verdict::Conflict)));
    story.decides(&[&format!("{DOUBT}what is there is neither what was nor what is to be: seen"), "held up by Doubt"]);
}

#[test]
fn a_probe_that_cannot_tell_is_asked_three_times_and_then_a_person() {
    let mut story = cut_off(action("a", Effect::Ensure));
    for _ in 0..2 {
        story.tell(quiet("a", 1, Some(Verdict::Unknown))).next_is(&["wake in 2 s", "held up by Time"]);
        story.wait(2).next_is(&["settle a 1"]);
    }
    story.tell(quiet("a", 1, Some(Verdict::Unknown)));
    story.decides(&[&format!("{DOUBT}the probe cannot tell: seen"), "held up by Doubt"]);
}

#[test]
fn f48_f49_an_unknown_answer_is_settled_and_never_retried_unseen() {
    for effect in [Effect::Read, Effect::Ensure, Effect::Cas, Effect::Keyed, Effect::Once, Effect::Opaque] {
        let mut story = Story::of(plan(vec![action("a", effect).with(|step| step.retry.attempts = 5)]));
        story.tell(started("a", 1)).tell(ended("a", 1, unknown())).next_is(&["settle a 1"]);
    }
}

#[test]
fn a_system_that_never_answers_is_not_called_for_ever() {
    let mut story = Story::of(plan(vec![action("a", Effect::Ensure).with(|step| step.retry.attempts = 2)]));
    story.tell(started("a", 1)).tell(ended("a", 1, unknown())).tell(quiet("a", 1, Some(Verdict::NotDone)));
    story.decides(&["a is tried again: 2 in 10 s", "wake in 10 s", "held up by Time"]);
    story.wait(10).next_is(&["look a 2"]);
    story.tell(looked("a", 2, Verdict::NotDone)).tell(started("a", 2)).tell(ended("a", 2, unknown()));
    story.tell(quiet("a", 2, Some(Verdict::NotDone)));
    let why = "attempt 2 (no answer) was looked at: not done: seen; 2 attempts were made";
    story.decides(&[&format!("a failed: {why}"), "held up by Person"]);
}

#[test]
fn crashes_cost_none_of_the_attempts() {
    let mut story = cut_off(action("a", Effect::Ensure));
    for attempt in 2..6 {
        story.tell(quiet("a", attempt - 1, Some(Verdict::NotDone)));
        story.decides(&[&format!("a is tried again: {attempt} in 0 s"), &format!("look a {attempt}")]);
        story.tell(looked("a", attempt, Verdict::NotDone)).tell(started("a", attempt)).crash();
    }
}

#[test]
fn what_was_not_sent_or_refused_is_ended_even_across_a_crash() {
    for outcome in [not_sent(), rejected(true), rejected(false)] {
        let mut story = Story::of(plan(vec![action("a", Effect::Cas)]));
        story.tell(started("a", 1)).tell(ended("a", 1, outcome)).crash();
        let next = story.scheduler.next(crate::story::at(0), &relevo::run::command::Hand::default());
        assert!(format!("{next:?}").contains("StepFailed"), "{next:?}");
    }
}

#[test]
fn f07_what_was_acknowledged_is_verified_after_a_crash_and_not_applied_again() {
    let mut story = Story::of(plan(vec![action("a", Effect::Once)]));
    story.tell(started("a", 1)).tell(ended("a", 1, applied())).crash().next_is(&["verify a 1"]);
    story.tell(shown("a", 1, Verdict::Done)).decides(&["a is verified: Applied", "finished: Done"]);
}

#[test]
fn an_opaque_effect_that_was_acknowledged_counts_as_done_unverified() {
    let mut story = Story::of(plan(vec![action("a", Effect::Opaque)]));
    story.tell(started("a", 1)).tell(ended("a", 1, applied())).crash();
    story.decides(&["a is verified: Unverified", "finished: Done"]);
}

#[test]
fn a_step_in_doubt_is_looked_at_once_more_after_a_resume_and_the_question_stands() {
    let mut story = cut_off(action("a", Effect::Ensure));
    story.tell(cannot_tell("a", 1, Some(Verdict::NotDone)));
    story.decides(&[&format!("{DOUBT}nobody can tell whether it can still act: seen"), "held up by Doubt"]);
    story.crash().next_is(&["settle a 1"]);
    story.tell(quiet("a", 1, Some(Verdict::NotDone))).next_is(&["held up by Doubt"]);
    story.crash().tell(quiet("a", 1, Some(Verdict::Done))).decides(&["a is verified: Applied", "finished: Done"]);
}

#[test]
fn f11_i9_a_decision_is_carried_out_after_a_crash_and_never_asked_for_twice() {
    let mut story = cut_off(action("a", Effect::Opaque));
    story
        .tell(cannot_tell("a", 1, None))
        .decides(&[&format!("{DOUBT}nobody can tell whether it can still act: seen"), "held up by Doubt"]);
    story.tell(decided("a", Decision::Done)).crash().decides(&["a is verified: Decided", "finished: Done"]);
}

#[test]
fn f79_a_clock_that_went_back_does_not_make_the_looks_turn_in_circles() {
    let mut story = cut_off(action("a", Effect::Ensure));
    story.wait(-3600).tell(quiet("a", 1, Some(Verdict::NotDone)));
    story.decides(&["a is tried again: 2 in 0 s", "look a 2"]);
}
