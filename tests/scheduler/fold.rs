//! The fold is total: no sequence of events makes it, or the scheduler, panic; and what the scheduler decides can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use relevo::plan::action::Effect;
use relevo::plan::{OnFailure, Verdict};
use relevo::run::command::{Command, Hand};
use relevo::run::event::{Choices, Decision, Event, How, Identity, Outcome, Outputs, Person, Phase, Record};
use relevo::run::questions::questions;
use relevo::run::scheduler::Scheduler;
use relevo::run::state::{RunState, StepState};

use crate::story::{at, lock, person, run_started, step_id};
use crate::support::{StepExt, action, checkpoint, gate, limit, manual, plan};

const STEPS: [&str; 7] = ["a", "b", "c", "d", "g", "m", "p"];

fn a_plan() -> relevo::plan::Plan {
    let steps = vec![
        action("a", Effect::Ensure).with(|step| step.retry.attempts = 3),
        action("b", Effect::Once).limited(&[0]),
        action("c", Effect::Opaque).needs(&[0]).limited(&[0]).with(|step| step.on_failure = OnFailure::Continue),
        action("d", Effect::Cas).needs(&[1]).acting(|action| action.destructive = true),
        gate("g").needs(&[0]),
        manual("m"),
        checkpoint("p").needs(&[2, 4]),
    ];
    let mut plan = plan(steps);
    plan.limits = vec![limit("one", 1)];
    plan
}

fn verdict() -> impl Strategy<Value = Option<Verdict>> {
    prop_oneof![
        Just(None),
        Just(Some(Verdict::Done)),
        Just(Some(Verdict::NotDone)),
        Just(Some(Verdict::Partial)),
        Just(Some(Verdict::Conflict)),
        Just(Some(Verdict::Unknown)),
    ]
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![Just(Phase::Before), Just(Phase::Doubt), Just(Phase::Verify), Just(Phase::Manual), Just(Phase::AtWill)]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let reason = || "no".to_owned();
    prop_oneof![
        Just(Outcome::Applied { outputs: Outputs::new() }),
        any::<bool>().prop_map(move |untouched| Outcome::Rejected { reason: reason(), untouched }),
        Just(Outcome::NotSent { reason: reason() }),
        Just(Outcome::Unknown { reason: reason() }),
        Just(Outcome::Abandoned { reason: reason() }),
    ]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![Just(How::Applied), Just(How::Adopted), Just(How::Decided), Just(How::Unverified), Just(How::Described)]
}

fn decision() -> impl Strategy<Value = Decision> {
    prop_oneof![
        Just(Decision::Done),
        Just(Decision::NotDone),
        Just(Decision::Retry),
        Just(Decision::Skip),
        Just(Decision::Stop),
        Just(Decision::Rollback),
    ]
}

/// Any event about any step, sensible or not.
fn event() -> impl Strategy<Value = Event> {
    let step = || proptest::sample::select(&STEPS[..]).prop_map(step_id);
    let by = || any::<bool>().prop_map(|claimed| Person { name: "bob".to_owned(), claimed });
    let reason = || "because".to_owned();
    let about_steps = prop_oneof![
        8 => (step(), 0_u32..4, phase(), verdict(), any::<bool>(), any::<bool>()).prop_map(
            move |(step, attempt, phase, verdict, quiesced, running)| Event::ProbeFinished {
                step, attempt, phase, verdict, seen: String::new(), conditions: Vec::new(), quiesced, time_is_over: false, running, outputs: Outputs::new(),
            }
        ),
        6 => (step(), 1_u32..4)
            .prop_map(|(step, attempt)| Event::AttemptStarted { step, attempt, identity: Identity::new(), before_image: None, handle: None, call: None }),
        6 => (step(), 1_u32..4, outcome()).prop_map(|(step, attempt, outcome)| Event::AttemptFinished { step, attempt, outcome }),
        2 => (step(), how()).prop_map(|(step, how)| Event::StepVerified { step, how, outputs: Outputs::new() }),
        1 => step().prop_map(move |step| Event::StepFailed { step, reason: reason() }),
        1 => step().prop_map(move |step| Event::StepInDoubt { step, reason: reason() }),
        1 => (step(), by()).prop_map(move |(step, by)| Event::StepSkipped { step, by, reason: reason() }),
        1 => step().prop_map(|step| Event::StepNotApplicable { step }),
        2 => (step(), 1_u32..4).prop_map(move |(step, attempt)| Event::RetryScheduled { step, attempt, at: at(5), reason: reason() }),
        2 => step().prop_map(|step| Event::GateAsked {
            step, ask: String::new(), behind: Vec::new(), binding: String::new(), nonce: String::new(), rules: String::new(),
            matter: BTreeMap::new(), because: None, expires: Some(at(50)),
        }),
        2 => (step(), by(), any::<bool>()).prop_map(move |(step, by, go)| Event::VoteCast {
            step, by, go, reason: reason(), binding: String::new(), nonce: String::new(), not_counted: None,
        }),
        1 => step().prop_map(|step| Event::GateOpened { step }),
        2 => step().prop_map(move |step| Event::GoLapsed { step, reason: reason() }),
        1 => step().prop_map(|step| Event::IdentityPinned { step, identity: Identity::from([("id".to_owned(), "1".to_owned())]) }),
        1 => (step(), by()).prop_map(move |(step, by)| Event::GateRefused { step, by, reason: reason() }),
        1 => step().prop_map(|step| Event::GateExpired { step }),
        1 => step().prop_map(|step| Event::ManualAsked { step, instructions: String::new() }),
        2 => (step(), by(), any::<bool>()).prop_map(move |(step, by, done)| Event::ManualAnswered {
            step, by, done, reason: reason(), evidence: Outputs::new(),
        }),
        1 => step().prop_map(|step| Event::CheckpointReached { step }),
        3 => (proptest::option::of(step()), decision(), by())
            .prop_map(move |(step, decision, by)| Event::Decided { step, decision, by, reason: reason() }),
    ];
    let about_runs = prop_oneof![
        Just(Event::RunResumed { by: person("ada"), choices: Choices::default() }),
        Just(Event::RunResumed {
            by: person("ada"),
            choices: Choices { until: Some(step_id("p")), exclude: vec!["nobody".to_owned()], ..Choices::default() },
        }),
        Just(lock()),
        Just(Event::RunPaused { by: person("bob"), reason: String::new() }),
        Just(Event::RunContinued { by: person("bob") }),
        Just(run_started(Choices::default())),
        Just(Event::ClockJumped { millis: -5 }),
        Just(Event::SemanticsRaised { from: 1, to: 2, version: String::new() }),
        Just(Event::WindowClosed { overrun: false }),
        Just(Event::WindowExtended { until: Some(at(70)), checkpoint: None, by: person("bob"), reason: String::new() }),
        Just(Event::OldHostOff { by: person("bob"), reason: String::new() }),
    ];
    prop_oneof![12 => about_steps, 1 => about_runs]
}

/// What is stored for quick access says the same as the states.
fn agrees(state: &RunState) {
    for (n, step) in state.steps.iter().enumerate() {
        let ix = relevo::plan::StepIx(u32::try_from(n).expect("small"));
        let ready = state.plan.step(ix).needs.iter().all(|need| state.is_through(*need));
        assert_eq!(state.is_ready(ix), ready);
        assert_eq!(state.is_through(ix), state.is_satisfied(ix) && ready);
        assert_eq!(state.failed.contains(&ix), matches!(step, StepState::Failed { .. }));
        assert_eq!(state.doubtful.contains(&ix), matches!(step, StepState::InDoubt { .. }));
    }
    let through = (0..).map(relevo::plan::StepIx).take(state.steps.len()).filter(|ix| state.is_through(*ix));
    assert_eq!(state.satisfied, through.count());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_makes_the_fold_or_the_scheduler_panic(
        events in proptest::collection::vec((event(), 0_i64..4, any::<bool>()), 1..60)
    ) {
        let mut scheduler = Scheduler::new(Arc::new(a_plan()));
        let mut now = 0;
        let mut accepted = Vec::new();
        let mut tell = |scheduler: &mut Scheduler, event: Event, now: i64| {
            let record = Record { seq: scheduler.state().seq + 1, epoch: 1, prev: String::new(), at: at(now), letter: None, event };
            let mut after = scheduler.clone();
            let result = after.apply(&record);
            if result.is_ok() {
                *scheduler = after;
                accepted.push(record);
            }
            result
        };
        tell(&mut scheduler, run_started(Choices::default()), 0).expect("the first");
        for (event, passes, follow) in events {
            now += passes;
            // What cannot be is refused, and nothing else follows from it.
            let _ = tell(&mut scheduler, event, now);
            agrees(scheduler.state());
            let _ = questions(scheduler.state());
            let next = scheduler.next(at(now), &Hand::default());
            if follow {
                for command in next.commands {
                    if let Command::Record(event) = command {
                        let shown = format!("{event:?}");
                        let result = tell(&mut scheduler, event, now);
                        prop_assert!(result.is_ok(), "{shown}: {result:?}");
                    }
                }
            }
        }
        // The same records from scratch give the same state.
        let mut again = Scheduler::new(Arc::new(a_plan()));
        for record in &accepted {
            again.apply(record).expect("was accepted before");
        }
        prop_assert_eq!(&again.state().steps, &scheduler.state().steps);
        prop_assert_eq!(&again.state().facts, &scheduler.state().facts);
    }
}
