//! A step's fingerprint: SHA-256 over the canonical JSON of everything that gives the step its meaning.
//!
//! Two plans that differ in comments, order of keys, names, owners, estimates or timeouts have equal fingerprints.
//! Secrets enter by reference. Where an expression has to wait for an output, its text enters, with the values of
//! the parameters and targets that it uses.

use std::io::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Call, Condition, Holds, Plan, Probe, Step, Window, Work};

/// The version of what actions mean. Raised when the same words begin to do something else.
const SEMANTICS: u32 = 1;

/// The hash of what a plan's text is bound to: targets and parameters as resolved. Lower-case hex.
#[must_use]
pub fn of_inputs(plan: &Plan) -> String {
    let mut prints = Fingerprints::default();
    prints.open(b'[');
    prints.comma();
    prints.map(&plan.targets.value);
    prints.comma();
    prints.map(&plan.params);
    prints.close(b']');
    super::hex(&Sha256::digest(&prints.text))
}

/// Writes fingerprints; its buffer is used again and again.
#[derive(Default)]
pub struct Fingerprints {
    text: Vec<u8>,
}

impl Fingerprints {
    /// The fingerprint of a step. `needs` are the written ids; `bound` the values that its open expressions use.
    pub fn of(&mut self, step: &Step, needs: &[std::borrow::Cow<'_, str>], bound: &[(String, Value)]) -> Arc<str> {
        self.text.clear();
        self.open(b'{');
        // The keys come in alphabetical order.
        self.key("after");
        self.conditions(&step.after);
        self.key("before");
        self.conditions(&step.before);
        if !bound.is_empty() {
            let mut bound: Vec<_> = bound.iter().collect();
            bound.sort_by(|one, other| one.0.cmp(&other.0));
            bound.dedup_by(|one, other| one.0 == other.0);
            self.key("bound");
            self.open(b'{');
            for (name, value) in bound {
                self.key(name);
                self.value(value);
            }
            self.close(b'}');
        }
        if let Some(in_doubt) = step.in_doubt {
            self.key("in_doubt");
            let _ = serde_json::to_writer(&mut self.text, &in_doubt);
        }
        if let Some((name, value)) = &step.item {
            self.key("item");
            self.value(value);
            self.key("item_name");
            self.string(name);
        }
        self.key("needs");
        let mut needs: Vec<&str> = needs.iter().map(AsRef::as_ref).collect();
        needs.sort_unstable();
        self.open(b'[');
        for id in needs {
            self.comma();
            self.string(id);
        }
        self.close(b']');
        if !step.outputs.is_empty() {
            self.key("outputs");
            self.open(b'{');
            let mut outputs: Vec<_> = step.outputs.iter().collect();
            outputs.sort_by(|one, other| one.name.cmp(&other.name));
            for output in outputs {
                self.key(&output.name);
                match &output.from {
                    None => self.text.extend_from_slice(b"null"),
                    Some(from) => {
                        let _ = serde_json::to_writer(&mut self.text, &(&from.from, &from.regex, &from.json, &from.kind));
                    }
                }
            }
            self.close(b'}');
        }
        if step.point_of_no_return {
            self.key("point_of_no_return");
            self.text.extend_from_slice(b"true");
        }
        self.key("semantics");
        let _ = write!(self.text, "{SEMANTICS}");
        if let Some(when) = &step.when {
            self.key("when");
            self.string(&when.source);
        }
        self.key("work");
        self.work(&step.work);
        self.close(b'}');
        Arc::from(super::hex(&Sha256::digest(&self.text)))
    }

    /// The hash of everything that a run is made of: see [`super::Plan::whole`]. `texts` are the plan and its fragments.
    pub fn whole<'t>(
        &mut self,
        texts: impl Iterator<Item = &'t str>,
        targets: &Map<String, Value>,
        params: &Map<String, Value>,
        window: Option<&Window>,
        steps: &[Step],
    ) -> String {
        // Each text by its own hash: where one ends and the next begins is part of what is hashed.
        self.text.clear();
        self.open(b'{');
        self.key("params");
        self.map(params);
        self.key("steps");
        let mut prints = Sha256::new();
        for step in steps {
            prints.update(step.id.as_str().as_bytes());
            prints.update(b"\0");
            prints.update(step.fingerprint.as_bytes());
            prints.update(b"\0");
        }
        self.string(&super::hex(&prints.finalize()));
        self.key("targets");
        self.map(targets);
        self.key("texts");
        self.open(b'[');
        for text in texts {
            self.comma();
            self.string(&super::hex(&Sha256::digest(text.as_bytes())));
        }
        self.close(b']');
        if let Some(window) = window {
            let Window { timezone, opens, closes, back_out_by } = window;
            let back_out_by = back_out_by.map(crate::time::Timestamp::as_millis);
            self.key("window");
            let _ = serde_json::to_writer(&mut self.text, &(timezone, opens.as_millis(), closes.as_millis(), back_out_by));
        }
        self.close(b'}');
        super::hex(&Sha256::digest(&self.text))
    }

    fn work(&mut self, work: &Work) {
        self.open(b'{');
        match work {
            Work::Action(action) => {
                self.key("call");
                self.call(&action.call);
                self.key("destructive");
                let _ = write!(self.text, "{}", action.destructive);
                self.key("effect");
                let _ = serde_json::to_writer(&mut self.text, &action.effect);
                if let Some(probe) = &action.probe {
                    self.key("probe");
                    self.probe(probe);
                }
                if let Some(undo) = &action.undo {
                    self.key("undo");
                    self.call(undo);
                }
            }
            Work::Gate(gate) => {
                self.key("gate");
                let expires = gate.expires.map(crate::time::Span::as_millis);
                let valid_for = gate.valid_for.map(crate::time::Span::as_millis);
                let whole = (&gate.ask, &gate.approvers, gate.quorum, gate.not_initiator, expires, valid_for);
                let _ = serde_json::to_writer(&mut self.text, &whole);
            }
            Work::Manual(manual) => {
                self.key("evidence");
                self.open(b'[');
                for field in &manual.evidence {
                    self.comma();
                    let _ = serde_json::to_writer(&mut self.text, &(&field.name, &field.ask, &field.kind, field.required));
                }
                self.close(b']');
                self.key("manual");
                let _ = serde_json::to_writer(&mut self.text, &(&manual.instructions, &manual.by));
                if let Some(probe) = &manual.probe {
                    self.key("probe");
                    self.probe(probe);
                }
            }
            Work::Checkpoint => {
                self.key("checkpoint");
                self.text.extend_from_slice(b"true");
            }
        }
        self.close(b'}');
    }

    fn conditions(&mut self, conditions: &[Condition]) {
        self.open(b'[');
        for condition in conditions {
            self.comma();
            match &condition.holds {
                Holds::Expr(expr) => self.string(&expr.source),
                Holds::Probe(probe) => self.probe(probe),
            }
        }
        self.close(b']');
    }

    fn probe(&mut self, probe: &Probe) {
        self.open(b'{');
        self.key("call");
        self.call(&probe.call);
        self.key("verdict");
        self.open(b'[');
        for (verdict, expr) in &probe.verdict {
            self.comma();
            let _ = serde_json::to_writer(&mut self.text, &(verdict, expr.source.as_ref()));
        }
        self.close(b']');
        self.close(b'}');
    }

    fn call(&mut self, call: &Call) {
        self.open(b'{');
        self.key("uses");
        self.string(&call.uses);
        self.key("with");
        self.value(&call.with);
        self.close(b'}');
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(map) => self.map(map),
            Value::Array(items) => {
                self.open(b'[');
                for item in items {
                    self.comma();
                    self.value(item);
                }
                self.close(b']');
            }
            scalar => {
                let _ = serde_json::to_writer(&mut self.text, scalar);
            }
        }
    }

    fn map(&mut self, map: &Map<String, Value>) {
        self.open(b'{');
        // serde_json sorts its keys unless some crate in the build asked it not to.
        let mut keys: Vec<&String> = map.keys().collect();
        keys.sort_unstable();
        for key in keys {
            self.key(key);
            self.value(&map[key]);
        }
        self.close(b'}');
    }

    fn string(&mut self, text: &str) {
        // Writing to a vector cannot fail, and a text is always JSON.
        let _ = serde_json::to_writer(&mut self.text, text);
    }

    fn open(&mut self, bracket: u8) {
        self.text.push(bracket);
    }

    fn close(&mut self, bracket: u8) {
        self.text.push(bracket);
    }

    fn comma(&mut self) {
        if !matches!(self.text.last(), Some(b'[' | b'{' | b':')) {
            self.text.push(b',');
        }
    }

    fn key(&mut self, key: &str) {
        self.comma();
        self.string(key);
        self.text.push(b':');
    }
}
