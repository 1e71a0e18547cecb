//! `windows.service`: brings services into a state, with a start type.
//!
//! ```text
//! seen   services as a host shows them, and which of them a step means
//! goal   what they are to be, what a look means, what has to be sent
//! image  what they were before
//! host   the looks, and the one place that sends
//! ```
//!
//! The services are found once and bound by their short names and the machine's own name; later looks and attempts act on
//! those and no others. The start type is set before the state, so that nothing starts again in between what was stopped,
//! and a disabled service can be started.

mod goal;
mod host;
mod image;
mod seen;

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use self::goal::Goal;
use self::image::Image;
use self::seen::{Seen, Startup, Which};
use super::ask::{MACHINE, shown};
use super::pattern::Pattern;
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Level, Observation, Pin};
use crate::run::event::{EvidenceRef, Identity, Outcome, Outputs};

/// The key of the identity for the short names, with commas between them.
const SERVICES: &str = "services";
/// The output for what the services were before the step.
const WAS: &str = "was";

/// The action.
#[derive(Debug)]
pub struct Service;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Args {
    which: Which,
    running: Option<bool>,
    startup: Option<Startup>,
    /// What each is to be again; then the others say nothing.
    before: Vec<Goal>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        if let Some(was) = call.with.get("as_before").filter(|was| !was.is_null()) {
            if let Some(other) = ["services", "display_names", "image_paths", "state", "startup"]
                .iter()
                .find(|name| call.with.contains_key(**name))
            {
                return Err(format!(
                    "`as_before` says which services, and what they are to be; `{other}` has no place beside it"
                ));
            }
            let before = image::as_it_was(was)?;
            let names = before.iter().map(|goal| goal.name.clone()).collect();
            return Ok(Args { which: Which { names, ..Which::default() }, running: None, startup: None, before });
        }
        let patterns = |name: &str| -> Result<Vec<Pattern>, String> {
            args::list(call, name)?.iter().map(|text| Pattern::parse(text, name)).collect()
        };
        let names = args::list(call, "services")?;
        let odd = |name: &&String| name.trim().is_empty() || name.contains(['*', '?', '[', ']', '`', ',', '\\', '/']);
        if let Some(odd) = names.iter().find(odd) {
            let hint = "a short name has no `*`, `?` or `,`; patterns stand under `display_names` and `image_paths`";
            return Err(format!("`services` holds `{}`: {hint}", shown(odd)));
        }
        let which = Which { names, displays: patterns("display_names")?, images: patterns("image_paths")? };
        if which == Which::default() {
            return Err("it takes at least one of `services`, `display_names` and `image_paths`".to_owned());
        }
        let running = match args::text(call, "state")?.as_deref() {
            None => None,
            Some("running") => Some(true),
            Some("stopped") => Some(false),
            Some(other) => return Err(format!("`state` is `running` or `stopped`, not `{}`", shown(other))),
        };
        let word = args::text(call, "startup")?;
        let startup = word.as_deref().map(|word| {
            let known = "`automatic`, `automatic_delayed`, `manual` or `disabled`";
            Startup::parse(word).ok_or_else(|| format!("`startup` is {known}, not `{}`", shown(word)))
        });
        let startup = startup.transpose()?;
        match (running, startup) {
            (None, None) => Err("it takes at least one of `state` and `startup`".to_owned()),
            (Some(true), Some(Startup::Disabled)) => Err("a service that is disabled cannot be started".to_owned()),
            _ => Ok(Args { which, running, startup, before: Vec::new() }),
        }
    }

    fn goals<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<Goal> {
        let goal = |name: &str| match self.before.iter().find(|goal| goal.name.eq_ignore_ascii_case(name)) {
            Some(goal) => goal.clone(),
            None => Goal { name: name.to_owned(), running: self.running, startup: self.startup },
        };
        names.into_iter().map(goal).collect()
    }

    /// Whether it sets the state, and the start type.
    fn sets(&self) -> (bool, bool) {
        (self.running.is_some() || !self.before.is_empty(), self.startup.is_some() || !self.before.is_empty())
    }

    fn words(&self) -> String {
        if !self.before.is_empty() {
            return "as they were before".to_owned();
        }
        Goal { name: String::new(), running: self.running, startup: self.startup }.words()
    }
}

/// What a call is bound to: the machine, and the names.
fn bound(call: &Call) -> Option<(&str, Vec<&str>)> {
    let machine = call.identity.get(MACHINE)?;
    Some((machine, call.identity.get(SERVICES)?.split(',').collect()))
}

fn identity(machine: &str, goals: &[Goal]) -> Identity {
    let names: Vec<&str> = goals.iter().map(|goal| goal.name.as_str()).collect();
    Identity::from([(MACHINE.to_owned(), machine.to_owned()), (SERVICES.to_owned(), names.join(","))])
}

/// The goals of a call and the machine that they belong to: those that it is bound to, otherwise those that its arguments
/// mean now. An inner error is that they mean none.
async fn goals(session: &mut Session, call: &Call, args: &Args) -> Result<Result<(String, Vec<Goal>), String>, NoAnswer> {
    if let Some((machine, names)) = bound(call) {
        return Ok(Ok((machine.to_owned(), args.goals(names))));
    }
    let (machine, all) = host::services(session).await?;
    Ok(seen::choose(&all, &args.which).map(|chosen| (machine, args.goals(chosen.iter().map(|one| one.name.as_str())))))
}

/// As [`outputs`], with what the services were before the step, as far as that is known.
fn outputs_and_was(seen: &[Seen], call: &Call) -> Outputs {
    let mut outputs = outputs(seen);
    // A damaged image keeps a plan from using it, not from going on.
    if let Ok(was) = image::was(call.before_image.as_ref(), seen) {
        outputs.insert(WAS.to_owned(), was);
    }
    outputs
}

fn outputs(seen: &[Seen]) -> Outputs {
    let names: Vec<&str> = seen.iter().map(|one| one.name.as_str()).collect();
    let found: Vec<Json> = seen.iter().map(Seen::json).collect();
    [(SERVICES.to_owned(), json!(names)), ("found".to_owned(), json!(found))].into_iter().collect()
}

impl Service {
    async fn look(&self, hosts: &Hosts, call: &Call) -> Result<Observation, NoAnswer> {
        let args = Args::read(call)?;
        let mut session = hosts.look(call).await?;
        let seen = async {
            let found = match goals(&mut session, call, &args).await? {
                Ok(found) => found,
                Err(why) => return Ok(Err(why)),
            };
            let seen = host::settle(&mut session, &found.0, &found.1).await?;
            Ok::<_, NoAnswer>(Ok((found, seen)))
        };
        let seen = seen.await;
        session.close().await;
        let ((machine, goals), (verdict, seen, services)) = match seen? {
            Ok(seen) => seen,
            Err(why) => return Ok(Observation { verdict: Verdict::Conflict, ..Observation::unknown(why) }),
        };
        let outputs = outputs_and_was(&services, call);
        let facts = outputs.clone();
        Ok(Observation { verdict, seen, facts, outputs, identity: identity(&machine, &goals) })
    }

    /// What is in the way of a stop.
    async fn in_the_way(&self, hosts: &Hosts, call: &Call) -> Result<Option<String>, NoAnswer> {
        let args = Args::read(call)?;
        if args.goals(args.which.names.iter().map(String::as_str)).iter().all(|goal| goal.running != Some(false))
            && args.running != Some(false)
        {
            return Ok(None);
        }
        let mut session = hosts.look(call).await?;
        let found = async {
            // The pin says what is wrong with the choice.
            let Ok((_, goals)) = goals(&mut session, call, &args).await? else { return Ok(None) };
            let (_, all) = host::services(&mut session).await?;
            let (seen, _) = seen::named(&all, goals.iter().map(|goal| goal.name.as_str()));
            let dependents = host::dependents(&mut session, &goals).await?;
            Ok(goal::in_the_way(&goals, &seen, &dependents))
        };
        let found = found.await;
        session.close().await;
        found
    }

    /// One line per service, before and after.
    async fn lines(&self, hosts: &Hosts, call: &Call, args: &Args) -> Result<(Vec<String>, Outputs), NoAnswer> {
        let mut session = hosts.look(call).await?;
        let found = async {
            let (machine, goals) = goals(&mut session, call, args).await??;
            Ok::<_, NoAnswer>(host::look(&mut session, &machine, &goals).await??)
        };
        let found = found.await;
        session.close().await;
        let (seen, gone) = found?;
        let becomes = |one: &Seen| args.goals([one.name.as_str()]).iter().map(Goal::words).collect::<String>();
        let mut lines: Vec<String> =
            seen.iter().map(|one| format!("  {} ({}) -> {}", one.words(), shown(&one.display), becomes(one))).collect();
        lines.extend(gone.iter().map(|name| format!("  `{}` is not there any more", shown(name))));
        let names: Vec<&str> = seen.iter().map(|one| one.name.as_str()).collect();
        let mut outputs = Outputs::from_iter([(SERVICES.to_owned(), json!(names))]);
        if let Ok(was) = image::was(None, &seen) {
            outputs.insert(WAS.to_owned(), was);
        }
        Ok((lines, outputs))
    }
}

#[async_trait]
impl Action for Service {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "windows.service",
            doc: "brings services of a Windows host into a state, with a start type",
            args: vec![
                args::required("host", ArgType::Host, "the host"),
                args::optional("services", ArgType::StringList, "short names of services"),
                args::optional("display_names", ArgType::StringList, "patterns over display names, with `*` and `?`"),
                args::optional("image_paths", ArgType::StringList, "patterns over command lines, with `*` and `?`"),
                args::optional("state", ArgType::String, "`running` or `stopped`"),
                args::optional("startup", ArgType::String, "`automatic`, `automatic_delayed`, `manual` or `disabled`"),
                args::optional("as_before", ArgType::Any, "instead of all these: the output `was` of a step, which is put back"),
            ],
            one_of: Vec::new(),
            effect: Effect::Ensure,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: true,
            discovers: false,
            outputs: vec![SERVICES, "found", WAS],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        if let Err(message) = Args::read(call) {
            return vec![Finding { level: Level::Fatal, message }];
        }
        match self.in_the_way(hosts, call).await {
            Ok(None) => Vec::new(),
            // A step before this one may stop it.
            Ok(Some(message)) => vec![Finding { level: Level::Warning, message }],
            Err(error) => vec![error.finding()],
        }
    }

    async fn pin(&self, hosts: &Hosts, call: &Call) -> Pin {
        let found = async {
            let args = Args::read(call)?;
            let mut session = hosts.look(call).await?;
            let found = goals(&mut session, call, &args).await;
            session.close().await;
            Ok::<_, NoAnswer>(found??)
        };
        match found.await {
            Ok((machine, goals)) => {
                let names: Vec<String> = goals.iter().map(|goal| format!("`{}`", shown(&goal.name))).collect();
                let seen = format!("bound to {} on `{}`", names.join(", "), shown(&machine));
                Pin::Bound { identity: identity(&machine, &goals), seen }
            }
            Err(error) => error.pin(),
        }
    }

    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description {
        let (lines, outputs) = match Args::read(call) {
            Err(why) => (vec![why], Map::new()),
            Ok(args) => {
                let mut lines = vec![format!("services to be {}:", args.words())];
                match self.lines(hosts, call, &args).await {
                    Ok((more, outputs)) => {
                        lines.extend(more);
                        (lines, outputs)
                    }
                    Err(error) => {
                        lines.push(format!("  they cannot be looked at now: {}", error.reason));
                        (lines, Map::new())
                    }
                }
            }
        };
        Description { lines, rehearsable: true, outputs }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        self.look(hosts, call).await.unwrap_or_else(|error| Observation::unknown(error.reason))
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return vec![format!("# {why}")],
        };
        let mut lines = Vec::new();
        let mut names: Vec<&str> = args.which.names.iter().map(String::as_str).collect();
        if let Some((machine, bound)) = bound(call) {
            lines.push(format!("# on the machine {}", shown(machine)));
            names = bound;
        } else {
            let list = by_hand::line(&Command::new("Get-WmiObject").parameter("Class", "Win32_Service"));
            for (property, pattern) in args
                .which
                .displays
                .iter()
                .map(|pattern| ("DisplayName", pattern))
                .chain(args.which.images.iter().map(|pattern| ("PathName", pattern)))
            {
                lines.push(format!("{list} | Where-Object {{ $_.{property} -like {} }}", by_hand::quoted(pattern.as_str())));
            }
            if !lines.is_empty() {
                lines.push("# and for each of these as for the others:".to_owned());
                names.push("<name>");
            }
        }
        lines.extend(by_hand_for(&args, &names));
        lines
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        let bytes = match &call.before_image {
            // What is seen now may be half of our own effect.
            Some(kept) => Image::load(kept)?.to_bytes(),
            None => {
                let seen = async {
                    let args = Args::read(call)?;
                    let mut session = hosts.look(call).await?;
                    let seen = async {
                        let (machine, goals) = goals(&mut session, call, &args).await??;
                        let (_, text, services) = host::settle(&mut session, &machine, &goals).await?;
                        Ok::<_, NoAnswer>((machine, goals.len(), text, services))
                    };
                    let seen = seen.await;
                    session.close().await;
                    seen
                };
                let (machine, wanted, text, services) = seen.await.map_err(|error| error.reason)?;
                if services.len() != wanted {
                    return Err(text);
                }
                Image::take(&machine, &services)?.to_bytes()
            }
        };
        evidence.store(image::KIND, &bytes).map(Some).map_err(|error| format!("the before-image could not be stored: {error}"))
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(reason) => return Outcome::Rejected { reason, untouched: true },
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = match goals(&mut session, call, &args).await {
            Ok(Ok((machine, goals))) => with_was(host::bring(&mut session, &machine, &goals).await, call),
            Ok(Err(reason)) => Outcome::Rejected { reason, untouched: true },
            Err(error) => Outcome::NotSent { reason: error.reason },
        };
        session.close().await;
        outcome
    }

    async fn undo(&self, hosts: &Hosts, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        let refused = |reason| Outcome::Rejected { reason, untouched: true };
        let Some(bytes) = before_image else {
            return refused("there is no before-image, so that nobody knows what the services were".to_owned());
        };
        let read = Args::read(call).and_then(|args| {
            let image = Image::from_bytes(bytes)?;
            let step = args.goals(image.services.iter().map(|kept| kept.name.as_str()));
            let goals = image.goals(&step)?;
            Ok((step, image.machine, goals))
        });
        let (step, machine, goals) = match read {
            Ok(read) => read,
            Err(reason) => return refused(reason),
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = take_back(&mut session, &machine, goals, &step).await;
        session.close().await;
        outcome
    }
}

/// Brings services back, but for what somebody has chosen since the step: that stays, and is told.
async fn take_back(session: &mut Session, machine: &str, mut goals: Vec<Goal>, step: &[Goal]) -> Outcome {
    let stays = match host::look(session, machine, &goals).await {
        Ok(Ok((seen, _))) => image::leave_chosen(&mut goals, step, &seen),
        Ok(Err(why)) => return Outcome::Rejected { reason: format!("nothing was changed: {why}"), untouched: true },
        Err(error) => return Outcome::NotSent { reason: error.reason },
    };
    match host::bring(session, machine, &goals).await {
        Outcome::Applied { .. } if !stays.is_empty() => {
            Outcome::Rejected { reason: format!("{}; the rest is as it was", stays.join("; ")), untouched: goals.is_empty() }
        }
        outcome => outcome,
    }
}

/// Adds what the services were before the step to what an attempt gave.
fn with_was(outcome: Outcome, call: &Call) -> Outcome {
    match (outcome, image::was(call.before_image.as_ref(), &[])) {
        (Outcome::Applied { mut outputs }, Ok(was)) if call.before_image.is_some() => {
            outputs.insert(WAS.to_owned(), was);
            Outcome::Applied { outputs }
        }
        (outcome, _) => outcome,
    }
}

/// The lines that bring services where they are to be, whatever they are now: in the order in which the action sends them.
fn by_hand_for(args: &Args, names: &[&str]) -> Vec<String> {
    let goals = args.goals(names.iter().copied());
    // As far from what it is to be as can be, so that everything is sent.
    let unlike = |goal: &Goal| Seen {
        name: goal.name.clone(),
        display: String::new(),
        state: if goal.running == Some(true) { seen::State::Stopped } else { seen::State::Running },
        startup: Ok(if goal.startup == Some(Startup::Manual) { Startup::Disabled } else { Startup::Manual }),
        delay: goal.startup == Some(Startup::Automatic),
        image: String::new(),
    };
    let now: Vec<Seen> = goals.iter().map(unlike).collect();
    let mut lines = Vec::new();
    if args.sets().1 {
        lines.push("# the start types of all first, so that nothing starts again what is stopped".to_owned());
        lines.extend(goal::startups(&goals, &now).iter().map(by_hand::line));
    }
    let states = goal::states(&goals, &now, &goal::Dependents::new());
    if !states.is_empty() {
        lines.push("# then who needs whom: what needs others is stopped before them, and started after them".to_owned());
        let needed_by =
            |goal: &Goal| Command::new("Get-Service").parameter("Name", goal.name.as_str()).switch("DependentServices");
        lines.extend(goals.iter().map(|goal| by_hand::line(&needed_by(goal))));
    }
    if goals.iter().any(|goal| goal.running == Some(false)) {
        lines.push("# if something else runs and needs one that is to be stopped: stop nothing, and ask whose it is;".to_owned());
        lines.push("# never with -Force, which would stop that, too".to_owned());
    }
    lines.extend(states.iter().map(by_hand::line));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::StepId;

    fn call(with: Json) -> Call {
        Call {
            run: "r".into(),
            step: StepId::new("a"),
            attempt: 1,
            uses: "windows.service".to_owned(),
            with: with.as_object().cloned().unwrap_or_default(),
            outputs: std::sync::Arc::from([]),
            identity: Identity::new(),
            folder: std::sync::Arc::from(std::path::Path::new("/")),
            scratch: std::path::PathBuf::new(),
            targets: std::sync::Arc::default(),
            excluded: std::sync::Arc::from([]),
            before_image: None,
            handle: None,
            timeout: None,
            effect: Effect::Ensure,
            probed: true,
            assumed: false,
            until: None,
            sent: crate::run::connector::Sent::default(),
        }
    }

    #[test]
    fn mistakes_are_told_before_anything_is_sent() {
        for (wrong, part) in [
            (json!({ "state": "stopped" }), "at least one of `services`"),
            (json!({ "services": [], "state": "stopped" }), "at least one of `services`"),
            (json!({ "services": ["a"] }), "at least one of `state`"),
            (json!({ "services": ["a*"], "state": "stopped" }), "no `*`"),
            (json!({ "services": ["a,b"], "state": "stopped" }), "no `*`"),
            (json!({ "services": ["a"], "state": "Stopped" }), "not `Stopped`"),
            (json!({ "services": ["a"], "startup": "never" }), "not `never`"),
            (json!({ "services": ["a"], "state": "running", "startup": "disabled" }), "cannot be started"),
            (json!({ "display_names": ["a[b]"], "state": "stopped" }), "a pattern has"),
        ] {
            match Args::read(&call(wrong.clone())) {
                Err(why) => assert!(why.contains(part), "{why}"),
                Ok(args) => panic!("{wrong} was taken as {args:?}"),
            }
        }
    }

    #[test]
    fn a_way_back_is_to_what_each_service_was() {
        let was = json!([
            { "name": "A", "state": "running", "startup": "automatic_delayed" },
            { "name": "B", "state": "stopped", "startup": "manual" },
        ]);
        let args = Args::read(&call(json!({ "as_before": was }))).unwrap_or_else(|why| panic!("{why}"));
        let words: Vec<String> = args.goals(["a", "B"]).iter().map(Goal::words).collect();
        assert_eq!(words, ["running, automatic_delayed", "stopped, manual"]);
        assert_eq!((args.which.names.as_slice(), args.sets()), (["A".to_owned(), "B".to_owned()].as_slice(), (true, true)));
        let beside = Args::read(&call(json!({ "as_before": was, "startup": "manual" })));
        assert!(beside.is_err_and(|why| why.contains("`startup` has no place")));
    }

    #[test]
    fn what_is_bound_is_what_by_hand_names() {
        let mut call = call(json!({ "display_names": ["Chat*"], "state": "stopped", "startup": "disabled" }));
        let lines = Service.by_hand(&Hosts::default(), &call);
        assert!(lines[0].contains("-like 'Chat*'") && lines.last().is_some_and(|line| line.contains("'<name>'")), "{lines:?}");
        call.identity = identity("GC01", &Args::read(&call).map(|args| args.goals(["A", "B"])).unwrap_or_default());
        let lines = Service.by_hand(&Hosts::default(), &call);
        let commands: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "Set-Service -Name 'A' -StartupType 'Disabled'",
            "Set-Service -Name 'B' -StartupType 'Disabled'",
            "Get-Service -Name 'A' -DependentServices",
            "Get-Service -Name 'B' -DependentServices",
            "Stop-Service -Name 'A'",
            "Stop-Service -Name 'B'",
        ];
        assert_eq!(lines[0], "# on the machine GC01");
        assert_eq!(commands, expected);
        assert!(lines.iter().any(|line| line.contains("never with -Force")), "{lines:?}");
    }
}
