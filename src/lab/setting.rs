//! What a person sets in a world: mistakes and circumstances that neither a fault nor a client of the lab could bring about.
//! Part of the world like everything else: a reset ends them.

use serde::{Deserialize, Serialize};

use super::files::Trouble;
use super::lync::chat::faults;
use super::windows::machine::same;
use super::windows::sql::Instance;
use super::windows::sql::error::SqlError;
use super::world::{World, now};
use crate::time::Span;

/// Something that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Setting {
    /// The global Persistent Chat policy allows its use, or not.
    Policy {
        /// Whether it does.
        on: bool,
    },
    /// How often the Front Ends read the directory.
    UserReplicator {
        /// How often.
        every: Span,
    },
    /// A service has another short name.
    ServiceName {
        /// Its host.
        host: String,
        /// The name that it has.
        service: String,
        /// The one that it gets.
        name: String,
    },
    /// A service takes its time to start and to stop.
    ServiceDelay {
        /// Its host.
        host: String,
        /// Its short name.
        service: String,
        /// How long.
        delay: Span,
    },
    /// How much all backups of an instance may take together.
    SqlSpace {
        /// The host and the instance: `sql01\RTC`.
        instance: String,
        /// In bytes.
        bytes: u64,
    },
    /// The next backups or restores of an instance go wrong.
    SqlFault {
        /// The host and the instance: `sql01\RTC`.
        instance: String,
        /// One of [`SQL_FAULTS`].
        fault: String,
        /// How many.
        times: u32,
    },
    /// Something is the matter with the chat rooms that are to be moved.
    ChatData {
        /// What.
        mistake: ChatMistake,
        /// How many rooms or people.
        count: u32,
    },
    /// Every import loses its connection to the database after so many rooms; zero ends that.
    ImportStopsAfter {
        /// After how many.
        rooms: u64,
    },
}

/// What can be the matter with chat rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatMistake {
    /// The new database has rooms of the same names.
    Conflicts,
    /// Rooms in nested categories have names that get too long by the move.
    LongNames,
    /// Members of rooms whom no directory knows.
    Strangers,
}

/// The host of the databases between which chat rooms move.
const CHAT_SQL: &str = "sql01";

/// How a backup or a restore can go wrong.
pub const SQL_FAULTS: [&str; 3] = ["backup-breaks-off", "backup-leaves-half", "restore-breaks-off"];

/// Sets it. It is on disk when this returns.
///
/// # Errors
/// There is nothing of that name, or it cannot be written.
pub fn apply(world: &mut World, setting: &Setting) -> Result<(), Trouble> {
    match setting {
        Setting::Policy { on } => {
            let global = world.deployment.policies.iter_mut().find(|policy| policy.identity == "Global");
            let global = global.ok_or_else(|| Trouble::new("the lab's Lync has no global Persistent Chat policy"))?;
            global.enabled = *on;
            world.deployment.published_at = now();
            world.save_deployment()
        }
        Setting::UserReplicator { every } => {
            world.deployment.replicator.every_ms = milliseconds(*every);
            world.save_deployment()
        }
        Setting::ServiceName { host, service, name } => {
            let (machine, index) = find(world, host, service)?;
            if world.machines[machine].service(name).is_some() {
                return Err(Trouble::new(format!("{host} has a service `{name}` already")));
            }
            let machine = &mut world.machines[machine];
            let old = std::mem::replace(&mut machine.services[index].name, name.clone());
            // Whatever needs it still does.
            let needed = machine.services.iter_mut().flat_map(|service| &mut service.depends_on);
            needed.filter(|needed| same(needed, &old)).for_each(|needed| needed.clone_from(name));
            world.save_machine(host)
        }
        Setting::ServiceDelay { host, service, delay } => {
            let (machine, index) = find(world, host, service)?;
            world.machines[machine].services[index].slow_ms = u32::try_from(milliseconds(*delay)).unwrap_or(u32::MAX);
            world.save_machine(host)
        }
        Setting::SqlSpace { instance, bytes } => of_sql(database(world, instance)?.set_room(*bytes)),
        Setting::SqlFault { instance, fault, times } => {
            if !SQL_FAULTS.contains(&fault.as_str()) {
                let hint = format!("there are {}", SQL_FAULTS.join(", "));
                return Err(Trouble::new(format!("`{fault}` is nothing that goes wrong in the lab's SQL Server")).hint(hint));
            }
            of_sql(database(world, instance)?.set_fault(fault, *times))
        }
        Setting::ChatData { mistake, count } => {
            let sql = &world.machines[host(world, CHAT_SQL)?];
            let made = match mistake {
                ChatMistake::Conflicts => faults::conflicts(sql, *count).map(|names| names.len()),
                ChatMistake::LongNames => faults::too_long(sql, *count),
                ChatMistake::Strangers => faults::unprovisioned(sql, *count).map(|made| made as usize),
            };
            match of_sql(made)? {
                made if made == *count as usize => Ok(()),
                made => Err(Trouble::new(format!("only {made} of {count} could be made"))),
            }
        }
        Setting::ImportStopsAfter { rooms } => {
            let sql = &world.machines[host(world, CHAT_SQL)?];
            of_sql(faults::import_stops_after(sql, Some(*rooms).filter(|rooms| *rooms > 0)))
        }
    }
}

fn milliseconds(span: Span) -> i64 {
    i64::try_from(span.to_std().as_millis()).unwrap_or(i64::MAX)
}

fn host(world: &World, name: &str) -> Result<usize, Trouble> {
    let found = world.machines.iter().position(|machine| machine.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = world.machines.iter().map(|machine| machine.name.as_str()).collect();
        Trouble::new(format!("the lab has no host `{name}`")).hint(format!("there are {}", names.join(", ")))
    })
}

fn find(world: &World, name: &str, service: &str) -> Result<(usize, usize), Trouble> {
    let place = host(world, name)?;
    let machine = &world.machines[place];
    let index = machine.service(service).ok_or_else(|| {
        let names: Vec<&str> = machine.services.iter().map(|service| service.name.as_str()).collect();
        Trouble::new(format!("{name} has no service `{service}`")).hint(format!("there are {}", names.join(", ")))
    })?;
    Ok((place, index))
}

fn database(world: &World, text: &str) -> Result<Instance, Trouble> {
    let Some((name, instance)) = text.split_once('\\') else {
        return Err(Trouble::new(format!("`{text}` is no instance of SQL Server")).hint("such as `sql01\\RTC`"));
    };
    let machine = &world.machines[host(world, name)?];
    of_sql(Instance::find(machine, instance))
}

fn of_sql<T>(result: Result<T, SqlError>) -> Result<T, Trouble> {
    result.map_err(|error| Trouble::new(format!("the lab's SQL Server: {}", error.message)))
}
