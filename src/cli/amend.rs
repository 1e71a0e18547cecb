//! A plan that changes in mid-run: what may change, how it is shown before anybody accepts it, and where the new text is kept.
//!
//! An amendment is a resolved whole: plan, fragments, targets, parameters and window under one hash. It is stored only once a
//! person has accepted it, durably before the record that names it; and whoever replays the record checks both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::open::{self, Resolved};
use super::run::fingerprints;
use super::{common, in_lab};
use crate::connector::Connectors;
use crate::error::{Exit, Failure};
use crate::journal::RunDir;
use crate::plan::load::Inputs;
use crate::plan::{Plan, StepIx, Work};
use crate::run::calls::{self, Desk};
use crate::run::connector::Evidence as _;
use crate::run::driver::Registry;
use crate::run::event::{Event, EvidenceRef, Identity, Person};
use crate::run::rebind::{differs, may_change};
use crate::run::scheduler::Scheduler;
use crate::run::state::{RunState, StepState};

/// The file of one amendment.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    resolved: Resolved,
    texts: Vec<(PathBuf, String)>,
}

/// A plan that may follow the one of a run. Nothing of it is written yet.
pub struct Amendment {
    stored: Stored,
    plan: Arc<Plan>,
    /// What differs, for people.
    pub changes: Vec<String>,
    /// The steps that differ or are new, by their place in the new plan.
    pub changed: Vec<StepIx>,
    /// The run as it would stand.
    pub after: Scheduler,
}

/// Loads the new plan from the files as they are now, and makes sure that it may follow. All objections at once.
pub fn prepare(
    state: &Scheduler,
    file: &Path,
    resolved: &Resolved,
    connectors: &Connectors,
    by: &Person,
) -> anyhow::Result<Amendment> {
    let inputs = Inputs { texts: None, ..resolved.inputs(Vec::new()) };
    let mut loaded = common::load_plan(file, &inputs, connectors)?;
    if resolved.lab.is_some() {
        in_lab::adapt(&mut loaded.plan);
    }
    let (changes, changed) = compare(state.state(), &loaded.plan)?;
    let of = Resolved { lab: resolved.lab.clone(), ..Resolved::of(file, &inputs, &loaded.plan)? };
    let plan = Arc::new(loaded.plan);
    let mut after = state.clone();
    after.rebind(Arc::clone(&plan), Some(by));
    Ok(Amendment { stored: Stored { resolved: of, texts: loaded.sources }, plan, changes, changed, after })
}

impl Amendment {
    /// Stores it, durably, now that a person has accepted it, and gives the record that makes it hold.
    pub fn accept(&self, dir: &RunDir, by: Person) -> anyhow::Result<(Event, Arc<Plan>)> {
        let text = serde_json::to_vec(&self.stored)?;
        let stored = dir.amendments().store("amendment", &text).map_err(|error| {
            Failure::io(dir.path().display(), &error).hint("nothing was changed; the run goes on with its own plan")
        })?;
        let event = Event::PlanAmended {
            plan: self.plan.sha256.clone(),
            whole: self.plan.whole.clone(),
            stored: Some(stored),
            fingerprints: fingerprints(&self.plan),
            changes: self.changes.clone(),
            by,
        };
        Ok((event, Arc::clone(&self.plan)))
    }

    /// What the changed steps would find if they began now: what they are bound to, and what a look at them says. For people,
    /// before they accept.
    pub fn live(&self, pins: &[Event], registry: &Arc<dyn Registry>, desk: &Desk) -> anyhow::Result<Vec<String>> {
        let state = self.after.state();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut lines = Vec::new();
        for &ix in &self.changed {
            let step = state.plan.step(ix);
            let Work::Action(action) = &step.work else { continue };
            let bound = pins.iter().find_map(|event| match event {
                Event::IdentityPinned { step: of, identity } if *of == step.id => Some(said(identity)),
                _ => None,
            });
            let mut line = format!("`{}`: {}", step.id, action.call.uses);
            if let Some(bound) = bound {
                line = format!("{line}, now bound to {bound}");
            }
            if step.is_probed() {
                let call = action.probe.as_ref().map_or(&action.call, |probe| &probe.call);
                let asked =
                    desk.probe(state, ix, 0, call, ".amend").ok().and_then(|call| Some((registry.connector(&call.uses)?, call)));
                line = match asked {
                    Some((look, call)) => {
                        let seen = runtime.block_on(look.probe(&call));
                        let (verdict, text) = calls::judge(state, ix, action.probe.as_ref(), &seen);
                        format!("{line}; a look says: {verdict}, {}", crate::foreign::line(&text))
                    }
                    None => format!("{line}; what it will act upon is known later"),
                };
            }
            lines.push(line);
        }
        runtime.shutdown_background();
        Ok(lines)
    }
}

fn said(identity: &Identity) -> String {
    identity.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
}

/// The file in the run directory that holds the amendment of a `PlanAmended` record.
#[must_use]
pub fn file_of(event: &Event) -> Option<String> {
    match event {
        Event::PlanAmended { stored: Some(stored), .. } => Some(format!("sources/{}", stored.sha256)),
        Event::PlanAmended { plan, .. } => Some(named_by_text(plan)),
        _ => None,
    }
}

/// How an older version named the file of an amendment.
fn named_by_text(sha256: &str) -> String {
    format!("plan.amended-{}.json", sha256.get(..16).unwrap_or(sha256))
}

/// The plan of a `PlanAmended` record.
pub fn stored(dir: &RunDir, stored: &EvidenceRef, connectors: &Connectors) -> anyhow::Result<Plan> {
    let bytes = dir.amendments().load(stored).map_err(|error| {
        Failure::io(format!("{}: a stored amendment", dir.path().display()), &error)
            .hint("`relevo salvage` goes on from what is certain")
    })?;
    of_text(dir, &bytes, connectors)
}

/// The same for a record of an older version, which names the plan's text alone.
pub fn stored_by_text(dir: &RunDir, sha256: &str, connectors: &Connectors) -> anyhow::Result<Plan> {
    let path = dir.path().join(named_by_text(sha256));
    let damaged = |what: String| Failure::new(Exit::Damaged, format!("{}: {what}", path.display()));
    let bytes = std::fs::read(&path).map_err(|error| Failure::io(path.display(), &error))?;
    let plan = of_text(dir, &bytes, connectors)?;
    if plan.sha256 != sha256 {
        return Err(damaged("is not the plan that the journal names".to_owned()).into());
    }
    Ok(plan)
}

fn of_text(dir: &RunDir, bytes: &[u8], connectors: &Connectors) -> anyhow::Result<Plan> {
    let stored: Stored = serde_json::from_slice(bytes)
        .map_err(|error| Failure::new(Exit::Damaged, format!("{}: a stored amendment: {error}", dir.path().display())))?;
    Ok(open::load_stored(&stored.resolved, stored.texts, connectors, dir)?.plan)
}

/// What differs, in words and as steps of the new plan, if the new plan may follow the old one.
fn compare(state: &RunState, new: &Plan) -> anyhow::Result<(Vec<String>, Vec<StepIx>)> {
    let old = &state.plan;
    let (mut objections, mut changes, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for (at, step) in old.steps.iter().enumerate() {
        let was = StepIx(u32::try_from(at).unwrap_or(u32::MAX));
        let now = state.step(was);
        let begun = !matches!(now, StepState::Pending) || state.facts[at].attempts > 0;
        let Some(ix) = new.find(step.id.as_str()) else {
            let gone = matches!(now, StepState::Failed { .. }) && state.facts[at].attempts == 0;
            if begun && !gone {
                objections.push(format!("step `{}` is {} and cannot be removed or renamed", step.id, now.word()));
            } else {
                changes.push(format!("removed `{}`", step.id));
            }
            continue;
        };
        if !differs(old, was, new, ix) {
            continue;
        }
        let same_step = step.fingerprint == new.step(ix).fingerprint;
        if may_change(state, was) {
            let again = if state.facts[at].attempts > 0 { "; it starts anew, with a look" } else { "" };
            changes.push(format!("changed `{}`{again}", step.id));
            changed.push(ix);
        } else if state.is_satisfied(was) && same_step {
            // Another address for a target: what was done there before stays done there.
            changes.push(format!("`{}` is {}; the targets that it names have changed since", step.id, now.word()));
        } else {
            objections.push(format!("step `{}` is {} and cannot change; give the new work a new id", step.id, now.word()));
        }
    }
    for (at, step) in new.steps.iter().enumerate() {
        if old.find(step.id.as_str()).is_some() {
            continue;
        }
        let ix = StepIx(u32::try_from(at).unwrap_or(u32::MAX));
        changes.push(format!("added `{}`", step.id));
        changed.push(ix);
        let begun_after = new.dependants[at]
            .iter()
            .filter_map(|ix| old.find(new.step(*ix).id.as_str()))
            .find(|ix| !matches!(state.step(*ix), StepState::Pending));
        if let Some(was) = begun_after {
            objections.push(format!("`{}` has begun and would have had to wait for the new `{}`", old.step(was).id, step.id));
        }
    }
    for (what, differs) in [
        ("the window", old.window != new.window),
        ("the roles", old.targets.roles != new.targets.roles),
        ("the parameters", old.params != new.params),
    ] {
        if differs {
            changes.push(format!("changed: {what}"));
        }
    }
    if !objections.is_empty() {
        let mut failure = Failure::new(Exit::Refused, "the new plan cannot follow the run as it stands");
        failure.details = objections;
        return Err(failure.hint("nothing was changed; the run goes on with its own plan").into());
    }
    Ok((changes, changed))
}
