//! The weekend, end to end: the shipped plans of `plans/lync-2013` by the program alone against the lab, and what was done in
//! the end, as the world and its audit tell it.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::format_push_string,
    reason = "a test ends where something is not as it must be"
)]

#[path = "../lab_support/mod.rs"]
mod lab_support;
#[allow(dead_code, reason = "one function of it is called")]
#[path = "../support/mod.rs"]
mod support;

mod before;
mod green;
mod kills;
mod mistakes;
mod past;
mod samba;
mod undo;
mod world;
