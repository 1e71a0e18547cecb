//! Actions on Windows hosts, by PowerShell remoting.
//!
//! ```text
//! action    what one action is                                  (the typed ones are in `windows/` and `mssql/`)
//! script    `powershell`: an author's script
//! host      a host of the targets file, and how it is reached
//! hosts     opens sessions; remembers refused logons
//! session   one shell, one command after the other              (the only place that knows the remoting client)
//! answer    what a command gave, and what that means
//! values    from PowerShell's values to ours
//! handle    what is recorded of an attempt before its first byte
//! quiet     whether an earlier attempt can still act
//! preflight what can be told before anything starts
//! by_hand   the commands that a person would type
//! ```
//!
//! A typed action sends cmdlets with named parameters, each a pipeline of its own, and never a text that was put together.
//! An attempt runs in a shell whose id was recorded with the intent, so that whoever resumes can end it.

pub mod action;
pub mod answer;
pub mod by_hand;
pub mod handle;
pub mod host;
pub mod hosts;
mod preflight;
mod quiet;
pub mod script;
pub mod session;
pub mod values;

use async_trait::async_trait;
use uuid::Uuid;

use self::action::Action;
use self::handle::Handle;
use self::hosts::Hosts;
use crate::connector::Options;
use crate::connector::no_answer::NoAnswer;
use crate::foreign::{message, one_line};
use crate::plan::action::{Effect, UndoOf};
use crate::plan::{ActionSpec, Targets};
use crate::run::connector::{Call, Connector, Description, Evidence, Finding, Level, Look, Observation, Pin, Quiescence};
use crate::run::event::{EvidenceRef, Outcome};

/// A list of actions.
pub type Actions = &'static [&'static dyn Action];

/// The connector: some actions on hosts, and what all of them share.
#[derive(Clone)]
pub struct PowerShell {
    hosts: Hosts,
    actions: Actions,
}

/// Foreign text, safe to print.
pub(super) fn shown(text: &str) -> String {
    one_line(text, 300)
}

/// What a host says to people, safe to print.
fn said(text: &str) -> String {
    message(text, 300)
}

impl PowerShell {
    /// A connector for an author's scripts, that waits no longer than the options allow.
    #[must_use]
    pub fn new(options: Options) -> Self {
        PowerShell { hosts: Hosts::new(options), actions: script::ACTIONS }
    }

    /// A connector for other actions. It shares what is remembered of refused logons.
    #[must_use]
    pub fn with(&self, actions: Actions) -> Self {
        PowerShell { hosts: self.hosts.clone(), actions }
    }

    /// The way to every host.
    pub(in crate::connector) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// What the plan language knows of these actions.
    #[must_use]
    pub fn specs(&self) -> Vec<ActionSpec> {
        self.actions.iter().map(|action| action.spec()).collect()
    }

    /// What undos of these actions give back, where their grade says too little.
    #[must_use]
    pub fn undos(&self) -> Vec<(&'static str, UndoOf)> {
        self.actions.iter().filter_map(|action| Some((action.spec().name, action.undo_of()?))).collect()
    }

    /// Everything that can be told of a host of the targets file, good and bad. Changes nothing.
    pub async fn survey(&self, targets: &Targets, name: &str) -> Vec<Finding> {
        preflight::survey(&self.hosts, targets, name).await
    }

    fn action(&self, uses: &str) -> Result<&'static dyn Action, String> {
        let found = self.actions.iter().copied().find(|action| action.spec().name == uses);
        found.ok_or_else(|| format!("`{}` is no action on a host", shown(uses)))
    }
}

#[async_trait]
impl Look for PowerShell {
    async fn preflight(&self, call: &Call) -> Vec<Finding> {
        match self.action(&call.uses) {
            Ok(action) => match preflight::reach(&self.hosts, call).await {
                found if found.iter().any(|finding| finding.level >= Level::Fatal) => found,
                mut found => {
                    found.extend(action.preflight(&self.hosts, call).await);
                    found
                }
            },
            Err(message) => vec![Finding { level: Level::Fatal, message }],
        }
    }

    async fn pin(&self, call: &Call) -> Pin {
        match self.action(&call.uses) {
            Ok(action) => action.pin(&self.hosts, call).await,
            Err(reason) => NoAnswer::from(reason).pin(),
        }
    }

    /// The shell of an attempt, and where it is. What only reads leaves nothing that would have to be found.
    fn handle(&self, call: &Call) -> Option<String> {
        if call.effect == Effect::Read {
            return None;
        }
        // Of a host that cannot be read there is no place; the attempt will say so, and send nothing.
        let here = self.hosts.host(call).ok();
        let shells = self.action(&call.uses).map(|action| action.shells(call)).unwrap_or_default();
        let further =
            shells.into_iter().filter_map(|(name, _)| Some((name.clone(), self.hosts.named(&call.targets, &name).ok()?)));
        Some(Handle::write(Uuid::new_v4(), here.as_ref(), &further.collect::<Vec<_>>()))
    }

    async fn describe(&self, call: &Call) -> Description {
        match self.action(&call.uses) {
            Ok(action) => action.describe(&self.hosts, call).await,
            Err(why) => Description { lines: vec![why], rehearsable: false, outputs: serde_json::Map::new() },
        }
    }

    async fn probe(&self, call: &Call) -> Observation {
        match self.action(&call.uses) {
            Ok(action) => action.probe(&self.hosts, call).await,
            Err(why) => Observation::unknown(why),
        }
    }

    async fn quiesce(&self, call: &Call) -> Quiescence {
        if call.effect == Effect::Read {
            return Quiescence::Quiet { seen: "a look changes nothing".to_owned(), ended: None };
        }
        let Some(text) = &call.handle else {
            return Quiescence::CannotTell { seen: "no shell was recorded for the attempt".to_owned() };
        };
        let (action, host) = match self.action(&call.uses).and_then(|action| Ok((action, self.hosts.host(call)?))) {
            Ok(found) => found,
            Err(seen) => return Quiescence::CannotTell { seen },
        };
        let handle = Handle::read(text);
        let until = quiet::patience(&self.hosts);
        let own = quiet::quiesce(&self.hosts, &host, &handle.shell, handle.place.as_ref(), until).await;
        // The others are ended in any case, whatever became of the first.
        let mut still = None;
        for (name, shell) in action.shells(call) {
            let ended = match self.hosts.named(&call.targets, &name) {
                Ok(host) => quiet::quiesce(&self.hosts, &host, &shell.to_string(), handle.place_at(&name), until).await,
                Err(seen) => Quiescence::CannotTell { seen },
            };
            if !matches!(ended, Quiescence::Quiet { .. }) {
                still = still.or(Some(ended));
            }
        }
        match (own, still) {
            (Quiescence::Quiet { seen, ended }, None) => {
                action.goes_on(&self.hosts, call).await.unwrap_or(Quiescence::Quiet { seen, ended })
            }
            (Quiescence::Quiet { .. }, Some(still)) => still,
            (own, _) => own,
        }
    }

    /// What a read step saw has been seen by the attempt itself; a script is probed by its author.
    fn has_probe(&self, uses: &str) -> bool {
        self.action(uses).is_ok_and(|action| {
            let spec = action.spec();
            !spec.generic && spec.effect != Effect::Read
        })
    }

    fn by_hand(&self, call: &Call) -> Vec<String> {
        match self.action(&call.uses) {
            Ok(action) => {
                let mut lines = by_hand::connection(&self.hosts, call);
                lines.extend(action.by_hand(&self.hosts, call));
                lines
            }
            Err(why) => vec![format!("# {why}")],
        }
    }
}

#[async_trait]
impl Connector for PowerShell {
    async fn before_image(&self, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        self.action(&call.uses)?.before_image(&self.hosts, call, evidence).await
    }

    async fn apply(&self, call: &Call) -> Outcome {
        match self.action(&call.uses) {
            Ok(action) => action.apply(&self.hosts, call).await,
            Err(reason) => Outcome::NotSent { reason },
        }
    }

    async fn undo(&self, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        match self.action(&call.uses) {
            Ok(action) => action.undo(&self.hosts, call, before_image).await,
            Err(reason) => Outcome::NotSent { reason },
        }
    }
}
