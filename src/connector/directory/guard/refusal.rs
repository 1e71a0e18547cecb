//! Why an object may not be destroyed, in words for the operator.

use std::fmt;

use crate::connector::directory::dn::Dn;
use crate::connector::directory::guid::Guid;
use crate::connector::directory::sid::Sid;
use crate::foreign::one_line;

/// Why it may not be destroyed. One line each for people: what was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A fact that could not be read.
    Unknown {
        /// What cannot be told: completes "cannot tell …".
        question: &'static str,
        /// What was missing.
        missing: &'static str,
    },
    /// Another object than the approved one.
    OtherObject {
        /// The approved one.
        pinned: Guid,
        /// This one.
        found: Guid,
    },
    /// The approved object with another SID: it was moved between domains, or restored in part.
    OtherSid {
        /// When it was approved.
        pinned: Sid,
        /// Now.
        found: Sid,
    },
    /// Renamed or moved since it was approved.
    Moved {
        /// When it was approved.
        pinned: Dn,
        /// Now.
        found: Dn,
    },
    /// Not where it must be.
    OutsideBase {
        /// Where it is.
        found: Dn,
        /// Where it must be.
        base: Dn,
    },
    /// The base is the whole directory.
    NoBase,
    /// Another class than the action is for.
    OtherClass {
        /// What the action is for.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// A managed service account of any kind.
    ManagedServiceAccount {
        /// Its class.
        class: &'static str,
    },
    /// `isCriticalSystemObject`.
    Critical,
    /// `systemFlags` forbids deletion.
    Undeletable {
        /// The flags.
        flags: u32,
    },
    /// Administrator, krbtgt, and others that every domain has.
    BuiltIn {
        /// Its SID.
        sid: Sid,
        /// What it is, if it is known by name.
        name: Option<&'static str>,
    },
    /// A SID that is of no domain.
    WellKnown {
        /// Its SID.
        sid: Sid,
    },
    /// A SID of another domain.
    OtherDomain {
        /// Its SID.
        sid: Sid,
        /// The domain's.
        domain: Sid,
    },
    /// Not an ordinary account: a domain controller, a machine, a trust, the krbtgt of a read-only domain controller.
    NotOrdinary {
        /// What it is.
        what: &'static str,
        /// What says so.
        because: String,
    },
    /// The account that relevo runs as, or a group of it.
    Ourselves,
    /// A member of a protected group.
    Privileged {
        /// The group.
        group: Sid,
        /// Its usual name.
        name: &'static str,
    },
    /// `adminCount` is set without such a group.
    PossiblyPrivileged,
    /// Not a leaf.
    HasChildren,
    /// An entry of its own descriptor denies its deletion.
    Protected,
    /// An entry of its parent's descriptor denies the deletion of children.
    ProtectedByParent,
    /// Already deleted.
    Deleted,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unknown { question, missing } => {
                write!(f, "cannot tell {question}: {missing} could not be read; let the account read it")
            }
            Refusal::OtherObject { pinned, found } => write!(
                f,
                "another object than the approved one: objectGUID {found}, approved was {pinned}; find out who replaced it, then plan anew"
            ),
            Refusal::OtherSid { pinned, found } => {
                write!(f, "its SID changed since it was approved: {found}, was {pinned}; find out who did that, then plan anew")
            }
            Refusal::Moved { pinned, found } => write!(
                f,
                "renamed or moved since it was approved: it is `{}`, was `{}`; find out why, then plan anew",
                shown(found),
                shown(pinned)
            ),
            Refusal::OutsideBase { found, base } => {
                write!(f, "`{}` is outside `{}`; correct `base` if that is really meant", shown(found), shown(base))
            }
            Refusal::NoBase => {
                f.write_str("the base is empty, which is the whole directory; name the container that it must be in")
            }
            Refusal::OtherClass { wanted, found } => {
                write!(f, "it is a `{found}`, and this action is for `{wanted}`; find the right object")
            }
            Refusal::ManagedServiceAccount { class } => {
                write!(f, "it is a managed service account (`{class}`); remove it with the tools for those")
            }
            Refusal::Critical => {
                f.write_str("it is a critical system object (isCriticalSystemObject); the domain needs it, find the right object")
            }
            Refusal::Undeletable { flags } => {
                write!(f, "the directory forbids its deletion (systemFlags {flags:#010x}); find the right object")
            }
            Refusal::BuiltIn { sid, name: Some(name) } => {
                write!(f, "it is the domain's {name} ({sid}); never delete that, find the right object")
            }
            Refusal::BuiltIn { sid, name: None } => {
                write!(f, "it is an account that every domain has ({sid}); only those from 1000 on may be deleted")
            }
            Refusal::WellKnown { sid } => write!(f, "its SID is well known and of no domain ({sid}); find the right object"),
            Refusal::OtherDomain { sid, domain } => {
                write!(f, "its SID {sid} is of another domain than this one ({domain}); act in its own domain")
            }
            Refusal::NotOrdinary { what, because } => write!(f, "it is {what} ({because}); find the right object"),
            Refusal::Ourselves => f.write_str("it is the account that relevo runs as, or a group of it; run as another account"),
            Refusal::Privileged { group, name } => write!(
                f,
                "it is privileged: in {name} ({group}), directly or through other groups; take it out of that group first if it must go"
            ),
            Refusal::PossiblyPrivileged => f.write_str(
                "adminCount is set, so it is or was privileged, though no protected group of it was found; \
                 find out which, then permit it in the plan or clear adminCount",
            ),
            Refusal::HasChildren => f.write_str("something lies below it, and would be lost with it; move or delete that first"),
            Refusal::Protected => f.write_str(
                "it is protected: an entry of its security descriptor denies its deletion; take that entry away if it must go",
            ),
            Refusal::ProtectedByParent => f.write_str(
                "it is protected: an entry of its container's security descriptor denies the deletion of children; \
                 take that entry away if it must go",
            ),
            Refusal::Deleted => f.write_str("it is deleted already; nothing is left to do, find out who did it"),
        }
    }
}

fn shown(dn: &Dn) -> String {
    one_line(&dn.to_string(), 300)
}
