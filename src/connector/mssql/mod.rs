//! SQL Server, through its PowerShell module on a host: a backup, a restore, and counts.
//!
//! ```text
//! backup    `mssql.backup`           instance  how an instance is named          sql       one statement, its rows
//! restore   `mssql.restore`          path      a file on the server              row       a `DataRow`, read
//! count     `mssql.count`            guard     a single SELECT and nothing else  queries   every statement that is ours
//! preflight what can be told before  history   what msdb and the server know     file      whether a file is there
//! ```
//!
//! Our own statements are fixed texts: what varies is compared here and never becomes a part of a statement. Where
//! SQL Server would have to be told a name, a cmdlet takes it as a parameter.

mod backup;
mod count;
pub mod file;
pub mod guard;
pub mod history;
pub mod instance;
pub mod path;
mod preflight;
pub mod queries;
pub mod restore;
pub mod row;
pub mod sql;

use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::Actions;
use crate::run::connector::Quiescence;

/// All of them.
pub const ALL: Actions = &[&backup::Backup, &restore::Restore, &count::Count];

/// No before-image of a backup or restore is larger.
const LARGEST_IMAGE: u64 = 1 << 20;

/// Foreign text, safe to print.
fn shown(text: &str) -> String {
    crate::foreign::one_line(text, 200)
}

/// Whether SQL Server still works on a backup or restore of this database. It does not end with the shell that asked for it:
/// the server notices later that nobody listens any more, and then has to take back what it did. `None` if it does not.
pub(in crate::connector) async fn goes_on(sql: Result<sql::Sql, NoAnswer>, verb: &str, database: &str) -> Option<Quiescence> {
    let cannot = |why: String| {
        let seen = format!("its shell is gone, but whether SQL Server still works on it cannot be told: {why}");
        Some(Quiescence::CannotTell { seen })
    };
    let mut sql = match sql {
        Ok(sql) => sql,
        Err(error) => return cannot(error.reason),
    };
    let seen =
        async { Ok::<_, String>((history::under_way(&mut sql).await?, history::rights(&mut sql, "master").await?.sees_all)) };
    let seen = seen.await;
    sql.close().await;
    let (under_way, sees_all) = match seen {
        Ok(seen) => seen,
        Err(why) => return cannot(why),
    };
    match under_way.iter().find(|one| one.may_concern(verb, database)) {
        Some(busy) => {
            Some(Quiescence::Busy { seen: format!("its shell is gone, and SQL Server still works on it: {}", busy.words()) })
        }
        None if sees_all => None,
        None => cannot("that needs VIEW SERVER STATE".to_owned()),
    }
}
