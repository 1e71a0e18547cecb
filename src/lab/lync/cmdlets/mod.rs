//! The cmdlets, by family.

pub mod categories;
pub mod chat_data;
pub mod chat_state;
mod common;
pub mod endpoints;
mod people;
pub mod policies;
pub mod pools;
pub mod replication;
pub mod replicator;
mod report;
pub mod roles;
pub mod rooms;
pub mod services;
pub mod session;
pub mod sip_domains;
pub mod topology;
pub mod trusted;
pub mod users;
pub mod windows_services;

use super::forest::Cs;

/// Every cmdlet that the lab's remote PowerShell of Lync knows.
pub const ALL: &[&[Cs]] = &[
    session::CMDLETS,
    sip_domains::CMDLETS,
    services::CMDLETS,
    pools::CMDLETS,
    windows_services::CMDLETS,
    chat_state::CMDLETS,
    policies::CMDLETS,
    users::CMDLETS,
    endpoints::CMDLETS,
    replicator::CMDLETS,
    chat_data::CMDLETS,
    rooms::CMDLETS,
    categories::CMDLETS,
    trusted::CMDLETS,
    topology::CMDLETS,
    replication::CMDLETS,
    roles::CMDLETS,
];

#[cfg(test)]
mod bench;
#[cfg(test)]
mod tests;
