//! Mistakes: where, what was found, what to do. Rendered with the line and a caret.
//!
//! While a plan is checked, a [`Mistakes`] collects them by node. At the end they are put into file order, the first
//! hundred are located, and what remains is a [`Report`]: plain data, safe to print and to store.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Write as _;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::source::Library;
use crate::foreign::{self, hidden};

/// How many findings are located and shown; the rest is counted.
const SHOWN: usize = 100;

/// How many are kept for sorting; beyond that they are only counted.
const KEPT: usize = 100_000;

/// A longer line is not shown: no terminal has room for it.
const LONGEST_LINE: usize = 400;

/// Whether a finding stops the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The plan cannot be used.
    Error,
    /// The plan can be used; somebody should look at this.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file as it was named, or the part of the command line.
    pub file: String,
    /// Line and column, from 1, columns in characters. `None` if it concerns the file as a whole.
    pub place: Option<(usize, usize)>,
    /// Whether it stops the plan.
    pub severity: Severity,
    /// What was found: lower case, no final stop.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The line and the columns to underline. `None` if the line may hold a secret.
    excerpt: Option<Excerpt>,
    /// A second place that explains the first: its label, line and excerpt.
    related: Option<(String, usize, Option<Excerpt>)>,
}

/// A line of source; the stretch is in bytes of this text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    line: String,
    start: usize,
    end: usize,
}

/// All findings about a plan, in file order.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The first hundred.
    pub findings: Vec<Finding>,
    /// How many errors there are in all.
    pub errors: usize,
    /// How many warnings there are in all.
    pub warnings: usize,
}

impl Report {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors == 0 && self.warnings == 0
    }

    /// As text for people; colours only if asked.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&finding.render(&renderer));
            text.push_str("\n\n");
        }
        let more = (self.errors + self.warnings).saturating_sub(self.findings.len());
        if more > 0 {
            let _ = writeln!(text, "… and {more} more\n");
        }
        text.push_str(&self.summary());
        text
    }

    /// One line: how many of which.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |number: usize, word: &str| match number {
            0 => None,
            1 => Some(format!("1 {word}")),
            _ => Some(format!("{number} {word}s")),
        };
        let parts: Vec<String> = [count(self.errors, "error"), count(self.warnings, "warning")].into_iter().flatten().collect();
        if parts.is_empty() { "no mistakes".to_owned() } else { parts.join(", ") }
    }

    /// For machines: an array of objects with file, line, column, severity, message, hint.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let one = |finding: &Finding| {
            json!({
                "file": finding.file,
                "line": finding.place.map(|place| place.0),
                "column": finding.place.map(|place| place.1),
                "severity": if finding.severity == Severity::Error { "error" } else { "warning" },
                "message": finding.message,
                "hint": finding.hint,
            })
        };
        Value::Array(self.findings.iter().map(one).collect())
    }
}

impl Finding {
    fn render(&self, renderer: &Renderer) -> String {
        let level = if self.severity == Severity::Error { Level::ERROR } else { Level::WARNING };
        let title = level.primary_title(self.message.as_str());
        let (line, column) = self.place.unwrap_or((0, 0));
        let mut group = match &self.excerpt {
            Some(excerpt) => title.element(
                Snippet::source(excerpt.line.as_str())
                    .line_start(line)
                    .path(self.file.as_str())
                    .annotation(AnnotationKind::Primary.span(excerpt.start..excerpt.end)),
            ),
            None if self.place.is_some() => title.element(Origin::path(self.file.as_str()).line(line).char_column(column)),
            None => title.element(Origin::path(self.file.as_str())),
        };
        if let Some((label, line, excerpt)) = &self.related {
            group = match excerpt {
                Some(excerpt) => group.element(
                    Snippet::source(excerpt.line.as_str())
                        .line_start(*line)
                        .path(self.file.as_str())
                        .annotation(AnnotationKind::Context.span(excerpt.start..excerpt.end).label(label.as_str())),
                ),
                None => group.element(Level::NOTE.message(format!("{label} in line {line}"))),
            };
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        renderer.render(&[group])
    }
}

/// At most sixty characters of a text, for a message.
#[must_use]
pub fn short(text: &str) -> String {
    let mut characters = text.char_indices();
    match characters.nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Of all known names, the one most likely meant.
pub fn nearest<'n>(word: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > 80 {
        return None;
    }
    let most = 1 + word.chars().count() / 4;
    known
        .into_iter()
        .filter(|name| name.len().abs_diff(word.len()) <= most)
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// "did you mean `x`?", if some known name is near.
pub fn did_you_mean<'n>(word: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    nearest(word, known).map_or_else(String::new, |name| format!("did you mean `{name}`?"))
}

/// A place in one of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The text's number in the library.
    pub file: u16,
    /// Where in it.
    pub spot: Spot,
}

/// A place within a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// The text as a whole.
    Whole,
    /// These bytes.
    Bytes(usize, usize),
    /// The node with this number.
    Node(u32),
    /// The node with this number, which may be a secret or stand beside one.
    Secret(u32),
}

/// A finding that is not located yet.
#[derive(Debug)]
struct Mistake {
    place: Place,
    severity: Severity,
    message: String,
    hint: String,
    related: Option<(Place, &'static str)>,
}

/// Collects findings while a plan is checked.
#[derive(Debug, Default)]
pub struct Mistakes {
    list: RefCell<Vec<Mistake>>,
    errors: Cell<usize>,
    warnings: Cell<usize>,
    /// How much was spent on finding similar names.
    spent: Cell<usize>,
}

/// How much may be spent on finding similar names, in pairs of letters: well under a second. A hundred thousand wrong
/// names beside a hundred thousand right ones would take an hour otherwise.
const MOST_SPENT: usize = 100_000_000;

impl Mistakes {
    /// Whether there is still time for hints that need a search.
    pub fn patient(&self) -> bool {
        self.spent.get() < MOST_SPENT
    }

    /// "did you mean `x`?", if some known name is near; nothing once too much was spent on it.
    pub fn did_you_mean<'n>(&self, word: &str, known: impl IntoIterator<Item = &'n str>) -> String {
        let spent = &self.spent;
        let known = known.into_iter().inspect(|name| spent.set(spent.get() + 64 + word.len() * name.len()));
        if self.patient() { did_you_mean(word, known) } else { String::new() }
    }

    /// Adds an error. An empty hint is none.
    pub fn error(&self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Mistake { place, severity: Severity::Error, message: message.into(), hint: hint.into(), related: None });
    }

    /// Adds an error that a second place explains.
    pub fn error_with(&self, place: Place, message: impl Into<String>, hint: impl Into<String>, related: (Place, &'static str)) {
        let related = Some(related);
        self.add(Mistake { place, severity: Severity::Error, message: message.into(), hint: hint.into(), related });
    }

    /// Adds a warning.
    pub fn warn(&self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Mistake { place, severity: Severity::Warning, message: message.into(), hint: hint.into(), related: None });
    }

    /// Counts errors that are known without a text of their own.
    pub fn count_errors(&self, more: usize) {
        self.errors.set(self.errors.get() + more);
    }

    /// How many errors there are so far.
    pub fn errors(&self) -> usize {
        self.errors.get()
    }

    fn add(&self, mistake: Mistake) {
        let counter = if mistake.severity == Severity::Error { &self.errors } else { &self.warnings };
        counter.set(counter.get() + 1);
        let mut list = self.list.borrow_mut();
        if list.len() < KEPT {
            list.push(mistake);
        }
    }

    /// Puts everything into file order and locates the first hundred.
    pub fn report(self, library: &Library) -> Report {
        let (mut errors, mut warnings) = (self.errors.get(), self.warnings.get());
        let mut list = self.list.into_inner();
        // By file; within a file by node (bytes come from the guard, before any node exists).
        list.sort_by_key(|mistake| {
            let spot = match mistake.place.spot {
                Spot::Whole => (0, 0),
                Spot::Bytes(start, _) => (1, start),
                Spot::Node(node) | Spot::Secret(node) => (2, node as usize),
            };
            (mistake.place.file, spot)
        });
        list.dedup_by(|later, first| {
            let same = later.place == first.place && later.message == first.message;
            if same {
                *(if later.severity == Severity::Error { &mut errors } else { &mut warnings }) -= 1;
            }
            same
        });
        let bytes = positions(library, &list[..list.len().min(SHOWN * 2)]);
        let start = |place: Place| match place.spot {
            Spot::Whole => None,
            Spot::Bytes(start, _) => Some(start),
            Spot::Node(node) | Spot::Secret(node) => bytes[usize::from(place.file)].get(&node).copied(),
        };
        // What the guard said of a word needs not be said again of the value that it became.
        let guarded: BTreeSet<(u16, usize)> = list
            .iter()
            .filter_map(|mistake| match mistake.place.spot {
                Spot::Bytes(start, _) => Some((mistake.place.file, start)),
                _ => None,
            })
            .collect();
        let mut findings: Vec<(u16, Option<usize>, Finding)> = Vec::new();
        for mistake in list.into_iter().take(SHOWN * 2) {
            let at = start(mistake.place);
            if matches!(mistake.place.spot, Spot::Node(_))
                && at.is_some_and(|at| guarded.contains(&(mistake.place.file, at)))
                && !mistake.message.starts_with("unknown key")
            {
                *(if mistake.severity == Severity::Error { &mut errors } else { &mut warnings }) -= 1;
                continue;
            }
            let related = mistake.related.and_then(|(place, label)| start(place).map(|at| (place, label, at)));
            findings.push((mistake.place.file, at, finding(library, &mistake, at, related)));
        }
        findings.sort_by_key(|(file, at, _)| (*file, *at));
        findings.truncate(SHOWN);
        Report { findings: findings.into_iter().map(|(.., finding)| finding).collect(), errors, warnings }
    }
}

/// The bytes of all nodes that the mistakes speak of, one map per file.
fn positions(library: &Library, list: &[Mistake]) -> Vec<std::collections::HashMap<u32, usize>> {
    let mut wanted = vec![BTreeSet::new(); library.len()];
    for mistake in list {
        for place in std::iter::once(mistake.place).chain(mistake.related.map(|(place, _)| place)) {
            if let Spot::Node(node) | Spot::Secret(node) = place.spot {
                wanted[usize::from(place.file)].insert(node);
            }
        }
    }
    let files = 0u16..;
    files.zip(wanted).map(|(file, wanted)| super::locate::locate(&library.get(file).text, &wanted)).collect()
}

fn finding(library: &Library, mistake: &Mistake, at: Option<usize>, related: Option<(Place, &str, usize)>) -> Finding {
    let source = library.get(mistake.place.file);
    let place = at.map(|at| line_and_column(&source.text, at));
    let end = if let Spot::Bytes(_, end) = mistake.place.spot { Some(end) } else { None };
    let secret = matches!(mistake.place.spot, Spot::Secret(_));
    Finding {
        file: foreign::line(&source.path.display().to_string()).into_owned(),
        place,
        severity: mistake.severity,
        message: foreign::line(&mistake.message).into_owned(),
        hint: (!mistake.hint.is_empty()).then(|| foreign::line(&mistake.hint).into_owned()),
        excerpt: at.filter(|_| !secret).and_then(|at| excerpt(&source.text, at, end)),
        related: related.map(|(place, label, at)| {
            let text = &library.get(place.file).text;
            let secret = matches!(place.spot, Spot::Secret(_));
            let excerpt = if secret { None } else { excerpt(text, at, None) };
            (label.to_owned(), line_and_column(text, at).0, excerpt)
        }),
    }
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    #[expect(clippy::naive_bytecount, reason = "a hundred findings at most ask for it")]
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    (line, text.get(start..at).map_or(0, |begin| begin.chars().count()) + 1)
}

/// The line around `at`, unless it looks as if it held a secret or is longer than anybody reads.
fn excerpt(text: &str, at: usize, end: Option<usize>) -> Option<Excerpt> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |at| at + 1);
    let stop = text[at..].find('\n').map_or(text.len(), |more| at + more);
    let line = text[start..stop].trim_end_matches('\r');
    if line.len() > LONGEST_LINE || holds_secret(line) {
        return None;
    }
    let end = end.unwrap_or_else(|| at + token(line.get(at - start..).unwrap_or(""))).clamp(at, start + line.len());
    // Deceptive characters become one visible character each, so that columns stay true.
    let clean = |part: &str| -> String {
        part.chars()
            .map(|character| match character {
                '\t' => ' ',
                other if hidden(other).is_some() => '\u{fffd}',
                other => other,
            })
            .collect()
    };
    let (before, marked, after) = (clean(&text[start..at]), clean(text.get(at..end)?), clean(text.get(end..start + line.len())?));
    let marked_end = before.len() + marked.len();
    let begin = before.len();
    Some(Excerpt { line: format!("{before}{marked}{after}"), start: begin, end: marked_end.max(begin) })
}

/// How many bytes the scalar at the beginning of `rest` takes.
fn token(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    match bytes.first() {
        None => 0,
        Some(b'"') => rest[1..].find('"').map_or(rest.len(), |at| at + 2),
        Some(b'\'') => rest[1..].find('\'').map_or(rest.len(), |at| at + 2),
        Some(b'[' | b'{' | b'|' | b'>') => 1,
        Some(_) => {
            let end = (0..bytes.len()).find(|at| match bytes[*at] {
                b',' | b']' | b'}' => true,
                b':' => bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace),
                b'#' => *at > 0 && bytes[at - 1] == b' ',
                _ => false,
            });
            rest[..end.unwrap_or(rest.len())].trim_end().len().max(1)
        }
    }
}

/// Whether a line of source gives a value to a key that names a secret. A reference (`{ env: X }`) is no value.
fn holds_secret(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    super::SECRET_WORDS.iter().any(|word| {
        lower.match_indices(word).any(|(at, _)| {
            let rest = &lower[at + word.len()..];
            let Some(colon) = rest.find([':', '=']) else { return false };
            let key_goes_on = rest[..colon].chars().all(|c| c.is_ascii_alphanumeric() || "_-\"' ".contains(c));
            let value = rest[colon + 1..].trim_start();
            key_goes_on
                && !value.is_empty()
                && !["{ env", "{env", "{ file", "{file", "{ command", "{command", "{ prompt", "{prompt", "{ $", "${{"]
                    .iter()
                    .any(|reference| value.starts_with(reference))
        })
    })
}
