//! The embedded lab: a domain of two domain controllers in a process of its own, ordered about by the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli_support::processes::wait_for;
use crate::client::Client;
use crate::world::{Account, Mark, World, Write, sid_text};

/// A lab of its own.
pub struct Lab {
    folder: tempfile::TempDir,
    /// `host:port` as a directory's URL would have it → address and port.
    addresses: BTreeMap<String, String>,
}

impl Lab {
    /// Starts it with a fresh world.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("relevo-ad-lab-").tempdir().unwrap();
        let mut lab = Lab { folder, addresses: BTreeMap::new() };
        lab.order(&["up"]);
        let text = std::fs::read_to_string(lab.folder.path().join("targets.yaml")).unwrap();
        let targets: Value = serde_yaml::from_str(&text).unwrap();
        let addresses = targets["directories"]["contoso"]["addresses"].as_object().expect("a lab says where it answers");
        lab.addresses = addresses.iter().map(|(name, at)| (name.clone(), at.as_str().unwrap().to_owned())).collect();
        lab
    }

    fn order(&self, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relevo"));
        let output = command.arg("lab").args(words).env("RELEVO_LAB", self.folder.path()).output().unwrap();
        assert!(output.status.success(), "lab {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn dc(dc: usize) -> String {
        format!("dc{dc}")
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap_or_default()
    }

    fn wait_until_it_answers(&self, dc: usize) {
        let admin = self.admin(dc);
        wait_for(&format!("dc{dc} answers"), Duration::from_mins(1), || admin.read("", &["dnsHostName"]).is_ok());
    }
}

impl World for Lab {
    fn name(&self) -> &'static str {
        "lab"
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn base(&self) -> &'static str {
        "DC=contoso,DC=lan"
    }

    fn domain(&self) -> &'static str {
        "contoso.lan"
    }

    fn host(&self, dc: usize) -> String {
        format!("dc{dc}.contoso.lan")
    }

    fn address(&self, dc: usize) -> String {
        self.addresses[&format!("{}:636", self.host(dc))].clone()
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn password_file(&self) -> PathBuf {
        self.folder.path().join("svc-mig.password")
    }

    fn admin(&self, dc: usize) -> Client {
        Client {
            url: format!("ldaps://{}", self.address(dc)),
            ca: self.ca(),
            user: "Administrator@contoso.lan".to_owned(),
            password_file: self.folder.path().join("Administrator.password"),
        }
    }

    fn account(&self, name: &str) -> Account {
        let password_file = self.folder.path().join(format!("{name}.password"));
        Account { user: format!("{name}@{}", self.domain()), password_file }
    }

    fn directory(&self, account: &Account, addresses: &Value) -> Value {
        let mut all = self.addresses.clone();
        for (name, at) in addresses.as_object().into_iter().flatten() {
            // A name without a port stands for all of its ports, as it does in a targets file.
            all.retain(|known, _| known != name && known.rsplit_once(':').is_none_or(|(host, _)| host != name));
            all.insert(name.clone(), at.as_str().unwrap_or_default().to_owned());
        }
        json!({
            "url": format!("ldaps://{}", self.host(1)),
            "ca": self.ca(),
            "bind": { "user": account.user, "password": { "file": account.password_file } },
            "settle": { "stable_for": "300ms", "poll": "50ms" },
            "addresses": all,
        })
    }

    fn kill(&self, dc: usize) {
        self.order(&["fault", "stop-dc", &Self::dc(dc)]);
    }

    fn start(&self, dc: usize) {
        self.order(&["fault", "start-dc", &Self::dc(dc)]);
        self.wait_until_it_answers(dc);
    }

    fn freeze(&self, dc: usize) {
        self.order(&["fault", "delay", "1h", "--times", "0", "--dc", &Self::dc(dc)]);
        self.order(&["fault", "delay", "1h", "--times", "0", "--dc", &Self::dc(dc), "--operation", "bind"]);
    }

    fn thaw(&self, dc: usize) {
        self.order(&["fault", "clear"]);
        self.wait_until_it_answers(dc);
    }

    fn hold_replication(&self, dc: usize) {
        self.order(&["fault", "hold-replication", &Self::dc(dc)]);
    }

    fn release_replication(&self, dc: usize) {
        self.order(&["fault", "release-replication", &Self::dc(dc)]);
    }

    fn mark(&self) -> Mark {
        Mark(vec![u64::try_from(self.audit().len()).unwrap()])
    }

    fn writes_since(&self, mark: &Mark) -> Vec<Write> {
        let audit = self.audit();
        let lines = audit[usize::try_from(mark.0[0]).unwrap()..].lines().filter_map(|line| serde_json::from_str(line).ok());
        let writes: Vec<Value> = lines.filter(|line: &Value| operation(line).is_some()).collect();
        let mut sids: BTreeMap<String, String> = BTreeMap::new();
        let mut found = Vec::new();
        for line in writes {
            let account = line["account"].as_str().unwrap_or_default().to_owned();
            let user = sids.entry(account.clone()).or_insert_with(|| {
                let name = account.rsplit('\\').next().unwrap_or_default();
                let who = self.admin(1).search(self.base(), "sub", &format!("(sAMAccountName={name})"), &["objectSid"]);
                who.ok().and_then(|found| Some(sid_text(&found.first()?.bytes("objectSid")))).unwrap_or_default()
            });
            let changed = line["detail"]["changes"].as_array().cloned().unwrap_or_default();
            found.push(Write {
                operation: operation(&line).unwrap_or_default().to_owned(),
                dn: line["dn"].as_str().or(line["name"].as_str()).unwrap_or_default().to_owned(),
                remote: line["connection"].to_string(),
                user: user.clone(),
                code: line["code"].as_i64().unwrap_or(-1),
                attributes: changed
                    .iter()
                    .filter_map(|change| ["add", "delete", "replace"].iter().find_map(|kind| change[kind].as_str()))
                    .map(str::to_owned)
                    .collect(),
            });
        }
        found
    }
}

/// What the trait calls a write; `None` for what is none.
fn operation(line: &Value) -> Option<&'static str> {
    match line["operation"].as_str()? {
        "add" => Some("Add"),
        "modify" => Some("Modify"),
        "delete" => Some("Delete"),
        "modifydn" => Some("Rename"),
        _ => None,
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new(env!("CARGO_BIN_EXE_relevo")).args(["lab", "down"]).env("RELEVO_LAB", self.folder.path()).output();
    }
}
