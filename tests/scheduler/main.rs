//! The scheduler, sentence by sentence: given these events, what comes next is exactly this and nothing else.
//!
//! [`story`] tells events and reads answers; each other module is one subject.

#![expect(clippy::expect_used, reason = "a test may fail by panicking; outside of test functions clippy does not know that")]

mod agreed;
mod doubt;
mod failure;
mod fold;
mod gates;
mod holds;
mod order;
mod people;
mod real_driver;
mod salvage;
mod story;
#[path = "../support/plans.rs"]
mod support;
