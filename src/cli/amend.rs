//! A plan that changes in mid-run: what may change, and where the new text is kept.
//!
//! A step that has begun keeps its meaning (its fingerprint); what has not begun may change, come or go. The new texts
//! are durable in the run directory before the record that names them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::open::{self, Resolved};
use crate::connector::Connectors;
use crate::error::{Exit, Failure};
use crate::journal::RunDir;
use crate::plan::{Plan, StepId, StepIx, Work};
use crate::run::event::{Event, Person};
use crate::run::state::{RunState, StepState};

/// The file of one amendment.
#[derive(Debug, Serialize, Deserialize)]
struct Amendment {
    resolved: Resolved,
    texts: Vec<(PathBuf, String)>,
}

fn path(dir: &RunDir, sha256: &str) -> PathBuf {
    dir.path().join(format!("plan.amended-{}.json", sha256.get(..16).unwrap_or(sha256)))
}

/// Whether the plan with that hash came by an amendment.
#[must_use]
pub fn is_stored(dir: &RunDir, sha256: &str) -> bool {
    path(dir, sha256).exists()
}

/// The plan of a `PlanAmended` record.
pub fn stored(dir: &RunDir, sha256: &str, connectors: &Connectors) -> anyhow::Result<Plan> {
    let path = path(dir, sha256);
    let damaged = |what: String| Failure::new(Exit::Damaged, format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|error| damaged(error.to_string()))?;
    let amendment: Amendment = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let plan = open::load_stored(&amendment.resolved, amendment.texts, connectors, dir)?.plan;
    if plan.sha256 != sha256 {
        return Err(damaged("is not the plan that the journal names".to_owned()).into());
    }
    Ok(plan)
}

/// Stores the texts of an amendment durably.
pub fn store(dir: &RunDir, resolved: Resolved, texts: Vec<(PathBuf, String)>, plan: &Plan) -> anyhow::Result<()> {
    use std::io::Write as _;
    let path = path(dir, &plan.sha256);
    let draft = path.with_extension("new");
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(&serde_json::to_vec(&Amendment { resolved, texts })?)?;
    file.sync_all()?;
    std::fs::rename(&draft, &path)?;
    sync_folder(dir.path())?;
    Ok(())
}

/// A rename is durable once its folder is; Windows has no such call and needs none.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    if cfg!(unix) { std::fs::File::open(path)?.sync_all() } else { Ok(()) }
}

/// The record of an amendment, if the new plan may follow the old one; all objections at once otherwise.
pub fn amend(state: &RunState, new: &Plan, by: Person) -> anyhow::Result<Event> {
    let old = &state.plan;
    let mut objections = Vec::new();
    let mut changes = Vec::new();
    for (at, step) in old.steps.iter().enumerate() {
        let now = &state.steps[at];
        // What failed before its first attempt has done nothing: another plan may be the remedy.
        let failed = matches!((now, &step.work), (StepState::Failed { .. }, Work::Action(_)));
        let untouched = failed || matches!(now, StepState::Pending);
        let begun = !untouched || state.facts[at].attempts > 0;
        match new.find(step.id.as_str()).map(|ix| new.step(ix)) {
            None if begun => objections.push(format!("step `{}` is {} and cannot be removed or renamed", step.id, now.word())),
            None => changes.push(format!("removed `{}`", step.id)),
            Some(changed) if changed.fingerprint != step.fingerprint && begun => {
                objections.push(format!("step `{}` is {} and cannot change; give the new work a new id", step.id, now.word()));
            }
            Some(changed) if changed.fingerprint != step.fingerprint => changes.push(format!("changed `{}`", step.id)),
            Some(_) => {}
        }
    }
    for step in &new.steps {
        if old.find(step.id.as_str()).is_some() {
            continue;
        }
        changes.push(format!("added `{}`", step.id));
        let done_after = new.dependants[new.find(step.id.as_str()).map_or(0, StepIx::at)]
            .iter()
            .filter_map(|ix| old.find(new.step(*ix).id.as_str()))
            .find(|ix| !matches!(state.step(*ix), StepState::Pending));
        if let Some(ix) = done_after {
            objections.push(format!("`{}` has begun and would have had to wait for the new `{}`", old.step(ix).id, step.id));
        }
    }
    if !objections.is_empty() {
        let mut failure = Failure::new(Exit::Refused, "the new plan cannot follow the run as it stands");
        failure.details = objections;
        return Err(failure.hint("nothing was changed; the run goes on with its own plan").into());
    }
    let fingerprints: BTreeMap<StepId, String> =
        new.steps.iter().map(|step| (step.id.clone(), step.fingerprint.to_string())).collect();
    Ok(Event::PlanAmended { plan: new.sha256.clone(), fingerprints, changes, by })
}
