//! The shape of a plan: order, levels, who needs whom at a distance, the critical path.
//!
//! Pure functions on the validated [`Plan`], whose graph is acyclic. Nothing here knows of runs: what is already
//! satisfied, and how long a step still takes, are arguments.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use petgraph::adj::{List, UnweightedList};
use petgraph::algo::tred::{dag_to_toposorted_adjacency_list, dag_transitive_reduction_closure};
use petgraph::graph::{DiGraph, NodeIndex};

use super::{Plan, StepIx};
use crate::time::Span;

/// All steps so that each comes after those that it needs; among equals, file order.
#[must_use]
pub fn topological(plan: &Plan) -> Vec<StepIx> {
    let mut missing: Vec<usize> = plan.steps.iter().map(|step| step.needs.len()).collect();
    let mut free: BinaryHeap<Reverse<StepIx>> = indices(plan).filter(|ix| missing[ix.at()] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(plan.steps.len());
    while let Some(Reverse(ix)) = free.pop() {
        order.push(ix);
        for &dependant in &plan.dependants[ix.at()] {
            missing[dependant.at()] -= 1;
            if missing[dependant.at()] == 0 {
                free.push(Reverse(dependant));
            }
        }
    }
    order
}

/// Per step, the length of the longest chain of needs before it: 0 for a step that needs nothing.
#[must_use]
pub fn levels(plan: &Plan) -> Vec<u32> {
    let mut levels = vec![0; plan.steps.len()];
    for ix in topological(plan) {
        levels[ix.at()] = plan.step(ix).needs.iter().map(|need| levels[need.at()] + 1).max().unwrap_or(0);
    }
    levels
}

/// Everything that must be satisfied before the step, directly or not.
#[must_use]
pub fn all_needs(plan: &Plan, ix: StepIx) -> BTreeSet<StepIx> {
    reach(ix, |at| &plan.step(at).needs)
}

/// Everything that waits for the step, directly or not.
#[must_use]
pub fn all_dependants(plan: &Plan, ix: StepIx) -> BTreeSet<StepIx> {
    reach(ix, |at| &plan.dependants[at.at()])
}

fn reach<'a>(from: StepIx, next: impl Fn(StepIx) -> &'a Vec<StepIx>) -> BTreeSet<StepIx> {
    let mut seen = BTreeSet::new();
    let mut open = next(from).clone();
    while let Some(ix) = open.pop() {
        if seen.insert(ix) {
            open.extend(next(ix));
        }
    }
    seen
}

/// What is left of a step, for [`critical_path`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: those that need it may start.
    Satisfied,
    /// It takes so long, and starts at the earliest after `wait` from now.
    Takes {
        /// Zero if it may start as soon as its needs are satisfied.
        wait: Span,
        /// How long it takes.
        span: Span,
    },
}

/// The longest chain of what is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CriticalPath {
    /// The steps of the chain in order; without the satisfied ones.
    pub steps: Vec<StepIx>,
    /// How long the chain takes.
    pub length: Span,
}

/// The critical path of what is left. Limits are not taken into account.
#[must_use]
pub fn critical_path(plan: &Plan, rest: impl Fn(StepIx) -> Rest) -> CriticalPath {
    // Per step: when it will be finished, and the need that decides it. Satisfied steps are finished now.
    let mut finish = vec![0_u64; plan.steps.len()];
    let mut before: Vec<Option<StepIx>> = vec![None; plan.steps.len()];
    let mut left = vec![false; plan.steps.len()];
    let mut path = CriticalPath::default();
    let mut last: Option<StepIx> = None;
    for ix in topological(plan) {
        let (wait, takes) = match rest(ix) {
            Rest::Satisfied => continue,
            Rest::Takes { wait, span } => (wait.as_millis(), span.as_millis()),
        };
        left[ix.at()] = true;
        let mut start = 0;
        for &need in plan.step(ix).needs.iter().filter(|need| left[need.at()]) {
            if before[ix.at()].is_none() || finish[need.at()] > start {
                start = finish[need.at()];
                before[ix.at()] = Some(need);
            }
        }
        finish[ix.at()] = start.max(wait).saturating_add(takes);
        // At equal length the later step, so that the path ends where the plan ends.
        if last.is_none_or(|last| finish[ix.at()] >= finish[last.at()]) {
            last = Some(ix);
        }
    }
    path.length = Span::from_millis(last.map_or(0, |last| finish[last.at()]));
    while let Some(ix) = last {
        path.steps.push(ix);
        last = before[ix.at()];
    }
    path.steps.reverse();
    path
}

/// The fewest edges (need, step) that say the same as all `needs`, for drawing; ascending.
#[must_use]
pub fn reduction(plan: &Plan) -> Vec<(StepIx, StepIx)> {
    let edges = indices(plan).flat_map(|ix| plan.step(ix).needs.iter().map(move |need| (need.0, ix.0)));
    reduce(plan.steps.len(), edges).into_iter().map(|(from, to)| (StepIx(from), StepIx(to))).collect()
}

/// The transitive reduction of a graph with nodes `0..nodes`, ascending; of a cyclic one all its edges.
#[must_use]
pub fn reduce(nodes: usize, edges: impl IntoIterator<Item = (u32, u32)>) -> Vec<(u32, u32)> {
    let mut graph: DiGraph<(), (), u32> = DiGraph::default();
    for _ in 0..nodes {
        graph.add_node(());
    }
    let edges: BTreeSet<(u32, u32)> = edges.into_iter().collect();
    for &(from, to) in &edges {
        graph.add_edge(NodeIndex::from(from), NodeIndex::from(to), ());
    }
    // A plan has no cycle, but a drawing that takes several steps for one may: then nothing can be left out.
    let Ok(order) = petgraph::algo::toposort(&graph, None) else {
        return edges.into_iter().collect();
    };
    let (sorted, _): (UnweightedList<u32>, Vec<u32>) = dag_to_toposorted_adjacency_list(&graph, &order);
    let (reduced, _): (List<(), u32>, List<(), u32>) = dag_transitive_reduction_closure(&sorted);
    let node = |at: u32| u32::try_from(order[at as usize].index()).unwrap_or(u32::MAX);
    let mut edges: Vec<(u32, u32)> =
        reduced.edge_indices().filter_map(|edge| reduced.edge_endpoints(edge)).map(|(from, to)| (node(from), node(to))).collect();
    edges.sort_unstable();
    edges
}

fn indices(plan: &Plan) -> impl Iterator<Item = StepIx> {
    (0..).map(StepIx).take(plan.steps.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reduction_leaves_out_what_follows_from_the_rest_and_is_the_same_every_time() {
        let edges = [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 3)];
        for _ in 0..20 {
            assert_eq!(reduce(4, edges), [(0, 1), (1, 2), (2, 3)]);
        }
    }

    #[test]
    fn of_a_graph_with_a_cycle_nothing_is_left_out() {
        assert_eq!(reduce(3, [(1, 0), (0, 1), (1, 2)]), [(0, 1), (1, 0), (1, 2)]);
    }
}
