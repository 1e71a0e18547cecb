//! `lync.policy.check`: whether anybody is allowed to use Persistent Chat at all. By default nobody is.

use async_trait::async_trait;
use serde_json::{Map, json};

use super::cs::{self, Checked, shown};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::plan::ActionSpec;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Finding, Observation};
use crate::run::event::Outcome;

/// The action.
#[derive(Debug)]
pub struct PolicyCheck;

fn listing() -> Command {
    Command::new("Get-CsPersistentChatPolicy")
}

/// What the policies mean.
fn judge(policies: &[Value]) -> Result<Checked, String> {
    let mut enabled = Vec::new();
    let mut disabled = Vec::new();
    for policy in policies {
        let identity = cs::word(policy, "Identity").ok_or("a policy of the answer has no usable `Identity`")?;
        let is_on = policy.get("EnablePersistentChat").and_then(Value::as_bool);
        let is_on = is_on.ok_or_else(|| format!("the policy `{}` has no usable `EnablePersistentChat`", shown(&identity)))?;
        if is_on { enabled.push(identity) } else { disabled.push(identity) }
    }
    let global = enabled.iter().any(|name| name.eq_ignore_ascii_case("Global"));
    let sites = enabled.iter().filter(|name| name.to_ascii_lowercase().starts_with("site:")).count();
    let list = |names: &[String]| names.iter().map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ");
    let seen = match (enabled.is_empty(), global) {
        (true, _) if disabled.is_empty() => "there is no Persistent Chat policy at all, so that nobody may use it".to_owned(),
        (true, _) => format!(
            "nobody may use Persistent Chat: it is off in every policy ({}); users would be refused on Monday. Set \
             EnablePersistentChat in a policy",
            list(&disabled)
        ),
        (false, true) => {
            format!("everybody may use Persistent Chat, but for whom another policy says no: on in {}", list(&enabled))
        }
        (false, false) if sites > 0 => format!("on in {}; off for everybody else", list(&enabled)),
        (false, false) => format!("on in {} only, which are granted user by user: make sure that they were", list(&enabled)),
    };
    let mut outputs = Map::new();
    outputs.insert("enabled".to_owned(), json!(enabled));
    outputs.insert("disabled".to_owned(), json!(disabled));
    outputs.insert("global".to_owned(), json!(global));
    Ok(Checked { holds: !enabled.is_empty(), seen, outputs })
}

async fn check(hosts: &Hosts, call: &Call) -> Result<Checked, NoAnswer> {
    let mut session = hosts.look(call).await?;
    let policies = cs::read(&mut session, listing()).await;
    session.close().await;
    Ok(judge(&policies?)?)
}

#[async_trait]
impl Action for PolicyCheck {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.policy.check",
            doc: "fails if no policy lets anybody use Persistent Chat",
            args: vec![args::required("host", ArgType::Host, "the remote PowerShell of a Front End")],
            one_of: Vec::new(),
            effect: Effect::Read,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: vec!["enabled", "disabled", "global"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        check(hosts, call).await.err().map(NoAnswer::finding).into_iter().collect()
    }

    async fn describe(&self, _hosts: &Hosts, _call: &Call) -> Description {
        cs::described(vec!["look which policies let users use Persistent Chat".to_owned()], Map::new())
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        cs::observe(check(hosts, call).await)
    }

    fn by_hand(&self, _hosts: &Hosts, _call: &Call) -> Vec<String> {
        vec![
            by_hand::line(&listing()),
            "# if it is off everywhere, and everybody is to have it:".to_owned(),
            by_hand::line(
                &Command::new("Set-CsPersistentChatPolicy")
                    .parameter("Identity", "Global")
                    .parameter("EnablePersistentChat", true),
            ),
        ]
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        cs::conclude(check(hosts, call).await)
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(all: &[(&str, bool)]) -> Result<Checked, String> {
        let objects: Vec<Value> = all
            .iter()
            .map(|(identity, on)| Value::custom([("Identity", Value::from(*identity)), ("EnablePersistentChat", (*on).into())]))
            .collect();
        judge(&objects)
    }

    #[test]
    fn off_everywhere_fails_and_on_anywhere_does_not() {
        let holds = |all: &[(&str, bool)]| policies(all).map(|checked| checked.holds);
        assert_eq!(holds(&[("Global", false), ("Site:Madrid", false)]), Ok(false));
        assert_eq!(holds(&[]), Ok(false));
        assert_eq!(holds(&[("Global", true)]), Ok(true));
        assert_eq!(holds(&[("Global", false), ("Tag:Chatters", true)]), Ok(true));
        let seen = policies(&[("Global", false), ("Tag:Chatters", true)]).map(|checked| checked.seen).unwrap_or_default();
        assert!(seen.contains("granted user by user"), "{seen}");
    }

    #[test]
    fn a_policy_that_does_not_say_is_no_answer() {
        assert!(judge(&[Value::custom([("Identity", "Global")])]).is_err());
    }
}
