//! A pipeline at work.
//!
//! A task reads its output, because a read that is given up loses what it would have brought. Events go through a bounded
//! channel: a caller that takes none makes the task stop reading, and the server stops sending. What ends a pipeline from
//! outside (the caller, a deadline, too much output) is signalled on another connection, since the first one waits. Leaving
//! the shell in the middle goes that way, too: the Receive that waits is answered because of it, and nothing is lost.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::leave::unsupported;
use super::shell::{AT_ONCE, Inside, PAUSE};
use super::{CallError, Service, ShellError};
use crate::remoting::psrp::{ErrorRecord, EventKind, PipelineState, PoolState};
use crate::remoting::wsman::{Disconnect, FaultKind, Receive, ReceiveResponse, Signal, SignalCode};

/// Events that wait for the caller. One may be as large as a value may be.
const WAITING: usize = 64;

/// How far a pipeline may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Then it is stopped. A deadline of ours: the server's timeouts say nothing about the life of a command.
    pub deadline: Option<Duration>,
    /// How long a stop may take before the pipeline is given up.
    pub grace: Duration,
    /// After so many bytes of output it is stopped.
    pub output: u64,
}

impl Default for Limits {
    /// No deadline, a minute to stop, 256 MiB of output.
    fn default() -> Self {
        Limits { deadline: None, grace: Duration::from_mins(1), output: 256 << 20 }
    }
}

/// Why a pipeline was stopped by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncated {
    /// Its deadline had passed.
    Deadline,
    /// It wrote too much. What came after the limit was thrown away.
    Output,
}

/// How a pipeline ended.
#[derive(Debug)]
pub enum End {
    /// The server told its last state.
    Finished {
        /// Completed, failed or stopped. None of them says what was done on the way.
        state: PipelineState,
        /// The error that ended it.
        terminating: Option<Box<ErrorRecord>>,
        /// Whether errors were reported on the way.
        had_errors: bool,
        /// Whether we stopped it.
        truncated: Option<Truncated>,
    },
    /// Nobody knows: it may still run. [`ShellError::may_have_acted`] is `true` in here.
    Lost(ShellError),
}

/// How the reading ended.
enum Stop {
    End(End),
    /// The shell was left, and the pipeline with it.
    Left,
}

/// A pipeline at work. Dropped before its end, it goes on on the server, and the shell can only be closed.
pub struct Running<'shell> {
    place: &'shell mut Option<Inside>,
    beside: Service,
    command_id: String,
    events: mpsc::Receiver<EventKind>,
    leave: oneshot::Sender<Disconnect>,
    task: JoinHandle<(Stop, Option<Inside>)>,
}

impl<'shell> Running<'shell> {
    pub(super) fn start(
        place: &'shell mut Option<Inside>,
        inside: Inside,
        beside: Service,
        id: Uuid,
        command_id: String,
        limits: Limits,
    ) -> Self {
        let (sender, events) = mpsc::channel(WAITING);
        let (leave, asked_to_leave) = oneshot::channel();
        let reader = Reader {
            stopper: beside.another(),
            inside,
            id,
            command_id: command_id.clone(),
            limits,
            events: Some(sender),
            received: 0,
            truncated: None,
            begun: Instant::now(),
            give_up: None,
            leave: Some(asked_to_leave),
        };
        Running { place, beside, command_id, events, leave, task: tokio::spawn(reader.run()) }
    }

    /// The next event, in the order of the server; `None` at the end. May be given up and called again.
    pub async fn next(&mut self) -> Option<EventKind> {
        self.events.recv().await
    }

    /// Asks the server to stop the pipeline. Its end still comes as an event.
    ///
    /// # Errors
    /// The server did not confirm it; the pipeline may go on.
    pub async fn stop(&mut self) -> Result<(), CallError> {
        signal(&mut self.beside, &self.command_id, SignalCode::Stop).await
    }

    /// Waits for the end. Events that were not taken are lost.
    pub async fn end(mut self) -> End {
        while self.events.recv().await.is_some() {}
        match self.stopped().await {
            Stop::End(end) => end,
            Stop::Left => End::Lost(ShellError::Left),
        }
    }

    /// Leaves the shell in the middle of the pipeline, which goes on. Gives the events that had come by then; with
    /// [`super::Shell::reconnect`] and [`super::Shell::resume`] the next ones are read. A pipeline that ended meanwhile
    /// shows its end among the events; then [`super::Shell::disconnect`] makes sure that the shell is left.
    ///
    /// # Errors
    /// The server does not know how ([`super::Shell::can_disconnect`] tells before) or did not confirm it. The pipeline is
    /// lost to this client then, and goes on.
    pub async fn disconnect(mut self, keep: Option<Duration>) -> Result<Vec<EventKind>, ShellError> {
        let (closed, _) = oneshot::channel();
        let leave = std::mem::replace(&mut self.leave, closed);
        // Where the task has ended, its end says why.
        let _ = leave.send(Disconnect { idle_timeout: keep, drop_output: false });
        let mut events = Vec::new();
        while let Some(event) = self.events.recv().await {
            events.push(event);
        }
        match self.stopped().await {
            Stop::Left | Stop::End(End::Finished { .. }) => Ok(events),
            Stop::End(End::Lost(error)) => Err(error),
        }
    }

    async fn stopped(&mut self) -> Stop {
        match (&mut self.task).await {
            Ok((stop, inside)) => {
                *self.place = inside;
                stop
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Stop::End(End::Lost(ShellError::Left)),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Nothing more is sent for a pipeline that nobody listens to.
        self.task.abort();
    }
}

/// Waits until the caller wants to leave, which may be never.
async fn wish(leave: &mut Option<oneshot::Receiver<Disconnect>>) -> Disconnect {
    if let Some(asked) = leave {
        let wish = asked.await;
        *leave = None;
        if let Ok(wish) = wish {
            return wish;
        }
    }
    std::future::pending().await
}

async fn signal(service: &mut Service, command_id: &str, code: SignalCode) -> Result<(), CallError> {
    service.call(&Signal { command_id: Some(command_id.to_owned()), code }).await.map(|_| ())
}

/// What the task owns.
struct Reader {
    inside: Inside,
    stopper: Service,
    id: Uuid,
    command_id: String,
    limits: Limits,
    events: Option<mpsc::Sender<EventKind>>,
    received: u64,
    truncated: Option<Truncated>,
    begun: Instant,
    /// When a stop has taken too long.
    give_up: Option<Instant>,
    /// When to leave the shell, and how.
    leave: Option<oneshot::Receiver<Disconnect>>,
}

impl Reader {
    async fn run(mut self) -> (Stop, Option<Inside>) {
        let end = loop {
            match self.round().await {
                Ok(Some(Stop::End(end))) => break end,
                Ok(Some(Stop::Left)) => return (Stop::Left, Some(self.inside)),
                Ok(None) => {}
                // Whatever happened, the pipeline had begun.
                Err(error) if error.may_have_acted() => return (Stop::End(End::Lost(error)), None),
                Err(error) => return (Stop::End(End::Lost(ShellError::Reading(Box::new(error)))), None),
            }
        };
        self.inside.pool.forget(self.id);
        if self.inside.pool.state() == PoolState::Disconnected {
            return (Stop::End(end), Some(self.inside));
        }
        // Frees what the server keeps of the command. It ended anyway, so a refusal changes nothing; but a connection that
        // broke here is of no more use.
        match signal(&mut self.inside.service, &self.command_id, SignalCode::Terminate).await {
            Ok(()) | Err(CallError::Fault(_)) => (Stop::End(end), Some(self.inside)),
            Err(_) => (Stop::End(end), None),
        }
    }

    /// One Receive and what follows from it.
    async fn round(&mut self) -> Result<Option<Stop>, ShellError> {
        let asked = Instant::now();
        let mut left = false;
        let able = self.inside.pool.can_leave();
        let receive = Receive::stdout(Some(&self.command_id));
        let response = {
            let due = self.due();
            let call = self.inside.service.call(&receive);
            tokio::pin!(call);
            tokio::select! {
                response = &mut call => response,
                leave = wish(&mut self.leave) => {
                    able?;
                    let farewell = self.stopper.call(&leave);
                    // The Receive is answered because of it: with what there was, or with a fault.
                    let both = async { tokio::join!(&mut call, farewell) };
                    let grace = self.limits.grace;
                    let late = |_| ShellError::Deadline { what: "leaving the shell", after: grace };
                    let (response, said) = tokio::time::timeout(grace, both).await.map_err(late)?;
                    said.map_err(unsupported)?;
                    left = true;
                    response
                }
                () = until(due) => {
                    // The Receive goes on: it will bring the end, or the time for that will pass, too.
                    if self.give_up.is_some() {
                        return Err(late(self.limits.grace));
                    }
                    self.truncated = Some(Truncated::Deadline);
                    let patience = Instant::now() + self.limits.grace;
                    self.give_up = Some(patience);
                    let stop = signal(&mut self.stopper, &self.command_id, SignalCode::Stop);
                    tokio::pin!(stop);
                    let mut stopped = false;
                    loop {
                        tokio::select! {
                            response = &mut call => break response,
                            // Refused or not: the end will show.
                            _ = &mut stop, if !stopped => stopped = true,
                            () = until(Some(patience)) => return Err(late(self.limits.grace)),
                        }
                    }
                }
            }
        };
        let response = match response {
            Ok(response) => response,
            Err(_) if left => ReceiveResponse::default(),
            Err(error) if error.fault_kind() == Some(FaultKind::TimedOut) => {
                if asked.elapsed() < AT_ONCE {
                    tokio::time::sleep(PAUSE).await;
                }
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let mut end = None;
        for chunk in response.output_of(Some(&self.command_id)).map_err(CallError::Malformed)? {
            self.received += chunk.data.len() as u64;
            for event in self.inside.pool.receive(Some(self.id), &chunk.data)? {
                if let EventKind::Finished { state, terminating } = &event.kind {
                    end = Some(self.finished(*state, terminating.clone()));
                }
                self.hand_over(event.kind).await?;
            }
        }
        if left {
            self.inside.pool.set_connected(false);
            return Ok(Some(end.map_or(Stop::Left, Stop::End)));
        }
        if let Some(end) = end {
            return Ok(Some(Stop::End(end)));
        }
        let outgoing = self.inside.pool.take_outgoing();
        self.inside.send(outgoing, Some(&self.command_id)).await?;
        if response.done {
            return Err(ShellError::NoState);
        }
        if self.received > self.limits.output && self.truncated.is_none() {
            self.truncated = Some(Truncated::Output);
            self.give_up = Some(Instant::now() + self.limits.grace);
            self.ask_to_stop().await?;
        }
        Ok(None)
    }

    fn finished(&self, state: PipelineState, terminating: Option<ErrorRecord>) -> End {
        let had_errors = self.inside.pool.pipeline(self.id).is_some_and(crate::remoting::psrp::Pipeline::had_errors);
        End::Finished { state, terminating: terminating.map(Box::new), had_errors, truncated: self.truncated }
    }

    /// Gives an event to the caller, and waits for room as long as there is time. Once the pipeline is being stopped for too
    /// much output, nothing but its end is handed over.
    async fn hand_over(&mut self, event: EventKind) -> Result<(), ShellError> {
        if self.truncated == Some(Truncated::Output) && !matches!(event, EventKind::Finished { .. }) {
            return Ok(());
        }
        let Some(events) = self.events.clone() else { return Ok(()) };
        loop {
            let due = self.due();
            tokio::select! {
                room = events.reserve() => {
                    match room {
                        Ok(room) => room.send(event),
                        // Nobody listens; the end is still of interest.
                        Err(_) => self.events = None,
                    }
                    return Ok(());
                }
                () = until(due) => {
                    if self.give_up.is_some() {
                        return Err(late(self.limits.grace));
                    }
                    self.truncated = Some(Truncated::Deadline);
                    self.give_up = Some(Instant::now() + self.limits.grace);
                    self.ask_to_stop().await?;
                }
            }
        }
    }

    /// Signals a stop. A refusal is no failure: the pipeline may have ended meanwhile, and that will show.
    async fn ask_to_stop(&mut self) -> Result<(), CallError> {
        match signal(&mut self.stopper, &self.command_id, SignalCode::Stop).await {
            Ok(()) | Err(CallError::Fault(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// When something must be done: the deadline, or once stopped the end of patience.
    fn due(&self) -> Option<Instant> {
        self.give_up.or_else(|| self.limits.deadline.map(|deadline| self.begun + deadline))
    }
}

fn late(after: Duration) -> ShellError {
    ShellError::Deadline { what: "stopping the pipeline", after }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
