//! Actions on Lync Server, over its own remote PowerShell (`https://<front end>/OcsPowerShell`): a move from Group Chat to
//! Persistent Chat.
//!
//! ```text
//! cs          what all of them share: one cmdlet, what it gave, what that is worth
//! chat/       lync.chat.export, lync.chat.inspect, lync.chat.import_whatif, lync.chat.import
//! endpoint/   lync.endpoint.create, lync.endpoint.remove
//! service     lync.service
//! policy pool sessions                   looks: lync.policy.check, lync.pool.check, lync.sessions.check
//! database    lync.user_database.update
//! sign_in/                               lync.legacy_sign_in: the one that speaks SIP, as a client does
//! trusted topology                       retirement: lync.trusted_application.remove, lync.topology.enable
//! ```
//!
//! The endpoint is a restricted runspace: one cmdlet with named parameters makes a pipeline, there are no scripts and no
//! variables, and what is to be filtered is filtered here. `lync.cmdlet` shares its code with `powershell`.
//!
//! No text of an error is ever matched: none is documented. After whatever went wrong the state is read again.

pub mod chat;
mod cs;
mod database;
mod endpoint;
mod policy;
mod pool;
mod service;
mod sessions;
pub mod sign_in;
mod topology;
mod trusted;

use crate::connector::powershell::{Actions, script};

/// All of them.
pub const ALL: Actions = &[
    &chat::Export,
    &chat::Inspect,
    &chat::ImportWhatIf,
    &chat::Import,
    &endpoint::Create,
    &endpoint::Remove,
    &service::Service,
    &policy::PolicyCheck,
    &pool::PoolCheck,
    &sessions::SessionsCheck,
    &database::UpdateUserDatabase,
    &trusted::RemoveTrustedApplication,
    &topology::EnableTopology,
    &script::CMDLET,
];
