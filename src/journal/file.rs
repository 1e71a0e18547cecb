//! The journal that a run writes: one file, appended to, synced in batches.
//!
//! `append` only fills a buffer; `sync` writes it with one call and makes it durable with one more. Whatever goes wrong,
//! this process never writes to the file again: after a failed sync nobody can say what the disk holds, and a second
//! sync that succeeds proves nothing.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::chain::Chain;
use super::disk::DiskWait;
use super::frame::MAX_BATCH;
use super::head::{Head, Mark};
use super::lock::Lock;
use super::os::{self, Rights};
use super::read::NAME;
use super::run_dir::check_space;
use crate::run::event::{Event, Holder, Record};
use crate::run::journal::{Journal, JournalError};
use crate::time::Timestamp;

/// A journal open for writing. Holds the run's lock as long as it lives.
#[derive(Debug)]
pub struct FileJournal {
    path: PathBuf,
    file: File,
    id: os::FileId,
    head: Head,
    lock: Lock,
    /// The epoch of this process.
    epoch: u32,
    /// After the last appended record.
    chain: Chain,
    /// Frames appended and not yet written.
    buffer: Vec<u8>,
    /// Where the file ends, as this process left it. Everything before is durable.
    end: u64,
    /// The last durable record.
    synced: u64,
    /// The last record of the durable watermark.
    published: u64,
    disk: DiskWait,
    poison: Option<JournalError>,
}

impl FileJournal {
    /// Makes the journal of a new run with its first records, and the watermark after them; all synced except the
    /// directory. Records of the `past` keep their times and epochs, and the first ones come after them.
    pub(super) fn create(
        dir: &Path,
        rights: Rights,
        lock: Lock,
        at: Timestamp,
        past: &[Record],
        first: &[Event],
    ) -> io::Result<(Self, Vec<Record>)> {
        let path = dir.join(NAME);
        os::create_new(&path, rights)?.sync_all()?;
        let file = os::open_append(&path)?;
        let mut chain = Chain::start();
        let mut buffer = Vec::new();
        let epoch = past.last().map_or(0, |record| record.epoch) + 1;
        let past = past.iter().map(|record| (record.epoch, record.at, record.letter.as_deref(), &record.event));
        let all = past.chain(first.iter().map(|event| (epoch, at, None, event)));
        let records: Result<Vec<Record>, _> =
            all.map(|(epoch, at, letter, event)| chain.extend(epoch, at, letter, event, &mut buffer)).collect();
        let records = records.map_err(io::Error::other)?;
        (&file).write_all(&buffer)?;
        file.sync_all()?;
        let head = Head::create(dir, rights, &Mark::of(&chain))?;
        let end = buffer.len() as u64;
        let mut journal = FileJournal::continued(path, file, head, lock, chain, end)?;
        journal.epoch = epoch;
        journal.published = journal.synced;
        Ok((journal, records))
    }

    /// Goes on after `chain`, under the next epoch. Everything in the file is durable.
    pub(super) fn continued(path: PathBuf, file: File, head: Head, lock: Lock, chain: Chain, end: u64) -> io::Result<Self> {
        let id = os::file_id(&file.metadata()?);
        Ok(FileJournal {
            path,
            file,
            id,
            head,
            lock,
            epoch: chain.epoch + 1,
            synced: chain.seq,
            published: 0,
            chain,
            buffer: Vec::with_capacity(16 << 10),
            end,
            disk: DiskWait::default(),
            poison: None,
        })
    }

    /// The run directory was renamed as part of its creation.
    pub(super) fn moved_to(&mut self, dir: &Path) {
        self.path = dir.join(NAME);
        self.lock.moved_to(dir);
    }

    /// The process that writes: this one.
    #[must_use]
    pub fn holder(&self) -> &Holder {
        self.lock.holder()
    }

    /// Counts the holders of the run; every record of this process carries it.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The last appended record.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.chain.seq
    }

    /// Tells from outside whether this journal waits for its disk.
    #[must_use]
    pub fn disk(&self) -> DiskWait {
        self.disk.clone()
    }

    /// Whether the files are still the ones that this process left.
    ///
    /// # Errors
    /// They are not, or cannot be looked at; the journal is poisoned.
    pub fn check_undisturbed(&mut self) -> Result<(), JournalError> {
        self.sound()?;
        match self.disturbed() {
            None => Ok(()),
            Some(what) => Err(self.poisoned(JournalError::Disturbed(what))),
        }
    }

    fn disturbed(&self) -> Option<String> {
        // By name: one call tells whether the file was replaced, removed, or written to by somebody else.
        match std::fs::symlink_metadata(&self.path) {
            Err(error) => return Some(format!("{}: {error}", self.path.display())),
            Ok(there) if os::file_id(&there) != self.id => {
                return Some(format!("{} was replaced by another file", self.path.display()));
            }
            Ok(there) if there.len() != self.end => {
                let (path, found, own) = (self.path.display(), there.len(), self.end);
                return Some(format!("{path} is {found} bytes long, but this process left {own}"));
            }
            Ok(_) => {}
        }
        match self.lock.still_ours() {
            Ok(true) => None,
            Ok(false) => Some("the lock file was removed or replaced".to_owned()),
            Err(error) => Some(format!("the lock file cannot be looked at: {error}")),
        }
    }

    fn sound(&self) -> Result<(), JournalError> {
        self.poison.clone().map_or(Ok(()), Err)
    }

    fn poisoned(&mut self, error: JournalError) -> JournalError {
        self.poison = Some(error.clone());
        error
    }

    /// Writes the buffer at the end of the file, as one call if the system allows. `Ok` means all of it.
    fn write(&mut self) -> io::Result<()> {
        let mut rest = &self.buffer[..];
        while !rest.is_empty() {
            match (&self.file).write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(many) => rest = &rest[many..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let disk = self.disk.clone();
        let _waiting = disk.begin();
        self.check_undisturbed()?;
        if let Err(error) = self.write() {
            if os::no_space(&error) {
                // Part of the batch may be there. Nothing of it was promised to anybody, so take it back and leave a
                // journal that ends with its last durable record. If that fails too, recovery finds a torn tail.
                let _ = os::truncate(&self.path, self.end);
            }
            return Err(self.poisoned(sorted(&error, "write")));
        }
        if let Err(error) = self.file.sync_data() {
            return Err(self.poisoned(sorted(&error, "sync")));
        }
        self.end += self.buffer.len() as u64;
        self.synced = self.chain.seq;
        self.buffer.clear();
        // The records are durable by now, so the watermark may name them.
        self.head.advance(&Mark::of(&self.chain)).map_err(|error| self.poisoned(sorted(&error, "write the watermark")))
    }
}

fn sorted(error: &io::Error, doing: &str) -> JournalError {
    let text = format!("{doing}: {error}");
    if os::no_space(error) { JournalError::NoSpace(text) } else { JournalError::Failed(text) }
}

impl Journal for FileJournal {
    fn append(&mut self, at: Timestamp, letter: Option<&str>, event: &Event) -> Result<Record, JournalError> {
        self.sound()?;
        let before = (self.chain.clone(), self.buffer.len());
        let record = match self.chain.extend(self.epoch, at, letter, event, &mut self.buffer) {
            Ok(record) => record,
            Err(error) => return Err(self.poisoned(JournalError::Failed(error.to_string()))),
        };
        if before.1 > 0 && self.buffer.len() > MAX_BATCH {
            // One write must not grow beyond what recovery takes for one torn write: what came before goes first.
            let after = std::mem::replace(&mut self.chain, before.0);
            let frame = self.buffer.split_off(before.1);
            self.flush()?;
            self.chain = after;
            self.buffer = frame;
        }
        Ok(record)
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.sound()?;
        self.flush()
    }

    fn publish(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        if self.published == self.synced {
            return Ok(());
        }
        let disk = self.disk.clone();
        let _waiting = disk.begin();
        self.head.publish(&Mark::of(&self.chain)).map_err(|error| self.poisoned(sorted(&error, "publish the watermark")))?;
        self.published = self.synced;
        Ok(())
    }

    fn has_room(&self) -> Result<(), JournalError> {
        let dir = self.path.parent().unwrap_or(&self.path);
        check_space(dir).map_err(|error| JournalError::NoSpace(error.to_string()))
    }
}
