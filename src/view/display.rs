//! What a run shows while it runs: bars on a terminal, plain lines elsewhere, JSON lines for programs, or nothing.
//!
//! A display is handed records after they are durable and writes them down; it never holds up the run. The driver
//! calls [`Display::event`] for every record, and builds a board only when [`Display::wants_board`] says that one
//! would be shown.

use std::io::Write;
use std::time::Instant;

use jiff::tz::TimeZone;

use super::board::Board;
use super::json;
use super::plain::PlainLines;
use crate::run::event::Record;
use crate::run::state::RunState;

/// Shows a run while it runs.
pub trait Display: Send {
    /// A durable record was applied to the state.
    fn event(&mut self, record: &Record, state: &RunState);

    /// The records of one sync were handed over: lines held back for it are written out now, in one go.
    fn flush(&mut self) {}

    /// Whether this display shows boards at all.
    fn has_board(&self) -> bool {
        false
    }

    /// Whether a board would be shown if one were handed over now. Cheap; asked after every record and on every tick.
    fn wants_board(&self, now: Instant) -> bool {
        let _ = now;
        false
    }

    /// Shows where the run stands. Boards may be left out, the latest one counts.
    fn refresh(&mut self, board: Board) {
        let _ = board;
    }

    /// Puts a question (a block of text) before the person at the terminal, and keeps still until [`Display::answered`].
    fn ask(&mut self, text: &str);

    /// The question has been answered, here or elsewhere.
    fn answered(&mut self) {}

    /// A message that is no record, such as what is in flight after Ctrl-C.
    fn say(&mut self, text: &str);

    /// The last word: everything is written out before this returns.
    fn finish(&mut self, text: &str);
}

/// Which display suits where the output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Progress bars.
    Bars,
    /// Plain lines.
    Plain,
}

/// Bars only on a terminal that can move its cursor, and unless `NO_COLOR` is set. Arguments as found by the caller.
#[must_use]
pub fn style(is_terminal: bool, term: Option<&str>, no_color: Option<&str>) -> Style {
    let dumb = term.is_some_and(|term| term.is_empty() || term == "dumb");
    if is_terminal && !dumb && no_color.is_none_or(str::is_empty) { Style::Bars } else { Style::Plain }
}

/// One plain line per record.
pub struct Plain<W> {
    out: W,
    lines: PlainLines,
    /// Lines of records, until [`Display::flush`].
    held: String,
}

impl<W: Write + Send> Plain<W> {
    /// Writes to `out`, times in this zone. What cannot be written is lost: a closed pipe must not stop a run.
    pub fn new(out: W, zone: TimeZone) -> Self {
        Plain { out, lines: PlainLines::new(zone), held: String::new() }
    }

    fn put(&mut self, text: &str) {
        self.held.push_str(text.trim_end());
        self.held.push('\n');
        self.flush();
    }
}

impl<W: Write + Send> Display for Plain<W> {
    fn event(&mut self, record: &Record, state: &RunState) {
        for line in self.lines.lines(record, state) {
            self.held.push_str(line.trim_end());
            self.held.push('\n');
        }
    }

    fn flush(&mut self) {
        if !self.held.is_empty() {
            // Not flushed: who reads slowly is not waited for before the end.
            let _ = self.out.write_all(self.held.as_bytes());
            self.held.clear();
        }
    }

    fn ask(&mut self, text: &str) {
        self.put(text);
    }

    fn say(&mut self, text: &str) {
        self.put(text);
    }

    fn finish(&mut self, text: &str) {
        self.put(text);
        let _ = self.out.flush();
    }
}

/// One JSON object per record. Questions and the last word are for people and left out.
pub struct JsonLines<W> {
    out: W,
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        JsonLines { out }
    }
}

impl<W: Write + Send> Display for JsonLines<W> {
    fn event(&mut self, record: &Record, _: &RunState) {
        let _ = self.out.write_all(format!("{}\n", json::line(record)).as_bytes());
    }

    fn ask(&mut self, _: &str) {}

    fn say(&mut self, _: &str) {}

    fn finish(&mut self, _: &str) {
        let _ = self.out.flush();
    }
}

/// Shows nothing but the last word.
pub struct Quiet<W> {
    out: W,
}

impl<W: Write + Send> Quiet<W> {
    /// Writes the last word to `out`.
    pub fn new(out: W) -> Self {
        Quiet { out }
    }
}

impl<W: Write + Send> Display for Quiet<W> {
    fn event(&mut self, _: &Record, _: &RunState) {}

    fn ask(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}", text.trim_end());
    }

    fn say(&mut self, _: &str) {}

    fn finish(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}", text.trim_end());
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{person, record, run_of, weekend, zone};
    use super::*;
    use crate::run::event::Event;

    #[test]
    fn bars_are_for_terminals_that_can_show_them() {
        assert_eq!(style(true, Some("xterm-256color"), None), Style::Bars);
        assert_eq!(style(true, None, Some("")), Style::Bars);
        assert_eq!(style(true, Some("dumb"), None), Style::Plain);
        assert_eq!(style(true, Some("xterm"), Some("1")), Style::Plain);
        assert_eq!(style(false, Some("xterm"), None), Style::Plain);
    }

    #[test]
    fn f84_a_closed_pipe_does_not_stop_the_run() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut plain = Plain::new(Closed, zone());
        plain.event(&record(1, 0, Event::RunContinued { by: person("a") }), &run_of(weekend()));
        plain.finish("over");
    }

    #[test]
    fn json_lines_hold_nothing_but_records() {
        let mut out = Vec::new();
        let mut lines = JsonLines::new(&mut out);
        lines.ask("go?");
        lines.event(&record(1, 0, Event::RunContinued { by: person("a") }), &run_of(weekend()));
        lines.finish("over");
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.starts_with("{\"at\":") || text.contains("\"event\":\"run_continued\""), "{text}");
    }
}
