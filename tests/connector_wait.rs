//! `noop`, `wait` and the registry.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relevo::connector::{Connectors, Options};
use relevo::plan::action::Effect;
use relevo::plan::{StepId, Verdict};
use relevo::run::connector::{Call, Quiescence};
use relevo::run::event::Outcome;
use relevo::time::Span;
use serde_json::{Value, json};

fn call(folder: &Path, uses: &str, with: &Value) -> Call {
    Call {
        run: Arc::from("r1"),
        step: StepId::new("a"),
        attempt: 1,
        uses: uses.to_owned(),
        with: with.as_object().unwrap().clone(),
        outputs: Arc::from([]),
        identity: relevo::run::event::Identity::new(),
        folder: Arc::from(folder),
        scratch: folder.join("attempts"),
        targets: std::sync::Arc::default(),
        excluded: std::sync::Arc::new([]),
        before_image: None,
        handle: None,
        timeout: Some(Span::from_secs(60)),
        effect: Effect::Read,
        probed: false,
        assumed: false,
        until: None,
        sent: relevo::run::connector::Sent::default(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn apply(call: &Call) -> Outcome {
    let connectors = Connectors::standard(Options::default());
    runtime().block_on(connectors.for_action(&call.uses).unwrap().apply(call))
}

#[test]
fn the_registry_knows_every_action_of_this_version() {
    let connectors = Connectors::standard(Options::default());
    let names: Vec<_> = connectors.catalogue().iter().map(|spec| spec.name).collect();
    let directories = ["ad.settle", "ad.user.delete", "ad.user.disable_lync", "ad.user.restore"];
    let generic = ["command", "ldap.modify", "ldap.search", "noop", "powershell", "wait"];
    let hosts = ["mssql.backup", "mssql.count", "mssql.restore", "windows.copy", "windows.file", "windows.service"];
    let lync = [
        "lync.chat.export",
        "lync.chat.import",
        "lync.chat.import_whatif",
        "lync.chat.inspect",
        "lync.cmdlet",
        "lync.endpoint.create",
        "lync.endpoint.remove",
        "lync.legacy_sign_in",
        "lync.policy.check",
        "lync.pool.check",
        "lync.service",
        "lync.sessions.check",
        "lync.topology.enable",
        "lync.trusted_application.remove",
        "lync.user_database.update",
    ];
    let mut all = [&directories[..], &generic[..], &hosts[..], &lync[..]].concat();
    all.sort_unstable();
    assert_eq!(names, all);
    assert!(names.iter().all(|name| connectors.for_action(name).is_some()));
    assert!(connectors.for_action("lync.services").is_none());
}

#[test]
fn a_noop_gives_the_outputs_that_it_was_given_and_what_it_says() {
    let call = call(Path::new("/"), "noop", &json!({ "say": "hello", "outputs": { "rows": 12 } }));
    let Outcome::Applied { outputs } = apply(&call) else { panic!("not applied") };
    assert_eq!(Value::Object(outputs), json!({ "rows": 12, "said": "hello" }));
}

#[test]
fn a_noop_that_was_cut_off_is_not_in_doubt() {
    let noop = Connectors::standard(Options::default()).for_action("noop").unwrap();
    let look = runtime().block_on(noop.quiesce(&call(Path::new("/"), "noop", &json!({}))));
    assert!(matches!(look, Quiescence::Quiet { ended: Some(_), .. }), "{look:?}");
}

#[test]
fn a_wait_lasts_as_long_as_it_says_and_no_longer_than_the_options_allow() {
    let begun = Instant::now();
    assert!(matches!(apply(&call(Path::new("/"), "wait", &json!({ "for": "50ms" }))), Outcome::Applied { .. }));
    assert!(begun.elapsed() >= Duration::from_millis(50));
    let wait = Connectors::standard(Options { longest_wait: Some(Span::from_millis(20)) }).for_action("wait").unwrap();
    let outcome = runtime().block_on(wait.apply(&call(Path::new("/"), "wait", &json!({ "for": "1h" }))));
    assert!(matches!(outcome, Outcome::Applied { .. }));
    assert!(begun.elapsed() < Duration::from_mins(1));
}

#[test]
fn a_wait_ends_when_its_probe_holds() {
    let dir = tempfile::tempdir().unwrap();
    // Holds from the third look on.
    let look = "echo x >> looks; [ $(wc -l < looks) -ge 3 ]";
    let with = json!({ "until": { "uses": "command", "with": { "shell": look } }, "poll": "10ms" });
    assert!(matches!(apply(&call(dir.path(), "wait", &with)), Outcome::Applied { .. }));
    assert_eq!(std::fs::read_to_string(dir.path().join("looks")).unwrap().lines().count(), 3);
}

#[test]
fn a_look_that_cannot_tell_breaks_the_time_of_stability() {
    let dir = tempfile::tempdir().unwrap();
    // Exit 2 in the second look: neither done nor not done.
    let look = "date +%s%N >> looks; [ $(wc -l < looks) -ne 2 ] || exit 2";
    let with = json!({
        "until": { "uses": "command", "with": { "shell": look } }, "poll": "10ms", "stable_for": "100ms",
    });
    assert!(matches!(apply(&call(dir.path(), "wait", &with)), Outcome::Applied { .. }));
    let looks = std::fs::read_to_string(dir.path().join("looks")).unwrap();
    let looks: Vec<u64> = looks.lines().map(|line| line.parse().unwrap()).collect();
    let after_the_break = looks.last().unwrap() - looks[1];
    assert!(looks.len() > 3 && after_the_break >= 100_000_000, "{looks:?}");
}

#[test]
fn a_wait_that_takes_too_long_has_failed_and_says_what_it_saw() {
    let dir = tempfile::tempdir().unwrap();
    let with = json!({ "until": { "uses": "command", "with": { "shell": "echo 4 rooms left; exit 1" } }, "poll": "10ms" });
    let mut call = call(dir.path(), "wait", &with);
    call.timeout = Some(Span::from_millis(300));
    let Outcome::Rejected { reason, untouched: true } = apply(&call) else { panic!("not rejected") };
    assert_eq!(reason, "did not come about within 300ms; not done: exit 1: 4 rooms left");
}

#[test]
fn one_look_of_a_wait_never_says_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let wait = Connectors::standard(Options::default()).for_action("wait").unwrap();
    let probe = |with: Value| runtime().block_on(wait.probe(&call(dir.path(), "wait", &with))).verdict;
    let until = |program: &str| json!({ "uses": "command", "with": { "argv": [program] } });
    assert_eq!(probe(json!({ "until": until("true") })), Verdict::Done);
    assert_eq!(probe(json!({ "until": until("true"), "stable_for": "1s" })), Verdict::Unknown);
    assert_eq!(probe(json!({ "until": until("false") })), Verdict::Unknown);
    assert_eq!(probe(json!({ "for": "1s" })), Verdict::Unknown);
}

#[test]
fn what_cannot_be_waited_for_is_found_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let wait = Connectors::standard(Options::default()).for_action("wait").unwrap();
    let preflight = |with: Value| {
        let found = runtime().block_on(wait.preflight(&call(dir.path(), "wait", &with)));
        found.into_iter().map(|finding| finding.message).collect::<Vec<_>>()
    };
    assert_eq!(preflight(json!({})), ["`wait` needs either `for` or `until`"]);
    assert_eq!(preflight(json!({ "for": "soon" })), ["`for` is `soon`, not a duration such as `30s`"]);
    assert_eq!(preflight(json!({ "until": { "uses": "wait" } })), ["`wait` is no action that can be waited for"]);
    assert_eq!(
        preflight(json!({ "until": { "uses": "command", "with": { "argv": ["no-such-program-7"] } } })),
        ["there is no program `no-such-program-7` in the PATH"]
    );
    let verdict = json!({ "finished": "true" });
    assert_eq!(preflight(json!({ "until": { "uses": "noop", "verdict": verdict } })), ["`finished` is no verdict"]);
}

#[test]
fn the_description_says_what_is_waited_for() {
    let wait = Connectors::standard(Options::default()).for_action("wait").unwrap();
    let until = json!({ "uses": "command", "with": { "argv": ["pg_isready"] }, "verdict": { "done": "exit == 0" } });
    let with = json!({ "until": until, "stable_for": "1m30s" });
    let lines = runtime().block_on(wait.describe(&call(Path::new("/"), "wait", &with))).lines;
    assert_eq!(
        lines,
        ["wait until this holds and has held for 1m30s; looking every 5s:", "  run pg_isready", "  in /", "  done: exit == 0"]
    );
}
