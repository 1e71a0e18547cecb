//! From bytes to messages, however they arrive, and never more of them at once than was allowed.
//!
//! On a stream the only end of a message is its Content-Length (RFC 3261 section 18.3), so that what cannot be read ends the
//! connection: nobody knows where the next message would begin.

use super::message::{Message, Start};

/// What a message may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the first line and all headers.
    pub head: usize,
    /// Headers.
    pub headers: usize,
    /// Bytes of the body.
    pub body: usize,
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// First line and headers do not end.
    #[error("its headers do not end within the limit")]
    HeadTooLong,
    /// More headers than allowed.
    #[error("it has too many headers")]
    TooManyHeaders,
    /// The first line is neither that of a request nor of an answer.
    #[error("its first line is not SIP")]
    FirstLine,
    /// A header is none.
    #[error("it has a header that is none")]
    Header,
    /// Content-Length is missing, or no number, or there are several.
    #[error("it does not say how long it is")]
    Length,
    /// The body is longer than allowed.
    #[error("its body is longer than the limit")]
    BodyTooLong,
}

/// Takes bytes, gives messages.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    buffer: Vec<u8>,
    /// A head that was read, and how long its body is.
    begun: Option<(Message, usize)>,
}

impl Decoder {
    /// With nothing taken yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Decoder { limits, buffer: Vec::new(), begun: None }
    }

    /// Takes bytes. What was taken before should have been asked for by [`Decoder::message`].
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.begun.is_some() || !self.buffer.is_empty()
    }

    /// The next whole message; `None` until more bytes come.
    ///
    /// # Errors
    /// What came is no message. Nothing after it can be read.
    pub fn message(&mut self) -> Result<Option<Message>, Wrong> {
        if self.begun.is_none() {
            // Empty lines between messages keep connections alive (section 7.5).
            let blank = self.buffer.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count() * 2;
            self.buffer.drain(..blank);
            let end = self.buffer.windows(4).take(self.limits.head).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else {
                return if self.buffer.len() > self.limits.head { Err(Wrong::HeadTooLong) } else { Ok(None) };
            };
            let head: Vec<u8> = self.buffer.drain(..end + 4).take(end).collect();
            self.begun = Some(self.head(&head)?);
        }
        match self.begun.take() {
            Some((mut message, length)) if self.buffer.len() >= length => {
                message.body = self.buffer.drain(..length).collect();
                Ok(Some(message))
            }
            begun => {
                self.begun = begun;
                Ok(None)
            }
        }
    }

    fn head(&self, bytes: &[u8]) -> Result<(Message, usize), Wrong> {
        let text = std::str::from_utf8(bytes).map_err(|_| Wrong::Header)?;
        let mut lines: Vec<String> = Vec::new();
        for line in text.split("\r\n") {
            if line.contains(['\r', '\n', '\0']) {
                return Err(Wrong::Header);
            }
            match (line.starts_with([' ', '\t']), lines.len()) {
                // A line that begins with a blank goes on with the header before it (section 7.3.1).
                (true, 2..) => {
                    if let Some(last) = lines.last_mut() {
                        last.push(' ');
                        last.push_str(line.trim());
                    }
                }
                (true, _) => return Err(Wrong::Header),
                (false, _) => lines.push(line.to_owned()),
            }
            if lines.len() > self.limits.headers + 1 {
                return Err(Wrong::TooManyHeaders);
            }
        }
        let mut lines = lines.into_iter();
        let mut message = Message::new(start(&lines.next().unwrap_or_default()).ok_or(Wrong::FirstLine)?);
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(Wrong::Header)?;
            let name = name.trim_end_matches([' ', '\t']);
            if !is_token(name) {
                return Err(Wrong::Header);
            }
            message.push(name, value.trim().to_owned());
        }
        let length = {
            let mut lengths = message.all("Content-Length");
            let (first, second) = (lengths.next(), lengths.next());
            let digits = first.filter(|text| second.is_none() && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
            let digits = digits.ok_or(Wrong::Length)?;
            // More digits than fit are a number all the same, and a large one.
            digits.parse::<usize>().unwrap_or(usize::MAX)
        };
        if length > self.limits.body {
            return Err(Wrong::BodyTooLong);
        }
        Ok((message, length))
    }
}

fn start(line: &str) -> Option<Start> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let fits = code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit());
        let code = code.parse().ok().filter(|code| fits && (100..700).contains(code))?;
        return Some(Start::Status { code, reason: reason.to_owned() });
    }
    let mut words = line.split(' ');
    let (method, uri, version) = (words.next()?, words.next()?, words.next()?);
    let fits = is_token(method) && method.len() <= 32 && !uri.is_empty() && uri.len() <= 1024;
    let start = Start::Request { method: method.to_owned(), uri: uri.to_owned() };
    (fits && version == "SIP/2.0" && words.next().is_none()).then_some(start)
}

/// A `token` of section 25.1.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: 300, headers: 6, body: 20 };

    fn read(text: &str) -> Result<Option<Message>, Wrong> {
        let mut decoder = Decoder::new(LIMITS);
        decoder.push(text.as_bytes());
        decoder.message()
    }

    #[test]
    fn a_message_is_read_whichever_way_it_is_cut() {
        let text = "\r\n\r\nINFO sip:a@b SIP/2.0\r\nf: <sip:c@d>;\r\n tag=1\r\nl : 5\r\n\r\nhelloSIP/2.0 200 OK\r\nl:0\r\n\r\n";
        for cut in 1..text.len() {
            let mut decoder = Decoder::new(LIMITS);
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(cut) {
                decoder.push(piece);
                while let Ok(Some(message)) = decoder.message() {
                    found.push(message);
                }
            }
            assert_eq!(found.len(), 2, "cut every {cut}");
            assert_eq!((found[0].header("From"), found[0].body.as_slice()), (Some("<sip:c@d>; tag=1"), b"hello".as_slice()));
            assert_eq!(found[1].code(), Some(200));
            assert!(!decoder.is_within());
        }
    }

    #[test]
    fn what_is_no_message_is_told_by_its_kind() {
        let long = format!("INFO sip:a@b SIP/2.0\r\nSubject: {}", "x".repeat(400));
        let many = format!("INFO sip:a@b SIP/2.0\r\n{}l: 0\r\n\r\n", "X: y\r\n".repeat(9));
        for (text, wrong) in [
            ("GET / HTTP/1.1\r\nl: 0\r\n\r\n", Wrong::FirstLine),
            ("SIP/2.0 99 x\r\nl: 0\r\n\r\n", Wrong::FirstLine),
            ("SIP/2.0 +20 x\r\nl: 0\r\n\r\n", Wrong::FirstLine),
            ("INFO  sip:a@b SIP/2.0\r\nl: 0\r\n\r\n", Wrong::FirstLine),
            ("INFO sip:a@b SIP/2.0\r\n\r\n", Wrong::Length),
            ("INFO sip:a@b SIP/2.0\r\nl: -1\r\n\r\n", Wrong::Length),
            ("INFO sip:a@b SIP/2.0\r\nl: 1\r\nContent-Length: 1\r\n\r\n", Wrong::Length),
            ("INFO sip:a@b SIP/2.0\r\nl: 99999999999999999999999\r\n\r\n", Wrong::BodyTooLong),
            ("INFO sip:a@b SIP/2.0\r\nl: 21\r\n\r\n", Wrong::BodyTooLong),
            ("INFO sip:a@b SIP/2.0\r\nno header\r\n\r\n", Wrong::Header),
            ("INFO sip:a@b SIP/2.0\r\nX: a\nY: b\r\nl: 0\r\n\r\n", Wrong::Header),
            ("INFO sip:a@b SIP/2.0\r\n folded: 1\r\n\r\n", Wrong::Header),
            (&long, Wrong::HeadTooLong),
            (&many, Wrong::TooManyHeaders),
        ] {
            assert_eq!(read(text), Err(wrong), "{text}");
        }
    }
}
