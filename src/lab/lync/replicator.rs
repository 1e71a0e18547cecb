//! The User Replicator: Front Ends route by what they last read of the directory, not by what stands there now.
//!
//! It reads by itself every so often, and sooner when told to. Nothing here runs in the background: whoever looks finds what
//! the last read gave, and if one was due since then, it is made at that moment.

use super::deployment::{Deployment, Known};
use super::directory::Directory;
use super::forest::Forest;

/// Whom the Front Ends know by which address. A read that is due is made first, and kept.
pub fn known<'f>(forest: &'f mut Forest<'_>) -> &'f [Known] {
    forest.changed.deployment |= catch_up(forest.deployment, forest.directory, forest.now);
    &forest.deployment.replicator.known
}

/// Makes the read that is due, if one is; true if the deployment changed. While no domain controller answers, the Front Ends
/// go on with what they know.
pub fn catch_up(deployment: &mut Deployment, directory: &mut dyn Directory, now: i64) -> bool {
    let replicator = &deployment.replicator;
    let asked = replicator.due.is_some_and(|due| due <= now);
    let cycle = now.saturating_sub(replicator.read_at) >= replicator.every_ms;
    (asked || cycle) && read(deployment, directory, now)
}

/// Reads the directory now; false if no domain controller answers.
pub fn read(deployment: &mut Deployment, directory: &mut dyn Directory, now: i64) -> bool {
    let Ok(holders) = directory.holders() else { return false };
    let enabled = holders.into_iter().filter(|holder| holder.enabled);
    let replicator = &mut deployment.replicator;
    replicator.known = enabled
        .map(|holder| Known { address: holder.address.to_lowercase(), dn: holder.dn, chat_pool: holder.chat_pool })
        .collect();
    replicator.read_at = now;
    replicator.due = replicator.due.filter(|due| *due > now);
    true
}

/// Whom that is, of those who are known: more than one if the directory held the address twice.
pub fn holders<'k>(known: &'k [Known], address: &str) -> impl Iterator<Item = &'k Known> {
    let address = address.to_lowercase();
    known.iter().filter(move |known| known.address == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::lync::directory::Entry;

    /// A directory with one user, or one that does not answer.
    struct Fake(Option<&'static str>);

    impl Directory for Fake {
        fn ask(&mut self, _: &str) -> Result<(), String> {
            Ok(())
        }

        fn search(&mut self, base: &str, filter: &str) -> Result<Vec<Entry>, String> {
            let address = self.0.ok_or("nobody answers")?;
            if !base.starts_with("DC=") || !filter.contains("PrimaryUserAddress") {
                return Ok(Vec::new());
            }
            let values = [("objectClass", "user"), ("msRTCSIP-PrimaryUserAddress", address), ("msRTCSIP-UserEnabled", "TRUE")];
            let values = values.map(|(name, value)| (name.to_owned(), vec![value.as_bytes().to_vec()]));
            Ok(vec![Entry::new("CN=x".to_owned(), values)])
        }

        fn add(&mut self, _: &str, _: &[(&str, &str)]) -> Result<(), String> {
            Err("read only".to_owned())
        }

        fn replace(&mut self, _: &str, _: &[(&str, Vec<String>)]) -> Result<(), String> {
            Err("read only".to_owned())
        }

        fn delete(&mut self, _: &str) -> Result<(), String> {
            Err("read only".to_owned())
        }
    }

    fn addresses(deployment: &Deployment) -> Vec<&str> {
        deployment.replicator.known.iter().map(|known| known.address.as_str()).collect()
    }

    #[test]
    fn a_change_is_known_after_a_cycle_or_once_a_read_that_was_asked_for_is_due() {
        let mut deployment = Deployment::default();
        deployment.replicator.every_ms = 60_000;
        assert!(catch_up(&mut deployment, &mut Fake(Some("sip:A@x")), 1_000_000), "nothing was ever read");
        assert_eq!(addresses(&deployment), ["sip:a@x"]);
        assert!(!catch_up(&mut deployment, &mut Fake(Some("sip:b@x")), 1_059_999));
        assert_eq!(addresses(&deployment), ["sip:a@x"]);
        deployment.replicator.due = Some(1_030_000);
        assert!(!catch_up(&mut deployment, &mut Fake(Some("sip:b@x")), 1_029_999));
        assert!(catch_up(&mut deployment, &mut Fake(Some("sip:b@x")), 1_030_000));
        assert_eq!((addresses(&deployment), deployment.replicator.due), (vec!["sip:b@x"], None));
        assert!(catch_up(&mut deployment, &mut Fake(Some("sip:c@x")), 1_090_000), "a cycle after the last read");
        assert_eq!(holders(&deployment.replicator.known, "SIP:C@x").count(), 1);
    }

    #[test]
    fn while_no_domain_controller_answers_what_was_known_stays() {
        let mut deployment = Deployment::default();
        catch_up(&mut deployment, &mut Fake(Some("sip:a@x")), 1);
        deployment.replicator.due = Some(2);
        assert!(!catch_up(&mut deployment, &mut Fake(None), 1_000_000));
        assert_eq!((addresses(&deployment), deployment.replicator.due), (vec!["sip:a@x"], Some(2)));
    }
}
