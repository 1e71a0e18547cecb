//! The weekend with mistakes in it. Each is found by `check --connect`, by the rehearsal or by the step itself, and named;
//! nothing that lies after it is done; and once it is mended the weekend ends as if it had never been.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::lab_support::{CHAT, Said, wait_for};
use crate::world::{ADDRESS, CONTACTS, Weekend, plan};

/// What deletes the user, creates the endpoint, and lets clients in.
const IRREVOCABLE: [&str; 3] = ["delete", "New-CsPersistentChatEndpoint", "Start-CsWindowsService"];

/// One mistake in a fresh world.
struct Case<'w> {
    weekend: &'w Weekend,
    runs: PathBuf,
    from: usize,
}

impl Weekend {
    /// A lab whose fresh world can be had again.
    fn with_snapshot() -> Self {
        let weekend = Weekend::new();
        weekend.set(&["lab", "snapshot", "fresh"]);
        weekend
    }

    /// Tells the lab something.
    #[track_caller]
    fn set(&self, words: &[&str]) {
        self.lab.relevo(words).exits(0);
    }

    /// Changes a file of the world while the lab is down.
    #[track_caller]
    fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        self.set(&["lab", "down"]);
        let path = self.lab.dir().join("world").join(file);
        let mut value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
        self.set(&["lab", "up"]);
    }

    /// Writes a file of a machine, past the machine.
    fn put(&self, file: &str, content: &str) {
        let path = self.machine_file(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn machine_file(&self, file: &str) -> PathBuf {
        self.lab.dir().join("world/files").join(file)
    }

    /// Changes a database of the instance RTC past the server.
    #[track_caller]
    fn sql(&self, database: &str, text: &str) -> usize {
        rusqlite::Connection::open(self.machine_file(&format!("sql01/sql/RTC/{database}.sqlite")))
            .unwrap()
            .execute(text, [])
            .unwrap()
    }

    /// One text from a database of the instance RTC.
    fn text(&self, database: &str, query: &str) -> String {
        let file = self.machine_file(&format!("sql01/sql/RTC/{}.sqlite", database.to_lowercase()));
        rusqlite::Connection::open(file).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// Somebody writes one more message to the legacy database.
    fn write_to_the_old_database(&self) {
        let row =
            "SELECT channelId, (SELECT MAX(chatId) + 1 FROM Chat), chatDate, userId, isAlert, content, rtf FROM Chat LIMIT 1";
        let added = self.sql("groupchat", &format!("INSERT INTO Chat {row}"));
        assert_eq!(added, 1);
    }

    /// The contact that a pool has from its installation.
    fn contact(&self, number: u32) -> String {
        let filter = format!("(msRTCSIP-PrimaryUserAddress=sip:GC-1-PersistentChatService-{number}@contoso.lan)");
        self.lab.search("dc1", &["-b", CONTACTS, &filter, "dn"]).exits(0).dns().remove(0)
    }

    /// Gives an object an address, everywhere.
    #[track_caller]
    fn give(&self, dn: &str, address: &str) {
        self.lab
            .modify(&format!(
                "dn: {dn}\nchangetype: modify\nreplace: msRTCSIP-PrimaryUserAddress\nmsRTCSIP-PrimaryUserAddress: {address}\n"
            ))
            .exits(0);
        let filter = format!("(msRTCSIP-PrimaryUserAddress={address})");
        let arrived = || self.lab.search("dc2", &["-b", dn, "-s", "base", &filter, "dn"]).dns().len() == 1;
        wait_for("both domain controllers to know", arrived);
    }

    /// A mistake, made in a fresh world.
    #[track_caller]
    fn case(&self, name: &str, seed: impl FnOnce(&Weekend)) -> Case<'_> {
        println!("-- {name}");
        self.set(&["lab", "restore", "fresh"]);
        seed(self);
        Case { weekend: self, runs: self.lab.folder.path().join(name), from: self.lab.audit().len() }
    }
}

impl Case<'_> {
    fn call(&self, verb: &[&str], more: &[&str]) -> Said {
        let (plan, runs) = (plan("weekend"), self.runs.display().to_string());
        let kept = if verb[0] == "check" { Vec::new() } else { vec!["--runs", &runs] };
        self.weekend.lab.relevo(&[verb, &[&plan, "--lab=keep"], kept.as_slice(), more].concat())
    }

    fn check(&self) -> Said {
        self.call(&["check", "--connect"], &[])
    }

    fn rehearse(&self) -> Said {
        self.call(&["rehearse"], &[])
    }

    fn run(&self) -> Said {
        self.call(&["run"], &["--go"])
    }

    fn resume(&self, more: &[&str]) -> Said {
        let runs = self.runs.display().to_string();
        self.weekend.lab.relevo(&[&["resume", "--yes", "--runs", &runs], more].concat())
    }

    #[track_caller]
    fn decide(&self, step: &str, answer: &str) {
        let runs = self.runs.display().to_string();
        self.weekend.lab.relevo(&["decide", step, answer, "--reason", "it is mended", "--runs", &runs]).exits(0);
    }

    /// Runs to the first gate, opens it, and so on up to this one, which stays shut.
    #[track_caller]
    fn up_to(&self, gate: &str) {
        self.call(&["run"], &[]).exits(3).says("begin");
        for open in ["begin", "import-ok", "delete-ok"].into_iter().take_while(|open| *open != gate) {
            self.decide(open, "go");
            self.resume(&[]).exits(3);
        }
        let runs = self.runs.display().to_string();
        self.weekend.lab.relevo(&["status", "--runs", &runs]).says(gate);
    }

    /// Goes on in the background, unattended; what it says goes to a file.
    fn resume_behind(&self) -> Behind {
        let said = self.runs.join("said");
        let file = std::fs::File::create(&said).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_relevo"))
            .args(["resume", "--yes", "--go", "--runs"])
            .arg(&self.runs)
            .env("RELEVO_LAB", self.weekend.lab.dir())
            .env("RELEVO_MACHINE", self.weekend.lab.machine())
            .current_dir(self.weekend.lab.folder.path())
            .stdin(Stdio::null())
            .stderr(file.try_clone().unwrap())
            .stdout(file)
            .spawn()
            .unwrap();
        Behind { child, said }
    }

    fn effects(&self) -> Vec<String> {
        self.weekend.effects_since(self.from)
    }

    #[track_caller]
    fn nothing_was_done(&self) {
        assert_eq!(self.effects(), Vec::<String>::new());
    }

    /// That none of these had an effect.
    #[track_caller]
    fn none_of(&self, operations: &[&str]) {
        for operation in operations {
            assert_eq!(self.weekend.count_since(self.from, operation), 0, "{operation}: {:#?}", self.effects());
        }
    }

    /// That all is as it must be in the end, and nothing was done twice.
    #[track_caller]
    fn ends_well(&self) {
        self.weekend.assert_monday();
        self.weekend.assert_each_once(self.from);
    }
}

/// A run in the background.
struct Behind {
    child: Child,
    said: PathBuf,
}

impl Behind {
    #[track_caller]
    fn says(&self, words: &[&str]) {
        let all = || std::fs::read_to_string(&self.said).unwrap();
        wait_for(&format!("{words:?} to be said"), || all().lines().any(|line| words.iter().all(|word| line.contains(word))));
    }

    /// Its exit code.
    fn waits(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }

    #[track_caller]
    fn ends(self, code: i32) {
        let said = self.said.clone();
        assert_eq!(self.waits(), code, "{}", std::fs::read_to_string(said).unwrap());
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// That it was refused, and every word was said.
#[track_caller]
fn refused(mut said: Said, words: &[&str]) {
    assert_ne!(said.code, 0, "{}\n--\n{}", said.out, said.err);
    for word in words {
        said = said.says(word);
    }
}

/// Found by whoever looks, before anything starts.
#[track_caller]
fn found_before_the_start(case: &Case<'_>, words: &[&str]) {
    refused(case.check(), words);
    refused(case.rehearse(), words);
    refused(case.run(), words);
    case.nothing_was_done();
}

#[test]
fn a_wrong_service_name_is_found_before_the_start() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("names", |weekend| {
        weekend.edit("machines/gc02.json", |machine| {
            for service in machine["services"].as_array_mut().unwrap() {
                let name =
                    service["display_name"].as_str().unwrap().replace("Microsoft Lync Server 2010 Group Chat", "Group Chat 2010");
                service["display_name"] = name.into();
            }
        });
    });
    found_before_the_start(&case, &["stop-legacy[gc02]", "Microsoft Lync Server 2010 Group Chat *", "LyncGCLookup"]);
}

#[test]
fn whoever_else_has_the_address_is_named_before_the_start() {
    let weekend = Weekend::with_snapshot();
    let ana = "CN=aruiz,OU=Staff,DC=contoso,DC=lan";
    let case = weekend.case("second-user", |weekend| weekend.give(ana, ADDRESS));
    found_before_the_start(&case, &["delete-user", CHAT, ana]);

    for (name, number) in [("another-pool", 3), ("our-pool", 2)] {
        let contact = weekend.contact(number);
        let case = weekend.case(name, |weekend| weekend.give(&contact, ADDRESS));
        found_before_the_start(&case, &["delete-user", CHAT, &contact]);
    }
}

#[test]
fn a_user_that_must_not_be_deleted_is_named_before_the_start() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("elsewhere", |weekend| {
        let to = "newrdn: CN=ocschat\ndeleteoldrdn: 1\nnewsuperior: OU=Staff,DC=contoso,DC=lan\n";
        weekend.lab.modify(&format!("dn: {CHAT}\nchangetype: moddn\n{to}")).exits(0);
    });
    found_before_the_start(
        &case,
        &["delete-user", "CN=ocschat,OU=Staff,DC=contoso,DC=lan", "outside `OU=Service,DC=contoso,DC=lan`"],
    );
}

#[test]
fn a_server_that_is_down_or_a_wrong_password_is_found_before_the_start() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("down", |weekend| weekend.set(&["lab", "fault", "stop-host", "gc02"]));
    found_before_the_start(&case, &["stop-legacy[gc02]", "gc02.contoso.lan"]);

    let file = weekend.lab.dir().join("svc-mig.password");
    let right = std::fs::read(&file).unwrap();
    let case = weekend.case("password", |_| ());
    std::fs::write(&file, "not it").unwrap();
    found_before_the_start(&case, &["svc-mig@contoso.lan", "the password is wrong", "dc1.contoso.lan"]);
    std::fs::write(&file, right).unwrap();
    case.check().exits(0);
}

#[test]
fn a_role_that_is_missing_is_found_before_the_start() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("role", |weekend| {
        weekend.edit("lync.json", |lync| {
            for role in lync["roles"].as_array_mut().unwrap() {
                if role["name"] == "CsAdministrator" {
                    role["members"] = serde_json::json!(["CONTOSO\\Administrator"]);
                }
            }
        });
    });
    found_before_the_start(&case, &["svc-mig", "New-CsPersistentChatEndpoint", "Get-CsWindowsService"]);
}

#[test]
fn a_pool_that_cannot_take_over_stops_the_rehearsal_and_the_run() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("standard", |weekend| {
        weekend.edit("lync.json", |lync| {
            let pools = lync["chat_pools"].as_array_mut().unwrap();
            let pool = pools.iter_mut().find(|pool| pool["fqdn"] == "pcpool.contoso.lan").unwrap();
            pool["next_hop"] = "pcpool.contoso.lan".into();
        });
    });
    let words = ["pcpool.contoso.lan", "Standard Edition"];
    refused(case.rehearse().exits(7), &words);
    refused(case.run().exits(3), &words);
    case.nothing_was_done();

    let case = weekend.case("unknown-pool", |_| ());
    let wrong = ["--param", "pool=pcpool9.contoso.lan"];
    refused(case.call(&["check", "--connect"], &wrong), &["pcpool9.contoso.lan"]);
    refused(case.call(&["run"], &[&wrong, ["--go"].as_slice()].concat()), &["pcpool9.contoso.lan"]);
    case.nothing_was_done();
}

#[test]
fn a_policy_that_is_off_stops_the_rehearsal_and_the_run_until_it_is_on() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("policy", |weekend| weekend.set(&["lab", "set", "policy", "off"]));
    let words = ["policy", "nobody may use Persistent Chat", "Global"];
    refused(case.rehearse().exits(7), &words);
    refused(case.run().exits(3), &words);
    case.nothing_was_done();
    weekend.set(&["lab", "set", "policy", "on"]);
    case.decide("policy", "retry");
    case.resume(&["--go"]).exits(0);
    case.ends_well();
}

#[test]
fn f70_a_legacy_server_that_goes_down_in_the_middle_keeps_everything_after_it_from_happening() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("middle", |weekend| {
        weekend.set(&["lab", "fault", "delay", "60s", "--on", "gc02", "--operation", "Stop-Service"]);
    });
    case.up_to("begin");
    case.decide("begin", "go");
    let behind = case.resume_behind();
    wait_for("gc02 to be at it", || case.effects().iter().filter(|line| line.starts_with("gc02 Set-Service")).count() == 2);
    weekend.set(&["lab", "fault", "stop-host", "gc02"]);
    behind.says(&["stop-legacy[gc02]", "gc02.contoso.lan"]);
    let code = behind.waits();
    assert!([3, 4].contains(&code), "{code}");
    case.none_of(&IRREVOCABLE);
    case.none_of(&["Export-CsPersistentChatData", "Import-CsPersistentChatData"]);
    weekend.set(&["lab", "fault", "clear"]);
    weekend.set(&["lab", "fault", "start-host", "gc02"]);
    case.decide("stop-legacy[gc02]", "retry");
    case.resume(&["--go"]).exits(0);
    weekend.assert_monday();
}

#[test]
fn no_room_for_backups_or_a_file_in_their_place_stops_before_the_export() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("no-room", |weekend| weekend.set(&["lab", "set", "sql-space", "sql01\\RTC", "0"]));
    refused(case.run().exits(3), &["backup-legacy", "groupchat-before.bak", "not enough space"]);
    case.none_of(&IRREVOCABLE);
    case.none_of(&["Export-CsPersistentChatData", "Import-CsPersistentChatData"]);
    weekend.set(&["lab", "set", "sql-space", "sql01\\RTC", "1000000000"]);
    case.decide("backup-legacy", "retry");
    case.decide("backup-new", "retry");
    case.resume(&["--go"]).exits(0);
    weekend.assert_monday();

    let case = weekend.case("backup-there", |weekend| weekend.put("sql01/D/Backup/mgc-before.bak", "somebody's"));
    found_before_the_start(&case, &["backup-new", "D:\\Backup\\mgc-before.bak", "is there"]);
    let theirs = weekend.machine_file("sql01/D/Backup/mgc-before.bak");
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "somebody's");
    std::fs::remove_file(theirs).unwrap();
    case.run().exits(0);
    case.ends_well();
}

#[test]
fn an_export_file_that_is_there_already_is_never_taken_for_ours() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("export-there", |weekend| weekend.put("fe01/D/Migration/groupchat.zip", "an old one"));
    found_before_the_start(&case, &["export", "D:\\Migration\\groupchat.zip", "this run did not make it"]);
    let theirs = weekend.machine_file("fe01/D/Migration/groupchat.zip");
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "an old one");
    std::fs::remove_file(&theirs).unwrap();
    case.up_to("begin");
    case.decide("begin", "go");
    weekend.put("fe01/D/Migration/groupchat.zip", "a new one");
    refused(case.resume(&["--go"]), &["export", "D:\\Migration\\groupchat.zip"]);
    case.none_of(&IRREVOCABLE);
    case.none_of(&["Export-CsPersistentChatData", "Import-CsPersistentChatData"]);
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "a new one");
    std::fs::remove_file(theirs).unwrap();
    case.resume(&["--go"]).exits(0);
    case.ends_well();
}

#[test]
fn an_import_without_room_or_that_breaks_off_is_put_back_before_the_next() {
    let weekend = Weekend::with_snapshot();
    let cases = [
        ("import-breaks-off", vec!["import-stops-after"], "40", "0"),
        ("import-no-room", vec!["sql-space", "sql01\\RTC"], "300000", "1000000000"),
    ];
    for (name, setting, wrong, right) in cases {
        let set = |value| weekend.set(&[&["lab", "set"], setting.as_slice(), &[value]].concat());
        let case = weekend.case(name, |_| ());
        case.up_to("import-ok");
        set(wrong);
        refused(case.resume(&["--go"]), &["import"]);
        case.none_of(&IRREVOCABLE);
        set(right);
        case.decide("import", "retry");
        case.resume(&["--go"]).exits(0);
        weekend.assert_monday();
        let (imports, restores) = (
            weekend.count_since(case.from, "Import-CsPersistentChatData"),
            weekend.count_since(case.from, "Restore-SqlDatabase"),
        );
        assert!(
            imports == restores + 1 && (restores > 0 || name == "import-no-room"),
            "{imports} imports, {restores} restores: {:#?}",
            case.effects()
        );
    }
}

#[test]
fn rooms_that_are_there_already_or_get_too_long_a_name_are_told_before_the_import() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("conflict", |weekend| weekend.set(&["lab", "set", "chat-data", "conflicts", "1"]));
    let name = weekend.text("mgc", "SELECT nodeName FROM tblNode WHERE nodeDesc = 'Made before the move'");
    refused(case.run(), &["inspect", &name]);
    case.none_of(&IRREVOCABLE);
    case.none_of(&["Import-CsPersistentChatData"]);

    let case = weekend.case("too-long", |weekend| weekend.set(&["lab", "set", "chat-data", "long-names", "1"]));
    refused(case.run(), &["inspect", "256"]);
    case.none_of(&IRREVOCABLE);
    case.none_of(&["Import-CsPersistentChatData"]);
}

#[test]
fn what_the_import_will_warn_of_is_in_the_question_before_it() {
    let weekend = Weekend::with_snapshot();
    let warnings = |name: &str, strangers: &str| {
        let case = weekend.case(name, |weekend| {
            if strangers != "0" {
                weekend.set(&["lab", "set", "chat-data", "strangers", strangers]);
            }
        });
        case.up_to("import-ok");
        let again = case.resume(&[]).exits(3);
        let said = again.out + &again.err;
        let words: Vec<&str> = said.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "warnings:").unwrap_or_else(|| panic!("{said}"));
        words[at - 1].parse::<u64>().unwrap()
    };
    assert_eq!(warnings("strangers", "4"), warnings("none", "0") + 4);
}

#[test]
fn a_file_in_the_place_of_another_or_a_row_after_the_stop_keeps_the_user_from_being_deleted() {
    let weekend = Weekend::with_snapshot();
    let name = "Helpdesk/2014/08/007 IMG_0042.JPG";
    let case = weekend.case("file", |weekend| weekend.put(&format!("fs01/D/LyncShare/GroupChatFiles/{name}"), "another"));
    assert!(weekend.machine_file(&format!("gc01/D/GroupChatFiles/{name}")).exists());
    refused(case.run(), &["files", "007 IMG_0042.JPG"]);
    case.nothing_was_done();
    let there = weekend.machine_file(&format!("fs01/D/LyncShare/GroupChatFiles/{name}"));
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "another");
    std::fs::remove_file(there).unwrap();
    case.run().exits(0);
    case.ends_well();

    let case = weekend.case("row", |_| ());
    case.up_to("import-ok");
    weekend.write_to_the_old_database();
    refused(case.resume(&["--go"]).exits(3), &["untouched", "100000", "100001"]);
    case.none_of(&IRREVOCABLE);
    assert_eq!(weekend.holders("dc1"), [CHAT]);
}

#[test]
fn nothing_is_created_while_a_domain_controller_is_dead_or_still_knows_the_user() {
    let weekend = Weekend::with_snapshot();
    for (name, fault, end) in [("dead", "stop-dc", "start-dc"), ("held", "hold-replication", "release-replication")] {
        let case = weekend.case(name, |_| ());
        case.call(&["run"], &["--go", "--until", "data-moved"]).exits(0);
        weekend.set(&["lab", "fault", fault, "dc2"]);
        let behind = case.resume_behind();
        behind.says(&["start", "address-free"]);
        if name == "dead" {
            behind.says(&["warning", "dc2.contoso.lan", "no wait for all domain controllers will end"]);
        }
        // Several looks later it still waits.
        let looks = || weekend.lab.audit().iter().skip(case.from).filter(|line| line["operation"] == "search").count();
        let before = looks();
        wait_for("it to look again", || looks() > before + 10);
        assert_eq!(weekend.count_since(case.from, "delete"), 1);
        case.none_of(&["New-CsPersistentChatEndpoint", "Start-CsWindowsService"]);
        weekend.set(&["lab", "fault", end, "dc2"]);
        behind.says(&["GATE", "go-live"]);
        behind.ends(0);
        case.ends_well();
    }
}

#[test]
fn front_ends_that_never_read_the_directory_are_found_by_the_sign_in() {
    let weekend = Weekend::with_snapshot();
    let case = weekend.case("replicator", |weekend| {
        weekend.set(&["lab", "set", "user-replicator", "23h"]);
        let refuse = ["lab", "fault", "refuse", "5", "--on", "fe01", "--operation", "Update-CsUserDatabase", "--times", "0"];
        weekend.set(&refuse);
    });
    refused(case.run(), &["routed", "Update-CsUserDatabase"]);
    case.none_of(&["Start-CsWindowsService"]);
    // Somebody is in a hurry.
    case.decide("routed[pool01.contoso.lan]", "skip");
    let behind = case.resume_behind();
    behind.says(&["sign-in-lab", ADDRESS, "User Replicator"]);
    weekend.set(&["lab", "set", "user-replicator", "1s"]);
    behind.ends(0);
    case.ends_well();
}
