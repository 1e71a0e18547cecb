//! The deployment of a fresh world: one pool of Front Ends, a Persistent Chat pool that is to take over, another that has
//! work of its own, and a Group Chat pool that is to go.

use crate::lab::kind::Kind;

use super::deployment::{ChatPool, Deployment, FileStore, FrontEnds, Policy, Replicator, Role, TrustedPool};

/// The pool of Front Ends.
pub const FRONT_ENDS: &str = "pool01.contoso.lan";
/// The pool of Front Ends of the deployment to move from. The topology knows it; its servers are none of the lab's.
pub const OLD_FRONT_ENDS: &str = "oldpool.contoso.lan";
/// The Persistent Chat pool to move to.
pub const CHAT_POOL: &str = "pcpool.contoso.lan";
/// Another Persistent Chat pool.
pub const OTHER_CHAT_POOL: &str = "pcpool2.contoso.lan";
/// The Group Chat pool to move from.
pub const LEGACY_POOL: &str = "gcpool.contoso.lan";
/// The address that legacy clients know.
pub const LEGACY_ADDRESS: &str = "sip:ocschat@contoso.lan";

/// Somebody with a SIP address, who is in rooms.
pub const SIP_USER: &str = "sip:aruiz@contoso.lan";

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

/// What every administrator may look at.
const LOOKS: [&str; 6] = ["Get-CsService", "Get-CsPool", "Get-CsComputer", "Get-CsSite", "Get-CsSipDomain", "Get-CsAdminRole*"];

/// The roles that Lync brings, and who has them. Which cmdlets a role has is documented for a few of them only; the rest is
/// what its description says. What nothing says of any other role is for `CsAdministrator` alone.
fn roles() -> Vec<Role> {
    let role = |name: &str, cmdlets: &[&str], members: &[&str]| Role {
        name: name.to_owned(),
        cmdlets: texts(cmdlets),
        members: texts(members),
    };
    let and = |own: &[&'static str]| [own, LOOKS.as_slice()].concat();
    let chat = and(&[
        "Get-CsPersistentChat*",
        "New-CsPersistentChatRoom",
        "Set-CsPersistentChatRoom",
        "Remove-CsPersistentChatRoom",
        "Clear-CsPersistentChatRoom",
        "New-CsPersistentChatCategory",
        "Set-CsPersistentChatCategory",
        "Remove-CsPersistentChatCategory",
        "Remove-CsPersistentChatMessage",
        "Export-CsPersistentChatData",
        "Import-CsPersistentChatData",
    ]);
    let server = and(&[
        "Get-CsWindowsService",
        "Start-CsWindowsService",
        "Stop-CsWindowsService",
        "Get-CsTopology",
        "Get-CsManagementStoreReplicationStatus",
        "Invoke-CsManagementStoreReplication",
    ]);
    let user = and(&[
        "Get-CsUser",
        "Get-CsAdUser",
        "Enable-CsUser",
        "Disable-CsUser",
        "Get-CsPersistentChatPolicy",
        "New-CsPersistentChatPolicy",
        "Set-CsPersistentChatPolicy",
        "Remove-CsPersistentChatPolicy",
        "Grant-CsPersistentChatPolicy",
    ]);
    vec![
        role("CsAdministrator", &["*"], &["CONTOSO\\Administrator", "CONTOSO\\svc-mig"]),
        role("CsPersistentChatAdministrator", &chat, &["CONTOSO\\svc-mig"]),
        role("CsServerAdministrator", &server, &[]),
        role("CsUserAdministrator", &user, &[]),
        role("CsViewOnlyAdministrator", &["Get-Cs*"], &["CONTOSO\\svc-reader"]),
        role("CsHelpDesk", &and(&["Get-CsUser", "Get-CsAdUser", "Get-CsPersistentChatPolicy"]), &[]),
    ]
}

/// The deployment, as it is at the beginning.
#[must_use]
pub fn deployment() -> Deployment {
    deployment_of(Kind::default())
}

/// The same in a world with that legacy deployment.
#[must_use]
pub fn deployment_of(kind: Kind) -> Deployment {
    let chat_pool = |fqdn: &str, number: u32, servers: &[&str], instance: &str| ChatPool {
        fqdn: fqdn.to_owned(),
        site: "Madrid".to_owned(),
        service_id: format!("1-PersistentChatService-{number}"),
        servers: texts(servers),
        active: texts(servers),
        next_hop: FRONT_ENDS.to_owned(),
        sql_host: "sql01.contoso.lan".to_owned(),
        sql_instance: instance.to_owned(),
        file_store: "FileStore:fs01.contoso.lan".to_owned(),
        failed_over: false,
    };
    let front_ends = |fqdn: &str, server: &str, version: u32| FrontEnds {
        fqdn: fqdn.to_owned(),
        site: "Madrid".to_owned(),
        servers: texts(&[server]),
        version,
    };
    let old = match kind {
        Kind::Lync2010 => 5,
        Kind::Ocs2007R2 => 4,
    };
    Deployment {
        sip_domains: texts(&["contoso.lan", "fabrikam.lan"]),
        front_ends: vec![front_ends(FRONT_ENDS, "fe01.contoso.lan", 6), front_ends(OLD_FRONT_ENDS, "fe00.contoso.lan", old)],
        chat_pools: vec![
            chat_pool(CHAT_POOL, 2, &["pc01.contoso.lan", "pc02.contoso.lan"], "RTC"),
            chat_pool(OTHER_CHAT_POOL, 3, &["pc03.contoso.lan"], "PCHAT2"),
        ],
        file_stores: vec![FileStore { fqdn: "fs01.contoso.lan".to_owned(), share: "LyncShare".to_owned() }],
        trusted_pools: vec![TrustedPool {
            fqdn: LEGACY_POOL.to_owned(),
            // Group Chat lives beside Front Ends of its own version.
            registrar: OLD_FRONT_ENDS.to_owned(),
            computers: texts(&["gc01.contoso.lan", "gc02.contoso.lan"]),
            applications: texts(&["urn:application:groupchat"]),
        }],
        in_effect: texts(&[LEGACY_POOL]),
        policies: vec![Policy { identity: "Global".to_owned(), enabled: true, description: None }],
        roles: roles(),
        replicator: Replicator { every_ms: 60_000, ..Replicator::default() },
        ..Deployment::default()
    }
}
