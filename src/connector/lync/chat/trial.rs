//! A rehearsal that may export: [`Trial`] lets `lync.chat.export` export for real, under a name of the rehearsal's own, and
//! lets the steps that look into that file look at it.
//!
//! The source is only read and the final name is never used, so that nothing is changed but for scratch files. They are
//! removed at the end, each by its own name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::json;

use super::super::cs::shown;
use super::files::{self, Place};
use crate::connector::args;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::time_left::TimeLeft;
use crate::plan::action::Effect;
use crate::plan::{Targets, Verdict};
use crate::run::connector::{Call, Connector, Description, Evidence, Finding, Look, Observation, Pin, Quiescence};
use crate::run::event::{EvidenceRef, Outcome};
use crate::run::rehearsal::Described;
use crate::time::Span;

const EXPORT: &str = "lync.chat.export";
const READERS: [&str; 2] = ["lync.chat.inspect", "lync.chat.import_whatif"];
/// Of the removal of one file.
const PATIENCE: Span = Span::from_secs(60);

/// Scratch files: by host and path, with the targets that name the host.
type Made = BTreeMap<(String, String), Arc<Targets>>;

/// The wrapper around the connector of these actions.
#[derive(Clone)]
pub struct Trial {
    inner: Arc<dyn Connector>,
    described: Arc<Described>,
    hosts: Hosts,
    made: Arc<Mutex<Made>>,
}

impl Trial {
    /// Around a connector that knows these actions.
    #[must_use]
    pub fn new(inner: Arc<dyn Connector>, hosts: Hosts) -> Self {
        let described = Arc::new(Described::new(Arc::clone(&inner) as Arc<dyn Look>));
        Trial { inner, described, hosts, made: Arc::default() }
    }

    /// Whether an action is one that it tries for real.
    #[must_use]
    pub fn concerns(uses: &str) -> bool {
        uses == EXPORT || READERS.contains(&uses)
    }

    fn remember(&self, call: &Call, path: &str) {
        let host = args::needed(call, "file_host").unwrap_or_default();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.insert((host, path.to_owned()), Arc::clone(&call.targets));
    }

    fn has(&self, call: &Call, path: &str) -> bool {
        let host = args::needed(call, "file_host").unwrap_or_default();
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.keys().any(|(on, own)| *on == host && own.eq_ignore_ascii_case(path))
    }

    /// The call with a scratch file in the place of the final one. `None` if it cannot be read.
    fn export(call: &Call) -> Option<(Call, Place)> {
        let file = Place::read(call, "file", ".zip").ok()?;
        let scratch = scratch(call, &file);
        let mut there = call.clone();
        there.with.insert("file".to_owned(), json!(scratch.path));
        there.with.insert("report".to_owned(), json!(format!("{}.html", scratch.path)));
        Some((there, scratch))
    }

    /// The call of a step that looks into what was exported here, with what is to be read and written in its place. `None`: it
    /// looks at something else.
    fn reading(&self, call: &Call) -> Option<Call> {
        let file = Place::read(call, "file", ".zip").ok()?;
        let scratch = [file.clone(), scratch(call, &file)].into_iter().find(|place| self.has(call, &place.path))?;
        let mut there = call.clone();
        there.with.insert("file".to_owned(), json!(scratch.path));
        // It is not read by the path of the final one.
        there.with.remove("local");
        if call.uses == READERS[1] {
            let report = format!("{}.whatif.html", scratch.path);
            self.remember(call, &report);
            there.with.insert("report".to_owned(), json!(report));
        }
        Some(there)
    }

    /// Removes the scratch files, and says what came of each.
    pub async fn clean(&self) -> Vec<String> {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut said = Vec::new();
        for ((host, path), targets) in made {
            let told = format!("`{}` on `{host}`", shown(&path));
            match self.remove(&targets, &host, &path).await {
                Ok(true) => said.push(format!("removed the scratch file {told}")),
                Ok(false) => {}
                Err(why) => said.push(format!("the scratch file {told} is still there: {why}")),
            }
        }
        said
    }

    /// Whether there was one.
    async fn remove(&self, targets: &Targets, host: &str, path: &str) -> Result<bool, String> {
        let host = self.hosts.named(targets, host)?;
        let opened = self.hosts.open(&host, uuid::Uuid::new_v4(), TimeLeft::within(PATIENCE)).await;
        let mut session = opened.map_err(|error| error.reason)?;
        let (folder, name) = path.rsplit_once('\\').unwrap_or_default();
        let done = async {
            let entries = files::list(&mut session, folder).await.map_err(|error| error.reason)?;
            if files::find(&entries, name).is_none() {
                return Ok(false);
            }
            session.run(files::removal(path)).await.map_err(|lost| lost.reason)?.read().map(|_| true)
        };
        let done = done.await;
        session.close().await;
        done
    }
}

/// `groupchat.rehearsal-<run>.zip`.
fn scratch(call: &Call, file: &Place) -> Place {
    file.beside(&format!("rehearsal-{}", files::run_in_name(call, 60)))
}

#[async_trait]
impl Look for Trial {
    async fn preflight(&self, call: &Call) -> Vec<Finding> {
        self.inner.preflight(call).await
    }

    async fn pin(&self, call: &Call) -> Pin {
        self.inner.pin(call).await
    }

    fn handle(&self, call: &Call) -> Option<String> {
        self.inner.handle(call)
    }

    async fn describe(&self, call: &Call) -> Description {
        self.inner.describe(call).await
    }

    async fn probe(&self, call: &Call) -> Observation {
        match Self::export(call).filter(|_| call.uses == EXPORT) {
            None => self.inner.probe(call).await,
            Some((there, _)) => {
                // What the real step would stumble over is told.
                let real = self.inner.probe(&Call { before_image: None, ..call.clone() }).await;
                if real.verdict == Verdict::Conflict { real } else { self.inner.probe(&there).await }
            }
        }
    }

    async fn quiesce(&self, call: &Call) -> Quiescence {
        self.inner.quiesce(call).await
    }

    fn has_probe(&self, uses: &str) -> bool {
        self.inner.has_probe(uses)
    }

    fn by_hand(&self, call: &Call) -> Vec<String> {
        self.inner.by_hand(call)
    }
}

#[async_trait]
impl Connector for Trial {
    async fn before_image(&self, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        match Self::export(call).filter(|_| call.uses == EXPORT) {
            Some((there, _)) => self.inner.before_image(&there, evidence).await,
            None => Ok(None),
        }
    }

    async fn apply(&self, call: &Call) -> Outcome {
        if call.uses == EXPORT {
            let Some((there, scratch)) = Self::export(call) else { return self.described.apply(call).await };
            self.remember(call, &scratch.path);
            self.remember(call, &format!("{}.html", scratch.path));
            self.remember(call, &scratch.beside(&format!("part-{}", files::mark(call))).path);
            return self.inner.apply(&there).await;
        }
        match self.reading(call).filter(|_| call.effect == Effect::Read) {
            Some(there) => self.inner.apply(&there).await,
            None => self.described.apply(call).await,
        }
    }

    async fn undo(&self, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        self.described.undo(call, before_image).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_export_and_what_looks_into_it_are_tried() {
        assert!(Trial::concerns("lync.chat.export") && Trial::concerns("lync.chat.import_whatif"));
        assert!(!Trial::concerns("lync.chat.import") && !Trial::concerns("mssql.backup"));
    }
}
