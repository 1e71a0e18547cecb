//! Opening a journal that may have been cut off: clean, a torn tail, or damaged.
//!
//! - Frames are read one by one; each must be whole, the next in number, and hold the hash of the one before.
//! - Where that ends, at most a megabyte may follow that holds no whole frame: a write that a crash tore. It is kept
//!   beside the journal and cut off.
//! - Anything else, and anything at all that contradicts the watermark, is damage: a record that was durable is gone or
//!   changed. Then nothing is touched, and the caller is told what is certain.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::chain::{self, Chain};
use super::circles::Shares;
use super::file::FileJournal;
use super::frame::{self, MAX_BATCH, OVERHEAD};
use super::head::{self, Head, Slots};
use super::holder::{Refusal, holder_alive, judge_holder};
use super::lock::Lock;
use super::read::{Frames, NAME, Next};
use super::{os, run_dir};
use crate::error::{Exit, Failure};
use crate::run::event::{Event, Holder, OLDEST_SEMANTICS, Record, SEMANTICS};

/// The longest torn tail: one write.
const MAX_TAIL: u64 = (MAX_BATCH + OVERHEAD) as u64;

/// What is wrong with a journal, and what is certain nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Records 1 to this one are intact.
    pub intact: u64,
    /// Where in the file the damage is, in bytes.
    pub offset: u64,
    /// What was found.
    pub what: String,
    /// The last record that is known to have been durable.
    pub watermark: Option<u64>,
}

impl Damage {
    pub(super) fn new(path: &Path, intact: u64, offset: u64, what: String) -> Self {
        Damage { path: path.to_owned(), intact, offset, what, watermark: None }
    }

    pub(super) fn and_watermark(mut self, watermark: Option<u64>) -> Self {
        self.watermark = watermark;
        self
    }

    /// What is certain, line by line.
    #[must_use]
    pub fn certain(&self) -> Vec<String> {
        let mut lines = vec![match self.intact {
            0 => "no record is intact".to_owned(),
            n => format!("records 1 to {n} are intact; line {} is the first that is not", n + 1),
        }];
        if let Some(watermark) = self.watermark {
            lines.push(format!("records up to {watermark} were durable"));
        }
        lines.push("nothing was changed in the run directory".to_owned());
        lines
    }
}

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A record that was durable is gone or changed.
    #[error("{}:{}: the journal is damaged: {}", .0.path.display(), .0.offset, .0.what)]
    Damaged(Box<Damage>),
    /// The journal belongs to another run.
    #[error("{}: the journal is of run `{found}`, but lies in the directory of run `{expected}`", .path.display())]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// The directory's name.
        expected: String,
        /// The run that the journal names.
        found: String,
    },
    /// The journal was written by a version for which events mean something else.
    #[error(
        "{}: the journal's events are of version {found}; this program knows versions {OLDEST_SEMANTICS} to {SEMANTICS}",
        .path.display()
    )]
    OtherSemantics {
        /// The file.
        path: PathBuf,
        /// The journal's version.
        found: u32,
    },
    /// The last holder must be overridden by a typed order.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            // A run directory appears with all its files at once, so this one was there.
            return OpenError::Damaged(Box::new(Damage::new(path, 0, 0, "the file is missing".into())));
        }
        OpenError::Io { path: path.to_owned(), source }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let message = error.to_string();
        match error {
            OpenError::Damaged(damage) => {
                let failure = Failure::new(Exit::Damaged, message);
                let failure = damage.certain().into_iter().fold(failure, Failure::detail);
                let failure = failure.hint("`relevo verify` reads it line by line");
                if damage.intact == 0 {
                    failure
                } else {
                    failure.hint("`relevo salvage` goes on from what is intact, in a new run")
                }
            }
            OpenError::OtherRun { .. } => Failure::new(Exit::Damaged, message),
            OpenError::Io { source, .. } => Failure::new(Exit::of_io(&source), message),
            OpenError::OtherSemantics { .. } => {
                Failure::new(Exit::Damaged, message).hint("go on with the version of relevo that started the run")
            }
            OpenError::Refused(refusal) => {
                let (exit, hint) = match &refusal {
                    Refusal::Alive { claim, .. } | Refusal::OtherHost { claim, .. } => {
                        (Exit::Held, format!("make sure that it no longer runs there, then `relevo resume --take-over {claim}`"))
                    }
                    Refusal::WrongClaim { .. } => (Exit::Refused, "`relevo status` shows the run and its holder".into()),
                };
                Failure::new(exit, message).hint(hint)
            }
        }
    }
}

/// A tail that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// How long it was.
    pub bytes: u64,
    /// SHA-256 of it.
    pub sha256: String,
    /// Where it is kept.
    pub kept: PathBuf,
}

/// A journal that can be written.
#[derive(Debug)]
pub struct Opened {
    /// Appends after the last record, under the next epoch. Holds the lock.
    pub journal: FileJournal,
    /// The last record that was read.
    pub last_seq: u64,
    /// The tail that was cut off, if there was one.
    pub torn: Option<Torn>,
    /// True if another holder was overridden by a typed order.
    pub take_over: bool,
    /// True if one of the watermark's two slots was bad; the other one was used.
    pub slot_lost: bool,
}

impl Opened {
    /// The events that this process owes the journal before anything else: who holds the run now, and what was cut.
    #[must_use]
    pub fn announcements(&self) -> Vec<Event> {
        let holder = self.journal.holder().clone();
        let cut = self.torn.iter().map(|torn| Event::TailTruncated { bytes: torn.bytes, sha256: torn.sha256.clone() });
        std::iter::once(Event::LockTaken { holder, take_over: self.take_over }).chain(cut).collect()
    }
}

/// What reading a journal from beginning to end gave.
struct Scanned {
    chain: Chain,
    /// Where the last record ends.
    end: u64,
    /// Where the records end that the watermark names.
    marked: u64,
    tail: Option<Vec<u8>>,
    last_holder: Option<Holder>,
    run: String,
}

/// Reads a run's journal for writing: every record goes to `each`, a torn tail is kept and cut off.
///
/// `take_over` is what was typed after `--take-over`. On an error the records already given to `each` are void, and
/// nothing was changed. After success, append [`Opened::announcements`] and sync before any look or effect.
///
/// # Errors
/// The journal is damaged, of another run, held elsewhere, or cannot be read.
pub fn open_for_writing(
    dir: &Path,
    lock: Lock,
    take_over: Option<&str>,
    each: &mut dyn FnMut(Record),
) -> Result<Opened, OpenError> {
    let path = dir.join(NAME);
    let failed = |source| OpenError::io(&path, source);
    let slots = head::read(dir).map_err(|e| OpenError::io(&dir.join(head::NAME), e))?;
    let mut file = os::open_append(&path).map_err(failed)?;
    let scanned = scan(dir, &path, &mut file, &slots, each)?;

    let take_over = match &scanned.last_holder {
        Some(last) => {
            let claim = format!("{}/{}", scanned.run, scanned.chain.epoch);
            judge_holder(last, holder_alive(last), lock.holder(), &claim, take_over)?
        }
        None => false,
    };

    // From here on the run is ours, and the directory is changed.
    let torn = scanned.tail.map(|tail| cut(dir, scanned.end, &tail)).transpose().map_err(failed)?;
    confirm(&path, &file, scanned.marked, scanned.end).map_err(failed)?;
    let head = Head::open(dir).map_err(|e| OpenError::io(&dir.join(head::NAME), e))?;
    let last_seq = scanned.chain.seq;
    let journal = FileJournal::continued(path.clone(), file, head, lock, scanned.chain, scanned.end).map_err(failed)?;
    Ok(Opened { journal, last_seq, torn, take_over, slot_lost: slots.bad() > 0 })
}

/// Whether a run's journal is sound, as [`open_for_writing`] would find it. Changes nothing, and asks nobody who holds it.
pub(super) fn verdict(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join(NAME);
    let slots = head::read(dir).map_err(|e| OpenError::io(&dir.join(head::NAME), e))?;
    let mut file = os::open_regular(&path, false).map_err(|e| OpenError::io(&path, e))?;
    scan(dir, &path, &mut file, &slots, &mut drop).map(drop)
}

fn scan(dir: &Path, path: &Path, file: &mut File, slots: &Slots, each: &mut dyn FnMut(Record)) -> Result<Scanned, OpenError> {
    let failed = |source| OpenError::io(path, source);
    let watermark = slots.best().map(|mark| mark.seq);
    let damaged = |chain: &Chain, at: u64, what: String| {
        OpenError::Damaged(Box::new(Damage::new(path, chain.seq, at, what).and_watermark(watermark)))
    };
    if watermark.is_none() {
        let what = "both slots of the watermark are bad".to_owned();
        return Err(OpenError::Damaged(Box::new(Damage::new(&dir.join(head::NAME), 0, 0, what))));
    }

    let mut frames = Frames::new(&*file, 0);
    let mut chain = Chain::start();
    let (mut marked, mut last_holder, mut run) = (0, None, None);
    let (end, fault) = loop {
        let at = frames.offset();
        let frame = match frames.next().map_err(failed)? {
            Next::Frame(range) => range,
            Next::End => break (at, None),
            Next::Bad(fault) => break (at, Some(fault)),
        };
        // A whole frame in the wrong place was never torn: that is damage, even at the very end.
        let record = chain.accept(frames.bytes(frame)).map_err(|broken| damaged(&chain, at, broken.to_string()))?;
        for mark in slots.0.iter().flatten().filter(|mark| mark.seq == record.seq) {
            if mark.hash != chain.hash || mark.epoch != chain.epoch {
                return Err(damaged(&chain, at, format!("record {} is not the one that was published", mark.seq)));
            }
        }
        match &record.event {
            Event::RunStarted { run: id, semantics, .. } if record.seq == 1 => {
                if !(OLDEST_SEMANTICS..=SEMANTICS).contains(semantics) {
                    return Err(OpenError::OtherSemantics { path: path.to_owned(), found: *semantics });
                }
                run = Some(id.clone());
            }
            Event::SemanticsRaised { to, .. } if *to > SEMANTICS => {
                return Err(OpenError::OtherSemantics { path: path.to_owned(), found: *to });
            }
            Event::LockTaken { holder, .. } => last_holder = Some(holder.clone()),
            _ => {}
        }
        if Some(record.seq) <= watermark {
            marked = frames.offset();
        }
        each(record);
    };

    if Some(chain.seq) < watermark {
        let why = fault.map_or_else(|| "the journal ends".to_owned(), |fault| fault.to_string());
        let lost = format!("record {} was durable and is not there: {why}", chain.seq + 1);
        return Err(damaged(&chain, end, lost));
    }
    let Some(run) = run else { return Err(damaged(&chain, 0, "the first record does not start a run".into())) };
    let expected = name_of(dir);
    if run != expected {
        return Err(OpenError::OtherRun { path: path.to_owned(), expected, found: run });
    }

    let mut tail = None;
    if let Some(fault) = fault {
        let bytes = tail_from(file, end).map_err(failed)?;
        if bytes.len() as u64 > MAX_TAIL {
            return Err(damaged(&chain, end, format!("{fault}, and more follows than one torn write can leave")));
        }
        if let Some(at) = frame::find(&bytes) {
            let later = end + at as u64;
            return Err(damaged(&chain, end, format!("{fault}, but a whole record follows at byte {later}")));
        }
        tail = Some(bytes);
    }
    Ok(Scanned { chain, end, marked, tail, last_holder, run })
}

/// The bytes from `end` on; one more than [`MAX_TAIL`] if there are more.
fn tail_from(file: &mut File, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(end))?;
    file.take(MAX_TAIL + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether the bytes from `end` on can be one torn write.
pub(super) fn may_be_torn(file: &mut File, end: u64) -> io::Result<bool> {
    let bytes = tail_from(file, end)?;
    Ok(bytes.len() as u64 <= MAX_TAIL && frame::find(&bytes).is_none())
}

/// The directory's own name, which is the run's id.
pub(super) fn name_of(dir: &Path) -> String {
    let absolute = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    absolute.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Keeps the tail, durably, and only then cuts it off.
fn cut(dir: &Path, end: u64, tail: &[u8]) -> io::Result<Torn> {
    let rights = Shares::of(dir)?.rights().closed();
    let folder = run_dir::inner(dir, run_dir::TORN);
    let mut number = 1;
    let kept = loop {
        let kept = folder.join(format!("{NAME}.torn-{number}"));
        match os::write_new(&kept, rights, tail) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            written => break written.map(|()| kept)?,
        }
    };
    os::sync_dir(&folder)?;
    os::truncate(&dir.join(NAME), end)?;
    os::sync_dir(dir)?;
    Ok(Torn { bytes: tail.len() as u64, sha256: chain::text(&chain::hash(tail)).to_owned(), kept })
}

/// Makes durable what the watermark does not vouch for.
///
/// A process whose sync failed leaves records behind that the system still shows but may never write: it reports such a
/// failure once, and then takes the pages for clean. Writing the same bytes again makes it write them.
fn confirm(path: &Path, file: &File, from: u64, to: u64) -> io::Result<()> {
    if from < to {
        let mut again = os::open_regular(path, true)?;
        let mut rest = from;
        let mut bytes = vec![0; MAX_BATCH];
        while rest < to {
            let many = usize::try_from(to - rest).unwrap_or(MAX_BATCH).min(MAX_BATCH);
            again.seek(SeekFrom::Start(rest))?;
            again.read_exact(&mut bytes[..many])?;
            again.seek(SeekFrom::Start(rest))?;
            again.write_all(&bytes[..many])?;
            rest += many as u64;
        }
    }
    file.sync_all()
}
