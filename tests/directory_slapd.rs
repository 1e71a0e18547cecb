//! `ldap.modify` and `ldap.search` against `OpenLDAP`, which is no Active Directory: no objectGUID, no domain, and the
//! assertion control.
//!
//! Each test has a server of its own on a port of the loopback interface, with an authority of its own.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relevo::connector::{Connectors, Options};
use relevo::plan::action::Effect;
use relevo::plan::{StepId, Targets, Verdict};
use relevo::run::connector::{Call, Connector, Pin};
use relevo::run::event::{Identity, Outcome};
use relevo::time::Span;
use serde_json::{Value, json};
use tempfile::TempDir;

const BASE: &str = "dc=contoso,dc=lan";
const ADMIN: &str = "cn=admin,dc=contoso,dc=lan";
const PASSWORD: &str = "Passw0rd!Slapd";
const APP: &str = "cn=app,dc=contoso,dc=lan";

/// A running server; ended with its folder when it is dropped.
struct Slapd {
    folder: TempDir,
    child: Child,
    port: u16,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the server's programs are: not on every account's path.
fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/libexec", "/usr/lib/openldap"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
}

/// `None` if the server is not installed and nobody asked for everything.
fn start() -> Option<Slapd> {
    let Some(slapd) = program("slapd") else {
        assert!(std::env::var("RELEVO_TESTS").as_deref() != Ok("all"), "slapd is not installed");
        eprintln!("left out: slapd is not installed");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let at = folder.path().display();
    std::fs::create_dir(folder.path().join("db")).unwrap();
    std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
    let config = format!(
        "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n\
         modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {at}/pid\n\
         TLSCACertificateFile {at}/ca.pem\nTLSCertificateFile {at}/server.pem\nTLSCertificateKeyFile {at}/server.key\n\
         database mdb\nsuffix {BASE}\nrootdn {ADMIN}\nrootpw {PASSWORD}\ndirectory {at}/db\n"
    );
    std::fs::write(folder.path().join("slapd.conf"), config).unwrap();
    std::fs::write(
        folder.path().join("init.ldif"),
        format!(
            "dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: contoso\ndc: contoso\n\n\
             dn: {APP}\nobjectClass: inetOrgPerson\nsn: app\ncn: app\nmail: a@contoso.lan\nmail: b@contoso.lan\ndescription: old\n\n\
             dn: cn=star \\2A,{BASE}\nobjectClass: inetOrgPerson\nsn: star\ncn: star *\n"
        ),
    )
    .unwrap();
    let loaded = Command::new(program("slapadd").unwrap())
        .args(["-q", "-f"])
        .arg(folder.path().join("slapd.conf"))
        .arg("-l")
        .arg(folder.path().join("init.ldif"))
        .output()
        .unwrap();
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    // Somebody else may take the port before the server does: then another one.
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(&slapd)
            .args(["-d", "0", "-h", &format!("ldaps://127.0.0.1:{port}"), "-f"])
            .arg(folder.path().join("slapd.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until && child.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(Slapd { folder, child, port });
            }
            std::thread::yield_now();
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    panic!("slapd did not start");
}

fn certificates(folder: &Path) {
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "the authority of a test");
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, &ca_key);
    let server = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    std::fs::write(folder.join("ca.pem"), ca_certificate.pem()).unwrap();
    std::fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

/// One step against the server.
struct Step {
    connector: Arc<dyn Connector>,
    call: Call,
}

impl Slapd {
    fn step(&self, uses: &str, with: &Value) -> Step {
        let directory = json!({
            "url": format!("ldaps://127.0.0.1:{}", self.port),
            "ca": self.folder.path().join("ca.pem"),
            "bind": { "user": ADMIN, "password": { "$secret": { "file": self.folder.path().join("password") } } },
        });
        let value = json!({ "directories": { "openldap": directory } });
        let mut arguments = with.as_object().unwrap().clone();
        arguments.insert("directory".to_owned(), json!("openldap"));
        let call = Call {
            run: Arc::from("r1"),
            step: StepId::new("a"),
            attempt: 1,
            uses: uses.to_owned(),
            with: arguments,
            outputs: Arc::from([]),
            identity: Identity::new(),
            folder: Arc::from(self.folder.path()),
            scratch: self.folder.path().join("attempt"),
            targets: Arc::new(Targets { value: value.as_object().unwrap().clone(), ..Targets::default() }),
            excluded: Arc::from([]),
            before_image: None,
            handle: None,
            timeout: Some(Span::from_secs(20)),
            effect: Effect::Cas,
            probed: true,
            assumed: false,
            until: None,
            sent: relevo::run::connector::Sent::default(),
        };
        let connector = Connectors::standard(Options::default()).for_action(uses).unwrap();
        Step { connector, call }
    }

    fn change(&self, changes: &Value) -> Step {
        self.step("ldap.modify", &json!({ "dn": APP, "changes": changes }))
    }

    async fn values(&self, attribute: &str) -> Value {
        let with = json!({ "base": APP, "scope": "base", "attributes": [attribute] });
        let Outcome::Applied { outputs } = self.step("ldap.search", &with).apply().await else { panic!("it can be read") };
        outputs["first"]["attributes"].get(attribute).cloned().unwrap_or(Value::Null)
    }
}

impl Step {
    async fn apply(&self) -> Outcome {
        self.connector.apply(&self.call).await
    }

    async fn verdict(&self) -> Verdict {
        let seen = self.connector.probe(&self.call).await;
        assert_ne!(seen.verdict, Verdict::Unknown, "{}", seen.seen);
        seen.verdict
    }
}

#[tokio::test]
async fn a_value_is_changed_and_changed_back() {
    let Some(slapd) = start() else { return };
    let mut step = slapd.change(&json!([
        { "attribute": "description", "from": "old", "to": "new" },
        { "attribute": "mail", "from": ["b@contoso.lan", "a@contoso.lan"], "to": ["b@contoso.lan", "c@contoso.lan"] },
        { "attribute": "telephoneNumber", "from": null, "to": "1" },
    ]));
    let Pin::Bound { identity, .. } = step.connector.pin(&step.call).await else { panic!("it is there") };
    assert_eq!(identity.get("dn").map(String::as_str), Some(APP));
    step.call.identity = identity;
    assert_eq!(step.verdict().await, Verdict::NotDone);
    let outcome = step.apply().await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    assert_eq!(step.verdict().await, Verdict::Done);
    assert_eq!(slapd.values("mail").await, json!(["b@contoso.lan", "c@contoso.lan"]));
    let outcome = step.connector.undo(&step.call, None).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:?}");
    assert_eq!(step.verdict().await, Verdict::NotDone);
    assert_eq!(slapd.values("telephoneNumber").await, Value::Null);
}

#[tokio::test]
async fn s58_another_value_than_the_expected_one_is_a_conflict_and_stays() {
    let Some(slapd) = start() else { return };
    let step = slapd.change(&json!([{ "attribute": "description", "from": "other", "to": "new" }]));
    assert_eq!(step.verdict().await, Verdict::Conflict);
    let outcome = step.apply().await;
    assert!(matches!(outcome, Outcome::Rejected { untouched: true, .. }), "{outcome:?}");
    assert_eq!(slapd.values("description").await, json!(["old"]));
}

#[tokio::test]
async fn one_of_two_changes_is_partial_and_is_not_made_whole_by_itself() {
    let Some(slapd) = start() else { return };
    let step = slapd.change(&json!([
        { "attribute": "description", "from": "new", "to": "old" },
        { "attribute": "telephoneNumber", "from": null, "to": "1" },
    ]));
    assert_eq!(step.verdict().await, Verdict::Partial);
    assert!(matches!(step.apply().await, Outcome::Rejected { untouched: true, .. }));
    assert_eq!(slapd.values("telephoneNumber").await, Value::Null);
}

#[tokio::test]
async fn a_change_that_the_server_refuses_changes_nothing() {
    let Some(slapd) = start() else { return };
    let step = slapd.change(&json!([
        { "attribute": "description", "from": "old", "to": "new" },
        { "attribute": "noSuchAttribute", "from": null, "to": "1" },
    ]));
    let outcome = step.apply().await;
    assert!(matches!(outcome, Outcome::Rejected { untouched: true, .. }), "{outcome:?}");
    assert_eq!(slapd.values("description").await, json!(["old"]));
}

#[tokio::test]
async fn an_object_that_is_not_there_is_neither_bound_nor_changed() {
    let Some(slapd) = start() else { return };
    let changes = json!([{ "attribute": "description", "from": "old", "to": "new" }]);
    let step = slapd.step("ldap.modify", &json!({ "dn": format!("cn=nobody,{BASE}"), "changes": changes }));
    assert_eq!(step.connector.pin(&step.call).await, Pin::NotNeeded);
    assert_eq!(step.verdict().await, Verdict::Conflict);
    assert!(matches!(step.apply().await, Outcome::Rejected { untouched: true, .. }));
}

#[tokio::test]
async fn s01_a_search_gives_what_matches_and_its_values_are_no_filters() {
    let Some(slapd) = start() else { return };
    let search = |with: Value| {
        let step = slapd.step("ldap.search", &with);
        async move {
            match step.apply().await {
                Outcome::Applied { outputs } => outputs,
                other => panic!("{other:?}"),
            }
        }
    };
    let all = search(json!({ "base": BASE, "scope": "one", "attributes": ["cn"] })).await;
    assert_eq!(all["count"], 2);
    let one =
        search(json!({ "base": BASE, "where": { "cn": "app", "mail": "b@contoso.lan" }, "attributes": ["description"] })).await;
    assert_eq!(one["entries"], json!([{ "dn": APP, "attributes": { "description": ["old"] } }]));
    let star = search(json!({ "base": BASE, "where": { "cn": "star *" } })).await;
    assert_eq!(star["count"], 1);
    for value in ["*", "a*", "x)(cn=*", "*)(objectClass=*"] {
        let none = search(json!({ "base": BASE, "where": { "cn": value } })).await;
        assert_eq!((&none["count"], &none["first"]), (&json!(0), &Value::Null), "{value}");
    }
}

#[tokio::test]
async fn a_base_that_is_not_there_is_an_answer_and_no_empty_one() {
    let Some(slapd) = start() else { return };
    let step = slapd.step("ldap.search", &json!({ "base": format!("ou=nowhere,{BASE}") }));
    let outcome = step.apply().await;
    assert!(matches!(&outcome, Outcome::Rejected { reason, .. } if reason.contains("ou=nowhere")), "{outcome:?}");
}

#[tokio::test]
async fn actions_for_active_directory_say_that_this_is_none() {
    let Some(slapd) = start() else { return };
    let step = slapd.step("ad.user.delete", &json!({ "sip_address": "sip:a@contoso.lan", "base": BASE }));
    let pin = step.connector.pin(&step.call).await;
    assert!(matches!(&pin, Pin::Cannot { reason, .. } if reason.contains("is it Active Directory")), "{pin:?}");
}

#[tokio::test]
async fn f47_f51_a_server_that_is_gone_is_no_change_and_no_verdict() {
    let Some(mut slapd) = start() else { return };
    let step = slapd.change(&json!([{ "attribute": "description", "from": "old", "to": "new" }]));
    slapd.child.kill().unwrap();
    slapd.child.wait().unwrap();
    assert_eq!(step.connector.probe(&step.call).await.verdict, Verdict::Unknown);
    assert!(matches!(step.apply().await, Outcome::NotSent { .. }));
    assert!(matches!(step.connector.pin(&step.call).await, Pin::Cannot { unreachable: true, .. }));
}
