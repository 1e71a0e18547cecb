//! Namespaces, the prefixes that envelopes declare for them, and resource URIs.

/// SOAP 1.2, prefix `s`.
pub const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
/// WS-Addressing, prefix `a`.
pub const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
/// WS-Management, prefix `w`.
pub const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
/// Microsoft's extensions of WS-Management, prefix `p`.
pub const WSMV: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd";
/// Remote shells, prefix `rsp`.
pub const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
/// WS-Transfer, prefix `x`.
pub const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
/// WS-Enumeration, prefix `n`.
pub const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
/// Details of faults, prefix `f`.
pub const FAULT: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault";
/// Identification, prefix `wsmid`.
pub const IDENTITY: &str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd";
/// What PowerShell adds to the creation of a shell.
pub const POWERSHELL: &str = "http://schemas.microsoft.com/powershell";
/// `xml:`.
pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// The reply goes back on the connection.
pub(super) const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
/// Action of faults.
pub(super) const FAULT_ACTION: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault";

/// The resource of all shells, for enumerations.
pub const ALL_SHELLS: &str = SHELL;

/// The resource URI of a session configuration ([MS-PSRP] section 3.1.5.3.1), such as `Microsoft.PowerShell`.
#[must_use]
pub fn configuration(name: &str) -> String {
    format!("{POWERSHELL}/{name}")
}
