//! Foreign text made harmless for a terminal, a log or a page.
//!
//! A plan, a server's answer or a person's reason may hold control characters (which move the cursor or colour the
//! screen), bidirectional overrides (which make a line read differently from what it says) and invisible
//! characters. All of them are shown by their number instead; [`hidden`] is the one table of what they are.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Why a character would act on a terminal, deceive a reader or not be seen; `None` for one that is what it looks like.
#[must_use]
pub fn hidden(c: char) -> Option<&'static str> {
    match c {
        '\u{feff}' => Some("a byte order mark"),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some("a character that changes the direction of writing")
        }
        '\u{ad}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{3164}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => Some("an invisible character"),
        '\u{85}' | '\u{2028}' | '\u{2029}' => Some("a line break that editors do not show"),
        _ if c.is_control() => Some("a control character"),
        _ => None,
    }
}

/// The text on one line, with everything that is not plainly visible written as an escape (`\n`, `\u{1b}`).
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| hidden(c).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c).is_some() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// The lines of a text, each escaped. Line breaks and tabs keep their meaning; empty lines at the end are dropped.
#[must_use]
pub fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|one| line(&one.replace('\t', "    ")).into_owned()).collect()
}

/// One line for a message or the journal: trimmed, tabs as blanks, everything hidden by its number, and what is longer
/// than `longest` characters cut with an ellipsis.
#[must_use]
pub fn one_line(text: &str, longest: usize) -> String {
    let mut line = String::with_capacity(text.len().min(longest));
    for (count, character) in text.trim().chars().enumerate() {
        if count == longest {
            line.push('…');
            break;
        }
        match character {
            '\t' => line.push(' '),
            c if hidden(c).is_some() => {
                let _ = write!(line, "\\u{{{:x}}}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line
}

/// What a server says to people, as [`one_line`]: its own line breaks are nothing but blanks. Not for names, in which a
/// line break is worth seeing.
#[must_use]
pub fn message(text: &str, longest: usize) -> String {
    one_line(&text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "), longest)
}

/// The last line that is not blank.
#[must_use]
pub fn last_line(text: &str) -> Option<&str> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

/// A text cut to at most `longest` bytes, at a character boundary.
#[must_use]
pub fn cut(mut text: String, longest: usize) -> String {
    text.truncate(text.floor_char_boundary(longest));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f102_s30_an_escape_sequence_from_a_server_does_not_reach_the_terminal() {
        assert_eq!(line("ok\u{1b}[2Jgone\r\n"), "ok\\u{1b}[2Jgone\\r\\n");
        assert_eq!(line("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(one_line("a\x1b[2Jb\u{202e}c\u{9b}d\r\n", 80), "a\\u{1b}[2Jb\\u{202e}c\\u{9b}d");
    }

    #[test]
    fn f102_s30_what_reorders_or_hides_text_is_shown_by_its_number() {
        assert_eq!(line("delete \u{202e}resu"), "delete \\u{202e}resu");
        assert_eq!(line("a\u{200b}b\u{2066}c\u{e0041}"), "a\\u{200b}b\\u{2066}c\\u{e0041}");
        for c in (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| hidden(*c).is_some()) {
            assert!(
                line(&c.to_string()).starts_with('\\') && (c == '\t' || one_line(&format!("a{c}b"), 9).contains('\\')),
                "{c:?}"
            );
        }
    }

    #[test]
    fn ordinary_text_in_any_language_is_left_alone() {
        assert!(matches!(line("Señal lista – 準備完了 ✓"), Cow::Borrowed(_)));
    }

    #[test]
    fn lines_keep_their_breaks_and_lose_empty_ones_at_the_end() {
        assert_eq!(lines("one\n\ttwo\u{7}\n\n"), ["one", "    two\\u{7}"]);
    }

    #[test]
    fn a_message_of_several_lines_is_one_and_no_longer_than_asked() {
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(
            message("Msg 3201, Level 16\r\n  Cannot open\x1b backup device.\n", 80),
            "Msg 3201, Level 16 Cannot open\\u{1b} backup device."
        );
    }

    #[test]
    fn the_last_line_with_something_in_it_is_found() {
        assert_eq!(last_line("one\ntwo\n\n  \n"), Some("two"));
        assert_eq!(last_line(" \n"), None);
    }
}
