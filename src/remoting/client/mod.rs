//! A remote shell with PowerShell in it, and one pipeline at a time.
//!
//! ```text
//! service   one call of WS-Management: an envelope out, an envelope back
//! shells    what concerns shells from outside: is one there, remove one (a resume needs no more)
//! shell     our own shell: open, run, close
//! leave     leaving a shell that goes on, and coming back
//! running   a pipeline at work: a task of its own reads, the caller takes events from a bounded channel
//! ```
//!
//! The id of a shell is the caller's to choose, so that it can be written down before anything exists. A call that may have
//! had an effect is never repeated here; [`CallError::may_have_acted`] says what is certain.

mod error;
mod leave;
mod running;
mod service;
mod shell;
mod shells;

pub use error::{CallError, ShellError};
pub use running::{End, Limits, Running, Truncated};
pub use service::Service;
pub use shell::{Settings, Shell};
pub use shells::{Terminated, exists, shells, terminate};
