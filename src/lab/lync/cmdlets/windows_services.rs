//! `Get-CsWindowsService`, `Start-CsWindowsService`, `Stop-CsWindowsService`: the services of Lync on the servers of the
//! topology, and no others. What Windows lets them do is decided where `Start-Service` decides it.

use std::time::Duration;

use super::common::{FORCE, REPORT, object, refusal, texts};
use super::report;
use crate::lab::lync::deployment::Deployment;
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::DOMAIN;
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::machine::{Machine, Service, State, same};
use crate::lab::windows::service_manager::{self, Refused, Told};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::ErrorRecord;

const NAME: Parameter = Parameter::new("Name", Kind::Text).at(0);
const COMPUTER: Parameter = Parameter::new("ComputerName", Kind::Text);
const NO_WAIT: Parameter = Parameter::new("NoWait", Kind::Switch);

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsWindowsService",
        class: "Microsoft.Rtc.Management.Deployment.GetWindowsServiceCmdlet",
        module: MODULE,
        parameters: &[NAME, COMPUTER, Parameter::new("ExcludeActivityLevel", Kind::Switch), REPORT],
        run: get,
    },
    Cs {
        name: "Start-CsWindowsService",
        class: "Microsoft.Rtc.Management.Deployment.StartWindowsServiceCmdlet",
        module: MODULE,
        parameters: &[NAME, COMPUTER, NO_WAIT, FORCE, REPORT],
        run: start,
    },
    Cs {
        name: "Stop-CsWindowsService",
        class: "Microsoft.Rtc.Management.Deployment.StopWindowsServiceCmdlet",
        module: MODULE,
        parameters: &[
            NAME,
            COMPUTER,
            NO_WAIT,
            FORCE,
            REPORT,
            Parameter::new("Graceful", Kind::Switch),
            Parameter::new("LeaveClsAgentRunning", Kind::Switch),
            Parameter::new("LeaveWebServerRunning", Kind::Switch),
        ],
        run: stop,
    },
];

/// The version of the servers that these cmdlets look after, and of all later ones.
const LYNC_2013: u32 = 6;
/// Where the programs of their services are.
const PROGRAMS: &str = "\\Microsoft Lync Server 2013\\";

/// Whether a computer is a server of the topology that has services of Lync Server 2013.
#[must_use]
pub fn is_server(deployment: &Deployment, computer: &str) -> bool {
    let fronts = deployment.front_ends.iter().filter(|pool| pool.version >= LYNC_2013).flat_map(|pool| &pool.servers);
    fronts.chain(deployment.chat_pools.iter().flat_map(|pool| &pool.servers)).any(|server| same(server, computer))
}

/// Whether a service is one of Lync's.
fn is_of_lync(service: &Service) -> bool {
    service.path.contains(PROGRAMS)
}

/// The computer and its services that a call means, by their places.
fn chosen(stage: &Stage<'_>, forest: &Forest<'_>, bound: &Bound) -> Result<(String, Vec<usize>), ErrorRecord> {
    let own = format!("{}.{DOMAIN}", stage.machine.name);
    let computer = bound.text("ComputerName").unwrap_or(&own);
    if !is_server(forest.deployment, computer) {
        let message = format!("The computer \"{computer}\" is no server of this deployment with services of Lync Server 2013.");
        return Err(refusal("NotAServer", "ObjectNotFound", message, computer));
    }
    let machine = forest.reachable(computer).ok_or_else(|| {
        let message = format!("The computer \"{computer}\" cannot be reached.");
        refusal("ComputerUnreachable", "ResourceUnavailable", message, computer)
    })?;
    let of_lync = |(_, service): &(usize, &Service)| is_of_lync(service);
    let all = machine.services.iter().enumerate().filter(of_lync);
    let name = bound.text("Name");
    let meant: Vec<usize> =
        all.filter(|(_, service)| name.is_none_or(|name| same(&service.name, name))).map(|(index, _)| index).collect();
    match name {
        Some(name) if meant.is_empty() => {
            let message = format!("The computer \"{computer}\" has no service of Lync Server 2013 with the name \"{name}\".");
            Err(refusal("NoSuchService", "ObjectNotFound", message, name))
        }
        _ => Ok((machine.name.clone(), meant)),
    }
}

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    match chosen(stage, forest, bound) {
        Err(record) => stage.report(record)?,
        Ok((computer, meant)) => {
            let machine = forest.machine(&computer).map(|machine| &machine.services);
            for service in meant.into_iter().filter_map(|index| machine.and_then(|all| all.get(index))) {
                stage.output(shown(service, bound.is_on("ExcludeActivityLevel")));
            }
        }
    }
    report::write(stage, forest, bound, "Get-CsWindowsService")
}

/// A service. What the activity level of one says is not documented; here nothing is told of it.
fn shown(service: &Service, without_activity: bool) -> Value {
    let (state, number) = match service.state {
        State::Stopped => ("Stopped", 1),
        State::StartPending => ("StartPending", 2),
        State::StopPending => ("StopPending", 3),
        State::Running => ("Running", 4),
    };
    let roles: &[&str] = match service.name.as_str() {
        "RTCSRV" => &["Registrar", "UserServer"],
        "RTCCHAT" => &["PersistentChatServer"],
        _ => &[],
    };
    let properties = vec![
        ("Name", Value::from(service.name.as_str())),
        ("DisplayName", service.display_name.as_str().into()),
        ("Status", Value::enumeration("System.ServiceProcess.ServiceControllerStatus", state, number)),
        ("RoleName", texts(roles)),
        ("ActivityLevel", if without_activity { Value::Nil } else { "".into() }),
    ];
    object("Microsoft.Rtc.Management.Deployment.Core.NTService", &service.name, properties)
}

fn start(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    each(stage, forest, bound, "Start-CsWindowsService", |machine, index| {
        let told = service_manager::start(machine, index);
        (told != Ok(Told::Already) && told.is_ok(), told)
    })
}

fn stop(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    each(stage, forest, bound, "Stop-CsWindowsService", |machine, index| {
        // Services that need it stop with it, without being asked for.
        let stopping = service_manager::stop(machine, index, true);
        let told = stopping.told.map_err(|refused| match refused {
            Refused::Needed => "Other services need it.".to_owned(),
            Refused::By { name, why } => format!("{name}: {why}."),
        });
        (stopping.wrote, told)
    })
}

/// Tells a service something: whether a state changed, and what it does, or why not.
type Tell = fn(&mut Machine, usize) -> (bool, Result<Told, String>);

/// Tells each service in turn, and then waits for all of them.
fn each(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound, cmdlet: &str, tell: Tell) -> Done {
    match chosen(stage, forest, bound) {
        Err(record) => stage.report(record)?,
        Ok((computer, meant)) => {
            let mut longest = Duration::ZERO;
            for index in meant {
                let name = forest.machine(&computer).map(|machine| machine.services[index].name.clone()).unwrap_or_default();
                if !stage.should_process(&format!("{name} on {computer}"), cmdlet) {
                    continue;
                }
                let Some(machine) = forest.machine_mut(&computer) else { continue };
                let (wrote, told) = tell(machine, index);
                stage.wrote |= wrote;
                match told {
                    Ok(Told::Already) => {}
                    Ok(Told::Takes(takes)) => longest = longest.max(takes),
                    // Without wait for what was begun before it; `-Force` hides it.
                    Err(_) if bound.is_on("Force") => {}
                    Err(why) => {
                        let message = format!("The service \"{name}\" on \"{computer}\" refused: {why}");
                        stage.report(refusal("ServiceRefused", "OperationStopped", message, &name))?;
                    }
                }
            }
            if !bound.is_on("NoWait") {
                stage.busy += longest;
            }
        }
    }
    report::write(stage, forest, bound, cmdlet)
}
