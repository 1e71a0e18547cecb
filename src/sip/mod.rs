//! SIP as both ends speak it: messages, addresses, and the XML of chat rooms that INFO carries. A library below connectors and
//! lab; it knows no network, no clock and no other part of the crate.
//!
//! ```text
//! message  a request or a status with its headers and body            RFC 3261, as far as one connection over TLS needs it
//! decode   from bytes to messages, within limits
//! address  `sip:` URIs, and the addresses of From, To and Contact
//! xccos    commands and replies of chat rooms                          [MS-XCCOSIP]
//! ```
//!
//! Written here because the crates that parse SIP are either not kept or bring a whole stack, and what is needed is small.

pub mod address;
pub mod decode;
pub mod message;
pub mod xccos;

pub use address::{NameAddr, Uri};
pub use decode::{Decoder, Limits, Wrong};
pub use message::{Message, Start};
