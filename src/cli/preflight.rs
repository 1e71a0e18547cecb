//! Before anything starts: what every step will need is looked for, and everything missing is told at once.

use std::sync::Arc;

use crate::error::{Exit, Failure};
use crate::plan::{StepIx, Work};
use crate::run::calls::Desk;
use crate::run::driver::Registry;
use crate::run::state::RunState;

/// Looks for programs, files, secrets and targets of all steps that are still to be done and whose arguments are known
/// already. Secrets that a person types are asked for here, once.
///
/// # Errors
/// Something is missing that a run cannot start without.
pub fn preflight(state: &RunState, registry: &Arc<dyn Registry>, desk: &Desk) -> anyhow::Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut fatal, mut warnings) = (Vec::new(), Vec::new());
    let now = super::common::now();
    for at in 0..state.plan.steps.len() {
        let ix = StepIx(u32::try_from(at).unwrap_or(u32::MAX));
        let step = state.plan.step(ix);
        let Work::Action(action) = &step.work else { continue };
        if state.is_satisfied(ix) {
            continue;
        }
        let mut calls = Vec::new();
        calls.extend(desk.action(state, ix, 0, now).ok());
        calls.extend(action.probe.as_ref().and_then(|probe| desk.probe(state, ix, 0, &probe.call, ".preflight").ok()));
        for call in calls {
            let Some(connector) = registry.connector(&call.uses) else { continue };
            for finding in runtime.block_on(connector.preflight(&call)) {
                let line = format!("step `{}`: {}", step.id, finding.message);
                let list = if finding.fatal || finding.unreachable { &mut fatal } else { &mut warnings };
                if !list.contains(&line) {
                    list.push(line);
                }
            }
        }
    }
    runtime.shutdown_background();
    if fatal.is_empty() {
        return Ok(warnings);
    }
    let mut failure = Failure::new(Exit::Unreachable, "the preflight found what a run cannot start without");
    failure.details = fatal;
    Err(failure.hint("nothing was started or changed").into())
}
