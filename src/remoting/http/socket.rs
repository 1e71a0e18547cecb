//! TCP and TLS, and a count of what was written: the count alone tells "not sent" from "unknown".

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Address, Endpoint, Phase, SendError, Why};
use crate::remoting::auth::ChannelBinding;

/// An open connection below HTTP.
pub(super) struct Socket {
    stream: Stream,
    written: Arc<AtomicU64>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// Connects, and over TLS checks the certificate as the endpoint says. Gives the channel binding of a TLS connection.
    pub(super) async fn open(endpoint: &Endpoint, address: &Address) -> Result<(Socket, Option<ChannelBinding>), SendError> {
        let limit = endpoint.limits.connect;
        let open = Self::open_unbounded(endpoint, address);
        match tokio::time::timeout(limit, open).await {
            Ok(result) => result,
            Err(_) => Err(SendError::not_sent(Why::Timeout { phase: Phase::Connect, after: limit })),
        }
    }

    async fn open_unbounded(endpoint: &Endpoint, address: &Address) -> Result<(Socket, Option<ChannelBinding>), SendError> {
        // The other place stands for the endpoint's own host, not for one that we were redirected to.
        let other = endpoint.connect_to.as_ref().filter(|_| address.same_place(&endpoint.address));
        let place = other.cloned().unwrap_or_else(|| address.authority());
        let tcp = TcpStream::connect(&place)
            .await
            .map_err(|error| SendError::not_sent(Why::Connect { place: place.clone(), error }))?;
        // Requests are written in one go and answered; waiting for more to send only delays them.
        tcp.set_nodelay(true).map_err(|error| SendError::not_sent(Why::Connect { place: place.clone(), error }))?;
        let written = Arc::new(AtomicU64::new(0));
        if !address.tls {
            return Ok((Socket { stream: Stream::Plain(tcp), written }, None));
        }
        let forbidden = |text| SendError::not_sent(Why::Forbidden(text));
        let config = endpoint.tls.as_ref().ok_or_else(|| forbidden(format!("no trust anchors are given for `{address}`")))?;
        let config = endpoint.verification.apply(config, &place).map_err(forbidden)?;
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| forbidden(format!("`{}` is no name for a certificate", address.host)))?;
        let tls = TlsConnector::from(config)
            .connect(name, tcp)
            .await
            .map_err(|error| SendError::not_sent(Why::Tls { place, error }))?;
        let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let binding = certificate.map(|certificate| ChannelBinding::of_certificate(certificate));
        // A certificate without a binding is no obstacle to the methods that bind to nothing.
        let binding = if endpoint.method.seals() { binding.transpose().map_err(SendError::not_sent)? } else { None };
        Ok((Socket { stream: Stream::Tls(Box::new(tls)), written }, binding))
    }

    /// The number of bytes of HTTP that were handed to the connection so far; bytes in TLS's buffer count as written.
    pub(super) fn written(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written)
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        })?;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
