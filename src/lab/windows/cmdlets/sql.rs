//! The cmdlets of the SQL Server module: `Invoke-Sqlcmd`, `Backup-SqlDatabase`, `Restore-SqlDatabase`.
//!
//! They reach the instances of their own machine; those of another one only where delegation lets a remote session go on.
#![expect(clippy::result_large_err, reason = "a cmdlet ends with an error record")]

use super::super::cmdlet::{Bound, Cmdlet, Kind, Parameter, Stage};
use super::super::machine::Machine;
use super::super::sql::Instance;
use super::super::sql::backup::{Backup, back_up, restore};
use super::super::sql::batch;
use super::super::sql::error::SqlError;
use crate::remoting::psrp::{Category, ErrorRecord};

const INVOKE: &str = "Microsoft.SqlServer.Management.PowerShell.GetScriptCommand";
const BACKUP: &str = "Microsoft.SqlServer.Management.PowerShell.BackupSqlDatabaseCommand";
const RESTORE: &str = "Microsoft.SqlServer.Management.PowerShell.RestoreSqlDatabaseCommand";
const MODULE: &str = "SQLPS";

const fn parameter(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, aliases: &[], kind, position: None, mandatory: false }
}

const fn at(position: usize, mandatory: bool, parameter: Parameter) -> Parameter {
    Parameter { position: Some(position), mandatory, ..parameter }
}

const CRYPT: Kind = Kind::Word(&["Optional", "Mandatory", "Strict"]);

/// All of them.
pub const ALL: &[Cmdlet] = &[
    Cmdlet {
        name: "Invoke-Sqlcmd",
        class: INVOKE,
        module: MODULE,
        parameters: &[
            at(0, false, parameter("Query", Kind::Text)),
            parameter("ServerInstance", Kind::Text),
            parameter("Database", Kind::Text),
            parameter("QueryTimeout", Kind::Number),
            parameter("ConnectionTimeout", Kind::Number),
            parameter("DisableVariables", Kind::Switch),
            parameter("DisableCommands", Kind::Switch),
            parameter("AbortOnError", Kind::Switch),
            parameter("MaxCharLength", Kind::Number),
            parameter("Variable", Kind::Texts),
            parameter("Encrypt", CRYPT),
        ],
        run: invoke,
    },
    Cmdlet {
        name: "Backup-SqlDatabase",
        class: BACKUP,
        module: MODULE,
        parameters: &[
            at(0, true, parameter("Database", Kind::Text)),
            at(1, false, parameter("BackupFile", Kind::Texts)),
            parameter("ServerInstance", Kind::Text),
            parameter("BackupAction", Kind::Word(&["Database"])),
            parameter("BackupSetName", Kind::Text),
            parameter("BackupSetDescription", Kind::Text),
            parameter("CompressionOption", Kind::Word(&["Default", "On", "Off"])),
            parameter("CopyOnly", Kind::Switch),
            parameter("Checksum", Kind::Switch),
            parameter("Initialize", Kind::Switch),
            parameter("Encrypt", CRYPT),
        ],
        run: backup,
    },
    Cmdlet {
        name: "Restore-SqlDatabase",
        class: RESTORE,
        module: MODULE,
        parameters: &[
            at(0, true, parameter("Database", Kind::Text)),
            at(1, false, parameter("BackupFile", Kind::Texts)),
            parameter("ServerInstance", Kind::Text),
            parameter("RestoreAction", Kind::Word(&["Database"])),
            parameter("FileNumber", Kind::Number),
            parameter("ReplaceDatabase", Kind::Switch),
            parameter("Checksum", Kind::Switch),
            parameter("Encrypt", CRYPT),
        ],
        run: restored,
    },
];

fn record(name: &str, class: &str, id: &str, exception: &str, message: String) -> ErrorRecord {
    ErrorRecord {
        exception_message: message,
        exception_type: exception.to_owned(),
        fully_qualified_id: format!("{id},{class}"),
        category: Category {
            number: Category::number_of("InvalidOperation").unwrap_or_default(),
            activity: name.to_owned(),
            reason: exception.rsplit('.').next().unwrap_or_default().to_owned(),
            ..Category::default()
        },
        ..ErrorRecord::default()
    }
}

fn script_error(error: &SqlError) -> ErrorRecord {
    let exception = "Microsoft.SqlServer.Management.PowerShell.SqlPowerShellSqlExecutionException";
    record("Invoke-Sqlcmd", INVOKE, "SqlError", exception, error.shown())
}

fn failed(name: &str, class: &str, error: &SqlError) -> ErrorRecord {
    let message = format!("System.Data.SqlClient.SqlError: {}", error.message);
    record(name, class, "ExecutionFailed", "Microsoft.SqlServer.Management.Common.ExecutionFailureException", message)
}

/// The instance that a name leads to, and the machine that it is on.
fn instance<'s>(stage: &'s Stage<'_>, name: &str) -> Result<(Instance, &'s Machine), SqlError> {
    let (host, instance) = name.split_once('\\').unwrap_or((name, ""));
    let host = host.split(',').next().unwrap_or_default().trim();
    let short = host.split('.').next().unwrap_or_default();
    let own = &*stage.machine;
    let here = host.is_empty() || ["(local)", "localhost", "."].contains(&host) || short.eq_ignore_ascii_case(&own.name);
    if here {
        return Ok((Instance::find(own, instance)?, own));
    }
    match stage.others.iter().find(|one| short.eq_ignore_ascii_case(&one.name)) {
        // A session that came by network has no password to show to a third machine.
        Some(other) if !own.delegates_to.iter().any(|name| name.eq_ignore_ascii_case(&other.name)) => {
            let message = "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'.";
            Err(SqlError { level: 14, ..SqlError::new(18456, message) })
        }
        Some(other) => Ok((Instance::find(other, instance)?, other)),
        None => Err(SqlError {
            level: 20,
            state: 0,
            ..SqlError::new(
                -1,
                "A network-related or instance-specific error occurred while establishing a connection to SQL Server.",
            )
        }),
    }
}

fn invoke(stage: &mut Stage<'_>, bound: &Bound) -> Result<(), ErrorRecord> {
    let Some(query) = bound.text("Query") else {
        let exception = "System.Management.Automation.ParameterBindingException";
        return Err(record("Invoke-Sqlcmd", INVOKE, "MissingArgument", exception, "There is no query to run.".to_owned()));
    };
    let script = if bound.is_on("DisableVariables") { query.to_owned() } else { substituted(query, &bound.texts("Variable"))? };
    let name = bound.text("ServerInstance").unwrap_or(".");
    let database = bound.text("Database").unwrap_or("master");
    let ran = instance(stage, name).and_then(|(instance, _)| batch::run(&instance, stage.account, database, &script));
    let ran = ran.map_err(|error| script_error(&error))?;
    stage.detail.insert("database".to_owned(), database.into());
    if ran.changed > 0 {
        stage.wrote = true;
        stage.detail.insert("rows".to_owned(), ran.changed.into());
    }
    for row in ran.rows {
        stage.output(row);
    }
    Ok(())
}

/// Replaces `$(name)`, wherever it stands, as `sqlcmd` does.
fn substituted(query: &str, variables: &[String]) -> Result<String, ErrorRecord> {
    let mut text = String::new();
    let mut rest = query;
    while let Some(begin) = rest.find("$(") {
        let Some(end) = rest[begin..].find(')').map(|end| begin + end) else { break };
        let name = &rest[begin + 2..end];
        let given = variables.iter().filter_map(|one| one.split_once('=')).find(|(own, _)| own.trim().eq_ignore_ascii_case(name));
        let Some((_, value)) = given else {
            let exception = "Microsoft.SqlServer.Management.PowerShell.SqlPowerShellSqlExecutionException";
            return Err(record(
                "Invoke-Sqlcmd",
                INVOKE,
                "ParserError",
                exception,
                format!("'{name}' scripting variable not defined."),
            ));
        };
        text.push_str(&rest[..begin]);
        text.push_str(value.trim().trim_matches('\''));
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    Ok(text)
}

/// The only file of a call.
fn file(bound: &Bound) -> Result<String, SqlError> {
    let mut files = bound.texts("BackupFile");
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        (None, _) => Err(SqlError::lab("it wants -BackupFile")),
        (Some(_), false) => Err(SqlError::lab("it writes to one file only")),
    }
}

fn backup(stage: &mut Stage<'_>, bound: &Bound) -> Result<(), ErrorRecord> {
    let wrong = |error: SqlError| failed("Backup-SqlDatabase", BACKUP, &error);
    let text = |name: &str| bound.text(name).unwrap_or_default().to_owned();
    let given = Backup {
        database: text("Database"),
        file: file(bound).map_err(wrong)?,
        name: text("BackupSetName"),
        description: text("BackupSetDescription"),
        copy_only: bound.is_on("CopyOnly"),
        checksum: bound.is_on("Checksum"),
        initialize: bound.is_on("Initialize"),
    };
    if !stage.should_process(&given.database, "Backup-SqlDatabase") {
        return Ok(());
    }
    stage.detail.insert("database".to_owned(), given.database.clone().into());
    stage.detail.insert("file".to_owned(), given.file.clone().into());
    // Also of one that failed: half a file is an effect.
    stage.wrote = true;
    let name = bound.text("ServerInstance").unwrap_or(".");
    let done = instance(stage, name).and_then(|(instance, server)| {
        let rest = others(stage, server);
        back_up(&instance, stage.account, server, &rest, &given)
    });
    done.map_err(wrong)
}

fn restored(stage: &mut Stage<'_>, bound: &Bound) -> Result<(), ErrorRecord> {
    let wrong = |error: SqlError| failed("Restore-SqlDatabase", RESTORE, &error);
    let database = bound.text("Database").unwrap_or_default().to_owned();
    let file = file(bound).map_err(wrong)?;
    if !stage.should_process(&database, "Restore-SqlDatabase") {
        return Ok(());
    }
    stage.detail.insert("database".to_owned(), database.clone().into());
    stage.detail.insert("file".to_owned(), file.clone().into());
    stage.wrote = true;
    let name = bound.text("ServerInstance").unwrap_or(".");
    let position = bound.number("FileNumber").filter(|number| *number > 0).unwrap_or(1);
    let done = instance(stage, name).and_then(|(instance, server)| {
        let rest = others(stage, server);
        restore(&instance, stage.account, server, &rest, (&database, &file, position, bound.is_on("ReplaceDatabase")))
    });
    done.map_err(wrong)
}

/// Every machine but the server's.
fn others(stage: &Stage<'_>, server: &Machine) -> Vec<Machine> {
    let all = std::iter::once(&*stage.machine).chain(stage.others);
    all.filter(|one| one.name != server.name).cloned().collect()
}
