//! Receive: output of a shell or a command ([MS-WSMV] section 3.1.4.14).

use roxmltree::Node;

use super::header::Opt;
use super::names::SHELL;
use super::xml::{attribute, base64, bytes, child, child_text, element, escape, need, text};
use super::{Body, Malformed, Request};

const DONE: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done";
const RUNNING: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Running";

/// Asks for output; answered when there is some, or with a fault when `OperationTimeout` has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receive {
    /// The streams wanted, separated by spaces.
    pub streams: String,
    /// The command whose output is wanted, or none: of the shell.
    pub command_id: Option<String>,
}

impl Receive {
    /// The output of a command, or of the shell itself.
    #[must_use]
    pub fn stdout(command_id: Option<&str>) -> Self {
        Receive { streams: "stdout".to_owned(), command_id: command_id.map(str::to_owned) }
    }
}

impl Body for Receive {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Receive";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:Receive><rsp:DesiredStream");
        if let Some(id) = &self.command_id {
            attribute(out, "CommandId", id);
        }
        out.push('>');
        escape(out, &self.streams);
        out.push_str("</rsp:DesiredStream></rsp:Receive>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let stream = need(need(body, SHELL, "Receive")?, SHELL, "DesiredStream")?;
        Ok(Receive { streams: text(stream), command_id: stream.attribute("CommandId").map(str::to_owned) })
    }
}

impl Request for Receive {
    type Response = ReceiveResponse;

    fn options(&self) -> Vec<Opt> {
        vec![Opt::new("WSMAN_CMDSHELL_OPTION_KEEPALIVE", "TRUE")]
    }
}

/// Some output, and perhaps the end of the command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiveResponse {
    /// In the order of the server.
    pub chunks: Vec<Chunk>,
    /// Whether the command is done: there will be no more output of it.
    pub done: bool,
    /// The exit code of a command that is done; PowerShell has none to speak of.
    pub exit_code: Option<i32>,
}

/// Some bytes of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The stream's name.
    pub stream: String,
    /// The command that wrote them, or none: the shell.
    pub command_id: Option<String>,
    /// The bytes.
    pub data: Vec<u8>,
}

impl Body for ReceiveResponse {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/ReceiveResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:ReceiveResponse>");
        for chunk in &self.chunks {
            out.push_str("<rsp:Stream");
            attribute(out, "Name", &chunk.stream);
            if let Some(id) = &chunk.command_id {
                attribute(out, "CommandId", id);
            }
            out.push('>');
            base64(out, &chunk.data);
            out.push_str("</rsp:Stream>");
        }
        let command = self.chunks.iter().find_map(|chunk| chunk.command_id.as_deref());
        if self.done || command.is_some() {
            out.push_str("<rsp:CommandState");
            if let Some(id) = command {
                attribute(out, "CommandId", id);
            }
            attribute(out, "State", if self.done { DONE } else { RUNNING });
            out.push('>');
            if let Some(code) = self.exit_code {
                element(out, "rsp:ExitCode", &code.to_string());
            }
            out.push_str("</rsp:CommandState>");
        }
        out.push_str("</rsp:ReceiveResponse>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let response = need(body, SHELL, "ReceiveResponse")?;
        let streams = response.children().filter(|node| node.has_tag_name((SHELL, "Stream")));
        let mut chunks = Vec::new();
        for stream in streams {
            let data = bytes(stream)?;
            // An empty stream marks its end, which says nothing that the state does not say.
            if !data.is_empty() {
                chunks.push(Chunk {
                    stream: stream.attribute("Name").unwrap_or_default().to_owned(),
                    command_id: stream.attribute("CommandId").map(str::to_owned),
                    data,
                });
            }
        }
        let state = child(response, SHELL, "CommandState");
        Ok(ReceiveResponse {
            chunks,
            done: state.and_then(|state| state.attribute("State")).is_some_and(|state| state.eq_ignore_ascii_case(DONE)),
            exit_code: state.and_then(|state| child_text(state, SHELL, "ExitCode")).and_then(|code| code.parse().ok()),
        })
    }
}
