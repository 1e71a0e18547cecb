//! What Lync has in the directory beside its people: its containers, its pools, and the contact that every Persistent Chat
//! pool has from its installation. As LDIF, from the same deployment as everything else.

use std::fmt::Write as _;

use crate::lab::directory::ids::Guid;
use crate::lab::directory::well_known::REALM;
use crate::lab::lync::contoso::deployment;

const SERVICE: &str = "CN=RTC Service,CN=Services,CN=Configuration,${BASE}";

/// The LDIF, with the domain's name yet to be filled in.
pub fn ldif() -> String {
    let mut text = String::new();
    let mut add = |dn: &str, class: &str, more: &str| {
        let _ = write!(text, "dn: {dn}\nchangetype: add\nobjectClass: {class}\n{more}\n");
    };
    add(SERVICE, "container", "");
    add(&format!("CN=Application Contacts,{SERVICE}"), "container", "");
    add(&format!("CN=Pools,{SERVICE}"), "container", "");
    let place = |fqdn: &str| format!("CN={},CN=Pools,{SERVICE}", fqdn.split('.').next().unwrap_or_default());
    let home = |fqdn: &str| format!("CN=Lc Services,CN=Microsoft,{}", place(fqdn));
    let deployment = deployment();
    for pool in &deployment.front_ends {
        add(&place(&pool.fqdn), "msRTCSIP-Pool", &format!("dNSHostName: {}\n", pool.fqdn));
        add(&format!("CN=Microsoft,{}", place(&pool.fqdn)), "container", "");
        add(&home(&pool.fqdn), "container", "");
    }
    for pool in &deployment.chat_pools {
        add(&place(&pool.fqdn), "msRTCSIP-Pool", &format!("dNSHostName: {}\n", pool.fqdn));
        let more = format!(
            "msRTCSIP-PrimaryUserAddress: sip:GC-{}@{REALM}\nmsRTCSIP-UserEnabled: TRUE\n\
             msRTCSIP-OwnerUrn: urn:application:persistentchat\nmsRTCSIP-PrimaryHomeServer: {}\n\
             msRTCSIP-ApplicationDestination: {}\n",
            pool.service_id,
            home(&pool.next_hop),
            place(&pool.fqdn)
        );
        add(&format!("CN={{{}}},CN=Application Contacts,{SERVICE}", Guid::random()), "contact", &more);
    }
    text
}
