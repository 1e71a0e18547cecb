//! The board for reading: a head, a table of steps, what needs a person; and one line for a chat window.

use std::fmt::Write as _;

use super::board::{Board, Forecast, Row, Standing, Word};
use super::page::{Page, Tone};
use super::text::{clock, count, distance, full, list, moment, pad, span, width, wrap};
use crate::foreign::line;
use crate::run::event::{Ending, Mode};

/// Up to so many steps are all listed; of more, only those with news, unless all are asked for.
const FEW: usize = 60;

/// The board as a page of text. Its last line is the command to type next.
#[must_use]
pub fn status(board: &Board, page: &Page, all: bool) -> String {
    let mut out = head(board, page);
    out.push(String::new());
    out.extend(table(board, page, all));
    if !board.asks.is_empty() {
        out.push(String::new());
        out.push(page.paint(Tone::Asks, "needs a person:"));
        for ask in &board.asks {
            let about = ask.step.as_ref().map_or(String::new(), |step| format!(" {}", line(step.as_str())));
            let expires = ask.expires.map_or(String::new(), |at| {
                format!(" (expires {}, {})", moment(at, board.now, &page.zone), distance(at, board.now))
            });
            // Whole: this is the place where the reason is looked up.
            let text = format!("{}{about}: {}{expires}", ask.why.as_str(), line(ask.text.trim()));
            for (n, row) in wrap(&text, page.measure() - 4).iter().enumerate() {
                out.push(format!("  {}{row}", if n == 0 { "" } else { "  " }));
            }
            out.extend(ask.commands.iter().take(2).map(|command| format!("    {command}")));
        }
    }
    out.push(String::new());
    out.push(format!("next: {}", board.next_command()));
    out.join("\n") + "\n"
}

/// Name, standing, counts, forecast: at most six lines.
#[must_use]
pub fn head(board: &Board, page: &Page) -> Vec<String> {
    let rehearsal = if board.mode == Mode::Rehearsal { "rehearsal" } else { "run" };
    let mut out = vec![format!(
        "{} · {rehearsal} {} · {}",
        page.paint(Tone::Head, &line(&board.plan)),
        line(&board.run),
        page.paint(standing_tone(board.standing), board.standing.as_str())
    )];
    if let Some(started) = board.started {
        let holder = match &board.holder {
            Some(holder) if board.live => {
                format!("; held by {} on {}, process {}", line(&holder.user), line(&holder.host), holder.pid)
            }
            Some(holder) => format!("; last held by {} on {}", line(&holder.user), line(&holder.host)),
            None => String::new(),
        };
        out.push(format!("started {}, {}{holder}", full(started, &page.zone), distance(started, board.now)));
    }
    if let Some((by, reason)) = &board.halted_by {
        out.push(format!("halted by {}: {}", line(&by.name), line(reason)));
    }
    out.push(counts(board));
    if let Some(text) = forecast(board, page) {
        out.push(text);
    }
    if let Some(text) = deadlines(board, page) {
        out.push(text);
    }
    out.iter().map(|text| page.cut(text, page.width)).collect()
}

/// `6 of 18 steps satisfied: 5 done, 1 adopted; 2 applying, 10 pending`.
#[must_use]
pub fn counts(board: &Board) -> String {
    let words = |satisfied: bool| {
        let counts = board.counts.iter().filter(|(word, _)| word.is_satisfied() == satisfied);
        counts.map(|(word, n)| format!("{n} {word}")).collect::<Vec<_>>().join(", ")
    };
    let (over, rest) = (words(true), words(false));
    let mut out = format!("{} of {} satisfied", board.satisfied, count(board.rows.len(), "step"));
    if !over.is_empty() {
        let _ = write!(out, ": {over}");
    }
    if !rest.is_empty() {
        let _ = write!(out, "; {rest}");
    }
    out
}

/// How long it will still take, in words; `None` once the run has ended.
#[must_use]
pub fn forecast(board: &Board, page: &Page) -> Option<String> {
    if matches!(board.standing, Standing::Ended(_)) {
        return None;
    }
    let Forecast { remaining, estimated, unestimated, people, end, path } = &board.forecast;
    if path.is_empty() {
        return None;
    }
    if *estimated == 0 && *unestimated > 0 {
        return Some("expected end unknown: no step that is left has an estimate".to_owned());
    }
    let waiting = match people {
        0 => "",
        _ => ", not counting how long people take",
    };
    Some(match (unestimated, end) {
        (0, Some(end)) => {
            let end = moment(*end, board.now, &page.zone);
            format!("{} left on the critical path; expected end {end}{waiting}", span(*remaining))
        }
        (0, None) => format!("{} on the critical path{waiting}", span(*remaining)),
        (n, _) => {
            let lacking = if *n == 1 { "1 step has".to_owned() } else { format!("{n} steps have") };
            format!("at least {} left; expected end unknown: {lacking} no estimate", span(*remaining))
        }
    })
}

fn deadlines(board: &Board, page: &Page) -> Option<String> {
    let window = board.window.as_ref().filter(|_| !matches!(board.standing, Standing::Ended(_)))?;
    let told = |at| format!("{} ({})", moment(at, board.now, &page.zone), distance(at, board.now));
    let back_out = match window.back_out_by {
        _ if board.past_no_return => "; past the point of no return".to_owned(),
        Some(at) => format!("; back out by {}", told(at)),
        None => String::new(),
    };
    let shuts = if board.now < window.opens {
        format!("window opens {}", told(window.opens))
    } else {
        format!("window closes {}", told(window.closes))
    };
    Some(shuts + &back_out)
}

fn standing_tone(standing: Standing) -> Tone {
    match standing {
        Standing::Ended(Ending::Done | Ending::Until) => Tone::Good,
        Standing::Running => Tone::Busy,
        Standing::NotStarted | Standing::WaitingForTime => Tone::Quiet,
        Standing::Paused | Standing::WaitingForPerson => Tone::Asks,
        Standing::InDoubt | Standing::Interrupted | Standing::Ended(_) => Tone::Bad,
    }
}

/// The tone of a state.
#[must_use]
pub fn tone(word: Word) -> Tone {
    match word {
        Word::Pending | Word::WaitingWindow | Word::WaitingHour | Word::WaitingLimit | Word::Skipped | Word::NotApplicable => {
            Tone::Quiet
        }
        Word::Probing | Word::Applying | Word::Verifying | Word::WaitingBackoff => Tone::Busy,
        Word::Done | Word::Adopted => Tone::Good,
        Word::WaitingGate | Word::WaitingManual => Tone::Asks,
        Word::Blocked | Word::Failed | Word::InDoubt | Word::WasInFlight | Word::Abandoned => Tone::Bad,
    }
}

fn table(board: &Board, page: &Page, all: bool) -> Vec<String> {
    let dull = |row: &&Row| matches!(row.word, Word::Pending | Word::Blocked | Word::NotApplicable) || row.word.is_satisfied();
    let rows: Vec<&Row> = if all || board.rows.len() <= FEW {
        board.rows.iter().collect()
    } else {
        board.rows.iter().filter(|row| !dull(row)).collect()
    };
    let hidden = board.rows.len() - rows.len();
    let ids = page.names(rows.iter().map(|row| width(&line(row.id.as_str()))).max().unwrap_or(4));
    let words = rows.iter().map(|row| width(row.word.as_str())).max().unwrap_or(5).max(5);
    let mut out = vec![page.paint(Tone::Quiet, &format!("{} {} SINCE    TOOK    TRY", pad("STEP", ids), pad("STATE", words)))];
    for row in rows {
        let since = row.since.filter(|_| row.word != Word::Pending).map_or(String::new(), |at| clock(at, &page.zone));
        let took = row.elapsed.map_or(String::new(), span);
        let attempt = row.attempt.map_or(String::new(), |(n, of)| format!("{n}/{of}"));
        let state = page.paint(tone(row.word), &pad(row.word.as_str(), words));
        // What a person is asked stands below, in full.
        let asked = board.asks.iter().find(|ask| ask.step.as_ref() == Some(&row.id));
        let said_below = |note: &&str| asked.is_some_and(|ask| ask.text.contains(*note));
        let note =
            row.note.as_deref().filter(|note| !said_below(note)).map_or(String::new(), |note| line(note.trim()).into_owned());
        let fixed = ids + words + 24;
        let text = format!(
            "{} {state} {since:<8} {took:<7} {attempt:<5}{}",
            page.fit(&line(row.id.as_str()), ids),
            tail(&note, page, fixed)
        );
        out.push(text.trim_end().to_owned());
    }
    if hidden > 0 {
        out.push(page.paint(Tone::Quiet, &format!("and {} without news", count(hidden, "step"))));
    }
    out
}

/// The note, cut to what is left of the line; nothing if that is not worth reading.
fn tail(note: &str, page: &Page, used: usize) -> String {
    match page.width.saturating_sub(used) {
        0..12 => String::new(),
        left => format!(" {}", page.cut(note, left - 1)),
    }
}

/// The run in one line, fit for a chat window.
#[must_use]
pub fn one_line(board: &Board, page: &Page) -> String {
    let mut parts = vec![
        format!("{}: {}", line(&board.plan), board.standing.as_str()),
        format!("{}/{} steps", board.satisfied, board.rows.len()),
    ];
    let running: Vec<_> = board.in_hand().iter().map(|row| line(row.id.as_str()).into_owned()).collect();
    if !running.is_empty() {
        parts.push(format!("in hand: {}", list(&running, 2)));
    }
    let wanted: Vec<String> = board
        .asks
        .iter()
        .filter_map(|ask| ask.step.as_ref().map(|step| format!("{} ({})", line(step.as_str()), ask.why.as_str())))
        .collect();
    if !wanted.is_empty() {
        parts.push(format!("needs a person: {}", list(&wanted, 2)));
    }
    if let Some(text) = forecast(board, page) {
        parts.push(text);
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, page, run_of, weekend};
    use super::*;
    use crate::run::state::{GateState, RunState, StepState};

    fn midway() -> RunState {
        let mut state = run_of(weekend());
        state.done("preflight", 0, 120);
        state.done("stop-legacy[gc01]", 120, 400);
        state.applying("stop-legacy[gc02]", 2, 410);
        state.put("tell-users", StepState::NotApplicable);
        state.put(
            "delete-ok",
            StepState::AtGate(GateState {
                ask: "Delete\u{1b} the user?".into(),
                behind: vec![],
                binding: "b".into(),
                nonce: "7f3a".into(),
                because: None,
                asked: at(500),
                expires: Some(at(7700)),
                expired: false,
                votes: vec![],
            }),
        );
        state
    }

    #[test]
    fn the_status_page_at_eighty_columns() {
        let text = status(&Board::from(&midway(), at(600), true), &page(80), false);
        assert!(text.lines().filter(|row| !row.contains("relevo ")).all(|row| width(row) <= 80), "{text}");
        assert_eq!(
            text,
            "\
Group Chat to Persistent Chat · run 20261128-0300-k7 · running
started 2026-11-28 03:00 CET, 10m ago; held by ops-lead on jump01, process 4711
3 of 18 steps satisfied: 2 done, 1 not applicable; 13 pending, 1 waiting (gate)…
2h10m left on the critical path; expected end 05:20, not counting how long peop…
window closes Mon 05:00 (in 2d01h); back out by Sun 20:00 (in 1d16h)

STEP              STATE          SINCE    TOOK    TRY
preflight         done           03:02:00 2m      1/3
stop-legacy[gc01] done           03:06:40 4m40s   1/3
stop-legacy[gc02] applying       03:06:50 3m10s   2/3
tell-users        not applicable
export            pending
import-check      pending
import            pending
files             pending
counts            pending
delete-ok         waiting (gate) 03:08:20
delete-user       pending
uri-free          pending
endpoint          pending
before-go-live    pending
go-live           pending
start-2013[pc01]  pending
start-2013[pc02]  pending
sign-in           pending

needs a person:
  gate delete-ok: Delete\\u{1b} the user? (0 of 2 go) (expires 05:08, in 1h58m)
    relevo decide 20261128-0300-k7 delete-ok go --question 7f3a --reason \"…\"
    relevo decide 20261128-0300-k7 delete-ok no-go --question 7f3a --reason \"…\"

next: relevo decide 20261128-0300-k7 delete-ok go --question 7f3a --reason \"…\"
"
        );
    }

    #[test]
    fn a_reason_is_told_once_and_whole() {
        let mut state = run_of(weekend());
        let reason = format!("attempt 1 is in doubt (the connection closed); {}: the database is ONLINE", "so it is ".repeat(20));
        state.put("import", StepState::InDoubt { attempt: 1, reason: reason.clone(), since: at(500) });
        let text = status(&Board::from(&state, at(600), true), &page(80), false);
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words.join(" ").contains(&reason), "{text}");
        assert_eq!(text.matches("the connection closed").count(), 1, "{text}");
    }

    #[test]
    fn what_goes_to_another_program_is_not_cut() {
        let edge = page(60);
        let piped = Page { whole: true, ..page(60) };
        let board = Board::from(&midway(), at(600), true);
        assert!(status(&board, &edge, false).contains('…'));
        let text = status(&board, &piped, false);
        let counts = "3 of 18 steps satisfied: 2 done, 1 not applicable; 13 pending, 1 waiting (gate), 1 applying\n";
        assert!(text.contains(counts) && !text.replace("\"…\"", "").contains('…'), "{text}");
    }

    #[test]
    fn one_line_for_a_chat_window() {
        assert_eq!(
            one_line(&Board::from(&midway(), at(600), true), &page(80)),
            "Group Chat to Persistent Chat: running · 3/18 steps · in hand: stop-legacy[gc02] · needs a person: delete-ok \
             (gate) · 2h10m left on the critical path; expected end 05:20, not counting how long people take"
        );
    }

    #[test]
    fn without_estimates_no_end_is_invented() {
        let mut plan = weekend();
        for step in &mut plan.steps {
            step.estimate = None;
        }
        let board = Board::from(&run_of(plan.clone()), at(0), true);
        assert_eq!(forecast(&board, &page(80)).unwrap(), "expected end unknown: no step that is left has an estimate");
        plan.steps[4].estimate = weekend().steps[4].estimate;
        let board = Board::from(&run_of(plan), at(0), true);
        assert_eq!(forecast(&board, &page(80)).unwrap(), "at least 40m left; expected end unknown: 13 steps have no estimate");
    }
}
