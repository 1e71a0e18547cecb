//! Parameters: their types, their values, and what the command line gives.

use serde_json::{Value, json};

use super::diagnostic::short;
use super::keys::{PARAM, ParamKey};
use super::node::{Kind, Node};
use super::read::{Reader, is_word};
use super::targets::secret_ref;

/// A parameter's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A length of time.
    Duration,
    /// A path.
    Path,
    /// A full domain name.
    Fqdn,
    /// A SIP address.
    SipUri,
    /// A reference to a secret.
    Secret,
}

/// The words for types, as written in a plan.
pub const TYPES: [(&str, Scalar); 9] = [
    ("string", Scalar::String),
    ("integer", Scalar::Integer),
    ("number", Scalar::Number),
    ("boolean", Scalar::Boolean),
    ("duration", Scalar::Duration),
    ("path", Scalar::Path),
    ("fqdn", Scalar::Fqdn),
    ("sip_uri", Scalar::SipUri),
    ("secret", Scalar::Secret),
];

/// A declared parameter.
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type.
    pub scalar: Scalar,
    /// Whether it is a list of that type.
    pub list: bool,
    /// The number of its key.
    pub at: u32,
    /// Whether a value must be given.
    pub required: bool,
    /// The only values allowed.
    pub choices: Vec<Value>,
    /// The value if none is given.
    pub default: Option<Value>,
}

/// Reads `params`.
pub fn declared(reader: Reader<'_>, node: &Node<'_>, folder: &std::path::Path) -> Vec<Param> {
    let Some(entries) = node.map() else {
        reader.error(node, format!("`params` must be a map, found {}", node.what()), "write `name: { type: string }`");
        return Vec::new();
    };
    let mut params = Vec::new();
    for (key, value) in entries {
        if !is_word(&key.name) {
            let hint = "a name is a letter, then letters, digits, `_` and `-`";
            reader.mistakes.error(reader.at(key.at), format!("`{}` cannot be a parameter's name", short(&key.name)), hint);
            continue;
        }
        if value.text().is_some() {
            let hint = format!("write `{}: {{ type: {} }}`", key.name, short(value.text().unwrap_or("string")));
            reader.error(value, format!("the parameter `{}` must be a map", key.name), hint);
            continue;
        }
        let Some(fields) = reader.fields(value, PARAM, &format!("the parameter `{}`", key.name)) else { continue };
        let Some((scalar, list)) = fields.get(ParamKey::Type).and_then(|node| kind(reader, node)) else { continue };
        let mut param = Param {
            name: key.name.clone().into_owned(),
            scalar,
            list,
            at: key.at,
            required: true,
            choices: Vec::new(),
            default: None,
        };
        if let Some(node) = fields.get(ParamKey::Description) {
            reader.text(node, "description");
        }
        for choice in fields.get(ParamKey::Choices).and_then(|node| reader.list(node, "choices")).unwrap_or_default() {
            param.choices.extend(one(reader, choice, scalar, &param.name, folder));
        }
        if let Some(node) = fields.get(ParamKey::Default) {
            param.default = check(reader, node, &param, folder);
            param.required = false;
        }
        if let Some(required) = fields.get(ParamKey::Required).and_then(|node| reader.bool(node, "required")) {
            param.required = required;
        }
        params.push(param);
    }
    params
}

fn kind(reader: Reader<'_>, node: &Node<'_>) -> Option<(Scalar, bool)> {
    let (node, list) = match &node.kind {
        Kind::List(items) if items.len() == 1 => (&items[0], true),
        _ => (node, false),
    };
    if !matches!(node.kind, Kind::Text(_)) {
        reader.error(
            node,
            format!("`type` must be a word or a list of one word, found {}", node.what()),
            "write `string` or `[string]`",
        );
        return None;
    }
    let words: Vec<&str> = TYPES.iter().map(|(word, _)| *word).collect();
    let word = reader.word(node, "type", &words)?;
    TYPES.iter().find(|(other, _)| *other == word).map(|(_, scalar)| (*scalar, list))
}

/// Checks a value against its parameter, and brings it into its canonical form.
pub fn check(reader: Reader<'_>, node: &Node<'_>, param: &Param, folder: &std::path::Path) -> Option<Value> {
    let value = if param.list {
        let Kind::List(items) = &node.kind else {
            let hint = node.text().map_or(String::new(), |text| format!("write `[{}]`", short(text)));
            reader.error(node, format!("`{}` must be a list, found {}", param.name, node.what()), hint);
            return None;
        };
        let values: Vec<Value> = items.iter().filter_map(|item| one(reader, item, param.scalar, &param.name, folder)).collect();
        if values.len() != items.len() {
            return None;
        }
        Value::Array(values)
    } else {
        one(reader, node, param.scalar, &param.name, folder)?
    };
    let allowed = |value: &Value| param.choices.is_empty() || param.choices.contains(value);
    let fits = match &value {
        Value::Array(items) if param.list => items.iter().all(allowed),
        value => allowed(value),
    };
    if !fits {
        let choices: Vec<String> = param.choices.iter().map(ToString::to_string).collect();
        reader.error(
            node,
            format!("`{}` has a value that is not among its choices", param.name),
            format!("it is one of {}", choices.join(", ")),
        );
        return None;
    }
    Some(value)
}

fn one(reader: Reader<'_>, node: &Node<'_>, scalar: Scalar, name: &str, folder: &std::path::Path) -> Option<Value> {
    let refuse = |message: String, hint: &str| {
        reader.error(node, format!("`{name}`: {message}"), hint);
        None
    };
    match scalar {
        Scalar::String => reader.text(node, name).map(|text| json!(text)),
        Scalar::Integer => match node.kind {
            Kind::Count(value) => Some(json!(value)),
            Kind::Negative(value) => Some(json!(value)),
            _ => refuse(format!("a whole number is wanted, found {}", node.what()), ""),
        },
        Scalar::Number => match node.kind {
            Kind::Count(value) => Some(json!(value)),
            Kind::Negative(value) => Some(json!(value)),
            Kind::Float(value) => Some(json!(value)),
            _ => refuse(format!("a number is wanted, found {}", node.what()), ""),
        },
        Scalar::Boolean => reader.bool(node, name).map(Value::Bool),
        Scalar::Duration => reader.span(node, name).and(node.text()).map(|text| json!(text)),
        Scalar::Path => reader.some_text(node, name).map(|text| json!(text)),
        Scalar::Fqdn => {
            let text = reader.text(node, name)?;
            match fqdn(text) {
                Some(canonical) => Some(json!(canonical)),
                None => refuse(format!("`{}` is not a full domain name", short(text)), "write for example `pool.contoso.com`"),
            }
        }
        Scalar::SipUri => {
            let text = reader.text(node, name)?;
            match sip_uri(text) {
                Some(canonical) => Some(json!(canonical)),
                None => refuse(format!("`{}` is not a SIP address", short(text)), "write for example `sip:ocschat@contoso.com`"),
            }
        }
        Scalar::Secret => secret_ref(reader, node, name, folder).map(|reference| json!({ "$secret": reference })),
    }
}

/// A host name of at least two labels, in lower case and without a final dot.
fn fqdn(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (text.len() <= 253 && text.contains('.') && text.split('.').all(label)).then(|| text.to_ascii_lowercase())
}

/// `sip:user@domain`, in lower case.
fn sip_uri(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let address = lower.strip_prefix("sip:").unwrap_or(&lower);
    let (user, domain) = address.split_once('@')?;
    let user_fits =
        !user.is_empty() && user.len() <= 64 && user.chars().all(|c| c.is_ascii_alphanumeric() || "._-+&=$,;?/~'!()".contains(c));
    (user_fits && fqdn(domain).is_some()).then(|| format!("sip:{user}@{domain}"))
}

/// Whether a value of the command line is taken as it stands rather than read as YAML: `--param version=1.10`.
pub fn takes_raw_text(param: &Param) -> bool {
    !param.list && matches!(param.scalar, Scalar::String | Scalar::Path | Scalar::Fqdn | Scalar::SipUri | Scalar::Duration)
}

/// A value of the right type that nobody would mistake for a real one.
pub fn placeholder(param: &Param) -> Value {
    let one = match param.scalar {
        Scalar::String | Scalar::Path => json!(format!("<{}>", param.name)),
        Scalar::Integer | Scalar::Number => json!(1),
        Scalar::Boolean => json!(false),
        Scalar::Duration => json!("1s"),
        Scalar::Fqdn => json!(format!("{}.example.invalid", param.name.replace('_', "-").to_ascii_lowercase())),
        Scalar::SipUri => json!(format!("sip:{}@example.invalid", param.name.to_ascii_lowercase())),
        Scalar::Secret => json!({ "$secret": { "env": format!("PLACEHOLDER_{}", param.name.to_ascii_uppercase()) } }),
    };
    let one = param.choices.first().cloned().unwrap_or(one);
    if param.list { Value::Array(vec![one]) } else { one }
}
