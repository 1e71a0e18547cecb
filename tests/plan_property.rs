//! Whatever the text, loading ends without a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where something is not as it must be")]
#![allow(clippy::format_collect, clippy::format_push_string, reason = "the texts of tests are built once")]

mod plan_support;

use plan_support::{fixtures, load_text};
use proptest::prelude::*;

fn texts() -> Vec<String> {
    fixtures("good").into_iter().chain(fixtures("bad")).map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Pieces that have a meaning to the language or to YAML.
const PIECES: [&str; 40] = [
    "${{",
    "}}",
    "$${{",
    "steps.",
    "params.",
    "outputs",
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\"",
    "'",
    "|",
    ">",
    "&a ",
    "*a ",
    "!x ",
    "---\n",
    "...\n",
    "#",
    "\t",
    "yes",
    "<<",
    "~",
    "1e999",
    "0x",
    "\u{202e}",
    "é",
    "\u{0}",
    "? ",
    "%",
    "steps:\n",
    "  - id: a\n",
    "uses: command",
    "with:",
    "\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s47_arbitrary_texts_do_not_panic(text in "\\PC{0,200}") {
        if let Err(report) = load_text(&text, &[]) {
            let _ = report.render(true);
            let _ = report.to_json();
        }
    }

    #[test]
    fn texts_made_of_meaningful_pieces_do_not_panic(pieces in prop::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.into_iter().map(|at| PIECES[at]).collect();
        if let Err(report) = load_text(&text, &[]) {
            let _ = report.render(false);
        }
    }

    #[test]
    fn s46_s47_mutated_plans_do_not_panic(
        which in 0usize..1000,
        changes in prop::collection::vec((0usize..100_000, 0..PIECES.len(), 0usize..12), 1..8),
    ) {
        let texts = texts();
        let mut text: Vec<char> = texts[which % texts.len()].chars().collect();
        for (at, piece, remove) in changes {
            let at = at % (text.len() + 1);
            let end = (at + remove).min(text.len());
            text.splice(at..end, PIECES[piece].chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(report) = load_text(&text, &[]) {
            let _ = report.render(false);
        }
    }
}
