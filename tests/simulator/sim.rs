//! Everything that outlives a process: the world, the disk, the checker and the time. One lock, never held over a wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use relevo::plan::{Plan, StepId, Verdict};
use relevo::run::connector::{Call, Connector, Description, Evidence, Finding, Look, Observation, Quiescence};
use relevo::run::driver::{Observer, Registry};
use relevo::run::event::{Event, EvidenceRef, Outcome, Record};
use relevo::run::letters::{Answer, Letter, Letters};
use relevo::run::order::Order;
use relevo::run::questions::{Question, questions};
use relevo::run::state::{RunState, StepState};
use relevo::time::{Clock, Timestamp};
use serde_json::Map;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::checker::Checker;
use crate::disk::Disk;
use crate::plans::version;
use crate::prng::Rng;
use crate::sabotage::Sabotage;
use crate::world::{Acting, What, World, can_be_half};

/// The state of a schedule.
pub struct Sim {
    /// The schedule.
    pub seed: u64,
    /// The plan as the engine gets it first.
    pub first: Arc<Plan>,
    /// The plan as it really is.
    pub truth: Arc<Plan>,
    /// When this process began.
    pub base: i64,
    /// The same on the runtime's clock.
    pub origin: Option<Instant>,
    /// Things go wrong.
    pub faults: bool,
    /// The world.
    pub world: World,
    /// The disk.
    pub disk: Disk,
    /// The judge.
    pub checker: Checker,
    /// The machine's clock jumps after so long, by so many milliseconds, until somebody sets it right.
    pub jump: Option<(Duration, i64)>,
    /// The inbox: letters that lie there.
    pub inbox: Vec<Letter>,
    /// Every letter that was ever sent.
    pub sent: BTreeMap<String, Letter>,
    /// Amended plans, in the order of their records: the engine's, and as they really are.
    pub plans: Vec<(Arc<Plan>, Arc<Plan>)>,
    /// Counts looks, for their noise.
    pub looks: u64,
    /// What was seen of the rarer paths.
    pub seen: Seen,
}

/// How often the rarer paths were taken; a simulator that never takes them proves nothing about them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Processes that died.
    pub crashes: u64,
    /// Journals that failed.
    pub failures: u64,
    /// Sessions.
    pub sessions: u64,
    /// Effects that acted after the process that had sent them was gone, or had given up.
    pub late: u64,
    /// Effects.
    pub effects: u64,
    /// Records.
    pub records: u64,
    /// Answers of people.
    pub answers: u64,
    /// Letters that were taken up.
    pub letters: u64,
    /// Amendments.
    pub amendments: u64,
    /// Goes that lapsed.
    pub lapsed: u64,
    /// Runs that reached the end.
    pub done: u64,
}

impl Seen {
    /// Adds up.
    pub fn add(&mut self, other: Seen) {
        self.crashes += other.crashes;
        self.failures += other.failures;
        self.sessions += other.sessions;
        self.late += other.late;
        self.effects += other.effects;
        self.records += other.records;
        self.answers += other.answers;
        self.letters += other.letters;
        self.amendments += other.amendments;
        self.lapsed += other.lapsed;
        self.done += other.done;
    }
}

impl Sim {
    /// The instant of the world.
    pub fn now(&self) -> i64 {
        let elapsed = self.origin.map_or(Duration::ZERO, |origin| origin.elapsed());
        self.base + i64::try_from(elapsed.as_millis()).expect("days")
    }

    /// The process is gone: time is as it left it.
    pub fn stop_clock(&mut self) {
        self.base = self.now();
        self.origin = None;
    }

    /// The world as it is now.
    pub fn world_now(&mut self) -> &mut World {
        let now = self.now();
        self.world.advance(now);
        &mut self.world
    }

    /// A sync succeeded.
    pub fn make_durable(&mut self) {
        let now = self.now();
        self.world.advance(now);
        for record in std::mem::take(&mut self.disk.buffered) {
            self.is_durable(&record);
            self.disk.durable.push(record);
        }
    }

    /// One record has become durable: the judge is told, and what it makes true is true.
    pub fn is_durable(&mut self, record: &Record) {
        self.checker.durable(record, &self.world, &self.sent);
        match &record.event {
            Event::GoLapsed { .. } => self.seen.lapsed += 1,
            Event::PlanAmended { plan, .. } => {
                let at: usize = plan.parse().expect("amendments are numbered");
                let after = Arc::clone(&self.plans[at].1);
                for (step, changed) in after.steps.iter().enumerate() {
                    if let relevo::plan::Work::Action(action) = &changed.work
                        && version(&action.call.with) != self.world.things[step].version
                    {
                        self.world.amended(step, version(&action.call.with));
                    }
                }
                self.seen.amendments += 1;
                self.checker.amended(Arc::clone(&after));
                self.truth = after;
            }
            _ => {}
        }
    }

    fn noise(&mut self, percent: u64) -> bool {
        self.looks += 1;
        self.faults && Rng::of(self.seed, &[7, self.looks]).chance(percent)
    }
}

/// The clock of a process: the world's, unless it jumps.
pub struct SimClock {
    /// When the process began.
    pub base: i64,
    /// The same on the runtime's clock.
    pub origin: Instant,
    /// Says by how much it is off.
    pub sim: Arc<Mutex<Sim>>,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.origin.elapsed();
        let jump = self.sim.lock().expect("one thread").jump;
        let off = jump.filter(|(after, _)| elapsed >= *after).map_or(0, |(_, millis)| millis);
        Timestamp::from_millis(self.base + i64::try_from(elapsed.as_millis()).expect("days") + off)
    }

    fn boot_millis(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).expect("days")
    }
}

/// The systems, all of them.
pub struct SimConnector {
    /// The world.
    pub sim: Arc<Mutex<Sim>>,
    /// What is wrong with it.
    pub sabotage: Option<Sabotage>,
}

/// How much later: mostly soon, because waiting is what costs the simulator its time.
pub fn later(rng: &mut Rng) -> u64 {
    let most = rng.pick(&[5_000, 30_000, 60_000, 60_000, 300_000, 300_000, 300_000, 1_200_000, 1_200_000, 7_200_000]);
    rng.below(most)
}

/// What becomes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    AnswerLost,
    NeverArrives,
    Refused,
    FailsHalfWay,
    FailsAfterAll,
    NotSent,
    Late,
    HalfAndSilent,
    Hangs,
    /// The connector does not keep its own time limit.
    Overruns,
}

impl SimConnector {
    fn step(call: &Call) -> usize {
        call.step.as_str().trim_start_matches('s').parse().expect("steps are s0, s1, …")
    }

    /// The attempt's fate, how long it takes to act and to answer. Depends on the schedule, step and attempt alone.
    fn fate(sim: &Sim, step: usize, attempt: u32) -> (Fate, u64, u64) {
        let mut rng = Rng::of(sim.seed, &[1, step as u64, u64::from(attempt)]);
        let quick = rng.between(0, 20_000);
        let slow = rng.between(0, 15 * 60_000);
        let acts = if rng.chance(80) { quick } else { slow };
        let answers = acts + rng.pick(&[0, 0, 0, 5, 5_000]);
        let late = acts + later(&mut rng);
        if !sim.faults || attempt > 4 {
            return (Fate::Good, quick, quick);
        }
        match rng.below(100) {
            0..45 => (Fate::Good, acts, answers),
            45..55 => (Fate::AnswerLost, acts, answers),
            55..61 => (Fate::NeverArrives, acts, answers),
            61..68 => (Fate::Refused, acts, answers),
            68..73 => (Fate::FailsHalfWay, acts, acts),
            73..75 => (Fate::FailsAfterAll, acts, acts),
            75..82 => (Fate::NotSent, acts, acts),
            82..90 => (Fate::Late, late, acts),
            90..94 => (Fate::HalfAndSilent, acts, answers),
            94..96 => (Fate::Overruns, acts, late + 3_600_000),
            _ => (Fate::Hangs, late, late + 5),
        }
    }

    async fn pause(&self, use_for: u64, most: u64) {
        let millis = {
            let mut sim = self.sim.lock().expect("one thread");
            sim.looks += 1;
            Rng::of(sim.seed, &[use_for, sim.looks]).below(most)
        };
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

#[async_trait]
impl Look for SimConnector {
    async fn preflight(&self, _call: &Call) -> Vec<Finding> {
        Vec::new()
    }

    async fn describe(&self, call: &Call) -> Description {
        Description { lines: vec![format!("would do {}", call.step)], rehearsable: true, outputs: Map::new() }
    }

    async fn probe(&self, call: &Call) -> Observation {
        self.pause(2, 3_000).await;
        let mut sim = self.sim.lock().expect("one thread");
        let unknown = sim.noise(8);
        let step = Self::step(call);
        let version = version(&serde_json::Value::Object(call.with.clone()));
        let thing = &sim.world_now().things[step];
        let verdict = match (self.sabotage, call.uses.as_str()) {
            (Some(Sabotage::DoneWithoutEvidence), "sim") => Verdict::Done,
            _ if unknown => Verdict::Unknown,
            (_, "sim.condition") => Verdict::Done,
            _ if thing.foreign => Verdict::Conflict,
            _ if thing.present => Verdict::Done,
            _ if thing.half => Verdict::Partial,
            _ => Verdict::NotDone,
        };
        let mut seen = Observation::unknown(verdict.to_string());
        seen.verdict = verdict;
        let made_by = match self.sabotage {
            Some(Sabotage::OutputsOfAnOldLook) => 0,
            _ => thing.made_by,
        };
        if call.uses == "sim" && thing.present {
            seen.outputs.insert("made_by".to_owned(), made_by.into());
        }
        if call.uses == "sim" && !unknown {
            let of = if self.sabotage == Some(Sabotage::PinKeptAfterAmendment) { 0 } else { version };
            seen.identity.insert("object".to_owned(), format!("s{step}-v{of}"));
        }
        seen
    }

    async fn quiesce(&self, call: &Call) -> Quiescence {
        self.pause(3, 1_000).await;
        let mut sim = self.sim.lock().expect("one thread");
        let step = Self::step(call);
        let world = sim.world_now();
        let acts = world.acting.iter().any(|acting| acting.step == step && acting.attempt == call.attempt);
        let thing = &world.things[step];
        let seen = if acts { "it still acts" } else { "it is gone" }.to_owned();
        if self.sabotage == Some(Sabotage::QuietWhileItActs) {
            return Quiescence::Quiet { seen, ended: None };
        }
        if thing.blind && self.sabotage == Some(Sabotage::BlindIsQuiet) {
            return Quiescence::Quiet { seen, ended: None };
        }
        match (thing.blind, acts) {
            (true, _) if step.is_multiple_of(3) && call.sent.ago.is_some_and(|ago| ago.as_millis() > 3 * 3_600_000) && !acts => {
                Quiescence::TimeIsOver { seen: "its time is over".to_owned() }
            }
            (true, _) => Quiescence::CannotTell { seen: "nobody can tell".to_owned() },
            (false, true) => Quiescence::Busy { seen },
            (false, false) => Quiescence::Quiet { seen, ended: thing.ends.get(&call.attempt).cloned().map(Box::new) },
        }
    }

    fn has_probe(&self, _uses: &str) -> bool {
        true
    }

    fn by_hand(&self, _call: &Call) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl Connector for SimConnector {
    async fn before_image(&self, call: &Call, _evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        // Once all is calm it keeps within the shortest time limit of a plan.
        let longest = if self.sim.lock().expect("one thread").faults { 5 * 60_000 } else { 1_000 };
        self.pause(4, longest).await;
        if self.sim.lock().expect("one thread").noise(5) {
            return Err("the share is full".to_owned());
        }
        if self.sabotage == Some(Sabotage::ImageNotKept) {
            return Ok(None);
        }
        Ok(Some(EvidenceRef { sha256: format!("{}", call.step), bytes: 1, kind: "before-image".to_owned() }))
    }

    async fn apply(&self, call: &Call) -> Outcome {
        let step = Self::step(call);
        let (fate, answers) = {
            let mut sim = self.sim.lock().expect("one thread");
            let now = sim.now();
            sim.world.advance(now);
            let Sim { checker, world, disk, .. } = &mut *sim;
            checker.effect_starts(step, call, now, world, disk.published);
            let (fate, acts, answers) = Self::fate(&sim, step, call.attempt);
            let half = can_be_half(sim.world.things[step].effect);
            let what = match fate {
                Fate::Good | Fate::AnswerLost | Fate::FailsAfterAll | Fate::Late | Fate::Hangs | Fate::Overruns => {
                    Some(What::All)
                }
                Fate::FailsHalfWay | Fate::HalfAndSilent => half.then_some(What::Half),
                Fate::NeverArrives | Fate::Refused | Fate::NotSent => None,
            };
            sim.world.effects += 1;
            sim.world.note(now, &format!("s{step}/{} starts: {fate:?}, acts after {acts} ms", call.attempt));
            sim.world.live.insert(step, call.attempt);
            if let Some(what) = what {
                let due = now + i64::try_from(acts).expect("hours");
                let version = version(&serde_json::Value::Object(call.with.clone()));
                sim.world.acting.push(Acting { step, attempt: call.attempt, due, what, version });
            }
            (fate, answers)
        };
        let timeout = call.timeout.map_or(u64::MAX, relevo::time::Span::as_millis);
        tokio::time::sleep(Duration::from_millis(answers.min(timeout))).await;
        if fate == Fate::Overruns && answers > timeout {
            // The driver waits half a minute longer than the limit, and then believes in no answer any more.
            tokio::time::sleep(Duration::from_secs(29)).await;
            self.sim.lock().expect("one thread").world.live.remove(&step);
            tokio::time::sleep(Duration::from_millis(answers)).await;
        }
        let mut sim = self.sim.lock().expect("one thread");
        let world = sim.world_now();
        world.live.remove(&step);
        let acts_still = world.acting.iter().any(|acting| acting.step == step && acting.attempt == call.attempt);
        let half = world.things[step].half;
        let present = world.things[step].present;
        let made_by = world.things[step].made_by;
        let outcome = match fate {
            _ if answers > timeout && self.sabotage == Some(Sabotage::TimeoutIsNotSent) => {
                Outcome::NotSent { reason: "timed out".to_owned() }
            }
            _ if answers > timeout => Outcome::Unknown { reason: "timed out".to_owned() },
            Fate::Good | Fate::Hangs if present || call.effect == relevo::plan::action::Effect::Read => {
                let mut outputs = Map::new();
                if present {
                    outputs.insert("made_by".to_owned(), made_by.into());
                }
                Outcome::Applied { outputs }
            }
            Fate::FailsHalfWay if self.sabotage == Some(Sabotage::FailureTouchesNothing) => {
                Outcome::Rejected { reason: "exit 1".to_owned(), untouched: true }
            }
            Fate::Refused => Outcome::Rejected { reason: "no".to_owned(), untouched: true },
            Fate::FailsHalfWay | Fate::FailsAfterAll => {
                Outcome::Rejected { reason: format!("exit 1 (half: {half})"), untouched: false }
            }
            Fate::NotSent => Outcome::NotSent { reason: "no connection".to_owned() },
            _ => Outcome::Unknown { reason: "no answer".to_owned() },
        };
        let now = sim.now();
        sim.world.note(now, &format!("s{step}/{} answers: {outcome:?}", call.attempt));
        sim.seen.late += u64::from(acts_still);
        match (self.sabotage, outcome) {
            (Some(Sabotage::UnknownIsRefused), Outcome::Unknown { reason }) => Outcome::Rejected { reason, untouched: true },
            (_, outcome) => outcome,
        }
    }

    async fn undo(&self, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::NotSent { reason: "not simulated".to_owned() }
    }
}

/// Gives every action the same connector.
pub struct OneConnector(pub Arc<dyn Connector>);

impl Registry for OneConnector {
    fn connector(&self, _uses: &str) -> Option<Arc<dyn Connector>> {
        Some(Arc::clone(&self.0))
    }
}

/// Keeps nothing: the before-images are invented.
pub struct NoEvidence;

impl Evidence for NoEvidence {
    fn store(&self, kind: &str, bytes: &[u8]) -> std::io::Result<EvidenceRef> {
        Ok(EvidenceRef { sha256: String::new(), bytes: bytes.len() as u64, kind: kind.to_owned() })
    }
}

/// What is shown beside a question.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Who has said go.
    pub votes: Vec<String>,
    /// Of a gate: the question's name.
    pub nonce: Option<String>,
    /// Of a gate: what a vote is for.
    pub binding: Option<String>,
    /// The record that put the question.
    pub about: Option<u64>,
}

/// The inbox as a process finds it.
pub struct SimLetters {
    /// The inbox is in it.
    pub sim: Arc<Mutex<Sim>>,
    /// Taken by this process.
    pub taken: BTreeSet<String>,
    /// What is wrong with it.
    pub sabotage: Option<Sabotage>,
}

impl Letters for SimLetters {
    fn every(&self) -> Option<Duration> {
        Some(Duration::from_mins(10))
    }

    fn take(&mut self) -> Vec<Letter> {
        let sim = self.sim.lock().expect("one thread");
        let mut found: Vec<Letter> = sim.inbox.iter().filter(|letter| !self.taken.contains(&letter.id)).cloned().collect();
        self.taken.extend(found.iter().map(|letter| letter.id.clone()));
        let stands = |step: &StepId| {
            sim.disk.durable.iter().chain(&sim.disk.buffered).rev().find_map(|record| match &record.event {
                Event::GateAsked { step: of, nonce, binding, .. } if of == step => Some((nonce.clone(), binding.clone())),
                _ => None,
            })
        };
        for letter in &mut found {
            match self.sabotage {
                // A letter found again looks like another one.
                Some(Sabotage::LetterTakenAgain) => letter.id.extend((0..sim.disk.epoch).map(|_| '\'')),
                Some(Sabotage::VoteOfAnotherQuestionCounts) => {
                    if let Order::Vote { step, nonce, binding, .. } = &mut letter.order
                        && let Some((now, to)) = stands(step)
                    {
                        (*nonce, *binding) = (Some(now), Some(to));
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn answer(&mut self, id: &str, _answer: &Answer) -> bool {
        let mut sim = self.sim.lock().expect("one thread");
        sim.seen.letters += 1;
        if sim.noise(15) {
            return false;
        }
        let id = id.trim_end_matches('\'');
        sim.inbox.retain(|letter| letter.id != id);
        true
    }
}

/// What the operator sees: the questions that stand, and whether the run is paused.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    /// The questions, with those who have said go already.
    pub questions: Vec<(Question, Shown)>,
    /// The run is paused.
    pub paused: bool,
}

impl Screen {
    /// From what is known.
    pub fn of(state: &RunState) -> Self {
        let shown = |question: &Question| {
            let about = state.facts(question.step).asked_by;
            match state.step(question.step) {
                StepState::AtGate(gate) => Shown {
                    votes: gate.votes.iter().map(|by| by.name.clone()).collect(),
                    nonce: Some(gate.nonce.clone()),
                    binding: Some(gate.binding.clone()),
                    about,
                },
                _ => Shown { about, ..Shown::default() },
            }
        };
        let questions = questions(state).into_iter().map(|question| (question, shown(&question))).collect();
        Screen { questions, paused: state.paused.is_some() }
    }
}

/// Checks what is shown, and shows it to the operator.
pub struct SimObserver {
    /// The judge is in it.
    pub sim: Arc<Mutex<Sim>>,
    /// The operator's screen.
    pub screen: Arc<Mutex<Screen>>,
    /// Told when it changes.
    pub changed: Arc<Notify>,
}

impl Observer for SimObserver {
    fn recorded(&mut self, records: &[Record], state: &RunState) {
        let mut sim = self.sim.lock().expect("one thread");
        for record in records {
            sim.checker.shown(record.seq);
        }
        sim.checker.shown(state.seq);
    }

    fn idle(&mut self, state: &RunState) -> Option<std::time::Duration> {
        self.sim.lock().expect("one thread").checker.shown(state.seq);
        *self.screen.lock().expect("one thread") = Screen::of(state);
        self.changed.notify_one();
        None
    }

    fn say(&mut self, _line: &str) {}
}
