//! The README's promises: its commands exist, and its table of exit codes is the program's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::Path;
use std::process::Command;

use relevo::error::Exit;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// Every line of a shell block that begins with the program.
fn commands(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            inside = fence == "sh";
        } else if inside {
            let line = line.split('#').next().unwrap().split('&').next().unwrap().split('>').next().unwrap().trim();
            for prefix in ["relevo ", "target/release/relevo ", "cargo run --release -- "] {
                if let Some(rest) = line.strip_prefix(prefix) {
                    found.push(rest.trim().to_owned());
                }
            }
        }
    }
    found
}

#[test]
fn every_verb_that_the_readme_shows_exists() {
    let shown = commands(&readme());
    assert!(shown.len() >= 12, "{shown:?}");
    for command in shown {
        let mut words = command.split_whitespace();
        let verb = words.next().unwrap();
        // The lab's verbs have verbs of their own, and those too.
        let path: Vec<&str> =
            [verb].into_iter().chain(words.take_while(|word| verb == "lab" && !word.starts_with('-'))).collect();
        let help = Command::new(env!("CARGO_BIN_EXE_relevo")).args(path).arg("--help").output().unwrap();
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        assert!(help.status.success(), "`relevo {verb}` does not exist");
        for flag in command.split_whitespace().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap();
            assert!(text.contains(flag), "`relevo {verb}` has no {flag}");
        }
    }
}

#[test]
fn the_table_of_exit_codes_is_the_programs() {
    let text = readme();
    for exit in [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::WaitingForPerson,
        Exit::InDoubt,
        Exit::NothingToResume,
        Exit::WindowShut,
        Exit::RehearsalFailed,
        Exit::Refused,
        Exit::InvalidPlan,
        Exit::Damaged,
        Exit::Unreachable,
        Exit::Held,
        Exit::JournalFailed,
        Exit::NoSpace,
        Exit::Interrupted,
        Exit::Terminated,
    ] {
        let code = exit.code().to_string();
        let row =
            |line: &str| line.starts_with('|') && line.split('|').nth(1).unwrap().split(", ").any(|cell| cell.trim() == code);
        assert!(text.lines().any(row), "the README does not list exit code {code}");
    }
}

#[test]
fn every_page_that_the_readme_links_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = readme();
    for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(link.starts_with("http") || root.join(link).exists(), "{link} is not there");
    }
}

#[cfg(unix)]
#[test]
fn the_archive_moves_by_the_command_that_is_shown() {
    let work = tempfile::tempdir().unwrap();
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/archive-move/plan.yaml");
    let demo = work.path().join("demo");
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_relevo"))
            .current_dir(work.path())
            .args(["run", plan.to_str().unwrap(), "--go", "--param", "files=20"])
            .args(["--param", &format!("dir={}", demo.display())])
            .env("RELEVO_MACHINE", work.path().join("machine"))
            .output()
            .unwrap()
    };
    let first = run();
    let text = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(first.status.success(), "{text}{}", String::from_utf8_lossy(&first.stderr));
    assert!(text.contains("every step is satisfied"), "{text}");
    assert_eq!(std::fs::read_link(demo.join("current")).unwrap(), Path::new("new"));
    let moved = std::fs::read_dir(demo.join("current/north")).unwrap().count();
    assert_eq!(moved, 20);
    // The old folder is kept without write permission; give it back so that the temporary folder can go.
    let _ = Command::new("chmod").args(["-R", "u+w"]).arg(&demo).status();
}

/// The very first command, as it stands: a fresh world, unattended, to the end.
#[cfg(unix)]
#[test]
fn the_first_command_runs_the_weekend_to_its_end() {
    let first = commands(&readme()).into_iter().next().unwrap();
    assert_eq!(first, "run plans/lync-2013/weekend.yaml --lab --go");
    let work = tempfile::tempdir().unwrap();
    let relevo = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_relevo"))
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .env("RELEVO_LAB", work.path().join("lab"))
            .env("RELEVO_RUNS", work.path().join("runs"))
            .env("RELEVO_MACHINE", work.path().join("machine"))
            .args(arguments)
            .output()
            .unwrap()
    };
    let said = relevo(&first.split(' ').collect::<Vec<_>>());
    let down = relevo(&["lab", "down"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("every step is satisfied"), "{text}");
    assert!(down.status.success());
}
