//! `Get-Service`, and what the cmdlets about services share.

use crate::lab::windows::cmdlet::{Bound, Cmdlet, Done, Kind, Parameter, Stage};
use crate::lab::windows::errors::{about, error};
use crate::lab::windows::machine::{Machine, Service, Start, State, same};
use crate::lab::windows::wildcard::{Wildcard, is_pattern};
use crate::remoting::clixml::{Object, Property, Value};
use crate::remoting::psrp::ErrorRecord;

pub(super) const MODULE: &str = "Microsoft.PowerShell.Management";
const EXCEPTION: &str = "Microsoft.PowerShell.Commands.ServiceCommandException";

/// The cmdlets of this file.
pub const CMDLETS: &[Cmdlet] = &[Cmdlet {
    name: "Get-Service",
    class: "Microsoft.PowerShell.Commands.GetServiceCommand",
    module: MODULE,
    parameters: &[
        Parameter::new("Name", Kind::Texts).also(&["ServiceName"]).at(0),
        Parameter::new("DisplayName", Kind::Texts),
        Parameter::new("Include", Kind::Texts),
        Parameter::new("Exclude", Kind::Texts),
        Parameter::new("DependentServices", Kind::Switch).also(&["DS"]),
        Parameter::new("RequiredServices", Kind::Switch).also(&["SDO", "ServicesDependedOn"]),
    ],
    run: get,
}];

fn get(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    for index in chosen(stage, bound)? {
        let service = stage.machine.services[index].clone();
        if bound.is_on("DependentServices") {
            // .NET lists them the other way round: what stops last comes first.
            for index in stage.machine.dependents(&service.name).into_iter().rev() {
                let value = controller(stage.machine, &stage.machine.services[index]);
                stage.output(value);
            }
        }
        if bound.is_on("RequiredServices") {
            for index in service.depends_on.iter().filter_map(|name| stage.machine.service(name)).collect::<Vec<_>>() {
                let value = controller(stage.machine, &stage.machine.services[index]);
                stage.output(value);
            }
        }
        if !bound.is_on("DependentServices") && !bound.is_on("RequiredServices") {
            let value = controller(stage.machine, &service);
            stage.output(value);
        }
    }
    Ok(())
}

/// The services that a call is about, by name: their places in the list. That a name without wildcards has none is an error.
///
/// # Errors
/// A name has none and errors end the cmdlet, or a pattern is none.
pub(super) fn chosen(stage: &mut Stage<'_>, bound: &Bound) -> Result<Vec<usize>, ErrorRecord> {
    let by_display = bound.has("DisplayName");
    let mut patterns = bound.texts(if by_display { "DisplayName" } else { "Name" });
    if patterns.is_empty() {
        patterns.push("*".to_owned());
    }
    let include = compile(&bound.texts("Include"))?;
    let exclude = compile(&bound.texts("Exclude"))?;
    let mut found: Vec<usize> = Vec::new();
    for pattern in &patterns {
        let named = |service: &Service| if by_display { service.display_name.clone() } else { service.name.clone() };
        let wildcard = if is_pattern(pattern) { Some(compile(std::slice::from_ref(pattern))?) } else { None };
        let mut any = false;
        for (index, service) in stage.machine.services.iter().enumerate() {
            let name = named(service);
            let fits = wildcard.as_ref().map_or_else(|| same(&name, pattern), |wildcard| wildcard[0].is_match(&name));
            if fits {
                any = true;
                let wanted = include.is_empty() || include.iter().any(|wildcard| wildcard.is_match(&name));
                if wanted && !exclude.iter().any(|wildcard| wildcard.is_match(&name)) && !found.contains(&index) {
                    found.push(index);
                }
            }
        }
        if !any && wildcard.is_none() {
            let (id, kind) = if by_display {
                ("NoServiceFoundForGivenDisplayName", "display name")
            } else {
                ("NoServiceFoundForGivenName", "service name")
            };
            let message = format!("Cannot find any service with {kind} '{pattern}'.");
            stage.report(about(id, "ObjectNotFound", EXCEPTION, message, pattern))?;
        }
    }
    found.sort_by_key(|index| stage.machine.services[*index].name.to_lowercase());
    Ok(found)
}

fn compile(patterns: &[String]) -> Result<Vec<Wildcard>, ErrorRecord> {
    let one = |pattern: &String| {
        Wildcard::powershell(pattern).map_err(|_| {
            let message = format!("The specified wildcard character pattern is not valid: {pattern}");
            let exception = "System.Management.Automation.WildcardPatternException";
            error("WildcardPattern_Invalid", "InvalidArgument", exception, message, Value::Nil)
        })
    };
    patterns.iter().map(one).collect()
}

/// An error about a service. `{0}` of the message is the service as people know it.
pub(super) fn trouble(machine: &Machine, service: &Service, id: &str, category: &str, message: &str) -> ErrorRecord {
    let message = message.replace("{0}", &shown(service));
    error(id, category, EXCEPTION, message, controller(machine, service))
}

/// A service as messages name it.
pub(super) fn shown(service: &Service) -> String {
    format!("{} ({})", service.display_name, service.name)
}

/// A service as `System.ServiceProcess.ServiceController` shows it, one level deep as remoting serialises it.
pub(super) fn controller(machine: &Machine, service: &Service) -> Value {
    let names = |indices: Vec<usize>| -> Vec<Value> {
        indices.into_iter().map(|index| machine.services[index].name.as_str().into()).collect()
    };
    let dependents = || array(names(machine.dependents(&service.name).into_iter().rev().collect()));
    let required = || array(names(service.depends_on.iter().filter_map(|name| machine.service(name)).collect()));
    let (state, state_number) = match service.state {
        State::Stopped => ("Stopped", 1),
        State::StartPending => ("StartPending", 2),
        State::StopPending => ("StopPending", 3),
        State::Running => ("Running", 4),
    };
    let (start, start_number) = match service.start {
        Start::Automatic => ("Automatic", 2),
        Start::Manual => ("Manual", 3),
        Start::Disabled => ("Disabled", 4),
    };
    let enumeration =
        |name: &str, word: &str, number: i32| Value::enumeration(&format!("System.ServiceProcess.{name}"), word, number);
    let kind = if service.path.contains("svchost") { ("Win32ShareProcess", 32) } else { ("Win32OwnProcess", 16) };
    let types = [
        "System.ServiceProcess.ServiceController",
        "System.ComponentModel.Component",
        "System.MarshalByRefObject",
        "System.Object",
    ];
    Object {
        type_names: types.map(str::to_owned).to_vec(),
        to_string: Some(service.name.clone()),
        adapted: vec![
            Property::new("CanPauseAndContinue", false),
            Property::new("CanShutdown", service.takes_stop()),
            Property::new("CanStop", service.takes_stop()),
            Property::new("DisplayName", service.display_name.as_str()),
            Property::new("DependentServices", dependents()),
            Property::new("MachineName", "."),
            Property::new("ServiceName", service.name.as_str()),
            Property::new("ServicesDependedOn", required()),
            Property::new("ServiceHandle", Value::Nil),
            Property::new("Status", enumeration("ServiceControllerStatus", state, state_number)),
            Property::new("ServiceType", enumeration("ServiceType", kind.0, kind.1)),
            Property::new("StartType", enumeration("ServiceStartMode", start, start_number)),
            Property::new("Site", Value::Nil),
            Property::new("Container", Value::Nil),
        ],
        extended: vec![Property::new("Name", service.name.as_str()), Property::new("RequiredServices", required())],
        ..Object::default()
    }
    .into()
}

fn array(items: Vec<Value>) -> Value {
    let types = ["System.ServiceProcess.ServiceController[]", "System.Array", "System.Object"];
    Object {
        type_names: types.map(str::to_owned).to_vec(),
        content: crate::remoting::clixml::Content::List(items),
        ..Object::default()
    }
    .into()
}
