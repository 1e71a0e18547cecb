//! Orders to the process that holds a run, from people at other terminals.
//!
//! - An order is a file that appears whole in `inbox/` (renamed into place). Its owner is the person: the operating
//!   system says who that is, not the file.
//! - The holder takes the orders, records what follows from them, syncs, and only then answers. The record holds the
//!   order's id, so one that is found again after a crash means nothing a second time.
//! - An answer is a convenience. What counts is the record: whoever left an order believes an answer only if the journal
//!   holds it, and a holder never takes an answer that lies there for a sign that an order was carried out.
//! - What is not an order goes to `inbox/rejected/` with the reason beside it. What cannot even be put there is passed over.
//!   Nothing that lies in the inbox keeps the rest from being read.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::circles::{self, Shares};
use super::holder::holder_alive;
use super::os;
use super::read::Reader;
use crate::run::event::{Event, Person, Record};
use crate::run::letters::{Answer, Letter, Letters, Sender};
use crate::run::order::Order;
use crate::time::Timestamp;

/// The folder's name in the run directory.
pub const NAME: &str = "inbox";
/// Answers.
pub const DONE: &str = "inbox/done";
/// Files that were no orders.
pub const REJECTED: &str = "inbox/rejected";
/// The longest order, in bytes.
pub const LIMIT: u64 = 64 << 10;
/// So many files are looked at in one go; the others have their turn at the next.
const AT_ONCE: usize = 64;
/// How often a poster looks for the answer.
const POLL: Duration = Duration::from_millis(20);

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    /// The run that it is for: a file that is carried into another inbox is no order there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    /// A name that was typed instead of the account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claimed: Option<String>,
    order: Order,
}

/// Puts an order into a run's inbox. Returns its id, for [`await_answer`].
///
/// # Errors
/// The file cannot be written, or the order is too long.
pub fn post(run_dir: &Path, order: &Order, claimed: Option<&str>, now: Timestamp) -> io::Result<String> {
    let inbox = run_dir.join(NAME);
    if !os::is_folder(&inbox) {
        return Err(io::Error::other(format!("{} is not a folder", inbox.display())));
    }
    let shared = Shares::of(run_dir)?.is_shared();
    let id = format!("{:013}-{:016x}", now.as_millis().max(0), os::random());
    let run = Some(super::recover::name_of(run_dir));
    let letter = Written { id: id.clone(), run, claimed: claimed.map(str::to_owned), order: order.clone() };
    let text = serde_json::to_vec(&letter)?;
    if text.len() as u64 > LIMIT {
        return Err(io::Error::other(format!("an order of {} bytes is longer than {LIMIT}", text.len())));
    }
    // The name of the draft starts with a dot: the holder does not look at it.
    let draft = inbox.join(format!(".{id}.new"));
    let put = os::create_signed(&draft, shared)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&draft, letter_path(run_dir, &id)));
    if put.is_err() {
        let _ = fs::remove_file(&draft);
    }
    put.map(|()| id)
}

/// The holder's answer to an order, if it has given one that can be believed. That an order was recorded is believed only
/// if the journal holds the record; a record without an answer is one, too.
///
/// # Errors
/// The journal or the answer cannot be read.
pub fn answer_to(run_dir: &Path, id: &str) -> io::Result<Option<Answer>> {
    Awaited::new(run_dir, id)?.look()
}

/// Waits for the holder's answer, as [`answer_to`]; `None` if it did not come in time. Blocks the thread.
///
/// # Errors
/// The journal or the answer cannot be read.
pub fn await_answer(run_dir: &Path, id: &str, timeout: Duration) -> io::Result<Option<Answer>> {
    let start = Instant::now();
    let mut awaited = Awaited::new(run_dir, id)?;
    loop {
        let answer = awaited.look()?;
        if answer.is_some() || start.elapsed() >= timeout {
            return Ok(answer);
        }
        std::thread::sleep(POLL);
    }
}

/// What the journal says of an order, looked for in the whole of it, beyond the watermark too. Only for a run that nobody
/// holds: what a living holder has not made durable proves nothing.
///
/// # Errors
/// The journal cannot be read.
pub fn recorded(run_dir: &Path, id: &str) -> io::Result<Option<Answer>> {
    let mut found = None;
    let mut each = |record: Record| found = answer_in(&record, id).or(found.take());
    let mut reader = Reader::open(run_dir).map_err(io::Error::other)?;
    reader.poll(&mut each).map_err(io::Error::other)?;
    reader.poll_rest(&mut each).map_err(io::Error::other)?;
    Ok(found)
}

/// Whether the process that holds the run by its journal is alive on this machine: it will look into the inbox.
///
/// # Errors
/// The journal cannot be read.
pub fn has_reader(run_dir: &Path) -> io::Result<bool> {
    let mut last = None;
    let mut each = |record: Record| {
        if let Event::LockTaken { holder, .. } = record.event {
            last = Some(holder);
        }
    };
    Reader::open(run_dir).and_then(|mut reader| reader.poll(&mut each)).map_err(io::Error::other)?;
    Ok(last.as_ref().is_some_and(holder_alive))
}

/// Takes an order back. False if it is no longer there.
///
/// # Errors
/// The file cannot be removed.
pub fn withdraw(run_dir: &Path, id: &str) -> io::Result<bool> {
    match fs::remove_file(letter_path(run_dir, id)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

fn letter_path(run_dir: &Path, id: &str) -> PathBuf {
    run_dir.join(NAME).join(format!("{id}.json"))
}

fn answer_path(run_dir: &Path, id: &str) -> PathBuf {
    run_dir.join(DONE).join(format!("{id}.json"))
}

/// What a record says of an order, if it is about that.
fn answer_in(record: &Record, id: &str) -> Option<Answer> {
    match &record.event {
        _ if record.letter.as_deref() != Some(id) => None,
        Event::LetterRefused { reason, .. } => Some(Answer::Refused { reason: reason.clone() }),
        _ => Some(Answer::Recorded { seq: record.seq, note: None, not_counted: None }),
    }
}

/// An order that was left, and the journal read so far in search of its record.
struct Awaited<'a> {
    run_dir: &'a Path,
    id: &'a str,
    reader: Reader,
    record: Option<Answer>,
}

impl<'a> Awaited<'a> {
    fn new(run_dir: &'a Path, id: &'a str) -> io::Result<Self> {
        Ok(Awaited { run_dir, id, reader: Reader::open(run_dir).map_err(io::Error::other)?, record: None })
    }

    fn look(&mut self) -> io::Result<Option<Answer>> {
        // The answer first: its record was durable before it was written.
        let said = self.said()?;
        let (id, record) = (self.id, &mut self.record);
        self.reader.poll(&mut |read| *record = answer_in(&read, id).or(record.take())).map_err(io::Error::other)?;
        Ok(match (self.record.clone(), said) {
            // What else there is to say about that record is with the answer alone.
            (Some(Answer::Recorded { seq, .. }), Some(Answer::Recorded { seq: said, note, not_counted })) if seq == said => {
                Some(Answer::Recorded { seq, note, not_counted })
            }
            (Some(answer), _) => Some(answer),
            (None, Some(Answer::Refused { reason })) => Some(Answer::Refused { reason }),
            // The journal knows nothing of it: somebody else wrote this.
            (None, Some(Answer::Recorded { .. }) | None) => None,
        })
    }

    /// What lies among the answers. What is no answer is as good as none.
    fn said(&self) -> io::Result<Option<Answer>> {
        if !os::is_folder(&self.run_dir.join(DONE)) {
            return Ok(None);
        }
        let mut file = match os::open_regular(&answer_path(self.run_dir, self.id), false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) => return Ok(None),
            Ok(file) => file,
        };
        let text = os::read_at_most(&mut file, LIMIT)?.unwrap_or_default();
        Ok(serde_json::from_slice(&text).ok())
    }
}

/// What a file in the inbox is.
enum Found {
    /// An order.
    Letter(Letter),
    /// Something else, and why.
    NoLetter(String),
    /// Taken back in between.
    Gone,
    /// It cannot be told at the moment.
    Later(io::Error),
}

/// The holder's end of the inbox.
#[derive(Debug)]
pub struct Inbox {
    run_dir: PathBuf,
    run: String,
    shares: Shares,
    /// Names that this process is through with: taken, or passed over because they can be neither read nor moved.
    through: BTreeSet<OsString>,
    /// What was warned of: once is enough.
    told: BTreeSet<String>,
}

impl Inbox {
    /// The inbox of a run directory.
    #[must_use]
    pub fn new(run_dir: &Path) -> Self {
        Inbox {
            run_dir: run_dir.to_owned(),
            run: super::recover::name_of(run_dir),
            shares: Shares::of(run_dir).unwrap_or_default(),
            through: BTreeSet::new(),
            told: BTreeSet::new(),
        }
    }

    fn tell(&mut self, what: String) {
        if self.told.insert(what.clone()) {
            tracing::warn!("inbox: {what}");
        }
    }

    /// The names that this process is not through with, in order of arrival. What cannot be listed now is listed later.
    fn names(&mut self) -> Vec<OsString> {
        let inbox = self.run_dir.join(NAME);
        if !os::is_folder(&inbox) {
            self.tell("it is not a folder (symbolic links are not followed); no order can reach this process by it".to_owned());
            return Vec::new();
        }
        let entries = match fs::read_dir(&inbox) {
            Ok(entries) => entries,
            Err(error) => {
                self.tell(format!("it cannot be listed, which is tried again: {error}"));
                return Vec::new();
            }
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry.map(|entry| entry.file_name()) {
                // Drafts, and the two folders.
                Ok(name) if name.as_encoded_bytes().starts_with(b".") || name == "done" || name == "rejected" => {}
                Ok(name) if self.through.contains(&name) => {}
                Ok(name) => names.push(name),
                Err(error) => {
                    self.tell(format!("it cannot be listed to its end, which is tried again: {error}"));
                    break;
                }
            }
        }
        names.sort();
        names
    }

    fn judge(&self, path: &Path, name: &OsStr) -> Found {
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) => return failed(error),
        };
        let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")).filter(|id| is_letter_id(id)) else {
            return Found::NoLetter("its name is not an order's".to_owned());
        };
        if let Some(why) = not_a_letter(&meta) {
            return Found::NoLetter(why);
        }
        // Looked at once more when it is open: it may have been exchanged.
        let opened = os::open_regular(path, false).and_then(|file| Ok((file.metadata()?, file)));
        let (meta, mut file) = match opened {
            Ok(opened) => opened,
            Err(error) => return failed(error),
        };
        if crate::regular::links(&meta) == 0 {
            return Found::Gone;
        }
        if let Some(why) = not_a_letter(&meta) {
            return Found::NoLetter(why);
        }
        let text = match os::read_at_most(&mut file, LIMIT) {
            Ok(Some(text)) => text,
            Ok(None) => return Found::NoLetter(format!("longer than {LIMIT} bytes")),
            Err(error) => return failed(error),
        };
        match self.understood(id, &text, &meta) {
            Ok(Ok(letter)) => Found::Letter(letter),
            Ok(Err(error)) => Found::Later(error),
            Err(why) => Found::NoLetter(why),
        }
    }

    /// The outer error is the letter's, the inner one the system's.
    fn understood(&self, id: &str, text: &[u8], meta: &Metadata) -> Result<io::Result<Letter>, String> {
        let letter: Written = serde_json::from_slice(text).map_err(|e| format!("not an order: {e}"))?;
        if letter.id != id {
            return Err(format!("it was written as order `{}`", letter.id));
        }
        if let Some(run) = letter.run.filter(|run| *run != self.run) {
            return Err(format!("it was written for run `{run}`"));
        }
        let (id, order) = (letter.id, letter.order);
        Ok(self.sender(meta, letter.claimed)?.map(|from| Letter { id, order, from }))
    }

    /// Who gave it: the file's owner, who must be an account of this machine.
    fn sender(&self, meta: &Metadata, claimed: Option<String>) -> Result<io::Result<Sender>, String> {
        let Some(owned) = os::owned(meta) else {
            // Without unsafe code the owner cannot be asked for; so every name is a claimed one. Whoever reaches the folder
            // may write what lies in it.
            let holds = claimed.is_none();
            let name = claimed.unwrap_or_else(|| "unknown".into());
            return Ok(Ok(Sender { person: Person { name, claimed: true }, holds }));
        };
        let account = match os::known_account(owned.uid) {
            Ok(Some(account)) => account,
            Ok(None) => return Err(format!("it belongs to uid {}, which is no account of this machine", owned.uid)),
            // The accounts may come from a directory that does not answer.
            Err(error) => return Ok(Err(error)),
        };
        Ok(Ok(match claimed {
            Some(name) => Sender { person: Person { name, claimed: true }, holds: false },
            None => Sender { person: Person { name: account, claimed: false }, holds: self.shares.holds(owned.uid) },
        }))
    }

    /// Moves what is no order out of the way, with the reason beside it.
    fn set_aside(&mut self, path: &Path, name: &OsStr, reason: &str) {
        let shown = plain(&name.to_string_lossy());
        let moved = self.fit_folder(REJECTED).and_then(|folder| {
            let kept = folder.join(format!("{:016x}-{shown}", os::random()));
            fs::rename(path, &kept)?;
            let rights = self.shares.rights().closed();
            Ok(os::write_new(&kept.with_added_extension("reason"), rights, format!("{reason}\n").as_bytes()))
        });
        match moved {
            Ok(Ok(())) => self.tell(format!("`{shown}` is no order and was set aside: {reason}")),
            Ok(Err(error)) => {
                self.tell(format!("`{shown}` is no order and was set aside: {reason} (not written beside it: {error})"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                self.through.insert(name.to_owned());
                self.tell(format!("`{shown}` is no order and is passed over: {reason} (it cannot be set aside: {error})"));
            }
        }
    }

    /// One of the two folders in the inbox, made if it is missing.
    fn fit_folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.run_dir.join(name);
        let rights = if name == REJECTED { self.shares.rights().closed() } else { self.shares.rights() };
        let unfit = match circles::unfit_folder(&path, self.shares) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                os::make_dir(&path, rights)?;
                circles::unfit_folder(&path, self.shares)?
            }
            unfit => unfit?,
        };
        unfit.map_or(Ok(path), |why| Err(io::Error::other(format!("`{name}`: {why}"))))
    }

    fn write_answer(&mut self, id: &str, answer: &Answer) {
        let written = self.fit_folder(DONE).and_then(|folder| {
            let draft = folder.join(format!(".{id}.{:016x}", os::random()));
            let put = os::write_new(&draft, self.shares.rights(), &serde_json::to_vec(answer)?)
                .and_then(|()| fs::rename(&draft, answer_path(&self.run_dir, id)));
            if put.is_err() {
                let _ = fs::remove_file(&draft);
            }
            put
        });
        if let Err(error) = written {
            self.tell(format!("an answer cannot be written; the journal holds what was recorded: {error}"));
        }
    }
}

impl Letters for Inbox {
    fn take(&mut self) -> Vec<Letter> {
        let inbox = self.run_dir.join(NAME);
        let mut taken = Vec::new();
        let mut left = AT_ONCE;
        for name in self.names() {
            if left == 0 {
                break;
            }
            left -= 1;
            let path = inbox.join(&name);
            match self.judge(&path, &name) {
                Found::Letter(letter) => {
                    self.through.insert(name);
                    taken.push(letter);
                }
                Found::NoLetter(reason) => {
                    self.set_aside(&path, &name, &reason);
                    // Somebody may wait for an answer.
                    if let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")).filter(|id| is_letter_id(id)) {
                        self.write_answer(id, &Answer::Refused { reason });
                    }
                }
                Found::Gone => {}
                Found::Later(error) => {
                    // Takes nobody's turn.
                    left += 1;
                    self.tell(format!("`{}` cannot be read, which is tried again: {error}", plain(&name.to_string_lossy())));
                }
            }
        }
        taken
    }

    fn answer(&mut self, id: &str, answer: &Answer) -> bool {
        self.write_answer(id, answer);
        // It may be gone: the poster may have taken it back at the last moment.
        match withdraw(&self.run_dir, id) {
            Ok(_) => true,
            Err(error) => {
                // In an inbox with the sticky bit only its owner, and the run's, may remove a letter.
                self.tell(format!("the answered order {id} cannot be removed, and is left: {error}"));
                false
            }
        }
    }
}

/// Why a file is no letter, as far as that can be seen from outside.
fn not_a_letter(meta: &Metadata) -> Option<String> {
    if meta.is_symlink() {
        return Some("a symbolic link, which is not followed here".to_owned());
    }
    if let Err(why) = os::one_regular_file(meta) {
        return Some(why.to_owned());
    }
    if os::others_may_write(meta) {
        return Some("others than its owner may have written it".to_owned());
    }
    (meta.len() > LIMIT).then(|| format!("longer than {LIMIT} bytes"))
}

/// What a file is that could not be opened or read.
fn failed(error: io::Error) -> Found {
    match error.kind() {
        io::ErrorKind::NotFound => Found::Gone,
        io::ErrorKind::PermissionDenied => Found::NoLetter("it may not be read by the holder".to_owned()),
        // What `open_regular` says of it.
        io::ErrorKind::Other | io::ErrorKind::NotADirectory => Found::NoLetter(error.to_string()),
        _ => Found::Later(error),
    }
}

/// Thirteen digits, `-`, sixteen hex digits: nothing that leads out of the folder.
fn is_letter_id(id: &str) -> bool {
    let well_formed = |(time, random): (&str, &str)| {
        time.len() == 13
            && time.bytes().all(|b| b.is_ascii_digit())
            && random.len() == 16
            && random.bytes().all(|b| b.is_ascii_hexdigit())
    };
    id.split_once('-').is_some_and(well_formed)
}

fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' }).take(64).collect()
}
