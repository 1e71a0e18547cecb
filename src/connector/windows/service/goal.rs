//! What services are to be, what a look at them means, and what has to be sent. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ask::shown;
use super::seen::{Seen, Startup, State};
use crate::plan::Verdict;
use crate::remoting::psrp::Command;

/// What one service is to be. What is not said is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// Its short name.
    pub name: String,
    /// Whether it is to run.
    pub running: Option<bool>,
    /// When it is to start.
    pub startup: Option<Startup>,
}

impl Goal {
    /// Whether anything is wanted of the service.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.running.is_some() || self.startup.is_some()
    }

    fn state(&self) -> Option<State> {
        self.running.map(|running| if running { State::Running } else { State::Stopped })
    }

    /// For people: `stopped, disabled`.
    #[must_use]
    pub fn words(&self) -> String {
        let state = self.running.map(|running| if running { "running" } else { "stopped" });
        [state, self.startup.map(Startup::word)].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// What a look at the services means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// They are still on their way: look again.
    Pending(String),
    /// They are as they are.
    Settled(Verdict, String),
}

/// Holds services against what they are to be. `gone` are those of the goals that the host has no more.
#[must_use]
pub fn meaning(goals: &[Goal], seen: &[Seen], gone: &[String]) -> Meaning {
    if !gone.is_empty() {
        let names: Vec<String> = gone.iter().map(|name| format!("`{}`", shown(name))).collect();
        return Meaning::Settled(Verdict::Conflict, format!("the host has no service {} any more", names.join(", ")));
    }
    let pairs: Vec<(&Goal, &Seen)> = goals
        .iter()
        .filter_map(|goal| Some((goal, seen.iter().find(|one| one.name.eq_ignore_ascii_case(&goal.name))?)))
        .collect();
    let words = |chosen: &[&Seen]| chosen.iter().map(|one| one.words()).collect::<Vec<_>>().join("; ");
    let which = |test: fn(&Goal, &Seen) -> bool| -> Vec<&Seen> {
        pairs.iter().filter(|(goal, one)| test(goal, one)).map(|(_, one)| *one).collect()
    };
    let odd = which(|goal, one| {
        (goal.running.is_some() && matches!(one.state, State::Other(_))) || (goal.startup.is_some() && one.startup.is_err())
    });
    if !odd.is_empty() || pairs.len() != goals.len() {
        return Meaning::Settled(Verdict::Unknown, format!("not understood: {}", words(&odd)));
    }
    let pending = which(|goal, one| goal.running.is_some() && matches!(one.state, State::Pending(_)));
    if !pending.is_empty() {
        return Meaning::Pending(words(&pending));
    }
    let paused = which(|goal, one| goal.running == Some(true) && one.state == State::Paused);
    if !paused.is_empty() {
        return Meaning::Settled(Verdict::Conflict, format!("{}; resume or stop what is paused", words(&paused)));
    }
    // Two properties of a service are two things that can be done.
    let (mut done, mut open) = (0, 0);
    for (goal, one) in &pairs {
        let state = goal.state().map(|wanted| wanted == one.state);
        let startup = goal.startup.map(|wanted| one.startup == Ok(wanted));
        for is_so in [state, startup].into_iter().flatten() {
            *(if is_so { &mut done } else { &mut open }) += 1;
        }
    }
    let verdict = match (done, open) {
        (_, 0) => Verdict::Done,
        (0, _) => Verdict::NotDone,
        _ => Verdict::Partial,
    };
    Meaning::Settled(verdict, words(&which(|_, _| true)))
}

/// What has to be sent for the start types, in order. Only what differs.
#[must_use]
pub fn startups(goals: &[Goal], seen: &[Seen]) -> Vec<Command> {
    let mut commands = Vec::new();
    for goal in goals {
        let Some(one) = seen.iter().find(|one| one.name.eq_ignore_ascii_case(&goal.name)) else { continue };
        let (Some(wanted), Ok(now)) = (goal.startup, &one.startup) else { continue };
        if wanted == *now {
            continue;
        }
        if !(wanted.is_automatic() && now.is_automatic()) {
            commands.push(set_startup(&goal.name, wanted));
        }
        // What was automatic before may have left its delay behind.
        let delayed = wanted == Startup::AutomaticDelayed;
        if wanted.is_automatic() && delayed != one.delay {
            commands.push(set_delay(&goal.name, delayed));
        }
    }
    commands
}

fn set_startup(name: &str, wanted: Startup) -> Command {
    let word = match wanted {
        Startup::Automatic | Startup::AutomaticDelayed => "Automatic",
        Startup::Manual => "Manual",
        Startup::Disabled => "Disabled",
    };
    Command::new("Set-Service").parameter("Name", name).parameter("StartupType", word)
}

/// The key under which the service control manager keeps a service.
#[must_use]
pub fn key(name: &str) -> String {
    format!("HKLM:\\SYSTEM\\CurrentControlSet\\Services\\{name}")
}

/// `Set-Service` of Windows PowerShell knows no delayed start; the service control manager keeps it here
/// (`SERVICE_DELAYED_AUTO_START_INFO`), and takes it up when the machine starts.
#[must_use]
pub fn set_delay(name: &str, delayed: bool) -> Command {
    Command::new("Set-ItemProperty")
        .parameter("Path", key(name))
        .parameter("Name", "DelayedAutostart")
        .parameter("Value", i32::from(delayed))
        .parameter("Type", "DWord")
}

/// Which services need which: from a service to those that need it, as the host says.
pub type Dependents = BTreeMap<String, Vec<Dependent>>;

/// A service that needs another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependent {
    /// Its short name.
    pub name: String,
    /// Whether it is stopped for certain.
    pub stopped: bool,
}

/// What has to be sent for the states, in order: what needs others is stopped before them and started after them. Only what differs.
#[must_use]
pub fn states(goals: &[Goal], seen: &[Seen], dependents: &Dependents) -> Vec<Command> {
    let differs = |goal: &&Goal| {
        let now = seen.iter().find(|one| one.name.eq_ignore_ascii_case(&goal.name));
        now.is_some_and(|one| goal.state().is_some_and(|wanted| wanted != one.state))
    };
    let stopped_first = order(goals, dependents);
    let command = |goal: &Goal| {
        let verb = if goal.running == Some(true) { "Start-Service" } else { "Stop-Service" };
        Command::new(verb).parameter("Name", goal.name.as_str())
    };
    let stops = stopped_first.iter().copied().filter(|goal| goal.running == Some(false)).filter(differs);
    let starts = stopped_first.iter().rev().copied().filter(|goal| goal.running == Some(true)).filter(differs);
    stops.chain(starts).map(command).collect()
}

/// The goals in the order in which they are stopped. A circle is left in the order of the names; the host then says what it thinks of it.
fn order<'g>(goals: &'g [Goal], dependents: &Dependents) -> Vec<&'g Goal> {
    let mut left: Vec<&Goal> = goals.iter().collect();
    left.sort_by_key(|goal| goal.name.to_lowercase());
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let names: BTreeSet<String> = left.iter().map(|goal| goal.name.to_lowercase()).collect();
        let is_free = |goal: &&Goal| {
            let own = goal.name.to_lowercase();
            let needed_by = dependents.get(&own).map(Vec::as_slice).unwrap_or_default();
            needed_by.iter().map(|one| one.name.to_lowercase()).all(|name| name == own || !names.contains(&name))
        };
        let next = left.iter().position(is_free).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

/// Why services must not be stopped: others need them and are not stopped. `None` if nothing is in the way.
#[must_use]
pub fn in_the_way(goals: &[Goal], seen: &[Seen], dependents: &Dependents) -> Option<String> {
    let is_ours = |name: &str| goals.iter().any(|goal| goal.running == Some(false) && goal.name.eq_ignore_ascii_case(name));
    let mut reasons = Vec::new();
    for goal in goals.iter().filter(|goal| goal.running == Some(false)) {
        let stopped = seen.iter().any(|one| one.name.eq_ignore_ascii_case(&goal.name) && one.state == State::Stopped);
        let others: Vec<String> = dependents
            .get(&goal.name.to_lowercase())
            .into_iter()
            .flatten()
            .filter(|one| !stopped && !one.stopped && !is_ours(&one.name))
            .map(|one| format!("`{}`", shown(&one.name)))
            .collect();
        if !others.is_empty() {
            let words = if others.len() == 1 { "runs and needs" } else { "run and need" };
            reasons.push(format!("{} {words} `{}`", others.join(", "), shown(&goal.name)));
        }
    }
    let advice = "add what needs it to `services`, or stop it in a step before this one";
    (!reasons.is_empty()).then(|| format!("{}; {advice}", reasons.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::powershell::by_hand;

    fn seen(name: &str, state: State, startup: Startup) -> Seen {
        Seen {
            name: name.to_owned(),
            display: name.to_owned(),
            state,
            startup: Ok(startup),
            delay: startup == Startup::AutomaticDelayed,
            image: String::new(),
        }
    }

    fn goal(name: &str, running: Option<bool>, startup: Option<Startup>) -> Goal {
        Goal { name: name.to_owned(), running, startup }
    }

    fn lines(commands: &[Command]) -> Vec<String> {
        commands.iter().map(by_hand::line).collect()
    }

    fn needs(pairs: &[(&str, &[&str])]) -> Dependents {
        let list = |names: &[&str]| names.iter().map(|name| Dependent { name: (*name).to_owned(), stopped: false }).collect();
        pairs.iter().map(|(of, by)| (of.to_lowercase(), list(by))).collect()
    }

    #[test]
    fn what_is_seen_decides() {
        let goals = [goal("A", Some(false), Some(Startup::Disabled)), goal("B", Some(false), Some(Startup::Disabled))];
        let verdict =
            |a: (State, Startup), b: (State, Startup)| match meaning(&goals, &[seen("a", a.0, a.1), seen("B", b.0, b.1)], &[]) {
                Meaning::Settled(verdict, _) => Some(verdict),
                Meaning::Pending(_) => None,
            };
        let running = (State::Running, Startup::Automatic);
        let stopped = (State::Stopped, Startup::Disabled);
        assert_eq!(verdict(stopped.clone(), stopped.clone()), Some(Verdict::Done));
        assert_eq!(verdict(running.clone(), running.clone()), Some(Verdict::NotDone));
        assert_eq!(verdict(running.clone(), stopped.clone()), Some(Verdict::Partial));
        assert_eq!(verdict((State::Stopped, Startup::Manual), (State::Stopped, Startup::Manual)), Some(Verdict::Partial));
        assert_eq!(verdict((State::Paused, Startup::Manual), running.clone()), Some(Verdict::NotDone));
        assert_eq!(verdict((State::Pending("stop pending".to_owned()), Startup::Disabled), stopped.clone()), None);
        assert_eq!(verdict((State::Other("Dreaming".to_owned()), Startup::Disabled), stopped), Some(Verdict::Unknown));
        let gone = meaning(&goals, &[], &["A".to_owned()]);
        assert!(matches!(gone, Meaning::Settled(Verdict::Conflict, _)), "{gone:?}");
        assert!(
            matches!(meaning(&goals, &[], &[]), Meaning::Settled(Verdict::Unknown, _)),
            "nobody is taken for done who was not seen"
        );
        let paused = meaning(&[goal("A", Some(true), None)], &[seen("A", State::Paused, Startup::Manual)], &[]);
        assert!(matches!(paused, Meaning::Settled(Verdict::Conflict, _)), "{paused:?}");
    }

    #[test]
    fn a_state_that_the_step_does_not_set_is_not_waited_for() {
        let goals = [goal("A", None, Some(Startup::Manual))];
        let pending = seen("A", State::Pending("start pending".to_owned()), Startup::Manual);
        assert!(matches!(meaning(&goals, &[pending], &[]), Meaning::Settled(Verdict::Done, _)));
    }

    #[test]
    fn only_what_differs_is_sent() {
        let goals = [goal("A", Some(false), Some(Startup::Disabled)), goal("B", Some(false), Some(Startup::Disabled))];
        let now = [seen("A", State::Running, Startup::Disabled), seen("B", State::Stopped, Startup::Manual)];
        assert_eq!(lines(&startups(&goals, &now)), ["Set-Service -Name 'B' -StartupType 'Disabled'"]);
        assert_eq!(lines(&states(&goals, &now, &Dependents::new())), ["Stop-Service -Name 'A'"]);
    }

    #[test]
    fn a_delayed_start_is_an_automatic_one_and_a_value_of_the_registry() {
        let sent = |from, to| lines(&startups(&[goal("A", None, Some(to))], &[seen("A", State::Running, from)]));
        let delay = |on: i32| format!("Set-ItemProperty -Path '{}' -Name 'DelayedAutostart' -Value {on} -Type 'DWord'", key("A"));
        let set = |word: &str| format!("Set-Service -Name 'A' -StartupType '{word}'");
        assert_eq!(sent(Startup::Manual, Startup::AutomaticDelayed), [set("Automatic"), delay(1)]);
        assert_eq!(sent(Startup::Automatic, Startup::AutomaticDelayed), [delay(1)]);
        assert_eq!(sent(Startup::AutomaticDelayed, Startup::Automatic), [delay(0)]);
        assert_eq!(sent(Startup::Disabled, Startup::Automatic), [set("Automatic")]);
        let left = Seen { delay: true, ..seen("A", State::Stopped, Startup::Disabled) };
        let back = |to| lines(&startups(&[goal("A", None, Some(to))], std::slice::from_ref(&left)));
        assert_eq!(back(Startup::Automatic), [set("Automatic"), delay(0)]);
        assert_eq!(back(Startup::AutomaticDelayed), [set("Automatic")]);
        assert_eq!(sent(Startup::AutomaticDelayed, Startup::Disabled), [set("Disabled")]);
    }

    #[test]
    fn what_needs_others_is_stopped_before_them_and_started_after_them() {
        let dependents = needs(&[("Base", &["Mid", "top"]), ("mid", &["Top"])]);
        let all = |running| ["Base", "Mid", "Top"].map(|name| goal(name, Some(running), None));
        let now = |state: &State| ["Base", "Mid", "Top"].map(|name| seen(name, state.clone(), Startup::Manual));
        let names = |commands: &[Command]| lines(commands).join(" ");
        assert_eq!(
            names(&states(&all(false), &now(&State::Running), &dependents)),
            "Stop-Service -Name 'Top' Stop-Service -Name 'Mid' Stop-Service -Name 'Base'"
        );
        assert_eq!(
            names(&states(&all(true), &now(&State::Stopped), &dependents)),
            "Start-Service -Name 'Base' Start-Service -Name 'Mid' Start-Service -Name 'Top'"
        );
        let circle = needs(&[("base", &["Top"]), ("top", &["Base"])]);
        assert_eq!(states(&all(false), &now(&State::Running), &circle).len(), 3);
    }

    #[test]
    fn a_dependent_that_runs_and_is_not_named_is_in_the_way() {
        let now = [seen("Base", State::Running, Startup::Manual)];
        let goals = [goal("Base", Some(false), None)];
        let why = in_the_way(&goals, &now, &needs(&[("base", &["Top"])])).unwrap_or_default();
        assert!(why.starts_with("`Top` runs and needs `Base`;") && why.contains("add"), "{why}");
        let two = in_the_way(&goals, &now, &needs(&[("base", &["Top", "Mid"])])).unwrap_or_default();
        assert!(two.starts_with("`Top`, `Mid` run and need `Base`;"), "{two}");
        let both = [goals[0].clone(), goal("Top", Some(false), None)];
        assert_eq!(in_the_way(&both, &now, &needs(&[("base", &["top"])])), None);
        let mut quiet = needs(&[("base", &["Top"])]);
        quiet.values_mut().flatten().for_each(|one| one.stopped = true);
        assert_eq!(in_the_way(&goals, &now, &quiet), None);
        assert_eq!(in_the_way(&[goal("Base", Some(true), None)], &now, &needs(&[("base", &["Top"])])), None);
    }
}
