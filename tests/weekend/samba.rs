//! The weekend with Samba's directory, in network, mount and process namespaces of its own: its ports are fixed, and whatever
//! is started must be gone when the test is.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::lab_support::{CHAT, Lab};
use crate::support::wanted;
use crate::world::{CONTACTS, Weekend, plan};

/// Ends at the first command whose exit code differs from what it must be.
const SCRIPT: &str = include_str!("samba.sh");

/// The DNs that an LDIF holds.
fn dns(ldif: &str) -> Vec<&str> {
    ldif.lines().filter_map(|line| line.strip_prefix("dn: ")).collect()
}

#[test]
fn with_sambas_directory_the_weekend_is_the_same() {
    if !wanted("samba-ad-dc, ldb-tools, ldap-utils, and root for namespaces of its own") {
        return;
    }
    assert!(nix::unistd::Uid::effective().is_root(), "needs root, for namespaces of its own");
    let folder = tempfile::Builder::new().prefix("relevo-lab-samba-").tempdir().unwrap();
    let weekend = Weekend { lab: Lab { folder } };
    let folder = weekend.lab.folder.path();
    let mut command = Command::new("timeout");
    command.args(["-k", "5", "480", "unshare", "-n", "-m", "-p", "-f", "--kill-child", "--mount-proc", "bash", "-c", SCRIPT]);
    command.env("R", env!("CARGO_BIN_EXE_relevo")).env("PLAN", plan("weekend"));
    command.env("FOLDER", folder).env("RELEVO_LAB", weekend.lab.dir()).env("RELEVO_MACHINE", weekend.lab.machine());
    // What it starts must not hold the test's own pipes: files, therefore.
    let [out, err] = ["out", "err"].map(|name| folder.join(name));
    let file = |path| Stdio::from(std::fs::File::create(path).unwrap());
    let status = command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err)).status().unwrap();
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let (out, err, killed) = (read(out), read(err), read(folder.join("killed.out")));
    assert!(status.success(), "{status}\n{out}\n-- stderr:\n{err}\n-- killed:\n{killed}");
    assert!(out.ends_with("# end\n"), "{out}");
    let part = |from: &str, to: &str| out.split(from).nth(1).unwrap().split(to).next().unwrap().to_owned();

    for when in ["before", "rehearsed"] {
        let of = |what: &str, next: &str| part(&format!("# {when}: {what}\n"), &format!("# {when}: {next}\n"));
        assert_eq!(dns(&of("user", "contact")), [CHAT], "{when}");
        assert!(dns(&of("contact", "tombstone")).is_empty() && dns(&of("tombstone", "end")).is_empty(), "{when}");
    }
    let written = part("# written\n", "# rehearsed: user\n");
    assert!(!written.contains("svc-mig"), "a rehearsal changes nothing: {written}");
    for when in ["run", "killed"] {
        let of = |what: &str, next: &str| part(&format!("# {when}: {what}\n"), &format!("# {when}: {next}\n"));
        assert_eq!(dns(&of("user", "contact")), Vec::<&str>::new(), "{when}");
        let (contact, tombstone) = (of("contact", "tombstone"), of("tombstone", "end"));
        let (contact, tombstone) = (dns(&contact), dns(&tombstone));
        assert!(contact.len() == 1 && contact[0].starts_with("CN={") && contact[0].ends_with(CONTACTS), "{when}: {contact:?}");
        assert!(tombstone.len() == 1 && tombstone[0].contains("DEL:"), "{when}: {tombstone:?}");
        let audit = part(&format!("# audit of the {when}\n"), "# audit ends\n");
        let lines: Vec<Value> = audit.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        for operation in ["delete", "New-CsPersistentChatEndpoint", "Import-CsPersistentChatData"] {
            let times = lines.iter().filter(|line| line["operation"] == operation && line["wrote"] == true).count();
            assert_eq!(times, 1, "{when}: {operation}: {lines:#?}");
        }
        assert!(lines.iter().any(|line| line["operation"] == "delete" && line["dn"] == CHAT && line["account"] == "svc-mig"));
    }
    // As with the embedded directory: the same people are known.
    assert!(part("# run\n", "# run: user\n").contains("has 28 warnings:"), "{out}");
    for text in ["sign-in-lab", "every step is satisfied"] {
        assert!(part("# run\n", "# run: user\n").contains(text), "`{text}` is missing: {out}");
        assert!(part("# killed\n", "# killed: user\n").contains(text), "`{text}` is missing: {out}");
    }
    weekend.assert_moved();
}
