//! `relevo schema`: for editors.

use clap::ValueEnum;

use super::common;
use super::messages::Result;
use crate::error::Exit;
use crate::plan::schema;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    Plan,
    Targets,
}

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of which file
    #[arg(value_enum, default_value = "plan")]
    of: Of,
}

pub fn schema(args: &Args) -> Result {
    common::print_json(&match args.of {
        Of::Plan => schema::json_schema(&common::connectors().catalogue()),
        Of::Targets => schema::targets_schema(),
    });
    Ok(Exit::Done)
}
