//! The targets file of a lab.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::contoso::CONTROLLERS;
use super::directory::well_known::{NETBIOS, REALM};
use super::lync::contoso::{FRONT_ENDS, SIP_USER};
use super::running::{HostPorts, Ports};

/// Hosts that plans address together.
const GROUPS: [(&str, &[&str]); 6] = [
    ("legacy_servers", &["gc01", "gc02"]),
    ("legacy_files", &["gc01"]),
    ("legacy_sql", &["sql01"]),
    ("persistent_chat_servers", &["pc01", "pc02"]),
    ("persistent_chat_sql", &["sql01"]),
    ("front_ends", &["fe01"]),
];

/// The targets file of a lab. A domain controller other than the URL's is asked at the URL's port, and a global
/// catalog at 3269; here each has ports of its own, so every such address is mapped.
#[must_use]
pub fn text(ports: &BTreeMap<String, Ports>, hosts: &BTreeMap<String, HostPorts>, account: &str, address: &str) -> String {
    let first = ports.get(CONTROLLERS[0]).copied().unwrap_or_default();
    let mut text = format!(
        "# Written by `relevo lab up`: a stand-in on this machine. Changes are lost when it starts again.\n\
relevo_targets: 1\n\
directories:\n\
\x20 contoso:\n\
\x20   url: ldaps://{}.{REALM}:{}\n\
\x20   ca: ca.pem\n\
\x20   domain: {REALM}\n\
\x20   bind: {{ user: svc-mig@{REALM}, password: {{ file: svc-mig.password }} }}\n\
\x20   addresses:\n",
        CONTROLLERS[0], first.ldaps
    );
    for (name, own) in ports {
        // The first port may be the usual one, and a key may stand once.
        let usual = [(636, own.ldaps), (389, own.ldap), (3269, own.gc_tls), (3268, own.gc)];
        let own_port = Some((first.ldaps, own.ldaps)).filter(|(port, _)| *port != 636);
        for (port, to) in own_port.into_iter().chain(usual) {
            let _ = writeln!(text, "      \"{name}.{REALM}:{port}\": \"{address}:{to}\"");
        }
    }
    text.push_str("    settle: { stable_for: 1s, poll: 100ms }\n");
    if !hosts.is_empty() {
        text.push_str("hosts:\n");
    }
    for (name, own) in hosts {
        let host = |name: &str, url: &str, port: u16| {
            format!(
                "  {name}:\n\
\x20   url: {url}\n\
\x20   address: \"127.0.0.1:{port}\"\n\
\x20   ca: ca.pem\n\
\x20   auth: {{ negotiate: {{ user: '{NETBIOS}\\svc-mig', password: {{ file: svc-mig.password }} }} }}\n\
\x20   settle: {{ poll: 100ms }}\n"
            )
        };
        text.push_str(&host(name, &format!("https://{name}.{REALM}:5986/wsman"), own.https));
        if own.lync != 0 {
            text.push_str(&host("lync", &format!("https://{name}.{REALM}/OcsPowerShell"), own.lync));
            // Whom only this Front End lets in without a logon.
            let _ = writeln!(
                text,
                "    vars: {{ legacy_client: lab, sip: {{ registrar: \"{FRONT_ENDS}:5061\", address: \"127.0.0.1:{}\", as: \"{SIP_USER}\" }} }}",
                own.sip
            );
        }
    }
    text.push_str("groups:\n  directories: [contoso]\n");
    for (group, members) in GROUPS {
        if members.iter().all(|member| hosts.contains_key(*member)) {
            let _ = writeln!(text, "  {group}: [{}]", members.join(", "));
        }
    }
    text.push_str("roles:\n");
    let quoted = serde_json::Value::from(account).to_string();
    for role in ["lead", "directory", "change"] {
        let _ = writeln!(text, "  {role}: [{quoted}]");
    }
    text
}
