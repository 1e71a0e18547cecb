//! The database of a Group Chat 2010 deployment that was used for years: everything that a migration stumbles over.
//!
//! The tables `Node`, `Principal`, `PrincipalType`, `PrincipalRole`, `Chat`, `Version` and their columns are those of Microsoft's
//! "Group Chat Database Schema" for Lync Server 2010, as far as a column is needed here. Not documented, and the lab's own:
//! the number of the type of federated users (one of those that 2013 left out), and the numbers of roles.

use rusqlite::{Connection, Result, Transaction, params};

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
CREATE TABLE Chat (channelId int NOT NULL REFERENCES Node, chatId bigint NOT NULL, chatDate bigint NOT NULL, userId int NOT NULL REFERENCES Principal,
    isAlert bit NOT NULL, content \"nvarchar(max)\" NOT NULL, rtf \"varchar(max)\", PRIMARY KEY (channelId, chatId));
CREATE TABLE Version (versionID int NOT NULL PRIMARY KEY, versionText nvarchar(256) NOT NULL);
INSERT INTO PrincipalType VALUES (4, 'SystemUser', 1, 0), (5, 'User', 0, 1), (6, 'FederatedUser', 0, 1), (9, 'Group', 0, 0), (10, 'Folder', 0, 0);
INSERT INTO Version VALUES (1, '4.0.7577.0');
";

/// Rooms, and messages in all of them together.
pub const ROOMS: usize = 300;
/// See [`ROOMS`].
pub const MESSAGES: usize = 20_000;
/// People with an account here; every eleventh of them is disabled.
const PEOPLE: usize = 160;
/// People of other companies.
const FEDERATED: usize = 12;
/// Ticks of .NET on the first day of 2011, and in a minute.
const BEGIN: i64 = 634_294_080_000_000_000;
const MINUTE: i64 = 600_000_000;

const SITES: [&str; 4] = ["Madrid", "Valencia", "Trading", "Operations"];
const AREAS: [&str; 3] = ["Desk", "Projects", "Support"];
const TOPICS: [&str; 6] = ["Incidents", "Rates", "Releases", "Handover", "Questions", "Night shift"];
const WORDS: [&str; 16] = [
    "the", "server", "is", "up", "again", "please", "check", "order", "before", "noon", "done", "see", "ticket", "who", "has",
    "it",
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

/// Fills it.
///
/// # Errors
/// SQLite's.
pub fn fill(connection: &mut Connection) -> Result<()> {
    let work = connection.transaction()?;
    work.execute_batch(SCHEMA)?;
    let people = people(&work)?;
    let mut dice = Dice(2010);
    let rooms = tree(&work, people, &mut dice)?;
    chatter(&work, &rooms, people, &mut dice)?;
    work.commit()
}

/// The system, people, people of others, a group. Gives how many can write.
fn people(work: &Transaction<'_>) -> Result<usize> {
    let mut add = work.prepare(
        "INSERT INTO Principal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 1, NULL, ?11, NULL, ?11, '2013-03-18T03:00:00')",
    )?;
    let none: Option<String> = None;
    add.execute(params![1, id(1, 1), "ma-grp://contoso.lan/system", none, none, none, none, none, false, 4, BEGIN])?;
    for number in 0..PEOPLE {
        let (name, account) = (format!("User {number:03}"), format!("user{number:03}"));
        // Whoever left: the account is disabled, and still a member of rooms.
        let disabled = number % 11 == 7;
        let path = format!("CN={name},OU=Staff,DC=contoso,DC=lan");
        let upn = format!("{account}@contoso.lan");
        add.execute(params![
            key(number + 2),
            id(2, number),
            format!("sip:{upn}"),
            name,
            "Contoso",
            upn,
            path,
            upn,
            disabled,
            5,
            BEGIN + key(number) * MINUTE
        ])?;
    }
    for number in 0..FEDERATED {
        let uri = format!("sip:partner{number:02}@fabrikam.example");
        let place = PEOPLE + 2 + number;
        // No object of this directory: nothing that a migration could find.
        add.execute(params![
            key(place),
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
    let group = PEOPLE + FEDERATED + 2;
    let path = "CN=Group Chat Users,OU=Groups,DC=contoso,DC=lan";
    add.execute(params![key(group), id(4, 0), "ma-grp://contoso.lan/users", none, none, none, path, none, false, 9, BEGIN])?;
    Ok(PEOPLE + FEDERATED)
}

/// The root, categories three deep, and rooms in the deeper ones. Gives the ids of the rooms.
fn tree(work: &Transaction<'_>, people: usize, dice: &mut Dice) -> Result<Vec<i64>> {
    let mut add = work.prepare(
        "INSERT INTO Node VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, 1, 0, ?9, ?10, ?11, ?12, NULL, ?13, ?14, 1, ?15)",
    )?;
    let mut role = work.prepare("INSERT OR IGNORE INTO PrincipalRole VALUES (?1, ?2, ?3)")?;
    let none: Option<bool> = None;
    let mut next = 1_i64;
    let mut category = |parent: i64, name: &str| -> Result<i64> {
        let (own, number) = (next, usize::try_from(next).unwrap_or_default());
        next += 1;
        let store = (own == 1).then_some("https://gc01.contoso.lan/MGCWebService/MGCWebService.asmx");
        let parent = if own == 1 { 1 } else { parent };
        add.execute(params![own, id(16, number), parent, true, name, "", "", store, false, true, true, false, 4, 3, BEGIN])?;
        Ok(own)
    };
    let root = category(1, "Root")?;
    let mut leaves = Vec::new();
    for site in SITES {
        let site_id = category(root, site)?;
        leaves.push((site_id, site.to_owned()));
        for area in AREAS {
            let area_id = category(site_id, area)?;
            leaves.push((area_id, format!("{site} {area}")));
        }
        // A third level, under the first area.
        let deepest = category(site_id + 1, "Archive")?;
        leaves.push((deepest, format!("{site} Archive")));
    }
    let mut rooms = Vec::with_capacity(ROOMS);
    for number in 0..ROOMS {
        let own = next + key(number);
        let (parent, place) = &leaves[dice.roll(leaves.len())];
        let topic = TOPICS[dice.roll(TOPICS.len())];
        let mut name = format!("{place} {topic} {number:03}");
        if number % 50 == 49 {
            // As long as the column lets it be: with the prefix of a category in front it will not fit any more.
            name.push_str(&" and everything else".repeat(20));
            name.truncate(256);
        }
        let behavior = if number % 40 == 13 { 5 } else { 4 };
        let visibility = [2, 3, 3, 6][dice.roll(4)];
        add.execute(params![
            own,
            id(17, number),
            parent,
            false,
            name,
            format!("Room {number}"),
            topic,
            None::<String>,
            none,
            none,
            none,
            number % 25 == 24,
            behavior,
            visibility,
            BEGIN + key(number) * 60 * MINUTE
        ])?;
        for _ in 0..4 + dice.roll(8) {
            role.execute(params![own, key(2 + dice.roll(people)), 4])?;
        }
        role.execute(params![own, key(2 + dice.roll(PEOPLE)), 2])?;
        rooms.push(own);
    }
    Ok(rooms)
}

fn chatter(work: &Transaction<'_>, rooms: &[i64], people: usize, dice: &mut Dice) -> Result<()> {
    let mut add = work.prepare("INSERT INTO Chat VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL)")?;
    let mut counts = vec![0_i64; rooms.len()];
    for number in 0..MESSAGES {
        // A few rooms are loud, most are not, some are empty.
        let place = dice.roll(rooms.len()).min(dice.roll(rooms.len())).min(rooms.len() - 10);
        counts[place] += 1;
        let words: Vec<&str> = (0..3 + dice.roll(9)).map(|_| WORDS[dice.roll(WORDS.len())]).collect();
        let text =
            if number % 997 == 0 { format!("{} — ‘ñ’ 😀 <b>\r\nsecond line", words.join(" ")) } else { words.join(" ") };
        let writer = key(2 + dice.roll(people));
        add.execute(params![rooms[place], counts[place], BEGIN + key(number) * 40 * MINUTE, writer, number % 503 == 0, text])?;
    }
    Ok(())
}
