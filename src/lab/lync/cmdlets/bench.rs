//! A forest to try cmdlets on.

use std::collections::BTreeSet;

use super::super::contoso;
use super::super::deployment::Deployment;
use super::super::directory::{Directory, Entry, Holder};
use super::super::forest::{Changed, Forest};
use super::super::run::{Kept, run};
use crate::lab::windows::cmdlet::Event;
use crate::lab::windows::machine::{Machine, State};
use crate::lab::windows::run::Ran;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{Command, CreatePipeline};

/// A directory that is a list.
#[derive(Default)]
pub struct Listed(pub Vec<Holder>);

impl Directory for Listed {
    fn holders(&mut self) -> Result<Vec<Holder>, String> {
        Ok(self.0.clone())
    }

    fn ask(&mut self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn search(&mut self, _: &str, _: &str) -> Result<Vec<Entry>, String> {
        Ok(Vec::new())
    }

    fn add(&mut self, _: &str, _: &[(&str, &str)]) -> Result<(), String> {
        Err("nothing is added here".to_owned())
    }

    fn replace(&mut self, _: &str, _: &[(&str, Vec<String>)]) -> Result<(), String> {
        Err("nothing is changed here".to_owned())
    }

    fn delete(&mut self, guid: &str) -> Result<(), String> {
        self.0.retain(|holder| holder.guid != guid);
        Ok(())
    }
}

/// The lab's forest in memory, asked on fe01.
pub struct Bench {
    pub deployment: Deployment,
    pub machines: Vec<Machine>,
    pub directory: Listed,
    pub unreachable: BTreeSet<String>,
    pub account: &'static str,
    pub now: i64,
    folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut machines = crate::lab::windows::contoso::machines();
        for machine in &mut machines {
            machine.files = folder.path().join(&machine.name);
        }
        std::fs::create_dir_all(folder.path().join("fe01/D/Migration")).unwrap();
        Bench {
            deployment: contoso::deployment(),
            machines,
            directory: Listed::default(),
            unreachable: BTreeSet::new(),
            account: "CONTOSO\\svc-mig",
            now: 1_764_000_000_000,
            folder,
        }
    }

    /// A file of the Front End.
    pub fn file(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("fe01").join(path)).ok()
    }

    /// Runs a command.
    pub fn call(&mut self, command: Command) -> Kept {
        for machine in &mut self.machines {
            machine.settle(i64::MAX);
        }
        let server = self.machines.iter().find(|machine| machine.name == "fe01").unwrap().clone();
        let forest = Forest {
            deployment: &mut self.deployment,
            machines: &mut self.machines,
            directory: &mut self.directory,
            unreachable: self.unreachable.clone(),
            account: self.account,
            now: self.now,
            changed: Changed::default(),
        };
        run(&server, forest, &CreatePipeline::new(vec![command]))
    }

    /// Runs a command that complains of nothing, and gives its objects.
    #[track_caller]
    pub fn fine(&mut self, command: Command) -> Vec<Value> {
        let Kept { ran, .. } = self.call(command);
        let errors = ids(&ran);
        assert!(errors.is_empty(), "{errors:?} {ran:?}");
        ran.events.into_iter().filter_map(|event| if let Event::Output(value) = event { Some(value) } else { None }).collect()
    }

    /// The texts of a property of what a command gives.
    #[track_caller]
    pub fn names(&mut self, command: Command, property: &str) -> Vec<String> {
        self.fine(command).iter().map(|value| text(value, property)).collect()
    }

    /// The ids, without the class, of what a command complains of.
    pub fn complaints(&mut self, command: Command) -> Vec<String> {
        ids(&self.call(command).ran)
    }

    /// The states of services of a machine.
    pub fn states(&self, host: &str, names: &[&str]) -> Vec<State> {
        let machine = self.machines.iter().find(|machine| machine.name == host).unwrap();
        names.iter().map(|name| machine.services[machine.service(name).unwrap()].state).collect()
    }
}

/// The ids of errors, without the class.
pub fn ids(ran: &Ran) -> Vec<String> {
    let reported = ran.events.iter().filter_map(|event| if let Event::Error(record) = event { Some(&**record) } else { None });
    let all = reported.chain(ran.terminating.as_deref());
    all.map(|record| record.fully_qualified_id.split(',').next().unwrap_or_default().to_owned()).collect()
}

/// A property as text; a list with commas.
#[track_caller]
pub fn text(value: &Value, name: &str) -> String {
    let value = value.get(name).unwrap_or_else(|| panic!("no {name} in {value:?}"));
    match value.items() {
        Some(items) => items.iter().map(Value::to_text).collect::<Vec<_>>().join(","),
        None => value.to_text(),
    }
}
