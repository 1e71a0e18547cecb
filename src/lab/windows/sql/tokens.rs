//! Transact-SQL in pieces; nothing is lost, so that lines stay lines.

use super::error::SqlError;

/// A piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Blanks and comments: as many line ends as they held.
    Blank(usize),
    /// A word or number.
    Word(String),
    /// A name in brackets or double quotes, without them.
    Name(String),
    /// A text, without its quotes and with single ones within.
    Text(String),
    /// Any other character.
    Sign(char),
}

impl Token {
    /// A name, however it was written.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Token::Word(word) if !word.starts_with(|c: char| c.is_ascii_digit()) => Some(word),
            Token::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it is this word, which was not quoted.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(own) if own.eq_ignore_ascii_case(word))
    }
}

/// Takes a batch apart.
///
/// # Errors
/// A text, a name or a comment has no end.
pub fn tokens(text: &str) -> Result<Vec<Token>, SqlError> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&first) = chars.get(at) {
        let second = chars.get(at + 1).copied();
        match (first, second) {
            (c, _) if c.is_whitespace() => {
                found.push(Token::Blank(usize::from(c == '\n')));
                at += 1;
            }
            ('-', Some('-')) => {
                while chars.get(at).is_some_and(|c| *c != '\n') {
                    at += 1;
                }
                found.push(Token::Blank(0));
            }
            ('/', Some('*')) => at = comment(&chars, at, &mut found)?,
            ('N' | 'n', Some('\'')) => at = quoted(&chars, at + 1, '\'', &mut found, Token::Text)?,
            ('\'', _) => at = quoted(&chars, at, '\'', &mut found, Token::Text)?,
            ('"', _) => at = quoted(&chars, at, '"', &mut found, Token::Name)?,
            ('[', _) => at = quoted(&chars, at, ']', &mut found, Token::Name)?,
            (c, _) if is_word(c) => {
                let begin = at;
                while chars.get(at).is_some_and(|c| is_word(*c)) {
                    at += 1;
                }
                found.push(Token::Word(chars[begin..at].iter().collect()));
            }
            (c, _) => {
                found.push(Token::Sign(c));
                at += 1;
            }
        }
    }
    Ok(found)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@' | '#' | '$')
}

fn comment(chars: &[char], mut at: usize, found: &mut Vec<Token>) -> Result<usize, SqlError> {
    let (mut depth, mut lines) = (0_usize, 0);
    loop {
        match (chars.get(at), chars.get(at + 1)) {
            (Some('/'), Some('*')) => (depth, at) = (depth + 1, at + 2),
            (Some('*'), Some('/')) => (depth, at) = (depth - 1, at + 2),
            (Some(c), _) => (lines, at) = (lines + usize::from(*c == '\n'), at + 1),
            (None, _) => return Err(SqlError { level: 15, ..SqlError::new(113, "Missing end comment mark '*/'.") }),
        }
        if depth == 0 {
            found.push(Token::Blank(lines));
            return Ok(at);
        }
    }
}

fn quoted(
    chars: &[char],
    begin: usize,
    close: char,
    found: &mut Vec<Token>,
    make: fn(String) -> Token,
) -> Result<usize, SqlError> {
    let mut text = String::new();
    let mut at = begin + 1;
    loop {
        match (chars.get(at), chars.get(at + 1)) {
            (Some(c), Some(next)) if *c == close && *next == close => {
                text.push(close);
                at += 2;
            }
            (Some(c), _) if *c == close => {
                found.push(make(text));
                return Ok(at + 1);
            }
            (Some(c), _) => {
                text.push(*c);
                at += 1;
            }
            (None, _) => {
                let message = format!("Unclosed quotation mark after the character string '{text}'.");
                return Err(SqlError { level: 15, ..SqlError::new(105, message) });
            }
        }
    }
}
