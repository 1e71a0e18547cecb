//! A lab's folder: the world, the audit, certificates, passwords, the targets file, and how to reach the process.
//!
//! Every file is written beside itself and renamed into place, so that a killed lab leaves the old one or the new one.
//! Nothing is synced: the world outlives the process, not a power cut.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::contoso::{self, ACCOUNTS, CONTROLLERS};
use super::directory::ids::Guid;
use super::directory::store::Replica;
use super::fault::Faults;
use super::kind::Kind;
use super::lync;
use super::lync::deployment::Deployment;
use super::running::{HostPorts, Ports, Running};
use super::windows::machine::Machine;
use super::{targets, windows};
use crate::error::Exit;

/// Folders of the world, beside its files.
const FOLDERS: [&str; 2] = ["machines", "files"];

/// What went wrong with a lab, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// Lower case, without a final stop.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// How the program ends for it.
    pub exit: Exit,
}

impl Trouble {
    /// A trouble without advice.
    pub fn new(message: impl Into<String>) -> Self {
        Trouble { message: message.into(), hint: String::new(), exit: Exit::Failed }
    }

    /// With advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// With another end than `Exit::Failed`.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

/// A lab's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// The folder of that path.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Files { dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()) }
    }

    /// The folder where the person's state is kept.
    ///
    /// # Errors
    /// There is no such place.
    pub fn usual() -> Result<Self, Trouble> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = if cfg!(windows) {
            set("LOCALAPPDATA")
        } else {
            set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))
        };
        let none = || Trouble::new("there is no folder to keep a lab in").hint("`--dir DIR` or `RELEVO_LAB` names one");
        Ok(Self::at(&state.ok_or_else(none)?.join("relevo").join("lab")))
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The certificate authority's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A file of the certificate authority.
    #[must_use]
    pub fn pki(&self, name: &str) -> PathBuf {
        self.dir.join("pki").join(name)
    }

    /// The targets file.
    #[must_use]
    pub fn targets(&self) -> PathBuf {
        self.dir.join("targets.yaml")
    }

    /// The audit.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.dir.join("audit.jsonl")
    }

    /// What the process says when it cannot go on.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("lab.log")
    }

    /// Held by the process as long as it lives.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lab.lock")
    }

    /// The password of an account.
    #[must_use]
    pub fn password(&self, account: &str) -> PathBuf {
        self.dir.join(format!("{account}.password"))
    }

    fn running_file(&self) -> PathBuf {
        self.dir.join("lab.json")
    }

    fn world(&self) -> PathBuf {
        self.dir.join("world")
    }

    fn machines(&self) -> PathBuf {
        self.world().join("machines")
    }

    /// The folder with the files of a Windows host: a folder per drive.
    #[must_use]
    pub fn files_of(&self, host: &str) -> PathBuf {
        self.world().join("files").join(host)
    }

    fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    /// Makes the folder and what a lab needs in it before it can start. Of two at once, the second waits for the first
    /// and finds everything made.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn prepare(&self) -> Result<(), Trouble> {
        for folder in [self.dir.clone(), self.dir.join("pki"), self.world(), self.snapshots()] {
            fs::create_dir_all(&folder).map_err(|error| cannot("make", &folder, &error))?;
        }
        restrict(&self.dir).map_err(|error| cannot("protect", &self.dir, &error))?;
        let path = self.dir.join("prepare.lock");
        let lock = fs::File::create(&path).map_err(|error| cannot("make", &path, &error))?;
        lock.lock().map_err(|error| cannot("lock", &path, &error))?;
        for (account, _) in ACCOUNTS {
            let file = self.password(account);
            if !file.exists() {
                self.write(&file, format!("Lab-{}", Guid::random()).as_bytes())?;
            }
        }
        // The lock is given up with its file.
        super::pki::ensure(self)
    }

    /// Writes a file in one piece, for its owner alone.
    ///
    /// # Errors
    /// It cannot be written; the old one is still there.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
        let failed = |error: std::io::Error| cannot("write", path, &error);
        let beside = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        for_owner(&mut options);
        options.open(&beside).and_then(|mut file| file.write_all(bytes)).map_err(failed)?;
        fs::rename(&beside, path).map_err(failed)
    }

    /// Whether there is a world already.
    #[must_use]
    pub fn has_world(&self) -> bool {
        CONTROLLERS.iter().all(|name| self.world().join(format!("{name}.json")).exists())
    }

    /// Reads the world, or makes a fresh one if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is not one of this version.
    pub fn load(&self) -> Result<(Vec<Replica>, Faults), Trouble> {
        if !self.has_world() {
            let (replicas, faults) = self.fresh()?;
            self.save_faults(&faults)?;
            replicas.iter().try_for_each(|replica| self.save(replica))?;
            return Ok((replicas, faults));
        }
        let mut replicas = Vec::new();
        for name in CONTROLLERS {
            let mut replica: Replica = Self::read(&self.world().join(format!("{name}.json")))?;
            replica.index();
            replicas.push(replica);
        }
        Ok((replicas, self.load_faults()?))
    }

    /// Reads the faults; none if there are none yet.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn load_faults(&self) -> Result<Faults, Trouble> {
        let faults = self.world().join("faults.json");
        if faults.exists() { Self::read(&faults) } else { Ok(Faults::default()) }
    }

    /// A fresh world, not yet written.
    ///
    /// # Errors
    /// The passwords cannot be read.
    pub fn fresh(&self) -> Result<(Vec<Replica>, Faults), Trouble> {
        let mut passwords = BTreeMap::new();
        for (account, _) in ACCOUNTS {
            let file = self.password(account);
            let text = fs::read_to_string(&file).map_err(|error| cannot("read", &file, &error))?;
            passwords.insert((*account).to_owned(), text.trim_end().to_owned());
        }
        let replicas = contoso::build(&passwords, jiff::Timestamp::now().as_millisecond());
        Ok((replicas.into(), Faults::default()))
    }

    /// Reads the Windows hosts, or makes fresh ones of those that are not there.
    ///
    /// # Errors
    /// They cannot be read or written.
    pub fn load_machines(&self) -> Result<Vec<Machine>, Trouble> {
        let kind = self.kind();
        let folder = self.machines();
        fs::create_dir_all(&folder).map_err(|error| cannot("make", &folder, &error))?;
        let mut machines = Vec::new();
        for mut machine in windows::contoso::machines_of(kind) {
            let path = folder.join(format!("{}.json", machine.name));
            let is_there = path.exists();
            if is_there {
                machine = Self::read(&path)?;
            }
            machine.files = self.files_of(&machine.name);
            if !is_there {
                // The state last: it says that the files are there.
                windows::contoso::write_files(&machine).map_err(|error| cannot("write", &machine.files, &error))?;
                if machine.services.iter().any(|service| service.name.starts_with("MSSQL$")) {
                    windows::sql::create_databases_of(&machine, kind).map_err(|error| {
                        Trouble::new(format!("the databases of {} cannot be made: {}", machine.name, error.message))
                    })?;
                }
                self.save_machine(&machine)?;
            }
            machines.push(machine);
        }
        Ok(machines)
    }

    /// What the worlds of this folder move from.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let text = fs::read_to_string(self.kind_file()).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    /// Says what the worlds of this folder move from, from the next fresh one on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn set_kind(&self, kind: Kind) -> Result<(), Trouble> {
        fs::create_dir_all(&self.dir).map_err(|error| cannot("make", &self.dir, &error))?;
        self.write(&self.kind_file(), format!("{kind}\n").as_bytes())
    }

    fn kind_file(&self) -> PathBuf {
        self.dir.join("world.kind")
    }

    fn deployment(&self) -> PathBuf {
        self.world().join("lync.json")
    }

    /// Reads the deployment of Lync, or makes a fresh one.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn load_deployment(&self) -> Result<Deployment, Trouble> {
        if self.deployment().exists() {
            return Self::read(&self.deployment());
        }
        let fresh = lync::contoso::deployment_of(self.kind());
        self.save_deployment(&fresh)?;
        Ok(fresh)
    }

    /// Writes the deployment of Lync.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save_deployment(&self, deployment: &Deployment) -> Result<(), Trouble> {
        self.write_json(&self.deployment(), deployment)
    }

    /// Writes a Windows host.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save_machine(&self, machine: &Machine) -> Result<(), Trouble> {
        self.write_json(&self.machines().join(format!("{}.json", machine.name)), machine)
    }

    fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Trouble> {
        let bytes = fs::read(path).map_err(|error| cannot("read", path, &error))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Trouble::new(format!("{} is not what a lab of this version writes: {error}", path.display()))
                .hint("`relevo lab down`, then `relevo lab reset`, starts a fresh world")
        })
    }

    /// Writes a replica.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, replica: &Replica) -> Result<(), Trouble> {
        self.write_json(&self.world().join(format!("{}.json", replica.name)), replica)
    }

    /// Writes the faults.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn save_faults(&self, faults: &Faults) -> Result<(), Trouble> {
        self.write_json(&self.world().join("faults.json"), faults)
    }

    fn write_json<T: Serialize>(&self, path: &Path, value: &T) -> Result<(), Trouble> {
        let bytes = serde_json::to_vec(value).map_err(|error| Trouble::new(format!("{}: {error}", path.display())))?;
        self.write(path, &bytes)
    }

    /// How to reach the process; also where the one before it answered.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        serde_json::from_slice(&fs::read(self.running_file()).ok()?).ok()
    }

    /// Says how to reach the process.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn say_running(&self, running: &Running) -> Result<(), Trouble> {
        self.write_json(&self.running_file(), running)
    }

    /// Copies the world.
    ///
    /// # Errors
    /// The name cannot be one of a folder, or the copy fails.
    pub fn snapshot(&self, name: &str) -> Result<(), Trouble> {
        let to = self.snapshots().join(checked(name)?);
        copy(&self.world(), &to)
    }

    /// Puts a copy in place of the world.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn restore(&self, name: &str) -> Result<(), Trouble> {
        let from = self.snapshots().join(checked(name)?);
        if !from.is_dir() {
            let names = self.snapshot_names().join(", ");
            let hint = if names.is_empty() { "there are none".to_owned() } else { format!("there are {names}") };
            return Err(Trouble::new(format!("the lab has no snapshot `{name}`")).hint(hint));
        }
        copy(&from, &self.world())
    }

    /// The names of all copies.
    #[must_use]
    pub fn snapshot_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.snapshots()).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Takes the world and its audit away. Certificates, passwords and ports stay.
    ///
    /// # Errors
    /// They cannot be removed.
    pub fn forget(&self) -> Result<(), Trouble> {
        for folder in FOLDERS {
            remove(&self.world().join(folder))?;
        }
        for name in
            CONTROLLERS.iter().map(|name| format!("{name}.json")).chain(["faults.json".to_owned(), "lync.json".to_owned()])
        {
            let path = self.world().join(name);
            if path.exists() {
                fs::remove_file(&path).map_err(|error| cannot("remove", &path, &error))?;
            }
        }
        if self.audit().exists() {
            let old = self.dir.join("audit.before.jsonl");
            fs::rename(self.audit(), &old).map_err(|error| cannot("write", &old, &error))?;
        }
        Ok(())
    }

    /// Writes the targets file: domain controllers at these ports of that address, hosts at these of 127.0.0.1.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_targets(
        &self,
        ports: &BTreeMap<String, Ports>,
        hosts: &BTreeMap<String, HostPorts>,
        account: &str,
        address: &str,
    ) -> Result<(), Trouble> {
        let text = targets::text(ports, hosts, account, address);
        if fs::read_to_string(self.targets()).is_ok_and(|old| old == text) {
            return Ok(());
        }
        self.write(&self.targets(), text.as_bytes())
    }
}

fn checked(name: &str) -> Result<&str, Trouble> {
    let fits = !name.is_empty()
        && name.len() <= 64
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let hint = "letters, digits, `-`, `_` and `.`";
    if fits { Ok(name) } else { Err(Trouble::new(format!("`{name}` cannot be the name of a snapshot")).hint(hint)) }
}

/// Copies a world: its files, and its folders in place of those that are there.
fn copy(from: &Path, to: &Path) -> Result<(), Trouble> {
    let failed = |error: std::io::Error| cannot("copy", from, &error);
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().extension().is_some_and(|end| end == "json") {
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
        }
    }
    for folder in FOLDERS {
        // Made beside it first: the old one goes when the new one is whole.
        let new = to.join(format!("{folder}.new"));
        remove(&new)?;
        let copied = from.join(folder).is_dir();
        if copied {
            copy_all(&from.join(folder), &new).map_err(failed)?;
        }
        remove(&to.join(folder))?;
        if copied {
            fs::rename(&new, to.join(folder)).map_err(failed)?;
        }
    }
    Ok(())
}

/// Copies a folder with everything in it. What is neither a file nor a folder is left out.
fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_all(&entry.path(), &to.join(entry.file_name()))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<(), Trouble> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(cannot("remove", folder, &error)),
        _ => Ok(()),
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::new(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(unix)]
fn restrict(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn restrict(_: &Path) -> std::io::Result<()> {
    // The person's own state folder is theirs alone already.
    Ok(())
}

#[cfg(unix)]
fn for_owner(options: &mut fs::OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn for_owner(_: &mut fs::OpenOptions) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_preparations_at_once_none_stumbles_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::at(&folder.path().join("lab"));
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| files.prepare())).collect();
            for one in all {
                assert_eq!(one.join().unwrap(), Ok(()));
            }
        });
        let passwords: Vec<_> = ACCOUNTS.iter().map(|(account, _)| fs::read(files.password(account)).unwrap()).collect();
        files.prepare().unwrap();
        assert!(ACCOUNTS.iter().zip(&passwords).all(|((account, _), old)| fs::read(files.password(account)).unwrap() == *old));
    }
}
