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

/// The action.
#[derive(Debug)]
pub struct Service;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Args {
    which: Which,
    running: Option<bool>,
    startup: Option<Startup>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
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
            _ => Ok(Args { which, running, startup }),
        }
    }

    fn goals<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<Goal> {
        let goal = |name: &str| Goal { name: name.to_owned(), running: self.running, startup: self.startup };
        names.into_iter().map(goal).collect()
    }

    fn words(&self) -> String {
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
        let outputs = outputs(&services);
        let facts = outputs.clone();
        Ok(Observation { verdict, seen, facts, outputs, identity: identity(&machine, &goals) })
    }

    /// What is in the way of a stop.
    async fn in_the_way(&self, hosts: &Hosts, call: &Call) -> Result<Option<String>, NoAnswer> {
        let args = Args::read(call)?;
        if args.running != Some(false) {
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
        let mut lines: Vec<String> =
            seen.iter().map(|one| format!("  {} ({}) -> {}", one.words(), shown(&one.display), args.words())).collect();
        lines.extend(gone.iter().map(|name| format!("  `{}` is not there any more", shown(name))));
        let names: Vec<&str> = seen.iter().map(|one| one.name.as_str()).collect();
        Ok((lines, [(SERVICES.to_owned(), json!(names))].into_iter().collect()))
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
            ],
            one_of: Vec::new(),
            effect: Effect::Ensure,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: true,
            discovers: false,
            outputs: vec![SERVICES, "found"],
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
        for name in names {
            lines.extend(by_hand_for(&args, name));
        }
        lines
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        let bytes = match &call.before_image {
            // What is seen now may be half of our own effect.
            Some(path) => Image::load(path)?.to_bytes(),
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
            Ok(Ok((machine, goals))) => host::bring(&mut session, &machine, &goals).await,
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
            let goals = image.goals(args.running.is_some(), args.startup.is_some())?;
            Ok((image.machine, goals))
        });
        let (machine, goals) = match read {
            Ok(read) => read,
            Err(reason) => return refused(reason),
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = host::bring(&mut session, &machine, &goals).await;
        session.close().await;
        outcome
    }
}

/// The lines that bring one service where it is to be, whatever it is now.
fn by_hand_for(args: &Args, name: &str) -> Vec<String> {
    let goals = args.goals([name]);
    let unlike = match args.startup {
        Some(Startup::Manual) => Startup::Disabled,
        _ => Startup::Manual,
    };
    let state = if args.running == Some(true) { seen::State::Stopped } else { seen::State::Running };
    let delay = args.startup == Some(Startup::Automatic);
    let now = [Seen { name: name.to_owned(), display: String::new(), state, startup: Ok(unlike), delay, image: String::new() }];
    let mut commands = goal::startups(&goals, &now);
    commands.extend(goal::states(&goals, &now, &goal::Dependents::new()));
    commands.iter().map(by_hand::line).collect()
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
    fn what_is_bound_is_what_by_hand_names() {
        let mut call = call(json!({ "display_names": ["Chat*"], "state": "stopped", "startup": "disabled" }));
        let lines = Service.by_hand(&Hosts::default(), &call);
        assert!(lines[0].contains("-like 'Chat*'") && lines.last().is_some_and(|line| line.contains("'<name>'")), "{lines:?}");
        call.identity = identity("GC01", &Args::read(&call).map(|args| args.goals(["A", "B"])).unwrap_or_default());
        let lines = Service.by_hand(&Hosts::default(), &call);
        let expected = [
            "# on the machine GC01",
            "Set-Service -Name 'A' -StartupType 'Disabled'",
            "Stop-Service -Name 'A'",
            "Set-Service -Name 'B' -StartupType 'Disabled'",
            "Stop-Service -Name 'B'",
        ];
        assert_eq!(lines, expected);
    }
}
