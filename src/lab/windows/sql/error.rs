//! Errors as SQL Server words them.

use rusqlite::Error as Sqlite;

/// An error of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// `Msg`.
    pub number: i32,
    /// `Level`.
    pub level: i32,
    /// `State`.
    pub state: i32,
    /// The line of the batch, from 1.
    pub line: usize,
    /// What it says.
    pub message: String,
}

impl SqlError {
    /// An error of level 16, in the first line.
    #[must_use]
    pub fn new(number: i32, message: impl Into<String>) -> Self {
        SqlError { number, level: 16, state: 1, line: 1, message: message.into() }
    }

    /// The text that `Invoke-Sqlcmd` makes of it.
    #[must_use]
    pub fn shown(&self) -> String {
        let SqlError { number, level, state, line, message } = self;
        format!("{message} \n Msg {number}, Level {level}, State {state}, Procedure , Line {line}.")
    }

    /// What the lab itself could not do; no number of SQL Server's.
    #[must_use]
    pub fn lab(message: impl std::fmt::Display) -> Self {
        SqlError::new(50_000, format!("The lab's SQL Server: {message}"))
    }

    /// What SQLite says, in SQL Server's words. `sent` is the text that SQLite was given, with the lines of the original.
    #[must_use]
    pub fn of(error: &Sqlite, sent: &str) -> Self {
        let (text, line) = match error {
            Sqlite::SqlInputError { msg, offset, .. } => {
                let before = usize::try_from(*offset).ok().and_then(|offset| sent.get(..offset));
                (msg.clone(), before.map_or(1, |before| before.matches('\n').count() + 1))
            }
            Sqlite::SqliteFailure(_, Some(text)) => (text.clone(), 1),
            other => (other.to_string(), 1),
        };
        let named = |prefix: &str| {
            let name = text.strip_prefix(prefix)?;
            // What is quoted is followed by advice.
            let name = name.split(" - should").next().unwrap_or(name).split(" in \"").next().unwrap_or(name);
            Some(name.trim().trim_matches('"').to_owned())
        };
        let known = if let Some(name) = named("no such table: ") {
            SqlError::new(208, format!("Invalid object name '{}'.", original(&name)))
        } else if let Some(name) = named("no such column: ") {
            SqlError::new(207, format!("Invalid column name '{}'.", name.rsplit('.').next().unwrap_or(&name)))
        } else if let Some(name) = named("no such function: ") {
            SqlError {
                level: 15,
                state: 10,
                ..SqlError::new(195, format!("'{name}' is not a recognized built-in function name."))
            }
        } else if let Some(near) = text.strip_prefix("near \"").and_then(|rest| rest.split('"').next()) {
            SqlError { level: 15, ..SqlError::new(102, format!("Incorrect syntax near '{near}'.")) }
        } else if text.contains("readonly") || text.contains("query only") {
            SqlError {
                level: 14,
                state: 5,
                ..SqlError::new(229, "The INSERT, UPDATE or DELETE permission was denied on the object.")
            }
        } else if text.starts_with("UNIQUE constraint failed") {
            SqlError { level: 14, ..SqlError::new(2627, format!("Violation of UNIQUE KEY constraint. {text}.")) }
        } else if text.starts_with("NOT NULL constraint failed") {
            SqlError { state: 2, ..SqlError::new(515, format!("Cannot insert the value NULL into a column. {text}.")) }
        } else if text.contains("disk is full") {
            SqlError { level: 17, ..SqlError::new(1105, "Could not allocate space because the filegroup is full.") }
        } else {
            SqlError::lab(text)
        };
        SqlError { line, ..known }
    }
}

/// The name of a system view or of another database's table, as it was written.
fn original(name: &str) -> String {
    match (name.strip_prefix("temp.sys_"), name.strip_prefix("db_").and_then(|rest| rest.split_once('.'))) {
        (Some(view), _) => format!("sys.{view}"),
        (None, Some((database, table))) => format!("{database}.dbo.{table}"),
        (None, None) => name.strip_prefix("main.").unwrap_or(name).to_owned(),
    }
}
