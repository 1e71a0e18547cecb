//! Runs that an older version began are gone on with. The fixtures are run directories as released versions left them.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cli_support::Desk;

const RUN: &str = "20261130-220000-0001";

/// A desk with a copy of the run, with the modes and empty folders that a checkout does not keep.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("ledger", "stop\nmove\n");
    let folder = desk.path("runs");
    fs::create_dir(&folder).unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/journals/v1-waiting").join(RUN), &folder.join(RUN));
    for empty in ["evidence", "output", "inbox", "inbox/done", "inbox/rejected"] {
        fs::create_dir_all(folder.join(RUN).join(empty)).unwrap();
    }
    desk
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::write(&to, fs::read(entry.path()).unwrap()).unwrap();
            fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// What `--question` is followed by.
fn question(text: &str) -> String {
    let (_, rest) = text.split_once("--question ").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn f88_a_run_of_the_first_version_is_gone_on_with_and_says_so() {
    let desk = desk();
    desk.relevo(&["status", RUN]).exits(0).says("Are the counts equal?");
    let said = desk.relevo(&["resume", RUN, "--yes"]).exits(3).says("begun by an older version").says("asked anew");
    let said = said.says("or instead: no-go");
    let question = question(&said.all());
    desk.relevo(&["decide", RUN, "accept", "go", "--question", &question, "--reason", "equal"]).exits(0);
    desk.relevo(&["resume", RUN, "--yes"]).exits(0).keeps_silent_about("begun by an older version");
    assert_eq!(desk.ledger(), ["stop", "move", "start"], "what was done is not done again");
    desk.relevo(&["verify", RUN]).exits(0);
    assert!(desk.journal().contains("semantics_raised"));
}

#[test]
fn f88_a_vote_for_the_question_of_an_older_version_opens_nothing() {
    let desk = desk();
    desk.relevo(&["decide", RUN, "accept", "go", "--reason", "equal"]).exits(8).says("asked anew");
    desk.relevo(&["resume", RUN, "--yes"]).exits(3);
    assert_eq!(desk.ledger(), ["stop", "move"]);
}
