//! From a command of the scheduler to what begins after the sync: looks, intents, questions.

use std::sync::Arc;
use std::time::Duration;

use super::{Doing, Driver, IMAGE_FRESH, Launch, Trouble, conditions};
use crate::plan::expr::ExprError;
use crate::plan::{Holds, Probe, StepIx, Work, expr};
use crate::run::attempt::Ask;
use crate::run::connector::{BeforeImage, Connector, Quiescence};
use crate::run::event::{Event, Outcome, Outputs};
use crate::run::{calls, gates, scope};
use crate::time::Timestamp;

impl Driver {
    /// The probes that a look needs, conditions first, the step's own probe last.
    pub(super) fn asks(&self, ix: StepIx, doing: Doing) -> Result<Vec<Ask>, ExprError> {
        let state = self.state();
        let mut asks = Vec::new();
        for (n, condition) in conditions(state, ix, doing).iter().enumerate() {
            if let Holds::Probe(probe) = &condition.holds {
                asks.push(self.ask_probe(ix, probe, doing, &format!(".condition{n}"))?);
            }
        }
        if let Some(ask) = self.own_probe(ix, doing)? {
            asks.push(ask);
        }
        Ok(asks)
    }

    pub(super) fn ask_probe(&self, ix: StepIx, probe: &Probe, doing: Doing, tag: &str) -> Result<Ask, ExprError> {
        let call = self.parts.desk.probe(self.state(), ix, doing.attempt(), &probe.call, tag)?;
        Ok(Ask { look: self.connector(&probe.call.uses)?, call })
    }

    pub(super) fn own_probe(&self, ix: StepIx, doing: Doing) -> Result<Option<Ask>, ExprError> {
        let step = self.state().plan.step(ix);
        match &step.work {
            Work::Action(action) if action.probed => match &action.probe {
                Some(probe) => Ok(Some(self.ask_probe(ix, probe, doing, ".probe")?)),
                None => {
                    let call = self.parts.desk.probe(self.state(), ix, doing.attempt(), &action.call, ".probe")?;
                    Ok(Some(Ask { look: self.connector(&action.call.uses)?, call }))
                }
            },
            Work::Manual(manual) => manual.probe.as_ref().map(|probe| self.ask_probe(ix, probe, doing, ".probe")).transpose(),
            Work::Action(_) | Work::Gate(_) | Work::Checkpoint => Ok(None),
        }
    }

    pub(super) fn connector(&self, uses: &str) -> Result<Arc<dyn Connector>, ExprError> {
        self.parts.registry.connector(uses).ok_or_else(|| ExprError::Failed(format!("this build has no action `{uses}`")))
    }

    pub(super) fn look(&mut self, ix: StepIx, doing: Doing) -> Result<(), Trouble> {
        match self.asks(ix, doing) {
            Ok(asks) => {
                self.take(ix, doing);
                self.launches.push(Launch::Look(ix, asks));
                Ok(())
            }
            // The look cannot even be asked for: it cannot tell.
            Err(error) => self.looked(ix, doing, &[], Some(&error.to_string())),
        }
    }

    pub(super) fn settle(&mut self, ix: StepIx, attempt: u32, now: Timestamp) -> Result<(), Trouble> {
        let doing = Doing::Settle(attempt);
        let prepared = self.parts.desk.sent(self.state(), ix, attempt, now).and_then(|call| {
            let connector = self.connector(&call.uses)?;
            Ok((connector, call, self.own_probe(ix, doing)?))
        });
        match prepared {
            Ok((connector, call, ask)) => {
                // The first time it is said at once that the attempt still acts; later it is waited for.
                let first = self.state().facts(ix).doubt_looks == 0;
                let patience = if first { Duration::ZERO } else { Duration::from_mins(1) };
                self.take(ix, doing);
                self.launches.push(Launch::Settle(ix, connector, Box::new(call), ask.map(Box::new), patience));
                Ok(())
            }
            Err(error) => self.settled(ix, attempt, &Quiescence::CannotTell { seen: error.to_string() }, None),
        }
    }

    /// A step that destroys, or whose undo puts back what was, first has its before-image stored. That takes time, so the scheduler is asked again
    /// afterwards whether the attempt may still be made; only then the intent is recorded.
    pub(super) fn apply(&mut self, ix: StepIx, attempt: u32, now: Timestamp) -> Result<(), Trouble> {
        let call = self.parts.desk.action(self.state(), ix, attempt, now);
        match call.and_then(|call| Ok((self.connector(&call.uses)?, call))) {
            Err(error) => self.unrenderable(ix, &error),
            Ok((connector, call)) if self.state().plan.step(ix).keeps() => {
                if let Some((_, image, _)) =
                    self.images.remove(&ix).filter(|(of, _, at)| *of == attempt && at.elapsed() < IMAGE_FRESH)
                {
                    return self.intend(ix, attempt, image, connector, call);
                }
                self.take(ix, Doing::Prepare(attempt));
                self.launches.push(Launch::Prepare(ix, connector, Box::new(call)));
                Ok(())
            }
            Ok((connector, call)) => self.intend(ix, attempt, None, connector, call),
        }
    }

    /// An argument has no value: a mistake of the plan, unless it rests on an effect that was only described.
    pub(super) fn unrenderable(&mut self, ix: StepIx, error: &ExprError) -> Result<(), Trouble> {
        if matches!(error, ExprError::NoValue(_)) && self.state().rests_on_described(ix) {
            let step = self.id(ix);
            let attempt = self.state().facts(ix).attempts + 1;
            self.record(Event::AttemptStarted {
                step: step.clone(),
                attempt,
                identity: crate::run::event::Identity::new(),
                before_image: None,
                handle: None,
                call: None,
            })?;
            let lines = vec![format!("its arguments are not known yet: {error}")];
            let looked_at = self.state().plan.step(ix).is_probed();
            let coverage = if looked_at { crate::run::event::Coverage::Assumed } else { crate::run::event::Coverage::OnlyParsed };
            let outcome = Outcome::Described { lines, coverage, outputs: Outputs::new() };
            return self.record(Event::AttemptFinished { step, attempt, outcome }).map(|_| ());
        }
        self.fail(ix, format!("an argument has no value: {error}"))
    }

    pub(super) fn intend(
        &mut self,
        ix: StepIx,
        attempt: u32,
        before_image: Option<crate::run::event::EvidenceRef>,
        connector: Arc<dyn Connector>,
        mut call: crate::run::connector::Call,
    ) -> Result<(), Trouble> {
        call.before_image = before_image.as_ref().map(|image| BeforeImage::of(&self.parts.desk.evidence, image));
        call.handle = connector.handle(&call);
        let step = self.state().plan.step(ix);
        let weighty = step.is_destructive() || step.point_of_no_return;
        if weighty {
            self.parts.journal.has_room()?;
        }
        self.must_publish |= weighty;
        let (step, identity, handle) = (self.id(ix), call.identity.clone(), call.handle.clone());
        let sent = Some(Box::new(calls::as_recorded(&call)));
        self.record(Event::AttemptStarted { step, attempt, identity, before_image, handle, call: sent })?;
        self.take(ix, Doing::Apply(attempt));
        self.launches.push(Launch::Apply(ix, connector, Box::new(call)));
        Ok(())
    }

    pub(super) fn ask_gate(&mut self, ix: StepIx, now: Timestamp) -> Result<(), Trouble> {
        let plan = Arc::clone(&self.state().plan);
        let Work::Gate(gate) = &plan.step(ix).work else { return Ok(()) };
        let ask = self.text(ix, &gate.ask);
        let state = self.state();
        let matter = gates::matter(state, ix);
        let nonce = gates::nonce(state, ix);
        let binding = gates::binding(state, ix, &nonce, &ask, &matter);
        let expires = gate.expires.map(|span| now.plus(span));
        let facts = state.facts(ix);
        let because = facts.stale.clone().or_else(|| facts.lapsed.clone());
        let step = self.id(ix);
        let gates::Matter { steps: matter, rules, lines: behind } = matter;
        self.must_publish = true;
        self.record(Event::GateAsked { step, ask, behind, binding, nonce, rules, matter, because, expires }).map(|_| ())
    }

    pub(super) fn ask_manual(&mut self, ix: StepIx) -> Result<(), Trouble> {
        let plan = Arc::clone(&self.state().plan);
        let Work::Manual(manual) = &plan.step(ix).work else { return Ok(()) };
        let instructions = self.text(ix, &manual.instructions);
        self.must_publish = true;
        self.record(Event::ManualAsked { step: self.id(ix), instructions }).map(|_| ())
    }

    /// A text for people with its expressions resolved; what has no value stays as it is written.
    pub(super) fn text(&self, ix: StepIx, text: &str) -> String {
        let value = serde_json::Value::String(text.to_owned());
        match scope::of_step(self.state(), ix, None, |scope| expr::render(&value, scope)) {
            Ok(serde_json::Value::String(text)) => text,
            Ok(other) => other.to_string(),
            Err(_) => text.to_owned(),
        }
    }
}
