//! What the administrative cmdlets share: parameters, which of many objects is meant, refusals.
//!
//! The words of Lync's errors are documented nowhere, nor are their ids and types: those here are the lab's own.

use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::errors::{about, error};
use crate::lab::windows::wildcard::Wildcard;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::ErrorRecord;

/// `-Identity`, by name or first.
pub const IDENTITY: Parameter = Parameter::new("Identity", Kind::Text).at(0);
/// `-Filter`: wildcards for the identity.
pub const FILTER: Parameter = Parameter::new("Filter", Kind::Text);
/// `-LocalStore`: taken; the lab's replicas are asked like the store itself.
pub const LOCAL_STORE: Parameter = Parameter::new("LocalStore", Kind::Switch);
/// `-Force`: without errors that do not end it.
pub const FORCE: Parameter = Parameter::new("Force", Kind::Switch);
/// `-Report`: a file for what went wrong.
pub const REPORT: Parameter = Parameter::new("Report", Kind::Text);
/// `-Tenant`: of the service in the cloud; nothing here.
pub const TENANT: Parameter = Parameter::new("Tenant", Kind::Text);

/// A refusal.
pub fn refusal(id: &str, category: &str, message: impl Into<String>, target: &str) -> ErrorRecord {
    about(id, category, "System.InvalidOperationException", message, target)
}

/// That nothing has this name.
pub fn missing(what: &str, name: &str) -> ErrorRecord {
    refusal("NotFound", "ObjectNotFound", format!("No {what} has the identity \"{name}\"."), name)
}

/// That two parameters stand in different sets.
///
/// # Errors
/// More than one of them was given.
pub fn one_of(bound: &Bound, names: &[&str]) -> Done {
    if names.iter().filter(|name| bound.has(name)).count() < 2 {
        return Ok(());
    }
    let message = "Parameter set cannot be resolved using the specified named parameters.";
    let exception = "System.Management.Automation.ParameterBindingException";
    Err(error("AmbiguousParameterSet", "InvalidArgument", exception, message, Value::Nil))
}

/// A pattern of PowerShell.
///
/// # Errors
/// It is none.
pub fn pattern(text: &str) -> Result<Wildcard, ErrorRecord> {
    Wildcard::powershell(text).map_err(|_| {
        let message = format!("The specified wildcard character pattern is not valid: {text}");
        about("InvalidPattern", "InvalidArgument", "System.Management.Automation.WildcardPatternException", message, text)
    })
}

/// Something that can be asked for: its identity, other names that `-Identity` takes for it, and how it is shown.
pub struct Known {
    /// The identity.
    pub identity: String,
    /// Other names.
    pub also: Vec<String>,
    /// The object.
    pub value: Value,
}

impl Known {
    /// Whether a name in `-Identity` means it.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        std::iter::once(&self.identity).chain(&self.also).any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// Gives those that `-Identity` or `-Filter` means, or all of them. That an identity has none is an error.
///
/// # Errors
/// The pattern is none, or errors end the cmdlet.
pub fn give(stage: &mut Stage<'_>, bound: &Bound, what: &str, all: Vec<Known>) -> Done {
    one_of(bound, &["Identity", "Filter"])?;
    let filter = bound.text("Filter").map(pattern).transpose()?;
    let identity = bound.text("Identity");
    let mut any = false;
    for known in all {
        let is_meant = identity.is_none_or(|name| known.is(name));
        if is_meant && filter.as_ref().is_none_or(|filter| filter.is_match(&known.identity)) {
            any = true;
            stage.output(known.value);
        }
    }
    match identity {
        Some(name) if !any => stage.report(missing(what, name)),
        _ => Ok(()),
    }
}

/// The name behind a kind, as in `PersistentChatServer:pcpool.contoso.lan` or `service:pcpool.contoso.lan`.
#[must_use]
pub fn bare(identity: &str) -> &str {
    identity.split_once(':').map_or(identity, |(_, name)| name)
}

/// An object of Lync.
#[must_use]
pub fn object(type_name: &str, shown: &str, properties: Vec<(&str, Value)>) -> Value {
    Value::typed(&[type_name, "System.Object"], Some(shown), properties)
}

/// A list of texts, as a remote client sees it.
#[must_use]
pub fn texts<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::list(items.into_iter().map(|item| item.as_ref().to_owned()))
}
