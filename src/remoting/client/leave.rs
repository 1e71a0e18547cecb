//! Leaving a shell that goes on, and coming back: as the same client, or as another one that only knows the ids
//! ([MS-WSMV] sections 3.1.4.15 to 3.1.4.17, [MS-PSRP] sections 3.1.4.9 and 3.1.4.10).
//!
//! What runs in a shell that was left goes on until its output finds no more room, and then waits: nothing is thrown away.
//! Servers of PowerShell 2.0 know none of this; before anything is sent to them, [`ShellError::Unsupported`] says so.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::running::{Limits, Running};
use super::shell::{Inside, payload, service, upper};
use super::{CallError, Settings, Shell, ShellError};
use crate::remoting::http::Endpoint;
use crate::remoting::psrp::{PROTOCOL, Pool, PoolState};
use crate::remoting::wsman::{Connect, Disconnect, FaultKind, Reconnect, ReconnectCommand};

/// The first version of the protocol inside that knows how to leave ([MS-PSRP] section 3.1.4.9).
const SINCE: (u32, u32) = (2, 2);

impl Pool {
    /// Whether the server said that it speaks a version which knows how to leave.
    pub(super) fn can_leave(&self) -> Result<(), ShellError> {
        match self.server() {
            Some(server) if server.agreed().is_ok_and(|version| version >= SINCE) => Ok(()),
            server => Err(ShellError::Unsupported { version: server.map(|server| server.protocol.clone()) }),
        }
    }
}

/// A fault that says no such thing exists here.
pub(super) fn unsupported(error: CallError) -> ShellError {
    match error.fault_kind() {
        Some(FaultKind::Unsupported) => ShellError::Unsupported { version: None },
        _ => ShellError::Call(error),
    }
}

impl Shell {
    /// Whether the server can leave this shell running and come back to it; nothing is sent.
    ///
    /// # Errors
    /// [`ShellError::Unsupported`] if not.
    pub fn can_disconnect(&self) -> Result<(), ShellError> {
        self.inside.as_ref().ok_or(ShellError::Left)?.pool.can_leave()
    }

    /// Leaves the shell, which the server keeps for `keep` (or for as long as it likes) after that. While a pipeline runs,
    /// [`Running::disconnect`] does it.
    ///
    /// # Errors
    /// The server does not know how ([`ShellError::Unsupported`]), or did not confirm it: then the shell may be left or not,
    /// and [`Shell::reconnect`] or [`super::terminate`] find out.
    pub async fn disconnect(&mut self, keep: Option<Duration>) -> Result<(), ShellError> {
        let inside = self.inside.as_mut().ok_or(ShellError::Left)?;
        if inside.pool.state() == PoolState::Disconnected {
            return Ok(());
        }
        inside.pool.can_leave()?;
        inside.service.call(&Disconnect { idle_timeout: keep, drop_output: false }).await.map_err(unsupported)?;
        inside.pool.set_connected(false);
        Ok(())
    }

    /// Comes back to the shell as the client that left it. A pipeline that ran is read further by [`Shell::resume`].
    ///
    /// # Errors
    /// The shell is gone, somebody else took it over, or the server did not answer.
    pub async fn reconnect(&mut self) -> Result<(), ShellError> {
        let inside = self.inside.as_mut().ok_or(ShellError::Left)?;
        if inside.pool.state() == PoolState::Opened {
            return Ok(());
        }
        inside.service.call(&Reconnect).await.map_err(unsupported)?;
        inside.pool.set_connected(true);
        Ok(())
    }

    /// Takes over a shell that was left, by another process or this one, as a new client of it.
    ///
    /// # Errors
    /// The shell is gone or not left, the server does not know how, or its answer is not understood.
    pub async fn connect(endpoint: Endpoint, shell_id: Uuid, settings: &Settings) -> Result<Self, ShellError> {
        let begun = Instant::now();
        let mut service = service(endpoint, settings);
        service.shell_id = Some(upper(shell_id));
        let mut options = settings.pool.clone();
        options.payload = payload(&service);
        let mut pool = Pool::new(shell_id, options);
        let connect = Connect {
            command_id: None,
            content: pool.connect()?,
            protocol_version: Some(format!("{}.{}", PROTOCOL.0, PROTOCOL.1)),
        };
        let answer = service.call(&connect).await.map_err(unsupported)?;
        pool.receive(None, &answer.content)?;
        // The versions come with this answer or not at all ([MS-PSRP] section 3.1.5.3.15).
        pool.can_leave()?;
        let beside = service.another();
        let mut inside = Inside { service, pool };
        inside.opened(begun, settings.open_within).await?;
        Ok(Shell { inside: Some(inside), beside })
    }

    /// Goes on reading a pipeline of this shell: one that was left by [`Running::disconnect`], or one that another client
    /// began. What was read before does not come again.
    ///
    /// # Errors
    /// The server knows no such command, or did not answer. Nothing was begun in any case.
    pub async fn resume(&mut self, id: Uuid, limits: Limits) -> Result<Running<'_>, ShellError> {
        let mut inside = self.inside.take().ok_or(ShellError::Left)?;
        let command_id = upper(id);
        let joined = if inside.pool.pipeline(id).is_some() {
            // Who comes back to a shell has not come back to what runs in it.
            let reconnect = ReconnectCommand { command_id: command_id.clone() };
            inside.service.call(&reconnect).await.map(|_| ()).map_err(unsupported)
        } else if let Err(error) = inside.pool.adopt(id) {
            Err(error.into())
        } else {
            let connect = Connect { command_id: Some(command_id.clone()), ..Connect::default() };
            let connected = inside.service.call(&connect).await;
            connected.map(|_| ()).map_err(|error| {
                inside.pool.forget(id);
                unsupported(error)
            })
        };
        if let Err(error) = joined {
            self.inside = Some(inside);
            return Err(error);
        }
        Ok(Running::start(&mut self.inside, inside, self.beside.another(), id, command_id, limits))
    }
}
