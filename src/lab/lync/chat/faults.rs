//! Worlds in which a move of chat rooms goes wrong: rows changed in the databases of a machine.

use rusqlite::{Connection, params};

use super::flatten::LONGEST;
use crate::lab::windows::machine::Machine;
use crate::lab::windows::sql::error::SqlError;
use crate::lab::windows::sql::{INSTANCE, Instance, LEGACY, PERSISTENT_CHAT, open};

/// The setting of `msdb` that says after how many rooms an import loses its connection.
const STOPS_AFTER: &str = "import_stops_after";
/// Nodes that are made here, so that they stand apart.
const MADE_AT: i64 = 635_000_000_000_000_000;

fn wrong(error: rusqlite::Error) -> SqlError {
    SqlError::of(&error, "")
}

fn legacy(sql: &Machine) -> Result<Connection, SqlError> {
    open(sql, INSTANCE, LEGACY)
}

/// Makes rooms in `mgc` that have the names of rooms of the legacy database, so that an import writes over them. Gives their names.
///
/// # Errors
/// SQL Server's.
pub fn conflicts(sql: &Machine, rooms: u32) -> Result<Vec<String>, SqlError> {
    // Those in a category of the first level keep their names.
    let text = "SELECT r.nodeName FROM Node AS r INNER JOIN Node AS c ON c.nodeID = r.parentID INNER JOIN Node AS p ON p.nodeID = c.parentID \
                WHERE r.nodeType = 0 AND p.parentID = p.nodeID ORDER BY r.nodeID LIMIT ?1";
    let names: Vec<String> = {
        let source = legacy(sql)?;
        let mut found = source.prepare(text).map_err(wrong)?;
        let rows = found.query_map([rooms], |row| row.get(0)).map_err(wrong)?;
        rows.collect::<Result<_, _>>().map_err(wrong)?
    };
    let mut target = open(sql, INSTANCE, PERSISTENT_CHAT)?;
    let work = target.transaction().map_err(wrong)?;
    for name in &names {
        work.execute(
            "INSERT INTO tblNode (nodeGuid, parentID, nodeType, nodeName, nodeDesc, disabled, behavior, visibility, nodeAddedBy, nodeAddedOn, \
             nodeUpdatedBy, nodeUpdatedOn) VALUES (?1, 1, 0, ?2, 'Made before the move', 0, 4, 3, 1, ?3, 1, ?3)",
            params![uuid::Uuid::new_v4().to_string(), name, MADE_AT],
        )
        .map_err(wrong)?;
    }
    work.commit().map_err(wrong)?;
    Ok(names)
}

/// Gives rooms in nested categories names as long as the column lets them be, so that no prefix fits in front. Gives how many.
///
/// # Errors
/// SQL Server's.
pub fn too_long(sql: &Machine, rooms: u32) -> Result<usize, SqlError> {
    let text = "UPDATE Node SET nodeName = substr(nodeName || replace(hex(zeroblob(?2)), '00', ' x'), 1, ?2) WHERE nodeID IN \
                (SELECT r.nodeID FROM Node AS r INNER JOIN Node AS c ON c.nodeID = r.parentID INNER JOIN Node AS p ON p.nodeID = c.parentID \
                WHERE r.nodeType = 0 AND p.parentID <> p.nodeID ORDER BY r.nodeID LIMIT ?1)";
    legacy(sql)?.execute(text, params![rooms, i64::try_from(LONGEST).unwrap_or(256)]).map_err(wrong)
}

/// Makes members of rooms whom no directory knows. Gives how many.
///
/// # Errors
/// SQL Server's.
pub fn unprovisioned(sql: &Machine, people: u32) -> Result<u32, SqlError> {
    let mut source = legacy(sql)?;
    let work = source.transaction().map_err(wrong)?;
    for _ in 0..people {
        let guid = uuid::Uuid::new_v4().to_string();
        let address = format!("sip:{}@contoso.lan", &guid[..8]);
        work.execute(
            "INSERT INTO Principal (prinGuid, prinUri, prinName, prinDisabled, prinTypeID, prinAllowedPermSet, prinUseInheritedPerms, \
             prinAddedOn, prinUpdatedOn, prinVerifiedOn) VALUES (?1, ?2, ?2, 0, 5, 0, 1, ?3, ?3, '2013-03-18T03:00:00')",
            params![guid, address, MADE_AT],
        )
        .map_err(wrong)?;
        let id = work.last_insert_rowid();
        let text = "INSERT INTO PrincipalRole SELECT nodeID, ?1, 4 FROM Node WHERE nodeType = 0 AND disabled = 0 ORDER BY nodeID LIMIT 1";
        work.execute(text, [id]).map_err(wrong)?;
    }
    work.commit().map_err(wrong)?;
    Ok(people)
}

/// Every import loses its connection after so many rooms; `None` ends that.
///
/// # Errors
/// SQL Server's.
pub fn import_stops_after(sql: &Machine, rooms: Option<u64>) -> Result<(), SqlError> {
    let msdb = Instance::find(sql, INSTANCE)?.msdb()?;
    let done = match rooms {
        Some(rooms) => {
            msdb.execute("INSERT OR REPLACE INTO lab_setting VALUES (?1, ?2)", params![STOPS_AFTER, rooms.to_string()])
        }
        None => msdb.execute("DELETE FROM lab_setting WHERE name = ?1", [STOPS_AFTER]),
    };
    done.map(|_| ()).map_err(wrong)
}

/// After how many rooms an import loses its connection.
///
/// # Errors
/// SQL Server's.
pub fn stops_after(instance: &Instance) -> Result<Option<u64>, SqlError> {
    setting(instance, STOPS_AFTER)
}

/// How many bytes databases may take; the disk is full then.
///
/// # Errors
/// SQL Server's.
pub fn room(instance: &Instance) -> Result<Option<u64>, SqlError> {
    setting(instance, "room")
}

fn setting(instance: &Instance, name: &str) -> Result<Option<u64>, SqlError> {
    use rusqlite::OptionalExtension as _;
    let text = "SELECT value FROM lab_setting WHERE name = ?1";
    let found = instance.msdb()?.query_row(text, [name], |row| row.get::<_, String>(0)).optional().map_err(wrong)?;
    Ok(found.and_then(|text| text.parse().ok()))
}
