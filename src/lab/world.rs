//! The world in memory: two replicas, the Windows hosts, the faults, the audit. One lock over all of it, because it is small and every
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
use super::lync;
use super::lync::deployment::{Deployment, Known};
use super::lync::directory::Directory;
use super::lync::embedded::Embedded;
use super::lync::forest::{Changed, Forest};
use super::lync::replicator;
use super::samba;
use super::windows::machine::Machine;
use super::windows::run::{self, Ran};
use crate::remoting::psrp::CreatePipeline;

/// Everything that a lab remembers.
pub struct World {
    files: Files,
    /// One per domain controller; none if Samba is the directory.
    pub replicas: Vec<Replica>,
    samba: Option<samba::Ldap>,
    /// The Windows hosts.
    pub machines: Vec<Machine>,
    /// The deployment of Lync.
    pub deployment: Deployment,
    /// What goes wrong on request.
    pub faults: Faults,
    audit: Audit,
}

/// The domain controllers that a Front End asks, by their places: that of its own site first. Not the one that clients of
/// the directory usually write to, so that what they wrote may not be known here yet.
const FRONT_END_ASKS: [usize; 2] = [1, 0];

/// The domain controller that a Front End asks: that of its own site, and another if that one does not answer.
fn asked(faults: &Faults) -> Option<usize> {
    FRONT_END_ASKS.into_iter().find(|dc| !faults.stopped.contains(CONTROLLERS[*dc]))
}

/// The directory as a Front End sees it.
fn directory<'a>(
    samba: Option<&samba::Ldap>,
    replicas: &'a mut [Replica],
    faults: &'a Faults,
    now: i64,
) -> Box<dyn Directory + 'a> {
    match samba {
        Some(samba) => Box::new(samba.clone()),
        None => Box::new(Embedded { replicas, asked: asked(faults), stopped: &faults.stopped, now }),
    }
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
        let samba = if samba::is(files) { Some(samba::Ldap::open(files)?) } else { None };
        let (replicas, faults) = if samba.is_some() { (Vec::new(), files.load_faults()?) } else { files.load()? };
        let machines = files.load_machines()?;
        let deployment = files.load_deployment()?;
        let mut world = World { files: files.clone(), replicas, samba, machines, deployment, faults, audit: Audit::open(files)? };
        if world.deployment.replicator.read_at == 0 {
            world.known()?;
        }
        Ok(world)
    }

    /// Whom the Front Ends know by which address, as [`replicator::known`]. What was read for it is on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn known(&mut self) -> Result<&[Known], Trouble> {
        let now = now();
        let mut directory = directory(self.samba.as_ref(), &mut self.replicas, &self.faults, now);
        if replicator::catch_up(&mut self.deployment, &mut *directory, now) {
            self.files.save_deployment(&self.deployment)?;
        }
        Ok(&self.deployment.replicator.known)
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
        self.use_up(|faults| faults.meet(Met { operation: about.operation, names: &names, dc: CONTROLLERS[dc] }))
    }

    /// The faults that a cmdlet meets on a Windows host.
    ///
    /// # Errors
    /// What is left of them cannot be written.
    pub fn meet_cmdlet(&mut self, host: &str, cmdlet: &str) -> Result<Vec<Effect>, Trouble> {
        self.use_up(|faults| faults.meet_cmdlet(host, cmdlet))
    }

    /// The faults that a call of WS-Management meets on a Windows host.
    ///
    /// # Errors
    /// What is left of them cannot be written.
    pub fn meet_call(&mut self, host: &str, call: &str) -> Result<Vec<Effect>, Trouble> {
        self.use_up(|faults| faults.meet_call(host, call))
    }

    fn use_up(&mut self, meet: impl FnOnce(&mut Faults) -> Vec<Effect>) -> Result<Vec<Effect>, Trouble> {
        let effects = meet(&mut self.faults);
        // Whatever was met may have been used up by it.
        if !effects.is_empty() {
            self.files.save_faults(&self.faults)?;
        }
        Ok(effects)
    }

    /// Runs a pipeline on a Windows host. What it changed is on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn run(&mut self, host: &str, account: &str, pipeline: &CreatePipeline) -> Result<Ran, Trouble> {
        let others: Vec<Machine> = self.machines.iter().filter(|machine| machine.name != host).cloned().collect();
        let Some(machine) = self.machines.iter_mut().find(|machine| machine.name == host) else {
            return Err(Trouble::new(format!("the lab has no host `{host}`")));
        };
        let ran = run::run(machine, &others, account, pipeline);
        if ran.wrote {
            self.files.save_machine(machine)?;
        }
        Ok(ran)
    }

    /// Runs a pipeline on the remote PowerShell of Lync. What it changed is on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn run_lync(&mut self, host: &str, account: &str, pipeline: &CreatePipeline) -> Result<Ran, Trouble> {
        let Some(server) = self.machines.iter().find(|machine| machine.name == host).cloned() else {
            return Err(Trouble::new(format!("the lab has no host `{host}`")));
        };
        let now = now();
        for machine in &mut self.machines {
            machine.settle(now);
        }
        let before: Vec<u64> = self.replicas.iter().map(|replica| replica.usn).collect();
        let mut directory = directory(self.samba.as_ref(), &mut self.replicas, &self.faults, now);
        let forest = Forest {
            deployment: &mut self.deployment,
            machines: &mut self.machines,
            directory: &mut *directory,
            unreachable: self.faults.stopped.clone(),
            account,
            now,
            changed: Changed::default(),
        };
        let kept = lync::run::run(&server, forest, pipeline);
        drop(directory);
        for (replica, before) in self.replicas.iter().zip(before) {
            if replica.usn != before {
                self.files.save(replica)?;
            }
        }
        for machine in self.machines.iter().filter(|machine| kept.changed.machines.contains(&machine.name)) {
            self.files.save_machine(machine)?;
        }
        if kept.changed.deployment {
            self.files.save_deployment(&self.deployment)?;
        }
        Ok(kept.ran)
    }

    /// Writes a line into the audit.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note(&mut self, line: &Line) -> Result<(), Trouble> {
        self.audit.append(line)
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
        // Samba has one domain controller.
        if self.replicas.is_empty() {
            return Ok(());
        }
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

    /// Writes the deployment of Lync after a change of it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save_deployment(&self) -> Result<(), Trouble> {
        self.files.save_deployment(&self.deployment)
    }

    /// Writes a Windows host after a change of it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save_machine(&self, name: &str) -> Result<(), Trouble> {
        self.machines.iter().filter(|machine| machine.name == name).try_for_each(|machine| self.files.save_machine(machine))
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
