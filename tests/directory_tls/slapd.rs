//! Against slapd, which others wrote: paging, limits, referrals, refusals, and answers that are cut off.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use relevo::connector::directory::dn::{Address, Dn};
use relevo::connector::directory::filter::Filter;
use relevo::connector::directory::session::{Change, Deleted, Dialer, Outcomes, Scope, Server, Trouble};
use relevo::connector::directory::target::{Bind, Target};

use super::proxy::Proxy;
use super::{PASSWORD, PATIENT, Place, open_in, some_guid, stay};

const SLAPD: &str = "/usr/sbin/slapd";
const SUFFIX: &str = "dc=contoso,dc=lan";
/// More than two pages.
const PEOPLE: usize = 1203;

/// A server with its data. Ends with the value.
struct Slapd {
    child: Child,
    place: Place,
    port: u16,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether these tests are asked for.
fn wanted() -> bool {
    let all = std::env::var("RELEVO_TESTS").is_ok_and(|which| which == "all");
    if !all {
        eprintln!("left out: needs slapd (tests/run installs it)");
    }
    all
}

impl Slapd {
    fn start() -> Self {
        assert!(Path::new(SLAPD).exists(), "{SLAPD} is asked for and not installed");
        let place = Place::new();
        let folder = place.path().to_owned();
        let identity = place.good();
        std::fs::write(folder.join("server.pem"), &identity.pem).unwrap();
        std::fs::write(folder.join("server.key"), identity.key.serialize_pem()).unwrap();
        std::fs::set_permissions(folder.join("server.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::create_dir(folder.join("db")).unwrap();
        let shown = folder.display();
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             pidfile {shown}/slapd.pid\nTLSCACertificateFile {shown}/ca.pem\nTLSCertificateFile {shown}/server.pem\n\
             TLSCertificateKeyFile {shown}/server.key\ndatabase mdb\nmaxsize 67108864\nsuffix \"{SUFFIX}\"\n\
             rootdn \"cn=admin,{SUFFIX}\"\nrootpw {PASSWORD}\ndirectory {shown}/db\nindex objectClass eq\n\
             limits dn.exact=\"cn=small,{SUFFIX}\" size=5 size.prtotal=5 size.pr=5\n\
             access to attrs=userPassword by anonymous auth\naccess to * by users read\n"
        );
        std::fs::write(folder.join("slapd.conf"), config).unwrap();
        let mut data = format!(
            "dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: contoso\no: Contoso\n\n\
             dn: cn=small,{SUFFIX}\nobjectClass: person\ncn: small\nsn: small\nuserPassword: {PASSWORD}\n\n\
             dn: ou=people,{SUFFIX}\nobjectClass: organizationalUnit\nou: people\n\n\
             dn: ou=elsewhere,{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\n\
             ref: ldap://127.0.0.1:9/ou=elsewhere,{SUFFIX}\n\n"
        );
        for at in 0..PEOPLE {
            let _ = write!(data, "dn: cn=p{at},ou=people,{SUFFIX}\nobjectClass: person\ncn: p{at}\nsn: same\n\n");
        }
        std::fs::write(folder.join("data.ldif"), data).unwrap();
        let add = Command::new(SLAPD)
            .args(["-T", "add", "-q", "-f"])
            .arg(folder.join("slapd.conf"))
            .arg("-l")
            .arg(folder.join("data.ldif"))
            .output()
            .unwrap();
        assert!(add.status.success(), "{}", String::from_utf8_lossy(&add.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(SLAPD)
            .arg("-h")
            .arg(format!("ldaps://127.0.0.1:{port}"))
            .arg("-f")
            .arg(folder.join("slapd.conf"))
            .args(["-d", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let slapd = Slapd { child, place, port };
        let end = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "slapd does not answer");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        slapd
    }

    fn target(&self, user: &str) -> Target {
        let mut target = self.place.target(([127, 0, 0, 1], self.port).into(), false, PATIENT);
        if let Bind::Simple { user: name, .. } = &mut target.bind {
            *name = format!("cn={user},{SUFFIX}");
        }
        target
    }
}

fn at(name: &str) -> Address {
    Address::Dn(Dn::parse(&format!("{name}{SUFFIX}")).unwrap())
}

#[test]
fn f56_f57_slapd_is_read_whole_or_not_at_all() {
    if !wanted() {
        return;
    }
    let slapd = Slapd::start();
    let mut session = open_in(&slapd.target("admin"));
    assert_eq!(session.root().domain, SUFFIX);
    assert!(!session.root().is_active_directory());
    let people = Filter::equal("sn", "same");
    // All pages; and the reference to another server is passed over, not followed.
    let found = stay(session.search(&at(""), Scope::Subtree, &people, &["cn"], Deleted::Hidden)).unwrap();
    assert_eq!(found.len(), PEOPLE);
    let names: std::collections::BTreeSet<_> = found.iter().filter_map(|entry| entry.text("cn")).collect();
    assert_eq!(names.len(), PEOPLE, "none twice");
    // A base on another server is no empty answer.
    let error = stay(session.search(&at("ou=x,ou=elsewhere,"), Scope::Subtree, &people, &["cn"], Deleted::Hidden)).unwrap_err();
    assert_eq!(error.code, Some(10), "{error}");
    // Nor is one that is not there, which a read tells.
    let error = stay(session.search(&at("ou=nowhere,"), Scope::Subtree, &people, &["cn"], Deleted::Hidden)).unwrap_err();
    assert_eq!(error.code, Some(32), "{error}");
    assert_eq!(stay(session.read(&at("ou=nowhere,"), &["cn"], Deleted::Hidden)), Ok(None));
    assert_eq!(stay(session.read(&at("cn=p7,ou=people,"), &["sn"], Deleted::Hidden)).unwrap().unwrap().text("sn"), Some("same"));
    // A control that is not known is not left out.
    let error = stay(session.search(&at(""), Scope::Subtree, &people, &["cn"], Deleted::Shown)).unwrap_err();
    assert_eq!(error.code, Some(12), "{error}");

    // An answer that is cut short by a limit counts as none.
    let mut small = open_in(&slapd.target("small"));
    let error = stay(small.search(&at(""), Scope::Subtree, &people, &["cn"], Deleted::Hidden)).unwrap_err();
    assert!(matches!(error.code, Some(4 | 11)), "{error}");
    assert!(error.message.contains("counts as none"), "{error}");
}

#[test]
fn f56_s58_what_slapd_refuses_changes_nothing_and_says_why() {
    if !wanted() {
        return;
    }
    let slapd = Slapd::start();
    let mut writer = open_in(&slapd.target("admin")).writer();
    let person = at("cn=p1,ou=people,");
    let replace = |name: &str, value: &str| Change::Replace(name.to_owned(), vec![value.as_bytes().to_vec()]);
    let mut modify =
        |at: &Address, change: Change, assert: Option<&Filter>| stay(writer.modify(at, &[change], Deleted::Hidden, assert));
    let hidden = modify(&person, replace("description", "new"), Some(&Filter::equal("sn", "other")));
    assert_eq!((hidden.code, hidden.outcome), (Some(122), Outcomes::Rejected), "{hidden:?}");
    let seen = modify(&person, replace("description", "new"), Some(&Filter::equal("sn", "same")));
    assert_eq!((seen.code, seen.outcome), (Some(0), Outcomes::Applied), "{seen:?}");
    let cases = [
        (person.clone(), Change::Delete("description".to_owned(), vec![b"old".to_vec()]), 16),
        (person.clone(), replace("noSuchThing", "x"), 17),
        (person.clone(), Change::Add("sn".to_owned(), vec![b"same".to_vec()]), 20),
        (person.clone(), Change::Delete("sn".to_owned(), Vec::new()), 65),
        (person.clone(), replace("cn", "another"), 64),
        (at("cn=nobody,"), replace("description", "x"), 32),
        (at("ou=x,ou=elsewhere,"), replace("description", "x"), 10),
        // What only Active Directory understands is no name elsewhere.
        (Address::Guid(some_guid()), replace("description", "x"), 34),
    ];
    for (address, change, code) in cases {
        let written = modify(&address, change, None);
        assert_eq!((written.code, written.outcome), (Some(code), Outcomes::Rejected), "{written:?}");
    }
    let empty = modify(&person, Change::Add("description".to_owned(), Vec::new()), None);
    assert_eq!(empty.outcome, Outcomes::NotSent, "{empty:?}");
    let mut small = open_in(&slapd.target("small")).writer();
    let denied = stay(small.modify(&person, &[replace("description", "x")], Deleted::Hidden, None));
    assert_eq!((denied.code, denied.outcome), (Some(50), Outcomes::Rejected), "{denied:?}");
    let left = stay(small.reader().read(&person, &["description"], Deleted::Hidden)).unwrap().unwrap();
    assert_eq!(left.text("description"), Some("new"), "only the one that was applied has changed anything");
}

#[test]
fn f66_a_wrong_password_for_slapd_is_a_logon_that_is_refused_and_then_held() {
    if !wanted() {
        return;
    }
    let slapd = Slapd::start();
    std::fs::write(slapd.place.path().join("password"), "wrong").unwrap();
    let dialer = Dialer::default();
    let target = slapd.target("small");
    assert_eq!(stay(dialer.open(&target, &Server::Url)).unwrap_err().kind, Trouble::Logon);
    assert_eq!(stay(dialer.open(&target, &Server::Url)).unwrap_err().kind, Trouble::LogonHeld);
}

#[test]
fn f49_an_answer_that_is_cut_off_at_any_byte_leaves_the_change_unknown_and_made() {
    if !wanted() {
        return;
    }
    let slapd = Slapd::start();
    let proxy = Proxy::start(&format!("127.0.0.1:{}", slapd.port));
    let mut target = slapd.target("admin");
    target.addresses = [(target.url.host.clone(), proxy.address.clone())].into();
    let person = at("cn=p2,ou=people,");
    let change = |text: String| [Change::Replace("description".to_owned(), vec![text.into_bytes()])];
    // How long the answer is on the wire.
    let mut writer = open_in(&target).writer();
    proxy.cut_after(u64::MAX);
    assert_eq!(stay(writer.modify(&person, &change("first".to_owned()), Deleted::Hidden, None)).outcome, Outcomes::Applied);
    let whole = proxy.said();
    assert!(whole > 0);
    drop(writer);
    let mut direct = open_in(&slapd.target("admin"));
    for bytes in 1..whole {
        let mut writer = open_in(&target).writer();
        proxy.cut_after(bytes);
        let text = format!("cut after {bytes}");
        let written = stay(writer.modify(&person, &change(text.clone()), Deleted::Hidden, None));
        assert!(proxy.was_cut(), "after {bytes} of {whole}");
        assert_eq!((written.outcome, written.code), (Outcomes::Unknown, None), "after {bytes} of {whole}: {written:?}");
        let there = stay(direct.read(&person, &["description"], Deleted::Hidden)).unwrap().unwrap();
        assert_eq!(there.text("description"), Some(text.as_str()), "the server has done it");
    }
}
