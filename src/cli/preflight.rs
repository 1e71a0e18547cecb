//! Before anything starts: what every step will need is looked for, and everything missing is told at once. What a
//! step's effect is to be bound to is found here, too.

use std::sync::Arc;

use crate::error::{Exit, Failure};
use crate::plan::{StepIx, Work};
use crate::run::calls::Desk;
use crate::run::connector::{Level, Pin};
use crate::run::driver::Registry;
use crate::run::event::{Event, Mode};
use crate::run::state::RunState;

/// What a run may start with.
#[derive(Debug, Default)]
pub struct Ready {
    /// For people.
    pub warnings: Vec<String>,
    /// The identities that were found, to be recorded first.
    pub pins: Vec<Event>,
}

/// Looks for programs, files, secrets, targets and identities of all steps that are still to be done and whose
/// arguments are known already. Secrets that a person types are asked for here, once.
///
/// A rehearsal goes on without an identity: the step's own look says what is wrong, beside all other findings.
///
/// # Errors
/// Something is missing that a run cannot start without.
pub fn preflight(state: &RunState, registry: &Arc<dyn Registry>, desk: &Desk, mode: Mode) -> anyhow::Result<Ready> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut ready, mut fatal) = (Ready::default(), Vec::new());
    let mut exit = Exit::Refused;
    let now = super::common::now();
    for at in 0..state.plan.steps.len() {
        let ix = StepIx(u32::try_from(at).unwrap_or(u32::MAX));
        let step = state.plan.step(ix);
        let Work::Action(action) = &step.work else { continue };
        if state.is_satisfied(ix) || state.choices.exclude.iter().any(|name| step.concerns(name)) {
            continue;
        }
        let own = desk.action(state, ix, 0, now).ok();
        let probe = action.probe.as_ref().and_then(|probe| desk.probe(state, ix, 0, &probe.call, ".preflight").ok());
        for call in [&own, &probe].into_iter().flatten() {
            let Some(connector) = registry.connector(&call.uses) else { continue };
            for finding in runtime.block_on(connector.preflight(call)) {
                let line = format!("step `{}`: {}", step.id, finding.message);
                let list = match finding.level {
                    Level::Fact => continue,
                    Level::Warning => &mut ready.warnings,
                    Level::Fatal | Level::Unreachable => {
                        exit = Exit::Unreachable;
                        &mut fatal
                    }
                };
                if !list.contains(&line) {
                    list.push(line);
                }
            }
        }
        let Some((connector, call)) = own.and_then(|call| Some((registry.connector(&call.uses)?, call))) else {
            continue;
        };
        if !state.facts(ix).identity.is_empty() || state.facts(ix).attempts > 0 || !fatal.is_empty() {
            continue;
        }
        match runtime.block_on(connector.pin(&call)) {
            Pin::NotNeeded => {}
            Pin::Bound { identity, .. } => ready.pins.push(Event::IdentityPinned { step: step.id.clone(), identity }),
            Pin::Cannot { .. } if mode == Mode::Rehearsal => {}
            Pin::Cannot { unreachable, reason } => {
                if unreachable {
                    exit = Exit::Unreachable;
                }
                fatal.push(format!("step `{}`: {reason}", step.id));
            }
        }
    }
    runtime.shutdown_background();
    if fatal.is_empty() {
        return Ok(ready);
    }
    let mut failure = Failure::new(exit, "the preflight found what a run cannot start without");
    failure.details = fatal;
    Err(failure.hint("nothing was started or changed").into())
}
