use std::time::Duration;

use super::*;
use crate::lab::windows::cmdlets::ALL;
use crate::remoting::clixml::write;

#[test]
fn wmi_and_cim_show_the_same_services_in_two_dresses() {
    let mut world = World::fresh();
    let filter = "Name='lyncgcchannel' AND State LIKE 'Run%'";
    let ran = world.on("gc01", Command::new("Get-WmiObject").parameter("Class", "win32_service").parameter("Filter", filter));
    let wmi = ran.only();
    let object = wmi.as_object().expect("an object");
    assert_eq!(object.type_names[0], "System.Management.ManagementObject#root\\cimv2\\Win32_Service");
    assert_eq!(wmi.to_text(), "\\\\GC01\\root\\cimv2:Win32_Service.Name=\"LyncGCChannel\"");
    assert_eq!(
        (text(wmi, "StartMode"), text(wmi, "State"), text(wmi, "StartName")),
        ("Auto".into(), "Running".into(), "CONTOSO\\svc-groupchat".into())
    );
    assert!(matches!(wmi.get("ProcessId"), Some(Value::U32(number)) if *number > 0));
    // The property came with Windows 10: on these hosts the registry alone knows.
    assert!(wmi.get("DelayedAutoStart").is_none());
    let ran = world.on("gc01", Command::new("Get-CimInstance").argument("Win32_Service").parameter("Filter", filter));
    let cim = ran.only();
    assert_eq!(cim.to_text(), "Win32_Service (Name = \"LyncGCChannel\")");
    assert_eq!(cim.get("PathName"), wmi.get("PathName"));
    assert!(write(cim).is_ok() && write(wmi).is_ok());
    world.machine("gc01").version = "10.0.14393".to_owned();
    let ran = world
        .on("gc01", Command::new("Get-CimInstance").argument("Win32_Service").parameter("Filter", "DelayedAutoStart = TRUE"));
    assert_eq!(ran.fine().len(), 2);
}

#[test]
fn a_query_that_cannot_be_answered_says_why() {
    let mut world = World::fresh();
    let get = |name: &str| Command::new("Get-WmiObject").parameter("Class", name);
    let ran = world.on("gc01", get("Win32_Sandwich"));
    assert_eq!(ran.ids(), ["GetWMIManagementException,Microsoft.PowerShell.Commands.GetWmiObjectCommand"]);
    assert_eq!(ran.errors()[0].message(), "Invalid class \"Win32_Sandwich\"");
    let ran = world.on("gc01", get("Win32_Service").parameter("Filter", "Name=="));
    assert_eq!(ran.errors()[0].message(), "Invalid query \"select * from Win32_Service where Name==\"");
    let ran = world.on("gc01", Command::new("Get-CimInstance").argument("Win32_Sandwich"));
    assert_eq!(ran.ids(), ["HRESULT 0x80041010,Microsoft.Management.Infrastructure.CimCmdlets.GetCimInstanceCommand"]);
    let ran = world.on("gc01", get("Win32_Service").parameter("Property", Value::list(["Name", "state"])));
    let one = ran.fine()[0];
    assert!(one.get("State").is_some() && one.get("PathName").is_none());
}

#[test]
fn the_machine_says_what_it_is() {
    let mut world = World::fresh();
    let ran = world.on("pc01", Command::new("Get-CimInstance").argument("Win32_OperatingSystem"));
    let system = ran.only();
    assert_eq!((text(system, "CSName"), text(system, "Version")), ("PC01".to_owned(), "6.2.9200".to_owned()));
    assert!(system.get("LastBootUpTime").and_then(Value::as_timestamp).is_some());
    let ran = world.on("pc01", Command::new("Get-WmiObject").argument("Win32_OperatingSystem"));
    assert_eq!(text(ran.only(), "LastBootUpTime"), "20251115021147.000000+000");
    let ran = world.on(
        "gc01",
        Command::new("Get-WmiObject").argument("Win32_LogicalDisk").parameter("Filter", "DriveType=3 AND DeviceID='D:'"),
    );
    let (size, free) = (ran.only().get("Size").and_then(Value::as_u64), ran.only().get("FreeSpace").and_then(Value::as_u64));
    assert!(free > Some(0) && free < size);
    let ran = world.on("gc01", Command::new("Get-CimInstance").argument("Win32_ComputerSystem"));
    assert_eq!(text(ran.only(), "Domain"), "contoso.lan");
    assert!(world.on("gc01", Command::new("Get-Date")).only().as_timestamp().is_some());
    assert_eq!(world.on("gc01", Command::new("Get-PSDrive").parameter("PSProvider", "FileSystem")).fine().len(), 2);
    assert_eq!(text(world.on("gc01", Command::new("Get-Process").argument("LookupS*")).only(), "ProcessName"), "LookupService");
    let ran = world.on("gc01", Command::new("Get-Process").argument("nothing"));
    assert_eq!(ran.ids(), ["NoProcessFoundForGivenName,Microsoft.PowerShell.Commands.GetProcessCommand"]);
    assert_eq!(world.on("gc01", Command::new("Start-Sleep").parameter("Milliseconds", 1500)).busy, Duration::from_millis(1500));
}

#[test]
fn every_cmdlet_can_be_found_and_is_in_the_list_of_the_manual() {
    let mut world = World::fresh();
    let ran = world.on("gc01", Command::new("Get-Command"));
    let names: Vec<String> = ran.fine().iter().map(|one| text(one, "Name")).collect();
    let all: Vec<_> = ALL.iter().copied().flatten().collect();
    assert_eq!(names.len(), all.len());
    let manual = include_str!("../../../../docs/lab.md");
    for cmdlet in all {
        let line = manual.lines().find(|line| line.starts_with(&format!("| `{}` |", cmdlet.name)));
        let line = line.unwrap_or_else(|| panic!("docs/lab.md does not list {}", cmdlet.name));
        for parameter in cmdlet.parameters {
            assert!(line.contains(&format!("`-{}`", parameter.name)), "{} -{} in docs/lab.md", cmdlet.name, parameter.name);
        }
    }
    let ran = world.on("gc01", Command::new("Get-Command").argument("Stop-Everything"));
    assert_eq!(ran.ids(), ["CommandNotFoundException,Microsoft.PowerShell.Commands.GetCommandCommand"]);
}

#[test]
fn a_fresh_world_is_the_same_every_time() {
    let (mut one, mut other) = (World::fresh(), World::fresh());
    assert_eq!(contoso::machines(), contoso::machines());
    let list = |world: &mut World| {
        let command = Command::new("Get-ChildItem").argument("D:\\GroupChatFiles").switch("Recurse").switch("File");
        let ran = world.on("gc01", command);
        ran.fine()
            .iter()
            .map(|file| (text(file, "FullName"), text(file, "Length"), text(file, "LastWriteTimeUtc")))
            .collect::<Vec<_>>()
    };
    let (first, second) = (list(&mut one), list(&mut other));
    assert_eq!(first.len(), 320);
    assert_eq!(first, second);
    assert!(first.iter().any(|(path, ..)| !path.is_ascii()));
    for name in ["gc01", "gc02", "pc01", "pc02", "pc03", "fe01", "fs01", "sql01"] {
        assert!(one.machine(name).services.iter().any(|service| service.name == "W32Time"));
    }
    // Whatever a service needs is there, and its state is possible.
    for machine in &one.machines {
        for service in &machine.services {
            for needed in &service.depends_on {
                let index = machine.service(needed).unwrap_or_else(|| panic!("{} of {}", needed, machine.name));
                let both = (service.state, machine.services[index].state);
                assert!(both.0 == machine::State::Stopped || both.1 == machine::State::Running);
            }
        }
    }
    let state = serde_json::to_string(&one.machines).expect("json");
    assert_eq!(serde_json::from_str::<Vec<Machine>>(&state).expect("machines").len(), one.machines.len());
}
