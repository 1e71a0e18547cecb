//! `relevo status [RUN]`: where a run stands, by what is durable; without runs a list; `--follow` until it ends.

use std::io::Write as _;
use std::time::Duration;

use super::common::{self, Format, RunsArgs};
use super::messages::Result;
use super::open::{self, Replay};
use super::which;
use crate::error::{Exit, Failure};
use crate::journal::{Reader, RunDir};
use crate::run::event::Mode;
use crate::run::scheduler::Scheduler;
use crate::view::board::Board;
use crate::view::{json, next, plain, status as text};

/// How often a followed journal is looked at.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run; the newest that is unfinished if left out, or else the newest
    run: Option<String>,
    #[command(flatten)]
    runs: RunsArgs,
    /// List all runs
    #[arg(long, conflicts_with = "run")]
    list: bool,
    /// Print every event as it becomes durable, until the run ends
    #[arg(long)]
    follow: bool,
    /// One line, fit for a chat window
    #[arg(long)]
    line: bool,
    /// Every step, also those that are done
    #[arg(long)]
    all: bool,
    /// What is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn status(args: &Args) -> Result {
    if args.list {
        return list(args);
    }
    let dir = args.runs.open(args.run.as_deref())?;
    if args.run.is_none() && args.format == Format::Text && !args.line {
        which::note_others(&args.runs, &dir);
    }
    if args.follow {
        return follow(&dir, args.format);
    }
    let (scheduler, _) = open::read(&dir, &common::connectors())?;
    let board = Board::from(scheduler.state(), common::now(), open::is_live(&scheduler));
    let page = common::page();
    match args.format {
        Format::Json => common::print_json(&json::board(&board)),
        Format::Text if args.line => outln!("{}", text::one_line(&board, &page)),
        Format::Text => out!("{}", text::status(&board, &page, args.all)),
    }
    Ok(Exit::Done)
}

fn list(args: &Args) -> Result {
    let rows = which::list(&args.runs)?;
    if args.format == Format::Json {
        common::print_json(&rows.iter().map(which::Row::json).collect());
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        outln!("no runs in {}", args.runs.place().display());
    }
    for line in which::lines(&rows, common::now()) {
        outln!("{line}");
    }
    Ok(Exit::Done)
}

fn follow(dir: &RunDir, format: Format) -> Result {
    let connectors = common::connectors();
    let mut replay = Replay::new(dir, &connectors)?;
    let mut reader = Reader::open(dir.path()).map_err(Failure::from)?;
    let mut lines = plain::PlainLines::new(common::page().zone);
    loop {
        let mut records = Vec::new();
        reader.poll(&mut |record| records.push(record)).map_err(Failure::from)?;
        if records.is_empty() && !open::is_live(&replay.scheduler) {
            reader.poll_rest(&mut |record| records.push(record)).map_err(Failure::from)?;
        }
        let mut out = std::io::stdout().lock();
        for record in &records {
            replay.feed(record);
            let text = match format {
                Format::Json => vec![json::line(record)],
                Format::Text => lines.lines(record, replay.scheduler.state()),
            };
            for line in text {
                if writeln!(out, "{line}").is_err() {
                    return Ok(Exit::Done);
                }
            }
        }
        if out.flush().is_err() {
            return Ok(Exit::Done);
        }
        drop(out);
        replay.check()?;
        if replay.scheduler.state().ending.is_some() {
            return Ok(Exit::Done);
        }
        if records.is_empty() && !open::is_live(&replay.scheduler) {
            eprintln!("nobody holds the run; {}", go_on(dir, &replay.scheduler));
            return Ok(Exit::Done);
        }
        std::thread::sleep(POLL);
    }
}

/// What to type about a run that nobody holds and that has not ended.
fn go_on(dir: &RunDir, scheduler: &Scheduler) -> String {
    match scheduler.state().mode {
        Mode::Execute => format!("`{}` goes on with it", next::resume(dir.id())),
        Mode::Rehearsal => {
            if let Ok(resolved) = open::resolved(dir) {
                next::was_rehearsed_with(dir.id(), &resolved.words());
            }
            format!("`{}` makes it anew", next::rehearse_again(dir.id()))
        }
    }
}
