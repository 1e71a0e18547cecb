//! One child process: started in a process group of its own, waited for, and ended when asked.
//!
//! Its own group, so that Ctrl-C at the terminal reaches relevo and not the program. A signal is only ever sent to
//! a group whose leader has not been reaped yet; its number cannot belong to anybody else then.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A pipe holds at least one page whatever the limits, so that so much is written before the program starts and
/// nobody has to live to write the rest.
const PIPE: usize = 4096;
/// How often a group that was asked to end is looked at.
const POLL: Duration = Duration::from_millis(10);

/// What is started.
pub struct Order<'a> {
    /// The file.
    pub program: &'a Path,
    /// The name that it is called by.
    pub arg0: &'a str,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working directory.
    pub cwd: &'a Path,
    /// Additions to the environment.
    pub env: &'a [(String, String)],
    /// Marks the program and everything it starts.
    pub marker: (&'static str, String),
    /// A variable of this process that the program must not inherit.
    pub without: &'static str,
    /// Its standard input.
    pub stdin: Stdio,
    /// Its standard output.
    pub stdout: File,
    /// Its standard error.
    pub stderr: File,
}

impl Order<'_> {
    /// Starts it. The handles are closed here when this returns, whatever comes of it.
    ///
    /// # Errors
    /// Nothing was started.
    fn spawn(self) -> io::Result<Child> {
        let mut command = Command::new(self.program);
        command
            .args(&self.args)
            .current_dir(self.cwd)
            .env_remove(self.without)
            .envs(self.env.iter().map(|(name, value)| (OsStr::new(name), OsStr::new(value))))
            .env(self.marker.0, self.marker.1)
            .stdin(self.stdin)
            .stdout(self.stdout)
            .stderr(self.stderr);
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            command.arg0(self.arg0).process_group(0);
        }
        #[cfg(windows)]
        {
            /// `CREATE_NEW_PROCESS_GROUP`: Ctrl-C does not reach it.
            const NEW_GROUP: u32 = 0x0000_0200;
            use std::os::windows::process::CommandExt;
            command.creation_flags(NEW_GROUP);
        }
        command.spawn()
    }
}

/// A standard input that gives this text, and of which nothing stays on the disk.
///
/// # Errors
/// No pipe or file could be had.
pub fn stdin_of(text: &str, folder: &Path) -> io::Result<Stdio> {
    if text.len() <= PIPE {
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(text.as_bytes())?;
        return Ok(reader.into());
    }
    let mut file = nameless(folder, "stdin")?;
    file.write_all(text.as_bytes())?;
    io::Seek::rewind(&mut file)?;
    Ok(file.into())
}

/// A file without a name: it is gone with the last handle.
///
/// # Errors
/// It could not be made, or its name could not be removed while it was still empty.
pub fn nameless(folder: &Path, stem: &str) -> io::Result<File> {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path: PathBuf = folder.join(format!(".{stem}-{}-{count}", std::process::id()));
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    #[cfg(windows)]
    {
        /// `FILE_FLAG_DELETE_ON_CLOSE`.
        const DELETE_ON_CLOSE: u32 = 0x0400_0000;
        std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, DELETE_ON_CLOSE);
    }
    let file = options.open(&path)?;
    #[cfg(unix)]
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// How far a process has come.
enum Stage {
    /// Not started yet.
    Coming,
    /// Must not be started any more.
    Cancelled,
    /// Started and not reaped. If it was asked to end, its group is killed at this instant.
    Running(u32, Option<Instant>),
    /// Reaped.
    Gone,
}

/// Shared by the thread that starts and waits, and whoever may want the process to end.
pub struct Process {
    stage: Mutex<Stage>,
}

impl Process {
    /// A process that is still to be started.
    pub fn new() -> Self {
        Process { stage: Mutex::new(Stage::Coming) }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it, unless it was asked to end before.
    ///
    /// # Errors
    /// Nothing was started.
    pub fn start(&self, order: Order<'_>) -> io::Result<Child> {
        let mut stage = self.stage();
        if matches!(*stage, Stage::Cancelled) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the time was over before it was started"));
        }
        let child = order.spawn()?;
        *stage = Stage::Running(child.id(), None);
        Ok(child)
    }

    /// Asks the whole group to end, and kills it when `grace` is over. Returns false if the process is gone already.
    pub fn end(&self, grace: Duration) -> bool {
        let mut stage = self.stage();
        match &mut *stage {
            Stage::Coming => *stage = Stage::Cancelled,
            Stage::Running(pid, kill_at) => {
                signal(*pid, grace.is_zero());
                *kill_at = Some(Instant::now() + grace);
            }
            Stage::Cancelled | Stage::Gone => return false,
        }
        true
    }

    /// Kills the whole group now, if its leader has not been reaped.
    pub fn kill(&self) {
        if let Stage::Running(pid, _) = *self.stage() {
            signal(pid, true);
        }
    }

    /// Waits until the process has ended; if it was asked to, until its group has too. `held` says whether
    /// something of it still lives.
    ///
    /// # Errors
    /// The system cannot tell how it ended.
    pub fn wait(&self, child: &mut Child, held: &dyn Fn() -> bool) -> io::Result<ExitStatus> {
        await_end(child)?;
        // The leader is dead and not yet reaped: its group's number is still its own.
        loop {
            let mut stage = self.stage();
            let Stage::Running(pid, Some(kill_at)) = *stage else {
                let status = child.wait();
                *stage = Stage::Gone;
                return status;
            };
            if Instant::now() >= kill_at || !held() {
                signal(pid, true);
                let status = child.wait();
                *stage = Stage::Gone;
                return status;
            }
            drop(stage);
            std::thread::sleep(POLL);
        }
    }
}

/// Waits for the end without taking the process's number away from it.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn await_end(child: &mut Child) -> io::Result<()> {
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    loop {
        match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            // A signal that has no name here; that it ended is all that matters.
            Ok(_) | Err(nix::errno::Errno::EINVAL) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits for the end. The number is free from here on; the group is signalled only for as long as this takes.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn await_end(child: &mut Child) -> io::Result<()> {
    child.wait().map(drop)
}

/// Asks a process group to end, or kills it. That it is gone already is no error.
#[cfg(unix)]
fn signal(pid: u32, kill: bool) {
    use nix::sys::signal::Signal;
    let signal = if kill { Signal::SIGKILL } else { Signal::SIGTERM };
    if let Err(error) = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid.cast_signed()), signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(pid, %error, "a process group could not be signalled");
    }
}

/// Ends a process and what it started. Windows has no way to ask a program without a window.
#[cfg(windows)]
fn signal(pid: u32, _kill: bool) {
    let ended = Command::new("taskkill")
        .args(["/T", "/F", "/PID", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if let Err(error) = ended {
        tracing::warn!(pid, %error, "a program could not be ended");
    }
}

/// How a program ended, in words: `exit 3`, `killed by SIGSEGV`.
pub fn told(status: ExitStatus) -> String {
    if let Some(code) = status.code() {
        return format!("exit {code}");
    }
    #[cfg(unix)]
    if let Some(number) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return match nix::sys::signal::Signal::try_from(number) {
            Ok(signal) => format!("killed by {}", signal.as_str()),
            Err(_) => format!("killed by signal {number}"),
        };
    }
    status.to_string()
}

/// Living processes that carry this attempt's mark in their environment, as far as they can be seen, with their
/// names. Finds those that have closed every handle they were given.
#[cfg(target_os = "linux")]
pub fn marked(name: &str, value: &str) -> Vec<(u32, String)> {
    let wanted = format!("{name}={value}");
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            if !environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes()) {
                return None;
            }
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            Some((pid, name.trim().to_owned()))
        })
        .collect()
}

/// Living processes that carry this attempt's mark; only Linux can tell.
#[cfg(not(target_os = "linux"))]
pub fn marked(_name: &str, _value: &str) -> Vec<(u32, String)> {
    Vec::new()
}
