//! Everything that the weekend could change, as it is at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lab_support::{DOMAIN, wait_for};
use crate::world::{Weekend, tree};

/// Of each service: name, state, start type, whether an automatic start is delayed.
type Services = Vec<(String, String, String, bool)>;
/// Each table of a database: its rows, in words.
type Tables = BTreeMap<String, BTreeSet<String>>;
/// By object and attribute: the values.
pub type Directory = BTreeMap<(String, String), BTreeSet<String>>;

/// The hosts whose services the weekend could change.
const HOSTS: [&str; 5] = ["gc01", "gc02", "pc01", "pc02", "fe01"];
/// The hosts whose files it could change.
const FILES: [&str; 4] = ["gc01", "gc02", "fs01", "fe01"];
/// What changes with every write, and what is never replicated: each domain controller's own.
const VOLATILE: [&str; 9] = [
    "uSNChanged",
    "whenChanged",
    "uSNCreated",
    "dSCorePropagationData",
    "badPasswordTime",
    "badPwdCount",
    "lastLogoff",
    "lastLogon",
    "logonCount",
];

/// The world at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// By host.
    pub services: BTreeMap<&'static str, Services>,
    /// The whole domain and its configuration.
    pub directory: Directory,
    /// The old database.
    pub legacy: Tables,
    /// The new one.
    pub chat: Tables,
    /// By host.
    pub files: BTreeMap<&'static str, BTreeMap<PathBuf, Vec<u8>>>,
}

impl World {
    /// As it is now, when both domain controllers hold the same.
    pub fn now(weekend: &Weekend) -> Self {
        let mut directory = Directory::new();
        wait_for("both domain controllers to hold the same", || {
            directory = read(weekend, "dc1");
            directory == read(weekend, "dc2")
        });
        let database = |name: &str| tables(&weekend.lab.dir().join("world/files/sql01/sql/RTC").join(name));
        World {
            services: HOSTS.into_iter().map(|host| (host, services(weekend, host))).collect(),
            directory,
            legacy: database("groupchat.sqlite"),
            chat: database("mgc.sqlite"),
            files: FILES.into_iter().map(|host| (host, tree(&weekend.lab.dir().join("world/files").join(host)))).collect(),
        }
    }

    /// The objects and attributes in which two directories differ.
    pub fn differences(&self, other: &World) -> Vec<(String, String)> {
        let keys: BTreeSet<_> = self.directory.keys().chain(other.directory.keys()).collect();
        keys.into_iter().filter(|key| self.directory.get(key) != other.directory.get(key)).cloned().collect()
    }
}

/// A host's services, all of them.
pub fn services(weekend: &Weekend, host: &str) -> Services {
    let path = weekend.lab.dir().join("world/machines").join(format!("{host}.json"));
    let machine: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let delays = machine["services"].as_array().unwrap().iter().map(|service| service["delayed"].as_bool().unwrap());
    weekend.services(host, "").into_iter().zip(delays).map(|((name, state, start), delay)| (name, state, start, delay)).collect()
}

fn read(weekend: &Weekend, dc: &str) -> Directory {
    let mut all = Directory::new();
    for base in [DOMAIN.to_owned(), format!("CN=Configuration,{DOMAIN}")] {
        let paged = ["-E", "pr=500/noprompt", "-b", &base, "*", "nTSecurityDescriptor"];
        let said = weekend.lab.search(dc, &paged).exits(0);
        let mut dn = String::new();
        for line in said.out.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name == "dn" {
                value.trim().clone_into(&mut dn);
            } else if !name.starts_with('#') && !VOLATILE.contains(&name) {
                all.entry((dn.clone(), name.to_owned())).or_default().insert(value.trim().to_owned());
            }
        }
    }
    assert!(all.len() > 1000, "{dc} shows {} values", all.len());
    all
}

fn tables(file: &Path) -> Tables {
    let open = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut names = open.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let rows = |name: &String| {
        let mut select = open.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
        let columns = select.column_count();
        let words = |row: &rusqlite::Row<'_>| {
            let values = (0..columns).map(|at| row.get_ref(at).map(|value| format!("{value:?}")));
            values.collect::<Result<Vec<_>, _>>().map(|values| values.join("|"))
        };
        select.query_map([], words).unwrap().map(Result::unwrap).collect()
    };
    assert!(!names.is_empty(), "{}", file.display());
    names.iter().map(|name| (name.clone(), rows(name))).collect()
}
