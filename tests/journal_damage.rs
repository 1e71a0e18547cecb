//! Every flipped byte, every truncation, every frame in the wrong place: refused, or a torn tail beyond the watermark.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use relevo::journal::{NewRun, OpenError, Opened, RunDir, Sharing, open_for_writing, read_up_to_head, verify};
use relevo::run::event::{Choices, Event, Holder, Mode, Person, Record, SEMANTICS};
use relevo::run::journal::Journal as _;
use relevo::time::Timestamp;
use tempfile::TempDir;

const ID: &str = "20261127-220000-0001";

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_816_800_000)
}

fn ann() -> Person {
    Person { name: "ann".into(), claimed: false }
}

fn started(id: &str) -> Event {
    Event::RunStarted {
        run: id.into(),
        mode: Mode::Execute,
        semantics: SEMANTICS,
        version: "0.1.0".into(),
        plan: "00".into(),
        whole: String::new(),
        fingerprints: BTreeMap::new(),
        choices: Choices::default(),
        by: ann(),
    }
}

/// A run on disk whose journal can be put back as it was.
struct Subject {
    _root: TempDir,
    dir: PathBuf,
    journal: Vec<u8>,
    head: Vec<u8>,
    records: Vec<Record>,
    me: Holder,
}

/// A run of `all` records; the watermark stands at `marked`, as after a power cut.
fn subject(id: &str, all: u64, marked: u64) -> Subject {
    let root = tempfile::tempdir().unwrap();
    let me = Holder::current();
    let first = [started(id)];
    let new = NewRun { id, sources: &[], resolved: "{}", holder: &me, what: "test", at: now(), first: &first };
    let made = RunDir::create(root.path(), &new, &Sharing::default()).unwrap();
    let (dir, mut journal, mut records) = (made.dir.path().to_owned(), made.journal, made.records);
    let mut head = fs::read(dir.join("head")).unwrap();
    for number in records.len() as u64 + 1..=all {
        let event = Event::Noted { by: ann(), text: format!("{number}") };
        records.push(journal.append(now(), None, &event).unwrap());
        journal.sync().unwrap();
        if number == marked {
            journal.publish().unwrap();
            head = fs::read(dir.join("head")).unwrap();
        }
    }
    drop(journal);
    fs::write(dir.join("head"), &head).unwrap();
    Subject { _root: root, journal: fs::read(dir.join("journal")).unwrap(), dir, head, records, me }
}

impl Subject {
    fn open(&self) -> (Vec<Record>, Result<Opened, OpenError>) {
        let lock = relevo::journal::Lock::take(&self.dir, false, &self.me, "test", now()).unwrap();
        let mut records = Vec::new();
        let opened = open_for_writing(&self.dir, lock, None, &mut |record| records.push(record));
        (records, opened)
    }

    fn put(&self, journal: &[u8]) {
        fs::write(self.dir.join("journal"), journal).unwrap();
    }

    fn restore(&self) {
        self.put(&self.journal);
        fs::write(self.dir.join("head"), &self.head).unwrap();
        for entry in fs::read_dir(self.dir.join("torn")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }

    /// The frames as slices.
    fn frames(&self) -> Vec<&[u8]> {
        self.journal.split_inclusive(|byte| *byte == b'\n').collect()
    }

    fn damaged(&self) -> relevo::journal::Damage {
        match self.open().1 {
            Err(OpenError::Damaged(damage)) => *damage,
            other => panic!("not refused as damaged: {other:?}"),
        }
    }
}

fn is_prefix(records: &[Record], of: &[Record]) -> bool {
    records.len() <= of.len() && records == &of[..records.len()]
}

#[test]
fn f36_i17_a_flip_of_any_byte_of_the_journal_is_refused_or_is_a_torn_tail_beyond_the_watermark() {
    // A few at a time: fifty thousand openings.
    const PARTS: usize = 4;
    let all = subject(ID, 200, 198);
    let torn: Vec<usize> = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..PARTS).map(|part| scope.spawn(move || flips(part, PARTS))).collect();
        parts.into_iter().map(|part| part.join().unwrap()).collect()
    });
    assert_eq!(torn.iter().sum::<usize>(), all.frames()[199].len(), "every byte of the last record, and nothing else");
}

/// Flips every `step`th byte. Returns how many flips looked like a torn tail.
fn flips(first: usize, step: usize) -> usize {
    let subject = subject(ID, 200, 198);
    let file = fs::OpenOptions::new().write(true).open(subject.dir.join("journal")).unwrap();
    let beyond: usize = subject.frames()[..199].iter().map(|frame| frame.len()).sum();
    let mut torn = 0;
    for at in (first..subject.journal.len()).step_by(step) {
        let flipped = subject.journal[at] ^ (1 << (at / step % 8));
        file.write_at(&[flipped], at as u64).unwrap();
        let (records, opened) = subject.open();
        if at < beyond {
            let error = opened.map(|_| ()).expect_err("a flip before the last record was not noticed");
            assert!(matches!(error, OpenError::Damaged(_)), "byte {at}: {error}");
            file.write_at(&subject.journal[at..=at], at as u64).unwrap();
        } else {
            let opened = opened.expect("the last record lies beyond the watermark");
            assert_eq!(opened.torn.unwrap().bytes, (subject.journal.len() - beyond) as u64);
            assert_eq!(records, subject.records[..199]);
            torn += 1;
            subject.restore();
        }
    }
    torn
}

#[test]
fn f37_i17_a_truncation_at_any_byte_is_refused_or_leaves_every_record_up_to_the_watermark() {
    let subject = subject(ID, 60, 58);
    let marked: usize = subject.frames()[..58].iter().map(|frame| frame.len()).sum();
    let mut ends = vec![0];
    for frame in subject.frames() {
        ends.push(ends.last().unwrap() + frame.len());
    }
    for length in 0..subject.journal.len() {
        subject.put(&subject.journal[..length]);
        let (records, opened) = subject.open();
        if length < marked {
            assert!(matches!(opened, Err(OpenError::Damaged(_))), "cut to {length} bytes: {opened:?}");
        } else {
            assert_eq!(opened.unwrap().torn.is_none(), ends.contains(&length), "cut to {length} bytes");
            assert!(is_prefix(&records, &subject.records) && records.len() >= 58);
            subject.restore();
        }
    }
}

#[test]
fn f17_i17_a_flip_or_truncation_of_the_watermark_never_changes_what_is_read() {
    let subject = subject(ID, 20, 20);
    for at in 0..subject.head.len() {
        let mut head = subject.head.clone();
        head[at] ^= 1 << (at % 8);
        fs::write(subject.dir.join("head"), &head).unwrap();
        let (records, opened) = subject.open();
        let opened = opened.unwrap();
        assert!(opened.slot_lost && opened.torn.is_none());
        assert_eq!(records, subject.records);
    }
    for length in 0..subject.head.len() {
        fs::write(subject.dir.join("head"), &subject.head[..length]).unwrap();
        let (records, opened) = subject.open();
        match opened {
            Ok(opened) => assert!(length >= 512 && opened.slot_lost && records == subject.records),
            Err(error) => assert!(length < 512 && matches!(error, OpenError::Damaged(_)), "{length}: {error}"),
        }
    }
}

#[test]
fn f17_both_slots_bad_is_refused() {
    let subject = subject(ID, 5, 5);
    let mut head = subject.head.clone();
    head[20] ^= 1;
    head[532] ^= 1;
    fs::write(subject.dir.join("head"), &head).unwrap();
    assert!(subject.damaged().what.contains("both slots"));
    assert!(read_up_to_head(&subject.dir, &mut drop).is_err());
}

#[test]
fn f38_i18_swapped_removed_and_duplicated_frames_are_refused_by_number() {
    let subject = subject(ID, 30, 10);
    for at in 0..28 {
        let mut swapped = subject.frames();
        swapped.swap(at, at + 1);
        subject.put(&swapped.concat());
        assert_eq!(subject.damaged().intact, at as u64, "swapped {at}");

        let mut removed = subject.frames();
        removed.remove(at);
        subject.put(&removed.concat());
        assert_eq!(subject.damaged().intact, at as u64, "removed {at}");

        let mut doubled = subject.frames();
        doubled.insert(at, doubled[at]);
        subject.put(&doubled.concat());
        assert_eq!(subject.damaged().intact, at as u64 + 1, "doubled {at}");
    }
    // Twice at the very end, beyond the watermark: whole, so it was never torn.
    let mut doubled = subject.frames();
    doubled.push(doubled[29]);
    subject.put(&doubled.concat());
    assert_eq!(subject.damaged().intact, 30);
}

#[test]
fn f14_a_tail_of_zeros_is_torn_kept_and_cut() {
    let subject = subject(ID, 12, 10);
    let mut journal = subject.journal.clone();
    journal.extend_from_slice(&subject.frames()[11][..40]);
    journal.resize(journal.len() + 4096, 0);
    subject.put(&journal);
    let (records, opened) = subject.open();
    let opened = opened.unwrap();
    assert_eq!(records, subject.records);
    let torn = opened.torn.clone().unwrap();
    assert_eq!(torn.bytes, 4136);
    assert_eq!(torn.kept.file_name().unwrap(), "journal.torn-1");
    assert_eq!(fs::read(&torn.kept).unwrap(), &journal[subject.journal.len()..]);
    assert_eq!(fs::read(subject.dir.join("journal")).unwrap(), subject.journal);
    let events = opened.announcements();
    assert!(matches!(&events[0], Event::LockTaken { take_over: false, .. }));
    assert_eq!(events[1], Event::TailTruncated { bytes: 4136, sha256: torn.sha256 });
    drop(opened);
    // The next one is kept beside the first.
    subject.put(&journal);
    assert_eq!(subject.open().1.unwrap().torn.unwrap().kept.file_name().unwrap(), "journal.torn-2");
}

#[test]
fn more_garbage_than_one_write_can_leave_is_refused() {
    let subject = subject(ID, 12, 10);
    let mut journal = subject.journal.clone();
    journal.resize(journal.len() + (2 << 20), 0);
    subject.put(&journal);
    let damage = subject.damaged();
    assert_eq!((damage.intact, damage.offset), (12, subject.journal.len() as u64));
    assert_eq!(fs::metadata(subject.dir.join("journal")).unwrap().len(), journal.len() as u64, "nothing was touched");
}

#[test]
fn f39_the_journal_of_another_run_is_refused() {
    let (one, other) = (subject(ID, 20, 20), subject("20261127-220000-0002", 30, 30));
    one.put(&other.journal);
    assert!(one.damaged().what.contains("not the one that was published"));
    // Even with its own watermark.
    fs::write(one.dir.join("head"), &other.head).unwrap();
    assert!(matches!(one.open().1, Err(OpenError::OtherRun { found, .. }) if found == "20261127-220000-0002"));
}

#[test]
fn a_missing_or_empty_journal_is_refused() {
    let subject = subject(ID, 5, 5);
    subject.put(b"");
    assert_eq!(subject.damaged().intact, 0);
    fs::remove_file(subject.dir.join("journal")).unwrap();
    assert!(subject.damaged().what.contains("missing"));
    subject.restore();
    fs::remove_file(subject.dir.join("head")).unwrap();
    assert!(subject.damaged().what.contains("missing"));
}

#[test]
fn a_refusal_says_where_and_what_is_certain() {
    let subject = subject(ID, 12, 10);
    let at: usize = subject.frames()[..5].iter().map(|frame| frame.len()).sum();
    let mut journal = subject.journal.clone();
    journal[at + 30] ^= 1;
    subject.put(&journal);
    let damage = subject.damaged();
    assert_eq!((damage.intact, damage.offset), (5, at as u64));
    assert_eq!(
        damage.certain(),
        [
            "records 1 to 5 are intact; line 6 is the first that is not",
            "records up to 10 were durable",
            "nothing was changed in the run directory",
        ]
    );
}

#[test]
fn i18_verify_names_each_altered_line_and_no_other() {
    let subject = subject(ID, 40, 40);
    assert!(verify(&subject.dir).unwrap().sound());
    let starts: Vec<usize> = subject
        .frames()
        .iter()
        .scan(0, |sum, frame| {
            *sum += frame.len();
            Some(*sum - frame.len())
        })
        .collect();
    let mut journal = subject.journal.clone();
    for line in [8, 9, 20, 40] {
        journal[starts[line - 1] + 25] ^= 4;
    }
    subject.put(&journal);
    let report = verify(&subject.dir).unwrap();
    let mut lines: Vec<u64> = report.findings.iter().filter_map(|finding| finding.line).collect();
    lines.dedup();
    // The last one is named twice over: altered, and gone although it was durable.
    assert_eq!(lines[..4], [8, 9, 20, 40], "{:#?}", report.findings);
    assert_eq!(report.intact, 7);
}

#[test]
fn i18_s33_verify_sees_an_edit_that_repaired_its_own_checksum() {
    let subject = subject(ID, 40, 40);
    let mut frames: Vec<Vec<u8>> = subject.frames().iter().map(|frame| frame.to_vec()).collect();
    let json = String::from_utf8(frames[9][18..frames[9].len() - 1].to_vec()).unwrap();
    let edited = json.replace("\"text\":\"10\"", "\"text\":\"99\"");
    assert_ne!(edited, json);
    frames[9].clear();
    relevo::journal::frame::encode(&mut frames[9], |buffer| {
        buffer.extend_from_slice(edited.as_bytes());
        Ok(())
    })
    .unwrap();
    subject.put(&frames.concat());
    let report = verify(&subject.dir).unwrap();
    assert_eq!(report.findings.iter().map(|f| f.line).collect::<Vec<_>>(), [Some(11)]);
    assert!(report.findings[0].what.contains("another record 10"), "{}", report.findings[0].what);
    assert_eq!(subject.damaged().intact, 10);
}

#[test]
fn verify_takes_a_torn_tail_for_what_it_is() {
    let subject = subject(ID, 12, 10);
    subject.put(&subject.journal[..subject.journal.len() - 3]);
    let report = verify(&subject.dir).unwrap();
    assert!(report.sound() && report.torn.is_some() && report.intact == 11, "{report:?}");
}

#[test]
fn f18_a_later_record_on_disk_without_the_one_before_it_is_refused() {
    // What was never synced may reach the disk in any order; the watermark stands before it.
    let subject = subject(ID, 30, 20);
    let ends: Vec<usize> = subject
        .frames()
        .iter()
        .scan(0, |sum, frame| {
            *sum += frame.len();
            Some(*sum)
        })
        .collect();
    for lost in 20..29 {
        let mut journal = subject.journal.clone();
        journal[ends[lost - 1]..ends[lost]].fill(0);
        subject.put(&journal);
        let damage = subject.damaged();
        assert_eq!((damage.intact, damage.watermark), (lost as u64, Some(20)));
        assert_eq!(fs::read(subject.dir.join("journal")).unwrap(), journal, "nothing was touched");
    }
    // The last one: nothing follows, so it is a torn tail.
    let mut journal = subject.journal.clone();
    journal[ends[28]..].fill(0);
    subject.put(&journal);
    assert_eq!(subject.open().0.len(), 29);
}

#[test]
fn i18_a_history_that_was_made_anew_from_an_edit_on_contradicts_the_watermark() {
    let subject = subject(ID, 40, 40);
    let mut text = String::from_utf8(subject.journal.clone()).unwrap();
    // Every link and checksum after the edit is put right, as somebody would who knows the format.
    text = text.replacen("\"text\":\"10\"", "\"text\":\"99\"", 1);
    let mut forged = Vec::new();
    let mut before: Option<String> = None;
    for line in text.lines() {
        let mut record: serde_json::Value = serde_json::from_str(&line[18..]).unwrap();
        if let Some(before) = &before {
            record["prev"] = serde_json::Value::from(before.clone());
        }
        let start = forged.len();
        relevo::journal::frame::encode(&mut forged, |buffer| {
            let record: Record = serde_json::from_value(record.clone()).expect("a record");
            serde_json::to_writer(buffer, &record)
        })
        .unwrap();
        before = Some(hex(&forged[start..]));
    }
    subject.put(&forged);
    // Records 1 to 39 follow from one another; it is the hash of the published one that tells.
    let damage = subject.damaged();
    assert!(damage.what.contains("record 40 is not the one that was published"), "{damage:?}");
    assert!(!verify(&subject.dir).unwrap().sound());
    // Whoever writes the watermark anew, too, is not found out: there is no signature.
}

fn hex(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn f88_a_journal_whose_events_mean_something_else_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let Event::RunStarted { run, mode, version, plan, whole, fingerprints, choices, by, .. } = started(ID) else {
        unreachable!("it starts a run")
    };
    let semantics = SEMANTICS + 1;
    let first = [Event::RunStarted { run, mode, semantics, version, plan, whole, fingerprints, choices, by }];
    let me = Holder::current();
    let new = NewRun { id: ID, sources: &[], resolved: "{}", holder: &me, what: "test", at: now(), first: &first };
    let dir = RunDir::create(root.path(), &new, &Sharing::default()).unwrap().dir.path().to_owned();
    let lock = relevo::journal::Lock::take(&dir, false, &me, "test", now()).unwrap();
    let refused = open_for_writing(&dir, lock, None, &mut drop);
    assert!(matches!(refused, Err(OpenError::OtherSemantics { found, .. }) if found == semantics), "{refused:?}");
}

/// Copies the checked-in run to a place where it can be opened.
fn copied(fixture: &Path, to: &Path) -> PathBuf {
    let dir = to.join(fixture.file_name().unwrap());
    copy(fixture, &dir);
    dir
}

#[test]
fn f88_the_first_format_is_readable_for_good() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/journals/v1").join(ID);
    let mut records = Vec::new();
    assert_eq!(read_up_to_head(&fixture, &mut |record| records.push(record)).unwrap(), 9);
    let expected = fs::read_to_string(fixture.parent().unwrap().join("events.txt")).unwrap();
    let events: Vec<String> = records.iter().map(|record| format!("{} {:?}", record.seq, record.event)).collect();
    // The journal stays as it is for good; only the words in which this program tells it may change.
    if std::env::var_os("RELEVO_BLESS").is_some() {
        fs::write(fixture.parent().unwrap().join("events.txt"), events.join("\n") + "\n").unwrap();
    }
    assert_eq!(events.join("\n"), expected.trim_end());
    let report = verify(&fixture).unwrap();
    assert!(report.sound(), "{report:#?}");
    let root = tempfile::tempdir().unwrap();
    let dir = copied(&fixture, root.path());
    let me = Holder::current();
    let lock = relevo::journal::Lock::take(&dir, false, &me, "test", now()).unwrap();
    // It was held on another machine.
    assert!(matches!(open_for_writing(&dir, lock, None, &mut drop), Err(OpenError::Refused(_))));
    let lock = relevo::journal::Lock::take(&dir, false, &me, "test", now()).unwrap();
    let claim = format!("{ID}/1");
    let opened = open_for_writing(&dir, lock, Some(&claim), &mut drop).unwrap();
    assert!(opened.take_over && opened.torn.is_none() && opened.journal.epoch() == 2);
}

/// No program does it: a child of this process would hold the locks of the other tests for a moment.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
