//! One shell: a runspace pool, the pipelines in it, and what waits to be received.
//!
//! A shell has one lock, never held over an `await` and never while the world is asked for. Every change is told to whoever
//! waits. A pipeline's phase decides what a stop does: before its work it never works, after it the work stands.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use uuid::Uuid;

use super::pool::{Asked, Pool, Stream};
use super::refusal;
use crate::remoting::psrp::{Body, Category, CreatePipeline, ErrorRecord, PipelineState, StateMessage};
use crate::remoting::wsman::{Chunk, Fault, ReceiveResponse, Signal, SignalCode};

/// What becomes of the answer that tells how a pipeline ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is sent.
    Sent,
    /// The connection closes before it.
    Lost,
    /// The connection closes in the middle of it.
    Cut,
    /// It is no envelope.
    Garbled,
}

/// How far a pipeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its message is not complete.
    Arriving,
    /// It does not work yet: what stops it now stops it for good.
    Waiting,
    /// It works: who wants it ended waits for that.
    Working,
    /// Its work is done, and nobody was told.
    Telling,
    /// Its last state is on its way.
    Ended,
}

/// Fragments that wait to be received.
#[derive(Debug, Default)]
struct Queue {
    fragments: VecDeque<Vec<u8>>,
    /// Nothing comes after them.
    is_last: bool,
    fate: Option<Fate>,
}

/// A command: a pipeline, and its stream.
#[derive(Debug)]
struct Command {
    stream: Stream,
    queue: Queue,
    phase: Phase,
}

/// What is in a shell.
#[derive(Debug)]
struct Inner {
    pool: Pool,
    stream: Stream,
    queue: Queue,
    commands: HashMap<Uuid, Command>,
    /// Ids of commands are used once.
    used: HashSet<Uuid>,
    is_connected: bool,
    is_gone: bool,
    idle_timeout: Duration,
    seen: Instant,
    /// Calls under way, which keep a shell from being idle.
    calls: usize,
}

/// One shell.
#[derive(Debug)]
pub struct Shell {
    /// Its id, as the client wrote it.
    pub id: String,
    /// The kind of shell that was asked for.
    pub resource: String,
    /// The account that opened it.
    pub owner: String,
    /// A name for people.
    pub name: Option<String>,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

/// A call under way.
pub struct Busy<'a>(&'a Shell);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.calls -= 1;
        inner.seen = Instant::now();
    }
}

impl Shell {
    /// A shell with an empty pool. `fragment` is the size of what it says, header included.
    pub fn new(
        (id, resource, owner, name): (String, String, String, Option<String>),
        pool: Option<Uuid>,
        fragment: usize,
        idle_timeout: Duration,
    ) -> Self {
        let inner = Inner {
            pool: Pool::new(pool, fragment),
            stream: Stream::new(None),
            queue: Queue::default(),
            commands: HashMap::new(),
            used: HashSet::new(),
            is_connected: true,
            is_gone: false,
            idle_timeout,
            seen: Instant::now(),
            calls: 0,
        };
        Shell { id, resource, owner, name, inner: Mutex::new(inner), changed: watch::channel(()).0 }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_replace(());
    }

    /// Marks a call as under way until the value goes.
    pub fn busy(&self) -> Busy<'_> {
        let mut inner = self.inner();
        inner.calls += 1;
        inner.seen = Instant::now();
        drop(inner);
        Busy(self)
    }

    /// When the shell is idle for too long, unless somebody calls before.
    pub fn expires(&self) -> Instant {
        let inner = self.inner();
        let from = if inner.calls > 0 { Instant::now() } else { inner.seen };
        // A day is far enough for a look.
        from + inner.idle_timeout.min(Duration::from_hours(24))
    }

    /// `Connected` or `Disconnected`.
    pub fn state(&self) -> &'static str {
        if self.inner().is_connected { "Connected" } else { "Disconnected" }
    }

    /// Refuses where nothing can be done with the shell.
    fn usable(&self) -> Result<MutexGuard<'_, Inner>, Fault> {
        let inner = self.inner();
        if inner.is_gone {
            return Err(refusal::gone(&self.id));
        }
        if inner.is_connected { Ok(inner) } else { Err(refusal::disconnected()) }
    }

    /// Takes the opening messages, or more for the pool.
    pub fn pool_input(&self, data: &[u8]) -> Result<(), Fault> {
        let mut guard = self.usable()?;
        let inner = &mut *guard;
        let done = inner.pool.receive(&mut inner.stream, data);
        inner.queue.fragments.extend(inner.pool.take_outgoing());
        self.tell();
        done.map(drop).map_err(|violation| refusal::plugin(&violation.to_string()))
    }

    /// Begins a command.
    pub fn begin(&self, id: Uuid) -> Result<(), Fault> {
        let mut inner = self.usable()?;
        if id.is_nil() || !inner.used.insert(id) {
            return Err(refusal::exists("The CommandId was used before."));
        }
        let command = Command { stream: Stream::new(Some(id)), queue: Queue::default(), phase: Phase::Arriving };
        inner.commands.insert(id, command);
        Ok(())
    }

    /// Takes input of a command, and gives the pipeline once its message is complete.
    pub fn command_input(&self, id: Uuid, data: &[u8]) -> Result<Option<Box<CreatePipeline>>, Fault> {
        let mut guard = self.usable()?;
        let inner = &mut *guard;
        let command = inner.commands.get_mut(&id).ok_or_else(no_command)?;
        let done = inner.pool.receive(&mut command.stream, data);
        inner.queue.fragments.extend(inner.pool.take_outgoing());
        self.tell();
        let asked = match done {
            Ok(asked) => asked,
            Err(violation) => {
                if command.phase == Phase::Arriving {
                    inner.commands.remove(&id);
                }
                return Err(refusal::plugin(&violation.to_string()));
            }
        };
        let mut pipelines = asked.into_iter().filter_map(|asked| match asked {
            Asked::Create { pipeline, .. } => Some(pipeline),
            Asked::Nothing => None,
        });
        let first = pipelines.next();
        if first.is_some() && command.phase != Phase::Arriving || pipelines.next().is_some() {
            return Err(refusal::plugin("a pipeline was created twice"));
        }
        if first.is_some() {
            command.phase = Phase::Waiting;
        }
        Ok(first)
    }

    /// Forgets a command that never began.
    pub fn forget(&self, id: Uuid) {
        self.inner().commands.remove(&id);
        self.tell();
    }

    /// A pipeline's phase; `None` once nobody wants to know.
    pub fn phase(&self, id: Uuid) -> Option<Phase> {
        let inner = self.inner();
        if inner.is_gone { None } else { inner.commands.get(&id).map(|command| command.phase) }
    }

    /// Brings a pipeline from one phase to the next. `false` if it was stopped before: then nothing may be done.
    pub fn advance(&self, id: Uuid, from: Phase, to: Phase) -> bool {
        let mut inner = self.inner();
        // Work that has begun in a shell comes to its end there, gone or not.
        let may = !inner.is_gone || from == Phase::Working;
        let advanced = match inner.commands.get_mut(&id) {
            Some(command) if may && command.phase == from => {
                command.phase = to;
                true
            }
            _ => false,
        };
        drop(inner);
        self.tell();
        advanced
    }

    /// Waits until the pipeline leaves this phase.
    pub async fn leaves(&self, id: Uuid, phase: Phase) {
        let mut changed = self.changed.subscribe();
        while self.phase(id) == Some(phase) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Puts everything that a pipeline gave into its queue, unless it was stopped before it could be told.
    pub fn end(&self, id: Uuid, said: Vec<Body>, fate: Fate) {
        let mut guard = self.inner();
        let inner = &mut *guard;
        if let Some(command) = inner.commands.get_mut(&id).filter(|command| command.phase != Phase::Ended) {
            for body in said {
                command.queue.fragments.extend(inner.pool.say(id, body));
            }
            command.queue.is_last = true;
            command.queue.fate = Some(fate);
            command.phase = Phase::Ended;
        }
        drop(guard);
        self.tell();
    }

    /// Waits for output: of a command, or of the pool. Gives what fits into the answer, and what becomes of it.
    pub async fn receive(&self, command: Option<Uuid>, limit: Duration, room: usize) -> Result<(ReceiveResponse, Fate), Fault> {
        let mut changed = self.changed.subscribe();
        let end = tokio::time::Instant::now() + limit;
        loop {
            if let Some(taken) = self.take(command, room)? {
                return Ok(taken);
            }
            tokio::select! {
                _ = changed.changed() => {}
                () = tokio::time::sleep_until(end) => return Err(refusal::timed_out()),
            }
            let inner = self.inner();
            let is_there = command.is_none_or(|id| inner.commands.contains_key(&id));
            if inner.is_gone || !inner.is_connected || !is_there {
                return Err(refusal::aborted());
            }
        }
    }

    fn take(&self, command: Option<Uuid>, room: usize) -> Result<Option<(ReceiveResponse, Fate)>, Fault> {
        let mut guard = self.usable()?;
        let queue = match command {
            None => &mut guard.queue,
            Some(id) => &mut guard.commands.get_mut(&id).ok_or_else(no_command)?.queue,
        };
        let command_id = command.map(|id| id.hyphenated().to_string().to_uppercase());
        let mut response = ReceiveResponse::default();
        let mut left = room;
        while let Some(fragment) = queue.fragments.front() {
            let cost = OF_A_STREAM + fragment.len().div_ceil(3) * 4;
            if cost > left {
                break;
            }
            left -= cost;
            let data = queue.fragments.pop_front().unwrap_or_default();
            response.chunks.push(Chunk { stream: "stdout".to_owned(), command_id: command_id.clone(), data });
        }
        if response.chunks.is_empty() {
            if queue.fragments.is_empty() {
                return Ok(None);
            }
            let text = "The response that the WS-Man service computed exceeds the MaxEnvelopeSize of the request.";
            return Err(refusal::encoding_limit(text));
        }
        response.done = queue.is_last && queue.fragments.is_empty();
        response.exit_code = response.done.then_some(0);
        // A fault meets the answer once; the next ones are as they should be, without what was in it.
        let fate = queue.fate.replace(Fate::Sent).filter(|_| queue.is_last).unwrap_or(Fate::Sent);
        Ok(Some((response, fate)))
    }

    /// `Signal`: answered when what was asked for is so.
    pub async fn signal(&self, signal: &Signal) -> Result<(), Fault> {
        let id = signal.command_id.as_deref().ok_or_else(no_command).and_then(command_id)?;
        if !self.usable()?.commands.contains_key(&id) {
            return Err(no_command());
        }
        match &signal.code {
            SignalCode::Stop => self.stop(id).await,
            SignalCode::Terminate => {
                self.stop(id).await;
                self.inner().commands.remove(&id);
                self.tell();
            }
            SignalCode::Other(code) => return Err(refusal::parameter(&format!("The signal {code} is unknown."))),
        }
        Ok(())
    }

    /// Stops a pipeline. When this returns, it will not work any more.
    async fn stop(&self, id: Uuid) {
        while !self.stop_now(id) {
            self.leaves(id, Phase::Working).await;
        }
    }

    /// Stops a pipeline that does not work at this moment; `false` if it does.
    fn stop_now(&self, id: Uuid) -> bool {
        let mut guard = self.inner();
        let inner = &mut *guard;
        let Some(command) = inner.commands.get_mut(&id) else { return true };
        match command.phase {
            Phase::Working => return false,
            Phase::Ended => return true,
            Phase::Arriving | Phase::Waiting | Phase::Telling => {}
        }
        let state = StateMessage { state: PipelineState::Stopped, error: Some(stopped()) };
        command.queue.fragments.extend(inner.pool.say(id, Body::PipelineState(state)));
        command.queue.is_last = true;
        command.phase = Phase::Ended;
        drop(guard);
        self.tell();
        true
    }

    /// Ends the shell at once: what waits in it never works, and nobody is told.
    pub fn lose(&self) {
        self.inner().is_gone = true;
        self.tell();
    }

    /// Waits until the shell is gone.
    pub async fn lost(&self) {
        let mut changed = self.changed.subscribe();
        while !self.inner().is_gone {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until nothing in a shell that was lost works any more.
    pub async fn quiet(&self) {
        let mut changed = self.changed.subscribe();
        while self.inner().commands.values().any(|command| command.phase == Phase::Working) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// The client leaves; the shell stays, at most as long as this without it.
    pub fn disconnect(&self, idle_timeout: Option<Duration>) -> Result<(), Fault> {
        let mut inner = self.usable()?;
        inner.is_connected = false;
        inner.idle_timeout = idle_timeout.unwrap_or(inner.idle_timeout);
        drop(inner);
        self.tell();
        Ok(())
    }

    /// The client is back.
    pub fn reconnect(&self) -> Result<(), Fault> {
        let mut inner = self.inner();
        if inner.is_gone {
            return Err(refusal::gone(&self.id));
        }
        inner.is_connected = true;
        Ok(())
    }
}

/// What a stream costs in an envelope besides its data: its element, with the id of a command.
const OF_A_STREAM: usize = 110;

fn no_command() -> Fault {
    refusal::parameter("There is no such command in the shell.")
}

/// The id of a command.
pub fn command_id(text: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| refusal::parameter("The CommandId is no UUID."))
}

fn stopped() -> ErrorRecord {
    ErrorRecord {
        exception_message: "The pipeline has been stopped.".to_owned(),
        exception_type: "System.Management.Automation.PipelineStoppedException".to_owned(),
        fully_qualified_id: "PipelineStopped".to_owned(),
        category: Category { number: 14, reason: "PipelineStoppedException".to_owned(), ..Category::default() },
        ..ErrorRecord::default()
    }
}
