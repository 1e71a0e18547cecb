//! `Get-Date`, `Get-Process`, `Get-Command`, `Get-Host`, `Start-Sleep`.

use std::time::Duration;

use super::ALL;
use super::services::MODULE;
use crate::lab::windows::cmdlet::{Bound, Cmdlet, Done, Kind, Parameter, Stage};
use crate::lab::windows::errors::about;
use crate::lab::windows::machine::{Machine, same};
use crate::lab::windows::wildcard::{Wildcard, is_pattern};
use crate::remoting::clixml::{Content, Object, Property, Value};
use crate::remoting::psrp::ErrorRecord;

const UTILITY: &str = "Microsoft.PowerShell.Utility";
const CORE: &str = "Microsoft.PowerShell.Core";
/// The version that the lab's PowerShell says it has: that of Windows Management Framework 5.1, which runs on all its hosts.
const VERSION: &str = "5.1.14409.1005";

/// The cmdlets of this file.
pub const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "Get-Date",
        class: "Microsoft.PowerShell.Commands.GetDateCommand",
        module: UTILITY,
        parameters: &[],
        run: get_date,
    },
    Cmdlet {
        name: "Get-Process",
        class: "Microsoft.PowerShell.Commands.GetProcessCommand",
        module: MODULE,
        parameters: &[
            Parameter::new("Name", Kind::Texts).also(&["ProcessName"]).at(0),
            Parameter::new("Id", Kind::Number).also(&["PID"]),
        ],
        run: get_process,
    },
    Cmdlet {
        name: "Get-Command",
        class: "Microsoft.PowerShell.Commands.GetCommandCommand",
        module: CORE,
        parameters: &[
            Parameter::new("Name", Kind::Texts).at(0),
            Parameter::new("Module", Kind::Texts).also(&["PSSnapin"]),
            Parameter::new("CommandType", Kind::Texts).also(&["Type"]),
        ],
        run: get_command,
    },
    Cmdlet {
        name: "Get-Host",
        class: "Microsoft.PowerShell.Commands.GetHostCommand",
        module: UTILITY,
        parameters: &[],
        run: get_host,
    },
    Cmdlet {
        name: "Start-Sleep",
        class: "Microsoft.PowerShell.Commands.StartSleepCommand",
        module: UTILITY,
        parameters: &[Parameter::new("Seconds", Kind::Number).at(0), Parameter::new("Milliseconds", Kind::Number).also(&["ms"])],
        run: start_sleep,
    },
];

fn get_date(stage: &mut Stage<'_>, _bound: &Bound) -> Done {
    let now = match Value::from(jiff::Timestamp::now()) {
        // The lab's hosts keep the time of Greenwich.
        Value::DateTime(text) => Value::DateTime(text.replace('Z', "+00:00")),
        other => other,
    };
    let hint = Value::enumeration("Microsoft.PowerShell.Commands.DisplayHintType", "DateTime", 2);
    // A primitive with a property of its own names no type ([MS-PSRP] section 2.2.5.2.8).
    let extended = vec![Property::new("DisplayHint", hint)];
    stage.output(Object { content: Content::Primitive(now), extended, ..Object::default() }.into());
    Ok(())
}

/// Processes: a few of Windows, and one per service that runs as its own.
fn processes(machine: &Machine) -> Vec<(String, u32)> {
    let mut all =
        vec![("Idle".to_owned(), 0), ("System".to_owned(), 4), ("lsass".to_owned(), 560), ("wsmprovhost".to_owned(), 996)];
    for service in machine.services.iter().filter(|service| service.process != 0) {
        let program = service.path.trim_start_matches('"').split('"').next().unwrap_or_default();
        let end = program.to_ascii_lowercase().find(".exe").unwrap_or(program.len());
        let name = program.get(..end).unwrap_or(program).rsplit('\\').next().unwrap_or_default();
        all.push((name.to_owned(), service.process));
    }
    all.sort_by_key(|(name, number)| (name.to_lowercase(), *number));
    all
}

fn get_process(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let all = processes(stage.machine);
    let exception = "Microsoft.PowerShell.Commands.ProcessCommandException";
    let mut chosen: Vec<(String, u32)> = Vec::new();
    if let Some(id) = bound.number("Id") {
        match all.iter().find(|(_, number)| i64::from(*number) == id) {
            Some(one) => chosen.push(one.clone()),
            None => {
                let message = format!("Cannot find a process with the process identifier {id}.");
                let mut record = about("NoProcessFoundForGivenId", "ObjectNotFound", exception, message, &id.to_string());
                record.target = Value::from(i32::try_from(id).unwrap_or(i32::MAX));
                "Int32".clone_into(&mut record.category.target_type);
                stage.report(record)?;
            }
        }
    } else {
        let names = if bound.has("Name") { bound.texts("Name") } else { vec!["*".to_owned()] };
        for name in names {
            let Ok(pattern) = Wildcard::powershell(&name) else { continue };
            let found: Vec<_> = all.iter().filter(|(own, _)| pattern.is_match(own)).cloned().collect();
            if found.is_empty() && !is_pattern(&name) {
                let message =
                    format!("Cannot find a process with the name \"{name}\". Verify the process name and call the cmdlet again.");
                stage.report(about("NoProcessFoundForGivenName", "ObjectNotFound", exception, message, &name))?;
            }
            chosen.extend(found);
        }
    }
    for (name, number) in chosen {
        let types =
            ["System.Diagnostics.Process", "System.ComponentModel.Component", "System.MarshalByRefObject", "System.Object"];
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        stage.output(
            Object {
                type_names: types.map(str::to_owned).to_vec(),
                to_string: Some(format!("System.Diagnostics.Process ({name})")),
                adapted: vec![
                    Property::new("Id", number),
                    Property::new("ProcessName", name.as_str()),
                    Property::new("MachineName", "."),
                    Property::new("SessionId", 0),
                    Property::new("Responding", true),
                    Property::new("HasExited", false),
                    Property::new("WorkingSet64", 32i64 << 20),
                ],
                extended: vec![Property::new("Name", name.as_str()), Property::new("SI", 0)],
                ..Object::default()
            }
            .into(),
        );
    }
    Ok(())
}

fn get_command(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let modules = bound.texts("Module");
    let kinds = bound.texts("CommandType");
    let wanted = |cmdlet: &Cmdlet| {
        (modules.is_empty() || modules.iter().any(|module| same(module, cmdlet.module)))
            && (kinds.is_empty() || kinds.iter().any(|kind| same(kind, "Cmdlet") || same(kind, "All")))
    };
    tell_commands(stage, bound, ALL.iter().copied().flatten().filter(|cmdlet| wanted(cmdlet)).collect())
}

/// Tells those of the cmdlets that `-Name` asks for.
pub(in crate::lab) fn tell_commands<Run>(stage: &mut Stage<'_>, bound: &Bound, mut all: Vec<&Cmdlet<Run>>) -> Done {
    all.sort_by_key(|cmdlet| cmdlet.name);
    let names = if bound.has("Name") { bound.texts("Name") } else { vec!["*".to_owned()] };
    for name in names {
        let Ok(pattern) = Wildcard::powershell(&name) else { continue };
        let found: Vec<_> = all.iter().filter(|cmdlet| pattern.is_match(cmdlet.name)).collect();
        if found.is_empty() && !is_pattern(&name) {
            stage.report(no_such_command(&name))?;
        }
        for cmdlet in found {
            stage.output(command_info(cmdlet));
        }
    }
    Ok(())
}

/// What a session says of a cmdlet that it does not have.
pub(in crate::lab) fn no_such_command(name: &str) -> ErrorRecord {
    let message = format!(
        "The term '{name}' is not recognized as the name of a cmdlet, function, script file, or operable program. Check the \
         spelling of the name, or if a path was included, verify that the path is correct and try again."
    );
    let exception = "System.Management.Automation.CommandNotFoundException";
    about("CommandNotFoundException", "ObjectNotFound", exception, message, name)
}

/// A cmdlet as `Get-Command` shows it.
pub(in crate::lab) fn command_info<Run>(cmdlet: &Cmdlet<Run>) -> Value {
    let (verb, noun) = cmdlet.name.split_once('-').unwrap_or((cmdlet.name, ""));
    let kind = Value::enumeration("System.Management.Automation.CommandTypes", "Cmdlet", 8);
    let visibility = Value::enumeration("System.Management.Automation.SessionStateEntryVisibility", "Public", 0);
    Value::typed(
        &["System.Management.Automation.CmdletInfo", "System.Management.Automation.CommandInfo", "System.Object"],
        Some(cmdlet.name),
        [
            ("Verb", Value::from(verb)),
            ("Noun", noun.into()),
            ("HelpFile", Value::Nil),
            ("ImplementingType", cmdlet.class.into()),
            ("Name", cmdlet.name.into()),
            ("CommandType", kind),
            ("Source", cmdlet.module.into()),
            ("Version", Value::Version("3.1.0.0".to_owned())),
            ("Visibility", visibility),
            ("ModuleName", cmdlet.module.into()),
        ],
    )
}

fn get_host(stage: &mut Stage<'_>, _bound: &Bound) -> Done {
    let types =
        ["System.Management.Automation.Internal.Host.InternalHost", "System.Management.Automation.Host.PSHost", "System.Object"];
    let properties = [
        ("Name", Value::from("ServerRemoteHost")),
        ("Version", Value::Version(VERSION.to_owned())),
        ("CurrentCulture", "en-US".into()),
        ("CurrentUICulture", "en-US".into()),
        ("IsRunspacePushed", false.into()),
    ];
    stage.output(Value::typed(&types, Some(types[0]), properties));
    Ok(())
}

fn start_sleep(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let number = |name: &str| bound.number(name).and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
    stage.busy += Duration::from_secs(number("Seconds")) + Duration::from_millis(number("Milliseconds"));
    Ok(())
}
