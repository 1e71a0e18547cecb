//! The lab with Samba's directory, through the program, in network, mount and process namespaces of its own: its ports
//! are fixed, and whatever is started must be gone when the test is.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::format_push_string,
    reason = "a test ends where something is not as it must be"
)]

#[allow(dead_code, reason = "one function of it is called")]
mod support;

use std::process::{Command, Output, Stdio};

use support::wanted;

/// Ends at the first command whose exit code differs from what it must be.
const SCRIPT: &str = include_str!("lab_support/samba.sh");

fn said(output: &Output) -> String {
    format!("{}\n--\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_lab_with_samba_runs_the_shipped_plan() {
    if !wanted("samba-ad-dc, ldb-tools, ldap-utils, krb5-user, and root for namespaces of its own") {
        return;
    }
    assert!(nix::unistd::Uid::effective().is_root(), "needs root, for namespaces of its own");
    let folder = tempfile::Builder::new().prefix("relevo-lab-samba-").tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "480", "unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", "bash", "-c", SCRIPT]);
    command.env("R", env!("CARGO_BIN_EXE_relevo")).env("FOLDER", folder.path()).env("RELEVO_LAB", folder.path().join("lab"));
    command.env("RELEVO_MACHINE", folder.path().join("machine"));
    // What it starts must not hold the test's own pipes: files, therefore.
    let [out, err] = ["out", "err"].map(|name| folder.path().join(name));
    let file = |path| Stdio::from(std::fs::File::create(path).unwrap());
    let status = command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err)).status().unwrap();
    let [out, err] = [out, err].map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
    assert!(status.success(), "{status}\n{out}\n-- stderr:\n{err}");
    let part = |from: &str, to: &str| out.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();
    assert!(err.contains("needs root") && err.contains("nothing was started"), "{err}");
    assert!(out.contains("Samba's directory, which knows no faults"), "{out}");
    let run = part("# run\n", "# after the reset");
    assert!(run.contains("svc-mig delete: 0 CN=ocschat,OU=Service,DC=contoso,DC=lan"), "{run}");
    assert!(run.contains("svc-mig modify: 0 CN=Chat Services,OU=Groups,DC=contoso,DC=lan"), "{run}");
    assert!(run.contains(r#""operation":"delete""#) && run.contains(r#""wrote":true"#), "{run}");
    let fresh = part("# after the reset\n", "# run from");
    assert!(!fresh.contains("svc-mig"), "the audit began anew: {fresh}");
    let moved = part("# the address moves\n", "# end\n");
    for text in [
        "dn: CN={",
        "displayName: Group Chat",
        "msRTCSIP-ApplicationDestination: CN=pcpool,CN=Pools,CN=RTC Service",
        "svc-mig delete: 0 CN=ocschat,OU=Service,DC=contoso,DC=lan",
        "Administrator add: 0 CN={",
        "svc-mig New-CsPersistentChatEndpoint: 0",
        "svc-mig Update-CsUserDatabase: 0",
    ] {
        assert!(moved.contains(text), "{text} is missing: {moved}");
    }
    let people = part("# deleted objects\n", "# run\n");
    assert_eq!(
        people.matches("description: ").count(),
        1,
        "svc-mig may look at the deleted objects, svc-blind may not: {people}"
    );
    // As many as in the embedded directory.
    assert_eq!(people.matches("CN=Lc Services,CN=Microsoft,CN=pool01").count(), 50, "{people}");
    assert!(out.contains("a part of the lab"), "{out}");
    assert!(out.ends_with("# end\n"), "{out}");
}

#[test]
fn without_sambas_programs_nothing_is_made_and_the_packages_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().join("lab");
    let mut command = Command::new(env!("CARGO_BIN_EXE_relevo"));
    command.args(["lab", "up", "--directory", "samba", "--dir"]).arg(&lab).env("PATH", folder.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains("samba-ad-dc") && said(&output).contains("ldb-tools"), "{}", said(&output));
    assert!(!lab.exists(), "something was made");
}
