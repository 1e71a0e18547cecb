//! A run directory from its creation to the next holder: locks, followers, orders, evidence.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use relevo::journal::inbox::post;
use relevo::journal::{Access, Circles, Created, DirError, Lock, LockError, NewRun, Reader, RunDir, Sharing, open_for_writing};
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
fn f42_whatever_lies_in_a_run_directory_is_looked_at_whenever_it_is_opened() {
    let root = tempfile::tempdir().unwrap();
    let dir = create(root.path(), ID).unwrap().dir.path().to_owned();
    let refused = |name: &str, why: &str| match RunDir::open(root.path(), ID, false) {
        Err(DirError::Unsafe { path, why: found }) => {
            assert!(path.ends_with(name) && found.contains(why), "{name}: {}: {found}", path.display());
        }
        other => panic!("{name}: not refused: {other:?}"),
    };
    let files = ["journal", "head", "lock", "plan.yaml", "plan.resolved.json", "sources/index", "sources/001-targets.yaml"];
    let folders = ["sources", "torn", "output", "evidence", "inbox"];
    for (name, is_file) in files.map(|name| (name, true)).into_iter().chain(folders.map(|name| (name, false))) {
        let path = dir.join(name);
        let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let before = mode(&path);
        set(before | 0o002);
        refused(name, "everybody");
        set(before | 0o020);
        refused(name, "group may write");
        set(before | 0o1002);
        refused(name, "everybody");
        set(before);
        let aside = root.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        refused(name, if is_file { "regular file" } else { "not a folder" });
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        if is_file {
            fs::hard_link(&path, &aside).unwrap();
            refused(name, "hard link");
            fs::remove_file(&aside).unwrap();
        }
        if nix::unistd::Uid::effective().is_root() {
            std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
            refused(name, "not a holder");
            std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        }
        RunDir::open(root.path(), ID, false).unwrap();
    }
}

#[test]
fn f42_a_folder_that_nothing_is_believed_from_is_told_and_holds_up_nothing() {
    let root = tempfile::tempdir().unwrap();
    let dir = create(root.path(), ID).unwrap().dir.path().to_owned();
    for name in ["log", "inbox/done", "inbox/rejected"] {
        let path = dir.join(name);
        let told = |why: &str| {
            let found = RunDir::open(root.path(), ID, false).unwrap().untidy().to_vec();
            assert!(found.len() == 1 && found[0].contains(name) && found[0].contains(why), "{name}: {found:?}");
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        told("everybody");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let aside = root.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        told("not a folder");
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert!(RunDir::open(root.path(), ID, false).unwrap().untidy().is_empty());
    }
}

#[test]
fn a_run_of_before_keeps_torn_tails_and_its_log_where_it_did() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID).unwrap();
    let dir = made.dir.path().to_owned();
    drop(made);
    for folder in ["log", "torn"] {
        fs::remove_dir(dir.join(folder)).unwrap();
    }
    fs::write(dir.join("log"), "older\n").unwrap();
    fs::File::options().append(true).open(dir.join("journal")).unwrap().write_all(b"0000").unwrap();
    let opened = RunDir::open(root.path(), ID, false).unwrap();
    let lock = opened.lock(&Holder::current(), "test", now()).unwrap();
    let torn = open_for_writing(&dir, lock, None, &mut |_| {}).unwrap().torn.unwrap();
    assert_eq!(torn.kept, dir.join("journal.torn-1"));
    relevo::journal::run_dir::open_log(&dir).unwrap().write_all(b"newer\n").unwrap();
    assert_eq!(fs::read_to_string(dir.join("log")).unwrap(), "older\nnewer\n");
}

#[test]
fn f42_a_log_is_not_written_through_a_link() {
    let root = tempfile::tempdir().unwrap();
    let dir = create(root.path(), ID).unwrap().dir.path().to_owned();
    let elsewhere = root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let mine = dir.join("log").join(Holder::current().user);
    symlink(elsewhere.join("file"), &mine).unwrap();
    assert!(relevo::journal::run_dir::open_log(&dir).is_err());
    fs::remove_file(&mine).unwrap();
    fs::remove_dir(dir.join("log")).unwrap();
    symlink(&elsewhere, dir.join("log")).unwrap();
    assert!(relevo::journal::run_dir::open_log(&dir).is_err());
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn a_run_says_who_may_touch_it() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID).unwrap();
    assert_eq!((made.dir.circles(), made.dir.access()), (Circles::Private, Access::Hold));
    assert!(made.dir.circles().line().contains("private"));
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::effective()).unwrap().unwrap().name;
    let sharing = Sharing { group: Some(group.clone()), ..Sharing::default() };
    let made = create_shared(root.path(), "holders", &sharing).unwrap();
    assert_eq!(made.dir.circles(), Circles::Holders { group: group.clone() });
    assert!(made.dir.circles().line().contains("evidence"));
    let sharing = Sharing { voters: Some(group.clone()), ..Sharing::default() };
    create_shared(root.path(), "voters", &sharing).unwrap();
    let opened = RunDir::open(root.path(), "voters", false).unwrap();
    assert_eq!(opened.circles(), Circles::Voters { voters: group.clone(), holders: None });
    assert!(opened.circles().line().contains("four eyes hold"));
    let both = Sharing { group: Some(group.clone()), voters: Some(group), ..Sharing::default() };
    assert!(matches!(create_shared(root.path(), "same", &both), Err(DirError::Groups(_))));
}

#[test]
fn a_shared_run_belongs_to_its_group() {
    let root = tempfile::tempdir().unwrap();
    let group = nix::unistd::Group::from_gid(nix::unistd::Gid::effective()).unwrap().unwrap().name;
    let sharing = Sharing { group: Some(group), ..Sharing::default() };
    let made = create_shared(root.path(), ID, &sharing).unwrap();
    let dir = made.dir.path();
    assert_eq!((mode(dir), mode(&dir.join("inbox")), mode(&dir.join("journal"))), (0o2770, 0o2770, 0o660));
    assert!(RunDir::open(root.path(), ID, false).unwrap().is_shared());
    let id = post(dir, &Order::Pause { reason: "hm".into() }, None, now()).unwrap();
    assert_eq!(mode(&dir.join(format!("inbox/{id}.json"))), 0o640, "the group reads an order, its owner alone writes it");
    let nobody = Sharing { group: Some("no-such-group".into()), ..Sharing::default() };
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
    records.push(journal.append(now(), None, &note("one \n\u{0}\u{2028}")).unwrap());
    records.push(journal.append(now(), None, &note("two")).unwrap());
    journal.sync().unwrap();
    journal.append(now(), None, &note("never synced")).unwrap();
    drop(journal);
    let (mut journal, found) = reopened(&dir);
    assert_eq!(found, records);
    let record = journal.append(now(), None, &note("three")).unwrap();
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
        let record = journal.append(now(), None, &note(&format!("{number}"))).unwrap();
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
        journal.append(now(), None, &note(&long)).unwrap();
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
    journal.append(now(), None, &note("one")).unwrap();
    assert!(matches!(journal.sync(), Err(JournalError::Disturbed(_))));
    assert!(matches!(journal.append(now(), None, &note("two")), Err(JournalError::Disturbed(_))), "poisoned");
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
        journal.append(now(), None, &note("one")).unwrap();
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
        journal.append(now(), None, &event).unwrap();
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
