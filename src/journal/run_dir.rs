//! The folder of a run: made whole or not at all, private, and on a disk that keeps its word.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::circles::{self, Access, Circles, Groups, Shares};
use super::evidence::EvidenceStore;
use super::file::FileJournal;
use super::frame::{self, Decoded, HEADER};
use super::lock::{Lock, LockError};
use super::os::Rights;
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
/// The developers' logs, one per account. In runs of before it is a file.
pub const LOG: &str = "log";
/// Tails that were cut off. Runs of before keep them beside the journal.
pub const TORN: &str = "torn";

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
    /// It belongs to others, and this account may not do that with it.
    #[error("{0}")]
    Closed(Box<Closed>),
    /// The groups that it is to be shared with cannot be used.
    #[error("{0}")]
    Groups(String),
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
            DirError::Unsafe { .. } => Failure::new(Exit::Refused, message).hint(
                "a run directory belongs to one account (mode 0700), or is shared by `--group` and `--voters` at its start",
            ),
            DirError::Closed(closed) => (*closed).into(),
            DirError::Groups(_) => Failure::new(Exit::Usage, message)
                .hint("`--group GROUP` names those who may resume the run, `--voters GROUP` those who may read it and vote"),
            DirError::FileSystem { .. } => {
                Failure::new(Exit::Refused, message).hint("use a local disk (`--runs DIR`), or insist with `--allow-fs`")
            }
            DirError::NoSpace { .. } => Failure::new(Exit::NoSpace, message),
            DirError::Changed { .. } => Failure::new(Exit::Damaged, message),
            DirError::Io { source, .. } => Failure::new(Exit::of_io(&source), message),
        }
    }
}

/// What somebody may not do with a run, and how it is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The run, or the folder of runs.
    pub what: String,
    /// Whose it is.
    pub owner: String,
    /// Who asks.
    pub me: String,
    /// Whom it is shared with; `None` if that cannot be seen.
    pub circles: Option<Circles>,
    /// False if not even reading is allowed.
    pub may_read: bool,
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Closed { what, owner, me, circles, may_read } = self;
        let shared = match circles {
            None => "which `".to_owned() + me + "` may not enter",
            Some(Circles::Private) => "who has shared it with nobody".to_owned(),
            Some(Circles::Holders { group } | Circles::Voters { holders: Some(group), .. }) if *may_read => {
                format!("and only group `{group}` may resume it as well")
            }
            Some(Circles::Holders { group }) => format!("who has shared it with group `{group}` alone"),
            Some(Circles::Voters { holders: None, .. }) if *may_read => {
                "who has not allowed anybody else to resume it".to_owned()
            }
            Some(Circles::Voters { voters, .. }) => format!("and nobody reads it who is not in group `{voters}`"),
        };
        let verb = if *may_read { "resume" } else { "read" };
        write!(f, "`{me}` may not {verb} {what}: it belongs to `{owner}`, {shared}")
    }
}

impl From<Closed> for Failure {
    fn from(closed: Closed) -> Self {
        let failure = Failure::new(Exit::Refused, closed.to_string());
        let owner = &closed.owner;
        if closed.may_read {
            return failure
                .detail("as a voter you may read its status and leave orders and votes (`status`, `decide`, `pause`, `abort`)")
                .hint(format!(
                    "ask `{owner}`, or a holder; who may resume a run is said at its start: `relevo run --group GROUP`"
                ));
        }
        failure.hint(format!(
            "ask `{owner}`; at its start a run is shared: `relevo run --voters GROUP` lets a group read it and vote, `--group GROUP` \
             lets a group resume it"
        ))
    }
}

/// Who may use a run directory, and where it may lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Holders: a group whose members may take turns. They write the run's files.
    pub group: Option<String>,
    /// Voters: a group whose members may read the run and drop letters.
    pub voters: Option<String>,
    /// Accept network and user-space file systems.
    pub allow_fs: bool,
}

impl Sharing {
    /// Makes sure that the groups are there, and that this account can share something with them.
    ///
    /// # Errors
    /// It cannot.
    pub fn check(&self) -> Result<(), DirError> {
        Groups::find(self.group.as_deref(), self.voters.as_deref()).map(drop).map_err(DirError::Groups)
    }
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
    /// This account may not read it.
    pub closed: bool,
}

/// The folder of one run.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
    id: String,
    shares: Shares,
    /// What is wrong with folders that nothing is believed from.
    untidy: Vec<String>,
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
        let groups = Groups::find(sharing.group.as_deref(), sharing.voters.as_deref()).map_err(DirError::Groups)?;
        let root = make_root(runs_root, groups.holders.is_some() || groups.voters.is_some())?;
        if let (Some(kind), false) = (os::unfit_file_system(&root).map_err(DirError::io(&root))?, sharing.allow_fs) {
            return Err(DirError::FileSystem { path: root, kind });
        }
        check_space(&root)?;
        let path = root.join(new.id);
        if path.symlink_metadata().is_ok() {
            return Err(DirError::Exists(new.id.to_owned()));
        }
        let draft = root.join(format!(".{}.{:016x}.new", new.id, os::random()));
        let made = fill(&draft, new, &groups, past, more).and_then(|made| {
            if let Some(voters) = groups.voters {
                // The last thing before it gets its name: until then nobody else looks in.
                os::open_to_voters(&draft, voters).map_err(DirError::io(&draft))?;
            }
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
        let shares = Shares::of(&path).map_err(DirError::io(&path))?;
        let dir = RunDir { path, id: new.id.to_owned(), shares, untidy: Vec::new() };
        Ok(Created { dir, journal, records })
    }

    /// Opens the run `id` in `runs_root`, for reading at least, and makes sure that nobody but its holders could have
    /// written to it. What may be done with it is [`RunDir::access`].
    ///
    /// # Errors
    /// There is none, it is closed to this account, or it cannot be trusted.
    pub fn open(runs_root: &Path, id: &str, allow_fs: bool) -> Result<Self, DirError> {
        if !is_id(id) {
            return Err(DirError::BadId(id.to_owned()));
        }
        let root = std::path::absolute(runs_root).map_err(DirError::io(runs_root))?;
        let path = root.join(id);
        let meta = match path.symlink_metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(DirError::Closed(Box::new(closed_root(&root))));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DirError::NotFound { id: id.to_owned(), root });
            }
            Err(error) => return Err(DirError::io(&path)(error)),
        };
        if !meta.is_dir() {
            return Err(DirError::Unsafe { path, why: "not a folder (symbolic links are not followed)".to_owned() });
        }
        let shares = Shares::of(&path).map_err(DirError::io(&path))?;
        if shares.access() == Access::Nothing {
            return Err(DirError::Closed(Box::new(closed(id, shares, false))));
        }
        if let (Some(kind), false) = (os::unfit_file_system(&path).map_err(DirError::io(&path))?, allow_fs) {
            return Err(DirError::FileSystem { path, kind });
        }
        let untidy = circles::check(&path, shares).map_err(|(path, why)| DirError::Unsafe { path, why })?;
        let untidy = untidy.into_iter().map(|(path, why)| format!("{}: {why}; it is not used", path.display())).collect();
        Ok(RunDir { path, id: id.to_owned(), shares, untidy })
    }

    /// For reading only, whoever could have written to it.
    pub(super) fn untrusted(path: &Path) -> Self {
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        RunDir { path: path.to_owned(), id, shares: Shares::default(), untidy: Vec::new() }
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
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let resolved = entry.path().join(RESOLVED).symlink_metadata();
            if resolved.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
                runs.push(Listed { id: id.to_owned(), started: None, mode: None, closed: true });
                continue;
            }
            // What cannot be looked at is there all the same.
            if resolved.err().is_none_or(|error| error.kind() != io::ErrorKind::NotFound) {
                let first = first_record(&entry.path());
                let mode = first.as_ref().and_then(|record| match &record.event {
                    Event::RunStarted { mode, .. } => Some(*mode),
                    _ => None,
                });
                runs.push(Listed { id: id.to_owned(), started: first.map(|record| record.at), mode, closed: false });
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

    /// What is wrong with it and hinders nothing: logs and answers, which nobody believes. For people.
    #[must_use]
    pub fn untidy(&self) -> &[String] {
        &self.untidy
    }

    /// Who may use it.
    #[must_use]
    pub fn circles(&self) -> Circles {
        self.shares.circles()
    }

    /// What this account may do with it.
    #[must_use]
    pub fn access(&self) -> Access {
        self.shares.access()
    }

    /// Whether a file or folder belongs to whoever the run belongs to: then it is trusted as far as the run itself.
    #[must_use]
    pub fn is_of_its_owner(&self, path: &Path) -> bool {
        self.shares.is_owner_of(path)
    }

    /// True if a group takes turns with it, or votes in it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shares.is_shared()
    }

    /// What files in it are made with.
    pub(super) fn rights(&self) -> Rights {
        self.shares.rights()
    }

    /// Takes the run's lock, without waiting.
    ///
    /// # Errors
    /// Somebody holds it, this account may not, or the file cannot be used.
    pub fn lock(&self, me: &Holder, what: &str, since: Timestamp) -> Result<Lock, LockError> {
        if self.access() != Access::Hold {
            return Err(LockError::NotAHolder(Box::new(closed(&self.id, self.shares, true))));
        }
        Lock::take(&self.path, self.shares.is_shared(), me, what, since)
    }

    /// Where the run's evidence is kept.
    #[must_use]
    pub fn evidence(&self) -> EvidenceStore {
        EvidenceStore::of(&self.path, self.shares.rights().closed())
    }

    /// Where amendments of the plan are kept, named by what they hold; among the other texts that the run is made of.
    #[must_use]
    pub fn amendments(&self) -> EvidenceStore {
        EvidenceStore::at(self.path.join(SOURCES), self.shares.rights())
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

/// Lays out a new run in a folder that does not exist yet. What voters may read is made so; the folder itself is not.
fn fill(
    path: &Path,
    new: &NewRun<'_>,
    groups: &Groups,
    past: &[Record],
    more: &mut dyn FnMut(&Path) -> Result<(), DirError>,
) -> Result<(FileJournal, Vec<Record>), DirError> {
    let rights = Rights { holders: groups.holders, readable: groups.voters.is_some() };
    let folder = |name: &str, rights: Rights| {
        let path = path.join(name);
        os::make_dir(&path, rights).map_err(DirError::io(&path)).map(|()| path)
    };
    let file = |name: &str, text: &str| {
        let path = path.join(name);
        os::write_new(&path, rights, text.as_bytes()).map_err(DirError::io(&path))
    };
    // With voters the outer folder is theirs, and holders make nothing in it.
    folder("", if groups.voters.is_some() { Rights::default() } else { rights })?;
    file(".gitignore", "*\n")?;
    let sources = folder(SOURCES, rights)?;
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
        .and_then(|_| os::write_new(&at, rights, &line))
        .map_err(DirError::io(&at))?;
    let inbox = path.join(inbox::NAME);
    if groups.voters.is_some() {
        os::make_drop_box(&inbox, groups.holders).map_err(DirError::io(&inbox))?;
    } else {
        folder(inbox::NAME, rights)?;
    }
    folder(inbox::DONE, rights)?;
    for name in [inbox::REJECTED, evidence::NAME, OUTPUT, LOG, TORN] {
        folder(name, rights.closed())?;
    }
    // An empty folder needs no sync of its own: that of the folder which names it is enough.
    os::sync_dir(&inbox).map_err(DirError::io(&inbox))?;
    os::sync_dir(&sources).map_err(DirError::io(&sources))?;

    more(path)?;

    // Closed to voters: who can open it can hold it.
    let lock = path.join(lock::NAME);
    os::create_new(&lock, rights.closed()).map_err(DirError::io(&lock))?;
    let lock = Lock::take(path, groups.holders.is_some(), new.holder, new.what, new.at)?;
    let taken = Event::LockTaken { holder: new.holder.clone(), take_over: false };
    let first = new.first.iter().cloned();
    let first: Vec<Event> =
        if past.is_empty() { first.chain([taken]).collect() } else { std::iter::once(taken).chain(first).collect() };
    let made = FileJournal::create(path, rights, lock, new.at, past, &first).and_then(|made| os::sync_dir(path).map(|()| made));
    made.map_err(DirError::io(&path.join(read::NAME)))
}

/// Opens the developers' log of this account. Neither the folder nor the file may be a link.
///
/// # Errors
/// It cannot be opened.
pub fn open_log(dir: &Path) -> io::Result<fs::File> {
    let path = dir.join(LOG);
    let shares = Shares::of(dir)?;
    let rights = shares.rights().closed();
    if os::is_folder(&path) {
        if let Some(why) = circles::unfit_folder(&path, shares)? {
            return Err(io::Error::other(why));
        }
        return os::append_or_create(&path.join(plain_name(Path::new(&os::current_account()))), rights);
    }
    // A run of before.
    os::append_or_create(&path, Rights::default())
}

/// The folder of that name, or the run directory itself, where it lay before.
pub(super) fn inner(dir: &Path, name: &str) -> PathBuf {
    let folder = dir.join(name);
    if os::is_folder(&folder) { folder } else { dir.to_owned() }
}

fn closed(id: &str, shares: Shares, may_read: bool) -> Closed {
    let circles = Some(shares.circles());
    Closed { what: format!("run `{id}`"), owner: shares.owner(), me: os::current_account(), circles, may_read }
}

/// A folder of runs that this account may not enter: the nearest folder above that can be seen says whose it is.
fn closed_root(root: &Path) -> Closed {
    let seen = root.ancestors().find_map(|path| Some((path, os::owned(&path.symlink_metadata().ok()?)?)));
    let owner = seen.map_or_else(|| "somebody else".to_owned(), |(_, found)| os::account(found.uid));
    let what = format!("the runs in {}", root.display());
    Closed { what, owner, me: os::current_account(), circles: None, may_read: false }
}

/// Whose a folder of runs is that this account may not list; for a refusal.
#[must_use]
pub fn may_not_list(root: &Path) -> Failure {
    closed_root(&std::path::absolute(root).unwrap_or_else(|_| root.to_owned())).into()
}

/// Makes the folder of runs if it is missing, durably. Returns its absolute path. Others may enter and list it if a run in
/// it is shared.
fn make_root(runs_root: &Path, shared: bool) -> Result<PathBuf, DirError> {
    let root = std::path::absolute(runs_root).map_err(DirError::io(runs_root))?;
    let mut missing: Vec<&Path> = root.ancestors().take_while(|path| !path.exists()).collect();
    while let Some(path) = missing.pop() {
        let made = if shared { os::make_public_dir(path) } else { os::make_dir(path, Rights::default()) };
        match made {
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
