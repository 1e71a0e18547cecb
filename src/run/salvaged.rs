//! What a run may believe of itself when its journal is the intact beginning of a damaged one.
//!
//! Whatever happened after that beginning is lost, and it happened all the same. So nothing that the beginning leaves open
//! is still known to be open: a step may have begun and ended in the lost part, and what was asked may have been answered.
//!
//! - What is satisfied stays satisfied: its record is there.
//! - Every other action is in doubt, and only a person's word says what became of it. No look settles it: nobody can tell
//!   whether a lost attempt still acts.
//! - Every other question is asked anew, and so is an open gate that has something unsatisfied behind it.

use std::collections::BTreeSet;

use super::event::Person;
use super::state::{RunState, StepState};
use crate::plan::{StepIx, Work};
use crate::time::Timestamp;

/// Where a salvaged run comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The damaged run.
    pub run: String,
    /// Its records from 1 to this one are the beginning of this run.
    pub records: u64,
    /// Up to this record it was durable for certain; `None` if that cannot be read.
    pub watermark: Option<u64>,
    /// Who salvaged it.
    pub by: Person,
}

impl Origin {
    /// What is known of the records that are lost.
    #[must_use]
    pub fn lost(&self) -> String {
        let after = self.records + 1;
        match self.watermark {
            Some(watermark) if watermark > after => {
                format!("records {after} to {watermark} were durable and are lost, and there may have been more")
            }
            Some(watermark) if watermark == after => {
                format!("record {after} was durable and is lost, and there may have been more")
            }
            Some(_) => format!("the watermark says that nothing beyond record {} was durable", self.records),
            None => "its watermark cannot be read, so how much is lost cannot be told".to_owned(),
        }
    }

    fn doubt(&self, attempts: u32) -> String {
        let damaged = format!("the journal of {} was damaged after record {}", self.run, self.records);
        match attempts {
            0 => format!("{damaged}: whether it was begun after that cannot be told"),
            n => format!("{damaged}: what became of attempt {n}, and whether there was another one, cannot be told"),
        }
    }
}

impl RunState {
    /// Forgets what only the lost records could tell.
    pub(super) fn salvaged(&mut self, origin: Origin, at: Timestamp) {
        let ask_again: BTreeSet<StepIx> = self.all_steps().filter(|ix| self.must_be_asked_again(*ix)).collect();
        for ix in self.all_steps() {
            if ask_again.contains(&ix) {
                let facts = &mut self.facts[ix.at()];
                (facts.no_go, facts.stale, facts.question, facts.go_until) = (None, None, None, None);
                self.live_gates.remove(&ix);
                self.set(ix, StepState::Pending);
            } else if self.may_have_begun(ix) {
                let facts = &mut self.facts[ix.at()];
                let attempt = facts.attempts;
                facts.salvaged = true;
                facts.may_have_acted = true;
                // Looks of before say nothing of what came after them. The question stands at once.
                facts.last_probe = None;
                facts.quiet = None;
                facts.unknown_probes = 0;
                facts.doubt_looks = 1;
                facts.unanswered = false;
                facts.decided = None;
                facts.changed = Some(at);
                self.set(ix, StepState::InDoubt { attempt, reason: origin.doubt(attempt), since: at });
            }
        }
        // An end in the beginning need not have been the end.
        self.ending = None;
        self.origin = Some(origin);
    }

    fn all_steps(&self) -> impl Iterator<Item = StepIx> + use<> {
        (0..u32::try_from(self.steps.len()).unwrap_or(u32::MAX)).map(StepIx)
    }

    /// An action whose effect is not known to be there. What is excluded was never to begin.
    fn may_have_begun(&self, ix: StepIx) -> bool {
        matches!(self.plan.step(ix).work, Work::Action(_)) && !self.is_satisfied(ix) && !self.excluded.contains(&ix)
    }

    fn must_be_asked_again(&self, ix: StepIx) -> bool {
        match self.plan.step(ix).work {
            Work::Action(_) => false,
            Work::Gate(_) => match self.step(ix) {
                // Something up to the next gates still needs its go.
                StepState::Done { .. } => self.behind_gate(ix).iter().any(|behind| !self.is_satisfied(*behind)),
                _ => !self.is_satisfied(ix),
            },
            Work::Manual(_) | Work::Checkpoint => !self.is_satisfied(ix),
        }
    }
}
