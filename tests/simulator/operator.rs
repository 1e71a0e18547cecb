//! A person who answers truthfully: looks at the world first, and sometimes mends it by hand.

use std::sync::{Arc, Mutex};

use relevo::plan::action::Effect;
use relevo::plan::{StepId, StepIx, Work};
use relevo::run::driver::Request;
use relevo::run::event::{Decision, Outputs, Person};
use relevo::run::letters::{Letter, Sender};
use relevo::run::order::Order;
use relevo::run::questions::{Kind, Question};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Duration, sleep};

use crate::prng::Rng;
use crate::sim::{Screen, Shown, Sim};

fn person(name: &str) -> Person {
    Person { name: name.to_owned(), claimed: false }
}

fn from(person: Person) -> Sender {
    Sender { person, holds: true }
}

/// The person who starts runs.
pub fn initiator() -> Person {
    person("ada")
}

/// What to answer, if an answer is possible now: what may still act is waited for.
pub fn answer(sim: &mut Sim, rng: &mut Rng, question: Question, shown: &Shown) -> Option<(Order, Person)> {
    let at = question.step.at();
    let plan = Arc::clone(&sim.truth);
    let step = plan.steps[at].id.clone();
    let faults = sim.faults;
    let world = sim.world_now();
    let acts = world.may_act(at) || world.live.contains_key(&at);
    let thing = &mut world.things[at];
    let about = shown.about;
    let decide = |decision| Some((decided(&step, decision, about), person("bob")));
    let odd = |rng: &mut Rng, percent| faults && rng.chance(percent);
    match question.kind {
        Kind::Gate => {
            if odd(rng, 10) {
                return Some((vote(&step, false, shown), person("bob")));
            }
            if odd(rng, 10) {
                return Some((vote(&step, true, shown), Person { name: "mallory".to_owned(), claimed: true }));
            }
            let next = ["bob", "cy", "dee"].into_iter().find(|name| !shown.votes.iter().any(|has_voted| has_voted == name))?;
            Some((vote(&step, true, shown), person(next)))
        }
        Kind::LapsedGate => decide(Decision::Retry),
        Kind::Window => {
            let until = Some(relevo::time::Timestamp::from_millis(sim.now() + 6 * 3_600_000));
            Some((Order::Extend { until, checkpoint: None, reason: "nearly there".to_owned(), emergency: false }, person("bob")))
        }
        Kind::Manual => {
            let Work::Manual(manual) = &plan.steps[at].work else { return None };
            if odd(rng, 8) {
                return Some((answered(&step, false, about), person("bob")));
            }
            // Only a probe can tell that the work was forgotten.
            if manual.probe.is_none() || !odd(rng, 20) {
                thing.present = true;
            }
            Some((answered(&step, true, about), person("bob")))
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

fn decided(step: &StepId, decision: Decision, about: Option<u64>) -> Order {
    Order::Decide { step: Some(step.clone()), decision, reason: "looked".to_owned(), about, emergency: false }
}

fn vote(step: &StepId, go: bool, shown: &Shown) -> Order {
    let (nonce, binding) = (shown.nonce.clone(), shown.binding.clone());
    Order::Vote { step: step.clone(), go, reason: "asked around".to_owned(), nonce, binding }
}

fn answered(step: &StepId, done: bool, about: Option<u64>) -> Order {
    Order::Answer { step: step.clone(), done, reason: "by hand".to_owned(), evidence: Outputs::new(), about, emergency: false }
}

/// Leaves a letter in the inbox; whoever holds the run then will find it.
pub fn post(sim: &mut Sim, order: Order, by: Person) {
    let id = format!("{:04}", sim.sent.len());
    let letter = Letter { id: id.clone(), order, from: from(by) };
    sim.sent.insert(id, letter.clone());
    sim.inbox.push(letter);
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
                    2 => Request::Order(Order::Abort { reason: "enough".to_owned() }, from(person("bob")), None),
                    _ => Request::Order(Order::Pause { reason: "coffee".to_owned() }, from(person("bob")), None),
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
            let _ = requests
                .send(Request::Order(Order::Continue { reason: String::new(), emergency: false }, from(person("bob")), None))
                .await;
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
        for (question, beside) in &shown.questions {
            if shown.questions.len() > 1 && last == Some(question.step) && rng.chance(50) {
                continue;
            }
            let answer = {
                let mut sim = sim.lock().expect("one thread");
                answer(&mut sim, &mut rng, *question, beside)
            };
            if let Some((order, by)) = answer {
                last = Some(question.step);
                answered_any = true;
                let by_letter = {
                    let mut sim = sim.lock().expect("one thread");
                    let by_letter = rng.chance(40);
                    if by_letter {
                        post(&mut sim, order.clone(), by.clone());
                    }
                    by_letter
                };
                if by_letter {
                    sim.lock().expect("one thread").seen.answers += 1;
                    sleep(Duration::from_millis(rng.below(1_200_000))).await;
                    changed.notify_one();
                    break;
                }
                let (reply, replied) = oneshot::channel();
                if requests.send(Request::Order(order, from(by), Some(reply))).await.is_err() {
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
