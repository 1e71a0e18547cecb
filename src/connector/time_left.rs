//! A step's timeout, shared by all that its attempt does one after the other.

use std::future::Future;

use tokio::time::Instant;

use crate::connector::span;
use crate::run::connector::Call;
use crate::time::Span;

/// What is left of an attempt's timeout.
#[derive(Debug, Clone, Copy)]
pub struct TimeLeft {
    until: Option<(Instant, Span)>,
}

impl TimeLeft {
    /// Starts now.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        TimeLeft { until: call.timeout.and_then(|limit| Some((Instant::now().checked_add(limit.to_std())?, limit))) }
    }

    /// So much from now.
    #[must_use]
    pub fn within(limit: Span) -> Self {
        TimeLeft { until: Instant::now().checked_add(limit.to_std()).map(|until| (until, limit)) }
    }

    /// How much is left; `None` if there is no limit.
    #[must_use]
    pub fn left(&self) -> Option<std::time::Duration> {
        self.until.map(|(until, _)| until.saturating_duration_since(Instant::now()))
    }

    /// The result, if it comes in time.
    ///
    /// # Errors
    /// The time is over; a text for people.
    pub async fn keep<T>(&self, work: impl Future<Output = T> + Send) -> Result<T, String> {
        match self.until {
            None => Ok(work.await),
            Some((until, limit)) => {
                tokio::time::timeout_at(until, work).await.map_err(|_| format!("no answer within the step's {}", span(limit)))
            }
        }
    }
}
