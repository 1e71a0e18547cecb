//! What the databases hold of rooms and messages: that of Group Chat 2010 and that of Persistent Chat 2013 have the same
//! columns here, under other names of tables.

use rusqlite::{Connection, OpenFlags, Row, params};

use super::route::{Kind, Place};
use crate::lab::windows::sql::Instance;
use crate::lab::world::World;

/// Ticks of .NET on the first day of 1970, and in a second.
const EPOCH: i64 = 621_355_968_000_000_000;
const TICKS: i64 = 10_000_000;

/// A room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    id: i64,
    /// Its GUID, in lower case.
    pub guid: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Its number in the room.
    pub id: i64,
    /// When, in UTC.
    pub time: String,
    /// The address of whoever wrote it.
    pub author: String,
    /// What it says.
    pub content: String,
}

/// A database, opened for reading.
pub struct Database {
    connection: Connection,
    prefix: &'static str,
}

impl Database {
    /// Opens the database of a server.
    ///
    /// # Errors
    /// It does not answer; for people.
    pub fn open(world: &World, place: &Place) -> Result<Self, String> {
        let (host, instance, name) = &place.database;
        let machine = world.machines.iter().find(|machine| machine.answers_to(host));
        let machine = machine.filter(|machine| !world.faults.stopped.contains(&machine.name));
        let machine = machine.ok_or_else(|| format!("{host} does not answer"))?;
        let found =
            Instance::find(machine, instance).map_err(|_| format!("the instance {instance} on {host} does not answer"))?;
        match found.state(name) {
            Ok(Some((_, state))) if state == "ONLINE" => {}
            Ok(Some((_, state))) => return Err(format!("{name} on {host} is {state}")),
            _ => return Err(format!("{host}\\{instance} has no database {name}")),
        }
        let connection = Connection::open_with_flags(found.file(name), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(|_| format!("{name} on {host} cannot be read"))?;
        Ok(Database { connection, prefix: if place.kind == Kind::Persistent { "tbl" } else { "" } })
    }

    /// The rooms that a user is a member of, by name. Disabled ones are not shown, nor any to a disabled user.
    ///
    /// # Errors
    /// SQLite's.
    pub fn rooms_of(&self, user: &str) -> rusqlite::Result<Vec<Room>> {
        let p = self.prefix;
        let text = format!(
            "SELECT DISTINCT nodeID, nodeGuid, nodeName, nodeDesc FROM {p}Node \
             JOIN {p}PrincipalRole ON prinRoleNodeID = nodeID JOIN {p}Principal ON prinID = prinRolePrinID \
             WHERE nodeType = 0 AND disabled = 0 AND prinDisabled = 0 AND prinUri = ?1 COLLATE NOCASE ORDER BY nodeName, nodeID"
        );
        let read = |row: &Row<'_>| {
            let guid: String = row.get(1)?;
            Ok(Room { id: row.get(0)?, guid: guid.to_lowercase(), name: row.get(2)?, description: row.get(3)? })
        };
        self.connection.prepare(&text)?.query_map([user], read)?.collect()
    }

    /// The last messages of a room, the oldest first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn last(&self, room: &Room, count: u32) -> rusqlite::Result<Vec<Chat>> {
        let p = self.prefix;
        let text = format!(
            "SELECT chatId, chatDate, prinUri, content FROM {p}Chat JOIN {p}Principal ON prinID = userId \
             WHERE channelId = ?1 ORDER BY chatId DESC LIMIT ?2"
        );
        let read = |row: &Row<'_>| {
            let ticks: i64 = row.get(1)?;
            let time = jiff::Timestamp::from_second((ticks - EPOCH) / TICKS).map(|time| time.to_string());
            Ok(Chat { id: row.get(0)?, time: time.unwrap_or_default(), author: row.get(2)?, content: row.get(3)? })
        };
        let found: rusqlite::Result<Vec<Chat>> =
            self.connection.prepare(&text)?.query_map(params![room.id, count], read)?.collect();
        found.map(|mut all| {
            all.reverse();
            all
        })
    }
}
