//! The client of PowerShell remoting against a server of other people's code (psrpcore, pyspnego).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

#[path = "support/python.rs"]
mod python;
mod remoting_support;

use std::time::Duration;

use python::{Judge, PASSWORD, Setup, USER};
use relevo::remoting::auth::{Account, Method, Wrapping};
use relevo::remoting::client::{CallError, End, Limits, Settings, Shell, ShellError, Truncated, exists, terminate};
use relevo::remoting::clixml::Value;
use relevo::remoting::http::Why;
use relevo::remoting::psrp::{Command, CreatePipeline, EventKind, PipelineState};
use relevo::secret::Secret;
use remoting_support::{basic, endpoint, ntlm, opened, outputs, settings, started, state, tls};
use serde_json::json;
use uuid::Uuid;

/// Opens a shell, has a difficult value echoed, closes it; and no rule is broken.
async fn everything_works(setup: Setup, method: Method, scheme: &str) {
    let tls = setup.tls;
    let Some(judge) = Judge::start(setup) else { return };
    let mut shell = opened(&judge, method).await;
    let value = "a\r\nb \u{1f600} _x000D_ \u{7}";
    let command = Command::new("Echo-Value").parameter("Value", Value::from(value));
    let (events, end) = started(&mut shell, command, Limits::default()).await;
    assert_eq!(state(&end), PipelineState::Completed);
    assert_eq!(outputs(&events), [value]);
    shell.close().await.unwrap();
    judge.assert_no_violations();
    let requests = judge.requests();
    let logons: Vec<_> = requests.iter().filter(|one| one["action"] == "LoggedOn").map(|one| one["scheme"].clone()).collect();
    assert!(logons.iter().all(|logon| logon == scheme), "{logons:?}");
    assert!(requests.iter().filter(|one| one.get("sealed").is_some()).all(|one| one["sealed"] == !tls), "{requests:?}");
}

#[tokio::test]
async fn raw_ntlm_seals_every_message_over_plain_http() {
    everything_works(Setup::default(), ntlm(Wrapping::Raw), "Negotiate raw NTLM").await;
}

#[tokio::test]
async fn ntlm_in_spnego_seals_every_message_over_plain_http() {
    everything_works(Setup::default(), ntlm(Wrapping::Spnego), "Negotiate SPNEGO").await;
}

#[tokio::test]
async fn s20_raw_ntlm_over_tls_brings_the_channel_binding_that_the_server_demands() {
    everything_works(tls(&["--bindings", "required"]), ntlm(Wrapping::Raw), "Negotiate raw NTLM").await;
}

#[tokio::test]
async fn s20_ntlm_in_spnego_over_tls_brings_the_channel_binding_that_the_server_demands() {
    everything_works(tls(&["--bindings", "required"]), ntlm(Wrapping::Spnego), "Negotiate SPNEGO").await;
}

#[tokio::test]
async fn basic_works_over_tls() {
    everything_works(tls(&[]), basic(), "Basic").await;
}

#[tokio::test]
async fn a_client_certificate_works_over_tls() {
    everything_works(tls(&["--offer", "Certificate"]), Method::Certificate, "Certificate").await;
}

#[tokio::test]
async fn a_user_principal_name_is_an_account_too() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let account = Account::parse("admin@lab.local").unwrap();
    let method = Method::Ntlm { account, password: Secret::new(PASSWORD.to_owned()), wrapping: Wrapping::Spnego };
    opened(&judge, method).await.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_nothing_was_done() {
    for (setup, method) in
        [(Setup::default(), ntlm(Wrapping::Raw)), (Setup::default(), ntlm(Wrapping::Spnego)), (tls(&[]), basic())]
    {
        let Some(judge) = Judge::start(setup) else { return };
        let method = match method {
            Method::Ntlm { account, wrapping, .. } => {
                Method::Ntlm { account, password: Secret::new("wrong".to_owned()), wrapping }
            }
            _ => Method::Basic { account: USER.to_owned(), password: Secret::new("wrong".to_owned()) },
        };
        let Err(error) = Shell::open(endpoint(&judge, method), Uuid::new_v4(), &settings()).await else { panic!("logged on") };
        assert!(!error.may_have_acted(), "{error}");
        assert!(matches!(&error, ShellError::Call(CallError::Send(send)) if matches!(send.why, Why::Refused { .. })), "{error}");
    }
}

#[tokio::test]
async fn a_parameter_larger_than_an_envelope_comes_back_whole() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let value = "0123456789abcdef".repeat(25_000);
    let command = Command::new("Echo-Value").parameter("Value", Value::from(value.as_str()));
    let (events, end) = started(&mut shell, command, Limits::default()).await;
    assert_eq!(state(&end), PipelineState::Completed);
    assert!(outputs(&events) == [value]);
    shell.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn f69_a_slow_command_outlives_many_operation_timeouts() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let slow = Settings { operation_timeout: Duration::from_millis(500), ..settings() };
    let mut shell = Shell::open(endpoint(&judge, ntlm(Wrapping::Spnego)), Uuid::new_v4(), &slow).await.unwrap();
    let command = Command::new("Start-Slow").parameter("Seconds", Value::I32(3));
    let (events, end) = started(&mut shell, command, Limits::default()).await;
    assert_eq!((state(&end), outputs(&events)), (PipelineState::Completed, vec!["slow".to_owned()]));
    let receives = judge.requests().iter().filter(|one| one["action"] == "Receive").count();
    assert!(receives >= 3, "{receives}");
    shell.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn several_pipelines_run_in_one_shell_one_after_the_other() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    for number in 0..3 {
        let command = Command::new("Echo-Value").parameter("Value", Value::from(number.to_string().as_str()));
        let (events, end) = started(&mut shell, command, Limits::default()).await;
        assert_eq!((state(&end), outputs(&events)), (PipelineState::Completed, vec![number.to_string()]));
    }
    let logons = judge.requests().iter().filter(|one| one["action"] == "LoggedOn").count();
    assert_eq!(logons, 1);
    shell.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn a_terminating_error_comes_with_its_text() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let command = Command::new("Throw-Terminating").parameter("Message", Value::from("boom: user not found"));
    let (_, end) = started(&mut shell, command, Limits::default()).await;
    let End::Finished { state: PipelineState::Failed, terminating: Some(error), .. } = end else { panic!("{end:?}") };
    assert!(error.message().contains("boom: user not found"), "{error:?}");
    shell.close().await.unwrap();
}

#[tokio::test]
async fn a_pipeline_is_stopped_while_a_receive_waits() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let long = Settings { operation_timeout: Duration::from_mins(1), ..settings() };
    let mut shell = Shell::open(endpoint(&judge, ntlm(Wrapping::Raw)), Uuid::new_v4(), &long).await.unwrap();
    let command = Command::new("Wait-Until").parameter("File", Value::from("/nonexistent/file"));
    let mut running = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), Limits::default()).await.unwrap();
    while !matches!(running.next().await.expect("it waits"), EventKind::Output(_)) {}
    let begun = std::time::Instant::now();
    running.stop().await.unwrap();
    assert_eq!(state(&running.end().await), PipelineState::Stopped);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    // The shell is as good as before.
    let command = Command::new("Echo-Value").parameter("Value", Value::from("x"));
    assert_eq!(state(&started(&mut shell, command, Limits::default()).await.1), PipelineState::Completed);
    shell.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn f73_a_pipeline_is_stopped_at_our_deadline() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let command = Command::new("Wait-Until").parameter("File", Value::from("/nonexistent/file"));
    let limits = Limits { deadline: Some(Duration::from_secs(1)), ..Limits::default() };
    let (_, end) = started(&mut shell, command, limits).await;
    let End::Finished { state: PipelineState::Stopped, truncated: Some(Truncated::Deadline), .. } = end else {
        panic!("{end:?}")
    };
    shell.close().await.unwrap();
}

#[tokio::test]
async fn f52_a_pipeline_that_cannot_be_stopped_is_lost_after_the_grace() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let command = Command::new("Start-Slow").parameter("Seconds", Value::I32(20)).switch("Deaf");
    let limits = Limits { deadline: Some(Duration::from_millis(200)), grace: Duration::from_secs(1), ..Limits::default() };
    let (_, end) = started(&mut shell, command, limits).await;
    assert!(matches!(&end, End::Lost(error) if error.may_have_acted()), "{end:?}");
    let again = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![Command::new("Echo-Value")]), Limits::default()).await;
    assert!(matches!(again.err(), Some(ShellError::Left)));
}

#[tokio::test]
async fn f71_endless_output_is_stopped_at_the_limit_and_marked() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let command = Command::new("Write-Endless").parameter("Size", Value::I32(10_000));
    let limits = Limits { output: 500_000, ..Limits::default() };
    let (events, end) = started(&mut shell, command, limits).await;
    let End::Finished { state: PipelineState::Stopped, truncated: Some(Truncated::Output), .. } = end else { panic!("{end:?}") };
    let size: usize = outputs(&events).iter().map(String::len).sum();
    assert!(size < 1_500_000, "{size}");
    shell.close().await.unwrap();
}

#[tokio::test]
async fn output_that_nobody_takes_is_not_asked_for() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let command = Command::new("Write-Endless").parameter("Size", Value::I32(10_000));
    let limits = Limits { deadline: Some(Duration::from_secs(3)), ..Limits::default() };
    let mut running = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), limits).await.unwrap();
    // The deadline passes while nothing is taken.
    tokio::time::timeout(Duration::from_mins(1), async {
        while !judge.requests().iter().any(|one| one["action"] == "Signal") {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let receives = judge.requests().iter().filter(|one| one["action"] == "Receive").count();
    assert!(receives < 20, "{receives}");
    while running.next().await.is_some() {}
    assert_eq!(state(&running.end().await), PipelineState::Stopped);
    shell.close().await.unwrap();
}

#[tokio::test]
async fn a_resume_finds_the_shell_by_its_id_and_removes_it() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let endpoint = endpoint(&judge, ntlm(Wrapping::Raw));
    let id = Uuid::new_v4();
    let mut shell = Shell::open(endpoint.clone(), id, &settings()).await.unwrap();
    let text = id.to_string();
    assert!(shell.id().eq_ignore_ascii_case(&text));
    assert!(exists(&endpoint, &text).await.unwrap());
    let command = Command::new("Start-Slow").parameter("Seconds", Value::I32(60)).parameter("Effect", Value::from("late"));
    let running = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), Limits::default()).await.unwrap();
    // As a crash would leave it.
    drop(running);
    let done = terminate(&endpoint, "Microsoft.PowerShell", &text, Duration::from_secs(30)).await.unwrap();
    assert!(done.found && done.verified, "{done:?}");
    assert!(!exists(&endpoint, &text).await.unwrap());
    let again = terminate(&endpoint, "Microsoft.PowerShell", &text, Duration::from_secs(30)).await.unwrap();
    assert!(!again.found && again.verified, "{again:?}");
    assert!(judge.effects().is_empty(), "{:?}", judge.effects());
    shell.close().await.unwrap();
}

#[tokio::test]
async fn f69_an_answer_that_is_lost_or_wrong_leaves_the_command_in_doubt() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    for rule in [
        json!({ "do": "drop", "bytes": 0 }),
        json!({ "do": "drop", "bytes": 100 }),
        json!({ "do": "garbage" }),
        json!({ "do": "garbage", "plain": true }),
        json!({ "do": "truncated" }),
        json!({ "do": "endless" }),
        json!({ "do": "declared" }),
        json!({ "do": "plain" }),
        json!({ "do": "bad_seal" }),
        json!({ "do": "bad_length" }),
        json!({ "do": "relates_to" }),
        json!({ "do": "status", "status": 503 }),
        json!({ "do": "fault_after", "code": 995 }),
        json!({ "do": "close" }),
    ] {
        let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
        let mut misbehaviour = rule.clone();
        misbehaviour["on"] = json!("Command");
        judge.misbehave(&json!([misbehaviour]));
        let command = CreatePipeline::new(vec![Command::new("Echo-Value").parameter("Value", Value::from("x"))]);
        let error = shell.run(Uuid::new_v4(), command, Limits::default()).await.err().expect("no answer");
        assert!(error.may_have_acted(), "{rule}: {error}");
        judge.misbehave(&json!([]));
        shell.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_command_that_the_server_refuses_is_certainly_not_done() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    for code in [5, 2_150_859_173_u32] {
        judge.misbehave(&json!([{ "on": "Command", "do": "fault", "code": code }]));
        let command = CreatePipeline::new(vec![Command::new("Echo-Value").parameter("Value", Value::from("x"))]);
        let error = shell.run(Uuid::new_v4(), command, Limits::default()).await.err().expect("a fault");
        assert!(!error.may_have_acted(), "{error}");
    }
    shell.close().await.unwrap();
}

#[tokio::test]
async fn f54_a_forgotten_logon_and_a_closed_connection_are_renewed_without_doing_anything_twice() {
    for rule in [json!({ "do": "unauthorized" }), json!({ "do": "close_after", "header": true })] {
        let Some(judge) = Judge::start(Setup::default()) else { return };
        let mut shell = opened(&judge, ntlm(Wrapping::Spnego)).await;
        let mut misbehaviour = rule.clone();
        misbehaviour["on"] = json!("Command");
        judge.misbehave(&json!([misbehaviour]));
        let command = Command::new("Echo-Value").parameter("Value", Value::from("x"));
        let (events, end) = started(&mut shell, command, Limits::default()).await;
        assert_eq!((state(&end), outputs(&events)), (PipelineState::Completed, vec!["x".to_owned()]), "{rule}");
        let requests = judge.requests();
        assert_eq!(requests.iter().filter(|one| one["action"] == "LoggedOn").count(), 2, "{rule}");
        assert_eq!(requests.iter().filter(|one| one["action"] == "Pipeline").count(), 1, "{rule}");
        shell.close().await.unwrap();
        // A request that was turned away is the same when it comes again; this judge has looked at it before its 401.
        let others = judge.violations().into_iter().filter(|one| one["rule"] != "a MessageID is used once").count();
        assert_eq!(others, 0, "{:?}", judge.violations());
    }
}

#[tokio::test]
async fn a_lost_receive_loses_the_pipeline() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    judge.misbehave(&json!([{ "on": "Receive", "do": "drop", "bytes": 50 }]));
    let command = Command::new("Echo-Value").parameter("Value", Value::from("x"));
    let (_, end) = started(&mut shell, command, Limits::default()).await;
    assert!(matches!(&end, End::Lost(error) if error.may_have_acted()), "{end:?}");
    judge.misbehave(&json!([]));
    shell.close().await.unwrap();
}

#[tokio::test]
async fn a_server_that_answers_timeouts_at_once_is_not_asked_without_pause() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    judge.misbehave(&json!([{ "on": "Receive", "do": "at_once", "times": 0 }]));
    let command = Command::new("Start-Slow").parameter("Seconds", Value::I32(1));
    let (events, end) = started(&mut shell, command, Limits::default()).await;
    assert_eq!((state(&end), outputs(&events)), (PipelineState::Completed, vec!["slow".to_owned()]));
    let receives = judge.requests().iter().filter(|one| one["action"] == "Receive").count();
    assert!((2..40).contains(&receives), "{receives}");
    shell.close().await.unwrap();
}

#[tokio::test]
async fn a_question_to_the_host_is_refused_and_the_pipeline_ends() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let (events, _) = started(&mut shell, Command::new("Read-Prompt"), Limits::default()).await;
    assert!(events.iter().any(|event| matches!(event, EventKind::HostCall { refused: true, .. })), "{events:?}");
    shell.close().await.unwrap();
    judge.assert_no_violations();
}
