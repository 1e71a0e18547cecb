//! A message: its first line, its headers, its body.

use std::fmt::Write as _;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// A request.
    Request {
        /// In upper case: `INVITE`.
        method: String,
        /// Whom it is for, as it was written.
        uri: String,
    },
    /// An answer.
    Status {
        /// From 100 to 699.
        code: u16,
        /// For people.
        reason: String,
    },
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub start: Start,
    headers: Vec<(String, String)>,
    /// What follows the headers.
    pub body: Vec<u8>,
}

/// Short forms of names (RFC 3261 section 7.3.3), as far as they have one.
const COMPACT: [(&str, &str); 10] = [
    ("v", "Via"),
    ("f", "From"),
    ("t", "To"),
    ("i", "Call-ID"),
    ("m", "Contact"),
    ("l", "Content-Length"),
    ("c", "Content-Type"),
    ("e", "Content-Encoding"),
    ("s", "Subject"),
    ("k", "Supported"),
];

/// The long form of a header's name.
#[must_use]
pub fn long(name: &str) -> &str {
    COMPACT.iter().find(|(short, _)| short.eq_ignore_ascii_case(name)).map_or(name, |(_, long)| long)
}

impl Message {
    /// A message without headers.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Message { start, headers: Vec::new(), body: Vec::new() }
    }

    /// A request without headers.
    #[must_use]
    pub fn request(method: &str, uri: &str) -> Self {
        Message::new(Start::Request { method: one_line(method), uri: one_line(uri) })
    }

    /// The answer to a request, with the headers that must be those of the request (RFC 3261 section 8.2.6.2).
    #[must_use]
    pub fn answer(request: &Message, code: u16, reason: &str) -> Self {
        let mut answer = Message::new(Start::Status { code, reason: one_line(reason) });
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            answer.headers.extend(request.all(name).map(|value| (name.to_owned(), value.to_owned())));
        }
        answer
    }

    /// The same with one more header. Whatever would end its line is left out of the value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((long(name).to_owned(), one_line(value)));
        self
    }

    /// The same with `;tag=…` after what To says, unless there is one.
    #[must_use]
    pub fn tagged(mut self, tag: &str) -> Self {
        for (name, value) in &mut self.headers {
            if name == "To" && super::NameAddr::parse(value).is_some_and(|to| to.tag.is_none()) {
                let _ = write!(value, ";tag={}", one_line(tag));
            }
        }
        self
    }

    /// The same with a body of this type.
    #[must_use]
    pub fn carrying(mut self, content_type: &str, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self.with("Content-Type", content_type)
    }

    /// The first header of a name, in any case, long or short.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(long(name))).map(|(_, value)| value.as_str())
    }

    /// All headers of a name.
    pub fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m str> {
        self.headers.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(long(name))).map(|(_, value)| value.as_str())
    }

    /// The method of a request.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Status { .. } => None,
        }
    }

    /// The code of an answer.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match &self.start {
            Start::Request { .. } => None,
            Start::Status { code, .. } => Some(*code),
        }
    }

    /// The number and the method of `CSeq`.
    #[must_use]
    pub fn sequence(&self) -> Option<(u32, &str)> {
        let (number, method) = self.header("CSeq")?.split_once([' ', '\t'])?;
        Some((number.trim().parse().ok()?, method.trim()))
    }

    /// As it is sent. The length of the body is always told.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} SIP/2.0\r\n"),
            Start::Status { code, reason } => format!("SIP/2.0 {code} {reason}\r\n"),
        };
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "Content-Length") {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub(super) fn push(&mut self, name: &str, value: String) {
        self.headers.push((long(name).to_owned(), value));
    }
}

/// Text that stays on its line.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_begin_a_header_of_its_own() {
        let message = Message::request("INVITE", "sip:a@b\r\nX: 1").with("Subject", "x\r\nContent-Length: 99");
        assert_eq!(
            String::from_utf8_lossy(&message.to_bytes()),
            "INVITE sip:a@bX: 1 SIP/2.0\r\nSubject: xContent-Length: 99\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn an_answer_carries_what_its_request_carried_and_a_tag_once() {
        let request = Message::request("INVITE", "sip:a@b")
            .with("v", "SIP/2.0/TLS one")
            .with("Via", "SIP/2.0/TLS two")
            .with("To", "<sip:a@b>")
            .with("CSeq", "7 INVITE");
        let answer = Message::answer(&request, 200, "OK").tagged("x").tagged("y");
        assert_eq!(answer.all("Via").collect::<Vec<_>>(), ["SIP/2.0/TLS one", "SIP/2.0/TLS two"]);
        assert_eq!((answer.header("t"), answer.sequence()), (Some("<sip:a@b>;tag=x"), Some((7, "INVITE"))));
    }
}
