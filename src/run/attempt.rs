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

/// How long keeping a before-image may take in all, if the step has no time of its own.
const IMAGE_TIME: Span = Span::from_secs(600);
/// How long it may take once to find out whether an attempt can still act. A host that starts again is back by then.
const QUIET_TIME: Span = Span::from_secs(300);

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
/// no reason to wake a person. All tries share the step's time.
pub async fn prepare(ix: StepIx, connector: Arc<dyn Connector>, call: Call, evidence: Arc<dyn Evidence>) -> (StepIx, Answer) {
    let limit = call.timeout.unwrap_or(IMAGE_TIME);
    let mut last = None;
    let kept = tokio::time::timeout(limit.to_std(), async {
        for _ in 1..IMAGE_TRIES {
            match connector.before_image(&call, &*evidence).await {
                Ok(image) => return Ok(image),
                Err(why) => last = Some(why),
            }
            tokio::time::sleep(IMAGE_PAUSE).await;
        }
        connector.before_image(&call, &*evidence).await
    });
    let kept = kept.await.unwrap_or_else(|_| {
        let before = last.map(|why| format!("; the try before: {why}")).unwrap_or_default();
        Err(format!("it was not there within {} s{before}", limit.as_millis() / 1000))
    });
    (ix, Answer::Prepared(kept))
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

/// One question whether an attempt can still act. No answer in time is no answer.
async fn quiesce(look: &dyn Look, attempt: &Call) -> Quiescence {
    match tokio::time::timeout(QUIET_TIME.to_std(), look.quiesce(attempt)).await {
        Ok(quiescence) => quiescence,
        Err(_) => Quiescence::CannotTell {
            seen: format!("whether it still acts: no answer within {} s", QUIET_TIME.as_millis() / 1000),
        },
    }
}

/// Finds out whether an attempt can still act; if it cannot, looks. One that still acts is waited for with patience.
pub async fn settle(ix: StepIx, look: Arc<dyn Look>, attempt: Call, ask: Option<Ask>, patience: Duration) -> (StepIx, Answer) {
    let until = tokio::time::Instant::now() + patience;
    let mut pause = Duration::from_millis(20);
    let quiescence = loop {
        let quiescence = quiesce(&*look, &attempt).await;
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::super::connector::{Description, Finding, Sent};
    use super::super::event::Identity;
    use super::*;
    use crate::plan::{StepId, Targets};

    /// A system that never answers.
    struct Silent;

    #[async_trait]
    impl Look for Silent {
        async fn preflight(&self, _call: &Call) -> Vec<Finding> {
            Vec::new()
        }

        async fn describe(&self, _call: &Call) -> Description {
            Description { lines: Vec::new(), rehearsable: true, outputs: serde_json::Map::new() }
        }

        async fn probe(&self, _call: &Call) -> Observation {
            Observation::unknown("looked")
        }

        async fn quiesce(&self, _call: &Call) -> Quiescence {
            std::future::pending().await
        }

        fn has_probe(&self, _uses: &str) -> bool {
            true
        }

        fn by_hand(&self, _call: &Call) -> Vec<String> {
            Vec::new()
        }
    }

    #[async_trait]
    impl Connector for Silent {
        async fn before_image(&self, _call: &Call, _evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
            std::future::pending().await
        }

        async fn apply(&self, _call: &Call) -> Outcome {
            std::future::pending().await
        }

        async fn undo(&self, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
            std::future::pending().await
        }
    }

    struct Nowhere;

    impl Evidence for Nowhere {
        fn store(&self, _kind: &str, _bytes: &[u8]) -> std::io::Result<EvidenceRef> {
            Err(std::io::Error::other("nowhere"))
        }
    }

    fn call(timeout: Option<Span>) -> Call {
        let folder: Arc<std::path::Path> = Arc::from(std::path::Path::new("."));
        Call {
            run: Arc::from("r1"),
            step: StepId::new("a"),
            attempt: 1,
            uses: "noop".to_owned(),
            with: serde_json::Map::new(),
            outputs: Arc::new([]),
            identity: Identity::new(),
            scratch: folder.join("a-1"),
            folder,
            targets: Arc::new(Targets::default()),
            excluded: Arc::new([]),
            before_image: None,
            handle: None,
            timeout,
            until: None,
            effect: crate::plan::action::Effect::Once,
            probed: true,
            assumed: false,
            sent: Sent::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f73_a_before_image_that_never_comes_is_an_error_after_the_steps_time_or_ten_minutes() {
        for (timeout, expected) in [(None, 600), (Some(Span::from_secs(7)), 7)] {
            let begun = tokio::time::Instant::now();
            let (_, answer) = prepare(StepIx(0), Arc::new(Silent), call(timeout), Arc::new(Nowhere)).await;
            assert_eq!(begun.elapsed().as_secs(), expected);
            let Answer::Prepared(Err(why)) = answer else { panic!("{answer:?}") };
            assert_eq!(why, format!("it was not there within {expected} s"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f73_a_question_whether_an_attempt_still_acts_that_is_never_answered_cannot_tell() {
        let begun = tokio::time::Instant::now();
        let ask = Ask { look: Arc::new(Silent), call: call(None) };
        let (_, answer) = settle(StepIx(0), Arc::new(Silent), call(None), Some(ask), Duration::from_hours(1)).await;
        assert_eq!(begun.elapsed().as_secs(), 300);
        let Answer::Settled(Quiescence::CannotTell { seen }, Some(look)) = answer else { panic!("{answer:?}") };
        assert!(seen.contains("no answer within 300 s") && look.seen == "looked", "{seen}");
    }
}
