//! Where nodes stand in the text, found by failing on purpose.
//!
//! The parser tells a position only with an error. So this walks the same text once more, numbers keys and values
//! exactly as [`super::node`] did, and at each wanted scalar lets its visitor fail. The parser adds the position to
//! that error on its way up; the list or map around it catches the error, notes the position and carries on with the
//! next element. That is sound because the parser has already stepped over a scalar when the visitor is shown it
//! (a test in this file holds it to that). One pass finds any number of positions.
//!
//! A list or map has no position of its own: it stands where its key stands, or else its first scalar.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Finds the first byte of each wanted node. A node that cannot be found is left out.
pub fn locate(text: &str, wanted: &BTreeSet<u32>) -> HashMap<u32, usize> {
    if wanted.is_empty() {
        return HashMap::new();
    }
    let walk = Walk { wanted, next: Cell::new(0), found: RefCell::default(), waiting: RefCell::default() };
    let document = serde_yaml::Deserializer::from_str(text);
    if let Err(error) = (Value { walk: &walk, key: None }).deserialize(document) {
        // The root itself was wanted. A real mistake of the parser cannot be here: the text was parsed before.
        let _: Result<(), serde_yaml::Error> = caught(&walk, error);
    }
    bytes(text, walk.found.into_inner())
}

/// Lines and columns (both from 1, columns in characters) as byte offsets, in one pass over the text.
fn bytes(text: &str, found: HashMap<u32, (usize, usize)>) -> HashMap<u32, usize> {
    let mut places: Vec<(usize, usize, u32)> = found.into_iter().map(|(at, (line, column))| (line, column, at)).collect();
    places.sort_unstable();
    let mut result = HashMap::with_capacity(places.len());
    let (mut line, mut start) = (1, 0);
    for (wanted, column, at) in places {
        while line < wanted {
            let Some(length) = text.get(start..).and_then(|rest| rest.find('\n')) else { break };
            start += length + 1;
            line += 1;
        }
        let rest = text.get(start..).unwrap_or("");
        let within = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(byte, _)| byte);
        result.insert(at, start + within);
    }
    result
}

struct Walk<'w> {
    wanted: &'w BTreeSet<u32>,
    next: Cell<u32>,
    /// Line and column of each node found so far.
    found: RefCell<HashMap<u32, (usize, usize)>>,
    /// Wanted containers without a key, until their first scalar comes by.
    waiting: RefCell<Vec<u32>>,
}

impl Walk<'_> {
    fn number(&self) -> u32 {
        let at = self.next.get();
        self.next.set(at + 1);
        at
    }

    /// Whether a scalar with this number must fail. A key also fails in place of its value, which may be a container.
    fn fails(&self, at: u32, key: bool) -> bool {
        self.wanted.contains(&at) || !self.waiting.borrow().is_empty() || (key && self.wanted.contains(&(at + 1)))
    }

    fn note(&self, at: u32, place: (usize, usize)) {
        let mut found = self.found.borrow_mut();
        found.entry(at).or_insert(place);
        for waiting in self.waiting.borrow_mut().drain(..) {
            found.entry(waiting).or_insert(place);
        }
    }
}

/// Tells our own failures from the parser's. No text of a plan can hold it: control characters are refused before.
const MARK: &str = "\u{1}node:";

fn fail<E: serde::de::Error>(at: u32) -> E {
    E::custom(format_args!("{MARK}{at}"))
}

/// Notes the position of a failure of ours; passes on an error of the parser.
fn caught<E: serde::de::Error>(walk: &Walk<'_>, error: E) -> Result<(), E> {
    match position(&error.to_string()) {
        Some((at, place)) => {
            walk.note(at, place);
            Ok(())
        }
        None => Err(error),
    }
}

/// Reads `…\u{1}node:17 at line 3 column 5`. The very first position of a text is left out by the parser.
fn position(error: &str) -> Option<(u32, (usize, usize))> {
    let (_, ours) = error.rsplit_once(MARK)?;
    let Some((at, place)) = ours.split_once(" at line ") else { return Some((ours.parse().ok()?, (1, 1))) };
    let (line, column) = place.split_once(" column ")?;
    Some((at.parse().ok()?, (line.parse().ok()?, column.parse().ok()?)))
}

struct Value<'w> {
    walk: &'w Walk<'w>,
    /// The number of the key before it, in a map.
    key: Option<u32>,
}

impl<'t> DeserializeSeed<'t> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        let at = self.walk.number();
        deserializer.deserialize_any(Visit { walk: self.walk, at, key: self.key, is_key: false })
    }
}

struct KeyOf<'w> {
    walk: &'w Walk<'w>,
    at: u32,
}

impl<'t> DeserializeSeed<'t> for KeyOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(Visit { walk: self.walk, at: self.at, key: None, is_key: true })
    }
}

struct Visit<'w> {
    walk: &'w Walk<'w>,
    at: u32,
    key: Option<u32>,
    is_key: bool,
}

impl Visit<'_> {
    fn scalar<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.walk.fails(self.at, self.is_key) { Err(fail(self.at)) } else { Ok(()) }
    }

    /// A wanted container stands where its key stands, or waits for its first scalar.
    fn container(&self) {
        if !self.walk.wanted.contains(&self.at) {
            return;
        }
        let place = self.key.and_then(|key| self.walk.found.borrow().get(&key).copied());
        match place {
            Some(byte) => {
                self.walk.found.borrow_mut().insert(self.at, byte);
            }
            None => self.walk.waiting.borrow_mut().push(self.at),
        }
    }

    /// An empty container without a key has no scalar to stand on.
    fn leave(&self) {
        self.walk.waiting.borrow_mut().retain(|waiting| *waiting != self.at);
    }
}

impl<'t> Visitor<'t> for Visit<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut access: A) -> Result<(), A::Error> {
        if self.is_key {
            while access.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        self.container();
        loop {
            match access.next_element_seed(Value { walk: self.walk, key: None }) {
                Ok(None) => break,
                Ok(Some(())) => {}
                Err(error) => caught(self.walk, error)?,
            }
        }
        self.leave();
        Ok(())
    }

    fn visit_map<A: MapAccess<'t>>(self, mut access: A) -> Result<(), A::Error> {
        if self.is_key {
            while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        self.container();
        loop {
            let at = self.walk.next.get();
            match access.next_key_seed(KeyOf { walk: self.walk, at }) {
                Ok(None) => break,
                Ok(Some(())) => {}
                Err(error) => caught(self.walk, error)?,
            }
            self.walk.number();
            match access.next_value_seed(Value { walk: self.walk, key: Some(at) }) {
                Ok(()) => {}
                Err(error) => caught(self.walk, error)?,
            }
        }
        self.leave();
        Ok(())
    }

    fn visit_enum<A: serde::de::EnumAccess<'t>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom("a tag"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::node::{Kind, Node, parse};

    fn all(node: &Node<'_>, into: &mut BTreeSet<u32>) {
        into.insert(node.at);
        match &node.kind {
            Kind::List(items) => items.iter().for_each(|item| all(item, into)),
            Kind::Map(entries) => {
                for (key, value) in entries {
                    into.insert(key.at);
                    all(value, into);
                }
            }
            _ => {}
        }
    }

    fn at(text: &str, place: usize) -> (usize, usize, String) {
        let line = text[..place].matches('\n').count() + 1;
        let column = text[..place].rsplit('\n').next().map_or(0, |begin| begin.chars().count()) + 1;
        (line, column, text[place..].chars().take(4).collect())
    }

    #[test]
    fn every_node_is_found_in_one_pass_and_the_walk_goes_on_after_each_failure() {
        let text = "é: [1, {b: ~}, 'x', [ [deep] ], []]\nk:\n  - |\n    block\n  - \"q\\u00e9\"\n  -\n  - z: -1.5\nlast: true\n";
        let (node, _) = parse(text).unwrap();
        let mut wanted = BTreeSet::new();
        all(&node.unwrap(), &mut wanted);
        let found = locate(text, &wanted);
        let mut seen: Vec<_> = found.iter().map(|(node, byte)| (*node, at(text, *byte))).collect();
        seen.sort();
        let shown: Vec<String> =
            seen.iter().map(|(node, (line, column, text))| format!("{node} {line}:{column} {text:?}")).collect();
        assert_eq!(
            shown,
            [
                "0 1:1 \"é: [\"",
                "1 1:1 \"é: [\"",
                "2 1:1 \"é: [\"",
                "3 1:5 \"1, {\"",
                "4 1:9 \"b: ~\"",
                "5 1:9 \"b: ~\"",
                "6 1:12 \"~}, \"",
                "7 1:16 \"'x',\"",
                "8 1:24 \"deep\"",
                "9 1:24 \"deep\"",
                "10 1:24 \"deep\"",
                "12 2:1 \"k:\\n \"",
                "13 2:1 \"k:\\n \"",
                "14 3:5 \"|\\n  \"",
                "15 5:5 \"\\\"q\\\\u\"",
                "16 6:4 \"\\n  -\"",
                "17 7:5 \"z: -\"",
                "18 7:5 \"z: -\"",
                "19 7:8 \"-1.5\"",
                "20 8:1 \"last\"",
                "21 8:7 \"true\"",
            ]
        );
    }

    #[test]
    fn a_single_scalar_in_the_middle_is_found_as_well_as_all_of_them() {
        let text = "a: 1\nb: [x, y]\nc: 3\n";
        assert_eq!(locate(text, &BTreeSet::from([5])), HashMap::from([(5, 9)]));
        assert_eq!(locate("x\n", &BTreeSet::from([0])), HashMap::from([(0, 0)]));
    }
}
