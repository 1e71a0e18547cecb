//! Those who are in the directory because of Group Chat's rooms, as LDIF: the same as in the embedded one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::lab::lync::chat::people::{Account, newcomers};

/// The LDIF, with the domain's names and the passwords yet to be filled in. Whoever left has no account any more.
pub fn ldif() -> String {
    let people = newcomers().filter(|person| person.state != Account::Deleted);
    people
        .map(|person| {
            let account = &person.account;
            let control = if person.state == Account::Disabled { 66050 } else { 66048 };
            format!(
                "dn: CN={account},OU=Staff,${{BASE}}\nchangetype: add\nobjectClass: user\nsAMAccountName: {account}\n\
                 userPrincipalName: {account}@${{REALM}}\nuserAccountControl: {control}\nunicodePwd:: ${{PASSWORD {account}}}\n\
                 mail: {account}@${{REALM}}\nproxyAddresses: sip:{account}@${{REALM}}\n{}{}{}\
                 msRTCSIP-PrimaryUserAddress: sip:{account}@${{REALM}}\nmsRTCSIP-UserEnabled: TRUE\n\
                 msRTCSIP-OptionFlags: 257\nmsRTCSIP-DeploymentLocator: SRV:\nmsRTCSIP-PrimaryHomeServer: CN=Lc Services,\
                 CN=Microsoft,CN=pool01,CN=Pools,CN=RTC Service,CN=Services,CN=Configuration,${{BASE}}\n\n",
                line("displayName", &person.name()),
                line("givenName", person.given),
                line("sn", person.surname),
            )
        })
        .collect()
}

/// A value that may have letters beyond ASCII (RFC 2849).
fn line(attribute: &str, value: &str) -> String {
    format!("{attribute}:: {}\n", STANDARD.encode(value))
}
