//! What goes wrong on request, and what is certain all the same.

use std::time::{Duration, Instant};

use relevo::remoting::client::{CallError, End, Limits, Shell, ShellError, terminate};
use relevo::remoting::psrp::{Command, CreatePipeline, PipelineState};
use relevo::remoting::wsman::{Delete, FaultKind};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::hosts::{is_well, lines, machine, opened, run, runs, service, settings, shells, state, stop, usual};
use crate::lab_support::{Lab, wait_for};

fn fault(lab: &Lab, arguments: &[&str]) {
    lab.relevo(&[&["lab", "fault"], arguments].concat()).exits(0);
}

/// The only line of a stop.
#[track_caller]
fn stopped(lab: &Lab) -> Json {
    let found = lines(lab, "Stop-Service");
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[tokio::test]
async fn an_effect_is_on_disk_and_in_the_audit_with_who_where_and_what() {
    let lab = Lab::new();
    let mut shell = opened(usual(&lab, "gc01")).await;
    let name = crate::hosts::victim(&lab, "gc01");
    let secret = stop(&lab, "gc01").parameter("SomePassword", "hunter2");
    run(&mut shell, secret).await;
    // With or without a parameter that it does not know, the secret is nowhere.
    assert!(!std::fs::read_to_string(lab.dir().join("audit.jsonl")).unwrap().contains("hunter2"));
    assert_eq!(state(&run(&mut shell, stop(&lab, "gc01")).await.1), PipelineState::Completed);
    assert!(!runs(&lab, "gc01") && runs(&lab, "gc02"));
    // What is so already is not written again.
    assert_eq!(state(&run(&mut shell, stop(&lab, "gc01")).await.1), PipelineState::Completed);
    let found = lines(&lab, "Stop-Service");
    assert_eq!(found.iter().filter(|line| line["wrote"] == true).count(), 1, "{found:?}");
    let line = found.iter().find(|line| line["wrote"] == true).unwrap();
    assert_eq!((&line["dc"], &line["account"]), (&Json::from("gc01"), &Json::from("CONTOSO\\svc-mig")));
    assert_eq!((&line["detail"]["parameters"]["Name"], &line["answered"]), (&Json::from(name), &Json::from(true)));
    assert_eq!(line["detail"]["shell"].as_str().unwrap(), shell.id());
    let text = lab.relevo(&["lab", "audit", "--writes"]).exits(0).out;
    assert!(text.contains("gc01 CONTOSO\\svc-mig Stop-Service: 0"), "{text}");
    shell.close().await.unwrap();
    assert_eq!(lines(&lab, "delete-shell").len(), 1);
}

/// Runs a stop that meets a fault; says how it ended, and leaves the shell.
async fn meets(lab: &Lab, arguments: &[&str]) -> End {
    let all = [arguments, &["--on", "gc01", "--operation", "Stop-Service"]].concat();
    fault(lab, &all);
    let mut shell = opened(usual(lab, "gc01")).await;
    let limits = Limits { deadline: Some(Duration::from_secs(20)), ..Limits::default() };
    let started = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![stop(lab, "gc01")]), limits).await;
    match started {
        Ok(running) => running.end().await,
        Err(error) => End::Lost(error),
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_cut_or_garbled_leaves_the_effect_and_the_client_in_doubt() {
    for kind in ["answer-lost", "answer-cut", "answer-garbled"] {
        let lab = Lab::new();
        let end = Box::pin(meets(&lab, &[kind])).await;
        assert!(matches!(&end, End::Lost(error) if error.may_have_acted()), "{kind}: {end:?}");
        assert!(!runs(&lab, "gc01"), "{kind}");
        let line = stopped(&lab);
        assert_eq!((&line["wrote"], &line["answered"]), (&Json::from(true), &Json::from(false)), "{kind}");
        // Once, as it was asked for.
        let mut shell = opened(usual(&lab, "gc01")).await;
        assert_eq!(state(&run(&mut shell, stop(&lab, "gc01")).await.1), PipelineState::Completed);
        is_well(&lab);
    }
}

#[tokio::test]
async fn a_request_that_is_lost_has_no_effect() {
    let lab = Lab::new();
    let end = Box::pin(meets(&lab, &["request-lost"])).await;
    let End::Lost(ShellError::Call(CallError::Send(error))) = &end else { panic!("{end:?}") };
    assert!(error.sent, "{error:?}");
    assert!(runs(&lab, "gc01"));
    assert_eq!(lines(&lab, "Stop-Service"), Vec::<Json>::new());
}

#[tokio::test]
async fn a_refusal_is_an_error_record_that_ends_the_pipeline_without_effect() {
    let lab = Lab::new();
    let end = Box::pin(meets(&lab, &["refuse", "5"])).await;
    let End::Finished { state: PipelineState::Failed, terminating: Some(error), .. } = &end else { panic!("{end:?}") };
    assert_eq!((error.message(), error.category.name()), ("Access is denied.", "PermissionDenied"));
    assert!(runs(&lab, "gc01"));
    assert_eq!((stopped(&lab)["wrote"].clone(), stopped(&lab)["code"].clone()), (false.into(), 2.into()));
}

#[tokio::test]
async fn a_late_answer_comes_after_the_effect() {
    let lab = Lab::new();
    fault(&lab, &["answer-late", "5s", "--on", "gc01", "--operation", "Stop-Service"]);
    let mut shell = opened(usual(&lab, "gc01")).await;
    let pipeline = CreatePipeline::new(vec![stop(&lab, "gc01")]);
    let begun = Instant::now();
    let running = shell.run(Uuid::new_v4(), pipeline, Limits::default()).await.unwrap();
    wait_for("the effect", || !runs(&lab, "gc01"));
    assert!(begun.elapsed() < Duration::from_secs(5), "the effect does not wait");
    assert_eq!(state(&running.end().await), PipelineState::Completed);
    assert!(begun.elapsed() >= Duration::from_secs(5));
}

/// Starts a stop that waits for an hour before it is done.
async fn waits<'shell>(lab: &Lab, shell: &'shell mut Shell) -> relevo::remoting::client::Running<'shell> {
    fault(lab, &["delay", "1h", "--on", "gc01", "--operation", "stop-service"]);
    let limits = Limits { grace: Duration::from_secs(20), ..Limits::default() };
    shell.run(Uuid::new_v4(), CreatePipeline::new(vec![stop(lab, "gc01")]), limits).await.unwrap()
}

/// The pipeline that waited was told to stop, and that is all.
fn never_happened(lab: &Lab) {
    wait_for("the line of the audit", || !lines(lab, "Stop-Service").is_empty());
    let line = stopped(lab);
    assert_eq!((&line["wrote"], &line["detail"]["state"]), (&Json::from(false), &Json::from("Prevented")));
    assert_eq!(line["code"], 3, "neither an error nor done");
    assert!(runs(lab, "gc01"));
    is_well(lab);
}

#[tokio::test]
async fn a_pipeline_that_is_stopped_while_it_waits_has_no_effect() {
    let lab = Lab::new();
    let mut shell = opened(usual(&lab, "gc01")).await;
    let mut running = waits(&lab, &mut shell).await;
    running.stop().await.unwrap();
    assert_eq!(state(&running.end().await), PipelineState::Stopped);
    never_happened(&lab);
    // The shell is as good as before, and the rule is used up.
    assert_eq!(state(&run(&mut shell, stop(&lab, "gc01")).await.1), PipelineState::Completed);
    assert!(!runs(&lab, "gc01"));
}

#[tokio::test]
async fn a_shell_that_is_removed_while_a_pipeline_waits_in_it_takes_the_effect_along() {
    let lab = Lab::new();
    let mut shell = opened(usual(&lab, "gc01")).await;
    let id = shell.id().to_owned();
    let running = waits(&lab, &mut shell).await;
    let gone = terminate(&usual(&lab, "gc01"), "Microsoft.PowerShell", &id, Duration::from_secs(10)).await.unwrap();
    assert!(gone.found && gone.verified);
    assert!(matches!(running.end().await, End::Lost(_)));
    never_happened(&lab);
    assert_eq!(shells(&lab, "gc01"), 0);
}

#[tokio::test]
async fn a_host_that_is_stopped_refuses_connections_and_loses_its_shells_with_what_waits_in_them() {
    let lab = Lab::new();
    let mut shell = opened(usual(&lab, "gc01")).await;
    let id = shell.id().to_owned();
    let running = waits(&lab, &mut shell).await;
    fault(&lab, &["stop-host", "gc01"]);
    assert!(matches!(running.end().await, End::Lost(_)));
    never_happened(&lab);
    let error = service(usual(&lab, "gc01")).identify().await.unwrap_err();
    assert!(!error.may_have_acted(), "{error}");
    // Another host goes on.
    opened(usual(&lab, "gc02")).await.close().await.unwrap();
    fault(&lab, &["start-host", "gc01"]);
    wait_for("the port", || std::net::TcpStream::connect(("127.0.0.1", crate::hosts::port(&lab, "gc01", "http"))).is_ok());
    let mut again = service(usual(&lab, "gc01"));
    again.shell_id = Some(id);
    assert_eq!(again.call(&Delete).await.unwrap_err().fault_kind(), Some(FaultKind::ShellNotFound));
    let mut shell = opened(usual(&lab, "gc01")).await;
    assert_eq!(state(&run(&mut shell, Command::new("Get-Service")).await.1), PipelineState::Completed);
}

#[tokio::test]
async fn a_killed_lab_comes_back_at_its_ports_with_its_state_and_without_shells() {
    let lab = Lab::new();
    let before = (lab.info()["state"]["hosts"].clone(), std::fs::read(lab.dir().join("targets.yaml")).unwrap());
    let mut shell = opened(usual(&lab, "gc01")).await;
    assert_eq!(state(&run(&mut shell, stop(&lab, "gc01")).await.1), PipelineState::Completed);
    let mut waiting = opened(usual(&lab, "gc02")).await;
    fault(&lab, &["delay", "1h", "--on", "gc02", "--operation", "Stop-Service"]);
    let id = waiting.id().to_owned();
    let pipeline = CreatePipeline::new(vec![stop(&lab, "gc02")]);
    let running = waiting.run(Uuid::new_v4(), pipeline, Limits::default()).await.unwrap();
    lab.kill();
    assert!(matches!(running.end().await, End::Lost(_)));
    lab.relevo(&["lab", "up"]).exits(0);
    assert!(!runs(&lab, "gc01") && runs(&lab, "gc02"));
    assert_eq!(before, (lab.info()["state"]["hosts"].clone(), std::fs::read(lab.dir().join("targets.yaml")).unwrap()));
    let mut again = service(usual(&lab, "gc02"));
    again.shell_id = Some(id);
    assert_eq!(again.call(&Delete).await.unwrap_err().fault_kind(), Some(FaultKind::ShellNotFound));
    opened(usual(&lab, "gc02")).await.close().await.unwrap();
}

#[tokio::test]
async fn calls_of_the_protocol_meet_faults_of_their_own() {
    let lab = Lab::new();
    fault(&lab, &["answer-lost", "--on", "gc01", "--operation", "Create"]);
    let id = Uuid::new_v4();
    let Err(error) = Shell::open(usual(&lab, "gc01"), id, &settings()).await else { panic!("opened") };
    assert!(error.may_have_acted(), "{error}");
    let gone = terminate(&usual(&lab, "gc01"), "Microsoft.PowerShell", &id.to_string(), Duration::from_secs(5)).await.unwrap();
    assert!(gone.found, "the shell was opened all the same");
    fault(&lab, &["request-lost", "--on", "gc01", "--operation", "Delete"]);
    let shell = opened(usual(&lab, "gc01")).await;
    shell.close().await.unwrap_err();
    assert_eq!(shells(&lab, "gc01"), 1);
    fault(&lab, &["refuse", "2150859173", "--on", "gc01", "--operation", "Create"]);
    let Err(error) = Shell::open(usual(&lab, "gc01"), Uuid::new_v4(), &settings()).await else { panic!("opened") };
    let ShellError::Call(error) = error else { panic!("{error}") };
    assert_eq!(error.fault_kind(), Some(FaultKind::Quota));
}

#[test]
fn a_fault_that_nothing_could_meet_is_refused() {
    let lab = Lab::new();
    lab.relevo(&["lab", "fault", "answer-lost", "--on", "gc09"]).exits(1).says("gc01");
    lab.relevo(&["lab", "fault", "stop-host", "dc1"]).exits(1).says("no host `dc1`");
    lab.relevo(&["lab", "fault", "answer-cut", "--operation", "delete"]).exits(2).says("only Windows hosts");
    lab.relevo(&["lab", "fault", "answer-lost", "--on", "gc01", "--operation", "modify"]).exits(2).says("Stop-Service");
    lab.relevo(&["lab", "fault", "delay", "1s", "--on", "gc01", "--dc", "dc1"]).exits(2);
    lab.relevo(&["lab", "fault", "delay", "1s", "--operation", "Stop-Service", "--dc", "dc1"]).exits(2).says("--dc");
}

#[tokio::test]
async fn a_snapshot_holds_the_hosts_and_their_files_and_a_reset_begins_anew() {
    let lab = Lab::new();
    let file = lab.dir().join("world/files/fs01/D/deep/er/note.txt");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "as it was").unwrap();
    lab.relevo(&["lab", "snapshot", "before"]).exits(0);
    let mut shell = opened(usual(&lab, "gc01")).await;
    assert_eq!(state(&run(&mut shell, stop(&lab, "gc01")).await.1), PipelineState::Completed);
    std::fs::write(&file, "changed").unwrap();
    std::fs::write(file.with_extension("new"), "new").unwrap();
    assert!(!runs(&lab, "gc01"));
    lab.relevo(&["lab", "restore", "before"]).exits(0);
    assert!(runs(&lab, "gc01"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "as it was");
    assert!(!file.with_extension("new").exists());
    assert_eq!(shells(&lab, "gc01"), 0);
    // The machine in memory is the one on disk.
    let mut shell = opened(usual(&lab, "gc01")).await;
    assert_eq!(state(&run(&mut shell, stop(&lab, "gc01")).await.1), PipelineState::Completed);
    assert!(!runs(&lab, "gc01"));
    lab.relevo(&["lab", "reset"]).exits(0);
    assert!(runs(&lab, "gc01") && !file.exists());
    let running = machine(&lab, "gc01");
    lab.relevo(&["lab", "down"]).exits(0);
    lab.relevo(&["lab", "restore", "before"]).exits(0);
    assert_eq!(machine(&lab, "gc01"), running);
    assert!(file.exists());
}
