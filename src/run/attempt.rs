//! One task per step in hand: what is done on a system, apart from what follows from it.
//!
//! A task gets everything it needs as values and answers once. It sees neither state nor journal.

use std::sync::Arc;
use std::time::Duration;

use super::connector::{Call, Connector, Evidence, Look, Observation, Quiescence};
use super::event::{EvidenceRef, Outcome};
use crate::plan::StepIx;
use crate::time::Span;

/// How much longer than its own timeout a connector may take before the driver no longer believes in an answer.
const GRACE: Span = Span::from_secs(30);

/// How often a before-image is tried, and how long between two tries.
const IMAGE_TRIES: u32 = 3;
const IMAGE_PAUSE: Duration = Duration::from_secs(1);

/// What a task found out.
#[derive(Debug)]
pub enum Answer {
    /// A look: one observation per probe that was asked for, in order.
    Looked(Vec<Observation>),
    /// The before-image is durable (or there is none); the intent may be recorded.
    Prepared(Result<Option<EvidenceRef>, String>),
    /// The attempt ended, as far as was seen.
    Applied(Outcome),
    /// Whether the old attempt can still act, and a look if it cannot.
    Settled(Quiescence, Option<Observation>),
}

/// A probe to be made: by whom, and what is asked.
pub struct Ask {
    /// Reads the system.
    pub look: Arc<dyn Look>,
    /// What is asked.
    pub call: Call,
}

impl Ask {
    async fn answer(&self) -> Observation {
        let limit = self.call.timeout.unwrap_or(Span::from_secs(60)).to_std() + GRACE.to_std();
        match tokio::time::timeout(limit, self.look.probe(&self.call)).await {
            Ok(seen) => seen,
            Err(_) => Observation::unknown(format!("no answer within {} s", limit.as_secs())),
        }
    }
}

/// Makes looks one after the other.
pub async fn look(ix: StepIx, asks: Vec<Ask>) -> (StepIx, Answer) {
    let mut seen = Vec::with_capacity(asks.len());
    for ask in &asks {
        seen.push(ask.answer().await);
    }
    (ix, Answer::Looked(seen))
}

/// Stores the before-image. Nothing is changed by that, so that a connection which breaks is tried again at once: it is
/// no reason to wake a person.
pub async fn prepare(ix: StepIx, connector: Arc<dyn Connector>, call: Call, evidence: Arc<dyn Evidence>) -> (StepIx, Answer) {
    for _ in 1..IMAGE_TRIES {
        if let Ok(image) = connector.before_image(&call, &*evidence).await {
            return (ix, Answer::Prepared(Ok(image)));
        }
        tokio::time::sleep(IMAGE_PAUSE).await;
    }
    (ix, Answer::Prepared(connector.before_image(&call, &*evidence).await))
}

/// Applies. The intent is durable.
pub async fn apply(ix: StepIx, connector: Arc<dyn Connector>, call: Call) -> (StepIx, Answer) {
    let outcome = match call.timeout {
        None => connector.apply(&call).await,
        // The connector keeps the timeout itself and says what became of the effect; this is only the net below it.
        Some(limit) => match tokio::time::timeout(limit.to_std() + GRACE.to_std(), connector.apply(&call)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Unknown { reason: format!("no answer within {} s", limit.as_millis() / 1000) },
        },
    };
    (ix, Answer::Applied(outcome))
}

/// Finds out whether an attempt can still act; if it cannot, looks. One that still acts is waited for with patience.
pub async fn settle(ix: StepIx, look: Arc<dyn Look>, attempt: Call, ask: Option<Ask>, patience: Duration) -> (StepIx, Answer) {
    let until = tokio::time::Instant::now() + patience;
    let mut pause = Duration::from_millis(20);
    let quiescence = loop {
        let quiescence = look.quiesce(&attempt).await;
        let busy = matches!(quiescence, Quiescence::Busy { .. });
        if !busy || tokio::time::Instant::now() >= until {
            break quiescence;
        }
        tokio::time::sleep(pause).await;
        // An attempt may go on for hours; its target is not to be asked twice a second meanwhile.
        pause = (pause * 2).min(Duration::from_secs(2));
    };
    let seen = match (&quiescence, &ask) {
        (Quiescence::Busy { .. }, _) | (_, None) => None,
        (_, Some(ask)) => Some(ask.answer().await),
    };
    (ix, Answer::Settled(quiescence, seen))
}
