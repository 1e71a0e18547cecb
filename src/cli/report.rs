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
    /// The run; the newest that is unfinished if left out, or else the newest
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
        let text = format!("{}: {step}: {}", ask.why.as_str(), crate::foreign::line(ask.text.trim()));
        lines.push(match ask.why {
            // What is to be answered is read whole, also by whoever took the run up with the question standing.
            Why::Gate | Why::GateExpired | Why::Manual => crate::view::text::hang(&text, page.width.saturating_sub(2), 2),
            // The lines before this have told it, and `status` does.
            _ => crate::view::text::cut(&text, page.width),
        });
        // Up to the first answer: in doubt one looks before one answers.
        let shown = ask.commands.iter().position(|command| answer_in(command).is_some()).map_or(0, |first| first + 1);
        lines.extend(ask.commands.iter().take(shown).map(|command| format!("  {command}")));
        let others: Vec<&str> = ask.commands.iter().skip(shown).filter_map(|command| answer_in(command)).collect();
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

/// The answer in `relevo decide RUN STEP ANSWER [--question NONCE] --reason "…"`.
fn answer_in(command: &str) -> Option<&str> {
    command.strip_prefix("relevo decide ")?.split(" --").next()?.rsplit(' ').next()
}
