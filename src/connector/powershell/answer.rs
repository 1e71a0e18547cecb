//! What a command gave, and what that means for an attempt. Pure.
//!
//! An error that a cmdlet reports never decides alone whether its effect is there: half of it may be, or all of it. So it is
//! *unknown*, and the probe decides. The only exception is an error that PowerShell itself reports before the command
//! begins.

use super::said;
use crate::connector::redact::Redactor;
use crate::remoting::client::Truncated;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{ErrorRecord, EventKind, PipelineState};
use crate::run::event::{Outcome, Outputs};

/// Warnings and errors beyond so many are counted only.
const KEPT: usize = 100;

/// Errors by which PowerShell says that the command never began, by the first part of their ids.
const NEVER_BEGAN: &[&str] = &[
    "CommandNotFoundException",
    "NamedParameterNotFound",
    "PositionalParameterNotFound",
    "AmbiguousParameter",
    "AmbiguousParameterSet",
    "ParameterArgumentTransformationError",
    "ParameterArgumentValidationError",
    "CannotConvertArgument",
    "CannotConvertArgumentNoMessage",
    "MissingArgument",
    "MissingMandatoryParameter",
    "ParameterAlreadyBound",
    "ScriptsNotAllowed",
];

/// Everything that a command gave.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The command, for messages.
    pub command: String,
    /// Its output, in order.
    pub objects: Vec<Value>,
    /// What it complained of without ending.
    pub errors: Vec<Complaint>,
    /// What it warned of; without secrets.
    pub warnings: Vec<String>,
    /// What ended it.
    pub terminating: Option<Complaint>,
    /// Its last state.
    pub state: Option<PipelineState>,
    /// Whether there was more output than is taken.
    pub cut: bool,
    /// Errors and warnings beyond those that are kept.
    pub more: usize,
}

/// An error, without secrets and safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What it says.
    pub message: String,
    /// Its id, such as `CommandNotFoundException`.
    pub id: String,
    /// Where it came from in a script, if it says so.
    pub position: Option<String>,
}

impl Complaint {
    fn of(record: &ErrorRecord, redactor: &Redactor) -> Self {
        let text = |text: &str| said(&redactor.text(text));
        Complaint {
            message: text(record.message()),
            id: text(&record.fully_qualified_id),
            position: record.position.as_deref().map(text),
        }
    }
}

/// Nobody knows how a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// `false`: it certainly did nothing.
    pub acted: bool,
    /// For people.
    pub reason: String,
}

impl Lost {
    /// What it means for an attempt that had done nothing before.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        if self.acted { Outcome::Unknown { reason: self.reason } } else { Outcome::NotSent { reason: self.reason } }
    }
}

impl Answer {
    /// Nothing yet.
    #[must_use]
    pub fn of(command: &str) -> Self {
        Answer { command: command.to_owned(), ..Answer::default() }
    }

    /// Takes an event.
    pub fn take(&mut self, event: EventKind, redactor: &Redactor) {
        match event {
            EventKind::Output(value) => self.objects.push(value),
            EventKind::Error(record) if self.errors.len() < KEPT => self.errors.push(Complaint::of(&record, redactor)),
            EventKind::Warning(text) if self.warnings.len() < KEPT => self.warnings.push(said(&redactor.text(&text))),
            EventKind::Error(_) | EventKind::Warning(_) => self.more += 1,
            _ => {}
        }
    }

    /// Takes the end.
    pub fn end(
        &mut self,
        state: PipelineState,
        terminating: Option<ErrorRecord>,
        truncated: Option<Truncated>,
        redactor: &Redactor,
    ) {
        self.state = Some(state);
        self.terminating = terminating.map(|record| Complaint::of(&record, redactor));
        self.cut = truncated == Some(Truncated::Output);
    }

    /// What is wrong with it; `None` if it ran to its end without an error.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let said = |complaint: &Complaint| format!("{}: {}", self.command, complaint.message);
        match (&self.terminating, self.errors.first()) {
            (Some(complaint), _) => Some(said(complaint)),
            (None, Some(first)) if self.errors.len() + self.more > 1 => {
                Some(format!("{} (and {} more)", said(first), self.errors.len() + self.more - 1))
            }
            (None, Some(first)) => Some(said(first)),
            (None, None) if self.cut => Some(format!("{}: it gave more than can be taken", self.command)),
            (None, None) if self.state != Some(PipelineState::Completed) => {
                Some(format!("{}: it was stopped before its end", self.command))
            }
            (None, None) => None,
        }
    }

    /// Whether PowerShell itself refused the command before it began.
    #[must_use]
    pub fn never_began(&self) -> bool {
        let Some(complaint) = &self.terminating else { return false };
        let id = complaint.id.split(',').next().unwrap_or_default().trim();
        self.objects.is_empty() && self.errors.is_empty() && NEVER_BEGAN.iter().any(|known| known.eq_ignore_ascii_case(id))
    }

    /// The output of a look.
    ///
    /// # Errors
    /// It complained, or was cut: then what it gave is not all there is.
    pub fn read(self) -> Result<Vec<Value>, String> {
        match self.complaint() {
            Some(why) => Err(why),
            None => Ok(self.objects),
        }
    }

    /// What it means for an attempt whose only effect is this command's. `begun` says that a command before it had an
    /// effect.
    #[must_use]
    pub fn outcome(&self, begun: bool, outputs: Outputs) -> Outcome {
        match self.complaint() {
            None => Outcome::Applied { outputs },
            Some(reason) if self.never_began() && !begun => Outcome::Rejected { reason, untouched: true },
            Some(reason) => Outcome::Unknown { reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: PipelineState, id: Option<&str>) -> Answer {
        let mut answer = Answer::of("Stop-Service");
        let record = id.map(|id| ErrorRecord {
            exception_message: "no".to_owned(),
            fully_qualified_id: id.to_owned(),
            ..ErrorRecord::default()
        });
        answer.end(state, record, None, &Redactor::default());
        answer
    }

    #[test]
    fn f72_an_error_is_unknown_unless_powershell_refused_the_command_before_it_began() {
        let outcome = |answer: &Answer, begun| answer.outcome(begun, Outputs::new());
        let failed = |id| ended(PipelineState::Failed, Some(id));
        assert!(matches!(outcome(&ended(PipelineState::Completed, None), false), Outcome::Applied { .. }));
        assert!(matches!(outcome(&ended(PipelineState::Stopped, None), false), Outcome::Unknown { .. }));
        assert!(matches!(outcome(&failed("CouldNotStopService,Microsoft.PowerShell"), false), Outcome::Unknown { .. }));
        let refused = failed("NamedParameterNotFound,Microsoft.PowerShell.Commands.StopServiceCommand");
        assert!(matches!(outcome(&refused, false), Outcome::Rejected { untouched: true, .. }));
        assert!(matches!(outcome(&refused, true), Outcome::Unknown { .. }));
        let mut spoke = failed("CommandNotFoundException");
        spoke.objects.push(Value::Nil);
        assert!(matches!(outcome(&spoke, false), Outcome::Unknown { .. }));
    }

    #[test]
    fn an_error_without_an_end_is_a_complaint_too() {
        let mut answer = Answer::of("Get-Service");
        let record = ErrorRecord { exception_message: "Cannot find any service".to_owned(), ..ErrorRecord::default() };
        answer.take(EventKind::Error(record.clone()), &Redactor::default());
        answer.take(EventKind::Error(record), &Redactor::default());
        answer.end(PipelineState::Completed, None, None, &Redactor::default());
        assert_eq!(answer.complaint().as_deref(), Some("Get-Service: Cannot find any service (and 1 more)"));
        assert!(answer.read().is_err());
    }
}
