//! What somebody who uses the program for the first time meets: what is found before anything starts, what is offered
//! to be typed, and what is printed for a night without the program. By the program alone, in the lab.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod lab_support;

use std::process::{Command, Stdio};

use lab_support::{Lab, Said};

const SQL: &str = "host: sql01, instance: 'sql01.contoso.lan\\RTC'";

/// A plan of these steps, in a file of the lab's folder.
fn plan(lab: &Lab, name: &str, steps: &[String]) -> String {
    let steps: String = steps.iter().map(|step| format!("  - {step}\n")).collect();
    let targets = lab.dir().join("targets.yaml").display().to_string();
    let text = format!("relevo: 1\nname: First use\ntargets: {targets}\nsteps:\n{steps}");
    std::fs::write(lab.folder.path().join(name), text).unwrap();
    name.to_owned()
}

fn backup(id: &str, needs: &str, database: &str, file: &str) -> String {
    format!("{{ id: {id}, needs: [{needs}], uses: mssql.backup, with: {{ {SQL}, database: {database}, file: '{file}' }} }}")
}

fn restore(id: &str, needs: &str, database: &str, file: &str) -> String {
    let call = format!("uses: mssql.restore, with: {{ {SQL}, database: {database}, file: '{file}' }}");
    format!("{{ id: {id}, needs: [{needs}], timeout: 1m, {call} }}")
}

/// What is said to be typed next, without `relevo`.
fn next(said: &Said) -> Vec<String> {
    let line = said.out.lines().rev().find_map(|line| line.strip_prefix("next: relevo ")).unwrap().to_owned();
    // As the shell reads it.
    let script = format!("printf '%s\\n' {line}");
    let words = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(words.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn what_can_be_known_of_a_backup_file_is_known_before_the_start() {
    let lab = Lab::new();
    let file = "D:\\Backup\\chat.bak";
    let first = plan(&lab, "first.yaml", &[backup("save", "", "GroupChat", file)]);
    lab.relevo(&["run", &first]).exits(0);
    let wrong = [
        restore("other", "", "mgc", file),
        backup("again", "", "GroupChat", file),
        backup("folder", "", "GroupChat", "D:\\Backup"),
    ];
    let wrong = plan(&lab, "wrong.yaml", &wrong);
    for verb in [["check", "--connect"].as_slice(), &["rehearse"], &["run"]] {
        let arguments: Vec<&str> = verb.iter().copied().chain([wrong.as_str()]).collect();
        lab.relevo(&arguments)
            .exits(8)
            .says("holds a backup of `GroupChat`, not of `mgc`")
            .says("is there already")
            .says("`D:\\Backup` is a folder; name a file in it");
    }
    // Where a step before makes the file, nobody knows yet what will be in it.
    let steps = [backup("save", "", "mgc", "D:\\Backup\\mgc.bak"), restore("back", "save", "mgc", "D:\\Backup\\mgc.bak")];
    let made = plan(&lab, "made.yaml", &steps);
    lab.relevo(&["check", "--connect", &made]).exits(0).says("is not there; step `save` comes first");
    lab.relevo(&["rehearse", &made]).exits(0);
    lab.relevo(&["run", &made]).exits(0);
}

#[test]
fn f90_everything_that_is_missing_is_told_at_once_and_what_many_lack_is_told_once() {
    let lab = Lab::new();
    let targets = std::fs::read_to_string(lab.dir().join("targets.yaml")).unwrap();
    let without = targets.replace("{ file: svc-mig.password }", "{ env: NOBODY_SET_THIS }");
    assert_ne!(targets, without, "{targets}");
    // The passwords of all hosts but one are not there; the one has no such service.
    let at = without.find("  gc02:").unwrap();
    let gc02 = without[at..].replacen("{ env: NOBODY_SET_THIS }", "{ file: svc-mig.password }", 1);
    std::fs::write(lab.dir().join("mine.yaml"), format!("{}{gc02}", &without[..at])).unwrap();
    let stop = |host: &str, name: &str| {
        format!("{{ id: stop-{host}, uses: windows.service, with: {{ host: {host}, services: [{name}], state: stopped }} }}")
    };
    let file = plan(&lab, "plan.yaml", &[stop("gc01", "Spooler"), stop("pc01", "Spooler"), stop("gc02", "Nonsense")]);
    let mine = lab.dir().join("mine.yaml").display().to_string();
    for verb in ["run", "rehearse"] {
        let said =
            lab.relevo(&[verb, &file, "--targets", &mine]).exits(69).says("steps `stop-gc01`, `stop-pc01`: ").says("Nonsense");
        assert_eq!(said.err.matches("`NOBODY_SET_THIS` is not set").count(), 1, "{}", said.err);
    }
    let said = lab.relevo(&["check", "--connect", &file, "--targets", &mine]).exits(8).says("step stop-gc01, stop-pc01\n");
    let sets = said.out.matches("`NOBODY_SET_THIS` is not set").count();
    assert!(sets <= 4, "{sets} times: {}", said.out);
}

#[test]
fn what_was_rehearsed_is_what_is_offered_to_be_run() {
    let lab = Lab::new();
    let shipped = format!("{}/plans/windows-standstill/plan.yaml", env!("CARGO_MANIFEST_DIR"));
    let options = ["--lab=keep", "--param", "drill=true", "--param", "backup=D:\\Backup\\my own.bak", "--exclude", "gc02"];
    let runs = lab.folder.path().join("elsewhere").display().to_string();
    let all: Vec<&str> = ["rehearse", &shipped].into_iter().chain(options).chain(["--runs", &runs]).collect();
    let said = lab.relevo(&all).exits(0);
    let offered = next(&said);
    assert_eq!(offered[0], "run");
    for word in &all[1..] {
        assert!(offered.contains(&(*word).to_owned()), "{word} is missing: {offered:?}");
    }
    // Another process says the same of it, whichever way it is asked.
    for verb in ["status", "report"] {
        assert_eq!(next(&lab.relevo(&[verb, "--runs", &runs]).exits(0)), offered, "{verb}");
    }
    let typed: Vec<&str> = offered.iter().map(String::as_str).chain(["--go"]).collect();
    lab.relevo(&typed).exits(0);
    assert!(lab.dir().join("world/files/sql01/D/Backup/my own.bak").exists());
}

#[test]
fn in_doubt_the_answer_that_the_look_speaks_for_is_the_one_that_is_offered() {
    let lab = Lab::new();
    let file = "D:\\Backup\\mgc.bak";
    let gate = "{ id: sure, needs: [save], gate: { ask: 'Sure?' } }".to_owned();
    let steps = [backup("save", "", "mgc", file), gate, restore("back", "sure", "mgc", file)];
    let file = plan(&lab, "plan.yaml", &steps);
    lab.relevo(&["lab", "fault", "request-lost", "--operation", "Restore-SqlDatabase"]).exits(0);
    let said = lab.relevo(&["run", &file, "--go", "--run-id", "r1"]).exits(4);
    assert_eq!(next(&said), ["decide", "r1", "back", "retry", "--reason", "…"]);
    let status = lab.relevo(&["status"]).exits(0);
    assert_eq!(next(&status), next(&said));
    // Once, and whole.
    assert_eq!(status.out.matches("the probe says twice").count(), 1, "{}", status.out);
    let text = status.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("msdb knows no new restore of it"), "{}", status.out);
    let typed = next(&said);
    lab.relevo(&typed.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    lab.relevo(&["resume", "--yes"]).exits(0);
}

#[test]
fn a_conflict_offers_to_find_out_and_a_plan_that_was_wrong_may_be_mended() {
    let lab = Lab::new();
    let copy =
        |to: &str| format!("{{ id: copy, uses: windows.copy, with: {{ host: gc01, from: 'D:\\GroupChatFiles', to: '{to}' }} }}");
    // Files of other people come there once the run has begun.
    let gate = "{ id: sure, gate: { ask: 'Sure?' } }".to_owned();
    let file = plan(&lab, "plan.yaml", &[gate.clone(), copy("D:\\Taken").replace("uses", "needs: [sure], uses")]);
    lab.relevo(&["run", &file, "--run-id", "r1"]).exits(3);
    let files = lab.dir().join("world/files/gc01/D");
    copy_names(&files.join("GroupChatFiles"), &files.join("Taken"));
    lab.relevo(&["decide", "r1", "sure", "go"]).exits(0);
    let said = lab.relevo(&["resume", "r1", "--yes"]);
    assert_eq!(next(&said), ["explain", "r1", "copy"], "{}\n{}", said.out, said.err);
    plan(&lab, "plan.yaml", &[gate, copy("D:\\Free").replace("uses", "needs: [sure], uses")]);
    // The go was for another copy.
    lab.relevo(&["resume", "r1", "--yes", "--amend", &file]).exits(3);
    lab.relevo(&["decide", "r1", "sure", "go"]).exits(0);
    lab.relevo(&["resume", "r1", "--yes"]).exits(0);
    assert!(files.join("Free").is_dir());
}

/// Other content under the same names.
fn copy_names(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let there = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_names(&entry.path(), &there);
        } else {
            std::fs::write(there, "another one's").unwrap();
        }
    }
}

#[test]
fn a_whole_drive_has_room_or_not() {
    let lab = Lab::new();
    let room = |free: &str| format!("{{ id: room, uses: windows.file, with: {{ host: gc01, path: 'D:\\', min_free: {free} }} }}");
    let file = plan(&lab, "plan.yaml", &[room("1 GiB")]);
    lab.relevo(&["check", "--connect", &file]).exits(0);
    lab.relevo(&["run", &file]).exits(0);
    let file = plan(&lab, "plan.yaml", &[room("9999 TiB")]);
    assert_ne!(lab.relevo(&["run", &file]).says("have to be free").code, 0);
}

#[test]
fn by_hand_the_guards_stand_before_what_they_guard() {
    let lab = Lab::new();
    let shipped = format!("{}/plans/windows-standstill/plan.yaml", env!("CARGO_MANIFEST_DIR"));
    let lines = |plan: &str, step: &str| -> Vec<String> {
        let said = lab.relevo(&["explain", "--plan", plan, step, "--by-hand"]).exits(0);
        said.out.lines().skip_while(|line| !line.starts_with("by hand")).map(|line| line.trim().to_owned()).collect()
    };
    let at = |lines: &[String], part: &str| {
        lines.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {lines:#?}"))
    };
    let stop = lines(&shipped, "stop[gc01]");
    assert!(
        at(&stop, "Set-Service") < at(&stop, "DependentServices") && at(&stop, "DependentServices") < at(&stop, "Stop-Service")
    );
    let copy = lines(&shipped, "files");
    let line = &copy[at(&copy, "Copy-Item")];
    assert!(line.contains("elseif (Test-Path -LiteralPath $there) { Write-Warning"), "{line}");
    let save = lines(&shipped, "backup");
    let line = &save[at(&save, "Backup-SqlDatabase")];
    assert!(line.starts_with("if (") && line.contains("-not (Test-Path -LiteralPath 'D:\\Backup\\standstill.bak')"), "{line}");
}

#[test]
fn an_undo_is_told_as_what_it_is() {
    let lab = Lab::new();
    let copy = |id: &str, more: &str| {
        format!("{{ id: {id}, uses: windows.copy, with: {{ host: gc01, from: 'D:\\A', to: 'D:\\{id}'{more} }} }}")
    };
    let steps = [copy("keeps", ""), copy("replaces", ", overwrite: true"), backup("save", "", "mgc", "D:\\Backup\\a.bak")];
    let file = plan(&lab, "plan.yaml", &steps);
    let told = |step: &str| {
        let said = lab.relevo(&["explain", "--plan", &file, step]).exits(0).out;
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(told("keeps").contains("undo full: the files and folders that it brought are removed"), "{}", told("keeps"));
    assert!(told("replaces").contains("undo lossy: ") && told("replaces").contains("what `overwrite` replaced is lost"));
    assert!(told("save").contains("undo full: the database was not changed; the backup file stays"), "{}", told("save"));
}
