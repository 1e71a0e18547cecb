//! A rehearsal: the same scheduler and driver over wrapped connectors that cannot write.
//!
//! - [`Described`] holds only the reading half of a connector ([`Look`]); its `apply` describes.
//! - [`for_rehearsal`] turns a plan into the one that is rehearsed: failures do not hold up other branches, so that
//!   one rehearsal finds as many of them as it can; the window is reported, not waited for.
//! - What rests on an effect that was only described is *assumed*, never *failed*: [`assume`].

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::connector::{Call, Connector, Description, Evidence, Finding, Look, Observation, Pin, Quiescence};
use super::event::{ConditionSeen, Coverage, EvidenceRef, Holding, Outcome};
use crate::plan::action::Effect;
use crate::plan::{OnFailure, Plan, Verdict, Work};

/// A connector without its writing half.
pub struct Described {
    look: Arc<dyn Look>,
}

impl Described {
    /// Takes only what can read.
    #[must_use]
    pub fn new(look: Arc<dyn Look>) -> Self {
        Described { look }
    }

    /// A step without effect is really done, because that is a look; unless what it reads rests on a described effect.
    async fn read(&self, call: &Call) -> Outcome {
        let seen = self.look.probe(call).await;
        match (seen.facts.get("exit").and_then(Value::as_i64), seen.verdict) {
            (Some(0), _) | (None, Verdict::Done) => Outcome::Applied { outputs: seen.outputs },
            (None, Verdict::Unknown) => self.describe_only(call, Coverage::OnlyParsed).await,
            _ => Outcome::Rejected { reason: seen.seen, untouched: true },
        }
    }

    async fn describe_only(&self, call: &Call, coverage: Coverage) -> Outcome {
        let description = self.look.describe(call).await;
        let coverage = if description.rehearsable { coverage } else { Coverage::Refused };
        Outcome::Described { lines: description.lines, coverage, outputs: description.outputs }
    }
}

#[async_trait]
impl Look for Described {
    async fn preflight(&self, call: &Call) -> Vec<Finding> {
        self.look.preflight(call).await
    }

    async fn pin(&self, call: &Call) -> Pin {
        self.look.pin(call).await
    }

    async fn describe(&self, call: &Call) -> Description {
        self.look.describe(call).await
    }

    async fn probe(&self, call: &Call) -> Observation {
        self.look.probe(call).await
    }

    async fn quiesce(&self, call: &Call) -> Quiescence {
        self.look.quiesce(call).await
    }

    fn has_probe(&self, uses: &str) -> bool {
        self.look.has_probe(uses)
    }

    fn by_hand(&self, call: &Call) -> Vec<String> {
        self.look.by_hand(call)
    }
}

#[async_trait]
impl Connector for Described {
    async fn before_image(&self, _call: &Call, _evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        Ok(None)
    }

    async fn apply(&self, call: &Call) -> Outcome {
        match (call.effect, call.assumed) {
            (Effect::Read, false) => self.read(call).await,
            (Effect::Read, true) => self.describe_only(call, Coverage::Assumed).await,
            // What has no probe was looked at by nobody, whatever it rests on.
            (effect, _) if effect == Effect::Opaque || !call.probed => self.describe_only(call, Coverage::OnlyParsed).await,
            (_, true) => self.describe_only(call, Coverage::Assumed).await,
            (_, false) => self.describe_only(call, Coverage::VerifiedLive).await,
        }
    }

    async fn undo(&self, call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        self.describe_only(call, Coverage::OnlyParsed).await
    }
}

/// The plan as it is rehearsed.
#[must_use]
pub fn for_rehearsal(mut plan: Plan) -> Plan {
    plan.window = None;
    for step in &mut plan.steps {
        step.on_failure = OnFailure::Continue;
        step.not_before = None;
        step.retry.attempts = 1;
        if let Work::Gate(gate) = &mut step.work {
            gate.expires = None;
        }
    }
    plan
}

/// What rests on a described effect and does not hold now may hold then: it is assumed.
pub fn assume(rests_on_described: bool, conditions: &mut [ConditionSeen]) {
    if rests_on_described {
        for condition in conditions.iter_mut().filter(|condition| condition.holds != Holding::Holds) {
            condition.holds = Holding::Assumed;
        }
    }
}
