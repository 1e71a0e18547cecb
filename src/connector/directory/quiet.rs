//! Whether an earlier attempt can still act. Pure.
//!
//! LDAP has no way to ask after an earlier request, and that a connection is gone proves nothing of whoever was only cut off
//! from us. Two things are certain:
//!
//! - Whoever is dead sends nothing more. At most one request of it is still under way.
//! - An attempt has a time of its own. Nothing proves that whoever made it keeps to it (a machine that slept goes on where it
//!   was), so that the end of the time is no proof, and the engine then wants two looks that agree.

use super::super::span;
use crate::run::connector::{Quiescence, Sent};
use crate::time::Span;

/// How far the clocks of two machines may be apart before the preflight warns of it: the age of an attempt is the difference
/// between our clock and the clock of whoever recorded its intent. It also covers the moment between the intent and the
/// start of the attempt's own time.
pub const CLOCKS: Span = Span::from_secs(60);

/// What a request of an attempt does if it is carried out late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The attempt is a single request, addressed by GUID or by what the object must hold before: late, it finds the same
    /// object in the approved state, or changes nothing.
    SameOrNothing,
    /// The attempt is a row of requests, and not each of them compares before it sets: whoever lives may go on with it.
    Several,
}

/// Judges an attempt. `over` says that whoever made it is known to be dead, or that this process made it and has closed its
/// connection; `timeout` is its own time, `operation` that of one request.
#[must_use]
pub fn quiesce(late: Late, over: bool, sent: Sent, timeout: Option<Span>, operation: Span) -> Quiescence {
    match (late, over) {
        (Late::SameOrNothing, true) => quiet(
            "whoever sent it is gone, and LDAP keeps no request beyond its connection; one that is carried out late still finds \
             the same object by its identity and in the approved state, or changes nothing",
        ),
        // The last of its requests may still be under way: it is given the time of one. What it sets is what the image holds.
        (Late::Several, true) => match sent.ago {
            Some(ago) if ago > operation => quiet("whoever sent it is gone, and the time of its last request is over"),
            _ => Quiescence::Busy { seen: format!("its last request may still be carried out, for at most {}", span(operation)) },
        },
        (Late::Several, false) => Quiescence::CannotTell {
            seen: "it is a row of requests, and nobody can tell whether whoever sent them is gone or only cut off".to_owned(),
        },
        (Late::SameOrNothing, false) => in_time(sent, timeout, operation),
    }
}

fn in_time(sent: Sent, timeout: Option<Span>, operation: Span) -> Quiescence {
    let Some(ago) = sent.ago else {
        let seen = "nobody can tell whether whoever sent it is gone or only cut off, or when it was sent";
        return Quiescence::CannotTell { seen: seen.to_owned() };
    };
    let own = timeout.map_or(operation, |timeout| timeout.max(operation));
    let most = Span::from_millis(own.as_millis().saturating_add(CLOCKS.as_millis()));
    if ago > most {
        let seen = format!(
            "nothing proves that whoever sent it is gone, but its time was over after {} and the intent is {} old",
            span(own),
            span(whole(ago))
        );
        return Quiescence::TimeIsOver { seen };
    }
    let left = whole(Span::from_millis(most.as_millis() - ago.as_millis()));
    Quiescence::Busy { seen: format!("whoever sent it may only be cut off, and may still act for {}", span(left)) }
}

fn whole(time: Span) -> Span {
    Span::from_secs(time.as_millis().div_ceil(1000))
}

fn quiet(seen: &str) -> Quiescence {
    Quiescence::Quiet { seen: seen.to_owned(), ended: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATION: Span = Span::from_secs(10);

    fn sent(dead: bool, ago: Option<u64>) -> Sent {
        Sent { dead, ago: ago.map(Span::from_secs) }
    }

    fn word(late: Late, over: bool, sent: Sent, timeout: Option<u64>) -> &'static str {
        match quiesce(late, over, sent, timeout.map(Span::from_secs), OPERATION) {
            Quiescence::Quiet { .. } => "quiet",
            Quiescence::Busy { .. } => "busy",
            Quiescence::TimeIsOver { .. } => "time is over",
            Quiescence::CannotTell { .. } => "cannot tell",
        }
    }

    #[test]
    fn f74_a_holder_that_was_only_cut_off_may_act_until_its_time_is_over_and_is_never_quiet() {
        let of = |ago, timeout| word(Late::SameOrNothing, false, sent(false, ago), timeout);
        assert_eq!(of(None, None), "cannot tell");
        // The target's time, and the clocks.
        assert_eq!((of(Some(0), None), of(Some(70), None), of(Some(71), None)), ("busy", "busy", "time is over"));
        // The step's own time counts where it is longer, and never shortens the other.
        assert_eq!((of(Some(71), Some(600)), of(Some(661), Some(600))), ("busy", "time is over"));
        assert_eq!((of(Some(62), Some(1)), of(Some(71), Some(1))), ("busy", "time is over"));
        assert_eq!(of(Some(u64::MAX / 1000), Some(600)), "time is over");
    }

    #[test]
    fn f05_what_a_dead_process_sent_by_identity_is_quiet_at_once() {
        for ago in [None, Some(0), Some(3600)] {
            assert_eq!(word(Late::SameOrNothing, true, sent(true, ago), Some(600)), "quiet");
        }
    }

    #[test]
    fn f74_a_row_of_requests_is_quiet_only_when_its_sender_is_dead_and_the_time_of_the_last_one_is_over() {
        let of = |over, ago| word(Late::Several, over, sent(over, ago), Some(600));
        assert_eq!((of(false, None), of(false, Some(3600))), ("cannot tell", "cannot tell"));
        assert_eq!((of(true, None), of(true, Some(10)), of(true, Some(11))), ("busy", "busy", "quiet"));
    }
}
