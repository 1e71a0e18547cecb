//! Plans put together by hand: what the loader would give, without a text.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use relevo::plan::action::{Effect, UndoGrade};
use relevo::plan::{Action, Call, Gate, Limit, LimitIx, Manual, OnFailure, Plan, Retry, Step, StepId, StepIx, Targets, Work};
use relevo::time::Span;
use serde_json::{Map, json};

/// A step that does nothing special: no needs, no limits, one attempt, a failure asks.
pub fn step(id: &str, work: Work) -> Step {
    Step {
        id: StepId::new(id),
        written: Arc::from(id),
        item: None,
        name: None,
        work,
        needs: Vec::new(),
        when: None,
        before: Vec::new(),
        after: Vec::new(),
        limits: Vec::new(),
        acts_on: Vec::new(),
        timeout: None,
        deadline: None,
        retry: Retry { attempts: 1, interval: Span::from_secs(10), backoff: 2.0, max_interval: Span::from_secs(120) },
        on_failure: OnFailure::Ask,
        in_doubt: None,
        stable_for: Span::from_secs(2),
        outputs: Arc::from([]),
        estimate: None,
        point_of_no_return: false,
        not_before: None,
        owner: None,
        tags: Vec::new(),
        fingerprint: Arc::from(""),
        line: 1,
    }
}

/// An action of a class, probed unless it is opaque or a read.
pub fn action(id: &str, effect: Effect) -> Step {
    let action = Action {
        call: Call { uses: "sim".to_owned(), with: json!({}) },
        effect,
        destructive: false,
        keeps: false,
        probe: None,
        undo: None,
        undo_grade: UndoGrade::None,
        undo_says: None,
        probed: !matches!(effect, Effect::Read | Effect::Opaque),
    };
    step(id, Work::Action(Box::new(action)))
}

/// A gate that anybody may open alone, and whose question does not lapse.
pub fn gate(id: &str) -> Step {
    let gate =
        Gate { ask: format!("{id}?"), approvers: Vec::new(), quorum: 1, not_initiator: false, expires: None, valid_for: None };
    step(id, Work::Gate(Box::new(gate)))
}

/// A manual step without evidence or probe.
pub fn manual(id: &str) -> Step {
    let manual = Manual { instructions: format!("do {id}"), evidence: Vec::new(), probe: None, by: Vec::new() };
    step(id, Work::Manual(Box::new(manual)))
}

/// A named checkpoint.
pub fn checkpoint(id: &str) -> Step {
    step(id, Work::Checkpoint)
}

/// Changes to a step, in a chain.
pub trait StepExt: Sized {
    /// Changes the step.
    fn with(self, change: impl FnOnce(&mut Step)) -> Self;
    /// Changes the action.
    fn acting(self, change: impl FnOnce(&mut Action)) -> Self;
    /// By position in the plan.
    fn needs(self, needs: &[u32]) -> Self;
    /// By position in the plan's limits.
    fn limited(self, limits: &[u32]) -> Self;
}

impl StepExt for Step {
    fn with(mut self, change: impl FnOnce(&mut Step)) -> Self {
        change(&mut self);
        self
    }

    fn acting(self, change: impl FnOnce(&mut Action)) -> Self {
        self.with(|step| match &mut step.work {
            Work::Action(action) => change(action),
            _ => panic!("`{}` is not an action", step.id),
        })
    }

    fn needs(self, needs: &[u32]) -> Self {
        self.with(|step| step.needs = needs.iter().map(|at| StepIx(*at)).collect())
    }

    fn limited(self, limits: &[u32]) -> Self {
        self.with(|step| step.limits = limits.iter().map(|at| LimitIx(*at)).collect())
    }
}

/// A plan of these steps: eight at once, no window. The role `lead` has bob, cy and dee.
pub fn plan(steps: Vec<Step>) -> Plan {
    let mut dependants = vec![Vec::new(); steps.len()];
    let mut index = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        let ix = StepIx(u32::try_from(at).expect("few steps"));
        index.insert(step.id.clone(), ix);
        for need in &step.needs {
            dependants[need.at()].push(ix);
        }
    }
    let roles = BTreeMap::from([("lead".to_owned(), vec!["bob".to_owned(), "cy".to_owned(), "dee".to_owned()])]);
    Plan {
        name: "by hand".to_owned(),
        description: None,
        steps,
        dependants,
        limits: Vec::new(),
        max_parallel: 8,
        window: None,
        params: Map::new(),
        targets: std::sync::Arc::new(Targets { roles, ..Targets::default() }),
        folder: std::path::PathBuf::new(),
        index,
        groups: BTreeMap::new(),
        sha256: "0".repeat(64),
        whole: "1".repeat(64),
    }
}

/// A named limit.
pub fn limit(name: &str, max: u32) -> Limit {
    Limit { name: name.to_owned(), max }
}
