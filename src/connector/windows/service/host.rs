//! The looks at services, and the one place that sends something that changes them.

use std::time::Duration;

use tokio::time::Instant;

use super::super::ask::{other_machine, read, shown};
use super::goal::{self, Dependent, Dependents, Goal, Meaning};
use super::seen::{self, Seen, Startup};
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::session::Session;
use crate::connector::powershell::values;
use crate::plan::Verdict;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::event::Outcome;

/// How long a service may be on its way where the step has no timeout.
const PATIENCE: Duration = Duration::from_mins(10);
/// What a look needs to end in time.
const ROOM: Duration = Duration::from_secs(1);

/// The machine's own name, and all its services.
///
/// # Errors
/// The host does not say, or what it says is not understood.
pub async fn services(session: &mut Session) -> Result<(String, Vec<Seen>), NoAnswer> {
    let objects = read(session, Command::new("Get-WmiObject").parameter("Class", "Win32_Service")).await?;
    let first = objects.first().ok_or_else(|| "the host shows no services at all; the account may not see them".to_owned())?;
    let machine = values::text(first, "SystemName")?.to_uppercase();
    let all: Vec<Seen> = objects.iter().map(Seen::read).collect::<Result<_, _>>()?;
    Ok((machine, all))
}

/// The services of some goals, and the names of those that are gone. An inner error is that this is another machine.
///
/// # Errors
/// As [`services`].
pub async fn look(
    session: &mut Session,
    machine: &str,
    goals: &[Goal],
) -> Result<Result<(Vec<Seen>, Vec<String>), String>, NoAnswer> {
    let (now, all) = services(session).await?;
    if let Some(why) = other_machine(Some(machine), &now) {
        return Ok(Err(why));
    }
    let (mut found, gone) = seen::named(&all, goals.iter().map(|goal| goal.name.as_str()));
    let becomes_automatic = |name: &str| {
        goals.iter().any(|goal| goal.name.eq_ignore_ascii_case(name) && goal.startup.is_some_and(Startup::is_automatic))
    };
    for one in found.iter_mut().filter(|one| one.startup == Ok(Startup::Automatic) || becomes_automatic(&one.name)) {
        let delayed = is_delayed(session, &one.name).await?;
        one.delay(delayed);
    }
    Ok(Ok((found, gone)))
}

/// Whether an automatic start is delayed. `Win32_Service` says it on newer systems only, and then what the service control manager
/// last read; the registry holds what will be.
async fn is_delayed(session: &mut Session, name: &str) -> Result<bool, NoAnswer> {
    let objects = read(session, Command::new("Get-ItemProperty").parameter("Path", goal::key(name))).await?;
    let key = objects.first().ok_or_else(|| format!("the registry's entry of `{}` cannot be read", shown(name)))?;
    Ok(key.get("DelayedAutostart").and_then(Value::as_i64).is_some_and(|number| number != 0))
}

/// Looks until nothing is on its way any more, or the time is over: then it is unknown.
///
/// # Errors
/// As [`services`].
pub async fn settle(session: &mut Session, machine: &str, goals: &[Goal]) -> Result<(Verdict, String, Vec<Seen>), NoAnswer> {
    let begun = Instant::now();
    loop {
        let (seen, gone) = match look(session, machine, goals).await? {
            Ok(found) => found,
            Err(why) => return Ok((Verdict::Conflict, why, Vec::new())),
        };
        let words = match goal::meaning(goals, &seen, &gone) {
            Meaning::Settled(verdict, text) => return Ok((verdict, text, seen)),
            Meaning::Pending(words) => words,
        };
        let poll = session.host().poll.to_std();
        let in_time = session.time().left().is_none_or(|left| left > poll + ROOM) && begun.elapsed() < PATIENCE;
        if !in_time {
            let waited = begun.elapsed().as_secs();
            return Ok((Verdict::Unknown, format!("after {waited} s still on their way: {words}"), seen));
        }
        tokio::time::sleep(poll).await;
    }
}

/// Which services need those of the goals.
///
/// # Errors
/// The host does not say.
pub async fn dependents(session: &mut Session, goals: &[Goal]) -> Result<Dependents, NoAnswer> {
    let mut found = Dependents::new();
    for goal in goals {
        let command = Command::new("Get-Service").parameter("Name", goal.name.as_str()).switch("DependentServices");
        let mut needed_by = Vec::new();
        for object in &read(session, command).await? {
            let status = object.get("Status").map(Value::to_text).unwrap_or_default();
            needed_by.push(Dependent { name: values::text(object, "Name")?, stopped: status == "Stopped" });
        }
        found.insert(goal.name.to_lowercase(), needed_by);
    }
    Ok(found)
}

/// Brings services where they are to be, and looks until they are there.
pub async fn bring(session: &mut Session, machine: &str, goals: &[Goal]) -> Outcome {
    let not_sent = |error: NoAnswer| Outcome::NotSent { reason: error.reason };
    let refused = |why: String| Outcome::Rejected { reason: format!("nothing was changed: {why}"), untouched: true };
    let seen = match settle(session, machine, goals).await {
        Ok((Verdict::Done, _, seen)) => return Outcome::Applied { outputs: super::outputs(&seen) },
        Ok((Verdict::NotDone | Verdict::Partial, _, seen)) => seen,
        Ok((_, why, _)) => return refused(why),
        Err(error) => return not_sent(error),
    };
    let needed = match dependents(session, goals).await {
        Ok(needed) => needed,
        Err(error) => return not_sent(error),
    };
    if let Some(why) = goal::in_the_way(goals, &seen, &needed) {
        return refused(why);
    }
    let mut commands = goal::startups(goals, &seen);
    commands.extend(goal::states(goals, &seen, &needed));
    let (mut sent, all) = (0, commands.len());
    let mut trouble = None;
    for command in commands {
        match session.run(command).await {
            Ok(answer) => match answer.complaint() {
                None => sent += 1,
                Some(why) if sent == 0 && answer.never_began() => return refused(why),
                Some(why) => {
                    trouble = Some(why);
                    break;
                }
            },
            Err(lost) if sent == 0 => return lost.outcome(),
            Err(lost) => return Outcome::Unknown { reason: format!("{}; {sent} of {all} commands had ended well", lost.reason) },
        }
    }
    if let Some(why) = &mut trouble {
        // A service that needs this one may have started meanwhile.
        if let Ok(Some(more)) = dependents(session, goals).await.map(|needed| goal::in_the_way(goals, &seen, &needed)) {
            *why = format!("{why}; {more}");
        }
    }
    match (settle(session, machine, goals).await, trouble) {
        (Ok((Verdict::Done, _, seen)), _) => Outcome::Applied { outputs: super::outputs(&seen) },
        (Ok((_, text, _)), Some(why)) => Outcome::Unknown { reason: format!("{why}; now {text}") },
        (Ok((_, text, _)), None) => Outcome::Unknown { reason: format!("everything was sent without an error, and yet {text}") },
        (Err(error), Some(why)) => Outcome::Unknown { reason: format!("{why}; {}", error.reason) },
        (Err(error), None) => Outcome::Unknown { reason: format!("everything was sent without an error; {}", error.reason) },
    }
}
