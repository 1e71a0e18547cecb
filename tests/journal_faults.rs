//! A disk that fails under a writing process. The writer is this test program itself, started again as a child.
//!
//! With `RELEVO_TESTS=all` the failures are injected into system calls, which needs `strace`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use relevo::journal::{FileJournal, NewRun, RunDir, Sharing, ignore_file_size_signal, open_for_writing};
use relevo::run::event::{Choices, Event, Holder, Mode, Person, SEMANTICS};
use relevo::run::journal::{Journal as _, JournalError};
use relevo::time::Timestamp;

const ID: &str = "20261127-220000-0001";
const ROOT: &str = "RELEVO_TEST_JOURNAL_ROOT";
const LIMIT: &str = "RELEVO_TEST_FILE_LIMIT";

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_816_800_000)
}

fn ann() -> Person {
    Person { name: "ann".into(), claimed: false }
}

fn create(root: &Path) -> FileJournal {
    let first = [Event::RunStarted {
        run: ID.into(),
        mode: Mode::Execute,
        semantics: SEMANTICS,
        version: "0.1.0".into(),
        plan: "00".into(),
        whole: String::new(),
        fingerprints: BTreeMap::new(),
        choices: Choices::default(),
        by: ann(),
    }];
    let me = Holder::current();
    let new = NewRun { id: ID, sources: &[], resolved: "{}", holder: &me, what: "test", at: now(), first: &first };
    RunDir::create(root, &new, &Sharing::default()).unwrap().journal
}

/// Appends and syncs ten records in batches of two, and says on standard output what became of it.
#[test]
fn a_child_writes_until_it_cannot() {
    // As a test of its own it has nothing to do: the tests below start it with a place to write to.
    let Some(root) = std::env::var_os(ROOT) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    ignore_file_size_signal().unwrap();
    let mut journal = create(Path::new(&root));
    if let Some(limit) = std::env::var(LIMIT).ok().and_then(|limit| limit.parse().ok()) {
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_FSIZE, limit, limit).unwrap();
    }
    for _ in 0..5 {
        let mut batch = || -> Result<u64, JournalError> {
            journal.append(now(), None, &Event::Noted { by: ann(), text: "a".repeat(300) })?;
            let last = journal.append(now(), None, &Event::Noted { by: ann(), text: "b".repeat(300) })?;
            journal.sync()?;
            Ok(last.seq)
        };
        match batch() {
            Ok(seq) => println!("durable {seq}"),
            Err(JournalError::NoSpace(_)) => println!("no-space"),
            Err(JournalError::Failed(_)) => println!("failed"),
            Err(JournalError::Disturbed(_)) => println!("disturbed"),
        }
    }
}

/// What the child said, line by line.
fn said(output: &Output) -> Vec<String> {
    let known = ["durable ", "no-space", "failed", "disturbed"];
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        // The harness's own words may stand before on the same line.
        .filter_map(|line| known.iter().find_map(|word| line.find(word).map(|at| line[at..].to_owned())))
        .filter(|line| !line.starts_with("failed;"))
        .collect()
}

fn child(command: &mut Command, root: &Path) -> Output {
    command.args(["--exact", "a_child_writes_until_it_cannot", "--nocapture"]).env(ROOT, root).output().unwrap()
}

/// Opens what the child left. Returns the last record, and whether a torn tail was cut.
fn recovered(root: &Path) -> (u64, bool) {
    let dir = RunDir::open(root, ID, false).unwrap();
    let lock = dir.lock(&Holder::current(), "test", now()).unwrap();
    let opened = open_for_writing(dir.path(), lock, None, &mut drop).unwrap();
    (opened.last_seq, opened.torn.is_some())
}

#[test]
fn f31_f32_a_limit_on_the_file_size_ends_the_journal_at_its_last_durable_record() {
    let root = tempfile::tempdir().unwrap();
    let output = child(Command::new(std::env::current_exe().unwrap()).env(LIMIT, "3000"), root.path());
    assert_eq!(output.status.code(), Some(0), "the signal must not end the process");
    assert_eq!(said(&output), ["durable 4", "durable 6", "no-space", "no-space", "no-space"]);
    assert_eq!(recovered(root.path()), (6, false));
}

/// Runs the child with a fault; `None` unless all tests were asked for.
fn with_fault(fault: &str, root: &Path) -> Option<Output> {
    if std::env::var("RELEVO_TESTS").as_deref() != Ok("all") {
        return None;
    }
    assert!(Command::new("strace").arg("-V").output().is_ok(), "RELEVO_TESTS=all needs `strace`");
    let mut strace = Command::new("strace");
    let call = fault.split(':').next().unwrap();
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &format!("inject={fault}")]);
    if call == "write" {
        strace.arg("-P").arg(root.join(ID).join("journal"));
    }
    Some(child(strace.arg(std::env::current_exe().unwrap()), root))
}

#[test]
fn f28_a_failed_sync_is_never_retried_and_nothing_is_written_after_it() {
    for at in 1..=5 {
        let root = tempfile::tempdir().unwrap();
        // Once: a second sync would succeed, and must not be tried.
        let Some(output) = with_fault(&format!("fdatasync:error=EIO:when={at}"), root.path()) else { return };
        let mut expected: Vec<String> = (1..at).map(|n| format!("durable {}", 2 + 2 * n)).collect();
        expected.resize(5, "failed".into());
        assert_eq!(said(&output), expected);
        // The batch was written before its sync failed; it may be found or not, and here it is.
        assert_eq!(recovered(root.path()), (2 + 2 * at, false));
    }
}

#[test]
fn f29_f30_f33_a_disk_that_is_full_ends_the_journal_at_its_last_durable_record() {
    for error in ["ENOSPC", "EDQUOT"] {
        let root = tempfile::tempdir().unwrap();
        let Some(output) = with_fault(&format!("write:error={error}:when=3"), root.path()) else { return };
        assert_eq!(said(&output), ["durable 4", "durable 6", "no-space", "no-space", "no-space"]);
        assert_eq!(recovered(root.path()), (6, false));
    }
}

#[test]
fn f33_another_write_error_poisons_the_journal() {
    for error in ["EIO", "EROFS", "ESTALE"] {
        let root = tempfile::tempdir().unwrap();
        let Some(output) = with_fault(&format!("write:error={error}:when=2"), root.path()) else { return };
        assert_eq!(said(&output), ["durable 4", "failed", "failed", "failed", "failed"]);
        assert_eq!(recovered(root.path()), (4, false));
    }
}

#[test]
fn f33_an_interrupted_write_is_written_again() {
    let root = tempfile::tempdir().unwrap();
    let Some(output) = with_fault("write:error=EINTR:when=2", root.path()) else { return };
    assert_eq!(said(&output).last().unwrap(), "durable 12");
    assert_eq!(recovered(root.path()), (12, false));
}

#[test]
fn f02_i8_a_process_killed_at_any_sync_leaves_what_it_had_called_durable() {
    for at in 1..=5 {
        let root = tempfile::tempdir().unwrap();
        let Some(output) = with_fault(&format!("fdatasync:signal=KILL:when={at}"), root.path()) else { return };
        let durable = said(&output).len() as u64;
        assert_eq!(durable, at - 1);
        let (last, torn) = recovered(root.path());
        assert!(last >= 2 + 2 * durable && !torn, "{last} after {durable} batches");
    }
}
