//! Mermaid and DOT: for documents and tools that lay out by themselves.

use std::fmt::Write as _;

use super::super::text::span;
use super::{Drawing, Node, Shape};

fn lines(node: &Node) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(node.name.clone());
    out.push(node.label());
    let marks = [node.no_return.then_some("no way back"), node.destructive.then_some("destructive")];
    let estimate = node.estimate.map(span);
    let words: Vec<&str> = marks.into_iter().flatten().chain(estimate.as_deref()).collect();
    if !words.is_empty() {
        out.push(words.join(" · "));
    }
    out
}

/// The graph as Mermaid's `flowchart`.
#[must_use]
pub fn mermaid(drawing: &Drawing) -> String {
    let mut out = "flowchart TD\n".to_owned();
    for (n, node) in drawing.nodes.iter().enumerate() {
        let text = lines(node).iter().map(|text| entities(text)).collect::<Vec<_>>().join("<br>");
        let (open, close) = match node.shape {
            Shape::Action => ("[", "]"),
            Shape::Gate => ("{{", "}}"),
            Shape::Manual => ("[/", "/]"),
            Shape::Checkpoint => ("([", "])"),
        };
        let _ =
            writeln!(out, "  n{n}{open}\"{text}\"{close}{}", class(node).map_or(String::new(), |class| format!(":::{class}")));
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(out, "  n{from} --> n{to}");
    }
    out.push_str(
        "  classDef gate fill:#fff4d6,stroke:#b7791f,color:#1f2328\n  \
         classDef manual fill:#e4effc,stroke:#2f6fb7,color:#1f2328\n  \
         classDef checkpoint fill:#e3f4e6,stroke:#2c8a46,color:#1f2328\n  \
         classDef destructive fill:#fdeceb,stroke:#c9342c,color:#1f2328\n  \
         classDef noreturn fill:#f6e9fb,stroke:#7b1fa2,stroke-width:3px,color:#1f2328\n",
    );
    out
}

fn class(node: &Node) -> Option<&'static str> {
    match node.shape {
        _ if node.no_return => Some("noreturn"),
        _ if node.destructive => Some("destructive"),
        Shape::Action => None,
        other => Some(other.as_str()),
    }
}

/// Everything that is not a letter, a digit or a few harmless marks, as Mermaid's `#number;`.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || " -_.,:/()[]×·?+=".contains(c) {
            out.push(c);
        } else {
            let _ = write!(out, "#{};", u32::from(c));
        }
    }
    out
}

/// The graph for Graphviz.
#[must_use]
pub fn dot(drawing: &Drawing) -> String {
    let mut out = format!("digraph \"{}\" {{\n", quoted(&drawing.name));
    out.push_str(
        "  rankdir=TB;\n  node [fontname=\"sans-serif\", fontsize=11, shape=box, style=\"rounded,filled\", fillcolor=white];\n",
    );
    for (n, node) in drawing.nodes.iter().enumerate() {
        let text = lines(node).iter().map(|text| quoted(text)).collect::<Vec<_>>().join("\\n");
        let look = match (node.shape, node.no_return, node.destructive) {
            (_, true, _) => ", fillcolor=\"#f6e9fb\", color=\"#7b1fa2\", penwidth=3",
            (_, _, true) => ", fillcolor=\"#fdeceb\", color=\"#c9342c\"",
            (Shape::Gate, ..) => ", shape=hexagon, style=filled, fillcolor=\"#fff4d6\", color=\"#b7791f\"",
            (Shape::Manual, ..) => ", shape=parallelogram, style=filled, fillcolor=\"#e4effc\", color=\"#2f6fb7\"",
            (Shape::Checkpoint, ..) => ", shape=oval, style=filled, fillcolor=\"#e3f4e6\", color=\"#2c8a46\"",
            (Shape::Action, ..) => "",
        };
        let _ = writeln!(out, "  n{n} [label=\"{text}\"{look}];");
    }
    for (from, to) in &drawing.edges {
        let _ = writeln!(out, "  n{from} -> n{to};");
    }
    out.push_str("}\n");
    out
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::super::super::sample::{gate, noop, plan};
    use super::*;

    fn drawing() -> Drawing {
        let ask: Vec<(crate::plan::Step, &[&str])> =
            vec![(noop("a").called("say \"hi\"; end").taking(5), &[]), (gate("ok", "?", &[], 1), &["a"])];
        Drawing::of(&plan(ask))
    }

    #[test]
    fn mermaid_has_the_nodes_the_edges_and_no_quote_of_the_plans() {
        let text = mermaid(&drawing());
        let wanted = "flowchart TD\n  n0[\"say #34;hi#34;#59; end<br>a<br>5m\"]\n  n1{{\"ok\"}}:::gate\n  n0 --> n1\n  classDef";
        assert!(text.starts_with(wanted), "{text}");
    }

    #[test]
    fn dot_quotes_what_the_plan_says() {
        let text = dot(&drawing());
        assert!(text.contains("  n0 [label=\"say \\\"hi\\\"; end\\na\\n5m\"];\n"), "{text}");
        assert!(text.contains("  n0 -> n1;\n"), "{text}");
    }
}
