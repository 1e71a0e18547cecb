//! The actions on Windows hosts against the lab's, by the program alone: the shipped plan, the ways in which it breaks, and
//! what was done in the end, as the hosts' own audit tells it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod lab_support;
#[path = "support/random.rs"]
mod random;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab_support::{Lab, Said};
use random::Random;
use serde_json::Value;

fn plan() -> String {
    format!("{}/plans/windows-standstill/plan.yaml", env!("CARGO_MANIFEST_DIR"))
}

fn runs(lab: &Lab) -> PathBuf {
    lab.folder.path().join("runs")
}

/// Runs the shipped plan on the world as it is, with the way back unless `drill` is `false`.
fn run(lab: &Lab, drill: bool) -> Said {
    let (plan, runs, drill) = (plan(), runs(lab).display().to_string(), format!("drill={drill}"));
    lab.relevo(&["run", &plan, "--lab=keep", "--go", "--runs", &runs, "--param", &drill])
}

/// What changed something on the hosts: `host cmdlet name`.
fn effects(lab: &Lab) -> Vec<String> {
    let lines = lab.audit().into_iter().filter(|line| line["wrote"] == true && line["dc"] != "dc1" && line["dc"] != "dc2");
    let words = |line: Value| {
        let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", word("dc"), word("operation"), word("name"))
    };
    lines.map(words).collect()
}

fn journal(lab: &Lab) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(runs(lab)).unwrap().flatten() {
        all += &std::fs::read_to_string(entry.path().join("journal")).unwrap_or_default();
    }
    all
}

/// The state of a host's services, by the name that people see.
fn services(lab: &Lab, host: &str) -> Vec<(String, String, String)> {
    let path = lab.dir().join("world/machines").join(format!("{host}.json"));
    let machine: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let word = |service: &Value, key: &str| service[key].as_str().unwrap().to_owned();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    // One that was on its way arrives by itself: the file is written by whoever changes something.
    let state = |service: &Value| match (word(service, "state").as_str(), service["due"].as_u64()) {
        ("StartPending", Some(due)) if u128::from(due) <= now => "Running".to_owned(),
        ("StopPending", Some(due)) if u128::from(due) <= now => "Stopped".to_owned(),
        (state, _) => state.to_owned(),
    };
    let all = machine["services"].as_array().unwrap().iter();
    all.filter(|service| service["display_name"].as_str().unwrap().contains("Group Chat"))
        .map(|service| {
            let delayed = if service["start"] == "Automatic" && service["delayed"] == true { ", delayed" } else { "" };
            (word(service, "display_name"), state(service), word(service, "start") + delayed)
        })
        .collect()
}

/// Every file below a folder by its path in it, with its bytes.
fn tree(folder: &std::path::Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).unwrap().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(folder).unwrap().to_owned(), std::fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// That everything stands still, and is secured.
fn assert_secured(lab: &Lab) {
    for host in ["gc01", "gc02"] {
        let services = services(lab, host);
        assert!(!services.is_empty());
        assert!(services.iter().all(|(_, state, start)| state == "Stopped" && start == "Disabled"), "{host}: {services:?}");
    }
    let files = lab.dir().join("world/files");
    let (source, copy) = (tree(&files.join("gc01/D/GroupChatFiles")), tree(&files.join("fs01/D/LyncShare/GroupChatFiles")));
    assert!(source.len() > 100, "{}", source.len());
    assert!(source == copy, "{} files, {} copied", source.len(), copy.len());
    assert!(files.join("sql01/D/Backup/standstill.bak").exists());
}

/// That every service was changed once, and one backup was made.
fn assert_each_once(lab: &Lab) {
    let all = effects(lab);
    let mut stops: Vec<&String> =
        all.iter().filter(|line| line.contains("Stop-Service") || line.contains("Set-Service")).collect();
    let count = stops.len();
    stops.sort();
    stops.dedup();
    assert_eq!(stops.len(), count, "a service was changed twice: {all:#?}");
    assert_eq!(all.iter().filter(|line| line.contains("Backup-SqlDatabase")).count(), 1, "{all:#?}");
}

#[test]
fn the_shipped_plan_stops_secures_and_goes_back() {
    let lab = Lab::new();
    let before = [services(&lab, "gc01"), services(&lab, "gc02")];
    assert!(before[0].iter().any(|(_, _, start)| start.ends_with("delayed")), "{before:?}");
    run(&lab, true).exits(0);
    let back = [services(&lab, "gc01"), services(&lab, "gc02")];
    assert_eq!(before, back, "everything runs as it did");
    assert_each_once_but_back(&lab);
    let said = lab.relevo(&["verify", "--runs", &runs(&lab).display().to_string()]).exits(0);
    assert!(said.out.contains("whole") || !said.out.is_empty(), "{}", said.out);
}

fn assert_each_once_but_back(lab: &Lab) {
    let all = effects(lab);
    let count = |what: &str| all.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count("Stop-Service"), count("Start-Service"), "{all:#?}");
    assert_eq!(count("Backup-SqlDatabase"), 1, "{all:#?}");
}

#[test]
fn i11_a_rehearsal_of_the_shipped_plan_changes_nothing_and_knows_what_it_would_do() {
    let lab = Lab::new();
    let (plan, runs) = (plan(), runs(&lab).display().to_string());
    lab.relevo(&["rehearse", &plan, "--lab=keep", "--runs", &runs]).exits(0).says("stopped, disabled");
    assert_eq!(effects(&lab), Vec::<String>::new());
}

#[test]
fn a_second_run_finds_everything_done() {
    let lab = Lab::new();
    run(&lab, false).exits(0);
    assert_secured(&lab);
    let done = effects(&lab);
    // The backup's file is there, so the same run does not even start; one with another file has nothing else to do.
    run(&lab, false).exits(8).says("is there already");
    let (plan, runs) = (plan(), runs(&lab).display().to_string());
    let other = "backup=D:\\Backup\\second.bak";
    lab.relevo(&["run", &plan, "--lab=keep", "--go", "--runs", &runs, "--param", other]).exits(0).says("was there already");
    let again: Vec<String> = effects(&lab).into_iter().skip(done.len()).filter(|line| !line.contains("Backup")).collect();
    assert_eq!(again, Vec::<String>::new());
}

#[test]
fn f69_answers_that_are_lost_are_made_good_by_a_look() {
    for (fault, cmdlet) in [
        ("answer-lost", "Stop-Service"),
        ("request-lost", "Stop-Service"),
        ("answer-cut", "Set-Service"),
        ("answer-garbled", "Backup-SqlDatabase"),
        ("answer-lost", "Copy-Item"),
    ] {
        let lab = Lab::new();
        lab.relevo(&["lab", "fault", fault, "--operation", cmdlet]).exits(0);
        let said = run(&lab, false);
        assert_eq!(said.code, 0, "{fault} {cmdlet}: {}\n{}", said.out, said.err);
        assert_secured(&lab);
        assert_each_once(&lab);
        assert!(journal(&lab).contains("\"unknown\""), "{fault} {cmdlet}");
    }
}

#[test]
fn f90_a_host_that_is_down_keeps_the_run_from_starting() {
    let lab = Lab::new();
    lab.relevo(&["lab", "fault", "stop-host", "gc02"]).exits(0);
    run(&lab, false).exits(69).says("gc02");
    assert_eq!(effects(&lab), Vec::<String>::new());
    lab.relevo(&["lab", "fault", "start-host", "gc02"]).exits(0);
    run(&lab, false).exits(0);
    assert_secured(&lab);
}

#[test]
fn f12_i14_killed_at_any_moment_and_resumed_everything_is_done_once() {
    let mut random = Random::new();
    let lab = Lab::new();
    lab.relevo(&["lab", "snapshot", "fresh"]).exits(0);
    let begun = Instant::now();
    run(&lab, false).exits(0);
    let whole = u64::try_from(begun.elapsed().as_millis()).unwrap().max(200);
    for round in 0..12 {
        lab.relevo(&["lab", "restore", "fresh"]).exits(0);
        let before = lab.audit().len();
        let folder = lab.folder.path().join(format!("killed-{round}"));
        let runs = folder.display().to_string();
        let plan = plan();
        let mut first =
            vec!["run".to_owned(), plan, "--lab=keep".to_owned(), "--go".to_owned(), "--runs".to_owned(), runs.clone()];
        let mut kills = 0;
        loop {
            let longest = Duration::from_millis(random.below(whole));
            let code = lab.killed_after(&first, (kills < 6).then_some(longest));
            let Some(code) = code else {
                kills += 1;
                let begun = std::fs::read_dir(&folder)
                    .is_ok_and(|mut entries| entries.any(|entry| entry.unwrap().path().join("head").exists()));
                if begun {
                    first = ["resume", "--yes", "--go", "--runs", &runs].map(str::to_owned).to_vec();
                }
                continue;
            };
            // Killed after its last record, there is nothing to resume.
            assert!(code == 0 || (kills > 0 && code == 5), "{code} in round {round}, after {kills} kills; {first:?}");
            break;
        }
        assert_secured(&lab);
        let all: Vec<Value> = lab.audit().into_iter().skip(before).filter(|line| line["wrote"] == true).collect();
        for cmdlet in ["Stop-Service", "Set-Service", "Backup-SqlDatabase"] {
            let mut names: Vec<String> = all
                .iter()
                .filter(|line| line["operation"] == cmdlet)
                .map(|line| format!("{} {}", line["dc"], line["name"]))
                .collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!((names.len(), count > 0), (count, true), "round {round}: {cmdlet} twice: {all:#?}");
        }
    }
}
