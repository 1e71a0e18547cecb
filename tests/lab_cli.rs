//! The verbs of `relevo lab`, as a person types them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod lab_support;

use lab_support::{Lab, wait_for};

#[test]
fn up_says_where_it_is_and_goes_on_with_the_world_that_is_there() {
    let lab = Lab::new();
    let first = lab.info();
    lab.relevo(&["lab", "up"])
        .exits(0)
        .says("ldapsearch -x -H ldaps://127.0.0.1:")
        .says("relevo run PLAN --lab")
        .says("svc-blind");
    assert_eq!(lab.info()["state"]["pid"], first["state"]["pid"], "it was up already");
    lab.relevo(&["lab", "down"]).exits(0).says("is down");
    lab.relevo(&["lab", "down"]).exits(0).says("was not up");
    lab.relevo(&["lab", "info"]).exits(0).says("its world is on disk");
    lab.relevo(&["lab", "fault", "clear"]).exits(1).says("`relevo lab up` starts it");
    lab.relevo(&["lab", "up"]).exits(0);
    assert_eq!(lab.info()["state"]["ports"], first["state"]["ports"], "a targets file stays true");
}

#[test]
fn a_killed_lab_keeps_its_faults_and_a_reset_does_not() {
    let lab = Lab::new();
    lab.relevo(&["lab", "fault", "delay", "2s", "--operation", "delete", "--times", "3"]).exits(0);
    lab.relevo(&["lab", "fault", "stop-dc", "dc2"]).exits(0);
    lab.kill();
    lab.relevo(&["lab", "up"]).exits(0);
    let faults = lab.info()["state"]["faults"].clone();
    assert_eq!((&faults["stopped"][0], &faults["rules"][0]["left"]), (&"dc2".into(), &3.into()));
    lab.relevo(&["lab", "snapshot", "unkind"]).exits(0);
    lab.relevo(&["lab", "reset"]).exits(0);
    assert_eq!(lab.info()["state"]["faults"]["rules"].as_array().unwrap().len(), 0);
    lab.relevo(&["lab", "restore", "nothing"]).exits(1).says("there are unkind");
    lab.relevo(&["lab", "restore", "unkind"]).exits(0);
    assert_eq!(lab.info()["state"]["faults"]["stopped"][0], "dc2");
    lab.relevo(&["lab", "snapshot", "../out"]).exits(1).says("cannot be the name of a snapshot");
}

#[test]
fn what_it_does_not_know_is_refused_with_what_there_is() {
    let lab = Lab::new();
    lab.relevo(&["lab", "fault", "stop-dc", "dc3"]).exits(1).says("there are dc1 and dc2");
    lab.relevo(&["lab", "fault", "answer-lost", "--operation", "remove"]).exits(2).says("`remove` is no LDAP operation");
    // An order without the token is none.
    let running: serde_json::Value = serde_json::from_slice(&std::fs::read(lab.dir().join("lab.json")).unwrap()).unwrap();
    let port = u16::try_from(running["control"].as_u64().unwrap()).unwrap();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::io::Write::write_all(&mut stream, b"{\"token\":\"x\",\"order\":\"down\"}\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.contains("error"), "{answer}");
    assert_eq!(lab.info()["up"], true);
}

#[cfg(unix)]
#[test]
fn the_folder_and_its_secrets_are_for_its_owner_alone_and_the_process_has_a_session_of_its_own() {
    use std::os::unix::fs::PermissionsExt as _;
    let lab = Lab::new();
    let mode = |name: &str| std::fs::metadata(lab.dir().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("lab.json"), mode("svc-mig.password"), mode("pki/ca.key")), (0o700, 0o600, 0o600, 0o600));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(lab.info()["state"]["pid"].as_i64().unwrap()).unwrap());
    assert_eq!(nix::unistd::getsid(Some(pid)).unwrap(), pid);
}

#[test]
fn f54_garbage_gets_a_notice_of_disconnection() {
    use std::io::{Read as _, Write as _};
    let lab = Lab::new();
    let port = u16::try_from(lab.port("dc1", "ldap")).unwrap();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // Bytes that nobody read may turn the end of the connection into a reset.
    let _ = stream.read_to_end(&mut answer);
    assert!(String::from_utf8_lossy(&answer).contains("1.3.6.1.4.1.1466.20036"), "{answer:?}");
}

#[test]
fn a_plan_runs_in_the_lab_and_its_targets_are_those_of_the_lab() {
    let lab = Lab::new();
    let plan = "relevo: 1\nname: In the lab\nsteps:\n  - id: look\n    uses: ldap.search\n    with: { directory: contoso, \
base: \"OU=Service,DC=contoso,DC=lan\", where: { sAMAccountName: ocschat } }\n";
    std::fs::write(lab.folder.path().join("plan.yaml"), plan).unwrap();
    lab.relevo(&["check", "plan.yaml", "--lab"]).exits(0);
    lab.relevo(&["check", "plan.yaml", "--lab", "--connect"]).exits(0);
    lab.relevo(&["lab", "down"]).exits(0);
    lab.relevo(&["run", "plan.yaml", "--lab=keep", "--run-id", "one"]).exits(0);
    wait_for("the lab that the run has started", || lab.info()["up"] == true);
    let binds: Vec<_> = lab.audit().into_iter().filter(|line| line["account"] == "CONTOSO\\svc-mig").collect();
    assert!(!binds.is_empty(), "the plan reached the lab");
    let resolved = std::fs::read_to_string(lab.folder.path().join("runs/one/plan.resolved.json")).unwrap();
    let resolved: serde_json::Value = serde_json::from_str(&resolved).unwrap();
    assert_eq!(resolved["lab"], lab.dir().display().to_string());
    lab.relevo(&["run", "plan.yaml", "--lab", "--targets", "x.yaml"]).exits(2);
}

#[test]
fn f61_i4_a_run_does_not_start_on_another_object_than_was_rehearsed_unless_the_world_is_fresh() {
    let lab = Lab::new();
    let plan = "relevo: 1\nname: In the lab\nsteps:\n  - id: delete\n    uses: ad.user.delete\n    with: { directory: contoso, \
base: \"OU=Service,DC=contoso,DC=lan\", sip_address: sip:ocschat@contoso.lan }\n";
    std::fs::write(lab.folder.path().join("plan.yaml"), plan).unwrap();
    lab.relevo(&["rehearse", "plan.yaml", "--lab=keep"]).exits(0);
    // The same names, and every object another one.
    lab.relevo(&["lab", "reset"]).exits(0);
    let deletions = || lab.audit().into_iter().filter(|line| line["operation"] == "delete").count();
    lab.relevo(&["run", "plan.yaml", "--lab=keep"]).exits(8).says("objectGUID was").says("rehearse again");
    assert_eq!(deletions(), 0);
    lab.relevo(&["rehearse", "plan.yaml", "--lab=keep"]).exits(0);
    lab.relevo(&["run", "plan.yaml", "--lab=keep"]).exits(0);
    assert_eq!(deletions(), 1);
    lab.relevo(&["run", "plan.yaml", "--lab"]).exits(0);
}
