//! A run directory from its creation to the next holder: locks, followers, orders, evidence.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use relevo::journal::inbox::{answer_to, await_answer, post};
use relevo::journal::{Answer, Created, DirError, Inbox, Lock, LockError, NewRun, Reader, RunDir, Sharing, open_for_writing};
use relevo::run::connector::Evidence as _;
use relevo::run::event::{Choices, Event, Holder, Mode, Person, Record, SEMANTICS};
use relevo::run::journal::{Journal as _, JournalError};
use relevo::run::order::Order;
use relevo::time::Timestamp;

const ID: &str = "20261127-220000-0001";

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_816_800_000)
}

fn ann() -> Person {
    Person { name: "ann".into(), claimed: false }
}

fn note(text: &str) -> Event {
    Event::Noted { by: ann(), text: text.into() }
}

fn create(root: &Path, id: &str) -> Result<Created, DirError> {
    create_shared(root, id, &Sharing::default())
}

fn create_shared(root: &Path, id: &str, sharing: &Sharing) -> Result<Created, DirError> {
    let started = Event::RunStarted {
        run: id.into(),
        mode: Mode::Execute,
        semantics: SEMANTICS,
        version: "0.1.0".into(),
        plan: "00".into(),
        whole: String::new(),
        fingerprints: BTreeMap::new(),
        choices: Choices::default(),
        by: ann(),
    };
    let sources = [
        (PathBuf::from("/plans/weekend.yaml"), "relevo: 1\n".to_owned()),
        (PathBuf::from("/plans/targets.yaml"), "relevo_targets: 1\n".to_owned()),
    ];
    let new = NewRun {
        id,
        sources: &sources,
        resolved: r#"{"steps":[]}"#,
        holder: &Holder::current(),
        what: "relevo run weekend.yaml",
        at: now(),
        first: &[started],
    };
    RunDir::create(root, &new, sharing)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn s50_a_new_run_is_complete_private_and_held() {
    let root = tempfile::tempdir().unwrap();
    let made = create(&root.path().join("runs"), ID).unwrap();
    let dir = made.dir.path();
    assert_eq!(made.records.iter().map(|r| (r.seq, r.epoch)).collect::<Vec<_>>(), [(1, 1), (2, 1)]);
    assert_eq!(mode(dir), 0o700);
    for file in ["journal", "head", "lock", "plan.yaml", "plan.resolved.json", "sources/index", "sources/001-targets.yaml"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    assert_eq!(fs::read_to_string(dir.join(".gitignore")).unwrap(), "*\n");
    assert_eq!(fs::read_to_string(dir.join("plan.yaml")).unwrap(), "relevo: 1\n");
    assert_eq!(fs::read_dir(root.path().join("runs")).unwrap().count(), 1, "no draft is left");
    let opened = RunDir::open(&root.path().join("runs"), ID, false).unwrap();
    assert_eq!(opened.sources().unwrap()[1].0, Path::new("/plans/targets.yaml"));
    assert_eq!(opened.resolved().unwrap(), r#"{"steps":[]}"#);
    match opened.lock(&Holder::current(), "relevo resume", now()) {
        Err(LockError::Held(Some(by))) => assert_eq!(by.what, "relevo run weekend.yaml"),
        other => panic!("the lock was not held: {other:?}"),
    }
    assert!(matches!(create(&root.path().join("runs"), ID), Err(DirError::Exists(_))));
}

#[test]
fn f15_a_crash_during_creation_leaves_no_run() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join(format!(".{ID}.new"))).unwrap();
    fs::write(root.path().join(format!(".{ID}.new/journal")), "half").unwrap();
    assert!(RunDir::list(root.path()).unwrap().is_empty());
    assert!(matches!(RunDir::open(root.path(), ID, false), Err(DirError::NotFound { .. })));
    create(root.path(), ID).unwrap();
    assert_eq!(RunDir::latest(root.path()).unwrap().unwrap().id, ID);
}

#[test]
fn f24_of_many_processes_that_make_the_same_run_at_once_one_has_it_whole() {
    for _ in 0..20 {
        let root = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(8);
        let made: Vec<_> = std::thread::scope(|threads| {
            let makers: Vec<_> = (0..8)
                .map(|_| {
                    threads.spawn(|| {
                        start.wait();
                        create(root.path(), ID)
                    })
                })
                .collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        let refused = made.iter().filter(|made| matches!(made, Err(DirError::Exists(_)))).count();
        assert_eq!(refused, 7, "{made:?}");
        let winner = made.iter().flatten().next().unwrap();
        assert_eq!(winner.dir.sources().unwrap().len(), 2);
        assert!(winner.dir.resolved().is_ok());
        assert!(matches!(winner.dir.lock(&Holder::current(), "other", now()), Err(LockError::Held(_))));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "no draft is left");
    }
}

#[test]
fn the_latest_run_is_the_one_that_began_last() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(RunDir::latest(&root.path().join("none")).unwrap(), None);
    create(root.path(), "b").unwrap();
    create(root.path(), "a").unwrap();
    let ids: Vec<String> = RunDir::list(root.path()).unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(ids, ["a", "b"], "the same instant: by name");
    assert_eq!(RunDir::list(root.path()).unwrap()[0].mode, Some(Mode::Execute));
}

#[test]
fn f42_s50_a_directory_that_others_could_have_written_to_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let dir = create(root.path(), ID).unwrap().dir.path().to_owned();
    let refused = |why: &str| match RunDir::open(root.path(), ID, false) {
        Err(DirError::Unsafe { why: found, .. }) => assert!(found.contains(why), "{found}"),
        other => panic!("not refused: {other:?}"),
    };
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(&dir, 0o770);
    refused("group may write");
    set(&dir, 0o702);
    refused("everybody");
    set(&dir, 0o700);
    set(&dir.join("journal"), 0o620);
    refused("group may write");
    set(&dir.join("journal"), 0o600);
    fs::hard_link(dir.join("journal"), root.path().join("second")).unwrap();
    refused("hard link");
    fs::remove_file(root.path().join("second")).unwrap();
    fs::rename(dir.join("head"), root.path().join("head")).unwrap();
    symlink(root.path().join("head"), dir.join("head")).unwrap();
    refused("regular file");
    fs::remove_file(dir.join("head")).unwrap();
    fs::rename(root.path().join("head"), dir.join("head")).unwrap();
    RunDir::open(root.path(), ID, false).unwrap();
    symlink(&dir, root.path().join("link")).unwrap();
    assert!(matches!(RunDir::open(root.path(), "link", false), Err(DirError::Unsafe { .. })));
    assert!(matches!(RunDir::open(root.path(), "../x", false), Err(DirError::BadId(_))));
}

#[test]
fn a_shared_run_belongs_to_its_group() {
    let root = tempfile::tempdir().unwrap();
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::effective()).unwrap().unwrap().name;
    let sharing = Sharing { group: Some(group), allow_fs: false };
    let made = create_shared(root.path(), ID, &sharing).unwrap();
    let dir = made.dir.path();
    assert_eq!((mode(dir), mode(&dir.join("inbox")), mode(&dir.join("journal"))), (0o2770, 0o2770, 0o660));
    assert!(RunDir::open(root.path(), ID, false).unwrap().is_shared());
    let id = post(dir, &Order::Pause { reason: "hm".into() }, None, now()).unwrap();
    assert_eq!(mode(&dir.join(format!("inbox/{id}.json"))), 0o640, "the group reads an order, its owner alone writes it");
    let nobody = Sharing { group: Some("no-such-group".into()), allow_fs: false };
    assert!(create_shared(root.path(), "other", &nobody).is_err());
}

#[test]
fn f40_a_changed_plan_in_the_run_directory_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID).unwrap();
    for name in ["plan.resolved.json", "plan.yaml", "sources/index"] {
        let path = made.dir.path().join(name);
        let before = fs::read(&path).unwrap();
        for at in 0..before.len() {
            let mut after = before.clone();
            after[at] ^= 1;
            fs::write(&path, after).unwrap();
            assert!(made.dir.sources().is_err() || made.dir.resolved().is_err(), "{name} byte {at}");
        }
        fs::write(&path, before).unwrap();
    }
    assert!(made.dir.sources().is_ok() && made.dir.resolved().is_ok());
}

fn reopened(dir: &RunDir) -> (relevo::journal::FileJournal, Vec<Record>) {
    let lock = dir.lock(&Holder::current(), "relevo resume", now()).unwrap();
    let mut records = Vec::new();
    let opened = open_for_writing(dir.path(), lock, None, &mut |record| records.push(record)).unwrap();
    (opened.journal, records)
}

#[test]
fn i6_the_next_holder_reads_what_the_last_one_synced_and_writes_in_the_next_epoch() {
    let root = tempfile::tempdir().unwrap();
    let Created { dir, mut journal, mut records } = create(root.path(), ID).unwrap();
    records.push(journal.append(now(), &note("one \n\u{0}\u{2028}")).unwrap());
    records.push(journal.append(now(), &note("two")).unwrap());
    journal.sync().unwrap();
    journal.append(now(), &note("never synced")).unwrap();
    drop(journal);
    let (mut journal, found) = reopened(&dir);
    assert_eq!(found, records);
    let record = journal.append(now(), &note("three")).unwrap();
    assert_eq!((record.seq, record.epoch), (5, 2));
    journal.publish().unwrap();
    records.push(record);
    drop(journal);
    assert_eq!(reopened(&dir).1, records);
}

#[test]
fn i7_a_follower_sees_a_record_as_soon_as_it_is_durable_and_never_before() {
    let root = tempfile::tempdir().unwrap();
    let Created { dir, mut journal, records } = create(root.path(), ID).unwrap();
    let mut reader = Reader::open(dir.path()).unwrap();
    let mut seen = Vec::new();
    assert_eq!(reader.poll(&mut |record| seen.push(record)).unwrap(), 2);
    assert_eq!(seen, records);
    for number in 0..100 {
        let record = journal.append(now(), &note(&format!("{number}"))).unwrap();
        assert_eq!(reader.poll(&mut |record| seen.push(record)).unwrap(), 0);
        journal.sync().unwrap();
        assert_eq!(reader.poll(&mut |record| seen.push(record)).unwrap(), 1);
        assert_eq!(seen.last(), Some(&record));
    }
}

#[test]
fn a_large_batch_is_cut_into_writes_that_recovery_takes_for_one() {
    let root = tempfile::tempdir().unwrap();
    let Created { dir, mut journal, .. } = create(root.path(), ID).unwrap();
    let long = "x".repeat(100_000);
    for _ in 0..50 {
        journal.append(now(), &note(&long)).unwrap();
    }
    let written = fs::metadata(dir.path().join("journal")).unwrap().len();
    assert!(written > 4_000_000, "what does not fit one write is durable already: {written}");
    journal.sync().unwrap();
    drop(journal);
    assert_eq!(reopened(&dir).1.len(), 52);
}

#[test]
fn f27_a_journal_that_somebody_else_wrote_to_takes_nothing_more() {
    let root = tempfile::tempdir().unwrap();
    let Created { dir, mut journal, .. } = create(root.path(), ID).unwrap();
    let path = dir.path().join("journal");
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"hello\n").unwrap();
    let before = fs::read(&path).unwrap();
    journal.append(now(), &note("one")).unwrap();
    assert!(matches!(journal.sync(), Err(JournalError::Disturbed(_))));
    assert!(matches!(journal.append(now(), &note("two")), Err(JournalError::Disturbed(_))), "poisoned");
    assert!(journal.sync().is_err() && journal.publish().is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn f26_a_replaced_journal_or_lock_stops_the_writer() {
    for (name, remove) in [("journal", false), ("journal", true), ("lock", false), ("lock", true)] {
        let root = tempfile::tempdir().unwrap();
        let Created { dir, mut journal, .. } = create(root.path(), ID).unwrap();
        let path = dir.path().join(name);
        let copy = fs::read(&path).unwrap();
        fs::rename(&path, root.path().join("old")).unwrap();
        if !remove {
            fs::write(&path, copy).unwrap();
        }
        journal.append(now(), &note("one")).unwrap();
        assert!(matches!(journal.sync(), Err(JournalError::Disturbed(_))), "{name} removed: {remove}");
    }
}

#[test]
fn f24_of_many_who_want_the_lock_exactly_one_has_it() {
    let root = tempfile::tempdir().unwrap();
    let me = Holder::current();
    for _ in 0..50 {
        let _ = fs::remove_file(root.path().join("lock"));
        let barrier = std::sync::Barrier::new(8);
        let held: Vec<Option<Lock>> = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        Lock::take(root.path(), false, &me, "test", now()).ok()
                    })
                })
                .collect();
            tries.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(held.iter().flatten().count(), 1);
    }
}

#[test]
fn evidence_is_named_by_what_it_holds() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID).unwrap();
    let store = made.dir.evidence();
    let one = store.store("before-image", b"abc").unwrap();
    assert_eq!(one.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(store.store("before-image", b"abc").unwrap(), one);
    assert_eq!(store.load(&one).unwrap(), b"abc");
    let path = made.dir.path().join("evidence").join(&one.sha256);
    assert_eq!(mode(&path), 0o600);
    fs::write(&path, b"abd").unwrap();
    assert!(store.load(&one).is_err());
    store.store("before-image", b"abc").unwrap();
    assert_eq!(store.load(&one).unwrap(), b"abc", "a damaged copy is replaced");
    assert_eq!(fs::read_dir(made.dir.path().join("evidence")).unwrap().count(), 1);
}

#[test]
fn orders_are_taken_in_order_answered_and_then_gone() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID).unwrap();
    let dir = made.dir.path();
    let orders = [
        Order::Pause { reason: "coffee".into() },
        Order::Continue {},
        Order::Vote { step: relevo::plan::StepId::new("ok"), go: true, reason: "yes".into(), binding: None },
    ];
    let ids: Vec<String> = orders
        .iter()
        .zip(0..)
        .map(|(order, at)| {
            let claimed = matches!(order, Order::Continue {}).then_some("bob");
            post(dir, order, claimed, Timestamp::from_millis(now().as_millis() + at)).unwrap()
        })
        .collect();
    let mut inbox = Inbox::new(dir);
    let taken = inbox.take().unwrap();
    assert_eq!(taken.iter().map(|t| &t.order).collect::<Vec<_>>(), orders.iter().collect::<Vec<_>>());
    assert_eq!(taken.iter().map(|t| &t.id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    assert_eq!(taken[0].by, Person { name: Holder::current().user, claimed: false });
    assert_eq!(taken[1].by, Person { name: "bob".into(), claimed: true });
    assert!(inbox.take().unwrap().is_empty(), "each is given once");
    assert_eq!(Inbox::new(dir).take().unwrap(), taken, "but again after a crash, as long as nobody answered");
    inbox.answer(&ids[0], &Answer::Recorded { seq: 7, note: None }).unwrap();
    assert_eq!(await_answer(dir, &ids[0], std::time::Duration::ZERO).unwrap(), Some(Answer::Recorded { seq: 7, note: None }));
    assert_eq!(answer_to(dir, &ids[1]).unwrap(), None);
    assert_eq!(Inbox::new(dir).take().unwrap(), taken[1..]);
}

#[test]
fn what_is_no_order_is_put_aside_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID).unwrap();
    let inbox = made.dir.path().join("inbox");
    let id = |n: u32| format!("1795816800000-{n:016x}");
    let letter = |n: u32| format!(r#"{{"id":"{}","order":{{"pause":{{"reason":"x"}}}}}}"#, id(n));
    let put = |n: u32, text: &str| {
        let path = inbox.join(format!("{}.json", id(n)));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    put(1, "no json");
    put(2, &letter(3));
    put(4, &format!("{}{}", letter(4), " ".repeat(70_000)));
    fs::set_permissions(put(5, &letter(5)), fs::Permissions::from_mode(0o660)).unwrap();
    fs::write(root.path().join("elsewhere"), letter(6)).unwrap();
    symlink(root.path().join("elsewhere"), inbox.join(format!("{}.json", id(6)))).unwrap();
    fs::hard_link(put(7, &letter(7)), root.path().join("second")).unwrap();
    fs::write(inbox.join("hello.txt"), "hello").unwrap();
    nix::unistd::mkfifo(&inbox.join(format!("{}.json", id(8))), nix::sys::stat::Mode::S_IRUSR).unwrap();
    put(9, &letter(9));
    let taken = Inbox::new(made.dir.path()).take().unwrap();
    assert_eq!(taken.iter().map(|t| t.id.clone()).collect::<Vec<_>>(), [id(9)]);
    for (n, why) in [(1, "not an order"), (2, "written as order"), (4, "longer"), (5, "others"), (6, "link"), (7, "hard link")] {
        match answer_to(made.dir.path(), &id(n)).unwrap() {
            Some(Answer::Refused { reason }) => assert!(reason.contains(why), "{n}: {reason}"),
            other => panic!("{n}: {other:?}"),
        }
    }
    assert_eq!(fs::read_dir(inbox.join("rejected")).unwrap().count(), 2 * 8);
    assert_eq!(fs::read_dir(&inbox).unwrap().count(), 3, "the good order, and the two folders");
}

/// `RELEVO_TEST_RECORDS=1000000 cargo test --release --test journal_files many -- --nocapture` measures.
#[test]
fn f45_many_records_are_read_one_by_one() {
    let many = std::env::var("RELEVO_TEST_RECORDS").ok().and_then(|many| many.parse().ok()).unwrap_or(20_000);
    let root = tempfile::tempdir().unwrap();
    let Created { dir, mut journal, .. } = create(root.path(), ID).unwrap();
    let started = std::time::Instant::now();
    for number in 2..many {
        let event = Event::AttemptFinished {
            step: relevo::plan::StepId::new(&format!("step-{number}")),
            attempt: 1,
            outcome: relevo::run::event::Outcome::Applied { outputs: serde_json::Map::new() },
        };
        journal.append(now(), &event).unwrap();
        if number % 64 == 0 {
            journal.sync().unwrap();
        }
    }
    journal.publish().unwrap();
    drop(journal);
    println!("{many} written in {:?}", started.elapsed());

    let started = std::time::Instant::now();
    let lock = dir.lock(&Holder::current(), "test", now()).unwrap();
    let mut count = 0;
    let opened = open_for_writing(dir.path(), lock, None, &mut |_| count += 1).unwrap();
    println!("{many} read in {:?}", started.elapsed());
    assert_eq!((count, opened.last_seq), (many, many));
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    }
}
