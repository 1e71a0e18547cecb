//! Who answers questions. In a run: people, later, through orders. In a rehearsal, or with `--go`: at once.

use super::decide;
use super::event::{Event, How, Outputs, Person};
use super::questions::{Kind, Question};
use super::state::{RunState, StepState};
use crate::plan::Work;

/// Asked about every question that stands, whenever the driver has nothing else to do.
pub trait People: Send {
    /// Events that answer the question at once; empty if a person will answer in their own time.
    fn answer(&mut self, state: &RunState, question: Question) -> Vec<Event>;

    /// Whether somebody is there to wait for (a terminal, or `--wait`).
    fn is_there(&self) -> bool;
}

/// Nobody answers at once; orders will come, or not.
#[derive(Debug, Clone, Copy)]
pub struct Later {
    /// Whether to wait for them.
    pub wait: bool,
}

impl People for Later {
    fn answer(&mut self, _state: &RunState, _question: Question) -> Vec<Event> {
        Vec::new()
    }

    fn is_there(&self) -> bool {
        self.wait
    }
}

/// A rehearsal: what a person would do is described.
#[derive(Debug, Clone, Copy)]
pub struct WouldBeAsked;

impl People for WouldBeAsked {
    fn answer(&mut self, state: &RunState, question: Question) -> Vec<Event> {
        match question.kind {
            Kind::Gate | Kind::LapsedGate | Kind::Manual => vec![Event::StepVerified {
                step: state.plan.step(question.step).id.clone(),
                how: How::Described,
                outputs: Outputs::new(),
            }],
            Kind::Doubt | Kind::Failure | Kind::Window => Vec::new(),
        }
    }

    fn is_there(&self) -> bool {
        false
    }
}

/// `--go`: whoever typed it votes go wherever their vote counts, and manual steps are taken as done, recorded as such.
/// Roles, quorum and `not_initiator` hold all the same, and a probe still contradicts.
#[derive(Debug, Clone)]
pub struct Go {
    /// Who typed `--go`.
    pub by: Person,
    /// Whether to wait for people where `--go` has no answer.
    pub wait: bool,
}

impl People for Go {
    fn answer(&mut self, state: &RunState, question: Question) -> Vec<Event> {
        let step = state.plan.step(question.step).id.clone();
        match question.kind {
            Kind::Gate => self.vote(state, question).into_iter().collect(),
            Kind::Manual if self.may_answer(state, question) => vec![Event::ManualAnswered {
                step,
                by: self.by.clone(),
                done: true,
                reason: "--go".to_owned(),
                evidence: Outputs::new(),
            }],
            Kind::Manual | Kind::LapsedGate | Kind::Doubt | Kind::Failure | Kind::Window => Vec::new(),
        }
    }

    fn is_there(&self) -> bool {
        self.wait
    }
}

impl Go {
    fn vote(&self, state: &RunState, question: Question) -> Option<Event> {
        let StepState::AtGate(asked) = state.step(question.step) else { return None };
        let shown = (Some(asked.nonce.as_str()), Some(asked.binding.as_str()));
        let now = state.last_at?;
        let ballot = decide::vote(state, question.step, true, &self.by, shown, now).ok()?;
        if ballot.not_counted.is_some() {
            return None;
        }
        Some(Event::VoteCast {
            step: state.plan.step(question.step).id.clone(),
            by: self.by.clone(),
            go: true,
            reason: "--go".to_owned(),
            binding: ballot.binding,
            nonce: ballot.nonce,
            not_counted: None,
        })
    }

    /// A manual step's roles hold for `--go`, too, and a probe that contradicted it is not answered with the same word again.
    fn may_answer(&self, state: &RunState, question: Question) -> bool {
        let Work::Manual(manual) = &state.plan.step(question.step).work else { return false };
        let contradicted = matches!(state.step(question.step), StepState::AtManual(asked) if asked.contradicted.is_some());
        !contradicted && decide::entitled(state, &manual.by, &self.by).is_ok()
    }
}
