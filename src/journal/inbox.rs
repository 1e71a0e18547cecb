//! Orders to the process that holds a run, from people at other terminals.
//!
//! - An order is a file that appears whole in `inbox/` (renamed into place). Its owner is the person: the operating
//!   system says who that is, not the file.
//! - The holder takes the orders, records what follows from them, syncs, and only then answers. So after a crash an
//!   order is taken again; the state decides whether it still means anything.
//! - What is not an order goes to `inbox/rejected/` with the reason beside it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::circles::Shares;
use super::os;

use crate::run::event::Person;
pub use crate::run::letters::Answer;
use crate::run::letters::{Letter as Order1, Letters, Sender};
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
/// How often a poster looks for the answer.
const POLL: Duration = Duration::from_millis(20);

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    id: String,
    /// A name that was typed instead of the account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claimed: Option<String>,
    order: Order,
}

/// An order and who gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Identifies it in the answer.
    pub id: String,
    /// What is asked.
    pub order: Order,
    /// By whom.
    pub by: Person,
}

/// Puts an order into a run's inbox. Returns its id, for [`await_answer`].
///
/// # Errors
/// The file cannot be written, or the order is too long.
pub fn post(run_dir: &Path, order: &Order, claimed: Option<&str>, now: Timestamp) -> io::Result<String> {
    let inbox = run_dir.join(NAME);
    let shared = Shares::of(run_dir)?.is_shared();
    let id = format!("{:013}-{:016x}", now.as_millis().max(0), os::random());
    let letter = Letter { id: id.clone(), claimed: claimed.map(str::to_owned), order: order.clone() };
    let text = serde_json::to_vec(&letter)?;
    if text.len() as u64 > LIMIT {
        return Err(io::Error::other(format!("an order of {} bytes is longer than {LIMIT}", text.len())));
    }
    // The name of the draft starts with a dot: the holder does not look at it.
    let draft = inbox.join(format!(".{id}.new"));
    let put = os::create_signed(&draft, shared)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&draft, inbox.join(format!("{id}.json"))));
    if put.is_err() {
        let _ = fs::remove_file(&draft);
    }
    put.map(|()| id)
}

/// The holder's answer to an order, if it has given one.
///
/// # Errors
/// The answer cannot be read.
pub fn answer_to(run_dir: &Path, id: &str) -> io::Result<Option<Answer>> {
    let mut file = match os::open_regular(&answer_path(run_dir, id), false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let text = os::read_at_most(&mut file, LIMIT)?.unwrap_or_default();
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Waits for the holder's answer; `None` if it did not come in time. Blocks the thread.
///
/// # Errors
/// The answer cannot be read.
pub fn await_answer(run_dir: &Path, id: &str, timeout: Duration) -> io::Result<Option<Answer>> {
    let start = Instant::now();
    loop {
        let answer = answer_to(run_dir, id)?;
        if answer.is_some() || start.elapsed() >= timeout {
            return Ok(answer);
        }
        std::thread::sleep(POLL);
    }
}

/// Takes an order back that nobody has taken. False if it is no longer there.
///
/// # Errors
/// The file cannot be removed.
pub fn withdraw(run_dir: &Path, id: &str) -> io::Result<bool> {
    match fs::remove_file(run_dir.join(NAME).join(format!("{id}.json"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

fn answer_path(run_dir: &Path, id: &str) -> PathBuf {
    run_dir.join(DONE).join(format!("{id}.json"))
}

/// The holder's end of the inbox.
#[derive(Debug)]
pub struct Inbox {
    run_dir: PathBuf,
    shares: Shares,
    /// Taken by this process and not yet answered.
    open: BTreeSet<String>,
}

impl Inbox {
    /// The inbox of a run directory.
    #[must_use]
    pub fn new(run_dir: &Path) -> Self {
        let shares = Shares::of(run_dir).unwrap_or_default();
        Inbox { run_dir: run_dir.to_owned(), shares, open: BTreeSet::new() }
    }

    /// The orders that arrived since the last call, in order of arrival. Each is owed an [`Inbox::answer`].
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn take(&mut self) -> io::Result<Vec<Taken>> {
        let inbox = self.run_dir.join(NAME);
        let mut names = Vec::new();
        for entry in fs::read_dir(&inbox)? {
            let name = entry?.file_name();
            // Drafts, and the two folders.
            if !name.as_encoded_bytes().starts_with(b".") && name != "done" && name != "rejected" {
                names.push(name);
            }
        }
        names.sort();
        let mut taken = Vec::new();
        for name in names {
            let id = name.to_str().and_then(|name| name.strip_suffix(".json")).filter(|id| is_letter_id(id));
            if id.is_some_and(|id| self.open.contains(id)) {
                continue;
            }
            let path = inbox.join(&name);
            match id.ok_or_else(|| "its name is not an order's".to_owned()).and_then(|id| self.read(&path, id)) {
                Ok(Some(order)) => {
                    self.open.insert(order.id.clone());
                    taken.push(order);
                }
                // Answered before a crash, and not removed any more.
                Ok(None) => fs::remove_file(&path)?,
                Err(reason) => {
                    self.reject(&path, &name.to_string_lossy(), &reason)?;
                    if let Some(id) = id {
                        self.write_answer(id, &Answer::Refused { reason })?;
                    }
                }
            }
        }
        Ok(taken)
    }

    /// Says what became of an order. Owed only after its record is durable.
    ///
    /// # Errors
    /// The answer cannot be written. The order is done all the same.
    pub fn answer(&mut self, id: &str, answer: &Answer) -> io::Result<()> {
        self.write_answer(id, answer)?;
        self.open.remove(id);
        // It may be gone: the poster may have taken it back at the last moment.
        withdraw(&self.run_dir, id).map(drop)
    }

    /// `None` if it was answered already.
    fn read(&self, path: &Path, id: &str) -> Result<Option<Taken>, String> {
        if answer_path(&self.run_dir, id).exists() {
            return Ok(None);
        }
        let mut file = os::open_regular(path, false).map_err(|e| e.to_string())?;
        let meta = file.metadata().map_err(|e| e.to_string())?;
        if os::others_may_write(&meta) {
            return Err("others than its owner may have written it".into());
        }
        let text = os::read_at_most(&mut file, LIMIT).map_err(|e| e.to_string())?;
        let text = text.ok_or_else(|| format!("longer than {LIMIT} bytes"))?;
        let letter: Letter = serde_json::from_slice(&text).map_err(|e| format!("not an order: {e}"))?;
        if letter.id != id {
            return Err(format!("it was written as order `{}`", letter.id));
        }
        Ok(Some(Taken { id: letter.id, order: letter.order, by: person(&file, letter.claimed)? }))
    }

    fn reject(&self, path: &Path, name: &str, reason: &str) -> io::Result<()> {
        let kept = self.run_dir.join(REJECTED).join(format!("{:016x}-{}", os::random(), plain(name)));
        fs::rename(path, &kept)?;
        os::write_new(&kept.with_added_extension("reason"), self.shares.rights().closed(), format!("{reason}\n").as_bytes())
    }

    fn write_answer(&self, id: &str, answer: &Answer) -> io::Result<()> {
        let draft = self.run_dir.join(DONE).join(format!(".{id}.{:016x}", os::random()));
        os::write_new(&draft, self.shares.rights(), &serde_json::to_vec(answer)?)?;
        fs::rename(&draft, answer_path(&self.run_dir, id))
    }
}

impl Letters for Inbox {
    fn take(&mut self) -> Vec<Order1> {
        let taken = Inbox::take(self).unwrap_or_default();
        taken.into_iter().map(|t| Order1 { id: t.id, order: t.order, from: Sender { person: t.by, holds: true } }).collect()
    }

    fn answer(&mut self, id: &str, answer: &Answer) -> bool {
        Inbox::answer(self, id, answer).is_ok()
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

#[cfg(unix)]
fn person(file: &File, claimed: Option<String>) -> Result<Person, String> {
    match claimed {
        Some(name) => Ok(Person { name, claimed: true }),
        None => {
            let meta = file.metadata().map_err(|e| e.to_string())?;
            Ok(Person { name: os::owned(&meta).map_or_else(String::new, |owned| os::account(owned.uid)), claimed: false })
        }
    }
}

/// Without unsafe code the owner cannot be asked for; so every name is a claimed one.
#[cfg(not(unix))]
fn person(_file: &File, claimed: Option<String>) -> Result<Person, String> {
    Ok(Person { name: claimed.unwrap_or_else(|| "unknown".into()), claimed: true })
}
