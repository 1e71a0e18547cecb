//! `Get-CsPersistentChatState`, `Set-CsPersistentChatState`, `Set-CsPersistentChatActiveServer`: whether a pool has failed over,
//! and which of its servers take new clients.

use super::common::{FILTER, FORCE, IDENTITY, Known, LOCAL_STORE, bare, give, missing, object, one_of, refusal};
use crate::lab::lync::deployment::ChatPool;
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::machine::same;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::ErrorRecord;

const STATES: Kind =
    Kind::Enumeration("Microsoft.Rtc.Management.WritableConfig.Settings.PersistentChat.PoolState", &["Normal", "FailedOver"]);

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsPersistentChatState",
        class: "Microsoft.Rtc.Management.Internal.GetPersistentChatStateCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, FILTER, LOCAL_STORE],
        run: get,
    },
    Cs {
        name: "Set-CsPersistentChatState",
        class: "Microsoft.Rtc.Management.Internal.SetPersistentChatStateCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, Parameter::new("PoolState", STATES), FORCE],
        run: set,
    },
    Cs {
        name: "Set-CsPersistentChatActiveServer",
        class: "Microsoft.Rtc.Management.Xds.SetPersistentChatActiveServerCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, Parameter::new("ActiveServers", Kind::Any).needed(), Parameter::new("Swap", Kind::Switch), FORCE],
        run: set_active,
    },
];

fn identity(pool: &ChatPool) -> String {
    format!("PersistentChatServer:{}", pool.fqdn)
}

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let known = forest.deployment.chat_pools.iter().map(|pool| {
        let identity = identity(pool);
        let state = if pool.failed_over { "FailedOver" } else { "Normal" };
        let properties = vec![("Identity", Value::from(identity.as_str())), ("PoolState", state.into())];
        let kind = "Microsoft.Rtc.Management.WritableConfig.Settings.PersistentChat.PersistentChatState";
        // The pages on failing over write `service:` before the pool's name.
        let also = vec![format!("service:{}", pool.fqdn)];
        Known { value: object(kind, &identity, properties), identity, also }
    });
    give(stage, bound, "Persistent Chat pool", known.collect())
}

/// The pool that a call means: the only one, if it names none.
fn meant(forest: &Forest<'_>, bound: &Bound) -> Result<usize, ErrorRecord> {
    let pools = &forest.deployment.chat_pools;
    match (bound.text("Identity"), pools.len()) {
        (None, 1) => Ok(0),
        (None, _) => {
            Err(refusal("AmbiguousPool", "InvalidArgument", "The parameter Identity must name a Persistent Chat pool.", ""))
        }
        (Some(name), _) => {
            let kind = name.split_once(':').map(|(kind, _)| kind);
            let fits = kind.is_none_or(|kind| same(kind, "PersistentChatServer") || same(kind, "service"));
            let found = pools.iter().position(|pool| fits && same(&pool.fqdn, bare(name)));
            found.ok_or_else(|| missing("Persistent Chat pool", name))
        }
    }
}

fn set(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let index = meant(forest, bound)?;
    let pool = &forest.deployment.chat_pools[index];
    let Some(state) = bound.text("PoolState") else { return Ok(()) };
    let failed_over = state == "FailedOver";
    if stage.should_process(&identity(pool), "Set-CsPersistentChatState") && pool.failed_over != failed_over {
        forest.publish().chat_pools[index].failed_over = failed_over;
        stage.wrote = true;
    }
    Ok(())
}

fn set_active(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    one_of(bound, &["ActiveServers", "Swap"])?;
    let index = meant(forest, bound)?;
    let pool = &forest.deployment.chat_pools[index];
    let named = |text: &str| {
        let found = pool.servers.iter().find(|server| same(server, text)).cloned();
        found.ok_or_else(|| missing("server of the pool", text))
    };
    let active = if bound.is_on("Swap") {
        pool.servers.iter().filter(|server| !pool.active.contains(server)).cloned().collect()
    } else {
        let given = bound.0.get("activeservers").cloned().unwrap_or_default();
        changed(&pool.active, &given, named)?
    };
    if stage.should_process(&identity(pool), "Set-CsPersistentChatActiveServer") && pool.active != active {
        forest.publish().chat_pools[index].active = active;
        stage.wrote = true;
    }
    Ok(())
}

/// A list after `@{Add=…}`, `@{Remove=…}`, `@{Replace=…}`, another list in its place, or `$null`.
fn changed(
    before: &[String],
    given: &Value,
    named: impl Fn(&str) -> Result<String, ErrorRecord>,
) -> Result<Vec<String>, ErrorRecord> {
    let list = |value: &Value| -> Result<Vec<String>, ErrorRecord> {
        match value.items() {
            Some(items) => items.iter().map(|item| named(&item.to_text())).collect(),
            None => Ok(vec![named(&value.to_text())?]),
        }
    };
    if given.is_nil() {
        return Ok(Vec::new());
    }
    let Some(entries) = given.entries() else { return list(given) };
    let mut after = before.to_vec();
    for (key, value) in entries {
        let servers = list(value)?;
        match key.to_text().to_ascii_lowercase().as_str() {
            "add" => {
                for server in servers {
                    if !after.contains(&server) {
                        after.push(server);
                    }
                }
            }
            "remove" => after.retain(|server| !servers.contains(server)),
            "replace" => after = servers,
            other => {
                let message = format!("\"{other}\" is none of Add, Remove and Replace.");
                return Err(refusal("NoListModifier", "InvalidArgument", message, other));
            }
        }
    }
    Ok(after)
}
