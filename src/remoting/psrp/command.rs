//! `CREATE_PIPELINE` and the commands in it ([MS-PSRP] sections 2.2.2.10, 2.2.3.11 to 2.2.3.13).
//!
//! Everything that real servers and strict stand-ins want is always written: a field left out is answered by some with
//! a closed connection.

use super::capability::apartment;
use super::fields::Fields;
use super::host::HostInfo;
use super::{MessageType, PROTOCOL, PsrpError};
use crate::remoting::clixml::Value;

/// A pipeline to create.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatePipeline {
    /// Statements, each a chain of commands.
    pub statements: Vec<Vec<Command>>,
    /// Nothing will be piped in.
    pub no_input: bool,
    /// The pipeline enters the runspace's history.
    pub add_to_history: bool,
    /// The pipeline runs within another.
    pub is_nested: bool,
    /// What stands in the history for it.
    pub history: Option<String>,
    /// Which streams carry the place of the command in their records, a sum of flags ([MS-PSRP] section 2.2.3.8). Errors: 1.
    pub stream_options: i32,
    /// `ApartmentState` by its number; 2: unknown.
    pub apartment: i32,
    /// The client's host.
    pub host: HostInfo,
    /// The error output of the shell goes to the commands' error output.
    pub redirect_shell_errors: bool,
    /// The version of the protocol that both sides speak; older servers do not know all fields.
    pub protocol: (u32, u32),
}

impl CreatePipeline {
    /// A pipeline of one chain of commands, without input.
    #[must_use]
    pub fn new(commands: Vec<Command>) -> Self {
        CreatePipeline {
            statements: vec![commands],
            no_input: true,
            add_to_history: false,
            is_nested: false,
            history: None,
            // Where in the script an error came from; a tired reader needs it.
            stream_options: 1,
            apartment: 2,
            host: HostInfo::default(),
            redirect_shell_errors: true,
            protocol: PROTOCOL,
        }
    }

    /// The only command, where there is no more than one.
    #[must_use]
    pub fn only_command(&self) -> Option<&Command> {
        match self.statements.as_slice() {
            [commands] => match commands.as_slice() {
                [only] => Some(only),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn decode(body: &Value) -> Result<Self, PsrpError> {
        let fields = Fields { kind: MessageType::CreatePipeline, body };
        let powershell = fields.within(fields.need("PowerShell")?);
        let chain = |value: &Value| -> Result<Vec<Command>, PsrpError> {
            fields.within(value).items("Cmds")?.iter().map(|command| Command::decode(fields.within(command))).collect()
        };
        let statements = match powershell.maybe("ExtraCmds") {
            Some(extra) => {
                let extra = extra.items().ok_or_else(|| fields.missing("ExtraCmds"))?;
                // The field repeats the first statement.
                powershell.items("Cmds")?;
                extra.iter().map(chain).collect::<Result<Vec<_>, _>>()?
            }
            None => vec![chain(powershell.body)?],
        };
        let statements: Vec<_> = statements.into_iter().filter(|chain| !chain.is_empty()).collect();
        if statements.is_empty() {
            return Err(fields.missing("Cmds"));
        }
        Ok(CreatePipeline {
            statements,
            no_input: fields.boolean("NoInput")?,
            add_to_history: fields.boolean("AddToHistory")?,
            is_nested: fields.boolean("IsNested")?,
            history: powershell.maybe("History").map(Value::to_text),
            stream_options: fields.small("RemoteStreamOptions")?,
            apartment: match fields.need("ApartmentState")? {
                Value::Nil => 2,
                _ => fields.small("ApartmentState")?,
            },
            host: HostInfo::decode(fields.within(fields.need("HostInfo")?))?,
            redirect_shell_errors: powershell.boolean("RedirectShellErrorOutputPipe")?,
            protocol: PROTOCOL,
        })
    }

    pub(super) fn encode(&self) -> Value {
        let chain = |commands: &[Command]| Value::list(commands.iter().map(|command| command.encode(self.protocol)));
        let first = self.statements.first().map(Vec::as_slice).unwrap_or_default();
        let extra = (self.statements.len() > 1).then(|| {
            let statements = self.statements.iter().map(|commands| Value::object([("Cmds", chain(commands))]));
            ("ExtraCmds", Value::list(statements))
        });
        let powershell = [
            ("Cmds", chain(first)),
            ("IsNested", self.is_nested.into()),
            ("History", self.history.as_deref().into()),
            ("RedirectShellErrorOutputPipe", self.redirect_shell_errors.into()),
        ];
        let options = match self.stream_options {
            0 => "0".to_owned(),
            15 => "AddInvocationInfo".to_owned(),
            some => [
                (1, "AddInvocationInfoToErrorRecord"),
                (2, "AddInvocationInfoToWarningRecord"),
                (4, "AddInvocationInfoToDebugRecord"),
                (8, "AddInvocationInfoToVerboseRecord"),
            ]
            .iter()
            .filter_map(|(flag, name)| (some & flag != 0).then_some(*name))
            .collect::<Vec<_>>()
            .join(", "),
        };
        let options_type = "System.Management.Automation.RemoteStreamOptions";
        Value::object([
            ("NoInput", Value::Bool(self.no_input)),
            ("ApartmentState", apartment(self.apartment)),
            ("RemoteStreamOptions", Value::enumeration(options_type, &options, self.stream_options)),
            ("AddToHistory", self.add_to_history.into()),
            ("HostInfo", self.host.encode()),
            ("PowerShell", Value::object(powershell.into_iter().chain(extra))),
            ("IsNested", self.is_nested.into()),
        ])
    }
}

/// A command or a script with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// The command's name, or the script.
    pub text: String,
    /// Whether the text is a script.
    pub is_script: bool,
    /// Whether variables of the script stay within it; the server decides where this is not told.
    pub use_local_scope: Option<bool>,
    /// The arguments, in order.
    pub arguments: Vec<Argument>,
    /// Which streams go where.
    pub merge: Merge,
}

/// An argument: named, positional, or a switch.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// The parameter's name without `-` and `:`; none for a positional one.
    pub name: Option<String>,
    /// The value.
    pub value: Value,
}

/// Which streams of a command go where, by the numbers of `PipelineResultTypes` ([MS-PSRP] section 2.2.3.31): 0 leaves a
/// stream alone, 1 is the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merge {
    /// The stream that is merged, for the oldest servers.
    pub my: i32,
    /// Where it goes.
    pub to: i32,
    /// What the command takes of the commands before it.
    pub previous: i32,
    /// Where errors go.
    pub error: i32,
    /// Where warnings go.
    pub warning: i32,
    /// Where verbose messages go.
    pub verbose: i32,
    /// Where debug messages go.
    pub debug: i32,
    /// Where information goes.
    pub information: i32,
}

/// A result type as a value.
fn result_type(number: i32) -> Value {
    let name = match number {
        0 => "None",
        1 => "Output",
        2 => "Error",
        // A sum of flags in the oldest servers' eyes: `Output, Error`.
        3 => "Warning",
        4 => "Verbose",
        5 => "Debug",
        6 => "Information",
        7 => "All",
        _ => "Null",
    };
    Value::enumeration("System.Management.Automation.Runspaces.PipelineResultTypes", name, number)
}

impl Command {
    /// A command by its name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Command { text: name.into(), is_script: false, use_local_scope: None, arguments: Vec::new(), merge: Merge::default() }
    }

    /// A script. Its parameters are given as arguments, never put into the text.
    #[must_use]
    pub fn script(text: impl Into<String>) -> Self {
        Command { is_script: true, ..Command::new(text) }
    }

    /// Adds a named argument. A hyphen before the name and a colon after it belong to the language, not to the name.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: impl Into<Value>) -> Self {
        let name = name.strip_prefix('-').unwrap_or(name);
        let name = name.strip_suffix(':').unwrap_or(name);
        self.arguments.push(Argument { name: Some(name.to_owned()), value: value.into() });
        self
    }

    /// Adds a switch.
    #[must_use]
    pub fn switch(self, name: &str) -> Self {
        self.parameter(name, true)
    }

    /// Adds a positional argument.
    #[must_use]
    pub fn argument(mut self, value: impl Into<Value>) -> Self {
        self.arguments.push(Argument { name: None, value: value.into() });
        self
    }

    /// The value of a named argument. Names do not care for case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let named = |argument: &&Argument| argument.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        self.arguments.iter().find(named).map(|argument| &argument.value)
    }

    fn decode(fields: Fields<'_>) -> Result<Self, PsrpError> {
        let mut arguments = Vec::new();
        for argument in fields.items("Args")? {
            let argument = fields.within(argument);
            let name = match argument.need("N")? {
                Value::Nil => None,
                name => Some(name.as_str().ok_or_else(|| fields.missing("N"))?.to_owned()),
            };
            arguments.push(Argument { name, value: argument.need("V")?.clone() });
        }
        // Fields that came with later versions of the protocol.
        let later = |field| fields.maybe(field).map_or(Ok(0), |_| fields.small(field));
        Ok(Command {
            text: fields.text("Cmd")?,
            is_script: fields.boolean("IsScript")?,
            use_local_scope: match fields.need("UseLocalScope")? {
                Value::Nil => None,
                _ => Some(fields.boolean("UseLocalScope")?),
            },
            arguments,
            merge: Merge {
                my: fields.small("MergeMyResult")?,
                to: fields.small("MergeToResult")?,
                previous: fields.small("MergePreviousResults")?,
                error: later("MergeError")?,
                warning: later("MergeWarning")?,
                verbose: later("MergeVerbose")?,
                debug: later("MergeDebug")?,
                information: later("MergeInformation")?,
            },
        })
    }

    fn encode(&self, protocol: (u32, u32)) -> Value {
        let arguments = self.arguments.iter().map(|argument| {
            let name = argument.name.as_deref().into();
            Value::object([("N", name), ("V", argument.value.clone())])
        });
        let Merge { my, to, previous, error, warning, verbose, debug, information } = self.merge;
        let since_two = [("MergeError", error), ("MergeWarning", warning), ("MergeVerbose", verbose), ("MergeDebug", debug)];
        let since_three = [("MergeInformation", information)];
        let later = since_two
            .into_iter()
            .filter(|_| protocol >= (2, 2))
            .chain(since_three.into_iter().filter(|_| protocol >= (2, 3)))
            .map(|(field, number)| (field, result_type(number)));
        Value::object(
            [
                ("Cmd", Value::from(self.text.as_str())),
                ("Args", Value::list(arguments)),
                ("IsScript", self.is_script.into()),
                ("UseLocalScope", self.use_local_scope.into()),
                ("MergeMyResult", result_type(my)),
                ("MergeToResult", result_type(to)),
                ("MergePreviousResults", result_type(previous)),
            ]
            .into_iter()
            .chain(later),
        )
    }
}
