//! Which run a verb means, and how runs are found: by the real program.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use std::path::Path;
use std::process::Command;

use cli_support::{Desk, Said};

/// Two plans whose gates wait, and one that is done.
fn desk() -> Desk {
    let desk = Desk::new();
    for (name, ask) in [("one", "Move the rooms?\n      They are many."), ("two", "Stop the pool?")] {
        let gate = format!("  - id: ok\n    gate:\n      ask: |\n        {}\n", ask.replace("\n      ", "\n        "));
        desk.write(&format!("{name}.yaml"), &format!("relevo: 1\nname: Plan {name}\nsteps:\n{gate}"));
    }
    desk.write("done.yaml", "relevo: 1\nname: Plan done\nsteps:\n  - { id: a, uses: noop }\n");
    desk
}

fn waiting(desk: &Desk, name: &str) {
    desk.relevo(&["run", &format!("{name}.yaml"), "--run-id", name]).exits(3);
}

fn done(desk: &Desk) {
    desk.relevo(&["run", "done.yaml", "--run-id", "done"]).exits(0);
}

#[test]
fn with_one_unfinished_run_a_verb_means_that_one_although_a_newer_one_is_done() {
    let desk = desk();
    waiting(&desk, "one");
    done(&desk);
    desk.relevo(&["status"]).exits(0).says("run one").says("Move the rooms?");
    desk.relevo(&["pause", "--reason", "dinner"]).exits(0);
    desk.relevo(&["continue"]).exits(0);
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(0).says("one");
    // None is unfinished any more: the newest is meant, and says so.
    desk.relevo(&["resume", "--yes"]).exits(5).says("done is done");
    desk.relevo(&["status"]).exits(0).says("run done");
}

#[test]
fn with_several_unfinished_runs_a_verb_that_changes_something_lists_them_and_takes_none() {
    let desk = desk();
    waiting(&desk, "one");
    waiting(&desk, "two");
    done(&desk);
    for arguments in [
        &["decide", "ok", "go", "--reason", "we are ready"][..],
        &["pause"],
        &["continue"],
        &["abort", "--reason", "we are ready"],
        &["resume", "--yes"],
    ] {
        let said = desk.relevo(arguments).exits(2);
        let (verb, rest) = arguments.split_first().unwrap();
        let rest: String =
            rest.iter().map(|word| if word.contains(' ') { format!(" \"{word}\"") } else { format!(" {word}") }).collect();
        let said = said
            .says("2 runs are unfinished")
            .says("Plan one")
            .says("Plan two")
            .says("Move the rooms?")
            .says("nothing was changed");
        said.says(&format!("`relevo {verb} one{rest}`"))
            .says(&format!("`relevo {verb} two{rest}`"))
            .keeps_silent_about("Plan done");
    }
    let of = |run: &str| std::fs::read_to_string(desk.path("runs").join(run).join("journal")).unwrap();
    assert!(!of("one").contains("vote_cast") && !of("two").contains("vote_cast"));
    // Reading is harmless: the newest that is unfinished, and a word of the other one.
    desk.relevo(&["status"]).exits(0).says("run two").says("one is unfinished, too");
    // What is listed to be typed works.
    desk.relevo(&["decide", "one", "ok", "go", "--reason", "we are ready"]).exits(0);
    desk.relevo(&["resume", "one", "--yes"]).exits(0);
    desk.relevo(&["decide", "ok", "go", "--reason", "now it is clear"]).exits(0);
    assert!(of("two").contains("vote_cast"));
}

#[test]
fn at_a_terminal_the_run_is_chosen_by_its_number() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("left out: needs `script` of util-linux");
        return;
    }
    let desk = desk();
    waiting(&desk, "one");
    waiting(&desk, "two");
    let answer = |typed: &str| -> Said {
        let line = format!("printf '{typed}\\n' | script -qec \"$RELEVO pause --reason dinner\" /dev/null");
        let mut shell = desk.program("sh", &["-c", &line]);
        shell.env("RELEVO", env!("CARGO_BIN_EXE_relevo"));
        desk.working(shell).wait()
    };
    answer("7").says("which one?").says("no run was named");
    answer("1").says("  1  one").says("  2  two").says("recorded as");
    let of = |run: &str| std::fs::read_to_string(desk.path("runs").join(run).join("journal")).unwrap();
    assert!(of("one").contains("run_paused") && !of("two").contains("run_paused"));
}

#[test]
fn the_list_shows_plan_state_age_and_what_is_asked() {
    let desk = desk();
    waiting(&desk, "one");
    done(&desk);
    desk.relevo(&["rehearse", "done.yaml", "--run-id", "trial"]).exits(0);
    let said = desk.relevo(&["status", "--list"]).exits(0);
    let line = |id: &str| said.out.lines().find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("{}", said.out)).to_owned();
    for (id, words) in [
        ("one", &["run", "Plan one", "waiting for a person"][..]),
        ("done", &["run", "Plan done", "done"]),
        ("trial", &["rehearsal", "Plan done"]),
    ] {
        for word in words {
            assert!(line(id).contains(word), "{}", said.out);
        }
        assert!(line(id).contains("ago") || line(id).contains("now"), "{}", said.out);
    }
    let said = said.says("Move the rooms?").keeps_silent_about("They are many");
    let rows = desk.relevo(&["status", "--list", "--format", "json"]).exits(0).json();
    assert_eq!(
        (&rows[0]["run"], &rows[0]["plan"], &rows[0]["asks"][0]["step"]),
        (&"one".into(), &"Plan one".into(), &"ok".into()),
        "{}",
        said.out
    );
}

/// A command of the desk, typed in another folder, where nothing says where runs are kept.
fn elsewhere(desk: &Desk, folder: &Path, arguments: &[&str]) -> Said {
    let mut command = desk.command(arguments);
    command.env_remove("RELEVO_RUNS").current_dir(folder);
    desk.working(command).wait()
}

#[test]
fn runs_are_found_from_any_folder_of_the_machine() {
    let desk = desk();
    waiting(&desk, "one");
    let other = tempfile::tempdir().unwrap();
    let place = desk.path("runs").display().to_string();
    elsewhere(&desk, other.path(), &["status"]).exits(0).says("run one").says(&format!("--runs {place}"));
    elsewhere(&desk, other.path(), &["status", "--list"]).exits(0).says("Plan one").says(&place);
    elsewhere(&desk, other.path(), &["status", "one", "--line"]).exits(0).says("Plan one");
    elsewhere(&desk, other.path(), &["decide", "ok", "go"]).exits(0);
    elsewhere(&desk, other.path(), &["resume", "--yes"]).exits(0);
    // A folder of runs that is here comes first, and one that is named is the only one.
    std::fs::create_dir(other.path().join("runs")).unwrap();
    elsewhere(&desk, other.path(), &["status"]).exits(5).says("no runs");
    elsewhere(&desk, other.path(), &["status", "one"]).exits(0).says("run one");
    elsewhere(&desk, other.path(), &["status", "one", "--runs", "none"]).exits(5);
    // Of a folder that is gone nothing is said.
    std::fs::remove_dir(other.path().join("runs")).unwrap();
    std::fs::remove_dir_all(desk.path("runs")).unwrap();
    elsewhere(&desk, other.path(), &["status"]).exits(5);
}

#[test]
fn what_another_account_put_into_the_list_of_folders_is_not_believed() {
    let desk = desk();
    waiting(&desk, "one");
    let folder = desk.path("runs/one");
    // Everybody could have written there.
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let other = tempfile::tempdir().unwrap();
    elsewhere(&desk, other.path(), &["status"]).exits(5);
    elsewhere(&desk, other.path(), &["status", "one"]).exits(5);
}
