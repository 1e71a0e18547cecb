//! `Get-CsManagementStoreReplicationStatus`, `Invoke-CsManagementStoreReplication`: whether every server has what the Central
//! Management store says. A server that is down, or whose replicator agent does not run, stays behind.

use super::common::{FORCE, missing, object, texts};
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::machine::{State, same};
use crate::remoting::clixml::Value;

const REPLICA: Parameter = Parameter::new("ReplicaFqdn", Kind::Text).at(0);

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsManagementStoreReplicationStatus",
        class: "Microsoft.Rtc.Management.Xds.GetReplicationStatusCmdlet",
        module: MODULE,
        parameters: &[REPLICA, Parameter::new("CentralManagementStoreStatus", Kind::Switch)],
        run: get,
    },
    Cs {
        name: "Invoke-CsManagementStoreReplication",
        class: "Microsoft.Rtc.Management.Xds.InvokeReplicationCmdlet",
        module: MODULE,
        parameters: &[REPLICA, FORCE],
        run: invoke,
    },
];

/// How long a change takes to a server, in milliseconds. Minutes in a real deployment.
const TAKES_MS: i64 = 500;
/// What it runs as on a server.
const AGENT: &str = "REPLICA";
/// The version that servers of Lync Server 2013 report.
const VERSION: &str = "5.0.8308.0";

/// The servers that hold a replica.
fn replicas(forest: &Forest<'_>) -> Vec<String> {
    let fronts = forest.deployment.front_ends.iter().filter(|pool| pool.version >= 6).flat_map(|pool| &pool.servers);
    fronts.chain(forest.deployment.chat_pools.iter().flat_map(|pool| &pool.servers)).cloned().collect()
}

/// Those that are asked for.
fn asked(forest: &Forest<'_>, bound: &Bound) -> Result<Vec<String>, String> {
    let all = replicas(forest);
    match bound.text("ReplicaFqdn") {
        None => Ok(all),
        Some(name) => all.into_iter().find(|own| same(own, name)).map(|own| vec![own]).ok_or_else(|| name.to_owned()),
    }
}

/// Lets every server that can have what was published long enough ago.
fn settle(forest: &mut Forest<'_>) {
    let (changed, now) = (forest.deployment.published_at, forest.now);
    for server in replicas(forest) {
        let machine = forest.reachable(&server);
        let agent = machine.and_then(|machine| machine.services.get(machine.service(AGENT)?));
        let runs = agent.is_some_and(|agent| agent.state == State::Running);
        let behind = forest.deployment.replicated.get(&server).copied().unwrap_or_default() < changed;
        if runs && behind && now >= changed + TAKES_MS {
            forest.deployment_mut().replicated.insert(server, changed + TAKES_MS);
        }
    }
}

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    settle(forest);
    let asked = match asked(forest, bound) {
        Ok(asked) => asked,
        Err(name) => return stage.report(missing("replica", &name)),
    };
    if bound.is_on("CentralManagementStoreStatus") {
        let master = forest.deployment.front_ends.first().and_then(|pool| pool.servers.first()).map_or("", String::as_str);
        let properties = vec![
            ("ActiveMasterFqdn", Value::from(master)),
            ("ActiveFileTransferAgentFqdn", master.into()),
            ("ActiveReplicas", texts(replicas(forest))),
            ("DeletedReplicas", texts::<&str>([])),
        ];
        stage.output(object("Microsoft.Rtc.Management.Xds.CentralManagementStoreStatusResult", master, properties));
        return Ok(());
    }
    for server in asked {
        let at = forest.deployment.replicated.get(&server).copied().unwrap_or_default();
        let properties = vec![
            ("UpToDate", Value::from(at >= forest.deployment.published_at)),
            ("ReplicaFqdn", server.as_str().into()),
            ("LastStatusReport", time(at)),
            ("LastUpdateCreation", time(forest.deployment.published_at)),
            ("ProductVersion", VERSION.into()),
        ];
        stage.output(object("Microsoft.Rtc.Management.Xds.ReplicaState", &server, properties));
    }
    Ok(())
}

/// When, or nothing if never.
fn time(at: i64) -> Value {
    match jiff::Timestamp::from_millisecond(at) {
        Ok(time) if at > 0 => Value::DateTime(time.to_string()),
        _ => Value::Nil,
    }
}

/// Everything is sent anew, to every server.
fn invoke(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    if let Err(name) = asked(forest, bound) {
        return stage.report(missing("replica", &name));
    }
    forest.publish();
    stage.wrote = true;
    Ok(())
}
