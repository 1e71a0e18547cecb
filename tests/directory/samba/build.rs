//! Builds the domain: two domain controllers that replicate, Lync's attributes, and accounts with delegated rights.
//!
//! It takes a quarter of a minute and is therefore kept, packed, under a name that holds a hash of the recipe: this
//! file, the configuration, the fixtures, and Samba's version. Only Samba's own programs are used.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use nix::sys::signal::Signal;
use sha2::{Digest as _, Sha256};

use super::namespace::must;
use super::server::Server;
use super::{BASE, PASSWORD, REALM, certificates};
use crate::cli_support::processes::wait_for;

const SCHEMA: [&str; 2] = [
    include_str!("../../../fixtures/directory/schema-attributes.ldif"),
    include_str!("../../../fixtures/directory/schema-classes.ldif"),
];
const DOMAIN: &str = include_str!("../../../fixtures/directory/domain.ldif");

/// Puts the built domain below `root`, both servers stopped; builds it first if it is not there yet.
pub fn unpack(root: &Path, servers: &[Server]) {
    let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let packed = kept.join(format!("samba-{}.tar.zst", recipe()));
    fs::create_dir_all(&kept).unwrap();
    let lock = File::create(kept.join("samba.lock")).unwrap();
    // Two test runs at once build it once.
    lock.lock().unwrap();
    if packed.exists() {
        must(Command::new("tar").arg("-C").arg(root).args(["--zstd", "-xf"]).arg(&packed));
        for server in servers {
            server.configure(root);
        }
    } else {
        build(root, servers);
        pack(root, &packed);
    }
}

fn recipe() -> String {
    let version = must(Command::new("samba").arg("--version"));
    let mut hash = Sha256::new();
    let sources = [
        include_str!("build.rs"),
        include_str!("certificates.rs"),
        include_str!("smb.conf"),
        include_str!("krb5.conf"),
        SCHEMA[0],
        SCHEMA[1],
        DOMAIN,
        PASSWORD,
        &version,
    ];
    for source in sources {
        hash.update(source.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn pack(root: &Path, packed: &Path) {
    // Renamed into place: a build that was killed leaves nothing that looks whole.
    let unfinished = packed.with_extension("unfinished");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(root).args(["--zstd", "--warning=no-file-ignored", "--exclude=*/ncalrpc/*", "--exclude=*/log/*"]);
    must(tar.arg("--exclude=ldapi").arg("-cf").arg(&unfinished).args(["dc1", "dc2", "tls"]));
    fs::rename(&unfinished, packed).unwrap();
    // What an older recipe made is of no use any more.
    for entry in fs::read_dir(packed.parent().unwrap()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("samba-") && entry.path() != packed {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn build(root: &Path, servers: &[Server]) {
    eprintln!("building the domain; it is kept in {}", env!("CARGO_TARGET_TMPDIR"));
    let [one, two] = servers else { unreachable!("two domain controllers") };
    certificates::write(&root.join("tls"));
    for server in servers {
        server.configure(root);
    }
    let mut provision = one.samba_tool(&["domain", "provision"]);
    provision.args(["--domain=CONTOSO", "--server-role=dc", "--dns-backend=SAMBA_INTERNAL"]);
    provision.args(["--function-level=2008_R2", &format!("--realm={REALM}"), &format!("--adminpass={PASSWORD}")]);
    must(provision.args([format!("--host-name={}", one.name), format!("--host-ip={}", one.address)]));
    for ldif in SCHEMA.into_iter().chain([DOMAIN]) {
        change(root, one, ldif);
    }
    delegate(root, one);

    one.start();
    wait_until_it_answers(one);
    must(one.program("samba_spnupdate").arg("--verbose"));
    let mut join = two.samba_tool(&["domain", "join", REALM, "DC"]);
    join.args(["--dns-backend=SAMBA_INTERNAL", "-U", &administrator()]);
    must(join.arg(format!("--server={}", one.host())));
    two.start();
    wait_until_it_answers(two);
    must(two.program("samba_spnupdate").arg("--verbose"));
    for server in servers {
        replicates(server, one);
    }
    for server in servers {
        server.end(Signal::SIGTERM);
    }
}

/// Changes the directory in place, as the system itself; the server does not run.
fn change(root: &Path, server: &Server, ldif: &str) {
    let quoted: Vec<u8> = format!("\"{PASSWORD}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let text = ldif
        .replace("${BASE}", BASE)
        .replace("${REALM}", &REALM.to_lowercase())
        .replace("${PASSWORD}", &base64::engine::general_purpose::STANDARD.encode(quoted));
    let path = root.join("change.ldif");
    fs::write(&path, text).unwrap();
    must(server.program("ldbmodify").arg("--show-deleted").arg("-H").arg(server.database()).arg(path));
}

/// Gives the rights away that `docs/directory.md` asks a directory's owner for:
/// - create and delete users below OU=Service, read and write them;
/// - change the members of the groups in OU=Groups;
/// - read the deleted objects (not for `svc-blind`), and bring them back.
fn delegate(root: &Path, server: &Server) {
    const USER: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";
    const REANIMATE: &str = "45ec5156-db7e-47bb-b53f-dbeb2d03c40f";
    let migrate = sid(server, "svc-mig");
    let blind = sid(server, "svc-blind");
    let allow = |dn: &str, entries: String| {
        let mut set = server.samba_tool(&["dsacl", "set"]);
        set.args(["--action=allow", &format!("--objectdn={dn}"), &format!("--sddl={entries}"), "-H"]);
        must(set.arg(server.database()));
    };
    let service = |sid: &str| format!("(OA;CI;CCDC;{USER};;{sid})(A;CI;RPWPLCRC;;;{sid})");
    allow(&format!("OU=Service,{BASE}"), service(&migrate) + &service(&blind));
    allow(&format!("OU=Groups,{BASE}"), format!("(A;CI;RPWPLCRC;;;{migrate})"));
    allow(BASE, format!("(OA;;CR;{REANIMATE};;{migrate})"));
    // Who reads the deleted objects may be set with SDDL here; `dsacls` does it on Windows.
    let rights = "O:SYG:SYD:PAI(A;;RPWPCCDCLCRCWOWDSDSW;;;SY)(A;;RPWPCCDCLCRCWOWDSDSW;;;BA)";
    let deleted = format!(
        "dn: CN=Deleted Objects,{BASE}\nchangetype: modify\nreplace: nTSecurityDescriptor\n\
         nTSecurityDescriptor: {rights}(A;;RPLC;;;{migrate})\n"
    );
    change(root, server, &deleted);
}

fn sid(server: &Server, account: &str) -> String {
    let mut search = server.program("ldbsearch");
    search.arg("-H").arg(server.database()).args([&format!("(sAMAccountName={account})"), "objectSid"]);
    let found = must(&mut search);
    found.lines().find_map(|line| line.strip_prefix("objectSid: ")).expect("the account was made").to_owned()
}

fn administrator() -> String {
    format!("Administrator%{PASSWORD}")
}

fn wait_until_it_answers(server: &Server) {
    wait_for(&format!("{} answers", server.name), Duration::from_mins(1), || {
        let mut search = Command::new("ldapsearch");
        search.args(["-x", "-LLL", "-s", "base", "-b", "", "dnsHostName", "-H", &format!("ldap://{}", server.address)]);
        search.output().is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("dnsHostName"))
    });
}

/// Waits until it pulls every partition from the other one.
fn replicates(server: &Server, asked_with: &Server) {
    const PARTITIONS: usize = 5;
    wait_for(&format!("{} replicates", server.name), Duration::from_mins(2), || {
        let drs = |what: &str| {
            let output = asked_with.samba_tool(&["drs", what, &server.host()]).args(["-U", &administrator()]).output();
            String::from_utf8_lossy(&output.expect("samba-tool is there").stdout).into_owned()
        };
        // Refused while another calculation goes on; the next try comes anyway.
        drs("kcc");
        let shown = drs("showrepl");
        let inbound = shown.split("OUTBOUND").next().unwrap_or_default();
        inbound.matches("via RPC").count() >= PARTITIONS
    });
}
