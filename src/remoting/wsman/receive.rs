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

impl ReceiveResponse {
    /// The output of a command, or of the shell itself. Other streams than `stdout` hold nothing of PowerShell's and are
    /// passed over; a chunk that does not say whose it is belongs to the one that was asked for.
    ///
    /// # Errors
    /// A chunk is somebody else's: the answer is not understood then.
    pub fn output_of(&self, command_id: Option<&str>) -> Result<impl Iterator<Item = &Chunk> + use<'_>, Malformed> {
        let foreign = |id: &&String| !command_id.is_some_and(|ours| ours.eq_ignore_ascii_case(id));
        match self.chunks.iter().filter_map(|chunk| chunk.command_id.as_ref()).find(foreign) {
            Some(id) => Err(Malformed(format!("it holds output of `{id}`, which was not asked for"))),
            None => Ok(self.chunks.iter().filter(|chunk| chunk.stream.eq_ignore_ascii_case("stdout"))),
        }
    }
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
        let of = state.and_then(|state| state.attribute("CommandId"));
        let ids = chunks.iter().filter_map(|chunk| chunk.command_id.as_deref());
        if ids.zip(of.iter().cycle()).any(|(chunk, state)| !chunk.eq_ignore_ascii_case(state)) {
            return Err(Malformed("its state is that of another command".to_owned()));
        }
        Ok(ReceiveResponse {
            chunks,
            done: state.and_then(|state| state.attribute("State")).is_some_and(|state| state.eq_ignore_ascii_case(DONE)),
            exit_code: state.and_then(|state| child_text(state, SHELL, "ExitCode")).and_then(|code| code.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(stream: &str, command: Option<&str>) -> Chunk {
        Chunk { stream: stream.to_owned(), command_id: command.map(str::to_owned), data: vec![1] }
    }

    #[test]
    fn only_the_output_that_was_asked_for_is_taken() {
        let of = |chunks: Vec<Chunk>, command| {
            ReceiveResponse { chunks, ..ReceiveResponse::default() }.output_of(command).map(Iterator::count)
        };
        let chunks = vec![chunk("stdout", Some("cd")), chunk("stderr", Some("CD")), chunk("StdOut", None)];
        assert_eq!(of(chunks.clone(), Some("CD")), Ok(2));
        assert!(of(chunks.clone(), None).is_err());
        assert!(of(chunks, Some("AB")).is_err());
        assert_eq!(of(vec![chunk("stdout", None)], None), Ok(1));
    }
}
