//! Killed at any moment of the weekend, and resumed.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::random::Random;
use crate::world::{Weekend, plan};

/// Kills in all.
const KILLS: usize = 200;
/// Kills of one weekend, at most.
const EACH: usize = 20;

#[test]
fn i14_i16_killed_two_hundred_times_over_its_duration_the_weekend_ends_as_if_nothing_had_been() {
    let mut random = Random::new();
    let weekend = Weekend::new();
    weekend.lab.relevo(&["lab", "snapshot", "fresh"]).exits(0);
    let begun = Instant::now();
    weekend.run(&[]).exits(0);
    let whole = u64::try_from(begun.elapsed().as_millis()).unwrap().max(500);
    let (mut kills, mut round, mut asked) = (0, 0, 0);
    while kills < KILLS {
        round += 1;
        weekend.lab.relevo(&["lab", "restore", "fresh"]).exits(0);
        let from = weekend.lab.audit().len();
        let folder = weekend.lab.folder.path().join(format!("killed-{round}"));
        let runs = folder.display().to_string();
        let mut arguments: Vec<String> =
            ["run", &plan("weekend"), "--lab=keep", "--go", "--runs", &runs].map(str::to_owned).to_vec();
        let mut own = 0;
        loop {
            // As long as the weekend has not ended, a kill may come anywhere in what is left of it.
            let longest = (own < EACH).then(|| Duration::from_millis(random.below(whole / 4)));
            match weekend.lab.killed_after(&arguments, longest) {
                Some(0) => break,
                // Killed after its last record: there is nothing to resume.
                Some(5) if own > 0 => break,
                // Killed between its intent and its first byte: nothing was imported, and a second import is for a person to allow.
                Some(4) if in_doubt(&weekend, &runs) == ["import"] => {
                    let answer = ["decide", "import", "retry", "--reason", "counted as before", "--runs", &runs];
                    weekend.lab.relevo(&answer).exits(0);
                    asked += 1;
                }
                Some(code) => {
                    let status = weekend.lab.relevo(&["status", "--runs", &runs]).out + &records(&folder);
                    panic!("{code} in round {round}, after {own} kills:\n{status}");
                }
                None => own += 1,
            }
            let is_there = std::fs::read_dir(&folder)
                .is_ok_and(|mut entries| entries.any(|entry| entry.unwrap().path().join("head").exists()));
            if is_there {
                arguments = ["resume", "--yes", "--go", "--runs", &runs].map(str::to_owned).to_vec();
            }
        }
        kills += own;
        println!("round {round}: {own} kills; {asked} times until now a person was asked");
        weekend.assert_monday();
        // Half an import may have been put back and made again; the numbers above tell that it counts once.
        assert_each_once_but_the_import(&weekend, from);
    }
}

/// The steps that wait for a person because nobody knows what became of them.
fn in_doubt(weekend: &Weekend, runs: &str) -> Vec<String> {
    let board: Value = serde_json::from_str(&weekend.lab.relevo(&["status", "--format", "json", "--runs", runs]).out).unwrap();
    let steps = board["steps"].as_array().unwrap().iter().filter(|step| step["state"] == "in_doubt");
    steps.map(|step| step["id"].as_str().unwrap().to_owned()).collect()
}

/// The journals under a folder, for whoever reads why it failed.
fn records(folder: &std::path::Path) -> String {
    let runs = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    runs.filter_map(|run| std::fs::read(run.path().join("journal")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

fn assert_each_once_but_the_import(weekend: &Weekend, from: usize) {
    let all = weekend.effects_since(from);
    let count = |operation: &str| weekend.count_since(from, operation);
    assert_eq!(count("delete"), 1, "{all:#?}");
    assert_eq!(count("New-CsPersistentChatEndpoint"), 1, "{all:#?}");
    assert_eq!(count("Backup-SqlDatabase"), 2, "{all:#?}");
    let (imports, restores) = (count("Import-CsPersistentChatData"), count("Restore-SqlDatabase"));
    assert!(imports >= 1 && imports <= 1 + restores, "{imports} imports and {restores} restores: {all:#?}");
    for operation in ["Stop-Service", "Set-Service"] {
        let mut names: Vec<&String> = all.iter().filter(|line| line.split(' ').nth(1) == Some(operation)).collect();
        let total = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), total, "{operation} twice: {all:#?}");
    }
}
