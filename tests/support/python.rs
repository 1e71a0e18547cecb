//! Programs in Python that others' libraries make possible: the judge of PowerShell remoting and its checks.
//!
//! `tests/run` makes their virtual environment. A server started here listens on loopback, dies with its value, and dies
//! with the test too if that is killed: it ends when its standard input does.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Longer than a start takes, on however busy a machine.
const LONG: Duration = Duration::from_mins(1);
/// The account that every judge knows.
pub const USER: &str = "LAB\\admin";
/// Its password.
pub const PASSWORD: &str = "Passw0rd!";

/// The interpreter of the virtual environment; `None`, and said so, where it is missing.
///
/// # Panics
/// If it is missing and `RELEVO_TESTS=all` asks for every test.
pub fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/python");
    let program = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if program.exists() {
        return Some(program);
    }
    let all = std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all");
    assert!(!all, "{} is missing; tests/run makes it", program.display());
    eprintln!("left out: needs {} (tests/run makes it)", program.display());
    None
}

/// A file among the tests of PowerShell remoting.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/remoting").join(name)
}

/// A command that runs a script, without leaving compiled files beside it.
pub fn command(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    // A proxy of the machine is nothing for loopback.
    for variable in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    command.arg("-B").arg(script(name));
    command
}

/// A server that said it is ready. Killed with the value.
pub struct Server {
    child: Child,
    /// Its line, as it printed it.
    pub ready: Value,
}

impl Server {
    /// Starts a script and waits for its ready line. What it complains of goes to `errors`.
    pub fn start(python: &Path, name: &str, arguments: &[String], errors: &Path) -> Self {
        let complaints = std::fs::File::options().create(true).append(true).open(errors).unwrap();
        let mut child = command(python, name)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        // From here on whatever goes wrong ends the child.
        let mut server = Server { child, ready: Value::Null };
        let (send, line) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = BufReader::new(stdout).read_line(&mut text);
            let _ = send.send(read.map(|_| text));
        });
        let text = line.recv_timeout(LONG).expect("the server is ready in time").unwrap();
        server.ready = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("no ready line: {text:?}: {}", std::fs::read_to_string(errors).unwrap_or_default()));
        server
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        u16::try_from(self.ready["port"].as_u64().unwrap()).unwrap()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a judge is set up.
#[derive(Default)]
pub struct Setup {
    /// HTTPS, with a certificate of `localhost` and 127.0.0.1.
    pub tls: bool,
    /// Further arguments of `server.py`, such as `--bindings optional`.
    pub arguments: Vec<String>,
}

/// The judge of PowerShell remoting's clients, and what it writes down.
pub struct Judge {
    python: PathBuf,
    setup: Setup,
    folder: TempDir,
    server: Server,
}

impl Judge {
    /// Starts one; `None` where the virtual environment is missing.
    pub fn start(setup: Setup) -> Option<Self> {
        let python = python()?;
        let folder = tempfile::Builder::new().prefix("relevo-judge-").tempdir().unwrap();
        if setup.tls {
            certificates(folder.path());
        }
        let server = Self::serve(&python, &setup, folder.path(), 0);
        Some(Judge { python, setup, folder, server })
    }

    fn serve(python: &Path, setup: &Setup, folder: &Path, port: u16) -> Server {
        let path = |name: &str| folder.join(name).display().to_string();
        let mut arguments = ["--folder", &path(""), "--port", &port.to_string(), "--user", USER, "--password", PASSWORD]
            .map(str::to_owned)
            .to_vec();
        if setup.tls {
            let of_tls = ["--certificate", &path("server.pem"), "--key", &path("server.key"), "--client-ca", &path("ca.pem")];
            arguments.extend(of_tls.map(str::to_owned));
        }
        arguments.extend(setup.arguments.iter().cloned());
        Server::start(python, "server.py", &arguments, &folder.join("errors"))
    }

    /// Kills it and starts it again at the same port with the same files. Its shells are gone, its services are as they were.
    pub fn restart(&mut self) {
        let port = self.server.port();
        self.server.kill();
        self.server = Self::serve(&self.python, &self.setup, self.folder.path(), port);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Its address with a path such as `/wsman`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", if self.setup.tls { "https" } else { "http" }, self.port())
    }

    /// Its folder, which holds `ca.pem` (with TLS), `client.pem` and `client.key`, and its records.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes it misbehave from now on: `rules` as `nasty.py` says. Counts begin anew.
    pub fn misbehave(&self, rules: &Value) {
        // Renamed into place: it is never read half written. The number makes the same rules new ones.
        let new = self.folder.path().join("control.new");
        let epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos().to_string();
        std::fs::write(&new, serde_json::json!({ "epoch": epoch, "rules": rules }).to_string()).unwrap();
        std::fs::rename(&new, self.folder.path().join("control.json")).unwrap();
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a client did that the specifications forbid.
    pub fn violations(&self) -> Vec<Value> {
        self.lines("violations.jsonl")
    }

    /// Every effect so far, with its `shell` and `command`.
    pub fn effects(&self) -> Vec<Value> {
        self.lines("audit.jsonl")
    }

    /// Every request so far (`action`, `connection`, `shell`, `sealed`), every logon (`LoggedOn`, `LogonRefused`), every
    /// command that began (`Pipeline`) and ended (`PipelineEnded`).
    pub fn requests(&self) -> Vec<Value> {
        self.lines("requests.jsonl")
    }

    /// The services by name, each with `status`, `start` and `display`.
    pub fn services(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.folder.path().join("services.json")).unwrap()).unwrap()
    }

    /// Complains of every rule that was broken.
    ///
    /// # Panics
    /// If there is one.
    pub fn assert_no_violations(&self) {
        let found: Vec<String> = self.violations().iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "violations:\n{}", found.join("\n"));
    }

    /// Runs checks of pypsrp against it, and says which of them failed and why.
    pub fn pypsrp(&self, arguments: &[&str]) -> Vec<String> {
        let mut command = command(&self.python, "clients.py");
        command.args(["--port", &self.port().to_string(), "--user", USER, "--password", PASSWORD]);
        if self.setup.tls {
            command.args(["--tls", "--ca", &self.folder.path().join("ca.pem").display().to_string()]);
        }
        failures(command.args(arguments))
    }
}

/// Runs a script of checks to its end, and says which of them failed and why.
///
/// # Panics
/// If it ran no check at all.
pub fn failures(command: &mut Command) -> Vec<String> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let checks: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!checks.is_empty(), "no check was run: {}", String::from_utf8_lossy(&output.stderr));
    let failed: Vec<String> = checks
        .iter()
        .filter(|check| check["passed"] != true)
        .map(|check| format!("{}: {}", check["check"], check["why"]))
        .collect();
    assert_eq!(output.status.success(), failed.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    failed
}

/// Writes `ca.pem`, and certificates that it signed: `server.pem` and `client.pem`, with `.key` each.
fn certificates(folder: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "judge's authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    std::fs::write(folder.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    for (name, usage) in [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)] {
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        leaf.distinguished_name.push(DnType::CommonName, name);
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), leaf.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
