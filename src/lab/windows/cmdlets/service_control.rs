//! `Start-Service`, `Stop-Service`, `Restart-Service`, `Set-Service`.
//!
//! What the service control manager refuses it refuses with the texts of Windows; which of them a cmdlet reports, and with
//! which id, is in Microsoft's published source of the cmdlets. A cmdlet that waits for a service that takes its time says so
//! by [`Stage::busy`], and what it gives is what is known at the end of that time. How long it waits has no limit.

use std::time::Duration;

use super::services::{MODULE, chosen, controller, shown, trouble};
use crate::lab::windows::cmdlet::{Bound, Cmdlet, Done, Kind, Parameter, Stage};
use crate::lab::windows::errors::about;
use crate::lab::windows::machine::{Machine, Start, State};
use crate::lab::windows::service_manager::{self, Refused, Stopping, Told};
use crate::remoting::psrp::ErrorRecord;

const START_MODES: Kind =
    Kind::Enumeration("System.ServiceProcess.ServiceStartMode", &["Boot", "System", "Automatic", "Manual", "Disabled"]);

const NAME: Parameter = Parameter::new("Name", Kind::Texts).also(&["ServiceName"]).at(0).needed();
const DISPLAY_NAME: Parameter = Parameter::new("DisplayName", Kind::Texts);
const PASS_THRU: Parameter = Parameter::new("PassThru", Kind::Switch);
const INCLUDE: Parameter = Parameter::new("Include", Kind::Texts);
const EXCLUDE: Parameter = Parameter::new("Exclude", Kind::Texts);
const FORCE: Parameter = Parameter::new("Force", Kind::Switch);

/// The cmdlets of this file.
pub const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "Start-Service",
        class: "Microsoft.PowerShell.Commands.StartServiceCommand",
        module: MODULE,
        parameters: &[NAME, DISPLAY_NAME, INCLUDE, EXCLUDE, PASS_THRU],
        run: start,
    },
    Cmdlet {
        name: "Stop-Service",
        class: "Microsoft.PowerShell.Commands.StopServiceCommand",
        module: MODULE,
        parameters: &[NAME, DISPLAY_NAME, INCLUDE, EXCLUDE, PASS_THRU, FORCE, Parameter::new("NoWait", Kind::Switch)],
        run: stop,
    },
    Cmdlet {
        name: "Restart-Service",
        class: "Microsoft.PowerShell.Commands.RestartServiceCommand",
        module: MODULE,
        parameters: &[NAME, DISPLAY_NAME, INCLUDE, EXCLUDE, PASS_THRU, FORCE],
        run: restart,
    },
    Cmdlet {
        name: "Set-Service",
        class: "Microsoft.PowerShell.Commands.SetServiceCommand",
        module: MODULE,
        parameters: &[
            Parameter::new("Name", Kind::Text).also(&["ServiceName", "SN"]).at(0).needed(),
            Parameter::new("DisplayName", Kind::Text).also(&["DN"]),
            Parameter::new("StartupType", START_MODES).also(&["StartMode", "SM", "ST"]),
            Parameter::new("Status", Kind::Word(&["Running", "Stopped", "Paused"])),
            PASS_THRU,
        ],
        run: set,
    },
];

/// Starts a service, and what it needs before it. `None`: it was refused, and that was reported.
fn start_one(stage: &mut Stage<'_>, index: usize) -> Result<Option<Told>, ErrorRecord> {
    match service_manager::start(stage.machine, index) {
        Ok(told) => {
            stage.wrote |= told != Told::Already;
            Ok(Some(told))
        }
        Err(why) => {
            let service = &stage.machine.services[index];
            let why = format!(
                "Service '{{0}}' cannot be started due to the following error: Cannot start service {} on computer '.'. {why}",
                service.name
            );
            let record = trouble(stage.machine, service, "CouldNotStartService", "OpenError", &why);
            stage.report(record)?;
            Ok(None)
        }
    }
}

/// Stops a service, with those that need it if `force` says so. Gives those that stop, in order. `None`: it was refused, and
/// that was reported.
fn stop_one(stage: &mut Stage<'_>, index: usize, force: bool) -> Result<(Option<Told>, Vec<usize>), ErrorRecord> {
    let Stopping { told, stopped, wrote } = service_manager::stop(stage.machine, index, force);
    stage.wrote |= wrote;
    let refused = match told {
        Ok(told) => return Ok((Some(told), stopped)),
        Err(refused) => refused,
    };
    let (id, category, message) = match refused {
        Refused::Needed => {
            let message =
                "Cannot stop service '{0}' because it has dependent services. It can only be stopped if the Force flag is set.";
            ("ServiceHasDependentServices", "InvalidOperation", message.to_owned())
        }
        Refused::By { name, why } => {
            let message = format!(
                "Service '{{0}}' cannot be stopped due to the following error: Cannot stop {name} service on computer '.'. {why}"
            );
            ("CouldNotStopService", "CloseError", message)
        }
    };
    let record = trouble(stage.machine, &stage.machine.services[index], id, category, &message);
    stage.report(record)?;
    Ok((None, stopped))
}

/// The services as they will be known to be when all that was waited for is over.
fn outcome(machine: &Machine, index: usize) -> Machine {
    let mut later = machine.clone();
    later.services[index].settle();
    later
}

fn waiting(stage: &mut Stage<'_>, index: usize, takes: Duration, what: &str) {
    // The first warning comes when two seconds have passed without the new state.
    for _ in 0..takes.as_secs() / 2 {
        let message = format!("Waiting for service '{}' to {what}...", shown(&stage.machine.services[index]));
        stage.warning(message);
    }
    stage.busy += takes;
}

fn start(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    for index in chosen(stage, bound)? {
        if !confirmed(stage, index, "Start-Service") {
            continue;
        }
        match start_one(stage, index)? {
            None => continue,
            Some(Told::Already) => {}
            Some(Told::Takes(takes)) => waiting(stage, index, takes, "start"),
        }
        pass(stage, bound, &[index], true);
    }
    Ok(())
}

fn stop(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    for index in chosen(stage, bound)? {
        if !confirmed(stage, index, "Stop-Service") {
            continue;
        }
        let (told, stopped) = stop_one(stage, index, bound.is_on("Force"))?;
        let waits = !bound.is_on("NoWait");
        if let Some(Told::Takes(takes)) = told
            && waits
        {
            waiting(stage, index, takes, "stop");
        }
        pass(stage, bound, &stopped, waits);
    }
    Ok(())
}

fn restart(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    for index in chosen(stage, bound)? {
        if !confirmed(stage, index, "Restart-Service") {
            continue;
        }
        let (told, stopped) = stop_one(stage, index, bound.is_on("Force"))?;
        if let Some(Told::Takes(takes)) = told {
            waiting(stage, index, takes, "stop");
        }
        // A start comes after the stop that the cmdlet waited for. What needs the service comes after it.
        for one in &stopped {
            stage.machine.services[*one].settle();
        }
        for one in stopped.into_iter().rev() {
            if let Some(Told::Takes(takes)) = start_one(stage, one)? {
                waiting(stage, one, takes, "start");
                pass(stage, bound, &[one], true);
            }
        }
    }
    Ok(())
}

fn set(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let name = bound.text("Name").unwrap_or_default();
    let Some(index) = stage.machine.service(name) else {
        let message = format!("Service {name} was not found on computer '.'.");
        let exception = "System.InvalidOperationException";
        return stage.report(about("InvalidOperationException", "ObjectNotFound", exception, message, name));
    };
    if !confirmed(stage, index, "Set-Service") {
        return Ok(());
    }
    let service = &mut stage.machine.services[index];
    if let Some(display_name) = bound.text("DisplayName") {
        display_name.clone_into(&mut service.display_name);
        stage.wrote = true;
    }
    // The flag of a delayed start is a value of its own, which this cmdlet leaves alone in Windows PowerShell.
    match bound.text("StartupType") {
        None => {}
        Some(mode @ ("Boot" | "System")) => {
            let message = format!("The startup type '{mode}' is not supported by Set-Service.");
            let record =
                trouble(stage.machine, &stage.machine.services[index], "CouldNotSetService", "InvalidArgument", &message);
            return stage.report(record);
        }
        Some(mode) => {
            service.start = match mode {
                "Automatic" => Start::Automatic,
                "Manual" => Start::Manual,
                _ => Start::Disabled,
            };
            stage.wrote = true;
        }
    }
    match (bound.text("Status"), stage.machine.services[index].state) {
        (Some("Running"), State::Stopped | State::StopPending) => {
            if let Some(Told::Takes(takes)) = start_one(stage, index)? {
                waiting(stage, index, takes, "start");
            }
        }
        (Some("Stopped"), State::Running | State::StartPending | State::StopPending) => {
            let service = &stage.machine.services[index];
            if !stage.machine.dependents(&service.name).is_empty() {
                let message = "Cannot stop service '{0}' because it has dependent services.";
                let record = trouble(stage.machine, service, "ServiceHasDependentServicesNoForce", "InvalidOperation", message);
                return stage.report(record);
            }
            if let (Some(Told::Takes(takes)), _) = stop_one(stage, index, false)? {
                waiting(stage, index, takes, "stop");
            }
        }
        (Some("Paused"), state) => {
            let (id, why) = if state == State::Running {
                ("CouldNotSuspendServiceNotSupported", "the service does not support being suspended or resumed")
            } else {
                ("CouldNotSuspendServiceNotRunning", "it is not currently running")
            };
            let message = format!("Service '{{0}}' cannot be suspended because {why}.");
            let record = trouble(stage.machine, &stage.machine.services[index], id, "CloseError", &message);
            stage.report(record)?;
        }
        _ => {}
    }
    pass(stage, bound, &[index], true);
    Ok(())
}

fn confirmed(stage: &mut Stage<'_>, index: usize, what: &str) -> bool {
    let target = shown(&stage.machine.services[index]);
    stage.should_process(&target, what)
}

/// Gives the services themselves, if that was asked for: as they are, or as they are when the wait is over.
fn pass(stage: &mut Stage<'_>, bound: &Bound, indices: &[usize], waited: bool) {
    if !bound.is_on("PassThru") {
        return;
    }
    for &index in indices {
        let value = if waited {
            let later = outcome(stage.machine, index);
            controller(&later, &later.services[index])
        } else {
            controller(stage.machine, &stage.machine.services[index])
        };
        stage.output(value);
    }
}
