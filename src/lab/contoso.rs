//! The world that a lab starts with: one domain, two sites, two domain controllers, a few people, the well-known user
//! of Group Chat, and three service accounts with different rights.

use std::collections::BTreeMap;

use super::directory::account;
use super::directory::add::{blank, default_descriptor};
use super::directory::descriptor::{Descriptor, Entry, REANIMATE, right};
use super::directory::dn::Rdn;
use super::directory::entry;
use super::directory::ids::{Guid, Sid};
use super::directory::rights::authenticated;
use super::directory::schema::{self, ATTRIBUTES, CLASSES, Syntax, Trait};
use super::directory::store::{Pen, Replica};
use super::directory::value::Value;
use super::directory::well_known::{DOMAIN, NETBIOS, REALM};
use super::lync::chat::people::Account;

/// Accounts whose passwords are in files of the lab's folder, and what each is for.
pub const ACCOUNTS: &[(&str, &str)] = &[
    ("Administrator", "may everything"),
    ("svc-mig", "delegated: OU=Service, members of OU=Groups, Lync attributes, Deleted Objects, reanimation"),
    ("svc-blind", "may delete in OU=Service, and cannot see Deleted Objects"),
    ("svc-reader", "reads"),
];

/// The names of the domain controllers.
pub const CONTROLLERS: [&str; 2] = ["dc1", "dc2"];

/// The site of each.
const SITES: [&str; 2] = ["Madrid", "Valencia"];

struct Builder<'a> {
    replica: Replica,
    pen: Pen,
    domain: Sid,
    passwords: &'a BTreeMap<String, String>,
}

/// Builds the world, as each domain controller holds it.
#[must_use]
pub fn build(passwords: &BTreeMap<String, String>, now: i64) -> [Replica; 2] {
    let dsas = [Guid::random(), Guid::random()];
    let part = || {
        let bytes = Guid::random().to_wire();
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    };
    let domain = Sid::new(5, &[21, part(), part(), part()]);
    let mut replica = Replica::new(CONTROLLERS[0], dsas[0], 1200);
    let pen = replica.pen(now);
    let mut builder = Builder { replica, pen, domain, passwords };
    let head = builder.heads();
    builder.domain_objects(head);
    builder.configuration(head, dsas);
    builder.people(head);
    builder.delegate(head);
    builder.categories();
    let mut first = builder.replica;
    let mut second = first.clone();
    CONTROLLERS[1].clone_into(&mut second.name);
    second.dsa = dsas[1];
    second.next_rid = 1700;
    first.seen.insert(second.dsa, second.usn);
    second.seen.insert(first.dsa, first.usn);
    second.index();
    [first, second]
}

impl Builder<'_> {
    fn object_at(&mut self, guid: Guid, parent: Option<Guid>, class: &str, name: &str, texts: &[(&str, &str)]) -> Guid {
        let Some(class) = schema::class_named(class) else { unreachable!("the lab's world is made of classes that it knows") };
        let mut object = blank(guid, parent, class, name, &self.pen);
        let descriptor = default_descriptor(Some(self.domain.clone()), None);
        self.pen.set(&mut object, "nTSecurityDescriptor", vec![Value::Bytes(descriptor.to_wire(7))]);
        for (attribute, text) in texts {
            let mut values = object.values(attribute).to_vec();
            values.push(Value::text(*text));
            self.pen.set(&mut object, attribute, values);
        }
        account::complete(&mut self.replica, &mut object, &self.pen);
        self.replica.put(object, &self.pen);
        guid
    }

    fn object(&mut self, parent: Guid, class: &str, name: &str, texts: &[(&str, &str)]) -> Guid {
        self.object_at(Guid::random(), Some(parent), class, name, texts)
    }

    fn set(&mut self, guid: Guid, attribute: &str, values: Vec<Value>) {
        if let Some(mut object) = self.replica.get(guid).cloned() {
            self.pen.set(&mut object, attribute, values);
            self.replica.put(object, &self.pen);
        }
    }

    fn link(&mut self, guid: Guid, attribute: &str, target: Guid) {
        if let Some(mut object) = self.replica.get(guid).cloned() {
            self.pen.link(&mut object, attribute, target, true);
            self.replica.put(object, &self.pen);
        }
    }

    fn entries(&mut self, guid: Guid, protected: bool, change: impl FnOnce(&mut Vec<Entry>)) {
        let base = default_descriptor(Some(self.domain.clone()), None);
        let own = self
            .replica
            .get(guid)
            .and_then(|object| Descriptor::from_wire(object.values("nTSecurityDescriptor").first()?.bytes()?, &base));
        let mut descriptor = own.unwrap_or(base);
        descriptor.protected = protected;
        change(&mut descriptor.entries);
        self.set(guid, "nTSecurityDescriptor", vec![Value::Bytes(descriptor.to_wire(7))]);
    }

    fn find(&self, parent: Guid, part: (&str, &str)) -> Guid {
        self.replica.child(parent, &Rdn::new(part.0, part.1)).map_or(parent, |object| object.guid)
    }

    fn rid(&mut self, guid: Guid, sid: &Sid) {
        self.set(guid, "objectSid", vec![Value::Bytes(sid.to_wire())]);
    }

    /// The three naming contexts, each with its container of tombstones, and the schema's classes.
    fn heads(&mut self) -> Guid {
        let policy = [
            ("lockoutThreshold", "5"),
            ("lockoutDuration", "-18000000000"),
            ("lockOutObservationWindow", "-18000000000"),
            ("maxPwdAge", "-9223372036854775808"),
            ("minPwdAge", "0"),
            ("minPwdLength", "7"),
            ("pwdHistoryLength", "0"),
            ("pwdProperties", "1"),
            ("ms-DS-MachineAccountQuota", "10"),
            ("msDS-Behavior-Version", "4"),
            ("nTMixedDomain", "0"),
            ("isCriticalSystemObject", "TRUE"),
        ];
        let domain = self.object_at(Guid::random(), None, "domainDNS", "contoso", &policy);
        let sid = self.domain.clone();
        self.rid(domain, &sid);
        let configuration = self.object(domain, "configuration", "Configuration", &[]);
        let schema = self.object(configuration, "dMD", "Schema", &[("objectVersion", "47")]);
        for head in [domain, configuration, schema] {
            if let Some(mut object) = self.replica.get(head).cloned() {
                object.head = true;
                self.replica.put(object, &self.pen);
            }
            let everybody = [self.domain.child(512), self.domain.child(519), Sid::builtin(544)];
            self.entries(head, true, |entries| {
                entries.extend(everybody.map(|who| Entry::allow_below(who, right::ALL)));
                entries.push(Entry::allow_below(authenticated(), right::READ | right::LIST | right::READ_CONTROL));
            });
        }
        for head in [domain, configuration] {
            let texts = [
                ("description", "Container for deleted objects"),
                ("isDeleted", "TRUE"),
                ("isCriticalSystemObject", "TRUE"),
                ("systemFlags", "-1946157056"),
            ];
            let bin = self.object(head, "container", "Deleted Objects", &texts);
            self.entries(bin, true, |entries| {
                *entries =
                    vec![Entry::allow_below(Sid::builtin(544), right::ALL), Entry::allow_below(Sid::new(5, &[18]), right::ALL)];
            });
        }
        for class in CLASSES {
            let name = class.cn;
            let object = self.object(schema, "classSchema", name, &[("lDAPDisplayName", class.name)]);
            self.set(object, "schemaIDGUID", vec![Value::Bytes(schema::id_of(class.name).to_wire())]);
        }
        for attribute in ATTRIBUTES {
            let syntax = match attribute.syntax {
                Syntax::Text => "2.5.5.12",
                Syntax::Boolean => "2.5.5.8",
                Syntax::Integer => "2.5.5.9",
                Syntax::Large => "2.5.5.16",
                Syntax::Octets => "2.5.5.10",
                Syntax::Name => "2.5.5.1",
                Syntax::Class => "2.5.5.2",
                Syntax::Time => "2.5.5.11",
            };
            let single = if attribute.is(Trait::Single) { "TRUE" } else { "FALSE" };
            let texts = [("lDAPDisplayName", attribute.name), ("attributeSyntax", syntax), ("isSingleValued", single)];
            let object = self.object(schema, "attributeSchema", &format!("Attribute-{}", attribute.name), &texts);
            self.set(object, "schemaIDGUID", vec![Value::Bytes(schema::id_of(attribute.name).to_wire())]);
        }
        domain
    }

    fn domain_objects(&mut self, domain: Guid) {
        let critical = ("isCriticalSystemObject", "TRUE");
        let users = self.object(domain, "container", "Users", &[critical]);
        for name in ["Computers", "System", "ForeignSecurityPrincipals"] {
            self.object(domain, "container", name, &[critical]);
        }
        self.object(domain, "lostAndFound", "LostAndFound", &[critical]);
        self.object(domain, "infrastructureUpdate", "Infrastructure", &[critical]);
        let builtin = self.object(domain, "builtinDomain", "Builtin", &[critical]);
        for (name, rid) in [
            ("Administrators", 544),
            ("Users", 545),
            ("Guests", 546),
            ("Account Operators", 548),
            ("Server Operators", 549),
            ("Print Operators", 550),
            ("Backup Operators", 551),
            ("Replicator", 552),
            ("Remote Desktop Users", 555),
        ] {
            let texts = [("sAMAccountName", name), ("groupType", "-2147483643"), critical];
            let group = self.object(builtin, "group", name, &texts);
            self.rid(group, &Sid::builtin(rid));
        }
        for (name, rid) in [
            ("Domain Admins", 512),
            ("Domain Users", 513),
            ("Domain Guests", 514),
            ("Domain Computers", 515),
            ("Domain Controllers", 516),
            ("Schema Admins", 518),
            ("Enterprise Admins", 519),
            ("Group Policy Creator Owners", 520),
        ] {
            let group = self.object(users, "group", name, &[("sAMAccountName", name), critical]);
            let sid = self.domain.child(rid);
            self.rid(group, &sid);
        }
        let admin = self.user(
            users,
            "Administrator",
            66048,
            &[("description", "Built-in account for administering the domain"), critical],
        );
        let guest = self.user(users, "Guest", 66082, &[critical]);
        let krbtgt = self.user(users, "krbtgt", 514, &[("description", "Key Distribution Center Service Account"), critical]);
        for (guid, rid) in [(admin, 500), (guest, 501), (krbtgt, 502)] {
            let sid = self.domain.child(rid);
            self.rid(guid, &sid);
        }
        for (guid, count) in [(admin, "1"), (krbtgt, "1")] {
            self.set(guid, "adminCount", vec![Value::text(count)]);
        }
        let [admins, domain_admins, enterprise, schema_admins] = [
            self.find(builtin, ("CN", "Administrators")),
            self.find(users, ("CN", "Domain Admins")),
            self.find(users, ("CN", "Enterprise Admins")),
            self.find(users, ("CN", "Schema Admins")),
        ];
        for group in [domain_admins, enterprise, schema_admins, admins] {
            self.link(group, "member", admin);
            self.set(group, "adminCount", vec![Value::text("1")]);
        }
        self.link(admins, "member", domain_admins);
        self.link(admins, "member", enterprise);
        let (group, member) = (self.find(builtin, ("CN", "Users")), self.find(users, ("CN", "Domain Users")));
        self.link(group, "member", member);
        let controllers = self.object(domain, "organizationalUnit", "Domain Controllers", &[critical]);
        for name in CONTROLLERS {
            let (upper, host) = (name.to_ascii_uppercase(), format!("{name}.{REALM}"));
            let account = format!("{upper}$");
            let texts = [
                ("sAMAccountName", account.as_str()),
                ("userAccountControl", "532480"),
                ("primaryGroupID", "516"),
                ("dNSHostName", &host),
                critical,
            ];
            self.object(controllers, "computer", &upper, &texts);
        }
    }

    fn user(&mut self, parent: Guid, name: &str, flags: u32, texts: &[(&str, &str)]) -> Guid {
        let flags = flags.to_string();
        let mut all = vec![("sAMAccountName", name), ("userAccountControl", flags.as_str())];
        all.extend_from_slice(texts);
        let guid = self.object(parent, "user", name, &all);
        if let Some(password) = self.passwords.get(name).cloned()
            && let Some(mut object) = self.replica.get(guid).cloned()
        {
            account::set_password(&mut object, &password, &self.pen);
            self.replica.put(object, &self.pen);
        }
        guid
    }

    fn configuration(&mut self, domain: Guid, dsas: [Guid; 2]) {
        let configuration = self.find(domain, ("CN", "Configuration"));
        let schema = self.find(configuration, ("CN", "Schema"));
        let sites = self.object(configuration, "sitesContainer", "Sites", &[]);
        for ((name, site), dsa) in CONTROLLERS.into_iter().zip(SITES).zip(dsas) {
            let site = self.object(sites, "site", site, &[]);
            let servers = self.object(site, "serversContainer", "Servers", &[]);
            let (upper, host) = (name.to_ascii_uppercase(), format!("{name}.{REALM}"));
            let server = self.object(servers, "server", &upper, &[("dNSHostName", &host), ("systemFlags", "1375731712")]);
            let texts = [("options", "1"), ("systemFlags", "33554432"), ("msDS-Behavior-Version", "4")];
            self.object_at(dsa, Some(server), "nTDSDSA", "NTDS Settings", &texts);
            self.set(dsa, "invocationId", vec![Value::Bytes(dsa.to_wire())]);
            self.set(dsa, "dMDLocation", vec![Value::Object(schema)]);
            for context in [domain, configuration, schema] {
                self.link(dsa, "msDS-hasMasterNCs", context);
                self.link(dsa, "hasMasterNCs", context);
            }
            self.link(dsa, "msDS-HasDomainNCs", domain);
            let controllers = self.find(domain, ("OU", "Domain Controllers"));
            let computer = self.find(controllers, ("CN", &upper));
            self.link(server, "serverReference", computer);
        }
        self.set(domain, "fSMORoleOwner", vec![Value::Object(dsas[0])]);
        let partitions = self.object(configuration, "crossRefContainer", "Partitions", &[("msDS-Behavior-Version", "4")]);
        for (name, context, flags) in
            [(NETBIOS, domain, "3"), ("Enterprise Configuration", configuration, "1"), ("Enterprise Schema", schema, "1")]
        {
            let mut texts = vec![("dnsRoot", REALM), ("systemFlags", flags)];
            texts.extend((context == domain).then_some(("nETBIOSName", NETBIOS)));
            let reference = self.object(partitions, "crossRef", name, &texts);
            self.set(reference, "nCName", vec![Value::Object(context)]);
        }
        let services = self.object(configuration, "container", "Services", &[]);
        let windows = self.object(services, "container", "Windows NT", &[]);
        self.object(windows, "nTDSService", "Directory Service", &[("tombstoneLifetime", "180")]);
        let rtc = self.object(services, "msRTCSIP-Service", "RTC Service", &[]);
        let contacts = self.object(rtc, "container", "Application Contacts", &[]);
        let pools = self.object(rtc, "container", "Pools", &[]);
        let deployment = super::lync::contoso::deployment();
        let short = |fqdn: &str| fqdn.split('.').next().unwrap_or_default().to_owned();
        let mut homes = BTreeMap::new();
        for own in deployment.front_ends {
            let pool = self.object(pools, "msRTCSIP-Pool", &short(&own.fqdn), &[("dNSHostName", &own.fqdn)]);
            let microsoft = self.object(pool, "container", "Microsoft", &[]);
            homes.insert(own.fqdn, self.object(microsoft, "container", "Lc Services", &[]));
        }
        // Every pool of Persistent Chat has a contact from its installation.
        for chat in deployment.chat_pools {
            let own = self.object(pools, "msRTCSIP-Pool", &short(&chat.fqdn), &[("dNSHostName", &chat.fqdn)]);
            let address = format!("sip:GC-{}@{REALM}", chat.service_id);
            let texts = [
                ("msRTCSIP-PrimaryUserAddress", address.as_str()),
                ("msRTCSIP-UserEnabled", "TRUE"),
                ("msRTCSIP-OwnerUrn", "urn:application:persistentchat"),
            ];
            let contact = self.object(contacts, "contact", &format!("{{{}}}", Guid::random()), &texts);
            if let Some(home) = homes.get(&chat.next_hop) {
                self.set(contact, "msRTCSIP-PrimaryHomeServer", vec![Value::Object(*home)]);
            }
            self.set(contact, "msRTCSIP-ApplicationDestination", vec![Value::Object(own)]);
        }
    }

    fn people(&mut self, domain: Guid) {
        let home = "CN=Configuration,CN=Services,CN=RTC Service,CN=Pools,CN=pool01,CN=Microsoft,CN=Lc Services";
        let home = home.split(',').filter_map(|part| part.split_once('=')).fold(domain, |at, part| self.find(at, part));
        let service = self.object(domain, "organizationalUnit", "Service", &[("description", "Accounts of services")]);
        let groups = self.object(domain, "organizationalUnit", "Groups", &[]);
        let staff = self.object(domain, "organizationalUnit", "Staff", &[]);
        let sip_user = |builder: &mut Self, parent: Guid, name: &str, given: &str, sn: &str, display: &str| {
            let (mail, sip) = (format!("{name}@{REALM}"), format!("sip:{name}@{REALM}"));
            let texts = [
                ("userPrincipalName", mail.as_str()),
                ("mail", &mail),
                ("proxyAddresses", &sip),
                ("displayName", display),
                ("givenName", given),
                ("sn", sn),
                ("msRTCSIP-PrimaryUserAddress", &sip),
                ("msRTCSIP-UserEnabled", "TRUE"),
                ("msRTCSIP-OptionFlags", "257"),
                ("msRTCSIP-DeploymentLocator", "SRV:"),
            ];
            let guid = builder.user(parent, name, 66048, &texts);
            builder.set(guid, "msRTCSIP-PrimaryHomeServer", vec![Value::Object(home)]);
            guid
        };
        let chat = sip_user(self, service, "ocschat", "Ocs", "Chat", "Group Chat");
        self.set(chat, "description", vec![Value::text("The address at which Group Chat clients sign in")]);
        let ana = sip_user(self, staff, "aruiz", "Ana", "Ruiz", "Ana Ruiz");
        let ben = sip_user(self, staff, "bokoro", "Ben", "Okoro", "Ben Okoro");
        let chiara = sip_user(self, staff, "cconti", "Chiara", "Conti", "Chiara Conti");
        for (name, members) in
            [("Chat Services", vec![chat]), ("Chat Administrators", vec![chat, ana]), ("Staff", vec![ana, ben, chiara])]
        {
            let group = self.object(groups, "group", name, &[("sAMAccountName", name)]);
            for member in members {
                self.link(group, "member", member);
            }
        }
        // Whoever left has no account any more.
        for person in super::lync::chat::people::newcomers().filter(|person| person.state != Account::Deleted) {
            let guid = sip_user(self, staff, &person.account, person.given, person.surname, &person.name());
            if person.state == Account::Disabled {
                self.set(guid, "userAccountControl", vec![Value::text("66050")]);
            }
        }
        let accounts = self.object(domain, "organizationalUnit", "Accounts", &[("description", "Who may do what")]);
        for (name, what) in ACCOUNTS.iter().skip(1) {
            let principal = format!("{name}@{REALM}");
            self.user(accounts, name, 66048, &[("userPrincipalName", &principal), ("description", what)]);
        }
    }

    /// The rights of the service accounts.
    fn delegate(&mut self, domain: Guid) {
        let accounts = self.find(domain, ("OU", "Accounts"));
        let sid = |builder: &Self, name: &str| {
            builder.replica.get(builder.find(accounts, ("CN", name))).and_then(super::directory::store::Object::sid)
        };
        let (Some(migration), Some(blind)) = (sid(self, "svc-mig"), sid(self, "svc-blind")) else { return };
        let [service, groups, staff, bin] = [
            self.find(domain, ("OU", "Service")),
            self.find(domain, ("OU", "Groups")),
            self.find(domain, ("OU", "Staff")),
            self.find(domain, ("CN", "Deleted Objects")),
        ];
        let children = right::CREATE_CHILD | right::DELETE_CHILD;
        let look = right::LIST | right::READ | right::READ_CONTROL;
        self.entries(service, false, |entries| {
            entries.push(Entry::allow_below(migration.clone(), children | look | right::WRITE));
            entries.push(Entry::allow_below(migration.clone(), right::EXTENDED));
            entries.push(Entry::allow_below(blind.clone(), right::DELETE_CHILD | look));
        });
        self.entries(groups, false, |entries| {
            entries.push(Entry::allow_below(migration.clone(), right::WRITE).about(schema::id_of("member")));
        });
        self.entries(staff, false, |entries| {
            let lync = ATTRIBUTES.iter().filter(|attribute| attribute.name.starts_with("msRTCSIP-"));
            entries.extend(
                lync.map(|attribute| Entry::allow_below(migration.clone(), right::WRITE).about(schema::id_of(attribute.name))),
            );
        });
        self.entries(bin, true, |entries| entries.push(Entry::allow_below(migration.clone(), look)));
        if let Some(reanimate) = Guid::parse(REANIMATE) {
            self.entries(domain, true, |entries| entries.push(Entry::allow(migration.clone(), right::EXTENDED).about(reanimate)));
        }
    }

    /// Every object's category, now that the schema is there.
    fn categories(&mut self) {
        let all: Vec<Guid> = self.replica.objects.keys().copied().collect();
        for guid in all {
            let category = self
                .replica
                .get(guid)
                .and_then(|object| schema::class_named(object.class()))
                .and_then(|class| entry::category(&self.replica, class));
            if let Some(category) = category {
                self.set(guid, "objectCategory", vec![Value::Object(category)]);
            }
        }
    }
}

/// The DN of an account.
#[must_use]
pub fn dn_of(account: &str) -> String {
    format!("CN={account},CN=Users,{DOMAIN}")
}
