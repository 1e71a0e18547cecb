//! What a run shows while it runs: hands durable records to a display, and questions to the person at the terminal.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::common::Format;
use super::messages;
use super::watch::Heard;
use crate::run::driver::Observer;
use crate::run::event::Record;
use crate::run::questions::{Question, questions};
use crate::run::state::RunState;
use crate::time::{Clock, SystemClock};
use crate::view::aside::Aside;
use crate::view::bars::Bars;
use crate::view::board::Board;
use crate::view::display::{Display, JsonLines, Plain, Style, style};
use crate::view::page::Page;

/// The question that stands at the terminal, shared with the reader of its answer.
pub type Shown = Arc<Mutex<Option<(Question, RunState)>>>;

/// The display that suits where the output goes.
#[must_use]
pub fn display(format: Format, page: &Page) -> Box<dyn Display> {
    // Aside, so that a reader who does not read holds nothing up; without a thread left, directly.
    let out = || {
        Aside::new(std::io::stdout())
            .map_or_else(|_| Box::new(std::io::stdout()) as Box<dyn Write + Send>, |aside| Box::new(aside))
    };
    if format == Format::Json {
        return Box::new(JsonLines::new(out()));
    }
    let is_terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
    let env = |name: &str| std::env::var(name).ok();
    match style(is_terminal, env("TERM").as_deref(), env("NO_COLOR").as_deref()) {
        Style::Bars => Box::new(Bars::stderr(page.clone())),
        Style::Plain => Box::new(Plain::new(out(), page.zone.clone())),
    }
}

/// The page that a running display writes on.
#[must_use]
pub fn page() -> Page {
    let term = console::Term::stderr();
    let mut page = Page::plain(term.size_checked().map_or(80, |(_, columns)| usize::from(columns)), TimeZone::system());
    page.whole = !std::io::stdout().is_terminal();
    page.colour = messages::colour(std::io::stderr().is_terminal());
    page
}

/// A display that was too busy for a board gets one after this time.
const REFRESH: Duration = Duration::from_millis(120);

/// Tells the display and the terminal.
pub struct Screen {
    display: Arc<Mutex<Box<dyn Display>>>,
    shown: Option<Shown>,
    page: Page,
    /// Records came in since the display was last given a board.
    stale: bool,
    heard: Heard,
}

impl Screen {
    /// `shown` is given where a person sits at the terminal; `heard` counts the signals that the run takes up.
    #[must_use]
    pub fn new(display: Arc<Mutex<Box<dyn Display>>>, shown: Option<Shown>, page: Page, heard: Heard) -> Self {
        Screen { display, shown, page, stale: false, heard }
    }

    fn refresh(&mut self, state: &RunState) {
        let mut display = self.display.lock().unwrap_or_else(PoisonError::into_inner);
        if display.wants_board(Instant::now()) {
            display.refresh(Board::from(state, SystemClock::default().now(), true));
            self.stale = false;
        }
    }
}

impl Observer for Screen {
    fn recorded(&mut self, records: &[Record], state: &RunState) {
        let mut display = self.display.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            display.event(record, state);
        }
        display.flush();
        self.stale = display.has_board();
        drop(display);
        self.refresh(state);
    }

    fn idle(&mut self, state: &RunState) -> Option<Duration> {
        self.refresh(state);
        self.put_question(state);
        self.stale.then_some(REFRESH)
    }

    fn say(&mut self, line: &str) {
        self.display.lock().unwrap_or_else(PoisonError::into_inner).say(line);
    }

    fn heard_signal(&mut self) {
        self.heard.one_more();
    }
}

impl Screen {
    /// Puts the first question that stands before the person at the terminal.
    fn put_question(&mut self, state: &RunState) {
        let Some(shown) = &self.shown else { return };
        let first = questions(state).into_iter().next();
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let unchanged = match (&*shown, first) {
            (Some((old, was)), Some(new)) => *old == new && was.step(new.step) == state.step(new.step),
            (None, None) => true,
            _ => false,
        };
        if unchanged {
            return;
        }
        let mut display = self.display.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.is_some() {
            display.answered();
        }
        *shown = first.map(|question| {
            display.ask(&super::prompt::text(question, state, &self.page));
            (question, state.clone())
        });
    }
}
