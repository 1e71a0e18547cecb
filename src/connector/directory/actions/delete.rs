//! `ad.user.delete`: deletes one account, found by its SIP address or objectGUID.
//!
//! - Found once, at the start of the run, and bound by objectGUID and objectSid; deleted as `<GUID=…>`.
//! - Guarded at every look, before the before-image, and once more on the connection that deletes.
//! - *Done* is its tombstone, seen by objectGUID on the server that was written to. Absence says nothing.

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::super::args::{self, Subject};
use super::super::bound::{self, Bound};
use super::super::dn::{Address, Dn};
use super::super::entry::Entry;
use super::super::facts::Known;
use super::super::find::{self, Found};
use super::super::guard::Pinned;
use super::super::guid::Guid;
use super::super::session::{Deleted, Outcomes, Session, Writer, generalized_time};
use super::super::{Directory, NoAnswer, by_hand, preflight, shown};
use super::{Action, keep, restore};
use crate::connector::time_left::TimeLeft;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::run::connector::{Call, Description, Evidence, Finding, Level, Observation, Pin};
use crate::run::event::{EvidenceRef, Outcome, Outputs};

/// The one exception that a plan may make.
const STALE_ADMIN_COUNT: &str = "stale_admin_count";

/// The action.
pub struct Delete;

struct Args {
    subject: Subject,
    base: Dn,
    permit_admin_count: bool,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let permit = args::list(call, "permit")?;
        if let Some(other) = permit.iter().find(|name| *name != STALE_ADMIN_COUNT) {
            return Err(format!("`permit` knows `{STALE_ADMIN_COUNT}` only, not `{}`", shown(other)));
        }
        Ok(Args { subject: Subject::of_call(call)?, base: args::dn(call, "base")?, permit_admin_count: !permit.is_empty() })
    }

    /// All reasons why it may not be deleted, in words.
    fn refusals(&self, known: &Known, pinned: Option<&Pinned>) -> Vec<String> {
        let mut reasons: Vec<String> =
            known.refusals(&self.base, pinned, self.permit_admin_count).iter().map(ToString::to_string).collect();
        if let Subject::Sip(address) = &self.subject
            && !find::carries(&known.object, address)
        {
            reasons
                .push(format!("it does not carry the address `{address}` any more; find out who took it away, then plan anew"));
        }
        reasons
    }
}

/// What is to be seen of an object by its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// Alive; and who else carries the address by which it was found.
    Living(Box<Known>, Vec<Entry>),
    /// Its tombstone.
    Deleted(Box<Entry>),
    /// Neither. Whether this account could see a tombstone at all.
    Nowhere { readable: bool },
}

/// Looks at an object on the server that the step is bound to.
async fn look(directory: &Directory, call: &Call, args: &Args, session: &mut Session, guid: Guid) -> Result<Seen, NoAnswer> {
    // One read that shows both, so that a deletion in between cannot make it disappear.
    match session.read(&Address::Guid(guid), find::ATTRIBUTES, Deleted::Shown).await? {
        Some(entry) if find::is_deleted(&entry) => return Ok(Seen::Deleted(Box::new(entry))),
        Some(_) => {}
        None => return Ok(Seen::Nowhere { readable: preflight::sees_deleted_objects(session).await? }),
    }
    let others = match &args.subject {
        Subject::Guid(_) => Vec::new(),
        Subject::Sip(address) => find::others(&directory.dialer, &directory.target(call)?, session, address, guid).await?,
    };
    match Known::read(session, guid).await? {
        Some(known) => Ok(Seen::Living(Box::new(known), others)),
        None => match session.read(&Address::Guid(guid), find::ATTRIBUTES, Deleted::Shown).await? {
            Some(entry) if find::is_deleted(&entry) => Ok(Seen::Deleted(Box::new(entry))),
            _ => Err(format!("the object {guid} changed while it was looked at").into()),
        },
    }
}

/// What a look means. `untried`: no attempt of this step was made yet, so whoever deleted it was not us.
fn meaning(args: &Args, pinned: &Pinned, seen: &Seen, untried: bool, host: &str) -> (Verdict, String) {
    match seen {
        Seen::Living(known, others) => {
            let mut reasons = args.refusals(known, Some(pinned));
            reasons.extend(others.iter().map(|other| {
                format!(
                    "its address is carried by {} as well; find out which is meant, and free it on the other",
                    find::words(other)
                )
            }));
            if reasons.is_empty() {
                (Verdict::NotDone, format!("alive and unchanged on `{}`: {}", shown(host), find::words(&known.object)))
            } else {
                let what = find::words(&known.object);
                (Verdict::Conflict, format!("{what} must not be deleted: {}", reasons.join("; ")))
            }
        }
        Seen::Deleted(entry) => match entry.sid() {
            Some(sid) if sid != pinned.sid => (
                Verdict::Conflict,
                format!("{} is deleted, but its SID is {sid}, approved was {}", find::words(entry), pinned.sid),
            ),
            _ => {
                let not_by_us = if untried { "; not by us: it was gone before this step's first attempt" } else { "" };
                (Verdict::Done, format!("{}{not_by_us}", gone(entry)))
            }
        },
        Seen::Nowhere { readable: true } => (
            Verdict::Unknown,
            format!(
                "the object {} is neither among the living nor among the deleted objects of `{}`, which can be read: its \
                 tombstone was removed, or the server does not know it any more",
                pinned.guid,
                shown(host)
            ),
        ),
        Seen::Nowhere { readable: false } => (
            Verdict::Unknown,
            format!(
                "the object {} is not among the living on `{}`, and this account cannot read Deleted Objects there, so that \
                 nothing proves its deletion; let the account read them",
                pinned.guid,
                shown(host)
            ),
        ),
    }
}

/// A tombstone in words.
fn gone(entry: &Entry) -> String {
    let since = entry.text("whenChanged").map_or_else(|| "a time that cannot be read".to_owned(), when);
    format!("deleted, seen as `{}` among the deleted objects since {since}", shown(&entry.dn))
}

/// A time of the directory, for people.
fn when(text: &str) -> String {
    generalized_time(text).map_or_else(|| shown(text), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn outputs(call: &Call, pinned: &Pinned, by_us: bool) -> Outputs {
    let mut outputs = Map::new();
    outputs.insert("guid".to_owned(), json!(pinned.guid.to_string()));
    outputs.insert("sid".to_owned(), json!(pinned.sid.to_string()));
    outputs.insert("dn".to_owned(), json!(pinned.dn.to_string()));
    if let Some(kept) = &call.before_image {
        let path = std::path::absolute(&kept.path).unwrap_or_else(|_| kept.path.clone());
        outputs.insert("before_image".to_owned(), json!(path.display().to_string()));
    } else {
        outputs.insert("before_image".to_owned(), Value::Null);
    }
    outputs.insert("by_us".to_owned(), json!(by_us));
    outputs
}

/// The object of the call, for the first time: found by address or identity.
enum First {
    /// Alive, and nothing speaks against it.
    Free(Bound, Box<Known>),
    /// Deleted already.
    Deleted(Bound, Box<Entry>),
    /// Not to be deleted, or not to be found.
    Not(String),
}

async fn find_first(directory: &Directory, call: &Call) -> Result<First, NoAnswer> {
    let args = Args::read(call)?;
    let target = directory.target(call)?;
    let mut session = directory.open(call).await?;
    let via = match session.root().host.as_str() {
        "" => target.url.host.clone(),
        host => host.to_owned(),
    };
    let bind = |entry: &Entry| -> Result<Bound, String> {
        let what = find::words(entry);
        let guid = entry.guid().ok_or_else(|| format!("the objectGUID of {what} cannot be read"))?;
        let sid = entry.sid().ok_or_else(|| format!("the objectSid of {what} cannot be read"))?;
        let dn = entry.name().map_err(|why| format!("the name of {what} cannot be understood: {why}"))?;
        Ok(Bound { object: Pinned { guid, sid, dn }, via: via.clone() })
    };
    match find::find(&directory.dialer, &target, &mut session, &args.subject, &args.base).await? {
        Found::Not(reason) => Ok(First::Not(reason)),
        Found::Deleted(entry) => Ok(First::Deleted(bind(&entry)?, entry)),
        Found::Living(entry) => {
            let bound = bind(&entry)?;
            let Some(known) = Known::read(&mut session, bound.object.guid).await? else {
                return Err(format!("{} was deleted while it was looked at", find::words(&entry)).into());
            };
            let reasons = args.refusals(&known, Some(&bound.object));
            if reasons.is_empty() {
                Ok(First::Free(bound, Box::new(known)))
            } else {
                Ok(First::Not(format!("{} must not be deleted: {}", find::words(&entry), reasons.join("; "))))
            }
        }
    }
}

/// What must be so before anything is deleted.
enum Ready {
    /// It is; on this connection.
    Go(Box<Writer>, Bound),
    /// It is not, or it is done already.
    No(Outcome),
}

fn refused(reason: impl Into<String>) -> Ready {
    Ready::No(Outcome::Rejected { reason: reason.into(), untouched: true })
}

async fn ready(directory: &Directory, call: &Call) -> Ready {
    let checked = Args::read(call).and_then(|args| Ok((args, Bound::read(&call.identity)?)));
    let (args, bound) = match checked {
        Ok((args, Some(bound))) => (args, bound),
        Ok((_, None)) => return refused("nothing was deleted: the step is bound to no object"),
        Err(reason) => return refused(format!("nothing was deleted: {reason}")),
    };
    let mut session = match directory.open(call).await {
        Ok(session) => session,
        Err(error) => return Ready::No(Outcome::NotSent { reason: error.reason }),
    };
    match call.before_image.as_ref().map(keep::load) {
        None => return refused("nothing was deleted: there is no before-image of it"),
        Some(Err(why)) => return refused(format!("nothing was deleted: {why}")),
        Some(Ok(image)) if image.object.guid != bound.object.guid => {
            return refused("nothing was deleted: the before-image is of another object");
        }
        Some(Ok(_)) => {}
    }
    match look(directory, call, &args, &mut session, bound.object.guid).await {
        Err(error) => Ready::No(Outcome::NotSent { reason: error.reason }),
        Ok(Seen::Deleted(entry)) => Ready::No(not_by_us(call, &bound.object, &entry)),
        Ok(seen) => {
            let host = session.root().host.clone();
            match meaning(&args, &bound.object, &seen, false, &host) {
                (Verdict::NotDone, _) => Ready::Go(Box::new(session.writer()), bound),
                (_, why) => refused(format!("nothing was deleted: {why}")),
            }
        }
    }
}

/// The tombstone of an object, if it can be seen.
async fn tombstone(session: &mut Session, guid: Guid) -> Option<Entry> {
    session.read(&Address::Guid(guid), find::ATTRIBUTES, Deleted::Shown).await.ok().flatten().filter(find::is_deleted)
}

/// Somebody else was first.
fn not_by_us(call: &Call, pinned: &Pinned, entry: &Entry) -> Outcome {
    if entry.sid().is_some_and(|sid| sid != pinned.sid) {
        let reason = format!("nothing was deleted: {}, with another SID than the approved {}", gone(entry), pinned.sid);
        return Outcome::Rejected { reason, untouched: true };
    }
    let mut outputs = outputs(call, pinned, false);
    outputs.insert("said".to_owned(), json!(format!("somebody else deleted it first: {}", gone(entry))));
    Outcome::Applied { outputs }
}

#[async_trait]
impl Action for Delete {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "ad.user.delete",
            doc: "deletes one account of Active Directory, by its identity",
            args: vec![
                args::required("directory", ArgType::Directory, "the directory"),
                args::optional("sip_address", ArgType::String, "the account that carries this address"),
                args::optional("guid", ArgType::String, "the account with this objectGUID"),
                args::required("base", ArgType::String, "the container that it must lie in, as a distinguished name"),
                args::optional(
                    "permit",
                    ArgType::StringList,
                    "`stale_admin_count`: `adminCount` is left over from a group that it was in once",
                ),
            ],
            one_of: vec![&["sip_address", "guid"]],
            effect: Effect::Cas,
            generic: false,
            destructive: true,
            undo: UndoGrade::Lossy,
            keeps: false,
            discovers: false,
            outputs: vec!["guid", "sid", "dn", "before_image", "by_us"],
        }
    }

    async fn preflight(&self, directory: &Directory, call: &Call) -> Vec<Finding> {
        let mut findings = directory.reach(call, Args::read(call).and_then(|_| directory.target(call))).await;
        if findings.iter().any(|finding| finding.level >= Level::Fatal) {
            return findings;
        }
        match rights(directory, call).await {
            Ok(more) => findings.extend(more),
            Err(error) => findings.push(error.finding()),
        }
        findings
    }

    async fn pin(&self, directory: &Directory, call: &Call) -> Pin {
        match find_first(directory, call).await {
            Ok(First::Free(bound, known)) => {
                Pin::Bound { identity: bound.identity(), seen: format!("bound to {}", find::words(&known.object)) }
            }
            Ok(First::Deleted(bound, entry)) => Pin::Bound { identity: bound.identity(), seen: gone(&entry) },
            Ok(First::Not(reason)) => Pin::Cannot { unreachable: false, reason },
            Err(error) => error.pin(),
        }
    }

    async fn describe(&self, directory: &Directory, call: &Call) -> Description {
        let lines = match describe(directory, call).await {
            Ok(lines) => lines,
            Err(error) => vec![format!("cannot be described: {}", error.reason)],
        };
        let mut foretold = Map::new();
        if let Ok(Some(bound)) = Bound::read(&call.identity) {
            foretold = outputs(call, &bound.object, true);
            // Where it will be kept is not known yet.
            foretold.remove("before_image");
        }
        Description { lines, rehearsable: true, outputs: foretold }
    }

    async fn probe(&self, directory: &Directory, call: &Call) -> Observation {
        match probe(directory, call).await {
            Ok(observation) => observation,
            Err(error) => Observation::unknown(error.reason),
        }
    }

    fn by_hand(&self, directory: &Directory, call: &Call) -> Vec<String> {
        let target = match directory.target(call) {
            Ok(target) => target,
            Err(why) => return vec![format!("# {why}")],
        };
        let server = bound::server(&call.identity);
        let connection = by_hand::connection(&target, &server);
        let mut lines: Vec<String> = by_hand::authority(&target).into_iter().collect();
        if let Ok(Some(bound)) = Bound::read(&call.identity) {
            let guid = bound.object.guid;
            lines.push("# look first: with isDeleted it is done".to_owned());
            lines.push(by_hand::look(&target, &server, guid));
            lines.push(format!("# what was approved: {}, {}", shown(&bound.object.dn.to_string()), bound.object.sid));
            lines.push(format!("ldapdelete {connection} '<GUID={guid}>'"));
            lines.push("# or in PowerShell".to_owned());
            let host = by_hand::quoted_for_powershell(&by_hand::host(&target, &server));
            lines.push(format!("Get-ADObject -Server {host} -IncludeDeletedObjects -Identity '{guid}' -Properties *"));
            lines.push(format!("Remove-ADObject -Server {host} -Identity '{guid}'"));
        } else {
            lines.push("# it is bound to no object yet; find it first".to_owned());
            let filter = match Subject::of_call(call) {
                Ok(Subject::Sip(address)) => by_hand::quoted(&find::filter(&address).to_string()),
                Ok(Subject::Guid(guid)) => return vec![by_hand::look(&target, &server, guid)],
                Err(why) => return vec![format!("# {why}")],
            };
            let base = by_hand::quoted(&args::text(call, "base").ok().flatten().unwrap_or_default());
            lines.push(format!("ldapsearch {connection} -LLL -b {base} {filter} objectGUID objectSid"));
            lines.push("# then delete it by that objectGUID: `<GUID=…>` instead of its name".to_owned());
        }
        lines
    }

    async fn before_image(
        &self,
        directory: &Directory,
        call: &Call,
        evidence: &dyn Evidence,
    ) -> Result<Option<EvidenceRef>, String> {
        let args = Args::read(call)?;
        let bound = Bound::read(&call.identity)?.ok_or("the step is bound to no object")?;
        let target = directory.target(call)?;
        let mut session = directory.open(call).await.map_err(|error| error.reason)?;
        let seen = look(directory, call, &args, &mut session, bound.object.guid).await.map_err(|error| error.reason)?;
        let host = session.root().host.clone();
        match meaning(&args, &bound.object, &seen, false, &host) {
            (Verdict::NotDone, _) => {}
            (_, why) => return Err(why),
        }
        let image = keep::image(&directory.dialer, &target, &mut session, &bound.object).await?;
        let bytes = image.to_bytes();
        let stored = evidence.store(keep::KIND, &bytes).map_err(|error| format!("it could not be stored: {error}"))?;
        Ok(Some(stored))
    }

    async fn apply(&self, directory: &Directory, call: &Call) -> Outcome {
        let time = TimeLeft::of(call);
        let (mut writer, bound) = match time.keep(ready(directory, call)).await {
            Ok(Ready::Go(writer, bound)) => (writer, bound),
            Ok(Ready::No(outcome)) => return outcome,
            Err(late) => return Outcome::NotSent { reason: format!("{late}; nothing was deleted") },
        };
        let pinned = &bound.object;
        let written = match time.keep(writer.delete(pinned.guid)).await {
            Ok(written) => written,
            Err(late) => return Outcome::Unknown { reason: format!("{late}; the deletion of {} was sent", pinned.guid) },
        };
        match written.outcome {
            Outcomes::Applied => Outcome::Applied { outputs: outputs(call, pinned, true) },
            Outcomes::Gone => match time.keep(tombstone(writer.reader(), pinned.guid)).await {
                Ok(Some(entry)) => not_by_us(call, pinned, &entry),
                _ => Outcome::Unknown {
                    reason: format!(
                        "{}; it is not among the living any more, and its tombstone was not seen, so that nobody can tell what \
                         became of it",
                        written.message
                    ),
                },
            },
            Outcomes::Rejected | Outcomes::NotSent | Outcomes::Unknown => written.outcome(),
        }
    }

    async fn undo(&self, directory: &Directory, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        match (before_image, Bound::read(&call.identity)) {
            (Some(bytes), Ok(Some(bound))) => restore::undo_of_delete(directory, call, &bound.object, bytes).await,
            (None, _) => Outcome::Rejected { reason: "there is no before-image to restore from".to_owned(), untouched: true },
            (_, Ok(None)) => Outcome::Rejected { reason: "the step is bound to no object".to_owned(), untouched: true },
            (_, Err(reason)) => Outcome::Rejected { reason, untouched: true },
        }
    }
}

/// Whether a deletion could be proved, and whether it seems to be allowed.
async fn rights(directory: &Directory, call: &Call) -> Result<Vec<Finding>, NoAnswer> {
    let mut session = directory.open(call).await?;
    let host = shown(&session.root().host);
    let mut findings = Vec::new();
    if !preflight::sees_deleted_objects(&mut session).await? {
        findings.push(Finding {
            level: Level::Fatal,
            message: format!(
                "a deletion could not be proved: this account cannot read Deleted Objects on `{host}`; let it list and read that \
                 container"
            ),
        });
    }
    let known = match Bound::read(&call.identity)? {
        Some(bound) => Known::read(&mut session, bound.object.guid).await?.map(Box::new),
        None => match find_first(directory, call).await? {
            First::Free(_, known) => Some(known),
            // Why not is said when the step is bound.
            First::Deleted(..) | First::Not(_) => None,
        },
    };
    let Some(known) = known else { return Ok(findings) };
    match known.may_delete() {
        Some(true) => {}
        Some(false) => findings.push(Finding {
            level: Level::Warning,
            message: format!(
                "this account seems to have no right to delete {}: neither DELETE on it nor DELETE_CHILD on its container",
                find::words(&known.object)
            ),
        }),
        None => findings.push(Finding {
            level: Level::Warning,
            message: format!("whether this account may delete {} cannot be told", find::words(&known.object)),
        }),
    }
    Ok(findings)
}

async fn probe(directory: &Directory, call: &Call) -> Result<Observation, NoAnswer> {
    let args = Args::read(call)?;
    let untried = call.before_image.is_none();
    let Some(bound) = Bound::read(&call.identity)? else {
        let (verdict, seen, found) = match find_first(directory, call).await? {
            First::Free(bound, known) => (Verdict::NotDone, format!("alive: {}", find::words(&known.object)), Some(bound)),
            First::Deleted(bound, entry) => (Verdict::Done, format!("{}; not by us", gone(&entry)), Some(bound)),
            First::Not(reason) => (Verdict::Conflict, reason, None),
        };
        let mut observation = Observation { verdict, ..Observation::unknown(seen) };
        if let Some(bound) = found {
            observation.identity = bound.identity();
            observation.outputs = outputs(call, &bound.object, false);
        }
        return Ok(observation);
    };
    let mut session = directory.open(call).await.map_err(|error| NoAnswer {
        reason: format!("{}; no other server is asked, because one that has not heard yet would answer wrongly", error.reason),
        ..error
    })?;
    let seen = look(directory, call, &args, &mut session, bound.object.guid).await?;
    let host = session.root().host.clone();
    let (verdict, text) = meaning(&args, &bound.object, &seen, untried, &host);
    let outputs = if verdict == Verdict::Done { outputs(call, &bound.object, !untried) } else { Map::new() };
    Ok(Observation { verdict, outputs, identity: bound.identity(), ..Observation::unknown(text) })
}

async fn describe(directory: &Directory, call: &Call) -> Result<Vec<String>, NoAnswer> {
    let pinned = match Bound::read(&call.identity)? {
        Some(bound) => bound.object,
        None => match find_first(directory, call).await? {
            First::Free(bound, _) => bound.object,
            First::Deleted(_, entry) => return Ok(vec![gone(&entry)]),
            First::Not(reason) => return Ok(vec![reason]),
        },
    };
    let target = directory.target(call)?;
    let mut session = directory.open(call).await?;
    let image = keep::image(&directory.dialer, &target, &mut session, &pinned).await?;
    let mut lines = vec![
        format!("delete `{}`", shown(&pinned.dn.to_string())),
        format!("  objectGUID {}, objectSid {}, on `{}`", pinned.guid, pinned.sid, shown(&session.root().host)),
    ];
    lines.extend(keep::words(&image).into_iter().map(|line| format!("  {line}")));
    if preflight::recycle_bin(&mut session).await? {
        lines.push("  the Recycle Bin is on: an undo brings back everything that the directory keeps".to_owned());
    } else {
        lines.push("  the Recycle Bin is off; an undo would lose:".to_owned());
        lines.extend(image.lost().into_iter().map(|line| format!("    {line}")));
    }
    lines.push(format!("  before: alive at `{}`", shown(&pinned.dn.to_string())));
    lines.push(format!("  after:  a tombstone by objectGUID {} among the deleted objects", pinned.guid));
    Ok(lines)
}

#[cfg(test)]
#[path = "delete_tests.rs"]
mod tests;
