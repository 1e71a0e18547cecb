//! Reading the fields of messages: what must be there, and of which type.

use super::{MessageType, PsrpError};
use crate::remoting::clixml::Value;

/// The body of a message, whose fields are read by name.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub kind: MessageType,
    pub body: &'a Value,
}

impl<'a> Fields<'a> {
    /// Another object within the same message.
    pub fn within(self, body: &'a Value) -> Self {
        Fields { body, ..self }
    }

    pub fn missing(self, field: &'static str) -> PsrpError {
        PsrpError::Field { kind: self.kind, field }
    }

    pub fn need(self, field: &'static str) -> Result<&'a Value, PsrpError> {
        self.body.get(field).ok_or_else(|| self.missing(field))
    }

    /// A field that may be missing or null.
    pub fn maybe(self, field: &'static str) -> Option<&'a Value> {
        self.body.get(field).filter(|value| !value.is_nil())
    }

    pub fn text(self, field: &'static str) -> Result<String, PsrpError> {
        self.need(field)?.as_str().map(str::to_owned).ok_or_else(|| self.missing(field))
    }

    pub fn boolean(self, field: &'static str) -> Result<bool, PsrpError> {
        self.need(field)?.as_bool().ok_or_else(|| self.missing(field))
    }

    pub fn integer(self, field: &'static str) -> Result<i64, PsrpError> {
        self.need(field)?.as_i64().ok_or_else(|| self.missing(field))
    }

    pub fn small(self, field: &'static str) -> Result<i32, PsrpError> {
        self.integer(field)?.try_into().map_err(|_| self.missing(field))
    }

    pub fn items(self, field: &'static str) -> Result<&'a [Value], PsrpError> {
        self.need(field)?.items().ok_or_else(|| self.missing(field))
    }
}
