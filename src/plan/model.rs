//! The validated plan: what the loader promises and everything else may rely on.
//!
//! Immutable. Every reference is resolved, every `for_each` expanded, every expression parsed, the graph acyclic.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::{Effect, UndoGrade};
use crate::secret::SecretRef;
use crate::time::{Span, Timestamp};

/// Position of a step in [`Plan::steps`]: file order, the instances of a `for_each` side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIx(pub u32);

impl StepIx {
    /// As an index into `Plan::steps`.
    #[must_use]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// Position of a limit in [`Plan::limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitIx(pub u32);

/// A step's id: `export`, or `stop-legacy[gc01]` for an instance of a `for_each`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub Arc<str>);

impl StepId {
    /// Wraps an id that is known to be well formed.
    #[must_use]
    pub fn new(id: &str) -> Self {
        StepId(Arc::from(id))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::borrow::Borrow<str> for StepId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A validated plan, bound to its targets and parameters.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The plan's name, for people.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The steps in file order.
    pub steps: Vec<Step>,
    /// For each step, the steps that need it directly, ascending. Stored for quick access; derived from `needs`.
    pub dependants: Vec<Vec<StepIx>>,
    /// Named limits: the plan's `limits`, and one per target that has `max_parallel` or a `for_each` that has.
    pub limits: Vec<Limit>,
    /// How many steps may be in hand at once.
    pub max_parallel: u32,
    /// The run's window, from the targets file or the command line.
    pub window: Option<Window>,
    /// Parameter values by name; secrets stand as `{"$secret": reference}`.
    pub params: serde_json::Map<String, Value>,
    /// The targets file, resolved.
    pub targets: std::sync::Arc<Targets>,
    /// The folder of the plan file: relative paths of commands and secrets start here.
    pub folder: std::path::PathBuf,
    /// Finds a step by id. Stored for quick access.
    pub index: HashMap<StepId, StepIx>,
    /// `for_each` steps: the id as written, and its instances.
    pub groups: BTreeMap<String, Vec<StepIx>>,
    /// SHA-256 of the plan's text, includes appended in order, as lower-case hex.
    pub sha256: String,
    /// SHA-256 of everything that a run is made of: the texts, the targets, the parameters and the window as resolved, and
    /// the fingerprint of every step. Lower-case hex.
    pub whole: String,
}

impl Plan {
    /// The step at `ix`.
    #[must_use]
    pub fn step(&self, ix: StepIx) -> &Step {
        &self.steps[ix.at()]
    }

    /// Finds a step by its full id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<StepIx> {
        self.index.get(id).copied()
    }
}

/// One step (or one instance of a `for_each`).
#[derive(Debug, Clone)]
pub struct Step {
    /// The full id.
    pub id: StepId,
    /// The id as written in the plan, without `[item]`.
    pub written: Arc<str>,
    /// The `for_each` item and the name it has in expressions.
    pub item: Option<(Arc<str>, Value)>,
    /// A title for people.
    pub name: Option<String>,
    /// What the step is.
    pub work: Work,
    /// The steps that must be satisfied first, ascending.
    pub needs: Vec<StepIx>,
    /// False means not applicable.
    pub when: Option<Expr>,
    /// Must hold before the effect.
    pub before: Vec<Condition>,
    /// Must hold after the effect.
    pub after: Vec<Condition>,
    /// Limits that the step occupies while in hand.
    pub limits: Vec<LimitIx>,
    /// What it changes, as the author says: names of targets, or words of the author's own.
    pub acts_on: Vec<String>,
    /// Of one attempt.
    pub timeout: Option<Span>,
    /// Of all attempts together, from the first.
    pub deadline: Option<Span>,
    /// When and how often to try again.
    pub retry: Retry,
    /// What a failure means for the rest.
    pub on_failure: OnFailure,
    /// What the author says of an attempt in doubt that was not done; `None` leaves it to the effect class.
    pub in_doubt: Option<InDoubt>,
    /// How far two looks must be apart that agree about an attempt in doubt: the time in which a change is seen everywhere.
    pub stable_for: Span,
    /// How an observation or result gives the step's outputs.
    pub outputs: Arc<[Output]>,
    /// The author's estimate.
    pub estimate: Option<Estimate>,
    /// Once this step has started, going back is refused.
    pub point_of_no_return: bool,
    /// Not to start before this instant.
    pub not_before: Option<Timestamp>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Free words.
    pub tags: Vec<String>,
    /// SHA-256 over the canonical form of everything that gives the step its meaning, lower-case hex.
    pub fingerprint: Arc<str>,
    /// 1-based line of the step in its file.
    pub line: u32,
}

impl Step {
    /// The effect class; gates, manual steps and checkpoints have none of their own and count as `read`.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match &self.work {
            Work::Action(action) => action.effect,
            Work::Gate(_) | Work::Manual(_) | Work::Checkpoint => Effect::Read,
        }
    }

    /// Whether a look can tell if the step's effect is there.
    #[must_use]
    pub fn is_probed(&self) -> bool {
        matches!(&self.work, Work::Action(action) if action.probed)
    }

    /// Whether the step destroys something.
    #[must_use]
    pub fn is_destructive(&self) -> bool {
        matches!(&self.work, Work::Action(action) if action.destructive)
    }

    /// Whether what the step is about to change is stored before each attempt.
    #[must_use]
    pub fn keeps(&self) -> bool {
        matches!(&self.work, Work::Action(action) if action.keeps || action.destructive)
    }

    /// Whether `--exclude NAME` means this step: an instance for that item, or a step that acts on that target.
    #[must_use]
    pub fn concerns(&self, name: &str) -> bool {
        let item = self.item.as_ref().is_some_and(|(_, item)| item.as_str() == Some(name));
        let target = match &self.work {
            Work::Action(action) => {
                ["host", "directory", "target"].iter().any(|key| action.call.with.get(key).and_then(Value::as_str) == Some(name))
            }
            Work::Gate(_) | Work::Manual(_) | Work::Checkpoint => false,
        };
        item || target
    }

    /// The name for people, or the id.
    #[must_use]
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.as_str())
    }
}

/// What a step is: exactly one of these.
#[derive(Debug, Clone)]
pub enum Work {
    /// `uses`: an action on a system.
    Action(Box<Action>),
    /// `gate`: a person's go or no-go.
    Gate(Box<Gate>),
    /// `manual`: a person does it and says so.
    Manual(Box<Manual>),
    /// `checkpoint: true`: a named safe place.
    Checkpoint,
}

/// `uses` with all that belongs to it.
#[derive(Debug, Clone)]
pub struct Action {
    /// What is called.
    pub call: Call,
    /// The effect class, declared by the author (generic actions) or the catalogue.
    pub effect: Effect,
    /// Whether it destroys something.
    pub destructive: bool,
    /// Whether a before-image is stored before each attempt.
    pub keeps: bool,
    /// The author's probe, for generic actions.
    pub probe: Option<Probe>,
    /// The author's undo, or `None` where the action has its own or none.
    pub undo: Option<Call>,
    /// What the undo gives back.
    pub undo_grade: UndoGrade,
    /// What the undo gives back, in words, where its grade says too little.
    pub undo_says: Option<&'static str>,
    /// Whether a look can tell if the effect is there: the author's probe, or the action's own.
    pub probed: bool,
}

/// An action's name and arguments. Expressions that need a step's outputs are still unresolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The action.
    pub uses: String,
    /// The arguments; texts may hold `${{ … }}`.
    pub with: Value,
}

/// A read-only look and what its answers mean.
#[derive(Debug, Clone)]
pub struct Probe {
    /// What is asked.
    pub call: Call,
    /// Expressions over the observation (`exit`, `stdout`, …), tried in this order; none true means *unknown*.
    pub verdict: Vec<(Verdict, Expr)>,
}

/// A condition of `before` or `after`.
#[derive(Debug, Clone)]
pub struct Condition {
    /// What it says, for people.
    pub name: String,
    /// How it is decided.
    pub holds: Holds,
}

/// How a condition is decided.
#[derive(Debug, Clone)]
pub enum Holds {
    /// By an expression over parameters, targets and outputs.
    Expr(Expr),
    /// By a probe whose verdict is *done*.
    Probe(Probe),
}

/// What a look at a system means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Positive evidence that the effect is there.
    Done,
    /// Positive evidence that the effect is not there.
    NotDone,
    /// Some of it.
    Partial,
    /// Something else is in its place.
    Conflict,
    /// Cannot tell. The default for every answer that is not understood.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Done => "done",
            Verdict::NotDone => "not done",
            Verdict::Partial => "partial",
            Verdict::Conflict => "conflict",
            Verdict::Unknown => "unknown",
        })
    }
}

/// A parsed expression, without its `${{ }}`. Evaluated by [`super::expr`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    /// The text between the braces.
    pub source: Arc<str>,
}

/// A person's go or no-go.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The question; may hold expressions.
    pub ask: String,
    /// Roles of which a member may vote; empty means anybody who may write to the run.
    pub approvers: Vec<String>,
    /// How many different people must say go.
    pub quorum: u32,
    /// Whether the person who started the run may not vote.
    pub not_initiator: bool,
    /// How long the question stands. Expiry is never a yes.
    pub expires: Option<Span>,
    /// How long a go is valid until the first intent behind the gate; `None`: until the question would have lapsed.
    pub valid_for: Option<Span>,
}

/// Work that a person does.
#[derive(Debug, Clone)]
pub struct Manual {
    /// What to do; may hold expressions.
    pub instructions: String,
    /// What the person must hand over.
    pub evidence: Vec<Field>,
    /// A look that confirms or contradicts the person.
    pub probe: Option<Probe>,
    /// Roles of which a member may answer; empty means anybody who may write to the run.
    pub by: Vec<String>,
}

/// One typed piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name; also the output's name.
    pub name: String,
    /// What is asked.
    pub ask: Option<String>,
    /// Its type.
    pub kind: super::action::ArgType,
    /// Whether it may be left out.
    pub required: bool,
}

/// When and how often to try again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Wait before the second attempt.
    pub interval: Span,
    /// The factor by which the wait grows.
    pub backoff: f64,
    /// The longest wait.
    pub max_interval: Span,
}

/// What follows for an attempt in doubt of which a look says, twice, that it was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InDoubt {
    /// A person decides.
    Ask,
    /// It is repeated.
    Repeat,
}

/// What a failure means for the rest of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Launch nothing more anywhere.
    Stop,
    /// Ask a person; nothing new starts until the answer.
    Ask,
    /// Unrelated branches go on; the run ends with exit code 1.
    Continue,
    /// Go back.
    Rollback,
}

/// How one output is taken from a result.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Where it comes from; `None` for an output that the action itself gives.
    pub from: Option<Extract>,
}

/// How to take a value out of a command's output.
#[derive(Debug, Clone)]
pub struct Extract {
    /// `stdout`, `stderr` or `exit`.
    pub from: String,
    /// First capture group, or the whole match.
    pub regex: Option<String>,
    /// A JSON pointer (RFC 6901) into the output read as JSON.
    pub json: Option<String>,
    /// What the text must be.
    pub kind: super::action::ArgType,
}

/// The author's estimate of a step's duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// The median.
    pub p50: Span,
    /// Nine times out of ten it is done by then.
    pub p90: Span,
    /// How long the undo takes.
    pub undo: Option<Span>,
}

/// How many steps at once against one target or named resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The resource, for people.
    pub name: String,
    /// How many at once, at least 1.
    pub max: u32,
}

/// When steps may start, and the latest moment at which going back still fits. Instants are resolved from local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The zone's name, as written.
    pub timezone: String,
    /// First instant.
    pub opens: Timestamp,
    /// Last instant.
    pub closes: Timestamp,
    /// The back-out deadline.
    pub back_out_by: Option<Timestamp>,
}

/// The targets file.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Where it was read from; `None` if the plan needs none.
    pub path: Option<std::path::PathBuf>,
    /// The whole file as a value, for expressions (`targets.hosts.gc01.url`); secrets as `{"$secret": reference}`.
    pub value: serde_json::Map<String, Value>,
    /// Names of hosts and directories, with their kind (`hosts`, `directories`).
    pub names: BTreeMap<String, String>,
    /// Role → operating-system accounts.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Every secret the file refers to, with the place that names it.
    pub secrets: Vec<(String, SecretRef)>,
}

impl Targets {
    /// The targets that a call names, with their entries: every text among its arguments that is the name of one. What is
    /// named inside a longer text, such as a script, is not seen.
    #[must_use]
    pub fn named_in(&self, with: &Value) -> BTreeMap<&str, &Value> {
        let mut found = BTreeMap::new();
        self.collect(with, &mut found);
        found
    }

    fn collect<'t>(&'t self, value: &Value, found: &mut BTreeMap<&'t str, &'t Value>) {
        match value {
            Value::String(text) => {
                if let Some((name, kind)) = self.names.get_key_value(text.as_str())
                    && let Some(entry) = self.value.get(kind).and_then(|entries| entries.get(name))
                {
                    found.insert(name, entry);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, found)),
            Value::Object(map) => map.values().for_each(|item| self.collect(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
