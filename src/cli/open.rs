//! From a run directory back to the state of its run: the stored plan, then every record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{amend, in_lab};
use crate::connector::Connectors;
use crate::error::{Exit, Failure};
use crate::journal::{self, Reader, RunDir};
use crate::plan::load::{self, Inputs, Loaded};
use crate::plan::{Plan, StepId};
use crate::run::event::{Event, Mode, Record, SEMANTICS};
use crate::run::rehearsal;
use crate::run::scheduler::Scheduler;
use crate::view::next;

/// What a run directory keeps beside the plan's text: how it was loaded, and what came of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Resolved {
    /// The plan's file; relative paths in it start in its folder.
    pub plan: PathBuf,
    /// `--param`, in order.
    pub params: Vec<(String, String)>,
    /// `--params`.
    pub params_files: Vec<PathBuf>,
    /// `--targets`.
    pub targets: Option<PathBuf>,
    /// `--window`.
    pub window: Option<PathBuf>,
    /// `--lab`: the lab's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab: Option<PathBuf>,
    /// What else of the command line decides what a run is about, word by word: `--lab=keep`, `--exclude gc02`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// What makes two runs runs of the same plan; see [`super::two_runs`]. Empty in runs of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same: Vec<String>,
    /// Every step with its fingerprint, for people and for `verify`.
    pub steps: Vec<ResolvedStep>,
}

/// One step of the resolved plan.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResolvedStep {
    /// Its id.
    pub id: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// What it needs.
    pub needs: Vec<String>,
}

impl Resolved {
    /// Describes a loaded plan.
    pub fn of(plan_file: &Path, inputs: &Inputs, plan: &Plan) -> anyhow::Result<Self> {
        let steps = plan.steps.iter().map(|step| ResolvedStep {
            id: step.id.to_string(),
            fingerprint: step.fingerprint.to_string(),
            needs: step.needs.iter().map(|need| plan.step(*need).id.to_string()).collect(),
        });
        Ok(Resolved {
            plan: std::path::absolute(plan_file)?,
            params: inputs.params.clone(),
            params_files: inputs.params_files.clone(),
            targets: inputs.targets.clone(),
            window: inputs.window.clone(),
            lab: None,
            options: Vec::new(),
            same: super::two_runs::same(plan_file, plan),
            steps: steps.collect(),
        })
    }

    /// The plan and every option that it was started with, as they are typed: files from here where they lie below.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let here = std::env::current_dir().unwrap_or_default();
        let shown = |path: &Path| path.strip_prefix(&here).unwrap_or(path).display().to_string();
        let mut words = vec![shown(&self.plan)];
        let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
        if let (Some(targets), None) = (&self.targets, &self.lab) {
            add("--targets", shown(targets));
        }
        self.params_files.iter().for_each(|file| add("--params", shown(file)));
        self.params.iter().for_each(|(name, value)| add("--param", format!("{name}={value}")));
        if let Some(window) = &self.window {
            add("--window", shown(window));
        }
        words.extend(self.options.iter().cloned());
        words
    }

    /// The inputs that it was loaded with, reading the given texts instead of files.
    #[must_use]
    pub fn inputs(&self, texts: Vec<(PathBuf, String)>) -> Inputs {
        Inputs {
            params: self.params.clone(),
            params_files: self.params_files.clone(),
            targets: self.targets.clone(),
            window: self.window.clone(),
            texts: Some(texts),
            ..Inputs::default()
        }
    }
}

/// How the stored plan was loaded.
pub fn resolved(dir: &RunDir) -> anyhow::Result<Resolved> {
    Ok(serde_json::from_str(&dir.resolved().map_err(Failure::from)?)?)
}

/// Loads a plan from texts that are kept in a run directory.
pub fn load_stored(
    resolved: &Resolved,
    texts: Vec<(PathBuf, String)>,
    connectors: &Connectors,
    dir: &RunDir,
) -> anyhow::Result<Loaded> {
    let mut loaded = load::load(&resolved.plan, &resolved.inputs(texts), &connectors.catalogue()).map_err(|report| {
        eprintln!("{}", report.render(false));
        let failure =
            Failure::new(Exit::Damaged, format!("the plan stored in {} cannot be used by this version", dir.path().display()))
                .hint("resume with the version that started the run; `relevo verify` names it");
        anyhow::Error::from(failure)
    })?;
    if resolved.lab.is_some() {
        in_lab::adapt(&mut loaded.plan);
    }
    Ok(loaded)
}

/// Whether a stored plan is the one that the journal's record names, step by step.
fn is_what_was_agreed(plan: &Plan, whole: &str, fingerprints: &BTreeMap<StepId, String>) -> bool {
    plan.whole == whole
        && plan.steps.len() == fingerprints.len()
        && plan.steps.iter().all(|step| fingerprints.get(&step.id).is_some_and(|was| **was == *step.fingerprint))
}

/// Turns records back into state, one at a time.
pub struct Replay<'a> {
    dir: &'a RunDir,
    connectors: &'a Connectors,
    /// The state so far.
    pub scheduler: Scheduler,
    /// What kind of run it is.
    pub mode: Mode,
    trouble: Option<anyhow::Error>,
}

impl<'a> Replay<'a> {
    /// Before the first record.
    pub fn new(dir: &'a RunDir, connectors: &'a Connectors) -> anyhow::Result<Self> {
        let loaded = load_stored(&resolved(dir)?, dir.sources().map_err(Failure::from)?, connectors, dir)?;
        let scheduler = Scheduler::new(Arc::new(loaded.plan));
        Ok(Replay { dir, connectors, scheduler, mode: Mode::Execute, trouble: None })
    }

    /// Applies a record. After the first trouble nothing more is applied; [`Replay::finish`] tells it.
    pub fn feed(&mut self, record: &Record) {
        if self.trouble.is_none()
            && let Err(error) = self.apply(record)
        {
            self.trouble = Some(error);
        }
    }

    fn apply(&mut self, record: &Record) -> anyhow::Result<()> {
        match &record.event {
            Event::RunStarted { mode, plan, whole, semantics, fingerprints, .. } => {
                let stored = Arc::clone(&self.scheduler.state().plan);
                let is_it =
                    *plan == stored.sha256 && (*semantics != SEMANTICS || is_what_was_agreed(&stored, whole, fingerprints));
                if !is_it {
                    let message = format!("{} holds another plan than its journal", self.dir.path().display());
                    return Err(Failure::new(Exit::Damaged, message).into());
                }
                self.mode = *mode;
                if *mode == Mode::Rehearsal {
                    self.scheduler.rebind(Arc::new(rehearsal::for_rehearsal((*stored).clone())), None);
                }
            }
            Event::PlanAmended { plan, whole, stored, fingerprints, by, .. } => {
                self.scheduler.apply(record)?;
                let amended = match stored {
                    Some(stored) => amend::stored(self.dir, stored, self.connectors)?,
                    None => amend::stored_by_text(self.dir, plan, self.connectors)?,
                };
                if stored.is_some() && !is_what_was_agreed(&amended, whole, fingerprints) {
                    let what =
                        format!("{}: the amendment of record {} is not what was accepted", self.dir.path().display(), record.seq);
                    return Err(Failure::new(Exit::Damaged, what).hint("`relevo salvage` goes on from what is certain").into());
                }
                self.scheduler.rebind(Arc::new(amended), Some(by));
                return Ok(());
            }
            _ => {}
        }
        self.scheduler.apply(record).map_err(|illegal| {
            Failure::new(Exit::Damaged, format!("{}: {illegal}", self.dir.path().display()))
                .hint("the run directory was changed, or belongs to another version; nothing was touched")
                .into()
        })
    }

    /// Tells the first trouble, if there was one.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.trouble.take().map_or(Ok(()), Err)
    }

    /// The state with all records, or the first trouble.
    pub fn finish(self) -> anyhow::Result<(Scheduler, Mode)> {
        match self.trouble {
            Some(error) => Err(error),
            None => Ok((self.scheduler, self.mode)),
        }
    }
}

/// The state of a run as everybody may believe it: up to the watermark of its holder, or, where the holder is dead,
/// everything that it left behind. The watermark follows the records at a distance, and a step that had begun when its
/// process was killed must not be shown as if it had not.
pub fn read(dir: &RunDir, connectors: &Connectors) -> anyhow::Result<(Scheduler, Mode)> {
    let mut replay = Replay::new(dir, connectors)?;
    let mut reader = Reader::open(dir.path()).map_err(Failure::from)?;
    reader.poll(&mut |record| replay.feed(&record)).map_err(Failure::from)?;
    if !is_live(&replay.scheduler) {
        reader.poll_rest(&mut |record| replay.feed(&record)).map_err(Failure::from)?;
    }
    let (scheduler, mode) = replay.finish()?;
    if mode == Mode::Rehearsal {
        next::was_rehearsed_with(dir.id(), &resolved(dir)?.words());
    }
    Ok((scheduler, mode))
}

/// Whether a living process holds the run.
#[must_use]
pub fn is_live(scheduler: &Scheduler) -> bool {
    scheduler.state().holder.as_ref().is_some_and(journal::holder_alive)
}
