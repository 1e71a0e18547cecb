//! Errors as PowerShell reports them.

use super::cmdlet::Cmdlet;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{Category, ErrorRecord};

/// An error of a cmdlet: its id without the class, its category by name, the exception's type, what it says, and what it is
/// about. The cmdlet's own name and class are filled in by [`complete`].
#[must_use]
pub fn error(id: &str, category: &str, exception: &str, message: impl Into<String>, target: impl Into<Value>) -> ErrorRecord {
    let target = target.into();
    let (target_name, target_type) = named(&target);
    ErrorRecord {
        exception_message: message.into(),
        exception_type: exception.to_owned(),
        fully_qualified_id: id.to_owned(),
        category: Category {
            number: Category::number_of(category).unwrap_or_default(),
            reason: last(exception).to_owned(),
            target_name,
            target_type,
            ..Category::default()
        },
        target,
        ..ErrorRecord::default()
    }
}

/// An error about a path or another text.
#[must_use]
pub fn about(id: &str, category: &str, exception: &str, message: impl Into<String>, target: &str) -> ErrorRecord {
    error(id, category, exception, message, target)
}

/// Fills in what an error says of the cmdlet that reports it.
pub fn complete<Run>(record: &mut ErrorRecord, cmdlet: &Cmdlet<Run>) {
    // What a caller writes with `Write-Error` carries the caller's own id.
    let own = record.exception_type == "Microsoft.PowerShell.Commands.WriteErrorException";
    if !own && !record.fully_qualified_id.contains(',') {
        record.fully_qualified_id = format!("{},{}", record.fully_qualified_id, cmdlet.class);
    }
    if record.category.activity.is_empty() {
        cmdlet.name.clone_into(&mut record.category.activity);
    }
}

/// How a target is named in an error's category, and its type in one word.
fn named(target: &Value) -> (String, String) {
    match target {
        Value::Nil => (String::new(), String::new()),
        Value::Object(object) => {
            let own = object.type_names.first().map(String::as_str).unwrap_or_default();
            // .NET knows nothing of the names that PowerShell gives to services.
            let name = if own == "System.ServiceProcess.ServiceController" { own.to_owned() } else { target.to_text() };
            (name, last(own).to_owned())
        }
        Value::String(text) => (text.clone(), "String".to_owned()),
        other => (other.to_text(), "PSObject".to_owned()),
    }
}

/// The last part of a type's name.
fn last(type_name: &str) -> &str {
    type_name.rsplit('.').next().unwrap_or_default()
}
