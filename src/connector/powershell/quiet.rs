//! Whether an earlier attempt can still act: its shell is removed, with everything that runs in it, and only once the host's
//! own list holds it no more does a look count.
//!
//! Only the shell that the journal names counts, and only at the place where it was: see [`super::handle`].

use std::time::Duration;

use tokio::time::Instant;

use super::handle::{Held, Place};
use super::host::Host;
use super::hosts::Hosts;
use super::shown;
use crate::remoting::client::{ShellError, terminate};
use crate::remoting::wsman::FaultKind;
use crate::run::connector::Quiescence;
use crate::time::Span;

/// How long the host may take to remove it, in one look.
const WITHIN: Duration = Duration::from_secs(10);
/// A host that has just begun to start again is back by then. Less than the driver waits for an answer.
const RESTART: Span = Span::from_secs(240);

/// Until when an answer is waited for.
#[must_use]
pub fn patience(hosts: &Hosts) -> Instant {
    Instant::now() + hosts.longest_wait.map_or(RESTART, |most| RESTART.min(most)).to_std()
}

/// Ends what is left of a shell, and says how that is known. `place` is where it was recorded to be; handles of older versions
/// say nothing of it.
pub async fn quiesce(hosts: &Hosts, host: &Host, shell: &str, place: Option<&Place>, until: Instant) -> Quiescence {
    let held = place.map_or(Held::There, |place| place.held(host));
    if let Held::Elsewhere(seen) = held {
        return Quiescence::CannotTell { seen };
    }
    loop {
        let (endpoint, redactor, _) = match hosts.endpoint(host).await {
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
        let error = match hosts.logged_on(host, &redactor, work).await {
            Ok(ended) => return meaning(ended.found, ended.verified, &held),
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
fn meaning(found: bool, verified: bool, held: &Held) -> Quiescence {
    let quiet = |seen: &str| Quiescence::Quiet { seen: seen.to_owned(), ended: None };
    match (found, verified, held) {
        (true, true, _) => quiet("the attempt's shell was still there; it was removed, and the host lists it no more"),
        (true, false, _) => quiet("the attempt's shell was still there; the host says that it is removed"),
        (false, true, Held::There) => quiet("the attempt's shell is gone: the host does not list it"),
        (false, true, Held::Hidden(why) | Held::Elsewhere(why)) => {
            Quiescence::CannotTell { seen: format!("the host does not list the attempt's shell, which proves nothing: {why}") }
        }
        (false, false, _) => Quiescence::CannotTell {
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
        let there = |found, verified| meaning(found, verified, &Held::There);
        assert!(matches!(there(true, true), Quiescence::Quiet { .. }));
        assert!(matches!(there(true, false), Quiescence::Quiet { .. }));
        assert!(matches!(there(false, true), Quiescence::Quiet { .. }));
        assert!(matches!(there(false, false), Quiescence::CannotTell { .. }));
    }

    #[test]
    fn f74_a_list_that_may_not_show_the_shell_proves_nothing() {
        let hidden = |found, verified| meaning(found, verified, &Held::Hidden("why".to_owned()));
        assert!(matches!(hidden(false, true), Quiescence::CannotTell { seen } if seen.contains("why")));
        assert!(matches!(hidden(true, true), Quiescence::Quiet { .. }));
    }
}
