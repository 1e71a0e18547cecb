//! What people and signals ask of the run: each becomes a record, or is refused with a reason.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Doing, Driver, Receipt, Request, Trouble};
use crate::error::Exit;
use crate::plan::{Gate, StepId, StepIx, Work};
use crate::run::decide;
use crate::run::event::{Decision, Event, Outcome, Person};
use crate::run::order::Order;
use crate::run::state::{RunState, StepState};

impl Driver {
    pub(super) fn request(&mut self, request: Request) -> Result<(), Trouble> {
        match request {
            Request::Order(order, by, reply) => match self.obey(order, by)? {
                Ok(receipt) => self.receipts.extend(reply.map(|reply| (reply, receipt))),
                Err(refusal) => {
                    if let Some(reply) = reply {
                        // The poster may be gone.
                        let _ = reply.send(Err(refusal));
                    }
                }
            },
            Request::Interrupt => self.interrupt(Exit::Interrupted)?,
            Request::Terminate => self.interrupt(Exit::Terminated)?,
        }
        Ok(())
    }

    /// The first signal drains, the second abandons what is in flight. A third never arrives here: the process is gone.
    pub(super) fn interrupt(&mut self, exit: Exit) -> Result<(), Trouble> {
        let in_flight: Vec<String> = self.hand.steps.iter().map(|ix| self.id(*ix).to_string()).collect();
        if self.signal.is_none() {
            self.signal = Some(exit);
            if self.state().paused.is_none() {
                let by = Person { name: "signal".to_owned(), claimed: false };
                self.record(Event::RunPaused { by, reason: "interrupted; nothing more is started".to_owned() })?;
            }
            let line = if in_flight.is_empty() {
                "interrupted: nothing is in flight".to_owned()
            } else {
                format!(
                    "interrupted: nothing more is started; waiting for {}; a second interrupt abandons it",
                    in_flight.join(", ")
                )
            };
            self.parts.observer.say(&line);
        } else if !self.abandoned {
            self.abandoned = true;
            self.tasks.abort_all();
            self.tasks.detach_all();
            self.tasks = JoinSet::new();
            self.task_steps.clear();
            for (ix, doing) in std::mem::take(&mut self.doing) {
                if let Doing::Apply(attempt) = doing {
                    let outcome = Outcome::Abandoned { reason: "given up at the second interrupt".to_owned() };
                    self.record(Event::AttemptFinished { step: self.id(ix), attempt, outcome })?;
                }
            }
            // Nothing is in hand any more, and nothing is begun again: the abandoned attempts are settled at resume.
            self.hand.steps.clear();
            self.commit()?;
            self.parts
                .observer
                .say(&format!("abandoned: {} may still act; `resume` looks before it does anything", in_flight.join(", ")));
        }
        Ok(())
    }

    /// Records an order, or says why it is refused. A refusal leaves no record.
    pub(super) fn obey(&mut self, order: Order, by: Person) -> Result<Result<Receipt, String>, Trouble> {
        let find =
            |state: &RunState, id: &StepId| state.plan.find(id.as_str()).ok_or_else(|| format!("the plan has no step `{id}`"));
        let done = |seq| Ok(Ok(Receipt { seq, note: None }));
        let about_all =
            matches!(order, Order::Pause { .. } | Order::Continue {} | Order::Abort { .. } | Order::Decide { step: None, .. });
        if about_all && self.state().ending.is_some() {
            return Ok(Err("the run has ended; there is nothing to stop or to go on with".to_owned()));
        }
        match order {
            Order::Vote { step, go, reason, binding } => {
                let ix = match find(self.state(), &step) {
                    Ok(ix) => ix,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let plan = Arc::clone(&self.state().plan);
                let Work::Gate(gate) = &plan.step(ix).work else { return Ok(Err(format!("`{step}` is not a gate"))) };
                self.vote(ix, gate, go, by, reason, binding.as_deref())
            }
            Order::Decide { step: None, decision: Decision::Stop, reason } | Order::Abort { reason } => {
                done(self.record(Event::Decided { step: None, decision: Decision::Stop, by, reason })?)
            }
            Order::Decide { step: None, decision, .. } => Ok(Err(format!("`{decision:?}` needs a step"))),
            Order::Decide { step: Some(step), decision, reason } => {
                let ix = match find(self.state(), &step) {
                    Ok(ix) => ix,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                if self.hand.steps.contains(&ix) && decision != Decision::Stop {
                    return Ok(Err(format!("`{step}` is being worked on at this moment; ask again when it has ended")));
                }
                if let Err(refusal) = decide::allowed(self.state(), ix, decision) {
                    return Ok(Err(refusal));
                }
                done(self.record(Event::Decided { step: Some(step), decision, by, reason })?)
            }
            Order::Answer { step, done: is_done, reason, evidence } => {
                let ix = match find(self.state(), &step) {
                    Ok(ix) => ix,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let (evidence, by) = match decide::answer(self.state(), ix, is_done, evidence, by) {
                    Ok(answer) => answer,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                done(self.record(Event::ManualAnswered { step, by, done: is_done, reason, evidence })?)
            }
            Order::Pause { reason } if self.state().paused.is_none() => done(self.record(Event::RunPaused { by, reason })?),
            Order::Pause { .. } => Ok(Err("the run is paused already".to_owned())),
            Order::Continue {} if self.signal.is_some() => Ok(Err("the run is stopping; `resume` it instead".to_owned())),
            Order::Continue {} if self.state().paused.is_some() => done(self.record(Event::RunContinued { by })?),
            Order::Continue {} => Ok(Err("the run is not paused".to_owned())),
            Order::Note { text } => done(self.record(Event::Noted { by, text })?),
        }
    }

    pub(super) fn vote(
        &mut self,
        ix: StepIx,
        gate: &Gate,
        go: bool,
        by: Person,
        reason: String,
        shown: Option<&str>,
    ) -> Result<Result<Receipt, String>, Trouble> {
        let step = self.id(ix);
        let StepState::AtGate(question) = self.state().step(ix) else {
            return Ok(Err(format!("`{step}` is {}; nothing is asked", self.state().step(ix).word())));
        };
        if question.expired || question.expires.is_some_and(|at| at <= self.parts.clock.now()) {
            return Ok(Err(format!("the question of `{step}` has lapsed; `decide {step} retry` asks anew")));
        }
        if go && question.votes.contains(&by) {
            return Ok(Err(format!("`{}` has said go already", by.name)));
        }
        let binding = question.binding.clone();
        if shown.is_some_and(|shown| shown != binding) {
            return Ok(Err(format!("`{step}` asks something else by now than what was shown")));
        }
        let not_counted = decide::vote_counts(self.state(), gate, &by).err();
        let seq = self.record(Event::VoteCast {
            step: step.clone(),
            by: by.clone(),
            go,
            reason,
            binding,
            not_counted: not_counted.clone(),
        })?;
        Ok(Ok(Receipt { seq, note: not_counted.map(|why| format!("recorded, but it does not count: {why}")) }))
    }
}
