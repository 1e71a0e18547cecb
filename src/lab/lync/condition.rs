//! The conditions of `-Filter`, in the syntax that `Where-Object` has, as far as properties are compared with literals:
//! `SipAddress -eq "sip:a@contoso.lan" -and Enabled -ne $null`.
//!
//! - `-eq`, `-ne` and `-like` compare a property, on the left, with a text, a number, `$true`, `$false` or `$null`.
//! - `-and` and `-or` have the same rank, from left to right; `-not` and `!` come first; parentheses group.
//! - Nothing is evaluated: a text in quotation marks that holds a variable is refused.

use std::iter::Peekable;
use std::vec::IntoIter;

use crate::lab::windows::wildcard::Wildcard;
use crate::remoting::clixml::Value;

/// No condition is nested deeper.
const DEPTH: usize = 32;

/// A condition.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Both hold.
    And(Box<Condition>, Box<Condition>),
    /// One of them holds.
    Or(Box<Condition>, Box<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A property is this.
    Equals(String, Literal),
    /// A property fits a pattern.
    Like(String, Wildcard),
}

/// What a property is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// `$null`.
    Null,
    /// `$true` and `$false`.
    Bool(bool),
    /// A text or a number: both are compared as text.
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Not,
    Operator(String),
    Word(String),
    Literal(Literal),
}

impl Condition {
    /// Reads a condition on these properties.
    ///
    /// # Errors
    /// It is none; says why, for people.
    pub fn parse(text: &str, properties: &[String]) -> Result<Self, String> {
        let mut tokens = tokens(text)?.into_iter().peekable();
        let condition = alternatives(&mut tokens, properties, DEPTH)?;
        match tokens.next() {
            None => Ok(condition),
            Some(token) => Err(format!("{} was not expected there.", token.shown())),
        }
    }

    /// Whether an object fits.
    #[must_use]
    pub fn holds(&self, object: &Value) -> bool {
        match self {
            Condition::And(one, other) => one.holds(object) && other.holds(object),
            Condition::Or(one, other) => one.holds(object) || other.holds(object),
            Condition::Not(condition) => !condition.holds(object),
            Condition::Equals(property, literal) => any(object, property, |value| is(value, literal)),
            Condition::Like(property, pattern) => any(object, property, |value| pattern.is_match(&value.to_text())),
        }
    }
}

/// Whether a property fits; of a list, one of its values. What is absent is null.
fn any(object: &Value, property: &str, fits: impl Fn(&Value) -> bool) -> bool {
    let value = object.get(property).unwrap_or(&Value::Nil);
    match value.items() {
        Some([]) => fits(&Value::Nil),
        Some(items) => items.iter().any(fits),
        None => fits(value),
    }
}

fn is(value: &Value, literal: &Literal) -> bool {
    match literal {
        Literal::Null => value.is_nil(),
        Literal::Bool(wanted) => value.as_bool() == Some(*wanted),
        Literal::Text(wanted) => !value.is_nil() && value.to_text().to_lowercase() == wanted.to_lowercase(),
    }
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Token::Open => "\"(\"".to_owned(),
            Token::Close => "\")\"".to_owned(),
            Token::Not => "\"-not\"".to_owned(),
            Token::Operator(name) => format!("The operator \"-{name}\""),
            Token::Word(word) => format!("\"{word}\""),
            Token::Literal(_) => "A value".to_owned(),
        }
    }
}

type Tokens = Peekable<IntoIter<Token>>;

fn alternatives(tokens: &mut Tokens, properties: &[String], depth: usize) -> Result<Condition, String> {
    let mut condition = one(tokens, properties, depth)?;
    while let Some(Token::Operator(name)) = tokens.peek().cloned() {
        tokens.next();
        let next = Box::new(one(tokens, properties, depth)?);
        condition = match name.as_str() {
            "and" => Condition::And(Box::new(condition), next),
            "or" => Condition::Or(Box::new(condition), next),
            _ => return Err(format!("The operator \"-{name}\" was not expected there.")),
        };
    }
    Ok(condition)
}

fn one(tokens: &mut Tokens, properties: &[String], depth: usize) -> Result<Condition, String> {
    let Some(depth) = depth.checked_sub(1) else { return Err("It is nested too deep.".to_owned()) };
    match tokens.next() {
        Some(Token::Not) => Ok(Condition::Not(Box::new(one(tokens, properties, depth)?))),
        Some(Token::Open) => {
            let condition = alternatives(tokens, properties, depth)?;
            match tokens.next() {
                Some(Token::Close) => Ok(condition),
                _ => Err("A \")\" is missing.".to_owned()),
            }
        }
        Some(Token::Word(word)) => {
            let known = properties.iter().find(|own| own.eq_ignore_ascii_case(&word));
            let property = known.ok_or_else(|| format!("The property \"{word}\" is not one that can be filtered on."))?.clone();
            let Some(Token::Operator(name)) = tokens.next() else {
                return Err(format!("An operator is missing after \"{word}\"."));
            };
            let Some(Token::Literal(literal)) = tokens.next() else {
                return Err(format!("A value is missing after \"-{name}\"."));
            };
            compared(property, &name, literal)
        }
        Some(token) => Err(format!("{} was not expected there.", token.shown())),
        None => Err("A comparison is missing.".to_owned()),
    }
}

fn compared(property: String, operator: &str, literal: Literal) -> Result<Condition, String> {
    match (operator, literal) {
        ("eq", literal) => Ok(Condition::Equals(property, literal)),
        ("ne", literal) => Ok(Condition::Not(Box::new(Condition::Equals(property, literal)))),
        ("like", Literal::Text(pattern)) => {
            let pattern = Wildcard::powershell(&pattern).map_err(|_| format!("\"{pattern}\" is not a pattern."))?;
            Ok(Condition::Like(property, pattern))
        }
        ("like", _) => Err("A text is missing after \"-like\".".to_owned()),
        (other, _) => Err(format!("The operator \"-{other}\" is not supported.")),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let mut word = |first: Option<char>| {
            let mut word: String = first.into_iter().collect();
            while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-')) {
                word.push(next);
            }
            word
        };
        found.push(match c {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '!' => Token::Not,
            '$' => match word(None).to_ascii_lowercase().as_str() {
                "null" => Token::Literal(Literal::Null),
                "true" => Token::Literal(Literal::Bool(true)),
                "false" => Token::Literal(Literal::Bool(false)),
                other => return Err(format!("The variable \"${other}\" is not known.")),
            },
            '-' => match word(None).to_ascii_lowercase() {
                name if name.chars().next().is_some_and(|c| c.is_ascii_digit()) => {
                    Token::Literal(Literal::Text(format!("-{name}")))
                }
                name if name == "not" => Token::Not,
                name => Token::Operator(name),
            },
            '"' | '\'' => {
                let mut value = String::new();
                loop {
                    match chars.next() {
                        None => return Err("A quotation mark is missing.".to_owned()),
                        // A mark that stands twice stands for itself.
                        Some(next) if next == c && chars.next_if_eq(&c).is_none() => break,
                        Some('$' | '`') if c == '"' => return Err("Variables and escapes are not supported.".to_owned()),
                        Some(next) => value.push(next),
                    }
                }
                Token::Literal(Literal::Text(value))
            }
            c if c.is_ascii_digit() => Token::Literal(Literal::Text(word(Some(c)))),
            c if c.is_alphabetic() => Token::Word(word(Some(c))),
            other => return Err(format!("\"{other}\" was not expected there.")),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Value {
        Value::custom([
            ("SipAddress", Value::from("sip:ocschat@contoso.lan")),
            ("Enabled", true.into()),
            ("LineURI", Value::Nil),
            ("ProxyAddresses", Value::list(["sip:ocschat@contoso.lan", "SMTP:chat@contoso.lan"])),
        ])
    }

    fn read(text: &str) -> Result<bool, String> {
        let properties = ["SipAddress", "Enabled", "LineURI", "ProxyAddresses"].map(str::to_owned);
        Condition::parse(text, &properties).map(|condition| condition.holds(&user()))
    }

    #[test]
    fn texts_are_compared_without_regard_to_case_and_lists_by_any_of_their_values() {
        for holds in [
            r#"SipAddress -eq "SIP:OcsChat@contoso.lan""#,
            "sipaddress -like 'sip:ocs*'",
            "Enabled -eq $true -and LineURI -eq $null",
            "Enabled -ne $True -or SipAddress -ne 'x'",
            "-not (Enabled -eq $false) -and !(LineURI -ne $null)",
            "ProxyAddresses -like 'smtp:*'",
            // The same rank, from the left.
            "Enabled -eq $true -or Enabled -eq $true -and Enabled -eq $true",
        ] {
            assert_eq!(read(holds), Ok(true), "{holds}");
        }
        for fails in
            [r#"SipAddress -eq "sip:other@contoso.lan""#, "Enabled -eq $true -or Enabled -eq $true -and Enabled -eq $false"]
        {
            assert_eq!(read(fails), Ok(false), "{fails}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for wrong in [
            "",
            "SipAddress",
            "SipAddress -eq",
            "SipAddress -gt 'a'",
            "Nothing -eq 'a'",
            "SipAddress -eq 'a' SipAddress",
            "(SipAddress -eq 'a'",
            "SipAddress -eq 'a",
            "SipAddress -eq $x",
            "SipAddress -eq \"$(evil)\"",
            "SipAddress -eq 'a'; Remove-Item x",
            "SipAddress -like $null",
            "'a' -eq SipAddress",
            &"(".repeat(100_000),
        ] {
            assert!(read(wrong).is_err(), "{wrong:.40}");
        }
    }
}
