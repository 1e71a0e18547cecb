//! Orders by letter to a run at work, with an inbox that is not as it should be.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use std::os::unix::fs::PermissionsExt as _;

use cli_support::{Desk, Working};

/// A run that waits at a gate.
fn waiting() -> (Desk, Working) {
    let desk = Desk::with_steps(
        "  - { id: ok, gate: { ask: Really? } }\n  - { id: one, needs: [ok], uses: command, with: { shell: 'echo one >> \"$LEDGER\"' } \
         }\n",
    );
    let mut run = desk.start(&["run", "plan.yaml", "--wait"]);
    run.wait_for_text("Really?");
    (desk, run)
}

#[test]
fn f29_an_order_whose_answer_cannot_be_written_is_known_by_its_record_and_done_once() {
    let (desk, run) = waiting();
    let done = desk.run_dir().join("inbox/done");
    std::fs::remove_dir(&done).unwrap();
    std::fs::write(&done, "no folder").unwrap();
    let id = desk.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
    desk.relevo(&["note", &id, "all well"]).exits(0).says("recorded as");
    desk.relevo(&["decide", "ok", "go", "--reason", "counts agree"]).exits(0).says("recorded as");
    run.wait().exits(0);
    assert_eq!(desk.journal().matches("all well").count(), 1);
    assert_eq!(desk.ledger(), ["one"]);
}

#[test]
fn f42_an_abort_arrives_whatever_else_lies_in_the_inbox() {
    let (desk, run) = waiting();
    let inbox = desk.run_dir().join("inbox");
    std::fs::create_dir(inbox.join("0-folder")).unwrap();
    std::fs::write(inbox.join("0-file"), "x").unwrap();
    nix::unistd::mkfifo(&inbox.join("0-fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::remove_dir(inbox.join("rejected")).unwrap();
    std::os::unix::fs::symlink(desk.folder.path(), inbox.join("rejected")).unwrap();
    desk.relevo(&["abort", "--reason", "stop"]).exits(0).says("recorded as");
    assert_ne!(run.wait().code, Some(0));
    assert!(desk.ledger().is_empty());
    assert!(inbox.join("0-file").exists(), "a link is not followed, so it could not be moved");
}

#[test]
fn an_order_that_a_disk_error_hides_is_read_once_it_can_be() {
    if !cli_support::all_tests("failing system calls: needs strace") {
        return;
    }
    let desk = Desk::with_steps("  - { id: ok, gate: { ask: Really? } }\n");
    let id = format!("1795816800000-{:016x}", 7);
    let letter = desk.path(&format!("runs/one/inbox/{id}.json")).display().to_string();
    let program = env!("CARGO_BIN_EXE_relevo");
    let fault = ["-f", "-qq", "-o", "/dev/null", "-P", &letter, "-e", "inject=openat,open:error=EIO:when=1..3"];
    let run = [program, "run", "plan.yaml", "--run-id", "one", "--wait"];
    let mut run = desk.working(desk.program("strace", &[&fault[..], &run[..]].concat()));
    run.wait_for_text("Really?");
    let draft = desk.path("runs/one/inbox/.draft");
    std::fs::write(&draft, format!(r#"{{"id":"{id}","order":{{"abort":{{"reason":"stop now"}}}}}}"#)).unwrap();
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&draft, &letter).unwrap();
    assert_ne!(run.wait().code, Some(0));
    assert!(desk.journal().contains("stop now"));
    let log = desk.path("runs/one/log").join(cli_support::me());
    assert!(std::fs::read_to_string(log).unwrap().contains("which is tried again"));
}
