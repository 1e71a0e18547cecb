//! `wait`: a plain wait, or one until a probe holds and has held for a time. Changes nothing.
//!
//! Each look is a probe of another connector. One that cannot tell is not one that holds: the time for which the
//! condition has been stable starts again.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{Connectors, Options, span};
use crate::foreign::one_line;
use crate::plan::action::{ArgSpec, ArgType, Effect, UndoGrade};
use crate::plan::expr::{self, Scope};
use crate::plan::{ActionSpec, Expr, Verdict};
use crate::run::connector::{Call, Connector, Description, Evidence, Finding, Level, Look, Observation, Quiescence};
use crate::run::event::{EvidenceRef, Identity, Outcome, Outputs};
use crate::time::Span;

/// Between two looks, if nothing else is said.
const POLL: Span = Span::from_secs(5);
/// A plan that asks for less asks too often.
const SHORTEST_POLL: Span = Span::from_millis(10);

/// What the plan language knows of `wait`.
pub fn specs() -> Vec<ActionSpec> {
    let arg = |name, kind, doc| ArgSpec { name, kind, required: false, doc };
    vec![ActionSpec {
        name: "wait",
        doc: "waits for a time, or until a probe holds",
        args: vec![
            arg("for", ArgType::Duration, "how long; the step's timeout does not cut it short"),
            arg("until", ArgType::Probe, "the probe that must hold before the step's timeout"),
            arg("stable_for", ArgType::Duration, "how long it must hold without a break; one look is enough by default"),
            arg("poll", ArgType::Duration, "between two looks; 5s by default"),
        ],
        one_of: vec![&["for", "until"]],
        effect: Effect::Read,
        generic: false,
        destructive: false,
        undo: UndoGrade::Full,
        keeps: false,
        discovers: false,
        outputs: Vec::new(),
    }]
}

/// The connector.
pub struct Wait {
    looks: Connectors,
    options: Options,
}

/// What is waited for.
enum Args {
    /// A time.
    For(Span),
    /// A probe.
    Until(Box<Until>),
}

struct Until {
    call: Call,
    verdict: Option<Vec<(Verdict, Expr)>>,
    stable_for: Span,
    poll: Span,
}

impl Wait {
    /// Looks through `looks`; no wait is longer than the options allow.
    #[must_use]
    pub fn new(looks: Connectors, options: Options) -> Self {
        Wait { looks, options }
    }

    fn args(&self, call: &Call) -> Result<Args, String> {
        let length = |name: &str| match call.with.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => match parse(text) {
                Some(length) => Ok(Some(self.options.longest_wait.map_or(length, |longest| length.min(longest)))),
                None => Err(format!("`{name}` is `{}`, not a duration such as `30s`", one_line(text, 40))),
            },
            Some(_) => Err(format!("`{name}` must be a duration such as `30s`")),
        };
        match (length("for")?, call.with.get("until")) {
            (Some(time), None) => Ok(Args::For(time)),
            (None, Some(until)) => {
                let stable_for = length("stable_for")?.unwrap_or(Span::ZERO);
                let poll = match length("poll")? {
                    Some(poll) => poll,
                    None => self.options.longest_wait.map_or(POLL, |longest| POLL.min(longest)),
                };
                let (inner, verdict) = inner(call, until)?;
                let poll = poll.max(SHORTEST_POLL);
                Ok(Args::Until(Box::new(Until { call: inner, verdict, stable_for, poll })))
            }
            _ => Err("`wait` needs either `for` or `until`".to_owned()),
        }
    }

    fn look(&self, uses: &str) -> Result<std::sync::Arc<dyn Connector>, String> {
        self.looks.for_action(uses).ok_or_else(|| format!("`{}` is no action that can be waited for", one_line(uses, 60)))
    }

    /// One look: what it means, and what was seen.
    async fn once(&self, until: &Until) -> (Verdict, Observation) {
        match self.look(&until.call.uses) {
            Ok(look) => {
                let seen = look.probe(&until.call).await;
                judge(until, seen)
            }
            Err(why) => (Verdict::Unknown, Observation::unknown(why)),
        }
    }

    /// Looks until it has held for long enough. `last` always holds what was seen last.
    async fn hold(&self, until: &Until, last: &mut String) -> Outputs {
        let mut since: Option<Instant> = None;
        loop {
            let (verdict, seen) = self.once(until).await;
            let mut pause = until.poll.to_std();
            if verdict == Verdict::Done {
                // From the end of the first look that held: it may have been slow to see it.
                let held = since.get_or_insert_with(Instant::now).elapsed();
                let missing = until.stable_for.to_std().saturating_sub(held);
                if missing.is_zero() {
                    return seen.outputs;
                }
                pause = pause.min(missing);
                *last = format!("it holds, but not for {} yet: {}", span(until.stable_for), seen.seen);
            } else {
                since = None;
                *last = format!("{verdict}: {}", seen.seen);
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// The call of the probe, and the author's verdicts.
#[expect(clippy::type_complexity, reason = "read in one place only")]
fn inner(call: &Call, until: &Value) -> Result<(Call, Option<Vec<(Verdict, Expr)>>), String> {
    let uses = until.get("uses").and_then(Value::as_str).ok_or("`until` needs `uses`")?;
    let with = match until.get("with") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(with)) => with.clone(),
        Some(_) => return Err("`until.with` must be a map".to_owned()),
    };
    let verdict = match until.get("verdict") {
        None | Some(Value::Null) => None,
        Some(Value::Object(map)) => Some(verdicts(map)?),
        Some(_) => return Err("`until.verdict` must be a map".to_owned()),
    };
    let timeout = None;
    Ok((Call { uses: uses.to_owned(), with, timeout, ..call.clone() }, verdict))
}

fn verdicts(map: &Map<String, Value>) -> Result<Vec<(Verdict, Expr)>, String> {
    const WORDS: [(&str, Verdict); 4] =
        [("done", Verdict::Done), ("not_done", Verdict::NotDone), ("partial", Verdict::Partial), ("conflict", Verdict::Conflict)];
    if let Some(word) = map.keys().find(|key| WORDS.iter().all(|(word, _)| word != key)) {
        return Err(format!("`{}` is no verdict", one_line(word, 40)));
    }
    let found = WORDS.iter().filter_map(|(word, verdict)| Some((word, *verdict, map.get(*word)?)));
    found
        .map(|(word, verdict, source)| match source {
            Value::String(source) => Ok((verdict, Expr { source: source.trim().into() })),
            Value::Bool(truth) => Ok((verdict, Expr { source: truth.to_string().into() })),
            _ => Err(format!("the verdict `{word}` must be an expression")),
        })
        .collect()
}

/// What a look means: by the author's expressions, by its exit code, or by the action itself.
fn judge(until: &Until, mut seen: Observation) -> (Verdict, Observation) {
    let Some(verdicts) = &until.verdict else {
        let verdict = match (until.call.uses.as_str(), seen.facts.get("exit").and_then(Value::as_i64)) {
            ("command", Some(0)) => Verdict::Done,
            ("command", Some(1)) => Verdict::NotDone,
            _ => seen.verdict,
        };
        return (verdict, seen);
    };
    if seen.facts.is_empty() {
        return (Verdict::Unknown, seen);
    }
    let mut facts = seen.facts.clone();
    for (name, value) in &seen.outputs {
        facts.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let none = Map::new();
    let scope = Scope { params: &none, targets: &none, item: None, outputs: &|_| None, facts: Some(&facts) };
    for (verdict, expr) in verdicts {
        match expr::truth(expr, &scope) {
            Ok(true) => return (*verdict, seen),
            Ok(false) => {}
            Err(error) => {
                seen.seen = format!("{}; `{}`: {error}", seen.seen, expr.source);
                return (Verdict::Unknown, seen);
            }
        }
    }
    (Verdict::Unknown, seen)
}

/// A duration in the plan's own words.
fn parse(text: &str) -> Option<Span> {
    text.trim().parse().ok()
}

#[async_trait]
impl Look for Wait {
    async fn preflight(&self, call: &Call) -> Vec<Finding> {
        let checked = self.args(call).and_then(|args| match args {
            Args::For(_) => Ok(None),
            Args::Until(until) => Ok(Some((self.look(&until.call.uses)?, until))),
        });
        match checked {
            Ok(None) => Vec::new(),
            Ok(Some((look, until))) => look.preflight(&until.call).await,
            Err(message) => vec![Finding { level: Level::Fatal, message }],
        }
    }

    async fn describe(&self, call: &Call) -> Description {
        let lines = match self.args(call) {
            Ok(Args::For(time)) => vec![format!("wait for {}", span(time))],
            Ok(Args::Until(until)) => {
                let stable = if until.stable_for == Span::ZERO {
                    String::new()
                } else {
                    format!(" and has held for {}", span(until.stable_for))
                };
                let mut lines = vec![format!("wait until this holds{stable}; looking every {}:", span(until.poll))];
                if let Ok(look) = self.look(&until.call.uses) {
                    lines.extend(look.describe(&until.call).await.lines.into_iter().map(|line| format!("  {line}")));
                }
                for (verdict, expr) in until.verdict.iter().flatten() {
                    lines.push(format!("  {verdict}: {}", one_line(&expr.source, 200)));
                }
                lines
            }
            Err(why) => vec![format!("cannot be waited for: {why}")],
        };
        Description { lines, rehearsable: true, outputs: Map::new() }
    }

    /// One look. That something does not hold now says nothing of whether it will have held: only *done*, and only
    /// where one look is enough, is a verdict.
    async fn probe(&self, call: &Call) -> Observation {
        let seen = |text: String| Observation::unknown(text);
        match self.args(call) {
            Ok(Args::For(time)) => seen(format!("a wait of {} leaves nothing to look at", span(time))),
            Ok(Args::Until(until)) => {
                let (verdict, observation) = self.once(&until).await;
                match verdict {
                    Verdict::Done if until.stable_for == Span::ZERO => Observation {
                        verdict,
                        seen: format!("holds now: {}", observation.seen),
                        facts: Map::new(),
                        outputs: observation.outputs,
                        identity: Identity::new(),
                    },
                    Verdict::Done => seen(format!("holds now, must for {}: {}", span(until.stable_for), observation.seen)),
                    _ => seen(format!("does not hold now ({verdict}): {}", observation.seen)),
                }
            }
            Err(why) => seen(why),
        }
    }

    /// A wait changes nothing, and nothing of it is left when relevo is gone.
    async fn quiesce(&self, _call: &Call) -> Quiescence {
        Quiescence::Quiet { seen: "a wait changes nothing".to_owned(), ended: None }
    }

    /// What was waited for has been seen by the attempt itself; a later look would ask another question.
    fn has_probe(&self, _uses: &str) -> bool {
        false
    }

    fn by_hand(&self, call: &Call) -> Vec<String> {
        match self.args(call) {
            Ok(Args::For(time)) => vec![format!("sleep {}", time.as_millis().div_ceil(1000))],
            Ok(Args::Until(until)) => {
                let stable = match until.stable_for {
                    Span::ZERO => String::new(),
                    time => format!(", and has held for {}", span(time)),
                };
                let mut lines = vec![format!("# repeat every {} until it holds{stable}", span(until.poll))];
                lines.extend(self.look(&until.call.uses).map(|look| look.by_hand(&until.call)).unwrap_or_default());
                lines
            }
            Err(why) => vec![format!("# cannot be waited for: {why}")],
        }
    }
}

#[async_trait]
impl Connector for Wait {
    async fn before_image(&self, _call: &Call, _evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        Ok(None)
    }

    async fn apply(&self, call: &Call) -> Outcome {
        let until = match self.args(call) {
            Ok(Args::For(time)) => {
                tokio::time::sleep(time.to_std()).await;
                return Outcome::Applied { outputs: Map::new() };
            }
            Ok(Args::Until(until)) => until,
            Err(reason) => return Outcome::NotSent { reason },
        };
        let mut last = "it was not seen once".to_owned();
        let limit = call.timeout.map_or(Duration::MAX, Span::to_std);
        if let Ok(outputs) = tokio::time::timeout(limit, self.hold(&until, &mut last)).await {
            return Outcome::Applied { outputs };
        }
        // Nothing was to be changed, so this is no doubt but an answer.
        let waited = call.timeout.map(span).unwrap_or_default();
        Outcome::Rejected { reason: format!("did not come about within {waited}; {last}"), untouched: true }
    }

    async fn undo(&self, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_a_plan() {
        assert_eq!(parse("1h30m"), Some(Span::from_secs(5400)));
        assert_eq!(parse("250ms"), Some(Span::from_millis(250)));
        assert_eq!(parse("1d"), Some(Span::from_secs(86_400)));
        for wrong in ["", "5", "5x", "m", "-5s", "1h 5m", "99999999999999999999s"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
