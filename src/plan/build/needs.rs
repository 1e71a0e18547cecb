//! `needs`: from names to written steps, and once all instances are built, to their positions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::order::Graph;
use super::survey::{Need, Written};
use super::{Built, Env, number};
use crate::plan::StepIx;
use crate::plan::diagnostic::{Place, Spot, short};
use crate::plan::load::Steps;
use crate::plan::read::Reader;

/// The most dependencies between them.
const MOST_EDGES: usize = 20_000_000;

/// Resolves `needs` and reports what is unknown or goes in circles.
pub(super) fn connect(env: &Env<'_>, files: &Steps<'_>, names: &HashMap<Arc<str>, u32>, written: &mut [Written]) -> Graph {
    let mut at = 0;
    for (file, steps) in files {
        let reader = Reader { mistakes: env.mistakes, file: *file };
        for node in steps {
            if let Some(list) = node.get("needs") {
                let names_given = reader.texts(list, "needs");
                let mut needs: Vec<Need> = Vec::with_capacity(names_given.len());
                let mut seen: HashSet<(u32, Option<Box<str>>)> = HashSet::new();
                for (name, node) in names_given {
                    if name == written[at].id.as_ref() && !name.is_empty() {
                        reader.error(node, format!("the step `{name}` depends on itself"), "remove it from its own `needs`");
                        continue;
                    }
                    let (id, item) = match name.split_once('[') {
                        Some((id, rest)) if rest.ends_with(']') => (id, Some(Box::from(&rest[..rest.len() - 1]))),
                        _ => (name, None),
                    };
                    let Some(step) = names.get(id).copied() else {
                        reader.error(
                            node,
                            format!("the step `{}` needs an unknown step `{}`", written[at].id, short(id)),
                            env.mistakes.did_you_mean(id, names.keys().map(AsRef::as_ref)),
                        );
                        continue;
                    };
                    // Few needs are compared one by one; many go through a set.
                    if needs.len() == 32 {
                        seen.extend(needs.iter().map(|need| (need.step, need.item.clone())));
                    }
                    let twice = if needs.len() < 32 {
                        needs.iter().any(|need| need.step == step && need.item == item)
                    } else {
                        !seen.insert((step, item.clone()))
                    };
                    if twice {
                        reader.error(node, format!("`{}` is needed twice", short(name)), "");
                        continue;
                    }
                    needs.push(Need { step, item, at: node.at });
                }
                written[at].needs = needs;
            }
            at += 1;
        }
    }
    let edges = written.iter().map(|step| step.needs.iter().map(|need| need.step).collect()).collect();
    let (graph, cycles) = Graph::new(edges);
    for cycle in cycles {
        let step = &written[cycle[0] as usize];
        let node = step.needs.iter().find(|need| need.step == cycle[1]).map_or(step.at, |need| need.at);
        let mut path: Vec<&str> = cycle.iter().map(|step| written[*step as usize].id.as_ref()).collect();
        let left_out = path.len().saturating_sub(12);
        let gap = format!("… ({left_out} more)");
        if left_out > 0 {
            path.splice(6..6 + left_out, [gap.as_str()]);
        }
        let place = Place { file: step.file, spot: Spot::Node(node) };
        let message = format!("these steps wait for each other: {}", path.join(" -> "));
        env.mistakes.error(place, message, "each needs the next one; remove one of the dependencies");
    }
    graph
}

/// Turns needs into positions, and finds the dependants.
pub(super) fn settle(env: &Env<'_>, written: &[Written], built: &mut Built) {
    let mut edges = 0usize;
    for step in written {
        if step.needs.is_empty() || step.count == 0 {
            continue;
        }
        let mut needs: Vec<StepIx> = Vec::with_capacity(step.needs.len());
        for need in &step.needs {
            let other = &written[need.step as usize];
            match &need.item {
                None if other.count == 0 => behind_empty(written, need.step, &mut needs),
                None => needs.extend((other.first..other.first + other.count).map(StepIx)),
                Some(item) => {
                    if let Some(ix) = built.index.get(format!("{}[{item}]", other.id).as_str()) {
                        needs.push(*ix);
                    } else {
                        let place = Place { file: step.file, spot: Spot::Node(need.at) };
                        env.mistakes.error(place, format!("the step `{}` has no instance `{}`", other.id, short(item)), "");
                    }
                }
            }
        }
        needs.sort_unstable();
        needs.dedup();
        edges += needs.len() * step.count as usize;
        if edges > MOST_EDGES {
            let place = Place { file: step.file, spot: Spot::Node(step.at) };
            env.mistakes.error(place, "the plan has too many dependencies", "put a checkpoint between two large groups of steps");
            return;
        }
        for at in step.first + 1..step.first + step.count {
            built.steps[at as usize].needs.clone_from(&needs);
        }
        built.steps[step.first as usize].needs = needs;
    }
    let mut counts = vec![0u32; built.steps.len()];
    for need in built.steps.iter().flat_map(|step| &step.needs) {
        counts[need.at()] += 1;
    }
    built.dependants = counts.into_iter().map(|count| Vec::with_capacity(count as usize)).collect();
    for (at, step) in built.steps.iter().enumerate() {
        for need in &step.needs {
            built.dependants[need.at()].push(StepIx(number(at)));
        }
    }
}

/// What a step must wait for that needs a `for_each` without items: whatever that one would have waited for.
fn behind_empty(written: &[Written], empty: u32, needs: &mut Vec<StepIx>) {
    let mut seen = HashSet::from([empty]);
    let mut open = vec![empty];
    while let Some(at) = open.pop() {
        for need in &written[at as usize].needs {
            let other = &written[need.step as usize];
            if other.count > 0 {
                needs.extend((other.first..other.first + other.count).map(StepIx));
            } else if seen.insert(need.step) {
                open.push(need.step);
            }
        }
    }
}
