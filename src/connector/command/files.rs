//! The files of an attempt, and what their locks tell about it.
//!
//! `<scratch>.stdout` and `<scratch>.stderr` are given to the program as its standard handles, and both are locked
//! before it starts. The lock belongs to what was opened, not to a process: the program and everything that it starts
//! hold it as long as one of them has one of the handles, whether relevo lives or not, and the kernel lets go of it
//! with the last of them. So a later process only has to try the lock.
//!
//! `pids` beside them has a line per attempt, for people and for a later process: which program it was, in which boot
//! of which machine.
//!
//! Making files is what a short step costs beside its program, so there is no folder per attempt, and the files of
//! one that printed nothing and has nothing left running serve the next one ([`Spares`]).
//!
//! Nothing here is made durable: after a power cut no program of the attempt lives, whatever the files say.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

/// The open and locked files. Dropped as soon as the program has them.
pub struct Handles {
    /// The program's standard output.
    pub stdout: File,
    /// The program's standard error.
    pub stderr: File,
}

/// Where the standard output and the standard error of the attempt with this scratch path are kept.
#[must_use]
pub fn output_files(scratch: &Path) -> [PathBuf; 2] {
    ["stdout", "stderr"].map(|kind| {
        let mut name = scratch.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(kind);
        scratch.with_file_name(name)
    })
}

/// The folder of the files.
pub fn folder(scratch: &Path) -> &Path {
    scratch.parent().unwrap_or(scratch)
}

/// Attempts that are over and whose empty files may be renamed for another one.
///
/// A file system that has just seen many files go may take a hundred times as long for a new one.
#[derive(Default)]
pub struct Spares {
    over: Mutex<VecDeque<Spare>>,
}

struct Spare {
    scratch: PathBuf,
    /// How often it was still held. For a moment it may be by any program that is just being started.
    refused: u8,
}

impl Spares {
    /// More than run at once are not needed.
    const KEEP: usize = 64;
    /// How many are tried for one attempt.
    const TRIES: usize = 4;
    /// What is held so often is held for good, by something in the background.
    const REFUSALS: u8 = 20;

    fn over(&self) -> MutexGuard<'_, VecDeque<Spare>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an attempt is over. What it printed and what it left running keeps its files.
    pub fn give(&self, scratch: &Path) {
        let empty = |file: &PathBuf| std::fs::metadata(file).is_ok_and(|file| file.len() == 0);
        if cfg!(unix) && output_files(scratch).iter().all(empty) {
            self.keep(Spare { scratch: scratch.to_owned(), refused: 0 });
        }
    }

    fn keep(&self, spare: Spare) {
        let mut over = self.over();
        if over.len() < Self::KEEP && spare.refused < Self::REFUSALS {
            over.push_back(spare);
        }
    }

    /// Makes the files of a new attempt, and their folder if need be.
    ///
    /// # Errors
    /// `AlreadyExists` if there are files of this attempt already; otherwise what the system said.
    pub fn create(&self, scratch: &Path) -> io::Result<Handles> {
        let files = output_files(scratch);
        if files.iter().any(|file| file.symlink_metadata().is_ok()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if let Some(handles) = self.take_over(scratch) {
            return Ok(handles);
        }
        let [stdout, stderr] = files;
        let stdout = match create_locked(&stdout) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(folder(scratch))?;
                create_locked(&stdout)?
            }
            other => other?,
        };
        Ok(Handles { stdout, stderr: create_locked(&stderr)? })
    }

    /// Files of another attempt, locked and under the new names. `None` costs nothing but the making of new ones.
    fn take_over(&self, scratch: &Path) -> Option<Handles> {
        for _ in 0..Self::TRIES {
            let spare = self.over().pop_front()?;
            if folder(&spare.scratch) != folder(scratch) {
                continue;
            }
            let [old_stdout, old_stderr] = output_files(&spare.scratch);
            let (Some(stdout), Some(stderr)) = (lock_empty(&old_stdout), lock_empty(&old_stderr)) else {
                self.keep(Spare { refused: spare.refused + 1, ..spare });
                continue;
            };
            let [new_stdout, new_stderr] = output_files(scratch);
            std::fs::rename(old_stdout, &new_stdout).ok()?;
            if std::fs::rename(old_stderr, &new_stderr).is_ok() {
                return Some(Handles { stdout, stderr });
            }
            // Otherwise it would look as if the attempt had been started before.
            let _ = std::fs::remove_file(&new_stdout);
            return None;
        }
        None
    }
}

/// Locks the file of an attempt that is over, if nobody else has it and nothing was written.
fn lock_empty(path: &Path) -> Option<File> {
    let file = private().append(true).open(path).ok()?;
    lock(&file).ok()?;
    (file.metadata().ok()?.len() == 0).then_some(file)
}

/// Makes and locks a file. Appending, so that programs which share the handle do not overwrite each other.
fn create_locked(path: &Path) -> io::Result<File> {
    let file = private().append(true).create_new(true).open(path)?;
    share(&file, folder(path));
    lock(&file)?;
    Ok(file)
}

/// In a folder that its group shares, the group has the files as well: whoever goes on with the run from another account
/// has to try their locks. Only the maker of a file can give it; another one's has been given.
#[cfg(unix)]
fn share(file: &File, folder: &Path) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    if std::fs::metadata(folder).is_ok_and(|folder| folder.mode() & 0o2070 == 0o2070) {
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o660));
    }
}

#[cfg(windows)]
fn share(_file: &File, _folder: &Path) {}

#[cfg(unix)]
fn lock(file: &File) -> io::Result<()> {
    Ok(file.try_lock()?)
}

/// Windows does not pass locks on; there it is the open handle itself that tells (see `is_held`), and whether another
/// process has one cannot be told by having one more.
#[cfg(windows)]
fn lock(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Makes a folder that only its owner can read, if it is not there yet.
pub fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Options for a file that only its owner can read, unless it is shared ([`share`]).
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Whether a process has one of the attempt's handles; `None` if there are no files, so that no program was started.
///
/// # Errors
/// The files are there and cannot be looked at.
pub fn held(scratch: &Path) -> io::Result<Option<bool>> {
    let mut found = false;
    for file in output_files(scratch) {
        match is_held(&file) {
            Ok(true) => return Ok(Some(true)),
            Ok(false) => found = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found.then_some(false))
}

#[cfg(unix)]
fn is_held(path: &Path) -> io::Result<bool> {
    match File::open(path)?.try_lock() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(windows)]
fn is_held(path: &Path) -> io::Result<bool> {
    use std::os::windows::fs::OpenOptionsExt;
    /// `ERROR_SHARING_VIOLATION`: somebody has it open.
    const SHARING_VIOLATION: i32 = 32;
    match OpenOptions::new().write(true).share_mode(0).open(path) {
        Ok(_) => Ok(false),
        Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Who started what where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The program that was started; also its process group.
    pub pid: u32,
    /// Identifies the boot of the machine; empty where the system has no such thing.
    pub boot: String,
    /// The machine's name.
    pub host: String,
    /// Tells machines of one name apart; empty where the system has no such thing, and in lines of older versions.
    pub machine: String,
}

impl Origin {
    /// The origin of a program started here and now.
    pub fn here(pid: u32) -> Self {
        Origin { pid, boot: boot().to_owned(), host: host().to_owned(), machine: machine().to_owned() }
    }

    /// Writes it down. An attempt without it is judged by its locks alone.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&self, scratch: &Path) -> io::Result<()> {
        let name = scratch.file_name().unwrap_or_default().to_string_lossy();
        let or_dash = |word: &str| if word.is_empty() { "-".to_owned() } else { word.to_owned() };
        let (boot, machine) = (or_dash(&self.boot), or_dash(&self.machine));
        let line = format!("{name} {} {boot} {} {machine}\n", self.pid, self.host);
        let mut file = private().append(true).create(true).open(folder(scratch).join("pids"))?;
        share(&file, folder(scratch));
        // In one piece, because other attempts write here too.
        file.write_all(line.as_bytes())
    }

    /// Reads it; `None` if there is none that can be understood.
    pub fn read(scratch: &Path) -> Option<Self> {
        let file = File::open(folder(scratch).join("pids")).ok()?;
        let name = scratch.file_name().and_then(OsStr::to_str)?;
        let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
        lines.filter_map(|line| Self::parse(std::str::from_utf8(&line).ok()?.strip_prefix(name)?.strip_prefix(' ')?)).last()
    }

    fn parse(rest: &str) -> Option<Self> {
        let mut words = rest.split(' ');
        let (pid, boot, host) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        let machine = words.next().unwrap_or("-");
        let known = |word: &str| if word == "-" { String::new() } else { word.to_owned() };
        words.next().is_none().then(|| Origin { pid, boot: known(boot), host: host.to_owned(), machine: known(machine) })
    }

    /// Whether it was started in this boot of this machine (`Some(true)`), in an earlier one (`Some(false)`), or
    /// elsewhere, so that nothing here can tell.
    pub fn this_boot(&self) -> Option<bool> {
        // Machines are given the same names; where both say which one they are, that counts.
        let another = !self.machine.is_empty() && !machine().is_empty() && self.machine != machine();
        if !self.boot.is_empty() && self.boot == boot() {
            Some(true)
        } else if self.host == host() && !another {
            Some(self.boot.is_empty())
        } else {
            None
        }
    }
}

fn boot() -> &'static str {
    static BOOT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    BOOT.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
    })
}

/// From the machine's own id, which is to be told to nobody as it is (machine-id(5)).
fn machine() -> &'static str {
    static MACHINE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    MACHINE.get_or_init(|| match std::fs::read_to_string("/etc/machine-id") {
        Ok(id) if !id.trim().is_empty() => crate::plan::hex(&Sha256::digest(format!("relevo {}", id.trim())))[..16].to_owned(),
        _ => String::new(),
    })
}

fn host() -> &'static str {
    static HOST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    HOST.get_or_init(|| {
        #[cfg(unix)]
        let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        #[cfg(windows)]
        let name = std::env::var("COMPUTERNAME").ok();
        name.unwrap_or_default().replace(['\n', ' '], "")
    })
}
