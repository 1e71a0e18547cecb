//! JSON for other programs: one line per record, and the board as an object. Keys are stable once released.
//!
//! # A record
//! `{"seq":7,"epoch":1,"at":"2026-11-28T02:00:00Z","prev":"…","event":"attempt_started","step":"export","attempt":1}`:
//! the envelope, the event's name under `event`, and the event's own fields beside them. One field is renamed so
//! that it does not hide the envelope's: the instant of a `retry_scheduled` is `not_before`.
//!
//! # The board
//! | key | is |
//! |---|---|
//! | `run` `plan` `mode` | id, name, `execute` or `rehearsal` |
//! | `now` `started` `seq` | instants (RFC 3339, UTC); the last record taken into account |
//! | `live` `holder` | whether a living process holds the run; the last one that did |
//! | `standing` | `not_started running paused waiting_for_person in_doubt waiting_for_time interrupted done until failed stopped` |
//! | `halted_by` | who paused or stopped it and why, or null |
//! | `total` `satisfied` `counts` | numbers of steps; per state |
//! | `past_point_of_no_return` | whether going back is refused |
//! | `forecast` | `remaining_ms` (medians along `path`), `end` (null unless every step left has an estimate), `estimated`, `unestimated`, `people`, `path` |
//! | `window` | `timezone opens closes back_out_by`, or null |
//! | `steps` | in file order: `id name kind state since elapsed_ms attempt attempts estimate_ms note` |
//! | `asks` | `step why text since expires commands`, the most pressing first |
//! | `next` | the command to type next |

use serde_json::{Map, Value, json};

use super::board::{Ask, Board, Row};
use crate::run::event::Record;

/// A record as one object, the event flattened into it.
#[must_use]
pub fn record(record: &Record) -> Value {
    let mut out = Map::new();
    out.insert("seq".to_owned(), json!(record.seq));
    out.insert("epoch".to_owned(), json!(record.epoch));
    out.insert("at".to_owned(), json!(record.at));
    out.insert("prev".to_owned(), json!(record.prev));
    // An event is written as an object with its name as the only key.
    let event = serde_json::to_value(&record.event).unwrap_or(Value::Null);
    if let Value::Object(event) = event {
        for (name, fields) in event {
            out.insert("event".to_owned(), Value::String(name));
            let Value::Object(fields) = fields else { continue };
            for (key, value) in fields {
                let key = if key == "at" { "not_before".to_owned() } else { key };
                out.insert(key, value);
            }
        }
    }
    Value::Object(out)
}

/// A record as one line, without its line break.
#[must_use]
pub fn line(of: &Record) -> String {
    record(of).to_string()
}

/// The board as one object.
#[must_use]
pub fn board(board: &Board) -> Value {
    let halted = board.halted_by.as_ref().map(|(by, reason)| json!({ "by": by, "reason": reason }));
    let counts: Map<String, Value> = board.counts.iter().map(|(word, n)| (word.key().to_owned(), json!(n))).collect();
    let window = board.window.as_ref().map(|window| {
        json!({
            "timezone": window.timezone, "opens": window.opens, "closes": window.closes, "back_out_by": window.back_out_by,
        })
    });
    json!({
        "run": board.run,
        "plan": board.plan,
        "mode": board.mode,
        "now": board.now,
        "started": board.started,
        "seq": board.seq,
        "live": board.live,
        "holder": board.holder,
        "standing": board.standing.key(),
        "halted_by": halted,
        "total": board.rows.len(),
        "satisfied": board.satisfied,
        "counts": counts,
        "past_point_of_no_return": board.past_no_return,
        "forecast": {
            "remaining_ms": board.forecast.remaining,
            "end": board.forecast.end,
            "estimated": board.forecast.estimated,
            "unestimated": board.forecast.unestimated,
            "people": board.forecast.people,
            "path": board.forecast.path,
        },
        "window": window,
        "steps": board.rows.iter().map(row).collect::<Vec<_>>(),
        "asks": board.asks.iter().map(ask).collect::<Vec<_>>(),
        "next": board.next_command(),
    })
}

fn row(row: &Row) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "kind": row.kind,
        "state": row.word.key(),
        "since": row.since,
        "elapsed_ms": row.elapsed,
        "attempt": row.attempt.map(|(n, _)| n),
        "attempts": row.attempt.map(|(_, of)| of),
        "estimate_ms": row.estimate,
        "note": row.note,
    })
}

fn ask(ask: &Ask) -> Value {
    json!({
        "step": ask.step,
        "why": ask.why.as_str().replace(' ', "_"),
        "text": ask.text,
        "since": ask.since,
        "expires": ask.expires,
        "commands": ask.commands,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::plan::StepId;
    use crate::run::event::{Event, Outcome};

    #[test]
    fn a_record_is_one_flat_line_with_the_events_name() {
        let event = Event::AttemptFinished {
            step: StepId::new("export"),
            attempt: 1,
            outcome: Outcome::Unknown { reason: "reset\n".into() },
        };
        let text = line(&sample::record(7, 5, event));
        assert!(!text.contains('\n'));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["event"], "attempt_finished");
        assert_eq!(value["step"], "export");
        assert_eq!(value["seq"], 7);
        assert_eq!(value["at"], "2026-11-28T02:00:05Z");
        assert_eq!(value["outcome"]["unknown"]["reason"], "reset\n");
    }

    #[test]
    fn the_instant_of_a_retry_does_not_hide_the_instant_of_the_record() {
        let event = Event::RetryScheduled { step: StepId::new("export"), attempt: 2, at: sample::at(20), reason: String::new() };
        let value = record(&sample::record(7, 5, event));
        assert_eq!(value["at"], "2026-11-28T02:00:05Z");
        assert_eq!(value["not_before"], "2026-11-28T02:00:20Z");
    }

    #[test]
    fn the_board_has_the_documented_keys_and_no_others() {
        let state = sample::run_of(sample::weekend());
        let value = board(&Board::from(&state, sample::at(60), true));
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let mut documented = vec![
            "asks",
            "counts",
            "forecast",
            "halted_by",
            "holder",
            "live",
            "mode",
            "next",
            "now",
            "past_point_of_no_return",
            "plan",
            "run",
            "satisfied",
            "seq",
            "standing",
            "started",
            "steps",
            "total",
            "window",
        ];
        documented.sort_unstable();
        let mut keys = keys;
        keys.sort_unstable();
        assert_eq!(keys, documented);
        assert_eq!(value["steps"][0]["id"], "preflight");
        assert_eq!(value["forecast"]["remaining_ms"], 136 * 60_000);
    }
}
