//! Identify: what kind of server is this? ([MS-WSMV] section 3.1.4.1.32; WS-Management section 11.)

use roxmltree::Node;

use super::names::IDENTITY;
use super::xml::{child_text, element, need};
use super::{Body, Malformed, envelope};

/// The question. It has no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identify;

impl Identify {
    /// Its envelope.
    #[must_use]
    pub fn envelope() -> String {
        envelope::without_header(&Identify)
    }
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdentifyResponse {
    /// The protocol's URI.
    pub protocol: String,
    /// Who made the server.
    pub vendor: String,
    /// Its version, such as `OS: 10.0.17763 SP: 0.0 Stack: 3.0`.
    pub version: String,
}

impl Body for Identify {
    const ACTION: &'static str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity/Identify";

    fn write(&self, out: &mut String) {
        out.push_str("<wsmid:Identify/>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        need(body, IDENTITY, "Identify").map(|_| Identify)
    }
}

impl Body for IdentifyResponse {
    const ACTION: &'static str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity/IdentifyResponse";

    fn write(&self, out: &mut String) {
        out.push_str("<wsmid:IdentifyResponse>");
        element(out, "wsmid:ProtocolVersion", &self.protocol);
        element(out, "wsmid:ProductVendor", &self.vendor);
        element(out, "wsmid:ProductVersion", &self.version);
        out.push_str("</wsmid:IdentifyResponse>");
    }

    fn read(body: Node<'_, '_>) -> Result<Self, Malformed> {
        let response = need(body, IDENTITY, "IdentifyResponse")?;
        let part = |name| child_text(response, IDENTITY, name).unwrap_or_default();
        Ok(IdentifyResponse { protocol: part("ProtocolVersion"), vendor: part("ProductVendor"), version: part("ProductVersion") })
    }
}
