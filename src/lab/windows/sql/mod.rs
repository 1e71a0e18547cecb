//! A stand-in for SQL Server: instances on a machine, whose databases are SQLite files.
//!
//! ```text
//! instance   one instance: its files, its msdb, its databases     tokens     Transact-SQL in pieces
//! batch      statements to be run, and their rows                 translate  from those pieces to SQLite's
//! backup     a backup into a file, and back                       functions  what SQLite has no word for
//! path       from a path of Windows to a file of the lab          error      as SQL Server words it
//! value      from SQLite's values to PowerShell's                 world/     what a fresh lab holds
//! ```
//!
//! It knows the part of Transact-SQL that SQLite shares, plus what `translate` rewrites; anything else is refused with an
//! error, never guessed. State that a person can set (who is connected, what is under way, room on the disk, rights) stands in
//! tables of `msdb` whose names begin with `lab_`.

pub mod backup;
pub mod batch;
pub mod error;
mod functions;
pub mod instance;
mod path;
mod tokens;
mod translate;
mod value;
mod world;

pub use instance::{Instance, open};
pub use world::{COMPLIANCE, INSTANCE, LEGACY, PERSISTENT_CHAT, create_databases, create_databases_of};
