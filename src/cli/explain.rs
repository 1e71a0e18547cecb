//! `relevo explain [RUN] STEP`: what a step does, why it waits, what a resume would do, and how to do it by hand.

use std::path::PathBuf;
use std::sync::Arc;

use super::common::{self, PlanArgs, RunsArgs};
use super::messages::Result;
use super::open;
use crate::connector::Connectors;
use crate::error::Exit;
use crate::plan::{StepIx, Work};
use crate::run::calls::Desk;
use crate::run::state::RunState;
use crate::view::explain as text;

#[derive(Debug, clap::Args)]
#[command(override_usage = "relevo explain [OPTIONS] [RUN] <STEP>\n       relevo explain [OPTIONS] --plan <PLAN> <STEP>")]
pub struct Args {
    /// Run and step; without a run the newest that is unfinished, or else the newest
    #[arg(num_args = 1..=2, value_names = ["RUN", "STEP"], required = true)]
    words: Vec<String>,
    /// Explain a step of a plan that has no run
    #[arg(long, value_name = "PLAN")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    runs: RunsArgs,
    /// The exact commands to do the step (and to undo it) without relevo
    #[arg(long)]
    by_hand: bool,
}

pub fn explain(args: &Args) -> Result {
    let connectors = common::connectors();
    let (run, step) = match args.words.as_slice() {
        [run, step] => (Some(run.as_str()), step),
        [step] => (None, step),
        _ => unreachable!("one or two words are asked for"),
    };
    let (state, live, evidence) = match &args.plan {
        Some(plan) => {
            let plan = PlanArgs::alone(plan);
            (RunState::new(Arc::new(plan.load_for_show()?.plan)), None, PathBuf::new())
        }
        None => {
            let dir = args.runs.open(run)?;
            let (scheduler, _) = open::read(&dir, &connectors)?;
            let live = open::is_live(&scheduler);
            (scheduler.state().clone(), Some(live), dir.evidence().dir().to_owned())
        }
    };
    let ix = common::find_step(&state.plan, step)?;
    let by_hand = if args.by_hand { by_hand(&state, ix, &connectors, evidence) } else { Vec::new() };
    let at = live.map(|live| text::At { state: &state, now: common::now(), live });
    outln!("{}", text::explain(&state.plan, ix, at, &by_hand, &common::page()));
    Ok(Exit::Done)
}

/// The commands of the step, its probe and its undo, as far as their arguments are known.
fn by_hand(state: &RunState, ix: StepIx, connectors: &Connectors, evidence: PathBuf) -> Vec<String> {
    let Work::Action(action) = &state.plan.step(ix).work else {
        return vec!["nothing to type: a person does this".to_owned()];
    };
    let desk = Desk {
        run: Arc::from(if state.run.is_empty() { "RUN" } else { state.run.as_str() }),
        folder: Arc::from(state.plan.folder.as_path()),
        scratch: PathBuf::new(),
        evidence,
    };
    let mut lines = Vec::new();
    let parts = [
        ("do", Some(&action.call)),
        ("see whether it is done", action.probe.as_ref().map(|probe| &probe.call)),
        ("undo", action.undo.as_ref()),
    ];
    for (what, call) in parts {
        let Some(call) = call else { continue };
        lines.push(format!("# {what}"));
        match desk.probe(state, ix, 0, call, "") {
            Ok(call) => match connectors.for_action(&call.uses) {
                Some(connector) => lines.extend(connector.by_hand(&call)),
                None => lines.push(format!("# this build has no action `{}`", call.uses)),
            },
            Err(error) => lines.push(format!("# not known yet: {error}")),
        }
    }
    lines
}
