//! The lab's directory: two domain controllers that behave as Active Directory's do, as far as a migration can tell.
//!
//! ```text
//! server        listeners, connections, TLS, one message after the other
//! operation     one message against one replica
//! search add modify delete rename bind replication     what each does
//! rights descriptor account entry filter               what they decide by
//! store schema controls codec reply                    what they are made of
//! dn ids value well_known                              values
//! ```
//!
//! What a real one does was measured on a domain controller of Samba, and read in Microsoft's specifications where
//! Samba differs from Windows.

pub mod account;
pub mod add;
pub mod bind;
pub mod codec;
pub mod controls;
pub mod delete;
pub mod descriptor;
pub mod dn;
pub mod entry;
pub mod filter;
pub mod ids;
pub mod modify;
pub mod operation;
pub mod rename;
pub mod replication;
pub mod reply;
pub mod rights;
pub mod schema;
pub mod search;
pub mod server;
pub mod store;
pub mod value;
pub mod well_known;
