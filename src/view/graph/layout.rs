//! Where the boxes and lines go.

use dagre::graph::{Graph, GraphOptions};
use dagre::{EdgeLabel, LayoutOptions, NodeLabel};

use super::Drawing;

/// Above so many nodes the careful layout takes seconds; then boxes simply stand in rows by level.
const CAREFUL: usize = 400;

/// A layout in pixels, the origin at the top left.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Positions {
    /// Width and height of the whole.
    pub size: (f64, f64),
    /// The middle of each node.
    pub nodes: Vec<(f64, f64)>,
    /// The points of each edge, from its first node to its second.
    pub edges: Vec<Vec<(f64, f64)>>,
}

/// Lays a drawing out from top to bottom. `sizes`: width and height of each node.
#[must_use]
pub fn layout(drawing: &Drawing, sizes: &[(f64, f64)]) -> Positions {
    if drawing.nodes.len() > CAREFUL { in_rows(drawing, sizes) } else { careful(drawing, sizes) }
}

fn careful(drawing: &Drawing, sizes: &[(f64, f64)]) -> Positions {
    let key = |n: usize| format!("n{n}");
    let mut graph = Graph::with_options(GraphOptions { directed: true, multigraph: false, compound: false });
    for (n, &(width, height)) in sizes.iter().enumerate() {
        graph.set_node(key(n), Some(NodeLabel { width, height, ..NodeLabel::default() }));
    }
    for &(from, to) in &drawing.edges {
        graph.set_edge(key(from as usize), key(to as usize), Some(EdgeLabel::default()), None);
    }
    let options = LayoutOptions { nodesep: 28.0, ranksep: 44.0, edgesep: 14.0, tie_keep_first: true, ..LayoutOptions::default() };
    dagre::layout(&mut graph, Some(options));
    let nodes: Vec<(f64, f64)> = (0..sizes.len())
        .map(|n| graph.node(&key(n)).map_or((0.0, 0.0), |at| (at.x.unwrap_or_default(), at.y.unwrap_or_default())))
        .collect();
    let edges = drawing
        .edges
        .iter()
        .map(|&(from, to)| {
            let points = graph.edge(&key(from as usize), &key(to as usize), None).map(|edge| edge.points.clone());
            let mut points: Vec<(f64, f64)> = points.unwrap_or_default().iter().map(|point| (point.x, point.y)).collect();
            // From the middle of the lower side to the middle of the upper side, whatever the shape of the box.
            let (from, to) = (from as usize, to as usize);
            // A little straight on, so that an arrow arrives from above.
            let (below, above) = (nodes[from].1 + sizes[from].1 / 2.0, nodes[to].1 - sizes[to].1 / 2.0);
            let inner = points.len().saturating_sub(1).max(1);
            points.truncate(inner);
            points.drain(..1.min(points.len()));
            points.insert(0, (nodes[from].0, below));
            points.insert(1, (nodes[from].0, below + 10.0));
            points.extend([(nodes[to].0, above - 12.0), (nodes[to].0, above)]);
            points
        })
        .collect();
    bounded(nodes, edges, sizes)
}

fn in_rows(drawing: &Drawing, sizes: &[(f64, f64)]) -> Positions {
    const COLUMNS: usize = 24;
    let mut nodes = vec![(0.0, 0.0); sizes.len()];
    let wide = sizes.iter().map(|size| size.0).fold(0.0, f64::max) + 28.0;
    let high = sizes.iter().map(|size| size.1).fold(0.0, f64::max) + 44.0;
    let mut by_level: std::collections::BTreeMap<u32, Vec<usize>> = std::collections::BTreeMap::new();
    for (n, node) in drawing.nodes.iter().enumerate() {
        by_level.entry(node.level).or_default().push(n);
    }
    let mut top = high / 2.0;
    for row in by_level.values().flat_map(|level| level.chunks(COLUMNS)) {
        let mut left = wide / 2.0;
        for &n in row {
            nodes[n] = (left, top);
            left += wide;
        }
        top += high;
    }
    let edges = drawing
        .edges
        .iter()
        .map(|&(from, to)| {
            let (from, to) = (from as usize, to as usize);
            vec![(nodes[from].0, nodes[from].1 + sizes[from].1 / 2.0), (nodes[to].0, nodes[to].1 - sizes[to].1 / 2.0)]
        })
        .collect();
    bounded(nodes, edges, sizes)
}

fn bounded(nodes: Vec<(f64, f64)>, edges: Vec<Vec<(f64, f64)>>, sizes: &[(f64, f64)]) -> Positions {
    let mut size = (0.0_f64, 0.0_f64);
    for (at, node) in nodes.iter().zip(sizes) {
        size = (size.0.max(at.0 + node.0 / 2.0), size.1.max(at.1 + node.1 / 2.0));
    }
    for point in edges.iter().flatten() {
        size = (size.0.max(point.0), size.1.max(point.1));
    }
    Positions { size, nodes, edges }
}
