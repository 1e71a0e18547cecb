//! Administration by the program: checks, services, the end of the legacy pool.

use serde_json::Value;

use crate::lab_support::{Lab, Said};

/// A plan of these steps, run on the world as it is.
pub fn run(lab: &Lab, steps: &str) -> Said {
    let plan = lab.folder.path().join("plan.yaml");
    std::fs::write(&plan, format!("relevo: 1\nname: lync\nsteps:\n{steps}")).unwrap();
    let (plan, runs) = (plan.display().to_string(), lab.folder.path().join("runs").display().to_string());
    lab.relevo(&["run", &plan, "--lab=keep", "--go", "--runs", &runs])
}

/// The deployment, as it is on disk.
pub fn deployment(lab: &Lab) -> Value {
    serde_json::from_slice(&std::fs::read(lab.dir().join("world/lync.json")).unwrap()).unwrap()
}

/// What changed something through fe01, by the cmdlet.
fn effects(lab: &Lab) -> Vec<String> {
    let lines = lab.audit().into_iter().filter(|line| line["wrote"] == true && line["dc"] == "fe01");
    lines.map(|line| line["operation"].as_str().unwrap().to_owned()).collect()
}

fn state(lab: &Lab, host: &str, service: &str) -> String {
    let path = lab.dir().join("world/machines").join(format!("{host}.json"));
    let machine: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let all = machine["services"].as_array().unwrap();
    all.iter().find(|one| one["name"] == service).unwrap()["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_pool_is_checked_started_and_the_legacy_pool_is_retired() {
    let lab = Lab::new();
    let steps = "
  - id: pool
    uses: lync.pool.check
    with: { host: lync, pool: pcpool.contoso.lan, legacy_pool: gcpool.contoso.lan }
    outputs: [servers, db_instance, file_store]
  - { id: policy, uses: lync.policy.check, with: { host: lync } }
  - id: nobody
    uses: lync.sessions.check
    with: { host: lync, computers: [pc01.contoso.lan, pc02.contoso.lan], services: [RTCCHAT] }
  - id: start
    needs: [pool, policy, nobody]
    uses: lync.service
    for_each: { items: [pc01.contoso.lan, pc02.contoso.lan], as: server }
    with: { host: lync, computer: \"${{ server }}\", state: running }
  - id: replicate
    needs: [start]
    uses: lync.cmdlet
    effect: ensure
    with: { host: lync, cmdlet: Invoke-CsManagementStoreReplication }
    probe:
      uses: lync.cmdlet
      with: { host: lync, cmdlet: Get-CsManagementStoreReplicationStatus, parameters: { ReplicaFqdn: pc01.contoso.lan } }
      verdict: { done: \"first.UpToDate\", not_done: \"not first.UpToDate\" }
  - { id: retire, needs: [replicate], uses: lync.trusted_application.remove, with: { host: lync, pool: gcpool.contoso.lan } }
  - { id: enable, needs: [retire], uses: lync.topology.enable, with: { host: lync } }
";
    run(&lab, steps).exits(0);
    for (host, service) in [("pc01", "RTCCHAT"), ("pc01", "RTCCOMPLIANCE"), ("pc02", "RTCCHAT")] {
        assert_eq!(state(&lab, host, service), "Running", "{service} on {host}");
    }
    let now = deployment(&lab);
    assert_eq!((now["trusted_pools"].as_array().unwrap().len(), now["in_effect"].as_array().unwrap().len()), (0, 0));
    let mut done = effects(&lab);
    done.sort();
    assert_eq!(
        done,
        ["Enable-CsTopology", "Remove-CsTrustedApplicationPool", "Start-CsWindowsService", "Start-CsWindowsService"]
    );
}

#[test]
fn a_server_that_is_down_fails_the_step_and_nothing_else() {
    let lab = Lab::new();
    lab.relevo(&["lab", "fault", "stop-host", "pc02"]).exits(0);
    let step = |computer: &str| {
        format!("  - {{ id: start, uses: lync.service, with: {{ host: lync, computer: {computer}, state: running }} }}\n")
    };
    assert_ne!(run(&lab, &step("pc02.contoso.lan")).says("cannot be reached").code, 0);
    assert_ne!(run(&lab, &step("gc01.contoso.lan")).says("windows.service").code, 0);
    assert!(effects(&lab).is_empty());
    run(&lab, &step("pc01.contoso.lan")).exits(0);
    assert_eq!(effects(&lab), ["Start-CsWindowsService"]);
}

#[test]
fn a_service_that_takes_its_time_is_waited_for() {
    let lab = Lab::new();
    lab.relevo(&["lab", "set", "service-delay", "pc01", "RTCCHAT", "700ms"]).exits(0);
    let step = "  - { id: start, uses: lync.service, with: { host: lync, computer: pc01.contoso.lan, services: [RTCCHAT], state: running } }\n";
    let begun = std::time::Instant::now();
    run(&lab, step).exits(0).says("done");
    assert!(begun.elapsed().as_millis() >= 700);
    assert_eq!(effects(&lab), ["Start-CsWindowsService"]);
}
