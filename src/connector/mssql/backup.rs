//! `mssql.backup`: a full backup into a file that was not there before.
//!
//! The set carries the run and the step in its description: by that, and by nothing else, it is found again in msdb, whatever
//! became of the answer. SQL Server writes the row when the backup has ended.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use sha2::Digest as _;

use super::file::NoSize;
use super::history::{self, BackupSet, UnderWay};
use super::path::FilePath;
use super::sql::{Place, Sql, database, same};
use super::{LARGEST_IMAGE, file, preflight, shown};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::plan::action::{ArgType, Effect, Undo, UndoGrade, UndoOf};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Observation, Quiescence};
use crate::run::event::{EvidenceRef, Identity, Outcome, Outputs};

/// The action.
#[derive(Debug)]
pub struct Backup;

/// Of `BackupSetDescription`: `backupset.description` holds 255 characters.
const LONGEST_KEY: usize = 250;

struct Args {
    place: Place,
    database: String,
    file: FilePath,
    copy_only: bool,
    checksum: bool,
    compression: Option<bool>,
    overwrite: bool,
    key: String,
}

fn truth(call: &Call, name: &str) -> Result<Option<bool>, String> {
    match call.with.get(name) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(value) => value.as_bool().map(Some).ok_or_else(|| format!("`{name}` must be `true` or `false`")),
    }
}

/// What our set is found by: the same for every attempt of a step, so that a repetition finds what the first one made.
fn key(call: &Call) -> String {
    let whole = format!("relevo run {} step {}", call.run, call.step.0);
    let plain = whole.len() <= LONGEST_KEY && whole.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if plain {
        return whole;
    }
    format!("relevo sha256 {}", crate::plan::hex(&sha2::Sha256::digest(whole.as_bytes())))
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        Ok(Args {
            place: Place::read(call)?,
            database: database(call, "database")?,
            file: FilePath::parse(&args::needed(call, "file")?)?,
            copy_only: truth(call, "copy_only")?.unwrap_or(true),
            checksum: truth(call, "checksum")?.unwrap_or(true),
            compression: truth(call, "compression")?,
            overwrite: truth(call, "overwrite")?.unwrap_or(false),
            key: key(call),
        })
    }

    fn command(&self) -> Command {
        let mut command = self
            .place
            .command("Backup-SqlDatabase")
            .parameter("Database", self.database.as_str())
            .parameter("BackupFile", self.file.as_str())
            .parameter("BackupSetName", "relevo")
            .parameter("BackupSetDescription", self.key.as_str());
        for (name, on) in [("CopyOnly", self.copy_only), ("Checksum", self.checksum), ("Initialize", self.overwrite)] {
            if on {
                command = command.switch(name);
            }
        }
        if let Some(on) = self.compression {
            command = command.parameter("CompressionOption", if on { "On" } else { "Off" });
        }
        command.parameter("ErrorAction", "Stop")
    }
}

impl Args {
    /// The command behind what the action looks at before it: pasted lines do not stop at an error.
    fn by_hand(&self) -> Vec<String> {
        let sets = by_hand::line(&self.place.statement("master", super::queries::BACKUPS, super::sql::SHORT));
        let busy = by_hand::line(&self.place.statement("master", super::queries::UNDER_WAY, super::sql::SHORT));
        let (key, file) = (by_hand::quoted(&self.key), by_hand::quoted(self.file.as_str()));
        let backup = by_hand::line(&self.command());
        let mut lines = vec![
            "# 1. if this shows a backup, the step has made it: do not make it again".to_owned(),
            format!("($done = {sets} | Where-Object {{ $_.description -eq {key} }})"),
            "# 2. nothing may be under way: this must show nothing".to_owned(),
            format!("($busy = {busy})"),
        ];
        let (what, free) = if self.overwrite {
            ("# 3. the plan says `overwrite`: what is in the file is lost", String::new())
        } else {
            ("# 3. a file that is there is never written over", format!(" -and -not (Test-Path -LiteralPath {file})"))
        };
        lines.push(what.to_owned());
        lines.push(format!(
            "if (-not $done -and -not $busy{free}) {{ {backup} }} else {{ Write-Error 'not backed up: see what 1 and 2 show, and \
             whether the file is there' }}"
        ));
        lines.push("# 4. the file must be there, and 1 must show one backup of this database in it".to_owned());
        lines.push(by_hand::line(&file::command(&self.file)));
        lines
    }
}

/// What is kept before the first attempt: what makes half a file ours, or somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Before {
    relevo_mssql_backup: u32,
    file: String,
    existed: bool,
}

/// What a look saw.
struct Seen {
    sets: Vec<BackupSet>,
    under_way: Vec<UnderWay>,
    sees_all: bool,
    size: Result<Option<i64>, NoSize>,
}

async fn look(sql: &mut Sql, args: &Args) -> Result<Seen, String> {
    // First what is under way, then what has ended: a backup that ends in between is seen at least once.
    let under_way = history::under_way(sql).await?;
    let sees_all = history::rights(sql, "master").await?.sees_all;
    let sets = history::backups(sql).await?;
    let size = file::size(sql, &args.file).await;
    Ok(Seen { sets, under_way, sees_all, size })
}

/// What it means. `before` is there once an attempt may have begun.
fn meaning(args: &Args, seen: &Seen, before: Option<&Before>) -> (Verdict, String) {
    let path = args.file.as_str();
    let newest = history::newest_in(&seen.sets, &args.file);
    if let Some(ours) = ours(args, &seen.sets) {
        if !same(&ours.database, &args.database) || !matches!(ours.files.as_slice(), [file] if args.file.is(file)) {
            let files = shown(&ours.files.join(", "));
            return (
                Verdict::Conflict,
                format!("this step's backup set is of `{}`, in `{files}`, not of what it is to be now", shown(&ours.database)),
            );
        }
        if let Some(newest) = newest.filter(|newest| newest.media != ours.media) {
            return (Verdict::Conflict, format!("`{path}` was made, and then written over by another backup, set {}", newest.id));
        }
        return match (&seen.size, &ours.finished) {
            (_, _) if ours.damaged => (Verdict::Conflict, format!("SQL Server marked the backup set {} as damaged", ours.id)),
            (_, None) => (Verdict::Unknown, format!("the backup set {} has no end yet", ours.id)),
            (Err(no), _) => (
                Verdict::Unknown,
                format!("msdb holds our backup set {}, and whether its file is there cannot be told: {}", ours.id, no.why()),
            ),
            (Ok(None | Some(0)), _) => {
                (Verdict::Partial, format!("msdb holds our backup set {}, but `{path}` is missing or empty", ours.id))
            }
            (Ok(Some(bytes)), Some(finished)) => (
                Verdict::Done,
                format!(
                    "`{}` is backed up in `{path}`: {bytes} bytes, finished {}, set {}",
                    shown(&args.database),
                    shown(finished),
                    ours.id
                ),
            ),
        };
    }
    if let Some(other) = seen.under_way.iter().find(|one| one.may_concern("BACKUP", &args.database)) {
        return (Verdict::Unknown, format!("a backup is under way: {}", other.words()));
    }
    match &seen.size {
        // An attempt that began may still write: whether to write over the file or to leave it, nobody can say.
        Ok(Some(_)) if before.is_some() && !seen.sees_all => (
            Verdict::Unknown,
            format!(
                "`{path}` is there, and whether a backup into it is still under way cannot be told without VIEW SERVER STATE"
            ),
        ),
        Err(NoSize::Folder(why)) => (Verdict::Conflict, why.clone()),
        Err(NoSize::Unknown(why)) => (Verdict::Unknown, why.clone()),
        Ok(Some(_)) if args.overwrite => {
            (Verdict::NotDone, format!("`{path}` is there and is not this step's; it is to be written over"))
        }
        Ok(Some(bytes)) => {
            if before.is_some_and(|before| !before.existed) {
                let text = "it was not there before this step: probably half of its backup; move it away, then retry";
                return (
                    Verdict::Partial,
                    format!("`{path}` is there with {bytes} bytes, and msdb knows no set of ours in it; {text}"),
                );
            }
            let what = newest.map(|set| format!(", a backup of `{}`", shown(&set.database))).unwrap_or_default();
            let next = "it is never written over; move it away, or name another `file`";
            (Verdict::Conflict, format!("`{path}` is there already with {bytes} bytes{what}; {next}"))
        }
        Ok(None) if before.is_some() && !seen.sees_all => (
            Verdict::Unknown,
            "msdb knows no backup of this step, but whether one is still under way cannot be told without VIEW SERVER STATE"
                .to_owned(),
        ),
        Ok(None) => (Verdict::NotDone, format!("`{path}` is not there, and msdb knows no backup of this step")),
    }
}

/// The newest set that carries our key.
fn ours<'s>(args: &Args, sets: &'s [BackupSet]) -> Option<&'s BackupSet> {
    sets.iter().filter(|set| set.description == args.key).max_by_key(|set| set.id)
}

fn outputs(args: &Args, seen: &Seen) -> Outputs {
    let mut outputs = Map::new();
    let Some(set) = ours(args, &seen.sets) else { return outputs };
    let bytes = seen.size.as_ref().ok().copied().flatten();
    outputs.insert("file".to_owned(), json!(args.file.as_str()));
    outputs.insert("bytes".to_owned(), json!(bytes));
    outputs.insert("finished".to_owned(), json!(set.finished));
    outputs.insert("backup_set".to_owned(), json!(set.uuid));
    outputs.insert("database".to_owned(), json!(set.database));
    outputs.insert("data_bytes".to_owned(), json!(set.bytes));
    outputs.insert("first_lsn".to_owned(), json!(set.first_lsn));
    outputs.insert("last_lsn".to_owned(), json!(set.last_lsn));
    outputs
}

fn kept(call: &Call) -> Result<Option<Before>, String> {
    let Some(kept) = &call.before_image else { return Ok(None) };
    let wrong = |why: &dyn std::fmt::Display| format!("what was kept before the attempt cannot be read: {why}");
    let bytes = kept.read(LARGEST_IMAGE)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| wrong(&error))
}

async fn observed(hosts: &Hosts, call: &Call) -> Result<Observation, NoAnswer> {
    let args = Args::read(call)?;
    let before = kept(call)?;
    let mut sql = Sql::look(hosts, call).await?;
    let seen = look(&mut sql, &args).await;
    sql.close().await;
    let seen = seen?;
    let (verdict, text) = meaning(&args, &seen, before.as_ref());
    let outputs = if verdict == Verdict::Done { outputs(&args, &seen) } else { Map::new() };
    Ok(Observation { verdict, seen: text, facts: outputs.clone(), outputs, identity: Identity::new() })
}

async fn attempt(sql: &mut Sql, args: &Args, call: &Call) -> Outcome {
    let before = match kept(call) {
        Ok(before) => before,
        Err(reason) => return Outcome::NotSent { reason },
    };
    let seen = match look(sql, args).await {
        Ok(seen) => seen,
        Err(reason) => return Outcome::NotSent { reason },
    };
    // Whether an earlier attempt may still run was settled before this one began.
    let seen = Seen { sees_all: true, ..seen };
    match meaning(args, &seen, before.as_ref()) {
        (Verdict::NotDone, _) => {}
        (Verdict::Done, _) => return Outcome::Applied { outputs: outputs(args, &seen) },
        // This attempt has sent nothing.
        (Verdict::Unknown, reason) => return Outcome::NotSent { reason },
        (_, reason) => return Outcome::Rejected { reason, untouched: true },
    }
    let answer = match sql.run(args.command()).await {
        Ok(answer) => answer,
        Err(lost) => return lost.outcome(),
    };
    if answer.complaint().is_some() {
        return answer.outcome(false, Map::new());
    }
    match look(sql, args).await {
        Ok(seen) => match meaning(args, &seen, before.as_ref()) {
            (Verdict::Done, _) => Outcome::Applied { outputs: outputs(args, &seen) },
            (_, why) => Outcome::Unknown { reason: format!("Backup-SqlDatabase ended without an error, and yet: {why}") },
        },
        Err(why) => {
            Outcome::Unknown { reason: format!("Backup-SqlDatabase ended without an error; what it did cannot be seen: {why}") }
        }
    }
}

#[async_trait]
impl Action for Backup {
    fn spec(&self) -> ActionSpec {
        let mut all = Place::args();
        all.extend([
            args::required("file", ArgType::String, "where to: an absolute path on the server, or on a share"),
            args::optional("copy_only", ArgType::Boolean, "leaves the chain of differential backups alone (by default `true`)"),
            args::optional("checksum", ArgType::Boolean, "every page is checked (by default `true`)"),
            args::optional("compression", ArgType::Boolean, "compressed or not; the server decides if it is left out"),
            args::optional("overwrite", ArgType::Boolean, "a file that is there is written over (by default `false`)"),
        ]);
        ActionSpec {
            name: "mssql.backup",
            doc: "backs a database up into a file on its server",
            args: all,
            one_of: Vec::new(),
            effect: Effect::Keyed,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: true,
            discovers: false,
            outputs: vec!["file", "bytes", "finished", "backup_set", "database", "data_bytes", "first_lsn", "last_lsn"],
        }
    }

    fn undo_of(&self) -> Option<UndoOf> {
        Some(|with| match with.get("overwrite") {
            None | Some(serde_json::Value::Null | serde_json::Value::Bool(false)) => {
                Undo { grade: UndoGrade::Full, says: "the database was not changed; the backup file stays where it is" }
            }
            Some(_) => Undo {
                grade: UndoGrade::Lossy,
                says: "the database was not changed, and the backup file stays; what `overwrite` replaced in it is lost",
            },
        })
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        match Args::read(call) {
            Err(why) => vec![NoAnswer::from(why).finding()],
            Ok(args) => {
                let mut found = preflight::backup(hosts, call, &args.database, &args.file).await;
                if preflight::may_go_on(&found) {
                    preflight::now(&mut found, observed(hosts, call).await);
                }
                found
            }
        }
    }

    async fn describe(&self, hosts: &Hosts, call: &Call) -> Description {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(why) => return Description { lines: vec![why], rehearsable: true, outputs: Map::new() },
        };
        let mut lines =
            vec![format!("back up `{}` on {} into `{}`", shown(&args.database), args.place.instance, args.file.as_str())];
        let size = async {
            let mut sql = Sql::look(hosts, call).await.map_err(|error| error.reason)?;
            let size = history::size(&mut sql, &args.database).await;
            sql.close().await;
            size
        };
        lines.push(match size.await {
            Ok(Some(bytes)) => format!("  its data files hold {} MiB", bytes >> 20),
            Ok(None) => "  how large it is cannot be told".to_owned(),
            Err(why) => format!("  could not be looked at: {why}"),
        });
        let with = [
            (args.copy_only, "copy-only"),
            (args.checksum, "with checksums"),
            (args.overwrite, "writing over what is in the file"),
        ];
        let with: Vec<&str> = with.iter().filter(|(on, _)| *on).map(|(_, words)| *words).collect();
        if !with.is_empty() {
            lines.push(format!("  {}", with.join(", ")));
        }
        lines.push(format!("  marked `{}`", args.key));
        let outputs =
            Map::from_iter([("file".to_owned(), json!(args.file.as_str())), ("database".to_owned(), json!(args.database))]);
        Description { lines, rehearsable: true, outputs }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        observed(hosts, call).await.unwrap_or_else(|error| Observation::unknown(error.reason))
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match Args::read(call) {
            Err(why) => vec![format!("# {why}")],
            Ok(args) => args.by_hand(),
        }
    }

    async fn before_image(&self, hosts: &Hosts, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        let args = Args::read(call)?;
        let before = match kept(call)? {
            Some(before) => before,
            None => {
                let mut sql = Sql::look(hosts, call).await.map_err(|error| error.reason)?;
                let size = file::size(&mut sql, &args.file).await;
                sql.close().await;
                Before {
                    relevo_mssql_backup: 1,
                    file: args.file.as_str().to_owned(),
                    existed: size.map_err(|no| no.why().to_owned())?.is_some(),
                }
            }
        };
        let bytes = serde_json::to_vec_pretty(&before).map_err(|error| error.to_string())?;
        evidence.store("before-image", &bytes).map(Some).map_err(|error| error.to_string())
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        let args = match Args::read(call) {
            Ok(args) => args,
            Err(reason) => return Outcome::Rejected { reason, untouched: true },
        };
        let mut sql = match Sql::attempt(hosts, call).await {
            Ok(sql) => sql,
            Err(error) => return Outcome::NotSent { reason: error.reason },
        };
        let outcome = attempt(&mut sql, &args, call).await;
        sql.close().await;
        outcome
    }

    async fn goes_on(&self, hosts: &Hosts, call: &Call) -> Option<Quiescence> {
        match Args::read(call) {
            Ok(args) => super::goes_on(Sql::look(hosts, call).await, "BACKUP", &args.database).await,
            Err(seen) => Some(Quiescence::CannotTell { seen }),
        }
    }

    /// Nothing of the database was changed; the file stays, for whoever may need it.
    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}

#[cfg(test)]
#[path = "backup_tests.rs"]
mod tests;
