//! One host's state. Whatever changes is on disk before anybody hears of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A Windows host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Its short name in lower case: `gc01`.
    pub name: String,
    /// What it runs, as `Win32_OperatingSystem.Caption` says it.
    pub os: String,
    /// The version: `6.1.7601`.
    pub version: String,
    /// When it started, in milliseconds since 1970.
    #[serde(default)]
    pub booted: i64,
    /// Its services.
    pub services: Vec<Service>,
    /// Keys of `HKLM:`, by path without the drive and in its own case, and their values by name.
    pub registry: BTreeMap<String, BTreeMap<String, Setting>>,
    /// Shares by name: the local folder that each stands for, such as `D:\Share`.
    pub shares: BTreeMap<String, String>,
    /// Machines to whose shares a remote session of this one may go on (constrained delegation).
    pub delegates_to: Vec<String>,
    /// The folder that holds its files: a folder per drive, `D`. Not part of the state; set when it is loaded.
    #[serde(skip)]
    pub files: PathBuf,
}

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The short name, by which it is addressed.
    pub name: String,
    /// The name for people.
    pub display_name: String,
    /// The command line of its program.
    pub path: String,
    /// The account that it runs as.
    pub account: String,
    /// When it starts.
    pub start: Start,
    /// Whether an automatic start is a delayed one.
    pub delayed: bool,
    /// What it does.
    pub state: State,
    /// Short names of services that must run before it.
    pub depends_on: Vec<String>,
    /// Whether it takes a stop at all.
    pub can_stop: bool,
    /// The number of its process, 0 while it does not run.
    #[serde(default)]
    pub process: u32,
    /// How long it takes to start and to stop, in milliseconds.
    #[serde(default)]
    pub slow_ms: u32,
    /// While it is pending: when it will have done what it was told, in milliseconds since 1970.
    #[serde(default)]
    pub due: Option<i64>,
}

/// When a service starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// With the machine.
    Automatic,
    /// When asked to.
    #[default]
    Manual,
    /// Never.
    Disabled,
}

/// What a service does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It runs.
    Running,
    /// It does not.
    #[default]
    Stopped,
    /// It was told to start and has not said yet that it has.
    StartPending,
    /// It was told to stop and has not said yet that it has.
    StopPending,
}

/// A value of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// `REG_SZ`.
    Text(String),
    /// `REG_DWORD`.
    Number(u32),
    /// `REG_MULTI_SZ`.
    Texts(Vec<String>),
}

impl Machine {
    /// The place of a service in the list, by its short name in any case.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<usize> {
        self.services.iter().position(|service| same(&service.name, name))
    }

    /// Whether a name on the network is this machine's: the short one, or that in the lab's domain.
    #[must_use]
    pub fn answers_to(&self, name: &str) -> bool {
        let short = name.split_once('.').map_or(name, |(short, domain)| if same(domain, super::DOMAIN) { short } else { name });
        same(&self.name, short)
    }

    /// Lets services that were pending be where they were told to go, if their time has come. True if any is.
    pub fn settle(&mut self, now: i64) -> bool {
        let mut settled = false;
        for service in &mut self.services {
            if service.due.is_some_and(|due| due <= now) {
                service.settle();
                settled = true;
            }
        }
        settled
    }

    /// Services that need this one, directly or not, each before those that it needs itself.
    #[must_use]
    pub fn dependents(&self, name: &str) -> Vec<usize> {
        let (mut seen, mut found) = (Vec::new(), Vec::new());
        self.collect_dependents(name, &mut seen, &mut found);
        found
    }

    fn collect_dependents(&self, name: &str, seen: &mut Vec<usize>, found: &mut Vec<usize>) {
        for (index, service) in self.services.iter().enumerate() {
            if service.depends_on.iter().any(|needed| same(needed, name)) && !seen.contains(&index) {
                seen.push(index);
                self.collect_dependents(&service.name, seen, found);
                found.push(index);
            }
        }
    }
}

impl Service {
    /// A service that runs as the system, is told by people to start, and takes a stop.
    #[must_use]
    pub fn new(name: &str, display_name: &str, path: &str) -> Self {
        Service {
            name: name.to_owned(),
            display_name: display_name.to_owned(),
            path: path.to_owned(),
            account: "LocalSystem".to_owned(),
            can_stop: true,
            ..Service::default()
        }
    }

    /// Goes where it was told to go.
    pub fn settle(&mut self) {
        self.due = None;
        match self.state {
            State::StartPending => self.state = State::Running,
            State::StopPending => {
                self.state = State::Stopped;
                self.process = 0;
            }
            State::Running | State::Stopped => {}
        }
    }

    /// Whether it takes a stop now.
    #[must_use]
    pub fn takes_stop(&self) -> bool {
        self.can_stop && self.state == State::Running
    }
}

/// Whether two names are the same to Windows, which does not care for case.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || one.to_lowercase() == other.to_lowercase()
}
