//! `relevo report [RUN]`, and the last word of every run.

use std::path::Path;

use super::common::{self, Format, RunsArgs};
use super::messages::Result;
use super::open;
use crate::error::Exit;
use crate::run::driver::End;
use crate::view::board::{Board, Why};
use crate::view::page::Page;
use crate::view::{json, report as text};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run; the latest if left out
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// What is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn report(args: &Args) -> Result {
    let dir = args.runs.open(args.run.as_deref())?;
    let (scheduler, _) = open::read(&dir, &common::connectors())?;
    let live = open::is_live(&scheduler);
    match args.format {
        Format::Text => out!("{}", text::report(scheduler.state(), common::now(), live, &common::page())),
        Format::Json => common::print_json(&json::board(&Board::from(scheduler.state(), common::now(), live))),
    }
    Ok(Exit::Done)
}

/// What a process says when it leaves a run: one line per step that waits for a person and what to type, or the summary.
#[must_use]
pub fn last_word(end: &End, run: &str, run_dir: &Path, page: &Page) -> String {
    let state = end.scheduler.state();
    if end.trouble.is_some() {
        // The state may hold what never became durable: nothing of it is told.
        return format!(
            "{run} stopped: its journal cannot be written ({})\nnext: {}",
            run_dir.display(),
            crate::view::next::resume(run)
        );
    }
    if state.ending.is_some() {
        return text::report(state, common::now(), false, page);
    }
    let board = Board::from(state, common::now(), false);
    let mut lines = Vec::new();
    for ask in board.asks.iter().filter(|ask| ask.step.is_some()) {
        let step = ask.step.as_ref().map_or("", |step| step.as_str());
        lines.push(format!("{}: {step}: {}", ask.why.as_str(), crate::view::escape::line(&ask.text)));
        // In doubt, the first answer in the list must not be the one that is pasted without looking.
        let shown = if ask.why == Why::InDoubt { ask.commands.len() } else { 1 };
        if let (Why::InDoubt, Some(step)) = (ask.why, &ask.step) {
            lines.push(format!("  {}", crate::view::next::explain(run, step)));
        }
        lines.extend(ask.commands.iter().take(shown).map(|command| format!("  {command}")));
        let others: Vec<&str> = ask.commands.iter().skip(1).filter_map(|command| answer_in(command)).collect();
        if !others.is_empty() {
            lines.push(format!("  or instead: {}", others.join(", ")));
        }
    }
    let why = match end.exit {
        Exit::WaitingForPerson => "waits for a person",
        Exit::InDoubt => "is in doubt; a person must decide",
        Exit::WindowShut => "stands still: the window is shut",
        Exit::Interrupted | Exit::Terminated => "was interrupted; nothing is lost",
        Exit::JournalFailed | Exit::NoSpace => "stopped: its journal cannot be written",
        _ => "stands still",
    };
    lines.push(format!("{run} {why} ({})", run_dir.display()));
    let resume = crate::view::next::resume(run);
    match board.asks.iter().find(|ask| ask.step.is_some()).and_then(|ask| ask.commands.first()) {
        // A resume alone would come back with the same question.
        Some(answer) if matches!(end.exit, Exit::WaitingForPerson | Exit::InDoubt) => {
            lines.push(format!("next: {answer}"));
            lines.push(format!("then: {resume}"));
        }
        _ => lines.push(format!("next: {resume}")),
    }
    lines.join("\n")
}

/// The answer in `relevo decide RUN STEP ANSWER --reason "…"`.
fn answer_in(command: &str) -> Option<&str> {
    command.split(" --reason").next()?.rsplit(' ').next()
}
