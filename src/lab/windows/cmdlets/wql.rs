//! The condition of a WQL query: comparisons with `AND`, `OR`, `NOT` and parentheses ([MS-WMI] section 2.2.1).

use crate::lab::windows::machine::same;
use crate::lab::windows::wildcard::Wildcard;
use crate::remoting::clixml::Value;

/// How deep conditions may be nested.
const DEEPEST: usize = 32;

/// A condition.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Both.
    And(Box<Condition>, Box<Condition>),
    /// At least one.
    Or(Box<Condition>, Box<Condition>),
    /// Not.
    Not(Box<Condition>),
    /// A property, and what is asked of it.
    Compare(String, Test),
}

/// What is asked of a property.
#[derive(Debug, Clone)]
pub enum Test {
    /// A comparison with a literal.
    Against(Operator, Literal),
    /// A pattern of `LIKE`.
    Like(Wildcard),
    /// Whether it has no value.
    IsNull(bool),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `<>`, `!=`
    Different,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// What a property is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// In quotes.
    Text(String),
    /// A number.
    Number(f64),
    /// `TRUE` or `FALSE`.
    Truth(bool),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(f64),
    Sign(&'static str),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '\'' || first == '"' {
            let mut value = String::new();
            let mut chars = rest.char_indices().skip(1);
            let end = loop {
                match chars.next()? {
                    (at, c) if c == first => break at + c.len_utf8(),
                    (_, '\\') => value.push(chars.next()?.1),
                    (_, c) => value.push(c),
                }
            };
            found.push(Token::Text(value));
            rest = &rest[end..];
        } else if let Some(sign) = ["<>", "!=", "<=", ">=", "=", "<", ">", "(", ")"].iter().find(|sign| rest.starts_with(**sign))
        {
            found.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else {
            let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+');
            let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
            let (own, after) = rest.split_at(end);
            rest = after;
            let numeric = own.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+'));
            match own.parse() {
                _ if own.is_empty() => return None,
                Ok(number) if numeric => found.push(Token::Number(number)),
                Err(_) if numeric => return None,
                _ => found.push(Token::Word(own.to_owned())),
            }
        }
        rest = rest.trim_start();
    }
    Some(found)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn word(&mut self, word: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Word(own)) if same(own, word));
        self.at += usize::from(is);
        is
    }

    fn sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Sign(own)) if *own == sign);
        self.at += usize::from(is);
        is
    }

    fn either(&mut self, depth: usize) -> Option<Condition> {
        let mut one = self.both(depth)?;
        while self.word("OR") {
            one = Condition::Or(Box::new(one), Box::new(self.both(depth)?));
        }
        Some(one)
    }

    fn both(&mut self, depth: usize) -> Option<Condition> {
        let mut one = self.one(depth)?;
        while self.word("AND") {
            one = Condition::And(Box::new(one), Box::new(self.one(depth)?));
        }
        Some(one)
    }

    fn one(&mut self, depth: usize) -> Option<Condition> {
        if depth > DEEPEST {
            return None;
        }
        if self.word("NOT") {
            return Some(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.sign("(") {
            let inner = self.either(depth + 1)?;
            return self.sign(")").then_some(inner);
        }
        let Token::Word(property) = self.next()? else { return None };
        let test = if self.word("IS") {
            let not = self.word("NOT");
            self.word("NULL").then_some(Test::IsNull(!not))?
        } else if self.word("LIKE") {
            let Token::Text(pattern) = self.next()? else { return None };
            Test::Like(Wildcard::like(&pattern).ok()?)
        } else {
            let operator = match self.next()? {
                Token::Sign("=") => Operator::Equal,
                Token::Sign("<>" | "!=") => Operator::Different,
                Token::Sign("<") => Operator::Less,
                Token::Sign("<=") => Operator::AtMost,
                Token::Sign(">") => Operator::Greater,
                Token::Sign(">=") => Operator::AtLeast,
                _ => return None,
            };
            let literal = match self.next()? {
                Token::Text(text) => Literal::Text(text),
                Token::Number(number) => Literal::Number(number),
                Token::Word(word) if same(&word, "TRUE") => Literal::Truth(true),
                Token::Word(word) if same(&word, "FALSE") => Literal::Truth(false),
                _ => return None,
            };
            Test::Against(operator, literal)
        };
        Some(Condition::Compare(property, test))
    }
}

impl Condition {
    /// Reads a condition; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0 };
        let condition = parser.either(0)?;
        (parser.at == parser.tokens.len()).then_some(condition)
    }

    /// Whether an object fulfils it. `None` if it names a property that the object does not have.
    #[must_use]
    pub fn holds(&self, property: &dyn Fn(&str) -> Option<Value>) -> Option<bool> {
        Some(match self {
            // Both sides are asked, because a wrong name is wrong wherever it stands.
            Condition::And(one, other) => one.holds(property)? & other.holds(property)?,
            Condition::Or(one, other) => one.holds(property)? | other.holds(property)?,
            Condition::Not(one) => !one.holds(property)?,
            Condition::Compare(name, test) => test.holds(&property(name)?),
        })
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Test::IsNull(expected) => value.is_nil() == *expected,
            _ if value.is_nil() => false,
            Test::Like(pattern) => pattern.is_match(&value.to_text()),
            Test::Against(operator, literal) => {
                let text = value.to_text();
                let order = match (literal, value.as_bool()) {
                    (Literal::Truth(truth), Some(own)) => own.cmp(truth),
                    (Literal::Number(number), Some(own)) => f64::from(u8::from(own)).total_cmp(number),
                    (Literal::Text(truth), Some(own)) => own.cmp(&same(truth, "true")),
                    (Literal::Truth(truth), None) => text.to_lowercase().cmp(&truth.to_string()),
                    (Literal::Number(number), None) => match text.parse::<f64>() {
                        Ok(own) => own.total_cmp(number),
                        Err(_) => return false,
                    },
                    (Literal::Text(other), None) => match (value.as_u64(), other.parse::<u64>()) {
                        (Some(own), Ok(other)) => own.cmp(&other),
                        _ => text.to_lowercase().cmp(&other.to_lowercase()),
                    },
                };
                match operator {
                    Operator::Equal => order.is_eq(),
                    Operator::Different => order.is_ne(),
                    Operator::Less => order.is_lt(),
                    Operator::AtMost => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    Operator::AtLeast => order.is_ge(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> Option<bool> {
        let property = |name: &str| match name.to_lowercase().as_str() {
            "name" => Some(Value::from("MSSQL$RTC")),
            "processid" => Some(Value::U32(1200)),
            "started" => Some(Value::Bool(true)),
            "startname" => Some(Value::from("CONTOSO\\svc")),
            "installdate" => Some(Value::Nil),
            _ => None,
        };
        Condition::parse(text)?.holds(&property)
    }

    #[test]
    fn conditions_are_those_of_wql() {
        for (text, expected) in [
            ("Name='mssql$rtc'", true),
            ("name = \"x\" or NAME='MSSQL$RTC'", true),
            ("Name LIKE '%$RTC' AND Started = TRUE", true),
            ("Name LIKE '%$RTC' AND Started = FALSE", false),
            ("NOT (Name = 'x') AND ProcessId > 1000", true),
            ("ProcessId<>1200", false),
            ("StartName='contoso\\\\SVC'", true),
            ("InstallDate IS NULL", true),
            ("Name IS NOT NULL", true),
            ("InstallDate = 'x'", false),
            ("Name='a' AND Name='b' OR Started=TRUE", true),
        ] {
            assert_eq!(holds(text), Some(expected), "{text}");
        }
        for wrong in
            ["", "Name", "Name='x", "Name=='x'", "Nobody='x'", "Name='x' AND", "(Name='x'", "Name LIKE", "=1", "Name='x' y"]
        {
            assert_eq!(holds(wrong), None, "{wrong}");
        }
        assert_eq!(holds(&format!("{}Name='x'", "NOT ".repeat(100))), None);
    }
}
