//! Facts: what happened, in the past tense, as the journal holds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::{StepId, Verdict};
use crate::time::Timestamp;

/// The version of the meaning of events that this program writes.
///
/// - 1: a skipped step let those that need it start, whatever it needed itself; a vote was for a question's text.
/// - 2: order and votes as `docs/engine.md` has them.
pub const SEMANTICS: u32 = 2;
/// The oldest version that is still read, and gone on with: `SemanticsRaised` says from which record on the new rules hold.
pub const OLDEST_SEMANTICS: u32 = 1;

/// One record of the journal: the envelope and the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts from 1 without gaps. The order of events; never a clock.
    pub seq: u64,
    /// Counts the holders of the run from 1.
    pub epoch: u32,
    /// SHA-256 of the frame before, lower-case hex; 64 zeros for the first.
    pub prev: String,
    /// The wall clock when it was appended.
    pub at: Timestamp,
    /// The letter that this record answers, if it came by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<String>,
    /// What happened.
    pub event: Event,
}

/// Output values of a step by name.
pub type Outputs = Map<String, Value>;

/// Who did something: the operating-system account, or a name merely typed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Person {
    /// The account's name.
    pub name: String,
    /// True if the name was only typed; satisfies no quorum.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claimed: bool,
}

/// The process that holds a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// Identifies this boot of the machine.
    pub boot_id: String,
    /// The process.
    pub pid: u32,
    /// When the process started, in the system's own ticks; tells a reused pid apart.
    pub started: u64,
    /// The operating-system account.
    pub user: String,
}

/// What kind of run a journal belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Effects are applied.
    Execute,
    /// Effects are described. `resume` refuses such a journal.
    Rehearsal,
}

/// Choices made on the command line that give the run its meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// Stop at this checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<StepId>,
    /// `for_each` instances and steps of these targets are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Why the window was overridden; `None` if it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_override: Option<String>,
    /// Gates and manual steps answer themselves (lab and demonstration only).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub go: bool,
    /// Unfinished runs on the same targets that it runs beside, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<(String, String)>,
    /// Why something is done again that an earlier run of the same plan has done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

/// What pins an object: never only a name. Free-form pairs, such as `objectGUID` or `service` and `host`.
pub type Identity = BTreeMap<String, String>;

/// The key of an [`Identity`] that names the server which was asked. All further looks and effects of the step go
/// there; it says nothing of what the object is.
pub const VIA: &str = "dc";

/// The call of an attempt as it was made: what an intent stands for, whatever plan and targets say later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentCall {
    /// The action.
    pub uses: String,
    /// Its arguments with every expression resolved; secrets as references.
    pub with: Map<String, Value>,
    /// The entries of the targets that it names; secrets as references.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, Value>,
}

/// A file under `evidence/`, named by its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EvidenceRef {
    /// Lower-case hex; also the file name.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// What it is, such as `before-image`.
    pub kind: String,
}

/// How an attempt ended, as far as this process saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The system said that it is done. Still to be verified.
    Applied {
        /// What it gave.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        outputs: Outputs,
    },
    /// The system said no, definitely.
    Rejected {
        /// What it said.
        reason: String,
        /// True if nothing was changed for certain. False for a command that ended with an error.
        untouched: bool,
    },
    /// Nothing left this machine.
    NotSent {
        /// Why.
        reason: String,
    },
    /// No answer, or one that is not understood.
    Unknown {
        /// What was seen.
        reason: String,
    },
    /// Given up by this process on request; it may still act.
    Abandoned {
        /// Why.
        reason: String,
    },
    /// A rehearsal: described instead of done.
    Described {
        /// What would be done, line by line.
        lines: Vec<String>,
        /// How far this can be trusted.
        coverage: Coverage,
        /// What can be foretold of the outputs.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        outputs: Outputs,
    },
}

/// When and why a probe was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the first attempt: is it done already?
    Before,
    /// An attempt is in doubt. `quiesced` says whether it can still act.
    Doubt,
    /// After an attempt that was applied.
    Verify,
    /// A person said that a manual step is done.
    Manual,
    /// Somebody asked for it; nothing follows from it.
    AtWill,
}

/// A condition, looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionSeen {
    /// What it says.
    pub name: String,
    /// Whether it holds.
    pub holds: Holding,
    /// What was seen, for people.
    pub seen: String,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// It was seen to hold.
    Holds,
    /// It was seen not to hold.
    Fails,
    /// It depends on an effect that a rehearsal only described.
    Assumed,
    /// It cannot be told.
    CannotTell,
}

/// A person's decision about a step or the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The step's effect is there; take it as verified.
    Done,
    /// The step's effect is not there, and the old attempt can no longer act; it may be tried again.
    NotDone,
    /// Try again (after a look).
    Retry,
    /// Go on as if the step had been satisfied.
    Skip,
    /// End the run here.
    Stop,
    /// Go back. Not carried out by this version.
    Rollback,
}

/// How a step came to be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By our own attempt, with evidence.
    Applied,
    /// Found done before any attempt of ours.
    Adopted,
    /// By a person's decision.
    Decided,
    /// On the system's own word; the action has no probe.
    Unverified,
    /// Described only, in a rehearsal.
    Described,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Every step is satisfied.
    Done,
    /// `--until` was reached.
    Until,
    /// A step failed or a gate was refused, and nothing more can or may start.
    Failed,
    /// A person stopped it.
    Stopped,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run exists. First record of every journal.
    RunStarted {
        /// The run's id.
        run: String,
        /// Execute or rehearse.
        mode: Mode,
        /// [`SEMANTICS`] of the writer.
        semantics: u32,
        /// The writer's version.
        version: String,
        /// SHA-256 of the plan's text.
        plan: String,
        /// [`crate::plan::Plan::whole`]: SHA-256 of the plan as it was resolved, targets and parameters included.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        whole: String,
        /// Fingerprint per step.
        fingerprints: BTreeMap<StepId, String>,
        /// Command-line choices.
        choices: Choices,
        /// Who started it.
        by: Person,
    },
    /// A process took the lock; no effect of an earlier epoch may start after this is durable.
    LockTaken {
        /// The process.
        holder: Holder,
        /// True if another host or a living holder was overridden by a typed order.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        take_over: bool,
    },
    /// From here on events mean what they mean to a newer version, which has taken the run over from an older one.
    SemanticsRaised {
        /// The version so far.
        from: u32,
        /// The version from now on.
        to: u32,
        /// The version of the program that goes on.
        version: String,
    },
    /// The run goes on after an interruption. Failed steps ask again; a stop or a reached `--until` is lifted.
    RunResumed {
        /// Who typed it.
        by: Person,
        /// Command-line choices from now on; what was excluded stays excluded.
        #[serde(default)]
        choices: Choices,
    },
    /// Start nothing more; what is in flight goes on.
    RunPaused {
        /// Who asked, or what caused it.
        by: Person,
        /// Why.
        reason: String,
    },
    /// Start steps again.
    RunContinued {
        /// Who asked.
        by: Person,
    },
    /// Nothing is in flight and nothing will start.
    RunFinished {
        /// How.
        ending: Ending,
    },
    /// The plan was replaced; only steps that had not begun differ, or a person accepted it.
    PlanAmended {
        /// SHA-256 of the new text.
        plan: String,
        /// [`crate::plan::Plan::whole`] of the new plan: what a person accepted, and what identifies the amendment.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        whole: String,
        /// The file with the new texts and how they were loaded; durable before this record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stored: Option<EvidenceRef>,
        /// Fingerprint per step of the new plan.
        fingerprints: BTreeMap<StepId, String>,
        /// What differs, for people.
        changes: Vec<String>,
        /// Who accepted it.
        by: Person,
    },
    /// The identity that a step's effect is bound to for this run.
    IdentityPinned {
        /// The step.
        step: StepId,
        /// What pins the object.
        identity: Identity,
    },
    /// A look at the system.
    ProbeFinished {
        /// The step.
        step: StepId,
        /// The attempt it is about; 0 before the first.
        attempt: u32,
        /// Why it was made.
        phase: Phase,
        /// What it means; `None` if the step has no probe and only conditions were looked at.
        verdict: Option<Verdict>,
        /// What was seen, for people.
        seen: String,
        /// The conditions of `before` (phase *before*) or `after` (phase *verify*), each with what was seen.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        conditions: Vec<ConditionSeen>,
        /// True if the attempt it is about can no longer act. If neither this nor `running`, nobody can tell.
        quiesced: bool,
        /// With `quiesced`: nothing proves that it is gone, but the time within which it could act is over.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        time_is_over: bool,
        /// True if the attempt it is about was seen to act still.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        running: bool,
        /// Values it gives to the step's outputs.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        outputs: Outputs,
    },
    /// The intent: durable before the first byte of the effect.
    AttemptStarted {
        /// The step.
        step: StepId,
        /// Counts from 1.
        attempt: u32,
        /// What the effect is bound to.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        identity: Identity,
        /// What the effect will destroy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before_image: Option<EvidenceRef>,
        /// By what the attempt can be found again where it runs, such as the id of a remote shell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handle: Option<String>,
        /// The call itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call: Option<Box<SentCall>>,
    },
    /// The attempt's end as this process saw it.
    AttemptFinished {
        /// The step.
        step: StepId,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
    },
    /// The step's effect is there.
    StepVerified {
        /// The step.
        step: StepId,
        /// On what ground.
        how: How,
        /// Its outputs.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        outputs: Outputs,
    },
    /// The step failed, definitely.
    StepFailed {
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// The step's outcome cannot be told; a person must decide.
    StepInDoubt {
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// A person decided to go on without it, or it was excluded.
    StepSkipped {
        /// The step.
        step: StepId,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// `when` was false.
    StepNotApplicable {
        /// The step.
        step: StepId,
    },
    /// The step will be tried again.
    RetryScheduled {
        /// The step.
        step: StepId,
        /// The coming attempt.
        attempt: u32,
        /// Not before.
        at: Timestamp,
        /// Because of this.
        reason: String,
    },
    /// A gate's question stands.
    GateAsked {
        /// The gate.
        step: StepId,
        /// What is asked, expressions resolved.
        ask: String,
        /// What a go lets through until the next gates, a line per step, for people.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        behind: Vec<String>,
        /// SHA-256 over the run, the nonce, the question, the rules and everything behind it: what a vote is for.
        binding: String,
        /// The question's own name: no other question, of this run or another one, has it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        nonce: String,
        /// SHA-256 over who may answer: approvers with their accounts, quorum, `not_initiator`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        rules: String,
        /// SHA-256 per step behind it, so that it can be said what has changed since.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        matter: BTreeMap<StepId, String>,
        /// Why it is asked again, if it was asked before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
        /// When the question lapses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Timestamp>,
    },
    /// Somebody voted.
    VoteCast {
        /// The gate.
        step: StepId,
        /// Who.
        by: Person,
        /// Go, or no-go.
        go: bool,
        /// Why.
        reason: String,
        /// The `binding` that was shown.
        binding: String,
        /// The question's nonce.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        nonce: String,
        /// Whether the vote counts, and if not, why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_counted: Option<String>,
    },
    /// Enough people said go.
    GateOpened {
        /// The gate.
        step: StepId,
    },
    /// The go of an opened gate no longer holds; the gate is asked anew.
    GoLapsed {
        /// The gate.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// Somebody entitled said no-go.
    GateRefused {
        /// The gate.
        step: StepId,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// The question lapsed. Never a yes.
    GateExpired {
        /// The gate.
        step: StepId,
    },
    /// A manual step's instructions stand.
    ManualAsked {
        /// The step.
        step: StepId,
        /// What to do, expressions resolved.
        instructions: String,
    },
    /// A person answered a manual step.
    ManualAnswered {
        /// The step.
        step: StepId,
        /// Who.
        by: Person,
        /// True for done, false for not possible.
        done: bool,
        /// Why, or what was found.
        reason: String,
        /// Typed evidence.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        evidence: Outputs,
    },
    /// A person decided about a step, or (without a step) about the run.
    Decided {
        /// The step, if it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// What.
        decision: Decision,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// A holder went past a rule about who may decide, in an emergency. Stands before the record that it allowed.
    RuleOverridden {
        /// The step, if it was about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// The rule, in words.
        rule: String,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// A letter was refused and cannot be removed from the inbox; it means nothing if it is found again.
    LetterRefused {
        /// Who sent it.
        by: Person,
        /// Why.
        reason: String,
    },
    /// The window is shut and steps are left. Before the point of no return nothing starts and a person is asked; after it
    /// the window holds nothing.
    WindowClosed {
        /// True if the point of no return had started.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        overrun: bool,
    },
    /// A person decided about the window: until when, or until which checkpoint it holds nothing.
    WindowExtended {
        /// The last instant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// What this checkpoint needs still starts; the run ends there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<StepId>,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// A person says that the machines that held the run before are off: nothing that ran on them acts any more.
    OldHostOff {
        /// Who.
        by: Person,
        /// How they know.
        reason: String,
    },
    /// A person wrote something down.
    Noted {
        /// Who.
        by: Person,
        /// What.
        text: String,
    },
    /// A file was stored under `evidence/`, durable before this record.
    EvidenceStored {
        /// The step.
        step: StepId,
        /// The file.
        evidence: EvidenceRef,
    },
    /// A named checkpoint was reached.
    CheckpointReached {
        /// The checkpoint.
        step: StepId,
    },
    /// The wall clock moved against the boot clock.
    ClockJumped {
        /// By so many milliseconds; negative for backwards.
        millis: i64,
    },
    /// The machine slept.
    Suspended {
        /// For about so many milliseconds.
        millis: u64,
    },
    /// A torn tail was cut when the journal was opened.
    TailTruncated {
        /// How many bytes; they are kept beside the journal.
        bytes: u64,
        /// SHA-256 of the bytes.
        sha256: String,
    },
    /// Everything before this is the intact beginning of another run's damaged journal. What that run did afterwards is
    /// not known here.
    Salvaged {
        /// The damaged run.
        from: String,
        /// How many of its records are intact, and stand before this one.
        records: u64,
        /// Up to which record it was durable for certain; `None` if that cannot be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        watermark: Option<u64>,
        /// Who salvaged it.
        by: Person,
    },
}

/// How far a rehearsal's word about a step can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coverage {
    /// Probed on the live system.
    VerifiedLive,
    /// Depends on a described effect.
    Assumed,
    /// Only parsed: an opaque action.
    OnlyParsed,
    /// A typed action without rehearsal behaviour.
    Refused,
}

impl Event {
    /// Its name, as the journal has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Event::RunStarted { .. } => "run_started",
            Event::LockTaken { .. } => "lock_taken",
            Event::SemanticsRaised { .. } => "semantics_raised",
            Event::RunResumed { .. } => "run_resumed",
            Event::RunPaused { .. } => "run_paused",
            Event::RunContinued { .. } => "run_continued",
            Event::RunFinished { .. } => "run_finished",
            Event::PlanAmended { .. } => "plan_amended",
            Event::IdentityPinned { .. } => "identity_pinned",
            Event::ProbeFinished { .. } => "probe_finished",
            Event::AttemptStarted { .. } => "attempt_started",
            Event::AttemptFinished { .. } => "attempt_finished",
            Event::StepVerified { .. } => "step_verified",
            Event::StepFailed { .. } => "step_failed",
            Event::StepInDoubt { .. } => "step_in_doubt",
            Event::StepSkipped { .. } => "step_skipped",
            Event::StepNotApplicable { .. } => "step_not_applicable",
            Event::RetryScheduled { .. } => "retry_scheduled",
            Event::GateAsked { .. } => "gate_asked",
            Event::VoteCast { .. } => "vote_cast",
            Event::GateOpened { .. } => "gate_opened",
            Event::GoLapsed { .. } => "go_lapsed",
            Event::GateRefused { .. } => "gate_refused",
            Event::GateExpired { .. } => "gate_expired",
            Event::ManualAsked { .. } => "manual_asked",
            Event::ManualAnswered { .. } => "manual_answered",
            Event::Decided { .. } => "decided",
            Event::RuleOverridden { .. } => "rule_overridden",
            Event::LetterRefused { .. } => "letter_refused",
            Event::WindowClosed { .. } => "window_closed",
            Event::WindowExtended { .. } => "window_extended",
            Event::OldHostOff { .. } => "old_host_off",
            Event::Noted { .. } => "noted",
            Event::EvidenceStored { .. } => "evidence_stored",
            Event::CheckpointReached { .. } => "checkpoint_reached",
            Event::ClockJumped { .. } => "clock_jumped",
            Event::Suspended { .. } => "suspended",
            Event::TailTruncated { .. } => "tail_truncated",
            Event::Salvaged { .. } => "salvaged",
        }
    }

    /// The step that the event is about, if it is about one.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Event::ProbeFinished { step, .. }
            | Event::IdentityPinned { step, .. }
            | Event::AttemptStarted { step, .. }
            | Event::AttemptFinished { step, .. }
            | Event::StepVerified { step, .. }
            | Event::StepFailed { step, .. }
            | Event::StepInDoubt { step, .. }
            | Event::StepSkipped { step, .. }
            | Event::StepNotApplicable { step }
            | Event::RetryScheduled { step, .. }
            | Event::GateAsked { step, .. }
            | Event::VoteCast { step, .. }
            | Event::GateOpened { step }
            | Event::GoLapsed { step, .. }
            | Event::GateRefused { step, .. }
            | Event::GateExpired { step }
            | Event::ManualAsked { step, .. }
            | Event::ManualAnswered { step, .. }
            | Event::EvidenceStored { step, .. }
            | Event::CheckpointReached { step } => Some(step),
            Event::Decided { step, .. } | Event::RuleOverridden { step, .. } => step.as_ref(),
            Event::RunStarted { .. }
            | Event::LockTaken { .. }
            | Event::SemanticsRaised { .. }
            | Event::LetterRefused { .. }
            | Event::WindowClosed { .. }
            | Event::WindowExtended { .. }
            | Event::OldHostOff { .. }
            | Event::RunResumed { .. }
            | Event::RunPaused { .. }
            | Event::RunContinued { .. }
            | Event::RunFinished { .. }
            | Event::PlanAmended { .. }
            | Event::Noted { .. }
            | Event::ClockJumped { .. }
            | Event::Suspended { .. }
            | Event::TailTruncated { .. }
            | Event::Salvaged { .. } => None,
        }
    }
}
