//! What people ask of a run: from the terminal, or through the inbox. Plain data.

use serde::{Deserialize, Serialize};

use super::event::{Decision, Outputs};
use crate::plan::StepId;

/// One request of a person. Nothing follows from it until its record is durable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// A vote on a gate.
    Vote {
        /// The gate.
        step: StepId,
        /// Go, or no-go.
        go: bool,
        /// Why.
        reason: String,
        /// What the voter was shown; the vote counts for that and nothing else. `None`: whatever is asked now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        binding: Option<String>,
    },
    /// A decision about a step, or (without a step) about the run.
    Decide {
        /// The step.
        step: Option<StepId>,
        /// What.
        decision: Decision,
        /// Why.
        reason: String,
    },
    /// The answer to a manual step.
    Answer {
        /// The step.
        step: StepId,
        /// Done, or not possible.
        done: bool,
        /// Why, or what was found.
        reason: String,
        /// Typed evidence.
        #[serde(default)]
        evidence: Outputs,
    },
    /// Start nothing more for now.
    Pause {
        /// Why.
        reason: String,
    },
    /// Start steps again.
    Continue {},
    /// End the run: start nothing more, let attempts finish.
    Abort {
        /// Why.
        reason: String,
    },
    /// Write something down.
    Note {
        /// What.
        text: String,
    },
}

impl Order {
    /// The step that the order is about, if it is about one.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Order::Vote { step, .. } | Order::Answer { step, .. } => Some(step),
            Order::Decide { step, .. } => step.as_ref(),
            Order::Pause { .. } | Order::Continue {} | Order::Abort { .. } | Order::Note { .. } => None,
        }
    }
}
