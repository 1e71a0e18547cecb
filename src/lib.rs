//! relevo rehearses, runs and resumes the steps of a migration weekend.
//!
//! ```text
//! main → cli → { view, connector, journal, lab } → run → plan → { error, foreign, regular, secret, time }
//! ```
//!
//! Arrows point downward only; `tests/layering.rs` keeps them. Data flows one way: a *plan* is loaded and
//! checked ([`plan`]), a pure scheduler decides what may happen next ([`run`]), one driver does it through the
//! *connectors* and records every fact in the *journal*, and the *views* show what the journal already holds.

pub mod cli;
pub mod connector;
pub mod error;
pub mod foreign;
pub mod journal;
#[cfg(feature = "lab")]
pub mod lab;
pub mod plan;
pub mod regular;
pub mod remoting;
pub mod run;
pub mod secret;
pub mod sip;
pub mod time;
pub mod view;
