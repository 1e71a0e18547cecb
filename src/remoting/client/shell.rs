//! Our own shell: open, run one pipeline after the other, close.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::running::{Limits, Running};
use super::{CallError, Service, ShellError};
use crate::remoting::http::Endpoint;
use crate::remoting::psrp::{CreatePipeline, EventKind, Outgoing, PROTOCOL, Pool, PoolOptions, PoolState};
use crate::remoting::wsman::{Command, Create, Delete, FaultKind, Receive, Send, names, room};

/// A server that answers "nothing yet" sooner than this would be asked without pause.
pub(super) const AT_ONCE: Duration = Duration::from_millis(100);
/// The pause before such a server is asked again.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// What a shell is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The session configuration, such as `Microsoft.PowerShell`.
    pub configuration: String,
    /// Whether the server may give a new shell another id than the one that it was asked for. Then nobody who only knows what
    /// was written down finds the shell: for what changes nothing.
    pub any_id: bool,
    /// A name for people who look at the server.
    pub name: Option<String>,
    /// How long the server waits with an answer when there is nothing to say.
    pub operation_timeout: Duration,
    /// How much longer we wait for it.
    pub slack: Duration,
    /// How long the server keeps the shell without a sign of us; its own idea if `None`.
    pub idle_timeout: Option<Duration>,
    /// How long opening may take, from the creation to the open runspace.
    pub open_within: Duration,
    /// The largest envelope in both directions.
    pub max_envelope_size: u32,
    /// Limits and wishes of the protocol inside. The size of payloads is computed.
    pub pool: PoolOptions,
}

impl Default for Settings {
    /// PowerShell's own configuration, 20 s per operation and 30 s more, ten minutes idle, a minute to open.
    fn default() -> Self {
        Settings {
            configuration: "Microsoft.PowerShell".to_owned(),
            any_id: false,
            name: None,
            operation_timeout: Duration::from_secs(20),
            slack: Duration::from_secs(30),
            idle_timeout: Some(Duration::from_mins(10)),
            open_within: Duration::from_mins(1),
            max_envelope_size: crate::remoting::wsman::MAX_ENVELOPE_SIZE,
            pool: PoolOptions::default(),
        }
    }
}

/// A shell with an open runspace.
pub struct Shell {
    /// Absent while a pipeline runs, and for good after one that was left.
    pub(super) inside: Option<Inside>,
    /// Another connection to the same shell, for what cannot wait.
    pub(super) beside: Service,
}

/// The connection and the protocol's state, which belong together.
pub(super) struct Inside {
    pub(super) service: Service,
    pub(super) pool: Pool,
}

impl Shell {
    /// Creates a shell with the id that the caller chose and wrote down, and waits for its runspace.
    ///
    /// # Errors
    /// [`ShellError::may_have_acted`] is `false` if there is certainly no shell of this id. Otherwise there may be one:
    /// [`super::terminate`] removes it. A server that gives it another id is refused, unless the settings allow that.
    pub async fn open(endpoint: Endpoint, shell_id: Uuid, settings: &Settings) -> Result<Self, ShellError> {
        let begun = Instant::now();
        let mut service = service(endpoint, settings);
        let mut options = settings.pool.clone();
        options.payload = payload(&service);
        let mut pool = Pool::new(shell_id, options);
        let create = Create {
            shell_id: Some(upper(shell_id)),
            name: settings.name.clone(),
            input_streams: "stdin pr".to_owned(),
            output_streams: "stdout".to_owned(),
            idle_timeout: settings.idle_timeout,
            creation: pool.open()?,
            protocol_version: Some(format!("{}.{}", PROTOCOL.0, PROTOCOL.1)),
        };
        let created = service.call(&create).await.map_err(ShellError::Call)?;
        let asked = is_id(&created.shell_id, shell_id);
        service.shell_id = Some(created.shell_id);
        if !asked && !settings.any_id {
            // Nothing runs in it yet. One that cannot be removed is removed by the server, after a while.
            let removed = service.call(&Delete).await.is_ok();
            return Err(ShellError::OtherId { given: service.shell_id.unwrap_or_default(), asked: upper(shell_id), removed });
        }
        let beside = service.another();
        let mut inside = Inside { service, pool };
        inside.opened(begun, settings.open_within).await?;
        Ok(Shell { inside: Some(inside), beside })
    }

    /// The id by which the server knows the shell.
    #[must_use]
    pub fn id(&self) -> &str {
        self.beside.shell_id.as_deref().unwrap_or_default()
    }

    /// Starts a pipeline. Its id, also the caller's to choose, must be new.
    ///
    /// # Errors
    /// [`ShellError::may_have_acted`] tells whether the pipeline can have begun.
    pub async fn run(&mut self, id: Uuid, pipeline: CreatePipeline, limits: Limits) -> Result<Running<'_>, ShellError> {
        let mut inside = self.inside.take().ok_or(ShellError::Left)?;
        let payloads = match inside.pool.create(id, pipeline) {
            Ok(payloads) => payloads,
            Err(error) => {
                self.inside = Some(inside);
                return Err(error.into());
            }
        };
        let mut payloads = payloads.into_iter();
        let command = Command { command_id: Some(upper(id)), arguments: payloads.next().unwrap_or_default() };
        let response = match inside.service.call(&command).await {
            Ok(response) => response,
            Err(error) => {
                inside.pool.forget(id);
                // The runspace is as it was only if the command never came to it.
                if !error.may_have_acted() {
                    self.inside = Some(inside);
                }
                return Err(error.into());
            }
        };
        for data in payloads {
            let send = Send { stream: "stdin".to_owned(), command_id: Some(response.command_id.clone()), data };
            // The pipeline has begun to arrive; whether it is complete is what nobody knows now.
            if let Err(error) = inside.service.call(&send).await {
                return Err(ShellError::Call(error));
            }
        }
        Ok(Running::start(&mut self.inside, inside, self.beside.another(), id, response.command_id, limits))
    }

    /// Removes the shell. A shell that is gone already is no error.
    ///
    /// # Errors
    /// The server did not confirm it.
    pub async fn close(mut self) -> Result<(), CallError> {
        let service = match &mut self.inside {
            Some(inside) => &mut inside.service,
            None => &mut self.beside,
        };
        match service.call(&Delete).await {
            Ok(_) => Ok(()),
            Err(error) if error.fault_kind() == Some(FaultKind::ShellNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Inside {
    /// Waits until the runspace is open, at most `within` since it was `begun`.
    pub(super) async fn opened(&mut self, begun: Instant, within: Duration) -> Result<(), ShellError> {
        let late = || ShellError::Deadline { what: "opening the runspace", after: within };
        while self.pool.state() != PoolState::Opened {
            let left = within.checked_sub(begun.elapsed()).ok_or_else(late)?;
            tokio::time::timeout(left, self.pool_events()).await.map_err(|_| late())??;
        }
        Ok(())
    }

    /// Waits for messages of the pool itself.
    async fn pool_events(&mut self) -> Result<(), ShellError> {
        let asked = Instant::now();
        let response = match self.service.call(&Receive::stdout(None)).await {
            Ok(response) => response,
            Err(error) if error.fault_kind() == Some(FaultKind::TimedOut) => {
                if asked.elapsed() < AT_ONCE {
                    tokio::time::sleep(PAUSE).await;
                }
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        for chunk in response.output_of(None).map_err(CallError::Malformed)? {
            for event in self.pool.receive(None, &chunk.data)? {
                if let EventKind::PoolState { state, error } = event.kind
                    && state.is_final()
                {
                    return Err(ShellError::NotOpened { error: error.map(Box::new) });
                }
            }
        }
        let outgoing = self.pool.take_outgoing();
        self.send(outgoing, None).await?;
        Ok(())
    }

    /// Sends what the protocol has to say because of what it received.
    pub(super) async fn send(&mut self, outgoing: Vec<Outgoing>, command_id: Option<&str>) -> Result<(), CallError> {
        for Outgoing { pipeline, stream, payload } in outgoing {
            let command_id = pipeline.and(command_id).map(str::to_owned);
            self.service.call(&Send { stream: stream.name().to_owned(), command_id, data: payload }).await?;
        }
        Ok(())
    }
}

/// The service that a shell of these settings is reached by.
pub(super) fn service(endpoint: Endpoint, settings: &Settings) -> Service {
    let mut service = Service::new(endpoint, names::configuration(&settings.configuration));
    service.operation_timeout = settings.operation_timeout;
    service.slack = settings.slack;
    service.max_envelope_size = settings.max_envelope_size;
    service
}

/// The bytes that fit into any request: ids have one length.
pub(super) fn payload(service: &Service) -> usize {
    let id = Some(upper(Uuid::nil()));
    let mut header = service.header();
    header.shell_id.clone_from(&id);
    let command = room(&header, &Command { command_id: id.clone(), arguments: Vec::new() });
    let send = room(&header, &Send { stream: "stdin".to_owned(), command_id: id, data: Vec::new() });
    command.min(send)
}

/// Whether a server's text is this id, as Windows writes it or otherwise.
fn is_id(text: &str, id: Uuid) -> bool {
    Uuid::try_parse(text.trim()).is_ok_and(|found| found == id)
}

/// Ids stand in upper case on the wire, as Windows writes them.
pub(super) fn upper(id: Uuid) -> String {
    id.hyphenated().to_string().to_uppercase()
}
