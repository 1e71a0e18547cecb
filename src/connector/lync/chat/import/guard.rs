//! What must hold before the cmdlet is sent, and the cmdlet.

use std::collections::BTreeSet;

use super::super::super::cs::{self, shown, word, words};
use super::super::files::{self, Place};
use crate::connector::mssql::instance::Instance;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::session::Session;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;

/// The import, or its rehearsal.
#[must_use]
pub fn command(instance: &str, file: &str, report: &str) -> Command {
    Command::new("Import-CsPersistentChatData")
        .parameter("DBInstance", instance)
        .parameter("FileName", file)
        .parameter("Report", report)
}

/// Why the file is not the one that was exported; `None` if it is.
///
/// # Errors
/// It cannot be told.
pub async fn file(session: &mut Session, file: &Place, sha256: &str) -> Result<Option<String>, NoAnswer> {
    let path = shown(&file.path);
    let entries = files::list(session, &file.folder).await?;
    if files::find(&entries, &file.name).is_none() {
        return Ok(Some(format!("`{path}` is not there")));
    }
    let hash = files::hash(session, &file.path).await?;
    Ok((hash != sha256)
        .then(|| format!("`{path}` has the SHA-256 {hash}, and was to have {sha256}: it is not the export that was looked into")))
}

/// The list of a computer's services.
#[must_use]
pub fn listing(computer: &str) -> Command {
    Command::new("Get-CsWindowsService").parameter("ComputerName", computer).switch("ExcludeActivityLevel")
}

/// The topology, as far as it tells whose database it is.
#[must_use]
pub fn topology() -> [Command; 2] {
    ["PersistentChatServer", "PersistentChatDatabase"].map(|kind| Command::new("Get-CsService").switch(kind))
}

/// The servers of the pools whose database lies in this instance.
///
/// # Errors
/// There is none, or the topology cannot be read.
pub async fn servers(session: &mut Session, instance: &str) -> Result<Vec<String>, NoAnswer> {
    let [pools, databases] = topology();
    let pools = cs::read(session, pools).await?;
    let databases = cs::read(session, databases).await?;
    let mut servers = BTreeSet::new();
    let ours = of_instance(&pools, &databases, instance);
    let why = "name the servers whose services must not run by `computers`";
    if ours.is_empty() {
        return Err(format!("no Persistent Chat pool of the topology has its database in {}; {why}", shown(instance)).into());
    }
    for pool in ours {
        let fqdn = word(pool, "PoolFqdn").ok_or_else(|| "a pool of the topology has no usable `PoolFqdn`".to_owned())?;
        let computers = cs::read(session, Command::new("Get-CsPool").parameter("Identity", fqdn.as_str())).await?;
        let mut own = words(pool, "ActiveServers");
        own.extend(words(pool, "InactiveServers"));
        own.extend(computers.iter().flat_map(|pool| words(pool, "Computers")));
        // A pool that shows no server is one whose servers nobody has asked.
        if own.is_empty() {
            return Err(format!("the topology shows no server of `{}`; {why}", shown(&fqdn)).into());
        }
        servers.extend(own.iter().map(|name| name.to_lowercase()));
    }
    Ok(servers.into_iter().collect())
}

fn of_instance<'p>(pools: &'p [Value], databases: &[Value], instance: &str) -> Vec<&'p Value> {
    let is_it = |database: &&Value| {
        let name = format!(
            "{}\\{}",
            word(database, "PoolFqdn").unwrap_or_default(),
            word(database, "SqlInstanceName").unwrap_or_default()
        );
        Instance::parse(&name).is_ok_and(|own| own.as_str().eq_ignore_ascii_case(instance))
    };
    let ids: Vec<String> = databases.iter().filter(is_it).filter_map(|database| word(database, "Identity")).collect();
    let has = |pool: &&Value| {
        word(pool, "PersistentChatDatabase").is_some_and(|own| ids.iter().any(|id| id.eq_ignore_ascii_case(&own)))
    };
    pools.iter().filter(has).collect()
}

/// The services that are not stopped, one line each; only those of these names, if there are any.
///
/// # Errors
/// A list cannot be read, or does not hold what it must.
pub async fn running(session: &mut Session, computers: &[String], wanted: &[String]) -> Result<Vec<String>, NoAnswer> {
    let mut running = Vec::new();
    for computer in computers {
        let services = cs::read(session, listing(computer)).await?;
        let mut found = 0;
        for service in &services {
            let name = word(service, "Name").ok_or_else(|| "a service of the answer has no usable `Name`".to_owned())?;
            if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(&name)) {
                continue;
            }
            found += 1;
            let status = word(service, "Status").ok_or_else(|| "a service of the answer has no usable `Status`".to_owned())?;
            if !status.eq_ignore_ascii_case("Stopped") {
                running.push(format!("{} on `{computer}` is {}", shown(&name), shown(&status)));
            }
        }
        if found < wanted.len().max(1) {
            return Err(format!("`{computer}` does not list the services that must not run").into());
        }
    }
    Ok(running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_found_by_the_instance_of_its_database_however_it_is_written() {
        let object = |pairs: &[(&str, &str)]| Value::custom(pairs.iter().map(|(name, value)| (*name, Value::from(*value))));
        let pools = [
            object(&[("PoolFqdn", "a.x"), ("PersistentChatDatabase", "PersistentChatDatabase:SQL.x")]),
            object(&[("PoolFqdn", "b.x"), ("PersistentChatDatabase", "PersistentChatDatabase:other.x")]),
        ];
        let databases = [
            object(&[("Identity", "PersistentChatDatabase:sql.x"), ("PoolFqdn", "sql.x"), ("SqlInstanceName", "rtc")]),
            object(&[("Identity", "PersistentChatDatabase:other.x"), ("PoolFqdn", "sql.x"), ("SqlInstanceName", "")]),
        ];
        let found = |instance: &str| {
            let pools = of_instance(&pools, &databases, instance);
            pools.iter().filter_map(|pool| word(pool, "PoolFqdn")).collect::<Vec<_>>()
        };
        assert_eq!(
            (found("SQL.x\\RTC"), found("sql.x"), found("sql.x\\PCHAT")),
            (vec!["a.x".to_owned()], vec!["b.x".to_owned()], vec![])
        );
    }
}
