//! The connectors: how each action reaches the system that it acts upon.
//!
//! One folder or file per system, each an implementation of [`Connector`]. [`Connectors`] knows them by the word
//! after `uses`. Unaware of plans, journals and scheduling: a connector gets one [`crate::run::connector::Call`] and
//! answers with what it saw.

pub mod args;
mod command;
pub mod directory;
mod lasts;
pub mod lync;
pub mod mssql;
pub mod no_answer;
mod noop;
pub mod powershell;
mod redact;
mod refused;
pub mod sip;
pub mod time_left;
pub mod tls;
mod wait;
pub mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::plan::action::UndoOf;
use crate::plan::{ActionSpec, Catalogue, Targets};
use crate::run::connector::{Connector, Finding};
use crate::time::Span;

pub use command::{Command, output_files};
pub use directory::Directory;
pub use lync::chat::trial::Trial;
pub use noop::Noop;
pub use powershell::PowerShell;
pub use redact::Redactor;
pub use wait::Wait;

/// What the composer of a run may choose about its connectors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// No wait, poll interval or settling time is longer than this. The lab sets a second, so that a weekend takes
    /// seconds; `None` everywhere else.
    pub longest_wait: Option<Span>,
}

/// The connectors of this build, by action. Cheap to clone.
#[derive(Clone, Default)]
pub struct Connectors {
    /// For a look at a target that is no step's. The same ones: they remember refused logons.
    directories: Option<Directory>,
    hosts: Option<PowerShell>,
    by_action: BTreeMap<&'static str, (ActionSpec, Arc<dyn Connector>)>,
    undos: Vec<(&'static str, UndoOf)>,
}

impl Connectors {
    /// All connectors of this build.
    #[must_use]
    pub fn standard(options: Options) -> Self {
        let directories = Directory::new(options);
        let hosts = PowerShell::new(options);
        let all = Connectors { directories: Some(directories.clone()), hosts: Some(hosts.clone()), ..Connectors::default() }
            .with(noop::specs(), Noop)
            .with(command::specs(), Command::default())
            .with(directory::specs(), directories)
            .with(lync::sign_in::specs(), lync::sign_in::SignIn);
        let scripts_and_cmdlets = [hosts.clone(), hosts.with(windows::ALL), hosts.with(mssql::ALL), hosts.with(lync::ALL)];
        let undos = scripts_and_cmdlets.iter().flat_map(PowerShell::undos).collect();
        let all = scripts_and_cmdlets.into_iter().fold(all, |all, connector| all.with(connector.specs(), connector));
        let all = Connectors { undos, ..all };
        // Last, because it looks through the others.
        let wait = Wait::new(all.clone(), options);
        all.with(wait::specs(), wait)
    }

    /// Adds a connector for the actions of `specs`; a later one replaces an earlier one of the same name.
    #[must_use]
    pub fn with(mut self, specs: Vec<ActionSpec>, connector: impl Connector + 'static) -> Self {
        let connector: Arc<dyn Connector> = Arc::new(connector);
        for spec in specs {
            self.by_action.insert(spec.name, (spec, Arc::clone(&connector)));
        }
        self
    }

    /// The connector for an action, if this build has one.
    #[must_use]
    pub fn for_action(&self, uses: &str) -> Option<Arc<dyn Connector>> {
        self.by_action.get(uses).map(|(_, connector)| Arc::clone(connector))
    }

    /// A rehearsal's wish to export chat data for real, under a name of its own.
    #[must_use]
    pub fn trial(&self) -> Option<Trial> {
        Some(Trial::new(self.for_action("lync.chat.export")?, self.hosts.as_ref()?.hosts().clone()))
    }

    /// Everything that can be told of a target, good and bad, without changing anything. `None` if this build knows no
    /// way to reach targets of its kind.
    pub async fn survey(&self, targets: &Targets, name: &str) -> Option<Vec<Finding>> {
        match targets.names.get(name).map(String::as_str) {
            Some("directories") => Some(self.directories.as_ref()?.survey(targets, name).await),
            // A host that is only a name, for `command`, is not reached by anything.
            Some("hosts") if targets.value["hosts"][name].get("auth").is_some() => {
                Some(self.hosts.as_ref()?.survey(targets, name).await)
            }
            _ => None,
        }
    }

    /// What the plan language needs to know of the actions.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        Catalogue::new(self.by_action.values().map(|(spec, _)| spec.clone())).with_undos(self.undos.iter().copied())
    }
}

impl std::fmt::Debug for Connectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_action.keys()).finish()
    }
}

/// A length of time in the plan's own words: `250ms`, `30s`, `1h30m`.
fn span(length: Span) -> String {
    use std::fmt::Write as _;
    let millis = length.as_millis();
    let mut text = String::new();
    for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")] {
        let count = match unit {
            3_600_000 => millis / unit,
            60_000 => millis % 3_600_000 / unit,
            1000 => millis % 60_000 / unit,
            _ => millis % 1000,
        };
        if count > 0 {
            let _ = write!(text, "{count}{name}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
