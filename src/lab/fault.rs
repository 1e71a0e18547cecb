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
    /// The connection closes, and it is never done. On hosts only.
    RequestLost,
    /// It is done, and the connection closes in the middle of the answer. On hosts only.
    AnswerCut,
    /// It is done, and the answer is none of the protocol. On hosts only.
    AnswerGarbled,
    /// It waits this long before it is done.
    Delay(Span),
    /// It is done at once, and its answer waits this long.
    AnswerLate(Span),
    /// It is refused with this result code, and nothing is done. On hosts, by an error record that ends the pipeline.
    Refuse(u32),
}

impl Effect {
    /// Whether the directory knows it too.
    fn is_for_directory(&self) -> bool {
        !matches!(self, Effect::RequestLost | Effect::AnswerCut | Effect::AnswerGarbled)
    }
}

/// Calls of WS-Management that a rule may name as an operation of one host.
pub const CALLS: [&str; 7] = ["Create", "Command", "Send", "Receive", "Signal", "Delete", "Enumerate"];

/// Which operations an effect is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What happens to them.
    pub effect: Effect,
    /// `delete`, `modify`, …; every operation but `bind` if none is named. On hosts a cmdlet, every one if none is named,
    /// or one of [`CALLS`].
    pub operation: Option<String>,
    /// A DN or `<GUID=…>`; every object if none is named.
    pub dn: Option<String>,
    /// `dc1` or `dc2`; both if none is named.
    pub dc: Option<String>,
    /// A Windows host; then the rule is not for the directory.
    #[serde(default)]
    pub host: Option<String>,
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
    /// Domain controllers and hosts that do not answer.
    pub stopped: BTreeSet<String>,
    /// Hosts that log nobody on over TLS without a channel binding.
    #[serde(default)]
    pub demanding: BTreeSet<String>,
    /// How long a change takes to the other domain controllers.
    pub replication_delay: Span,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            rules: Vec::new(),
            held: BTreeSet::new(),
            stopped: BTreeSet::new(),
            demanding: BTreeSet::new(),
            replication_delay: Span::from_millis(50),
        }
    }
}

impl Faults {
    /// What happens to this operation; rules for a number of operations are used up by it.
    pub fn meet(&mut self, met: Met<'_>) -> Vec<Effect> {
        self.use_up(|rule| {
            let operation =
                rule.operation.as_deref().map_or(met.operation != "bind", |name| name.eq_ignore_ascii_case(met.operation));
            let object = rule.dn.as_deref().is_none_or(|dn| met.names.iter().any(|name| same_name(name, dn)));
            let place = rule.dc.as_deref().is_none_or(|dc| dc == met.dc) && rule.host.is_none();
            operation && object && place && rule.effect.is_for_directory()
        })
    }

    /// What happens to this cmdlet on this host. A rule must name the host, or the cmdlet.
    pub fn meet_cmdlet(&mut self, host: &str, cmdlet: &str) -> Vec<Effect> {
        self.use_up(|rule| {
            let operation = rule.operation.as_deref();
            let is_named = operation.map_or(rule.host.is_some(), |name| name.eq_ignore_ascii_case(cmdlet));
            is_named && rule.host.as_deref().is_none_or(|name| name == host) && rule.dc.is_none() && rule.dn.is_none()
        })
    }

    /// What happens to this call of WS-Management on this host. A rule must name both.
    pub fn meet_call(&mut self, host: &str, call: &str) -> Vec<Effect> {
        self.use_up(|rule| {
            rule.host.as_deref() == Some(host) && rule.operation.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(call))
        })
    }

    fn use_up(&mut self, is_met: impl Fn(&Rule) -> bool) -> Vec<Effect> {
        let mut effects = Vec::new();
        for rule in self.rules.iter_mut().filter(|rule| rule.left != Some(0)) {
            if is_met(rule) {
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
            host: None,
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

    #[test]
    fn a_rule_for_a_host_meets_neither_the_directory_nor_another_host() {
        let rule = |host: Option<&str>, operation: Option<&str>, effect: Effect| Rule {
            effect,
            operation: operation.map(str::to_owned),
            dn: None,
            dc: None,
            host: host.map(str::to_owned),
            left: None,
        };
        let all = vec![
            rule(Some("gc01"), None, Effect::AnswerLost),
            rule(None, Some("Stop-Service"), Effect::AnswerCut),
            rule(Some("gc01"), Some("Delete"), Effect::RequestLost),
            rule(None, None, Effect::Refuse(50)),
        ];
        let mut faults = Faults { rules: all, ..Faults::default() };
        assert_eq!(faults.meet(Met { operation: "delete", names: &[], dc: "dc1" }), [Effect::Refuse(50)]);
        assert_eq!(faults.meet_cmdlet("gc01", "stop-service"), [Effect::AnswerLost, Effect::AnswerCut]);
        assert_eq!(faults.meet_cmdlet("gc02", "Stop-Service"), [Effect::AnswerCut]);
        assert_eq!(faults.meet_cmdlet("gc02", "Get-Service"), []);
        assert_eq!(faults.meet_call("gc01", "Delete"), [Effect::RequestLost]);
        assert_eq!(faults.meet_call("gc02", "Delete"), []);
    }
}
