//! What holds of the data on its way.

use std::collections::BTreeMap;
use std::io::Cursor;

use rusqlite::Connection;

use super::check::{Check, Existing, Known, check};
use super::export::{Level, Wanted, export};
use super::flatten::{FlatRoom, LONGEST, flatten, length};
use super::import::{Imported, existing, import, lock, unlock};
use super::model::{Category, Data, Kind, Message, Principal, Role, Room};
use super::package::Package;
use super::people::{Account, people};
use super::source::Source;
use super::xml::{Element, part, records};
use super::{Trouble, faults};
use crate::lab::windows::machine::Machine;
use crate::lab::windows::sql::{INSTANCE, LEGACY, PERSISTENT_CHAT, create_databases, open};

/// The database server of a fresh world.
struct Sql {
    machine: Machine,
    _folder: tempfile::TempDir,
}

impl Sql {
    fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { name: "sql01".to_owned(), files: folder.path().to_owned(), ..Machine::default() };
        create_databases(&machine).unwrap();
        Sql { machine, _folder: folder }
    }

    fn open(&self, database: &str) -> Connection {
        open(&self.machine, INSTANCE, database).unwrap()
    }

    fn export(&self, database: &str, wanted: &Wanted) -> Vec<u8> {
        let connection = self.open(database);
        let source = Source::of(&connection).unwrap().unwrap();
        let data = source.data().unwrap();
        let mut bytes = Cursor::new(Vec::new());
        export(&source, &data, wanted, &mut bytes).unwrap();
        bytes.into_inner()
    }

    fn import(&self, bytes: &[u8], stops_after: Option<u64>) -> Result<Imported, Trouble> {
        let connection = self.open(PERSISTENT_CHAT);
        let (mut package, data, check) = self.read(bytes);
        import(&connection, (&data, &check), stops_after, |each| package.messages(each))
    }

    fn read<'b>(&self, bytes: &'b [u8]) -> (Package<Cursor<&'b [u8]>>, Data, Check) {
        let mut package = Package::open(Cursor::new(bytes)).unwrap();
        let data = package.data().unwrap();
        let check = check(&data, &known(), &existing(&self.open(PERSISTENT_CHAT)).unwrap());
        (package, data, check)
    }

    fn number(&self, database: &str, text: &str) -> i64 {
        self.open(database).query_row(text, [], |row| row.get(0)).unwrap()
    }
}

/// What the directory of a fresh world says.
fn known() -> BTreeMap<String, Known> {
    let state = |account| if account == Account::Enabled { Known::Enabled } else { Known::Disabled };
    let there = people().into_iter().filter(|person| person.state != Account::Deleted);
    there.map(|person| (format!("sip:{}@contoso.lan", person.account), state(person.state))).collect()
}

const ROOMS: &str = "SELECT COUNT(*) FROM tblNode WHERE nodeType = 0";
const MESSAGES: &str = "SELECT COUNT(*) FROM tblChat";

fn category(id: &str, parent: Option<&str>, invites: Option<bool>) -> Category {
    Category { id: id.to_owned(), parent: parent.map(str::to_owned), name: id.to_uppercase(), invites, ..Category::default() }
}

fn room(name: &str, category: Option<&str>, invites: Option<bool>) -> Room {
    Room { id: name.to_owned(), name: name.to_owned(), category: category.map(str::to_owned), invites, ..Room::default() }
}

fn tree(rooms: Vec<Room>) -> Data {
    let categories = vec![
        category("a", None, Some(true)),
        category("b", Some("a"), None),
        category("c", Some("b"), Some(false)),
        category("d", None, None),
    ];
    Data { categories, rooms, ..Data::default() }
}

#[test]
fn a_sub_category_gets_the_names_of_all_its_parents_and_its_rooms_get_them_too() {
    let flat = flatten(&tree(vec![
        room("one", Some("a"), None),
        room("two", Some("b"), None),
        room("three", Some("c"), None),
        room("four", None, None),
    ]));
    let names: Vec<_> = flat.categories.iter().map(|category| category.name.as_str()).collect();
    assert_eq!(names, ["A", "A - B", "A - B - C", "D"]);
    let names: Vec<_> = flat.rooms.iter().map(|room| room.name.as_str()).collect();
    assert_eq!(names, ["one", "A - B - two", "A - B - C - three", "four"]);
}

#[test]
fn invitations_are_off_where_the_category_says_so_and_whoever_had_them_on_is_told() {
    let rooms = vec![
        room("on under on", Some("b"), Some(true)),
        room("on under off", Some("c"), Some(true)),
        room("open under off", Some("c"), None),
        room("off under on", Some("a"), Some(false)),
        room("on under nothing said", Some("d"), Some(true)),
    ];
    let flat = flatten(&tree(rooms));
    let invites: Vec<_> = flat.rooms.iter().map(|FlatRoom { invites, loses_invites, .. }| (*invites, *loses_invites)).collect();
    assert_eq!(invites, [(None, false), (Some(false), true), (None, false), (Some(false), false), (Some(false), true)]);
    assert_eq!(flat.categories.iter().map(|category| category.invites).collect::<Vec<_>>(), [true, true, false, false]);
}

#[test]
fn a_circle_of_categories_ends_where_it_closes() {
    let data = Data { categories: vec![category("a", Some("b"), None), category("b", Some("a"), None)], ..Data::default() };
    let names: Vec<_> = flatten(&data).categories.into_iter().map(|category| category.name).collect();
    assert_eq!(names, ["B - A", "A - B"]);
}

#[test]
fn a_name_of_256_units_fits_and_one_of_257_is_an_error_and_left_out() {
    // Two units each, as the database counts.
    let name = |units: usize| "😀".repeat(units / 2) + &"x".repeat(units % 2);
    let prefix = length("A - B - ");
    let data = tree(vec![room(&name(LONGEST - prefix), Some("b"), None), room(&name(LONGEST - prefix + 1), Some("b"), None)]);
    let check = check(&data, &BTreeMap::new(), &Existing::default());
    assert_eq!((check.errors.len(), check.left_out.into_iter().collect::<Vec<_>>()), (1, vec![1]));
    assert!(check.errors[0].contains("257 characters"), "{:?}", check.errors);
}

#[test]
fn whoever_the_directory_does_not_know_loses_the_room_and_is_named() {
    let person = |id, uri: &str, kind| Principal { id, uri: uri.to_owned(), kind, ..Principal::default() };
    let principals = vec![
        person(1, "sip:Here@contoso.lan", Kind::User),
        person(2, "sip:disabled@contoso.lan", Kind::User),
        person(3, "sip:gone@contoso.lan", Kind::User),
        person(4, "sip:far@fabrikam.example", Kind::Federated),
        person(5, "ma-grp://contoso.lan/staff", Kind::Group),
    ];
    let known = [("sip:here@contoso.lan", Known::Enabled), ("sip:disabled@contoso.lan", Known::Disabled)];
    let known = known.map(|(address, state)| (address.to_owned(), state)).into();
    let check = check(&Data { principals, ..Data::default() }, &known, &Existing::default());
    assert_eq!(check.shut_out, [(2, 1), (3, 2), (4, 1)].into());
    assert_eq!(check.warnings.len(), 3);
    assert!(check.warnings[0].starts_with("principal not provisioned: sip:disabled@"), "{:?}", check.warnings);
    assert!(check.errors.is_empty());
}

#[test]
fn text_comes_back_from_xml_as_it_was_and_only_what_cannot_be_there_is_replaced() {
    let all = ["", " two  spaces ", "a\r\nb\rc\td", "<b>&amp;\"'</b>", "开発 😀 ñ", "]]>", "\u{85}\u{2028}"];
    for (given, expected) in
        all.into_iter().map(|text| (text, text)).chain([("a\u{0}b\u{1b}\u{ffff}", "a\u{fffd}b\u{fffd}\u{fffd}")])
    {
        let bytes = part(Vec::new(), "List", |writer| {
            writer
                .create_element("Record")
                .with_attribute(("id", "7"))
                .write_inner_content(|writer| super::xml::element(writer, "Text", given))?;
            Ok(())
        })
        .unwrap();
        let mut found: Vec<Element> = Vec::new();
        records(bytes.as_slice(), |element| {
            found.push(element.clone());
            Ok(())
        })
        .unwrap();
        assert_eq!((found.len(), found[0].content("Text"), found[0].attribute("id")), (1, Some(expected), Some("7")));
    }
}

#[test]
fn what_is_no_export_is_refused() {
    assert!(matches!(Package::open(Cursor::new(b"PK nothing".to_vec())), Err(Trouble::Archive(_))));
    for (text, why) in [
        ("<Pool><List><Record>", "ends in the middle"),
        ("<Other/>", ""),
        ("<Other></Other>", "outermost"),
        ("<!DOCTYPE x [<!ENTITY a \"b\">]><Pool/>", "document type"),
        ("<Pool><List><Record>&a;</Record></List></Pool>", "not known"),
        (&format!("<Pool><List>{}</List></Pool>", "<a>".repeat(100)), "too deeply"),
    ] {
        let result = records(text.as_bytes(), |_| Ok(()));
        assert!(why.is_empty() || result.unwrap_err().to_string().contains(why), "{text}");
    }
}

#[test]
fn all_rooms_and_messages_of_a_fresh_world_are_in_the_new_database_after_an_import_and_nothing_is_an_error() {
    let sql = Sql::fresh();
    let begun = std::time::Instant::now();
    let bytes = sql.export(LEGACY, &Wanted::default());
    eprintln!("export: {:?}, {} bytes", begun.elapsed(), bytes.len());
    let (_, data, check) = sql.read(&bytes);
    assert_eq!(check.errors, Vec::<String>::new());
    let says = |text: &str| check.warnings.iter().filter(|warning| warning.contains(text)).count();
    assert_eq!((says("principal not provisioned"), says("federated")), (6, 12));
    assert!(says("invitations") > 3, "{:?}", check.warnings);
    assert_eq!(check.warnings.len(), 18 + says("invitations"));
    let longest = check.flat.rooms.iter().map(|room| length(&room.name)).max().unwrap();
    assert_eq!(longest, LONGEST);
    let begun = std::time::Instant::now();
    let done = sql.import(&bytes, None).unwrap();
    eprintln!("import: {:?}", begun.elapsed());
    assert_eq!(done, Imported { categories: 20, rooms: 300, messages: 100_000 });
    assert_eq!((sql.number(PERSISTENT_CHAT, ROOMS), sql.number(PERSISTENT_CHAT, MESSAGES)), (300, 100_000));
    // Message by message, by rooms: what was written, by whom, when.
    let sums = |database: &str, prefix: &str| {
        let text = format!(
            "SELECT SUM(chatId), SUM(chatDate % 1000003), SUM(length(content)), SUM(isAlert), COUNT(DISTINCT content) FROM {prefix}Chat"
        );
        let read = |row: &rusqlite::Row<'_>| (0..5).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<i64>>>();
        sql.open(database).query_row(&text, [], read).unwrap()
    };
    assert_eq!(sums(LEGACY, ""), sums(PERSISTENT_CHAT, "tbl"));
    let authors = |database: &str, prefix: &str| -> Vec<(String, i64)> {
        let connection = sql.open(database);
        let text = format!(
            "SELECT prinUri, COUNT(*) FROM {prefix}Chat INNER JOIN {prefix}Principal ON prinID = userId GROUP BY 1 ORDER BY 1"
        );
        let mut found = connection.prepare(&text).unwrap();
        found.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(authors(LEGACY, ""), authors(PERSISTENT_CHAT, "tbl"));
    assert_eq!(sql.number(PERSISTENT_CHAT, "SELECT COUNT(*) FROM tblNode WHERE nodeType = 0 AND disabled = 1"), 12);
    // Whoever is shut out has no role; whoever managed the root manages every room.
    let shut = "SELECT COUNT(*) FROM tblPrincipalRole INNER JOIN tblPrincipal ON prinID = prinRolePrinID WHERE prinDisabled <> 0";
    assert_eq!(sql.number(PERSISTENT_CHAT, shut), 0);
    let managed = "SELECT COUNT(*) FROM tblPrincipalRole INNER JOIN tblPrincipal ON prinID = prinRolePrinID INNER JOIN tblNode ON nodeID = \
                   prinRoleNodeID WHERE prinUri = 'sip:aruiz@contoso.lan' AND prinRoleTypeID = 2 AND nodeType = 0";
    assert_eq!(sql.number(PERSISTENT_CHAT, managed), 300);
    // And out again: the same rooms, in one level.
    let again = sql.export(PERSISTENT_CHAT, &Wanted::default());
    let mut package = Package::open(Cursor::new(again.as_slice())).unwrap();
    let flat = package.data().unwrap();
    assert_eq!((flat.rooms.len(), flat.categories.len(), flat.principals.len()), (300, 20, data.principals.len()));
    assert!(flat.categories.iter().all(|category| category.parent.is_none()));
    let mut names: Vec<_> = flat.rooms.into_iter().map(|room| room.name).collect();
    let mut expected: Vec<_> = check.flat.rooms.into_iter().map(|room| room.name).collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn a_second_import_doubles_the_messages_and_not_the_rooms() {
    let sql = Sql::fresh();
    let bytes = sql.export(LEGACY, &Wanted::default());
    sql.import(&bytes, None).unwrap();
    let (_, _, check) = sql.read(&bytes);
    assert_eq!(check.warnings.iter().filter(|warning| warning.ends_with("exists and is overwritten.")).count(), 320);
    sql.import(&bytes, None).unwrap();
    assert_eq!((sql.number(PERSISTENT_CHAT, ROOMS), sql.number(PERSISTENT_CHAT, MESSAGES)), (300, 200_000));
}

#[test]
fn an_import_that_stops_leaves_whole_rooms_and_one_that_comes_after_a_restore_finds_them_gone() {
    let sql = Sql::fresh();
    let bytes = sql.export(LEGACY, &Wanted::default());
    assert!(matches!(sql.import(&bytes, Some(7)), Err(Trouble::Lost { rooms: 7 })));
    assert_eq!(sql.number(PERSISTENT_CHAT, ROOMS), 7);
    let whole = sql.number(
        LEGACY,
        "SELECT COUNT(*) FROM Chat WHERE channelId IN (SELECT nodeID FROM Node WHERE nodeType = 0 ORDER BY nodeID LIMIT 7)",
    );
    assert_eq!(sql.number(PERSISTENT_CHAT, MESSAGES), whole);
    assert_eq!(sql.open(PERSISTENT_CHAT).query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

#[test]
fn each_level_holds_what_the_one_before_holds_and_a_start_date_leaves_out_what_is_older() {
    let sql = Sql::fresh();
    let read = |wanted: &Wanted| {
        let bytes = sql.export(LEGACY, wanted);
        let mut package = Package::open(Cursor::new(bytes.as_slice())).unwrap();
        let data = package.data().unwrap();
        let (mut messages, mut oldest) = (0, i64::MAX);
        package
            .messages(|message: &Message| {
                messages += 1;
                oldest = oldest.min(message.time);
                Ok(())
            })
            .unwrap();
        ((!data.principals.is_empty(), data.categories.len(), data.rooms.len(), messages), oldest)
    };
    let wanted = |level, since| Wanted { level, since };
    assert_eq!(read(&wanted(Level::User, None)).0, (true, 0, 0, 0));
    assert_eq!(read(&wanted(Level::Category, None)).0, (true, 20, 0, 0));
    assert_eq!(read(&wanted(Level::RoomDirectory, None)).0, (true, 20, 300, 0));
    // 2015.
    let since = 635_556_672_000_000_000;
    let (counts, oldest) = read(&wanted(Level::RoomDirectory, Some(since)));
    assert!(oldest >= since && counts.3 > 10_000 && counts.3 < 90_000, "{counts:?}");
    assert_eq!(i64::from(counts.3), sql.number(LEGACY, &format!("SELECT COUNT(*) FROM Chat WHERE chatDate >= {since}")));
}

#[test]
fn the_lock_of_administrators_is_for_one_at_a_time_and_expires() {
    let sql = Sql::fresh();
    let connection = sql.open(PERSISTENT_CHAT);
    lock(&connection, "one").unwrap();
    assert!(matches!(lock(&connection, "two"), Err(Trouble::Locked { owner, .. }) if owner == "one"));
    connection.execute("UPDATE tblAdminLock SET lockExpires = '2020-01-01T00:00:00.000'", []).unwrap();
    lock(&connection, "two").unwrap();
    unlock(&connection).unwrap();
    lock(&connection, "three").unwrap();
}

#[test]
fn worlds_can_be_made_in_which_the_move_goes_wrong() {
    let sql = Sql::fresh();
    let names = faults::conflicts(&sql.machine, 3).unwrap();
    assert_eq!(names.len(), 3);
    assert_eq!(faults::too_long(&sql.machine, 2).unwrap(), 2);
    assert_eq!(faults::unprovisioned(&sql.machine, 4).unwrap(), 4);
    let bytes = sql.export(LEGACY, &Wanted { level: Level::RoomDirectory, since: None });
    let (_, _, check) = sql.read(&bytes);
    for name in names {
        assert!(check.warnings.contains(&format!("Chat room '{name}' exists and is overwritten.")), "{:?}", check.warnings);
    }
    assert_eq!((check.errors.len(), check.left_out.len()), (2, 2));
    assert_eq!(check.warnings.iter().filter(|warning| warning.starts_with("principal not provisioned")).count(), 10);
    sql.import(&bytes, None).unwrap();
    assert_eq!(sql.number(PERSISTENT_CHAT, ROOMS), 298);
    let instance = crate::lab::windows::sql::Instance::find(&sql.machine, INSTANCE).unwrap();
    faults::import_stops_after(&sql.machine, Some(5)).unwrap();
    assert_eq!(faults::stops_after(&instance).unwrap(), Some(5));
    faults::import_stops_after(&sql.machine, None).unwrap();
    assert_eq!(faults::stops_after(&instance).unwrap(), None);
}

#[test]
fn an_export_that_says_no_more_than_others_read_is_imported_all_the_same() {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in [
        (
            "AdUsers.xml",
            "<Pool><AdUsers><User><principalId>7</principalId><UserPrincipalName>aruiz@contoso.lan</UserPrincipalName></User></AdUsers></Pool>",
        ),
        (
            "ChatRooms.xml",
            "<Pool><ChatRooms><ChatRoom isDisabled=\"1\"><Name>Old</Name><Desc>x</Desc><Roles><Principal id=\"7\" isManager=\"1\" \
             isMember=\"1\" isCreator=\"0\"/></Roles></ChatRoom></ChatRooms></Pool>",
        ),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    let sql = Sql::fresh();
    let (_, data, check) = sql.read(&bytes);
    assert_eq!(data.rooms[0].roles, [Role { principal: 7, manager: true, member: true, ..Role::default() }]);
    assert!(check.warnings.is_empty() && check.errors.is_empty(), "{check:?}");
    sql.import(&bytes, None).unwrap();
    assert_eq!(sql.number(PERSISTENT_CHAT, "SELECT COUNT(*) FROM tblNode WHERE nodeName = 'Old' AND disabled = 1"), 1);
    assert_eq!(sql.number(PERSISTENT_CHAT, "SELECT COUNT(*) FROM tblPrincipalRole"), 2);
}

#[test]
fn a_fresh_world_is_made_quickly_and_is_small() {
    let begun = std::time::Instant::now();
    let sql = Sql::fresh();
    let size = |database: &str| {
        let instance = crate::lab::windows::sql::Instance::find(&sql.machine, INSTANCE).unwrap();
        std::fs::metadata(instance.file(database)).unwrap().len()
    };
    eprintln!("made in {:?}: {} and {} bytes", begun.elapsed(), size(LEGACY), size(PERSISTENT_CHAT));
    assert!(size(LEGACY) < 16 << 20);
}
