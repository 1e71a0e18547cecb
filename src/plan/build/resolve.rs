//! Values: everything that params, targets and the item decide is resolved here, and every expression is checked.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use serde_json::Value;

use super::Env;
use super::checks::Use;
use crate::plan::expr::{self, ExprError, Piece, Reference, Scope};
use crate::plan::node::{Kind, Node};
use crate::plan::read::Reader;
use crate::plan::targets::scalar;
use crate::plan::{Expr, LimitIx, secret_key};
use crate::time::{Span, TimeError, Timestamp};

/// Reads one instance of a step. What it reads, the other files of this folder say, each for its part.
pub(super) struct Cx<'a> {
    pub(super) env: &'a Env<'a>,
    pub(super) reader: Reader<'a>,
    pub(super) item: Option<(&'a str, &'a Value)>,
    pub(super) step: u32,
    pub(super) uses: &'a RefCell<Vec<Use>>,
    /// Set when the value resolved last has to wait for outputs.
    pub(super) open: Cell<bool>,
    /// Set while conditions of `after` are read.
    pub(super) after: Cell<bool>,
    /// Values of parameters and targets that such values use.
    pub(super) bound: RefCell<Vec<(String, Value)>>,
    /// Limits of the targets named so far.
    pub(super) limits: RefCell<Vec<LimitIx>>,
}

/// What stands for a value that could not be had; the mistake is reported already.
pub(super) const NOTHING: Value = Value::Null;

impl<'a> Cx<'a> {
    pub(super) fn new(
        env: &'a Env<'a>,
        reader: Reader<'a>,
        item: Option<(&'a str, &'a Value)>,
        step: u32,
        uses: &'a RefCell<Vec<Use>>,
    ) -> Self {
        Cx {
            env,
            reader,
            item,
            step,
            uses,
            open: Cell::new(false),
            after: Cell::new(false),
            bound: RefCell::default(),
            limits: RefCell::default(),
        }
    }
}

impl Cx<'_> {
    fn scope(&self) -> Scope<'_> {
        Scope { params: self.env.params, targets: &self.env.targets.value, item: self.item, outputs: &|_| None, facts: None }
    }

    /// The value of a node with everything resolved that is known before the run. With `later`, outputs of other
    /// steps may be used, and what comes out is escaped, since it is looked at once more during the run.
    pub(super) fn resolve(&self, node: &Node<'_>, later: bool) -> Value {
        match &node.kind {
            Kind::Text(text) => {
                if text.contains("${{") {
                    self.resolve_text(text, node, later)
                } else {
                    if ["{{ params.", "{{params.", "{{ targets.", "{{targets.", "{{ steps.", "{{steps."]
                        .iter()
                        .any(|it| text.contains(it))
                    {
                        self.reader.warn(
                            node,
                            "`{{ … }}` is plain text here, and is passed on as it stands",
                            "an expression is `${{ … }}`",
                        );
                    }
                    Value::String(text.clone().into_owned())
                }
            }
            Kind::List(items) => Value::Array(items.iter().map(|item| self.resolve(item, later)).collect()),
            Kind::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| {
                    let resolved =
                        if secret_key(&key.name) { self.text_or_secret(value, &key.name) } else { self.resolve(value, later) };
                    (key.name.clone().into_owned(), resolved)
                });
                Value::Object(entries.collect())
            }
            _ => scalar(node),
        }
    }

    fn resolve_text(&self, text: &str, node: &Node<'_>, later: bool) -> Value {
        self.open.set(false);
        let pieces = match expr::split(text) {
            Ok(pieces) => pieces,
            Err(message) => {
                self.reader.error(node, message, "write `$${{` where the text itself is meant");
                return NOTHING;
            }
        };
        let mut sound = true;
        let bound = self.bound.borrow().len();
        for piece in &pieces {
            if let Piece::Expression(source) = piece {
                sound &= self.check(source, node, later, Some(&[]));
            }
        }
        if !sound {
            return NOTHING;
        }
        if self.open.get() {
            return Value::String(text.to_owned());
        }
        // What is resolved here enters the fingerprint as the value itself, if it is part of the meaning at all.
        self.bound.borrow_mut().truncate(bound);
        match expr::render_text(text, &self.scope()) {
            Ok(value) if later => expr::escape(value),
            Ok(value) => value,
            Err(error) => {
                self.failed(node, &error);
                NOTHING
            }
        }
    }

    /// Checks one expression: its syntax, its names and its references. Sets `open` if it uses outputs.
    fn check(&self, source: &str, node: &Node<'_>, later: bool, known: Option<&[&str]>) -> bool {
        let references = match expr::check(source, self.item.map(|(name, _)| name), known) {
            Ok(references) => references,
            Err(message) => {
                let hint = if message.contains("unknown name") {
                    "names are `params.…`, `targets.…`, `steps.<id>.outputs.…` and the name given by `for_each`"
                } else {
                    ""
                };
                self.reader.error(node, message, hint);
                return false;
            }
        };
        let mut sound = true;
        for reference in references {
            sound &= self.check_reference(reference, node, later);
        }
        sound
    }

    fn check_reference(&self, reference: Reference, node: &Node<'_>, later: bool) -> bool {
        if reference.step().is_some() {
            self.open.set(true);
            if !later {
                self.reader.error(
                    node,
                    format!("`{reference}` is not known before the run"),
                    "only params and targets may be used here",
                );
                return false;
            }
            let place = self.reader.at(node.at);
            self.uses.borrow_mut().push(Use { user: self.step, after: self.after.get(), place, reference });
            return true;
        }
        match reference.root.as_str() {
            "params" => {
                let name = reference.name(0).unwrap_or("");
                if !self.env.params.contains_key(name) {
                    self.reader.unknown(node, "parameter", name, self.env.params.keys().map(String::as_str));
                    return false;
                }
            }
            "targets" if self.no_targets(node) => return false,
            _ => {}
        }
        match expr::lookup(&reference, &self.scope()) {
            Ok(value) => {
                self.bound.borrow_mut().push((reference.to_string(), value));
                true
            }
            Err(error) => {
                let hint = match (reference.root.as_str(), reference.name(0), reference.name(1)) {
                    ("targets", Some(section), Some(name)) => self
                        .env
                        .targets
                        .value
                        .get(section)
                        .and_then(Value::as_object)
                        .map(|map| self.env.mistakes.did_you_mean(name, map.keys().map(String::as_str)))
                        .unwrap_or_default(),
                    _ => String::new(),
                };
                self.reader.error(node, error.to_string(), hint);
                false
            }
        }
    }

    fn failed(&self, node: &Node<'_>, error: &ExprError) {
        let message = error.to_string();
        let hint = if message.ends_with("found a text") { "write `| int` behind a text that holds a number" } else { "" };
        self.reader.error(node, message, hint);
    }

    /// A text that must be known before the run.
    pub(super) fn text_now(&self, node: &Node<'_>, what: &str) -> Option<String> {
        let text = self.reader.text(node, what)?;
        if !text.contains("${{") {
            return Some(text.to_owned());
        }
        match self.resolve(node, false) {
            Value::String(text) => Some(text),
            Value::Null => None,
            other => {
                self.reader.error(node, format!("`{what}` must be a text, found {} from the expression", json_kind(&other)), "");
                None
            }
        }
    }

    /// A text that is resolved when a person is asked.
    pub(super) fn template(&self, node: &Node<'_>, what: &str) -> Option<String> {
        self.reader.some_text(node, what)?;
        match self.resolve(node, true) {
            Value::String(text) => Some(text),
            Value::Null => None,
            other => {
                self.reader.error(node, format!("`{what}` must be a text, found {} from the expression", json_kind(&other)), "");
                None
            }
        }
    }

    /// A length of time, also by an expression over params and targets.
    pub(super) fn span(&self, node: &Node<'_>, what: &str) -> Option<Span> {
        if node.text().is_some_and(|text| text.contains("${{")) {
            let text = self.text_now(node, what)?;
            return text.parse().map_err(|error: TimeError| self.reader.error(node, error.message, error.hint)).ok();
        }
        self.reader.some_span(node, what)
    }

    pub(super) fn moment(&self, node: &Node<'_>) -> Option<Timestamp> {
        let text = self.text_now(node, "not_before")?;
        crate::time::instant(&text, self.env.zone.as_ref())
            .map_err(|error| self.reader.error(node, format!("`not_before`: {}", error.message), error.hint))
            .ok()
    }

    /// A bare expression that must be true or false.
    pub(super) fn truth(&self, node: &Node<'_>, what: &str, known: Option<&[&str]>) -> Option<Expr> {
        let text = match &node.kind {
            Kind::Bool(value) => return Some(Expr { source: Arc::from(if *value { "true" } else { "false" }) }),
            Kind::Text(_) => self.reader.some_text(node, what)?,
            _ => {
                let hint = "write for example `when: params.mode == 'fast'`".replace("when", what);
                self.reader.error(node, format!("`{what}` must be an expression, found {}", node.what()), hint);
                return None;
            }
        };
        let expr = expr::bare(text);
        self.open.set(false);
        if !self.check(&expr.source, node, true, known) {
            return None;
        }
        if known == Some(&[])
            && !self.open.get()
            && let Err(error) = expr::truth(&expr, &self.scope())
        {
            self.failed(node, &error);
            return None;
        }
        Some(expr)
    }
}

pub(super) fn json_kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean `{value}`"),
        Value::Number(value) => format!("the number `{value}`"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(map) if map.contains_key("$secret") => "a secret".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}
