//! The lab's Windows hosts: PowerShell remoting at `/wsman`, with services, files, a registry and databases as state.
//!
//! ```text
//! machine   one host's state, and the folder with its files     contoso   the hosts that a fresh world has
//! cmdlet    what a cmdlet is, and the stage that it works on    cmdlets/  one file per family
//! run       from a pipeline to a cmdlet                         bind      arguments to parameters, as PowerShell does it
//! service_manager  what a service may be told, and what it refuses
//! drives    paths, and the places that they lead to             place     a place, and the real file that stands for it
//! wildcard  patterns of PowerShell, and of WQL                  errors    errors as PowerShell reports them (astray: of paths)
//!
//! listen    the ports                                            http      one connection: logon, sealing, answers
//! auth      Negotiate by NTLM, and Basic                         shells    what may be asked of a host's shells
//! shell     one shell and what waits to be received              pool      the server's side of a runspace pool
//! pipeline  one pipeline, and what goes wrong with it            refusal   the faults of the service
//! ```
//!
//! The cmdlets are those of Windows PowerShell that are listed in docs/lab.md, with the parameters, the objects and the
//! errors that Microsoft documents. Whatever else is asked for is answered as PowerShell answers what it does not know.

#![allow(clippy::result_large_err, reason = "an error ends a command once; to box it would put noise into every cmdlet")]

pub mod astray;
mod auth;
pub mod bind;
pub mod cmdlet;
pub mod cmdlets;
pub mod contoso;
pub mod drives;
pub mod errors;
mod http;
pub mod listen;
pub mod machine;
mod pipeline;
pub mod place;
mod pool;
mod refusal;
pub mod run;
pub mod service_manager;
mod shell;
pub mod shells;
pub mod sql;
pub mod wildcard;

/// The domain of the lab's hosts.
pub use super::directory::well_known::REALM as DOMAIN;

#[cfg(test)]
mod tests;
