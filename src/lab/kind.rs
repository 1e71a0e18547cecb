//! What a world moves from: the one thing in which fresh worlds differ.

use std::fmt;
use std::str::FromStr;

/// The legacy deployment of a world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// Lync Server 2010 Group Chat.
    #[default]
    Lync2010,
    /// Office Communications Server 2007 R2 Group Chat.
    Ocs2007R2,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::Lync2010 => "lync2010",
            Kind::Ocs2007R2 => "ocs2007r2",
        })
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Kind::Lync2010, Kind::Ocs2007R2].into_iter().find(|kind| kind.to_string() == text).ok_or(())
    }
}
