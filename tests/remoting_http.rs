//! One authenticated connection against servers that misbehave: what was sent, what is certain, where it may go.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relevo::remoting::auth::{Account, Method, Wrapping};
use relevo::remoting::http::{Address, Client, Endpoint, Limits, Phase, SendError, Verification, Why};
use relevo::secret::Secret;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml;charset=UTF-8\r\nContent-Length: 4\r\n\r\n<a/>";
const WAIT: Duration = Duration::from_secs(20);

/// What a scripted server does with one request.
#[derive(Clone)]
enum Say {
    /// Writes this and waits for the next request.
    Answer(Vec<u8>),
    /// Writes this and closes.
    Close(Vec<u8>),
    /// Writes this and then nothing more.
    Stall(Vec<u8>),
    /// Writes this for ever.
    Endless(Vec<u8>, Vec<u8>),
}

/// A TLS server for `localhost` that says one thing per request, the last one for ever.
struct Server {
    port: u16,
    authority: CertificateDer<'static>,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

async fn server(script: Vec<Say>) -> Server {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        port: listener.local_addr().unwrap().port(),
        authority: certificate.der().clone(),
        requests: Arc::default(),
        connections: Arc::default(),
    };
    let (requests, connections) = (Arc::clone(&server.requests), Arc::clone(&server.connections));
    let script = Arc::new(script);
    let next = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.fetch_add(1, Ordering::SeqCst);
            let (acceptor, requests, script, next) =
                (acceptor.clone(), Arc::clone(&requests), Arc::clone(&script), Arc::clone(&next));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while let Some(request) = request(&mut stream).await {
                    requests.lock().unwrap().push(request);
                    let place = next.fetch_add(1, Ordering::SeqCst).min(script.len() - 1);
                    match script[place].clone() {
                        Say::Answer(bytes) => stream.write_all(&bytes).await.unwrap(),
                        Say::Close(bytes) => {
                            let _ = stream.write_all(&bytes).await;
                            let _ = stream.shutdown().await;
                            return;
                        }
                        Say::Stall(bytes) => {
                            let _ = stream.write_all(&bytes).await;
                            let _ = stream.flush().await;
                            std::future::pending::<()>().await;
                        }
                        Say::Endless(head, more) => {
                            let _ = stream.write_all(&head).await;
                            while stream.write_all(&more).await.is_ok() {}
                            return;
                        }
                    }
                }
            });
        }
    });
    server
}

/// Head and body of a request; `None` when the client has gone.
async fn request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0; 1];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap()));
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

impl Server {
    fn endpoint(&self) -> Endpoint {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Endpoint {
            address: Address::parse(&format!("https://localhost:{}/wsman", self.port), false).unwrap(),
            connect_to: Some(format!("127.0.0.1:{}", self.port)),
            tls: Some(Arc::new(config)),
            verification: Verification::Full,
            method: Method::Basic { account: "admin".to_owned(), password: Secret::new("hunter2".to_owned()) },
            redirects: Vec::new(),
            limits: Limits { answer: 100_000, ..Limits::default() },
        }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn failure(endpoint: Endpoint, patience: Duration) -> SendError {
    let mut client = Client::new(endpoint);
    tokio::time::timeout(WAIT, client.post("<ask/>", patience)).await.expect("it ends").expect_err("no answer")
}

fn ntlm() -> Method {
    let account = Account::parse("LAB\\admin").unwrap();
    Method::Ntlm { account, password: Secret::new("x".to_owned()), wrapping: Wrapping::Raw }
}

#[tokio::test]
async fn several_requests_go_over_one_connection() {
    let server = server(vec![Say::Answer(GOOD.to_vec())]).await;
    let mut client = Client::new(server.endpoint());
    for _ in 0..3 {
        let answer = client.post("<ask/>", WAIT).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"<a/>".as_slice()));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let requests = server.requests();
    assert!(requests[0].starts_with("POST /wsman HTTP/1.1\r\n") && requests[0].ends_with("<ask/>"), "{}", requests[0]);
    assert!(requests[0].contains("authorization: Basic YWRtaW46aHVudGVyMg==\r\n"), "{}", requests[0]);
}

#[tokio::test]
async fn s18_basic_and_certificates_over_plain_http_are_refused_before_anything_connects() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut endpoint = server(vec![Say::Answer(GOOD.to_vec())]).await.endpoint();
    endpoint.address = Address::parse(&format!("http://{}/wsman", listener.local_addr().unwrap()), false).unwrap();
    endpoint.connect_to = None;
    for method in [endpoint.method.clone(), Method::Certificate] {
        endpoint.method = method;
        let error = failure(endpoint.clone(), WAIT).await;
        assert!(!error.sent && matches!(error.why, Why::Forbidden(_)), "{error:?}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_certificate_method_without_a_certificate_is_refused() {
    let server = server(vec![Say::Answer(GOOD.to_vec())]).await;
    let error = failure(Endpoint { method: Method::Certificate, ..server.endpoint() }, WAIT).await;
    assert!(!error.sent && matches!(error.why, Why::Forbidden(_)), "{error:?}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn f47_nothing_was_sent_where_nobody_listens() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = server(vec![Say::Answer(GOOD.to_vec())]).await.endpoint();
    let error = failure(Endpoint { connect_to: Some(format!("127.0.0.1:{port}")), ..endpoint }, WAIT).await;
    assert!(!error.sent && matches!(error.why, Why::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_never_speaks_tls_is_given_up_and_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut endpoint = server(vec![Say::Answer(GOOD.to_vec())]).await.endpoint();
    endpoint.connect_to = Some(listener.local_addr().unwrap().to_string());
    endpoint.limits.connect = Duration::from_millis(200);
    let error = failure(endpoint, WAIT).await;
    assert!(!error.sent && matches!(error.why, Why::Timeout { phase: Phase::Connect, .. }), "{error:?}");
}

#[tokio::test]
async fn f67_s16_a_certificate_that_is_not_trusted_or_names_another_host_is_refused() {
    let server = server(vec![Say::Answer(GOOD.to_vec())]).await;
    let mut endpoint = server.endpoint();
    let none = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    endpoint.tls = Some(Arc::new(none));
    let error = failure(endpoint.clone(), WAIT).await;
    assert!(!error.sent && matches!(error.why, Why::Tls { .. }), "{error:?}");

    let mut other = server.endpoint();
    other.address.host = "elsewhere".to_owned();
    other.connect_to = Some(format!("127.0.0.1:{}", server.port));
    let error = failure(other, WAIT).await;
    assert!(!error.sent && matches!(error.why, Why::Tls { .. }), "{error:?}");
    assert!(server.requests().is_empty());

    // A blank reason is none.
    endpoint.verification = Verification::Skipped { reason: "  ".to_owned() };
    assert!(matches!(failure(endpoint.clone(), WAIT).await.why, Why::Forbidden(_)));
    endpoint.verification = Verification::Skipped { reason: "the old pool has a certificate of its own".to_owned() };
    assert!(Client::new(endpoint).post("<ask/>", WAIT).await.is_ok());
}

#[tokio::test]
async fn f49_an_answer_cut_at_any_byte_leaves_the_request_in_doubt() {
    let script = (0..GOOD.len()).map(|end| Say::Close(GOOD[..end].to_vec())).collect();
    let server = server(script).await;
    for end in 0..GOOD.len() {
        let error = failure(server.endpoint(), WAIT).await;
        assert!(error.sent, "cut at {end}: {error:?}");
    }
    assert_eq!(server.requests().len(), GOOD.len(), "nothing was repeated");
}

#[tokio::test]
async fn f48_s44_a_slow_head_and_a_slow_body_end_in_doubt_when_time_is_up() {
    for end in [0, 10, GOOD.len() - 2] {
        let server = server(vec![Say::Stall(GOOD[..end].to_vec())]).await;
        let error = failure(server.endpoint(), Duration::from_millis(300)).await;
        assert!(error.sent && matches!(error.why, Why::Timeout { phase: Phase::Answer, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn f71_an_answer_that_is_too_large_is_refused_whatever_it_announces() {
    let declared = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: 10000000000\r\n\r\n".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"1000\r\n".as_slice(), &[b'x'; 0x1000], b"\r\n"].concat();
    for say in [Say::Stall(declared), Say::Endless(chunked, chunk)] {
        let server = server(vec![say]).await;
        let error = failure(server.endpoint(), WAIT).await;
        assert!(error.sent && matches!(error.why, Why::TooLarge { limit: 100_000 }), "{error:?}");
    }
    let server = server(vec![Say::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-More: and more\r\n".to_vec())]).await;
    let error = failure(server.endpoint(), WAIT).await;
    assert!(error.sent && matches!(error.why, Why::Broken(_)), "{error:?}");
}

#[tokio::test]
async fn what_is_no_answer_of_the_protocol_leaves_the_request_in_doubt() {
    for text in [
        "\0\u{1}garbage\r\n\r\n",
        "HTTP/1.1 503 x\r\nContent-Length: 3\r\n\r\nbad",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let server = server(vec![Say::Close(text.as_bytes().to_vec())]).await;
        let error = failure(server.endpoint(), WAIT).await;
        assert!(error.sent && matches!(error.why, Why::Broken(_) | Why::Status { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn f54_a_connection_that_was_closed_meanwhile_is_replaced() {
    let server = server(vec![Say::Close(GOOD.to_vec()), Say::Answer(GOOD.to_vec())]).await;
    let mut client = Client::new(server.endpoint());
    client.post("<one/>", WAIT).await.unwrap();
    // The close must have arrived, else it is a race that ends in doubt.
    tokio::time::timeout(WAIT, async {
        while server.connections.load(Ordering::SeqCst) < 2 {
            match client.post("<two/>", WAIT).await {
                Ok(_) => {}
                Err(error) => assert!(error.sent, "{error:?}"),
            }
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_refused_logon_says_what_the_server_offers_and_is_tried_once() {
    let refusal = b"HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: Kerberos\r\nContent-Length: 0\r\n\r\n";
    let server = server(vec![Say::Answer(refusal.to_vec())]).await;
    let error = failure(server.endpoint(), WAIT).await;
    assert!(!error.sent);
    assert!(matches!(&error.why, Why::Refused { offered, .. } if offered == &["Negotiate", "Kerberos"]), "{error:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_server_that_lets_anybody_in_has_not_proved_who_it_is() {
    let server = server(vec![Say::Answer(GOOD.to_vec())]).await;
    let error = failure(Endpoint { method: ntlm(), ..server.endpoint() }, WAIT).await;
    assert!(!error.sent && matches!(error.why, Why::Auth(_)), "{error:?}");
    assert!(server.requests().iter().all(|request| !request.contains("<ask/>")));
}

#[tokio::test]
async fn hostile_tokens_in_the_handshake_are_errors() {
    for token in ["", "TlRMTVNTUAAC", "!!!", &"QUFB".repeat(5000), "TlRMTVNTUAACAAAA/////////////////////w=="] {
        let answer = format!("HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate {token}\r\nContent-Length: 0\r\n\r\n");
        let server = server(vec![Say::Answer(answer.into_bytes())]).await;
        for wrapping in [Wrapping::Raw, Wrapping::Spnego] {
            let account = Account::parse("LAB\\admin").unwrap();
            let method = Method::Ntlm { account, password: Secret::new("x".to_owned()), wrapping };
            let error = failure(Endpoint { method, ..server.endpoint() }, WAIT).await;
            assert!(!error.sent && matches!(error.why, Why::Auth(_) | Why::Refused { .. }), "{token}: {error:?}");
        }
    }
}

fn redirect(to: &str) -> Say {
    Say::Answer(format!("HTTP/1.1 302 x\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

#[tokio::test]
async fn f56_s21_a_redirect_is_followed_only_to_hosts_that_are_allowed() {
    let there = server(vec![Say::Answer(GOOD.to_vec())]).await;
    let here = server(vec![redirect(&format!("https://localhost:{}/there", there.port))]).await;
    let error = failure(here.endpoint(), WAIT).await;
    assert!(!error.sent && matches!(error.why, Why::Redirect { .. }), "{error:?}");
    assert_eq!(there.connections.load(Ordering::SeqCst), 0);

    let mut endpoint = here.endpoint();
    endpoint.redirects = vec!["LOCALHOST".to_owned()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(here.authority.clone()).unwrap();
    roots.add(there.authority.clone()).unwrap();
    endpoint.tls = Some(Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()));
    let mut client = Client::new(endpoint);
    client.post("<ask/>", WAIT).await.unwrap();
    assert!(there.requests()[0].starts_with("POST /there ") && there.requests()[0].ends_with("<ask/>"));
    assert_eq!(client.address().path, "/there");
}

#[tokio::test]
async fn a_redirect_never_leaves_tls_nor_goes_round_in_circles() {
    let here = server(vec![redirect("http://localhost:1/x")]).await;
    let mut endpoint = here.endpoint();
    endpoint.redirects = vec!["localhost".to_owned()];
    let error = failure(endpoint, WAIT).await;
    assert!(!error.sent && matches!(error.why, Why::Redirect { why: "it leaves TLS", .. }), "{error:?}");

    let circle = server(vec![redirect("/wsman")]).await;
    let error = failure(circle.endpoint(), WAIT).await;
    assert!(!error.sent && matches!(error.why, Why::Redirect { .. }), "{error:?}");
    assert!(circle.requests().len() < 10);

    let nowhere = server(vec![redirect("")]).await;
    assert!(matches!(failure(nowhere.endpoint(), WAIT).await.why, Why::Redirect { .. }));
}

/// A challenge of NTLM ([MS-NLMP] section 2.2.1.2) with the names that Windows gives, in base64.
fn challenge() -> String {
    use base64::Engine as _;
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let pair =
        |id: u16, value: &[u8]| [&id.to_le_bytes()[..], &u16::try_from(value.len()).unwrap().to_le_bytes(), value].concat();
    let names = [
        pair(2, &wide("LAB")),
        pair(1, &wide("WEB1")),
        pair(4, &wide("lab.local")),
        pair(3, &wide("web1.lab.local")),
        pair(7, &0x01dc_0000_0000_0000_u64.to_le_bytes()),
        pair(0, b""),
    ]
    .concat();
    let target = wide("LAB");
    let field = |length: usize, offset: u32| {
        let length = u16::try_from(length).unwrap().to_le_bytes();
        [&length[..], &length, &offset.to_le_bytes()].concat()
    };
    let message = [
        b"NTLMSSP\0\x02\0\0\0".to_vec(),
        field(target.len(), 56),
        0xe289_8235_u32.to_le_bytes().to_vec(),
        vec![7; 8],
        vec![0; 8],
        field(names.len(), 62),
        vec![10, 0, 0x63, 0x45, 0, 0, 0, 15],
        target,
        names,
    ]
    .concat();
    base64::engine::general_purpose::STANDARD.encode(message)
}

#[tokio::test]
async fn a_web_server_that_wants_a_logon_with_each_request_gets_it() {
    let challenge = Say::Answer(
        format!("HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate {}\r\nContent-Length: 0\r\n\r\n", challenge()).into_bytes(),
    );
    let empty = Say::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let refusal = Say::Answer(b"HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n".to_vec());
    let good = Say::Answer(GOOD.to_vec());
    let server = server(vec![challenge.clone(), empty, refusal, challenge.clone(), good.clone(), challenge, good]).await;
    let mut client = Client::new(Endpoint { method: ntlm(), ..server.endpoint() });
    client.post("<one/>", WAIT).await.unwrap();
    client.post("<two/>", WAIT).await.unwrap();
    let requests = server.requests();
    let bodies: Vec<&str> = requests.iter().map(|request| request.rsplit("\r\n\r\n").next().unwrap()).collect();
    assert_eq!(bodies, ["", "", "<one/>", "<one/>", "<one/>", "<two/>", "<two/>"]);
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_answer_to_a_request_is_in_doubt_even_if_the_token_beside_it_cannot_be_read() {
    let challenge = Say::Answer(
        format!("HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate {}\r\nContent-Length: 0\r\n\r\n", challenge()).into_bytes(),
    );
    let empty = Say::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let refusal = Say::Answer(b"HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n".to_vec());
    let bad = b"HTTP/1.1 200 OK\r\nWWW-Authenticate: Negotiate !\r\nContent-Type: application/soap+xml\r\nContent-Length: 4\r\n\r\n<a/>";
    let server = server(vec![challenge.clone(), empty, refusal, challenge, Say::Answer(bad.to_vec())]).await;
    let error = failure(Endpoint { method: ntlm(), ..server.endpoint() }, WAIT).await;
    assert!(error.sent && matches!(error.why, Why::Auth(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_refuses_every_request_is_asked_twice_and_no_more() {
    let challenge = Say::Answer(
        format!("HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate {}\r\nContent-Length: 0\r\n\r\n", challenge()).into_bytes(),
    );
    let empty = Say::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let refusal = Say::Answer(b"HTTP/1.1 401 x\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n".to_vec());
    let server = server(vec![challenge.clone(), empty, refusal.clone(), challenge, refusal]).await;
    let error = failure(Endpoint { method: ntlm(), ..server.endpoint() }, WAIT).await;
    assert!(!error.sent && matches!(error.why, Why::Refused { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 5);
}
