//! A real Active Directory: two Samba domain controllers in namespaces of their own.

mod audit;
mod build;
mod certificates;
pub mod namespace;
mod server;

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cli_support::processes::wait_for;
use crate::client::Client;
use crate::world::{Mark, World, Write};

/// The domain's name as a DN.
pub const BASE: &str = "DC=contoso,DC=lan";
/// The domain's Kerberos realm.
pub const REALM: &str = "CONTOSO.LAN";
/// Of every account that the domain is built with.
pub const PASSWORD: &str = "Passw0rd!Test";

/// Both domain controllers.
pub struct Samba {
    folder: PathBuf,
    servers: [server::Server; 2],
}

impl Samba {
    /// Builds or unpacks the domain below `folder`, inside the namespaces, and starts it.
    pub fn start(folder: &Path) -> Self {
        let servers = [server::Server::new(folder, 1), server::Server::new(folder, 2)];
        build::unpack(folder, &servers);
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        let samba = Samba { folder: folder.to_owned(), servers };
        for server in &samba.servers {
            server.start();
        }
        for dc in 1..=2 {
            samba.wait_until_it_answers(dc);
        }
        samba
    }

    fn wait_until_it_answers(&self, dc: usize) {
        let admin = self.admin(dc);
        wait_for(&format!("dc{dc} answers"), Duration::from_mins(1), || admin.read("", &["dnsHostName"]).is_ok());
    }
}

impl World for Samba {
    fn name(&self) -> &'static str {
        "samba"
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn base(&self) -> &'static str {
        BASE
    }

    fn domain(&self) -> &'static str {
        "contoso.lan"
    }

    fn host(&self, dc: usize) -> String {
        self.servers[dc - 1].host()
    }

    fn address(&self, dc: usize) -> String {
        format!("{}:636", self.servers[dc - 1].address)
    }

    fn ca(&self) -> PathBuf {
        self.folder.join("tls/ca.pem")
    }

    fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    fn admin(&self, dc: usize) -> Client {
        Client {
            url: format!("ldaps://{}", self.host(dc)),
            ca: self.ca(),
            user: "Administrator@contoso.lan".to_owned(),
            password_file: self.password_file(),
        }
    }

    fn kill(&self, dc: usize) {
        self.servers[dc - 1].end(Signal::SIGKILL);
    }

    fn start(&self, dc: usize) {
        self.servers[dc - 1].start();
        self.wait_until_it_answers(dc);
    }

    fn freeze(&self, dc: usize) {
        self.servers[dc - 1].signal(Signal::SIGSTOP);
    }

    fn thaw(&self, dc: usize) {
        self.servers[dc - 1].signal(Signal::SIGCONT);
        self.wait_until_it_answers(dc);
    }

    fn mark(&self) -> Mark {
        let length = |server: &server::Server| std::fs::metadata(log(server)).map_or(0, |meta| meta.len());
        Mark(self.servers.iter().map(length).collect())
    }

    fn writes_since(&self, mark: &Mark) -> Vec<Write> {
        let mut all = Vec::new();
        for (server, from) in self.servers.iter().zip(&mark.0) {
            let Ok(mut file) = std::fs::File::open(log(server)) else { continue };
            file.seek(SeekFrom::Start(*from)).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            all.extend(audit::parse(&text));
        }
        all
    }
}

fn log(server: &server::Server) -> PathBuf {
    server.folder.join("log/writes.json")
}

impl Drop for Samba {
    fn drop(&mut self) {
        for server in &self.servers {
            server.end(Signal::SIGKILL);
        }
    }
}
