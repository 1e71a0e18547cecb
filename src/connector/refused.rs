//! Remembers refused logons, so that a wrong password does not lock its account.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

/// How long a refused logon is not tried again.
pub const HOLD: Duration = Duration::from_mins(1);

/// When an account's logon was refused last, and what was said then.
pub type Last = Option<(Instant, String)>;

/// Refused logons by account.
#[derive(Debug, Default)]
pub struct Refused(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Last>>>>);

impl Refused {
    /// An account's turn: logons of one account go one after the other, so that of several at once only the first is
    /// sent with a password that is wrong.
    pub async fn turn(&self, account: String) -> OwnedMutexGuard<Last> {
        let one = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(account).or_default())
        };
        one.lock_owned().await
    }

    /// Notes a refusal out of turn; whoever has the turn finds out by itself.
    pub fn note(&self, account: &str, last: Last) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(mut one)) = all.get(account).map(|one| one.try_lock()) {
            *one = last;
        }
    }
}

/// How long the account is still held, and what was said when it was refused.
pub fn held(last: &Last, now: Instant) -> Option<(Duration, &str)> {
    let (at, said) = last.as_ref()?;
    let left = HOLD.checked_sub(now.saturating_duration_since(*at))?;
    (!left.is_zero()).then_some((left, said.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f66_a_refused_logon_is_held_for_a_minute_and_no_longer() {
        let at = Instant::now();
        let last = Some((at, "wrong".to_owned()));
        assert_eq!(held(&last, at), Some((HOLD, "wrong")));
        assert_eq!(held(&last, at + Duration::from_secs(59)), Some((Duration::from_secs(1), "wrong")));
        assert_eq!(held(&last, at + HOLD), None);
        assert_eq!(held(&None, at), None);
    }
}
