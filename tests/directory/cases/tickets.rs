//! PowerShell remoting with Kerberos tickets of a real domain: the judge of remoting holds the service's keytab, and
//! takes no NTLM.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use relevo::remoting::auth::{Account, AuthError, Method, Wrapping};
use relevo::remoting::client::{CallError, End, Limits, Settings, Shell, ShellError};
use relevo::remoting::clixml::Value;
use relevo::remoting::http::{Address, Endpoint, Limits as Http, SendError, Verification, Why};
use relevo::remoting::psrp::{Command as Cmdlet, CreatePipeline, EventKind, PipelineState};
use relevo::secret::Secret;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use uuid::Uuid;

use crate::cases::cases;
use crate::python::{Judge, Setup};
use crate::samba::namespace::must;
use crate::world::{Account as User, Place, World};

cases![
    a_ticket_opens_a_shell_over_http_and_every_message_is_sealed,
    a_ticket_opens_a_shell_over_https,
    no_ticket_is_an_error_that_says_why_and_never_ntlm,
    a_centre_that_is_gone_is_passed_over,
];

/// Where no key distribution centre is.
const GONE: &str = "127.0.0.1:1";

/// A service of the domain, with a key that the judge has, and a user who wants in.
struct Service<'w> {
    world: &'w dyn World,
    host: String,
    user: User,
    keytab: PathBuf,
}

impl<'w> Service<'w> {
    fn new(world: &'w dyn World) -> Self {
        let place = Place::new(world);
        let account = place.account("s", "Serv1ce!Passw0rd", "");
        let host = format!("{}.{}", place.word, world.domain());
        let name = account.user.split('@').next().unwrap();
        // 24: AES with 128 and 256 bits, as every supported Windows has.
        place.admin().must(&format!(
            "dn: CN={name},OU=Accounts,{}\nchangetype: modify\nreplace: servicePrincipalName\nservicePrincipalName: \
             HTTP/{host}\n-\nreplace: msDS-SupportedEncryptionTypes\nmsDS-SupportedEncryptionTypes: 24\n",
            world.base()
        ));
        let keytab = world.folder().join(format!("{}.keytab", place.word));
        must(
            Command::new("samba-tool")
                .args(["domain", "exportkeytab"])
                .arg(&keytab)
                .arg(format!("--principal=HTTP/{host}"))
                .arg(format!("--configfile={}", world.folder().join("dc1.conf").display())),
        );
        let user = world.account("svc-mig");
        Service { world, host, user, keytab }
    }

    /// A server of remoting that has the key.
    fn judge(&self, tls: bool) -> Judge {
        let keytab = self.keytab.display().to_string();
        let arguments = ["--keytab", &keytab, "--kerberos-host", &self.host, "--offer", "Negotiate,Kerberos"];
        Judge::start(Setup { tls, arguments: arguments.map(str::to_owned).to_vec() }).expect("tests/run installs what it needs")
    }

    /// What a logon needs, all of it right.
    fn right(&self) -> Logon {
        Logon {
            user: self.user.user.clone(),
            password: std::fs::read_to_string(&self.user.password_file).unwrap(),
            centres: vec![format!("{}:88", self.world.host(1))],
            host: self.host.clone(),
        }
    }
}

/// What a logon needs.
struct Logon {
    user: String,
    password: String,
    centres: Vec<String>,
    host: String,
}

impl Logon {
    fn method(self, wrapping: Wrapping) -> Method {
        Method::Kerberos {
            account: Account::parse(&self.user).unwrap(),
            password: Secret::new(self.password),
            kdcs: self.centres,
            service: "HTTP".to_owned(),
            host: Some(self.host),
            wrapping,
        }
    }
}

fn endpoint(judge: &Judge, method: Method) -> Endpoint {
    let authority = judge.folder().join("ca.pem");
    let tls = authority.exists().then(|| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
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

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn settings() -> Settings {
    Settings { operation_timeout: Duration::from_secs(5), slack: Duration::from_secs(10), ..Settings::default() }
}

/// Opens a shell, has values of several sizes echoed, closes it.
async fn everything_works(endpoint: Endpoint) {
    let mut shell = Shell::open(endpoint, Uuid::new_v4(), &settings()).await.unwrap();
    for size in [1, 37, 5000, 200_000] {
        let text = "x".repeat(size);
        let command = Cmdlet::new("Echo-Value").parameter("Value", Value::from(text.as_str()));
        let mut running = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), Limits::default()).await.unwrap();
        let mut found = None;
        while let Some(event) = running.next().await {
            if let EventKind::Output(value) = event {
                found = value.as_str().map(str::to_owned);
            }
        }
        let end = running.end().await;
        assert!(matches!(end, End::Finished { state: PipelineState::Completed, .. }), "{end:?}");
        assert!(found == Some(text), "{size} bytes");
    }
    shell.close().await.unwrap();
}

/// Raw and in SPNEGO: everything works, everything is sealed or nothing needs to be, and every logon was by ticket.
fn both_ways(world: &dyn World, tls: bool) {
    let service = Service::new(world);
    let judge = service.judge(tls);
    for wrapping in [Wrapping::Raw, Wrapping::Spnego] {
        wait(everything_works(endpoint(&judge, service.right().method(wrapping))));
    }
    judge.assert_no_violations();
    let requests = judge.requests();
    let logons: Vec<_> = requests.iter().filter(|one| one["action"] == "LoggedOn").map(|one| &one["scheme"]).collect();
    assert_eq!(logons, ["Kerberos raw", "Negotiate SPNEGO with Kerberos"]);
    let mut messages = requests.iter().filter(|one| one.get("sealed").is_some()).peekable();
    assert!(messages.peek().is_some() && messages.all(|one| one["sealed"] == !tls));
    let principal = requests.iter().find(|one| one["action"] == "LoggedOn").unwrap()["user"].as_str().unwrap();
    assert!(principal.starts_with("svc-mig@"), "{principal}");
}

fn a_ticket_opens_a_shell_over_http_and_every_message_is_sealed(world: &dyn World) {
    both_ways(world, false);
}

fn a_ticket_opens_a_shell_over_https(world: &dyn World) {
    both_ways(world, true);
}

/// What a logon fails with. Nothing was sent, and the judge never heard of us.
fn failure(judge: &Judge, method: Method) -> AuthError {
    let error = wait(Shell::open(endpoint(judge, method), Uuid::new_v4(), &settings())).err().unwrap();
    assert!(!error.may_have_acted(), "{error}");
    assert!(judge.requests().is_empty(), "{:?}", judge.requests());
    match error {
        ShellError::Call(CallError::Send(SendError { why: Why::Auth(error), .. })) => error,
        other => panic!("{other}"),
    }
}

fn no_ticket_is_an_error_that_says_why_and_never_ntlm(world: &dyn World) {
    let service = Service::new(world);
    let judge = service.judge(false);
    for wrapping in [Wrapping::Raw, Wrapping::Spnego] {
        let fails = |logon: Logon| failure(&judge, logon.method(wrapping));
        let error = fails(Logon { password: "Wr0ng!".to_owned(), ..service.right() });
        assert!(matches!(error, AuthError::Refused(_)), "{error}");
        let error = fails(Logon { user: format!("nobody@{}", world.domain()), ..service.right() });
        assert!(matches!(error, AuthError::Refused(_)), "{error}");
        let error = fails(Logon { host: "unknown.example".to_owned(), ..service.right() });
        assert!(matches!(&error, AuthError::NoSuchService(name) if name == "HTTP/unknown.example"), "{error}");
        let error = fails(Logon { centres: vec![GONE.to_owned()], ..service.right() });
        assert!(matches!(error, AuthError::NoKdc(_)), "{error}");
    }
}

fn a_centre_that_is_gone_is_passed_over(world: &dyn World) {
    let service = Service::new(world);
    let judge = service.judge(false);
    let mut logon = service.right();
    logon.centres.insert(0, GONE.to_owned());
    wait(everything_works(endpoint(&judge, logon.method(Wrapping::Spnego))));
    judge.assert_no_violations();
}
