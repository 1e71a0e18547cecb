//! Contacts of Persistent Chat: read as a whole, judged by the address and by the pool's own list.

use serde_json::{Map, Value as Json, json};

use super::super::cs;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::session::Session;
use crate::connector::powershell::values;
use crate::connector::sip::SipAddress;
use crate::plan::Verdict;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;

/// Properties that would name the pool if a contact has them; which it has is not documented. `RegistrarPool` is not among
/// them: of other contacts of applications it is the pool of the Front Ends.
const POOL: &[&str] = &["PersistentChatPoolFqdn", "PersistentChatPool", "PoolFqdn"];

/// A contact. Its properties are not documented, so that only what is needed is understood; the rest is kept as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// Its distinguished name, by which it is addressed.
    pub identity: String,
    /// Its SIP address as it stands there, if it has one.
    pub address: Option<String>,
    /// Its name for people.
    pub display_name: Option<String>,
    /// What it says of its pool, if it does.
    pub says_pool: Option<String>,
    /// All properties.
    pub properties: Json,
}

impl Contact {
    /// From what the cmdlets give.
    ///
    /// # Errors
    /// It has no distinguished name: then nothing can be said of the list that it is in.
    pub fn read(object: &Value) -> Result<Self, String> {
        let is_name = |text: &String| text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("CN="));
        let identity = ["Identity", "DistinguishedName"].iter().find_map(|name| cs::word(object, name).filter(is_name));
        let identity = identity.ok_or("a contact of the answer has no distinguished name as its `Identity`")?;
        Ok(Contact {
            identity,
            address: cs::word(object, "SipAddress"),
            display_name: cs::word(object, "DisplayName"),
            says_pool: POOL.iter().find_map(|name| cs::word(object, name)),
            properties: values::json(object),
        })
    }

    /// Whether it is the same object.
    #[must_use]
    pub fn is(&self, identity: &str) -> bool {
        self.identity.eq_ignore_ascii_case(identity)
    }

    /// Whether it has the address.
    #[must_use]
    pub fn has(&self, address: &SipAddress) -> bool {
        self.address.as_deref().is_some_and(|own| SipAddress::parse(own).is_ok_and(|own| own == *address))
    }

    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        let address = self.address.as_deref().unwrap_or("no address");
        format!("{} (`{}`)", cs::shown(address), cs::shown(&self.identity))
    }

    fn image(&self) -> Json {
        json!({ "identity": self.identity, "sip_address": self.address, "display_name": self.display_name, "properties": self.properties })
    }
}

/// Everything that matters to an endpoint, read in one session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// All contacts of the forest.
    pub all: Vec<Contact>,
    /// Which of them the server counts to our pool, by identity.
    pub of_pool: Vec<String>,
    /// Users with our address: their distinguished names.
    pub users: Vec<String>,
}

/// What a look means.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Whether the endpoint is there.
    pub verdict: Verdict,
    /// For people.
    pub seen: String,
    /// The contact that it is about.
    pub contact: Option<Contact>,
}

/// Reads all contacts, those of the pool, and users with the address.
///
/// # Errors
/// One of the lists could not be had whole.
pub async fn look(session: &mut Session, address: &SipAddress, pool: &str) -> Result<Seen, NoAnswer> {
    let mut all = contacts(&cs::read(session, list()).await?)?;
    // The one documented way to learn which pool a contact belongs to.
    let of_pool = contacts(&cs::read(session, list().parameter("PersistentChatPoolFqdn", pool)).await?)?;
    for contact in &of_pool {
        // Read a moment later, maybe from a server that has heard more.
        if !all.iter().any(|known| known.is(&contact.identity)) {
            all.push(contact.clone());
        }
    }
    let users = cs::read(session, users(address)).await?;
    let users = users.iter().map(holder).collect::<Result<Vec<_>, _>>()?;
    Ok(Seen { all, of_pool: of_pool.into_iter().map(|contact| contact.identity).collect(), users })
}

/// A list of contacts, each of them once.
fn contacts(objects: &[Value]) -> Result<Vec<Contact>, String> {
    let mut all: Vec<Contact> = Vec::with_capacity(objects.len());
    for object in objects {
        let contact = Contact::read(object)?;
        if all.iter().any(|known| known.is(&contact.identity)) {
            return Err(format!("the contact `{}` is listed twice", cs::shown(&contact.identity)));
        }
        all.push(contact);
    }
    Ok(all)
}

/// Lists contacts.
#[must_use]
pub fn list() -> Command {
    Command::new("Get-CsPersistentChatEndpoint")
}

/// Finds users with the address. A filter, because an identity that is not found is an error like any other.
#[must_use]
pub fn users(address: &SipAddress) -> Command {
    Command::new("Get-CsUser").parameter("Filter", format!("SipAddress -eq \"{address}\""))
}

/// Removes exactly this contact.
#[must_use]
pub fn removal(identity: &str) -> Command {
    Command::new("Remove-CsPersistentChatEndpoint").parameter("Identity", identity).parameter("Confirm", false)
}

/// Creates one.
#[must_use]
pub fn creation(address: &SipAddress, pool: &str, display_name: Option<&str>) -> Command {
    let command = Command::new("New-CsPersistentChatEndpoint")
        .parameter("SipAddress", address.as_str())
        .parameter("PersistentChatPoolFqdn", pool);
    let command = display_name.into_iter().fold(command, |command, name| command.parameter("DisplayName", name));
    command.switch("PassThru").parameter("Confirm", false)
}

fn holder(object: &Value) -> Result<String, String> {
    let name = cs::word(object, "Identity").or_else(|| cs::word(object, "DistinguishedName"));
    name.ok_or_else(|| "a user of the answer has no usable `Identity`".to_owned())
}

impl Seen {
    /// Contacts with the address.
    pub fn with<'s>(&'s self, address: &SipAddress) -> Vec<&'s Contact> {
        self.all.iter().filter(|contact| contact.has(address)).collect()
    }

    /// Whether the server counts it to our pool.
    #[must_use]
    pub fn is_of_pool(&self, contact: &Contact) -> bool {
        self.of_pool.iter().any(|identity| contact.is(identity))
    }

    /// The pool's other contacts: the one that every pool has from its installation is among them.
    #[must_use]
    pub fn others(&self, address: &SipAddress) -> Vec<&Contact> {
        self.all.iter().filter(|contact| self.is_of_pool(contact) && !contact.has(address)).collect()
    }

    /// A contact that shows no address. Which properties contacts have is not documented: if the address is under another name,
    /// nothing that is read of them says who has it.
    #[must_use]
    pub fn mute(&self) -> Option<&Contact> {
        self.all.iter().find(|contact| contact.address.is_none())
    }

    /// Whether the endpoint is there.
    ///
    /// - *Done*: exactly one contact has the address, our pool counts it to itself, and no user has the address.
    /// - *Not done*: nobody has it.
    /// - *Conflict*: anybody else has it.
    /// - *Unknown*: nobody is seen to have it, and a contact shows no address.
    #[must_use]
    pub fn judge(&self, address: &SipAddress, pool: &str) -> Judged {
        let ours = self.with(address);
        let judged = |verdict, seen: String, contact: Option<&Contact>| Judged { verdict, seen, contact: contact.cloned() };
        let users = self.users.iter().map(|dn| format!("`{}`", cs::shown(dn))).collect::<Vec<_>>().join(", ");
        match (ours.as_slice(), self.users.is_empty()) {
            ([], true) if self.mute().is_some() => {
                let identity = self.mute().map_or("", |contact| contact.identity.as_str());
                let seen =
                    format!("the contact `{}` shows no address, so that nobody can tell who has which", cs::shown(identity));
                judged(Verdict::Unknown, seen, None)
            }
            ([], true) => {
                let others: Vec<String> = self.others(address).into_iter().map(Contact::words).collect();
                let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
                judged(Verdict::NotDone, format!("nobody has `{address}`; other endpoints of `{pool}`: {others}"), None)
            }
            ([], false) => judged(
                Verdict::Conflict,
                format!(
                    "`{address}` is held by the user {users}; free it there first, and wait until every domain controller knows"
                ),
                None,
            ),
            ([one], false) => judged(
                Verdict::Conflict,
                format!("`{address}` is held twice: by the user {users}, and by the contact {}", one.words()),
                None,
            ),
            ([one], true) => match (self.is_of_pool(one), one.says_pool.as_deref()) {
                (true, Some(other)) if !other.eq_ignore_ascii_case(pool) => judged(
                    Verdict::Unknown,
                    format!("`{pool}` counts the contact {} to itself, and the contact says `{}`", one.words(), cs::shown(other)),
                    None,
                ),
                (true, _) => judged(Verdict::Done, format!("`{pool}` has the endpoint {}", one.words()), Some(one)),
                (false, says) => {
                    let says = says.map(|pool| format!(", `{}`", cs::shown(pool))).unwrap_or_default();
                    judged(
                        Verdict::Conflict,
                        format!("`{address}` is an endpoint of another pool{says}, not of `{pool}`: {}", one.words()),
                        None,
                    )
                }
            },
            (several, _) => {
                let all: Vec<String> = several.iter().map(|contact| contact.words()).collect();
                judged(Verdict::Conflict, format!("{} contacts have `{address}`: {}", all.len(), all.join(", ")), None)
            }
        }
    }

    /// What is kept before anything is changed.
    #[must_use]
    pub fn image(&self, address: &SipAddress, pool: &str) -> Json {
        let contacts: Vec<Json> = self.all.iter().map(Contact::image).collect();
        json!({ "lync_endpoints": 1, "sip_address": address.as_str(), "pool": pool, "of_pool": self.of_pool, "contacts": contacts })
    }
}

/// What a step gives of its contact.
#[must_use]
pub fn outputs(contact: Option<&Contact>, address: &SipAddress, pool: &str) -> Map<String, Json> {
    let mut outputs = Map::new();
    outputs.insert("identity".to_owned(), contact.map_or(Json::Null, |contact| json!(contact.identity)));
    outputs.insert("sip_address".to_owned(), json!(address.as_str()));
    outputs.insert("pool".to_owned(), json!(pool));
    outputs
}

/// The identities of the contacts in an image.
///
/// # Errors
/// It is another step's image, or none.
pub fn identities(image: &Json, address: &SipAddress, pool: &str) -> Result<Vec<String>, String> {
    if image["lync_endpoints"] != 1 || image["sip_address"] != address.as_str() || image["pool"] != pool {
        return Err(format!("the before-image is not one of `{address}` on `{pool}`"));
    }
    let contacts = image["contacts"].as_array().ok_or("the before-image lists no contacts")?;
    let identity = |contact: &Json| contact["identity"].as_str().map(str::to_owned).ok_or("the before-image lacks an identity");
    Ok(contacts.iter().map(identity).collect::<Result<_, _>>()?)
}

#[cfg(test)]
#[path = "contact_tests.rs"]
mod tests;
