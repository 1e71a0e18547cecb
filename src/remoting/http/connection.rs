//! One authenticated connection: one socket, one security context, one request at a time.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};

use super::socket::Socket;
use super::wire::Wire;
use super::{Address, Endpoint, Phase, SendError, Why, challenge, sealed};
use crate::remoting::auth::{AuthError, CERTIFICATE, ChannelBinding, Login, Method, SecurityContext as _, basic};
use crate::secret::Secret;

/// NTLM takes two rounds, Kerberos one; a server that goes on is not logging us on.
const MOST_ROUNDS: usize = 6;

/// An answer of the protocol: a SOAP envelope, which may be a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200, or what the server gives a fault.
    pub status: u16,
    /// The envelope.
    pub body: Vec<u8>,
}

/// A connection that is logged on.
pub struct Connection {
    address: Address,
    method: Method,
    largest: usize,
    logon: Duration,
    binding: Option<ChannelBinding>,
    /// The server wants a logon for every request, as some web servers do; over TLS only.
    each: bool,
    /// Absent once the connection is of no more use.
    wire: Option<Wire>,
    identity: Identity,
    /// Whether a request was answered on it, so that a later 401 means that the server forgot the logon.
    proven: bool,
}

enum Identity {
    /// Said in every request.
    Header(Secret),
    /// The connection is logged on; over plain HTTP every message is sealed.
    Context { login: Box<Login>, seals: bool },
}

impl Connection {
    /// Connects and logs on; or, for a server that wants a logon with `each` request, only connects.
    ///
    /// # Errors
    /// Always with [`SendError::sent`] `false`: no request of the protocol is sent here.
    pub async fn open(endpoint: &Endpoint, address: &Address, each: bool) -> Result<Self, SendError> {
        allowed(endpoint, address).map_err(|text| SendError::not_sent(Why::Forbidden(text)))?;
        let (socket, binding) = Socket::open(endpoint, address).await?;
        let wire = Wire::new(socket).await?;
        let method = endpoint.method.clone();
        let identity = match &method {
            Method::Basic { account, password } => Identity::Header(basic(account, password)),
            Method::Certificate => Identity::Header(Secret::new(CERTIFICATE.to_owned())),
            Method::Ntlm { .. } | Method::Kerberos { .. } => {
                Identity::Context { login: login(&method, address)?, seals: !address.tls }
            }
        };
        let mut connection = Connection {
            address: address.clone(),
            method,
            largest: endpoint.limits.answer,
            logon: endpoint.limits.logon,
            binding,
            each: each && address.tls && matches!(identity, Identity::Context { .. }),
            wire: Some(wire),
            identity,
            proven: false,
        };
        if matches!(connection.identity, Identity::Context { .. }) && !connection.each {
            let limit = connection.logon;
            // Nothing but tokens was sent so far, whatever went wrong.
            match tokio::time::timeout(limit, connection.log_on(Bytes::new(), Phase::Logon, limit)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(SendError { sent: false, ..error }),
                Err(_) => return Err(SendError::not_sent(Why::Timeout { phase: Phase::Logon, after: limit })),
            }
        }
        Ok(connection)
    }

    /// Whether a further request can be tried on it.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.wire.is_some()
    }

    /// Whether a request was answered on it.
    pub(super) fn proven(&self) -> bool {
        self.proven
    }

    /// The handshake; every request of it has the body, and the answer to the last one is given.
    async fn log_on(&mut self, body: Bytes, phase: Phase, limit: Duration) -> Result<Response<Bytes>, SendError> {
        let begun = Instant::now();
        let kind = (!body.is_empty()).then_some(SOAP);
        let binding = self.binding.clone();
        let mut token = Vec::new();
        for _ in 0..MOST_ROUNDS {
            let Identity::Context { login, .. } = &mut self.identity else {
                unreachable!("only contexts have a handshake");
            };
            let scheme = login.scheme();
            let step = login.step(&token, binding.as_ref()).await.map_err(SendError::not_sent)?;
            let header = Secret::new(format!("{scheme} {}", STANDARD.encode(&step.token)));
            let request = self.request(&header, body.clone(), kind)?;
            let answer = self.exchange(request, phase, limit.saturating_sub(begun.elapsed())).await?;
            // Turned away is certain; any other answer to a request with a body may be one that was acted upon.
            let acted = answer.status() != StatusCode::UNAUTHORIZED && !body.is_empty();
            let offer = challenge::token(answer.headers(), scheme)
                .transpose()
                .map_err(|text| SendError { sent: acted, why: AuthError::Token(text.to_owned()).into() })?
                .unwrap_or_default();
            if answer.status() == StatusCode::UNAUTHORIZED {
                if step.done || offer.is_empty() {
                    return Err(self.refused(&answer));
                }
                token = offer;
                continue;
            }
            self.turned_away(&answer)?;
            // From here on a request with a body may have been acted upon.
            let failed = |why: Why| SendError { sent: !body.is_empty(), why };
            // Whatever the status, the logon is over: an empty request need not please the service behind it.
            if step.done {
                return Ok(answer);
            }
            if offer.is_empty() {
                // A page that is not there, a service that is down: the server never came to the logon.
                let down = !answer.status().is_success();
                return Err(failed(if down { status(&answer) } else { AuthError::Unproved.into() }));
            }
            let Identity::Context { login, .. } = &mut self.identity else {
                unreachable!("only contexts have a handshake");
            };
            let last = login.step(&offer, binding.as_ref()).await.map_err(|error| failed(error.into()))?;
            return if last.done { Ok(answer) } else { Err(failed(AuthError::Unproved.into())) };
        }
        Err(SendError::not_sent(AuthError::Token("the server asks for ever more tokens".to_owned())))
    }

    /// Sends an envelope and waits for the answer at most `patience`. After an error the connection is of no more use, and
    /// [`Connection::alive`] says so.
    ///
    /// # Errors
    /// [`SendError::sent`] tells whether the server can have acted.
    pub async fn post(&mut self, envelope: &str, patience: Duration) -> Result<Answer, SendError> {
        let nobody = Secret::new(String::new());
        let plain = || Bytes::copy_from_slice(envelope.as_bytes());
        let answer = if self.each {
            self.identity = Identity::Context { login: login(&self.method, &self.address)?, seals: false };
            Box::pin(self.log_on(plain(), Phase::Answer, patience)).await?
        } else {
            let request = match &mut self.identity {
                Identity::Header(header) => {
                    let header = header.clone();
                    self.request(&header, plain(), Some(SOAP))?
                }
                Identity::Context { seals: false, .. } => self.request(&nobody, plain(), Some(SOAP))?,
                Identity::Context { login, seals: true } => {
                    let protocol = protocol(login);
                    let message = login.wrap(envelope.as_bytes()).map_err(SendError::not_sent)?;
                    let body = sealed::encode(protocol, envelope.len(), &message);
                    self.request(&nobody, Bytes::from(body), Some(&sealed::content_type(protocol)))?
                }
            };
            self.exchange(request, Phase::Answer, patience).await?
        };
        let outcome = self.understand(answer);
        match &outcome {
            Ok(_) => self.proven = true,
            // The context may be out of step by now.
            Err(_) => self.wire = None,
        }
        outcome
    }

    fn understand(&mut self, answer: Response<Bytes>) -> Result<Answer, SendError> {
        let status = answer.status();
        // A 401 is never sealed: the server that sends it has no context.
        if status == StatusCode::UNAUTHORIZED {
            return Err(self.refused(&answer));
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        if let Identity::Context { login, seals: true } = &mut self.identity {
            // By its type, not by its status: faults are sealed too.
            if !sealed::is_sealed(&kind) {
                return Err(SendError::unknown(Why::NotSealed { status: status.as_u16() }));
            }
            let (length, message) = sealed::decode(answer.body()).map_err(|text| SendError::unknown(Why::Malformed(text)))?;
            let body = login.unwrap(message).map_err(SendError::unknown)?;
            if body.len() != length {
                return Err(SendError::unknown(Why::Malformed("its length is not what it says")));
            }
            return Ok(Answer { status: status.as_u16(), body });
        }
        self.turned_away(&answer)?;
        let is_soap = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/soap+xml"));
        if !is_soap {
            return Err(SendError::unknown(self::status(&answer)));
        }
        Ok(Answer { status: status.as_u16(), body: answer.into_body().to_vec() })
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        phase: Phase,
        patience: Duration,
    ) -> Result<Response<Bytes>, SendError> {
        let wire = self.wire.take().ok_or_else(|| SendError::not_sent(Why::Closed))?;
        let (answer, wire) = wire.exchange(request, self.largest, phase, patience).await?;
        self.wire = wire;
        Ok(answer)
    }

    fn request(&self, header: &Secret, body: Bytes, kind: Option<&str>) -> Result<Request<Full<Bytes>>, SendError> {
        let wrong = |_| SendError::not_sent(Why::Forbidden("a header cannot hold what it should".to_owned()));
        let mut request = Request::post(&self.address.path)
            .header(HOST, self.address.authority())
            // Said for an empty body, too: servers refuse a POST without it.
            .header(CONTENT_LENGTH, body.len())
            .header(USER_AGENT, concat!("relevo/", env!("CARGO_PKG_VERSION")));
        if !header.reveal().is_empty() {
            let mut value = HeaderValue::from_str(header.reveal())
                .map_err(|_| SendError::not_sent(Why::Forbidden("a header cannot hold what it should".to_owned())))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        request.body(Full::new(body)).map_err(wrong)
    }

    fn refused(&self, answer: &Response<Bytes>) -> SendError {
        // Not executed: the server looks at a request only after the logon.
        SendError::not_sent(Why::Refused { method: self.method.name(), offered: challenge::offered(answer.headers()) })
    }

    /// An error if the answer is a redirect, which is not executed either.
    fn turned_away(&self, answer: &Response<Bytes>) -> Result<(), SendError> {
        if !matches!(answer.status().as_u16(), 301 | 302 | 307 | 308) {
            return Ok(());
        }
        let location = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok()).unwrap_or_default();
        Err(SendError::not_sent(match self.address.join(location) {
            Ok(address) => Why::Elsewhere(address),
            Err(_) => Why::Redirect { to: location.to_owned(), why: "it is no URL" },
        }))
    }
}

fn status(answer: &Response<Bytes>) -> Why {
    let says = String::from_utf8_lossy(answer.body()).chars().take(500).collect();
    Why::Status { status: answer.status().as_u16(), says }
}

const SOAP: &str = "application/soap+xml;charset=UTF-8";

fn login(method: &Method, address: &Address) -> Result<Box<Login>, SendError> {
    let login = Login::new(method, &address.host).map_err(SendError::not_sent)?;
    Ok(Box::new(login.unwrap_or_else(|| unreachable!("these methods have a handshake"))))
}

fn protocol(login: &Login) -> &'static str {
    if login.scheme() == "Kerberos" { sealed::KERBEROS } else { sealed::SPNEGO }
}

/// What may not go over plain HTTP is refused before anything is written.
fn allowed(endpoint: &Endpoint, address: &Address) -> Result<(), String> {
    if !address.tls && !endpoint.method.seals() {
        return Err(format!("`{address}` is not encrypted, and {} cannot seal messages: use `https`", endpoint.method.name()));
    }
    let certified = endpoint.tls.as_ref().is_some_and(|config| config.client_auth_cert_resolver.has_certs());
    if matches!(endpoint.method, Method::Certificate) && !certified {
        return Err(format!("no client certificate is given for `{address}`"));
    }
    Ok(())
}
