//! The contact by which legacy clients find a Persistent Chat pool: `lync.endpoint.create`, `lync.endpoint.remove`.
//!
//! ```text
//! contact   what a contact is, how all of them are read, and what that means   (pure, but for one function)
//! create remove                                                                the two actions
//! ```

mod contact;
mod create;
mod remove;

pub use create::Create;
pub use remove::Remove;
