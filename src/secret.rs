//! Secrets: where they come from (a reference, safe to show) and what they are (a value that cannot be shown).
//!
//! A plan or a targets file never holds a secret, only a [`SecretRef`]. The value exists as [`Secret`], which has
//! no `Display`, no `Serialize` and a `Debug` that prints nothing of it, and is zeroed when dropped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Where a secret is to be found. Safe to print, store and compare.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// An environment variable of the process that runs relevo.
    Env(String),
    /// A file; its content without one final line break. Relative to the folder of the file that names it.
    File(PathBuf),
    /// A program and its arguments; its standard output without one final line break. No shell.
    Command(Vec<String>),
    /// Asked for on the terminal, without echo; the text is the question.
    Prompt(String),
}

/// A secret value in memory.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: String) -> Self {
        Secret(SecretString::from(value))
    }

    /// Shows the value to the one caller that must send it. Never to be logged, stored or formatted.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a secret could not be had. Never holds any part of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SecretError {
    /// What happened; lower case, without a final stop.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl SecretError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        SecretError { message: message.into(), hint: hint.into() }
    }
}

/// No password is longer; a larger answer is the wrong file or a program gone wild.
const LARGEST: u64 = 64 * 1024;

impl std::fmt::Display for SecretRef {
    /// The reference as it is written in a file, never the value.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env {name}"),
            SecretRef::File(path) => write!(f, "file {}", path.display()),
            SecretRef::Command(argv) => write!(f, "command {}", argv.first().map_or("", String::as_str)),
            SecretRef::Prompt(ask) => write!(f, "prompt {ask:?}"),
        }
    }
}

impl SecretRef {
    /// Fetches the value. Blocks: a command runs to its end, a prompt waits for a person.
    ///
    /// # Errors
    /// The place has no value, an empty one, one larger than 64 KiB, or one that is not UTF-8 text.
    pub fn resolve(&self) -> Result<Secret, SecretError> {
        let value = match self {
            SecretRef::Env(name) => from_env(name)?,
            SecretRef::File(path) => from_file(path)?,
            SecretRef::Command(argv) => from_command(argv)?,
            SecretRef::Prompt(ask) => from_prompt(ask)?,
        };
        if value.reveal().is_empty() {
            return Err(SecretError::new(format!("the secret from {self} is empty"), "an empty secret is taken for a mistake"));
        }
        Ok(value)
    }
}

fn from_env(name: &str) -> Result<Secret, SecretError> {
    match std::env::var(name) {
        Ok(value) => Ok(Secret::new(value)),
        Err(std::env::VarError::NotPresent) => Err(SecretError::new(
            format!("the environment variable `{name}` is not set"),
            format!("set `{name}` in the environment of relevo, or name another source"),
        )),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(SecretError::new(format!("the environment variable `{name}` is not text in UTF-8"), "a secret is UTF-8 text"))
        }
    }
}

fn from_file(path: &std::path::Path) -> Result<Secret, SecretError> {
    use std::io::Read;

    let shown = path.display();
    let cannot = |error: std::io::Error| {
        SecretError::new(format!("cannot read the secret file `{shown}`: {error}"), "check the path and who may read it")
    };
    // Asked before opening: opening a named pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(SecretError::new(format!("the secret file `{shown}` is not a regular file"), "name a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(cannot)?.take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    text(bytes, &format!("the secret file `{shown}`"))
}

fn from_command(argv: &[String]) -> Result<Secret, SecretError> {
    use std::io::Read;
    use std::process::{Command, Stdio};

    let Some((program, arguments)) = argv.split_first() else {
        return Err(SecretError::new("the secret's command is empty", "write the program and its arguments as a list"));
    };
    let cannot = |error: std::io::Error| {
        SecretError::new(format!("cannot run `{program}` for a secret: {error}"), "check that the program is installed")
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(cannot)?;
    let mut bytes = Vec::new();
    let read = match child.stdout.take() {
        Some(out) => out.take(LARGEST + 1).read_to_end(&mut bytes),
        None => Ok(0),
    };
    // The pipe is closed by now, so that a program which writes on for ever ends with a broken pipe.
    let status = child.wait().map_err(cannot)?;
    read.map_err(cannot)?;
    let secret = text(bytes, &format!("the answer of `{program}`"))?;
    if !status.success() {
        return Err(SecretError::new(
            format!("`{program}` gave no secret: {status}"),
            "run it by hand to see why; its error text is above",
        ));
    }
    Ok(secret)
}

/// Answers of people. Each question is asked once per process, before anything starts: in the middle of a run nobody may
/// be at the terminal.
static ANSWERS: Mutex<BTreeMap<String, Secret>> = Mutex::new(BTreeMap::new());

fn from_prompt(ask: &str) -> Result<Secret, SecretError> {
    use std::io::IsTerminal;

    if !std::io::stdin().is_terminal() {
        return Err(SecretError::new(
            format!("a secret is to be asked for (\"{ask}\"), and there is no terminal"),
            "start relevo on a terminal, or name an environment variable, a file or a command instead",
        ));
    }
    let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = answers.get(ask) {
        return Ok(known.clone());
    }
    let answer = rpassword::prompt_password(format!("{ask}: "))
        .map(Secret::new)
        .map_err(|error| SecretError::new(format!("the terminal gave no answer: {error}"), "try again"))?;
    answers.insert(ask.to_owned(), answer.clone());
    Ok(answer)
}

/// The text without one final line break.
fn text(bytes: Vec<u8>, what: &str) -> Result<Secret, SecretError> {
    if bytes.len() as u64 > LARGEST {
        return Err(SecretError::new(format!("{what} is larger than 64 KiB"), "a secret is one short text"));
    }
    let mut text = String::from_utf8(bytes)
        .map_err(|_| SecretError::new(format!("{what} is not text in UTF-8"), "a secret is UTF-8 text"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Secret::new(text))
}
