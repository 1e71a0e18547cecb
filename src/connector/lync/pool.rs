//! `lync.pool.check`: whether a Persistent Chat pool is one that the data may be moved to, and what the steps after it need to
//! know of it.

use async_trait::async_trait;
use serde_json::{Map, json};

use super::cs::{self, Checked, shown, word, words};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::plan::ActionSpec;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Finding, Observation};
use crate::run::event::Outcome;

/// Lync Server 2013, as `Version` counts. Convention, not documentation.
const LYNC_2013: u32 = 6;

/// The action.
#[derive(Debug)]
pub struct PoolCheck;

struct Args {
    pool: String,
    legacy_pool: Option<String>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let legacy = args::text(call, "legacy_pool")?.map(|text| cs::parse_fqdn(&text, "legacy_pool")).transpose()?;
        Ok(Args { pool: cs::fqdn(call, "pool")?, legacy_pool: legacy })
    }
}

/// What was read, each list whole.
#[derive(Debug, Default)]
struct Topology {
    servers: Vec<Value>,
    databases: Vec<Value>,
    file_stores: Vec<Value>,
    states: Vec<Value>,
    /// `Get-CsPool` of the pool, for its computers.
    pools: Vec<Value>,
    /// Pools of trusted applications: Group Chat 2010 is one. Read only if a legacy pool is named.
    trusted: Vec<Value>,
}

fn service(kind: &str) -> Command {
    Command::new("Get-CsService").switch(kind)
}

fn of_pool(pool: &str) -> Command {
    Command::new("Get-CsPool").parameter("Identity", pool)
}

async fn read(session: &mut Session, args: &Args) -> Result<Topology, NoAnswer> {
    let servers = cs::read(session, service("PersistentChatServer")).await?;
    let is_known = find(&servers, "PoolFqdn", &args.pool).is_some();
    Ok(Topology {
        servers,
        databases: cs::read(session, service("PersistentChatDatabase")).await?,
        file_stores: cs::read(session, service("FileStore")).await?,
        states: cs::read(session, Command::new("Get-CsPersistentChatState")).await?,
        // One that is not there is an error, and is told better without it.
        pools: if is_known { cs::read(session, of_pool(&args.pool)).await? } else { Vec::new() },
        trusted: match &args.legacy_pool {
            Some(_) => cs::read(session, Command::new("Get-CsTrustedApplicationPool")).await?,
            None => Vec::new(),
        },
    })
}

fn find<'v>(objects: &'v [Value], property: &str, wanted: &str) -> Option<&'v Value> {
    objects.iter().find(|object| word(object, property).is_some_and(|own| own.eq_ignore_ascii_case(wanted)))
}

/// The name behind the kind: `Registrar:fe01.contoso.com`.
fn bare(identity: &str) -> &str {
    identity.split_once(':').map_or(identity, |(_, name)| name)
}

fn judge(args: &Args, seen: &Topology) -> Checked {
    let Some(server) = find(&seen.servers, "PoolFqdn", &args.pool) else {
        let known: Vec<String> =
            seen.servers.iter().filter_map(|server| word(server, "PoolFqdn")).map(|name| shown(&name)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let seen = format!("`{}` is no Persistent Chat pool of this topology; there are: {known}", args.pool);
        return Checked { holds: false, seen, outputs: Map::new() };
    };
    let mut wrong = Vec::new();
    let active = words(server, "ActiveServers");
    let mut servers =
        find(&seen.pools, "Fqdn", &args.pool).or(seen.pools.first()).map(|pool| words(pool, "Computers")).unwrap_or_default();
    for name in active.iter().chain(&words(server, "InactiveServers")) {
        if !servers.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            servers.push(name.clone());
        }
    }
    if servers.is_empty() {
        wrong.push("it has no servers".to_owned());
    }
    let next_hop = word(server, "Registrar").map(|registrar| bare(&registrar).to_ascii_lowercase());
    match &next_hop {
        None => wrong.push("it has no next hop".to_owned()),
        Some(registrar) if *registrar == args.pool => wrong.push(
            "it lives on a Standard Edition server, together with its next hop; a move from Group Chat to such a pool is not \
             supported"
                .to_owned(),
        ),
        Some(_) => {}
    }
    let database = word(server, "PersistentChatDatabase").and_then(|identity| find(&seen.databases, "Identity", &identity));
    let database_host = database.and_then(|database| word(database, "PoolFqdn")).map(|host| host.to_ascii_lowercase());
    let instance = database.and_then(|database| word(database, "SqlInstanceName")).unwrap_or_default();
    if database_host.is_none() {
        wrong.push("its database is not told".to_owned());
    }
    let file_store = word(server, "FileStore").and_then(|identity| find(&seen.file_stores, "Identity", &identity));
    let file_store = file_store.and_then(|store| word(store, "UncPath"));
    if file_store.is_none() {
        wrong.push("its file store is not told".to_owned());
    }
    let version = word(server, "Version");
    match version.as_deref().map(|text| (text, text.split('.').next().and_then(|major| major.parse::<u32>().ok()))) {
        Some((_, Some(major))) if major >= LYNC_2013 => {}
        Some((text, _)) => {
            wrong.push(format!("its version is `{}`, not that of Lync Server 2013 ({LYNC_2013}) or later", shown(text)));
        }
        None => wrong.push("its version is not told".to_owned()),
    }
    let is_ours =
        |state: &&Value| word(state, "Identity").is_some_and(|identity| bare(&identity).eq_ignore_ascii_case(&args.pool));
    let state = seen.states.iter().find(is_ours).and_then(|state| word(state, "PoolState"));
    match state.as_deref() {
        Some(text) if text.eq_ignore_ascii_case("Normal") => {}
        Some(text) => wrong.push(format!("its state is `{}`, not `Normal`", shown(text))),
        None => wrong.push("its state is not told".to_owned()),
    }
    let mut notes = Vec::new();
    if let Some(legacy) = &args.legacy_pool {
        if *legacy == args.pool {
            wrong.push("it is named as the pool to move from, too".to_owned());
        } else if find(&seen.trusted, "PoolFqdn", legacy).is_none() {
            wrong.push(format!("`{legacy}` is no pool of trusted applications, as one of Group Chat 2010 is"));
        }
        let others: Vec<String> = seen.servers.iter().filter_map(|server| word(server, "PoolFqdn")).collect();
        let others: Vec<String> =
            others.iter().filter(|name| !name.eq_ignore_ascii_case(&args.pool)).map(|name| shown(name)).collect();
        if !others.is_empty() {
            notes.push(format!("a legacy pool moves to exactly one pool; there are others: {}", others.join(", ")));
        }
    }
    let db_instance =
        database_host.as_ref().map(|host| if instance.is_empty() { host.clone() } else { format!("{host}\\{instance}") });
    let told = |text: &Option<String>| text.as_deref().map_or_else(|| "unknown".to_owned(), shown);
    let facts = format!(
        "`{}`: servers {}; next hop {}; database {}; file store {}; version {}; {}",
        args.pool,
        servers.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", "),
        told(&next_hop),
        told(&db_instance),
        told(&file_store),
        told(&version),
        told(&state),
    );
    let seen = wrong.iter().chain(&notes).fold(String::new(), |text, line| format!("{text}{line}; ")) + &facts;
    let outputs = Map::from_iter([
        ("servers".to_owned(), json!(servers)),
        ("active_servers".to_owned(), json!(active)),
        ("next_hop".to_owned(), json!(next_hop)),
        ("database_host".to_owned(), json!(database_host)),
        ("sql_instance".to_owned(), json!(instance)),
        ("db_instance".to_owned(), json!(db_instance)),
        ("file_store".to_owned(), json!(file_store)),
        ("version".to_owned(), json!(version)),
        ("state".to_owned(), json!(state)),
    ]);
    Checked { holds: wrong.is_empty(), seen, outputs }
}

async fn check(hosts: &Hosts, call: &Call) -> Result<Checked, NoAnswer> {
    let args = Args::read(call)?;
    let mut session = hosts.look(call).await?;
    let seen = read(&mut session, &args).await;
    session.close().await;
    Ok(judge(&args, &seen?))
}

#[async_trait]
impl Action for PoolCheck {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.pool.check",
            doc: "fails unless the pool is one that Group Chat may be moved to; gives what later steps need of it",
            args: vec![
                args::required("host", ArgType::Host, "the remote PowerShell of a Front End"),
                args::required("pool", ArgType::String, "the Persistent Chat pool, fully qualified"),
                args::optional("legacy_pool", ArgType::String, "the Group Chat pool to move from, fully qualified"),
            ],
            one_of: Vec::new(),
            effect: Effect::Read,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: vec![
                "servers",
                "active_servers",
                "next_hop",
                "database_host",
                "sql_instance",
                "db_instance",
                "file_store",
                "version",
                "state",
            ],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        check(hosts, call).await.err().map(NoAnswer::finding).into_iter().collect()
    }

    async fn describe(&self, _hosts: &Hosts, call: &Call) -> Description {
        match Args::read(call) {
            Err(why) => cs::not_described(&why),
            Ok(args) => cs::described(vec![format!("look at the Persistent Chat pool `{}`", args.pool)], Map::new()),
        }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        cs::observe(check(hosts, call).await)
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match Args::read(call) {
            Err(why) => vec![format!("# {why}")],
            Ok(args) => {
                let kinds = ["PersistentChatServer", "PersistentChatDatabase", "FileStore"];
                let mut commands: Vec<Command> = kinds.into_iter().map(service).collect();
                commands.extend([of_pool(&args.pool), Command::new("Get-CsPersistentChatState")]);
                commands.iter().map(by_hand::line).collect()
            }
        }
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        cs::conclude(check(hosts, call).await)
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(pairs: &[(&str, &str)]) -> Value {
        Value::custom(pairs.iter().map(|(name, value)| (*name, Value::from(*value))))
    }

    fn topology(registrar: &str, version: &str, state: &str, instance: &str) -> Topology {
        Topology {
            servers: vec![object(&[
                ("PoolFqdn", "PCPool.contoso.com"),
                ("Registrar", registrar),
                ("Version", version),
                ("PersistentChatDatabase", "PersistentChatDatabase:sql13.contoso.com"),
                ("FileStore", "FileStore:fs01.contoso.com"),
            ])],
            databases: vec![object(&[
                ("Identity", "PersistentChatDatabase:sql13.contoso.com"),
                ("PoolFqdn", "SQL13.contoso.com"),
                ("SqlInstanceName", instance),
            ])],
            file_stores: vec![object(&[("Identity", "FileStore:fs01.contoso.com"), ("UncPath", "\\\\fs01\\share")])],
            states: vec![object(&[("Identity", "PersistentChatServer:pcpool.contoso.com"), ("PoolState", state)])],
            pools: vec![Value::custom([
                ("Fqdn", Value::from("pcpool.contoso.com")),
                ("Computers", Value::list(["pc01.contoso.com", "pc02.contoso.com"])),
            ])],
            trusted: vec![object(&[("PoolFqdn", "gcpool.contoso.com")])],
        }
    }

    fn args() -> Args {
        Args { pool: "pcpool.contoso.com".to_owned(), legacy_pool: Some("gcpool.contoso.com".to_owned()) }
    }

    #[test]
    fn a_good_pool_gives_what_later_steps_need() {
        let checked = judge(&args(), &topology("Registrar:fepool.contoso.com", "6", "Normal", "RTC"));
        assert!(checked.holds, "{}", checked.seen);
        let outputs = &checked.outputs;
        assert_eq!(outputs["servers"], json!(["pc01.contoso.com", "pc02.contoso.com"]));
        assert_eq!((&outputs["database_host"], &outputs["sql_instance"]), (&json!("sql13.contoso.com"), &json!("RTC")));
        assert_eq!(
            (&outputs["db_instance"], &outputs["file_store"]),
            (&json!("sql13.contoso.com\\RTC"), &json!("\\\\fs01\\share"))
        );
        // No backslash is left behind by a default instance.
        let checked = judge(&args(), &topology("Registrar:fepool.contoso.com", "6", "Normal", ""));
        assert_eq!(checked.outputs["db_instance"], json!("sql13.contoso.com"));
    }

    #[test]
    fn a_standard_edition_an_old_version_and_a_pool_that_failed_over_are_refused() {
        let refused = |topology: Topology, why: &str| {
            let checked = judge(&args(), &topology);
            assert!(!checked.holds && checked.seen.contains(why), "{why}: {}", checked.seen);
        };
        refused(topology("Registrar:pcpool.contoso.com", "6", "Normal", ""), "Standard Edition");
        refused(topology("Registrar:fe.contoso.com", "5", "Normal", ""), "version is `5`");
        refused(topology("Registrar:fe.contoso.com", "6", "FailedOver", ""), "`FailedOver`");
        refused(topology("", "6", "Normal", ""), "no next hop");
        let mut without = topology("Registrar:fe.contoso.com", "6", "Normal", "");
        without.trusted.clear();
        refused(without, "gcpool.contoso.com");
        refused(Topology::default(), "no Persistent Chat pool");
    }
}
