//! What the tests of the client of PowerShell remoting share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;
use std::time::Duration;

use relevo::remoting::auth::{Account, Method, Wrapping};
use relevo::remoting::client::{End, Limits, Settings, Shell};
use relevo::remoting::http::{Address, Endpoint, Limits as Http, Verification};
use relevo::remoting::psrp::{Command, CreatePipeline, EventKind, PipelineState};
use relevo::secret::Secret;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use uuid::Uuid;

use crate::python::{Judge, PASSWORD, Setup, USER};

/// The judge's account by NTLM.
pub fn ntlm(wrapping: Wrapping) -> Method {
    Method::Ntlm { account: Account::parse(USER).unwrap(), password: Secret::new(PASSWORD.to_owned()), wrapping }
}

/// The judge's account by Basic.
pub fn basic() -> Method {
    Method::Basic { account: USER.to_owned(), password: Secret::new(PASSWORD.to_owned()) }
}

/// The judge as an endpoint.
pub fn endpoint(judge: &Judge, method: Method) -> Endpoint {
    let mut roots = rustls::RootCertStore::empty();
    let authority = judge.folder().join("ca.pem");
    let tls = authority.exists().then(|| {
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder().with_root_certificates(roots);
        Arc::new(if matches!(method, Method::Certificate) {
            let chain = vec![CertificateDer::from_pem_file(judge.folder().join("client.pem")).unwrap()];
            let key = PrivateKeyDer::from_pem_file(judge.folder().join("client.key")).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        } else {
            config.with_no_client_auth()
        })
    });
    Endpoint {
        address: Address::parse(&judge.url("/wsman"), false).unwrap(),
        connect_to: None,
        tls,
        verification: Verification::Full,
        method,
        redirects: Vec::new(),
        limits: Http::default(),
    }
}

/// Short waits.
pub fn settings() -> Settings {
    Settings { operation_timeout: Duration::from_secs(2), slack: Duration::from_secs(10), ..Settings::default() }
}

/// An open shell.
pub async fn opened(judge: &Judge, method: Method) -> Shell {
    Shell::open(endpoint(judge, method), Uuid::new_v4(), &settings()).await.unwrap()
}

/// Runs one command to its end.
pub async fn started(shell: &mut Shell, command: Command, limits: Limits) -> (Vec<EventKind>, End) {
    let mut running = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), limits).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = running.next().await {
        events.push(event);
    }
    (events, running.end().await)
}

/// The texts that came out.
pub fn outputs(events: &[EventKind]) -> Vec<String> {
    let text = |event: &EventKind| match event {
        EventKind::Output(value) => value.as_str().map(str::to_owned),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

/// The state of an end that is known.
pub fn state(end: &End) -> PipelineState {
    match end {
        End::Finished { state, .. } => *state,
        End::Lost(error) => panic!("lost: {error}"),
    }
}

/// A judge over HTTPS.
pub fn tls(arguments: &[&str]) -> Setup {
    Setup { tls: true, arguments: arguments.iter().map(|&argument| argument.to_owned()).collect() }
}

/// An endpoint without TLS.
pub fn plain(url: &str, method: Method) -> Endpoint {
    Endpoint {
        address: Address::parse(url, false).unwrap(),
        connect_to: None,
        tls: None,
        verification: Verification::Full,
        method,
        redirects: Vec::new(),
        limits: Http::default(),
    }
}
