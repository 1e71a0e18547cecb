//! PowerShell remoting: WS-Man over HTTP(S), PSRP, CLIXML. Knows nothing of plans and runs; a library of its own in all
//! but name.
//!
//! ```text
//! clixml/    values ↔ XML                                   [MS-PSRP] section 2.2.5
//! psrp/      messages, fragments, the states of pools and pipelines   [MS-PSRP] sections 2.2, 3.1
//! wsman/     envelopes: what is asked of a shell, and what it answers  [MS-WSMV]
//! auth/      who we are: Negotiate (NTLM, Kerberos), Basic, certificates; sealing of messages
//! http/      one authenticated connection
//! client/    a shell and what runs in it: all of these together
//! ```
//!
//! Encoding and decoding exist in both directions, because the embedded lab answers with them.

pub mod auth;
pub mod client;
pub mod clixml;
pub mod http;
pub mod literal;
pub mod psrp;
pub mod wsman;
