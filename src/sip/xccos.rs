//! The XML of chat rooms, which INFO carries ([MS-XCCOSIP]): one `xccos` element with a command, a reply or a notice in it.
//!
//! A command is acknowledged by the answer to its INFO; its reply comes in an INFO of the other side's own ([MS-OCSPROT]
//! section 2.5.21). The shape of the envelope, of `requri`, `bjoin` and `bccontext` is what the SIPE project's client sends and
//! reads; the names of the commands are Microsoft's.

use std::fmt::Write as _;

use roxmltree::{Document, Node, ParsingOptions};

/// The namespace of everything here.
pub const NAMESPACE: &str = "urn:parlano:xml:ns:xccos";
/// What bodies are sent as.
pub const CONTENT_TYPE: &str = "text/plain";
/// Elements of one body.
const MOST_NODES: u32 = 100_000;
/// How deep they may nest.
const DEEPEST: usize = 16;

/// An element. Namespaces and mixed text are not kept: XCCOS uses neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    attributes: Vec<(String, String)>,
    /// Its text.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
}

impl Element {
    /// An empty one.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Element { name: name.to_owned(), ..Element::default() }
    }

    /// The same with an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// The same with one more element in it.
    #[must_use]
    pub fn holding(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    /// The same with text in it.
    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// An attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The first element of a name in it.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All elements of a name in it.
    pub fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    fn read(node: Node<'_, '_>, depth: usize) -> Option<Self> {
        if depth > DEEPEST {
            return None;
        }
        let mut element = Element::new(node.tag_name().name());
        element.attributes = node.attributes().map(|one| (one.name().to_owned(), one.value().to_owned())).collect();
        for child in node.children() {
            if child.is_element() {
                element.children.push(Element::read(child, depth + 1)?);
            } else if let Some(text) = child.text().filter(|_| child.is_text()) {
                element.text.push_str(text);
            }
        }
        Some(element)
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, "<{}", self.name);
        for (name, value) in &self.attributes {
            let _ = write!(out, " {name}=\"");
            escape(value, out);
            out.push('"');
        }
        out.push('>');
        escape(&self.text, out);
        for child in &self.children {
            child.write(out);
        }
        let _ = write!(out, "</{}>", self.name);
    }
}

/// Text as it stands in XML. What XML 1.0 has no form for is left out.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
}

/// A body: its id, by which a reply says what it answers, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `envid`.
    pub id: String,
    /// A `cmd`, `rpl`, `ntc` or `grpchat`.
    pub content: Element,
}

impl Envelope {
    /// A command: `cmd:bjoin` for `bjoin`.
    #[must_use]
    pub fn command(id: &str, name: &str, data: Element) -> Self {
        let content = Element::new("cmd").with("id", format!("cmd:{name}")).with("seqid", "1").holding(data);
        Envelope { id: id.to_owned(), content }
    }

    /// The reply to a command.
    #[must_use]
    pub fn reply(id: &str, to: &Envelope, (code, message): (u16, &str), data: Element) -> Self {
        let seqid = to.content.get("seqid").unwrap_or("1");
        let content = Element::new("rpl")
            .with("id", format!("rpl:{}", to.name().unwrap_or("error")))
            .with("seqid", "1")
            .holding(Element::new("commandid").with("seqid", seqid).with("envid", to.id.as_str()))
            .holding(Element::new("resp").with("code", code.to_string()).saying(message))
            .holding(data);
        Envelope { id: id.to_owned(), content }
    }

    /// Reads one; `None` if it is none.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text.trim_start_matches('\u{feff}'), options).ok()?;
        let root = document.root_element();
        if root.tag_name().name() != "xccos" || root.tag_name().namespace() != Some(NAMESPACE) {
            return None;
        }
        let first = root.children().find(Node::is_element)?;
        Some(Envelope { id: root.attribute("envid").unwrap_or_default().to_owned(), content: Element::read(first, 0)? })
    }

    /// As it is sent.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!("<xccos xmlns=\"{NAMESPACE}\" ver=\"1\" envid=\"");
        escape(&self.id, &mut out);
        out.push_str("\">");
        self.content.write(&mut out);
        out.push_str("</xccos>");
        out
    }

    /// What it is called after `cmd:`, `rpl:` or `ntc:`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.content.get("id")?.split_once(':').map(|(_, name)| name)
    }

    /// Of a reply: the code, what it says, and its data.
    #[must_use]
    pub fn response(&self) -> Option<(u16, &str, Option<&Element>)> {
        let said = self.content.child("resp").filter(|_| self.content.name == "rpl")?;
        Some((said.get("code")?.parse().ok()?, said.text.trim(), self.content.child("data")))
    }

    /// Whether it is the reply to the command with this id. One that does not say which it answers is none.
    #[must_use]
    pub fn answers(&self, command: &str) -> bool {
        self.content.name == "rpl" && self.content.child("commandid").and_then(|to| to.get("envid")) == Some(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_as_it_was_written() {
        let command = Envelope::command("17", "bjoin", Element::new("data"));
        let data = Element::new("data").holding(Element::new("chanib").with("name", "a \"<&>\" \r\n\u{1}b").saying("x & y"));
        let reply = Envelope::reply("9", &command, (200, "SUCCESS_OK"), data);
        let read = Envelope::read(reply.to_text().as_bytes());
        assert!(read.as_ref().is_some_and(|read| read.answers("17") && !read.answers("1") && read.name() == Some("bjoin")));
        let found = read.as_ref().and_then(Envelope::response);
        let name = found.and_then(|(_, _, data)| data?.child("chanib")?.get("name"));
        assert_eq!(name, Some("a \"<&>\" \r\nb"));
    }

    #[test]
    fn what_is_no_body_of_chat_rooms_is_none() {
        let deep = format!("<xccos xmlns=\"{NAMESPACE}\">{}{}</xccos>", "<a>".repeat(40), "</a>".repeat(40));
        let entity = format!("<!DOCTYPE x [<!ENTITY a \"b\">]><xccos xmlns=\"{NAMESPACE}\"><cmd>&a;</cmd></xccos>");
        for wrong in ["", "<xccos/>", "<xccos xmlns='urn:other'><cmd/></xccos>", "not xml", &deep, &entity] {
            assert_eq!(Envelope::read(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Envelope::read(b"\xff\xfe"), None);
    }
}
