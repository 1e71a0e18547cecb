//! `relevo rollback`: said plainly, because at night nobody should have to guess.

use super::common::RunsArgs;
use super::messages::Result;
use crate::error::{Exit, Failure};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run; may be left out if only one is unfinished
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
}

pub fn rollback(args: &Args) -> Result {
    let dir = args.runs.open_run(args.run.as_deref())?;
    Err(Failure::new(Exit::Refused, "this version does not go back by itself")
        .detail("nothing was changed")
        .hint(format!(
            "`{}` prints the undo of a step, to be done by hand in reverse order",
            crate::view::next::by_hand(dir.id(), "STEP")
        ))
        .into())
}
