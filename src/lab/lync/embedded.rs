//! The lab's own domain controllers as Lync's directory: the operations of LDAP without the wire, as the administrator.

use std::collections::BTreeSet;

use ldap3::asn1::{ASNTag as _, PL as TheirPayload, StructureTag as Theirs, TagClass as TheirClass};
use ldap3_lber::common::TagClass;
use ldap3_lber::structure::{PL, StructureTag};
use ldap3_proto::proto::{
    LdapAddRequest, LdapDerefAliases, LdapFilter, LdapModify, LdapModifyRequest, LdapModifyType, LdapPartialAttribute,
    LdapSearchRequest, LdapSearchScope,
};

use super::directory::{Directory, Entry, READ};
use crate::lab::contoso::CONTROLLERS;
use crate::lab::directory::add::{self, Done};
use crate::lab::directory::controls::Controls;
use crate::lab::directory::modify::{self, Writing};
use crate::lab::directory::reply::{Answer, Refusal};
use crate::lab::directory::rights::{self, Caller};
use crate::lab::directory::search::{self, Door, Pages};
use crate::lab::directory::store::Replica;
use crate::lab::directory::well_known::REALM;
use crate::lab::directory::{codec, controls, delete};

/// The number that ends the administrator's SID.
const ADMINISTRATOR: u32 = 500;
/// How many entries a page holds.
const PAGE: i64 = 500;

/// The domain controllers, and which of them the Front End asks.
pub struct Embedded<'a> {
    /// All of them, in the order of [`CONTROLLERS`].
    pub replicas: &'a mut [Replica],
    /// The place of the one that is asked. `None` if none answers.
    pub asked: Option<usize>,
    /// The names of those that do not answer.
    pub stopped: &'a BTreeSet<String>,
    /// Milliseconds since 1970.
    pub now: i64,
}

fn no_controller() -> String {
    format!("No domain controller of {REALM} could be contacted.")
}

fn said(refusal: &Refusal) -> String {
    format!("The directory refused it ({}): {}", refusal.code.clone() as i64, refusal.message.trim_end())
}

fn controls() -> Result<Controls, String> {
    controls::read(&[]).map_err(|refusal| said(&refusal))
}

impl Embedded<'_> {
    /// The replica, and the administrator as it is known there.
    fn replica(&mut self) -> Result<(&mut Replica, Caller), String> {
        let replica = self.asked.and_then(|at| self.replicas.get_mut(at)).ok_or_else(no_controller)?;
        let account = replica.domain_sid().and_then(|domain| replica.by_sid(&domain.child(ADMINISTRATOR)));
        let caller = account.map(|account| rights::caller(replica, account)).ok_or_else(no_controller)?;
        Ok((replica, caller))
    }

    fn write(&mut self, write: impl FnOnce(&mut Writing<'_>, &Controls) -> Answer<Done>) -> Result<(), String> {
        let now = self.now;
        let (replica, caller) = self.replica()?;
        let writing = &mut Writing { replica, caller: &caller, now, tls: true };
        write(writing, &controls()?).map(drop).map_err(|refusal| said(&refusal))
    }
}

fn attribute(name: &str, values: &[&str]) -> LdapPartialAttribute {
    LdapPartialAttribute { atype: name.to_owned(), vals: values.iter().map(|value| value.as_bytes().to_vec()).collect() }
}

impl Directory for Embedded<'_> {
    fn ask(&mut self, controller: &str) -> Result<(), String> {
        let short = controller.strip_suffix(&format!(".{REALM}")).unwrap_or(controller);
        let known = CONTROLLERS.iter().position(|name| name.eq_ignore_ascii_case(short));
        let answers = known.filter(|at| !self.stopped.contains(CONTROLLERS[*at]));
        self.asked = Some(answers.ok_or_else(|| format!("The domain controller \"{controller}\" could not be contacted."))?);
        Ok(())
    }

    fn search(&mut self, base: &str, filter: &str) -> Result<Vec<Entry>, String> {
        let (replica, caller) = self.replica()?;
        let request = LdapSearchRequest {
            base: base.to_owned(),
            scope: LdapSearchScope::Subtree,
            aliases: LdapDerefAliases::Never,
            sizelimit: 0,
            timelimit: 0,
            typesonly: false,
            filter: parse(filter).ok_or_else(|| format!("\"{filter}\" is not a filter of LDAP."))?,
            attrs: READ.iter().map(|name| (*name).to_owned()).collect(),
        };
        let door = Door { global_catalog: false, scheme: "ldaps" };
        let (mut controls, mut pages, mut all) = (controls()?, Pages::default(), Vec::new());
        let mut cookie = Vec::new();
        loop {
            controls.page = Some((PAGE, cookie));
            let found = search::search(replica, &caller, &request, &controls, door, &mut pages);
            let found = found.map_err(|refusal| said(&refusal))?;
            all.extend(found.entries.into_iter().map(|entry| {
                Entry::new(entry.dn, entry.attributes.into_iter().map(|attribute| (attribute.atype, attribute.vals)))
            }));
            cookie = found.cookie.unwrap_or_default();
            if cookie.is_empty() {
                return Ok(all);
            }
        }
    }

    fn add(&mut self, dn: &str, attributes: &[(&str, &str)]) -> Result<(), String> {
        let attributes = attributes.iter().map(|(name, value)| attribute(name, &[value])).collect();
        let request = LdapAddRequest { dn: dn.to_owned(), attributes };
        self.write(|writing, _| add::add(writing, &request))
    }

    fn replace(&mut self, guid: &str, attributes: &[(&str, Vec<String>)]) -> Result<(), String> {
        let change = |(name, values): &(&str, Vec<String>)| LdapModify {
            operation: LdapModifyType::Replace,
            modification: attribute(name, &values.iter().map(String::as_str).collect::<Vec<_>>()),
        };
        let request = LdapModifyRequest { dn: format!("<GUID={guid}>"), changes: attributes.iter().map(change).collect() };
        self.write(|writing, controls| modify::modify(writing, &request, controls))
    }

    fn delete(&mut self, guid: &str) -> Result<(), String> {
        self.write(|writing, controls| delete::delete(writing, &format!("<GUID={guid}>"), controls))
    }
}

/// A filter from its text (RFC 4515), read by the library that clients use.
fn parse(text: &str) -> Option<LdapFilter> {
    let mut tag = carried(ldap3::parse_filter(text).ok()?.into_structure());
    codec::mark(&mut tag);
    LdapFilter::try_from(tag).ok()
}

/// The same structure in the types of the library that servers use.
fn carried(tag: Theirs) -> StructureTag {
    let class = match tag.class {
        TheirClass::Universal => TagClass::Universal,
        TheirClass::Application => TagClass::Application,
        TheirClass::Context => TagClass::Context,
        TheirClass::Private => TagClass::Private,
    };
    let payload = match tag.payload {
        TheirPayload::P(bytes) => PL::P(bytes),
        TheirPayload::C(parts) => PL::C(parts.into_iter().map(carried).collect()),
    };
    StructureTag { class, id: tag.id, payload }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_with_spaces_and_escapes_is_read_as_clients_write_it() {
        assert_eq!(
            parse("(&(displayName=Group Chat)(cn=a\\2ab*))"),
            Some(LdapFilter::And(vec![
                LdapFilter::Equality("displayName".to_owned(), "Group Chat".to_owned()),
                LdapFilter::Substring(
                    "cn".to_owned(),
                    ldap3_proto::proto::LdapSubstringFilter { initial: Some("a*b".to_owned()), ..Default::default() }
                ),
            ]))
        );
        assert_eq!(parse("(cn=a"), None);
    }
}
