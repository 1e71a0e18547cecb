//! The commands that a person would type, in PowerShell.

use std::fmt::Write as _;

use super::host::{Host, Logon};
use super::hosts::Hosts;
use crate::remoting::clixml::{Content, Value};
use crate::remoting::literal::single_quoted;
use crate::remoting::psrp::Command;
use crate::run::connector::Call;

/// A text as PowerShell reads it; a control character is named, since no literal can hold it.
#[must_use]
pub fn quoted(text: &str) -> String {
    single_quoted(text).unwrap_or_else(|error| format!("<# {error} #>"))
}

/// How to get to the host of a call: one line, after which the other lines run there.
#[must_use]
pub fn connection(hosts: &Hosts, call: &Call) -> Vec<String> {
    match hosts.host(call) {
        Ok(host) => vec![enter(&host)],
        Err(why) => vec![format!("# {why}")],
    }
}

/// How to get to another host that a call names by this argument.
#[must_use]
pub fn connection_to(hosts: &Hosts, call: &Call, argument: &str) -> String {
    let named = crate::connector::args::needed(call, argument).and_then(|name| hosts.named(&call.targets, &name));
    named.map_or_else(|why| format!("# {why}"), |host| enter(&host))
}

fn enter(host: &Host) -> String {
    let authentication = match &host.logon {
        Logon::Ntlm { user, .. } => format!("-Authentication Negotiate -Credential {}", quoted(user)),
        Logon::Kerberos { user, .. } => format!("-Authentication Kerberos -Credential {}", quoted(user)),
        Logon::Basic { user, .. } => format!("-Authentication Basic -Credential {}", quoted(user)),
        Logon::Certificate { .. } => "-CertificateThumbprint <thumbprint>".to_owned(),
    };
    format!(
        "Enter-PSSession -ConnectionUri {} -ConfigurationName {} {authentication}",
        quoted(&host.address.to_string()),
        quoted(&host.configuration)
    )
}

/// A command as a line of PowerShell.
#[must_use]
pub fn line(command: &Command) -> String {
    let mut line = if command.is_script { format!("& {{ {} }}", command.text) } else { command.text.clone() };
    for argument in &command.arguments {
        let _ = match (&argument.name, &argument.value) {
            (Some(name), Value::Bool(true)) => write!(line, " -{name}"),
            (Some(name), Value::Bool(false)) => write!(line, " -{name}:$false"),
            (Some(name), value) => write!(line, " -{name} {}", literal(value)),
            (None, value) => write!(line, " {}", literal(value)),
        };
    }
    line
}

fn literal(value: &Value) -> String {
    match value {
        Value::Nil => "$null".to_owned(),
        Value::Bool(true) => "$true".to_owned(),
        Value::Bool(false) => "$false".to_owned(),
        Value::Object(object) => match &object.content {
            Content::List(items) => items.iter().map(literal).collect::<Vec<_>>().join(", "),
            _ => quoted(&value.to_text()),
        },
        value if value.as_i64().is_some() => value.to_text(),
        value => quoted(&value.to_text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s06_s08_a_command_is_a_line_whose_values_cannot_become_anything_else() {
        let command = Command::new("Copy-Item")
            .parameter("LiteralPath", Value::list(["D:\\it's", "D:\\$b"]))
            .parameter("Destination", "E:\\x; Remove-Item C:\\")
            .switch("Force")
            .parameter("Confirm", false)
            .parameter("Depth", 3);
        assert_eq!(
            line(&command),
            "Copy-Item -LiteralPath 'D:\\it''s', 'D:\\$b' -Destination 'E:\\x; Remove-Item C:\\' -Force -Confirm:$false -Depth 3"
        );
    }
}
