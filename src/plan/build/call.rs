//! An action and its arguments, held against what the catalogue says of them.

use serde_json::{Map, Value, json};

use super::resolve::{Cx, NOTHING, json_kind};
use crate::plan::action::{ActionSpec, ArgSpec, ArgType};
use crate::plan::diagnostic::{Place, Spot, did_you_mean, short};
use crate::plan::expr;
use crate::plan::node::{Kind, Node};
use crate::plan::read::as_hint;
use crate::plan::targets::{reference_shape, secret_ref};
use crate::plan::{Call, secret_key};
use crate::time::Span;

impl Cx<'_> {
    /// An action and its arguments. `limits` says whether the targets that it names are occupied by the step.
    pub(super) fn call(&self, uses: &Node<'_>, with: Option<&Node<'_>>, limits: bool) -> Option<(Call, &ActionSpec)> {
        let name = self.reader.text(uses, "uses")?;
        let Some(spec) = self.env.catalogue.get(name) else {
            self.reader.unknown(uses, "action", name, self.env.catalogue.iter().map(|spec| spec.name).collect::<Vec<_>>());
            return None;
        };
        let mut arguments = Map::new();
        let entries = match with {
            None => &[],
            Some(node) => {
                let Some(entries) = node.map() else {
                    self.reader.error(node, format!("`with` must be a map, found {}", node.what()), "");
                    return None;
                };
                entries
            }
        };
        for (key, value) in entries {
            let Some(arg) = spec.args.iter().find(|arg| arg.name == key.name) else {
                let mut hint = did_you_mean(&key.name, spec.args.iter().map(|arg| arg.name));
                if hint.is_empty() {
                    let names: Vec<&str> = spec.args.iter().map(|arg| arg.name).collect();
                    hint = if names.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", names.join(", ")) };
                }
                let message = format!("the action `{name}` has no argument `{}`", short(&key.name));
                self.reader.mistakes.error(self.reader.at(key.at), message, hint);
                continue;
            };
            arguments.insert(arg.name.to_owned(), self.argument(arg, value, limits));
        }
        let place = with.map_or(uses, |node| if node.map().is_some_and(|entries| !entries.is_empty()) { node } else { uses });
        for arg in spec.args.iter().filter(|arg| arg.required && !arguments.contains_key(arg.name)) {
            self.reader.error(place, format!("the action `{name}` needs the argument `{}`", arg.name), as_hint(arg.doc));
        }
        for group in &spec.one_of {
            let given: Vec<&&str> = group.iter().filter(|name| arguments.contains_key(**name)).collect();
            if given.len() != 1 {
                let found = if given.is_empty() { "none of them is given" } else { "more than one is given" };
                let names = group.join("`, `");
                self.reader.error(place, format!("the action `{name}` takes exactly one of `{names}`: {found}"), "");
            }
            for name in given {
                let empty = match arguments.get(*name).unwrap_or(&Value::Null) {
                    Value::Array(items) => items.first().is_none_or(|first| first.as_str() == Some("")),
                    Value::String(text) => text.trim().is_empty(),
                    _ => false,
                };
                if empty {
                    self.reader.error(place, format!("`{name}` is empty"), "say what is to be run");
                }
            }
        }
        Some((Call { uses: name.to_owned(), with: Value::Object(arguments) }, spec))
    }

    fn argument(&self, arg: &ArgSpec, node: &Node<'_>, limits: bool) -> Value {
        let value = match arg.kind {
            ArgType::Probe => return self.probe_value(node, arg.name),
            ArgType::Text => self.text_or_secret(node, arg.name),
            ArgType::StringMap => match node.map() {
                Some(entries) if !reference_shape(node) || arg.name == "env" => {
                    let entries = entries.iter().map(|(key, value)| {
                        let resolved = self.text_or_secret(value, &key.name);
                        self.expect(ArgType::Text, &resolved, value, &key.name);
                        (key.name.clone().into_owned(), resolved)
                    });
                    return Value::Object(entries.collect());
                }
                _ => self.resolve(node, true),
            },
            _ => self.resolve(node, true),
        };
        self.expect(arg.kind, &value, node, arg.name);
        if limits
            && (matches!(arg.kind, ArgType::Host | ArgType::Directory)
                || matches!(arg.name, "host" | "directory" | "target" | "server"))
            && let Value::String(name) = &value
            && let Some(limit) = self.env.target_limits.get(name)
        {
            self.limits.borrow_mut().push(*limit);
        }
        value
    }

    pub(super) fn text_or_secret(&self, node: &Node<'_>, what: &str) -> Value {
        if reference_shape(node) {
            let folder = &self.env.library.get(self.reader.file).folder;
            return secret_ref(self.reader, node, what, folder).map_or(NOTHING, |reference| json!({ "$secret": reference }));
        }
        if secret_key(what)
            && let Some(text) = node.text()
            && !expr::is_open(text)
        {
            let place = Place { file: self.reader.file, spot: Spot::Secret(node.at) };
            let hint = "write `{ env: NAME }`, `{ file: path }`, `{ command: [program] }` or `{ prompt: \"question\" }`";
            self.reader.mistakes.warn(place, format!("`{}` looks like a secret, written into the plan", short(what)), hint);
        }
        self.resolve(node, true)
    }

    /// Says it if a value is not of its type. What waits for an output cannot be checked yet.
    fn expect(&self, kind: ArgType, value: &Value, node: &Node<'_>, what: &str) {
        let waits = |value: &Value| matches!(value, Value::String(text) if expr::is_open(text));
        if *value == NOTHING && node.kind != Kind::Null || waits(value) {
            return;
        }
        let secret = |value: &Value| value.get("$secret").is_some();
        // Where a text is wanted, a number or boolean that an expression gives is taken as its text.
        let scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
        let expression = |node: &Node<'_>| node.text().is_some_and(|text| text.contains("${{"));
        let given = expression(node);
        let is_text = |value: &Value| if given { scalar(value) } else { value.is_string() };
        let fits = match kind {
            ArgType::Any | ArgType::Probe => true,
            ArgType::String | ArgType::Host | ArgType::Directory | ArgType::Duration => is_text(value),
            ArgType::Text => is_text(value) || secret(value),
            ArgType::Integer => value.is_i64() || value.is_u64(),
            ArgType::Number => value.is_number(),
            ArgType::Boolean => value.is_boolean(),
            ArgType::StringList => value.is_array(),
            ArgType::StringMap => value.as_object().is_some_and(|map| {
                let nodes = if let Kind::Map(nodes) = &node.kind { nodes.as_slice() } else { &[] };
                map.iter().all(|(key, value)| {
                    let from = nodes.iter().find(|(at, _)| at.name == key.as_str()).map(|(_, node)| node);
                    is_text(value) || secret(value) || scalar(value) && from.is_some_and(expression)
                })
            }),
        };
        let is_written_text = node.text().is_some_and(|text| text.contains("${{"));
        if !fits {
            let found = if is_written_text { format!("{} from the expression", json_kind(value)) } else { node.what() };
            let hint = match (&node.kind, kind) {
                (Kind::Bool(_) | Kind::Count(_) | Kind::Negative(_) | Kind::Float(_), ArgType::String | ArgType::Text) => {
                    "put it in quotes, so that it stays as it is written".to_owned()
                }
                (Kind::Count(number), ArgType::Duration) => {
                    format!("write the unit: `{number}s` for seconds, `{number}m` for minutes")
                }
                (Kind::Text(text), ArgType::StringList) if !is_written_text => format!("write it as a list: `[{}]`", short(text)),
                _ if secret(value) => "a secret may only be given where the action takes one".to_owned(),
                _ => String::new(),
            };
            self.reader.error(node, format!("`{}` must be {}, found {found}", short(what), arg_kind(kind)), hint);
            return;
        }
        match (kind, value) {
            (ArgType::StringList, Value::Array(items)) => {
                let nodes: &[Node<'_>] = if let Kind::List(nodes) = &node.kind { nodes } else { &[] };
                for (at, item) in items.iter().enumerate() {
                    let from_expression = given || nodes.get(at).is_some_and(expression);
                    let text = if from_expression { scalar(item) } else { item.is_string() };
                    if !text && *item != NOTHING || (*item == NOTHING && nodes.get(at).is_none_or(|node| node.kind == Kind::Null))
                    {
                        let place = nodes.get(at).unwrap_or(node);
                        let hint = if place.text().is_some() {
                            "an expression here gives a text, a number or a boolean"
                        } else {
                            "put it in quotes, so that it stays as it is written"
                        };
                        self.reader.error(
                            place,
                            format!("an item of `{}` must be a text, found {}", short(what), json_kind(item)),
                            hint,
                        );
                    }
                }
            }
            (ArgType::Duration, Value::String(text)) => {
                if let Err(error) = text.parse::<Span>() {
                    self.reader.error(node, format!("`{what}`: {}", error.message), error.hint);
                }
            }
            (ArgType::Host, Value::String(name)) => self.target(node, "host", "hosts", name),
            (ArgType::Directory, Value::String(name)) => self.target(node, "directory", "directories", name),
            _ => {}
        }
    }

    /// Says it if a name is not that of a target of this kind.
    fn target(&self, node: &Node<'_>, kind: &str, section: &str, name: &str) {
        let names = &self.env.targets.names;
        if names.get(name).is_some_and(|other| other == section) || self.no_targets(node) {
            return;
        }
        let known = names.iter().filter(|(_, other)| *other == section).map(|(name, _)| name.as_str());
        self.reader.unknown(node, kind, name, known.collect::<Vec<_>>());
    }

    /// Whether the plan has no targets file. Said once, at the first place that needs one.
    pub(super) fn no_targets(&self, node: &Node<'_>) -> bool {
        let Some(path) = &self.env.missing_targets else { return self.env.targets.path.is_none() };
        if !self.env.said_missing.replace(true) {
            let message = format!("the plan needs targets, and there is no file `{}`", path.display());
            self.reader.error(node, message, "write it beside the plan, or name another with `--targets FILE`");
        }
        true
    }
}

fn arg_kind(kind: ArgType) -> &'static str {
    match kind {
        ArgType::Any => "a value",
        ArgType::String => "a text",
        ArgType::Text => "a text or a reference to a secret",
        ArgType::Integer => "a whole number",
        ArgType::Number => "a number",
        ArgType::Boolean => "`true` or `false`",
        ArgType::Duration => "a length of time",
        ArgType::StringList => "a list of texts",
        ArgType::StringMap => "a map from text to text",
        ArgType::Host => "the name of a host",
        ArgType::Directory => "the name of a directory",
        ArgType::Probe => "a look: `{ uses: …, with: … }`",
    }
}
