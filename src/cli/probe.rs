//! `relevo probe RUN STEP`: a look at will. Nothing follows from it, and nothing is recorded.

use std::sync::Arc;

use super::common::{self, Format, RunsArgs};
use super::in_lab;
use super::messages::Result;
use super::open;
use crate::error::{Exit, Failure};
use crate::plan::Work;
use crate::run::calls::{self, Desk};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run
    run: String,
    /// The step
    step: String,
    #[command(flatten)]
    runs: RunsArgs,
    /// What is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn probe(args: &Args) -> Result {
    let dir = args.runs.open(Some(&args.run))?;
    let lab = open::resolved(&dir)?.lab;
    if let Some(folder) = &lab {
        in_lab::enter_again(folder, &dir.sources().map_err(Failure::from)?)?;
    }
    let connectors = in_lab::connectors(lab.is_some());
    let (scheduler, _) = open::read(&dir, &connectors)?;
    let state = scheduler.state();
    let ix = common::find_step(&state.plan, &args.step)?;
    let (probe, call) = match &state.plan.step(ix).work {
        Work::Action(action) => (action.probe.as_ref(), action.probe.as_ref().map_or(&action.call, |probe| &probe.call)),
        Work::Manual(manual) => match &manual.probe {
            Some(probe) => (Some(probe), &probe.call),
            None => return Err(no_probe(&args.step)),
        },
        Work::Gate(_) | Work::Checkpoint => return Err(no_probe(&args.step)),
    };
    if probe.is_none() && !state.plan.step(ix).is_probed() {
        return Err(no_probe(&args.step));
    }
    // Files of this look stay out of the run directory, which belongs to its holder.
    let scratch = std::env::temp_dir().join(format!("relevo-probe-{}", std::process::id()));
    let desk = Desk {
        run: Arc::from(dir.id()),
        folder: Arc::from(state.plan.folder.as_path()),
        scratch: scratch.clone(),
        evidence: dir.evidence().dir().to_owned(),
    };
    let call = desk.probe(state, ix, 0, call, ".probe").map_err(|error| Failure::new(Exit::Refused, error.to_string()))?;
    let connector = connectors
        .for_action(&call.uses)
        .ok_or_else(|| Failure::new(Exit::InvalidPlan, format!("this build has no action `{}`", call.uses)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(connector.probe(&call));
    runtime.shutdown_background();
    // Left over only if the look left something; it holds nothing that is needed.
    let _ = std::fs::remove_dir_all(&scratch);
    let (verdict, text) = calls::judge(state, ix, probe, &seen);
    match args.format {
        Format::Json => common::print_json(&serde_json::json!({
            "run": dir.id(), "step": args.step, "verdict": verdict, "seen": text, "facts": seen.facts, "outputs": seen.outputs,
        })),
        Format::Text => outln!("{}: {verdict}\n  {}", args.step, crate::foreign::line(&text)),
    }
    Ok(Exit::Done)
}

fn no_probe(step: &str) -> anyhow::Error {
    Failure::new(Exit::Refused, format!("step `{step}` has no probe"))
        .hint("give it one in the plan: `probe: { uses: …, verdict: … }`")
        .into()
}
