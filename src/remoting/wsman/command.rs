//! Command: something to run in a shell ([MS-WSMV] section 3.1.4.11; for PowerShell [MS-PSRP] section 3.1.5.3.3, where the
//! arguments are the first fragments of a pipeline).

use roxmltree::Node;

use super::header::Opt;
use super::names::SHELL;
use super::xml::{attribute, base64, bytes, child, element, need, need_text};
use super::{Body, Malformed, Request};

/// Starts a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// The id that we want; for PowerShell it must be the pipeline's.
    pub command_id: Option<String>,
    /// The first fragment, or several whole ones.
    pub arguments: Vec<u8>,
}

impl Body for Command {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Command";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:CommandLine");
        if let Some(id) = &self.command_id {
            attribute(out, "CommandId", id);
        }
        out.push_str("><rsp:Command/><rsp:Arguments>");
        base64(out, &self.arguments);
        out.push_str("</rsp:Arguments></rsp:CommandLine>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let line = need(body, SHELL, "CommandLine")?;
        Ok(Command {
            command_id: line.attribute("CommandId").map(str::to_owned),
            arguments: child(line, SHELL, "Arguments").map(bytes).transpose()?.unwrap_or_default(),
        })
    }
}

impl Request for Command {
    type Response = CommandResponse;

    fn options(&self) -> Vec<Opt> {
        vec![Opt::new("WINRS_SKIP_CMD_SHELL", "FALSE")]
    }
}

/// The command is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResponse {
    /// The id that the server gave it, which counts from here on.
    pub command_id: String,
}

impl Body for CommandResponse {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:CommandResponse>");
        element(out, "rsp:CommandId", &self.command_id);
        out.push_str("</rsp:CommandResponse>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let response = need(body, SHELL, "CommandResponse")?;
        Ok(CommandResponse { command_id: need_text(response, SHELL, "CommandId")? })
    }
}
