//! How the tests reach a host of the lab.

use std::sync::Arc;
use std::time::Duration;

use relevo::remoting::auth::{Account, Method, Wrapping};
use relevo::remoting::client::{End, Limits, Service, Settings, Shell};
use relevo::remoting::http::{Address, Endpoint, Limits as Http, Verification};
use relevo::remoting::psrp::{Command, CreatePipeline, EventKind, PipelineState};
use relevo::remoting::wsman::names;
use relevo::secret::Secret;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value as Json;
use uuid::Uuid;

use crate::lab_support::Lab;

/// The port of a host: `https` or `http`.
pub fn port(lab: &Lab, host: &str, which: &str) -> u16 {
    u16::try_from(lab.info()["state"]["hosts"][host][which].as_u64().unwrap()).unwrap()
}

/// The password of an account.
pub fn password(lab: &Lab, account: &str) -> String {
    std::fs::read_to_string(lab.dir().join(format!("{account}.password"))).unwrap().trim_end().to_owned()
}

/// NTLM as an account of the lab, by that name.
pub fn ntlm(lab: &Lab, name: &str, account: &str, wrapping: Wrapping) -> Method {
    Method::Ntlm { account: Account::parse(name).unwrap(), password: Secret::new(password(lab, account)), wrapping }
}

/// NTLM in SPNEGO as the migration account.
pub fn migration(lab: &Lab) -> Method {
    ntlm(lab, "CONTOSO\\svc-mig", "svc-mig", Wrapping::Spnego)
}

/// Basic as an account of the lab.
pub fn basic(lab: &Lab, name: &str, account: &str) -> Method {
    Method::Basic { account: name.to_owned(), password: Secret::new(password(lab, account)) }
}

/// A host by its name in the certificate, over TLS or not.
pub fn endpoint(lab: &Lab, host: &str, tls: bool, method: Method) -> Endpoint {
    let (scheme, number) = if tls { ("https", 5986) } else { ("http", 5985) };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(lab.dir().join("ca.pem")).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Endpoint {
        address: Address::parse(&format!("{scheme}://{host}.contoso.lan:{number}/wsman"), false).unwrap(),
        connect_to: Some(format!("127.0.0.1:{}", port(lab, host, scheme))),
        tls: tls.then(|| Arc::new(config)),
        verification: Verification::Full,
        method,
        redirects: Vec::new(),
        limits: Http::default(),
    }
}

/// The usual way in.
pub fn usual(lab: &Lab, host: &str) -> Endpoint {
    endpoint(lab, host, false, migration(lab))
}

/// A service without a shell.
pub fn service(endpoint: Endpoint) -> Service {
    let mut service = Service::new(endpoint, names::configuration("Microsoft.PowerShell"));
    service.operation_timeout = Duration::from_secs(2);
    service.slack = Duration::from_secs(10);
    service
}

/// Short waits.
pub fn settings() -> Settings {
    Settings { operation_timeout: Duration::from_secs(2), slack: Duration::from_secs(10), ..Settings::default() }
}

/// A shell on a host.
pub async fn opened(endpoint: Endpoint) -> Shell {
    Shell::open(endpoint, Uuid::new_v4(), &settings()).await.unwrap()
}

/// Runs one command to its end.
pub async fn run(shell: &mut Shell, command: Command) -> (Vec<EventKind>, End) {
    let limits = Limits { deadline: Some(Duration::from_mins(1)), ..Limits::default() };
    let mut running = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), limits).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = running.next().await {
        events.push(event);
    }
    (events, running.end().await)
}

/// How it ended.
#[track_caller]
pub fn state(end: &End) -> PipelineState {
    match end {
        End::Finished { state, .. } => *state,
        End::Lost(error) => panic!("lost: {error}"),
    }
}

/// The stop of a service that runs at first and that nothing needs.
pub fn stop(lab: &Lab, host: &str) -> Command {
    Command::new("Stop-Service").parameter("Name", victim(lab, host).as_str())
}

/// What is on disk of a host.
pub fn machine(lab: &Lab, host: &str) -> Json {
    let path = lab.dir().join(format!("world/machines/{host}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A service of that host that may be stopped: the same one before and after.
pub fn victim(lab: &Lab, host: &str) -> String {
    let machine = machine(lab, host);
    let services = machine["services"].as_array().unwrap();
    let is_needed = |name: &Json| services.iter().any(|one| one["depends_on"].as_array().unwrap().contains(name));
    let is_fit = |one: &&Json| one["can_stop"] == true && one["start"] == "Automatic" && !is_needed(&one["name"]);
    services.iter().find(is_fit).expect("there is one")["name"].as_str().unwrap().to_owned()
}

/// Whether that service runs, by what is on disk.
pub fn runs(lab: &Lab, host: &str) -> bool {
    let (machine, name) = (machine(lab, host), victim(lab, host));
    let services = machine["services"].as_array().unwrap();
    services.iter().find(|one| one["name"] == name.as_str()).unwrap()["state"] == "Running"
}

/// Lines of the audit with this operation.
pub fn lines(lab: &Lab, operation: &str) -> Vec<Json> {
    lab.audit().into_iter().filter(|line| line["operation"] == operation).collect()
}

/// How many shells a host has, as it says itself.
pub fn shells(lab: &Lab, host: &str) -> u64 {
    lab.info()["state"]["shells"][host].as_u64().unwrap()
}

/// The lab is up, answers, and never panicked.
pub fn is_well(lab: &Lab) {
    assert!(lab.info()["up"].as_bool().unwrap());
    let said = std::fs::read_to_string(lab.dir().join("lab.log")).unwrap();
    assert!(said.is_empty(), "{said}");
}
