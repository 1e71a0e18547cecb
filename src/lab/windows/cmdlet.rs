//! What a cmdlet is, and the stage that it works on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bind::{Action, Common};
use super::drives::{Eye, Spot};
use super::machine::Machine;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{ErrorRecord, ProgressRecord};

/// What a cmdlet of a Windows host does. An error that it returns ends the pipeline; others are [`Stage::error`].
pub type OnMachine = fn(&mut Stage<'_>, &Bound) -> Result<(), ErrorRecord>;

/// A cmdlet.
#[derive(Debug)]
pub struct Cmdlet<Run: 'static = OnMachine> {
    /// `Get-Service`.
    pub name: &'static str,
    /// Its class, which ends the ids of its errors: `Microsoft.PowerShell.Commands.GetServiceCommand`.
    pub class: &'static str,
    /// The module that it comes with, for `Get-Command`.
    pub module: &'static str,
    /// Its own parameters. The common ones come by themselves.
    pub parameters: &'static [Parameter],
    /// Does it.
    pub run: Run,
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Other names of it.
    pub aliases: &'static [&'static str],
    /// What a value is converted to.
    pub kind: Kind,
    /// Its place among positional arguments, from 0.
    pub position: Option<usize>,
    /// Whether it must be given.
    pub mandatory: bool,
}

/// What a value is converted to, as PowerShell does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A list of strings; one alone will do.
    Texts,
    /// A 32-bit number.
    Number,
    /// `$true` or `$false`, or a number; never a text.
    Bool,
    /// A switch.
    Switch,
    /// One of these words, in any case (`ValidateSet`).
    Word(&'static [&'static str]),
    /// A value of an enumeration: its type, and the names of its values. The beginning of a name will do.
    Enumeration(&'static str, &'static [&'static str]),
    /// As it comes.
    Any,
}

impl<Run> Cmdlet<Run> {
    /// Whether it knows `-WhatIf` and `-Confirm`: cmdlets that change something do. `Update-CsUserDatabase` and
    /// `Invoke-CsManagementStoreReplication` do not, by their documentation.
    #[must_use]
    pub fn confirms(&self) -> bool {
        let verb = self.name.split('-').next().unwrap_or_default();
        let of_lync =
            matches!(verb, "Import" | "Enable" | "Disable" | "Grant" | "Clear" | "Move" | "Publish") && self.name.contains("-Cs");
        of_lync
            || matches!(verb, "Set" | "Stop" | "Start" | "Restart" | "New" | "Copy" | "Remove" | "Rename" | "Backup" | "Restore")
                && self.name != "Start-Sleep"
    }
}

impl Parameter {
    /// A parameter that may be left out and has a name only.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Parameter { name, aliases: &[], kind, position: None, mandatory: false }
    }

    /// With other names.
    #[must_use]
    pub const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// With a place among positional arguments.
    #[must_use]
    pub const fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// Must be given.
    #[must_use]
    pub const fn needed(mut self) -> Self {
        self.mandatory = true;
        self
    }
}

/// The arguments of one call, by the names of the parameters in lower case.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bound(pub BTreeMap<String, Value>);

/// What a cmdlet gives, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An object.
    Output(Value),
    /// An error that does not end it.
    Error(Box<ErrorRecord>),
    /// A warning.
    Warning(String),
    /// A verbose message.
    Verbose(String),
    /// How far it is.
    Progress(Box<ProgressRecord>),
}

/// Where a cmdlet works: one machine, for as long as nobody else does.
pub struct Stage<'a> {
    /// The machine.
    pub machine: &'a mut Machine,
    /// The others: their shares are what a UNC path leads to.
    pub others: &'a [Machine],
    /// Who calls, as `CONTOSO\svc-mig`.
    pub account: &'a str,
    /// Whether `-WhatIf` was given: then nothing may change.
    pub what_if: bool,
    /// What it gave so far.
    pub events: Vec<Event>,
    /// Whether it changed anything; for the audit, and so that the state is kept.
    pub wrote: bool,
    /// What the audit should say of it besides.
    pub detail: serde_json::Map<String, serde_json::Value>,
    /// Whether an error ends the cmdlet (`-ErrorAction Stop`).
    pub stop_on_error: bool,
    /// Whether verbose messages are given (`-Verbose`).
    pub verbose: bool,
    /// How long it is at work, by the clock on the wall. The state is already as it will be known then.
    pub busy: Duration,
}

/// How a cmdlet, or a part of it, ends.
pub type Done = Result<(), ErrorRecord>;

impl<'a> Stage<'a> {
    /// A stage on which nothing has happened.
    #[must_use]
    pub fn new(machine: &'a mut Machine, others: &'a [Machine], account: &'a str) -> Self {
        Stage {
            machine,
            others,
            account,
            what_if: false,
            events: Vec::new(),
            wrote: false,
            detail: serde_json::Map::new(),
            stop_on_error: false,
            verbose: false,
            busy: Duration::ZERO,
        }
    }

    /// Takes over what the common parameters ask for.
    pub fn take_from(&mut self, common: &Common) {
        self.what_if = common.what_if;
        self.verbose = common.verbose;
        self.stop_on_error = common.errors == Action::Stop;
    }

    /// From where paths are looked at.
    #[must_use]
    pub fn eye(&self) -> Eye<'_> {
        Eye { machine: self.machine, others: self.others, account: self.account }
    }

    /// The places that `-LiteralPath` and `-Path` mean. What leads nowhere is reported; that a pattern matches nothing is no
    /// error.
    ///
    /// # Errors
    /// As [`Stage::report`].
    pub fn spots(&mut self, bound: &Bound) -> Result<Vec<Spot>, ErrorRecord> {
        let mut spots = Vec::new();
        let literal = bound.texts("LiteralPath").into_iter().map(|path| (path, true));
        for (path, literal) in literal.chain(bound.texts("Path").into_iter().map(|path| (path, false))) {
            let found = if literal { self.eye().literal(&path).map(|spot| vec![spot]) } else { self.eye().expand(&path) };
            match found {
                Ok(found) => spots.extend(found),
                Err(astray) => self.report_all(astray.records())?,
            }
        }
        Ok(spots)
    }

    /// Reports an error, which ends the cmdlet if the caller wants that.
    ///
    /// # Errors
    /// The error itself, under `-ErrorAction Stop`. To be passed on at once: nothing may be done after it.
    pub fn report(&mut self, record: ErrorRecord) -> Done {
        if self.stop_on_error {
            return Err(record);
        }
        self.error(record);
        Ok(())
    }

    /// Reports errors, in order.
    ///
    /// # Errors
    /// As [`Stage::report`].
    pub fn report_all(&mut self, records: Vec<ErrorRecord>) -> Done {
        records.into_iter().try_for_each(|record| self.report(record))
    }

    /// Gives an object.
    pub fn output(&mut self, value: Value) {
        self.events.push(Event::Output(value));
    }

    /// Reports an error that does not end the cmdlet.
    pub fn error(&mut self, record: ErrorRecord) {
        self.events.push(Event::Error(Box::new(record)));
    }

    /// Warns.
    pub fn warning(&mut self, text: impl Into<String>) {
        self.events.push(Event::Warning(text.into()));
    }

    /// Says, under `-WhatIf`, what would be done; true if it is to be done for real.
    pub fn should_process(&mut self, target: &str, what: &str) -> bool {
        if self.verbose && !self.what_if {
            self.events.push(Event::Verbose(format!("Performing the operation \"{what}\" on target \"{target}\".")));
        }
        if self.what_if {
            // To the host, as PowerShell does it; a remote client sees it as such a call, or not at all.
            self.detail
                .insert("what_if".to_owned(), format!("Performing the operation \"{what}\" on target \"{target}\".").into());
        }
        !self.what_if
    }
}

impl Bound {
    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).and_then(Value::as_str)
    }

    /// All texts of a list, or the only one.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.0.get(&name.to_ascii_lowercase()) {
            None => Vec::new(),
            Some(value) => match value.items() {
                Some(items) => items.iter().map(Value::to_text).collect(),
                None => vec![value.to_text()],
            },
        }
    }

    /// A number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.0.get(&name.to_ascii_lowercase()).and_then(Value::as_i64)
    }

    /// Whether a switch is on.
    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        self.0.get(&name.to_ascii_lowercase()).and_then(Value::as_bool) == Some(true)
    }

    /// Whether it was given at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.to_ascii_lowercase())
    }
}
