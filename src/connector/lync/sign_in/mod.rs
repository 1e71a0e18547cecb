//! `lync.legacy_sign_in`: signs in as a Group Chat client of the old version does, by the address that such clients know, and
//! looks whether its rooms and their messages are there.
//!
//! ```text
//! args    what a step asks for, with what the target says
//! dial    from a registrar's name to a connection over TLS whose certificate was proved
//! link    messages in and out of that connection, within limits of size and time
//! call    one call: INVITE, commands of chat rooms and their replies, BYE
//! visit   what a client does, in its order, and what came of it
//! broke   where it broke, and what that is worth
//! ```
//!
//! It sends no credential, because it has none to send: a Front End in production answers it with a demand to log on, which is
//! told as such. Nothing is changed by it: no room is written to.

mod args;
mod broke;
mod call;
mod dial;
mod link;
mod visit;

use async_trait::async_trait;
use serde_json::Map;

use self::args::Wanted;
use self::broke::Broke;
use self::visit::visit;
use super::cs::{self, Checked};
use crate::connector::args::{optional, required};
use crate::plan::ActionSpec;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::run::connector::{Call, Connector, Description, Evidence, Finding, Level, Look, Observation, Quiescence};
use crate::run::event::{EvidenceRef, Outcome};

/// The connector.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignIn;

/// What the plan language knows of it.
#[must_use]
pub fn specs() -> Vec<ActionSpec> {
    vec![ActionSpec {
        name: "lync.legacy_sign_in",
        doc: "signs in as a legacy Group Chat client does, and looks at its rooms",
        args: vec![
            required("sip_address", ArgType::String, "the address that legacy clients know"),
            optional("host", ArgType::Host, "a host of the targets file whose `vars.sip` names `registrar`, `address` and `as`"),
            optional("registrar", ArgType::String, "the Front End or its pool, as `pool01.contoso.com:5061`"),
            optional("address", ArgType::String, "`host:port` to connect to, if not where the registrar's name leads"),
            optional("ca", ArgType::String, "the certificate authority's file, if not the host's or the system's own"),
            optional("as", ArgType::String, "the SIP address of the user who signs in"),
            optional("expect", ArgType::String, "`persistent_chat` (2013) or `group_chat` (2010): who must answer"),
            optional("room", ArgType::StringList, "names of rooms that must be among the user's"),
            optional("min_rooms", ArgType::Integer, "how many rooms the user must have; 1 unless given"),
            optional("min_messages", ArgType::Integer, "how many messages must be seen in the joined rooms; 0 unless given"),
        ],
        one_of: vec![&["host", "registrar"]],
        effect: Effect::Read,
        generic: false,
        destructive: false,
        undo: UndoGrade::Full,
        keeps: false,
        discovers: false,
        outputs: vec!["server", "version", "rooms", "messages", "room"],
    }]
}

/// Signs in, within the step's time.
async fn look(call: &Call) -> Result<Checked, Broke> {
    let wanted = Wanted::read(call).map_err(Broke::Local)?;
    visit(&wanted).await
}

#[async_trait]
impl Look for SignIn {
    /// The registrar must be there and prove who it is. What answers at the address is what the weekend is to change.
    async fn preflight(&self, call: &Call) -> Vec<Finding> {
        let wanted = match Wanted::read(call) {
            Ok(wanted) => wanted,
            Err(message) => return cs::wrong(message),
        };
        match dial::dial(&wanted).await {
            Ok(_) => Vec::new(),
            Err(broke @ Broke::Unreachable(_)) => vec![cs::finding(Level::Unreachable, broke.to_string())],
            Err(broke) => cs::wrong(broke.to_string()),
        }
    }

    async fn describe(&self, call: &Call) -> Description {
        match Wanted::read(call) {
            Ok(wanted) => {
                let lines = vec![format!("sign in at {} as {} through {}", wanted.address, wanted.user, wanted.registrar)];
                cs::described(lines, Map::new())
            }
            Err(why) => cs::not_described(&why),
        }
    }

    async fn probe(&self, call: &Call) -> Observation {
        match look(call).await {
            Ok(checked) => cs::observe(Ok(checked)),
            Err(broke) if broke.is_an_answer() => {
                cs::observe(Ok(Checked { holds: false, seen: broke.to_string(), outputs: Map::new() }))
            }
            Err(broke) => Observation::unknown(broke.to_string()),
        }
    }

    async fn quiesce(&self, _call: &Call) -> Quiescence {
        Quiescence::Quiet { seen: "a sign-in changes nothing, and ends with its connection".to_owned(), ended: None }
    }

    /// What was seen has been seen by the attempt itself.
    fn has_probe(&self, _uses: &str) -> bool {
        false
    }

    fn by_hand(&self, call: &Call) -> Vec<String> {
        let who = Wanted::read(call).map(|wanted| format!("{} through {}", wanted.address, wanted.registrar));
        vec![
            format!(
                "# sign in with a Group Chat client of the old version, on which nothing was changed ({})",
                who.unwrap_or_default()
            ),
            "# open a room, and scroll back to its last messages".to_owned(),
        ]
    }
}

#[async_trait]
impl Connector for SignIn {
    async fn before_image(&self, _call: &Call, _evidence: &dyn Evidence) -> Result<Option<EvidenceRef>, String> {
        Ok(None)
    }

    async fn apply(&self, call: &Call) -> Outcome {
        match look(call).await {
            Ok(checked) => cs::conclude(Ok(checked)),
            Err(broke) if broke.is_an_answer() => cs::rejected(broke.to_string()),
            Err(broke @ (Broke::Local(_) | Broke::Unreachable(_))) => Outcome::NotSent { reason: broke.to_string() },
            Err(broke) => Outcome::Unknown { reason: broke.to_string() },
        }
    }

    async fn undo(&self, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}
