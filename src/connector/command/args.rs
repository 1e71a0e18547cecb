//! The arguments of `command`, read from a call whose expressions are resolved.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::shell;
use crate::plan::ActionSpec;
use crate::plan::action::{self, UndoGrade};
use crate::run::connector::Call;
use crate::secret::{Secret, SecretRef};

/// The environment variable that carries the attempt's id to the program and everything it starts.
pub const ATTEMPT: &str = "RELEVO_ATTEMPT";

/// What the plan language knows of `command`.
pub fn specs() -> Vec<ActionSpec> {
    use action::{ArgSpec, ArgType, Effect};
    let arg = |name, kind, doc| ArgSpec { name, kind, required: false, doc };
    vec![ActionSpec {
        name: "command",
        doc: "runs a program on this machine; its output goes to files in the run directory",
        args: vec![
            arg("argv", ArgType::StringList, "the program and its arguments; no shell sees them"),
            arg("shell", ArgType::String, "a script for `sh -e`: it stops at the first command that fails"),
            arg("cwd", ArgType::String, "the working directory; relative to the folder of the plan, which is the default"),
            arg("env", ArgType::StringMap, "variables added to the environment that relevo itself has"),
            arg("stdin", ArgType::Text, "what the program reads; nothing by default"),
        ],
        one_of: vec![&["argv", "shell"]],
        effect: Effect::Opaque,
        generic: true,
        destructive: false,
        undo: UndoGrade::None,
        keeps: false,
        discovers: false,
        outputs: Vec::new(),
    }]
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A program and its arguments; never empty.
    Argv(Vec<String>),
    /// A script for the system's shell.
    Shell(String),
}

/// A text, or where a secret one is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// As written in the plan.
    Plain(String),
    /// Fetched at the last moment.
    Secret(SecretRef),
}

/// The arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// What is run.
    pub line: Line,
    /// Where; begins with the plan's folder.
    pub cwd: PathBuf,
    /// Additions to the inherited environment.
    pub env: Vec<(String, Text)>,
    /// The standard input.
    pub stdin: Option<Text>,
}

impl Args {
    /// Reads the arguments of a call.
    ///
    /// # Errors
    /// A text for people. The loader has checked most of it already, but not what expressions gave.
    pub fn parse(call: &Call) -> Result<Self, String> {
        let line = match (call.with.get("argv"), call.with.get("shell")) {
            (Some(argv), None) => Line::Argv(argv_of(argv)?),
            (None, Some(Value::String(script))) => Line::Shell(without_nul(script, "shell")?),
            (None, Some(_)) => return Err("`shell` must be a text".to_owned()),
            (None, None) => return Err("`command` needs `argv` or `shell`".to_owned()),
            (Some(_), Some(_)) => return Err("`argv` and `shell` exclude each other".to_owned()),
        };
        let cwd = match call.with.get("cwd") {
            None | Some(Value::Null) => call.folder.to_path_buf(),
            Some(Value::String(cwd)) => call.folder.join(without_nul(cwd, "cwd")?),
            Some(_) => return Err("`cwd` must be a text".to_owned()),
        };
        let env = match call.with.get("env") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(map)) => env_of(map, &call.folder)?,
            Some(_) => return Err("`env` must be a map".to_owned()),
        };
        let stdin = match call.with.get("stdin") {
            None | Some(Value::Null) => None,
            Some(value) => Some(text_of(value, "stdin", &call.folder)?),
        };
        Ok(Args { line, cwd, env, stdin })
    }

    /// Every secret with the argument that names it.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &SecretRef)> {
        let env = self.env.iter().map(|(name, text)| (name.as_str(), text));
        env.chain(self.stdin.iter().map(|text| ("stdin", text))).filter_map(|(name, text)| match text {
            Text::Secret(reference) => Some((name, reference)),
            Text::Plain(_) => None,
        })
    }

    /// Fetches all secrets, in the order of the environment, the standard input last.
    ///
    /// # Errors
    /// The first that cannot be had; names its source and its use, never a value.
    pub fn resolve(&self) -> Result<Resolved, String> {
        let mut secrets = Vec::new();
        let mut resolve = |text: &Text, name: &str| match text {
            Text::Plain(text) => Ok(text.clone()),
            Text::Secret(reference) => {
                let secret = reference.resolve().map_err(|why| format!("the secret for `{name}`: {}", why.message))?;
                let text = secret.reveal().to_owned();
                secrets.push(secret);
                if text.contains('\0') && name != "stdin" {
                    return Err(format!("the secret for `{name}` has a zero byte in it"));
                }
                Ok(text)
            }
        };
        let env = self.env.iter().map(|(name, text)| Ok((name.clone(), resolve(text, name)?))).collect::<Result<_, String>>()?;
        let stdin = self.stdin.as_ref().map(|text| resolve(text, "stdin")).transpose()?;
        Ok(Resolved { env, stdin, secrets })
    }

    /// The line as one would type it, without environment and directory.
    pub fn shown(&self) -> String {
        match &self.line {
            Line::Argv(argv) => argv.iter().map(|arg| shell::quoted(arg)).collect::<Vec<_>>().join(" "),
            Line::Shell(script) => script.trim_end().to_owned(),
        }
    }
}

/// The arguments with their secrets in the clear. Lives no longer than it takes to start the program.
pub struct Resolved {
    /// Additions to the environment.
    pub env: Vec<(String, String)>,
    /// The standard input.
    pub stdin: Option<String>,
    /// What must not appear anywhere else.
    pub secrets: Vec<Secret>,
}

fn argv_of(value: &Value) -> Result<Vec<String>, String> {
    let Value::Array(items) = value else { return Err("`argv` must be a list".to_owned()) };
    let argv = items
        .iter()
        .enumerate()
        .map(|(at, item)| match scalar(item) {
            Some(text) => without_nul(&text, &format!("argv[{at}]")),
            None if secret_of(item).is_some() => Err(format!(
                "`argv[{at}]` is a secret, and everybody on this machine can read a program's arguments; use `env` or `stdin`"
            )),
            None => Err(format!("`argv[{at}]` must be a text")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    if argv.first().is_none_or(String::is_empty) {
        return Err("`argv` names no program".to_owned());
    }
    Ok(argv)
}

fn env_of(map: &Map<String, Value>, folder: &Path) -> Result<Vec<(String, Text)>, String> {
    map.iter()
        .map(|(name, value)| {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(format!("`{}` is not a name for an environment variable", name.escape_default()));
            }
            if name == ATTEMPT {
                return Err(format!("`{ATTEMPT}` is set by relevo itself"));
            }
            Ok((name.clone(), text_of(value, &format!("env.{name}"), folder)?))
        })
        .collect()
}

fn text_of(value: &Value, place: &str, folder: &Path) -> Result<Text, String> {
    if let Some(reference) = secret_of(value) {
        return Ok(Text::Secret(match reference? {
            SecretRef::File(path) => SecretRef::File(folder.join(path)),
            other => other,
        }));
    }
    let text = scalar(value).ok_or_else(|| format!("`{place}` must be a text or a secret"))?;
    Ok(Text::Plain(if place == "stdin" { text } else { without_nul(&text, place)? }))
}

/// The reference, if the value is `{"$secret": …}`.
fn secret_of(value: &Value) -> Option<Result<SecretRef, String>> {
    let reference = value.as_object()?.get("$secret")?;
    let wrong = |_| "a secret is `env`, `file`, `command` or `prompt`".to_owned();
    Some(serde_json::from_value(reference.clone()).map_err(wrong))
}

/// Texts, numbers and truth values as text: `PORT: 5432` needs no quotes.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The system cannot pass a zero byte.
fn without_nul(text: &str, place: &str) -> Result<String, String> {
    if text.contains('\0') { Err(format!("`{place}` has a zero byte in it")) } else { Ok(text.to_owned()) }
}
