//! Reading frames one after the other, and following a journal that another process writes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::chain::Chain;
use super::frame::{self, Decoded, Fault};
use super::recover::{Damage, OpenError};
use super::{head, os};
use crate::run::event::Record;
use crate::run::past::Past;

/// The journal's name in the run directory.
pub const NAME: &str = "journal";

/// What comes next in a file of frames.
pub(super) enum Next {
    /// A whole frame; [`Frames::bytes`] gives it.
    Frame(Range<usize>),
    /// The file ends here.
    End,
    /// Something else; [`Frames::offset`] is where.
    Bad(Fault),
}

/// Reads frames with one buffer, as long as the longest frame.
pub(super) struct Frames<R> {
    source: R,
    buffer: Vec<u8>,
    /// What of the buffer is filled and not yet given out.
    ready: Range<usize>,
    /// Where in the file the next frame starts.
    offset: u64,
}

impl<R: Read> Frames<R> {
    /// From a source that stands at `offset`.
    pub fn new(source: R, offset: u64) -> Self {
        Frames { source, buffer: vec![0; 256 << 10], ready: 0..0, offset }
    }

    /// Where the next frame starts, or the bytes that are none.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Steps over the next frame. After [`Next::Bad`] it stands still.
    pub fn next(&mut self) -> io::Result<Next> {
        loop {
            match frame::decode(&self.buffer[self.ready.clone()]) {
                Decoded::Frame { len } => {
                    let frame = self.ready.start..self.ready.start + len;
                    self.ready.start += len;
                    self.offset += len as u64;
                    return Ok(Next::Frame(frame));
                }
                Decoded::Bad(fault) => return Ok(Next::Bad(fault)),
                Decoded::Incomplete { need } => {
                    if self.fill(need)? == 0 {
                        return Ok(if self.ready.is_empty() { Next::End } else { Next::Bad(Fault::Short) });
                    }
                }
            }
        }
    }

    /// Skips everything up to and with the next line break. False at the end of the file.
    pub fn skip_line(&mut self) -> io::Result<bool> {
        loop {
            let ready = &self.buffer[self.ready.clone()];
            let found = ready.iter().position(|byte| *byte == b'\n');
            let skipped = found.map_or(ready.len(), |at| at + 1);
            self.ready.start += skipped;
            self.offset += skipped as u64;
            if found.is_some() {
                return Ok(true);
            }
            if self.fill(1)? == 0 {
                return Ok(false);
            }
        }
    }

    /// Reads more, with room for `need` bytes from the start of what is ready. Returns how many came; 0 at the end.
    fn fill(&mut self, need: usize) -> io::Result<usize> {
        if self.ready.start + need > self.buffer.len() || self.ready.end == self.buffer.len() {
            self.buffer.copy_within(self.ready.clone(), 0);
            self.ready = 0..self.ready.len();
            if need > self.buffer.len() {
                self.buffer.resize(need, 0);
            }
        }
        let came = loop {
            match self.source.read(&mut self.buffer[self.ready.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                came => break came?,
            }
        };
        self.ready.end += came;
        Ok(came)
    }
}

/// Follows a journal without the lock. It believes the records up to the watermark only: those are durable. What lies
/// behind it counts only once nobody holds the run ([`Reader::poll_rest`]).
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    file: File,
    offset: u64,
    chain: Chain,
}

impl Reader {
    /// Opens the journal of a run directory at its beginning.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(NAME);
        let file = os::open_regular(&path, false).map_err(|e| OpenError::io(&path, e))?;
        Ok(Reader { dir: dir.to_owned(), file, offset: 0, chain: Chain::start() })
    }

    /// The last record given out; 0 before the first.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.chain.seq
    }

    /// Gives the records that became durable since the last call. Returns how many.
    ///
    /// # Errors
    /// The journal is damaged before its watermark, or cannot be read. What was given out before is still true.
    pub fn poll(&mut self, each: &mut dyn FnMut(Record)) -> Result<u64, OpenError> {
        let path = self.dir.join(NAME);
        let mark = self.watermark()?;
        let first = self.chain.seq;
        if mark.seq <= first {
            return Ok(0);
        }
        // Nothing is kept of what lies beyond the watermark: a torn tail there may be cut and written anew.
        self.file.seek(SeekFrom::Start(self.offset)).map_err(|e| OpenError::io(&path, e))?;
        let mut frames = Frames::new(&self.file, self.offset);
        while self.chain.seq < mark.seq {
            let at = frames.offset();
            let damaged = |chain: &Chain, what: String| {
                OpenError::Damaged(Box::new(Damage::new(&path, chain.seq, at, what).and_watermark(Some(mark.seq))))
            };
            match frames.next().map_err(|e| OpenError::io(&path, e))? {
                Next::Frame(range) => {
                    let record =
                        self.chain.accept(frames.bytes(range)).map_err(|broken| damaged(&self.chain, broken.to_string()))?;
                    if record.seq == mark.seq && self.chain.hash != mark.hash {
                        return Err(damaged(&self.chain, format!("record {} is not the one that was published", mark.seq)));
                    }
                    each(record);
                    self.offset = frames.offset();
                }
                Next::End => return Err(damaged(&self.chain, "the journal ends before its watermark".into())),
                Next::Bad(fault) => return Err(damaged(&self.chain, fault.to_string())),
            }
        }
        Ok(self.chain.seq - first)
    }

    /// Gives the whole records behind the watermark too, for a run that nobody holds: its next holder will go on from
    /// them. Stops where they end or are torn; whether that is damage is found out when the journal is opened for
    /// writing. Returns how many.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn poll_rest(&mut self, each: &mut dyn FnMut(Record)) -> Result<u64, OpenError> {
        let path = self.dir.join(NAME);
        let first = self.chain.seq;
        self.file.seek(SeekFrom::Start(self.offset)).map_err(|e| OpenError::io(&path, e))?;
        let mut frames = Frames::new(&self.file, self.offset);
        while let Next::Frame(range) = frames.next().map_err(|e| OpenError::io(&path, e))? {
            let Ok(record) = self.chain.accept(frames.bytes(range)) else { break };
            each(record);
            self.offset = frames.offset();
        }
        Ok(self.chain.seq - first)
    }

    /// A slot may be read while it is being written, and then looks bad: look again before believing that.
    fn watermark(&self) -> Result<head::Mark, OpenError> {
        let path = self.dir.join(head::NAME);
        for _ in 0..100 {
            let slots = head::read(&self.dir).map_err(|e| OpenError::io(&path, e))?;
            if let Some(mark) = slots.best() {
                return Ok(mark.clone());
            }
            std::thread::yield_now();
        }
        let what = "both slots of the watermark are bad".into();
        Err(OpenError::Damaged(Box::new(Damage::new(&path, self.chain.seq, 0, what))))
    }
}

/// Reads the records of a run up to its watermark, without the lock. Returns the last record's number.
///
/// # Errors
/// The journal is damaged before its watermark, or cannot be read.
pub fn read_up_to_head(dir: &Path, each: &mut dyn FnMut(Record)) -> Result<u64, OpenError> {
    Reader::open(dir)?.poll(each)
}

/// What a run is and how it ended, by everything that is on disk: up to the watermark while a living process holds it. `None`
/// if its journal cannot be read, by this account or at all.
#[must_use]
pub fn past(dir: &Path) -> Option<Past> {
    let mut past = Past::default();
    let mut reader = Reader::open(dir).ok()?;
    reader.poll(&mut |record| past.feed(&record)).ok()?;
    if !past.holder.as_ref().is_some_and(super::holder_alive) {
        reader.poll_rest(&mut |record| past.feed(&record)).ok()?;
    }
    past.began.is_some().then_some(past)
}
