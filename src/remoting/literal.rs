//! Literals of the PowerShell language, for the one place where text must become script: the values of parameters that
//! are put before an author's script. Everywhere else values travel as values.

/// A text that cannot stand in a literal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the control character U+{:04X} at place {place} cannot stand in a PowerShell literal", u32::from(*character))]
pub struct LiteralError {
    /// The first such character.
    pub character: char,
    /// How many characters stand before it.
    pub place: usize,
}

/// Whether PowerShell takes a character for a single quote: the straight one, and U+2018 to U+201B.
fn is_single_quote(character: char) -> bool {
    matches!(character, '\'' | '\u{2018}'..='\u{201b}')
}

/// The text as a literal in single quotes, which PowerShell reads without looking for variables or escapes in it.
///
/// PowerShell ends such a literal at any of its five single quotes, unless two of them stand together; so each is
/// doubled. Double quotes, dollars and backticks mean nothing within it.
///
/// # Errors
/// [`LiteralError`] for control characters: no name or path has them, and a log would not show them.
pub fn single_quoted(text: &str) -> Result<String, LiteralError> {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for (place, character) in text.chars().enumerate() {
        if character.is_control() {
            return Err(LiteralError { character, place });
        }
        if is_single_quote(character) {
            literal.push(character);
        }
        literal.push(character);
    }
    literal.push('\'');
    Ok(literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s06_s07_every_kind_of_single_quote_is_doubled_and_nothing_else() {
        assert_eq!(single_quoted("a' ; b").as_deref(), Ok("'a'' ; b'"));
        assert_eq!(
            single_quoted("\u{2018}\u{2019}\u{201a}\u{201b}").unwrap(),
            "'\u{2018}\u{2018}\u{2019}\u{2019}\u{201a}\u{201a}\u{201b}\u{201b}'"
        );
        assert_eq!(single_quoted("$x `n \"\u{201c}\u{201d}\u{201e}").unwrap(), "'$x `n \"\u{201c}\u{201d}\u{201e}'");
        assert_eq!(single_quoted("").as_deref(), Ok("''"));
    }

    #[test]
    fn s09_control_characters_are_refused_by_name_and_place() {
        let error = single_quoted("ab\r\n").unwrap_err();
        assert_eq!(error.to_string(), "the control character U+000D at place 2 cannot stand in a PowerShell literal");
        for character in ['\0', '\t', '\n', '\u{1b}', '\u{7f}', '\u{85}', '\u{9f}'] {
            assert!(single_quoted(&character.to_string()).is_err());
        }
    }
}
