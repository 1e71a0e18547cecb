//! Ctrl-C, termination, a dropped connection, a closed pipe: nothing is lost and everything is said.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use std::time::{Duration, Instant};

use cli_support::{Desk, processes};
use nix::sys::signal::Signal;

/// In flight until the file `go` is there; a second step that must wait.
const STEPS: &str = "  - { id: first, uses: command, effect: once, \
     with: { shell: 'echo first >> \"$LEDGER\"; while [ ! -e go ]; do sleep 0.02; done; echo ended >> ends' }, \
     probe: { uses: command, with: { shell: 'grep -qx first \"$LEDGER\"' } } }\n\
     \x20 - { id: second, needs: [first], uses: command, with: { shell: 'echo second >> \"$LEDGER\"' } }\n";

#[test]
fn f83_the_first_interrupt_says_within_a_second_what_is_in_flight_and_lets_it_finish() {
    let desk = Desk::with_steps(STEPS);
    let mut run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("first");
    let from = Instant::now();
    run.signal(Signal::SIGINT);
    run.wait_for_text("interrupted");
    // A busy machine may be slow to run either of us; the promise itself is a second.
    assert!(from.elapsed() < Duration::from_secs(3), "{:?}", from.elapsed());
    assert!(run.printed().contains("waiting for first"), "{}", run.printed());
    assert!(run.ended().is_none(), "it waits for what is in flight");
    desk.write("go", "");
    run.wait().exits(130).says("relevo resume");
    assert_eq!(desk.ledger(), ["first"], "nothing more was started");
    assert_eq!(desk.state_of("first"), "done");
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["first", "second"]);
}

#[test]
fn f83_a_termination_signal_drains_too_and_has_its_own_code() {
    let desk = Desk::with_steps(STEPS);
    let mut run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("first");
    run.signal(Signal::SIGTERM);
    run.wait_for_text("waiting for first");
    desk.write("go", "");
    run.wait().exits(143);
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["first", "second"]);
}

#[test]
fn f83_the_second_interrupt_abandons_and_resume_finds_the_child_again() {
    let desk = Desk::with_steps(STEPS);
    let mut run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("first");
    run.signal(Signal::SIGINT);
    run.wait_for_text("waiting for first");
    run.signal(Signal::SIGINT);
    run.wait().exits(130).says("first may still act").says("relevo resume");
    assert!(!desk.living().is_empty(), "the child goes on");
    desk.relevo(&["status"]).exits(0).says("abandoned");
    // The resume sees the child and waits for it.
    let mut resume = desk.start(&["resume", "--yes"]);
    resume.wait_for_text("first");
    desk.wait_for_record("\"running\":true");
    assert!(resume.ended().is_none());
    assert_eq!(desk.read("ends"), "");
    desk.write("go", "");
    resume.wait().exits(0);
    assert_eq!(desk.ledger(), ["first", "second"]);
    assert_eq!(desk.read("ends"), "ended\n");
}

#[test]
fn f83_the_third_interrupt_ends_the_process_at_once_as_kill_9_would() {
    let desk = Desk::with_steps(STEPS);
    let mut run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("first");
    // Signals that arrive together count once; so they are sent until it is gone.
    while run.ended().is_none() {
        run.signal(Signal::SIGINT);
        std::thread::park_timeout(Duration::from_millis(1));
    }
    assert_eq!(run.wait().code, Some(130));
    desk.relevo(&["verify"]).exits(0);
    desk.write("go", "");
    desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(desk.ledger(), ["first", "second"]);
}

#[test]
fn f84_a_hangup_does_not_stop_the_run() {
    let desk = Desk::with_steps(STEPS);
    let run = desk.start(&["run", "plan.yaml"]);
    desk.wait_for_line("first");
    run.signal(Signal::SIGHUP);
    run.signal(Signal::SIGPIPE);
    desk.write("go", "");
    run.wait().exits(0);
    assert_eq!(desk.ledger(), ["first", "second"]);
}

#[test]
fn f84_a_reader_that_goes_away_does_not_stop_the_run() {
    let desk = Desk::with_steps(STEPS);
    let script = "{ \"$RELEVO\" run plan.yaml 2>&1; echo $? > code; } | head -n 1";
    for format in ["", " --format json"] {
        let desk = if format.is_empty() { &desk } else { &Desk::with_steps(STEPS) };
        let mut shell = desk.program("sh", &["-c", &script.replace("plan.yaml", &format!("plan.yaml{format}"))]);
        shell.env("RELEVO", env!("CARGO_BIN_EXE_relevo"));
        let shell = desk.working(shell);
        desk.wait_for_line("first");
        desk.write("go", "");
        shell.wait().exits(0);
        assert_eq!(desk.read("code"), "0\n");
        assert_eq!(desk.ledger(), ["first", "second"]);
    }
}

#[test]
fn f83_an_interrupt_to_the_whole_group_does_not_reach_the_programs_of_the_steps() {
    // A terminal sends Ctrl-C to everything in the foreground.
    let desk = Desk::with_steps(STEPS);
    let mut command = desk.command(&["run", "plan.yaml"]);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut run = desk.working(command);
    desk.wait_for_line("first");
    processes::send(nix::unistd::Pid::from_raw(-run.pid().as_raw()), Signal::SIGINT);
    run.wait_for_text("waiting for first");
    desk.write("go", "");
    run.wait().exits(130);
    assert_eq!(desk.read("ends"), "ended\n", "the step's program lived on to its end");
    assert_eq!(desk.state_of("first"), "done");
}

#[test]
fn f83_a_stop_while_waiting_at_a_gate_is_at_once() {
    let desk = Desk::with_steps("  - { id: ok, gate: { ask: Really? } }\n");
    let mut run = desk.start(&["run", "plan.yaml", "--wait"]);
    run.wait_for_text("Really?");
    run.signal(Signal::SIGINT);
    run.wait().exits(130).says("nothing is in flight");
    desk.relevo(&["decide", "ok", "go"]).exits(0);
    desk.relevo(&["resume", "--yes"]).exits(0);
}
