//! `ldap.search`: reads objects, and gives what it read as outputs. Changes nothing.

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::super::args;
use super::super::dn::{Address, Dn};
use super::super::entry::Entry;
use super::super::filter::{Filter, is_attribute};
use super::super::guid::Guid;
use super::super::image::ValueText;
use super::super::image::attributes::{is_binary, is_secret};
use super::super::session::{Deleted, Scope, Server};
use super::super::sid::Sid;
use super::super::{Directory, NoAnswer, by_hand, shown};
use super::Action;
use crate::connector::time_left::TimeLeft;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::run::connector::{Call, Description, Finding, Observation};
use crate::run::event::{Identity, Outcome, Outputs};

/// Outputs stand in the journal: more than this is a data export, not a look.
const LARGEST: usize = 256 * 1024;

/// The action.
pub struct Search;

struct Args {
    base: Dn,
    conditions: Vec<(String, String)>,
    scope: Scope,
    attributes: Vec<String>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let attribute = |name: &str| {
            if !is_attribute(name) {
                return Err(format!("`{}` is no name of an attribute", shown(name)));
            }
            if is_secret(name) {
                return Err(format!("`{name}` is a secret, which outputs must not hold"));
            }
            Ok(name.to_owned())
        };
        let conditions = match call.with.get("where") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(name, value)| Ok((attribute(name)?, args::as_text(value, name)?)))
                .collect::<Result<_, String>>()?,
            Some(_) => return Err("`where` must be a map from attribute to text".to_owned()),
        };
        let scope = match args::text(call, "scope")?.as_deref() {
            Some("base") => Scope::Base,
            Some("one") => Scope::One,
            None | Some("subtree") => Scope::Subtree,
            Some(other) => return Err(format!("`scope` is `base`, `one` or `subtree`, not `{}`", shown(other))),
        };
        let attributes = args::list(call, "attributes")?.iter().map(|name| attribute(name)).collect::<Result<_, String>>()?;
        Ok(Args { base: args::dn(call, "base")?, conditions, scope, attributes })
    }

    fn filter(&self) -> Filter {
        match self.conditions.as_slice() {
            [] => Filter::present("objectClass"),
            [(attribute, value)] => Filter::equal(attribute, value),
            all => Filter::and(all.iter().map(|(attribute, value)| Filter::equal(attribute, value))),
        }
    }

    fn words(&self) -> String {
        let (base, filter) = (shown(&self.base.to_string()), shown(&self.filter().to_string()));
        let scope = match self.scope {
            Scope::Base => "at",
            Scope::One => "directly below",
            Scope::Subtree => "at and below",
        };
        format!("read what matches `{filter}` {scope} `{base}`")
    }
}

/// One object as an output.
fn value(entry: &Entry, attributes: &[String]) -> Value {
    let mut map = Map::new();
    for (name, values) in entry.attributes() {
        let asked = attributes.is_empty() || attributes.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        if asked && !is_secret(name) {
            map.insert(name.to_owned(), values.iter().map(|value| one(name, value)).collect());
        }
    }
    json!({ "dn": entry.dn, "attributes": map })
}

/// A value: identities in their usual form, text as text, anything else as base64.
fn one(name: &str, bytes: &[u8]) -> Value {
    let text = match name.to_ascii_lowercase().as_str() {
        "objectguid" => Guid::from_bytes(bytes).map(|guid| guid.to_string()),
        "objectsid" => Sid::from_bytes(bytes).map(|sid| sid.to_string()),
        _ => None,
    };
    text.map_or_else(|| json!(ValueText::new(bytes, is_binary(name))), Value::String)
}

fn outputs(entries: &[Entry], attributes: &[String]) -> Result<Outputs, String> {
    let list: Vec<Value> = entries.iter().map(|entry| value(entry, attributes)).collect();
    let mut outputs = Map::new();
    outputs.insert("count".to_owned(), json!(list.len()));
    outputs.insert("first".to_owned(), list.first().cloned().unwrap_or(Value::Null));
    outputs.insert("entries".to_owned(), Value::Array(list));
    let size = Value::Object(outputs.clone()).to_string().len();
    if size > LARGEST {
        return Err(format!(
            "{} objects were found, {size} bytes of outputs, and at most {LARGEST} are kept; name fewer `attributes`, or narrow \
             `where`",
            entries.len()
        ));
    }
    Ok(outputs)
}

/// What came of a search.
enum Came {
    /// What it gave.
    Outputs(Outputs),
    /// An answer that no output can be made of.
    Not(String),
}

async fn search(directory: &Directory, call: &Call) -> Result<Came, NoAnswer> {
    let args = Args::read(call)?;
    let mut session = directory.open(call).await?;
    let attributes: Vec<&str> =
        if args.attributes.is_empty() { vec!["*"] } else { args.attributes.iter().map(String::as_str).collect() };
    let found = session.search(&Address::Dn(args.base.clone()), args.scope, &args.filter(), &attributes, Deleted::Hidden).await;
    let entries = match found {
        Ok(entries) => entries,
        Err(error) if error.code == Some(32) => {
            return Ok(Came::Not(format!("there is no object `{}` to search from", shown(&args.base.to_string()))));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match outputs(&entries, &args.attributes) {
        Ok(outputs) => Came::Outputs(outputs),
        Err(why) => Came::Not(why),
    })
}

#[async_trait]
impl Action for Search {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "ldap.search",
            doc: "reads objects of a directory",
            args: vec![
                args::required("directory", ArgType::Directory, "the directory"),
                args::required("base", ArgType::String, "where to search from, as a distinguished name"),
                args::optional("where", ArgType::Any, "a map from attribute to text; all must match"),
                args::optional("scope", ArgType::String, "`base`, `one` or `subtree` (by default)"),
                args::optional("attributes", ArgType::StringList, "what is read; all ordinary attributes by default"),
            ],
            one_of: Vec::new(),
            effect: Effect::Read,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: vec!["count", "entries", "first"],
        }
    }

    async fn preflight(&self, directory: &Directory, call: &Call) -> Vec<Finding> {
        directory.reach(call, Args::read(call).and_then(|_| directory.target(call))).await
    }

    async fn describe(&self, _directory: &Directory, call: &Call) -> Description {
        let line = Args::read(call).map_or_else(|why| why, |args| args.words());
        Description { lines: vec![line], rehearsable: true, outputs: Map::new() }
    }

    async fn probe(&self, directory: &Directory, call: &Call) -> Observation {
        match search(directory, call).await {
            Ok(Came::Outputs(outputs)) => {
                let seen = format!("{} found", outputs.get("count").unwrap_or(&Value::Null));
                Observation { verdict: Verdict::Done, seen, facts: outputs.clone(), outputs, identity: Identity::new() }
            }
            Ok(Came::Not(why)) => Observation { verdict: Verdict::NotDone, ..Observation::unknown(why) },
            Err(error) => Observation::unknown(error.reason),
        }
    }

    fn by_hand(&self, directory: &Directory, call: &Call) -> Vec<String> {
        match (directory.target(call), Args::read(call)) {
            (Ok(target), Ok(args)) => {
                let mut lines: Vec<String> = by_hand::authority(&target).into_iter().collect();
                let scope = match args.scope {
                    Scope::Base => "base",
                    Scope::One => "one",
                    Scope::Subtree => "sub",
                };
                lines.push(format!(
                    "ldapsearch {} -LLL -o ldif-wrap=no -b {} -s {scope} {} {}",
                    by_hand::connection(&target, &Server::Url),
                    by_hand::quoted(&args.base.to_string()),
                    by_hand::quoted(&args.filter().to_string()),
                    args.attributes.join(" ")
                ));
                lines
            }
            (Err(why), _) | (_, Err(why)) => vec![format!("# {why}")],
        }
    }

    async fn apply(&self, directory: &Directory, call: &Call) -> Outcome {
        match TimeLeft::of(call).keep(search(directory, call)).await {
            Ok(Ok(Came::Outputs(outputs))) => Outcome::Applied { outputs },
            Ok(Ok(Came::Not(reason))) => Outcome::Rejected { reason, untouched: true },
            Ok(Err(NoAnswer { reason, .. })) | Err(reason) => Outcome::NotSent { reason },
        }
    }

    async fn undo(&self, _directory: &Directory, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_given_readably_and_without_secrets() {
        let mut entry = Entry::new("CN=a,DC=c".to_owned());
        entry.add("cn", [b"a".to_vec()]);
        entry.add("objectGUID", [vec![1; 16]]);
        entry.add("jpegPhoto", [vec![0xff, 0xd8]]);
        entry.add("userPassword", [b"x".to_vec()]);
        let guid = "01010101-0101-0101-0101-010101010101";
        let expected = json!({ "dn": "CN=a,DC=c", "attributes": {
            "cn": ["a"], "objectGUID": [guid], "jpegPhoto": [{ "base64": "/9g=" }],
        } });
        assert_eq!(value(&entry, &[]), expected);
        assert_eq!(value(&entry, &["CN".to_owned()]), json!({ "dn": "CN=a,DC=c", "attributes": { "cn": ["a"] } }));
    }

    #[test]
    fn too_much_is_refused_rather_than_cut() {
        let mut entry = Entry::new("CN=a,DC=c".to_owned());
        entry.add("description", [vec![b'x'; LARGEST]]);
        assert!(outputs(&[entry], &[]).is_err_and(|why| why.contains("name fewer `attributes`")));
        let none = outputs(&[], &[]);
        assert_eq!(none, json!({ "count": 0, "first": null, "entries": [] }).as_object().cloned().ok_or_else(String::new));
    }
}
