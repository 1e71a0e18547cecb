//! What the administrative cmdlets answer, asked as a client asks.

use super::ALL;
use super::bench::{Bench, ids, text};
use crate::lab::lync::directory::Holder;
use crate::lab::windows::machine::{Start, State};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{Command, CreatePipeline};

fn get(name: &str) -> Command {
    Command::new(name)
}

fn named(cmdlet: &str, identity: &str) -> Command {
    Command::new(cmdlet).parameter("Identity", identity)
}

#[test]
fn every_cmdlet_is_in_the_list_of_the_manual_with_each_of_its_parameters() {
    let manual = include_str!("../../../../docs/lab.md");
    let (_, manual) = manual.split_once("\n## Lync").unwrap();
    for cmdlet in ALL.iter().copied().flatten() {
        let line = manual.lines().find(|line| line.starts_with(&format!("| `{}` |", cmdlet.name)));
        let line = line.unwrap_or_else(|| panic!("docs/lab.md does not list {}", cmdlet.name));
        for parameter in cmdlet.parameters {
            assert!(line.contains(&format!("`-{}`", parameter.name)), "{} -{} in docs/lab.md", cmdlet.name, parameter.name);
        }
    }
}

#[test]
fn a_persistent_chat_pool_leads_to_its_servers_its_database_and_its_file_store() {
    let mut bench = Bench::new();
    let pools = bench.fine(get("Get-CsService").switch("PersistentChatServer"));
    assert_eq!(pools.len(), 2);
    assert_eq!(text(&pools[0], "Identity"), "PersistentChatServer:pcpool.contoso.lan");
    assert_eq!(text(&pools[0], "ActiveServers"), "pc01.contoso.lan,pc02.contoso.lan");
    assert_eq!((text(&pools[0], "Version"), text(&pools[0], "Registrar")), ("6".into(), "Registrar:pool01.contoso.lan".into()));
    // Two instances on one computer are told apart.
    let databases: Vec<String> = pools.iter().map(|pool| text(pool, "PersistentChatDatabase")).collect();
    let listed = bench.fine(get("Get-CsService").switch("PersistentChatDatabase"));
    assert_eq!(databases, listed.iter().map(|one| text(one, "Identity")).collect::<Vec<_>>());
    assert_ne!(databases[0], databases[1]);
    assert_eq!(
        (text(&listed[1], "PoolFqdn"), text(&listed[1], "SqlInstanceName")),
        ("sql01.contoso.lan".into(), "PCHAT2".into())
    );
    let store = bench.fine(named("Get-CsService", &text(&pools[0], "FileStore")));
    assert_eq!(text(&store[0], "UncPath"), "\\\\fs01.contoso.lan\\LyncShare");
    let computers = bench.names(named("Get-CsPool", "pcpool.contoso.lan"), "Computers");
    assert_eq!(computers, ["pc01.contoso.lan,pc02.contoso.lan"]);
    assert_eq!(bench.names(get("Get-CsComputer").parameter("Pool", "PCPOOL2.contoso.lan"), "Fqdn"), ["pc03.contoso.lan"]);
    assert_eq!(bench.names(get("Get-CsComputer").switch("Local"), "Fqdn"), ["fe01.contoso.lan"]);
    assert_eq!(bench.names(get("Get-CsSite"), "DisplayName"), ["Madrid"]);
    assert_eq!(bench.names(get("Get-CsPool").parameter("Filter", "pc*"), "Fqdn"), ["pcpool.contoso.lan", "pcpool2.contoso.lan"]);
    assert!(bench.fine(get("Get-CsPool").parameter("Site", "Lisbon")).is_empty());
    assert!(bench.fine(get("Get-CsService").switch("EdgeServer")).is_empty());
}

#[test]
fn what_cannot_be_asked_for_is_an_error() {
    let mut bench = Bench::new();
    assert_eq!(bench.complaints(named("Get-CsPool", "nothing.contoso.lan")), ["NotFound"]);
    assert_eq!(bench.complaints(named("Get-CsPool", "a").parameter("Filter", "b")), ["AmbiguousParameterSet"]);
    assert_eq!(bench.complaints(get("Get-CsService").switch("Registrar").switch("FileStore")), ["AmbiguousParameterSet"]);
    assert_eq!(bench.complaints(get("Get-CsService").switch("Rubbish")), ["NamedParameterNotFound"]);
    assert_eq!(bench.complaints(get("Get-CsPersistentChatPool")), ["CommandNotFoundException"]);
    assert_eq!(
        bench.complaints(get("Enable-CsTopology").parameter("SkipPrepareCheck", "yes")),
        ["ParameterArgumentTransformationError"]
    );
    // By their documentation these two cannot be tried out.
    assert_eq!(bench.complaints(get("Invoke-CsManagementStoreReplication").switch("WhatIf")), ["NamedParameterNotFound"]);
    assert_eq!(
        bench.complaints(named("Remove-CsTrustedApplicationPool", "gcpool.contoso.lan").switch("Confirm")),
        ["HostFunctionNotImplemented"]
    );
}

#[test]
fn services_of_a_server_stop_and_start_from_the_front_end_with_what_needs_them() {
    let mut bench = Bench::new();
    let all = ["RTCCHAT", "RTCCOMPLIANCE", "REPLICA"];
    let on = |name: &str| get(name).parameter("ComputerName", "pc03.contoso.lan");
    assert_eq!(bench.names(on("Get-CsWindowsService"), "Name"), all);
    assert_eq!(bench.names(on("Get-CsWindowsService"), "Status"), ["Running"; 3]);
    let kept = bench.call(on("Stop-CsWindowsService").switch("WhatIf"));
    assert!(!kept.ran.wrote && kept.changed.machines.is_empty(), "{kept:?}");
    let kept = bench.call(on("Stop-CsWindowsService").parameter("Confirm", false));
    assert!(kept.ran.wrote && kept.changed.machines.contains("pc03"), "{kept:?}");
    assert_eq!(bench.states("pc03", &all), [State::Stopped; 3]);
    assert_eq!(bench.states("pc03", &["Spooler"]), [State::Running], "no other service");
    // Once more is no error, and no change.
    let kept = bench.call(on("Stop-CsWindowsService"));
    assert!(!kept.ran.wrote && ids(&kept.ran).is_empty());
    bench.fine(on("Start-CsWindowsService").parameter("Name", "rtcchat"));
    assert_eq!(bench.states("pc03", &all), [State::Running, State::Stopped, State::Stopped]);
    assert_eq!(bench.names(get("Get-CsWindowsService").argument("RTCSrv"), "RoleName"), ["Registrar,UserServer"]);
}

#[test]
fn a_slow_service_is_waited_for_unless_nobody_wants_to() {
    let mut bench = Bench::new();
    let pc01 = bench.machines.iter_mut().find(|machine| machine.name == "pc01").unwrap();
    let index = pc01.service("RTCCHAT").unwrap();
    pc01.services[index].slow_ms = 700;
    let start = || get("Start-CsWindowsService").parameter("ComputerName", "pc01.contoso.lan");
    let ran = bench.call(start().switch("NoWait")).ran;
    assert_eq!((ran.wrote, ran.busy.as_millis()), (true, 0));
    assert_eq!(bench.states("pc01", &["RTCCHAT"]), [State::StartPending]);
    let stop = get("Stop-CsWindowsService").parameter("ComputerName", "pc01.contoso.lan");
    assert_eq!(bench.call(stop).ran.busy.as_millis(), 700);
}

#[test]
fn only_servers_of_lync_2013_that_answer_have_services_here() {
    let mut bench = Bench::new();
    let on = |computer: &str| get("Get-CsWindowsService").parameter("ComputerName", computer);
    for other in ["gc01.contoso.lan", "fs01.contoso.lan", "fe00.contoso.lan", "nothing.contoso.lan"] {
        assert_eq!(bench.complaints(on(other)), ["NotAServer"], "{other}");
    }
    assert_eq!(bench.complaints(on("pc01.contoso.lan").parameter("Name", "Spooler")), ["NoSuchService"]);
    bench.unreachable.insert("pc01".to_owned());
    assert_eq!(bench.complaints(on("pc01.contoso.lan")), ["ComputerUnreachable"]);
    let pc02 = bench.machines.iter_mut().find(|machine| machine.name == "pc02").unwrap();
    let index = pc02.service("RTCCHAT").unwrap();
    pc02.services[index].start = Start::Disabled;
    let start = get("Start-CsWindowsService")
        .parameter("ComputerName", "pc02.contoso.lan")
        .parameter("Report", "D:\\Migration\\start.html");
    assert_eq!(bench.complaints(start), ["ServiceRefused"]);
    assert_eq!(bench.states("pc02", &["RTCCHAT", "RTCCOMPLIANCE"]), [State::Stopped, State::Running], "the others start");
    assert!(bench.file("D/Migration/start.html").unwrap().contains("RTCCHAT"));
}

#[test]
fn a_pool_fails_over_and_its_servers_leave_and_join_the_list() {
    let mut bench = Bench::new();
    let identity = "PersistentChatServer:pcpool.contoso.lan";
    assert_eq!(bench.names(get("Get-CsPersistentChatState"), "PoolState"), ["Normal", "Normal"]);
    bench.fine(named("Set-CsPersistentChatState", identity).parameter("PoolState", "FailedOver"));
    assert_eq!(bench.names(named("Get-CsPersistentChatState", "service:pcpool.contoso.lan"), "PoolState"), ["FailedOver"]);
    let servers = |change: Value| named("Set-CsPersistentChatActiveServer", identity).parameter("ActiveServers", change);
    bench.fine(servers(Value::dictionary([("Remove", "pc01.contoso.lan")])));
    assert_eq!(bench.deployment.chat_pools[0].active, ["pc02.contoso.lan"]);
    bench.fine(named("Set-CsPersistentChatActiveServer", identity).switch("Swap"));
    assert_eq!(bench.deployment.chat_pools[0].active, ["pc01.contoso.lan"]);
    bench.fine(servers(Value::Nil));
    assert!(bench.deployment.chat_pools[0].active.is_empty());
    bench.fine(servers(Value::dictionary([("Add", "PC02.contoso.lan")])));
    assert_eq!(bench.deployment.chat_pools[0].active, ["pc02.contoso.lan"]);
    assert_eq!(bench.complaints(servers(Value::dictionary([("Add", "gc01.contoso.lan")]))), ["NotFound"]);
    assert_eq!(bench.complaints(named("Set-CsPersistentChatActiveServer", identity)), ["MissingMandatoryParameter"]);
    assert_eq!(bench.complaints(get("Set-CsPersistentChatState").parameter("PoolState", "Normal")), ["AmbiguousPool"]);
}

#[test]
fn a_policy_is_off_until_it_is_turned_on_and_is_granted_to_users() {
    let mut bench = Bench::new();
    let user = |dn: &str, address: &str| Holder { dn: dn.to_owned(), address: address.to_owned(), ..Holder::default() };
    bench.directory.0.push(user("CN=aruiz,OU=Staff,DC=contoso,DC=lan", "sip:aruiz@contoso.lan"));
    let on = |bench: &mut Bench| bench.names(get("Get-CsPersistentChatPolicy"), "EnablePersistentChat");
    bench.fine(named("Remove-CsPersistentChatPolicy", "global"));
    assert_eq!(on(&mut bench), ["False"], "as after the installation");
    bench.fine(get("Set-CsPersistentChatPolicy").parameter("EnablePersistentChat", true));
    let made = bench.fine(named("New-CsPersistentChatPolicy", "Traders"));
    assert_eq!((text(&made[0], "Identity"), text(&made[0], "EnablePersistentChat")), ("Tag:Traders".into(), "False".into()));
    bench.fine(named("New-CsPersistentChatPolicy", "site:madrid").parameter("EnablePersistentChat", true));
    assert_eq!(on(&mut bench), ["True", "False", "True"]);
    assert_eq!(bench.complaints(named("New-CsPersistentChatPolicy", "Traders")), ["PolicyExists"]);
    assert_eq!(bench.complaints(named("New-CsPersistentChatPolicy", "Global")), ["GlobalExists"]);
    assert_eq!(bench.complaints(named("New-CsPersistentChatPolicy", "site:Lisbon")), ["NotFound"]);
    let grant = |policy: Value| named("Grant-CsPersistentChatPolicy", "aruiz@contoso.lan").parameter("PolicyName", policy);
    bench.fine(grant("Traders".into()));
    assert_eq!(bench.deployment.granted.values().collect::<Vec<_>>(), ["Traders"]);
    assert_eq!(bench.complaints(grant("site:Madrid".into())), ["NotFound"], "it holds by itself");
    assert_eq!(
        bench.complaints(named("Remove-CsPersistentChatPolicy", "Traders")),
        ["HostFunctionNotImplemented"],
        "it is in use"
    );
    bench.fine(grant(Value::Nil));
    bench.fine(named("Remove-CsPersistentChatPolicy", "Tag:Traders"));
    assert_eq!(on(&mut bench), ["True", "True"]);
    // What would be done is not done.
    bench.fine(get("Set-CsPersistentChatPolicy").parameter("EnablePersistentChat", false).switch("WhatIf"));
    assert_eq!(on(&mut bench), ["True", "True"]);
}

#[test]
fn a_trusted_pool_goes_with_its_parts_and_its_contacts_when_the_topology_is_enabled() {
    let mut bench = Bench::new();
    let contact = |guid: &str, pool: &str| Holder {
        guid: guid.to_owned(),
        is_contact: true,
        chat_pool: Some(pool.to_owned()),
        ..Holder::default()
    };
    bench.directory.0 = vec![contact("1", "gcpool.contoso.lan"), contact("2", "pcpool.contoso.lan")];
    assert_eq!(bench.names(get("Get-CsTrustedApplication"), "Identity"), ["gcpool.contoso.lan/urn:application:groupchat"]);
    assert_eq!(bench.fine(named("Get-CsTrustedApplication", "gcpool.contoso.lan/groupchat")).len(), 1);
    let pools = bench.fine(named("Get-CsTrustedApplicationPool", "gcpool.contoso.lan"));
    assert_eq!(text(&pools[0], "Identity"), "TrustedApplicationPool:gcpool.contoso.lan");
    assert_eq!(text(&pools[0], "Registrar"), "Registrar:oldpool.contoso.lan");
    let computers = get("Get-CsTrustedApplicationComputer").parameter("Pool", "gcpool.contoso.lan");
    assert_eq!(bench.names(computers, "Fqdn"), ["gc01.contoso.lan", "gc02.contoso.lan"]);
    bench.fine(named("Remove-CsTrustedApplicationComputer", "gc01.contoso.lan").switch("Force"));
    assert_eq!(bench.complaints(named("Remove-CsTrustedApplicationComputer", "gc02.contoso.lan")), ["OnlyComputer"]);
    bench.fine(named("Remove-CsTrustedApplication", "gcpool.contoso.lan/groupchat"));
    assert!(bench.fine(get("Get-CsTrustedApplication")).is_empty());
    let xml = |bench: &mut Bench| bench.fine(get("Get-CsTopology").switch("AsXml"))[0].to_text();
    assert!(xml(&mut bench).contains("gcpool.contoso.lan"));
    bench.fine(named("Remove-CsTrustedApplicationPool", "TrustedApplicationPool:gcpool.contoso.lan"));
    assert!(!xml(&mut bench).contains("gcpool.contoso.lan") && xml(&mut bench).contains("pcpool.contoso.lan"));
    assert!(roxmltree::Document::parse(&xml(&mut bench)).is_ok());
    assert_eq!(bench.complaints(named("Get-CsComputer", "gc02.contoso.lan")), ["NotFound"]);
    // Removed from what is published, and in effect until it is enabled.
    assert_eq!((bench.deployment.in_effect.len(), bench.directory.0.len()), (1, 2));
    bench.fine(get("Enable-CsTopology").switch("WhatIf"));
    assert_eq!((bench.deployment.in_effect.len(), bench.directory.0.len()), (1, 2));
    bench.fine(get("Enable-CsTopology").parameter("Confirm", false));
    assert!(bench.deployment.in_effect.is_empty());
    let left: Vec<&str> = bench.directory.0.iter().map(|holder| holder.guid.as_str()).collect();
    assert_eq!(left, ["2"], "that of another pool stays");
    bench.deployment.trusted_pools = crate::lab::lync::contoso::deployment().trusted_pools;
    bench.deployment.trusted_pools[0].registrar.clear();
    assert_eq!(bench.complaints(named("Remove-CsTrustedApplicationPool", "gcpool.contoso.lan")), ["NoRegistrar"]);
}

#[test]
fn a_change_reaches_every_server_in_time_but_one_that_is_down_or_without_its_agent() {
    let mut bench = Bench::new();
    let status = |bench: &mut Bench| bench.names(get("Get-CsManagementStoreReplicationStatus"), "UpToDate");
    assert_eq!(status(&mut bench), ["True"; 4]);
    bench.unreachable.insert("pc01".to_owned());
    bench.fine(get("Stop-CsWindowsService").parameter("ComputerName", "pc02.contoso.lan").parameter("Name", "REPLICA"));
    bench.fine(get("Invoke-CsManagementStoreReplication"));
    assert_eq!(status(&mut bench), ["False"; 4]);
    bench.now += 10_000;
    assert_eq!(status(&mut bench), ["True", "False", "False", "True"]);
    bench.unreachable.clear();
    let one = get("Get-CsManagementStoreReplicationStatus").argument("pc01.contoso.lan");
    assert_eq!(bench.names(one, "UpToDate"), ["True"]);
    assert_eq!(bench.complaints(get("Get-CsManagementStoreReplicationStatus").argument("gc01.contoso.lan")), ["NotFound"]);
    let store = bench.fine(get("Get-CsManagementStoreReplicationStatus").switch("CentralManagementStoreStatus"));
    assert_eq!(text(&store[0], "ActiveMasterFqdn"), "fe01.contoso.lan");
}

#[test]
fn an_account_is_shown_the_cmdlets_of_its_roles_and_no_others() {
    let mut bench = Bench::new();
    let roles = |name: &str| named("Get-CsAdminRoleAssignment", name);
    let list = |values: Vec<Value>| values.iter().map(Value::to_text).collect::<Vec<_>>();
    assert_eq!(list(bench.fine(roles("svc-mig"))), ["CsAdministrator", "CsPersistentChatAdministrator"]);
    assert!(bench.fine(roles("svc-blind")).is_empty());
    let server = bench.fine(named("Get-CsAdminRole", "CsServerAdministrator"));
    let cmdlets = text(&server[0], "Cmdlets");
    assert!(cmdlets.contains("Stop-CsWindowsService") && !cmdlets.contains("Enable-CsTopology"), "{cmdlets}");
    assert_eq!(bench.fine(get("Get-CsAdminRole").parameter("Filter", "*Administrator")).len(), 5);
    bench.account = "CONTOSO\\svc-reader";
    assert_eq!(bench.fine(get("Get-CsPersistentChatState")).len(), 2);
    assert_eq!(bench.complaints(get("Stop-CsWindowsService")), ["CommandNotFoundException"]);
    let shown = bench.names(get("Get-Command"), "Name");
    assert!(shown.iter().all(|name| name.starts_with("Get-")) && shown.len() > 10, "{shown:?}");
    bench.account = "CONTOSO\\svc-blind";
    assert_eq!(bench.names(get("Get-Command"), "Name"), ["Get-Command"]);
}

#[test]
fn one_cmdlet_is_a_pipeline_and_a_script_is_not() {
    let pipeline = CreatePipeline::new(vec![Command { is_script: true, ..Command::new("Get-CsPool") }]);
    assert!(pipeline.only_command().is_some_and(|command| command.is_script));
    let mut bench = Bench::new();
    assert_eq!(bench.complaints(Command { is_script: true, ..Command::new("Get-CsPool") }), ["ScriptsNotAllowed"]);
}
