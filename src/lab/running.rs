//! Where a lab that runs is to be reached.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The ports of one domain controller, all on 127.0.0.1. Zero until they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// LDAP over TLS.
    pub ldaps: u16,
    /// LDAP, with StartTLS.
    pub ldap: u16,
    /// The global catalog over TLS.
    pub gc_tls: u16,
    /// The global catalog, with StartTLS.
    pub gc: u16,
}

/// The ports of one Windows host, all on 127.0.0.1. Zero until they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPorts {
    /// WS-Management over TLS.
    pub https: u16,
    /// WS-Management with sealed messages.
    pub http: u16,
    /// The remote PowerShell of Lync, over TLS; 0 on a machine that is no Front End.
    #[serde(default)]
    pub lync: u16,
    /// SIP over TLS; 0 on a machine that is no Front End.
    #[serde(default)]
    pub sip: u16,
}

/// What `lab.json` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// The process.
    pub pid: u32,
    /// Where it takes orders.
    pub control: u16,
    /// What an order must carry.
    pub token: String,
    /// Where its domain controllers answer, by name.
    pub ports: BTreeMap<String, Ports>,
    /// Where its Windows hosts answer, by name.
    #[serde(default)]
    pub hosts: BTreeMap<String, HostPorts>,
}
