//! The one loop that awaits. It carries commands out and turns every answer of the world into an event; what may
//! follow from an event is decided by the [`Scheduler`] alone.
//!
//! Once round:
//!
//! - ask the scheduler until it has nothing more to say, appending the records it decides and the intents of attempts;
//! - make all of that durable with one sync, and only then show it and let the effects begin;
//! - wait for whatever comes first: an answer, an order, a signal, a time.
//!
//! One sync serves everything that ended and everything that begins in a round, so a chain costs one per step.

mod answers;
mod begin;
mod orders;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::{Exit, Failure};
use crate::plan::{Condition, Plan, StepId, StepIx};
use crate::run::attempt::{self, Answer, Ask};
use crate::run::calls::Desk;
use crate::run::command::{Command, Hand, HeldUp};
use crate::run::connector::{Connector, Evidence, Quiescence};
use crate::run::event::{Ending, Event, Mode, Outcome, Person, Record};
use crate::run::fold::Illegal;
use crate::run::journal::{Journal, JournalError};
use crate::run::letters::{Answer as LetterAnswer, Letters, Sender};
use crate::run::order::Order;
use crate::run::people::People;
use crate::run::questions::questions;
use crate::run::scheduler::Scheduler;
use crate::run::state::RunState;
use crate::time::{Clock, Timestamp};

/// Other readers believe the journal up to its watermark, which follows the last record after this time at most.
const PUBLISH_AFTER: Duration = Duration::from_millis(250);
/// The wall clock may differ from the boot clock by so much before it counts as a jump.
const JUMP_MILLIS: i64 = 2_000;
/// The machine may sleep for so long before it is recorded.
const SLEEP_MILLIS: u64 = 5_000;

/// Who pauses a run whose wall clock jumped.
const CLOCK: &str = "clock";

/// A before-image older than this is stored anew.
const IMAGE_FRESH: Duration = Duration::from_mins(10);

/// Finds the connector of an action.
pub trait Registry: Send + Sync {
    /// `None` if no connector of this build knows the action.
    fn connector(&self, uses: &str) -> Option<Arc<dyn Connector>>;
}

/// Told what is durable. Must not block: a slow terminal never slows the run.
pub trait Observer: Send {
    /// These records became durable; `state` is what is known with them.
    fn recorded(&mut self, records: &[Record], state: &RunState);
    /// Nothing to do for the moment; questions may stand. Called again after the returned time, if there is one.
    fn idle(&mut self, state: &RunState) -> Option<Duration>;
    /// A line for people that is no record.
    fn say(&mut self, line: &str);
    /// A signal was taken up; what follows from it is said next.
    fn heard_signal(&mut self) {}
}

/// What comes in from people.
pub enum Request {
    /// An order, by whom, and where to answer.
    Order(Order, Sender, Option<oneshot::Sender<Result<Receipt, String>>>),
    /// Ctrl-C: the first drains, the second abandons.
    Interrupt,
    /// A termination signal: as the first Ctrl-C.
    Terminate,
}

/// An order that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The record's number.
    pub seq: u64,
    /// Of a vote that is written down and does not count: why.
    pub not_counted: Option<String>,
}

/// Everything that the driver works with.
pub struct Parts {
    /// The state, all records so far applied.
    pub scheduler: Scheduler,
    /// Where records go.
    pub journal: Box<dyn Journal>,
    /// The systems.
    pub registry: Arc<dyn Registry>,
    /// What calls share.
    pub desk: Desk,
    /// Where before-images go.
    pub evidence: Arc<dyn Evidence>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who answers.
    pub people: Box<dyn People>,
    /// Who is told.
    pub observer: Box<dyn Observer>,
    /// Orders and signals.
    pub requests: mpsc::Receiver<Request>,
    /// Orders from other terminals.
    pub letters: Box<dyn Letters>,
}

/// How a call of [`Driver::run`] ended.
#[derive(Debug)]
pub struct End {
    /// The exit code that it means.
    pub exit: Exit,
    /// For people: the journal's failure, or a bug.
    pub trouble: Option<String>,
    /// The state at the end.
    pub scheduler: Scheduler,
    /// Effects whose outcome this process could not record.
    pub unrecorded: Vec<String>,
}

/// What a task in hand was started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Look(u32),
    Prepare(u32),
    Apply(u32),
    Verify(u32),
    Settle(u32),
    Confirm,
}

/// What begins after the sync.
enum Launch {
    Look(StepIx, Vec<Ask>),
    Prepare(StepIx, Arc<dyn Connector>, Box<crate::run::connector::Call>),
    Apply(StepIx, Arc<dyn Connector>, Box<crate::run::connector::Call>),
    Settle(StepIx, Arc<dyn Connector>, Box<crate::run::connector::Call>, Option<Box<Ask>>, Duration),
}

/// Why the loop cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The driver made a record that cannot follow from those before it.
    #[error("a record of our own cannot be: {0}; this is a defect of relevo, please report it")]
    Illegal(#[from] Illegal),
}

impl Trouble {
    /// The exit code of a process that had to stop because of it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Trouble::Journal(error) => error.exit(),
            Trouble::Illegal(_) => Exit::JournalFailed,
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Failure::new(trouble.exit(), trouble.to_string())
    }
}

/// The loop and what it holds.
pub struct Driver {
    parts: Parts,
    hand: Hand,
    doing: BTreeMap<StepIx, Doing>,
    tasks: JoinSet<(StepIx, Answer)>,
    task_steps: HashMap<tokio::task::Id, StepIx>,
    /// Before-images that are stored, for attempts whose intents are not recorded yet; with the attempt and the time.
    images: BTreeMap<StepIx, (u32, Option<crate::run::event::EvidenceRef>, Instant)>,
    /// Appended and applied, not yet durable, not yet shown.
    fresh: Vec<Record>,
    launches: Vec<Launch>,
    receipts: Vec<(oneshot::Sender<Result<Receipt, String>>, Receipt)>,
    /// Answers to letters whose records are not durable yet.
    answers: Vec<(String, LetterAnswer)>,
    /// When the inbox is to be looked into again.
    letters_at: Option<Instant>,
    must_publish: bool,
    publish_at: Option<Instant>,
    signal: Option<Exit>,
    abandoned: bool,
    last_clocks: Option<(i64, u64, u64)>,
    requests_open: bool,
}

impl Driver {
    /// A driver with nothing in hand.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Driver {
            parts,
            hand: Hand::default(),
            doing: BTreeMap::new(),
            tasks: JoinSet::new(),
            task_steps: HashMap::new(),
            images: BTreeMap::new(),
            fresh: Vec::new(),
            launches: Vec::new(),
            receipts: Vec::new(),
            answers: Vec::new(),
            letters_at: None,
            must_publish: false,
            publish_at: None,
            signal: None,
            abandoned: false,
            last_clocks: None,
            requests_open: true,
        }
    }

    /// Appends events that open or reopen the run, before the loop starts. `amended` is the plan of a `PlanAmended`
    /// among them.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn open_with(&mut self, events: Vec<Event>, amended: Option<Arc<Plan>>) -> Result<(), Trouble> {
        for event in events {
            let amends = matches!(event, Event::PlanAmended { .. });
            self.record(event)?;
            if let (true, Some(plan)) = (amends, &amended) {
                let by = self.fresh.last().and_then(|record| match &record.event {
                    Event::PlanAmended { by, .. } => Some(by.clone()),
                    _ => None,
                });
                self.parts.scheduler.rebind(Arc::clone(plan), by.as_ref());
            }
        }
        self.commit()?;
        self.publish()
    }

    /// Records one order without starting anything: for a run that no process holds.
    ///
    /// # Errors
    /// The journal cannot be written. The inner error is a refusal, which leaves no record.
    pub fn obey_only(&mut self, order: &Order, from: &Sender) -> Result<Result<Receipt, String>, Trouble> {
        self.take_letters()?;
        let result = self.obey(order, from, None)?;
        if result.is_ok() {
            self.follow(order)?;
        }
        self.commit()?;
        self.publish()?;
        Ok(result)
    }

    /// Records what an order means for its step as far as that needs neither a look nor an act: a gate with its last
    /// vote is open, and is not shown as waiting until somebody resumes. A run that is stopped, with nothing in flight,
    /// has ended.
    fn follow(&mut self, order: &Order) -> Result<(), Trouble> {
        let step = order.step();
        // Nobody is there to see the rest through: whoever ends such a run closes it as it stands.
        if order.stops() && self.state().stopped.is_some() && self.state().ending.is_none() {
            return self.record(Event::RunFinished { ending: Ending::Stopped }).map(|_| ());
        }
        loop {
            let commands = self.parts.scheduler.next(self.parts.clock.now(), &self.hand).commands;
            let about = |command| match command {
                Command::Record(event) if event.step().is_some() && event.step() == step => Some(event),
                Command::Record(event @ Event::RunFinished { ending: Ending::Stopped }) => Some(event),
                _ => None,
            };
            let Some(event) = commands.into_iter().find_map(about) else { return Ok(()) };
            self.record(event)?;
        }
    }

    /// Runs until the run is finished, or something holds it up and nobody is there to wait for.
    pub async fn run(mut self) -> End {
        match self.turn().await {
            Ok(exit) => self.end(exit, None, Vec::new()),
            Err(trouble) => {
                let unrecorded = self.drain_unrecorded().await;
                self.end(trouble.exit(), Some(trouble.to_string()), unrecorded)
            }
        }
    }

    fn end(self, exit: Exit, trouble: Option<String>, unrecorded: Vec<String>) -> End {
        End { exit, trouble, scheduler: self.parts.scheduler, unrecorded }
    }

    fn state(&self) -> &RunState {
        self.parts.scheduler.state()
    }

    async fn turn(&mut self) -> Result<Exit, Trouble> {
        loop {
            if let (true, Some(exit)) = (self.abandoned, self.signal) {
                self.publish()?;
                return Ok(exit);
            }
            self.watch_clock()?;
            if self.letters_at.is_none_or(|at| at <= Instant::now()) && self.parts.letters.every().is_some() {
                self.letters_at = self.parts.letters.every().map(|every| Instant::now() + every);
                self.take_letters()?;
            }
            let (held_up, wake_at) = self.decide()?;
            self.commit()?;
            self.launch();
            if self.state().ending.is_some() {
                self.take_letters()?;
                self.publish()?;
                return Ok(self.finished());
            }
            if self.hand.steps.is_empty() {
                if let Some(exit) = self.signal {
                    self.take_letters()?;
                    self.publish()?;
                    return Ok(exit);
                }
                if held_up.is_some() && self.answer_questions()? {
                    continue;
                }
                if let Some(exit) = held_up.and_then(|held_up| self.leave(held_up, wake_at)) {
                    // The inbox is read before a process leaves: what lies there may be what it waits for.
                    if self.take_letters()? {
                        continue;
                    }
                    self.publish()?;
                    return Ok(exit);
                }
            }
            let state = self.parts.scheduler.state();
            let idle_again = self.parts.observer.idle(state);
            self.wait(wake_at, idle_again).await?;
        }
    }

    /// Appends, applies, and remembers for the next sync.
    fn record(&mut self, event: Event) -> Result<u64, Trouble> {
        self.record_for(event, None)
    }

    /// The same for an event that answers a letter.
    fn record_for(&mut self, event: Event, letter: Option<&str>) -> Result<u64, Trouble> {
        let record = self.parts.journal.append(self.parts.clock.now(), letter, &event)?;
        self.parts.scheduler.apply(&record)?;
        let seq = record.seq;
        // Names only: values that a step gave do not belong into a log.
        tracing::debug!(seq, step = record.event.step().map(StepId::as_str), event = record.event.name(), "recorded");
        self.fresh.push(record);
        Ok(seq)
    }

    /// Makes everything appended durable, then shows it. Nothing is shown before.
    fn commit(&mut self) -> Result<(), Trouble> {
        if self.fresh.is_empty() {
            self.answer_letters();
            return Ok(());
        }
        self.parts.journal.sync()?;
        self.publish_at.get_or_insert_with(|| Instant::now() + PUBLISH_AFTER);
        if std::mem::take(&mut self.must_publish) {
            self.publish()?;
        }
        let fresh = std::mem::take(&mut self.fresh);
        self.parts.observer.recorded(&fresh, self.parts.scheduler.state());
        for (reply, receipt) in self.receipts.drain(..) {
            // The poster may be gone; the record stands.
            let _ = reply.send(Ok(receipt));
        }
        self.answer_letters();
        Ok(())
    }

    /// Says to people at other terminals what became of their letters. Everything recorded so far is durable.
    fn answer_letters(&mut self) {
        for (letter, answer) in std::mem::take(&mut self.answers) {
            // One that cannot be removed is in the journal: found again, it is answered from there.
            let _ = self.parts.letters.answer(&letter, &answer);
        }
    }

    fn publish(&mut self) -> Result<(), Trouble> {
        self.publish_at = None;
        Ok(self.parts.journal.publish()?)
    }

    /// Asks the scheduler until it has nothing more to say.
    fn decide(&mut self) -> Result<(Option<HeldUp>, Option<Timestamp>), Trouble> {
        loop {
            let now = self.parts.clock.now();
            let next = self.parts.scheduler.next(now, &self.hand);
            if next.commands.is_empty() {
                return Ok((next.held_up, next.wake_at));
            }
            for command in next.commands {
                self.carry_out(command, now)?;
            }
        }
    }

    fn carry_out(&mut self, command: Command, now: Timestamp) -> Result<(), Trouble> {
        match command {
            Command::Record(event) => self.record(event).map(|_| ()),
            Command::Look(ix, attempt) => self.look(ix, Doing::Look(attempt)),
            Command::Verify(ix, attempt) => self.look(ix, Doing::Verify(attempt)),
            Command::Confirm(ix) => self.look(ix, Doing::Confirm),
            Command::Apply(ix, attempt) => self.apply(ix, attempt, now),
            Command::Settle(ix, attempt) => self.settle(ix, attempt, now),
            Command::AskGate(ix) => self.ask_gate(ix, now),
            Command::AskManual(ix) => self.ask_manual(ix),
        }
    }

    fn id(&self, ix: StepIx) -> StepId {
        self.state().plan.step(ix).id.clone()
    }

    fn fail(&mut self, ix: StepIx, reason: String) -> Result<(), Trouble> {
        self.record(Event::StepFailed { step: self.id(ix), reason }).map(|_| ())
    }

    fn take(&mut self, ix: StepIx, doing: Doing) {
        self.hand.steps.insert(ix);
        self.doing.insert(ix, doing);
    }

    /// Effects begin. Their intents are durable.
    fn launch(&mut self) {
        for launch in std::mem::take(&mut self.launches) {
            let (ix, handle) = match launch {
                Launch::Look(ix, asks) => (ix, self.tasks.spawn(attempt::look(ix, asks))),
                Launch::Prepare(ix, connector, call) => {
                    (ix, self.tasks.spawn(attempt::prepare(ix, connector, *call, Arc::clone(&self.parts.evidence))))
                }
                Launch::Apply(ix, connector, call) => (ix, self.tasks.spawn(attempt::apply(ix, connector, *call))),
                Launch::Settle(ix, connector, call, ask, patience) => {
                    (ix, self.tasks.spawn(attempt::settle(ix, connector, *call, ask.map(|ask| *ask), patience)))
                }
            };
            self.task_steps.insert(handle.id(), ix);
        }
    }

    async fn wait(&mut self, wake_at: Option<Timestamp>, idle_again: Option<Duration>) -> Result<(), Trouble> {
        let now = self.parts.clock.now();
        let timer = wake_at.map(|at| at.since(now).to_std());
        let publish = self.publish_at.map(|at| at.saturating_duration_since(Instant::now()));
        let letters = self.letters_at.map(|at| at.saturating_duration_since(Instant::now()));
        let sleep = [timer, publish, letters, idle_again].into_iter().flatten().min();
        tokio::select! {
            biased;
            Some(joined) = self.tasks.join_next_with_id() => {
                self.joined(joined)?;
                // Whatever else has ended by now shares the next sync.
                while let Some(joined) = self.tasks.try_join_next_with_id() {
                    self.joined(joined)?;
                }
            }
            request = self.parts.requests.recv(), if self.requests_open => match request {
                Some(request) => self.request(request)?,
                None => self.requests_open = false,
            },
            () = async { tokio::time::sleep(sleep.unwrap_or(Duration::from_hours(1))).await } => {
                if self.publish_at.is_some_and(|at| at <= Instant::now()) {
                    self.publish()?;
                }
            }
        }
        Ok(())
    }

    fn joined(&mut self, joined: Result<(tokio::task::Id, (StepIx, Answer)), tokio::task::JoinError>) -> Result<(), Trouble> {
        match joined {
            Ok((id, (ix, answer))) => {
                self.task_steps.remove(&id);
                self.answered(ix, answer)
            }
            // A task that panicked is a defect; to the run it is an answer that is not understood.
            Err(error) => match self.task_steps.remove(&error.id()) {
                Some(ix) => {
                    let reason = "the connector ended without an answer (a defect of relevo, please report it)";
                    let answer = match self.doing.get(&ix) {
                        Some(Doing::Apply(_)) => Answer::Applied(Outcome::Unknown { reason: reason.to_owned() }),
                        Some(Doing::Prepare(_)) => Answer::Prepared(Err(reason.to_owned())),
                        Some(Doing::Settle(_)) => Answer::Settled(Quiescence::CannotTell { seen: reason.to_owned() }, None),
                        _ => Answer::Looked(Vec::new()),
                    };
                    self.answered(ix, answer)
                }
                None => Ok(()),
            },
        }
    }

    /// Questions that somebody answers at once. True if anything was recorded.
    fn answer_questions(&mut self) -> Result<bool, Trouble> {
        let mut any = false;
        for question in questions(self.state()) {
            let events = self.parts.people.answer(self.parts.scheduler.state(), question);
            any |= !events.is_empty();
            for event in events {
                self.record(event)?;
            }
        }
        Ok(any)
    }

    /// The exit code if there is nobody to wait for.
    fn leave(&self, held_up: HeldUp, wake_at: Option<Timestamp>) -> Option<Exit> {
        match held_up {
            HeldUp::Time => (wake_at.is_none()).then_some(Exit::WaitingForPerson),
            // A pause that the clock caused is lifted by a person who has looked at the clock.
            HeldUp::Paused if self.state().paused.as_ref().is_some_and(|(by, _)| by.name == CLOCK) => {
                (!self.parts.people.is_there()).then_some(Exit::WaitingForPerson)
            }
            // Any other is lifted through the inbox, by somebody who knows of it.
            HeldUp::Paused => None,
            HeldUp::Window => (!self.parts.people.is_there()).then_some(Exit::WindowShut),
            HeldUp::Person => (!self.parts.people.is_there()).then_some(Exit::WaitingForPerson),
            HeldUp::Doubt => (!self.parts.people.is_there()).then_some(Exit::InDoubt),
        }
    }

    fn finished(&self) -> Exit {
        let rehearsal = self.state().mode == Mode::Rehearsal;
        match self.state().ending {
            Some(Ending::Failed | Ending::Stopped) if rehearsal => Exit::RehearsalFailed,
            _ if rehearsal && !self.state().failed.is_empty() => Exit::RehearsalFailed,
            Some(Ending::Failed) => Exit::Failed,
            _ if !self.state().failed.is_empty() => Exit::Failed,
            Some(Ending::Stopped) => self.signal.unwrap_or(Exit::Failed),
            Some(Ending::Done | Ending::Until) | None => Exit::Done,
        }
    }

    /// A wall clock that jumps must not start or stop steps unseen where it decides about them, by a window or by
    /// `not_before`: the run pauses.
    fn watch_clock(&mut self) -> Result<(), Trouble> {
        let wall = self.parts.clock.now().as_millis();
        let boot = self.parts.clock.boot_millis();
        let awake = self.parts.clock.awake_millis();
        if let Some((last_wall, last_boot, last_awake)) = self.last_clocks {
            let slept = boot.saturating_sub(last_boot).saturating_sub(awake.saturating_sub(last_awake));
            if slept > SLEEP_MILLIS && self.state().started.is_some() && self.state().ending.is_none() {
                // What was in flight goes on being awaited; connectors keep their timeouts on a clock that slept too.
                self.record(Event::Suspended { millis: slept })?;
            }
            let passed = i64::try_from(boot.saturating_sub(last_boot)).unwrap_or(i64::MAX);
            let jump = (wall - last_wall).saturating_sub(passed);
            if jump.abs() > JUMP_MILLIS && self.state().started.is_some() && self.state().ending.is_none() {
                self.record(Event::ClockJumped { millis: jump })?;
                let plan = &self.state().plan;
                let decides = plan.window.is_some() || plan.steps.iter().any(|step| step.not_before.is_some());
                if decides && self.state().paused.is_none() {
                    let by = Person { name: CLOCK.to_owned(), claimed: false };
                    let reason = format!("the wall clock jumped by {} s; check it, then `continue`", jump / 1000);
                    self.record(Event::RunPaused { by, reason })?;
                }
            }
        }
        self.last_clocks = Some((wall, boot, awake));
        Ok(())
    }

    /// The journal cannot be written: nothing more starts, what is in flight is waited for, and its outcome is told.
    async fn drain_unrecorded(&mut self) -> Vec<String> {
        self.launches.clear();
        let mut lines = Vec::new();
        let in_flight: Vec<String> = self.task_steps.values().map(|ix| self.id(*ix).to_string()).collect();
        if !in_flight.is_empty() {
            self.parts.observer.say(&format!("the journal cannot be written; waiting for {}", in_flight.join(", ")));
        }
        loop {
            tokio::select! {
                joined = self.tasks.join_next_with_id() => match joined {
                    Some(Ok((_, (ix, Answer::Applied(outcome))))) => {
                        let text = serde_json::to_string(&outcome).unwrap_or_default();
                        lines.push(format!("{} ended, not recorded: {text}", self.id(ix)));
                    }
                    Some(_) => {}
                    None => return lines,
                },
                request = self.parts.requests.recv(), if self.requests_open => match request {
                    Some(Request::Interrupt | Request::Terminate) => return lines,
                    Some(Request::Order(_, _, reply)) => {
                        if let Some(reply) = reply {
                            let _ = reply.send(Err("the journal cannot be written; nothing was recorded".to_owned()));
                        }
                    }
                    None => self.requests_open = false,
                },
            }
        }
    }
}

impl Doing {
    fn attempt(self) -> u32 {
        match self {
            Doing::Look(n) | Doing::Prepare(n) | Doing::Apply(n) | Doing::Verify(n) | Doing::Settle(n) => n,
            Doing::Confirm => 0,
        }
    }
}

/// The conditions that belong to a look.
fn conditions(state: &RunState, ix: StepIx, doing: Doing) -> &[Condition] {
    let step = state.plan.step(ix);
    match doing {
        Doing::Look(_) => &step.before,
        Doing::Verify(_) => &step.after,
        _ => &[],
    }
}
