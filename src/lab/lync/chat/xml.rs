//! Parts of an export as text: what is written, and what is read, record by record.
//!
//! Every part is `Pool`, in it one list, in that the records. A record is held whole; a part is not.

use std::io::{BufRead, Write};

use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

use super::Trouble;

/// Deeper than this nothing is nested.
const DEEPEST: usize = 32;

/// Text that comes back as it was: a carriage return would be read as a line feed, and most control characters cannot be in
/// XML at all.
pub(super) fn text(raw: &str) -> BytesText<'static> {
    let allowed = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{7f}'..='\u{9f}');
    let plain: String =
        raw.chars().map(|c| if allowed(c) && !matches!(c, '\u{fffe}' | '\u{ffff}') { c } else { '\u{fffd}' }).collect();
    BytesText::from_escaped(quick_xml::escape::partial_escape(plain).replace('\r', "&#13;"))
}

/// Writes a part: `fill` writes its records.
pub(super) fn part<W: Write>(
    into: W,
    list: &str,
    fill: impl FnOnce(&mut Writer<W>) -> Result<(), Trouble>,
) -> Result<W, Trouble> {
    let mut writer = Writer::new(into);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
    writer.write_event(Event::Start(BytesStart::new("Pool")))?;
    writer.write_event(Event::Start(BytesStart::new(list)))?;
    fill(&mut writer)?;
    writer.write_event(Event::End(BytesEnd::new(list)))?;
    writer.write_event(Event::End(BytesEnd::new("Pool")))?;
    Ok(writer.into_inner())
}

/// Writes an element with text in it.
pub(super) fn element<W: Write>(writer: &mut Writer<W>, name: &str, content: &str) -> std::io::Result<()> {
    writer.create_element(name).write_text_content(text(content)).map(|_| ())
}

/// The same, if there is anything to say.
pub(super) fn optional<W: Write>(writer: &mut Writer<W>, name: &str, content: Option<&str>) -> std::io::Result<()> {
    content.map_or(Ok(()), |content| element(writer, name, content))
}

/// An element that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    fn begin(start: &BytesStart<'_>) -> Result<Self, Trouble> {
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(quick_xml::Error::from)?;
            let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0)?;
            attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        Ok(Element { name: start.name().as_ref().to_owned(), attributes, ..Element::default() })
    }

    /// The first child of a name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child.
    pub fn content(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// An attribute that must be there.
    pub fn needed(&self, name: &str) -> Result<&str, Trouble> {
        self.attribute(name).ok_or_else(|| Trouble::Malformed(format!("`{}` has no `{name}`", self.name)))
    }

    /// Whether an attribute says yes.
    pub fn is(&self, name: &str) -> bool {
        self.attribute(name) == Some("1")
    }

    /// An attribute that is a number.
    pub fn number(&self, name: &str) -> Result<i64, Trouble> {
        number(self.needed(name)?)
    }
}

/// A number.
pub(super) fn number(text: &str) -> Result<i64, Trouble> {
    text.trim().parse().map_err(|_| Trouble::Malformed(format!("`{text}` is not a number")))
}

/// Reads a part, and gives its records one after the other.
pub(super) fn records(from: impl BufRead, mut each: impl FnMut(&Element) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let mut reader = Reader::from_reader(from);
    let mut buffer = Vec::new();
    // Above the records: their names only. From the record down: the elements that are open.
    let (mut above, mut open): (usize, Vec<Element>) = (0, Vec::new());
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer)? {
            Event::Start(start) if above < 2 => {
                if above == 0 && start.name().as_ref() != "Pool" {
                    return Err(Trouble::Malformed("the outermost element is not `Pool`".to_owned()));
                }
                above += 1;
            }
            Event::Start(start) if open.len() < DEEPEST => open.push(Element::begin(&start)?),
            Event::Start(_) => return Err(Trouble::Malformed("elements are nested too deeply".to_owned())),
            Event::Empty(_) if above < 2 => {}
            Event::Empty(start) => close(&mut open, Element::begin(&start)?, &mut each)?,
            Event::End(_) => match open.pop() {
                Some(done) => close(&mut open, done, &mut each)?,
                None => above = above.saturating_sub(1),
            },
            Event::Text(piece) => add(&mut open, &piece.xml10_content()),
            Event::CData(piece) => add(&mut open, &piece.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref()? {
                Some(c) => add(&mut open, c.encode_utf8(&mut [0; 4])),
                None => match quick_xml::escape::resolve_predefined_entity(&reference) {
                    Some(known) => add(&mut open, known),
                    None => return Err(Trouble::Malformed(format!("`&{};` is not known", &*reference))),
                },
            },
            Event::Eof if above == 0 && open.is_empty() => return Ok(()),
            Event::Eof => return Err(Trouble::Malformed("it ends in the middle".to_owned())),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::DocType(_) => return Err(Trouble::Malformed("it has a document type".to_owned())),
        }
    }
}

fn add(open: &mut [Element], text: &str) {
    if let Some(last) = open.last_mut() {
        last.text.push_str(text);
    }
}

fn close(open: &mut [Element], done: Element, each: &mut impl FnMut(&Element) -> Result<(), Trouble>) -> Result<(), Trouble> {
    match open.last_mut() {
        Some(parent) => {
            parent.children.push(done);
            Ok(())
        }
        None => each(&done),
    }
}
