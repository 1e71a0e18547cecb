//! A single `SELECT` and nothing else. Works on tokens, before anything is sent.
//!
//! - Transact-SQL needs nothing between two statements, so that a word alone can begin one: words that begin or are part of
//!   anything but a reading are refused wherever they stand outside of texts and of quoted names.
//! - `sqlcmd`, which `Invoke-Sqlcmd` follows, reads lines: `GO`, `:r`, `!!`, `EXIT(…)`. So what is sent is one line, put
//!   together anew from the tokens that were checked; comments are not sent.
//! - `$(name)` is replaced even within texts: refused everywhere.
//!
//! Not a parser: whether it is correct SQL is the server's business. And no replacement for a login that may only read.

use super::shown;

/// More is no count.
const LONGEST: usize = 16 * 1024;

/// Words that never stand in a reading. Reserved ones of Transact-SQL that begin a statement, others that can after one, and
/// readings that go elsewhere or lock.
const REFUSED: &[&str] = &[
    "ADD",
    "ALTER",
    "ANALYZE",
    "ATTACH",
    "BACKUP",
    "BEGIN",
    "BREAK",
    "BULK",
    "CHECKPOINT",
    "CLOSE",
    "COMMIT",
    "CONTINUE",
    "COPY",
    "CREATE",
    "CURSOR",
    "DBCC",
    "DEALLOCATE",
    "DECLARE",
    "DELETE",
    "DENY",
    "DETACH",
    "DISABLE",
    "DROP",
    "DUMP",
    "ENABLE",
    "ERRLVL",
    "EXEC",
    "EXECUTE",
    "EXIT",
    "FETCH",
    "GET",
    "GO",
    "GOTO",
    "GRANT",
    "HOLDLOCK",
    "IF",
    "INSERT",
    "INTO",
    "KILL",
    "LINENO",
    "LOAD",
    "MERGE",
    "MOVE",
    "NEXT",
    "OPEN",
    "OPENDATASOURCE",
    "OPENQUERY",
    "OPENROWSET",
    "OPENXML",
    "OUTPUT",
    "PRAGMA",
    "PRINT",
    "PROC",
    "PROCEDURE",
    "QUIT",
    "RAISERROR",
    "READTEXT",
    "RECEIVE",
    "RECONFIGURE",
    "REINDEX",
    "RENAME",
    "RESTORE",
    "RETURN",
    "REVERT",
    "REVOKE",
    "ROLLBACK",
    "SAVE",
    "SEND",
    "SERIALIZABLE",
    "SET",
    "SETUSER",
    "SHUTDOWN",
    "TABLOCK",
    "TABLOCKX",
    "THROW",
    "TRAN",
    "TRANSACTION",
    "TRUNCATE",
    "UPDATE",
    "UPDATETEXT",
    "UPDLOCK",
    "USE",
    "VACUUM",
    "WAITFOR",
    "WHILE",
    "WRITETEXT",
    "XLOCK",
];

/// What may join one `SELECT` with another.
const JOINING: &[&str] = &["UNION", "ALL", "EXCEPT", "INTERSECT"];

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word, as written: a keyword, a name, a number.
    Word(String),
    /// A text or a quoted name, with what encloses it.
    Quoted(String),
    /// A sign.
    Sign(&'static str),
}

/// Signs of two characters before those of one.
const SIGNS: &[&str] =
    &["<>", "<=", ">=", "!=", "!<", "!>", "(", ")", ",", ".", "+", "-", "*", "/", "%", "=", "<", ">", "&", "|", "^", "~", ";"];

/// The statement as it may be sent: one line.
///
/// # Errors
/// It is not a single reading statement, or nobody can tell; says why.
pub fn select(text: &str) -> Result<String, String> {
    let tokens = tokens(text)?;
    check(&tokens)?;
    let end = tokens.iter().rposition(|token| *token != Token::Sign(";")).map_or(0, |last| last + 1);
    Ok(line(&tokens[..end]))
}

/// Puts tokens together again. A blank between all but where it would change what a name is: not even two minus signs meet.
fn line(tokens: &[Token]) -> String {
    let mut line = String::new();
    let mut tight = true;
    for token in tokens {
        let (part, before, after) = match token {
            Token::Word(word) => (word.as_str(), false, false),
            Token::Quoted(text) => (text.as_str(), false, false),
            Token::Sign(sign @ (")" | ",")) => (*sign, true, false),
            Token::Sign(sign @ ".") => (*sign, true, true),
            Token::Sign(sign @ "(") => (*sign, true, true),
            Token::Sign(sign) => (*sign, false, false),
        };
        if !tight && !before {
            line.push(' ');
        }
        line.push_str(part);
        tight = after;
    }
    line
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    if text.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    if text.contains("$(") {
        return Err("it holds `$(`, which `sqlcmd` would replace, even within a text".to_owned());
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let second = rest[first.len_utf8()..].chars().next();
        let used = match (first, second) {
            (' ' | '\t' | '\r' | '\n', _) => 1,
            ('-', Some('-')) => rest.find(['\r', '\n']).unwrap_or(rest.len()),
            ('/', Some('*')) => comment(rest)?,
            ('\'', _) => quoted(rest, '\'', &mut tokens)?,
            ('"', _) => quoted(rest, '"', &mut tokens)?,
            ('[', _) => quoted(rest, ']', &mut tokens)?,
            ('N' | 'n', Some('\'')) => {
                let used = quoted(&rest[1..], '\'', &mut tokens)?;
                if let Some(Token::Quoted(text)) = tokens.last_mut() {
                    text.insert(0, 'N');
                }
                used + 1
            }
            (c, _) if is_word(c) => {
                let used = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(number_or_word(&rest[..used])?));
                used
            }
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => {
                    tokens.push(Token::Sign(sign));
                    sign.len()
                }
                None => return Err(format!("it holds `{}`, which no count needs", shown(&first.to_string()))),
            },
        };
        rest = &rest[used..];
    }
    Ok(tokens)
}

/// What a name without quotes may hold. Other letters than those of ASCII are taken in quotes only: which of them the server
/// takes for a blank depends on its version.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '#')
}

/// `1from` would be two words to a server and one here.
fn number_or_word(word: &str) -> Result<String, String> {
    let is_number = word.starts_with(|c: char| c.is_ascii_digit());
    if is_number && !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{}` is neither a number nor a name", shown(word)));
    }
    if word.starts_with('@') && !word.starts_with("@@") {
        return Err(format!("it holds the variable `{}`", shown(word)));
    }
    Ok(word.to_owned())
}

/// The length of a comment; they nest.
fn comment(text: &str) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Ok(at);
        }
    }
    Err("a comment has no end".to_owned())
}

/// Takes a text or a quoted name; gives its length. The closing sign, doubled, is a part of it.
fn quoted(text: &str, close: char, tokens: &mut Vec<Token>) -> Result<usize, String> {
    let mut at = 1;
    loop {
        let found = text[at..].find(close).ok_or("a text or a quoted name has no end")? + at;
        if text[found + 1..].starts_with(close) {
            at = found + 2;
            continue;
        }
        let whole = &text[..=found];
        if whole.contains(|c: char| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}')) {
            return Err("a text or a quoted name holds a line break or another control character".to_owned());
        }
        tokens.push(Token::Quoted(whole.to_owned()));
        return Ok(found + 1);
    }
}

fn check(tokens: &[Token]) -> Result<(), String> {
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word)) => word.to_ascii_uppercase(),
        _ => String::new(),
    };
    let begins = word(0);
    if begins != "SELECT" && begins != "WITH" {
        return Err("it must begin with SELECT, or with WITH and its SELECT".to_owned());
    }
    let end = tokens.iter().rposition(|token| *token != Token::Sign(";")).map_or(0, |last| last + 1);
    let (mut depth, mut selects) = (0_usize, 0_usize);
    for (at, token) in tokens[..end].iter().enumerate() {
        match token {
            Token::Sign("(") => depth += 1,
            Token::Sign(")") => depth = depth.checked_sub(1).ok_or("it closes a bracket that was not opened")?,
            Token::Sign(";") => return Err("it is more than one statement".to_owned()),
            Token::Word(own) => {
                let upper = own.to_ascii_uppercase();
                // What follows a dot or comes before one is a name, and still refused: the author can put it in brackets.
                if REFUSED.contains(&upper.as_str()) {
                    return Err(format!("it holds `{}`; if that is a name, write it as `[{}]`", shown(own), shown(own)));
                }
                if upper == "SELECT" && depth == 0 {
                    selects += 1;
                    if selects > 1 && !JOINING.contains(&word(at - 1).as_str()) {
                        return Err("it is more than one statement: a second SELECT follows the first".to_owned());
                    }
                }
                if upper == "WITH" && at > 0 && tokens.get(at + 1) != Some(&Token::Sign("(")) {
                    return Err("it is more than one statement: WITH stands after its beginning".to_owned());
                }
                // `REPLACE(…)` is a function; as a statement it writes.
                if upper == "REPLACE" && tokens.get(at + 1) != Some(&Token::Sign("(")) {
                    return Err("it holds `REPLACE`".to_owned());
                }
            }
            Token::Sign(_) | Token::Quoted(_) => {}
        }
    }
    match (depth, selects) {
        (0, 1..) => Ok(()),
        (0, _) => Err("it has no SELECT of its own".to_owned()),
        _ => Err("a bracket is not closed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_sent_as_one_line_without_comments() {
        let sent = |text| select(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(
            sent("SELECT COUNT(*)\n  FROM dbo.[Node] -- rooms\n WHERE Type=0;"),
            "SELECT COUNT(*) FROM dbo.[Node] WHERE Type = 0"
        );
        assert_eq!(sent("select /* a /* b */ c */ count(*) from t"), "select count(*) from t");
        assert_eq!(sent("WITH a AS (SELECT 1 AS n) SELECT COUNT(*) FROM a;;"), "WITH a AS(SELECT 1 AS n) SELECT COUNT(*) FROM a");
        assert_eq!(
            sent("SELECT COUNT(*) FROM t WHERE n = N'it''s; DROP' AND x = 'go'"),
            "SELECT COUNT(*) FROM t WHERE n = N'it''s; DROP' AND x = 'go'"
        );
        assert_eq!(sent("SELECT COUNT(*) FROM t WITH (NOLOCK)"), "SELECT COUNT(*) FROM t WITH(NOLOCK)");
        assert_eq!(sent("SELECT COUNT(*) FROM [update] UNION ALL SELECT 1"), "SELECT COUNT(*) FROM [update] UNION ALL SELECT 1");
        // What was apart stays apart: this is no comment.
        assert_eq!(sent("SELECT 1 - -1"), "SELECT 1 - - 1");
    }

    #[test]
    fn whatever_else_is_refused() {
        for text in [
            "",
            ";",
            "UPDATE t SET a = 1",
            "SELECT 1; SELECT 2",
            "SELECT 1 SELECT 2",
            "SELECT 1 DELETE FROM t",
            "SELECT * INTO b FROM a",
            "SELECT 1\nGO\nDROP TABLE t",
            "SELECT COUNT(*) FROM t WHERE a = '$(x)'",
            "WITH a AS (SELECT 1) DELETE FROM a",
            "SELECT 1 exec sp_who",
            "SELECT @a = 1",
            "SELECT 'open",
            "SELECT [open",
            "SELECT /* open",
            "SELECT (1",
            "SELECT 1)",
            "SELECT 'a\nGO\n'",
            ":r x.sql",
            "SELECT 1 !! dir",
            "SELECT NEXT VALUE FOR s",
            "SELECT * FROM OPENROWSET(BULK N'c:\\a', SINGLE_CLOB) AS x",
            "sp_who",
            "SELECT 1 WITH a AS (SELECT 1) SELECT 2",
            "SELECT 1 FROM t WITH (TABLOCKX)",
            "(SELECT 1)",
            "SELECT\u{a0}1",
            "SELECT 1e5from t",
            "SELECT {fn now()}",
            "WITH a AS (SELECT 1)",
        ] {
            assert!(select(text).is_err(), "{text:?}");
        }
    }
}
