//! What waits for a person, worked out from the state alone: gates, manual steps, failures that ask, steps in doubt.

use super::state::{RunState, StepState};
use crate::plan::{OnFailure, StepIx};

/// One thing that waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// The step.
    pub step: StepIx,
    /// What kind of answer is needed.
    pub kind: Kind,
}

/// What kind of answer is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Done, not done, retry, skip or stop: the outcome cannot be told.
    Doubt,
    /// Retry, skip, done or stop: the step failed.
    Failure,
    /// Go or no-go.
    Gate,
    /// The gate's question has lapsed; `retry` asks anew.
    LapsedGate,
    /// Done, or not possible, with evidence.
    Manual,
    /// The window is shut before this step: extend it, stop at a checkpoint, or stop.
    Window,
}

/// Everything that waits for a person, most urgent kind first.
#[must_use]
pub fn questions(state: &RunState) -> Vec<Question> {
    let mut all = Vec::new();
    if state.ending.is_some() {
        return all;
    }
    all.extend(state.doubtful.iter().map(|&step| Question { step, kind: Kind::Doubt }));
    for &step in &state.failed {
        if matches!(state.step(step), StepState::Failed { on_failure: OnFailure::Ask | OnFailure::Rollback, .. }) {
            all.push(Question { step, kind: Kind::Failure });
        }
    }
    for &step in &state.open {
        match state.step(step) {
            StepState::AtGate(gate) => {
                all.push(Question { step, kind: if gate.expired { Kind::LapsedGate } else { Kind::Gate } });
            }
            StepState::AtManual(manual) if manual.answered.is_none() => all.push(Question { step, kind: Kind::Manual }),
            _ => {}
        }
    }
    if state.window_closed {
        all.extend(state.first_to_start().map(|step| Question { step, kind: Kind::Window }));
    }
    all.sort_by_key(|question| (question.kind, question.step));
    all
}
