//! Planted bugs: adapters around the real parts. A simulator that does not find them proves nothing.

use relevo::plan::{Plan, StepIx, Work};
use relevo::run::event::{Event, Outcome, Record};

/// What is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// `sync` returns without making anything durable.
    SyncDoesNothing,
    /// Recovery drops an intent that has no end.
    RecoveryForgetsIntents,
    /// Recovery takes an intent that has no end for a refusal.
    RecoveryCallsItRefused,
    /// Recovery cuts off the last record as if it were torn.
    RecoveryCutsTooMuch,
    /// An attempt that still acts is said to be quiet.
    QuietWhileItActs,
    /// An answer that is not understood is taken for a refusal.
    UnknownIsRefused,
    /// A probe says done without evidence.
    DoneWithoutEvidence,
    /// The scheduler gets a plan with one dependency less.
    DependencyDropped,
    /// The scheduler gets a plan without limits.
    LimitsIgnored,
    /// The scheduler gets a plan without a window.
    WindowIgnored,
    /// Records are shown when they are appended.
    ShowsBeforeSync,
    /// A rehearsal gets the real connectors.
    RehearsalActs,
    /// A skipped step frees those that need it, whatever it needed itself.
    SkipFreesDependants,
    /// Nobody can tell whether an attempt still acts, and it is said to be quiet.
    BlindIsQuiet,
    /// A letter that is found again counts again.
    LetterTakenAgain,
    /// A vote counts for whatever is asked when it is taken up.
    VoteOfAnotherQuestionCounts,
    /// A go counts although the question has lapsed.
    LapsedGoCounts,
    /// An amendment holds before anybody has accepted it.
    AmendmentNotAccepted,
    /// After an amendment, a look binds the step to the object of before.
    PinKeptAfterAmendment,
    /// An amended step has the fingerprint of before.
    FingerprintMissesAChange,
    /// A resume forgets what was left out.
    ExclusionsForgotten,
    /// A look gives the outputs of before the attempt.
    OutputsOfAnOldLook,
    /// An intent is recorded without the before-image that its action keeps.
    ImageNotKept,
    /// The watermark is not moved before a destructive effect.
    WatermarkStandsStill,
    /// An attempt whose time limit is over is said not to have been sent.
    TimeoutIsNotSent,
    /// A failure that stopped half-way is said to have touched nothing.
    FailureTouchesNothing,
}

/// The plan as the scheduler gets it.
pub fn plan(sabotage: Option<Sabotage>, mut plan: Plan) -> Plan {
    match sabotage {
        Some(Sabotage::DependencyDropped) => {
            if let Some(at) = (0..plan.steps.len()).rev().find(|at| !plan.steps[*at].needs.is_empty()) {
                let need = plan.steps[at].needs.remove(0);
                let ix = StepIx(u32::try_from(at).expect("small"));
                plan.dependants[need.at()].retain(|dependant| *dependant != ix);
            }
        }
        Some(Sabotage::LimitsIgnored) => {
            plan.max_parallel = 1_000;
            plan.limits.iter_mut().for_each(|limit| limit.max = 1_000);
        }
        Some(Sabotage::WindowIgnored) => plan.window = None,
        Some(Sabotage::LapsedGoCounts) => {
            for step in &mut plan.steps {
                if let Work::Gate(gate) = &mut step.work {
                    gate.expires = None;
                }
            }
        }
        _ => {}
    }
    plan
}

/// The records as recovery gives them, and events that it adds.
pub fn recovered(sabotage: Option<Sabotage>, mut records: Vec<Record>) -> (Vec<Record>, Vec<Event>) {
    let dangling = |records: &[Record]| {
        records.iter().rposition(|record| {
            let Event::AttemptStarted { step, attempt, .. } = &record.event else { return false };
            !records.iter().any(|other| {
                matches!(&other.event, Event::AttemptFinished { step: s, attempt: a, .. } if s == step && a == attempt)
                    || (other.seq > record.seq && other.event.step() == Some(step))
            })
        })
    };
    let mut events = Vec::new();
    match (sabotage, dangling(&records)) {
        (Some(Sabotage::RecoveryForgetsIntents), Some(at)) => {
            records.remove(at);
            for (n, record) in records.iter_mut().enumerate() {
                record.seq = n as u64 + 1;
            }
        }
        (Some(Sabotage::RecoveryCallsItRefused), Some(at)) => {
            if let Event::AttemptStarted { step, attempt, .. } = &records[at].event {
                let outcome = Outcome::Rejected { reason: "it did not survive".to_owned(), untouched: true };
                events.push(Event::AttemptFinished { step: step.clone(), attempt: *attempt, outcome });
            }
        }
        (Some(Sabotage::RecoveryCutsTooMuch), _) if records.len() > 2 => {
            records.pop();
        }
        (Some(Sabotage::ExclusionsForgotten), _) => {
            for record in &mut records {
                if let Event::RunStarted { choices, .. } | Event::RunResumed { choices, .. } = &mut record.event {
                    choices.exclude.clear();
                }
            }
        }
        _ => {}
    }
    (records, events)
}
