//! Opens sessions with hosts, and remembers refused logons: one bad password is not sent to twenty hosts at once, because
//! three would lock the account.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::handle::Handle;
use super::host::{Expiries, Host};
use super::session::Session;
use super::shown;
use crate::connector::no_answer::NoAnswer;
use crate::connector::redact::Redactor;
use crate::connector::refused::{self, Refused};
use crate::connector::time_left::TimeLeft;
use crate::connector::{Options, args};
use crate::plan::Targets;
use crate::remoting::auth::AuthError;
use crate::remoting::client::{CallError, Settings, Shell, ShellError};
use crate::remoting::http::{Endpoint, SendError, Why};
use crate::remoting::wsman::FaultKind;
use crate::run::connector::{Call, Finding};
use crate::time::Span;

/// Of what is remembered.
const NOTES: usize = 500_000;

/// The way to every host. Its clones share what they remember.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    refused: Arc<Refused>,
    /// Accounts whose password was right: their logons need not wait for one another.
    proved: Arc<Mutex<BTreeSet<String>>>,
    /// What hosts were found to be like lately: many steps ask for the same one at the start, and one that is dead costs its
    /// timeout each time.
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
    /// What actions remember of what they saw, by keys of their own. Dies with the process.
    notes: Arc<Mutex<HashMap<String, String>>>,
    /// No wait is longer; set by the lab.
    pub longest_wait: Option<Span>,
}

/// When a host was looked at, and what was found.
type Seen = (Instant, Vec<Finding>);

/// What was found of a host is believed for so long by whoever asks before the start.
const SEEN: Duration = Duration::from_secs(30);

/// Why a host cannot be used. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Closed {
    unreachable: bool,
    /// The password is wrong, or the account may not log on.
    logon: bool,
    reason: String,
}

impl Hosts {
    /// Waits no longer than the options allow.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Hosts { longest_wait: options.longest_wait, ..Hosts::default() }
    }

    /// Remembers what was seen, for later looks of this process. Beyond a bound it is forgotten again, and asked for anew.
    pub fn note(&self, key: String, seen: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() >= NOTES {
            notes.clear();
        }
        notes.insert(key, seen);
    }

    /// Forgets what was remembered, because it is about to change.
    pub fn forget(&self, key: &str) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// What was remembered.
    #[must_use]
    pub fn noted(&self, key: &str) -> Option<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// The host that a call names; an action on files alone may name no other than `file_host`.
    ///
    /// # Errors
    /// The targets file has none of that name, or it cannot be used.
    pub fn host(&self, call: &Call) -> Result<Host, String> {
        let name = match args::text(call, "host")? {
            Some(name) => name,
            None if call.with.contains_key("file_host") => args::needed(call, "file_host")?,
            None => args::needed(call, "host")?,
        };
        self.named(&call.targets, &name)
    }

    /// A host by its name.
    ///
    /// # Errors
    /// As [`Hosts::host`].
    pub fn named(&self, targets: &Targets, name: &str) -> Result<Host, String> {
        Host::read(targets, name, self.longest_wait)
    }

    /// A session for looking.
    ///
    /// # Errors
    /// The host cannot be reached, or does not let us in.
    pub async fn look(&self, call: &Call) -> Result<Session, NoAnswer> {
        self.open(&self.host(call)?, Uuid::new_v4(), TimeLeft::of(call)).await
    }

    /// The session of an attempt, in the shell whose id was recorded with the intent.
    ///
    /// # Errors
    /// As [`Hosts::look`]; nothing was done then.
    pub async fn attempt(&self, call: &Call) -> Result<Session, NoAnswer> {
        // Without a handle it is the way back of a step, in a shell of its own.
        let id = call.handle.as_deref().map_or_else(|| Ok(Uuid::new_v4()), |handle| Handle::read(handle).id())?;
        self.enter(&self.host(call)?, id, TimeLeft::of(call), false).await
    }

    /// A session for looking at another host that the call names by this argument.
    ///
    /// # Errors
    /// As [`Hosts::look`].
    pub async fn look_at(&self, call: &Call, argument: &str) -> Result<Session, NoAnswer> {
        let host = self.named(&call.targets, &args::needed(call, argument)?)?;
        self.open(&host, Uuid::new_v4(), TimeLeft::of(call)).await
    }

    /// The session of an attempt on another host, in a shell that whoever resumes finds again: [`super::action::beside`].
    ///
    /// # Errors
    /// As [`Hosts::look`].
    pub async fn attempt_at(&self, call: &Call, argument: &str) -> Result<Session, NoAnswer> {
        let name = args::needed(call, argument)?;
        let host = self.named(&call.targets, &name)?;
        self.enter(&host, super::action::beside(call, &name), TimeLeft::of(call), false).await
    }

    /// A session with a host, in a shell of that id; what is done in it shares `time`.
    ///
    /// # Errors
    /// As [`Hosts::look`].
    pub async fn open(&self, host: &Host, id: Uuid, time: TimeLeft) -> Result<Session, NoAnswer> {
        self.enter(host, id, time, true).await
    }

    /// As [`Hosts::open`]. What acts runs in no shell but the one that the journal names: nobody who resumes would find another
    /// one that the host chose (`any_id`).
    async fn enter(&self, host: &Host, id: Uuid, time: TimeLeft, any_id: bool) -> Result<Session, NoAnswer> {
        let (endpoint, redactor, expiries) = self.endpoint(host).await?;
        let settings = Settings { any_id, ..Session::settings(host, self.longest_wait) };
        match time.keep(self.logged_on(host, &redactor, Box::pin(Shell::open(endpoint, id, &settings)))).await {
            Ok(Ok(shell)) => Ok(Session::new(shell, host.clone(), redactor, time, expiries)),
            Ok(Err(no)) => Err(no),
            Err(late) => Err(NoAnswer::from(late)),
        }
    }

    /// What was found of a host within the last half minute.
    pub(super) fn lately(&self, host: &Host) -> Option<Vec<Finding>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&host.name).filter(|(at, _)| at.elapsed() < SEEN).map(|(_, found)| found.clone())
    }

    /// Remembers what was found of a host.
    pub(super) fn remember(&self, host: &Host, found: &[Finding]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(host.name.clone(), (Instant::now(), found.to_vec()));
    }

    /// What a connection to the host needs.
    ///
    /// # Errors
    /// A file or the password cannot be had.
    pub async fn endpoint(&self, host: &Host) -> Result<(Endpoint, Redactor, Expiries), NoAnswer> {
        // Without the host's name: whoever asks says for what, and what several hosts lack is then the same.
        let (endpoint, password, expiries) = host.endpoint().await.map_err(NoAnswer::from)?;
        Ok((endpoint, Redactor::new(&password), expiries))
    }

    /// Runs what logs on. Of an account that is not proved yet, one at a time; a refusal is not repeated for a minute.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub async fn logged_on<T, E: Into<ShellError>>(
        &self,
        host: &Host,
        redactor: &Redactor,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, NoAnswer> {
        let account = whose(host);
        let is_proved = || self.proved.lock().unwrap_or_else(PoisonError::into_inner).contains(&account);
        let mut turn = None;
        if !is_proved() {
            let last = self.refused.turn(account.clone()).await;
            if let Some((left, said)) = refused::held(&last, Instant::now()) {
                let next = (jiff::Timestamp::now() + left).strftime("%H:%M:%S UTC");
                let why = "because several refused logons would lock the account";
                return Err(NoAnswer::from(format!("{said}; not tried again before {next}, {why}")));
            }
            // Whoever was before us may have proved it.
            turn = (!is_proved()).then_some(last);
        }
        let result = work.await;
        let mut proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(value) => {
                proved.insert(account);
                Ok(value)
            }
            Err(error) => {
                let closed = why(host, redactor, &error.into());
                if closed.logon {
                    proved.remove(&account);
                    let refusal = Some((Instant::now(), closed.reason.clone()));
                    match &mut turn {
                        Some(last) => **last = refusal,
                        // It was right and is no more: whoever comes next is held, and if somebody has the turn, it
                        // finds out by itself.
                        None => self.refused.note(&account, refusal),
                    }
                }
                Err(NoAnswer { unreachable: closed.unreachable, reason: closed.reason })
            }
        }
    }
}

/// The account that a refused logon counts against: one of a domain is the same on every host.
fn whose(host: &Host) -> String {
    let account = host.logon.account().to_lowercase();
    if account.contains(['\\', '@']) { account } else { format!("{}\0{account}", host.name) }
}

/// What an error means to whoever wanted in.
fn why(host: &Host, redactor: &Redactor, error: &ShellError) -> Closed {
    let said = shown(&redactor.text(&error.to_string()));
    let place = format!("`{}` ({})", host.name, host.address);
    let (unreachable, logon, reason) = match error {
        ShellError::Call(CallError::Send(SendError { why: Why::Refused { method, offered }, .. })) => {
            let offers = if offered.is_empty() { "nothing".to_owned() } else { shown(&offered.join(", ")) };
            let account = host.logon.account();
            let text =
                format!("{place} refuses the logon of `{account}` by {method}; it offers {offers}; is the password right?");
            (false, true, text)
        }
        ShellError::Call(CallError::Send(SendError { why: Why::Auth(AuthError::Refused(_)), .. })) => {
            (false, true, format!("{place}: {said}"))
        }
        ShellError::Call(CallError::Send(error)) => {
            let out_of_reach = matches!(error.why, Why::Connect { .. } | Why::Timeout { .. } | Why::Broken(_) | Why::Closed);
            (out_of_reach, false, format!("{place}: {said}"))
        }
        ShellError::Call(error) if error.fault_kind() == Some(FaultKind::AccessDenied) => {
            let text = format!(
                "{place}: `{}` may not use PowerShell remoting there ({said}); it needs to be in `Remote Management Users` or an \
                 administrator",
                host.logon.account()
            );
            (false, false, text)
        }
        ShellError::Deadline { .. } => (true, false, format!("{place}: {said}")),
        _ => (false, false, format!("{place}: {said}")),
    };
    Closed { unreachable, logon, reason }
}
