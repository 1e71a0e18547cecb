//! Who may log on, and how.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relevo::remoting::auth::{Login, Method, SecurityContext as _, Wrapping};
use relevo::remoting::client::{CallError, Shell, ShellError};
use relevo::remoting::http::{Why, sealed};
use relevo::remoting::psrp::{Command, PipelineState};
use relevo::remoting::wsman::{FaultKind, Identify};
use relevo::secret::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::hosts::{basic, endpoint, is_well, lines, migration, ntlm, opened, password, port, run, service, settings, state};
use crate::lab_support::Lab;
use crate::python;

/// Runs pypsrp's checks of any server, and says which failed.
fn pypsrp(lab: &Lab, arguments: &[&str], tls: bool) -> Option<Vec<String>> {
    let program = python::python()?;
    let mut command = python::command(&program, "clients.py");
    let number = port(lab, "gc01", if tls { "https" } else { "http" }).to_string();
    command.args(["--group", "any", "--user", "CONTOSO\\svc-mig", "--password", &password(lab, "svc-mig"), "--port", &number]);
    if tls {
        command.args(["--tls", "--ca", &lab.dir().join("ca.pem").display().to_string()]);
    }
    Some(python::failures(command.args(arguments)))
}

fn pypsrp_works(arguments: &[&str], tls: bool) {
    let lab = Lab::new();
    lab.relevo(&["lab", "fault", "demand-binding", "gc01"]).exits(0);
    let Some(failed) = pypsrp(&lab, arguments, tls) else { return };
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(lines(&lab, "violation"), Vec::<serde_json::Value>::new());
    is_well(&lab);
}

#[test]
fn pypsrp_works_with_raw_ntlm_and_sealed_messages() {
    pypsrp_works(&["--auth", "ntlm"], false);
}

#[test]
fn pypsrp_works_with_spnego_and_sealed_messages() {
    pypsrp_works(&["--auth", "negotiate"], false);
}

#[test]
fn pypsrp_works_with_raw_ntlm_over_tls_with_the_binding_that_is_demanded() {
    pypsrp_works(&["--auth", "ntlm"], true);
}

#[test]
fn pypsrp_works_with_spnego_over_tls_with_the_binding_that_is_demanded() {
    pypsrp_works(&["--auth", "negotiate"], true);
}

#[test]
fn pypsrp_works_with_basic_over_tls() {
    pypsrp_works(&["--auth", "basic"], true);
}

#[test]
fn a_missing_binding_is_accepted_unless_it_is_demanded_and_a_wrong_one_never() {
    let lab = Lab::new();
    let checks = "over_tls_a_missing_channel_binding_is_refused,over_tls_a_wrong_channel_binding_is_refused";
    let arguments = ["--auth", "negotiate", "--only", checks];
    let Some(failed) = pypsrp(&lab, &arguments, true) else { return };
    assert!(failed.len() == 1 && failed[0].contains("missing"), "{failed:?}");
    lab.relevo(&["lab", "fault", "demand-binding", "gc01"]).exits(0);
    assert_eq!(pypsrp(&lab, &arguments, true), Some(Vec::new()));
    lab.relevo(&["lab", "fault", "clear"]).exits(0);
    assert_eq!(pypsrp(&lab, &arguments, true).map(|failed| failed.len()), Some(1));
}

#[tokio::test]
async fn every_name_of_an_account_logs_on_by_every_way() {
    let lab = Lab::new();
    for name in ["CONTOSO\\svc-mig", "contoso\\SVC-MIG", "svc-mig@contoso.lan", "Svc-Mig@CONTOSO.LAN", "contoso.lan\\svc-mig"] {
        for (tls, wrapping) in
            [(false, Wrapping::Raw), (false, Wrapping::Spnego), (true, Wrapping::Raw), (true, Wrapping::Spnego)]
        {
            let mut shell = opened(endpoint(&lab, "gc01", tls, ntlm(&lab, name, "svc-mig", wrapping))).await;
            let (_, end) = run(&mut shell, Command::new("Get-Service")).await;
            assert_eq!(state(&end), PipelineState::Completed, "{name} {tls} {wrapping}");
            shell.close().await.unwrap();
        }
        opened(endpoint(&lab, "gc01", true, basic(&lab, name, "svc-mig"))).await.close().await.unwrap();
    }
    let accounts: Vec<_> = lines(&lab, "Get-Service").iter().map(|line| line["account"].clone()).collect();
    assert_eq!(accounts.len(), 20);
    assert!(accounts.iter().all(|account| account == "CONTOSO\\svc-mig"), "{accounts:?}");
    is_well(&lab);
}

#[tokio::test]
async fn a_wrong_password_or_name_is_refused_and_written_down_without_the_password() {
    let lab = Lab::new();
    let wrong = || Secret::new("hunter2hunter2".to_owned());
    for (tls, method) in [
        (false, migration(&lab)),
        (false, ntlm(&lab, "CONTOSO\\svc-mig", "svc-mig", Wrapping::Raw)),
        (false, ntlm(&lab, "OTHER\\svc-mig", "svc-mig", Wrapping::Raw)),
        (false, ntlm(&lab, "CONTOSO\\nobody", "svc-mig", Wrapping::Raw)),
        (true, migration(&lab)),
        (true, basic(&lab, "CONTOSO\\svc-mig", "svc-mig")),
    ] {
        let method = match method {
            Method::Ntlm { account, wrapping, .. } => Method::Ntlm { account, wrapping, password: wrong() },
            Method::Basic { account, .. } => Method::Basic { account, password: wrong() },
            other => other,
        };
        let Err(error) = Shell::open(endpoint(&lab, "gc01", tls, method), Uuid::new_v4(), &settings()).await else {
            panic!("logged on")
        };
        assert!(matches!(&error, ShellError::Call(CallError::Send(send)) if matches!(send.why, Why::Refused { .. })), "{error}");
    }
    let refused = lines(&lab, "logon");
    assert_eq!(refused.len(), 6, "{refused:?}");
    assert!(refused.iter().all(|line| line["code"] == 401 && line["wrote"] == false), "{refused:?}");
    assert_eq!(refused[3]["account"], "CONTOSO\\nobody");
    assert!(!std::fs::read_to_string(lab.dir().join("audit.jsonl")).unwrap().contains("hunter2"));
}

#[tokio::test]
async fn who_may_only_read_logs_on_and_may_not_open_a_shell() {
    let lab = Lab::new();
    for account in ["svc-reader", "svc-blind"] {
        let method = ntlm(&lab, &format!("{account}@contoso.lan"), account, Wrapping::Spnego);
        service(endpoint(&lab, "gc01", false, method.clone())).identify().await.unwrap();
        let Err(error) = Shell::open(endpoint(&lab, "gc01", false, method), Uuid::new_v4(), &settings()).await else {
            panic!("opened")
        };
        let ShellError::Call(error) = error else { panic!("{error}") };
        assert_eq!(error.fault_kind(), Some(FaultKind::AccessDenied), "{error}");
    }
    let denied = lines(&lab, "open-shell");
    assert!(denied.len() == 2 && denied.iter().all(|line| line["code"] == 5), "{denied:?}");
    opened(endpoint(&lab, "gc01", false, ntlm(&lab, "CONTOSO\\Administrator", "Administrator", Wrapping::Spnego)))
        .await
        .close()
        .await
        .unwrap();
}

/// One request by hand. Gives the status, the head, and the body.
async fn by_hand(stream: &mut TcpStream, headers: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let head = format!("POST /wsman HTTP/1.1\r\nHost: gc01\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = header(&head, "content-length").first().map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, body)
}

fn header(head: &str, name: &str) -> Vec<String> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

/// Logs on by hand, and gives what seals.
async fn logged_on(lab: &Lab, stream: &mut TcpStream, wrapping: Wrapping) -> Login {
    let mut login = Login::new(&ntlm(lab, "CONTOSO\\svc-mig", "svc-mig", wrapping), "gc01").unwrap().unwrap();
    let mut token = Vec::new();
    for _ in 0..4 {
        let step = login.step(&token, None).await.unwrap();
        if !step.token.is_empty() {
            let ours = format!("Authorization: Negotiate {}\r\n", STANDARD.encode(&step.token));
            let (_, head, _) = by_hand(stream, &ours, b"").await;
            let offers = header(&head, "www-authenticate");
            token = offers.first().map_or_else(Vec::new, |offer| STANDARD.decode(&offer["Negotiate ".len()..]).unwrap());
        }
        if step.done {
            return login;
        }
    }
    panic!("the logon has no end")
}

#[tokio::test]
async fn without_a_logon_negotiate_is_offered_and_basic_over_tls_alone() {
    let lab = Lab::new();
    let mut stream = TcpStream::connect(("127.0.0.1", port(&lab, "gc01", "http"))).await.unwrap();
    let envelope = Identify::envelope();
    let (status, head, body) = by_hand(&mut stream, "Content-Type: application/soap+xml\r\n", envelope.as_bytes()).await;
    assert_eq!((status, header(&head, "www-authenticate"), body), (401, vec!["Negotiate".to_owned()], Vec::new()));
    // Basic is not even looked at here.
    let right = STANDARD.encode(format!("CONTOSO\\svc-mig:{}", password(&lab, "svc-mig")));
    assert_eq!(by_hand(&mut stream, &format!("Authorization: Basic {right}\r\n"), envelope.as_bytes()).await.0, 401);
    // The one question that needs no logon.
    let (status, _, body) = by_hand(&mut stream, "WSMANIDENTIFY: unauthenticated\r\n", envelope.as_bytes()).await;
    assert_eq!(status, 200);
    assert!(String::from_utf8(body).unwrap().contains("IdentifyResponse"));
    // Over TLS our client says what it was offered.
    let wrong = Method::Basic { account: "x".to_owned(), password: Secret::new("x".to_owned()) };
    let error = service(endpoint(&lab, "gc01", true, wrong)).identify().await.unwrap_err();
    let CallError::Send(error) = error else { panic!("{error}") };
    assert!(matches!(&error.why, Why::Refused { offered, .. } if *offered == ["Negotiate", "Basic"]), "{error}");
}

#[tokio::test]
async fn over_plain_http_what_is_not_sealed_or_was_altered_is_refused() {
    let lab = Lab::new();
    for wrapping in [Wrapping::Raw, Wrapping::Spnego] {
        let mut stream = TcpStream::connect(("127.0.0.1", port(&lab, "gc01", "http"))).await.unwrap();
        let mut login = logged_on(&lab, &mut stream, wrapping).await;
        let envelope = Identify::envelope();
        let plain = "Content-Type: application/soap+xml;charset=UTF-8\r\n";
        let kind = format!("Content-Type: {}\r\n", sealed::content_type(sealed::SPNEGO));
        assert_eq!(by_hand(&mut stream, plain, envelope.as_bytes()).await.0, 400);
        // The logon is as good as before.
        for _ in 0..3 {
            let message = login.wrap(envelope.as_bytes()).unwrap();
            let body = sealed::encode(sealed::SPNEGO, envelope.len(), &message);
            let (status, head, body) = by_hand(&mut stream, &kind, &body).await;
            assert_eq!(status, 200);
            assert!(sealed::is_sealed(&header(&head, "content-type")[0]), "{head}");
            let (length, message) = sealed::decode(&body).unwrap();
            let answer = login.unwrap(message).unwrap();
            assert_eq!(answer.len(), length);
            assert!(String::from_utf8(answer).unwrap().contains("IdentifyResponse"));
        }
        let mut message = login.wrap(envelope.as_bytes()).unwrap();
        message.data[5] ^= 1;
        let body = sealed::encode(sealed::SPNEGO, envelope.len(), &message);
        let (status, head, _) = by_hand(&mut stream, &kind, &body).await;
        assert_eq!((status, header(&head, "connection")), (400, vec!["close".to_owned()]));
    }
    assert_eq!(lines(&lab, "unsealed").len(), 4);
    is_well(&lab);
}
