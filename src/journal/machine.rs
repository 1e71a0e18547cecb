//! The machine's own folder, which every account uses: the locks of targets, and where runs are kept.
//!
//! ```text
//! /var/tmp/relevo/        1777; %ProgramData%\relevo on Windows; RELEVO_MACHINE names another one
//!   locks/                what unfinished runs act on; see `target_locks`
//!   folders/<hash>        one per folder of runs: its absolute path
//! ```
//!
//! One folder for the whole machine, so that another folder of runs is no way round a lock, and so that the next shift finds
//! a run that somebody else started. Anybody may write here: what is read is a hint where to look, and never an order.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{chain, os};
use crate::error::{Exit, Failure};

/// The variable that names another folder.
pub const VARIABLE: &str = "RELEVO_MACHINE";
/// The folder of locks.
pub(super) const LOCKS: &str = "locks";
/// What runs act on, in [`LOCKS`].
pub(super) const HELD: &str = "held";
const FOLDERS: &str = "folders";
/// No path is longer.
const LONGEST: u64 = 64 << 10;

/// The machine's own folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the machine's own folder `{path}` cannot be used: {why}")]
pub struct MachineError {
    /// The folder, or what lies in it.
    pub path: PathBuf,
    /// What was found.
    pub why: String,
    /// True if there is no space left.
    pub no_space: bool,
}

impl MachineError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> MachineError + use<> {
        let path = path.to_owned();
        move |error| MachineError { no_space: os::no_space(&error), why: error.to_string(), path }
    }
}

impl From<MachineError> for Failure {
    fn from(error: MachineError) -> Self {
        let exit = if error.no_space { Exit::NoSpace } else { Exit::Refused };
        Failure::new(exit, error.to_string())
            .detail("it holds the locks of targets: without them two runs could change one system at the same time")
            .detail("nothing was started")
            .hint(format!(
                "mend it, or name another folder by {VARIABLE}: the same one for everybody who starts runs on this machine"
            ))
    }
}

/// The machine's own folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    path: PathBuf,
}

impl Machine {
    /// Where it is: `RELEVO_MACHINE`, or the usual place. It need not be there.
    #[must_use]
    pub fn usual() -> Self {
        let named = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = named.unwrap_or_else(os::machine_folder);
        Machine { path: std::path::absolute(&path).unwrap_or(path) }
    }

    /// [`Machine::usual`], made if it is missing.
    ///
    /// # Errors
    /// It cannot be made, or cannot be trusted.
    pub fn open() -> Result<Self, MachineError> {
        Machine::usual().made()
    }

    /// The folder of that path, made if it is missing.
    ///
    /// # Errors
    /// It cannot be made, or cannot be trusted.
    pub fn at(path: &Path) -> Result<Self, MachineError> {
        Machine { path: path.to_owned() }.made()
    }

    fn made(self) -> Result<Self, MachineError> {
        // Whole or not at all, and never empty: a folder that somebody has locked is never renamed over.
        let locks = |at: &Path| os::create_common(&at.join(HELD), true).map(drop);
        let both = |at: &Path| {
            os::make_common_dir(&at.join(FOLDERS))?;
            os::make_common_dir(&at.join(LOCKS))?;
            locks(&at.join(LOCKS))
        };
        ensure(&self.path, &both)?;
        ensure(&self.path.join(LOCKS), &locks)?;
        ensure(&self.path.join(FOLDERS), &|_| Ok(()))?;
        Ok(self)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn locks(&self) -> PathBuf {
        self.path.join(LOCKS)
    }

    /// Remembers a folder of runs, so that others find it.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn remember(&self, runs_root: &Path) -> io::Result<()> {
        let root = std::path::absolute(runs_root)?;
        let root = fs::canonicalize(&root).unwrap_or(root);
        let Some(text) = root.to_str() else { return Ok(()) };
        let folders = self.path.join(FOLDERS);
        let name = chain::text(&chain::hash(text.as_bytes()))[..32].to_owned();
        let path = folders.join(&name);
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        let draft = folders.join(format!(".{name}.{:016x}.new", os::random()));
        let written = os::create_common(&draft, false)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&draft, &path))
            .and_then(|()| os::sync_dir(&folders));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written
    }

    /// The folders of runs that are known on this machine and still there, sorted. What cannot be read is passed over.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path.join(FOLDERS)) else { return Vec::new() };
        let read = |path: PathBuf| {
            let mut file = os::open_regular(&path, false).ok()?;
            let text = String::from_utf8(os::read_at_most(&mut file, LONGEST).ok()??).ok()?;
            let folder = PathBuf::from(text);
            (folder.is_absolute() && folder.is_dir()).then_some(folder)
        };
        let named = entries.flatten().filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
        let mut found: Vec<PathBuf> = named.filter_map(|entry| read(entry.path())).collect();
        found.sort();
        found.dedup();
        found
    }
}

/// Makes a folder that every account uses, with what `fill` puts into it, if it is missing; and makes sure that it can be
/// trusted.
fn ensure(path: &Path, fill: &dyn Fn(&Path) -> io::Result<()>) -> Result<(), MachineError> {
    if path.symlink_metadata().is_err() {
        make(path, fill).map_err(MachineError::io(path))?;
    }
    let meta = path.symlink_metadata().map_err(MachineError::io(path))?;
    match os::not_common(&meta) {
        Some(why) => Err(MachineError { path: path.to_owned(), why, no_space: false }),
        None => Ok(()),
    }
}

fn make(path: &Path, fill: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("it has no place"));
    };
    fs::create_dir_all(parent)?;
    let draft = parent.join(format!(".{}.{:016x}.new", name.to_string_lossy(), os::random()));
    let made = os::make_common_dir(&draft).and_then(|()| fill(&draft)).and_then(|()| fs::rename(&draft, path));
    if made.is_err() {
        let _ = fs::remove_dir_all(&draft);
        // Somebody else was faster.
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
    }
    made.and_then(|()| os::sync_dir(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_runs_are_remembered_once_and_forgotten_when_they_are_gone() {
        let root = tempfile::tempdir().unwrap();
        let machine = Machine::at(&root.path().join("machine")).unwrap();
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&two).unwrap();
        for folder in [&one, &two, &one] {
            machine.remember(folder).unwrap();
        }
        assert_eq!(machine.folders(), [one.clone(), two.clone()]);
        fs::remove_dir(&one).unwrap();
        assert_eq!(machine.folders(), [two]);
    }

    #[test]
    fn of_many_that_make_the_machines_folder_at_once_all_use_the_same() {
        for _ in 0..20 {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("machine");
            let start = std::sync::Barrier::new(6);
            std::thread::scope(|threads| {
                for _ in 0..6 {
                    threads.spawn(|| {
                        start.wait();
                        Machine::at(&path).unwrap();
                    });
                }
            });
            assert!(path.join(LOCKS).join(HELD).exists());
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "no draft is left");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_somebody_could_have_cleared_is_refused() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("machine");
        Machine::at(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(&path.join(LOCKS)), mode(&path.join(LOCKS).join(HELD))), (0o1777, 0o1777, 0o666));
        let link = root.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(Machine::at(&link).unwrap_err().why.contains("symbolic"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Machine::at(&path).unwrap_err().why.contains("1777"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Machine::at(&path).unwrap();
    }
}
