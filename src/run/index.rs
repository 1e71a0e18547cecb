//! What follows from the states of the steps, kept beside them for quick access: which steps may start, which have begun, and
//! which let those that need them start.
//!
//! A step is *through* when it is satisfied and everything that it needs is through. So a step that was skipped frees nothing
//! before what it needed itself is done; and a gate whose go has lapsed holds everything behind it that has not begun,
//! however far behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::gates;
use super::state::{RunState, StepState};
use crate::plan::{StepIx, Work};
use crate::time::Timestamp;

impl RunState {
    /// Replaces a step's state and keeps the indexes true.
    pub(super) fn set(&mut self, ix: StepIx, next: StepState) {
        let was = self.is_satisfied(ix);
        self.steps[ix.at()] = next;
        let is = self.is_satisfied(ix);
        if is && !was {
            self.facts[ix.at()].rests_on_described = self.facts[ix.at()].described_effect || self.rests_on_described(ix);
        }
        if was != is {
            self.spread(ix);
        }
        self.place(ix);
    }

    /// Works out anew whether a step is through, and what follows from that for those that need it.
    pub(super) fn spread(&mut self, first: StepIx) {
        let plan = Arc::clone(&self.plan);
        let mut queue = vec![first];
        while let Some(ix) = queue.pop() {
            let is = self.is_satisfied(ix) && (self.semantics < 2 || self.missing[ix.at()] == 0);
            if is == self.through[ix.at()] {
                continue;
            }
            self.through[ix.at()] = is;
            self.satisfied = if is { self.satisfied + 1 } else { self.satisfied.saturating_sub(1) };
            for &dependant in &plan.dependants[ix.at()] {
                let missing = &mut self.missing[dependant.at()];
                let before = *missing;
                *missing = if is { before.saturating_sub(1) } else { before + 1 };
                if before == 0 || *missing == 0 {
                    self.place(dependant);
                    queue.push(dependant);
                }
            }
        }
    }

    /// A newer program goes on with a run: what steps were free by older rules and have not begun is held by the new ones,
    /// and a question or an unused go of the old kind is put again.
    pub(super) fn raise(&mut self) {
        for at in 0..self.steps.len() {
            self.spread(step_ix(at));
        }
        for ix in self.live_gates.clone() {
            let open = matches!(self.step(ix), StepState::Done { .. });
            if open && self.governed.behind(ix).iter().any(|behind| self.has_begun(*behind)) {
                self.live_gates.remove(&ix);
            }
        }
        self.review_gates();
    }

    /// Whether the step has begun or is satisfied.
    pub(super) fn has_begun(&self, ix: StepIx) -> bool {
        self.facts(ix).attempts > 0 || !matches!(self.step(ix), StepState::Pending)
    }

    /// Looks whether the questions and goes that stand are still about what lies behind their gates.
    pub(super) fn review_gates(&mut self) {
        if self.semantics < 2 {
            return;
        }
        for ix in self.live_gates.clone() {
            if self.governed.behind(ix).iter().all(|behind| self.is_satisfied(*behind)) && !self.governed.behind(ix).is_empty() {
                self.live_gates.remove(&ix);
                continue;
            }
            if self.facts(ix).stale.is_none() {
                self.facts[ix.at()].stale = gates::objection(self, ix);
            }
        }
    }

    /// The wall clock jumped: what was measured as a duration goes on being one. Times that people wrote down, such as the
    /// window's, stay.
    pub(super) fn shift_durations(&mut self, millis: i64) {
        let shift = |at: &mut Timestamp| *at = Timestamp::from_millis(at.as_millis().saturating_add(millis));
        for facts in &mut self.facts {
            facts.first_started.iter_mut().for_each(shift);
            facts.go_until.iter_mut().for_each(shift);
            if let Some(probe) = &mut facts.last_probe {
                shift(&mut probe.at);
            }
            if let Some(row) = &mut facts.quiet {
                shift(&mut row.since);
                shift(&mut row.until);
            }
            if let Some(question) = &mut facts.question {
                question.expires.iter_mut().for_each(shift);
            }
        }
        for step in &mut self.steps {
            match step {
                StepState::Backoff { until, .. } => shift(until),
                StepState::AtGate(gate) => gate.expires.iter_mut().for_each(shift),
                _ => {}
            }
        }
    }

    /// Puts a step into the indexes in which it belongs, and out of all others.
    pub(super) fn place(&mut self, ix: StepIx) {
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
    pub(super) fn forget_looks(&mut self) {
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
    pub(super) fn choose(&mut self) {
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
}

fn put(set: &mut BTreeSet<StepIx>, ix: StepIx, inside: bool) {
    if inside {
        set.insert(ix);
    } else {
        set.remove(&ix);
    }
}

pub(super) fn step_ix(at: usize) -> StepIx {
    StepIx(u32::try_from(at).unwrap_or(u32::MAX))
}
