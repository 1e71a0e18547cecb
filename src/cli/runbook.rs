//! `relevo runbook PLAN`: Markdown for the change board.

use super::common::{self, PlanArgs};
use super::messages::Result;
use crate::error::Exit;
use crate::view::runbook as text;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
}

pub fn runbook(args: &Args) -> Result {
    let plan = args.plan.load_for_show()?.plan;
    let page = common::page();
    out!("{}", text::runbook(&plan, &page));
    Ok(Exit::Done)
}
