//! Sessions of the directory connector against servers that are wrong in one thing each. In every case in which the
//! server did not prove who it is, it must have heard nothing that belongs to a logon.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod certificates;
mod check;
mod fake;
mod ldap;
#[path = "../directory/proxy.rs"]
#[expect(dead_code, reason = "the other tests count what is said, too")]
mod proxy;
mod slapd;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use relevo::connector::directory::dn::{Address, Dn};
use relevo::connector::directory::filter::Filter;
use relevo::connector::directory::guid::Guid;
use relevo::connector::directory::session::{
    Deleted, Dialer, OpenError, Outcomes, Scope, Server, Session, Trouble, Writer, Written,
};
use relevo::connector::directory::target::{Bind, Target, Url};
use relevo::secret::SecretRef;
use relevo::time::Span;

use certificates::{Authority, HOST, Identity};
use fake::{Fake, Heard, Wire};
use ldap::{START_TLS, serve};

const PASSWORD: &str = "Correct-Horse-42";
const USER: &str = "svc-mig@contoso.lan";
/// Long enough for a handshake on a busy machine.
const PATIENT: Span = Span::from_secs(15);
/// For servers that are known not to answer.
const SHORT: Span = Span::from_millis(400);

/// A folder with an authority and a password.
struct Place {
    folder: tempfile::TempDir,
    authority: Authority,
    ca: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("Contoso test authority");
        let ca = authority.write(folder.path());
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        Place { folder, authority, ca }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn good(&self) -> Identity {
        self.authority.sign(&certificates::server())
    }

    fn target(&self, address: SocketAddr, start_tls: bool, timeout: Span) -> Target {
        Target {
            name: "contoso".to_owned(),
            url: Url { start_tls, host: HOST.to_owned(), port: if start_tls { 389 } else { 636 } },
            global_catalog: None,
            ca: Some(self.ca.clone()),
            bind: Bind::Simple { user: USER.to_owned(), password: SecretRef::File(self.path().join("password")) },
            domain: None,
            addresses: [(HOST.to_owned(), address.to_string())].into(),
            timeout,
            stable_for: SHORT,
            poll: SHORT,
            settle_timeout: None,
        }
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn open(target: &Target) -> Result<Session, OpenError> {
    wait(Dialer::default().open(target, &Server::Url))
}

fn refused(target: &Target) -> OpenError {
    match open(target) {
        Ok(_) => panic!("the server was taken for a good one"),
        Err(error) => error,
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Neither the password, nor the name, nor the beginning of a logon.
fn heard_no_logon(heard: &Heard) {
    for bytes in [&heard.wire, &heard.plain] {
        assert!(!holds(bytes, PASSWORD.as_bytes()), "the password was heard");
        assert!(!holds(bytes, USER.as_bytes()), "the name was heard");
    }
    assert!(heard.plain.is_empty(), "something was sent over TLS that was not to be trusted: {:?}", heard.plain);
}

/// A server with this certificate is refused, with all of these words.
fn certificate_is_refused(place: &Place, identity: &Identity, words: &[&str]) {
    for start_tls in [false, true] {
        let config = identity.config();
        let fake = Fake::start(move |wire| {
            if start_tls {
                agree_to_start_tls(wire);
            }
            serve(wire, &config, ldap::welcome);
        });
        let error = refused(&place.target(fake.address, start_tls, PATIENT));
        assert_eq!(error.kind, Trouble::Tls, "{error}");
        for word in words {
            assert!(error.message.contains(word), "`{word}` is not in: {error}");
        }
        heard_no_logon(&fake.heard());
    }
}

/// Reads the request in the clear, and agrees.
fn agree_to_start_tls(wire: &mut Wire) {
    read_start_tls(wire);
    std::io::Write::write_all(wire, &ldap::result(1, 0x78, 0, "")).unwrap();
}

fn read_start_tls(wire: &mut Wire) {
    let mut request = [0; 31];
    std::io::Read::read_exact(wire, &mut request).unwrap();
    assert!(holds(&request, START_TLS));
}

#[test]
fn a_certificate_that_is_good_is_let_through_by_both_ways() {
    let place = Place::new();
    for start_tls in [false, true] {
        let config = place.good().config();
        let fake = Fake::start(move |wire| {
            if start_tls {
                agree_to_start_tls(wire);
            }
            serve(wire, &config, ldap::welcome);
        });
        let session = open(&place.target(fake.address, start_tls, PATIENT)).unwrap();
        assert_eq!(session.root().host, HOST);
        assert_eq!(session.about().certificate_expires, "2045-01-01T00:00:00Z".parse().ok());
        assert_eq!(session.root().time, "2026-11-22T17:10:19Z".parse().ok());
        drop(session);
        let heard = fake.heard();
        assert!(!holds(&heard.wire, PASSWORD.as_bytes()), "the password went over the wire as it is");
        assert!(holds(&heard.plain, PASSWORD.as_bytes()), "the logon was inside TLS");
        let first = if start_tls { &heard.wire[31..] } else { &heard.wire[..] };
        assert_eq!(first[0], 0x16, "the first byte after that is of a TLS handshake");
    }
}

#[test]
fn f67_s16_an_expired_certificate_is_refused() {
    let place = Place::new();
    let mut params = certificates::server();
    params.not_after = rcgen::date_time_ymd(2024, 6, 30);
    certificate_is_refused(&place, &place.authority.sign(&params), &["expired", "2024-06-30"]);
}

#[test]
fn f67_s16_a_certificate_of_the_future_is_refused() {
    let place = Place::new();
    let mut params = certificates::server();
    params.not_before = rcgen::date_time_ymd(2044, 1, 2);
    certificate_is_refused(&place, &place.authority.sign(&params), &["not valid yet", "2044-01-02", "clock"]);
}

#[test]
fn f67_s16_a_certificate_for_another_name_is_refused_and_both_names_are_told() {
    let place = Place::new();
    let mut params = certificates::server();
    params.subject_alt_names = vec![rcgen::SanType::DnsName("dc2.contoso.lan".try_into().unwrap())];
    certificate_is_refused(&place, &place.authority.sign(&params), &[HOST, "dc2.contoso.lan"]);
}

#[test]
fn f67_s16_a_certificate_of_an_unknown_authority_is_refused() {
    let place = Place::new();
    let other = Authority::new("Somebody else");
    certificate_is_refused(&place, &other.sign(&certificates::server()), &["authority", "not trusted"]);
}

#[test]
fn f67_s16_a_certificate_that_signs_itself_is_refused_as_such() {
    let place = Place::new();
    certificate_is_refused(&place, &certificates::self_signed(&certificates::server()), &["signed by itself"]);
    let mut authority = certificates::server();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    certificate_is_refused(&place, &certificates::self_signed(&authority), &["signed by itself"]);
}

#[test]
fn without_an_authority_of_its_own_a_target_trusts_only_the_system() {
    let place = Place::new();
    let config = place.good().config();
    let fake = Fake::start(move |wire| serve(wire, &config, ldap::welcome));
    let mut target = place.target(fake.address, false, PATIENT);
    target.ca = None;
    // A system without any store says that; both ways nothing is sent.
    let error = refused(&target);
    assert!(matches!(error.kind, Trouble::Tls | Trouble::Local), "{error}");
    heard_no_logon(&fake.heard());
}

#[test]
fn a_file_without_a_certificate_vouches_for_nobody() {
    let place = Place::new();
    let fake = Fake::start(Wire::drain);
    let mut target = place.target(fake.address, false, PATIENT);
    for (text, word) in
        [("", "holds no certificate"), ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used")]
    {
        std::fs::write(&place.ca, text).unwrap();
        let error = refused(&target);
        assert_eq!(error.kind, Trouble::Local, "{error}");
        assert!(error.message.contains(word), "{error}");
    }
    target.ca = Some(place.path().join("missing.pem"));
    assert!(refused(&target).message.contains("missing.pem"));
    assert_eq!(fake.heard().wire, b"");
}

#[test]
fn f67_f68_what_speaks_no_tls_is_told_as_such() {
    let place = Place::new();
    let answers: [(&[u8], &str); 4] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks no TLS"),
        (b"\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x02\x04\x00\x04\x00", "speaks no TLS"),
        // The alert `protocol_version` (RFC 8446 section 6), as a server of TLS 1.0 or 1.1 sends it.
        (b"\x15\x03\x01\x00\x02\x02\x46", "before 1.2"),
        (b"", "broke off in the TLS handshake"),
    ];
    for (answer, word) in answers {
        let fake = Fake::start(move |wire| {
            let mut some = [0; 64];
            let _ = std::io::Read::read(wire, &mut some);
            let _ = std::io::Write::write_all(wire, answer);
            if !answer.is_empty() {
                wire.drain();
            }
        });
        let error = refused(&place.target(fake.address, false, PATIENT));
        assert_eq!(error.kind, Trouble::Tls, "{error}");
        assert!(error.message.contains(word), "`{word}` is not in: {error}");
        heard_no_logon(&fake.heard());
    }
}

#[test]
fn f67_a_server_that_chooses_an_old_version_of_tls_is_refused() {
    let place = Place::new();
    // A ServerHello of TLS 1.1: version 3.2, 32 bytes of random, no session, ECDHE-RSA-AES256-SHA, no compression.
    let mut hello = vec![0x02, 0x00, 0x00, 38, 0x03, 0x02];
    hello.extend([7; 32]);
    hello.extend([0x00, 0xc0, 0x14, 0x00]);
    let record = [&[0x16, 0x03, 0x02, 0x00, u8::try_from(hello.len()).unwrap()][..], &hello].concat();
    let fake = Fake::start(move |wire| {
        let mut some = [0; 64];
        let _ = std::io::Read::read(wire, &mut some);
        let _ = std::io::Write::write_all(wire, &record);
        wire.drain();
    });
    let error = refused(&place.target(fake.address, false, PATIENT));
    assert_eq!(error.kind, Trouble::Tls, "{error}");
    assert!(error.message.contains("before 1.2"), "{error}");
    heard_no_logon(&fake.heard());
}

#[test]
fn f68_s17_a_start_tls_that_is_refused_ends_there() {
    let place = Place::new();
    let answers: [(Vec<u8>, &str); 6] = [
        (ldap::result(1, 0x78, 52, "TLS is not set up"), "refuses StartTLS (code 52, unavailable: TLS is not set up)"),
        (ldap::result(1, 0x78, 2, ""), "code 2, protocolError"),
        (ldap::result(0, 0x78, 52, "shutting down"), "refuses StartTLS"),
        (ldap::result(7, 0x78, 0, ""), "did not answer StartTLS as LDAP"),
        (ldap::result(1, 0x61, 0, ""), "did not answer StartTLS as LDAP"),
        (b"\x30\x84\xff\xff\xff\xff".to_vec(), "did not answer StartTLS as LDAP"),
    ];
    for (answer, word) in answers {
        let fake = Fake::start(move |wire| {
            read_start_tls(wire);
            std::io::Write::write_all(wire, &answer).unwrap();
            wire.drain();
        });
        let error = refused(&place.target(fake.address, true, PATIENT));
        assert_eq!(error.kind, Trouble::Tls, "{error}");
        assert!(error.message.contains(word), "`{word}` is not in: {error}");
        let heard = fake.heard();
        assert_eq!(heard.wire.len(), 31, "nothing but the request for TLS was heard");
        heard_no_logon(&heard);
    }
}

#[test]
fn f68_s17_whatever_comes_in_the_clear_after_the_answer_to_start_tls_is_refused() {
    let place = Place::new();
    let config = place.good().config();
    // What is put in claims that a logon was accepted; once with the answer, once after it.
    for together in [true, false] {
        let config = Arc::clone(&config);
        let fake = Fake::start(move |wire| {
            read_start_tls(wire);
            let (answer, injected) = (ldap::result(1, 0x78, 0, ""), ldap::result(1, 0x61, 0, ""));
            if together {
                std::io::Write::write_all(wire, &[answer, injected].concat()).unwrap();
            } else {
                std::io::Write::write_all(wire, &answer).unwrap();
                std::io::Write::write_all(wire, &injected).unwrap();
            }
            serve(wire, &config, ldap::welcome);
        });
        let error = refused(&place.target(fake.address, true, PATIENT));
        assert_eq!(error.kind, Trouble::Tls, "{error}");
        if together {
            assert!(error.message.contains("more in the clear"), "{error}");
        }
        heard_no_logon(&fake.heard());
    }
}

#[test]
fn f46_f47_a_port_that_is_shut_and_a_name_without_an_address_are_unreachable() {
    let place = Place::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(&place.target(free, false, PATIENT));
    assert_eq!(error.kind, Trouble::Unreachable, "{error}");
    assert!(error.message.contains("connection refused"), "{error}");
    let mut target = place.target(free, false, PATIENT);
    target.addresses.clear();
    target.url.host = "dc1.contoso.invalid".to_owned();
    let error = refused(&target);
    assert_eq!(error.kind, Trouble::Unreachable, "{error}");
    assert!(error.message.contains("dc1.contoso.invalid"), "{error}");
}

#[test]
fn f47_a_server_that_takes_the_connection_and_never_answers_is_unreachable_within_the_timeout() {
    let place = Place::new();
    for start_tls in [false, true] {
        let fake = Fake::start(Wire::drain);
        let began = Instant::now();
        let error = refused(&place.target(fake.address, start_tls, SHORT));
        assert_eq!(error.kind, Trouble::Unreachable, "{error}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        heard_no_logon(&fake.heard());
    }
}

#[test]
fn an_unanswered_logon_is_unreachable_and_counts_as_no_refusal() {
    let place = Place::new();
    let config = place.good().config();
    let silent = Arc::new(Mutex::new(true));
    let answers = Arc::clone(&silent);
    let fake = Fake::start(move |wire| {
        serve(wire, &config, |request| if *answers.lock().unwrap() { Some(Vec::new()) } else { ldap::welcome(request) });
    });
    let dialer = Dialer::default();
    let target = place.target(fake.address, false, Span::from_secs(2));
    assert_eq!(wait(dialer.open(&target, &Server::Url)).unwrap_err().kind, Trouble::Unreachable);
    *silent.lock().unwrap() = false;
    assert!(wait(dialer.open(&target, &Server::Url)).is_ok());
}

/// A server that says that the password is wrong.
fn refusing(place: &Place) -> Fake {
    let config = place.good().config();
    Fake::start(move |wire| {
        serve(wire, &config, |request| {
            let said = format!("80090308: LdapErr: DSID-0C09042F, comment: AcceptSecurityContext error, data 52e, {PASSWORD}");
            Some(ldap::result(request.id, 0x61, 49, &said))
        });
    })
}

fn binds(heard: &Heard) -> usize {
    heard.plain.windows(PASSWORD.len()).filter(|window| *window == PASSWORD.as_bytes()).count()
}

#[test]
fn f66_s27_a_wrong_password_is_sent_once_a_minute_and_never_shown() {
    let place = Place::new();
    let fake = refusing(&place);
    let target = place.target(fake.address, false, PATIENT);
    let dialer = Dialer::default();
    let first = wait(dialer.open(&target, &Server::Url)).unwrap_err();
    assert_eq!(first.kind, Trouble::Logon, "{first}");
    assert!(first.message.contains("the password is wrong") && first.message.contains(USER), "{first}");
    assert!(!first.message.contains(PASSWORD), "{first}");
    let second = wait(dialer.open(&target, &Server::Url)).unwrap_err();
    assert_eq!(second.kind, Trouble::LogonHeld, "{second}");
    assert!(second.message.contains("not tried again before"), "{second}");
    // Another server of the same directory has the same accounts.
    let third = wait(dialer.open(&target, &Server::Host(HOST.to_owned()))).unwrap_err();
    assert_eq!(third.kind, Trouble::LogonHeld, "{third}");
    assert_eq!(binds(&fake.heard()), 1);
}

#[test]
fn f66_of_several_logons_at_once_with_a_wrong_password_one_is_sent() {
    let place = Place::new();
    let fake = refusing(&place);
    let target = place.target(fake.address, false, PATIENT);
    let dialer = Dialer::default();
    let kinds = wait(async {
        let all = [0; 5].map(|_| {
            let (dialer, target) = (dialer.clone(), target.clone());
            tokio::spawn(async move { dialer.open(&target, &Server::Url).await.unwrap_err().kind })
        });
        let mut kinds = Vec::new();
        for one in all {
            kinds.push(one.await.unwrap());
        }
        kinds
    });
    assert_eq!(kinds.iter().filter(|kind| **kind == Trouble::Logon).count(), 1, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == Trouble::LogonHeld).count(), 4, "{kinds:?}");
    assert_eq!(binds(&fake.heard()), 1);
}

#[test]
fn s19_an_empty_password_is_refused_here() {
    let place = Place::new();
    std::fs::write(place.path().join("password"), "\n").unwrap();
    let config = place.good().config();
    let fake = Fake::start(move |wire| serve(wire, &config, ldap::welcome));
    let error = refused(&place.target(fake.address, false, PATIENT));
    assert_eq!(error.kind, Trouble::Local, "{error}");
    heard_no_logon(&fake.heard());
}

#[test]
fn f46_s22_s56_another_domain_or_another_server_than_the_one_that_was_meant_is_refused() {
    let place = Place::new();
    let config = place.good().config();
    let fake = Fake::start(move |wire| serve(wire, &config, ldap::welcome));
    let mut target = place.target(fake.address, false, PATIENT);
    target.domain = Some("Contoso.LAN".to_owned());
    assert!(open(&target).is_ok());
    target.domain = Some("fabrikam.lan".to_owned());
    let error = refused(&target);
    assert_eq!(error.kind, Trouble::WrongDirectory, "{error}");
    assert!(error.message.contains("fabrikam.lan") && error.message.contains("contoso.lan"), "{error}");

    let mut params = certificates::server();
    params.subject_alt_names.push(rcgen::SanType::DnsName("dc2.contoso.lan".try_into().unwrap()));
    let config = place.authority.sign(&params).config();
    let both = Fake::start(move |wire| serve(wire, &config, ldap::welcome));
    let mut target = place.target(both.address, false, PATIENT);
    target.addresses.insert("dc2.contoso.lan".to_owned(), both.address.to_string());
    let error = wait(Dialer::default().open(&target, &Server::Host("dc2.contoso.lan".to_owned()))).unwrap_err();
    assert_eq!(error.kind, Trouble::WrongDirectory, "{error}");
    assert!(error.message.contains("mixed up"), "{error}");
    assert!(wait(Dialer::default().open(&target, &Server::Host("DC1.contoso.lan".to_owned()))).is_ok());
}

/// What no server should answer to request 3.
fn nonsense(request: &ldap::Request) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let id = request.id;
    let tag = if request.tag == ldap::DELETE { 0x6b } else { 0x65 };
    vec![
        ("bytes that are no BER", Some(vec![0xff; 64])),
        ("an empty sequence", Some(vec![0x30, 0x00])),
        ("a length of four gigabytes", Some([&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff][..], &[0; 512]].concat())),
        ("a length that never ends", Some(vec![0x30, 0x80, 0x02, 0x01, id])),
        ("an answer to another request", Some(ldap::result(id + 40, tag, 0, ""))),
        ("an answer to a request that is long over", Some(ldap::result(1, tag, 0, ""))),
        ("an answer without a result", Some(ldap::message(id, &[tag, 0x00]))),
        ("half an answer, and the end", None),
        ("text that is no text", Some(ldap::message(id, &ldap::element(tag, &[0x0a, 0x01, 0x50, 0x04, 0x01, 0xff, 0x04, 0x00])))),
        (
            "controls that are none",
            Some(ldap::element(
                0x30,
                &[&[0x02, 0x01, id][..], &ldap::element(tag, &[0x0a, 0x01, 0, 0x04, 0, 0x04, 0]), &[0xa0, 0x02, 0x30, 0x00]]
                    .concat(),
            )),
        ),
    ]
}

/// A session with a server that answers request 3 with one of [`nonsense`].
fn with_nonsense(place: &Place, at: usize, timeout: Span) -> (Fake, Session) {
    let config = place.good().config();
    let fake = Fake::start(move |wire| {
        serve(wire, &config, |request| ldap::welcome(request).or_else(|| nonsense(request).swap_remove(at).1));
    });
    let mut target = place.target(fake.address, false, PATIENT);
    target.timeout = timeout;
    let session = open_in(&target);
    (fake, session)
}

thread_local! {
    /// A session lives on the runtime that opened it.
    static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
}

fn stay<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

fn open_in(target: &Target) -> Session {
    stay(Dialer::default().open(target, &Server::Url)).unwrap()
}

fn some_guid() -> Guid {
    Guid::parse("6b1f2c3d-0e4a-4b5c-9d6e-7f8091a2b3c4").unwrap()
}

fn number_of_kinds() -> usize {
    nonsense(&ldap::Request { id: 3, tag: ldap::DELETE, bytes: Vec::new() }).len()
}

#[test]
fn f48_f53_an_answer_that_is_not_understood_leaves_a_write_unknown() {
    let place = Place::new();
    for at in 0..number_of_kinds() {
        let (_fake, session) = with_nonsense(&place, at, Span::from_secs(3));
        let written = stay(session.writer().delete(some_guid()));
        let kind = nonsense(&ldap::Request { id: 3, tag: ldap::DELETE, bytes: Vec::new() }).swap_remove(at).0;
        assert_eq!((written.outcome, written.code), (Outcomes::Unknown, None), "{kind}: {written:?}");
        assert!(written.message.contains("may or may not have happened"), "{kind}: {written:?}");
    }
}

#[test]
fn f53_f57_an_answer_that_is_not_understood_is_no_answer_to_a_search() {
    let place = Place::new();
    for at in 0..number_of_kinds() {
        let (_fake, mut session) = with_nonsense(&place, at, Span::from_secs(3));
        let everything = Filter::present("objectClass");
        let base = Address::Dn(Dn::parse("DC=contoso,DC=lan").unwrap());
        let found = stay(session.search(&base, Scope::Subtree, &everything, &["cn"], Deleted::Hidden));
        let kind = nonsense(&ldap::Request { id: 3, tag: ldap::SEARCH, bytes: Vec::new() }).swap_remove(at).0;
        assert!(found.is_err(), "{kind}: {found:?}");
    }
}

// BUG: the library reads a result code of no bytes as 0, and does not look at the kind of an answer. Such an answer counts as
// applied; the look that follows every write does not find the effect, and the step is not done.
#[test]
fn an_answer_with_an_empty_result_code_counts_as_applied_until_it_is_looked_at() {
    let place = Place::new();
    let config = place.good().config();
    let fake = Fake::start(move |wire| {
        serve(wire, &config, |request| {
            let empty = || ldap::message(request.id, &ldap::element(0x6b, &[0x0a, 0x00, 0x04, 0x00, 0x04, 0x00]));
            ldap::welcome(request).or_else(|| Some(empty()))
        });
    });
    let session = open_in(&place.target(fake.address, false, PATIENT));
    assert_eq!(stay(session.writer().delete(some_guid())).outcome, Outcomes::Applied);
}

#[test]
fn i4_s04_s58_a_deletion_carries_the_identity_and_no_control() {
    let place = Place::new();
    let config = place.good().config();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    let fake = Fake::start(move |wire| {
        serve(wire, &config, |request| {
            ldap::welcome(request).or_else(|| {
                keep.lock().unwrap().push((request.tag, request.bytes.clone()));
                let (tag, code) = if request.tag == ldap::DELETE { (0x6b, 0) } else { (0x65, 32) };
                Some(ldap::result(request.id, tag, code, ""))
            })
        });
    });
    let mut session = open_in(&place.target(fake.address, false, PATIENT));
    // A search with controls before it leaves none behind.
    assert_eq!(stay(session.read(&Address::Guid(some_guid()), &["*", "nTSecurityDescriptor"], Deleted::Shown)), Ok(None));
    let written = stay(session.writer().delete(some_guid()));
    assert_eq!(written.outcome, Outcomes::Applied, "{written:?}");
    let seen = seen.lock().unwrap();
    let [(search, asked), (delete, sent)] = seen.as_slice() else { panic!("two requests: {seen:?}") };
    assert_eq!((*search, *delete), (ldap::SEARCH, ldap::DELETE));
    assert!(holds(asked, b"1.2.840.113556.1.4.417") && holds(asked, b"1.2.840.113556.1.4.801"));
    let name = format!("<GUID={}>", some_guid());
    assert_eq!(sent, &ldap::message(4, &ldap::element(ldap::DELETE, name.as_bytes())), "the request is this and nothing else");
}

/// A group whose members come two at a time; `parts` is how many answers there are before they stop coming.
fn group(place: &Place, parts: u8) -> Fake {
    let config = place.good().config();
    Fake::start(move |wire| {
        serve(wire, &config, |request| {
            ldap::welcome(request).or_else(|| {
                let part = request.id - 2;
                let (name, values) = match part {
                    1 => ("member;range=0-1", ["CN=a", "CN=b"]),
                    2 => ("member;range=2-3", ["CN=c", "CN=d"]),
                    _ => ("member;range=4-*", ["CN=e", "CN=f"]),
                };
                let wanted: &[u8] = [&b"member"[..], b"member;range=2-*", b"member;range=4-*"][usize::from(part.min(3)) - 1];
                assert!(holds(&request.bytes, wanted), "the next part is asked for");
                let entry = ldap::entry_with(request.id, "CN=group", name, &values);
                let done = ldap::result(request.id, 0x65, 0, "");
                Some(if part > parts { done } else { [entry, done].concat() })
            })
        });
    })
}

#[test]
fn f57_values_that_come_in_ranges_are_read_whole_or_not_at_all() {
    let place = Place::new();
    let fake = group(&place, 3);
    let mut session = open_in(&place.target(fake.address, false, PATIENT));
    let at = Address::Dn(Dn::parse("CN=group").unwrap());
    let entry = stay(session.read(&at, &["member"], Deleted::Hidden)).unwrap().unwrap();
    assert_eq!(entry.texts("member").collect::<Vec<_>>(), ["CN=a", "CN=b", "CN=c", "CN=d", "CN=e", "CN=f"]);
    let fake = group(&place, 2);
    let mut session = open_in(&place.target(fake.address, false, PATIENT));
    let error = stay(session.read(&at, &["member"], Deleted::Hidden)).unwrap_err();
    assert!(error.message.contains("the rest of `member` is missing"), "{error}");
}

#[test]
fn f54_on_a_connection_that_is_closed_nothing_is_sent() {
    let place = Place::new();
    let config = place.good().config();
    // Closes at the first request after the root DSE.
    let fake = Fake::start(move |wire| serve(wire, &config, ldap::welcome));
    let mut session = open_in(&place.target(fake.address, false, PATIENT));
    let base = Address::Guid(some_guid());
    assert!(stay(session.read(&base, &["cn"], Deleted::Hidden)).is_err(), "an end is no answer");
    let mut writer: Writer = session.writer();
    let Written { outcome, message, .. } = stay(writer.delete(some_guid()));
    assert_eq!(outcome, Outcomes::NotSent, "{message}");
    assert!(message.contains("nothing was sent"), "{message}");
    assert_eq!(stay(writer.modify(&base, &[], Deleted::Hidden, None)).outcome, Outcomes::NotSent);
}

#[cfg(not(feature = "kerberos"))]
#[test]
fn a_build_without_kerberos_says_so_and_connects_to_nobody() {
    let place = Place::new();
    let fake = Fake::start(Wire::drain);
    let mut target = place.target(fake.address, false, PATIENT);
    target.bind = Bind::Kerberos;
    let error = refused(&target);
    assert_eq!(error.kind, Trouble::Local, "{error}");
    assert!(error.message.contains("--features kerberos"), "{error}");
    assert_eq!(fake.heard().wire, b"");
}
