//! `relevo check --connect`, the program itself, against targets that are broken in one thing each.

use std::process::{Command, Output};

use super::certificates::{self, HOST};
use super::fake::{Fake, Wire};
use super::ldap::{self, serve};
use super::{PASSWORD, Place, USER, heard_no_logon};

const PLAN: &str = "relevo: 1\nname: nothing to do\nsteps:\n  - { id: rest, uses: noop }\n";

fn check(place: &Place, address: std::net::SocketAddr, password: &str, format: &str) -> Output {
    let targets = format!(
        "relevo_targets: 1\ndirectories:\n  contoso:\n    url: ldaps://{HOST}\n    ca: ca.pem\n    timeout: 3s\n    \
         bind: {{ user: {USER}, password: {{ env: RELEVO_TEST_PASSWORD }} }}\n    addresses: {{ {HOST}: \"{address}\" }}\n\
         hosts:\n  web01: {{ url: https://web01/wsman }}\n"
    );
    std::fs::write(place.path().join("plan.yaml"), PLAN).unwrap();
    std::fs::write(place.path().join("targets.yaml"), targets).unwrap();
    Command::new(env!("CARGO_BIN_EXE_relevo"))
        .args(["check", "--connect", "--format", format])
        .arg(place.path().join("plan.yaml"))
        .env("RELEVO_TEST_PASSWORD", password)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_directory_that_answers_is_described_and_a_host_is_named_as_not_reached() {
    let place = Place::new();
    let config = place.good().config();
    // Lets in, and has no naming contexts of Active Directory.
    let fake = Fake::start(move |wire| {
        serve(wire, &config, |request| match request.tag {
            ldap::SEARCH => {
                let root = [("namingContexts", "dc=contoso,dc=lan")];
                Some([ldap::entry(request.id, "", &root), ldap::result(request.id, 0x65, 0, "")].concat())
            }
            _ => ldap::welcome(request),
        });
    });
    let output = check(&place, fake.address, PASSWORD, "text");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for word in
        ["target contoso", "answers over TLS", "expires", "2045-01-01", "not Active Directory", "target web01", "not reached"]
    {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!said.contains(PASSWORD), "{said}");
    let output = check(&place, fake.address, PASSWORD, "json");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["valid"], true);
    assert_eq!(value["connected"][0]["target"], "contoso");
    assert_eq!(value["connected"][0]["findings"][0]["level"], "ok");
}

#[test]
fn what_is_broken_decides_the_exit_code() {
    let place = Place::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = check(&place, free, PASSWORD, "text");
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
    assert!(text(&output).contains("unreachable"), "{}", text(&output));

    let silent = Fake::start(Wire::drain);
    let output = check(&place, silent.address, PASSWORD, "text");
    assert_eq!(output.status.code(), Some(69), "{}", text(&output));
    heard_no_logon(&silent.heard());

    let config = certificates::self_signed(&certificates::server()).config();
    let untrusted = Fake::start(move |wire| serve(wire, &config, ldap::welcome));
    let output = check(&place, untrusted.address, PASSWORD, "text");
    assert_eq!(output.status.code(), Some(8), "{}", text(&output));
    assert!(text(&output).contains("signed by itself"), "{}", text(&output));
    heard_no_logon(&untrusted.heard());

    let refusing = super::refusing(&place);
    let output = check(&place, refusing.address, PASSWORD, "text");
    assert_eq!(output.status.code(), Some(8), "{}", text(&output));
    assert!(text(&output).contains("password is wrong") && !text(&output).contains(PASSWORD), "{}", text(&output));

    std::fs::write(place.path().join("broken.yaml"), "relevo: 1\n").unwrap();
    let broken = Command::new(env!("CARGO_BIN_EXE_relevo"))
        .args(["check", "--connect"])
        .arg(place.path().join("broken.yaml"))
        .output()
        .unwrap();
    assert_eq!(broken.status.code(), Some(64), "{}", text(&broken));
}
