//! The server's side of a runspace pool ([MS-PSRP] section 3.2), without any transport: bytes in, what is asked and bytes
//! out. As strict as Windows, and stricter where the specification is: a client that breaks a rule breaks its pool.

use std::collections::HashSet;

use uuid::Uuid;

use crate::remoting::clixml::{Limits, Value};
use crate::remoting::psrp::{
    Body, Category, CreatePipeline, Defragmenter, Destination, ErrorRecord, FRAGMENT_HEADER, FragmentLimits, Fragmenter, Header,
    Message, MessageType, PipelineState, PoolState, PsrpError, SessionCapability, StateMessage,
};

/// What a client may keep under way in one stream before its messages are complete.
const UNDER_WAY: FragmentLimits = FragmentLimits { bytes: 32 << 20, objects: 16 };
/// What one value may cost.
const VALUES: Limits = Limits { bytes: 64 << 20, depth: 64, nodes: 500_000 };

/// What a client asks of its pool.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// A pipeline is to be run.
    Create {
        /// Its id, which is the command's.
        id: Uuid,
        /// What is to be run.
        pipeline: Box<CreatePipeline>,
    },
    /// Nothing that needs to be done.
    Nothing,
}

/// A rule that a client broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It is no PSRP.
    #[error(transparent)]
    Psrp(#[from] PsrpError),
    /// A message came at a time that is not its own.
    #[error("a message {0:?} came while the pool was {1:?}")]
    Early(MessageType, PoolState),
    /// A message that only servers send.
    #[error("a message {0:?} is none that a client sends")]
    NotOurs(MessageType),
    /// The pool's id is not that of the shell, or changed.
    #[error("a message {0:?} is for the pool {1}, and the pool is {2}")]
    OtherPool(MessageType, Uuid, Uuid),
    /// A message of a pipeline came on the stream of another, or of the pool.
    #[error("a message {0:?} came on the stream of another pipeline, or of the pool")]
    OtherPipeline(MessageType),
    /// An object's number was used before.
    #[error("the object {0} came a second time")]
    ObjectAgain(u64),
}

/// A stream of a client: that of the pool, or that of one pipeline.
#[derive(Debug)]
pub struct Stream {
    pipeline: Option<Uuid>,
    fragments: Defragmenter,
}

impl Stream {
    /// The stream of the pool, or of a pipeline.
    #[must_use]
    pub fn new(pipeline: Option<Uuid>) -> Self {
        Stream { pipeline, fragments: Defragmenter::new(UNDER_WAY).growing() }
    }
}

/// A runspace pool as its server sees it.
#[derive(Debug)]
pub struct Pool {
    id: Option<Uuid>,
    state: PoolState,
    objects: HashSet<u64>,
    fragmenter: Fragmenter,
    /// Bytes that one fragment may have, its header included.
    fragment: usize,
    runspaces: i32,
    outgoing: Vec<Vec<u8>>,
}

impl Pool {
    /// A pool for a shell whose id the client chose, if it did.
    #[must_use]
    pub fn new(id: Option<Uuid>, fragment: usize) -> Self {
        Pool {
            id,
            state: PoolState::BeforeOpen,
            objects: HashSet::new(),
            fragmenter: Fragmenter::default(),
            fragment,
            runspaces: 1,
            outgoing: Vec::new(),
        }
    }

    /// The fragments for the pool's own stream. Each is taken once.
    pub fn take_outgoing(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.outgoing)
    }

    /// Takes what a client sent on one of its streams.
    ///
    /// # Errors
    /// A rule is broken, and the pool with it: that is what its own stream says from then on.
    pub fn receive(&mut self, stream: &mut Stream, payload: &[u8]) -> Result<Vec<Asked>, Violation> {
        let mut asked = Vec::new();
        let done = self.numbers(payload).and_then(|()| {
            let (messages, failed) = stream.fragments.push(payload);
            for message in &messages {
                asked.push(self.message(stream.pipeline, message)?);
            }
            failed.map_or(Ok(()), |error| Err(error.into()))
        });
        if let Err(violation) = done {
            self.break_by(&violation);
            return Err(violation);
        }
        Ok(asked)
    }

    /// The fragments of a message of a pipeline.
    pub fn say(&mut self, pipeline: Uuid, body: Body) -> Vec<Vec<u8>> {
        self.fragments(Some(pipeline), body)
    }

    /// Numbers of objects are used once, on whatever stream.
    fn numbers(&mut self, payload: &[u8]) -> Result<(), Violation> {
        let mut rest = payload;
        while let Some(header) = rest.get(..FRAGMENT_HEADER) {
            let number = |from: usize| <[u8; 8]>::try_from(&header[from..from + 8]).map(u64::from_be_bytes);
            let (Ok(object), Ok(fragment)) = (number(0), number(8)) else { break };
            if fragment == 0 && !self.objects.insert(object) {
                return Err(Violation::ObjectAgain(object));
            }
            let length = u32::from_be_bytes([header[17], header[18], header[19], header[20]]) as usize;
            rest = rest[FRAGMENT_HEADER..].get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn message(&mut self, stream: Option<Uuid>, bytes: &[u8]) -> Result<Asked, Violation> {
        let (header, body) = Header::decode(bytes)?;
        let kind = MessageType::of(header.kind).ok_or(PsrpError::UnknownType { kind: header.kind })?;
        if header.destination != Destination::Server {
            return Err(PsrpError::Misdirected(kind).into());
        }
        let id = *self.id.get_or_insert(header.pool);
        if header.pool != id || id.is_nil() {
            return Err(Violation::OtherPool(kind, header.pool, id));
        }
        if header.pipeline != stream {
            return Err(Violation::OtherPipeline(kind));
        }
        let due = match kind {
            MessageType::SessionCapability => PoolState::BeforeOpen,
            MessageType::InitRunspacePool => PoolState::NegotiationSucceeded,
            _ => PoolState::Opened,
        };
        if self.state != due {
            return Err(Violation::Early(kind, self.state));
        }
        let of_pipeline = matches!(
            kind,
            MessageType::CreatePipeline
                | MessageType::PipelineInput
                | MessageType::EndOfPipelineInput
                | MessageType::PipelineHostResponse
        );
        if of_pipeline != stream.is_some() {
            return Err(Violation::OtherPipeline(kind));
        }
        match Body::decode(header.kind, body, VALUES)? {
            Body::SessionCapability(capability) => {
                capability.agreed()?;
                self.state = PoolState::NegotiationSucceeded;
                self.tell(Body::SessionCapability(SessionCapability::default()));
            }
            Body::InitRunspacePool(init) => {
                self.runspaces = init.max_runspaces;
                self.state = PoolState::Opened;
                self.tell(Body::ApplicationPrivateData(private_data()));
                self.tell(Body::RunspacePoolState(StateMessage { state: PoolState::Opened, error: None }));
            }
            Body::CreatePipeline(pipeline) => {
                let id = stream.unwrap_or_else(|| unreachable!("it came on the stream of a pipeline"));
                return Ok(Asked::Create { id, pipeline });
            }
            Body::Other(kind, value) => self.manage(kind, &value)?,
            // Nothing here waits for input, for a host or for a key.
            Body::PipelineInput(_)
            | Body::EndOfPipelineInput
            | Body::PipelineHostResponse(_)
            | Body::RunspacePoolHostResponse(_)
            | Body::PublicKey(_) => {}
            _ => return Err(Violation::NotOurs(kind)),
        }
        Ok(Asked::Nothing)
    }

    /// Requests about runspaces ([MS-PSRP] sections 2.2.2.6 to 2.2.2.8, 2.2.2.11).
    fn manage(&mut self, kind: MessageType, value: &Value) -> Result<(), Violation> {
        let ci = value.get("ci").and_then(Value::as_i64);
        let number = |field: &'static str| {
            let found = value.get(field).and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok());
            found.filter(|number| *number > 0).ok_or(PsrpError::Field { kind, field })
        };
        let response = match kind {
            MessageType::GetAvailableRunspaces => Value::I64(i64::from(self.runspaces)),
            MessageType::SetMaxRunspaces => {
                self.runspaces = number("MaxRunspaces")?;
                Value::Bool(true)
            }
            MessageType::SetMinRunspaces => Value::Bool(number("MinRunspaces")? <= self.runspaces),
            MessageType::ResetRunspaceState => Value::Bool(true),
            _ => return Err(Violation::NotOurs(kind)),
        };
        let ci = ci.ok_or(PsrpError::Field { kind, field: "ci" })?;
        let body = Value::object([("SetMinMaxRunspacesResponse", response), ("ci", Value::I64(ci))]);
        self.tell(Body::Other(MessageType::RunspaceAvailability, body));
        Ok(())
    }

    fn break_by(&mut self, violation: &Violation) {
        let error = ErrorRecord {
            exception_message: violation.to_string(),
            exception_type: "System.Management.Automation.Remoting.PSRemotingDataStructureException".to_owned(),
            fully_qualified_id: "RemotingProtocolError".to_owned(),
            category: Category { number: 20 + 6, reason: "PSRemotingDataStructureException".to_owned(), ..Category::default() },
            ..ErrorRecord::default()
        };
        self.state = PoolState::Broken;
        self.tell(Body::RunspacePoolState(StateMessage { state: PoolState::Broken, error: Some(error) }));
    }

    fn tell(&mut self, body: Body) {
        let fragments = self.fragments(None, body);
        self.outgoing.extend(fragments);
    }

    fn fragments(&mut self, pipeline: Option<Uuid>, body: Body) -> Vec<Vec<u8>> {
        let pool = self.id.unwrap_or_default();
        let message = |body: Body| Message { destination: Destination::Client, pool, pipeline, body }.encode();
        let bytes = message(body).or_else(|error| {
            // A value that is nested too deep; PowerShell cuts it off, the lab says so.
            message(Body::PipelineState(StateMessage {
                state: PipelineState::Failed,
                error: Some(plain_error(&error.to_string())),
            }))
        });
        let Ok(bytes) = bytes else { unreachable!("a plain error is not nested") };
        let Ok(fragments) = self.fragmenter.fragments(&bytes, self.fragment) else {
            unreachable!("an envelope without room for a fragment opens no pool")
        };
        fragments
    }
}

/// An error with nothing but a message.
#[must_use]
pub fn plain_error(message: &str) -> ErrorRecord {
    ErrorRecord {
        exception_message: message.to_owned(),
        exception_type: "System.Management.Automation.RuntimeException".to_owned(),
        category: Category { reason: "RuntimeException".to_owned(), ..Category::default() },
        ..ErrorRecord::default()
    }
}

/// What a server tells about itself: `$PSVersionTable`, of PowerShell 5.1.
fn private_data() -> Value {
    let version = |text: &str| Value::Version(text.to_owned());
    let compatible = ["1.0", "2.0", "3.0", "4.0", "5.0", "5.1.17763.1"].map(version);
    let table = Value::dictionary([
        ("PSVersion", version("5.1.17763.1")),
        ("PSEdition", Value::from("Desktop")),
        ("PSCompatibleVersions", Value::array(compatible)),
        ("CLRVersion", version("4.0.30319.42000")),
        ("BuildVersion", version("10.0.17763.1")),
        ("WSManStackVersion", version("3.0")),
        ("PSRemotingProtocolVersion", version("2.3")),
        ("SerializationVersion", version("1.1.0.1")),
    ]);
    Value::dictionary([("PSVersionTable", table)])
}
