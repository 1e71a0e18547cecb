//! SIP on a Front End, as a Group Chat client meets it: it INVITEs the well-known address, and whoever answers there tells it
//! where its rooms are.
//!
//! ```text
//! listen    the port: TLS, messages in and out, within limits of size and time
//! session   one connection: dialogs, and what each request is answered
//! route     from an address to the server that answers there, or why none does
//! refusal   how a Front End says no
//! commands  the commands of chat rooms, and their replies
//! rooms     what the databases hold of rooms and messages
//! ```
//!
//! Nobody is asked who they are: From is believed, if it is a user whom the Front End knows. A real Front End demands NTLM,
//! Kerberos or TLS-DSK, and no such client could sign in there.

mod commands;
mod listen;
mod refusal;
mod rooms;
mod route;
mod session;

pub use listen::listen;
