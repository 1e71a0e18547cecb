//! Whole envelopes: requests and responses, written and read, and how much room is in one.

use std::fmt::Write as _;

use roxmltree::Node;
use uuid::Uuid;

use super::header::{Header, read_uri, uri};
use super::names::{ADDRESSING, ANONYMOUS, ENUMERATION, FAULT_ACTION, IDENTITY, SHELL, SOAP, TRANSFER, WSMAN, WSMV};
use super::xml::{self, child, child_text, element, need};
use super::{
    Body, Command, Create, Delete, Disconnect, Enumerate, Fault, IdentifyResponse, Malformed, NoResponse, Pull, Receive,
    Reconnect, Request, Send, Signal,
};

/// The envelope of a request.
#[must_use]
pub fn request<R: Request>(header: &Header, body: &R) -> String {
    let mut out = begin();
    out.push_str("<s:Header>");
    header.write(&mut out, R::ACTION, &body.options());
    out.push_str("</s:Header><s:Body>");
    body.write(&mut out);
    end(&mut out);
    out
}

/// How many bytes of a stream fit into a request that is otherwise complete, its stream being empty: what the header leaves
/// of the largest envelope, in base64.
#[must_use]
pub fn room<R: Request>(header: &Header, empty: &R) -> usize {
    let most = usize::try_from(header.max_envelope_size).unwrap_or(usize::MAX);
    most.saturating_sub(request(header, empty).len()) / 4 * 3
}

/// Reads the response to the request with that message id.
///
/// # Errors
/// A fault, or an envelope that is not understood, or one that answers another request.
pub fn read_response<B: Body>(text: &[u8], message_id: Uuid) -> Result<B, NoResponse> {
    let text = xml::parse(text)?;
    let document = xml::document(text)?;
    let envelope = envelope(document.root_element())?;
    let body = need(envelope, SOAP, "Body")?;
    // Some faults relate to nothing: the server could not read what it refuses.
    let relates = child(envelope, SOAP, "Header").and_then(|header| child_text(header, ADDRESSING, "RelatesTo"));
    let ours = relates.as_deref().map(|relates| read_uri(relates) == Some(message_id));
    if let Some(fault) = child(body, SOAP, "Fault") {
        return match ours {
            Some(false) => Err(Malformed("it answers another request".to_owned()).into()),
            _ => Err(NoResponse::Fault(Box::new(Fault::read(fault)))),
        };
    }
    if ours != Some(true) {
        return Err(Malformed("it answers another request".to_owned()).into());
    }
    Ok(B::read(body)?)
}

/// Reads the answer to [`Identify`], which has no header.
///
/// # Errors
/// As [`read_response`].
pub fn read_identify_response(text: &[u8]) -> Result<IdentifyResponse, NoResponse> {
    let text = xml::parse(text)?;
    let document = xml::document(text)?;
    let body = need(envelope(document.root_element())?, SOAP, "Body")?;
    match child(body, SOAP, "Fault") {
        Some(fault) => Err(NoResponse::Fault(Box::new(Fault::read(fault)))),
        None => Ok(IdentifyResponse::read(body)?),
    }
}

/// What a client asks for, as a server reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is one message, described there")]
pub enum Operation {
    Identify,
    Create(Create),
    Command(Command),
    Send(Send),
    Receive(Receive),
    Signal(Signal),
    Delete,
    Disconnect(Disconnect),
    Reconnect,
    Enumerate(Enumerate),
    Pull(Pull),
    /// An action that is none of these.
    Other(String),
}

/// Reads a request. [`Identify`] alone has no header.
///
/// # Errors
/// It is not understood.
pub fn read_request(text: &[u8]) -> Result<(Option<Header>, Operation), Malformed> {
    let text = xml::parse(text)?;
    let document = xml::document(text)?;
    let envelope = envelope(document.root_element())?;
    let body = need(envelope, SOAP, "Body")?;
    if child(body, IDENTITY, "Identify").is_some() {
        return Ok((None, Operation::Identify));
    }
    let (header, action) = Header::read(need(envelope, SOAP, "Header")?)?;
    let operation = match action.as_str() {
        Create::ACTION => {
            let mut create = Create::read(body)?;
            create.protocol_version =
                header.options.iter().find(|option| option.name == super::create::VERSION).map(|option| option.value.clone());
            Operation::Create(create)
        }
        Command::ACTION => Operation::Command(Command::read(body)?),
        Send::ACTION => Operation::Send(Send::read(body)?),
        Receive::ACTION => Operation::Receive(Receive::read(body)?),
        Signal::ACTION => Operation::Signal(Signal::read(body)?),
        Delete::ACTION => Operation::Delete,
        Disconnect::ACTION => Operation::Disconnect(Disconnect::read(body)?),
        Reconnect::ACTION => Operation::Reconnect,
        Enumerate::ACTION => Operation::Enumerate(Enumerate::read(body)?),
        Pull::ACTION => Operation::Pull(Pull::read(body)?),
        _ => Operation::Other(action),
    };
    Ok((Some(header), operation))
}

/// The envelope of a response; to [`Identify`], without the message that it relates to.
#[must_use]
pub fn response<B: Body>(relates_to: Option<Uuid>, body: &B) -> String {
    let mut out = begin();
    answer_header(&mut out, B::ACTION, relates_to);
    out.push_str("<s:Body>");
    body.write(&mut out);
    end(&mut out);
    out
}

impl Fault {
    /// The envelope of a fault; sent with HTTP 500.
    #[must_use]
    pub fn envelope(&self, relates_to: Option<Uuid>) -> String {
        let mut out = begin();
        answer_header(&mut out, FAULT_ACTION, relates_to);
        out.push_str("<s:Body>");
        self.write(&mut out);
        end(&mut out);
        out
    }
}

/// The empty envelope of an [`Identify`].
#[must_use]
pub(super) fn without_header<B: Body>(body: &B) -> String {
    let mut out = begin();
    out.push_str("<s:Header/><s:Body>");
    body.write(&mut out);
    end(&mut out);
    out
}

fn begin() -> String {
    let mut out = String::with_capacity(2048);
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"{SOAP}\" xmlns:a=\"{ADDRESSING}\" \
         xmlns:w=\"{WSMAN}\" xmlns:p=\"{WSMV}\" xmlns:rsp=\"{SHELL}\" xmlns:x=\"{TRANSFER}\" xmlns:n=\"{ENUMERATION}\" \
         xmlns:wsmid=\"{IDENTITY}\">"
    );
    out
}

fn end(out: &mut String) {
    out.push_str("</s:Body></s:Envelope>");
}

fn answer_header(out: &mut String, action: &str, relates_to: Option<Uuid>) {
    let Some(relates_to) = relates_to else {
        out.push_str("<s:Header/>");
        return;
    };
    out.push_str("<s:Header>");
    element(out, "a:Action", action);
    element(out, "a:MessageID", &uri(Uuid::new_v4()));
    element(out, "a:To", ANONYMOUS);
    element(out, "a:RelatesTo", &uri(relates_to));
    out.push_str("</s:Header>");
}

fn envelope<'a, 'input>(root: Node<'a, 'input>) -> Result<Node<'a, 'input>, Malformed> {
    if root.has_tag_name((SOAP, "Envelope")) { Ok(root) } else { Err(Malformed("it is no SOAP 1.2 envelope".to_owned())) }
}
