//! `relevo verify RUN`: every frame of the journal, and which one is altered.

use super::common::{self, Format, RunsArgs};
use super::messages::Result;
use crate::error::{Exit, Failure};
use crate::journal;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run; the newest that is unfinished if left out, or else the newest
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// What is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn verify(args: &Args) -> Result {
    let dir = args.runs.open(args.run.as_deref())?;
    let report = journal::verify(dir.path()).map_err(|error| Failure::io(dir.path().display(), &error))?;
    if args.format == Format::Json {
        common::print_json(&serde_json::to_value(&report)?);
    } else {
        outln!("{report}");
    }
    Ok(if report.sound() { Exit::Done } else { Exit::Damaged })
}
