//! One shell on one host, and one command after the other in it. The only place that knows the remoting client.

use std::time::Duration;

use uuid::Uuid;

use super::answer::{Answer, Lost};
use super::host::{Expiries, Host};
use super::shown;
use crate::connector::redact::Redactor;
use crate::connector::time_left::TimeLeft;
use crate::remoting::client::{End, Limits, Settings, Shell, Truncated};
use crate::remoting::psrp::{Command, CreatePipeline};
use crate::time::Span;

/// How long the host keeps a shell that nobody uses: one that was left behind is gone soon.
const IDLE: Duration = Duration::from_mins(5);
/// More than anything here answers with.
const OUTPUT: u64 = 64 << 20;
/// How long a stop may take: less than the driver waits beyond the step's time, so that we still say what came of it.
const GRACE: Duration = Duration::from_secs(20);
/// How long we wait for a shell to be removed. It is idle then.
const CLOSE: Duration = Duration::from_secs(10);

/// A shell that is open. Dropped, it is left behind; the host removes it after a while.
pub struct Session {
    // Two connections with their buffers: too large to be moved about.
    shell: Box<Shell>,
    host: Host,
    redactor: Redactor,
    time: TimeLeft,
    expiries: Expiries,
}

impl Session {
    pub(super) fn new(shell: Shell, host: Host, redactor: Redactor, time: TimeLeft, expiries: Expiries) -> Self {
        Session { shell: Box::new(shell), host, redactor, time, expiries }
    }

    pub(super) fn settings(host: &Host, longest_wait: Option<Span>) -> Settings {
        let defaults = Settings::default();
        let shortest = |wanted: Duration| longest_wait.map_or(wanted, |most| wanted.min(most.to_std()));
        Settings {
            configuration: host.configuration.clone(),
            name: Some("relevo".to_owned()),
            // Also how soon the end of a connection that broke in silence is noticed.
            operation_timeout: shortest(defaults.operation_timeout).max(Duration::from_secs(1)),
            idle_timeout: Some(IDLE),
            open_within: host.timeout.to_std().max(defaults.open_within),
            ..defaults
        }
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// When the certificates of its connection expire.
    #[must_use]
    pub fn expiries(&self) -> &Expiries {
        &self.expiries
    }

    /// Takes secrets out of a text.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Takes these secrets out of whatever comes back from now on, too. To be called before a command gets them: texts are cut to
    /// a length, and the first half of a secret at the cut would not be found any more.
    pub fn hide(&mut self, secrets: &Redactor) {
        self.redactor = self.redactor.and(secrets);
    }

    /// What is left of the time for all that is done here.
    #[must_use]
    pub fn time(&self) -> &TimeLeft {
        &self.time
    }

    /// Runs one command and takes everything that it gives. When the time is over it is stopped.
    ///
    /// # Errors
    /// Nobody knows how it ended; [`Lost::acted`] is `false` if it certainly did nothing.
    pub async fn run(&mut self, command: Command) -> Result<Answer, Lost> {
        let limits = Limits { deadline: self.time.left(), grace: GRACE, output: OUTPUT };
        let what = if command.is_script { "the script".to_owned() } else { command.text.clone() };
        tracing::debug!(host = %self.host.name, command = %what, "sent");
        let lost = |redactor: &Redactor, acted: bool, said: &str| Lost {
            acted,
            reason: format!("{what} on `{}`: {}", self.host.name, shown(&redactor.text(said))),
        };
        let pipeline = CreatePipeline::new(vec![command]);
        let mut running = match Box::pin(self.shell.run(Uuid::new_v4(), pipeline, limits)).await {
            Ok(running) => running,
            Err(error) => return Err(lost(&self.redactor, error.may_have_acted(), &error.to_string())),
        };
        let mut answer = Answer::of(&what);
        while let Some(event) = running.next().await {
            answer.take(event, &self.redactor);
        }
        match running.end().await {
            End::Finished { state, terminating, truncated, .. } => {
                answer.end(state, terminating.map(|error| *error), truncated, &self.redactor);
                if truncated == Some(Truncated::Deadline) {
                    return Err(lost(&self.redactor, true, "the step's time was over, and it was stopped"));
                }
                Ok(answer)
            }
            End::Lost(error) => Err(lost(&self.redactor, true, &error.to_string())),
        }
    }

    /// Removes the shell. A host that does not answer removes it after a while by itself.
    pub async fn close(self) {
        let name = self.host.name;
        match tokio::time::timeout(CLOSE, Box::pin((*self.shell).close())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(host = %name, %error, "the shell was not removed"),
            Err(_) => tracing::debug!(host = %name, "the shell was not removed in time"),
        }
    }
}
