//! What is known of attributes by their names: which are secrets, which are bytes, which a restore writes back.
//!
//! Names are compared without regard to case, and without options (`userCertificate;binary`).

/// The last part of the SID of Domain Users, the primary group of every new user.
pub const DOMAIN_USERS: u32 = 513;

/// Secrets, and what is made of them (\[MS-ADTS\] section 3.1.1.4.4 and others). Directories refuse to show most of these;
/// some do not. `…*` stands for all that begin so.
const SECRETS: &[&str] = &[
    // Passwords of accounts, and their hashes.
    "unicodePwd",
    "dBCSPwd",
    "ntPwdHistory",
    "lmPwdHistory",
    "supplementalCredentials",
    "userPassword",
    "unixUserPassword",
    "clearTextPassword",
    "msDS-ManagedPassword*",
    "msDS-ExecuteScriptPassword",
    "sambaNTPassword",
    "sambaLMPassword",
    "sambaPasswordHistory",
    "krbPrincipalKey",
    "krbExtraData",
    "authPassword",
    "pwdHistory",
    // Secrets of the domain and of trusts.
    "currentValue",
    "priorValue",
    "initialAuth*",
    "trustAuth*",
    "pekList",
    // Passwords of local administrators.
    "ms-Mcs-AdmPwd",
    "msLAPS-*",
    // Disk encryption and trusted platform modules.
    "msFVE-RecoveryPassword",
    "msFVE-KeyPackage",
    "msTPM-OwnerInformation*",
    // Roaming private keys.
    "msPKIAccountCredentials",
    "msPKIDPAPIMasterKeys",
    "userPKCS12",
    "msKds-RootKeyData",
];

/// Of an attribute that nobody here knows, a part of its name that says that it is a secret.
const SECRET_WORDS: &[&str] = &["password", "passwd", "secret", "privatekey"];

/// They have such a word in their name, and are none.
const NO_SECRETS: &[&str] = &[
    "badPasswordTime",
    "msDS-UserPasswordExpiryTimeComputed",
    "msDS-UserPasswordExpired",
    "msDS-UserPasswordNotRequired",
    "ms-DS-UserPasswordNotRequired",
    "msDS-UserDontExpirePassword",
    "ms-DS-UserDontExpirePassword",
];

/// Never text, whatever the bytes look like.
const BINARY: &[&str] = &[
    "objectGUID",
    "objectSid",
    "sIDHistory",
    "securityIdentifier",
    "tokenGroups*",
    "nTSecurityDescriptor",
    "logonHours",
    "userParameters",
    "userCertificate",
    "userSMIMECertificate",
    "cACertificate",
    "thumbnailPhoto",
    "thumbnailLogo",
    "jpegPhoto",
    "photo",
    "audio",
    "replPropertyMetaData",
    "replUpToDateVector",
    "mS-DS-ConsistencyGuid",
    "mS-DS-CreatorSID",
    "msDS-KeyCredentialLink*",
    "msDS-GenerationId",
    "msDS-AllowedToActOnBehalfOfOtherIdentity",
    "msDS-GroupMSAMembership",
    "msExchMailboxGuid",
    "msExchArchiveGUID",
    "msExchMailboxSecurityDescriptor",
    "msExchMasterAccountSid",
    "msExchSafeSendersHash",
    "msExchSafeRecipientsHash",
    "msExchBlockedSendersHash",
    "msRTCSIP-OriginatorSid",
    "msRTCSIP-UserRoutingGroupId",
];

/// Back links: attributes that the directory makes of other objects' attributes; those that end in `BL` besides.
const BACK_LINKS: &[(&str, Option<&str>)] = &[
    ("memberOf", Some("member")),
    ("directReports", Some("manager")),
    ("managedObjects", Some("managedBy")),
    ("isPrivilegeHolder", Some("privilegeHolder")),
    ("masteredBy", None),
    ("publicDelegatesBL", Some("publicDelegates")),
    ("altRecipientBL", Some("altRecipient")),
    ("authOrigBL", Some("authOrig")),
    ("unauthOrigBL", Some("unauthOrig")),
    ("dLMemRejectPermsBL", Some("dLMemRejectPerms")),
    ("dLMemSubmitPermsBL", Some("dLMemSubmitPerms")),
    ("ownerBL", Some("owner")),
    ("msExchDelegateListBL", Some("msExchDelegateListLink")),
    ("msExchCoManagedObjectsBL", Some("msExchCoManagedByLink")),
    ("msExchModeratedObjectsBL", Some("msExchModeratedByLink")),
    ("msDS-PSOApplied", Some("msDS-PSOAppliesTo")),
];

/// What an object is: kept by a tombstone and given back with it, and never to be written (\[MS-ADTS\] section
/// 3.1.1.5.5.1.1).
const IDENTITY: &[&str] =
    &["objectGUID", "objectSid", "sIDHistory", "objectClass", "mS-DS-CreatorSID", "instanceType", "systemFlags"];

/// What it is called: given by the new name when it is brought back. An attribute that names it cannot be written.
const NAME: &[&str] = &["distinguishedName", "name", "cn", "ou", "dc", "msDS-LastKnownRDN", "lastKnownParent"];

/// What a tombstone keeps though it could be written: the descriptor with all its entries, the logon name, the kind of
/// account. To write them could only do harm: a descriptor needs rights of its own, a second logon name of the same kind
/// is accepted by some servers, and an account without a password is not enabled by a change of its kind.
const KEPT: &[&str] = &["nTSecurityDescriptor", "sAMAccountName", "userAccountControl"];

/// What the directory writes by itself when an account is brought back.
const DERIVED: &[&str] = &["objectCategory", "sAMAccountType", "isCriticalSystemObject", "adminCount", "operatorCount"];

/// The directory's own record of times, versions and replication.
const RECORD: &[&str] = &[
    "whenCreated",
    "whenChanged",
    "createTimeStamp",
    "modifyTimeStamp",
    "creatorsName",
    "modifiersName",
    "entryUUID",
    "entryCSN",
    "entryDN",
    "structuralObjectClass",
    "subschemaSubentry",
    "hasSubordinates",
    "uSN*",
    "dSCorePropagationData",
    "replPropertyMetaData",
    "replUpToDateVector",
    "parentGUID",
    "canonicalName",
    "isDeleted",
    "isRecycled",
];

/// The record of its logons and its password: the directory alone counts these. pwdLastSet is nought until a new password
/// is set, and lockoutTime must not lock an account again.
const LOGONS: &[&str] = &[
    "pwdLastSet",
    "badPwdCount",
    "badPasswordTime",
    "lastLogon",
    "lastLogoff",
    "lastLogonTimestamp",
    "logonCount",
    "lockoutTime",
    "msDS-FailedInteractiveLogon*",
    "msDS-LastSuccessfulInteractiveLogonTime",
    "msDS-LastFailedInteractiveLogonTime",
];

/// Computed when they are asked for (\[MS-ADTS\] section 3.1.1.4.5); nothing is stored.
const CONSTRUCTED: &[&str] = &[
    "allowedAttributes*",
    "allowedChildClasses*",
    "sDRightsEffective",
    "possibleInferiors",
    "fromEntry",
    "structuralObjectClass",
    "tokenGroups*",
    "primaryGroupToken",
    "msDS-Approx-Immed-Subordinates",
    "msDS-Auxiliary-Classes",
    "msDS-KeyVersionNumber",
    "msDS-PrincipalName",
    "msDS-ReplAttributeMetaData",
    "msDS-ReplValueMetaData*",
    "msDS-NCRepl*",
    "msDS-Quota*",
    "msDS-User-Account-Control-Computed",
    "msDS-UserPasswordExpiryTimeComputed",
    "msDS-Resultant*",
    "msDS-parentdistname",
    "msDS-memberOfTransitive",
    "msDS-memberTransitive",
    "msDS-TokenGroup*",
    "msDS-LocalEffective*",
    "msDS-isGC",
    "msDS-isRODC",
    "msDS-SiteName",
    "msDS-RevealedList*",
    "msDS-IsUserCachableAtRodc",
];

/// What nobody can write, and a deletion takes away for good: keys that a device registered by itself.
const LOST: &[&str] = &["msDS-KeyCredentialLink*"];

/// What becomes of an attribute when the object is brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// A deletion took it away, and a restore writes it back.
    WrittenBack,
    /// Comes back by itself or is made anew: identity, name, what a tombstone keeps, the directory's own record.
    NotWritten,
    /// Comes back with the groups: `memberOf`, and `primaryGroupID` after them, because a user must be a member of its
    /// primary group before it is that.
    WithGroups,
    /// Belongs to other objects: back links. They point here again only if somebody writes them there.
    ElsewhereOnly,
    /// A secret: not kept.
    Secret,
    /// Cannot be brought back.
    Lost,
}

/// What becomes of this attribute.
#[must_use]
pub fn fate(name: &str) -> Fate {
    let groups = ["memberOf", "primaryGroupID"];
    if is_secret(name) {
        Fate::Secret
    } else if listed(&groups, name) {
        Fate::WithGroups
    } else if is_back_link(name) {
        Fate::ElsewhereOnly
    } else if listed(LOST, name) {
        Fate::Lost
    } else if [IDENTITY, NAME, KEPT, DERIVED, RECORD, LOGONS, CONSTRUCTED].iter().any(|names| listed(names, name)) {
        Fate::NotWritten
    } else {
        Fate::WrittenBack
    }
}

/// Whether its values are never kept nor shown.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    listed(SECRETS, name) || (SECRET_WORDS.iter().any(|word| lower.contains(word)) && !listed(NO_SECRETS, name))
}

/// Whether its values are bytes.
#[must_use]
pub fn is_binary(name: &str) -> bool {
    listed(BINARY, name) || name.split(';').skip(1).any(|option| option.eq_ignore_ascii_case("binary"))
}

/// Whether the directory makes it of other objects' attributes.
#[must_use]
pub fn is_back_link(name: &str) -> bool {
    let known = BACK_LINKS.iter().any(|(back, _)| name.eq_ignore_ascii_case(back));
    known || (name.len() > 2 && name.ends_with("BL"))
}

/// The attribute of the other object behind a back link, if it is known.
#[must_use]
pub fn forward_link(name: &str) -> Option<&'static str> {
    BACK_LINKS.iter().find(|(back, _)| name.eq_ignore_ascii_case(back)).and_then(|(_, link)| *link)
}

/// Whether it is an attribute's name, perhaps with options. Values in ranges are not all values, and so not accepted.
#[must_use]
pub fn is_description(name: &str) -> bool {
    let mut words = name.split(';');
    let known = words.next().is_some_and(super::super::filter::is_attribute);
    known && words.all(super::super::filter::is_attribute)
}

fn listed(names: &[&str], name: &str) -> bool {
    let name = name.split(';').next().unwrap_or_default();
    names.iter().any(|known| match known.strip_suffix('*') {
        Some(prefix) => name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
        None => name.eq_ignore_ascii_case(known),
    })
}

/// All names that are known here.
#[cfg(test)]
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    let lists = [SECRETS, NO_SECRETS, BINARY, IDENTITY, NAME, KEPT, DERIVED, RECORD, LOGONS, CONSTRUCTED, LOST];
    lists.into_iter().flatten().copied().chain(BACK_LINKS.iter().flat_map(|(back, link)| [Some(*back), *link]).flatten())
}
