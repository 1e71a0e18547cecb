//! Decides what may happen next. Pure: no clock, no file, no `await`, no randomness.
//!
//! Owns the order of steps, limits, retries, what a probe's answer allows, gates, the window and the end of a run.
//! Does not own how anything is done, nor what this process has in hand; both are told to it.

use std::sync::Arc;

use super::command::{Command, Hand, HeldUp, Next};
use super::decide;
use super::doubt::{self, Follows, LOOK_AGAIN, LOOKS};
use super::event::{Ending, Event, Holding, How, Outputs, Person, Record};
use super::fold::Illegal;
use super::ready::Offer;
use super::scope;
use super::state::{RunState, StepState};
use crate::plan::action::Effect;
use crate::plan::expr::ExprError;
use crate::plan::{LimitIx, OnFailure, Plan, Step, StepIx, Verdict, Work};
use crate::time::{Span, Timestamp};

/// How old a look may be when the attempt that it allows is made.
const STALE: Span = Span::from_secs(60);

/// The state of a run, and what may follow from it.
#[derive(Debug, Clone)]
pub struct Scheduler {
    state: RunState,
}

impl Scheduler {
    /// Before the first record.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Scheduler { state: RunState::new(plan) }
    }

    /// What is known.
    #[must_use]
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Applies one record.
    ///
    /// # Errors
    /// The record cannot follow from those before it.
    pub fn apply(&mut self, record: &Record) -> Result<(), Illegal> {
        self.state.apply(record)
    }

    /// Goes on with another plan; states are carried over by id. For `PlanAmended` by that person, and for its replay; for
    /// nobody where a rehearsal makes its own plan of the stored one.
    pub fn rebind(&mut self, plan: Arc<Plan>, by: Option<&Person>) {
        self.state = self.state.rebind(plan, by);
    }

    /// What to do now.
    ///
    /// The steps that this process has in `hand` are left alone: their events will come. In this order:
    ///
    /// - steps that have begun are brought to an end, whatever else holds (a pause or a shut window only keeps new
    ///   steps from starting);
    /// - gates and manual steps are asked, checkpoints reached;
    /// - new steps start in plan order while slots and limits last;
    /// - if nothing is left to do and nothing is in hand, the run is finished, or something holds it up.
    ///
    /// Records come alone: what else may be done is asked again once they are applied, because a failure among them
    /// may keep everything else from starting.
    #[must_use]
    pub fn next(&self, now: Timestamp, hand: &Hand) -> Next {
        let mut next = Next::default();
        if self.state.started.is_none() || self.state.ending.is_some() {
            return next;
        }
        for ix in &self.state.excluded {
            let name = self.state.choices.exclude.join(", ");
            let by = self.state.on_duty.clone().unwrap_or(Person { name: String::new(), claimed: true });
            let reason = format!("excluded: {name}");
            next.commands.push(Command::Record(Event::StepSkipped { step: self.id(*ix), by, reason }));
        }
        self.lapse(now, &mut next);
        if !next.commands.is_empty() {
            return next;
        }
        for ix in &self.state.open {
            if !hand.steps.contains(ix) {
                self.go_on(*ix, now, &mut next);
            }
        }
        for ix in &self.state.doubtful {
            // A person has been asked; after a resume it is looked at once more before the question is put again.
            let looked = self.state.facts(*ix).doubt_looks > 0 || self.state.plan.step(*ix).effect() == Effect::Opaque;
            if let (StepState::InDoubt { attempt, .. }, false) = (self.state.step(*ix), looked || hand.steps.contains(ix)) {
                next.commands.push(Command::Settle(*ix, *attempt));
            }
        }
        let held = self.holds_new_steps(now, &mut next);
        if let Some(event) = self.window_event(now) {
            next.commands.push(Command::Record(event));
        }
        let asked_again = held == Some(HeldUp::Person) && !self.is_stopped_by_more_than_a_failure(now);
        if (held.is_none() || asked_again) && !next.commands.iter().any(is_record) {
            self.start(now, hand, held.is_some(), &mut next);
        }
        if next.commands.iter().any(is_record) {
            next.commands.retain(is_record);
        }
        if next.commands.is_empty() && hand.steps.is_empty() {
            self.conclude(held, now, &mut next);
        }
        next
    }

    /// Whether something keeps attempts from starting at `now`: a stop, a failure that asks, a pause, or the window.
    #[must_use]
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.holds_new_steps(now, &mut Next::default()).is_some()
    }

    /// Goes that no longer hold: what they were for has changed, or their time is over before anything began.
    fn lapse(&self, now: Timestamp, next: &mut Next) {
        for ix in &self.state.live_gates {
            if !matches!(self.state.step(*ix), StepState::Done { .. }) {
                continue;
            }
            let facts = self.state.facts(*ix);
            let reason = match (&facts.stale, facts.go_until) {
                (Some(reason), _) => reason.clone(),
                (None, Some(until)) if now >= until => {
                    "nothing behind it has begun in the time for which the go was valid".to_owned()
                }
                (None, Some(until)) => {
                    wake(next, until);
                    continue;
                }
                (None, None) => continue,
            };
            next.commands.push(Command::Record(Event::GoLapsed { step: self.id(*ix), reason }));
        }
    }

    /// Whether something keeps this step's attempt from starting. A person who says `retry` means this step, whatever other
    /// failures wait for an answer.
    fn is_held_by(&self, held: Option<HeldUp>, ix: StepIx, now: Timestamp) -> bool {
        match held {
            None => false,
            Some(HeldUp::Person) => self.state.facts(ix).decided.is_none() || self.is_stopped_by_more_than_a_failure(now),
            Some(_) => true,
        }
    }

    /// A failure is the first thing that is told; a pause, an end or a shut window may hold steps beside it.
    fn is_stopped_by_more_than_a_failure(&self, now: Timestamp) -> bool {
        self.state.stopped.is_some() || self.state.paused.is_some() || self.window_is_shut(now)
    }

    fn id(&self, ix: StepIx) -> crate::plan::StepId {
        self.state.plan.step(ix).id.clone()
    }

    /// Brings a step that has begun one stage further.
    fn go_on(&self, ix: StepIx, now: Timestamp, next: &mut Next) {
        let step = self.state.plan.step(ix);
        match self.state.step(ix) {
            StepState::Pending => self.ask(ix, now, next),
            StepState::AtGate(gate) => {
                if gate.expired {
                    return;
                }
                let Work::Gate(rules) = &step.work else { return };
                // Votes are counted by the rules as they are now: whoever has taken the run over since is one side of it.
                let counted = gate.votes.iter().filter(|by| decide::vote_counts(&self.state, ix, rules, by).is_ok()).count();
                let stands = self.state.facts(ix).stale.is_none() && self.state.is_ready(ix);
                if let Some((by, reason)) = self.state.facts(ix).no_go.clone() {
                    next.commands.push(Command::Record(Event::GateRefused { step: self.id(ix), by, reason }));
                } else if stands && u32::try_from(counted).unwrap_or(u32::MAX) >= rules.quorum {
                    next.commands.push(Command::Record(Event::GateOpened { step: self.id(ix) }));
                } else if gate.expires.is_some_and(|expires| now >= expires) {
                    next.commands.push(Command::Record(Event::GateExpired { step: self.id(ix) }));
                } else {
                    if let Some(expires) = gate.expires {
                        wake(next, expires);
                    }
                    // While a gate before it is asked again, its own question waits.
                    if self.state.facts(ix).stale.is_some() && self.state.is_ready(ix) {
                        next.commands.push(Command::AskGate(ix));
                    }
                }
            }
            StepState::AtManual(manual) => {
                let Work::Manual(rules) = &step.work else { return };
                if let Some((_, evidence)) = &manual.answered {
                    if rules.probe.is_some() {
                        next.commands.push(Command::Confirm(ix));
                    } else {
                        next.commands.push(self.verified(ix, How::Decided, evidence.clone()));
                    }
                }
            }
            StepState::Looked { next_attempt, verdict, unmet } => {
                self.after_look(ix, *next_attempt, *verdict, unmet.as_ref(), now, next);
            }
            StepState::Applying { attempt, .. } => next.commands.push(Command::Settle(ix, *attempt)),
            StepState::Unsettled { attempt, reason, .. } => self.settle(ix, *attempt, reason, now, next),
            StepState::Ended { attempt, reason, untouched } => {
                if let Some(why_not) = self.no_retry(step, ix, *attempt, *untouched, now) {
                    let reason = if why_not.is_empty() { reason.clone() } else { format!("{reason}; {why_not}") };
                    next.commands.push(Command::Record(Event::StepFailed { step: self.id(ix), reason }));
                } else {
                    let at = now.plus(backoff(step, *attempt));
                    next.commands.push(self.retry(ix, attempt + 1, at, reason.clone()));
                }
            }
            StepState::Verifying { attempt, outputs, looked, described } => {
                self.verify(ix, *attempt, outputs, looked.as_ref(), *described, now, next);
            }
            StepState::Backoff { .. }
            | StepState::InDoubt { .. }
            | StepState::Done { .. }
            | StepState::Failed { .. }
            | StepState::Skipped { .. }
            | StepState::NotApplicable => {}
        }
    }

    /// A gate, manual step or checkpoint whose needs are satisfied.
    fn ask(&self, ix: StepIx, now: Timestamp, next: &mut Next) {
        let held = self.holds_new_steps(now, &mut Next::default());
        let asked_for = self.state.facts(ix).decided.is_some() && self.state.stopped.is_none();
        if !self.is_wanted(ix) || held == Some(HeldUp::Person) && !asked_for {
            return;
        }
        match self.when(ix) {
            Ok(true) => {}
            Ok(false) => {
                next.commands.push(Command::Record(Event::StepNotApplicable { step: self.id(ix) }));
                return;
            }
            Err(reason) => {
                next.commands.push(Command::Record(Event::StepFailed { step: self.id(ix), reason }));
                return;
            }
        }
        let step = self.state.plan.step(ix);
        if let Some(not_before) = step.not_before.filter(|at| now < *at) {
            wake(next, not_before);
            return;
        }
        next.commands.push(match &step.work {
            Work::Gate(_) => Command::AskGate(ix),
            Work::Manual(_) => Command::AskManual(ix),
            Work::Checkpoint => Command::Record(Event::CheckpointReached { step: self.id(ix) }),
            Work::Action(_) => unreachable!("actions whose needs are satisfied are ready, not open"),
        });
    }

    /// What a look before the attempt allows.
    fn after_look(
        &self,
        ix: StepIx,
        attempt: u32,
        verdict: Option<Verdict>,
        unmet: Option<&super::event::ConditionSeen>,
        now: Timestamp,
        next: &mut Next,
    ) {
        let step = self.state.plan.step(ix);
        let facts = self.state.facts(ix);
        let seen = facts.last_probe.as_ref().map_or("", |probe| probe.seen.as_str());
        let fail = |reason: String| Command::Record(Event::StepFailed { step: step.id.clone(), reason });
        // Done already: nothing will be done, so conditions on the doing do not matter.
        if verdict == Some(Verdict::Done) {
            let how = if facts.may_have_acted && facts.decided.is_none() { How::Applied } else { How::Adopted };
            let outputs = facts.looked_outputs.clone();
            next.commands.push(self.verified(ix, how, outputs));
            return;
        }
        if let Some(condition) = unmet {
            if condition.holds == Holding::Fails {
                let reason = format!("`before` does not hold: {}: {}", condition.name, condition.seen);
                next.commands.push(fail(reason));
            } else {
                let reason = format!("`before` cannot be told: {}: {}", condition.name, condition.seen);
                self.look_again(ix, attempt, reason, now, next);
            }
            return;
        }
        match verdict {
            None | Some(Verdict::NotDone) => self.launch(ix, attempt, now, next),
            // Setting the rest is setting it, unless an attempt of ours has destroyed the first part of something.
            Some(Verdict::Partial) if step.effect() == Effect::Ensure && (!step.is_destructive() || attempt == 1) => {
                self.launch(ix, attempt, now, next);
            }
            // A person saw the half and says again. The action looks once more itself, and refuses what it cannot mend.
            Some(Verdict::Partial) if facts.decided.is_some() && step.effect() != Effect::Read => {
                self.launch(ix, attempt, now, next);
            }
            Some(Verdict::Partial) => next.commands.push(fail(format!("is partly done before attempt {attempt}: {seen}"))),
            Some(Verdict::Conflict) => next.commands.push(fail(format!("it cannot be done as things are: {seen}"))),
            Some(Verdict::Unknown) => {
                let reason = format!("the probe before attempt {attempt} cannot tell: {seen}");
                self.look_again(ix, attempt, reason, now, next);
            }
            Some(Verdict::Done) => unreachable!("handled above"),
        }
    }

    /// A pause, a stop or a shut window also keeps a step that was looked at from being applied.
    fn launch(&self, ix: StepIx, attempt: u32, now: Timestamp, next: &mut Next) {
        let held = self.holds_new_steps(now, &mut Next::default());
        if self.is_held_by(held, ix, now) || !self.state.is_ready(ix) {
            return;
        }
        if self.is_too_late(ix, now) {
            let reason = "its deadline has passed".to_owned();
            next.commands.push(Command::Record(Event::StepFailed { step: self.id(ix), reason }));
            return;
        }
        let looked = self.state.facts(ix).last_probe.as_ref().map(|probe| probe.at);
        let stale = looked.is_none_or(|at| now.since(at) > STALE);
        next.commands.push(if stale { Command::Look(ix, attempt) } else { Command::Apply(ix, attempt) });
    }

    /// Looks again after a while, or fails once that was done often enough.
    fn look_again(&self, ix: StepIx, attempt: u32, reason: String, now: Timestamp, next: &mut Next) {
        let facts = self.state.facts(ix);
        let looks = facts.unknown_probes.max(facts.unmet_looks);
        if looks >= LOOKS {
            next.commands.push(Command::Record(Event::StepFailed { step: self.id(ix), reason }));
        } else if let Some(again) = self.again_at(ix, now) {
            wake(next, again);
        } else {
            next.commands.push(Command::Look(ix, attempt));
        }
    }

    /// What follows for an attempt in doubt, from the looks made since.
    fn settle(&self, ix: StepIx, attempt: u32, reason: &str, now: Timestamp, next: &mut Next) {
        let facts = self.state.facts(ix);
        let step = self.state.plan.step(ix);
        let (Some(follows), Some(probe)) = (doubt::follows(step, facts), facts.last_probe.as_ref()) else {
            next.commands.push(Command::Settle(ix, attempt));
            return;
        };
        match follows {
            Follows::LookAgain(after) => match self.again_after(ix, now, after) {
                Some(at) => wake(next, at),
                None => next.commands.push(Command::Settle(ix, attempt)),
            },
            Follows::Done => unreachable!("the fold turns it into verifying"),
            Follows::Person(why) => {
                let reason = format!("attempt {attempt} is in doubt ({reason}); {why}: {}", probe.seen);
                next.commands.push(Command::Record(Event::StepInDoubt { step: step.id.clone(), reason }));
            }
            Follows::Repeat => {
                // What is said must be what is known: only a probe's word says that it was not done.
                let known = match probe.verdict {
                    Some(Verdict::NotDone) => format!("attempt {attempt} ({reason}) was looked at: not done: {}", probe.seen),
                    _ => {
                        let effect = effect_word(step.effect());
                        format!("attempt {attempt}: {reason}; repeating it does no harm (effect: {effect}): {}", probe.seen)
                    }
                };
                next.commands.push(self.repeat(ix, attempt, known, now));
            }
        }
    }

    /// What follows for an attempt that was applied.
    #[expect(clippy::too_many_arguments, reason = "the parts of one state, taken apart by the caller")]
    fn verify(
        &self,
        ix: StepIx,
        attempt: u32,
        outputs: &Outputs,
        looked: Option<&(Option<Verdict>, Option<super::event::ConditionSeen>)>,
        described: bool,
        now: Timestamp,
        next: &mut Next,
    ) {
        let step = self.state.plan.step(ix);
        let facts = self.state.facts(ix);
        if described {
            next.commands.push(self.verified(ix, How::Described, outputs.clone()));
            return;
        }
        let must_look = step.is_probed() || !step.after.is_empty();
        let Some((verdict, unmet)) = looked else {
            if must_look {
                next.commands.push(Command::Verify(ix, attempt));
            } else {
                let how = if step.effect() == Effect::Read { How::Applied } else { How::Unverified };
                next.commands.push(self.verified(ix, how, outputs.clone()));
            }
            return;
        };
        let seen = facts.last_probe.as_ref().map_or("", |probe| probe.seen.as_str());
        if let Some(condition) = unmet.as_ref().filter(|condition| condition.holds == Holding::Fails) {
            let reason = format!("it was applied, but `after` does not hold: {}: {}", condition.name, condition.seen);
            next.commands.push(Command::Record(Event::StepFailed { step: step.id.clone(), reason }));
        } else if unmet.is_none() && matches!(verdict, None | Some(Verdict::Done)) {
            let how = if facts.decided.is_some() && self.decided_done(ix) { How::Decided } else { How::Applied };
            next.commands.push(self.verified(ix, how, outputs.clone()));
        } else if facts.verify_looks < LOOKS {
            // The system may be slow to show what it has accepted.
            match self.again_at(ix, now) {
                Some(at) => wake(next, at),
                None => next.commands.push(Command::Verify(ix, attempt)),
            }
        } else {
            let reason = match unmet {
                Some(condition) => format!("it was applied, but `after` cannot be told: {}: {}", condition.name, condition.seen),
                None => format!("it was applied, but the probe does not show it: {seen}"),
            };
            next.commands.push(Command::Record(Event::StepInDoubt { step: step.id.clone(), reason }));
        }
    }

    fn decided_done(&self, ix: StepIx) -> bool {
        let facts = self.state.facts(ix);
        facts.last_probe.as_ref().is_none_or(|probe| probe.verdict != Some(Verdict::Done) || !probe.quiesced)
    }

    /// Another attempt after one in doubt that may be repeated.
    ///
    /// An attempt whose end was not seen, because this process died or was told to give it up, costs none of the
    /// step's attempts. One that the system left without an answer does: otherwise a system that never answers would
    /// be called for ever, without a pause.
    fn repeat(&self, ix: StepIx, attempt: u32, reason: String, now: Timestamp) -> Command {
        let step = self.state.plan.step(ix);
        let facts = self.state.facts(ix);
        if !facts.unanswered {
            return self.retry(ix, attempt + 1, now, reason);
        }
        match self.no_retry(step, ix, attempt, true, now) {
            None => self.retry(ix, attempt + 1, now.plus(backoff(step, attempt)), reason),
            Some(why_not) => {
                let reason = if why_not.is_empty() { reason } else { format!("{reason}; {why_not}") };
                Command::Record(Event::StepFailed { step: self.id(ix), reason })
            }
        }
    }

    /// Whether the deadline of all attempts has passed. A person's decision to try again sets it anew.
    fn is_too_late(&self, ix: StepIx, now: Timestamp) -> bool {
        let deadline = self.state.plan.step(ix).deadline;
        let first = self.state.facts(ix).first_started;
        matches!((deadline, first), (Some(deadline), Some(first)) if now >= first.plus(deadline))
    }

    /// Why there is no further attempt; `None` if there is one. Empty if retries were simply not asked for.
    fn no_retry(&self, step: &Step, ix: StepIx, attempt: u32, untouched: bool, now: Timestamp) -> Option<String> {
        let blind = step.is_destructive() && !step.is_probed();
        if !untouched && (blind || matches!(step.effect(), Effect::Once | Effect::Opaque)) {
            return Some(if step.retry.attempts > attempt {
                let kind = if blind { "destructive, no probe" } else { effect_word(step.effect()) };
                format!("not tried again, because its effect may not be nil (effect: {kind})")
            } else {
                String::new()
            });
        }
        if attempt >= step.retry.attempts {
            return Some(if attempt > 1 { format!("{attempt} attempts were made") } else { String::new() });
        }
        let first = self.state.facts(ix).first_started.unwrap_or(now);
        if step.deadline.is_some_and(|deadline| now.plus(backoff(step, attempt)) >= first.plus(deadline)) {
            return Some("its deadline leaves no time for another attempt".to_owned());
        }
        None
    }

    fn retry(&self, ix: StepIx, attempt: u32, at: Timestamp, reason: String) -> Command {
        Command::Record(Event::RetryScheduled { step: self.id(ix), attempt, at, reason })
    }

    fn verified(&self, ix: StepIx, how: How, outputs: Outputs) -> Command {
        Command::Record(Event::StepVerified { step: self.id(ix), how, outputs })
    }

    /// When the next look is due, if that is not now. A clock that went backwards delays nothing.
    fn again_at(&self, ix: StepIx, now: Timestamp) -> Option<Timestamp> {
        self.again_after(ix, now, LOOK_AGAIN)
    }

    fn again_after(&self, ix: StepIx, now: Timestamp, after: Span) -> Option<Timestamp> {
        let at = self.state.facts(ix).last_probe.as_ref()?.at;
        let again = at.plus(after);
        (at <= now && now < again).then_some(again)
    }

    fn is_wanted(&self, ix: StepIx) -> bool {
        self.state.wanted.as_ref().is_none_or(|wanted| wanted.contains(&ix))
    }

    /// What keeps every new step from starting, if anything does.
    fn holds_new_steps(&self, now: Timestamp, next: &mut Next) -> Option<HeldUp> {
        if self.state.stopped.is_some() {
            return Some(HeldUp::Person);
        }
        let halts = |ix: &StepIx| match self.state.step(*ix) {
            StepState::Failed { on_failure, .. } => *on_failure != OnFailure::Continue,
            _ => false,
        };
        if self.state.failed.iter().any(halts) {
            return Some(HeldUp::Person);
        }
        if self.state.paused.is_some() {
            return Some(HeldUp::Paused);
        }
        if let Some((opens, closes)) = self.window() {
            if now < opens {
                wake(next, opens);
                return Some(HeldUp::Window);
            }
            if now >= closes {
                return Some(HeldUp::Window);
            }
            wake(next, closes);
        }
        None
    }

    /// The window that holds steps, if one does: none does once the point of no return has started, since then the only way
    /// is on.
    fn window(&self) -> Option<(Timestamp, Timestamp)> {
        let window = self.state.plan.window.as_ref()?;
        let waived = self.state.window_waived_for.as_ref().is_some_and(|id| self.state.choices.until.as_ref() == Some(id));
        if self.state.choices.window_override.is_some() || waived || self.state.past_no_return {
            return None;
        }
        Some((window.opens, self.state.window_until.map_or(window.closes, |until| until.max(window.closes))))
    }

    fn window_is_shut(&self, now: Timestamp) -> bool {
        self.window().is_some_and(|(opens, closes)| now < opens || now >= closes)
    }

    /// What is recorded of a window that has closed while steps are left: once, that a person is asked; or once, that the run
    /// goes on past it.
    fn window_event(&self, now: Timestamp) -> Option<Event> {
        let state = &self.state;
        let closes = state.plan.window.as_ref()?.closes;
        if now < closes || state.satisfied == state.steps.len() {
            return None;
        }
        if state.past_no_return {
            return state.overrun.is_none().then_some(Event::WindowClosed { overrun: true });
        }
        let shut = self.window().is_some_and(|(_, closes)| now >= closes);
        (shut && !state.window_closed && state.stopped.is_none()).then_some(Event::WindowClosed { overrun: false })
    }

    /// Starts new steps in plan order while slots and limits last.
    ///
    /// `only_decided`: a failure waits for a person, and only what a person said to try again starts.
    fn start(&self, now: Timestamp, hand: &Hand, only_decided: bool, next: &mut Next) {
        let plan = &self.state.plan;
        // Steps with a command in this very answer, and steps in hand, take a slot and their limits; so does an
        // attempt whose end is not known, because it may still act.
        let mut used: Vec<u32> = vec![0; plan.limits.len()];
        let mut busy = 0_u32;
        let begun = |ix: &StepIx| self.state.open.contains(ix) || self.state.doubtful.contains(ix);
        for ix in self.state.open.iter().chain(&self.state.doubtful).chain(hand.steps.iter().filter(|ix| !begun(ix))) {
            let acts = !matches!(self.state.step(*ix), StepState::AtGate(_) | StepState::AtManual(_))
                && matches!(plan.step(*ix).work, Work::Action(_));
            if acts {
                if !self.state.doubtful.contains(ix) {
                    busy += 1;
                }
                for limit in &plan.step(*ix).limits {
                    used[limit.0 as usize] += 1;
                }
            }
        }
        // Both closures need the counts, one after the other.
        let used = std::cell::RefCell::new(used);
        let is_free = |limits: &[LimitIx]| {
            let used = used.borrow();
            limits.iter().all(|limit| used[limit.0 as usize] < plan.limits[limit.0 as usize].max)
        };
        self.state.ready.offer(is_free, |ix| {
            if busy >= plan.max_parallel {
                return Offer::Enough;
            }
            let left_alone = only_decided && self.state.facts(ix).decided.is_none();
            if hand.steps.contains(&ix) || !self.is_wanted(ix) || left_alone {
                return Offer::Next;
            }
            let step = plan.step(ix);
            let attempt = match self.state.step(ix) {
                StepState::Backoff { until, .. } if now < *until => {
                    wake(next, *until);
                    return Offer::Next;
                }
                StepState::Backoff { next_attempt, .. } => *next_attempt,
                // An amended step starts from nothing, but its attempts go on being counted.
                _ => self.state.facts(ix).attempts + 1,
            };
            if let Some(not_before) = step.not_before.filter(|at| now < *at) {
                wake(next, not_before);
                return Offer::Next;
            }
            let decided = if self.is_too_late(ix, now) {
                Some(Event::StepFailed { step: step.id.clone(), reason: "its deadline has passed".to_owned() })
            } else {
                match self.when(ix) {
                    Ok(true) => None,
                    Ok(false) => Some(Event::StepNotApplicable { step: step.id.clone() }),
                    Err(reason) => Some(Event::StepFailed { step: step.id.clone(), reason }),
                }
            };
            if let Some(event) = decided {
                next.commands.push(Command::Record(event));
                return Offer::Next;
            }
            busy += 1;
            for limit in &step.limits {
                used.borrow_mut()[limit.0 as usize] += 1;
            }
            let look = step.is_probed() && step.effect() != Effect::Read || !step.before.is_empty();
            next.commands.push(if look { Command::Look(ix, attempt) } else { Command::Apply(ix, attempt) });
            Offer::Next
        });
    }

    /// Whether the step applies. An output that a rehearsal only described is assumed to make it apply.
    fn when(&self, ix: StepIx) -> Result<bool, String> {
        let Some(when) = &self.state.plan.step(ix).when else { return Ok(true) };
        match scope::truth(&self.state, ix, when) {
            Ok(value) => Ok(value),
            Err(ExprError::NoValue(_)) if self.state.rests_on_described(ix) => Ok(true),
            Err(error) => Err(format!("`when` has no value: {error}")),
        }
    }

    /// Nothing to do and nothing in hand: the run is finished, or something holds it up.
    fn conclude(&self, held: Option<HeldUp>, now: Timestamp, next: &mut Next) {
        let state = &self.state;
        let open = |test: fn(&StepState) -> bool| state.open.iter().any(|ix| self.is_wanted(*ix) && test(state.step(*ix)));
        let failed = |test: fn(OnFailure) -> bool| {
            state.failed.iter().any(|ix| matches!(state.step(*ix), StepState::Failed { on_failure, .. } if test(*on_failure)))
        };
        // An attempt whose end is awaited or to be found out; it keeps the run open even after a stop.
        let acts = state.open.iter().any(|ix| {
            let now = state.step(*ix);
            matches!(
                now,
                StepState::Applying { .. } | StepState::Unsettled { .. } | StepState::Ended { .. } | StepState::Verifying { .. }
            )
        });
        // A retry or another look that only a moment keeps back counts as in flight: people are left to it afterwards.
        let retry = state.ready.iter().filter(|ix| self.is_wanted(**ix) && !self.is_held_by(held, **ix, now));
        let retry = retry.filter_map(|ix| match state.step(*ix) {
            StepState::Backoff { until, .. } if now < *until => Some(*until),
            _ => None,
        });
        let retry = retry.min();
        if let Some(until) = retry {
            wake(next, until);
        }
        let looked = |ix: &StepIx| {
            matches!(state.step(*ix), StepState::Looked { .. }) && state.is_ready(*ix) && !self.is_held_by(held, *ix, now)
        };
        let soon = retry.is_some() || state.open.iter().any(|ix| self.is_wanted(*ix) && looked(ix));
        let asked = open(|now| matches!(now, StepState::AtGate(_) | StepState::AtManual(_)));
        let later = open(|now| matches!(now, StepState::Pending | StepState::Looked { .. }))
            || state.ready.iter().any(|ix| self.is_wanted(*ix));
        let until_reached = state.wanted.as_ref().is_some_and(|wanted| wanted.iter().all(|ix| state.is_through(*ix)));
        let ending = if state.satisfied == state.steps.len() {
            Ok(Ending::Done)
        } else if acts || soon {
            Err(HeldUp::Time)
        } else if !state.doubtful.is_empty() {
            Err(HeldUp::Doubt)
        } else if until_reached {
            Ok(Ending::Until)
        } else if state.stopped.is_some() {
            Ok(Ending::Stopped)
        } else if failed(|rule| rule == OnFailure::Stop) {
            Ok(Ending::Failed)
        } else if asked || failed(|rule| matches!(rule, OnFailure::Ask | OnFailure::Rollback)) {
            Err(HeldUp::Person)
        } else if !state.failed.is_empty() && !later {
            Ok(Ending::Failed)
        } else {
            Err(held.unwrap_or(HeldUp::Time))
        };
        match ending {
            Ok(ending) => next.commands.push(Command::Record(Event::RunFinished { ending })),
            Err(held_up) => next.held_up = Some(held_up),
        }
    }

    /// Whether a person's vote on this gate counts, by the rules of the plan.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn vote_counts(&self, ix: StepIx, by: &Person) -> Result<(), String> {
        match &self.state.plan.step(ix).work {
            Work::Gate(gate) => decide::vote_counts(&self.state, ix, gate, by),
            _ => Err(format!("`{}` is not a gate", self.id(ix))),
        }
    }
}

fn is_record(command: &Command) -> bool {
    matches!(command, Command::Record(_))
}

fn wake(next: &mut Next, at: Timestamp) {
    next.wake_at = Some(next.wake_at.map_or(at, |earlier| earlier.min(at)));
}

/// The wait before the attempt after `attempt`.
fn backoff(step: &Step, attempt: u32) -> Span {
    let retry = &step.retry;
    let factor = retry.backoff.max(1.0).powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX));
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a wait; the cast saturates"
    )]
    let millis = (retry.interval.as_millis() as f64 * factor)
        .min(retry.max_interval.as_millis().max(retry.interval.as_millis()) as f64) as u64;
    Span::from_millis(millis)
}

fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Ensure => "ensure",
        Effect::Cas => "cas",
        Effect::Keyed => "keyed",
        Effect::Once => "once",
        Effect::Opaque => "opaque",
    }
}
