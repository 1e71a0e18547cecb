//! The order of records: each holds the hash of the frame before it, and they are counted without gaps.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::frame::{self, EncodeError, HEADER};
use crate::run::event::{Event, Record};
use crate::time::Timestamp;

/// A SHA-256 as lower-case hex.
pub type Hex = [u8; 64];

/// The `prev` of the first record.
pub const NOTHING: Hex = [b'0'; 64];

/// Why a whole frame does not belong where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Sound as a frame, but not a record that this version knows.
    #[error("record {expected} is not understood: {why}")]
    NotARecord {
        /// The number it should have.
        expected: u64,
        /// What the reader says.
        why: String,
    },
    /// A record is missing, twice there, or in another place.
    #[error("record {found} stands where record {expected} belongs")]
    Seq {
        /// The number it should have.
        expected: u64,
        /// The number it has.
        found: u64,
    },
    /// The frame before it was changed after this one was written.
    #[error("record {seq} was written after another record {before} than the one that stands there", before = seq - 1)]
    Prev {
        /// The record that holds the hash.
        seq: u64,
    },
    /// A holder that had lost the run wrote on.
    #[error("record {seq} is of holder {found}, but holder {before} had already taken over")]
    Epoch {
        /// The record.
        seq: u64,
        /// The epoch so far.
        before: u32,
        /// The epoch it has.
        found: u32,
    },
}

/// Where a journal stands after some record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The last record's number; 0 before the first.
    pub seq: u64,
    /// The last record's epoch; 0 before the first.
    pub epoch: u32,
    /// The hash of the last frame.
    pub hash: Hex,
}

/// The envelope without copies; the same JSON as [`Record`]'s.
#[derive(Serialize)]
struct Envelope<'a> {
    seq: u64,
    epoch: u32,
    prev: &'a str,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    letter: Option<&'a str>,
    event: &'a Event,
}

impl Chain {
    /// Before the first record.
    #[must_use]
    pub fn start() -> Self {
        Chain { seq: 0, epoch: 0, hash: NOTHING }
    }

    /// Takes a whole frame as the next record.
    ///
    /// # Errors
    /// It is not the next one; the chain is as before.
    pub fn accept(&mut self, frame: &[u8]) -> Result<Record, Broken> {
        let json = frame.get(HEADER..frame.len().saturating_sub(1)).unwrap_or_default();
        let expected = self.seq + 1;
        let record: Record = serde_json::from_slice(json).map_err(|e| Broken::NotARecord { expected, why: e.to_string() })?;
        if record.seq != expected {
            return Err(Broken::Seq { expected, found: record.seq });
        }
        if record.prev.as_bytes() != self.hash {
            return Err(Broken::Prev { seq: record.seq });
        }
        if record.epoch < self.epoch.max(1) {
            return Err(Broken::Epoch { seq: record.seq, before: self.epoch, found: record.epoch });
        }
        *self = Chain { seq: record.seq, epoch: record.epoch, hash: hash(frame) };
        Ok(record)
    }

    /// Appends the next record's frame to `buffer`.
    ///
    /// # Errors
    /// It is too long; chain and buffer are as before.
    pub fn extend(
        &mut self,
        epoch: u32,
        at: Timestamp,
        letter: Option<&str>,
        event: &Event,
        buffer: &mut Vec<u8>,
    ) -> Result<Record, EncodeError> {
        let seq = self.seq + 1;
        let prev = text(&self.hash);
        let frame = frame::encode(buffer, |b| serde_json::to_writer(b, &Envelope { seq, epoch, prev, at, letter, event }))?;
        let letter = letter.map(str::to_owned);
        let record = Record { seq, epoch, prev: prev.to_owned(), at, letter, event: event.clone() };
        *self = Chain { seq, epoch, hash: hash(&buffer[frame]) };
        Ok(record)
    }
}

/// A hash as text.
#[must_use]
pub fn text(hash: &Hex) -> &str {
    std::str::from_utf8(hash).unwrap_or_default()
}

/// The SHA-256 of some bytes.
#[must_use]
pub fn hash(bytes: &[u8]) -> Hex {
    to_hex(&Sha256::digest(bytes))
}

/// Bytes of a SHA-256 as lower-case hex.
#[must_use]
pub fn to_hex(digest: &[u8]) -> Hex {
    let mut hex = NOTHING;
    for (place, byte) in hex.chunks_exact_mut(2).zip(digest) {
        place[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        place[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    hex
}
