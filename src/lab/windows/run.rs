//! From a pipeline to a cmdlet.

use std::time::Duration;

use super::bind::{Action, Common, bind};
use super::cmdlet::{Bound, Cmdlet, Done, Event, Stage};
use super::cmdlets;
use super::errors::{complete, error};
use super::machine::{Machine, same};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{Command, CreatePipeline, ErrorRecord};

/// What came of a pipeline.
#[derive(Debug, Clone, Default)]
pub struct Ran {
    /// What it gave, in order.
    pub events: Vec<Event>,
    /// What ended it before its end.
    pub terminating: Option<Box<ErrorRecord>>,
    /// Whether the machine was changed.
    pub wrote: bool,
    /// The cmdlet's name, as it is known; as it was sent if it is not.
    pub command: String,
    /// How long it is at work, by the clock on the wall. The caller waits that long before it tells what came of it; the
    /// machine's state is already as others may see it meanwhile.
    pub busy: Duration,
    /// What the audit should say besides.
    pub detail: serde_json::Map<String, serde_json::Value>,
}

/// Runs a pipeline of one command on a machine. The caller keeps the machine if it was changed, before it tells anybody.
#[must_use]
pub fn run(machine: &mut Machine, others: &[Machine], account: &str, pipeline: &CreatePipeline) -> Ran {
    // What was pending and has come to its end would be found so by whoever loads the state: nothing was changed by us.
    machine.settle(jiff::Timestamp::now().as_millisecond());
    let first = pipeline.statements.first().and_then(|chain| chain.first());
    let command = first.map(|command| if command.is_script { "script" } else { &command.text }).unwrap_or_default();
    let mut ran = Ran { command: command.to_owned(), ..Ran::default() };
    let Some(command) = pipeline.only_command().filter(|command| !command.is_script) else {
        ran.terminating = Some(Box::new(no_language()));
        return ran;
    };
    let Some(cmdlet) = find(&command.text) else {
        ran.terminating = Some(Box::new(unknown(&command.text)));
        return ran;
    };
    cmdlet.name.clone_into(&mut ran.command);
    let (bound, common) = match offer(cmdlet, command) {
        Ok(bound) => bound,
        Err(record) => {
            ran.terminating = Some(record);
            return ran;
        }
    };
    let mut stage = Stage::new(machine, others, account);
    stage.take_from(&common);
    let result = (cmdlet.run)(&mut stage, &bound);
    conclude(cmdlet, stage, &common, result)
}

/// Binds a command to a cmdlet, and refuses to ask a person who is not there.
///
/// # Errors
/// What ends the pipeline.
pub fn offer<Run>(cmdlet: &Cmdlet<Run>, command: &Command) -> Result<(Bound, Common), Box<ErrorRecord>> {
    let (bound, common) = bind(cmdlet, command).map_err(|record| ended(cmdlet, record))?;
    if common.confirm && !common.what_if {
        return Err(ended(cmdlet, nobody_to_ask("Are you sure you want to perform this action?")));
    }
    Ok((bound, common))
}

fn ended<Run>(cmdlet: &Cmdlet<Run>, mut record: ErrorRecord) -> Box<ErrorRecord> {
    complete(&mut record, cmdlet);
    Box::new(record)
}

/// What came of a cmdlet, from the stage that it left and how it ended.
#[must_use]
pub fn conclude<Run>(cmdlet: &Cmdlet<Run>, stage: Stage<'_>, common: &Common, result: Done) -> Ran {
    let Stage { wrote, busy, detail, events, .. } = stage;
    let mut ran = Ran { command: cmdlet.name.to_owned(), wrote, busy, detail, ..Ran::default() };
    for event in events {
        match event {
            Event::Error(_) if common.errors == Action::Silence => {}
            Event::Error(record) if common.errors == Action::Stop => {
                ran.terminating = Some(ended(cmdlet, *record));
                return ran;
            }
            Event::Error(mut record) => {
                complete(&mut record, cmdlet);
                ran.events.push(Event::Error(record));
            }
            Event::Warning(_) if common.warnings == Action::Silence => {}
            event => ran.events.push(event),
        }
    }
    ran.terminating = result.err().map(|record| ended(cmdlet, record));
    ran
}

/// The cmdlet of a name, which may be qualified by its module's.
fn find(text: &str) -> Option<&'static Cmdlet> {
    let (module, name) = text.rsplit_once('\\').map_or((None, text), |(module, name)| (Some(module), name));
    let fits = |cmdlet: &&Cmdlet| same(cmdlet.name, name) && module.is_none_or(|module| same(cmdlet.module, module));
    cmdlets::ALL.iter().copied().flatten().find(fits)
}

/// The answer to scripts, and to more than one command, where no language is spoken (`about_Language_Modes`).
#[must_use]
pub fn no_language() -> ErrorRecord {
    let message = "The syntax is not supported by this runspace. This can occur if the runspace is in no-language mode.";
    error("ScriptsNotAllowed", "ParserError", "System.Management.Automation.ParseException", message, Value::Nil)
}

/// The answer to a name that no cmdlet has.
#[must_use]
pub fn unknown(name: &str) -> ErrorRecord {
    let message = format!(
        "The term '{name}' is not recognized as the name of a cmdlet, function, script file, or operable program. Check the \
         spelling of the name, or if a path was included, verify that the path is correct and try again."
    );
    let exception = "System.Management.Automation.CommandNotFoundException";
    error("CommandNotFoundException", "ObjectNotFound", exception, message, name)
}

/// The answer of a host without anybody in front of it to a question.
#[must_use]
pub fn nobody_to_ask(question: &str) -> ErrorRecord {
    let message = format!(
        "A command that prompts the user failed because the host program or the command type does not support user interaction. \
         The host was attempting to request confirmation with the following message: {question}"
    );
    error("HostFunctionNotImplemented", "NotImplemented", "System.Management.Automation.Host.HostException", message, Value::Nil)
}
