//! What a gate lets through, and whether the go that was given is still about that. Pure.
//!
//! - A gate *governs* everything behind it until the next gates, across checkpoints and manual steps.
//! - Its [`Matter`] is a hash per governed step over what the step will do: its fingerprint, its arguments, the targets that
//!   it names, and what it is bound to. A value that a step before will make is hashed as its expression, with that step's
//!   fingerprint, and shown as *known after X*.
//! - [`objection`] says why the question or the go that stands is no longer about what lies behind the gate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::event::VIA;
use super::scope;
use super::state::{RunState, StepState};
use crate::plan::expr::{self, ExprError};
use crate::plan::{Gate, Plan, Step, StepId, StepIx, Work, graph};

/// Per gate, the steps that it governs; and per step, the gates that govern it. Stored for quick access: derived from the
/// plan alone.
#[derive(Debug, Clone, Default)]
pub struct Governed {
    behind: BTreeMap<StepIx, Vec<StepIx>>,
    over: BTreeMap<StepIx, Vec<StepIx>>,
}

impl Governed {
    /// Works it out.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut governed = Governed::default();
        for (at, step) in plan.steps.iter().enumerate() {
            let gate = StepIx(u32::try_from(at).unwrap_or(u32::MAX));
            if !matches!(step.work, Work::Gate(_)) {
                continue;
            }
            let mut seen = BTreeSet::new();
            let mut queue: VecDeque<StepIx> = plan.dependants[at].iter().copied().collect();
            while let Some(ix) = queue.pop_front() {
                if matches!(plan.step(ix).work, Work::Gate(_)) || !seen.insert(ix) {
                    continue;
                }
                governed.over.entry(ix).or_default().push(gate);
                queue.extend(plan.dependants[ix.at()].iter().copied());
            }
            governed.behind.insert(gate, seen.into_iter().collect());
        }
        governed
    }

    /// What a gate lets through, in plan order.
    #[must_use]
    pub fn behind(&self, gate: StepIx) -> &[StepIx] {
        self.behind.get(&gate).map_or(&[], Vec::as_slice)
    }

    /// The gates whose go a step needs.
    #[must_use]
    pub fn over(&self, ix: StepIx) -> &[StepIx] {
        self.over.get(&ix).map_or(&[], Vec::as_slice)
    }
}

/// What a vote is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matter {
    /// A hash per governed step.
    pub steps: BTreeMap<StepId, String>,
    /// A hash over who may answer.
    pub rules: String,
    /// A line per governed step that acts, for people.
    pub lines: Vec<String>,
}

/// What lies behind a gate as things are now.
#[must_use]
pub fn matter(state: &RunState, gate: StepIx) -> Matter {
    let known = known_before(state, gate);
    let mut steps = BTreeMap::new();
    let mut lines = Vec::new();
    for &ix in state.governed.behind(gate) {
        let step = state.plan.step(ix);
        let (with, open) = arguments(state, ix, &known);
        steps.insert(step.id.clone(), of_step(state, ix, &with, true));
        lines.extend(line(state, ix, &open));
    }
    Matter { steps, rules: rules(state, gate), lines }
}

/// What a vote on this question stands for.
#[must_use]
pub fn binding(state: &RunState, gate: StepIx, nonce: &str, ask: &str, matter: &Matter) -> String {
    hash(&json!([state.run, state.plan.step(gate).id, nonce, ask, matter.rules, matter.steps]))
}

/// The question's own name, from the run and the number of the record that will hold it.
#[must_use]
pub fn nonce(state: &RunState, gate: StepIx) -> String {
    hash(&json!([state.run, state.plan.step(gate).id, state.seq + 1, state.epoch]))[..12].to_owned()
}

/// Why the question or the go that stands is no longer about what lies behind the gate; `None` if it still is.
#[must_use]
pub fn objection(state: &RunState, gate: StepIx) -> Option<String> {
    let asked = state.facts(gate).question.as_ref()?;
    if asked.nonce.is_empty() {
        return Some("it was asked by an older version, whose votes are for the question's text alone".to_owned());
    }
    if rules(state, gate) != asked.rules {
        return Some("who may answer it has changed".to_owned());
    }
    let known = known_before(state, gate);
    for &ix in state.governed.behind(gate) {
        let step = state.plan.step(ix);
        let begun = state.is_satisfied(ix) || state.facts(ix).attempts > 0 && !matches!(state.step(ix), StepState::Pending);
        let Some(was) = asked.matter.get(&step.id) else {
            if begun {
                continue;
            }
            return Some(format!("`{}` was added behind it", step.id));
        };
        if begun {
            continue;
        }
        let (with, _) = arguments(state, ix, &known);
        // Bound only after the question was put: that counts where something is destroyed.
        let late = asked.unbound.contains(&step.id);
        if late && !step.is_destructive() {
            if of_step(state, ix, &with, false) != *was {
                return Some(format!("`{}` has changed", step.id));
            }
            continue;
        }
        if of_step(state, ix, &with, true) != *was {
            if late && !state.facts(ix).identity.is_empty() && of_step(state, ix, &with, false) == *was {
                return Some(format!("`{}` destroys something, and only now it is known what: {}", step.id, bound(state, ix)));
            }
            return Some(match skipped_needs(state, ix).last() {
                Some(skipped) if step.is_destructive() => {
                    format!("`{}` or what it rests on has changed (`{skipped}` is left out)", step.id)
                }
                _ => format!("`{}` has changed", step.id),
            });
        }
    }
    let gone = asked.matter.keys().find(|id| state.plan.find(id.as_str()).is_none());
    gone.map(|id| format!("`{id}` is no longer behind it"))
}

/// The governed steps that are bound to nothing yet.
#[must_use]
pub fn unbound(state: &RunState, gate: StepIx) -> BTreeSet<StepId> {
    let free = |ix: &&StepIx| state.facts(**ix).identity.is_empty();
    state.governed.behind(gate).iter().filter(free).map(|ix| state.plan.step(*ix).id.clone()).collect()
}

/// Who answered a gate that governs this step, or changed the step: they count as one side of four eyes.
#[must_use]
pub fn amenders(state: &RunState, gate: StepIx) -> BTreeSet<&str> {
    let amended = state.governed.behind(gate).iter().flat_map(|ix| &state.facts(*ix).amended_by);
    amended.chain(&state.facts(gate).amended_by).map(|by| by.name.as_str()).collect()
}

/// The steps whose outputs are known before the gate is asked, whenever that is.
fn known_before(state: &RunState, gate: StepIx) -> BTreeSet<StepIx> {
    graph::all_needs(&state.plan, gate)
}

/// A hash over what a step will do.
fn of_step(state: &RunState, ix: StepIx, with: &Value, pinned: bool) -> String {
    let step = state.plan.step(ix);
    let work = match &step.work {
        Work::Action(action) => json!([action.call.uses, with, state.plan.targets.named_in(&action.call.with)]),
        Work::Manual(manual) => accounts(state, &manual.by),
        Work::Gate(_) | Work::Checkpoint => Value::Null,
    };
    let identity: BTreeMap<&str, &str> =
        state.facts(ix).identity.iter().filter(|(key, _)| *key != VIA).map(|(key, value)| (&**key, &**value)).collect();
    let skipped = if step.is_destructive() { skipped_needs(state, ix) } else { Vec::new() };
    hash(&json!([&*step.fingerprint, work, if pinned { identity } else { BTreeMap::new() }, skipped]))
}

/// The steps that this one rests on and that a person left out. What `--exclude` leaves out does not count: it is chosen when
/// the run starts, or told by the resume.
fn skipped_needs(state: &RunState, ix: StepIx) -> Vec<&str> {
    let skipped = |need: &StepIx| matches!(state.step(*need), StepState::Skipped { .. }) && !state.facts(*need).excluded;
    graph::all_needs(&state.plan, ix).into_iter().filter(skipped).map(|need| state.plan.step(need).id.as_str()).collect()
}

/// A step's arguments, as far as they are known when the gate is asked; and what the rest is known after. An open value keeps
/// its expression, with the fingerprints of the steps that make it.
fn arguments<'s>(state: &'s RunState, ix: StepIx, known: &BTreeSet<StepIx>) -> (Value, BTreeSet<&'s str>) {
    let mut open = BTreeSet::new();
    let with = match &state.plan.step(ix).work {
        Work::Action(action) => resolve(state, ix, &action.call.with, known, &mut open),
        Work::Gate(_) | Work::Manual(_) | Work::Checkpoint => Value::Null,
    };
    (with, open)
}

fn resolve<'s>(
    state: &'s RunState,
    ix: StepIx,
    value: &'s Value,
    known: &BTreeSet<StepIx>,
    open: &mut BTreeSet<&'s str>,
) -> Value {
    match value {
        Value::String(text) if expr::is_open(text) => {
            let used = expr::steps_used(value);
            let makers: Vec<StepIx> = used.iter().flat_map(|written| instances(&state.plan, written)).collect();
            let is_known = makers.iter().all(|maker| known.contains(maker));
            let resolved = if is_known {
                scope::of_step(state, ix, None, |scope| expr::render_text(text, scope))
            } else {
                Err(ExprError::NoValue(text.clone()))
            };
            resolved.unwrap_or_else(|_| {
                open.extend(makers.iter().map(|maker| &*state.plan.step(*maker).written));
                let made_by: BTreeMap<&str, &str> = makers
                    .iter()
                    .map(|maker| (state.plan.step(*maker).id.as_str(), &*state.plan.step(*maker).fingerprint))
                    .collect();
                json!({ "known after": made_by, "expression": text })
            })
        }
        Value::Array(items) => items.iter().map(|item| resolve(state, ix, item, known, open)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), resolve(state, ix, item, known, open))).collect(),
        other => other.clone(),
    }
}

fn instances(plan: &Plan, written: &str) -> Vec<StepIx> {
    plan.find(written).map_or_else(|| plan.groups.get(written).cloned().unwrap_or_default(), |ix| vec![ix])
}

/// A hash over who may answer a gate.
fn rules(state: &RunState, gate: StepIx) -> String {
    match &state.plan.step(gate).work {
        Work::Gate(rules) => hash(&json!([accounts(state, &rules.approvers), rules.quorum, rules.not_initiator])),
        Work::Action(_) | Work::Manual(_) | Work::Checkpoint => String::new(),
    }
}

/// Roles with the accounts that have them.
fn accounts(state: &RunState, roles: &[String]) -> Value {
    roles.iter().map(|role| (role.clone(), json!(state.plan.targets.roles.get(role)))).collect::<serde_json::Map<_, _>>().into()
}

/// What people are shown of a governed step; nothing of a checkpoint.
fn line(state: &RunState, ix: StepIx, open: &BTreeSet<&str>) -> Option<String> {
    let step = state.plan.step(ix);
    let mut line = match &step.work {
        Work::Action(action) => format!("{}: {}", step.id, action.call.uses),
        Work::Manual(_) => format!("{}: done by a person", step.id),
        Work::Gate(_) | Work::Checkpoint => return None,
    };
    if step.is_destructive() {
        line.push_str(", destructive");
    }
    if step.point_of_no_return {
        line.push_str(", point of no return");
    }
    let bound = bound(state, ix);
    if !bound.is_empty() {
        line = format!("{line} ({bound})");
    }
    if !open.is_empty() {
        let makers: Vec<&str> = open.iter().copied().collect();
        line = format!("{line}; the rest is known after {}", makers.join(", "));
    }
    Some(line)
}

/// What a step is bound to, in one line.
fn bound(state: &RunState, ix: StepIx) -> String {
    let pairs: Vec<String> = state.facts(ix).identity.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(", ")
}

fn hash(value: &Value) -> String {
    crate::plan::hex(&Sha256::digest(value.to_string().as_bytes()))
}

/// Whether a gate's go, once given, is used up by time: the first intent behind it has to come before that.
#[must_use]
pub fn go_until(
    gate: &Gate,
    asked_expires: Option<crate::time::Timestamp>,
    opened: crate::time::Timestamp,
) -> Option<crate::time::Timestamp> {
    gate.valid_for.map(|span| opened.plus(span)).or(asked_expires)
}

/// Whether a step counts as an intent behind the gates that govern it: everything but what only reads.
#[must_use]
pub fn uses_go(step: &Step) -> bool {
    matches!(step.work, Work::Action(_))
}
