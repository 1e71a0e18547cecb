//! The plan: from YAML text with positions to a validated, immutable [`Plan`].
//!
//! Owns the language: keys, types, expressions, the graph, and every message about a mistake. Knows nothing of
//! runs, journals or how an action is carried out; what actions exist is told to it by a [`Catalogue`].
//!
//! ```text
//! source → guard → node → load { params, targets, build { survey → needs → step → checks } } → Plan
//!                    └─ mistakes → locate → diagnostic::Report
//! ```
//!
//! What everyone uses on the way: `keys` and `read` (which keys there are, and reading their values), `expr`
//! (expressions), `action` (the catalogue), `fingerprint`. On the finished plan: `graph`, `acts`.
//!
//! ```text
//! mod.rs → model (what a plan is) · schema (the language as a JSON schema)
//! ```

pub mod action;
pub mod acts;
mod build;
pub mod diagnostic;
pub mod expr;
mod fingerprint;
pub mod graph;
mod guard;
mod keys;
pub mod load;
mod locate;
pub mod model;
mod node;
mod params;
mod read;
pub mod schema;
mod source;
mod targets;

pub use action::{ActionSpec, Catalogue};
pub use fingerprint::of_inputs;
pub use model::*;

/// Bytes as lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Parts of a key that say that its value is a secret.
const SECRET_WORDS: [&str; 10] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "api_key", "apikey", "private_key", "privatekey"];

/// Whether a key says that its value is a secret. `password_file` and the like name a place, not a secret.
fn secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| key.contains(word))
        && !["_file", "_path", "_policy", "_length", "_name"].iter().any(|end| key.ends_with(end))
}
