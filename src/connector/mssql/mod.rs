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

use crate::connector::powershell::Actions;

/// All of them.
pub const ALL: Actions = &[&backup::Backup, &restore::Restore, &count::Count];

/// No before-image of a backup or restore is larger.
const LARGEST_IMAGE: u64 = 1 << 20;

/// Foreign text, safe to print.
fn shown(text: &str) -> String {
    crate::foreign::one_line(text, 200)
}
