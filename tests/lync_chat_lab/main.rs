//! Chat data moves in the lab, by PowerShell remoting and as Python reads what lies on the disk.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

#[path = "../lab_support/mod.rs"]
mod lab_support;
#[path = "../support/python.rs"]
mod python;
mod remote;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab_support::Lab;
use relevo::lab::lync::chat::faults;
use relevo::lab::windows::machine::Machine;
use relevo::lab::windows::sql::{LEGACY, PERSISTENT_CHAT, open};
use relevo::remoting::clixml::Value;
use relevo::remoting::psrp::Command;
use remote::{Ran, on};
use serde_json::{Value as Json, json};

const INSTANCE: &str = "sql01.contoso.lan\\RTC";
const FILE: &str = "D:\\Migration\\groupchat.zip";
const REPORT: &str = "D:\\Migration\\groupchat.zip.html";

fn export() -> Command {
    let command = Command::new("Export-CsPersistentChatData").parameter("DBInstance", INSTANCE).parameter("DBName", LEGACY);
    command.parameter("FileName", FILE).parameter("Report", REPORT)
}

fn import() -> Command {
    Command::new("Import-CsPersistentChatData")
        .parameter("DBInstance", INSTANCE)
        .parameter("FileName", FILE)
        .parameter("Report", REPORT)
}

fn rooms() -> Command {
    Command::new("Get-CsPersistentChatRoom").parameter("PersistentChatPoolFqdn", "pcpool.contoso.lan")
}

/// A file of the Front End.
fn file(lab: &Lab, name: &str) -> PathBuf {
    lab.dir().join("world/files/fe01/D/Migration").join(name)
}

fn sql(lab: &Lab) -> Machine {
    Machine { name: "sql01".to_owned(), files: lab.dir().join("world/files/sql01"), ..Machine::default() }
}

/// A number from a database, past the lab; `None` while it cannot be read.
fn try_number(lab: &Lab, database: &str, text: &str) -> Option<i64> {
    open(&sql(lab), "RTC", database).ok()?.query_row(text, [], |row| row.get(0)).ok()
}

fn number(lab: &Lab, database: &str, text: &str) -> i64 {
    try_number(lab, database, text).unwrap()
}

const ROOMS: &str = "SELECT COUNT(*) FROM tblNode WHERE nodeType = 0";
const MESSAGES: &str = "SELECT COUNT(*) FROM tblChat";

/// What Python makes of an export; `None` where there is none.
fn by_python(path: &std::path::Path) -> Option<Json> {
    let program = python::python()?;
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lync_chat_lab/export.py");
    let output = std::process::Command::new(program).arg("-B").arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn last(lab: &Lab, operation: &str) -> Json {
    lab.audit().into_iter().rfind(|line| line["operation"] == operation).unwrap()
}

#[tokio::test]
async fn what_is_exported_is_what_python_reads_and_all_of_it_arrives() {
    let lab = Lab::new();
    let mut lync = on(&lab, "lync").await;
    let begun = Instant::now();
    let ran = lync.run(export()).await.fine();
    eprintln!("export: {:?}", begun.elapsed());
    assert!(ran.outputs.is_empty() && ran.warnings.is_empty(), "{ran:?}");
    assert!(ran.progress >= 2);
    assert_eq!(last(&lab, "Export-CsPersistentChatData")["wrote"], true);
    let report = std::fs::read_to_string(file(&lab, "groupchat.zip.html")).unwrap();
    assert!(report.contains("100000") && report.contains("300"), "{report}");
    if let Some(read) = by_python(&file(&lab, "groupchat.zip")) {
        let parts = ["AdAffiliations.xml", "AdGroups.xml", "AdUsers.xml", "ChatCategories.xml", "ChatRooms.xml", "Messages.xml"];
        assert_eq!(read["parts"], json!(parts));
        let counts = json!({ "rooms": 300, "disabled": 12, "categories": 20, "messages": 100_000, "users": 63, "groups": 1 });
        assert_eq!(read["counts"], counts);
        assert_eq!((&read["links"], &read["orphans"]), (&json!(320), &json!(0)));
        assert!(read["roles"].as_u64().unwrap() > 1000);
        assert_eq!(read["names"], json!(["Helpdesk", "Operación 24x7", "Bereitschaft – Zürich"]));
        assert!(read["special"].as_str().unwrap().ends_with("— ‘ñ’ 😀 <b>\r\nsecond line"));
    }
    // Fetched as one array of bytes, it is the same file.
    let mut fe01 = on(&lab, "fe01").await;
    let get = Command::new("Get-Content").parameter("LiteralPath", FILE).parameter("Encoding", "Byte").switch("Raw");
    let ran = fe01.run(get).await.fine();
    let bytes = std::fs::read(file(&lab, "groupchat.zip")).unwrap();
    assert!(ran.outputs.len() == 1 && ran.outputs[0].as_bytes() == Some(bytes.as_slice()), "{} bytes", bytes.len());
    // The rehearsal says what the import says, and does nothing.
    let rehearsed = lync.run(import().switch("WhatIf")).await.fine();
    assert_eq!((number(&lab, PERSISTENT_CHAT, ROOMS), number(&lab, PERSISTENT_CHAT, MESSAGES)), (0, 0));
    assert_eq!(last(&lab, "Import-CsPersistentChatData")["wrote"], false);
    assert!(std::fs::read_to_string(file(&lab, "groupchat.zip.html")).unwrap().contains("-WhatIf"));
    let begun = Instant::now();
    let ran = lync.run(import()).await.fine();
    eprintln!("import: {:?}", begun.elapsed());
    assert_eq!(ran.warnings, rehearsed.warnings);
    let says = |text: &str| ran.warnings.iter().filter(|warning| warning.contains(text)).count();
    assert_eq!((says("principal not provisioned"), says("federated")), (6, 12), "{:?}", ran.warnings);
    assert!(says("invitations") > 3);
    let line = last(&lab, "Import-CsPersistentChatData");
    assert_eq!(
        (&line["wrote"], &line["detail"]["rooms"], &line["detail"]["messages"]),
        (&json!(true), &json!(300), &json!(100_000))
    );
    assert_eq!((number(&lab, PERSISTENT_CHAT, ROOMS), number(&lab, PERSISTENT_CHAT, MESSAGES)), (300, 100_000));
    assert_eq!(number(&lab, PERSISTENT_CHAT, "SELECT COUNT(*) FROM tblAdminLock"), 0);
    // As the cmdlets see it.
    assert_eq!(lync.run(rooms()).await.fine().outputs.len(), 300);
    assert_eq!(lync.run(rooms().parameter("Disabled", true)).await.fine().outputs.len(), 12);
    assert_eq!(lync.run(rooms().parameter("ResultSize", 7)).await.fine().outputs.len(), 7);
    let room = lync.run(Command::new("Get-CsPersistentChatRoom").argument("pcpool.contoso.lan\\Helpdesk")).await;
    let identity = room.outputs.first().and_then(|room| room.get("Identity")).map(Value::to_text);
    let prefixed = lync.run(rooms().parameter("Filter", "Name -like \"*Helpdesk\"")).await.fine();
    assert_eq!(prefixed.outputs.len(), 1);
    assert!(identity.is_none_or(|identity| identity == "pcpool.contoso.lan\\Helpdesk"));
    let categories = Command::new("Get-CsPersistentChatCategory").parameter("PersistentChatPoolFqdn", "pcpool.contoso.lan");
    let categories = lync.run(categories).await.fine().outputs;
    assert_eq!(categories.len(), 20);
    let sum: i64 = categories.iter().filter_map(|category| category.get("NumberOfChatRooms")?.as_i64()).sum();
    assert_eq!(sum, 300);
    // Those of the other pool are there besides.
    assert_eq!(lync.run(Command::new("Get-CsPersistentChatRoom")).await.fine().outputs.len(), 303);
    let settings = lync.run(Command::new("Get-CsPersistentChatConfiguration")).await.fine().outputs;
    assert_eq!(settings[0].get("MaxFileSizeKB").and_then(Value::as_i64), Some(20_000));
    assert!(lync.run(Command::new("Get-CsPersistentChatAddin")).await.fine().outputs.is_empty());
}

#[tokio::test]
async fn bytes_travel_through_the_session_instead_of_a_file() {
    let lab = Lab::new();
    let mut lync = on(&lab, "lync").await;
    let command = Command::new("Export-CsPersistentChatData").parameter("DBInstance", INSTANCE).parameter("DBName", LEGACY);
    let ran = lync.run(command.parameter("Level", "RoomDirectory").switch("AsBytes")).await.fine();
    let bytes = ran.outputs[0].clone();
    assert_eq!(last(&lab, "Export-CsPersistentChatData")["wrote"], false);
    let command = Command::new("Import-CsPersistentChatData").parameter("DBInstance", INSTANCE).parameter("ByteInput", bytes);
    lync.run(command).await.fine();
    assert_eq!((number(&lab, PERSISTENT_CHAT, ROOMS), number(&lab, PERSISTENT_CHAT, MESSAGES)), (300, 0));
}

#[tokio::test]
async fn an_import_is_refused_while_the_service_runs_and_where_the_caller_or_the_path_is_wrong() {
    let lab = Lab::new();
    let mut lync = on(&lab, "lync").await;
    let refused = |ran: &Ran, id: &str| {
        let error = ran.terminating.as_ref().unwrap_or_else(|| panic!("{ran:?}"));
        assert!(error.fully_qualified_id.starts_with(id), "{error:?}");
    };
    refused(&lync.run(import()).await, "ChatDataFile");
    lync.run(export()).await.fine();
    let mut pc01 = on(&lab, "pc01").await;
    pc01.run(Command::new("Start-Service").parameter("Name", "RTCCHAT")).await.fine();
    lab_support::wait_for("the service", || machine_runs(&lab));
    refused(&lync.run(import()).await, "ChatServiceRunning");
    assert_eq!(last(&lab, "Import-CsPersistentChatData")["wrote"], false);
    let ran = lync.run(import().switch("WhatIf")).await.fine();
    assert!(ran.warnings.iter().any(|warning| warning.contains("running on pc01.contoso.lan")), "{:?}", ran.warnings);
    pc01.run(Command::new("Stop-Service").parameter("Name", "RTCCHAT")).await.fine();
    refused(&lync.run(export().parameter("Scope", "Nowhere")).await, "ChatDataScope");
    let elsewhere =
        Command::new("Export-CsPersistentChatData").parameter("DBInstance", INSTANCE).parameter("FileName", "D:\\None\\x.zip");
    refused(&lync.run(elsewhere).await, "ChatDataFile");
    let unknown = Command::new("Export-CsPersistentChatData").parameter("DBInstance", "sql01\\NONE").parameter("FileName", FILE);
    refused(&lync.run(unknown).await, "ChatDatabase");
    std::fs::write(file(&lab, "groupchat.zip"), b"nothing of the kind").unwrap();
    refused(&lync.run(import()).await, "ChatDataInvalid");
    assert_eq!(number(&lab, PERSISTENT_CHAT, ROOMS), 0);
}

fn machine_runs(lab: &Lab) -> bool {
    let path = lab.dir().join("world/machines/pc01.json");
    let machine: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    machine["services"].as_array().unwrap().iter().any(|service| service["name"] == "RTCCHAT" && service["state"] != "Stopped")
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_and_a_full_disk_leave_some_rooms_and_a_lock() {
    let lab = Lab::new();
    let mut lync = on(&lab, "lync").await;
    lync.run(export()).await.fine();
    faults::import_stops_after(&sql(&lab), Some(9)).unwrap();
    let ran = lync.run(import()).await;
    assert!(ran.terminating.unwrap().fully_qualified_id.starts_with("ChatDatabase"));
    assert_eq!(last(&lab, "Import-CsPersistentChatData")["wrote"], true);
    assert_eq!(number(&lab, PERSISTENT_CHAT, ROOMS), 9);
    faults::import_stops_after(&sql(&lab), None).unwrap();
    let ran = lync.run(import()).await;
    assert!(ran.terminating.unwrap().fully_qualified_id.starts_with("ChatDataLocked"));
    open(&sql(&lab), "RTC", PERSISTENT_CHAT).unwrap().execute("DELETE FROM tblAdminLock", []).unwrap();
    let instance = relevo::lab::windows::sql::Instance::find(&sql(&lab), "RTC").unwrap();
    instance.set_room(2 << 20).unwrap();
    let ran = lync.run(import()).await;
    let error = ran.terminating.unwrap();
    assert!(error.exception_message.contains("filegroup is full"), "{error:?}");
    let rooms = number(&lab, PERSISTENT_CHAT, ROOMS);
    assert!(rooms > 9 && rooms < 300, "{rooms}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_killed_in_the_middle_of_an_import_leaves_a_database_of_whole_rooms() {
    let lab = Lab::new();
    on(&lab, "lync").await.run(export()).await.fine();
    let mut lync = on(&lab, "lync").await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(lab.info()["state"]["pid"].as_i64().unwrap()).unwrap());
    let under_way = tokio::spawn(async move { lync.try_run(import()).await });
    let end = Instant::now() + Duration::from_mins(1);
    while try_number(&lab, PERSISTENT_CHAT, ROOMS).is_none_or(|rooms| rooms < 5) {
        assert!(Instant::now() < end, "the import did not begin");
    }
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert!(under_way.await.unwrap().is_none(), "nobody was told how it ended");
    lab.relevo(&["lab", "up"]).exits(0);
    let rooms = number(&lab, PERSISTENT_CHAT, ROOMS);
    assert!((5..300).contains(&rooms), "{rooms}");
    let connection = open(&sql(&lab), "RTC", PERSISTENT_CHAT).unwrap();
    assert_eq!(connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    // No room that is there lacks a message: none was half under way.
    let all = "SELECT COUNT(*) FROM Chat WHERE channelId IN (SELECT nodeID FROM Node WHERE nodeType = 0 ORDER BY nodeID LIMIT ";
    assert_eq!(number(&lab, PERSISTENT_CHAT, MESSAGES), number(&lab, LEGACY, &format!("{all} {rooms})")));
    let mut lync = on(&lab, "lync").await;
    assert_eq!(
        lync.run(Command::new("Get-CsPersistentChatRoom")).await.fine().outputs.len(),
        usize::try_from(rooms).unwrap() + 3
    );
    let ran = lync.run(import()).await;
    assert!(ran.terminating.unwrap().fully_qualified_id.starts_with("ChatDataLocked"));
}
