//! Reads a database of chat rooms: that of Group Chat 2010, or that of Persistent Chat 2013, whose tables have `tbl` in front of
//! their names and otherwise the same columns, as far as they are needed here.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Result, params};

use super::model::{Category, Data, Kind, Message, Principal, Privacy, Role, Room};

/// Numbers of roles (`tblRoleType`).
pub mod role {
    /// May make rooms.
    pub const CREATOR: i64 = 1;
    /// May change the room.
    pub const MANAGER: i64 = 2;
    /// May write in an auditorium.
    pub const PRESENTER: i64 = 3;
    /// May enter.
    pub const MEMBER: i64 = 4;
}

/// `behavior` of an auditorium.
pub const AUDITORIUM: i64 = 5;

/// A database of chat rooms.
pub struct Source<'c> {
    connection: &'c Connection,
    prefix: &'static str,
}

impl<'c> Source<'c> {
    /// Looks what kind of database it is; `None` if it has no chat rooms.
    ///
    /// # Errors
    /// SQLite's.
    pub fn of(connection: &'c Connection) -> Result<Option<Self>> {
        let has = |table: &str| {
            let text = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
            connection.query_row(text, [table], |_| Ok(())).optional()
        };
        let prefix = if has("tblNode")?.is_some() {
            "tbl"
        } else if has("Node")?.is_some() {
            ""
        } else {
            return Ok(None);
        };
        Ok(Some(Source { connection, prefix }))
    }

    /// Everything but the messages.
    ///
    /// # Errors
    /// SQLite's.
    pub fn data(&self) -> Result<Data> {
        let (mut roles, scopes) = (self.roles()?, self.scopes()?);
        let prefix = self.prefix;
        let mut data = Data { principals: self.principals()?, affiliations: self.affiliations()?, ..Data::default() };
        // Ids of nodes by number: parents are named so.
        let mut ids: BTreeMap<i64, String> = BTreeMap::new();
        let mut roots: BTreeSet<i64> = BTreeSet::new();
        let mut found = self.connection.prepare(&format!(
            "SELECT nodeID, nodeGuid, parentID, nodeType, nodeName, nodeDesc, invite, logged, filePost, disabled, behavior, visibility \
             FROM {prefix}Node ORDER BY nodeType DESC, nodeID"
        ))?;
        let mut rows = found.query([])?;
        while let Some(row) = rows.next()? {
            let node: i64 = row.get(0)?;
            let parent: Option<i64> = row.get(2)?;
            let own = roles.remove(&node).unwrap_or_default();
            let is_category: bool = row.get(3)?;
            // The root is its own parent.
            if is_category && parent.is_none_or(|parent| parent == node) {
                roots.insert(node);
                data.root_roles.extend(own);
                continue;
            }
            let id: String = row.get(1)?;
            let parent = parent.filter(|parent| !roots.contains(parent)).and_then(|parent| ids.get(&parent).cloned());
            let (name, description, invites) = (row.get(4)?, row.get(5)?, row.get(6)?);
            if is_category {
                ids.insert(node, id.clone());
                data.categories.push(Category {
                    id,
                    parent,
                    name,
                    description,
                    invites,
                    history: row.get::<_, Option<bool>>(7)?.unwrap_or(true),
                    uploads: row.get::<_, Option<bool>>(8)?.unwrap_or(true),
                    roles: own,
                    scope: scopes.get(&node).cloned().unwrap_or_default(),
                });
            } else {
                data.rooms.push(Room {
                    id,
                    node,
                    category: parent,
                    name,
                    description,
                    invites,
                    disabled: row.get(9)?,
                    auditorium: row.get::<_, i64>(10)? == AUDITORIUM,
                    privacy: Privacy::from_number(row.get::<_, Option<i64>>(11)?.unwrap_or_default()),
                    roles: own,
                });
            }
        }
        Ok(data)
    }

    /// Rooms alone that are shut from now on, by number.
    ///
    /// # Errors
    /// SQLite's.
    pub fn disable(&self, rooms: &[Room]) -> Result<()> {
        let work = self.connection.unchecked_transaction()?;
        {
            let mut shut = work.prepare(&format!("UPDATE {}Node SET disabled = 1 WHERE nodeID = ?1", self.prefix))?;
            for room in rooms {
                shut.execute([room.node])?;
            }
        }
        work.commit()
    }

    fn principals(&self) -> Result<Vec<Principal>> {
        let prefix = self.prefix;
        // The system itself is not exported: every database has its own.
        let mut found = self.connection.prepare(&format!(
            "SELECT prinID, prinGuid, prinUri, prinName, prinADUserPrincipalName, prinCompanyName, prinADPath, prinDisabled, ptypeDesc \
             FROM {prefix}Principal INNER JOIN {prefix}PrincipalType ON ptypeID = prinTypeID WHERE ptypeIsSystemUser = 0 ORDER BY prinID"
        ))?;
        let rows = found.query_map([], |row| {
            let disabled: i64 = row.get(7)?;
            Ok(Principal {
                id: row.get(0)?,
                guid: row.get(1)?,
                uri: row.get(2)?,
                name: row.get(3)?,
                upn: row.get(4)?,
                company: row.get(5)?,
                path: row.get(6)?,
                kind: Kind::from_name(&row.get::<_, String>(8)?).unwrap_or_default(),
                disabled: disabled != 0,
            })
        })?;
        rows.collect()
    }

    fn affiliations(&self) -> Result<Vec<(i64, i64)>> {
        let text = "SELECT principalID, affiliationID FROM {prefix}PrincipalAffiliations WHERE principalID <> affiliationID \
                    ORDER BY principalID, affiliationID";
        let mut found = self.connection.prepare(&text.replace("{prefix}", self.prefix))?;
        let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    fn roles(&self) -> Result<BTreeMap<i64, Vec<Role>>> {
        let mut all: BTreeMap<i64, Vec<Role>> = BTreeMap::new();
        let mut found = self.connection.prepare(&format!(
            "SELECT prinRoleNodeID, prinRolePrinID, prinRoleTypeID FROM {}PrincipalRole ORDER BY 1, 2, 3",
            self.prefix
        ))?;
        let mut rows = found.query([])?;
        while let Some(row) = rows.next()? {
            let (principal, kind): (i64, i64) = (row.get(1)?, row.get(2)?);
            let own = all.entry(row.get(0)?).or_default();
            if own.last().is_none_or(|last| last.principal != principal) {
                own.push(Role { principal, ..Role::default() });
            }
            let Some(last) = own.last_mut() else { continue };
            match kind {
                role::CREATOR => last.creator = true,
                role::MANAGER => last.manager = true,
                role::PRESENTER => last.presenter = true,
                role::MEMBER => last.member = true,
                _ => {}
            }
        }
        Ok(all)
    }

    fn scopes(&self) -> Result<BTreeMap<i64, Vec<i64>>> {
        let mut all: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        let text = format!("SELECT scopeNodeID, scopePrinID FROM {}ScopePrincipal ORDER BY 1, 2", self.prefix);
        let mut found = self.connection.prepare(&text)?;
        let mut rows = found.query([])?;
        while let Some(row) = rows.next()? {
            all.entry(row.get(0)?).or_default().push(row.get(1)?);
        }
        Ok(all)
    }

    /// Every message of some rooms that was written at or after a time (in ticks), room by room, in the rooms' order. Gives how
    /// many there were.
    ///
    /// # Errors
    /// SQLite's, or what `each` says.
    pub fn messages<E: From<rusqlite::Error>>(
        &self,
        rooms: &[Room],
        since: i64,
        mut each: impl FnMut(&Message) -> std::result::Result<(), E>,
    ) -> std::result::Result<u64, E> {
        let mut found = self.connection.prepare(&format!(
            "SELECT chatId, chatDate, userId, isAlert, content, rtf FROM {}Chat WHERE channelId = ?1 AND chatDate >= ?2 ORDER BY chatId",
            self.prefix
        ))?;
        let mut count = 0;
        for room in rooms {
            let mut message = Message { room: room.id.clone(), ..Message::default() };
            let mut rows = found.query(params![room.node, since])?;
            while let Some(row) = rows.next()? {
                message.id = row.get(0)?;
                message.time = row.get(1)?;
                message.author = row.get(2)?;
                message.alert = row.get(3)?;
                message.content = row.get(4)?;
                message.rtf = row.get(5)?;
                each(&message)?;
                count += 1;
            }
        }
        Ok(count)
    }
}
