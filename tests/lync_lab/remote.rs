//! The remote PowerShell of Lync as pypsrp sees it.

use crate::lab_support::Lab;
use crate::python;

/// Runs checks of pypsrp at `/OcsPowerShell` as an account, and says which failed.
fn failures(lab: &Lab, account: &str, group: &str) -> Option<Vec<String>> {
    let program = python::python()?;
    let mut command = python::command(&program, "lync_clients.py");
    let password = std::fs::read_to_string(lab.dir().join(format!("{account}.password"))).unwrap();
    let port = lab.info()["state"]["hosts"]["fe01"]["lync"].as_u64().unwrap().to_string();
    let user = format!("CONTOSO\\{account}");
    command.args(["--group", group, "--path", "OcsPowerShell", "--tls", "--auth", "negotiate", "--port", &port]);
    command.args(["--user", &user, "--password", password.trim_end(), "--ca", &lab.dir().join("ca.pem").display().to_string()]);
    Some(python::failures(&mut command))
}

#[track_caller]
fn holds(account: &str, group: &str) {
    let lab = Lab::new();
    lab.relevo(&["lab", "fault", "demand-binding", "fe01"]).exits(0);
    let Some(failed) = failures(&lab, account, group) else { return };
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(lab.audit().iter().all(|line| line["operation"] != "violation"));
}

#[test]
fn pypsrp_finds_a_server_of_remoting() {
    holds("svc-mig", "any");
}

#[test]
fn pypsrp_administers_the_deployment() {
    holds("svc-mig", "administrator");
}

#[test]
fn a_role_that_only_looks_has_no_cmdlets_that_change() {
    holds("svc-reader", "reader");
}

#[test]
fn who_has_no_role_does_not_enter() {
    holds("svc-blind", "nobody");
}
