//! The fold: how each event changes what is known. Total: an event that cannot be is reported, never a panic.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{Decision, Event, Holding, How, Mode, Outcome, Person, Phase, Record};
use super::state::{GateState, LastProbe, ManualState, RunState, StepFacts, StepState};
use crate::plan::action::Effect;
use crate::plan::{OnFailure, Plan, StepId, StepIx, Verdict, Work};

/// A record that cannot follow from those before it: damage, or a journal of another plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq}: {what}")]
pub struct Illegal {
    /// The record.
    pub seq: u64,
    /// What cannot be.
    pub what: String,
}

impl RunState {
    /// The state before the first record.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let missing: Vec<u32> = plan.steps.iter().map(|step| u32::try_from(step.needs.len()).unwrap_or(u32::MAX)).collect();
        let count = plan.steps.len();
        let mut state = RunState {
            run: String::new(),
            mode: Mode::Execute,
            initiator: None,
            choices: super::event::Choices::default(),
            started: None,
            seq: 0,
            last_at: None,
            epoch: 0,
            holder: None,
            steps: vec![StepState::Pending; count],
            facts: vec![StepFacts::default(); count],
            paused: None,
            stopped: None,
            ending: None,
            past_no_return: false,
            notes: Vec::new(),
            ready: super::ready::Ready::default(),
            open: BTreeSet::new(),
            excluded: BTreeSet::new(),
            wanted: None,
            missing,
            satisfied: 0,
            failed: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            plan,
        };
        for at in 0..count {
            state.place(step_ix(at));
        }
        state
    }

    /// The same knowledge, about another plan: states are carried over by id. New steps are pending.
    #[must_use]
    pub fn rebind(&self, plan: Arc<Plan>) -> Self {
        let mut state = RunState::new(plan);
        let old = self;
        state.run.clone_from(&old.run);
        state.mode = old.mode;
        state.initiator.clone_from(&old.initiator);
        state.choices = old.choices.clone();
        state.started = old.started;
        state.seq = old.seq;
        state.last_at = old.last_at;
        state.epoch = old.epoch;
        state.holder.clone_from(&old.holder);
        state.paused.clone_from(&old.paused);
        state.stopped.clone_from(&old.stopped);
        state.ending = old.ending;
        state.past_no_return = old.past_no_return;
        state.notes.clone_from(&old.notes);
        for at in 0..state.steps.len() {
            let ix = step_ix(at);
            if let Some(was) = old.plan.find(state.plan.step(ix).id.as_str()) {
                let changed = old.plan.step(was).fingerprint != state.plan.step(ix).fingerprint;
                let is_action = matches!(old.plan.step(was).work, Work::Action(_));
                let failed = matches!(old.steps[was.at()], StepState::Failed { .. }) && old.facts[was.at()].attempts == 0;
                if changed && is_action && failed {
                    // It failed as the old plan had it; as the new one has it, it has not begun.
                    continue;
                }
                state.facts[at] = old.facts[was.at()].clone();
                state.set(ix, old.steps[was.at()].clone());
            }
        }
        state.choose();
        state
    }

    /// Applies one record. The only way a state changes.
    ///
    /// # Errors
    /// The record cannot follow from those before it; the state is then unchanged as far as the step goes, and must
    /// not be used further.
    pub fn apply(&mut self, record: &Record) -> Result<(), Illegal> {
        if record.seq != self.seq + 1 {
            return Err(Illegal { seq: record.seq, what: format!("follows record {}", self.seq) });
        }
        if record.epoch < self.epoch {
            return Err(Illegal { seq: record.seq, what: format!("epoch {} after epoch {}", record.epoch, self.epoch) });
        }
        self.fold(record).map_err(|what| Illegal { seq: record.seq, what })?;
        self.seq = record.seq;
        self.epoch = record.epoch;
        self.last_at = Some(record.at);
        Ok(())
    }

    fn fold(&mut self, record: &Record) -> Result<(), String> {
        let at = record.at;
        let ix = match record.event.step() {
            Some(id) => Some(self.locate(id)?),
            None => None,
        };
        if let Some(ix) = ix {
            self.facts[ix.at()].changed = Some(at);
            if self.started.is_none() {
                return Err("comes before the run started".to_owned());
            }
        }
        match (&record.event, ix) {
            (Event::RunStarted { run, mode, choices, by, .. }, _) => {
                if self.started.is_some() {
                    return Err("the run starts a second time".to_owned());
                }
                self.run.clone_from(run);
                self.mode = *mode;
                self.choices = choices.clone();
                self.initiator = Some(by.clone());
                self.started = Some(at);
                self.choose();
            }
            (Event::LockTaken { holder, .. }, _) => {
                self.holder = Some(holder.clone());
                self.forget_looks();
            }
            (Event::RunResumed { choices, .. }, _) => {
                let mut excluded = std::mem::take(&mut self.choices.exclude);
                excluded.extend(choices.exclude.iter().filter(|name| !excluded.contains(name)).cloned().collect::<Vec<_>>());
                self.choices = choices.clone();
                self.choices.exclude = excluded;
                self.ending = None;
                self.stopped = None;
                self.paused = None;
                for ix in self.doubtful.clone() {
                    self.facts[ix.at()].doubt_looks = 0;
                }
                for ix in self.failed.clone() {
                    if let StepState::Failed { on_failure, .. } = &mut self.steps[ix.at()] {
                        *on_failure = OnFailure::Ask;
                    }
                }
                self.forget_looks();
                self.choose();
            }
            (Event::RunPaused { by, reason }, _) => self.paused = Some((by.clone(), reason.clone())),
            (Event::RunContinued { .. }, _) => {
                self.paused = None;
                self.forget_looks();
            }
            (Event::RunFinished { ending }, _) => self.ending = Some(*ending),
            (Event::Noted { by, text }, _) => self.notes.push((at, by.clone(), text.clone())),
            (
                Event::PlanAmended { .. } | Event::ClockJumped { .. } | Event::Suspended { .. } | Event::TailTruncated { .. },
                _,
            ) => {}
            (Event::Decided { step: None, decision, by, reason }, _) => match decision {
                Decision::Stop => self.stopped = Some((by.clone(), reason.clone())),
                other => return Err(format!("`{other:?}` decides nothing about a run")),
            },
            (event, Some(ix)) => self.fold_step(ix, event, record)?,
            (_, None) => return Err("names no step".to_owned()),
        }
        Ok(())
    }

    /// Whether an event of this kind can be about a step of that kind at this moment: of the right work, about the
    /// right attempt, and not before its needs.
    fn fits(&self, ix: StepIx, event: &Event) -> Result<(), String> {
        let step = self.plan.step(ix);
        let attempts = self.facts[ix.at()].attempts;
        let (work, attempt) = match event {
            Event::ProbeFinished { phase: Phase::Before, attempt, .. }
            | Event::AttemptStarted { attempt, .. }
            | Event::RetryScheduled { attempt, .. } => (matches!(step.work, Work::Action(_)), Some((*attempt, attempts + 1))),
            Event::ProbeFinished { phase: Phase::Doubt | Phase::Verify, attempt, .. }
            | Event::AttemptFinished { attempt, .. } => (matches!(step.work, Work::Action(_)), Some((*attempt, attempts))),
            Event::ProbeFinished { phase: Phase::Manual, .. } | Event::ManualAsked { .. } | Event::ManualAnswered { .. } => {
                (matches!(step.work, Work::Manual(_)), None)
            }
            Event::GateAsked { .. }
            | Event::VoteCast { .. }
            | Event::GateOpened { .. }
            | Event::GateRefused { .. }
            | Event::GateExpired { .. } => (matches!(step.work, Work::Gate(_)), None),
            Event::CheckpointReached { .. } => (matches!(step.work, Work::Checkpoint), None),
            _ => (true, None),
        };
        if !work {
            return Err(format!("`{}` is no step of that kind", step.id));
        }
        if let Some((attempt, expected)) = attempt.filter(|(attempt, expected)| attempt != expected) {
            return Err(format!("`{}`: attempt {attempt} where attempt {expected} is expected", step.id));
        }
        let begins = matches!(
            event,
            Event::ProbeFinished { phase: Phase::Before, .. }
                | Event::AttemptStarted { .. }
                | Event::GateAsked { .. }
                | Event::ManualAsked { .. }
                | Event::CheckpointReached { .. }
                | Event::StepNotApplicable { .. }
        );
        if begins && !self.is_ready(ix) {
            return Err(format!("`{}` starts before what it needs is done", step.id));
        }
        Ok(())
    }

    fn fold_step(&mut self, ix: StepIx, event: &Event, record: &Record) -> Result<(), String> {
        let at = record.at;
        self.fits(ix, event)?;
        match event {
            Event::IdentityPinned { identity, .. } => self.facts[ix.at()].identity.clone_from(identity),
            Event::EvidenceStored { .. } | Event::PlanAmended { .. } => {}
            Event::ProbeFinished { attempt, phase, verdict, seen, conditions, quiesced, running, outputs, .. } => {
                if *phase == Phase::AtWill {
                    // Nothing follows from it, so it must not stand where decisions look.
                    return Ok(());
                }
                let facts = &mut self.facts[ix.at()];
                facts.last_probe =
                    Some(LastProbe { verdict: *verdict, seen: seen.clone(), at, quiesced: *quiesced, running: *running });
                if !conditions.is_empty() {
                    facts.conditions.clone_from(conditions);
                }
                facts.unknown_probes = match verdict {
                    Some(Verdict::Unknown) => facts.unknown_probes + 1,
                    _ => 0,
                };
                let unmet = conditions.iter().find(|c| matches!(c.holds, Holding::Fails | Holding::CannotTell)).cloned();
                let facts = &mut self.facts[ix.at()];
                match phase {
                    Phase::AtWill => {}
                    Phase::Before => {
                        facts.looked_outputs.clone_from(outputs);
                        let cannot_tell = unmet.as_ref().is_some_and(|c| c.holds == Holding::CannotTell);
                        facts.unmet_looks = if cannot_tell { facts.unmet_looks + 1 } else { 0 };
                        self.expect(ix, &["pending", "backoff", "looked"])?;
                        self.set(ix, StepState::Looked { next_attempt: *attempt, verdict: *verdict, unmet });
                    }
                    Phase::Doubt => {
                        facts.doubt_looks += 1;
                        // In doubt, an opaque effect always goes to a person, whatever a look says.
                        let opaque = self.plan.step(ix).effect() == Effect::Opaque;
                        self.expect(ix, &["applying", "unsettled", "in doubt"])?;
                        if *quiesced && *verdict == Some(Verdict::NotDone) {
                            self.facts[ix.at()].quiet_not_done += 1;
                        } else if *verdict != Some(Verdict::NotDone) {
                            self.facts[ix.at()].quiet_not_done = 0;
                        }
                        match verdict {
                            Some(Verdict::Done) if !*running && !opaque => self.set(
                                ix,
                                StepState::Verifying {
                                    attempt: *attempt,
                                    outputs: outputs.clone(),
                                    looked: self.plan.step(ix).after.is_empty().then_some((Some(Verdict::Done), None)),
                                    described: false,
                                },
                            ),
                            _ if matches!(self.steps[ix.at()], StepState::InDoubt { .. }) => {}
                            _ => {
                                let abandoned = matches!(self.steps[ix.at()], StepState::Unsettled { abandoned: true, .. });
                                let reason = match &self.steps[ix.at()] {
                                    StepState::Unsettled { reason, .. } => reason.clone(),
                                    _ => "its end was not seen".to_owned(),
                                };
                                self.set(ix, StepState::Unsettled { attempt: *attempt, reason, abandoned });
                            }
                        }
                    }
                    Phase::Verify => {
                        facts.verify_looks += 1;
                        let StepState::Verifying { looked, outputs: known, .. } = &mut self.steps[ix.at()] else {
                            return Err(self.wrong(ix, "verified"));
                        };
                        for (name, value) in outputs {
                            known.entry(name).or_insert_with(|| value.clone());
                        }
                        *looked = Some((*verdict, unmet));
                    }
                    Phase::Manual => {
                        let StepState::AtManual(manual) = &mut self.steps[ix.at()] else {
                            return Err(self.wrong(ix, "confirmed"));
                        };
                        if *verdict == Some(Verdict::Done) {
                            let evidence = manual.answered.take().map(|(_, evidence)| evidence).unwrap_or_default();
                            let looked = Some((Some(Verdict::Done), None));
                            self.set(ix, StepState::Verifying { attempt: 0, outputs: evidence, looked, described: false });
                        } else {
                            manual.answered = None;
                            manual.contradicted = Some(seen.clone());
                        }
                    }
                }
            }
            Event::AttemptStarted { attempt, identity, before_image, handle, .. } => {
                self.expect(ix, &["pending", "backoff", "looked"])?;
                if self.plan.step(ix).point_of_no_return {
                    self.past_no_return = true;
                }
                let facts = &mut self.facts[ix.at()];
                facts.attempts = *attempt;
                facts.first_started.get_or_insert(at);
                facts.started = Some(at);
                facts.quiet_not_done = 0;
                facts.unknown_probes = 0;
                facts.doubt_looks = 0;
                facts.verify_looks = 0;
                facts.decided = None;
                facts.unanswered = false;
                if !identity.is_empty() {
                    facts.identity.clone_from(identity);
                }
                facts.before_attempt = (facts.before_image.clone(), facts.may_have_acted);
                facts.before_image.clone_from(before_image);
                facts.may_have_acted = true;
                facts.handle.clone_from(handle);
                self.set(ix, StepState::Applying { attempt: *attempt, since: at });
            }
            Event::AttemptFinished { attempt, outcome, .. } => {
                self.expect(ix, &["applying", "unsettled"])?;
                let attempt = *attempt;
                let facts = &mut self.facts[ix.at()];
                facts.unanswered = matches!(outcome, Outcome::Unknown { .. });
                if matches!(outcome, Outcome::NotSent { .. } | Outcome::Rejected { untouched: true, .. }) {
                    (facts.before_image, facts.may_have_acted) = facts.before_attempt.clone();
                }
                let next = match outcome {
                    Outcome::Applied { outputs } => {
                        StepState::Verifying { attempt, outputs: outputs.clone(), looked: None, described: false }
                    }
                    Outcome::Described { lines, coverage, outputs } => {
                        self.facts[ix.at()].described.clone_from(lines);
                        self.facts[ix.at()].coverage = Some(*coverage);
                        StepState::Verifying { attempt, outputs: outputs.clone(), looked: None, described: true }
                    }
                    Outcome::Rejected { reason, untouched } => {
                        StepState::Ended { attempt, reason: reason.clone(), untouched: *untouched }
                    }
                    Outcome::NotSent { reason } => StepState::Ended { attempt, reason: reason.clone(), untouched: true },
                    Outcome::Unknown { reason } => StepState::Unsettled { attempt, reason: reason.clone(), abandoned: false },
                    Outcome::Abandoned { reason } => StepState::Unsettled { attempt, reason: reason.clone(), abandoned: true },
                };
                self.set(ix, next);
            }
            Event::StepVerified { how, outputs, .. } => {
                if self.is_satisfied(ix) {
                    return Err(self.wrong(ix, "verified"));
                }
                if !self.is_ready(ix) && *how != How::Decided {
                    return Err(format!("`{}` is verified before what it needs is done", self.plan.step(ix).id));
                }
                // Found done or done by hand: it cannot be gone back behind either.
                self.past_no_return |= self.plan.step(ix).point_of_no_return && *how != How::Described;
                self.facts[ix.at()].outputs.clone_from(outputs);
                self.facts[ix.at()].described_effect =
                    *how == How::Described && matches!(self.plan.step(ix).work, Work::Action(_) | Work::Manual(_));
                self.set(ix, StepState::Done { how: *how, at });
            }
            Event::StepFailed { reason, .. } => {
                if self.is_satisfied(ix) {
                    return Err(self.wrong(ix, "failed"));
                }
                let on_failure = self.plan.step(ix).on_failure;
                self.set(ix, StepState::Failed { reason: reason.clone(), on_failure, at });
            }
            Event::StepInDoubt { reason, .. } => {
                self.expect(ix, &["applying", "unsettled", "verifying", "in doubt"])?;
                let attempt = self.facts[ix.at()].attempts;
                // The question stands; it is looked at again after a resume only.
                self.facts[ix.at()].doubt_looks = self.facts[ix.at()].doubt_looks.max(1);
                self.set(ix, StepState::InDoubt { attempt, reason: reason.clone(), since: at });
            }
            Event::StepSkipped { by, reason, .. } => {
                if self.is_satisfied(ix) {
                    return Err(self.wrong(ix, "skipped"));
                }
                self.set(ix, StepState::Skipped { by: by.clone(), reason: reason.clone() });
            }
            Event::StepNotApplicable { .. } => {
                self.expect(ix, &["pending", "looked", "backoff"])?;
                self.set(ix, StepState::NotApplicable);
            }
            Event::RetryScheduled { attempt, at: until, reason, .. } => {
                self.expect(ix, &["ended", "unsettled", "in doubt", "failed", "looked"])?;
                self.facts[ix.at()].unknown_probes = 0;
                self.facts[ix.at()].unmet_looks = 0;
                self.set(ix, StepState::Backoff { until: *until, next_attempt: *attempt, reason: reason.clone() });
            }
            Event::GateAsked { ask, behind, binding, expires, .. } => {
                self.expect(ix, &["pending"])?;
                self.facts[ix.at()].no_go = None;
                self.set(
                    ix,
                    StepState::AtGate(GateState {
                        ask: ask.clone(),
                        behind: behind.clone(),
                        binding: binding.clone(),
                        asked: at,
                        expires: *expires,
                        expired: false,
                        votes: Vec::new(),
                    }),
                );
            }
            Event::VoteCast { by, go, reason, not_counted, .. } => {
                let StepState::AtGate(gate) = &mut self.steps[ix.at()] else { return Err(self.wrong(ix, "voted on")) };
                if *go && not_counted.is_none() && !gate.votes.contains(by) {
                    gate.votes.push(by.clone());
                }
                if !*go && not_counted.is_none() {
                    self.facts[ix.at()].no_go.get_or_insert_with(|| (by.clone(), reason.clone()));
                }
            }
            Event::GateOpened { .. } => {
                self.expect(ix, &["at gate"])?;
                self.set(ix, StepState::Done { how: How::Decided, at });
            }
            Event::GateRefused { by, reason, .. } => {
                self.expect(ix, &["at gate"])?;
                let reason = format!("no-go by {}: {reason}", by.name);
                // A no-go ends the run, whatever the plan says of failures: a person saw something.
                self.set(ix, StepState::Failed { reason, on_failure: OnFailure::Stop, at });
            }
            Event::GateExpired { .. } => {
                let StepState::AtGate(gate) = &mut self.steps[ix.at()] else { return Err(self.wrong(ix, "expired")) };
                gate.expired = true;
            }
            Event::ManualAsked { instructions, .. } => {
                self.expect(ix, &["pending"])?;
                let manual = ManualState { instructions: instructions.clone(), asked: at, answered: None, contradicted: None };
                self.set(ix, StepState::AtManual(manual));
            }
            Event::ManualAnswered { by, done, reason, evidence, .. } => {
                let StepState::AtManual(manual) = &mut self.steps[ix.at()] else { return Err(self.wrong(ix, "answered")) };
                if *done {
                    manual.answered = Some((by.clone(), evidence.clone()));
                    manual.contradicted = None;
                    self.facts[ix.at()].decided = Some((by.clone(), reason.clone()));
                } else {
                    let reason = format!("{} says it cannot be done: {reason}", by.name);
                    let on_failure = self.plan.step(ix).on_failure;
                    self.set(ix, StepState::Failed { reason, on_failure, at });
                }
            }
            Event::CheckpointReached { .. } => {
                self.expect(ix, &["pending"])?;
                self.set(ix, StepState::Done { how: How::Applied, at });
            }
            Event::Decided { decision, by, reason, .. } => self.decide(ix, *decision, by, reason, record)?,
            Event::RunStarted { .. }
            | Event::LockTaken { .. }
            | Event::RunResumed { .. }
            | Event::RunPaused { .. }
            | Event::RunContinued { .. }
            | Event::RunFinished { .. }
            | Event::Noted { .. }
            | Event::ClockJumped { .. }
            | Event::Suspended { .. }
            | Event::TailTruncated { .. } => unreachable!("an event about a step was matched above"),
        }
        Ok(())
    }

    /// A person's decision; [`super::decide`] says beforehand which are allowed, so that a refusal is told and not recorded.
    fn decide(&mut self, ix: StepIx, decision: Decision, by: &Person, reason: &str, record: &Record) -> Result<(), String> {
        super::decide::allowed(self, ix, decision)?;
        self.facts[ix.at()].decided = Some((by.clone(), reason.to_owned()));
        let text = format!("{} decided: {reason}", by.name);
        match decision {
            // Carried out by the scheduler from `decided` at once, as records of their own.
            Decision::Done => self.set(
                ix,
                StepState::Verifying {
                    attempt: self.facts[ix.at()].attempts,
                    outputs: super::event::Outputs::new(),
                    looked: Some((Some(Verdict::Done), None)),
                    described: false,
                },
            ),
            Decision::NotDone | Decision::Retry => {
                if matches!(self.plan.step(ix).work, Work::Action(_)) {
                    let next_attempt = self.facts[ix.at()].attempts + 1;
                    // The deadline counts from the first attempt after the decision.
                    self.facts[ix.at()].first_started = None;
                    self.set(ix, StepState::Backoff { until: record.at, next_attempt, reason: text });
                } else {
                    self.set(ix, StepState::Pending);
                }
            }
            Decision::Skip => self.set(ix, StepState::Skipped { by: by.clone(), reason: reason.to_owned() }),
            Decision::Stop => self.stopped = Some((by.clone(), reason.to_owned())),
            Decision::Rollback => return Err("this version does not roll back".to_owned()),
        }
        Ok(())
    }

    /// Replaces a step's state and keeps the indexes true.
    fn set(&mut self, ix: StepIx, next: StepState) {
        let was = self.is_satisfied(ix);
        self.steps[ix.at()] = next;
        let is = self.is_satisfied(ix);
        if was != is {
            self.facts[ix.at()].rests_on_described = self.facts[ix.at()].described_effect || self.rests_on_described(ix);
            debug_assert!(is, "a satisfied step stays satisfied");
            self.satisfied += 1;
            let plan = Arc::clone(&self.plan);
            for &dependant in &plan.dependants[ix.at()] {
                let missing = &mut self.missing[dependant.at()];
                *missing = missing.saturating_sub(1);
                if *missing == 0 {
                    self.place(dependant);
                }
            }
        }
        self.place(ix);
    }

    /// Puts a step into a state without an event: for the tests of the views.
    #[cfg(test)]
    pub(crate) fn put_for_views(&mut self, ix: StepIx, next: StepState) {
        if self.is_satisfied(ix) {
            self.steps[ix.at()] = next;
        } else {
            self.set(ix, next);
        }
    }

    /// Puts a step into the indexes in which it belongs, and out of all others.
    fn place(&mut self, ix: StepIx) {
        let action = matches!(self.plan.step(ix).work, Work::Action(_));
        let ready = self.missing[ix.at()] == 0;
        let (in_ready, in_open, in_failed, in_doubt) = match &self.steps[ix.at()] {
            StepState::Pending | StepState::Backoff { .. } => (ready && action, ready && !action, false, false),
            StepState::AtGate(_)
            | StepState::AtManual(_)
            | StepState::Looked { .. }
            | StepState::Ended { .. }
            | StepState::Applying { .. }
            | StepState::Verifying { .. }
            | StepState::Unsettled { .. } => (false, true, false, false),
            StepState::InDoubt { .. } => (false, false, false, true),
            StepState::Failed { .. } => (false, false, true, false),
            StepState::Done { .. } | StepState::Skipped { .. } | StepState::NotApplicable => (false, false, false, false),
        };
        self.ready.put(ix, &self.plan.step(ix).limits, in_ready);
        put(&mut self.open, ix, in_open);
        put(&mut self.failed, ix, in_failed);
        put(&mut self.doubtful, ix, in_doubt);
        if !self.excluded.is_empty() && (self.is_satisfied(ix) || self.facts[ix.at()].attempts > 0) {
            self.excluded.remove(&ix);
        }
    }

    /// A look made by an earlier process may be stale: it is made again.
    fn forget_looks(&mut self) {
        for at in 0..self.steps.len() {
            if let StepState::Looked { next_attempt, .. } = self.steps[at] {
                let next = if next_attempt <= 1 {
                    StepState::Pending
                } else {
                    StepState::Backoff {
                        until: self.last_at.or(self.started).unwrap_or(crate::time::Timestamp::from_millis(0)),
                        next_attempt,
                        reason: "looked at again after an interruption".to_owned(),
                    }
                };
                self.set(step_ix(at), next);
            }
        }
    }

    /// Works out what `--exclude` and `--until` mean for this plan.
    fn choose(&mut self) {
        let plan = Arc::clone(&self.plan);
        self.excluded = (0..plan.steps.len())
            .map(step_ix)
            .filter(|ix| !self.is_satisfied(*ix) && self.facts[ix.at()].attempts == 0)
            .filter(|ix| self.choices.exclude.iter().any(|name| plan.step(*ix).concerns(name)))
            .collect();
        self.wanted = self.choices.until.as_ref().and_then(|id| plan.find(id.as_str())).map(|until| {
            let mut wanted = BTreeSet::from([until]);
            let mut queue = vec![until];
            while let Some(ix) = queue.pop() {
                queue.extend(plan.step(ix).needs.iter().copied().filter(|need| wanted.insert(*need)));
            }
            wanted
        });
    }

    fn locate(&self, id: &StepId) -> Result<StepIx, String> {
        self.plan.find(id.as_str()).ok_or_else(|| format!("the plan has no step `{id}`"))
    }

    fn expect(&self, ix: StepIx, words: &[&str]) -> Result<(), String> {
        if words.contains(&self.steps[ix.at()].word()) {
            Ok(())
        } else {
            Err(format!("`{}` is {}, not {}", self.plan.step(ix).id, self.steps[ix.at()].word(), words.join(" or ")))
        }
    }

    fn wrong(&self, ix: StepIx, what: &str) -> String {
        format!("`{}` is {what} while it is {}", self.plan.step(ix).id, self.steps[ix.at()].word())
    }
}

impl StepState {
    /// The state in a word or two, as one would say it on the phone.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            StepState::Pending => "pending",
            StepState::Backoff { .. } => "backoff",
            StepState::AtGate(_) => "at gate",
            StepState::AtManual(_) => "at manual",
            StepState::Looked { .. } => "looked",
            StepState::Applying { .. } => "applying",
            StepState::Ended { .. } => "ended",
            StepState::Verifying { .. } => "verifying",
            StepState::Unsettled { .. } => "unsettled",
            StepState::InDoubt { .. } => "in doubt",
            StepState::Done { .. } => "done",
            StepState::Failed { .. } => "failed",
            StepState::Skipped { .. } => "skipped",
            StepState::NotApplicable => "not applicable",
        }
    }
}

fn put(set: &mut BTreeSet<StepIx>, ix: StepIx, inside: bool) {
    if inside {
        set.insert(ix);
    } else {
        set.remove(&ix);
    }
}

fn step_ix(at: usize) -> StepIx {
    StepIx(u32::try_from(at).unwrap_or(u32::MAX))
}
