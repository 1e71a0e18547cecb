//! The same graphs for both sides: plans for relevo, Makefiles for make.

use std::fmt::Write as _;
use std::ops::Range;

/// Steps per layer.
pub const WIDTH: usize = 20;
/// Steps at once, on both sides.
pub const PARALLEL: usize = 8;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// `noop`: nothing, within the process.
    Nothing,
    /// The program `true`.
    True,
}

/// How steps hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Graph {
    /// Layers of [`WIDTH`]; each step needs three of the layer before.
    Layers,
    /// Each step needs the one before.
    Chain,
}

impl Graph {
    /// The numbers of the steps that a step needs.
    pub fn needs(self, step: usize) -> Vec<usize> {
        match self {
            Graph::Chain => step.checked_sub(1).into_iter().collect(),
            Graph::Layers if step < WIDTH => Vec::new(),
            Graph::Layers => {
                let (before, place) = ((step / WIDTH - 1) * WIDTH, step % WIDTH);
                [0, 1, 7].map(|shift| before + (place + shift) % WIDTH).to_vec()
            }
        }
    }
}

/// A plan.
pub fn plan(graph: Graph, does: Does, steps: usize) -> String {
    let mut text = head();
    put_steps(&mut text, graph, does, 0..steps);
    text
}

/// The same plan with a checkpoint that needs the first steps, as many as `before`, and nothing else.
pub fn plan_with_checkpoint(graph: Graph, does: Does, steps: usize, before: usize) -> String {
    let mut text = plan(graph, does, steps);
    let last: Vec<String> = (before.saturating_sub(WIDTH)..before).map(name).collect();
    let _ = writeln!(text, "  - {{ id: halt, needs: [{}], checkpoint: true }}", last.join(", "));
    text
}

fn head() -> String {
    format!("relevo: 1\nname: a benchmark\nmax_parallel: {PARALLEL}\nsteps:\n")
}

fn put_steps(text: &mut String, graph: Graph, does: Does, steps: Range<usize>) {
    let does = match does {
        Does::Nothing => "uses: noop",
        Does::True => "uses: command, with: { argv: [\"true\"] }",
    };
    for step in steps {
        let needs: Vec<String> = graph.needs(step).into_iter().map(name).collect();
        let needs = if needs.is_empty() { String::new() } else { format!("needs: [{}], ", needs.join(", ")) };
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  - {{ id: {}, {needs}{does} }}", name(step));
    }
}

fn name(step: usize) -> String {
    format!("s{step:06}")
}

/// A plan as people write them, for reading only: nine fields and about 184 bytes per step.
pub fn wordy_plan(steps: usize) -> String {
    let mut text = head();
    for step in 0..steps {
        let needs: Vec<String> = Graph::Layers.needs(step).into_iter().take(2).map(name).collect();
        let _ = write!(
            text,
            "  - id: {id}\n    name: Move batch {step}\n    needs: [{needs}]\n    uses: noop\n    with: {{ say: moved }}\n    \
             timeout: 10m\n    on_failure: ask\n    owner: mail\n    tags: [mail, wave-{wave}]\n",
            id = name(step),
            needs = needs.join(", "),
            wave = step % 7,
        );
    }
    text
}

/// A Makefile whose targets are no files: everything is run.
pub fn phony_makefile(graph: Graph, steps: usize) -> String {
    let all: Vec<String> = (0..steps).map(name).collect();
    let all = all.join(" ");
    let mut text = format!("all: {all}\n.PHONY: all {all}\n");
    put_rules(&mut text, graph, steps, "@true");
    text
}

/// A Makefile that remembers by stamp files.
pub fn stamp_makefile(graph: Graph, steps: usize) -> String {
    let all: Vec<String> = (0..steps).map(name).collect();
    let mut text = format!("all: {}\n.PHONY: all\n", all.join(" "));
    put_rules(&mut text, graph, steps, "@touch $@");
    text
}

/// The stamp files of some steps.
pub fn stamps(steps: Range<usize>) -> impl Iterator<Item = String> {
    steps.map(name)
}

fn put_rules(text: &mut String, graph: Graph, steps: usize, recipe: &str) {
    for step in 0..steps {
        let needs: Vec<String> = graph.needs(step).into_iter().map(name).collect();
        let _ = writeln!(text, "{}: {}\n\t{recipe}", name(step), needs.join(" "));
    }
}
