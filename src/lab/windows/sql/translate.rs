//! From Transact-SQL to SQLite's: names, texts, `TOP`, hints, and a few functions of another name. Anything that SQLite would
//! understand and SQL Server would not is refused here.

use super::error::SqlError;
use super::tokens::{Token, tokens};

/// What a batch is to be run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    /// For SQLite.
    pub text: String,
    /// System views that it reads, as `sys_databases`.
    pub views: Vec<String>,
    /// Other databases that it reads, by the names they are to be attached as.
    pub databases: Vec<String>,
    /// Names that were written with `dbo.` before them; an error repeats that.
    pub of_dbo: Vec<String>,
}

/// Words of SQLite's that Transact-SQL has not; statements of Transact-SQL that the lab does not know.
const STRANGE: &[&str] =
    &["LIMIT", "PRAGMA", "ATTACH", "DETACH", "GLOB", "REGEXP", "VACUUM", "REINDEX", "ANALYZE", "AUTOINCREMENT"];
const UNKNOWN: &[&str] = &[
    "EXEC",
    "EXECUTE",
    "BACKUP",
    "RESTORE",
    "MERGE",
    "DECLARE",
    "USE",
    "KILL",
    "SHUTDOWN",
    "DBCC",
    "GRANT",
    "DENY",
    "REVOKE",
    "WAITFOR",
    "WHILE",
    "IF",
    "PRINT",
    "RAISERROR",
    "TRUNCATE",
    "BULK",
];
/// Keywords of SQLite's that are plain names here.
const NAMES: &[&str] = &[
    "ABORT",
    "ACTION",
    "AFTER",
    "ALWAYS",
    "BEFORE",
    "CONFLICT",
    "DEFERRABLE",
    "DEFERRED",
    "DO",
    "EACH",
    "EXCLUDE",
    "EXCLUSIVE",
    "EXPLAIN",
    "FAIL",
    "FILTER",
    "FIRST",
    "GENERATED",
    "GROUPS",
    "IGNORE",
    "IMMEDIATE",
    "INDEXED",
    "INITIALLY",
    "INSTEAD",
    "LAST",
    "MATCH",
    "MATERIALIZED",
    "NATURAL",
    "NOTHING",
    "NOTNULL",
    "NULLS",
    "OTHERS",
    "PLAN",
    "QUERY",
    "RAISE",
    "RECURSIVE",
    "RELEASE",
    "RENAME",
    "SAVEPOINT",
    "TEMP",
    "TEMPORARY",
    "TIES",
    "VIRTUAL",
    "WINDOW",
    "WITHOUT",
];
const HINTS: &[&str] = &["NOLOCK", "READUNCOMMITTED", "READPAST", "ROWLOCK", "PAGLOCK", "TABLOCK", "HOLDLOCK"];

/// Splits a script into batches, as `sqlcmd` does at lines that say `GO`.
#[must_use]
pub fn batches(script: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for line in script.split_inclusive('\n') {
        if line.trim().trim_end_matches(';').eq_ignore_ascii_case("go") {
            all.push(String::new());
        } else if let Some(last) = all.last_mut() {
            last.push_str(line);
        }
    }
    all.retain(|batch| !batch.trim().is_empty());
    all
}

/// Translates a batch. `current` is the database it runs in, `known` are all.
///
/// # Errors
/// It holds what the lab does not know.
pub fn translate(batch: &str, current: &str, known: &[String]) -> Result<Translated, SqlError> {
    let tokens = tokens(batch)?;
    let mut writer = Writer {
        tokens: &tokens,
        at: 0,
        out: String::new(),
        views: Vec::new(),
        databases: Vec::new(),
        of_dbo: Vec::new(),
        tops: vec![None],
    };
    while writer.at < tokens.len() {
        writer.one(current, known)?;
    }
    writer.end_of_select();
    Ok(Translated { text: writer.out, views: writer.views, databases: writer.databases, of_dbo: writer.of_dbo })
}

struct Writer<'t> {
    tokens: &'t [Token],
    at: usize,
    out: String,
    views: Vec<String>,
    databases: Vec<String>,
    of_dbo: Vec<String>,
    /// The `TOP` of the statement at each depth of brackets.
    tops: Vec<Option<String>>,
}

impl Writer<'_> {
    /// The place of the next piece from `from` on that is not blank.
    fn next(&self, from: usize) -> Option<usize> {
        (from..self.tokens.len()).find(|at| !matches!(self.tokens[*at], Token::Blank(_)))
    }

    fn sign(&self, at: Option<usize>, sign: char) -> bool {
        at.is_some_and(|at| self.tokens[at] == Token::Sign(sign))
    }

    fn end_of_select(&mut self) {
        if let Some(Some(count)) = self.tops.last_mut().map(Option::take) {
            self.out.push_str(" LIMIT ");
            self.out.push_str(&count);
        }
    }

    fn one(&mut self, current: &str, known: &[String]) -> Result<(), SqlError> {
        match &self.tokens[self.at] {
            Token::Blank(lines) => {
                self.out.push(' ');
                self.out.extend(std::iter::repeat_n('\n', *lines));
            }
            Token::Text(text) => self.literal(text),
            Token::Sign('(') => {
                self.tops.push(None);
                self.out.push('(');
            }
            Token::Sign(')') => {
                self.end_of_select();
                if self.tops.len() > 1 {
                    self.tops.pop();
                }
                self.out.push(')');
            }
            Token::Sign(';') => {
                self.end_of_select();
                self.out.push(';');
            }
            Token::Sign(sign) => self.out.push(*sign),
            Token::Name(_) => return self.names(current, known),
            Token::Word(word) => {
                let word = word.clone();
                return self.word(&word, current, known);
            }
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, text: &str) {
        self.out.push('\'');
        self.out.push_str(&text.replace('\'', "''"));
        self.out.push('\'');
    }

    fn word(&mut self, word: &str, current: &str, known: &[String]) -> Result<(), SqlError> {
        let upper = word.to_ascii_uppercase();
        if STRANGE.contains(&upper.as_str()) {
            return Err(SqlError { level: 15, ..SqlError::new(102, format!("Incorrect syntax near '{word}'.")) });
        }
        if UNKNOWN.contains(&upper.as_str()) {
            return Err(SqlError::lab(format!("the statement '{word}' is not one that it knows.")));
        }
        let following = self.next(self.at + 1);
        match upper.as_str() {
            "TOP" => return self.top(following),
            "WITH" if self.hint(following) => {
                // `WITH (NOLOCK)`: nothing here waits for anybody.
                let end = (self.at..self.tokens.len()).find(|at| self.tokens[*at] == Token::Sign(')'));
                self.at = end.map_or(self.tokens.len(), |end| end + 1);
                return Ok(());
            }
            "SET" if following.is_some_and(|at| self.tokens[at].is("NOCOUNT")) => {
                self.at = following.and_then(|at| self.next(at + 1)).map_or(self.tokens.len(), |at| at + 1);
                return Ok(());
            }
            "UNION" | "EXCEPT" | "INTERSECT" if self.tops.last().is_some_and(Option::is_some) => {
                return Err(SqlError::lab("TOP within a UNION is not what it knows."));
            }
            "COUNT_BIG" => self.out.push_str("COUNT"),
            "ISNULL" => self.out.push_str("IFNULL"),
            "@@VERSION" => self.out.push_str("sql_version()"),
            "@@SERVERNAME" => self.out.push_str("serverproperty('ServerName')"),
            "@@SPID" => self.out.push_str("51"),
            _ if word.starts_with('@') => {
                let message = format!("Must declare the scalar variable \"{word}\".");
                return Err(SqlError { level: 15, state: 2, ..SqlError::new(137, message) });
            }
            _ if word.starts_with(|c: char| c.is_ascii_digit()) => self.out.push_str(word),
            _ => return self.names(current, known),
        }
        self.at += 1;
        Ok(())
    }

    fn hint(&self, following: Option<usize>) -> bool {
        let inner = following.filter(|at| self.sign(Some(*at), '(')).and_then(|at| self.next(at + 1));
        inner.is_some_and(|at| HINTS.iter().any(|hint| self.tokens[at].is(hint)))
    }

    fn top(&mut self, following: Option<usize>) -> Result<(), SqlError> {
        let wrong = || SqlError { level: 15, ..SqlError::new(102, "Incorrect syntax near 'TOP'.") };
        let bracket = self.sign(following, '(');
        let at = if bracket { following.and_then(|at| self.next(at + 1)) } else { following };
        let (Some(at), Some(Token::Word(number))) = (at, at.map(|at| &self.tokens[at])) else { return Err(wrong()) };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        if let Some(top) = self.tops.last_mut() {
            *top = Some(number.clone());
        }
        self.at = if bracket { self.next(at + 1).filter(|at| self.sign(Some(*at), ')')).ok_or_else(wrong)? + 1 } else { at + 1 };
        Ok(())
    }

    /// A name of up to four parts: `database.schema.table.column`.
    fn names(&mut self, current: &str, known: &[String]) -> Result<(), SqlError> {
        let mut parts: Vec<(String, bool)> = Vec::new();
        let mut at = self.at;
        while let Some(name) = self.tokens[at].name() {
            parts.push((name.to_owned(), matches!(self.tokens[at], Token::Name(_))));
            let Some(dot) = self.next(at + 1).filter(|dot| self.sign(Some(*dot), '.')) else { break };
            match self.next(dot + 1) {
                // `database..table`: the schema is the usual one.
                Some(second) if self.sign(Some(second), '.') && parts.len() == 1 => {
                    parts.push(("dbo".to_owned(), true));
                    match self.next(second + 1).filter(|at| self.tokens[*at].name().is_some()) {
                        Some(name) => at = name,
                        None => break,
                    }
                }
                Some(name) if self.tokens[name].name().is_some() => at = name,
                // `t.*`
                _ => break,
            }
        }
        self.at = at + 1;
        let schema = |parts: &[(String, bool)], at: usize, name: &str| {
            parts.get(at).is_some_and(|(own, _)| own.eq_ignore_ascii_case(name))
        };
        let last = parts.last().map(|(name, _)| name.to_ascii_lowercase()).unwrap_or_default();
        if ["sqlite_", "pragma_", "lab_"].iter().any(|own| last.starts_with(own)) {
            let whole: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
            return Err(SqlError::new(208, format!("Invalid object name '{}'.", whole.join("."))));
        }
        if parts.len() >= 3 && (schema(&parts, 1, "dbo") || schema(&parts, 1, "sys")) {
            let database = parts.remove(0).0;
            let Some(known) = known.iter().find(|own| own.eq_ignore_ascii_case(&database)) else {
                let rest: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
                return Err(SqlError::new(208, format!("Invalid object name '{database}.{}'.", rest.join("."))));
            };
            if schema(&parts, 0, "dbo") {
                parts.remove(0);
                if known.eq_ignore_ascii_case(current) {
                    self.put("main");
                } else {
                    if !self.databases.contains(known) {
                        self.databases.push(known.clone());
                    }
                    self.put(&format!("db_{known}"));
                }
                self.out.push('.');
            }
        }
        if parts.len() >= 2 && schema(&parts, 0, "dbo") {
            parts.remove(0);
            self.of_dbo.extend(parts.first().map(|(name, _)| name.clone()));
        }
        if parts.len() >= 2 && schema(&parts, 0, "sys") {
            parts.remove(0);
            let view = format!("sys_{}", parts.remove(0).0.to_ascii_lowercase());
            if !self.views.contains(&view) {
                self.views.push(view.clone());
            }
            self.put("temp");
            self.out.push('.');
            parts.insert(0, (view, true));
        }
        for (index, (name, is_quoted)) in parts.iter().enumerate() {
            if index > 0 {
                self.out.push('.');
            }
            if *is_quoted || NAMES.contains(&name.to_ascii_uppercase().as_str()) {
                self.put(name);
            } else {
                self.out.push_str(name);
            }
        }
        Ok(())
    }

    fn put(&mut self, name: &str) {
        self.out.push('"');
        self.out.push_str(&name.replace('"', "\"\""));
        self.out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(batch: &str) -> String {
        let known = ["mgc".to_owned(), "msdb".to_owned()];
        translate(batch, "mgc", &known).map_or_else(|error| error.message, |it| it.text)
    }

    #[test]
    fn names_texts_and_top_become_sqlites() {
        assert_eq!(
            sent("SELECT TOP 5 [a b] FROM dbo.[tblNode] WHERE n = N'it''s'"),
            "SELECT  \"a b\" FROM \"tblNode\" WHERE n = 'it''s' LIMIT 5"
        );
        assert_eq!(sent("SELECT a.x FROM msdb.dbo.backupset AS a"), "SELECT a.x FROM \"db_msdb\".backupset AS a");
        assert_eq!(sent("SELECT COUNT(*) FROM mgc..tblChat"), "SELECT COUNT(*) FROM \"main\".tblChat");
        assert_eq!(sent("SELECT (SELECT TOP (1) x FROM t) FROM u WITH (NOLOCK)"), "SELECT (SELECT  x FROM t LIMIT 1) FROM u ");
        assert_eq!(sent("SELECT d.name FROM sys.databases AS d"), "SELECT d.name FROM \"temp\".\"sys_databases\" AS d");
    }

    #[test]
    fn what_only_sqlite_knows_is_refused() {
        assert_eq!(sent("SELECT 1 LIMIT 1"), "Incorrect syntax near 'LIMIT'.");
        assert_eq!(sent("SELECT * FROM sqlite_master"), "Invalid object name 'sqlite_master'.");
        assert_eq!(sent("SELECT * FROM other.dbo.t"), "Invalid object name 'other.dbo.t'.");
        assert_eq!(sent("SELECT @x"), "Must declare the scalar variable \"@x\".");
    }

    #[test]
    fn a_script_is_split_where_a_line_says_go() {
        assert_eq!(batches("SELECT 1\nGO\n\ngo\nSELECT 2"), ["SELECT 1\n", "SELECT 2"]);
    }
}
