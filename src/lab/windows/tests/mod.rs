//! What the hosts answer, asked as a client asks.

mod binding;
mod control;
mod items;
mod looks;
mod paths;

use tempfile::TempDir;

use super::cmdlet::Event;
use super::machine::Machine;
use super::run::{Ran, run};
use super::{contoso, machine};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::{Command, CreatePipeline, ErrorRecord};

/// A world in a folder of its own.
struct World {
    machines: Vec<Machine>,
    _folder: TempDir,
}

impl World {
    /// A fresh one.
    fn fresh() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut machines = contoso::machines();
        for machine in &mut machines {
            machine.files = folder.path().join(&machine.name);
            contoso::write_files(machine).expect("files");
        }
        World { machines, _folder: folder }
    }

    /// Runs a command on a machine.
    fn on(&mut self, name: &str, command: Command) -> Ran {
        self.pipeline(name, &CreatePipeline::new(vec![command]))
    }

    fn pipeline(&mut self, name: &str, pipeline: &CreatePipeline) -> Ran {
        let (mut here, others): (Vec<_>, Vec<_>) = self.machines.drain(..).partition(|machine| machine.name == name);
        let ran = run(&mut here[0], &others, "CONTOSO\\svc-mig", pipeline);
        self.machines = here.into_iter().chain(others).collect();
        ran
    }

    fn machine(&mut self, name: &str) -> &mut Machine {
        self.machines.iter_mut().find(|machine| machine.name == name).expect("a machine")
    }

    fn service(&mut self, host: &str, name: &str) -> &mut machine::Service {
        let machine = self.machine(host);
        let index = machine.service(name).expect("a service");
        &mut machine.services[index]
    }
}

impl Ran {
    fn objects(&self) -> Vec<&Value> {
        self.events.iter().filter_map(|event| if let Event::Output(value) = event { Some(value) } else { None }).collect()
    }

    fn errors(&self) -> Vec<&ErrorRecord> {
        self.events.iter().filter_map(|event| if let Event::Error(record) = event { Some(&**record) } else { None }).collect()
    }

    /// What it gave, if it complained of nothing.
    fn fine(&self) -> Vec<&Value> {
        assert!(self.terminating.is_none() && self.errors().is_empty(), "{:?} {:?}", self.terminating, self.errors());
        self.objects()
    }

    fn only(&self) -> &Value {
        let objects = self.fine();
        assert_eq!(objects.len(), 1, "{objects:?}");
        objects[0]
    }

    /// The id and the message of what ended it.
    fn end(&self) -> (&str, &str) {
        let record = self.terminating.as_ref().expect("an end before its end");
        (&record.fully_qualified_id, record.message())
    }

    fn ids(&self) -> Vec<&str> {
        self.errors().into_iter().map(|record| record.fully_qualified_id.as_str()).collect()
    }
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).unwrap_or_else(|| panic!("no {name} in {value:?}")).to_text()
}
