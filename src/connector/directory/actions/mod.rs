//! The actions on directories, one file each. What an answer of the directory means is decided by functions without
//! IO; what asks and what writes stands beside them.

pub mod delete;
pub mod disable_lync;
pub mod keep;
pub mod modify;
pub mod restore;
pub mod search;
pub mod settle;

use async_trait::async_trait;

use super::Directory;
use super::quiet::Late;
use crate::plan::ActionSpec;
use crate::run::connector::{Call, Description, Evidence, Finding, Observation, Pin};
use crate::run::event::{EvidenceRef, Outcome};

/// All of them.
pub const ALL: &[&dyn Action] =
    &[&delete::Delete, &restore::Restore, &disable_lync::DisableLync, &settle::Settle, &modify::Modify, &search::Search];

/// The action of that name.
#[must_use]
pub fn named(uses: &str) -> Option<&'static dyn Action> {
    ALL.iter().copied().find(|action| action.spec().name == uses)
}

/// One action; as [`crate::run::connector::Connector`], with what all actions share at hand.
#[async_trait]
pub trait Action: Send + Sync {
    /// What the plan language knows of it.
    fn spec(&self) -> ActionSpec;

    /// What can be checked before anything starts.
    async fn preflight(&self, directory: &Directory, call: &Call) -> Vec<Finding>;

    /// What its effect is to be bound to.
    async fn pin(&self, _directory: &Directory, _call: &Call) -> Pin {
        Pin::NotNeeded
    }

    /// What it would do.
    async fn describe(&self, directory: &Directory, call: &Call) -> Description;

    /// Whether its effect is there.
    async fn probe(&self, directory: &Directory, call: &Call) -> Observation;

    /// How to do it by hand.
    fn by_hand(&self, directory: &Directory, call: &Call) -> Vec<String>;

    /// Keeps what it will destroy.
    async fn before_image(
        &self,
        _directory: &Directory,
        _call: &Call,
        _evidence: &dyn Evidence,
    ) -> Result<Option<EvidenceRef>, String> {
        Ok(None)
    }

    /// Does it.
    async fn apply(&self, directory: &Directory, call: &Call) -> Outcome;

    /// What a request of it does if it is carried out late. Not asked of what only reads.
    fn late(&self) -> Late {
        Late::SameOrNothing
    }

    /// Takes it back.
    async fn undo(&self, directory: &Directory, call: &Call, before_image: Option<&[u8]>) -> Outcome;
}
