//! The judge of PowerShell remoting's clients is judged itself, by clients that others wrote.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

#[path = "support/python.rs"]
mod python;

use python::{Judge, Setup};

/// Runs all of pypsrp's checks: they pass, no rule is broken, and the one effect in them happened once.
fn everything_works(setup: Setup, arguments: &[&str], logon: &str) {
    let sealing = !setup.tls && logon != "Basic";
    let Some(judge) = Judge::start(setup) else { return };
    let failed = judge.pypsrp(arguments);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    judge.assert_no_violations();
    let effects = judge.effects();
    assert_eq!(effects.len(), 1, "{effects:?}");
    assert_eq!((&effects[0]["operation"], &effects[0]["service"]), (&"Stop-Service".into(), &"Spooler".into()));
    assert_eq!(judge.services()["Spooler"]["status"], "Stopped");
    let requests = judge.requests();
    let schemes: Vec<_> =
        requests.iter().filter(|one| one["action"] == "LoggedOn").map(|one| one["scheme"].as_str().unwrap()).collect();
    assert!(!schemes.is_empty() && schemes.iter().all(|scheme| *scheme == logon), "{schemes:?}");
    // Over plain HTTP whatever can be sealed is.
    let sealed = requests.iter().filter(|one| one["sealed"] == true).count();
    let plain = requests.iter().filter(|one| one["sealed"] == false).count();
    assert_eq!((sealed > 0, plain > 0), (sealing, !sealing));
}

fn tls(arguments: &[&str]) -> Setup {
    Setup { tls: true, arguments: arguments.iter().map(|&argument| argument.to_owned()).collect() }
}

#[test]
fn pypsrp_works_with_basic_over_plain_http() {
    everything_works(Setup::default(), &["--auth", "basic"], "Basic");
}

#[test]
fn pypsrp_works_with_raw_ntlm_and_sealed_messages_at_another_path() {
    everything_works(Setup::default(), &["--auth", "ntlm", "--path", "OcsPowershell"], "Negotiate raw NTLM");
}

#[test]
fn pypsrp_works_with_spnego_and_sealed_messages() {
    everything_works(Setup::default(), &["--auth", "negotiate"], "Negotiate SPNEGO");
}

#[test]
fn pypsrp_works_with_raw_ntlm_over_tls_with_a_channel_binding() {
    everything_works(tls(&["--bindings", "required"]), &["--auth", "ntlm"], "Negotiate raw NTLM");
}

#[test]
fn pypsrp_works_with_spnego_over_tls_with_a_channel_binding() {
    everything_works(tls(&["--bindings", "required"]), &["--auth", "negotiate"], "Negotiate SPNEGO");
}

#[test]
fn pypsrp_works_with_basic_over_tls_and_another_configuration() {
    everything_works(tls(&[]), &["--auth", "basic", "--configuration", "Relevo.Test"], "Basic");
}

#[test]
fn pypsrp_works_with_a_certificate_of_its_own() {
    let Some(judge) = Judge::start(tls(&["--offer", "Certificate"])) else { return };
    let path = |name: &str| judge.folder().join(name).display().to_string();
    let failed = judge.pypsrp(&["--auth", "certificate", "--certificate", &path("client.pem"), "--key", &path("client.key")]);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    judge.assert_no_violations();
    assert!(!judge.pypsrp(&["--auth", "basic", "--only", "a_pool_opens_and_closes"]).is_empty(), "Basic is not offered");
}

#[test]
fn every_rule_of_the_judge_finds_what_breaks_it() {
    let Some(program) = python::python() else { return };
    let failed = python::failures(&mut python::command(&program, "rule_checks.py"));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_misbehaviour_that_is_asked_for_happens_and_then_is_over() {
    for (tls, auth) in [(false, "negotiate"), (true, "basic")] {
        let Some(judge) = Judge::start(Setup { tls, arguments: Vec::new() }) else { return };
        let program = python::python().expect("the judge has it");
        let mut command = python::command(&program, "nasty_checks.py");
        command.args(["--port", &judge.port().to_string(), "--auth", auth, "--folder"]).arg(judge.folder());
        if tls {
            command.args(["--tls", "--ca"]).arg(judge.folder().join("ca.pem"));
        }
        let failed = python::failures(&mut command);
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    }
}

#[test]
fn what_was_changed_outlives_the_judge_and_its_shells_do_not() {
    let Some(mut judge) = Judge::start(Setup::default()) else { return };
    assert_eq!(judge.pypsrp(&["--only", "a_service_is_stopped_once"]), Vec::<String>::new());
    judge.restart();
    assert_eq!(judge.services()["Spooler"]["status"], "Stopped");
    // What is so already is no effect, after a restart either.
    assert_eq!(judge.pypsrp(&["--only", "a_service_is_stopped_once,a_shell_that_never_was_is_gone_too"]), Vec::<String>::new());
    assert_eq!(judge.effects().len(), 1);
}
