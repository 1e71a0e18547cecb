//! Which decisions and answers of people are allowed now, and whether they count. Pure; asked before anything is recorded.
//!
//! Three questions, each in one place:
//!
//! - [`may`]: whether this person may give such an order at all.
//! - [`allowed`], [`vote`], [`answer`]: whether the order fits what stands now, and is about the question that was shown.
//! - [`vote_counts`]: whether a vote counts towards the quorum.

use serde_json::Value;

use super::event::{Decision, Event, Outputs, Person};
use super::gates;
use super::letters::Sender;
use super::order::Order;
use super::state::{GateState, RunState, StepState};
use crate::plan::action::ArgType;
use crate::plan::{Gate, StepId, StepIx, Work};
use crate::time::Timestamp;

/// The role that may decide about a run, if the targets file has it. Without it every holder may.
pub const OPERATORS: &str = "operators";

/// The event that an order becomes, if it fits what stands now.
///
/// # Errors
/// Why it is refused, for people. Nothing follows from it then.
pub fn event(state: &RunState, order: &Order, by: &Person, now: Timestamp) -> Result<Event, String> {
    let find = |id: &StepId| state.plan.find(id.as_str()).ok_or_else(|| format!("the plan has no step `{id}`"));
    let by = by.clone();
    let about_all = match order {
        Order::Pause { .. } | Order::Continue { .. } | Order::Abort { .. } | Order::Extend { .. } | Order::OldHostOff { .. } => {
            true
        }
        Order::Decide { step, .. } => step.is_none(),
        Order::Vote { .. } | Order::Answer { .. } | Order::Note { .. } => false,
    };
    if about_all && state.ending.is_some() {
        return Err("the run has ended; there is nothing to stop or to go on with".to_owned());
    }
    match order {
        Order::Vote { step, go, reason, nonce, binding } => {
            let ballot = vote(state, find(step)?, *go, &by, (nonce.as_deref(), binding.as_deref()), now)?;
            Ok(Event::VoteCast {
                step: step.clone(),
                by,
                go: *go,
                reason: reason.clone(),
                binding: ballot.binding,
                nonce: ballot.nonce,
                not_counted: ballot.not_counted,
            })
        }
        Order::Decide { step: None, decision: Decision::Stop, reason, .. } | Order::Abort { reason } => {
            Ok(Event::Decided { step: None, decision: Decision::Stop, by, reason: reason.clone() })
        }
        Order::Decide { step: None, decision, .. } => Err(format!("`{}` needs a step", word(*decision))),
        Order::Decide { step: Some(step), decision, reason, about, .. } => {
            let ix = find(step)?;
            allowed(state, ix, *decision, now)?;
            if *decision != Decision::Stop {
                is_about(state, ix, *about)?;
            }
            Ok(Event::Decided { step: Some(step.clone()), decision: *decision, by, reason: reason.clone() })
        }
        Order::Answer { step, done, reason, evidence, about, .. } => {
            let ix = find(step)?;
            let evidence = answer(state, ix, *done, evidence.clone())?;
            is_about(state, ix, *about)?;
            Ok(Event::ManualAnswered { step: step.clone(), by, done: *done, reason: reason.clone(), evidence })
        }
        Order::Pause { .. } if state.paused.is_some() => Err("the run is paused already".to_owned()),
        Order::Pause { reason } => Ok(Event::RunPaused { by, reason: reason.clone() }),
        Order::Continue { .. } if state.paused.is_none() => Err("the run is not paused".to_owned()),
        Order::Continue { .. } => Ok(Event::RunContinued { by }),
        Order::Extend { until, checkpoint, reason, .. } => {
            extend(state, *until, checkpoint.as_ref(), now)?;
            Ok(Event::WindowExtended { until: *until, checkpoint: checkpoint.clone(), by, reason: reason.clone() })
        }
        Order::OldHostOff { .. } if state.took_over <= state.hosts_off => {
            Err("the run was not taken over from another machine; what was sent from this one can be told".to_owned())
        }
        Order::OldHostOff { reason, .. } => Ok(Event::OldHostOff { by, reason: reason.clone() }),
        Order::Note { text } => Ok(Event::Noted { by, text: text.clone() }),
    }
}

/// Whether the window may be moved so.
fn extend(state: &RunState, until: Option<Timestamp>, checkpoint: Option<&StepId>, now: Timestamp) -> Result<(), String> {
    let Some(window) = &state.plan.window else { return Err("the run has no window".to_owned()) };
    match (until, checkpoint) {
        (None, None) => Err("say until when, or up to which checkpoint".to_owned()),
        (Some(until), _) if until <= now || until <= window.closes => {
            Err(format!("{until} is over already, or lies within the window anyway"))
        }
        (_, Some(id)) => match state.plan.find(id.as_str()).map(|ix| &state.plan.step(ix).work) {
            Some(Work::Checkpoint) => Ok(()),
            _ => Err(format!("the plan has no checkpoint `{id}`")),
        },
        (Some(_), None) => Ok(()),
    }
}

/// Whether this person may give such an order. Stopping never needs a role; a gate's own rules decide about a go.
///
/// # Errors
/// The rule that keeps the person from it, in words. A holder may go past it in an emergency.
pub fn may(state: &RunState, order: &Order, from: &Sender) -> Result<(), String> {
    if order.stops() {
        return Ok(());
    }
    match order {
        Order::Vote { .. } | Order::Note { .. } | Order::Pause { .. } | Order::Abort { .. } => Ok(()),
        Order::Answer { step, .. } => may_answer(state, step.as_str(), from),
        Order::Decide { step: Some(step), .. } => may_answer(state, step.as_str(), from),
        Order::Decide { step: None, .. } | Order::Continue { .. } | Order::Extend { .. } | Order::OldHostOff { .. } => {
            may_operate(state, from)
        }
    }
}

/// A manual step may be answered by its own roles; everything else by the operators.
fn may_answer(state: &RunState, step: &str, from: &Sender) -> Result<(), String> {
    match state.plan.find(step).map(|ix| &state.plan.step(ix).work) {
        Some(Work::Manual(manual)) if !manual.by.is_empty() => entitled(state, &manual.by, &from.person),
        _ => may_operate(state, from),
    }
}

/// Whether a person may decide about the run.
///
/// # Errors
/// The rule that keeps them from it, in words.
pub fn may_operate(state: &RunState, from: &Sender) -> Result<(), String> {
    if state.plan.targets.roles.contains_key(OPERATORS) {
        return entitled(state, &[OPERATORS.to_owned()], &from.person);
    }
    if from.holds {
        return Ok(());
    }
    Err(format!("`{}` does not hold the run, and the targets file names no `{OPERATORS}` under `roles`", from.person.name))
}

/// Whether a person may decide this about the step now.
///
/// # Errors
/// Why not, for people.
pub fn allowed(state: &RunState, ix: StepIx, decision: Decision, now: Timestamp) -> Result<(), String> {
    let id = &state.plan.step(ix).id;
    let gate = matches!(state.plan.step(ix).work, Work::Gate(_));
    match (decision, state.step(ix)) {
        (Decision::Rollback, _) => Err("this version does not roll back; `stop` ends the run here".to_owned()),
        (_, StepState::Done { .. } | StepState::Skipped { .. } | StepState::NotApplicable) => {
            Err(format!("`{id}` is {} already", state.step(ix).word()))
        }
        (Decision::Stop, _) => Ok(()),
        (Decision::Skip | Decision::Done, _) if gate => {
            Err(format!("`{id}` is a gate: it is opened by `go` or refused by `no-go`, never skipped"))
        }
        (Decision::Retry, StepState::AtGate(question)) if has_lapsed(question, now) => Ok(()),
        (Decision::Retry | Decision::NotDone, StepState::InDoubt { .. }) => Ok(()),
        (Decision::Retry, StepState::Failed { .. } | StepState::Backoff { .. }) => Ok(()),
        (Decision::Skip, _) => match state.step(ix) {
            StepState::Applying { .. } | StepState::Verifying { .. } | StepState::Looked { .. } | StepState::Ended { .. } => {
                Err(format!("`{id}` is {} at the moment; wait until it has ended", state.step(ix).word()))
            }
            _ => Ok(()),
        },
        (Decision::Done, StepState::InDoubt { .. } | StepState::Unsettled { .. } | StepState::Failed { .. }) => Ok(()),
        (decision, now) => Err(format!("`{id}` is {}; `{}` decides nothing about it", now.word(), word(decision))),
    }
}

/// The word that a person types for a decision.
#[must_use]
pub fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Done => "done",
        Decision::NotDone => "not-done",
        Decision::Retry => "retry",
        Decision::Skip => "skip",
        Decision::Stop => "stop",
        Decision::Rollback => "rollback",
    }
}

/// Whether an answer is about the question that stands. One that names none is about whatever stands.
///
/// # Errors
/// Another question stands by now.
pub fn is_about(state: &RunState, ix: StepIx, about: Option<u64>) -> Result<(), String> {
    match (about, state.facts(ix).asked_by) {
        (Some(shown), Some(stands)) if shown != stands => Err(format!(
            "`{}` asks something else by now (record {stands}) than what was answered (record {shown}); look at it again",
            state.plan.step(ix).id
        )),
        _ => Ok(()),
    }
}

/// Whether a gate's question has lapsed, recorded or not.
#[must_use]
pub fn has_lapsed(question: &GateState, now: Timestamp) -> bool {
    question.expired || question.expires.is_some_and(|at| at <= now)
}

/// A vote that may be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// The question's binding.
    pub binding: String,
    /// The question's nonce.
    pub nonce: String,
    /// Why it does not count, if it does not.
    pub not_counted: Option<String>,
}

/// Whether a vote may be recorded: it has to be about the question that stands, and that question must not have lapsed.
///
/// # Errors
/// Why not, for people.
pub fn vote(
    state: &RunState,
    ix: StepIx,
    go: bool,
    by: &Person,
    (nonce, binding): (Option<&str>, Option<&str>),
    now: Timestamp,
) -> Result<Ballot, String> {
    let step = &state.plan.step(ix).id;
    let Work::Gate(gate) = &state.plan.step(ix).work else { return Err(format!("`{step}` is not a gate")) };
    let StepState::AtGate(question) = state.step(ix) else {
        return Err(format!("`{step}` is {}; nothing is asked", state.step(ix).word()));
    };
    if has_lapsed(question, now) {
        return Err(format!("the question of `{step}` has lapsed; `decide {step} retry` asks anew"));
    }
    if go && state.facts(ix).stale.is_some() {
        return Err(format!("`{step}` is about to be asked anew: what lies behind it has changed"));
    }
    if go && question.votes.contains(by) {
        return Err(format!("`{}` has said go already", by.name));
    }
    let other = |shown: Option<&str>, stands: &str| shown.is_some_and(|shown| shown != stands);
    if go && (other(nonce, &question.nonce) || other(binding, &question.binding)) {
        return Err(format!("`{step}` asks something else by now than what was shown; `relevo status` shows it"));
    }
    if go && nonce.is_none() && !question.nonce.is_empty() {
        return Err(format!("the vote does not say which question of `{step}` it answers"));
    }
    Ok(Ballot {
        binding: question.binding.clone(),
        nonce: question.nonce.clone(),
        // Stopping never needs a role.
        not_counted: if go { vote_counts(state, ix, gate, by).err() } else { None },
    })
}

/// Whether a vote counts towards the quorum.
///
/// With `not_initiator` these do not count: whoever runs the run now (who started it, as long as nobody else has resumed
/// it), and whoever amended what lies behind the gate.
///
/// # Errors
/// Why it does not count, for people. It is recorded all the same.
pub fn vote_counts(state: &RunState, ix: StepIx, gate: &Gate, by: &Person) -> Result<(), String> {
    entitled(state, &gate.approvers, by)?;
    if !gate.not_initiator {
        return Ok(());
    }
    if state.on_duty.as_ref().is_some_and(|on_duty| on_duty.name == by.name) {
        let what = if state.on_duty == state.initiator { "started the run" } else { "runs it now" };
        return Err(format!("`{}` {what}, and the gate says not_initiator", by.name));
    }
    if gates::amenders(state, ix).contains(by.name.as_str()) {
        return Err(format!("`{}` amended what lies behind the gate, and the gate says not_initiator", by.name));
    }
    Ok(())
}

/// Whether a person belongs to one of the roles (an empty list admits everybody whose account is known).
///
/// # Errors
/// Why not, for people.
pub fn entitled(state: &RunState, roles: &[String], by: &Person) -> Result<(), String> {
    if by.claimed {
        return Err(format!("`{}` was only typed; the account that typed it is not known", by.name));
    }
    let member = |role: &String| state.plan.targets.roles.get(role).is_some_and(|accounts| accounts.contains(&by.name));
    if roles.is_empty() || roles.iter().any(member) {
        Ok(())
    } else {
        Err(format!("`{}` belongs to none of the roles {}", by.name, roles.join(", ")))
    }
}

/// Checks a person's answer to a manual step and returns the evidence in its declared types.
///
/// # Errors
/// Why it is refused, for people.
pub fn answer(state: &RunState, ix: StepIx, done: bool, mut evidence: Outputs) -> Result<Outputs, String> {
    let step = state.plan.step(ix);
    let (Work::Manual(manual), StepState::AtManual(now)) = (&step.work, state.step(ix)) else {
        return Err(format!("`{}` is {}; no answer is awaited", step.id, state.step(ix).word()));
    };
    if now.answered.is_some() {
        return Err(format!("`{}` was answered already, and the answer is being looked at", step.id));
    }
    if !done {
        return Ok(evidence);
    }
    for field in &manual.evidence {
        match evidence.get_mut(&field.name) {
            Some(value) => *value = typed(field.kind, value).map_err(|why| format!("evidence `{}` {why}", field.name))?,
            None if field.required => return Err(format!("evidence `{}` is missing", field.name)),
            None => {}
        }
    }
    if let Some(name) = evidence.keys().find(|name| !manual.evidence.iter().any(|field| field.name == **name)) {
        return Err(format!("`{}` asks for no evidence `{name}`", step.id));
    }
    Ok(evidence)
}

/// A value as its declared type; texts that read as it are taken as it.
fn typed(kind: ArgType, value: &Value) -> Result<Value, String> {
    let text = value.as_str().map(str::trim);
    let parsed = match (kind, text) {
        (ArgType::Integer, Some(text)) => text.parse::<i64>().ok().map(Value::from),
        (ArgType::Number, Some(text)) => text.parse::<f64>().ok().map(Value::from),
        (ArgType::Boolean, Some("true" | "yes")) => Some(Value::Bool(true)),
        (ArgType::Boolean, Some("false" | "no")) => Some(Value::Bool(false)),
        (ArgType::Integer, None) => value.as_i64().map(Value::from),
        (ArgType::Number, None) => value.as_f64().map(Value::from),
        (ArgType::Boolean, _) => value.as_bool().map(Value::from),
        (ArgType::String | ArgType::Text, Some("")) => None,
        _ => Some(value.clone()),
    };
    parsed.ok_or_else(|| format!("is {value}, which is not {kind:?}").to_lowercase())
}
