//! One line of the journal: `LLLLLLLL CCCCCCCC {json}\n`.
//!
//! `L` is the length of the JSON in bytes and `C` its CRC32C, both as eight lower-case hex digits. A frame is text, so
//! that `less`, `grep` and `cut` work on it; it has one spelling only, so that a change of any byte shows; and it can
//! never be all zeros, which is what a file system may leave behind after a power cut.

use std::ops::Range;

/// Bytes before the JSON.
pub const HEADER: usize = 18;
/// Bytes of a frame that are not JSON: the header and the line break.
pub const OVERHEAD: usize = HEADER + 1;
/// The longest JSON of one frame. The first record of a run holds a fingerprint per step, and is the only one that
/// comes near it: enough for about 150,000 steps. Bigger things go to `evidence/`.
pub const MAX_JSON: usize = 16 << 20;
/// One write to the file is at most this long unless a single frame is longer.
pub const MAX_BATCH: usize = 1 << 20;

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The eight digits, the space, the eight digits, the space are not there.
    #[error("a line does not start with a length and a checksum")]
    Header,
    /// The length is impossible.
    #[error("a line says that it is {0} bytes long")]
    Length(usize),
    /// The file ends within the frame.
    #[error("the last line is not complete")]
    Short,
    /// No line break where the frame ends.
    #[error("a line does not end where its length says")]
    LineBreak,
    /// The checksum is another one.
    #[error("a line's checksum is {found:08x}, but it says {written:08x}")]
    Checksum {
        /// What the frame says.
        written: u32,
        /// What its bytes give.
        found: u32,
    },
}

/// The JSON of a record is longer than [`MAX_JSON`], or could not be written as JSON at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EncodeError {
    /// Too long.
    #[error("a record of {0} bytes is longer than a line of the journal may be ({MAX_JSON} bytes)")]
    TooLong(usize),
    /// Not JSON.
    #[error("a record cannot be written as JSON: {0}")]
    Json(String),
}

/// What is at the start of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// A whole frame of `len` bytes; its JSON lies at [`HEADER`]`..len - 1`.
    Frame {
        /// Length with header and line break.
        len: usize,
    },
    /// It may become a frame once there are this many bytes.
    Incomplete {
        /// Bytes needed to know more.
        need: usize,
    },
    /// It is none, whatever follows.
    Bad(Fault),
}

/// Appends a frame to `buffer`; `write` appends the JSON. Returns where the frame is. On an error `buffer` is as before.
///
/// # Errors
/// The JSON is too long or cannot be made.
pub fn encode(
    buffer: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) -> Result<Range<usize>, EncodeError> {
    let start = buffer.len();
    buffer.extend_from_slice(b"00000000 00000000 ");
    let body = start + HEADER;
    let written = write(buffer).map_err(|e| EncodeError::Json(e.to_string()));
    let long = buffer.len() - body;
    let sound = written.and(if long > MAX_JSON { Err(EncodeError::TooLong(long)) } else { Ok(()) });
    if let Err(error) = sound {
        buffer.truncate(start);
        return Err(error);
    }
    let crc = crc32c::crc32c(&buffer[body..]);
    // The length fits: it is at most MAX_JSON.
    put_hex(&mut buffer[start..start + 8], u32::try_from(long).unwrap_or(u32::MAX));
    put_hex(&mut buffer[start + 9..start + 17], crc);
    buffer.push(b'\n');
    Ok(start..buffer.len())
}

/// Looks for a frame at the start of `bytes`.
#[must_use]
pub fn decode(bytes: &[u8]) -> Decoded {
    let Some(header) = bytes.get(..HEADER) else { return Decoded::Incomplete { need: HEADER } };
    let (Some(long), Some(crc), b' ', b' ') = (hex(&header[..8]), hex(&header[9..17]), header[8], header[17]) else {
        return Decoded::Bad(Fault::Header);
    };
    let long = long as usize;
    if !(2..=MAX_JSON).contains(&long) {
        return Decoded::Bad(Fault::Length(long));
    }
    let len = long + OVERHEAD;
    let Some(frame) = bytes.get(..len) else { return Decoded::Incomplete { need: len } };
    if frame[len - 1] != b'\n' {
        return Decoded::Bad(Fault::LineBreak);
    }
    let found = crc32c::crc32c(&frame[HEADER..len - 1]);
    if found == crc { Decoded::Frame { len } } else { Decoded::Bad(Fault::Checksum { written: crc, found }) }
}

/// Where in `bytes` the first whole frame starts, at any offset.
#[must_use]
pub fn find(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len().saturating_sub(OVERHEAD)).find(|&at| {
        // The cheap look first: the tail may be a megabyte of anything.
        bytes[at + 8] == b' ' && bytes[at + 17] == b' ' && matches!(decode(&bytes[at..]), Decoded::Frame { .. })
    })
}

fn put_hex(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
}

/// Eight lower-case hex digits. Capitals are refused: one bit apart from the small ones, they would hide a flip.
fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u32::from(value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(json: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        encode(&mut buffer, |b| {
            b.extend_from_slice(json);
            Ok(())
        })
        .unwrap();
        buffer
    }

    #[test]
    fn a_frame_reads_as_length_checksum_json() {
        assert_eq!(framed(br#"{"a":1}"#), b"00000007 cff7d56a {\"a\":1}\n".as_slice());
    }

    #[test]
    fn a_record_that_is_too_long_leaves_the_buffer_alone() {
        let mut buffer = framed(b"{}");
        let before = buffer.clone();
        let long = vec![b'x'; MAX_JSON + 1];
        let error = encode(&mut buffer, |b| {
            b.extend_from_slice(&long);
            Ok(())
        });
        assert!(matches!(error, Err(EncodeError::TooLong(n)) if n == MAX_JSON + 1));
        assert_eq!(buffer, before);
    }

    #[test]
    fn f14_zeros_are_never_a_frame() {
        assert_eq!(decode(&[0; 64]), Decoded::Bad(Fault::Header));
        assert_eq!(find(&[0; 64]), None);
    }

    proptest! {
        #[test]
        fn any_text_survives_a_frame(text in any::<String>()) {
            let json = serde_json::to_vec(&text).unwrap();
            let frame = framed(&json);
            prop_assert_eq!(decode(&frame), Decoded::Frame { len: frame.len() });
            prop_assert_eq!(&frame[HEADER..frame.len() - 1], &json[..]);
            prop_assert_eq!(frame.iter().position(|b| *b == b'\n'), Some(frame.len() - 1));
        }

        #[test]
        fn f36_a_flip_of_any_bit_shows(text in any::<String>(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let mut frame = framed(&serde_json::to_vec(&text).unwrap());
            let at = at.index(frame.len());
            frame[at] ^= 1 << bit;
            let whole = matches!(decode(&frame), Decoded::Frame { len } if len == frame.len());
            prop_assert!(!whole);
        }

        #[test]
        fn a_frame_is_found_behind_garbage(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = garbage.clone();
            bytes.extend_from_slice(&framed(br#"{"seq":1}"#));
            prop_assert_eq!(find(&bytes), Some(garbage.len()));
        }
    }
}
