//! A real directory in place of the embedded one: one domain controller of Samba's, in the lab's folder, on 127.0.0.2.
//!
//! ```text
//! host      whether this machine can do it          build     the domain, made once per world
//! process   starting it, ending it                  pools     what Lync has there beside its people
//! ldap      what the lab's Lync asks of it          audit     Samba's log of changes in the lab's words
//! staff     those who are there because of rooms
//! ```
//!
//! A folder is Samba's from the first `relevo lab up --directory samba` on. Beside it runs the lab's own process, with the same
//! hosts as ever. It lacks the embedded directory's faults and copies; whatever can be done with any domain can be done with it.

mod audit;
mod build;
mod host;
mod ldap;
mod pools;
mod process;
mod staff;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use audit::read as audit;
pub use ldap::Ldap;
pub use process::{become_samba, is_running, reset, start, stop, up};

use super::contoso::CONTROLLERS;
use super::files::Files;
use super::running::Ports;

/// Where it listens: a loopback address that no usual server takes.
pub const ADDRESS: &str = "127.0.0.2";

/// Its one domain controller, and the ports that the protocol fixes.
#[must_use]
pub fn ports() -> BTreeMap<String, Ports> {
    BTreeMap::from([(CONTROLLERS[0].to_owned(), Ports { ldaps: 636, ldap: 389, gc_tls: 3269, gc: 3268 })])
}

/// Whether the lab of this folder is Samba's.
#[must_use]
pub fn is(files: &Files) -> bool {
    lock(files).exists()
}

/// Whether there is a domain.
#[must_use]
pub fn has_world(files: &Files) -> bool {
    build::accounts(files).is_some()
}

/// Held by whoever starts, ends or builds; the file that makes a folder Samba's.
fn lock(files: &Files) -> PathBuf {
    files.dir().join("samba.lock")
}

/// A path below Samba's own folder.
fn below(files: &Files, path: impl AsRef<Path>) -> PathBuf {
    files.dir().join("samba").join(path)
}
