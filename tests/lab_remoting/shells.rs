//! Shells: many at once, listed, left, idle; and messages of every size.

use std::time::Duration;

use relevo::remoting::client::{End, Service, Settings, Shell, exists, shells as listed};
use relevo::remoting::psrp::{Command, PipelineState};
use relevo::remoting::wsman::{Delete, Disconnect, Enumerate, FaultKind, Pull, Receive, Reconnect, names};
use uuid::Uuid;

use crate::hosts::{is_well, opened, run, service, settings, shells, state, usual};
use crate::lab_support::{Lab, wait_for};

/// A command that is not there, whose name comes back in the error that ends the pipeline.
async fn comes_back(shell: &mut Shell, name: &str) {
    let (_, end) = run(shell, Command::new(name)).await;
    let End::Finished { state: PipelineState::Failed, terminating: Some(error), .. } = &end else { panic!("{end:?}") };
    assert_eq!(error.fully_qualified_id, "CommandNotFoundException");
    assert!(error.message().contains(name), "{} bytes are missing", name.len());
}

#[tokio::test]
async fn messages_of_every_size_travel_both_ways_in_envelopes_of_every_size() {
    let lab = Lab::new();
    for envelope in [8192, 9001, 32_768, 153_600, 512_000] {
        let settings = Settings { max_envelope_size: envelope, ..settings() };
        let mut shell = Shell::open(usual(&lab, "gc01"), Uuid::new_v4(), &settings).await.unwrap();
        for size in [1, 4000, 33_000, 200_000] {
            comes_back(&mut shell, &format!("Get-{}", "ä x".repeat(size / 4))).await;
        }
        shell.close().await.unwrap();
    }
    is_well(&lab);
}

#[tokio::test]
async fn no_answer_is_larger_than_the_client_allows_and_too_small_ones_are_refused() {
    let lab = Lab::new();
    let settings = Settings { max_envelope_size: 20_000, ..settings() };
    let mut endpoint = usual(&lab, "gc01");
    // A sealed answer is a little larger than its envelope.
    endpoint.limits.answer = 20_000 + 400;
    let mut shell = Shell::open(endpoint, Uuid::new_v4(), &settings).await.unwrap();
    comes_back(&mut shell, &format!("Get-{}", "y".repeat(100_000))).await;
    shell.close().await.unwrap();
    let mut small = service(usual(&lab, "gc01"));
    small.max_envelope_size = 8191;
    names::ALL_SHELLS.clone_into(&mut small.resource);
    let error = small.call(&Enumerate { max_elements: 1 }).await.unwrap_err().to_string();
    assert!(error.contains("2150858823"), "{error}");
}

#[tokio::test]
async fn fifty_shells_at_once_each_with_a_pipeline() {
    let lab = Lab::new();
    let mut all = tokio::task::JoinSet::new();
    for number in 0..50 {
        let endpoint = usual(&lab, "gc01");
        all.spawn(async move {
            let mut shell = opened(endpoint).await;
            comes_back(&mut shell, &format!("Get-Number{number}")).await;
            shell
        });
    }
    let open = all.join_all().await;
    assert_eq!(shells(&lab, "gc01"), 50);
    assert_eq!(listed(&usual(&lab, "gc01")).await.unwrap().len(), 50);
    for shell in open {
        shell.close().await.unwrap();
    }
    assert_eq!((shells(&lab, "gc01"), shells(&lab, "gc02")), (0, 0));
    is_well(&lab);
}

#[tokio::test]
async fn an_account_has_at_most_a_hundred_shells_on_a_host() {
    let lab = Lab::new();
    let mut all = Vec::new();
    for _ in 0..100 {
        all.push(opened(usual(&lab, "gc01")).await);
    }
    let Err(error) = Shell::open(usual(&lab, "gc01"), Uuid::new_v4(), &settings()).await else { panic!("opened") };
    assert!(!error.may_have_acted() && error.to_string().contains("100"), "{error}");
    opened(usual(&lab, "gc02")).await.close().await.unwrap();
}

#[tokio::test]
async fn shells_are_pulled_a_few_at_a_time_and_none_is_missed() {
    let lab = Lab::new();
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(opened(usual(&lab, "pc01")).await.id().to_uppercase());
    }
    let mut service = Service::new(usual(&lab, "pc01"), names::ALL_SHELLS.to_owned());
    let first = service.call(&Enumerate { max_elements: 3 }).await.unwrap();
    let (mut found, mut context) = (first.shells, first.context);
    assert_eq!(found.len(), 3);
    while let Some(from) = context {
        let more = service.call(&Pull { context: from, max_elements: 3 }).await.unwrap();
        assert!(more.shells.len() <= 3);
        found.extend(more.shells);
        context = more.context;
    }
    let mut found: Vec<_> = found.into_iter().map(|shell| shell.shell_id.to_uppercase()).collect();
    found.sort();
    ids.sort();
    assert_eq!(found, ids);
    assert!(!exists(&usual(&lab, "pc01"), &Uuid::new_v4().to_string()).await.unwrap());
}

#[tokio::test]
async fn a_shell_that_is_idle_for_too_long_is_gone_and_one_that_is_waited_on_is_not() {
    let lab = Lab::new();
    let idle = Settings { idle_timeout: Some(Duration::from_millis(700)), ..settings() };
    let shell = Shell::open(usual(&lab, "gc01"), Uuid::new_v4(), &idle).await.unwrap();
    let mut service = service(usual(&lab, "gc01"));
    service.shell_id = Some(shell.id().to_owned());
    // Two seconds without a word from the server are no idleness of the client.
    let error = service.call(&Receive::stdout(None)).await.unwrap_err();
    assert_eq!(error.fault_kind(), Some(FaultKind::TimedOut), "{error}");
    assert_eq!(shells(&lab, "gc01"), 1);
    wait_for("the end of the idle shell", || shells(&lab, "gc01") == 0);
    let error = service.call(&Receive::stdout(None)).await.unwrap_err();
    assert_eq!(error.fault_kind(), Some(FaultKind::ShellNotFound), "{error}");
    assert_eq!(crate::hosts::lines(&lab, "expire-shell").len(), 1);
}

#[tokio::test]
async fn a_shell_that_was_left_answers_again_after_the_client_is_back() {
    let lab = Lab::new();
    let mut shell = opened(usual(&lab, "gc01")).await;
    let mut beside = service(usual(&lab, "gc01"));
    beside.shell_id = Some(shell.id().to_owned());
    beside.call(&Disconnect { idle_timeout: Some(Duration::from_mins(1)), drop_output: false }).await.unwrap();
    let error = beside.call(&Receive::stdout(None)).await.unwrap_err().to_string();
    assert!(error.contains("2150859222"), "{error}");
    beside.call(&Reconnect).await.unwrap();
    comes_back(&mut shell, "Get-Nothing").await;
    shell.close().await.unwrap();
    let error = beside.call(&Reconnect).await.unwrap_err();
    assert_eq!(error.fault_kind(), Some(FaultKind::ShellNotFound));
}

#[tokio::test]
async fn another_account_can_remove_a_shell_and_not_use_it() {
    let lab = Lab::new();
    let shell = opened(usual(&lab, "gc01")).await;
    let method = crate::hosts::ntlm(&lab, "CONTOSO\\Administrator", "Administrator", relevo::remoting::auth::Wrapping::Raw);
    let mut other = service(crate::hosts::endpoint(&lab, "gc01", true, method));
    other.shell_id = Some(shell.id().to_owned());
    let error = other.call(&Receive::stdout(None)).await.unwrap_err();
    assert_eq!(error.fault_kind(), Some(FaultKind::AccessDenied), "{error}");
    other.call(&Delete).await.unwrap();
    assert_eq!(shells(&lab, "gc01"), 0);
}

#[tokio::test]
async fn a_reset_ends_all_shells() {
    let lab = Lab::new();
    let mut shell = opened(usual(&lab, "gc01")).await;
    let id = shell.id().to_owned();
    assert_eq!(state(&run(&mut shell, Command::new("Get-Service")).await.1), PipelineState::Completed);
    lab.relevo(&["lab", "reset"]).exits(0);
    let mut again = service(usual(&lab, "gc01"));
    again.shell_id = Some(id);
    assert_eq!(again.call(&Delete).await.unwrap_err().fault_kind(), Some(FaultKind::ShellNotFound));
}
