//! One pipeline, from its message to what it leaves to be received, and everything that goes wrong with it on request.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::cmdlet::Event;
use super::http::Caller;
use super::pool::plain_error;
use super::run::Ran;
use super::shell::{Fate, Phase, Shell};
use super::shells::Endpoint;
use crate::lab::audit::Line;
use crate::lab::fault::Effect;
use crate::lab::serve::Lab;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{Body, Category, CreatePipeline, ErrorRecord, InformationalRecord, PipelineState, StateMessage};

/// The code in the audit of a pipeline that was taken away before it did anything: no error, and no effect either.
const PREVENTED: i64 = 3;

/// A pipeline whose message is complete.
pub struct Work {
    /// The lab.
    pub lab: Arc<Lab>,
    /// The host's name.
    pub host: String,
    /// What of it was called.
    pub endpoint: Endpoint,
    /// The shell that it runs in.
    pub shell: Arc<Shell>,
    /// Its id.
    pub id: Uuid,
    /// What is to be done.
    pub pipeline: Box<CreatePipeline>,
    /// Who wants it.
    pub caller: Caller,
    /// What it meets.
    pub effects: Vec<Effect>,
}

/// The name by which faults and the audit know a pipeline: that of its first command.
pub fn name(pipeline: &CreatePipeline) -> &str {
    pipeline
        .statements
        .first()
        .and_then(|chain| chain.first())
        .map_or("", |command| if command.is_script { "script" } else { &command.text })
}

/// Runs it.
pub async fn run(work: Work) {
    for effect in &work.effects {
        if let Effect::Delay(span) = effect {
            tokio::select! {
                () = tokio::time::sleep(span.to_std()) => {}
                () = work.shell.leaves(work.id, Phase::Waiting) => {}
            }
        }
    }
    let mut late: Vec<_> = work
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::AnswerLate(span) => Some(span.to_std()),
            _ => None,
        })
        .collect();
    let (shell, id, fate) = (Arc::clone(&work.shell), work.id, work.fate());
    let Ok(ran) = tokio::task::spawn_blocking(move || work.perform()).await else {
        // A cmdlet that panicked: its defect, and the client hears of it.
        let state = StateMessage { state: PipelineState::Failed, error: Some(plain_error("the lab failed")) };
        shell.advance(id, Phase::Working, Phase::Telling);
        shell.end(id, vec![Body::PipelineState(state)], Fate::Sent);
        return;
    };
    let Some(ran) = ran else { return };
    late.push(ran.busy);
    for span in late {
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            () = shell.leaves(id, Phase::Telling) => {}
        }
    }
    shell.end(id, said(ran), fate);
}

impl Work {
    fn fate(&self) -> Fate {
        let of = |effect: &Effect| match effect {
            Effect::AnswerLost => Some(Fate::Lost),
            Effect::AnswerCut => Some(Fate::Cut),
            Effect::AnswerGarbled => Some(Fate::Garbled),
            _ => None,
        };
        self.effects.iter().find_map(of).unwrap_or(Fate::Sent)
    }

    /// Does it, unless it was stopped, and writes the audit. What it changed is on disk when this returns.
    fn perform(&self) -> Option<Ran> {
        let mut world = self.lab.world();
        // Under the world's lock: whoever takes the shells away holds it, too.
        if !self.shell.advance(self.id, Phase::Waiting, Phase::Working) {
            let ran = Ran { command: name(&self.pipeline).to_owned(), ..Ran::default() };
            self.lab.written(world.note(&Line { code: PREVENTED, ..self.line(&ran, "Prevented", false) }));
            return None;
        }
        let refusal = self.effects.iter().find_map(|effect| match effect {
            Effect::Refuse(code) => Some(*code),
            _ => None,
        });
        let ran = match refusal {
            Some(code) => {
                let command = name(&self.pipeline).to_owned();
                Ran { terminating: Some(Box::new(refused(code, &command))), command, ..Ran::default() }
            }
            None => {
                let done = match self.endpoint {
                    Endpoint::Windows => world.run(&self.host, &self.caller.account, &self.pipeline),
                    Endpoint::Lync => world.run_lync(&self.host, &self.caller.account, &self.pipeline),
                };
                self.lab.written(done)?
            }
        };
        let state = if ran.terminating.is_some() { "Failed" } else { "Completed" };
        self.lab.written(world.note(&self.line(&ran, state, self.fate() == Fate::Sent)));
        drop(world);
        // What Lync wrote into the directory is carried over like everything else.
        if self.endpoint == Endpoint::Lync && ran.wrote {
            self.lab.changed();
        }
        self.shell.advance(self.id, Phase::Working, Phase::Telling);
        Some(ran)
    }

    fn line(&self, ran: &Ran, state: &str, answered: bool) -> Line {
        let errors: Vec<String> = ran
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Error(record) => Some(record.fully_qualified_id.clone()),
                _ => None,
            })
            .chain(ran.terminating.iter().map(|record| record.fully_qualified_id.clone()))
            .collect();
        let code = i64::from(!errors.is_empty()) + i64::from(ran.terminating.is_some());
        let arguments = arguments(&self.pipeline);
        let mut detail = Map::from_iter([
            ("state".to_owned(), json!(state)),
            ("parameters".to_owned(), Json::Object(arguments.clone())),
            ("shell".to_owned(), json!(self.shell.id)),
            ("pipeline".to_owned(), json!(self.id.hyphenated().to_string().to_uppercase())),
        ]);
        if !errors.is_empty() {
            detail.insert("errors".to_owned(), json!(errors));
        }
        detail.extend(ran.detail.clone());
        let shown = |(name, value): (&String, &Json)| match value {
            Json::String(text) => format!("-{name} {text}"),
            other => format!("-{name} {other}"),
        };
        Line {
            time: jiff::Timestamp::now().to_string(),
            dc: self.host.clone(),
            connection: self.caller.connection,
            account: self.caller.account.clone(),
            operation: short(if ran.command.is_empty() { name(&self.pipeline) } else { &ran.command }),
            name: arguments.iter().map(shown).collect::<Vec<_>>().join(" "),
            dn: None,
            guid: None,
            code,
            wrote: ran.wrote,
            answered,
            detail: Json::Object(detail),
        }
    }
}

/// The arguments of all commands, without anything that may be a secret.
fn arguments(pipeline: &CreatePipeline) -> Map<String, Json> {
    let mut found = Map::new();
    let mut place = 0;
    for command in pipeline.statements.iter().flatten() {
        for argument in &command.arguments {
            let name = argument.name.clone().unwrap_or_else(|| {
                place += 1;
                format!("[{}]", place - 1)
            });
            let value = if is_secret(&name, &argument.value) { json!("…") } else { plain(&argument.value) };
            found.insert(name, value);
        }
    }
    found
}

fn is_secret(name: &str, value: &Value) -> bool {
    let name = name.to_lowercase();
    let by_name = ["password", "secret", "credential", "passphrase"].iter().any(|word| name.contains(word));
    by_name || matches!(value, Value::SecureString(_))
}

/// A value as the audit shows it: short.
fn plain(value: &Value) -> Json {
    match value.items() {
        Some(items) => Json::Array(items.iter().take(50).map(|item| plain(item.primitive())).collect()),
        None => match value.primitive() {
            Value::Nil => Json::Null,
            Value::Bool(value) => json!(value),
            Value::SecureString(_) => json!("…"),
            other => other.as_i64().map_or_else(
                || {
                    let text = other.to_text();
                    // A dictionary or an object may hold what is none of the audit's business.
                    if other.as_object().is_some() { json!("(object)") } else { json!(short(&text)) }
                },
                |number| json!(number),
            ),
        },
    }
}

/// As much of a text as the audit holds.
fn short(text: &str) -> String {
    text.chars().take(500).collect()
}

/// The refusal that was asked for, with the number of a Windows error.
fn refused(code: u32, command: &str) -> ErrorRecord {
    let (number, text) = match code {
        5 => (18, "Access is denied.".to_owned()),
        _ => (0, format!("Refused because the lab was asked to: error {code}.")),
    };
    ErrorRecord {
        exception_message: text,
        exception_type: "System.ComponentModel.Win32Exception".to_owned(),
        fully_qualified_id: format!("Win32Error{code},{command}"),
        category: Category { number, activity: command.to_owned(), reason: "Win32Exception".to_owned(), ..Category::default() },
        ..ErrorRecord::default()
    }
}

/// Everything that a pipeline gave, as messages, and its last state.
fn said(ran: Ran) -> Vec<Body> {
    let record = |message: String| InformationalRecord { message };
    let mut said: Vec<Body> = ran
        .events
        .into_iter()
        .map(|event| match event {
            Event::Output(value) => Body::PipelineOutput(value),
            Event::Error(error) => Body::ErrorRecord(*error),
            Event::Warning(text) => Body::Warning(record(text)),
            Event::Verbose(text) => Body::Verbose(record(text)),
            Event::Progress(progress) => Body::Progress(*progress),
        })
        .collect();
    let state = if ran.terminating.is_some() { PipelineState::Failed } else { PipelineState::Completed };
    said.push(Body::PipelineState(StateMessage { state, error: ran.terminating.map(|error| *error) }));
    said
}
