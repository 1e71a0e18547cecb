//! What keeps new steps from starting: pause, stop, window. What has begun is brought to its end all the same.

use relevo::plan::action::Effect;
use relevo::plan::{Verdict, Window};
use relevo::run::event::{Choices, Decision, Event};

use crate::story::{Story, applied, at, decided, ended, looked, person, shown, started};
use crate::support::{StepExt, action, plan};

fn pause() -> Event {
    Event::RunPaused { by: person("bob"), reason: "coffee".to_owned() }
}

fn stop() -> Event {
    Event::Decided { step: None, decision: Decision::Stop, by: person("bob"), reason: "enough".to_owned() }
}

#[test]
fn a_pause_starts_nothing_and_brings_to_an_end_what_has_begun() {
    let steps = vec![action("a", Effect::Ensure), action("b", Effect::Ensure), action("c", Effect::Read).needs(&[0])];
    let mut story = Story::of(plan(steps));
    story.tell(looked("a", 1, Verdict::NotDone)).tell(started("a", 1)).tell(looked("b", 1, Verdict::NotDone)).tell(pause());
    story.tell(ended("a", 1, applied())).next_is(&["verify a 1"]);
    // `b` was looked at; its attempt waits as well.
    story.tell(shown("a", 1, Verdict::Done)).decides(&["a is verified: Applied", "held up by Paused"]);
    story.tell(Event::RunContinued { by: person("bob") }).next_is(&["look b 1", "apply c 1"]);
}

#[test]
fn a_stop_ends_the_run_after_what_is_in_flight_and_a_resume_lifts_it() {
    let mut story = Story::of(plan(vec![action("a", Effect::Opaque), action("b", Effect::Read)]));
    story.tell(started("a", 1)).holds("a").tell(stop()).next_is(&[]);
    story.tell(ended("a", 1, applied())).lets_go("a");
    story.decides(&["a is verified: Unverified", "finished: Stopped"]);
    story.crash().next_is(&["apply b 1"]);
}

#[test]
fn a_stop_decided_at_a_step_stops_the_run() {
    let mut story = Story::of(plan(vec![action("a", Effect::Opaque), action("b", Effect::Read)]));
    story.tell(started("a", 1)).tell(ended("a", 1, crate::story::rejected(true))).decides(&["a failed: no", "held up by Person"]);
    story.tell(decided("a", Decision::Stop)).decides(&["finished: Stopped"]);
}

#[test]
fn i5_nothing_starts_before_the_window_opens_or_after_it_closes() {
    let mut plan = plan(vec![action("a", Effect::Ensure)]);
    plan.window = Some(Window { timezone: "UTC".to_owned(), opens: at(60), closes: at(120), back_out_by: None });
    let mut story = Story::of(plan.clone());
    story.next_is(&["wake in 60 s", "held up by Window"]);
    story.wait(60).next_is(&["look a 1"]);
    story.wait(60).decides(&["the window is shut (overrun: false)", "held up by Window"]);
    story.resume(Choices { window_override: Some("it has to be".to_owned()), ..Choices::default() });
    story.next_is(&["look a 1"]);
}

#[test]
fn f82_i5_an_attempt_that_was_looked_at_is_not_made_when_the_window_has_closed_meanwhile() {
    let mut plan = plan(vec![action("a", Effect::Ensure), action("b", Effect::Ensure)]);
    plan.window = Some(Window { timezone: "UTC".to_owned(), opens: at(0), closes: at(120), back_out_by: None });
    let mut story = Story::of(plan);
    story.tell(looked("a", 1, Verdict::NotDone)).tell(started("a", 1)).wait(100).tell(looked("b", 1, Verdict::NotDone));
    story.wait(20).tell(ended("a", 1, applied()));
    story.tell(shown("a", 1, Verdict::Done)).decides(&[
        "a is verified: Applied",
        "the window is shut (overrun: false)",
        "held up by Window",
    ]);
}
