//! May this object be destroyed? A pure function over what was read of it.
//!
//! The server is not relied upon: what is protected, and with which answer, differs between servers, and an account
//! that may delete everything is stopped by nothing. Every reason is given, not just the first. What could not be read
//! is a reason too: [`Refusal::Unknown`].

mod refusal;

use super::descriptor::{DELETE, DELETE_CHILD, DELETE_TREE, Descriptor};
use super::dn::Dn;
use super::entry::Entry;
use super::guid::Guid;
use super::sid::Sid;
use crate::foreign::one_line;

pub use refusal::Refusal;

/// The attributes that [`guard`] looks at: [`Facts::object`] must have been read with them.
pub const ATTRIBUTES: &[&str] = &[
    "objectClass",
    "objectGUID",
    "objectSid",
    "isDeleted",
    "isCriticalSystemObject",
    "systemFlags",
    "userAccountControl",
    "primaryGroupID",
    "adminCount",
    "sAMAccountType",
    "msDS-SecondaryKrbTgtNumber",
];

/// Who the object was when it was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// Its objectGUID.
    pub guid: Guid,
    /// Its objectSid.
    pub sid: Sid,
    /// Its name.
    pub dn: Dn,
}

/// What is known. `None` is what could not be read, and never counts as harmless.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The object, with [`ATTRIBUTES`].
    pub object: &'a Entry,
    /// Its descriptor.
    pub descriptor: Option<&'a Descriptor>,
    /// The descriptor of its parent.
    pub parent_descriptor: Option<&'a Descriptor>,
    /// Whether anything lies below it.
    pub children: Option<bool>,
    /// Where it must be.
    pub base: &'a Dn,
    /// Who it was when it was approved; `None` before that.
    pub pinned: Option<&'a Pinned>,
    /// The SID of the domain.
    pub domain_sid: Option<&'a Sid>,
    /// The account that relevo runs as, and its token groups.
    pub me: Option<&'a [Sid]>,
    /// The object's groups, nested ones as well (`tokenGroups`).
    pub groups: Option<&'a [Sid]>,
    /// The class that the action is for, such as `user`.
    pub wanted_class: &'a str,
    /// Somebody answers for it that `adminCount` is a leftover.
    pub permit_admin_count: bool,
}

/// Accounts by the last part of their SID (\[MS-DTYP\] section 2.4.2.4).
const BUILT_IN: [(u32, &str); 4] = [(500, "Administrator"), (501, "Guest"), (502, "krbtgt"), (503, "DefaultAccount")];

/// Protected groups of a domain by the last part of their SID (\[MS-DTYP\] section 2.4.2.4; which groups are protected:
/// \[MS-ADTS\] section 3.1.1.6.1.2). Those of a forest have the SID of the root domain, so that every domain counts.
/// Added to the protected ones: who may edit all policies, and read-only domain controllers of the whole forest.
const GROUPS: [(u32, &str); 9] = [
    (498, "Enterprise Read-only Domain Controllers"),
    (512, "Domain Admins"),
    (516, "Domain Controllers"),
    (518, "Schema Admins"),
    (519, "Enterprise Admins"),
    (520, "Group Policy Creator Owners"),
    (521, "Read-only Domain Controllers"),
    (526, "Key Admins"),
    (527, "Enterprise Key Admins"),
];

/// Protected groups that every domain has under the same SID, `S-1-5-32-…`.
const BUILT_IN_GROUPS: [(u32, &str); 6] = [
    (544, "Administrators"),
    (548, "Account Operators"),
    (549, "Server Operators"),
    (550, "Print Operators"),
    (551, "Backup Operators"),
    (552, "Replicator"),
];

/// Classes that are no users although some of them are derived from `user`.
const NO_USERS: [&str; 6] = ["computer", "contact", "group", "organizationalUnit", "foreignSecurityPrincipal", "trustedDomain"];

/// Classes of managed service accounts (\[MS-ADSC\]).
const MANAGED: [&str; 3] =
    ["msDS-ManagedServiceAccount", "msDS-GroupManagedServiceAccount", "msDS-DelegatedManagedServiceAccount"];

/// Bits of userAccountControl that an ordinary account does not have (\[MS-ADTS\] section 2.2.16).
const SPECIAL_ACCOUNTS: [(u32, &str); 4] = [
    (0x0000_2000, "a domain controller"),
    (0x0400_0000, "a read-only domain controller"),
    (0x0000_1000, "a machine"),
    (0x0000_0800, "a trust between domains"),
];

/// `ADS_UF_NORMAL_ACCOUNT`.
const NORMAL_ACCOUNT: u32 = 0x200;
/// `SAM_USER_OBJECT`, the sAMAccountType of users (\[MS-SAMR\] section 2.2.1.9).
const USER_OBJECT: u32 = 0x3000_0000;
/// `FLAG_DISALLOW_DELETE` of systemFlags (\[MS-ADTS\] section 2.2.10).
const DISALLOW_DELETE: u32 = 0x8000_0000;

/// All reasons why the object may not be destroyed; none if it may.
#[must_use]
pub fn guard(facts: &Facts<'_>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    identity(facts, &mut refusals);
    place(facts, &mut refusals);
    class(facts, &mut refusals);
    account(facts, &mut refusals);
    privilege(facts, &mut refusals);
    protection(facts, &mut refusals);
    refusals
}

/// Is it the approved object, a living one, and not ourselves?
fn identity(facts: &Facts<'_>, refusals: &mut Vec<Refusal>) {
    let guid = facts.object.guid();
    let sid = facts.object.sid();
    match (guid, facts.pinned) {
        (None, _) => refusals.push(Refusal::Unknown { question: "which object this is", missing: "its objectGUID" }),
        (Some(found), Some(pinned)) if found != pinned.guid => {
            refusals.push(Refusal::OtherObject { pinned: pinned.guid, found });
        }
        _ => {}
    }
    if let (Some(found), Some(pinned)) = (&sid, facts.pinned)
        && *found != pinned.sid
    {
        refusals.push(Refusal::OtherSid { pinned: pinned.sid.clone(), found: found.clone() });
    }
    match (facts.me, &sid) {
        (None | Some([]), _) => {
            refusals.push(Refusal::Unknown {
                question: "whether it is the account that relevo runs as",
                missing: "who that account is",
            });
        }
        (Some(me), Some(sid)) if me.contains(sid) => refusals.push(Refusal::Ourselves),
        _ => {}
    }
    let deleted = facts.object.text("isDeleted").is_some_and(|deleted| deleted != "FALSE");
    if deleted || facts.object.name().is_ok_and(|dn| dn.deleted_name().is_some()) {
        refusals.push(Refusal::Deleted);
    }
}

/// Is it where it was, and where it must be?
fn place(facts: &Facts<'_>, refusals: &mut Vec<Refusal>) {
    if facts.base.is_root() {
        refusals.push(Refusal::NoBase);
    }
    let Ok(dn) = facts.object.name() else {
        refusals.push(Refusal::Unknown { question: "where it is", missing: "a name that can be understood" });
        return;
    };
    if let Some(pinned) = facts.pinned.filter(|pinned| pinned.dn != dn) {
        refusals.push(Refusal::Moved { pinned: pinned.dn.clone(), found: dn.clone() });
    }
    if !dn.is_within(facts.base) {
        refusals.push(Refusal::OutsideBase { found: dn, base: facts.base.clone() });
    }
}

/// Is it of the class that the action is for?
fn class(facts: &Facts<'_>, refusals: &mut Vec<Refusal>) {
    let classes: Vec<&str> = facts.object.texts("objectClass").collect();
    if classes.is_empty() {
        refusals.push(Refusal::Unknown { question: "what kind of object it is", missing: "its objectClass" });
        return;
    }
    let is = |wanted: &str| classes.iter().any(|class| class.eq_ignore_ascii_case(wanted));
    if let Some(class) = MANAGED.into_iter().find(|class| is(class)) {
        refusals.push(Refusal::ManagedServiceAccount { class });
        return;
    }
    let other = NO_USERS.into_iter().find(|class| is(class) && !class.eq_ignore_ascii_case(facts.wanted_class));
    if other.is_some() || !is(facts.wanted_class) {
        // The most special class comes last (\[MS-ADTS\] section 3.1.1.1.4).
        let found = other.or(classes.last().copied()).unwrap_or_default();
        refusals.push(Refusal::OtherClass { wanted: facts.wanted_class.to_owned(), found: one_line(found, 64) });
    }
}

/// Is it an account that people made?
fn account(facts: &Facts<'_>, refusals: &mut Vec<Refusal>) {
    let object = facts.object;
    if object.text("isCriticalSystemObject").is_some_and(|critical| critical != "FALSE") {
        refusals.push(Refusal::Critical);
    }
    match flags(object, "systemFlags") {
        Ok(Some(flags)) if flags & DISALLOW_DELETE != 0 => refusals.push(Refusal::Undeletable { flags }),
        Ok(_) => {}
        Err(()) => refusals.push(Refusal::Unknown { question: "whether it may be deleted at all", missing: "its systemFlags" }),
    }
    match (object.sid(), facts.domain_sid) {
        (None, _) => refusals.push(Refusal::Unknown { question: "whether it is a built-in account", missing: "its objectSid" }),
        (Some(sid), _) if !sid.is_of_a_domain() => refusals.push(Refusal::WellKnown { sid }),
        (Some(sid), domain) => {
            if let Some(rid) = sid.rid().filter(|&rid| rid < 1000) {
                let name = BUILT_IN.iter().find(|(known, _)| *known == rid).map(|(_, name)| *name);
                refusals.push(Refusal::BuiltIn { sid: sid.clone(), name });
            }
            match domain {
                None => refusals.push(Refusal::Unknown { question: "whether it is of this domain", missing: "the domain's SID" }),
                Some(domain) if sid.domain().as_ref() != Some(domain) => {
                    refusals.push(Refusal::OtherDomain { sid, domain: domain.clone() });
                }
                Some(_) => {}
            }
        }
    }
    let mut special = |what, because| refusals.push(Refusal::NotOrdinary { what, because });
    if let Ok(Some(control)) = flags(object, "userAccountControl") {
        let because = format!("userAccountControl {control:#x}");
        let kinds: Vec<_> = SPECIAL_ACCOUNTS.iter().filter(|(bit, _)| control & bit != 0).collect();
        for (_, what) in &kinds {
            special(what, because.clone());
        }
        if kinds.is_empty() && control & NORMAL_ACCOUNT == 0 {
            special("not an ordinary account", because);
        }
    }
    if let Ok(Some(kind)) = flags(object, "sAMAccountType")
        && kind != USER_OBJECT
    {
        special("not an ordinary account", format!("sAMAccountType {kind:#x}"));
    }
    if !object.values("msDS-SecondaryKrbTgtNumber").is_empty() {
        special("the krbtgt of a read-only domain controller", "msDS-SecondaryKrbTgtNumber".to_owned());
    }
    if !matches!(flags(object, "userAccountControl"), Ok(Some(_))) {
        refusals.push(Refusal::Unknown { question: "whether it is an ordinary account", missing: "its userAccountControl" });
    }
    if flags(object, "sAMAccountType").is_err() {
        refusals.push(Refusal::Unknown { question: "whether it is an ordinary account", missing: "its sAMAccountType" });
    }
}

/// Does it have power over others?
fn privilege(facts: &Facts<'_>, refusals: &mut Vec<Refusal>) {
    let before = refusals.len();
    match flags(facts.object, "primaryGroupID") {
        Ok(Some(rid)) => {
            // A controller's group makes it one, whatever userAccountControl says.
            let domain = facts.object.sid().and_then(|sid| sid.domain());
            let group = domain.and_then(|domain| Sid::parse(&format!("{domain}-{rid}")));
            refusals.extend(group.and_then(|group| protected(&group).map(|name| Refusal::Privileged { group, name })));
        }
        _ => refusals.push(Refusal::Unknown { question: "whether it is privileged", missing: "its primaryGroupID" }),
    }
    match facts.groups {
        Some(groups) => {
            for group in groups {
                let refusal = protected(group).map(|name| Refusal::Privileged { group: group.clone(), name });
                refusals.extend(refusal.filter(|refusal| !refusals.contains(refusal)));
            }
        }
        None => refusals.push(Refusal::Unknown { question: "whether it is privileged", missing: "the groups that it is in" }),
    }
    let is_privileged = refusals[before..].iter().any(|refusal| matches!(refusal, Refusal::Privileged { .. }));
    if !matches!(flags(facts.object, "adminCount"), Ok(None | Some(0))) && !is_privileged && !facts.permit_admin_count {
        refusals.push(Refusal::PossiblyPrivileged);
    }
}

/// Is it meant to be kept?
fn protection(facts: &Facts<'_>, refusals: &mut Vec<Refusal>) {
    match facts.children {
        Some(true) => refusals.push(Refusal::HasChildren),
        Some(false) => {}
        None => refusals.push(Refusal::Unknown { question: "whether anything lies below it", missing: "its children" }),
    }
    match facts.descriptor {
        Some(descriptor) if descriptor.denies(DELETE | DELETE_TREE) => refusals.push(Refusal::Protected),
        Some(_) => {}
        None => refusals.push(Refusal::Unknown { question: "whether it is protected", missing: "its nTSecurityDescriptor" }),
    }
    match facts.parent_descriptor {
        Some(descriptor) if descriptor.denies(DELETE_CHILD) => refusals.push(Refusal::ProtectedByParent),
        Some(_) => {}
        None => refusals.push(Refusal::Unknown {
            question: "whether it is protected",
            missing: "the nTSecurityDescriptor of what it lies in",
        }),
    }
}

/// The usual name of a protected group.
fn protected(group: &Sid) -> Option<&'static str> {
    let rid = group.rid()?;
    let known: &[(u32, &str)] = if group.is_of_a_domain() {
        &GROUPS
    } else if group.domain() == Sid::parse("S-1-5-32") {
        &BUILT_IN_GROUPS
    } else {
        return None;
    };
    known.iter().find(|(known, _)| *known == rid).map(|(_, name)| *name)
}

/// A number of 32 bits. A directory writes it with a sign, so that the highest bit makes it negative.
fn flags(object: &Entry, attribute: &str) -> Result<Option<u32>, ()> {
    match object.values(attribute) {
        [] => Ok(None),
        [one] => {
            let number: i64 = std::str::from_utf8(one).map_err(|_| ())?.parse().map_err(|_| ())?;
            let fits = i64::from(i32::MIN)..=i64::from(u32::MAX);
            u32::try_from(number & 0xffff_ffff).ok().filter(|_| fits.contains(&number)).map(Some).ok_or(())
        }
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests;
