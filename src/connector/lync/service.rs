//! `lync.service`: starts or stops the services of one Lync server, from wherever the remote PowerShell answers.
//!
//! The cmdlets know the services of Lync and no others. Group Chat 2010 was an application beside Lync: its servers have none
//! that these cmdlets see, and `windows.service` is for them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use super::cs::{self, shown};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Observation};
use crate::run::event::{EvidenceRef, Outcome, Outputs};
use crate::time::Span;

/// How long a look waits for a service that is just starting or stopping.
const PENDING: Span = Span::from_secs(30);
/// How long an attempt waits if the step has no timeout.
const SETTLED: Span = Span::from_secs(600);

/// The action.
#[derive(Debug)]
pub struct Service;

/// What a service should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Stopped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Running => "Running",
            State::Stopped => "Stopped",
        }
    }

    fn command(self, computer: &str, service: Option<&str>) -> Command {
        let command = Command::new(match self {
            State::Running => "Start-CsWindowsService",
            State::Stopped => "Stop-CsWindowsService",
        });
        let command = command.parameter("ComputerName", computer);
        service.into_iter().fold(command, |command, name| command.parameter("Name", name)).parameter("Confirm", false)
    }
}

/// The arguments.
struct Args {
    computer: String,
    /// By their short names; empty: all.
    services: Vec<String>,
    state: State,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let state = match args::needed(call, "state")?.as_str() {
            "running" => State::Running,
            "stopped" => State::Stopped,
            other => return Err(format!("`state` is `running` or `stopped`, not `{}`", shown(other))),
        };
        let services = args::list(call, "services")?;
        if let Some(odd) = services.iter().find(|name| name.trim().is_empty() || name.contains(['*', '?', '['])) {
            return Err(format!("`services` holds `{}`; the cmdlets take short names without wildcards", shown(odd)));
        }
        Ok(Args { computer: cs::fqdn(call, "computer")?, services, state })
    }

    /// One command for all, or one for each.
    fn commands(&self) -> Vec<Command> {
        if self.services.is_empty() {
            return vec![self.state.command(&self.computer, None)];
        }
        self.services.iter().map(|name| self.state.command(&self.computer, Some(name))).collect()
    }
}

fn listing(computer: &str) -> Command {
    Command::new("Get-CsWindowsService").parameter("ComputerName", computer).switch("ExcludeActivityLevel")
}

/// What services do, by short name.
type Statuses = BTreeMap<String, String>;

fn statuses(objects: &[Value]) -> Result<Statuses, String> {
    let one = |object: &Value| {
        let name = cs::word(object, "Name").ok_or("a service of the answer has no usable `Name`")?;
        let status =
            cs::word(object, "Status").ok_or_else(|| format!("the service `{}` has no usable `Status`", shown(&name)))?;
        Ok((name, status))
    };
    objects.iter().map(one).collect()
}

/// What a look means.
#[derive(Debug, Clone, PartialEq)]
struct Judged {
    verdict: Verdict,
    seen: String,
    /// Something is on its way to another state.
    pending: bool,
    /// What is asked after.
    services: Statuses,
}

fn judge(computer: &str, wanted: &[String], state: State, all: &Statuses) -> Judged {
    let judged = |verdict, seen, services| Judged { verdict, seen, pending: false, services };
    if all.is_empty() {
        let seen = format!(
            "`{computer}` has no service of Lync; a Group Chat 2010 server is none of Lync's: use `windows.service` there"
        );
        return judged(Verdict::Conflict, seen, Statuses::new());
    }
    let mut services = Statuses::new();
    let mut missing = Vec::new();
    for name in wanted {
        match all.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((known, status)) => drop(services.insert(known.clone(), status.clone())),
            None => missing.push(format!("`{}`", shown(name))),
        }
    }
    if !missing.is_empty() {
        let known = all.keys().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        let seen = format!("`{computer}` has no service {} among those of Lync, which are: {known}", missing.join(", "));
        return judged(Verdict::Conflict, seen, Statuses::new());
    }
    if wanted.is_empty() {
        services.clone_from(all);
    }
    let is = |status: &str, word: &str| status.eq_ignore_ascii_case(word);
    let reached = services.values().filter(|status| is(status, state.word())).count();
    let strange = services.values().any(|status| !is(status, "Running") && !is(status, "Stopped") && !is_pending(status));
    let pending = services.values().any(|status| is_pending(status));
    let verdict = match reached {
        all if all == services.len() => Verdict::Done,
        _ if pending || strange => Verdict::Unknown,
        0 => Verdict::NotDone,
        _ => Verdict::Partial,
    };
    let seen: Vec<String> = services.iter().map(|(name, status)| format!("{} {}", shown(name), shown(status))).collect();
    Judged { verdict, seen: format!("on `{computer}`: {}", seen.join(", ")), pending, services }
}

/// `StartPending`, `StopPending` and the like.
fn is_pending(status: &str) -> bool {
    status.to_ascii_lowercase().ends_with("pending")
}

async fn once(session: &mut Session, args: &Args) -> Result<Judged, NoAnswer> {
    let listed = cs::read(session, listing(&args.computer)).await;
    // A server that has nothing of Lync may be an error, or an empty list: neither is documented.
    let listed = listed.map_err(|error| NoAnswer {
        reason: format!("{} (a Group Chat 2010 server has no service of Lync: use `windows.service` there)", error.reason),
        ..error
    });
    let all = statuses(&listed?)?;
    Ok(judge(&args.computer, &args.services, args.state, &all))
}

/// Looks until `enough`, or until the time is over; the last look.
async fn until(session: &mut Session, args: &Args, longest: Span, enough: impl Fn(&Judged) -> bool) -> Result<Judged, NoAnswer> {
    let most = longest.to_std();
    let until = Instant::now() + session.time().left().map_or(most, |left| most.min(left.mul_f32(0.9)));
    loop {
        let judged = once(session, args).await?;
        if enough(&judged) || Instant::now() >= until {
            return Ok(judged);
        }
        tokio::time::sleep(session.host().poll.to_std()).await;
    }
}

async fn look(hosts: &Hosts, call: &Call) -> Result<(Args, Judged), NoAnswer> {
    let args = Args::read(call)?;
    let patience = hosts.longest_wait.map_or(PENDING, |most| PENDING.min(most));
    let mut session = hosts.look(call).await?;
    let judged = until(&mut session, &args, patience, |judged| !judged.pending).await;
    session.close().await;
    Ok((args, judged?))
}

fn outputs(judged: &Judged) -> Outputs {
    let services: Map<String, Json> = judged.services.iter().map(|(name, status)| (name.clone(), json!(status))).collect();
    Map::from_iter([("services".to_owned(), Json::Object(services))])
}

/// Runs commands one after the other; `Err` is how it ended before the last.
async fn run(session: &mut Session, commands: Vec<Command>) -> Result<(), Outcome> {
    for (place, command) in commands.into_iter().enumerate() {
        let begun = place > 0;
        match session.run(command).await {
            Ok(answer) if answer.complaint().is_none() => {}
            Ok(answer) => return Err(answer.outcome(begun, Map::new())),
            Err(lost) if begun => return Err(Outcome::Unknown { reason: lost.reason }),
            Err(lost) => return Err(lost.outcome()),
        }
    }
    Ok(())
}

async fn apply(session: &mut Session, args: &Args) -> Outcome {
    match once(session, args).await {
        Err(error) => return Outcome::NotSent { reason: error.reason },
        Ok(judged) if judged.verdict == Verdict::Done => return Outcome::Applied { outputs: outputs(&judged) },
        Ok(judged) if judged.verdict == Verdict::Conflict => {
            return cs::rejected(format!("nothing was changed: {}", judged.seen));
        }
        Ok(_) => {}
    }
    if let Err(outcome) = run(session, args.commands()).await {
        return outcome;
    }
    match until(session, args, SETTLED, |judged| judged.verdict == Verdict::Done).await {
        Ok(judged) if judged.verdict == Verdict::Done => Outcome::Applied { outputs: outputs(&judged) },
        Ok(judged) => Outcome::Unknown { reason: format!("the command ended without an error, but {}", judged.seen) },
        Err(error) => Outcome::Unknown { reason: error.reason },
    }
}

/// What services did before a step brought them to `to`, as far as they did something else: who changes the others later has a
/// reason.
fn changed(before: &Statuses, to: State) -> Result<BTreeMap<&str, State>, String> {
    let mut changed = BTreeMap::new();
    for (name, was) in before {
        let was = match was.to_ascii_lowercase().as_str() {
            "running" | "startpending" => State::Running,
            "stopped" | "stoppending" => State::Stopped,
            _ => return Err(format!("the service `{}` was `{}`, which cannot be set", shown(name), shown(was))),
        };
        if was != to {
            changed.insert(name.as_str(), was);
        }
    }
    Ok(changed)
}

/// The commands that lead back.
fn way_back(computer: &str, changed: &BTreeMap<&str, State>, now: &Statuses) -> Result<Vec<Command>, String> {
    let mut commands = Vec::new();
    for (name, was) in changed {
        let status = now.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, status)| status.as_str());
        let status = status.ok_or_else(|| format!("`{computer}` has no service `{}` any more", shown(name)))?;
        if !status.eq_ignore_ascii_case(was.word()) {
            commands.push(was.command(computer, Some(name)));
        }
    }
    Ok(commands)
}

fn image(computer: &str, services: &Statuses) -> Json {
    json!({ "lync_services": 1, "computer": computer, "services": services })
}

fn from_image(image: &Json, computer: &str) -> Result<Statuses, String> {
    if image["lync_services"] != 1 || image["computer"] != computer {
        return Err(format!("the before-image is not one of services on `{computer}`"));
    }
    let services = image["services"].as_object().ok_or("the before-image holds no services")?;
    let text = |(name, status): (&String, &Json)| {
        Ok::<_, String>((name.clone(), status.as_str().ok_or("the before-image cannot be understood")?.to_owned()))
    };
    services.iter().map(text).collect()
}

#[async_trait]
impl Action for Service {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.service",
            doc: "starts or stops the services of one Lync server",
            args: vec![
                args::required("host", ArgType::Host, "the remote PowerShell of a Front End"),
                args::required("computer", ArgType::String, "the server whose services are meant, fully qualified"),
                args::optional("services", ArgType::StringList, "their short names; all services of Lync there if left out"),
                args::required("state", ArgType::String, "`running` or `stopped`"),
            ],
            one_of: Vec::new(),
            effect: Effect::Ensure,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: true,
            discovers: false,
            outputs: vec!["services"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        match look(hosts, call).await {
            Err(error) => vec![error.finding()],
            Ok((_, judged)) if judged.verdict == Verdict::Conflict => cs::wrong(judged.seen),
            Ok((args, _)) => {
                let change = args.state.command(&args.computer, None).text;
                cs::offered(hosts, call, &["Get-CsWindowsService", change.as_str()]).await
            }
        }
    }

    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description {
        match look(hosts, call).await {
            Err(error) => cs::not_described(&error.reason),
            Ok((args, judged)) => {
                let verb = if args.state == State::Running { "start" } else { "stop" };
                let mut lines = vec![format!("{verb} services of Lync on `{}`", args.computer)];
                for (name, status) in &judged.services {
                    lines.push(format!("  {}: {} -> {}", shown(name), shown(status), args.state.word()));
                }
                if judged.services.is_empty() {
                    lines.push(format!("  {}", judged.seen));
                }
                let after = judged.services.keys().map(|name| (name.clone(), args.state.word().to_owned())).collect();
                cs::described(lines, outputs(&Judged { services: after, ..judged }))
            }
        }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        match look(hosts, call).await {
            Err(error) => Observation::unknown(error.reason),
            Ok((_, judged)) => {
                let outputs = if judged.verdict == Verdict::Done { outputs(&judged) } else { Map::new() };
                Observation { verdict: judged.verdict, outputs, ..Observation::unknown(judged.seen) }
            }
        }
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match Args::read(call) {
            Err(why) => vec![format!("# {why}")],
            Ok(args) => {
                let mut lines = vec![by_hand::line(&listing(&args.computer))];
                lines.extend(args.commands().iter().map(by_hand::line));
                lines
            }
        }
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        if let Some(first) = cs::kept(call)? {
            return cs::keep(evidence, &first);
        }
        let (args, judged) = look(hosts, call).await.map_err(|error| error.reason)?;
        if judged.services.is_empty() {
            return Err(judged.seen);
        }
        cs::keep(evidence, &image(&args.computer, &judged.services))
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return cs::rejected(format!("nothing was changed: {why}")),
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = apply(&mut session, &args).await;
        session.close().await;
        outcome
    }

    async fn undo(&self, hosts: &Hosts, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        let read = || {
            let args = Args::read(call)?;
            let bytes = before_image.ok_or("it is not known what the services did before")?;
            let before = from_image(&cs::image(bytes)?, &args.computer)?;
            Ok::<_, String>((args, before))
        };
        let (args, before) = match read() {
            Ok(read) => read,
            Err(why) => return cs::rejected(format!("nothing was changed: {why}")),
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = take_back(&mut session, &args, &before).await;
        session.close().await;
        outcome
    }
}

async fn take_back(session: &mut Session, args: &Args, before: &Statuses) -> Outcome {
    let refused = |why: String| cs::rejected(format!("nothing was changed: {why}"));
    let changed = match changed(before, args.state) {
        Ok(changed) if changed.is_empty() => return Outcome::Applied { outputs: Map::new() },
        Ok(changed) => changed,
        Err(why) => return refused(why),
    };
    let now = match cs::read(session, listing(&args.computer)).await {
        Ok(objects) => statuses(&objects),
        Err(error) => return Outcome::NotSent { reason: error.reason },
    };
    let commands = match now.and_then(|now| way_back(&args.computer, &changed, &now)) {
        Ok(commands) => commands,
        Err(why) => return refused(why),
    };
    if let Err(outcome) = run(session, commands).await {
        return outcome;
    }
    // What was changed had one state, the other one than the step's.
    let back = Args {
        computer: args.computer.clone(),
        services: changed.keys().map(|name| (*name).to_owned()).collect(),
        state: if args.state == State::Running { State::Stopped } else { State::Running },
    };
    match until(session, &back, SETTLED, |judged| judged.verdict == Verdict::Done).await {
        Ok(judged) if judged.verdict == Verdict::Done => Outcome::Applied { outputs: Map::new() },
        Ok(judged) => Outcome::Unknown { reason: format!("the commands ended without an error, but {}", judged.seen) },
        Err(error) => Outcome::Unknown { reason: error.reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PC01: &str = "pc01.contoso.com";

    fn all(pairs: &[(&str, &str)]) -> Statuses {
        pairs.iter().map(|(name, status)| ((*name).to_owned(), (*status).to_owned())).collect()
    }

    fn verdict(wanted: &[&str], state: State, all: &Statuses) -> Verdict {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        judge(PC01, &wanted, state, all).verdict
    }

    #[test]
    fn all_services_in_the_state_is_done_and_some_is_partial() {
        let half = all(&[("RTCCHAT", "Running"), ("RTCPCC", "Stopped")]);
        assert_eq!(verdict(&[], State::Running, &half), Verdict::Partial);
        assert_eq!(verdict(&["rtcchat"], State::Running, &half), Verdict::Done);
        assert_eq!(verdict(&["rtcchat"], State::Stopped, &half), Verdict::NotDone);
        let stopped = all(&[("RTCCHAT", "stopped")]);
        assert_eq!(verdict(&[], State::Stopped, &stopped), Verdict::Done);
    }

    #[test]
    fn a_service_on_its_way_is_neither_done_nor_not_done() {
        let starting = all(&[("RTCCHAT", "StartPending")]);
        let judged = judge(PC01, &[], State::Running, &starting);
        assert_eq!((judged.verdict, judged.pending), (Verdict::Unknown, true));
        let paused = judge(PC01, &[], State::Running, &all(&[("RTCCHAT", "Paused")]));
        assert_eq!((paused.verdict, paused.pending), (Verdict::Unknown, false));
    }

    #[test]
    fn a_group_chat_server_and_an_unknown_service_are_refused() {
        let judged = judge(PC01, &[], State::Stopped, &Statuses::new());
        assert_eq!(judged.verdict, Verdict::Conflict);
        assert!(judged.seen.contains("windows.service"), "{}", judged.seen);
        assert_eq!(verdict(&["OCSCHANNEL"], State::Stopped, &all(&[("RTCCHAT", "Running")])), Verdict::Conflict);
    }

    #[test]
    fn the_way_back_touches_only_what_the_step_changed() {
        let before = all(&[("A", "Running"), ("B", "Stopped"), ("C", "Running")]);
        let texts = |to: State, now: &[(&str, &str)]| {
            let changed = changed(&before, to)?;
            Ok::<_, String>(way_back(PC01, &changed, &all(now))?.iter().map(by_hand::line).collect::<Vec<_>>())
        };
        let start = ["Start-CsWindowsService -ComputerName 'pc01.contoso.com' -Name 'A' -Confirm:$false".to_owned()];
        // B was started since, on purpose: it was stopped before the step, and is none of its business.
        let now = [("A", "Stopped"), ("B", "Running"), ("C", "Running")];
        assert_eq!(texts(State::Stopped, &now), Ok(start.to_vec()));
        assert_eq!(texts(State::Running, &[("B", "Stopped")]), Ok(Vec::new()), "A and C are none of its business");
        assert!(texts(State::Stopped, &[("A", "Stopped")]).is_err(), "C is gone");
    }

    #[test]
    fn an_image_is_of_one_computer() {
        let before = all(&[("A", "Running"), ("B", "Stopped")]);
        let image = image(PC01, &before);
        assert_eq!(from_image(&image, PC01), Ok(before));
        assert!(from_image(&image, "pc02.contoso.com").is_err());
        assert!(changed(&all(&[("A", "Paused")]), State::Stopped).is_err());
    }
}
