//! What must always hold, worked out from durable records and the world alone: no code of the engine judges itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use relevo::plan::action::Effect;
use relevo::plan::{OnFailure, Plan, StepId, Verdict, Work};
use relevo::run::event::{Choices, Decision, Event, How, Outcome, Record};

use crate::world::World;

/// What the durable records say, in few words.
#[derive(Debug, Clone)]
pub struct Checker {
    plan: Arc<Plan>,
    satisfied: Vec<bool>,
    /// Skipped, not applicable or excluded: the effect need not be there.
    pub waived: Vec<bool>,
    attempts: Vec<u32>,
    epochs: Vec<u32>,
    /// Another effect may start: none was, or it is known that the last one was not done, or a person said so.
    clear: Vec<bool>,
    in_doubt: Vec<bool>,
    halting: BTreeSet<usize>,
    failed: BTreeSet<usize>,
    paused: bool,
    stopped: bool,
    override_window: bool,
    /// Since which record, and when, new steps are held.
    held_since: Option<(u64, i64)>,
    /// The record of each step's latest intent.
    intents: Vec<u64>,
    /// Number of the last durable record.
    pub durable: u64,
    epoch: u32,
    /// What was found.
    pub violations: Vec<String>,
}

impl Checker {
    /// Before the first record.
    pub fn new(plan: Arc<Plan>) -> Self {
        let count = plan.steps.len();
        Checker {
            satisfied: vec![false; count],
            waived: vec![false; count],
            attempts: vec![0; count],
            epochs: vec![0; count],
            clear: vec![true; count],
            in_doubt: vec![false; count],
            halting: BTreeSet::new(),
            failed: BTreeSet::new(),
            paused: false,
            stopped: false,
            override_window: false,
            held_since: None,
            intents: vec![0; count],
            durable: 0,
            epoch: 0,
            violations: Vec::new(),
            plan,
        }
    }

    fn wrong(&mut self, what: String) {
        self.violations.push(what);
    }

    fn at(&self, id: &StepId) -> usize {
        self.plan.find(id.as_str()).expect("records name steps of the plan").at()
    }

    /// A record has become durable.
    pub fn durable(&mut self, record: &Record, world: &World) {
        if record.seq != self.durable + 1 {
            self.wrong(format!("I8: record {} became durable after record {}", record.seq, self.durable));
        }
        self.durable = record.seq;
        self.epoch = record.epoch;
        let step = record.event.step().map(|id| self.at(id));
        match (&record.event, step) {
            (Event::RunStarted { choices, .. } | Event::RunResumed { choices, .. }, _) => self.reopened(choices),
            (Event::RunPaused { .. }, _) => self.paused = true,
            (Event::RunContinued { .. }, _) => self.paused = false,
            (Event::AttemptStarted { attempt, .. }, Some(at)) => {
                if *attempt != self.attempts[at] + 1 {
                    self.wrong(format!("I1: s{at}: attempt {attempt} is recorded after attempt {}", self.attempts[at]));
                }
                self.attempts[at] = *attempt;
                self.epochs[at] = record.epoch;
                self.intents[at] = record.seq;
            }
            (Event::AttemptFinished { attempt, outcome, .. }, Some(at)) if *attempt == self.attempts[at] => {
                if matches!(outcome, Outcome::NotSent { .. } | Outcome::Rejected { untouched: true, .. }) {
                    self.clear[at] = true;
                }
            }
            (Event::ProbeFinished { verdict: Some(Verdict::NotDone), quiesced: true, .. }, Some(at)) => self.clear[at] = true,
            (Event::StepVerified { how, .. }, Some(at)) => {
                let effect = self.plan.steps[at].effect();
                let is_action = matches!(self.plan.steps[at].work, Work::Action(_));
                if is_action && effect != Effect::Read && *how != How::Described && !world.things[at].present {
                    self.wrong(format!("I15: s{at} is verified ({how:?}) and its effect is not there"));
                }
                self.satisfy(at);
            }
            (Event::StepSkipped { .. } | Event::StepNotApplicable { .. }, Some(at)) => {
                self.waived[at] = true;
                self.satisfy(at);
            }
            (Event::GateOpened { .. } | Event::CheckpointReached { .. }, Some(at)) => self.satisfy(at),
            (Event::GateRefused { .. }, Some(at)) => self.fail(at, OnFailure::Stop),
            (Event::StepFailed { .. } | Event::ManualAnswered { done: false, .. }, Some(at)) => {
                self.fail(at, self.plan.steps[at].on_failure);
            }
            (Event::StepInDoubt { .. }, Some(at)) => self.in_doubt[at] = true,
            (Event::Decided { decision, .. }, at) => match (decision, at) {
                (Decision::Stop, _) => self.stopped = true,
                (Decision::Skip, Some(at)) => {
                    self.waived[at] = true;
                    self.satisfy(at);
                }
                (_, Some(at)) => {
                    self.clear[at] = true;
                    self.unfail(at);
                }
                _ => {}
            },
            _ => {}
        }
        let is_held = self.paused || self.stopped || !self.halting.is_empty();
        self.held_since = is_held.then(|| self.held_since.unwrap_or((record.seq, record.at.as_millis())));
    }

    fn reopened(&mut self, choices: &Choices) {
        self.paused = false;
        self.stopped = false;
        self.halting.clone_from(&self.failed);
        self.override_window = choices.window_override.is_some();
    }

    fn satisfy(&mut self, at: usize) {
        self.satisfied[at] = true;
        self.unfail(at);
    }

    fn fail(&mut self, at: usize, rule: OnFailure) {
        self.failed.insert(at);
        if rule != OnFailure::Continue {
            self.halting.insert(at);
        }
    }

    fn unfail(&mut self, at: usize) {
        self.in_doubt[at] = false;
        self.failed.remove(&at);
        self.halting.remove(&at);
    }

    /// An effect is about to start.
    pub fn effect_starts(&mut self, at: usize, attempt: u32, now: i64, world: &World) {
        let plan = Arc::clone(&self.plan);
        let step = &plan.steps[at];
        let effect = step.effect();
        let name = format!("s{at}/{attempt}");
        if self.attempts[at] != attempt || self.epochs[at] != self.epoch {
            self.wrong(format!("I1: {name} starts without a durable intent of this process (latest: {})", self.attempts[at]));
        }
        if self.satisfied[at] {
            self.wrong(format!("I9: {name} starts after the step was satisfied"));
        }
        for need in &step.needs {
            let need = need.at();
            if !self.satisfied[need] {
                self.wrong(format!("I2: {name} starts before s{need} is durably satisfied"));
            }
            let must = matches!(plan.steps[need].work, Work::Action(_)) && plan.steps[need].effect() != Effect::Read;
            if must && !self.waived[need] && !world.things[need].present {
                self.wrong(format!("I2: {name} starts while the effect of s{need} is not there"));
            }
        }
        let careful = matches!(effect, Effect::Once | Effect::Opaque) || step.is_destructive();
        if careful && !std::mem::take(&mut self.clear[at]) {
            self.wrong(format!("I3: {name} starts although nobody said that the attempt before was not done"));
        }
        if effect != Effect::Read && world.may_act(at) {
            self.wrong(format!("I3: {name} starts while an earlier attempt can still act"));
        }
        if let Some(window) = &step_window(&plan, self.override_window)
            && (now < window.0 || now >= window.1)
        {
            self.wrong(format!("I5: {name} starts outside the window"));
        }
        if step.not_before.is_some_and(|at| now < at.as_millis()) {
            self.wrong(format!("{name} starts before its time"));
        }
        // An intent that was durable at the moment of the hold may be carried out: the task is on its way.
        if self.held_since.is_some_and(|(seq, since)| seq < self.intents[at] || since < now) {
            let (paused, stopped, halting) = (self.paused, self.stopped, self.halting.clone());
            self.wrong(format!(
                "{name} starts while new steps are held (paused {paused}, stopped {stopped}, failed {halting:?})"
            ));
        }
        self.limits(at, &name, world);
    }

    /// Limits count everything that may still act; slots count what this run still follows.
    fn limits(&mut self, at: usize, name: &str, world: &World) {
        let plan = Arc::clone(&self.plan);
        let mut acts: BTreeSet<usize> = world.live.keys().copied().collect();
        // A reading that nobody waits for any more touches nothing.
        acts.extend(world.acting.iter().map(|acting| acting.step).filter(|at| plan.steps[*at].effect() != Effect::Read));
        acts.insert(at);
        for (n, limit) in plan.limits.iter().enumerate() {
            let used = acts.iter().filter(|at| plan.steps[**at].limits.iter().any(|limit| limit.0 as usize == n)).count();
            if used > limit.max as usize && plan.steps[at].limits.iter().any(|limit| limit.0 as usize == n) {
                self.wrong(format!("{name} starts and `{}` holds {used}, not {}", limit.name, limit.max));
            }
        }
        let slots = acts.iter().filter(|at| !self.in_doubt[**at]).count();
        if slots > plan.max_parallel as usize {
            self.wrong(format!("{name} starts as number {slots} of {}", plan.max_parallel));
        }
    }

    /// Records are shown to people.
    pub fn shown(&mut self, seq: u64) {
        if seq > self.durable {
            self.wrong(format!("I7: record {seq} is shown while only {} are durable", self.durable));
        }
    }

    /// The run is over.
    pub fn finished(&mut self, world: &World) {
        let plan = Arc::clone(&self.plan);
        for (at, step) in plan.steps.iter().enumerate() {
            if !self.satisfied[at] {
                self.wrong(format!("I14: the run is done and s{at} is not"));
            }
            let must = matches!(step.work, Work::Action(_)) && step.effect() != Effect::Read && !self.waived[at];
            if must && !world.things[at].present {
                self.wrong(format!("I14: the run is done and the effect of s{at} is not there"));
            }
            if world.may_act(at) && step.effect() != Effect::Read && !self.waived[at] {
                self.wrong(format!("I14: the run is done and s{at} can still act"));
            }
        }
    }
}

fn step_window(plan: &Plan, overridden: bool) -> Option<(i64, i64)> {
    plan.window.as_ref().filter(|_| !overridden).map(|window| (window.opens.as_millis(), window.closes.as_millis()))
}
