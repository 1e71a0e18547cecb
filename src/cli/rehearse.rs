//! `relevo rehearse PLAN`: the same engine over connectors that cannot write.

use super::common::{Format, PlanArgs};
use super::engine::ShowArgs;
use super::messages::Result;
use super::run::{self, NewArgs};
use crate::run::event::Mode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    new: NewArgs,
    /// What is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn rehearse(args: &Args) -> Result {
    start(&args.plan, &args.new, args.format)
}

/// Starts a rehearsal.
pub fn start(plan: &PlanArgs, new: &NewArgs, format: Format) -> Result {
    run::start(plan, new, &ShowArgs { format, wait: false, go: false }, Mode::Rehearsal)
}
