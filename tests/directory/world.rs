//! A directory that the cases run against, and what they make in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::client::Client;

/// A domain with two domain controllers, numbered from 1, and with what `fixtures/directory/domain.ldif` holds.
pub trait World: Send + Sync {
    /// For the names of the tests.
    fn name(&self) -> &'static str;
    /// Where tests may write.
    fn folder(&self) -> &Path;
    /// The domain as a DN.
    fn base(&self) -> &str;
    /// The domain's DNS name.
    fn domain(&self) -> &str;
    /// The DNS name of a domain controller.
    fn host(&self, dc: usize) -> String;
    /// Where its LDAPS answers: address and port.
    fn address(&self, dc: usize) -> String;
    /// The authority that signed the certificates.
    fn ca(&self) -> PathBuf;
    /// The password of every account that the domain is built with.
    fn password_file(&self) -> PathBuf;
    /// Raw access as Administrator.
    fn admin(&self, dc: usize) -> Client;
    /// Ends a domain controller as a power cut would.
    fn kill(&self, dc: usize);
    /// Starts it again, and waits until it answers.
    fn start(&self, dc: usize);
    /// A domain controller goes on to exist and answers nothing: connections are made and nothing comes.
    fn freeze(&self, dc: usize);
    /// Lets it go on.
    fn thaw(&self, dc: usize);
    /// A point in the servers' own log of writes.
    fn mark(&self) -> Mark;
    /// What came over the network since then, refused or not, without the system's own.
    fn writes_since(&self, mark: &Mark) -> Vec<Write>;

    /// What a directory of the targets file says, for an account of the domain: `addresses` leads elsewhere.
    fn directory(&self, account: &Account, addresses: &Value) -> Value {
        let mut directory = json!({
            "url": format!("ldaps://{}", self.host(1)),
            "ca": self.ca(),
            "bind": { "user": account.user, "password": { "file": account.password_file } },
            "settle": { "stable_for": "300ms", "poll": "50ms" },
        });
        if addresses.as_object().is_some_and(|map| !map.is_empty()) {
            directory["addresses"] = addresses.clone();
        }
        directory
    }

    /// An account that the domain is built with, such as `svc-mig`.
    fn account(&self, name: &str) -> Account {
        Account { user: format!("{name}@{}", self.domain()), password_file: self.password_file() }
    }

    /// Raw access as an account that the domain is built with.
    fn client(&self, dc: usize, account: &str) -> Client {
        let account = self.account(account);
        self.admin(dc).with(&account.user, account.password_file)
    }

    /// The site of a domain controller, from the name of its settings object.
    fn site(&self, dc: usize) -> String {
        let settings = self.admin(dc).read("", &["dsServiceName"]).unwrap().one("dsServiceName");
        settings.split(',').nth(3).and_then(|part| part.strip_prefix("CN=")).expect("a server is in a site").to_owned()
    }

    /// A domain controller takes no changes from the others until it is released.
    fn hold_replication(&self, dc: usize) {
        self.replication_options(dc, Some(2));
    }

    /// Lets it take changes again.
    fn release_replication(&self, dc: usize) {
        self.replication_options(dc, None);
    }

    /// Sets the options of a domain controller's settings object; 2 is `NTDSDSA_OPT_DISABLE_INBOUND_REPL`
    /// (\[MS-ADTS\] 6.1.1.2.2.1.2.1.1). A global catalog has 1 as well.
    fn replication_options(&self, dc: usize, more: Option<u32>) {
        let admin = self.admin(dc);
        let settings = admin.read("", &["dsServiceName"]).unwrap().one("dsServiceName");
        let have: u32 = admin.read(&settings, &["options"]).unwrap().one("options").parse().unwrap_or(0);
        let options = (have & !2) | more.unwrap_or(0);
        admin.must(&format!("dn: {settings}\nchangetype: modify\nreplace: options\noptions: {options}\n"));
    }
}

/// Who logs on.
#[derive(Debug, Clone)]
pub struct Account {
    /// `user@domain`.
    pub user: String,
    /// Its password.
    pub password_file: PathBuf,
}

/// A point in the servers' log of writes.
#[derive(Debug, Clone)]
pub struct Mark(pub Vec<u64>);

/// One write in a server's own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// `Add`, `Modify`, `Delete` or `Rename`.
    pub operation: String,
    /// Of what.
    pub dn: String,
    /// From where.
    pub remote: String,
    /// The account's SID.
    pub user: String,
    /// The result code.
    pub code: i64,
    /// What was changed.
    pub attributes: Vec<String>,
}

/// A place in OU=Service for one test, and a word that nobody else uses.
pub struct Place<'w> {
    /// The directory.
    pub world: &'w dyn World,
    /// `t17`.
    pub word: String,
    /// `OU=t17,OU=Service,…`.
    pub ou: String,
}

/// A user of a test.
#[derive(Debug, Clone)]
pub struct User {
    /// Its name when it was made.
    pub dn: String,
    /// sAMAccountName.
    pub account: String,
    /// `sip:…`.
    pub sip: String,
    /// objectGUID as text.
    pub guid: String,
    /// objectSid as text.
    pub sid: String,
}

impl User {
    /// `<GUID=…>`.
    pub fn by_guid(&self) -> String {
        format!("<GUID={}>", self.guid)
    }
}

static NEXT: AtomicU32 = AtomicU32::new(1);

impl<'w> Place<'w> {
    /// A place that nobody else uses.
    pub fn new(world: &'w dyn World) -> Self {
        let word = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let ou = format!("OU={word},OU=Service,{}", world.base());
        world.admin(1).must(&format!("dn: {ou}\nchangetype: add\nobjectClass: organizationalUnit\n"));
        Place { world, word, ou }
    }

    /// The `base` that the actions are given.
    pub fn base(&self) -> String {
        format!("OU=Service,{}", self.world.base())
    }

    /// Raw access as Administrator to the first domain controller.
    pub fn admin(&self) -> Client {
        self.world.admin(1)
    }

    /// A user with everything that Lync gives one.
    pub fn user(&self) -> User {
        self.users(&[""]).remove(0)
    }

    /// Several, made at once; each has its suffix in all its names.
    pub fn users(&self, suffixes: &[&str]) -> Vec<User> {
        let names: Vec<String> = suffixes.iter().map(|suffix| format!("{}{suffix}", self.word)).collect();
        let text: Vec<String> = names.iter().map(|name| self.user_ldif(name)).collect();
        self.admin().must(&text.join("\n"));
        let found = self.admin().search(&self.ou, "one", "(objectClass=user)", &["objectGUID", "objectSid", "sAMAccountName"]);
        let found = found.unwrap();
        let of = |name: &String| {
            let object = found.iter().find(|object| object.one("sAMAccountName") == *name).unwrap();
            User {
                dn: object.dn.clone(),
                account: name.clone(),
                sip: format!("sip:{name}@{}", self.world.domain()),
                guid: guid_text(&object.bytes("objectGUID")),
                sid: sid_text(&object.bytes("objectSid")),
            }
        };
        names.iter().map(of).collect()
    }

    fn user_ldif(&self, name: &str) -> String {
        let domain = self.world.domain();
        format!(
            "dn: CN={name},{ou}\nchangetype: add\nobjectClass: user\nsAMAccountName: {name}\n\
             userPrincipalName: {name}@{domain}\ndisplayName: Chat of {name}\ngivenName: Chat\nsn: {name}\n\
             mail: {name}@{domain}\ndescription: made by a test\nunicodePwd:: {password}\nuserAccountControl: 512\n\
             proxyAddresses: sip:{name}@{domain}\nproxyAddresses: SMTP:{name}@{domain}\n\
             msRTCSIP-PrimaryUserAddress: sip:{name}@{domain}\nmsRTCSIP-UserEnabled: TRUE\nmsRTCSIP-OptionFlags: 257\n\
             msRTCSIP-DeploymentLocator: SRV:\nmsRTCSIP-PrimaryHomeServer: OU=Groups,{base}\n",
            ou = self.ou,
            base = self.world.base(),
            password = password("Us3r!Passw0rd"),
        )
    }

    /// A group in OU=Groups with these members; its DN.
    pub fn group(&self, suffix: &str, members: &[&str]) -> String {
        let dn = format!("CN={}{suffix},OU=Groups,{}", self.word, self.world.base());
        let mut text = format!("dn: {dn}\nchangetype: add\nobjectClass: group\nsAMAccountName: {}{suffix}\n", self.word);
        for member in members {
            text.push_str(&format!("member: {member}\n"));
        }
        self.admin().must(&text);
        dn
    }

    /// A contact in this place that holds a SIP address.
    pub fn contact(&self, suffix: &str, sip: &str) -> String {
        let dn = format!("CN={}{suffix},{}", self.word, self.ou);
        self.admin().must(&format!(
            "dn: {dn}\nchangetype: add\nobjectClass: contact\nmsRTCSIP-PrimaryUserAddress: {sip}\nmsRTCSIP-UserEnabled: TRUE\n"
        ));
        dn
    }

    /// Makes an object a member of a group that is there.
    pub fn join(&self, group: &str, member: &str) {
        self.admin().must(&format!("dn: {group}\nchangetype: modify\nadd: member\nmember: {member}\n"));
    }

    /// An account of its own with this password, ordinary otherwise; `told` is the password that its user believes in.
    pub fn account(&self, suffix: &str, real: &str, told: &str) -> Account {
        let name = format!("{}{suffix}", self.word);
        let domain = self.world.domain();
        self.admin().must(&format!(
            "dn: CN={name},OU=Accounts,{}\nchangetype: add\nobjectClass: user\nsAMAccountName: {name}\n\
             userPrincipalName: {name}@{domain}\nunicodePwd:: {}\nuserAccountControl: 512\n",
            self.world.base(),
            password(real),
        ));
        let password_file = self.world.folder().join(format!("{name}.password"));
        std::fs::write(&password_file, told).unwrap();
        Account { user: format!("{name}@{domain}"), password_file }
    }

    /// How often a wrong password was tried for an account, as the directory counts.
    pub fn bad_passwords(&self, account: &Account) -> u32 {
        let found =
            self.admin().search(self.world.base(), "sub", &format!("(userPrincipalName={})", account.user), &["badPwdCount"]);
        found.unwrap()[0].one("badPwdCount").parse().unwrap_or(0)
    }

    /// What the account `svc-mig` wrote since a mark, refused or not.
    pub fn ours(&self, mark: &Mark) -> Vec<Write> {
        self.written_by("svc-mig", mark)
    }

    /// What an account that the domain is built with wrote since a mark, refused or not.
    pub fn written_by(&self, account: &str, mark: &Mark) -> Vec<Write> {
        let dn = format!("CN={account},OU=Accounts,{}", self.world.base());
        let sid = sid_text(&self.admin().read(&dn, &["objectSid"]).unwrap().bytes("objectSid"));
        self.world.writes_since(mark).into_iter().filter(|write| write.user == sid).collect()
    }

    /// Fails if `svc-mig` wrote anything since a mark.
    #[track_caller]
    pub fn nothing_written(&self, mark: &Mark) {
        assert_eq!(self.ours(mark), [], "nothing was to be written");
    }

    /// Whether the object is where and what it was, and not deleted.
    #[track_caller]
    pub fn is_untouched(&self, user: &User, dn: &str) {
        let found = self.admin().read(&user.by_guid(), &["objectSid"]).expect("it lives");
        assert!(found.dn.eq_ignore_ascii_case(dn), "{} is {}", dn, found.dn);
    }

    /// The tombstone of a user on a domain controller, if there is one.
    pub fn tombstone(&self, dc: usize, user: &User) -> Option<crate::client::Found> {
        let found = self.world.admin(dc).read_deleted(&user.by_guid(), &[]).ok()?;
        (found.one("isDeleted") == "TRUE").then_some(found)
    }

    /// Waits until a domain controller has the user, or does not.
    #[track_caller]
    pub fn wait_for(&self, dc: usize, user: &User, there: bool) {
        let admin = self.world.admin(dc);
        crate::cli_support::wait_for("the change is replicated", || admin.read(&user.by_guid(), &["cn"]).is_ok() == there);
    }
}

/// What unicodePwd takes, for LDIF.
pub fn password(clear: &str) -> String {
    let quoted: Vec<u8> = format!("\"{clear}\"").encode_utf16().flat_map(u16::to_le_bytes).collect();
    base64::engine::general_purpose::STANDARD.encode(quoted)
}

/// objectGUID as text.
pub fn guid_text(bytes: &[u8]) -> String {
    let bytes: [u8; 16] = bytes.try_into().expect("a GUID has 16 bytes");
    uuid::Uuid::from_bytes_le(bytes).hyphenated().to_string()
}

/// objectSid as text.
pub fn sid_text(bytes: &[u8]) -> String {
    let authority = bytes[2..8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut text = format!("S-{}-{authority}", bytes[0]);
    for part in bytes[8..].chunks_exact(4) {
        text.push_str(&format!("-{}", u32::from_le_bytes(part.try_into().expect("four bytes"))));
    }
    text
}
