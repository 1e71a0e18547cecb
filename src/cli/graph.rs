//! `relevo graph PLAN`: on the terminal, or as SVG, Mermaid or DOT.

use clap::ValueEnum;

use super::common::{self, PlanArgs};
use super::messages::Result;
use crate::error::Exit;
use crate::view::graph::{self as draw, Drawing};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    Terminal,
    Svg,
    Mermaid,
    Dot,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// How it is drawn
    #[arg(long = "as", value_enum, default_value = "terminal")]
    form: As,
    /// One node per `for_each` instead of one per instance
    #[arg(long)]
    collapse: bool,
}

pub fn graph(args: &Args) -> Result {
    let plan = args.plan.load_for_show()?.plan;
    let drawing = if args.collapse { Drawing::collapsed(&plan) } else { Drawing::of(&plan) };
    let text = match args.form {
        As::Terminal => draw::terminal(&drawing, common::page().width),
        As::Svg => draw::svg(&drawing),
        As::Mermaid => draw::mermaid(&drawing),
        As::Dot => draw::dot(&drawing),
    };
    out!("{text}");
    Ok(Exit::Done)
}
