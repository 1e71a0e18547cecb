//! The plan `plans/postgres-move` with two real PostgreSQL servers and a client that is not told of anything.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::format_push_string,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::postgres::{Client, DATABASE, Servers, Written};
use support::processes::wait_for;
use support::relevo::{Relevo, file_with};
use support::{random::Random, wanted};

const PLAN: &str = "plans/postgres-move/plan.yaml";
const NEEDS: &str = "PostgreSQL 15";
/// Longer than any run takes on a busy machine.
const LONG: Duration = Duration::from_mins(3);

/// Two servers, and relevo set up to move the database from one to the other.
struct Move {
    servers: Servers,
    relevo: Relevo,
    targets: String,
    dump_dir: String,
}

impl Move {
    fn prepare() -> Self {
        let servers = Servers::start();
        let folder = servers.folder.path().to_owned();
        let env = [&servers.old, &servers.new].map(|server| (server.password_variable(), server.password.clone()));
        Move {
            targets: servers.targets().display().to_string(),
            dump_dir: folder.join("dump").display().to_string(),
            relevo: Relevo { folder, mark: servers.mark.clone(), env: env.into() },
            servers,
        }
    }

    /// The arguments of a verb that takes a plan.
    fn arguments<'a>(&'a self, verb: &'a str, more: &[&'a str], params: &'a [String]) -> Vec<&'a str> {
        let mut arguments = vec![verb, PLAN, "--targets", &self.targets];
        for param in params {
            arguments.extend(["--param", param]);
        }
        arguments.extend(more);
        arguments
    }

    fn params(&self, expect_clients: bool) -> Vec<String> {
        vec![format!("database={DATABASE}"), format!("dump_dir={}", self.dump_dir), format!("expect_clients={expect_clients}")]
    }

    /// A client that has begun to write.
    fn busy_client(&self) -> Client {
        let client = self.servers.client();
        wait_for("the client writes", LONG, || client.written_on("old") >= 20);
        client
    }

    /// Everything that must be so once the plan is done.
    fn check(&self, client: Client) {
        wait_for("the client writes to the new server", LONG, || client.written_on("new") >= 20);
        let written = client.stop();
        let Servers { old, new, .. } = &self.servers;

        // One server, then the other; and neither lost or doubled anything.
        let moved = written.iter().position(|written| written.server == "new").unwrap();
        assert!(written[moved..].iter().all(|written| written.server == "new"), "nobody wrote to the old server afterwards");
        let rows: Vec<Written> = new
            .sql(DATABASE, "SELECT n, server FROM shop.ledger ORDER BY n")
            .lines()
            .map(|line| line.split_once('|').unwrap())
            .map(|(n, server)| Written { n: n.parse().unwrap(), server: server.to_owned() })
            .collect();
        let numbers: BTreeSet<u64> = rows.iter().map(|row| row.n).collect();
        assert_eq!(numbers.len(), rows.len(), "no row is there twice");
        assert_eq!(numbers.last().map(|last| usize::try_from(*last).unwrap()), Some(rows.len()), "no number is missing");
        for write in &written {
            assert!(rows.contains(write), "acknowledged and lost: {write:?}");
        }

        // The old server is down, and would not take the address back.
        assert!(!old.data().join("postmaster.pid").exists(), "the old server is stopped");
        let settings = std::fs::read_to_string(old.data().join("postgresql.auto.conf")).unwrap();
        assert!(settings.contains("listen_addresses = ''"), "{settings}");

        // The rest of the data, and what belongs to the database itself, has come along.
        for (sql, seen) in [
            ("SELECT count(*) FROM shop.orders", "200000"),
            ("SELECT count(*) FROM shop.customers", "60000"),
            ("SELECT nextval('shop.receipts')", "43"),
            ("SELECT count(*) FROM pg_database WHERE datname LIKE '%incoming%'", "0"),
            ("SELECT datconnlimit FROM pg_database WHERE datname = current_database()", "20"),
            (
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()",
                "the application",
            ),
            ("SHOW search_path", "shop, public"),
            ("SELECT pg_has_role('app_client', 'Odd Role', 'member')", "t"),
            ("SELECT count(*) FROM pg_namespace WHERE nspname = 'relevo_write_check'", "0"),
        ] {
            assert_eq!(new.sql(DATABASE, sql), seen, "{sql}");
        }
        let list = |name: &str| std::fs::read_to_string(format!("{}/{name}.list", self.dump_dir)).unwrap();
        assert_eq!(list("old"), list("new"));

        for server in [old, new] {
            assert_eq!(file_with(&self.relevo.runs(), &server.password), None, "a password is in the run directory");
        }
    }
}

#[test]
fn a_rehearsal_changes_neither_server_and_the_run_after_it_moves_the_database_under_a_busy_client() {
    if !wanted(NEEDS) {
        return;
    }
    let this = Move::prepare();
    let before = [this.servers.old.snapshot(), this.servers.new.snapshot()];
    let (code, printed) = this.relevo.call(LONG, &this.arguments("rehearse", &[], &this.params(true)));
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!([this.servers.old.snapshot(), this.servers.new.snapshot()], before);
    assert!(!std::path::Path::new(&this.dump_dir).exists(), "a rehearsal makes no folder");

    let client = this.busy_client();
    let (code, printed) = this.relevo.call(LONG, &this.arguments("run", &["--run-id", "move", "--go"], &this.params(true)));
    assert_eq!(code, Some(0), "{printed}");
    this.check(client);
}

#[test]
fn a_rehearsal_finds_what_would_stop_the_run() {
    if !wanted(NEEDS) {
        return;
    }
    let this = Move::prepare();
    this.servers.new.sql("postgres", "CREATE DATABASE somebody_elses");
    let (code, printed) = this.relevo.call(LONG, &this.arguments("rehearse", &[], &this.params(true)));
    assert_eq!(code, Some(7), "{printed}");
    assert!(printed.contains("the new server is empty"), "{printed}");
}

#[test]
fn i14_a_run_killed_again_and_again_moves_everything_once() {
    if !wanted(NEEDS) {
        return;
    }
    let mut random = Random::new();
    let mut kills = 0;
    for round in 1..=6 {
        if kills >= 10 && round > 2 {
            break;
        }
        kills += killed_and_resumed(&mut random, &format!("round-{round}"));
    }
    assert!(kills >= 10, "only {kills} kills; the runs are too quick for this test");
}

/// One run with kills at random moments, and how many there were.
fn killed_and_resumed(random: &mut Random, run: &str) -> u32 {
    let this = Move::prepare();
    let client = this.busy_client();
    let params = this.params(true);
    let first = this.arguments("run", &["--run-id", run, "--go"], &params);
    let again = ["resume", run, "--yes", "--go"];
    let journal = this.relevo.runs().join(run).join("journal");
    let mut kills = 0;
    loop {
        // Without a journal nothing was begun, and there is nothing to resume.
        let mut working = this.relevo.start(if journal.exists() { &again } else { &first });
        // Ever longer, so that a step that takes its time is done at last.
        let patience = match kills {
            0..8 => Duration::from_millis(200 + random.below(900 + 250 * u64::from(kills))),
            _ => LONG,
        };
        if let Some(end) = working.ended_within(patience) {
            assert_eq!(end.code(), Some(0), "{}", working.printed());
            break;
        }
        assert!(patience < LONG, "not done within {LONG:?}: {}", working.printed());
        working.kill();
        // Half of the time only relevo dies and its programs go on; otherwise they die with it.
        let all = random.below(2) == 0;
        if all {
            this.relevo.kill_programs();
        }
        kills += 1;
        println!("{run}: kill {kills} after {patience:?}, {}", if all { "programs too" } else { "relevo alone" });
    }
    let (code, printed) = this.relevo.call(LONG, &["verify", run]);
    assert_eq!(code, Some(0), "{printed}");
    this.check(client);
    kills
}
