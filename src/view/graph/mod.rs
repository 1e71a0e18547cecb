//! The plan as a picture: on a terminal, as SVG, and for tools that draw by themselves (Mermaid, DOT).
//!
//! All of them start from a [`Drawing`], which holds what is worth drawing and nothing of a layout. The same plan
//! gives the same bytes.

mod layout;
mod markup;
mod svg;
mod terminal;

use std::collections::{BTreeMap, BTreeSet};

pub use layout::{Positions, layout};
pub use markup::{dot, mermaid};
pub use svg::svg;
pub use terminal::terminal;

use crate::foreign::line;
use crate::plan::{Plan, StepIx, Work, graph};
use crate::time::Span;

/// Plans with more steps than this are drawn with one node per `for_each`.
pub const MANY: usize = 300;

/// What is drawn: nodes in file order, and the fewest edges that say the same as all needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// The plan's name. Escaped.
    pub name: String,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// From a node to one that needs it, ascending.
    pub edges: Vec<(u32, u32)>,
}

/// One step, or all instances of a `for_each`. Texts are free of control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The step's id.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What it is.
    pub shape: Shape,
    /// It destroys something.
    pub destructive: bool,
    /// After it there is no way back.
    pub no_return: bool,
    /// The author's median; of several instances the longest.
    pub estimate: Option<Span>,
    /// How many instances it stands for.
    pub times: usize,
    /// The longest chain of needs before it.
    pub level: u32,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// An action.
    Action,
    /// A gate.
    Gate,
    /// A manual step.
    Manual,
    /// A checkpoint.
    Checkpoint,
}

impl Shape {
    /// Its name in the picture.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Shape::Action => "action",
            Shape::Gate => "gate",
            Shape::Manual => "manual",
            Shape::Checkpoint => "checkpoint",
        }
    }
}

impl Drawing {
    /// The drawing of a plan; with more than [`MANY`] steps, one node per `for_each`.
    #[must_use]
    pub fn of(plan: &Plan) -> Drawing {
        Drawing::build(plan, plan.steps.len() > MANY)
    }

    /// The drawing of a plan with one node per `for_each`.
    #[must_use]
    pub fn collapsed(plan: &Plan) -> Drawing {
        Drawing::build(plan, true)
    }

    fn build(plan: &Plan, collapse: bool) -> Drawing {
        let levels = graph::levels(plan);
        let mut nodes: Vec<Node> = Vec::new();
        let mut of_step: Vec<u32> = Vec::with_capacity(plan.steps.len());
        let mut groups: BTreeMap<&str, u32> = BTreeMap::new();
        for (step, level) in plan.steps.iter().zip(levels) {
            let next = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
            let (destructive, shape) = match &step.work {
                Work::Action(action) => (action.destructive, Shape::Action),
                Work::Gate(_) => (false, Shape::Gate),
                Work::Manual(_) => (false, Shape::Manual),
                Work::Checkpoint => (false, Shape::Checkpoint),
            };
            let estimate = step.estimate.map(|estimate| estimate.p50);
            let group = if collapse && step.item.is_some() { groups.get(&*step.written).copied() } else { None };
            if let Some(at) = group {
                let node = &mut nodes[at as usize];
                node.times += 1;
                node.estimate = node.estimate.max(estimate);
                node.level = node.level.max(level);
                node.destructive |= destructive;
                node.no_return |= step.point_of_no_return;
                of_step.push(at);
                continue;
            }
            let collapsed = collapse && step.item.is_some();
            if collapsed {
                groups.insert(&step.written, next);
            }
            nodes.push(Node {
                id: line(if collapsed { &step.written } else { step.id.as_str() }).into_owned(),
                name: step.name.as_deref().map(|name| line(name).into_owned()),
                shape,
                destructive,
                no_return: step.point_of_no_return,
                estimate,
                times: 1,
                level,
            });
            of_step.push(next);
        }
        let edges: BTreeSet<(u32, u32)> = (0..)
            .map(StepIx)
            .zip(&plan.steps)
            .flat_map(|(ix, step)| step.needs.iter().map(move |need| (*need, ix)))
            .map(|(from, to)| (of_step[from.at()], of_step[to.at()]))
            .filter(|(from, to)| from != to)
            .collect();
        let edges = graph::reduce(nodes.len(), edges);
        Drawing { name: line(&plan.name).into_owned(), nodes, edges }
    }
}

impl Node {
    /// The id, and how many instances it stands for.
    #[must_use]
    pub fn label(&self) -> String {
        if self.times > 1 { format!("{} × {}", self.id, self.times) } else { self.id.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{noop, plan, weekend};
    use super::*;
    use crate::plan::Step;

    fn fan(n: usize) -> Plan {
        let mut steps: Vec<(Step, &[&str])> = vec![(noop("begin"), &[])];
        for i in 0..n {
            steps.push((noop(&format!("copy[host{i}]")).of("x"), &["begin"]));
        }
        steps.push((noop("end"), &["begin", "copy"]));
        plan(steps)
    }

    #[test]
    fn the_same_plan_gives_the_same_bytes() {
        let first = Drawing::of(&weekend());
        for _ in 0..5 {
            let again = Drawing::of(&weekend());
            assert_eq!(svg(&again), svg(&first));
            assert_eq!(terminal(&again, 200), terminal(&first, 200));
            assert_eq!(mermaid(&again), mermaid(&first));
            assert_eq!(dot(&again), dot(&first));
        }
    }

    #[test]
    fn a_plan_with_very_many_steps_is_drawn_with_one_node_per_for_each() {
        let drawing = Drawing::of(&fan(400));
        let labels: Vec<String> = drawing.nodes.iter().map(Node::label).collect();
        assert_eq!(labels, ["begin", "copy × 400", "end"]);
        assert_eq!(drawing.edges, [(0, 1), (1, 2)]);
        assert_eq!(Drawing::of(&fan(3)).nodes.len(), 5);
    }

    #[test]
    fn a_need_that_follows_from_another_is_not_drawn() {
        assert!(!Drawing::of(&fan(2)).edges.contains(&(0, 3)));
    }

    #[test]
    fn a_thousand_different_steps_are_still_drawn_in_a_moment() {
        let steps = (0..1500).map(|n| (noop(&format!("step{n}")), &[][..])).collect();
        let picture = svg(&Drawing::of(&plan(steps)));
        assert!(picture.contains(">step1499<"));
    }
}
