//! What people ask of a run: from the terminal, or through the inbox. Plain data.

use serde::{Deserialize, Serialize};

use super::event::{Decision, Outputs};
use crate::plan::StepId;
use crate::time::Timestamp;

/// One request of a person. Nothing follows from it until its record is durable.
///
/// An answer names the question that it answers (`nonce`, `about`): by the time that it is taken up, another question may
/// stand in the same place. `emergency` says that the person goes past the rule about who may decide, as a holder of the run
/// may, with a reason that is recorded.
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
        /// The question's nonce, as it was shown. A go without one counts for nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nonce: Option<String>,
        /// What the voter was shown; the vote counts for that and nothing else.
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
        /// The record that put the question, as it was shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<u64>,
        /// Past the rule about who may decide.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        emergency: bool,
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
        /// The record that put the question, as it was shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<u64>,
        /// Past the rule about who may answer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        emergency: bool,
    },
    /// Start nothing more for now.
    Pause {
        /// Why.
        reason: String,
    },
    /// Start steps again.
    Continue {
        /// Why.
        #[serde(default)]
        reason: String,
        /// Past the rule about who may decide.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        emergency: bool,
    },
    /// End the run: start nothing more, let attempts finish.
    Abort {
        /// Why.
        reason: String,
    },
    /// The window is shut, and something may start all the same: until a time, or what a checkpoint needs.
    Extend {
        /// The last instant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// Up to this checkpoint, where the run ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<StepId>,
        /// Why.
        reason: String,
        /// Past the rule about who may decide.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        emergency: bool,
    },
    /// The machines that held the run before are off: nothing that ran on them acts any more.
    OldHostOff {
        /// How the person knows.
        reason: String,
        /// Past the rule about who may decide.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        emergency: bool,
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
            Order::Pause { .. }
            | Order::Continue { .. }
            | Order::Abort { .. }
            | Order::Extend { .. }
            | Order::OldHostOff { .. }
            | Order::Note { .. } => None,
        }
    }

    /// Why the person goes past the rule about who may decide, if they say that they do.
    #[must_use]
    pub fn emergency(&self) -> Option<&str> {
        match self {
            Order::Decide { emergency: true, reason, .. }
            | Order::Answer { emergency: true, reason, .. }
            | Order::Continue { emergency: true, reason }
            | Order::Extend { emergency: true, reason, .. }
            | Order::OldHostOff { emergency: true, reason } => Some(reason),
            _ => None,
        }
    }

    /// Whether it only stops something. That never needs a role.
    #[must_use]
    pub fn stops(&self) -> bool {
        matches!(
            self,
            Order::Pause { .. }
                | Order::Abort { .. }
                | Order::Vote { go: false, .. }
                | Order::Decide { decision: Decision::Stop, .. }
        )
    }
}
