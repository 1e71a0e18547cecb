//! Samba's processes: started in a session of their own, found again, and ended together; and the lab's own process with the
//! hosts, which starts after them and ends before.
//!
//! A process is known by its number, the moment it was started and the boot of the machine, so that a number which went
//! to somebody else, or belongs to another namespace, is never taken for it.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{ADDRESS, below, build, host, is, lock, ports};
use crate::error::Exit;
use crate::lab::files::{Files, Trouble};
use crate::lab::process as lab;
use crate::lab::running::Running;

/// How long a start may take.
const START: Duration = Duration::from_mins(1);
/// How long an end may take before it is forced.
const END: Duration = Duration::from_secs(15);
/// For how long ports must be taken to count as such.
const LOOK: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(50);
/// What Samba's first process says before it has a log, below Samba's folder.
const LOG: &str = "log/process.log";

/// The first process: also the number of its session and of its process group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct First {
    pid: u32,
    /// In ticks since the boot.
    started: u64,
    boot: String,
}

/// What `/proc/PID/stat` says (proc(5)).
struct Stat {
    zombie: bool,
    group: u32,
    session: u32,
    started: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // pid (name) state …; the name may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse().ok();
    Some(Stat {
        zombie: fields.first() == Some(&"Z"),
        group: number(2)?,
        session: number(3)?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn first(files: &Files) -> Option<First> {
    serde_json::from_slice(&fs::read(below(files, "process.json")).ok()?).ok()
}

/// Every living process of this lab's Samba.
fn members(first: &First) -> Vec<u32> {
    if first.boot != boot() || stat(first.pid).is_some_and(|stat| stat.started != first.started) {
        return Vec::new();
    }
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let ours = |pid: &u32| {
        let in_group = stat(*pid).is_some_and(|stat| {
            !stat.zombie && stat.group == first.pid && stat.session == first.pid && stat.started >= first.started
        });
        // Without its first process a group is told by what it runs.
        in_group && (*pid == first.pid || is_samba(*pid))
    };
    pids.filter(ours).collect()
}

fn is_samba(pid: u32) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program.components().any(|part| part.as_os_str().to_string_lossy().starts_with("samba"))
}

fn answers() -> bool {
    ports()
        .values()
        .flat_map(|own| [own.ldaps, own.ldap, own.gc_tls, own.gc])
        .all(|port| TcpStream::connect((ADDRESS, port)).is_ok())
}

/// Whether any of Samba's processes lives.
#[must_use]
pub fn is_running(files: &Files) -> bool {
    first(files).is_some_and(|first| !members(&first).is_empty())
}

/// The lab in this folder, if all of it is up. The process is Samba's first one; orders go to that of the hosts.
#[must_use]
pub fn up(files: &Files) -> Option<Running> {
    let first = first(files).filter(|first| !members(first).is_empty())?;
    let hosts = lab::up(files).filter(|_| answers())?;
    Some(Running { pid: first.pid, ..hosts })
}

/// Builds the domain if there is none, starts it and the hosts if they are not up, and waits until they answer.
///
/// # Errors
/// This machine cannot do it (then nothing was made), or it does not come up.
pub fn start(files: &Files, program: &Path) -> Result<Running, Trouble> {
    if let Some(running) = is(files).then(|| up(files)).flatten() {
        return Ok(running);
    }
    if !is(files) && files.has_world() {
        return Err(Trouble::new(format!("{} holds a lab with the embedded directory", files.dir().display()))
            .hint("`--dir DIR` names a folder for another lab")
            .exit(Exit::Refused));
    }
    host::check(files)?;
    // Another start in this folder has or will have the ports, and then its Samba will do.
    let starts = || is_running(files) || File::open(lock(files)).is_ok_and(|file| file.try_lock().is_err());
    let end = Instant::now() + LOOK;
    while !starts() {
        match host::check_ports() {
            Ok(()) => break,
            Err(trouble) if Instant::now() > end => return Err(trouble),
            // Somebody else may only be looking, as we are.
            Err(_) => std::thread::sleep(POLL),
        }
    }
    files.prepare()?;
    let _turn = turn(files)?;
    if !is_running(files) {
        if build::accounts(files).is_none() {
            fresh(files)?;
        }
        spawn(files, program)?;
    }
    both(files, program)
}

/// Builds the domain, with nothing left of an older world. Where it is cut off, the next start does all of it again: the
/// domain goes first and is whole last.
fn fresh(files: &Files) -> Result<(), Trouble> {
    lab::stop(files)?;
    build::forget(files)?;
    files.forget()?;
    build::build(files)
}

/// Waits for Samba, and starts the hosts. Called by whoever has the turn.
fn both(files: &Files, program: &Path) -> Result<Running, Trouble> {
    let pid = wait(files)?;
    lab::start(files, program).map(|hosts| Running { pid, ..hosts })
}

/// Takes the turn of starting and ending; whoever comes second waits.
fn turn(files: &Files) -> Result<File, Trouble> {
    let path = lock(files);
    let file = File::options().create(true).append(true).open(&path).and_then(|file| file.lock().map(|()| file));
    file.map_err(|error| Trouble::new(format!("cannot lock {}: {error}", path.display())))
}

/// Starts this program again as `lab serve`, which becomes Samba.
fn spawn(files: &Files, program: &Path) -> Result<(), Trouble> {
    let cannot = |error: std::io::Error| Trouble::new(format!("Samba cannot be started: {error}"));
    let log = File::create(below(files, LOG)).map_err(cannot)?;
    let mut command = Command::new(program);
    command.args(["lab", "serve", "--samba", "--dir"]).arg(files.dir()).current_dir(files.dir());
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(cannot)?).stderr(log);
    let mut child = command.spawn().map_err(cannot)?;
    let end = Instant::now() + START;
    while first(files).is_none_or(|first| first.pid != child.id()) {
        if Instant::now() > end || matches!(child.try_wait(), Ok(Some(_))) {
            return Err(Trouble::new(format!("Samba did not start: {}", said(files))));
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Waits until Samba answers; its first process.
fn wait(files: &Files) -> Result<u32, Trouble> {
    let end = Instant::now() + START;
    loop {
        let alive = first(files).filter(|first| !members(first).is_empty());
        if let Some(first) = alive.as_ref().filter(|_| answers()) {
            return Ok(first.pid);
        }
        if alive.is_none() {
            return Err(Trouble::new(format!("Samba ended at once: {}", said(files))));
        }
        if Instant::now() > end {
            return Err(Trouble::new(format!(
                "Samba does not answer on {ADDRESS} within {} s: {}",
                START.as_secs(),
                said(files)
            ))
            .hint("`relevo lab down` ends it"));
        }
        std::thread::sleep(POLL);
    }
}

/// The end of what it said.
fn said(files: &Files) -> String {
    let texts = [below(files, LOG), below(files, "log/samba.log")].map(|path| fs::read(path).unwrap_or_default());
    let text = texts.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect::<Vec<_>>().join("\n");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

/// Ends it, the hosts first. Says whether any of it was up.
///
/// # Errors
/// It does not end.
pub fn stop(files: &Files) -> Result<bool, Trouble> {
    let _turn = turn(files)?;
    end_both(files)
}

fn end_both(files: &Files) -> Result<bool, Trouble> {
    // Samba is ended even if the other cannot be.
    let hosts = lab::stop(files);
    let samba = end(files)?;
    Ok(hosts? || samba)
}

fn end(files: &Files) -> Result<bool, Trouble> {
    let Some(first) = first(files).filter(|first| !members(first).is_empty()) else { return Ok(false) };
    for hard in [false, true] {
        let limit = Instant::now() + END;
        signal(first.pid, hard);
        while Instant::now() < limit {
            if members(&first).is_empty() {
                return Ok(true);
            }
            std::thread::sleep(POLL);
        }
    }
    Err(Trouble::new(format!("Samba (process {}) does not end", first.pid)))
}

/// A fresh domain and fresh hosts; they are up afterwards if any of it was before. Says so.
///
/// # Errors
/// It cannot be ended, built or started.
pub fn reset(files: &Files, program: &Path) -> Result<bool, Trouble> {
    host::check(files)?;
    files.prepare()?;
    let _turn = turn(files)?;
    let was_up = end_both(files)?;
    fresh(files)?;
    if was_up {
        spawn(files, program)?;
        both(files, program)?;
    }
    Ok(was_up)
}

#[cfg(unix)]
fn signal(group: u32, hard: bool) {
    use nix::sys::signal::{Signal, killpg};
    if let Ok(group) = i32::try_from(group) {
        let _ = killpg(nix::unistd::Pid::from_raw(group), if hard { Signal::SIGKILL } else { Signal::SIGTERM });
    }
}

#[cfg(not(unix))]
fn signal(_: u32, _: bool) {}

/// Becomes Samba, having said which process that is. Called in a session of its own.
///
/// # Errors
/// It cannot; otherwise it does not come back.
#[cfg(unix)]
pub fn become_samba(files: &Files) -> Result<(), Trouble> {
    use std::os::unix::process::CommandExt as _;
    let pid = std::process::id();
    let Some(stat) = stat(pid).filter(|stat| stat.group == pid && stat.session == pid) else {
        return Err(Trouble::new("this process leads no session of its own").hint("`relevo lab up` starts it as it must be"));
    };
    let first = First { pid, started: stat.started, boot: boot() };
    let text = serde_json::to_vec(&first).map_err(|error| Trouble::new(error.to_string()))?;
    files.write(&below(files, "process.json"), &text)?;
    let mut command = host::program(files, "samba", &[]);
    // One process per connection, all in this group.
    let error = command.args(["-F", "--no-process-group", "-M", "standard"]).exec();
    Err(Trouble::new(format!("Samba cannot be started: {error}")))
}

/// Becomes Samba, where that can be.
///
/// # Errors
/// Always: it needs Unix.
#[cfg(not(unix))]
pub fn become_samba(files: &Files) -> Result<(), Trouble> {
    host::check(files)
}
