//! One schedule: a random plan, run by process after process until it is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use relevo::error::Exit;
use relevo::plan::{Plan, StepIx, Work};
use relevo::run::calls::Desk;
use relevo::run::connector::Connector;
use relevo::run::driver::{self, Driver, End, Parts};
use relevo::run::event::{Choices, Ending, Event, Holder, Mode, Record, SEMANTICS};
use relevo::run::letters::{NoLetters, Sender};
use relevo::run::people::{Later, People, WouldBeAsked};
use relevo::run::questions::questions;
use relevo::run::rebind::may_change;
use relevo::run::rehearsal::{Described, for_rehearsal};
use relevo::run::scheduler::Scheduler;
use relevo::run::state::RunState;
use relevo::time::Span;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Duration, Instant, sleep};

use crate::checker::Checker;
use crate::disk::{Disk, SimJournal, Trouble};
use crate::operator;
use crate::plans::{self, START};
use crate::prng::Rng;
use crate::sabotage::{self, Sabotage};
use crate::sim::{NoEvidence, OneConnector, Screen, Seen, Sim, SimClock, SimConnector, SimLetters, SimObserver};
use crate::world::World;

/// More processes than any schedule needs.
const SESSIONS: u64 = 60;
/// From then on nothing goes wrong any more.
const CALM: u64 = 14;
/// Longer than any session needs, in milliseconds.
const TOO_LONG: u64 = 30 * 24 * 3_600_000;

/// A schedule that broke an invariant.
#[derive(Debug)]
pub struct Report {
    /// What was found.
    pub problems: Vec<String>,
    /// Plan, journal and ledger, to be read.
    pub text: String,
}

/// What a schedule left.
pub struct Outcome {
    /// The journal.
    pub records: Vec<Record>,
    /// The rarer paths.
    pub seen: Seen,
}

/// Runs one schedule to its end.
pub fn run(seed: u64, sabotage: Option<Sabotage>) -> Result<Outcome, Box<Report>> {
    let mut rng = Rng::of(seed, &[0]);
    let truth = Arc::new(plans::random(&mut rng));
    let faults = !rng.chance(8);
    let plan = Arc::new(sabotage::plan(sabotage, (*truth).clone()));
    let budget = rng.below(8);
    let sim = Arc::new(Mutex::new(Sim {
        seed,
        world: World::new(&truth, &mut rng, faults),
        checker: Checker::new(Arc::clone(&truth)),
        disk: Disk::default(),
        first: Arc::clone(&plan),
        truth,
        base: START,
        origin: None,
        faults,
        jump: None,
        inbox: Vec::new(),
        sent: BTreeMap::new(),
        plans: Vec::new(),
        looks: 0,
        seen: Seen::default(),
    }));
    let mut choices = first_choices(&plan, &mut rng);
    for session in 0..SESSIONS {
        let mut rng = Rng::of(seed, &[9, session]);
        sim.lock().expect("one thread").faults = faults && session < CALM;
        let is_troubled = faults && session < budget;
        let end = process(&sim, &plan, sabotage, &mut rng, &choices, is_troubled, session);
        choices.until = None;
        choices.exclude.clear();
        if faults && rng.chance(4) {
            choices.exclude.push("h2".to_owned());
        }
        let mut held = sim.lock().expect("one thread");
        let now = held.base;
        held.world.process_died(now, &mut rng);
        held.seen.sessions += 1;
        let exit = end.as_ref().map(|end| end.exit);
        if let Some(end) = &end {
            after(&mut held, end);
        } else {
            held.seen.crashes += 1;
        }
        collect(&mut held);
        if !held.checker.violations.is_empty() {
            return Err(Box::new(report(&held, &plan)));
        }
        let is_done = exit == Some(Exit::NothingToResume)
            || end.as_ref().is_some_and(|end| exit == Some(Exit::Done) && end.scheduler.state().ending == Some(Ending::Done));
        if is_done {
            let Sim { checker, world, .. } = &mut *held;
            checker.finished(world);
            collect(&mut held);
            if !held.checker.violations.is_empty() {
                return Err(Box::new(report(&held, &plan)));
            }
            held.seen.done += 1;
            held.seen.records = held.disk.durable.len() as u64;
            held.seen.effects = held.world.effects;
            return Ok(Outcome { records: held.disk.durable.clone(), seen: held.seen });
        }
        let mut gap = rng.pick(&[60_000, 600_000, 6 * 3_600_000]);
        gap = rng.between(1_000, gap);
        if let (Some(Exit::WindowShut), Some(window)) = (exit, &plan.window) {
            if now < window.opens.as_millis() {
                gap = u64::try_from(window.opens.as_millis() - now).expect("later");
            } else {
                choices.window_override = Some("it has to be".to_owned());
            }
        }
        held.base = now + i64::try_from(gap).expect("hours");
    }
    let mut held = sim.lock().expect("one thread");
    held.checker.violations.push(format!("I10: not done after {SESSIONS} sessions"));
    Err(Box::new(report(&held, &plan)))
}

fn first_choices(plan: &Plan, rng: &mut Rng) -> Choices {
    let mut choices = Choices::default();
    let checkpoint = plan.steps.iter().find(|step| matches!(step.work, Work::Checkpoint));
    if let (Some(step), true) = (checkpoint, rng.chance(20)) {
        choices.until = Some(step.id.clone());
    }
    if rng.chance(5) {
        choices.exclude.push("h3".to_owned());
    }
    choices
}

/// Problems that the world noticed join those of the checker.
fn collect(sim: &mut Sim) {
    let harm = std::mem::take(&mut sim.world.harm);
    sim.checker.violations.extend(harm);
}

/// One process, from opening the journal to its end; `None` if it died.
fn process(
    sim: &Arc<Mutex<Sim>>,
    plan: &Arc<Plan>,
    sabotage: Option<Sabotage>,
    rng: &mut Rng,
    choices: &Choices,
    is_troubled: bool,
    session: u64,
) -> Option<End> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let end = runtime.block_on(async {
        let origin = Instant::now();
        let recovered = {
            let mut sim = sim.lock().expect("one thread");
            sim.origin = Some(origin);
            let now = sim.now();
            sim.world.advance(now);
            let kept = sim.disk.reopen(rng);
            for record in &kept {
                sim.is_durable(record);
            }
            let call = is_troubled && rng.chance(70);
            let kind = if rng.chance(85) { Trouble::Crash } else { Trouble::Fails };
            sim.disk.trouble = call.then(|| (rng.between(1, 50), kind));
            let (records, events) = sabotage::recovered(sabotage, sim.disk.durable.clone());
            if records.len() != sim.disk.durable.len() {
                sim.disk.durable.clone_from(&records);
                sim.checker.durable = records.len() as u64;
            }
            (records, events)
        };
        let (records, extra) = recovered;
        let mut scheduler = Scheduler::new(Arc::clone(plan));
        for record in &records {
            let applied = scheduler.apply(record);
            if let Event::PlanAmended { plan, by, .. } = &record.event {
                let at: usize = plan.parse().expect("amendments are numbered");
                scheduler.rebind(Arc::clone(&sim.lock().expect("one thread").plans[at].0), Some(by));
            }
            if let Err(illegal) = applied {
                sim.lock().expect("one thread").checker.violations.push(format!("the recovered journal is illegal: {illegal}"));
                return None;
            }
        }
        if scheduler.state().ending == Some(Ending::Done) {
            let exit = Exit::NothingToResume;
            return Some(End { exit, trouble: None, scheduler, unrecorded: Vec::new() });
        }
        let death = Arc::new(Notify::new());
        let screen = Arc::new(Mutex::new(Screen::default()));
        let changed = Arc::new(Notify::new());
        let (requests, inbox) = mpsc::channel(16);
        let is_there = session >= CALM || rng.chance(60);
        sim.lock().expect("one thread").jump = (is_troubled && rng.chance(5)).then(|| {
            (Duration::from_millis(rng.below(3_600_000)), i64::try_from(rng.below(7_200_000)).expect("hours") - 3_600_000)
        });
        let connector: Arc<dyn Connector> = Arc::new(SimConnector { sim: Arc::clone(sim), sabotage });
        let mut driver = Driver::new(Parts {
            scheduler,
            journal: Box::new(SimJournal { sim: Arc::clone(sim), death: Arc::clone(&death), sabotage }),
            registry: Arc::new(OneConnector(connector)),
            desk: desk(),
            evidence: Arc::new(NoEvidence),
            clock: Arc::new(SimClock { base: sim.lock().expect("one thread").base, origin, sim: Arc::clone(sim) }),
            people: Box::new(Later { wait: is_there }),
            observer: Box::new(SimObserver { sim: Arc::clone(sim), screen: Arc::clone(&screen), changed: Arc::clone(&changed) }),
            requests: inbox,
            letters: Box::new(SimLetters { sim: Arc::clone(sim), taken: BTreeSet::new(), sabotage }),
        });
        let opened = open(&mut driver, sim, rng, sabotage, (&records, extra), choices);
        let is_dead = || sim.lock().expect("one thread").disk.crashed;
        if opened.is_err() || is_dead() {
            return None;
        }
        let crash_after = if is_troubled && rng.chance(30) { rng.below(3_600_000) } else { 2 * TOO_LONG };
        let operator = operator::sits(Arc::clone(sim), screen, changed, requests, Rng::of(rng.next(), &[]), is_there);
        let end = tokio::select! {
            biased;
            () = death.notified() => None,
            () = sleep(Duration::from_millis(crash_after)) => None,
            end = driver.run() => Some(end),
            () = operator => None,
            () = sleep(Duration::from_millis(TOO_LONG)) => {
                let what = "I10: one process ran for a month".to_owned();
                sim.lock().expect("one thread").checker.violations.push(what);
                None
            }
        };
        end.filter(|_| !is_dead())
    });
    // The world's clock stands where the process left it: outside the runtime time is real again.
    runtime.block_on(async { sim.lock().expect("one thread").stop_clock() });
    end
}

fn desk() -> Desk {
    Desk {
        run: Arc::from("run"),
        folder: Arc::from(Path::new("/")),
        scratch: PathBuf::from("/scratch"),
        evidence: PathBuf::from("/evidence"),
    }
}

/// Starts the run, or takes it over; people may have decided while nobody held it, and the plan may be amended.
fn open(
    driver: &mut Driver,
    sim: &Arc<Mutex<Sim>>,
    rng: &mut Rng,
    sabotage: Option<Sabotage>,
    (records, extra): (&[Record], Vec<Event>),
    choices: &Choices,
) -> Result<(), driver::Trouble> {
    let lock = Event::LockTaken { holder: holder(), take_over: false };
    if records.is_empty() {
        let mut first = started(choices, Mode::Execute);
        if let (Some(Sabotage::SkipFreesDependants), Event::RunStarted { semantics, .. }) = (sabotage, &mut first) {
            *semantics = 1;
        }
        return driver.open_with(vec![first, lock], None);
    }
    driver.open_with([vec![lock], extra].concat(), None)?;
    if rng.chance(50) {
        let screen = Screen::of(replayed(sim).state());
        for (question, beside) in screen.questions {
            let answer = operator::answer(&mut sim.lock().expect("one thread"), rng, question, &beside);
            let Some((order, by)) = answer else { continue };
            if rng.chance(50) {
                operator::post(&mut sim.lock().expect("one thread"), order, by);
                continue;
            }
            // A refusal is told, and nothing follows from it.
            let _ = driver.obey_only(&order, &Sender { person: by, holds: true })?;
        }
    }
    let (faults, ended) = {
        let sim = sim.lock().expect("one thread");
        (sim.faults, sim.disk.durable.iter().any(|record| matches!(record.event, Event::RunFinished { ending: Ending::Done })))
    };
    if faults && !ended && rng.chance(35) {
        amend(driver, sim, rng, sabotage)?;
    }
    driver.open_with(vec![Event::RunResumed { by: operator::initiator(), choices: choices.clone() }], None)
}

/// The run as its durable records say.
fn replayed(sim: &Arc<Mutex<Sim>>) -> Scheduler {
    let sim = sim.lock().expect("one thread");
    let mut scheduler = Scheduler::new(Arc::clone(&sim.first));
    for record in &sim.disk.durable {
        if scheduler.apply(record).is_err() {
            return Scheduler::new(Arc::clone(&sim.first));
        }
        if let Event::PlanAmended { plan, by, .. } = &record.event {
            let at: usize = plan.parse().expect("amendments are numbered");
            scheduler.rebind(Arc::clone(&sim.plans[at].0), Some(by));
        }
    }
    scheduler
}

/// A person changes a step that may still be changed, and accepts what is shown, or does not.
fn amend(driver: &mut Driver, sim: &Arc<Mutex<Sim>>, rng: &mut Rng, sabotage: Option<Sabotage>) -> Result<(), driver::Trouble> {
    let now = replayed(sim);
    let state = now.state();
    let may = |ix: &StepIx| {
        let step = state.plan.step(*ix);
        matches!(step.work, Work::Action(_)) && step.effect() != relevo::plan::action::Effect::Read && may_change(state, *ix)
    };
    let steps: Vec<StepIx> = (0..).map(StepIx).take(state.plan.steps.len()).filter(may).collect();
    if steps.is_empty() {
        return Ok(());
    }
    let step = rng.pick(&steps).at();
    let is_accepted = rng.chance(75);
    if !is_accepted && sabotage != Some(Sabotage::AmendmentNotAccepted) {
        return Ok(());
    }
    let (number, plan) = {
        let mut sim = sim.lock().expect("one thread");
        let truth = plans::amended(&sim.truth, step);
        let mut engine = plans::amended(&state.plan, step);
        if sabotage == Some(Sabotage::FingerprintMissesAChange) {
            engine.steps[step].fingerprint = Arc::clone(&state.plan.steps[step].fingerprint);
        }
        let plan = Arc::new(engine);
        let number = sim.plans.len().to_string();
        sim.plans.push((Arc::clone(&plan), Arc::new(truth)));
        if is_accepted {
            sim.checker.accepted.insert(number.clone());
        }
        (number, plan)
    };
    let event = Event::PlanAmended {
        plan: number,
        whole: String::new(),
        stored: None,
        fingerprints: BTreeMap::new(),
        changes: Vec::new(),
        by: operator::initiator(),
    };
    driver.open_with(vec![event], Some(plan))
}

fn started(choices: &Choices, mode: Mode) -> Event {
    Event::RunStarted {
        run: "run".to_owned(),
        mode,
        semantics: SEMANTICS,
        version: "0".to_owned(),
        plan: String::new(),
        whole: String::new(),
        fingerprints: std::collections::BTreeMap::new(),
        choices: choices.clone(),
        by: operator::initiator(),
    }
}

fn holder() -> Holder {
    Holder { host: "h".to_owned(), boot_id: "b".to_owned(), pid: 1, started: 1, user: "ada".to_owned() }
}

/// What must hold whenever a process has left in order.
fn after(sim: &mut Sim, end: &End) {
    if let Some(trouble) = &end.trouble {
        sim.seen.failures += 1;
        if !trouble.contains("simulated") {
            sim.checker.violations.push(format!("the driver is in trouble: {trouble}"));
        }
        return;
    }
    let state = end.scheduler.state();
    let mut again = Scheduler::new(Arc::clone(&sim.first));
    for record in &sim.disk.durable {
        if let Err(illegal) = again.apply(record) {
            sim.checker.violations.push(format!("replay: {illegal}"));
            return;
        }
        if let Event::PlanAmended { plan, by, .. } = &record.event {
            let at: usize = plan.parse().expect("amendments are numbered");
            again.rebind(Arc::clone(&sim.plans[at].0), Some(by));
        }
    }
    if picture(again.state()) != picture(state) {
        sim.checker.violations.push("the replayed state differs from the live one".to_owned());
    }
    let waits = matches!(end.exit, Exit::WaitingForPerson | Exit::InDoubt);
    if waits && questions(state).is_empty() && state.paused.is_none() {
        sim.checker.violations.push(format!("I14: left with {:?}, and nothing is asked", end.exit));
    }
    if end.exit == Exit::InDoubt && state.doubtful.is_empty() {
        sim.checker.violations.push("I14: left in doubt, and no step is".to_owned());
    }
    for acting in &sim.world.acting {
        let word = state.steps[acting.step].word();
        let known = matches!(word, "applying" | "unsettled" | "in doubt") || sim.checker.waived[acting.step];
        if !known && sim.world.things[acting.step].effect != relevo::plan::action::Effect::Read {
            sim.checker.violations.push(format!("I15: s{} can still act and is said to be {word}", acting.step));
        }
    }
}

/// Everything of a state that two folds must agree about.
fn picture(state: &RunState) -> String {
    let mut all = state.clone();
    all.plan = Arc::new(crate::support::plan(Vec::new()));
    format!("{all:?}")
}

/// A rehearsal: everything is looked at, nothing is touched.
pub fn rehearse(seed: u64, sabotage: Option<Sabotage>) -> Result<Exit, Box<Report>> {
    let mut rng = Rng::of(seed, &[11]);
    let truth = Arc::new(plans::random(&mut rng));
    let plan = Arc::new(for_rehearsal((*truth).clone()));
    let sim = Arc::new(Mutex::new(Sim {
        seed,
        world: World::new(&truth, &mut rng, true),
        checker: Checker::new(Arc::clone(&truth)),
        disk: Disk::default(),
        first: Arc::clone(&plan),
        truth,
        base: START,
        origin: None,
        faults: true,
        jump: None,
        inbox: Vec::new(),
        sent: BTreeMap::new(),
        plans: Vec::new(),
        looks: 0,
        seen: Seen::default(),
    }));
    let before = format!("{:?}", sim.lock().expect("one thread").world);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let end = runtime.block_on(async {
        let origin = Instant::now();
        sim.lock().expect("one thread").origin = Some(origin);
        sim.lock().expect("one thread").disk.reopen(&mut rng);
        let real = Arc::new(SimConnector { sim: Arc::clone(&sim), sabotage: None });
        let connector: Arc<dyn Connector> =
            if sabotage == Some(Sabotage::RehearsalActs) { real } else { Arc::new(Described::new(real)) };
        let (_requests, inbox) = mpsc::channel(1);
        let people: Box<dyn People> = Box::new(WouldBeAsked);
        let mut driver = Driver::new(Parts {
            scheduler: Scheduler::new(Arc::clone(&plan)),
            journal: Box::new(SimJournal { sim: Arc::clone(&sim), death: Arc::new(Notify::new()), sabotage: None }),
            registry: Arc::new(OneConnector(connector)),
            desk: desk(),
            evidence: Arc::new(NoEvidence),
            clock: Arc::new(SimClock { base: START, origin, sim: Arc::clone(&sim) }),
            people,
            observer: Box::new(SimObserver {
                sim: Arc::clone(&sim),
                screen: Arc::new(Mutex::new(Screen::default())),
                changed: Arc::new(Notify::new()),
            }),
            requests: inbox,
            letters: Box::new(NoLetters),
        });
        let lock = Event::LockTaken { holder: holder(), take_over: false };
        driver.open_with(vec![started(&Choices::default(), Mode::Rehearsal), lock], None).ok()?;
        tokio::time::timeout(Span::from_secs(30 * 24 * 3600).to_std(), driver.run()).await.ok()
    });
    let mut held = sim.lock().expect("one thread");
    if format!("{:?}", held.world) != before {
        held.checker.violations.clear();
        held.checker.violations.push("I11: the rehearsal changed the world".to_owned());
    }
    match &end {
        None => held.checker.violations.push("I10: the rehearsal does not end".to_owned()),
        Some(end) if end.trouble.is_some() || !matches!(end.exit, Exit::Done | Exit::RehearsalFailed) => {
            held.checker.violations.push(format!("the rehearsal ends with {:?}: {:?}", end.exit, end.trouble));
        }
        Some(_) => {}
    }
    let violations = std::mem::take(&mut held.checker.violations);
    // What is described is verified without being there; nothing else of the judge's list may turn up.
    held.checker.violations = violations;
    match end {
        Some(end) if held.checker.violations.is_empty() => Ok(end.exit),
        _ => Err(Box::new(report(&held, &plan))),
    }
}

/// Everything that is needed to understand a schedule.
pub fn report(sim: &Sim, plan: &Plan) -> Report {
    let mut text = String::new();
    let problems = sim.checker.violations.clone();
    let _ = writeln!(text, "seed {} (RELEVO_SEED={} reruns it alone)", sim.seed, sim.seed);
    for problem in &problems {
        let _ = writeln!(text, "  {problem}");
    }
    let _ = writeln!(text, "plan: {} at once, limits {:?}, window {:?}", plan.max_parallel, plan.limits, plan.window);
    for (at, step) in plan.steps.iter().enumerate() {
        let work = match &step.work {
            Work::Action(action) => format!(
                "{:?}{}{}",
                action.effect,
                if action.probed { ", probed" } else { "" },
                if action.destructive { ", destructive" } else { "" }
            ),
            Work::Gate(gate) => format!("gate {gate:?}"),
            Work::Manual(manual) => format!("manual, probed: {}", manual.probe.is_some()),
            Work::Checkpoint => "checkpoint".to_owned(),
        };
        let needs: Vec<usize> = step.needs.iter().map(|need| need.at()).collect();
        let thing = &sim.world.things[at];
        let _ = writeln!(
            text,
            "  s{at}: {work}; needs {needs:?}, limits {:?}, {:?}, {} attempts, timeout {:?}, deadline {:?}; blind {}, keeps ends {}",
            step.limits, step.on_failure, step.retry.attempts, step.timeout, step.deadline, thing.blind, thing.keeps_ends
        );
    }
    let _ = writeln!(text, "journal (then what was not synced):");
    for record in sim.disk.durable.iter().chain(&sim.disk.buffered) {
        let at = record.at.as_millis() - START;
        let _ = writeln!(text, "{:>4} {:>2} {at:>12} {:?}", record.seq, record.epoch, record.event);
    }
    let _ = writeln!(text, "ledger:");
    for line in &sim.world.ledger {
        let _ = writeln!(text, "        {line}");
    }
    Report { problems, text }
}
