//! Parsing alone: what any program that reads such a plan has to pay.

#![cfg_attr(not(unix), allow(dead_code, reason = "used where processes are measured"))]

use std::process::ExitCode;

/// The first argument of the process that only parses.
pub const PARSE: &str = "--parse";

/// Reads a file and parses it into a tree of values.
pub fn parse(file: &str) -> ExitCode {
    let parsed = std::fs::read_to_string(file)
        .map_err(|error| error.to_string())
        .and_then(|text| serde_yaml::from_str::<serde_yaml::Value>(&text).map_err(|error| error.to_string()));
    match parsed {
        Ok(value) => {
            std::hint::black_box(value);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{file}: {error}");
            ExitCode::FAILURE
        }
    }
}
