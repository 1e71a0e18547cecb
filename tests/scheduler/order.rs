//! What starts when: needs, slots, limits, conditions, and the end.

use relevo::plan::action::Effect;
use relevo::plan::{Condition, Expr, Holds, Verdict};
use relevo::run::event::{Choices, ConditionSeen, Event, Holding, Phase};

use crate::story::{Story, applied, conditions, ended, looked, shown, started, step_id, verified};
use crate::support::{StepExt, action, checkpoint, limit, manual, plan};

#[test]
fn f08_i2_a_step_starts_when_all_that_it_needs_is_verified_and_not_before() {
    let steps = vec![action("a", Effect::Read), action("b", Effect::Read), action("c", Effect::Read).needs(&[0, 1])];
    let mut story = Story::of(plan(steps));
    story.next_is(&["apply a 1", "apply b 1"]);
    story.tell(started("a", 1)).tell(ended("a", 1, applied())).tell(verified("a"));
    story.next_is(&["apply b 1"]);
    story.tell(started("b", 1)).holds("b").next_is(&[]);
    story.tell(ended("b", 1, applied())).lets_go("b");
    story.decides(&["b is verified: Applied", "apply c 1"]);
}

#[test]
fn i2_an_intent_before_its_needs_cannot_be() {
    let mut story = Story::of(plan(vec![action("a", Effect::Read), action("b", Effect::Read).needs(&[0])]));
    assert_eq!(story.refuses(started("b", 1)), "`b` starts before what it needs is done");
}

#[test]
fn a_probed_step_is_looked_at_first_applied_and_then_verified() {
    let mut story = Story::of(plan(vec![action("a", Effect::Ensure)]));
    story.next_is(&["look a 1"]);
    story.tell(looked("a", 1, Verdict::NotDone)).next_is(&["apply a 1"]);
    story.tell(started("a", 1)).tell(ended("a", 1, applied())).next_is(&["verify a 1"]);
    story.tell(shown("a", 1, Verdict::Done)).decides(&["a is verified: Applied", "finished: Done"]);
}

#[test]
fn what_is_found_done_is_adopted_and_never_applied() {
    let mut story = Story::of(plan(vec![action("a", Effect::Once)]));
    story.tell(looked("a", 1, Verdict::Done)).decides(&["a is verified: Adopted", "finished: Done"]);
}

#[test]
fn what_was_applied_and_does_not_show_is_looked_at_three_times_and_then_in_doubt() {
    let mut story = Story::of(plan(vec![action("a", Effect::Ensure)]));
    story.tell(looked("a", 1, Verdict::NotDone)).tell(started("a", 1)).tell(ended("a", 1, applied()));
    for _ in 0..2 {
        story.next_is(&["verify a 1"]).state();
        story.tell(shown("a", 1, Verdict::NotDone)).next_is(&["wake in 2 s", "held up by Time"]);
        story.wait(2);
    }
    story.tell(shown("a", 1, Verdict::NotDone));
    story.decides(&["a is in doubt: it was applied, but the probe does not show it: seen", "held up by Doubt"]);
}

#[test]
fn steps_start_in_plan_order_while_slots_last() {
    let mut plan = plan((0..5).map(|n| action(&format!("s{n}"), Effect::Read)).collect());
    plan.max_parallel = 2;
    let mut story = Story::of(plan);
    story.next_is(&["apply s0 1", "apply s1 1"]);
    story.tell(started("s0", 1)).holds("s0").tell(started("s1", 1)).holds("s1").next_is(&[]);
    story.tell(ended("s0", 1, applied())).lets_go("s0").decides(&["s0 is verified: Applied", "apply s2 1"]);
}

#[test]
fn a_limit_holds_for_steps_in_hand_and_for_attempts_that_may_still_act() {
    let steps =
        vec![action("a", Effect::Opaque).limited(&[0]), action("b", Effect::Opaque).limited(&[0]), action("c", Effect::Opaque)];
    let mut plan = plan(steps);
    plan.limits = vec![limit("sql01", 1)];
    let mut story = Story::of(plan);
    story.next_is(&["apply a 1", "apply c 1"]);
    story.tell(started("a", 1)).crash();
    // Nobody knows what `a` does: `b` keeps out of its way even while a person is asked.
    story.next_is(&["settle a 1", "apply c 1"]);
    story.tell(crate::story::cannot_tell("a", 1, None));
    story.decides(&[
        "a is in doubt: attempt 1 is in doubt (its end was not seen); nobody can tell whether it can still act: seen",
        "apply c 1",
    ]);
}

#[test]
fn steps_behind_a_full_limit_are_passed_over_and_the_others_keep_their_order() {
    let limits: [&[u32]; 7] = [&[0], &[0], &[1], &[0, 1], &[], &[1], &[]];
    let steps = limits.iter().enumerate().map(|(n, limits)| action(&format!("s{n}"), Effect::Read).limited(limits)).collect();
    let mut plan = plan(steps);
    plan.limits = vec![limit("sql01", 1), limit("sql02", 2)];
    let mut story = Story::of(plan);
    story.next_is(&["apply s0 1", "apply s2 1", "apply s4 1", "apply s5 1", "apply s6 1"]);
    story.tell(started("s0", 1)).tell(ended("s0", 1, applied())).tell(started("s2", 1)).holds("s2");
    story.decides(&["s0 is verified: Applied", "apply s1 1", "apply s4 1", "apply s5 1", "apply s6 1"]);
}

#[test]
fn a_slot_is_given_back_when_a_person_is_asked_about_an_attempt() {
    let mut plan = plan(vec![action("a", Effect::Opaque), action("b", Effect::Opaque)]);
    plan.max_parallel = 1;
    let mut story = Story::of(plan);
    story.tell(started("a", 1)).crash().next_is(&["settle a 1"]);
    story.tell(crate::story::quiet("a", 1, None));
    let doubt = "a is in doubt: attempt 1 is in doubt (its end was not seen); an opaque effect cannot be probed: seen";
    story.decides(&[doubt, "apply b 1"]);
}

#[test]
fn gates_and_manual_steps_take_no_slot() {
    let mut plan = plan(vec![manual("m"), action("a", Effect::Read)]);
    plan.max_parallel = 1;
    let mut story = Story::of(plan);
    story.next_is(&["ask m", "apply a 1"]);
    story.tell(Event::ManualAsked { step: step_id("m"), instructions: String::new() }).next_is(&["apply a 1"]);
}

#[test]
fn a_condition_that_fails_before_the_effect_fails_the_step_and_one_that_cannot_be_told_is_looked_at_again() {
    let condition = Condition { name: "disk".to_owned(), holds: Holds::Expr(Expr { source: "true".into() }) };
    let step = action("a", Effect::Opaque).with(|step| step.before.push(condition));
    let seen = |holds| vec![ConditionSeen { name: "disk".to_owned(), holds, seen: "df".to_owned() }];
    let mut story = Story::of(plan(vec![step]));
    story.next_is(&["look a 1"]);
    story.tell(conditions("a", Phase::Before, None, seen(Holding::CannotTell)));
    story.next_is(&["wake in 2 s", "held up by Time"]);
    story.wait(2).next_is(&["look a 1"]);
    story.tell(conditions("a", Phase::Before, None, seen(Holding::Fails)));
    story.decides(&["a failed: `before` does not hold: disk: df", "held up by Person"]);
}

#[test]
fn a_condition_that_holds_lets_the_step_be_applied() {
    let condition = Condition { name: "disk".to_owned(), holds: Holds::Expr(Expr { source: "true".into() }) };
    let step = action("a", Effect::Opaque).with(|step| step.before.push(condition));
    let seen = vec![ConditionSeen { name: "disk".to_owned(), holds: Holding::Holds, seen: String::new() }];
    let mut story = Story::of(plan(vec![step]));
    story.tell(conditions("a", Phase::Before, None, seen)).next_is(&["apply a 1"]);
}

#[test]
fn an_after_condition_that_fails_fails_the_step_although_it_was_applied() {
    let condition = Condition { name: "sync".to_owned(), holds: Holds::Expr(Expr { source: "true".into() }) };
    let step = action("a", Effect::Opaque).with(|step| step.after.push(condition));
    let seen = vec![ConditionSeen { name: "sync".to_owned(), holds: Holding::Fails, seen: "lag".to_owned() }];
    let mut story = Story::of(plan(vec![step]));
    story.tell(started("a", 1)).tell(ended("a", 1, applied())).next_is(&["verify a 1"]);
    story.tell(conditions("a", Phase::Verify, None, seen));
    story.decides(&["a failed: it was applied, but `after` does not hold: sync: lag", "held up by Person"]);
}

#[test]
fn when_false_makes_a_step_not_applicable_and_satisfies_those_that_need_it() {
    let no = action("a", Effect::Ensure).with(|step| step.when = Some(Expr { source: "false".into() }));
    let mut story = Story::of(plan(vec![no, checkpoint("c").needs(&[0])]));
    story.decides(&["a is not applicable", "c is reached", "finished: Done"]);
}

#[test]
fn when_without_a_value_fails_the_step() {
    let broken = action("a", Effect::Ensure).with(|step| step.when = Some(Expr { source: "nothing".into() }));
    let mut story = Story::of(plan(vec![broken]));
    story.decides(&[&failed_when(&story), "held up by Person"]);
}

fn failed_when(story: &Story) -> String {
    let next = story.scheduler.next(crate::story::at(0), &relevo::run::command::Hand::default());
    match &next.commands[..] {
        [relevo::run::command::Command::Record(Event::StepFailed { step, reason })] => {
            assert!(reason.starts_with("`when` has no value: "), "{reason}");
            format!("{step} failed: {reason}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_step_waits_for_its_time() {
    let late = action("a", Effect::Read).with(|step| step.not_before = Some(crate::story::at(60)));
    let mut story = Story::of(plan(vec![late]));
    story.next_is(&["wake in 60 s", "held up by Time"]);
    story.wait(60).next_is(&["apply a 1"]);
}

#[test]
fn until_starts_only_what_the_checkpoint_needs_and_ends_there() {
    let steps = vec![
        action("a", Effect::Read),
        action("b", Effect::Read),
        checkpoint("c").needs(&[0]),
        action("d", Effect::Read).needs(&[2]),
    ];
    let choices = Choices { until: Some(step_id("c")), ..Choices::default() };
    let mut story = Story::with(plan(steps), choices);
    story.next_is(&["apply a 1"]);
    story.tell(started("a", 1)).tell(ended("a", 1, applied()));
    story.decides(&["a is verified: Applied", "c is reached", "finished: Until"]);
    story.crash().next_is(&["apply b 1", "apply d 1"]);
}

#[test]
fn what_is_excluded_is_skipped_and_recorded_before_anything_starts() {
    let on = |host: &str| serde_json::json!({ "host": host });
    let steps = vec![
        action("a", Effect::Read).acting(|action| action.call.with = on("gc01")),
        action("b", Effect::Read).acting(|action| action.call.with = on("gc02")),
    ];
    let choices = Choices { exclude: vec!["gc02".to_owned()], ..Choices::default() };
    let mut story = Story::with(plan(steps), choices);
    story.decides(&["b is skipped: excluded: gc02", "apply a 1"]);
    story.crash().next_is(&["apply a 1"]);
}

#[test]
fn a_look_made_by_an_earlier_process_is_made_again() {
    let mut story = Story::of(plan(vec![action("a", Effect::Ensure)]));
    story.tell(looked("a", 1, Verdict::NotDone)).next_is(&["apply a 1"]);
    story.crash().next_is(&["look a 1"]);
}

#[test]
fn a_look_older_than_a_minute_is_made_again_before_the_attempt() {
    let mut story = Story::of(plan(vec![action("a", Effect::Ensure)]));
    story.tell(looked("a", 1, Verdict::NotDone)).wait(60).next_is(&["apply a 1"]);
    story.wait(1).next_is(&["look a 1"]);
}
