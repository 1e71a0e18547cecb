//! Hears signals and keeps an eye on the journal's disk, on a thread that waits for neither the run nor the disk.
//!
//! The run works on a thread of its own, and that thread stands still while its disk does not answer. The *main* thread
//! listens: the kernel hands a signal to it first, and a thread that waits for a disk would never take the signal up.
//!
//! - The first signal drains, the second abandons; both are the run's to carry out. If it does not take one up at once,
//!   this thread says so, and why.
//! - The third ends the process at once, whatever the run and the disk do. That is as safe as `kill -9`.
//! - A disk that does not answer for long is told, once, and again every half minute.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::journal::DiskWait;
use crate::run::driver::Request;
use crate::time::Span;
use crate::view::display::Display;
use crate::view::text::span;

/// The run may take so long to take a signal up before it is answered from here.
const PATIENCE: Duration = Duration::from_millis(700);
/// The disk may take so long before it is told.
const SLOW: Duration = Duration::from_secs(5);
/// How often it is told again.
const STILL_SLOW: Duration = Duration::from_secs(30);
/// How often this thread looks.
const TICK: Duration = Duration::from_millis(100);
/// What the end of the process may take before it is forced.
const LAST_MOMENT: Duration = Duration::from_millis(300);
/// As much as the main thread of a process has.
const STACK: usize = 8 << 20;

/// How many signals the run has taken up.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<AtomicU32>);

impl Heard {
    /// The run took up one more.
    pub fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is watched.
pub struct Watched {
    /// Where the run takes signals.
    pub requests: mpsc::Sender<Request>,
    /// How many of them it has taken up.
    pub heard: Heard,
    /// The journal's disk.
    pub disk: DiskWait,
    /// What is shown on standard error; lines are written there directly if it shows no board.
    pub display: Arc<Mutex<Box<dyn Display>>>,
}

/// Does `work` on a thread of its own, and listens on this one until it is done.
///
/// # Errors
/// The thread cannot be started; then nothing was done.
pub fn beside<T: Send>(watched: Watched, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let watch = {
        // Signals are listened to before there is anything that they could interrupt.
        let _inside = runtime.enter();
        Watch { signals: signals(), ..Watch::new(watched) }
    };
    std::thread::scope(|scope| {
        let (working, done) = oneshot::channel::<()>();
        let worker = std::thread::Builder::new().name("run".to_owned()).stack_size(STACK).spawn_scoped(scope, move || {
            // Dropped at the end, also by a panic.
            let _working = working;
            work()
        })?;
        runtime.block_on(watch.until(done));
        Ok(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn signals() -> Option<Signals> {
    match Signals::new() {
        Ok(signals) => Some(signals),
        Err(error) => {
            tracing::warn!(%error, "signals end the process at once, as `kill -9` does");
            None
        }
    }
}

struct Watch {
    watched: Watched,
    signals: Option<Signals>,
    speaker: std::sync::mpsc::Sender<String>,
    /// Signals so far.
    count: u32,
    /// Not yet handed over, because the run's letterbox is full.
    waiting: VecDeque<Request>,
    /// When the latest signal came, as long as nothing was said about it.
    unanswered: Option<Instant>,
    /// The disk's silence was told when it had lasted so long.
    told: Option<Duration>,
}

impl Watch {
    fn new(watched: Watched) -> Self {
        let speaker = speaker(Arc::clone(&watched.display));
        Watch { watched, signals: None, speaker, count: 0, waiting: VecDeque::new(), unanswered: None, told: None }
    }

    async fn until(mut self, mut done: oneshot::Receiver<()>) {
        let mut signals = self.signals.take();
        let mut tick = tokio::time::interval(TICK);
        loop {
            let signal = async {
                match &mut signals {
                    Some(signals) => signals.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                (request, code) = signal => self.hear(request, code),
                _ = &mut done => return,
                _ = tick.tick() => self.look(),
            }
        }
    }

    fn hear(&mut self, request: Request, code: i32) {
        self.count += 1;
        // Nobody is there any more to take it up: the run is over, and only the process is not.
        if self.count >= 3 || self.watched.requests.is_closed() {
            end_at_once(code);
        }
        self.waiting.push_back(request);
        self.unanswered = Some(Instant::now());
        self.hand_over();
    }

    fn hand_over(&mut self) {
        while let Ok(place) = self.watched.requests.try_reserve() {
            let Some(request) = self.waiting.pop_front() else { return };
            place.send(request);
        }
    }

    fn look(&mut self) {
        if !self.waiting.is_empty() {
            self.hand_over();
        }
        let disk = self.watched.disk.lasts();
        if self.watched.heard.count() >= self.count {
            self.unanswered = None;
        } else if self.unanswered.is_some_and(|since| since.elapsed() >= PATIENCE) {
            self.unanswered = None;
            self.say(answer(self.count, disk));
        }
        match (disk, self.told) {
            (Some(lasts), told) if lasts >= told.map_or(SLOW, |told| told + STILL_SLOW) => {
                self.told = Some(lasts);
                self.say(format!("the journal's disk has not answered for {}; nothing starts until it does", seconds(lasts)));
            }
            (None, Some(_)) => {
                self.told = None;
                self.say("the journal's disk answers again".to_owned());
            }
            // A new wait, begun between two looks.
            (Some(lasts), Some(told)) if lasts < told => self.told = None,
            _ => {}
        }
    }

    fn say(&self, line: String) {
        // Without a speaker there is nobody who could be told that there is none.
        let _ = self.speaker.send(line);
    }
}

/// What is said to a signal that the run cannot take up yet.
fn answer(count: u32, disk: Option<Duration>) -> String {
    let why = match disk {
        Some(lasts) => format!("the journal's disk has not answered for {}", seconds(lasts)),
        None => "the run is busy at this moment".to_owned(),
    };
    if count == 1 {
        format!(
            "interrupted: {why}; nothing more is started. A second interrupt gives up what is in flight once it answers; \
             a third ends the process at once, which is as safe as `kill -9`: `resume` looks before it does anything"
        )
    } else {
        format!("interrupted again: {why}; what is in flight is given up once it answers. A third ends the process at once")
    }
}

fn seconds(lasts: Duration) -> String {
    span(Span::from_secs(lasts.as_secs().max(1)))
}

/// Ends the process, whatever its other threads wait for.
fn end_at_once(code: i32) -> ! {
    // The orderly end writes out what is still buffered, and a pipe may take nothing.
    let forced = std::thread::Builder::new().spawn(|| {
        std::thread::sleep(LAST_MOMENT);
        kill();
    });
    if forced.is_err() {
        kill();
    }
    std::process::exit(code)
}

#[cfg(unix)]
fn kill() {
    use nix::sys::signal::{Signal, kill};
    // It ends this very process; there is nothing to do about a failure.
    let _ = kill(nix::unistd::Pid::this(), Signal::SIGKILL);
}

#[cfg(not(unix))]
fn kill() {
    std::process::abort()
}

/// Writes lines on a thread of its own: a terminal or a pipe may take none for as long as it likes.
fn speaker(display: Arc<Mutex<Box<dyn Display>>>) -> std::sync::mpsc::Sender<String> {
    let (lines, heard) = std::sync::mpsc::channel::<String>();
    let spawned = std::thread::Builder::new().name("speaker".to_owned()).spawn(move || {
        for line in heard {
            let mut display = display.lock().unwrap_or_else(PoisonError::into_inner);
            if display.has_board() {
                // Bars redraw standard error, and put the line above themselves.
                display.say(&line);
            } else {
                drop(display);
                eprintln!("{line}");
            }
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "what the disk does cannot be told");
    }
    lines
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> (Request, i32) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return (Request::Interrupt, 130),
                _ = self.terminate.recv() => return (Request::Terminate, 143),
                // A dropped connection does not end a migration.
                _ = self.hangup.recv() => tracing::warn!("the terminal hung up; the run goes on"),
            }
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "the same shape as on Unix")]
    fn new() -> std::io::Result<Self> {
        Ok(Signals)
    }

    async fn next(&mut self) -> (Request, i32) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        (Request::Interrupt, 130)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::display::Quiet;

    fn watch() -> (Watch, mpsc::Receiver<Request>, std::sync::mpsc::Receiver<String>) {
        let (requests, taken) = mpsc::channel(1);
        let quiet: Box<dyn Display> = Box::new(Quiet::new(std::io::sink()));
        let display = Arc::new(Mutex::new(quiet));
        let watched = Watched { requests, heard: Heard::default(), disk: DiskWait::default(), display };
        let (speaker, said) = std::sync::mpsc::channel();
        (Watch { speaker, ..Watch::new(watched) }, taken, said)
    }

    #[test]
    fn f83_a_signal_that_the_run_takes_up_is_answered_by_the_run_alone() {
        let (mut watch, mut taken, said) = watch();
        watch.hear(Request::Interrupt, 130);
        assert!(matches!(taken.try_recv(), Ok(Request::Interrupt)));
        watch.watched.heard.one_more();
        watch.unanswered = watch.unanswered.and_then(|at| at.checked_sub(PATIENCE));
        watch.look();
        assert!(said.try_recv().is_err());
    }

    #[test]
    fn f83_a_signal_that_finds_the_letterbox_full_is_kept_and_answered_from_here() {
        let (mut watch, mut taken, said) = watch();
        watch.hear(Request::Interrupt, 130);
        watch.hear(Request::Terminate, 143);
        watch.look();
        assert!(said.try_recv().is_err(), "it has a moment to take it up");
        watch.unanswered = watch.unanswered.and_then(|at| at.checked_sub(PATIENCE));
        watch.look();
        assert!(said.try_recv().is_ok_and(|line| line.starts_with("interrupted again")));
        watch.look();
        assert!(said.try_recv().is_err(), "once is enough");
        assert!(matches!(taken.try_recv(), Ok(Request::Interrupt)));
        watch.look();
        assert!(matches!(taken.try_recv(), Ok(Request::Terminate)));
    }
}
