//! The real program, killed with `kill -9` at random moments and resumed until it is done, over a ledger that every
//! effect writes one line into. The ledger is the truth; nothing that relevo says may contradict it.
//!
//! - K1: only relevo dies; its children end on their own; then it is resumed.
//! - K2: relevo and all its children die at once.
//! - K1now: only relevo dies, and it is resumed at once, while the children still work.
//!
//! `RELEVO_KILLS` says how many kills, `RELEVO_SEED` repeats a series.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cli_support::{Desk, Said, Working, processes, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Runs at the same time: enough to keep the processors busy, so that kills hit unlikely places.
const AT_ONCE: u64 = 6;
/// What an effect does: work, one durable line in the ledger, work. Killed anywhere in it.
const EFFECT: &str = r#"
      shell: |
        sleep "$BEFORE"
        printf '%s\n' "$STEP" | dd of="$LEDGER" oflag=append conv=notrunc,fsync status=none
        sleep "$AFTER""#;

/// Numbers that look random and come again with the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end.max(1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    K1,
    K2,
    K1Now,
}

/// A plan of chains, diamonds and a `for_each`, and what its ledger must look like.
struct Weekend {
    text: String,
    /// Ids as the ledger has them, with what must stand before them.
    needs: BTreeMap<String, Vec<String>>,
}

impl Weekend {
    fn new(random: &mut Random) -> Self {
        let mut weekend = Weekend { text: String::new(), needs: BTreeMap::new() };
        // A chain, a diamond on its end, a for_each below one half of it, and a join of everything.
        weekend.step(random, "start", &[]);
        weekend.step(random, "chain", &["start"]);
        for side in ["left", "right", "middle"] {
            weekend.step(random, side, &["chain"]);
        }
        weekend.step(random, "join", &["left", "right", "middle"]);
        let servers: Vec<String> = (0..2 + random.below(3)).map(|n| format!("srv{n}")).collect();
        weekend.for_each(random, "each", &servers, "left");
        let mut all: Vec<String> = servers.iter().map(|server| format!("each[{server}]")).collect();
        all.push("join".to_owned());
        weekend.write("end", "end", &["each".to_owned(), "join".to_owned()], random, "");
        weekend.needs.insert("end".to_owned(), all);
        weekend
    }

    fn step(&mut self, random: &mut Random, id: &str, needs: &[&str]) {
        let needs: Vec<String> = needs.iter().map(|need| (*need).to_owned()).collect();
        self.write(id, id, &needs, random, "");
        self.needs.insert(id.to_owned(), needs);
    }

    fn for_each(&mut self, random: &mut Random, id: &str, items: &[String], need: &str) {
        let each = format!("    for_each: {{ items: [{}], as: server }}\n", items.join(", "));
        self.write(id, &format!("{id}[${{{{ server }}}}]"), &[need.to_owned()], random, &each);
        for item in items {
            self.needs.insert(format!("{id}[{item}]"), vec![need.to_owned()]);
        }
    }

    fn write(&mut self, id: &str, line: &str, needs: &[String], random: &mut Random, more: &str) {
        // Between them a step lasts 10 to 150 ms.
        let (before, after) = (5 + random.below(70), 5 + random.below(70));
        let kind = ["once", "ensure", "keyed", "opaque", "once", "ensure"][usize::try_from(random.below(6)).unwrap()];
        let _ = write!(
            self.text,
            "  - id: {id}\n    needs: [{}]\n{more}    uses: command\n    effect: {kind}\n    with:{EFFECT}\n      env: {{ STEP: \"{line}\", \
             BEFORE: \"0.{before:03}\", AFTER: \"0.{after:03}\" }}\n",
            needs.join(", ")
        );
        if kind != "opaque" {
            let _ = write!(
                self.text,
                "    probe:\n      uses: command\n      with: {{ shell: 'grep -qxF \"$STEP\" \"$LEDGER\"', env: {{ STEP: \"{line}\" }} }}\n"
            );
        }
    }
}

/// What happened in all runs together.
#[derive(Debug, Default)]
struct Tally {
    kills: AtomicU64,
    runs: AtomicU64,
    decisions: AtomicU64,
    in_flight: AtomicU64,
    killed_again: AtomicU64,
}

/// One weekend, killed again and again.
struct Trial<'a> {
    desk: Desk,
    weekend: Weekend,
    random: Random,
    mode: Mode,
    tally: &'a Tally,
    wanted: u64,
    label: String,
}

impl Trial<'_> {
    fn play(&mut self) {
        self.desk.steps(&self.weekend.text);
        let mut process = self.desk.start(&["run", "plan.yaml"]);
        let mut kills = 0;
        loop {
            // A weekend is seldom hit more than a few times; after that it may come to its end.
            if kills < 5 && self.tally.kills.load(Ordering::Relaxed) < self.wanted && self.kill_sometime(&mut process) {
                kills += 1;
                self.tally.kills.fetch_add(1, Ordering::Relaxed);
                self.tally.killed_again.fetch_add(u64::from(kills > 1), Ordering::Relaxed);
                self.look("after the kill");
                if self.mode == Mode::K1 {
                    wait_for("the children end", || self.desk.living().is_empty());
                }
                process = if self.desk.run_dirs().is_empty() {
                    // Killed before there was a run: nothing may have happened, and it is started again.
                    assert_eq!(self.desk.ledger(), [""; 0], "{}", self.label);
                    self.desk.start(&["run", "plan.yaml"])
                } else {
                    self.desk.start(&["resume", "--yes"])
                };
                continue;
            }
            let said = process.wait();
            self.look("after an exit");
            match said.code {
                Some(0) => break,
                Some(4) => self.decide(&said),
                // Killed between its last record and its end, so that there was nothing to go on with.
                Some(5) if kills > 0 => break,
                code => panic!("{}: exit {code:?}:\n{}", self.label, said.all()),
            }
            process = self.desk.start(&["resume", "--yes"]);
        }
        self.is_done();
        self.tally.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for the fault's moment: a random record of those that are still to come, or a random time. The time is
    /// the fault itself, not a wait for something: records alone would never hit the long moments between them.
    fn kill_sometime(&mut self, process: &mut Working) -> bool {
        let records = || {
            let path = self.desk.run_dirs().first().map(|dir| dir.join("journal"));
            path.and_then(|path| std::fs::read_to_string(path).ok()).map_or(0, |text| text.lines().count())
        };
        let by_record = self.random.below(2) == 0;
        let total = 6 * self.weekend.needs.len() as u64;
        let (so_far, extra) = (records() as u64, self.random.below(total));
        let time = Duration::from_millis(self.random.below(1_500));
        let from = Instant::now();
        loop {
            if process.ended().is_some() {
                return false;
            }
            let due = if by_record { records() as u64 >= so_far + extra } else { from.elapsed() >= time };
            if due {
                break;
            }
            std::thread::park_timeout(Duration::from_micros(500));
        }
        let living = self.desk.living().len();
        if self.mode == Mode::K2 {
            // Stopped first, so that all die at the same moment.
            for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
                for pid in self.desk.living() {
                    processes::send(pid, signal);
                }
            }
        }
        let ended = process.ended().filter(|status| status.code().is_some());
        process.kill();
        if self.mode == Mode::K2 {
            wait_for("all are dead", || self.desk.living().is_empty());
        }
        self.tally.in_flight.fetch_add(u64::from(living > 1), Ordering::Relaxed);
        ended.is_none()
    }

    /// What `status` and `verify` say is never contradicted by the ledger.
    fn look(&self, when: &str) {
        if self.desk.run_dirs().is_empty() {
            return;
        }
        let ledger_before = self.desk.ledger();
        let status = self.desk.relevo(&["status", "--format", "json"]).exits(0).json();
        let ledger_after = self.desk.ledger();
        for row in status["steps"].as_array().unwrap() {
            let (id, state) = (row["id"].as_str().unwrap(), row["state"].as_str().unwrap());
            let context =
                || format!("{} {when}: `{id}` is {state}; ledger {ledger_after:?}\n{}", self.label, self.desk.journal());
            if state == "done" {
                assert!(ledger_after.iter().any(|line| line == id), "reported done and not done: {}", context());
            }
            if matches!(state, "pending" | "blocked" | "ready" | "probing") {
                assert!(!ledger_before.iter().any(|line| line == id), "done and said not to have begun: {}", context());
            }
        }
        self.in_order(&ledger_after);
        self.desk.relevo(&["verify"]).exits(0);
    }

    /// Each effect at most once, and none before what it needs.
    fn in_order(&self, ledger: &[String]) {
        for (at, line) in ledger.iter().enumerate() {
            let context = || format!("{}: `{line}` in {ledger:?}\n{}", self.label, self.desk.journal());
            assert!(!ledger[..at].contains(line), "twice: {}", context());
            let needs = self.weekend.needs.get(line).unwrap_or_else(|| panic!("foreign: {}", context()));
            assert!(needs.iter().all(|need| ledger[..at].contains(need)), "too early: {}", context());
        }
    }

    /// A person who looks at the ledger and tells the truth, with the command that was printed for it.
    fn decide(&self, said: &Said) {
        let status = self.desk.relevo(&["status", "--format", "json"]).exits(0).json();
        let asks: Vec<&Value> = status["asks"].as_array().unwrap().iter().filter(|ask| ask["why"] == "in_doubt").collect();
        assert!(!asks.is_empty(), "{}: exit 4 and no question:\n{}\n{status:#}", self.label, said.all());
        for ask in asks {
            let step = ask["step"].as_str().unwrap();
            assert!(said.all().contains(step), "{}: {step} is not named:\n{}", self.label, said.all());
            // What was asked about can no longer act, so the ledger is the last word.
            let there = self.desk.ledger().iter().any(|line| line == step);
            let word = if there { "done" } else { "not-done" };
            self.desk.relevo(&["decide", step, word, "--reason", "looked at the ledger"]).exits(0);
            self.tally.decisions.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_done(&self) {
        let ledger = self.desk.ledger();
        self.in_order(&ledger);
        let missing: Vec<&String> = self.weekend.needs.keys().filter(|id| !ledger.contains(id)).collect();
        assert!(missing.is_empty(), "{}: said to be done without {missing:?}\n{}", self.label, self.desk.journal());
        let status = self.desk.relevo(&["status", "--format", "json"]).exits(0).json();
        assert_eq!(status["standing"], "done", "{}", self.label);
        self.desk.relevo(&["resume", "--yes"]).exits(5);
        assert_eq!(self.desk.ledger(), ledger, "{}: a finished run did something", self.label);
        assert!(self.desk.living().is_empty(), "{}: something was left behind", self.label);
    }
}

#[test]
fn f08_f12_i14_no_kill_loses_an_effect_or_does_one_twice() {
    let all = std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all");
    let wanted = std::env::var("RELEVO_KILLS").map_or(if all { 200 } else { 40 }, |n| n.parse().unwrap());
    let seed = std::env::var("RELEVO_SEED").map_or_else(
        |_| std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_secs()),
        |seed| seed.parse().unwrap(),
    );
    println!("RELEVO_SEED={seed}");
    let tally = Tally::default();
    let next = AtomicU64::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while tally.kills.load(Ordering::Relaxed) < wanted {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(number));
                    let mode = [Mode::K1, Mode::K2, Mode::K1Now][usize::try_from(number % 3).unwrap()];
                    let weekend = Weekend::new(&mut random);
                    let label = format!("RELEVO_SEED={seed} weekend {number} {mode:?}");
                    Trial { desk: Desk::new(), weekend, random, mode, tally: &tally, wanted, label }.play();
                }
            });
        }
    });
    println!("{tally:?} in {:?}", started.elapsed());
    assert!(tally.kills.load(Ordering::Relaxed) >= wanted);
}
