//! Who else decides what a run does: files and folders that belong to somebody else, or that others may write. Told, not
//! refused: a team's plan may well belong to a colleague.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::common::RunsArgs;
use super::messages;
use super::run::NewArgs;
use crate::journal::{RunDir, circles};
use crate::plan::load::Loaded;
use crate::plan::{Plan, Work};
use crate::secret::SecretRef;

/// Warns of a plan that is about to be used, everything that it was made of, and the folder of runs.
pub fn warn(loaded: &Loaded, runs: &RunsArgs) {
    warn_of_files(loaded);
    tell(&mut BTreeSet::new(), &runs.place(), "what lies there is resumed by whoever trusts it");
}

/// Warns of a plan's files alone.
pub fn warn_of_files(loaded: &Loaded) {
    let mut told = BTreeSet::new();
    for (path, _) in &loaded.sources {
        tell(&mut told, path, "whoever may write it decides what this plan does");
    }
    secrets(&mut told, &loaded.plan);
}

/// Warns of what a resume reads anew: secret files, a plan that comes instead of the stored one, and the folder of runs.
pub fn warn_of_plan(dir: &RunDir, plan: &Plan, amended: Option<&Path>, runs: &RunsArgs) {
    let mut told = BTreeSet::new();
    if let Some(path) = amended {
        tell(&mut told, path, "whoever may write it decides what this plan does");
    }
    secrets(&mut told, plan);
    if dir.is_of_its_owner(&runs.place()) {
        return;
    }
    tell(&mut told, &runs.place(), "what lies there is resumed by whoever trusts it");
}

/// Warns of holders who could not get in, and of folders on the way that are closed to everybody else.
pub fn warn_of_sharing(new: &NewArgs) {
    if let (Some(holders), Some(voters)) = (&new.group, &new.voters) {
        let left_out: Vec<String> = circles::holders_left_out(holders, voters).iter().map(|name| format!("`{name}`")).collect();
        if !left_out.is_empty() {
            messages::warn(&format!(
                "{} {} in group `{holders}`, but not in group `{voters}`: holders must be voters as well, or they cannot enter the \
                 run directory",
                left_out.join(", "),
                if left_out.len() == 1 { "is" } else { "are" }
            ));
        }
    }
    if new.group.is_none() && new.voters.is_none() {
        return;
    }
    for folder in circles::closed_above(&new.runs.place()) {
        messages::warn(&format!(
            "{} cannot be entered by others, and the run will lie below it: whoever it is shared with cannot reach it (`chmod o+x` \
             opens it)",
            folder.display()
        ));
    }
}

/// Files that hold secrets, wherever the plan or its targets name them.
fn secrets(told: &mut BTreeSet<PathBuf>, plan: &Plan) {
    let mut found = Vec::new();
    let mut calls = |value: &Value| files_in(value, &mut found);
    plan.params.values().chain(plan.targets.value.values()).for_each(&mut calls);
    for step in &plan.steps {
        match &step.work {
            Work::Action(action) => {
                calls(&action.call.with);
                action.probe.iter().for_each(|probe| calls(&probe.call.with));
            }
            Work::Manual(manual) => manual.probe.iter().for_each(|probe| calls(&probe.call.with)),
            Work::Gate(_) | Work::Checkpoint => {}
        }
    }
    for path in found {
        tell(told, &plan.folder.join(path), "a secret is read from it");
    }
}

fn files_in(value: &Value, found: &mut Vec<PathBuf>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| files_in(item, found)),
        Value::Object(map) => match map.get("$secret").map(|reference| serde_json::from_value(reference.clone())) {
            Some(Ok(SecretRef::File(path))) => found.push(path),
            Some(_) => {}
            None => map.values().for_each(|value| files_in(value, found)),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn tell(told: &mut BTreeSet<PathBuf>, path: &Path, what: &str) {
    if let Some(why) = circles::foreign(path).filter(|_| told.insert(path.to_owned())) {
        messages::warn(&format!("{}: {why}; {what}", path.display()));
    }
}
