//! Samba's own log of changes to its directory (`dsdb_json_audit`), as an account of who wrote what.

use serde_json::Value;

use crate::world::Write;

/// The writes that came over the network and were not made by the system itself, in the order of the log. Changes
/// that were replicated from another server are of another type and do not count.
pub fn parse(log: &str) -> Vec<Write> {
    log.lines().filter_map(|line| serde_json::from_str(line.trim()).ok()).filter_map(|line: Value| write(&line)).collect()
}

fn write(line: &Value) -> Option<Write> {
    let change = line.get("dsdbChange")?;
    let text = |key: &str| change.get(key).and_then(Value::as_str).map(str::to_owned);
    let remote = text("remoteAddress")?;
    if change.get("performedAsSystem") == Some(&Value::Bool(true)) {
        return None;
    }
    Some(Write {
        operation: text("operation")?,
        dn: text("dn")?,
        remote,
        user: text("userSid")?,
        code: change.get("statusCode").and_then(Value::as_i64)?,
        attributes: change
            .get("attributes")
            .and_then(Value::as_object)
            .map(|all| all.keys().cloned().collect())
            .unwrap_or_default(),
    })
}
