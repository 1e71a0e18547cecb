//! Orders by letter: who gave them, what is none, what must not be believed, and what must not get in the way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use relevo::journal::chain::{hash, text};
use relevo::journal::head::Mark;
use relevo::journal::inbox::{answer_to, await_answer, post, recorded, withdraw};
use relevo::journal::{Created, Inbox, NewRun, RunDir, Sharing, frame};
use relevo::run::event::{Choices, Event, Holder, Mode, Person, SEMANTICS};
use relevo::run::letters::{Answer, Letter, Letters as _};
use relevo::run::order::Order;
use relevo::time::Timestamp;

const ID: &str = "20261127-220000-0001";

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_816_800_000)
}

fn create(root: &Path, id: &str) -> Created {
    let started = Event::RunStarted {
        run: id.into(),
        mode: Mode::Execute,
        semantics: SEMANTICS,
        version: "0.1.0".into(),
        plan: "00".into(),
        whole: String::new(),
        fingerprints: BTreeMap::new(),
        choices: Choices::default(),
        by: Person { name: "ann".into(), claimed: false },
    };
    let sources = [(PathBuf::from("/plans/weekend.yaml"), "relevo: 1\n".to_owned())];
    let new = NewRun {
        id,
        sources: &sources,
        resolved: r#"{"steps":[]}"#,
        holder: &Holder::current(),
        what: "relevo run weekend.yaml",
        at: now(),
        first: &[started],
    };
    RunDir::create(root, &new, &Sharing::default()).unwrap()
}

fn pause(dir: &Path) -> String {
    post(dir, &Order::Pause { reason: "hm".into() }, None, now()).unwrap()
}

fn abort(dir: &Path) -> String {
    post(dir, &Order::Abort { reason: "stop".into() }, None, now()).unwrap()
}

fn ids(letters: &[Letter]) -> Vec<&str> {
    letters.iter().map(|letter| letter.id.as_str()).collect()
}

fn at(seq: u64) -> Answer {
    Answer::Recorded { seq, note: None, not_counted: None }
}

/// Appends a record that answers a letter, as a holder would; durable if the watermark is moved as well.
fn record(dir: &Path, seq: u64, letter: &str, durable: bool) {
    let journal = fs::read(dir.join("journal")).unwrap();
    let last = journal.split_inclusive(|byte| *byte == b'\n').next_back().unwrap();
    let prev = hash(last);
    let json = format!(
        r#"{{"seq":{seq},"epoch":1,"prev":"{}","at":"2026-11-27T22:00:00Z","letter":"{letter}","event":{{"noted":{{"by":{{"name":"ann"}},"text":"x"}}}}}}"#,
        text(&prev)
    );
    let mut line = Vec::new();
    frame::encode(&mut line, |buffer| {
        buffer.extend_from_slice(json.as_bytes());
        Ok(())
    })
    .unwrap();
    fs::File::options().append(true).open(dir.join("journal")).unwrap().write_all(&line).unwrap();
    if durable {
        let slot = Mark { seq, epoch: 1, hash: hash(&line) }.encode();
        fs::write(dir.join("head"), [slot.clone(), slot].concat()).unwrap();
    }
}

#[test]
fn orders_are_taken_in_order_answered_and_then_gone() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID);
    let dir = made.dir.path();
    let orders = [
        Order::Pause { reason: "coffee".into() },
        Order::Continue { reason: String::new(), emergency: false },
        Order::Vote { step: relevo::plan::StepId::new("ok"), go: true, reason: "yes".into(), nonce: None, binding: None },
    ];
    let posted: Vec<String> = orders
        .iter()
        .zip(0..)
        .map(|(order, at)| {
            let claimed = matches!(order, Order::Continue { .. }).then_some("bob");
            post(dir, order, claimed, Timestamp::from_millis(now().as_millis() + at)).unwrap()
        })
        .collect();
    let mut inbox = Inbox::new(dir);
    let taken = inbox.take();
    assert_eq!(taken.iter().map(|letter| &letter.order).collect::<Vec<_>>(), orders.iter().collect::<Vec<_>>());
    assert_eq!(ids(&taken), posted);
    assert_eq!(taken[0].from.person, Person { name: Holder::current().user, claimed: false });
    assert!(taken[0].from.holds, "the owner of the run holds it");
    assert_eq!(taken[1].from.person, Person { name: "bob".into(), claimed: true });
    assert!(!taken[1].from.holds, "a name that was typed holds nothing");
    assert!(inbox.take().is_empty(), "each is given once");
    assert_eq!(Inbox::new(dir).take(), taken, "but again after a crash, as long as nobody answered");
    record(dir, 3, &posted[0], true);
    assert!(inbox.answer(&posted[0], &at(3)), "it is gone");
    assert_eq!(await_answer(dir, &posted[0], Duration::ZERO).unwrap(), Some(at(3)));
    assert_eq!(answer_to(dir, &posted[1]).unwrap(), None);
    assert_eq!(Inbox::new(dir).take(), taken[1..]);
    assert!(inbox.answer(&posted[1], &Answer::Refused { reason: "no".into() }));
    assert_eq!(answer_to(dir, &posted[1]).unwrap(), Some(Answer::Refused { reason: "no".into() }));
}

#[test]
fn what_is_no_order_is_put_aside_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID);
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
    put(10, &letter(10).replace("\"order\"", "\"run\":\"another\",\"order\""));
    let taken = Inbox::new(made.dir.path()).take();
    assert_eq!(ids(&taken), [id(9)]);
    for (n, why) in [
        (1, "not an order"),
        (2, "written as order"),
        (4, "longer"),
        (5, "others"),
        (6, "link"),
        (7, "hard link"),
        (10, "written for run `another`"),
    ] {
        match answer_to(made.dir.path(), &id(n)).unwrap() {
            Some(Answer::Refused { reason }) => assert!(reason.contains(why), "{n}: {reason}"),
            other => panic!("{n}: {other:?}"),
        }
    }
    assert_eq!(fs::read_dir(inbox.join("rejected")).unwrap().count(), 2 * 9);
    assert_eq!(fs::read_dir(&inbox).unwrap().count(), 3, "the good order, and the two folders");
}

#[test]
fn an_order_carried_into_another_runs_inbox_is_none_there() {
    let root = tempfile::tempdir().unwrap();
    let (one, other) = (create(root.path(), "one"), create(root.path(), "other"));
    let id = pause(one.dir.path());
    let name = format!("inbox/{id}.json");
    fs::rename(one.dir.path().join(&name), other.dir.path().join(&name)).unwrap();
    assert!(Inbox::new(other.dir.path()).take().is_empty());
    assert!(matches!(answer_to(other.dir.path(), &id).unwrap(), Some(Answer::Refused { .. })));
}

#[test]
fn f42_nothing_that_lies_in_the_inbox_stops_an_abort() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID);
    let inbox = made.dir.path().join("inbox");
    // All of them come before an order in the alphabet; the second half has an order's name.
    fs::create_dir(inbox.join("0-folder")).unwrap();
    fs::write(inbox.join("0-folder/inside"), "x").unwrap();
    symlink("/etc/passwd", inbox.join("0-link")).unwrap();
    symlink(&inbox, inbox.join("0-loop")).unwrap();
    let _socket = UnixListener::bind(inbox.join("0-socket")).unwrap();
    nix::unistd::mkfifo(&inbox.join("0-fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let named = |n: u32| inbox.join(format!("0000000000000-{n:016x}.json"));
    fs::create_dir(named(1)).unwrap();
    symlink("/dev/zero", named(2)).unwrap();
    nix::unistd::mkfifo(&named(3), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::File::create(named(4)).unwrap().set_len(1 << 40).unwrap();
    fs::write(named(5), "{").unwrap();
    fs::hard_link(named(5), root.path().join("second")).unwrap();
    fs::write(inbox.join("0-\u{1b}[2J"), "x").unwrap();
    let id = abort(made.dir.path());
    let mut holder = Inbox::new(made.dir.path());
    assert_eq!(ids(&holder.take()), [id]);
    assert!(holder.take().is_empty());
    assert_eq!(fs::read_dir(inbox.join("rejected")).unwrap().count(), 2 * 11, "each with its reason");
    assert_eq!(fs::metadata("/etc/passwd").unwrap().nlink(), 1);
}

#[test]
fn f42_what_cannot_be_set_aside_is_passed_over_and_the_rest_is_read() {
    let root = tempfile::tempdir().unwrap();
    let elsewhere = root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    for broken in ["link", "file", "missing", "open to everybody"] {
        let id = broken.replace(' ', "-");
        let made = create(root.path(), &id);
        let inbox = made.dir.path().join("inbox");
        let rejected = inbox.join("rejected");
        match broken {
            "open to everybody" => fs::set_permissions(&rejected, fs::Permissions::from_mode(0o777)).unwrap(),
            _ => fs::remove_dir(&rejected).unwrap(),
        }
        match broken {
            "link" => symlink(&elsewhere, &rejected).unwrap(),
            "file" => fs::write(&rejected, "x").unwrap(),
            _ => {}
        }
        fs::write(inbox.join("0-hello"), "hello").unwrap();
        let first = pause(made.dir.path());
        let mut holder = Inbox::new(made.dir.path());
        assert_eq!(ids(&holder.take()), [first], "{broken}");
        let second = abort(made.dir.path());
        assert_eq!(ids(&holder.take()), [second], "{broken}");
        assert_eq!(inbox.join("0-hello").exists(), broken != "missing", "{broken}: a folder that is missing is made");
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "a link is not followed");
}

#[test]
fn f42_an_inbox_that_is_a_link_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID);
    let id = abort(made.dir.path());
    let elsewhere = root.path().join("elsewhere");
    fs::rename(made.dir.path().join("inbox"), &elsewhere).unwrap();
    symlink(&elsewhere, made.dir.path().join("inbox")).unwrap();
    let mut holder = Inbox::new(made.dir.path());
    assert!(holder.take().is_empty());
    assert!(post(made.dir.path(), &Order::Note { text: "x".into() }, None, now()).is_err());
    fs::remove_file(made.dir.path().join("inbox")).unwrap();
    assert!(holder.take().is_empty(), "a missing one is waited for");
    fs::rename(&elsewhere, made.dir.path().join("inbox")).unwrap();
    assert_eq!(ids(&holder.take()), [id], "and nothing is lost");
}

#[test]
fn f42_answers_are_not_written_through_a_link() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID);
    let elsewhere = root.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::remove_dir(made.dir.path().join("inbox/done")).unwrap();
    symlink(&elsewhere, made.dir.path().join("inbox/done")).unwrap();
    let id = abort(made.dir.path());
    let mut holder = Inbox::new(made.dir.path());
    assert_eq!(ids(&holder.take()), [id.as_str()]);
    record(made.dir.path(), 3, &id, true);
    assert!(holder.answer(&id, &at(3)), "the order is gone all the same");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!(await_answer(made.dir.path(), &id, Duration::ZERO).unwrap(), Some(at(3)), "the record is the answer");
}

#[test]
fn s35_a_forged_answer_neither_swallows_an_order_nor_is_it_believed() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID);
    let dir = made.dir.path();
    let id = abort(dir);
    let forged = dir.join(format!("inbox/done/{id}.json"));
    fs::write(&forged, r#"{"recorded":{"seq":2}}"#).unwrap();
    assert_eq!(await_answer(dir, &id, Duration::ZERO).unwrap(), None, "record 2 answers no order");
    let mut holder = Inbox::new(dir);
    assert_eq!(ids(&holder.take()), [id.as_str()]);
    record(dir, 3, &id, true);
    assert_eq!(await_answer(dir, &id, Duration::ZERO).unwrap(), Some(at(3)), "the number is the journal's");
    fs::write(&forged, r#"{"refused":{"reason":"no"}}"#).unwrap();
    assert_eq!(await_answer(dir, &id, Duration::ZERO).unwrap(), Some(at(3)), "what is recorded was not refused");
    fs::write(&forged, "nonsense").unwrap();
    assert_eq!(await_answer(dir, &id, Duration::ZERO).unwrap(), Some(at(3)));
    fs::remove_file(&forged).unwrap();
    symlink("/etc/passwd", &forged).unwrap();
    assert_eq!(await_answer(dir, &id, Duration::ZERO).unwrap(), Some(at(3)));
}

#[test]
fn a_record_without_an_answer_is_found_by_whoever_left_the_order() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID);
    let dir = made.dir.path();
    let id = abort(dir);
    assert_eq!(recorded(dir, &id).unwrap(), None);
    // The holder dies before it has moved the watermark.
    record(dir, 3, &id, false);
    assert_eq!(answer_to(dir, &id).unwrap(), None, "while somebody holds the run, what is not durable proves nothing");
    assert_eq!(recorded(dir, &id).unwrap(), Some(at(3)));
    assert!(withdraw(dir, &id).unwrap());
    assert!(!withdraw(dir, &id).unwrap());
}

#[test]
fn a_flood_of_files_is_read_in_portions() {
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID);
    for _ in 0..200 {
        pause(made.dir.path());
    }
    let mut holder = Inbox::new(made.dir.path());
    let portions: Vec<usize> = std::iter::repeat_with(|| holder.take().len()).take_while(|many| *many > 0).collect();
    assert_eq!(portions.iter().sum::<usize>(), 200);
    assert!(portions.len() > 2, "{portions:?}");
}

#[test]
fn a_letter_is_of_the_account_that_owns_it_and_only_a_holders_account_holds() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("left out: needs root");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let made = create(root.path(), ID);
    let dir = made.dir.path();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let give = |id: &str, uid: u32| std::os::unix::fs::chown(dir.join(format!("inbox/{id}.json")), Some(uid), None).unwrap();
    let (own, foreign, unknown) = (abort(dir), abort(dir), abort(dir));
    give(&foreign, nobody.uid.as_raw());
    give(&unknown, 3_999_999_999);
    let taken = Inbox::new(dir).take();
    let from = |id: &str| taken.iter().find(|letter| letter.id == id).map(|letter| letter.from.clone());
    assert!(from(&own).unwrap().holds);
    let foreign = from(&foreign).unwrap();
    assert_eq!((foreign.person, foreign.holds), (Person { name: "nobody".into(), claimed: false }, false));
    assert_eq!(from(&unknown), None);
    assert!(matches!(answer_to(dir, &unknown).unwrap(), Some(Answer::Refused { reason }) if reason.contains("no account")));
}
