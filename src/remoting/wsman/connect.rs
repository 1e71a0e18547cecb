//! Connect: taking over a shell, or a command in it, that another client left ([MS-WSMV] section 3.1.4.17; servers since
//! version 3.0).

use roxmltree::Node;

use super::create::VERSION;
use super::header::Opt;
use super::names::{POWERSHELL, SHELL};
use super::xml::{attribute, base64, bytes, child, need};
use super::{Body, Malformed, Request};

/// Takes over the shell that the header names, or a command in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connect {
    /// The command; none: the shell.
    pub command_id: Option<String>,
    /// What PowerShell is told by its new client; empty for a command.
    pub content: Vec<u8>,
    /// The version of the protocol inside, which the server must understand; none for a command.
    pub protocol_version: Option<String>,
}

impl Body for Connect {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/Connect";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:Connect");
        if let Some(id) = &self.command_id {
            attribute(out, "CommandId", id);
        }
        if self.content.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push_str("><connectXml xmlns=\"");
        out.push_str(POWERSHELL);
        out.push_str("\">");
        base64(out, &self.content);
        out.push_str("</connectXml></rsp:Connect>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let connect = need(body, SHELL, "Connect")?;
        Ok(Connect {
            command_id: connect.attribute("CommandId").map(str::to_owned),
            content: child(connect, POWERSHELL, "connectXml").map(bytes).transpose()?.unwrap_or_default(),
            protocol_version: None,
        })
    }
}

impl Request for Connect {
    type Response = ConnectResponse;

    fn options(&self) -> Vec<Opt> {
        let version = self.protocol_version.iter();
        version.map(|version| Opt { name: VERSION.to_owned(), value: version.clone(), must_comply: true }).collect()
    }
}

/// The shell, or the command, is ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectResponse {
    /// What PowerShell tells its new client; empty for a command.
    pub content: Vec<u8>,
}

impl Body for ConnectResponse {
    const ACTION: &'static str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/ConnectResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:ConnectResponse>");
        if !self.content.is_empty() {
            out.push_str("<connectResponseXml xmlns=\"");
            out.push_str(POWERSHELL);
            out.push_str("\">");
            base64(out, &self.content);
            out.push_str("</connectResponseXml>");
        }
        out.push_str("</rsp:ConnectResponse>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let response = need(body, SHELL, "ConnectResponse")?;
        Ok(ConnectResponse {
            content: child(response, POWERSHELL, "connectResponseXml").map(bytes).transpose()?.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::remoting::wsman::{Header, names, read_response, request, response};

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let header = Header::new("https://a/wsman".to_owned(), names::configuration("x"));
        for connect in [
            Connect { content: vec![0, 255], protocol_version: Some("2.3".to_owned()), ..Connect::default() },
            Connect { command_id: Some("CD".to_owned()), ..Connect::default() },
        ] {
            let text = request(&header, &connect);
            assert_eq!(text.contains("MustComply=\"true\""), connect.protocol_version.is_some());
            let document = crate::remoting::wsman::xml::document(&text).unwrap();
            let body = need(document.root_element(), names::SOAP, "Body").unwrap();
            assert_eq!(Connect::read(body), Ok(Connect { protocol_version: None, ..connect }));
        }
    }

    #[test]
    fn a_response_is_read_as_it_was_written() {
        let id = Uuid::new_v4();
        for content in [vec![1, 2, 3], Vec::new()] {
            let answer = ConnectResponse { content };
            assert_eq!(read_response::<ConnectResponse>(response(Some(id), &answer).as_bytes(), id), Ok(answer));
        }
    }
}
