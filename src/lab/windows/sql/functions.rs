//! Functions of Transact-SQL that SQLite has not.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use rusqlite::{Connection, Error, Result};

use super::instance::{Instance, Login};

/// What the functions know.
#[derive(Debug, Clone)]
pub struct Context {
    /// The database of the session.
    pub database: String,
    /// The account.
    pub account: String,
    /// Its rights.
    pub login: Login,
    /// Databases by id.
    pub databases: Vec<(i64, String, String)>,
}

/// What it says it is: SQL Server 2008 R2, which Lync Server 2010 came with.
const VERSION: &str = "10.50.6000.34";

/// Makes them known to a connection.
///
/// # Errors
/// SQLite refuses.
pub fn register(connection: &Connection, instance: &Instance, context: &Context) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8;
    let now = || Value::Text(jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string());
    for name in ["getdate", "sysdatetime", "current_timestamp_"] {
        connection.create_scalar_function(name, 0, flags, move |_| Ok(now()))?;
    }
    let utc = || Value::Text(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string());
    connection.create_scalar_function("getutcdate", 0, flags, move |_| Ok(utc()))?;
    connection.create_scalar_function("newid", 0, flags, |_| Ok(Value::Text(uuid::Uuid::new_v4().to_string())))?;
    connection.create_scalar_function("len", 1, flags, |given| {
        let text: Option<String> = given.get(0)?;
        Ok(text.map(|text| i64::try_from(text.trim_end_matches(' ').encode_utf16().count()).unwrap_or(i64::MAX)))
    })?;
    let text = format!("Microsoft SQL Server 2008 R2 (SP3) - {VERSION} (X64), as the lab plays it");
    connection.create_scalar_function("sql_version", 0, flags, move |_| Ok(text.clone()))?;
    let account = context.account.clone();
    connection.create_scalar_function("suser_sname", 0, flags, move |_| Ok(account.clone()))?;
    let known = context.clone();
    connection.create_scalar_function("db_name", -1, flags, move |given| {
        if given.is_empty() {
            return Ok(Some(known.database.clone()));
        }
        let id: Option<i64> = given.get(0)?;
        Ok(known.databases.iter().find(|(own, _, _)| Some(*own) == id).map(|(_, name, _)| name.clone()))
    })?;
    let known = context.clone();
    connection.create_scalar_function("db_id", -1, flags, move |given| {
        let name: String = if given.is_empty() { known.database.clone() } else { given.get(0)? };
        Ok(known.databases.iter().find(|(_, own, _)| own.eq_ignore_ascii_case(&name)).map(|(id, _, _)| *id))
    })?;
    let known = context.clone();
    connection.create_scalar_function("databasepropertyex", 2, flags, move |given| {
        let (name, property): (String, String) = (given.get(0)?, given.get(1)?);
        let state = known.databases.iter().find(|(_, own, _)| own.eq_ignore_ascii_case(&name)).map(|(_, _, state)| state.clone());
        Ok(state.filter(|_| property.eq_ignore_ascii_case("Status")))
    })?;
    let login = context.login;
    connection.create_scalar_function("is_srvrolemember", 1, flags, move |given| {
        let role: String = given.get(0)?;
        Ok(match role.to_ascii_lowercase().as_str() {
            "sysadmin" => Some(login.sysadmin),
            "dbcreator" => Some(login.dbcreator),
            "public" => Some(true),
            "serveradmin" | "securityadmin" | "setupadmin" | "processadmin" | "diskadmin" | "bulkadmin" => Some(login.sysadmin),
            _ => None,
        })
    })?;
    connection.create_scalar_function("has_perms_by_name", 3, flags, move |given| {
        let permission: String = given.get(2)?;
        Ok(match permission.to_ascii_uppercase().as_str() {
            "VIEW SERVER STATE" => Some(login.view_server_state),
            "CREATE ANY DATABASE" => Some(login.dbcreator),
            "BACKUP DATABASE" | "BACKUP LOG" => Some(login.may_back_up),
            "INSERT" | "UPDATE" | "DELETE" => Some(login.may_write),
            "SELECT" | "CONNECT" => Some(true),
            "ALTER ANY DATABASE" | "CONTROL SERVER" => Some(login.sysadmin),
            _ => None,
        })
    })?;
    let (machine, name) = (instance.machine.to_ascii_uppercase(), instance.name.clone());
    connection.create_scalar_function("serverproperty", 1, flags, move |given| {
        let property: String = given.get(0)?;
        let is_default = name.eq_ignore_ascii_case("MSSQLSERVER");
        Ok(match property.to_ascii_lowercase().as_str() {
            "machinename" | "computernamephysicalnetbios" => Some(machine.clone()),
            "servername" => Some(if is_default { machine.clone() } else { format!("{machine}\\{name}") }),
            "instancename" => (!is_default).then(|| name.clone()),
            "productversion" => Some(VERSION.to_owned()),
            "productlevel" => Some("SP3".to_owned()),
            "edition" => Some("Standard Edition (64-bit)".to_owned()),
            _ => None,
        })
    })?;
    // Files of the machine that plays the server are nobody's business.
    for name in ["readfile", "writefile", "load_extension"] {
        connection.create_scalar_function(name, -1, flags, |_| -> Result<Option<String>> {
            Err(Error::UserFunctionError("there is no such function".into()))
        })?;
    }
    Ok(())
}
