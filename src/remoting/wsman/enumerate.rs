//! Enumerate and Pull: which shells are there ([MS-WSMV] section 3.1.4.8 and 3.1.4.9; WS-Management section 8).

use std::fmt::Write as _;

use roxmltree::Node;

use super::names::{ENUMERATION, SHELL, WSMAN};
use super::xml::{child, child_text, element, need, need_text};
use super::{Body, Malformed, Request};

/// Asks for all shells, the first in the answer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enumerate {
    /// At most so many at once.
    pub max_elements: u32,
}

/// Asks for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// From the answer before.
    pub context: String,
    /// At most so many at once.
    pub max_elements: u32,
}

/// A shell, as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShellInfo {
    /// Its id.
    pub shell_id: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Its kind.
    pub resource: Option<String>,
    /// The account that owns it.
    pub owner: Option<String>,
    /// `Connected` or `Disconnected`, where the server says so.
    pub state: Option<String>,
}

/// Shells, and perhaps more to pull.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnumerateResponse {
    /// Those of this answer.
    pub shells: Vec<ShellInfo>,
    /// What to pull with; none when these were all.
    pub context: Option<String>,
}

/// More shells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PullResponse {
    /// Those of this answer.
    pub shells: Vec<ShellInfo>,
    /// What to pull with; none when these were all.
    pub context: Option<String>,
}

impl Body for Enumerate {
    const ACTION: &'static str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate";

    fn write(&self, out: &mut String) {
        out.push_str("<n:Enumerate><w:OptimizeEnumeration/>");
        element(out, "w:MaxElements", &self.max_elements.to_string());
        out.push_str("</n:Enumerate>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let enumerate = need(body, ENUMERATION, "Enumerate")?;
        // Without these two, nothing but the context is wanted in the answer.
        let optimized = child(enumerate, WSMAN, "OptimizeEnumeration").is_some();
        let most = child_text(enumerate, WSMAN, "MaxElements").and_then(|text| text.parse().ok());
        Ok(Enumerate { max_elements: if optimized { most.unwrap_or(1) } else { 0 } })
    }
}

impl Request for Enumerate {
    type Response = EnumerateResponse;
}

impl Body for Pull {
    const ACTION: &'static str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Pull";

    fn write(&self, out: &mut String) {
        out.push_str("<n:Pull>");
        element(out, "n:EnumerationContext", &self.context);
        element(out, "n:MaxElements", &self.max_elements.to_string());
        out.push_str("</n:Pull>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let pull = need(body, ENUMERATION, "Pull")?;
        Ok(Pull {
            context: need_text(pull, ENUMERATION, "EnumerationContext")?,
            max_elements: child_text(pull, ENUMERATION, "MaxElements").and_then(|text| text.parse().ok()).unwrap_or(1),
        })
    }
}

impl Request for Pull {
    type Response = PullResponse;
}

impl Body for EnumerateResponse {
    const ACTION: &'static str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/EnumerateResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<n:EnumerateResponse>");
        element(out, "n:EnumerationContext", self.context.as_deref().unwrap_or_default());
        write_shells(out, "w:Items", &self.shells);
        if self.context.is_none() {
            out.push_str("<w:EndOfSequence/>");
        }
        out.push_str("</n:EnumerateResponse>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let response = need(body, ENUMERATION, "EnumerateResponse")?;
        let (shells, context) = read_shells(response, WSMAN)?;
        Ok(EnumerateResponse { shells, context })
    }
}

impl Body for PullResponse {
    const ACTION: &'static str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/PullResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<n:PullResponse>");
        if let Some(context) = &self.context {
            element(out, "n:EnumerationContext", context);
        }
        write_shells(out, "n:Items", &self.shells);
        if self.context.is_none() {
            out.push_str("<n:EndOfSequence/>");
        }
        out.push_str("</n:PullResponse>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let response = need(body, ENUMERATION, "PullResponse")?;
        let (shells, context) = read_shells(response, ENUMERATION)?;
        Ok(PullResponse { shells, context })
    }
}

fn write_shells(out: &mut String, items: &str, shells: &[ShellInfo]) {
    let _ = write!(out, "<{items}>");
    for shell in shells {
        out.push_str("<rsp:Shell>");
        element(out, "rsp:ShellId", &shell.shell_id);
        let rest = [
            ("rsp:Name", &shell.name),
            ("rsp:ResourceUri", &shell.resource),
            ("rsp:Owner", &shell.owner),
            ("rsp:State", &shell.state),
        ];
        for (name, value) in rest {
            if let Some(value) = value {
                element(out, name, value);
            }
        }
        out.push_str("</rsp:Shell>");
    }
    let _ = write!(out, "</{items}>");
}

fn read_shells(response: Node<'_, '_>, space: &str) -> Result<(Vec<ShellInfo>, Option<String>), Malformed> {
    let mut shells = Vec::new();
    // Servers differ in the namespace of the items.
    let items = child(response, space, "Items").or_else(|| child(response, ENUMERATION, "Items"));
    for shell in items.into_iter().flat_map(|items| items.children()).filter(|node| node.has_tag_name((SHELL, "Shell"))) {
        let part = |name| child_text(shell, SHELL, name).filter(|text| !text.is_empty());
        shells.push(ShellInfo {
            shell_id: need_text(shell, SHELL, "ShellId")?,
            name: part("Name"),
            resource: part("ResourceUri"),
            owner: part("Owner"),
            state: part("State"),
        });
    }
    let end = child(response, WSMAN, "EndOfSequence").or_else(|| child(response, ENUMERATION, "EndOfSequence"));
    let context = match end {
        Some(_) => None,
        // No end and nothing to go on with: nobody can say that these were all.
        None => Some(need_text(response, ENUMERATION, "EnumerationContext")?),
    };
    Ok((shells, context))
}
