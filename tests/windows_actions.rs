//! The actions on Windows hosts as the driver uses them, over the real protocol, against a host in one file
//! (`tests/remoting/windows_cmdlets.py`).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

#[path = "support/python.rs"]
mod python;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use python::{Judge, PASSWORD, Setup, USER};
use relevo::connector::{Connectors, Options};
use relevo::plan::action::Effect;
use relevo::plan::{StepId, Targets, Verdict};
use relevo::run::connector::{BeforeImage, Call, Evidence, Finding, Level, Observation, Pin, Quiescence};
use relevo::run::event::{EvidenceRef, Identity, Outcome};
use relevo::time::Span;
use serde_json::{Value, json};
use sha2::Digest as _;

/// A host, and the connectors of one process.
struct World {
    judge: Judge,
    runtime: tokio::runtime::Runtime,
    connectors: Connectors,
    targets: Arc<Targets>,
}

/// Keeps evidence in the judge's folder.
struct Store(PathBuf);

impl Evidence for Store {
    fn store(&self, kind: &str, bytes: &[u8]) -> std::io::Result<EvidenceRef> {
        let sha256 = relevo::plan::hex(&sha2::Sha256::digest(bytes));
        std::fs::write(self.0.join(&sha256), bytes)?;
        Ok(EvidenceRef { sha256, bytes: bytes.len() as u64, kind: kind.to_owned() })
    }
}

impl World {
    /// A host with services that need each other, and files to copy. `None` where Python's packages are missing.
    fn start() -> Option<Self> {
        Self::over(false)
    }

    /// The same over TLS, if that is wanted.
    fn over(tls: bool) -> Option<Self> {
        let judge = Judge::start(Setup { tls, arguments: vec!["--cmdlets".to_owned(), "windows_cmdlets".to_owned()] })?;
        let password = judge.folder().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let ca = if tls { json!(judge.folder().join("ca.pem")) } else { Value::Null };
        let host = json!({ "url": judge.url("/wsman"), "ca": ca, "settle": { "poll": "50ms" },
            "auth": { "negotiate": { "user": USER, "password": { "$secret": { "file": password } } } } });
        let targets = Targets {
            value: json!({ "hosts": { "gc01": host } }).as_object().unwrap().clone(),
            names: [("gc01".to_owned(), "hosts".to_owned())].into(),
            ..Targets::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut world = World { judge, runtime, connectors: Connectors::default(), targets: Arc::new(targets) };
        world.forget();
        let service = |display: &str, image: &str, needs: &[&str]| json!({ "display": display, "image": image, "state": "Running", "start": "Auto", "needs": needs });
        world.set(&json!({
            "name": "GC01",
            "services": {
                "OCSChannel": service("Group Chat Channel", "\"C:\\Chat\\Channel.exe\"", &["OCSLookup"]),
                "OCSLookup": service("Group Chat Lookup", "\"C:\\Chat\\Lookup.exe\"", &[]),
                "Spooler": service("Print Spooler", "C:\\Windows\\spoolsv.exe", &[]),
            },
            "folders": ["D:", "D:\\from", "D:\\from\\Sub", "D:\\from\\Empty [1]"],
            "files": {
                "D:\\from\\a.txt": { "text": "alpha", "modified": 10 },
                "D:\\from\\b[2].txt": { "text": "beta", "modified": 20 },
                "D:\\from\\Sub\\it's $c.txt": { "text": "gamma", "modified": 30 },
            },
            "free": { "D:": 1_000_000_000_000_u64, "E:": 1_000_000_000_000_u64 },
        }));
        Some(world)
    }

    /// As a new process would begin.
    fn forget(&mut self) {
        self.connectors = Connectors::standard(Options { longest_wait: Some(Span::from_secs(1)) });
    }

    fn state(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.judge.folder().join("machine.json")).unwrap()).unwrap()
    }

    fn set(&self, state: &Value) {
        let new = self.judge.folder().join("machine.tmp");
        std::fs::write(&new, state.to_string()).unwrap();
        std::fs::rename(&new, self.judge.folder().join("machine.json")).unwrap();
    }

    /// Changes the host behind everybody's back.
    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        change(&mut state);
        self.set(&state);
    }

    fn mishap(&self, mishap: Value) {
        self.change(|state| state["mishaps"] = json!([mishap]));
    }

    fn step(&self, uses: &str, with: &Value) -> Step<'_> {
        let mut with = with.as_object().unwrap().clone();
        with.insert("host".to_owned(), json!("gc01"));
        let effect = self.connectors.catalogue().get(uses).unwrap().effect;
        let call = Call {
            run: Arc::from("r1"),
            step: StepId::new("a"),
            attempt: 1,
            uses: uses.to_owned(),
            with,
            outputs: Arc::from([]),
            identity: Identity::new(),
            folder: Arc::from(self.judge.folder()),
            scratch: self.judge.folder().join("attempts"),
            targets: Arc::clone(&self.targets),
            excluded: Arc::from([]),
            before_image: None,
            handle: None,
            timeout: Some(Span::from_secs(30)),
            effect,
            probed: effect != Effect::Read,
            assumed: false,
            until: None,
            sent: relevo::run::connector::Sent::default(),
        };
        Step { world: self, call }
    }

    /// A step that stops the two services of the chat and disables them.
    fn stop(&self) -> Step<'_> {
        self.step("windows.service", &json!({ "display_names": ["Group Chat*"], "state": "stopped", "startup": "disabled" }))
    }

    fn copy(&self, more: &Value) -> Step<'_> {
        let mut with = json!({ "from": "D:\\from", "to": "E:\\mig\\to" });
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.step("windows.copy", &with)
    }

    /// What was changed so far, in order.
    fn effects(&self) -> Vec<String> {
        let words = |effect: &Value| {
            let rest = ["service", "folder", "path"].iter().find_map(|key| effect[*key].as_str()).unwrap_or_default();
            format!("{} {rest}", effect["operation"].as_str().unwrap())
        };
        self.judge.effects().iter().map(words).collect()
    }

    fn file(&self, path: &str) -> Option<String> {
        self.state()["files"].get(path).map(|file| file["text"].as_str().unwrap().to_owned())
    }
}

/// One step of a run that nobody keeps a journal of.
#[derive(Clone)]
struct Step<'w> {
    world: &'w World,
    call: Call,
}

impl Step<'_> {
    fn connector(&self) -> Arc<dyn relevo::run::connector::Connector> {
        self.world.connectors.for_action(&self.call.uses).unwrap()
    }

    fn preflight(&self) -> Vec<Finding> {
        self.world.runtime.block_on(self.connector().preflight(&self.call))
    }

    fn pin(&self) -> Pin {
        self.world.runtime.block_on(self.connector().pin(&self.call))
    }

    #[track_caller]
    fn bound(mut self) -> Self {
        match self.pin() {
            Pin::Bound { identity, .. } => self.call.identity = identity,
            other => panic!("not bound: {other:?}"),
        }
        self
    }

    fn probe(&self) -> Observation {
        self.world.runtime.block_on(self.connector().probe(&self.call))
    }

    #[track_caller]
    fn is(&self, verdict: Verdict) -> Observation {
        let seen = self.probe();
        assert_eq!(seen.verdict, verdict, "{}", seen.seen);
        seen
    }

    /// What the driver does before an attempt: the before-image, and a shell of its own.
    fn prepare(&mut self) -> Result<(), String> {
        let store = Store(self.world.judge.folder().to_owned());
        let kept = self.world.runtime.block_on(self.connector().before_image(&self.call, &store))?;
        self.call.before_image = kept.map(|kept| BeforeImage::of(&store.0, &kept));
        self.call.handle = self.connector().handle(&self.call);
        Ok(())
    }

    fn apply(&self) -> Outcome {
        self.world.runtime.block_on(self.connector().apply(&self.call))
    }

    #[track_caller]
    fn attempt(&mut self) -> Outcome {
        self.prepare().unwrap_or_else(|why| panic!("no before-image: {why}"));
        self.apply()
    }

    #[track_caller]
    fn applied(&mut self) -> Value {
        match self.attempt() {
            Outcome::Applied { outputs } => Value::Object(outputs),
            other => panic!("not applied: {other:?}"),
        }
    }

    fn undo(&self) -> Outcome {
        let image = self.call.before_image.as_ref().map(|kept| kept.read(u64::MAX).unwrap());
        let call = Call { handle: self.connector().handle(&self.call), ..self.call.clone() };
        self.world.runtime.block_on(self.connector().undo(&call, image.as_deref()))
    }

    fn quiesce(&self) -> Quiescence {
        self.world.runtime.block_on(self.connector().quiesce(&self.call))
    }
}

#[track_caller]
fn unknown(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unknown { reason } => reason,
        other => panic!("not unknown: {other:?}"),
    }
}

#[track_caller]
fn refused(outcome: Outcome) -> String {
    match outcome {
        Outcome::Rejected { reason, untouched: true } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

// ---- Services ----

#[test]
fn services_found_by_pattern_are_bound_disabled_stopped_and_put_back() {
    let Some(world) = World::start() else { return };
    let mut step = world.stop().bound();
    assert_eq!(step.call.identity["services"], "OCSChannel,OCSLookup");
    assert_eq!(step.call.identity["host"], "GC01");
    step.is(Verdict::NotDone);
    let outputs = step.applied();
    assert_eq!(outputs["services"], json!(["OCSChannel", "OCSLookup"]));
    let disabled = "Disabled OCSChannel,Disabled OCSLookup,Stopped OCSChannel,Stopped OCSLookup";
    assert_eq!(world.effects().join(","), disabled, "the start types first, then what needs the other");
    assert_eq!(step.is(Verdict::Done).outputs["found"][0]["startup"], "disabled");
    assert!(matches!(step.apply(), Outcome::Applied { .. }), "nothing is left to do");
    assert_eq!(world.effects().len(), 4);
    assert!(matches!(step.undo(), Outcome::Applied { .. }));
    let back = "Auto OCSChannel,Auto OCSLookup,Running OCSLookup,Running OCSChannel";
    assert_eq!(world.effects()[4..].join(","), back);
    world.judge.assert_no_violations();
}

#[test]
fn a_pattern_that_finds_nothing_is_told_with_what_is_near() {
    let Some(world) = World::start() else { return };
    let step = world.step("windows.service", &json!({ "services": ["OCSChanel"], "state": "stopped" }));
    let Pin::Cannot { unreachable: false, reason } = step.pin() else { panic!("{:?}", step.pin()) };
    assert!(reason.contains("`OCSChanel`; nearest: `OCSChannel`"), "{reason}");
}

#[test]
fn a_dependent_that_runs_and_is_not_named_is_told_before_anything_is_changed() {
    let Some(world) = World::start() else { return };
    let with = json!({ "services": ["OCSLookup"], "state": "stopped", "startup": "disabled" });
    let mut step = world.step("windows.service", &with).bound();
    let warned = step.preflight();
    assert!(warned.iter().any(|one| one.level == Level::Warning && one.message.contains("`OCSChannel`")), "{warned:?}");
    let why = refused(step.attempt());
    assert!(why.contains("`OCSChannel`") && why.contains("add"), "{why}");
    assert_eq!(world.effects(), Vec::<String>::new());
}

#[test]
fn f73_a_service_that_is_slow_to_stop_is_waited_for_and_one_that_never_does_is_unknown() {
    let Some(world) = World::start() else { return };
    let with = json!({ "services": ["Spooler"], "state": "stopped" });
    world.change(|state| state["services"]["Spooler"]["slow"] = json!(3));
    let mut step = world.step("windows.service", &with).bound();
    step.applied();
    world.change(|state| {
        state["services"]["Spooler"] = json!({ "display": "S", "state": "Stop Pending", "start": "Auto", "ticks": 4 });
    });
    step.is(Verdict::Done);
    world.change(|state| {
        state["services"]["Spooler"] = json!({ "display": "S", "state": "Stop Pending", "start": "Auto", "ticks": 100_000 });
    });
    step.call.timeout = Some(Span::from_secs(2));
    let seen = step.is(Verdict::Unknown);
    assert!(seen.seen.contains("stop pending"), "{}", seen.seen);
    world.change(|state| state["services"]["Spooler"]["state"] = json!("Dreaming"));
    step.is(Verdict::Unknown);
}

#[test]
fn an_error_is_no_answer_what_is_seen_afterwards_is() {
    let Some(world) = World::start() else { return };
    world.mishap(json!({ "cmdlet": "Stop-Service", "do": "error_after", "text": "Failed to stop" }));
    world.step("windows.service", &json!({ "services": ["Spooler"], "state": "stopped" })).bound().applied();
    let Some(world) = World::start() else { return };
    world.mishap(json!({ "cmdlet": "Stop-Service", "do": "error", "text": "Failed to stop" }));
    let mut step = world.stop().bound();
    let why = unknown(step.attempt());
    assert!(why.contains("Failed to stop") && why.contains("`OCSChannel` is running, disabled"), "{why}");
    step.is(Verdict::Partial);
    step.applied();
    step.is(Verdict::Done);
    world.judge.assert_no_violations();
}

#[test]
fn a_before_image_that_was_changed_or_is_missing_is_never_taken_for_none() {
    let Some(world) = World::start() else { return };
    world.mishap(json!({ "cmdlet": "Stop-Service", "do": "error" }));
    let mut step = world.stop().bound();
    unknown(step.attempt());
    let kept = step.call.before_image.clone().unwrap();
    let whole = kept.read(u64::MAX).unwrap();
    // Another state to go back to, as long as the right one.
    let forged = String::from_utf8(whole.clone()).unwrap().replace("automatic", "autom4tic");
    std::fs::write(&kept.path, forged).unwrap();
    let why = step.prepare().unwrap_err();
    assert!(why.contains("was changed"), "{why}");
    std::fs::remove_file(&kept.path).unwrap();
    let why = step.prepare().unwrap_err();
    assert!(why.contains("cannot be read"), "{why}");
    std::fs::write(&kept.path, whole).unwrap();
    step.applied();
}

#[test]
fn a_later_attempt_keeps_what_the_first_one_saw() {
    let Some(world) = World::start() else { return };
    world.mishap(json!({ "cmdlet": "Stop-Service", "do": "error" }));
    let mut step = world.stop().bound();
    unknown(step.attempt());
    let first = step.call.before_image.as_ref().unwrap().read(u64::MAX).unwrap();
    step.applied();
    assert_eq!(step.call.before_image.as_ref().unwrap().read(u64::MAX).unwrap(), first);
    assert!(String::from_utf8_lossy(&first).contains("automatic"));
}

/// The call with its host at another place of the targets file.
fn moved(call: &Call, host: &Value) -> Call {
    let mut targets = Targets::clone(&call.targets);
    for (key, value) in host.as_object().unwrap() {
        targets.value["hosts"]["gc01"][key] = value.clone();
    }
    Call { targets: Arc::new(targets), ..call.clone() }
}

#[test]
fn f74_a_shell_that_is_gone_counts_only_at_the_place_where_the_attempt_ran() {
    let Some(world) = World::start() else { return };
    let mut step = world.stop().bound();
    step.applied();
    let quiesce = |call: &Call| world.runtime.block_on(step.connector().quiesce(call));
    let cannot_tell = |call: &Call, part: &str| match quiesce(call) {
        Quiescence::CannotTell { seen } => assert!(seen.contains(part), "{seen}"),
        other => panic!("{other:?}"),
    };
    assert!(matches!(quiesce(&step.call), Quiescence::Quiet { .. }), "{:?}", quiesce(&step.call));
    // The same server under another name: whether it is the same machine, nobody can know.
    let elsewhere = json!({ "url": world.judge.url("/wsman").replace("127.0.0.1", "localhost") });
    let before = world.judge.requests().len();
    cannot_tell(&moved(&step.call, &elsewhere), "may still run there");
    assert_eq!(world.judge.requests().len(), before, "nothing was asked there");
    cannot_tell(&moved(&step.call, &json!({ "redirect_to": ["other.contoso.com"] })), "another one");
    // What an older version recorded is the shell alone.
    let old =
        Call { handle: step.call.handle.as_ref().map(|text| text.split('@').next().unwrap().to_owned()), ..step.call.clone() };
    assert!(matches!(quiesce(&old), Quiescence::Quiet { .. }));
    cannot_tell(&Call { handle: None, ..step.call.clone() }, "no shell was recorded");
}

#[test]
fn f69_an_attempt_runs_in_no_shell_but_the_one_that_was_recorded() {
    let Some(world) = World::start() else { return };
    let mut step = world.stop().bound();
    step.prepare().unwrap();
    world.judge.misbehave(&json!([{ "on": "Create", "nth": 1, "times": 0, "do": "other_id" }]));
    match step.apply() {
        Outcome::NotSent { reason } => assert!(reason.contains("instead of") && reason.contains("was removed"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let count = |action: &str| world.judge.requests().iter().filter(|one| one["action"] == action).count();
    assert_eq!(count("Create"), count("Delete"), "every shell was removed");
    assert!(world.effects().is_empty());
    // What is recorded and is no id is not run under another one either.
    step.call.handle = Some("no-id@http://127.0.0.1/wsman".to_owned());
    assert!(matches!(step.apply(), Outcome::NotSent { reason } if reason.contains("is no id")));
    // A look changes nothing, and may be made in any shell.
    step.is(Verdict::NotDone);
}

#[test]
fn f67_a_certificate_that_ends_before_the_window_closes_is_told() {
    let Some(mut world) = World::over(true) else { return };
    let told = |world: &World, until: Option<&str>| {
        let mut step = world.stop();
        step.call.until = until.map(|text| relevo::time::Timestamp(text.parse().unwrap()));
        let found = world.runtime.block_on(step.connector().preflight(&step.call));
        let of_it = found.into_iter().filter(|one| one.message.contains("the certificate of `127.0.0.1` ends on"));
        of_it.map(|one| (one.level, one.message)).collect::<Vec<_>>()
    };
    assert_eq!(told(&world, None), []);
    // What was found of a host is remembered for a while.
    world.forget();
    let found = told(&world, Some("9000-01-01T00:00:00Z"));
    assert!(
        matches!(found.as_slice(), [(Level::Warning, message)] if message.contains("before the window closes on 9000-01-01")),
        "{found:?}"
    );
}

#[test]
fn f48_f69_a_lost_connection_is_unknown_until_the_shell_is_gone_and_a_look_was_made() {
    let Some(world) = World::start() else { return };
    world.mishap(json!({ "cmdlet": "Stop-Service", "do": "hang" }));
    let mut step = world.stop().bound();
    step.prepare().unwrap();
    let (connector, call) = (step.connector(), step.call.clone());
    let running = world.runtime.spawn(async move { connector.apply(&call).await });
    let until = std::time::Instant::now() + Duration::from_secs(30);
    let hangs = || world.judge.requests().iter().any(|one| one["action"] == "Pipeline" && one["name"] == "Stop-Service");
    while !hangs() {
        assert!(std::time::Instant::now() < until, "it never began");
        std::thread::yield_now();
    }
    world.judge.misbehave(&json!([{ "on": "Receive", "do": "drop", "bytes": 0, "times": 0 }]));
    let why = unknown(world.runtime.block_on(running).unwrap());
    assert!(why.contains("2 of 4 commands had ended well"), "{why}");
    world.judge.misbehave(&json!([]));
    assert!(matches!(step.quiesce(), Quiescence::Quiet { .. }), "{:?}", step.quiesce());
    step.is(Verdict::Partial);
    assert_eq!(world.effects().len(), 2, "what hung has done nothing");
    step.applied();
    step.is(Verdict::Done);
    assert_eq!(world.effects().len(), 4, "and nothing was done twice");
}

#[test]
fn f46_i4_another_machine_behind_the_name_and_a_service_that_is_gone_are_conflicts() {
    let Some(world) = World::start() else { return };
    let mut step = world.stop().bound();
    step.prepare().unwrap();
    world.change(|state| state["name"] = json!("GC02"));
    assert!(step.is(Verdict::Conflict).seen.contains("`GC02`"));
    assert!(refused(step.apply()).contains("`GC02`"));
    assert!(refused(step.undo()).contains("`GC02`"));
    world.change(|state| {
        state["name"] = json!("GC01");
        state["services"].as_object_mut().unwrap().remove("OCSLookup");
    });
    assert!(step.is(Verdict::Conflict).seen.contains("`OCSLookup`"));
    refused(step.apply());
    assert_eq!(world.effects(), Vec::<String>::new());
}

#[test]
fn a_delayed_start_is_told_from_an_automatic_one() {
    let Some(world) = World::start() else { return };
    let with = |word: &str| json!({ "services": ["Spooler"], "startup": word });
    let mut step = world.step("windows.service", &with("automatic_delayed")).bound();
    step.is(Verdict::NotDone);
    step.applied();
    step.is(Verdict::Done);
    let plain = world.step("windows.service", &with("automatic")).bound();
    plain.is(Verdict::NotDone);
    assert!(matches!(step.undo(), Outcome::Applied { .. }));
    plain.is(Verdict::Done);
    assert_eq!(world.effects(), ["Delayed1 Spooler", "Delayed0 Spooler"]);
    world.judge.assert_no_violations();
}

// ---- Copies ----

#[test]
fn a_folder_is_copied_proved_and_taken_back() {
    let Some(world) = World::start() else { return };
    let mut step = world.copy(&json!({})).bound();
    step.is(Verdict::NotDone);
    let outputs = step.applied();
    assert_eq!(outputs, json!({ "files": 3, "bytes": 14, "copied": 3 }));
    assert_eq!(Value::Object(step.is(Verdict::Done).outputs), outputs);
    assert_eq!(world.file("E:\\mig\\to\\Sub\\it's $c.txt").as_deref(), Some("gamma"));
    assert!(world.state()["folders"].as_array().unwrap().contains(&json!("E:\\mig\\to\\Empty [1]")));
    world.change(|state| state["files"]["E:\\mig\\to\\Sub\\theirs"] = json!({ "text": "x", "modified": 1 }));
    assert!(matches!(step.undo(), Outcome::Applied { .. }), "{:?}", step.undo());
    let state = world.state();
    let left: Vec<&String> = state["files"].as_object().unwrap().keys().filter(|path| path.starts_with('E')).collect();
    assert_eq!(left, ["E:\\mig\\to\\Sub\\theirs"], "nothing but ours is removed");
    let folders: Vec<&str> = state["folders"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(folders.contains(&"E:\\mig\\to\\Sub") && !folders.contains(&"E:\\mig\\to\\Empty [1]"), "{folders:?}");
    world.judge.assert_no_violations();
}

#[test]
fn a_copy_whose_folders_were_made_by_it_leaves_none_of_them_behind() {
    let Some(world) = World::start() else { return };
    let mut step = world.copy(&json!({})).bound();
    step.applied();
    assert!(matches!(step.undo(), Outcome::Applied { .. }));
    assert!(!world.state().to_string().contains("E:\\\\mig"), "{}", world.state());
    assert!(matches!(step.undo(), Outcome::Applied { .. }), "twice is once");
}

#[test]
fn a_file_that_was_there_and_differs_is_in_the_way_unless_it_may_be_replaced() {
    let Some(world) = World::start() else { return };
    world.change(|state| {
        state["folders"].as_array_mut().unwrap().extend([json!("E:"), json!("E:\\mig"), json!("E:\\mig\\to")]);
        state["files"]["E:\\mig\\to\\A.TXT"] = json!({ "text": "other", "modified": 10 });
    });
    let mut step = world.copy(&json!({})).bound();
    assert!(step.is(Verdict::Conflict).seen.contains("`a.txt`"));
    assert!(refused(step.attempt()).contains("`a.txt`"));
    assert_eq!(world.effects(), Vec::<String>::new());
    let mut step = world.copy(&json!({ "overwrite": true })).bound();
    step.is(Verdict::Partial);
    step.applied();
    assert_eq!(world.file("E:\\mig\\to\\A.TXT").as_deref(), Some("alpha"));
    step.is(Verdict::Done);
}

#[test]
fn f78_an_interrupted_copy_goes_on_and_what_is_half_written_is_written_again() {
    let Some(mut world) = World::start() else { return };
    world.mishap(json!({ "cmdlet": "Copy-Item", "nth": 2, "do": "hang" }));
    let mut step = world.copy(&json!({})).bound();
    step.call.timeout = Some(Span::from_secs(4));
    let why = unknown(step.attempt());
    assert!(why.contains("2 of 3 files"), "{why}");
    let call = step.call.clone();
    // Half a file of the right size, as a copy that was cut off leaves it.
    world.change(|state| state["files"]["E:\\mig\\to\\a.txt"]["text"] = json!("al\u{1}\u{1}\u{1}"));
    world.forget();
    let mut step = Step { world: &world, call: Call { timeout: Some(Span::from_secs(30)), ..call } };
    assert!(matches!(step.quiesce(), Quiescence::Quiet { .. }));
    step.is(Verdict::Partial);
    step.applied();
    step.is(Verdict::Done);
    assert_eq!(world.file("E:\\mig\\to\\a.txt").as_deref(), Some("alpha"));
    world.judge.assert_no_violations();
}

#[test]
fn f78_a_source_that_changes_meanwhile_is_copied_again() {
    let Some(world) = World::start() else { return };
    let new = json!({ "text": "ALPHA", "modified": 99 });
    world.mishap(json!({ "cmdlet": "Copy-Item", "nth": 2, "do": "set", "path": "D:\\from\\a.txt", "file": new }));
    world.copy(&json!({})).bound().applied();
    assert_eq!(world.file("E:\\mig\\to\\a.txt").as_deref(), Some("ALPHA"));
}

#[test]
fn a_file_in_use_is_named_and_the_others_are_copied() {
    let Some(world) = World::start() else { return };
    let mut step = world.copy(&json!({})).bound();
    step.prepare().unwrap();
    world.change(|state| state["files"]["D:\\from\\a.txt"]["locked"] = json!(true));
    match step.apply() {
        Outcome::Rejected { reason, untouched: false } => {
            assert!(reason.contains("D:\\from\\a.txt") && reason.contains("2 of 3"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    step.is(Verdict::Partial);
    world.change(|state| state["files"]["D:\\from\\a.txt"]["locked"] = json!(false));
    step.applied();
    step.is(Verdict::Done);
    // Before anything is copied it is told just as well.
    world.change(|state| state["files"]["D:\\from\\a.txt"] = json!({ "text": "new", "modified": 77, "locked": true }));
    let why = world.copy(&json!({ "to": "E:\\other" })).bound().prepare().unwrap_err();
    assert!(why.contains("D:\\from\\a.txt"), "{why}");
}

#[test]
fn a_host_without_hashes_compares_times_and_says_so() {
    let Some(world) = World::start() else { return };
    world.change(|state| state["no_hash"] = json!(true));
    let findings = world.copy(&json!({})).preflight();
    assert!(findings.iter().any(|one| one.level == Level::Fatal && one.message.contains("verify: times")), "{findings:?}");
    let mut step = world.copy(&json!({ "verify": "times" })).bound();
    assert!(step.preflight().is_empty(), "{:?}", step.preflight());
    step.applied();
    assert!(step.is(Verdict::Done).seen.contains("not by content"));
    world.change(|state| state["files"]["E:\\mig\\to\\a.txt"]["modified"] = json!(500));
    step.is(Verdict::Partial);
    assert!(matches!(step.undo(), Outcome::Rejected { .. }), "what was changed since stays");
    assert_eq!(world.file("E:\\mig\\to\\a.txt").as_deref(), Some("alpha"));
    assert_eq!(world.file("E:\\mig\\to\\b[2].txt"), None);
}

#[test]
fn one_file_is_copied_into_a_folder() {
    let Some(world) = World::start() else { return };
    let mut step = world.copy(&json!({ "from": "D:\\from\\b[2].txt" })).bound();
    step.applied();
    step.is(Verdict::Done);
    assert_eq!(world.file("E:\\mig\\to\\b[2].txt").as_deref(), Some("beta"));
    assert_eq!(world.file("E:\\mig\\to\\a.txt"), None);
    world.judge.assert_no_violations();
}

#[test]
fn a_share_is_a_warning_and_a_source_that_is_not_there_is_told() {
    let Some(world) = World::start() else { return };
    let findings = world.copy(&json!({ "from": "\\\\fs01\\data\\chat" })).preflight();
    assert!(findings.iter().any(|one| one.level == Level::Warning && one.message.contains("delegation")), "{findings:?}");
    assert!(findings.iter().all(|one| one.level == Level::Warning), "{findings:?}");
    let findings = world.copy(&json!({ "from": "D:\\from\\..\\x" })).preflight();
    assert!(findings.iter().any(|one| one.level == Level::Fatal), "{findings:?}");
    world.copy(&json!({ "from": "D:\\nothing" })).is(Verdict::Conflict);
}

#[test]
fn many_files_are_copied_in_batches() {
    let Some(world) = World::start() else { return };
    world.change(|state| {
        let files = state["files"].as_object_mut().unwrap();
        files.clear();
        for n in 0..1_500 {
            files.insert(format!("D:\\from\\Sub\\{n:05}.txt"), json!({ "text": format!("text {n}"), "modified": n }));
        }
    });
    let mut step = world.copy(&json!({})).bound();
    step.call.timeout = Some(Span::from_secs(300));
    assert_eq!(step.applied()["copied"], 1_500);
    let copies = world.effects().iter().filter(|effect| effect.starts_with("Copy-Item")).count();
    assert_eq!(copies, 15);
    step.is(Verdict::Done);
}

// ---- One path ----

#[test]
fn a_look_at_a_path_fails_where_an_expectation_does_not_hold() {
    let Some(world) = World::start() else { return };
    let sha256 = "be76331b95dfc399cd776d2fc68021e0db03cc4f"; // Of another kind: too short.
    let step = |more: Value| {
        let mut with = json!({ "path": "D:\\from\\a.txt" });
        with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.step("windows.file", &with)
    };
    let Outcome::Applied { outputs } = step(json!({ "exists": true, "min_free": "20 GiB" })).apply() else { panic!("it holds") };
    assert_eq!(
        (&outputs["exists"], &outputs["size"], &outputs["free_bytes"]),
        (&json!(true), &json!(5), &json!(1_000_000_000_000_u64))
    );
    assert_eq!(outputs["sha256"], "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8");
    assert_eq!(outputs["modified"], "2026-11-27T00:00:10.1234567Z");
    refused(step(json!({ "exists": false })).apply());
    refused(step(json!({ "min_free": "2 TiB" })).apply());
    refused(step(json!({ "sha256": "0".repeat(64) })).apply());
    step(json!({ "exists": false })).is(Verdict::NotDone);
    step(json!({ "sha256": outputs["sha256"] })).is(Verdict::Done);
    step(json!({ "path": "D:\\nothing", "exists": false })).is(Verdict::Done);
    step(json!({ "sha256": sha256 })).is(Verdict::Unknown);
}

#[test]
fn what_would_be_done_is_told_without_doing_it() {
    let Some(world) = World::start() else { return };
    let describe = |step: &Step<'_>| world.runtime.block_on(step.connector().describe(&step.call)).lines.join("\n");
    let text = describe(&world.stop().bound());
    assert!(text.contains("`OCSChannel` is running, automatic (Group Chat Channel) -> stopped, disabled"), "{text}");
    let text = describe(&world.copy(&json!({})).bound());
    assert!(text.contains("3 files in 3 folders") && text.contains("3 are missing"), "{text}");
    let step = world.stop().bound();
    assert!(step.connector().by_hand(&step.call).join("\n").contains("Stop-Service -Name 'OCSChannel'"));
    assert_eq!(world.effects(), Vec::<String>::new());
    world.judge.assert_no_violations();
}
