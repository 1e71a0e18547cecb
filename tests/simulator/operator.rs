//! A person who answers truthfully: looks at the world first, and sometimes mends it by hand.

use std::sync::{Arc, Mutex};

use relevo::plan::action::Effect;
use relevo::plan::{StepId, StepIx, Work};
use relevo::run::driver::Request;
use relevo::run::event::{Decision, Outputs, Person};
use relevo::run::order::Order;
use relevo::run::questions::{Kind, Question};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Duration, sleep};

use crate::prng::Rng;
use crate::sim::{Screen, Sim};

fn person(name: &str) -> Person {
    Person { name: name.to_owned(), claimed: false }
}

/// The person who starts runs.
pub fn initiator() -> Person {
    person("ada")
}

/// What to answer, if an answer is possible now: what may still act is waited for.
pub fn answer(sim: &mut Sim, rng: &mut Rng, question: Question, votes: &[String]) -> Option<(Order, Person)> {
    let at = question.step.at();
    let plan = Arc::clone(&sim.truth);
    let step = plan.steps[at].id.clone();
    let faults = sim.faults;
    let world = sim.world_now();
    let acts = world.may_act(at) || world.live.contains_key(&at);
    let thing = &mut world.things[at];
    let decide = |decision| Some((decided(&step, decision), person("bob")));
    let odd = |rng: &mut Rng, percent| faults && rng.chance(percent);
    match question.kind {
        Kind::Gate => {
            if odd(rng, 10) {
                return Some((vote(&step, false), person("bob")));
            }
            if odd(rng, 10) {
                return Some((vote(&step, true), Person { name: "mallory".to_owned(), claimed: true }));
            }
            let next = ["bob", "cy", "dee"].into_iter().find(|name| !votes.iter().any(|has_voted| has_voted == name))?;
            Some((vote(&step, true), person(next)))
        }
        Kind::LapsedGate => decide(Decision::Retry),
        Kind::Manual => {
            let Work::Manual(manual) = &plan.steps[at].work else { return None };
            if odd(rng, 8) {
                return Some((answered(&step, false), person("bob")));
            }
            // Only a probe can tell that the work was forgotten.
            if manual.probe.is_none() || !odd(rng, 20) {
                thing.present = true;
            }
            Some((answered(&step, true), person("bob")))
        }
        Kind::Doubt | Kind::Failure => {
            if !matches!(plan.steps[at].work, Work::Action(_)) {
                return decide(Decision::Retry);
            }
            if acts && thing.effect != Effect::Read {
                return None;
            }
            if thing.foreign {
                thing.foreign = false;
            }
            if odd(rng, 4) {
                return decide(Decision::Stop);
            }
            if odd(rng, 8) {
                return decide(Decision::Skip);
            }
            if thing.half {
                thing.half = false;
                thing.present = rng.chance(50);
            }
            let not_done = if question.kind == Kind::Doubt && rng.chance(50) { Decision::NotDone } else { Decision::Retry };
            decide(if thing.present && thing.effect != Effect::Read { Decision::Done } else { not_done })
        }
    }
}

fn decided(step: &StepId, decision: Decision) -> Order {
    Order::Decide { step: Some(step.clone()), decision, reason: "looked".to_owned() }
}

fn vote(step: &StepId, go: bool) -> Order {
    Order::Vote { step: step.clone(), go, reason: "asked around".to_owned(), binding: None }
}

fn answered(step: &StepId, done: bool) -> Order {
    Order::Answer { step: step.clone(), done, reason: "by hand".to_owned(), evidence: Outputs::new() }
}

/// Sits in front of the screen for as long as the process lives.
pub async fn sits(
    sim: Arc<Mutex<Sim>>,
    screen: Arc<Mutex<Screen>>,
    changed: Arc<Notify>,
    requests: mpsc::Sender<Request>,
    mut rng: Rng,
    is_there: bool,
) {
    let mut mischief = {
        let sim = sim.lock().expect("one thread");
        if sim.faults && rng.chance(25) { Some(rng.below(30 * 60_000)) } else { None }
    };
    let mut last: Option<StepIx> = None;
    loop {
        let due = mischief.unwrap_or(u64::MAX / 4_000_000);
        tokio::select! {
            biased;
            () = changed.notified() => {}
            () = sleep(Duration::from_millis(due)) => {
                mischief = None;
                let order = match rng.below(4) {
                    0 => Request::Interrupt,
                    1 => Request::Terminate,
                    2 => Request::Order(Order::Abort { reason: "enough".to_owned() }, person("bob"), None),
                    _ => Request::Order(Order::Pause { reason: "coffee".to_owned() }, person("bob"), None),
                };
                let twice = matches!(order, Request::Interrupt) && rng.chance(50);
                let _ = requests.send(order).await;
                if twice {
                    sleep(Duration::from_millis(rng.below(5_000))).await;
                    let _ = requests.send(Request::Interrupt).await;
                }
                continue;
            }
        }
        if screen.lock().expect("one thread").paused {
            sleep(Duration::from_millis(rng.below(600_000))).await;
            // A run that its clock has paused goes on once the clock is right.
            sim.lock().expect("one thread").jump = None;
            let _ = requests.send(Request::Order(Order::Continue {}, person("bob"), None)).await;
        }
        if !is_there {
            continue;
        }
        let think = rng.pick(&[10_u64, 5_000, 60_000, 60_000, 2 * 3_600_000]);
        let nothing = screen.lock().expect("one thread").questions.is_empty();
        if nothing {
            continue;
        }
        sleep(Duration::from_millis(rng.below(think))).await;
        let shown = screen.lock().expect("one thread").clone();
        let mut answered_any = false;
        for (question, votes) in &shown.questions {
            if shown.questions.len() > 1 && last == Some(question.step) && rng.chance(50) {
                continue;
            }
            let answer = {
                let mut sim = sim.lock().expect("one thread");
                answer(&mut sim, &mut rng, *question, votes)
            };
            if let Some((order, by)) = answer {
                last = Some(question.step);
                answered_any = true;
                let (reply, replied) = oneshot::channel();
                if requests.send(Request::Order(order, by, Some(reply))).await.is_err() {
                    return;
                }
                let _ = replied.await;
                sim.lock().expect("one thread").seen.answers += 1;
                break;
            }
        }
        if !answered_any {
            sleep(Duration::from_mins(1)).await;
            changed.notify_one();
        }
    }
}
