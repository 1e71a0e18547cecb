//! The invented world: one thing per step, changed by effects that may be late, lost, partial, or outlive us.
//!
//! It is the truth that everything else is measured against. It knows nothing of journals or of the scheduler.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use relevo::plan::action::Effect;
use relevo::plan::{Plan, Work};
use relevo::run::event::Outcome;
use serde_json::Map;

use crate::prng::Rng;
use crate::sim::later;

/// How much of an effect happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// All of it.
    All,
    /// Half of it.
    Half,
}

/// What a step's effect changes.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of an invented thing")]
#[derive(Debug, Clone)]
pub struct Thing {
    /// The class, which says what a repetition means.
    pub effect: Effect,
    /// The effect is there.
    pub present: bool,
    /// Half of it is there.
    pub half: bool,
    /// Something else is in its place.
    pub foreign: bool,
    /// Which version of the step it belongs to: an amendment makes the step act upon another thing.
    pub version: u64,
    /// The attempt that made it, 0 if it was there.
    pub made_by: u32,
    /// How often an effect changed something.
    pub times: u32,
    /// Nobody can tell whether an attempt still acts.
    pub blind: bool,
    /// The system keeps how an attempt ended.
    pub keeps_ends: bool,
    /// What it kept.
    pub ends: BTreeMap<u32, Outcome>,
}

/// An attempt that will still act.
#[derive(Debug, Clone)]
pub struct Acting {
    /// The step.
    pub step: usize,
    /// The attempt.
    pub attempt: u32,
    /// When.
    pub due: i64,
    /// What.
    pub what: What,
    /// On which version of the thing.
    pub version: u64,
}

/// What is going on outside.
#[derive(Debug, Clone)]
pub struct World {
    /// One per step.
    pub things: Vec<Thing>,
    /// Still to act.
    pub acting: Vec<Acting>,
    /// Calls that this process waits for: step and attempt.
    pub live: BTreeMap<usize, u32>,
    /// Everything that reached the world, in order.
    pub ledger: Vec<String>,
    /// How many effects were started.
    pub effects: u64,
    /// What must never happen.
    pub harm: Vec<String>,
}

impl World {
    /// Before the run.
    pub fn new(plan: &Plan, rng: &mut Rng, faults: bool) -> Self {
        let things = plan
            .steps
            .iter()
            .map(|step| {
                let action = matches!(step.work, Work::Action(_));
                let odd = |rng: &mut Rng, percent: u64| faults && action && rng.chance(percent);
                let adopted = odd(rng, 4) && step.is_probed();
                Thing {
                    effect: step.effect(),
                    present: adopted,
                    half: false,
                    foreign: !adopted && odd(rng, 3) && step.is_probed(),
                    version: 0,
                    made_by: 0,
                    times: 0,
                    blind: odd(rng, 12),
                    keeps_ends: odd(rng, 30),
                    ends: BTreeMap::new(),
                }
            })
            .collect();
        World { things, acting: Vec::new(), live: BTreeMap::new(), ledger: Vec::new(), effects: 0, harm: Vec::new() }
    }

    /// Writes into the ledger.
    pub fn note(&mut self, at: i64, line: &str) {
        let mut text = String::new();
        let _ = write!(text, "{:>12} {line}", at - crate::plans::START);
        self.ledger.push(text);
    }

    /// Lets everything happen that is due.
    pub fn advance(&mut self, now: i64) {
        while let Some(at) = (0..self.acting.len()).filter(|at| self.acting[*at].due <= now).min_by_key(|at| self.acting[*at].due)
        {
            let acting = self.acting.remove(at);
            let outcome = self.act(&acting);
            let thing = &mut self.things[acting.step];
            if thing.keeps_ends {
                thing.ends.insert(acting.attempt, outcome);
            }
        }
    }

    /// Whether an attempt of this step will still act.
    pub fn may_act(&self, step: usize) -> bool {
        self.acting.iter().any(|acting| acting.step == step)
    }

    /// One effect happens, or the world refuses it.
    pub fn act(&mut self, acting: &Acting) -> Outcome {
        let Acting { step, attempt, due, what, version } = acting.clone();
        self.note(due, &format!("s{step}/{attempt} acts: {what:?}"));
        let thing = &mut self.things[step];
        let applied = Outcome::Applied { outputs: Map::new() };
        if thing.version != version {
            // What an amendment left behind is another object.
            return applied;
        }
        match thing.effect {
            Effect::Read => return applied,
            Effect::Cas if thing.present => {
                return Outcome::Rejected { reason: "the precondition no longer holds".to_owned(), untouched: true };
            }
            Effect::Keyed if thing.present => return applied,
            Effect::Ensure => {}
            _ if thing.present => self.harm.push(format!("s{step}: attempt {attempt} did again what was done")),
            _ if thing.half => self.harm.push(format!("s{step}: attempt {attempt} acted upon what was half done")),
            _ => {}
        }
        let thing = &mut self.things[step];
        match what {
            What::All => {
                thing.times += 1;
                if !thing.present {
                    thing.made_by = attempt;
                }
                thing.present = true;
                thing.half = false;
                applied
            }
            What::Half => {
                thing.half = !thing.present;
                Outcome::Rejected { reason: "stopped half-way".to_owned(), untouched: false }
            }
        }
    }

    /// The plan was amended: from now on the step is about another thing.
    pub fn amended(&mut self, step: usize, version: u64) {
        let thing = &mut self.things[step];
        (thing.version, thing.made_by) = (version, 0);
        (thing.present, thing.half, thing.foreign) = (false, false, false);
    }

    /// Our process is gone. What it had sent goes on, or never arrives, or stops half-way.
    pub fn process_died(&mut self, now: i64, rng: &mut Rng) {
        self.advance(now);
        for (step, attempt) in std::mem::take(&mut self.live) {
            let Some(at) = self.acting.iter().position(|acting| acting.step == step && acting.attempt == attempt) else {
                continue;
            };
            match rng.below(4) {
                0 => {
                    self.acting.remove(at);
                    self.note(now, &format!("s{step}/{attempt} dies with us"));
                }
                1 if can_be_half(self.things[step].effect) => self.acting[at].what = What::Half,
                2 => self.acting[at].due += i64::try_from(later(rng)).expect("small"),
                _ => {}
            }
        }
    }
}

/// Whether an effect of this class can stop half-way.
pub fn can_be_half(effect: Effect) -> bool {
    matches!(effect, Effect::Ensure | Effect::Once | Effect::Opaque)
}
