//! The lab as these tests turn it: a plan that signs in, what the directory and the rooms hold, what was called.

use serde_json::{Value, json};

use crate::lab_support::{CHAT, Lab, Said, wait_for};

pub const ADDRESS: &str = "sip:ocschat@contoso.lan";
pub const ANA: &str = "sip:aruiz@contoso.lan";

/// A step that signs in, with more arguments.
pub fn step(more: &str) -> String {
    format!(
        "  - {{ id: sign-in, uses: lync.legacy_sign_in, with: {{ host: lync, sip_address: '{ADDRESS}'{more} }}, on_failure: stop }}\n"
    )
}

pub trait SignIn {
    fn runs(&self, steps: &str) -> Said;
    fn edit(&self, file: &str, change: impl FnOnce(&mut Value));
    fn services(&self, host: &str, state: &str, names: &[&str]);
    fn invites(&self) -> Vec<(i64, String)>;
    fn sip_port(&self) -> u16;
    fn replicate(&self);
}

impl SignIn for Lab {
    /// Runs a plan of these steps against the lab as it is.
    fn runs(&self, steps: &str) -> Said {
        let plan = format!("relevo: 1\nname: A client\ndefaults: {{ retry: {{ attempts: 1 }}, timeout: 20s }}\nsteps:\n{steps}");
        std::fs::write(self.folder.path().join("plan.yaml"), plan).unwrap();
        self.relevo(&["run", "plan.yaml", "--lab=keep", "--go"])
    }

    /// Changes a file of the world while nobody answers.
    fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        self.relevo(&["lab", "down"]).exits(0);
        let path = self.dir().join("world").join(file);
        let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(&path, value.to_string()).unwrap();
        self.relevo(&["lab", "up"]).exits(0);
    }

    fn services(&self, host: &str, state: &str, names: &[&str]) {
        self.edit(&format!("machines/{host}.json"), |machine| {
            for service in machine["services"].as_array_mut().unwrap() {
                if names.contains(&service["name"].as_str().unwrap()) {
                    service["state"] = json!(state);
                }
            }
        });
    }

    /// What the audit tells of calls: the code, and the server or why there was none.
    fn invites(&self) -> Vec<(i64, String)> {
        let audit = self.audit();
        let calls = audit.iter().filter(|line| line["operation"] == "INVITE");
        calls
            .map(|line| {
                assert_eq!((&line["wrote"], &line["dc"]), (&json!(false), &json!("fe01")), "{line}");
                let detail = &line["detail"];
                (line["code"].as_i64().unwrap(), detail["server"].as_str().or(detail["reason"].as_str()).unwrap().to_owned())
            })
            .collect()
    }

    fn sip_port(&self) -> u16 {
        u16::try_from(self.info()["state"]["hosts"]["fe01"]["sip"].as_u64().unwrap()).unwrap()
    }

    /// Lets the Front End read the directory now, as its domain controller has it.
    fn replicate(&self) {
        self.edit("lync.json", |deployment| deployment["replicator"]["read_at"] = json!(0));
    }
}

/// What `sign-in` gave, from the run's journal.
pub fn outputs(lab: &Lab) -> Value {
    let runs = std::fs::read_dir(lab.folder.path().join("runs")).unwrap().map(|entry| entry.unwrap().path());
    let newest = runs
        .filter(|path| path.join("journal").exists())
        .max_by_key(|path| path.join("journal").metadata().unwrap().modified().unwrap());
    let journal = std::fs::read_to_string(newest.unwrap().join("journal")).unwrap();
    let mut found = journal.lines().rev().filter_map(|line| {
        let start = line.find('{')?;
        let value: Value = serde_json::from_str(&line[start..]).ok()?;
        find(&value, "outputs").cloned()
    });
    found.next().unwrap_or(Value::Null)
}

fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => map.get(name).or_else(|| map.values().find_map(|inner| find(inner, name))),
        Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        _ => None,
    }
}

/// The weekend as far as the directory goes: the user deleted, the contact of the pool made, all domain controllers told.
pub fn move_address(lab: &Lab) {
    lab.modify(&format!("dn: {CHAT}\nchangetype: delete\n")).exits(0);
    let services = "CN=RTC Service,CN=Services,CN=Configuration,DC=contoso,DC=lan";
    let pool = lab.search("dc1", &["-b", services, "(dNSHostName=pcpool.contoso.lan)", "1.1"]).exits(0).dns().remove(0);
    let contact = format!("CN={{33e5014b-dcba-46b5-9bf7-48f4d5fca69d}},CN=Application Contacts,{services}");
    lab.modify(&format!(
        "dn: {contact}\nchangetype: add\nobjectClass: contact\nmsRTCSIP-PrimaryUserAddress: {ADDRESS}\nmsRTCSIP-UserEnabled: TRUE\n\
         msRTCSIP-ApplicationDestination: {pool}\n"
    ))
    .exits(0);
    wait_for("dc2 to know the contact and the user's end", || {
        let found = lab.search(
            "dc2",
            &["-b", "CN=Configuration,DC=contoso,DC=lan", &format!("(msRTCSIP-PrimaryUserAddress={ADDRESS})"), "1.1"],
        );
        let old = lab.search("dc2", &["-b", "DC=contoso,DC=lan", &format!("(msRTCSIP-PrimaryUserAddress={ADDRESS})"), "1.1"]);
        found.dns().len() == 1 && old.dns().is_empty()
    });
}

/// One room with two messages for Ana, as an import leaves it.
pub fn fill(lab: &Lab) {
    lab.relevo(&["lab", "down"]).exits(0);
    let file = lab.dir().join("world/files/sql01/sql/RTC/mgc.sqlite");
    let mgc = rusqlite::Connection::open(file).unwrap();
    mgc.execute_batch(
        "INSERT INTO tblPrincipal (prinID, prinGuid, prinUri, prinDisabled, prinTypeID, prinAddedOn, prinUpdatedOn, prinVerifiedOn)
             VALUES (2, 'AAAAAAAA-0000-4000-8000-000000000002', 'sip:ARuiz@contoso.lan', 0, 5, 0, 0, '2013-03-18');
         INSERT INTO tblNode (nodeID, nodeGuid, parentID, nodeType, nodeName, nodeDesc, disabled, behavior, visibility, nodeAddedBy,
             nodeAddedOn, nodeUpdatedBy, nodeUpdatedOn)
             VALUES (2, 'BBBBBBBB-0000-4000-8000-000000000002', 1, 0, 'Trading: “rates” & <more>', '', 0, 4, 3, 1, 0, 1, 0),
                    (3, 'BBBBBBBB-0000-4000-8000-000000000003', 1, 0, 'Closed', '', 1, 4, 3, 1, 0, 1, 0);
         INSERT INTO tblPrincipalRole VALUES (2, 2, 4, 1), (3, 2, 4, 1);
         INSERT INTO tblChat VALUES (2, 1, 635000000000000000, 2, 0, 'first', NULL), (2, 2, 635000000600000000, 2, 0, 'se' || char(1) || 'cond & <last>', NULL);",
    )
    .unwrap();
    drop(mgc);
    lab.relevo(&["lab", "up"]).exits(0);
}
