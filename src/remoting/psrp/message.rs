//! Messages ([MS-PSRP] section 2.2.1): a header in little-endian order, ids in the mixed order of .NET, and a body in
//! CLIXML behind a byte order mark.

use uuid::Uuid;

use super::PsrpError;
use super::capability::{InitRunspacePool, SessionCapability};
use super::command::CreatePipeline;
use super::error_record::ErrorRecord;
use super::fields::Fields;
use super::host::{HostCall, HostResponse};
use super::records::{InformationRecord, InformationalRecord, ProgressRecord};
use super::state::{PipelineState, PoolState, StateMessage, decode_pipeline, decode_pool};
use crate::remoting::clixml::{self, Limits, Value};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const HEADER: usize = 40;

/// For whom a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// From the server.
    Client,
    /// From the client.
    Server,
}

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $number:literal),* $(,)?) => {
        /// The types of messages ([MS-PSRP] section 2.2.1).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum MessageType {
            $($(#[$doc])* $name,)*
        }

        impl MessageType {
            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u32 {
                match self {
                    $(MessageType::$name => $number,)*
                }
            }

            /// The type of this number.
            #[must_use]
            pub fn of(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(MessageType::$name),)*
                    _ => None,
                }
            }
        }
    };
}

types! {
    /// Which versions a side speaks.
    SessionCapability = 0x0001_0002,
    /// What the client wants of its pool.
    InitRunspacePool = 0x0001_0004,
    /// The client's key, for secure strings.
    PublicKey = 0x0001_0005,
    /// The session's key, under the client's.
    EncryptedSessionKey = 0x0001_0006,
    /// The server asks for the client's key.
    PublicKeyRequest = 0x0001_0007,
    /// Another client takes over.
    ConnectRunspacePool = 0x0001_0008,
    /// More or fewer runspaces.
    SetMaxRunspaces = 0x0002_1002,
    /// More or fewer runspaces.
    SetMinRunspaces = 0x0002_1003,
    /// The answer to requests about runspaces.
    RunspaceAvailability = 0x0002_1004,
    /// The pool's state.
    RunspacePoolState = 0x0002_1005,
    /// A pipeline to create.
    CreatePipeline = 0x0002_1006,
    /// How many runspaces are free?
    GetAvailableRunspaces = 0x0002_1007,
    /// An event of a script.
    UserEvent = 0x0002_1008,
    /// What the server tells about itself.
    ApplicationPrivateData = 0x0002_1009,
    /// Which commands are there?
    GetCommandMetadata = 0x0002_100a,
    /// Numbers of a pool that another client takes over.
    RunspacePoolInitData = 0x0002_100b,
    /// Variables are to be forgotten.
    ResetRunspaceState = 0x0002_100c,
    /// A call to the pool's host.
    RunspacePoolHostCall = 0x0002_1100,
    /// Its answer.
    RunspacePoolHostResponse = 0x0002_1101,
    /// An object that is piped in.
    PipelineInput = 0x0004_1002,
    /// Nothing more will be piped in.
    EndOfPipelineInput = 0x0004_1003,
    /// An object that comes out.
    PipelineOutput = 0x0004_1004,
    /// An error that did not end the pipeline.
    ErrorRecord = 0x0004_1005,
    /// The pipeline's state.
    PipelineState = 0x0004_1006,
    /// A debug message.
    Debug = 0x0004_1007,
    /// A verbose message.
    Verbose = 0x0004_1008,
    /// A warning.
    Warning = 0x0004_1009,
    /// How far the pipeline is.
    Progress = 0x0004_1010,
    /// Information.
    Information = 0x0004_1011,
    /// A call to the pipeline's host.
    PipelineHostCall = 0x0004_1100,
    /// Its answer.
    PipelineHostResponse = 0x0004_1101,
}

/// What stands before the body of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// For whom.
    pub destination: Destination,
    /// The number of the type, known or not.
    pub kind: u32,
    /// The pool's id.
    pub pool: Uuid,
    /// The pipeline's id; none where the message concerns the pool.
    pub pipeline: Option<Uuid>,
}

impl Header {
    /// The header of a message, and its body.
    ///
    /// # Errors
    /// The bytes are fewer than a header, or the destination is neither client nor server.
    pub fn decode(message: &[u8]) -> Result<(Header, &[u8]), PsrpError> {
        let parts = || {
            let number = |from: usize| Some(u32::from_le_bytes(message.get(from..from + 4)?.try_into().ok()?));
            let id = |from: usize| Some(Uuid::from_bytes_le(message.get(from..from + 16)?.try_into().ok()?));
            Some((number(0)?, number(4)?, id(8)?, id(24)?, message.get(HEADER..)?))
        };
        let (destination, kind, pool, pipeline, body) = parts().ok_or(PsrpError::ShortMessage(message.len()))?;
        let destination = match destination {
            1 => Destination::Client,
            2 => Destination::Server,
            other => return Err(PsrpError::Destination(other)),
        };
        Ok((Header { destination, kind, pool, pipeline: Some(pipeline).filter(|id| !id.is_nil()) }, body))
    }

    fn encode(&self) -> Vec<u8> {
        let destination: u32 = match self.destination {
            Destination::Client => 1,
            Destination::Server => 2,
        };
        let mut bytes = destination.to_le_bytes().to_vec();
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(self.pool.to_bytes_le());
        bytes.extend(self.pipeline.unwrap_or_default().to_bytes_le());
        bytes
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// For whom.
    pub destination: Destination,
    /// The pool's id.
    pub pool: Uuid,
    /// The pipeline's id; none where the message concerns the pool.
    pub pipeline: Option<Uuid>,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// `SESSION_CAPABILITY`.
    SessionCapability(SessionCapability),
    /// `INIT_RUNSPACEPOOL`.
    InitRunspacePool(InitRunspacePool),
    /// `PUBLIC_KEY`: the key in Base64, opaque.
    PublicKey(String),
    /// `ENCRYPTED_SESSION_KEY`: the key in Base64, opaque.
    EncryptedSessionKey(String),
    /// `PUBLIC_KEY_REQUEST`.
    PublicKeyRequest,
    /// `RUNSPACEPOOL_STATE`.
    RunspacePoolState(StateMessage<PoolState>),
    /// `APPLICATION_PRIVATE_DATA`.
    ApplicationPrivateData(Value),
    /// `CREATE_PIPELINE`.
    CreatePipeline(Box<CreatePipeline>),
    /// `RUNSPACEPOOL_HOST_CALL`.
    RunspacePoolHostCall(HostCall),
    /// `RUNSPACEPOOL_HOST_RESPONSE`.
    RunspacePoolHostResponse(HostResponse),
    /// `PIPELINE_INPUT`.
    PipelineInput(Value),
    /// `END_OF_PIPELINE_INPUT`.
    EndOfPipelineInput,
    /// `PIPELINE_OUTPUT`.
    PipelineOutput(Value),
    /// `ERROR_RECORD`.
    ErrorRecord(ErrorRecord),
    /// `PIPELINE_STATE`.
    PipelineState(StateMessage<PipelineState>),
    /// `DEBUG_RECORD`.
    Debug(InformationalRecord),
    /// `VERBOSE_RECORD`.
    Verbose(InformationalRecord),
    /// `WARNING_RECORD`.
    Warning(InformationalRecord),
    /// `PROGRESS_RECORD`.
    Progress(ProgressRecord),
    /// `INFORMATION_RECORD`.
    Information(InformationRecord),
    /// `PIPELINE_HOST_CALL`.
    PipelineHostCall(HostCall),
    /// `PIPELINE_HOST_RESPONSE`.
    PipelineHostResponse(HostResponse),
    /// A message of a known type that has no form of its own here: managing runspaces, events, metadata.
    Other(MessageType, Value),
}

impl Body {
    /// The type.
    #[must_use]
    pub fn kind(&self) -> MessageType {
        match self {
            Body::SessionCapability(_) => MessageType::SessionCapability,
            Body::InitRunspacePool(_) => MessageType::InitRunspacePool,
            Body::PublicKey(_) => MessageType::PublicKey,
            Body::EncryptedSessionKey(_) => MessageType::EncryptedSessionKey,
            Body::PublicKeyRequest => MessageType::PublicKeyRequest,
            Body::RunspacePoolState(_) => MessageType::RunspacePoolState,
            Body::ApplicationPrivateData(_) => MessageType::ApplicationPrivateData,
            Body::CreatePipeline(_) => MessageType::CreatePipeline,
            Body::RunspacePoolHostCall(_) => MessageType::RunspacePoolHostCall,
            Body::RunspacePoolHostResponse(_) => MessageType::RunspacePoolHostResponse,
            Body::PipelineInput(_) => MessageType::PipelineInput,
            Body::EndOfPipelineInput => MessageType::EndOfPipelineInput,
            Body::PipelineOutput(_) => MessageType::PipelineOutput,
            Body::ErrorRecord(_) => MessageType::ErrorRecord,
            Body::PipelineState(_) => MessageType::PipelineState,
            Body::Debug(_) => MessageType::Debug,
            Body::Verbose(_) => MessageType::Verbose,
            Body::Warning(_) => MessageType::Warning,
            Body::Progress(_) => MessageType::Progress,
            Body::Information(_) => MessageType::Information,
            Body::PipelineHostCall(_) => MessageType::PipelineHostCall,
            Body::PipelineHostResponse(_) => MessageType::PipelineHostResponse,
            Body::Other(kind, _) => *kind,
        }
    }

    /// The body as a value; none for the message that has no body.
    fn value(&self) -> Option<Value> {
        Some(match self {
            Body::SessionCapability(capability) => capability.encode(),
            Body::InitRunspacePool(init) => init.encode(),
            Body::PublicKey(key) => Value::object([("PublicKey", key.as_str())]),
            Body::EncryptedSessionKey(key) => Value::object([("EncryptedSessionKey", key.as_str())]),
            Body::PublicKeyRequest => Value::from(""),
            Body::RunspacePoolState(message) => message.encode("RunspaceState", PoolState::number),
            Body::ApplicationPrivateData(data) => Value::object([("ApplicationPrivateData", data.clone())]),
            Body::CreatePipeline(pipeline) => pipeline.encode(),
            Body::RunspacePoolHostCall(call) | Body::PipelineHostCall(call) => call.encode(),
            Body::RunspacePoolHostResponse(answer) | Body::PipelineHostResponse(answer) => answer.encode(),
            Body::PipelineInput(value) | Body::PipelineOutput(value) | Body::Other(_, value) => value.clone(),
            Body::EndOfPipelineInput => return None,
            Body::ErrorRecord(record) => record.to_value(),
            Body::PipelineState(message) => message.encode("PipelineState", PipelineState::number),
            Body::Debug(record) | Body::Verbose(record) | Body::Warning(record) => record.encode(self.kind()),
            Body::Progress(record) => record.encode(),
            Body::Information(record) => record.encode(),
        })
    }

    /// The body of a message of this type.
    ///
    /// # Errors
    /// The type is unknown, the bytes are no CLIXML, or a field is missing or has a wrong type.
    pub fn decode(kind: u32, bytes: &[u8], limits: Limits) -> Result<Self, PsrpError> {
        let kind = MessageType::of(kind).ok_or(PsrpError::UnknownType { kind })?;
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        // Some write null as no body at all.
        let body = match bytes {
            [] if matches!(kind, MessageType::PipelineOutput | MessageType::EndOfPipelineInput) => Value::Nil,
            _ => clixml::read_bytes(bytes, limits).map_err(|error| PsrpError::Clixml { kind, error })?,
        };
        let fields = Fields { kind, body: &body };
        Ok(match kind {
            MessageType::SessionCapability => Body::SessionCapability(SessionCapability::decode(&body)?),
            MessageType::InitRunspacePool => Body::InitRunspacePool(InitRunspacePool::decode(&body)?),
            MessageType::PublicKey => Body::PublicKey(fields.text("PublicKey")?),
            MessageType::EncryptedSessionKey => Body::EncryptedSessionKey(fields.text("EncryptedSessionKey")?),
            MessageType::PublicKeyRequest => Body::PublicKeyRequest,
            MessageType::RunspacePoolState => Body::RunspacePoolState(decode_pool(&body)?),
            MessageType::ApplicationPrivateData => Body::ApplicationPrivateData(fields.need("ApplicationPrivateData")?.clone()),
            MessageType::CreatePipeline => Body::CreatePipeline(Box::new(CreatePipeline::decode(&body)?)),
            MessageType::RunspacePoolHostCall => Body::RunspacePoolHostCall(HostCall::decode(kind, &body)?),
            MessageType::PipelineHostCall => Body::PipelineHostCall(HostCall::decode(kind, &body)?),
            MessageType::RunspacePoolHostResponse => Body::RunspacePoolHostResponse(HostResponse::decode(kind, &body)?),
            MessageType::PipelineHostResponse => Body::PipelineHostResponse(HostResponse::decode(kind, &body)?),
            MessageType::PipelineInput => Body::PipelineInput(body),
            MessageType::EndOfPipelineInput => Body::EndOfPipelineInput,
            MessageType::PipelineOutput => Body::PipelineOutput(body),
            MessageType::ErrorRecord => Body::ErrorRecord(ErrorRecord::from_value(&body)),
            MessageType::PipelineState => Body::PipelineState(decode_pipeline(&body)?),
            MessageType::Debug => Body::Debug(InformationalRecord::decode(kind, &body)?),
            MessageType::Verbose => Body::Verbose(InformationalRecord::decode(kind, &body)?),
            MessageType::Warning => Body::Warning(InformationalRecord::decode(kind, &body)?),
            MessageType::Progress => Body::Progress(ProgressRecord::decode(&body)?),
            MessageType::Information => Body::Information(InformationRecord::decode(&body)?),
            MessageType::ConnectRunspacePool
            | MessageType::SetMaxRunspaces
            | MessageType::SetMinRunspaces
            | MessageType::RunspaceAvailability
            | MessageType::GetAvailableRunspaces
            | MessageType::UserEvent
            | MessageType::GetCommandMetadata
            | MessageType::RunspacePoolInitData
            | MessageType::ResetRunspaceState => Body::Other(kind, body),
        })
    }
}

impl Message {
    /// The message of these bytes.
    ///
    /// # Errors
    /// As [`Header::decode`] and [`Body::decode`].
    pub fn decode(bytes: &[u8], limits: Limits) -> Result<Self, PsrpError> {
        let (header, body) = Header::decode(bytes)?;
        let Header { destination, kind, pool, pipeline } = header;
        Ok(Message { destination, pool, pipeline, body: Body::decode(kind, body, limits)? })
    }

    /// The bytes of the message.
    ///
    /// # Errors
    /// [`PsrpError::Unwritable`] where a value is nested too deep.
    pub fn encode(&self) -> Result<Vec<u8>, PsrpError> {
        let Message { destination, pool, pipeline, ref body } = *self;
        let mut bytes = Header { destination, kind: body.kind().number(), pool, pipeline }.encode();
        if let Some(value) = body.value() {
            let text = clixml::write(&value).map_err(PsrpError::Unwritable)?;
            bytes.extend_from_slice(BYTE_ORDER_MARK);
            bytes.extend_from_slice(text.as_bytes());
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    fn round(body: Body) {
        let id = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let message = Message { destination: Destination::Server, pool: id, pipeline: Some(id), body };
        let bytes = message.encode().unwrap();
        assert_eq!(Message::decode(&bytes, Limits::default()), Ok(message));
    }

    #[test]
    fn the_header_is_little_endian_with_ids_in_the_mixed_order_and_the_body_has_a_byte_order_mark() {
        let id = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        let body = Body::PipelineOutput(1.into());
        let bytes = Message { destination: Destination::Client, pool: id, pipeline: None, body }.encode().unwrap();
        assert_eq!(bytes[..8], [1, 0, 0, 0, 4, 0x10, 4, 0]);
        assert_eq!(bytes[8..16], [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66]);
        assert_eq!(bytes[24..40], [0; 16]);
        assert_eq!(&bytes[40..], b"\xef\xbb\xbf<I32>1</I32>");
    }

    #[test]
    fn every_message_comes_back_as_it_was_sent() {
        let error = ErrorRecord {
            exception_message: "boom".into(),
            exception_type: "System.Exception".into(),
            category: Category { message: "NotSpecified: (:) [], ".into(), ..Category::default() },
            shown: Some("boom".into()),
            ..ErrorRecord::default()
        };
        let call = HostCall { id: 5, method: HostMethod::READ_LINE, parameters: vec!["a".into(), Value::Nil] };
        let record = InformationalRecord { message: "a\r\nb".into() };
        let command = Command::new("Get-Service").parameter("-Name:", "RTCSRV").switch("Force").argument(Value::Nil);
        let mut pipeline = CreatePipeline::new(vec![command, Command::script("$_")]);
        pipeline.history = Some("h".into());
        pipeline.stream_options = 3;
        pipeline.statements.push(vec![Command { use_local_scope: Some(true), ..Command::new("b") }]);
        pipeline.statements[0][1].merge = Merge { my: 2, to: 1, previous: 0, error: 1, warning: 1, ..Merge::default() };
        assert_eq!(pipeline.statements[0][0].get("name"), Some(&Value::from("RTCSRV")));
        for body in [
            Body::SessionCapability(SessionCapability { time_zone: Some(vec![1, 2]), ..SessionCapability::default() }),
            Body::InitRunspacePool(InitRunspacePool::default()),
            Body::PublicKey("k".into()),
            Body::EncryptedSessionKey("k".into()),
            Body::PublicKeyRequest,
            Body::RunspacePoolState(StateMessage { state: PoolState::Opened, error: None }),
            Body::RunspacePoolState(StateMessage { state: PoolState::Broken, error: Some(error.clone()) }),
            Body::ApplicationPrivateData(Value::dictionary([("a", 1)])),
            Body::CreatePipeline(Box::new(pipeline)),
            Body::RunspacePoolHostCall(call.clone()),
            Body::PipelineHostCall(call.clone()),
            Body::PipelineHostResponse(HostResponse { result: Some("x".into()), error: None, ..call.refused() }),
            Body::RunspacePoolHostResponse(HostResponse { result: Some(Value::Nil), error: None, ..call.refused() }),
            Body::PipelineInput("a".into()),
            Body::EndOfPipelineInput,
            Body::PipelineOutput(Value::Nil),
            Body::ErrorRecord(error.clone()),
            Body::PipelineState(StateMessage { state: PipelineState::Failed, error: Some(error) }),
            Body::Debug(record.clone()),
            Body::Verbose(record.clone()),
            Body::Warning(record),
            Body::Progress(ProgressRecord { activity: "a".into(), percent: Some(40), ..ProgressRecord::default() }),
            Body::Progress(ProgressRecord { parent: Some(0), completed: true, ..ProgressRecord::default() }),
            Body::Information(InformationRecord { data: "a".into(), tags: vec!["PSHOST".into()], ..Default::default() }),
            Body::Other(MessageType::SetMaxRunspaces, Value::object([("MaxRunspaces", 2)])),
        ] {
            round(body);
        }
    }

    #[test]
    fn every_type_is_found_by_its_number_and_unknown_ones_are_told() {
        let known: Vec<u32> = (0..0x50000).filter(|number| MessageType::of(*number).is_some()).collect();
        assert_eq!(known.len(), 31);
        assert!(known.iter().all(|number| MessageType::of(*number).unwrap().number() == *number));
        let unknown = Body::decode(0x0002_100e, b"<Nil/>", Limits::default());
        assert_eq!(unknown, Err(PsrpError::UnknownType { kind: 0x0002_100e }));
    }

    #[test]
    fn messages_with_missing_or_wrong_fields_name_the_field() {
        let refused = |kind: MessageType, body: &str| match Body::decode(kind.number(), body.as_bytes(), Limits::default()) {
            Err(PsrpError::Field { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(MessageType::RunspacePoolState, "<Obj/>"), "RunspaceState");
        assert_eq!(
            refused(MessageType::RunspacePoolState, "<Obj><MS><I32 N=\"RunspaceState\">77</I32></MS></Obj>"),
            "RunspaceState"
        );
        assert_eq!(refused(MessageType::PipelineState, "<S>4</S>"), "PipelineState");
        assert_eq!(refused(MessageType::Warning, "<Obj/>"), "InformationalRecord_Message");
        assert_eq!(refused(MessageType::CreatePipeline, "<Obj/>"), "PowerShell");
        assert_eq!(
            refused(MessageType::SessionCapability, "<Obj><MS><S N=\"protocolversion\">2.3</S></MS></Obj>"),
            "protocolversion"
        );
    }
}
