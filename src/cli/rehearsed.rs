//! What the last rehearsal saw, held against what a run has found: between the two, days pass, and an object may have
//! been deleted and made anew under the same name.

use std::collections::BTreeMap;

use super::common::RunsArgs;
use super::open;
use crate::connector::Connectors;
use crate::error::{Exit, Failure};
use crate::journal::RunDir;
use crate::plan::Plan;
use crate::run::event::{Event, Identity, Mode, VIA};

/// Refuses identities other than those of the latest rehearsal, with the same targets file, that has the same step with
/// the same fingerprint. A plan that was never rehearsed is held against nothing.
///
/// # Errors
/// A step would act on another object than the one that was rehearsed.
pub fn compare(runs: &RunsArgs, plan: &Plan, pins: &[Event], connectors: &Connectors) -> anyhow::Result<()> {
    if pins.is_empty() {
        return Ok(());
    }
    let Ok(listed) = RunDir::list(&runs.runs) else { return Ok(()) };
    let mut open: BTreeMap<&str, &Identity> = pins
        .iter()
        .filter_map(|event| match event {
            Event::IdentityPinned { step, identity } => Some((step.as_str(), identity)),
            _ => None,
        })
        .collect();
    let mut differences = Vec::new();
    for rehearsal in listed.iter().rev().filter(|listed| listed.mode == Some(Mode::Rehearsal)) {
        // A rehearsal that cannot be read was of another version, or is being cleared away: it says nothing.
        let Ok(dir) = RunDir::open(&runs.runs, &rehearsal.id, runs.allow_fs) else { continue };
        let Ok((scheduler, _)) = open::read(&dir, connectors) else { continue };
        let seen = scheduler.state();
        // A rehearsal against other systems, such as the lab, says nothing of these.
        if seen.plan.targets.path != plan.targets.path {
            continue;
        }
        open.retain(|step, found| {
            let same = |ix: &crate::plan::StepIx| {
                plan.find(step).is_some_and(|mine| plan.step(mine).fingerprint == seen.plan.step(*ix).fingerprint)
            };
            let Some(ix) = seen.plan.find(step).filter(same) else { return true };
            let rehearsed = &seen.facts(ix).identity;
            if rehearsed.is_empty() {
                return true;
            }
            for (key, value) in rehearsed.iter().filter(|(key, _)| *key != VIA) {
                let now = found.get(key).map_or("nothing", String::as_str);
                if now != value {
                    differences.push(format!("step `{step}`: {key} was {value} in the rehearsal {}, and is {now}", rehearsal.id));
                }
            }
            false
        });
        if open.is_empty() {
            break;
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new(Exit::Refused, "this is not what was rehearsed: a step would act on another object");
    failure.details = differences;
    Err(failure.hint("look at the object; if it is the right one, rehearse again. Nothing was started or changed").into())
}
