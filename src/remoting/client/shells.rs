//! Shells from outside: which are there, and removing one. A resume needs no more than the id that was written down.

use std::time::Duration;

use tokio::time::Instant;

use super::shell::upper;
use super::{CallError, Service};
use crate::remoting::http::Endpoint;
use crate::remoting::wsman::{Delete, Enumerate, FaultKind, Pull, ShellInfo, names};

/// Shells per answer.
const AT_ONCE: u32 = 1000;
/// Answers of one enumeration; a server that goes on is not to be believed.
const MOST_PULLS: usize = 100;

/// What became of a shell that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminated {
    /// Whether it was there.
    pub found: bool,
    /// Whether the server's list was read afterwards and does not hold it. Without that, only the server's word counts.
    pub verified: bool,
}

/// All shells that the server lists to this account.
///
/// # Errors
/// As [`Service::call`]; some services have no list and answer with a fault.
pub async fn shells(endpoint: &Endpoint) -> Result<Vec<ShellInfo>, CallError> {
    let mut service = Service::new(endpoint.clone(), names::ALL_SHELLS.to_owned());
    list(&mut service).await
}

/// Whether the server lists a shell of that id, in any case.
///
/// # Errors
/// As [`shells`].
pub async fn exists(endpoint: &Endpoint, shell_id: &str) -> Result<bool, CallError> {
    Ok(shells(endpoint).await?.iter().any(|shell| shell.shell_id.eq_ignore_ascii_case(shell_id)))
}

/// Removes a shell and everything that runs in it, and waits at most `within` until the server's list holds it no more.
/// Only after that can what ran in it have no further effect. A shell that is not there is no error.
///
/// # Errors
/// The call failed, or the shell is still listed at the end ([`FaultKind::TimedOut`] of a fault of ours).
pub async fn terminate(
    endpoint: &Endpoint,
    configuration: &str,
    shell_id: &str,
    within: Duration,
) -> Result<Terminated, CallError> {
    let mut service = Service::new(endpoint.clone(), names::configuration(configuration));
    // As Windows writes ids; another kind of id stays as the server gave it.
    service.shell_id = Some(shell_id.parse().map_or_else(|_| shell_id.to_owned(), upper));
    let found = match service.call(&Delete).await {
        Ok(_) => true,
        Err(error) if error.fault_kind() == Some(FaultKind::ShellNotFound) => false,
        Err(error) => return Err(error),
    };
    // The list needs another resource, and the same connection serves.
    names::ALL_SHELLS.clone_into(&mut service.resource);
    service.shell_id = None;
    let until = Instant::now() + within;
    loop {
        match list(&mut service).await {
            Ok(shells) if shells.iter().all(|shell| !shell.shell_id.eq_ignore_ascii_case(shell_id)) => {
                return Ok(Terminated { found, verified: true });
            }
            Ok(_) if Instant::now() >= until => {
                let text = "the shell was to be removed and is still listed";
                return Err(CallError::Fault(Box::new(crate::remoting::wsman::Fault::new(
                    crate::remoting::wsman::Fault::TIMED_OUT,
                    "TimedOut",
                    text,
                ))));
            }
            Ok(_) => tokio::time::sleep(Duration::from_millis(500)).await,
            // A service behind a web server may have no list.
            Err(CallError::Fault(_)) => return Ok(Terminated { found, verified: false }),
            Err(error) => return Err(error),
        }
    }
}

async fn list(service: &mut Service) -> Result<Vec<ShellInfo>, CallError> {
    let first = service.call(&Enumerate { max_elements: AT_ONCE }).await?;
    let (mut shells, mut context) = (first.shells, first.context);
    for _ in 0..MOST_PULLS {
        let Some(from) = context else { return Ok(shells) };
        let more = service.call(&Pull { context: from, max_elements: AT_ONCE }).await?;
        shells.extend(more.shells);
        context = more.context;
    }
    Err(crate::remoting::wsman::Malformed("the list of shells has no end".to_owned()).into())
}
