//! `lync.endpoint.remove`: removes one contact of a pool, bound by its distinguished name.
//!
//! Found by its address once, before anything starts; from then on it is the contact of that name, with that address, in that
//! pool, or nothing is removed. That it is gone is read from the whole list, which must have come without an error.

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use super::super::cs::{self, shown};
use super::contact::{self, Contact, Seen, creation, removal};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::connector::sip::SipAddress;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::run::connector::{Call, Description, Evidence, Finding, Observation, Pin};
use crate::run::event::{EvidenceRef, Identity, Outcome};

/// What pins a contact.
const IDENTITY: &str = "identity";

/// The action.
#[derive(Debug)]
pub struct Remove;

/// Its arguments.
struct Args {
    address: SipAddress,
    pool: String,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        Ok(Args { address: cs::address(call)?, pool: cs::fqdn(call, "pool")? })
    }

    fn identity(&self, contact: &Contact) -> Identity {
        Identity::from([
            (IDENTITY.to_owned(), contact.identity.clone()),
            ("sip_address".to_owned(), self.address.to_string()),
            ("pool".to_owned(), self.pool.clone()),
        ])
    }

    /// Finds it for the first time.
    fn find(&self, seen: &Seen) -> Result<Contact, String> {
        match seen.with(&self.address).as_slice() {
            [] => Err(format!(
                "no Persistent Chat endpoint has `{}`, so there is nothing to remove; leave the step out if that is right",
                self.address
            )),
            [one] if seen.is_of_pool(one) => Ok((*one).clone()),
            [one] => Err(format!("the endpoint {} does not belong to `{}`", one.words(), self.pool)),
            several => {
                let all: Vec<String> = several.iter().map(|contact| contact.words()).collect();
                Err(format!("several contacts have `{}`: {}; remove the wrong ones by hand first", self.address, all.join(", ")))
            }
        }
    }

    /// What a look means for the contact that the step is bound to.
    fn judge(&self, seen: &Seen, identity: &str, untried: bool) -> (Verdict, String) {
        match seen.all.iter().find(|contact| contact.is(identity)) {
            // Every pool has a contact from its installation: an empty list tells of a role or a server, not of contacts.
            None if seen.all.is_empty() => (Verdict::Unknown, "no contact at all was shown; that proves nothing".to_owned()),
            None => {
                let by = if untried { "; not by us: it was gone before this step's first attempt" } else { "" };
                let listed = seen.all.len();
                (Verdict::Done, format!("`{}` is no contact any more ({listed} others are listed){by}", shown(identity)))
            }
            Some(one) if !one.has(&self.address) => {
                (Verdict::Conflict, format!("{} has another address than the approved `{}`", one.words(), self.address))
            }
            Some(one) if !seen.is_of_pool(one) => {
                (Verdict::Conflict, format!("{} does not belong to `{}` any more", one.words(), self.pool))
            }
            Some(one) => (Verdict::NotDone, format!("`{}` still has the endpoint {}", self.pool, one.words())),
        }
    }
}

fn bound(call: &Call) -> Option<&str> {
    call.identity.get(IDENTITY).map(String::as_str).filter(|identity| !identity.is_empty())
}

async fn look(hosts: &Hosts, call: &Call) -> Result<(Args, Seen), NoAnswer> {
    let args = Args::read(call)?;
    let mut session = hosts.look(call).await?;
    let seen = contact::look(&mut session, &args.address, &args.pool).await;
    session.close().await;
    Ok((args, seen?))
}

fn outputs(identity: &str, args: &Args) -> Map<String, Json> {
    let mut outputs = contact::outputs(None, &args.address, &args.pool);
    outputs.insert("identity".to_owned(), json!(identity));
    outputs
}

async fn remove(session: &mut Session, args: &Args, identity: &str) -> Outcome {
    let seen = match contact::look(session, &args.address, &args.pool).await {
        Ok(seen) => seen,
        Err(error) => return Outcome::NotSent { reason: error.reason },
    };
    match args.judge(&seen, identity, false) {
        (Verdict::Done, _) => return Outcome::Applied { outputs: outputs(identity, args) },
        (Verdict::NotDone, _) => {}
        (_, why) => return cs::rejected(format!("nothing was removed: {why}")),
    }
    match session.run(removal(identity)).await {
        Ok(answer) => answer.outcome(false, outputs(identity, args)),
        Err(lost) => lost.outcome(),
    }
}

#[async_trait]
impl Action for Remove {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.endpoint.remove",
            doc: "removes an endpoint of a Persistent Chat pool; legacy clients cannot sign in by it any more",
            args: vec![
                args::required("host", ArgType::Host, "the remote PowerShell of a Front End"),
                args::required("sip_address", ArgType::String, "its address, such as `sip:ocschat@contoso.com`"),
                args::required("pool", ArgType::String, "the Persistent Chat pool that it belongs to, fully qualified"),
            ],
            one_of: Vec::new(),
            effect: Effect::Cas,
            generic: false,
            destructive: true,
            undo: UndoGrade::Lossy,
            keeps: true,
            discovers: false,
            outputs: vec!["identity", "sip_address", "pool"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        match Args::read(call) {
            Ok(_) => cs::offered(hosts, call, &["Get-CsPersistentChatEndpoint", "Remove-CsPersistentChatEndpoint"]).await,
            Err(message) => cs::wrong(message),
        }
    }

    async fn pin(&self, hosts: &Hosts, call: &Call) -> Pin {
        match look(hosts, call).await {
            Err(error) => error.pin(),
            Ok((args, seen)) => match args.find(&seen) {
                Ok(contact) => Pin::Bound { identity: args.identity(&contact), seen: format!("bound to {}", contact.words()) },
                Err(reason) => Pin::Cannot { unreachable: false, reason },
            },
        }
    }

    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description {
        match look(hosts, call).await {
            Err(error) => cs::not_described(&error.reason),
            Ok((args, seen)) => {
                let found = match bound(call) {
                    Some(identity) => seen.all.iter().find(|contact| contact.is(identity)).cloned(),
                    None => args.find(&seen).ok(),
                };
                let Some(contact) = found else { return cs::not_described("the endpoint is not there") };
                let lines = vec![
                    format!("remove the endpoint {} of `{}`", contact.words(), args.pool),
                    format!("  before: listed, of {} contacts of this pool", seen.of_pool.len()),
                    "  after:  not listed".to_owned(),
                    "  an undo creates it again, with another name in the directory".to_owned(),
                ];
                cs::described(lines, outputs(&contact.identity, &args))
            }
        }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        let (args, seen) = match look(hosts, call).await {
            Ok(seen) => seen,
            Err(error) => return Observation::unknown(error.reason),
        };
        let Some(identity) = bound(call) else {
            return match args.find(&seen) {
                Ok(contact) => {
                    let (verdict, text) = args.judge(&seen, &contact.identity, true);
                    Observation { verdict, identity: args.identity(&contact), ..Observation::unknown(text) }
                }
                Err(why) => Observation { verdict: Verdict::Conflict, ..Observation::unknown(why) },
            };
        };
        let (verdict, text) = args.judge(&seen, identity, call.before_image.is_none());
        let outputs = if verdict == Verdict::Done { outputs(identity, &args) } else { Map::new() };
        Observation { verdict, outputs, identity: call.identity.clone(), ..Observation::unknown(text) }
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match Args::read(call) {
            Err(why) => vec![format!("# {why}")],
            Ok(args) => {
                let identity = bound(call).unwrap_or("<Identity>");
                vec![
                    "# look: its Identity, and that it belongs to the pool".to_owned(),
                    by_hand::line(&contact::list().parameter("PersistentChatPoolFqdn", args.pool.as_str())),
                    "# do it: by its Identity, never by its address alone".to_owned(),
                    by_hand::line(&removal(identity)),
                    "# undo: with its display name, if it had one".to_owned(),
                    by_hand::line(&creation(&args.address, &args.pool, None)),
                ]
            }
        }
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        if let Some(first) = cs::kept(call)? {
            return cs::keep(evidence, &first);
        }
        let identity = bound(call).ok_or("the step is bound to no contact")?;
        let (args, seen) = look(hosts, call).await.map_err(|error| error.reason)?;
        match args.judge(&seen, identity, true) {
            (Verdict::NotDone, _) => cs::keep(evidence, &seen.image(&args.address, &args.pool)),
            (_, why) => Err(why),
        }
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        let checked = Args::read(call).and_then(|args| {
            let identity = bound(call).ok_or("the step is bound to no contact")?;
            cs::must_be_kept(call)?;
            Ok((args, identity))
        });
        let (args, identity) = match checked {
            Ok(checked) => checked,
            Err(why) => return cs::rejected(format!("nothing was removed: {why}")),
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = remove(&mut session, &args, identity).await;
        session.close().await;
        outcome
    }

    /// Another contact with the same address, pool and display name.
    async fn undo(&self, hosts: &Hosts, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        let read = || {
            let args = Args::read(call)?;
            let identity = bound(call).ok_or("the step is bound to no contact")?;
            let image = cs::image(before_image.ok_or("there is no before-image to create it from")?)?;
            contact::identities(&image, &args.address, &args.pool)?;
            Ok::<_, String>((args, display_name(&image, identity)?))
        };
        let (args, name) = match read() {
            Ok(read) => read,
            Err(why) => return cs::rejected(format!("nothing was created: {why}")),
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = put_back(&mut session, &args, name.as_deref()).await;
        session.close().await;
        outcome
    }
}

async fn put_back(session: &mut Session, args: &Args, name: Option<&str>) -> Outcome {
    match contact::look(session, &args.address, &args.pool).await {
        Err(error) => return Outcome::NotSent { reason: error.reason },
        Ok(seen) => match seen.judge(&args.address, &args.pool) {
            judged if judged.verdict == Verdict::Done => return Outcome::Applied { outputs: Map::new() },
            judged if judged.verdict == Verdict::NotDone => {}
            judged => return cs::rejected(format!("nothing was created: {}", judged.seen)),
        },
    }
    match session.run(creation(&args.address, &args.pool, name)).await {
        Ok(answer) => answer.outcome(false, Map::new()),
        Err(lost) => lost.outcome(),
    }
}

/// The display name of a contact in an image.
fn display_name(image: &Json, identity: &str) -> Result<Option<String>, String> {
    let contacts = image["contacts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is = |contact: &&Json| contact["identity"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(identity));
    let found = contacts.iter().find(is).ok_or_else(|| format!("the before-image does not hold `{}`", shown(identity)))?;
    Ok(found["display_name"].as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remoting::clixml::Value;

    fn args() -> Args {
        let address = SipAddress::parse("sip:ocschat@contoso.com").unwrap_or_else(|why| panic!("{why}"));
        Args { address, pool: "pcpool.contoso.com".to_owned() }
    }

    fn seen(contacts: &[(&str, &str)], of_pool: &[&str]) -> Seen {
        let read = |(identity, address): &(&str, &str)| {
            let object = Value::custom([("Identity", *identity), ("SipAddress", *address), ("DisplayName", "Legacy")]);
            Contact::read(&object).unwrap_or_else(|why| panic!("{why}"))
        };
        Seen {
            all: contacts.iter().map(read).collect(),
            of_pool: of_pool.iter().map(|text| (*text).to_owned()).collect(),
            users: Vec::new(),
        }
    }

    #[test]
    fn a_contact_that_took_over_the_address_is_not_the_one_that_was_bound() {
        // Removed, and created anew by somebody else: ours is gone, theirs is not touched.
        let (verdict, text) = args().judge(&seen(&[("CN={2}", "sip:ocschat@contoso.com")], &["CN={2}"]), "CN={1}", false);
        assert_eq!(verdict, Verdict::Done, "{text}");
        let (verdict, _) = args().judge(&seen(&[("CN={1}", "sip:other@contoso.com")], &["CN={1}"]), "CN={1}", false);
        assert_eq!(verdict, Verdict::Conflict);
        let (verdict, _) = args().judge(&seen(&[("CN={1}", "sip:ocschat@contoso.com")], &[]), "CN={1}", false);
        assert_eq!(verdict, Verdict::Conflict);
        let (verdict, _) = args().judge(&seen(&[("CN={1}", "sip:ocschat@contoso.com")], &["CN={1}"]), "cn={1}", false);
        assert_eq!(verdict, Verdict::NotDone);
    }

    #[test]
    fn what_is_bound_is_exactly_one_contact_of_the_pool() {
        assert!(args().find(&seen(&[], &[])).is_err());
        assert!(args().find(&seen(&[("CN={1}", "sip:ocschat@contoso.com")], &[])).is_err());
        let two = [("CN={1}", "sip:ocschat@contoso.com"), ("CN={2}", "sip:OCSCHAT@contoso.com")];
        assert!(args().find(&seen(&two, &["CN={1}", "CN={2}"])).is_err());
        let found = args().find(&seen(&two[..1], &["CN={1}"])).map(|contact| contact.identity);
        assert_eq!(found, Ok("CN={1}".to_owned()));
    }

    #[test]
    fn the_display_name_comes_back_from_the_image() {
        let args = args();
        let image = seen(&[("CN={1}", "sip:ocschat@contoso.com")], &["CN={1}"]).image(&args.address, &args.pool);
        assert_eq!(display_name(&image, "cn={1}"), Ok(Some("Legacy".to_owned())));
        assert!(display_name(&image, "CN={2}").is_err());
    }
}
