//! The service control manager of a host: what it lets a service do, and what it refuses. Those who ask word the refusal.
//!
//! A service that takes its time is pending meanwhile: its state changes at once, and when it is where it was told to go is
//! known from the beginning ([`Service::due`]).

use std::time::Duration;

use super::machine::{Machine, Service, Start, State};

/// A service that is told to do something else while it is pending refuses.
const CANNOT_TAKE: &str = "The service cannot accept control messages at this time";

/// What a service does when it is told to start or to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It does so, after this time.
    Takes(Duration),
    /// It was so already.
    Already,
}

/// Why a service does not stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Others need it, and are not to be stopped with it.
    Needed,
    /// This one, the service itself or one that needs it, refuses, in the words of Windows.
    By {
        /// Its short name.
        name: String,
        /// Without a final stop.
        why: String,
    },
}

/// What came of a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopping {
    /// Whether it does so.
    pub told: Result<Told, Refused>,
    /// The services that stop, in order; the last is the one that was meant, if it does.
    pub stopped: Vec<usize>,
    /// Whether a state changed.
    pub wrote: bool,
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Begins a change of state; without time to take it is done at once.
fn begin(service: &mut Service, pending: State) -> Duration {
    service.state = pending;
    service.due = Some(now() + i64::from(service.slow_ms));
    if service.slow_ms == 0 {
        service.settle();
    }
    Duration::from_millis(service.slow_ms.into())
}

/// The number of a process that no service of the machine has.
fn process(machine: &Machine) -> u32 {
    machine.services.iter().map(|service| service.process).max().unwrap_or(0).max(1000) + 4
}

/// What keeps a service from starting: itself or one that it needs. `None`: nothing.
fn hindrance(machine: &Machine, index: usize, depth: usize) -> Option<String> {
    let service = &machine.services[index];
    if matches!(service.state, State::Running | State::StartPending) {
        return None;
    }
    if service.start == Start::Disabled {
        return Some(
            "The service cannot be started, either because it is disabled or because it has no enabled devices associated with it"
                .to_owned(),
        );
    }
    if service.state == State::StopPending {
        return Some(CANNOT_TAKE.to_owned());
    }
    if depth > machine.services.len() {
        return Some("Circular service dependency was specified".to_owned());
    }
    service.depends_on.iter().find_map(|needed| match machine.service(needed) {
        None => Some("The dependency service does not exist or has been marked for deletion".to_owned()),
        Some(needed) => {
            hindrance(machine, needed, depth + 1).map(|_| "The dependency service or group failed to start".to_owned())
        }
    })
}

/// Starts a service, and what it needs before it.
///
/// # Errors
/// It is refused, for this reason; nothing was changed.
pub fn start(machine: &mut Machine, index: usize) -> Result<Told, String> {
    if matches!(machine.services[index].state, State::Running | State::StartPending) {
        return Ok(Told::Already);
    }
    match hindrance(machine, index, 0) {
        Some(why) => Err(why),
        None => Ok(Told::Takes(start_with_needed(machine, index))),
    }
}

/// Nothing keeps it from starting: [`hindrance`] has been asked.
fn start_with_needed(machine: &mut Machine, index: usize) -> Duration {
    if matches!(machine.services[index].state, State::Running | State::StartPending) {
        return Duration::ZERO;
    }
    let needed = machine.services[index].depends_on.clone();
    let mut takes = Duration::ZERO;
    for needed in needed.iter().filter_map(|name| machine.service(name)).collect::<Vec<_>>() {
        takes += start_with_needed(machine, needed);
    }
    machine.services[index].process = process(machine);
    takes + begin(&mut machine.services[index], State::StartPending)
}

/// Stops a service, with those that need it if `with_dependents` says so.
#[must_use]
pub fn stop(machine: &mut Machine, index: usize, with_dependents: bool) -> Stopping {
    let service = machine.services[index].clone();
    let mut stopping = Stopping { told: Ok(Told::Already), stopped: Vec::new(), wrote: false };
    let dependents = machine.dependents(&service.name);
    let active: Vec<usize> = dependents.into_iter().filter(|index| machine.services[*index].state != State::Stopped).collect();
    if !active.is_empty() && !with_dependents {
        stopping.told = Err(Refused::Needed);
        return stopping;
    }
    if service.state == State::Stopped {
        stopping.stopped.push(index);
        return stopping;
    }
    let mut takes = Duration::ZERO;
    for one in active.into_iter().chain([index]) {
        let each = &machine.services[one];
        if each.state == State::StopPending {
            // .NET waits for what is on its way.
            takes += remaining(each);
        } else if each.takes_stop() {
            takes += begin(&mut machine.services[one], State::StopPending);
            stopping.wrote = true;
        } else {
            let why = if each.state == State::StartPending {
                CANNOT_TAKE
            } else {
                "The requested control is not valid for this service"
            };
            stopping.told = Err(Refused::By { name: each.name.clone(), why: why.to_owned() });
            return stopping;
        }
        stopping.stopped.push(one);
    }
    stopping.told = Ok(Told::Takes(takes));
    stopping
}

/// How long a pending service still takes.
#[must_use]
pub fn remaining(service: &Service) -> Duration {
    let left = service.due.map_or(0, |due| due - now());
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}
