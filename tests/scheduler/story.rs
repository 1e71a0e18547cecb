//! Events told one after the other, and the scheduler's answer in plain words.

use std::collections::BTreeMap;
use std::sync::Arc;

use relevo::plan::{Plan, StepId, Verdict};
use relevo::run::command::{Command, Hand, Next};
use relevo::run::event::{
    Choices, ConditionSeen, Decision, Event, Holder, How, Identity, Mode, OLDEST_SEMANTICS, Outcome, Outputs, Person, Phase,
    Record, SEMANTICS,
};
use relevo::run::gates;
use relevo::run::scheduler::Scheduler;
use relevo::run::state::{RunState, StepState};
use relevo::time::Timestamp;

/// When every story starts, in milliseconds.
pub const START: i64 = 1_790_000_000_000;

/// What has happened so far.
pub struct Story {
    /// The scheduler.
    pub scheduler: Scheduler,
    /// The time, in seconds since the start.
    pub now: i64,
    epoch: u32,
    hand: Hand,
}

impl Story {
    /// A run that has just started.
    pub fn of(plan: Plan) -> Self {
        Story::with(plan, Choices::default())
    }

    /// The same with choices of the command line.
    pub fn with(plan: Plan, choices: Choices) -> Self {
        let mut story = Story { scheduler: Scheduler::new(Arc::new(plan)), now: 0, epoch: 1, hand: Hand::default() };
        story.tell(run_started(choices)).tell(lock());
        story
    }

    /// A run that a program of the version before has started.
    pub fn older(plan: Plan) -> Self {
        let mut story = Story { scheduler: Scheduler::new(Arc::new(plan)), now: 0, epoch: 1, hand: Hand::default() };
        let mut first = run_started(Choices::default());
        if let Event::RunStarted { semantics, .. } = &mut first {
            *semantics = OLDEST_SEMANTICS;
        }
        story.tell(first).tell(lock());
        story
    }

    /// This happens now.
    pub fn tell(&mut self, event: Event) -> &mut Self {
        if let Err(illegal) = self.try_tell(event) {
            panic!("{illegal}");
        }
        self
    }

    /// This cannot happen; why.
    pub fn refuses(&mut self, event: Event) -> String {
        self.clone_scheduler().apply(&self.record(event)).expect_err("refused").what
    }

    fn clone_scheduler(&self) -> Scheduler {
        self.scheduler.clone()
    }

    fn record(&self, event: Event) -> Record {
        Record { seq: self.state().seq + 1, epoch: self.epoch, prev: String::new(), at: self.instant(), letter: None, event }
    }

    fn try_tell(&mut self, event: Event) -> Result<(), relevo::run::fold::Illegal> {
        let record = self.record(event);
        self.scheduler.apply(&record)
    }

    /// Time passes, in seconds.
    pub fn wait(&mut self, secs: i64) -> &mut Self {
        self.now += secs;
        self
    }

    fn instant(&self) -> Timestamp {
        at(self.now)
    }

    /// This process works on a step.
    pub fn holds(&mut self, id: &str) -> &mut Self {
        self.hand.steps.insert(self.state().plan.find(id).expect("a step"));
        self
    }

    /// It has answered.
    pub fn lets_go(&mut self, id: &str) -> &mut Self {
        let ix = self.state().plan.find(id).expect("a step");
        self.hand.steps.remove(&ix);
        self
    }

    /// The process dies and the run is resumed.
    pub fn crash(&mut self) -> &mut Self {
        self.resume(Choices::default())
    }

    /// The same with choices.
    pub fn resume(&mut self, choices: Choices) -> &mut Self {
        self.epoch += 1;
        self.hand = Hand::default();
        self.tell(lock()).tell(Event::RunResumed { by: person("ada"), choices })
    }

    /// What is known.
    pub fn state(&self) -> &RunState {
        self.scheduler.state()
    }

    /// A step's state in a word.
    pub fn word(&self, id: &str) -> &'static str {
        self.step(id).word()
    }

    /// A step's state.
    pub fn step(&self, id: &str) -> &StepState {
        self.state().step(self.state().plan.find(id).expect("a step"))
    }

    /// What comes next is exactly this, line by line, and nothing else.
    #[track_caller]
    pub fn next_is(&self, expected: &[&str]) -> &Self {
        let next = self.scheduler.next(self.instant(), &self.hand);
        let said = said(&next, self.state(), self.instant());
        assert_eq!(said, expected, "at {} s", self.now);
        self
    }

    /// Records that the scheduler decides are applied until it has none; what it said, and then what comes next.
    #[track_caller]
    pub fn decides(&mut self, expected: &[&str]) -> &mut Self {
        let mut all = Vec::new();
        loop {
            let next = self.scheduler.next(self.instant(), &self.hand);
            all.extend(said(&next, self.state(), self.instant()));
            let records: Vec<Event> = next
                .commands
                .into_iter()
                .filter_map(|command| if let Command::Record(event) = command { Some(event) } else { None })
                .collect();
            if records.is_empty() {
                break;
            }
            for event in records {
                self.tell(event);
            }
            assert!(all.len() < 100, "turns in circles: {all:#?}");
        }
        assert_eq!(all, expected, "at {} s", self.now);
        self
    }
}

fn said(next: &Next, state: &RunState, now: Timestamp) -> Vec<String> {
    let id = |ix: &relevo::plan::StepIx| state.plan.step(*ix).id.to_string();
    let mut lines: Vec<String> = next
        .commands
        .iter()
        .map(|command| match command {
            Command::Look(ix, n) => format!("look {} {n}", id(ix)),
            Command::Apply(ix, n) => format!("apply {} {n}", id(ix)),
            Command::Settle(ix, n) => format!("settle {} {n}", id(ix)),
            Command::Verify(ix, n) => format!("verify {} {n}", id(ix)),
            Command::Confirm(ix) => format!("confirm {}", id(ix)),
            Command::AskGate(ix) | Command::AskManual(ix) => format!("ask {}", id(ix)),
            Command::Record(event) => in_words(event, now),
        })
        .collect();
    if next.commands.is_empty() {
        lines.extend(next.wake_at.map(|at| format!("wake in {} s", (at.as_millis() - now.as_millis()) / 1000)));
        lines.extend(next.held_up.map(|held_up| format!("held up by {held_up:?}")));
    }
    lines
}

fn in_words(event: &Event, now: Timestamp) -> String {
    match event {
        Event::StepVerified { step, how, .. } => format!("{step} is verified: {how:?}"),
        Event::StepFailed { step, reason } => format!("{step} failed: {reason}"),
        Event::StepInDoubt { step, reason } => format!("{step} is in doubt: {reason}"),
        Event::StepSkipped { step, reason, .. } => format!("{step} is skipped: {reason}"),
        Event::StepNotApplicable { step } => format!("{step} is not applicable"),
        Event::RetryScheduled { step, attempt, at, .. } => {
            format!("{step} is tried again: {attempt} in {} s", (at.as_millis() - now.as_millis()) / 1000)
        }
        Event::GateOpened { step } => format!("{step} opens"),
        Event::GateRefused { step, by, .. } => format!("{step} is refused by {}", by.name),
        Event::GoLapsed { step, reason } => format!("the go of {step} lapsed: {reason}"),
        Event::WindowClosed { overrun } => format!("the window is shut (overrun: {overrun})"),
        Event::GateExpired { step } => format!("{step} has lapsed"),
        Event::CheckpointReached { step } => format!("{step} is reached"),
        Event::RunFinished { ending } => format!("finished: {ending:?}"),
        other => format!("{other:?}"),
    }
}

/// An instant, in seconds since the start.
pub fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(START + secs * 1000)
}

/// Somebody whose account is known.
pub fn person(name: &str) -> Person {
    Person { name: name.to_owned(), claimed: false }
}

fn id(step: &str) -> StepId {
    StepId::new(step)
}

/// `RunStarted` by ada.
pub fn run_started(choices: Choices) -> Event {
    Event::RunStarted {
        run: "run".to_owned(),
        mode: Mode::Execute,
        semantics: SEMANTICS,
        version: "0".to_owned(),
        plan: String::new(),
        whole: String::new(),
        fingerprints: BTreeMap::new(),
        choices,
        by: person("ada"),
    }
}

/// `LockTaken`.
pub fn lock() -> Event {
    let holder = Holder { host: "h".to_owned(), boot_id: "b".to_owned(), pid: 1, started: 1, user: "ada".to_owned() };
    Event::LockTaken { holder, take_over: false }
}

/// A look before an attempt.
pub fn looked(step: &str, attempt: u32, verdict: Verdict) -> Event {
    probe(step, attempt, Phase::Before, Some(verdict), true, false)
}

/// A look before an attempt of a step without probe, at its `before` conditions.
pub fn conditions(step: &str, phase: Phase, verdict: Option<Verdict>, conditions: Vec<ConditionSeen>) -> Event {
    Event::ProbeFinished {
        step: id(step),
        attempt: 1,
        phase,
        verdict,
        seen: "seen".to_owned(),
        conditions,
        quiesced: true,
        time_is_over: false,
        running: false,
        outputs: Outputs::new(),
    }
}

/// A look at an attempt in doubt that can no longer act.
pub fn quiet(step: &str, attempt: u32, verdict: Option<Verdict>) -> Event {
    probe(step, attempt, Phase::Doubt, verdict, true, false)
}

/// A look at an attempt in doubt that still acts.
pub fn busy(step: &str, attempt: u32) -> Event {
    probe(step, attempt, Phase::Doubt, None, false, true)
}

/// A look at an attempt in doubt of which nobody can tell whether it acts.
pub fn cannot_tell(step: &str, attempt: u32, verdict: Option<Verdict>) -> Event {
    probe(step, attempt, Phase::Doubt, verdict, false, false)
}

/// A look at an attempt in doubt whose time is over; nothing proves that it is gone.
pub fn time_is_over(step: &str, attempt: u32, verdict: Option<Verdict>) -> Event {
    let mut event = probe(step, attempt, Phase::Doubt, verdict, true, false);
    if let Event::ProbeFinished { time_is_over, .. } = &mut event {
        *time_is_over = true;
    }
    event
}

/// A look after an attempt was applied.
pub fn shown(step: &str, attempt: u32, verdict: Verdict) -> Event {
    probe(step, attempt, Phase::Verify, Some(verdict), true, false)
}

fn probe(step: &str, attempt: u32, phase: Phase, verdict: Option<Verdict>, quiesced: bool, running: bool) -> Event {
    Event::ProbeFinished {
        step: id(step),
        attempt,
        phase,
        verdict,
        seen: "seen".to_owned(),
        conditions: Vec::new(),
        quiesced,
        time_is_over: false,
        running,
        outputs: Outputs::new(),
    }
}

/// An intent.
pub fn started(step: &str, attempt: u32) -> Event {
    Event::AttemptStarted { step: id(step), attempt, identity: Identity::new(), before_image: None, handle: None, call: None }
}

/// An end.
pub fn ended(step: &str, attempt: u32, outcome: Outcome) -> Event {
    Event::AttemptFinished { step: id(step), attempt, outcome }
}

/// The system said that it is done.
pub fn applied() -> Outcome {
    Outcome::Applied { outputs: Outputs::new() }
}

/// The system said no.
pub fn rejected(untouched: bool) -> Outcome {
    Outcome::Rejected { reason: "no".to_owned(), untouched }
}

/// Nothing left this machine.
pub fn not_sent() -> Outcome {
    Outcome::NotSent { reason: "no route".to_owned() }
}

/// No answer.
pub fn unknown() -> Outcome {
    Outcome::Unknown { reason: "no answer".to_owned() }
}

/// `StepVerified` by our own attempt.
pub fn verified(step: &str) -> Event {
    Event::StepVerified { step: id(step), how: How::Applied, outputs: Outputs::new() }
}

/// A person's decision.
pub fn decided(step: &str, decision: Decision) -> Event {
    Event::Decided { step: Some(id(step)), decision, by: person("bob"), reason: "looked".to_owned() }
}

/// A vote that counts.
pub fn vote(step: &str, by: &str, go: bool) -> Event {
    Event::VoteCast {
        step: id(step),
        by: person(by),
        go,
        reason: "said so".to_owned(),
        binding: String::new(),
        nonce: "q".to_owned(),
        not_counted: None,
    }
}

/// A gate's question, named `q`.
pub fn asked(step: &str, expires: Option<i64>) -> Event {
    asked_about(step, expires, None)
}

/// The same about what lies behind it in a state.
pub fn asked_about(step: &str, expires: Option<i64>, state: Option<&RunState>) -> Event {
    let matter = state.map(|state| gates::matter(state, state.plan.find(step).expect("a gate")));
    let (steps, rules) = matter.map_or_else(Default::default, |matter| (matter.steps, matter.rules));
    Event::GateAsked {
        step: id(step),
        ask: "go?".to_owned(),
        behind: Vec::new(),
        binding: String::new(),
        nonce: "q".to_owned(),
        rules,
        matter: steps,
        because: None,
        expires: expires.map(at),
    }
}

/// The id of a step.
pub fn step_id(step: &str) -> StepId {
    id(step)
}
