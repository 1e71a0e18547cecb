//! Which decisions and answers of people are allowed now, and whether they count. Pure; asked before anything is recorded.

use serde_json::Value;

use super::event::{Decision, Outputs, Person};
use super::state::{RunState, StepState};
use crate::plan::action::ArgType;
use crate::plan::{Gate, StepIx, Work};

/// Whether a person may decide this about the step now.
///
/// # Errors
/// Why not, for people.
pub fn allowed(state: &RunState, ix: StepIx, decision: Decision) -> Result<(), String> {
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
        (Decision::Retry, StepState::AtGate(question)) if question.expired => Ok(()),
        (Decision::Retry | Decision::NotDone, StepState::InDoubt { .. }) => Ok(()),
        (Decision::Retry, StepState::Failed { .. } | StepState::Backoff { .. }) => Ok(()),
        (Decision::Skip, _) => match state.step(ix) {
            StepState::Applying { .. } | StepState::Verifying { .. } | StepState::Looked { .. } | StepState::Ended { .. } => {
                Err(format!("`{id}` is {} at the moment; wait until it has ended", state.step(ix).word()))
            }
            _ => Ok(()),
        },
        (Decision::Done, StepState::InDoubt { .. } | StepState::Unsettled { .. } | StepState::Failed { .. }) => Ok(()),
        (decision, now) => Err(format!("`{id}` is {}; `{decision:?}` decides nothing about it", now.word())),
    }
}

/// Whether a vote counts towards the quorum.
///
/// # Errors
/// Why it does not count, for people. It is recorded all the same.
pub fn vote_counts(state: &RunState, gate: &Gate, by: &Person) -> Result<(), String> {
    entitled(state, &gate.approvers, by)?;
    if gate.not_initiator && state.initiator.as_ref().is_some_and(|initiator| initiator.name == by.name) {
        return Err(format!("`{}` started the run, and the gate says not_initiator", by.name));
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
pub fn answer(state: &RunState, ix: StepIx, done: bool, mut evidence: Outputs, by: Person) -> Result<(Outputs, Person), String> {
    let step = state.plan.step(ix);
    let (Work::Manual(manual), StepState::AtManual(now)) = (&step.work, state.step(ix)) else {
        return Err(format!("`{}` is {}; no answer is awaited", step.id, state.step(ix).word()));
    };
    if now.answered.is_some() {
        return Err(format!("`{}` was answered already, and the answer is being looked at", step.id));
    }
    entitled(state, &manual.by, &by)?;
    if !done {
        return Ok((evidence, by));
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
    Ok((evidence, by))
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
