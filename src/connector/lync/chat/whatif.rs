//! `lync.chat.import_whatif`: the vendor's own rehearsal of the import, which Microsoft makes a step that is not left out.

use async_trait::async_trait;
use serde_json::{Map, json};

use super::super::cs::{self, Checked, shown};
use super::files::{self, Place};
use super::import::guard;
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::plan::ActionSpec;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Finding, Observation};
use crate::run::event::Outcome;

/// The action.
#[derive(Debug)]
pub struct ImportWhatIf;

struct Args {
    instance: String,
    file: Place,
    sha256: String,
    report: Place,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        Ok(Args {
            instance: super::instance(call)?,
            file: Place::read(call, "file", ".zip")?,
            sha256: files::sha256(call)?.ok_or("`sha256` is missing")?,
            report: Place::read(call, "report", ".html")?,
        })
    }

    fn command(&self) -> Command {
        guard::command(&self.instance, &self.file.path, &self.report.path).switch("WhatIf")
    }
}

async fn check(hosts: &Hosts, call: &Call) -> Result<Checked, NoAnswer> {
    let args = Args::read(call)?;
    let mut on_files = hosts.look_at(call, "file_host").await?;
    let checked = rehearsed(hosts, call, &args, &mut on_files).await;
    on_files.close().await;
    checked
}

async fn rehearsed(hosts: &Hosts, call: &Call, args: &Args, on_files: &mut Session) -> Result<Checked, NoAnswer> {
    if let Some(why) = guard::file(on_files, &args.file, &args.sha256).await? {
        return Ok(Checked { holds: false, seen: why, outputs: Map::new() });
    }
    let before = files::written(on_files, &args.report).await?;
    let mut lync = hosts.look(call).await?;
    let answer = lync.run(args.command()).await;
    lync.close().await;
    let answer = answer.map_err(|lost| NoAnswer::from(lost.reason))?;
    // A report from before says nothing of this time.
    let is_new = files::written(on_files, &args.report).await.is_ok_and(|now| now.is_some() && now != before);
    let report = if is_new {
        files::text(on_files, &args.report.path).await
    } else {
        Err(NoAnswer::from("it was not written".to_owned()))
    };
    let told = report.is_ok();
    let kept = super::keep_said(call, &answer, report);
    let (more, errors) = (answer.more, answer.errors.len() + usize::from(answer.terminating.is_some()));
    let warnings = answer.warnings.len() + if errors == 0 { more } else { 0 };
    let place = kept.clone().unwrap_or_else(|| args.report.path.clone());
    let outputs = Map::from_iter([
        ("warnings".to_owned(), json!(warnings)),
        ("errors".to_owned(), json!(errors)),
        ("report".to_owned(), json!(place)),
    ]);
    let facts = format!("{warnings} warnings, {errors} errors; the report: `{}`", shown(&place));
    Ok(match answer.complaint() {
        Some(why) => Checked { holds: false, seen: format!("the import would not go through: {why}; {facts}"), outputs },
        None if !told => {
            let text = format!(
                "the cmdlet ended without an error, and its report `{}` was not written, or cannot be read; {facts}",
                shown(&args.report.path)
            );
            Checked { holds: false, seen: text, outputs }
        }
        None => Checked { holds: true, seen: facts, outputs },
    })
}

#[async_trait]
impl Action for ImportWhatIf {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.chat.import_whatif",
            doc: "lets the cmdlet rehearse the import (`-WhatIf`), keeps its report, and fails if it complains",
            args: vec![
                args::required("host", ArgType::Host, "the remote PowerShell of a Front End"),
                args::required("file_host", ArgType::Host, "the same machine, by its plain PowerShell remoting"),
                args::required("db_instance", ArgType::String, "of Persistent Chat, such as `sql01.contoso.com\\RTC`"),
                args::required("file", ArgType::String, "the ZIP, a path on the Front End"),
                args::required("sha256", ArgType::String, "what the ZIP has to be"),
                args::required("report", ArgType::String, "where the cmdlet writes its report, a path that ends in `.html`"),
            ],
            one_of: Vec::new(),
            effect: Effect::Read,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: vec!["warnings", "errors", "report"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        match Args::read(call) {
            Err(message) => cs::wrong(message),
            Ok(_) => cs::offered(hosts, call, &["Get-CsService", "Import-CsPersistentChatData"]).await,
        }
    }

    async fn describe(&self, _hosts: &Hosts, call: &Call) -> Description {
        match Args::read(call) {
            Err(why) => cs::not_described(&why),
            Ok(args) => {
                let what = format!("let the cmdlet rehearse the import of `{}` into {}", shown(&args.file.path), args.instance);
                cs::described(vec![what, format!("  its report: `{}`", shown(&args.report.path))], Map::new())
            }
        }
    }

    /// Only running it tells, and that writes a report: no look may.
    async fn probe(&self, _hosts: &Hosts, _call: &Call) -> Observation {
        Observation::unknown("only the cmdlet itself tells, and it writes its report".to_owned())
    }

    fn by_hand(&self, hosts: &Hosts, call: &Call) -> Vec<String> {
        match Args::read(call) {
            Err(why) => vec![format!("# {why}")],
            Ok(args) => vec![
                "# guard, on the machine itself".to_owned(),
                by_hand::connection_to(hosts, call, "file_host"),
                format!("{}   # must be {}", by_hand::line(&files::hashing(&args.file.path)), args.sha256),
                "# in Lync's own PowerShell; it writes nothing but the report".to_owned(),
                by_hand::line(&args.command()),
                "# read the report, on the machine itself".to_owned(),
                by_hand::line(&files::reading(&args.report.path)),
            ],
        }
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        cs::conclude(check(hosts, call).await)
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}
