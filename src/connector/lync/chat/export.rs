//! `lync.chat.export`: rooms, members and messages into a ZIP on the Front End.
//!
//! - Exported is under a name of the attempt's own. Only a file that came of a command without errors, and whose SHA-256 is
//!   noted in the run's folder, gets the final name, by a rename that overwrites nothing: so the final name is the proof.
//! - Whatever lies under the final name before the first attempt is somebody else's.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use uuid::Uuid;

use super::super::cs::{self, shown};
use super::files::{self, Entry, Place};
use super::keep::{self, Made};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::{Action, beside};
use crate::connector::powershell::answer::{Answer, Lost};
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Level, Observation};
use crate::run::event::{EvidenceRef, Outcome, Outputs};

/// The action.
#[derive(Debug)]
pub struct Export;

/// `-Level`, as the cmdlet spells it.
const LEVELS: [&str; 5] = ["All", "User", "Category", "RoomDirectory", "Content"];

struct Args {
    instance: String,
    database: Option<String>,
    file: Place,
    report: Place,
    level: Option<&'static str>,
    scope: Vec<String>,
    start: Option<String>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let file = Place::read(call, "file", ".zip")?;
        let report = args::text(call, "report")?.unwrap_or_else(|| format!("{}.html", file.path));
        let level = match args::text(call, "level")? {
            None => None,
            Some(word) => match LEVELS.into_iter().find(|known| known.eq_ignore_ascii_case(&word)) {
                Some(known) => Some(known),
                None => return Err(format!("`level` is one of {}, not `{}`", LEVELS.join(", "), shown(&word))),
            },
        };
        let start = args::text(call, "start_date")?.map(|text| text.trim().to_owned());
        if let Some(odd) = start.as_ref().filter(|text| text.parse::<jiff::civil::Date>().is_err()) {
            return Err(format!("`start_date` is `{}`, not a day such as `2012-01-31`", shown(odd)));
        }
        Ok(Args {
            instance: super::instance(call)?,
            database: args::text(call, "database")?.filter(|name| !name.trim().is_empty()),
            report: Place::parse(&report, "report", ".html")?,
            file,
            level,
            scope: args::list(call, "scope")?,
            start,
        })
    }

    fn command(&self, path: &str) -> Command {
        let mut command = Command::new("Export-CsPersistentChatData").parameter("DBInstance", self.instance.as_str());
        if let Some(name) = &self.database {
            command = command.parameter("DBName", name.as_str());
        }
        command = command.parameter("FileName", path).parameter("Report", self.report.path.as_str());
        if let Some(level) = self.level {
            command = command.parameter("Level", level);
        }
        if !self.scope.is_empty() {
            command = command.parameter("Scope", Value::list(self.scope.iter().map(String::as_str)));
        }
        match &self.start {
            Some(day) => command.parameter("StartDate", day.as_str()),
            None => command,
        }
    }

    /// What attempts, and rehearsals, leave behind: `groupchat.part-….zip`.
    fn left_over<'e>(&self, entries: &'e [Entry]) -> Vec<&'e Entry> {
        let is_ours = |name: &str| {
            let rest = name.get(..self.file.stem().len()).filter(|head| head.eq_ignore_ascii_case(self.file.stem()));
            let rest = rest.and_then(|head| name.get(head.len()..)).unwrap_or_default().to_lowercase();
            (rest.starts_with(".part-") || rest.starts_with(".rehearsal-")) && rest.strip_suffix(".zip").is_some()
        };
        entries.iter().filter(|entry| is_ours(&entry.name)).collect()
    }
}

/// What is kept before the first attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    relevo_chat_export: u32,
    file: String,
    existed: bool,
}

fn kept(call: &Call, args: &Args) -> Result<Option<Before>, String> {
    let Some(image) = cs::kept(call)? else { return Ok(None) };
    let before: Before =
        serde_json::from_value(image).map_err(|error| format!("the before-image cannot be understood: {error}"))?;
    if before.file.eq_ignore_ascii_case(&args.file.path) {
        Ok(Some(before))
    } else {
        Err("the before-image is of another file".to_owned())
    }
}

/// What a look saw.
struct Seen {
    entries: Vec<Entry>,
    /// Of the final file, if it is there and somebody asked.
    sha256: Option<String>,
}

/// What it means. `before` is there once an attempt may have begun.
fn meaning(args: &Args, seen: &Seen, before: Option<&Before>, noted: &[Made]) -> (Verdict, String, Option<Made>) {
    let path = &args.file.path;
    let left = args.left_over(&seen.entries);
    let left = if left.is_empty() {
        String::new()
    } else {
        format!("; left over beside it: {}", left.iter().map(|entry| entry.words()).collect::<Vec<_>>().join("; "))
    };
    let Some(entry) = files::find(&seen.entries, &args.file.name) else {
        return (Verdict::NotDone, format!("`{}` is not there{left}", shown(path)), None);
    };
    let told = format!("`{}` is there: {} bytes, written {}", shown(path), entry.size, entry.modified);
    let foreign = "and this run did not make it; move it away, or name another `file`";
    let (Some(before), Some(sha256)) = (before, &seen.sha256) else {
        return (Verdict::Conflict, format!("{told}, {foreign}"), None);
    };
    let ours = noted.iter().find(|made| made.sha256 == *sha256);
    if before.existed || (ours.is_none() && !noted.is_empty()) {
        return (Verdict::Conflict, format!("{told}, {foreign}"), None);
    }
    let warnings = ours.and_then(|made| made.warnings);
    let made = Made { file: path.clone(), sha256: sha256.clone(), size: entry.size, warnings };
    (Verdict::Done, format!("{told}, SHA-256 {sha256}{left}"), Some(made))
}

fn outputs(made: &Made) -> Outputs {
    Map::from_iter([
        ("file".to_owned(), json!(made.file)),
        ("sha256".to_owned(), json!(made.sha256)),
        ("size".to_owned(), json!(made.size)),
        ("warnings".to_owned(), json!(made.warnings)),
    ])
}

async fn look(session: &mut Session, args: &Args, with_hash: bool) -> Result<Seen, NoAnswer> {
    let entries = files::list(session, &args.file.folder).await?;
    let there = files::find(&entries, &args.file.name).is_some();
    let sha256 = if there && with_hash { Some(files::hash(session, &args.file.path).await?) } else { None };
    Ok(Seen { entries, sha256 })
}

async fn observed(hosts: &Hosts, call: &Call) -> Result<Observation, NoAnswer> {
    let args = Args::read(call)?;
    let before = kept(call, &args)?;
    let mut session = hosts.look_at(call, "file_host").await?;
    let seen = look(&mut session, &args, before.is_some()).await;
    session.close().await;
    let noted = keep::noted(call);
    let (verdict, text, made) = meaning(&args, &seen?, before.as_ref(), &noted);
    if let Some(made) = made.as_ref().filter(|made| !noted.iter().any(|known| known.sha256 == made.sha256)) {
        // Named by hand, after what an attempt had left: the undo finds it by this.
        keep::note(call, made)?;
    }
    let outputs = made.as_ref().map(outputs).unwrap_or_default();
    Ok(Observation { verdict, facts: outputs.clone(), outputs, ..Observation::unknown(text) })
}

/// The file that the export made, hashed and noted. `Err` is how the attempt ended.
async fn made(hosts: &Hosts, call: &Call, (on_files, args): (&mut Session, &Args), part: &Place) -> Result<Made, Outcome> {
    let mut lync = hosts.attempt(call).await.map_err(|error| Outcome::NotSent { reason: error.reason })?;
    let answer = lync.run(args.command(&part.path)).await;
    lync.close().await;
    let answer = answer.map_err(Lost::outcome)?;
    let not_taken = |why: String| Outcome::Rejected { reason: why, untouched: false };
    if let Some(why) = answer.complaint() {
        keep_what_it_said(call, on_files, args, &answer).await;
        if answer.never_began() {
            return Err(answer.outcome(false, Map::new()));
        }
        let left = format!("; what it may have left is called `{}`", shown(&part.name));
        return Err(not_taken(format!("the export is not taken, because it complained: {why}{left}")));
    }
    let told = async {
        let entries = files::list(on_files, &args.file.folder).await?;
        let Some(entry) = files::find(&entries, &part.name).filter(|entry| entry.size > 0).cloned() else {
            return Ok::<_, NoAnswer>(None);
        };
        Ok(Some((entry.size, files::hash(on_files, &part.path).await?)))
    };
    match told.await {
        Err(error) => Err(not_taken(format!("the export ended, and its file cannot be looked at: {}", error.reason))),
        Ok(None) => {
            let path = shown(&part.path);
            Err(not_taken(format!("the export ended without an error, and `{path}` is missing or empty")))
        }
        Ok(Some((size, sha256))) => {
            let warnings = Some(answer.warnings.len() + answer.more);
            let made = Made { file: args.file.path.clone(), sha256, size, warnings };
            // Before it has its name: a look must know it as ours.
            keep::note(call, &made).map_err(not_taken)?;
            keep_what_it_said(call, on_files, args, &answer).await;
            Ok(made)
        }
    }
}

/// Warnings, errors and the report, for people. Nothing depends on them.
async fn keep_what_it_said(call: &Call, on_files: &mut Session, args: &Args, answer: &Answer) {
    let report = files::text(on_files, &args.report.path).await;
    super::keep_said(call, answer, report);
}

async fn attempt(hosts: &Hosts, call: &Call, session: &mut Session, args: &Args) -> Outcome {
    let before = match kept(call, args) {
        Ok(before) => before,
        Err(reason) => return Outcome::NotSent { reason },
    };
    let seen = match look(session, args, before.is_some()).await {
        Ok(seen) => seen,
        Err(error) => return Outcome::NotSent { reason: error.reason },
    };
    match meaning(args, &seen, before.as_ref(), &keep::noted(call)) {
        (Verdict::NotDone, ..) => {}
        (Verdict::Done, _, Some(made)) => return Outcome::Applied { outputs: outputs(&made) },
        (_, why, _) => return cs::rejected(format!("nothing was exported: {why}")),
    }
    let part = args.file.beside(&format!("part-{}", files::mark(call)));
    if files::find(&seen.entries, &part.name).is_some() {
        return cs::rejected(format!("nothing was exported: `{}` is there already", shown(&part.path)));
    }
    let made = match made(hosts, call, (session, args), &part).await {
        Ok(made) => made,
        Err(outcome) => return outcome,
    };
    let unknown = |reason: String| Outcome::Unknown { reason };
    let complaint = match session.run(files::renaming(&part.path, &args.file.name)).await {
        Ok(answer) => answer.complaint(),
        Err(lost) => return unknown(lost.reason),
    };
    match look(session, args, true).await {
        Ok(seen) if seen.sha256.as_ref() == Some(&made.sha256) => Outcome::Applied { outputs: outputs(&made) },
        Ok(_) => {
            let why = complaint.unwrap_or_else(|| "Rename-Item ended without an error".to_owned());
            unknown(format!("`{}` did not get its final name: {why}", shown(&part.name)))
        }
        Err(error) => unknown(error.reason),
    }
}

#[async_trait]
impl Action for Export {
    fn spec(&self) -> ActionSpec {
        ActionSpec {
            name: "lync.chat.export",
            doc: "exports rooms, members and messages of Group Chat or Persistent Chat into a ZIP on the Front End",
            args: vec![
                args::required("host", ArgType::Host, "the remote PowerShell of a Front End"),
                args::required("file_host", ArgType::Host, "the same machine, by its plain PowerShell remoting"),
                args::required("db_instance", ArgType::String, "such as `sql01.contoso.com\\RTC`"),
                args::optional("database", ArgType::String, "the database there, if it is not called as the cmdlet expects"),
                args::required("file", ArgType::String, "the ZIP, a path on the Front End that ends in `.zip`"),
                args::optional("report", ArgType::String, "the report in HTML; `<file>.html` by default"),
                args::optional("level", ArgType::String, "`All`, `User`, `Category`, `RoomDirectory` or `Content`"),
                args::optional("scope", ArgType::StringList, "only these categories"),
                args::optional("start_date", ArgType::String, "no messages from before this day, such as `2012-01-31`"),
            ],
            one_of: Vec::new(),
            effect: Effect::Keyed,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            // Whether something had the final name before.
            keeps: true,
            discovers: false,
            outputs: vec!["file", "sha256", "size", "warnings"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(message) => return cs::wrong(message),
        };
        let mut session = match hosts.look_at(call, "file_host").await {
            Ok(session) => session,
            Err(error) => return vec![error.finding()],
        };
        let seen = look(&mut session, &args, false).await;
        session.close().await;
        let mut found = match seen {
            Err(error) => vec![error.finding()],
            Ok(seen) => {
                let left = args.left_over(&seen.entries).into_iter();
                let left = left
                    .map(|entry| cs::finding(Level::Warning, format!("left over from an earlier attempt: {}", entry.words())));
                let mut found: Vec<Finding> = left.collect();
                // After an attempt it may be ours: then the look decides.
                if let (Verdict::Conflict, why, _) = meaning(&args, &seen, None, &[])
                    && call.before_image.is_none()
                {
                    found.push(cs::finding(Level::Fatal, why));
                }
                found
            }
        };
        if args.start.is_some() && args.level != Some("RoomDirectory") {
            let text = "`start_date` is documented for the level `RoomDirectory` only; see in the report what it left out";
            found.push(cs::finding(Level::Warning, text));
        }
        found.extend(cs::offered(hosts, call, &["Get-CsService", "Export-CsPersistentChatData"]).await);
        found
    }

    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return cs::not_described(&why),
        };
        let of = args.database.as_deref().map(|name| format!("`{}` on ", shown(name))).unwrap_or_default();
        let mut lines = vec![format!("export the chat data of {of}{} into `{}`", args.instance, shown(&args.file.path))];
        lines.push(match observed(hosts, call).await {
            Ok(seen) => format!("  before: {}", seen.seen),
            Err(error) => format!("  could not be looked at: {}", error.reason),
        });
        lines.push("  nothing of the source changes".to_owned());
        cs::described(lines, Map::from_iter([("file".to_owned(), json!(args.file.path))]))
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        observed(hosts, call).await.unwrap_or_else(|error| Observation::unknown(error.reason))
    }

    fn by_hand(&self, hosts: &Hosts, call: &Call) -> Vec<String> {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return vec![format!("# {why}")],
        };
        let part = args.file.beside("part-by-hand");
        let files_host = by_hand::connection_to(hosts, call, "file_host");
        vec![
            format!("# guard, on the machine itself: there must be no `{}` yet", args.file.name),
            files_host.clone(),
            by_hand::line(&files::listing(&args.file.folder)),
            "# do it, in Lync's own PowerShell; if it complains, what it wrote is not to be used".to_owned(),
            by_hand::line(&args.command(&part.path)),
            "# then, on the machine itself: note the hash, and give it the final name, which overwrites nothing".to_owned(),
            files_host,
            by_hand::line(&files::hashing(&part.path)),
            by_hand::line(&files::renaming(&part.path, &args.file.name)),
            "# undo, only if the hash is still the one that was noted".to_owned(),
            by_hand::line(&files::hashing(&args.file.path)),
            by_hand::line(&files::removal(&args.file.path)),
        ]
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        if let Some(first) = cs::kept(call)? {
            return cs::keep(evidence, &first);
        }
        let args = Args::read(call)?;
        let mut session = hosts.look_at(call, "file_host").await.map_err(|error| error.reason)?;
        let seen = look(&mut session, &args, false).await;
        session.close().await;
        let existed = files::find(&seen.map_err(|error| error.reason)?.entries, &args.file.name).is_some();
        let before = Before { relevo_chat_export: 1, file: args.file.path, existed };
        cs::keep(evidence, &json!(before))
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return cs::rejected(format!("nothing was exported: {why}")),
        };
        let mut session = match hosts.attempt_at(call, "file_host").await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = attempt(hosts, call, &mut session, &args).await;
        session.close().await;
        outcome
    }

    fn shells(&self, call: &Call) -> Vec<(String, Uuid)> {
        args::needed(call, "file_host").map(|host| vec![(host.clone(), beside(call, &host))]).unwrap_or_default()
    }

    async fn undo(&self, hosts: &Hosts, call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return cs::rejected(format!("nothing was removed: {why}")),
        };
        let mut session = match hosts.attempt_at(call, "file_host").await {
            Ok(session) => session,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = take_back(&mut session, &args, &keep::noted(call)).await;
        session.close().await;
        outcome
    }
}

/// Removes the file if it is still the one that was made.
async fn take_back(session: &mut Session, args: &Args, noted: &[Made]) -> Outcome {
    let seen = match look(session, args, true).await {
        Ok(seen) => seen,
        Err(error) => return Outcome::NotSent { reason: error.reason },
    };
    let path = shown(&args.file.path);
    match seen.sha256 {
        None => Outcome::Applied { outputs: Map::new() },
        Some(hash) if noted.iter().any(|made| made.sha256 == hash) => match session.run(files::removal(&args.file.path)).await {
            Ok(answer) => answer.outcome(false, Map::new()),
            Err(lost) => lost.outcome(),
        },
        Some(hash) => cs::rejected(format!(
            "nothing was removed: `{path}` has the SHA-256 {hash}, which is none that this step made; look at it, and remove it by hand"
        )),
    }
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
