//! relevo beside its peers: `cargo bench --bench peers` prints how many times as long it takes.
//!
//! - Absolute times say little on a machine that does other work too. Every goal is a ratio of two things measured in
//!   the same round, and what counts is the median over the rounds of one call.
//! - Between the rounds the disk itself is measured: 256 bytes appended and made durable. Where that varied more than
//!   twofold, the call proves nothing, and says so.
//!
//! `-- --quick` runs everything once with tiny numbers, to see that it works; `-- --rounds N` sets the number of
//! rounds; further words choose cases by their letter. What the cases are: `docs/performance.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on has failed")]

#[cfg(unix)]
mod cases;
#[cfg(unix)]
mod journal;
#[cfg(unix)]
mod measure;
mod parse;
#[cfg(unix)]
mod plans;
#[cfg(unix)]
mod table;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [measure::MEASURE, ..] => measure::parent(&arguments[1..]),
        [parse::PARSE, file] => parse::parse(file),
        [journal::MAKE, runs, records] => journal::make(runs.as_ref(), records.parse().unwrap_or(0)),
        [journal::OPEN, runs, records] => journal::open(runs.as_ref(), records.parse().unwrap_or(0)),
        _ => cases::run(&arguments),
    }
}

#[cfg(not(unix))]
fn main() {
    println!("whole processes and their memory are measured on Unix only");
}
