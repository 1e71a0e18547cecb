//! The graph on a terminal: boxes and lines while they fit, otherwise a list by level.

use std::fmt::Write as _;

use ascii_dag::{Graph, RenderOptions};

use super::super::text::{list, pad, width};
use super::{Drawing, Node, Shape};

/// More nodes than this are not read as a picture.
const PICTURE: usize = 60;

/// The graph for a terminal of that width.
#[must_use]
pub fn terminal(drawing: &Drawing, columns: usize) -> String {
    if drawing.nodes.len() <= PICTURE
        && let Some(picture) = picture(drawing, columns)
    {
        return picture;
    }
    by_level(drawing)
}

fn mark(node: &Node) -> &'static str {
    match node.shape {
        _ if node.no_return => " (no way back)",
        _ if node.destructive => " (destructive)",
        Shape::Action => "",
        Shape::Gate => " (gate)",
        Shape::Manual => " (manual)",
        Shape::Checkpoint => " (checkpoint)",
    }
}

fn picture(drawing: &Drawing, columns: usize) -> Option<String> {
    let labels: Vec<String> = drawing.nodes.iter().map(|node| format!("{}{}", node.label(), mark(node))).collect();
    let mut graph = Graph::new();
    for (n, label) in labels.iter().enumerate() {
        graph.add_node(n, label.as_str());
    }
    for &(from, to) in &drawing.edges {
        graph.add_edge(from as usize, to as usize, None);
    }
    let text = graph.compute_layout().render_string(&RenderOptions::plain());
    let rows: Vec<&str> = text.lines().map(str::trim_end).collect();
    rows.iter().all(|row| width(row) <= columns).then(|| rows.join("\n").trim_end().to_owned() + "\n")
}

fn by_level(drawing: &Drawing) -> String {
    let mut needs: Vec<Vec<&str>> = vec![Vec::new(); drawing.nodes.len()];
    for &(from, to) in &drawing.edges {
        needs[to as usize].push(&drawing.nodes[from as usize].id);
    }
    let mut order: Vec<usize> = (0..drawing.nodes.len()).collect();
    order.sort_by_key(|&n| (drawing.nodes[n].level, n));
    let labels: Vec<String> = drawing.nodes.iter().map(|node| format!("{}{}", node.label(), mark(node))).collect();
    let column = labels.iter().map(|label| width(label)).max().unwrap_or(0).min(44);
    let mut out = String::new();
    let mut level = None;
    for n in order {
        let node = &drawing.nodes[n];
        if level != Some(node.level) {
            level = Some(node.level);
            let _ = match node.level {
                0 => writeln!(out, "at once:"),
                n => writeln!(out, "level {n}:"),
            };
        }
        let after = if needs[n].is_empty() { String::new() } else { format!("  after {}", list(&needs[n], 3)) };
        out += format!("  {}{after}", pad(&labels[n], column)).trim_end();
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::{noop, plan, weekend};
    use super::*;

    #[test]
    fn a_small_graph_is_drawn_and_a_wide_one_is_listed() {
        let steps: Vec<(crate::plan::Step, &[&str])> =
            vec![(noop("a"), &[]), (noop("b"), &["a"]), (noop("c"), &["a"]), (noop("d"), &["b", "c"])];
        let drawing = Drawing::of(&plan(steps));
        let picture = terminal(&drawing, 80);
        assert!(picture.contains("[a]") && picture.contains('┌'), "{picture}");
        assert_eq!(terminal(&drawing, 8), "at once:\n  a\nlevel 1:\n  b  after a\n  c  after a\nlevel 2:\n  d  after b, c\n");
    }

    #[test]
    fn the_weekend_fits_a_terminal() {
        let picture = terminal(&Drawing::of(&weekend()), 120);
        assert!(picture.contains("[delete-ok (gate)]"), "{picture}");
        assert!(picture.lines().all(|row| width(row) <= 120));
    }
}
