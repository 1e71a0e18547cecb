//! CLIXML: the values of PowerShell, and their form in XML ([MS-PSRP] section 2.2.5).
//!
//! [`read`] and [`write()`] are inverse to each other for everything that a Rust string can hold: names, order of properties,
//! type names, sharing. What an answer may cost is bounded by [`Limits`]; hostile text is an error, never a panic.
//! Knows nothing of messages, fragments and connections.

mod build;
mod convert;
mod error;
mod escape;
mod kinds;
mod read;
mod show;
mod value;
mod write;

pub use error::ClixmlError;
pub use escape::{escape, unescape};
pub use read::{Limits, read, read_bytes};
pub use value::{Content, Object, Property, Value};
pub use write::{DEEPEST, write};
