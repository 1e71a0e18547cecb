//! How failures are told.

use std::io::IsTerminal;

use crate::error::{Exit, Failure};
use crate::view::text::hang;

/// What every verb returns.
pub type Result = anyhow::Result<Exit>;

/// Prints a failure to standard error and returns its exit code. An error without a kind of its own is told with
/// its chain of causes.
pub fn print_failure(error: &anyhow::Error) -> Exit {
    let colour = colour(std::io::stderr().is_terminal());
    let red = if colour { "\u{1b}[31;1m" } else { "" };
    let reset = if colour { "\u{1b}[0m" } else { "" };
    if let Some(failure) = error.downcast_ref::<Failure>() {
        eprintln!("{red}error{reset}: {failure}");
        return failure.exit;
    }
    eprintln!("{red}error{reset}: {error:#}");
    Exit::Failed
}

/// Prints a warning to standard error; on a terminal it is broken to fit.
pub fn warn(text: &str) {
    let term = console::Term::stderr();
    let line = format!("warning: {text}");
    match term.size_checked().filter(|_| term.is_term()) {
        Some((_, columns)) => eprintln!("{}", hang(&line, usize::from(columns), 9)),
        None => eprintln!("{line}"),
    }
}

/// Writes to standard output. What cannot be written is lost: the reader has gone away, and the exit code still tells.
pub fn out(text: &str) {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Whether to use colours on a stream.
#[must_use]
pub fn colour(is_terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    is_terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
