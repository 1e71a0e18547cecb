//! From a pipeline to a cmdlet.

use std::time::Duration;

use super::bind::{Action, bind};
use super::cmdlet::{Cmdlet, Event, Stage};
use super::cmdlets;
use super::errors::{complete, error};
use super::machine::{Machine, same};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{CreatePipeline, ErrorRecord};

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
    let ended = |mut record: ErrorRecord| {
        complete(&mut record, cmdlet);
        Some(Box::new(record))
    };
    let (bound, common) = match bind(cmdlet, command) {
        Ok(bound) => bound,
        Err(record) => {
            ran.terminating = ended(record);
            return ran;
        }
    };
    if common.confirm && !common.what_if {
        ran.terminating = ended(nobody_to_ask("Are you sure you want to perform this action?"));
        return ran;
    }
    let mut stage = Stage::new(machine, others, account);
    stage.what_if = common.what_if;
    stage.verbose = common.verbose;
    stage.stop_on_error = common.errors == Action::Stop;
    let result = (cmdlet.run)(&mut stage, &bound);
    ran.wrote = stage.wrote;
    ran.busy = stage.busy;
    ran.detail = std::mem::take(&mut stage.detail);
    for event in std::mem::take(&mut stage.events) {
        match event {
            Event::Error(_) if common.errors == Action::Silence => {}
            Event::Error(record) if common.errors == Action::Stop => {
                ran.terminating = ended(*record);
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
    ran.terminating = result.err().and_then(ended);
    ran
}

/// The cmdlet of a name, which may be qualified by its module's.
fn find(text: &str) -> Option<&'static Cmdlet> {
    let (module, name) = text.rsplit_once('\\').map_or((None, text), |(module, name)| (Some(module), name));
    let fits = |cmdlet: &&Cmdlet| same(cmdlet.name, name) && module.is_none_or(|module| same(cmdlet.module, module));
    cmdlets::ALL.iter().copied().flatten().find(fits)
}

/// The answer to scripts, and to more than one command, where no language is spoken (`about_Language_Modes`).
fn no_language() -> ErrorRecord {
    let message = "The syntax is not supported by this runspace. This can occur if the runspace is in no-language mode.";
    error("ScriptsNotAllowed", "ParserError", "System.Management.Automation.ParseException", message, Value::Nil)
}

fn unknown(name: &str) -> ErrorRecord {
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
