//! The world in memory: two replicas, the faults, the audit. One lock over all of it, because it is small and every
//! operation is short; whatever changes is on disk before anybody hears of it.

use std::collections::BTreeMap;

use ldap3_proto::proto::{LdapMsg, LdapResultCode as Code};

use super::audit::{Audit, Line};
use super::contoso::CONTROLLERS;
use super::directory::dn::Name;
use super::directory::operation::{self, About, Outcome, Session};
use super::directory::reply::Refusal;
use super::directory::store::Replica;
use super::directory::{entry, replication};
use super::fault::{Effect, Faults, Met};
use super::files::{Files, Trouble};

/// Everything that a lab remembers.
pub struct World {
    files: Files,
    /// One per domain controller.
    pub replicas: Vec<Replica>,
    /// What goes wrong on request.
    pub faults: Faults,
    audit: Audit,
}

/// Milliseconds since 1970.
#[must_use]
pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

impl World {
    /// Reads it, or makes a fresh one.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn open(files: &Files) -> Result<Self, Trouble> {
        let (replicas, faults) = files.load()?;
        Ok(World { files: files.clone(), replicas, faults, audit: Audit::open(files)? })
    }

    /// The faults that this message meets. Rules that count are used up.
    ///
    /// # Errors
    /// What is left of them cannot be written.
    pub fn meet(&mut self, dc: usize, about: &About) -> Result<Vec<Effect>, Trouble> {
        let replica = &self.replicas[dc];
        let mut names = vec![about.name.clone()];
        if let Some(object) = Name::parse(&about.name).and_then(|name| replica.find(&name)) {
            names.push(entry::name(replica, object.guid, entry::Names::Plain));
            names.push(format!("<GUID={}>", object.guid));
        }
        let before = self.faults.rules.len();
        let left: u64 = self.faults.rules.iter().filter_map(|rule| rule.left.map(u64::from)).sum();
        let effects = self.faults.meet(Met { operation: about.operation, names: &names, dc: CONTROLLERS[dc] });
        let now_left: u64 = self.faults.rules.iter().filter_map(|rule| rule.left.map(u64::from)).sum();
        if self.faults.rules.len() != before || left != now_left {
            self.files.save_faults(&self.faults)?;
        }
        Ok(effects)
    }

    /// Does a message, or refuses it, and writes the audit. The outcome is on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn perform(
        &mut self,
        dc: usize,
        session: &mut Session,
        message: &LdapMsg,
        refusal: Option<&Refusal>,
        (connection, answered): (u64, bool),
    ) -> Result<Outcome, Trouble> {
        let replica = &mut self.replicas[dc];
        let about = operation::about(&message.op);
        // Whoever deletes: the name is told as it was.
        let object = about.as_ref().and_then(|about| Name::parse(&about.name)).and_then(|name| {
            let object = replica.find(&name)?;
            Some((object.guid, entry::name(replica, object.guid, entry::Names::Plain)))
        });
        let before = replica.usn;
        let outcome = match refusal {
            Some(refusal) => operation::refuse(message, refusal),
            None => operation::perform(replica, session, message, now()),
        };
        if replica.usn != before {
            self.files.save(&self.replicas[dc])?;
        }
        if let Some(about) = about {
            let object = object.filter(|_| !about.name.is_empty());
            let line = Line {
                time: jiff::Timestamp::now().to_string(),
                dc: CONTROLLERS[dc].to_owned(),
                connection,
                account: session.caller.as_ref().map_or_else(|| "anonymous".to_owned(), |caller| caller.name.clone()),
                operation: about.operation.to_owned(),
                name: about.name,
                dn: outcome.dn.clone().or_else(|| object.as_ref().map(|(_, dn)| dn.clone())),
                guid: outcome.guid.or_else(|| object.as_ref().map(|(guid, _)| *guid)).map(|guid| guid.to_string()),
                code: outcome.code.clone() as i64,
                wrote: outcome.wrote && outcome.code == Code::Success && about.operation != "bind",
                answered,
                detail: about.detail,
            };
            self.audit.append(&line)?;
        }
        Ok(outcome)
    }

    /// Lets every domain controller take what the others have written, unless it is held or one of them is stopped.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn replicate(&mut self) -> Result<(), Trouble> {
        for (to, to_name) in CONTROLLERS.into_iter().enumerate() {
            for (from, from_name) in CONTROLLERS.into_iter().enumerate() {
                let idle = to == from
                    || self.faults.held.contains(to_name)
                    || self.faults.stopped.contains(to_name)
                    || self.faults.stopped.contains(from_name);
                if idle {
                    continue;
                }
                let source = self.replicas[from].clone();
                if replication::pull(&mut self.replicas[to], &source, now()) {
                    self.files.save(&self.replicas[to])?;
                }
            }
        }
        Ok(())
    }

    /// Writes the faults after a change of them.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn save_faults(&self) -> Result<(), Trouble> {
        self.files.save_faults(&self.faults)
    }

    /// Reads everything again, after the files were changed.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn reload(&mut self) -> Result<(), Trouble> {
        *self = World::open(&self.files)?;
        Ok(())
    }

    /// The number of objects of each domain controller.
    #[must_use]
    pub fn sizes(&self) -> BTreeMap<String, usize> {
        self.replicas.iter().map(|replica| (replica.name.clone(), replica.objects.len())).collect()
    }
}
