//! A disk that is slow, full or broken under the real program: signals are answered whatever it does, nothing is said to
//! have failed that did not, and the exit code tells the disk's trouble from a damaged journal.
//!
//! The disk is `strace`, which delays system calls or lets them fail; so all of it needs `RELEVO_TESTS=all`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use std::path::Path;
use std::time::{Duration, Instant};

use cli_support::{Desk, Said, Working, all_tests, wait_for};
use nix::sys::signal::Signal;

const RELEVO: &str = env!("CARGO_BIN_EXE_relevo");
const ID: &str = "20261127-220000-0001";
const TWO: &str = "  - { id: one, uses: command, with: { shell: 'echo one >> \"$LEDGER\"' } }\n\
     \x20 - { id: two, needs: [one], uses: command, with: { shell: 'echo two >> \"$LEDGER\"' } }\n";
const GATE: &str = "  - { id: ok, gate: { ask: Really? } }\n\
     \x20 - { id: one, needs: [ok], uses: command, effect: ensure, with: { shell: 'echo one >> \"$LEDGER\"' } }\n";

/// The program under a `strace` that is nobody's parent: signals go to the program itself, and its exit code is its own.
fn faulty(desk: &Desk, fault: &str, paths: &[String], arguments: &[&str]) -> Working {
    let call = fault.split(':').next().unwrap();
    let (trace, inject, log) = (format!("trace={call}"), format!("inject={fault}"), desk.path("strace").display().to_string());
    let mut words = vec!["-D", "-f", "-q", "-o", &log, "-e", &trace, "-e", &inject];
    words.extend(paths.iter().flat_map(|path| ["-P", path]));
    words.push(RELEVO);
    words.extend(arguments);
    desk.start_program("strace", &words)
}

/// Whether the process is over. A thread that its tracer holds in a delayed call keeps it from being buried, as it does
/// after `kill -9`.
fn is_dead(run: &mut Working) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", run.pid())).unwrap_or_default();
    run.ended().is_some() || stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}

#[test]
fn f35_f83_with_a_disk_that_does_not_answer_a_signal_is_answered_at_once_and_the_third_ends_the_process() {
    if !all_tests("`strace`") {
        return;
    }
    // In the opening, and in the middle of the run.
    for first_slow in [1, 3] {
        let desk = Desk::with_steps(TWO);
        let fault = format!("fdatasync:delay_enter=10000000:when={first_slow}+");
        let mut run = faulty(&desk, &fault, &[], &["run", "plan.yaml"]);
        wait_for("the slow sync", || desk.read("strace").matches("fdatasync(").count() >= first_slow);
        let from = Instant::now();
        run.signal(Signal::SIGINT);
        run.wait_for_text("the journal's disk has not answered for");
        assert!(from.elapsed() < Duration::from_secs(3), "{:?}", from.elapsed());
        assert!(run.printed().contains("nothing more is started"), "{}", run.printed());
        assert!(!is_dead(&mut run));
        let from = Instant::now();
        run.signal(Signal::SIGINT);
        run.wait_for_text("interrupted again");
        assert!(!is_dead(&mut run));
        run.signal(Signal::SIGINT);
        wait_for("the end of the process", || is_dead(&mut run));
        assert!(from.elapsed() < Duration::from_secs(5), "{:?}", from.elapsed());
        let said = run.wait().exits(130);
        assert!(said.err.contains("interrupted: the journal's disk"), "on standard error: {}", said.err);
        // What it left is what a kill would have left.
        desk.relevo(&["verify"]).exits(0);
        desk.relevo(&["resume", "--yes"]);
        let ledger = desk.ledger();
        assert!(ledger.iter().filter(|line| *line == "one").count() <= 1, "{ledger:?}");
    }
}

#[test]
fn f35_a_slow_disk_is_told_and_no_step_is_said_to_have_failed() {
    if !all_tests("`strace`") {
        return;
    }
    let desk = Desk::with_steps(
        "  - { id: one, uses: command, timeout: 5s, with: { shell: 'echo one >> \"$LEDGER\"' } }\n\
         \x20 - { id: two, needs: [one], uses: command, with: { shell: 'while [ ! -e go ]; do sleep 0.02; done' } }\n",
    );
    // Longer than the step's own time limit: what it waits for is the disk, and not the step.
    let mut run = faulty(&desk, "fdatasync:delay_enter=7000000:when=2", &[], &["run", "plan.yaml"]);
    run.wait_for_text("the journal's disk answers again");
    desk.write("go", "");
    let said = run.wait().exits(0).keeps_silent_about("failed").keeps_silent_about("doubt");
    assert_eq!(said.err.matches("the journal's disk has not answered for 5s").count(), 1, "{}", said.all());
    assert_eq!(desk.ledger(), ["one"]);
}

/// What a verb is tried on: a run that waits at its gate, or no run at all.
struct Trial {
    verb: &'static [&'static str],
    usual: i32,
    begun: bool,
}

const TRIALS: &[Trial] = &[
    Trial { verb: &["resume", "--yes"], usual: 3, begun: true },
    Trial { verb: &["decide", "ok", "go"], usual: 0, begun: true },
    Trial { verb: &["pause", "--reason", "lunch"], usual: 0, begun: true },
    Trial { verb: &["status"], usual: 0, begun: true },
    Trial { verb: &["verify"], usual: 0, begun: true },
    Trial { verb: &["run", "plan.yaml", "--run-id", ID], usual: 3, begun: false },
];

/// Everything that belongs to the run, as `strace -P` wants it. Not the output of attempts.
fn own_files(runs: &Path) -> Vec<String> {
    let mut all = vec![runs.to_owned()];
    for dir in [runs.join(ID), runs.join(format!(".{ID}.new"))] {
        let files =
            ["journal", "head", "lock", "plan.yaml", "plan.resolved.json", "sources", "sources/index", "inbox", "evidence"];
        all.extend(files.iter().map(|name| dir.join(name)));
        all.push(dir);
    }
    all.into_iter().map(|path| path.display().to_string()).collect()
}

/// A verb with the n-th call of a kind failing. `None` if it makes no n-th one.
fn with_fault(desk: &Desk, trial: &Trial, call: &str, error: &str, n: u32) -> Option<Said> {
    let runs = desk.path("runs");
    let _ = std::fs::remove_dir_all(&runs);
    if trial.begun {
        let copied = desk.program("cp", &["-a", "before", "runs"]).status().unwrap();
        assert!(copied.success());
    }
    let said = faulty(desk, &format!("{call}:error={error}:when={n}"), &own_files(&runs), trial.verb).wait();
    // Its tracer may still be writing when the program is gone.
    wait_for("the end of the trace", || desk.read("strace").contains("+++ exited"));
    desk.read("strace").contains("(INJECTED)").then_some(said)
}

fn never_mistaken(error: &str, code: i32, calls: &[&str]) {
    if !all_tests("`strace`") {
        return;
    }
    let desk = Desk::with_steps(GATE);
    desk.relevo(&["run", "plan.yaml", "--run-id", ID]).exits(3);
    std::fs::rename(desk.path("runs"), desk.path("before")).unwrap();
    let mut wrong = Vec::new();
    let mut faults = 0;
    for trial in TRIALS {
        for call in calls {
            for n in 1..200 {
                let Some(said) = with_fault(&desk, trial, call, error, n) else { break };
                faults += 1;
                // What was wanted all the same may have been possible without it.
                if said.code != Some(code) && said.code != Some(trial.usual) {
                    wrong.push(format!("{:?}, {call} {n}: {:?}: {}", trial.verb, said.code, said.err));
                }
            }
        }
    }
    assert!(faults > 20, "only {faults} calls ever failed");
    assert!(wrong.is_empty(), "{error} means exit {code}:\n{}", wrong.join("\n"));
}

#[test]
fn f28_f33_a_disk_that_cannot_be_written_is_no_damage_and_no_failed_step() {
    never_mistaken("EIO", 74, &["fsync", "fdatasync", "write", "ftruncate", "rename", "mkdir", "flock"]);
}

#[test]
fn f28_f33_a_disk_that_cannot_be_read_is_no_damage_and_no_failed_step() {
    never_mistaken("EIO", 74, &["openat", "read", "lseek", "statx", "getdents64"]);
}

#[test]
fn f29_a_full_disk_has_a_code_of_its_own_at_every_write() {
    never_mistaken("ENOSPC", 75, &["fsync", "fdatasync", "write", "openat", "rename", "mkdir"]);
}
