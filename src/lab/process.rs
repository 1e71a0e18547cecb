//! Starting and ending the lab's process. It lives in a session of its own: neither the end of relevo nor that of the
//! terminal ends it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::control::{self, Order};
use super::files::{Files, Trouble};
use super::running::Running;

/// How long a start may take.
const START: Duration = Duration::from_secs(30);
/// How long an end may take before it is forced.
const END: Duration = Duration::from_secs(10);

/// The lab in this folder, if it is up.
#[must_use]
pub fn up(files: &Files) -> Option<Running> {
    let running = files.running()?;
    if !is_locked(files) {
        return None;
    }
    control::order(&running, &Order::Info).ok().flatten().map(|_| running)
}

/// Whether a process holds the lab of this folder.
#[must_use]
pub fn is_locked(files: &Files) -> bool {
    std::fs::File::open(files.lock()).is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}

/// Starts the lab, if it is not up, and waits until it answers.
///
/// # Errors
/// It does not come up; says what it said.
pub fn start(files: &Files, program: &Path) -> Result<Running, Trouble> {
    if let Some(running) = up(files) {
        return Ok(running);
    }
    files.prepare()?;
    let cannot = |error: std::io::Error| Trouble::new(format!("the lab cannot be started: {error}"));
    let log = std::fs::File::create(files.log()).map_err(cannot)?;
    let mut command = Command::new(program);
    command.args(["lab", "serve", "--dir"]).arg(files.dir()).current_dir(files.dir());
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(cannot)?).stderr(log);
    detach(&mut command);
    let mut child = command.spawn().map_err(cannot)?;
    let end = Instant::now() + START;
    loop {
        if let Some(running) = up(files).filter(|running| running.pid == child.id()) {
            return Ok(running);
        }
        let said = || std::fs::read_to_string(files.log()).unwrap_or_default().trim().to_owned();
        if let Ok(Some(_)) = child.try_wait() {
            // Two at once: one of them holds the lock, and that one will do.
            if let Some(running) = up(files) {
                return Ok(running);
            }
            if !is_locked(files) {
                return Err(Trouble::new(format!("the lab did not start: {}", said())));
            }
        }
        if Instant::now() > end {
            let _ = child.kill();
            return Err(Trouble::new(format!("the lab did not answer within {} s: {}", START.as_secs(), said())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends the lab: by order, or, if it does not obey, by force. Says whether it was up.
///
/// # Errors
/// It does not end, or the process cannot be told from another one.
pub fn stop(files: &Files) -> Result<bool, Trouble> {
    if !is_locked(files) {
        return Ok(false);
    }
    let Some(running) = files.running() else {
        return Err(Trouble::new(format!("a lab holds {}, and does not say how to reach it", files.dir().display())));
    };
    let obeyed = control::order(&running, &Order::Down).ok().flatten().is_some();
    if obeyed && gone(files, END) {
        return Ok(true);
    }
    if !is_ours(running.pid, files) {
        let message = format!("the lab does not obey, and process {} cannot be told to be it", running.pid);
        return Err(Trouble::new(message).hint("end it by hand, if it is"));
    }
    kill(running.pid);
    if gone(files, END) { Ok(true) } else { Err(Trouble::new(format!("process {} of the lab does not end", running.pid))) }
}

fn gone(files: &Files, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while is_locked(files) {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Whether the process was started for this folder: its command line names it.
#[cfg(target_os = "linux")]
fn is_ours(pid: u32, files: &Files) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    words.contains(&b"serve".as_slice()) && words.contains(&files.dir().as_os_str().as_bytes())
}

#[cfg(not(target_os = "linux"))]
fn is_ours(_: u32, _: &Files) -> bool {
    false
}

#[cfg(unix)]
fn kill(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

#[cfg(not(unix))]
fn kill(_: u32) {}

/// On Unix the process makes a session of its own when it begins, see [`become_own_session`].
#[cfg(not(windows))]
fn detach(_: &mut Command) {}

#[cfg(windows)]
fn detach(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    const DETACHED_PROCESS: u32 = 0x8;
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
}

/// Leaves the terminal and the process group of whoever started this process.
pub fn become_own_session() {
    // Refused if it leads a group already; then a shell started it by hand, which is as good.
    #[cfg(unix)]
    let _ = nix::unistd::setsid();
}
