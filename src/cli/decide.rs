//! `relevo decide [RUN] STEP ANSWER --reason TEXT`: gates, manual steps, failures, doubts; `STEP` may be a pattern.

use clap::ValueEnum;
use serde_json::Value;

use super::common::{self, RunsArgs};
use super::messages::Result;
use super::{open, orders};
use crate::error::{Exit, Failure};
use crate::plan::{StepId, StepIx, Work};
use crate::run::decide as rules;
use crate::run::event::{Decision, Outputs};
use crate::run::order::Order;
use crate::run::state::{RunState, StepState};
use crate::view::next;

#[derive(Debug, clap::Args)]
#[command(override_usage = "relevo decide [OPTIONS] [RUN] <STEP> <ANSWER>\n       relevo decide [OPTIONS] [RUN] --old-host-off")]
pub struct Args {
    /// Run, step and answer; the run may be left out if only one is unfinished. The step may be a pattern: `patch[*]`.
    /// Answers: done, not-done, retry, skip, stop, go, no-go
    #[arg(num_args = 0..=3, value_names = ["RUN", "STEP", "ANSWER"], required_unless_present = "old_host_off")]
    words: Vec<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// Why; recorded
    #[arg(long, default_value = "")]
    reason: String,
    /// Evidence of a manual step; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    evidence: Vec<String>,
    /// Of a vote: the question that is answered, as it was shown
    #[arg(long, value_name = "NONCE")]
    question: Option<String>,
    /// Decide although you belong to none of the roles that may, as a holder of the run may in an emergency; the reason is
    /// recorded and shown at the next gate
    #[arg(long, requires = "reason")]
    emergency: bool,
    /// After a take-over from another machine: that machine is off, and nothing that ran on it acts any more. Settles all that
    /// could not be told because of it
    #[arg(long, requires = "reason")]
    old_host_off: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Word {
    Done,
    NotDone,
    Retry,
    Skip,
    Stop,
    Go,
    NoGo,
    Rollback,
}

impl Word {
    fn decision(self) -> Option<Decision> {
        Some(match self {
            Word::Done => Decision::Done,
            Word::NotDone => Decision::NotDone,
            Word::Retry => Decision::Retry,
            Word::Skip => Decision::Skip,
            Word::Stop => Decision::Stop,
            Word::Rollback => Decision::Rollback,
            Word::Go | Word::NoGo => return None,
        })
    }
}

pub fn decide(args: &Args) -> Result {
    if args.old_host_off {
        let ([] | [_]) = args.words.as_slice() else {
            return Err(Failure::new(Exit::Usage, "`--old-host-off` is about a run, not about a step").into());
        };
        let dir = args.runs.open_run(args.words.first().map(String::as_str))?;
        let order = Order::OldHostOff { reason: args.reason.clone(), emergency: args.emergency };
        return orders::send(dir, &[order]);
    }
    let (run, step, word) = match args.words.as_slice() {
        [run, step, word] => (Some(run.as_str()), step, word),
        [step, word] => (None, step, word),
        _ => return Err(Failure::new(Exit::Usage, "a step and an answer are wanted").into()),
    };
    let word = Word::from_str(word, true).map_err(|_| {
        Failure::new(Exit::Usage, format!("`{word}` is not an answer")).hint("done, not-done, retry, skip, stop, go or no-go")
    })?;
    let dir = args.runs.open_run(run)?;
    let (scheduler, _) = open::read(&dir, &common::connectors())?;
    let state = scheduler.state();
    if step.contains('*') {
        let orders = bulk(args, state, step, word)?;
        return orders::send(dir, &orders);
    }
    let ix = common::find_step(&state.plan, step)?;
    if let (Word::Go | Word::NoGo, StepState::AtGate(asked)) = (word, state.step(ix)) {
        outln!("{}: {}", step, crate::foreign::line(&asked.ask));
    }
    orders::send(dir, &[order(args, state, ix, word)?])
}

/// One answer to every step that a pattern names and that can be answered so.
fn bulk(args: &Args, state: &RunState, pattern: &str, word: Word) -> anyhow::Result<Vec<Order>> {
    let Some(decision) = word.decision() else {
        let message = "every gate is answered by itself: what lies behind one is not what lies behind another";
        return Err(Failure::new(Exit::Usage, message).into());
    };
    let named: Vec<StepIx> =
        (0..).map(StepIx).take(state.plan.steps.len()).filter(|ix| fits(pattern, state.plan.step(*ix).id.as_str())).collect();
    if named.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("`{pattern}` names no step of the plan")).into());
    }
    // Steps that need no answer are not meant by a pattern: a `skip` for all would leave out what has not begun.
    let waits = |ix: &StepIx| {
        matches!(state.step(*ix), StepState::Failed { .. } | StepState::InDoubt { .. } | StepState::AtManual(_))
            && rules::allowed(state, *ix, decision, common::now()).is_ok()
    };
    let orders: Vec<Order> =
        named.iter().copied().filter(waits).map(|ix| order(args, state, ix, word)).collect::<anyhow::Result<_>>()?;
    if orders.is_empty() {
        let message = format!("none of the {} steps that `{pattern}` names waits for `{}`", named.len(), rules::word(decision));
        return Err(Failure::new(Exit::Refused, message).hint(format!("`{}` shows what waits", next::status(&state.run))).into());
    }
    Ok(orders)
}

/// Whether a name fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| fits(after, &rest[at..]))),
    }
}

fn order(args: &Args, state: &RunState, ix: StepIx, word: Word) -> anyhow::Result<Order> {
    let step: StepId = state.plan.step(ix).id.clone();
    let (reason, emergency) = (args.reason.clone(), args.emergency);
    let about = state.facts(ix).asked_by;
    let manual = matches!(state.plan.step(ix).work, Work::Manual(_));
    Ok(match (word, word.decision()) {
        (Word::Go | Word::NoGo, _) | (_, None) => {
            // Without `--question` the vote is for the one that stands now, which is printed.
            let stands = match state.step(ix) {
                StepState::AtGate(asked) => Some((asked.nonce.clone(), asked.binding.clone())),
                _ => None,
            };
            let (nonce, binding) = match &args.question {
                Some(nonce) => (Some(nonce.clone()), None),
                None => stands.map_or((None, None), |(nonce, binding)| (Some(nonce), Some(binding))),
            };
            Order::Vote { step, go: word == Word::Go, reason, nonce, binding }
        }
        (Word::Done, _) if manual => {
            Order::Answer { step, done: true, reason, evidence: evidence(&args.evidence)?, about, emergency }
        }
        (Word::NotDone, _) if manual => Order::Answer { step, done: false, reason, evidence: Outputs::new(), about, emergency },
        (_, Some(decision)) => Order::Decide { step: Some(step), decision, reason, about, emergency },
    })
}

fn evidence(pairs: &[String]) -> anyhow::Result<Outputs> {
    pairs
        .iter()
        .map(|pair| {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| Failure::new(Exit::Usage, format!("`--evidence {pair}` is not NAME=VALUE")))?;
            Ok((name.to_owned(), Value::String(value.to_owned())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_pattern_names_the_instances_of_a_step_and_nothing_else() {
        assert!(fits("patch[*]", "patch[web01]") && fits("*", "patch[web01]") && fits("*[web*]", "patch[web01]"));
        assert!(!fits("patch[*]", "patch") && !fits("patch[*]", "repatch[web01]") && !fits("patch*x", "patch[web01]"));
    }
}
