//! `lync.endpoint.create`: a further contact for a pool, with the address that legacy clients know.
//!
//! - The address is the key: whoever has it, has it alone. `-WhatIf` is not asked, because nobody says that it tells.
//! - Where the cmdlet writes cannot be chosen, and where it reads need not be the same domain controller. So an attempt after
//!   one whose end was not seen first watches, long enough for a change to go around a site, that the address stays free.
//! - The undo removes the contact that was not there before, by its distinguished name.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Map;
use tokio::time::Instant;

use super::super::cs::{self, shown};
use super::contact::{self, Judged, creation, removal};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::connector::sip::SipAddress;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Level, Observation};
use crate::run::event::{EvidenceRef, Outcome};
use crate::time::Span;

/// A change is on every domain controller of a site by then: 15 s to the first partner, 3 s more for each further one.
const SITE: Span = Span::from_secs(60);

/// The action.
#[derive(Debug)]
pub struct Create;

/// Its arguments.
struct Args {
    address: SipAddress,
    pool: String,
    display_name: Option<String>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let display_name = args::text(call, "display_name")?.filter(|name| !name.trim().is_empty());
        Ok(Args { address: cs::address(call)?, pool: cs::fqdn(call, "pool")?, display_name })
    }

    fn command(&self) -> Command {
        creation(&self.address, &self.pool, self.display_name.as_deref())
    }

    async fn judge(&self, session: &mut Session) -> Result<Judged, NoAnswer> {
        Ok(contact::look(session, &self.address, &self.pool).await?.judge(&self.address, &self.pool))
    }
}

/// What the step gives, from a look that saw the endpoint.
fn applied(args: &Args, judged: &Judged) -> Outcome {
    Outcome::Applied { outputs: contact::outputs(judged.contact.as_ref(), &args.address, &args.pool) }
}

async fn look(hosts: &Hosts, call: &Call) -> Result<(Args, Judged), NoAnswer> {
    let args = Args::read(call)?;
    let mut session = hosts.look(call).await?;
    let judged = args.judge(&mut session).await;
    session.close().await;
    Ok((args, judged?))
}

/// In which time a change is known everywhere: `settle.stable_for` of the host.
fn known_everywhere(hosts: &Hosts, session: &Session) -> Duration {
    let span = session.host().stable_for.unwrap_or(SITE);
    hosts.longest_wait.map_or(span, |most| span.min(most)).to_std()
}

/// Looks until the endpoint is there, or for so long; the last look.
async fn watch(session: &mut Session, args: &Args, longest: Duration) -> Result<Judged, NoAnswer> {
    let until = Instant::now() + longest;
    loop {
        let judged = args.judge(session).await?;
        if judged.verdict != Verdict::NotDone || Instant::now() >= until {
            return Ok(judged);
        }
        tokio::time::sleep(session.host().poll.to_std()).await;
    }
}

/// The last look before it is created. After an attempt whose contact may be on its way, only one that took the whole time
/// counts.
async fn before(hosts: &Hosts, call: &Call, session: &mut Session, args: &Args) -> Result<Judged, NoAnswer> {
    if call.attempt <= 1 {
        return args.judge(session).await;
    }
    let whole = known_everywhere(hosts, session);
    if session.time().left().is_some_and(|left| left < whole * 2) {
        return Err(NoAnswer::from(format!(
            "an earlier attempt may have created it; the address must be seen free for {} s before it is created again, and the \
             step's timeout leaves no time for that",
            whole.as_secs()
        )));
    }
    watch(session, args, whole).await
}

async fn create(hosts: &Hosts, call: &Call, session: &mut Session, args: &Args) -> Outcome {
    match before(hosts, call, session, args).await {
        Err(error) => return Outcome::NotSent { reason: error.reason },
        Ok(judged) if judged.verdict == Verdict::Done => return applied(args, &judged),
        Ok(Judged { verdict: Verdict::NotDone, .. }) => {}
        Ok(judged) => return cs::rejected(format!("nothing was created: {}", judged.seen)),
    }
    let answer = match session.run(args.command()).await {
        Ok(answer) => answer,
        Err(lost) => return lost.outcome(),
    };
    if answer.complaint().is_some() {
        return answer.outcome(false, Map::new());
    }
    // It may be written on one domain controller and read on another. If it is not shown in time, the look that follows
    // the attempt goes on waiting for it; it must not be created again.
    let whole = known_everywhere(hosts, session);
    let longest = session.time().left().map_or(whole, |left| whole.min(left / 2));
    match watch(session, args, longest).await {
        Ok(judged) if judged.verdict == Verdict::Done => applied(args, &judged),
        _ => {
            let given = answer.objects.iter().filter_map(|object| contact::Contact::read(object).ok());
            let given: Vec<_> = given.filter(|contact| contact.has(&args.address)).collect();
            Outcome::Applied { outputs: contact::outputs(given.first(), &args.address, &args.pool) }
        }
    }
}

/// The SIP domain and the pool, as the topology knows them.
async fn topology(session: &mut Session, args: &Args) -> Result<Vec<Finding>, NoAnswer> {
    let mut found = Vec::new();
    let domains = cs::read(session, Command::new("Get-CsSipDomain")).await?;
    let names: Vec<String> =
        domains.iter().filter_map(|domain| cs::word(domain, "Name").or_else(|| cs::word(domain, "Identity"))).collect();
    if !names.iter().any(|name| name.eq_ignore_ascii_case(args.address.domain())) {
        let known = names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        found.push(cs::finding(
            Level::Fatal,
            format!("`{}` is no SIP domain of this deployment; it has: {known}", args.address.domain()),
        ));
    }
    let pools = cs::read(session, Command::new("Get-CsService").switch("PersistentChatServer")).await?;
    let pools: Vec<String> = pools.iter().filter_map(|pool| cs::word(pool, "PoolFqdn")).collect();
    if !pools.iter().any(|pool| pool.eq_ignore_ascii_case(&args.pool)) {
        let known = pools.iter().map(|pool| shown(pool)).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        found.push(cs::finding(Level::Fatal, format!("`{}` is no Persistent Chat pool; there are: {known}", args.pool)));
    }
    let seen = contact::look(session, &args.address, &args.pool).await?;
    if let Some(mute) = seen.mute() {
        let text = format!("the contact `{}` shows no address: what has which could not be told", shown(&mute.identity));
        found.push(cs::finding(Level::Fatal, text));
    }
    for other in seen.others(&args.address) {
        let text = format!("`{}` has another endpoint, which stays: {}", args.pool, other.words());
        found.push(cs::finding(Level::Warning, text));
    }
    Ok(found)
}

#[async_trait]
impl Action for Create {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.endpoint.create",
            doc: "creates the endpoint by which legacy clients find a Persistent Chat pool",
            args: vec![
                args::required("host", ArgType::Host, "the remote PowerShell of a Front End"),
                args::required(
                    "sip_address",
                    ArgType::String,
                    "the address that the clients know, such as `sip:ocschat@contoso.com`",
                ),
                args::required("pool", ArgType::String, "the Persistent Chat pool, fully qualified"),
                args::optional("display_name", ArgType::String, "a name for people"),
            ],
            one_of: Vec::new(),
            effect: Effect::Keyed,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            // Which contacts there were before: what else has the address afterwards is ours to remove.
            keeps: true,
            discovers: false,
            outputs: vec!["identity", "sip_address", "pool"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(message) => return cs::wrong(message),
        };
        let mut session = match hosts.look(call).await {
            Ok(session) => session,
            Err(error) => return vec![error.finding()],
        };
        let mut found = topology(&mut session, &args).await.unwrap_or_else(|error| vec![error.finding()]);
        found.extend(cs::not_offered(&mut session, &["Get-CsPersistentChatEndpoint", "New-CsPersistentChatEndpoint"]).await);
        session.close().await;
        found
    }

    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description {
        match look(hosts, call).await {
            Err(error) => cs::not_described(&error.reason),
            Ok((args, judged)) => {
                let name = args.display_name.as_deref().map(|name| format!(", called `{}`", shown(name))).unwrap_or_default();
                let mut outputs = contact::outputs(None, &args.address, &args.pool);
                outputs.remove("identity");
                cs::described(
                    vec![
                        format!("create the endpoint `{}` of the pool `{}`{name}", args.address, args.pool),
                        format!("  before: {}", judged.seen),
                        format!("  after:  one contact with `{}`, which `{}` counts to itself", args.address, args.pool),
                    ],
                    outputs,
                )
            }
        }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        match look(hosts, call).await {
            Err(error) => Observation::unknown(error.reason),
            Ok((args, judged)) => {
                let done = judged.verdict == Verdict::Done;
                let outputs =
                    if done { contact::outputs(judged.contact.as_ref(), &args.address, &args.pool) } else { Map::new() };
                Observation { verdict: judged.verdict, outputs, ..Observation::unknown(judged.seen) }
            }
        }
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match Args::read(call) {
            Err(why) => vec![format!("# {why}")],
            Ok(args) => vec![
                "# look: no user and no contact must have the address".to_owned(),
                by_hand::line(&contact::users(&args.address)),
                by_hand::line(&contact::list()),
                "# do it, once; then look again, where it is listed for the pool".to_owned(),
                by_hand::line(&args.command()),
                by_hand::line(&contact::list().parameter("PersistentChatPoolFqdn", args.pool.as_str())),
                "# undo: with the `Identity` that the look showed".to_owned(),
                by_hand::line(&removal("<Identity>")),
            ],
        }
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        if let Some(first) = cs::kept(call)? {
            return cs::keep(evidence, &first);
        }
        let args = Args::read(call)?;
        let mut session = hosts.look(call).await.map_err(|error| error.reason)?;
        let seen = contact::look(&mut session, &args.address, &args.pool).await;
        session.close().await;
        cs::keep(evidence, &seen.map_err(|error| error.reason)?.image(&args.address, &args.pool))
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return cs::rejected(format!("nothing was created: {why}")),
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = create(hosts, call, &mut session, &args).await;
        session.close().await;
        outcome
    }

    async fn undo(&self, hosts: &Hosts, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        let read = || {
            let args = Args::read(call)?;
            let bytes = before_image.ok_or("it is not known which contacts there were before")?;
            let before = contact::identities(&cs::image(bytes)?, &args.address, &args.pool)?;
            Ok::<_, String>((args, before))
        };
        let (args, before) = match read() {
            Ok(read) => read,
            Err(why) => return cs::rejected(format!("nothing was removed: {why}")),
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

/// Removes the contact with the address if it was not there before and is our pool's.
async fn take_back(session: &mut Session, args: &Args, before: &[String]) -> Outcome {
    let seen = match contact::look(session, &args.address, &args.pool).await {
        Ok(seen) => seen,
        Err(error) => return Outcome::NotSent { reason: error.reason },
    };
    let ours = seen.with(&args.address);
    let one = match ours.as_slice() {
        [] => return Outcome::Applied { outputs: Map::new() },
        [one] if before.iter().any(|identity| one.is(identity)) => {
            return cs::rejected(format!("nothing was removed: {} was there before this step", one.words()));
        }
        [one] if !seen.is_of_pool(one) => {
            return cs::rejected(format!("nothing was removed: {} is not an endpoint of `{}`", one.words(), args.pool));
        }
        [one] => *one,
        several => {
            let all: Vec<String> = several.iter().map(|contact| contact.words()).collect();
            return cs::rejected(format!("nothing was removed: several contacts have the address: {}", all.join(", ")));
        }
    };
    match session.run(removal(&one.identity)).await {
        Ok(answer) => answer.outcome(false, Map::new()),
        Err(lost) => lost.outcome(),
    }
}
