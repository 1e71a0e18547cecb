//! What must always hold, worked out from durable records and the world alone: no code of the engine judges itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use relevo::plan::action::Effect;
use relevo::plan::{OnFailure, Plan, StepId, Verdict, Work};
use relevo::run::connector::Call;
use relevo::run::event::{Choices, Decision, Event, How, Mode, Outcome, Phase, Record};
use relevo::run::letters::Letter;
use relevo::run::order::Order;

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
    /// The same for a pause or a stop alone.
    stopped_since: Option<(u64, i64)>,
    /// The record of each step's latest intent.
    intents: Vec<u64>,
    /// Which version of each step is agreed.
    versions: Vec<u64>,
    /// What each gate was asked about, and what became of it.
    gates: BTreeMap<usize, Go>,
    /// The record that put each step's question.
    asked_by: Vec<u64>,
    /// A person took the step as done.
    taken_as_done: Vec<bool>,
    /// A person said that the step is to be tried again; and whether its latest intent follows from that.
    decided: Vec<bool>,
    by_decision: Vec<bool>,
    /// Letters that are in the journal.
    letters: BTreeSet<String>,
    /// Names that are left out.
    excluded: BTreeSet<String>,
    /// How many amendments a person has accepted; any other one is none.
    pub accepted: BTreeSet<String>,
    /// The wall clock jumped: durations cannot be told from the times in the records.
    jumped: bool,
    /// Effects are only described.
    rehearsal: bool,
    /// A person moved the window's end.
    extended: i64,
    past_no_return: bool,
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
            stopped_since: None,
            intents: vec![0; count],
            versions: vec![0; count],
            gates: BTreeMap::new(),
            asked_by: vec![0; count],
            taken_as_done: vec![false; count],
            decided: vec![false; count],
            by_decision: vec![false; count],
            letters: BTreeSet::new(),
            excluded: BTreeSet::new(),
            accepted: BTreeSet::new(),
            jumped: false,
            rehearsal: false,
            extended: i64::MIN,
            past_no_return: false,
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

    /// Whether a step lets those that need it start: it and everything that it needs is satisfied.
    fn through(&self, at: usize) -> bool {
        self.satisfied[at] && self.plan.steps[at].needs.iter().all(|need| self.through(need.at()))
    }

    /// The gates before a step with no other gate between.
    fn gates_over(&self, at: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for need in &self.plan.steps[at].needs {
            if matches!(self.plan.steps[need.at()].work, Work::Gate(_)) {
                found.insert(need.at());
            } else {
                found.extend(self.gates_over(need.at()));
            }
        }
        found
    }

    /// A letter's answer must be about what its writer saw.
    fn by_letter(&mut self, id: &str, record: &Record, sent: &BTreeMap<String, Letter>) {
        if !self.letters.insert(id.to_owned()) {
            self.wrong(format!("letter {id} was taken up twice"));
        }
        let original = id.trim_end_matches('\'');
        if original != id && self.letters.contains(original) || id == original && self.letters.contains(&format!("{id}'")) {
            self.wrong(format!("letter {original} was taken up twice"));
        }
        let Some(letter) = sent.get(original) else { return self.wrong(format!("letter {id} was never sent")) };
        match (&record.event, &letter.order) {
            (Event::VoteCast { nonce, go: true, .. }, Order::Vote { nonce: Some(shown), .. }) if nonce != shown => {
                self.wrong(format!("letter {id} was a vote for question {shown} and counts for {nonce}"));
            }
            (Event::Decided { step: Some(step), decision, .. }, Order::Decide { about: Some(about), .. }) => {
                let at = self.at(step);
                if *decision != Decision::Stop && self.asked_by[at] != *about {
                    self.wrong(format!("letter {id} answers record {about}, and s{at} asks by record {}", self.asked_by[at]));
                }
            }
            _ => {}
        }
    }

    /// A go or no-go.
    fn voted(&mut self, at: usize, by: &str, nonce: &str, now: i64) {
        let Work::Gate(gate) = &self.plan.steps[at].work else { return };
        let expires = gate.expires;
        let jumped = self.jumped;
        let Some(go) = self.gates.get_mut(&at) else { return self.wrong(format!("s{at}: a vote before the question")) };
        go.votes.insert(by.to_owned());
        let (asked_at, asked) = (go.asked_at, go.nonce.clone());
        if asked != nonce {
            self.wrong(format!("s{at}: a go for question {nonce} counts, and {asked} stands"));
        }
        if expires.is_some_and(|span| !jumped && now >= asked_at + i64::try_from(span.as_millis()).expect("days")) {
            self.wrong(format!("s{at}: a go counts that came after the question had lapsed"));
        }
    }

    /// An intent behind gates: each go must be for this version of the step, and still valid if it is the first one.
    fn begins_behind_gates(&mut self, at: usize, now: i64) {
        let plan = Arc::clone(&self.plan);
        for over in self.gates_over(at) {
            let Work::Gate(gate) = &plan.steps[over].work else { continue };
            let Some(go) = self.gates.get_mut(&over) else {
                self.wrong(format!("s{at} begins behind s{over}, which was never asked"));
                continue;
            };
            let asked = go.versions.get(&at).copied();
            let since = gate.valid_for.map(|span| (go.opened_at, span)).or(gate.expires.map(|span| (go.asked_at, span)));
            let late = since.is_some_and(|(from, span)| now > from + i64::try_from(span.as_millis()).expect("days") + 1_000);
            let first = !std::mem::replace(&mut go.used, true);
            if first && late && !self.jumped {
                self.wrong(format!("s{at} begins on a go of s{over} that was no longer valid"));
            }
            if asked != Some(self.versions[at]) {
                self.wrong(format!("s{at} begins as version {} on a go of s{over} for {asked:?}", self.versions[at]));
            }
        }
    }

    /// The plan was amended.
    pub fn amended(&mut self, plan: Arc<Plan>) {
        for (at, step) in plan.steps.iter().enumerate() {
            let Work::Action(action) = &step.work else { continue };
            let version = crate::plans::version(&action.call.with);
            if version != self.versions[at] {
                self.versions[at] = version;
                self.clear[at] = true;
                self.unfail(at);
            }
        }
        self.plan = plan;
    }

    /// A record has become durable.
    pub fn durable(&mut self, record: &Record, world: &World, sent: &BTreeMap<String, Letter>) {
        if record.seq != self.durable + 1 {
            self.wrong(format!("I8: record {} became durable after record {}", record.seq, self.durable));
        }
        self.durable = record.seq;
        self.epoch = record.epoch;
        if let Some(letter) = &record.letter {
            self.by_letter(letter, record, sent);
        }
        let step = record.event.step().map(|id| self.at(id));
        let now = record.at.as_millis();
        match (&record.event, step) {
            (
                Event::StepFailed { .. }
                | Event::StepInDoubt { .. }
                | Event::GateAsked { .. }
                | Event::GateExpired { .. }
                | Event::GateRefused { .. }
                | Event::ManualAsked { .. }
                | Event::ManualAnswered { done: false, .. },
                Some(at),
            ) => self.asked_by[at] = record.seq,
            (Event::ProbeFinished { phase: Phase::Manual, verdict, .. }, Some(at)) if *verdict != Some(Verdict::Done) => {
                self.asked_by[at] = record.seq;
            }
            _ => {}
        }
        match (&record.event, step) {
            (Event::RunStarted { mode: Mode::Rehearsal, .. }, _) => self.rehearsal = true,
            (Event::RunStarted { choices, .. } | Event::RunResumed { choices, .. }, _) => self.reopened(choices),
            (Event::ClockJumped { .. }, _) => self.jumped = true,
            (Event::WindowExtended { until: Some(until), .. }, _) => self.extended = self.extended.max(until.as_millis()),
            (Event::PlanAmended { plan, .. }, _) if !self.accepted.contains(plan) => {
                self.wrong(format!("amendment {plan} holds, and nobody has accepted it"));
            }
            (Event::GateAsked { nonce, .. }, Some(at)) => {
                let versions = self.versions.iter().copied().enumerate().collect();
                let go =
                    Go { nonce: nonce.clone(), asked_at: now, opened_at: now, votes: BTreeSet::new(), versions, used: false };
                self.gates.insert(at, go);
                self.satisfied[at] = false;
            }
            (Event::VoteCast { go: true, not_counted: None, by, nonce, .. }, Some(at)) => self.voted(at, &by.name, nonce, now),
            (Event::GoLapsed { .. }, Some(at)) => self.satisfied[at] = false,
            (Event::RunPaused { .. }, _) => self.paused = true,
            (Event::RunContinued { .. }, _) => self.paused = false,
            (Event::AttemptStarted { attempt, before_image, .. }, Some(at)) => {
                if self.plan.steps[at].keeps() && before_image.is_none() && !self.rehearsal {
                    self.wrong(format!("s{at}: an intent without the before-image that its action keeps"));
                }
                self.begins_behind_gates(at, now);
                self.past_no_return |= self.plan.steps[at].point_of_no_return;
                self.taken_as_done[at] = false;
                self.by_decision[at] = std::mem::take(&mut self.decided[at]);
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
            (Event::StepVerified { how, outputs, .. }, Some(at)) => {
                self.past_no_return |= self.plan.steps[at].point_of_no_return;
                let said = outputs.get("made_by").and_then(serde_json::Value::as_u64);
                if said.is_some_and(|attempt| attempt != u64::from(world.things[at].made_by)) {
                    self.wrong(format!(
                        "s{at}: its outputs are of attempt {said:?}, and it was made by {}",
                        world.things[at].made_by
                    ));
                }
                let acts = world.may_act(at) && self.plan.steps[at].effect() != Effect::Read;
                if acts && *how != How::Decided && *how != How::Described && !self.taken_as_done[at] {
                    self.wrong(format!("s{at} is verified ({how:?}) while an attempt can still act"));
                }
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
            (Event::GateOpened { .. }, Some(at)) => {
                if let (Some(go), Work::Gate(gate)) = (self.gates.get_mut(&at), &self.plan.steps[at].work) {
                    go.opened_at = now;
                    let (have, want) = (go.votes.len(), gate.quorum as usize);
                    if have < want {
                        self.wrong(format!("s{at} opens with {have} of {want} goes for the question that stands"));
                    }
                }
                self.satisfy(at);
            }
            (Event::CheckpointReached { .. }, Some(at)) => self.satisfy(at),
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
                (decision, Some(at)) => {
                    self.taken_as_done[at] = *decision == Decision::Done;
                    self.decided[at] = matches!(decision, Decision::Retry | Decision::NotDone);
                    self.clear[at] = true;
                    self.unfail(at);
                }
                _ => {}
            },
            _ => {}
        }
        let is_held = self.paused || self.stopped || !self.halting.is_empty();
        let is_stopped = self.paused || self.stopped;
        self.stopped_since = is_stopped.then(|| self.stopped_since.unwrap_or((record.seq, record.at.as_millis())));
        self.held_since = is_held.then(|| self.held_since.unwrap_or((record.seq, record.at.as_millis())));
    }

    fn reopened(&mut self, choices: &Choices) {
        self.paused = false;
        self.stopped = false;
        self.halting.clone_from(&self.failed);
        self.override_window = choices.window_override.is_some();
        self.excluded.extend(choices.exclude.iter().cloned());
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
    pub fn effect_starts(&mut self, at: usize, call: &Call, now: i64, world: &World, published: u64) {
        let attempt = call.attempt;
        let plan = Arc::clone(&self.plan);
        let version = crate::plans::version(&serde_json::Value::Object(call.with.clone()));
        if version != self.versions[at] {
            self.wrong(format!("I4: s{at}/{attempt} is made as version {version}, and {} was agreed", self.versions[at]));
        }
        let object = call.identity.get("object");
        if object.is_some_and(|object| *object != format!("s{at}-v{}", self.versions[at])) {
            self.wrong(format!("I4: s{at}/{attempt} acts upon {object:?}, and version {} was agreed", self.versions[at]));
        }
        if (plan.steps[at].is_destructive() || plan.steps[at].point_of_no_return) && published < self.intents[at] {
            self.wrong(format!("s{at}/{attempt} starts before the watermark has passed its intent"));
        }
        let left_out = self.excluded.iter().find(|name| plan.steps[at].concerns(name));
        if let (Some(name), 1) = (left_out, attempt) {
            self.wrong(format!("s{at}/{attempt} starts, and {name} was left out"));
        }
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
            if !self.through(need) {
                self.wrong(format!("I2: {name} starts before s{need} and what it needs is durably satisfied"));
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
        let window = step_window(&plan, self.override_window).map(|(opens, closes)| (opens, closes.max(self.extended)));
        if let Some(window) = &window
            && (now < window.0 || now >= window.1)
            && !self.past_no_return
        {
            self.wrong(format!("I5: {name} starts outside the window"));
        }
        if step.not_before.is_some_and(|at| now < at.as_millis()) {
            self.wrong(format!("{name} starts before its time"));
        }
        // An intent that was durable at the moment of the hold may be carried out: the task is on its way.
        // A retry that a person asked for is made although another failure waits for an answer.
        let since = if self.by_decision[at] { self.stopped_since } else { self.held_since };
        if since.is_some_and(|(seq, since)| seq < self.intents[at] || since < now) {
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

/// A gate's latest question, and what became of it.
#[derive(Debug, Clone)]
struct Go {
    nonce: String,
    asked_at: i64,
    opened_at: i64,
    votes: BTreeSet<String>,
    /// What lay behind it when it was asked.
    versions: BTreeMap<usize, u64>,
    /// Something behind it has begun.
    used: bool,
}

fn step_window(plan: &Plan, overridden: bool) -> Option<(i64, i64)> {
    plan.window.as_ref().filter(|_| !overridden).map(|window| (window.opens.as_millis(), window.closes.as_millis()))
}
