//! The lab: a stand-in for all targets, in a process of its own, for learning, trying and testing.
//!
//! ```text
//! process   starting it detached, ending it          control   orders to it, by loopback and token
//! serve     the process, composed                    files     its folder
//! world     replicas, faults and audit in memory     contoso   the world that it starts with
//! fault     what goes wrong on request               audit     what reached it
//! pki       its certificates                         directory the domain controllers
//! running   its ports                                targets   what a plan needs to reach it
//! kind      what a world moves from                  setting   what a person sets in a world
//! samba     a real directory instead, where it is    windows   the Windows hosts
//!           installed                                lync      the deployment of Lync, and its cmdlets
//! ```
//!
//! It speaks the real protocols, and nothing in it knows relevo: whatever else speaks LDAP may be its client. It is a
//! stand-in, and says so.

pub mod audit;
pub mod contoso;
pub mod control;
pub mod directory;
pub mod fault;
pub mod files;
pub mod kind;
pub mod lync;
pub mod pki;
pub mod process;
pub mod running;
pub mod samba;
pub mod serve;
pub mod setting;
pub mod targets;
pub mod windows;
pub mod world;
