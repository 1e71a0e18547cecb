//! From an answer of the world to the event that says it.

use tokio::time::Instant;

use super::{Doing, Driver, Trouble, conditions};
use crate::plan::{Holds, StepIx, Verdict, Work};
use crate::run::attempt::Answer;
use crate::run::connector::{Observation, Quiescence};
use crate::run::event::{Event, Outcome, Outputs, Phase};
use crate::run::state::StepState;
use crate::run::{calls, rehearsal};

impl Driver {
    /// An answer of the world becomes an event.
    pub(super) fn answered(&mut self, ix: StepIx, answer: Answer) -> Result<(), Trouble> {
        self.hand.steps.remove(&ix);
        let Some(doing) = self.doing.remove(&ix) else { return Ok(()) };
        match (doing, answer) {
            (Doing::Apply(attempt), Answer::Applied(outcome)) => {
                self.record(Event::AttemptFinished { step: self.id(ix), attempt, outcome }).map(|_| ())
            }
            (Doing::Prepare(attempt), Answer::Prepared(result)) => self.prepared(ix, attempt, result),
            (Doing::Settle(attempt), Answer::Settled(quiescence, seen)) => self.settled(ix, attempt, &quiescence, seen.as_ref()),
            (Doing::Look(_) | Doing::Verify(_) | Doing::Confirm, Answer::Looked(seen)) => self.looked(ix, doing, &seen, None),
            (doing, answer) => unreachable!("{doing:?} was answered by {answer:?}"),
        }
    }

    pub(super) fn prepared(
        &mut self,
        ix: StepIx,
        attempt: u32,
        result: Result<Option<crate::run::event::EvidenceRef>, String>,
    ) -> Result<(), Trouble> {
        let image = match result {
            Ok(image) => image,
            Err(reason) => return self.fail(ix, format!("its before-image could not be stored, so nothing was done: {reason}")),
        };
        if let Some(evidence) = &image {
            self.record(Event::EvidenceStored { step: self.id(ix), evidence: evidence.clone() })?;
        }
        self.images.insert(ix, (attempt, image, Instant::now()));
        Ok(())
    }

    pub(super) fn looked(
        &mut self,
        ix: StepIx,
        doing: Doing,
        seen: &[Observation],
        trouble: Option<&str>,
    ) -> Result<(), Trouble> {
        let state = self.state();
        let step = state.plan.step(ix);
        let mut seen = seen.iter();
        let mut judged = Vec::new();
        for condition in conditions(state, ix, doing) {
            let observation = if matches!(condition.holds, Holds::Probe(_)) { seen.next() } else { None };
            judged.push(calls::judge_condition(state, ix, condition, observation));
        }
        let probe = match &step.work {
            Work::Action(action) => action.probe.as_ref(),
            Work::Manual(manual) => manual.probe.as_ref(),
            Work::Gate(_) | Work::Checkpoint => None,
        };
        let probed = step.is_probed() || doing == Doing::Confirm;
        let last = seen.next();
        let (mut verdict, text, outputs) = match (last, probed) {
            (Some(observation), true) => {
                let (verdict, text) = calls::judge(state, ix, probe, observation);
                (Some(verdict), text, observation.outputs.clone())
            }
            (None, true) => {
                let text = trouble.unwrap_or("the look gave no answer").to_owned();
                (Some(Verdict::Unknown), text, Outputs::new())
            }
            (_, false) => (None, String::new(), Outputs::new()),
        };
        // A step whose arguments were not known at the start is bound to what its first look finds.
        let facts = state.facts(ix);
        let unbound = matches!(doing, Doing::Look(_)) && facts.attempts == 0 && facts.identity.is_empty();
        let identity = last.filter(|_| unbound).map(|seen| seen.identity.clone()).unwrap_or_default();
        let assumed = state.rests_on_described(ix);
        rehearsal::assume(assumed, &mut judged);
        if assumed && verdict.is_some_and(|verdict| verdict != Verdict::Done) {
            verdict = Some(Verdict::NotDone);
        }
        let (phase, attempt) = match doing {
            Doing::Look(attempt) => (Phase::Before, attempt),
            Doing::Verify(attempt) => (Phase::Verify, attempt),
            _ => (Phase::Manual, 0),
        };
        let step = step.id.clone();
        if !identity.is_empty() {
            self.record(Event::IdentityPinned { step: step.clone(), identity })?;
        }
        self.record(Event::ProbeFinished {
            step,
            attempt,
            phase,
            verdict,
            seen: text,
            conditions: judged,
            quiesced: true,
            time_is_over: false,
            running: false,
            outputs,
        })
        .map(|_| ())
    }

    pub(super) fn settled(
        &mut self,
        ix: StepIx,
        attempt: u32,
        quiescence: &Quiescence,
        observation: Option<&Observation>,
    ) -> Result<(), Trouble> {
        let step = self.id(ix);
        let probe = match &self.state().plan.step(ix).work {
            Work::Action(action) => action.probe.as_ref(),
            _ => None,
        };
        let judged = observation.map(|seen| calls::judge(self.state(), ix, probe, seen));
        let outputs = observation.map(|seen| seen.outputs.clone()).unwrap_or_default();
        let awaited = matches!(self.state().step(ix), StepState::Applying { .. } | StepState::Unsettled { .. });
        let time_is_over = matches!(quiescence, Quiescence::TimeIsOver { .. });
        let (quiesced, running, fallback) = match quiescence {
            // An end that tells nothing leaves the attempt in doubt; one in doubt already has been put to a person.
            Quiescence::Quiet { ended: Some(outcome), .. }
                if awaited && !matches!(**outcome, Outcome::Unknown { .. } | Outcome::Abandoned { .. }) =>
            {
                let outcome = (**outcome).clone();
                return self.record(Event::AttemptFinished { step, attempt, outcome }).map(|_| ());
            }
            Quiescence::Quiet { seen, .. } | Quiescence::TimeIsOver { seen } => (true, false, seen),
            Quiescence::Busy { seen } => (false, true, seen),
            Quiescence::CannotTell { seen } => (false, false, seen),
        };
        let (verdict, seen) = match judged {
            Some((verdict, seen)) => (Some(verdict), format!("{fallback}; {seen}")),
            None => (None, fallback.clone()),
        };
        self.record(Event::ProbeFinished {
            step,
            attempt,
            phase: Phase::Doubt,
            verdict,
            seen,
            conditions: Vec::new(),
            quiesced,
            time_is_over,
            running,
            outputs,
        })
        .map(|_| ())
    }
}
