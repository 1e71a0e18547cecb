//! The client's side of a runspace pool and its pipelines ([MS-PSRP] section 3.1), without any transport.
//!
//! ```text
//! open() → the bytes of creationXml          receive(None, …) until PoolState(Opened)
//! create(id, …) → payloads                   the first goes with the command, the others as input of the pipeline
//!                                            receive(Some(id), …) until Finished
//! take_outgoing()                            after every receive: answers that are due
//!
//! connect() → the bytes of connectXml        instead of open(), to take over a pool that another client left
//! adopt(id)                                  then receive(Some(id), …) as for a pipeline of our own
//! ```
//!
//! A message that cannot be read becomes an event and the others go on; a stream whose fragments make no sense ends
//! everything, because nothing after that can be trusted.

use std::collections::HashMap;

use uuid::Uuid;

use super::PsrpError;
use super::capability::{InitRunspacePool, SessionCapability};
use super::command::CreatePipeline;
use super::event::{Event, EventKind, Outgoing, Stream};
use super::fragment::{Defragmenter, FragmentLimits, Fragmenter};
use super::message::{Body, Destination, Header, Message, MessageType};
use super::pipeline::{Pipeline, record};
use super::secure::holds_secure_string;
use super::state::PoolState;
use crate::remoting::clixml::{Limits, Value};

/// What a pool is given at its start.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolOptions {
    /// Bytes that one payload may have, a fragment's header included, before it is encoded for the transport.
    pub payload: usize,
    /// What the server is asked for.
    pub init: InitRunspacePool,
    /// What one value may cost.
    pub values: Limits,
    /// What fragments may cost before their messages are complete.
    pub fragments: FragmentLimits,
}

impl Default for PoolOptions {
    /// One runspace; payloads that fit with room to spare into an envelope of 150 kB, which every server accepts.
    fn default() -> Self {
        PoolOptions {
            payload: 110_000,
            init: InitRunspacePool::default(),
            values: Limits::default(),
            fragments: FragmentLimits::default(),
        }
    }
}

/// A runspace pool as its client sees it.
#[derive(Debug)]
pub struct Pool {
    id: Uuid,
    options: PoolOptions,
    state: PoolState,
    fragmenter: Fragmenter,
    stream: Defragmenter,
    server: Option<SessionCapability>,
    protocol: (u32, u32),
    private_data: Option<Value>,
    pipelines: HashMap<Uuid, Pipeline>,
    outgoing: Vec<Outgoing>,
    /// Another client opened it.
    taken_over: bool,
    /// Why nothing more can be received.
    failed: Option<PsrpError>,
}

impl Pool {
    /// A pool that is not open yet. The id is the client's to choose and is the shell's too.
    #[must_use]
    pub fn new(id: Uuid, options: PoolOptions) -> Self {
        let stream = Defragmenter::new(options.fragments);
        Pool {
            id,
            options,
            state: PoolState::BeforeOpen,
            fragmenter: Fragmenter::default(),
            stream,
            server: None,
            protocol: super::PROTOCOL,
            private_data: None,
            pipelines: HashMap::new(),
            outgoing: Vec::new(),
            taken_over: false,
            failed: None,
        }
    }

    /// The pool's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The pool's state, as the server told it last.
    #[must_use]
    pub fn state(&self) -> PoolState {
        self.state
    }

    /// Which versions the server speaks, once it said so.
    #[must_use]
    pub fn server(&self) -> Option<&SessionCapability> {
        self.server.as_ref()
    }

    /// What the server told about itself.
    #[must_use]
    pub fn private_data(&self) -> Option<&Value> {
        self.private_data.as_ref()
    }

    /// A pipeline that was created here and not forgotten.
    #[must_use]
    pub fn pipeline(&self, id: Uuid) -> Option<&Pipeline> {
        self.pipelines.get(&id)
    }

    /// Frees what is kept of a pipeline. What still comes from it is skipped.
    pub fn forget(&mut self, id: Uuid) {
        self.pipelines.remove(&id);
    }

    /// Changes the bytes that one payload may have: a server of a newer version may accept larger envelopes.
    pub fn set_payload(&mut self, payload: usize) {
        self.options.payload = payload;
    }

    fn fragments(&mut self, pipeline: Option<Uuid>, body: Body) -> Result<Vec<Vec<u8>>, PsrpError> {
        let message = Message { destination: Destination::Server, pool: self.id, pipeline, body };
        self.fragmenter.fragments(&message.encode()?, self.options.payload)
    }

    /// The opening messages, for the shell's creation: all in one payload.
    ///
    /// # Errors
    /// The pool was opened before, or the application arguments cannot be written.
    pub fn open(&mut self) -> Result<Vec<u8>, PsrpError> {
        if self.state != PoolState::BeforeOpen {
            return Err(PsrpError::PoolState(self.state));
        }
        let mut payload = self.fragments(None, Body::SessionCapability(SessionCapability::default()))?.concat();
        let init = self.options.init.clone();
        payload.extend(self.fragments(None, Body::InitRunspacePool(init))?.concat());
        self.state = PoolState::Opening;
        Ok(payload)
    }

    /// The messages of a client that takes over a pool which another one left ([MS-PSRP] section 3.1.4.10): all in one
    /// payload. The pool's id is that of the shell.
    ///
    /// # Errors
    /// The pool was opened before.
    pub fn connect(&mut self) -> Result<Vec<u8>, PsrpError> {
        if self.state != PoolState::BeforeOpen {
            return Err(PsrpError::PoolState(self.state));
        }
        let mut payload = self.fragments(None, Body::SessionCapability(SessionCapability::default()))?.concat();
        // Without numbers of runspaces: they stay as they are.
        let nothing = Value::object(Vec::<(String, Value)>::new());
        payload.extend(self.fragments(None, Body::Other(MessageType::ConnectRunspacePool, nothing))?.concat());
        self.state = PoolState::Connecting;
        self.taken_over = true;
        Ok(payload)
    }

    /// Makes a pipeline known that another client created in this pool. What its first client was sent does not come again.
    ///
    /// # Errors
    /// The pool is not open, or the pipeline is known.
    pub fn adopt(&mut self, id: Uuid) -> Result<(), PsrpError> {
        if self.state != PoolState::Opened {
            return Err(PsrpError::PoolState(self.state));
        }
        if id.is_nil() || self.pipelines.contains_key(&id) {
            return Err(PsrpError::PipelineId(id));
        }
        let stream = Defragmenter::new(self.options.fragments).joining();
        self.pipelines.insert(id, Pipeline::new(false, stream));
        Ok(())
    }

    /// The pool goes on without a client, or with the same one again.
    pub fn set_connected(&mut self, connected: bool) {
        match (self.state, connected) {
            (PoolState::Opened, false) => self.state = PoolState::Disconnected,
            (PoolState::Disconnected, true) => self.state = PoolState::Opened,
            _ => {}
        }
    }

    /// The payloads that create a pipeline, in order: the first goes with the command, the others as its input.
    /// The command's id on the transport must be `id`.
    ///
    /// # Errors
    /// The pool is not open, the id was used, there is no command, a value cannot be written, or it holds a secure string.
    /// Nothing was sent then.
    pub fn create(&mut self, id: Uuid, mut pipeline: CreatePipeline) -> Result<Vec<Vec<u8>>, PsrpError> {
        if self.state != PoolState::Opened {
            return Err(PsrpError::PoolState(self.state));
        }
        if id.is_nil() || self.pipelines.contains_key(&id) {
            return Err(PsrpError::PipelineId(id));
        }
        if pipeline.statements.is_empty() || pipeline.statements.iter().any(Vec::is_empty) {
            return Err(PsrpError::NoCommand);
        }
        let arguments = pipeline.statements.iter().flatten().flat_map(|command| &command.arguments);
        if arguments.into_iter().any(|argument| holds_secure_string(&argument.value)) {
            return Err(PsrpError::SecureString);
        }
        pipeline.protocol = pipeline.protocol.min(self.protocol);
        let takes_input = !pipeline.no_input;
        let payloads = self.fragments(Some(id), Body::CreatePipeline(Box::new(pipeline)))?;
        let stream = Defragmenter::new(self.options.fragments);
        self.pipelines.insert(id, Pipeline::new(takes_input, stream));
        Ok(payloads)
    }

    fn taking_input(&mut self, id: Uuid) -> Result<&mut Pipeline, PsrpError> {
        let pipeline = self.pipelines.get_mut(&id).ok_or(PsrpError::NoPipeline(id))?;
        if pipeline.takes_input() { Ok(pipeline) } else { Err(PsrpError::PipelineState(pipeline.state())) }
    }

    /// The payloads that pipe a value into a pipeline.
    ///
    /// # Errors
    /// The pipeline is unknown or takes no input, or the value cannot be written.
    pub fn input(&mut self, id: Uuid, value: Value) -> Result<Vec<Vec<u8>>, PsrpError> {
        self.taking_input(id)?;
        if holds_secure_string(&value) {
            return Err(PsrpError::SecureString);
        }
        self.fragments(Some(id), Body::PipelineInput(value))
    }

    /// The payload that ends a pipeline's input.
    ///
    /// # Errors
    /// The pipeline is unknown or takes no input.
    pub fn end_input(&mut self, id: Uuid) -> Result<Vec<Vec<u8>>, PsrpError> {
        self.taking_input(id)?.end_input();
        self.fragments(Some(id), Body::EndOfPipelineInput)
    }

    /// The payload that gives the server the client's key.
    ///
    /// # Errors
    /// The pool is not open.
    pub fn public_key(&mut self, key: String) -> Result<Vec<Vec<u8>>, PsrpError> {
        if self.state != PoolState::Opened {
            return Err(PsrpError::PoolState(self.state));
        }
        self.fragments(None, Body::PublicKey(key))
    }

    /// What is to be sent because of what was received. Each is taken once.
    pub fn take_outgoing(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }

    /// Takes one payload from the stream of the pool (`None`) or of a pipeline.
    ///
    /// # Errors
    /// The fragments make no sense, a message is not for this client, or the server speaks another version. The pool is
    /// broken then, and what its pipelines did is unknown. What the payload held before that is still given; the error
    /// comes with the next call.
    pub fn receive(&mut self, from: Option<Uuid>, payload: &[u8]) -> Result<Vec<Event>, PsrpError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let stream = match from {
            None => Some(&mut self.stream),
            Some(id) => self.pipelines.get_mut(&id).map(|pipeline| &mut pipeline.stream),
        };
        let Some(stream) = stream else {
            let note = "output of a pipeline that is unknown here, or was forgotten".to_owned();
            return Ok(vec![Event { pipeline: from, kind: EventKind::Skipped(note) }]);
        };
        let mut events = Vec::new();
        let (messages, failed) = stream.push(payload);
        let failed = messages
            .iter()
            .try_for_each(|message| {
                events.push(self.message(message)?);
                Ok(())
            })
            .err()
            .or(failed);
        if let Some(error) = failed {
            self.state = PoolState::Broken;
            self.failed = Some(error.clone());
            if events.is_empty() {
                return Err(error);
            }
        }
        Ok(events)
    }

    fn message(&mut self, bytes: &[u8]) -> Result<Event, PsrpError> {
        let (header, body) = Header::decode(bytes)?;
        let pipeline = header.pipeline;
        let kind = MessageType::of(header.kind);
        // Before the first message of the server, some do not know the pool's id.
        let is_ours = header.pool == self.id || header.pool.is_nil() && kind == Some(MessageType::SessionCapability);
        if header.destination != Destination::Client || !is_ours {
            return Err(match kind {
                Some(kind) => PsrpError::Misdirected(kind),
                None => PsrpError::UnknownType { kind: header.kind },
            });
        }
        let body = match Body::decode(header.kind, body, self.options.values) {
            Ok(body) => body,
            // Without the versions nothing can go on.
            Err(error) if kind == Some(MessageType::SessionCapability) => return Err(error),
            Err(error) => return Ok(Event { pipeline, kind: EventKind::Skipped(error.to_string()) }),
        };
        let kind = match pipeline {
            Some(id) => self.pipeline_message(id, body)?,
            None => self.pool_message(body)?,
        };
        Ok(Event { pipeline, kind })
    }

    fn pipeline_message(&mut self, id: Uuid, body: Body) -> Result<EventKind, PsrpError> {
        let Some(pipeline) = self.pipelines.get_mut(&id) else {
            let note = format!("a message {:?} of a pipeline that is unknown here, or was forgotten", body.kind());
            return Ok(EventKind::Skipped(note));
        };
        let event = pipeline.receive(body);
        if let EventKind::HostCall { call, refused: true } = &event {
            let refusal = Body::PipelineHostResponse(call.refused());
            self.answer(Some(id), refusal)?;
        }
        Ok(event)
    }

    fn answer(&mut self, pipeline: Option<Uuid>, body: Body) -> Result<(), PsrpError> {
        let payloads = self.fragments(pipeline, body)?.into_iter();
        self.outgoing.extend(payloads.map(|payload| Outgoing { pipeline, stream: Stream::PromptResponse, payload }));
        Ok(())
    }

    fn pool_message(&mut self, body: Body) -> Result<EventKind, PsrpError> {
        Ok(match body {
            Body::SessionCapability(capability) => {
                self.protocol = capability.agreed()?;
                self.server = Some(capability);
                if matches!(self.state, PoolState::Opening | PoolState::Connecting) {
                    self.state = PoolState::NegotiationSucceeded;
                }
                EventKind::PoolState { state: self.state, error: None }
            }
            Body::RunspacePoolState(message) => {
                // A pool that ended does not come back, and none opens before the versions are known.
                if self.state.is_final() || message.state == PoolState::Opened && self.server.is_none() {
                    return Ok(EventKind::Skipped(format!(
                        "the state {:?} came while the pool was {:?}",
                        message.state, self.state
                    )));
                }
                self.state = message.state;
                EventKind::PoolState { state: message.state, error: message.error }
            }
            // A pool that was taken over is open with this; the one who opens it gets no such message.
            Body::Other(MessageType::RunspacePoolInitData, _)
                if self.taken_over && self.state == PoolState::NegotiationSucceeded =>
            {
                self.state = PoolState::Opened;
                EventKind::PoolState { state: self.state, error: None }
            }
            Body::ApplicationPrivateData(data) => {
                self.private_data = Some(data.clone());
                EventKind::PrivateData(data)
            }
            Body::RunspacePoolHostCall(call) => {
                let refused = !call.method.is_void();
                if refused {
                    self.answer(None, Body::RunspacePoolHostResponse(call.refused()))?;
                }
                EventKind::HostCall { call, refused }
            }
            Body::PublicKeyRequest => EventKind::KeyRequested,
            Body::EncryptedSessionKey(key) => EventKind::SessionKey(key),
            other => record(other)
                .unwrap_or_else(|kind| EventKind::Skipped(format!("a message {kind:?} has no place in a pool's stream"))),
        })
    }
}
