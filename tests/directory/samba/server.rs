//! One Samba domain controller: its configuration, its process.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::namespace::ADDRESSES;
use crate::cli_support::processes::wait_for;

/// One domain controller.
pub struct Server {
    /// `dc1`.
    pub name: &'static str,
    /// Where it answers.
    pub address: &'static str,
    /// Its databases, sockets and logs.
    pub folder: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    running: Mutex<Option<Child>>,
}

impl Server {
    /// The domain controller `n` (from 1) with everything below `root`. Nothing is started.
    pub fn new(root: &Path, n: usize) -> Self {
        let name = ["dc1", "dc2"][n - 1];
        let folder = root.join(name);
        let config = root.join(format!("{name}.conf"));
        Server { name, address: ADDRESSES[n - 1], folder, config, running: Mutex::new(None) }
    }

    /// `dc1.contoso.lan`.
    pub fn host(&self) -> String {
        format!("{}.contoso.lan", self.name)
    }

    /// Its directory, for programs that open it in place.
    pub fn database(&self) -> PathBuf {
        self.folder.join("private/sam.ldb")
    }

    /// Writes the configuration: the only file with absolute paths, so that a built domain can be put anywhere.
    pub fn configure(&self, root: &Path) {
        for folder in ["private", "state", "cache", "lock", "run", "log", "bind-dns", "ncalrpc"] {
            fs::create_dir_all(self.folder.join(folder)).unwrap();
        }
        let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
        fs::set_permissions(self.folder.join("private"), mode).unwrap();
        let text = include_str!("smb.conf")
            .replace("${NETBIOS}", &self.name.to_uppercase())
            .replace("${NAME}", self.name)
            .replace("${FOLDER}", self.folder.to_str().unwrap())
            .replace("${TLS}", root.join("tls").to_str().unwrap())
            .replace("${ADDRESS}", self.address);
        fs::write(&self.config, text).unwrap();
    }

    /// A program of Samba's with this server's configuration.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg(format!("--configfile={}", self.config.display()));
        command
    }

    /// `samba-tool` with a subcommand, which wants to stand before everything else.
    pub fn samba_tool(&self, words: &[&str]) -> Command {
        let mut command = Command::new("samba-tool");
        command.args(words).arg(format!("--configfile={}", self.config.display()));
        command
    }

    /// Starts it; it answers a little later.
    pub fn start(&self) {
        let out = File::options().create(true).append(true).open(self.folder.join("log/out")).unwrap();
        let mut command = self.program("samba");
        // One process per connection: with a single one, two domain controllers wait for each other for ever.
        command.args(["-F", "--no-process-group", "-M", "standard"]);
        command.process_group(0).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        *self.running.lock().unwrap() = Some(command.spawn().unwrap());
    }

    /// Sends a signal to all its processes.
    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &*self.running.lock().unwrap() {
            let _ = killpg(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal);
        }
    }

    /// Ends it with a signal, and waits until no process of it is left.
    pub fn end(&self, signal: Signal) {
        let Some(mut child) = self.running.lock().unwrap().take() else { return };
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let _ = killpg(group, signal);
        let _ = child.wait();
        wait_for(&format!("{} has ended", self.name), Duration::from_secs(30), || !lives(group));
    }
}

/// Whether a process of the group lives.
fn lives(group: Pid) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    entries.flatten().any(|entry| {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { return false };
        // pid (name) state parent group …; the name may hold anything.
        let Some((_, rest)) = stat.rsplit_once(')') else { return false };
        let mut fields = rest.split_whitespace();
        let state = fields.next();
        state != Some("Z") && fields.nth(1).and_then(|group| group.parse().ok()) == Some(group.as_raw())
    })
}
