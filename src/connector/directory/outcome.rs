//! What the result of a write means: the one table of LDAP result codes (RFC 4511 appendix A, RFC 3062 and RFC 4528 for
//! 118 to 122). A code that does not stand here means nothing that could be relied upon: unknown.

use super::session::Outcomes;

/// One result code.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The code.
    pub code: u32,
    /// Its name in the RFC.
    pub name: &'static str,
    /// What it means for a write that was addressed by identity.
    pub outcome: Outcomes,
    /// What to tell the operator.
    pub advice: &'static str,
}

const fn row(code: u32, name: &'static str, outcome: Outcomes, advice: &'static str) -> Row {
    Row { code, name, outcome, advice }
}

/// The table.
pub const TABLE: &[Row] = &[
    row(0, "success", Outcomes::Applied, "done"),
    row(1, "operationsError", Outcomes::Unknown, "the server failed somewhere on the way; look before anything is sent again"),
    row(3, "timeLimitExceeded", Outcomes::Unknown, "the server gave up; what it had done by then it does not say"),
    row(
        10,
        "referral",
        Outcomes::Rejected,
        "this server does not hold the object for writing; name a writable one of its domain",
    ),
    row(12, "unavailableCriticalExtension", Outcomes::Rejected, "the server does not know a control that must be obeyed"),
    row(16, "noSuchAttribute", Outcomes::Rejected, "a value that was to be taken away is not there: it was changed since"),
    row(17, "undefinedAttributeType", Outcomes::Rejected, "the schema does not know the attribute"),
    row(19, "constraintViolation", Outcomes::Rejected, "a rule of the directory forbids the value"),
    row(20, "attributeOrValueExists", Outcomes::Rejected, "the value is there already, or an object may hold only one"),
    row(21, "invalidAttributeSyntax", Outcomes::Rejected, "the value does not have the attribute's form"),
    row(32, "noSuchObject", Outcomes::Gone, "the server shows no such object; only its tombstone tells whether it was deleted"),
    row(34, "invalidDNSyntax", Outcomes::Rejected, "the server does not accept the name"),
    row(50, "insufficientAccessRights", Outcomes::Rejected, "the account may not do this; `docs/directory.md` lists the rights"),
    row(51, "busy", Outcomes::Unknown, "the server was busy; look before anything is sent again"),
    row(
        52,
        "unavailable",
        Outcomes::Unknown,
        "the server is shutting down or cannot work now; look before anything is sent again",
    ),
    row(53, "unwillingToPerform", Outcomes::Rejected, "the server does not do this to this object"),
    row(64, "namingViolation", Outcomes::Rejected, "an object of this kind cannot stand at that place"),
    row(65, "objectClassViolation", Outcomes::Rejected, "the object's class does not allow it"),
    row(66, "notAllowedOnNonLeaf", Outcomes::Rejected, "the object has children"),
    row(67, "notAllowedOnRDN", Outcomes::Rejected, "the attribute names the object and is changed by renaming only"),
    row(68, "entryAlreadyExists", Outcomes::Rejected, "another object has that name"),
    row(69, "objectClassModsProhibited", Outcomes::Rejected, "the class of an object cannot be changed so"),
    row(71, "affectsMultipleDSAs", Outcomes::Rejected, "it would touch another server's part of the directory"),
    row(80, "other", Outcomes::Unknown, "the server failed without saying at what; look before anything is sent again"),
    row(118, "canceled", Outcomes::Unknown, "the server broke it off; what it had done by then it does not say"),
    row(119, "noSuchOperation", Outcomes::Unknown, "an answer that does not belong to a write"),
    row(120, "tooLate", Outcomes::Unknown, "an answer that does not belong to a write"),
    row(121, "cannotCancel", Outcomes::Unknown, "an answer that does not belong to a write"),
    row(122, "assertionFailed", Outcomes::Rejected, "the object is not as it must be for this change: it was changed since"),
];

/// The row of a code; `None` for those that are not listed, which are unknown.
#[must_use]
pub fn find(code: u32) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.code == code)
}

/// What a result means for a write. `by_identity`: the object was addressed by `<GUID=…>`. By name, "no such object" is a
/// plain refusal: nothing of that name was there to be changed.
#[must_use]
pub fn of_write(code: u32, by_identity: bool) -> Outcomes {
    match find(code).map_or(Outcomes::Unknown, |row| row.outcome) {
        Outcomes::Gone if !by_identity => Outcomes::Rejected,
        outcome => outcome,
    }
}

/// `code 50, insufficientAccessRights`.
#[must_use]
pub fn name(code: u32) -> String {
    match find(code).map(|row| row.name).or_else(|| other_name(code)) {
        Some(name) => format!("code {code}, {name}"),
        None => format!("code {code}"),
    }
}

/// Names of codes that only answers to other requests than writes carry.
fn other_name(code: u32) -> Option<&'static str> {
    Some(match code {
        2 => "protocolError",
        4 => "sizeLimitExceeded",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        11 => "adminLimitExceeded",
        13 => "confidentialityRequired",
        18 => "inappropriateMatching",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        54 => "loopDetect",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f55_every_code_means_what_the_documentation_says() {
        let rejected = [10, 12, 16, 17, 19, 20, 21, 34, 50, 53, 64, 65, 66, 67, 68, 69, 71, 122];
        for code in 0..=4096 {
            let expected = match code {
                0 => Outcomes::Applied,
                32 => Outcomes::Gone,
                code if rejected.contains(&code) => Outcomes::Rejected,
                _ => Outcomes::Unknown,
            };
            assert_eq!(of_write(code, true), expected, "code {code}");
        }
        for code in [1, 3, 51, 52, 80, 118, 119, 120, 121] {
            assert!(find(code).is_some_and(|row| row.outcome == Outcomes::Unknown), "code {code} has a row of its own");
        }
    }

    #[test]
    fn an_object_that_a_name_does_not_find_is_a_refusal_and_by_identity_it_is_gone() {
        assert_eq!(of_write(32, false), Outcomes::Rejected);
        assert_eq!(of_write(32, true), Outcomes::Gone);
    }

    #[test]
    fn the_table_is_in_order_and_every_row_says_something() {
        assert!(TABLE.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(TABLE.iter().all(|row| !row.advice.is_empty() && !row.name.is_empty()));
        assert_eq!(name(50), "code 50, insufficientAccessRights");
        assert_eq!(name(4), "code 4, sizeLimitExceeded");
        assert_eq!(name(999), "code 999");
    }
}
