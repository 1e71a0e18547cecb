//! One step in depth: what it does, where it stands and why, what resume would do, how we know, what undo gives.

use serde_json::Value;

use super::board::{Board, Word};
use super::gate::roles;
use super::next;
use super::page::{Page, Tone};
use super::text::{count, list, moment, pad, span, wrap};
use crate::foreign::{line, lines};
use crate::plan::action::{Effect, UndoGrade};
use crate::plan::{Action, Call, Gate, Holds, Manual, OnFailure, Plan, Probe, Step, StepIx, Work, graph};
use crate::run::state::{RunState, StepState};
use crate::time::Timestamp;

/// What is known of a run, for a step that is part of one.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The run.
    pub state: &'a RunState,
    /// The moment.
    pub now: Timestamp,
    /// Whether a living process holds the run.
    pub live: bool,
}

/// Explains a step. `by_hand`: the exact commands to do it without relevo, if they were asked for.
#[must_use]
pub fn explain(plan: &Plan, ix: StepIx, at: Option<At<'_>>, by_hand: &[String], page: &Page) -> String {
    let step = plan.step(ix);
    let name = step.name.as_deref().map_or(String::new(), |name| format!(" · {}", line(name)));
    let mut out = Text { page, out: vec![page.paint(Tone::Head, &format!("{}{name}", line(step.id.as_str())))] };
    out.field("what", &what(step));
    match &step.work {
        Work::Action(action) => arguments(&mut out, &action.call),
        Work::Gate(gate) => {
            out.field("asks", &gate.ask);
            out.field("answered by", &roles(plan, &gate.approvers));
        }
        Work::Manual(manual) => instructions(&mut out, plan, manual),
        Work::Checkpoint => {}
    }
    for (label, text) in [("owner", step.owner.clone()), ("tags", (!step.tags.is_empty()).then(|| step.tags.join(", ")))] {
        if let Some(text) = text {
            out.field(label, &text);
        }
    }
    if let Some(at) = at {
        standing(&mut out, plan, ix, at);
    }
    place(&mut out, plan, ix);
    conditions(&mut out, step);
    if let Work::Action(action) = &step.work {
        out.field("how we know", &looks_for(action));
        out.field("in doubt", on_resume(action.effect));
        out.field("undo", &undo_gives(action));
    }
    out.field("on failure", on_failure(step.on_failure));
    if matches!(step.work, Work::Action(_)) {
        let attempts = if step.retry.attempts > 1 { format!("up to {}", step.retry.attempts) } else { "1".to_owned() };
        let limit = step.timeout.map_or("no time limit".to_owned(), |timeout| format!("at most {} each", span(timeout)));
        out.field("attempts", &format!("{attempts}, {limit}"));
    }
    if step.point_of_no_return {
        out.field("no return", "once this step has started, going back is refused");
    }
    if !by_hand.is_empty() {
        out.out.push(String::new());
        out.out.push("by hand, if relevo itself were lost:".to_owned());
        out.out.extend(by_hand.iter().flat_map(|text| lines(text)).map(|text| format!("    {text}")));
    }
    if let Some(at) = at.filter(|at| at.state.ending.is_none()) {
        let board = Board::from(at.state, at.now, at.live);
        let about = board.asks.iter().find(|ask| ask.step.as_ref() == Some(&step.id));
        out.out.push(String::new());
        // Whoever reads this need not be sent here.
        let here = next::explain(&at.state.run, &step.id);
        match about.and_then(|ask| ask.commands.iter().find(|command| **command != here)) {
            Some(command) => out.out.push(format!("next: {command}")),
            None => out.out.push(format!("next: {}", board.next_command())),
        }
    } else if let Some(at) = at {
        out.out.push(String::new());
        out.out.push(format!("next: {}", next::status(&at.state.run)));
    }
    out.out.join("\n") + "\n"
}

/// A label and a text beside it.
struct Text<'a> {
    page: &'a Page,
    out: Vec<String>,
}

impl Text<'_> {
    fn field(&mut self, label: &str, text: &str) {
        for (n, row) in wrap(&line(text.trim()), self.page.measure() - 14).iter().enumerate() {
            let label = self.page.paint(Tone::Quiet, &pad(if n == 0 { label } else { "" }, 12));
            self.out.push(format!("  {label}{row}").trim_end().to_owned());
        }
    }
}

fn what(step: &Step) -> String {
    match &step.work {
        Work::Action(action) => {
            let destroys = if action.destructive { "; destroys something" } else { "" };
            format!("`{}`, {}{destroys}", action.call.uses, effect_words(action.effect))
        }
        Work::Gate(gate) => format!("a gate: {} must say go", people(gate)),
        Work::Manual(_) => "a manual step: a person does it and says so".to_owned(),
        Work::Checkpoint => "a checkpoint: safe to stop, hand over, or go back to".to_owned(),
    }
}

fn people(gate: &Gate) -> String {
    match gate.quorum {
        0 | 1 => "one person".to_owned(),
        n => format!("{n} different people"),
    }
}

/// The effect class in words.
#[must_use]
pub fn effect_words(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "changes nothing",
        Effect::Ensure => "sets a state; twice is once",
        Effect::Cas => "refused by the server if the object is no longer as it was",
        Effect::Keyed => "the server tells a repetition by its key",
        Effect::Once => "must happen once; a look can tell whether it did",
        Effect::Opaque => "nothing can tell afterwards whether it happened",
    }
}

/// What happens with an attempt that was cut off, per effect class.
#[must_use]
pub fn on_resume(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "simply made again: it changes nothing",
        Effect::Ensure => {
            "waits until the old attempt can no longer act, then looks: done, goes on; not done, sets it again; \
             cannot tell, asks a person"
        }
        Effect::Cas => {
            "waits until the old attempt can no longer act, then looks: done, goes on; not done, sends it again for \
             the same object, which the server refuses if that has changed; cannot tell, asks a person"
        }
        Effect::Keyed => {
            "waits until the old attempt can no longer act, then looks: done, goes on; not done, sends it again with \
             the same key; cannot tell, asks a person"
        }
        Effect::Once => {
            "waits until the old attempt can no longer act, then looks twice: done, goes on; anything else, a person \
             decides before there is a second attempt"
        }
        Effect::Opaque => "always a person's decision: there is nothing to look at, and it is never repeated unasked",
    }
}

/// What a failure means for the rest, in words.
#[must_use]
pub fn on_failure(on_failure: OnFailure) -> &'static str {
    match on_failure {
        OnFailure::Stop => "nothing more starts anywhere",
        OnFailure::Ask => "a person is asked: retry, done, skip or stop; nothing new starts until then",
        OnFailure::Continue => "what needs it stays undone, the rest goes on; the run ends with exit code 1",
        OnFailure::Rollback => "meant to go back, which this version does not do by itself: it stops and asks",
    }
}

/// How it is known whether the effect is there.
#[must_use]
pub fn looks_for(action: &Action) -> String {
    match &action.probe {
        Some(probe) => probe_words(probe),
        None if action.probed => format!("`{}` looks for its own effect", action.call.uses),
        None if action.effect == Effect::Read => "by what it answers: it only reads".to_owned(),
        None if action.effect == Effect::Opaque => "not at all: there is no probe".to_owned(),
        None => "on the system's own word: there is no probe".to_owned(),
    }
}

fn probe_words(probe: &Probe) -> String {
    let verdicts: Vec<String> = probe.verdict.iter().map(|(is, when)| format!("{is} if `{}`", when.source)).collect();
    let otherwise = "otherwise unknown";
    format!("{}; {}; {otherwise}", call_words(&probe.call), verdicts.join(", ")).replace(";  ;", ";")
}

/// What undo gives, in words.
#[must_use]
pub fn undo_gives(action: &Action) -> String {
    let by = action.undo.as_ref().map_or(String::new(), |call| format!(", by {}", call_words(call)));
    let says = |else_: &'static str| action.undo_says.unwrap_or(else_);
    match action.undo_grade {
        _ if action.effect == Effect::Read && action.undo.is_none() => "nothing to take back".to_owned(),
        UndoGrade::Full => format!("full: {}{by}", says("everything comes back")),
        UndoGrade::Lossy => format!("lossy: {}{by}", says("something is lost")),
        UndoGrade::None => format!("none: {}", says("it cannot be taken back")),
    }
}

/// A call on one line: `windows.service host=gc01 state=stopped`. Secrets stand as references.
#[must_use]
pub fn call_words(call: &Call) -> String {
    let arguments: Vec<String> = match &call.with {
        Value::Object(map) => map.iter().map(|(key, value)| format!("{key}={}", value_words(value))).collect(),
        Value::Null => Vec::new(),
        other => vec![value_words(other)],
    };
    if arguments.is_empty() { format!("`{}`", call.uses) } else { format!("`{} {}`", call.uses, arguments.join(" ")) }
}

/// A value on one line; a secret by its reference only.
#[must_use]
pub fn value_words(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains(char::is_whitespace) => text.clone(),
        Value::Object(map) if map.contains_key("$secret") => format!("(secret: {})", secret_words(&map["$secret"])),
        Value::Array(items) => format!("[{}]", items.iter().map(value_words).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}: {}", value_words(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

fn secret_words(reference: &Value) -> String {
    match reference {
        Value::Object(map) => map.iter().map(|(kind, of)| format!("{kind} {}", value_words(of))).collect::<Vec<_>>().join(", "),
        other => value_words(other),
    }
}

fn arguments(out: &mut Text<'_>, call: &Call) {
    if let Value::Object(map) = &call.with {
        for (n, (key, value)) in map.iter().enumerate() {
            out.field(if n == 0 { "with" } else { "" }, &format!("{key}: {}", value_words(value)));
        }
    }
}

fn instructions(out: &mut Text<'_>, plan: &Plan, manual: &Manual) {
    for (n, text) in manual.instructions.trim().lines().enumerate() {
        out.field(if n == 0 { "to do" } else { "" }, text);
    }
    out.field("answered by", &roles(plan, &manual.by));
    if let Some(probe) = &manual.probe {
        out.field("how we know", &probe_words(probe));
    }
}

fn standing(out: &mut Text<'_>, plan: &Plan, ix: StepIx, At { state, now, live }: At<'_>) {
    let board = Board::from(state, now, live);
    let Some(row) = board.rows.get(ix.at()) else { return };
    let since = row.since.filter(|_| row.word != Word::Pending);
    let since = since.map_or(String::new(), |at| format!(" since {}", moment(at, now, &out.page.zone)));
    let attempt = row.attempt.map_or(String::new(), |(n, of)| format!(", attempt {n} of {of}"));
    let note = row.note.as_deref().map_or(String::new(), |note| format!(": {note}"));
    out.field("state", &format!("{}{since}{attempt}{note}", row.word));
    if matches!(row.word, Word::Pending | Word::Blocked) {
        let open: Vec<String> = plan
            .step(ix)
            .needs
            .iter()
            .filter(|&&need| !state.is_through(need))
            .filter_map(|need| board.rows.get(need.at()))
            .map(|row| format!("{} ({})", row.id, row.word))
            .collect();
        let text = if open.is_empty() { "nothing: it may start".to_owned() } else { list(&open, 6) };
        out.field("waits for", &text);
    }
    let facts = state.facts(ix);
    if let Some(probe) = &facts.last_probe {
        let at = moment(probe.at, now, &out.page.zone);
        out.field("last look", &format!("{at}: {}, {}", super::plain::verdict_words(probe.verdict), probe.seen));
    }
    if !facts.identity.is_empty() {
        let pairs: Vec<String> = facts.identity.iter().map(|(key, value)| format!("{key} {value}")).collect();
        out.field("pinned to", &pairs.join(", "));
    }
    if let Some(image) = &facts.before_image {
        out.field("kept", &format!("{}, evidence/{}", image.kind, image.sha256));
    }
    if let Some(handle) = &facts.handle {
        out.field("handle", handle);
    }
    if let StepState::Done { .. } = state.step(ix) {
        for (n, (key, value)) in facts.outputs.iter().enumerate() {
            out.field(if n == 0 { "outputs" } else { "" }, &format!("{key}: {}", value_words(value)));
        }
    }
}

fn place(out: &mut Text<'_>, plan: &Plan, ix: StepIx) {
    let ids = |of: &[StepIx]| of.iter().map(|&ix| plan.step(ix).id.to_string()).collect::<Vec<_>>();
    let needs = &plan.step(ix).needs;
    if needs.is_empty() {
        out.field("needs", "nothing: it may start at once");
    } else {
        let all = graph::all_needs(plan, ix).len();
        let besides = if all > needs.len() { format!("; {} before it in all", count(all, "step")) } else { String::new() };
        out.field("needs", &format!("{}{besides}", list(&ids(needs), 6)));
    }
    let dependants = &plan.dependants[ix.at()];
    if !dependants.is_empty() {
        out.field("needed by", &list(&ids(dependants), 6));
    }
    if let Some(when) = &plan.step(ix).when {
        out.field("when", &format!("`{}`; otherwise not applicable", when.source));
    }
}

fn conditions(out: &mut Text<'_>, step: &Step) {
    for (label, conditions) in [("before", &step.before), ("after", &step.after)] {
        for (n, condition) in conditions.iter().enumerate() {
            let how = match &condition.holds {
                Holds::Expr(expr) => format!("`{}`", expr.source),
                Holds::Probe(probe) => call_words(&probe.call),
            };
            out.field(if n == 0 { label } else { "" }, &format!("{}: {how}", condition.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, page, run_of, weekend};
    use super::*;

    #[test]
    fn a_step_is_explained_from_the_plan_alone() {
        let plan = weekend();
        let ix = plan.find("delete-user").unwrap();
        assert_eq!(
            explain(&plan, ix, None, &["Remove-ADUser …".into()], &page(80)),
            "\
delete-user
  what        `ad.user.delete`, refused by the server if the object is no longer
              as it was; destroys something
  with        directory: contoso
              sip_address: sip:ocschat@contoso.com
  needs       delete-ok; 10 steps before it in all
  needed by   uri-free
  how we know `ad.user.delete` looks for its own effect
  in doubt    waits until the old attempt can no longer act, then looks: done,
              goes on; not done, sends it again for the same object, which the
              server refuses if that has changed; cannot tell, asks a person
  undo        lossy: something is lost
  on failure  a person is asked: retry, done, skip or stop; nothing new starts
              until then
  attempts    up to 3, no time limit

by hand, if relevo itself were lost:
    Remove-ADUser …
"
        );
    }

    #[test]
    fn a_blocked_step_says_what_it_waits_for() {
        let mut state = run_of(weekend());
        state.put("import", StepState::Failed { reason: "no".into(), on_failure: OnFailure::Ask, at: at(60) });
        let ix = state.plan.find("counts").unwrap();
        let text = explain(&state.plan, ix, Some(At { state: &state, now: at(60), live: true }), &[], &page(80));
        assert!(text.contains("  state       blocked: by import\n"), "{text}");
        assert!(text.contains("  waits for   import (failed), files (pending)\n"), "{text}");
    }

    #[test]
    fn a_secret_is_shown_by_its_reference() {
        let value = serde_json::json!({ "password": { "$secret": { "env": "AD_PASSWORD" } } });
        assert_eq!(value_words(&value), "{password: (secret: env AD_PASSWORD)}");
    }
}
