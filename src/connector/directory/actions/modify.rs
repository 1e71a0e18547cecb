//! `ldap.modify`: changes attributes of one object from given values to others, on any LDAP server.
//!
//! Compare and set: the old values are deleted by name, the new ones added, all in one modification, so that the server
//! refuses if an old one is not there. A server that knows the assertion control (RFC 4528) is told the old values as a
//! condition too.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::super::args;
use super::super::bound::{self, DN, GUID};
use super::super::dn::{Address, Dn};
use super::super::entry::Entry;
use super::super::filter::{Filter, is_attribute};
use super::super::guid::Guid;
use super::super::image::attributes::is_secret;
use super::super::session::{Change, Deleted, Outcomes, Session};
use super::super::{Directory, NoAnswer, by_hand, shown};
use super::Action;
use crate::connector::time_left::TimeLeft;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::run::connector::{Call, Description, Finding, Observation, Pin};
use crate::run::event::{Identity, Outcome, VIA};

/// The assertion control (RFC 4528).
const ASSERTION: &str = "1.3.6.1.1.12";

/// The action.
pub struct Modify;

/// One attribute: what it must be, and what it becomes. No value at all means that it is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    attribute: String,
    from: Vec<Vec<u8>>,
    to: Vec<Vec<u8>>,
}

#[derive(Debug, Clone)]
struct Args {
    at: Address,
    steps: Vec<Step>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let at = match (args::text(call, "dn")?, args::text(call, "guid")?) {
            (Some(dn), None) => Address::Dn(args::parse_dn(&dn, "dn")?),
            (None, Some(guid)) => Address::Guid(args::parse_guid(&guid)?),
            _ => return Err("it takes exactly one of `dn` and `guid`".to_owned()),
        };
        Ok(Args { at, steps: steps(call.with.get("changes").unwrap_or(&Value::Null))? })
    }

    /// The way back.
    fn reversed(mut self) -> Self {
        for step in &mut self.steps {
            std::mem::swap(&mut step.from, &mut step.to);
        }
        self
    }

    fn attributes(&self) -> Vec<&str> {
        self.steps.iter().map(|step| step.attribute.as_str()).chain(["objectGUID"]).collect()
    }

    /// Old values that go are deleted by name, new ones added.
    fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for step in &self.steps {
            let less = |of: &[Vec<u8>], without: &[Vec<u8>]| -> Vec<Vec<u8>> {
                of.iter().filter(|value| !without.contains(value)).cloned().collect()
            };
            let (gone, new) = (less(&step.from, &step.to), less(&step.to, &step.from));
            if !gone.is_empty() {
                changes.push(Change::Delete(step.attribute.clone(), gone));
            }
            if !new.is_empty() {
                changes.push(Change::Add(step.attribute.clone(), new));
            }
        }
        changes
    }

    /// The old values as a condition.
    fn assertion(&self) -> Filter {
        Filter::and(self.steps.iter().flat_map(|step| {
            if step.from.is_empty() {
                vec![Filter::not(Filter::present(&step.attribute))]
            } else {
                step.from.iter().map(|value| Filter::equal(&step.attribute, value)).collect()
            }
        }))
    }
}

fn steps(changes: &Value) -> Result<Vec<Step>, String> {
    let list = changes.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or("`changes` must be a list such as `[{ attribute: mail, from: a@b, to: c@d }]`")?;
    let mut steps: Vec<Step> = Vec::new();
    for (at, change) in list.iter().enumerate() {
        let place = format!("`changes[{at}]`");
        let map = change.as_object().ok_or_else(|| format!("{place} must be a map with `attribute`, `from` and `to`"))?;
        if let Some(other) = map.keys().find(|key| !matches!(key.as_str(), "attribute" | "from" | "to")) {
            return Err(format!("{place} takes `attribute`, `from` and `to`, not `{}`", shown(other)));
        }
        let attribute = map.get("attribute").and_then(Value::as_str).unwrap_or_default();
        if !is_attribute(attribute) {
            return Err(format!("{place}: `{}` is no name of an attribute", shown(attribute)));
        }
        if is_secret(attribute) {
            return Err(format!("{place}: `{attribute}` is a secret; a plan must not hold one, set it with the tools for that"));
        }
        if steps.iter().any(|step| step.attribute.eq_ignore_ascii_case(attribute)) {
            return Err(format!("{place}: `{attribute}` is changed twice"));
        }
        let side = |key: &str| match map.get(key) {
            Some(value) => values(value, &format!("{place}.{key}")),
            None => Err(format!("{place} needs `{key}`; `null` means that the attribute is absent")),
        };
        let step = Step { attribute: attribute.to_owned(), from: side("from")?, to: side("to")? };
        if same(&step.from, &step.to) {
            return Err(format!("{place}: `from` and `to` are the same"));
        }
        steps.push(step);
    }
    Ok(steps)
}

fn values(value: &Value, place: &str) -> Result<Vec<Vec<u8>>, String> {
    let one = |value: &Value| args::as_text(value, place).map(String::into_bytes);
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

/// Values of an attribute have no order.
fn same(one: &[Vec<u8>], two: &[Vec<u8>]) -> bool {
    one.len() == two.len() && one.iter().all(|value| two.contains(value))
}

fn words(values: &[Vec<u8>]) -> String {
    let text = |value: &Vec<u8>| match std::str::from_utf8(value) {
        Ok(text) => format!("`{}`", shown(text)),
        Err(_) => format!("{} bytes", value.len()),
    };
    if values.is_empty() { "absent".to_owned() } else { values.iter().map(text).collect::<Vec<_>>().join(", ") }
}

/// What a look means.
fn meaning(steps: &[Step], entry: &Entry) -> (Verdict, String) {
    let (mut at_from, mut at_to, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
    for step in steps {
        let now = entry.values(&step.attribute);
        let line = format!("{} is {}", step.attribute, words(now));
        if same(now, &step.to) {
            at_to.push(line);
        } else if same(now, &step.from) {
            at_from.push(line);
        } else {
            elsewhere.push(format!("{line}, neither {} nor {}", words(&step.from), words(&step.to)));
        }
    }
    let what = shown(&entry.dn);
    if !elsewhere.is_empty() {
        (Verdict::Conflict, format!("`{what}`: {}", elsewhere.join("; ")))
    } else if at_from.is_empty() {
        (Verdict::Done, format!("`{what}`: {}", at_to.join("; ")))
    } else if at_to.is_empty() {
        (Verdict::NotDone, format!("`{what}`: {}", at_from.join("; ")))
    } else {
        (Verdict::Partial, format!("`{what}`: changed already: {}; not yet: {}", at_to.join("; "), at_from.join("; ")))
    }
}

/// What an object is, as far as this server has identities.
fn identity(entry: &Entry, host: &str) -> Identity {
    let mut identity = Identity::from([(DN.to_owned(), entry.dn.clone())]);
    if let Some(guid) = entry.guid() {
        identity.insert(GUID.to_owned(), guid.to_string());
    }
    if !host.is_empty() {
        identity.insert(VIA.to_owned(), host.to_owned());
    }
    identity
}

/// By the identity that was recorded, otherwise as the arguments say.
fn address(call: &Call, args: &Args) -> Result<Address, String> {
    match call.identity.get(GUID) {
        None => Ok(args.at.clone()),
        Some(text) => Guid::parse(text).map(Address::Guid).ok_or_else(|| "the recorded objectGUID cannot be read".to_owned()),
    }
}

/// The object now; an error in the inner result if it is not there, or not the one that was bound.
async fn look(session: &mut Session, call: &Call, args: &Args) -> Result<Result<Entry, String>, NoAnswer> {
    let at = address(call, args)?;
    let Some(entry) = session.read(&at, &args.attributes(), Deleted::Hidden).await? else {
        return Ok(Err(format!("there is no object {at}")));
    };
    let renamed = call.identity.get(DN).filter(|_| matches!(args.at, Address::Dn(_))).is_some_and(|bound| {
        match (Dn::parse(bound), entry.name()) {
            (Ok(bound), Ok(now)) => bound != now,
            _ => true,
        }
    });
    if renamed {
        return Ok(Err(format!("the object is now called `{}`; find out why, then plan anew", shown(&entry.dn))));
    }
    Ok(Ok(entry))
}

/// Makes the change on what is at `from`.
async fn change(directory: &Directory, call: &Call, args: &Args) -> Outcome {
    let time = TimeLeft::of(call);
    let opened = time.keep(async {
        let at = address(call, args)?;
        let mut session = directory.open(call).await?;
        let seen = look(&mut session, call, args).await?;
        Ok::<_, NoAnswer>((at, session, seen))
    });
    let (at, session, seen) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(NoAnswer { reason, .. })) | Err(reason) => return Outcome::NotSent { reason },
    };
    let verdict = seen.map_or_else(|why| (Verdict::Conflict, why), |entry| meaning(&args.steps, &entry));
    match verdict {
        (Verdict::NotDone, _) => {}
        (Verdict::Done, _) => return Outcome::Applied { outputs: Map::new() },
        (_, why) => return Outcome::Rejected { reason: format!("nothing was changed: {why}"), untouched: true },
    }
    let assertion = session.root().controls.iter().any(|control| control == ASSERTION).then(|| args.assertion());
    let mut writer = session.writer();
    match time.keep(writer.modify(&at, &args.changes(), Deleted::Hidden, assertion.as_ref())).await {
        Ok(written) => match written.outcome {
            Outcomes::Applied => Outcome::Applied { outputs: Map::new() },
            // By identity: it is not there any more, so nothing of it was changed.
            Outcomes::Gone => Outcome::Rejected { reason: written.message, untouched: true },
            Outcomes::Rejected | Outcomes::NotSent | Outcomes::Unknown => written.outcome(),
        },
        Err(late) => Outcome::Unknown { reason: format!("{late}; the change was sent") },
    }
}

#[async_trait]
impl Action for Modify {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "ldap.modify",
            doc: "changes attributes of one object from given values to others",
            args: vec![
                args::required("directory", ArgType::Directory, "the directory"),
                args::optional("dn", ArgType::String, "the object's distinguished name"),
                args::optional("guid", ArgType::String, "the object's objectGUID"),
                args::required(
                    "changes",
                    ArgType::Any,
                    "a list of `{ attribute, from, to }`; a value is a text, a list of texts, or `null` for absent",
                ),
            ],
            one_of: vec![&["dn", "guid"]],
            effect: Effect::Cas,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: Vec::new(),
        }
    }

    async fn preflight(&self, directory: &Directory, call: &Call) -> Vec<Finding> {
        directory.reach(call, Args::read(call).and_then(|_| directory.target(call))).await
    }

    /// What is not there yet may be made by an earlier step: the first look binds it then.
    async fn pin(&self, directory: &Directory, call: &Call) -> Pin {
        let seen = async {
            let args = Args::read(call)?;
            let mut session = directory.open(call).await?;
            let seen = look(&mut session, call, &args).await?;
            Ok::<_, NoAnswer>((session.root().host.clone(), seen))
        };
        match seen.await {
            Ok((host, Ok(entry))) => {
                Pin::Bound { identity: identity(&entry, &host), seen: format!("bound to `{}`", shown(&entry.dn)) }
            }
            Ok((_, Err(_))) => Pin::NotNeeded,
            Err(error) => error.pin(),
        }
    }

    async fn describe(&self, directory: &Directory, call: &Call) -> Description {
        let lines = match Args::read(call) {
            Err(why) => vec![why],
            Ok(args) => {
                let seen = async {
                    let mut session = directory.open(call).await?;
                    look(&mut session, call, &args).await
                };
                let mut lines = match seen.await {
                    Ok(Ok(entry)) => vec![format!("change `{}`", shown(&entry.dn))],
                    Ok(Err(why)) | Err(NoAnswer { reason: why, .. }) => vec![format!("change {}: {why}", args.at)],
                };
                lines.extend(args.steps.iter().map(|it| format!("  {}: {} -> {}", it.attribute, words(&it.from), words(&it.to))));
                lines
            }
        };
        Description { lines, rehearsable: true, outputs: Map::new() }
    }

    async fn probe(&self, directory: &Directory, call: &Call) -> Observation {
        let seen = async {
            let args = Args::read(call)?;
            let mut session = directory.open(call).await?;
            let seen = look(&mut session, call, &args).await?;
            Ok::<_, NoAnswer>((args, session.root().host.clone(), seen))
        };
        match seen.await {
            Ok((args, host, Ok(entry))) => {
                let (verdict, text) = meaning(&args.steps, &entry);
                Observation { verdict, identity: identity(&entry, &host), ..Observation::unknown(text) }
            }
            Ok((_, _, Err(why))) => Observation { verdict: Verdict::Conflict, ..Observation::unknown(why) },
            Err(error) => Observation::unknown(error.reason),
        }
    }

    fn by_hand(&self, directory: &Directory, call: &Call) -> Vec<String> {
        let read = directory.target(call).and_then(|target| {
            let args = Args::read(call)?;
            let at = address(call, &args)?;
            Ok((target, args, at))
        });
        let (target, args, at) = match read {
            Ok(read) => read,
            Err(why) => return vec![format!("# {why}")],
        };
        let connection = by_hand::connection(&target, &bound::server(&call.identity));
        let mut lines: Vec<String> = by_hand::authority(&target).into_iter().collect();
        let names: Vec<&str> = args.steps.iter().map(|step| step.attribute.as_str()).collect();
        let base = by_hand::quoted(&at.to_protocol());
        lines.push(format!(
            "ldapsearch {connection} -LLL -o ldif-wrap=no -b {base} -s base '(objectClass=*)' {}",
            names.join(" ")
        ));
        lines.push(format!("ldapmodify {connection}   # with these lines:"));
        lines.push(format!("dn: {}", at.to_protocol()));
        lines.push("changetype: modify".to_owned());
        for change in args.changes() {
            let (verb, name, values) = match &change {
                Change::Add(name, values) => ("add", name, values),
                Change::Delete(name, values) => ("delete", name, values),
                Change::Replace(name, values) => ("replace", name, values),
            };
            lines.push(format!("{verb}: {name}"));
            lines.extend(values.iter().map(|value| format!("{name}: {}", shown(&String::from_utf8_lossy(value)))));
            lines.push("-".to_owned());
        }
        lines
    }

    async fn apply(&self, directory: &Directory, call: &Call) -> Outcome {
        match Args::read(call) {
            Ok(args) => change(directory, call, &args).await,
            Err(reason) => Outcome::Rejected { reason, untouched: true },
        }
    }

    async fn undo(&self, directory: &Directory, call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        match Args::read(call) {
            Ok(args) => change(directory, call, &args.reversed()).await,
            Err(reason) => Outcome::Rejected { reason, untouched: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(changes: Value) -> Vec<Step> {
        match steps(&changes) {
            Ok(steps) => steps,
            Err(why) => panic!("{why}"),
        }
    }

    fn entry(attributes: &[(&str, &str)]) -> Entry {
        let mut entry = Entry::new("CN=a,DC=c".to_owned());
        for (name, value) in attributes {
            entry.add(name, [value.as_bytes().to_vec()]);
        }
        entry
    }

    #[test]
    fn what_is_seen_decides() {
        let steps = read(json!([
            { "attribute": "mail", "from": "a@c", "to": "b@c" },
            { "attribute": "description", "from": null, "to": ["one", "two"] },
        ]));
        let verdict = |now: &[(&str, &str)]| meaning(&steps, &entry(now)).0;
        assert_eq!(verdict(&[("mail", "a@c")]), Verdict::NotDone);
        assert_eq!(verdict(&[("MAIL", "b@c"), ("description", "two"), ("description", "one")]), Verdict::Done);
        assert_eq!(verdict(&[("mail", "b@c")]), Verdict::Partial);
        assert_eq!(verdict(&[("mail", "x@c")]), Verdict::Conflict);
        assert_eq!(verdict(&[]), Verdict::Conflict);
        assert_eq!(verdict(&[("mail", "b@c"), ("description", "one")]), Verdict::Conflict);
    }

    #[test]
    fn only_what_differs_is_deleted_and_added() {
        let args =
            Args { at: Address::Root, steps: read(json!([{ "attribute": "member", "from": ["a", "b"], "to": ["b", "c"] }])) };
        let expected =
            vec![Change::Delete("member".to_owned(), vec![b"a".to_vec()]), Change::Add("member".to_owned(), vec![b"c".to_vec()])];
        assert_eq!(args.changes(), expected);
        let back =
            vec![Change::Delete("member".to_owned(), vec![b"c".to_vec()]), Change::Add("member".to_owned(), vec![b"a".to_vec()])];
        assert_eq!(args.reversed().changes(), back);
    }

    #[test]
    fn mistakes_are_told_before_anything_is_sent() {
        for (wrong, part) in [
            (json!([]), "must be a list"),
            (json!([{ "attribute": "a)(b=*", "from": null, "to": "x" }]), "no name of an attribute"),
            (json!([{ "attribute": "unicodePwd", "from": null, "to": "x" }]), "is a secret"),
            (json!([{ "attribute": "userPassword", "from": null, "to": "x" }]), "is a secret"),
            (json!([{ "attribute": "mail", "to": "x" }]), "needs `from`"),
            (json!([{ "attribute": "mail", "from": "x", "to": "x" }]), "are the same"),
            (
                json!([{ "attribute": "mail", "from": null, "to": "x" }, { "attribute": "Mail", "from": null, "to": "y" }]),
                "twice",
            ),
            (json!([{ "attribute": "mail", "from": {}, "to": "x" }]), "must be a text"),
            (json!([{ "attribute": "mail", "from": null, "to": "x", "value": 1 }]), "not `value`"),
        ] {
            match steps(&wrong) {
                Err(why) => assert!(why.contains(part), "{why}"),
                Ok(steps) => panic!("{wrong} was taken as {steps:?}"),
            }
        }
    }
}
