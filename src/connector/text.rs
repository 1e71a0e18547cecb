//! Foreign text made harmless: what a program printed must not move the cursor of whoever reads it.

use std::fmt::Write as _;

/// One line that is safe to print: control, direction and invisible characters are escaped, and what is longer than
/// `longest` characters is cut with an ellipsis.
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
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(line, "\\u{{{:x}}}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line
}

/// Format characters that reorder or hide text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
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
    fn escape_sequences_and_direction_marks_become_visible() {
        assert_eq!(one_line("a\x1b[2Jb\u{202e}c\u{9b}d\r\n", 80), "a\\u{1b}[2Jb\\u{202e}c\\u{9b}d");
        assert_eq!(one_line("abcdef", 3), "abc…");
    }

    #[test]
    fn the_last_line_with_something_in_it_is_found() {
        assert_eq!(last_line("one\ntwo\n\n  \n"), Some("two"));
        assert_eq!(last_line(" \n"), None);
    }
}
