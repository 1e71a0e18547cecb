//! The escapes of strings: `_xHHHH_` stands for one unit of UTF-16 ([MS-PSRP] section 2.2.5.3.2).
//!
//! - Escaped on the way out: control characters (an XML parser would turn CR LF into LF), every surrogate, U+FFFE and
//!   U+FFFF (not allowed in XML), and the underscore of anything that could be taken for an escape.
//! - On the way in, pairs of escaped surrogates become one character; one without its partner becomes U+FFFD, because
//!   a Rust string cannot hold it.

use std::fmt::Write as _;

/// Appends `text` with escapes to `out`; what XML itself wants escaped (`<`, `&`, …) is not its concern.
fn escape_into(text: &str, out: &mut String) {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '_' if matches!(characters.peek(), Some('x' | 'X')) => out.push_str("_x005F_"),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' | '\u{10000}'.. => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "_x{unit:04X}_");
                }
            }
            plain => out.push(plain),
        }
    }
}

/// The text with every unit escaped that CLIXML wants escaped.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_into(text, &mut out);
    out
}

/// The unit of UTF-16 that an escape at the start of `text` stands for. Hexadecimal digits of both cases, a small `x`.
fn escaped_unit(text: &[u8]) -> Option<u16> {
    let [b'_', b'x', digits @ .., b'_'] = text.get(..7)? else { return None };
    digits.iter().try_fold(0u16, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

/// The text that an escaped text stands for.
#[must_use]
pub fn unescape(text: &str) -> String {
    if !text.contains("_x") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut high: Option<u16> = None;
    let mut rest = text;
    while !rest.is_empty() {
        let Some(unit) = escaped_unit(rest.as_bytes()) else {
            if high.take().is_some() {
                out.push(char::REPLACEMENT_CHARACTER);
            }
            let mut characters = rest.chars();
            out.extend(characters.next());
            rest = characters.as_str();
            continue;
        };
        rest = rest.get(7..).unwrap_or_default();
        let pair = high.take().map(|first| char::decode_utf16([first, unit]).next());
        match pair {
            Some(Some(Ok(character))) => {
                out.push(character);
                continue;
            }
            Some(_) => out.push(char::REPLACEMENT_CHARACTER),
            None => {}
        }
        // A first half may find its partner in the next escape.
        if (0xd800..0xdc00).contains(&unit) {
            high = Some(unit);
        } else {
            out.push(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
    }
    if high.is_some() {
        out.push(char::REPLACEMENT_CHARACTER);
    }
    out
}

/// Escaped for CLIXML and for XML, fit for the content of an element and for an attribute in double quotes.
pub(super) fn escape_xml(text: &str, out: &mut String) {
    let clean = |byte: u8| (0x20..0x7f).contains(&byte) && !matches!(byte, b'_' | b'<' | b'>' | b'&' | b'"');
    if text.bytes().all(clean) {
        out.push_str(text);
        return;
    }
    for character in escape(text).chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            plain => out.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s11_control_characters_surrogates_and_what_looks_like_an_escape_are_escaped_and_come_back() {
        for (plain, escaped) in [
            ("a\r\nb", "a_x000D__x000A_b"),
            ("\u{0}\u{7f}\u{85}\u{9f}\u{a0}", "_x0000__x007F__x0085__x009F_\u{a0}"),
            ("😀", "_xD83D__xDE00_"),
            ("\u{fffe}\u{ffff}", "_xFFFE__xFFFF_"),
            ("_x000A_", "_x005F_x000A_"),
            ("_X000A_", "_x005F_X000A_"),
            ("_x", "_x005F_x"),
            ("__x000D_", "__x005F_x000D_"),
            ("_\r", "__x000D_"),
            ("_y_", "_y_"),
        ] {
            assert_eq!(escape(plain), escaped);
            assert_eq!(unescape(escaped), plain);
        }
    }

    #[test]
    fn hexadecimal_digits_of_both_cases_are_read_and_what_is_no_escape_is_left() {
        assert_eq!(unescape("_x000d__x000A_"), "\r\n");
        assert_eq!(unescape("_xd83d__xDe00_"), "😀");
        for text in ["_x00D_", "_x000G_", "_X000D_", "_x000D", "_x", "_x+123_", "_xé00D_", "_x00é_"] {
            assert_eq!(unescape(text), text);
        }
    }

    #[test]
    fn a_surrogate_without_its_partner_becomes_the_replacement_character() {
        for (text, plain) in [
            ("_xD83D_", "\u{fffd}"),
            ("_xDE00_a", "\u{fffd}a"),
            ("_xD83D_a", "\u{fffd}a"),
            ("_xD83D_a_xDE00_", "\u{fffd}a\u{fffd}"),
            ("_xD83D__xD83D__xDE00_", "\u{fffd}😀"),
            ("_xD83D__x0041_", "\u{fffd}A"),
            ("_xDE00__xD83D_", "\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(unescape(text), plain, "{text}");
        }
    }
}
