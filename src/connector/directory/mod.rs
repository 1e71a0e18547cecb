//! `ad.*` and `ldap.*`: Active Directory and other LDAP directories.
//!
//! ```text
//! actions/  one file per action: what it means, what it does          (decides with guard, find, image)
//! guard     may this object be destroyed? pure, over facts
//! facts     reads what the guard needs to know
//! find      from a SIP address to exactly one object, or to why not
//! bound     what a step is bound to, and the server that it is bound to
//! quiet     whether an earlier attempt can still act: pure
//! by_hand   the commands that a person would type
//! image     the before-image: what a deletion destroys, and what a restore puts back
//! topology  the domain controllers, from the directory itself
//! session   one connection: reading apart from writing                (the only place that knows ldap3)
//! outcome   what the result of a write means
//! target    a directory of the targets file
//! ticket    how long a Kerberos ticket is good: reads the credential cache
//! args      the arguments of a call, read into types
//! dn filter guid sid descriptor entry     values, built by types only
//! ```
//!
//! An object is found by name once, and from then on addressed by `<GUID=…>` alone: a name may be taken by another
//! object at any time. That it is gone is believed only when its tombstone was seen.

pub mod actions;
pub mod args;
pub mod bound;
pub mod by_hand;
pub mod descriptor;
pub mod dn;
pub mod entry;
pub mod facts;
pub mod filter;
pub mod find;
pub mod guard;
pub mod guid;
pub mod image;
pub mod outcome;
pub mod preflight;
pub mod quiet;
pub mod session;
pub mod sid;
pub mod target;
mod ticket;
pub mod topology;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use self::actions::Action;
use self::session::{Dialer, OpenError, ReadError, Session, Trouble};
use self::target::Target;
use crate::connector::Options;
use crate::connector::lasts::Last;
pub use crate::connector::no_answer::NoAnswer;
use crate::foreign::one_line;
use crate::plan::action::Effect;
use crate::plan::{ActionSpec, Targets};
use crate::run::connector::{Call, Connector, Description, Evidence, Finding, Level, Look, Observation, Pin, Quiescence};
use crate::run::event::{EvidenceRef, Outcome, VIA};
use crate::time::Span;

/// The connector: the actions on directories, and what they share.
#[derive(Debug, Clone)]
pub struct Directory {
    dialer: Dialer,
    /// No wait is longer; set by the lab.
    longest_wait: Option<Span>,
    /// Attempts that this process has made and given up or ended: their connections are closed. Dies with the process.
    ended: Arc<Mutex<HashSet<String>>>,
}

/// Notes when it is dropped that an attempt is over here, whether it came to its end or was given up.
struct Ending<'d> {
    directory: &'d Directory,
    attempt: String,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut ended = self.directory.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.insert(std::mem::take(&mut self.attempt));
    }
}

/// What the plan language knows of these actions.
#[must_use]
pub fn specs() -> Vec<ActionSpec> {
    actions::ALL.iter().map(|action| action.spec()).collect()
}

impl From<OpenError> for NoAnswer {
    fn from(error: OpenError) -> Self {
        NoAnswer { unreachable: error.kind == Trouble::Unreachable, reason: error.message }
    }
}

impl From<ReadError> for NoAnswer {
    fn from(error: ReadError) -> Self {
        NoAnswer { unreachable: false, reason: error.message }
    }
}

/// Foreign text, safe to print.
fn shown(text: &str) -> String {
    one_line(text, 300)
}

impl Directory {
    /// A connector that waits no longer than the options allow. Its clones share what they remember of refused logons.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Directory { dialer: Dialer::default(), longest_wait: options.longest_wait, ended: Arc::default() }
    }

    /// The directory that a call names.
    fn target(&self, call: &Call) -> Result<Target, String> {
        Target::read(&call.targets, &args::needed(call, "directory")?, self.longest_wait)
    }

    /// A session with the server that the step is bound to; with the one that the target names as long as it is bound to
    /// none. A server whose database is another copy by now knows nothing of what was done on the first: it is no answer.
    async fn open(&self, call: &Call) -> Result<Session, NoAnswer> {
        let target = self.target(call)?;
        let mut session = self.dialer.open(&target, &bound::server(&call.identity)).await?;
        if let Some(then) = call.identity.get(bound::INVOCATION)
            && let Some(now) = topology::invocation(&mut session).await?
            && now.to_string() != *then
        {
            return Err(format!(
                "`{}` has another copy of its database than when the step was bound (invocationId {now}, not {}): it was restored \
                 from a backup or made anew since, and may not know what was done; find out what happened to it",
                shown(&session.root().host),
                shown(then)
            )
            .into());
        }
        Ok(session)
    }

    /// Adds to what a step is bound to which copy of the database its server has, where that can be read.
    async fn with_invocation(&self, call: &Call, pin: Pin) -> Pin {
        let Pin::Bound { mut identity, seen } = pin else { return pin };
        let bound = Call { identity: identity.clone(), ..call.clone() };
        if identity.contains_key(VIA)
            && let Ok(mut session) = self.open(&bound).await
            && let Ok(Some(invocation)) = topology::invocation(&mut session).await
        {
            identity.insert(bound::INVOCATION.to_owned(), invocation.to_string());
        }
        Pin::Bound { identity, seen }
    }

    /// What keeps a run from starting: the arguments cannot be used, or the directory that they name is not to be had. And what
    /// does not last until its end.
    async fn reach(&self, call: &Call, named: Result<Target, String>) -> Vec<Finding> {
        match named {
            Ok(target) => preflight::preflight(&self.dialer, &target, &Last::of(call, jiff::Timestamp::now())).await,
            Err(message) => vec![Finding { level: Level::Fatal, message }],
        }
    }

    /// Everything that can be told of a directory of the targets file, good and bad. Changes nothing.
    pub async fn survey(&self, targets: &Targets, name: &str) -> Vec<Finding> {
        match Target::read(targets, name, self.longest_wait) {
            Ok(target) => preflight::survey(&self.dialer, &target).await,
            Err(message) => vec![Finding { level: Level::Fatal, message }],
        }
    }

    fn action(call: &Call) -> Result<&'static dyn Action, String> {
        actions::named(&call.uses).ok_or_else(|| format!("`{}` is no action on a directory", shown(&call.uses)))
    }
}

#[async_trait]
impl Look for Directory {
    async fn preflight(&self, call: &Call) -> Vec<Finding> {
        match Self::action(call) {
            Ok(action) => action.preflight(self, call).await,
            Err(message) => vec![Finding { level: Level::Fatal, message }],
        }
    }

    async fn pin(&self, call: &Call) -> Pin {
        match Self::action(call) {
            Ok(action) => self.with_invocation(call, action.pin(self, call).await).await,
            Err(reason) => NoAnswer::from(reason).pin(),
        }
    }

    async fn describe(&self, call: &Call) -> Description {
        match Self::action(call) {
            Ok(action) => action.describe(self, call).await,
            Err(why) => Description { lines: vec![why], rehearsable: false, outputs: serde_json::Map::new() },
        }
    }

    async fn probe(&self, call: &Call) -> Observation {
        match Self::action(call) {
            Ok(action) => action.probe(self, call).await,
            Err(why) => Observation::unknown(why),
        }
    }

    /// LDAP has no way to ask after an earlier request. What makes a late one harmless is how it is addressed, and that
    /// whoever sent it sends no more: see [`quiet`].
    async fn quiesce(&self, call: &Call) -> Quiescence {
        let action = match Self::action(call) {
            Ok(action) => action,
            Err(seen) => return Quiescence::CannotTell { seen },
        };
        if action.spec().effect == Effect::Read {
            return Quiescence::Quiet { seen: "a look changes nothing".to_owned(), ended: None };
        }
        let operation = match self.target(call) {
            Ok(target) => target.timeout,
            Err(seen) => return Quiescence::CannotTell { seen },
        };
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains(&call.attempt_id());
        quiet::quiesce(action.late(), ended || call.sent.dead, call.sent, call.timeout, operation)
    }

    /// What a read step saw has been seen by the attempt itself.
    fn has_probe(&self, uses: &str) -> bool {
        actions::named(uses).is_some_and(|action| action.spec().effect != Effect::Read)
    }

    fn by_hand(&self, call: &Call) -> Vec<String> {
        match Self::action(call) {
            Ok(action) => action.by_hand(self, call),
            Err(why) => vec![format!("# {why}")],
        }
    }
}

#[async_trait]
impl Connector for Directory {
    async fn before_image(&self, call: &Call, evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        Self::action(call)?.before_image(self, call, evidence).await
    }

    async fn apply(&self, call: &Call) -> Outcome {
        // Made first, so that it is dropped last: the connection is closed by then.
        let _ending = Ending { directory: self, attempt: call.attempt_id() };
        match Self::action(call) {
            Ok(action) => action.apply(self, call).await,
            Err(reason) => Outcome::NotSent { reason },
        }
    }

    async fn undo(&self, call: &Call, before_image: Option<&[u8]>) -> Outcome {
        match Self::action(call) {
            Ok(action) => action.undo(self, call, before_image).await,
            Err(reason) => Outcome::NotSent { reason },
        }
    }
}
