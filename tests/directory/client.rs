//! Raw access to a directory with the clients of `OpenLDAP`: what the tests do to it, and how they look, has nothing in
//! common with the code under test.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Makes deleted objects visible; critical (\[MS-ADTS\] 3.1.1.3.4.1.14).
const SHOW_DELETED: &str = "!1.2.840.113556.1.4.417";
/// `LDAP_NO_SUCH_OBJECT`.
pub const NO_SUCH_OBJECT: i32 = 32;

/// One server, as one account.
#[derive(Debug, Clone)]
pub struct Client {
    /// `ldaps://host`.
    pub url: String,
    /// The authority's certificate.
    pub ca: PathBuf,
    /// Who.
    pub user: String,
    /// The account's password is in this file.
    pub password_file: PathBuf,
}

/// An object that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub dn: String,
    /// Lower-case names, values as they came.
    pub attributes: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Found {
    /// The values that are text, sorted.
    pub fn all(&self, attribute: &str) -> Vec<String> {
        let values = self.attributes.get(&attribute.to_lowercase()).map_or(&[][..], Vec::as_slice);
        let mut all: Vec<String> = values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        all.sort();
        all
    }

    /// The first value as text; empty if there is none.
    pub fn one(&self, attribute: &str) -> String {
        self.all(attribute).into_iter().next().unwrap_or_default()
    }

    /// The first value's bytes.
    pub fn bytes(&self, attribute: &str) -> Vec<u8> {
        self.attributes.get(&attribute.to_lowercase()).and_then(|values| values.first()).cloned().unwrap_or_default()
    }
}

impl Client {
    /// The same server as another account, with a password of its own.
    pub fn with(&self, user: &str, password_file: PathBuf) -> Self {
        Client { user: user.to_owned(), password_file, ..self.clone() }
    }

    fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-x", "-H", &self.url, "-D", &self.user, "-y"]).arg(&self.password_file);
        command.env("LDAPTLS_CACERT", &self.ca).env("LDAPTLS_REQCERT", "demand").env("LDAPCONF", "/dev/null");
        command
    }

    /// Searches below a base.
    ///
    /// # Errors
    /// The result code.
    pub fn search(&self, base: &str, scope: &str, filter: &str, attributes: &[&str]) -> Result<Vec<Found>, i32> {
        self.searched(base, scope, filter, attributes, &[])
    }

    /// Searches among the deleted objects too.
    ///
    /// # Errors
    /// The result code.
    pub fn search_deleted(&self, base: &str, scope: &str, filter: &str, attributes: &[&str]) -> Result<Vec<Found>, i32> {
        self.searched(base, scope, filter, attributes, &["-E", SHOW_DELETED])
    }

    fn searched(&self, base: &str, scope: &str, filter: &str, attributes: &[&str], more: &[&str]) -> Result<Vec<Found>, i32> {
        let mut command = self.program("ldapsearch");
        command.args(["-LLL", "-o", "ldif-wrap=no"]).args(more).args(["-b", base, "-s", scope, filter]).args(attributes);
        let output = command.stdin(Stdio::null()).output().unwrap();
        match output.status.code() {
            Some(0) => Ok(parse(&String::from_utf8_lossy(&output.stdout))),
            code => Err(code.unwrap_or(-1)),
        }
    }

    /// One object by any name, also `<GUID=…>`.
    ///
    /// # Errors
    /// The result code.
    pub fn read(&self, dn: &str, attributes: &[&str]) -> Result<Found, i32> {
        self.search(dn, "base", "(objectClass=*)", attributes)?.into_iter().next().ok_or(NO_SUCH_OBJECT)
    }

    /// One object, deleted or not.
    ///
    /// # Errors
    /// The result code.
    pub fn read_deleted(&self, dn: &str, attributes: &[&str]) -> Result<Found, i32> {
        self.search_deleted(dn, "base", "(objectClass=*)", attributes)?.into_iter().next().ok_or(NO_SUCH_OBJECT)
    }

    /// Carries out changes in LDIF with a control: `!oid` or `!oid=base64`.
    ///
    /// # Errors
    /// The result code.
    pub fn change_with(&self, ldif: &str, control: &str) -> Result<(), i32> {
        code(&self.changed(ldif, &["-e", control]))
    }

    /// Carries out changes in LDIF.
    ///
    /// # Panics
    /// If the server refuses.
    #[track_caller]
    pub fn must(&self, ldif: &str) {
        let output = self.changed(ldif, &[]);
        assert!(output.status.success(), "{}\n{ldif}", String::from_utf8_lossy(&output.stderr));
    }

    fn changed(&self, ldif: &str, more: &[&str]) -> Output {
        let mut command = self.program("ldapmodify");
        command.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Its answers are short, so that writing everything first cannot block.
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// The result code.
    pub fn delete(&self, dn: &str) -> Result<(), i32> {
        code(&self.program("ldapdelete").arg(dn).stdin(Stdio::null()).output().unwrap())
    }

    /// Renames or moves an object.
    #[track_caller]
    pub fn rename(&self, dn: &str, rdn: &str, parent: &str) {
        self.must(&format!("dn: {dn}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\nnewsuperior: {parent}\n"));
    }
}

fn code(output: &Output) -> Result<(), i32> {
    match output.status.code() {
        Some(0) => Ok(()),
        code => Err(code.unwrap_or(-1)),
    }
}

/// Reads LDIF without line breaks within values.
fn parse(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = match value.strip_prefix(':') {
            Some(encoded) => BASE64.decode(encoded.trim()).expect("what ldapsearch wrote"),
            None => value.strip_prefix(' ').unwrap_or(value).as_bytes().to_vec(),
        };
        match name {
            // A reference to another partition, or a comment.
            _ if name.starts_with('#') => {}
            "dn" => all.push(Found { dn: String::from_utf8_lossy(&value).into_owned(), ..Found::default() }),
            _ => {
                if let Some(found) = all.last_mut() {
                    found.attributes.entry(name.to_lowercase()).or_default().push(value);
                }
            }
        }
    }
    all
}
