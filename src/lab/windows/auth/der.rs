//! As much of DER as SPNEGO needs: tag, length, value. Lengths below 64 KiB.

/// One element: its tag and what is in it.
pub fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), &rest[2..]),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

/// The value of the element, which must have this tag and be all there is.
pub fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    take(bytes).filter(|(found, _, rest)| *found == tag && rest.is_empty()).map(|(_, value, _)| value)
}

/// The elements of a sequence's value.
pub fn all(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (tag, value, rest) = take(bytes)?;
        found.push((tag, value));
        bytes = rest;
    }
    Some(found)
}

/// An element.
pub fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let [high, low] = u16::try_from(value.len()).unwrap_or_else(|_| unreachable!("tokens are short")).to_be_bytes();
    match value.len() {
        0..=0x7f => out.push(low),
        0x80..=0xff => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend(value);
    out
}
