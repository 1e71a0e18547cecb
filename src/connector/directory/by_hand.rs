//! The commands that a person would type: `ldapsearch` and its siblings, and the cmdlets of the module `ActiveDirectory`.

use super::guid::Guid;
use super::session::Server;
use super::target::{Bind, Target};

/// For a POSIX shell: in quotes, whatever it holds.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// For PowerShell.
#[must_use]
pub fn quoted_for_powershell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// How the tools of `ldap-utils` reach a server. The password is asked for.
#[must_use]
pub fn connection(target: &Target, server: &Server) -> String {
    let host = host(target, server);
    let (scheme, tls) = if target.url.start_tls { ("ldap", " -ZZ") } else { ("ldaps", "") };
    let bind = match &target.bind {
        Bind::Simple { user, .. } => format!("-x -D {} -W", quoted(user)),
        Bind::Kerberos => "-Y GSSAPI -O maxssf=0".to_owned(),
    };
    format!("-H {scheme}://{host}:{}{tls} {bind}", target.url.port)
}

/// The server's name.
#[must_use]
pub fn host(target: &Target, server: &Server) -> String {
    match server {
        Server::Url => target.url.host.clone(),
        Server::Host(host) | Server::GlobalCatalog(host) => host.clone(),
    }
}

/// Names the authority, if it is not one of the system's.
#[must_use]
pub fn authority(target: &Target) -> Option<String> {
    target.ca.as_ref().map(|ca| format!("export LDAPTLS_CACERT={}", quoted(&ca.display().to_string())))
}

/// Looks at an object by its identity, living or deleted.
#[must_use]
pub fn look(target: &Target, server: &Server, guid: Guid) -> String {
    format!(
        "ldapsearch {} -LLL -o ldif-wrap=no -b '<GUID={guid}>' -s base -E '!showDeleted' '(objectClass=*)' \
         isDeleted whenChanged lastKnownParent objectSid",
        connection(target, server)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_be_left() {
        assert_eq!(quoted("O'Brien; rm -rf /"), r"'O'\''Brien; rm -rf /'");
        assert_eq!(quoted_for_powershell("O'Brien; Stop-Computer"), "'O''Brien; Stop-Computer'");
    }
}
