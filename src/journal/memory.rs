//! A journal in memory, for tests and the simulator: the same records as on disk, and crashes on order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chain::Chain;
use crate::run::event::{Event, Record};
use crate::run::journal::{Journal, JournalError};
use crate::time::Timestamp;

/// Where the journal fails. Calls are counted from 1 over the life of this journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CrashPoint {
    /// The n-th append fails; the record is not there.
    Append(u64),
    /// The n-th sync that has something to do fails; what it should have made durable may be there or not.
    Sync(u64),
    /// The n-th publish that has something to do fails; the records are durable, the watermark is not.
    Publish(u64),
}

/// What a crash leaves of the records that were not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Left {
    /// None of them: a power cut at its worst.
    Durable,
    /// All of them: the process died, the machine lived.
    Everything,
    /// The first so many of them.
    Some(usize),
}

#[derive(Debug, Default)]
struct Inner {
    records: Vec<Record>,
    durable: usize,
    published: u64,
    appends: u64,
    syncs: u64,
    publishes: u64,
    crash: Option<CrashPoint>,
    poison: Option<JournalError>,
}

/// A journal in memory. Clones share their content, so that a test can look while the driver writes.
#[derive(Debug, Clone)]
pub struct MemoryJournal {
    inner: Arc<Mutex<Inner>>,
    chain: Chain,
    epoch: u32,
    scratch: Vec<u8>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        MemoryJournal::new()
    }
}

impl MemoryJournal {
    /// An empty journal at epoch 1.
    #[must_use]
    pub fn new() -> Self {
        MemoryJournal::resume(Vec::new())
    }

    /// Goes on after `records`, under the next epoch. They count as durable.
    #[must_use]
    pub fn resume(records: Vec<Record>) -> Self {
        let mut chain = Chain::start();
        let mut scratch = Vec::new();
        for record in &records {
            scratch.clear();
            // A record that was appended once can be encoded again.
            let _ = chain.extend(record.epoch, record.at, &record.event, &mut scratch);
        }
        let inner = Inner { durable: records.len(), published: chain.seq, records, ..Inner::default() };
        MemoryJournal { inner: Arc::new(Mutex::new(inner)), epoch: chain.epoch + 1, chain, scratch }
    }

    /// Fails at this point, and ever after.
    #[must_use]
    pub fn crashing_at(self, point: CrashPoint) -> Self {
        self.inner().crash = Some(point);
        self
    }

    /// Every record appended so far, durable or not.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.inner().records.clone()
    }

    /// What a reader finds after a crash now.
    #[must_use]
    pub fn after_crash(&self, left: Left) -> Vec<Record> {
        let inner = self.inner();
        let many = match left {
            Left::Durable => inner.durable,
            Left::Everything => inner.records.len(),
            Left::Some(more) => inner.records.len().min(inner.durable + more),
        };
        inner.records[..many].to_vec()
    }

    /// The last durable record.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.inner().durable as u64
    }

    /// The watermark.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.inner().published
    }

    /// How many syncs had something to do.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.inner().syncs
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn sound(&self) -> Result<(), JournalError> {
        self.poison.clone().map_or(Ok(()), Err)
    }

    fn reach(&mut self, point: CrashPoint) -> Result<(), JournalError> {
        if self.crash == Some(point) {
            let error = JournalError::Failed(format!("the test asked for a crash at {point:?}"));
            self.poison = Some(error.clone());
            return Err(error);
        }
        Ok(())
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, at: Timestamp, event: &Event) -> Result<Record, JournalError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.sound()?;
        inner.appends += 1;
        let point = CrashPoint::Append(inner.appends);
        inner.reach(point)?;
        self.scratch.clear();
        match self.chain.extend(self.epoch, at, event, &mut self.scratch) {
            Ok(record) => {
                inner.records.push(record.clone());
                Ok(record)
            }
            Err(error) => {
                let error = JournalError::Failed(error.to_string());
                inner.poison = Some(error.clone());
                Err(error)
            }
        }
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        let mut inner = self.inner();
        inner.sound()?;
        if inner.durable < inner.records.len() {
            inner.syncs += 1;
            let point = CrashPoint::Sync(inner.syncs);
            inner.reach(point)?;
            inner.durable = inner.records.len();
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        let mut inner = self.inner();
        let last = inner.records.last().map_or(0, |record| record.seq);
        if inner.published < last {
            inner.publishes += 1;
            let point = CrashPoint::Publish(inner.publishes);
            inner.reach(point)?;
            inner.published = last;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::Person;

    fn note(text: &str) -> Event {
        Event::Noted { by: Person { name: "ann".into(), claimed: false }, text: text.into() }
    }

    const NOW: i64 = 1_795_816_800_000;

    fn append(journal: &mut MemoryJournal, text: &str) -> Result<Record, JournalError> {
        journal.append(Timestamp::from_millis(NOW), &note(text))
    }

    #[test]
    fn a_crash_leaves_what_was_synced_and_perhaps_more() {
        let mut journal = MemoryJournal::new();
        append(&mut journal, "a").unwrap();
        journal.sync().unwrap();
        append(&mut journal, "b").unwrap();
        append(&mut journal, "c").unwrap();
        assert_eq!(journal.after_crash(Left::Durable).len(), 1);
        assert_eq!(journal.after_crash(Left::Some(1)).len(), 2);
        assert_eq!(journal.after_crash(Left::Everything).len(), 3);
    }

    #[test]
    fn a_failed_journal_takes_nothing_more() {
        let mut journal = MemoryJournal::new().crashing_at(CrashPoint::Sync(2));
        append(&mut journal, "a").unwrap();
        journal.publish().unwrap();
        append(&mut journal, "b").unwrap();
        assert!(journal.sync().is_err());
        assert!(append(&mut journal, "c").is_err() && journal.sync().is_err() && journal.publish().is_err());
        assert_eq!((journal.durable(), journal.published(), journal.records().len()), (1, 1, 2));
    }

    #[test]
    fn a_resumed_journal_goes_on_in_the_next_epoch() {
        let mut first = MemoryJournal::new();
        append(&mut first, "a").unwrap();
        first.sync().unwrap();
        let mut second = MemoryJournal::resume(first.after_crash(Left::Durable));
        let record = append(&mut second, "b").unwrap();
        assert_eq!((record.seq, record.epoch), (2, 2));
        assert_ne!(record.prev, first.records()[0].prev);
    }
}
