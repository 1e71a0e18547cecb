//! Samba's own log of changes (`dsdb_json_audit`) in the words of the lab's audit. It knows writes alone, and neither the
//! object's GUID nor whether the client heard the answer.

use serde_json::{Value, json};

use super::{below, build};
use crate::lab::audit::Line;
use crate::lab::contoso::CONTROLLERS;
use crate::lab::files::{Files, Trouble};

/// Reads it; a line that is not whole is left out.
///
/// # Errors
/// It cannot be read.
pub fn read(files: &Files) -> Result<Vec<Line>, Trouble> {
    let path = below(files, "log/writes.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Trouble::new(format!("cannot read {}: {error}", path.display()))),
    };
    let known = build::accounts(files).unwrap_or_default();
    let mut sessions = Vec::new();
    let all = text.lines().filter_map(|line| serde_json::from_str(line.trim()).ok());
    Ok(all.filter_map(|value: Value| line(&value, &known, &mut sessions)).collect())
}

/// One change that came over the network and was not made by the system itself.
fn line(value: &Value, known: &std::collections::BTreeMap<String, String>, sessions: &mut Vec<String>) -> Option<Line> {
    let change = value.get("dsdbChange")?;
    let text = |key: &str| change.get(key).and_then(Value::as_str).map(str::to_owned);
    text("remoteAddress")?;
    if change.get("performedAsSystem") == Some(&Value::Bool(true)) {
        return None;
    }
    let (dn, sid, session) = (text("dn")?, text("userSid")?, text("sessionId").unwrap_or_default());
    let code = change.get("statusCode").and_then(Value::as_i64)?;
    let connection = sessions.iter().position(|known| *known == session).unwrap_or_else(|| {
        sessions.push(session);
        sessions.len() - 1
    });
    let operation = match text("operation")?.as_str() {
        "Rename" => "modifydn".to_owned(),
        other => other.to_ascii_lowercase(),
    };
    let attributes: Vec<&String> =
        change.get("attributes").and_then(Value::as_object).into_iter().flat_map(|all| all.keys()).collect();
    Some(Line {
        time: time(value.get("timestamp").and_then(Value::as_str)?),
        dc: CONTROLLERS[0].to_owned(),
        connection: connection as u64 + 1,
        account: known.get(&sid).cloned().unwrap_or(sid),
        operation,
        name: dn.clone(),
        dn: Some(dn),
        guid: None,
        code,
        wrote: code == 0,
        answered: true,
        detail: if attributes.is_empty() { Value::Null } else { json!({ "attributes": attributes }) },
    })
}

/// In UTC, as the embedded directory writes it.
fn time(text: &str) -> String {
    let parsed = jiff::Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text);
    parsed.map_or_else(|_| text.to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_sambas_log_becomes_a_line_and_its_own_changes_do_not() {
        let change = |as_system: bool| {
            json!({ "timestamp": "2026-11-22T19:16:52.418050+0100", "type": "dsdbChange", "dsdbChange": {
                "statusCode": 0, "operation": "Rename", "remoteAddress": "ipv4:127.0.0.1:40000", "sessionId": "s",
                "performedAsSystem": as_system, "userSid": "S-1-5-21-1-2-3-1104", "dn": "CN=a,DC=contoso,DC=lan" } })
        };
        let known = [("S-1-5-21-1-2-3-1104".to_owned(), "svc-mig".to_owned())].into();
        let line = |value: &Value| line(value, &known, &mut Vec::new());
        let made = line(&change(false)).map(|made| (made.time, made.account, made.operation, made.connection, made.wrote));
        let time = "2026-11-22T18:16:52.41805Z".to_owned();
        assert_eq!(made, Some((time, "svc-mig".to_owned(), "modifydn".to_owned(), 1, true)));
        assert_eq!(line(&change(true)), None);
    }
}
