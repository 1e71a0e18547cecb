//! From XML to values.
//!
//! - The text is parsed by `roxmltree`, which refuses document types, and so entities.
//! - References share the object that came before. What they repeat counts again towards the limits of depth, size
//!   and number: whoever walks the value pays at most what the limits say, however cunningly it was put together.
//! - A reference to an object that is still open is a cycle and refused.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use roxmltree::{Document, Node, ParsingOptions};

use super::error::{ClixmlError, cut};
use super::escape::unescape;
use super::{Content, Object, Property, Value, kinds};

/// What one text may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of XML, and again bytes of the values with all references written out.
    pub bytes: usize,
    /// Levels of values within values.
    pub depth: usize,
    /// Nodes of XML, and again values with all references written out.
    pub nodes: u32,
}

impl Default for Limits {
    /// 256 MiB, 64 levels, two million nodes.
    fn default() -> Self {
        Limits { bytes: 256 << 20, depth: super::DEEPEST, nodes: 2_000_000 }
    }
}

/// The value that a text holds.
///
/// # Errors
/// The text is no CLIXML, or exceeds a limit.
pub fn read(text: &str, limits: Limits) -> Result<Value, ClixmlError> {
    if text.len() > limits.bytes {
        return Err(ClixmlError::TooLarge { limit: limits.bytes });
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: limits.nodes, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => ClixmlError::TooMany { limit: limits.nodes },
        other => ClixmlError::Xml(cut(&other.to_string())),
    })?;
    let mut reader =
        Reader { limits, spent: Cost::default(), objects: HashMap::new(), open: HashSet::new(), type_names: HashMap::new() };
    let root = document.root_element();
    if root.tag_name().name() == "Objs" {
        // The form of files and of standard streams: a root around the values.
        let mut values = elements(root);
        return match (values.next(), values.next()) {
            (Some(only), None) => reader.value(only, 1).map(|(value, _)| value),
            (None, _) => Ok(Value::Nil),
            (_, Some(second)) => Err(misplaced(second)),
        };
    }
    reader.value(root, 1).map(|(value, _)| value)
}

/// As [`read`], from bytes in UTF-8 with or without a byte order mark.
///
/// # Errors
/// As [`read`], or the bytes are not UTF-8.
pub fn read_bytes(bytes: &[u8], limits: Limits) -> Result<Value, ClixmlError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| ClixmlError::Utf8(error.valid_up_to()))?;
    read(text, limits)
}

/// What a value costs with its references written out.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    bytes: usize,
    nodes: u32,
    /// Levels from this value down, itself included.
    height: usize,
}

struct Reader {
    limits: Limits,
    spent: Cost,
    objects: HashMap<String, (Arc<Object>, Cost)>,
    open: HashSet<String>,
    type_names: HashMap<String, Vec<String>>,
}

fn elements<'a, 'input>(node: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

fn element_name<'a>(node: Node<'a, '_>) -> &'a str {
    node.tag_name().name()
}

fn misplaced(node: Node<'_, '_>) -> ClixmlError {
    let parent = node.parent_element().map_or("the message", |parent| parent.tag_name().name());
    ClixmlError::Misplaced { element: cut(element_name(node)), parent: cut(parent) }
}

/// The text of an element that holds nothing but text.
fn text_of(node: Node<'_, '_>) -> Result<String, ClixmlError> {
    if let Some(child) = elements(node).next() {
        return Err(misplaced(child));
    }
    Ok(node.children().filter(Node::is_text).filter_map(|child| child.text()).collect())
}

/// The attribute that names an id.
fn id_of(node: Node<'_, '_>) -> Result<String, ClixmlError> {
    let id = node.attribute("RefId").map(str::to_owned);
    id.ok_or_else(|| ClixmlError::NoAttribute { element: cut(element_name(node)), attribute: "RefId" })
}

impl Reader {
    fn spend(&mut self, bytes: usize, nodes: u32) -> Result<(), ClixmlError> {
        self.spent.bytes = self.spent.bytes.saturating_add(bytes);
        self.spent.nodes = self.spent.nodes.saturating_add(nodes);
        if self.spent.bytes > self.limits.bytes {
            return Err(ClixmlError::TooLarge { limit: self.limits.bytes });
        }
        if self.spent.nodes > self.limits.nodes {
            return Err(ClixmlError::TooMany { limit: self.limits.nodes });
        }
        Ok(())
    }

    /// The value of an element and its height, at this depth.
    fn value(&mut self, node: Node<'_, '_>, depth: usize) -> Result<(Value, usize), ClixmlError> {
        if depth > self.limits.depth {
            return Err(ClixmlError::TooDeep { limit: self.limits.depth });
        }
        match element_name(node) {
            "Obj" => self.object(node, depth),
            "Ref" => self.reference(node, depth),
            "PR" => {
                let mut parts = Vec::new();
                for part in elements(node) {
                    parts.push((element_name(part).to_owned(), text_of(part)?));
                }
                self.spend(parts.iter().map(|(_, text)| text.len()).sum(), 9)?;
                Ok((kinds::progress(parts)?, 2))
            }
            name if kinds::is_primitive(name) => {
                let text = text_of(node)?;
                self.spend(text.len(), 1)?;
                Ok((kinds::read(name, &text)?, 1))
            }
            _ => Err(misplaced(node)),
        }
    }

    fn reference(&mut self, node: Node<'_, '_>, depth: usize) -> Result<(Value, usize), ClixmlError> {
        let id = id_of(node)?;
        if self.open.contains(&id) {
            return Err(ClixmlError::Cycle(cut(&id)));
        }
        let Some((object, cost)) = self.objects.get(&id) else { return Err(ClixmlError::UnknownReference(cut(&id))) };
        let (object, cost) = (Arc::clone(object), *cost);
        if depth - 1 + cost.height > self.limits.depth {
            return Err(ClixmlError::TooDeep { limit: self.limits.depth });
        }
        self.spend(cost.bytes, cost.nodes)?;
        Ok((Value::Object(object), cost.height))
    }

    fn object(&mut self, node: Node<'_, '_>, depth: usize) -> Result<(Value, usize), ClixmlError> {
        let before = self.spent;
        self.spend(0, 1)?;
        let id = node.attribute("RefId").map(str::to_owned);
        if let Some(id) = &id
            && (self.objects.contains_key(id) || !self.open.insert(id.clone()))
        {
            return Err(ClixmlError::DuplicateId(cut(id)));
        }
        let mut object = Object::default();
        let mut height = 0;
        for child in elements(node) {
            match element_name(child) {
                "TN" => {
                    object.type_names = self.names(child)?;
                    if child.has_attribute("RefId") {
                        let id = id_of(child)?;
                        if self.type_names.insert(id.clone(), object.type_names.clone()).is_some() {
                            return Err(ClixmlError::DuplicateId(cut(&id)));
                        }
                    }
                }
                "TNRef" => {
                    let id = id_of(child)?;
                    let names = self.type_names.get(&id).ok_or_else(|| ClixmlError::UnknownReference(cut(&id)))?.clone();
                    self.spend(names.iter().map(String::len).sum(), 1)?;
                    object.type_names = names;
                }
                "ToString" => {
                    let text = text_of(child)?;
                    self.spend(text.len(), 1)?;
                    object.to_string = Some(unescape(&text));
                }
                "Props" => {
                    let (adapted, own) = self.properties(child, depth + 1)?;
                    object.adapted.extend(adapted);
                    height = height.max(own);
                }
                "MS" => {
                    let (extended, own) = self.properties(child, depth + 1)?;
                    object.extended.extend(extended);
                    height = height.max(own);
                }
                // A progress record with properties of its own.
                "PR" => {
                    let (record, own) = self.value(child, depth)?;
                    if let Value::Object(record) = record {
                        object.type_names.clone_from(&record.type_names);
                        object.adapted.extend_from_slice(&record.adapted);
                    }
                    height = height.max(own - 1);
                }
                name => {
                    if object.content != Content::None {
                        return Err(ClixmlError::TwoContents(cut(name)));
                    }
                    let (content, own) = self.content(child, depth + 1)?;
                    object.content = content;
                    height = height.max(own);
                }
            }
        }
        let object = Arc::new(object);
        let height = height + 1;
        if let Some(id) = id {
            let cost = Cost { bytes: self.spent.bytes - before.bytes, nodes: self.spent.nodes - before.nodes, height };
            self.open.remove(&id);
            self.objects.insert(id, (Arc::clone(&object), cost));
        }
        Ok((Value::Object(object), height))
    }

    fn names(&mut self, node: Node<'_, '_>) -> Result<Vec<String>, ClixmlError> {
        let mut names = Vec::new();
        for name in elements(node) {
            if element_name(name) != "T" {
                return Err(misplaced(name));
            }
            let text = text_of(name)?;
            self.spend(text.len(), 1)?;
            names.push(unescape(&text));
        }
        Ok(names)
    }

    fn content(&mut self, node: Node<'_, '_>, depth: usize) -> Result<(Content, usize), ClixmlError> {
        match element_name(node) {
            "LST" => self.items(node, depth).map(|(items, height)| (Content::List(items), height)),
            "IE" => self.items(node, depth).map(|(items, height)| (Content::Enumerable(items), height)),
            "STK" => self.items(node, depth).map(|(items, height)| (Content::Stack(items), height)),
            "QUE" => self.items(node, depth).map(|(items, height)| (Content::Queue(items), height)),
            "DCT" => {
                let mut pairs = Vec::new();
                let mut height = 0;
                for entry in elements(node) {
                    if element_name(entry) != "En" {
                        return Err(misplaced(entry));
                    }
                    let (mut key, mut value) = (None, None);
                    for part in elements(entry) {
                        let place = match part.attribute("N") {
                            Some("Key") => &mut key,
                            Some("Value") => &mut value,
                            _ => return Err(ClixmlError::NoEntry),
                        };
                        let (own, own_height) = self.value(part, depth)?;
                        height = height.max(own_height);
                        if place.replace(own).is_some() {
                            return Err(ClixmlError::NoEntry);
                        }
                    }
                    pairs.push(key.zip(value).ok_or(ClixmlError::NoEntry)?);
                }
                Ok((Content::Dictionary(pairs), height))
            }
            name if kinds::is_primitive(name) => {
                let (value, height) = self.value(node, depth)?;
                Ok((Content::Primitive(value), height))
            }
            _ => Err(misplaced(node)),
        }
    }

    fn items(&mut self, node: Node<'_, '_>, depth: usize) -> Result<(Vec<Value>, usize), ClixmlError> {
        let mut items = Vec::new();
        let mut height = 0;
        for item in elements(node) {
            let (value, own) = self.value(item, depth)?;
            height = height.max(own);
            items.push(value);
        }
        Ok((items, height))
    }

    fn properties(&mut self, node: Node<'_, '_>, depth: usize) -> Result<(Vec<Property>, usize), ClixmlError> {
        if depth > self.limits.depth {
            return Err(ClixmlError::TooDeep { limit: self.limits.depth });
        }
        let mut properties = Vec::new();
        let mut height = 0;
        for child in elements(node) {
            let Some(name) = child.attribute("N") else {
                return Err(ClixmlError::NoAttribute { element: cut(element_name(child)), attribute: "N" });
            };
            self.spend(name.len(), 0)?;
            let (value, own) = if element_name(child) == "MS" {
                self.spend(0, 1)?;
                let (extended, own) = self.properties(child, depth + 1)?;
                (Object { extended, content: Content::PropertySet, ..Object::default() }.into(), own + 1)
            } else {
                self.value(child, depth)?
            };
            height = height.max(own);
            properties.push(Property { name: unescape(name), value });
        }
        Ok((properties, height))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::write;
    use super::*;

    fn refused(text: &str) -> ClixmlError {
        read(text, Limits::default()).unwrap_err()
    }

    #[test]
    fn an_object_comes_back_as_it_was_written_with_its_order_and_its_sharing() {
        let shared = Value::custom([("a", 1)]);
        let object = Value::from(Object {
            type_names: vec!["A.B".into(), "System.Object".into()],
            to_string: Some("a\r\n<b>".into()),
            content: Content::Dictionary(vec![(Value::I32(1), shared.clone()), (Value::Nil, Value::from("_x000A_"))]),
            adapted: vec![Property::new("z", shared), Property::new("Ä\"&", 2.5)],
            extended: vec![Property::new(
                "set",
                Object { extended: vec![Property::new("inner", true)], content: Content::PropertySet, ..Object::default() },
            )],
        });
        let text = write(&object).unwrap();
        assert_eq!(read(&text, Limits::default()), Ok(object));
        assert_eq!(text.matches("<Ref ").count(), 1, "{text}");
        assert_eq!(write(&read(&text, Limits::default()).unwrap()).unwrap(), text);
    }

    #[test]
    fn references_that_lead_nowhere_or_back_are_refused() {
        assert_eq!(refused("<Ref RefId=\"0\"/>"), ClixmlError::UnknownReference("0".into()));
        assert_eq!(refused("<Obj RefId=\"0\"><LST><Ref RefId=\"0\"/></LST></Obj>"), ClixmlError::Cycle("0".into()));
        assert_eq!(refused("<Obj><TNRef RefId=\"7\"/></Obj>"), ClixmlError::UnknownReference("7".into()));
        let twice = "<Obj><LST><Obj RefId=\"1\"/><Obj RefId=\"1\"/></LST></Obj>";
        assert_eq!(refused(twice), ClixmlError::DuplicateId("1".into()));
        assert_eq!(refused("<Obj RefId=\"1\"><LST><Obj RefId=\"1\"/></LST></Obj>"), ClixmlError::DuplicateId("1".into()));
    }

    #[test]
    fn references_that_multiply_are_refused_before_anyone_walks_them() {
        let mut text = String::from("<Obj><LST><Obj RefId=\"0\"><S>lol</S></Obj>");
        for level in 1..40 {
            let refs = format!("<Ref RefId=\"{}\"/>", level - 1).repeat(10);
            write!(text, "<Obj RefId=\"{level}\"><LST>{refs}</LST></Obj>").unwrap();
        }
        text.push_str("</LST></Obj>");
        assert_eq!(refused(&text), ClixmlError::TooMany { limit: 2_000_000 });
    }

    #[test]
    fn references_that_nest_deeper_and_deeper_are_refused() {
        let mut text = String::from("<Obj><LST><Obj RefId=\"0\"><S>lol</S></Obj>");
        for level in 1..100 {
            write!(text, "<Obj RefId=\"{level}\"><LST><Ref RefId=\"{}\"/></LST></Obj>", level - 1).unwrap();
        }
        text.push_str("</LST></Obj>");
        assert_eq!(refused(&text), ClixmlError::TooDeep { limit: 64 });
    }

    #[test]
    fn what_the_writer_takes_the_reader_takes_and_one_level_more_is_refused_by_both() {
        let mut value = Value::from(1);
        for _ in 1..64 {
            value = Value::list([value]);
        }
        let text = write(&value).unwrap();
        assert_eq!(read(&text, Limits::default()).as_ref(), Ok(&value));
        assert_eq!(write(&Value::list([value])), Err(ClixmlError::TooDeep { limit: 64 }));
        assert_eq!(refused(&format!("<Obj><LST>{text}</LST></Obj>")), ClixmlError::TooDeep { limit: 64 });
    }

    #[test]
    fn s11_deep_xml_and_document_types_are_refused() {
        for element in ["Obj", "MS", "S"] {
            let deep = format!("<{element} N=\"a\">").repeat(200_000) + &format!("</{element}>").repeat(200_000);
            refused(&deep);
        }
        let bomb = "<!DOCTYPE S [<!ENTITY a \"aaaa\">]><S>&a;</S>";
        assert!(matches!(refused(bomb), ClixmlError::Xml(_)));
    }

    #[test]
    fn f71_s11_sizes_beyond_the_limits_are_refused() {
        let limits = Limits { bytes: 100, depth: 64, nodes: 10 };
        let long = format!("<S>{}</S>", "a".repeat(100));
        assert_eq!(read(&long, limits), Err(ClixmlError::TooLarge { limit: 100 }));
        let many = format!("<Obj><LST>{}</LST></Obj>", "<Nil/>".repeat(12));
        assert_eq!(read(&many, limits), Err(ClixmlError::TooMany { limit: 10 }));
        let repeated = "<Obj><LST><Obj RefId=\"0\"><S>aaaaaaaaaaaaaaaaaaaaaaaa</S></Obj><Ref RefId=\"0\"/></LST></Obj>";
        let limits = Limits { bytes: repeated.len(), depth: 64, nodes: 100 };
        assert!(read(repeated, limits).is_ok());
        let twice =
            format!("<Obj><LST><Obj RefId=\"0\"><S>{}</S></Obj>{}</LST></Obj>", "a".repeat(99), "<Ref RefId=\"0\"/>".repeat(9));
        let limits = Limits { bytes: twice.len(), depth: 64, nodes: 100 };
        assert_eq!(read(&twice, limits), Err(ClixmlError::TooLarge { limit: twice.len() }));
    }

    #[test]
    fn values_that_are_none_of_their_type_are_refused() {
        for text in [
            "<I32>2147483648</I32>",
            "<By>-1</By>",
            "<C>65536</C>",
            "<B>yes</B>",
            "<G>x</G>",
            "<BA>*</BA>",
            "<DT>yesterday</DT>",
            "<DT>2012-05-27 18:04:00</DT>",
            "<TS>PT</TS>",
            "<D>1.2.3</D>",
            "<Version>1</Version>",
            "<Version>1..2</Version>",
            "<Nil>1</Nil>",
            "<Db>one</Db>",
        ] {
            assert!(matches!(refused(text), ClixmlError::NoValue { .. }), "{text}");
        }
        for text in ["<Foo/>", "<S><S/></S>", "<Obj><LST><En/></LST></Obj>", "<Obj><T/></Obj>"] {
            assert!(matches!(refused(text), ClixmlError::Misplaced { .. }), "{text}");
        }
        assert!(matches!(refused("<Obj><I32>1</I32><I32>2</I32></Obj>"), ClixmlError::TwoContents(_)));
        assert!(matches!(refused("<Obj><DCT><En><S N=\"Key\">a</S></En></DCT></Obj>"), ClixmlError::NoEntry));
        assert!(matches!(refused("<Obj><MS><S>a</S></MS></Obj>"), ClixmlError::NoAttribute { .. }));
    }

    #[test]
    fn a_progress_record_among_values_becomes_an_object() {
        let text = "<PR><AV>Copy_x000A_</AV><AI>0</AI><Nil/><PI>-1</PI><PC>10</PC><T>Processing</T><SR>-1</SR><SD>a</SD></PR>";
        let record = read(text, Limits::default()).unwrap();
        assert_eq!(record.get("Activity").and_then(Value::as_str), Some("Copy\n"));
        assert_eq!(record.get("PercentComplete").and_then(Value::as_i64), Some(10));
        let extended = read(&format!("<Obj RefId=\"0\">{text}<MS><S N=\"a\">b</S></MS></Obj>"), Limits::default()).unwrap();
        assert_eq!(extended.get("a").and_then(Value::as_str), Some("b"));
        assert_eq!(extended.get("PercentComplete").and_then(Value::as_i64), Some(10));
    }

    #[test]
    fn numbers_keep_every_bit() {
        for value in [f64::MIN, f64::MIN_POSITIVE, 5e-324, 0.1, 1e16, 100.0, -0.0, f64::INFINITY, f64::NEG_INFINITY] {
            let text = write(&value.into()).unwrap();
            let Ok(Value::Double(back)) = read(&text, Limits::default()) else { panic!("{text}") };
            assert_eq!(back.to_bits(), value.to_bits(), "{text}");
        }
        assert_eq!(write(&1e16.into()).unwrap(), "<Db>1E16</Db>");
        assert_eq!(write(&f64::NEG_INFINITY.into()).unwrap(), "<Db>-INF</Db>");
        assert!(matches!(read("<Sg>NAN</Sg>", Limits::default()), Ok(Value::Single(number)) if number.is_nan()));
    }
}
