//! What a run is and how it ended, by its records alone: without its plan, its connectors, or a state per step. For look-ups
//! over many runs.

use std::collections::{BTreeMap, BTreeSet};

use super::event::{Choices, Decision, Ending, Event, Holder, Mode, Outcome, Person, Record};
use crate::plan::StepId;
use crate::time::Timestamp;

/// A run by its records.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// How it began; `None` before its first record.
    pub began: Option<Began>,
    /// How it ended; `None` while it may go on. A reached `--until` is no end: it is gone on with later.
    pub ended: Option<Ending>,
    /// A person ended it. What was in flight then may be settled later, if somebody resumes it.
    pub stopped: bool,
    /// The damaged run whose intact beginning it goes on from.
    pub salvaged_from: Option<String>,
    /// Who held it last.
    pub holder: Option<Holder>,
    /// When its last record was written.
    pub last_at: Option<Timestamp>,
    /// The fingerprint of every step, by the newest plan.
    pub fingerprints: BTreeMap<StepId, String>,
    /// Steps of which an attempt may have acted.
    pub acted: BTreeSet<StepId>,
    /// Steps with an attempt that began and was not seen to end.
    pub in_flight: BTreeSet<StepId>,
    /// Whether a step may have acted before its newest attempt.
    before: BTreeMap<StepId, bool>,
}

/// How a run began.
#[derive(Debug, Clone)]
pub struct Began {
    /// Its id.
    pub run: String,
    /// What kind it is.
    pub mode: Mode,
    /// Who started it.
    pub by: Person,
    /// When.
    pub at: Timestamp,
    /// Command-line choices.
    pub choices: Choices,
}

impl Past {
    /// Takes the next record.
    pub fn feed(&mut self, record: &Record) {
        self.last_at = Some(record.at);
        match &record.event {
            Event::RunStarted { run, mode, fingerprints, choices, by, .. } => {
                let (run, choices, by) = (run.clone(), choices.clone(), by.clone());
                self.began = Some(Began { run, mode: *mode, by, at: record.at, choices });
                self.fingerprints.clone_from(fingerprints);
            }
            Event::PlanAmended { fingerprints, .. } => self.fingerprints.clone_from(fingerprints),
            // What became of any step after the intact beginning is lost.
            Event::Salvaged { from, .. } => {
                self.acted.extend(self.fingerprints.keys().cloned());
                self.salvaged_from = Some(from.clone());
                self.ended = None;
            }
            Event::LockTaken { holder, .. } => self.holder = Some(holder.clone()),
            Event::RunResumed { .. } => {
                self.ended = None;
                self.stopped = false;
            }
            Event::RunFinished { ending } => self.ended = (*ending != Ending::Until).then_some(*ending),
            Event::Decided { decision: Decision::Stop, .. } => self.stopped = true,
            Event::AttemptStarted { step, .. } => {
                let before = !self.acted.insert(step.clone());
                self.before.insert(step.clone(), before);
                self.in_flight.insert(step.clone());
            }
            Event::AttemptFinished { step, outcome, .. } => {
                let nothing = matches!(outcome, Outcome::NotSent { .. } | Outcome::Rejected { untouched: true, .. });
                if nothing && self.before.get(step) == Some(&false) {
                    self.acted.remove(step);
                }
                if !matches!(outcome, Outcome::Unknown { .. } | Outcome::Abandoned { .. }) {
                    self.in_flight.remove(step);
                }
            }
            Event::ProbeFinished { step, quiesced: true, .. } | Event::StepVerified { step, .. } => {
                self.in_flight.remove(step);
            }
            _ => {}
        }
    }

    /// Whether it is a run, not a rehearsal, that may still go on: neither ended nor closed by a person.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let is_run = self.began.as_ref().is_some_and(|began| began.mode == Mode::Execute);
        is_run && self.ended.is_none() && !self.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(events: Vec<Event>) -> Past {
        let mut past = Past::default();
        for (seq, event) in (1..).zip(events) {
            past.feed(&Record { seq, epoch: 1, prev: String::new(), at: Timestamp::from_millis(0), letter: None, event });
        }
        past
    }

    fn started() -> Event {
        let by = Person { name: "ann".into(), claimed: false };
        let (run, version, plan, whole) = ("r".into(), "0".into(), String::new(), String::new());
        let choices = Choices::default();
        Event::RunStarted {
            run,
            mode: Mode::Execute,
            semantics: 1,
            version,
            plan,
            whole,
            fingerprints: BTreeMap::new(),
            choices,
            by,
        }
    }

    fn attempt(attempt: u32) -> Event {
        Event::AttemptStarted {
            step: StepId::new("a"),
            attempt,
            identity: BTreeMap::new(),
            before_image: None,
            handle: None,
            call: None,
        }
    }

    fn ended(attempt: u32, outcome: Outcome) -> Event {
        Event::AttemptFinished { step: StepId::new("a"), attempt, outcome }
    }

    #[test]
    fn a_run_is_unfinished_until_it_ended_or_a_person_ended_it() {
        let finished = |ending| Event::RunFinished { ending };
        let resumed = || Event::RunResumed { by: Person { name: "ann".into(), claimed: false }, choices: Choices::default() };
        assert!(!past(vec![]).is_unfinished());
        assert!(past(vec![started()]).is_unfinished());
        assert!(past(vec![started(), finished(Ending::Until)]).is_unfinished());
        for ending in [Ending::Done, Ending::Failed, Ending::Stopped] {
            assert!(!past(vec![started(), finished(ending)]).is_unfinished());
            assert!(past(vec![started(), finished(ending), resumed()]).is_unfinished());
        }
        let by = Person { name: "ann".into(), claimed: false };
        let stop = Event::Decided { step: None, decision: Decision::Stop, by, reason: String::new() };
        assert!(!past(vec![started(), stop.clone()]).is_unfinished());
        assert!(past(vec![started(), stop, resumed()]).is_unfinished());
    }

    #[test]
    fn an_attempt_that_certainly_did_nothing_has_not_acted() {
        let nothing = || Outcome::NotSent { reason: String::new() };
        let applied = || Outcome::Applied { outputs: super::super::event::Outputs::new() };
        assert!(past(vec![started(), attempt(1)]).acted.contains("a"));
        assert!(past(vec![started(), attempt(1), ended(1, applied())]).acted.contains("a"));
        assert!(past(vec![started(), attempt(1), ended(1, nothing())]).acted.is_empty());
        let second = vec![started(), attempt(1), ended(1, applied()), attempt(2), ended(2, nothing())];
        assert!(past(second).acted.contains("a"));
    }
}
