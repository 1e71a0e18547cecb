//! What a plan acts on: one key per machine, directory, database or declared word, whatever it is called in the targets
//! file. Two runs that have a key in common act on the same thing.
//!
//! Pure functions on the validated [`Plan`]. A target that is known only from a step's output has no key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::action::{ArgType, Catalogue, Effect};
use super::{Call, Condition, Holds, Plan, Probe, Step, Targets, Work, expr};

/// What a run does to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// It only looks.
    Read,
    /// It may change it.
    Write,
}

/// Everything that the plan acts on, sorted, with the most that it does to it. Steps that `exclude` concerns are left out.
#[must_use]
pub fn acts(plan: &Plan, catalogue: &Catalogue, exclude: &[String]) -> BTreeMap<String, Access> {
    let mut acts = Acts { targets: &plan.targets, catalogue, found: BTreeMap::new() };
    for step in &plan.steps {
        if !exclude.iter().any(|name| step.concerns(name)) {
            acts.step(step);
        }
    }
    acts.found
}

struct Acts<'p> {
    targets: &'p Targets,
    catalogue: &'p Catalogue,
    found: BTreeMap<String, Access>,
}

impl Acts<'_> {
    fn step(&mut self, step: &Step) {
        let access = match &step.work {
            Work::Action(action) => {
                let access = if action.effect == Effect::Read { Access::Read } else { Access::Write };
                self.call(&action.call, access);
                self.probe(action.probe.as_ref());
                if let Some(undo) = &action.undo {
                    self.call(undo, access);
                }
                access
            }
            Work::Manual(manual) => {
                self.probe(manual.probe.as_ref());
                Access::Write
            }
            Work::Gate(_) | Work::Checkpoint => Access::Read,
        };
        for Condition { holds, .. } in step.before.iter().chain(&step.after) {
            if let Holds::Probe(probe) = holds {
                self.probe(Some(probe));
            }
        }
        for name in &step.acts_on {
            match keys_of(self.targets, name) {
                keys if keys.is_empty() => self.add(normal(name), access),
                keys => keys.into_iter().for_each(|key| self.add(key, access)),
            }
        }
    }

    fn probe(&mut self, probe: Option<&Probe>) {
        if let Some(probe) = probe {
            self.call(&probe.call, Access::Read);
        }
    }

    fn call(&mut self, call: &Call, access: Access) {
        let (Some(spec), Some(with)) = (self.catalogue.get(&call.uses), call.with.as_object()) else { return };
        for arg in &spec.args {
            match with.get(arg.name) {
                Some(Value::Object(look)) if arg.kind == ArgType::Probe => self.look(look),
                Some(Value::String(text)) if !expr::is_open(text) => {
                    if arg.name == "instance" || arg.name.ends_with("_instance") {
                        self.add(instance(text, &self.machine(with)), access);
                    } else if matches!(arg.kind, ArgType::Host | ArgType::Directory)
                        || matches!(arg.name, "host" | "directory" | "target" | "server")
                    {
                        for key in keys_of(self.targets, text) {
                            self.add(key, access);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// A nested call, such as that of `wait`. It only looks.
    fn look(&mut self, look: &Map<String, Value>) {
        if let (Some(uses), Some(with)) = (look.get("uses").and_then(Value::as_str), look.get("with")) {
            self.call(&Call { uses: uses.to_owned(), with: with.clone() }, Access::Read);
        }
    }

    /// The machine that a call goes to: what `(local)` and `localhost` mean there.
    fn machine(&self, with: &Map<String, Value>) -> String {
        let name = ["sql_host", "host"].iter().find_map(|key| with.get(*key).and_then(Value::as_str));
        name.and_then(|name| keys_of(self.targets, name).into_iter().next()).unwrap_or_default()
    }

    fn add(&mut self, key: String, access: Access) {
        let most = self.found.entry(key).or_insert(access);
        *most = access.max(*most);
    }
}

/// The keys of a target; none if there is no target of that name.
fn keys_of(targets: &Targets, name: &str) -> Vec<String> {
    let Some(kind) = targets.names.get(name) else { return Vec::new() };
    let entry = targets.value.get(kind).and_then(|all| all.get(name));
    let text = |key: &str| entry.and_then(|entry| entry.get(key)).and_then(Value::as_str);
    let host = text("url").map(host_of).filter(|host| !host.is_empty());
    let mut keys: Vec<String> = match kind.as_str() {
        // One entry may say which domain it is, and another one only where it answers.
        "directories" => text("domain").map(normal).into_iter().chain(host).collect(),
        _ => host.or_else(|| text("host").map(normal)).into_iter().collect(),
    };
    if keys.is_empty() {
        keys.push(normal(name));
    }
    keys
}

/// The host of a URL, without its port.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let host = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => place.split_once(':').map_or(place, |(host, _)| host),
    };
    normal(host)
}

/// An instance of SQL Server: `server\instance`, `server,port` or `server`, however it is written.
fn instance(text: &str, machine: &str) -> String {
    let text = normal(text);
    let (server, rest) = text.find(['\\', ',']).map_or((text.as_str(), ""), |at| text.split_at(at));
    let server = server.strip_prefix("tcp:").unwrap_or(server).trim().trim_end_matches('.');
    let server = if matches!(server, "" | "(local)" | "localhost" | "127.0.0.1") { machine } else { server };
    let rest = rest.replace(' ', "");
    let rest = if matches!(rest.as_str(), "\\" | "\\mssqlserver") { "" } else { rest.as_str() };
    // Told apart from the machine, which other actions change.
    format!("{server}{} (SQL Server)", if rest.is_empty() { "\\mssqlserver" } else { rest })
}

fn normal(name: &str) -> String {
    name.trim().to_lowercase().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_the_same_by_any_url_that_leads_to_it() {
        for url in [
            "https://GC01.contoso.com:5986/wsman",
            "http://gc01.contoso.com./",
            "https://gc01.contoso.com/OcsPowerShell?x",
            "ldaps://ann@gc01.contoso.com",
        ] {
            assert_eq!(host_of(url), "gc01.contoso.com", "{url}");
        }
        assert_eq!(host_of("https://[FE80::1]:5986/wsman"), "fe80::1");
    }

    #[test]
    fn an_instance_is_the_same_however_it_is_written() {
        let one = instance("SQL01.contoso.com\\RTC", "fe01");
        assert_eq!(one, "sql01.contoso.com\\rtc (SQL Server)");
        assert_eq!(one, instance(" sql01.contoso.com.\\rtc ", "fe01"));
        assert_eq!(instance("(local)\\RTC", "sql01.contoso.com"), one);
        assert_eq!(instance("sql01", ""), instance("sql01\\MSSQLSERVER", ""));
        assert_ne!(instance("sql01", ""), instance("sql01,1433", ""));
    }
}
