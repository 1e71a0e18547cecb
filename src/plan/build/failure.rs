//! What follows a failure: `retry` and `on_failure`.

use crate::plan::keys::{ON_FAILURE, RETRY, RetryKey};
use crate::plan::node::{Kind, Node};
use crate::plan::read::Reader;
use crate::plan::{OnFailure, Retry};

/// Reads `retry`; what it leaves out comes from `base`.
pub fn retry(reader: Reader<'_>, node: &Node<'_>, base: Retry) -> Retry {
    let mut retry = base;
    let Some(fields) = reader.fields(node, RETRY, "`retry`") else { return retry };
    if let Some(attempts) = fields.get(RetryKey::Attempts).and_then(|node| reader.count(node, "attempts", 1000)) {
        retry.attempts = attempts;
    }
    if let Some(interval) = fields.get(RetryKey::Interval).and_then(|node| reader.span(node, "interval")) {
        retry.interval = interval;
    }
    if let Some(most) = fields.get(RetryKey::MaxInterval).and_then(|node| reader.span(node, "max_interval")) {
        retry.max_interval = most;
        if fields.get(RetryKey::Interval).is_none() {
            retry.interval = retry.interval.min(most);
        }
    } else if fields.get(RetryKey::Interval).is_some() {
        retry.max_interval = retry.max_interval.max(retry.interval);
    }
    if let Some(node) = fields.get(RetryKey::Backoff) {
        let factor = match node.kind {
            Kind::Count(value) => u32::try_from(value).ok().map(f64::from),
            Kind::Float(value) => Some(value),
            _ => None,
        };
        match factor {
            Some(factor) if (1.0..=100.0).contains(&factor) => retry.backoff = factor,
            _ => reader.error(node, format!("`backoff` must be a number from 1 to 100, found {}", node.what()), ""),
        }
    }
    if let Some(node) = fields.get(RetryKey::MaxInterval)
        && retry.max_interval < retry.interval
    {
        reader.error(node, "`max_interval` is shorter than `interval`", "");
    }
    retry
}

/// Reads `on_failure`.
pub fn on_failure(reader: Reader<'_>, node: &Node<'_>) -> OnFailure {
    match reader.word(node, "on_failure", ON_FAILURE) {
        Some("stop") => OnFailure::Stop,
        Some("continue") => OnFailure::Continue,
        Some("rollback") => OnFailure::Rollback,
        _ => OnFailure::Ask,
    }
}
