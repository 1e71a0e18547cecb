//! A new run from the intact beginning of a damaged one.
//!
//! - The damaged run directory is only read: not even its lock file is written to.
//! - What counts is what proves itself: whole lines from the first one on, in order, each with the hash of the one before.
//! - The new run directory appears whole or not at all, as every other one. Its journal holds the same events at the same
//!   times under the new run's id, then who holds it now, then [`Event::Salvaged`]; so it has hashes of its own.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::chain::{self, Chain};
use super::circles::Circles;
use super::evidence;
use super::head::{self, Slots};
use super::holder::{holder_alive, judge_holder};
use super::lock::{self, LockError};
use super::os;
use super::os::Rights;
use super::read::{Frames, NAME, Next};
use super::recover::{self, Damage, OpenError};
use super::run_dir::{Created, DirError, NewRun, OUTPUT, RunDir, Sharing};
use crate::error::{Exit, Failure};
use crate::run::event::{Event, EvidenceRef, Holder, Person, Record};
use crate::time::Timestamp;

/// What is intact of a run. As long as it lives, nobody else can take the run.
#[derive(Debug)]
pub struct Intact {
    /// The records, from the first one on.
    pub records: Vec<Record>,
    /// Up to which record the run was durable for certain.
    pub watermark: Option<u64>,
    /// What is wrong; `None` if every line of the journal is sound.
    pub damage: Option<Damage>,
    _lock: Option<File>,
}

/// Why nothing can be salvaged.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// Somebody holds the run.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal cannot be read, belongs to another run, or may still be written elsewhere.
    #[error(transparent)]
    Open(OpenError),
    /// Not even the first record is intact.
    #[error("{}: not one record of the journal is intact", .0.display())]
    Nothing(PathBuf),
    /// The journal is a whole one, but not the one that was written.
    #[error("{}: record {seq} is not the one that was published", .path.display())]
    Exchanged {
        /// The file.
        path: PathBuf,
        /// The record.
        seq: u64,
    },
}

impl From<SalvageError> for Failure {
    fn from(error: SalvageError) -> Self {
        let message = error.to_string();
        match error {
            SalvageError::Lock(error) => error.into(),
            SalvageError::Open(error) => error.into(),
            SalvageError::Nothing(_) => Failure::new(Exit::Damaged, message)
                .detail("so nothing proves what this run did")
                .hint("bring the run directory back from a copy, or look at every system by hand before a new run"),
            SalvageError::Exchanged { .. } => Failure::new(Exit::Damaged, message)
                .detail("the lines fit together, but another history was durable: none of them proves anything")
                .hint("bring the run directory back from a copy"),
        }
    }
}

/// Reads what is intact of a run, and keeps it from being taken meanwhile. `take_over` is what was typed after
/// `--take-over`.
///
/// # Errors
/// The run is held, may be held on another machine, or proves nothing.
pub fn read(dir: &RunDir, take_over: Option<&str>) -> Result<Intact, SalvageError> {
    let path = dir.path().join(NAME);
    let lock = lock::hold_quietly(dir.path())?;
    let slots = match head::read(dir.path()) {
        Err(error) if Exit::of_io(&error) == Exit::Damaged => Slots([None, None]),
        slots => slots.map_err(|error| SalvageError::Open(OpenError::io(&dir.path().join(head::NAME), error)))?,
    };
    let records = prefix(&path, &slots)?;
    let Some(Event::RunStarted { run, .. }) = records.first().map(|record| &record.event) else {
        return Err(SalvageError::Nothing(path));
    };
    if run != dir.id() {
        let (expected, found) = (dir.id().to_owned(), run.clone());
        return Err(SalvageError::Open(OpenError::OtherRun { path, expected, found }));
    }
    may_be_taken(dir, &records, take_over)?;
    let damage = match recover::verdict(dir.path()) {
        Ok(()) => None,
        Err(OpenError::Damaged(damage)) => Some(*damage),
        Err(other) => return Err(SalvageError::Open(other)),
    };
    Ok(Intact { records, watermark: slots.best().map(|mark| mark.seq), damage, _lock: lock })
}

fn prefix(path: &Path, slots: &Slots) -> Result<Vec<Record>, SalvageError> {
    let failed = |error: io::Error| match Exit::of_io(&error) {
        Exit::Damaged => SalvageError::Nothing(path.to_owned()),
        _ => SalvageError::Open(OpenError::io(path, error)),
    };
    let mut frames = Frames::new(os::open_regular(path, false).map_err(failed)?, 0);
    let mut chain = Chain::start();
    let mut records = Vec::new();
    while let Next::Frame(range) = frames.next().map_err(failed)? {
        let Ok(record) = chain.accept(frames.bytes(range)) else { break };
        if slots.0.iter().flatten().any(|mark| mark.seq == record.seq && mark.hash != chain.hash) {
            return Err(SalvageError::Exchanged { path: path.to_owned(), seq: record.seq });
        }
        records.push(record);
    }
    Ok(records)
}

/// The lock is free, which says nothing about another machine, nor about a holder whose lock file was taken away.
fn may_be_taken(dir: &RunDir, records: &[Record], take_over: Option<&str>) -> Result<(), SalvageError> {
    let me = Holder::current();
    let claim = format!("{}/{}", dir.id(), records.last().map_or(0, |record| record.epoch));
    let last = records.iter().rev().find_map(|record| match &record.event {
        Event::LockTaken { holder, .. } => Some(holder.clone()),
        _ => None,
    });
    // A later holder may have signed the lock file, with its record among the lost ones.
    let signed = lock::holder_of(dir.path()).map(|by| by.holder);
    for holder in last.into_iter().chain(signed) {
        judge_holder(&holder, holder_alive(&holder), &me, &claim, take_over)
            .map_err(|refusal| SalvageError::Open(OpenError::Refused(refusal)))?;
    }
    Ok(())
}

/// The run that is to stand where the damaged one's records prove it stood.
#[derive(Debug)]
pub struct Successor<'a> {
    /// Its id.
    pub id: &'a str,
    /// The records to go on from.
    pub records: &'a [Record],
    /// Up to which record the damaged run was durable for certain.
    pub watermark: Option<u64>,
    /// Files beside the journal that these records need, such as amendments, by their names.
    pub files: &'a [String],
    /// Who salvages.
    pub by: Person,
    /// This process.
    pub holder: &'a Holder,
    /// Now.
    pub at: Timestamp,
    /// Accept network and user-space file systems.
    pub allow_fs: bool,
}

/// A salvaged run.
#[derive(Debug)]
pub struct Salvaged {
    /// The new run.
    pub created: Created,
    /// How many files of evidence were copied.
    pub evidence: usize,
    /// Evidence that is named by the records and not there, or that is not what its name says: what, and why.
    pub missing: Vec<String>,
}

/// Makes the new run directory beside the old one.
///
/// # Errors
/// A file of the old one cannot be read or was changed, or the new one cannot be written.
pub fn write(runs_root: &Path, from: &RunDir, new: &Successor<'_>) -> Result<Salvaged, DirError> {
    let (sources, resolved) = (from.sources()?, from.resolved()?);
    let mut past = new.records.to_vec();
    if let Some(Event::RunStarted { run, .. }) = past.first_mut().map(|record| &mut record.event) {
        new.id.clone_into(run);
    }
    let salvaged =
        Event::Salvaged { from: from.id().to_owned(), records: past.len() as u64, watermark: new.watermark, by: new.by.clone() };
    let run = NewRun {
        id: new.id,
        sources: &sources,
        resolved: &resolved,
        holder: new.holder,
        what: "salvage",
        at: new.at,
        first: &[salvaged],
    };
    let (group, voters) = match from.circles() {
        Circles::Private => (None, None),
        Circles::Holders { group } => (Some(group), None),
        Circles::Voters { voters, holders } => (holders, Some(voters)),
    };
    let sharing = Sharing { group, voters, allow_fs: new.allow_fs };
    let (mut evidence, mut missing) = (0, Vec::new());
    let created = RunDir::create_from(runs_root, &run, &sharing, &past, &mut |to| {
        for name in new.files {
            let bytes = whole(&from.path().join(name))?;
            put(&to.join(name), from.rights(), &bytes)?;
        }
        (evidence, missing) = copy_evidence(from, to, &past)?;
        copy_output(from, to)
    })?;
    Ok(Salvaged { created, evidence, missing })
}

fn whole(path: &Path) -> Result<Vec<u8>, DirError> {
    let mut bytes = Vec::new();
    os::open_regular(path, false)
        .and_then(|mut file| io::Read::read_to_end(&mut file, &mut bytes))
        .map_err(DirError::io(path))?;
    Ok(bytes)
}

fn put(path: &Path, rights: Rights, bytes: &[u8]) -> Result<(), DirError> {
    os::write_new(path, rights, bytes).map_err(DirError::io(path))
}

/// Copies every file that is what its name says: a before-image of the lost part may be the only one there is. Tells
/// what is not, and what the records name and is not there.
fn copy_evidence(from: &RunDir, to: &Path, past: &[Record]) -> Result<(usize, Vec<String>), DirError> {
    let (old, new) = (from.path().join(evidence::NAME), to.join(evidence::NAME));
    let mut named: Vec<EvidenceRef> =
        past.iter()
            .filter_map(|record| match &record.event {
                Event::AttemptStarted { before_image: Some(reference), .. }
                | Event::EvidenceStored { evidence: reference, .. } => Some(reference.clone()),
                _ => None,
            })
            .collect();
    named.sort();
    named.dedup();
    let mut copied = 0;
    let mut missing = Vec::new();
    for name in names(&old)? {
        if name.starts_with('.') {
            // A file that was never complete.
            continue;
        }
        let path = old.join(&name);
        match whole(&path) {
            Ok(bytes) if chain::text(&chain::hash(&bytes)) == name => {
                put(&new.join(&name), from.rights().closed(), &bytes)?;
                copied += 1;
                named.retain(|reference| reference.sha256 != name);
            }
            Ok(_) => missing.push(format!("{name}: it was changed")),
            // What is no file is no evidence; a disk that cannot be read is another matter.
            Err(DirError::Io { source, .. }) if Exit::of_io(&source) == Exit::Damaged => {
                missing.push(format!("{name}: {source}"));
            }
            Err(error) => return Err(error),
        }
    }
    let told = |reference: &EvidenceRef| missing.iter().any(|line| line.starts_with(&reference.sha256));
    let gone: Vec<String> = named
        .iter()
        .filter(|reference| !told(reference))
        .map(|of| format!("{} ({}): it is missing", of.sha256, of.kind))
        .collect();
    missing.extend(gone);
    os::sync_dir(&new).map_err(DirError::io(&new))?;
    Ok((copied, missing))
}

/// Keeps what the old attempts printed in a folder of its own: the new run's attempts begin with files that are not there
/// yet, and the locks of the old ones would say nothing here.
fn copy_output(from: &RunDir, to: &Path) -> Result<(), DirError> {
    let into = to.join(OUTPUT).join(from.id());
    let rights = from.rights().closed();
    os::make_dir(&into, rights).map_err(DirError::io(&into))?;
    copy_folder(&from.path().join(OUTPUT), &into, rights)
}

fn copy_folder(old: &Path, new: &Path, rights: Rights) -> Result<(), DirError> {
    for name in names(old)? {
        let (path, copy) = (old.join(&name), new.join(&name));
        let meta = path.symlink_metadata().map_err(DirError::io(&path))?;
        if meta.is_dir() {
            os::make_dir(&copy, rights).map_err(DirError::io(&copy))?;
            copy_folder(&path, &copy, rights)?;
        } else if os::one_regular_file(&meta).is_ok() {
            put(&copy, rights, &whole(&path)?)?;
        }
    }
    os::sync_dir(new).map_err(DirError::io(new))
}

/// The names in a folder, in order; none if it is missing.
fn names(folder: &Path) -> Result<Vec<String>, DirError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(DirError::io(folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(DirError::io(folder))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
