//! Logons: which account a name means, whether the password is right, and every reason why it is refused all the same
//! (MS-ADTS 5.1.1, with the codes that administrators know from the text of error 49).

use super::account::{self, DISABLED, NEVER_EXPIRES};
use super::dn::Name;
use super::reply::{Answer, logon};
use super::rights::{self, Caller};
use super::store::{Object, Replica};
use super::value::{file_time, folded};
use super::well_known::{NETBIOS, REALM};

/// `msDS-User-Account-Control-Computed`: locked out.
const LOCKED: i64 = 0x10;
/// `msDS-User-Account-Control-Computed`: the password has expired.
const PASSWORD_EXPIRED: i64 = 0x80_0000;

/// The account that a logon name means: a DN in any form, `user@realm`, or `DOMAIN\user`.
#[must_use]
pub fn account<'a>(replica: &'a Replica, name: &str) -> Option<&'a Object> {
    let by = |attribute: &str, wanted: &str| {
        replica.objects.values().find(|object| {
            !object.is_deleted()
                && object.is_a("user")
                && object.text(attribute).is_some_and(|held| folded(held) == folded(wanted))
        })
    };
    if let Some((domain, user)) = name.split_once('\\') {
        return by("sAMAccountName", user).filter(|_| domain.eq_ignore_ascii_case(NETBIOS) || domain.eq_ignore_ascii_case(REALM));
    }
    if name.contains('=') || name.starts_with('<') {
        return replica.find(&Name::parse(name)?).filter(|object| !object.is_deleted() && object.is_a("user"));
    }
    let (user, realm) = name.split_once('@')?;
    by("userPrincipalName", name).or_else(|| by("sAMAccountName", user).filter(|_| realm.eq_ignore_ascii_case(REALM)))
}

/// Logs on. Counts wrong passwords, and locks the account after too many. The second value says whether anything was
/// written.
pub fn bind(replica: &mut Replica, name: &str, password: &str, now: i64) -> (Answer<Caller>, bool) {
    let Some(object) = account(replica, name) else { return (Err(logon("525")), false) };
    let mut object = object.clone();
    if computed_flags_at(replica, &object, now) & LOCKED != 0 {
        return (Err(logon("775")), false);
    }
    if password.is_empty() || !account::is_password(&object, password) {
        let policy = |name: &str| replica.domain().and_then(|domain| domain.number(name)).unwrap_or(0);
        let (threshold, window) = (policy("lockoutThreshold"), policy("lockOutObservationWindow"));
        let since = file_time(now) - object.number("badPasswordTime").unwrap_or(0);
        let before = if since > window.saturating_neg() { 0 } else { object.number("badPwdCount").unwrap_or(0) };
        let pen = replica.pen(now);
        pen.set_text(&mut object, "badPwdCount", (before + 1).to_string());
        pen.set_text(&mut object, "badPasswordTime", file_time(now).to_string());
        if threshold > 0 && before + 1 >= threshold {
            pen.set_text(&mut object, "lockoutTime", file_time(now).to_string());
        }
        replica.put(object, &pen);
        return (Err(logon("52e")), true);
    }
    if let Some(data) = barred(replica, &object, now) {
        return (Err(logon(data)), false);
    }
    let mut wrote = false;
    if object.number("badPwdCount").unwrap_or(0) != 0 {
        let pen = replica.pen(now);
        pen.set_text(&mut object, "badPwdCount", "0");
        if object.number("lockoutTime").unwrap_or(0) != 0 {
            pen.set_text(&mut object, "lockoutTime", "0");
        }
        replica.put(object.clone(), &pen);
        wrote = true;
    }
    (Ok(rights::caller(replica, &object)), wrote)
}

/// Why an account may not log on though its password is right.
fn barred(replica: &Replica, object: &Object, now: i64) -> Option<&'static str> {
    if object.number("userAccountControl").unwrap_or(0) & DISABLED != 0 {
        return Some("533");
    }
    let expires = object.number("accountExpires").unwrap_or(0);
    if expires != 0 && expires != i64::MAX && expires <= file_time(now) {
        return Some("701");
    }
    if object.number("pwdLastSet").unwrap_or(0) == 0 {
        return Some("773");
    }
    if computed_flags_at(replica, object, now) & PASSWORD_EXPIRED != 0 {
        return Some("532");
    }
    None
}

/// `msDS-User-Account-Control-Computed` at this moment.
#[must_use]
pub fn computed_flags(replica: &Replica, object: &Object) -> i64 {
    computed_flags_at(replica, object, jiff::Timestamp::now().as_millisecond())
}

fn computed_flags_at(replica: &Replica, object: &Object, now: i64) -> i64 {
    let policy = |name: &str| replica.domain().and_then(|domain| domain.number(name)).unwrap_or(0);
    let mut flags = 0;
    let locked = object.number("lockoutTime").unwrap_or(0);
    let duration = policy("lockoutDuration");
    // No duration means: until somebody unlocks it.
    if locked != 0 && (duration == 0 || duration == i64::MIN || file_time(now) < locked.saturating_sub(duration)) {
        flags |= LOCKED;
    }
    let (oldest, set) = (policy("maxPwdAge"), object.number("pwdLastSet").unwrap_or(0));
    let never = oldest == 0 || oldest == i64::MIN || object.number("userAccountControl").unwrap_or(0) & NEVER_EXPIRES != 0;
    if set == 0 || (!never && file_time(now) > set.saturating_sub(oldest)) {
        flags |= PASSWORD_EXPIRED;
    }
    flags
}
