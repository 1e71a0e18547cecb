//! Calls of WS-Management over one [`Client`].

use std::time::Duration;

use uuid::Uuid;

use super::CallError;
use crate::remoting::http::{Client, Endpoint};
use crate::remoting::wsman::{self, Header, Identify, IdentifyResponse, Request};

/// A service, a kind of resource there, and perhaps one shell of it.
pub struct Service {
    client: Client,
    /// The resource URI of calls.
    pub resource: String,
    /// The shell of calls.
    pub shell_id: Option<String>,
    /// The same for all calls of one user of a shell.
    pub session_id: Uuid,
    /// What the server gets to answer; the wait for HTTP is longer.
    pub operation_timeout: Duration,
    /// How much longer.
    pub slack: Duration,
    /// The largest envelope in both directions.
    pub max_envelope_size: u32,
}

impl Service {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, resource: String) -> Self {
        Service {
            client: Client::new(endpoint),
            resource,
            shell_id: None,
            session_id: Uuid::new_v4(),
            operation_timeout: Duration::from_secs(20),
            slack: Duration::from_secs(30),
            max_envelope_size: wsman::MAX_ENVELOPE_SIZE,
        }
    }

    /// The same on a connection of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Service {
            client: Client::new(self.client.endpoint().clone()),
            resource: self.resource.clone(),
            shell_id: self.shell_id.clone(),
            ..*self
        }
    }

    /// The header of the next call.
    #[must_use]
    pub fn header(&self) -> Header {
        let mut header = Header::new(self.client.address().to_string(), self.resource.clone());
        header.shell_id.clone_from(&self.shell_id);
        header.session_id = Some(self.session_id);
        header.operation_timeout = self.operation_timeout;
        header.max_envelope_size = self.max_envelope_size;
        header
    }

    /// One call.
    ///
    /// # Errors
    /// [`CallError::may_have_acted`] tells what is certain.
    pub async fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, CallError> {
        let header = self.header();
        let envelope = wsman::request(&header, request);
        let answer = self.client.post(&envelope, self.operation_timeout + self.slack).await?;
        Ok(wsman::read_response(&answer.body, header.message_id)?)
    }

    /// Asks what kind of server it is. Proves that the address, the certificate and the logon are good.
    ///
    /// # Errors
    /// As [`Service::call`].
    pub async fn identify(&mut self) -> Result<IdentifyResponse, CallError> {
        let answer = self.client.post(&Identify::envelope(), self.operation_timeout + self.slack).await?;
        Ok(wsman::read_identify_response(&answer.body)?)
    }
}
