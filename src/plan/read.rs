//! Taking typed values out of nodes, with a message for everything that does not fit.

use super::diagnostic::{Mistakes, Place, Spot, did_you_mean, short};
use super::keys::{self, KeySpec};
use super::node::{Kind, Node};
use crate::time::Span;

/// The most keys that a table has: those of a step.
const MOST_KEYS: usize = keys::STEP.len();

/// The values of a map by key of its table.
pub struct Fields<'n, 't> {
    slots: [Option<&'n (super::node::Key<'t>, Node<'t>)>; MOST_KEYS],
}

impl<'n, 't> Fields<'n, 't> {
    /// The value of a key.
    pub fn get(&self, key: impl Into<usize>) -> Option<&'n Node<'t>> {
        self.slots[key.into()].map(|(_, value)| value)
    }

    /// The number of the key itself.
    pub fn key_at(&self, key: impl Into<usize>) -> Option<u32> {
        self.slots[key.into()].map(|(key, _)| key.at)
    }
}

/// Reads one file's nodes.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Where mistakes go.
    pub mistakes: &'a Mistakes,
    /// The file.
    pub file: u16,
}

impl Reader<'_> {
    /// The place of a node in this file.
    pub fn at(&self, node: u32) -> Place {
        Place { file: self.file, spot: Spot::Node(node) }
    }

    /// An error at a node.
    pub fn error(&self, node: &Node<'_>, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.error(self.at(node.at), message, hint);
    }

    /// A warning at a node.
    pub fn warn(&self, node: &Node<'_>, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.warn(self.at(node.at), message, hint);
    }

    /// A map by its table. Unknown and missing keys are mistakes; `what` names the map in messages.
    pub fn fields<'n, 't>(&self, node: &'n Node<'t>, table: &'static [KeySpec], what: &str) -> Option<Fields<'n, 't>> {
        let Kind::Map(entries) = &node.kind else {
            let names: Vec<&str> = table.iter().take(3).map(|key| key.name).collect();
            self.error(
                node,
                format!("{what} must be a map, found {}", node.what()),
                format!("its keys are `{}` …", names.join("`, `")),
            );
            return None;
        };
        let mut slots = [None; MOST_KEYS];
        for entry in entries {
            match table.iter().position(|key| key.name == entry.0.name) {
                Some(at) => slots[at] = Some(entry),
                None => self.unknown_key(entry.0.at, &entry.0.name, table, what),
            }
        }
        for (key, slot) in table.iter().zip(&slots) {
            if key.required && slot.is_none() {
                self.error(node, format!("{what} needs the key `{}`", key.name), as_hint(key.doc));
            }
        }
        Some(Fields { slots })
    }

    fn unknown_key(&self, at: u32, name: &str, table: &'static [KeySpec], what: &str) {
        let name = short(name);
        match keys::foreign(table, &name) {
            Some(("nothing", hint)) => self.mistakes.error(self.at(at), format!("`{name}` is not needed here"), hint),
            Some((ours, hint)) => {
                self.mistakes.error(self.at(at), format!("`{name}` is written `{ours}` here"), hint);
            }
            None => {
                let mut hint = did_you_mean(&name, table.iter().map(|key| key.name));
                if hint.is_empty() {
                    let names: Vec<&str> = table.iter().map(|key| key.name).collect();
                    hint = format!("known keys: {}", names.join(", "));
                }
                self.mistakes.error(self.at(at), format!("unknown key `{name}` in {what}"), hint);
            }
        }
    }

    fn wrong(&self, node: &Node<'_>, what: &str, wanted: &str, hint: &str) {
        let hint = match (&node.kind, wanted) {
            (Kind::Bool(_) | Kind::Count(_) | Kind::Negative(_) | Kind::Float(_), "a text") => {
                "put it in quotes, so that it stays as it is written"
            }
            _ => hint,
        };
        self.error(node, format!("`{what}` must be {wanted}, found {}", node.what()), hint);
    }

    /// A text.
    pub fn text<'n>(&self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        let text = node.text();
        if text.is_none() {
            self.wrong(node, what, "a text", "");
        }
        text
    }

    /// A text that is not blank.
    pub fn some_text<'n>(&self, node: &'n Node<'_>, what: &str) -> Option<&'n str> {
        let text = self.text(node, what)?;
        if text.trim().is_empty() {
            self.error(node, format!("`{what}` is empty"), "");
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub fn bool(&self, node: &Node<'_>, what: &str) -> Option<bool> {
        if let Kind::Bool(value) = node.kind {
            return Some(value);
        }
        self.wrong(node, what, "`true` or `false`", "");
        None
    }

    /// A whole number from 1 to `most`.
    pub fn count(&self, node: &Node<'_>, what: &str, most: u32) -> Option<u32> {
        match node.kind {
            Kind::Count(value) if value >= 1 && value <= u64::from(most) => u32::try_from(value).ok(),
            Kind::Count(_) | Kind::Negative(_) => {
                self.error(node, format!("`{what}` must be from 1 to {most}, found {}", node.what()), "");
                None
            }
            _ => {
                self.wrong(node, what, "a whole number", "");
                None
            }
        }
    }

    /// A length of time; never a bare number.
    pub fn span(&self, node: &Node<'_>, what: &str) -> Option<Span> {
        match &node.kind {
            Kind::Count(number) => {
                let hint = format!("write the unit: `{number}s` for seconds, `{number}m` for minutes");
                self.error(node, format!("`{what}` must be a length of time, found {}", node.what()), hint);
                None
            }
            Kind::Text(text) => match text.parse() {
                Ok(span) => Some(span),
                Err(error) => {
                    self.error(node, format!("`{what}`: {}", error.message), error.hint);
                    None
                }
            },
            _ => {
                self.wrong(node, what, "a length of time", "write for example `30s`, `5m` or `1h30m`");
                None
            }
        }
    }

    /// A length of time that is not zero.
    pub fn some_span(&self, node: &Node<'_>, what: &str) -> Option<Span> {
        let span = self.span(node, what)?;
        if span == Span::ZERO {
            self.error(node, format!("`{what}` must be longer than nothing"), "");
            return None;
        }
        Some(span)
    }

    /// A list.
    pub fn list<'n, 't>(&self, node: &'n Node<'t>, what: &str) -> Option<&'n [Node<'t>]> {
        if let Kind::List(items) = &node.kind {
            return Some(items);
        }
        let hint = node.text().map_or(String::new(), |text| format!("write it as a list: `[{}]`", short(text)));
        self.wrong(node, what, "a list", &hint);
        None
    }

    /// A list of texts, each with its node.
    pub fn texts<'n, 't>(&self, node: &'n Node<'t>, what: &str) -> Vec<(&'n str, &'n Node<'t>)> {
        let items = self.list(node, what).unwrap_or_default();
        items.iter().filter_map(|item| Some((self.text(item, what)?, item))).collect()
    }

    /// One of a few words.
    pub fn word<'n>(&self, node: &'n Node<'_>, what: &str, words: &[&str]) -> Option<&'n str> {
        let text = self.text(node, what)?;
        if words.contains(&text) {
            return Some(text);
        }
        let mut hint = did_you_mean(text, words.iter().copied());
        if hint.is_empty() {
            hint = format!("it is one of {}", words.join(", "));
        }
        self.error(node, format!("`{what}` cannot be `{}`", short(text)), hint);
        None
    }

    /// The version of a format.
    pub fn version(&self, node: &Node<'_>, what: &str) {
        if node.kind != Kind::Count(1) {
            self.error(node, format!("`{what}` must be 1, found {}", node.what()), "this relevo reads version 1 of the format");
        }
    }

    /// An error for a name that nobody declared.
    pub fn unknown<'k>(&self, node: &Node<'_>, kind: &str, name: &str, known: impl IntoIterator<Item = &'k str> + Clone) {
        let mut hint = self.mistakes.did_you_mean(name, known.clone());
        if hint.is_empty() && self.mistakes.patient() {
            let mut names: Vec<&str> = known.into_iter().collect();
            names.sort_unstable();
            if names.len() > 8 {
                names.truncate(8);
                names.push("…");
            }
            hint = if names.is_empty() { format!("no {kind} is declared") } else { format!("known: {}", names.join(", ")) };
        }
        self.error(node, format!("unknown {kind} `{}`", short(name)), hint);
    }
}

/// A sentence of the documentation as a hint: lower case, no final stop.
pub fn as_hint(doc: &str) -> String {
    let doc = doc.trim_end_matches('.');
    let mut characters = doc.chars();
    match (characters.next(), characters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain(std::iter::once(second)).chain(characters).collect()
        }
        _ => doc.to_owned(),
    }
}

/// Whether a name may stand in an expression: letters, digits, `_` and `-`, beginning with a letter.
pub fn is_word(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Whether a text is a step's id.
pub fn is_id(id: &str) -> bool {
    id.len() <= 64
        && id.starts_with(|first: char| first.is_ascii_lowercase())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-')
}
