//! After a salvage: what is proven stands, and everything else waits for a person's word.

use relevo::plan::action::Effect;
use relevo::plan::{Plan, Verdict};
use relevo::run::event::{Choices, Decision, Ending, Event};
use relevo::run::state::StepState;

use crate::story::{Story, applied, asked, decided, ended, looked, person, shown, started, step_id, verified, vote};
use crate::support::{StepExt, action, gate, plan};

/// `a` before a gate, `b` behind it, another gate, `c` behind that.
fn two_gates() -> Plan {
    plan(vec![
        action("a", Effect::Ensure).acting(|action| action.probed = true),
        gate("g").needs(&[0]),
        action("b", Effect::Ensure).acting(|action| action.probed = true).needs(&[1]),
        gate("h").needs(&[2]),
        action("c", Effect::Ensure).acting(|action| action.probed = true).needs(&[3]),
    ])
}

fn salvaged(records: u64, watermark: Option<u64>) -> Event {
    Event::Salvaged { from: "old".to_owned(), records, watermark, by: person("ada") }
}

fn does(story: &mut Story, step: &str) {
    story.tell(looked(step, 1, Verdict::NotDone)).tell(started(step, 1)).tell(ended(step, 1, applied()));
    story.tell(shown(step, 1, Verdict::Done)).tell(verified(step));
}

fn opens(story: &mut Story, gate: &str) {
    story.tell(asked(gate, None)).tell(vote(gate, "bob", true)).tell(Event::GateOpened { step: step_id(gate) });
}

fn reason(story: &Story, step: &str) -> String {
    match story.step(step) {
        StepState::InDoubt { reason, .. } => reason.clone(),
        other => panic!("`{step}` is {}", other.word()),
    }
}

#[test]
fn every_action_that_is_not_proven_is_in_doubt_and_no_look_settles_it() {
    let mut story = Story::of(two_gates());
    does(&mut story, "a");
    opens(&mut story, "g");
    story.tell(looked("b", 1, Verdict::NotDone)).tell(started("b", 1));
    story.tell(salvaged(12, Some(12)));
    assert_eq!(["a", "b", "c"].map(|step| story.word(step)), ["done", "in doubt", "in doubt"]);
    assert!(reason(&story, "b").contains("what became of attempt 1"), "{}", reason(&story, "b"));
    assert!(reason(&story, "c").contains("whether it was begun after that cannot be told"), "{}", reason(&story, "c"));
    // The gate has something behind it that is not done: it is asked anew, and nothing else happens, resumed or not.
    story.next_is(&["ask g"]);
    story.crash().next_is(&["ask g"]);
    story.tell(asked("g", None)).next_is(&["held up by Doubt"]);
    story.crash().next_is(&["held up by Doubt"]);
}

#[test]
fn an_open_gate_with_nothing_left_up_to_the_next_gates_stays_open() {
    let mut story = Story::of(two_gates());
    does(&mut story, "a");
    opens(&mut story, "g");
    does(&mut story, "b");
    opens(&mut story, "h");
    story.tell(salvaged(20, None));
    assert_eq!(["g", "b", "h", "c"].map(|step| story.word(step)), ["done", "done", "pending", "in doubt"]);
    story.next_is(&["ask h"]);
}

#[test]
fn after_a_persons_word_a_step_is_looked_at_and_its_next_attempt_is_counted_on() {
    let mut story = Story::of(two_gates());
    does(&mut story, "a");
    opens(&mut story, "g");
    story.tell(looked("b", 1, Verdict::NotDone)).tell(started("b", 1));
    story.tell(salvaged(12, None));
    story.tell(decided("b", Decision::NotDone)).tell(decided("c", Decision::Retry));
    opens(&mut story, "g");
    story.next_is(&["look b 2"]);
    story.tell(looked("b", 2, Verdict::NotDone)).next_is(&["apply b 2"]);
    // From here on it is a step like any other: an attempt that is cut off is settled by looks.
    story.tell(started("b", 2)).crash().next_is(&["settle b 2"]);
}

#[test]
fn a_step_may_be_taken_as_done_on_a_persons_word_before_what_it_needs_is() {
    let mut story = Story::of(two_gates());
    story.tell(looked("a", 1, Verdict::Done)).tell(salvaged(3, None));
    story.tell(decided("c", Decision::Done)).decides(&["c is verified: Decided", "held up by Doubt"]);
    story.tell(decided("a", Decision::Done)).decides(&["a is verified: Decided", "ask g"]);
}

#[test]
fn what_was_excluded_is_skipped_and_an_end_is_void() {
    let exclude = Choices { exclude: vec!["srv1".to_owned()], ..Choices::default() };
    let each = action("b[srv1]", Effect::Ensure).acting(|action| action.probed = true).needs(&[0]);
    let each = each.with(|step| step.item = Some(("server".into(), serde_json::json!("srv1"))));
    let mut story = Story::with(plan(vec![action("a", Effect::Ensure).acting(|action| action.probed = true), each]), exclude);
    story.tell(Event::RunFinished { ending: Ending::Stopped }).tell(salvaged(3, None));
    assert_eq!(story.word("a"), "in doubt");
    story.decides(&["b[srv1] is skipped: excluded: srv1", "held up by Doubt"]);
}
