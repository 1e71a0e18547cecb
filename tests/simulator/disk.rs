//! A journal in memory that says truthfully what a crash leaves, and the crash itself.

use std::sync::{Arc, Mutex};

use relevo::run::event::{Event, Record};
use relevo::run::journal::{Journal, JournalError};
use relevo::time::Timestamp;
use tokio::sync::Notify;

use crate::prng::Rng;
use crate::sabotage::Sabotage;
use crate::sim::Sim;

/// More records than any schedule needs; reaching it means that the engine turns in circles.
const TOO_MANY: usize = 6_000;

/// What happens at a call of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The process dies.
    Crash,
    /// The call fails; the process lives on for a while.
    Fails,
}

/// What is on disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// Survives everything.
    pub durable: Vec<Record>,
    /// Appended, not synced.
    pub buffered: Vec<Record>,
    /// The epoch of the process that writes.
    pub epoch: u32,
    /// Calls of append and sync by this process.
    pub calls: u64,
    /// At which call what happens.
    pub trouble: Option<(u64, Trouble)>,
    /// The watermark.
    pub published: u64,
    /// The process is dead.
    pub crashed: bool,
    poisoned: bool,
}

impl Disk {
    /// A new process opens the journal. Of what was not synced an arbitrary beginning survived.
    pub fn reopen(&mut self, rng: &mut Rng) -> Vec<Record> {
        let survives = rng.below(self.buffered.len() as u64 + 1);
        let kept: Vec<Record> = self.buffered.drain(..usize::try_from(survives).expect("small")).collect();
        self.buffered.clear();
        self.durable.extend(kept.iter().cloned());
        self.epoch = self.durable.last().map_or(0, |record| record.epoch) + 1;
        self.calls = 0;
        self.crashed = false;
        self.poisoned = false;
        kept
    }

    /// Counts a call; true if something happens at this one.
    fn strikes(&mut self) -> Option<Trouble> {
        self.calls += 1;
        self.trouble.filter(|(call, _)| *call == self.calls).map(|(_, trouble)| trouble)
    }
}

/// The journal as the driver has it.
pub struct SimJournal {
    /// The disk and everything else.
    pub sim: Arc<Mutex<Sim>>,
    /// Told when the process dies.
    pub death: Arc<Notify>,
    /// What is wrong with it.
    pub sabotage: Option<Sabotage>,
}

impl SimJournal {
    fn struck(&self, sim: &mut Sim, trouble: Trouble) -> JournalError {
        sim.disk.poisoned = true;
        if trouble == Trouble::Crash {
            sim.disk.crashed = true;
            self.death.notify_one();
        }
        JournalError::Failed("simulated".to_owned())
    }
}

impl Journal for SimJournal {
    fn append(&mut self, at: Timestamp, letter: Option<&str>, event: &Event) -> Result<Record, JournalError> {
        let mut sim = self.sim.lock().expect("one thread");
        if sim.disk.poisoned {
            return Err(JournalError::Failed("poisoned".to_owned()));
        }
        let disk = &mut sim.disk;
        let seq = (disk.durable.len() + disk.buffered.len()) as u64 + 1;
        let record =
            Record { seq, epoch: disk.epoch, prev: String::new(), at, letter: letter.map(str::to_owned), event: event.clone() };
        if disk.durable.len() + disk.buffered.len() > TOO_MANY {
            sim.checker.violations.push(format!("I10: more than {TOO_MANY} records"));
            return Err(self.struck(&mut sim, Trouble::Crash));
        }
        let strikes = disk.strikes();
        // A record whose append failed may be on disk all the same.
        disk.buffered.push(record.clone());
        if let Some(trouble) = strikes {
            return Err(self.struck(&mut sim, trouble));
        }
        if self.sabotage == Some(Sabotage::ShowsBeforeSync) {
            sim.checker.shown(seq);
        }
        Ok(record)
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        let mut sim = self.sim.lock().expect("one thread");
        if sim.disk.poisoned {
            return Err(JournalError::Failed("poisoned".to_owned()));
        }
        if let Some(trouble) = sim.disk.strikes() {
            return Err(self.struck(&mut sim, trouble));
        }
        if self.sabotage != Some(Sabotage::SyncDoesNothing) {
            sim.make_durable();
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), JournalError> {
        self.sync()?;
        let mut sim = self.sim.lock().expect("one thread");
        if self.sabotage != Some(Sabotage::WatermarkStandsStill) {
            sim.disk.published = sim.disk.durable.len() as u64;
        }
        Ok(())
    }
}
