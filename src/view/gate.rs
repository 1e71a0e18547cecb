//! Questions to a person, as they read on a terminal: gates, manual steps, failed steps, steps in doubt.
//!
//! Each is a calm block of at most about ten lines: what is asked, who may answer, what hangs on it, what each answer
//! does next, and what to type. Pure functions; whether and where they are shown is decided elsewhere.

use std::fmt::Write as _;

use super::page::{Page, Tone};
use super::plain::who;
use super::text::{count, distance, full, list, moment, pad, span, width, wrap};
use super::{answers, next};
use crate::foreign::{line, lines};
use crate::plan::action::{Effect, UndoGrade};
use crate::plan::{Gate, OnFailure, Plan, Step, StepIx, Work, graph};
use crate::run::state::{GateState, ManualState, RunState, StepState};
use crate::time::Timestamp;

/// Up to so many identities behind a gate are listed.
const IDENTITIES: usize = 4;
/// Up to so many skipped steps before a gate are listed.
const SKIPPED: usize = 6;

/// The question that a step puts to a person, or `None` if it puts none.
#[must_use]
pub fn question(state: &RunState, ix: StepIx, now: Timestamp, page: &Page) -> Option<String> {
    let step = state.plan.step(ix);
    match (state.step(ix), &step.work) {
        (StepState::AtGate(at), Work::Gate(gate)) => Some(at_gate(state, ix, gate, at, now, page)),
        (StepState::AtManual(at), _) => Some(at_manual(state, step, at, now, page)),
        (StepState::Failed { reason, at, .. }, _) => Some(failed(state, step, ix, reason, *at, now, page)),
        (StepState::InDoubt { attempt, reason, since }, _) => {
            Some(in_doubt(state, step, ix, (*attempt, reason), *since, now, page))
        }
        _ => None,
    }
}

fn at_gate(state: &RunState, ix: StepIx, gate: &Gate, at: &GateState, now: Timestamp, page: &Page) -> String {
    let step = state.plan.step(ix);
    let run = state.run.as_str();
    let title = if at.expired { "gate, expired" } else { "gate" };
    let mut block = Block::new(page, title, step, Tone::Asks);
    block.text(&at.ask);
    if let Some(why) = &at.because {
        block.field("asked anew", why);
    }
    block.field("may answer", &approvers(state, ix, gate));
    if let Some(shared) = shared_account(&state.plan, gate) {
        block.field(
            "but",
            &format!("`{shared}` is an account that several people may use: a quorum of accounts is no quorum of people"),
        );
    }
    let votes: Vec<String> = at.votes.iter().map(who).collect();
    let so_far = if votes.is_empty() { "nobody yet".to_owned() } else { list(&votes, 5) };
    block.field("said go", &format!("{} of {} needed: {so_far}", at.votes.len(), gate.quorum.max(1)));
    match at.expires {
        Some(until) if at.expired || until <= now => block.field("expired", "nobody answered in time; that is no yes"),
        Some(until) => {
            let text = format!("{} ({}); no answer is a no", distance(until, now), full(until, &page.zone));
            block.field("expires", &text);
        }
        None => {}
    }
    if let Some(span_of) = gate.valid_for {
        block.field("valid for", &format!("{} after the go; what has not begun by then is asked about again", span(span_of)));
    }
    for (_, by, rule, reason) in &state.overrides {
        block.field("emergency", &format!("{} went past a rule ({rule}): {reason}", who(by)));
    }
    for (n, words) in skipped_before(state, ix).iter().enumerate() {
        block.field(if n == 0 { "skipped" } else { "" }, words);
    }
    for (n, identity) in at.behind.iter().take(IDENTITIES).enumerate() {
        block.field(if n == 0 { "behind it" } else { "" }, identity);
    }
    if at.behind.len() > IDENTITIES {
        block.field("", &format!("and {} more", at.behind.len() - IDENTITIES));
    }
    if crate::run::decide::has_lapsed(at, now) {
        block.answer(&next::decide(run, &step.id, "retry"), "asks the question anew");
        block.answer(&next::decide(run, &step.id, "stop"), "ends the run here; what is in flight ends first");
        return block.end();
    }
    block.answer(&next::vote(run, &step.id, "go", &at.nonce), &go_means(&state.plan, step, gate, at));
    block.answer(&next::vote(run, &step.id, "no-go", &at.nonce), "ends the run here; what is in flight ends first");
    block.end()
}

/// The steps before this one that a person left out, with the reason: what is asked may rest on what they would have proved.
fn skipped_before(state: &RunState, ix: StepIx) -> Vec<String> {
    let words = |ix: StepIx| match state.step(ix) {
        StepState::Skipped { by, reason } => Some(format!("{} by {}: {reason}", state.plan.step(ix).id, who(by))),
        _ => None,
    };
    let mut all: Vec<String> = graph::all_needs(&state.plan, ix).into_iter().filter_map(words).collect();
    if all.len() > SKIPPED {
        let more = all.len() - SKIPPED;
        all.truncate(SKIPPED);
        all.push(format!("and {more} more; `relevo status` lists them"));
    }
    all
}

fn at_manual(state: &RunState, step: &Step, at: &ManualState, now: Timestamp, page: &Page) -> String {
    let run = state.run.as_str();
    let mut block = Block::new(page, "manual step", step, Tone::Asks);
    block.text(&at.instructions);
    if let Some(seen) = &at.contradicted {
        block.field("but", &format!("it was said to be done, and a look found: {seen}"));
    }
    if let Work::Manual(manual) = &step.work {
        block.field("may answer", &roles(&state.plan, &manual.by));
        for (n, field) in manual.evidence.iter().enumerate() {
            let ask = field.ask.as_deref().map_or(String::new(), |ask| format!(": {ask}"));
            let option = if field.required { "" } else { " (may be left out)" };
            block.field(if n == 0 { "hand over" } else { "" }, &format!("{}{ask}{option}", field.name));
        }
        if manual.probe.is_some() {
            block.field("then", "relevo looks whether it is so");
        }
    }
    block.field("asked", &format!("{} ({})", moment(at.asked, now, &page.zone), distance(at.asked, now)));
    let follows = follows(&state.plan, step);
    block.answer(&next::decide(run, &step.id, "done"), &format!("next: {follows}"));
    block.answer(&next::decide(run, &step.id, "not-done"), super::explain::on_failure(step.on_failure));
    block.end()
}

fn failed(state: &RunState, step: &Step, ix: StepIx, reason: &str, at: Timestamp, now: Timestamp, page: &Page) -> String {
    let run = state.run.as_str();
    let facts = state.facts(ix);
    let mut block = Block::new(page, "failed", step, Tone::Bad);
    block.text(reason);
    let tries = match facts.attempts {
        0 => "no attempt was made".to_owned(),
        n => format!("{} of {}", count(n as usize, "attempt"), step.retry.attempts),
    };
    block.field("when", &format!("{} ({}), {tries}", moment(at, now, &page.zone), distance(at, now)));
    if let Some(probe) = &facts.last_probe {
        block.field(
            "last look",
            &format!(
                "{}: {}{}",
                moment(probe.at, now, &page.zone),
                super::plain::verdict_words(probe.verdict),
                unless_said(&probe.seen, reason)
            ),
        );
    }
    let waits = crate::plan::graph::all_dependants(&state.plan, ix).len();
    if waits > 0 {
        block.field("waits for it", &count(waits, "step"));
    }
    if step.on_failure == OnFailure::Rollback {
        block.field(
            "going back",
            "the plan says `rollback`; this version does not go back by itself, so it stands still and asks",
        );
    }
    for answer in answers::failed(run, step, facts.last_probe.as_ref()) {
        block.answer(&answer.command, answer.means);
    }
    block.end()
}

fn in_doubt(
    state: &RunState,
    step: &Step,
    ix: StepIx,
    (attempt, reason): (u32, &str),
    since: Timestamp,
    now: Timestamp,
    page: &Page,
) -> String {
    let run = state.run.as_str();
    let facts = state.facts(ix);
    let mut block = Block::new(page, "in doubt", step, Tone::Bad);
    // A reason that names the attempt has said it.
    if attempt == 0 || facts.salvaged || reason.starts_with(&format!("attempt {attempt} ")) {
        block.text(reason);
    } else {
        block.text(&format!("Attempt {attempt} may or may not have happened: {reason}"));
    }
    block.field("since", &format!("{} ({})", moment(since, now, &page.zone), distance(since, now)));
    if let Some(probe) = &facts.last_probe {
        let still = if probe.quiesced { "the attempt can no longer act" } else { "the attempt may still act" };
        block.field(
            "last look",
            &format!(
                "{}: {}{}; {still}",
                moment(probe.at, now, &page.zone),
                super::plain::verdict_words(probe.verdict),
                unless_said(&probe.seen, reason)
            ),
        );
    } else if facts.salvaged {
        block.field("last look", "none that counts: a lost attempt may still act, whatever a look would say");
    } else {
        block.field("last look", "none: there is nothing to look at");
    }
    if !facts.identity.is_empty() {
        let pairs: Vec<String> = facts.identity.iter().map(|(key, value)| format!("{key} {value}")).collect();
        block.field("the object", &list(&pairs, 3));
    }
    for answer in answers::in_doubt(run, &step.id, facts.last_probe.as_ref()) {
        block.answer(&answer.command, answer.means);
    }
    block.end()
}

/// What a look saw, after a comma; nothing if the reason has said it.
fn unless_said(seen: &str, reason: &str) -> String {
    if reason.contains(seen) { String::new() } else { format!(", {seen}") }
}

/// The window is shut before this step: what may be done about it.
#[must_use]
pub fn window(state: &RunState, ix: StepIx, now: Timestamp, page: &Page) -> String {
    let step = state.plan.step(ix);
    let run = state.run.as_str();
    let mut block = Block::new(page, "window", step, Tone::Asks);
    block.text("The window is shut, and this step and those after it have not begun. Nothing more starts.");
    if let Some(window) = &state.plan.window {
        let closed = state.window_until.map_or(window.closes, |until| until.max(window.closes));
        block.field("closed", &format!("{} ({})", full(closed, &page.zone), distance(closed, now)));
        if let Some(back) = window.back_out_by {
            block.field("back out by", &format!("{} ({})", full(back, &page.zone), distance(back, now)));
        }
    }
    block.answer(&next::extend(run), "lets steps start for so long from now");
    let checkpoint = |ix: &StepIx| matches!(state.plan.step(*ix).work, Work::Checkpoint) && !state.is_satisfied(*ix);
    if let Some(checkpoint) = (0..).map(StepIx).take(state.plan.steps.len()).find(checkpoint) {
        let id = &state.plan.step(checkpoint).id;
        block.answer(&next::extend_to(run, id), "does what this checkpoint needs and ends there");
    }
    block.answer(&next::abort(run), "ends the run here; going back is by hand: `explain STEP --by-hand` prints each undo");
    block.end()
}

/// An account among those that may answer which is known to be used by several people.
fn shared_account<'p>(plan: &'p Plan, gate: &'p Gate) -> Option<&'p str> {
    if gate.quorum < 2 && !gate.not_initiator {
        return None;
    }
    let accounts = gate.approvers.iter().filter_map(|role| plan.targets.roles.get(role)).flatten();
    accounts.map(String::as_str).find(|name| matches!(*name, "root" | "Administrator" | "SYSTEM"))
}

/// Who may answer a gate: the roles with their accounts.
fn approvers(state: &RunState, ix: StepIx, gate: &Gate) -> String {
    let mut out = roles(&state.plan, &gate.approvers);
    if gate.quorum > 1 {
        let _ = write!(out, "; {} different people", gate.quorum);
    }
    if gate.not_initiator {
        out += "; not ";
        match &state.on_duty {
            Some(by) if state.on_duty == state.initiator => {
                let _ = write!(out, "{}, who started the run", by.name);
            }
            Some(by) => {
                let _ = write!(out, "{}, who runs it now", by.name);
            }
            None => out += "whoever starts the run",
        }
        for name in crate::run::gates::amenders(state, ix) {
            let _ = write!(out, ", nor {name}, who amended what lies behind it");
        }
    }
    out
}

/// Roles with the accounts behind them: `lead (ops-lead), directory (ad-admin)`.
#[must_use]
pub fn roles(plan: &Plan, roles: &[String]) -> String {
    if roles.is_empty() {
        return "anybody who may write to the run".to_owned();
    }
    let named: Vec<String> = roles
        .iter()
        .map(|role| match plan.targets.roles.get(role) {
            Some(accounts) if !accounts.is_empty() => format!("{role} ({})", list(accounts, 4)),
            _ => format!("{role} (no account has this role)"),
        })
        .collect();
    named.join(", ")
}

fn go_means(plan: &Plan, step: &Step, gate: &Gate, at: &GateState) -> String {
    let missing = (gate.quorum.max(1) as usize).saturating_sub(at.votes.len() + 1);
    if missing > 0 {
        return format!("counts your vote; {} more needed, then {}", missing, follows(plan, step));
    }
    format!("opens the gate; next: {}", follows(plan, step))
}

/// What starts next, with a word on what cannot be undone.
fn follows(plan: &Plan, step: &Step) -> String {
    let Some(ix) = plan.find(step.id.as_str()) else { return "nothing".to_owned() };
    let dependants = &plan.dependants[ix.at()];
    if dependants.is_empty() {
        return "nothing else waits for it".to_owned();
    }
    let named: Vec<String> = dependants
        .iter()
        .map(|&ix| {
            let step = plan.step(ix);
            let warnings = warnings(step);
            if warnings.is_empty() { step.id.to_string() } else { format!("{} ({})", step.id, warnings.join(", ")) }
        })
        .collect();
    list(&named, 3)
}

/// What a person should know before a step starts.
#[must_use]
pub fn warnings(step: &Step) -> Vec<&'static str> {
    let mut out = Vec::new();
    if step.point_of_no_return {
        out.push("no way back after it");
    }
    if let Work::Action(action) = &step.work {
        if action.destructive {
            out.push("destroys something");
        }
        match action.undo_grade {
            UndoGrade::Lossy => out.push("undo loses something"),
            UndoGrade::None if !matches!(action.effect, Effect::Read) && !step.point_of_no_return => out.push("no undo"),
            UndoGrade::None | UndoGrade::Full => {}
        }
    }
    out
}

/// A framed block of text: a rule with a title, lines with a bar at the left, a rule.
pub(super) struct Block<'a> {
    page: &'a Page,
    tone: Tone,
    out: Vec<String>,
    answers: Vec<(String, String)>,
}

impl<'a> Block<'a> {
    pub(super) fn new(page: &'a Page, what: &str, step: &Step, tone: Tone) -> Self {
        let name = step.name.as_deref().map_or(String::new(), |name| format!(" · {}", line(name)));
        Block::titled(page, &format!("{what}: {}{name}", line(step.id.as_str())), tone)
    }

    pub(super) fn titled(page: &'a Page, title: &str, tone: Tone) -> Self {
        let measure = page.measure();
        let title = super::text::cut(title, measure.saturating_sub(8));
        let rule = "─".repeat(measure.saturating_sub(width(&title) + 4));
        Block { page, tone, out: vec![page.paint(tone, &format!("┌─ {title} {rule}"))], answers: Vec::new() }
    }

    fn push(&mut self, text: &str) {
        let text = format!("{} {text}", self.page.paint(self.tone, "│"));
        self.out.push(text.trim_end().to_owned());
    }

    /// Running text; keeps the author's line breaks.
    pub(super) fn text(&mut self, text: &str) {
        for part in lines(text.trim_start()) {
            for row in wrap(&part, self.page.measure() - 2) {
                self.push(&row);
            }
        }
    }

    /// A label and what stands beside it, wrapped under itself.
    pub(super) fn field(&mut self, label: &str, text: &str) {
        for (n, row) in wrap(&line(text), self.page.measure() - 15).iter().enumerate() {
            let label = if n == 0 { label } else { "" };
            self.push(&format!("{} {row}", self.page.paint(Tone::Quiet, &pad(label, 12))));
        }
    }

    /// A command to type, and what it does.
    pub(super) fn answer(&mut self, command: &str, means: &str) {
        self.answers.push((command.to_owned(), line(means).into_owned()));
    }

    pub(super) fn end(mut self) -> String {
        let widest = self.answers.iter().map(|(command, _)| width(command)).max().unwrap_or(0);
        // Side by side where there is room; commands are never broken, so that they can be copied.
        let beside = widest + 30 <= self.page.width.saturating_sub(4);
        for (command, means) in std::mem::take(&mut self.answers) {
            if beside {
                let room = self.page.width.saturating_sub(widest + 6);
                let rows = wrap(&means, room);
                for (n, row) in rows.iter().enumerate() {
                    let shown = if n == 0 { command.as_str() } else { "" };
                    self.push(&format!("  {}  {row}", pad(shown, widest)));
                }
            } else {
                self.push(&format!("  {command}"));
                for row in wrap(&means, self.page.measure() - 8) {
                    self.push(&format!("      {row}"));
                }
            }
        }
        let rule = format!("└{}", "─".repeat(self.page.measure() - 1));
        self.out.push(self.page.paint(self.tone, &rule));
        self.out.join("\n") + "\n"
    }
}

/// What is in flight, in one line: what Ctrl-C answers with.
#[must_use]
pub fn in_flight(state: &RunState, now: Timestamp) -> String {
    let flying: Vec<String> = state
        .plan
        .steps
        .iter()
        .zip((0..).map(StepIx))
        .filter(|(_, ix)| matches!(state.step(*ix), StepState::Applying { .. } | StepState::Verifying { .. }))
        .map(|(step, ix)| {
            let since = state.facts(ix).started.map_or(String::new(), |begun| format!(" ({})", span(now.since(begun))));
            format!("{}{since}", line(step.id.as_str()))
        })
        .collect();
    match flying.len() {
        0 => "nothing is in flight".to_owned(),
        n => format!("in flight, {}: {}", count(n, "step"), list(&flying, 5)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, page, person, run_of, weekend};
    use super::*;
    use crate::plan::Verdict;
    use crate::run::state::LastProbe;

    fn ask(state: &RunState, id: &str, columns: usize) -> String {
        let text = question(state, state.plan.find(id).unwrap(), at(3600), &page(columns)).unwrap();
        // Commands may stand out at the right, nothing else.
        for row in text.lines().filter(|row| !row.contains("relevo ")) {
            assert!(width(row) <= columns, "{row}");
        }
        text
    }

    fn waiting() -> RunState {
        let mut state = run_of(weekend());
        let gate = GateState {
            ask: "The counts agree. Delete the well-known user?".into(),
            behind: vec!["delete-user: objectGUID 6f9619ff-8b86-d011-b42d-00c04fc964ff".into()],
            binding: "b".into(),
            nonce: "7f3a".into(),
            because: None,
            asked: at(3000),
            expires: Some(at(3000 + 7200)),
            expired: false,
            votes: vec![person("ad-admin")],
        };
        state.put("delete-ok", StepState::AtGate(gate));
        state
    }

    #[test]
    fn a_gate_says_who_may_answer_until_when_and_what_each_answer_does() {
        assert_eq!(
            ask(&waiting(), "delete-ok", 80),
            "\
┌─ gate: delete-ok ─────────────────────────────────────────────────────────────
│ The counts agree. Delete the well-known user?
│ may answer   lead (ops-lead), directory (ad-admin); 2 different people; not
│              ops-lead, who started the run
│ said go      1 of 2 needed: ad-admin
│ expires      in 1h50m (2026-11-28 05:50 CET); no answer is a no
│ behind it    delete-user: objectGUID 6f9619ff-8b86-d011-b42d-00c04fc964ff
│   relevo decide 20261128-0300-k7 delete-ok go --question 7f3a --reason \"…\"
│       opens the gate; next: delete-user (destroys something, undo loses
│       something)
│   relevo decide 20261128-0300-k7 delete-ok no-go --question 7f3a --reason \"…\"
│       ends the run here; what is in flight ends first
└───────────────────────────────────────────────────────────────────────────────
"
        );
    }

    #[test]
    fn a_gate_names_what_was_left_out_before_it_and_why() {
        let mut state = waiting();
        let skipped = |reason: &str| StepState::Skipped { by: person("carmen"), reason: reason.to_owned() };
        state.put("import", skipped("the report explains\u{1b} one message"));
        state.put("delete-user", skipped("behind the gate"));
        let text = ask(&state, "delete-ok", 100);
        assert!(text.contains("│ skipped      import by carmen: the report explains\\u{1b} one message\n"), "{text}");
        assert_eq!(text.matches("by carmen").count(), 1, "{text}");
    }

    #[test]
    fn on_a_wide_terminal_an_answer_and_its_meaning_stand_side_by_side() {
        let text = ask(&waiting(), "delete-ok", 200);
        let wanted = "│   relevo decide 20261128-0300-k7 delete-ok go --question 7f3a --reason \"…\"     opens the gate; next: delete-user \
                      (destroys something, undo loses something)\n";
        assert!(text.contains(wanted), "{text}");
        assert_eq!(text.lines().count(), 10);
    }

    #[test]
    fn a_step_in_doubt_shows_the_last_look_and_offers_to_look_again() {
        let mut state = run_of(weekend());
        let reason = "the connection closed after the request was sent".to_owned();
        state.put("export", StepState::InDoubt { attempt: 1, reason, since: at(3000) });
        state.fact("export", |facts| {
            facts.last_probe = Some(LastProbe {
                verdict: Some(Verdict::Unknown),
                seen: "host is down".into(),
                at: at(3500),
                quiesced: false,
                time_is_over: false,
                running: false,
            });
        });
        let text = ask(&state, "export", 80);
        assert!(text.contains("┌─ in doubt: export · Export rooms and messages ───"), "{text}");
        assert!(text.contains("│ last look    03:58: unknown, host is down; the attempt may still act\n"), "{text}");
        assert!(text.contains("decide 20261128-0300-k7 export retry"), "{text}");
        assert!(text.contains("looks first; tries again if it is not done"), "{text}");
    }

    #[test]
    fn a_failed_step_says_how_much_waits_for_it() {
        let mut state = run_of(weekend());
        let reason = "no\u{1b}[31m rights".to_owned();
        state.put("import", StepState::Failed { reason, on_failure: OnFailure::Ask, at: at(3540) });
        state.fact("import", |facts| facts.attempts = 3);
        let text = ask(&state, "import", 80);
        assert!(text.contains("│ no\\u{1b}[31m rights\n"), "{text}");
        assert!(text.contains("│ when         03:59 (1m ago), 3 attempts of 3\n"), "{text}");
        assert!(text.contains("│ waits for it 10 steps\n"), "{text}");
    }

    #[test]
    fn a_manual_step_that_a_look_contradicted_says_so() {
        let mut state = run_of(weekend());
        let manual = ManualState {
            instructions: "Post the notice:\nchat is away.".into(),
            asked: at(3000),
            answered: None,
            contradicted: Some("2 of 3 services still run".into()),
        };
        state.put("tell-users", StepState::AtManual(manual));
        let text = ask(&state, "tell-users", 80);
        assert!(text.contains("│ Post the notice:\n│ chat is away.\n"), "{text}");
        assert!(text.contains("│ but          it was said to be done, and a look found: 2 of 3 services still\n"), "{text}");
    }
}
