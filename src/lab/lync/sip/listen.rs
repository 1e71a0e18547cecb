//! The port of a Front End: SIP over TLS. Whatever a client sends, it costs a bounded amount of memory and time.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::session::Session;
use crate::lab::directory::server::{Standing, next_connection};
use crate::lab::directory::well_known::REALM;
use crate::lab::serve::Lab;
use crate::lab::windows::listen::keep_open;
use crate::lab::windows::machine::State;
use crate::sip::{Decoder, Limits};

/// How long a client may take for the handshake, and for a message that it began.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may say nothing.
const IDLE: Duration = Duration::from_mins(10);
/// At once.
const MOST_CONNECTIONS: usize = 200;
const LIMITS: Limits = Limits { head: 16 * 1024, headers: 100, body: 64 * 1024 };

/// Answers on the port of a Front End as long as the host is not stopped and its service runs.
pub async fn listen(lab: Arc<Lab>, host: String, acceptor: TlsAcceptor, listener: TcpListener, number: u16) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let each = |stream: TcpStream| {
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { return };
        let (lab, host, acceptor) = (Arc::clone(&lab), host.clone(), acceptor.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            if is_running(&lab, &host)
                && let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await
            {
                Box::pin(serve(&lab, &host, stream)).await;
            }
            drop(place);
        });
    };
    keep_open(&lab, &host, listener, number, each).await;
}

/// Whether the Front End's own service runs.
fn is_running(lab: &Lab, host: &str) -> bool {
    let world = lab.world();
    let service = world.machines.iter().find(|machine| machine.name == host).and_then(|machine| {
        let at = machine.service("RTCSRV")?;
        machine.services.get(at)
    });
    service.is_some_and(|service| service.state == State::Running)
}

/// Answers one message after the other, until the client goes or breaks the rules, the host is stopped or the world is another.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(lab: &Lab, host: &str, mut stream: S) {
    let mut standing = lab.standing.subscribe();
    let mine = standing.borrow_and_update().world;
    let mut session = Session::new(host, format!("{host}.{REALM}"), next_connection());
    let mut decoder = Decoder::new(LIMITS);
    let mut bytes = vec![0; 8 * 1024];
    let mut until = Instant::now() + IDLE;
    loop {
        let was_within = decoder.is_within();
        tokio::select! {
            read = timeout_at(until, stream.read(&mut bytes)) => match read {
                Ok(Ok(count)) if count > 0 => decoder.push(&bytes[..count]),
                _ => return,
            },
            changed = standing.changed() => {
                let standing: &Standing = &standing.borrow_and_update();
                if changed.is_err() || standing.hosts.contains(host) || standing.world != mine {
                    return;
                }
                continue;
            }
        }
        let mut took = false;
        loop {
            // Nobody knows where a next message would begin after one that cannot be read.
            let Ok(next) = decoder.message() else { return };
            let Some(message) = next else { break };
            took = true;
            for answer in session.take(lab, &message) {
                let sent = tokio::time::timeout(PATIENCE, stream.write_all(&answer.to_bytes())).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
            }
            let _ = stream.flush().await;
        }
        if !decoder.is_within() {
            until = Instant::now() + IDLE;
        } else if took || !was_within {
            until = Instant::now() + PATIENCE;
        }
    }
}
