//! The lab's Windows hosts, judged by pypsrp, which others wrote, and by the project's own client.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

#[path = "lab_remoting/faults.rs"]
mod faults;
#[path = "lab_remoting/hosts.rs"]
mod hosts;
#[path = "lab_support/mod.rs"]
mod lab_support;
#[path = "lab_remoting/logon.rs"]
mod logon;
#[path = "support/python.rs"]
mod python;
#[path = "lab_remoting/rules.rs"]
mod rules;
#[path = "lab_remoting/shells.rs"]
mod shells;
