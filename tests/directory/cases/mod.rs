//! The cases: each a sentence, each in a place of its own.

mod deletion;
mod guard;
mod identity;
#[cfg(feature = "kerberos")]
mod kerberos;
mod kills;
mod logon;
mod lost;
mod lync;
mod modify;
mod program;
mod restore;
mod search;
mod settle;
mod tickets;
mod visibility;
mod world;

use crate::world::World;

/// One case.
pub type Case = fn(&dyn World);

/// Names the cases of a file.
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        /// The cases of this file.
        pub const CASES: &[(&str, crate::cases::Case)] = &[$((stringify!($case), $case)),*];
    };
}
use cases;

/// All of them, with their names.
pub fn all() -> Vec<(String, Case)> {
    let files = [
        ("world", world::CASES),
        ("deletion", deletion::CASES),
        ("identity", identity::CASES),
        ("guard", guard::CASES),
        ("visibility", visibility::CASES),
        ("logon", logon::CASES),
        ("restore", restore::CASES),
        ("lync", lync::CASES),
        ("settle", settle::CASES),
        ("modify", modify::CASES),
        ("search", search::CASES),
        ("program", program::CASES),
        ("kills", kills::CASES),
        ("lost", lost::CASES),
        ("tickets", tickets::CASES),
        #[cfg(feature = "kerberos")]
        ("kerberos", kerberos::CASES),
    ];
    files.into_iter().flat_map(|(file, cases)| cases.iter().map(move |(name, case)| (format!("{file}::{name}"), *case))).collect()
}
