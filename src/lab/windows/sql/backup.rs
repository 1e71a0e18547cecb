//! Backups and restores. A backup is one file that holds, like a medium of SQL Server's, one set after the other, each with
//! its header and a whole copy of the database.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::machine::Machine;
use super::error::SqlError;
use super::instance::{Instance, connect, one};
use super::path;

/// What a backup is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backup {
    /// The database.
    pub database: String,
    /// The file, as a path of the server.
    pub file: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether the chain of differential backups is left alone.
    pub copy_only: bool,
    /// Whether pages are checked.
    pub checksum: bool,
    /// Whether what is in the file is written over.
    pub initialize: bool,
}

const MEDIUM: &str = "
CREATE TABLE medium (media_uuid TEXT);
CREATE TABLE sets (position INTEGER PRIMARY KEY, uuid TEXT, name TEXT, description TEXT, database_name TEXT, server_name TEXT, copy_only INT,
    checksums INT, first_lsn TEXT, last_lsn TEXT, started TEXT, finished TEXT, content BLOB);
";

fn refused(command: &str, number: i32, message: impl std::fmt::Display) -> SqlError {
    SqlError::new(number, format!("{message}\n{command} is terminating abnormally."))
}

fn now() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn permission(command: &str, database: &str) -> SqlError {
    refused(command, 262, format!("{command} permission denied in database '{database}'."))
}

/// Backs a database up.
///
/// # Errors
/// As SQL Server words it.
pub fn back_up(
    instance: &Instance,
    account: &str,
    machine: &Machine,
    others: &[Machine],
    given: &Backup,
) -> Result<(), SqlError> {
    const COMMAND: &str = "BACKUP DATABASE";
    let login = instance.log_on(account)?;
    let Some((database, state)) = instance.state(&given.database)? else {
        let text = format!("Database '{}' does not exist. Make sure that the name is entered correctly.", given.database);
        return Err(refused(COMMAND, 911, text));
    };
    if !login.may_back_up {
        return Err(permission(COMMAND, &database));
    }
    if state != "ONLINE" {
        return Err(refused(COMMAND, 927, format!("Database '{database}' cannot be opened. It is in the middle of a restore.")));
    }
    let device =
        |why: &str| refused(COMMAND, 3201, format!("Cannot open backup device '{}'. Operating system error {why}.", given.file));
    let target =
        path::local(machine, others, &given.file).ok_or_else(|| device("3(The system cannot find the path specified.)"))?;
    if target.parent().is_none_or(|folder| !folder.is_dir()) {
        return Err(device("3(The system cannot find the path specified.)"));
    }
    if target.is_dir() {
        return Err(device("5(Access is denied.)"));
    }
    let started = now();
    let content = image(instance, &database)?;
    let used = std::fs::metadata(&target).map_or(0, |meta| if given.initialize { 0 } else { meta.len() });
    if instance.room()?.is_some_and(|room| used.saturating_add(u64::try_from(content.len()).unwrap_or(u64::MAX)) > room) {
        let text = format!("Write on \"{}\" failed: 112(There is not enough space on the disk.)", given.file);
        return Err(refused(COMMAND, 3202, text));
    }
    if instance.goes_wrong("backup-leaves-half")? {
        let half = content.get(..content.len() / 2).unwrap_or_default();
        std::fs::write(&target, half).map_err(SqlError::lab)?;
        return Err(refused(COMMAND, 3271, format!("A nonrecoverable I/O error occurred on file \"{}\".", given.file)));
    }
    if instance.goes_wrong("backup-breaks-off")? {
        return Err(refused(COMMAND, 3271, format!("A nonrecoverable I/O error occurred on file \"{}\".", given.file)));
    }
    let media = medium(&target, given.initialize).map_err(|_| {
        refused(
            COMMAND,
            3241,
            format!(
                "The media family on device '{}' is incorrectly formed. SQL Server cannot process this media family.",
                given.file
            ),
        )
    })?;
    let set = Header {
        uuid: uuid::Uuid::new_v4().to_string(),
        position: one(&media, "SELECT COALESCE(MAX(position), 0) + 1 FROM sets")?,
        finished: now(),
        started,
        database,
    };
    // The same log position for the same count of backups: there is no log to take it from.
    let lsn: i64 = one(&instance.msdb()?, "SELECT COUNT(*) + 1 FROM backupset")?;
    let (first, last) = (format!("{}000000{:04}00037", 21 + lsn, lsn), format!("{}000000{:04}00001", 21 + lsn, lsn + 1));
    let server = format!("{}\\{}", instance.machine.to_ascii_uppercase(), instance.name);
    media
        .execute(
            "INSERT INTO sets VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            params![
                set.position,
                set.uuid,
                given.name,
                given.description,
                set.database,
                server,
                given.copy_only,
                given.checksum,
                first,
                last,
                set.started,
                set.finished,
                content
            ],
        )
        .map_err(|error| SqlError::of(&error, ""))?;
    drop(media);
    remember(instance, account, &given.file, &target)
}

struct Header {
    uuid: String,
    position: i64,
    started: String,
    finished: String,
    database: String,
}

/// A whole copy of a database.
fn image(instance: &Instance, database: &str) -> Result<Vec<u8>, SqlError> {
    let copy = instance.file(&format!("{database}.copy"));
    let _ = std::fs::remove_file(&copy);
    let source = connect(&instance.file(database))?;
    let made = source.execute("VACUUM INTO ?1", [copy.display().to_string()]);
    made.map_err(|error| SqlError::of(&error, ""))?;
    let content = std::fs::read(&copy).map_err(SqlError::lab)?;
    std::fs::remove_file(&copy).map_err(SqlError::lab)?;
    Ok(content)
}

fn medium(file: &Path, initialize: bool) -> Result<Connection, SqlError> {
    if initialize && file.exists() {
        std::fs::remove_file(file).map_err(SqlError::lab)?;
    }
    let is_new = !file.exists();
    let media = connect(file)?;
    if is_new {
        media.execute_batch(&format!("BEGIN;{MEDIUM}COMMIT;")).map_err(|error| SqlError::of(&error, ""))?;
        let id = uuid::Uuid::new_v4().to_string();
        media.execute("INSERT INTO medium VALUES (?1)", [id]).map_err(|error| SqlError::of(&error, ""))?;
    }
    one::<String>(&media, "SELECT media_uuid FROM medium")?;
    Ok(media)
}

/// Writes into msdb what a file holds and msdb does not know yet, as SQL Server does after a backup and before a restore.
fn remember(instance: &Instance, account: &str, device: &str, file: &Path) -> Result<(), SqlError> {
    let wrong = |error: rusqlite::Error| SqlError::of(&error, "");
    let msdb = instance.msdb()?;
    msdb.execute("ATTACH DATABASE ?1 AS media", [file.display().to_string()]).map_err(wrong)?;
    let media: String = one(&msdb, "SELECT media_uuid FROM media.medium")?;
    msdb.execute_batch("BEGIN IMMEDIATE").map_err(wrong)?;
    let known =
        msdb.query_row("SELECT media_set_id FROM backupmediaset WHERE media_uuid = ?1", [&media], |row| row.get::<_, i64>(0));
    let id = match known.optional().map_err(wrong)? {
        Some(id) => id,
        None => {
            msdb.execute("INSERT INTO backupmediaset (media_uuid) VALUES (?1)", [&media]).map_err(wrong)?;
            let id = msdb.last_insert_rowid();
            msdb.execute("INSERT INTO backupmediafamily VALUES (?1, 1, ?2, 2)", params![id, device]).map_err(wrong)?;
            id
        }
    };
    msdb.execute(
        "INSERT INTO backupset (backup_set_uuid, media_set_id, position, name, description, database_name, server_name, type, is_copy_only, \
         is_damaged, has_backup_checksums, backup_size, compressed_backup_size, first_lsn, last_lsn, backup_start_date, backup_finish_date, user_name) \
         SELECT uuid, ?1, position, name, description, database_name, server_name, 'D', copy_only, 0, checksums, length(content), length(content), \
         first_lsn, last_lsn, started, finished, ?2 FROM media.sets WHERE uuid NOT IN (SELECT backup_set_uuid FROM backupset)",
        params![id, account],
    )
    .map_err(wrong)?;
    msdb.execute_batch("COMMIT").map_err(wrong)
}

/// Restores a database from the set at `position` of a file.
///
/// # Errors
/// As SQL Server words it.
pub fn restore(
    instance: &Instance,
    account: &str,
    machine: &Machine,
    others: &[Machine],
    (database, file, position, replace): (&str, &str, i64, bool),
) -> Result<(), SqlError> {
    const COMMAND: &str = "RESTORE DATABASE";
    let wrong = |error: rusqlite::Error| SqlError::of(&error, "");
    let login = instance.log_on(account)?;
    if !login.dbcreator {
        return Err(permission(COMMAND, database));
    }
    let device = |why: &str| refused(COMMAND, 3201, format!("Cannot open backup device '{file}'. Operating system error {why}."));
    let source = path::local(machine, others, file).filter(|path| path.is_file());
    let source = source.ok_or_else(|| device("2(The system cannot find the file specified.)"))?;
    let malformed = || {
        refused(
            COMMAND,
            3241,
            format!("The media family on device '{file}' is incorrectly formed. SQL Server cannot process this media family."),
        )
    };
    let media = Connection::open_with_flags(&source, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|_| malformed())?;
    let text = "SELECT uuid, database_name, content FROM sets WHERE position = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?));
    let found = media.query_row(text, [position], read).optional().map_err(|_| malformed())?;
    let Some((set, of, content)) = found else {
        return Err(refused(COMMAND, 4038, format!("Cannot find file ID {position} on device '{file}'.")));
    };
    drop(media);
    let existing = instance.state(database)?;
    if let Some((name, _)) = &existing {
        if ["master", "tempdb", "model", "msdb"].contains(&name.to_lowercase().as_str()) {
            return Err(refused(
                COMMAND,
                3108,
                "To restore the master database, the server must be running in single-user mode.",
            ));
        }
        if !replace && !of.eq_ignore_ascii_case(name) {
            let text = format!("The backup set holds a backup of a database other than the existing '{name}' database.");
            return Err(refused(COMMAND, 3154, text));
        }
        let users: i64 = instance
            .msdb()?
            .query_row("SELECT COUNT(*) FROM lab_session WHERE database_name = ?1 COLLATE NOCASE", [name], |row| row.get(0))
            .map_err(wrong)?;
        if users > 0 {
            return Err(refused(COMMAND, 3101, "Exclusive access could not be obtained because the database is in use."));
        }
    }
    remember(instance, account, file, &source)?;
    let name = match existing {
        Some((name, _)) => name,
        None => {
            drop(instance.create_database(database)?);
            database.to_owned()
        }
    };
    instance.set_state(&name, "RESTORING")?;
    if instance.goes_wrong("restore-breaks-off")? {
        return Err(refused(COMMAND, 3203, format!("Read on \"{file}\" failed: 23(Data error (cyclic redundancy check).)")));
    }
    let new = instance.file(&format!("{name}.new"));
    std::fs::write(&new, content).map_err(SqlError::lab)?;
    let _ = std::fs::remove_file(instance.file(&name).with_extension("sqlite-journal"));
    std::fs::rename(&new, instance.file(&name)).map_err(SqlError::lab)?;
    let msdb = instance.msdb()?;
    msdb.execute_batch("BEGIN IMMEDIATE").map_err(wrong)?;
    msdb.execute(
        "INSERT INTO restorehistory (restore_date, destination_database_name, user_name, backup_set_id, restore_type, [replace], recovery) \
         SELECT ?1, ?2, ?3, backup_set_id, 'D', ?4, 1 FROM backupset WHERE backup_set_uuid = ?5",
        params![now(), name, account, replace, set],
    )
    .map_err(wrong)?;
    msdb.execute("UPDATE lab_database SET state_desc = 'ONLINE' WHERE name = ?1", [&name]).map_err(wrong)?;
    msdb.execute_batch("COMMIT").map_err(wrong)
}
