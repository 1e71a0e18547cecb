//! The engine: what may happen next (pure), and the one loop that makes it happen.
//!
//! # Overview
//!
//! 1. Everything known about a run came into being as an [`event::Event`], was appended to the [`journal::Journal`],
//!    and only then changed the [`state::RunState`]. [`scheduler::Scheduler::apply`] is the only way it changes.
//! 2. [`scheduler::Scheduler::next`] reads the state, the time and what this process has *in hand*, and answers with
//!    commands and the instant at which to ask again.
//! 3. [`driver`] carries commands out and turns every answer of the world into an event. It decides nothing.
//!
//! Resume is the same loop over a journal that already has records. A rehearsal is the same loop over another
//! journal and wrapped connectors. The simulator in `tests/` is the same scheduler over an invented world.

pub mod attempt;
pub mod before_image;
pub mod calls;
pub mod command;
pub mod connector;
pub mod decide;
pub mod doubt;
pub mod driver;
pub mod event;
pub mod fold;
pub mod gates;
mod index;
pub mod journal;
pub mod letters;
pub mod order;
pub mod past;
pub mod people;
pub mod questions;
mod ready;
pub mod rebind;
pub mod rehearsal;
pub mod salvaged;
pub mod scheduler;
pub mod scope;
pub mod state;
