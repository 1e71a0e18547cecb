//! The real driver over a connector that does what a test says: what the loop itself has to keep.

mod clocks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use relevo::error::Exit;
use relevo::plan::action::Effect;
use relevo::plan::{OnFailure, Plan, Verdict, Window};
use relevo::run::calls::Desk;
use relevo::run::connector::{Call, Connector, Description, Evidence, Finding, Look, Observation, Quiescence};
use relevo::run::driver::{Driver, End, Observer, Parts, Registry, Request};
use relevo::run::event::{Choices, Event, EvidenceRef, Outcome, Outputs, Record};
use relevo::run::journal::{Journal, JournalError};
use relevo::run::letters::{NoLetters, Sender};
use relevo::run::order::Order;
use relevo::run::people::Later;
use relevo::run::scheduler::Scheduler;
use relevo::run::state::RunState;
use relevo::time::{Clock, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep};

use crate::story::{at, lock, person, run_started};
use crate::support::{StepExt, action, gate, plan};

/// What the test decides.
#[derive(Clone, Default)]
struct Systems {
    /// How long a before-image takes, in seconds.
    image: u64,
    /// How long an attempt takes, in seconds.
    apply: u64,
    /// What an attempt answers; applied if nothing is said.
    outcomes: BTreeMap<String, Outcome>,
    /// What the system kept of an attempt's end.
    ended: Option<Outcome>,
    /// The wall clock jumps after so many seconds by so many.
    jump: Option<(u64, i64)>,
    /// What step `a` was bound to before anything started.
    pinned: Option<&'static str>,
    /// The object that a look finds.
    object: Option<&'static str>,
    /// What was done.
    done: Arc<Mutex<Vec<String>>>,
    /// The calls of attempts.
    calls: Arc<Mutex<Vec<Call>>>,
}

#[async_trait]
impl Look for Systems {
    async fn preflight(&self, _call: &Call) -> Vec<Finding> {
        Vec::new()
    }

    async fn describe(&self, _call: &Call) -> Description {
        Description { lines: Vec::new(), rehearsable: true, outputs: Outputs::new() }
    }

    async fn probe(&self, call: &Call) -> Observation {
        let done = self.done.lock().expect("one thread").iter().any(|line| line == call.step.as_str());
        let identity = self.object.map(|object| ("object".to_owned(), object.to_owned())).into_iter().collect();
        Observation { verdict: if done { Verdict::Done } else { Verdict::NotDone }, identity, ..Observation::unknown("looked") }
    }

    async fn quiesce(&self, _call: &Call) -> Quiescence {
        Quiescence::Quiet { seen: "gone".to_owned(), ended: self.ended.clone().map(Box::new) }
    }

    fn has_probe(&self, _uses: &str) -> bool {
        true
    }

    fn by_hand(&self, _call: &Call) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl Connector for Systems {
    async fn before_image(&self, _call: &Call, _evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        sleep(Duration::from_secs(self.image)).await;
        Ok(self.object.map(|object| EvidenceRef { sha256: object.to_owned(), bytes: 1, kind: "before-image".to_owned() }))
    }

    async fn apply(&self, call: &Call) -> Outcome {
        self.calls.lock().expect("one thread").push(call.clone());
        if self.apply > 0 {
            sleep(Duration::from_secs(self.apply)).await;
        }
        if let Some(outcome) = self.outcomes.get(call.step.as_str()) {
            return outcome.clone();
        }
        self.done.lock().expect("one thread").push(call.step.to_string());
        Outcome::Applied { outputs: Outputs::new() }
    }

    async fn undo(&self, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::NotSent { reason: String::new() }
    }
}

/// Somebody who may write the run's files.
fn holder(name: &str) -> Sender {
    Sender { person: person(name), holds: true }
}

struct One(Arc<dyn Connector>);

impl Registry for One {
    fn connector(&self, _uses: &str) -> Option<Arc<dyn Connector>> {
        Some(Arc::clone(&self.0))
    }
}

struct Memory(Arc<Mutex<Vec<Record>>>);

impl Journal for Memory {
    fn append(&mut self, at: Timestamp, letter: Option<&str>, event: &Event) -> Result<Record, JournalError> {
        let mut records = self.0.lock().expect("one thread");
        let record = Record {
            seq: records.len() as u64 + 1,
            epoch: 1,
            prev: String::new(),
            at,
            letter: letter.map(str::to_owned),
            event: event.clone(),
        };
        assert!(records.len() < 200_000, "the driver turns in circles");
        records.push(record.clone());
        Ok(record)
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        Ok(())
    }

    fn publish(&mut self) -> Result<(), JournalError> {
        Ok(())
    }
}

struct Nothing;

impl Evidence for Nothing {
    fn store(&self, kind: &str, bytes: &[u8]) -> std::io::Result<EvidenceRef> {
        Ok(EvidenceRef { sha256: String::new(), bytes: bytes.len() as u64, kind: kind.to_owned() })
    }
}

impl Observer for Nothing {
    fn recorded(&mut self, _records: &[Record], _state: &RunState) {}
    fn idle(&mut self, _state: &RunState) -> Option<std::time::Duration> {
        None
    }
    fn say(&mut self, _line: &str) {}
}

/// The time, and from which second on the wall clock is off by how many seconds.
struct Virtual(Instant, Option<(u64, i64)>);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        let off = self.1.filter(|(from, _)| self.0.elapsed().as_secs() >= *from).map_or(0, |(_, secs)| secs * 1000);
        Timestamp::from_millis(at(0).as_millis() + off + i64::try_from(self.0.elapsed().as_millis()).expect("days"))
    }

    fn boot_millis(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).expect("days")
    }
}

/// Runs a plan; `requests` come after so many seconds.
fn run(plan: Plan, systems: Systems, wait: bool, requests: Vec<(u64, Request)>) -> (End, Vec<Event>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let records = Arc::new(Mutex::new(Vec::new()));
    let end = runtime.block_on(async {
        let (sender, inbox) = mpsc::channel(8);
        let clock = Virtual(Instant::now(), systems.jump);
        let first = systems.pinned.iter().map(|object| Event::IdentityPinned {
            step: crate::story::step_id("a"),
            identity: BTreeMap::from([("object".to_owned(), (*object).to_owned())]),
        });
        let opening = [run_started(Choices::default()), lock()].into_iter().chain(first).collect();
        let mut driver = Driver::new(Parts {
            scheduler: Scheduler::new(Arc::new(plan)),
            journal: Box::new(Memory(Arc::clone(&records))),
            registry: Arc::new(One(Arc::new(systems))),
            desk: Desk {
                run: Arc::from("run"),
                folder: Arc::from(Path::new("/")),
                scratch: PathBuf::from("/scratch"),
                evidence: PathBuf::from("/evidence"),
            },
            evidence: Arc::new(Nothing),
            clock: Arc::new(clock),
            people: Box::new(Later { wait }),
            observer: Box::new(Nothing),
            requests: inbox,
            letters: Box::new(NoLetters),
        });
        driver.open_with(opening, None).expect("in memory");
        let posting = async {
            for (after, request) in requests {
                sleep(Duration::from_secs(after)).await;
                let _ = sender.send(request).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = driver.run() => end,
            () = posting => unreachable!("it never ends"),
            () = sleep(Duration::from_hours(40 * 24)) => panic!("the run does not end"),
        }
    });
    let events = records.lock().expect("one thread").iter().map(|record| record.event.clone()).collect();
    (end, events)
}

fn intents(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::AttemptStarted { step, attempt, .. } => Some(format!("{step} {attempt}")),
            _ => None,
        })
        .collect()
}

#[test]
fn a_pause_while_the_before_image_is_stored_keeps_the_destruction_from_starting() {
    let destroys = action("a", Effect::Cas).acting(|action| action.destructive = true);
    for (request, exit) in [
        (Request::Interrupt, Exit::Interrupted),
        (Request::Order(Order::Abort { reason: "enough".to_owned() }, holder("bob"), None), Exit::Failed),
    ] {
        let systems = Systems { image: 300, ..Systems::default() };
        let (end, events) = run(plan(vec![destroys.clone()]), systems, true, vec![(10, request)]);
        assert_eq!((end.exit, intents(&events)), (exit, Vec::new()));
    }
}

#[test]
fn a_before_image_that_takes_long_is_followed_by_another_look_and_not_by_another_image() {
    let destroys = action("a", Effect::Cas).acting(|action| action.destructive = true);
    let systems = Systems { image: 300, ..Systems::default() };
    let (end, events) = run(plan(vec![destroys]), systems, true, Vec::new());
    let looks = events
        .iter()
        .filter(|event| matches!(event, Event::ProbeFinished { phase, .. } if *phase == relevo::run::event::Phase::Before))
        .count();
    assert_eq!((end.exit, looks, intents(&events)), (Exit::Done, 2, vec!["a 1".to_owned()]));
}

fn with_window(steps: Vec<relevo::plan::Step>, closes: i64) -> Plan {
    let mut plan = plan(steps);
    plan.window = Some(Window { timezone: "UTC".to_owned(), opens: at(-60), closes: at(closes), back_out_by: None });
    plan
}

#[test]
fn f82_a_window_that_is_shut_starts_nothing_and_is_left_where_nobody_can_be_asked() {
    let (end, events) = run(with_window(vec![action("a", Effect::Read)], -30), Systems::default(), false, Vec::new());
    assert_eq!((end.exit, intents(&events)), (Exit::WindowShut, Vec::new()));
}

#[test]
fn f82_a_window_that_shuts_asks_in_place_and_steps_start_again_once_it_is_extended() {
    let until = Order::Extend { until: Some(at(9_000)), checkpoint: None, reason: "nearly there".to_owned(), emergency: false };
    let request = Request::Order(until, holder("bob"), None);
    let (end, events) = run(with_window(vec![action("a", Effect::Read)], -30), Systems::default(), true, vec![(600, request)]);
    assert!(events.iter().any(|event| matches!(event, Event::WindowClosed { overrun: false })), "{events:#?}");
    assert_eq!((end.exit, intents(&events)), (Exit::Done, vec!["a 1".to_owned()]));
}

#[test]
fn a_window_holds_nothing_once_the_point_of_no_return_has_started() {
    let gone = action("a", Effect::Ensure).with(|step| step.point_of_no_return = true);
    let steps = vec![gone, action("b", Effect::Ensure).needs(&[0])];
    let systems = Systems { apply: 600, ..Systems::default() };
    let (end, events) = run(with_window(steps, 60), systems, false, Vec::new());
    assert!(events.iter().any(|event| matches!(event, Event::WindowClosed { overrun: true })), "{events:#?}");
    assert_eq!((end.exit, intents(&events)), (Exit::Done, vec!["a 1".to_owned(), "b 1".to_owned()]));
}

#[test]
fn f79_f80_a_clock_that_jumps_pauses_a_run_in_which_a_step_waits_for_its_time() {
    let steps = vec![action("a", Effect::Opaque), action("b", Effect::Opaque).with(|step| step.not_before = Some(at(3600)))];
    let systems = Systems { apply: 60, jump: Some((30, 7200)), ..Systems::default() };
    let stop = Request::Order(Order::Abort { reason: "wrong clock".to_owned() }, holder("bob"), None);
    let (end, events) = run(plan(steps), systems, true, vec![(600, stop)]);
    assert!(events.iter().any(|event| matches!(event, Event::RunPaused { .. })));
    assert_eq!((end.exit, intents(&events)), (Exit::Failed, vec!["a 1".to_owned()]));
}

#[test]
fn a_kept_end_that_tells_nothing_does_not_turn_in_circles() {
    let unknown = Outcome::Unknown { reason: "no answer".to_owned() };
    let systems =
        Systems { outcomes: BTreeMap::from([("a".to_owned(), unknown.clone())]), ended: Some(unknown), ..Systems::default() };
    let step = action("a", Effect::Once).acting(|action| action.destructive = true);
    let (end, events) = run(plan(vec![step]), systems, false, Vec::new());
    assert_eq!((end.exit, intents(&events)), (Exit::InDoubt, vec!["a 1".to_owned()]));
    assert!(events.len() < 12, "{events:#?}");
}

#[test]
fn a_no_go_is_refused_from_the_vote_itself() {
    let vote = Order::Vote { step: crate::story::step_id("g"), go: false, reason: "no".to_owned(), nonce: None, binding: None };
    let steps = vec![gate("g"), action("a", Effect::Read).needs(&[0])];
    let (end, events) = run(plan(steps), Systems::default(), true, vec![(5, Request::Order(vote, holder("bob"), None))]);
    let refusals = events.iter().filter(|event| matches!(event, Event::GateRefused { .. })).count();
    assert_eq!((end.exit, refusals, intents(&events)), (Exit::Failed, 1, Vec::new()));
}

#[test]
fn a_failure_that_stops_lets_others_end_and_starts_nothing() {
    let steps = vec![
        action("a", Effect::Opaque).with(|step| step.on_failure = OnFailure::Stop),
        action("b", Effect::Opaque),
        action("c", Effect::Opaque).needs(&[1]),
    ];
    let refused = Outcome::Rejected { reason: "no".to_owned(), untouched: true };
    let systems = Systems { apply: 5, outcomes: BTreeMap::from([("a".to_owned(), refused)]), ..Systems::default() };
    let (end, events) = run(plan(steps), systems, false, Vec::new());
    assert_eq!((end.exit, intents(&events)), (Exit::Failed, vec!["a 1".to_owned(), "b 1".to_owned()]));
}

/// The identities that were pinned, the intents' identities, and where the attempts found their before-images.
fn bound(systems: Systems) -> (Vec<String>, Vec<String>, Vec<String>) {
    let destroys = action("a", Effect::Cas).acting(|action| action.destructive = true);
    let calls = Arc::clone(&systems.calls);
    let (end, events) = run(plan(vec![destroys]), systems, true, Vec::new());
    assert_eq!(end.exit, Exit::Done);
    let object = |identity: &BTreeMap<String, String>| identity.get("object").cloned();
    let pins = events.iter().filter_map(|event| match event {
        Event::IdentityPinned { identity, .. } => object(identity),
        _ => None,
    });
    let intents = events.iter().filter_map(|event| match event {
        Event::AttemptStarted { identity, .. } => object(identity),
        _ => None,
    });
    let images = calls.lock().expect("one thread");
    let images = images.iter().filter_map(|call| Some(call.before_image.as_ref()?.path.display().to_string()));
    (pins.collect(), intents.collect(), images.collect())
}

#[test]
fn i4_a_step_that_is_bound_to_nothing_is_bound_to_what_its_first_look_finds() {
    let found = bound(Systems { object: Some("g1"), ..Systems::default() });
    assert_eq!(found, (vec!["g1".to_owned()], vec!["g1".to_owned()], vec!["/evidence/g1".to_owned()]));
}

#[test]
fn i4_a_step_that_is_bound_stays_bound_whatever_a_look_finds() {
    let found = bound(Systems { pinned: Some("g1"), object: Some("g2"), ..Systems::default() });
    assert_eq!(found, (vec!["g1".to_owned()], vec!["g1".to_owned()], vec!["/evidence/g2".to_owned()]));
}

#[test]
fn a_step_without_an_object_is_bound_to_nothing() {
    assert_eq!(bound(Systems::default()), (Vec::new(), Vec::new(), Vec::new()));
}
