//! Whether something lasts as long as a run may: a password, a ticket, a certificate. Pure.

use jiff::Timestamp;

use crate::run::connector::{Call, Finding, Level};
use crate::time::Span;

/// How long a run without a window is taken to last: a weekend.
const WEEKEND: Span = Span::from_secs(48 * 3600);

/// Until when it must last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    until: Timestamp,
    window: bool,
}

impl Last {
    /// Until the window of a call's run closes; without one, or if it is closed already, for two days.
    #[must_use]
    pub fn of(call: &Call, now: Timestamp) -> Self {
        match call.until {
            Some(closes) if closes.0 > now => Last { until: closes.0, window: true },
            _ => Last::weekend(now),
        }
    }

    /// For two days.
    #[must_use]
    pub fn weekend(now: Timestamp) -> Self {
        Last { until: crate::time::Timestamp(now).plus(WEEKEND).0, window: false }
    }

    /// What it means that `what` ends at that time: a warning if that is too early, with what to do.
    #[must_use]
    pub fn ending(&self, what: &str, at: Timestamp, now: Timestamp, todo: &str) -> Finding {
        let when = moment(at);
        if at > self.until {
            return Finding { level: Level::Fact, message: format!("{what} ends on {when}") };
        }
        let message = match (at <= now, self.window) {
            (true, _) => format!("{what} has ended, on {when}; {todo}"),
            (false, true) => {
                format!("{what} ends on {when}, before the window closes on {}; {todo} before that", moment(self.until))
            }
            (false, false) => format!("{what} ends on {when}, within two days; {todo} before that"),
        };
        Finding { level: Level::Warning, message }
    }
}

/// An instant, for people.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f66_what_ends_inside_the_window_is_told_with_what_to_do() {
        let now: Timestamp = "2026-12-04T18:00:00Z".parse().unwrap();
        let closes: Timestamp = "2026-12-07T06:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let window = Last { until: closes, window: true };
        let told = |last: &Last, end: &str| last.ending("the password of `svc`", at(end), now, "set a new one");
        let inside = told(&window, "2026-12-06T03:00:00Z");
        assert_eq!(inside.level, Level::Warning);
        assert_eq!(
            inside.message,
            "the password of `svc` ends on 2026-12-06 03:00 UTC, before the window closes on 2026-12-07 06:00 UTC; set a new one \
             before that"
        );
        assert_eq!(told(&window, "2026-12-07T06:00:01Z").level, Level::Fact);
        assert!(told(&window, "2026-12-04T17:59:59Z").message.contains("has ended"));
        // Without a window a run is taken to last a weekend.
        let weekend = Last::weekend(now);
        assert_eq!(told(&weekend, "2026-12-06T18:00:00Z").level, Level::Warning);
        assert_eq!(told(&weekend, "2026-12-06T18:00:01Z").level, Level::Fact);
    }
}
