//! The program itself, started as an operator would, and killed as fate would.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::processes::{self, MARK};

/// How to call relevo in one test.
pub struct Relevo {
    /// Where runs are kept, and what relevo printed.
    pub folder: PathBuf,
    /// Carried by everything that it starts.
    pub mark: String,
    /// Further environment.
    pub env: Vec<(&'static str, String)>,
}

/// A relevo at work. Killed with the value.
pub struct Working {
    child: Child,
    printed: PathBuf,
}

impl Relevo {
    /// The folder that holds the runs.
    pub fn runs(&self) -> PathBuf {
        self.folder.join("runs")
    }

    /// Starts it. What it prints goes to a file: a pipe would be one more thing that dies with somebody.
    pub fn start(&self, arguments: &[&str]) -> Working {
        let printed = self.folder.join("printed");
        let out = File::options().create(true).append(true).open(&printed).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_relevo"))
            .args(arguments)
            .arg("--runs")
            .arg(self.runs())
            .env(MARK, &self.mark)
            .env("RELEVO_MACHINE", self.folder.join("machine"))
            .envs(self.env.iter().map(|(name, value)| (*name, value)))
            .stdin(std::process::Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Working { child, printed }
    }

    /// Starts it and waits for its end.
    pub fn call(&self, limit: Duration, arguments: &[&str]) -> (Option<i32>, String) {
        let mut working = self.start(arguments);
        let end = working.ended_within(limit).unwrap_or_else(|| panic!("not done within {limit:?}: {}", working.printed()));
        (end.code(), working.printed())
    }

    /// Kills what relevo has started and what still lives, the database servers excepted: with relevo itself that is
    /// a power cut on the operator's machine.
    pub fn kill_programs(&self) {
        for process in processes::marked(&self.mark) {
            if process.program != "postgres" {
                processes::send(process.pid, Signal::SIGKILL);
            }
        }
    }
}

impl Working {
    /// How it ended, if it did so in time.
    pub fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            std::thread::park_timeout(left.min(Duration::from_millis(10)));
        }
    }

    /// `kill -9`. What it started goes on.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Everything that was printed so far, by earlier calls too.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.printed).unwrap_or_default()
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The first file below `folder` that holds the text.
pub fn file_with(folder: &Path, text: &str) -> Option<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes())) {
                return Some(path);
            }
        }
    }
    None
}
