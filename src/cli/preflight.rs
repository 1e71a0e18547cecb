//! Before anything starts: what every step will need is looked for, and everything missing is told at once. What a
//! step's effect is to be bound to is found here, too.

use std::sync::Arc;

use super::before;
use crate::error::{Exit, Failure};
use crate::plan::{StepId, StepIx, Work, graph};
use crate::run::calls::Desk;
use crate::run::connector::{Call, Finding, Level, Look, Pin};
use crate::run::driver::Registry;
use crate::run::event::{Event, Mode};
use crate::run::scope;
use crate::run::state::RunState;
use crate::view::text::list;

/// So many steps are named beside what they have in common.
const NAMED: usize = 4;

/// What a run may start with.
#[derive(Debug, Default)]
pub struct Ready {
    /// For people.
    pub warnings: Vec<String>,
    /// The identities that were found, to be recorded first.
    pub pins: Vec<Event>,
    /// Only of a rehearsal: what a run would not start with.
    pub unbound: Vec<String>,
}

/// What was found, each once, with the steps that it is about. In the order in which it was found first.
#[derive(Debug, Default)]
struct Grouped(Vec<(String, Vec<StepId>)>);

impl Grouped {
    fn add(&mut self, step: &StepId, message: String) {
        match self.0.iter_mut().find(|(said, _)| *said == message) {
            Some((_, steps)) if steps.contains(step) => {}
            Some((_, steps)) => steps.push(step.clone()),
            None => self.0.push((message, vec![step.clone()])),
        }
    }

    fn lines(self) -> Vec<String> {
        let line = |(message, steps): (String, Vec<StepId>)| {
            let names: Vec<String> = steps.iter().map(|step| format!("`{step}`")).collect();
            format!("{} {}: {message}", if names.len() == 1 { "step" } else { "steps" }, list(&names, NAMED))
        };
        self.0.into_iter().map(line).collect()
    }
}

/// Looks for programs, files, secrets, targets and identities of all steps that are still to be done and whose
/// arguments are known already, but for those that are known not to apply. Secrets that a person types are asked for here, once.
///
/// A rehearsal goes on without an identity, since it is to find everything else as well.
///
/// # Errors
/// Something is missing that a run cannot start without.
pub fn preflight(state: &RunState, registry: &Arc<dyn Registry>, desk: &Desk, mode: Mode) -> anyhow::Result<Ready> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut pins = Vec::new();
    let (mut warnings, mut fatal, mut unbound) = (Grouped::default(), Grouped::default(), Grouped::default());
    let mut exit = Exit::Refused;
    let now = super::common::now();
    for at in 0..state.plan.steps.len() {
        let ix = StepIx(u32::try_from(at).unwrap_or(u32::MAX));
        let step = state.plan.step(ix);
        let Work::Action(action) = &step.work else { continue };
        if state.is_satisfied(ix)
            || scope::is_ruled_out(state, ix)
            || state.choices.exclude.iter().any(|name| step.concerns(name))
        {
            continue;
        }
        let own = desk.action(state, ix, 0, now).ok();
        let probe = action.probe.as_ref().and_then(|probe| desk.probe(state, ix, 0, &probe.call, ".preflight").ok());
        let mut stands = true;
        for call in [&own, &probe].into_iter().flatten() {
            let Some(connector) = registry.connector(&call.uses) else { continue };
            for finding in runtime.block_on(findings(&*connector, state, ix, call, desk)) {
                match finding.level {
                    Level::Fact => {}
                    Level::Warning => warnings.add(&step.id, finding.message),
                    Level::NotNow => fatal.add(&step.id, finding.message),
                    Level::Fatal | Level::Unreachable => {
                        (exit, stands) = (Exit::Unreachable, false);
                        fatal.add(&step.id, finding.message);
                    }
                }
            }
        }
        let Some((connector, call)) = own.and_then(|call| Some((registry.connector(&call.uses)?, call))) else {
            continue;
        };
        // What could not be reached is not asked a second time; all other steps are, so that nobody learns of them only
        // once this is mended.
        if !state.facts(ix).identity.is_empty() || state.facts(ix).attempts > 0 || !stands {
            continue;
        }
        match runtime.block_on(connector.pin(&call)) {
            Pin::NotNeeded => {}
            Pin::Bound { identity, .. } => pins.push(Event::IdentityPinned { step: step.id.clone(), identity }),
            Pin::Cannot { reason, .. } if mode == Mode::Rehearsal => unbound.add(&step.id, reason),
            Pin::Cannot { unreachable, reason } => {
                if unreachable {
                    exit = Exit::Unreachable;
                }
                fatal.add(&step.id, reason);
            }
        }
    }
    runtime.shutdown_background();
    if fatal.0.is_empty() {
        return Ok(Ready { warnings: warnings.lines(), pins, unbound: unbound.lines() });
    }
    for (reason, steps) in unbound.0 {
        for step in &steps {
            fatal.add(step, reason.clone());
        }
    }
    let mut failure = Failure::new(exit, "the preflight found what a run cannot start without");
    failure.details = fatal.lines();
    Err(failure.hint("nothing was started or changed").into())
}

/// What is found before a step starts. What it lacks now counts only if no step before it may bring it, and no attempt
/// of its own has been made: then it may be half of its own effect, and the look at the step says more.
pub async fn findings(look: &(impl Look + ?Sized), state: &RunState, ix: StepIx, call: &Call, desk: &Desk) -> Vec<Finding> {
    let mut found = look.preflight(call).await;
    for finding in found.iter_mut().filter(|finding| finding.level == Level::NotNow) {
        if state.facts(ix).attempts > 0 {
            finding.level = Level::Fact;
        } else if let Some(before) = before::concerned(state, ix, call, desk) {
            *finding = Finding { level: Level::Fact, message: format!("now {}; step `{before}` comes first", finding.message) };
        } else if is_left_for_later(state, ix) {
            finding.level = Level::Warning;
        }
    }
    found
}

/// Whether a lack is no reason not to start: this time ends before the step, at the checkpoint that was asked for; or the
/// run is under way already, where one step that cannot go on must not hold up all others, and asks by itself.
fn is_left_for_later(state: &RunState, ix: StepIx) -> bool {
    if state.started.is_some() {
        return true;
    }
    let until = state.choices.until.as_ref().and_then(|id| state.plan.find(id.as_str()));
    until.is_some_and(|until| until != ix && !graph::all_needs(&state.plan, until).contains(&ix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_steps_lack_is_told_once_with_their_names() {
        let mut grouped = Grouped::default();
        for step in ["a", "b", "a"] {
            grouped.add(&StepId::new(step), "`MIG_PASSWORD` is not set".to_owned());
        }
        grouped.add(&StepId::new("c"), "other".to_owned());
        assert_eq!(grouped.lines(), ["steps `a`, `b`: `MIG_PASSWORD` is not set", "step `c`: other"]);
    }
}
