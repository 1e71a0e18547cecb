//! From the trees of all steps to the steps of the plan.
//!
//! 1. [`survey`]: id, needs and a few flags of every written step.
//! 2. [`needs`]: names are resolved, the graph ([`order`]) is built and its cycles are reported.
//! 3. [`step`]: each tree is turned into its instances and dropped. Everything that depends only on parameters,
//!    targets and the item is resolved here.
//! 4. [`checks`] and [`needs`] again: what only the whole shows, and needs as positions.
//!
//! ```text
//! step ─┬─ for_each
//!       ├─ action ─┬─ call ──┐
//!       ├─ people  └─ probe ─┼─ resolve
//!       └─ outputs, failure ─┘
//! ```

mod action;
mod call;
mod checks;
mod failure;
mod for_each;
mod needs;
mod order;
mod outputs;
mod people;
mod probe;
mod resolve;
mod step;
mod survey;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::diagnostic::{Mistakes, Place, Spot};
use super::load::Steps;
use super::source::Library;
use super::{Catalogue, Limit, LimitIx, OnFailure, Retry, Step, StepId, StepIx, Targets};
use crate::time::Span;

pub use failure::{on_failure, retry};

/// The most steps that a plan may have, before and after every `for_each` is expanded.
const MOST_STEPS: usize = 1_000_000;

/// Values for steps that do not say otherwise.
pub struct Defaults {
    /// Of one attempt.
    pub timeout: Option<Span>,
    /// Of all attempts of a step together.
    pub deadline: Option<Span>,
    /// When and how often to try again.
    pub retry: Retry,
    /// What a failure means.
    pub on_failure: OnFailure,
    /// Where the plan says so.
    pub on_failure_at: Option<Place>,
}

impl Default for Defaults {
    fn default() -> Self {
        Defaults {
            timeout: None,
            deadline: None,
            retry: Retry { attempts: 1, interval: Span::from_secs(10), backoff: 2.0, max_interval: Span::from_secs(120) },
            on_failure: OnFailure::Ask,
            on_failure_at: None,
        }
    }
}

/// What building needs to know of everything that is not a step.
pub struct Env<'a> {
    /// Where mistakes go.
    pub mistakes: &'a Mistakes,
    /// All texts.
    pub library: &'a Library,
    /// All actions.
    pub catalogue: &'a Catalogue,
    /// Values of all declared parameters.
    pub params: &'a Map<String, Value>,
    /// The targets.
    pub targets: &'a Targets,
    /// The targets file that was looked for and is not there, if the plan has none.
    pub missing_targets: Option<PathBuf>,
    /// Whether its absence was said; once is enough.
    pub said_missing: Cell<bool>,
    /// The plan's named limits.
    pub named: &'a BTreeMap<String, LimitIx>,
    /// The limits of targets.
    pub target_limits: &'a HashMap<String, LimitIx>,
    /// The zone of the window.
    pub zone: Option<jiff::tz::TimeZone>,
    /// The plan's defaults.
    pub defaults: &'a Defaults,
}

/// What building gives.
#[derive(Default)]
pub struct Built {
    /// All steps.
    pub steps: Vec<Step>,
    /// For each step, the steps that need it.
    pub dependants: Vec<Vec<StepIx>>,
    /// All limits.
    pub limits: Vec<Limit>,
    /// Steps by id.
    pub index: HashMap<StepId, StepIx>,
    /// Instances of `for_each` steps.
    pub groups: BTreeMap<String, Vec<StepIx>>,
}

/// Builds all steps.
pub fn build(env: &Env<'_>, files: Steps<'_>, limits: Vec<Limit>) -> Built {
    let count = files.iter().map(|(_, steps)| steps.len()).sum();
    if count > MOST_STEPS {
        let file = files.first().map_or(0, |(file, _)| *file);
        env.mistakes.error(Place { file, spot: Spot::Whole }, "the plan has too many steps", "");
        return Built::default();
    }
    let mut written = Vec::with_capacity(count);
    let names = survey::survey(env, &files, &mut written);
    let graph = needs::connect(env, &files, &names, &mut written);
    checks::beyond_return(env, &written, &graph);
    let uses = RefCell::new(Vec::new());
    let mut builder = step::Builder::new(env, &uses, limits, written.len());
    let mut at = 0u32;
    for (file, steps) in files {
        for node in steps {
            builder.step(file, &node, at, &mut written);
            at += 1;
            // The tree is not needed any more; its memory serves the next steps.
            drop(node);
        }
    }
    let mut built = builder.finish();
    checks::uses(env, &uses.into_inner(), &names, &written, &graph, &built);
    if env.mistakes.errors() == 0 {
        needs::settle(env, &written, &mut built);
    }
    built
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
