//! The legacy sign-in, by the program against the lab, and both of its ends against others.
#![cfg(all(unix, feature = "lab"))]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod bytes;
mod client;
mod front_end;
#[path = "../lab_support/mod.rs"]
mod lab_support;
mod steps;
mod world;
