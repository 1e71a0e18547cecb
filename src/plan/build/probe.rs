//! Looking: probes with their verdicts, and the conditions of `before` and `after`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::resolve::{Cx, NOTHING};
use crate::plan::action::{ActionSpec, ArgType};
use crate::plan::keys::{CONDITION, ConditionKey, PROBE, ProbeKey, VERDICT};
use crate::plan::node::Node;
use crate::plan::{Condition, Expr, Holds, Probe, Verdict};

impl Cx<'_> {
    fn verdict(&self, node: Option<&Node<'_>>, uses: &str) -> Vec<(Verdict, Expr)> {
        let Some(node) = node else {
            if uses != "command" {
                return Vec::new();
            }
            let expr = |source: &str| Expr { source: Arc::from(source) };
            return vec![(Verdict::Done, expr("exit == 0")), (Verdict::NotDone, expr("exit == 1"))];
        };
        if self.reader.fields(node, VERDICT, "`verdict`").is_none() {
            return Vec::new();
        }
        // A command tells no more than this; what a cmdlet or query tells, only its answer shows.
        let known: Option<&[&str]> = if uses == "command" { Some(&["exit", "stdout", "stderr"]) } else { None };
        let entries = node.map().unwrap_or_default().iter().filter_map(|(key, value)| {
            let verdict = match key.name.as_ref() {
                "done" => Verdict::Done,
                "not_done" => Verdict::NotDone,
                "partial" => Verdict::Partial,
                "conflict" => Verdict::Conflict,
                _ => return None,
            };
            Some((verdict, self.truth(value, &key.name, known)?))
        });
        entries.collect()
    }

    pub(super) fn probe(&self, node: &Node<'_>, what: &str) -> Option<Probe> {
        let fields = self.reader.fields(node, PROBE, what)?;
        let (call, spec) = self.call(fields.get(ProbeKey::Uses)?, fields.get(ProbeKey::With), false)?;
        self.must_read(fields.get(ProbeKey::Uses)?, spec);
        let verdict = self.verdict(fields.get(ProbeKey::Verdict), &call.uses);
        Some(Probe { call, verdict })
    }

    /// A look must be able to look: an action that only waits or asks has no answer.
    fn must_read(&self, node: &Node<'_>, spec: &ActionSpec) {
        if spec.args.iter().any(|arg| arg.kind == ArgType::Probe) {
            self.reader.error(node, format!("`{}` cannot be used to look", spec.name), "use the action that it would ask");
        }
    }

    /// A probe as an argument.
    pub(super) fn probe_value(&self, node: &Node<'_>, what: &str) -> Value {
        let Some(probe) = self.probe(node, &format!("`{what}`")) else { return NOTHING };
        let mut map = Map::new();
        map.insert("uses".to_owned(), Value::String(probe.call.uses));
        map.insert("with".to_owned(), probe.call.with);
        let verdict = probe.verdict.into_iter().map(|(verdict, expr)| {
            let word = match verdict {
                Verdict::Done => "done",
                Verdict::NotDone => "not_done",
                Verdict::Partial => "partial",
                Verdict::Conflict => "conflict",
                Verdict::Unknown => "unknown",
            };
            (word.to_owned(), Value::String(expr.source.to_string()))
        });
        let verdict: Map<String, Value> = verdict.collect();
        if !verdict.is_empty() {
            map.insert("verdict".to_owned(), Value::Object(verdict));
        }
        Value::Object(map)
    }

    pub(super) fn conditions(&self, node: Option<&Node<'_>>, what: &str) -> Vec<Condition> {
        let Some(node) = node else { return Vec::new() };
        let items = self.reader.list(node, what).unwrap_or_default();
        items.iter().filter_map(|item| self.condition(item)).collect()
    }

    fn condition(&self, node: &Node<'_>) -> Option<Condition> {
        if node.text().is_some() {
            self.reader.error(node, "a condition must be a map", "write `- that: \"…\"` or `- { uses: …, with: … }`");
            return None;
        }
        let fields = self.reader.fields(node, CONDITION, "the condition")?;
        let name = fields.get(ConditionKey::Name).and_then(|node| self.text_now(node, "name"));
        match (fields.get(ConditionKey::That), fields.get(ConditionKey::Uses)) {
            (Some(that), None) => {
                for key in [ConditionKey::With, ConditionKey::Verdict] {
                    if let Some(at) = fields.key_at(key) {
                        self.reader.mistakes.error(self.reader.at(at), "this belongs to a condition with `uses`", "");
                    }
                }
                let expr = self.truth(that, "that", Some(&[]))?;
                Some(Condition { name: name.unwrap_or_else(|| expr.source.to_string()), holds: Holds::Expr(expr) })
            }
            (None, Some(uses)) => {
                let (call, spec) = self.call(uses, fields.get(ConditionKey::With), false)?;
                self.must_read(uses, spec);
                let verdict = self.verdict(fields.get(ConditionKey::Verdict), &call.uses);
                let name = name.unwrap_or_else(|| call.uses.clone());
                Some(Condition { name, holds: Holds::Probe(Probe { call, verdict }) })
            }
            _ => {
                self.reader.error(node, "a condition has exactly one of `that` and `uses`", "");
                None
            }
        }
    }
}
