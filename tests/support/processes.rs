//! Processes of a test: found by a mark in their environment, so that none outlives it and no other one is touched.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The environment variable that marks everything a test starts.
pub const MARK: &str = "RELEVO_TEST_MARK";

/// A process that carries the mark.
pub struct Marked {
    /// Its id.
    pub pid: Pid,
    /// Its program's name.
    pub program: String,
}

/// All living processes that carry this value of the mark.
pub fn marked(mark: &str) -> Vec<Marked> {
    let wanted = format!("{MARK}={mark}");
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            if !environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
                return None;
            }
            let program = std::fs::read_to_string(entry.path().join("comm")).ok()?.trim().to_owned();
            Some(Marked { pid: Pid::from_raw(pid), program })
        })
        .collect()
}

/// Sends a signal; a process that is gone already is no matter.
pub fn send(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

/// Waits for a condition.
///
/// # Panics
/// When it has not come about within `limit`.
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
