//! One weekend in a lab of its own: how it is run, and how the world looks before and after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::lab_support::{Lab, Said};

/// The address that legacy clients know.
pub const ADDRESS: &str = "sip:ocschat@contoso.lan";
/// Where the legacy endpoint lies.
pub const CONTACTS: &str = "CN=Application Contacts,CN=RTC Service,CN=Services,CN=Configuration,DC=contoso,DC=lan";

/// The path of a shipped plan.
pub fn plan(name: &str) -> String {
    format!("{}/plans/lync-2013/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

/// A lab, and where its runs are.
pub struct Weekend {
    /// The lab.
    pub lab: Lab,
}

impl Weekend {
    /// A fresh world.
    pub fn new() -> Self {
        Weekend { lab: Lab::new() }
    }

    /// Where runs are.
    pub fn runs(&self) -> PathBuf {
        self.lab.folder.path().join("runs")
    }

    /// Calls a verb on a shipped plan, against the world as it is.
    pub fn call(&self, verb: &str, name: &str, more: &[&str]) -> Said {
        let (plan, runs) = (plan(name), self.runs().display().to_string());
        let mut arguments = vec![verb, &plan, "--lab=keep", "--runs", &runs];
        arguments.extend_from_slice(more);
        self.lab.relevo(&arguments)
    }

    /// The weekend, unattended.
    pub fn run(&self, more: &[&str]) -> Said {
        self.call("run", "weekend", &[&["--go"], more].concat())
    }

    /// What changed something, as `host operation name`, from the audit's line `from` on.
    pub fn effects_since(&self, from: usize) -> Vec<String> {
        let all = self.lab.audit();
        let written = all.iter().skip(from).filter(|line| line["wrote"] == true);
        let word = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        written.map(|line| format!("{} {} {}", word(line, "dc"), word(line, "operation"), word(line, "name"))).collect()
    }

    /// How many effects an operation had, from the audit's line `from` on.
    pub fn count_since(&self, from: usize, operation: &str) -> usize {
        self.effects_since(from).iter().filter(|line| line.split(' ').nth(1) == Some(operation)).count()
    }

    /// The state and the start type of a host's services whose display names hold a text.
    pub fn services(&self, host: &str, text: &str) -> Vec<(String, String, String)> {
        let path = self.lab.dir().join("world/machines").join(format!("{host}.json"));
        let machine: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let word = |service: &Value, key: &str| service[key].as_str().unwrap().to_owned();
        // One that was on its way arrives by itself: the file is written by whoever changes something.
        let state = |service: &Value| match (word(service, "state").as_str(), service["due"].as_u64()) {
            ("StartPending", Some(due)) if u128::from(due) <= now => "Running".to_owned(),
            ("StopPending", Some(due)) if u128::from(due) <= now => "Stopped".to_owned(),
            (state, _) => state.to_owned(),
        };
        let all = machine["services"].as_array().unwrap().iter();
        all.filter(|service| service["display_name"].as_str().unwrap().contains(text))
            .map(|service| (word(service, "name"), state(service), word(service, "start")))
            .collect()
    }

    /// One number from a database of the instance RTC, read past the server.
    pub fn count(&self, database: &str, query: &str) -> i64 {
        let file = self.database(database);
        let open = rusqlite::Connection::open_with_flags(&file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        open.query_row(query, [], |row| row.get(0)).unwrap()
    }

    fn database(&self, name: &str) -> PathBuf {
        self.lab.dir().join("world/files/sql01/sql/RTC").join(format!("{}.sqlite", name.to_lowercase()))
    }

    /// Rooms and messages of the old database and of the new one.
    pub fn data(&self) -> [(i64, i64); 2] {
        let old = self.count("GroupChat", "SELECT COUNT(*) FROM Node WHERE nodeType = 0");
        let new = self.count("mgc", "SELECT COUNT(*) FROM tblNode WHERE nodeType = 0");
        [(old, self.count("GroupChat", "SELECT COUNT(*) FROM Chat")), (new, self.count("mgc", "SELECT COUNT(*) FROM tblChat"))]
    }

    /// The DNs of whoever has the address, on a domain controller, in all of the forest.
    pub fn holders(&self, dc: &str) -> Vec<String> {
        let filter = format!("(msRTCSIP-PrimaryUserAddress={ADDRESS})");
        ["DC=contoso,DC=lan", CONTACTS]
            .into_iter()
            .flat_map(|base| self.lab.search(dc, &["-b", base, &filter, "dn"]).exits(0).dns())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// That everything is as it must be on Monday.
    #[track_caller]
    pub fn assert_monday(&self) {
        self.assert_moved();
        for dc in ["dc1", "dc2"] {
            let holders = self.holders(dc);
            assert!(holders.len() == 1 && holders[0].starts_with("CN={") && holders[0].ends_with(CONTACTS), "{dc}: {holders:?}");
        }
    }

    /// [`Weekend::assert_monday`] without the directory: the world's files tell it, and the lab may be down.
    #[track_caller]
    pub fn assert_moved(&self) {
        for host in ["gc01", "gc02"] {
            let services = self.services(host, "Group Chat");
            assert!(services.len() >= 2);
            assert!(services.iter().all(|(_, state, start)| state == "Stopped" && start == "Disabled"), "{host}: {services:?}");
        }
        for host in ["pc01", "pc02"] {
            let services = self.services(host, "Persistent Chat");
            assert!(!services.is_empty() && services.iter().all(|(_, state, _)| state == "Running"), "{host}: {services:?}");
        }
        let [old, new] = self.data();
        assert_eq!(old, new, "rooms and messages");
        let files = self.lab.dir().join("world/files");
        let (source, copy) = (tree(&files.join("gc01/D/GroupChatFiles")), tree(&files.join("fs01/D/LyncShare/GroupChatFiles")));
        assert!(source.len() > 100 && source == copy, "{} files, {} copied", source.len(), copy.len());
    }

    /// That nothing was done twice since the audit's line `from`.
    #[track_caller]
    pub fn assert_each_once(&self, from: usize) {
        let all = self.effects_since(from);
        for (operation, times) in
            [("delete", 1), ("New-CsPersistentChatEndpoint", 1), ("Backup-SqlDatabase", 2), ("Import-CsPersistentChatData", 1)]
        {
            assert_eq!(self.count_since(from, operation), times, "{operation}: {all:#?}");
        }
        for operation in ["Stop-Service", "Set-Service"] {
            let mut names: Vec<&String> = all.iter().filter(|line| line.split(' ').nth(1) == Some(operation)).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{operation} twice: {all:#?}");
        }
    }
}

/// Every file below a folder by its path in it, with its bytes.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(folder).unwrap().to_owned(), std::fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}
