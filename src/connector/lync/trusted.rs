//! `lync.trusted_application.remove`: takes a trusted application, or a whole pool of them, out of the topology. The last steps
//! of a retirement; there is no way back but to publish it anew.
//!
//! Entries of the topology have no identity but their names, so a step is bound to the name and to what belongs to it: an
//! application that came to the pool since is not removed with it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use super::cs::{self, shown, word};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::connector::powershell::values;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Level, Observation, Pin};
use crate::run::event::{EvidenceRef, Identity, Outcome, Outputs};

/// What Microsoft says of these cmdlets.
const WARNING: &str = "it also removes the computers and contacts that belong to it, and takes effect with `lync.topology.enable`; \
                       look at the endpoints of the new pool afterwards";

/// The action.
#[derive(Debug)]
pub struct RemoveTrustedApplication;

/// What is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    /// One application: its pool, and its id without `urn:application:`.
    Application { pool: String, id: String },
    /// A pool, with everything in it.
    Pool(String),
}

impl Subject {
    fn read(call: &Call) -> Result<Self, String> {
        match (args::text(call, "application")?, args::text(call, "pool")?) {
            (Some(text), None) => parse(&text).ok_or_else(|| {
                format!("`application` is `{}`, not such as `gcpool.contoso.com/urn:application:groupchat`", shown(&text))
            }),
            (None, Some(text)) => Ok(Subject::Pool(cs::parse_fqdn(&text, "pool")?)),
            _ => Err("it takes exactly one of `application` and `pool`".to_owned()),
        }
    }

    fn words(&self) -> String {
        match self {
            Subject::Application { pool, id } => format!("the trusted application `{id}` of `{pool}`"),
            Subject::Pool(pool) => format!("the pool of trusted applications `{pool}`"),
        }
    }

    fn removal(&self, identity: &str) -> Command {
        let name = match self {
            Subject::Application { .. } => "Remove-CsTrustedApplication",
            Subject::Pool(_) => "Remove-CsTrustedApplicationPool",
        };
        // Nobody sits at the console that it would ask.
        Command::new(name).parameter("Identity", identity).switch("Force").parameter("Confirm", false)
    }
}

/// An application's identity, with or without `urn:application:`.
fn parse(text: &str) -> Option<Subject> {
    let (pool, id) = text.trim().split_once('/')?;
    let lower = id.to_ascii_lowercase();
    let id = lower.strip_prefix("urn:application:").unwrap_or(&lower);
    let fits = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    fits.then(|| Some(Subject::Application { pool: cs::parse_fqdn(pool, "application").ok()?, id: id.to_owned() }))?
}

fn applications() -> Command {
    Command::new("Get-CsTrustedApplication")
}

fn pools() -> Command {
    Command::new("Get-CsTrustedApplicationPool")
}

/// What is there.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    /// The thing itself: its identity, and everything that it says.
    found: Option<(String, Json)>,
    /// What belongs to it, by identity in lower case.
    parts: BTreeSet<String>,
    /// Its name is that of a Persistent Chat pool too.
    is_chat: bool,
    /// Whether anything of the topology was shown. Lists that are all empty tell of a role or a server, not of the topology.
    is_shown: bool,
}

fn see(subject: &Subject, applications: &[Value], pools: &[Value], chat: &[Value]) -> Result<Seen, String> {
    let identity = |object: &Value| word(object, "Identity").ok_or("an object of the answer has no usable `Identity`");
    let is_shown = [applications, pools, chat].iter().any(|list| !list.is_empty());
    let mut seen = Seen { is_shown, ..Seen::default() };
    for application in applications {
        let identity = identity(application)?;
        let known = parse(&identity);
        match subject {
            Subject::Application { .. } if known.as_ref() == Some(subject) => {
                seen.found = Some((identity, values::json(application)));
            }
            Subject::Pool(pool) => {
                let own = word(application, "TrustedApplicationPoolFqdn");
                let of_name = identity.split_once('/').map(|(pool, _)| pool.to_owned());
                if own.or(of_name).is_some_and(|own| own.eq_ignore_ascii_case(pool)) {
                    seen.parts.insert(identity.to_ascii_lowercase());
                }
            }
            Subject::Application { .. } => {}
        }
    }
    if let Subject::Pool(name) = subject {
        for pool in pools {
            let identity = identity(pool)?;
            let fqdn = word(pool, "PoolFqdn").ok_or("a pool of the answer has no usable `PoolFqdn`")?;
            if fqdn.eq_ignore_ascii_case(name) {
                seen.found = Some((identity, values::json(pool)));
            }
        }
        seen.is_chat = chat.iter().any(|server| word(server, "PoolFqdn").is_some_and(|fqdn| fqdn.eq_ignore_ascii_case(name)));
    }
    Ok(seen)
}

async fn read(session: &mut Session, subject: &Subject) -> Result<Seen, NoAnswer> {
    let applications = cs::read(session, applications()).await?;
    let pools = cs::read(session, pools()).await?;
    let chat = cs::read(session, Command::new("Get-CsService").switch("PersistentChatServer")).await?;
    Ok(see(subject, &applications, &pools, &chat)?)
}

async fn look(hosts: &Hosts, call: &Call) -> Result<(Subject, Seen), NoAnswer> {
    let subject = Subject::read(call)?;
    let mut session = hosts.look(call).await?;
    let seen = read(&mut session, &subject).await;
    session.close().await;
    Ok((subject, seen?))
}

fn identity(seen: &Seen) -> Option<Identity> {
    let (identity, _) = seen.found.as_ref()?;
    let parts: Vec<&str> = seen.parts.iter().map(String::as_str).collect();
    Some(Identity::from([("identity".to_owned(), identity.clone()), ("parts".to_owned(), parts.join(" "))]))
}

/// What a look means for what the step is bound to.
fn judge(subject: &Subject, seen: &Seen, bound: &Identity) -> (Verdict, String) {
    let what = subject.words();
    let Some((name, _)) = &seen.found else {
        return if seen.is_shown {
            (Verdict::Done, format!("{what} is not in the topology"))
        } else {
            (Verdict::Unknown, "nothing at all of the topology was shown; that proves nothing".to_owned())
        };
    };
    if seen.is_chat {
        return (Verdict::Conflict, format!("{what} is a Persistent Chat pool as well, and is not removed"));
    }
    if bound.get("identity").is_some_and(|bound| !bound.eq_ignore_ascii_case(name)) {
        return (Verdict::Conflict, format!("{what} is `{}` now, which is not what was approved", shown(name)));
    }
    let approved: BTreeSet<&str> = bound.get("parts").map(|parts| parts.split(' ').collect()).unwrap_or_default();
    let new: Vec<String> = seen.parts.iter().filter(|part| !approved.contains(part.as_str())).map(|part| shown(part)).collect();
    if !new.is_empty() {
        return (Verdict::Conflict, format!("{what} has applications that were not approved: {}", new.join(", ")));
    }
    (Verdict::NotDone, format!("{what} is in the topology, with {} applications", seen.parts.len()))
}

fn bound_to(call: &Call) -> Result<&str, String> {
    let name = call.identity.get("identity").map(String::as_str).filter(|name| !name.is_empty());
    name.ok_or_else(|| "the step is bound to nothing".to_owned())
}

fn outputs(identity: &str) -> Outputs {
    Map::from_iter([("identity".to_owned(), json!(identity))])
}

async fn remove(session: &mut Session, call: &Call, subject: &Subject, name: &str) -> Outcome {
    let seen = match read(session, subject).await {
        Ok(seen) => seen,
        Err(error) => return Outcome::NotSent { reason: error.reason },
    };
    match judge(subject, &seen, &call.identity) {
        (Verdict::Done, _) => return Outcome::Applied { outputs: outputs(name) },
        (Verdict::NotDone, _) => {}
        (_, why) => return cs::rejected(format!("nothing was removed: {why}")),
    }
    match session.run(subject.removal(name)).await {
        Ok(answer) => answer.outcome(false, outputs(name)),
        Err(lost) => lost.outcome(),
    }
}

#[async_trait]
impl Action for RemoveTrustedApplication {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.trusted_application.remove",
            doc: "takes a trusted application, or a pool of them, out of the topology",
            args: vec![
                args::required("host", ArgType::Host, "the remote PowerShell of a Front End"),
                args::optional("application", ArgType::String, "one application: `pool/urn:application:id`"),
                args::optional("pool", ArgType::String, "a pool with everything in it, fully qualified"),
            ],
            one_of: vec![&["application", "pool"]],
            effect: Effect::Cas,
            generic: false,
            destructive: true,
            undo: UndoGrade::None,
            keeps: true,
            discovers: false,
            outputs: vec!["identity"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        let subject = match Subject::read(call) {
            Ok(subject) => subject,
            Err(message) => return cs::wrong(message),
        };
        let removal = subject.removal("").text;
        let mut found = cs::offered(hosts, call, &["Get-CsTrustedApplication", removal.as_str()]).await;
        found.push(cs::finding(Level::Warning, format!("removing {}: {WARNING}", subject.words())));
        found
    }

    async fn pin(&self, hosts: &Hosts, call: &Call) -> Pin {
        match look(hosts, call).await {
            Err(error) => error.pin(),
            Ok((subject, seen)) => match (identity(&seen), seen.is_chat) {
                (Some(identity), false) => {
                    let (_, text) = judge(&subject, &seen, &identity);
                    Pin::Bound { seen: format!("bound: {text}"), identity }
                }
                (Some(_), true) => {
                    Pin::Cannot { unreachable: false, reason: format!("{} is a Persistent Chat pool as well", subject.words()) }
                }
                (None, _) => Pin::Cannot {
                    unreachable: false,
                    reason: format!("{} is not in the topology; leave the step out if that is right", subject.words()),
                },
            },
        }
    }

    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description {
        match look(hosts, call).await {
            Err(error) => cs::not_described(&error.reason),
            Ok((subject, seen)) => {
                let Some((name, _)) = &seen.found else { return cs::not_described(&format!("{} is not there", subject.words())) };
                let mut lines = vec![format!("remove {}: {WARNING}", subject.words())];
                lines.push(format!("  before: `{}`, in the topology", shown(name)));
                lines.extend(seen.parts.iter().map(|part| format!("  with:   `{}`", shown(part))));
                lines.push("  after:  not in the topology; nothing brings it back but to publish it anew".to_owned());
                cs::described(lines, outputs(name))
            }
        }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        match look(hosts, call).await {
            Err(error) => Observation::unknown(error.reason),
            Ok((subject, seen)) => {
                let own = if call.identity.is_empty() { identity(&seen).unwrap_or_default() } else { call.identity.clone() };
                if own.is_empty() {
                    let text = format!("{} is not in the topology", subject.words());
                    return Observation { verdict: Verdict::Conflict, ..Observation::unknown(text) };
                }
                let (verdict, text) = judge(&subject, &seen, &own);
                let outputs = match own.get("identity").filter(|_| verdict == Verdict::Done) {
                    Some(name) => outputs(name),
                    None => Map::new(),
                };
                Observation { verdict, outputs, identity: own, ..Observation::unknown(text) }
            }
        }
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match Subject::read(call) {
            Err(why) => vec![format!("# {why}")],
            Ok(subject) => vec![
                by_hand::line(&applications()),
                by_hand::line(&pools()),
                by_hand::line(&subject.removal(bound_to(call).unwrap_or("<Identity>"))),
                format!("# {WARNING}"),
            ],
        }
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        if let Some(first) = cs::kept(call)? {
            return cs::keep(evidence, &first);
        }
        let (subject, seen) = look(hosts, call).await.map_err(|error| error.reason)?;
        match (judge(&subject, &seen, &call.identity), &seen.found) {
            ((Verdict::NotDone, _), Some((name, all))) => {
                let image = json!({ "lync_trusted": 1, "identity": name, "properties": all, "applications": seen.parts });
                cs::keep(evidence, &image)
            }
            ((_, why), _) => Err(why),
        }
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        let (subject, name) = match Subject::read(call).and_then(|subject| Ok((subject, bound_to(call)?))) {
            Ok(read) => read,
            Err(why) => return cs::rejected(format!("nothing was removed: {why}")),
        };
        if let Err(why) = cs::must_be_kept(call) {
            return cs::rejected(format!("nothing was removed: {why}"));
        }
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = remove(&mut session, call, &subject, name).await;
        session.close().await;
        outcome
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        cs::rejected("nothing brings it back but to publish it anew; the before-image holds what it was")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(pairs: &[(&str, &str)]) -> Value {
        Value::custom(pairs.iter().map(|(name, value)| (*name, Value::from(*value))))
    }

    fn seen(subject: &Subject, applications: &[&str], chat: &[Value]) -> Seen {
        let applications: Vec<Value> = applications.iter().map(|identity| object(&[("Identity", *identity)])).collect();
        let pools = [object(&[("Identity", "TrustedApplicationPool:gcpool.contoso.com"), ("PoolFqdn", "GCPool.contoso.com")])];
        see(subject, &applications, &pools, chat).unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn an_application_is_the_same_with_and_without_its_prefix() {
        let full = parse("GCPool.contoso.com/urn:application:GroupChat");
        assert_eq!(full, parse("gcpool.contoso.com/groupchat"));
        assert!(full.is_some());
        for wrong in ["", "gcpool.contoso.com", "gcpool.contoso.com/", "/x", "gcpool/x", "gcpool.contoso.com/*", "a.b/x y"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_application_that_came_since_keeps_the_pool_from_being_removed() {
        let pool = Subject::Pool("gcpool.contoso.com".to_owned());
        let then = seen(&pool, &["gcpool.contoso.com/urn:application:groupchat", "other.contoso.com/urn:application:x"], &[]);
        let bound = identity(&then).unwrap_or_default();
        assert_eq!(judge(&pool, &then, &bound).0, Verdict::NotDone);
        // One that was removed by an earlier step does not matter.
        assert_eq!(judge(&pool, &seen(&pool, &[], &[]), &bound).0, Verdict::NotDone);
        let now = seen(&pool, &["gcpool.contoso.com/urn:application:groupchat", "gcpool.contoso.com/urn:application:new"], &[]);
        let (verdict, text) = judge(&pool, &now, &bound);
        assert!(verdict == Verdict::Conflict && text.contains("urn:application:new"), "{text}");
    }

    #[test]
    fn the_pool_that_the_data_moved_to_is_never_removed() {
        let pool = Subject::Pool("gcpool.contoso.com".to_owned());
        let chat = [object(&[("PoolFqdn", "gcpool.contoso.com")])];
        let seen = seen(&pool, &[], &chat);
        assert_eq!(judge(&pool, &seen, &identity(&seen).unwrap_or_default()).0, Verdict::Conflict);
    }

    #[test]
    fn what_is_not_in_a_list_that_came_whole_is_gone() {
        let application = parse("gcpool.contoso.com/groupchat").unwrap_or_else(|| panic!("an application"));
        let there = seen(&application, &["GCPool.contoso.com/urn:application:groupchat"], &[]);
        let bound = identity(&there).unwrap_or_default();
        assert_eq!(judge(&application, &there, &bound).0, Verdict::NotDone);
        assert_eq!(judge(&application, &seen(&application, &[], &[]), &bound).0, Verdict::Done);
        assert!(see(&application, &[object(&[("Name", "x")])], &[], &[]).is_err());
    }
}
