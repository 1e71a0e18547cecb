//! What the scheduler asks of the driver, in the imperative.

use std::collections::BTreeSet;

use super::event::Event;
use crate::plan::StepIx;
use crate::time::Timestamp;

/// Something to do now.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a command is carried out and gone; a box for each would cost more")]
pub enum Command {
    /// Append this event and apply it; nothing else. The scheduler decided it from what is recorded already.
    Record(Event),
    /// Before the attempt of this number: look whether the `before` conditions hold and whether it is done already.
    Look(StepIx, u32),
    /// Record the intent of this attempt, make it durable, then apply.
    Apply(StepIx, u32),
    /// An attempt is in doubt: find out whether it can still act, then probe. Never an apply.
    Settle(StepIx, u32),
    /// An attempt was applied: probe, and look at the `after` conditions.
    Verify(StepIx, u32),
    /// A person said that a manual step is done: probe it.
    Confirm(StepIx),
    /// Ask a person: resolve the texts of a gate and record `GateAsked`.
    AskGate(StepIx),
    /// Ask a person: resolve the texts of a manual step and record `ManualAsked`.
    AskManual(StepIx),
}

/// The answer of [`super::scheduler::Scheduler::next`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Next {
    /// What to do now, in plan order.
    pub commands: Vec<Command>,
    /// Ask again at this instant, even if nothing happens.
    pub wake_at: Option<Timestamp>,
    /// What holds up the run, if nothing is to be done now and nothing is in hand.
    pub held_up: Option<HeldUp>,
}

/// Why nothing can be done although the run is not finished. The most urgent reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldUp {
    /// A time has to come (`wake_at` says which).
    Time,
    /// The window is shut.
    Window,
    /// The run is paused.
    Paused,
    /// A gate, a manual step or a failed step waits for a person.
    Person,
    /// A step is in doubt and a person must decide.
    Doubt,
}

/// What this process is doing at the moment: steps with a command carried out and its events not all recorded.
///
/// Not part of the state on purpose. After a crash it is empty, and exactly that turns an attempt without an end
/// into one that is in doubt.
#[derive(Debug, Clone, Default)]
pub struct Hand {
    /// The steps.
    pub steps: BTreeSet<StepIx>,
}
