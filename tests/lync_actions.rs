//! Steps on Lync, by the program itself, against a restricted endpoint of PowerShell remoting as others wrote it, with the
//! cmdlets of `tests/remoting/lync_cmdlets.py`.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

mod cli_support;
#[path = "support/python.rs"]
mod python;

use std::sync::Arc;

use cli_support::{Desk, Said, wait_for};
use python::{Judge, PASSWORD, Setup, USER};
use relevo::connector::{Connectors, Options};
use relevo::plan::action::Effect;
use relevo::plan::{StepId, Targets};
use relevo::run::connector::{BeforeImage, Call, Connector, Evidence, Pin};
use relevo::run::event::{EvidenceRef, Identity, Outcome};
use relevo::time::Span;
use serde_json::{Value, json};
use sha2::Digest as _;

const CONTAINER: &str = "CN=Application Contacts,CN=RTC Service,CN=Services,CN=Configuration,DC=contoso,DC=com";
const BUILT_IN: &str = "sip:GC-1-PersistentChatService-2@contoso.com";
const URI: &str = "sip:ocschat@contoso.com";

/// A forest after the migration of the data: the pool has the contact of its installation, the old user is gone.
fn world() -> Value {
    json!({
        "sip_domains": ["contoso.com", "fabrikam.com"],
        "pools": [
            { "fqdn": "pcpool.contoso.com", "next_hop": "fepool.contoso.com", "version": 6, "state": "Normal",
              "servers": ["pc01.contoso.com", "pc02.contoso.com"] },
            { "fqdn": "pcpool2.contoso.com", "next_hop": "fepool.contoso.com", "version": 6, "state": "Normal",
              "servers": ["pc03.contoso.com"] },
        ],
        "contacts": [
            { "identity": format!("CN={{33e5014b-dcba-46b5-9bf7-48f4d5fca69d}},{CONTAINER}"), "sip": BUILT_IN, "pool": "pcpool.contoso.com" },
        ],
        "users": [{ "dn": "CN=Ann,OU=Staff,DC=contoso,DC=com", "sip": "sip:ann@contoso.com" }],
        "policies": { "Global": true },
        "trusted": ["gcpool.contoso.com/urn:application:groupchat", "other.contoso.com/urn:application:x"],
        "trusted_pools": ["gcpool.contoso.com", "other.contoso.com"],
        "topology": "<Topology><Pool>pcpool.contoso.com</Pool></Topology>",
        "computers": {
            "pc01.contoso.com": { "RTCCHAT": { "status": "Running", "activity": "Sessions: 12" }, "RTCPCC": { "status": "Running" } },
            "gc01.contoso.com": {},
        },
    })
}

/// A judge that plays Lync, and a desk with a plan for it.
struct Stage {
    judge: Judge,
    desk: Desk,
}

impl Stage {
    fn new(change: impl FnOnce(&mut Value), steps: &str) -> Option<Self> {
        let judge = Judge::start(Setup::default())?;
        let mut desk = Desk::with_steps(steps);
        desk.env.push(("JUDGE_PASSWORD".to_owned(), PASSWORD.to_owned()));
        let url = judge.url("/OcsPowerShell");
        desk.write(
            "targets.yaml",
            &format!(
                "relevo_targets: 1\nhosts:\n  fe01: {{ url: \"{url}\", settle: {{ poll: 50ms, stable_for: 2s }}, auth: {{ negotiate: {{ \
                 user: '{USER}', password: {{ env: JUDGE_PASSWORD }} }} }} }}\n"
            ),
        );
        let stage = Stage { judge, desk };
        stage.change(|world_now| {
            *world_now = world();
            change(world_now);
        });
        Some(stage)
    }

    fn world(&self) -> Value {
        std::fs::read_to_string(self.judge.folder().join("lync.json"))
            .map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut now = self.world();
        change(&mut now);
        let new = self.judge.folder().join("lync.test");
        std::fs::write(&new, now.to_string()).unwrap();
        std::fs::rename(&new, self.judge.folder().join("lync.json")).unwrap();
    }

    fn run(&self) -> Said {
        self.desk.relevo(&["run", "plan.yaml"])
    }

    /// The effects so far, by their cmdlets.
    fn effects(&self) -> Vec<String> {
        self.judge.effects().iter().map(|effect| effect["operation"].as_str().unwrap().to_owned()).collect()
    }

    fn addresses(&self) -> Vec<String> {
        let now = self.world();
        now["contacts"].as_array().unwrap().iter().map(|contact| contact["sip"].as_str().unwrap().to_owned()).collect()
    }

    fn began(&self, cmdlet: &str) -> usize {
        let requests = self.judge.requests();
        requests.iter().filter(|request| request["action"] == "Pipeline" && request["name"] == cmdlet).count()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.judge.assert_no_violations();
        let requests = self.judge.requests();
        let sent: Vec<&str> =
            requests.iter().filter(|one| one["action"] == "Pipeline").map(|one| one["name"].as_str().unwrap()).collect();
        let single = |name: &&str| {
            name.split_once('-').is_some_and(|(verb, noun)| (verb.to_owned() + noun).chars().all(char::is_alphanumeric))
        };
        assert!(sent.iter().all(single), "one cmdlet to a pipeline, and no script: {sent:?}");
    }
}

fn create(more: &str) -> String {
    format!(
        "  - {{ id: endpoint, uses: lync.endpoint.create, with: {{ host: fe01, sip_address: 'OcsChat@contoso.com', pool: PCPool.contoso.com, \
         display_name: Legacy }}{more} }}\n"
    )
}

fn remove() -> String {
    format!(
        "  - {{ id: gone, uses: lync.endpoint.remove, with: {{ host: fe01, sip_address: '{URI}', pool: pcpool.contoso.com }} }}\n"
    )
}

fn ours(pool: &str) -> Value {
    json!({ "identity": format!("CN={{77777777-dcba-46b5-9bf7-48f4d5fca69d}},{CONTAINER}"), "sip": URI, "pool": pool, "display": "Legacy" })
}

#[test]
fn an_endpoint_is_created_beside_the_one_that_every_pool_has() {
    let steps = create("")
        + "  - { id: say, needs: [endpoint], uses: command, with: { argv: [printf, '%s', \"${{ steps.endpoint.outputs.identity }}\"] }, outputs: { said: { from: stdout } } }\n";
    let Some(stage) = Stage::new(|_| {}, &steps) else { return };
    stage
        .desk
        .relevo(&["check", "plan.yaml", "--connect"])
        .exits(0)
        .says("has another endpoint, which stays")
        .says("GC-1-PersistentChatService-2");
    stage.run().exits(0);
    assert_eq!(stage.effects(), ["New-CsPersistentChatEndpoint"]);
    let identity = stage.judge.effects()[0]["identity"].as_str().unwrap().to_owned();
    assert!(stage.desk.journal().contains(&json!({ "said": identity }).to_string()), "{}", stage.desk.journal());
    assert_eq!(stage.addresses(), [BUILT_IN, URI]);
    stage.desk.relevo(&["explain", "endpoint", "--by-hand"]).exits(0).says("/OcsPowerShell").says(
        "New-CsPersistentChatEndpoint -SipAddress 'sip:ocschat@contoso.com' -PersistentChatPoolFqdn 'pcpool.contoso.com' -DisplayName 'Legacy'",
    );
}

#[test]
fn an_endpoint_that_is_there_is_adopted_and_not_created_again() {
    let Some(stage) = Stage::new(|world| world["contacts"].as_array_mut().unwrap().push(ours("PCPOOL.contoso.com")), &create(""))
    else {
        return;
    };
    stage.run().exits(0);
    assert!(stage.effects().is_empty() && stage.began("New-CsPersistentChatEndpoint") == 0);
    assert!(stage.desk.journal().contains("CN={77777777"), "{}", stage.desk.journal());
}

#[test]
fn an_address_that_a_user_holds_is_refused_with_the_name_of_the_user() {
    let user = json!({ "dn": "CN=ocschat,OU=Service,DC=contoso,DC=com", "sip": "SIP:ocschat@contoso.com" });
    let Some(stage) = Stage::new(|world| world["users"].as_array_mut().unwrap().push(user), &create("")) else { return };
    stage.run().exits(3).says("CN=ocschat,OU=Service,DC=contoso,DC=com");
    assert_eq!(stage.began("New-CsPersistentChatEndpoint"), 0);
}

#[test]
fn an_address_that_another_pool_has_is_a_conflict() {
    let Some(stage) =
        Stage::new(|world| world["contacts"].as_array_mut().unwrap().push(ours("pcpool2.contoso.com")), &create(""))
    else {
        return;
    };
    stage.run().exits(3).says("another pool").says("CN={77777777");
    assert_eq!(stage.began("New-CsPersistentChatEndpoint"), 0);
}

#[test]
fn a_foreign_domain_an_unknown_pool_and_a_missing_role_are_found_before_the_run() {
    let Some(stage) = Stage::new(|world| world["sip_domains"] = json!(["fabrikam.com"]), &create("")) else { return };
    assert_ne!(stage.run().says("`contoso.com` is no SIP domain").code, Some(0));
    stage.change(|world_now| *world_now = world());
    stage.desk.steps(&create("").replace("PCPool", "nowhere"));
    assert_ne!(stage.run().says("`nowhere.contoso.com` is no Persistent Chat pool").code, Some(0));
    stage.change(|world_now| world_now["missing"] = json!(["New-CsPersistentChatEndpoint"]));
    stage.desk.steps(&create(""));
    assert_ne!(stage.run().says("is not offered `New-CsPersistentChatEndpoint`").code, Some(0));
    assert!(stage.effects().is_empty());
}

#[test]
fn an_error_after_the_contact_was_made_is_looked_at_and_not_repeated() {
    let complain = json!({ "New-CsPersistentChatEndpoint": "something" });
    let Some(stage) = Stage::new(|world| world["complain"] = complain, &create("")) else { return };
    stage.run().exits(0);
    assert_eq!(stage.effects(), ["New-CsPersistentChatEndpoint"]);
    assert!(stage.desk.journal().contains("\"unknown\""), "{}", stage.desk.journal());
}

#[test]
fn f58_a_contact_that_shows_late_is_waited_for_and_not_created_twice() {
    let Some(stage) = Stage::new(|world| world["lag"] = json!(20), &create("")) else { return };
    stage.run().exits(0);
    assert_eq!(stage.effects(), ["New-CsPersistentChatEndpoint"]);
}

#[test]
fn f58_f75_after_an_error_a_contact_that_shows_late_is_not_created_twice() {
    let lagging = |world: &mut Value| {
        world["lag"] = json!(6);
        world["complain"] = json!({ "New-CsPersistentChatEndpoint": "something" });
    };
    let Some(stage) = Stage::new(lagging, &create(", retry: { attempts: 3, interval: 50ms }")) else { return };
    stage.run().exits(0);
    assert_eq!(stage.effects(), ["New-CsPersistentChatEndpoint"]);
    assert!(
        stage.desk.journal().matches("attempt_started").count() >= 2,
        "the look saw nothing at first: {}",
        stage.desk.journal()
    );
    assert_eq!(stage.began("New-CsPersistentChatEndpoint"), 1);
}

#[test]
fn a_second_attempt_without_the_time_to_watch_creates_nothing() {
    let lagging = |world: &mut Value| {
        world["lag"] = json!(1000);
        world["complain"] = json!({ "New-CsPersistentChatEndpoint": "something" });
    };
    let Some(stage) = Stage::new(lagging, &create(", timeout: 3s, retry: { attempts: 2, interval: 50ms }")) else { return };
    stage.run().exits(3).says("must be seen free for 2 s before it is created again");
    assert_eq!((stage.effects().len(), stage.began("New-CsPersistentChatEndpoint")), (1, 1));
}

#[test]
fn a_run_that_is_killed_while_it_creates_creates_one() {
    let Some(stage) = Stage::new(|world| world["slow"] = json!({ "New-CsPersistentChatEndpoint": 300 }), &create("")) else {
        return;
    };
    let mut run = stage.desk.start(&["run", "plan.yaml"]);
    wait_for("the pipeline", || stage.began("New-CsPersistentChatEndpoint") == 1);
    run.kill();
    stage.change(|world| world["slow"] = json!({}));
    stage.desk.relevo(&["resume", "--yes"]).exits(0);
    assert_eq!(stage.effects(), ["New-CsPersistentChatEndpoint"]);
    assert_eq!(stage.addresses(), [BUILT_IN, URI]);
}

#[test]
fn exactly_the_bound_contact_is_removed() {
    let Some(stage) = Stage::new(|world| world["contacts"].as_array_mut().unwrap().push(ours("pcpool.contoso.com")), &remove())
    else {
        return;
    };
    stage.desk.relevo(&["rehearse", "plan.yaml"]).exits(0).says("remove the endpoint").says("CN={77777777");
    assert!(stage.effects().is_empty());
    stage.run().exits(0);
    let effects = stage.judge.effects();
    assert_eq!((effects.len(), effects[0]["identity"].as_str().unwrap().starts_with("CN={77777777")), (1, true), "{effects:?}");
    assert_eq!(stage.addresses(), [BUILT_IN]);
    // The rehearsal has a journal of its own.
    let journals: Vec<String> =
        stage.desk.run_dirs().iter().map(|dir| std::fs::read_to_string(dir.join("journal")).unwrap()).collect();
    let kept = |journal: &String| journal.contains("evidence_stored") && journal.contains("CN={77777777");
    assert_eq!(journals.iter().filter(|journal| kept(journal)).count(), 1, "{journals:?}");
}

#[test]
fn an_endpoint_that_is_not_there_cannot_be_bound() {
    let Some(stage) = Stage::new(|_| {}, &remove()) else { return };
    assert_ne!(stage.run().says("there is nothing to remove").code, Some(0));
    assert!(stage.effects().is_empty());
}

fn service(computer: &str, more: &str) -> String {
    format!("  - {{ id: stop, uses: lync.service, with: {{ host: fe01, computer: {computer}, state: stopped{more} }} }}\n")
}

#[test]
fn services_are_stopped_with_one_command_and_those_on_their_way_are_waited_for() {
    let Some(stage) = Stage::new(|world| world["pending_looks"] = json!(4), &service("pc01.contoso.com", "")) else { return };
    stage.desk.relevo(&["rehearse", "plan.yaml"]).exits(0).says("RTCCHAT: Running -> Stopped");
    stage.run().exits(0);
    assert_eq!(stage.began("Stop-CsWindowsService"), 1);
    assert_eq!(stage.effects().len(), 2);
    let now = stage.world();
    assert_eq!(now["computers"]["pc01.contoso.com"]["RTCPCC"]["status"], "Stopped", "{now}");
}

#[test]
fn one_service_is_stopped_and_the_other_left_alone() {
    let Some(stage) = Stage::new(|_| {}, &service("pc01.contoso.com", ", services: [rtcchat]")) else { return };
    stage.run().exits(0);
    assert_eq!(stage.judge.effects()[0]["service"], "RTCCHAT");
    assert_eq!(stage.world()["computers"]["pc01.contoso.com"]["RTCPCC"]["status"], "Running");
    assert!(stage.desk.journal().contains("\"services\":{\"RTCCHAT\":\"Stopped\"}"), "{}", stage.desk.journal());
}

#[test]
fn a_group_chat_server_is_no_server_of_lync() {
    let Some(stage) = Stage::new(|_| {}, &service("gc01.contoso.com", "")) else { return };
    assert_ne!(stage.run().says("use `windows.service` there").code, Some(0));
    // The cmdlet may give an empty list for such a server, or an error.
    stage.desk.steps(&service("gc02.contoso.com", ""));
    assert_ne!(stage.run().says("use `windows.service` there").code, Some(0));
    assert_eq!(stage.began("Stop-CsWindowsService"), 0);
}

#[test]
fn a_policy_that_lets_nobody_in_fails() {
    let steps = "  - { id: policy, uses: lync.policy.check, with: { host: fe01 } }\n";
    let Some(stage) = Stage::new(|world| world["policies"] = json!({ "Global": false, "Site:Madrid": false }), steps) else {
        return;
    };
    stage.desk.relevo(&["rehearse", "plan.yaml"]).exits(7).says("nobody may use Persistent Chat");
    stage.run().exits(3).says("nobody may use Persistent Chat");
    stage.change(|world| world["policies"]["Site:Madrid"] = json!(true));
    stage.desk.forget_runs();
    stage.run().exits(0);
}

#[test]
fn a_pool_tells_later_steps_where_its_data_is() {
    let steps = "  - { id: pool, uses: lync.pool.check, with: { host: fe01, pool: pcpool.contoso.com, legacy_pool: gcpool.contoso.com } }\n\
                 \x20 - { id: say, needs: [pool], uses: command, with: { argv: [printf, '%s', \"${{ steps.pool.outputs.db_instance }} ${{ steps.pool.outputs.file_store }}\"] }, outputs: { said: { from: stdout } } }\n";
    let Some(stage) = Stage::new(|_| {}, steps) else { return };
    stage.run().exits(0);
    let said = json!({ "said": "sql13.contoso.com\\rtc \\\\fs01\\chat" }).to_string();
    assert!(stage.desk.journal().contains(&said), "{}", stage.desk.journal());
    assert!(stage.desk.journal().contains("pc02.contoso.com"));
    stage.change(|world| world["pools"][0]["next_hop"] = json!("pcpool.contoso.com"));
    stage.desk.forget_runs();
    stage.run().exits(3).says("Standard Edition");
}

#[test]
fn whether_somebody_is_signed_in_is_known_only_of_stopped_services() {
    let steps = "  - { id: nobody, uses: lync.sessions.check, with: { host: fe01, computers: [pc01.contoso.com] } }\n";
    let Some(stage) = Stage::new(|_| {}, steps) else { return };
    stage.run().exits(3).says("cannot be told").says("Sessions: 12");
    stage.change(|world| {
        for name in ["RTCCHAT", "RTCPCC"] {
            world["computers"]["pc01.contoso.com"][name]["status"] = json!("Stopped");
        }
    });
    stage.desk.forget_runs();
    stage.run().exits(0);
}

#[test]
fn the_user_database_is_updated_once_and_a_rehearsal_does_not() {
    let steps = "  - { id: update, uses: lync.user_database.update, with: { host: fe01, pool: fepool.contoso.com } }\n";
    let Some(stage) = Stage::new(|_| {}, steps) else { return };
    stage.desk.relevo(&["rehearse", "plan.yaml"]).exits(0).says("only parsed");
    assert!(stage.effects().is_empty());
    stage.run().exits(0);
    assert_eq!(stage.judge.effects()[0]["fqdn"], "fepool.contoso.com");
}

#[test]
fn a_pool_of_trusted_applications_goes_with_its_own_and_no_other() {
    let steps = "  - { id: pool, uses: lync.trusted_application.remove, with: { host: fe01, pool: gcpool.contoso.com } }\n";
    let Some(stage) = Stage::new(|_| {}, steps) else { return };
    stage.desk.relevo(&["rehearse", "plan.yaml"]).exits(0).says("gcpool.contoso.com/urn:application:groupchat");
    stage.run().exits(0);
    assert_eq!(stage.effects(), ["Remove-CsTrustedApplicationPool"]);
    assert_eq!(stage.world()["trusted"], json!(["other.contoso.com/urn:application:x"]));
}

#[test]
fn one_trusted_application_goes_by_its_name() {
    let steps = "  - { id: app, uses: lync.trusted_application.remove, with: { host: fe01, application: gcpool.contoso.com/groupchat } }\n";
    let Some(stage) = Stage::new(|_| {}, steps) else { return };
    stage.run().exits(0);
    assert_eq!(stage.judge.effects()[0]["identity"], "gcpool.contoso.com/urn:application:groupchat");
    assert_eq!(stage.world()["trusted_pools"], json!(["gcpool.contoso.com", "other.contoso.com"]));
}

#[test]
fn a_topology_that_was_being_enabled_goes_to_a_person_and_what_was_published_is_kept() {
    let steps = "  - { id: enable, uses: lync.topology.enable, with: { host: fe01 } }\n";
    let Some(stage) = Stage::new(|world| world["slow"] = json!({ "Enable-CsTopology": 300 }), steps) else { return };
    let mut run = stage.desk.start(&["run", "plan.yaml"]);
    wait_for("the pipeline", || stage.began("Enable-CsTopology") == 1);
    run.kill();
    stage.desk.relevo(&["resume", "--yes"]).exits(4).says("it destroys, and it has no probe");
    assert!(stage.effects().is_empty());
    let evidence = std::fs::read_dir(stage.desk.run_dir().join("evidence")).unwrap();
    let kept: Vec<String> = evidence.flatten().map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect();
    assert!(kept.iter().any(|text| text.contains("<Pool>pcpool.contoso.com</Pool>")), "{kept:?}");
}

#[test]
fn any_cmdlet_can_be_run_and_no_script_can() {
    let steps = "  - { id: domains, uses: lync.cmdlet, effect: read, with: { host: fe01, cmdlet: Get-CsPool, parameters: { Identity: pcpool.contoso.com } } }\n\
                 \x20 - { id: say, needs: [domains], uses: command, with: { argv: [printf, '%s', \"${{ steps.domains.outputs.first.Computers[1] }}\"] }, outputs: { said: { from: stdout } } }\n";
    let Some(stage) = Stage::new(|_| {}, steps) else { return };
    stage.run().exits(0);
    assert!(stage.desk.journal().contains(&json!({ "said": "pc02.contoso.com" }).to_string()), "{}", stage.desk.journal());
    stage.desk.steps(&steps.replace("Get-CsPool,", "'Get-CsPool; Get-CsUser',"));
    stage.desk.forget_runs();
    assert_ne!(stage.run().says("is no name of a cmdlet").code, Some(0));
}

#[test]
fn the_probe_of_a_cmdlet_decides_whether_it_was_done() {
    let steps = "  - { id: policy, uses: lync.cmdlet, effect: ensure, with: { host: fe01, cmdlet: Enable-CsTopology, parameters: { Confirm: false } }, \
                 probe: { uses: lync.cmdlet, with: { host: fe01, cmdlet: Get-CsPersistentChatPolicy }, verdict: { done: \"first.EnablePersistentChat\", \
                 not_done: \"not first.EnablePersistentChat\" } } }\n";
    let Some(stage) = Stage::new(|_| {}, steps) else { return };
    stage.run().exits(0);
    assert!(stage.effects().is_empty(), "done already");
    stage.change(|world| world["policies"]["Global"] = json!(false));
    stage.run().exits(4).says("the probe does not show it");
    assert_eq!(stage.effects(), ["Enable-CsTopology"]);
}

// ---- Going back. No verb does it yet, so that the connector is asked itself. ----

/// Keeps evidence in a folder.
struct Folder(std::path::PathBuf);

impl Evidence for Folder {
    fn store(&self, kind: &str, bytes: &[u8]) -> std::io::Result<EvidenceRef> {
        let sha256 = relevo::plan::hex(&sha2::Sha256::digest(bytes));
        std::fs::write(self.0.join(&sha256), bytes)?;
        Ok(EvidenceRef { sha256, bytes: bytes.len() as u64, kind: kind.to_owned() })
    }
}

/// A step that is done and taken back by hand.
struct Step {
    runtime: tokio::runtime::Runtime,
    connector: Arc<dyn Connector>,
    folder: tempfile::TempDir,
    call: Call,
}

impl Step {
    fn new(stage: &Stage, uses: &str, with: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("password");
        std::fs::write(&secret, PASSWORD).unwrap();
        // A secret's file is nobody else's.
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let reference = json!({ "$secret": { "file": secret } });
        let host = json!({
            "url": stage.judge.url("/OcsPowerShell"), "settle": { "poll": "50ms", "stable_for": "1s" },
            "auth": { "negotiate": { "user": USER, "password": reference } },
        });
        let targets = Targets {
            value: json!({ "hosts": { "fe01": host } }).as_object().unwrap().clone(),
            names: [("fe01".to_owned(), "hosts".to_owned())].into(),
            ..Targets::default()
        };
        let call = Call {
            run: Arc::from("r1"),
            step: StepId::new("a"),
            attempt: 1,
            uses: uses.to_owned(),
            with: with.as_object().unwrap().clone(),
            outputs: Arc::from([]),
            identity: Identity::new(),
            folder: Arc::from(folder.path()),
            scratch: folder.path().join("attempts"),
            targets: Arc::new(targets),
            excluded: Arc::new([]),
            before_image: None,
            handle: None,
            timeout: Some(Span::from_secs(60)),
            effect: Effect::Ensure,
            probed: true,
            assumed: false,
            until: None,
            sent: relevo::run::connector::Sent::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connector = Connectors::standard(Options::default()).for_action(uses).unwrap();
        std::fs::create_dir(folder.path().join("evidence")).unwrap();
        Step { runtime, connector, folder, call }
    }

    fn bind(&mut self) {
        match self.runtime.block_on(self.connector.pin(&self.call)) {
            Pin::Bound { identity, .. } => self.call.identity = identity,
            Pin::NotNeeded => {}
            Pin::Cannot { reason, .. } => panic!("{reason}"),
        }
    }

    /// Keeps what was there, and does it.
    fn apply(&mut self) -> Outcome {
        self.bind();
        let evidence = Folder(self.folder.path().join("evidence"));
        let image = self.runtime.block_on(self.connector.before_image(&self.call, &evidence)).unwrap();
        self.call.before_image = image.map(|image| BeforeImage::of(&evidence.0, &image));
        self.runtime.block_on(self.connector.apply(&self.call))
    }

    fn undo(&self) -> Outcome {
        let image = self.call.before_image.as_ref().map(|kept| kept.read(u64::MAX).unwrap());
        self.runtime.block_on(self.connector.undo(&self.call, image.as_deref()))
    }
}

fn endpoint() -> Value {
    json!({ "host": "fe01", "sip_address": URI, "pool": "pcpool.contoso.com" })
}

#[test]
fn a_created_endpoint_is_taken_back_and_one_that_was_there_before_is_not() {
    let Some(stage) = Stage::new(|_| {}, "") else { return };
    let mut step = Step::new(&stage, "lync.endpoint.create", &endpoint());
    assert!(matches!(step.apply(), Outcome::Applied { .. }));
    let created = stage.judge.effects()[0]["identity"].as_str().unwrap().to_owned();
    assert!(matches!(step.undo(), Outcome::Applied { .. }));
    assert_eq!(stage.judge.effects()[1]["identity"], created);
    assert_eq!(stage.addresses(), [BUILT_IN]);
    // Twice is once.
    assert!(matches!(step.undo(), Outcome::Applied { .. }));
    stage.change(|world| world["contacts"].as_array_mut().unwrap().push(ours("pcpool.contoso.com")));
    let mut step = Step::new(&stage, "lync.endpoint.create", &endpoint());
    assert!(matches!(step.apply(), Outcome::Applied { .. }), "adopted");
    let Outcome::Rejected { reason, untouched: true } = step.undo() else { panic!("it was there before") };
    assert!(reason.contains("was there before this step"), "{reason}");
    assert_eq!(stage.addresses(), [BUILT_IN, URI]);
}

#[test]
fn an_endpoint_that_moved_to_another_pool_since_is_not_taken_back() {
    let Some(stage) = Stage::new(|_| {}, "") else { return };
    let mut step = Step::new(&stage, "lync.endpoint.create", &endpoint());
    assert!(matches!(step.apply(), Outcome::Applied { .. }));
    stage.change(|world| world["contacts"][1]["pool"] = json!("pcpool2.contoso.com"));
    assert!(matches!(step.undo(), Outcome::Rejected { untouched: true, .. }));
    assert_eq!(stage.addresses(), [BUILT_IN, URI]);
}

#[test]
fn a_removed_endpoint_comes_back_with_its_display_name_and_another_identity() {
    let Some(stage) = Stage::new(|world| world["contacts"].as_array_mut().unwrap().push(ours("pcpool.contoso.com")), "") else {
        return;
    };
    let mut step = Step::new(&stage, "lync.endpoint.remove", &endpoint());
    assert!(matches!(step.apply(), Outcome::Applied { .. }));
    assert!(matches!(step.undo(), Outcome::Applied { .. }));
    let contacts = stage.world()["contacts"].clone();
    assert_eq!((&contacts[1]["sip"], &contacts[1]["display"]), (&json!(URI), &json!("Legacy")), "{contacts}");
    assert!(!contacts[1]["identity"].as_str().unwrap().starts_with("CN={77777777"));
}

#[test]
fn a_contact_that_was_made_anew_since_is_not_removed() {
    let Some(stage) = Stage::new(|world| world["contacts"].as_array_mut().unwrap().push(ours("pcpool.contoso.com")), "") else {
        return;
    };
    let mut step = Step::new(&stage, "lync.endpoint.remove", &endpoint());
    step.bind();
    let image = Folder(step.folder.path().join("evidence"));
    let kept = step.runtime.block_on(step.connector.before_image(&step.call, &image)).unwrap().unwrap();
    step.call.before_image = Some(BeforeImage::of(&image.0, &kept));
    stage.change(|world| world["contacts"][1]["identity"] = json!(format!("CN={{88888888}},{CONTAINER}")));
    // Ours is gone; who made the new one knows why.
    assert!(matches!(step.runtime.block_on(step.connector.apply(&step.call)), Outcome::Applied { .. }));
    assert_eq!(stage.addresses(), [BUILT_IN, URI]);
    assert_eq!(stage.began("Remove-CsPersistentChatEndpoint"), 0);
    stage.change(|world| world["contacts"][1]["identity"] = json!(step.call.identity["identity"]));
    stage.change(|world| world["contacts"][1]["sip"] = json!("sip:other@contoso.com"));
    assert!(matches!(step.runtime.block_on(step.connector.apply(&step.call)), Outcome::Rejected { untouched: true, .. }));
    assert_eq!(stage.began("Remove-CsPersistentChatEndpoint"), 0);
}

#[test]
fn services_go_back_to_what_they_did_before() {
    let half = |world: &mut Value| world["computers"]["pc01.contoso.com"]["RTCPCC"]["status"] = json!("Stopped");
    let Some(stage) = Stage::new(half, "") else { return };
    let with = json!({ "host": "fe01", "computer": "pc01.contoso.com", "state": "running" });
    let mut step = Step::new(&stage, "lync.service", &with);
    assert!(matches!(step.apply(), Outcome::Applied { .. }));
    assert!(matches!(step.undo(), Outcome::Applied { .. }));
    let services = stage.world()["computers"]["pc01.contoso.com"].clone();
    assert_eq!(
        (&services["RTCCHAT"]["status"], &services["RTCPCC"]["status"]),
        (&json!("Running"), &json!("Stopped")),
        "{services}"
    );
    assert_eq!(stage.effects(), ["Start-CsWindowsService", "Stop-CsWindowsService"]);
}
