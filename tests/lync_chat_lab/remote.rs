//! Cmdlets by the project's own client.

use std::sync::Arc;
use std::time::Duration;

use relevo::remoting::auth::{Account, Method, Wrapping};
use relevo::remoting::client::{End, Limits, Settings, Shell};
use relevo::remoting::clixml::Value;
use relevo::remoting::http::{Address, Endpoint, Limits as Http, Verification};
use relevo::remoting::psrp::{Command, CreatePipeline, ErrorRecord, EventKind};
use relevo::secret::Secret;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use uuid::Uuid;

use crate::lab_support::Lab;

/// A session.
pub struct Session(Shell);

/// What a cmdlet gave.
#[derive(Debug, Default)]
pub struct Ran {
    pub outputs: Vec<Value>,
    pub warnings: Vec<String>,
    pub errors: Vec<ErrorRecord>,
    pub progress: usize,
    pub terminating: Option<ErrorRecord>,
}

impl Ran {
    /// The same, if it complained of nothing.
    #[track_caller]
    pub fn fine(self) -> Self {
        assert!(self.terminating.is_none() && self.errors.is_empty(), "{:?} {:?}", self.terminating, self.errors);
        self
    }
}

/// A session on a host by its name, or on the remote PowerShell of Lync.
pub async fn on(lab: &Lab, host: &str) -> Session {
    let ports = &lab.info()["state"]["hosts"];
    let (name, path, port) = match host {
        "lync" => ("fe01", "OcsPowerShell", &ports["fe01"]["lync"]),
        host => (host, "wsman", &ports[host]["https"]),
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(lab.dir().join("ca.pem")).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let password = std::fs::read_to_string(lab.dir().join("svc-mig.password")).unwrap();
    let endpoint = Endpoint {
        address: Address::parse(&format!("https://{name}.contoso.lan/{path}"), false).unwrap(),
        connect_to: Some(format!("127.0.0.1:{port}")),
        tls: Some(Arc::new(config)),
        verification: Verification::Full,
        method: Method::Ntlm {
            account: Account::parse("CONTOSO\\svc-mig").unwrap(),
            password: Secret::new(password.trim_end().to_owned()),
            wrapping: Wrapping::Spnego,
        },
        redirects: Vec::new(),
        limits: Http::default(),
    };
    let settings = Settings { operation_timeout: Duration::from_secs(2), slack: Duration::from_secs(20), ..Settings::default() };
    Session(Shell::open(endpoint, Uuid::new_v4(), &settings).await.unwrap())
}

impl Session {
    /// Runs a command to its end.
    pub async fn run(&mut self, command: Command) -> Ran {
        self.try_run(command).await.expect("an end")
    }

    /// The same; `None` if nobody says how it ended.
    pub async fn try_run(&mut self, command: Command) -> Option<Ran> {
        let limits = Limits { deadline: Some(Duration::from_mins(2)), ..Limits::default() };
        let mut running = self.0.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), limits).await.ok()?;
        let mut ran = Ran::default();
        while let Some(event) = running.next().await {
            match event {
                EventKind::Output(value) => ran.outputs.push(value),
                EventKind::Warning(text) => ran.warnings.push(text),
                EventKind::Error(record) => ran.errors.push(record),
                EventKind::Progress(_) => ran.progress += 1,
                _ => {}
            }
        }
        match running.end().await {
            End::Finished { terminating, .. } => {
                ran.terminating = terminating.map(|record| *record);
                Some(ran)
            }
            End::Lost(_) => None,
        }
    }
}
