//! The actions that carry chat data, by the program itself and through the connector, against PowerShell remoting as others
//! wrote it: a Front End's restricted endpoint, its files, and a SQL host, with the cmdlets of
//! `tests/remoting/chat_cmdlets.py`. The ZIPs are real ones, written by Python.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

mod cli_support;
#[path = "support/python.rs"]
mod python;

use std::path::PathBuf;
use std::sync::Arc;

use cli_support::{Desk, Said, wait_for};
use python::{Judge, PASSWORD, Setup, USER};
use relevo::connector::{Connectors, Options};
use relevo::plan::{StepId, Targets};
use relevo::run::connector::{BeforeImage, Call, Connector};
use relevo::run::event::{Identity, Outcome};
use relevo::time::Span;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const BACKUP: &str = "D:\\Backup\\mgc.bak";

/// Three rooms in two categories, five people, one of them of another company, and forty messages.
fn chat() -> Value {
    let room = |id: &str, name: &str, category: &str| json!({ "id": id, "name": name, "category": category });
    let user = |id: u32| json!({ "id": id, "upn": format!("user{id}@contoso.com") });
    json!({
        "source": {
            "rooms": [room("r1", "News", "c1"), room("r2", "Help & more", "c2"),
                      { "id": "r3", "name": "Old", "category": "c1", "disabled": true }],
            "categories": [{ "id": "c1", "name": "Sales" }, { "id": "c2", "name": "Spain", "parent": "c1" }],
            "users": [user(1), user(2), user(3), user(4), { "id": 5 }],
            "messages": 40,
        },
        "target": { "rooms": ["Welcome"], "categories": ["Start"], "messages": 2 },
        "backup": { "rooms": ["Welcome"], "categories": ["Start"], "messages": 2 },
        "fate": {},
    })
}

fn lync() -> Value {
    let stopped = || json!({ "RTCCHAT": { "status": "Stopped" }, "RTCCOMPL": { "status": "Stopped" } });
    json!({
        "sip_domains": ["contoso.com"], "contacts": [], "users": [], "policies": {}, "trusted": [], "trusted_pools": [],
        "topology": "<Topology/>",
        "pools": [{ "fqdn": "pcpool.contoso.com", "next_hop": "fepool.contoso.com", "version": 6, "state": "Normal",
                    "servers": ["pc01.contoso.com", "pc02.contoso.com"] }],
        "computers": { "pc01.contoso.com": stopped(), "pc02.contoso.com": stopped() },
    })
}

fn sql() -> Value {
    let set = json!({
        "backup_set_id": 3, "backup_set_uuid": "0e8a2b52-0000-4000-8000-000000000003", "media_set_id": 3, "position": 1,
        "name": "relevo", "description": "relevo run r0 step save", "database_name": "mgc", "is_copy_only": true,
        "is_damaged": false, "backup_size": "3072", "first_lsn": "22000000012300037", "last_lsn": null,
        "backup_start_date": "2026-11-28T01:00:00", "backup_finish_date": "2026-11-28T01:00:09", "family_sequence_number": 1,
        "physical_device_name": BACKUP,
    });
    json!({
        "sets": [set], "restores": [], "under_way": [], "connected": [], "files": { BACKUP: 4096 }, "rights": {}, "counts": {},
        "disk": 1 << 30, "databases": { "master": "ONLINE", "mgc": "ONLINE" },
        "commands": ["Invoke-Sqlcmd", "Backup-SqlDatabase", "Restore-SqlDatabase", "Get-CsService", "Get-CsWindowsService",
                     "Export-CsPersistentChatData", "Import-CsPersistentChatData", "Get-CsPersistentChatRoom",
                     "Get-CsPersistentChatCategory"],
    })
}

/// A judge that plays the Front End and the SQL host, and a desk with a plan for them.
struct Stage {
    judge: Judge,
    desk: Desk,
}

impl Stage {
    fn new(change: impl FnOnce(&mut Value), steps: &str) -> Option<Self> {
        let arguments = ["--cmdlets", "sql_cmdlets", "--cmdlets", "chat_cmdlets"].map(str::to_owned).to_vec();
        let judge = Judge::start(Setup { tls: false, arguments })?;
        std::fs::create_dir(judge.folder().join("disk")).unwrap();
        let mut desk = Desk::with_steps(steps);
        desk.env.push(("JUDGE_PASSWORD".to_owned(), PASSWORD.to_owned()));
        let auth = format!("auth: {{ negotiate: {{ user: '{USER}', password: {{ env: JUDGE_PASSWORD }} }} }}");
        let (restricted, plain) = (judge.url("/OcsPowerShell"), judge.url("/wsman"));
        desk.write(
            "targets.yaml",
            &format!(
                "relevo_targets: 1\nhosts:\n  lync: {{ url: \"{restricted}\", settle: {{ poll: 50ms }}, {auth} }}\n  \
                 fe01: {{ url: \"{plain}\", {auth} }}\n  sql01: {{ url: \"{plain}\", {auth} }}\n"
            ),
        );
        let stage = Stage { judge, desk };
        stage.set("lync.json", &lync());
        stage.set("sql.json", &sql());
        let mut world = chat();
        change(&mut world);
        stage.set("chat.json", &world);
        Some(stage)
    }

    fn set(&self, name: &str, value: &Value) {
        let new = self.judge.folder().join("by-the-test");
        std::fs::write(&new, value.to_string()).unwrap();
        std::fs::rename(&new, self.judge.folder().join(name)).unwrap();
    }

    fn state(&self, name: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.judge.folder().join(name)).unwrap()).unwrap()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut now = self.state(name);
        change(&mut now);
        self.set(name, &now);
    }

    fn run(&self) -> Said {
        self.desk.relevo(&["run", "plan.yaml"])
    }

    fn effects(&self) -> Vec<String> {
        self.judge.effects().iter().map(|effect| effect["operation"].as_str().unwrap().to_owned()).collect()
    }

    fn began(&self, cmdlet: &str) -> usize {
        let requests = self.judge.requests();
        requests.iter().filter(|request| request["action"] == "Pipeline" && request["name"] == cmdlet).count()
    }

    fn disk(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.judge.folder().join("disk")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn put(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.judge.folder().join("disk").join(name), bytes).unwrap();
        relevo::plan::hex(&Sha256::digest(bytes))
    }

    /// What is kept in the run's folder, by the ends of the names.
    fn kept(&self, ending: &str) -> Vec<PathBuf> {
        let dirs = self.desk.run_dirs().into_iter().filter_map(|dir| std::fs::read_dir(dir.join("output")).ok());
        let paths = dirs.flatten().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.judge.assert_no_violations();
        }
    }
}

const EXPORT: &str = "  - { id: export, uses: lync.chat.export, retry: { attempts: 2, interval: 50ms }, with: { host: lync, file_host: fe01, \
                      db_instance: 'sql01.contoso.com\\RTC', database: GroupChat, file: 'D:\\Migration\\chat.zip' } }\n";

const FILES: [&str; 2] = ["chat.zip", "chat.zip.html"];

fn inspect(more: &str) -> String {
    format!(
        "  - {{ id: inspect, needs: [export], uses: lync.chat.inspect, with: {{ file_host: fe01, file: \"${{{{ steps.export.outputs.file }}}}\", \
         sha256: \"${{{{ steps.export.outputs.sha256 }}}}\"{more} }} }}\n"
    )
}

const WHATIF: &str = "  - { id: whatif, needs: [inspect], uses: lync.chat.import_whatif, with: { host: lync, file_host: fe01, \
                      db_instance: 'sql13.contoso.com\\RTC', file: \"${{ steps.export.outputs.file }}\", \
                      sha256: \"${{ steps.export.outputs.sha256 }}\", report: 'D:\\Migration\\whatif.html' } }\n";

fn import(more: &str) -> String {
    format!(
        "  - {{ id: import, needs: [whatif], uses: lync.chat.import, retry: {{ attempts: 1 }}, with: {{ host: lync, file_host: fe01, \
         db_instance: 'sql13.contoso.com\\RTC', file: \"${{{{ steps.export.outputs.file }}}}\", \
         sha256: \"${{{{ steps.export.outputs.sha256 }}}}\", report: 'D:\\Migration\\import.html', sql_host: sql01, \
         instance: 'sql13.contoso.com\\RTC', backup: '{BACKUP}', rooms: \"${{{{ steps.inspect.outputs.rooms }}}}\", \
         messages: \"${{{{ steps.inspect.outputs.messages }}}}\"{more} }} }}\n"
    )
}

fn whole(more: &str) -> String {
    EXPORT.to_owned() + &inspect(", host: lync, pool: pcpool.contoso.com") + WHATIF + &import(more)
}

#[test]
fn an_export_gets_its_name_at_the_end_and_tells_hash_size_and_warnings() {
    let Some(stage) = Stage::new(|world| world["fate"]["Export-CsPersistentChatData"] = json!("warn"), EXPORT) else { return };
    stage.run().exits(0);
    assert_eq!(stage.effects(), ["Export-CsPersistentChatData", "Rename-Item"]);
    assert_eq!(stage.disk(), FILES);
    let part = stage.judge.effects()[0]["file"].as_str().unwrap().to_owned();
    assert!(part.starts_with("D:\\Migration\\chat.part-") && part.strip_suffix(".zip").is_some(), "{part}");
    let bytes = std::fs::read(stage.judge.folder().join("disk/chat.zip")).unwrap();
    let journal = stage.desk.journal();
    let told = json!({ "file": "D:\\Migration\\chat.zip", "sha256": relevo::plan::hex(&Sha256::digest(&bytes)), "size": bytes.len(), "warnings": 3 });
    assert!(journal.contains(&told.to_string()), "{told}: {journal}");
    assert_eq!((stage.kept("said.txt").len(), stage.kept("report.html").len()), (1, 1));
}

#[test]
fn a_file_of_that_name_keeps_a_run_from_starting_and_is_not_touched() {
    let Some(stage) = Stage::new(|_| {}, EXPORT) else { return };
    stage.put("CHAT.zip", b"somebody else's");
    let said = stage.run().says("this run did not make it").says("UTC");
    assert_ne!(said.code, Some(0));
    assert!(stage.effects().is_empty() && stage.disk() == ["CHAT.zip"]);
}

#[test]
fn an_export_that_complains_or_makes_no_file_is_not_taken_and_done_again() {
    for fate in ["error", "error-after", "half", "nothing"] {
        let Some(stage) = Stage::new(|world| world["fate"]["Export-CsPersistentChatData"] = json!(fate), EXPORT) else { return };
        stage.run().exits(0);
        assert_eq!(stage.began("Export-CsPersistentChatData"), 2, "{fate}");
        assert_eq!(stage.effects().iter().filter(|name| *name == "Rename-Item").count(), 1, "{fate}");
        // What the first attempt left has a name that nobody takes for an export, and is told.
        let left = stage.disk().iter().filter(|name| name.starts_with("chat.part-")).count();
        assert_eq!(left, usize::from(matches!(fate, "error-after" | "half")), "{fate}: {:?}", stage.disk());
        if left > 0 {
            assert!(stage.desk.journal().contains("left over beside it"), "{}", stage.desk.journal());
        }
    }
}

#[test]
fn an_export_whose_answer_was_lost_is_looked_for_wherever_it_was_lost() {
    for (cmdlet, fate, exports) in
        [("Export-CsPersistentChatData", "hang-after", 2), ("Rename-Item", "hang-before", 2), ("Rename-Item", "hang-after", 1)]
    {
        let Some(mut stage) = Stage::new(|world| world["fate"][cmdlet] = json!(fate), EXPORT) else { return };
        let mut run = stage.desk.start(&["run", "plan.yaml"]);
        wait_for("the pipeline", || stage.state("chat.json")["fate"].as_object().unwrap().is_empty() && stage.began(cmdlet) == 1);
        if fate == "hang-after" {
            let effect = cmdlet.to_owned();
            wait_for("the effect", || stage.effects().contains(&effect));
        }
        run.kill();
        if (cmdlet, fate) == ("Rename-Item", "hang-after") {
            // The host went down, too. Otherwise the shells of the attempt are ended, on both of its hosts.
            stage.judge.restart();
        }
        stage.desk.relevo(&["resume", "--yes"]).exits(0);
        assert_eq!(stage.began("Export-CsPersistentChatData"), exports, "{cmdlet} {fate}");
        assert_eq!(stage.effects().iter().filter(|name| *name == "Rename-Item").count(), 1, "{cmdlet} {fate}");
        assert!(stage.disk().contains(&"chat.zip".to_owned()), "{:?}", stage.disk());
    }
}

#[test]
fn an_error_after_the_name_was_given_is_looked_at_and_not_repeated() {
    let Some(stage) = Stage::new(|world| world["fate"]["Rename-Item"] = json!("error-after"), EXPORT) else { return };
    stage.run().exits(0);
    assert_eq!(stage.effects(), ["Export-CsPersistentChatData", "Rename-Item"]);
}

#[test]
fn what_is_in_an_export_is_told_and_people_and_messages_are_not() {
    let steps = EXPORT.to_owned() + &inspect(", host: lync, pool: pcpool.contoso.com");
    let Some(stage) = Stage::new(|_| {}, &steps) else { return };
    stage.run().exits(0);
    let journal = stage.desk.journal();
    for told in [
        "\"rooms\":3",
        "\"disabled_rooms\":1",
        "\"categories\":2",
        "\"messages\":40",
        "\"people\":5",
        "\"federated\":1",
        "\"conflicts\":0",
    ] {
        assert!(journal.contains(told), "{told}: {journal}");
    }
    let summary = std::fs::read_to_string(&stage.kept("inspect.json")[0]).unwrap();
    assert!(summary.contains("Sales - Spain - Help & more"), "{summary}");
    assert!(!summary.contains("user1") && !summary.contains("goodbye"), "{summary}");
}

#[test]
fn what_no_document_promises_is_not_known_where_it_is_not_there() {
    let steps = EXPORT.to_owned() + &inspect("");
    let Some(stage) = Stage::new(|world| world["source"]["whole"] = json!(false), &steps) else { return };
    stage.run().exits(0);
    let journal = stage.desk.journal();
    for told in ["\"categories\":null", "\"messages\":null", "\"conflicts\":null", "\"rooms\":3"] {
        assert!(journal.contains(told), "{told}: {journal}");
    }
}

#[test]
fn names_that_are_too_long_conflict_or_are_missing_fail_as_far_as_the_step_says() {
    let steps = |more: &str| EXPORT.to_owned() + &inspect(&format!(", host: lync, pool: pcpool.contoso.com{more}"));
    let fails = |change: fn(&mut Value), why: &str, word: &str| {
        let Some(stage) = Stage::new(change, &steps("")) else { return };
        stage.run().exits(3).says(why);
        let others: Vec<&str> =
            ["missing", "empty", "too_long", "duplicates", "conflicts"].into_iter().filter(|one| *one != word).collect();
        std::fs::remove_file(stage.judge.folder().join("disk/chat.zip")).unwrap();
        stage.desk.steps(&steps(&format!(", fail_on: [{}]", others.join(", "))));
        stage.desk.forget_runs();
        stage.run().exits(0);
    };
    fails(|world| world["source"]["rooms"][1]["name"] = json!("x".repeat(250)), "longer than 256", "too_long");
    fails(|world| world["target"]["rooms"] = json!(["NEWS"]), "would be overwritten", "conflicts");
    fails(|world| world["source"]["rooms"][2]["name"] = json!("news"), "the name of another one", "duplicates");
    fails(|world| world["source"]["rooms"] = json!([]), "it holds no rooms", "empty");
}

#[test]
fn what_is_no_export_is_told_and_never_read_to_its_end() {
    let only = "  - { id: look, uses: lync.chat.inspect, with: { file_host: fe01, file: 'D:\\Migration\\chat.zip' } }\n";
    let Some(stage) = Stage::new(|_| {}, only) else { return };
    stage.run().exits(3).says("is not there");
    stage.put("chat.zip", b"not a zip at all");
    stage.desk.forget_runs();
    stage.run().exits(3).says("it is no ZIP");
    stage.put("chat.zip", &bomb());
    stage.desk.forget_runs();
    stage.run().exits(3).says("made to burst");
    let hash = stage.put("chat.zip", b"other");
    stage.desk.steps(&only.replace("chat.zip'", &format!("chat.zip', sha256: '{}'", "0".repeat(64))));
    stage.desk.forget_runs();
    stage.run().exits(3).says(&hash).says("it is another file");
}

#[test]
fn a_larger_export_is_read_where_relevo_reaches_it_itself() {
    let Some(stage) = Stage::new(|_| {}, EXPORT) else { return };
    stage.run().exits(0);
    let path = stage.judge.folder().join("disk/chat.zip");
    let step = |local: &std::path::Path| {
        format!(
            "  - {{ id: look, uses: lync.chat.inspect, with: {{ file_host: fe01, file: 'D:\\Migration\\chat.zip', local: '{}' }} }}\n",
            local.display()
        )
    };
    stage.desk.steps(&step(&path));
    stage.run().exits(0);
    assert_eq!(stage.judge.requests().iter().filter(|one| one["name"] == "Get-Content").count(), 1, "only the export's report");
    stage.desk.write("other.zip", "x");
    stage.desk.steps(&step(&stage.desk.path("other.zip")));
    stage.run().exits(3).says("they are not the same file");
}

/// The export and 33 MiB more, which nothing packs.
fn large(export: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut writer = zip::ZipWriter::new_append(std::io::Cursor::new(export.to_vec())).unwrap();
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer.start_file("Attachments.bin", stored).unwrap();
    for _ in 0..33 {
        writer.write_all(&vec![7; 1 << 20]).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn an_export_too_large_for_the_session_waits_for_a_copy_and_is_looked_into() {
    let Some(stage) = Stage::new(|_| {}, EXPORT) else { return };
    stage.run().exits(0);
    let export = std::fs::read(stage.judge.folder().join("disk/chat.zip")).unwrap();
    let large = large(&export);
    stage.put("chat.zip", &large);
    stage.desk.steps("  - { id: look, uses: lync.chat.inspect, with: { file_host: fe01, file: 'D:\\Migration\\chat.zip' } }\n");
    let said = stage.run();
    let path = said.exits(3).all().split('`').find(|word| word.ends_with("look.copy.zip")).unwrap().to_owned();
    // What is copied must be the same file.
    std::fs::write(&path, &export).unwrap();
    stage.desk.relevo(&["decide", "look", "retry", "--reason", "copied"]).exits(0);
    stage.desk.relevo(&["resume", "--yes"]).exits(3).says("they are not the same file");
    std::fs::write(&path, &large).unwrap();
    stage.desk.relevo(&["decide", "look", "retry", "--reason", "copied again"]).exits(0);
    stage.desk.relevo(&["resume", "--yes"]).exits(0);
}

/// 60 MiB of nothing in a few kilobytes.
fn bomb() -> Vec<u8> {
    use std::io::Write as _;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("ChatRooms.xml", zip::write::SimpleFileOptions::default()).unwrap();
    for _ in 0..60 {
        writer.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_weekends_data_moves_and_the_counts_prove_it() {
    let Some(stage) = Stage::new(|world| world["fate"]["Import-CsPersistentChatData-WhatIf"] = json!("warn"), &whole("")) else {
        return;
    };
    stage.run().exits(0);
    let operations = ["Export-CsPersistentChatData", "Rename-Item", "Import-CsPersistentChatData"];
    assert_eq!(stage.effects(), operations);
    assert_eq!(stage.state("chat.json")["target"]["messages"], 42);
    let journal = stage.desk.journal();
    assert!(journal.contains(&json!({ "warnings": 0, "rooms": 3, "messages": 40 }).to_string()), "{journal}");
    assert!(journal.contains("\"warnings\":3") && journal.contains("\"errors\":0"), "{journal}");
    stage
        .desk
        .relevo(&["explain", "import", "--by-hand"])
        .exits(0)
        .says("Import-CsPersistentChatData")
        .says("Restore-SqlDatabase")
        .says("must be");
}

#[test]
fn a_rehearsal_of_the_import_that_complains_fails_and_its_report_is_kept() {
    let Some(stage) = Stage::new(|world| world["fate"]["Import-CsPersistentChatData-WhatIf"] = json!("error-after"), &whole(""))
    else {
        return;
    };
    stage.run().exits(3).says("would not go through");
    assert_eq!(stage.effects(), ["Export-CsPersistentChatData", "Rename-Item"]);
    assert_eq!(stage.kept("whatif-1.report.html").len(), 1);
}

#[test]
fn a_report_from_before_is_not_taken_for_the_rehearsals_own() {
    let Some(stage) = Stage::new(|world| world["fate"]["Import-CsPersistentChatData-WhatIf"] = json!("no-report"), &whole(""))
    else {
        return;
    };
    stage.put("whatif.html", b"<p>no errors</p>");
    stage.run().exits(3).says("was not written");
    assert!(stage.kept("whatif-1.report.html").is_empty());
}

#[test]
fn nothing_is_imported_while_a_service_of_the_pool_runs_or_the_file_is_another_one() {
    let Some(stage) = Stage::new(|_| {}, &whole("")) else { return };
    stage.change("lync.json", |world| world["computers"]["pc02.contoso.com"]["RTCCHAT"]["status"] = json!("Running"));
    stage.run().exits(3).says("RTCCHAT on `pc02.contoso.com` is Running");
    assert_eq!(stage.began("Import-CsPersistentChatData"), 1, "the rehearsal alone");
    stage.change("lync.json", |world| world["computers"]["pc02.contoso.com"]["RTCCHAT"]["status"] = json!("Stopped"));
    stage.put("chat.zip", b"changed meanwhile");
    stage.desk.relevo(&["decide", "import", "retry", "--reason", "stopped"]).exits(0);
    stage.desk.relevo(&["resume", "--yes"]).exits(3).says("it is not the export that was looked into");
    assert_eq!(stage.began("Import-CsPersistentChatData"), 1);
}

#[test]
fn an_import_that_ended_with_an_error_is_not_done_by_its_counts_and_a_person_decides() {
    let Some(stage) = Stage::new(|world| world["fate"]["Import-CsPersistentChatData"] = json!("error-after"), &whole("")) else {
        return;
    };
    stage.run().exits(4).says("everything was counted, and yet the import was not seen to end without an error");
    assert_eq!(stage.state("chat.json")["target"]["messages"], 42);
    assert_eq!(stage.kept("import-1.said.txt").len(), 1);
    // Who has read what it said may find that nothing is missing.
    stage.desk.relevo(&["decide", "import", "done", "--reason", "a member who left the company"]).exits(0);
    stage.desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(stage.effects().iter().filter(|name| *name == "Import-CsPersistentChatData").count(), 1);
}

#[test]
fn an_import_into_a_database_that_changed_since_its_backup_does_not_begin() {
    let Some(stage) = Stage::new(|_| {}, &whole(", rooms_before: 1, messages_before: 1")) else { return };
    stage.run().exits(3).says("back it up again");
    assert_eq!(stage.began("Import-CsPersistentChatData"), 1, "the rehearsal alone");
}

#[test]
fn an_import_whose_counts_would_be_of_another_instance_does_not_begin() {
    let Some(stage) = Stage::new(|_| {}, &whole("").replace(", instance: 'sql13", ", instance: 'sql14")) else { return };
    stage.run().exits(3).says("nobody can tell that what is imported into is what is counted");
    assert_eq!(stage.began("Import-CsPersistentChatData"), 1, "the rehearsal alone");
}

#[test]
fn a_pool_that_shows_no_server_is_not_taken_for_one_whose_services_stand_still() {
    let Some(stage) = Stage::new(|_| {}, &whole("")) else { return };
    stage.change("lync.json", |world| world["pools"][0]["servers"] = json!([]));
    stage.run().exits(3).says("the topology shows no server of `pcpool.contoso.com`");
    assert_eq!(stage.began("Import-CsPersistentChatData"), 1, "the rehearsal alone");
}

#[test]
fn half_an_import_goes_to_a_person_with_the_command_that_puts_the_database_back() {
    let Some(stage) = Stage::new(|world| world["fate"]["Import-CsPersistentChatData"] = json!("half"), &whole("")) else {
        return;
    };
    stage.run().exits(4).says("neither as before nor as expected").says("Restore-SqlDatabase -ServerInstance");
    // Told to try again as it is, it imports nothing on top.
    stage.desk.relevo(&["decide", "import", "retry", "--reason", "try"]).exits(0);
    stage.desk.relevo(&["resume", "--yes"]).says("Restore-SqlDatabase");
    assert_eq!(stage.effects().iter().filter(|name| *name == "Import-CsPersistentChatData").count(), 1);
    // Restored by a person, it does.
    stage.change("chat.json", |world| world["target"] = world["backup"].clone());
    stage.desk.relevo(&["decide", "import", "retry", "--reason", "restored"]).exits(0);
    stage.desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(stage.state("chat.json")["target"]["messages"], 42);
}

#[test]
fn after_a_kill_in_the_middle_a_step_that_may_restore_puts_the_database_back_first() {
    let Some(stage) =
        Stage::new(|world| world["fate"]["Import-CsPersistentChatData"] = json!("hang-half"), &whole(", on_partial: restore"))
    else {
        return;
    };
    let mut run = stage.desk.start(&["run", "plan.yaml"]);
    wait_for("half an import", || stage.effects().contains(&"Import-CsPersistentChatData".to_owned()));
    run.kill();
    stage.desk.relevo(&["resume", "--yes"]).exits(4).says("first restores the database");
    stage.desk.relevo(&["decide", "import", "retry", "--reason", "restore it"]).exits(0);
    stage.desk.relevo(&["resume", "--yes"]).exits(0);
    let expected = [
        "Export-CsPersistentChatData",
        "Rename-Item",
        "Import-CsPersistentChatData",
        "Restore-SqlDatabase",
        "Import-CsPersistentChatData",
    ];
    assert_eq!(stage.effects(), expected);
    assert_eq!(stage.state("chat.json")["target"]["messages"], 42);
    let database = stage.state("sql.json");
    assert_eq!(database["restores"].as_array().unwrap().len(), 1, "{database}");
}

#[test]
fn an_import_that_was_killed_before_it_did_anything_is_not_done_and_a_person_is_asked() {
    let Some(stage) = Stage::new(|world| world["fate"]["Import-CsPersistentChatData"] = json!("hang-before"), &whole("")) else {
        return;
    };
    let mut run = stage.desk.start(&["run", "plan.yaml"]);
    wait_for("the import", || stage.began("Import-CsPersistentChatData") == 2);
    run.kill();
    stage.desk.relevo(&["resume", "--yes"]).exits(4).says("as before");
    stage.desk.relevo(&["decide", "import", "retry", "--reason", "nothing happened"]).exits(0);
    stage.desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(stage.state("chat.json")["target"]["messages"], 42);
}

#[test]
fn a_backup_of_another_database_keeps_the_import_from_beginning() {
    let Some(stage) = Stage::new(|_| {}, &whole("")) else { return };
    stage.change("sql.json", |world| world["sets"][0]["database_name"] = json!("rtc"));
    stage.run().exits(3).says("holds a backup of `rtc`");
    assert_eq!(stage.began("Import-CsPersistentChatData"), 1, "the rehearsal alone");
}

#[test]
fn a_rehearsal_assumes_what_it_cannot_look_at_and_writes_nothing() {
    let Some(stage) = Stage::new(|_| {}, &whole("")) else { return };
    stage.desk.relevo(&["rehearse", "plan.yaml"]).exits(0).says("assumed");
    assert!(stage.effects().is_empty() && stage.disk().is_empty(), "{:?}", stage.disk());
}

#[test]
fn a_rehearsal_runs_no_cmdlet_that_writes_a_report_even_if_the_export_is_there() {
    let Some(stage) = Stage::new(|_| {}, EXPORT) else { return };
    stage.run().exits(0);
    let hash = relevo::plan::hex(&Sha256::digest(std::fs::read(stage.judge.folder().join("disk/chat.zip")).unwrap()));
    let there = WHATIF
        .replace(", needs: [inspect]", "")
        .replace("\"${{ steps.export.outputs.file }}\"", "'D:\\Migration\\chat.zip'")
        .replace("\"${{ steps.export.outputs.sha256 }}\"", &format!("'{hash}'"));
    stage.desk.steps(&there);
    stage.desk.relevo(&["rehearse", "plan.yaml"]).exits(0).says("only parsed");
    assert_eq!((stage.began("Import-CsPersistentChatData"), stage.disk()), (0, FILES.map(str::to_owned).to_vec()));
    stage.run().exits(0);
    assert_eq!(stage.began("Import-CsPersistentChatData"), 1);
}

#[test]
fn a_rehearsal_that_may_export_looks_at_a_scratch_file_and_removes_it() {
    let Some(stage) = Stage::new(|_| {}, &whole("")) else { return };
    stage.desk.relevo(&["rehearse", "plan.yaml", "--with-export"]).exits(0).says(".rehearsal-").says("removed the scratch file");
    let effects = stage.effects();
    assert!(!effects.contains(&"Import-CsPersistentChatData".to_owned()), "{effects:?}");
    assert_eq!(stage.began("Import-CsPersistentChatData"), 1, "with -WhatIf");
    assert!(stage.disk().is_empty(), "{:?}", stage.disk());
    assert!(stage.desk.journal().contains("\"rooms\":3"), "{}", stage.desk.journal());
    assert_eq!(stage.state("chat.json")["target"]["messages"], 2);
    // What it finds, it finds before the weekend.
    stage.change("chat.json", |world| world["target"]["rooms"] = json!(["news"]));
    stage.desk.relevo(&["rehearse", "plan.yaml", "--with-export"]).exits(7).says("would be overwritten");
    assert!(stage.disk().is_empty(), "{:?}", stage.disk());
}

/// A call through the connector, for what no verb asks for yet.
fn call(
    stage: &Stage,
    uses: &str,
    with: &Value,
    dir: PathBuf,
    image: Option<BeforeImage>,
) -> (tokio::runtime::Runtime, Arc<dyn Connector>, Call) {
    let password = stage.judge.folder().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let auth = json!({ "negotiate": { "user": USER, "password": { "$secret": { "file": password } } } });
    let host = |path: &str| json!({ "url": stage.judge.url(path), "auth": auth });
    let value = json!({ "hosts": { "lync": host("/OcsPowerShell"), "fe01": host("/wsman"), "sql01": host("/wsman") } });
    let names = ["lync", "fe01", "sql01"].map(|name| (name.to_owned(), "hosts".to_owned())).into();
    let targets = Targets { value: value.as_object().unwrap().clone(), names, ..Targets::default() };
    let connectors = Connectors::standard(Options::default());
    let effect = connectors.catalogue().get(uses).unwrap().effect;
    let call = Call {
        run: Arc::from("r1"),
        step: StepId::new("s"),
        attempt: 1,
        uses: uses.to_owned(),
        with: with.as_object().unwrap().clone(),
        outputs: Arc::from([]),
        identity: Identity::new(),
        folder: Arc::from(stage.judge.folder()),
        scratch: dir,
        targets: Arc::new(targets),
        excluded: Arc::from([]),
        before_image: image,
        handle: None,
        timeout: Some(Span::from_secs(60)),
        effect,
        probed: true,
        assumed: false,
        until: None,
        sent: relevo::run::connector::Sent::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    (runtime, connectors.for_action(uses).unwrap(), call)
}

#[test]
fn the_undo_of_an_export_removes_that_file_and_no_other() {
    let Some(stage) = Stage::new(|_| {}, EXPORT) else { return };
    stage.run().exits(0);
    let output = stage.desk.run_dirs()[0].join("output");
    let with = json!({ "host": "lync", "file_host": "fe01", "db_instance": "sql01.contoso.com\\RTC", "file": "D:\\Migration\\chat.zip" });
    let (runtime, connector, call) = call(&stage, "lync.chat.export", &with, output.join("export-1"), None);
    let right = std::fs::read(stage.judge.folder().join("disk/chat.zip")).unwrap();
    stage.put("chat.zip", b"another file of the same name");
    let outcome = runtime.block_on(connector.undo(&call, None));
    assert!(matches!(&outcome, Outcome::Rejected { reason, .. } if reason.contains("none that this step made")), "{outcome:?}");
    stage.put("chat.zip", &right);
    stage.put("chat.part-x.zip", b"left");
    assert!(matches!(runtime.block_on(connector.undo(&call, None)), Outcome::Applied { .. }));
    assert_eq!(stage.disk(), ["chat.part-x.zip", "chat.zip.html"]);
    assert!(matches!(runtime.block_on(connector.undo(&call, None)), Outcome::Applied { .. }), "twice is once");
}

#[test]
fn the_undo_of_an_import_restores_the_backup_from_before_and_only_that() {
    let Some(stage) = Stage::new(|_| {}, &whole("")) else { return };
    stage.run().exits(0);
    let evidence: Vec<PathBuf> =
        std::fs::read_dir(stage.desk.run_dirs()[0].join("evidence")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let image =
        evidence.iter().find(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("relevo_chat_import"))).unwrap();
    let image = std::fs::read(image).unwrap();
    let with = json!({
        "host": "lync", "file_host": "fe01", "db_instance": "sql13.contoso.com\\RTC", "file": "D:\\Migration\\chat.zip", "sha256": "0".repeat(64),
        "report": "D:\\Migration\\import.html", "sql_host": "sql01", "instance": "sql13.contoso.com\\RTC", "backup": BACKUP, "rooms": 3,
        "messages": 40,
    });
    let (runtime, connector, call) = call(&stage, "lync.chat.import", &with, stage.judge.folder().join("import-1"), None);
    stage.change("sql.json", |world| world["sets"][0]["backup_set_uuid"] = json!("0e8a2b52-0000-4000-8000-00000000ffff"));
    let outcome = runtime.block_on(connector.undo(&call, Some(&image)));
    assert!(matches!(&outcome, Outcome::Rejected { reason, .. } if reason.contains("held the backup")), "{outcome:?}");
    stage.change("sql.json", |world| world["sets"][0]["backup_set_uuid"] = json!("0e8a2b52-0000-4000-8000-000000000003"));
    let outcome = runtime.block_on(connector.undo(&call, Some(&image)));
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    assert_eq!(stage.state("chat.json")["target"]["messages"], 2);
    assert!(matches!(runtime.block_on(connector.undo(&call, Some(&image))), Outcome::Applied { .. }));
    assert_eq!(stage.effects().iter().filter(|name| *name == "Restore-SqlDatabase").count(), 1);
}
