//! Power cuts on a real file system: what a run directory is after one, wherever the writer was.
//!
//! - The writer is this program, started again. `strace` ends it at its n-th call of one kind, before the call is made.
//! - The file system is ext4 in a file. Its own shutdown call forgets what was not synced, as a power cut does; then it is
//!   mounted anew, and the next holder opens what is there.
//! - Every call of the writer is cut at in turn, until it comes to its end unharmed.
//!
//! It needs root (mounts, in a namespace of their own), `strace`, `mkfs.ext4` and `perl`; `RELEVO_TESTS=all` asks for it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use relevo::journal::{FileJournal, NewRun, RunDir, Sharing, open_for_writing, verify};
use relevo::plan::StepId;
use relevo::run::connector::Evidence as _;
use relevo::run::event::{Choices, Event, Holder, Mode, Person, Record, SEMANTICS};
use relevo::run::journal::Journal as _;
use relevo::time::Timestamp;

const ID: &str = "20261127-220000-0001";
/// Where the child writes.
const ROOT: &str = "RELEVO_TEST_POWER_ROOT";
/// Where the helper in a namespace of its own has its files, and which story is to be cut.
const PLACE: &str = "RELEVO_TEST_POWER_PLACE";
/// More than relevo asks for before it begins; the file is sparse.
const SIZE: u64 = 400 << 20;
/// The calls that change something on disk or make it durable.
const CALLS: [&str; 6] = ["write", "fsync", "fdatasync", "rename", "mkdir", "ftruncate"];
/// More than any of the stories makes of one kind that matters.
const MOST: u32 = 100;

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_816_800_000)
}

fn ann() -> Person {
    Person { name: "ann".into(), claimed: false }
}

fn create(root: &Path) -> Result<(RunDir, FileJournal), relevo::journal::DirError> {
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
    // A process that is not there any more when the next one comes.
    let me = Holder { started: 0, ..Holder::current() };
    let sources = [(PathBuf::from("/plans/weekend.yaml"), "relevo: 1\n".to_owned())];
    let new = NewRun { id: ID, sources: &sources, resolved: "{}", holder: &me, what: "test", at: now(), first: &first };
    RunDir::create(root, &new, &Sharing::default()).map(|made| (made.dir, made.journal))
}

/// The next holder's way in. Says whether a torn tail was cut off.
fn reopened(root: &Path) -> (RunDir, FileJournal, Vec<Record>, bool) {
    let dir = RunDir::open(root, ID, false).unwrap();
    let lock = dir.lock(&Holder::current(), "test", now()).unwrap();
    let mut records = Vec::new();
    let opened = open_for_writing(dir.path(), lock, None, &mut |record| records.push(record)).unwrap();
    (dir, opened.journal, records, opened.torn.is_some())
}

fn notes(records: &[Record]) -> Vec<&str> {
    records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Noted { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// What stands in the journal before a torn tail.
const BEFORE: [&str; 3] = ["one", "two", "three"];
/// Half a frame, and what a block that was never written holds.
fn torn_tail() -> Vec<u8> {
    let mut tail = b"0000004c 1234abcd {\"seq\":6,\"ep".to_vec();
    tail.resize(3000, 0);
    tail
}

/// Not tests of their own: what is cut. As tests they have nothing to do, for nobody says where to write.
#[test]
fn a_child_makes_a_run_and_writes() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let (dir, mut journal) = create(Path::new(&root)).unwrap();
    println!("created");
    for number in 0..3_u64 {
        let evidence = dir.evidence().store("before-image", format!("image {number}").as_bytes()).unwrap();
        journal.append(now(), None, &Event::EvidenceStored { step: StepId::new("s"), evidence }).unwrap();
        let last = journal.append(now(), None, &Event::Noted { by: ann(), text: format!("{number}") }).unwrap();
        journal.sync().unwrap();
        println!("durable {}", last.seq);
        if number % 2 == 1 {
            journal.publish().unwrap();
        }
    }
    println!("all done");
}

#[test]
fn a_child_cuts_off_a_torn_tail() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let (_, mut journal, ..) = reopened(Path::new(&root));
    journal.append(now(), None, &Event::Noted { by: ann(), text: "four".into() }).unwrap();
    journal.publish().unwrap();
    println!("all done");
}

/// What a child said, line by line; the harness's own words may stand before on the same line.
fn said(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let known = ["created", "durable ", "all done"];
    text.lines().filter_map(|line| known.iter().find_map(|word| line.find(word).map(|at| line[at..].to_owned()))).collect()
}

/// This program again, one of its tests alone.
fn this(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command
}

/// The child `test` with something injected into its system calls.
fn injected(test: &str, call: &str, fault: &str, root: &Path) -> Output {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &format!("inject={call}:{fault}")]);
    strace.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(ROOT, root);
    strace.output().unwrap()
}

fn asked_for() -> bool {
    let all = std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all");
    if !all || !nix::unistd::Uid::effective().is_root() {
        eprintln!("left out: power cuts, as root (RELEVO_TESTS=all)");
        return false;
    }
    true
}

fn must(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A file system in a file.
struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    fn new(place: &Path) -> Self {
        let disk = Disk { image: place.join("image"), at: place.join("disk") };
        fs::File::create(&disk.image).unwrap().set_len(SIZE).unwrap();
        must("mkfs.ext4", &["-q", "-F", &disk.image.display().to_string()]);
        fs::create_dir(&disk.at).unwrap();
        disk.mount();
        disk
    }

    fn mount(&self) {
        must("mount", &["-o", "loop", &self.image.display().to_string(), &self.at.display().to_string()]);
    }

    fn umount(&self) {
        must("umount", &[&self.at.display().to_string()]);
    }

    /// Everything that was not synced is gone.
    fn cut_power(&self) {
        // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: not even the file system's own log is written.
        const SHUTDOWN: &str = "open(my $at, '<', $ARGV[0]) or die $!; my $how = pack('I', 2);\n\
            defined(ioctl($at, 0x8004587D, $how)) or die $!;";
        must("perl", &["-e", SHUTDOWN, &self.at.display().to_string()]);
        self.umount();
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.at).status();
    }
}

/// Lets the helper `story` of this program run where its mounts are its own.
fn in_a_namespace(story: &str) {
    let place = tempfile::tempdir().unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "--"]).arg(std::env::current_exe().unwrap()).args(["--exact", story, "--nocapture"]);
    let output = unshare.env(PLACE, place.path()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}");
    assert!(output.status.success() && out.contains("cuts in all"), "{out}\n{err}");
}

/// Cuts the power at every call of the child, each time on a run of its own; `after` looks at what is left.
fn every_cut(disk: &Disk, child: &str, least: u32, before: impl Fn(&Path), after: impl Fn(&Path, &[String], &str)) {
    let mut cuts = 0;
    for call in CALLS {
        for at in 1..=MOST {
            let root = disk.at.join(format!("{call}-{at}"));
            before(&root);
            must("sync", &["-f", &disk.at.display().to_string()]);
            let said = said(&injected(child, call, &format!("signal=KILL:when={at}"), &root));
            disk.cut_power();
            after(&root, &said, &format!("cut at {call} {at}, after {said:?}"));
            if said.last().is_some_and(|last| last == "all done") {
                break;
            }
            assert!(at < MOST, "{call}: it never came to its end");
            cuts += 1;
        }
    }
    println!("{cuts} cuts in all");
    assert!(cuts >= least, "hardly anything was cut: {cuts}");
}

#[test]
fn f13_f15_f16_after_a_power_cut_at_any_call_every_durable_record_is_there_or_no_run_at_all() {
    if asked_for() {
        in_a_namespace("the_helper_that_cuts_a_new_run");
    }
}

/// Not a test of its own.
#[test]
fn the_helper_that_cuts_a_new_run() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let disk = Disk::new(Path::new(&place));
    every_cut(
        &disk,
        "a_child_makes_a_run_and_writes",
        50,
        |_| (),
        |root, said, cut| {
            let is_there = RunDir::list(root).unwrap().iter().any(|run| run.id == ID);
            if !is_there {
                assert!(said.is_empty(), "{cut}: the run was made and is gone");
                // What is left of it is in nobody's way.
                create(root).unwrap_or_else(|error| panic!("{cut}: {error}"));
                return;
            }
            let durable = said.iter().filter_map(|line| line.strip_prefix("durable ")?.parse::<u64>().ok()).max().unwrap_or(2);
            let (dir, mut journal, records, _) = reopened(root);
            let expected = ["0", "1", "2"];
            assert!(expected.starts_with(&notes(&records)), "{cut}: {records:?}");
            assert!(records.len() as u64 >= durable, "{cut}: {} of {durable} records", records.len());
            journal.append(now(), None, &Event::Noted { by: ann(), text: "on it goes".into() }).unwrap();
            journal.publish().unwrap();
            // The plan and every file that a record names; what no record names is told and does no harm.
            let report = verify(dir.path()).unwrap();
            assert!(report.sound(), "{cut}: {report}");
        },
    );
}

#[test]
fn f09_f13_f14_a_power_cut_while_a_torn_tail_is_cut_off_loses_no_record_and_not_the_tail() {
    if asked_for() {
        in_a_namespace("the_helper_that_cuts_a_recovery");
    }
}

/// Not a test of its own.
#[test]
fn the_helper_that_cuts_a_recovery() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let disk = Disk::new(Path::new(&place));
    let before = |root: &Path| {
        let (dir, mut journal) = create(root).unwrap();
        for text in BEFORE {
            journal.append(now(), None, &Event::Noted { by: ann(), text: text.into() }).unwrap();
        }
        journal.publish().unwrap();
        drop(journal);
        let mut file = fs::OpenOptions::new().append(true).open(dir.path().join("journal")).unwrap();
        file.write_all(&torn_tail()).unwrap();
        file.sync_all().unwrap();
    };
    every_cut(&disk, "a_child_cuts_off_a_torn_tail", 8, before, |root, said, cut| {
        let (dir, _journal, records, _) = reopened(root);
        let found = notes(&records);
        assert!(found.starts_with(&BEFORE) && found.len() <= BEFORE.len() + 1, "{cut}: {found:?}");
        let finished = said.last().is_some_and(|last| last == "all done");
        assert!(!finished || found.len() == BEFORE.len() + 1, "{cut}: the record that was durable is gone");
        let kept: Vec<Vec<u8>> = fs::read_dir(dir.path().join("torn"))
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("journal.torn-"))
            .map(|entry| fs::read(entry.path()).unwrap())
            .collect();
        assert!(kept.contains(&torn_tail()), "{cut}: the tail is gone; kept are {} files", kept.len());
        assert!(verify(dir.path()).unwrap().sound(), "{cut}");
    });
}

#[test]
fn f34_where_a_folder_cannot_be_synced_there_is_no_run() {
    if !asked_for() {
        return;
    }
    let mut failures = 0;
    for at in 1..=MOST {
        let root = tempfile::tempdir().unwrap();
        let said = said(&injected("a_child_makes_a_run_and_writes", "fsync", &format!("error=EIO:when={at}"), root.path()));
        if said.first().is_some_and(|first| first == "created") {
            break;
        }
        failures += 1;
        let left: Vec<_> = RunDir::list(root.path()).unwrap().into_iter().map(|run| run.id).collect();
        assert!(left.is_empty(), "fsync {at} failed, and {left:?} is there all the same");
        create(root.path()).unwrap_or_else(|error| panic!("fsync {at} failed, and its remains are in the way: {error}"));
    }
    println!("{failures} failures");
    assert!(failures > 8, "only {failures} calls were made to fail");
}

#[test]
fn the_helpers_are_named_as_they_are_started() {
    // A helper that is not found would be no failure by itself: the harness runs nothing and is content.
    for helper in ["a_child_makes_a_run_and_writes", "a_child_cuts_off_a_torn_tail"] {
        let output = this(helper).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{helper}");
    }
}
