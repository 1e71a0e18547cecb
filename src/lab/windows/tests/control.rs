use super::*;
use crate::lab::windows::machine::{Setting, Start, State};
use crate::remoting::clixml::write;

const GET: &str = "Microsoft.PowerShell.Commands.GetServiceCommand";

#[test]
fn a_service_is_shown_as_its_controller_is() {
    let mut world = World::fresh();
    let ran = world.on("gc01", Command::new("Get-Service").parameter("DisplayName", "*group chat look*"));
    let service = ran.only();
    assert!(service.as_object().expect("an object").is("System.ServiceProcess.ServiceController"));
    assert_eq!(service.to_text(), "LyncGCLookup");
    assert_eq!(service.get("Status").and_then(Value::as_i64), Some(4));
    assert_eq!(text(service, "Status"), "Running");
    assert_eq!(text(service, "StartType"), "Automatic");
    assert_eq!(service.get("CanStop"), Some(&Value::Bool(true)));
    assert_eq!(text(service, "ServicesDependedOn"), "RpcSs");
    assert_eq!(text(service, "DisplayName"), "Microsoft Lync Server 2010 Group Chat Lookup");
    assert!(write(service).is_ok());
    let names: Vec<String> = world.on("gc01", Command::new("Get-Service")).fine().iter().map(|one| text(one, "Name")).collect();
    let mut sorted = names.clone();
    sorted.sort_by_key(|name| name.to_lowercase());
    assert_eq!(names, sorted);
}

#[test]
fn a_name_that_nobody_has_is_an_error_and_a_pattern_is_none() {
    let mut world = World::fresh();
    let ran = world.on("gc01", Command::new("Get-Service").argument(Value::list(["Nobody", "W32*", "nob*"])));
    assert_eq!(ran.ids(), [format!("NoServiceFoundForGivenName,{GET}")]);
    let record = ran.errors()[0];
    assert_eq!(record.message(), "Cannot find any service with service name 'Nobody'.");
    assert_eq!(record.exception_type, "Microsoft.PowerShell.Commands.ServiceCommandException");
    assert_eq!((record.category.name(), record.category.activity.as_str()), ("ObjectNotFound", "Get-Service"));
    assert_eq!(ran.objects().len(), 1);
    let ran = world.on("gc01", Command::new("Get-Service").parameter("DisplayName", "Nothing"));
    assert_eq!(ran.errors()[0].message(), "Cannot find any service with display name 'Nothing'.");
}

#[test]
fn a_service_that_others_need_stops_only_with_force_and_they_stop_first() {
    let mut world = World::fresh();
    let ran = world.on("sql01", Command::new("Stop-Service").argument("MSSQL$RTC"));
    assert_eq!(ran.ids(), ["ServiceHasDependentServices,Microsoft.PowerShell.Commands.StopServiceCommand"]);
    assert_eq!(
        ran.errors()[0].message(),
        "Cannot stop service 'SQL Server (RTC) (MSSQL$RTC)' because it has dependent services. It can only be stopped if the Force \
         flag is set."
    );
    assert_eq!(ran.errors()[0].category.target_name, "System.ServiceProcess.ServiceController");
    assert!(!ran.wrote);
    let ran = world.on("sql01", Command::new("Stop-Service").argument("MSSQL$RTC").switch("Force").switch("PassThru"));
    let stopped: Vec<String> = ran.fine().iter().map(|one| text(one, "Name")).collect();
    assert_eq!(stopped, ["SQLAgent$RTC", "MSSQL$RTC"]);
    assert!(ran.wrote);
    // Once what needs it has stopped, force is not needed.
    let ran = world.on("sql01", Command::new("Start-Service").argument("SQLAgent$RTC"));
    assert!(ran.fine().is_empty() && ran.wrote);
    assert_eq!(world.service("sql01", "MSSQL$RTC").state, State::Running);
    assert_ne!(world.service("sql01", "MSSQL$RTC").process, 0);
}

#[test]
fn a_stopped_service_is_not_stopped_again_and_a_running_one_not_started() {
    let mut world = World::fresh();
    assert!(world.on("gc01", Command::new("Stop-Service").argument("Spooler")).wrote);
    let ran = world.on("gc01", Command::new("Stop-Service").argument("Spooler").switch("PassThru"));
    assert_eq!(text(ran.only(), "Status"), "Stopped");
    assert!(!ran.wrote);
    let ran = world.on("gc01", Command::new("Start-Service").argument("W32Time"));
    assert!(ran.fine().is_empty() && !ran.wrote);
}

#[test]
fn a_disabled_service_does_not_start_nor_does_what_needs_it() {
    let mut world = World::fresh();
    let ran = world.on("gc01", Command::new("Start-Service").argument("RemoteRegistry"));
    assert_eq!(ran.ids(), ["CouldNotStartService,Microsoft.PowerShell.Commands.StartServiceCommand"]);
    assert!(ran.errors()[0].message().starts_with("Service 'Remote Registry (RemoteRegistry)' cannot be started due to"));
    let stop = Command::new("Stop-Service").argument("MSSQLSERVER").switch("Force");
    assert!(world.on("sql01", stop).wrote);
    world.service("sql01", "MSSQLSERVER").start = Start::Disabled;
    let ran = world.on("sql01", Command::new("Start-Service").argument("SQLSERVERAGENT"));
    assert!(ran.errors()[0].message().ends_with("The dependency service or group failed to start"));
    assert!(!ran.wrote);
    assert_eq!(world.service("sql01", "SQLSERVERAGENT").state, State::Stopped);
}

#[test]
fn a_service_that_takes_no_stop_says_so() {
    let mut world = World::fresh();
    let ran = world.on("gc02", Command::new("Stop-Service").argument("DcomLaunch").switch("Force"));
    assert_eq!(ran.ids(), ["CouldNotStopService,Microsoft.PowerShell.Commands.StopServiceCommand"]);
    assert!(ran.errors()[0].message().contains("cannot be stopped due to the following error: Cannot stop"));
}

#[test]
fn without_waiting_a_slow_service_is_pending_until_its_time_has_passed() {
    let mut world = World::fresh();
    let stop = Command::new("Stop-Service").argument("LyncGCChannel").switch("NoWait").switch("PassThru");
    let ran = world.on("gc01", stop);
    assert_eq!(text(ran.only(), "Status"), "StopPending");
    assert!(ran.busy.is_zero() && ran.wrote);
    let due = world.service("gc01", "LyncGCChannel").due.expect("a time");
    assert!(!world.machine("gc01").settle(due - 1));
    assert_eq!(world.service("gc01", "LyncGCChannel").state, State::StopPending);
    let ran = world.on("gc01", Command::new("Start-Service").argument("LyncGCChannel"));
    // Only if this machine was slower than the service can it have stopped already.
    if world.service("gc01", "LyncGCChannel").state == State::StopPending {
        assert!(ran.errors()[0].message().ends_with("The service cannot accept control messages at this time"));
    }
    let due = world.service("gc01", "LyncGCChannel").due.unwrap_or(due);
    world.machine("gc01").settle(due);
    assert!(matches!(world.service("gc01", "LyncGCChannel").state, State::Stopped | State::Running));
}

#[test]
fn who_waits_for_a_slow_service_is_busy_and_sees_it_stopped() {
    let mut world = World::fresh();
    world.service("gc01", "LyncGCChannel").slow_ms = 60_000;
    let ran = world.on("gc01", Command::new("Stop-Service").argument("LyncGCChannel").switch("PassThru"));
    assert_eq!(ran.busy.as_secs(), 60);
    assert_eq!(text(ran.objects()[0], "Status"), "Stopped");
    assert!(
        ran.events
            .iter()
            .any(|event| matches!(event, Event::Warning(text) if text.starts_with("Waiting for service 'Microsoft")))
    );
    let ran = world.on("gc01", Command::new("Get-Service").argument("LyncGCChannel"));
    assert_eq!(text(ran.only(), "Status"), "StopPending", "others see it on its way");
}

#[test]
fn the_startup_type_is_set_and_the_flag_of_a_delayed_start_is_left_alone() {
    let mut world = World::fresh();
    let set = |mode: &str| Command::new("Set-Service").argument("LyncGCChannel").parameter("StartupType", mode);
    assert!(world.on("gc01", set("Disabled")).wrote);
    let channel = world.service("gc01", "LyncGCChannel").clone();
    assert_eq!((channel.start, channel.delayed, channel.state), (Start::Disabled, true, State::Running));
    assert!(world.on("gc01", set("auto")).wrote);
    assert_eq!(world.service("gc01", "LyncGCChannel").start, Start::Automatic);
    // Windows PowerShell knows no delayed start.
    let ran = world.on("gc01", set("AutomaticDelayedStart"));
    assert_eq!(ran.end().0, "CannotConvertArgumentNoMessage,Microsoft.PowerShell.Commands.SetServiceCommand");
    let ran = world.on("gc01", Command::new("Set-Service").argument("Nobody").parameter("Status", "stopped"));
    assert_eq!(ran.errors()[0].message(), "Service Nobody was not found on computer '.'.");
    let ran = world.on("gc01", set("Manual").switch("WhatIf"));
    assert!(!ran.wrote && ran.detail.contains_key("what_if"));
    assert_eq!(world.service("gc01", "LyncGCChannel").start, Start::Automatic);
}

#[test]
fn a_restart_leaves_the_service_running_and_those_that_need_it() {
    let mut world = World::fresh();
    let before = world.service("sql01", "MSSQL$RTC").process;
    assert!(world.on("sql01", Command::new("Restart-Service").argument("MSSQL$RTC").switch("Force")).fine().is_empty());
    for name in ["MSSQL$RTC", "SQLAgent$RTC"] {
        assert_eq!(world.service("sql01", name).state, State::Running);
    }
    assert_ne!(world.service("sql01", "MSSQL$RTC").process, before);
}

#[test]
fn a_services_key_says_what_the_service_is_and_sets_it() {
    let mut world = World::fresh();
    let key = "HKLM:\\system\\CurrentControlSet\\Services\\lyncgcchannel";
    let get = |world: &mut World| {
        let ran = world.on("gc01", Command::new("Get-ItemProperty").parameter("LiteralPath", key));
        let value = ran.only();
        (value.get("Start").cloned(), value.get("DelayedAutostart").cloned(), text(value, "ImagePath"))
    };
    let (start, delayed, image) = get(&mut world);
    assert_eq!((start, delayed), (Some(Value::I32(2)), Some(Value::I32(1))));
    assert!(image.starts_with("\"C:\\Program Files\\Microsoft Lync Server 2010\\Group Chat Server\\"));
    let set = |name: &str, value: i32| {
        Command::new("Set-ItemProperty").argument(key).argument(name).argument(value).parameter("Type", "DWord")
    };
    assert!(world.on("gc01", set("Start", 4)).wrote);
    assert!(world.on("gc01", set("DelayedAutostart", 0)).wrote);
    assert_eq!(world.service("gc01", "LyncGCChannel").start, Start::Disabled);
    let (start, delayed, _) = get(&mut world);
    assert_eq!((start, delayed), (Some(Value::I32(4)), Some(Value::I32(0))));
    assert!(world.on("gc01", set("DelayedAutostart", 1)).wrote);
    assert_eq!(get(&mut world).1, Some(Value::I32(1)));
    assert!(world.service("gc01", "LyncGCChannel").delayed);
    let ran = world.on("gc01", Command::new("Get-ItemProperty").argument(key).argument("Nothing"));
    assert!(ran.errors()[0].message().starts_with("Property Nothing does not exist at path HKEY_LOCAL_MACHINE\\system\\"));
    let ran = world.on("gc01", Command::new("Get-ItemProperty").argument("HKLM:\\SYSTEM\\CurrentControlSet\\Services\\Nobody"));
    assert_eq!(ran.ids(), ["PathNotFound,Microsoft.PowerShell.Commands.GetItemPropertyCommand"]);
    // Other keys keep what is written to them.
    world.machine("gc01").registry.insert("SOFTWARE\\Relevo".to_owned(), std::collections::BTreeMap::new());
    let set = Command::new("Set-ItemProperty").argument("HKLM:\\software\\relevo").argument("Note").argument("x");
    assert!(world.on("gc01", set).wrote);
    assert_eq!(world.machine("gc01").registry["SOFTWARE\\Relevo"]["Note"], Setting::Text("x".to_owned()));
    let children = Command::new("Get-ChildItem").argument("HKLM:\\SYSTEM\\CurrentControlSet\\Services");
    let count = world.machine("gc01").services.len();
    assert_eq!(world.on("gc01", children).fine().len(), count);
}
