//! The database of a Group Chat deployment that was used for years: everything that a migration stumbles over.
//!
//! The tables `Node`, `Principal`, `PrincipalType`, `PrincipalRole`, `Chat`, `Version` and their columns are those of Microsoft's
//! "Group Chat Database Schema" for Lync Server 2010, as far as a column is needed here; those of `ScopePrincipal` and
//! `PrincipalAffiliations` are taken from the schema of 2013. Not documented, and the lab's own: the number of the type of
//! federated users (one of those that 2013 left out), the numbers of roles, and what follows `ma-filelink:`.

use rusqlite::{Connection, Result, Transaction, params};

use crate::lab::kind::Kind;
use crate::lab::lync::chat::flatten::{BETWEEN, LONGEST, length};
use crate::lab::lync::chat::people::{Account, people};
use crate::lab::lync::chat::source::role;
use crate::lab::windows::contoso::{ROOMS as ROOMS_WITH_FILES, UPLOADED, uploads};

const SCHEMA: &str = "
CREATE TABLE PrincipalType (ptypeID smallint NOT NULL PRIMARY KEY, ptypeDesc nvarchar(256) NOT NULL, ptypeIsSystemUser bit NOT NULL, ptypeIsUser bit NOT NULL);
CREATE TABLE Principal (prinID INTEGER NOT NULL PRIMARY KEY, prinGuid uniqueidentifier NOT NULL COLLATE NOCASE UNIQUE,
    prinUri nvarchar(256) NOT NULL COLLATE NOCASE, prinName nvarchar(256), prinCompanyName nvarchar(256), prinEmail nvarchar(256),
    prinADPath nvarchar(256), prinADUserPrincipalName nvarchar(256), prinDisabled bit NOT NULL, prinTypeID smallint NOT NULL REFERENCES PrincipalType,
    prinAllowedPermSet bigint NOT NULL, prinUseInheritedPerms bit NOT NULL, prinAddedBy int, prinAddedOn bigint NOT NULL, prinUpdatedBy int,
    prinUpdatedOn bigint NOT NULL, prinVerifiedOn datetime NOT NULL);
CREATE TABLE Node (nodeID INTEGER NOT NULL PRIMARY KEY, nodeGuid uniqueidentifier NOT NULL COLLATE NOCASE UNIQUE, parentID int, nodeType bit NOT NULL,
    nodeName nvarchar(256) NOT NULL COLLATE NOCASE, nodeDesc nvarchar(256) NOT NULL, topic nvarchar(256) NOT NULL, filestoreURI nvarchar(256),
    inheritance bit NOT NULL, scopeChange bit NOT NULL, overrideMember bit NOT NULL, invite bit, logged bit, filePost bit, disabled bit NOT NULL,
    restrictChildCreate bit, behavior smallint NOT NULL, visibility smallint, nodeAddedBy int NOT NULL, nodeAddedOn bigint NOT NULL);
CREATE TABLE PrincipalRole (prinRoleNodeID int NOT NULL REFERENCES Node, prinRolePrinID int NOT NULL REFERENCES Principal, prinRoleTypeID int NOT NULL,
    PRIMARY KEY (prinRoleNodeID, prinRolePrinID, prinRoleTypeID));
CREATE TABLE ScopePrincipal (scopeNodeID int NOT NULL REFERENCES Node, scopePrinID int NOT NULL REFERENCES Principal,
    PRIMARY KEY (scopeNodeID, scopePrinID)) WITHOUT ROWID;
CREATE TABLE PrincipalAffiliations (principalID int NOT NULL REFERENCES Principal, affiliationID int NOT NULL REFERENCES Principal,
    [index] int NOT NULL, updatedBy int NOT NULL, PRIMARY KEY (principalID, [index], affiliationID)) WITHOUT ROWID;
CREATE TABLE Chat (channelId int NOT NULL REFERENCES Node, chatId bigint NOT NULL, chatDate bigint NOT NULL, userId int NOT NULL REFERENCES Principal,
    isAlert bit NOT NULL, content \"nvarchar(max)\" NOT NULL, rtf \"varchar(max)\", PRIMARY KEY (channelId, chatId)) WITHOUT ROWID;
CREATE TABLE Version (versionID int NOT NULL PRIMARY KEY, versionText nvarchar(256) NOT NULL);
INSERT INTO PrincipalType VALUES (4, 'SystemUser', 1, 0), (5, 'User', 0, 1), (6, 'FederatedUser', 0, 1), (9, 'Group', 0, 0), (10, 'Folder', 0, 0);
";

/// Rooms, and messages in all of them together.
pub const ROOMS: usize = 300;
/// See [`ROOMS`].
pub const MESSAGES: usize = 100_000;
/// People of other companies.
const FEDERATED: usize = 12;
/// Ticks of .NET on the first day of 2011, and in a minute.
const BEGIN: i64 = 634_294_080_000_000_000;
const MINUTE: i64 = 600_000_000;
/// How long people chatted, in minutes: some seven years.
const YEARS: i64 = 3_700_000;

/// Sites, and whether their rooms may send invitations. Each has these areas, and a third level under the first of them.
const SITES: [(&str, bool); 4] = [("Madrid", true), ("València", true), ("Trading", false), ("Zürich", true)];
const AREAS: [&str; 3] = ["Desk", "Projects", "Support"];
const TOPICS: [&str; 6] = ["Incidents", "Rates", "Releases", "Übergabe", "Questions", "Turno de noche"];
const LINES: [&str; 16] = [
    "the server is up again",
    "please check the order before noon",
    "done",
    "see the ticket",
    "who has the keys of the lab?",
    "¿alguien puede mirar la cola de correo?",
    "noted, thanks",
    "I am on it",
    "das Release geht um 18:00 raus",
    "rates are in",
    "same as yesterday",
    "can you call me",
    "the link is down since 10:42",
    "restarted, looks good",
    "+1",
    "ask the night shift",
];

/// Numbers that are the same in every world (a linear congruential generator with the constants of MMIX).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % sides.max(1)
    }
}

fn id(kind: u16, number: usize) -> String {
    format!("6c0f9d2a-{kind:04x}-4000-8000-{number:012x}")
}

fn key(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Who is there, by numbers that follow each other: the system, these people, those of other companies, a group.
#[derive(Clone, Copy)]
struct Crowd {
    people: usize,
}

impl Crowd {
    fn writers(self) -> usize {
        self.people + FEDERATED
    }

    fn group(self) -> i64 {
        key(self.writers() + 2)
    }
}

/// Fills it. Of the older deployment it is the same but for its version.
///
/// # Errors
/// SQLite's.
pub fn fill(connection: &mut Connection, kind: Kind) -> Result<()> {
    let work = connection.transaction()?;
    work.execute_batch(SCHEMA)?;
    let version = match kind {
        Kind::Lync2010 => "4.0.7577.0",
        Kind::Ocs2007R2 => "3.5.6907.0",
    };
    work.execute("INSERT INTO Version VALUES (1, ?1)", [version])?;
    let crowd = crowd(&work)?;
    let mut dice = Dice(2010);
    let rooms = tree(&work, crowd, &mut dice)?;
    chatter(&work, &rooms, crowd, &mut dice)?;
    work.commit()
}

fn crowd(work: &Transaction<'_>) -> Result<Crowd> {
    let mut add = work.prepare(
        "INSERT INTO Principal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 1, NULL, ?11, NULL, ?11, '2013-03-18T03:00:00')",
    )?;
    let none: Option<String> = None;
    add.execute(params![1, id(1, 1), "ma-grp://contoso.lan/system", none, none, none, none, none, false, 4, BEGIN])?;
    let people = people();
    for (number, person) in people.iter().enumerate() {
        let path = format!("CN={},OU=Staff,DC=contoso,DC=lan", person.account);
        let upn = format!("{}@contoso.lan", person.account);
        let known = person.state != Account::Enabled;
        add.execute(params![
            key(number + 2),
            id(2, number),
            format!("sip:{upn}"),
            person.name(),
            "Contoso",
            upn,
            path,
            upn,
            known,
            5,
            BEGIN + key(number) * MINUTE
        ])?;
    }
    let crowd = Crowd { people: people.len() };
    for number in 0..FEDERATED {
        let uri = format!("sip:partner{number:02}@fabrikam.example");
        // No object of this directory: nothing that a migration could find.
        let place = key(crowd.people + 2 + number);
        add.execute(params![
            place,
            id(3, number),
            uri,
            format!("Partner {number:02}"),
            "Fabrikam",
            none,
            none,
            none,
            false,
            6,
            BEGIN
        ])?;
    }
    let path = "CN=Staff,OU=Groups,DC=contoso,DC=lan";
    add.execute(params![
        crowd.group(),
        id(4, 0),
        "ma-grp://contoso.lan/staff",
        "Staff",
        none,
        none,
        path,
        none,
        false,
        9,
        BEGIN
    ])?;
    let belongs =
        "INSERT INTO PrincipalAffiliations SELECT prinID, ?1, 1, 1 FROM Principal WHERE prinTypeID = 5 AND prinDisabled = 0";
    work.execute(belongs, [crowd.group()])?;
    Ok(crowd)
}

/// A category that rooms can lie in.
struct Leaf {
    node: i64,
    /// What a migration puts in front of a room's name.
    prefix: String,
}

/// The root, categories three deep, and rooms in them. Gives the ids of the rooms.
fn tree(work: &Transaction<'_>, crowd: Crowd, dice: &mut Dice) -> Result<Vec<i64>> {
    let mut add = work.prepare(
        "INSERT INTO Node VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, 1, 0, ?9, ?10, ?11, ?12, NULL, ?13, ?14, 1, ?15)",
    )?;
    let mut has = work.prepare("INSERT OR IGNORE INTO PrincipalRole VALUES (?1, ?2, ?3)")?;
    let mut next = 1_i64;
    let mut category = |parent: i64, name: &str, invite: Option<bool>| -> Result<i64> {
        let (own, number) = (next, usize::try_from(next).unwrap_or_default());
        next += 1;
        let store = (own == 1).then_some("https://gc01.contoso.lan/MGCWebService/MGCWebService.asmx");
        let parent = if own == 1 { 1 } else { parent };
        add.execute(params![own, id(16, number), parent, true, name, "", "", store, invite, true, true, false, 4, 3, BEGIN])?;
        Ok(own)
    };
    let root = category(1, "Root", Some(true))?;
    let mut leaves = Vec::new();
    for (site, invite) in SITES {
        let node = category(root, site, Some(invite))?;
        leaves.push(Leaf { node, prefix: String::new() });
        for area in AREAS {
            // Support sends none anywhere; the others do as their site does.
            let node = category(node, area, (area == "Support").then_some(false))?;
            leaves.push(Leaf { node, prefix: [site, area, ""].join(BETWEEN) });
        }
        let node = category(node + 1, "Archive", None)?;
        leaves.push(Leaf { node, prefix: [site, AREAS[0], "Archive", ""].join(BETWEEN) });
    }
    // One manages everything, the group may be a member anywhere, and some may make rooms.
    has.execute(params![root, 2, role::MANAGER])?;
    work.execute("INSERT INTO ScopePrincipal SELECT nodeID, ?1 FROM Node WHERE parentID = 1", [crowd.group()])?;
    for leaf in &leaves {
        has.execute(params![leaf.node, key(2 + dice.roll(crowd.people)), role::CREATOR])?;
    }
    let mut rooms = Vec::with_capacity(ROOMS);
    for number in 0..ROOMS {
        let own = next + key(number);
        let leaf = &leaves[dice.roll(leaves.len())];
        let topic = TOPICS[dice.roll(TOPICS.len())];
        let name = match ROOMS_WITH_FILES.get(number) {
            Some(name) => (*name).to_owned(),
            None if number % 50 == 49 => longest(&format!("{topic} {number:03}"), &leaf.prefix),
            None => format!("{topic} {number:03}"),
        };
        let invite = if number % 15 == 11 { Some(true) } else { (number % 20 == 3).then_some(false) };
        let behavior = if number % 40 == 13 { 5 } else { 4 };
        let visibility = [2, 3, 3, 6][dice.roll(4)];
        add.execute(params![
            own,
            id(17, number),
            leaf.node,
            false,
            name,
            format!("Room {number}"),
            topic,
            None::<String>,
            invite,
            None::<bool>,
            None::<bool>,
            number % 25 == 24,
            behavior,
            visibility,
            BEGIN + key(number) * 60 * MINUTE
        ])?;
        for _ in 0..4 + dice.roll(8) {
            has.execute(params![own, key(2 + dice.roll(crowd.writers())), role::MEMBER])?;
        }
        has.execute(params![own, key(2 + dice.roll(crowd.people)), role::MANAGER])?;
        if number % 3 == 0 {
            has.execute(params![own, crowd.group(), role::MEMBER])?;
        }
        if behavior == 5 {
            has.execute(params![own, key(2 + dice.roll(crowd.people)), role::PRESENTER])?;
        }
        rooms.push(own);
    }
    Ok(rooms)
}

/// A name as long as it can be with what a migration puts in front of it: somebody has tidied up before.
fn longest(name: &str, prefix: &str) -> String {
    let room = LONGEST - length(prefix);
    let mut long = format!("{name}{}", " and everything else".repeat(13));
    // The filling is plain: a character is a unit.
    while length(&long) > room {
        long.pop();
    }
    long
}

/// Messages: most of them made by the database itself, out of lines; then those that are special.
fn chatter(work: &Transaction<'_>, rooms: &[i64], crowd: Crowd, dice: &mut Dice) -> Result<()> {
    let mut counts = vec![0_usize; rooms.len()];
    // Every file has its message.
    let each = usize::try_from(UPLOADED).unwrap_or_default();
    counts[..ROOMS_WITH_FILES.len()].fill(each);
    for _ in 0..MESSAGES - each * ROOMS_WITH_FILES.len() {
        // A few rooms are loud, most are not, some are empty.
        counts[dice.roll(rooms.len()).min(dice.roll(rooms.len())).min(rooms.len() - 10)] += 1;
    }
    work.execute_batch(
        "CREATE TEMP TABLE loud (room INTEGER PRIMARY KEY, messages int);
         CREATE TEMP TABLE line (id INTEGER PRIMARY KEY, text nvarchar(256));
         CREATE TEMP TABLE number (n INTEGER PRIMARY KEY);",
    )?;
    let mut loud = work.prepare("INSERT INTO loud VALUES (?1, ?2)")?;
    for (room, count) in rooms.iter().zip(&counts) {
        loud.execute(params![room, key(*count)])?;
    }
    let mut line = work.prepare("INSERT INTO line VALUES (?1, ?2)")?;
    for number in 0..256 {
        let text = [LINES[number % 16], LINES[(number / 16 + number) % 16]].join(", ");
        line.execute(params![key(number), text])?;
    }
    let most = counts.iter().copied().max().unwrap_or_default();
    work.execute(
        "INSERT INTO number WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < ?1) SELECT n FROM count",
        [key(most)],
    )?;
    work.execute(
        "INSERT INTO Chat SELECT room, n, ?1 + (n * ?2 / (messages + 1)) * ?3, 2 + (room * 7919 + n * 104729) % ?4, (room + n) % 503 = 0, \
         text, NULL FROM loud CROSS JOIN number ON n <= messages CROSS JOIN line ON line.id = (room * 31 + n * 151) % 256",
        params![BEGIN, YEARS, MINUTE, key(crowd.writers())],
    )?;
    let text = "UPDATE Chat SET content = content || ' — ‘ñ’ 😀 <b>' || char(13, 10) || 'second line' WHERE (channelId * 131 + chatId) % 997 = 0";
    work.execute(text, [])?;
    let mut link = work.prepare("UPDATE Chat SET content = ?3, isAlert = 0 WHERE channelId = ?1 AND chatId = ?2")?;
    for (number, (room, path)) in uploads(UPLOADED).enumerate() {
        let name = path.rsplit('/').next().unwrap_or_default();
        let content = format!("ma-filelink:\"{room}/{path}\" {name}");
        link.execute(params![rooms[number / each.max(1)], key(number % each.max(1)) + 1, content])?;
    }
    drop((loud, line, link));
    work.execute_batch("DROP TABLE loud; DROP TABLE line; DROP TABLE number;")
}
