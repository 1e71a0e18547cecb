//! The real program with a plan and the targets file of a world, and what its journal says of attempts.

use serde_json::{Value, json};

use crate::cli_support::Desk;
use crate::world::{Account, World};

/// A desk with a targets file for this account.
pub fn desk(world: &dyn World, account: &Account) -> Desk {
    let desk = Desk::new();
    // JSON is YAML.
    let targets = json!({ "relevo_targets": 1, "directories": { "contoso": world.directory(account, &json!({})) } });
    desk.write("targets.yaml", &targets.to_string());
    desk
}

/// Writes a plan of these steps.
pub fn plan(desk: &Desk, steps: &Value) {
    let plan = json!({ "relevo": 1, "name": "a directory", "targets": "targets.yaml", "steps": steps });
    desk.write("plan.yaml", &plan.to_string());
}

/// A step that deletes a user.
pub fn deletion(id: &str, sip: &str, base: &str) -> Value {
    json!({ "id": id, "uses": "ad.user.delete", "with": { "directory": "contoso", "sip_address": sip, "base": base } })
}

/// The events of the only run's journal.
pub fn events(desk: &Desk) -> Vec<Value> {
    let text = desk.journal();
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.get(18..)?).ok())
        .map(|record| record["event"].clone())
        .collect()
}

/// The attempts that reached a server: those that started, without the ones that certainly never left this machine.
pub fn attempts(desk: &Desk) -> Vec<(String, u64)> {
    let events = events(desk);
    let finished = |started: &Value| {
        events
            .iter()
            .filter_map(|event| event.get("attempt_finished"))
            .find(|end| end["step"] == started["step"] && end["attempt"] == started["attempt"])
    };
    events
        .iter()
        .filter_map(|event| event.get("attempt_started"))
        .filter(|started| finished(started).is_none_or(|end| end["outcome"].get("not_sent").is_none()))
        .map(|started| (started["step"].as_str().unwrap().to_owned(), started["attempt"].as_u64().unwrap()))
        .collect()
}
