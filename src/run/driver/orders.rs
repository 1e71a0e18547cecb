//! What people and signals ask of the run: each becomes a record, or is refused with a reason.

use tokio::task::JoinSet;

use super::{Doing, Driver, Receipt, Request, Trouble};
use crate::error::Exit;
use crate::plan::StepIx;
use crate::run::decide;
use crate::run::event::{Decision, Event, Outcome, Person};
use crate::run::letters::{Answer, Sender};
use crate::run::order::Order;

impl Driver {
    pub(super) fn request(&mut self, request: Request) -> Result<(), Trouble> {
        match request {
            Request::Order(order, from, reply) => match self.obey(&order, &from, None)? {
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
        self.parts.observer.heard_signal();
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
    pub(super) fn obey(
        &mut self,
        order: &Order,
        from: &Sender,
        letter: Option<&str>,
    ) -> Result<Result<Receipt, String>, Trouble> {
        let now = self.parts.clock.now();
        let busy = |ix: Option<StepIx>| ix.is_some_and(|ix| self.hand.steps.contains(&ix));
        if let Order::Decide { step: Some(step), decision, .. } = order
            && *decision != Decision::Stop
            && busy(self.state().plan.find(step.as_str()))
        {
            return Ok(Err(format!("`{step}` is being worked on at this moment; ask again when it has ended")));
        }
        if matches!(order, Order::Continue { .. }) && self.signal.is_some() {
            return Ok(Err("the run is stopping; `resume` it instead".to_owned()));
        }
        let event = match decide::event(self.state(), order, &from.person, now) {
            Ok(event) => event,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(rule) = decide::may(self.state(), order, from) {
            match order.emergency() {
                Some(reason) if from.holds && !from.person.claimed && !reason.is_empty() => {
                    let (step, by, reason) = (order.step().cloned(), from.person.clone(), reason.to_owned());
                    self.record(Event::RuleOverridden { step, rule, by, reason })?;
                }
                Some(_) => return Ok(Err(format!("{rule}; only a holder of the run may go past that, with a reason"))),
                None => return Ok(Err(format!("{rule}; in an emergency a holder may go past that with `--emergency`"))),
            }
        }
        let not_counted = match &event {
            Event::VoteCast { not_counted, .. } => not_counted.clone(),
            _ => None,
        };
        let seq = self.record_for(event, letter)?;
        Ok(Ok(Receipt { seq, not_counted }))
    }

    /// Takes up what lies in the inbox. True if anything was recorded.
    ///
    /// - A letter whose id is in the journal was taken up before a crash: it is answered from there, and means nothing more.
    /// - One that is refused leaves no record, unless it cannot be removed: then the record keeps it from being taken up later,
    ///   when it might fit.
    pub(super) fn take_letters(&mut self) -> Result<bool, Trouble> {
        let before = self.fresh.len();
        for letter in self.parts.letters.take() {
            if let Some(answer) = self.state().letters.get(&letter.id) {
                self.answers.push((letter.id, answer.clone()));
                continue;
            }
            match self.obey(&letter.order, &letter.from, Some(&letter.id))? {
                Ok(receipt) => {
                    let answer = Answer::Recorded { seq: receipt.seq, note: None, not_counted: receipt.not_counted };
                    self.answers.push((letter.id, answer));
                }
                Err(reason) => {
                    let gone = self.parts.letters.answer(&letter.id, &Answer::Refused { reason: reason.clone() });
                    if !gone {
                        self.record_for(Event::LetterRefused { by: letter.from.person, reason }, Some(&letter.id))?;
                    }
                }
            }
        }
        let any = self.fresh.len() > before || !self.answers.is_empty();
        // An answer from the journal is owed although nothing new was recorded.
        self.commit()?;
        Ok(any)
    }
}
