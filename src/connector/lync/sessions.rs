//! `lync.sessions.check`: whether nobody can be signed in to a pool any more.
//!
//! No cmdlet of Lync tells who is signed in to Persistent Chat; none is documented. What can be known for certain is that a
//! server whose services are all stopped serves nobody. So that is what is looked for; of a service that runs, the activity
//! that it reports is told, and the step fails.

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use super::cs::{self, Checked, shown, word};
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
pub struct SessionsCheck;

struct Args {
    computers: Vec<String>,
    /// The services that serve clients; empty: all of Lync.
    services: Vec<String>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let computers = args::list(call, "computers")?;
        if computers.is_empty() {
            return Err("`computers` is empty".to_owned());
        }
        let computers = computers.iter().map(|name| cs::parse_fqdn(name, "computers")).collect::<Result<_, _>>()?;
        Ok(Args { computers, services: args::list(call, "services")? })
    }
}

/// With what the services report of their activity.
fn listing(computer: &str) -> Command {
    Command::new("Get-CsWindowsService").parameter("ComputerName", computer)
}

/// What the lists of services, by computer, mean.
fn judge(wanted: &[String], lists: &[(String, Vec<Value>)]) -> Result<Checked, String> {
    let (mut running, mut unknown, mut stopped) = (Vec::new(), Vec::new(), 0);
    let mut activity = Map::new();
    for (computer, services) in lists {
        let mut found = 0;
        for service in services {
            let name = word(service, "Name").ok_or("a service of the answer has no usable `Name`")?;
            if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(&name)) {
                continue;
            }
            found += 1;
            let status =
                word(service, "Status").ok_or_else(|| format!("the service `{}` has no usable `Status`", shown(&name)))?;
            if status.eq_ignore_ascii_case("Stopped") {
                stopped += 1;
                continue;
            }
            let level = word(service, "ActivityLevel");
            let reports =
                level.as_deref().map_or("reports no activity".to_owned(), |level| format!("reports `{}`", shown(level)));
            running.push(format!("{} on `{computer}` is {} and {reports}", shown(&name), shown(&status)));
            activity.insert(format!("{computer}/{name}"), level.map_or(Json::Null, Json::String));
        }
        if found == 0 || (!wanted.is_empty() && found < wanted.len()) {
            unknown.push(format!("`{computer}` does not list the services that were asked for"));
        }
    }
    let holds = running.is_empty() && unknown.is_empty();
    let seen = if holds {
        format!("nobody can be signed in: all {stopped} services are stopped, on {} servers", lists.len())
    } else {
        unknown.extend(running);
        format!(
            "whether somebody is signed in cannot be told while services run, because no cmdlet tells it; stop them, or look in \
             the performance counters: {}",
            unknown.join("; ")
        )
    };
    Ok(Checked { holds, seen, outputs: Map::from_iter([("activity".to_owned(), json!(activity))]) })
}

async fn check(hosts: &Hosts, call: &Call) -> Result<Checked, NoAnswer> {
    let args = Args::read(call)?;
    let mut session = hosts.look(call).await?;
    let mut lists = Vec::new();
    for computer in &args.computers {
        match cs::read(&mut session, listing(computer)).await {
            Ok(services) => lists.push((computer.clone(), services)),
            Err(error) => {
                session.close().await;
                return Err(error);
            }
        }
    }
    session.close().await;
    Ok(judge(&args.services, &lists)?)
}

#[async_trait]
impl Action for SessionsCheck {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.sessions.check",
            doc: "fails unless nobody can be signed in: the services that serve clients are stopped on every server",
            args: vec![
                args::required("host", ArgType::Host, "the remote PowerShell of a Front End"),
                args::required("computers", ArgType::StringList, "the servers of the pool, fully qualified"),
                args::optional(
                    "services",
                    ArgType::StringList,
                    "short names of the services that serve clients; all of Lync if left out",
                ),
            ],
            one_of: Vec::new(),
            effect: Effect::Read,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: vec!["activity"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        match Args::read(call) {
            Err(message) => cs::wrong(message),
            Ok(_) => check(hosts, call).await.err().map(NoAnswer::finding).into_iter().collect(),
        }
    }

    async fn describe(&self, _hosts: &Hosts, call: &Call) -> Description {
        match Args::read(call) {
            Err(why) => cs::not_described(&why),
            Ok(args) => {
                cs::described(vec![format!("look whether the services are stopped on {}", args.computers.join(", "))], Map::new())
            }
        }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        cs::observe(check(hosts, call).await)
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match Args::read(call) {
            Err(why) => vec![format!("# {why}")],
            Ok(args) => args.computers.iter().map(|computer| by_hand::line(&listing(computer))).collect(),
        }
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

    fn service(name: &str, status: &str) -> Value {
        Value::custom([("Name", name), ("Status", status), ("ActivityLevel", "Concurrent Sessions: 12")])
    }

    fn holds(wanted: &[&str], services: Vec<Value>) -> bool {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        judge(&wanted, &[("pc01.contoso.com".to_owned(), services)]).is_ok_and(|checked| checked.holds)
    }

    #[test]
    fn only_stopped_services_prove_that_nobody_is_signed_in() {
        assert!(holds(&[], vec![service("RTCCHAT", "Stopped"), service("RTCPCC", "Stopped")]));
        assert!(holds(&["rtcchat"], vec![service("RTCCHAT", "Stopped"), service("REPLICA", "Running")]));
        assert!(!holds(&[], vec![service("RTCCHAT", "Stopped"), service("REPLICA", "Running")]));
        assert!(!holds(&[], vec![service("RTCCHAT", "StopPending")]));
        // What is not listed proves nothing.
        assert!(!holds(&[], Vec::new()));
        assert!(!holds(&["RTCCHAT", "RTCPCC"], vec![service("RTCCHAT", "Stopped")]));
        let checked = judge(&[], &[("pc01.contoso.com".to_owned(), vec![service("RTCCHAT", "Running")])]);
        assert!(checked.is_ok_and(|checked| checked.seen.contains("Concurrent Sessions: 12")));
    }
}
