//! Leaving a shell that goes on, coming back, and what is left behind when somebody is killed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

#[path = "support/python.rs"]
mod python;
mod remoting_support;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use python::{Judge, Setup};
use relevo::remoting::auth::Wrapping;
use relevo::remoting::client::{End, Limits, Shell, ShellError, exists, terminate};
use relevo::remoting::clixml::Value;
use relevo::remoting::psrp::{Command, CreatePipeline, EventKind, PipelineState};
use remoting_support::{endpoint, ntlm, opened, outputs, settings, started, state};
use serde_json::json;
use uuid::Uuid;

const CONFIGURATION: &str = "Microsoft.PowerShell";

fn echo(text: &str) -> Command {
    Command::new("Echo-Value").parameter("Value", Value::from(text))
}

/// Says `waiting`, and `seen` once the file is there.
fn waits_for(file: &Path) -> CreatePipeline {
    CreatePipeline::new(vec![Command::new("Wait-Until").parameter("File", Value::from(file.to_str().unwrap()))])
}

/// Waits until the judge has seen it.
async fn seen(judge: &Judge, what: impl Fn(&serde_json::Value) -> bool) {
    let look = async {
        while !judge.requests().iter().any(&what) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), look).await.expect("it happens");
}

#[tokio::test]
async fn a_shell_that_was_left_is_as_good_as_before_when_its_client_comes_back() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    started(&mut shell, echo("one"), Limits::default()).await;
    shell.can_disconnect().unwrap();
    shell.disconnect(Some(Duration::from_mins(5))).await.unwrap();
    // What is so already is not asked for again.
    shell.disconnect(None).await.unwrap();
    let refused = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![echo("x")]), Limits::default()).await.err().unwrap();
    assert!(!refused.may_have_acted(), "{refused}");
    shell.reconnect().await.unwrap();
    shell.reconnect().await.unwrap();
    let (events, end) = started(&mut shell, echo("two"), Limits::default()).await;
    assert_eq!((state(&end), outputs(&events)), (PipelineState::Completed, vec!["two".to_owned()]));
    shell.close().await.unwrap();
    judge.assert_no_violations();
    let requests = judge.requests();
    let count = |action: &str| requests.iter().filter(|one| one["action"] == action).count();
    assert_eq!((count("Disconnect"), count("Reconnect"), count("Connect")), (1, 1, 0));
}

#[tokio::test]
async fn a_pipeline_that_was_left_in_the_middle_is_read_further_without_losing_anything() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Spnego)).await;
    let (id, file) = (Uuid::new_v4(), judge.folder().join("go"));
    let mut running = shell.run(id, waits_for(&file), Limits::default()).await.unwrap();
    while !matches!(running.next().await.expect("it waits"), EventKind::Output(_)) {}
    let begun = Instant::now();
    // A Receive waits for more just now.
    let rest = running.disconnect(None).await.unwrap();
    assert!(begun.elapsed() < settings().operation_timeout + Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(outputs(&rest), Vec::<String>::new());
    // It ends while nobody listens.
    std::fs::write(&file, "").unwrap();
    seen(&judge, |one| one["action"] == "PipelineEnded").await;
    shell.reconnect().await.unwrap();
    let mut running = shell.resume(id, Limits::default()).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = running.next().await {
        events.push(event);
    }
    assert_eq!((state(&running.end().await), outputs(&events)), (PipelineState::Completed, vec!["seen".to_owned()]));
    let (events, _) = started(&mut shell, echo("again"), Limits::default()).await;
    assert_eq!(outputs(&events), ["again"]);
    shell.close().await.unwrap();
    judge.assert_no_violations();
    // To the shell, and to what runs in it.
    assert_eq!(judge.requests().iter().filter(|one| one["action"] == "Reconnect").count(), 2);
}

#[tokio::test]
async fn another_client_that_only_knows_the_ids_takes_the_shell_over_and_reads_the_running_pipeline() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let endpoint = endpoint(&judge, ntlm(Wrapping::Raw));
    let (shell_id, id, file) = (Uuid::new_v4(), Uuid::new_v4(), judge.folder().join("go"));
    let mut first = Shell::open(endpoint.clone(), shell_id, &settings()).await.unwrap();
    let mut running = first.run(id, waits_for(&file), Limits::default()).await.unwrap();
    while !matches!(running.next().await.expect("it waits"), EventKind::Output(_)) {}
    running.disconnect(None).await.unwrap();
    drop(first);

    let mut second = Shell::connect(endpoint, shell_id, &settings()).await.unwrap();
    let mut running = second.resume(id, Limits::default()).await.unwrap();
    std::fs::write(&file, "").unwrap();
    let mut events = Vec::new();
    while let Some(event) = running.next().await {
        events.push(event);
    }
    assert_eq!((state(&running.end().await), outputs(&events)), (PipelineState::Completed, vec!["seen".to_owned()]));
    let (events, end) = started(&mut second, echo("mine"), Limits::default()).await;
    assert_eq!((state(&end), outputs(&events)), (PipelineState::Completed, vec!["mine".to_owned()]));
    second.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn a_shell_that_somebody_uses_or_that_is_gone_is_not_taken_over() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let endpoint = endpoint(&judge, ntlm(Wrapping::Raw));
    let shell_id = Uuid::new_v4();
    let mut shell = Shell::open(endpoint.clone(), shell_id, &settings()).await.unwrap();
    for id in [shell_id, Uuid::new_v4()] {
        let error = Shell::connect(endpoint.clone(), id, &settings()).await.err().unwrap();
        assert!(matches!(error, ShellError::Call(_)), "{error}");
    }
    // A command that never was.
    let error = shell.resume(Uuid::new_v4(), Limits::default()).await.err().unwrap();
    assert!(matches!(error, ShellError::Call(_)), "{error}");
    // The shell did not suffer from it.
    let (events, _) = started(&mut shell, echo("mine"), Limits::default()).await;
    assert_eq!(outputs(&events), ["mine"]);
    // Somebody else took it over meanwhile: who left it does not come back.
    shell.disconnect(None).await.unwrap();
    let other = Shell::connect(endpoint, shell_id, &settings()).await.unwrap();
    let error = shell.reconnect().await.unwrap_err();
    assert!(matches!(error, ShellError::Call(_)), "{error}");
    other.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn a_server_of_powershell_2_is_not_even_asked_to_let_a_shell_go_on() {
    let Some(judge) = Judge::start(Setup { arguments: vec!["--old".to_owned()], ..Setup::default() }) else { return };
    let endpoint = endpoint(&judge, ntlm(Wrapping::Raw));
    let shell_id = Uuid::new_v4();
    let mut shell = Shell::open(endpoint.clone(), shell_id, &settings()).await.unwrap();
    for error in [shell.can_disconnect().unwrap_err(), shell.disconnect(None).await.unwrap_err()] {
        assert!(matches!(&error, ShellError::Unsupported { version: Some(version) } if version == "2.1"), "{error}");
        assert!(!error.may_have_acted() && error.to_string().contains("PowerShell 3.0"), "{error}");
    }
    assert!(judge.requests().iter().all(|one| one["action"] != "Disconnect"));
    let (events, _) = started(&mut shell, echo("on"), Limits::default()).await;
    assert_eq!(outputs(&events), ["on"]);
    // Who does not know what it speaks to hears it from the server's fault.
    let error = Shell::connect(endpoint, shell_id, &settings()).await.err().unwrap();
    assert!(matches!(error, ShellError::Unsupported { version: None }), "{error}");
    shell.close().await.unwrap();
}

#[tokio::test]
async fn a_farewell_that_is_not_answered_leaves_the_shell_in_doubt_and_terminate_settles_it() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    judge.misbehave(&json!([{ "on": "Disconnect", "do": "drop", "bytes": 0 }]));
    let error = shell.disconnect(None).await.unwrap_err();
    assert!(error.may_have_acted(), "{error}");
    let id = shell.id().to_owned();
    let done = terminate(&endpoint(&judge, ntlm(Wrapping::Raw)), CONFIGURATION, &id, Duration::from_secs(30)).await.unwrap();
    assert!(done.found && done.verified, "{done:?}");
}

#[test]
fn pypsrp_takes_over_a_shell_of_the_same_judge_that_another_client_left() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let only = "a_disconnected_pool_is_reconnected,a_disconnected_pool_is_taken_over_by_another_client";
    assert_eq!(judge.pypsrp(&["--only", only]), Vec::<String>::new());
    judge.assert_no_violations();
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_of_a_pipeline_leaves_it_in_doubt() {
    let Some(mut judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let pipeline = waits_for(Path::new("/nonexistent/file"));
    let mut running = shell.run(Uuid::new_v4(), pipeline, Limits::default()).await.unwrap();
    while !matches!(running.next().await.expect("it waits"), EventKind::Output(_)) {}
    judge.kill();
    while running.next().await.is_some() {}
    let end = running.end().await;
    assert!(matches!(&end, End::Lost(error) if error.may_have_acted()), "{end:?}");
    let error = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![echo("x")]), Limits::default()).await.err().unwrap();
    assert!(!error.may_have_acted(), "{error}");
}

#[tokio::test]
async fn a_pipeline_whose_reading_fails_is_in_doubt_even_where_the_failed_call_is_certain() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    // Not executed, says the fault: that is about the Receive alone.
    for code in [5, 2_150_858_843_u32] {
        let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
        judge.misbehave(&json!([{ "on": "Receive", "do": "fault", "code": code }]));
        let command = Command::new("Add-Entry").parameter("Text", Value::from("x"));
        let (_, end) = started(&mut shell, command, Limits::default()).await;
        assert!(matches!(&end, End::Lost(error) if error.may_have_acted()), "{end:?}");
        judge.misbehave(&json!([]));
        shell.close().await.unwrap();
    }
}

/// The process that is killed: opens the shell that it is told, starts a command with a late effect, and says so.
#[tokio::test]
async fn helper_that_is_killed() {
    if std::env::var_os("RELEVO_TEST_URL").is_none() {
        // Nobody has started this process for it.
        return;
    }
    let told = |name: &str| std::env::var(name).expect("the test says it");
    let account = relevo::remoting::auth::Account::parse(python::USER).unwrap();
    let password = relevo::secret::Secret::new(python::PASSWORD.to_owned());
    let method = relevo::remoting::auth::Method::Ntlm { account, password, wrapping: Wrapping::Raw };
    let endpoint = remoting_support::plain(&told("RELEVO_TEST_URL"), method);
    let mut shell = Shell::open(endpoint, told("RELEVO_TEST_SHELL").parse().unwrap(), &settings()).await.unwrap();
    let seconds = told("RELEVO_TEST_SECONDS").parse().unwrap();
    let command = Command::new("Start-Slow").parameter("Seconds", Value::Double(seconds));
    let command = command.parameter("Effect", Value::from("late"));
    let running = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), Limits::default()).await.unwrap();
    println!("begun");
    // Until it is killed, or the command has ended.
    running.end().await;
    std::future::pending::<()>().await;
}

/// A client is killed in the middle of a command, or after its effect; then the shell is removed from another process.
async fn killed_and_terminated(seconds: f64, wait_for_effect: bool) {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let shell_id = Uuid::new_v4();
    let mut client = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_is_killed", "--nocapture"])
        .env("RELEVO_TEST_URL", judge.url("/wsman"))
        .env("RELEVO_TEST_SHELL", shell_id.to_string())
        .env("RELEVO_TEST_SECONDS", seconds.to_string())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let wanted = if wait_for_effect { "PipelineEnded" } else { "Pipeline" };
    seen(&judge, |one| one["action"] == wanted).await;
    // SIGKILL.
    client.kill().await.unwrap();
    let before = judge.effects().len();
    assert_eq!(before, usize::from(wait_for_effect));
    let endpoint = endpoint(&judge, ntlm(Wrapping::Raw));
    let done = terminate(&endpoint, CONFIGURATION, &shell_id.to_string(), Duration::from_secs(30)).await.unwrap();
    assert!(done.found && done.verified, "{done:?}");
    // Everything that was in the shell has ended, so that nothing comes after, however long one waits.
    let requests = judge.requests();
    let ended = requests.iter().filter(|one| one["action"] == "PipelineEnded").count();
    assert_eq!(ended, requests.iter().filter(|one| one["action"] == "Pipeline").count());
    assert_eq!(judge.effects().len(), before);
    assert!(!exists(&endpoint, &shell_id.to_string()).await.unwrap());
    judge.assert_no_violations();
}

#[tokio::test]
async fn after_a_client_was_killed_before_the_effect_terminate_makes_sure_that_it_never_happens() {
    killed_and_terminated(600.0, false).await;
}

#[tokio::test]
async fn after_a_client_was_killed_behind_the_effect_terminate_does_nothing_twice() {
    killed_and_terminated(0.1, true).await;
}
