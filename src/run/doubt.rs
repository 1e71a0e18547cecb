//! What the looks at an attempt in doubt allow: the one table, pure.
//!
//! - While the attempt may still act, neither *done* nor *not done* counts: what was seen may change under the look.
//! - Where nothing proves that it is gone and only its time is over, a look counts once two agree, apart by the time in
//!   which a change is seen everywhere.
//! - What would be repeated and destroys, or must happen only once, needs two such looks as well.

use super::state::StepFacts;
use crate::plan::action::Effect;
use crate::plan::{InDoubt, Step, Verdict};
use crate::time::{Span, Timestamp};

/// How long to wait before an attempt in doubt, or an answer that could not tell, is looked at again.
pub const LOOK_AGAIN: Span = Span::from_secs(2);
/// How many looks that cannot tell until a person is asked.
pub const LOOKS: u32 = 3;

/// Looks in a row, at an attempt that can no longer act, that said the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What they said.
    pub verdict: Option<Verdict>,
    /// When the first of them was made.
    pub since: Timestamp,
    /// When the last of them was made.
    pub until: Timestamp,
    /// How many.
    pub looks: u32,
}

impl Row {
    /// The row with one more look; a look that says something else begins anew, and so does a clock that went backwards.
    #[must_use]
    pub fn with(row: Option<Row>, verdict: Option<Verdict>, at: Timestamp) -> Row {
        match row {
            Some(row) if row.verdict == verdict && row.until <= at => Row { until: at, looks: row.looks + 1, ..row },
            _ => Row { verdict, since: at, until: at, looks: 1 },
        }
    }

    fn agrees(&self, apart: Span) -> bool {
        self.looks >= 2 && self.until.since(self.since) >= apart
    }
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Look again after this time.
    LookAgain(Span),
    /// The effect is there.
    Done,
    /// It may be made again.
    Repeat,
    /// A person must decide, because of this.
    Person(&'static str),
}

/// What follows from the looks made so far at the latest attempt. `None` before the first.
#[must_use]
pub fn follows(step: &Step, facts: &StepFacts) -> Option<Follows> {
    let probe = facts.last_probe.as_ref().filter(|_| facts.doubt_looks > 0)?;
    if probe.running {
        return Some(Follows::LookAgain(LOOK_AGAIN));
    }
    let effect = step.effect();
    let agreed = facts.quiet.is_some_and(|row| row.agrees(step.stable_for));
    let twice = |then: Follows| if agreed { then } else { Follows::LookAgain(step.stable_for.max(LOOK_AGAIN)) };
    Some(match (probe.verdict, effect) {
        // Reading twice is reading once, even if the first reading goes on.
        (_, Effect::Read) => Follows::Repeat,
        _ if !probe.quiesced => Follows::Person("nobody can tell whether it can still act"),
        (_, Effect::Opaque) => Follows::Person("an opaque effect cannot be probed"),
        (Some(Verdict::Unknown), _) if facts.unknown_probes < LOOKS => Follows::LookAgain(LOOK_AGAIN),
        (Some(Verdict::Unknown), _) => Follows::Person("the probe cannot tell"),
        _ if probe.time_is_over && !agreed => Follows::LookAgain(step.stable_for.max(LOOK_AGAIN)),
        (Some(Verdict::Done), _) => Follows::Done,
        (Some(Verdict::Conflict), _) => Follows::Person("what is there is neither what was nor what is to be"),
        _ if step.in_doubt == Some(InDoubt::Ask) => Follows::Person("the plan says that a person decides"),
        (Some(Verdict::NotDone), Effect::Ensure | Effect::Cas | Effect::Keyed) if !step.is_destructive() => Follows::Repeat,
        (Some(Verdict::NotDone), Effect::Once) if step.is_destructive() && step.in_doubt != Some(InDoubt::Repeat) => {
            twice(Follows::Person("the probe says twice that it is not done, and a repetition would destroy if that were wrong"))
        }
        (Some(Verdict::NotDone), _) => twice(Follows::Repeat),
        // What destroys is repeated on positive evidence only.
        (None, _) if step.is_destructive() => Follows::Person("it destroys, and it has no probe"),
        // Setting a state twice is setting it once; a keyed effect is deduplicated by the server.
        (Some(Verdict::Partial), Effect::Ensure) if !step.is_destructive() => Follows::Repeat,
        (None, Effect::Ensure | Effect::Keyed) => Follows::Repeat,
        (Some(Verdict::Partial), _) => Follows::Person("it is partly done"),
        (None, Effect::Cas | Effect::Once) => Follows::Person("it has no probe"),
    })
}
