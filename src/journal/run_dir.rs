//! The folder of a run: made whole or not at all, private, and on a disk that keeps its word.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::evidence::EvidenceStore;
use super::file::FileJournal;
use super::frame::{self, Decoded, HEADER};
use super::head;
use super::lock::{Lock, LockError};
use super::read::{self, Frames, Next};
use super::{chain, evidence, inbox, lock, os};
use crate::error::{Exit, Failure};
use crate::run::event::{Event, Holder, Mode, Record};
use crate::time::Timestamp;

/// The plan as it was written.
pub const PLAN: &str = "plan.yaml";
/// The plan as it was understood.
pub const RESOLVED: &str = "plan.resolved.json";
/// Everything the plan was made of, and where it came from.
pub const SOURCES: &str = "sources";
const INDEX: &str = "index";
/// Output files of attempts.
pub const OUTPUT: &str = "output";

/// A run does not start, and should start nothing destructive, with less than this.
pub const LEAST_BYTES: u64 = 256 << 20;
/// The same for the number of files.
pub const LEAST_FILES: u64 = 1000;

/// Why a run directory cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The id is not one.
    #[error("`{0}` is not a run's id: small letters, digits and `-`, at most 64")]
    BadId(String),
    /// There is a run of this id.
    #[error("there is already a run `{0}`")]
    Exists(String),
    /// There is no such run.
    #[error("there is no run `{id}` in `{root}`")]
    NotFound {
        /// What was asked for.
        id: String,
        /// Where.
        root: PathBuf,
    },
    /// Somebody else could have written to it.
    #[error("`{path}` cannot be trusted: {why}")]
    Unsafe {
        /// The file or folder.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The disk is a network's or a program's.
    #[error("`{path}` lies on {kind}, whose locks and syncs cannot be relied on")]
    FileSystem {
        /// The folder.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// Too little space.
    #[error("`{path}` has {free} left, and a run needs {least}")]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// What is free, with its unit.
        free: String,
        /// What is needed, with its unit.
        least: String,
    },
    /// The lock of the new directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A stored file was changed or is missing.
    #[error("`{path}` was changed: {why}")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("`{path}`: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DirError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> DirError + use<> {
        let path = path.to_owned();
        move |source| DirError::Io { path, source }
    }
}

impl From<DirError> for Failure {
    fn from(error: DirError) -> Self {
        let message = error.to_string();
        match error {
            DirError::Lock(error) => error.into(),
            DirError::BadId(_) | DirError::Exists(_) => Failure::new(Exit::Usage, message),
            DirError::NotFound { .. } => Failure::new(Exit::NothingToResume, message).hint("`relevo status` lists the runs"),
            DirError::Unsafe { .. } => Failure::new(Exit::Refused, message)
                .hint("a run directory belongs to one account (mode 0700), or to a group given with `--group`"),
            DirError::FileSystem { .. } => {
                Failure::new(Exit::Refused, message).hint("use a local disk (`--runs DIR`), or insist with `--allow-fs`")
            }
            DirError::NoSpace { .. } => Failure::new(Exit::NoSpace, message),
            DirError::Changed { .. } => Failure::new(Exit::Damaged, message),
            DirError::Io { source, .. } => Failure::new(Exit::of_io(&source), message),
        }
    }
}

/// Who may use a run directory, and where it may lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sharing {
    /// A group whose members may take turns.
    pub group: Option<String>,
    /// Accept network and user-space file systems.
    pub allow_fs: bool,
}

/// What a new run consists of.
#[derive(Debug, Clone, Copy)]
pub struct NewRun<'a> {
    /// The id; see [`new_id`].
    pub id: &'a str,
    /// Every file that the plan was made of, the plan itself first.
    pub sources: &'a [(PathBuf, String)],
    /// The resolved plan as JSON.
    pub resolved: &'a str,
    /// This process.
    pub holder: &'a Holder,
    /// What it does, for whoever finds the lock taken.
    pub what: &'a str,
    /// Now.
    pub at: Timestamp,
    /// The first events: `RunStarted`. `LockTaken` is added.
    pub first: &'a [Event],
}

/// A run that has just come into being.
#[derive(Debug)]
pub struct Created {
    /// Its folder.
    pub dir: RunDir,
    /// Its journal, at epoch 1. Holds the lock.
    pub journal: FileJournal,
    /// The first records; durable.
    pub records: Vec<Record>,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// When it began; `None` if the first record cannot be read.
    pub started: Option<Timestamp>,
    /// What it is; as above.
    pub mode: Option<Mode>,
}

/// The folder of one run.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
    id: String,
    shared: bool,
}

/// One file in `sources/`.
#[derive(Debug, Serialize, Deserialize)]
struct Source {
    /// Where it was read.
    from: PathBuf,
    /// Its name in the run directory.
    file: String,
    sha256: String,
}

/// What the plan was made of.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    sources: Vec<Source>,
    /// SHA-256 of [`RESOLVED`].
    resolved: String,
}

/// A new run's id: the UTC time, and four digits that two runs of the same second do not share.
#[must_use]
pub fn new_id(at: Timestamp) -> String {
    format!("{}-{:04x}", at.0.strftime("%Y%m%d-%H%M%S"), os::random() & 0xffff)
}

/// Whether a text may be a run's id, and thereby a folder's name.
#[must_use]
pub fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Whether the disk has room for what a run may still write.
///
/// # Errors
/// It has not, or cannot be asked.
pub fn check_space(path: &Path) -> Result<(), DirError> {
    let space = os::space(path).map_err(DirError::io(path))?;
    let short = |free: String, least: String| Err(DirError::NoSpace { path: path.to_owned(), free, least });
    if space.bytes < LEAST_BYTES {
        return short(format!("{} MiB", space.bytes >> 20), format!("{} MiB", LEAST_BYTES >> 20));
    }
    match space.files {
        Some(files) if files < LEAST_FILES => short(format!("{files} files"), format!("{LEAST_FILES} files")),
        _ => Ok(()),
    }
}

impl RunDir {
    /// Makes a run in `runs_root` (made if missing), with its first records, everything durable.
    ///
    /// It is prepared under a name that no other process has, and renamed when it is complete: until then the run does not
    /// exist, and a crash leaves only a folder `.<id>.<random>.new` that nobody reads. Of two processes that make the same
    /// run at once, the second finds that there is one.
    ///
    /// # Errors
    /// The place is not fit, the id is taken, or a file cannot be written.
    pub fn create(runs_root: &Path, new: &NewRun<'_>, sharing: &Sharing) -> Result<Created, DirError> {
        RunDir::create_from(runs_root, new, sharing, &[], &mut |_| Ok(()))
    }

    /// [`RunDir::create`] with records of an earlier run before its own, and whatever `more` puts into the new folder. Then
    /// the new holder is recorded before `new.first`, and not after it.
    pub(super) fn create_from(
        runs_root: &Path,
        new: &NewRun<'_>,
        sharing: &Sharing,
        past: &[Record],
        more: &mut dyn FnMut(&Path) -> Result<(), DirError>,
    ) -> Result<Created, DirError> {
        if !is_id(new.id) {
            return Err(DirError::BadId(new.id.to_owned()));
        }
        let root = make_root(runs_root)?;
        if let (Some(kind), false) = (os::unfit_file_system(&root).map_err(DirError::io(&root))?, sharing.allow_fs) {
            return Err(DirError::FileSystem { path: root, kind });
        }
        check_space(&root)?;
        let path = root.join(new.id);
        if path.symlink_metadata().is_ok() {
            return Err(DirError::Exists(new.id.to_owned()));
        }
        let draft = root.join(format!(".{}.{:016x}.new", new.id, os::random()));
        let dir = RunDir { path: draft.clone(), id: new.id.to_owned(), shared: sharing.group.is_some() };
        let made = dir.fill(new, sharing, past, more).and_then(|made| {
            match fs::rename(&draft, &path) {
                // A run is never an empty folder, so it is never renamed over.
                Err(_) if path.symlink_metadata().is_ok() => return Err(DirError::Exists(new.id.to_owned())),
                renamed => renamed.map_err(DirError::io(&path))?,
            }
            // Its name may not outlive a power cut. The caller is told that there is no run, so nobody may find one.
            os::sync_dir(&root).inspect_err(|_| drop(fs::remove_dir_all(&path))).map_err(DirError::io(&path))?;
            Ok(made)
        });
        let (mut journal, records) = made.inspect_err(|_| {
            // Tidy up as far as possible; what is left over is not a run.
            let _ = fs::remove_dir_all(&draft);
        })?;
        journal.moved_to(&path);
        Ok(Created { dir: RunDir { path, ..dir }, journal, records })
    }

    fn fill(
        &self,
        new: &NewRun<'_>,
        sharing: &Sharing,
        past: &[Record],
        more: &mut dyn FnMut(&Path) -> Result<(), DirError>,
    ) -> Result<(FileJournal, Vec<Record>), DirError> {
        let folder = |name: &str| {
            let path = self.path.join(name);
            os::make_dir(&path, self.shared).map_err(DirError::io(&path)).map(|()| path)
        };
        let file = |name: &str, text: &str| {
            let path = self.path.join(name);
            os::write_new(&path, self.shared, text.as_bytes()).map_err(DirError::io(&path))
        };
        folder("")?;
        if let Some(group) = &sharing.group {
            os::give_to_group(&self.path, group).map_err(DirError::io(&self.path))?;
        }
        file(".gitignore", "*\n")?;
        let sources = folder(SOURCES)?;
        let mut index = Index { sources: Vec::new(), resolved: sha256(new.resolved) };
        for (at, (from, text)) in new.sources.iter().enumerate() {
            let name = if at == 0 { PLAN.to_owned() } else { format!("{SOURCES}/{at:03}-{}", plain_name(from)) };
            file(&name, text)?;
            index.sources.push(Source { from: from.clone(), file: name, sha256: sha256(text) });
        }
        file(RESOLVED, new.resolved)?;
        // One frame: a changed byte shows, as in the journal.
        let mut line = Vec::new();
        let at = sources.join(INDEX);
        frame::encode(&mut line, |buffer| serde_json::to_writer(buffer, &index))
            .map_err(io::Error::other)
            .and_then(|_| os::write_new(&at, self.shared, &line))
            .map_err(DirError::io(&at))?;
        for name in [evidence::NAME, OUTPUT, inbox::NAME, inbox::DONE, inbox::REJECTED] {
            folder(name)?;
        }
        // An empty folder needs no sync of its own: that of the folder which names it is enough.
        let inbox = self.path.join(inbox::NAME);
        os::sync_dir(&inbox).map_err(DirError::io(&inbox))?;
        os::sync_dir(&sources).map_err(DirError::io(&sources))?;

        more(&self.path)?;

        let lock = Lock::take(&self.path, self.shared, new.holder, new.what, new.at)?;
        let taken = Event::LockTaken { holder: new.holder.clone(), take_over: false };
        let first = new.first.iter().cloned();
        let first: Vec<Event> =
            if past.is_empty() { first.chain([taken]).collect() } else { std::iter::once(taken).chain(first).collect() };
        let made = FileJournal::create(&self.path, self.shared, lock, new.at, past, &first)
            .and_then(|made| os::sync_dir(&self.path).map(|()| made));
        made.map_err(DirError::io(&self.path.join(read::NAME)))
    }

    /// Opens the run `id` in `runs_root`, and makes sure that nobody else could have written to it.
    ///
    /// # Errors
    /// There is none, or it cannot be trusted.
    pub fn open(runs_root: &Path, id: &str, allow_fs: bool) -> Result<Self, DirError> {
        if !is_id(id) {
            return Err(DirError::BadId(id.to_owned()));
        }
        let root = std::path::absolute(runs_root).map_err(DirError::io(runs_root))?;
        let path = root.join(id);
        let meta = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DirError::NotFound { id: id.to_owned(), root });
            }
            meta => meta.map_err(DirError::io(&path))?,
        };
        let distrust = |path: &Path, why: &str| DirError::Unsafe { path: path.to_owned(), why: why.to_owned() };
        if !meta.is_dir() {
            return Err(distrust(&path, "not a folder (symbolic links are not followed)"));
        }
        if let (Some(kind), false) = (os::unfit_file_system(&path).map_err(DirError::io(&path))?, allow_fs) {
            return Err(DirError::FileSystem { path, kind });
        }
        let shared = os::is_shared(&meta);
        if let Some(why) = os::not_private(&meta, shared) {
            return Err(distrust(&path, &why));
        }
        for name in [read::NAME, head::NAME, lock::NAME, PLAN, RESOLVED] {
            let path = path.join(name);
            let meta = match path.symlink_metadata() {
                // A missing file is for those to report who need it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                meta => meta.map_err(DirError::io(&path))?,
            };
            os::one_regular_file(&meta).map_err(|why| distrust(&path, why))?;
            if let Some(why) = os::not_private(&meta, shared) {
                return Err(distrust(&path, &why));
            }
        }
        for name in [inbox::NAME, evidence::NAME, SOURCES, OUTPUT] {
            let path = path.join(name);
            if path.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
                return Err(distrust(&path, "not a folder"));
            }
        }
        Ok(RunDir { path, id: id.to_owned(), shared })
    }

    /// For reading only, whoever could have written to it.
    pub(super) fn untrusted(path: &Path) -> Self {
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        RunDir { path: path.to_owned(), id, shared: false }
    }

    /// The runs in a folder, oldest first. A folder that is missing has none.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(runs_root: &Path) -> io::Result<Vec<Listed>> {
        let entries = match fs::read_dir(runs_root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(id) = name.to_str().filter(|id| is_id(id)) else { continue };
            // What cannot be looked at is there all the same.
            let resolved = entry.path().join(RESOLVED).symlink_metadata();
            let complete = resolved.err().is_none_or(|error| error.kind() != io::ErrorKind::NotFound);
            if entry.file_type()?.is_dir() && complete {
                let first = first_record(&entry.path());
                let mode = first.as_ref().and_then(|record| match &record.event {
                    Event::RunStarted { mode, .. } => Some(*mode),
                    _ => None,
                });
                runs.push(Listed { id: id.to_owned(), started: first.map(|record| record.at), mode });
            }
        }
        runs.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
        Ok(runs)
    }

    /// The run that began last.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn latest(runs_root: &Path) -> io::Result<Option<Listed>> {
        RunDir::list(runs_root).map(|mut runs| runs.pop())
    }

    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// True if a group takes turns with it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Takes the run's lock, without waiting.
    ///
    /// # Errors
    /// Somebody holds it, or the file cannot be used.
    pub fn lock(&self, me: &Holder, what: &str, since: Timestamp) -> Result<Lock, LockError> {
        Lock::take(&self.path, self.shared, me, what, since)
    }

    /// Where the run's evidence is kept.
    #[must_use]
    pub fn evidence(&self) -> EvidenceStore {
        EvidenceStore::of(&self.path, self.shared)
    }

    /// Where amendments of the plan are kept, named by what they hold; among the other texts that the run is made of.
    #[must_use]
    pub fn amendments(&self) -> EvidenceStore {
        EvidenceStore::at(self.path.join(SOURCES), self.shared)
    }

    /// Where attempts keep the output of what they start.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.path.join(OUTPUT)
    }

    /// Every file that the plan was made of: where it was read, and its text, the plan first.
    ///
    /// # Errors
    /// A file is missing or was changed.
    pub fn sources(&self) -> Result<Vec<(PathBuf, String)>, DirError> {
        self.index()?.sources.into_iter().map(|s| Ok((s.from, self.stored(&s.file, &s.sha256)?))).collect()
    }

    /// The resolved plan as JSON.
    ///
    /// # Errors
    /// It is missing or was changed.
    pub fn resolved(&self) -> Result<String, DirError> {
        let index = self.index()?;
        self.stored(RESOLVED, &index.resolved)
    }

    fn index(&self) -> Result<Index, DirError> {
        let path = self.path.join(SOURCES).join(INDEX);
        let bytes = os::open_regular(&path, false)
            .and_then(|mut file| os::read_at_most(&mut file, frame::MAX_JSON as u64))
            .map_err(DirError::io(&path))?
            .unwrap_or_default();
        let index = match frame::decode(&bytes) {
            Decoded::Frame { len } if len == bytes.len() => serde_json::from_slice(&bytes[HEADER..len - 1]).ok(),
            _ => None,
        };
        index.ok_or_else(|| DirError::Changed { path, why: "it is not what was written there".into() })
    }

    fn stored(&self, name: &str, expected: &str) -> Result<String, DirError> {
        let path = self.path.join(name);
        let text = os::open_regular(&path, false).and_then(io::read_to_string).map_err(DirError::io(&path))?;
        if sha256(&text) == expected {
            Ok(text)
        } else {
            Err(DirError::Changed { path, why: "its SHA-256 is another one than when the run began".into() })
        }
    }
}

/// Makes the folder of runs if it is missing, durably. Returns its absolute path.
fn make_root(runs_root: &Path) -> Result<PathBuf, DirError> {
    let root = std::path::absolute(runs_root).map_err(DirError::io(runs_root))?;
    let mut missing: Vec<&Path> = root.ancestors().take_while(|path| !path.exists()).collect();
    while let Some(path) = missing.pop() {
        match os::make_dir(path, false) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(DirError::io(path))?,
        }
        let parent = path.parent().unwrap_or(path);
        os::sync_dir(parent).map_err(DirError::io(parent))?;
    }
    Ok(root)
}

/// Reads the first record without judging the rest.
fn first_record(dir: &Path) -> Option<Record> {
    let file = os::open_regular(&dir.join(read::NAME), false).ok()?;
    let mut frames = Frames::new(file, 0);
    match frames.next().ok()? {
        Next::Frame(range) => chain::Chain::start().accept(frames.bytes(range)).ok(),
        Next::End | Next::Bad(_) => None,
    }
}

fn sha256(text: &str) -> String {
    chain::text(&chain::hash(text.as_bytes())).to_owned()
}

/// The last part of a path, reduced to what every file system takes.
fn plain_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_time_and_something_of_its_own() {
        let at = Timestamp::from_millis(1_795_816_800_000);
        let id = new_id(at);
        assert!(is_id(&id) && id.starts_with("20261127-220000-") && id.len() == 20, "{id}");
    }

    #[test]
    fn s14_an_id_is_never_a_way_out_of_the_folder() {
        for bad in ["", ".", "..", "a/b", "A", "a\\b", "a.b", "ä", &"a".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
