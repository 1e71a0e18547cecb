//! The watermark: up to which record the journal was durable for certain.
//!
//! Damage to the very last records of a journal looks like a write that a power cut tore; with the watermark it does
//! not. Two slots of 512 bytes (one sector each) hold text of one spelling; the newer sound one counts.
//!
//! - The slot that was last *synced* is never written: a power cut can tear the other one only.
//! - Every sync of the journal moves the other slot forward without syncing it, which costs no disk access: readers see
//!   progress at once, and after a crash of the process nothing is lost. After a power cut it may be older.
//! - A slot is written only after the records it names are durable, so it is never ahead of the journal.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::chain::{Chain, Hex, text};
use super::os::{self, Rights};

/// The file's name in the run directory.
pub const NAME: &str = "head";
/// One slot.
pub const SLOT: usize = 512;

/// What one slot says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The last durable record.
    pub seq: u64,
    /// Its epoch.
    pub epoch: u32,
    /// The hash of its frame.
    pub hash: Hex,
}

impl Mark {
    /// The watermark at the end of a chain.
    #[must_use]
    pub fn of(chain: &Chain) -> Self {
        Mark { seq: chain.seq, epoch: chain.epoch, hash: chain.hash }
    }

    /// The slot's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let said = format!("relevo head seq {:020} epoch {:010} hash {}", self.seq, self.epoch, text(&self.hash));
        let mut slot = format!("{said} crc {:08x}", crc32c::crc32c(said.as_bytes())).into_bytes();
        slot.resize(SLOT - 1, b' ');
        slot.push(b'\n');
        slot
    }

    /// Reads a slot; `None` if any byte of it differs from what [`Mark::encode`] writes.
    #[must_use]
    pub fn decode(slot: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(slot).ok()?.split_ascii_whitespace();
        let mut after = |key: &str| words.find(|word| *word == key).and_then(|_| words.next());
        let seq = after("seq")?.parse().ok()?;
        let epoch = after("epoch")?.parse().ok()?;
        let hash = after("hash")?.as_bytes().try_into().ok()?;
        let mark = Mark { seq, epoch, hash };
        (mark.encode() == slot).then_some(mark)
    }
}

/// Both slots as found; `None` is a bad one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots(pub [Option<Mark>; 2]);

impl Slots {
    /// The newer sound slot.
    #[must_use]
    pub fn best(&self) -> Option<&Mark> {
        self.0.iter().flatten().max_by_key(|mark| mark.seq)
    }

    /// How many slots are bad.
    #[must_use]
    pub fn bad(&self) -> usize {
        self.0.iter().filter(|slot| slot.is_none()).count()
    }
}

/// Reads both slots. A file of the wrong length has bad slots.
///
/// # Errors
/// The file cannot be read.
pub fn read(dir: &Path) -> io::Result<Slots> {
    read_from(&mut os::open_regular(&dir.join(NAME), false)?)
}

fn read_from(file: &mut File) -> io::Result<Slots> {
    let mut bytes = Vec::with_capacity(2 * SLOT + 1);
    file.seek(SeekFrom::Start(0))?;
    file.take(2 * SLOT as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > 2 * SLOT {
        return Ok(Slots([None, None]));
    }
    let slot = |at: usize| bytes.get(at..at + SLOT).and_then(Mark::decode);
    Ok(Slots([slot(0), slot(SLOT)]))
}

/// The writer's end of the watermark.
#[derive(Debug)]
pub struct Head {
    file: File,
    /// The slot that may be written: not the one that was last synced.
    free: u64,
}

impl Head {
    /// Makes the file with the mark in both slots, synced. The directory is still to be synced by the caller.
    ///
    /// # Errors
    /// The file exists or cannot be written.
    pub(super) fn create(dir: &Path, rights: Rights, mark: &Mark) -> io::Result<Self> {
        let mut file = os::create_new(&dir.join(NAME), rights)?;
        let slot = mark.encode();
        file.write_all(&slot)?;
        file.write_all(&slot)?;
        file.sync_all()?;
        Ok(Head { file, free: 0 })
    }

    /// Opens the file for writing. The older or bad slot is the first to be written.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let mut file = os::open_regular(&dir.join(NAME), true)?;
        let Slots([first, second]) = read_from(&mut file)?;
        let free = u64::from(first.map(|mark| mark.seq) > second.map(|mark| mark.seq));
        // The newer slot may only have been written; from now on it is the one that stands.
        file.sync_data()?;
        Ok(Head { file, free })
    }

    /// Moves the watermark without syncing it.
    ///
    /// # Errors
    /// The slot cannot be written.
    pub fn advance(&mut self, mark: &Mark) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.free * SLOT as u64))?;
        self.file.write_all(&mark.encode())
    }

    /// Moves the watermark and makes it durable.
    ///
    /// # Errors
    /// The slot cannot be written or synced.
    pub fn publish(&mut self, mark: &Mark) -> io::Result<()> {
        self.advance(mark)?;
        self.file.sync_data()?;
        self.free = 1 - self.free;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_one_spelling() {
        let mark = Mark { seq: 12, epoch: 3, hash: [b'a'; 64] };
        let slot = mark.encode();
        assert_eq!(slot.len(), SLOT);
        assert_eq!(Mark::decode(&slot), Some(mark));
        for at in 0..SLOT {
            for bit in 0..8 {
                let mut bad = slot.clone();
                bad[at] ^= 1 << bit;
                assert_eq!(Mark::decode(&bad), None, "byte {at} bit {bit}");
            }
        }
    }
}
