//! `ad.user.restore`, and the undo of `ad.user.delete`: brings a deleted account back and puts its before-image on it.
//!
//! - One modification makes the tombstone alive again (\[MS-ADTS\] section 3.1.1.5.3.7); before it, everything that speaks
//!   against it is refused here, because not every server does.
//! - Then the attributes, all at once if the server takes them; then the groups, by their identity; then the primary group.
//! - Every part can be done again: what is there already is left alone, so that an interrupted restore goes on.

use async_trait::async_trait;
use serde_json::{Map, json};

use super::super::args::{self, SipAddress};
use super::super::bound::Bound;
use super::super::dn::{Address, Dn};
use super::super::entry::Entry;
use super::super::filter::Filter;
use super::super::guard::Pinned;
use super::super::guid::Guid;
use super::super::image::attributes::is_back_link;
use super::super::image::{BeforeImage, ValueText};
use super::super::quiet::Late;
use super::super::session::{Change, Deleted, Outcomes, Scope, Server, Session, Writer, Written};
use super::super::target::Target;
use super::super::{Directory, NoAnswer, bound, by_hand, find, preflight, shown};
use super::{Action, keep};
use crate::connector::time_left::TimeLeft;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::run::connector::{Call, Description, Finding, Observation, Pin};
use crate::run::event::{Outcome, Outputs};

/// `ADS_UF_ACCOUNTDISABLE` of userAccountControl (\[MS-ADTS\] section 2.2.16).
const DISABLED: u32 = 0x2;
/// The attributes that this account may write on an object: constructed, so it must be asked for by name (\[MS-ADTS\]
/// section 3.1.1.4.5.21).
const WRITABLE: &str = "allowedAttributesEffective";
/// A member that is one already: attributeOrValueExists, entryAlreadyExists (RFC 4511 appendix A).
const THERE_ALREADY: [u32; 2] = [20, 68];

/// The action.
pub struct Restore;

/// What a call is about: the image of the object that it names.
fn read(call: &Call) -> Result<BeforeImage, String> {
    let guid = args::parse_guid(&args::needed(call, "guid")?)?;
    let path = call.folder.join(args::needed(call, "before_image")?);
    let image = keep::load_named(&path)?;
    if image.object.guid != guid {
        let path = shown(&path.display().to_string());
        return Err(format!("`{path}` is the before-image of {}, not of {guid}", image.object.guid));
    }
    Ok(image)
}

/// The server that it was deleted on, if nothing else is recorded: another one may not have heard of the deletion.
fn server(call: &Call, image: &BeforeImage) -> Server {
    match bound::server(&call.identity) {
        Server::Url if !image.dc.is_empty() => Server::Host(image.dc.clone()),
        server => server,
    }
}

async fn open(directory: &Directory, call: &Call, image: &BeforeImage) -> Result<Session, NoAnswer> {
    let target = directory.target(call)?;
    let session = directory.dialer.open(&target, &server(call, image)).await?;
    if image.domain != Dn::parse(&session.root().domain)? {
        return Err(format!(
            "the before-image is of the domain `{}`, and `{}` is the directory's",
            shown(&image.domain.to_string()),
            shown(&session.root().domain)
        )
        .into());
    }
    Ok(session)
}

/// What a restore is bound to; `None` for an object without a SID, which is no account.
fn bound_to(image: &BeforeImage, host: &str) -> Option<Bound> {
    let sid = image.object.sid.clone()?;
    Some(Bound { object: Pinned { guid: image.object.guid, sid, dn: image.object.dn.clone() }, via: host.to_owned() })
}

/// What is to be seen of the object, and of the groups that it was in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Living { object: Box<Entry>, missing_groups: Vec<usize> },
    Deleted(Box<Entry>),
    Nowhere,
}

async fn look(session: &mut Session, image: &BeforeImage) -> Result<Seen, NoAnswer> {
    let at = Address::Guid(image.object.guid);
    match session.read(&at, &["*", "memberOf", WRITABLE], Deleted::Shown).await? {
        None => Ok(Seen::Nowhere),
        Some(entry) if find::is_deleted(&entry) => Ok(Seen::Deleted(Box::new(entry))),
        Some(entry) => {
            let name = entry.name()?;
            let mut missing_groups = Vec::new();
            for (index, group) in image.groups.iter().enumerate() {
                let member = Filter::equal("member", name.to_string());
                let found =
                    session.search(&Address::Guid(group.guid), Scope::Base, &member, &["objectGUID"], Deleted::Hidden).await;
                match found {
                    Ok(found) if !found.is_empty() => {}
                    // The group is not there any more (32), or it is there without this member.
                    Ok(_) => missing_groups.push(index),
                    Err(error) if error.code == Some(32) => missing_groups.push(index),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(Seen::Living { object: Box::new(entry), missing_groups })
        }
    }
}

/// The attributes of the image that the object does not have as they were.
fn differing<'a>(image: &'a BeforeImage, object: &Entry) -> Vec<(&'a str, &'a [ValueText])> {
    let same = |name: &str, values: &[ValueText]| {
        let now = object.values(name);
        now.len() == values.len() && values.iter().all(|value| now.iter().any(|other| other == value.bytes()))
    };
    image.restorable().filter(|(name, values)| !same(name, values)).collect()
}

/// Whether the server says that this account may write it. A server that says nothing of it is asked by trying.
fn writable(object: &Entry, attribute: &str) -> bool {
    let mut all = object.texts(WRITABLE).peekable();
    all.peek().is_none() || all.any(|name| name.eq_ignore_ascii_case(attribute.split(';').next().unwrap_or(attribute)))
}

/// What a look means, and what will stay lost.
fn meaning(image: &BeforeImage, seen: &Seen, recycle_bin: bool) -> (Verdict, String, Vec<String>) {
    match seen {
        Seen::Nowhere => (
            Verdict::Unknown,
            format!(
                "the object {} is neither among the living nor among the deleted objects; its tombstone was removed, or this \
                 account cannot read Deleted Objects",
                image.object.guid
            ),
            Vec::new(),
        ),
        Seen::Deleted(entry) => (Verdict::NotDone, format!("deleted, seen as `{}`", shown(&entry.dn)), Vec::new()),
        Seen::Living { object, missing_groups } => {
            let (mut missing, mut lost) = (Vec::new(), lost(image, object, recycle_bin));
            for (name, _) in differing(image, object) {
                if writable(object, name) {
                    missing.push(format!("`{}`", shown(name)));
                } else {
                    lost.push(format!("`{}`: this account may not write it", shown(name)));
                }
            }
            missing.extend(missing_groups.iter().map(|&index| format!("the group `{}`", group(image, index))));
            let what = find::words(object);
            if missing.is_empty() {
                (Verdict::Done, format!("alive, with its attributes and groups: {what}{}", tail(&lost)), lost)
            } else {
                (Verdict::Partial, format!("alive: {what}, but without {}{}", missing.join(", "), tail(&lost)), lost)
            }
        }
    }
}

/// What cannot be brought back. With the Recycle Bin only what is seen to be missing.
fn lost(image: &BeforeImage, object: &Entry, recycle_bin: bool) -> Vec<String> {
    if !recycle_bin {
        return image.lost();
    }
    let gone = |attribute: &str, dn: &Dn| !object.texts(attribute).any(|now| Dn::parse(now).is_ok_and(|now| now == *dn));
    let missing = image.references.iter().filter(|reference| gone(&reference.attribute, &reference.dn));
    missing.map(|reference| format!("`{}` from `{}`", reference.attribute, shown(&reference.dn.to_string()))).collect()
}

fn tail(lost: &[String]) -> String {
    if lost.is_empty() { String::new() } else { format!("; not restored: {}", lost.join("; ")) }
}

fn group(image: &BeforeImage, index: usize) -> String {
    image.groups.get(index).map_or_else(String::new, |group| shown(&group.dn.to_string()))
}

fn outputs(image: &BeforeImage, not_restored: &[String]) -> Outputs {
    let mut outputs = Map::new();
    outputs.insert("guid".to_owned(), json!(image.object.guid.to_string()));
    outputs.insert("dn".to_owned(), json!(image.object.dn.to_string()));
    outputs.insert("not_restored".to_owned(), json!(not_restored));
    outputs
}

/// Everything that speaks against bringing it back: where it was is gone, or somebody else has its place or its names.
async fn obstacles(
    directory: &Directory,
    target: &Target,
    session: &mut Session,
    image: &BeforeImage,
) -> Result<Vec<String>, NoAnswer> {
    let mut obstacles = Vec::new();
    let object = &image.object;
    if session.read(&Address::Dn(object.parent.clone()), &["objectClass"], Deleted::Hidden).await?.is_none() {
        obstacles
            .push(format!("`{}`, which it lay in, does not exist any more; create it first", shown(&object.parent.to_string())));
    }
    let occupant = session.read(&Address::Dn(object.dn.clone()), find::ATTRIBUTES, Deleted::Hidden).await?;
    if let Some(occupant) = occupant.filter(|entry| entry.guid() != Some(object.guid)) {
        obstacles.push(format!("its name is taken by {}; rename or remove that first", find::words(&occupant)));
    }
    let domain = Address::Dn(Dn::parse(&session.root().domain)?);
    let mut names: Vec<(&str, &str, Filter)> = Vec::new();
    for attribute in ["sAMAccountName", "userPrincipalName"] {
        for value in image.values(attribute).iter().filter_map(ValueText::as_text) {
            names.push((attribute, value, Filter::equal(attribute, value)));
        }
    }
    let mut taken = Vec::new();
    for (what, value, filter) in names {
        let holders = session.search(&domain, Scope::Subtree, &filter, find::ATTRIBUTES, Deleted::Hidden).await?;
        taken.extend(holders.into_iter().filter(|it| it.guid() != Some(object.guid)).map(|holder| (what, value, holder)));
    }
    for value in addresses(image) {
        let Ok(address) = SipAddress::parse(value) else { continue };
        let holders = find::others(&directory.dialer, target, session, &address, object.guid).await?;
        taken.extend(holders.into_iter().map(|holder| ("SIP address", value, holder)));
    }
    for (what, value, holder) in taken {
        let reason = format!("its {what} `{}` is taken by {}; free it there first", shown(value), find::words(&holder));
        if !obstacles.contains(&reason) {
            obstacles.push(reason);
        }
    }
    Ok(obstacles)
}

/// The SIP addresses of the image.
fn addresses(image: &BeforeImage) -> Vec<&str> {
    let proxies = image.values(find::PROXY).iter().filter_map(ValueText::as_text);
    let sip = proxies.filter(|value| value.get(..4).is_some_and(|kind| kind.eq_ignore_ascii_case("sip:")));
    image.values(find::PRIMARY).iter().filter_map(ValueText::as_text).chain(sip).collect()
}

/// How far the work got before it could not go on.
enum Stop {
    /// Before anything was changed.
    Untouched(Outcome),
    /// After something was changed.
    Midway(String),
}

/// Brings it back. `touched` tells whoever gives up waiting whether anything may have been changed.
async fn bring_back(directory: &Directory, call: &Call, image: &BeforeImage, touched: &mut bool) -> Result<Vec<String>, Stop> {
    let not_sent = |error: NoAnswer| Stop::Untouched(Outcome::NotSent { reason: error.reason });
    let refused = |reason: String| Stop::Untouched(Outcome::Rejected { reason, untouched: true });
    let mut session = open(directory, call, image).await.map_err(not_sent)?;
    let recycle_bin = preflight::recycle_bin(&mut session).await.map_err(|error| not_sent(error.into()))?;
    let guid = image.object.guid;
    let seen = look(&mut session, image).await.map_err(not_sent)?;
    if matches!(seen, Seen::Nowhere) {
        return Err(refused(format!("there is no object {guid}, neither living nor deleted; nothing can be brought back")));
    }
    // A living one too: since an attempt brought it back, somebody else may have got what it had.
    let target = directory.target(call).map_err(|reason| not_sent(reason.into()))?;
    let obstacles = obstacles(directory, &target, &mut session, image).await.map_err(not_sent)?;
    if !obstacles.is_empty() {
        return Err(refused(format!("it was not brought back: {}", obstacles.join("; "))));
    }
    let mut writer = match seen {
        Seen::Nowhere | Seen::Living { .. } => session.writer(),
        Seen::Deleted(tombstone) => {
            // By the tombstone's own name, which holds its identity: not every server finds a deleted object by
            // `<GUID=…>` when it is to be renamed.
            let at = tombstone.name().map_err(|why| refused(format!("its tombstone cannot be addressed: {why}")))?;
            let mut writer = session.writer();
            let alive = [
                Change::Delete("isDeleted".to_owned(), Vec::new()),
                Change::Replace("distinguishedName".to_owned(), vec![image.object.dn.to_string().into_bytes()]),
            ];
            *touched = true;
            let written = writer.modify(&Address::Dn(at), &alive, Deleted::Shown, None).await;
            match written.outcome {
                Outcomes::Applied => {}
                Outcomes::Rejected | Outcomes::NotSent => return Err(Stop::Untouched(written.outcome())),
                Outcomes::Gone | Outcomes::Unknown => return Err(Stop::Midway(written.message)),
            }
            writer
        }
    };
    *touched = true;
    complete(&mut writer, image, recycle_bin).await.map_err(Stop::Midway)
}

/// Puts everything back that a living object lacks. Gives what could not be put back; an error if that cannot be told.
async fn complete(writer: &mut Writer, image: &BeforeImage, recycle_bin: bool) -> Result<Vec<String>, String> {
    let at = Address::Guid(image.object.guid);
    let seen = look(writer.reader(), image).await.map_err(|error| error.reason)?;
    let Seen::Living { object, missing_groups } = seen else {
        return Err("it is not alive, although the server brought it back".to_owned());
    };
    let mut refused = attributes(writer, &at, image, &object).await?;
    let member = object.name()?.to_string().into_bytes();
    for index in missing_groups {
        let Some(membership) = image.groups.get(index) else { continue };
        let add = [Change::Add("member".to_owned(), vec![member.clone()])];
        let written = writer.modify(&Address::Guid(membership.guid), &add, Deleted::Hidden, None).await;
        if !written.code.is_some_and(|code| THERE_ALREADY.contains(&code)) && !went_through(&written)? {
            refused.push(format!("the group `{}`: {}", group(image, index), written.message));
        }
    }
    let mut last = Vec::new();
    if let Some(group) = image.primary_group().filter(|group| object.number("primaryGroupID") != Some(i64::from(*group))) {
        last.push(("primaryGroupID", group.to_string()));
    }
    if let Some(flags) = account_flags(image, &object) {
        last.push(("userAccountControl", flags.to_string()));
    }
    for (attribute, value) in last {
        let change = [Change::Replace(attribute.to_owned(), vec![value.into_bytes()])];
        let written = writer.modify(&at, &change, Deleted::Hidden, None).await;
        if !went_through(&written)? {
            refused.push(format!("`{attribute}`: {}", written.message));
        }
    }
    let mut not_restored = lost(image, &object, recycle_bin);
    not_restored.extend(refused);
    Ok(not_restored)
}

/// All attributes at once; if the server refuses, one by one, so that a bad value loses only itself.
async fn attributes(writer: &mut Writer, at: &Address, image: &BeforeImage, object: &Entry) -> Result<Vec<String>, String> {
    let mut refused = Vec::new();
    let mut changes = Vec::new();
    for (name, values) in differing(image, object) {
        if is_back_link(name) {
            continue;
        }
        if writable(object, name) {
            let values = values.iter().map(|value| value.bytes().to_vec()).collect();
            changes.push(Change::Replace(name.to_owned(), values));
        } else {
            refused.push(format!("`{}`: this account may not write it", shown(name)));
        }
    }
    if changes.is_empty() || went_through(&writer.modify(at, &changes, Deleted::Hidden, None).await)? {
        return Ok(refused);
    }
    for change in changes {
        let written = writer.modify(at, std::slice::from_ref(&change), Deleted::Hidden, None).await;
        if !went_through(&written)? {
            let (Change::Add(name, _) | Change::Delete(name, _) | Change::Replace(name, _)) = &change;
            refused.push(format!("`{}`: {}", shown(name), written.message));
        }
    }
    Ok(refused)
}

/// True if it was done, false if it was refused; an error if nobody can tell.
fn went_through(written: &Written) -> Result<bool, String> {
    match written.outcome {
        Outcomes::Applied => Ok(true),
        Outcomes::Rejected | Outcomes::Gone => Ok(false),
        Outcomes::NotSent | Outcomes::Unknown => Err(written.message.clone()),
    }
}

/// The flags of the account as they were, except that it stays disabled if it came back so: it has no password. `None` if
/// nothing is to be changed.
fn account_flags(image: &BeforeImage, object: &Entry) -> Option<u32> {
    let [before] = image.values("userAccountControl") else { return None };
    let before: u32 = before.as_text()?.parse().ok()?;
    let now = u32::try_from(object.number("userAccountControl")?).ok()?;
    let wanted = (before & !DISABLED) | ((before | now) & DISABLED);
    (wanted != now).then_some(wanted)
}

/// The restore as an attempt.
async fn attempt(directory: &Directory, call: &Call, image: &BeforeImage) -> Outcome {
    let mut touched = false;
    let ended = TimeLeft::of(call).keep(bring_back(directory, call, image, &mut touched)).await;
    match ended {
        Ok(Ok(not_restored)) => Outcome::Applied { outputs: outputs(image, &not_restored) },
        Ok(Err(Stop::Untouched(outcome))) => outcome,
        Ok(Err(Stop::Midway(reason))) => Outcome::Unknown { reason: format!("{reason}; it may be back in part") },
        Err(late) if touched => Outcome::Unknown { reason: format!("{late}; it may be back in part") },
        Err(late) => Outcome::NotSent { reason: late },
    }
}

/// The undo of a deletion, from its before-image.
pub async fn undo_of_delete(directory: &Directory, call: &Call, pinned: &Pinned, bytes: &[u8]) -> Outcome {
    match BeforeImage::from_bytes(bytes).and_then(|image| of(image, pinned.guid)) {
        Ok(image) => attempt(directory, call, &image).await,
        Err(reason) => Outcome::Rejected { reason, untouched: true },
    }
}

fn of(image: BeforeImage, guid: Guid) -> Result<BeforeImage, String> {
    if image.object.guid == guid {
        Ok(image)
    } else {
        Err(format!("the before-image is of {}, not of {guid}", image.object.guid))
    }
}

#[async_trait]
impl Action for Restore {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "ad.user.restore",
            doc: "brings a deleted account back, with what its before-image holds",
            args: vec![
                args::required("directory", ArgType::Directory, "the directory"),
                args::required("guid", ArgType::String, "its objectGUID"),
                args::required("before_image", ArgType::String, "the file that `ad.user.delete` kept"),
            ],
            one_of: Vec::new(),
            effect: Effect::Ensure,
            generic: false,
            destructive: false,
            undo: UndoGrade::None,
            keeps: false,
            discovers: false,
            outputs: vec!["guid", "dn", "not_restored"],
        }
    }

    async fn preflight(&self, directory: &Directory, call: &Call) -> Vec<Finding> {
        directory.reach(call, directory.target(call).and_then(|target| read(call).map(|_| target))).await
    }

    async fn pin(&self, directory: &Directory, call: &Call) -> Pin {
        let seen = async {
            let image = read(call)?;
            let mut session = open(directory, call, &image).await?;
            let seen = look(&mut session, &image).await?;
            Ok::<_, NoAnswer>((bound_to(&image, &session.root().host), meaning(&image, &seen, false)))
        };
        match seen.await {
            Ok((_, (Verdict::Unknown, reason, _))) => Pin::Cannot { unreachable: false, reason },
            Ok((Some(bound), (_, seen, _))) => Pin::Bound { identity: bound.identity(), seen },
            Ok((None, _)) => Pin::NotNeeded,
            Err(error) => error.pin(),
        }
    }

    async fn describe(&self, directory: &Directory, call: &Call) -> Description {
        match read(call) {
            Ok(image) => {
                let mut lines =
                    vec![format!("bring back `{}`, objectGUID {}", shown(&image.object.dn.to_string()), image.object.guid)];
                match described(directory, call, &image).await {
                    Ok(more) => lines.extend(more),
                    Err(error) => lines.push(format!("  could not be looked at: {}", error.reason)),
                }
                Description { lines, rehearsable: true, outputs: outputs(&image, &image.lost()) }
            }
            Err(why) => Description { lines: vec![why], rehearsable: true, outputs: Map::new() },
        }
    }

    async fn probe(&self, directory: &Directory, call: &Call) -> Observation {
        let seen = async {
            let image = read(call)?;
            let mut session = open(directory, call, &image).await?;
            let recycle_bin = preflight::recycle_bin(&mut session).await?;
            let seen = look(&mut session, &image).await?;
            let host = session.root().host.clone();
            Ok::<_, NoAnswer>((image, seen, recycle_bin, host))
        };
        match seen.await {
            Ok((image, seen, recycle_bin, host)) => {
                let (verdict, text, lost) = meaning(&image, &seen, recycle_bin);
                let mut observation = Observation { verdict, ..Observation::unknown(text) };
                if verdict == Verdict::Done {
                    observation.outputs = outputs(&image, &lost);
                }
                observation.identity = bound_to(&image, &host).map(|bound| bound.identity()).unwrap_or_default();
                observation
            }
            Err(error) => Observation::unknown(error.reason),
        }
    }

    fn by_hand(&self, directory: &Directory, call: &Call) -> Vec<String> {
        match (directory.target(call), read(call)) {
            (Ok(target), Ok(image)) => {
                let server = server(call, &image);
                let mut lines: Vec<String> = by_hand::authority(&target).into_iter().collect();
                lines.push(by_hand::look(&target, &server, image.object.guid));
                lines.push(format!(
                    "ldapmodify {} -c -f restore.ldif   # with these lines:",
                    by_hand::connection(&target, &server)
                ));
                lines.extend(image.by_hand);
                lines
            }
            (Err(why), _) | (_, Err(why)) => vec![format!("# {why}")],
        }
    }

    async fn apply(&self, directory: &Directory, call: &Call) -> Outcome {
        match read(call) {
            Ok(image) => attempt(directory, call, &image).await,
            Err(reason) => Outcome::Rejected { reason, untouched: true },
        }
    }

    /// The tombstone is brought back by its name, which holds its identity; then attributes are replaced without comparing,
    /// and groups get the account by the name that it has at that moment.
    fn late(&self) -> Late {
        Late::Several
    }

    async fn undo(&self, _directory: &Directory, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Rejected { reason: "a restored account is not deleted again by an undo".to_owned(), untouched: true }
    }
}

async fn described(directory: &Directory, call: &Call, image: &BeforeImage) -> Result<Vec<String>, NoAnswer> {
    let mut session = open(directory, call, image).await?;
    let recycle_bin = preflight::recycle_bin(&mut session).await?;
    let seen = look(&mut session, image).await?;
    let (_, before, _) = meaning(image, &seen, recycle_bin);
    let mut lines = vec![format!("  before: {before}")];
    if matches!(seen, Seen::Deleted(_)) {
        let target = directory.target(call)?;
        let obstacles = obstacles(directory, &target, &mut session, image).await?;
        lines.extend(obstacles.into_iter().map(|obstacle| format!("  in the way: {obstacle}")));
    }
    lines.push(format!("  after:  alive, with {} attributes and {} groups", image.restorable().count(), image.groups.len()));
    if !recycle_bin {
        lines.extend(image.lost().into_iter().map(|lost| format!("  not restored: {lost}")));
    }
    Ok(lines)
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
