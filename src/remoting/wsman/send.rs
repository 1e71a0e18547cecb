//! Send: input for a shell or a command ([MS-WSMV] section 3.1.4.13).

use roxmltree::Node;

use super::names::SHELL;
use super::xml::{attribute, base64, bytes, need};
use super::{Body, Malformed, Request};

/// Some input. For PowerShell, whole fragments only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Send {
    /// `stdin`, or `pr` for answers to the host.
    pub stream: String,
    /// The command that it is for, or none: for the shell.
    pub command_id: Option<String>,
    /// The bytes.
    pub data: Vec<u8>,
}

impl Body for Send {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Send";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:Send><rsp:Stream");
        attribute(out, "Name", &self.stream);
        if let Some(id) = &self.command_id {
            attribute(out, "CommandId", id);
        }
        out.push('>');
        base64(out, &self.data);
        out.push_str("</rsp:Stream></rsp:Send>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let stream = need(need(body, SHELL, "Send")?, SHELL, "Stream")?;
        Ok(Send {
            stream: stream.attribute("Name").unwrap_or_default().to_owned(),
            command_id: stream.attribute("CommandId").map(str::to_owned),
            data: bytes(stream)?,
        })
    }
}

impl Request for Send {
    type Response = SendResponse;
}

/// The input is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendResponse;

impl Body for SendResponse {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/SendResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:SendResponse/>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        need(body, SHELL, "SendResponse").map(|_| SendResponse)
    }
}
