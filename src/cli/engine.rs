//! Puts the engine together and lets it run: journal, connectors, clock, people, display, signals, inbox, terminal.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::common::{self, Format};
use super::prompt::{self, Conversation, Reply};
use super::screen::{self, Screen, Shown};
use super::watch::{self, Heard, Watched};
use crate::connector::{Connectors, Trial};
use crate::error::{Exit, Failure};
use crate::journal::{FileJournal, Inbox, RunDir, TargetLocks};
use crate::plan::Plan;
use crate::run::calls::Desk;
use crate::run::connector::Connector;
use crate::run::driver::{Driver, End, Parts, Receipt, Registry, Request};
use crate::run::event::Event;
use crate::run::letters::{Letters, NoLetters, Sender};
use crate::run::order::Order;
use crate::run::people::{Go, Later, People, WouldBeAsked};
use crate::run::rehearsal::Described;
use crate::run::scheduler::Scheduler;
use crate::time::SystemClock;
use crate::view::display::Display;
use crate::view::page::Page;

/// How a run is shown and who answers.
#[derive(Debug, Clone, clap::Args)]
pub struct ShowArgs {
    /// What is printed: lines (or progress bars on a terminal), or one JSON object per event
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Stay at gates and questions even without a terminal; answers come by `relevo decide`
    #[arg(long)]
    pub wait: bool,
    /// Answer gates and manual steps with yes (for demonstrations and laboratories; recorded as such)
    #[arg(long)]
    pub go: bool,
}

/// A run that is ours: its folder, its journal, its state.
pub struct Session {
    /// The folder.
    pub dir: RunDir,
    /// Its journal; holds the lock.
    pub journal: FileJournal,
    /// All records so far applied.
    pub scheduler: Scheduler,
    /// Events that are owed before anything else.
    pub opening: Vec<Event>,
    /// The plan of a `PlanAmended` among them.
    pub amended: Option<Arc<Plan>>,
    /// The systems.
    pub registry: Arc<dyn Registry>,
    /// What the run acts on, locked; `None` for what takes no locks.
    pub locks: Option<TargetLocks>,
    /// True for a rehearsal: people are not asked, only described.
    pub rehearsal: bool,
}

impl Registry for Connectors {
    fn connector(&self, uses: &str) -> Option<Arc<dyn Connector>> {
        self.for_action(uses)
    }
}

/// Every connector without its writing half; but for what a trial may do, if it is wished for.
pub struct Rehearsed {
    /// All of them.
    pub connectors: Connectors,
    /// Exports chat data for real, into a scratch file.
    pub trial: Option<Trial>,
}

impl Registry for Rehearsed {
    fn connector(&self, uses: &str) -> Option<Arc<dyn Connector>> {
        if let Some(trial) = self.trial.as_ref().filter(|_| Trial::concerns(uses)) {
            return Some(Arc::new(trial.clone()));
        }
        let look = self.connectors.for_action(uses)?;
        Some(Arc::new(Described::new(look)))
    }
}

/// Builds the driver of a session and records what is owed first. Nothing is started.
fn driver(
    session: Session,
    people: Box<dyn People>,
    screen: Screen,
    requests: mpsc::Receiver<Request>,
) -> anyhow::Result<Driver> {
    let letters: Box<dyn Letters> =
        if session.rehearsal { Box::new(NoLetters) } else { Box::new(Inbox::new(session.dir.path())) };
    let run: Arc<str> = Arc::from(session.dir.id());
    let folder: Arc<std::path::Path> = Arc::from(session.scheduler.state().plan.folder.as_path());
    let disk = session.journal.disk();
    let mut driver = Driver::new(Parts {
        scheduler: session.scheduler,
        journal: Box::new(session.journal),
        registry: session.registry,
        desk: Desk { run, folder, scratch: session.dir.output(), evidence: session.dir.evidence().dir().to_owned() },
        evidence: Arc::new(session.dir.evidence().watched(disk)),
        clock: Arc::new(SystemClock::default()),
        people,
        observer: Box::new(screen),
        requests,
        letters,
    });
    driver.open_with(session.opening, session.amended).map_err(Failure::from)?;
    Ok(driver)
}

/// Records orders in a run that nobody holds, one after the other: what became of each.
pub fn record_only(session: Session, orders: &[Order], from: &Sender) -> anyhow::Result<Vec<Result<Receipt, String>>> {
    let (_, requests) = mpsc::channel(1);
    let page = screen::page();
    let quiet: Box<dyn Display> = Box::new(crate::view::display::Quiet::new(std::io::sink()));
    let screen = Screen::new(Arc::new(Mutex::new(quiet)), None, page, Heard::default());
    let mut driver = driver(session, Box::new(Later { wait: false }), screen, requests)?;
    orders.iter().map(|order| Ok(driver.obey_only(order, from).map_err(Failure::from)?)).collect()
}

/// Runs a session to its end, or to where it waits for a person who is not there.
pub fn drive(session: Session, show: &ShowArgs) -> anyhow::Result<Exit> {
    let (sender, requests) = mpsc::channel(64);
    let page = screen::page();
    let display = Arc::new(Mutex::new(screen::display(show.format, &page)));
    let heard = Heard::default();
    let watched =
        Watched { requests: sender.clone(), heard: heard.clone(), disk: session.journal.disk(), display: Arc::clone(&display) };
    watch::beside(watched, move || {
        // One thread: a hand-over between threads costs more than everything that the loop does for a step.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let exit = runtime.block_on(drive_async(session, show, (sender, requests), display, page, heard));
        // Children of attempts that were given up outlive this process.
        runtime.shutdown_background();
        exit
    })?
}

async fn drive_async(
    mut session: Session,
    show: &ShowArgs,
    (sender, requests): (mpsc::Sender<Request>, mpsc::Receiver<Request>),
    display: Arc<Mutex<Box<dyn Display>>>,
    page: Page,
    heard: Heard,
) -> anyhow::Result<Exit> {
    let at_terminal = show.format == Format::Text && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let wait = show.wait || at_terminal;
    let people: Box<dyn People> = if session.rehearsal {
        Box::new(WouldBeAsked)
    } else if show.go {
        Box::new(Go { by: common::me(), wait })
    } else {
        Box::new(Later { wait })
    };
    let shown: Option<Shown> = (at_terminal && !session.rehearsal).then(Shown::default);
    let run_dir = session.dir.path().to_owned();
    let run = session.dir.id().to_owned();
    let screen = Screen::new(Arc::clone(&display), shown.clone(), page.clone(), heard);
    let locks = session.locks.take();
    let driver = driver(session, people, screen, requests)?;

    if let Some(shown) = shown {
        tokio::spawn(terminal(shown, Arc::clone(&display), sender.clone()));
    }
    drop(sender);
    let end = driver.run().await;
    if let Some(locks) = locks {
        super::two_runs::leave(locks, end.scheduler.state().ending);
    }
    tracing::info!(exit = end.exit.code(), trouble = end.trouble, "the run's process ends");
    let mut display = display.lock().unwrap_or_else(PoisonError::into_inner);
    display.finish(&super::report::last_word(&end, &run, &run_dir, &page));
    drop(display);
    tell_trouble(&end);
    Ok(end.exit)
}

fn tell_trouble(end: &End) {
    if let Some(trouble) = &end.trouble {
        eprintln!("error: {trouble}");
        for line in &end.unrecorded {
            eprintln!("  {line}");
        }
        eprintln!("hint: nothing more was started; make room or mend the disk, then `resume`: it looks before it does anything");
    }
}

/// Turns typed lines into orders about the question that stands.
async fn terminal(shown: Shown, display: Arc<Mutex<Box<dyn Display>>>, sender: mpsc::Sender<Request>) {
    let mut lines = prompt::lines();
    let mut conversation = Conversation::default();
    let say = |text: &str| display.lock().unwrap_or_else(PoisonError::into_inner).say(text);
    while let Some(line) = lines.recv().await {
        if line.trim().is_empty() {
            continue;
        }
        let reply = match &*shown.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((question, state)) => conversation.hear(&line, *question, state),
            None => Reply::Say("nothing is asked at the moment".to_owned()),
        };
        match reply {
            Reply::Say(text) => say(&text),
            Reply::Order(order) => {
                let (answer, answered) = oneshot::channel();
                if sender.send(Request::Order(order, common::here(), Some(answer))).await.is_err() {
                    return;
                }
                match answered.await {
                    Ok(Ok(receipt)) => {
                        if let Some(why) = receipt.not_counted {
                            say(&format!("recorded, but it does not count: {why}"));
                        }
                    }
                    Ok(Err(refusal)) => say(&format!("refused: {refusal}")),
                    Err(_) => return,
                }
            }
        }
    }
}
