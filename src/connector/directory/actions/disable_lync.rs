//! `ad.user.disable_lync`: takes everything of Lync from an account and leaves the account. Frees its address without
//! deleting anything.
//!
//! Compare and set: exactly the values that the before-image holds are deleted, all in one modification, so that the
//! server refuses if one of them is not there any more. The undo puts them back.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::super::args::{self, Subject};
use super::super::bound::{self, Bound};
use super::super::dn::{Address, Dn};
use super::super::entry::Entry;
use super::super::find::{self, Found, PROXY};
use super::super::guard::Pinned;
use super::super::image::BeforeImage;
use super::super::image::attributes::is_back_link;
use super::super::session::{Change, Deleted, Outcomes, Session};
use super::super::{Directory, NoAnswer, by_hand, shown};
use super::{Action, keep};
use crate::connector::time_left::TimeLeft;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::run::connector::{Call, Description, Evidence, Finding, Observation, Pin};
use crate::run::event::{EvidenceRef, Outcome, Outputs};

/// The action.
pub struct DisableLync;

/// Values by attribute; of several attributes as a server calls them.
type Values = BTreeMap<String, Vec<Vec<u8>>>;

struct Args {
    subject: Subject,
    base: Dn,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        Ok(Args { subject: Subject::of_call(call)?, base: args::dn(call, "base")? })
    }
}

/// Everything of Lync among these attributes: `msRTCSIP-*`, and the proxy addresses of the kind `sip`.
fn of_lync<'a>(attributes: impl Iterator<Item = (&'a str, Vec<&'a [u8]>)>) -> Values {
    let mut found = Values::new();
    for (name, values) in attributes {
        let values: Vec<Vec<u8>> = if name.eq_ignore_ascii_case(PROXY) {
            let sip = |value: &&[u8]| value.get(..4).is_some_and(|kind| kind.eq_ignore_ascii_case(b"sip:"));
            values.into_iter().filter(sip).map(<[u8]>::to_vec).collect()
        } else if name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("msRTCSIP-")) && !is_back_link(name) {
            values.into_iter().map(<[u8]>::to_vec).collect()
        } else {
            continue;
        };
        if !values.is_empty() {
            found.insert(name.to_ascii_lowercase(), values);
        }
    }
    found
}

fn of_entry(entry: &Entry) -> Values {
    of_lync(entry.attributes().map(|(name, values)| (name, values.iter().map(Vec::as_slice).collect())))
}

fn of_image(image: &BeforeImage) -> Values {
    let attributes = image.object.attributes.iter();
    of_lync(attributes.map(|(name, values)| (name.as_str(), values.iter().map(super::super::image::ValueText::bytes).collect())))
}

/// What `of` has and `without` has not.
fn less(of: &Values, without: &Values) -> Values {
    let mut rest = Values::new();
    for (name, values) in of {
        let known = without.get(name);
        let left: Vec<Vec<u8>> =
            values.iter().filter(|value| !known.is_some_and(|known| known.contains(value))).cloned().collect();
        if !left.is_empty() {
            rest.insert(name.clone(), left);
        }
    }
    rest
}

/// For people: names, and values that are text.
fn words(values: &Values) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, values) in values {
        for value in values {
            let text = std::str::from_utf8(value).map_or_else(|_| format!("{} bytes", value.len()), shown);
            lines.push(format!("{name}: {text}"));
        }
    }
    lines
}

/// What a look means. `kept` is the before-image of the attempt, once there is one.
fn meaning(pinned: &Pinned, entry: &Entry, kept: Option<&Values>) -> (Verdict, String) {
    let what = find::words(entry);
    if entry.sid().as_ref() != Some(&pinned.sid) {
        return (Verdict::Conflict, format!("{what} has another SID than the approved {}", pinned.sid));
    }
    if find::is_deleted(entry) {
        return (Verdict::Conflict, format!("{what} was deleted"));
    }
    if !entry.name().is_ok_and(|dn| dn == pinned.dn) {
        return (Verdict::Conflict, format!("{what} was renamed or moved, it was `{}`", shown(&pinned.dn.to_string())));
    }
    let now = of_entry(entry);
    let names = |values: &Values| values.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match kept {
        _ if now.is_empty() => (Verdict::Done, format!("nothing of Lync is left on {what}")),
        None => (Verdict::NotDone, format!("{what} has {}", names(&now))),
        Some(kept) => {
            let (strange, missing) = (less(&now, kept), less(kept, &now));
            if !strange.is_empty() {
                (Verdict::Conflict, format!("{what} has other values than those that were kept: {}", names(&strange)))
            } else if missing.is_empty() {
                (Verdict::NotDone, format!("{what} still has {}", names(&now)))
            } else {
                (Verdict::Partial, format!("{what} still has {}", names(&now)))
            }
        }
    }
}

async fn look(session: &mut Session, pinned: &Pinned) -> Result<Entry, NoAnswer> {
    let seen = session.read(&Address::Guid(pinned.guid), &["*"], Deleted::Shown).await?;
    Ok(seen.ok_or_else(|| format!("there is no object {} on `{}`", pinned.guid, shown(&session.root().host)))?)
}

/// Finds the account for the first time.
async fn find_first(directory: &Directory, call: &Call) -> Result<Result<(Bound, Entry), String>, NoAnswer> {
    let args = Args::read(call)?;
    let target = directory.target(call)?;
    let mut session = directory.open(call).await?;
    let entry = match find::find(&directory.dialer, &target, &mut session, &args.subject, &args.base).await? {
        Found::Living(entry) => entry,
        Found::Deleted(entry) => return Ok(Err(format!("{} is deleted", find::words(&entry)))),
        Found::Not(reason) => return Ok(Err(reason)),
    };
    let what = find::words(&entry);
    let guid = entry.guid().ok_or_else(|| format!("the objectGUID of {what} cannot be read"))?;
    let sid = entry.sid().ok_or_else(|| format!("the objectSid of {what} cannot be read"))?;
    let bound = Bound { object: Pinned { guid, sid, dn: entry.name()? }, via: session.root().host.clone() };
    let entry = look(&mut session, &bound.object).await?;
    Ok(Ok((bound, entry)))
}

fn outputs(call: &Call, pinned: &Pinned) -> Outputs {
    let mut outputs = Map::new();
    outputs.insert("guid".to_owned(), json!(pinned.guid.to_string()));
    outputs.insert("sid".to_owned(), json!(pinned.sid.to_string()));
    outputs.insert("dn".to_owned(), json!(pinned.dn.to_string()));
    let path = call.before_image.as_ref().map(|kept| std::path::absolute(&kept.path).unwrap_or_else(|_| kept.path.clone()));
    outputs.insert("before_image".to_owned(), path.map_or(Value::Null, |path| json!(path.display().to_string())));
    outputs
}

fn rejected(reason: String) -> Outcome {
    Outcome::Rejected { reason, untouched: true }
}

fn bound_of(call: &Call) -> Result<Bound, String> {
    Bound::read(&call.identity)?.ok_or_else(|| "the step is bound to no object".to_owned())
}

#[async_trait]
impl Action for DisableLync {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "ad.user.disable_lync",
            doc: "takes everything of Lync from an account, and leaves the account",
            args: vec![
                args::required("directory", ArgType::Directory, "the directory"),
                args::optional("sip_address", ArgType::String, "the account that carries this address"),
                args::optional("guid", ArgType::String, "the account with this objectGUID"),
                args::required("base", ArgType::String, "the container that it must lie in, as a distinguished name"),
            ],
            one_of: vec![&["sip_address", "guid"]],
            effect: Effect::Cas,
            generic: false,
            // Nothing of it is lost: what it takes away is kept first.
            destructive: true,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: vec!["guid", "sid", "dn", "before_image"],
        }
    }

    async fn preflight(&self, directory: &Directory, call: &Call) -> Vec<Finding> {
        directory.reach(call, Args::read(call).and_then(|_| directory.target(call))).await
    }

    async fn pin(&self, directory: &Directory, call: &Call) -> Pin {
        match find_first(directory, call).await {
            Ok(Ok((bound, entry))) => {
                Pin::Bound { identity: bound.identity(), seen: format!("bound to {}", find::words(&entry)) }
            }
            Ok(Err(reason)) => Pin::Cannot { unreachable: false, reason },
            Err(error) => error.pin(),
        }
    }

    async fn describe(&self, directory: &Directory, call: &Call) -> Description {
        let seen = async {
            match Bound::read(&call.identity)? {
                Some(bound) => {
                    let mut session = directory.open(call).await?;
                    let entry = look(&mut session, &bound.object).await?;
                    Ok(Ok((bound, entry)))
                }
                None => find_first(directory, call).await,
            }
        };
        let lines = match seen.await {
            Ok(Ok((bound, entry))) => {
                let mut lines = vec![format!("take everything of Lync from {}, on `{}`", find::words(&entry), shown(&bound.via))];
                lines.extend(words(&of_entry(&entry)).into_iter().map(|line| format!("  {line} -> absent")));
                lines
            }
            Ok(Err(why)) | Err(NoAnswer { reason: why, .. }) => vec![format!("cannot be described: {why}")],
        };
        Description { lines, rehearsable: true, outputs: Map::new() }
    }

    async fn probe(&self, directory: &Directory, call: &Call) -> Observation {
        let seen = async {
            let kept = call.before_image.as_ref().map(keep::load).transpose()?.map(|image| of_image(&image));
            let (bound, entry) = match Bound::read(&call.identity)? {
                Some(bound) => {
                    let mut session = directory.open(call).await?;
                    let entry = look(&mut session, &bound.object).await?;
                    (bound, entry)
                }
                None => match find_first(directory, call).await? {
                    Ok(found) => found,
                    Err(why) => return Ok(Observation { verdict: Verdict::Conflict, ..Observation::unknown(why) }),
                },
            };
            let (verdict, text) = meaning(&bound.object, &entry, kept.as_ref());
            let outputs = if verdict == Verdict::Done { outputs(call, &bound.object) } else { Map::new() };
            Ok::<_, NoAnswer>(Observation { verdict, outputs, identity: bound.identity(), ..Observation::unknown(text) })
        };
        seen.await.unwrap_or_else(|error| Observation::unknown(error.reason))
    }

    fn by_hand(&self, directory: &Directory, call: &Call) -> Vec<String> {
        let target = match directory.target(call) {
            Ok(target) => target,
            Err(why) => return vec![format!("# {why}")],
        };
        let Ok(Some(bound)) = Bound::read(&call.identity) else {
            return vec!["# it is bound to no account yet; the rehearsal says which one it would be".to_owned()];
        };
        let server = bound::server(&call.identity);
        let guid = bound.object.guid;
        let connection = by_hand::connection(&target, &server);
        let mut lines: Vec<String> = by_hand::authority(&target).into_iter().collect();
        lines.push("# look: which attributes there are".to_owned());
        lines.push(format!("ldapsearch {connection} -LLL -o ldif-wrap=no -b '<GUID={guid}>' -s base | grep -iE 'msRTCSIP|sip:'"));
        lines.push(format!("ldapmodify {connection}   # with these lines, `delete:` once per attribute and value:"));
        lines.push(format!("dn: <GUID={guid}>"));
        lines.push("changetype: modify".to_owned());
        match call.before_image.as_ref().map(|kept| keep::load(kept).map(|image| of_image(&image))) {
            // What it had is not known, and must not be guessed.
            Some(Err(why)) => lines.push(format!("# which values there were cannot be told: {why}")),
            Some(Ok(kept)) => {
                for (name, values) in &kept {
                    lines.push(format!("delete: {name}"));
                    lines.extend(words(&Values::from([(name.clone(), values.clone())])));
                    lines.push("-".to_owned());
                }
            }
            None => lines.push("delete: msRTCSIP-PrimaryUserAddress".to_owned()),
        }
        lines
    }

    async fn before_image(
        &self,
        directory: &Directory,
        call: &Call,
        evidence: &dyn Evidence,
    ) -> Result<Option<EvidenceRef>, String> {
        let bound = bound_of(call)?;
        let target = directory.target(call)?;
        let mut session = directory.open(call).await.map_err(|error| error.reason)?;
        let image = keep::image(&directory.dialer, &target, &mut session, &bound.object).await?;
        let stored = evidence.store(keep::KIND, &image.to_bytes());
        stored.map(Some).map_err(|error| format!("it could not be stored: {error}"))
    }

    async fn apply(&self, directory: &Directory, call: &Call) -> Outcome {
        let time = TimeLeft::of(call);
        let checked = Args::read(call).and_then(|args| Ok((args, bound_of(call)?)));
        let (args, bound) = match checked {
            Ok(checked) => checked,
            Err(reason) => return rejected(format!("nothing was changed: {reason}")),
        };
        let Some(kept) = &call.before_image else {
            return rejected("nothing was changed: there is no before-image of it".to_owned());
        };
        let kept = match keep::load(kept) {
            Ok(image) if image.object.guid == bound.object.guid => of_image(&image),
            Ok(_) => return rejected("nothing was changed: the before-image is of another object".to_owned()),
            Err(why) => return rejected(format!("nothing was changed: {why}")),
        };
        let opened = time.keep(async {
            let mut session = directory.open(call).await?;
            let entry = look(&mut session, &bound.object).await?;
            Ok::<_, NoAnswer>((session, entry))
        });
        let (session, entry) = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(NoAnswer { reason, .. })) | Err(reason) => return Outcome::NotSent { reason },
        };
        if !bound.object.dn.is_within(&args.base) {
            return rejected(format!("nothing was changed: it lies outside `{}`", shown(&args.base.to_string())));
        }
        match meaning(&bound.object, &entry, Some(&kept)) {
            (Verdict::NotDone, _) => {}
            (Verdict::Done, _) => return Outcome::Applied { outputs: outputs(call, &bound.object) },
            (_, why) => return rejected(format!("nothing was changed: {why}")),
        }
        let changes: Vec<Change> = kept.into_iter().map(|(name, values)| Change::Delete(name, values)).collect();
        let mut writer = session.writer();
        let at = Address::Guid(bound.object.guid);
        match time.keep(writer.modify(&at, &changes, Deleted::Hidden, None)).await {
            Ok(written) if written.outcome == Outcomes::Applied => Outcome::Applied { outputs: outputs(call, &bound.object) },
            Ok(written) => written.outcome(),
            Err(late) => Outcome::Unknown { reason: format!("{late}; the change was sent") },
        }
    }

    /// Puts the values of the before-image back that are not there.
    async fn undo(&self, directory: &Directory, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        let time = TimeLeft::of(call);
        let read = || {
            let bytes = before_image.ok_or("there is no before-image")?;
            Ok::<_, String>((bound_of(call)?, BeforeImage::from_bytes(bytes)?, directory.target(call)?))
        };
        let (bound, image, target) = match read() {
            Ok(read) => read,
            Err(reason) => return rejected(format!("nothing was put back: {reason}")),
        };
        if image.object.guid != bound.object.guid {
            return rejected("nothing was put back: the before-image is of another object".to_owned());
        }
        let kept = of_image(&image);
        let opened = time.keep(async {
            let mut session = directory.open(call).await?;
            let entry = look(&mut session, &bound.object).await?;
            let mut others = Vec::new();
            for value in kept.get(&find::PRIMARY.to_ascii_lowercase()).into_iter().flatten() {
                let Some(address) = std::str::from_utf8(value).ok().and_then(|text| args::SipAddress::parse(text).ok()) else {
                    continue;
                };
                others.extend(find::others(&directory.dialer, &target, &mut session, &address, bound.object.guid).await?);
            }
            Ok::<_, NoAnswer>((session, entry, others))
        });
        let (session, entry, others) = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(NoAnswer { reason, .. })) | Err(reason) => return Outcome::NotSent { reason },
        };
        if let Some(other) = others.first() {
            return rejected(format!(
                "nothing was put back: its address is taken by {}; free it there first",
                find::words(other)
            ));
        }
        if find::is_deleted(&entry) || entry.sid().as_ref() != Some(&bound.object.sid) {
            return rejected(format!("nothing was put back: {} is not what it was", find::words(&entry)));
        }
        let missing = less(&kept, &of_entry(&entry));
        if missing.is_empty() {
            return Outcome::Applied { outputs: Map::new() };
        }
        let changes: Vec<Change> = missing.into_iter().map(|(name, values)| Change::Add(name, values)).collect();
        let mut writer = session.writer();
        match time.keep(writer.modify(&Address::Guid(bound.object.guid), &changes, Deleted::Hidden, None)).await {
            Ok(written) if written.outcome == Outcomes::Applied => Outcome::Applied { outputs: Map::new() },
            Ok(written) => written.outcome(),
            Err(late) => Outcome::Unknown { reason: format!("{late}; the change was sent") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::guid::Guid;
    use super::super::super::sid::Sid;
    use super::*;

    fn pinned() -> Pinned {
        match (Guid::from_bytes(&[1; 16]), Sid::parse("S-1-5-21-1-2-3-1104"), Dn::parse("CN=a,OU=Service,DC=c,DC=lan")) {
            (Some(guid), Some(sid), Ok(dn)) => Pinned { guid, sid, dn },
            wrong => panic!("{wrong:?}"),
        }
    }

    fn entry(attributes: &[(&str, &str)]) -> Entry {
        let mut entry = Entry::new("CN=a,OU=Service,DC=c,DC=lan".to_owned());
        entry.add("objectGUID", [pinned().guid.to_bytes().to_vec()]);
        entry.add("objectSid", [pinned().sid.to_bytes()]);
        for (name, value) in attributes {
            entry.add(name, [value.as_bytes().to_vec()]);
        }
        entry
    }

    const LYNC: &[(&str, &str)] = &[
        ("msRTCSIP-PrimaryUserAddress", "sip:a@c.lan"),
        ("msRTCSIP-UserEnabled", "TRUE"),
        ("proxyAddresses", "SIP:a@c.lan"),
        ("proxyAddresses", "smtp:a@c.lan"),
        ("mail", "a@c.lan"),
    ];

    #[test]
    fn everything_of_lync_is_taken_and_nothing_else() {
        let found = of_entry(&entry(LYNC));
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["msrtcsip-primaryuseraddress", "msrtcsip-userenabled", "proxyaddresses"]);
        assert_eq!(found["proxyaddresses"], [b"SIP:a@c.lan".to_vec()]);
    }

    #[test]
    fn what_is_left_decides() {
        let kept = of_entry(&entry(LYNC));
        let verdict = |now: &[(&str, &str)], kept: Option<&Values>| meaning(&pinned(), &entry(now), kept).0;
        assert_eq!(verdict(&[("mail", "a@c.lan"), ("proxyAddresses", "smtp:a@c.lan")], Some(&kept)), Verdict::Done);
        assert_eq!(verdict(LYNC, Some(&kept)), Verdict::NotDone);
        assert_eq!(verdict(LYNC, None), Verdict::NotDone);
        assert_eq!(verdict(&LYNC[..1], Some(&kept)), Verdict::Partial);
        assert_eq!(verdict(&[("msRTCSIP-PrimaryUserAddress", "sip:b@c.lan")], Some(&kept)), Verdict::Conflict);
    }

    #[test]
    fn another_object_or_a_moved_one_is_a_conflict() {
        let mut moved = entry(LYNC);
        moved.dn = "CN=a,OU=Elsewhere,DC=c,DC=lan".to_owned();
        assert_eq!(meaning(&pinned(), &moved, None).0, Verdict::Conflict);
        let mut deleted = entry(LYNC);
        deleted.add("isDeleted", [b"TRUE".to_vec()]);
        assert_eq!(meaning(&pinned(), &deleted, None).0, Verdict::Conflict);
        let other = Entry::new("CN=a,OU=Service,DC=c,DC=lan".to_owned());
        assert_eq!(meaning(&pinned(), &other, None).0, Verdict::Conflict);
    }
}
