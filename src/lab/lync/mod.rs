//! The lab's Lync: the remote PowerShell of a Front End (`/OcsPowerShell`), and the deployment that its cmdlets see and change.
//!
//! ```text
//! deployment   what the Central Management store and the Front Ends hold     contoso    the deployment of a fresh world
//! forest       what a cmdlet works on: deployment, machines, directory       directory  what of Active Directory Lync asks for
//! run          from a pipeline to a cmdlet, within the caller's roles        embedded   the lab's own directory, asked so
//! replicator   what the Front Ends know of the directory                     condition  what `-Filter` says
//! chat/        the data of rooms, and how it moves                           cmdlets/   one file per family
//! sip/         the door for clients: where the well-known address leads
//! ```
//!
//! The cmdlets are those of Lync Server 2013 that are listed in docs/lab.md, with the parameters and objects that Microsoft
//! documents. The words of their errors are documented nowhere: those here are the lab's own.

#![allow(clippy::result_large_err, reason = "as for the cmdlets of Windows: an error ends a command once")]

pub mod chat;
pub mod cmdlets;
pub mod condition;
pub mod contoso;
pub mod deployment;
pub mod directory;
pub mod embedded;
pub mod forest;
pub mod replicator;
pub mod run;
pub mod sip;
