//! The actions that may be started, kept so that a limit that is reached costs nothing: steps are grouped by the
//! limits that they occupy, and a group that is full is passed over as a whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{LimitIx, StepIx};

/// Steps by the limits that they occupy.
#[derive(Debug, Clone, Default)]
pub(super) struct Ready {
    groups: BTreeMap<Box<[LimitIx]>, BTreeSet<StepIx>>,
}

impl Ready {
    /// Puts a step in, or takes it out.
    pub(super) fn put(&mut self, ix: StepIx, limits: &[LimitIx], inside: bool) {
        if let Some(group) = self.groups.get_mut(limits) {
            if inside {
                group.insert(ix);
            } else {
                group.remove(&ix);
            }
        } else if inside {
            self.groups.insert(Box::from(limits), BTreeSet::from([ix]));
        }
    }

    /// All of them, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &StepIx> {
        self.groups.values().flatten()
    }

    /// Offers steps in plan order, as long as `is_free` says so about their limits; `start` says what becomes of one.
    pub(super) fn offer<'a>(&'a self, is_free: impl Fn(&[LimitIx]) -> bool, mut start: impl FnMut(StepIx) -> Offer) {
        // Per group its limits, the first step that was not offered yet, and those after it.
        let mut groups: Vec<(&'a [LimitIx], StepIx, _)> = Vec::with_capacity(self.groups.len());
        for (limits, group) in &self.groups {
            let mut rest = group.iter().copied();
            groups.extend(rest.next().map(|first| (&**limits, first, rest)));
        }
        loop {
            // Limits only fill up while steps are offered, so a full group need not be asked again.
            groups.retain(|(limits, ..)| is_free(limits));
            let Some(at) = (0..groups.len()).min_by_key(|at| groups[*at].1) else { return };
            let (_, first, rest) = &mut groups[at];
            let offered = *first;
            if let Some(second) = rest.next() {
                *first = second;
            } else {
                drop(groups.swap_remove(at));
            }
            if start(offered) == Offer::Enough {
                return;
            }
        }
    }
}

/// What became of an offered step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// Taken, or not now: go on with the next.
    Next,
    /// No slot is left.
    Enough,
}
