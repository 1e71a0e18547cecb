//! Whether an earlier attempt can still act: its shell is removed, with everything that runs in it, and only once the host's
//! own list holds it no more does a look count.

use std::time::Duration;

use tokio::time::Instant;

use super::hosts::Hosts;
use super::shown;
use crate::plan::action::Effect;
use crate::remoting::client::{ShellError, terminate};
use crate::remoting::wsman::FaultKind;
use crate::run::connector::{Call, Quiescence};
use crate::time::Span;

/// How long the host may take to remove it, in one look.
const WITHIN: Duration = Duration::from_secs(10);
/// A host that has just begun to start again is back by then.
const RESTART: Span = Span::from_secs(300);

/// Ends what is left of the attempt, and says how that is known.
pub async fn quiesce(hosts: &Hosts, call: &Call) -> Quiescence {
    if call.effect == Effect::Read {
        return Quiescence::Quiet { seen: "a look changes nothing".to_owned(), ended: None };
    }
    let Some(shell) = &call.handle else {
        return Quiescence::CannotTell { seen: "no shell was recorded for the attempt".to_owned() };
    };
    let host = match hosts.host(call) {
        Ok(host) => host,
        Err(seen) => return Quiescence::CannotTell { seen },
    };
    let patience = hosts.longest_wait.map_or(RESTART, |most| RESTART.min(most));
    let until = Instant::now() + patience.to_std();
    loop {
        let (endpoint, redactor) = match hosts.endpoint(&host).await {
            Ok(found) => found,
            Err(error) => return Quiescence::CannotTell { seen: error.reason },
        };
        let mut listed_still = false;
        let work = async {
            terminate(&endpoint, &host.configuration, &shell.to_uppercase(), WITHIN).await.map_err(|error| {
                listed_still = error.fault_kind() == Some(FaultKind::TimedOut);
                ShellError::Call(error)
            })
        };
        let error = match hosts.logged_on(&host, &redactor, work).await {
            Ok(ended) => return meaning(ended.found, ended.verified),
            Err(error) => error,
        };
        if listed_still {
            return Quiescence::Busy { seen: format!("`{}` still has the attempt's shell", host.name) };
        }
        if !error.unreachable || Instant::now() >= until {
            return Quiescence::CannotTell { seen: shown(&error.reason) };
        }
        tokio::time::sleep(host.poll.to_std()).await;
    }
}

/// What the host's answer is worth.
fn meaning(found: bool, verified: bool) -> Quiescence {
    let quiet = |seen: &str| Quiescence::Quiet { seen: seen.to_owned(), ended: None };
    match (found, verified) {
        (true, true) => quiet("the attempt's shell was still there; it was removed, and the host lists it no more"),
        (true, false) => quiet("the attempt's shell was still there; the host says that it is removed"),
        (false, true) => quiet("the attempt's shell is gone: the host does not list it"),
        (false, false) => Quiescence::CannotTell {
            seen: "the host knows no such shell, and has no list to prove it; behind a load balancer it may be on another one"
                .to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f69_f74_only_a_removal_or_a_list_proves_that_a_shell_is_gone() {
        assert!(matches!(meaning(true, true), Quiescence::Quiet { .. }));
        assert!(matches!(meaning(true, false), Quiescence::Quiet { .. }));
        assert!(matches!(meaning(false, true), Quiescence::Quiet { .. }));
        assert!(matches!(meaning(false, false), Quiescence::CannotTell { .. }));
    }
}
