//! What a cmdlet of Lync works on: all of the forest at once, for as long as nobody else does.

use std::collections::BTreeSet;

use super::deployment::Deployment;
use super::directory::Directory;
use crate::lab::windows::cmdlet::{Bound, Cmdlet, Stage};
use crate::lab::windows::machine::Machine;
use crate::remoting::psrp::ErrorRecord;

/// What a cmdlet of Lync does. Output, warnings, errors and the audit's words go to the stage, whose machine is the Front End
/// and is never kept: what is to change is changed in the forest.
pub type OnForest = fn(&mut Stage<'_>, &mut Forest<'_>, &Bound) -> Result<(), ErrorRecord>;

/// A cmdlet of Lync.
pub type Cs = Cmdlet<OnForest>;

/// The module of all of them.
pub const MODULE: &str = "Lync";

/// The forest.
pub struct Forest<'a> {
    /// The topology and what the Front Ends hold. Whoever changes it sets [`Changed::deployment`].
    pub deployment: &'a mut Deployment,
    /// Every machine, the Front End among them. Whoever changes one names it in [`Changed::machines`].
    pub machines: &'a mut [Machine],
    /// The directory.
    pub directory: &'a mut dyn Directory,
    /// Short names of machines that do not answer.
    pub unreachable: BTreeSet<String>,
    /// Who calls, as `CONTOSO\svc-mig`.
    pub account: &'a str,
    /// Milliseconds since 1970.
    pub now: i64,
    /// What has to be kept.
    pub changed: Changed,
}

/// What a cmdlet changed, beside the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// The deployment.
    pub deployment: bool,
    /// Machines by name.
    pub machines: BTreeSet<String>,
}

impl Forest<'_> {
    /// The machine of a name, short or in the lab's domain.
    #[must_use]
    pub fn machine(&self, name: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.answers_to(name))
    }

    /// The machine of a name, if it answers.
    #[must_use]
    pub fn reachable(&self, name: &str) -> Option<&Machine> {
        self.machine(name).filter(|machine| !self.unreachable.contains(&machine.name))
    }

    /// The same, to be changed: it is kept.
    pub fn machine_mut(&mut self, name: &str) -> Option<&mut Machine> {
        let machine = self.machines.iter_mut().find(|machine| machine.answers_to(name))?;
        self.changed.machines.insert(machine.name.clone());
        Some(machine)
    }

    /// What the Central Management store holds of the deployment, to be changed: it is kept, and carried to every server.
    pub fn publish(&mut self) -> &mut Deployment {
        self.deployment.published_at = self.now;
        self.deployment_mut()
    }

    /// The deployment, to be changed: it is kept.
    pub fn deployment_mut(&mut self) -> &mut Deployment {
        self.changed.deployment = true;
        self.deployment
    }
}
