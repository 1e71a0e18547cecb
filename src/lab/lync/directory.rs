//! What of Active Directory Lync asks for and changes: whoever holds a SIP address, and the contacts of Persistent Chat pools.
//!
//! A Front End asks one domain controller at a time, by itself: no cmdlet that writes a contact lets the caller choose. What
//! another domain controller was told a moment ago may not be known there yet.
//!
//! Whoever brings a directory implements five operations in the words of LDAP; what Lync makes of them is the same for all.

use std::collections::BTreeMap;

use crate::lab::directory::ids::Guid;
use crate::lab::directory::well_known::{CONFIGURATION, DOMAIN};

/// Where contacts lie.
pub const CONTACTS: &str = "CN=Application Contacts,CN=RTC Service,CN=Services,CN=Configuration,DC=contoso,DC=lan";
/// Where pools lie.
const POOLS: &str = "CN=Pools,CN=RTC Service,CN=Services,CN=Configuration,DC=contoso,DC=lan";
/// What of a pool of Front Ends its users are homed on, below the pool.
const HOME: &str = "CN=Lc Services,CN=Microsoft";
/// Whose contact it is.
const OWNER: &str = "urn:application:persistentchat";
/// `userAccountControl`: the account is disabled.
const DISABLED: i64 = 2;

/// What is read of an object.
pub const READ: &[&str] = &[
    "objectGUID",
    "objectClass",
    "name",
    "displayName",
    "givenName",
    "sn",
    "mail",
    "proxyAddresses",
    "sAMAccountName",
    "userPrincipalName",
    "userAccountControl",
    "dNSHostName",
    "msRTCSIP-PrimaryUserAddress",
    "msRTCSIP-UserEnabled",
    "msRTCSIP-PrimaryHomeServer",
    "msRTCSIP-OptionFlags",
    "msRTCSIP-DeploymentLocator",
    "msRTCSIP-Line",
    "msRTCSIP-OwnerUrn",
    "msRTCSIP-ApplicationDestination",
];

/// An object, as far as it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its objectGUID, in text.
    pub guid: String,
    /// Its distinguished name.
    pub dn: String,
    /// Values that are text, by the attribute's name in lower case.
    attributes: BTreeMap<String, Vec<String>>,
}

/// An object that Lync may know: a user or a contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its objectGUID, in text.
    pub guid: String,
    /// Its distinguished name.
    pub dn: String,
    /// Its relative name.
    pub name: String,
    /// Whether it is a contact, not a user.
    pub is_contact: bool,
    /// The address as it stands there, such as `sip:ocschat@contoso.lan`; empty if it has none.
    pub address: String,
    /// The name for people.
    pub display_name: Option<String>,
    /// First and last name.
    pub person: (Option<String>, Option<String>),
    /// The e-mail address.
    pub mail: Option<String>,
    /// All of proxyAddresses.
    pub proxies: Vec<String>,
    /// Whether Lync may be used with it.
    pub enabled: bool,
    /// The distinguished name of the pool that it is homed on.
    pub home: Option<String>,
    /// That pool's name.
    pub registrar: Option<String>,
    /// Of a Persistent Chat pool's contact: the pool's name.
    pub chat_pool: Option<String>,
    /// Of a contact: the application that it belongs to.
    pub owner: Option<String>,
    /// The line, such as `tel:+34910000000`.
    pub line: Option<String>,
    /// Whether the account is disabled in the directory.
    pub disabled: bool,
    /// The sAMAccountName of a user.
    pub account: Option<String>,
    /// The userPrincipalName of a user.
    pub principal: Option<String>,
}

/// A contact to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewContact {
    /// With `sip:`.
    pub address: String,
    /// The pool's name.
    pub chat_pool: String,
    /// The name of the pool of Front Ends before it.
    pub next_hop: String,
    /// For people.
    pub display_name: Option<String>,
}

/// The directory as one Front End sees it. Errors are texts for people: the lab's own words.
pub trait Directory {
    /// Asks this domain controller from now on.
    ///
    /// # Errors
    /// There is none of that name, or it does not answer.
    fn ask(&mut self, controller: &str) -> Result<(), String>;

    /// Every object at or below `base`, in its naming context, that fits an LDAP filter. Tombstones are never seen.
    ///
    /// # Errors
    /// No domain controller answers, there is no such base, or the filter is none.
    fn search(&mut self, base: &str, filter: &str) -> Result<Vec<Entry>, String>;

    /// Adds an object.
    ///
    /// # Errors
    /// No domain controller answers, or it refuses.
    fn add(&mut self, dn: &str, attributes: &[(&str, &str)]) -> Result<(), String>;

    /// Replaces the values of attributes of the object with this GUID; without values an attribute goes.
    ///
    /// # Errors
    /// No domain controller answers, or it refuses.
    fn replace(&mut self, guid: &str, attributes: &[(&str, Vec<String>)]) -> Result<(), String>;

    /// Deletes the object with this GUID.
    ///
    /// # Errors
    /// No domain controller answers, or it refuses.
    fn delete(&mut self, guid: &str) -> Result<(), String>;

    /// Users and contacts at or below `base` that fit a filter, in the order of their names.
    ///
    /// # Errors
    /// As [`Directory::search`].
    fn people(&mut self, base: &str, filter: &str) -> Result<Vec<Holder>, String> {
        let pools = pools(self.search(POOLS, "(dNSHostName=*)")?);
        let found = self.search(base, filter)?;
        let mut people: Vec<Holder> = found.iter().filter_map(|entry| Holder::read(entry, &pools)).collect();
        people.sort_by_cached_key(|person| person.dn.to_lowercase());
        Ok(people)
    }

    /// Whoever has a SIP address.
    ///
    /// # Errors
    /// No domain controller answers.
    fn holders(&mut self) -> Result<Vec<Holder>, String> {
        let mut all = self.people(DOMAIN, "(msRTCSIP-PrimaryUserAddress=*)")?;
        all.extend(self.people(CONFIGURATION, "(msRTCSIP-PrimaryUserAddress=*)")?);
        Ok(all)
    }

    /// The distinguished names of whoever has an address, as the address of Lync or among those of e-mail.
    ///
    /// # Errors
    /// No domain controller answers.
    fn takers(&mut self, address: &str) -> Result<Vec<String>, String> {
        let value = escaped(address);
        let filter = format!("(|(msRTCSIP-PrimaryUserAddress={value})(proxyAddresses={value}))");
        let mut all = self.search(DOMAIN, &filter)?;
        all.extend(self.search(CONFIGURATION, &filter)?);
        Ok(all.into_iter().map(|entry| entry.dn).collect())
    }

    /// What users of a pool of Front Ends are homed on: its distinguished name.
    ///
    /// # Errors
    /// No domain controller answers, or it knows of no such pool.
    fn home_of(&mut self, pool: &str) -> Result<String, String> {
        self.pool(pool).map(|dn| format!("{HOME},{dn}"))
    }

    /// The distinguished name of a pool.
    ///
    /// # Errors
    /// No domain controller answers, or it knows of no such pool.
    fn pool(&mut self, fqdn: &str) -> Result<String, String> {
        let found = self.search(POOLS, &format!("(dNSHostName={})", escaped(fqdn)))?;
        found.into_iter().next().map(|pool| pool.dn).ok_or_else(|| format!("The pool \"{fqdn}\" was not found in the directory."))
    }

    /// Makes the contact of a pool, with a GUID for its name, in [`CONTACTS`]. Who asks has made sure that the address is
    /// free there.
    ///
    /// # Errors
    /// No domain controller answers, or it refuses.
    fn create_contact(&mut self, contact: &NewContact) -> Result<Holder, String> {
        let pool = self.pool(&contact.chat_pool)?;
        let home = self.home_of(&contact.next_hop)?;
        let dn = format!("CN={{{}}},{CONTACTS}", Guid::random());
        let mut attributes = vec![
            ("objectClass", "contact"),
            ("msRTCSIP-PrimaryUserAddress", contact.address.as_str()),
            ("msRTCSIP-UserEnabled", "TRUE"),
            ("msRTCSIP-PrimaryHomeServer", home.as_str()),
            ("msRTCSIP-OwnerUrn", OWNER),
            ("msRTCSIP-ApplicationDestination", pool.as_str()),
        ];
        attributes.extend(contact.display_name.as_deref().map(|name| ("displayName", name)));
        self.add(&dn, &attributes)?;
        let made = self.people(&dn, "(objectClass=contact)")?.into_iter().next();
        made.ok_or_else(|| "The contact was not found after it was created.".to_owned())
    }
}

/// The values of an attribute that are text.
fn texts(values: Vec<Vec<u8>>) -> Vec<String> {
    values.into_iter().filter_map(|value| String::from_utf8(value).ok()).collect()
}

impl Entry {
    /// From what LDAP gives.
    pub fn new(dn: String, attributes: impl IntoIterator<Item = (String, Vec<Vec<u8>>)>) -> Self {
        let mut entry = Entry { dn, ..Entry::default() };
        for (name, values) in attributes {
            if name.eq_ignore_ascii_case("objectGUID") {
                entry.guid =
                    values.first().and_then(|bytes| Guid::from_wire(bytes)).map(|guid| guid.to_string()).unwrap_or_default();
            } else {
                entry.attributes.insert(name.to_ascii_lowercase(), texts(values));
            }
        }
        entry
    }

    fn all(&self, name: &str) -> &[String] {
        self.attributes.get(&name.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.all(name).first().cloned()
    }

    fn is_a(&self, class: &str) -> bool {
        self.all("objectClass").iter().any(|own| own.eq_ignore_ascii_case(class))
    }
}

impl Holder {
    fn read(entry: &Entry, pools: &[(String, String)]) -> Option<Self> {
        let is_contact = entry.is_a("contact");
        if !is_contact && (!entry.is_a("user") || entry.is_a("computer")) {
            return None;
        }
        let home = entry.text("msRTCSIP-PrimaryHomeServer");
        let at = |dn: &str| pools.iter().find(|(pool, _)| is_at_or_below(dn, pool)).map(|(_, fqdn)| fqdn.clone());
        Some(Holder {
            guid: entry.guid.clone(),
            dn: entry.dn.clone(),
            name: entry.text("name").unwrap_or_default(),
            is_contact,
            address: entry.text("msRTCSIP-PrimaryUserAddress").unwrap_or_default(),
            display_name: entry.text("displayName"),
            person: (entry.text("givenName"), entry.text("sn")),
            mail: entry.text("mail"),
            proxies: entry.all("proxyAddresses").to_vec(),
            enabled: entry.text("msRTCSIP-UserEnabled").as_deref() == Some("TRUE"),
            registrar: home.as_deref().and_then(at),
            home,
            chat_pool: entry.text("msRTCSIP-ApplicationDestination").as_deref().and_then(at),
            owner: entry.text("msRTCSIP-OwnerUrn"),
            line: entry.text("msRTCSIP-Line"),
            disabled: entry.text("userAccountControl").and_then(|flags| flags.parse::<i64>().ok()).unwrap_or(0) & DISABLED != 0,
            account: entry.text("sAMAccountName"),
            principal: entry.text("userPrincipalName"),
        })
    }
}

/// Pools by their distinguished names.
fn pools(entries: Vec<Entry>) -> Vec<(String, String)> {
    entries.into_iter().filter_map(|entry| Some((entry.dn.clone(), entry.text("dNSHostName")?))).collect()
}

/// Whether one name is the other, or below it.
fn is_at_or_below(dn: &str, above: &str) -> bool {
    let (dn, above) = (dn.to_lowercase(), above.to_lowercase());
    dn == above || dn.ends_with(&format!(",{above}"))
}

/// A value as it is written in a filter (RFC 4515).
#[must_use]
pub fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '*' => text.push_str("\\2a"),
            '(' => text.push_str("\\28"),
            ')' => text.push_str("\\29"),
            '\\' => text.push_str("\\5c"),
            '\0' => text.push_str("\\00"),
            other => text.push(other),
        }
    }
    text
}
