//! Refusals, with the codes and texts that clients know from Active Directory (MS-ADTS 3.1.1.3.1.9, MS-ERREF).

use ldap3_proto::proto::{LdapResult, LdapResultCode as Code};

/// Why an operation was not done. Nothing was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The result code.
    pub code: Code,
    /// The diagnostic message.
    pub message: String,
    /// The part of the name that exists, if the name was the trouble.
    pub matched: String,
}

/// What an operation gives.
pub type Answer<T> = Result<T, Refusal>;

impl Refusal {
    /// A refusal with a text of its own.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into(), matched: String::new() }
    }

    /// As a result on the wire.
    #[must_use]
    pub fn result(&self) -> LdapResult {
        LdapResult {
            code: self.code.clone(),
            matcheddn: self.matched.clone(),
            message: self.message.clone(),
            referral: Vec::new(),
        }
    }
}

/// Success on the wire.
#[must_use]
pub fn success() -> LdapResult {
    LdapResult { code: Code::Success, matcheddn: String::new(), message: String::new(), referral: Vec::new() }
}

/// No such object.
#[must_use]
pub fn no_such_object(best: &str) -> Refusal {
    let message = format!("0000208D: NameErr: DSID-03100241, problem 2001 (NO_OBJECT), data 0, best match of:\n\t'{best}'\n");
    Refusal { code: Code::NoSuchObject, message, matched: best.to_owned() }
}

/// Not a name.
#[must_use]
pub fn invalid_name() -> Refusal {
    Refusal::new(
        Code::InvalidDNSyntax,
        "00002032: NameErr: DSID-03100225, problem 2006 (BAD_NAME), data 8349, best match of:\n\t''\n",
    )
}

/// Not allowed.
#[must_use]
pub fn access_denied() -> Refusal {
    Refusal::new(Code::InsufficentAccessRights, "00002098: SecErr: DSID-03150F94, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0\n")
}

/// Anonymous clients may read the root DSE only.
#[must_use]
pub fn not_bound() -> Refusal {
    let message = "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind must be \
completed on the connection., data 0, v3839";
    Refusal::new(Code::OperationsError, message)
}

/// It has children.
#[must_use]
pub fn non_leaf() -> Refusal {
    Refusal::new(Code::NotAllowedOnNonLeaf, "00002015: UpdErr: DSID-031B0DBF, problem 6003 (CANT_ON_NON_LEAF), data 0\n")
}

/// The name, or the account name, is taken.
#[must_use]
pub fn exists(win32: u32) -> Refusal {
    Refusal::new(Code::EntryAlreadyExists, format!("{win32:08X}: UpdErr: DSID-031A11FA, problem 6005 (ENTRY_EXISTS), data 0\n"))
}

/// The server will not.
#[must_use]
pub fn unwilling(win32: u32, why: &str) -> Refusal {
    Refusal::new(
        Code::UnwillingToPerform,
        format!("{win32:08X}: SvcErr: DSID-031A126C, problem 5003 (WILL_NOT_PERFORM), data 0: {why}\n"),
    )
}

fn attribute(code: Code, win32: u32, problem: &str, attribute: &str, why: &str) -> Refusal {
    let message = format!(
        "{win32:08X}: AtrErr: DSID-03190DEB, #1:\n\t0: {win32:08X}: DSID-03190DEB, problem {problem}, data 0, Att ({attribute}): {why}\n"
    );
    Refusal::new(code, message)
}

/// No such attribute on the object, or in the schema.
#[must_use]
pub fn no_such_attribute(name: &str, why: &str) -> Refusal {
    attribute(Code::NoSuchAttribute, 0x2085, "1001 (NO_ATTRIBUTE_OR_VAL)", name, why)
}

/// The value is there already.
#[must_use]
pub fn value_exists(name: &str, why: &str) -> Refusal {
    attribute(Code::AttributeOrValueExists, 0x2083, "1006 (ATT_OR_VALUE_EXISTS)", name, why)
}

/// Not within what the attribute may be.
#[must_use]
pub fn constraint(name: &str, why: &str) -> Refusal {
    attribute(Code::ConstraintViolation, 0x202F, "1005 (CONSTRAINT_ATT_TYPE)", name, why)
}

/// Not of the attribute's syntax.
#[must_use]
pub fn invalid_syntax(name: &str, why: &str) -> Refusal {
    attribute(Code::InvalidAttributeSyntax, 0x200B, "1005 (CONSTRAINT_ATT_TYPE)", name, why)
}

/// Not an attribute of that class.
#[must_use]
pub fn class_violation(why: &str) -> Refusal {
    Refusal::new(
        Code::ObjectClassViolation,
        format!("00002014: UpdErr: DSID-03050D80, problem 6002 (OBJ_CLASS_VIOLATION), data 0: {why}\n"),
    )
}

/// Not a name for that class, or not under that parent.
#[must_use]
pub fn naming_violation(why: &str) -> Refusal {
    Refusal::new(
        Code::NamingViolation,
        format!("00002037: NameErr: DSID-03050D5C, problem 2005 (NAMING_VIOLATION), data 0, best match of:\n\t'{why}'\n"),
    )
}

/// A critical control that is not known here.
#[must_use]
pub fn unknown_control(oid: &str) -> Refusal {
    Refusal::new(
        Code::UnavailableCriticalExtension,
        format!("00002078: LdapErr: DSID-0C090A83, comment: Error processing control {oid}, data 0, v3839"),
    )
}

/// A logon that was refused; `data` says why in hexadecimal.
#[must_use]
pub fn logon(data: &str) -> Refusal {
    Refusal::new(
        Code::InvalidCredentials,
        format!("80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext error, data {data}, v3839"),
    )
}
