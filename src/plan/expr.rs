//! Expressions: `${{ … }}` in texts, and bare ones in `when`, `verdict` and conditions.
//!
//! References (`params.x`, `targets.a.b[0]`, `steps.<id>.outputs.<name>`, the `for_each` name) are found and resolved
//! here, because ids may hold `-`, which the expression engine would read as a minus. What remains, with the
//! references replaced by plain variables, is evaluated by minijinja: strict about unknown names, with limited fuel,
//! and without anything that could make a small expression large.
//!
//! A value is resolved once. What comes out of an expression is data and never looked at for further expressions;
//! where data has to stand in a text that is still to be resolved, [`escape`] keeps it data.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use minijinja::value::{Serde, Value as Jinja, ValueKind};
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value};

use super::Expr;

/// The longest expression, in bytes.
const LONGEST: usize = 8 * 1024;

/// The largest text or list that an expression may make.
const LARGEST: usize = 4 * 1024 * 1024;

/// What an expression may refer to.
pub struct Scope<'a> {
    /// `params.x`.
    pub params: &'a Map<String, Value>,
    /// `targets.…`.
    pub targets: &'a Map<String, Value>,
    /// The `for_each` name and its value.
    pub item: Option<(&'a str, &'a Value)>,
    /// `steps.<id>.outputs`: the outputs of the step with that written id (a map by item for a `for_each`), if known.
    pub outputs: &'a dyn Fn(&str) -> Option<Value>,
    /// Names that stand by themselves, such as `exit` and `stdout` in a verdict.
    pub facts: Option<&'a Map<String, Value>>,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExprError {
    /// It refers to an output that is not known (yet, or ever).
    #[error("`{0}` has no value yet")]
    NoValue(String),
    /// It went wrong.
    #[error("{0}")]
    Failed(String),
}

/// One reference of an expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The first word: `params`, `targets`, `steps` or the `for_each` name.
    pub root: String,
    /// What follows it. For `steps` the first is the written id and the second `outputs`.
    pub path: Vec<Segment>,
}

/// One step down in a reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// `.name` or `['name']`.
    Name(String),
    /// `[0]`.
    Index(usize),
}

impl Reference {
    /// The written id of the step whose output it is.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        match (self.root.as_str(), self.path.first()) {
            ("steps", Some(Segment::Name(id))) => Some(id),
            _ => None,
        }
    }

    /// The name at a position of the path.
    #[must_use]
    pub fn name(&self, at: usize) -> Option<&str> {
        match self.path.get(at) {
            Some(Segment::Name(name)) => Some(name),
            _ => None,
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.root)?;
        for segment in &self.path {
            match segment {
                Segment::Index(at) => write!(f, "[{at}]")?,
                Segment::Name(name) if name.bytes().all(is_name) => write!(f, ".{name}")?,
                Segment::Name(name) => write!(f, "['{name}']")?,
            }
        }
        Ok(())
    }
}

/// The value of an expression.
///
/// # Errors
/// See [`ExprError`].
pub fn eval(expr: &Expr, scope: &Scope<'_>) -> Result<Value, ExprError> {
    evaluate(&expr.source, scope)
}

/// Whether an expression is true. Anything but `true` or `false` is an error.
///
/// # Errors
/// See [`ExprError`].
pub fn truth(expr: &Expr, scope: &Scope<'_>) -> Result<bool, ExprError> {
    match eval(expr, scope)? {
        Value::Bool(value) => Ok(value),
        other => Err(ExprError::Failed(format!("`{}` is {}, not true or false", expr.source, kind(&other)))),
    }
}

/// A value with every `${{ … }}` in its texts replaced. A text that is wholly one expression keeps its type.
///
/// # Errors
/// See [`ExprError`].
pub fn render(value: &Value, scope: &Scope<'_>) -> Result<Value, ExprError> {
    match value {
        Value::String(text) => render_text(text, scope),
        Value::Array(items) => items.iter().map(|item| render(item, scope)).collect::<Result<Vec<_>, _>>().map(Value::Array),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| Ok((key.clone(), render(value, scope)?)));
            entries.collect::<Result<Map<_, _>, ExprError>>().map(Value::Object)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

/// A text with its expressions replaced; see [`render`].
///
/// # Errors
/// See [`ExprError`].
pub fn render_text(text: &str, scope: &Scope<'_>) -> Result<Value, ExprError> {
    if !text.contains("${{") {
        return Ok(Value::String(text.to_owned()));
    }
    let pieces = split(text).map_err(ExprError::Failed)?;
    if let [Piece::Expression(source)] = pieces.as_slice() {
        return evaluate(source, scope);
    }
    let mut whole = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(part) => whole.push_str(&part),
            Piece::Expression(source) => match evaluate(source, scope)? {
                Value::String(part) => whole.push_str(&part),
                value @ (Value::Number(_) | Value::Bool(_)) => whole.push_str(&value.to_string()),
                value if holds_secret(&value) => {
                    let message = format!("`{}` is a secret: it may only be a whole value, not part of a text", source.trim());
                    return Err(ExprError::Failed(message));
                }
                value => {
                    let message = format!("`{}` is {}, which cannot stand in a text", source.trim(), kind(&value));
                    return Err(ExprError::Failed(message));
                }
            },
        }
        if whole.len() > LARGEST {
            return Err(ExprError::Failed("the text becomes too large".to_owned()));
        }
    }
    Ok(Value::String(whole))
}

/// The written ids of the steps whose outputs a value uses.
#[must_use]
pub fn steps_used(value: &Value) -> BTreeSet<String> {
    refs_in(value).iter().filter_map(Reference::step).map(str::to_owned).collect()
}

/// The written ids of the steps whose outputs an expression uses.
#[must_use]
pub fn steps_used_by(expr: &Expr) -> BTreeSet<String> {
    refs(expr).iter().filter_map(Reference::step).map(str::to_owned).collect()
}

/// The references of an expression. The `for_each` name is not among them, since any name might be it.
#[must_use]
pub fn refs(expr: &Expr) -> Vec<Reference> {
    scan(&expr.source, None).map(|scanned| scanned.references).unwrap_or_default()
}

/// The references in all texts of a value; see [`refs`].
#[must_use]
pub fn refs_in(value: &Value) -> Vec<Reference> {
    let mut found = Vec::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<Reference>) {
    match value {
        Value::String(text) => {
            if text.contains("${{") {
                for piece in split(text).unwrap_or_default() {
                    if let Piece::Expression(source) = piece {
                        found.extend(scan(source, None).map(|scanned| scanned.references).unwrap_or_default());
                    }
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => map.values().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a text still holds an expression.
#[must_use]
pub fn is_open(text: &str) -> bool {
    text.contains("${{") && split(text).is_ok_and(|pieces| pieces.iter().any(|piece| matches!(piece, Piece::Expression(_))))
}

/// Data as it must be written in a text that is still to be resolved: `${{` becomes `$${{`.
#[must_use]
pub fn escape(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains("${{") => Value::String(text.replace("${{", "$${{")),
        Value::Array(items) => Value::Array(items.into_iter().map(escape).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, escape(value))).collect()),
        other => other,
    }
}

/// Whether a value is, or holds, a secret reference.
#[must_use]
pub fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key("$secret") || map.values().any(holds_secret),
        Value::Array(items) => items.iter().any(holds_secret),
        _ => false,
    }
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Text as it is; `$${{` has become `${{`.
    Text(Cow<'t, str>),
    /// What stands between `${{` and `}}`.
    Expression(&'t str),
}

/// Splits a text at its expressions. Quotes and braces within an expression are respected.
pub(super) fn split(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut plain = String::new();
    while let Some(at) = rest.find("${{") {
        if rest[..at].ends_with('$') {
            plain.push_str(&rest[..at - 1]);
            plain.push_str("${{");
            rest = &rest[at + 3..];
            continue;
        }
        plain.push_str(&rest[..at]);
        if !plain.is_empty() {
            pieces.push(Piece::Text(Cow::Owned(std::mem::take(&mut plain))));
        }
        let inner = &rest[at + 3..];
        let length = closing(inner).ok_or("`${{` is never closed with `}}`")?;
        pieces.push(Piece::Expression(&inner[..length]));
        rest = &inner[length + 2..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(Cow::Owned(plain)));
    }
    Ok(pieces)
}

/// Where the `}}` stands that closes an expression.
fn closing(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    while at < bytes.len() {
        match bytes[at] {
            b'\'' | b'"' => at = string_end(bytes, at)?,
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The index of the quote that ends the string which begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' => end += 1,
            byte if byte == bytes[at] => return Some(end),
            _ => {}
        }
        end += 1;
    }
    None
}

/// An expression with its references taken out.
pub(super) struct Scanned<'s> {
    /// In the order of the variables `__0`, `__1`, … that stand for them.
    pub references: Vec<Reference>,
    /// The source with variables in place of references.
    source: Cow<'s, str>,
    /// Whether the whole expression is one reference.
    single: bool,
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Finds the references of an expression. `item` is the `for_each` name, if there is one.
pub(super) fn scan<'s>(source: &'s str, item: Option<&str>) -> Result<Scanned<'s>, String> {
    if source.len() > LONGEST {
        return Err(format!("the expression is longer than {LONGEST} bytes"));
    }
    let trimmed = source.trim();
    if trimmed.is_empty() {
        return Err("the expression is empty".to_owned());
    }
    let bytes = trimmed.as_bytes();
    let mut references = Vec::new();
    let mut rewrite = Rewrite { source: trimmed, copied: 0, text: String::new(), factors: vec![Factor::None] };
    let mut at = 0;
    // Whether an identifier here would be an attribute, a filter or a test of what stands before it.
    let mut attribute = false;
    while at < bytes.len() {
        let byte = bytes[at];
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
            continue;
        }
        rewrite.token(at);
        match byte {
            b'\'' | b'"' => {
                at = string_end(bytes, at).ok_or("a quote is never closed")? + 1;
                attribute = false;
            }
            b'0'..=b'9' => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_' || bytes[at] == b'.') {
                    at += 1;
                }
                attribute = false;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let start = at;
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                    at += 1;
                }
                let word = &trimmed[start..at];
                if word.starts_with("__") {
                    return Err(format!("the name `{word}` is reserved"));
                }
                let root = matches!(word, "params" | "targets" | "steps") || item == Some(word);
                let keyword = bytes.get(at) == Some(&b'=') && bytes.get(at + 1) != Some(&b'=');
                if root && !attribute && !keyword {
                    let (path, end) = path(trimmed, at)?;
                    let reference = Reference { root: word.to_owned(), path };
                    check_shape(&reference)?;
                    let number = references.iter().position(|other| *other == reference).unwrap_or_else(|| {
                        references.push(reference);
                        references.len() - 1
                    });
                    rewrite.put(start, end, &format!("__{number}"));
                    at = end;
                }
                attribute = false;
            }
            b'*' if bytes.get(at + 1) == Some(&b'*') => return Err("`**` is not part of plan expressions".to_owned()),
            _ => {
                attribute = matches!(byte, b'.' | b'|');
                at += 1;
            }
        }
    }
    let single = references.len() == 1 && rewrite.copied == bytes.len() && rewrite.text == "__0";
    Ok(Scanned { references, source: rewrite.finish(), single })
}

/// The name of the filter that lets nothing pass but numbers. Nobody can write it: such names are reserved.
const NUMBER: &str = "__number";

/// The source of an expression as the engine gets it: references are variables, and what is multiplied goes through
/// [`NUMBER`]. The engine itself would repeat texts and lists, and `2 * '512'` must not become `512512`.
struct Rewrite<'s> {
    source: &'s str,
    /// How far the source is copied.
    copied: usize,
    text: String,
    /// For every open bracket, and for the whole: whether a factor stands here whose end is still to be found.
    factors: Vec<Factor>,
}

/// What follows a `*`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Factor {
    None,
    Awaited,
    Begun,
}

impl<'s> Rewrite<'s> {
    /// Puts a text in place of a part of the source.
    fn put(&mut self, from: usize, to: usize, text: &str) {
        self.text.push_str(&self.source[self.copied..from]);
        self.text.push_str(text);
        self.copied = to;
    }

    fn number(&mut self, at: usize) {
        self.put(at, at, "|");
        self.text.push_str(NUMBER);
        self.text.push(' ');
    }

    /// Meets the token that begins at `at`, and sees to what stands before it.
    fn token(&mut self, at: usize) {
        // As bytes: `at` may stand within a character.
        let rest = &self.source.as_bytes()[at..];
        let byte = rest[0];
        let word = &rest[..rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_').unwrap_or(rest.len())];
        let now = self.factors.last().copied().unwrap_or(Factor::None);
        if byte == b'*' {
            // What stands before it is a factor, whether or not there is a `*` before that one too.
            self.number(at);
            self.set(Factor::Awaited);
        } else if now == Factor::Awaited && byte != b'-' {
            self.set(Factor::Begun);
        } else if now == Factor::Begun
            && (matches!(byte, b'+' | b'-' | b'/' | b'%' | b'~' | b'<' | b'>' | b'=' | b'!' | b',' | b':' | b')' | b']' | b'}')
                || matches!(word, b"and" | b"or" | b"not" | b"if" | b"else" | b"in" | b"is"))
        {
            self.number(at);
            self.set(Factor::None);
        }
        match byte {
            b'(' | b'[' | b'{' => self.factors.push(Factor::None),
            b')' | b']' | b'}' => {
                self.factors.pop();
            }
            _ => {}
        }
    }

    fn set(&mut self, factor: Factor) {
        if let Some(now) = self.factors.last_mut() {
            *now = factor;
        }
    }

    fn finish(mut self) -> Cow<'s, str> {
        if self.factors.last() == Some(&Factor::Begun) {
            self.number(self.source.len());
        }
        if self.text.is_empty() {
            return Cow::Borrowed(self.source);
        }
        self.text.push_str(&self.source[self.copied..]);
        Cow::Owned(self.text)
    }
}

/// Reads `.name`, `['name']` and `[0]` as far as they go. Anything else in brackets is left to the engine.
fn path(source: &str, from: usize) -> Result<(Vec<Segment>, usize), String> {
    let bytes = source.as_bytes();
    let mut path = Vec::new();
    let mut at = from;
    loop {
        match bytes.get(at) {
            Some(b'.') => {
                let start = at + 1;
                let mut end = start;
                // A `-` belongs to the name if a name goes on right after it.
                while end < bytes.len()
                    && (bytes[end].is_ascii_alphanumeric()
                        || bytes[end] == b'_'
                        || (bytes[end] == b'-'
                            && end > start
                            && bytes
                                .get(end + 1)
                                .is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_' || *next == b'-')))
                {
                    end += 1;
                }
                if end == start {
                    return Err(format!("a name is missing after `{}`", &source[..=at]));
                }
                path.push(Segment::Name(source[start..end].to_owned()));
                at = end;
            }
            Some(b'[') => {
                let Some(close) = source[at..].find(']').map(|more| at + more) else {
                    return Err("`[` is never closed".to_owned());
                };
                let inner = source[at + 1..close].trim();
                let quoted = inner.len() >= 2
                    && (inner.starts_with('\'') || inner.starts_with('"'))
                    && inner.as_bytes()[0] == inner.as_bytes()[inner.len() - 1]
                    && !inner[1..inner.len() - 1].contains(['\'', '"', '\\']);
                if quoted {
                    path.push(Segment::Name(inner[1..inner.len() - 1].to_owned()));
                } else if !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit()) {
                    path.push(Segment::Index(inner.parse().map_err(|_| format!("`[{inner}]` is too large"))?));
                } else {
                    return Ok((path, at));
                }
                at = close + 1;
            }
            _ => return Ok((path, at)),
        }
    }
}

fn check_shape(reference: &Reference) -> Result<(), String> {
    match reference.root.as_str() {
        "params" if reference.name(0).is_none() => Err("`params` needs a name, as in `params.pool`".to_owned()),
        "steps" if reference.name(0).is_none() || reference.name(1) != Some("outputs") => {
            Err(format!("`{reference}` is not an output: write `steps.<id>.outputs.<name>`"))
        }
        _ => Ok(()),
    }
}

fn evaluate(source: &str, scope: &Scope<'_>) -> Result<Value, ExprError> {
    let scanned = scan(source, scope.item.map(|(name, _)| name)).map_err(ExprError::Failed)?;
    if scanned.single {
        return lookup(&scanned.references[0], scope);
    }
    let mut context: BTreeMap<String, Jinja> = BTreeMap::new();
    for (number, reference) in scanned.references.iter().enumerate() {
        let value = lookup(reference, scope)?;
        if holds_secret(&value) {
            let message = format!("`{reference}` is a secret: it may only be a whole value, not part of an expression");
            return Err(ExprError::Failed(message));
        }
        context.insert(format!("__{number}"), Jinja::from(Serde(value)));
    }
    for (name, value) in scope.facts.into_iter().flatten() {
        context.insert(name.clone(), Jinja::from(Serde(value)));
    }
    let context = Jinja::from(context);
    let failed = |error: minijinja::Error| ExprError::Failed(explain(source, &error));
    let expression = engine().compile_expression_owned(scanned.source.into_owned()).map_err(failed)?;
    let value = expression.eval(context).map_err(failed)?;
    if value.is_undefined() {
        return Err(ExprError::Failed(format!("`{}` has no value", source.trim())));
    }
    let value = serde_json::to_value(&value).map_err(|_| {
        ExprError::Failed(format!("the value of `{}` is neither text, number, boolean, list nor map", source.trim()))
    })?;
    Ok(value)
}

/// Checks an expression without values: the syntax, and that no names stand in it but references and `known`.
/// Returns its references.
pub(super) fn check(source: &str, item: Option<&str>, known: Option<&[&str]>) -> Result<Vec<Reference>, String> {
    let scanned = scan(source, item)?;
    if scanned.single {
        return Ok(scanned.references);
    }
    let expression = engine().compile_expression_owned(scanned.source.into_owned()).map_err(|error| explain(source, &error))?;
    if let Some(known) = known {
        let mut names: Vec<String> = expression
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !name.starts_with("__") && !known.contains(&name.as_str()))
            .collect();
        names.sort();
        if let Some(name) = names.first() {
            return Err(format!("the expression uses an unknown name `{name}`"));
        }
    }
    Ok(scanned.references)
}

/// The value of one reference.
pub(super) fn lookup(reference: &Reference, scope: &Scope<'_>) -> Result<Value, ExprError> {
    let missing = || ExprError::Failed(format!("`{reference}` does not exist"));
    let root;
    let (mut value, path) = match reference.root.as_str() {
        "params" => {
            let name = reference.name(0).ok_or_else(missing)?;
            (scope.params.get(name).ok_or_else(missing)?, &reference.path[1..])
        }
        "targets" => {
            let Some(name) = reference.name(0) else { return Ok(Value::Object(scope.targets.clone())) };
            (scope.targets.get(name).ok_or_else(missing)?, &reference.path[1..])
        }
        "steps" => {
            let id = reference.step().ok_or_else(missing)?;
            root = (scope.outputs)(id).ok_or_else(|| ExprError::NoValue(reference.to_string()))?;
            (&root, &reference.path[2..])
        }
        _ => (scope.item.map(|(_, value)| value).ok_or_else(missing)?, &reference.path[..]),
    };
    for segment in path {
        let next = match (segment, value) {
            (Segment::Name(name), Value::Object(map)) => map.get(name),
            (Segment::Index(at), Value::Array(items)) => items.get(*at),
            // A map by item may have items that are numbers.
            (Segment::Index(at), Value::Object(map)) => map.get(&at.to_string()),
            _ => None,
        };
        value = match next {
            Some(next) => next,
            None if reference.root == "steps" => return Err(ExprError::NoValue(reference.to_string())),
            None => return Err(missing()),
        };
    }
    Ok(value.clone())
}

/// The engine's message without its own coordinates, which would speak of replaced names.
fn explain(source: &str, error: &minijinja::Error) -> String {
    use minijinja::ErrorKind;

    let source = super::diagnostic::short(source.trim());
    let detail = error.detail().unwrap_or("").replace("__", "reference ");
    match error.kind() {
        ErrorKind::SyntaxError => format!("`{source}` is not an expression: {detail}"),
        ErrorKind::UndefinedError => format!("`{source}` uses a name or field that does not exist"),
        ErrorKind::OutOfFuel => format!("`{source}` takes too long to evaluate"),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction => format!("`{source}`: {detail}"),
        kind if detail.is_empty() => format!("`{source}` cannot be evaluated: {kind}"),
        _ => format!("`{source}` cannot be evaluated: {detail}"),
    }
}

/// A value's kind, for a message that must not print the value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Wraps the text of a bare expression. `${{ … }}` around the whole is accepted and dropped.
pub(super) fn bare(text: &str) -> Expr {
    let source = match split(text).as_deref() {
        Ok([Piece::Expression(inner)]) => inner.trim(),
        _ => text.trim(),
    };
    Expr { source: Arc::from(source) }
}

/// Filters that can turn little into much, know of HTML, or depend on the engine's own state.
const WITHOUT: [&str; 20] = [
    "safe",
    "escape",
    "e",
    "format",
    "indent",
    "pprint",
    "tojson",
    "urlencode",
    "chain",
    "zip",
    "batch",
    "slice",
    "groupby",
    "center",
    "wordwrap",
    "xmlattr",
    "attr",
    "dictsort",
    "title",
    "filesizeformat",
];

fn engine() -> &'static Environment<'static> {
    static ENGINE: OnceLock<Environment<'static>> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_fuel(Some(50_000));
        for name in WITHOUT {
            engine.remove_filter(name);
        }
        for name in ["range", "dict", "debug", "namespace"] {
            engine.remove_global(name);
        }
        engine.add_filter("replace", replace);
        engine.add_filter("join", join);
        engine.add_filter(NUMBER, number);
        engine
    })
}

fn too_large() -> minijinja::Error {
    minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "the text becomes too large")
}

#[expect(clippy::needless_pass_by_value, reason = "the engine hands its arguments over by value")]
fn replace(text: Cow<'_, str>, from: Cow<'_, str>, to: Cow<'_, str>) -> Result<String, minijinja::Error> {
    if from.is_empty() {
        return Ok(text.into_owned());
    }
    let size = text.matches(from.as_ref()).count().saturating_mul(to.len()).saturating_add(text.len());
    if size > LARGEST { Err(too_large()) } else { Ok(text.replace(from.as_ref(), &to)) }
}

fn number(value: Jinja) -> Result<Jinja, minijinja::Error> {
    if value.is_number() {
        return Ok(value);
    }
    let found = match value.kind() {
        ValueKind::String => "a text",
        ValueKind::Bool => "a boolean",
        ValueKind::Map => "a map",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        _ => "nothing",
    };
    Err(minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, format!("`*` multiplies numbers only, found {found}")))
}

fn join(list: &Jinja, between: Option<Cow<'_, str>>) -> Result<String, minijinja::Error> {
    let between = between.unwrap_or_default();
    let mut joined = String::new();
    for (at, item) in list.try_iter()?.enumerate() {
        if at > 0 {
            joined.push_str(&between);
        }
        joined.push_str(&item.to_string());
        if joined.len() > LARGEST {
            return Err(too_large());
        }
    }
    Ok(joined)
}
