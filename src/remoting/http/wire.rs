//! One request, one answer, over hyper's HTTP/1 without a pool and without a task of its own.
//!
//! The connection is driven by whoever waits for the answer. So when the waiting ends (time is up, the caller is gone),
//! nothing of the request is written any more, and the count of written bytes is final.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::socket::Socket;
use super::{Phase, SendError, Why};

/// Status line and headers of an answer; more is no answer of such a server.
const LARGEST_HEAD: usize = 64 << 10;

/// An open HTTP connection between two requests.
pub(super) struct Wire {
    sender: SendRequest<Full<Bytes>>,
    connection: http1::Connection<TokioIo<Socket>, Full<Bytes>>,
    closed: bool,
    written: Arc<AtomicU64>,
}

impl Wire {
    pub(super) async fn new(socket: Socket) -> Result<Self, SendError> {
        let written = socket.written();
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| SendError::not_sent(Why::Broken(chain(&error))))?;
        Ok(Wire { sender, connection, closed: false, written })
    }

    /// Sends a request and reads its whole answer within `patience`. Gives the connection back only after an exchange that
    /// left it in order.
    pub(super) async fn exchange(
        mut self,
        request: Request<Full<Bytes>>,
        largest: usize,
        phase: Phase,
        patience: Duration,
    ) -> Result<(Response<Bytes>, Option<Self>), SendError> {
        let before = self.written.load(Ordering::Relaxed);
        let outcome = tokio::time::timeout(patience, self.drive(request, largest)).await;
        let sent = self.written.load(Ordering::Relaxed) > before;
        let why = match outcome {
            Ok(Ok(answer)) => {
                let reusable = !self.closed && !says_close(&answer);
                return Ok((answer, reusable.then_some(self)));
            }
            Ok(Err(why)) => why,
            Err(_) => Why::Timeout { phase, after: patience },
        };
        Err(SendError { sent, why })
    }

    async fn drive(&mut self, request: Request<Full<Bytes>>, largest: usize) -> Result<Response<Bytes>, Why> {
        let Wire { sender, connection, closed, .. } = self;
        // A server that closed the connection meanwhile is noticed here, before anything is written.
        let ready = poll_fn(|cx| {
            if !*closed && Pin::new(&mut *connection).poll(cx).is_ready() {
                *closed = true;
            }
            if *closed { Poll::Ready(false) } else { sender.poll_ready(cx).map(|ready| ready.is_ok()) }
        })
        .await;
        if !ready {
            return Err(Why::Closed);
        }
        let mut answer = pin!(answer(sender.send_request(request), largest));
        let mut broke = None;
        poll_fn(|cx| {
            if !*closed && let Poll::Ready(end) = Pin::new(&mut *connection).poll(cx) {
                *closed = true;
                broke = end.err();
            }
            answer.as_mut().poll(cx)
        })
        .await
        .map_err(|why| match (why, broke) {
            // The connection knows better than the request why there is no answer.
            (Why::Broken(_), Some(error)) => Why::Broken(chain(&error)),
            (why, _) => why,
        })
    }
}

async fn answer(head: impl Future<Output = hyper::Result<Response<Incoming>>>, largest: usize) -> Result<Response<Bytes>, Why> {
    let (parts, mut body) = head.await.map_err(|error| Why::Broken(chain(&error)))?.into_parts();
    let too_large = || Why::TooLarge { limit: largest };
    if usize::try_from(body.size_hint().lower()).map_or(true, |size| size > largest) {
        return Err(too_large());
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| Why::Broken(chain(&error)))?.into_data() {
            if whole.len() + data.len() > largest {
                return Err(too_large());
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(Response::from_parts(parts, Bytes::from(whole)))
}

fn says_close(answer: &Response<Bytes>) -> bool {
    let values = answer.headers().get_all(hyper::header::CONNECTION);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close")))
}

/// An error and its causes, as one text. Where a library names a page of its manual, that is left out: it says nothing of what
/// happened here.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    let end = text.find(": https://").unwrap_or(text.len());
    text.truncate(end);
    text
}
