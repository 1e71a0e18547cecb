//! The parsed text: an ordered tree in which every key and value has a number, counted in document order.
//!
//! The numbers stand for positions. The parser gives a position only together with an error, so positions are looked
//! up afterwards, for those few nodes that a message is about; see [`super::locate`].

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub struct Node<'t> {
    /// Its number.
    pub at: u32,
    /// What it is.
    pub kind: Kind<'t>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind<'t> {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that is not negative.
    Count(u64),
    /// A negative whole number.
    Negative(i64),
    /// Any other number. Finite.
    Float(f64),
    /// A text.
    Text(Cow<'t, str>),
    /// A list.
    List(Vec<Node<'t>>),
    /// A map, in written order, every key once.
    Map(Vec<(Key<'t>, Node<'t>)>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Key<'t> {
    /// Its number; its value has the next one.
    pub at: u32,
    /// The key.
    pub name: Cow<'t, str>,
}

impl<'t> Node<'t> {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The entries, if it is a map.
    pub fn map(&self) -> Option<&[(Key<'t>, Node<'t>)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under a key, if it is a map that has it.
    pub fn get(&self, name: &str) -> Option<&Node<'t>> {
        self.map()?.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }

    /// What it is, for a message.
    pub fn what(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(value) => format!("the boolean `{value}`"),
            Kind::Count(value) => format!("the number `{value}`"),
            Kind::Negative(value) => format!("the number `{value}`"),
            Kind::Float(value) => format!("the number `{value}`"),
            Kind::Text(_) => "a text".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }
}

/// A mistake that parsing itself finds.
#[derive(Debug)]
pub struct Oddity {
    /// The node.
    pub at: u32,
    /// For a duplicate key: the first one.
    pub first: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

/// A text that is no YAML, or no YAML for us.
#[derive(Debug)]
pub struct Broken {
    /// The byte at which it was noticed.
    pub start: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Parses one document. `Ok(None)` is an empty one.
pub fn parse(text: &str) -> Result<(Option<Node<'_>>, Vec<Oddity>), Broken> {
    let build = Build {
        next: Cell::new(0),
        // An alias would make a node out of nothing; everything else takes a byte at least.
        most: text.len().saturating_mul(2) + 64,
        odd: RefCell::default(),
        entries: RefCell::default(),
        items: RefCell::default(),
    };
    match (&build).deserialize(serde_yaml::Deserializer::from_str(text)) {
        Ok(node) => {
            let empty = node.kind == Kind::Null;
            Ok(((!empty).then_some(node), build.odd.into_inner()))
        }
        Err(error) => Err(broken(text, &error)),
    }
}

/// The parser's message in our words.
fn broken(text: &str, error: &serde_yaml::Error) -> Broken {
    let start = error.location().map_or(0, |location| location.index()).min(text.len());
    let raw = error.to_string();
    let core = raw.split(" at line ").next().unwrap_or(&raw);
    let known: [(&str, &str, &str); 10] = [
        ("mapping values are not allowed", "a `:` does not belong here", "put the text in quotes, or check the indentation"),
        ("did not find expected key", "a key should begin here", "check the indentation of this line and the lines before it"),
        (
            "did not find expected '-'",
            "an item of the list should begin here",
            "check the indentation, and that the line begins with `- `",
        ),
        ("did not find expected ',' or ']'", "a `,` or `]` is missing", "close the list, or put the text in quotes"),
        ("did not find expected ',' or '}'", "a `,` or `}` is missing", "close the map, or put the text in quotes"),
        ("could not find expected ':'", "a `:` is missing after this key", "write `key: value`, or check the indentation"),
        ("found character that cannot start any token", "this character cannot begin a value", "put the text in quotes"),
        ("found unexpected end of stream", "the file ends inside a quoted text", "close the quotes"),
        ("found unknown escape character", "an unknown escape in a text in double quotes", "use single quotes: `'C:\\new'`"),
        ("block sequence entries are not allowed", "a list item does not belong here", "begin the list on a line of its own"),
    ];
    match known.iter().find(|(begin, ..)| core.contains(begin)) {
        Some((_, message, hint)) => Broken { start, message: (*message).to_owned(), hint: (*hint).to_owned() },
        None => Broken { start, message: format!("this is not YAML: {core}"), hint: String::new() },
    }
}

/// Builds nodes and counts them. Entries and items wait on shared stacks, so that each map and list is allocated
/// once and with exactly the size it needs.
struct Build<'t> {
    next: Cell<u32>,
    most: usize,
    odd: RefCell<Vec<Oddity>>,
    entries: RefCell<Vec<(Key<'t>, Node<'t>)>>,
    items: RefCell<Vec<Node<'t>>>,
}

impl Build<'_> {
    fn number<E: serde::de::Error>(&self) -> Result<u32, E> {
        let at = self.next.get();
        if at as usize > self.most || at == u32::MAX {
            return Err(E::custom("an alias"));
        }
        self.next.set(at + 1);
        Ok(at)
    }

    fn odd(&self, at: u32, first: Option<u32>, message: impl Into<String>, hint: &'static str) {
        self.odd.borrow_mut().push(Oddity { at, first, message: message.into(), hint });
    }
}

impl<'t> DeserializeSeed<'t> for &Build<'t> {
    type Value = Node<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Node<'t>, D::Error> {
        let at = self.number()?;
        let kind = deserializer.deserialize_any(ValueVisitor { build: self, at })?;
        Ok(Node { at, kind })
    }
}

struct ValueVisitor<'b, 't> {
    build: &'b Build<'t>,
    at: u32,
}

impl<'t> Visitor<'t> for ValueVisitor<'_, 't> {
    type Value = Kind<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Kind<'t>, E> {
        Ok(Kind::Null)
    }

    /// What the parser says of a text without any document.
    fn visit_none<E>(self) -> Result<Kind<'t>, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind<'t>, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind<'t>, E> {
        Ok(Kind::Count(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind<'t>, E> {
        Ok(u64::try_from(value).map_or(Kind::Negative(value), Kind::Count))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Kind<'t>, E> {
        self.build.odd(self.at, None, "this number is too large", "put it in quotes if it is meant as a text");
        Ok(Kind::Count(u64::MAX))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Kind<'t>, E> {
        self.build.odd(self.at, None, "this number is too large", "put it in quotes if it is meant as a text");
        Ok(Kind::Negative(i64::MIN))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind<'t>, E> {
        if !value.is_finite() {
            self.build.odd(self.at, None, "this is not a finite number", "put it in quotes if it is meant as a text");
            return Ok(Kind::Count(0));
        }
        Ok(Kind::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'t str) -> Result<Kind<'t>, E> {
        Ok(Kind::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind<'t>, E> {
        Ok(Kind::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut access: A) -> Result<Kind<'t>, A::Error> {
        let build = self.build;
        let bottom = build.items.borrow().len();
        while let Some(item) = access.next_element_seed(build)? {
            build.items.borrow_mut().push(item);
        }
        let mut items = build.items.borrow_mut();
        Ok(Kind::List(items.drain(bottom..).collect()))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut access: A) -> Result<Kind<'t>, A::Error> {
        let build = self.build;
        let bottom = build.entries.borrow().len();
        // Few keys are compared one by one; many go through a set.
        let mut seen: Option<std::collections::HashMap<String, u32>> = None;
        while let Some(key) = access.next_key_seed(KeySeed { build })? {
            let value = access.next_value_seed(build)?;
            let mut entries = build.entries.borrow_mut();
            let own = &entries[bottom..];
            let first = if let Some(seen) = &mut seen {
                let first = seen.get(key.name.as_ref()).copied();
                if first.is_none() {
                    seen.insert(key.name.clone().into_owned(), key.at);
                }
                first
            } else {
                let first = own.iter().find(|(other, _)| other.name == key.name).map(|(other, _)| other.at);
                if own.len() == 32 {
                    let mut set: std::collections::HashMap<String, u32> =
                        own.iter().map(|(other, _)| (other.name.clone().into_owned(), other.at)).collect();
                    set.entry(key.name.clone().into_owned()).or_insert(key.at);
                    seen = Some(set);
                }
                first
            };
            if let Some(first) = first {
                let message = format!("the key `{}` is given twice", key.name);
                build.odd(key.at, Some(first), message, "keep one of the two");
            } else {
                entries.push((key, value));
            }
        }
        let mut entries = build.entries.borrow_mut();
        Ok(Kind::Map(entries.drain(bottom..).collect()))
    }

    fn visit_enum<A: serde::de::EnumAccess<'t>>(self, _: A) -> Result<Kind<'t>, A::Error> {
        Err(A::Error::custom("a tag (`!`) does not belong in a plan"))
    }
}

struct KeySeed<'b, 't> {
    build: &'b Build<'t>,
}

impl<'t> DeserializeSeed<'t> for KeySeed<'_, 't> {
    type Value = Key<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Key<'t>, D::Error> {
        let at = self.build.number()?;
        let name = deserializer.deserialize_any(KeyVisitor { build: self.build, at })?;
        Ok(Key { at, name })
    }
}

struct KeyVisitor<'b, 't> {
    build: &'b Build<'t>,
    at: u32,
}

impl<'t> KeyVisitor<'_, 't> {
    fn not_text(self, shown: String) -> Cow<'t, str> {
        self.build.odd(self.at, None, format!("a key must be a text, and `{shown}` is none"), "put it in quotes");
        Cow::Owned(shown)
    }
}

impl<'t> Visitor<'t> for KeyVisitor<'_, 't> {
    type Value = Cow<'t, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'t str) -> Result<Cow<'t, str>, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cow<'t, str>, E> {
        Ok(Cow::Owned(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Cow<'t, str>, E> {
        Ok(self.not_text("null".to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cow<'t, str>, E> {
        Ok(self.not_text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cow<'t, str>, E> {
        Ok(self.not_text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cow<'t, str>, E> {
        Ok(self.not_text(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Cow<'t, str>, E> {
        Ok(self.not_text(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Cow<'t, str>, E> {
        Ok(self.not_text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cow<'t, str>, E> {
        Ok(self.not_text(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut access: A) -> Result<Cow<'t, str>, A::Error> {
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.not_text("[…]".to_owned()))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut access: A) -> Result<Cow<'t, str>, A::Error> {
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.not_text("{…}".to_owned()))
    }
}
