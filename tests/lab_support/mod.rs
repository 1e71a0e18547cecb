//! A lab of its own for one test, through the program as a person would use it. Nothing of the library is used here.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The domain.
pub const DOMAIN: &str = "DC=contoso,DC=lan";
/// The control that shows tombstones, critical.
pub const DELETED: &str = "!1.2.840.113556.1.4.417";
/// The well-known user.
pub const CHAT: &str = "CN=ocschat,OU=Service,DC=contoso,DC=lan";

/// A lab, ended with the value.
pub struct Lab {
    /// Everything on disk.
    pub folder: tempfile::TempDir,
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "it said:\n{}\n-- stderr:\n{}", self.out, self.err);
        self
    }

    /// Checks that a text was said.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text) || self.err.contains(text), "`{text}` is missing:\n{}\n--\n{}", self.out, self.err);
        self
    }

    /// The DNs of an LDIF.
    pub fn dns(&self) -> Vec<String> {
        self.out.lines().filter_map(|line| line.strip_prefix("dn: ")).map(str::to_owned).collect()
    }

    /// The first value of an attribute in an LDIF, in its base64 form where it has one.
    pub fn value(&self, attribute: &str) -> Option<String> {
        self.out.lines().find_map(|line| {
            let rest = line.strip_prefix(attribute)?;
            rest.strip_prefix(":: ").or_else(|| rest.strip_prefix(": ")).map(str::to_owned)
        })
    }
}

impl Lab {
    /// A lab with a fresh world, up.
    pub fn new() -> Self {
        let lab = Lab { folder: tempfile::Builder::new().prefix("relevo-lab-").tempdir().unwrap() };
        lab.relevo(&["lab", "up"]).exits(0);
        lab
    }

    /// Its folder.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("lab")
    }

    /// What all runs of a machine share: here, those of this lab.
    pub fn machine(&self) -> PathBuf {
        self.folder.path().join("machine")
    }

    /// Calls relevo.
    pub fn relevo(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relevo"));
        command.args(arguments).env("RELEVO_LAB", self.dir()).env("RELEVO_MACHINE", self.machine());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        Said::of(&command.output().unwrap())
    }

    /// What `lab info` says.
    pub fn info(&self) -> Value {
        serde_json::from_str(&self.relevo(&["lab", "info", "--format", "json"]).exits(0).out).unwrap()
    }

    /// Every line of the audit.
    pub fn audit(&self) -> Vec<Value> {
        let said = self.relevo(&["lab", "audit", "--format", "json"]).exits(0);
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A port of a domain controller: `ldaps`, `ldap`, `gc_tls`, `gc`.
    pub fn port(&self, dc: &str, which: &str) -> u64 {
        self.info()["state"]["ports"][dc][which].as_u64().unwrap()
    }

    /// Calls a program of ldap-utils as this account over LDAPS. Its input is `input`.
    pub fn ldap(&self, program: &str, dc: &str, account: &str, arguments: &[&str], input: &str) -> Said {
        let url = format!("ldaps://127.0.0.1:{}", self.port(dc, "ldaps"));
        self.ldap_at(&url, program, account, arguments, input)
    }

    /// [`Lab::ldap`] at a URL.
    pub fn ldap_at(&self, url: &str, program: &str, account: &str, arguments: &[&str], input: &str) -> Said {
        use std::io::Write as _;
        let mut command = Command::new("timeout");
        command.args(["20", program, "-x", "-H", url, "-D", &format!("{account}@contoso.lan"), "-y"]);
        command.arg(self.dir().join(format!("{account}.password"))).args(arguments);
        command.env("LDAPTLS_CACERT", self.dir().join("ca.pem")).env("LDAPTLS_REQCERT", "demand");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Said::of(&child.wait_with_output().unwrap())
    }

    /// A search on a domain controller as the administrator.
    pub fn search(&self, dc: &str, arguments: &[&str]) -> Said {
        let all = [&["-LLL", "-o", "ldif-wrap=no"], arguments].concat();
        self.ldap("ldapsearch", dc, "Administrator", &all, "")
    }

    /// A change on dc1 as the administrator.
    pub fn modify(&self, ldif: &str) -> Said {
        self.ldap("ldapmodify", "dc1", "Administrator", &[], ldif)
    }

    /// `<GUID=…>` of an object, in hexadecimal as the directory has it.
    pub fn guid(&self, dn: &str) -> String {
        use base64::Engine as _;
        let value = self.search("dc1", &["-b", dn, "-s", "base", "objectGUID"]).exits(0).value("objectGUID").unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(value).unwrap();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// `kill -9` of the lab's process.
    pub fn kill(&self) {
        let pid = i32::try_from(self.info()["state"]["pid"].as_i64().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        wait_for("the killed lab to be gone", || !self.info()["up"].as_bool().unwrap());
    }

    /// Runs relevo and kills it after so long, unless it ends before. Its exit code, if it ended.
    pub fn killed_after(&self, arguments: &[String], longest: Option<Duration>) -> Option<i32> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_relevo"))
            .args(arguments)
            .env("RELEVO_LAB", self.dir())
            .env("RELEVO_MACHINE", self.machine())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(status.code().unwrap_or(-1));
            }
            if longest.is_some_and(|longest| begun.elapsed() >= longest) {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
            assert!(begun.elapsed() < Duration::from_mins(5), "it hangs: {arguments:?}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.relevo(&["lab", "down"]);
    }
}

/// Waits for a condition.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
