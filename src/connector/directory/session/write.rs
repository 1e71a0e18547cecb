//! Deleting and changing, and what became of it.

use std::collections::HashSet;

use ldap3::controls::{Assertion, RawControl};
use ldap3::{LdapResult, Mod, parse_filter};
use serde_json::Map;

use super::super::dn::Address;
use super::super::filter::Filter;
use super::super::guid::Guid;
use super::super::outcome;
use super::link::{Link, Lost};
use super::read::show_deleted;
use super::{Change, Deleted, Outcomes, Writer, Written};
use crate::run::event::Outcome;

impl Writer {
    /// Deletes one object by identity. Never sent together with a control: with the show-deleted control it would
    /// destroy what can still be restored, with the tree-delete control more than was asked for.
    pub async fn delete(&mut self, object: Guid) -> Written {
        let link = &mut self.session.link;
        let name = Address::Guid(object).to_protocol();
        let answer = link.ask(|mut ldap| async move { ldap.delete(&name).await }).await;
        judge(link, answer, true)
    }

    /// Changes one object. `deleted` as in [`Session::search`]: a tombstone is brought back by changing it. With
    /// `assert`, only if that filter matches the object (RFC 4528, critical).
    ///
    /// [`Session::search`]: super::Session::search
    pub async fn modify(&mut self, at: &Address, changes: &[Change], deleted: Deleted, assert: Option<&Filter>) -> Written {
        let link = &mut self.session.link;
        let mut controls: Vec<RawControl> = show_deleted(deleted).into_iter().collect();
        if let Some(filter) = assert {
            let filter = filter.to_string();
            // The library would panic on a filter that it does not read.
            if parse_filter(&filter).is_err() {
                return unsent("the condition of this change cannot be written as a filter".to_owned());
            }
            controls.push(RawControl { crit: true, ..Assertion::new(filter) });
        }
        if let Some(Change::Add(name, _)) =
            changes.iter().find(|change| matches!(change, Change::Add(_, values) if values.is_empty()))
        {
            return unsent(format!("no values are given that could be added to `{name}`"));
        }
        let changes: Vec<Mod<Vec<u8>>> = changes.iter().map(change).collect();
        let name = at.to_protocol();
        let answer = link.ask(|mut ldap| async move { ldap.with_controls(controls).modify(&name, changes).await }).await;
        judge(link, answer, matches!(at, Address::Guid(_)))
    }
}

fn change(change: &Change) -> Mod<Vec<u8>> {
    let set = |values: &[Vec<u8>]| values.iter().cloned().collect::<HashSet<_>>();
    match change {
        Change::Add(name, values) => Mod::Add(name.clone().into_bytes(), set(values)),
        Change::Delete(name, values) => Mod::Delete(name.clone().into_bytes(), set(values)),
        Change::Replace(name, values) => Mod::Replace(name.clone().into_bytes(), set(values)),
    }
}

fn unsent(message: String) -> Written {
    Written { code: None, outcome: Outcomes::NotSent, message }
}

fn judge(link: &Link, answer: Result<LdapResult, Lost>, by_identity: bool) -> Written {
    let result = match answer {
        Ok(result) => result,
        Err(lost) if lost.unsent => return unsent(format!("{}; nothing was sent", lost.message)),
        Err(lost) => {
            let message = format!("{}; the change may or may not have happened", lost.message);
            return Written { code: None, outcome: Outcomes::Unknown, message };
        }
    };
    let outcome = outcome::of_write(result.rc, by_identity);
    let name = outcome::name(result.rc);
    let advice =
        outcome::find(result.rc).map_or("an answer that is not known here; look before anything is sent again", |row| row.advice);
    let said = link.said(&result.text);
    let said = if said.is_empty() || outcome == Outcomes::Applied { String::new() } else { format!("; it says: {said}") };
    let message = match outcome {
        Outcomes::Applied => format!("`{}` says that it is done", link.host),
        _ => format!("`{}` answers {name}: {advice}{said}", link.host),
    };
    Written { code: Some(result.rc), outcome, message }
}

impl Written {
    /// As the end of an attempt. A [`Outcomes::Gone`] is unknown here: who can see the tombstone says more.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let reason = self.message.clone();
        match self.outcome {
            Outcomes::Applied => Outcome::Applied { outputs: Map::new() },
            Outcomes::Rejected => Outcome::Rejected { reason, untouched: true },
            Outcomes::NotSent => Outcome::NotSent { reason },
            Outcomes::Gone | Outcomes::Unknown => Outcome::Unknown { reason },
        }
    }
}
