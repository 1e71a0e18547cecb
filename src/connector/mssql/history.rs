//! What the instance knows: its backups and restores from msdb, its databases, and what is under way. Only readings of rows;
//! what they mean is decided by the actions.

use super::path::FilePath;
use super::row::Row;
use super::sql::{Sql, same};
use super::{queries, shown};

/// A full backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSet {
    /// `backup_set_id`: grows.
    pub id: i64,
    /// Its identity, in the file too.
    pub uuid: String,
    /// The medium that it was written to: a file that is written anew is another one.
    pub media: i64,
    /// Which one in the file, from 1.
    pub position: i64,
    /// What whoever made it wrote about it.
    pub description: String,
    /// The database.
    pub database: String,
    /// Whether it leaves the chain of differential backups alone.
    pub copy_only: bool,
    /// Whether SQL Server found damage while it was made.
    pub damaged: bool,
    /// Of the data, in bytes.
    pub bytes: Option<i64>,
    /// From where on the log is needed.
    pub first_lsn: Option<String>,
    /// Up to where it goes.
    pub last_lsn: Option<String>,
    /// When it was finished, in the server's own time.
    pub finished: Option<String>,
    /// The files that it is spread over.
    pub files: Vec<String>,
}

/// A restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// `restore_history_id`: grows.
    pub id: i64,
    /// When, in the server's own time.
    pub date: Option<String>,
    /// Over which database.
    pub database: String,
    /// The identity of the backup, if it is still known.
    pub backup: Option<String>,
    /// What was restored: `D` is a whole database; `V` was only verified.
    pub kind: String,
}

/// A backup or restore that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// `BACKUP DATABASE`.
    pub command: String,
    /// The database that its session is in.
    pub database: Option<String>,
    /// The session.
    pub session: i64,
    /// How far it is.
    pub percent: Option<String>,
}

impl UnderWay {
    /// Whether it may be about this database. Whoever works from master says nothing about it.
    #[must_use]
    pub fn may_concern(&self, verb: &str, database: &str) -> bool {
        let whole = self.command.trim().to_ascii_uppercase();
        // A backup of the log has no effect that is looked for.
        let fits = whole.starts_with(verb) && whole != "BACKUP LOG";
        fits && self.database.as_deref().is_none_or(|own| same(own, database) || same(own, "master"))
    }

    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        let percent = self.percent.as_deref().map(|percent| format!(", {} %", shown(percent))).unwrap_or_default();
        format!("{} in session {}{percent}", shown(self.command.trim()), self.session)
    }
}

/// What the login may do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// Everything.
    pub sysadmin: bool,
    /// To create and restore databases.
    pub dbcreator: bool,
    /// Whether it sees what others do.
    pub sees_all: bool,
    /// To back up the database it was asked in.
    pub may_back_up: bool,
    /// To write in the database it was asked in.
    pub may_write: bool,
    /// The machine that the instance runs on.
    pub machine: String,
    /// The instance's version.
    pub version: String,
    /// The login.
    pub login: String,
}

/// The full backups, newest first.
///
/// # Errors
/// They cannot be read.
pub async fn backups(sql: &mut Sql) -> Result<Vec<BackupSet>, String> {
    gathered(&sql.rows("msdb", queries::BACKUPS).await?)
}

fn gathered(rows: &[Row]) -> Result<Vec<BackupSet>, String> {
    let mut sets: Vec<BackupSet> = Vec::new();
    for row in rows {
        let id = row.number("backup_set_id")?.ok_or("a backup in msdb has no id")?;
        let file = row.text("physical_device_name")?.unwrap_or_default();
        match sets.last_mut() {
            // One row per file that it is spread over.
            Some(last) if last.id == id => last.files.push(file),
            _ => sets.push(BackupSet {
                id,
                uuid: row.needed("backup_set_uuid")?.to_lowercase(),
                media: row.number("media_set_id")?.ok_or("a backup in msdb has no medium")?,
                position: row.number("position")?.unwrap_or(1),
                description: row.text("description")?.unwrap_or_default(),
                database: row.needed("database_name")?,
                copy_only: row.truth("is_copy_only")?.unwrap_or(false),
                damaged: row.truth("is_damaged")?.unwrap_or(false),
                bytes: row.number("backup_size")?,
                first_lsn: row.text("first_lsn")?,
                last_lsn: row.text("last_lsn")?,
                finished: row.text("backup_finish_date")?,
                files: vec![file],
            }),
        }
    }
    Ok(sets)
}

/// The newest backup in this file.
#[must_use]
pub fn newest_in<'s>(sets: &'s [BackupSet], file: &FilePath) -> Option<&'s BackupSet> {
    sets.iter().filter(|set| set.files.iter().any(|own| file.is(own))).max_by_key(|set| set.id)
}

/// The restores, newest first.
///
/// # Errors
/// They cannot be read.
pub async fn restores(sql: &mut Sql) -> Result<Vec<Restored>, String> {
    let rows = sql.rows("msdb", queries::RESTORES).await?;
    let read = |row: &Row| {
        Ok(Restored {
            id: row.number("restore_history_id")?.ok_or("a restore in msdb has no id")?,
            date: row.text("restore_date")?,
            database: row.text("destination_database_name")?.unwrap_or_default(),
            backup: row.text("backup_set_uuid")?.map(|id| id.to_lowercase()),
            kind: row.text("restore_type")?.unwrap_or_default(),
        })
    };
    rows.iter().map(read).collect()
}

/// What is under way.
///
/// # Errors
/// It cannot be read.
pub async fn under_way(sql: &mut Sql) -> Result<Vec<UnderWay>, String> {
    let rows = sql.rows("master", queries::UNDER_WAY).await?;
    let read = |row: &Row| {
        Ok(UnderWay {
            command: row.needed("command")?,
            database: row.text("database_name")?,
            session: row.number("session_id")?.unwrap_or_default(),
            percent: row.text("percent_complete")?,
        })
    };
    rows.iter().map(read).collect()
}

/// The databases and what state each is in.
///
/// # Errors
/// They cannot be read.
pub async fn databases(sql: &mut Sql) -> Result<Vec<(String, String)>, String> {
    let rows = sql.rows("master", queries::DATABASES).await?;
    rows.iter().map(|row| Ok((row.needed("name")?, row.needed("state_desc")?))).collect()
}

/// The state of one of them, `ONLINE`; `None` if there is none of that name.
#[must_use]
pub fn state<'d>(databases: &'d [(String, String)], name: &str) -> Option<&'d str> {
    databases.iter().find(|(own, _)| same(own, name)).map(|(_, state)| state.as_str())
}

/// The size of a database's data files in bytes, without its log.
///
/// # Errors
/// It cannot be read.
pub async fn size(sql: &mut Sql, database: &str) -> Result<Option<i64>, String> {
    let rows = sql.rows("master", queries::SIZES).await?;
    let mut total = None;
    for row in &rows {
        let own = row.text("database_name")?.is_some_and(|own| same(&own, database));
        if own && row.text("type_desc")?.as_deref() != Some("LOG") {
            total = Some(total.unwrap_or(0_i64).saturating_add(row.number("bytes")?.unwrap_or_default()));
        }
    }
    Ok(total)
}

/// Who is connected to a database, one line each.
///
/// # Errors
/// It cannot be read.
pub async fn connected(sql: &mut Sql, database: &str) -> Result<Vec<String>, String> {
    let rows = sql.rows("master", queries::CONNECTED).await?;
    let mut people = Vec::new();
    for row in &rows {
        if row.text("database_name")?.is_some_and(|own| same(&own, database)) {
            let part = |name: &str| row.text(name).map(|text| shown(text.as_deref().unwrap_or("?").trim()));
            people.push(format!("`{}` from {} ({})", part("loginame")?, part("hostname")?, part("program_name")?));
        }
    }
    people.sort();
    people.dedup();
    Ok(people)
}

/// What the login may do, asked in a database.
///
/// # Errors
/// It cannot be read; so also if the login may not enter the database.
pub async fn rights(sql: &mut Sql, database: &str) -> Result<Rights, String> {
    let rows = sql.rows(database, queries::RIGHTS).await?;
    let [row] = rows.as_slice() else { return Err(format!("SQL Server gave {} rows about the login's rights", rows.len())) };
    let yes = |name: &str| row.truth(name).map(|truth| truth == Some(true));
    Ok(Rights {
        sysadmin: yes("is_sysadmin")?,
        dbcreator: yes("is_dbcreator")?,
        sees_all: yes("sees_all")?,
        may_back_up: yes("may_back_up")?,
        may_write: yes("may_write")?,
        machine: row.text("machine")?.unwrap_or_default(),
        version: row.text("version")?.unwrap_or_default(),
        login: row.text("login_name")?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_may_be_ours_unless_it_is_certainly_not() {
        let request = |command: &str, database: Option<&str>| UnderWay {
            command: command.to_owned(),
            database: database.map(str::to_owned),
            session: 51,
            percent: None,
        };
        let concerns = |command, database| request(command, database).may_concern("BACKUP", "mgc");
        assert!(concerns("BACKUP DATABASE", Some("MGC")));
        assert!(concerns("BACKUP DATABASE", Some("master")));
        assert!(concerns("BACKUP DATABASE", None));
        assert!(!concerns("BACKUP DATABASE", Some("rtc")));
        assert!(!concerns("BACKUP LOG", Some("mgc")));
        assert!(!concerns("RESTORE DATABASE", Some("mgc")));
    }
}
