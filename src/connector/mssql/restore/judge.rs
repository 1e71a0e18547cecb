//! What a look means to `mssql.restore`. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::super::file::NoSize;
use super::super::history::{self, BackupSet, Restored, UnderWay};
use super::super::shown;
use super::super::sql::same;
use super::Args;
use crate::plan::Verdict;
use crate::run::event::Outputs;

/// What is kept before the first attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    pub(super) relevo_mssql_restore: u32,
    pub(super) database: String,
    /// The newest restore that msdb knew; 0 if none.
    pub(super) newest_restore: i64,
    /// `ONLINE`; nothing if there was no such database.
    pub(super) state: Option<String>,
    /// Of its data files, in bytes.
    pub(super) bytes: Option<i64>,
    /// The identity of the backup that is to be restored, and its place in the file.
    pub(super) backup_set: String,
    pub(super) position: i64,
}

/// What a look saw.
pub(super) struct Seen {
    pub(super) databases: Vec<(String, String)>,
    pub(super) sets: Vec<BackupSet>,
    pub(super) restores: Vec<Restored>,
    pub(super) under_way: Vec<UnderWay>,
    pub(super) sees_all: bool,
    pub(super) size: Result<Option<i64>, NoSize>,
}

/// The backup that may be restored.
///
/// # Errors
/// Everything that speaks against it.
pub(super) fn source<'s>(args: &Args, seen: &'s Seen) -> Result<&'s BackupSet, String> {
    let path = args.file.as_str();
    match &seen.size {
        Err(no) => return Err(no.why().to_owned()),
        Ok(None) => return Err(format!("`{path}` is not there")),
        Ok(Some(0)) => return Err(format!("`{path}` is empty")),
        Ok(Some(_)) => {}
    }
    let Some(set) = history::newest_in(&seen.sets, &args.file) else {
        return Err(format!(
            "{} knows no full backup in `{path}`; only what this instance backed up itself is restored",
            args.place.instance
        ));
    };
    if !same(&set.database, &args.expected) {
        return Err(format!("`{path}` holds a backup of `{}`, not of `{}`", shown(&set.database), shown(&args.expected)));
    }
    if set.damaged || set.finished.is_none() {
        return Err(format!("the backup in `{path}` is damaged or was not finished"));
    }
    if set.files.len() != 1 {
        return Err(format!("the backup in `{path}` is spread over {} files", set.files.len()));
    }
    Ok(set)
}

/// What it means. `before` is there once an attempt may have begun.
pub(super) fn meaning(args: &Args, seen: &Seen, before: Option<&Before>) -> (Verdict, String) {
    let name = shown(&args.database);
    let now = history::state(&seen.databases, &args.database);
    let state = shown(now.unwrap_or("missing"));
    let busy = seen.under_way.iter().find(|one| one.may_concern("RESTORE", &args.database));
    let Some(before) = before else {
        return match (busy, source(args, seen)) {
            (Some(busy), _) => (Verdict::Unknown, format!("a restore is under way: {}", busy.words())),
            (None, Err(why)) => (Verdict::Conflict, why),
            (None, Ok(set)) => {
                (Verdict::NotDone, format!("`{name}` is {state}; the backup {} waits in `{}`", set.id, args.file.as_str()))
            }
        };
    };
    let since = seen.restores.iter().filter(|one| one.id > before.newest_restore && same(&one.database, &args.database));
    // A verification leaves a row as well, and no data.
    let since = since.filter(|one| !same(&one.kind, "V"));
    if let Some(newest) = since.max_by_key(|one| one.id) {
        let date = shown(newest.date.as_deref().unwrap_or("at an unknown time"));
        return match (&newest.backup, now) {
            (None, _) => (Verdict::Unknown, format!("`{name}` was restored {date}, and msdb does not say from which backup")),
            (Some(backup), _) if !same(backup, &before.backup_set) => {
                (Verdict::Conflict, format!("`{name}` was restored {date} from another backup, {}", shown(backup)))
            }
            (Some(_), _) if !same(&newest.kind, "D") => (
                Verdict::Conflict,
                format!("`{name}` was restored {date}, but not as a whole (restore type `{}`)", shown(&newest.kind)),
            ),
            (Some(_), Some("ONLINE")) => {
                (Verdict::Done, format!("`{name}` was restored {date} from `{}` and is ONLINE", args.file.as_str()))
            }
            (Some(_), Some("RESTORING")) => {
                (Verdict::Partial, format!("`{name}` was restored {date} and still waits in RESTORING; it cannot be used"))
            }
            (Some(_), None) => (Verdict::Conflict, format!("`{name}` was restored {date} and is not there any more")),
            (Some(_), Some(_)) => (Verdict::Unknown, format!("`{name}` was restored {date} and is {state}")),
        };
    }
    if let Some(busy) = busy {
        return (Verdict::Unknown, format!("a restore is under way: {}", busy.words()));
    }
    match now {
        Some("RESTORING") if before.state.as_deref() != Some("RESTORING") => {
            (Verdict::Partial, format!("a restore of `{name}` was begun and did not end: it is RESTORING and cannot be used"))
        }
        now if now != before.state.as_deref() => (
            Verdict::Unknown,
            format!("`{name}` is {state}, and was {} before", shown(before.state.as_deref().unwrap_or("missing"))),
        ),
        _ if !seen.sees_all => (
            Verdict::Unknown,
            "msdb knows no new restore, but whether one is still under way cannot be told without VIEW SERVER STATE".to_owned(),
        ),
        _ => (Verdict::NotDone, format!("`{name}` is {state} as before, and msdb knows no new restore of it")),
    }
}

pub(super) fn outputs(args: &Args, seen: &Seen, before: &Before) -> Outputs {
    let newest = seen
        .restores
        .iter()
        .filter(|one| one.id > before.newest_restore && same(&one.database, &args.database))
        .max_by_key(|one| one.id);
    let mut outputs = Map::new();
    outputs.insert("database".to_owned(), json!(args.database));
    outputs.insert("file".to_owned(), json!(args.file.as_str()));
    outputs.insert("backup_set".to_owned(), json!(before.backup_set));
    outputs.insert("restored".to_owned(), json!(newest.and_then(|one| one.date.clone())));
    outputs
}
