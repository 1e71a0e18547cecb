//! The last word about a run or a rehearsal: counts, planned against actual, failures with their reasons, and for a
//! rehearsal how far its word can be trusted. The last line is always the command to type next.

use super::board::{Board, Row, Word};
use super::page::{Page, Tone};
use super::plain::coverage_words;
use super::status::{head, tone};
use super::text::{clock, count, pad, span, width, wrap};
use crate::foreign::line;
use crate::plan::Work;
use crate::run::event::{Coverage, Mode};
use crate::run::state::RunState;
use crate::time::{Span, Timestamp};

/// Up to so many steps are listed with their durations; of more, the longest.
const TABLE: usize = 60;

/// The summary. `live` as for the board.
#[must_use]
pub fn report(state: &RunState, now: Timestamp, live: bool, page: &Page) -> String {
    let over = state.ending.and(state.last_at).unwrap_or(now);
    let board = Board::from(state, over, live);
    let mut out = head(&board, page);
    if let (Some(started), Some(_)) = (state.started, state.ending) {
        out.push(format!("took {}", span(over.since(started))));
    }
    out.extend(trouble(&board, page));
    if state.mode == Mode::Rehearsal {
        out.extend(rehearsed(state, &board, page));
    } else {
        out.extend(durations(&board, page));
        out.extend(said(state, &board, page));
    }
    out.push(String::new());
    out.push(format!("next: {}", board.next_command()));
    out.join("\n") + "\n"
}

/// What went wrong, or is not known, with reasons in full.
fn trouble(board: &Board, page: &Page) -> Vec<String> {
    let bad = |row: &&Row| matches!(row.word, Word::Failed | Word::InDoubt | Word::WasInFlight | Word::Abandoned);
    let mut out = Vec::new();
    for row in board.rows.iter().filter(bad) {
        let word = page.paint(tone(row.word), row.word.as_str());
        out.push(format!("  {}: {word}", line(row.id.as_str())));
        for text in wrap(&line(row.note.as_deref().unwrap_or("")), page.measure() - 4) {
            out.push(format!("    {text}").trim_end().to_owned());
        }
    }
    let blocked = board.count(Word::Blocked);
    if blocked > 0 {
        out.push(format!("  {} could not start because of this", count(blocked, "step")));
    }
    if !out.is_empty() {
        out.insert(0, String::new());
        out.insert(1, page.paint(Tone::Bad, "what went wrong, or is not known:"));
    }
    out
}

/// What steps have to say to whoever reads the report.
fn said(state: &RunState, board: &Board, page: &Page) -> Vec<String> {
    let mut out = Vec::new();
    for row in &board.rows {
        let Some(text) = state.facts(row.ix).outputs.get("said").and_then(serde_json::Value::as_str) else { continue };
        out.push(String::new());
        out.push(format!("{}:", line(row.id.as_str())));
        out.extend(wrap(&line(text), page.measure() - 2).into_iter().map(|text| format!("  {text}")));
    }
    out
}

fn durations(board: &Board, page: &Page) -> Vec<String> {
    let mut rows: Vec<&Row> = board.rows.iter().filter(|row| row.elapsed.is_some()).collect();
    let mut out = Vec::new();
    if rows.is_empty() {
        return out;
    }
    let hidden = rows.len().saturating_sub(TABLE);
    if hidden > 0 {
        rows.sort_by_key(|row| std::cmp::Reverse(row.elapsed));
        rows.truncate(TABLE);
        rows.sort_by_key(|row| row.ix);
    }
    let ids = page.names(rows.iter().map(|row| width(&line(row.id.as_str()))).max().unwrap_or(4));
    out.push(String::new());
    let title = format!("{} PLANNED  ACTUAL   DIFFERENCE  ENDED     STATE", pad("STEP", ids));
    out.push(page.paint(Tone::Quiet, &title));
    for row in &rows {
        let actual = row.elapsed.unwrap_or_default();
        let planned = row.estimate.map_or("-".to_owned(), span);
        let difference = row.estimate.map_or(String::new(), |estimate| difference(estimate, actual));
        let ended = row.since.map_or(String::new(), |at| clock(at, &page.zone));
        let tries = row.attempt.filter(|(n, _)| *n > 1).map_or(String::new(), |(n, _)| format!(", {n} attempts"));
        let id = page.fit(&line(row.id.as_str()), ids);
        let text = format!("{id} {planned:<8} {:<8} {difference:<11} {ended:<9} {}{tries}", span(actual), row.word);
        out.push(page.cut(&text, page.width).trim_end().to_owned());
    }
    if hidden > 0 {
        out.push(format!("and {}, each shorter", count(hidden, "step")));
    }
    let both = |row: &&&Row| row.estimate.is_some();
    let sum = |of: fn(&Row) -> Option<Span>| {
        let millis = rows.iter().filter(both).filter_map(|row| of(row)).map(Span::as_millis).sum();
        Span::from_millis(millis)
    };
    let (planned, actual) = (sum(|row| row.estimate), sum(|row| row.elapsed));
    if planned > Span::ZERO {
        let text = format!("steps with an estimate: {} planned, {} actual", span(planned), span(actual));
        out.push(text);
    }
    out
}

fn difference(planned: Span, actual: Span) -> String {
    let (planned, actual) = (planned.as_millis(), actual.as_millis());
    let by = span(Span::from_millis(planned.abs_diff(actual)));
    match actual.cmp(&planned) {
        std::cmp::Ordering::Greater => format!("+{by}"),
        std::cmp::Ordering::Less => format!("-{by}"),
        std::cmp::Ordering::Equal => "0s".to_owned(),
    }
}

/// How far a rehearsal's word can be trusted: numbers of actions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trust {
    /// Probed on the live system.
    pub verified: usize,
    /// Depends on a described effect.
    pub assumed: usize,
    /// Opaque.
    pub only_parsed: usize,
    /// Without rehearsal behaviour.
    pub refused: usize,
    /// Failed, or not reached.
    pub not_rehearsed: usize,
}

impl Trust {
    /// Counts the actions of a plan. Gates, manual steps, checkpoints and steps that do not apply are left out.
    #[must_use]
    pub fn of(state: &RunState) -> Trust {
        let mut trust = Trust::default();
        for ((step, at), facts) in state.plan.steps.iter().zip(&state.steps).zip(&state.facts) {
            use crate::run::state::StepState;
            if !matches!(step.work, Work::Action(_)) || matches!(at, StepState::NotApplicable | StepState::Skipped { .. }) {
                continue;
            }
            match facts.coverage {
                Some(Coverage::VerifiedLive) => trust.verified += 1,
                Some(Coverage::Assumed) => trust.assumed += 1,
                Some(Coverage::OnlyParsed) => trust.only_parsed += 1,
                Some(Coverage::Refused) => trust.refused += 1,
                None if matches!(at, StepState::Done { .. }) => trust.verified += 1,
                None => trust.not_rehearsed += 1,
            }
        }
        trust
    }

    /// How many actions there are.
    #[must_use]
    pub fn total(self) -> usize {
        self.verified + self.assumed + self.only_parsed + self.refused + self.not_rehearsed
    }

    /// The share of actions that were verified on the live systems, in whole percent, rounded down.
    #[must_use]
    pub fn percent(self) -> usize {
        (self.verified * 100).checked_div(self.total()).unwrap_or(0)
    }
}

fn rehearsed(state: &RunState, board: &Board, page: &Page) -> Vec<String> {
    let trust = Trust::of(state);
    let mut out = vec![String::new(), page.paint(Tone::Head, &format!("coverage: {} % verified live", trust.percent()))];
    let numbers = format!(
        "{} of {} verified live; {} assumed (they hold if the steps before them do what they say), {} only parsed \
         (opaque), {} refused (no rehearsal behaviour), {} not rehearsed. Gates, manual steps and checkpoints do not count.",
        trust.verified,
        count(trust.total(), "action"),
        trust.assumed,
        trust.only_parsed,
        trust.refused,
        trust.not_rehearsed,
    );
    out.extend(wrap(&numbers, page.measure()));
    out.push(String::new());
    let ids = board.rows.iter().map(|row| width(&line(row.id.as_str()))).max().unwrap_or(4).clamp(4, page.width / 3);
    out.push(page.paint(Tone::Quiet, &format!("{} COVERAGE       WOULD", pad("STEP", ids))));
    for (row, facts) in board.rows.iter().zip(&state.facts) {
        let coverage = match facts.coverage {
            Some(coverage) => coverage_words(coverage),
            None if row.kind != "action" => row.kind,
            None => row.word.as_str(),
        };
        let id = page.fit(&line(row.id.as_str()), ids);
        let head = format!("{id} {coverage:<14} ");
        let told = if facts.described.is_empty() { row.note.as_slice() } else { facts.described.as_slice() };
        // Whole, over as many lines as it takes: an identity that is cut off in the middle is none.
        let column = ids + 16;
        let mut left = head.clone();
        if told.is_empty() || width(&head) > column {
            out.push(head.trim_end().to_owned());
            left = pad("", column);
        }
        for text in told {
            let indent = text.len() - text.trim_start().len();
            let room = page.width.saturating_sub(column + indent).max(24);
            for part in wrap(&line(text.trim()), room) {
                out.push(format!("{left}{}{part}", " ".repeat(indent)));
                left = pad("", column);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, page, run_of, weekend};
    use super::*;
    use crate::plan::OnFailure;
    use crate::run::event::{Ending, How};
    use crate::run::state::StepState;

    #[test]
    fn a_report_compares_planned_and_actual_and_ends_with_the_next_command() {
        let mut state = run_of(weekend());
        state.done("preflight", 0, 120);
        state.done("stop-legacy[gc01]", 120, 520);
        state.done("stop-legacy[gc02]", 120, 300);
        state.put("export", StepState::Failed { reason: "the disk is full".into(), on_failure: OnFailure::Stop, at: at(600) });
        state.fact("export", |facts| {
            facts.attempts = 3;
            facts.first_started = Some(at(520));
        });
        state.last_at = Some(at(610));
        state.ending = Some(Ending::Failed);
        state.plan = {
            let mut plan = (*state.plan).clone();
            plan.window = None;
            plan.into()
        };
        state.holder = None;
        assert_eq!(
            report(&state, at(9000), false, &page(80)),
            "\
Group Chat to Persistent Chat · run 20261128-0300-k7 · failed
started 2026-11-28 03:00 CET, 10m10s ago
3 of 18 steps satisfied: 3 done; 1 pending, 13 blocked, 1 failed
took 10m10s

what went wrong, or is not known:
  export: failed
    the disk is full
  13 steps could not start because of this

STEP              PLANNED  ACTUAL   DIFFERENCE  ENDED     STATE
preflight         2m       2m       0s          03:02:00  done
stop-legacy[gc01] 5m       6m40s    +1m40s      03:08:40  done
stop-legacy[gc02] 5m       3m       -2m         03:05:00  done
export            40m      1m20s    -38m40s     03:10:00  failed, 3 attempts
steps with an estimate: 52m planned, 13m actual

next: relevo resume 20261128-0300-k7
"
        );
    }

    #[test]
    fn a_rehearsal_says_how_its_percentage_is_computed() {
        let mut state = run_of(weekend());
        state.mode = Mode::Rehearsal;
        state.ending = Some(Ending::Done);
        for step in &state.plan.clone().steps {
            state.put(step.id.as_str(), StepState::Done { how: How::Described, at: at(60) });
            state.fact(step.id.as_str(), |facts| {
                facts.coverage = matches!(step.work, Work::Action(_)).then_some(Coverage::VerifiedLive);
                facts.described = vec!["one".into(), "two\u{1b}".into()];
            });
        }
        state.fact("files", |facts| facts.coverage = Some(Coverage::OnlyParsed));
        state.fact("endpoint", |facts| facts.coverage = Some(Coverage::Assumed));
        state.run = "reported".to_owned();
        crate::view::next::was_rehearsed_with("reported", &["plans/chat.yaml".to_owned(), "--lab".to_owned()]);
        let text = report(&state, at(60), false, &page(80));
        assert_eq!(Trust::of(&state), Trust { verified: 12, assumed: 1, only_parsed: 1, refused: 0, not_rehearsed: 0 });
        assert!(text.contains("coverage: 85 % verified live\n12 of 14 actions verified live; 1 assumed"), "{text}");
        assert!(text.contains("endpoint          assumed        one\n                                 two\\u{1b}\n"), "{text}");
        assert!(text.ends_with("\nnext: relevo run plans/chat.yaml --lab\n"), "{text}");
    }
}
