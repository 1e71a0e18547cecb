//! The domain controllers, from the directory itself.
//!
//! Every domain controller has a settings object (class `nTDSDSA`) below its server object in the Sites container
//! (\[MS-ADTS\] section 6.1.1.2.2.1.2.1). A server object without one is a server that was demoted.

use super::dn::{Address, Dn};
use super::filter::Filter;
use super::guid::Guid;
use super::session::{Deleted, ReadError, Scope, Session};

/// In `options` of the settings object: it is a global catalog (\[MS-ADTS\] section 6.1.1.2.2.1.2.1.1).
const GLOBAL_CATALOG: i64 = 1;

/// One domain controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its DNS name, in lower case.
    pub host: String,
    /// The site that it is in.
    pub site: String,
    /// Whether it is a global catalog.
    pub global_catalog: bool,
    /// Whether it holds the domain of the session, and not only another one of the forest.
    pub in_domain: bool,
    /// objectGUID of its settings object.
    pub settings: Option<Guid>,
    /// Which copy of the database it has; another one after it was restored from a backup.
    pub invocation: Option<Guid>,
}

/// Which copy of the database the server of this session has; `None` where it does not say so, or not to this account.
///
/// # Errors
/// No answer.
pub async fn invocation(session: &mut Session) -> Result<Option<Guid>, ReadError> {
    let Ok(settings) = Dn::parse(&session.root().settings) else { return Ok(None) };
    let entry = match session.read(&Address::Dn(settings), &["invocationId"], Deleted::Hidden).await {
        Err(error) if error.code.is_some() => None,
        read => read?,
    };
    Ok(entry.and_then(|entry| Guid::from_bytes(entry.values("invocationId").first()?)))
}

/// All domain controllers of the forest, by name.
///
/// # Errors
/// The list could not be read whole, or one of them has no name: then nobody can say that all were asked.
pub async fn controllers(session: &mut Session) -> Result<Vec<Controller>, ReadError> {
    let wrong = |message: String| ReadError { code: None, message };
    let sites = Dn::parse(&session.root().configuration).map_err(wrong)?.child("CN", "Sites");
    let domain = Dn::parse(&session.root().domain).map_err(wrong)?;
    let asked = ["options", "objectGUID", "invocationId", "msDS-HasMasterNCs", "hasMasterNCs", "msDS-hasFullReplicaNCs"];
    let is_settings = Filter::equal("objectClass", "nTDSDSA");
    let mut found = Vec::new();
    for entry in session.search(&Address::Dn(sites), Scope::Subtree, &is_settings, &asked, Deleted::Hidden).await? {
        let server =
            entry.name().map_err(wrong)?.parent().ok_or_else(|| wrong("a domain controller has no server".to_owned()))?;
        let site = server.parent().and_then(|servers| servers.parent());
        let named = session.read(&Address::Dn(server.clone()), &["dNSHostName"], Deleted::Hidden).await?;
        let Some(host) = named.as_ref().and_then(|server| server.text("dNSHostName")) else {
            let name = server.name().unwrap_or_default().to_owned();
            let name = crate::foreign::one_line(&name, 80);
            return Err(wrong(format!("the domain controller `{name}` has no DNS name in the directory")));
        };
        let holds = ["msDS-HasMasterNCs", "hasMasterNCs", "msDS-hasFullReplicaNCs"];
        let in_domain =
            holds.iter().flat_map(|name| entry.texts(name)).any(|held| Dn::parse(held).is_ok_and(|held| held == domain));
        found.push(Controller {
            host: host.to_ascii_lowercase(),
            site: site.as_ref().and_then(Dn::name).unwrap_or_default().to_owned(),
            global_catalog: entry.number("options").unwrap_or_default() & GLOBAL_CATALOG != 0,
            in_domain,
            settings: entry.guid(),
            invocation: entry.values("invocationId").first().and_then(|bytes| Guid::from_bytes(bytes)),
        });
    }
    found.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(found)
}
