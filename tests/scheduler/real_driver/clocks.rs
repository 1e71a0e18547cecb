//! Clocks that jump, a machine that sleeps, and a connector that panics.

use super::*;

/// A clock that is set by somebody, on a machine that sleeps.
struct Odd {
    from: Instant,
    /// After how many seconds the wall clock jumps by how many.
    jump: Option<(u64, i64)>,
    /// After how many seconds the machine has slept for how many.
    slept: Option<(u64, u64)>,
}

impl Odd {
    fn slept(&self) -> u64 {
        self.slept.filter(|(after, _)| self.from.elapsed().as_secs() >= *after).map_or(0, |(_, secs)| secs * 1000)
    }
}

impl Clock for Odd {
    fn now(&self) -> Timestamp {
        let off = self.jump.filter(|(after, _)| self.from.elapsed().as_secs() >= *after).map_or(0, |(_, secs)| secs * 1000);
        let passed = i64::try_from(self.boot_millis()).expect("days");
        Timestamp::from_millis(at(0).as_millis() + off + passed)
    }

    fn boot_millis(&self) -> u64 {
        self.awake_millis() + self.slept()
    }

    fn awake_millis(&self) -> u64 {
        u64::try_from(self.from.elapsed().as_millis()).expect("days")
    }
}

/// Runs a plan under such a clock; somebody aborts it after ten minutes if it still waits then.
fn run_by(plan: Plan, jump: Option<(u64, i64)>, slept: Option<(u64, u64)>) -> (End, Vec<Record>) {
    run_with(plan, Arc::new(Systems { apply: 60, ..Systems::default() }), true, jump, slept)
}

fn run_with(
    plan: Plan,
    connector: Arc<dyn Connector>,
    wait: bool,
    jump: Option<(u64, i64)>,
    slept: Option<(u64, u64)>,
) -> (End, Vec<Record>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let records = Arc::new(Mutex::new(Vec::new()));
    let end = runtime.block_on(async {
        let (sender, inbox) = mpsc::channel(8);
        let mut driver = Driver::new(Parts {
            scheduler: Scheduler::new(Arc::new(plan)),
            journal: Box::new(Memory(Arc::clone(&records))),
            registry: Arc::new(One(connector)),
            desk: Desk {
                run: Arc::from("run"),
                folder: Arc::from(Path::new("/")),
                scratch: PathBuf::from("/scratch"),
                evidence: PathBuf::from("/evidence"),
            },
            evidence: Arc::new(Nothing),
            clock: Arc::new(Odd { from: Instant::now(), jump, slept }),
            people: Box::new(Later { wait }),
            observer: Box::new(Nothing),
            requests: inbox,
            letters: Box::new(NoLetters),
        });
        driver.open_with(vec![run_started(Choices::default()), lock()], None).expect("in memory");
        let gives_up = async {
            sleep(Duration::from_mins(10)).await;
            let _ = sender.send(Request::Order(Order::Abort { reason: "enough".to_owned() }, holder("bob"), None)).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = driver.run() => end,
            () = gives_up => unreachable!("it never ends"),
            () = sleep(Duration::from_hours(40 * 24)) => panic!("the run does not end"),
        }
    });
    let records = records.lock().expect("one thread").clone();
    (end, records)
}

fn events(records: &[Record]) -> Vec<Event> {
    records.iter().map(|record| record.event.clone()).collect()
}

/// A minute of work, then a second step behind it.
fn two_steps() -> Plan {
    plan(vec![action("a", Effect::Opaque), action("b", Effect::Opaque).needs(&[0])])
}

fn windowed(opens: i64, closes: i64) -> Plan {
    Plan {
        window: Some(Window { timezone: "UTC".to_owned(), opens: at(opens), closes: at(closes), back_out_by: None }),
        ..two_steps()
    }
}

#[test]
fn f79_a_wall_clock_that_jumps_changes_neither_the_order_nor_what_is_done() {
    // Two hours on, two hours back, and back to 1970.
    for jump in [7200, -7200, -(at(0).as_millis() / 1000)] {
        let (end, records) = run_by(two_steps(), Some((30, jump)), None);
        let events = events(&records);
        assert_eq!((end.exit, intents(&events)), (Exit::Done, vec!["a 1".to_owned(), "b 1".to_owned()]), "{jump}");
        let jumps: Vec<i64> = events
            .iter()
            .filter_map(|event| match event {
                Event::ClockJumped { millis } => Some(*millis),
                _ => None,
            })
            .collect();
        assert_eq!(jumps, [jump * 1000]);
        // Read again, it is the same run, whatever the times say.
        let mut again = Scheduler::new(Arc::clone(&end.scheduler.state().plan));
        for record in &records {
            again.apply(record).expect("in order");
        }
        assert_eq!(again.state().ending, end.scheduler.state().ending);
    }
}

#[test]
fn f80_a_clock_that_jumps_into_the_window_or_out_of_it_starts_nothing_unasked() {
    // Into it: nothing starts. Out of it: what runs ends, and nothing starts.
    for (opens, closes, started) in [(3600, 10_800, Vec::new()), (-60, 3600, vec!["a 1".to_owned()])] {
        let (end, records) = run_by(windowed(opens, closes), Some((30, 7200)), None);
        let events = events(&records);
        assert!(events.iter().any(|event| matches!(event, Event::RunPaused { .. })), "{events:#?}");
        assert_eq!((end.exit, intents(&events)), (Exit::Failed, started));
    }
}

#[test]
fn f81_a_machine_that_slept_in_the_middle_of_a_step_says_so_and_starts_nothing_twice() {
    let (end, records) = run_by(two_steps(), None, Some((30, 3 * 3600)));
    let events = events(&records);
    assert!(events.iter().any(|event| matches!(event, Event::Suspended { millis } if *millis >= 3 * 3_600_000)), "{events:#?}");
    assert!(!events.iter().any(|event| matches!(event, Event::ClockJumped { .. })), "to sleep is no jump: {events:#?}");
    assert_eq!((end.exit, intents(&events)), (Exit::Done, vec!["a 1".to_owned(), "b 1".to_owned()]));
}

/// Panics in the middle of an attempt, with a secret in its hands.
struct Panics;

#[async_trait]
impl Look for Panics {
    async fn preflight(&self, _call: &Call) -> Vec<Finding> {
        Vec::new()
    }

    async fn describe(&self, _call: &Call) -> Description {
        Description { lines: Vec::new(), rehearsable: true, outputs: Outputs::new() }
    }

    async fn probe(&self, _call: &Call) -> Observation {
        Observation::unknown("nothing is known")
    }

    async fn quiesce(&self, _call: &Call) -> Quiescence {
        Quiescence::CannotTell { seen: "nothing is known".to_owned() }
    }

    fn has_probe(&self, _uses: &str) -> bool {
        true
    }

    fn by_hand(&self, _call: &Call) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl Connector for Panics {
    async fn before_image(&self, _call: &Call, _evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        Ok(None)
    }

    async fn apply(&self, _call: &Call) -> Outcome {
        panic!("with Passw0rd! in it")
    }

    async fn undo(&self, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::NotSent { reason: String::new() }
    }
}

#[test]
fn f20_a_connector_that_panics_leaves_its_step_in_doubt_and_its_words_nowhere() {
    let (end, records) = run_with(two_steps(), Arc::new(Panics), false, None, None);
    let events = events(&records);
    assert_eq!((end.exit, intents(&events)), (Exit::InDoubt, vec!["a 1".to_owned()]));
    let unknown = |event: &Event| matches!(event, Event::AttemptFinished { outcome: Outcome::Unknown { .. }, .. });
    assert!(events.iter().any(unknown) && events.iter().any(|event| matches!(event, Event::StepInDoubt { .. })), "{events:#?}");
    assert!(!format!("{events:?}").contains("Passw0rd!"));
}
