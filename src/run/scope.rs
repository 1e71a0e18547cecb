//! What expressions of a step may see: parameters, targets, the `for_each` item, and outputs of verified steps.

use serde_json::{Map, Value};

use super::state::{RunState, StepState};
use crate::plan::expr::{self, ExprError, Scope};
use crate::plan::{Expr, StepIx};

/// The outputs of the step with this written id: a map by name, or by item for a `for_each`. `None` while one of
/// them is not known.
#[must_use]
pub fn outputs_of(state: &RunState, written: &str) -> Option<Value> {
    let known = |ix: StepIx| match state.step(ix) {
        StepState::Done { .. } => Some(Value::Object(state.facts(ix).outputs.clone())),
        // Only the step's own `after` conditions ask while it is being verified: the loader sees to that.
        StepState::Verifying { outputs, .. } => Some(Value::Object(outputs.clone())),
        _ => None,
    };
    if let Some(ix) = state.plan.find(written) {
        return known(ix);
    }
    let mut by_item = Map::new();
    for ix in state.plan.groups.get(written)? {
        let (_, item) = state.plan.step(*ix).item.as_ref()?;
        let key = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
        if let Some(outputs) = known(*ix) {
            by_item.insert(key, outputs);
        }
    }
    Some(Value::Object(by_item))
}

/// Calls `with` with the scope of a step; `facts` are names that stand by themselves.
pub fn of_step<T>(state: &RunState, ix: StepIx, facts: Option<&Map<String, Value>>, with: impl FnOnce(&Scope<'_>) -> T) -> T {
    let outputs = |written: &str| outputs_of(state, written);
    let step = state.plan.step(ix);
    let scope = Scope {
        params: &state.plan.params,
        targets: &state.plan.targets.value,
        item: step.item.as_ref().map(|(name, value)| (&**name, value)),
        outputs: &outputs,
        facts,
    };
    with(&scope)
}

/// Whether an expression of a step is true.
///
/// # Errors
/// See [`ExprError`].
pub fn truth(state: &RunState, ix: StepIx, expr: &Expr) -> Result<bool, ExprError> {
    of_step(state, ix, None, |scope| expr::truth(expr, scope))
}

/// Whether it is certain already that a step does not apply: nothing that it would need is missing then.
#[must_use]
pub fn is_ruled_out(state: &RunState, ix: StepIx) -> bool {
    state.plan.step(ix).when.as_ref().is_some_and(|when| truth(state, ix, when) == Ok(false))
}
