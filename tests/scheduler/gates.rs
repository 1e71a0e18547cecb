//! Gates: quorum, who counts, expiry, no-go.

use relevo::plan::action::Effect;
use relevo::plan::{Gate, Step, StepIx, Work};
use relevo::run::decide;
use relevo::run::event::{Decision, Person};

use crate::story::{Story, asked, decided, person, vote};
use crate::support::{StepExt, action, gate, plan};

fn gated(change: impl FnOnce(&mut Gate)) -> Story {
    let ask: Step = gate("g").with(|step| {
        if let Work::Gate(gate) = &mut step.work {
            change(gate);
        }
    });
    Story::of(plan(vec![ask, action("a", Effect::Read).needs(&[0])]))
}

#[test]
fn a_gate_is_asked_once_and_nothing_behind_it_starts() {
    let mut story = gated(|_| {});
    story.next_is(&["ask g"]);
    story.tell(asked("g", None)).next_is(&["held up by Person"]);
}

#[test]
fn s34_a_gate_opens_when_enough_different_people_said_go() {
    let mut story = gated(|gate| gate.quorum = 2);
    story.tell(asked("g", None)).tell(vote("g", "bob", true)).tell(vote("g", "bob", true)).next_is(&["held up by Person"]);
    story.tell(vote("g", "cy", true)).decides(&["g opens", "apply a 1"]);
}

#[test]
fn votes_survive_a_crash() {
    let mut story = gated(|gate| gate.quorum = 2);
    story.tell(asked("g", None)).tell(vote("g", "bob", true)).crash().next_is(&["held up by Person"]);
    story.tell(vote("g", "cy", true)).decides(&["g opens", "apply a 1"]);
}

#[test]
fn a_vote_that_does_not_count_opens_nothing() {
    let mut story = gated(|_| {});
    let mut uncounted = vote("g", "eve", true);
    if let relevo::run::event::Event::VoteCast { not_counted, .. } = &mut uncounted {
        *not_counted = Some("no role".to_owned());
    }
    story.tell(asked("g", None)).tell(uncounted).next_is(&["held up by Person"]);
}

#[test]
fn s34_only_members_whose_account_is_known_and_who_did_not_start_the_run_count() {
    let story = gated(|gate| {
        gate.approvers = vec!["lead".to_owned()];
        gate.not_initiator = true;
    });
    let state = story.state();
    let Work::Gate(gate) = &state.plan.steps[0].work else { panic!("a gate") };
    assert_eq!(decide::vote_counts(state, StepIx(0), gate, &person("bob")), Ok(()));
    assert_eq!(
        decide::vote_counts(state, StepIx(0), gate, &person("eve")),
        Err("`eve` belongs to none of the roles lead".to_owned())
    );
    let typed = Person { name: "bob".to_owned(), claimed: true };
    assert!(decide::vote_counts(state, StepIx(0), gate, &typed).is_err());
    let mut open_to_all = gate.clone();
    open_to_all.approvers.clear();
    assert_eq!(
        decide::vote_counts(state, StepIx(0), &open_to_all, &person("ada")),
        Err("`ada` started the run, and the gate says not_initiator".to_owned())
    );
}

#[test]
fn s35_s59_expiry_is_never_a_yes_and_a_retry_asks_anew() {
    let mut story = gated(|_| {});
    story.tell(asked("g", Some(60))).next_is(&["wake in 60 s", "held up by Person"]);
    story.wait(60).decides(&["g has lapsed", "held up by Person"]);
    story.tell(vote("g", "bob", true)).next_is(&["held up by Person"]);
    story.tell(decided("g", Decision::Retry)).next_is(&["ask g"]);
}

#[test]
fn a_no_go_ends_the_run_and_nothing_behind_the_gate_starts() {
    let mut story = gated(|_| {});
    story.tell(asked("g", None)).tell(vote("g", "bob", false));
    story.decides(&["g is refused by bob", "finished: Failed"]);
    story.crash().next_is(&["held up by Person"]);
    story.tell(decided("g", Decision::Retry)).next_is(&["ask g"]);
}

#[test]
fn a_no_go_whose_refusal_a_crash_took_away_is_still_a_no_go() {
    let mut story = gated(|_| {});
    story.tell(asked("g", None)).tell(vote("g", "bob", false)).crash();
    story.tell(vote("g", "cy", true)).decides(&["g is refused by bob", "finished: Failed"]);
}

#[test]
fn s35_a_no_go_counts_for_its_question_and_not_for_the_next() {
    let mut story = gated(|_| {});
    story.tell(asked("g", None)).tell(vote("g", "bob", false));
    story.decides(&["g is refused by bob", "finished: Failed"]);
    story.crash().tell(decided("g", Decision::Retry)).tell(asked("g", None)).tell(vote("g", "cy", true));
    story.decides(&["g opens", "apply a 1"]);
}

#[test]
fn a_gate_is_never_skipped_nor_taken_as_done() {
    let mut story = gated(|_| {});
    story.tell(asked("g", None));
    for decision in [Decision::Skip, Decision::Done] {
        let why = "`g` is a gate: it is opened by `go` or refused by `no-go`, never skipped";
        assert_eq!(story.refuses(decided("g", decision)), why);
    }
}
