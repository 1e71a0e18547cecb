//! One plain line per record, for logs and pipes: `03:12:45 done        stop-legacy[gc01]  attempt 1, 12s`.
//!
//! This is the contract that fancier displays are measured by: no colour, no width, stable columns. A record
//! without news has no line: a look that saw what was expected, a condition that holds, a pinned identity.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::text::{self, clock, count, pad, span};
use crate::foreign::line as clean;
use crate::plan::{StepId, Verdict};
use crate::run::event::{Coverage, Decision, Ending, Event, Holding, How, Mode, Outcome, Person, Phase, Record};
use crate::run::state::RunState;

/// Ids are set in a column of the longest id, up to this width.
const WIDEST: usize = 44;

/// The columns before an id: a time, and what happened.
const BEFORE: usize = 21;

/// Turns records into lines; remembers the day, so that a log of a weekend says when Sunday began.
#[derive(Debug)]
pub struct PlainLines {
    zone: TimeZone,
    day: Option<Date>,
    ids: Option<usize>,
    widest: usize,
}

impl PlainLines {
    /// Times are told in this zone.
    #[must_use]
    pub fn new(zone: TimeZone) -> Self {
        PlainLines { zone, day: None, ids: None, widest: WIDEST }
    }

    /// For a terminal of so many columns, of which ids leave more than half to what is said.
    #[must_use]
    pub fn within(self, columns: usize) -> Self {
        PlainLines { widest: WIDEST.min(columns * 2 / 5), ..self }
    }

    /// The width of the column of ids, once there was a line.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.ids.unwrap_or(0)
    }

    /// The lines for a record that was just applied to `state`: none, one, or two where a day begins.
    pub fn lines(&mut self, record: &Record, state: &RunState) -> Vec<String> {
        let ids = *self.ids.get_or_insert_with(|| id_column(state).min(self.widest));
        let Some(text) = line(record, state, &self.zone, ids) else { return Vec::new() };
        let date = self.zone.to_datetime(record.at.0).date();
        let mut out = Vec::with_capacity(2);
        if self.day != Some(date) {
            self.day = Some(date);
            out.push(format!("-------- {}", text::day(record.at, &self.zone)));
        }
        out.push(text);
        out
    }
}

/// The width of the column of ids for this plan.
#[must_use]
pub fn id_column(state: &RunState) -> usize {
    state.plan.steps.iter().map(|step| text::width(step.id.as_str())).max().unwrap_or(0).min(WIDEST)
}

/// A line as it goes on a terminal of so many columns: what goes over to the next is indented to what is said, or at least
/// to the ids if that would leave less than half.
#[must_use]
pub fn hung(line: &str, ids: usize, columns: usize) -> String {
    let said = BEFORE + ids + 2;
    text::hang(line, columns, if said * 2 <= columns { said } else { BEFORE })
}

/// The line for a record that was just applied to `state`, or nothing if it has no news.
#[must_use]
pub fn line(record: &Record, state: &RunState, zone: &TimeZone, ids: usize) -> Option<String> {
    let (word, detail) = say(record, state, zone)?;
    let step = record.event.step().map_or("", StepId::as_str);
    let text = if step.is_empty() {
        format!("{} {word:<11} {}", clock(record.at, zone), clean(&detail))
    } else {
        format!("{} {word:<11} {}  {}", clock(record.at, zone), pad(&clean(step), ids), clean(&detail))
    };
    Some(text.trim_end().to_owned())
}

/// The word and what is said about it. Not escaped yet.
fn say(record: &Record, state: &RunState, zone: &TimeZone) -> Option<(&'static str, String)> {
    let told = |at| text::moment(at, record.at, zone);
    Some(match &record.event {
        Event::RunStarted { run, mode, version, by, .. } => {
            let what = if *mode == Mode::Rehearsal { "rehearsal" } else { "run" };
            let steps = count(state.plan.steps.len(), "step");
            ("run", format!("{what} {run} of `{}` started by {}: {steps} (relevo {version})", state.plan.name, who(by)))
        }
        Event::LockTaken { holder, take_over } => {
            let how = if *take_over { "taken over" } else { "held" };
            ("holder", format!("{how} by {} on {}, process {}, epoch {}", holder.user, holder.host, holder.pid, record.epoch))
        }
        Event::SemanticsRaised { from, to, version } => {
            ("version", format!("relevo {version} goes on; the rules of events {to} hold from here on, {from} before"))
        }
        Event::RunResumed { by, .. } => ("resumed", format!("by {}", who(by))),
        Event::RunPaused { by, reason } => ("paused", because(by, reason)),
        Event::RunContinued { by } => ("continued", format!("by {}", who(by))),
        Event::RunFinished { ending } => ("finished", ending_words(*ending).to_owned()),
        Event::PlanAmended { changes, by, .. } => (
            "amended",
            format!("by {}: {}", who(by), if changes.is_empty() { "no step differs".into() } else { changes.join("; ") }),
        ),
        Event::IdentityPinned { .. } => return None,
        Event::ProbeFinished { attempt, phase, verdict, seen, conditions, quiesced, running, .. } => {
            let expected = match phase {
                Phase::Before => matches!(verdict, None | Some(Verdict::Done | Verdict::NotDone)),
                Phase::Verify | Phase::Manual => matches!(verdict, None | Some(Verdict::Done)),
                Phase::Doubt | Phase::AtWill => false,
            };
            let unmet = conditions.iter().find(|condition| condition.holds != Holding::Holds);
            let about = if *attempt > 0 { format!("attempt {attempt}: ") } else { String::new() };
            match (expected, unmet) {
                (true, None) => return None,
                (_, Some(condition)) => {
                    let holds = holding_words(condition.holds);
                    ("condition", format!("{about}`{}` {holds}: {}", condition.name, condition.seen))
                }
                (false, None) => {
                    let still = match (phase, running, quiesced) {
                        (Phase::Doubt, true, _) => "; it still runs",
                        (Phase::Doubt, false, false) => "; it may still act",
                        _ => "",
                    };
                    ("looked", format!("{about}{}{seen}{still}", verdict.map_or(String::new(), |verdict| format!("{verdict}, "))))
                }
            }
        }
        Event::AttemptStarted { attempt, .. } => ("start", format!("attempt {attempt}")),
        Event::AttemptFinished { step, attempt, outcome } => {
            let took = took(record, state, step);
            match outcome {
                // What follows says more: done, or why not.
                Outcome::Applied { .. } => return None,
                Outcome::Rejected { reason, untouched } => {
                    let left = if *untouched { "nothing was changed" } else { "something may have been changed" };
                    ("rejected", format!("attempt {attempt}{took}: {reason}; {left}"))
                }
                Outcome::NotSent { reason } => ("not sent", format!("attempt {attempt}{took}: {reason}")),
                Outcome::Unknown { reason } => ("unknown", format!("attempt {attempt}{took}: {reason}")),
                Outcome::Abandoned { reason } => ("abandoned", format!("attempt {attempt}{took}: {reason}; it may still act")),
                Outcome::Described { lines, coverage, .. } => {
                    let more = lines.len().saturating_sub(1);
                    let more = if more > 0 { format!(" (and {} more)", count(more, "line")) } else { String::new() };
                    let first = lines.first().map_or("no effect", String::as_str);
                    ("would", format!("{first}{more} [{}]", coverage_words(*coverage)))
                }
            }
        }
        Event::StepVerified { step, how, outputs } => {
            let attempts = state.plan.find(step.as_str()).map_or(0, |ix| state.facts(ix).attempts);
            let ours = if attempts > 0 { format!("attempt {attempts}{}", took(record, state, step)) } else { String::new() };
            match how {
                How::Applied => match outputs.get("said").and_then(serde_json::Value::as_str) {
                    Some(said) => ("done", format!("{ours}: {said}")),
                    None => ("done", ours),
                },
                How::Adopted => ("adopted", "was there already".to_owned()),
                How::Decided => ("done", "by a person's decision".to_owned()),
                How::Unverified => ("done", format!("{ours}{}unverified", if ours.is_empty() { "" } else { ", " })),
                How::Described => ("described", String::new()),
            }
        }
        Event::StepFailed { reason, .. } => ("FAILED", reason.clone()),
        Event::StepInDoubt { reason, .. } => ("IN DOUBT", reason.clone()),
        Event::StepSkipped { by, reason, .. } => ("skipped", because(by, reason)),
        Event::StepNotApplicable { .. } => ("n/a", "not applicable".to_owned()),
        Event::RetryScheduled { attempt, at, reason, .. } => {
            ("retry", format!("attempt {attempt} in {}: {reason}", span(at.since(record.at))))
        }
        Event::GateAsked { ask, expires, because, .. } => {
            let again = because.as_ref().map_or(String::new(), |why| format!(" (asked anew: {why})"));
            ("GATE", format!("{ask}{again}{}", expires.map_or(String::new(), |at| format!(" (expires {})", told(at)))))
        }
        Event::VoteCast { by, go, reason, not_counted, .. } => {
            let vote = if *go { "go" } else { "no-go" };
            let lost = not_counted.as_ref().map_or(String::new(), |why| format!(" (not counted: {why})"));
            ("vote", format!("{vote} by {}{lost}", because(by, reason).trim_start_matches("by ")))
        }
        Event::GateOpened { .. } => ("go", "the gate is open".to_owned()),
        Event::GoLapsed { reason, .. } => ("lapsed", format!("the go no longer holds: {reason}")),
        Event::GateRefused { by, reason, .. } => ("NO-GO", because(by, reason)),
        Event::GateExpired { .. } => ("expired", "nobody answered in time; that is no yes".to_owned()),
        Event::ManualAsked { instructions, .. } => ("MANUAL", instructions.trim().to_owned()),
        Event::ManualAnswered { by, done, reason, .. } => (if *done { "answered" } else { "not possible" }, because(by, reason)),
        Event::Decided { decision, by, reason, .. } => {
            ("decided", format!("{} {}", decision_words(*decision), because(by, reason)))
        }
        Event::RuleOverridden { rule, by, reason, .. } => {
            ("EMERGENCY", format!("{}; past the rule: {rule}", because(by, reason)))
        }
        Event::LetterRefused { by, reason } => ("refused", format!("an order of {}: {reason}", who(by))),
        Event::WindowClosed { overrun: true } => {
            ("overrun", "the window is shut, and the point of no return has started: it holds nothing any more".to_owned())
        }
        Event::WindowClosed { overrun: false } => ("WINDOW", "it is shut, and steps are left".to_owned()),
        Event::WindowExtended { until, checkpoint, by, reason } => {
            let to = match (until, checkpoint) {
                (_, Some(checkpoint)) => format!("for what `{checkpoint}` needs"),
                (Some(until), None) => format!("until {}", told(*until)),
                (None, None) => String::new(),
            };
            ("extended", format!("{to} {}", because(by, reason)))
        }
        Event::OldHostOff { by, reason } => ("host off", because(by, reason)),
        Event::Noted { by, text } => ("note", format!("{}: {text}", who(by))),
        Event::EvidenceStored { evidence, .. } => {
            ("kept", format!("{}, {}", evidence.kind, count(usize::try_from(evidence.bytes).unwrap_or(usize::MAX), "byte")))
        }
        Event::CheckpointReached { .. } => ("checkpoint", "safe to stop, hand over or go back to".to_owned()),
        Event::ClockJumped { millis } => {
            let way = if *millis < 0 { "back" } else { "forward" };
            ("clock", format!("the wall clock was set {way} by {}", span(crate::time::Span::from_millis(millis.unsigned_abs()))))
        }
        Event::Suspended { millis } => {
            ("slept", format!("the machine slept for {}", span(crate::time::Span::from_millis(*millis))))
        }
        Event::TailTruncated { bytes, .. } => {
            ("journal", format!("an unfinished record of {bytes} bytes was cut off; it is kept beside the journal"))
        }
        Event::Salvaged { from, records, by, .. } => {
            ("salvaged", format!("by {} from {from}, whose journal is damaged after record {records}", who(by)))
        }
    })
}

/// `, 12s` since the latest attempt of the step began.
fn took(record: &Record, state: &RunState, step: &StepId) -> String {
    let begun = state.plan.find(step.as_str()).and_then(|ix| state.facts(ix).started);
    begun.map_or(String::new(), |begun| format!(", {}", span(record.at.since(begun))))
}

/// Whether a condition holds, in words.
#[must_use]
pub fn holding_words(holds: Holding) -> &'static str {
    match holds {
        Holding::Holds => "holds",
        Holding::Fails => "does not hold",
        Holding::Assumed => "is assumed",
        Holding::CannotTell => "cannot be told",
    }
}

/// A look's verdict in words; a step without a probe has none.
#[must_use]
pub fn verdict_words(verdict: Option<Verdict>) -> String {
    verdict.map_or_else(|| "no probe".to_owned(), |verdict| verdict.to_string())
}

/// A person; a name that was only typed is marked.
#[must_use]
pub fn who(person: &Person) -> String {
    if person.claimed { format!("{} (claimed)", person.name) } else { person.name.clone() }
}

fn because(by: &Person, reason: &str) -> String {
    if reason.trim().is_empty() { format!("by {}", who(by)) } else { format!("by {}: {}", who(by), reason.trim()) }
}

/// How a run ended, as people say it.
#[must_use]
pub fn ending_words(ending: Ending) -> &'static str {
    match ending {
        Ending::Done => "every step is satisfied",
        Ending::Until => "the checkpoint asked for is reached",
        Ending::Failed => "failed; nothing more can start",
        Ending::Stopped => "stopped by a person",
    }
}

/// A decision, as it is typed.
#[must_use]
pub fn decision_words(decision: Decision) -> &'static str {
    match decision {
        Decision::Done => "done",
        Decision::NotDone => "not-done",
        Decision::Retry => "retry",
        Decision::Skip => "skip",
        Decision::Stop => "stop",
        Decision::Rollback => "rollback",
    }
}

/// How far a rehearsal's word can be trusted.
#[must_use]
pub fn coverage_words(coverage: Coverage) -> &'static str {
    match coverage {
        Coverage::VerifiedLive => "verified live",
        Coverage::Assumed => "assumed",
        Coverage::OnlyParsed => "only parsed",
        Coverage::Refused => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, person, record, run_of, weekend, zone};
    use super::*;

    fn say(event: Event) -> Option<String> {
        let mut state = run_of(weekend());
        state.applying("export", 2, 0);
        line(&record(7, 765, event), &state, &zone(), id_column(&state))
    }

    fn id(step: &str) -> StepId {
        StepId::new(step)
    }

    #[test]
    fn the_columns_stand_where_they_stand_whatever_happens() {
        let verified = Event::StepVerified { step: id("export"), how: How::Applied, outputs: serde_json::Map::new() };
        assert_eq!(say(verified).unwrap(), "03:12:45 done        export             attempt 2, 12m45s");
        let outputs = serde_json::Map::from_iter([("said".to_owned(), "Keep the backups.".into())]);
        let said = Event::StepVerified { step: id("export"), how: How::Applied, outputs };
        assert_eq!(say(said).unwrap(), "03:12:45 done        export             attempt 2, 12m45s: Keep the backups.");
        let failed = Event::StepFailed { step: id("stop-legacy[gc01]"), reason: "access is denied".into() };
        assert_eq!(say(failed).unwrap(), "03:12:45 FAILED      stop-legacy[gc01]  access is denied");
        let paused = Event::RunPaused { by: person("ops-lead"), reason: "coffee".into() };
        assert_eq!(say(paused).unwrap(), "03:12:45 paused      by ops-lead: coffee");
    }

    #[test]
    fn on_a_terminal_what_goes_over_to_the_next_line_is_indented_and_no_word_is_lost() {
        let line = "03:12:45 GATE        begin      Stop Group Chat now? Nobody can use it until the new servers start.";
        let blanks = |count: usize| " ".repeat(count);
        assert_eq!(hung(line, 9, 200), line);
        // Less than half of the line would be left behind the ids.
        let narrow = format!(
            "03:12:45 GATE        begin      Stop Group\n{0}Chat now? Nobody can\n{0}use it until the new\n{0}servers start.",
            blanks(21)
        );
        assert_eq!(hung(line, 9, 44), narrow);
        let wide = format!(
            "03:12:45 GATE        begin      Stop Group Chat now? Nobody can use\n{}it until the new servers start.",
            blanks(32)
        );
        assert_eq!(hung(line, 9, 68), wide);
        assert_eq!(hung("03:12:45 GATE", 9, 12), "03:12:45 GATE");
    }

    #[test]
    fn a_look_that_saw_what_was_expected_has_no_line_and_one_in_doubt_always_has() {
        let probe = |phase, verdict, quiesced| Event::ProbeFinished {
            step: id("export"),
            attempt: 2,
            phase,
            verdict,
            seen: "the file is there".into(),
            conditions: Vec::new(),
            quiesced,
            time_is_over: false,
            running: false,
            outputs: serde_json::Map::new(),
        };
        assert_eq!(say(probe(Phase::Before, Some(Verdict::NotDone), true)), None);
        assert_eq!(say(probe(Phase::Verify, Some(Verdict::Done), true)), None);
        let doubt = say(probe(Phase::Doubt, Some(Verdict::Done), false)).unwrap();
        assert_eq!(doubt, "03:12:45 looked      export             attempt 2: done, the file is there; it may still act");
    }

    #[test]
    fn f102_s30_a_server_cannot_colour_the_log_or_begin_a_line_of_its_own() {
        let failed = Event::StepFailed { step: id("export"), reason: "no\u{1b}[32m\n03:12:46 done export".into() };
        assert_eq!(say(failed).unwrap(), "03:12:45 FAILED      export             no\\u{1b}[32m\\n03:12:46 done export");
    }

    #[test]
    fn a_log_of_a_weekend_says_when_a_day_begins() {
        let state = run_of(weekend());
        let mut lines = PlainLines::new(zone());
        let note = |secs| record(1, secs, Event::Noted { by: person("ops-lead"), text: "ok".into() });
        assert_eq!(lines.lines(&note(0), &state), ["-------- Saturday 2026-11-28", "03:00:00 note        ops-lead: ok"]);
        assert_eq!(lines.lines(&note(60), &state), ["03:01:00 note        ops-lead: ok"]);
        assert_eq!(lines.lines(&note(21 * 3600), &state), ["-------- Sunday 2026-11-29", "00:00:00 note        ops-lead: ok"]);
    }

    #[test]
    fn a_vote_that_does_not_count_says_why() {
        let vote = Event::VoteCast {
            step: id("delete-ok"),
            by: Person { name: "carol".into(), claimed: true },
            go: true,
            reason: String::new(),
            binding: String::new(),
            nonce: String::new(),
            not_counted: Some("the name was only typed".into()),
        };
        assert_eq!(
            say(vote).unwrap(),
            "03:12:45 vote        delete-ok          go by carol (claimed) (not counted: the name was only typed)"
        );
    }

    #[test]
    fn a_retry_says_when() {
        let retry = Event::RetryScheduled { step: id("export"), attempt: 3, at: at(785), reason: "busy".into() };
        assert_eq!(say(retry).unwrap(), "03:12:45 retry       export             attempt 3 in 20s: busy");
    }
}
