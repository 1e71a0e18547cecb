//! `mssql.restore`: puts a backup in the place of a database. What the database held is gone then.
//!
//! - Before: msdb must know what is in the file, and it must be a whole backup of the expected database. Nobody may be connected.
//! - After: msdb has a restore of exactly that backup over this database that is newer than all before the attempt, and the
//!   database is online.

mod judge;

use async_trait::async_trait;
use serde_json::{Map, json};

use self::judge::{Before, Seen, meaning, outputs, source};
use super::history;
use super::path::FilePath;
use super::sql::{Place, Sql, checked, database, same};
use super::{LARGEST_IMAGE, file, preflight, shown};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Evidence, Finding, Observation, Quiescence};
use crate::run::event::{EvidenceRef, Identity, Outcome};

/// The action.
#[derive(Debug)]
pub struct Restore;

/// Never restored from here.
const SYSTEM: &[&str] = &["master", "model", "msdb", "tempdb", "distribution", "mssqlsystemresource", "resource"];

/// What is put where.
pub struct Args {
    place: Place,
    database: String,
    expected: String,
    file: FilePath,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let database = database(call, "database")?;
        let expected = match args::text(call, "expect_database")? {
            Some(name) => checked(name, "expect_database")?,
            None => database.clone(),
        };
        Self::of(Place::read(call)?, database, expected, FilePath::parse(&args::needed(call, "file")?)?)
    }

    /// A backup of `expected` in `file`, in the place of `database`.
    ///
    /// # Errors
    /// One of them is a database that is never restored from here.
    pub fn of(place: Place, database: String, expected: String, file: FilePath) -> Result<Self, String> {
        if let Some(system) = [&database, &expected].into_iter().find(|name| SYSTEM.iter().any(|own| same(own, name))) {
            return Err(format!("`{}` is a database of SQL Server itself, which is never restored from here", shown(system)));
        }
        Ok(Args { place, database, expected, file })
    }

    /// Without the backup's place in the file.
    fn begun(&self) -> Command {
        self.place
            .command("Restore-SqlDatabase")
            .parameter("Database", self.database.as_str())
            .parameter("BackupFile", self.file.as_str())
            .switch("ReplaceDatabase")
            .parameter("ErrorAction", "Stop")
    }

    /// The command, for the backup at this place in the file.
    #[must_use]
    pub fn command(&self, position: i64) -> Command {
        self.begun().parameter("FileNumber", i32::try_from(position).unwrap_or(1))
    }

    /// What the action looks at before it sends anything, and then the command: inside what it depends on, because lines
    /// that are pasted one after the other do not stop at an error.
    #[must_use]
    pub fn by_hand(&self) -> Vec<String> {
        let ask = |query: &str| by_hand::line(&self.place.statement("master", query, super::sql::SHORT));
        let (name, file) = (by_hand::quoted(&self.database), by_hand::quoted(self.file.as_str()));
        let expected = by_hand::quoted(&self.expected);
        let whole = format!(
            "@($sets | Where-Object {{ $_.backup_set_id -eq $set.backup_set_id }}).Count -eq 1 -and $set.database_name -eq {expected} \
             -and -not $set.is_damaged -and $set.backup_finish_date -is [DateTime]"
        );
        vec![
            "# 1. what SQL Server knows to be in the file: the newest backup must be whole, and of the expected database"
                .to_owned(),
            by_hand::line(&file::command(&self.file)),
            format!("$sets = {}", ask(super::queries::BACKUPS)),
            format!("$set = $sets | Where-Object {{ $_.physical_device_name -eq {file} }} | Select-Object -First 1"),
            "$set | Format-List".to_owned(),
            "# 2. nothing may be under way, and nobody may be in the database: each must show nothing".to_owned(),
            format!("($busy = {})", ask(super::queries::UNDER_WAY)),
            format!("($people = {} | Where-Object {{ $_.database_name -eq {name} }})", ask(super::queries::CONNECTED)),
            "# 3. only then; what the database holds is gone afterwards".to_owned(),
            format!(
                "if ($set -and {whole} -and -not $busy -and -not $people) {{ {} -FileNumber $set.position }} else {{ Write-Error \
                 'not restored: see what 1 and 2 show' }}",
                by_hand::line(&self.begun())
            ),
            "# 4. the newest restore must be of that backup, and the database ONLINE".to_owned(),
            format!("{} | Select-Object -First 1", ask(super::queries::RESTORES)),
            format!("{} | Where-Object {{ $_.name -eq {name} }}", ask(super::queries::DATABASES)),
        ]
    }
}

async fn look(sql: &mut Sql, args: &Args) -> Result<Seen, String> {
    // First what is under way, then what has ended.
    let under_way = history::under_way(sql).await?;
    let sees_all = history::rights(sql, "master").await?.sees_all;
    let restores = history::restores(sql).await?;
    let databases = history::databases(sql).await?;
    let sets = history::backups(sql).await?;
    let size = file::size(sql, &args.file).await;
    Ok(Seen { databases, sets, restores, under_way, sees_all, size })
}

fn kept(call: &Call, args: &Args) -> Result<Option<Before>, String> {
    let Some(kept) = &call.before_image else { return Ok(None) };
    let wrong = |why: &dyn std::fmt::Display| format!("what was kept before the attempt cannot be read: {why}");
    let bytes = kept.read(LARGEST_IMAGE)?;
    let before: Before = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
    if same(&before.database, &args.database) { Ok(Some(before)) } else { Err(wrong(&"it is of another database")) }
}

async fn before(sql: &mut Sql, args: &Args) -> Result<Before, String> {
    let seen = look(sql, args).await?;
    let set = source(args, &seen)?;
    Ok(Before {
        relevo_mssql_restore: 1,
        database: args.database.clone(),
        newest_restore: seen.restores.iter().map(|one| one.id).max().unwrap_or(0),
        state: history::state(&seen.databases, &args.database).map(str::to_owned),
        bytes: history::size(sql, &args.database).await?,
        backup_set: set.uuid.clone(),
        position: set.position,
    })
}

async fn observed(hosts: &Hosts, call: &Call) -> Result<Observation, NoAnswer> {
    let args = Args::read(call)?;
    let before = kept(call, &args)?;
    let mut sql = Sql::look(hosts, call).await?;
    let seen = look(&mut sql, &args).await;
    sql.close().await;
    let seen = seen?;
    let (verdict, text) = meaning(&args, &seen, before.as_ref());
    let outputs = match (&before, verdict) {
        (Some(before), Verdict::Done) => outputs(&args, &seen, before),
        _ => Map::new(),
    };
    Ok(Observation { verdict, seen: text, facts: outputs.clone(), outputs, identity: Identity::new() })
}

/// The identity of the backup that may be restored, and its place in the file.
///
/// # Errors
/// Everything that speaks against it, or it cannot be told.
pub async fn backup_set(sql: &mut Sql, args: &Args) -> Result<(String, i64), String> {
    let seen = look(sql, args).await?;
    source(args, &seen).map(|set| (set.uuid.clone(), set.position))
}

/// Puts exactly this backup back, with all guards of a restore.
pub async fn put_back(sql: &mut Sql, args: &Args, backup_set: &str) -> Outcome {
    match self::backup_set(sql, args).await {
        Err(reason) => Outcome::NotSent { reason },
        Ok((found, _)) if !same(&found, backup_set) => {
            let reason =
                format!("`{}` held the backup {} before, and holds {} now", args.file.as_str(), shown(backup_set), shown(&found));
            Outcome::Rejected { reason, untouched: true }
        }
        Ok(_) => attempt(sql, args, None).await,
    }
}

async fn attempt(sql: &mut Sql, args: &Args, kept: Option<Before>) -> Outcome {
    let not_sent = |reason: String| Outcome::NotSent { reason };
    let refused = |reason: String| Outcome::Rejected { reason, untouched: true };
    let seen = match look(sql, args).await {
        Ok(seen) => seen,
        Err(reason) => return not_sent(reason),
    };
    if let Some(kept) = &kept
        && meaning(args, &seen, Some(kept)).0 == Verdict::Done
    {
        return Outcome::Applied { outputs: outputs(args, &seen, kept) };
    }
    let set = match source(args, &seen) {
        Ok(set) => set,
        Err(why) => return refused(why),
    };
    if let Some(kept) = kept.as_ref().filter(|kept| !same(&kept.backup_set, &set.uuid)) {
        return refused(format!(
            "`{}` held the backup {} before, and holds {} now",
            args.file.as_str(),
            shown(&kept.backup_set),
            shown(&set.uuid)
        ));
    }
    if let Some(busy) = seen.under_way.iter().find(|one| one.may_concern("RESTORE", &args.database)) {
        return not_sent(format!("a restore is under way: {}", busy.words()));
    }
    match history::connected(sql, &args.database).await {
        Ok(people) if people.is_empty() => {}
        Ok(people) => {
            return refused(format!(
                "`{}` is in use by {}; a restore needs it for itself: stop what uses it, then retry",
                shown(&args.database),
                people.join(", ")
            ));
        }
        Err(reason) => return not_sent(reason),
    }
    // What an interrupted look after it compares with; the same as what was kept, where something was.
    let before = kept.unwrap_or_else(|| Before {
        relevo_mssql_restore: 1,
        database: args.database.clone(),
        newest_restore: seen.restores.iter().map(|one| one.id).max().unwrap_or(0),
        state: history::state(&seen.databases, &args.database).map(str::to_owned),
        bytes: None,
        backup_set: set.uuid.clone(),
        position: set.position,
    });
    let answer = match sql.run(args.command(set.position)).await {
        Ok(answer) => answer,
        Err(lost) => return lost.outcome(),
    };
    if answer.complaint().is_some() {
        return with_people(answer.outcome(false, Map::new()), sql, args).await;
    }
    match look(sql, args).await {
        Ok(seen) => match meaning(args, &seen, Some(&before)) {
            (Verdict::Done, _) => Outcome::Applied { outputs: outputs(args, &seen, &before) },
            (_, why) => Outcome::Unknown { reason: format!("Restore-SqlDatabase ended without an error, and yet: {why}") },
        },
        Err(why) => {
            Outcome::Unknown { reason: format!("Restore-SqlDatabase ended without an error; what it did cannot be seen: {why}") }
        }
    }
}

/// Names who is connected now, if somebody is: the usual reason.
async fn with_people(outcome: Outcome, sql: &mut Sql, args: &Args) -> Outcome {
    let people = history::connected(sql, &args.database).await.unwrap_or_default();
    match outcome {
        Outcome::Unknown { reason } if !people.is_empty() => {
            Outcome::Unknown { reason: format!("{reason}; connected to `{}` now: {}", shown(&args.database), people.join(", ")) }
        }
        outcome => outcome,
    }
}

#[async_trait]
impl Action for Restore {
    fn spec(&self) -> ActionSpec {
        let mut all = Place::args();
        all.extend([
            args::required("file", ArgType::String, "the backup: an absolute path on the server, or on a share"),
            args::optional("expect_database", ArgType::String, "the database that the backup must be of; `database` by default"),
        ]);
        ActionSpec {
            name: "mssql.restore",
            doc: "puts a backup in the place of a database",
            args: all,
            one_of: Vec::new(),
            effect: Effect::Once,
            generic: false,
            destructive: true,
            undo: UndoGrade::None,
            keeps: true,
            discovers: false,
            outputs: vec!["database", "file", "backup_set", "restored"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        match Args::read(call) {
            Err(why) => vec![NoAnswer::from(why).finding()],
            Ok(args) => {
                let mut found = preflight::restore(hosts, call, &args.database, &args.file).await;
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
        let mut lines = vec![format!(
            "put the backup in `{}` in the place of `{}` on {}",
            args.file.as_str(),
            shown(&args.database),
            args.place.instance
        )];
        let found = async {
            let mut sql = Sql::look(hosts, call).await.map_err(|error| error.reason)?;
            let seen = look(&mut sql, &args).await;
            let people = history::connected(&mut sql, &args.database).await;
            sql.close().await;
            Ok::<_, String>((seen?, people?))
        };
        match found.await {
            Err(why) => lines.push(format!("  could not be looked at: {why}")),
            Ok((seen, people)) => {
                lines.push(format!(
                    "  before: `{}` is {}",
                    shown(&args.database),
                    shown(history::state(&seen.databases, &args.database).unwrap_or("missing"))
                ));
                lines.push(match source(&args, &seen) {
                    Ok(set) => format!(
                        "  after:  as of {}, backup set {}",
                        shown(set.finished.as_deref().unwrap_or("?")),
                        shown(&set.uuid)
                    ),
                    // In a rehearsal the backup may be a step that was only described.
                    Err(why) => format!("  not now: {why}"),
                });
                lines.extend(people.iter().map(|one| format!("  connected now: {one}")));
            }
        }
        lines.push("  lost: everything that the database holds and the backup does not".to_owned());
        Description { lines, rehearsable: true, outputs: Map::from_iter([("database".to_owned(), json!(args.database))]) }
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
        let before = match kept(call, &args)? {
            Some(before) => before,
            None => {
                let mut sql = Sql::look(hosts, call).await.map_err(|error| error.reason)?;
                let before = before(&mut sql, &args).await;
                sql.close().await;
                before?
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
        let outcome = match kept(call, &args) {
            Ok(kept) => attempt(&mut sql, &args, kept).await,
            Err(reason) => Outcome::NotSent { reason },
        };
        sql.close().await;
        outcome
    }

    async fn goes_on(&self, hosts: &Hosts, call: &Call) -> Option<Quiescence> {
        match Args::read(call) {
            Ok(args) => super::goes_on(Sql::look(hosts, call).await, "RESTORE", &args.database).await,
            Err(seen) => Some(Quiescence::CannotTell { seen }),
        }
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        let reason = "what the restore replaced is gone; only a backup that was taken before it brings that back".to_owned();
        Outcome::Rejected { reason, untouched: true }
    }
}

#[cfg(test)]
mod tests;
