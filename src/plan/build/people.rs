//! Steps that people do: gates and manual steps.

use std::collections::BTreeSet;

use super::outputs::output_type;
use super::resolve::Cx;
use crate::plan::action::ArgType;
use crate::plan::diagnostic::short;
use crate::plan::keys::{EVIDENCE, EvidenceKey, GATE, GateKey, MANUAL, ManualKey};
use crate::plan::node::Node;
use crate::plan::read::is_word;
use crate::plan::{Field, Gate, Manual};

impl Cx<'_> {
    /// Roles that must exist. Returns their names and how many different accounts they have together.
    fn roles(&self, node: Option<&Node<'_>>, what: &str) -> (Vec<String>, Option<usize>) {
        let Some(node) = node else { return (Vec::new(), None) };
        let roles = &self.env.targets.roles;
        let mut accounts = BTreeSet::new();
        let mut names = Vec::new();
        let mut known = true;
        for (name, node) in self.reader.texts(node, what) {
            if let Some(members) = roles.get(name) {
                accounts.extend(members);
            } else {
                known = false;
                if !self.no_targets(node) {
                    self.reader.unknown(node, "role", name, roles.keys().map(String::as_str));
                }
            }
            names.push(name.to_owned());
        }
        let count = (known && !names.is_empty()).then_some(accounts.len());
        (names, count)
    }

    pub(super) fn gate(&self, node: &Node<'_>) -> Option<Gate> {
        let fields = self.reader.fields(node, GATE, "`gate`")?;
        let (approvers, accounts) = self.roles(fields.get(GateKey::Approvers), "approvers");
        let quorum = fields.get(GateKey::Quorum).and_then(|node| self.reader.count(node, "quorum", 100)).unwrap_or(1);
        if let Some(accounts) = accounts
            && accounts < quorum as usize
        {
            let node = fields.get(GateKey::Quorum).or(fields.get(GateKey::Approvers))?;
            let people = if accounts == 1 { "1 account".to_owned() } else { format!("{accounts} accounts") };
            let message = format!("the quorum is {quorum}, and the approvers have {people} in the targets file");
            self.reader.error(node, message, "add accounts to the roles, or lower the quorum");
        }
        Some(Gate {
            ask: fields.get(GateKey::Ask).and_then(|node| self.template(node, "ask"))?,
            approvers,
            quorum,
            not_initiator: fields
                .get(GateKey::NotInitiator)
                .and_then(|node| self.reader.bool(node, "not_initiator"))
                .unwrap_or(false),
            expires: fields.get(GateKey::Expires).and_then(|node| self.reader.some_span(node, "expires")),
            valid_for: fields.get(GateKey::ValidFor).and_then(|node| self.reader.some_span(node, "valid_for")),
        })
    }

    pub(super) fn manual(&self, node: &Node<'_>) -> Option<Manual> {
        let fields = self.reader.fields(node, MANUAL, "`manual`")?;
        let mut evidence = Vec::new();
        if let Some(node) = fields.get(ManualKey::Evidence) {
            match node.map() {
                None => {
                    let hint = "write `evidence: { ticket: { type: string } }`";
                    self.reader.error(node, format!("`evidence` must be a map, found {}", node.what()), hint);
                }
                Some(entries) => {
                    for (key, value) in entries {
                        if !is_word(&key.name) {
                            let hint = "a name is a letter, then letters, digits, `_` and `-`";
                            let message = format!("`{}` cannot be the name of evidence", short(&key.name));
                            self.reader.mistakes.error(self.reader.at(key.at), message, hint);
                            continue;
                        }
                        let what = format!("the evidence `{}`", key.name);
                        let Some(fields) = self.reader.fields(value, EVIDENCE, &what) else { continue };
                        evidence.push(Field {
                            name: key.name.clone().into_owned(),
                            ask: fields.get(EvidenceKey::Ask).and_then(|node| self.reader.text(node, "ask")).map(str::to_owned),
                            kind: fields
                                .get(EvidenceKey::Type)
                                .and_then(|node| output_type(self.reader, node))
                                .unwrap_or(ArgType::String),
                            required: fields
                                .get(EvidenceKey::Required)
                                .and_then(|node| self.reader.bool(node, "required"))
                                .unwrap_or(true),
                        });
                    }
                }
            }
        }
        let (by, _) = self.roles(fields.get(ManualKey::By), "by");
        let probe = fields.get(ManualKey::Probe).and_then(|node| self.probe(node, "`probe`"));
        let instructions = fields.get(ManualKey::Instructions).and_then(|node| self.template(node, "instructions"))?;
        Some(Manual { instructions, evidence, probe, by })
    }
}
