//! `Update-CsUserDatabase`, `Get-` and `Set-CsUserReplicatorConfiguration`.

#![expect(clippy::result_large_err, reason = "a cmdlet ends with an error record")]

use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::lync::replicator;
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::errors::error;
use crate::lab::windows::wildcard::Wildcard;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::ErrorRecord;

/// How long a read takes that was asked for, in milliseconds.
const READ: i64 = 1500;
/// The shortest and the longest cycle, in milliseconds: a second, and a second less than a day.
const CYCLE: std::ops::RangeInclusive<i64> = 1000..=86_399_000;

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Update-CsUserDatabase",
        class: "Microsoft.Rtc.Management.Xds.UpdateUserDatabaseCmdlet",
        module: MODULE,
        parameters: &[Parameter::new("Fqdn", Kind::Text).at(0), Parameter::new("Force", Kind::Switch)],
        run: update,
    },
    Cs {
        name: "Get-CsUserReplicatorConfiguration",
        class: "Microsoft.Rtc.Management.Internal.GetUserReplicatorConfigurationCmdlet",
        module: MODULE,
        parameters: &[
            Parameter::new("Identity", Kind::Text).at(0),
            Parameter::new("Filter", Kind::Text),
            Parameter::new("LocalStore", Kind::Switch),
        ],
        run: get,
    },
    Cs {
        name: "Set-CsUserReplicatorConfiguration",
        class: "Microsoft.Rtc.Management.Internal.SetUserReplicatorConfigurationCmdlet",
        module: MODULE,
        parameters: &[
            Parameter::new("Identity", Kind::Text).at(0),
            Parameter::new("ReplicationCycleInterval", Kind::Any),
            Parameter::new("Force", Kind::Switch),
        ],
        run: set,
    },
];

fn refused(id: &str, category: &str, message: String, target: &str) -> ErrorRecord {
    error(id, category, "Microsoft.Rtc.Management.ManagementException", message, target)
}

fn update(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let has = |name: &str| {
        let is = |own: &String| own.eq_ignore_ascii_case(name);
        forest.deployment.front_ends.iter().any(|pool| is(&pool.fqdn) || pool.servers.iter().any(is))
    };
    if let Some(fqdn) = bound.text("Fqdn").filter(|fqdn| !has(fqdn)) {
        let message = format!("\"{fqdn}\" hosts no user database of this topology.");
        return Err(refused("Fqdn", "ObjectNotFound", message, fqdn));
    }
    // What is due by itself is read before: afterwards it is a second read that is under way. One that is under way already
    // reads what stands there when it ends; who orders again and again must not put it off for ever.
    replicator::known(forest);
    let due = forest.now + READ;
    forest.deployment_mut().replicator.due.get_or_insert(due);
    stage.wrote = true;
    Ok(())
}

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    global(bound)?;
    let pattern = bound.text("Filter").and_then(|pattern| Wildcard::powershell(pattern).ok());
    if bound.has("Filter") && !pattern.is_some_and(|pattern| pattern.is_match("Global")) {
        return Ok(());
    }
    let every = jiff::SignedDuration::from_millis(forest.deployment.replicator.every_ms);
    stage.output(Value::typed(
        &["Microsoft.Rtc.Management.WritableConfig.Settings.UserReplicator.UserReplicatorConfiguration", "System.Object"],
        Some("Global"),
        [
            ("Identity", Value::from("Global")),
            ("ADDomainNamingContextList", Value::list(Vec::<Value>::new())),
            ("ReplicationCycleInterval", every.into()),
        ],
    ));
    Ok(())
}

fn set(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    global(bound)?;
    let Some(given) = bound.0.get("replicationcycleinterval") else { return Ok(()) };
    let text = given.to_text();
    let every = interval(given).filter(|every| CYCLE.contains(every)).ok_or_else(|| {
        let message = format!("\"{text}\" is not an interval from 00:00:01 to 23:59:59.");
        refused("ReplicationCycleInterval", "InvalidArgument", message, &text)
    })?;
    if stage.should_process("Global", "Set-CsUserReplicatorConfiguration") {
        forest.deployment_mut().replicator.every_ms = every;
        stage.wrote = true;
    }
    Ok(())
}

/// There are settings of the whole deployment alone.
fn global(bound: &Bound) -> Done {
    match bound.text("Identity").filter(|identity| !identity.eq_ignore_ascii_case("global")) {
        None => Ok(()),
        Some(other) => {
            let message = format!("There are no settings of the User Replicator called \"{other}\".");
            Err(refused("Identity", "ObjectNotFound", message, other))
        }
    }
}

/// A duration, or its text as hours, minutes and seconds; in milliseconds.
fn interval(value: &Value) -> Option<i64> {
    if let Some(length) = value.as_duration() {
        return i64::try_from(length.as_millis()).ok();
    }
    let text = value.as_str()?;
    let parts: Vec<i64> = text.split(':').map(|part| part.parse().ok().filter(|_| part.len() <= 2)).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts.as_slice() else { return None };
    let in_range = (0..24).contains(hours) && (0..60).contains(minutes) && (0..60).contains(seconds);
    in_range.then_some((hours * 3600 + minutes * 60 + seconds) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_hours_minutes_and_seconds_or_a_duration() {
        assert_eq!(interval(&"01:15:00".into()), Some(4_500_000));
        assert_eq!(interval(&jiff::SignedDuration::from_secs(300).into()), Some(300_000));
        for wrong in ["", "5", "00:60:00", "24:00:00", "1:2", "a:b:c", "-1:00:00"] {
            assert_eq!(interval(&wrong.into()), None, "{wrong}");
        }
    }
}
