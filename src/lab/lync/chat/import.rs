//! Puts an export into a database of Persistent Chat.
//!
//! - People and categories first, then room by room, each with its messages: every room is a transaction of its own. Whoever
//!   dies in the middle leaves the rooms before whole, and nothing of the one that was under way.
//! - What has a name that is there already is written over. Messages are added to those that are there, with new numbers: what
//!   a second import does is documented nowhere, and here it doubles them.
//! - The lock of administrators is held meanwhile. Who dies leaves it; it expires.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Statement, params};

use super::Trouble;
use super::check::{Check, Existing};
use super::model::{Data, Kind, Message, Role, Room};
use super::source::{AUDITORIUM, role};

/// How long the lock holds if nobody gives it up.
const LOCKED_FOR: Duration = Duration::from_secs(20);
/// The system, which is there from the beginning.
const SYSTEM: i64 = 1;
/// The root of the tree.
const ROOT: i64 = 1;
/// Ticks of .NET at the beginning of 1970.
const EPOCH: i64 = 621_355_968_000_000_000;

/// What was imported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Categories.
    pub categories: u64,
    /// Rooms.
    pub rooms: u64,
    /// Messages.
    pub messages: u64,
}

/// A time of .NET's.
#[must_use]
pub fn ticks(time: jiff::Timestamp) -> i64 {
    EPOCH + i64::try_from(time.as_nanosecond() / 100).unwrap_or_default()
}

/// The names that are taken.
///
/// # Errors
/// SQLite's.
pub fn existing(connection: &Connection) -> Result<Existing, Trouble> {
    let mut existing = Existing::default();
    let mut found = connection.prepare("SELECT nodeType, nodeName FROM tblNode WHERE nodeID <> ?1")?;
    let mut rows = found.query([ROOT])?;
    while let Some(row) = rows.next()? {
        let names = if row.get(0)? { &mut existing.categories } else { &mut existing.rooms };
        names.insert(row.get::<_, String>(1)?.to_lowercase());
    }
    Ok(existing)
}

/// Takes the lock of administrators.
///
/// # Errors
/// Somebody else has it.
pub fn lock(connection: &Connection, owner: &str) -> Result<(), Trouble> {
    let show = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string();
    let now = jiff::Timestamp::now();
    let held = "SELECT lockOwner, lockExpires FROM tblAdminLock WHERE lockExpires > ?1";
    let held = connection.query_row(held, [show(now)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    if let Some((owner, until)) = held {
        return Err(Trouble::Locked { owner, until });
    }
    connection.execute("INSERT OR REPLACE INTO tblAdminLock VALUES (1, ?1, ?2)", params![owner, show(now + LOCKED_FOR)])?;
    Ok(())
}

/// Gives the lock up.
///
/// # Errors
/// SQLite's.
pub fn unlock(connection: &Connection) -> Result<(), Trouble> {
    connection.execute("DELETE FROM tblAdminLock", [])?;
    Ok(())
}

/// Imports. `messages` calls what it is given for each message. After `stops_after` rooms the connection is lost, if that is
/// asked for.
///
/// # Errors
/// Some of it may have been imported.
pub fn import(
    connection: &Connection,
    (data, check): (&Data, &Check),
    stops_after: Option<u64>,
    messages: impl FnOnce(&mut dyn FnMut(&Message) -> Result<(), Trouble>) -> Result<(), Trouble>,
) -> Result<Imported, Trouble> {
    let mut work = Work {
        connection,
        data,
        check,
        stops_after,
        now: ticks(jiff::Timestamp::now()),
        principals: BTreeMap::new(),
        categories: Vec::new(),
        places: data.rooms.iter().enumerate().map(|(place, room)| (room.id.as_str(), place)).collect(),
        nodes: vec![None; data.rooms.len()],
        current: None,
        add: connection.prepare("INSERT INTO tblChat VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?,
        done: Imported::default(),
    };
    let result = work.all(messages);
    if result.is_err() && !connection.is_autocommit() {
        // What of the last room was there already is gone with this; if not now, then when the file is opened next.
        let _ = connection.execute_batch("ROLLBACK");
    }
    result.map(|()| work.done)
}

struct Work<'a> {
    connection: &'a Connection,
    data: &'a Data,
    check: &'a Check,
    stops_after: Option<u64>,
    now: i64,
    /// From the export's numbers to those here.
    principals: BTreeMap<i64, i64>,
    /// Nodes of categories, by place.
    categories: Vec<i64>,
    /// Rooms by id.
    places: BTreeMap<&'a str, usize>,
    /// Nodes of rooms, by place, as far as they are there.
    nodes: Vec<Option<i64>>,
    /// The room that is open: its place, its node, its last message.
    current: Option<(usize, i64, i64)>,
    /// Adds a message.
    add: Statement<'a>,
    done: Imported,
}

impl Work<'_> {
    fn all(
        &mut self,
        messages: impl FnOnce(&mut dyn FnMut(&Message) -> Result<(), Trouble>) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.people()?;
        for at in 0..self.check.flat.categories.len() {
            let node = self.category(at)?;
            self.categories.push(node);
        }
        self.connection.execute_batch("COMMIT")?;
        messages(&mut |message| self.message(message))?;
        // Rooms in which nobody wrote anything.
        for place in 0..self.data.rooms.len() {
            if self.nodes[place].is_none() && !self.check.left_out.contains(&place) {
                self.enter(place)?;
            }
        }
        self.leave()
    }

    fn people(&mut self) -> Result<(), Trouble> {
        let mut find = self
            .connection
            .prepare("SELECT prinID FROM tblPrincipal WHERE prinUri = ?1 OR prinGuid = ?2 ORDER BY prinUri <> ?1")?;
        let mut add = self.connection.prepare(
            "INSERT INTO tblPrincipal (prinGuid, prinUri, prinName, prinDisplayName, prinCompanyName, prinEmail, prinADPath, \
             prinADUserPrincipalName, prinDisabled, prinTypeID, prinAddedBy, prinAddedOn, prinUpdatedBy, prinUpdatedOn, prinVerifiedOn) \
             VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?5, ?7, ?8, 1, ?9, 1, ?9, ?10)",
        )?;
        let mut change =
            self.connection.prepare("UPDATE tblPrincipal SET prinDisabled = ?2, prinUpdatedOn = ?3 WHERE prinID = ?1")?;
        let verified = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
        for own in &self.data.principals {
            let disabled = self.check.shut_out.get(&own.id).copied().unwrap_or(0);
            let found: Option<i64> = find.query_row(params![own.uri, own.guid], |row| row.get(0)).optional()?;
            let id = match found {
                Some(id) => {
                    change.execute(params![id, disabled, self.now])?;
                    id
                }
                None => {
                    let guid = if own.guid.is_empty() { uuid::Uuid::new_v4().to_string() } else { own.guid.clone() };
                    let kind = match own.kind {
                        // There is no type for people of other companies any more.
                        Kind::User | Kind::Federated => 5,
                        Kind::Group => 9,
                        Kind::Folder => 10,
                    };
                    add.execute(params![
                        guid,
                        own.uri,
                        own.name,
                        own.company,
                        own.upn,
                        own.path,
                        disabled,
                        kind,
                        self.now,
                        verified
                    ])?;
                    self.connection.last_insert_rowid()
                }
            };
            self.principals.insert(own.id, id);
        }
        let mut belongs = self.connection.prepare("INSERT OR IGNORE INTO tblPrincipalAffiliations VALUES (?1, ?2, 1, 1)")?;
        for (user, group) in &self.data.affiliations {
            if let (Some(user), Some(group)) = (self.principals.get(user), self.principals.get(group)) {
                belongs.execute([user, group])?;
            }
        }
        Ok(())
    }

    fn category(&self, at: usize) -> Result<i64, Trouble> {
        let flat = &self.check.flat.categories[at];
        let own = &self.data.categories[flat.place];
        let switches = (Some(flat.invites), own.history, own.uploads);
        let node = self.node(true, &flat.name, &own.id, &own.description, ROOT, switches, (false, 4, 3))?;
        self.roles(node, &own.roles)?;
        self.connection.execute("DELETE FROM tblScopePrincipal WHERE scopeNodeID = ?1", [node])?;
        let mut add = self.connection.prepare("INSERT OR IGNORE INTO tblScopePrincipal VALUES (?1, ?2)")?;
        for id in own.scope.iter().filter_map(|id| self.provisioned(*id)) {
            add.execute([node, id])?;
        }
        Ok(node)
    }

    fn room(&self, place: usize) -> Result<i64, Trouble> {
        let (flat, own): (_, &Room) = (&self.check.flat.rooms[place], &self.data.rooms[place]);
        let parent = flat.category.and_then(|at| self.categories.get(at)).copied().unwrap_or(ROOT);
        let behavior = if own.auditorium { AUDITORIUM } else { 4 };
        let looks = (own.disabled, behavior, own.privacy.number());
        let node = self.node(false, &flat.name, &own.id, &own.description, parent, (flat.invites, true, true), looks)?;
        self.roles(node, &own.roles)?;
        Ok(node)
    }

    /// Writes a node, over that of the same name if there is one.
    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    fn node(
        &self,
        is_category: bool,
        name: &str,
        guid: &str,
        description: &str,
        parent: i64,
        (invite, logged, files): (Option<bool>, bool, bool),
        (disabled, behavior, visibility): (bool, i64, i64),
    ) -> Result<i64, Trouble> {
        let find = "SELECT nodeID FROM tblNode WHERE nodeType = ?1 AND nodeName = ?2 AND nodeID <> 1";
        let mut find = self.connection.prepare(find)?;
        let found: Option<i64> = find.query_row(params![is_category, name], |row| row.get(0)).optional()?;
        if let Some(node) = found {
            let mut change = self.connection.prepare(
                "UPDATE tblNode SET nodeDesc = ?2, parentID = ?3, invite = ?4, logged = ?5, filePost = ?6, disabled = ?7, behavior = ?8, \
                 visibility = ?9, nodeUpdatedBy = 1, nodeUpdatedOn = ?10 WHERE nodeID = ?1",
            )?;
            change.execute(params![
                node,
                description,
                parent,
                invite,
                logged,
                files,
                disabled,
                behavior,
                visibility,
                self.now
            ])?;
            return Ok(node);
        }
        // The same node under another name was imported before: this one is another.
        let mut taken = self.connection.prepare("SELECT 1 FROM tblNode WHERE nodeGuid = ?1")?;
        let is_free = uuid::Uuid::parse_str(guid).is_ok() && taken.query_row([guid], |_| Ok(())).optional()?.is_none();
        let guid = if is_free { guid.to_owned() } else { uuid::Uuid::new_v4().to_string() };
        let mut add = self.connection.prepare(
            "INSERT INTO tblNode (nodeGuid, parentID, nodeType, nodeName, nodeDesc, invite, logged, filePost, disabled, behavior, visibility, \
             nodeAddedBy, nodeAddedOn, nodeUpdatedBy, nodeUpdatedOn) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1, ?12, 1, ?12)",
        )?;
        let values = params![
            guid,
            parent,
            is_category,
            name,
            description,
            invite,
            logged,
            files,
            disabled,
            behavior,
            visibility,
            self.now
        ];
        add.execute(values)?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Who is what in a node from now on; in a room, the managers of the root as well.
    fn roles(&self, node: i64, own: &[Role]) -> Result<(), Trouble> {
        self.connection.prepare("DELETE FROM tblPrincipalRole WHERE prinRoleNodeID = ?1")?.execute([node])?;
        let mut add = self.connection.prepare("INSERT OR IGNORE INTO tblPrincipalRole VALUES (?1, ?2, ?3, 1)")?;
        let of_root = self.data.root_roles.iter().filter(|role| role.manager && !self.categories.is_empty());
        let of_root = of_root.map(|of| Role { principal: of.principal, manager: true, ..Role::default() });
        for has in own.iter().copied().chain(of_root) {
            let Some(principal) = self.provisioned(has.principal) else { continue };
            let kinds = [
                (has.creator, role::CREATOR),
                (has.manager, role::MANAGER),
                (has.presenter, role::PRESENTER),
                (has.member, role::MEMBER),
            ];
            for (_, kind) in kinds.into_iter().filter(|(has, _)| *has) {
                add.execute([node, principal, kind])?;
            }
        }
        Ok(())
    }

    /// The number here of a principal that may still be something.
    fn provisioned(&self, id: i64) -> Option<i64> {
        self.principals.get(&id).copied().filter(|_| !self.check.shut_out.contains_key(&id))
    }

    fn message(&mut self, message: &Message) -> Result<(), Trouble> {
        let Some(place) = self.places.get(message.room.as_str()).copied() else {
            return Err(Trouble::Malformed(format!("a message is in the room `{}`, which is not there", message.room)));
        };
        if self.check.left_out.contains(&place) {
            return Ok(());
        }
        if self.current.is_none_or(|(current, _, _)| current != place) {
            self.enter(place)?;
        }
        let Some((_, node, last)) = &mut self.current else { unreachable!("a room was entered") };
        *last += 1;
        let author = self.principals.get(&message.author).copied().unwrap_or(SYSTEM);
        self.add.execute(params![*node, *last, message.time, author, message.alert, message.content, message.rtf])?;
        self.done.messages += 1;
        Ok(())
    }

    /// Begins a room, after the one before was ended.
    fn enter(&mut self, place: usize) -> Result<(), Trouble> {
        self.leave()?;
        if self.stops_after.is_some_and(|most| self.done.rooms >= most) {
            return Err(Trouble::Lost { rooms: self.done.rooms });
        }
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let node = match self.nodes[place] {
            Some(node) => node,
            None => {
                let node = self.room(place)?;
                self.done.rooms += 1;
                node
            }
        };
        self.nodes[place] = Some(node);
        let text = "SELECT COALESCE(MAX(chatId), 0) FROM tblChat WHERE channelId = ?1";
        let last = self.connection.prepare(text)?.query_row([node], |row| row.get(0))?;
        self.current = Some((place, node, last));
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Trouble> {
        if self.current.take().is_some() {
            self.connection.execute_batch("COMMIT")?;
        }
        self.done.categories = u64::try_from(self.categories.len()).unwrap_or_default();
        Ok(())
    }
}
