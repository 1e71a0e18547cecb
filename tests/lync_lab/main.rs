//! The lab's Lync: by the program and its actions, and by pypsrp, which others wrote.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

mod administration;
#[path = "../lab_support/mod.rs"]
mod lab_support;
#[path = "../support/python.rs"]
mod python;
mod remote;
mod settings;
