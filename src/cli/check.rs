//! `relevo check PLAN`: every mistake at once, nothing touched.

use std::io::IsTerminal;

use super::common::{self, Format, PlanArgs};
use super::messages::{self, Result};
use crate::error::Exit;
use crate::plan::load::{self, Inputs};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// What is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn check(args: &Args) -> Result {
    let inputs = Inputs { placeholders: true, ..args.plan.inputs()? };
    let result = load::load(&args.plan.plan, &inputs, &common::connectors().catalogue());
    let (report, found) = match &result {
        Ok(loaded) => (&loaded.report, Some(&loaded.plan)),
        Err(report) => (report, None),
    };
    if args.format == Format::Json {
        common::print_json(&serde_json::json!({
            "plan": args.plan.plan,
            "valid": found.is_some(),
            "steps": found.map(|plan| plan.steps.len()),
            "findings": report.to_json(),
        }));
    } else {
        if !report.is_empty() {
            eprintln!("{}", report.render(messages::colour(std::io::stderr().is_terminal())));
        }
        match found {
            Some(plan) => {
                outln!("{}: valid; {} steps, {} limits", args.plan.plan.display(), plan.steps.len(), plan.limits.len());
            }
            None => outln!("{}: not valid; {}", args.plan.plan.display(), report.summary()),
        }
    }
    Ok(if found.is_some() { Exit::Done } else { Exit::InvalidPlan })
}
