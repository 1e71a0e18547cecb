//! Why a target could not be looked at.

use crate::run::connector::{Finding, Level, Pin};

/// Why something could not be looked at. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer {
    /// The server could not be reached at all.
    pub unreachable: bool,
    /// For people.
    pub reason: String,
}

impl From<String> for NoAnswer {
    fn from(reason: String) -> Self {
        NoAnswer { unreachable: false, reason }
    }
}

impl NoAnswer {
    /// As a finding that keeps a run from starting.
    #[must_use]
    pub fn finding(self) -> Finding {
        Finding { level: if self.unreachable { Level::Unreachable } else { Level::Fatal }, message: self.reason }
    }

    /// As the answer to what a step should be bound to.
    #[must_use]
    pub fn pin(self) -> Pin {
        Pin::Cannot { unreachable: self.unreachable, reason: self.reason }
    }
}
