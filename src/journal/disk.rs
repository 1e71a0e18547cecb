//! Since when a run waits for its disk. Written by the thread that waits, read by one that does not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared between the journal and whoever watches it; every clone says the same.
///
/// A sync on a slow disk can take minutes, and the thread that made it can neither be asked nor do anything meanwhile.
#[derive(Debug, Clone, Default)]
pub struct DiskWait(Arc<Mutex<Option<Instant>>>);

/// The disk was given something to do. The wait is over when this is dropped, also by an error.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a DiskWait);

impl DiskWait {
    /// From now on the disk is waited for.
    pub(super) fn begin(&self) -> Waiting<'_> {
        self.set(Some(Instant::now()));
        Waiting(self)
    }

    /// For how long the disk has not answered; `None` if it owes no answer.
    #[must_use]
    pub fn lasts(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f35_a_wait_is_seen_from_outside_as_long_as_it_lasts() {
        let disk = DiskWait::default();
        let outside = disk.clone();
        assert_eq!(outside.lasts(), None);
        let waiting = disk.begin();
        assert!(outside.lasts().is_some());
        drop(waiting);
        assert_eq!(outside.lasts(), None);
    }
}
