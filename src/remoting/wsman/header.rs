//! The header of a request ([MS-WSMV] section 2.2.4, WS-Management section 6).

use std::time::Duration;

use roxmltree::Node;
use uuid::Uuid;

use super::names::{ADDRESSING, ANONYMOUS, WSMAN, WSMV, XML};
use super::xml::{attribute, child, child_text, element, escape, need_text, text};
use super::{MAX_ENVELOPE_SIZE, Malformed, duration};

/// What stands in the header of a request, the action aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The URL that the request is sent to.
    pub to: String,
    /// The kind of resource: the shells of a configuration, or all shells.
    pub resource: String,
    /// New for every request.
    pub message_id: Uuid,
    /// The same for all requests of one client.
    pub session_id: Option<Uuid>,
    /// The largest answer that is wanted, in bytes.
    pub max_envelope_size: u32,
    /// After this time the server is to answer, if only that there is nothing yet.
    pub operation_timeout: Duration,
    /// The language of messages for people.
    pub locale: String,
    /// Which shell is meant, save where one is created.
    pub shell_id: Option<String>,
    /// Written from [`super::Request::options`]; filled when read.
    pub options: Vec<Opt>,
}

/// An option of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opt {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether the server must refuse the request if it does not know the option.
    pub must_comply: bool,
}

impl Opt {
    /// An option that a server may ignore.
    #[must_use]
    pub fn new(name: &str, value: &str) -> Self {
        Opt { name: name.to_owned(), value: value.to_owned(), must_comply: false }
    }
}

impl Header {
    /// A header with a new message id, the usual size, and 20 s for the operation.
    #[must_use]
    pub fn new(to: String, resource: String) -> Self {
        Header {
            to,
            resource,
            message_id: Uuid::new_v4(),
            session_id: None,
            max_envelope_size: MAX_ENVELOPE_SIZE,
            operation_timeout: Duration::from_secs(20),
            locale: "en-US".to_owned(),
            shell_id: None,
            options: Vec::new(),
        }
    }

    pub(super) fn write(&self, out: &mut String, action: &str, options: &[Opt]) {
        element(out, "a:To", &self.to);
        must(out, "w:ResourceURI", &self.resource);
        out.push_str("<a:ReplyTo>");
        must(out, "a:Address", ANONYMOUS);
        out.push_str("</a:ReplyTo>");
        must(out, "a:Action", action);
        must(out, "w:MaxEnvelopeSize", &self.max_envelope_size.to_string());
        element(out, "a:MessageID", &uri(self.message_id));
        for name in ["w:Locale", "p:DataLocale"] {
            out.push('<');
            out.push_str(name);
            attribute(out, "xml:lang", &self.locale);
            out.push_str(" s:mustUnderstand=\"false\"/>");
        }
        if let Some(id) = self.session_id {
            out.push_str("<p:SessionId s:mustUnderstand=\"false\">");
            escape(out, &uri(id));
            out.push_str("</p:SessionId>");
        }
        element(out, "w:OperationTimeout", &duration::write(self.operation_timeout));
        if !options.is_empty() {
            out.push_str("<w:OptionSet s:mustUnderstand=\"true\">");
            for option in options {
                out.push_str("<w:Option");
                attribute(out, "Name", &option.name);
                if option.must_comply {
                    out.push_str(" MustComply=\"true\"");
                }
                out.push('>');
                escape(out, &option.value);
                out.push_str("</w:Option>");
            }
            out.push_str("</w:OptionSet>");
        }
        if let Some(id) = &self.shell_id {
            out.push_str("<w:SelectorSet><w:Selector Name=\"ShellId\">");
            escape(out, id);
            out.push_str("</w:Selector></w:SelectorSet>");
        }
    }

    /// Reads the header of a request, and its action.
    pub(super) fn read(header: Node<'_, '_>) -> Result<(Self, String), Malformed> {
        let number = |name| match child_text(header, WSMAN, name) {
            Some(text) => text.parse().map(Some).map_err(|_| Malformed(format!("`{name}` is no number"))),
            None => Ok(None),
        };
        let timeout = child_text(header, WSMAN, "OperationTimeout").unwrap_or_else(|| "PT60S".to_owned());
        let language = child(header, WSMAN, "Locale").and_then(|node| node.attribute((XML, "lang")));
        Ok((
            Header {
                to: child_text(header, ADDRESSING, "To").unwrap_or_default(),
                resource: need_text(header, WSMAN, "ResourceURI")?,
                message_id: read_uri(&need_text(header, ADDRESSING, "MessageID")?)
                    .ok_or_else(|| Malformed("`MessageID` is no UUID".to_owned()))?,
                session_id: child_text(header, WSMV, "SessionId").and_then(|text| read_uri(&text)),
                max_envelope_size: number("MaxEnvelopeSize")?.unwrap_or(MAX_ENVELOPE_SIZE),
                operation_timeout: duration::read(&timeout)
                    .ok_or_else(|| Malformed("`OperationTimeout` is no duration".to_owned()))?,
                locale: language.unwrap_or("en-US").to_owned(),
                shell_id: selector(header, "ShellId"),
                options: options(header),
            },
            need_text(header, ADDRESSING, "Action")?,
        ))
    }
}

/// The value of a selector; names are compared without case.
pub(super) fn selector(parent: Node<'_, '_>, name: &str) -> Option<String> {
    let set = child(parent, WSMAN, "SelectorSet")?;
    let mut selectors = set.children().filter(|node| node.has_tag_name((WSMAN, "Selector")));
    let found = selectors.find(|node| node.attribute("Name").is_some_and(|named| named.eq_ignore_ascii_case(name)))?;
    Some(text(found))
}

fn options(header: Node<'_, '_>) -> Vec<Opt> {
    let Some(set) = child(header, WSMAN, "OptionSet") else { return Vec::new() };
    let options = set.children().filter(|node| node.has_tag_name((WSMAN, "Option")));
    options
        .map(|node| Opt {
            name: node.attribute("Name").unwrap_or_default().to_owned(),
            value: text(node),
            must_comply: node.attribute("MustComply").is_some_and(|value| value == "true" || value == "1"),
        })
        .collect()
}

fn must(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push_str(" s:mustUnderstand=\"true\">");
    escape(out, text);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// `uuid:…`, upper case as Windows writes it.
pub(super) fn uri(id: Uuid) -> String {
    format!("uuid:{}", id.hyphenated().to_string().to_uppercase())
}

/// The UUID of `uuid:…` or `urn:uuid:…`, in any case.
pub(super) fn read_uri(text: &str) -> Option<Uuid> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_prefix("urn:").unwrap_or(&text);
    Uuid::try_parse(text.strip_prefix("uuid:").unwrap_or(text)).ok()
}
