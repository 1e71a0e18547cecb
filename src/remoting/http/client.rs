//! A service on one host, over as many connections as it takes, one after the other.
//!
//! A request is repeated only where the server cannot have acted:
//! - the connection had been closed before anything was written,
//! - it was turned away by a 401 on a connection that had worked (the server forgot the logon),
//! - it was turned away by a 401 right after a good logon over TLS: some web servers want one with each request, and get it
//!   from then on,
//! - it was redirected, to a host that the endpoint allows.

use std::time::Duration;

use super::{Address, Answer, Connection, Endpoint, SendError, Why};

/// More redirects are a circle.
const MOST_REDIRECTS: usize = 5;

/// Sends requests to an endpoint.
pub struct Client {
    endpoint: Endpoint,
    /// Where redirects have led.
    address: Address,
    connection: Option<Connection>,
    /// The server turned requests away right after the logon: it wants one with each.
    each: bool,
}

impl Client {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Client { address: endpoint.address.clone(), endpoint, connection: None, each: false }
    }

    /// The endpoint that was given.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where requests go now: the endpoint's URL, or where redirects have led.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends an envelope and waits for its answer at most `patience`, the logon aside.
    ///
    /// # Errors
    /// [`SendError::sent`] tells whether the server can have acted.
    pub async fn post(&mut self, envelope: &str, patience: Duration) -> Result<Answer, SendError> {
        let mut redirects = 0;
        loop {
            let mut connection = match self.connection.take().filter(Connection::alive) {
                Some(connection) => connection,
                None => match Box::pin(Connection::open(&self.endpoint, &self.address, self.each)).await {
                    Ok(connection) => connection,
                    Err(error) => {
                        self.follow(error, &mut redirects)?;
                        continue;
                    }
                },
            };
            let proven = connection.proven();
            match connection.post(envelope, patience).await {
                Ok(answer) => {
                    self.connection = Some(connection);
                    return Ok(answer);
                }
                Err(SendError { sent: false, why: Why::Closed | Why::Refused { .. } }) if proven => {}
                // The logon was good, and the first request after it is refused. Tried once: a second refusal stays one.
                Err(SendError { sent: false, why: Why::Refused { .. } }) if self.may_log_on_with_each() => self.each = true,
                Err(error) => self.follow(error, &mut redirects)?,
            }
        }
    }

    fn may_log_on_with_each(&self) -> bool {
        !self.each && self.address.tls && self.endpoint.method.seals()
    }

    /// Goes where a redirect leads, or gives the error back.
    fn follow(&mut self, error: SendError, redirects: &mut usize) -> Result<(), SendError> {
        let SendError { sent: false, why: Why::Elsewhere(to) } = error else { return Err(error) };
        *redirects += 1;
        let refused = if self.address.tls && !to.tls {
            Some("it leaves TLS")
        } else if *redirects > MOST_REDIRECTS {
            Some("there were too many before it")
        } else if to.same_place(&self.address) || self.endpoint.redirects.iter().any(|host| host.eq_ignore_ascii_case(&to.host)) {
            None
        } else {
            Some("the host is not among those that are allowed")
        };
        if let Some(why) = refused {
            return Err(SendError::not_sent(Why::Redirect { to: to.to_string(), why }));
        }
        tracing::info!(from = %self.address, to = %to, "redirected");
        self.address = to;
        Ok(())
    }
}
