//! The lock of a run: one process at a time, on one machine.
//!
//! The kernel holds it and releases it with the process, however that ends; so there is no stale lock and nothing to
//! break. The text inside the file is for people.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::circles::Shares;
use super::os::{self, Rights};
use super::run_dir::Closed;
use crate::error::{Exit, Failure};
use crate::run::event::Holder;
use crate::time::Timestamp;

/// The file's name in the run directory.
pub const NAME: &str = "lock";
/// So long a lock may be held by nobody that lives: a fresh holder has not signed yet, or a dead one's last child has not
/// become its program yet, which closes the lock.
const UNSIGNED: Duration = Duration::from_millis(500);

/// What the holder wrote into the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBy {
    /// The process.
    pub holder: Holder,
    /// Since when.
    pub since: Timestamp,
    /// What it does, such as `relevo run plan.yaml`.
    pub what: String,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody holds it; `None` if the text in the file cannot be read.
    #[error("another process holds the run{}", said(.0.as_deref()))]
    Held(Option<Box<HeldBy>>),
    /// This account may not hold the run.
    #[error("{0}")]
    NotAHolder(Box<Closed>),
    /// The lock file cannot be used.
    #[error("the lock `{path}` cannot be taken: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn said(by: Option<&HeldBy>) -> String {
    by.map_or_else(String::new, |by| {
        let Holder { host, pid, user, .. } = &by.holder;
        format!(": `{}` by `{user}` on `{host}` (pid {pid}) since {}", by.what, by.since)
    })
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match &error {
            LockError::NotAHolder(closed) => (**closed).clone().into(),
            LockError::Held(_) => Failure::new(Exit::Held, error.to_string())
                .hint("`relevo status` shows what it does; `relevo decide`, `pause` and `abort` reach it from here"),
            LockError::Io { source, .. } => Failure::new(Exit::of_io(source), error.to_string()),
        }
    }
}

/// A held lock; dropped with the process, or before.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    holder: Holder,
}

impl Lock {
    /// Takes the lock of a run directory for `me`, without waiting for a holder.
    ///
    /// # Errors
    /// Somebody holds it, or the file cannot be used.
    pub fn take(dir: &Path, shared: bool, me: &Holder, what: &str, since: Timestamp) -> Result<Self, LockError> {
        let path = dir.join(NAME);
        let failed = |source| LockError::Io { path: path.clone(), source };
        // The file is made with the run, so this is for one that was lost.
        let rights = if shared { Shares::of(dir).map_err(failed)?.rights().closed() } else { Rights::default() };
        let start = Instant::now();
        let mut lock = loop {
            let file = os::open_or_create(&path, rights).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    let by = holder_of(dir);
                    if by.as_ref().is_some_and(|by| super::holder_alive(&by.holder)) || start.elapsed() >= UNSIGNED {
                        return Err(LockError::Held(by.map(Box::new)));
                    }
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(failed(error)),
            }
            let lock = Lock { file, path: path.clone(), holder: me.clone() };
            // Between opening and locking, the file may have been replaced: then the lock is on something nobody sees.
            if lock.still_ours().map_err(failed)? {
                break lock;
            }
        };
        lock.sign(what, since).map_err(failed)?;
        Ok(lock)
    }

    fn sign(&mut self, what: &str, since: Timestamp) -> io::Result<()> {
        let text = serde_json::to_string(&HeldBy { holder: self.holder.clone(), since, what: what.to_owned() })?;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(format!("{text}\n").as_bytes())
    }

    /// The process that took it.
    #[must_use]
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// False if the lock file was deleted or replaced: then another process may hold "the lock" as well.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn still_ours(&self) -> io::Result<bool> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(there) => Ok(os::file_id(&there) == os::file_id(&self.file.metadata()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The run directory was renamed as part of its creation.
    pub(super) fn moved_to(&mut self, dir: &Path) {
        self.path = dir.join(NAME);
    }
}

/// Keeps others from taking a run as long as the value lives, without writing anything, not even who does it. `None` if
/// there is no lock file, and so nobody who holds it.
///
/// # Errors
/// Somebody holds the run, or the file cannot be used.
pub(super) fn hold_quietly(dir: &Path) -> Result<Option<File>, LockError> {
    let path = dir.join(NAME);
    let failed = |source| LockError::Io { path: path.clone(), source };
    let file = match os::open_regular(&path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(LockError::Held(holder_of(dir).map(Box::new))),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// What the last holder wrote into the lock file, whether or not it still holds it ([`super::holder_alive`] tells for
/// this machine). `None` if there is nothing that can be read.
#[must_use]
pub fn holder_of(dir: &Path) -> Option<HeldBy> {
    let mut file = os::open_regular(&dir.join(NAME), false).ok()?;
    let text = os::read_at_most(&mut file, 64 << 10).ok()??;
    serde_json::from_slice(&text).ok()
}
