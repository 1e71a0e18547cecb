//! One action on a host: what the connector asks of it. What an answer means is decided by functions without IO in the
//! action's own file.

use async_trait::async_trait;

use super::hosts::Hosts;
use crate::plan::ActionSpec;
use crate::run::connector::{Call, Description, Evidence, Finding, Observation, Pin};
use crate::run::event::{EvidenceRef, Outcome};

/// As [`crate::run::connector::Connector`], with what all actions share at hand. Every action has an argument `host`.
#[async_trait]
pub trait Action: Send + Sync {
    /// What the plan language knows of it.
    fn spec(&self) -> ActionSpec;

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

    /// Takes it back.
    async fn undo(&self, hosts: &Hosts, call: &Call, before_image: Option<&[u8]>) -> Outcome;
}
