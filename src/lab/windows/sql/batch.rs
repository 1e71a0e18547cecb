//! Runs a script in a database, as an account.

use std::fmt::Write as _;

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::{Batch, Connection, params};

use super::error::SqlError;
use super::functions::{Context, register};
use super::instance::{Instance, Login, cannot_open, connect};
use super::translate::{Translated, batches, translate};
use super::value::{column_name, row, value};
use crate::remoting::clixml::Value;

/// Rows of one script at most: it is a lab.
const MOST: usize = 200_000;

/// What a script gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ran {
    /// The rows of all results, in order.
    pub rows: Vec<Value>,
    /// How many rows were changed.
    pub changed: u64,
}

/// Runs it.
///
/// # Errors
/// As SQL Server words it. What an earlier statement changed stays changed.
pub fn run(instance: &Instance, account: &str, database: &str, script: &str) -> Result<Ran, SqlError> {
    let login = instance.log_on(account)?;
    let Some((database, state)) = instance.state(database)? else { return Err(cannot_open(database)) };
    if state != "ONLINE" {
        return Err(cannot_open(&database));
    }
    let known = instance.databases()?;
    let mut ran = Ran::default();
    for batch in batches(script) {
        let translated = translate(&batch, &database, &known)?;
        let connection = session(instance, account, login, &database, &translated)?;
        statements(&connection, &translated.text, &mut ran).map_err(|error| with_schema(error, &translated.of_dbo))?;
    }
    Ok(ran)
}

/// SQL Server repeats a name as it was written.
fn with_schema(error: SqlError, of_dbo: &[String]) -> SqlError {
    let written = |name: &&String| error.number == 208 && error.message == format!("Invalid object name '{name}'.");
    match of_dbo.iter().find(written) {
        Some(name) => SqlError { message: format!("Invalid object name 'dbo.{name}'."), ..error },
        None => error,
    }
}

fn statements(connection: &Connection, text: &str, ran: &mut Ran) -> Result<(), SqlError> {
    let wrong = |error: &rusqlite::Error| SqlError::of(error, text);
    let before = connection.total_changes();
    let mut batch = Batch::new(connection, text);
    while let Some(mut statement) = batch.next().map_err(|error| wrong(&error))? {
        let columns: Vec<(String, Option<String>)> = statement
            .columns()
            .enumerate()
            .map(|(place, column)| {
                let declared = column.decl_type().map(str::to_owned);
                (column_name(column.name(), declared.is_some(), place), declared)
            })
            .collect();
        let mut rows = statement.query([]).map_err(|error| wrong(&error))?;
        while let Some(found) = rows.next().map_err(|error| wrong(&error))? {
            let mut cells = Vec::with_capacity(columns.len());
            for (place, (name, declared)) in columns.iter().enumerate() {
                let raw = found.get_ref(place).map_err(|error| wrong(&error))?;
                cells.push((name.clone(), value(raw, declared.as_deref())));
            }
            ran.rows.push(row(cells));
            if ran.rows.len() > MOST {
                return Err(SqlError::lab(format!("more than {MOST} rows are not what it gives")));
            }
        }
    }
    ran.changed += connection.total_changes() - before;
    Ok(())
}

/// A connection with everything that the batch needs.
fn session(
    instance: &Instance,
    account: &str,
    login: Login,
    database: &str,
    translated: &Translated,
) -> Result<Connection, SqlError> {
    let wrong = |error: rusqlite::Error| SqlError::of(&error, "");
    let connection = connect(&instance.file(database))?;
    for other in &translated.databases {
        match instance.state(other)? {
            Some((name, state)) if state == "ONLINE" => {
                let file = instance.file(&name).display().to_string();
                let text = format!("ATTACH DATABASE ?1 AS \"db_{}\"", name.replace('"', "\"\""));
                connection.execute(&text, params![file]).map_err(wrong)?;
            }
            _ => return Err(SqlError::new(942, format!("Database '{other}' cannot be opened because it is offline."))),
        }
    }
    let databases = {
        let msdb = instance.msdb()?;
        let mut found = msdb.prepare("SELECT database_id, name, state_desc FROM lab_database").map_err(wrong)?;
        let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(wrong)?;
        rows.collect::<Result<Vec<_>, _>>().map_err(wrong)?
    };
    let context = Context { database: database.to_owned(), account: account.to_owned(), login, databases };
    register(&connection, instance, &context).map_err(wrong)?;
    for view in &translated.views {
        views(&connection, instance, view, &context)?;
    }
    if !login.may_write || ["master", "msdb", "model", "tempdb"].contains(&database.to_lowercase().as_str()) {
        connection.execute_batch("PRAGMA query_only = ON").map_err(wrong)?;
    }
    Ok(connection)
}

/// Makes a system view: a table of this session, filled now. Views of what others do hold only what the login may see.
fn views(connection: &Connection, instance: &Instance, view: &str, context: &Context) -> Result<(), SqlError> {
    let wrong = |error: rusqlite::Error| SqlError::of(&error, "");
    let msdb = instance.file("msdb").display().to_string();
    let attached: i64 = connection
        .query_row("SELECT COUNT(*) FROM pragma_database_list WHERE name = 'lab'", [], |row| row.get(0))
        .map_err(wrong)?;
    if attached == 0 {
        connection.execute("ATTACH DATABASE ?1 AS lab", params![msdb]).map_err(wrong)?;
    }
    let see = i32::from(context.login.view_server_state);
    let text = match view {
        "sys_databases" => {
            "CREATE TEMP TABLE sys_databases (name nvarchar(128) COLLATE NOCASE, database_id int, state tinyint, state_desc nvarchar(60), \
             recovery_model_desc nvarchar(60), user_access_desc nvarchar(60), create_date datetime);
             INSERT INTO temp.sys_databases SELECT name, database_id, CASE state_desc WHEN 'ONLINE' THEN 0 WHEN 'RESTORING' THEN 1 ELSE 4 END, \
             state_desc, recovery_model_desc, 'MULTI_USER', create_date FROM lab.lab_database ORDER BY database_id"
                .to_owned()
        }
        "sys_dm_exec_requests" => format!(
            "CREATE TEMP TABLE sys_dm_exec_requests (session_id smallint, command nvarchar(32), database_id int, percent_complete real, \
             start_time datetime);
             INSERT INTO temp.sys_dm_exec_requests SELECT r.session_id, r.command, d.database_id, r.percent_complete, getdate() \
             FROM lab.lab_request AS r LEFT JOIN lab.lab_database AS d ON d.name = r.database_name WHERE {see} = 1;
             INSERT INTO temp.sys_dm_exec_requests VALUES (51, 'SELECT', db_id(), 0, getdate())"
        ),
        "sys_dm_exec_sessions" => format!(
            "CREATE TEMP TABLE sys_dm_exec_sessions (session_id smallint, login_name nvarchar(128), host_name nvarchar(128), \
             program_name nvarchar(128), database_id int, is_user_process bit);
             INSERT INTO temp.sys_dm_exec_sessions SELECT s.spid, s.loginame, s.hostname, s.program_name, d.database_id, 1 \
             FROM lab.lab_session AS s LEFT JOIN lab.lab_database AS d ON d.name = s.database_name WHERE {see} = 1;
             INSERT INTO temp.sys_dm_exec_sessions VALUES (51, suser_sname(), NULL, 'PowerShell', db_id(), 1)"
        ),
        "sys_sysprocesses" => format!(
            "CREATE TEMP TABLE sys_sysprocesses (spid smallint, dbid smallint, loginame nchar(128), hostname nchar(128), program_name nchar(128));
             INSERT INTO temp.sys_sysprocesses SELECT s.spid, d.database_id, s.loginame, s.hostname, s.program_name \
             FROM lab.lab_session AS s LEFT JOIN lab.lab_database AS d ON d.name = s.database_name WHERE {see} = 1;
             INSERT INTO temp.sys_sysprocesses VALUES (51, db_id(), suser_sname(), '', 'PowerShell')"
        ),
        "sys_master_files" => {
            let mut text = "CREATE TEMP TABLE sys_master_files (database_id int, file_id int, type tinyint, type_desc nvarchar(60), \
                            name nvarchar(128), physical_name nvarchar(260), size int)"
                .to_owned();
            for (id, name, _) in &context.databases {
                let bytes = std::fs::metadata(instance.file(name)).map_or(0, |meta| meta.len());
                let pages = bytes.div_ceil(8192);
                let safe = name.replace('\'', "''");
                let _ = write!(
                    text,
                    ";INSERT INTO temp.sys_master_files VALUES ({id}, 1, 0, 'ROWS', '{safe}', 'D:\\MSSQL\\{safe}.mdf', {pages}), \
                     ({id}, 2, 1, 'LOG', '{safe}_log', 'D:\\MSSQL\\{safe}_log.ldf', 128)"
                );
            }
            text
        }
        "sys_tables" => {
            "CREATE TEMP TABLE sys_tables (name nvarchar(128) COLLATE NOCASE);
             INSERT INTO temp.sys_tables SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'lab@_%' ESCAPE '@'"
                .to_owned()
        }
        other => return Err(SqlError::new(208, format!("Invalid object name 'sys.{}'.", other.trim_start_matches("sys_")))),
    };
    connection.execute_batch(&text).map_err(wrong)
}
