//! Faults on request: what a lab is for. They are kept on disk like the rest of the world, so that a lab that was
//! killed is as unkind after its restart as it was before.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// What a rule does to an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is done, and the connection closes before the answer.
    AnswerLost,
    /// It waits this long before it is done.
    Delay(Span),
    /// It is done at once, and its answer waits this long.
    AnswerLate(Span),
    /// It is refused with this result code, and nothing is done.
    Refuse(u32),
}

/// Which operations an effect is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What happens to them.
    pub effect: Effect,
    /// `delete`, `modify`, …; every operation but `bind` if none is named.
    pub operation: Option<String>,
    /// A DN or `<GUID=…>`; every object if none is named.
    pub dn: Option<String>,
    /// `dc1` or `dc2`; both if none is named.
    pub dc: Option<String>,
    /// How many operations are left; `None` until it is cleared.
    pub left: Option<u32>,
}

/// An operation that may meet a fault.
#[derive(Debug, Clone, Copy)]
pub struct Met<'a> {
    /// Its name.
    pub operation: &'a str,
    /// The names of its object: as the client wrote it, as a DN, as an identity.
    pub names: &'a [String],
    /// The domain controller.
    pub dc: &'a str,
}

/// All faults of a lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// In the order in which they were asked for.
    pub rules: Vec<Rule>,
    /// Domain controllers that take nothing from the others.
    pub held: BTreeSet<String>,
    /// Domain controllers that do not answer.
    pub stopped: BTreeSet<String>,
    /// How long a change takes to the other domain controllers.
    pub replication_delay: Span,
}

impl Default for Faults {
    fn default() -> Self {
        Faults { rules: Vec::new(), held: BTreeSet::new(), stopped: BTreeSet::new(), replication_delay: Span::from_millis(50) }
    }
}

impl Faults {
    /// What happens to this operation; rules for a number of operations are used up by it.
    pub fn meet(&mut self, met: Met<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for rule in &mut self.rules {
            let operation =
                rule.operation.as_deref().map_or(met.operation != "bind", |name| name.eq_ignore_ascii_case(met.operation));
            let object = rule.dn.as_deref().is_none_or(|dn| met.names.iter().any(|name| same_name(name, dn)));
            let place = rule.dc.as_deref().is_none_or(|dc| dc == met.dc);
            if operation && object && place && rule.left != Some(0) {
                rule.left = rule.left.map(|left| left - 1);
                effects.push(rule.effect.clone());
            }
        }
        self.rules.retain(|rule| rule.left != Some(0));
        effects
    }
}

fn same_name(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace(", ", ",").to_lowercase();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_meets_what_it_names_as_often_as_it_says_and_nothing_else() {
        let rule = Rule {
            effect: Effect::AnswerLost,
            operation: Some("delete".to_owned()),
            dn: Some("CN=a, DC=b".to_owned()),
            dc: Some("dc1".to_owned()),
            left: Some(1),
        };
        let mut faults = Faults { rules: vec![rule], ..Faults::default() };
        let names = ["cn=A,dc=b".to_owned()];
        let met = Met { operation: "delete", names: &names, dc: "dc1" };
        assert_eq!(faults.meet(Met { operation: "modify", ..met }), []);
        assert_eq!(faults.meet(Met { dc: "dc2", ..met }), []);
        assert_eq!(faults.meet(Met { names: &[], ..met }), []);
        assert_eq!(faults.meet(met), [Effect::AnswerLost]);
        assert_eq!(faults.meet(met), []);
    }
}
