//! One instance: a folder with a file per database. What the server itself knows is in `msdb`.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::machine::{Machine, State};
use super::error::SqlError;

/// `msdb`, and beside its documented tables those of the lab.
const MSDB: &str = "
CREATE TABLE backupmediaset (media_set_id INTEGER PRIMARY KEY, media_uuid uniqueidentifier);
CREATE TABLE backupmediafamily (media_set_id int, family_sequence_number tinyint, physical_device_name nvarchar(260) COLLATE NOCASE, device_type tinyint);
CREATE TABLE backupset (backup_set_id INTEGER PRIMARY KEY, backup_set_uuid uniqueidentifier COLLATE NOCASE, media_set_id int, position int,
    name nvarchar(128), description nvarchar(255), database_name nvarchar(128) COLLATE NOCASE, server_name nvarchar(128), type char(1),
    is_copy_only bit, is_damaged bit, has_backup_checksums bit, backup_size numeric(20,0), compressed_backup_size numeric(20,0),
    first_lsn numeric(25,0), last_lsn numeric(25,0), backup_start_date datetime, backup_finish_date datetime, user_name nvarchar(128));
CREATE TABLE restorehistory (restore_history_id INTEGER PRIMARY KEY, restore_date datetime, destination_database_name nvarchar(128) COLLATE NOCASE,
    user_name nvarchar(128), backup_set_id int, restore_type char(1), [replace] bit, recovery bit);
CREATE TABLE lab_database (database_id INTEGER PRIMARY KEY, name nvarchar(128) COLLATE NOCASE UNIQUE, state_desc nvarchar(60), recovery_model_desc nvarchar(60),
    create_date datetime);
CREATE TABLE lab_session (spid INTEGER PRIMARY KEY, database_name nvarchar(128), loginame nvarchar(128), hostname nvarchar(128), program_name nvarchar(128));
CREATE TABLE lab_request (session_id INTEGER PRIMARY KEY, command nvarchar(32), database_name nvarchar(128), percent_complete real);
CREATE TABLE lab_login (name nvarchar(128) COLLATE NOCASE PRIMARY KEY, sysadmin bit, dbcreator bit, view_server_state bit, may_write bit, may_back_up bit);
CREATE TABLE lab_setting (name nvarchar(60) PRIMARY KEY, value nvarchar(4000));
CREATE TABLE lab_fault (name nvarchar(60) PRIMARY KEY, times int);
";

/// An instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// `RTC`; `MSSQLSERVER` for the default one.
    pub name: String,
    /// The machine's name.
    pub machine: String,
    pub(super) folder: PathBuf,
}

/// What a login may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Login {
    /// Everything.
    pub sysadmin: bool,
    /// To restore databases.
    pub dbcreator: bool,
    /// To see what others do.
    pub view_server_state: bool,
    /// To write in databases.
    pub may_write: bool,
    /// To back databases up.
    pub may_back_up: bool,
}

impl Instance {
    /// The instance of a machine; its name without regard to case.
    ///
    /// # Errors
    /// There is none, or its service does not run.
    pub fn find(machine: &Machine, name: &str) -> Result<Self, SqlError> {
        let name = if name.is_empty() { "MSSQLSERVER" } else { name };
        let gone = || SqlError {
            level: 20,
            state: 0,
            ..SqlError::new(
                -1,
                "A network-related or instance-specific error occurred while establishing a connection to SQL Server. The server was not \
                     found or was not accessible.",
            )
        };
        let service = if name.eq_ignore_ascii_case("MSSQLSERVER") { "MSSQLSERVER".to_owned() } else { format!("MSSQL${name}") };
        let stopped =
            |one: &super::super::machine::Service| one.name.eq_ignore_ascii_case(&service) && one.state != State::Running;
        if machine.services.iter().any(stopped) {
            return Err(gone());
        }
        let all = std::fs::read_dir(machine.files.join("sql")).map_err(|_| gone())?;
        let mut found = all.filter_map(Result::ok).map(|entry| entry.path());
        let folder = found
            .find(|path| path.file_name().is_some_and(|own| own.to_string_lossy().eq_ignore_ascii_case(name)))
            .ok_or_else(gone)?;
        let name = folder.file_name().map_or_else(String::new, |own| own.to_string_lossy().into_owned());
        Ok(Instance { name, machine: machine.name.clone(), folder })
    }

    /// Makes an instance with its system databases. What is there already stays.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn create(machine: &Machine, name: &str) -> Result<Self, SqlError> {
        let folder = machine.files.join("sql").join(name);
        std::fs::create_dir_all(&folder).map_err(SqlError::lab)?;
        let instance = Instance { name: name.to_owned(), machine: machine.name.clone(), folder };
        if !instance.file("msdb").exists() {
            let msdb = connect(&instance.file("msdb"))?;
            let made = msdb.execute_batch(&format!("BEGIN;{MSDB}COMMIT;"));
            made.map_err(|error| SqlError::of(&error, ""))?;
            for (id, system) in ["master", "tempdb", "model", "msdb"].into_iter().enumerate() {
                instance.add(&msdb, i64::try_from(id).unwrap_or_default() + 1, system, "SIMPLE")?;
            }
        }
        Ok(instance)
    }

    fn add(&self, msdb: &Connection, id: i64, name: &str, recovery: &str) -> Result<(), SqlError> {
        let file = self.file(name);
        connect(&file)?.execute_batch("PRAGMA user_version = 1").map_err(|error| SqlError::of(&error, ""))?;
        let text = "INSERT INTO lab_database VALUES (?1, ?2, 'ONLINE', ?3, '2011-03-14T09:00:00')";
        msdb.execute(text, params![id, name, recovery]).map_err(|error| SqlError::of(&error, ""))?;
        Ok(())
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// There is one of that name, or the name cannot be a file's.
    pub fn create_database(&self, name: &str) -> Result<Connection, SqlError> {
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
            return Err(SqlError::lab(format!("`{name}` cannot be the name of a database here")));
        }
        if self.state(name)?.is_some() {
            return Err(SqlError::new(1801, format!("Database '{name}' already exists. Choose a different database name.")));
        }
        let msdb = self.msdb()?;
        let id: i64 = one(&msdb, "SELECT MAX(4, MAX(database_id)) + 1 FROM lab_database")?;
        self.add(&msdb, id, name, "FULL")?;
        connect(&self.file(name))
    }

    /// The file of a database.
    #[must_use]
    pub fn file(&self, database: &str) -> PathBuf {
        self.folder.join(format!("{}.sqlite", database.to_lowercase()))
    }

    /// What the server knows.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn msdb(&self) -> Result<Connection, SqlError> {
        connect(&self.file("msdb"))
    }

    /// The names of the databases.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn databases(&self) -> Result<Vec<String>, SqlError> {
        let msdb = self.msdb()?;
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut found = msdb.prepare("SELECT name FROM lab_database ORDER BY database_id")?;
            found.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(|error| SqlError::of(&error, ""))
    }

    /// The state of a database and its name as it is written; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn state(&self, database: &str) -> Result<Option<(String, String)>, SqlError> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found = self.msdb()?.query_row("SELECT name, state_desc FROM lab_database WHERE name = ?1", [database], read);
        found.optional().map_err(|error| SqlError::of(&error, ""))
    }

    /// Sets a database's state: `ONLINE`, `RESTORING`, `SUSPECT`, …
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_state(&self, database: &str, state: &str) -> Result<(), SqlError> {
        self.change("UPDATE lab_database SET state_desc = ?2 WHERE name = ?1", params![database, state])
    }

    /// Somebody is connected to a database from now on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn connect_somebody(&self, spid: i64, database: &str, login: &str, host: &str, program: &str) -> Result<(), SqlError> {
        self.change(
            "INSERT OR REPLACE INTO lab_session VALUES (?1, ?2, ?3, ?4, ?5)",
            params![spid, database, login, host, program],
        )
    }

    /// Nobody is connected any more.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn disconnect_everybody(&self) -> Result<(), SqlError> {
        self.change("DELETE FROM lab_session", params![])
    }

    /// A backup or restore is under way from now on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin_request(&self, session: i64, command: &str, database: &str, percent: f64) -> Result<(), SqlError> {
        self.change("INSERT OR REPLACE INTO lab_request VALUES (?1, ?2, ?3, ?4)", params![session, command, database, percent])
    }

    /// Nothing is under way any more.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end_requests(&self) -> Result<(), SqlError> {
        self.change("DELETE FROM lab_request", params![])
    }

    /// How many bytes all backups together may take; the disk is full then.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_room(&self, bytes: u64) -> Result<(), SqlError> {
        self.change("INSERT OR REPLACE INTO lab_setting VALUES ('room', ?1)", params![bytes.to_string()])
    }

    pub(super) fn room(&self) -> Result<Option<u64>, SqlError> {
        let found =
            self.msdb()?.query_row("SELECT value FROM lab_setting WHERE name = 'room'", [], |row| row.get::<_, String>(0));
        let text = found.optional().map_err(|error| SqlError::of(&error, ""))?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// The next so many times this goes wrong: `backup-breaks-off`, `backup-leaves-half`, `restore-breaks-off`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_fault(&self, name: &str, times: u32) -> Result<(), SqlError> {
        self.change("INSERT OR REPLACE INTO lab_fault VALUES (?1, ?2)", params![name, times])
    }

    /// Whether this goes wrong now; counts.
    pub(super) fn goes_wrong(&self, name: &str) -> Result<bool, SqlError> {
        let changed = self.msdb()?.execute("UPDATE lab_fault SET times = times - 1 WHERE name = ?1 AND times > 0", [name]);
        changed.map(|rows| rows > 0).map_err(|error| SqlError::of(&error, ""))
    }

    /// Gives a login rights; a login that has none cannot log on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_login(&self, name: &str, login: Login) -> Result<(), SqlError> {
        let Login { sysadmin, dbcreator, view_server_state, may_write, may_back_up } = login;
        self.change(
            "INSERT OR REPLACE INTO lab_login VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![name, sysadmin, dbcreator, view_server_state, may_write, may_back_up],
        )
    }

    /// Logs an account on.
    ///
    /// # Errors
    /// It is not known.
    pub fn log_on(&self, account: &str) -> Result<Login, SqlError> {
        let text = "SELECT sysadmin, dbcreator, view_server_state, may_write, may_back_up FROM lab_login WHERE name = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            let sysadmin = row.get(0)?;
            Ok(Login {
                sysadmin,
                dbcreator: sysadmin || row.get(1)?,
                view_server_state: sysadmin || row.get(2)?,
                may_write: sysadmin || row.get(3)?,
                may_back_up: sysadmin || row.get(4)?,
            })
        };
        let found = self.msdb()?.query_row(text, [account], read).optional().map_err(|error| SqlError::of(&error, ""))?;
        found.ok_or_else(|| SqlError { level: 14, ..SqlError::new(18456, format!("Login failed for user '{account}'.")) })
    }

    fn change(&self, text: &str, values: impl rusqlite::Params) -> Result<(), SqlError> {
        self.msdb()?.execute(text, values).map(|_| ()).map_err(|error| SqlError::of(&error, text))
    }
}

/// A connection to one database of an instance, for other parts of the lab: an import writes through this. The name of the
/// instance may come as `sql01\RTC`.
///
/// # Errors
/// There is no such instance or database, or it is not online.
pub fn open(machine: &Machine, instance: &str, database: &str) -> Result<Connection, SqlError> {
    let name = instance.split_once('\\').map_or(instance, |(_, name)| name);
    let instance = Instance::find(machine, name)?;
    match instance.state(database)? {
        Some((name, state)) if state == "ONLINE" => connect(&instance.file(&name)),
        _ => Err(cannot_open(database)),
    }
}

/// What a server says of a database that is not there, or not online.
pub(super) fn cannot_open(database: &str) -> SqlError {
    SqlError {
        level: 11,
        ..SqlError::new(4060, format!("Cannot open database \"{database}\" requested by the login. The login failed."))
    }
}

pub(super) fn connect(file: &Path) -> Result<Connection, SqlError> {
    let connection = Connection::open(file).map_err(|error| SqlError::of(&error, ""))?;
    // A name in quotes is a name, never a text.
    let strict = connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DML, false);
    strict.map_err(|error| SqlError::of(&error, ""))?;
    // As with every file of a lab: what it answered outlives the process, not a power cut. So nothing is synced.
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON;").map_err(|error| SqlError::of(&error, ""))?;
    Ok(connection)
}

pub(super) fn one<T: rusqlite::types::FromSql>(connection: &Connection, text: &str) -> Result<T, SqlError> {
    connection.query_row(text, [], |row| row.get(0)).map_err(|error| SqlError::of(&error, text))
}
