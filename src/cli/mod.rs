//! The command line: one file per verb, and what they share.
//!
//! This layer composes: it gives the engine its journal, connectors, clock, people and displays. A rehearsal exists
//! only here, as another composition of the same parts.

/// `print!` to standard output, where a reader that has gone away (`| head`) is no reason to panic.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::messages::out(&format!($($text)*)) };
}

/// `println!`, as [`out`].
macro_rules! outln {
    () => { $crate::cli::messages::out("\n") };
    ($($text:tt)*) => { $crate::cli::messages::out(&(format!($($text)*) + "\n")) };
}

mod amend;
mod before;
mod check;
mod common;
mod completions;
mod decide;
mod engine;
mod explain;
mod graph;
mod in_lab;
#[cfg(feature = "lab")]
mod lab;
mod logging;
mod messages;
mod open;
mod orders;
mod post;
mod preflight;
mod probe;
mod prompt;
mod rehearse;
mod rehearsed;
mod report;
mod resume;
mod rollback;
mod run;
mod runbook;
mod salvage;
mod schema;
mod screen;
mod status;
mod trust;
mod two_runs;
mod verify;
mod watch;
mod which;

use clap::{CommandFactory, Parser, Subcommand};

use crate::error::Exit;

/// Rehearse, run and resume the steps of a migration weekend.
#[derive(Debug, Parser)]
#[command(name = "relevo", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 waits for a person, 4 in doubt, 5 nothing to resume, 6 window shut, \
7 rehearsal found failures, 8 refused, 64 invalid plan, 65 damaged journal, 69 target unreachable, 73 held by another, \
74/75 journal cannot be written, 130/143 stopped on request"
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check a plan, its targets and its parameters, and list every mistake
    Check(check::Args),
    /// Rehearse a plan: look at the live systems, describe every effect, change nothing
    Rehearse(rehearse::Args),
    /// Run a plan
    Run(run::Args),
    /// Go on with a run after a failure, a crash or a pause
    Resume(resume::Args),
    /// Show where a run stands, or list the runs
    Status(status::Args),
    /// Look at the system of one step, at will
    Probe(probe::Args),
    /// Answer a gate, a manual step, a failed step or a step in doubt
    Decide(decide::Args),
    /// Start nothing more for now; what is in flight goes on
    Pause(orders::PauseArgs),
    /// Start steps again after a pause
    Continue(orders::ContinueArgs),
    /// Let steps start although the window is shut: for a time, or up to a checkpoint
    Extend(orders::ExtendArgs),
    /// End a run: start nothing more, let attempts finish
    Abort(orders::AbortArgs),
    /// Write something into a run's journal
    Note(orders::NoteArgs),
    /// Explain a step: what it does, why it waits, what a resume would do
    Explain(explain::Args),
    /// Go back (not in this version)
    Rollback(rollback::Args),
    /// Summarise a run or a rehearsal
    Report(report::Args),
    /// Check a run's journal, frame by frame
    Verify(verify::Args),
    /// Go on from what is intact of a run whose journal is damaged, in a new run
    Salvage(salvage::Args),
    /// Start, end and use the lab: a stand-in for the targets on this machine
    #[cfg(feature = "lab")]
    Lab(lab::Args),
    /// Draw a plan
    Graph(graph::Args),
    /// Print the JSON Schema of plans or targets, for editors
    Schema(schema::Args),
    /// Print a plan as a runbook in Markdown, for the change board
    Runbook(runbook::Args),
    /// Print shell completions
    Completions(completions::Args),
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

/// Parses the command line, does the verb, prints what went wrong, and returns the exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no reason to fail a second time.
            let _ = error.print();
            return std::process::ExitCode::from(if error.use_stderr() { Exit::Usage.code() } else { 0 });
        }
    };
    let result = match cli.verb {
        Verb::Check(args) => check::check(&args),
        Verb::Rehearse(args) => rehearse::rehearse(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Resume(args) => resume::resume(&args),
        Verb::Status(args) => status::status(&args),
        Verb::Probe(args) => probe::probe(&args),
        Verb::Decide(args) => decide::decide(&args),
        Verb::Pause(args) => orders::pause(&args),
        Verb::Continue(args) => orders::go_on(&args),
        Verb::Extend(args) => orders::extend(&args),
        Verb::Abort(args) => orders::abort(&args),
        Verb::Note(args) => orders::note(&args),
        Verb::Explain(args) => explain::explain(&args),
        Verb::Rollback(args) => rollback::rollback(&args),
        Verb::Report(args) => report::report(&args),
        Verb::Verify(args) => verify::verify(&args),
        Verb::Salvage(args) => salvage::salvage(&args),
        #[cfg(feature = "lab")]
        Verb::Lab(args) => lab::lab(&args),
        Verb::Graph(args) => graph::graph(&args),
        Verb::Schema(args) => schema::schema(&args),
        Verb::Runbook(args) => runbook::runbook(&args),
        Verb::Completions(args) => completions::completions(&args, &mut Cli::command()),
        Verb::Man => completions::man(&Cli::command()),
    };
    let exit = result.unwrap_or_else(|error| messages::print_failure(&error));
    // Blocking threads may still wait for a child process that is meant to outlive this one.
    std::process::exit(i32::from(exit.code()))
}
