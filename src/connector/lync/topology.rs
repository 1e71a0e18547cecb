//! `lync.topology.enable`: lets what was published take effect: entries of removed servers and applications disappear from the
//! directory.
//!
//! Enabling the same topology twice is enabling it once. But nothing tells afterwards which one is in effect, and what it
//! removes does not come back by itself: so in doubt a person decides, and what was published is kept before.

use async_trait::async_trait;
use serde_json::{Map, json};

use super::cs;
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::plan::ActionSpec;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Level, Observation};
use crate::run::event::{EvidenceRef, Outcome};

/// The action.
#[derive(Debug)]
pub struct EnableTopology;

fn command() -> Command {
    Command::new("Enable-CsTopology").parameter("Confirm", false)
}

fn published() -> Command {
    Command::new("Get-CsTopology").switch("AsXml")
}

/// The published topology as text.
async fn read(hosts: &Hosts, call: &Call) -> Result<String, NoAnswer> {
    let mut session = hosts.look(call).await?;
    let objects = cs::read(&mut session, published()).await;
    session.close().await;
    let text: String = objects?.iter().map(Value::to_text).collect();
    if text.trim().is_empty() {
        return Err(NoAnswer::from("the published topology came back empty".to_owned()));
    }
    Ok(text)
}

#[async_trait]
impl Action for EnableTopology {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.topology.enable",
            doc: "lets the published topology take effect",
            args: vec![args::required("host", ArgType::Host, "the remote PowerShell of a Front End")],
            one_of: Vec::new(),
            effect: Effect::Ensure,
            // Nothing tells which topology is in effect; an author may know of something.
            generic: true,
            destructive: true,
            undo: UndoGrade::None,
            keeps: true,
            discovers: false,
            outputs: Vec::new(),
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        let mut found: Vec<Finding> = read(hosts, call).await.err().map(NoAnswer::finding).into_iter().collect();
        found.extend(cs::offered(hosts, call, &["Get-CsTopology", "Enable-CsTopology"]).await);
        let account = "it needs a domain administrator who is in RTCUniversalServerAdmins, unless setup was delegated";
        found.push(cs::finding(Level::Warning, account));
        found
    }

    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description {
        match read(hosts, call).await {
            Err(error) => cs::not_described(&error.reason),
            Ok(text) => cs::described(
                vec![
                    format!("enable the published topology ({} bytes of XML)", text.len()),
                    "  before: what is in effect is not told by any cmdlet".to_owned(),
                    "  after:  everything that is not in the published topology is gone from the directory; look at the endpoints \
                     of the new pool then"
                        .to_owned(),
                ],
                Map::new(),
            ),
        }
    }

    async fn probe(&self, _hosts: &Hosts, _call: &Call) -> Observation {
        Observation::unknown("no cmdlet tells which topology is in effect")
    }

    fn by_hand(&self, _hosts: &Hosts, _call: &Call) -> Vec<String> {
        vec!["# keep what is published now".to_owned(), by_hand::line(&published()), by_hand::line(&command())]
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        if let Some(first) = cs::kept(call)? {
            return cs::keep(evidence, &first);
        }
        let text = read(hosts, call).await.map_err(|error| error.reason)?;
        cs::keep(evidence, &json!({ "lync_topology": 1, "published": text }))
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        if let Err(why) = cs::must_be_kept(call) {
            return cs::rejected(format!("nothing was enabled: {why}"));
        }
        let mut session = match hosts.attempt(call).await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = match session.run(command()).await {
            Ok(answer) => answer.outcome(false, Map::new()),
            Err(lost) => lost.outcome(),
        };
        session.close().await;
        outcome
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        cs::rejected("an enabled topology is not taken back; publish the one of the before-image and enable it")
    }
}
