//! The program as an operator has it in front of them: a folder of their own, a plan, commands typed, words and exit
//! codes read. Nothing of the library is used here.
#![allow(dead_code, reason = "each test file uses a part")]

#[path = "../support/processes.rs"]
pub mod processes;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use processes::MARK;

/// Longer than anything here takes, on however busy a machine.
pub const LONG: Duration = Duration::from_secs(90);

/// The account that runs the tests, as relevo sees it.
pub fn me() -> String {
    nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().map_or_else(|| "nobody".to_owned(), |user| user.name)
}

/// A folder with a plan in it, and runs below it.
pub struct Desk {
    /// Everything on disk.
    pub folder: tempfile::TempDir,
    /// What all runs of a machine share: here, those of this desk.
    pub machine: tempfile::TempDir,
    /// Carried by everything that is started here.
    pub mark: String,
    /// Further environment.
    pub env: Vec<(String, String)>,
}

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Said {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Both outputs, one after the other.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Checks the exit code.
    ///
    /// # Panics
    /// If it is another one; tells everything that was said.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code; it said:\n{}\n-- stderr:\n{}", self.out, self.err);
        self
    }

    /// Checks that both outputs together hold a text.
    ///
    /// # Panics
    /// If they do not.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.all().contains(text), "`{text}` is missing; it said:\n{}\n-- stderr:\n{}", self.out, self.err);
        self
    }

    /// Checks that neither output holds a text.
    ///
    /// # Panics
    /// If one does.
    #[track_caller]
    pub fn keeps_silent_about(self, text: &str) -> Self {
        assert!(!self.all().contains(text), "`{text}` is there; it said:\n{}\n-- stderr:\n{}", self.out, self.err);
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.all()))
    }
}

impl Desk {
    /// An empty desk.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("relevo-cli-").tempdir().unwrap();
        let mark = folder.path().display().to_string();
        let machine = tempfile::Builder::new().prefix("relevo-machine-").tempdir().unwrap();
        Desk { folder, machine, mark, env: Vec::new() }
    }

    /// A desk with `plan.yaml` of these steps (indented by two), and an empty ledger.
    pub fn with_steps(steps: &str) -> Self {
        let desk = Desk::new();
        desk.steps(steps);
        desk
    }

    /// Writes `plan.yaml` of these steps.
    pub fn steps(&self, steps: &str) {
        self.write("plan.yaml", &format!("relevo: 1\nname: A weekend\nsteps:\n{steps}"));
        if !self.path("ledger").exists() {
            self.write("ledger", "");
        }
    }

    /// A file of the desk.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Reads a file; empty if there is none.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The lines of the ledger.
    pub fn ledger(&self) -> Vec<String> {
        self.read("ledger").lines().map(str::to_owned).collect()
    }

    /// The only run's directory.
    pub fn run_dir(&self) -> PathBuf {
        let mut all = self.run_dirs();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// The directories of all runs, oldest first.
    pub fn run_dirs(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = std::fs::read_dir(self.path("runs"))
            .map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| is_run(path)).collect())
            .unwrap_or_default();
        all.sort();
        all
    }

    /// The journal as text.
    pub fn journal(&self) -> String {
        std::fs::read_to_string(self.run_dir().join("journal")).unwrap_or_default()
    }

    /// A command, not yet started: in this folder, with this environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_relevo"), arguments)
    }

    /// Forgets every run, as if the next were the first one on a machine that nobody has used.
    pub fn forget_runs(&self) {
        for folder in [self.path("runs"), self.machine.path().join("locks"), self.machine.path().join("runs")] {
            let _ = std::fs::remove_dir_all(folder);
        }
    }

    /// Any program in this folder and environment.
    pub fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("RELEVO_LOG")
            .env("RELEVO_RUNS", self.path("runs"))
            .env("RELEVO_MACHINE", self.machine.path())
            .env("LEDGER", self.path("ledger"))
            .env(MARK, &self.mark)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Types a command and reads what comes.
    #[track_caller]
    pub fn relevo(&self, arguments: &[&str]) -> Said {
        self.start(arguments).wait()
    }

    /// Types a command and does not wait.
    pub fn start(&self, arguments: &[&str]) -> Working {
        self.working(self.command(arguments))
    }

    /// Starts any program in this folder and environment.
    pub fn start_program(&self, program: &str, arguments: &[&str]) -> Working {
        self.working(self.program(program, arguments))
    }

    /// Starts any command.
    pub fn working(&self, mut command: Command) -> Working {
        // Files, not pipes: a full pipe would hold the program up, and a file can be read at any time.
        let printed = || tempfile::NamedTempFile::new_in(self.folder.path()).unwrap();
        let (out, err) = (printed(), printed());
        command.stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap());
        Working { child: command.spawn().unwrap(), out: out.into_temp_path(), err: err.into_temp_path() }
    }

    /// Waits until the ledger holds a line.
    #[track_caller]
    pub fn wait_for_line(&self, line: &str) {
        wait_for(&format!("`{line}` in the ledger"), || self.ledger().iter().any(|have| have == line));
    }

    /// Waits until the only run's journal holds a text.
    #[track_caller]
    pub fn wait_for_record(&self, text: &str) {
        wait_for(&format!("`{text}` in the journal"), || self.run_dirs().len() == 1 && self.journal().contains(text));
    }

    /// The state word of a step by `status`.
    #[track_caller]
    pub fn state_of(&self, step: &str) -> String {
        let status = self.relevo(&["status", "--format", "json"]).exits(0).json();
        state_in(&status, step)
    }

    /// Living processes of this desk.
    pub fn living(&self) -> Vec<Pid> {
        processes::marked(&self.mark).into_iter().map(|process| process.pid).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for pid in self.living() {
            processes::send(pid, Signal::SIGKILL);
        }
    }
}

/// The state word of a step in a status.
#[track_caller]
pub fn state_in(status: &Value, step: &str) -> String {
    let steps = status["steps"].as_array().unwrap();
    let found = steps.iter().find(|row| row["id"] == step).unwrap_or_else(|| panic!("no step `{step}`"));
    found["state"].as_str().unwrap().to_owned()
}

/// Waits for a condition.
///
/// # Panics
/// When it does not come about for long.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < end, "not within {LONG:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A relevo at work. Killed with the value.
pub struct Working {
    child: Child,
    out: tempfile::TempPath,
    err: tempfile::TempPath,
}

impl Working {
    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        processes::send(self.pid(), signal);
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// What it has printed so far, both outputs.
    pub fn printed(&self) -> String {
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        format!("{}{}", read(&self.out), read(&self.err))
    }

    /// Waits until it has printed a text.
    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        let end = Instant::now() + LONG;
        while !self.printed().contains(text) {
            let ended = self.ended();
            // What was printed last may have come between the two looks.
            assert!(
                ended.is_none() || self.printed().contains(text),
                "it ended ({ended:?}) without `{text}`:\n{}",
                self.printed()
            );
            assert!(Instant::now() < end, "no `{text}` within {LONG:?}:\n{}", self.printed());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// `kill -9`. What it started goes on.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Said {
        let end = Instant::now() + LONG;
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            assert!(Instant::now() < end, "not done within {LONG:?}:\n{}", self.printed());
            std::thread::park_timeout(Duration::from_millis(3));
        };
        let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        Said { code: status.code(), out: read(&self.out), err: read(&self.err) }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Every file below a folder with its content and its permissions, by relative path.
pub fn tree(folder: &Path) -> std::collections::BTreeMap<PathBuf, (Vec<u8>, String)> {
    let mut all = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).unwrap().flatten() {
            let path = entry.path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let about = format!("{:?} {:?} {:?}", meta.file_type(), meta.permissions(), meta.modified().ok());
            if meta.is_dir() {
                folders.push(path.clone());
            }
            let content = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            all.insert(path.strip_prefix(folder).unwrap().to_owned(), (content, about));
        }
    }
    all
}

/// Appends to a file and makes it durable.
pub fn append(path: &Path, bytes: &[u8]) {
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
}

/// Whether tests that take long or need root are asked for.
pub fn all_tests(needs: &str) -> bool {
    let all = std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all");
    if !all {
        eprintln!("left out: {needs} (RELEVO_TESTS=all)");
    }
    all
}

/// A folder that is still being made, or was when its maker was killed, has a name of its own and is no run.
fn is_run(path: &Path) -> bool {
    !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.') && path.join("journal").exists()
}
