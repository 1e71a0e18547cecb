//! Listeners of the hosts: WS-Management over TLS, and over plain HTTP with sealed messages.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::auth::binding_hash;
use super::http::Connection;
use super::shells::Host;
use crate::lab::directory::server::{Standing, next_connection};
use crate::lab::files::{Files, Trouble};
use crate::lab::pki;
use crate::lab::serve::Lab;
use crate::remoting::auth::ChannelBinding;

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Headers of a request: a token in base64 and little else.
const MAX_HEAD: usize = 64 * 1024;

/// How a port of a host is entered.
#[derive(Clone)]
pub struct Door {
    tls: Option<(TlsAcceptor, [u8; 16])>,
}

impl Door {
    /// By TLS, with the host's certificate.
    ///
    /// # Errors
    /// The certificate cannot be used.
    pub fn tls(files: &Files, host: &str) -> Result<Self, Trouble> {
        let binding = ChannelBinding::of_certificate(&pki::certificate(files, host)?)
            .map_err(|error| Trouble::new(format!("the lab's certificate of {host} gives no channel binding: {error}")))?;
        let acceptor = TlsAcceptor::from(pki::server(files, host)?);
        Ok(Door { tls: Some((acceptor, binding_hash(binding.application_data()))) })
    }

    /// Without TLS; messages must be sealed.
    #[must_use]
    pub fn plain() -> Self {
        Door { tls: None }
    }
}

/// Answers on a port as long as the host is not stopped, and again when it is started.
pub async fn listen(lab: Arc<Lab>, host: Arc<Host>, door: Door, listener: TcpListener, number: u16) {
    let each = |stream| {
        let (lab, host, door, standing) = (Arc::clone(&lab), Arc::clone(&host), door.clone(), lab.standing.subscribe());
        tokio::spawn(async move { Box::pin(connection(lab, host, door, stream, standing)).await });
    };
    keep_open(&lab, &host.name, listener, number, each).await;
}

/// Takes connections to a port of a host, as long as the host is not stopped, and again when it is started.
pub async fn keep_open(lab: &Lab, host: &str, listener: TcpListener, number: u16, each: impl Fn(TcpStream)) {
    let mut standing = lab.standing.subscribe();
    let mut listener = Some(listener);
    loop {
        if standing.borrow_and_update().hosts.contains(host) {
            listener = None;
            if standing.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            // The port was ours a moment ago; whoever took it may give it back.
            match TcpListener::bind(("127.0.0.1", number)).await {
                Ok(open) => listener = Some(open),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
            continue;
        };
        tokio::select! {
            accepted = open.accept() => match accepted {
                Ok((stream, _)) => each(stream),
                // Too many connections at once; some will go.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            changed = standing.changed() => if changed.is_err() { return },
        }
    }
}

async fn connection(lab: Arc<Lab>, host: Arc<Host>, door: Door, stream: TcpStream, standing: watch::Receiver<Standing>) {
    let _ = stream.set_nodelay(true);
    match door.tls {
        None => serve(Connection::new(lab, host, next_connection(), None), stream, standing).await,
        Some((acceptor, binding)) => {
            let accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
            let Ok(Ok(stream)) = accepted else { return };
            serve(Connection::new(lab, host, next_connection(), Some(binding)), stream, standing).await;
        }
    }
}

/// Answers one request after the other, until the client goes, the host is stopped or the world is another.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(connection: Connection, stream: S, mut standing: watch::Receiver<Standing>) {
    let mine = standing.borrow_and_update().world;
    let connection = &connection;
    let service = service_fn(move |request| connection.handle(request));
    let mut served = std::pin::pin!(http1::Builder::new().max_buf_size(MAX_HEAD).serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            // Whatever went wrong went wrong for the client.
            _ = &mut served => return,
            changed = standing.changed() => {
                let standing = standing.borrow_and_update();
                if changed.is_err() || standing.hosts.contains(&connection.host.name) || standing.world != mine {
                    return;
                }
            }
        }
    }
}
