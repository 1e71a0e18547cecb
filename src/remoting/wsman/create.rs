//! Create: a new shell ([MS-WSMV] section 3.1.4.5.2; for PowerShell [MS-PSRP] section 3.1.5.3.1).

use std::time::Duration;

use roxmltree::Node;

use super::header::{Opt, selector};
use super::names::{ADDRESSING, POWERSHELL, SHELL, TRANSFER};
use super::xml::{attribute, base64, bytes, child, child_text, element, need};
use super::{Body, Malformed, Request, duration};

/// The option that names the version of the protocol inside.
pub(super) const VERSION: &str = "protocolversion";

/// Asks for a shell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Create {
    /// The id that we want; ours to choose, so that it can be written down before.
    pub shell_id: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// The streams that we write, separated by spaces.
    pub input_streams: String,
    /// The streams that we read.
    pub output_streams: String,
    /// After this time without a sign of the client, the server removes the shell.
    pub idle_timeout: Option<Duration>,
    /// The first messages of the protocol inside.
    pub creation: Vec<u8>,
    /// The version of the protocol inside, which the server must understand.
    pub protocol_version: Option<String>,
}

impl Body for Create {
    const ACTION: &'static str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Create";

    fn write(&self, out: &mut String) {
        out.push_str("<rsp:Shell");
        if let Some(id) = &self.shell_id {
            attribute(out, "ShellId", id);
        }
        if let Some(name) = &self.name {
            attribute(out, "Name", name);
        }
        out.push('>');
        if let Some(time) = self.idle_timeout {
            element(out, "rsp:IdleTimeOut", &duration::write(time));
        }
        element(out, "rsp:InputStreams", &self.input_streams);
        element(out, "rsp:OutputStreams", &self.output_streams);
        out.push_str("<creationXml xmlns=\"");
        out.push_str(POWERSHELL);
        out.push_str("\">");
        base64(out, &self.creation);
        out.push_str("</creationXml></rsp:Shell>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let shell = need(body, SHELL, "Shell")?;
        let idle = child_text(shell, SHELL, "IdleTimeOut");
        Ok(Create {
            shell_id: shell.attribute("ShellId").map(str::to_owned),
            name: shell.attribute("Name").map(str::to_owned).or_else(|| child_text(shell, SHELL, "Name")),
            input_streams: child_text(shell, SHELL, "InputStreams").unwrap_or_default(),
            output_streams: child_text(shell, SHELL, "OutputStreams").unwrap_or_default(),
            idle_timeout: match idle {
                Some(text) => Some(duration::read(&text).ok_or_else(|| Malformed("`IdleTimeOut` is no duration".to_owned()))?),
                None => None,
            },
            creation: child(shell, POWERSHELL, "creationXml").map(bytes).transpose()?.unwrap_or_default(),
            protocol_version: None,
        })
    }
}

impl Request for Create {
    type Response = CreateResponse;

    fn options(&self) -> Vec<Opt> {
        let version = self.protocol_version.iter();
        version.map(|version| Opt { name: VERSION.to_owned(), value: version.clone(), must_comply: true }).collect()
    }
}

/// The shell is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateResponse {
    /// The id that the server gave it, which counts from here on.
    pub shell_id: String,
    /// The resource URI, repeated.
    pub resource: String,
    /// The account that owns it.
    pub owner: Option<String>,
    /// The idle timeout that the server allows.
    pub idle_timeout: Option<Duration>,
}

impl Body for CreateResponse {
    const ACTION: &'static str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/CreateResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<x:ResourceCreated>");
        element(out, "a:Address", "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous");
        out.push_str("<a:ReferenceParameters>");
        element(out, "w:ResourceURI", &self.resource);
        out.push_str("<w:SelectorSet><w:Selector Name=\"ShellId\">");
        super::xml::escape(out, &self.shell_id);
        out.push_str("</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated><rsp:Shell>");
        element(out, "rsp:ShellId", &self.shell_id);
        element(out, "rsp:ResourceUri", &self.resource);
        if let Some(owner) = &self.owner {
            element(out, "rsp:Owner", owner);
        }
        if let Some(time) = self.idle_timeout {
            element(out, "rsp:IdleTimeOut", &duration::write(time));
        }
        element(out, "rsp:InputStreams", "stdin pr");
        element(out, "rsp:OutputStreams", "stdout");
        out.push_str("</rsp:Shell>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        // Old servers give the reference alone, without the shell.
        let reference =
            child(body, TRANSFER, "ResourceCreated").and_then(|created| child(created, ADDRESSING, "ReferenceParameters"));
        let shell = child(body, SHELL, "Shell");
        let told = |name| shell.and_then(|shell| child_text(shell, SHELL, name)).filter(|text| !text.is_empty());
        Ok(CreateResponse {
            shell_id: reference
                .and_then(|reference| selector(reference, "ShellId"))
                .or_else(|| told("ShellId"))
                .filter(|id| !id.is_empty())
                .ok_or_else(|| Malformed("the new shell has no id".to_owned()))?,
            resource: told("ResourceUri").unwrap_or_default(),
            owner: told("Owner"),
            idle_timeout: told("IdleTimeOut").and_then(|text| duration::read(&text)),
        })
    }
}
