//! Fragments ([MS-PSRP] section 2.2.4): a header in big-endian order, and a part of a message.
//!
//! A fragment is never split over two payloads of the transport, but one payload may hold several. Fragments of one
//! object come in order; those of different objects may mix.

use std::collections::HashMap;

use super::PsrpError;

/// Bytes of a fragment's header: object (8), fragment (8), flags (1), length (4).
pub const FRAGMENT_HEADER: usize = 21;
const START: u8 = 1;
const END: u8 = 2;

/// Cuts messages into fragments and numbers them. One per client, for the pool and all its pipelines: a number that
/// comes twice loses messages on the other side.
#[derive(Debug)]
pub struct Fragmenter {
    next_object: u64,
}

impl Default for Fragmenter {
    fn default() -> Self {
        Fragmenter { next_object: 1 }
    }
}

impl Fragmenter {
    /// The fragments of a message, each at most `payload` bytes long with its header.
    ///
    /// # Errors
    /// [`PsrpError::NoRoom`] when `payload` does not hold a header and one byte.
    pub fn fragments(&mut self, message: &[u8], payload: usize) -> Result<Vec<Vec<u8>>, PsrpError> {
        // The length of a part is a number of 32 bits.
        let room = payload.saturating_sub(FRAGMENT_HEADER).min(u32::MAX as usize);
        if room == 0 {
            return Err(PsrpError::NoRoom { payload });
        }
        let object = self.next_object;
        self.next_object += 1;
        let last = message.len().div_ceil(room).saturating_sub(1);
        // A message without bytes is still one fragment.
        let parts = message.chunks(room).chain(message.is_empty().then_some(message));
        Ok(parts
            .enumerate()
            .map(|(index, part)| {
                let flags = if index == 0 { START } else { 0 } | if index == last { END } else { 0 };
                let mut fragment = Vec::with_capacity(FRAGMENT_HEADER + part.len());
                fragment.extend_from_slice(&object.to_be_bytes());
                fragment.extend_from_slice(&(index as u64).to_be_bytes());
                fragment.push(flags);
                fragment.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
                fragment.extend_from_slice(part);
                fragment
            })
            .collect())
    }
}

/// What fragments may cost before their messages are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentLimits {
    /// Bytes of all messages under way together.
    pub bytes: usize,
    /// Messages under way at once.
    pub objects: usize,
}

impl Default for FragmentLimits {
    /// 256 MiB, 64 messages.
    fn default() -> Self {
        FragmentLimits { bytes: 256 << 20, objects: 64 }
    }
}

/// Puts the fragments of one stream together.
#[derive(Debug, Default)]
pub struct Defragmenter {
    limits: FragmentLimits,
    open: HashMap<u64, Open>,
    bytes: usize,
    /// The highest number begun so far, where numbers must grow.
    highest: Option<u64>,
    /// Somebody else read the stream before.
    joining: bool,
}

#[derive(Debug)]
struct Open {
    next: u64,
    data: Vec<u8>,
}

/// One fragment of a payload.
struct Fragment<'a> {
    object: u64,
    number: u64,
    start: bool,
    end: bool,
    data: &'a [u8],
}

/// Eight bytes of a header.
fn number(bytes: &[u8], from: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?))
}

/// The first fragment of a payload, and the bytes after it.
fn split(payload: &[u8]) -> Result<(Fragment<'_>, &[u8]), PsrpError> {
    let cut = |wanted| PsrpError::CutFragment { found: payload.len(), wanted };
    let header = || {
        let length = u32::from_be_bytes(payload.get(17..FRAGMENT_HEADER)?.try_into().ok()?);
        Some((number(payload, 0)?, number(payload, 8)?, *payload.get(16)?, length as usize))
    };
    let (object, number, flags, length) = header().ok_or_else(|| cut(FRAGMENT_HEADER))?;
    let body = payload.get(FRAGMENT_HEADER..).unwrap_or_default();
    let (data, rest) = body.split_at_checked(length).ok_or_else(|| cut(FRAGMENT_HEADER.saturating_add(length)))?;
    Ok((Fragment { object, number, start: flags & START != 0, end: flags & END != 0, data }, rest))
}

impl Defragmenter {
    /// A stream with these limits.
    #[must_use]
    pub fn new(limits: FragmentLimits) -> Self {
        Defragmenter { limits, ..Defragmenter::default() }
    }

    /// Refuses objects whose number does not grow, as a server should that hears one client.
    #[must_use]
    pub fn growing(mut self) -> Self {
        self.highest = Some(0);
        self
    }

    /// Passes over the rest of a message whose beginning somebody else read.
    #[must_use]
    pub fn joining(mut self) -> Self {
        self.joining = true;
        self
    }

    /// Takes one payload of the transport, gives the messages that it completes.
    ///
    /// The error, if any, says that after these messages the payload was not made of whole fragments in order, or that a
    /// limit was exceeded. The stream cannot be trusted then.
    pub fn push(&mut self, payload: &[u8]) -> (Vec<Vec<u8>>, Option<PsrpError>) {
        let mut messages = Vec::new();
        let mut rest = payload;
        while !rest.is_empty() {
            let done = split(rest).and_then(|(fragment, after)| {
                rest = after;
                self.fragment(&fragment)
            });
            match done {
                Ok(message) => messages.extend(message),
                Err(error) => return (messages, Some(error)),
            }
        }
        (messages, None)
    }

    fn fragment(&mut self, fragment: &Fragment<'_>) -> Result<Option<Vec<u8>>, PsrpError> {
        let object = fragment.object;
        if object == 0 {
            return Err(PsrpError::ObjectZero);
        }
        if fragment.start != (fragment.number == 0) {
            return Err(PsrpError::FragmentMark { object, fragment: fragment.number });
        }
        // Only messages that begin can be followed; the first one that does ends this mercy.
        self.joining &= !fragment.start;
        if self.joining {
            return Ok(None);
        }
        let wanted = self.open.get(&object).map_or(0, |open| open.next);
        if fragment.number != wanted {
            return Err(PsrpError::FragmentOrder { object, found: fragment.number, wanted });
        }
        if fragment.start
            && let Some(highest) = &mut self.highest
        {
            if object <= *highest {
                return Err(PsrpError::ObjectReused { object, highest: *highest });
            }
            *highest = object;
        }
        if self.bytes.saturating_add(fragment.data.len()) > self.limits.bytes {
            return Err(PsrpError::ObjectTooLarge { limit: self.limits.bytes });
        }
        if fragment.end {
            let mut data = self.open.remove(&object).map(|open| open.data).unwrap_or_default();
            self.bytes -= data.len();
            data.extend_from_slice(fragment.data);
            return Ok(Some(data));
        }
        if fragment.start && self.open.len() >= self.limits.objects {
            return Err(PsrpError::TooManyObjects { limit: self.limits.objects });
        }
        let open = self.open.entry(object).or_insert(Open { next: 0, data: Vec::new() });
        // A message would need more fragments than there are numbers.
        open.next = open.next.saturating_add(1);
        open.data.extend_from_slice(fragment.data);
        self.bytes += fragment.data.len();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(object: u64, number: u64, flags: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = object.to_be_bytes().to_vec();
        bytes.extend(number.to_be_bytes());
        bytes.push(flags);
        bytes.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn the_header_is_big_endian_and_objects_count_from_one() {
        let mut fragmenter = Fragmenter::default();
        assert_eq!(fragmenter.fragments(b"abc", 23).unwrap(), [fragment(1, 0, 1, b"ab"), fragment(1, 1, 2, b"c")]);
        assert_eq!(fragmenter.fragments(b"", 23).unwrap(), [fragment(2, 0, 3, b"")]);
        assert_eq!(fragmenter.fragments(b"ab", 23).unwrap(), [fragment(3, 0, 3, b"ab")]);
        assert_eq!(fragmenter.fragments(b"ab", 21), Err(PsrpError::NoRoom { payload: 21 }));
    }

    #[test]
    fn who_joins_a_stream_passes_over_the_rest_of_a_message_and_nothing_more() {
        let mut stream = Defragmenter::new(FragmentLimits::default()).joining();
        let payload = [fragment(4, 7, 0, b"x"), fragment(4, 8, 2, b"y"), fragment(5, 0, 3, b"whole")].concat();
        assert_eq!(stream.push(&payload), (vec![b"whole".to_vec()], None));
        let order = PsrpError::FragmentOrder { object: 6, found: 1, wanted: 0 };
        assert_eq!(stream.push(&fragment(6, 1, 2, b"z")), (vec![], Some(order)));
    }

    #[test]
    fn hostile_fragments_are_refused() {
        let push = |payloads: &[Vec<u8>]| {
            let mut stream = Defragmenter::new(FragmentLimits { bytes: 10, objects: 2 }).growing();
            payloads.iter().find_map(|payload| stream.push(payload).1).unwrap()
        };
        assert_eq!(push(&[vec![0; 20]]), PsrpError::CutFragment { found: 20, wanted: 21 });
        assert_eq!(push(&[fragment(1, 0, 3, b"abc")[..23].to_vec()]), PsrpError::CutFragment { found: 23, wanted: 24 });
        assert_eq!(push(&[fragment(0, 0, 3, b"a")]), PsrpError::ObjectZero);
        assert_eq!(push(&[fragment(1, 0, 2, b"a")]), PsrpError::FragmentMark { object: 1, fragment: 0 });
        assert_eq!(push(&[fragment(1, 1, 0, b"a")]), PsrpError::FragmentOrder { object: 1, found: 1, wanted: 0 });
        let begun = fragment(1, 0, 1, b"a");
        assert_eq!(push(&[begun.clone(), begun.clone()]), PsrpError::FragmentOrder { object: 1, found: 0, wanted: 1 });
        assert_eq!(push(&[begun.clone(), fragment(1, 1, 1, b"")]), PsrpError::FragmentMark { object: 1, fragment: 1 });
        assert_eq!(push(&[begun.clone(), fragment(1, 2, 2, b"")]), PsrpError::FragmentOrder { object: 1, found: 2, wanted: 1 });
        let second = fragment(2, 0, 1, b"a");
        assert_eq!(push(&[begun.clone(), second, fragment(3, 0, 1, b"a")]), PsrpError::TooManyObjects { limit: 2 });
        assert_eq!(push(&[begun, fragment(1, 1, 0, b"aaaaaaaaaa")]), PsrpError::ObjectTooLarge { limit: 10 });
        let whole = fragment(2, 0, 3, b"a");
        assert_eq!(push(&[whole.clone(), whole]), PsrpError::ObjectReused { object: 2, highest: 2 });
        let mut huge = fragment(1, 0, 1, b"");
        huge[17..21].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(push(&[huge]), PsrpError::CutFragment { found: 21, .. }));
    }
}
