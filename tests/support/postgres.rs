//! Real PostgreSQL servers on loopback, and a client that knows nothing but an address.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

use super::processes::{self, MARK};

/// Where the programs are.
pub const BIN: &str = "/usr/lib/postgresql/15/bin";
/// The clients' database.
pub const DATABASE: &str = "app";
/// The clients' password.
const CLIENT_PASSWORD: &str = "client-9c1";

/// An old and a new server, of which the old one has the address.
pub struct Servers {
    /// Everything on disk.
    pub folder: TempDir,
    /// The port of the address, and of both servers.
    pub port: u16,
    /// Carried by everything that is started here.
    pub mark: String,
    /// Has the data and the address.
    pub old: Server,
    /// Is empty and reached by its socket alone.
    pub new: Server,
}

/// One server. It may be stopped and started by others: only its folder is ours.
pub struct Server {
    /// Its name, which it tells its clients as `cluster_name`.
    pub name: &'static str,
    /// Its sockets; the data is in a folder below.
    pub folder: PathBuf,
    /// Of the superuser `postgres`.
    pub password: String,
    port: u16,
}

/// The words before a program that must run as the owner of the data: PostgreSQL refuses to run as root.
pub fn run_as() -> &'static str {
    if nix::unistd::Uid::effective().is_root() { "runuser -u postgres --" } else { "" }
}

/// A program as the owner of the data.
fn as_owner(program: &str) -> Command {
    let program = format!("{BIN}/{program}");
    let mut words = run_as().split_whitespace();
    match words.next() {
        None => Command::new(program),
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
    }
}

/// Runs a program to its end.
fn must(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

impl Servers {
    /// Two servers with data in the old one.
    ///
    /// # Panics
    /// If PostgreSQL 15 is not installed: who asks for these tests must have it.
    pub fn start() -> Self {
        assert!(Path::new(BIN).join("postgres").exists(), "PostgreSQL 15 is not installed; tests/run installs it");
        let folder = tempfile::Builder::new().prefix("relevo-pg-").tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let mark = folder.path().display().to_string();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = |name: &'static str| Server {
            name,
            folder: folder.path().join(name),
            password: format!("{name}-canary-{port}"),
            port,
        };
        // The guard exists before the first server does.
        let servers = Servers { old: server("old"), new: server("new"), port, mark, folder };
        servers.old.create("127.0.0.1", &servers.mark);
        servers.new.create("", &servers.mark);
        servers.old.fill();
        servers
    }

    /// The targets file for these servers.
    pub fn targets(&self) -> PathBuf {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective())
            .unwrap()
            .map_or_else(|| "nobody".to_owned(), |user| user.name);
        let mut text = format!(
            "relevo_targets: 1\nservers:\n  tools: {{ bin_dir: {BIN} }}\n  address: {{ host: 127.0.0.1, port: {} }}\n",
            self.port
        );
        for server in [&self.old, &self.new] {
            text.push_str(&format!(
                "  {}:\n    libpq:\n      PGHOST: {}\n      PGPORT: \"{}\"\n      PGUSER: postgres\n      PGPASSWORD: {{ env: {} }}\n      \
                 PGCONNECT_TIMEOUT: \"10\"\n    run_as: \"{}\"\n    bin_dir: {BIN}\n    data_dir: {}\n",
                server.name,
                server.folder.display(),
                self.port,
                server.password_variable(),
                run_as(),
                server.data().display(),
            ));
        }
        text.push_str(&format!("roles: {{ lead: [{user}], database: [{user}] }}\n"));
        let path = self.folder.path().join("targets.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A client of the address.
    pub fn client(&self) -> Client {
        Client::start(self.port, self.mark.clone())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // First whatever could start a server again, then the servers.
        for process in processes::marked(&self.mark) {
            if process.program != "postgres" {
                processes::send(process.pid, Signal::SIGKILL);
            }
        }
        for server in [&self.old, &self.new] {
            server.kill();
        }
    }
}

impl Server {
    /// The folder of its data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The environment variable that holds the superuser's password.
    pub fn password_variable(&self) -> &'static str {
        if self.name == "old" { "OLD_PGPASSWORD" } else { "NEW_PGPASSWORD" }
    }

    fn create(&self, listen: &str, mark: &str) {
        std::fs::create_dir(&self.folder).unwrap();
        let password = self.folder.join("password");
        std::fs::write(&password, &self.password).unwrap();
        if nix::unistd::Uid::effective().is_root() {
            let owner = nix::unistd::User::from_name("postgres").unwrap().expect("PostgreSQL's account exists");
            nix::unistd::chown(&self.folder, Some(owner.uid), Some(owner.gid)).unwrap();
            nix::unistd::chown(&password, Some(owner.uid), Some(owner.gid)).unwrap();
        }
        let data = self.data();
        must(
            as_owner("initdb")
                .args(["-A", "scram-sha-256", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
                .arg(&data)
                .arg(format!("--pwfile={}", password.display())),
        );
        let settings = format!(
            "port = {}\nlisten_addresses = '{listen}'\nunix_socket_directories = '{}'\ncluster_name = '{}'\n\
             fsync = off\nautovacuum = off\nshared_buffers = 32MB\nmax_connections = 40\n",
            self.port,
            self.folder.display(),
            self.name
        );
        let file = data.join("postgresql.conf");
        let text = std::fs::read_to_string(&file).unwrap() + &settings;
        std::fs::write(&file, text).unwrap();
        must(
            as_owner("pg_ctl")
                .env(MARK, mark)
                .args(["-s", "-w", "-t", "60", "-l"])
                .arg(self.folder.join("log"))
                .arg("-D")
                .arg(data)
                .arg("start"),
        );
    }

    /// Roles, a schema with what tends to get lost, and a few hundred thousand rows.
    fn fill(&self) {
        self.sql(
            "postgres",
            &format!(
                "CREATE ROLE app_owner LOGIN PASSWORD 'o'; CREATE ROLE app_client LOGIN PASSWORD '{CLIENT_PASSWORD}';
                 CREATE ROLE \"Odd Role\"; GRANT \"Odd Role\" TO app_client;
                 CREATE DATABASE {DATABASE} OWNER app_owner CONNECTION LIMIT 20;
                 COMMENT ON DATABASE {DATABASE} IS 'the application';
                 REVOKE CONNECT ON DATABASE {DATABASE} FROM PUBLIC; GRANT CONNECT ON DATABASE {DATABASE} TO app_client;
                 ALTER DATABASE {DATABASE} SET search_path TO shop, public;
                 ALTER ROLE app_client IN DATABASE {DATABASE} SET statement_timeout TO '30s';"
            ),
        );
        self.sql(
            DATABASE,
            "CREATE SCHEMA shop AUTHORIZATION app_owner; SET ROLE app_owner; SET search_path TO shop;
             CREATE TABLE customers (id bigserial PRIMARY KEY, name text NOT NULL, picture bytea, born date);
             CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint NOT NULL REFERENCES customers,
                                  total numeric(12, 2), at timestamptz, ratio float8, tags text[], note jsonb);
             CREATE TABLE \"Odd name; --\" (\"a b\" text);
             CREATE TABLE ledger (n bigint NOT NULL, server text NOT NULL);
             CREATE SEQUENCE receipts START 42; SELECT nextval('receipts');
             INSERT INTO \"Odd name; --\" VALUES (NULL), (''), (E'tab\\tnew\\nline \\\\.'), ('東京 😀');
             INSERT INTO customers (name, picture, born)
             SELECT 'Peña ' || g || ' 東京', decode(md5(g::text), 'hex'), date '1950-01-01' + (g % 20000)::int FROM generate_series(1, 60000) g;
             INSERT INTO orders (customer, total, at, ratio, tags, note)
             SELECT 1 + g % 60000, g * 1.01, timestamptz '2020-01-01Z' + g * interval '1 min', 1.0 / g, ARRAY['a', g::text],
                    jsonb_build_object('n', g)
             FROM generate_series(1, 200000) g;
             CREATE INDEX ON orders (customer); CREATE VIEW per_customer AS SELECT customer, sum(total) FROM orders GROUP BY 1;
             GRANT USAGE ON SCHEMA shop TO app_client; GRANT INSERT, SELECT ON ledger TO app_client;",
        );
    }

    /// Asks as the superuser, by the socket. `None` if the server does not answer or refuses.
    pub fn try_sql(&self, database: &str, sql: &str) -> Option<String> {
        let output = self.say(database, sql);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Asks as the superuser, by the socket.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let output = self.say(database, sql);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Counts and sums of every table, in the plan's own way.
    pub fn fingerprint(&self, database: &str) -> String {
        must(self.psql(database).arg("-f").arg("plans/postgres-move/fingerprint.sql"))
    }

    /// By standard input: statement by statement, where `-c` would make one transaction of them all.
    fn say(&self, database: &str, sql: &str) -> std::process::Output {
        let mut psql = self.psql(database).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A server that refuses ends psql before it has read anything.
        let _ = psql.stdin.take().unwrap().write_all(sql.as_bytes());
        psql.wait_with_output().unwrap()
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(format!("{BIN}/psql"));
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"]);
        command.arg(&self.folder).args(["-p", &self.port.to_string()]).env("PGPASSWORD", &self.password);
        command
    }

    /// Everything that a rehearsal must leave alone. The next transaction's number is part of it: whoever writes
    /// anything, even to take it back, uses one up.
    pub fn snapshot(&self) -> BTreeMap<&'static str, String> {
        let mut seen: BTreeMap<&'static str, String> = [
            ("next transaction", "SELECT pg_snapshot_xmax(pg_current_snapshot())"),
            ("started", "SELECT pg_postmaster_start_time()"),
            ("roles", "SELECT * FROM pg_authid ORDER BY oid"),
            ("members", "SELECT * FROM pg_auth_members ORDER BY roleid, member"),
            ("databases", "SELECT oid, datname, datdba, datallowconn, datconnlimit, datacl FROM pg_database ORDER BY oid"),
            ("settings of databases and roles", "SELECT * FROM pg_db_role_setting ORDER BY setdatabase, setrole"),
            ("settings", "SELECT name, setting, source FROM pg_settings ORDER BY name"),
            ("settings in files", "SELECT sourcefile, sourceline, name, setting FROM pg_file_settings ORDER BY 1, 2"),
        ]
        .map(|(what, sql)| (what, self.sql("postgres", sql)))
        .into();
        if self.try_sql(DATABASE, "SELECT 1").is_some() {
            seen.insert("rows", self.fingerprint(DATABASE));
        }
        seen
    }

    /// Ends it at once, whoever started it.
    fn kill(&self) {
        let file = self.data().join("postmaster.pid");
        let Some(pid) = std::fs::read_to_string(file).ok().and_then(|text| text.lines().next()?.trim().parse().ok()) else {
            return;
        };
        let alive = || {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&*self.data().to_string_lossy())
        };
        if !alive() {
            return;
        }
        processes::send(Pid::from_raw(pid), Signal::SIGQUIT);
        for _ in 0..500 {
            if !alive() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        processes::send(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// A write that a server has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The row's number.
    pub n: u64,
    /// The name of the server that said so.
    pub server: String,
}

/// An application: writes numbered rows through the address, one after the other. When its session ends it connects
/// again, with the same words, until that works, and finds out first whether its last write arrived.
pub struct Client {
    written: Arc<Mutex<Vec<Written>>>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    fn start(port: u16, mark: String) -> Self {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = mpsc::channel();
        let seen = Arc::clone(&written);
        let thread = std::thread::spawn(move || {
            let mut n = 1;
            // The pauses keep two cores free for the servers; an end is noticed at once.
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(Duration::from_millis(100)) {
                let Some(mut session) = Session::open(port, &mark) else { continue };
                if n > 1 && session.ask(&format!("SELECT count(*) FROM ledger WHERE n = {n};")).as_deref() == Some("1") {
                    // The last write had arrived, only its acknowledgement had not.
                    n += 1;
                }
                loop {
                    let insert =
                        format!("INSERT INTO ledger VALUES ({n}, current_setting('cluster_name')) RETURNING n || ' ' || server;");
                    let Some(answer) = session.ask(&insert) else { break };
                    let (number, server) = answer.split_once(' ').unwrap();
                    assert_eq!(number, n.to_string(), "a session answers what it was asked");
                    seen.lock().unwrap().push(Written { n, server: server.to_owned() });
                    n += 1;
                    if !matches!(stopped.recv_timeout(Duration::from_millis(3)), Err(RecvTimeoutError::Timeout)) {
                        return;
                    }
                }
            }
        });
        Client { written, stop: Some(stop), thread: Some(thread) }
    }

    /// What was acknowledged so far.
    pub fn written(&self) -> Vec<Written> {
        self.written.lock().unwrap().clone()
    }

    /// How many of them by this server.
    pub fn written_on(&self, server: &str) -> usize {
        self.written.lock().unwrap().iter().filter(|written| written.server == server).count()
    }

    /// Ends it between two writes.
    pub fn stop(mut self) -> Vec<Written> {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.written()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One connection of the client.
struct Session {
    psql: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Session {
    /// `None` if nobody answers, or if we are not let in.
    fn open(port: u16, mark: &str) -> Option<Self> {
        let mut psql = Command::new(format!("{BIN}/psql"))
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1"])
            .arg(format!("host=127.0.0.1 port={port} dbname={DATABASE} user=app_client connect_timeout=5"))
            .env("PGPASSWORD", CLIENT_PASSWORD)
            .env("PGAPPNAME", "the application")
            .env(MARK, mark)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let answers = BufReader::new(psql.stdout.take().unwrap());
        let mut session = Session { psql, answers };
        (session.ask("SELECT 'here';").as_deref() == Some("here")).then_some(session)
    }

    /// The answer's line, or `None` if the session is at its end.
    fn ask(&mut self, sql: &str) -> Option<String> {
        let stdin = self.psql.stdin.as_mut()?;
        writeln!(stdin, "{sql}").and_then(|()| stdin.flush()).ok()?;
        let mut line = String::new();
        let length = self.answers.read_line(&mut line).ok()?;
        (length > 0).then(|| line.trim_end().to_owned())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}
