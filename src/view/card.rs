//! The resume card: before anything runs, what stands, what will be looked at again and why, what comes next.

use super::gate::Block;
use super::page::{Page, Tone};
use super::text::{count, full, list};
use crate::foreign::line;
use crate::plan::action::Effect;
use crate::plan::{Step, StepIx};
use crate::run::event::How;
use crate::run::state::{RunState, StepState};
use crate::time::Timestamp;

/// Up to so many steps are named per line.
const NAMED: usize = 4;

/// The card for a run that nobody holds. `changes`: what differs between the recorded plan and the file, for people.
#[must_use]
pub fn resume(state: &RunState, changes: &[String], now: Timestamp, page: &Page) -> String {
    let title = format!("resume {} · {}", line(&state.run), line(&state.plan.name));
    let mut block = Block::titled(page, &title, Tone::Head);
    if let Some(last) = state.last_at {
        let holder = state.holder.as_ref().map_or(String::new(), |by| format!(", held by {} on {}", by.user, by.host));
        let ago = super::text::distance(last, now);
        block.field("last record", &format!("number {}, {} ({ago}){holder}", state.seq, full(last, &page.zone)));
    }
    if let Some(origin) = &state.origin {
        let (run, records) = (line(&origin.run), origin.records);
        let damaged = format!("from {run}, whose journal is damaged after record {records}");
        block.field("salvaged", &format!("by {} {damaged}; {}", origin.by.name, origin.lost()));
    }
    stands(state, &mut block);
    looked_at(state, &mut block);
    wants_a_person(state, &mut block);
    let next: Vec<String> =
        steps(state, |ix, at| matches!(at, StepState::Pending | StepState::Backoff { .. }) && state.is_ready(ix));
    block.field("starts next", &if next.is_empty() { "nothing yet".to_owned() } else { list(&next, NAMED) });
    let kept: Vec<String> = state
        .plan
        .steps
        .iter()
        .zip(&state.facts)
        .filter(|(_, facts)| !facts.outputs.is_empty())
        .map(|(step, facts)| {
            let names: Vec<&str> = facts.outputs.keys().map(String::as_str).collect();
            format!("{} ({})", step.id, list(&names, 3))
        })
        .collect();
    if !kept.is_empty() {
        block.field("outputs kept", &format!("of {}", list(&kept, 3)));
    }
    if changes.is_empty() {
        block.field("the plan", "is the one that was started");
    } else {
        block.field("plan changed", &list(changes, 3));
    }
    block.end()
}

fn steps(state: &RunState, choose: impl Fn(StepIx, &StepState) -> bool) -> Vec<String> {
    let chosen = state.plan.steps.iter().zip((0..).map(StepIx)).filter(|(_, ix)| choose(*ix, state.step(*ix)));
    chosen.map(|(step, _)| step.id.to_string()).collect()
}

fn stands(state: &RunState, block: &mut Block<'_>) {
    let satisfied = steps(state, |ix, _| state.is_satisfied(ix));
    let adopted = steps(state, |_, at| matches!(at, StepState::Done { how: How::Adopted, .. })).len();
    let decided = steps(state, |_, at| matches!(at, StepState::Done { how: How::Decided, .. })).len();
    let skipped = steps(state, |_, at| matches!(at, StepState::Skipped { .. })).len();
    let mut parts = vec![format!("{} of {}", satisfied.len(), count(state.plan.steps.len(), "step"))];
    for (n, words) in [(adopted, "found done"), (decided, "on a person's word"), (skipped, "skipped")] {
        if n > 0 {
            parts.push(format!("{n} {words}"));
        }
    }
    let last = satisfied.last().map_or(String::new(), |last| format!("; the last in the plan is {last}"));
    block.field("stands", &format!("{}{last}; none of it is done again", parts.join(", ")));
}

/// Steps cut off in flight, grouped by what will be done about them.
fn looked_at(state: &RunState, block: &mut Block<'_>) {
    let mut label = "looked at";
    for (effects, what) in [
        (&[Effect::Read][..], "changes nothing; simply made again"),
        (&[Effect::Ensure, Effect::Cas, Effect::Keyed][..], "in doubt; probed first, and applied again only if it is not done"),
        (&[Effect::Once][..], "in doubt; probed twice, and made again only if both say not done"),
        (&[Effect::Opaque][..], "in doubt; there is no probe, a person must say how it ended"),
    ] {
        let cut_off = steps(state, |ix, at| {
            let in_doubt = matches!(at, StepState::Applying { .. } | StepState::Verifying { .. } | StepState::Unsettled { .. });
            in_doubt && effects.contains(&step(state, ix).effect())
        });
        if !cut_off.is_empty() {
            block.field(label, &format!("{}: {what}", list(&cut_off, NAMED)));
            label = "";
        }
    }
    if label == "looked at" {
        block.field(label, "nothing was in flight");
    }
}

fn wants_a_person(state: &RunState, block: &mut Block<'_>) {
    let wanted = steps(state, |_, at| {
        matches!(at, StepState::Failed { .. } | StepState::InDoubt { .. } | StepState::AtGate(_) | StepState::AtManual(_))
    });
    if !wanted.is_empty() {
        block.field("needs you", &list(&wanted, NAMED));
    }
    if let Some((by, reason)) = &state.stopped {
        block.field("stopped", &format!("by {}: {reason}; going on lifts that", by.name));
    }
    if let Some((by, reason)) = &state.paused {
        block.field("paused", &format!("by {}: {reason}", by.name));
    }
    if state.past_no_return {
        block.field("no way back", "the point of no return has been started");
    }
}

fn step(state: &RunState, ix: StepIx) -> &Step {
    state.plan.step(ix)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, page, run_of, weekend};
    use super::*;

    #[test]
    fn a_resume_card_says_what_stands_what_is_looked_at_and_what_starts() {
        let mut state = run_of(weekend());
        state.done("preflight", 0, 120);
        state.done("stop-legacy[gc01]", 120, 400);
        state.done("stop-legacy[gc02]", 120, 410);
        state.done("tell-users", 130, 150);
        state.applying("export", 1, 410);
        state.fact("preflight", |facts| {
            facts.outputs.insert("version".into(), serde_json::json!(7));
        });
        state.last_at = Some(at(410));
        state.seq = 31;
        assert_eq!(
            resume(&state, &[], at(3600), &page(80)),
            "\
┌─ resume 20261128-0300-k7 · Group Chat to Persistent Chat ─────────────────────
│ last record  number 31, 2026-11-28 03:06 CET (53m10s ago), held by ops-lead on
│              jump01
│ stands       4 of 18 steps; the last in the plan is tell-users; none of it is
│              done again
│ looked at    export: in doubt; probed twice, and made again only if both say
│              not done
│ starts next  nothing yet
│ outputs kept of preflight (version)
│ the plan     is the one that was started
└───────────────────────────────────────────────────────────────────────────────
"
        );
        let wide = resume(&state, &["`import` was changed".into()], at(3600), &page(200));
        assert_eq!(wide.lines().count(), 8, "{wide}");
        assert!(wide.contains("│ plan changed `import` was changed\n"));
    }
}
