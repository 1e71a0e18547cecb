//! `noop`: does nothing, at once. For demonstrations, tests, and places where a step is still to be written.

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::foreign;
use crate::plan::action::{ArgSpec, ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::run::connector::{Call, Connector, Description, Evidence, Finding, Look, Observation, Quiescence};
use crate::run::event::{EvidenceRef, Identity, Outcome, Outputs};

/// What the plan language knows of `noop`.
pub fn specs() -> Vec<ActionSpec> {
    let arg = |name, kind, doc| ArgSpec { name, kind, required: false, doc };
    vec![ActionSpec {
        name: "noop",
        doc: "does nothing, at once",
        args: vec![arg("say", ArgType::String, "a text for people"), arg("outputs", ArgType::Any, "a map: the step's outputs")],
        one_of: Vec::new(),
        effect: Effect::Read,
        generic: true,
        destructive: false,
        undo: UndoGrade::Full,
        keeps: false,
        discovers: false,
        outputs: Vec::new(),
    }]
}

/// The connector.
#[derive(Debug, Clone, Copy, Default)]
pub struct Noop;

/// Those of `with.outputs` that the step declares, or all of them if it declares none; and what is said, as `said`.
fn outputs(call: &Call) -> Outputs {
    let mut given = call.with.get("outputs").and_then(Value::as_object).cloned().unwrap_or_default();
    if call.with.contains_key("say") {
        given.entry("said").or_insert_with(|| say(call).into());
    }
    if call.outputs.is_empty() {
        return given;
    }
    given.into_iter().filter(|(name, _)| call.outputs.iter().any(|output| output.name == *name)).collect()
}

fn say(call: &Call) -> String {
    match call.with.get("say").and_then(Value::as_str) {
        Some(said) => foreign::one_line(said, 2000),
        None => "nothing to do".to_owned(),
    }
}

#[async_trait]
impl Look for Noop {
    async fn preflight(&self, _call: &Call) -> Vec<Finding> {
        Vec::new()
    }

    async fn describe(&self, call: &Call) -> Description {
        Description { lines: vec![say(call)], rehearsable: true, outputs: outputs(call) }
    }

    /// That nothing was done holds always. An author's `verdict` may be written over the outputs instead.
    async fn probe(&self, call: &Call) -> Observation {
        let given = call.with.get("outputs").and_then(Value::as_object).cloned().unwrap_or_default();
        Observation { verdict: Verdict::Done, seen: say(call), facts: given, outputs: outputs(call), identity: Identity::new() }
    }

    /// An attempt that was cut off has done all that it could do.
    async fn quiesce(&self, call: &Call) -> Quiescence {
        let ended = Some(Box::new(Outcome::Applied { outputs: outputs(call) }));
        Quiescence::Quiet { seen: "nothing was to be done".to_owned(), ended }
    }

    fn has_probe(&self, _uses: &str) -> bool {
        false
    }

    fn by_hand(&self, call: &Call) -> Vec<String> {
        vec![format!("# {}", say(call))]
    }
}

#[async_trait]
impl Connector for Noop {
    async fn before_image(&self, _call: &Call, _evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        Ok(None)
    }

    async fn apply(&self, call: &Call) -> Outcome {
        Outcome::Applied { outputs: outputs(call) }
    }

    async fn undo(&self, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}
