//! `ad.settle`: waits until every domain controller has heard of it: an object is gone, or there.
//!
//! - The servers are read from the directory itself, anew at every round.
//! - All are asked at the same time, each over a session of its own that stays open.
//! - It has come about when it has held on all of them, without a break, for the time that is asked for.
//! - A server that cannot be asked, or not understood, never counts as one that has heard. A person may leave it out by
//!   its name, and that is said in every text.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::args::{self, Subject};
use super::super::dn::{Address, Dn};
use super::super::entry::Entry;
use super::super::session::{Deleted, Dialer, Server, Session};
use super::super::target::Target;
use super::super::topology::{self, Controller};
use super::super::{Directory, NoAnswer, by_hand, find, preflight, shown};
use super::Action;
use crate::connector::span;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::run::connector::{Call, Description, Finding, Observation};
use crate::run::event::{Identity, Outcome, Outputs};
use crate::time::Span;

/// A plan that asks for less asks too often.
const SHORTEST_POLL: Span = Span::from_millis(10);

/// The action.
pub struct Settle;

/// What must hold on every server.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    /// No object is it, or carries it.
    Absent(Subject),
    /// Exactly one does.
    Present(Subject),
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Condition::Absent(subject @ Subject::Sip(_)) => write!(f, "no object carries the address {subject}"),
            Condition::Absent(Subject::Guid(guid)) => write!(f, "the object {guid} is seen as deleted"),
            Condition::Present(subject @ Subject::Sip(_)) => write!(f, "exactly one object carries the address {subject}"),
            Condition::Present(Subject::Guid(guid)) => write!(f, "the object {guid} is alive"),
        }
    }
}

/// Which servers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum On {
    /// Every domain controller of the domain.
    All,
    /// Those of these sites.
    Sites(Vec<String>),
    /// These.
    Servers(Vec<String>),
}

impl std::fmt::Display for On {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |names: &[String]| names.iter().map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ");
        match self {
            On::All => f.write_str("all domain controllers"),
            On::Sites(sites) => write!(f, "the domain controllers of the sites {}", list(sites)),
            On::Servers(servers) => write!(f, "the domain controllers {}", list(servers)),
        }
    }
}

impl On {
    fn read(value: Option<&Value>) -> Result<Self, String> {
        const FORMS: &str = "`on` is `all_domain_controllers`, `{ sites: [...] }` or `{ servers: [...] }`";
        match value {
            None | Some(Value::Null) => Ok(On::All),
            Some(Value::String(all)) if all == "all_domain_controllers" => Ok(On::All),
            Some(Value::Object(map)) if map.len() == 1 => {
                let names = |what: &Value| -> Result<Vec<String>, String> {
                    let items = what.as_array().filter(|items| !items.is_empty()).ok_or(FORMS)?;
                    items.iter().map(|item| args::as_text(item, "on")).collect()
                };
                match map.iter().next() {
                    Some((key, value)) if key == "sites" => names(value).map(On::Sites),
                    Some((key, value)) if key == "servers" => names(value).map(On::Servers),
                    _ => Err(FORMS.to_owned()),
                }
            }
            Some(_) => Err(FORMS.to_owned()),
        }
    }
}

struct Args {
    condition: Condition,
    on: On,
    stable_for: Span,
    poll: Span,
    excluded: Vec<String>,
    limit: Option<Span>,
}

impl Args {
    fn read(call: &Call, target: &Target, longest_wait: Option<Span>) -> Result<Self, String> {
        let given = |name: &str| call.with.get(name).filter(|value| !value.is_null());
        let condition = match (given("absent"), given("present")) {
            (Some(absent), None) => Condition::Absent(Subject::of_map(absent, "absent")?),
            (None, Some(present)) => Condition::Present(Subject::of_map(present, "present")?),
            _ => return Err("it takes exactly one of `absent` and `present`".to_owned()),
        };
        let cut = |span: Span| longest_wait.map_or(span, |longest| span.min(longest));
        Ok(Args {
            condition,
            on: On::read(given("on"))?,
            stable_for: cut(args::span(call, "stable_for")?.unwrap_or(target.stable_for)),
            poll: cut(args::span(call, "poll")?.unwrap_or(target.poll)).max(SHORTEST_POLL),
            excluded: call.excluded.to_vec(),
            limit: call.timeout.or(target.settle_timeout),
        })
    }
}

/// Whether a name that a person typed means this server: its whole DNS name, or its first label.
fn means(name: &str, host: &str) -> bool {
    let label = host.split('.').next().unwrap_or(host);
    name.eq_ignore_ascii_case(host) || name.eq_ignore_ascii_case(label)
}

/// The servers to ask, and those of them that a person left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Chosen {
    asked: Vec<Controller>,
    excepted: Vec<String>,
    /// Names of the plan that no discovered server has.
    strange: Vec<String>,
}

/// `all` are those of the forest; controllers of other domains do not hold what is waited for.
fn choose(all: &[Controller], on: &On, excluded: &[String]) -> Chosen {
    let mut chosen = Chosen::default();
    for controller in all.iter().filter(|controller| controller.in_domain) {
        let wanted = match on {
            On::All => true,
            On::Sites(sites) => sites.iter().any(|site| site.eq_ignore_ascii_case(&controller.site)),
            On::Servers(servers) => servers.iter().any(|server| means(server, &controller.host)),
        };
        if !wanted {
            continue;
        }
        if excluded.iter().any(|name| means(name, &controller.host)) {
            chosen.excepted.push(controller.host.clone());
        } else {
            chosen.asked.push(controller.clone());
        }
    }
    chosen.strange = match on {
        On::All => Vec::new(),
        On::Sites(sites) => {
            sites.iter().filter(|site| !all.iter().any(|it| site.eq_ignore_ascii_case(&it.site))).cloned().collect()
        }
        On::Servers(servers) => servers.iter().filter(|server| !all.iter().any(|it| means(server, &it.host))).cloned().collect(),
    };
    chosen
}

/// What one server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    /// By address: everything on it that carries it.
    Carriers(Vec<Entry>),
    /// By identity: alive.
    Living(Entry),
    /// By identity: deleted.
    Deleted(Entry),
    /// By identity: never heard of.
    Nothing,
}

/// Whether it holds there, and what was seen.
fn judge(condition: &Condition, seen: &Shown) -> (bool, String) {
    let list = |entries: &[Entry]| entries.iter().map(find::words).collect::<Vec<_>>().join("; ");
    match (condition, seen) {
        (Condition::Absent(_), Shown::Carriers(carriers)) if carriers.is_empty() => (true, "nothing carries it".to_owned()),
        (Condition::Absent(_), Shown::Carriers(carriers)) => (false, format!("still carried by {}", list(carriers))),
        (Condition::Absent(_), Shown::Deleted(entry)) => (true, format!("deleted, seen as `{}`", shown(&entry.dn))),
        (Condition::Absent(_), Shown::Living(entry)) => (false, format!("still alive: {}", find::words(entry))),
        (Condition::Absent(_), Shown::Nothing) => {
            (false, "has not heard of it: neither alive nor deleted, or its deleted objects cannot be read".to_owned())
        }
        (Condition::Present(_), Shown::Carriers(carriers)) => match carriers.as_slice() {
            [] => (false, "nothing carries it yet".to_owned()),
            [one] => (true, format!("carried by {}", find::words(one))),
            several => (false, format!("carried by {} objects: {}", several.len(), list(several))),
        },
        (Condition::Present(_), Shown::Living(entry)) => (true, format!("alive: {}", find::words(entry))),
        (Condition::Present(_), Shown::Deleted(entry)) => (false, format!("deleted: `{}`", shown(&entry.dn))),
        (Condition::Present(_), Shown::Nothing) => (false, "has not heard of it".to_owned()),
    }
}

/// The sessions with one server, kept from round to round.
#[derive(Default)]
struct Line {
    session: Option<Session>,
    catalog: Option<Session>,
}

/// Asks one server. After an error its sessions are closed; the next round opens new ones.
async fn ask(
    dialer: Dialer,
    target: Target,
    host: String,
    condition: Condition,
    mut line: Line,
) -> (Line, Result<Shown, NoAnswer>) {
    match ask_over(&dialer, &target, &host, &condition, &mut line).await {
        Ok(seen) => (line, Ok(seen)),
        Err(error) => (Line::default(), Err(error)),
    }
}

async fn ask_over(
    dialer: &Dialer,
    target: &Target,
    host: &str,
    condition: &Condition,
    line: &mut Line,
) -> Result<Shown, NoAnswer> {
    let session = match &mut line.session {
        Some(session) => session,
        none => none.insert(dialer.open(target, &Server::Host(host.to_owned())).await?),
    };
    let (Condition::Absent(subject) | Condition::Present(subject)) = condition;
    match subject {
        Subject::Guid(guid) => {
            let seen = session.read(&Address::Guid(*guid), find::ATTRIBUTES, Deleted::Shown).await?;
            Ok(match seen {
                Some(entry) if find::is_deleted(&entry) => Shown::Deleted(entry),
                Some(entry) => Shown::Living(entry),
                None => Shown::Nothing,
            })
        }
        Subject::Sip(address) => {
            let mut carriers = find::in_domain(session, address).await?;
            // Somebody who may see nothing finds nothing.
            let domain = Dn::parse(&session.root().domain)?;
            if session.read(&Address::Dn(domain), &["objectClass"], Deleted::Hidden).await?.is_none() {
                return Err("the domain itself cannot be read there, so that finding nothing says nothing".to_owned().into());
            }
            if session.root().global_catalog {
                let catalog = match &mut line.catalog {
                    Some(catalog) => catalog,
                    none => {
                        // This server's own, not the one that other actions ask.
                        let target = Target { global_catalog: None, ..target.clone() };
                        none.insert(dialer.open(&target, &Server::GlobalCatalog(host.to_owned())).await?)
                    }
                };
                carriers.extend(find::in_catalog(catalog, address).await?);
            }
            Ok(Shown::Carriers(find::merge(carriers)))
        }
    }
}

/// What is known of one server.
struct Watched {
    line: Line,
    /// Since when it holds there without a break.
    holds_since: Option<Instant>,
    /// Since when it cannot be asked.
    silent_since: Option<jiff::Timestamp>,
    said: String,
}

impl Watched {
    fn new() -> Self {
        Watched { line: Line::default(), holds_since: None, silent_since: None, said: "not asked yet".to_owned() }
    }
}

/// All servers, from round to round.
struct Watch<'a> {
    directory: &'a Directory,
    target: &'a Target,
    args: &'a Args,
    servers: BTreeMap<String, Watched>,
    chosen: Chosen,
    /// Why the servers could not be read anew.
    blind: Option<String>,
    /// For the list of servers.
    guide: Option<Session>,
}

impl<'a> Watch<'a> {
    fn new(directory: &'a Directory, target: &'a Target, args: &'a Args) -> Self {
        Watch { directory, target, args, servers: BTreeMap::new(), chosen: Chosen::default(), blind: None, guide: None }
    }

    /// One round: which servers there are, and what each shows.
    async fn round(&mut self) {
        match self.controllers().await {
            Ok(all) => {
                self.chosen = choose(&all, &self.args.on, &self.args.excluded);
                self.blind = None;
            }
            Err(error) => self.blind = Some(error.reason),
        }
        let mut hosts: Vec<String> = self.chosen.asked.iter().map(|controller| controller.host.clone()).collect();
        hosts.dedup();
        self.servers.retain(|host, _| hosts.contains(host));
        let mut asking = JoinSet::new();
        for host in hosts {
            let watched = self.servers.entry(host.clone()).or_insert_with(Watched::new);
            let line = std::mem::take(&mut watched.line);
            let (dialer, target, condition) = (self.directory.dialer.clone(), self.target.clone(), self.args.condition.clone());
            asking.spawn(async move {
                let (line, answer) = ask(dialer, target, host.clone(), condition, line).await;
                (host, line, answer)
            });
        }
        while let Some(done) = asking.join_next().await {
            // One that panicked left no answer: its server keeps what was said before, and does not hold.
            let Ok((host, line, answer)) = done else { continue };
            if let Some(watched) = self.servers.get_mut(&host) {
                watched.line = line;
                note(watched, &self.args.condition, answer);
            }
        }
    }

    /// The domain controllers, from whoever answers first: the session of the last round, the target's own server, any
    /// server that is known.
    async fn controllers(&mut self) -> Result<Vec<Controller>, NoAnswer> {
        if let Some(guide) = &mut self.guide {
            if let Ok(all) = topology::controllers(guide).await {
                return Ok(all);
            }
            self.guide = None;
        }
        let mut places = vec![Server::Url];
        places.extend(self.servers.keys().map(|host| Server::Host(host.clone())));
        let mut first = None;
        for place in places {
            let opened = self.directory.dialer.open(self.target, &place).await.map_err(NoAnswer::from);
            let error = match opened {
                Ok(mut session) => match topology::controllers(&mut session).await {
                    Ok(all) => {
                        self.guide = Some(session);
                        return Ok(all);
                    }
                    Err(error) => NoAnswer::from(error),
                },
                Err(error) => error,
            };
            first.get_or_insert(error);
        }
        Err(first.unwrap_or_else(|| NoAnswer::from("no server could be asked".to_owned())))
    }

    fn missing(&self) -> Option<Duration> {
        if self.blind.is_some() { None } else { missing(self.args, &self.chosen, &self.servers) }
    }

    fn lines(&self) -> Vec<String> {
        lines(self.blind.as_deref(), &self.chosen, &self.servers)
    }

    fn excepted(&self) -> String {
        if self.chosen.excepted.is_empty() {
            return String::new();
        }
        format!("; left out by a person: {}", self.chosen.excepted.join(", "))
    }

    fn outputs(&self) -> Outputs {
        let mut outputs = Map::new();
        outputs.insert("servers".to_owned(), json!(self.servers.keys().collect::<Vec<_>>()));
        outputs.insert("excepted".to_owned(), json!(self.chosen.excepted));
        outputs
    }

    /// Until it has come about.
    async fn hold(&mut self, last: &mut String) -> Outputs {
        loop {
            self.round().await;
            let mut pause = self.args.poll.to_std();
            match self.missing() {
                Some(missing) if missing.is_zero() => return self.outputs(),
                Some(missing) => {
                    pause = pause.min(missing);
                    *last = format!("it holds everywhere, but not for {} yet{}", span(self.args.stable_for), self.excepted());
                }
                None => *last = format!("{}{}", self.lines().join("; "), self.excepted()),
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// How long it still has to hold; zero if it has come about. `None` if it does not hold everywhere.
fn missing(args: &Args, chosen: &Chosen, servers: &BTreeMap<String, Watched>) -> Option<Duration> {
    if !chosen.strange.is_empty() || servers.is_empty() {
        return None;
    }
    let mut shortest = Duration::MAX;
    for watched in servers.values() {
        shortest = shortest.min(watched.holds_since?.elapsed());
    }
    Some(args.stable_for.to_std().saturating_sub(shortest))
}

/// One text per server that keeps it from having come about. `blind`: why the servers could not be read anew.
fn lines(blind: Option<&str>, chosen: &Chosen, servers: &BTreeMap<String, Watched>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(blind) = blind {
        lines.push(format!("which domain controllers there are could not be read: {blind}"));
    }
    lines.extend(chosen.strange.iter().map(|name| format!("`{}` is not in the directory", shown(name))));
    if servers.is_empty() && blind.is_none() {
        lines.push("no domain controller is left to ask".to_owned());
    }
    for (host, watched) in servers.iter().filter(|(_, watched)| watched.holds_since.is_none()) {
        let since = match watched.silent_since {
            Some(since) => format!(" (cannot be asked since {})", since.strftime("%H:%M:%S UTC")),
            None => String::new(),
        };
        lines.push(format!("`{}`{since}: {}", shown(host), watched.said));
    }
    lines
}

/// What an answer changes.
fn note(watched: &mut Watched, condition: &Condition, answer: Result<Shown, NoAnswer>) {
    match answer {
        Ok(seen) => {
            let (holds, said) = judge(condition, &seen);
            watched.silent_since = None;
            watched.said = said;
            if holds {
                // From the end of the first look that held: it may have been slow to see it.
                watched.holds_since.get_or_insert_with(Instant::now);
            } else {
                watched.holds_since = None;
            }
        }
        Err(error) => {
            watched.holds_since = None;
            watched.silent_since.get_or_insert_with(jiff::Timestamp::now);
            watched.said = error.reason;
        }
    }
}

#[async_trait]
impl Action for Settle {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "ad.settle",
            doc: "waits until every domain controller has heard that an object is gone, or there",
            args: vec![
                args::required("directory", ArgType::Directory, "the directory"),
                args::optional("absent", ArgType::Any, "what must be gone: a map with `sip_address` or `guid`"),
                args::optional("present", ArgType::Any, "what must be there: a map with `sip_address` or `guid`"),
                args::optional(
                    "on",
                    ArgType::Any,
                    "`all_domain_controllers` (by default), `{ sites: [...] }` or `{ servers: [...] }`",
                ),
                args::optional("stable_for", ArgType::Duration, "how long it must hold without a break; by default the target's"),
                args::optional("poll", ArgType::Duration, "between two rounds; by default the target's"),
            ],
            one_of: vec![&["absent", "present"]],
            effect: Effect::Read,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: true,
            outputs: vec!["servers", "excepted"],
        }
    }

    /// Whoever waits for a dead domain controller should know before the step that comes before the wait.
    async fn preflight(&self, directory: &Directory, call: &Call) -> Vec<Finding> {
        let checked = directory.target(call).and_then(|target| {
            let args = Args::read(call, &target, directory.longest_wait)?;
            Ok((target, args))
        });
        let (target, args) = match checked {
            Ok(checked) => checked,
            Err(why) => return directory.reach(call, Err(why)).await,
        };
        let mut found = directory.reach(call, Ok(target.clone())).await;
        // If the directory itself cannot be asked, that has been said.
        if let Ok(all) = Watch::new(directory, &target, &args).controllers().await {
            let chosen = choose(&all, &args.on, &args.excluded);
            found.extend(preflight::complaints(&directory.dialer, &target, &chosen.asked).await);
        }
        found
    }

    async fn describe(&self, directory: &Directory, call: &Call) -> Description {
        let lines = match describe(directory, call).await {
            Ok(lines) => lines,
            Err(why) => vec![format!("cannot be waited for: {why}")],
        };
        Description { lines, rehearsable: true, outputs: Map::new() }
    }

    /// One round. That something does not hold yet is no failure of a wait.
    async fn probe(&self, directory: &Directory, call: &Call) -> Observation {
        let read = directory.target(call).and_then(|target| {
            let args = Args::read(call, &target, directory.longest_wait)?;
            Ok((target, args))
        });
        let (target, args) = match read {
            Ok(read) => read,
            Err(why) => return Observation::unknown(why),
        };
        let mut watch = Watch::new(directory, &target, &args);
        watch.round().await;
        let excepted = watch.excepted();
        match watch.missing() {
            Some(missing) if missing.is_zero() => Observation {
                verdict: Verdict::Done,
                seen: format!("holds on all {}{excepted}", watch.servers.len()),
                facts: Map::new(),
                outputs: watch.outputs(),
                identity: Identity::new(),
            },
            Some(_) => Observation::unknown(format!(
                "holds on all {} now, must for {}{excepted}",
                watch.servers.len(),
                span(args.stable_for)
            )),
            None => Observation::unknown(format!("does not hold now: {}{excepted}", watch.lines().join("; "))),
        }
    }

    fn by_hand(&self, directory: &Directory, call: &Call) -> Vec<String> {
        let read = directory.target(call).and_then(|target| {
            let args = Args::read(call, &target, directory.longest_wait)?;
            Ok((target, args))
        });
        let (target, args) = match read {
            Ok(read) => read,
            Err(why) => return vec![format!("# {why}")],
        };
        let (Condition::Absent(subject) | Condition::Present(subject)) = &args.condition;
        let mut lines = vec![format!("# on {}, until {} and has for {}", args.on, args.condition, span(args.stable_for))];
        lines.extend(by_hand::authority(&target));
        match subject {
            Subject::Guid(guid) => lines.push(by_hand::look(&target, &Server::Url, *guid)),
            Subject::Sip(address) => lines.push(format!(
                "ldapsearch {} -LLL -o ldif-wrap=no -b \"$BASE\" {} objectGUID",
                by_hand::connection(&target, &Server::Url),
                by_hand::quoted(&find::filter(address).to_string())
            )),
        }
        lines.push("# once per server, with its name in the place of the host".to_owned());
        lines
    }

    async fn apply(&self, directory: &Directory, call: &Call) -> Outcome {
        let read = directory.target(call).and_then(|target| {
            let args = Args::read(call, &target, directory.longest_wait)?;
            Ok((target, args))
        });
        let (target, args) = match read {
            Ok(read) => read,
            Err(reason) => return Outcome::NotSent { reason },
        };
        let mut last = "no round was finished".to_owned();
        let mut watch = Watch::new(directory, &target, &args);
        let limit = args.limit.map_or(Duration::MAX, Span::to_std);
        if let Ok(outputs) = tokio::time::timeout(limit, watch.hold(&mut last)).await {
            return Outcome::Applied { outputs };
        }
        let waited = args.limit.map(span).unwrap_or_default();
        // Nothing was to be changed, so this is no doubt but an answer.
        let hint = "`--exclude NAME` leaves a server out, recorded";
        Outcome::Rejected { reason: format!("did not settle within {waited}: {last}; {hint}"), untouched: true }
    }

    async fn undo(&self, _directory: &Directory, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}

async fn describe(directory: &Directory, call: &Call) -> Result<Vec<String>, String> {
    let target = directory.target(call)?;
    let args = Args::read(call, &target, directory.longest_wait)?;
    let mut lines = vec![format!(
        "wait until {} on {}, and has for {}; looking every {}",
        args.condition,
        args.on,
        span(args.stable_for),
        span(args.poll)
    )];
    let mut watch = Watch::new(directory, &target, &args);
    match watch.controllers().await {
        Ok(all) => {
            let chosen = choose(&all, &args.on, &args.excluded);
            lines.extend(chosen.asked.iter().map(|it| format!("  `{}` in the site `{}`", shown(&it.host), shown(&it.site))));
            lines.extend(chosen.excepted.iter().map(|host| format!("  not `{}`: left out by a person", shown(host))));
            lines.extend(chosen.strange.iter().map(|name| format!("  `{}` is not in the directory", shown(name))));
        }
        Err(error) => lines.push(format!("  which servers these are could not be read: {}", error.reason)),
    }
    Ok(lines)
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
