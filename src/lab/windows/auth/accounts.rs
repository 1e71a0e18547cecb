//! The lab's accounts, by every name that Windows takes for them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::seal::same;
use super::{Accounts, Refused};
use crate::lab::contoso::ACCOUNTS;
use crate::lab::directory::well_known::{NETBIOS, REALM};
use crate::lab::files::Files;
use crate::secret::Secret;

/// The accounts whose passwords are in the lab's folder.
#[derive(Debug, Clone)]
pub struct LabAccounts(pub Files);

impl Accounts for LabAccounts {
    fn find(&self, name: &str) -> Option<(String, Secret)> {
        let is_domain = |domain: &str| domain.eq_ignore_ascii_case(NETBIOS) || domain.eq_ignore_ascii_case(REALM);
        let user = if let Some((domain, user)) = name.split_once('\\') {
            Some(user).filter(|_| is_domain(domain))?
        } else if let Some((user, realm)) = name.rsplit_once('@') {
            Some(user).filter(|_| is_domain(realm))?
        } else {
            name
        };
        let (account, _) = ACCOUNTS.iter().find(|(account, _)| account.eq_ignore_ascii_case(user))?;
        let password = std::fs::read_to_string(self.0.password(account)).ok()?;
        Some((format!("{NETBIOS}\\{account}"), Secret::new(password.trim_end().to_owned())))
    }
}

/// Checks what stands behind `Basic` (RFC 7617). Gives the account's name.
pub fn basic(value: &str, accounts: &dyn Accounts) -> Result<String, Refused> {
    let bytes = STANDARD.decode(value.trim()).map_err(|_| Refused::new("Basic: not in base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| Refused::new("Basic: not UTF-8"))?;
    let (name, password) = text.split_once(':').ok_or_else(|| Refused::new("Basic: no password"))?;
    let refused = |why: &str| Refused { why: why.to_owned(), account: Some(name.to_owned()) };
    let (account, right) = accounts.find(name).ok_or_else(|| refused("Basic: no such account"))?;
    if same(right.reveal().as_bytes(), password.as_bytes()) { Ok(account) } else { Err(refused("Basic: the password is wrong")) }
}
