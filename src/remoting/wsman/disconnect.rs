//! Disconnect and Reconnect: leaving a shell that goes on running, and coming back ([MS-WSMV] sections 3.1.4.15 and
//! 3.1.4.16; servers since version 3.0).

use std::time::Duration;

use roxmltree::Node;

use super::names::SHELL;
use super::xml::{attribute, child_text, element, need};
use super::{Body, Malformed, Request, duration};

/// Leaves the shell that the header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disconnect {
    /// How long the server keeps it.
    pub idle_timeout: Option<Duration>,
    /// Whether output that nobody reads is dropped; otherwise the command waits.
    pub drop_output: bool,
}

/// The shell is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisconnectResponse;

/// Comes back to the shell that the header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect;

/// Comes back to a command in that shell, which the return to the shell itself does not bring ([MS-PSRP] section
/// 3.1.5.3.18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconnectCommand {
    /// The command.
    pub command_id: String,
}

/// We are back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconnectResponse;

impl Body for Disconnect {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Disconnect";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:Disconnect>");
        if let Some(time) = self.idle_timeout {
            element(out, "rsp:IdleTimeOut", &duration::write(time));
        }
        element(out, "rsp:BufferMode", if self.drop_output { "Drop" } else { "Block" });
        out.push_str("</rsp:Disconnect>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let disconnect = need(body, SHELL, "Disconnect")?;
        Ok(Disconnect {
            idle_timeout: child_text(disconnect, SHELL, "IdleTimeOut").and_then(|text| duration::read(&text)),
            drop_output: child_text(disconnect, SHELL, "BufferMode").is_some_and(|mode| mode.eq_ignore_ascii_case("drop")),
        })
    }
}

impl Request for Disconnect {
    type Response = DisconnectResponse;
}

impl Body for DisconnectResponse {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/DisconnectResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:DisconnectResponse/>");
    }

    fn read(_body: Node<'_, '_>) -> Result<Self, Malformed> {
        Ok(DisconnectResponse)
    }
}

impl Body for Reconnect {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Reconnect";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:Reconnect/>");
    }

    fn read(_body: Node<'_, '_>) -> Result<Self, Malformed> {
        Ok(Reconnect)
    }
}

impl Request for Reconnect {
    type Response = ReconnectResponse;
}

impl Body for ReconnectCommand {
    const ACTION: &'static str = Reconnect::ACTION;

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:Reconnect");
        attribute(out, "CommandId", &self.command_id);
        out.push_str("/>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let command_id = need(body, SHELL, "Reconnect")?.attribute("CommandId");
        let command_id = command_id.ok_or_else(|| Malformed("`Reconnect` names no command".to_owned()))?.to_owned();
        Ok(ReconnectCommand { command_id })
    }
}

impl Request for ReconnectCommand {
    type Response = ReconnectResponse;
}

impl Body for ReconnectResponse {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/ReconnectResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:ReconnectResponse/>");
    }

    fn read(_body: Node<'_, '_>) -> Result<Self, Malformed> {
        Ok(ReconnectResponse)
    }
}
