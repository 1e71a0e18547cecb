//! `Export-CsPersistentChatData` and `Import-CsPersistentChatData`.
//!
//! They run on the Front End as whoever called: files are its files, and the database is reached over the network. What
//! happens to an older file of the same name, whether an import looks at services, and which rights in SQL Server are needed is
//! documented nowhere: here the file is written over, a running Persistent Chat service refuses the import, and a login
//! suffices.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::PathBuf;

use rusqlite::Connection;

use crate::lab::lync::chat::check::{Known, check};
use crate::lab::lync::chat::export::{Level, Wanted, export};
use crate::lab::lync::chat::flatten::flatten;
use crate::lab::lync::chat::import::{existing, import, lock, ticks, unlock};
use crate::lab::lync::chat::model::Data;
use crate::lab::lync::chat::package::Package;
use crate::lab::lync::chat::report::Report;
use crate::lab::lync::chat::source::Source;
use crate::lab::lync::chat::{Trouble, faults};
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Event, Kind, Parameter, Stage};
use crate::lab::windows::drives::{Eye, Spot};
use crate::lab::windows::errors::error;
use crate::lab::windows::machine::{Machine, State};
use crate::lab::windows::sql::error::SqlError;
use crate::lab::windows::sql::{Instance, PERSISTENT_CHAT, open};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{ErrorRecord, ProgressRecord};

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Export-CsPersistentChatData",
        class: "Microsoft.Rtc.Management.Chat.Cmdlets.ExportChatDataCmdlet",
        module: MODULE,
        parameters: &[
            Parameter::new("DBInstance", Kind::Text).needed(),
            Parameter::new("DBName", Kind::Text),
            Parameter::new("FileName", Kind::Text),
            Parameter::new("AsBytes", Kind::Switch),
            Parameter::new(
                "Level",
                Kind::Enumeration(
                    "Microsoft.Rtc.Management.Chat.ExportLevel",
                    &["All", "User", "Category", "RoomDirectory", "Content"],
                ),
            ),
            Parameter::new("Scope", Kind::Texts),
            Parameter::new("StartDate", Kind::Any),
            Parameter::new("DisableExportedNodes", Kind::Switch),
            Parameter::new("Report", Kind::Text),
        ],
        run: export_data,
    },
    Cs {
        name: "Import-CsPersistentChatData",
        class: "Microsoft.Rtc.Management.Chat.Cmdlets.ImportChatDataCmdlet",
        module: MODULE,
        parameters: &[
            Parameter::new("DBInstance", Kind::Text).needed(),
            Parameter::new("FileName", Kind::Text),
            Parameter::new("ByteInput", Kind::Any),
            Parameter::new("Report", Kind::Text),
        ],
        run: import_data,
    },
];

fn of_sql(error_of: &SqlError) -> ErrorRecord {
    error("ChatDatabase", "InvalidOperation", "System.Data.SqlClient.SqlException", error_of.message.clone(), Value::Nil)
}

fn troubled(trouble: Trouble) -> ErrorRecord {
    match trouble {
        Trouble::Sql(cause) => of_sql(&SqlError::of(&cause, "")),
        Trouble::File(cause) => failed("ChatDataFile", "WriteError", "System.IO.IOException", cause.to_string()),
        Trouble::Lost { .. } => {
            failed("ChatDatabase", "ConnectionError", "System.Data.SqlClient.SqlException", trouble.to_string())
        }
        Trouble::Locked { .. } => {
            failed("ChatDataLocked", "ResourceBusy", "System.InvalidOperationException", trouble.to_string())
        }
        other => failed("ChatDataInvalid", "InvalidData", "System.IO.InvalidDataException", other.to_string()),
    }
}

fn failed(id: &str, category: &str, exception: &str, message: impl Into<String>) -> ErrorRecord {
    error(id, category, exception, message, Value::Nil)
}

fn argument(message: &str) -> ErrorRecord {
    failed("ChatDataArgument", "InvalidArgument", "System.ArgumentException", message)
}

/// The instance of a `-DBInstance`, as the caller reaches it from the Front End.
pub(super) fn instance<'f>(server: &Machine, forest: &'f Forest<'_>, name: &str) -> Result<(Instance, &'f Machine), SqlError> {
    let (host, instance) = name.split_once('\\').unwrap_or((name, ""));
    let Some(machine) = forest.machine(host) else {
        let message = "A network-related or instance-specific error occurred while establishing a connection to SQL Server.";
        return Err(SqlError { level: 20, state: 0, ..SqlError::new(-1, message) });
    };
    let is_reached =
        machine.name == server.name || server.delegates_to.iter().any(|name| name.eq_ignore_ascii_case(&machine.name));
    if !is_reached {
        return Err(SqlError { level: 14, ..SqlError::new(18456, "Login failed for user 'NT AUTHORITY\\ANONYMOUS LOGON'.") });
    }
    let instance = Instance::find(machine, instance)?;
    instance.log_on(forest.account)?;
    Ok((instance, machine))
}

/// A database there.
pub(super) fn database(
    server: &Machine,
    forest: &Forest<'_>,
    name: &str,
    database: &str,
) -> Result<(Instance, Connection), SqlError> {
    let (instance, machine) = instance(server, forest, name)?;
    let connection = open(machine, &instance.name, database)?;
    Ok((instance, connection))
}

/// The real file that a path of the Front End leads to.
fn place(stage: &Stage<'_>, forest: &Forest<'_>, path: &str) -> Result<PathBuf, ErrorRecord> {
    let eye = Eye { machine: stage.machine, others: forest.machines, account: stage.account };
    let lost = || {
        failed(
            "ChatDataFile",
            "ObjectNotFound",
            "System.IO.DirectoryNotFoundException",
            format!("Could not find a part of the path '{path}'."),
        )
    };
    let first = |records: Vec<ErrorRecord>| records.into_iter().next().unwrap_or_else(lost);
    match eye.literal(path).map_err(|astray| first(astray.records()))? {
        Spot::File(place) if !place.is_device() => {
            let (real, _) = place.real().map_err(|astray| first(astray.records()))?;
            if real.parent().is_some_and(std::path::Path::is_dir) && !real.is_dir() { Ok(real) } else { Err(lost()) }
        }
        _ => Err(lost()),
    }
}

fn write_report(stage: &mut Stage<'_>, path: Option<&PathBuf>, report: &Report) -> Done {
    let Some(path) = path else { return Ok(()) };
    match std::fs::write(path, report.html()) {
        Ok(()) => Ok(()),
        Err(cause) => stage.report(failed("ChatDataReport", "WriteError", "System.IO.IOException", cause.to_string())),
    }
}

fn progress(stage: &mut Stage<'_>, activity: &str, status: &str, percent: u8) {
    stage.events.push(Event::Progress(Box::new(ProgressRecord {
        activity: activity.to_owned(),
        status: status.to_owned(),
        percent: Some(percent),
        completed: percent == 100,
        ..ProgressRecord::default()
    })));
}

/// A date as PowerShell sends it, or as a person types it.
fn start_date(value: &Value) -> Option<jiff::Timestamp> {
    if let Some(time) = value.as_timestamp() {
        return Some(time);
    }
    let text = value.to_text();
    let parsed = text.parse::<jiff::Timestamp>().ok();
    let civil = || text.parse::<jiff::civil::DateTime>().or_else(|_| jiff::civil::DateTime::strptime("%m/%d/%Y", &text)).ok();
    let day = || jiff::civil::Date::strptime("%m/%d/%Y", &text).or_else(|_| text.parse()).ok();
    let utc = |time: jiff::civil::DateTime| time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    parsed.or_else(|| day().map(|day| day.at(0, 0, 0, 0)).or_else(civil).and_then(utc))
}

/// Leaves of it what is in some categories, those below them included.
fn within(data: &mut Data, scope: &[String]) -> Result<(), ErrorRecord> {
    let flat = flatten(data);
    let wanted = |name: &String| {
        let same = |own: &&str| own.eq_ignore_ascii_case(name) || own.to_lowercase() == name.to_lowercase();
        let found = flat.categories.iter().find(|category| same(&category.name.as_str()));
        found.map(|category| category.place).or_else(|| data.categories.iter().position(|category| same(&category.name.as_str())))
    };
    let mut kept = Vec::new();
    for name in scope {
        let found = wanted(name);
        let place = found.ok_or_else(|| {
            failed("ChatDataScope", "ObjectNotFound", "System.ArgumentException", format!("Category '{name}' was not found."))
        })?;
        kept.push(data.categories[place].id.clone());
    }
    // Parents stand before their children.
    for category in &data.categories {
        if category.parent.as_ref().is_some_and(|parent| kept.contains(parent)) {
            kept.push(category.id.clone());
        }
    }
    data.categories.retain(|category| kept.contains(&category.id));
    data.rooms.retain(|room| room.category.as_ref().is_some_and(|category| kept.contains(category)));
    for category in &mut data.categories {
        category.parent = category.parent.take().filter(|parent| kept.contains(parent));
    }
    Ok(())
}

fn export_data(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    const ACTIVITY: &str = "Exporting chat data";
    if bound.is_on("AsBytes") == bound.has("FileName") {
        return Err(argument("Either -FileName or -AsBytes has to be given."));
    }
    let level = match bound.text("Level") {
        Some("User") => Level::User,
        Some("Category") => Level::Category,
        Some("RoomDirectory") => Level::RoomDirectory,
        Some("Content") => Level::Content,
        _ => Level::All,
    };
    let since = match bound.0.get("startdate") {
        Some(value) => Some(ticks(start_date(value).ok_or_else(|| argument("-StartDate is not a date."))?)),
        None => None,
    };
    let wanted = Wanted { level, since };
    let name = bound.text("DBInstance").unwrap_or_default().to_owned();
    let base = bound.text("DBName").unwrap_or(PERSISTENT_CHAT).to_owned();
    let (_, connection) = database(stage.machine, forest, &name, &base).map_err(|error| of_sql(&error))?;
    let source = Source::of(&connection).map_err(|error| troubled(error.into()))?;
    let none = || {
        failed(
            "ChatDatabase",
            "InvalidOperation",
            "System.InvalidOperationException",
            format!("'{base}' is not a database of chat rooms."),
        )
    };
    let source = source.ok_or_else(none)?;
    let mut data = source.data().map_err(|error| troubled(error.into()))?;
    if bound.has("Scope") {
        within(&mut data, &bound.texts("Scope"))?;
    }
    let file = bound.text("FileName").map(|path| place(stage, forest, path)).transpose()?;
    let report = bound.text("Report").map(|path| place(stage, forest, path)).transpose()?;
    progress(stage, ACTIVITY, "Reading", 10);
    stage.wrote = file.is_some() || report.is_some();
    let messages = match &file {
        Some(path) => {
            let into = File::create(path).map_err(|cause| troubled(cause.into()))?;
            export(&source, &data, &wanted, into).map_err(troubled)?
        }
        None => {
            let mut bytes = Cursor::new(Vec::new());
            let messages = export(&source, &data, &wanted, &mut bytes).map_err(troubled)?;
            stage.output(Value::Bytes(bytes.into_inner()));
            messages
        }
    };
    if bound.is_on("DisableExportedNodes") && level >= Level::RoomDirectory {
        stage.wrote = true;
        source.disable(&data.rooms).map_err(|error| troubled(error.into()))?;
    }
    let mut warnings = Vec::new();
    if since.is_some() && level != Level::RoomDirectory {
        warnings.push("StartDate is meant for the level RoomDirectory. Older messages are left out all the same.".to_owned());
    }
    let count = |number: usize| number.to_string();
    let facts = [
        ("Database", format!("{name} {base}")),
        ("File", bound.text("FileName").unwrap_or("(bytes)").to_owned()),
        ("Principals", count(data.principals.len())),
        ("Categories", count(data.categories.len())),
        ("Chat rooms", count(data.rooms.len())),
        ("Messages", messages.to_string()),
    ];
    stage.detail.insert("database".to_owned(), base.as_str().into());
    stage.detail.insert("messages".to_owned(), messages.into());
    let facts = facts.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let told = Report { title: "Export-CsPersistentChatData".to_owned(), facts, warnings, ..Report::default() };
    for warning in &told.warnings {
        stage.warning(warning.as_str());
    }
    write_report(stage, report.as_ref(), &told)?;
    progress(stage, ACTIVITY, "Done", 100);
    Ok(())
}

/// Servers of pools that use an instance, on which Persistent Chat is not stopped.
fn running(forest: &Forest<'_>, sql: &Machine, instance: &Instance) -> Vec<String> {
    let of_instance = forest.deployment.chat_pools.iter().filter(|pool| {
        let own = if pool.sql_instance.is_empty() { "MSSQLSERVER" } else { &pool.sql_instance };
        sql.answers_to(&pool.sql_host) && instance.name.eq_ignore_ascii_case(own)
    });
    let runs = |machine: &Machine| {
        machine.services.iter().any(|service| service.path.contains("ChannelService.exe") && service.state != State::Stopped)
    };
    let servers = of_instance.flat_map(|pool| &pool.servers);
    servers.filter(|name| forest.machine(name).is_some_and(runs)).cloned().collect()
}

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

fn import_data(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    const ACTIVITY: &str = "Importing chat data";
    let from: Box<dyn ReadSeek> = match (bound.text("FileName"), bound.0.get("byteinput")) {
        (Some(path), None) => {
            let real = place(stage, forest, path)?;
            let lost = |_| {
                failed(
                    "ChatDataFile",
                    "ObjectNotFound",
                    "System.IO.FileNotFoundException",
                    format!("Could not find file '{path}'."),
                )
            };
            Box::new(File::open(real).map_err(lost)?)
        }
        (None, Some(value)) => {
            let bytes = value.as_bytes().ok_or_else(|| argument("-ByteInput is not an array of bytes."))?;
            Box::new(Cursor::new(bytes.to_vec()))
        }
        _ => return Err(argument("Either -FileName or -ByteInput has to be given.")),
    };
    let name = bound.text("DBInstance").unwrap_or_default().to_owned();
    let (instance, connection) = database(stage.machine, forest, &name, PERSISTENT_CHAT).map_err(|error| of_sql(&error))?;
    let report = bound.text("Report").map(|path| place(stage, forest, path)).transpose()?;
    let sql = name.split('\\').next().and_then(|host| forest.machine(host));
    let at_work = sql.map(|sql| running(forest, sql, &instance)).unwrap_or_default();
    progress(stage, ACTIVITY, "Reading", 10);
    let mut package = Package::open(from).map_err(troubled)?;
    let data = package.data().map_err(troubled)?;
    let known = holders(forest)?;
    let mut checked = check(&data, &known, &existing(&connection).map_err(troubled)?);
    for server in &at_work {
        let text = format!("Persistent Chat is running on {server}. It has to be stopped before chat data is imported.");
        if stage.what_if {
            checked.warnings.push(text);
        } else {
            return Err(failed("ChatServiceRunning", "InvalidOperation", "System.InvalidOperationException", text));
        }
    }
    let mut told = Report {
        title: "Import-CsPersistentChatData".to_owned(),
        errors: checked.errors.clone(),
        warnings: checked.warnings.clone(),
        notes: checked.notes.clone(),
        ..Report::default()
    };
    let mut fact = |name: &str, value: String| told.facts.push((name.to_owned(), value));
    fact("File", bound.text("FileName").unwrap_or("(bytes)").to_owned());
    fact("Database", format!("{name} {PERSISTENT_CHAT}"));
    fact("Principals", data.principals.len().to_string());
    fact("Categories", data.categories.len().to_string());
    fact("Chat rooms", (data.rooms.len() - checked.left_out.len()).to_string());
    for warning in &checked.warnings {
        stage.warning(warning.as_str());
    }
    stage.detail.insert("warnings".to_owned(), checked.warnings.len().into());
    if !stage.should_process(&format!("{name} {PERSISTENT_CHAT}"), "Import-CsPersistentChatData") {
        told.title.push_str(" -WhatIf");
        write_report(stage, report.as_ref(), &told)?;
        progress(stage, ACTIVITY, "Done", 100);
        return complain(stage, &checked.errors);
    }
    let wrong = |error: SqlError| of_sql(&error);
    let stops_after = faults::stops_after(&instance).map_err(wrong)?;
    if let Some(room) = faults::room(&instance).map_err(wrong)? {
        limit(&connection, room).map_err(|error| troubled(error.into()))?;
    }
    lock(&connection, stage.account).map_err(troubled)?;
    stage.wrote = true;
    let done = import(&connection, (&data, &checked), stops_after, |each| package.messages(each));
    // Who has lost the connection cannot give the lock up.
    if !matches!(done, Err(Trouble::Lost { .. })) {
        unlock(&connection).map_err(troubled)?;
    }
    let done = match done {
        Ok(done) => done,
        Err(trouble) => {
            told.errors.push(trouble.to_string());
            write_report(stage, report.as_ref(), &told)?;
            return Err(troubled(trouble));
        }
    };
    told.facts.push(("Messages".to_owned(), done.messages.to_string()));
    stage.detail.insert("rooms".to_owned(), done.rooms.into());
    stage.detail.insert("messages".to_owned(), done.messages.into());
    write_report(stage, report.as_ref(), &told)?;
    progress(stage, ACTIVITY, "Done", 100);
    complain(stage, &checked.errors)
}

/// Last, so that `-ErrorAction Stop` ends nothing in its middle.
fn complain(stage: &mut Stage<'_>, errors: &[String]) -> Done {
    errors.iter().try_for_each(|text| {
        stage.report(failed("ChatDataRefused", "InvalidData", "System.InvalidOperationException", text.as_str()))
    })
}

/// A database cannot grow beyond this.
fn limit(connection: &Connection, bytes: u64) -> rusqlite::Result<()> {
    let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    connection.query_row(&format!("PRAGMA max_page_count = {}", (bytes / u64::from(page.max(1))).max(1)), [], |_| Ok(()))
}

/// Who has an address in the directory, by the address in lower case.
fn holders(forest: &mut Forest<'_>) -> Result<BTreeMap<String, Known>, ErrorRecord> {
    let found = forest.directory.holders();
    let found = found.map_err(|text| {
        failed("ChatDataDirectory", "ConnectionError", "System.DirectoryServices.ActiveDirectoryServerDownException", text)
    })?;
    let known = |holder: crate::lab::lync::directory::Holder| {
        let state = if holder.enabled && !holder.disabled { Known::Enabled } else { Known::Disabled };
        (holder.address.to_lowercase(), state)
    };
    Ok(found.into_iter().map(known).collect())
}
