//! What the counts of a database say of an import. Pure.

use serde::{Deserialize, Serialize};

use crate::plan::Verdict;

/// What a content database holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rooms.
    pub rooms: i64,
    /// Categories, with the root.
    pub categories: i64,
    /// Messages.
    pub messages: i64,
}

impl Counts {
    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} rooms, {} categories, {} messages", self.rooms, self.categories, self.messages)
    }
}

/// What is kept before the first attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The format.
    pub relevo_chat_import: u32,
    /// The instance and the database.
    pub instance: String,
    /// As above.
    pub database: String,
    /// What it held.
    pub counts: Counts,
    /// The attempt that was about to begin. A later one of the same image follows one that may have acted.
    pub attempt: u32,
    /// The identity of the backup from before.
    pub backup_set: String,
    /// Its place in the file.
    pub position: i64,
    /// When a report of the same name had been written, if there was one.
    pub report: Option<i64>,
}

/// What is expected of the import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Rooms of the export: at most so many more, since those of the same name are overwritten.
    pub rooms: i64,
    /// Messages of the export: exactly so many more.
    pub messages: i64,
}

/// What a look saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `ONLINE`; nothing if there is no such database.
    pub state: Option<String>,
    /// A restore that is under way.
    pub busy: Option<String>,
    /// The counts; why they are not known.
    pub counts: Result<Counts, String>,
    /// When the report was written, if there is one.
    pub report: Option<i64>,
    /// Whether the cmdlet was seen to end, without a complaint.
    pub ended: bool,
}

/// What it means. `before` is there once an attempt may have begun.
#[must_use]
pub fn meaning(expected: Expected, seen: &Seen, before: Option<&Before>) -> (Verdict, String) {
    if let Some(busy) = &seen.busy {
        return (Verdict::Unknown, format!("a restore is under way: {busy}"));
    }
    match (seen.state.as_deref(), before) {
        (Some("ONLINE"), _) => {}
        (Some("RESTORING"), Some(_)) => {
            return (Verdict::Partial, "a restore was begun and did not end: the database is RESTORING".to_owned());
        }
        (state, _) => return (Verdict::Unknown, format!("the database is {}", state.unwrap_or("missing"))),
    }
    let now = match &seen.counts {
        Ok(counts) => counts,
        Err(why) => return (Verdict::Unknown, format!("what the database holds cannot be counted: {why}")),
    };
    let Some(before) = before else {
        return (Verdict::NotDone, format!("the database holds {}", now.words()));
    };
    let was = &before.counts;
    let reported = seen.report.is_some() && seen.report != before.report;
    if now == was {
        // Rooms that were there are overwritten without being counted.
        let beware = if reported {
            "; but an import wrote its report: unless the backup was put back since, rooms may be overwritten"
        } else {
            ""
        };
        return (Verdict::NotDone, format!("the database holds {}, as before{beware}", now.words()));
    }
    let (rooms, messages) = (now.rooms - was.rooms, now.messages - was.messages);
    let told = format!(
        "{rooms:+} rooms of {} and {messages:+} messages of {} (before: {}; now: {})",
        expected.rooms,
        expected.messages,
        was.words(),
        now.words()
    );
    // Rooms that were there are overwritten and count for nothing; where there are no messages, the rooms have to be all.
    let enough = if expected.messages > 0 { (0..=expected.rooms).contains(&rooms) } else { rooms == expected.rooms };
    if messages != expected.messages || !enough {
        return (Verdict::Partial, format!("it is neither as before nor as expected: {told}"));
    }
    // Members and rights come after what is counted, for all that is known.
    match (reported, seen.ended) {
        (true, true) => (Verdict::Done, format!("everything has arrived: {told}")),
        (true, false) => {
            (Verdict::Partial, format!("everything was counted, and yet the import was not seen to end without an error: {told}"))
        }
        (false, _) => (Verdict::Partial, format!("everything was counted, and yet there is no report of it: {told}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rooms: i64, messages: i64) -> Counts {
        Counts { rooms, categories: 5, messages }
    }

    fn before() -> Before {
        Before {
            relevo_chat_import: 1,
            instance: "sql01".to_owned(),
            database: "mgc".to_owned(),
            counts: Counts { categories: 1, ..counts(2, 10) },
            attempt: 1,
            position: 1,
            backup_set: "b1".to_owned(),
            report: Some(7),
        }
    }

    fn seen(rooms: i64, messages: i64, report: Option<i64>) -> Seen {
        Seen { state: Some("ONLINE".to_owned()), busy: None, counts: Ok(counts(rooms, messages)), report, ended: true }
    }

    const EXPECTED: Expected = Expected { rooms: 30, messages: 500 };

    fn verdict(seen: &Seen) -> Verdict {
        meaning(EXPECTED, seen, Some(&before())).0
    }

    #[test]
    fn done_is_every_message_no_more_rooms_than_expected_and_a_new_report() {
        assert_eq!(verdict(&seen(32, 510, Some(8))), Verdict::Done);
        // Two rooms were there already, and are overwritten.
        assert_eq!(verdict(&seen(30, 510, Some(8))), Verdict::Done);
        for half in [seen(33, 510, Some(8)), seen(1, 510, Some(8)), seen(32, 509, Some(8)), seen(32, 511, Some(8))] {
            assert_eq!(verdict(&half), Verdict::Partial, "{half:?}");
        }
        assert_eq!(verdict(&seen(32, 510, Some(7))), Verdict::Partial, "the report is the one from before");
        assert_eq!(verdict(&seen(32, 510, None)), Verdict::Partial);
    }

    #[test]
    fn what_was_counted_is_not_done_unless_the_import_was_seen_to_end() {
        assert_eq!(verdict(&Seen { ended: false, ..seen(32, 510, Some(8)) }), Verdict::Partial);
    }

    #[test]
    fn not_done_is_exactly_as_before_and_a_new_report_is_told() {
        let same = Seen { counts: Ok(before().counts), ..seen(0, 0, Some(8)) };
        let (verdict_then, told) = meaning(EXPECTED, &same, Some(&before()));
        assert_eq!(verdict_then, Verdict::NotDone);
        assert!(told.contains("may be overwritten"), "{told}");
        assert!(!meaning(EXPECTED, &Seen { report: Some(7), ..same }, Some(&before())).1.contains("overwritten"));
        // A category is something, too.
        assert_eq!(verdict(&seen(2, 10, Some(7))), Verdict::Partial);
    }

    #[test]
    fn without_messages_the_rooms_have_to_be_all() {
        let expected = Expected { rooms: 3, messages: 0 };
        assert_eq!(meaning(expected, &seen(5, 10, Some(8)), Some(&before())).0, Verdict::Done);
        assert_eq!(meaning(expected, &seen(4, 10, Some(8)), Some(&before())).0, Verdict::Partial);
    }

    #[test]
    fn a_database_that_cannot_be_counted_says_nothing() {
        assert_eq!(verdict(&Seen { counts: Err("no".to_owned()), ..seen(0, 0, None) }), Verdict::Unknown);
        assert_eq!(verdict(&Seen { busy: Some("RESTORE".to_owned()), ..seen(32, 510, Some(8)) }), Verdict::Unknown);
        assert_eq!(verdict(&Seen { state: Some("RESTORING".to_owned()), ..seen(0, 0, None) }), Verdict::Partial);
        assert_eq!(verdict(&Seen { state: None, ..seen(0, 0, None) }), Verdict::Unknown);
    }
}
