//! StartTLS (RFC 4511 section 4.14): the one exchange in the clear. Done here and not by the library, because what comes
//! before TLS may come from anybody: it is read byte by byte, and whatever follows the answer is refused.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::outcome;
use crate::foreign::one_line;

/// Message 1, an `ExtendedRequest` with the name 1.3.6.1.4.1.1466.20037.
const REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
/// An honest answer has a hundred bytes.
const LONGEST: usize = 4096;

/// Asks for TLS. `Ok` means that the server has agreed and has sent nothing more.
///
/// # Errors
/// It refused, or answered something else: a text for people.
pub async fn ask(stream: &mut TcpStream, host: &str) -> Result<(), String> {
    let lost = |error: std::io::Error| format!("`{host}` broke off while StartTLS was asked for: {error}");
    stream.write_all(REQUEST).await.map_err(lost)?;
    let mut answer = Vec::new();
    let message = loop {
        match message(&answer) {
            Some(Ok(length)) if answer.len() == length => break answer,
            Some(Ok(length)) if answer.len() > length => return Err(injected(host)),
            Some(Ok(_)) | None => {}
            Some(Err(())) => return Err(format!("`{host}` did not answer StartTLS as LDAP; nothing was sent")),
        }
        if stream.read_buf(&mut answer).await.map_err(lost)? == 0 {
            return Err(format!("`{host}` closed the connection when StartTLS was asked for; no password was sent"));
        }
    };
    let (code, text) =
        result(&message).ok_or_else(|| format!("`{host}` did not answer StartTLS as LDAP; no password was sent"))?;
    if code != 0 {
        let said = one_line(&text, 200);
        let said = if said.is_empty() { said } else { format!(": {said}") };
        return Err(format!(
            "`{host}` refuses StartTLS ({}{said}); no password was sent. If it offers TLS on a port of its own, write `ldaps://`",
            outcome::name(code)
        ));
    }
    // In TLS the client speaks first. What is there already was put in by somebody who cannot speak TLS.
    let mut one = [0];
    match stream.try_read(&mut one) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        Ok(0) => Err(format!("`{host}` closed the connection after it had agreed to StartTLS")),
        Ok(_) => Err(injected(host)),
        Err(error) => Err(lost(error)),
    }
}

fn injected(host: &str) -> String {
    format!("`{host}` sent more in the clear than the answer to StartTLS: somebody may sit in between; no password was sent")
}

/// The length of the whole message, once it can be told; an error if it cannot be one.
fn message(bytes: &[u8]) -> Option<Result<usize, ()>> {
    if bytes.first().is_some_and(|tag| *tag != 0x30) {
        return Some(Err(()));
    }
    let Ok((length, header)) = length(bytes.get(1..)?)? else { return Some(Err(())) };
    Some(if length > LONGEST { Err(()) } else { Ok(1 + header + length) })
}

/// A BER length and how many bytes it takes itself.
fn length(bytes: &[u8]) -> Option<Result<(usize, usize), ()>> {
    let first = usize::from(*bytes.first()?);
    if first < 0x80 {
        return Some(Ok((first, 1)));
    }
    let count = first & 0x7f;
    if count == 0 || count > 4 {
        return Some(Err(()));
    }
    let digits = bytes.get(1..=count)?;
    Some(Ok((digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), 1 + count)))
}

/// One element: its tag, its value, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (length, header) = length(rest)?.ok()?;
    let rest = rest.get(header..)?;
    (rest.len() >= length).then(|| (tag, &rest[..length], &rest[length..]))
}

/// The result code and text of an `ExtendedResponse` to message 1; of a Notice of Disconnection (message 0) too.
fn result(message: &[u8]) -> Option<(u32, String)> {
    let (0x30, inner, []) = element(message)? else { return None };
    let (0x02, id, rest) = element(inner)? else { return None };
    let (0x78, response, _) = element(rest)? else { return None };
    let (0x0a, code, rest) = element(response)? else { return None };
    if code.is_empty() || code.len() > 4 {
        return None;
    }
    let code = code.iter().fold(0, |code, byte| (code << 8) | u32::from(*byte));
    match id {
        [1] => {}
        // Never an agreement.
        [0] if code != 0 => {}
        _ => return None,
    }
    let (0x04, _, rest) = element(rest)? else { return None };
    let (0x04, text, _) = element(rest)? else { return None };
    Some((code, String::from_utf8_lossy(text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An `ExtendedResponse` as slapd sends it.
    const AGREED: &[u8] = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00";

    #[test]
    fn f68_only_a_whole_answer_to_message_one_with_code_zero_is_an_agreement() {
        assert_eq!(message(AGREED), Some(Ok(AGREED.len())));
        assert_eq!(result(AGREED), Some((0, String::new())));
        for end in 0..AGREED.len() {
            assert_ne!(message(&AGREED[..end]), Some(Ok(end)));
            assert_eq!(result(&AGREED[..end]), None);
        }
        let mut other = AGREED.to_vec();
        other[4] = 2;
        assert_eq!(result(&other), None, "another message");
        other[4] = 0;
        assert_eq!(result(&other), None, "a notice agrees to nothing");
        other[9] = 52;
        assert_eq!(result(&other), Some((52, String::new())), "a Notice of Disconnection");
    }

    #[test]
    fn a_length_that_no_answer_has_is_refused_before_it_is_waited_for() {
        assert_eq!(message(b"\x30\x84\xff\xff\xff\xff"), Some(Err(())));
        assert_eq!(message(b"\x30\x80"), Some(Err(())));
        assert_eq!(message(b"HTTP"), Some(Err(())));
    }
}
