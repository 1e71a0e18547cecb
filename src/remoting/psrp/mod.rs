//! PSRP: messages between a client and a runspace pool, the fragments that carry them, and the states of both
//! ([MS-PSRP] sections 2.2 and 3.1).
//!
//! ```text
//! fragment   bytes of a stream ↔ bytes of messages
//! message    bytes of a message ↔ a typed message (its parts: capability, command, host, state, records, error_record)
//! secure     what is never sent
//! pool       the client's side of a pool and its pipelines: bytes in, events and bytes out
//! ```
//!
//! No input or output happens here: the transport feeds what it received and sends what it is given.

mod capability;
mod command;
mod error;
mod error_record;
mod event;
mod fields;
mod fragment;
mod host;
mod message;
mod pipeline;
mod pool;
mod records;
mod secure;
mod state;

pub use capability::{InitRunspacePool, PROTOCOL, SessionCapability};
pub use command::{Argument, Command, CreatePipeline, Merge};
pub use error::PsrpError;
pub use error_record::{Category, ErrorRecord};
pub use event::{Event, EventKind, Outgoing, Stream};
pub use fragment::{Defragmenter, FRAGMENT_HEADER, FragmentLimits, Fragmenter};
pub use host::{HostCall, HostInfo, HostMethod, HostResponse};
pub use message::{Body, Destination, Header, Message, MessageType};
pub use pipeline::Pipeline;
pub use pool::{Pool, PoolOptions};
pub use records::{InformationRecord, InformationalRecord, ProgressRecord};
pub use state::{PipelineState, PoolState, StateMessage};
