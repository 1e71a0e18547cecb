//! The names of the lab's domain, and the containers that have an identity of their own (MS-ADTS 6.1.1.4).

use super::dn::Rdn;

/// The domain's DNS name.
pub const REALM: &str = "contoso.lan";
/// Its name from before DNS.
pub const NETBIOS: &str = "CONTOSO";
/// Its DN.
pub const DOMAIN: &str = "DC=contoso,DC=lan";
/// The configuration's DN.
pub const CONFIGURATION: &str = "CN=Configuration,DC=contoso,DC=lan";
/// The schema's DN.
pub const SCHEMA: &str = "CN=Schema,CN=Configuration,DC=contoso,DC=lan";

/// The parts of the domain's name above its own.
#[must_use]
pub fn suffix() -> Vec<Rdn> {
    vec![Rdn::new("DC", "lan")]
}

/// Well-known identity → name below the head of the naming context.
pub const CONTAINERS: &[(&str, &str)] = &[
    ("A9D1CA15768811D1ADED00C04FD8D5CD", "CN=Users"),
    ("AA312825768811D1ADED00C04FD8D5CD", "CN=Computers"),
    ("A361B2FFFFD211D1AA4B00C04FD7D83A", "OU=Domain Controllers"),
    ("AB1D30F3768811D1ADED00C04FD8D5CD", "CN=System"),
    ("AB8153B7768811D1ADED00C04FD8D5CD", "CN=LostAndFound"),
    ("2FBAC1870ADE11D297C400C04FD8D5CD", "CN=Infrastructure"),
    ("18E2EA80684F11D2B9AA00C04F79F805", "CN=Deleted Objects"),
    ("22B70C67D56E4EFB91E9300FCA3DC1AA", "CN=ForeignSecurityPrincipals"),
];
