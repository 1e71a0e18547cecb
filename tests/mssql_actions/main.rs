//! The actions on SQL Server: over the real protocol against a server of other people's code; their guard, by property; and
//! the lab's own SQL Server.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

#[path = "../support/python.rs"]
mod python;

mod actions;
mod guard;
#[cfg(feature = "lab")]
#[expect(clippy::result_large_err, reason = "a cmdlet ends with an error record")]
mod lab;
#[cfg(feature = "lab")]
#[expect(clippy::result_large_err, reason = "a cmdlet ends with an error record")]
mod lab_backup;
