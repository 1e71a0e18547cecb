//! What the plan language knows of an action: its arguments, effect class, outputs and undo grade.
//!
//! Pure data. The connectors supply it; the loader checks `with` against it, `schema` and `runbook` print it.

use serde::{Deserialize, Serialize};

/// How an action's effect behaves when it is repeated or in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// No effect at all.
    Read,
    /// Sets a state; applying it twice is applying it once.
    Ensure,
    /// The server refuses when the precondition no longer holds.
    Cas,
    /// The server deduplicates by our key.
    Keyed,
    /// A repetition is harmful, but a probe can decide.
    Once,
    /// No usable probe: in doubt it always goes to a person.
    Opaque,
}

/// What an action's undo gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UndoGrade {
    /// Everything.
    Full,
    /// Something is lost, and it lists what.
    Lossy,
    /// There is no undo.
    None,
}

/// What an undo gives back with certain arguments, where a grade alone says too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undo {
    /// The grade.
    pub grade: UndoGrade,
    /// What comes back, what stays, what is lost. For people.
    pub says: &'static str,
}

/// From the arguments under `with`, in which expressions may stand, to what the undo gives back.
pub type UndoOf = fn(&serde_json::Value) -> Undo;

/// The type of an argument, parameter or output, as far as it can be checked before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArgType {
    /// Any YAML value.
    Any,
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A duration such as `30s` or `1h30m`.
    Duration,
    /// A list of texts.
    StringList,
    /// A map from text to text; values may be secret references.
    StringMap,
    /// Text or a secret reference.
    Text,
    /// The name of a host in the targets file.
    Host,
    /// The name of a directory in the targets file.
    Directory,
    /// A nested call: `{ uses: …, with: …, verdict: … }`.
    Probe,
}

/// One argument of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgSpec {
    /// The key under `with`.
    pub name: &'static str,
    /// What it must be.
    pub kind: ArgType,
    /// Whether it must be given.
    pub required: bool,
    /// One line for `schema` and `runbook`.
    pub doc: &'static str,
}

/// One action as the language sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionSpec {
    /// The word after `uses`.
    pub name: &'static str,
    /// One line for `schema`, `runbook` and error messages.
    pub doc: &'static str,
    /// The arguments under `with`; others are mistakes.
    pub args: Vec<ArgSpec>,
    /// Groups of arguments of which exactly one must be given, such as `argv` and `shell`.
    pub one_of: Vec<&'static [&'static str]>,
    /// The class, unless the author may declare it.
    pub effect: Effect,
    /// Whether the author declares `effect`, `destructive`, `probe` and `undo` (generic actions).
    pub generic: bool,
    /// Whether the action destroys something.
    pub destructive: bool,
    /// What its own undo gives back; an author's `undo` replaces it.
    pub undo: UndoGrade,
    /// Whether what it is about to change is kept before an attempt, so that its undo can put it back. What destroys
    /// keeps always.
    pub keeps: bool,
    /// Whether its servers are discovered when it runs, so that `--exclude` may name one of them that no plan names.
    pub discovers: bool,
    /// The outputs that a typed action gives; a generic one gives what its step's `outputs` declare.
    pub outputs: Vec<&'static str>,
}

/// All actions that this build knows.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    specs: std::collections::BTreeMap<&'static str, ActionSpec>,
    undos: std::collections::BTreeMap<&'static str, UndoOf>,
}

impl Catalogue {
    /// Builds a catalogue from the specs of all connectors.
    #[must_use]
    pub fn new(specs: impl IntoIterator<Item = ActionSpec>) -> Self {
        let specs = specs.into_iter().map(|spec| (spec.name, spec)).collect();
        Catalogue { specs, undos: std::collections::BTreeMap::new() }
    }

    /// Adds what undos give back where that depends on the arguments, or has to be said in words of its own.
    #[must_use]
    pub fn with_undos(mut self, undos: impl IntoIterator<Item = (&'static str, UndoOf)>) -> Self {
        self.undos.extend(undos);
        self
    }

    /// What the undo of that action gives back with those arguments; `None` if its grade says all.
    #[must_use]
    pub fn undo_of(&self, name: &str, with: &serde_json::Value) -> Option<Undo> {
        self.undos.get(name).map(|of| of(with))
    }

    /// Returns the action of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ActionSpec> {
        self.specs.get(name)
    }

    /// All actions by name.
    pub fn iter(&self) -> impl Iterator<Item = &ActionSpec> {
        self.specs.values()
    }
}
