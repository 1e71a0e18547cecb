//! One connection: who is logged on, what was sealed, and the answers ([MS-WSMV] section 2.2.9.1).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use super::auth::{Acceptor, Binding, LabAccounts, Progress, Refused, Session, basic};
use super::shell::Fate;
use super::shells::{Host, MAX_ENVELOPE, Reply};
use crate::lab::audit::Line;
use crate::lab::serve::Lab;
use crate::remoting::http::sealed;

/// No body is larger: an envelope, sealed.
const MAX_BODY: usize = MAX_ENVELOPE + 4096;
const SOAP: &str = "application/soap+xml;charset=UTF-8";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account, as `CONTOSO\svc-mig`.
    pub account: String,
    /// The connection's number.
    pub connection: u64,
}

impl Caller {
    /// A line of the audit.
    #[must_use]
    pub fn line(&self, host: &str, operation: &str, name: String, code: i64, detail: Json) -> Line {
        Line {
            time: jiff::Timestamp::now().to_string(),
            dc: host.to_owned(),
            connection: self.connection,
            account: self.account.clone(),
            operation: operation.to_owned(),
            name,
            dn: None,
            guid: None,
            code,
            wrote: false,
            answered: true,
            detail,
        }
    }
}

/// One connection.
pub struct Connection {
    /// The lab.
    pub lab: Arc<Lab>,
    /// The host that was called.
    pub host: Arc<Host>,
    /// Its number.
    pub number: u64,
    /// The hash of the channel binding; none without TLS.
    pub binding: Option<[u8; 16]>,
    logon: Mutex<Logon>,
}

/// The logon of a connection.
#[derive(Default)]
struct Logon {
    acceptor: Option<Acceptor>,
    on: Option<(String, Box<Session>)>,
}

/// The connection is to be closed, and nothing answered.
#[derive(Debug, thiserror::Error)]
#[error("closed because the lab was asked to")]
pub struct Closed;

/// What one request's `Authorization` led to.
enum Who {
    /// This account, and a token for it if there is one more.
    Account(String, Option<Vec<u8>>),
    /// The logon goes on.
    Continue(Vec<u8>),
    /// Nobody.
    Nobody,
}

impl Connection {
    /// A connection on which nobody is logged on.
    #[must_use]
    pub fn new(lab: Arc<Lab>, host: Arc<Host>, number: u64, binding: Option<[u8; 16]>) -> Self {
        Connection { lab, host, number, binding, logon: Mutex::default() }
    }

    fn is_tls(&self) -> bool {
        self.binding.is_some()
    }

    /// Answers a request.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub async fn handle(&self, request: Request<Incoming>) -> Result<Response<Payload>, Closed> {
        if !request.uri().path().eq_ignore_ascii_case(self.host.endpoint.path()) {
            return Ok(empty(StatusCode::NOT_FOUND));
        }
        if request.method() != Method::POST {
            return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else { return Ok(last(StatusCode::PAYLOAD_TOO_LARGE)) };
        let body = body.to_bytes();
        let text = |name: &hyper::header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
        let kind = text(&CONTENT_TYPE).unwrap_or_default();
        // The one question that needs no logon (WS-Management section 11).
        let anonymous = head.headers.get("wsmanidentify").is_some_and(|value| value == "unauthenticated");
        if anonymous && is_identify(&body) {
            let nobody = Caller { account: "anonymous".to_owned(), connection: self.number };
            let reply = self.host.answer(&self.lab, &nobody, &body).await;
            return respond(reply.status, SOAP, Bytes::from(reply.envelope), Fate::Sent);
        }
        let mut logon = self.logon.lock().await;
        let (account, token) = match self.who(&mut logon, text(&AUTHORIZATION)) {
            Ok(Who::Account(account, token)) => (account, token),
            Ok(Who::Continue(token)) => return Ok(self.unauthorized(Some(&token))),
            Ok(Who::Nobody) => return Ok(self.unauthorized(None)),
            Err(refused) => {
                self.refused(&refused);
                return Ok(self.unauthorized(None));
            }
        };
        let mut answer = self.authorized(&mut logon, account, kind, body).await?;
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            offer(&mut answer, &negotiate(&token));
        }
        Ok(answer)
    }

    /// A request of somebody who is logged on.
    async fn authorized(&self, logon: &mut Logon, account: String, kind: &str, body: Bytes) -> Result<Response<Payload>, Closed> {
        let caller = Caller { account, connection: self.number };
        if body.is_empty() {
            // Clients log on with nothing to say.
            return Ok(empty(StatusCode::OK));
        }
        if self.is_tls() {
            if sealed::is_sealed(kind) {
                return Ok(empty(StatusCode::BAD_REQUEST));
            }
            let Reply { status, envelope, fate } = self.host.answer(&self.lab, &caller, &body).await;
            return respond(status, SOAP, Bytes::from(garbled(envelope, fate)), fate);
        }
        // `AllowUnencrypted` is false, as it is on Windows unless somebody changed it.
        if !sealed::is_sealed(kind) {
            self.note("unsealed", &caller.account, "a message over plain HTTP was not sealed");
            return Ok(empty(StatusCode::BAD_REQUEST));
        }
        let Some((_, session)) = logon.on.as_mut().filter(|(_, session)| session.seals) else {
            return Ok(empty(StatusCode::BAD_REQUEST));
        };
        let opened = sealed::decode(&body)
            .map_err(str::to_owned)
            .and_then(|(length, message)| session.unwrap(message).map(|plain| (length, plain)).map_err(|refused| refused.why))
            .and_then(
                |(length, plain)| {
                    if plain.len() == length { Ok(plain) } else { Err("its length is not what it says".to_owned()) }
                },
            );
        let plain = match opened {
            Ok(plain) => plain,
            Err(why) => {
                // The keys are out of step from here on.
                logon.on = None;
                self.note("unsealed", &caller.account, &why);
                return Ok(last(StatusCode::BAD_REQUEST));
            }
        };
        let Reply { status, envelope, fate } = self.host.answer(&self.lab, &caller, &plain).await;
        let envelope = garbled(envelope, fate);
        let message = session.wrap(envelope.as_bytes());
        let body = sealed::encode(sealed::SPNEGO, envelope.len(), &message);
        respond(status, &sealed::content_type(sealed::SPNEGO), Bytes::from(body), fate)
    }

    /// Who a request is from.
    fn who(&self, logon: &mut Logon, authorization: Option<&str>) -> Result<Who, Refused> {
        let accounts = LabAccounts(self.lab.files.clone());
        let Some(authorization) = authorization else {
            // Without a word it is whoever logged on to the connection.
            return Ok(logon.on.as_ref().map_or(Who::Nobody, |(account, _)| Who::Account(account.clone(), None)));
        };
        let (scheme, value) = authorization.split_once(' ').unwrap_or((authorization, ""));
        if scheme.eq_ignore_ascii_case("Basic") && self.is_tls() {
            return basic(value, &accounts).map(|account| Who::Account(account, None));
        }
        if !scheme.eq_ignore_ascii_case("Negotiate") {
            return Ok(Who::Nobody);
        }
        logon.on = None;
        let refused = |why: &str| Refused { why: why.to_owned(), account: None };
        let token = STANDARD.decode(value.trim()).map_err(|_| refused("the token is not in base64"))?;
        if token.is_empty() {
            return Ok(Who::Nobody);
        }
        let demanded = self.lab.world().faults.demanding.contains(&self.host.name);
        let binding = Binding { expected: self.binding, demanded };
        let mut acceptor = logon.acceptor.take().unwrap_or_else(|| Acceptor::new(&self.host.name));
        match acceptor.step(&token, &accounts, &binding)? {
            Progress::Continue(token) => {
                logon.acceptor = Some(acceptor);
                Ok(Who::Continue(token))
            }
            Progress::Done { account, session, token } => {
                logon.on = Some((account.clone(), session));
                Ok(Who::Account(account, Some(token)))
            }
        }
    }

    fn unauthorized(&self, token: Option<&[u8]>) -> Response<Payload> {
        let mut answer = empty(StatusCode::UNAUTHORIZED);
        match token {
            Some(token) => offer(&mut answer, &negotiate(token)),
            None => {
                offer(&mut answer, "Negotiate");
                // Never where a password could be read on the way.
                if self.is_tls() {
                    offer(&mut answer, "Basic realm=\"WSMAN\"");
                }
            }
        }
        answer
    }

    fn refused(&self, refused: &Refused) {
        self.note("logon", refused.account.as_deref().unwrap_or("anonymous"), &refused.why);
    }

    fn note(&self, operation: &str, account: &str, why: &str) {
        let caller = Caller { account: account.chars().take(200).collect(), connection: self.number };
        let line = caller.line(&self.host.name, operation, String::new(), 401, json!({ "why": why }));
        self.lab.written(self.lab.world().note(&line));
    }
}

fn is_identify(body: &[u8]) -> bool {
    matches!(crate::remoting::wsman::read_request(body), Ok((None, _)))
}

fn negotiate(token: &[u8]) -> String {
    format!("Negotiate {}", STANDARD.encode(token))
}

fn offer(answer: &mut Response<Payload>, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        answer.headers_mut().append(WWW_AUTHENTICATE, value);
    }
}

/// An envelope that is none, if that was asked for.
fn garbled(envelope: String, fate: Fate) -> String {
    if fate != Fate::Garbled {
        return envelope;
    }
    let half: String = envelope.chars().take(envelope.len() / 3).collect();
    format!("{half}<\u{fffd}>&garbage; ]]>")
}

fn empty(status: StatusCode) -> Response<Payload> {
    let mut answer = Response::new(Payload::whole(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// An answer after which the connection closes.
fn last(status: StatusCode) -> Response<Payload> {
    let mut answer = empty(status);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn respond(status: u16, kind: &str, body: Bytes, fate: Fate) -> Result<Response<Payload>, Closed> {
    let payload = match fate {
        Fate::Sent | Fate::Garbled => Payload::whole(body),
        Fate::Cut => Payload::cut(&body),
        Fate::Lost => return Err(Closed),
    };
    let mut answer = Response::new(payload);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(kind) = HeaderValue::from_str(kind) {
        answer.headers_mut().insert(CONTENT_TYPE, kind);
    }
    Ok(answer)
}

/// The body of an answer, or the first half of one.
#[derive(Debug)]
pub struct Payload {
    data: Option<Bytes>,
    announced: u64,
    is_cut: bool,
}

impl Payload {
    fn whole(data: Bytes) -> Self {
        Payload { announced: data.len() as u64, data: Some(data).filter(|data| !data.is_empty()), is_cut: false }
    }

    fn cut(data: &Bytes) -> Self {
        Payload { announced: data.len() as u64, data: Some(data.slice(..data.len() / 2)), is_cut: true }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        Poll::Ready(match self.data.take() {
            Some(data) => {
                if !self.is_cut {
                    self.announced = 0;
                }
                Some(Ok(Frame::data(data)))
            }
            None => self.is_cut.then_some(Err(Closed)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.is_cut
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
