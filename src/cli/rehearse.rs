//! `relevo rehearse PLAN`: the same engine over connectors that cannot write.

use super::common::{Format, PlanArgs};
use super::engine::ShowArgs;
use super::messages::Result;
use super::run::{self, Kind, NewArgs};
use super::two_runs::TwoRunsArgs;
use crate::run::event::Mode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    new: NewArgs,
    /// Export chat data for real, into a scratch file that is removed at the end, and let the steps after it look at that
    #[arg(long)]
    with_export: bool,
    /// What is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn rehearse(args: &Args) -> Result {
    start(&args.plan, &args.new, args.format, args.with_export)
}

/// Starts a rehearsal.
pub fn start(plan: &PlanArgs, new: &NewArgs, format: Format, with_export: bool) -> Result {
    let two = TwoRunsArgs::default();
    run::start(plan, new, &two, &ShowArgs { format, wait: false, go: false }, Kind { mode: Mode::Rehearsal, with_export })
}
