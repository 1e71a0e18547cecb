//! What makes an object an account: its names, its numbers, its password.

use sha2::{Digest as _, Sha256};

use super::ids::Guid;
use super::reply::{Answer, constraint, exists, unwilling};
use super::store::{Object, Pen, Replica};
use super::value::{Value, file_time, folded};

/// `userAccountControl`: a disabled account.
pub const DISABLED: i64 = 0x2;
/// `userAccountControl`: no password is needed.
const PASSWORD_NOT_REQUIRED: i64 = 0x20;
/// `userAccountControl`: a user.
const NORMAL: i64 = 0x200;
/// `userAccountControl`: a workstation.
const WORKSTATION: i64 = 0x1000;
/// `userAccountControl`: a domain controller.
const SERVER_TRUST: i64 = 0x2000;
/// `userAccountControl`: the password never expires.
pub const NEVER_EXPIRES: i64 = 0x1_0000;
/// What `accountExpires` is if it never does.
const NEVER: &str = "9223372036854775807";

/// Whether another living object has this account name.
///
/// # Errors
/// One has: 68, as for a name that is taken.
pub fn name_is_free(replica: &Replica, name: &str, except: Guid) -> Answer<()> {
    let taken = replica.objects.values().any(|other| {
        other.guid != except
            && !other.is_deleted()
            && other.text("sAMAccountName").is_some_and(|held| folded(held) == folded(name))
    });
    if taken { Err(exists(0x524)) } else { Ok(()) }
}

/// Whether another living object has this principal name.
///
/// # Errors
/// One has.
pub fn principal_is_free(replica: &Replica, name: &str, except: Guid) -> Answer<()> {
    let taken = replica.objects.values().any(|other| {
        other.guid != except
            && !other.is_deleted()
            && other.text("userPrincipalName").is_some_and(|held| folded(held) == folded(name))
    });
    if taken { Err(constraint("userPrincipalName", "another account has it")) } else { Ok(()) }
}

/// Gives a new account or group what the server adds.
pub fn complete(replica: &mut Replica, object: &mut Object, pen: &Pen) {
    let is_group = object.is_a("group");
    if !is_group && !object.is_a("user") {
        return;
    }
    if object.text("sAMAccountName").is_none() {
        let made = Guid::random().to_string().to_ascii_uppercase().replace('-', "");
        pen.set_text(object, "sAMAccountName", format!("${}-{}", &made[..6], &made[6..18]));
    }
    if object.values("objectSid").is_empty()
        && let Some(domain) = replica.domain_sid()
    {
        pen.set(object, "objectSid", vec![Value::Bytes(domain.child(replica.next_rid).to_wire())]);
        replica.next_rid += 1;
    }
    let mut default = |name: &str, value: &str| {
        if object.values(name).is_empty() {
            pen.set_text(object, name, value);
        }
    };
    if is_group {
        default("groupType", "-2147483646");
    } else {
        default("userAccountControl", &(NORMAL | DISABLED | PASSWORD_NOT_REQUIRED).to_string());
        for name in
            ["badPwdCount", "codePage", "countryCode", "badPasswordTime", "lastLogoff", "lastLogon", "pwdLastSet", "logonCount"]
        {
            default(name, "0");
        }
        default("accountExpires", NEVER);
        default("primaryGroupID", "513");
    }
    set_type(object, pen);
}

/// Works out `sAMAccountType` (MS-ADTS 3.1.1.5.2.2).
pub fn set_type(object: &mut Object, pen: &Pen) {
    let kind = if object.is_a("group") {
        let local = object.number("groupType").is_some_and(|kind| kind & 0x4 != 0);
        if local { 0x2000_0000_i64 } else { 0x1000_0000 }
    } else if object.number("userAccountControl").is_some_and(|flags| flags & (WORKSTATION | SERVER_TRUST) != 0) {
        0x3000_0001
    } else {
        0x3000_0000
    };
    if object.number("sAMAccountType") != Some(kind) {
        pen.set_text(object, "sAMAccountType", kind.to_string());
    }
}

/// Reads a password as clients send it: UTF-16 in quotation marks (MS-ADTS 3.1.1.3.1.5.1).
///
/// # Errors
/// It is not of that form.
pub fn read_password(bytes: &[u8]) -> Answer<String> {
    let refused = || unwilling(0x1F, "a password is sent in quotation marks, as UTF-16");
    if !bytes.len().is_multiple_of(2) {
        return Err(refused());
    }
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units).map_err(|_| refused())?;
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(refused)?;
    Ok(inner.to_owned())
}

/// Checks a new password against the domain's policy: length, and three of four kinds of characters.
///
/// # Errors
/// It is too weak.
pub fn check_password(replica: &Replica, object: &Object, password: &str) -> Answer<()> {
    let domain = replica.domain();
    let least = domain.and_then(|domain| domain.number("minPwdLength")).unwrap_or(7);
    let complex = domain.and_then(|domain| domain.number("pwdProperties")).unwrap_or(1) & 1 != 0;
    let kinds: [fn(char) -> bool; 4] = [char::is_uppercase, char::is_lowercase, char::is_numeric, |c| !c.is_alphanumeric()];
    let count = kinds.iter().filter(|kind| password.chars().any(kind)).count();
    let named = object.text("sAMAccountName").is_some_and(|name| name.len() > 2 && folded(password).contains(&folded(name)));
    let short = i64::try_from(password.chars().count()).unwrap_or(i64::MAX) < least;
    if short || (complex && (count < 3 || named)) {
        let mut refusal = constraint("unicodePwd", "the password does not meet the policy of the domain");
        refusal.message = format!("0000052D: {}", refusal.message);
        return Err(refusal);
    }
    Ok(())
}

/// Writes a password; the directory keeps a salted hash.
pub fn set_password(object: &mut Object, password: &str, pen: &Pen) {
    let salt = Guid::random().to_string();
    pen.set_text(object, "unicodePwd", format!("{salt}:{}", hash(&salt, password)));
    pen.set_text(object, "pwdLastSet", file_time(pen.time).to_string());
}

/// Whether it is the account's password. An account without one has none that fits.
#[must_use]
pub fn is_password(object: &Object, password: &str) -> bool {
    object.text("unicodePwd").and_then(|held| held.split_once(':')).is_some_and(|(salt, held)| hash(salt, password) == held)
}

fn hash(salt: &str, password: &str) -> String {
    // A few rounds keep a stolen lab folder from being a list of passwords; a directory in service does more.
    let mut digest = Sha256::digest(format!("{salt}:{password}").as_bytes());
    for _ in 0..1000 {
        digest = Sha256::digest(digest);
    }
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
