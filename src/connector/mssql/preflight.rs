//! What can be told before anything starts: the module, the instance, the database, the rights, the room on the disk.

use super::history::{self, Rights};
use super::path::FilePath;
use super::shown;
use super::sql::{Sql, same};
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::values;
use crate::plan::Verdict;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Finding, Level, Observation};

fn finding(level: Level, message: impl Into<String>) -> Finding {
    Finding { level, message: message.into() }
}

/// For a step that only reads.
pub async fn reading(hosts: &Hosts, call: &Call, database: &str) -> Vec<Finding> {
    let mut sql = match Sql::look(hosts, call).await {
        Ok(sql) => sql,
        Err(error) => return vec![error.finding()],
    };
    let mut found = Vec::new();
    if let Some(rights) = common(&mut sql, database, &["Invoke-Sqlcmd"], &mut found).await
        && (rights.sysadmin || rights.may_write)
    {
        let login = shown(&rights.login);
        found.push(finding(
            Level::Warning,
            format!("`{login}` may also write in `{}`; a count needs a login that may only read", shown(database)),
        ));
    }
    sql.close().await;
    found
}

/// For a backup into `file`.
pub async fn backup(hosts: &Hosts, call: &Call, database: &str, file: &FilePath) -> Vec<Finding> {
    let mut sql = match Sql::look(hosts, call).await {
        Ok(sql) => sql,
        Err(error) => return vec![error.finding()],
    };
    let mut found = Vec::new();
    if let Some(rights) = common(&mut sql, database, &["Invoke-Sqlcmd", "Backup-SqlDatabase"], &mut found).await {
        if !rights.sysadmin && !rights.may_back_up {
            found.push(finding(
                Level::Fatal,
                format!("`{}` may not back up `{}`; it needs the role db_backupoperator", shown(&rights.login), shown(database)),
            ));
        }
        sees_all(&rights, &mut found);
        place_of_file(&mut sql, file, &rights, &mut found).await;
        room(&mut sql, database, file, &mut found).await;
    }
    sql.close().await;
    found
}

/// For a restore from `file` over `database`. Nobody may be in the database then, so neither are we.
pub async fn restore(hosts: &Hosts, call: &Call, database: &str, file: &FilePath) -> Vec<Finding> {
    let mut sql = match Sql::look(hosts, call).await {
        Ok(sql) => sql,
        Err(error) => return vec![error.finding()],
    };
    let mut found = Vec::new();
    if let Some(rights) = common(&mut sql, "master", &["Invoke-Sqlcmd", "Restore-SqlDatabase"], &mut found).await {
        match history::databases(&mut sql).await {
            Err(why) => found.push(finding(Level::Fatal, why)),
            Ok(all) => found.push(match history::state(&all, database) {
                Some(state) => finding(Level::Fact, format!("`{}` is {}", shown(database), shown(state))),
                None => {
                    finding(Level::Warning, format!("there is no database `{}` yet; the restore creates it", shown(database)))
                }
            }),
        }
        if !rights.sysadmin && !rights.dbcreator {
            let login = shown(&rights.login);
            found.push(finding(
                Level::Warning,
                format!("`{login}` is neither sysadmin nor dbcreator; unless it owns the database it cannot restore it"),
            ));
        }
        sees_all(&rights, &mut found);
        place_of_file(&mut sql, file, &rights, &mut found).await;
    }
    sql.close().await;
    found
}

/// What the step itself would say of its file now, if nothing else is in the way.
pub fn now(found: &mut Vec<Finding>, seen: Result<Observation, NoAnswer>) {
    found.push(match seen {
        Ok(seen) if matches!(seen.verdict, Verdict::Conflict | Verdict::Partial) => finding(Level::NotNow, seen.seen),
        Ok(seen) => finding(Level::Fact, seen.seen),
        Err(error) => finding(Level::Warning, format!("what is in its file cannot be told now: {}", error.reason)),
    });
}

/// Whether nothing was found that makes a further look useless.
#[must_use]
pub fn may_go_on(found: &[Finding]) -> bool {
    found.iter().all(|finding| finding.level < Level::NotNow)
}

/// The module, the instance, the database. `None` if more cannot be asked.
async fn common(sql: &mut Sql, database: &str, cmdlets: &[&str], found: &mut Vec<Finding>) -> Option<Rights> {
    for name in cmdlets {
        let seen = sql.read(Command::new("Get-Command").parameter("Name", *name)).await;
        if !seen.as_ref().is_ok_and(|objects| !objects.is_empty()) {
            let why = seen.err().map(|why| format!(" ({why})")).unwrap_or_default();
            found.push(finding(
                Level::Fatal,
                format!("the host has no `{name}`{why}; install the PowerShell module SqlServer (or SQLPS, from SQL Server 2012 on) there"),
            ));
            return None;
        }
    }
    let all = match history::databases(sql).await {
        Ok(all) => all,
        Err(why) => {
            found.push(finding(Level::Fatal, format!("{} does not answer: {why}", sql.place().instance)));
            return None;
        }
    };
    match history::state(&all, database) {
        Some("ONLINE") => {}
        Some(state) => {
            found.push(finding(Level::Fatal, format!("`{}` is {}, not ONLINE", shown(database), shown(state))));
            return None;
        }
        None => {
            let names: Vec<String> = all.iter().map(|(name, _)| format!("`{}`", shown(name))).collect();
            found.push(finding(
                Level::Fatal,
                format!("{} has no database `{}`; it has {}", sql.place().instance, shown(database), names.join(", ")),
            ));
            return None;
        }
    }
    match history::rights(sql, database).await {
        Ok(rights) => {
            let version = shown(&rights.version);
            found.push(finding(
                Level::Fact,
                format!("{} is SQL Server {version}; logged on as `{}`", sql.place().instance, shown(&rights.login)),
            ));
            Some(rights)
        }
        Err(why) => {
            found.push(finding(Level::Fatal, format!("`{}` cannot be entered: {why}", shown(database))));
            None
        }
    }
}

fn sees_all(rights: &Rights, found: &mut Vec<Finding>) {
    if !rights.sees_all {
        found.push(finding(
            Level::Warning,
            format!(
                "`{}` does not see what others do (VIEW SERVER STATE): whether an attempt that broke off still runs cannot be told, and a person \
                 will be asked",
                shown(&rights.login)
            ),
        ));
    }
}

/// A path on a drive is the server's: the host that looks for the file must be the same machine.
async fn place_of_file(sql: &mut Sql, file: &FilePath, rights: &Rights, found: &mut Vec<Finding>) {
    if file.drive().is_none() {
        found.push(finding(
            Level::Warning,
            format!("`{}` is on a share: the server's account must reach it, and so must ours from within a remote session (delegation)", file.as_str()),
        ));
        return;
    }
    let seen = sql.read(Command::new("Get-WmiObject").parameter("Class", "Win32_OperatingSystem")).await;
    let name = seen.and_then(|objects| values::text(objects.first().ok_or("no answer")?, "CSName"));
    match name {
        Ok(name) if rights.machine.is_empty() || same(&name, &rights.machine) => {}
        Ok(name) => found.push(finding(
            Level::Fatal,
            format!(
                "`{}` is a file of `{}`, where SQL Server runs, and `host` is `{}`, which would look for it on its own disk; name the server as \
                 `host`, or a file on a share",
                file.as_str(),
                shown(&rights.machine),
                shown(&name)
            ),
        )),
        Err(why) => found.push(finding(Level::Warning, format!("whether `host` is the machine of SQL Server cannot be told: {why}"))),
    }
}

/// Whether the disk has room for as much as the data files hold. A backup is often much smaller.
async fn room(sql: &mut Sql, database: &str, file: &FilePath, found: &mut Vec<Finding>) {
    let Some(drive) = file.drive() else { return };
    // A drive letter, and nothing else of the plan's.
    let filter = format!("DeviceID='{drive}:'");
    let seen = sql.read(Command::new("Get-WmiObject").parameter("Class", "Win32_LogicalDisk").parameter("Filter", filter)).await;
    let free = seen.and_then(|objects| match objects.first() {
        Some(disk) => values::number(disk, "FreeSpace").map(Some),
        None => Ok(None),
    });
    let size = history::size(sql, database).await;
    found.push(match (free, size) {
        (Ok(None), _) => finding(Level::Fatal, format!("the host has no drive {drive}:")),
        (Ok(Some(free)), Ok(Some(size))) if free < size => finding(
            Level::Warning,
            format!("{drive}: has {} MiB free, and the data files of `{}` hold {} MiB", free >> 20, shown(database), size >> 20),
        ),
        (Ok(Some(free)), Ok(Some(size))) => {
            finding(Level::Fact, format!("{drive}: has {} MiB free; the data files hold {} MiB", free >> 20, size >> 20))
        }
        (free, size) => {
            let why = free.err().or(size.err()).unwrap_or_else(|| "no file is listed".to_owned());
            finding(Level::Warning, format!("whether there is room for the backup cannot be told: {why}"))
        }
    });
}
