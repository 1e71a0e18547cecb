//! The board: the one model of a run that console, `status`, JSON and a dashboard share.
//!
//! Pure: derived from [`RunState`], the time, and whether a living process holds the run. It says *what* is so; how
//! wide, in which colour and in which zone is up to whoever writes it down. Building one looks at every step, so
//! build it when it is about to be shown, not for every record.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{answers, next};
use crate::plan::graph::{self, Rest};
use crate::plan::{OnFailure, Plan, Step, StepId, StepIx, Work};
use crate::run::command::Hand;
use crate::run::decide;
use crate::run::event::{Ending, Holder, How, Mode, Person};
use crate::run::state::{GateState, RunState, StepState};
use crate::time::{Span, Timestamp};

/// Everything worth showing of a run at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// The run's id.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// Execute or rehearse.
    pub mode: Mode,
    /// The moment that this is about.
    pub now: Timestamp,
    /// When the run started.
    pub started: Option<Timestamp>,
    /// Sequence number of the last record that is taken into account.
    pub seq: u64,
    /// Whether a living process holds the run.
    pub live: bool,
    /// The last process that held it.
    pub holder: Option<Holder>,
    /// How the run as a whole stands.
    pub standing: Standing,
    /// Who paused or stopped it, and why.
    pub halted_by: Option<(Person, String)>,
    /// Number of steps per state; states without steps are absent.
    pub counts: BTreeMap<Word, usize>,
    /// Steps that are done, skipped or not applicable.
    pub satisfied: usize,
    /// Going back is refused.
    pub past_no_return: bool,
    /// One per step, in file order.
    pub rows: Vec<Row>,
    /// How long it will still take.
    pub forecast: Forecast,
    /// What needs a person, the most pressing first.
    pub asks: Vec<Ask>,
    /// The run's window.
    pub window: Option<crate::plan::Window>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its place in the plan.
    pub ix: StepIx,
    /// Its id.
    pub id: StepId,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// `action`, `gate`, `manual` or `checkpoint`.
    pub kind: &'static str,
    /// The state.
    pub word: Word,
    /// Since when it is so.
    pub since: Option<Timestamp>,
    /// From the first attempt to the end, or to now.
    pub elapsed: Option<Span>,
    /// The latest attempt, and how many are allowed. Only for actions that were begun.
    pub attempt: Option<(u32, u32)>,
    /// The author's median.
    pub estimate: Option<Span>,
    /// Why, what for, what was seen.
    pub note: Option<String>,
}

/// The state of a step in one word, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// Not begun.
    Pending,
    /// Not begun, and something before it failed or is in doubt.
    Blocked,
    /// A gate's question stands.
    WaitingGate,
    /// A manual step's instructions stand.
    WaitingManual,
    /// It may start when the window opens.
    WaitingWindow,
    /// It may start at its hour.
    WaitingHour,
    /// It may start when others have left the target.
    WaitingLimit,
    /// Tried, and to be tried again.
    WaitingBackoff,
    /// Being looked at.
    Probing,
    /// Its effect is being applied.
    Applying,
    /// Applied; being verified.
    Verifying,
    /// The effect is there, by our attempt or a decision.
    Done,
    /// Found done.
    Adopted,
    /// Definitely failed.
    Failed,
    /// Nobody can tell.
    InDoubt,
    /// It was in flight when its process ended.
    WasInFlight,
    /// Given up on request; it may still act.
    Abandoned,
    /// A person decided to go on without it.
    Skipped,
    /// Its `when` is false.
    NotApplicable,
}

impl Word {
    /// As people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Word::Pending => "pending",
            Word::Blocked => "blocked",
            Word::WaitingGate => "waiting (gate)",
            Word::WaitingManual => "waiting (manual)",
            Word::WaitingWindow => "waiting (window)",
            Word::WaitingHour => "waiting (not before)",
            Word::WaitingLimit => "waiting (limit)",
            Word::WaitingBackoff => "waiting (backoff)",
            Word::Probing => "probing",
            Word::Applying => "applying",
            Word::Verifying => "verifying",
            Word::Done => "done",
            Word::Adopted => "adopted",
            Word::Failed => "failed",
            Word::InDoubt => "in doubt",
            Word::WasInFlight => "in doubt (was in flight)",
            Word::Abandoned => "abandoned",
            Word::Skipped => "skipped",
            Word::NotApplicable => "not applicable",
        }
    }

    /// As programs read it. Stable.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Word::Pending => "pending",
            Word::Blocked => "blocked",
            Word::WaitingGate => "waiting_gate",
            Word::WaitingManual => "waiting_manual",
            Word::WaitingWindow => "waiting_window",
            Word::WaitingHour => "waiting_not_before",
            Word::WaitingLimit => "waiting_limit",
            Word::WaitingBackoff => "waiting_backoff",
            Word::Probing => "probing",
            Word::Applying => "applying",
            Word::Verifying => "verifying",
            Word::Done => "done",
            Word::Adopted => "adopted",
            Word::Failed => "failed",
            Word::InDoubt => "in_doubt",
            Word::WasInFlight => "in_doubt_was_in_flight",
            Word::Abandoned => "abandoned",
            Word::Skipped => "skipped",
            Word::NotApplicable => "not_applicable",
        }
    }

    /// Whether a process is doing something for the step right now.
    #[must_use]
    pub fn is_in_hand(self) -> bool {
        matches!(self, Word::Probing | Word::Applying | Word::Verifying)
    }

    /// Whether the step satisfies those that need it.
    #[must_use]
    pub fn is_satisfied(self) -> bool {
        matches!(self, Word::Done | Word::Adopted | Word::Skipped | Word::NotApplicable)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a run as a whole stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is no record yet.
    NotStarted,
    /// Something is in hand, or will be without anybody's help.
    Running,
    /// Nothing new starts until somebody continues it.
    Paused,
    /// Nothing happens until a person answers.
    WaitingForPerson,
    /// Nothing happens until a person says how something in doubt ended.
    InDoubt,
    /// Nothing happens until the window opens, or an hour has come.
    WaitingForTime,
    /// No living process holds it and it has not ended: somebody must resume it.
    Interrupted,
    /// It ended.
    Ended(Ending),
}

impl Standing {
    /// As people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::NotStarted => "not started",
            Standing::Running => "running",
            Standing::Paused => "paused",
            Standing::WaitingForPerson => "waiting for a person",
            Standing::InDoubt => "in doubt: a person must decide",
            Standing::WaitingForTime => "waiting for its hour",
            Standing::Interrupted => "interrupted: nobody holds it",
            Standing::Ended(Ending::Done) => "done",
            Standing::Ended(Ending::Until) => "stopped at the checkpoint asked for",
            Standing::Ended(Ending::Failed) => "failed",
            Standing::Ended(Ending::Stopped) => "stopped by a person",
        }
    }

    /// As programs read it. Stable.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Standing::NotStarted => "not_started",
            Standing::Running => "running",
            Standing::Paused => "paused",
            Standing::WaitingForPerson => "waiting_for_person",
            Standing::InDoubt => "in_doubt",
            Standing::WaitingForTime => "waiting_for_time",
            Standing::Interrupted => "interrupted",
            Standing::Ended(Ending::Done) => "done",
            Standing::Ended(Ending::Until) => "until",
            Standing::Ended(Ending::Failed) => "failed",
            Standing::Ended(Ending::Stopped) => "stopped",
        }
    }
}

/// How long it will still take, as far as the author's estimates tell. Never a guess of our own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// The critical path's steps that are not yet satisfied, in order.
    pub path: Vec<StepId>,
    /// Its length by the medians of the steps that have an estimate.
    pub remaining: Span,
    /// How many steps that are left have an estimate.
    pub estimated: usize,
    /// How many have none; not counting gates and manual steps.
    pub unestimated: usize,
    /// How many gates and manual steps are left: how long people take is nowhere counted in.
    pub people: usize,
    /// When it will be over. `None` unless every step that is left has an estimate.
    pub end: Option<Timestamp>,
}

/// Something that needs a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The step, if it is about one.
    pub step: Option<StepId>,
    /// What kind of answer is wanted.
    pub why: Why,
    /// The question or the reason, in one line. Not escaped.
    pub text: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when it stands.
    pub expires: Option<Timestamp>,
    /// What may be typed, the most likely answer first.
    pub commands: Vec<String>,
}

/// Why a person is needed. In the order of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Nobody can tell whether the effect is there.
    InDoubt,
    /// A step failed.
    Failed,
    /// A gate's question stands.
    Gate,
    /// A gate's question lapsed.
    GateExpired,
    /// A manual step is to be done.
    Manual,
    /// The window is shut, and steps are left.
    Window,
    /// The run is paused.
    Paused,
    /// The run must be taken up again.
    Resume,
}

impl Why {
    /// As people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Why::InDoubt => "in doubt",
            Why::Failed => "failed",
            Why::Gate => "gate",
            Why::GateExpired => "gate expired",
            Why::Manual => "manual",
            Why::Window => "window",
            Why::Paused => "paused",
            Why::Resume => "resume",
        }
    }
}

impl Board {
    /// The board as another process sees it. `live`: a living process holds the run.
    #[must_use]
    pub fn from(state: &RunState, now: Timestamp, live: bool) -> Board {
        Board::build(state, now, live, &BTreeSet::new())
    }

    /// The board as the process that holds the run sees it: it also knows what it has in hand.
    #[must_use]
    pub fn with_hand(state: &RunState, now: Timestamp, hand: &Hand) -> Board {
        Board::build(state, now, true, &hand.steps)
    }

    fn build(state: &RunState, now: Timestamp, live: bool, hand: &BTreeSet<StepIx>) -> Board {
        let blockers = blockers(state);
        let crowded = crowded_limits(state, live, hand);
        let mut rows = Vec::with_capacity(state.plan.steps.len());
        let mut counts = BTreeMap::new();
        for (step, ix) in state.plan.steps.iter().zip((0..).map(StepIx)) {
            let mut row = row(state, now, live, step, ix);
            match row.word {
                Word::Pending if hand.contains(&ix) => row.word = Word::Probing,
                Word::Pending => why_pending(state, now, step, &mut row, blockers[ix.at()], &crowded),
                _ => {}
            }
            *counts.entry(row.word).or_insert(0) += 1;
            rows.push(row);
        }
        let asks = asks(state, now, live, &rows);
        Board {
            run: state.run.clone(),
            plan: state.plan.name.clone(),
            mode: state.mode,
            now,
            started: state.started,
            seq: state.seq,
            live,
            holder: state.holder.clone(),
            standing: standing(state, live, &rows, &asks),
            halted_by: state.stopped.clone().or_else(|| state.paused.clone()),
            satisfied: rows.iter().filter(|row| row.word.is_satisfied()).count(),
            counts,
            past_no_return: state.past_no_return,
            forecast: forecast(state, now, &rows),
            rows,
            asks,
            window: state.plan.window.clone(),
        }
    }

    /// How many steps are in a state.
    #[must_use]
    pub fn count(&self, word: Word) -> usize {
        self.counts.get(&word).copied().unwrap_or(0)
    }

    /// The rows of steps that are being worked on, those begun first at the top.
    #[must_use]
    pub fn in_hand(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| row.word.is_in_hand()).collect();
        rows.sort_by_key(|row| (row.since.is_none(), row.since, row.ix));
        rows
    }

    /// From the start to the end, or to now.
    #[must_use]
    pub fn elapsed(&self) -> Option<Span> {
        self.started.map(|started| self.now.since(started))
    }

    /// What to type next.
    #[must_use]
    pub fn next_command(&self) -> String {
        match (self.asks.first().and_then(|ask| ask.commands.first()), self.standing) {
            // A rehearsal is never resumed nor decided about: it is followed by its run, or made anew.
            _ if self.mode == Mode::Rehearsal => match self.standing {
                Standing::Ended(Ending::Done | Ending::Until) => next::run_rehearsed(&self.run),
                _ if self.live => next::status(&self.run),
                _ => next::rehearse_again(&self.run),
            },
            (Some(command), _) => command.clone(),
            (None, Standing::Ended(Ending::Done)) => next::verify(&self.run),
            (None, Standing::Ended(Ending::Until | Ending::Stopped | Ending::Failed)) => next::resume(&self.run),
            (None, _) => next::status(&self.run),
        }
    }
}

fn row(state: &RunState, now: Timestamp, live: bool, step: &Step, ix: StepIx) -> Row {
    let facts = state.facts(ix);
    let mut since = facts.changed;
    let mut until = None;
    let mut attempt = facts.attempts;
    let (word, note) = match state.step(ix) {
        StepState::Pending => (Word::Pending, None),
        StepState::Backoff { next_attempt, reason, .. } => {
            (Word::WaitingBackoff, Some(format!("attempt {next_attempt} follows: {reason}")))
        }
        StepState::Looked { verdict, .. } => {
            let seen = verdict.map(|verdict| format!("looked at before the attempt: {verdict}"));
            (if live { Word::Probing } else { Word::Pending }, seen)
        }
        StepState::Ended { attempt: current, reason, .. } => {
            attempt = *current;
            (Word::Applying, Some(reason.clone()))
        }
        StepState::AtGate(gate) => {
            since = Some(gate.asked);
            (Word::WaitingGate, Some(if gate.expired { "the question has expired".to_owned() } else { gate.ask.clone() }))
        }
        StepState::AtManual(manual) => {
            since = Some(manual.asked);
            let note = match &manual.contradicted {
                Some(seen) => format!("said to be done, but the probe says: {seen}"),
                None => manual.instructions.clone(),
            };
            (Word::WaitingManual, Some(note))
        }
        StepState::Applying { attempt: current, since: begun } => {
            attempt = *current;
            since = Some(*begun);
            until = Some(now);
            (if live { Word::Applying } else { Word::WasInFlight }, None)
        }
        StepState::Verifying { attempt: current, .. } => {
            attempt = *current;
            until = Some(now);
            if live { (Word::Verifying, None) } else { (Word::WasInFlight, Some("applied, not yet verified".to_owned())) }
        }
        StepState::Unsettled { attempt: current, reason, abandoned } => {
            attempt = *current;
            (if *abandoned { Word::Abandoned } else { Word::InDoubt }, Some(reason.clone()))
        }
        StepState::InDoubt { attempt: current, reason, since: begun } => {
            attempt = *current;
            since = Some(*begun);
            (Word::InDoubt, Some(reason.clone()))
        }
        StepState::Done { how, at } => {
            since = Some(*at);
            until = Some(*at);
            let note = match how {
                How::Applied => None,
                How::Adopted => Some("was there already".to_owned()),
                How::Decided => facts.decided.as_ref().map(|(by, why)| {
                    if why.is_empty() { format!("{} decided", by.name) } else { format!("{} decided: {why}", by.name) }
                }),
                How::Unverified => Some("on the system's own word; there is no probe".to_owned()),
                How::Described => Some("described only".to_owned()),
            };
            (if *how == How::Adopted { Word::Adopted } else { Word::Done }, note)
        }
        StepState::Failed { reason, at, .. } => {
            since = Some(*at);
            until = Some(*at);
            (Word::Failed, Some(reason.clone()))
        }
        StepState::Skipped { by, reason } => (Word::Skipped, Some(format!("{}: {reason}", by.name))),
        StepState::NotApplicable => (Word::NotApplicable, None),
    };
    let is_action = matches!(step.work, Work::Action(_));
    Row {
        ix,
        id: step.id.clone(),
        name: step.name.clone(),
        kind: kind(step),
        word,
        since,
        elapsed: facts.first_started.zip(until).map(|(begun, until)| until.since(begun)),
        attempt: (is_action && attempt > 0).then_some((attempt, step.retry.attempts.max(attempt))),
        estimate: step.estimate.map(|estimate| estimate.p50),
        note,
    }
}

/// What a step is, in one word.
#[must_use]
pub fn kind(step: &Step) -> &'static str {
    match step.work {
        Work::Action(_) => "action",
        Work::Gate(_) => "gate",
        Work::Manual(_) => "manual",
        Work::Checkpoint => "checkpoint",
    }
}

/// Per step, the nearest step before it that failed or is in doubt.
fn blockers(state: &RunState) -> Vec<Option<StepIx>> {
    let mut blockers = vec![None; state.plan.steps.len()];
    // Nothing can be blocked in the ordinary case, and then the graph need not be walked at all.
    if !state.steps.iter().any(blocks) {
        return blockers;
    }
    for ix in graph::topological(&state.plan) {
        for &need in &state.plan.step(ix).needs {
            let cause = if blocks(state.step(need)) { Some(need) } else { blockers[need.at()] };
            if cause.is_some() && !state.is_satisfied(need) {
                blockers[ix.at()] = cause;
                break;
            }
        }
    }
    blockers
}

fn blocks(state: &StepState) -> bool {
    matches!(state, StepState::Failed { .. } | StepState::InDoubt { .. })
}

/// The limits of which nothing is left.
fn crowded_limits(state: &RunState, live: bool, hand: &BTreeSet<StepIx>) -> BTreeSet<crate::plan::LimitIx> {
    let mut used: BTreeMap<crate::plan::LimitIx, u32> = BTreeMap::new();
    let in_flight = |at: &StepState| matches!(at, StepState::Applying { .. } | StepState::Verifying { .. });
    for (step, ix) in state.plan.steps.iter().zip((0..).map(StepIx)) {
        if !step.limits.is_empty() && ((live && in_flight(state.step(ix))) || hand.contains(&ix)) {
            for &limit in &step.limits {
                *used.entry(limit).or_default() += 1;
            }
        }
    }
    used.into_iter()
        .filter(|(limit, used)| state.plan.limits.get(limit.0 as usize).is_some_and(|limit| *used >= limit.max))
        .map(|(limit, _)| limit)
        .collect()
}

/// Says why a step that has not begun has not begun.
fn why_pending(
    state: &RunState,
    now: Timestamp,
    step: &Step,
    row: &mut Row,
    blocker: Option<StepIx>,
    crowded: &BTreeSet<crate::plan::LimitIx>,
) {
    if let Some(blocker) = blocker {
        row.word = Word::Blocked;
        row.note = Some(format!("by {}", state.plan.step(blocker).id));
    } else if state.ending.is_none() && state.started.is_some() && needs_are_satisfied(state, step) {
        let window = state.plan.window.as_ref().filter(|_| in_window_mode(state));
        if let Some(window) = window.filter(|window| now < window.opens || now >= window.closes) {
            row.word = Word::WaitingWindow;
            row.since = None;
            row.note = Some(if now < window.opens { "opens later" } else { "is shut" }.to_owned());
        } else if step.not_before.is_some_and(|hour| now < hour) && state.mode == Mode::Execute {
            row.word = Word::WaitingHour;
        } else if let Some(limit) = step.limits.iter().find(|limit| crowded.contains(limit)) {
            row.word = Word::WaitingLimit;
            row.note = state.plan.limits.get(limit.0 as usize).map(|limit| format!("{} is busy", limit.name));
        }
    }
}

fn in_window_mode(state: &RunState) -> bool {
    state.mode == Mode::Execute && state.choices.window_override.is_none()
}

fn needs_are_satisfied(state: &RunState, step: &Step) -> bool {
    step.needs.iter().all(|&need| state.is_satisfied(need))
}

fn forecast(state: &RunState, now: Timestamp, rows: &[Row]) -> Forecast {
    let plan: &Plan = &state.plan;
    let mut forecast = Forecast::default();
    if state.ending == Some(Ending::Done) {
        return forecast;
    }
    for (row, step) in rows.iter().zip(&plan.steps).filter(|(row, _)| !row.word.is_satisfied()) {
        match (&step.work, row.estimate) {
            (_, Some(_)) => forecast.estimated += 1,
            (Work::Gate(_) | Work::Manual(_), None) => forecast.people += 1,
            (Work::Action(_), None) => forecast.unestimated += 1,
            (Work::Checkpoint, None) => {}
        }
    }
    let path = graph::critical_path(plan, |ix| {
        let row = &rows[ix.at()];
        if row.word.is_satisfied() {
            return Rest::Satisfied;
        }
        let until = match state.step(ix) {
            StepState::Backoff { until, .. } => Some(*until),
            _ => plan.step(ix).not_before.filter(|_| state.mode == Mode::Execute),
        };
        let wait = until.map_or(Span::ZERO, |until| until.since(now));
        // What is already spent on a running step counts; one that takes longer than foreseen counts as nearly over.
        let spent = if row.word.is_in_hand() { state.facts(ix).started.map(|begun| now.since(begun)) } else { None };
        let spent = spent.unwrap_or(Span::ZERO).as_millis();
        let left = row.estimate.unwrap_or(Span::ZERO).as_millis().saturating_sub(spent);
        Rest::Takes { wait, span: Span::from_millis(left) }
    });
    forecast.path = path.steps.iter().map(|&ix| plan.step(ix).id.clone()).collect();
    forecast.remaining = path.length;
    if forecast.unestimated == 0 && state.started.is_some() {
        forecast.end = Some(now.plus(path.length));
    }
    forecast
}

/// A gate's question, and who has said go where that is not enough yet.
fn question(step: &Step, gate: &GateState) -> String {
    match &step.work {
        Work::Gate(rules) if rules.quorum > 1 => {
            let names: Vec<&str> = gate.votes.iter().map(|person| person.name.as_str()).collect();
            let by = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
            format!("{} ({} of {} go{by})", gate.ask, names.len(), rules.quorum)
        }
        _ => gate.ask.clone(),
    }
}

fn asks(state: &RunState, now: Timestamp, live: bool, rows: &[Row]) -> Vec<Ask> {
    let mut asks = Vec::new();
    if state.ending.is_some() {
        return asks;
    }
    let run = state.run.as_str();
    for (ix, at) in (0..).map(StepIx).zip(&state.steps) {
        let step = state.plan.step(ix);
        let id = &step.id;
        let offer = |words: &[&str]| words.iter().map(|word| next::decide(run, id, word)).collect::<Vec<_>>();
        let (why, text, since, expires, commands) = match at {
            StepState::InDoubt { reason, since, .. } => {
                let offered = answers::in_doubt(run, id, state.facts(ix).last_probe.as_ref());
                (Why::InDoubt, reason.clone(), Some(*since), None, offered.into_iter().map(|answer| answer.command).collect())
            }
            StepState::Failed { reason, on_failure: OnFailure::Ask | OnFailure::Stop | OnFailure::Rollback, at } => {
                let text = match step.on_failure {
                    OnFailure::Rollback => format!("{reason} (the plan says `rollback`; this version asks instead)"),
                    OnFailure::Ask | OnFailure::Stop | OnFailure::Continue => reason.clone(),
                };
                let facts = state.facts(ix);
                let offered = answers::failed(run, step, facts.last_probe.as_ref());
                (Why::Failed, text, Some(*at), None, offered.into_iter().map(|answer| answer.command).collect())
            }
            StepState::AtGate(gate) if decide::has_lapsed(gate, now) => {
                (Why::GateExpired, gate.ask.clone(), Some(gate.asked), None, offer(&["retry", "stop"]))
            }
            StepState::AtGate(gate) => {
                let vote = |answer| next::vote(run, id, answer, &gate.nonce);
                (Why::Gate, question(step, gate), Some(gate.asked), gate.expires, vec![vote("go"), vote("no-go")])
            }
            StepState::AtManual(manual) if manual.answered.is_none() => {
                let mut commands = offer(&["done", "not-done"]);
                if let (Work::Manual(rules), Some(done)) = (&step.work, commands.first_mut()) {
                    for field in rules.evidence.iter().filter(|field| field.required) {
                        done.extend([" --evidence ", &field.name, "=…"]);
                    }
                }
                (Why::Manual, manual.instructions.clone(), Some(manual.asked), None, commands)
            }
            _ => continue,
        };
        asks.push(Ask { step: Some(id.clone()), why, text, since, expires, commands });
    }
    if state.window_closed {
        let text = "the window is shut, and steps are left; nothing more starts".to_owned();
        let mut commands = vec![next::extend(run)];
        let left = |ix: &StepIx| matches!(state.plan.step(*ix).work, Work::Checkpoint) && !state.is_satisfied(*ix);
        let checkpoint = (0..).map(StepIx).take(state.plan.steps.len()).find(left);
        commands.extend(checkpoint.map(|ix| next::extend_to(run, &state.plan.step(ix).id)));
        commands.push(next::abort(run));
        asks.push(Ask { step: None, why: Why::Window, text, since: None, expires: None, commands });
    }
    asks.sort_by_key(|ask| ask.why);
    if let Some((by, reason)) = state.paused.as_ref().filter(|_| live) {
        let text = format!("paused by {}: {reason}", by.name);
        asks.push(Ask { step: None, why: Why::Paused, text, since: None, expires: None, commands: vec![next::go_on(run)] });
    }
    let stands = rows.iter().any(|row| !row.word.is_satisfied());
    if !live && state.started.is_some() && stands {
        let lost = rows.iter().filter(|row| row.word == Word::WasInFlight).count();
        let text = match lost {
            0 => "nobody holds the run".to_owned(),
            n => format!("nobody holds the run; {} in flight", if n == 1 { "1 step was" } else { "several steps were" }),
        };
        let text = match state.paused.as_ref() {
            Some((by, reason)) => format!("{text}; paused by {}: {reason} (a resume lifts that)", by.name),
            None => text,
        };
        let command = if state.mode == Mode::Rehearsal { next::rehearse_again(run) } else { next::resume(run) };
        let ask = Ask { step: None, why: Why::Resume, text, since: state.last_at, expires: None, commands: vec![command] };
        // Where steps were cut off, or nobody is asked anything, the run must be taken up before anything else.
        if lost > 0 || asks.is_empty() { asks.insert(0, ask) } else { asks.push(ask) }
    }
    asks
}

fn standing(state: &RunState, live: bool, rows: &[Row], asks: &[Ask]) -> Standing {
    let any = |word: Word| rows.iter().any(|row| row.word == word);
    let wanted = |why: Why| asks.iter().any(|ask| ask.why == why);
    if let Some(ending) = state.ending {
        Standing::Ended(ending)
    } else if state.started.is_none() {
        Standing::NotStarted
    } else if live && rows.iter().any(|row| row.word.is_in_hand()) {
        if state.paused.is_some() { Standing::Paused } else { Standing::Running }
    } else if !live && any(Word::WasInFlight) {
        Standing::Interrupted
    } else if wanted(Why::InDoubt) {
        Standing::InDoubt
    } else if wanted(Why::Failed) || wanted(Why::Gate) || wanted(Why::GateExpired) || wanted(Why::Manual) || wanted(Why::Window) {
        Standing::WaitingForPerson
    } else if state.paused.is_some() {
        Standing::Paused
    } else if !live {
        Standing::Interrupted
    } else if any(Word::WaitingWindow) || any(Word::WaitingHour) {
        Standing::WaitingForTime
    } else {
        Standing::Running
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, person, run_of, weekend};
    use super::*;
    use crate::plan::{Limit, LimitIx};
    use crate::run::state::{GateState, ManualState};

    fn word(state: &RunState, id: &str, live: bool) -> (Word, Option<String>) {
        let board = Board::from(state, at(600), live);
        let row = &board.rows[state.plan.find(id).unwrap().at()];
        (row.word, row.note.clone())
    }

    fn at_gate(expired: bool) -> StepState {
        StepState::AtGate(GateState {
            ask: "go?".into(),
            behind: vec![],
            binding: "b".into(),
            nonce: "7f3a".into(),
            because: None,
            asked: at(300),
            expires: None,
            expired,
            votes: vec![],
        })
    }

    #[test]
    fn every_state_has_its_word() {
        let reason = || "because".to_owned();
        let manual = ManualState { instructions: "do".into(), asked: at(1), answered: None, contradicted: None };
        for (to, wanted) in [
            (StepState::Pending, Word::Pending),
            (StepState::Backoff { until: at(900), next_attempt: 2, reason: reason() }, Word::WaitingBackoff),
            (at_gate(false), Word::WaitingGate),
            (StepState::AtManual(manual), Word::WaitingManual),
            (StepState::Applying { attempt: 1, since: at(1) }, Word::Applying),
            (
                StepState::Verifying { attempt: 1, outputs: serde_json::Map::new(), looked: None, described: false },
                Word::Verifying,
            ),
            (StepState::Unsettled { attempt: 1, reason: reason(), abandoned: true }, Word::Abandoned),
            (StepState::Unsettled { attempt: 1, reason: reason(), abandoned: false }, Word::InDoubt),
            (StepState::InDoubt { attempt: 1, reason: reason(), since: at(1) }, Word::InDoubt),
            (StepState::Done { how: How::Applied, at: at(1) }, Word::Done),
            (StepState::Done { how: How::Adopted, at: at(1) }, Word::Adopted),
            (StepState::Failed { reason: reason(), on_failure: OnFailure::Ask, at: at(1) }, Word::Failed),
            (StepState::Skipped { by: person("a"), reason: reason() }, Word::Skipped),
            (StepState::NotApplicable, Word::NotApplicable),
        ] {
            let mut state = run_of(weekend());
            state.put("export", to);
            assert_eq!(word(&state, "export", true).0, wanted);
        }
    }

    #[test]
    fn a_step_in_flight_without_a_living_holder_is_in_doubt_and_the_run_must_be_resumed() {
        let mut state = run_of(weekend());
        state.applying("export", 1, 60);
        assert_eq!(word(&state, "export", false).0.as_str(), "in doubt (was in flight)");
        let board = Board::from(&state, at(600), false);
        assert_eq!(board.standing, Standing::Interrupted);
        assert_eq!(board.next_command(), "relevo resume 20261128-0300-k7");
        assert_eq!(word(&state, "export", true).0, Word::Applying);
    }

    #[test]
    fn a_rehearsal_that_was_interrupted_is_made_anew_and_never_resumed() {
        let mut state = run_of(weekend());
        state.mode = Mode::Rehearsal;
        state.run = "cut-off".to_owned();
        state.applying("export", 1, 60);
        next::was_rehearsed_with("cut-off", &["p.yaml".to_owned(), "--lab".to_owned()]);
        let board = Board::from(&state, at(600), false);
        assert_eq!(board.next_command(), "relevo rehearse p.yaml --lab");
        assert!(board.asks.iter().flat_map(|ask| &ask.commands).all(|command| !command.contains("resume")), "{:?}", board.asks);
    }

    #[test]
    fn what_stands_behind_a_failure_is_blocked_and_says_by_what() {
        let mut state = run_of(weekend());
        state.put("import", StepState::Failed { reason: "no".into(), on_failure: OnFailure::Ask, at: at(1) });
        assert_eq!(word(&state, "counts", true), (Word::Blocked, Some("by import".into())));
        assert_eq!(word(&state, "sign-in", true), (Word::Blocked, Some("by import".into())));
        assert_eq!(word(&state, "files", true).0, Word::Pending);
        state.put("import", StepState::Skipped { by: person("a"), reason: String::new() });
        assert_eq!(word(&state, "counts", true).0, Word::Pending);
    }

    #[test]
    fn a_step_that_may_start_says_whether_it_waits_for_the_window_the_hour_or_a_limit() {
        let mut plan = weekend();
        plan.limits.push(Limit { name: "sql01".into(), max: 1 });
        plan.steps[1].limits = vec![LimitIx(0)];
        plan.steps[2].limits = vec![LimitIx(0)];
        let mut state = run_of(plan);
        state.done("preflight", 0, 60);
        state.applying("stop-legacy[gc01]", 1, 60);
        assert_eq!(word(&state, "stop-legacy[gc02]", true), (Word::WaitingLimit, Some("sql01 is busy".into())));

        let mut plan = weekend();
        plan.steps[0].not_before = Some(at(900));
        assert_eq!(word(&run_of(plan.clone()), "preflight", true).0, Word::WaitingHour);
        plan.window.as_mut().unwrap().opens = at(700);
        assert_eq!(word(&run_of(plan.clone()), "preflight", true).0, Word::WaitingWindow);
        let mut state = run_of(plan);
        state.mode = Mode::Rehearsal;
        assert_eq!(word(&state, "preflight", true).0, Word::Pending, "a rehearsal waits for no window");
    }

    #[test]
    fn only_the_holder_knows_that_a_step_is_being_probed() {
        let state = run_of(weekend());
        let hand = Hand { steps: [StepIx(0)].into() };
        assert_eq!(Board::with_hand(&state, at(1), &hand).rows[0].word, Word::Probing);
        assert_eq!(Board::from(&state, at(1), true).rows[0].word, Word::Pending);
    }

    #[test]
    fn the_expected_end_is_unknown_as_soon_as_one_step_has_no_estimate() {
        let mut state = run_of(weekend());
        let board = Board::from(&state, at(0), true);
        assert_eq!(board.forecast.end, Some(at(136 * 60)));
        assert_eq!((board.forecast.people, board.forecast.unestimated), (3, 0));
        let path: Vec<&str> = board.forecast.path.iter().map(StepId::as_str).collect();
        assert_eq!(path[..4], ["preflight", "stop-legacy[gc01]", "export", "import-check"]);

        let mut plan = weekend();
        plan.steps[4].estimate = None;
        assert_eq!(Board::from(&run_of(plan), at(0), true).forecast.end, None);

        // What is spent counts, and what takes longer than foreseen counts as nearly over.
        state.done("preflight", 0, 60);
        state.applying("stop-legacy[gc01]", 1, 60);
        state.applying("stop-legacy[gc02]", 1, 60);
        assert_eq!(Board::from(&state, at(60), true).forecast.remaining, Span::from_secs(134 * 60));
        assert_eq!(Board::from(&state, at(120), true).forecast.remaining, Span::from_secs(133 * 60));
        assert_eq!(Board::from(&state, at(9000), true).forecast.remaining, Span::from_secs(129 * 60));
    }

    #[test]
    fn the_most_pressing_question_comes_first_and_its_command_is_what_to_type_next() {
        let mut state = run_of(weekend());
        state.put("go-live", at_gate(false));
        state.put("delete-ok", at_gate(true));
        state.put("files", StepState::Failed { reason: "no".into(), on_failure: OnFailure::Ask, at: at(1) });
        state.put("import", StepState::InDoubt { attempt: 1, reason: "reset".into(), since: at(1) });
        let board = Board::from(&state, at(600), true);
        let asks: Vec<(&str, Why)> = board.asks.iter().map(|ask| (ask.step.as_ref().unwrap().as_str(), ask.why)).collect();
        assert_eq!(
            asks,
            [("import", Why::InDoubt), ("files", Why::Failed), ("go-live", Why::Gate), ("delete-ok", Why::GateExpired)]
        );
        assert_eq!(board.standing, Standing::InDoubt);
        assert_eq!(
            board.next_command(),
            "relevo explain 20261128-0300-k7 import",
            "nobody looked: nothing is named yet that acts"
        );
        assert_eq!(board.asks[3].commands[0], "relevo decide 20261128-0300-k7 delete-ok retry --reason \"…\"");
    }

    #[test]
    fn a_failure_that_the_plan_foresees_asks_nobody() {
        let mut state = run_of(weekend());
        state.put("files", StepState::Failed { reason: "no".into(), on_failure: OnFailure::Continue, at: at(1) });
        assert!(Board::from(&state, at(600), true).asks.is_empty());
    }

    #[test]
    fn a_board_of_ten_thousand_steps_is_built_within_a_frame_or_two() {
        let mut steps: Vec<(Step, &[&str])> = vec![(super::super::sample::noop("begin"), &[])];
        steps.extend((0..10_000).map(|n| (super::super::sample::noop(&format!("step{n}")), &["begin"][..])));
        let state = run_of(super::super::sample::plan(steps));
        let begun = std::time::Instant::now();
        let board = Board::from(&state, at(1), true);
        assert_eq!(board.rows.len(), 10_001);
        // Generous: an unoptimised build on a busy machine.
        assert!(begun.elapsed().as_millis() < 1500, "{:?}", begun.elapsed());
    }
}
