//! `lync.user_database.update`: makes the user database of a pool read Active Directory anew, so that its servers know of a
//! deleted user or a new contact now, and not when the replicator comes round.
//!
//! Twice is once, but nothing that lasts shows that it was done: the end of the replication is an event in a log of the Front
//! End (source *LS User Replicator*, 30024). So it has no probe of its own, and a plan may give it one.

use async_trait::async_trait;
use serde_json::Map;

use super::cs;
use crate::connector::args;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::plan::ActionSpec;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Finding, Observation};
use crate::run::event::Outcome;

/// The action.
#[derive(Debug)]
pub struct UpdateUserDatabase;

fn command(call: &Call) -> Result<Command, String> {
    let command = Command::new("Update-CsUserDatabase");
    Ok(match args::text(call, "pool")? {
        None => command,
        Some(pool) => command.parameter("Fqdn", cs::parse_fqdn(&pool, "pool")?),
    })
}

#[async_trait]
impl Action for UpdateUserDatabase {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.user_database.update",
            doc: "makes the user database of a pool read Active Directory anew",
            args: vec![
                args::required("host", ArgType::Host, "the remote PowerShell of a Front End"),
                args::optional("pool", ArgType::String, "the pool, fully qualified; that of the Front End if left out"),
            ],
            one_of: Vec::new(),
            effect: Effect::Ensure,
            // Nothing lasting shows that it was done; an author may know of something.
            generic: true,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: Vec::new(),
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        match command(call) {
            Ok(_) => cs::offered(hosts, call, &["Get-CsUser", "Update-CsUserDatabase"]).await,
            Err(message) => cs::wrong(message),
        }
    }

    async fn describe(&self, _hosts: &Hosts, call: &Call) -> Description {
        match command(call) {
            Err(why) => cs::not_described(&why),
            Ok(command) => {
                let pool =
                    command.get("Fqdn").map_or("the Front End's own pool".to_owned(), |pool| format!("`{}`", pool.to_text()));
                let lines = vec![
                    format!("make the user database of {pool} read Active Directory anew"),
                    "  after:  nothing tells that it was done; it takes a few minutes, and may load a large directory".to_owned(),
                ];
                cs::described(lines, Map::new())
            }
        }
    }

    async fn probe(&self, _hosts: &Hosts, _call: &Call) -> Observation {
        Observation::unknown("no cmdlet tells when the user database was read anew; event 30024 on the Front End does")
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match command(call) {
            Err(why) => vec![format!("# {why}")],
            Ok(command) => vec![
                by_hand::line(&command),
                "# it is through when the log `Lync Server` of the Front End has event 30024 of `LS User Replicator`".to_owned(),
            ],
        }
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        let command = match command(call) {
            Ok(command) => command,
            Err(why) => return cs::rejected(why),
        };
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = match session.run(command).await {
            Ok(answer) => answer.outcome(false, Map::new()),
            Err(lost) => lost.outcome(),
        };
        session.close().await;
        outcome
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        // What it reads is what the directory says; there is nothing to take back.
        Outcome::Applied { outputs: Map::new() }
    }
}
