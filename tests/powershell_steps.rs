//! Steps on Windows hosts, by the program itself, against PowerShell remoting as others wrote it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

mod cli_support;
#[path = "support/python.rs"]
mod python;

use std::fmt::Write as _;

use cli_support::{Desk, wait_for};
use python::{Judge, PASSWORD, Setup, USER};
use serde_json::{Value, json};

/// A host of the judge's, and a desk whose targets file names it by each of these names.
fn desk(judge: &Judge, names: &[&str], steps: &str) -> Desk {
    let mut desk = Desk::with_steps(steps);
    desk.env.push(("JUDGE_PASSWORD".to_owned(), PASSWORD.to_owned()));
    let mut targets = "relevo_targets: 1\nhosts:\n".to_owned();
    for name in names {
        let url = judge.url("/wsman");
        let _ = writeln!(
            targets,
            "  {name}: {{ url: \"{url}\", settle: {{ poll: 100ms }}, auth: {{ negotiate: {{ user: '{USER}', password: {{ env: JUDGE_PASSWORD }} }} }} }}"
        );
    }
    desk.write("targets.yaml", &targets);
    desk
}

/// A step that hands its parameters on to a cmdlet, with what else belongs to it.
fn step(id: &str, cmdlet: &str, parameters: &Value, more: &str) -> String {
    format!(
        "  - {{ id: {id}, uses: powershell, with: {{ host: web, script: '{cmdlet} @PSBoundParameters', parameters: {parameters} }}{more} }}\n"
    )
}

/// That the service is stopped, and a repetition is harmless.
const STOPPED: &str = ", effect: ensure, probe: { uses: powershell, with: { host: web, script: 'Get-Service @PSBoundParameters', \
                       parameters: { Name: Spooler } }, verdict: { done: \"first.Status == 'Stopped'\", not_done: \"first.Status == 'Running'\" } }";

/// What the judge was asked for, by action.
fn count(judge: &Judge, action: &str) -> usize {
    judge.requests().iter().filter(|request| request["action"] == action).count()
}

fn began(judge: &Judge, text: &str) -> bool {
    judge.requests().iter().any(|request| request["action"] == "Pipeline" && request["name"].as_str().unwrap().contains(text))
}

#[test]
fn a_script_gets_its_parameters_as_values_and_its_output_goes_to_later_steps() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let odd = "it's $(x) \u{2019}; \u{1f600}";
    let steps = format!(
        "{}{}",
        step("one", "Echo-Value", &json!({ "Value": odd }), ", effect: read"),
        "  - { id: two, needs: [one], uses: command, with: { argv: [printf, '%s', \"${{ steps.one.outputs.first }}\"] }, outputs: { said: { from: stdout } } }\n"
    );
    let desk = desk(&judge, &["web"], &steps);
    desk.relevo(&["run", "plan.yaml"]).exits(0);
    assert!(desk.journal().contains(&json!({ "said": odd }).to_string()), "{}", desk.journal());
    judge.assert_no_violations();
}

#[test]
fn the_shell_of_an_attempt_is_in_the_journal_before_its_pipeline_and_gone_after_it() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let desk = desk(&judge, &["web"], &step("stop", "Stop-Service", &json!({ "Name": "Spooler" }), STOPPED));
    desk.relevo(&["run", "plan.yaml"]).exits(0);
    let effects = judge.effects();
    assert_eq!(effects.len(), 1, "{effects:?}");
    let shell = effects[0]["shell"].as_str().unwrap().to_lowercase();
    let journal = desk.journal();
    let intent = journal.lines().find(|line| line.contains("attempt_started")).unwrap();
    // The shell, and where it is.
    let url = judge.url("/wsman");
    assert!(intent.contains(&format!("\"handle\":\"{shell}@{url};as=")), "{intent}");
    assert_eq!(count(&judge, "Create"), count(&judge, "Delete"), "every shell was removed");
    desk.relevo(&["explain", "stop"]).exits(0).says(&shell);
    judge.assert_no_violations();
}

#[test]
fn f12_f74_a_killed_run_ends_what_it_had_begun_before_it_looks_and_begins_anew() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let desk = desk(&judge, &["web"], &step("stop", "Stop-Service", &json!({ "Name": "Spooler", "Delay": 300 }), STOPPED));
    let mut run = desk.start(&["run", "plan.yaml"]);
    wait_for("the pipeline", || began(&judge, "Stop-Service"));
    run.kill();
    let mut resume = desk.start(&["resume", "--yes"]);
    let pipelines = |text: &str| {
        let all = judge.requests().into_iter().enumerate();
        all.filter(|(_, one)| one["action"] == "Pipeline" && one["name"].as_str().unwrap().contains(text)).collect::<Vec<_>>()
    };
    wait_for("the second attempt", || pipelines("Stop-Service").len() == 2);
    resume.kill();
    assert_eq!(judge.effects().len(), 0, "what was stopped has changed nothing");
    let (attempts, looks) = (pipelines("Stop-Service"), pipelines("Get-Service"));
    let shell = &attempts[0].1["shell"];
    let place = |action: &str| judge.requests().iter().position(|one| one["action"] == action && one["shell"] == *shell);
    let (removed, ended) = (place("Delete").expect("its shell is removed"), place("PipelineEnded").expect("it ended"));
    let look = looks.iter().map(|(at, _)| *at).find(|at| *at > attempts[0].0).expect("a look after the kill");
    assert!(removed < look && ended < look && look < attempts[1].0, "removed {removed}, ended {ended}, looked {look}");
    judge.assert_no_violations();
}

#[test]
fn without_a_probe_a_killed_script_goes_to_a_person() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let desk = desk(&judge, &["web"], &step("slow", "Start-Slow", &json!({ "Seconds": 300, "Effect": "x" }), ""));
    let mut run = desk.start(&["run", "plan.yaml"]);
    wait_for("the pipeline", || began(&judge, "Start-Slow"));
    run.kill();
    desk.relevo(&["resume", "--yes"]).exits(4).says("an opaque effect cannot be probed").says("removed");
    assert_eq!(judge.effects().len(), 0);
    assert_eq!(judge.requests().iter().filter(|one| one["action"] == "PipelineEnded").count(), 1, "it was ended all the same");
}

#[test]
fn f69_a_lost_answer_is_unknown_and_the_probe_finds_the_effect() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let desk = desk(&judge, &["web"], &step("stop", "Stop-Service", &json!({ "Name": "Spooler" }), STOPPED));
    // The look before the attempt has one Receive of its own.
    judge.misbehave(&json!([{ "on": "Receive", "nth": 2, "times": 1, "do": "drop", "bytes": 40, "settle": true }]));
    desk.relevo(&["run", "plan.yaml"]).exits(0);
    assert_eq!(judge.effects().len(), 1);
    let journal = desk.journal();
    assert!(journal.contains("\"unknown\""), "{journal}");
    assert_eq!(journal.matches("attempt_started").count(), 1, "{journal}");
}

#[test]
fn f72_an_error_does_not_decide_whether_it_was_done() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let complains = json!({ "Name": "Spooler", "Complain": "the service did not respond in time" });
    let desk = desk(&judge, &["web"], &step("stop", "Stop-Service", &complains, STOPPED));
    desk.relevo(&["run", "plan.yaml"]).exits(0);
    let journal = desk.journal();
    assert!(journal.contains("did not respond in time") && journal.contains("\"unknown\""), "{journal}");
    assert_eq!((judge.effects().len(), journal.matches("attempt_started").count()), (1, 1));
}

#[test]
fn an_error_of_what_was_not_done_fails_the_step_with_its_words() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let desk = desk(&judge, &["web"], &step("stop", "Throw-Terminating", &json!({ "Message": "access is denied" }), STOPPED));
    desk.relevo(&["run", "plan.yaml"]).exits(3).says("access is denied").says("not done");
    let unknown = step("none", "Set-Nothing", &json!({}), ", effect: once");
    desk.steps(&unknown);
    desk.forget_runs();
    desk.relevo(&["run", "plan.yaml"]).exits(3).says("Set-Nothing").says("is not recognized");
}

#[test]
fn f70_a_server_that_dies_in_mid_pipeline_is_waited_for() {
    let Some(mut judge) = Judge::start(Setup::default()) else { return };
    let again = format!("{STOPPED}, retry: {{ attempts: 2, interval: 50ms }}");
    let desk = desk(&judge, &["web"], &step("stop", "Stop-Service", &json!({ "Name": "Spooler", "Delay": 2 }), &again));
    let run = desk.start(&["run", "plan.yaml"]);
    wait_for("the pipeline", || began(&judge, "Stop-Service"));
    judge.restart();
    run.wait().exits(0);
    assert_eq!(judge.effects().len(), 1, "the first attempt died with the server");
    assert!(desk.journal().contains("does not list it"), "{}", desk.journal());
}

#[test]
fn f66_a_wrong_password_is_sent_once_however_many_steps_want_in() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut steps = String::new();
    for host in ["a", "b", "c", "d"] {
        steps += &step(host, "Get-Service", &json!({}), ", effect: read").replace("host: web", &format!("host: {host}"));
    }
    let mut desk = desk(&judge, &["a", "b", "c", "d"], &steps);
    desk.env.retain(|(name, _)| name != "JUDGE_PASSWORD");
    desk.env.push(("JUDGE_PASSWORD".to_owned(), "wrong-Passw0rd".to_owned()));
    let said = desk.relevo(&["run", "plan.yaml"]).says("refuses the logon").says("would lock the account");
    assert_ne!(said.code, Some(0));
    said.keeps_silent_about("wrong-Passw0rd");
    assert_eq!(count(&judge, "LogonRefused"), 1, "{:?}", judge.requests());
}

#[test]
fn i12_s10_s26_a_secret_parameter_reaches_the_script_and_nothing_else() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let steps = "  - { id: one, uses: powershell, effect: read, with: { host: web, script: 'Echo-Value @PSBoundParameters', secrets: { Value: { env: THE_SECRET } } } }\n";
    let mut desk = desk(&judge, &["web"], steps);
    desk.env.push(("THE_SECRET".to_owned(), "hunter2-and-more".to_owned()));
    desk.relevo(&["run", "plan.yaml", "--format", "json"]).exits(0).keeps_silent_about("hunter2");
    let journal = desk.journal();
    assert!(journal.contains("[secret]") && !journal.contains("hunter2"), "{journal}");
    desk.relevo(&["explain", "one", "--by-hand"]).exits(0).says("Read-Host").keeps_silent_about("hunter2");
}

#[test]
fn a_survey_tells_what_a_host_is_and_what_is_wrong_with_it() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let desk = desk(&judge, &["web"], &step("one", "Get-Service", &json!({}), ", effect: read"));
    desk.relevo(&["check", "plan.yaml", "--connect"]).exits(0).says("logged on as `LAB\\admin`").says("Microsoft.PowerShell");
    drop(judge);
    desk.relevo(&["check", "plan.yaml", "--connect"]).exits(69).says("cannot connect");
    desk.relevo(&["run", "plan.yaml"]).exits(69).says("cannot connect");
}

#[test]
fn i11_a_rehearsal_looks_and_does_not_touch() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let steps = format!(
        "{}{}",
        step("stop", "Stop-Service", &json!({ "Name": "Spooler" }), STOPPED),
        step("entry", "Add-Entry", &json!({ "Text": "x" }), "")
    );
    let desk = desk(&judge, &["web"], &steps);
    desk.relevo(&["rehearse", "plan.yaml"]).exits(0).says("Stop-Service @PSBoundParameters").says("only parsed");
    assert_eq!(judge.effects().len(), 0);
    assert!(!began(&judge, "Stop-Service") && !began(&judge, "Add-Entry"));
    assert!(began(&judge, "Get-Service"), "the probe is real");
}
