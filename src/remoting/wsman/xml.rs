//! Writing text into an envelope, and finding things in one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roxmltree::{Document, Node, ParsingOptions};

use super::Malformed;

/// An envelope has some hundred elements; a stream of many small pieces some thousand.
const MOST_NODES: u32 = 100_000;

/// Appends text so that it is read back as it is, in an element or in a quoted attribute. Line ends and tabs are written as
/// references, since a parser changes them otherwise. What XML 1.0 cannot hold becomes U+FFFD.
pub(super) fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
}

/// `<name>text</name>`.
pub(super) fn element(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    escape(out, text);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// ` name="value"`.
pub(super) fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value);
    out.push('"');
}

/// Reads an envelope as a document. Entities cannot be defined, and the number of nodes is bounded.
pub(super) fn parse(text: &[u8]) -> Result<&str, Malformed> {
    let text = str::from_utf8(text).map_err(|_| Malformed("it is not UTF-8".to_owned()))?;
    // A byte order mark is allowed before the XML.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The document of a text.
pub(super) fn document(text: &str) -> Result<Document<'_>, Malformed> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| Malformed(error.to_string()))
}

/// The first child element of that name.
pub(super) fn child<'a, 'input>(node: Node<'a, 'input>, space: &str, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.is_element() && child.has_tag_name((space, name)))
}

/// The child element, which must be there.
pub(super) fn need<'a, 'input>(node: Node<'a, 'input>, space: &str, name: &str) -> Result<Node<'a, 'input>, Malformed> {
    child(node, space, name).ok_or_else(|| Malformed(format!("`{name}` is missing in `{}`", node.tag_name().name())))
}

/// All text of an element (a parser may hand it over in pieces), without white space around it.
pub(super) fn text(node: Node<'_, '_>) -> String {
    let text: String = node.children().filter(Node::is_text).filter_map(|part| part.text()).collect();
    text.trim().to_owned()
}

/// The text of a child element that may be missing.
pub(super) fn child_text(node: Node<'_, '_>, space: &str, name: &str) -> Option<String> {
    child(node, space, name).map(text)
}

/// The text of a child element that must be there and not be empty.
pub(super) fn need_text(node: Node<'_, '_>, space: &str, name: &str) -> Result<String, Malformed> {
    let text = text(need(node, space, name)?);
    if text.is_empty() { Err(Malformed(format!("`{name}` is empty"))) } else { Ok(text) }
}

/// Appends bytes in base64.
pub(super) fn base64(out: &mut String, bytes: &[u8]) {
    STANDARD.encode_string(bytes, out);
}

/// The bytes of an element in base64; line breaks inside are allowed.
pub(super) fn bytes(node: Node<'_, '_>) -> Result<Vec<u8>, Malformed> {
    let mut text = text(node);
    text.retain(|c| !c.is_ascii_whitespace());
    STANDARD.decode(text).map_err(|_| Malformed(format!("`{}` is not in base64", node.tag_name().name())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escaped_text_is_read_back_as_it_was(value in "[^\\u{0}-\\u{8}\\u{b}\\u{c}\\u{e}-\\u{1f}\\u{fffe}\\u{ffff}]*") {
            let mut xml = "<a".to_owned();
            attribute(&mut xml, "b", &value);
            xml.push('>');
            escape(&mut xml, &value);
            xml.push_str("</a>");
            let document = document(&xml).unwrap();
            let root = document.root_element();
            prop_assert_eq!(root.attribute("b").unwrap(), &value);
            prop_assert_eq!(root.text().unwrap_or_default(), &value);
        }
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        let mut out = String::new();
        escape(&mut out, "a\0b\u{b}c\u{ffff}");
        assert_eq!(out, "a\u{fffd}b\u{fffd}c\u{fffd}");
    }

    #[test]
    fn entities_and_floods_of_nodes_are_refused() {
        assert!(document("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>").is_err());
        assert!(document(&format!("<a>{}</a>", "<b/>".repeat(200_000))).is_err());
        assert!(document(&"<a>".repeat(50_000)).is_err());
    }
}
