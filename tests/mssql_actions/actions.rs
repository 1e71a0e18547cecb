//! `mssql.backup`, `mssql.restore` and `mssql.count`, against the judge with the cmdlets of `sql_cmdlets.py`.

use std::path::Path;
use std::sync::Arc;

use relevo::connector::{Connectors, Options};
use relevo::plan::action::Effect;
use relevo::plan::{StepId, Targets, Verdict};
use relevo::run::connector::{BeforeImage, Call, Connector, Evidence, Level, Observation, Quiescence};
use relevo::run::event::{EvidenceRef, Identity, Outcome};
use relevo::time::Span;
use serde_json::{Value, json};
use sha2::Digest as _;
use tokio::runtime::Runtime;

use crate::python::{Judge, PASSWORD, Setup, USER};

const FILE: &str = "D:\\mig\\mgc.bak";

/// A judge with an SQL Server in it.
struct World {
    judge: Judge,
    runtime: Runtime,
    connectors: Connectors,
    targets: Arc<Targets>,
}

/// Keeps evidence beside the state of the judge.
struct Kept<'w>(&'w Path);

impl Evidence for Kept<'_> {
    fn store(&self, kind: &str, bytes: &[u8]) -> std::io::Result<EvidenceRef> {
        let sha256 = relevo::plan::hex(&sha2::Sha256::digest(bytes));
        std::fs::write(self.0.join(&sha256), bytes)?;
        Ok(EvidenceRef { kind: kind.to_owned(), sha256, bytes: bytes.len() as u64 })
    }
}

impl World {
    fn start() -> Option<Self> {
        let arguments = ["--cmdlets", "sql_cmdlets"].map(str::to_owned).to_vec();
        let judge = Judge::start(Setup { tls: false, arguments })?;
        let password = judge.folder().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let auth = json!({ "negotiate": { "user": USER, "password": { "$secret": { "file": password } } } });
        let value = json!({ "hosts": { "sql01": { "url": judge.url("/wsman"), "auth": auth } } });
        let targets = Targets {
            value: value.as_object().unwrap().clone(),
            names: [("sql01".to_owned(), "hosts".to_owned())].into(),
            ..Targets::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = World { judge, runtime, connectors: Connectors::standard(Options::default()), targets: Arc::new(targets) };
        world.set(&json!({
            "sets": [], "restores": [], "under_way": [], "connected": [], "files": {}, "rights": {}, "counts": {}, "disk": 1 << 30,
            "databases": { "master": "ONLINE", "mgc": "ONLINE", "rtc": "ONLINE" },
            "commands": ["Invoke-Sqlcmd", "Backup-SqlDatabase", "Restore-SqlDatabase"],
        }));
        Some(world)
    }

    fn state(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.judge.folder().join("sql.json")).unwrap()).unwrap()
    }

    fn set(&self, state: &Value) {
        std::fs::write(self.judge.folder().join("sql.json"), state.to_string()).unwrap();
    }

    /// Changes a part of the state.
    fn change(&self, part: &str, value: Value) {
        let mut state = self.state();
        state[part] = value;
        self.set(&state);
    }

    fn step(&self, uses: &str, with: Value) -> Step<'_> {
        let mut arguments = json!({ "host": "sql01", "instance": "sql01.contoso.com\\RTC", "database": "mgc" });
        arguments.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        let connector = self.connectors.for_action(uses).unwrap();
        let effect = self.connectors.catalogue().iter().find(|spec| spec.name == uses).map(|spec| spec.effect);
        let call = Call {
            run: Arc::from("r1"),
            step: StepId::new("save"),
            attempt: 1,
            uses: uses.to_owned(),
            with: arguments.as_object().unwrap().clone(),
            outputs: Arc::from([]),
            identity: Identity::new(),
            folder: Arc::from(self.judge.folder()),
            scratch: self.judge.folder().join("attempts"),
            targets: Arc::clone(&self.targets),
            excluded: Arc::from([]),
            before_image: None,
            handle: None,
            timeout: Some(Span::from_secs(30)),
            effect: effect.unwrap_or(Effect::Opaque),
            probed: true,
            assumed: false,
            until: None,
            sent: relevo::run::connector::Sent::default(),
        };
        Step { world: self, connector, call }
    }

    fn backup(&self, with: Value) -> Step<'_> {
        let mut all = json!({ "file": FILE });
        all.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        self.step("mssql.backup", all)
    }

    fn restore(&self, with: Value) -> Step<'_> {
        let mut all = json!({ "file": FILE });
        all.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        self.step("mssql.restore", all)
    }

    /// A backup of mgc that is there.
    fn backed_up(&self) {
        assert!(matches!(self.backup(json!({})).attempt(), Outcome::Applied { .. }));
    }

    fn effects(&self) -> Vec<String> {
        self.judge.effects().iter().map(|effect| effect["operation"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.judge.assert_no_violations();
        }
    }
}

struct Step<'w> {
    world: &'w World,
    connector: Arc<dyn Connector>,
    call: Call,
}

impl Step<'_> {
    /// Keeps the before-image and records that it did, as the driver does before an attempt.
    fn prepare(&mut self) -> Result<(), String> {
        let folder = self.world.judge.folder().to_owned();
        let kept = self.world.runtime.block_on(self.connector.before_image(&self.call, &Kept(&folder)))?;
        self.call.before_image = kept.map(|kept| BeforeImage::of(&folder, &kept));
        self.call.handle = Some(uuid::Uuid::new_v4().to_string());
        Ok(())
    }

    fn attempt(&mut self) -> Outcome {
        self.prepare().unwrap();
        self.apply()
    }

    fn apply(&self) -> Outcome {
        self.world.runtime.block_on(self.connector.apply(&self.call))
    }

    fn probe(&self) -> Observation {
        let look = Call { handle: None, ..self.call.clone() };
        self.world.runtime.block_on(self.connector.probe(&look))
    }

    #[track_caller]
    fn verdict(&self, expected: Verdict) -> String {
        let seen = self.probe();
        assert_eq!(seen.verdict, expected, "{}", seen.seen);
        seen.seen
    }

    #[track_caller]
    fn refusal(&self) -> String {
        match self.apply() {
            Outcome::Rejected { reason, untouched: true } => reason,
            other => panic!("it was not refused: {other:?}"),
        }
    }

    fn findings(&self, level: Level) -> Vec<String> {
        let found = self.world.runtime.block_on(self.connector.preflight(&self.call));
        found.into_iter().filter(|one| one.level == level).map(|one| one.message).collect()
    }
}

#[test]
fn a_backup_is_made_once_and_found_again_by_its_step() {
    let Some(world) = World::start() else { return };
    let mut step = world.backup(json!({}));
    step.verdict(Verdict::NotDone);
    let Outcome::Applied { outputs } = step.attempt() else { panic!("not applied") };
    assert_eq!((&outputs["file"], &outputs["bytes"], &outputs["database"]), (&json!(FILE), &json!(4096), &json!("mgc")));
    assert_eq!((&outputs["data_bytes"], &outputs["first_lsn"]), (&json!(3072), &json!("22000000012300037")));
    assert_eq!(Value::Object(step.probe().outputs), Value::Object(outputs));
    // A second attempt of the same step finds it; another step does not take it for its own.
    step.call.attempt = 2;
    assert!(matches!(step.apply(), Outcome::Applied { .. }));
    let mut other = world.backup(json!({}));
    other.call.step = StepId::new("again");
    other.verdict(Verdict::Conflict);
    assert!(other.refusal().contains("never written over"));
    assert_eq!(world.effects(), ["Backup-SqlDatabase"]);
}

#[test]
fn a_backup_whose_answer_was_an_error_or_was_lost_is_looked_for() {
    for fate in ["error-after", "error-before"] {
        let Some(world) = World::start() else { return };
        world.change("fate", json!(fate));
        let mut step = world.backup(json!({}));
        assert!(matches!(step.attempt(), Outcome::Unknown { .. }));
        let expected = if fate == "error-after" { Verdict::Done } else { Verdict::NotDone };
        step.verdict(expected);
        assert!(matches!(step.attempt(), Outcome::Applied { .. }));
        assert_eq!(world.effects().len(), 1, "{fate}");
    }
}

#[test]
fn half_a_backup_of_ours_goes_to_a_person_and_is_not_written_over() {
    let Some(world) = World::start() else { return };
    world.change("fate", json!("half"));
    let mut step = world.backup(json!({}));
    assert!(matches!(step.attempt(), Outcome::Unknown { .. }));
    assert!(step.verdict(Verdict::Partial).contains("move it away"));
    step.attempt();
    assert_eq!(world.effects().len(), 1);
}

#[test]
fn a_file_that_is_there_is_written_over_only_where_the_plan_says_so() {
    let Some(world) = World::start() else { return };
    world.change("files", json!({ "d:\\MIG\\mgc.bak": 77 }));
    let mut step = world.backup(json!({}));
    step.verdict(Verdict::Conflict);
    step.prepare().unwrap();
    assert!(step.refusal().contains("there already with 77 bytes"));
    assert!(world.effects().is_empty());
    assert!(matches!(world.backup(json!({ "overwrite": true, "compression": true })).attempt(), Outcome::Applied { .. }));
}

#[test]
fn a_backup_under_way_is_waited_for() {
    let Some(world) = World::start() else { return };
    world.change(
        "under_way",
        json!([{ "session_id": 60, "command": "BACKUP DATABASE", "database_name": "mgc", "percent_complete": "41.5" }]),
    );
    let mut step = world.backup(json!({}));
    assert!(step.verdict(Verdict::Unknown).contains("BACKUP DATABASE in session 60, 41.5 %"));
    assert!(matches!(step.attempt(), Outcome::NotSent { .. }));
    assert!(world.effects().is_empty());
}

#[test]
fn without_the_right_to_see_others_a_backup_is_made_and_only_in_doubt_goes_to_a_person() {
    let Some(world) = World::start() else { return };
    world.change("rights", json!({ "sees_all": 0 }));
    let mut step = world.backup(json!({}));
    step.verdict(Verdict::NotDone);
    world.change("fate", json!("error-before"));
    assert!(matches!(step.attempt(), Outcome::Unknown { .. }));
    assert!(step.verdict(Verdict::Unknown).contains("VIEW SERVER STATE"));
    assert!(matches!(step.attempt(), Outcome::Applied { .. }));
}

#[test]
fn f74_what_sql_server_still_works_on_is_not_quiet_because_its_shell_is_gone() {
    let Some(world) = World::start() else { return };
    world.backed_up();
    for (mut step, verb) in [(world.backup(json!({})), "BACKUP"), (world.restore(json!({})), "RESTORE")] {
        step.prepare().unwrap();
        let quiesce = || world.runtime.block_on(step.connector.quiesce(&step.call));
        assert!(matches!(quiesce(), Quiescence::Quiet { .. }), "{:?}", quiesce());
        let command = format!("{verb} DATABASE");
        world.change(
            "under_way",
            json!([{ "session_id": 60, "command": command, "database_name": "mgc", "percent_complete": "41.5" }]),
        );
        match quiesce() {
            Quiescence::Busy { seen } => assert!(seen.contains("in session 60, 41.5 %"), "{seen}"),
            other => panic!("{other:?}"),
        }
        world.change("under_way", json!([]));
        world.change("rights", json!({ "sees_all": 0 }));
        match quiesce() {
            Quiescence::CannotTell { seen } => assert!(seen.contains("VIEW SERVER STATE"), "{seen}"),
            other => panic!("{other:?}"),
        }
        world.change("rights", json!({}));
    }
}

#[test]
fn a_restore_is_proved_by_msdb_and_by_the_databases_state() {
    let Some(world) = World::start() else { return };
    world.backed_up();
    let mut step = world.restore(json!({}));
    step.verdict(Verdict::NotDone);
    let Outcome::Applied { outputs } = step.attempt() else { panic!("not applied") };
    assert_eq!(outputs["restored"], json!("2026-11-29T03:00:00"));
    step.verdict(Verdict::Done);
    assert!(matches!(step.apply(), Outcome::Applied { .. }));
    // The same restore again, by a step of its own: what was there before does not count.
    let mut again = world.restore(json!({}));
    again.verdict(Verdict::NotDone);
    again.prepare().unwrap();
    again.verdict(Verdict::NotDone);
    assert!(matches!(again.apply(), Outcome::Applied { .. }));
    assert_eq!(world.effects().iter().filter(|name| *name == "Restore-SqlDatabase").count(), 2);
}

#[test]
fn a_restore_that_ended_badly_is_judged_by_what_it_left() {
    for (fate, expected) in [("error-after", Verdict::Done), ("error-before", Verdict::NotDone), ("half", Verdict::Partial)] {
        let Some(world) = World::start() else { return };
        world.backed_up();
        world.change("fate", json!(fate));
        let mut step = world.restore(json!({}));
        assert!(matches!(step.attempt(), Outcome::Unknown { .. }), "{fate}");
        step.verdict(expected);
    }
}

#[test]
fn whoever_is_connected_is_named_and_nothing_is_sent() {
    let Some(world) = World::start() else { return };
    world.backed_up();
    let person = json!({ "spid": 60, "database_name": "MGC", "loginame": "CONTOSO\\svc-chat  ", "hostname": "PC01", "program_name": "ChannelService" });
    world.change("connected", json!([person]));
    let mut step = world.restore(json!({}));
    step.prepare().unwrap();
    assert!(step.refusal().contains("in use by `CONTOSO\\svc-chat` from PC01 (ChannelService)"));
    assert_eq!(world.effects(), ["Backup-SqlDatabase"]);
    // Somebody who comes just then.
    world.change("connected", json!([]));
    world.change("fate", json!("in-use"));
    let Outcome::Unknown { reason } = step.apply() else { panic!("not unknown") };
    assert!(reason.contains("connected to `mgc` now: `CONTOSO\\svc-chat`"), "{reason}");
}

#[test]
fn only_a_whole_backup_of_the_expected_database_is_restored() {
    let Some(world) = World::start() else { return };
    let mut step = world.restore(json!({}));
    assert!(step.prepare().is_err_and(|why| why.contains("is not there")));
    step.verdict(Verdict::Conflict);
    world.backed_up();
    for with in [json!({ "database": "rtc" }), json!({ "expect_database": "rtc" })] {
        let mut other = world.restore(with);
        assert!(other.prepare().is_err_and(|why| why.contains("not of `rtc`")));
        assert!(other.refusal().contains("holds a backup of `mgc`, not of `rtc`"));
    }
    let mut another = world.restore(json!({ "database": "rtc", "expect_database": "mgc" }));
    assert!(matches!(another.attempt(), Outcome::Applied { .. }));
    // The file holds something else than when it was looked at.
    step.prepare().unwrap();
    let mut sets = world.state()["sets"].clone();
    sets[0]["backup_set_uuid"] = json!("00000000-0000-4000-8000-000000000009");
    world.change("sets", sets);
    assert!(step.refusal().contains("before, and holds"));
}

#[test]
fn a_database_of_the_server_itself_is_refused_before_anything_is_asked() {
    let Some(world) = World::start() else { return };
    for name in ["master", "MSDB", "model", "tempdb", "distribution"] {
        assert!(world.restore(json!({ "database": name })).refusal().contains("never restored from here"), "{name}");
    }
    assert!(world.judge.requests().iter().all(|one| one["action"] != "Pipeline"));
}

#[test]
fn counts_are_numbers_by_name_and_are_held_against_others() {
    let Some(world) = World::start() else { return };
    world.change(
        "counts",
        json!({
            "SELECT COUNT(*) FROM dbo.tblNode WHERE nodeType = 0": [{ "Column1": 300 }],
            "SELECT COUNT_BIG(*) FROM dbo.tblChat": [{ "Column1": 5_000_000_000_i64 }],
            "SELECT n FROM two": [{ "n": 1 }, { "n": 2 }],
            "SELECT n FROM none": [{ "n": "DBNull" }],
        }),
    );
    let queries = json!({ "rooms": "SELECT COUNT(*) -- rooms\nFROM dbo.tblNode WHERE nodeType = 0;", "messages": "SELECT COUNT_BIG(*) FROM dbo.tblChat" });
    let step = world.step("mssql.count", json!({ "queries": queries, "equals": { "rooms": "300" } }));
    let Outcome::Applied { outputs } = step.apply() else { panic!("not applied") };
    assert_eq!(outputs["counts"], json!({ "rooms": 300, "messages": 5_000_000_000_i64 }));
    assert_eq!(step.probe().facts["messages"], json!(5_000_000_000_i64));
    let differs =
        world.step("mssql.count", json!({ "queries": queries, "equals": { "rooms": 299, "messages": 5_000_000_000_i64 } }));
    assert_eq!(differs.refusal(), "the numbers differ: `rooms` is 300 and was to be 299 (+1)");
    differs.verdict(Verdict::NotDone);
    let refused = |text: &str| world.step("mssql.count", json!({ "queries": { "x": text } })).refusal();
    assert!(refused("SELECT n FROM two").contains("2 rows instead of one"));
    assert!(refused("SELECT n FROM none").contains("NULL"));
    assert!(refused("SELECT n FROM missing").contains("Invalid object name"));
}

#[test]
fn what_is_no_reading_is_never_sent() {
    let Some(world) = World::start() else { return };
    for text in ["DELETE FROM t", "SELECT 1; DROP TABLE t", "SELECT '$(x)'", "SELECT 1\nGO\nSELECT 2"] {
        let step = world.step("mssql.count", json!({ "queries": { "x": text } }));
        assert!(matches!(step.apply(), Outcome::NotSent { .. } | Outcome::Rejected { untouched: true, .. }));
        assert!(step.findings(Level::Fatal).iter().any(|why| why.contains("`queries.x` is refused")), "{text}");
    }
    assert!(world.judge.requests().iter().all(|one| one["name"] != "Invoke-Sqlcmd"));
}

#[test]
fn a_preflight_tells_what_is_missing_before_the_weekend() {
    let Some(world) = World::start() else { return };
    let step = world.backup(json!({}));
    assert_eq!(step.findings(Level::Fatal), Vec::<String>::new());
    assert_eq!(step.findings(Level::Warning), Vec::<String>::new());
    world.change("disk", json!(1 << 20));
    assert!(step.findings(Level::Warning)[0].contains("D: has 1 MiB free, and the data files of `mgc` hold 8 MiB"));
    world.change("rights", json!({ "may_back_up": 0, "sees_all": 0 }));
    assert!(step.findings(Level::Fatal)[0].contains("db_backupoperator"));
    assert!(step.findings(Level::Warning)[0].contains("VIEW SERVER STATE"));
    world.change("rights", json!({ "machine": "SQL02" }));
    assert!(step.findings(Level::Fatal)[0].contains("would look for it on its own disk"));
    let elsewhere = world.backup(json!({ "database": "nothing" }));
    assert!(elsewhere.findings(Level::Fatal)[0].contains("has no database `nothing`; it has `master`, `mgc`, `rtc`"));
    world.change("commands", json!(["Invoke-Sqlcmd"]));
    assert!(step.findings(Level::Fatal)[0].contains("no `Backup-SqlDatabase`"));
    world.change("rights", json!({ "may_write": 1 }));
    let count = world.step("mssql.count", json!({ "queries": { "n": "SELECT 1" } }));
    assert!(count.findings(Level::Warning)[0].contains("a login that may only read"));
}
