//! Progress bars: one per step in hand, one for the plan, plain lines scrolling above them.
//!
//! A thread of its own draws, because a terminal may be slow or stopped (Ctrl-S) and the run must not wait for it:
//!
//! - lines are queued without limit and never dropped, for each is a fact;
//! - of boards only the latest is kept, for each replaces the one before;
//! - between boards the thread moves the clocks on by itself, ten times a second.
//!
//! Everything handed in is durable already. While a question stands, the bars are taken away, so that what the
//! person types is not overwritten.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::board::{Board, Row, Why};
use super::display::Display;
use super::page::Page;
use super::plain::{PlainLines, hung};
use super::text::{cut, fit, list, moment, span, width};
use crate::foreign::line;
use crate::run::event::Record;
use crate::run::state::RunState;
use crate::time::{Span, Timestamp};

/// Between two drawings.
const TICK: Duration = Duration::from_millis(100);

/// Widest column of step ids.
const IDS: usize = 34;

/// Progress bars on a terminal.
pub struct Bars {
    shared: Arc<Shared>,
    lines: PlainLines,
    painter: Option<JoinHandle<()>>,
    last_board: Option<Instant>,
}

/// What passes from the run to the painter.
#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    rung: Condvar,
}

#[derive(Default)]
struct Inbox {
    lines: VecDeque<Line>,
    board: Option<Board>,
    asking: bool,
    closed: bool,
}

/// A line that scrolls above the bars.
struct Line {
    text: String,
    /// The column of ids, if it is told of a record: such a line is broken to fit. Any other is set already.
    ids: Option<usize>,
}

impl Inbox {
    fn say(&mut self, text: &str) {
        self.lines.extend(text.trim_end().lines().map(|text| Line { text: text.to_owned(), ids: None }));
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // A painter that panicked leaves a display that shows nothing; the run goes on.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bars {
    /// Bars on standard error, ten frames a second. `size` tells the terminal's height and width at each drawing.
    #[must_use]
    pub fn stderr(page: Page) -> Bars {
        let size = || console::Term::stderr().size_checked().map(|(rows, columns)| (usize::from(rows), usize::from(columns)));
        Bars::on(ProgressDrawTarget::stderr_with_hz(10), page, size)
    }

    /// Bars on any target of `indicatif`.
    pub fn on(target: ProgressDrawTarget, page: Page, size: impl Fn() -> Option<(usize, usize)> + Send + 'static) -> Bars {
        let shared = Arc::new(Shared::default());
        let lines = PlainLines::new(page.zone.clone()).within(size().map_or(80, |(_, columns)| columns));
        let for_painter = Arc::clone(&shared);
        let painter = std::thread::Builder::new().name("bars".to_owned()).spawn(move || {
            Painter::new(target, page).run(&for_painter, size);
        });
        Bars { shared, lines, painter: painter.ok(), last_board: None }
    }

    fn tell(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut self.shared.inbox());
        self.shared.rung.notify_one();
    }

    fn put(&self, text: &str) {
        self.tell(|inbox| inbox.say(text));
    }

    fn close(&mut self) {
        self.tell(|inbox| inbox.closed = true);
        if let Some(painter) = self.painter.take() {
            let _ = painter.join();
        }
    }
}

impl Display for Bars {
    fn event(&mut self, record: &Record, state: &RunState) {
        let lines = self.lines.lines(record, state);
        if !lines.is_empty() {
            // No bell: the painter looks every tick anyway, and ten thousand steps would wake it as often.
            let ids = Some(self.lines.ids());
            self.shared.inbox().lines.extend(lines.into_iter().map(|text| Line { text, ids }));
        }
    }

    fn has_board(&self) -> bool {
        true
    }

    fn wants_board(&self, now: Instant) -> bool {
        self.last_board.is_none_or(|last| now.saturating_duration_since(last) >= TICK)
    }

    fn refresh(&mut self, board: Board) {
        self.last_board = Some(Instant::now());
        let mut inbox = self.shared.inbox();
        // Nobody is wanted any more: the question was answered elsewhere.
        inbox.asking &= !board.asks.is_empty();
        inbox.board = Some(board);
    }

    fn ask(&mut self, text: &str) {
        self.tell(|inbox| {
            inbox.say(text);
            inbox.asking = true;
        });
    }

    fn answered(&mut self) {
        self.tell(|inbox| inbox.asking = false);
    }

    fn say(&mut self, text: &str) {
        self.put(text);
    }

    fn finish(&mut self, text: &str) {
        self.put(text);
        self.close();
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread's half: owns the terminal.
struct Painter {
    multi: MultiProgress,
    page: Page,
    bars: Vec<ProgressBar>,
    styles: [ProgressStyle; 3],
    board: Option<(Board, Instant)>,
    hidden: bool,
}

impl Painter {
    fn new(target: ProgressDrawTarget, page: Page) -> Painter {
        let hidden = target.is_hidden();
        let style = |template: &str| {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            style.progress_chars("━╸─")
        };
        Painter {
            multi: MultiProgress::with_draw_target(target),
            page,
            bars: Vec::new(),
            styles: [
                style("{spinner:.cyan} {prefix} {bar:12.cyan/dim} {msg}"),
                style("{spinner:.cyan} {prefix} {msg}"),
                style("{prefix} {bar:20.green/dim} {msg}"),
            ],
            board: None,
            hidden,
        }
    }

    fn run(&mut self, shared: &Shared, size: impl Fn() -> Option<(usize, usize)>) {
        loop {
            let mut inbox = shared.inbox();
            if !inbox.closed && !inbox.asking {
                inbox = shared.rung.wait_timeout(inbox, TICK).unwrap_or_else(PoisonError::into_inner).0;
            }
            let lines = std::mem::take(&mut inbox.lines);
            if let Some(board) = inbox.board.take() {
                self.board = Some((board, Instant::now()));
            }
            let (asking, closed) = (inbox.asking, inbox.closed);
            drop(inbox);
            if asking || closed {
                self.clear();
            }
            if !lines.is_empty() {
                self.print(lines, size());
            }
            if closed {
                return;
            }
            if asking {
                // Nothing moves until something new arrives.
                let inbox = shared.inbox();
                if inbox.asking && !inbox.closed && inbox.lines.is_empty() {
                    drop(shared.rung.wait_timeout(inbox, TICK));
                }
                continue;
            }
            self.draw(size());
        }
    }

    /// Prints lines above the bars; in one piece, so that ten thousand are no slower than ten.
    fn print(&mut self, lines: VecDeque<Line>, size: Option<(usize, usize)>) {
        if self.hidden {
            return;
        }
        let columns = size.map_or(80, |(_, columns)| columns);
        let fitting = lines.into_iter().map(|line| match line.ids {
            Some(ids) => hung(&line.text, ids, columns),
            None => line.text,
        });
        let _ = self.multi.println(fitting.collect::<Vec<_>>().join("\n"));
    }

    fn clear(&mut self) {
        for bar in self.bars.drain(..) {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
        let _ = self.multi.clear();
    }

    fn draw(&mut self, size: Option<(usize, usize)>) {
        let Some((board, received)) = &self.board else { return };
        let (height, columns) = size.unwrap_or((24, 80));
        self.page.width = columns.saturating_sub(1);
        let passed = Span::from_millis(u64::try_from(received.elapsed().as_millis()).unwrap_or(u64::MAX));
        let frame = frame(board, board.now.plus(passed), height, &self.page);
        while self.bars.len() > frame.len() {
            if let Some(bar) = self.bars.pop() {
                bar.finish_and_clear();
                self.multi.remove(&bar);
            }
        }
        while self.bars.len() < frame.len() {
            self.bars.push(self.multi.add(ProgressBar::new(1)));
        }
        for (bar, stripe) in self.bars.iter().zip(frame) {
            let style = match stripe.kind {
                Kind::Estimated => 0,
                Kind::Open => 1,
                Kind::Plan => 2,
            };
            bar.set_style(self.styles[style].clone());
            bar.set_length(stripe.length);
            bar.set_position(stripe.position);
            bar.set_prefix(stripe.prefix);
            bar.set_message(stripe.message);
            bar.tick();
        }
    }
}

/// One bar, before it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripe {
    /// How it is drawn.
    pub kind: Kind,
    /// Before the bar.
    pub prefix: String,
    /// After it.
    pub message: String,
    /// How far it has come.
    pub position: u64,
    /// How far it goes.
    pub length: u64,
}

/// How a stripe is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A step with an estimate: a bar by time.
    Estimated,
    /// A step without one: only a sign of life.
    Open,
    /// The plan: a bar by steps.
    Plan,
}

/// The bars for a board at a moment, for a terminal of that height; they take at most half of it.
#[must_use]
pub fn frame(board: &Board, now: Timestamp, height: usize, page: &Page) -> Vec<Stripe> {
    let rows = board.in_hand();
    let room = (height / 2).saturating_sub(2).max(1);
    let shown = if rows.len() > room { room - 1 } else { rows.len() };
    let ids = rows.iter().take(shown).map(|row| width(&line(row.id.as_str()))).max().unwrap_or(0).min(IDS);
    let mut stripes: Vec<Stripe> = rows.iter().take(shown).map(|row| stripe(row, now, ids, page)).collect();
    if rows.len() > shown {
        let hidden = rows.len() - shown;
        stripes.push(Stripe {
            kind: Kind::Open,
            prefix: format!("+ {hidden} more"),
            message: String::new(),
            position: 0,
            length: 1,
        });
    }
    let prefix = format!("{}/{}", board.satisfied, board.rows.len());
    let message = cut(&plan_line(board, now, page), page.width.saturating_sub(width(&prefix) + 22));
    stripes.push(Stripe {
        kind: Kind::Plan,
        prefix,
        message,
        position: board.satisfied as u64,
        length: (board.rows.len() as u64).max(1),
    });
    let wanted: Vec<String> = board
        .asks
        .iter()
        .filter(|ask| ask.why != Why::Resume)
        .map(|ask| {
            let step = ask.step.as_ref().map_or(String::new(), |step| format!("{} ", line(step.as_str())));
            format!("{step}({})", ask.why.as_str())
        })
        .collect();
    if !wanted.is_empty() {
        let text = format!("needs a person: {}; {}", list(&wanted, 2), board.next_command());
        let prefix = cut(&text, page.width.saturating_sub(4));
        stripes.push(Stripe { kind: Kind::Open, prefix, message: String::new(), position: 0, length: 1 });
    }
    stripes
}

/// Elapsed, and what is left; shorter than on the status page, for the line must not wrap.
fn plan_line(board: &Board, now: Timestamp, page: &Page) -> String {
    let elapsed = board.started.map(|started| format!("{} elapsed", span(now.since(started))));
    let forecast = &board.forecast;
    let left = (forecast.estimated > 0).then(|| {
        let least = if forecast.unestimated > 0 { "at least " } else { "" };
        format!("{least}{} left", span(forecast.remaining))
    });
    let people = if forecast.people > 0 { ", plus people's time" } else { "" };
    let end = match forecast.end {
        _ if forecast.path.is_empty() => None,
        Some(end) => Some(format!("expected end {}{people}", moment(end, board.now, &page.zone))),
        None => Some("expected end unknown".to_owned()),
    };
    [elapsed, left, end].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn stripe(row: &Row, now: Timestamp, ids: usize, page: &Page) -> Stripe {
    let elapsed = row.since.map_or(Span::ZERO, |since| now.since(since));
    let attempt = match row.attempt {
        Some((n, of)) if n > 1 => format!(" · attempt {n} of {of}"),
        _ => String::new(),
    };
    let title = row.name.as_deref().map_or(String::new(), |name| format!(" · {}", line(name)));
    let estimate = row.estimate.map_or(String::new(), |estimate| format!(" of about {}", span(estimate)));
    let (kind, bar) = if row.estimate.is_some() { (Kind::Estimated, 13) } else { (Kind::Open, 0) };
    let length = row.estimate.unwrap_or_default().as_millis().max(1);
    let message = format!("{} {}{estimate}{attempt}{title}", row.word, span(elapsed));
    Stripe {
        kind,
        prefix: fit(&line(row.id.as_str()), ids),
        message: cut(&message, page.width.saturating_sub(ids + 3 + bar)),
        // A step beyond its estimate is not done: the bar stops short of the end.
        position: elapsed.as_millis().min(length * 99 / 100),
        length,
    }
}

#[cfg(test)]
mod tests {
    use indicatif::TermLike;

    use super::super::sample::{at, page, person, record, run_of, weekend};
    use super::*;
    use crate::run::event::Event;

    fn running() -> RunState {
        let mut state = run_of(weekend());
        state.done("preflight", 0, 120);
        state.applying("stop-legacy[gc01]", 1, 120);
        state.applying("stop-legacy[gc02]", 2, 130);
        state
    }

    fn told(stripes: &[Stripe]) -> Vec<String> {
        stripes.iter().map(|s| format!("{}|{}|{}/{}", s.prefix, s.message, s.position, s.length)).collect()
    }

    #[test]
    fn a_frame_has_a_bar_per_step_in_hand_and_one_for_the_plan() {
        let board = Board::from(&running(), at(180), true);
        let frame = frame(&board, at(270), 24, &page(120));
        assert_eq!(
            told(&frame),
            [
                "stop-legacy[gc01]|applying 2m30s of about 5m · Disable the 2010 pool|150000/300000",
                "stop-legacy[gc02]|applying 2m20s of about 5m · attempt 2 of 3 · Disable the 2010 pool|140000/300000",
                "1/18|4m30s elapsed · 2h13m left · expected end 05:16, plus people's time|1/18",
            ]
        );
    }

    #[test]
    fn a_low_terminal_shows_what_fits_and_how_many_more_there_are() {
        let board = Board::from(&running(), at(180), true);
        let frame = frame(&board, at(180), 6, &page(80));
        assert_eq!(told(&frame)[0], "+ 2 more||0/1");
        assert_eq!(frame.len(), 2);
        assert!(frame.iter().all(|s| width(&s.prefix) + width(&s.message) < 80));
    }

    #[test]
    fn a_step_beyond_its_estimate_is_not_shown_as_complete() {
        let board = Board::from(&running(), at(180), true);
        let frame = frame(&board, at(9000), 24, &page(120));
        assert_eq!((frame[0].position, frame[0].length), (297_000, 300_000));
    }

    /// Writes down what is drawn.
    #[derive(Debug, Clone, Default)]
    struct Paper(Arc<Mutex<String>>);

    impl TermLike for Paper {
        fn width(&self) -> u16 {
            120
        }
        fn height(&self) -> u16 {
            24
        }
        fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> std::io::Result<()> {
            self.write_str(text)?;
            self.write_str("\n")
        }
        fn write_str(&self, text: &str) -> std::io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn bars(paper: &Paper) -> Bars {
        Bars::on(ProgressDrawTarget::term_like(Box::new(paper.clone())), page(120), || Some((24, 120)))
    }

    #[test]
    fn no_line_is_lost_however_many_there_are_and_whatever_is_drawn_between() {
        let (paper, state) = (Paper::default(), running());
        let mut bars = bars(&paper);
        for n in 0..5000 {
            bars.event(&record(n, 1, Event::Noted { by: person("a"), text: format!("line {n}.") }), &state);
            if bars.wants_board(Instant::now()) {
                bars.refresh(Board::from(&state, at(180), true));
            }
        }
        bars.finish("next: relevo status");
        let text = paper.0.lock().unwrap().clone();
        let text = console::strip_ansi_codes(&text);
        let mut from = 0;
        for n in 0..5000 {
            let wanted = format!("a: line {n}.");
            from += text[from..].find(&wanted).unwrap_or_else(|| panic!("line {n} is missing or out of order"));
        }
        assert!(text[from..].contains("next: relevo status"));
    }

    #[test]
    fn a_question_stands_alone_until_it_is_answered() {
        let (paper, mut state) = (Paper::default(), running());
        state.paused = Some((person("ops-lead"), "a question".to_owned()));
        let mut bars = bars(&paper);
        bars.ask("go or no-go?");
        bars.refresh(Board::from(&state, at(180), true));
        while !paper.0.lock().unwrap().contains("go or no-go?") {
            std::thread::yield_now();
        }
        assert!(!paper.0.lock().unwrap().contains("stop-legacy"), "bars were drawn over a question");
        bars.answered();
        while !paper.0.lock().unwrap().contains("stop-legacy") {
            std::thread::yield_now();
        }
        bars.finish("");
    }
}
