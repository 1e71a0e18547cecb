//! The lab's Front End against others: a SIP client that others wrote, requests out of place, garbage.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relevo::sip::Message;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConnection, StreamOwned};

use crate::lab_support::Lab;
use crate::world::{ADDRESS, ANA, SignIn as _, step};

fn secure(lab: &Lab) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(lab.dir().join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let stream = TcpStream::connect(("127.0.0.1", lab.sip_port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    StreamOwned::new(ClientConnection::new(config, "pool01.contoso.lan".try_into().unwrap()).unwrap(), stream)
}

/// What the Front End sends until it closes, or until `enough`.
fn hear(stream: &mut impl std::io::Read, enough: impl Fn(&str) -> bool) -> String {
    let (mut heard, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(count) = stream.read(&mut bytes) {
        heard.extend_from_slice(&bytes[..count]);
        if count == 0 || enough(&String::from_utf8_lossy(&heard)) {
            break;
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[test]
fn whatever_is_no_sip_ends_its_connection_and_nothing_else() {
    let lab = Lab::new();
    let huge = format!("INVITE {ADDRESS} SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n");
    let endless = format!("INVITE {ADDRESS} SIP/2.0\r\nSubject: {}", "x".repeat(40_000));
    let many = format!("INVITE {ADDRESS} SIP/2.0\r\n{}", "X: y\r\n".repeat(2000));
    for text in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\0\0\0\r\n\r\n", &huge, &endless, &many] {
        let mut stream = secure(&lab);
        let _ = stream.write_all(text.as_bytes());
        assert_eq!(hear(&mut stream, |_| false), "", "{text:.60}");
    }
    // A message that is SIP and lacks what every request has is answered.
    let mut stream = secure(&lab);
    stream.write_all(b"INFO sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(hear(&mut stream, |text| text.contains("\r\n\r\n")).starts_with("SIP/2.0 400 "));
    // One that does not go on is not waited for without end; others are served meanwhile.
    let began = Instant::now();
    let mut slow = secure(&lab);
    slow.write_all(b"INVITE sip:a@b SIP/2.0\r\nVia: ").unwrap();
    lab.runs(&step("")).exits(0);
    assert_eq!(hear(&mut slow, |_| false), "");
    assert!(began.elapsed() < Duration::from_secs(40));
}

#[test]
fn a_request_outside_of_its_call_is_told_so() {
    let lab = Lab::new();
    let mut stream = secure(&lab);
    let ask = |method: &str, to: &str, body: &str| {
        Message::request(method, ADDRESS)
            .with("Via", "SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK1")
            .with("From", &format!("<{ANA}>;tag=1"))
            .with("To", to)
            .with("Call-ID", "one")
            .with("CSeq", &format!("1 {method}"))
            .carrying("text/plain", body)
            .to_bytes()
    };
    let whole = |text: &str| text.contains("\r\n\r\n");
    for (method, code) in [("INFO", "481"), ("BYE", "481"), ("REGISTER", "405"), ("OPTIONS", "200")] {
        stream.write_all(&ask(method, &format!("<{ADDRESS}>"), "")).unwrap();
        let heard = hear(&mut stream, whole);
        assert!(heard.starts_with(&format!("SIP/2.0 {code} ")), "{method}: {heard}");
    }
    stream.write_all(&ask("INVITE", &format!("<{ADDRESS}>"), "")).unwrap();
    let heard = hear(&mut stream, whole);
    let to = heard.lines().find_map(|line| line.strip_prefix("To: ")).unwrap().to_owned();
    assert!(heard.starts_with("SIP/2.0 200 ") && to.contains(";tag="), "{heard}");
    for (to, body, code) in [
        ("<sip:x@y>;tag=other", "", "481"),
        (to.as_str(), "<no xml", "400"),
        (to.as_str(), "<xccos/>", "400"),
        (to.as_str(), "", "400"),
    ] {
        stream.write_all(&ask("INFO", to, body)).unwrap();
        let heard = hear(&mut stream, whole);
        assert!(heard.starts_with(&format!("SIP/2.0 {code} ")), "{body}: {heard}");
    }
}

/// Carries plain connections to the Front End over TLS: `sipp` of Debian speaks none.
fn tunnel(lab: &Lab) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut far = secure(lab);
    far.sock.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    std::thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        near.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut bytes = [0; 8192];
        loop {
            match near.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => far.write_all(&bytes[..count]).unwrap(),
                Err(_) => {}
            }
            match far.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => near.write_all(&bytes[..count]).unwrap(),
                Err(_) => {}
            }
        }
    });
    port
}

#[test]
fn a_client_that_others_wrote_signs_in() {
    let there = Command::new("sipp").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let all = std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all");
    assert!(there || !all, "sipp is missing; tests/run installs it");
    if !there {
        eprintln!("left out: needs sipp (tests/run installs it)");
        return;
    }
    let lab = Lab::new();
    let port = tunnel(&lab);
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lync_sign_in/sipp.xml");
    let said = Command::new("sipp")
        .args(["-sf", scenario.to_str().unwrap(), "-t", "t1", "-m", "1", "-nostdin", "-timeout", "30", "-trace_err"])
        .args(["-s", "ocschat", &format!("127.0.0.1:{port}")])
        .current_dir(lab.folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors: Vec<PathBuf> = std::fs::read_dir(lab.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("errors"))
        .collect();
    let errors: String = errors.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(said.status.success(), "{}\n{errors}", String::from_utf8_lossy(&said.stdout));
    assert_eq!(lab.invites(), [(200, "gc01.contoso.lan".to_owned())]);
}
