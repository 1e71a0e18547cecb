//! From an address to the server that answers there, as the Front End knows it: what the User Replicator read last, not what
//! stands in the directory now.

use super::refusal::Refusal;
use super::rooms::Database;
use crate::lab::files::Trouble;
use crate::lab::lync::deployment::{ChatPool, Deployment, Known};
use crate::lab::windows::machine::State;
use crate::lab::windows::sql::{INSTANCE, LEGACY, PERSISTENT_CHAT};
use crate::lab::world::{World, now};
use crate::sip::Uri;

/// By convention the user part of the address at which a Group Chat client begins.
const WELL_KNOWN: &str = "ocschat";
/// What an application of Group Chat is called.
const GROUP_CHAT: &str = "urn:application:groupchat";
const LOOKUP: &str = "LyncGCLookup";
const CHANNEL: &str = "LyncGCChannel";
const PERSISTENT: &str = "RTCCHAT";
/// The computer of the legacy database.
const LEGACY_SQL: &str = "sql01";

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The Lookup service of Group Chat 2010: it hands out a Channel service, and nothing else.
    Lookup,
    /// A Channel service of Group Chat 2010.
    Channel,
    /// A Persistent Chat server of 2013.
    Persistent,
}

/// Who answers, and where its rooms are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it is.
    pub kind: Kind,
    /// The server, fully qualified.
    pub server: String,
    /// The server that a client is sent to.
    pub handed_out: String,
    /// The domain of the address.
    pub domain: String,
    /// Computer, instance and name of its database.
    pub database: (String, String, &'static str),
}

impl Place {
    /// Where a client finds a server again: an address of the server's own, as trusted servers have them.
    pub fn uri(&self) -> String {
        let service = if self.kind == Kind::Persistent { "PersistentChat" } else { "GroupChat" };
        format!("sip:{}@{};gruu;opaque=srvr:{service}", self.handed_out, self.domain)
    }

    /// What it says that it is. The number is that of the communications library: 4 came with Lync 2010, 5 with 2013.
    pub fn product(&self) -> &'static str {
        match self.kind {
            Kind::Lookup => "RTCC/4.0.0.0 GroupChatLookup",
            Kind::Channel => "RTCC/4.0.0.0 GroupChat",
            Kind::Persistent => "RTCC/5.0.0.0 PersistentChat",
        }
    }
}

/// Where an INVITE leads.
///
/// # Errors
/// What the Front End read for it cannot be kept. Inside: why nobody answers.
pub fn route(world: &mut World, from: &Uri, to: &Uri) -> Result<Result<Place, Refusal>, Trouble> {
    let known = world.known()?.to_vec();
    let time = now();
    for machine in &mut world.machines {
        machine.settle(time);
    }
    Ok(find(world, &known, from, to))
}

fn find(world: &World, known: &[Known], from: &Uri, to: &Uri) -> Result<Place, Refusal> {
    let (from, address) = (from.bare(), to.bare());
    let user = known.iter().find(|one| one.address == from && one.chat_pool.is_none());
    let user = user.ok_or_else(|| Refusal::forbidden(format!("{from} is no user who may sign in here")))?;
    let deployment = &world.deployment;
    // A server's own address, as it was handed out.
    if let Some(server) = to.user.as_deref().filter(|name| name.contains('.')) {
        let pool = deployment.chat_pools.iter().find(|pool| has(&pool.servers, server));
        if let Some(pool) = pool {
            return persistent(world, pool, Some(server), user, to);
        }
        return channel(world, server, to).unwrap_or_else(|| Err(Refusal::nobody(&address)));
    }
    let mut holders = known.iter().filter(|one| one.address == address);
    let holder = holders.next().ok_or_else(|| Refusal::nobody(&address))?;
    if holders.next().is_some() {
        return Err(Refusal::several(&address));
    }
    match &holder.chat_pool {
        Some(name) => {
            let gone = || Refusal::unavailable(format!("The pool {name} of the contact {address} is not in the topology"));
            persistent(world, deployment.chat_pool(name).ok_or_else(gone)?, None, user, to)
        }
        None if to.user.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(WELL_KNOWN)) => lookup(world, to),
        None => Err(Refusal::unavailable(format!("{address} has no client here that takes calls"))),
    }
}

fn has(servers: &[String], server: &str) -> bool {
    servers.iter().any(|one| one.eq_ignore_ascii_case(server))
}

/// Whether a service runs on a server that answers.
fn runs(world: &World, server: &str, service: &str) -> bool {
    let machine = world.machines.iter().find(|machine| machine.answers_to(server));
    let machine = machine.filter(|machine| !world.faults.stopped.contains(&machine.name));
    machine.is_some_and(|machine| machine.service(service).is_some_and(|at| machine.services[at].state == State::Running))
}

/// Servers of Group Chat whose pool the topology trusts.
fn legacy_servers(deployment: &Deployment) -> impl Iterator<Item = &String> {
    let trusted = deployment.trusted_pools.iter().filter(|pool| {
        has(&deployment.in_effect, &pool.fqdn) && pool.applications.iter().any(|one| one.eq_ignore_ascii_case(GROUP_CHAT))
    });
    trusted.flat_map(|pool| &pool.computers)
}

/// The Lookup service that signed in at the address, and a Channel service that it may hand out.
fn lookup(world: &World, to: &Uri) -> Result<Place, Refusal> {
    let address = to.bare();
    let server = legacy_servers(&world.deployment).find(|server| runs(world, server, LOOKUP)).ok_or_else(|| {
        Refusal::unavailable(format!("No Lookup service of Group Chat is signed in as {address}: none of a trusted pool runs"))
    })?;
    let channel = legacy_servers(&world.deployment).find(|server| runs(world, server, CHANNEL)).ok_or_else(|| {
        Refusal::out_of_service(format!("The Lookup service on {server} knows of no Channel service that runs"))
    })?;
    reach(
        world,
        Place {
            kind: Kind::Lookup,
            server: server.clone(),
            handed_out: channel.clone(),
            domain: to.host.clone(),
            database: (LEGACY_SQL.to_owned(), INSTANCE.to_owned(), LEGACY),
        },
    )
}

/// A Channel service by its server; `None` if there is no such server.
fn channel(world: &World, server: &str, to: &Uri) -> Option<Result<Place, Refusal>> {
    let server = legacy_servers(&world.deployment).find(|one| one.eq_ignore_ascii_case(server))?;
    if !runs(world, server, CHANNEL) {
        return Some(Err(Refusal::out_of_service(format!("The Channel service on {server} does not run"))));
    }
    Some(reach(
        world,
        Place {
            kind: Kind::Channel,
            server: server.clone(),
            handed_out: server.clone(),
            domain: to.host.clone(),
            database: (LEGACY_SQL.to_owned(), INSTANCE.to_owned(), LEGACY),
        },
    ))
}

/// A server of a Persistent Chat pool: this one, or any that takes clients.
fn persistent(world: &World, pool: &ChatPool, wanted: Option<&str>, user: &Known, to: &Uri) -> Result<Place, Refusal> {
    if !is_allowed(&world.deployment, user) {
        return Err(Refusal::forbidden(format!("Persistent Chat is off in the policy of {}", user.address)));
    }
    let fits = |server: &&String| wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(server));
    let active = pool.active.iter().filter(fits);
    let server = active.into_iter().find(|server| runs(world, server, PERSISTENT)).ok_or_else(|| {
        let servers: Vec<&str> = pool.servers.iter().filter(fits).map(String::as_str).collect();
        let (pool, servers) = (&pool.fqdn, servers.join(", "));
        Refusal::out_of_service(format!("No active server of {pool} runs the service {PERSISTENT} (servers: {servers})"))
    })?;
    reach(
        world,
        Place {
            kind: Kind::Persistent,
            server: server.clone(),
            handed_out: server.clone(),
            domain: to.host.clone(),
            database: (pool.sql_host.clone(), pool.sql_instance.clone(), PERSISTENT_CHAT),
        },
    )
}

/// The place, if it reaches its database.
fn reach(world: &World, place: Place) -> Result<Place, Refusal> {
    match Database::open(world, &place) {
        Ok(_) => Ok(place),
        Err(why) => Err(Refusal::out_of_service(format!("{} does not reach its database: {why}", place.server))),
    }
}

/// Whether the policy of a user lets them use Persistent Chat: one of their own, or their site's, or the global one.
fn is_allowed(deployment: &Deployment, user: &Known) -> bool {
    let named = |identity: &str| deployment.policies.iter().find(|policy| policy.identity.eq_ignore_ascii_case(identity));
    let own = deployment.granted.get(&user.dn.to_lowercase());
    let own = own.and_then(|name| named(&format!("Tag:{name}")).or_else(|| named(name)));
    let site = || deployment.front_ends.first().and_then(|pool| named(&format!("Site:{}", pool.site)));
    own.or_else(site).or_else(|| named("Global")).is_some_and(|policy| policy.enabled)
}
