//! Random plans: every kind of step, class, limit and rule that the engine knows.

use relevo::plan::action::Effect;
use relevo::plan::{Call, Condition, Holds, InDoubt, LimitIx, OnFailure, Plan, Probe, Step, StepIx, Window, Work};
use relevo::time::{Span, Timestamp};
use serde_json::json;

use crate::prng::Rng;
use crate::support::{action, checkpoint, gate, limit, manual, plan};

/// When every simulated run starts.
pub const START: i64 = 1_790_000_000_000;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// A plan of one to twelve steps.
pub fn random(rng: &mut Rng) -> Plan {
    let count = rng.between(1, 12);
    let density = rng.pick(&[0, 15, 30, 60]);
    let limits: Vec<_> =
        (0..rng.below(3)).map(|n| limit(&format!("limit{n}"), u32::try_from(rng.between(1, 2)).expect("small"))).collect();
    let mut steps: Vec<Step> = Vec::new();
    for at in 0..count {
        let mut step = one(rng, at);
        step.needs = (0..at).filter(|_| rng.chance(density)).map(|need| StepIx(u32::try_from(need).expect("small"))).collect();
        if matches!(step.work, Work::Action(_)) {
            step.limits =
                (0..limits.len()).filter(|_| rng.chance(40)).map(|n| LimitIx(u32::try_from(n).expect("small"))).collect();
        }
        step.fingerprint = fingerprint(usize::try_from(at).expect("small"), 0);
        steps.push(step);
    }
    let mut plan = plan(steps);
    plan.limits = limits;
    plan.max_parallel = rng.pick(&[1, 2, 3, 8]);
    if rng.chance(15) {
        let opens = Timestamp::from_millis(START).plus(Span::from_millis(rng.below(2 * HOUR)));
        let opens = if rng.chance(50) { Timestamp::from_millis(START - 1) } else { opens };
        let closes = opens.plus(Span::from_millis(rng.between(5 * MINUTE, 24 * HOUR)));
        plan.window = Some(Window { timezone: "UTC".to_owned(), opens, closes, back_out_by: None });
    }
    plan
}

fn one(rng: &mut Rng, at: u64) -> Step {
    let id = format!("s{at}");
    let mut step = match rng.below(100) {
        0..10 => {
            let mut step = gate(&id);
            if let Work::Gate(gate) = &mut step.work {
                gate.quorum = u32::try_from(rng.between(1, 2)).expect("small");
                gate.not_initiator = rng.chance(50);
                gate.expires = rng.chance(40).then(|| Span::from_millis(HOUR));
                gate.valid_for = rng.chance(30).then(|| Span::from_millis(rng.between(1, 3) * HOUR));
                if rng.chance(50) {
                    gate.approvers = vec!["lead".to_owned()];
                }
            }
            step
        }
        10..18 => {
            let mut step = manual(&id);
            if let (Work::Manual(manual), true) = (&mut step.work, rng.chance(50)) {
                manual.probe = Some(probe("sim"));
            }
            step
        }
        18..26 => checkpoint(&id),
        _ => an_action(rng, &id),
    };
    step.on_failure = rng.pick(&[
        OnFailure::Ask,
        OnFailure::Ask,
        OnFailure::Ask,
        OnFailure::Stop,
        OnFailure::Continue,
        OnFailure::Continue,
        OnFailure::Rollback,
    ]);
    if rng.chance(4) {
        step.not_before = Some(Timestamp::from_millis(START).plus(Span::from_millis(HOUR)));
    }
    step
}

fn an_action(rng: &mut Rng, id: &str) -> Step {
    let effect =
        rng.pick(&[Effect::Read, Effect::Ensure, Effect::Ensure, Effect::Cas, Effect::Keyed, Effect::Once, Effect::Opaque]);
    let mut step = action(id, effect);
    if let Work::Action(action) = &mut step.work {
        let host = rng.below(4);
        action.call.with = json!({ "host": format!("h{host}"), "version": 0 });
        action.keeps = rng.chance(20);
        action.probed = match effect {
            Effect::Read => false,
            Effect::Opaque => rng.chance(20),
            _ => rng.chance(80),
        };
        action.destructive = effect != Effect::Read && rng.chance(25);
    }
    step.in_doubt = rng.pick(&[None, None, None, None, Some(InDoubt::Ask), Some(InDoubt::Repeat)]);
    if !step.is_probed() {
        step.in_doubt = step.in_doubt.filter(|said| *said == InDoubt::Ask);
    }
    step.stable_for = Span::from_millis(rng.pick(&[2_000, 10_000, 60_000]));
    step.timeout = rng.chance(60).then(|| Span::from_millis(rng.between(5_000, 10 * MINUTE)));
    step.deadline = rng.chance(20).then(|| Span::from_millis(rng.between(MINUTE, 30 * MINUTE)));
    step.retry.attempts = u32::try_from(rng.between(1, 4)).expect("small");
    step.retry.interval = Span::from_millis(rng.pick(&[0, 1_000, 10_000, 60_000]));
    step.retry.backoff = rng.pick(&[1.0, 2.0, 3.0]);
    step.point_of_no_return = rng.chance(8);
    if rng.chance(12) {
        step.before.push(condition());
    }
    if rng.chance(12) {
        step.after.push(condition());
    }
    step
}

/// The fingerprint of a step in one of its versions.
pub fn fingerprint(step: usize, version: u64) -> std::sync::Arc<str> {
    std::sync::Arc::from(format!("s{step}-v{version}"))
}

/// The plan with a newer version of one action: it acts upon another object.
pub fn amended(plan: &Plan, step: usize) -> Plan {
    let mut plan = plan.clone();
    let changed = &mut plan.steps[step];
    if let Work::Action(action) = &mut changed.work {
        let version = version(&action.call.with) + 1;
        action.call.with["version"] = json!(version);
        changed.fingerprint = fingerprint(step, version);
    }
    plan
}

/// Which version of its step a call is.
pub fn version(with: &serde_json::Value) -> u64 {
    with["version"].as_u64().unwrap_or(0)
}

fn condition() -> Condition {
    Condition { name: "the directory answers".to_owned(), holds: Holds::Probe(probe("sim.condition")) }
}

fn probe(uses: &str) -> Probe {
    Probe { call: Call { uses: uses.to_owned(), with: json!({}) }, verdict: Vec::new() }
}
