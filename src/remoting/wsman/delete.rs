//! Delete: the end of a shell and of what runs in it ([MS-WSMV] section 3.1.4.6).

use roxmltree::Node;

use super::{Body, Malformed, Request};

/// Removes the shell that the header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete;

/// The shell is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteResponse;

impl Body for Delete {
    const ACTION: &'static str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Delete";

    fn write(&self, _out: &mut String) {}

    fn read(_body: Node<'_, '_>) -> Result<Self, Malformed> {
        Ok(Delete)
    }
}

impl Request for Delete {
    type Response = DeleteResponse;
}

impl Body for DeleteResponse {
    const ACTION: &'static str = "http://schemas.xmlsoap.org/ws/2004/09/transfer/DeleteResponse";

    fn write(&self, _out: &mut String) {}

    fn read(_body: Node<'_, '_>) -> Result<Self, Malformed> {
        Ok(DeleteResponse)
    }
}
