//! From a step to the calls that a connector gets, and from what it saw to what that means. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::connector::{BeforeImage, Call, Observation, Sent};
use super::event::{ConditionSeen, Holding, SentCall};
use super::scope;
use super::state::RunState;
use crate::plan::expr::{self, ExprError};
use crate::plan::{self, Holds, Probe, StepIx, Targets, Verdict, Work};
use crate::time::{Span, Timestamp};

/// How long a probe may take if nothing else is said.
const PROBE_TIMEOUT: Span = Span::from_secs(60);

/// What all calls of a run share.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The run's id.
    pub run: Arc<str>,
    /// Where relative paths start.
    pub folder: Arc<Path>,
    /// Under it, each attempt has a place for its files.
    pub scratch: PathBuf,
    /// Where before-images are.
    pub evidence: PathBuf,
}

impl Desk {
    /// The call of the step's action, for an attempt (0 for a look before the first).
    ///
    /// # Errors
    /// An argument has no value.
    pub fn action(&self, state: &RunState, ix: StepIx, attempt: u32, now: Timestamp) -> Result<Call, ExprError> {
        let step = state.plan.step(ix);
        let Work::Action(action) = &step.work else {
            return Err(ExprError::Failed(format!("`{}` is not an action", step.id)));
        };
        let mut call = self.call(state, ix, attempt, &action.call, "")?;
        let left = step.deadline.map(|deadline| state.facts(ix).first_started.unwrap_or(now).plus(deadline).since(now));
        call.timeout = match (step.timeout, left) {
            (Some(timeout), Some(left)) => Some(timeout.min(left)),
            (timeout, left) => timeout.or(left),
        };
        Ok(call)
    }

    /// The call of the latest attempt as it was made, to find out what became of it: what the intent holds, and not what plan
    /// and targets say by now.
    ///
    /// # Errors
    /// An argument has no value (only of an intent that an older version recorded without its call).
    pub fn sent(&self, state: &RunState, ix: StepIx, attempt: u32, now: Timestamp) -> Result<Call, ExprError> {
        let facts = state.facts(ix);
        let Some(sent) = &facts.call else {
            let mut call = self.action(state, ix, attempt, now)?;
            call.sent = sender(state, ix, now);
            return Ok(call);
        };
        let mut call = self.resolved(state, ix, attempt, (&sent.uses, sent.with.clone()), "");
        call.timeout = state.plan.step(ix).timeout;
        call.sent = sender(state, ix, now);
        call.targets = as_sent(&state.plan.targets, &sent.targets);
        Ok(call)
    }

    /// The call of a probe; `tag` tells its files from those of the attempt.
    ///
    /// # Errors
    /// An argument has no value.
    pub fn probe(&self, state: &RunState, ix: StepIx, attempt: u32, call: &plan::Call, tag: &str) -> Result<Call, ExprError> {
        let mut call = self.call(state, ix, attempt, call, tag)?;
        call.timeout = Some(PROBE_TIMEOUT);
        Ok(call)
    }

    fn call(&self, state: &RunState, ix: StepIx, attempt: u32, call: &plan::Call, tag: &str) -> Result<Call, ExprError> {
        let with = match scope::of_step(state, ix, None, |scope| expr::render(&call.with, scope))? {
            Value::Object(with) => with,
            Value::Null => Map::new(),
            other => return Err(ExprError::Failed(format!("`with` is {other}, not a map"))),
        };
        Ok(self.resolved(state, ix, attempt, (&call.uses, with), tag))
    }

    fn resolved(&self, state: &RunState, ix: StepIx, attempt: u32, (uses, with): (&str, Map<String, Value>), tag: &str) -> Call {
        let step = state.plan.step(ix);
        Call {
            run: Arc::clone(&self.run),
            step: step.id.clone(),
            attempt,
            uses: uses.to_owned(),
            with,
            outputs: Arc::clone(&step.outputs),
            identity: state.facts(ix).identity.clone(),
            folder: Arc::clone(&self.folder),
            scratch: self.scratch.join(format!("{}-{attempt}{tag}", file_name(step.id.as_str()))),
            targets: Arc::clone(&state.plan.targets),
            excluded: state.choices.exclude.as_slice().into(),
            before_image: state.facts(ix).before_image.as_ref().map(|image| BeforeImage::of(&self.evidence, image)),
            handle: state.facts(ix).handle.clone(),
            timeout: None,
            until: state.plan.window.as_ref().map(|window| window.closes),
            effect: step.effect(),
            probed: step.is_probed(),
            assumed: state.rests_on_described(ix),
            sent: Sent::default(),
        }
    }
}

/// A call as its intent holds it. Secrets are still references in it, and stay so.
#[must_use]
pub fn as_recorded(call: &Call) -> SentCall {
    let with = Value::Object(call.with.clone());
    let targets = call.targets.named_in(&with).into_iter().map(|(name, entry)| (name.to_owned(), entry.clone())).collect();
    SentCall { uses: call.uses.clone(), with: call.with.clone(), targets }
}

/// What is known of the process that sent the latest attempt.
fn sender(state: &RunState, ix: StepIx, now: Timestamp) -> Sent {
    let started = state.facts(ix).started.filter(|at| *at <= now);
    Sent { dead: state.sender_is_dead(ix), ago: started.map(|at| now.since(at)) }
}

/// The targets as they were when an attempt was made.
fn as_sent(targets: &Arc<Targets>, sent: &BTreeMap<String, Value>) -> Arc<Targets> {
    let changed = |targets: &Targets| {
        let entry = |name: &String| targets.value.get(targets.names.get(name)?)?.get(name);
        sent.iter().any(|(name, was)| entry(name) != Some(was))
    };
    if !changed(targets) {
        return Arc::clone(targets);
    }
    let mut then = (**targets).clone();
    for (name, was) in sent {
        let kind = then.names.get(name).cloned().unwrap_or_else(|| "hosts".to_owned());
        if let Some(Value::Object(entries)) = then.value.get_mut(&kind) {
            entries.insert(name.clone(), was.clone());
        }
    }
    Arc::new(then)
}

/// A file name for a step's id, another one for every id on every file system. `stop[gc01]` becomes `stop_gc01_~…`.
fn file_name(id: &str) -> String {
    let reserved = |name: &str| {
        let number = name.strip_prefix("com").or_else(|| name.strip_prefix("lpt"));
        matches!(name, "con" | "prn" | "aux" | "nul") || number.is_some_and(|n| n.len() == 1)
    };
    let plain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
    if !id.is_empty() && id.len() <= 64 && id.chars().all(plain) && !reserved(id) {
        return id.to_owned();
    }
    // `~` is in no plain name, so the two kinds never meet; the hash tells odd ones apart.
    let mut name: String = id.chars().map(|c| if plain(c) { c } else { '_' }).take(40).collect();
    name.push('~');
    name.push_str(&crate::plan::hex(&Sha256::digest(id.as_bytes()))[..24]);
    name
}

/// What an observation means: by the author's expressions if there are any, otherwise by the action itself.
#[must_use]
pub fn judge(state: &RunState, ix: StepIx, probe: Option<&Probe>, seen: &Observation) -> (Verdict, String) {
    let Some(probe) = probe.filter(|probe| !probe.verdict.is_empty()) else { return (seen.verdict, seen.seen.clone()) };
    if seen.facts.is_empty() {
        return (Verdict::Unknown, seen.seen.clone());
    }
    let mut facts = seen.facts.clone();
    for (name, value) in &seen.outputs {
        facts.entry(name.clone()).or_insert_with(|| value.clone());
    }
    for (verdict, expr) in &probe.verdict {
        match scope::of_step(state, ix, Some(&facts), |scope| expr::truth(expr, scope)) {
            Ok(true) => return (*verdict, seen.seen.clone()),
            Ok(false) => {}
            Err(error) => return (Verdict::Unknown, format!("{}; `{}`: {error}", seen.seen, expr.source)),
        }
    }
    (Verdict::Unknown, seen.seen.clone())
}

/// A condition that is an expression. One that is a probe is judged from its observation.
#[must_use]
pub fn judge_condition(state: &RunState, ix: StepIx, condition: &plan::Condition, seen: Option<&Observation>) -> ConditionSeen {
    let (holds, text) = match (&condition.holds, seen) {
        (Holds::Expr(expr), _) => match scope::truth(state, ix, expr) {
            Ok(true) => (Holding::Holds, expr.source.to_string()),
            Ok(false) => (Holding::Fails, format!("`{}` is false", expr.source)),
            Err(error) => (Holding::CannotTell, error.to_string()),
        },
        (Holds::Probe(probe), Some(seen)) => {
            let (verdict, text) = judge(state, ix, Some(probe), seen);
            let holds = match verdict {
                Verdict::Done => Holding::Holds,
                Verdict::NotDone => Holding::Fails,
                Verdict::Partial | Verdict::Conflict | Verdict::Unknown => Holding::CannotTell,
            };
            (holds, text)
        }
        (Holds::Probe(_), None) => (Holding::CannotTell, "was not looked at".to_owned()),
    };
    ConditionSeen { name: condition.name.clone(), holds, seen: text }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn steps_have_file_names_of_their_own() {
        let ids =
            ["stop", "stop[gc01]", "stop[gc/01]", "stop[gc\\01]", "stop[GC01]", "con", "stop_gc01_", "..", &"x".repeat(300)];
        let names: std::collections::BTreeSet<String> = ids.iter().map(|id| file_name(id).to_lowercase()).collect();
        assert_eq!(names.len(), ids.len());
        assert!(names.iter().all(|n| n.len() <= 65 && !n.contains(['/', '\\', '.', '['])), "{names:?}");
    }
}
