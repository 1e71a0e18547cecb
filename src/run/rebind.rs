//! The same run under another plan: what is carried over by id, and what an amended step loses.

use std::sync::Arc;

use super::event::Person;
use super::index::step_ix;
use super::state::{EarlierAttempts, RunState, StepFacts, StepState};
use crate::plan::{Plan, Step, StepIx, Work};

impl RunState {
    /// The same knowledge, about another plan: states are carried over by id, and new steps are pending.
    ///
    /// A step that was changed starts from nothing: what it was bound to, what was seen of it, its before-image and the answers
    /// of people were about another step. Only that attempts were made stays known, for an undo.
    #[must_use]
    pub fn rebind(&self, plan: Arc<Plan>, by: Option<&Person>) -> Self {
        let old = self;
        let mut state = RunState::new(plan);
        state.run.clone_from(&old.run);
        state.mode = old.mode;
        state.semantics = old.semantics;
        state.initiator.clone_from(&old.initiator);
        state.on_duty.clone_from(&old.on_duty);
        state.choices = old.choices.clone();
        state.started = old.started;
        state.seq = old.seq;
        state.last_at = old.last_at;
        state.epoch = old.epoch;
        state.holder.clone_from(&old.holder);
        state.took_over = old.took_over;
        state.hosts_off = old.hosts_off;
        state.letters.clone_from(&old.letters);
        state.paused.clone_from(&old.paused);
        state.stopped.clone_from(&old.stopped);
        state.ending = old.ending;
        state.past_no_return = old.past_no_return;
        state.window_closed = old.window_closed;
        state.overrun = old.overrun;
        state.window_until = old.window_until;
        state.window_waived_for.clone_from(&old.window_waived_for);
        state.is_amended = old.is_amended;
        state.notes.clone_from(&old.notes);
        state.overrides.clone_from(&old.overrides);
        state.origin.clone_from(&old.origin);
        for at in 0..state.steps.len() {
            let ix = step_ix(at);
            let Some(was) = old.plan.find(state.plan.step(ix).id.as_str()) else {
                state.facts[at].amended_by.extend(by.cloned());
                continue;
            };
            if differs(&old.plan, was, &state.plan, ix) && may_change(old, was) {
                state.facts[at] = changed(&old.facts[was.at()], by);
                continue;
            }
            state.facts[at] = old.facts[was.at()].clone();
            state.set(ix, old.steps[was.at()].clone());
            if old.live_gates.contains(&was) {
                state.live_gates.insert(ix);
            }
        }
        state.choose();
        state.review_gates();
        state
    }
}

/// Whether a step means something else in another plan: by its fingerprint, or by the targets that it names.
#[must_use]
pub fn differs(old: &Plan, was: StepIx, new: &Plan, ix: StepIx) -> bool {
    let (before, after) = (old.step(was), new.step(ix));
    before.fingerprint != after.fingerprint || targets(old, before) != targets(new, after)
}

fn targets<'p>(plan: &'p Plan, step: &Step) -> Option<std::collections::BTreeMap<&'p str, &'p serde_json::Value>> {
    match &step.work {
        Work::Action(action) => Some(plan.targets.named_in(&action.call.with)),
        Work::Gate(_) | Work::Manual(_) | Work::Checkpoint => None,
    }
}

/// Whether a step may still be changed: it has not begun, or it has failed, and nothing of it acts any more.
#[must_use]
pub fn may_change(state: &RunState, ix: StepIx) -> bool {
    match state.step(ix) {
        StepState::Pending | StepState::AtGate(_) | StepState::AtManual(_) => true,
        StepState::Looked { .. } => state.facts(ix).attempts == 0,
        // A step fails only once its last attempt has ended or was seen to be quiet.
        StepState::Failed { .. } => true,
        _ => false,
    }
}

fn changed(was: &StepFacts, by: Option<&Person>) -> StepFacts {
    let mut facts = StepFacts { attempts: was.attempts, earlier: was.earlier.clone(), ..StepFacts::default() };
    if was.attempts > was.earlier.last().map_or(0, |earlier| earlier.last) {
        facts.earlier.push(EarlierAttempts {
            last: was.attempts,
            call: was.call.clone(),
            identity: was.identity.clone(),
            before_image: was.before_image.clone(),
            may_have_acted: was.may_have_acted,
        });
    }
    facts.amended_by.clone_from(&was.amended_by);
    facts.amended_by.extend(by.cloned());
    // A gate that was changed is asked again, and says why.
    facts.lapsed = was.question.is_some().then(|| "the gate itself was changed".to_owned());
    facts
}
