//! One action on a host: what the connector asks of it. What an answer means is decided by functions without IO in the
//! action's own file.

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::hosts::Hosts;
use crate::plan::ActionSpec;
use crate::plan::action::UndoOf;
use crate::run::connector::{Call, Description, Evidence, Finding, Observation, Pin, Quiescence};
use crate::run::event::{EvidenceRef, Outcome};

/// As [`crate::run::connector::Connector`], with what all actions share at hand. Every action has an argument `host`.
#[async_trait]
pub trait Action: Send + Sync {
    /// What the plan language knows of it.
    fn spec(&self) -> ActionSpec;

    /// What its undo gives back, where that depends on its arguments or has to be said in words of its own.
    fn undo_of(&self) -> Option<UndoOf> {
        None
    }

    /// What can be checked before anything starts; that the host answers has been seen.
    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding>;

    /// What its effect is to be bound to.
    async fn pin(&self, _hosts: &Hosts, _call: &Call) -> Pin {
        Pin::NotNeeded
    }

    /// What it would do.
    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description;

    /// Whether its effect is there. Sessions of a look are the look's own: [`Hosts::look`].
    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation;

    /// How to do it by hand, in PowerShell; how to reach the host is said before.
    fn by_hand(&self, hosts: &Hosts, call: &Call) -> Vec<String>;

    /// Keeps what it is about to change. A later attempt keeps what the first one kept ([`Call::before_image`]): what it sees
    /// itself may be half of its own effect.
    async fn before_image(&self, _hosts: &Hosts, _call: &Call, _evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        Ok(None)
    }

    /// Does it, in the shell of the attempt: [`Hosts::attempt`].
    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome;

    /// Shells on further hosts in which an attempt works beside its own: the host's name, and the shell's id
    /// ([`beside`]). Pure: whoever resumes ends them as well.
    fn shells(&self, _call: &Call) -> Vec<(String, Uuid)> {
        Vec::new()
    }

    /// Whether something that the attempt began in another program goes on without its shells, such as a restore in SQL
    /// Server. Asked once the shells are gone; `None` if nothing does.
    async fn goes_on(&self, _hosts: &Hosts, _call: &Call) -> Option<Quiescence> {
        None
    }

    /// Takes it back.
    async fn undo(&self, hosts: &Hosts, call: &Call, before_image: Option<&[u8]>) -> Outcome;
}

/// The id of the attempt's shell on another host: found again from what was recorded with the intent. A new one if nothing
/// was recorded.
#[must_use]
pub fn beside(call: &Call, host: &str) -> Uuid {
    let Some(handle) = &call.handle else { return Uuid::new_v4() };
    let hash = Sha256::digest(format!("{handle}/{host}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
