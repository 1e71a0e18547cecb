//! The graph of written steps: order, cycles, who comes before whom, and what may lie beyond a point of no return.

use std::collections::{HashMap, HashSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

/// Edges from each step to the steps that it needs, and an order in which needs come first.
pub struct Graph {
    /// For each step, the steps that it needs.
    pub needs: Vec<Vec<u32>>,
    /// The position of each step in a topological order; meaningless for steps on a cycle.
    order: Vec<u32>,
    /// The steps in that order.
    sorted: Vec<u32>,
}

impl Graph {
    /// Builds the graph. Returns the cycles with it, each as a path that ends where it begins; a step that needs
    /// itself is a path of two.
    pub fn new(needs: Vec<Vec<u32>>) -> (Self, Vec<Vec<u32>>) {
        let count = needs.len();
        let mut missing: Vec<u32> = needs.iter().map(|needs| u32::try_from(needs.len()).unwrap_or(u32::MAX)).collect();
        // Dependants in one flat array: where those of each step begin, and all of them.
        let mut begin = vec![0u32; count + 1];
        for need in needs.iter().flatten() {
            begin[*need as usize + 1] += 1;
        }
        for at in 0..count {
            begin[at + 1] += begin[at];
        }
        let mut fill = begin.clone();
        let mut dependants = vec![0u32; begin[count] as usize];
        for (step, needs) in needs.iter().enumerate() {
            for need in needs {
                let slot = &mut fill[*need as usize];
                dependants[*slot as usize] = u32::try_from(step).unwrap_or(u32::MAX);
                *slot += 1;
            }
        }
        let mut ready: VecDeque<u32> = (0u32..).zip(&missing).filter(|(_, missing)| **missing == 0).map(|(at, _)| at).collect();
        let mut order = vec![u32::MAX; count];
        let mut sorted = Vec::with_capacity(count);
        while let Some(step) = ready.pop_front() {
            order[step as usize] = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
            sorted.push(step);
            for dependant in &dependants[begin[step as usize] as usize..begin[step as usize + 1] as usize] {
                missing[*dependant as usize] -= 1;
                if missing[*dependant as usize] == 0 {
                    ready.push_back(*dependant);
                }
            }
        }
        let left: Vec<u32> = (0u32..).zip(&order).filter(|(_, order)| **order == u32::MAX).map(|(at, _)| at).collect();
        let cycles = if left.is_empty() { Vec::new() } else { cycles(&needs, &left) };
        (Graph { needs, order, sorted }, cycles)
    }

    /// Whether `step` needs `other`, directly or through others.
    pub fn comes_after(&self, step: u32, other: u32) -> bool {
        if self.needs[step as usize].contains(&other) {
            return true;
        }
        // Only steps later than `other` in the order can lead to it.
        let least = self.order[other as usize];
        let mut seen = HashSet::new();
        let mut open = vec![step];
        while let Some(at) = open.pop() {
            for need in &self.needs[at as usize] {
                if *need == other {
                    return true;
                }
                if self.order[*need as usize] > least && self.order[*need as usize] != u32::MAX && seen.insert(*need) {
                    open.push(*need);
                }
            }
        }
        false
    }

    /// For each step, whether some step marked in `marks` comes before it.
    pub fn behind(&self, marks: &[bool]) -> Vec<bool> {
        let mut behind = vec![false; self.needs.len()];
        for step in &self.sorted {
            behind[*step as usize] =
                self.needs[*step as usize].iter().any(|need| marks[*need as usize] || behind[*need as usize]);
        }
        behind
    }

    /// Every step that comes before `step`.
    pub fn before(&self, step: u32) -> HashSet<u32> {
        let mut seen = HashSet::new();
        let mut open = vec![step];
        while let Some(at) = open.pop() {
            for need in &self.needs[at as usize] {
                if seen.insert(*need) {
                    open.push(*need);
                }
            }
        }
        seen
    }
}

/// One shortest cycle out of every knot of steps that need each other.
fn cycles(needs: &[Vec<u32>], left: &[u32]) -> Vec<Vec<u32>> {
    let number: HashMap<u32, u32> = (0u32..).zip(left).map(|(number, step)| (*step, number)).collect();
    let edges = left.iter().flat_map(|step| {
        let from = number[step];
        needs[*step as usize].iter().filter_map(|need| number.get(need)).map(move |to| (from, *to)).collect::<Vec<_>>()
    });
    let graph: DiGraph<(), ()> = DiGraph::from_edges(edges);
    let mut found = Vec::new();
    for knot in kosaraju_scc(&graph) {
        let mut members: Vec<u32> = knot.iter().map(|node| left[node.index()]).collect();
        members.sort_unstable();
        let first = members[0];
        if members.len() > 1 {
            let members: HashSet<u32> = members.into_iter().collect();
            found.extend(shortest(needs, first, &members));
        } else if needs[first as usize].contains(&first) {
            found.push(vec![first, first]);
        }
    }
    found.sort();
    found
}

/// The shortest way from a step back to itself within a knot.
fn shortest(needs: &[Vec<u32>], first: u32, members: &HashSet<u32>) -> Option<Vec<u32>> {
    let mut from: HashMap<u32, u32> = HashMap::new();
    let mut open = VecDeque::from([first]);
    while let Some(at) = open.pop_front() {
        for need in &needs[at as usize] {
            if *need == first {
                let mut path = vec![first, at];
                let mut back = at;
                while back != first {
                    back = from[&back];
                    path.push(back);
                }
                path.reverse();
                return Some(path);
            }
            if members.contains(need) && !from.contains_key(need) {
                from.insert(*need, at);
                open.push_back(*need);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_the_shortest_one_and_a_step_that_needs_itself_is_one() {
        let (_, cycles) = Graph::new(vec![vec![1], vec![2, 0], vec![0], vec![3], vec![3]]);
        assert_eq!(cycles, [vec![0, 1, 0], vec![3, 3]]);
    }

    #[test]
    fn f21_f98_a_cycle_of_a_hundred_thousand_steps_is_found_without_a_deep_stack() {
        let count = 100_000;
        let (_, cycles) = Graph::new((0..count).map(|step| vec![(step + 1) % count]).collect());
        assert_eq!(cycles.len(), 1);
        assert_eq!(cycles[0].len(), count as usize + 1);
    }

    #[test]
    fn before_and_after_follow_needs_through_other_steps() {
        let (graph, cycles) = Graph::new(vec![vec![], vec![0], vec![1], vec![]]);
        assert!(cycles.is_empty());
        assert!(graph.comes_after(2, 0));
        assert!(!graph.comes_after(0, 2));
        assert!(!graph.comes_after(3, 0));
        assert_eq!(graph.behind(&[true, false, false, false]), [false, true, true, false]);
    }
}
