//! Messages on the wire. `ldap3_proto` gives them their meaning; this module frames them, and carries bytes that are
//! no text through filters, where `ldap3_proto` wants text: a search by objectGUID is full of them.

use ldap3_lber::Parser;
use ldap3_lber::common::TagClass;
use ldap3_lber::structure::{PL, StructureTag};
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::LdapMsg;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::Encoder as _;

/// No message is longer: `MaxReceiveBuffer` of Active Directory.
const LONGEST: usize = 10 * 1024 * 1024;
/// How deeply a message may be nested.
const DEPTH: usize = 100;
/// Begins a value of a filter that is no text; hexadecimal digits follow. No text of a client holds this character,
/// which Unicode reserves for inner use.
const MARK: char = '\u{FFFF}';

/// Why the bytes of a client are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage;

/// Takes the first whole message out of the buffer; `None` if more bytes are needed.
///
/// # Errors
/// It is no message, or a longer one than is taken. Nothing after it can be understood.
pub fn take(buffer: &mut Vec<u8>) -> Result<Option<LdapMsg>, Garbage> {
    let Some(length) = frame(buffer)? else { return Ok(None) };
    if buffer.len() < length {
        return Ok(None);
    }
    let bytes: Vec<u8> = buffer.drain(..length).collect();
    let (_, mut tag) = Parser::new(DEPTH).parse(&bytes).map_err(|_| Garbage)?;
    guard(&mut tag)?;
    LdapMsg::try_from(tag).map(Some).map_err(|_| Garbage)
}

/// How long the message at the front is, header and all.
fn frame(buffer: &[u8]) -> Result<Option<usize>, Garbage> {
    let Some(first) = buffer.first() else { return Ok(None) };
    if *first != 0x30 {
        return Err(Garbage);
    }
    let Some(short) = buffer.get(1) else { return Ok(None) };
    let (header, length) = match short {
        0..=0x7F => (2, usize::from(*short)),
        0x81..=0x84 => {
            let count = usize::from(short & 0x7F);
            let Some(bytes) = buffer.get(2..2 + count) else { return Ok(None) };
            (2 + count, bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)))
        }
        _ => return Err(Garbage),
    };
    if length > LONGEST { Err(Garbage) } else { Ok(Some(header + length)) }
}

/// Marks values of filters that are no text, and refuses operations that `ldap3_proto` does not know.
fn guard(message: &mut StructureTag) -> Result<(), Garbage> {
    let PL::C(parts) = &mut message.payload else { return Err(Garbage) };
    let operation = parts.get_mut(1).ok_or(Garbage)?;
    if operation.class != TagClass::Application || !matches!(operation.id, 0..=16 | 19 | 23..=25) {
        return Err(Garbage);
    }
    if operation.id == 3
        && let PL::C(parts) = &mut operation.payload
        && let Some(filter) = parts.get_mut(6)
    {
        mark(filter);
    }
    Ok(())
}

/// Marks the values of a filter that are no text.
pub fn mark(filter: &mut StructureTag) {
    match (&mut filter.payload, filter.id) {
        (PL::C(parts), 0..=2) => parts.iter_mut().for_each(mark),
        (PL::C(parts), 3 | 5 | 6 | 8) => parts.iter_mut().skip(1).for_each(mark_value),
        (PL::C(parts), 4) => {
            if let Some(StructureTag { payload: PL::C(values), .. }) = parts.get_mut(1) {
                values.iter_mut().for_each(mark_value);
            }
        }
        (PL::C(parts), 9) => parts.iter_mut().filter(|part| part.id == 3).for_each(mark_value),
        _ => {}
    }
}

fn mark_value(value: &mut StructureTag) {
    if let PL::P(bytes) = &mut value.payload
        && std::str::from_utf8(bytes).is_err()
    {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        *bytes = format!("{MARK}{digits}").into_bytes();
    }
}

/// The bytes that a client wrote in a filter.
#[must_use]
pub fn assertion_bytes(text: &str) -> Vec<u8> {
    text.strip_prefix(MARK).and_then(super::value::from_hex).unwrap_or_else(|| text.as_bytes().to_vec())
}

/// A message's bytes. One that cannot be written is a defect, and then nothing is sent.
#[must_use]
pub fn bytes(message: LdapMsg) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    match LdapCodec::default().encode(message, &mut buffer) {
        Ok(()) => buffer.to_vec(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_through_a_filter() {
        let mut value = StructureTag { class: TagClass::Universal, id: 4, payload: PL::P(vec![0xFF, 0x00, 0x80]) };
        mark_value(&mut value);
        let PL::P(marked) = value.payload else { panic!("still a value") };
        assert_eq!(assertion_bytes(std::str::from_utf8(&marked).unwrap_or_default()), [0xFF, 0x00, 0x80]);
        assert_eq!(assertion_bytes("text"), b"text");
    }

    #[test]
    fn garbage_and_endless_messages_are_refused_at_once() {
        assert_eq!(take(&mut b"GET / HTTP/1.1".to_vec()), Err(Garbage));
        assert_eq!(take(&mut vec![0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]), Err(Garbage));
        assert_eq!(take(&mut vec![0x30, 0x05, 0x02]), Ok(None));
        assert_eq!(take(&mut vec![0x30, 0x02, 0xFF, 0xFF]), Err(Garbage));
    }
}
