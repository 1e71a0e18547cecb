//! The simulator: the real scheduler and driver over an invented world, thousands of times, with crashes.
//!
//! - [`plans`] invents a plan, [`world`] the systems, [`disk`] the journal and its crashes, [`operator`] the people.
//! - [`schedule`] runs one schedule, process after process, until the run is done.
//! - [`checker`] knows the invariants and judges by durable records and the world alone.
//! - [`sabotage`] plants bugs, each of which must be found.
//!
//! `RELEVO_SCHEDULES` says how many schedules; `RELEVO_SEED` reruns one and prints it.

#![expect(clippy::expect_used, reason = "a test may fail by panicking; outside of test functions clippy does not know that")]

mod checker;
mod disk;
mod operator;
mod plans;
mod prng;
mod sabotage;
mod schedule;
mod sim;
#[path = "../support/plans.rs"]
#[expect(dead_code, reason = "the scheduler's tests need more of it")]
mod support;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use relevo::error::Exit;

use sabotage::Sabotage;
use schedule::Report;
use sim::Seen;

/// How many schedules, unless `RELEVO_SCHEDULES` says otherwise.
const SCHEDULES: u64 = 20_000;

fn schedules() -> u64 {
    std::env::var("RELEVO_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(SCHEDULES)
}

/// Runs schedules `0..count` on all processors; returns what they saw, and the first failure by seed.
fn many(count: u64, one: impl Fn(u64) -> Result<Seen, Box<Report>> + Sync) -> (Seen, Option<(u64, Box<Report>)>) {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut sum = Seen::default();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= count {
                            return (sum, None);
                        }
                        match one(seed) {
                            Ok(more) => sum.add(more),
                            Err(report) => {
                                next.store(count, Ordering::Relaxed);
                                return (sum, Some((seed, report)));
                            }
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    let mut all = Seen::default();
    let mut first: Option<(u64, Box<Report>)> = None;
    for (seen, failure) in results {
        all.add(seen);
        if let Some((seed, report)) = failure
            && first.as_ref().is_none_or(|(earlier, _)| seed < *earlier)
        {
            first = Some((seed, report));
        }
    }
    (all, first)
}

#[test]
fn f09_f74_i10_no_schedule_of_crashes_and_faults_breaks_an_invariant() {
    if let Some(seed) = std::env::var("RELEVO_SEED").ok().and_then(|text| text.parse::<u64>().ok()) {
        match schedule::run(seed, None) {
            Ok(outcome) => outcome.records.iter().for_each(|record| println!("{:>4} {:?}", record.seq, record.event)),
            Err(report) => panic!("{}", report.text),
        }
        return;
    }
    let (seen, failure) = many(schedules(), |seed| schedule::run(seed, None).map(|outcome| outcome.seen));
    if let Some((_, report)) = failure {
        panic!("{}", report.text);
    }
    println!("{seen:?}");
    assert_eq!(seen.done, schedules(), "every schedule reaches the end");
    // A simulator that never takes the rarer paths proves nothing about them.
    if schedules() >= 1_000 {
        assert!(seen.crashes > schedules() / 2 && seen.late > schedules() / 10 && seen.failures > schedules() / 20, "{seen:?}");
        assert!(seen.answers > schedules() && seen.effects > 3 * schedules(), "{seen:?}");
    }
}

/// Found by the simulator: a step that a person had told to try again began in a pause, because another step had failed.
#[test]
fn a_retry_that_a_person_asked_for_waits_for_the_end_of_a_pause() {
    assert!(schedule::run(5267, None).is_ok());
}

/// Found by the simulator: a gate was asked again although the gate before it was no longer open.
#[test]
fn i2_a_gate_is_asked_again_only_once_the_gate_before_it_is_open() {
    assert!(schedule::run(258, None).is_ok());
}

#[test]
fn i13_the_same_seed_gives_the_same_journal() {
    for seed in 0..300 {
        let once = schedule::run(seed, None).map(|outcome| outcome.records).map_err(|report| report.text);
        let twice = schedule::run(seed, None).map(|outcome| outcome.records).map_err(|report| report.text);
        assert_eq!(once, twice, "seed {seed}");
    }
}

#[test]
fn i11_i10_a_rehearsal_touches_nothing_and_ends() {
    let mut failed = 0;
    for seed in 0..schedules() / 20 {
        match schedule::rehearse(seed, None) {
            Ok(exit) => failed += u64::from(exit == Exit::RehearsalFailed),
            Err(report) => panic!("{}", report.text),
        }
    }
    assert!(failed > 0, "some of the invented worlds have something in the way");
}

/// The number of schedules within which a planted bug must be found.
const BOUND: u64 = 1_500;

fn is_found(sabotage: Sabotage, by: &str) {
    let (_, failure) = many(BOUND, |seed| schedule::run(seed, Some(sabotage)).map(|outcome| outcome.seen));
    let Some((seed, report)) = failure else { panic!("{sabotage:?} was not found in {BOUND} schedules") };
    println!("{sabotage:?}: found by seed {seed}: {:?}", report.problems);
    assert!(report.problems.iter().any(|problem| problem.contains(by)), "found, but not as `{by}`:\n{}", report.text);
}

#[test]
fn i7_a_sync_that_does_nothing_is_found() {
    is_found(Sabotage::SyncDoesNothing, "I");
}

#[test]
fn i1_a_recovery_that_forgets_an_intent_without_an_end_is_found() {
    is_found(Sabotage::RecoveryForgetsIntents, "");
}

#[test]
fn i15_a_recovery_that_takes_an_attempt_in_doubt_for_a_refusal_is_found() {
    is_found(Sabotage::RecoveryCallsItRefused, "");
}

#[test]
fn i1_i3_a_recovery_that_cuts_off_a_whole_record_is_found() {
    is_found(Sabotage::RecoveryCutsTooMuch, "");
}

#[test]
fn f74_i15_a_connector_that_says_quiet_while_it_acts_is_found() {
    is_found(Sabotage::QuietWhileItActs, "still act");
}

#[test]
fn f49_i15_a_driver_that_takes_an_unknown_answer_for_a_refusal_is_found() {
    is_found(Sabotage::UnknownIsRefused, "");
}

#[test]
fn i15_a_probe_that_says_done_without_evidence_is_found() {
    is_found(Sabotage::DoneWithoutEvidence, "I15");
}

#[test]
fn i2_a_dependency_that_the_scheduler_does_not_know_is_found() {
    is_found(Sabotage::DependencyDropped, "I2");
}

#[test]
fn limits_that_the_scheduler_does_not_know_are_found() {
    is_found(Sabotage::LimitsIgnored, "");
}

#[test]
fn i5_a_window_that_the_scheduler_does_not_know_is_found() {
    is_found(Sabotage::WindowIgnored, "I5");
}

#[test]
fn i7_records_shown_before_they_are_durable_are_found() {
    is_found(Sabotage::ShowsBeforeSync, "I7");
}

/// Planted bugs of the kinds in which people touch a run, by what they are found.
macro_rules! planted {
    ($($name:ident $sabotage:ident $by:literal;)*) => { $(#[test] fn $name() { is_found(Sabotage::$sabotage, $by); })* };
}

planted! {
    i2_a_skip_that_frees_dependants_is_found SkipFreesDependants "";
    f74_what_nobody_can_tell_taken_for_quiet_is_found BlindIsQuiet "still act";
    f86_a_letter_that_is_taken_again_is_found LetterTakenAgain "letter";
    s35_a_vote_that_counts_for_another_question_is_found VoteOfAnotherQuestionCounts "question";
    s35_a_lapsed_go_that_counts_is_found LapsedGoCounts "lapsed";
    f87_an_amendment_that_nobody_accepted_is_found AmendmentNotAccepted "accepted";
    i4_a_pin_that_is_kept_after_an_amendment_is_found PinKeptAfterAmendment "I4";
    i4_a_change_that_the_fingerprint_misses_is_found FingerprintMissesAChange "";
    i9_exclusions_that_a_resume_forgets_are_found ExclusionsForgotten "";
    outputs_of_a_look_before_the_attempt_are_found OutputsOfAnOldLook "outputs";
    an_intent_without_its_before_image_is_found ImageNotKept "before-image";
    a_watermark_that_stands_still_is_found WatermarkStandsStill "watermark";
    f73_a_timeout_taken_for_not_sent_is_found TimeoutIsNotSent "";
    f78_a_failure_half_way_taken_for_nothing_is_found FailureTouchesNothing "";
}

#[test]
fn i11_a_rehearsal_with_the_real_connectors_is_found() {
    let found = (0..BOUND).find_map(|seed| schedule::rehearse(seed, Some(Sabotage::RehearsalActs)).err());
    let report = found.expect("a rehearsal that acts was not found");
    assert!(report.problems.iter().any(|problem| problem.contains("I11")), "{}", report.text);
}
