//! The targets file: hosts, directories, other servers, groups, roles and the window. Also secret references, which
//! stand in targets and in steps alike.

mod host;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Number, Value, json};

use super::diagnostic::{Place, Spot, short};
use super::keys::{BIND, BindKey, DIRECTORY, DirectoryKey, SETTLE, SettleKey, TARGETS, TargetsKey, WINDOW, WindowKey};
use super::node::{Kind, Node};
use super::read::{Reader, is_word};
use super::{Targets, Window, secret_key};
use crate::secret::SecretRef;
use crate::time;

/// What the targets file gives beyond [`Targets`].
#[derive(Default)]
pub struct Read {
    /// The targets.
    pub targets: Targets,
    /// Target name → how many steps at once.
    pub limits: BTreeMap<String, u32>,
    /// The window.
    pub window: Option<Window>,
}

/// Reads a targets file.
pub fn read(reader: Reader<'_>, node: &Node<'_>, path: &Path, folder: &Path) -> Read {
    let mut read = Read {
        targets: Targets { path: Some(std::path::absolute(path).unwrap_or_else(|_| path.to_owned())), ..Targets::default() },
        ..Read::default()
    };
    let Some(fields) = reader.fields(node, TARGETS, "the targets file") else { return read };
    if let Some(node) = fields.get(TargetsKey::Version) {
        reader.version(node, "relevo_targets");
    }
    let mut names: BTreeMap<String, (u32, &str)> = BTreeMap::new();
    for (key, kind) in [(TargetsKey::Hosts, "hosts"), (TargetsKey::Directories, "directories"), (TargetsKey::Servers, "servers")]
    {
        let Some(node) = fields.get(key) else { continue };
        let Some(entries) = node.map() else {
            reader.error(node, format!("`{kind}` must be a map, found {}", node.what()), "write `name: { url: … }`");
            continue;
        };
        for (key, value) in entries {
            if let Some((first, _)) = names.get(key.name.as_ref()) {
                let message = format!("`{}` names two targets", short(&key.name));
                let related = (reader.at(*first), "the other one");
                reader.mistakes.error_with(reader.at(key.at), message, "a step names a target by its name alone", related);
                continue;
            }
            target_name(reader, key.at, &key.name);
            names.insert(key.name.clone().into_owned(), (key.at, kind));
            match kind {
                "servers" => server(reader, value, &key.name, &mut read),
                "hosts" => host::read(reader, value, &key.name, &mut read),
                _ => directory(reader, value, &key.name, &mut read),
            }
        }
    }
    lists(reader, fields.get(TargetsKey::Groups), "groups", &mut |name, items| {
        for (item, node) in &items {
            if !names.contains_key(*item) {
                reader.unknown(node, "target", item, names.keys().map(String::as_str));
            }
        }
        let _ = name;
    });
    let roles = &mut read.targets.roles;
    lists(reader, fields.get(TargetsKey::Roles), "roles", &mut |name, items| {
        roles.insert(name.to_owned(), items.iter().map(|(account, _)| (*account).to_owned()).collect());
    });
    read.window = fields.get(TargetsKey::Window).and_then(|node| window(reader, node));
    if let Kind::Map(entries) = &node.kind {
        for (key, value) in entries {
            let mut place = key.name.clone().into_owned();
            let value = plain(reader, value, folder, &mut place, 0, &mut read.targets.secrets);
            read.targets.value.insert(key.name.clone().into_owned(), value);
        }
    }
    let file = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    for (place, _) in &mut read.targets.secrets {
        *place = format!("{file}: {place}");
    }
    read.targets.names = names.into_iter().map(|(name, (_, kind))| (name, kind.to_owned())).collect();
    read
}

fn target_name(reader: Reader<'_>, at: u32, name: &str) {
    let fits = !name.is_empty() && name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if !fits {
        let hint = "a name is made of letters, digits, `_`, `-` and `.`";
        reader.mistakes.error(reader.at(at), format!("`{}` cannot be a target's name", short(name)), hint);
    }
}

fn directory(reader: Reader<'_>, node: &Node<'_>, name: &str, read: &mut Read) {
    let Some(fields) = reader.fields(node, DIRECTORY, &format!("the directory `{name}`")) else { return };
    for (key, what) in [(DirectoryKey::Url, "url"), (DirectoryKey::GlobalCatalog, "global_catalog")] {
        let Some(node) = fields.get(key) else { continue };
        if let Some(scheme) = url(reader, node, what, "ldaps://dc1.contoso.com")
            && !matches!(scheme, "ldaps" | "ldap")
        {
            let hint = "write `ldaps://host`, or `ldap://host` for StartTLS; without TLS relevo does not talk to a directory";
            reader.error(node, format!("`{what}`: a directory is not reached by `{}`", short(scheme)), hint);
        }
    }
    for (key, what) in [(DirectoryKey::Ca, "ca"), (DirectoryKey::Domain, "domain")] {
        if let Some(node) = fields.get(key) {
            reader.some_text(node, what);
        }
    }
    if let Some(node) = fields.get(DirectoryKey::Bind) {
        bind(reader, node);
    }
    if let Some(node) = fields.get(DirectoryKey::Addresses) {
        match node.map() {
            Some(entries) => entries.iter().for_each(|(_, value)| {
                reader.some_text(value, "an address");
            }),
            None => {
                let hint = "write `{ dc2.contoso.com: 10.0.0.12 }` or `{ \"dc2.contoso.com:636\": 10.0.0.12:10636 }`";
                reader.error(node, format!("`addresses` must be a map, found {}", node.what()), hint);
            }
        }
    }
    if let Some(node) = fields.get(DirectoryKey::Timeout) {
        reader.span(node, "timeout");
    }
    wants_map(reader, fields.get(DirectoryKey::Vars));
    settle(reader, fields.get(DirectoryKey::Settle));
    at_once(reader, fields.get(DirectoryKey::MaxParallel), name, read);
}

/// A user with a password, or Kerberos alone.
fn bind(reader: Reader<'_>, node: &Node<'_>) {
    const HINT: &str = "write `{ user: …, password: { env: … } }` or `{ kerberos: true }`";
    let Some(fields) = reader.fields(node, BIND, "`bind`") else { return };
    if let Some(node) = fields.get(BindKey::User) {
        reader.some_text(node, "user");
    }
    let kerberos = fields.get(BindKey::Kerberos).is_some_and(|node| matches!(node.kind, Kind::Bool(true)));
    let (user, password) = (fields.get(BindKey::User).is_some(), fields.get(BindKey::Password).is_some());
    match (kerberos, user, password) {
        (true, false, false) | (false, true, true) => {}
        (true, ..) => reader.error(node, "`bind` names both Kerberos and a user or a password", HINT),
        (false, true, false) => reader.error(node, "`bind` names a user without a password", HINT),
        (false, false, _) => reader.error(node, "`bind` names nobody", HINT),
    }
}

/// Checks a URL; its scheme, if it is one.
fn url<'n>(reader: Reader<'_>, node: &'n Node<'n>, what: &str, example: &str) -> Option<&'n str> {
    let text = reader.text(node, what)?;
    let Some((scheme, rest)) = text
        .split_once("://")
        .filter(|(scheme, rest)| !rest.is_empty() && !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric()))
    else {
        reader.error(node, format!("`{}` is not a URL", short(text)), format!("write for example `{example}`"));
        return None;
    };
    if rest.split('/').next().is_some_and(|host| host.contains('@')) {
        let place = Place { file: reader.file, spot: Spot::Secret(node.at) };
        reader.mistakes.error(place, "a URL must not hold a user or a password", "write them under `auth` or `bind`");
        return None;
    }
    Some(scheme)
}

fn wants_map(reader: Reader<'_>, node: Option<&Node<'_>>) {
    if let Some(node) = node.filter(|node| node.map().is_none()) {
        reader.error(node, format!("a map is wanted here, found {}", node.what()), "");
    }
}

fn settle(reader: Reader<'_>, node: Option<&Node<'_>>) {
    let Some(settle) = node.and_then(|node| reader.fields(node, SETTLE, "`settle`")) else { return };
    for (key, what) in [(SettleKey::StableFor, "stable_for"), (SettleKey::Poll, "poll"), (SettleKey::Timeout, "timeout")] {
        if let Some(node) = settle.get(key) {
            reader.span(node, what);
        }
    }
}

fn at_once(reader: Reader<'_>, node: Option<&Node<'_>>, name: &str, read: &mut Read) {
    if let Some(most) = node.and_then(|node| reader.count(node, "max_parallel", 10_000)) {
        read.limits.insert(name.to_owned(), most);
    }
}

fn server(reader: Reader<'_>, node: &Node<'_>, name: &str, read: &mut Read) {
    if node.map().is_none() {
        reader.error(node, format!("the server `{name}` must be a map, found {}", node.what()), "");
    }
    if let Some(most) = node.get("max_parallel").and_then(|node| reader.count(node, "max_parallel", 10_000)) {
        read.limits.insert(name.to_owned(), most);
    }
}

/// Texts with their nodes. What they borrow from the file is of no interest here.
type Listed<'n> = Vec<(&'n str, &'n Node<'n>)>;

/// Reads a map from names to lists of texts.
fn lists<'n>(reader: Reader<'_>, node: Option<&'n Node<'n>>, what: &str, each: &mut dyn FnMut(&'n str, Listed<'n>)) {
    let Some(node) = node else { return };
    let Some(entries) = node.map() else {
        reader.error(node, format!("`{what}` must be a map, found {}", node.what()), "write `name: [one, two]`");
        return;
    };
    for (key, value) in entries {
        if !is_word(&key.name) {
            let hint = "a name is a letter, then letters, digits, `_` and `-`";
            reader.mistakes.error(reader.at(key.at), format!("`{}` cannot be a name here", short(&key.name)), hint);
        }
        let items = reader.texts(value, &key.name);
        let mut seen = std::collections::BTreeSet::new();
        for (item, node) in &items {
            if !seen.insert(*item) {
                reader.error(node, format!("`{}` is listed twice in `{}`", short(item), key.name), "");
            }
        }
        each(&key.name, items);
    }
}

/// Reads a window.
pub fn window(reader: Reader<'_>, node: &Node<'_>) -> Option<Window> {
    let fields = reader.fields(node, WINDOW, "`window`")?;
    let name = fields.get(WindowKey::Timezone).and_then(|node| reader.text(node, "timezone").map(|text| (text, node)));
    let zone = name.and_then(|(name, node)| {
        time::zone(name).map_err(|error| reader.error(node, format!("`timezone`: {}", error.message), error.hint)).ok()
    })?;
    let moment = |key: WindowKey, what: &str| {
        let node = fields.get(key)?;
        let text = reader.text(node, what)?;
        time::local(text, &zone).map_err(|error| reader.error(node, format!("`{what}`: {}", error.message), error.hint)).ok()
    };
    let (opens, closes) = (moment(WindowKey::Opens, "opens"), moment(WindowKey::Closes, "closes"));
    let back_out_by = moment(WindowKey::BackOutBy, "back_out_by");
    let (opens, closes) = (opens?, closes?);
    if opens >= closes {
        reader.error(fields.get(WindowKey::Closes)?, "the window closes before it opens", "");
        return None;
    }
    if let (Some(deadline), Some(node)) = (back_out_by, fields.get(WindowKey::BackOutBy))
        && !(opens < deadline && deadline < closes)
    {
        reader.error(node, "`back_out_by` lies outside the window", "it must come after `opens` and before `closes`");
        return None;
    }
    Some(Window { timezone: name?.0.to_owned(), opens, closes, back_out_by })
}

/// The JSON of a node, with secret references in place of secrets.
fn plain(
    reader: Reader<'_>,
    node: &Node<'_>,
    folder: &Path,
    place: &mut String,
    depth: usize,
    secrets: &mut Vec<(String, SecretRef)>,
) -> Value {
    match &node.kind {
        Kind::List(items) => {
            Value::Array(items.iter().map(|item| plain(reader, item, folder, place, depth + 1, secrets)).collect())
        }
        Kind::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let length = place.len();
                place.push('.');
                place.push_str(&key.name);
                let logon = place.contains(".auth.") || place.contains(".bind.");
                let value = if secret_key(&key.name) && depth > 0 || (logon && reference_shape(value)) {
                    match secret_ref(reader, value, &key.name, folder) {
                        Some(reference) => {
                            let json = json!({ "$secret": reference });
                            secrets.push((place.clone(), reference));
                            json
                        }
                        None => Value::Null,
                    }
                } else if let (1, "ca", Some(file), false) =
                    (depth, key.name.as_ref(), value.text(), place.starts_with("servers."))
                {
                    // The one path of a target that is no secret; it too starts beside the targets file.
                    json!(folder.join(file))
                } else {
                    plain(reader, value, folder, place, depth + 1, secrets)
                };
                place.truncate(length);
                map.insert(key.name.clone().into_owned(), value);
            }
            Value::Object(map)
        }
        _ => scalar(node),
    }
}

/// The JSON of a scalar.
pub fn scalar(node: &Node<'_>) -> Value {
    match &node.kind {
        Kind::Bool(value) => Value::Bool(*value),
        Kind::Count(value) => Value::Number((*value).into()),
        Kind::Negative(value) => Value::Number((*value).into()),
        Kind::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
        Kind::Text(text) => Value::String(text.clone().into_owned()),
        Kind::Null | Kind::List(_) | Kind::Map(_) => Value::Null,
    }
}

/// Whether a node looks like a reference: a map with the one key `env`, `file`, `command` or `prompt`.
pub fn reference_shape(node: &Node<'_>) -> bool {
    matches!(node.map(), Some([(key, _)]) if matches!(key.name.as_ref(), "env" | "file" | "command" | "prompt"))
}

/// Reads a secret reference. A literal is refused, and its line is not shown.
pub fn secret_ref(reader: Reader<'_>, node: &Node<'_>, what: &str, folder: &Path) -> Option<SecretRef> {
    let place = Place { file: reader.file, spot: Spot::Secret(node.at) };
    let refuse = |message: String| {
        let hint = "write `{ env: NAME }`, `{ file: path }`, `{ command: [program, argument] }` or `{ prompt: \"question\" }`";
        reader.mistakes.error(place, message, hint);
        None
    };
    let Some(entries) = node.map() else {
        return refuse(format!("`{}` must be a reference to a secret, not the secret itself", short(what)));
    };
    let [(key, value)] = entries else {
        return refuse(format!("`{}` must be a reference with exactly one key", short(what)));
    };
    let text = || match value.text() {
        Some(text) if !text.trim().is_empty() => Some(text),
        Some(_) => {
            refuse(format!("`{}` of a secret is empty", short(&key.name)));
            None
        }
        None => {
            refuse(format!("`{}` of a secret must be a text, found {}", short(&key.name), value.what()));
            None
        }
    };
    match key.name.as_ref() {
        "env" => {
            let name = text()?;
            if name.contains(['=', '\0']) {
                return refuse("the name of an environment variable holds no `=`".to_owned());
            }
            Some(SecretRef::Env(name.to_owned()))
        }
        "file" => Some(SecretRef::File(folder.join(text()?))),
        "command" => {
            let Kind::List(items) = &value.kind else {
                return refuse("`command` of a secret must be a list: the program and its arguments".to_owned());
            };
            let argv: Vec<String> = items.iter().filter_map(|item| item.text().map(str::to_owned)).collect();
            if argv.len() != items.len() || argv.first().is_none_or(String::is_empty) {
                return refuse("`command` of a secret must be a list of texts: the program and its arguments".to_owned());
            }
            Some(SecretRef::Command(argv))
        }
        "prompt" => Some(SecretRef::Prompt(text()?.to_owned())),
        other => refuse(format!("`{}` is no source of secrets", short(other))),
    }
}
