//! Sealed messages in HTTP: `multipart/encrypted` with one fixed boundary ([MS-WSMV] section 2.2.9.1).
//!
//! The second part is binary and ends directly before the last boundary, so that the boundary's text may well occur inside
//! it: the fixed end is cut off, never searched for.

use crate::remoting::auth::SealedMessage;

/// The type of what is inside for contexts of `Negotiate`.
pub const SPNEGO: &str = "application/HTTP-SPNEGO-session-encrypted";
/// The type of what is inside for contexts of `Kerberos`.
pub const KERBEROS: &str = "application/HTTP-Kerberos-session-encrypted";

/// Value of `Content-Type` for a sealed message.
#[must_use]
pub fn content_type(protocol: &str) -> String {
    format!("multipart/encrypted;protocol=\"{protocol}\";boundary=\"Encrypted Boundary\"")
}

/// Whether a `Content-Type` announces a sealed message.
#[must_use]
pub fn is_sealed(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("multipart/encrypted"))
}

/// The body of a sealed message whose plain text has `plain` bytes.
#[must_use]
pub fn encode(protocol: &str, plain: usize, message: &SealedMessage) -> Vec<u8> {
    let signature = u32::try_from(message.signature.len()).unwrap_or_else(|_| unreachable!("signatures are short"));
    let mut body = format!(
        "--Encrypted Boundary\r\n\tContent-Type: {protocol}\r\n\
         \tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={plain}\r\n\
         --Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
    )
    .into_bytes();
    body.extend(signature.to_le_bytes());
    body.extend(&message.signature);
    body.extend(&message.data);
    body.extend(b"--Encrypted Boundary--\r\n");
    body
}

/// Takes a body apart. Gives the announced length of the plain text, too: who unseals must compare.
///
/// # Errors
/// What is wrong in its form.
pub fn decode(body: &[u8]) -> Result<(usize, SealedMessage), &'static str> {
    let mut rest = boundary(body).ok_or("it does not begin with the boundary")?;
    let mut length = None;
    loop {
        if let Some(after) = boundary(rest) {
            rest = after;
            break;
        }
        let (line, after) = line(rest).ok_or("its first part has no end")?;
        if let Some(value) = header(line, "OriginalContent") {
            length = Some(original_length(value).ok_or("it does not say how long the message is")?);
        }
        rest = after;
    }
    let length = length.ok_or("it does not say how long the message is")?;
    let (kind, binary) = line(rest).ok_or("its second part has no type")?;
    header(kind, "Content-Type")
        .filter(|kind| kind.eq_ignore_ascii_case("application/octet-stream"))
        .ok_or("its second part is not binary")?;
    let binary = ["--Encrypted Boundary--\r\n", "-- Encrypted Boundary--\r\n"]
        .iter()
        .find_map(|end| binary.strip_suffix(end.as_bytes()))
        .ok_or("it does not end with the boundary")?;
    let (size, rest) = binary.split_first_chunk::<4>().ok_or("it has no signature")?;
    let size = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
    let (signature, data) = rest.split_at_checked(size).ok_or("its signature is longer than itself")?;
    Ok((length, SealedMessage { signature: signature.to_vec(), data: data.to_vec() }))
}

/// What follows a boundary line. Exchange writes it with a space.
fn boundary(bytes: &[u8]) -> Option<&[u8]> {
    ["--Encrypted Boundary\r\n", "-- Encrypted Boundary\r\n"].iter().find_map(|line| bytes.strip_prefix(line.as_bytes()))
}

/// The first line as text, and what follows it. Header lines are short.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().take(1024).position(|byte| *byte == b'\n')?;
    let line = bytes[..end].strip_suffix(b"\r")?;
    Some((str::from_utf8(line).ok()?, &bytes[end + 1..]))
}

fn header<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = line.trim().split_once(':')?;
    key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
}

fn original_length(value: &str) -> Option<usize> {
    value.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case("Length").then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> SealedMessage {
        // The data holds the boundary, which must not matter.
        SealedMessage { signature: vec![7; 16], data: b"a--Encrypted Boundary--\r\n--Encrypted Boundary\r\n".to_vec() }
    }

    #[test]
    fn what_was_sealed_comes_back_even_with_a_boundary_inside() {
        let body = encode(SPNEGO, 48, &message());
        assert_eq!(decode(&body), Ok((48, message())));
    }

    #[test]
    fn a_boundary_with_a_space_is_read() {
        let plain = SealedMessage { signature: vec![1; 60], data: vec![2; 9] };
        let body = encode(KERBEROS, 9, &plain);
        let (head, binary) = body.split_at(body.len() - 9 - 64 - 24);
        let head = String::from_utf8(head.to_vec()).unwrap().replace("--Encrypted", "-- Encrypted");
        let spaced = [head.as_bytes(), &binary[..73], b"-- Encrypted Boundary--\r\n"].concat();
        assert_eq!(decode(&spaced), Ok((9, plain)));
    }

    #[test]
    fn every_cut_is_refused() {
        let body = encode(SPNEGO, 3, &SealedMessage { signature: vec![7; 16], data: b"abc".to_vec() });
        for end in 0..body.len() {
            assert!(decode(&body[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_signature_that_is_longer_than_the_message_is_refused() {
        let mut body = encode(SPNEGO, 3, &SealedMessage { signature: vec![7; 16], data: b"abc".to_vec() });
        let place = body.len() - 24 - 3 - 16 - 4;
        body[place + 3] = 0xff;
        assert_eq!(decode(&body), Err("its signature is longer than itself"));
    }
}
