//! What is known of a run: one state per step, and what follows from it stored beside it for quick access.
//!
//! Changed only by [`super::scheduler::Scheduler::apply`]. Views, `status` and `explain` read it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::doubt::Row;
use super::event::{
    Choices, ConditionSeen, Coverage, Ending, EvidenceRef, Holder, How, Identity, Mode, Outputs, Person, SentCall,
};
use super::gates::Governed;
use super::letters::Answer;

use super::salvaged::Origin;
use crate::plan::{OnFailure, Plan, StepId, StepIx, Verdict};
use crate::time::Timestamp;

/// Where a step stands. Each variant holds only what is true in it.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// Not begun. Whether it could begin follows from its needs; see [`RunState::is_ready`].
    Pending,
    /// Tried, and to be tried again not before `until`.
    Backoff {
        /// Not before.
        until: Timestamp,
        /// The coming attempt.
        next_attempt: u32,
        /// Because of this.
        reason: String,
    },
    /// A gate's question stands.
    AtGate(GateState),
    /// A manual step's instructions stand.
    AtManual(ManualState),
    /// The intent is recorded and no end. If no process has it in hand, it is in doubt.
    Applying {
        /// The attempt.
        attempt: u32,
        /// When the intent was recorded.
        since: Timestamp,
    },
    /// Looked at before an attempt; the scheduler decides what follows. Forgotten at a resume: it may be stale.
    Looked {
        /// The coming attempt.
        next_attempt: u32,
        /// What the probe means, if there is one.
        verdict: Option<Verdict>,
        /// The first `before` condition that does not hold or cannot be told.
        unmet: Option<ConditionSeen>,
    },
    /// The attempt ended without an effect that counts; the scheduler decides whether there is another.
    Ended {
        /// The attempt.
        attempt: u32,
        /// What the system said.
        reason: String,
        /// True if nothing was changed for certain.
        untouched: bool,
    },
    /// Applied by the system's own word, not yet verified.
    Verifying {
        /// The attempt.
        attempt: u32,
        /// What the result gave so far.
        outputs: Outputs,
        /// What the look after it showed: the verdict, and the first `after` condition that does not hold or cannot be told.
        looked: Option<(Option<Verdict>, Option<ConditionSeen>)>,
        /// A rehearsal: described, nothing to show.
        described: bool,
    },
    /// The attempt's end is not known; it will be settled by a look, never by another attempt.
    Unsettled {
        /// The attempt.
        attempt: u32,
        /// What is known.
        reason: String,
        /// True if this process gave it up on request (shown as *abandoned*).
        abandoned: bool,
    },
    /// The outcome cannot be told; a person must decide.
    InDoubt {
        /// The attempt.
        attempt: u32,
        /// Why.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
    /// The effect is there (or the gate is open, or the checkpoint reached).
    Done {
        /// On what ground.
        how: How,
        /// Since when.
        at: Timestamp,
    },
    /// Failed, or a gate was refused.
    Failed {
        /// Why.
        reason: String,
        /// What it means for the rest. After a resume always *ask*.
        on_failure: OnFailure,
        /// Since when.
        at: Timestamp,
    },
    /// A person decided to go on without it, or it was excluded.
    Skipped {
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// `when` was false.
    NotApplicable,
}

/// A gate while its question stands.
#[derive(Debug, Clone, PartialEq)]
pub struct GateState {
    /// The question.
    pub ask: String,
    /// What the steps behind it are bound to, for people.
    pub behind: Vec<String>,
    /// What a vote must be about.
    pub binding: String,
    /// The question's own name; empty for one of an older version.
    pub nonce: String,
    /// Why it is asked again.
    pub because: Option<String>,
    /// When the question was asked.
    pub asked: Timestamp,
    /// When it lapses.
    pub expires: Option<Timestamp>,
    /// True once it has lapsed; `decide retry` asks anew.
    pub expired: bool,
    /// People who said go and count.
    pub votes: Vec<Person>,
}

/// What a gate's latest question was about; kept while its go stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Its nonce.
    pub nonce: String,
    /// See [`super::gates::Matter`].
    pub rules: String,
    /// See [`super::gates::Matter`].
    pub matter: BTreeMap<StepId, String>,
    /// Steps behind it that were bound to nothing then.
    pub unbound: BTreeSet<StepId>,
    /// When it would have lapsed.
    pub expires: Option<Timestamp>,
}

/// A manual step while its instructions stand.
#[derive(Debug, Clone, PartialEq)]
pub struct ManualState {
    /// What to do.
    pub instructions: String,
    /// When it was asked.
    pub asked: Timestamp,
    /// The answer that a probe is to confirm.
    pub answered: Option<(Person, Outputs)>,
    /// What a probe said against the last answer.
    pub contradicted: Option<String>,
}

/// Everything else that is known of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepFacts {
    /// Attempts started so far.
    pub attempts: u32,
    /// When the first attempt started.
    pub first_started: Option<Timestamp>,
    /// When the latest attempt started.
    pub started: Option<Timestamp>,
    /// When the step was last changed by a record.
    pub changed: Option<Timestamp>,
    /// Outputs once verified.
    pub outputs: Outputs,
    /// Pinned identity.
    pub identity: Identity,
    /// Stored before the latest attempt that may have acted; while one is made, before that one.
    pub before_image: Option<EvidenceRef>,
    /// Whether an attempt may have acted. One under way counts until it is known that it did nothing.
    pub may_have_acted: bool,
    /// What the two above were before the latest attempt: where it certainly did nothing, they hold again. What is there then
    /// may be anybody's, and must not be taken for half of our own effect.
    pub before_attempt: (Option<EvidenceRef>, bool),
    /// By what the newest attempt can be found again where it runs.
    pub handle: Option<String>,
    /// The last look.
    pub last_probe: Option<LastProbe>,
    /// The call of the latest attempt, as it was made.
    pub call: Option<Arc<SentCall>>,
    /// The epoch of the latest attempt: which process sent it.
    pub epoch: u32,
    /// Looks in a row, for the latest attempt, that said the same after it could no longer act.
    pub quiet: Option<Row>,
    /// Looks in a row that could not tell.
    pub unknown_probes: u32,
    /// Looks in a row whose `before` conditions could not be told.
    pub unmet_looks: u32,
    /// Looks at the latest attempt since it came into doubt.
    pub doubt_looks: u32,
    /// Looks at the latest attempt since it was applied.
    pub verify_looks: u32,
    /// The system left the latest attempt without an answer, or with one that is not understood.
    pub unanswered: bool,
    /// A no-go that counts, of a gate that is asked: the refusal follows from it.
    pub no_go: Option<(Person, String)>,
    /// What the look before the attempt gave to the outputs.
    pub looked_outputs: Outputs,
    /// A rehearsal described its effect instead of applying it (or a person's work).
    pub described_effect: bool,
    /// A rehearsal described its effect, or that of a step before it.
    pub rests_on_described: bool,
    /// A rehearsal's word.
    pub coverage: Option<Coverage>,
    /// A rehearsal's description.
    pub described: Vec<String>,
    /// Conditions looked at last.
    pub conditions: Vec<ConditionSeen>,
    /// In doubt because its records are lost: only a person's word says more.
    pub salvaged: bool,
    /// Where the state came from: the latest decision by a person.
    pub decided: Option<(Person, String)>,
    /// The record that put the question which stands: an answer to another one does not count.
    pub asked_by: Option<u64>,
    /// `--exclude` left it out, and not a decision about this step.
    pub excluded: bool,
    /// Who changed it by an amendment.
    pub amended_by: Vec<Person>,
    /// Attempts under an earlier form of the step, before an amendment changed it.
    pub earlier: Vec<EarlierAttempts>,
    /// Of a gate: what its latest question was about.
    pub question: Option<Box<Question>>,
    /// Of a gate: why its question, or its go, is no longer about what lies behind it.
    pub stale: Option<String>,
    /// Of an open gate: until when the first intent behind it has to come. `None`: it has come, or may come at any time.
    pub go_until: Option<Timestamp>,
    /// Of a gate: why its last go lapsed; said when it is asked anew.
    pub lapsed: Option<String>,
}

/// What was done under an earlier form of a step. It stays known, for an undo.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlierAttempts {
    /// The number of the last one.
    pub last: u32,
    /// Its call.
    pub call: Option<Arc<SentCall>>,
    /// What it was bound to.
    pub identity: Identity,
    /// What was stored before it.
    pub before_image: Option<EvidenceRef>,
    /// Whether it may have acted.
    pub may_have_acted: bool,
}

/// A look, as remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct LastProbe {
    /// What it means; `None` if the step has no probe.
    pub verdict: Option<Verdict>,
    /// What was seen.
    pub seen: String,
    /// When.
    pub at: Timestamp,
    /// Whether the attempt could no longer act.
    pub quiesced: bool,
    /// With `quiesced`: only its time is over.
    pub time_is_over: bool,
    /// Whether the attempt was seen to act still.
    pub running: bool,
}

/// What is known of a run.
#[derive(Debug, Clone)]
pub struct RunState {
    /// The plan that the run executes.
    pub plan: Arc<Plan>,
    /// The run's id; empty before the first record.
    pub run: String,
    /// Execute or rehearse.
    pub mode: Mode,
    /// The version of the meaning of events from here on.
    pub semantics: u32,
    /// Who started it.
    pub initiator: Option<Person>,
    /// Who runs it now: whoever started it, or resumed it last.
    pub on_duty: Option<Person>,
    /// Command-line choices.
    pub choices: Choices,
    /// When it started.
    pub started: Option<Timestamp>,
    /// Sequence number of the last applied record.
    pub seq: u64,
    /// When the last record was appended.
    pub last_at: Option<Timestamp>,
    /// The last epoch and its holder.
    pub epoch: u32,
    /// The last holder.
    pub holder: Option<Holder>,
    /// The epoch that began with a take-over from another machine; 0 if none did. What was sent before it may still act there.
    pub took_over: u32,
    /// A person said that the machines of earlier epochs than this one are off.
    pub hosts_off: u32,
    /// What became of letters that are in the journal, by their id.
    pub letters: BTreeMap<String, Answer>,
    /// One per step, by [`StepIx`].
    pub steps: Vec<StepState>,
    /// One per step, by [`StepIx`].
    pub facts: Vec<StepFacts>,
    /// Paused, by whom and why.
    pub paused: Option<(Person, String)>,
    /// A person ended the run.
    pub stopped: Option<(Person, String)>,
    /// How it ended, if it did.
    pub ending: Option<Ending>,
    /// The point of no return has been started (in doubt included).
    pub past_no_return: bool,
    /// The window is shut, nothing that it holds starts, and a person is asked.
    pub window_closed: bool,
    /// The window was shut when the point of no return had started; since when.
    pub overrun: Option<Timestamp>,
    /// A person moved the window's end.
    pub window_until: Option<Timestamp>,
    /// What this checkpoint needs starts whatever the window says.
    pub window_waived_for: Option<StepId>,
    /// The plan is no longer the one that the run was started with.
    pub is_amended: bool,
    /// Notes by people.
    pub notes: Vec<(Timestamp, Person, String)>,
    /// Rules about who may decide that a holder went past: when, who, which rule, why.
    pub overrides: Vec<(Timestamp, Person, String, String)>,
    /// The damaged run whose beginning this one goes on from.
    pub origin: Option<Origin>,
    /// Actions that may be started: needs satisfied, `Pending` or `Backoff`. Stored for quick access.
    pub(super) ready: super::ready::Ready,
    /// Steps that have begun and are not ended, and gates, manual steps and checkpoints whose needs are satisfied.
    /// Stored for quick access.
    pub(super) open: BTreeSet<StepIx>,
    /// Steps to be skipped because of `--exclude`, not yet recorded. Stored for quick access.
    pub(super) excluded: BTreeSet<StepIx>,
    /// With `--until`: what the checkpoint needs, itself included. Stored for quick access.
    pub(super) wanted: Option<BTreeSet<StepIx>>,
    /// Per step, how many of its needs do not let it start yet. Stored for quick access.
    pub(super) missing: Vec<u32>,
    /// Per step, whether it lets those that need it start. Stored for quick access.
    pub(super) through: Vec<bool>,
    /// Number of steps that are through. Stored for quick access.
    pub satisfied: usize,
    /// What gates govern. Stored for quick access.
    pub(super) governed: Governed,
    /// Gates whose question or go stands. Stored for quick access.
    pub(super) live_gates: BTreeSet<StepIx>,
    /// Failed steps. Stored for quick access.
    pub failed: BTreeSet<StepIx>,
    /// Steps in doubt that wait for a person. Stored for quick access.
    pub doubtful: BTreeSet<StepIx>,
}

impl RunState {
    /// The state of the step at `ix`.
    #[must_use]
    pub fn step(&self, ix: StepIx) -> &StepState {
        &self.steps[ix.at()]
    }

    /// What else is known of the step at `ix`.
    #[must_use]
    pub fn facts(&self, ix: StepIx) -> &StepFacts {
        &self.facts[ix.at()]
    }

    /// Whether an effect before this step was only described: what is looked at now need not be what it will find.
    #[must_use]
    pub fn rests_on_described(&self, ix: StepIx) -> bool {
        self.plan.step(ix).needs.iter().any(|need| self.facts(*need).rests_on_described)
    }

    /// Whether all needs of the step let it start.
    #[must_use]
    pub fn is_ready(&self, ix: StepIx) -> bool {
        self.missing[ix.at()] == 0
    }

    /// Whether the step lets those that need it start: it is satisfied, and what it needs itself lets it start. A step that was
    /// skipped stands in for its own effect only, and a gate whose go has lapsed holds everything behind it that has not begun.
    #[must_use]
    pub fn is_through(&self, ix: StepIx) -> bool {
        self.through[ix.at()]
    }

    /// The first step in plan order that could start; the first one that is left if none could.
    #[must_use]
    pub fn first_to_start(&self) -> Option<StepIx> {
        let left = || (0..).map(StepIx).take(self.steps.len()).filter(|ix| !self.is_satisfied(*ix));
        left().find(|ix| self.is_ready(*ix)).or_else(|| left().next())
    }

    /// What a gate lets through until the next gates, in plan order.
    #[must_use]
    pub fn behind_gate(&self, gate: StepIx) -> &[StepIx] {
        self.governed.behind(gate)
    }

    /// Whether the process that sent the step's latest attempt is known to be dead: it ran on this machine and its lock fell to
    /// the present holder, or a person said that its machine is off.
    #[must_use]
    pub fn sender_is_dead(&self, ix: StepIx) -> bool {
        let sent = self.facts(ix).epoch;
        sent < self.epoch && (sent >= self.took_over || sent < self.hosts_off)
    }

    /// Whether the step satisfies those that need it.
    #[must_use]
    pub fn is_satisfied(&self, ix: StepIx) -> bool {
        matches!(self.step(ix), StepState::Done { .. } | StepState::Skipped { .. } | StepState::NotApplicable)
    }
}
