//! Faults: what a server says instead of answering ([MS-WSMV] section 2.2.4.43; codes from `wsmerror.h`).

use std::fmt;

use roxmltree::Node;

use super::names::{FAULT, SOAP};
use super::xml::{attribute, child, child_text, element, escape, text};

/// A fault, in the server's own words. The texts are foreign and to be made harmless before they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fault {
    /// `Sender`, `Receiver`, …: whose fault it is, without prefix.
    pub code: String,
    /// Such as `TimedOut` or `InvalidSelectors`, without prefix.
    pub subcode: Option<String>,
    /// The number of the error, which alone is exact.
    pub wsman_code: Option<u32>,
    /// For people.
    pub message: String,
    /// What the plug-in that runs shells said, if it is its fault.
    pub provider_fault: Option<String>,
}

/// The faults that mean something to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// `OperationTimeout` has passed without an answer: the operation still runs, ask again. Says nothing about the life of
    /// a command.
    TimedOut,
    /// There is no such shell (any more).
    ShellNotFound,
    /// A quota of shells, users or operations is exhausted; nothing was done.
    Quota,
    /// The account may not do this; nothing was done.
    AccessDenied,
    /// The server does not know the action, or not for this shell; nothing was done. What servers of version 2.0 say to
    /// everything about disconnecting.
    Unsupported,
    /// Not possible while the shell is disconnected; nothing was done.
    Disconnected,
    /// Anything else.
    Other,
}

impl Fault {
    /// The operation has not ended yet.
    pub const TIMED_OUT: u32 = 2_150_858_793;
    /// The selectors name no shell.
    pub const SHELL_NOT_FOUND: u32 = 2_150_858_843;
    /// The account may not.
    pub const ACCESS_DENIED: u32 = 5;
    /// The shell is disconnected (`ERROR_WINRS_SHELL_DISCONNECTED`).
    pub const SHELL_DISCONNECTED: u32 = 2_150_859_204;
    /// There is no such action (`ERROR_WSMAN_INVALID_ACTIONURI`).
    pub const NO_SUCH_ACTION: u32 = 2_150_858_754;
    /// Too many shells of this user.
    pub const TOO_MANY_SHELLS: u32 = 2_150_859_173;

    /// A fault with a number.
    #[must_use]
    pub fn new(wsman_code: u32, subcode: &str, message: &str) -> Self {
        Fault {
            code: "Receiver".to_owned(),
            subcode: Some(subcode.to_owned()),
            wsman_code: Some(wsman_code),
            message: message.to_owned(),
            provider_fault: None,
        }
    }

    /// What it means. By the number; by the subcode only for servers that give no number.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match (self.wsman_code, self.subcode.as_deref()) {
            (Some(Self::TIMED_OUT), _) | (None, Some("TimedOut")) => FaultKind::TimedOut,
            (Some(Self::SHELL_NOT_FOUND), _) | (None, Some("InvalidSelectors")) => FaultKind::ShellNotFound,
            // Shells, operations, this user, the system, users with shells; the same for plug-ins and per process.
            (Some(2_150_859_173..=2_150_859_176 | 2_150_859_179 | 2_150_859_236..=2_150_859_242), _)
            | (None, Some("QuotaLimit")) => FaultKind::Quota,
            (Some(Self::ACCESS_DENIED), _) | (None, Some("AccessDenied")) => FaultKind::AccessDenied,
            // No such action, the action not for this resource, no disconnecting of this shell.
            (Some(Self::NO_SUCH_ACTION | 2_150_858_771 | 2_150_859_205), _) | (None, Some("ActionNotSupported")) => {
                FaultKind::Unsupported
            }
            (Some(Self::SHELL_DISCONNECTED), _) => FaultKind::Disconnected,
            _ => FaultKind::Other,
        }
    }

    /// Reads as much as there is: a fault with half its parts is still a fault.
    pub(super) fn read(fault: Node<'_, '_>) -> Self {
        let code = child(fault, SOAP, "Code");
        let subcode = code.and_then(|code| child(code, SOAP, "Subcode"));
        let value = |node| child_text(node, SOAP, "Value").map(|text| local(&text)).filter(|text| !text.is_empty());
        let reason = child(fault, SOAP, "Reason").and_then(|reason| child_text(reason, SOAP, "Text"));
        let detail = child(fault, SOAP, "Detail").and_then(|detail| child(detail, FAULT, "WSManFault"));
        let message = detail.and_then(|detail| child(detail, FAULT, "Message"));
        let provider = message.and_then(|message| child(message, FAULT, "ProviderFault"));
        Fault {
            code: code.and_then(value).unwrap_or_default(),
            subcode: subcode.and_then(value),
            wsman_code: detail.and_then(|detail| detail.attribute("Code")).and_then(|code| code.trim().parse().ok()),
            message: message.map(text).filter(|text| !text.is_empty()).or(reason).unwrap_or_default(),
            provider_fault: provider.map(all_text).filter(|text| !text.is_empty()),
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push_str("<s:Fault><s:Code>");
        element(out, "s:Value", &format!("s:{}", self.code));
        if let Some(subcode) = &self.subcode {
            out.push_str("<s:Subcode>");
            element(out, "s:Value", &format!("w:{subcode}"));
            out.push_str("</s:Subcode>");
        }
        out.push_str("</s:Code><s:Reason><s:Text xml:lang=\"en-US\">");
        escape(out, &self.message);
        out.push_str("</s:Text></s:Reason>");
        if let Some(code) = self.wsman_code {
            out.push_str("<s:Detail><f:WSManFault xmlns:f=\"");
            out.push_str(FAULT);
            out.push('"');
            attribute(out, "Code", &code.to_string());
            out.push_str("><f:Message>");
            escape(out, &self.message);
            if let Some(provider) = &self.provider_fault {
                element(out, "f:ProviderFault", provider);
            }
            out.push_str("</f:Message></f:WSManFault></s:Detail>");
        }
        out.push_str("</s:Fault>");
    }
}

/// A name without its prefix.
fn local(name: &str) -> String {
    name.rsplit(':').next().unwrap_or_default().trim().to_owned()
}

/// The text of an element and of all in it: plug-ins nest another fault here.
fn all_text(node: Node<'_, '_>) -> String {
    let words: Vec<&str> = node.descendants().filter(Node::is_text).filter_map(|part| part.text()).map(str::trim).collect();
    words.join(" ").trim().to_owned()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answers with a fault")?;
        match (self.wsman_code, &self.subcode) {
            (Some(code), _) => write!(f, " ({code})")?,
            (None, Some(subcode)) => write!(f, " ({subcode})")?,
            (None, None) => {}
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        match &self.provider_fault {
            Some(provider) if !self.message.contains(provider.as_str()) => write!(f, ": {provider}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}
