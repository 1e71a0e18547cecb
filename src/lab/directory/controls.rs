//! Controls: which are known, and what they ask for.

use ldap3_proto::control::LdapControl;

use super::entry::Names;
use super::reply::{Answer, unknown_control};

/// What the root DSE says is known.
pub const SUPPORTED: &[&str] = &[
    "1.2.840.113556.1.4.319",
    "1.2.840.113556.1.4.417",
    "1.2.840.113556.1.4.473",
    "1.2.840.113556.1.4.529",
    "1.2.840.113556.1.4.801",
    "1.2.840.113556.1.4.805",
    "1.2.840.113556.1.4.1338",
    "1.2.840.113556.1.4.1339",
    "1.2.840.113556.1.4.1413",
    "1.2.840.113556.1.4.2064",
    "1.2.840.113556.1.4.619",
];

const TREE_DELETE: &str = "1.2.840.113556.1.4.805";
const DOMAIN_SCOPE: &str = "1.2.840.113556.1.4.1339";
const PERMISSIVE: &str = "1.2.840.113556.1.4.1413";
const SHOW_RECYCLED: &str = "1.2.840.113556.1.4.2064";

/// What the controls of one request ask for.
#[derive(Debug, Clone)]
pub struct Controls {
    /// Tombstones are seen.
    pub show_deleted: bool,
    /// Page size and cookie.
    pub page: Option<(i64, Vec<u8>)>,
    /// Parts of descriptors.
    pub sd_flags: Option<u32>,
    /// How names are written.
    pub names: Names,
    /// Delete with everything below.
    pub tree_delete: bool,
    /// No references to other naming contexts.
    pub domain_scope: bool,
    /// Search all naming contexts.
    pub phantom_root: bool,
    /// What is there already is no mistake.
    pub permissive: bool,
    /// Attribute to sort by, and whether backwards.
    pub sort: Option<(String, bool)>,
}

/// Reads the controls of a request.
///
/// # Errors
/// A critical one is not known.
pub fn read(list: &[LdapControl]) -> Answer<Controls> {
    let mut controls = Controls {
        show_deleted: false,
        page: None,
        sd_flags: None,
        names: Names::Plain,
        tree_delete: false,
        domain_scope: false,
        phantom_root: false,
        permissive: false,
        sort: None,
    };
    for control in list {
        match control {
            LdapControl::ShowDeleted { .. } => controls.show_deleted = true,
            LdapControl::SimplePagedResults { size, cookie } => controls.page = Some((*size, cookie.clone())),
            LdapControl::SdFlags { flags, .. } => {
                // Without a choice: owner, group and access list; nobody here has an audit list.
                let flags = u32::try_from(*flags).unwrap_or(0) & 7;
                controls.sd_flags = Some(if flags == 0 { 7 } else { flags });
            }
            LdapControl::ExtendedDn { format, .. } => controls.names = if *format == 1 { Names::Text } else { Names::Hex },
            LdapControl::SearchOptions { flags, .. } => {
                controls.domain_scope |= flags & 1 != 0;
                controls.phantom_root |= flags & 2 != 0;
            }
            LdapControl::ServerSort { sort_requests } => {
                controls.sort = sort_requests.first().map(|key| (key.attribute_name.clone(), key.reverse_order));
            }
            LdapControl::Unknown { oid, criticality, .. } => match oid.as_str() {
                TREE_DELETE => controls.tree_delete = true,
                DOMAIN_SCOPE => controls.domain_scope = true,
                PERMISSIVE => controls.permissive = true,
                SHOW_RECYCLED => controls.show_deleted = true,
                _ if SUPPORTED.contains(&oid.as_str()) => {}
                _ if *criticality => return Err(unknown_control(oid)),
                _ => {}
            },
            LdapControl::SyncRequest { criticality: true, .. } => return Err(unknown_control("1.3.6.1.4.1.4203.1.9.1.1")),
            LdapControl::AdDirsync { .. } => return Err(unknown_control("1.2.840.113556.1.4.841")),
            LdapControl::ManageDsaIT { criticality: true } => return Err(unknown_control("2.16.840.1.113730.3.4.2")),
            LdapControl::PasswordPolicyRequest { criticality: true } => {
                return Err(unknown_control("1.3.6.1.4.1.42.2.27.8.5.1"));
            }
            _ => {}
        }
    }
    Ok(controls)
}
