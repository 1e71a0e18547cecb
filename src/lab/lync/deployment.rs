//! What the Central Management store and the Front Ends hold, as far as a move of chat rooms meets it. Whatever changes is on
//! disk (`world/lync.json`) before anybody hears of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A deployment of Lync.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// SIP domains; the first is the default one.
    pub sip_domains: Vec<String>,
    /// Pools of Front Ends.
    pub front_ends: Vec<FrontEnds>,
    /// Pools of Persistent Chat.
    pub chat_pools: Vec<ChatPool>,
    /// File stores of the topology.
    pub file_stores: Vec<FileStore>,
    /// Pools of trusted applications: a Group Chat deployment is one.
    pub trusted_pools: Vec<TrustedPool>,
    /// What of `trusted_pools` the directory holds: the pools' names, as the last `Enable-CsTopology` left them.
    pub in_effect: Vec<String>,
    /// Persistent Chat policies, the global one first.
    pub policies: Vec<Policy>,
    /// Users with a policy of their own: by distinguished name in lower case, the policy's name.
    pub granted: BTreeMap<String, String>,
    /// When something of this was last changed in the Central Management store, in milliseconds since 1970.
    #[serde(default)]
    pub published_at: i64,
    /// When each server last had all of it, by name.
    #[serde(default)]
    pub replicated: BTreeMap<String, i64>,
    /// Roles: what the remote PowerShell lets whom do.
    pub roles: Vec<Role>,
    /// What the Front Ends have read of the directory.
    pub replicator: Replicator,
}

/// A pool of Front Ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FrontEnds {
    /// The pool's name; the server's own for a Standard Edition.
    pub fqdn: String,
    /// The site.
    pub site: String,
    /// Its servers.
    pub servers: Vec<String>,
    /// 4 for OCS 2007 R2, 5 for Lync 2010, 6 for Lync 2013.
    pub version: u32,
}

/// A pool of Persistent Chat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatPool {
    /// Its name.
    pub fqdn: String,
    /// The site.
    pub site: String,
    /// `1-PersistentChatService-2`, which its files and its own contact carry.
    pub service_id: String,
    /// Its servers.
    pub servers: Vec<String>,
    /// Those of them that take clients.
    pub active: Vec<String>,
    /// The pool of Front Ends before it.
    pub next_hop: String,
    /// The computer of its databases, fully qualified.
    pub sql_host: String,
    /// The instance there; empty for the default one.
    pub sql_instance: String,
    /// The identity of its file store: `FileStore:fs01.contoso.lan`.
    pub file_store: String,
    /// Whether it was failed over.
    pub failed_over: bool,
}

/// A file store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FileStore {
    /// The file server, fully qualified.
    pub fqdn: String,
    /// The share's name.
    pub share: String,
}

/// A pool of trusted applications.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrustedPool {
    /// Its name.
    pub fqdn: String,
    /// The pool of Front Ends before it.
    pub registrar: String,
    /// Its computers.
    pub computers: Vec<String>,
    /// Its applications: `urn:application:groupchat`.
    pub applications: Vec<String>,
}

/// A Persistent Chat policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// `Global`, `Site:Madrid`, `Tag:Traders`.
    pub identity: String,
    /// Whether its users may use Persistent Chat. Off, unless somebody turned it on.
    pub enabled: bool,
    /// For people.
    pub description: Option<String>,
}

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// `CsPersistentChatAdministrator`.
    pub name: String,
    /// The cmdlets that it allows; `*` stands for anything.
    pub cmdlets: Vec<String>,
    /// Who has it, as `CONTOSO\svc-mig`.
    pub members: Vec<String>,
}

/// The User Replicator: what the Front Ends know of the directory, and since when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Replicator {
    /// Who has which address, as it was read.
    pub known: Vec<Known>,
    /// When, in milliseconds since 1970; 0 if never.
    pub read_at: i64,
    /// How often it reads by itself, in milliseconds.
    pub every_ms: i64,
    /// Until when a read that was asked for is under way, in milliseconds since 1970.
    pub due: Option<i64>,
}

/// A holder of an address as a Front End knows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// With `sip:`, in lower case.
    pub address: String,
    /// The object's distinguished name.
    pub dn: String,
    /// The Persistent Chat pool, if it is the contact of one.
    pub chat_pool: Option<String>,
}

impl Deployment {
    /// A pool of Persistent Chat by its name, in any case.
    #[must_use]
    pub fn chat_pool(&self, fqdn: &str) -> Option<&ChatPool> {
        self.chat_pools.iter().find(|pool| pool.fqdn.eq_ignore_ascii_case(fqdn))
    }

    /// Whether an account may use a cmdlet: a role of its own allows it.
    #[must_use]
    pub fn may(&self, account: &str, cmdlet: &str) -> bool {
        self.roles_of(account).any(|role| role.allows(cmdlet))
    }

    /// The roles of an account.
    pub fn roles_of(&self, account: &str) -> impl Iterator<Item = &Role> {
        self.roles.iter().filter(move |role| role.members.iter().any(|member| member.eq_ignore_ascii_case(account)))
    }
}

impl Role {
    /// Whether it allows a cmdlet.
    #[must_use]
    pub fn allows(&self, cmdlet: &str) -> bool {
        self.cmdlets.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => cmdlet.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start)),
            None => pattern.eq_ignore_ascii_case(cmdlet),
        })
    }
}
