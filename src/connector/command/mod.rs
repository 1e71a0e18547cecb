//! `command`: runs a program on this machine.
//!
//! - The program outlives relevo without harm: its output goes to files, its input comes from nobody who has to
//!   live, and Ctrl-C does not reach it.
//! - It is found again: see [`files`] for the locks and [`args::ATTEMPT`] for the mark that it carries.
//! - An attempt ends when the program does, not when everything ends that it has started. What goes on in the
//!   background is said where it matters: an error is not final as long as something of the attempt can still act.
//! - Secrets are fetched at the last moment and taken out of everything that is answered. The output files are
//!   the program's own and hold what it printed.

mod args;
mod extract;
mod files;
mod process;
mod program;
mod shell;
mod workers;

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::redact::Redactor;
use crate::foreign;
use crate::plan::Verdict;
use crate::run::connector::{Call, Connector, Description, Evidence, Finding, Level, Look, Observation, Quiescence};
use crate::run::event::{EvidenceRef, Identity, Outcome};
use crate::secret::SecretRef;
use crate::time::Span;

use args::{ATTEMPT, Args, Line, Resolved};
use files::Spares;
use process::{Order, Process};
use workers::Workers;

pub use args::specs;
pub use files::output_files;

/// Marks a probe's program: it is not the attempt, and must not look like it.
const PROBE: &str = "RELEVO_PROBE";
/// Between asking a group to end and killing it.
const GRACE: Duration = Duration::from_secs(5);
/// How long after that its end is awaited; a program that hangs in the kernel cannot be killed.
const BURIAL: Duration = Duration::from_secs(5);
/// Of a probe that has no timeout.
const PROBE_TIMEOUT: Duration = Duration::from_mins(1);
/// Of a text in an observation, in bytes.
const LONGEST_FACT: usize = 64 * 1024;
/// Of a program's own words in a reason, in characters.
const LONGEST_WORDS: usize = 200;

/// The connector.
#[derive(Clone)]
pub struct Command {
    workers: Workers,
    spares: Arc<Spares>,
    grace: Duration,
}

impl Default for Command {
    fn default() -> Self {
        Command { workers: Workers::default(), spares: Arc::default(), grace: GRACE }
    }
}

#[async_trait]
impl Look for Command {
    async fn preflight(&self, call: &Call) -> Vec<Finding> {
        let args = match Args::parse(call) {
            Ok(args) => args,
            Err(why) => return vec![fatal(why)],
        };
        // Only a secret can take its time, such as one that a program gives; a thread costs more than all the rest.
        if args.secrets().next().is_none() {
            return preflight(call, &args);
        }
        let call = call.clone();
        self.blocking(move || preflight(&call, &args)).await.unwrap_or_else(|why| vec![fatal(why)])
    }

    async fn describe(&self, call: &Call) -> Description {
        Description { lines: describe(call), rehearsable: true, outputs: Map::new() }
    }

    async fn probe(&self, call: &Call) -> Observation {
        let process = Arc::new(Process::new());
        // A probe whose answer nobody awaits any more must not go on.
        let _end = KillOnDrop(Arc::clone(&process));
        let limit = call.timeout.map_or(PROBE_TIMEOUT, Span::to_std);
        let work = {
            let (call, process) = (call.clone(), Arc::clone(&process));
            move || probe(&call, &process)
        };
        match tokio::time::timeout(limit, self.blocking(work)).await {
            Ok(Ok(observation)) => observation,
            Ok(Err(why)) => Observation::unknown(why),
            Err(_) => Observation::unknown(format!("no answer within {}", span(limit))),
        }
    }

    async fn quiesce(&self, call: &Call) -> Quiescence {
        // A program that is just being started has, for a moment, a copy of every handle of this process.
        for pause in [2, 10, 50, 150] {
            let look = quiesce(call);
            if !matches!(look, Quiescence::Busy { .. }) {
                return look;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        quiesce(call)
    }

    fn has_probe(&self, _uses: &str) -> bool {
        false
    }

    fn by_hand(&self, call: &Call) -> Vec<String> {
        by_hand(call)
    }
}

#[async_trait]
impl Connector for Command {
    async fn before_image(&self, _call: &Call, _evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        Ok(None)
    }

    async fn apply(&self, call: &Call) -> Outcome {
        let process = Arc::new(Process::new());
        let work = {
            let (call, process, spares) = (call.clone(), Arc::clone(&process), Arc::clone(&self.spares));
            move || apply(&call, &process, &spares)
        };
        let mut answer = match self.workers.run(work) {
            Ok(answer) => answer,
            Err(error) => return Outcome::NotSent { reason: format!("no thread for it: {error}") },
        };
        let lost = |_| Outcome::Unknown { reason: "relevo lost sight of the program".to_owned() };
        let Some(limit) = call.timeout.map(Span::to_std) else { return answer.await.unwrap_or_else(lost) };
        if let Ok(outcome) = tokio::time::timeout(limit, &mut answer).await {
            return outcome.unwrap_or_else(lost);
        }
        let late = |what: String| Outcome::Unknown { reason: format!("timed out after {}; {what}", span(limit)) };
        if !process.end(self.grace) {
            // It has just ended; the answer is being written.
            return answer.await.unwrap_or_else(lost);
        }
        let outcome = if let Ok(outcome) = tokio::time::timeout(self.grace, &mut answer).await {
            outcome
        } else {
            process.kill();
            let Ok(outcome) = tokio::time::timeout(BURIAL, &mut answer).await else {
                return late("the program could not be killed and may still act".to_owned());
            };
            outcome
        };
        let outcome = outcome.unwrap_or_else(lost);
        let rest = if matches!(self.quiesce(call).await, Quiescence::Busy { .. }) {
            ", but a process that it started still runs"
        } else {
            ""
        };
        match outcome {
            Outcome::NotSent { reason } => Outcome::NotSent { reason },
            Outcome::Applied { .. } => late(format!("ended with exit 0 when it was asked to end{rest}")),
            Outcome::Rejected { reason, .. } | Outcome::Unknown { reason } | Outcome::Abandoned { reason } => {
                late(format!("killed ({reason}){rest}"))
            }
            Outcome::Described { .. } => unreachable!("a program is run here, never described"),
        }
    }

    async fn undo(&self, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::NotSent { reason: "a command has no undo of its own; its author may give it one".to_owned() }
    }
}

impl Command {
    /// With another time between asking a program to end and killing it.
    #[must_use]
    pub fn with_grace(grace: Span) -> Self {
        Command { grace: grace.to_std(), ..Command::default() }
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        let answer = self.workers.run(work).map_err(|error| format!("no thread for it: {error}"))?;
        answer.await.map_err(|_| "relevo lost sight of the program".to_owned())
    }
}

/// Ends a probe's program when the probe is given up.
struct KillOnDrop(Arc<Process>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.end(Duration::ZERO);
    }
}

/// Everything that can be told before the program is started.
struct Ready {
    program: std::path::PathBuf,
    name: String,
    args: Vec<String>,
    resolved: Resolved,
    redactor: Redactor,
}

impl Ready {
    fn new(args: &Args) -> Result<Self, String> {
        if !args.cwd.is_dir() {
            return Err(format!("the working directory `{}` does not exist", args.cwd.display()));
        }
        let resolved = args.resolve()?;
        let path = resolved.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_str());
        let (name, rest) = match &args.line {
            Line::Argv(words) => (words[0].clone(), words[1..].to_vec()),
            Line::Shell(text) => {
                let (name, options) = shell::SHELL;
                let rest = options.iter().map(|&option| option.to_owned()).chain([shell::script(text)]);
                (name.to_owned(), rest.collect())
            }
        };
        let program = program::find(&name, &args.cwd, path)?;
        let redactor = Redactor::new(&resolved.secrets);
        Ok(Ready { program, name, args: rest, resolved, redactor })
    }

    fn order<'a>(
        &'a self,
        args: &'a Args,
        marker: (&'static str, String),
        stdin: Stdio,
        stdout: File,
        stderr: File,
    ) -> Order<'a> {
        Order {
            program: &self.program,
            arg0: &self.name,
            args: self.args.clone(),
            cwd: &args.cwd,
            env: &self.resolved.env,
            without: if marker.0 == PROBE { ATTEMPT } else { PROBE },
            marker,
            stdin,
            stdout,
            stderr,
        }
    }

    fn stdin(&self, folder: &std::path::Path) -> io::Result<Stdio> {
        self.resolved.stdin.as_ref().map_or(Ok(Stdio::null()), |text| process::stdin_of(text, folder))
    }
}

/// Runs the program to its end. Blocks.
fn apply(call: &Call, process: &Process, spares: &Spares) -> Outcome {
    let not_sent = |reason: String| Outcome::NotSent { reason };
    let ready = match Args::parse(call).and_then(|args| Ready::new(&args).map(|ready| (args, ready))) {
        Ok(ready) => ready,
        Err(reason) => return not_sent(reason),
    };
    let (args, ready) = ready;
    let handles = match spares.create(&call.scratch) {
        Ok(handles) => handles,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let reason = format!("attempt {} has been started before: its output files are there", call.attempt);
            return Outcome::Unknown { reason };
        }
        Err(error) => {
            return not_sent(format!("no files for its output in `{}`: {error}", files::folder(&call.scratch).display()));
        }
    };
    let stdin = match ready.stdin(files::folder(&call.scratch)) {
        Ok(stdin) => stdin,
        Err(error) => return not_sent(format!("no standard input for it: {error}")),
    };
    let order = ready.order(&args, (ATTEMPT, call.attempt_id()), stdin, handles.stdout, handles.stderr);
    let mut child = match process.start(order) {
        Ok(child) => child,
        Err(error) => return not_sent(format!("`{}` could not be started: {error}", ready.name)),
    };
    if let Err(error) = files::Origin::here(child.id()).write(&call.scratch) {
        tracing::warn!(%error, "the program's number could not be written down");
    }
    let status = process.wait(&mut child, &|| files::held(&call.scratch).is_ok_and(|held| held == Some(true)));
    match status {
        Ok(status) => {
            let outcome = ended(call, status, &ready.redactor);
            if matches!(outcome, Outcome::Applied { .. }) {
                spares.give(&call.scratch);
            }
            outcome
        }
        Err(error) => Outcome::Unknown { reason: format!("how it ended cannot be told: {error}") },
    }
}

/// What the end of the program means.
fn ended(call: &Call, status: ExitStatus, redactor: &Redactor) -> Outcome {
    let [stdout, stderr] = files::output_files(&call.scratch).map(|file| move || File::open(&file));
    if status.success() {
        let left = extract::Left { stdout: &stdout, stderr: &stderr, exit: status.code() };
        return match extract::outputs(&call.outputs, &left, redactor) {
            Ok(outputs) => Outcome::Applied { outputs },
            Err(why) => Outcome::Rejected { reason: format!("it ended with exit 0, but {why}"), untouched: false },
        };
    }
    let words = stderr().and_then(|file| extract::tail(file, 4096, redactor)).unwrap_or_default();
    let words = foreign::last_line(&words).map(|line| foreign::one_line(line, LONGEST_WORDS));
    let reason = match words {
        Some(words) => format!("{}: {words}", process::told(status)),
        None => format!("{} and nothing on stderr", process::told(status)),
    };
    // An error is final only when nothing of the attempt can act any more.
    if still_held(call) {
        Outcome::Unknown { reason: format!("{reason}; but a process that it started still runs") }
    } else {
        Outcome::Rejected { reason, untouched: false }
    }
}

/// Whether something of the attempt has its files, and not only a program that is just being started elsewhere in
/// this process and has copies of them for a moment.
fn still_held(call: &Call) -> bool {
    let held = || files::held(&call.scratch).is_ok_and(|held| held == Some(true));
    [1, 5, 20, 100].into_iter().all(|pause| {
        let held = held();
        if held {
            std::thread::sleep(Duration::from_millis(pause));
        }
        held
    }) && held()
}

/// Runs a read-only program. Blocks; its files have no names, so that it never touches those of an attempt.
fn probe(call: &Call, process: &Process) -> Observation {
    let (args, ready) = match Args::parse(call).and_then(|args| Ready::new(&args).map(|ready| (args, ready))) {
        Ok(ready) => ready,
        Err(reason) => return Observation::unknown(reason),
    };
    match look(call, process, &args, &ready) {
        Ok(observation) => observation,
        Err(error) => Observation::unknown(ready.redactor.text(&format!("`{}` could not be run: {error}", ready.name))),
    }
}

fn look(call: &Call, process: &Process, args: &Args, ready: &Ready) -> io::Result<Observation> {
    let folder = files::folder(&call.scratch);
    files::make(folder)?;
    let (stdout, stderr) = (process::nameless(folder, "stdout")?, process::nameless(folder, "stderr")?);
    let stdin = ready.stdin(files::folder(&call.scratch))?;
    let marker = (PROBE, call.attempt_id());
    let mut child = process.start(ready.order(args, marker, stdin, stdout.try_clone()?, stderr.try_clone()?))?;
    let status = process.wait(&mut child, &|| false)?;
    let (out, err) = (
        extract::head(stdout.try_clone()?, LONGEST_FACT, &ready.redactor)?,
        extract::head(stderr.try_clone()?, LONGEST_FACT, &ready.redactor)?,
    );
    let left = extract::Left { stdout: &|| stdout.try_clone(), stderr: &|| stderr.try_clone(), exit: status.code() };
    let (outputs, missing) = match extract::outputs(&call.outputs, &left, &ready.redactor) {
        Ok(outputs) => (outputs, None),
        Err(why) => (Map::new(), Some(why)),
    };
    let words = foreign::last_line(&out).or_else(|| foreign::last_line(&err)).map(|line| foreign::one_line(line, LONGEST_WORDS));
    let mut seen = words.map_or_else(|| process::told(status), |words| format!("{}: {words}", process::told(status)));
    if let Some(why) = missing.filter(|_| status.success()) {
        seen = format!("{seen}; {why}");
    }
    let facts = Map::from_iter([
        ("exit".to_owned(), status.code().map_or(Value::Null, Value::from)),
        ("stdout".to_owned(), Value::String(out)),
        ("stderr".to_owned(), Value::String(err)),
    ]);
    Ok(Observation { verdict: Verdict::Unknown, seen, facts, outputs, identity: Identity::new() })
}

/// Whether anything of the attempt can still act. Locks and processes tell only of the machine that they are looked at on, so
/// that first it must be certain that the attempt ran on this one.
fn quiesce(call: &Call) -> Quiescence {
    let origin = files::Origin::read(&call.scratch);
    let quiet = |seen: &str| Quiescence::Quiet { seen: seen.to_owned(), ended: None };
    match origin.as_ref().map(files::Origin::this_boot) {
        Some(None) => {
            let host = origin.map(|origin| foreign::one_line(&origin.host, 64)).unwrap_or_default();
            if call.sent.dead {
                return quiet(&format!("the program was started on the machine `{host}`, which is off"));
            }
            return Quiescence::CannotTell {
                seen: format!("the program was started on the machine `{host}`; only there, or if that is off, can it be told"),
            };
        }
        Some(Some(false)) => return quiet("the machine has been restarted since the program was started"),
        Some(Some(true)) | None => {}
    }
    let held = match files::held(&call.scratch) {
        Ok(held) => held,
        Err(error) => return Quiescence::CannotTell { seen: format!("its output files cannot be looked at: {error}") },
    };
    let marked = process::marked(ATTEMPT, &call.attempt_id());
    if held == Some(true) || !marked.is_empty() {
        let named: Vec<String> = marked.iter().map(|(pid, name)| format!("{pid} ({})", foreign::one_line(name, 32))).collect();
        let seen = match (named.as_slice(), origin) {
            ([], None) => "a process of the attempt still runs".to_owned(),
            ([], Some(origin)) => format!("process {} or one that it started still runs", origin.pid),
            ([one], _) => format!("process {one} still runs"),
            (several, _) => format!("processes {} still run", several.join(", ")),
        };
        return Quiescence::Busy { seen };
    }
    // Who started it dies with its locks on another machine, and a copy of the run's folder has no locks: nothing was seen
    // here, and nothing says that this is where it would be seen.
    if origin.is_none() && !call.sent.dead {
        let seen = "nothing of it is seen here, but nothing says that it was started on this machine";
        return Quiescence::CannotTell { seen: seen.to_owned() };
    }
    if held.is_none() && origin.is_none() { quiet("no program was started") } else { quiet("no process of the attempt is left") }
}

fn preflight(call: &Call, args: &Args) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !args.cwd.is_dir() {
        findings.push(warning(format!("the working directory `{}` does not exist yet", args.cwd.display())));
    }
    let path = args.env.iter().find_map(|(name, text)| match text {
        args::Text::Plain(path) if name == "PATH" => Some(path.as_str()),
        _ => None,
    });
    let name = match &args.line {
        Line::Argv(words) => words[0].as_str(),
        Line::Shell(_) => shell::SHELL.0,
    };
    // A program that is named by its path may be made by an earlier step; one that `PATH` should lead to may not.
    let by_path = name.contains(['/', '\\']);
    findings.extend(program::find(name, &args.cwd, path).err().map(if by_path { warning } else { fatal }));
    for (place, secret) in args.secrets() {
        findings.extend(unavailable(secret, call).map(|why| fatal(format!("the secret for `{place}`: {why}"))));
    }
    findings
}

/// Why a secret could not be had, as far as that can be told without running a program for it.
fn unavailable(secret: &SecretRef, call: &Call) -> Option<String> {
    match secret {
        // A prompt is asked here, before anything starts, and remembered.
        SecretRef::Env(_) | SecretRef::File(_) | SecretRef::Prompt(_) => secret.resolve().err().map(|error| error.message),
        SecretRef::Command(argv) => match argv.first() {
            Some(program) => program::find(program, &call.folder, None).err(),
            None => Some("the command is empty".to_owned()),
        },
    }
}

fn warning(message: String) -> Finding {
    Finding { level: Level::Warning, message }
}

fn fatal(message: String) -> Finding {
    Finding { level: Level::Fatal, message }
}

fn describe(call: &Call) -> Vec<String> {
    let args = match Args::parse(call) {
        Ok(args) => args,
        Err(why) => return vec![format!("cannot be run: {why}")],
    };
    let mut lines: Vec<String> = match &args.line {
        Line::Argv(_) => vec![format!("run {}", args.shown())],
        Line::Shell(script) if script.trim_end().contains('\n') => {
            std::iter::once("run a script".to_owned()).chain(script.trim_end().lines().map(|line| format!("  {line}"))).collect()
        }
        Line::Shell(_) => vec![format!("run in a shell: {}", args.shown())],
    };
    lines.push(format!("in {}", args.cwd.display()));
    for (name, text) in &args.env {
        lines.push(match text {
            args::Text::Plain(value) => format!("with {name}={value}"),
            args::Text::Secret(secret) => format!("with {name}: {}", shell::told(secret)),
        });
    }
    match &args.stdin {
        None => {}
        Some(args::Text::Plain(text)) => lines.push(format!("reading {} bytes of text", text.len())),
        Some(args::Text::Secret(secret)) => lines.push(format!("reading a {}", shell::told(secret))),
    }
    lines.into_iter().map(|line| indented(&line)).collect()
}

/// Made harmless; an indentation stays.
fn indented(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    format!("{}{}", &line[..indent], foreign::one_line(line, 1000))
}

fn by_hand(call: &Call) -> Vec<String> {
    let args = match Args::parse(call) {
        Ok(args) => args,
        Err(why) => return vec![format!("# cannot be run: {why}")],
    };
    let mut lines = vec![format!("cd {}", shell::quoted(&args.cwd.display().to_string()))];
    let mut line = String::new();
    if let Some(stdin) = &args.stdin {
        let source = match stdin {
            args::Text::Plain(text) => shell::quoted(text),
            args::Text::Secret(secret) => shell::fetched(secret),
        };
        let _ = write!(line, "printf %s {source} | ");
    }
    for (name, text) in &args.env {
        let value = match text {
            args::Text::Plain(text) => shell::quoted(text),
            args::Text::Secret(secret) => shell::fetched(secret),
        };
        let _ = write!(line, "{name}={value} ");
    }
    let typed = match &args.line {
        Line::Argv(_) => args.shown(),
        Line::Shell(script) => format!("sh -e -c {}", shell::quoted(script.trim_end())),
    };
    line.push_str(&typed);
    lines.push(line);
    lines
}

/// A length of time in the plan's own words.
fn span(length: Duration) -> String {
    super::span(Span::from_millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
}
