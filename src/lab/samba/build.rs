//! Builds the domain: what Samba provisions, Lync's attributes, the lab's people, and accounts with delegated rights.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::host::{program, run};
use super::{ADDRESS, below, pools, staff};
use crate::lab::contoso::{ACCOUNTS, CONTROLLERS};
use crate::lab::directory::descriptor::REANIMATE;
use crate::lab::directory::ids::Guid;
use crate::lab::directory::schema;
use crate::lab::directory::well_known::{DOMAIN, NETBIOS, REALM};
use crate::lab::files::{Files, Trouble};

/// Attributes must be live before a class may hold them, and both before people can.
const SCHEMA: [&str; 2] = [include_str!("attributes.ldif"), include_str!("classes.ldif")];
/// The people, once there are pools that they can be homed on.
const WORLD: &str = include_str!("world.ldif");
const FOLDERS: [&str; 8] = ["private", "state", "cache", "lock", "run", "log", "bind-dns", "ncalrpc"];

/// The SIDs of the lab's accounts and their names. Written last: where it is, the domain is whole.
pub fn accounts(files: &Files) -> Option<BTreeMap<String, String>> {
    serde_json::from_slice(&fs::read(below(files, "accounts.json")).ok()?).ok()
}

/// Takes the domain away; its log of changes is kept beside until the next time.
///
/// # Errors
/// It cannot be removed.
pub fn forget(files: &Files) -> Result<(), Trouble> {
    let folder = below(files, "");
    let cannot = |error: std::io::Error| Trouble::new(format!("cannot remove {}: {error}", folder.display()));
    if !folder.exists() {
        return Ok(());
    }
    let log = below(files, "log/writes.json");
    if log.exists() {
        fs::rename(log, files.dir().join("writes.before.jsonl")).map_err(cannot)?;
    }
    fs::remove_dir_all(&folder).map_err(cannot)
}

/// Builds the domain where there is none. Nothing runs meanwhile.
///
/// # Errors
/// A program of Samba's fails.
pub fn build(files: &Files) -> Result<(), Trouble> {
    configure(files)?;
    let mut provision = program(files, "samba-tool", &["domain", "provision"]);
    provision.args(["--server-role=dc", "--dns-backend=NONE", "--function-level=2008_R2", "--site=Madrid"]);
    provision.args([format!("--domain={NETBIOS}"), format!("--realm={REALM}"), format!("--host-name={}", CONTROLLERS[0])]);
    // Until it is whole nothing needs to be durable.
    provision.args([format!("--host-ip={ADDRESS}"), "--option=ldb:nosync=true".to_owned()]);
    run(&mut provision, "")?;
    for step in [SCHEMA[0], SCHEMA[1], &pools::ldif(), WORLD, &staff::ldif()] {
        change(files, &fill(files, step)?)?;
    }
    let mut known = BTreeMap::new();
    for (name, _) in ACCOUNTS {
        known.insert(sid(files, name)?, (*name).to_owned());
    }
    delegate(files, &known)?;
    let text = serde_json::to_vec(&known).map_err(|error| Trouble::new(error.to_string()))?;
    files.write(&below(files, "accounts.json"), &text)
}

/// Writes the configuration, and makes the folders that it names.
fn configure(files: &Files) -> Result<(), Trouble> {
    for folder in FOLDERS {
        let folder = below(files, folder);
        fs::create_dir_all(&folder).map_err(|error| Trouble::new(format!("cannot make {}: {error}", folder.display())))?;
    }
    let text = include_str!("smb.conf")
        .replace("${FOLDER}", below(files, "").display().to_string().trim_end_matches('/'))
        .replace("${PKI}", files.pki("").display().to_string().trim_end_matches('/'))
        .replace("${CA}", &files.ca().display().to_string());
    files.write(&below(files, "krb5.conf"), include_bytes!("krb5.conf"))?;
    files.write(&below(files, "smb.conf"), text.as_bytes())
}

/// Puts values into an LDIF: the domain's names, identifiers of attributes, passwords.
fn fill(files: &Files, text: &str) -> Result<String, Trouble> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (words, after) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(&match words.split_once(' ').unwrap_or((words, "")) {
            ("BASE", _) => DOMAIN.to_owned(),
            ("REALM", _) => REALM.to_owned(),
            ("ID", attribute) => STANDARD.encode(schema::id_of(attribute).to_wire()),
            ("PASSWORD", account) => quoted(&password(files, account)?),
            ("MAY", account) => ACCOUNTS.iter().find(|(name, _)| *name == account).map_or("", |(_, what)| *what).to_owned(),
            (other, _) => return Err(Trouble::new(format!("the lab's own LDIF asks for `{other}`"))),
        });
        rest = after;
    }
    Ok(filled + rest)
}

/// The password of the lab's account, or one that nobody knows for people.
fn password(files: &Files, account: &str) -> Result<String, Trouble> {
    if !ACCOUNTS.iter().any(|(name, _)| *name == account) {
        return Ok(format!("Lab-{}", Guid::random()));
    }
    let file = files.password(account);
    let text = fs::read_to_string(&file).map_err(|error| Trouble::new(format!("cannot read {}: {error}", file.display())))?;
    Ok(text.trim_end().to_owned())
}

/// As `unicodePwd` wants it: between quotation marks, in UTF-16 (MS-ADTS 3.1.1.3.1.5.1), here in base64.
fn quoted(password: &str) -> String {
    let bytes: Vec<u8> = format!("\"{password}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
    STANDARD.encode(bytes)
}

/// Its directory, for programs that open it in place.
fn database(files: &Files) -> std::path::PathBuf {
    below(files, "private/sam.ldb")
}

/// Changes the directory in place, as the system itself.
fn change(files: &Files, ldif: &str) -> Result<(), Trouble> {
    let mut modify = program(files, "ldbmodify", &[]);
    run(modify.args(["--show-deleted", "--option=ldb:nosync=true", "-H"]).arg(database(files)), ldif).map(drop)
}

fn sid(files: &Files, account: &str) -> Result<String, Trouble> {
    let mut search = program(files, "ldbsearch", &[]);
    search.arg("-H").arg(database(files)).args([&format!("(sAMAccountName={account})"), "objectSid"]);
    let found = run(&mut search, "")?;
    let sid = found.lines().find_map(|line| line.strip_prefix("objectSid: "));
    sid.map(str::to_owned).ok_or_else(|| Trouble::new(format!("Samba has no account `{account}` after it was made")))
}

/// Gives the same rights away as the embedded directory does.
fn delegate(files: &Files, known: &BTreeMap<String, String>) -> Result<(), Trouble> {
    let of = |account: &str| known.iter().find(|(_, name)| *name == account).map_or("", |(sid, _)| sid.as_str());
    let (migration, blind) = (of("svc-mig"), of("svc-blind"));
    let write = |attribute: &str| format!("(OA;CI;WP;{};;{migration})", schema::id_of(attribute));
    let lync: Vec<&str> = SCHEMA[0].lines().filter_map(|line| line.strip_prefix("lDAPDisplayName: ")).collect();
    for (dn, entries) in [
        (format!("OU=Service,{DOMAIN}"), format!("(A;CI;CCDCLCRPWPRCSDCR;;;{migration})(A;CI;DCLCRPRCSD;;;{blind})")),
        (format!("OU=Groups,{DOMAIN}"), write("member")),
        (format!("OU=Staff,{DOMAIN}"), lync.into_iter().map(write).collect()),
        (DOMAIN.to_owned(), format!("(OA;;CR;{REANIMATE};;{migration})")),
    ] {
        let mut set = program(files, "samba-tool", &["dsacl", "set"]);
        set.args(["--action=allow", &format!("--objectdn={dn}"), &format!("--sddl={entries}"), "-H"]);
        run(set.arg(database(files)), "")?;
    }
    // Who reads the deleted objects is set as a whole; in Windows `dsacls` does it.
    let rights = "O:SYG:SYD:PAI(A;;RPWPCCDCLCRCWOWDSDSW;;;SY)(A;;RPWPCCDCLCRCWOWDSDSW;;;BA)";
    let deleted = format!(
        "dn: CN=Deleted Objects,{DOMAIN}\nchangetype: modify\nreplace: nTSecurityDescriptor\n\
         nTSecurityDescriptor: {rights}(A;;RPLCRC;;;{migration})\n"
    );
    change(files, &deleted)
}
