//! What only the whole plan shows: uses of outputs, and what lies beyond a point of no return.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::for_each::item_text;
use super::order::Graph;
use super::survey::Written;
use super::{Built, Env, number};
use crate::plan::OnFailure;
use crate::plan::diagnostic::{Place, Spot, short};
use crate::plan::expr::Reference;

/// One use of an output.
pub(super) struct Use {
    pub(super) user: u32,
    /// In a condition of `after`, where the step's own outputs are known.
    pub(super) after: bool,
    pub(super) place: Place,
    pub(super) reference: Reference,
}

/// Points of no return need a gate before them, and nothing that may run after one may roll back over it.
pub(super) fn beyond_return(env: &Env<'_>, written: &[Written], graph: &Graph) {
    // A gate with `when` may be not applicable, and then nobody is asked.
    let gates: Vec<bool> = written.iter().map(|step| step.gate && step.when.is_none()).collect();
    let behind_gate = graph.behind(&gates);
    let rolls_back = |step: &Written| {
        step.rollback.is_some() || (!step.has_on_failure && step.uses && env.defaults.on_failure == OnFailure::Rollback)
    };
    let any_rollback = written.iter().any(rolls_back);
    let mut said = HashSet::new();
    for (at, step) in written.iter().enumerate() {
        let Some(node) = step.point_of_no_return else {
            if step.destructive && step.uses && !behind_gate[at] {
                let place = Place { file: step.file, spot: Spot::Node(step.at) };
                env.mistakes.warn(
                    place,
                    format!("the step `{}` destroys something and no gate comes before it", step.id),
                    "put a step with `gate` before it, so that a person decides",
                );
            }
            continue;
        };
        let place = Place { file: step.file, spot: Spot::Node(node) };
        if !behind_gate[at] {
            env.mistakes.error(
                place,
                format!("the point of no return `{}` has no gate before it", step.id),
                "add a step with `gate` (without `when`) and name it in `needs`",
            );
        }
        if !any_rollback {
            continue;
        }
        let before = graph.before(number(at));
        for (other_at, other) in written.iter().enumerate() {
            if !rolls_back(other) || before.contains(&number(other_at)) || !said.insert(other_at) {
                continue;
            }
            let place = match (other.rollback, env.defaults.on_failure_at) {
                (None, Some(place)) => place,
                (node, _) => Place { file: other.file, spot: Spot::Node(node.unwrap_or(other.at)) },
            };
            env.mistakes.error(
                place,
                format!(
                    "the step `{}` may run after `{}`: a rollback here would cross the point of no return",
                    other.id, step.id
                ),
                "use `on_failure: ask` or `stop` for steps that may run after it",
            );
        }
    }
}

/// Checks every use of an output against the graph and against what the step gives.
pub(super) fn uses(
    env: &Env<'_>,
    uses: &[Use],
    names: &HashMap<Arc<str>, u32>,
    written: &[Written],
    graph: &Graph,
    built: &Built,
) {
    let mut known: HashMap<(u32, u32), bool> = HashMap::new();
    for Use { user, after, place, reference } in uses {
        let id = reference.step().unwrap_or("");
        let say = |message: String, hint: String| env.mistakes.error(*place, message, hint);
        let user_id = &written[*user as usize].id;
        let Some(source) = names.get(id).copied() else {
            say(format!("unknown step `{}`", short(id)), env.mistakes.did_you_mean(id, names.keys().map(AsRef::as_ref)));
            continue;
        };
        if source == *user && !*after {
            say(format!("the step `{id}` uses its own output"), "an output exists only once its step is done".to_owned());
            continue;
        }
        if source != *user && !*known.entry((*user, source)).or_insert_with(|| graph.comes_after(*user, source)) {
            say(
                format!("the step `{user_id}` uses an output of `{id}`, which it does not need"),
                format!("add `{id}` to the `needs` of `{user_id}`"),
            );
            continue;
        }
        let (source, reader) = (&written[source as usize], &written[*user as usize]);
        if source.when.is_some() && source.when != reader.when {
            say(
                format!("the step `{id}` may be not applicable, and then it has no outputs"),
                format!("give `{user_id}` the same `when`, or do without the output"),
            );
            continue;
        }
        let Some(step) = (source.count > 0).then(|| &built.steps[source.first as usize]) else { continue };
        let at = if source.for_each { 3 } else { 2 };
        if source.for_each
            && let Some(item) = reference.name(2)
            && !(source.first..source.first + source.count)
                .any(|at| built.steps[at as usize].item.as_ref().is_some_and(|(_, value)| item_text(value) == item))
        {
            say(format!("the step `{id}` has no instance `{}`", short(item)), format!("write `steps.{id}.outputs['item'].name`"));
            continue;
        }
        if let Some(name) = reference.name(at)
            && !source.broken
            && !step.outputs.iter().any(|output| output.name == name)
        {
            let names: Vec<&str> = step.outputs.iter().map(|output| output.name.as_str()).collect();
            let mut hint = env.mistakes.did_you_mean(name, names.iter().copied());
            if hint.is_empty() {
                hint = if names.is_empty() {
                    format!("declare it under `outputs` of `{id}`")
                } else {
                    format!("it gives {}", names.join(", "))
                };
            }
            say(format!("the step `{id}` has no output `{}`", short(name)), hint);
        }
    }
}
