//! Texts from outside made harmless for a terminal, a log or a page.
//!
//! A plan, a server's answer or a person's reason may hold control characters (which move the cursor or colour the
//! screen), bidirectional overrides (which make a line read differently from what it says) and invisible
//! characters. All of them are shown by their number instead.

use std::borrow::Cow;

/// The text on one line, with everything that is not plainly visible written as an escape (`\n`, `\u{1b}`).
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// The lines of a text, each escaped. Line breaks and tabs keep their meaning; empty lines at the end are dropped.
#[must_use]
pub fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|one| line(&one.replace('\t', "    ")).into_owned()).collect()
}

/// Whether a character would act on a terminal, or would not be seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_from_a_server_does_not_reach_the_terminal() {
        assert_eq!(line("ok\u{1b}[2Jgone\r\n"), "ok\\u{1b}[2Jgone\\r\\n");
        assert_eq!(line("\u{9b}31m"), "\\u{9b}31m");
    }

    #[test]
    fn a_bidirectional_override_is_shown_by_its_number() {
        assert_eq!(line("delete \u{202e}resu"), "delete \\u{202e}resu");
        assert_eq!(line("a\u{200b}b\u{2066}c\u{e0041}"), "a\\u{200b}b\\u{2066}c\\u{e0041}");
    }

    #[test]
    fn ordinary_text_in_any_language_is_left_alone() {
        assert!(matches!(line("Señal lista – 準備完了 ✓"), Cow::Borrowed(_)));
    }

    #[test]
    fn lines_keep_their_breaks_and_lose_empty_ones_at_the_end() {
        assert_eq!(lines("one\n\ttwo\u{7}\n\n"), ["one", "    two\\u{7}"]);
    }
}
