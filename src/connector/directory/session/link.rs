//! One operation on a connection: bounded in time, its failures told apart by whether the request may have left.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::task::Poll;
use std::time::Duration;

use ldap3::{Ldap, LdapConnAsync, LdapError};

use super::super::super::redact::Redactor;
use crate::foreign::one_line;

/// Longest text of a server in a message.
const LONGEST: usize = 240;

/// A connection over TLS with its driving task. Ends the task when dropped.
pub struct Link {
    /// The handle of the library. Its controls are those of the next operation, and are always set by it.
    pub ldap: Ldap,
    drive: tokio::task::JoinHandle<()>,
    /// Of one operation.
    pub timeout: Duration,
    /// The server, for messages.
    pub host: String,
    /// Takes the password out of what the server says.
    pub redactor: Redactor,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.drive.abort();
    }
}

/// Why an operation gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// True if not one byte of the request was handed to the connection.
    pub unsent: bool,
    /// For people.
    pub message: String,
}

impl Link {
    /// Drives a connection.
    pub fn new(connection: LdapConnAsync, ldap: Ldap, timeout: Duration, host: String) -> Self {
        let drive = tokio::spawn(async move {
            // What it ends with reaches whoever waits for an answer, as a closed channel.
            let _ = guarded(connection.drive()).await;
        });
        Link { ldap, drive, timeout, host, redactor: Redactor::default() }
    }

    /// What a server said, safe to show.
    pub fn said(&self, text: &str) -> String {
        one_line(&self.redactor.text(text), LONGEST)
    }

    /// Whether the connection is known to be over.
    fn is_over(&self) -> bool {
        self.drive.is_finished()
    }

    /// Carries out one operation.
    pub async fn ask<T, F>(&mut self, operation: impl FnOnce(Ldap) -> F) -> Result<T, Lost>
    where
        F: Future<Output = Result<T, LdapError>>,
    {
        if self.is_over() {
            return Err(Lost { unsent: true, message: format!("the connection to `{}` is closed", self.host) });
        }
        // The handle is cloned: the clone has no controls, whatever an earlier operation left behind.
        let asked = guarded(operation(self.ldap.clone()));
        let lost = |unsent, what: String| Err(Lost { unsent, message: what });
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => {
                // The library gives the request back only if its connection had ended before; the others that are named
                // here come from building the request.
                let unsent = matches!(error, LdapError::OpSend { .. } | LdapError::FilterParsing | LdapError::AddNoValues);
                let what = match error {
                    LdapError::OpSend { .. } | LdapError::ResultRecv { .. } | LdapError::EndOfStream => {
                        format!("the connection to `{}` was closed before an answer came", self.host)
                    }
                    other => format!("no answer of `{}` that is understood: {}", self.host, self.said(&other.to_string())),
                };
                lost(unsent, what)
            }
            Ok(Err(Panicked)) => lost(false, format!("the answer of `{}` is not LDAP as the standard says", self.host)),
            Err(_) => lost(false, format!("`{}` gave no answer within {}", self.host, seconds(self.timeout))),
        }
    }
}

/// A length of time for messages.
pub fn seconds(time: Duration) -> String {
    super::super::super::span(crate::time::Span::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// The library gave up on what it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a future of the library, which panics on answers that are not as the standard says. A server that sends such an
/// answer must not end the run, and not write into the operator's screen either.
///
/// # Errors
/// It panicked.
pub async fn guarded<F: Future>(future: F) -> Result<F::Output, Panicked> {
    quiet_hook();
    let mut future = Box::pin(future);
    poll_fn(|context| {
        let before = GUARDED.replace(true);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        GUARDED.set(before);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

/// A panic that [`guarded`] catches is not printed; all others go to the hook that was there before.
fn quiet_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn f20_f53_a_panic_of_the_library_is_an_error_and_nothing_else() {
        assert_eq!(guarded(async { 7 }).await, Ok(7));
        let broken: Result<(), Panicked> = guarded(async { panic!("as the library does on answers that are cut off") }).await;
        assert_eq!(broken, Err(Panicked));
        assert!(!GUARDED.get());
    }
}
