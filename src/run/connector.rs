//! What the driver needs of a system that it acts upon.
//!
//! Two traits, so that a rehearsal can be given the first without the second: [`Look`] reads, [`Connector`] also
//! writes. Implementations live in `crate::connector`; wrappers nest.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

pub use super::before_image::BeforeImage;
use super::event::{EvidenceRef, Identity, Outcome, Outputs};
use crate::plan::{StepId, Targets, Verdict};
use crate::time::{Span, Timestamp};

/// One call of an action with every expression resolved. Secrets are still references.
#[derive(Debug, Clone)]
pub struct Call {
    /// The run's id.
    pub run: Arc<str>,
    /// The step.
    pub step: StepId,
    /// The attempt; 0 for a look before the first.
    pub attempt: u32,
    /// The action's name.
    pub uses: String,
    /// Its arguments.
    pub with: Map<String, Value>,
    /// How the step's outputs are taken from the result.
    pub outputs: Arc<[crate::plan::Output]>,
    /// What the effect is bound to, if it was pinned.
    pub identity: Identity,
    /// Where relative paths start.
    pub folder: Arc<std::path::Path>,
    /// A folder of this attempt, for output files; made by the connector when it needs it.
    pub scratch: PathBuf,
    /// The targets file, for actions that name a target.
    pub targets: Arc<Targets>,
    /// Names that a person left out with `--exclude`, recorded.
    pub excluded: Arc<[String]>,
    /// The before-image of the attempt; before there is one, that of the attempt before it.
    pub before_image: Option<BeforeImage>,
    /// By what the attempt can be found again where it runs; recorded with the intent.
    pub handle: Option<String>,
    /// Of this attempt.
    pub timeout: Option<Span>,
    /// When the run's window closes, if it has one: what is needed until then must last until then.
    pub until: Option<Timestamp>,
    /// The step's effect class.
    pub effect: crate::plan::action::Effect,
    /// Whether the step was looked at before this attempt.
    pub probed: bool,
    /// Whether an effect before this step was only described (in a rehearsal).
    pub assumed: bool,
    /// Of an attempt in doubt: what is known of the process that sent it.
    pub sent: Sent,
}

/// What is known of the process that sent an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// It is known to be dead: it ran on this machine and its lock fell to us, or a person said that its machine is off.
    /// False also where nobody can tell, as after a take-over from another machine.
    pub dead: bool,
    /// How long ago its intent was recorded.
    pub ago: Option<Span>,
}

impl Call {
    /// Identifies the attempt for ever: `run/step/attempt`.
    #[must_use]
    pub fn attempt_id(&self) -> String {
        format!("{}/{}/{}", self.run, self.step, self.attempt)
    }
}

/// What a look saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// What it means to the action itself; an author's `verdict` expressions replace it.
    pub verdict: Verdict,
    /// One line for people.
    pub seen: String,
    /// Facts for expressions: `exit`, `stdout`, … Texts are cut to 64 KiB.
    pub facts: Map<String, Value>,
    /// Values for the step's outputs.
    pub outputs: Outputs,
    /// What pins the object that was seen.
    pub identity: Identity,
}

impl Observation {
    /// A look that cannot tell.
    #[must_use]
    pub fn unknown(seen: impl Into<String>) -> Self {
        Observation {
            verdict: Verdict::Unknown,
            seen: seen.into(),
            facts: Map::new(),
            outputs: Map::new(),
            identity: Identity::new(),
        }
    }
}

/// Whether an earlier attempt can still act.
#[derive(Debug, Clone, PartialEq)]
pub enum Quiescence {
    /// It can no longer act.
    Quiet {
        /// How that is known.
        seen: String,
        /// If its end was recorded where it ran: how it ended. Then it is not in doubt at all.
        ended: Option<Box<Outcome>>,
    },
    /// It still runs.
    Busy {
        /// What was seen.
        seen: String,
    },
    /// Nothing proves that it is gone, but the time within which it could act is over: what a look says counts once two
    /// looks apart agree.
    TimeIsOver {
        /// How that is known.
        seen: String,
    },
    /// Nobody can tell.
    CannotTell {
        /// Why.
        seen: String,
    },
}

/// What an action would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Line by line, before and after where it is known.
    pub lines: Vec<String>,
    /// False for a typed action that has no rehearsal behaviour.
    pub rehearsable: bool,
    /// Outputs that can be foretold.
    pub outputs: Outputs,
}

/// One finding of a preflight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it means for a run.
    pub level: Level,
    /// For people.
    pub message: String,
}

/// What a finding means for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Good to know; shown by `check --connect`.
    Fact,
    /// Worth a look; a run may start.
    Warning,
    /// As things are now the step could not be done. A run must not start, unless a step before it may change that.
    NotNow,
    /// A run must not start.
    Fatal,
    /// The target could not be reached at all; a run must not start.
    Unreachable,
}

/// What an action's effect is bound to, found before anything starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// The action acts on what its arguments name; there is no object to bind it to.
    NotNeeded,
    /// Exactly one object was found.
    Bound {
        /// What pins it; what an attempt is made on, and nothing else.
        identity: Identity,
        /// One line for people.
        seen: String,
    },
    /// None was found, several were, or it could not be looked for. A run must not start.
    Cannot {
        /// True if the target could not be reached.
        unreachable: bool,
        /// For people: what was found and what to do.
        reason: String,
    },
}

/// Reads a system. Never changes it.
#[async_trait]
pub trait Look: Send + Sync {
    /// What can be checked before anything starts: programs, files, rights, secrets.
    async fn preflight(&self, call: &Call) -> Vec<Finding>;

    /// Finds the object that the effect is to be bound to for the whole run. Asked once, at its start; for a step
    /// whose arguments are not known then, the first look binds it ([`Observation::identity`]).
    async fn pin(&self, _call: &Call) -> Pin {
        Pin::NotNeeded
    }

    /// By what the coming attempt can be found again where it will run, by whoever resumes: recorded with the intent, before
    /// its first byte. Pure; `None` if the attempt's own id is enough, or nothing is.
    fn handle(&self, _call: &Call) -> Option<String> {
        None
    }

    /// What [`Connector::apply`] would do, in words.
    async fn describe(&self, call: &Call) -> Description;

    /// Looks whether the effect is there.
    async fn probe(&self, call: &Call) -> Observation;

    /// Whether the attempt can still act.
    async fn quiesce(&self, call: &Call) -> Quiescence;

    /// Whether [`Look::probe`] can ever answer anything but *unknown* for this action.
    fn has_probe(&self, uses: &str) -> bool;

    /// The exact commands to do it by hand, if relevo itself were lost.
    fn by_hand(&self, call: &Call) -> Vec<String>;
}

/// Reads and changes a system.
#[async_trait]
pub trait Connector: Look {
    /// Stores what the effect will destroy, durably, before the intent is recorded. `None` if there is nothing to keep.
    ///
    /// # Errors
    /// A text for people: the attempt is then not made.
    async fn before_image(&self, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String>;

    /// Does it. The intent is durable when this is called.
    async fn apply(&self, call: &Call) -> Outcome;

    /// Takes it back, with the before-image if there is one.
    async fn undo(&self, call: &Call, before_image: Option<&[u8]>) -> Outcome;
}

/// Where evidence is kept.
pub trait Evidence: Send + Sync {
    /// Stores bytes durably under their SHA-256.
    ///
    /// # Errors
    /// The file could not be written or synced.
    fn store(&self, kind: &str, bytes: &[u8]) -> std::io::Result<EvidenceRef>;
}
