//! Messages in and out of one connection, within limits of size, number and time.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::broke::Broke;
use crate::connector::lync::cs::shown;
use crate::connector::time_left::TimeLeft;
use crate::sip::{Decoder, Limits, Message};

/// A reply may hold some hundred rooms, or messages with their markup.
const LIMITS: Limits = Limits { head: 64 * 1024, headers: 200, body: 8 * 1024 * 1024 };
/// Of one sign-in: those that are waited for, and whatever else a server likes to tell.
const MOST_MESSAGES: u32 = 2000;

/// A connection.
pub struct Link<S> {
    stream: S,
    decoder: Decoder,
    time: TimeLeft,
    taken: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Link<S> {
    /// Over a stream.
    pub fn new(stream: S, time: TimeLeft) -> Self {
        Link { stream, decoder: Decoder::new(LIMITS), time, taken: 0 }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&mut self, message: &Message, hop: &str) -> Result<(), Broke> {
        let bytes = message.to_bytes();
        let stream = &mut self.stream;
        let sent = self.time.keep(async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        });
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Broke::Unknown(format!("{hop}: the connection is gone ({})", shown(&error.to_string())))),
            Err(late) => Err(Broke::Unknown(format!("{hop}: {late}"))),
        }
    }

    /// The next message, whichever it is.
    ///
    /// # Errors
    /// None comes, or what comes is none.
    pub async fn next(&mut self, hop: &str) -> Result<Message, Broke> {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            match self.decoder.message() {
                Ok(Some(message)) => {
                    self.taken += 1;
                    if self.taken > MOST_MESSAGES {
                        return Err(Broke::Unknown(format!("{hop}: the other side sends without end")));
                    }
                    return Ok(message);
                }
                Ok(None) => {}
                Err(wrong) => return Err(Broke::Unknown(format!("{hop}: what came is no SIP message: {wrong}"))),
            }
            let count = match self.time.keep(self.stream.read(&mut bytes)).await {
                Ok(Ok(count)) => count,
                Ok(Err(error)) => {
                    return Err(Broke::Unknown(format!("{hop}: the connection is gone ({})", shown(&error.to_string()))));
                }
                Err(late) => return Err(Broke::Unknown(format!("{hop}: {late}"))),
            };
            if count == 0 {
                return Err(Broke::Unknown(format!("{hop}: the connection was closed before the answer")));
            }
            self.decoder.push(&bytes[..count]);
        }
    }
}
