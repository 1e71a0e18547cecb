//! `powershell`: an author's script on a host, and `lync.cmdlet`: one cmdlet of an author's choice. Their parameters travel as
//! values.
//!
//! The actions whose text is not ours. What its errors mean only its author knows: so with a probe the probe decides, and
//! without one an error that ended it is a failure, as for a program.

use std::fmt::Write as _;

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use super::action::Action;
use super::answer::Answer;
use super::hosts::Hosts;
use super::values::whole as as_json;
use super::{Actions, by_hand, shown};
use crate::connector::args;
use crate::connector::redact::Redactor;
use crate::foreign;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Finding, Level, Observation};
use crate::run::event::{Identity, Outcome, Outputs};
use crate::secret::{Secret, SecretRef};

/// The actions of this file.
pub const ACTIONS: Actions = &[&SCRIPT];

/// `powershell`.
pub const SCRIPT: Authored = Authored {
    name: "powershell",
    doc: "runs a script of the author's on a host",
    what: "script",
    is_script: true,
    what_doc: "the script; values come as its parameters, never as a part of its text",
};

/// `lync.cmdlet`: for an endpoint that takes no scripts.
pub const CMDLET: Authored = Authored {
    name: "lync.cmdlet",
    doc: "runs one cmdlet of the author's choice, with named parameters, where no script is taken",
    what: "cmdlet",
    is_script: false,
    what_doc: "its name, such as `Get-CsPool`",
};

/// Of all outputs together, in bytes: they go to the journal.
const LARGEST: usize = 256 * 1024;

/// One of the two actions.
#[derive(Debug)]
pub struct Authored {
    name: &'static str,
    doc: &'static str,
    /// The argument that holds what is run; also what it is called.
    what: &'static str,
    is_script: bool,
    what_doc: &'static str,
}

/// Its arguments.
struct Args {
    /// A script, or the name of a cmdlet.
    text: String,
    is_script: bool,
    parameters: Vec<(String, Value)>,
    secrets: Vec<(String, SecretRef)>,
}

impl Args {
    fn read(call: &Call, action: &Authored) -> Result<Self, String> {
        let Authored { what, is_script, .. } = *action;
        let text = args::needed(call, what)?;
        if text.trim().is_empty() {
            return Err(format!("`{what}` is empty"));
        }
        if !is_script && !is_cmdlet(&text) {
            return Err(format!("`{}` is no name of a cmdlet, such as `Get-CsPool`", shown(&text)));
        }
        let map = |name: &str| match call.with.get(name) {
            None | Some(Json::Null) => Ok(Map::new()),
            Some(Json::Object(map)) => Ok(map.clone()),
            Some(_) => Err(format!("`{name}` must be a map from a parameter's name to its value")),
        };
        let mut parameters = Vec::new();
        for (name, value) in map("parameters")? {
            parameters.push((parameter(&name)?, as_value(&value, &name)?));
        }
        let mut secrets = Vec::new();
        for (name, value) in map("secrets")? {
            let reference = value.get("$secret").cloned().and_then(|reference| serde_json::from_value(reference).ok());
            let reference =
                reference.ok_or_else(|| format!("`secrets.{name}` must be a reference, such as `{{ env: NAME }}`"))?;
            secrets.push((parameter(&name)?, reference));
        }
        Ok(Args { text, is_script, parameters, secrets })
    }

    fn command(&self, secrets: &[(String, Secret)]) -> Command {
        let text = self.text.clone();
        let command = if self.is_script { Command::script(text) } else { Command::new(text) };
        let command = self.parameters.iter().fold(command, |command, (name, value)| command.parameter(name, value.clone()));
        secrets.iter().fold(command, |command, (name, secret)| command.parameter(name, secret.reveal()))
    }

    /// The command with its secrets, and what takes them out of what comes back.
    async fn complete(&self) -> Result<(Command, Redactor), String> {
        let mut fetched = Vec::new();
        for (name, reference) in &self.secrets {
            let reference = reference.clone();
            let secret = tokio::task::spawn_blocking(move || reference.resolve()).await;
            let secret = secret.map_err(|_| format!("the secret for `{name}` cannot be had"))?;
            fetched.push((name.clone(), secret.map_err(|error| format!("the secret for `{name}`: {error}; {}", error.hint))?));
        }
        let redactor = Redactor::new(fetched.iter().map(|(_, secret)| secret));
        Ok((self.command(&fetched), redactor))
    }
}

/// A verb and a noun with a hyphen between them: no script, no path, no alias.
fn is_cmdlet(name: &str) -> bool {
    let word =
        |part: &str| part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.chars().all(|c| c.is_ascii_alphanumeric());
    name.len() <= 128 && name.split_once('-').is_some_and(|(verb, noun)| word(verb) && word(noun))
}

/// A parameter's name: letters, digits and `_`, so that it can be nothing else.
fn parameter(name: &str) -> Result<String, String> {
    let fits = !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if fits { Ok(name.to_owned()) } else { Err(format!("`{}` cannot be the name of a parameter", shown(name))) }
}

fn as_value(value: &Json, name: &str) -> Result<Value, String> {
    Ok(match value {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => i32::try_from(whole).map_or(Value::I64(whole), Value::I32),
            (None, Some(number)) => Value::Double(number),
            (None, None) => return Err(format!("the parameter `{name}` is a number that cannot be sent")),
        },
        Json::Array(items) => Value::list(items.iter().map(|item| as_value(item, name)).collect::<Result<Vec<_>, _>>()?),
        Json::Object(_) => return Err(format!("the parameter `{name}` is a map; send texts, numbers, truth values and lists")),
    })
}

/// What a script gave, for expressions. What is not all there is would be taken for it, so there is no half of it.
///
/// # Errors
/// It gave more than is kept.
fn facts(answer: &Answer, redactor: &Redactor) -> Result<Map<String, Json>, String> {
    let whole = |value: &Value| {
        as_json(value).ok_or_else(|| "it gave a text or an object that is larger than what is kept; let it give less".to_owned())
    };
    let output: Vec<Json> = answer.objects.iter().map(whole).collect::<Result<_, _>>()?;
    let lines: Vec<String> = answer.objects.iter().map(Value::to_text).collect();
    let errors: Vec<&str> = answer.errors.iter().chain(&answer.terminating).map(|error| error.message.as_str()).collect();
    let facts = json!({
        "exit": i32::from(answer.complaint().is_some()),
        "stdout": foreign::cut(redactor.text(&lines.join("\n")), 64 * 1024),
        "stderr": foreign::cut(redactor.text(&errors.join("\n")), 64 * 1024),
        "first": output.first().cloned().unwrap_or(Json::Null),
        "output": output,
        "errors": errors,
        "warnings": answer.warnings,
        "failed": answer.terminating.is_some(),
    });
    match redactor.value(facts) {
        Json::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// The step's outputs.
fn outputs(facts: &Map<String, Json>) -> Result<Outputs, String> {
    let kept: Outputs = facts
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "output" | "first"))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    let size = Json::Object(kept.clone()).to_string().len();
    if size > LARGEST {
        return Err(format!("it gave {size} bytes of output, and at most {LARGEST} are kept; let it give less"));
    }
    Ok(kept)
}

/// What an end of the script means.
fn meaning(call: &Call, is_script: bool, answer: &Answer, redactor: &Redactor) -> Outcome {
    let Some(reason) = answer.complaint() else {
        return match facts(answer, redactor).and_then(|facts| outputs(&facts)) {
            Ok(outputs) => Outcome::Applied { outputs },
            Err(reason) if call.effect == Effect::Read => Outcome::Rejected { reason, untouched: true },
            Err(reason) => Outcome::Unknown { reason },
        };
    };
    let reason = redactor.text(&reason);
    match call.effect {
        Effect::Read => Outcome::Rejected { reason, untouched: true },
        // In a script such an error may come from its middle, after a first effect.
        _ if !is_script && answer.never_began() => Outcome::Rejected { reason, untouched: true },
        _ if call.probed => Outcome::Unknown { reason },
        // Errors that did not end it are its author's business; without a probe they must not be passed over.
        _ => Outcome::Rejected { reason, untouched: false },
    }
}

async fn run(hosts: &Hosts, call: &Call, action: &Authored) -> Result<(Answer, Redactor), Outcome> {
    let not_sent = |reason: String| Outcome::NotSent { reason };
    let args = Args::read(call, action).map_err(|reason| Outcome::Rejected { reason, untouched: true })?;
    let (command, redactor) = args.complete().await.map_err(not_sent)?;
    let mut session = hosts.attempt(call).await.map_err(|error| not_sent(error.reason))?;
    session.hide(&redactor);
    let answer = session.run(command).await;
    let redactor = session.redactor().clone();
    session.close().await;
    match answer {
        Ok(answer) => Ok((answer, redactor)),
        Err(lost) => Err(lost.outcome()),
    }
}

#[async_trait]
impl Action for Authored {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: self.name,
            doc: self.doc,
            args: vec![
                args::required("host", ArgType::Host, "the host"),
                args::required(self.what, ArgType::String, self.what_doc),
                args::optional(
                    "parameters",
                    ArgType::Any,
                    "a map from a parameter's name to a text, number, truth value or list",
                ),
                args::optional("secrets", ArgType::StringMap, "a map from a parameter's name to a reference to a secret"),
            ],
            one_of: Vec::new(),
            effect: Effect::Opaque,
            generic: true,
            destructive: false,
            undo: UndoGrade::None,
            keeps: false,
            discovers: false,
            outputs: vec!["first", "output"],
        }
    }

    async fn preflight(&self, _hosts: &Hosts, call: &Call) -> Vec<Finding> {
        let mut found: Vec<Finding> =
            Args::read(call, self).err().map(|message| Finding { level: Level::Fatal, message }).into_iter().collect();
        if let Some(output) = call.outputs.iter().find(|output| output.from.is_some()) {
            let message =
                format!("the output `{}` is taken from a stream, which only `command` has; use `output` or `first`", output.name);
            found.push(Finding { level: Level::Fatal, message });
        }
        found
    }

    async fn describe(&self, _hosts: &Hosts, call: &Call) -> Description {
        let lines = match Args::read(call, self) {
            Err(why) => vec![why],
            Ok(args) => {
                let mut lines = vec![format!("run this {}:", self.what)];
                lines.extend(args.text.lines().take(40).map(|line| format!("  {}", foreign::one_line(line, 160))));
                lines.extend(args.parameters.iter().map(|(name, value)| format!("  -{name} {}", shown(&value.to_text()))));
                lines.extend(args.secrets.iter().map(|(name, reference)| format!("  -{name} (secret: {reference})")));
                lines
            }
        };
        Description { lines, rehearsable: true, outputs: Map::new() }
    }

    /// As another action's probe: what the script gives is for the author's expressions.
    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        match run(hosts, &Call { handle: None, ..call.clone() }, self).await {
            Ok((answer, redactor)) => {
                let facts = match facts(&answer, &redactor) {
                    Ok(facts) => facts,
                    Err(why) => return Observation::unknown(why),
                };
                let seen = match answer.complaint() {
                    Some(why) => redactor.text(&why),
                    None => format!("the {} gave {} object(s)", self.what, answer.objects.len()),
                };
                let outputs = outputs(&facts).unwrap_or_default();
                Observation { verdict: Verdict::Unknown, seen, facts, outputs, identity: Identity::new() }
            }
            Err(Outcome::NotSent { reason } | Outcome::Unknown { reason } | Outcome::Rejected { reason, .. }) => {
                Observation::unknown(reason)
            }
            Err(_) => Observation::unknown(format!("the {} gave no answer", self.what)),
        }
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match Args::read(call, self) {
            Err(why) => vec![format!("# {why}")],
            Ok(args) => {
                let mut line = by_hand::line(&args.command(&[]));
                for (name, _) in &args.secrets {
                    let _ = write!(line, " -{name} (Read-Host '{name}')");
                }
                vec![line]
            }
        }
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        match run(hosts, call, self).await {
            Ok((answer, redactor)) => meaning(call, self.what == "script", &answer, &redactor),
            Err(outcome) => outcome,
        }
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::NotSent { reason: format!("a {} has no undo of its own; its author may give it one", self.what) }
    }
}

#[cfg(test)]
mod tests {
    use super::is_cmdlet;

    #[test]
    fn only_a_verb_with_a_noun_is_a_cmdlet() {
        for name in ["Get-CsPool", "Get-Date", "Update-CsUserDatabase", "Sync-Cs2"] {
            assert!(is_cmdlet(name), "{name}");
        }
        for name in [
            "",
            "Get",
            "Get-",
            "-CsPool",
            "Get-CsPool; Stop-Computer",
            "Get-CsPool -Identity x",
            ".\\x-y",
            "{Get-Date}",
            "a-b-c",
            "Get-9",
        ] {
            assert!(!is_cmdlet(name), "{name}");
        }
    }
}
