//! `relevo decide [RUN] STEP ANSWER --reason TEXT`: gates, manual steps, failures, doubts.

use clap::ValueEnum;
use serde_json::Value;

use super::common::{self, RunsArgs};
use super::messages::Result;
use super::{open, orders};
use crate::error::{Exit, Failure};
use crate::plan::{StepId, Work};
use crate::run::event::{Decision, Outputs};
use crate::run::order::Order;

#[derive(Debug, clap::Args)]
#[command(override_usage = "relevo decide [OPTIONS] [RUN] <STEP> <ANSWER>")]
pub struct Args {
    /// Run, step and answer; the latest run if it is left out. Answers: done, not-done, retry, skip, stop, go, no-go
    #[arg(num_args = 2..=3, value_names = ["RUN", "STEP", "ANSWER"], required = true)]
    words: Vec<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// Why; recorded
    #[arg(long, default_value = "")]
    reason: String,
    /// Evidence of a manual step; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    evidence: Vec<String>,
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

pub fn decide(args: &Args) -> Result {
    let (run, step, word) = match args.words.as_slice() {
        [run, step, word] => (Some(run.as_str()), step, word),
        [step, word] => (None, step, word),
        _ => unreachable!("two or three words are asked for"),
    };
    let word = Word::from_str(word, true).map_err(|_| {
        Failure::new(Exit::Usage, format!("`{word}` is not an answer")).hint("done, not-done, retry, skip, stop, go or no-go")
    })?;
    let dir = args.runs.open_run(run)?;
    let (scheduler, _) = open::read(&dir, &common::connectors())?;
    let state = scheduler.state();
    let ix = common::find_step(&state.plan, step)?;
    let manual = matches!(state.plan.step(ix).work, Work::Manual(_));
    let id = StepId::new(step);
    let reason = args.reason.clone();
    let order = match word {
        Word::Go => Order::Vote { step: id, go: true, reason, binding: None },
        Word::NoGo => Order::Vote { step: id, go: false, reason, binding: None },
        Word::Done if manual => Order::Answer { step: id, done: true, reason, evidence: evidence(&args.evidence)? },
        Word::NotDone if manual => Order::Answer { step: id, done: false, reason, evidence: Outputs::new() },
        Word::Done => Order::Decide { step: Some(id), decision: Decision::Done, reason },
        Word::NotDone => Order::Decide { step: Some(id), decision: Decision::NotDone, reason },
        Word::Retry => Order::Decide { step: Some(id), decision: Decision::Retry, reason },
        Word::Skip => Order::Decide { step: Some(id), decision: Decision::Skip, reason },
        Word::Stop => Order::Decide { step: Some(id), decision: Decision::Stop, reason },
        Word::Rollback => Order::Decide { step: Some(id), decision: Decision::Rollback, reason },
    };
    orders::send(dir, order)
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
