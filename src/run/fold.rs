//! The fold: how each event changes what is known. Total: an event that cannot be is reported, never a panic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::doubt::{self, Follows, Row};
use super::event::{Choices, Decision, Event, Holding, How, Mode, Outcome, Outputs, Person, Phase, Record, SEMANTICS};
use super::gates::{self, Governed};
use super::index::step_ix;
use super::letters::Answer;
use super::salvaged::Origin;
use super::state::{GateState, LastProbe, ManualState, Question, RunState, StepFacts, StepState};
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
            semantics: SEMANTICS,
            initiator: None,
            on_duty: None,
            choices: Choices::default(),
            started: None,
            seq: 0,
            last_at: None,
            epoch: 0,
            holder: None,
            took_over: 0,
            hosts_off: 0,
            letters: BTreeMap::new(),
            steps: vec![StepState::Pending; count],
            facts: vec![StepFacts::default(); count],
            paused: None,
            stopped: None,
            ending: None,
            past_no_return: false,
            window_closed: false,
            overrun: None,
            window_until: None,
            window_waived_for: None,
            is_amended: false,
            notes: Vec::new(),
            overrides: Vec::new(),
            origin: None,
            ready: super::ready::Ready::default(),
            open: BTreeSet::new(),
            excluded: BTreeSet::new(),
            wanted: None,
            missing,
            through: vec![false; count],
            satisfied: 0,
            governed: Governed::of(&plan),
            live_gates: BTreeSet::new(),
            failed: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            plan,
        };
        for at in 0..count {
            state.place(step_ix(at));
        }
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
        if let Some(letter) = &record.letter {
            self.letters.insert(letter.clone(), answer_of(record));
        }
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
            (Event::RunStarted { run, mode, semantics, choices, by, .. }, _) => {
                if self.started.is_some() {
                    return Err("the run starts a second time".to_owned());
                }
                self.run.clone_from(run);
                self.mode = *mode;
                self.semantics = *semantics;
                self.on_duty = Some(by.clone());
                self.choices = choices.clone();
                self.initiator = Some(by.clone());
                self.started = Some(at);
                self.choose();
            }
            (Event::LockTaken { holder, take_over }, _) => {
                self.holder = Some(holder.clone());
                if *take_over {
                    self.took_over = record.epoch;
                }
                self.forget_looks();
            }
            (Event::SemanticsRaised { to, .. }, _) => {
                self.semantics = *to;
                self.raise();
            }
            (Event::RunResumed { by, choices }, _) => {
                self.on_duty = Some(by.clone());
                self.window_closed = false;
                let mut excluded = std::mem::take(&mut self.choices.exclude);
                excluded.extend(choices.exclude.iter().filter(|name| !excluded.contains(name)).cloned().collect::<Vec<_>>());
                let mut beside = std::mem::take(&mut self.choices.beside);
                beside.extend(choices.beside.iter().filter(|one| !beside.contains(one)).cloned().collect::<Vec<_>>());
                let again = choices.again.clone().or(self.choices.again.take());
                self.choices = Choices { exclude: excluded, beside, again, ..choices.clone() };
                self.ending = None;
                self.stopped = None;
                self.paused = None;
                for ix in self.doubtful.clone() {
                    // What a salvage left in doubt is settled by no look.
                    if !self.facts[ix.at()].salvaged {
                        self.facts[ix.at()].doubt_looks = 0;
                    }
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
            (Event::RuleOverridden { rule, by, reason, .. }, _) => {
                self.overrides.push((at, by.clone(), rule.clone(), reason.clone()));
            }
            (Event::WindowClosed { overrun: true }, _) => self.overrun = Some(at),
            (Event::WindowClosed { overrun: false }, _) => self.window_closed = true,
            (Event::WindowExtended { until, checkpoint, .. }, _) => {
                self.window_closed = false;
                self.window_until = self.window_until.max(*until);
                if let Some(checkpoint) = checkpoint {
                    self.window_waived_for = Some(checkpoint.clone());
                    self.choices.until = Some(checkpoint.clone());
                    self.choose();
                }
            }
            (Event::OldHostOff { .. }, _) => {
                self.hosts_off = record.epoch;
                // What could not be told may be told now.
                for ix in self.doubtful.clone() {
                    if !self.facts[ix.at()].salvaged {
                        self.facts[ix.at()].doubt_looks = 0;
                    }
                }
            }
            (Event::ClockJumped { millis }, _) => self.shift_durations(*millis),
            (Event::PlanAmended { .. }, _) => self.is_amended = true,
            (Event::Suspended { .. } | Event::TailTruncated { .. } | Event::LetterRefused { .. }, _) => {}
            (Event::Salvaged { from, records, watermark, by }, _) => {
                let (run, records, watermark, by) = (from.clone(), *records, *watermark, by.clone());
                self.salvaged(Origin { run, records, watermark, by }, at);
            }
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
        // A look may come back after the gate before the step has lapsed: it changes nothing.
        let looks = matches!(event, Event::ProbeFinished { phase: Phase::Before, .. }) && self.semantics < 2;
        let begins = matches!(
            event,
            Event::AttemptStarted { .. }
                | Event::GateAsked { .. }
                | Event::ManualAsked { .. }
                | Event::CheckpointReached { .. }
                | Event::StepNotApplicable { .. }
        );
        if (begins || looks) && !self.is_ready(ix) {
            return Err(format!("`{}` starts before what it needs is done", step.id));
        }
        Ok(())
    }

    fn fold_step(&mut self, ix: StepIx, event: &Event, record: &Record) -> Result<(), String> {
        let at = record.at;
        self.fits(ix, event)?;
        match event {
            Event::IdentityPinned { identity, .. } => {
                self.facts[ix.at()].identity.clone_from(identity);
                self.review_gates();
            }
            Event::EvidenceStored { .. } | Event::PlanAmended { .. } => {}
            Event::ProbeFinished {
                attempt, phase, verdict, seen, conditions, quiesced, time_is_over, running, outputs, ..
            } => {
                if *phase == Phase::AtWill {
                    // Nothing follows from it, so it must not stand where decisions look.
                    return Ok(());
                }
                let facts = &mut self.facts[ix.at()];
                facts.last_probe = Some(LastProbe {
                    verdict: *verdict,
                    seen: seen.clone(),
                    at,
                    quiesced: *quiesced,
                    time_is_over: *time_is_over,
                    running: *running,
                });
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
                        facts.quiet = (*quiesced && !*running).then(|| Row::with(facts.quiet, *verdict, at));
                        self.expect(ix, &["applying", "unsettled", "in doubt"])?;
                        match doubt::follows(self.plan.step(ix), &self.facts[ix.at()]) {
                            Some(Follows::Done) => self.set(
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
                            self.facts[ix.at()].asked_by = Some(record.seq);
                        }
                    }
                }
            }
            Event::AttemptStarted { attempt, identity, before_image, handle, call, .. } => {
                self.expect(ix, &["pending", "backoff", "looked"])?;
                if self.plan.step(ix).point_of_no_return {
                    self.past_no_return = true;
                }
                let facts = &mut self.facts[ix.at()];
                facts.attempts = *attempt;
                facts.first_started.get_or_insert(at);
                facts.started = Some(at);
                facts.quiet = None;
                facts.looked_outputs = Outputs::new();
                facts.epoch = record.epoch;
                facts.call = call.as_deref().cloned().map(Arc::new);
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
                for gate in self.governed.over(ix) {
                    // The go is used: what it let begin is not stranded half-way.
                    self.facts[gate.at()].go_until = None;
                }
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
                if !self.is_ready(ix) && *how != How::Decided && !self.has_begun(ix) {
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
                self.facts[ix.at()].asked_by = Some(record.seq);
                self.set(ix, StepState::Failed { reason: reason.clone(), on_failure, at });
            }
            Event::StepInDoubt { reason, .. } => {
                self.expect(ix, &["applying", "unsettled", "verifying", "in doubt"])?;
                let attempt = self.facts[ix.at()].attempts;
                // The question stands; it is looked at again after a resume only.
                self.facts[ix.at()].doubt_looks = self.facts[ix.at()].doubt_looks.max(1);
                self.facts[ix.at()].asked_by = Some(record.seq);
                self.set(ix, StepState::InDoubt { attempt, reason: reason.clone(), since: at });
            }
            Event::StepSkipped { by, reason, .. } => {
                if self.is_satisfied(ix) {
                    return Err(self.wrong(ix, "skipped"));
                }
                self.facts[ix.at()].excluded = true;
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
            Event::GateAsked { ask, behind, binding, nonce, rules, matter, because, expires, .. } => {
                self.expect(ix, if self.facts[ix.at()].stale.is_some() { &["pending", "at gate"] } else { &["pending"] })?;
                let question = Question {
                    nonce: nonce.clone(),
                    rules: rules.clone(),
                    matter: matter.clone(),
                    unbound: super::gates::unbound(self, ix),
                    expires: *expires,
                };
                let facts = &mut self.facts[ix.at()];
                facts.no_go = None;
                facts.stale = None;
                facts.lapsed = None;
                facts.asked_by = Some(record.seq);
                facts.question = Some(Box::new(question));
                self.live_gates.insert(ix);
                self.set(
                    ix,
                    StepState::AtGate(GateState {
                        ask: ask.clone(),
                        behind: behind.clone(),
                        binding: binding.clone(),
                        nonce: nonce.clone(),
                        because: because.clone(),
                        asked: at,
                        expires: *expires,
                        expired: false,
                        votes: Vec::new(),
                    }),
                );
            }
            Event::VoteCast { by, go, reason, nonce, not_counted, .. } => {
                let StepState::AtGate(gate) = &mut self.steps[ix.at()] else { return Err(self.wrong(ix, "voted on")) };
                if *go && *nonce != gate.nonce && not_counted.is_none() {
                    return Err(format!("`{}`: a vote for another question is counted", self.plan.step(ix).id));
                }
                if *go && not_counted.is_none() && !gate.votes.contains(by) {
                    gate.votes.push(by.clone());
                }
                if !*go && not_counted.is_none() {
                    self.facts[ix.at()].no_go.get_or_insert_with(|| (by.clone(), reason.clone()));
                }
            }
            Event::GateOpened { .. } => {
                self.expect(ix, &["at gate"])?;
                if let Work::Gate(rules) = &self.plan.step(ix).work {
                    let expires = self.facts[ix.at()].question.as_ref().and_then(|question| question.expires);
                    self.facts[ix.at()].go_until = gates::go_until(rules, expires, at);
                }
                self.set(ix, StepState::Done { how: How::Decided, at });
            }
            Event::GoLapsed { reason, .. } => {
                self.expect(ix, &["done"])?;
                let facts = &mut self.facts[ix.at()];
                facts.stale = None;
                facts.go_until = None;
                facts.lapsed = Some(reason.clone());
                self.live_gates.remove(&ix);
                self.set(ix, StepState::Pending);
            }
            Event::GateRefused { by, reason, .. } => {
                self.expect(ix, &["at gate"])?;
                let reason = format!("no-go by {}: {reason}", by.name);
                self.live_gates.remove(&ix);
                self.facts[ix.at()].asked_by = Some(record.seq);
                // A no-go ends the run, whatever the plan says of failures: a person saw something.
                self.set(ix, StepState::Failed { reason, on_failure: OnFailure::Stop, at });
            }
            Event::GateExpired { .. } => {
                let StepState::AtGate(gate) = &mut self.steps[ix.at()] else { return Err(self.wrong(ix, "expired")) };
                gate.expired = true;
                self.facts[ix.at()].asked_by = Some(record.seq);
            }
            Event::ManualAsked { instructions, .. } => {
                self.expect(ix, &["pending"])?;
                self.facts[ix.at()].asked_by = Some(record.seq);
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
                    self.facts[ix.at()].asked_by = Some(record.seq);
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
            | Event::SemanticsRaised { .. }
            | Event::RuleOverridden { .. }
            | Event::LetterRefused { .. }
            | Event::WindowClosed { .. }
            | Event::WindowExtended { .. }
            | Event::OldHostOff { .. }
            | Event::RunResumed { .. }
            | Event::RunPaused { .. }
            | Event::RunContinued { .. }
            | Event::RunFinished { .. }
            | Event::Noted { .. }
            | Event::ClockJumped { .. }
            | Event::Suspended { .. }
            | Event::TailTruncated { .. }
            | Event::Salvaged { .. } => unreachable!("an event about a step was matched above"),
        }
        Ok(())
    }

    /// A person's decision; [`super::decide`] says beforehand which are allowed, so that a refusal is told and not recorded.
    fn decide(&mut self, ix: StepIx, decision: Decision, by: &Person, reason: &str, record: &Record) -> Result<(), String> {
        super::decide::allowed(self, ix, decision, record.at)?;
        self.facts[ix.at()].decided = Some((by.clone(), reason.to_owned()));
        self.facts[ix.at()].salvaged = false;
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
                    self.live_gates.remove(&ix);
                    self.set(ix, StepState::Pending);
                }
            }
            Decision::Skip => {
                self.set(ix, StepState::Skipped { by: by.clone(), reason: reason.to_owned() });
                self.review_gates();
            }
            Decision::Stop => self.stopped = Some((by.clone(), reason.to_owned())),
            Decision::Rollback => return Err("this version does not roll back".to_owned()),
        }
        Ok(())
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

/// What the sender of a letter is told, from the record that holds it.
fn answer_of(record: &Record) -> Answer {
    match &record.event {
        Event::VoteCast { not_counted, .. } => Answer::Recorded { seq: record.seq, note: None, not_counted: not_counted.clone() },
        Event::LetterRefused { reason, .. } => Answer::Refused { reason: reason.clone() },
        _ => Answer::Recorded { seq: record.seq, note: None, not_counted: None },
    }
}
