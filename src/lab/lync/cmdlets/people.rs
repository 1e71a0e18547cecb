//! What the cmdlets about users and contacts share: which of them a call means, and how they are told apart.

#![expect(clippy::result_large_err, reason = "a cmdlet ends with an error record")]

use crate::lab::directory::dn::Dn;
use crate::lab::directory::well_known::{DOMAIN, NETBIOS};
use crate::lab::lync::condition::Condition;
use crate::lab::lync::directory::{CONTACTS, Holder};
use crate::lab::lync::forest::Forest;
use crate::lab::windows::cmdlet::{Bound, Kind, Parameter, Stage};
use crate::lab::windows::errors::error;
use crate::lab::windows::wildcard::{Wildcard, is_pattern};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::ErrorRecord;

const EXCEPTION: &str = "Microsoft.Rtc.Management.AD.ManagementException";

pub(super) const IDENTITY: Parameter = Parameter::new("Identity", Kind::Text).at(0);
pub(super) const DOMAIN_CONTROLLER: Parameter = Parameter::new("DomainController", Kind::Text);
pub(super) const FILTER: Parameter = Parameter::new("Filter", Kind::Text);
pub(super) const OU: Parameter = Parameter::new("OU", Kind::Text);
pub(super) const RESULT_SIZE: Parameter = Parameter::new("ResultSize", Kind::Text);

/// Who is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Contacts of Persistent Chat pools.
    Endpoints,
    /// Users with a SIP address.
    Users,
    /// All users.
    Accounts,
}

/// An error of these cmdlets. The words are the lab's own where Microsoft publishes none.
pub(super) fn failed(id: &str, category: &str, message: impl Into<String>, target: &str) -> ErrorRecord {
    error(id, category, EXCEPTION, message, target)
}

/// What the directory did not do.
pub(super) fn directory(message: String) -> ErrorRecord {
    failed("ADOperationFailed", "InvalidOperation", message, "")
}

/// What a call means that names nothing by `-Identity`, or names it.
pub(super) fn chosen(
    stage: &mut Stage<'_>,
    forest: &mut Forest<'_>,
    bound: &Bound,
    sort: Sort,
    show: &dyn Fn(&Holder) -> Value,
) -> Result<Vec<Holder>, ErrorRecord> {
    ask(forest, bound)?;
    let most = most(bound)?;
    let condition = condition(bound, show)?;
    let (place, class) = match sort {
        Sort::Endpoints => (CONTACTS, "(&(objectClass=contact)(msRTCSIP-PrimaryUserAddress=*))"),
        Sort::Users => (DOMAIN, "(&(objectClass=user)(msRTCSIP-PrimaryUserAddress=*))"),
        Sort::Accounts => (DOMAIN, "(objectClass=user)"),
    };
    let filter = match bound.text("LdapFilter").map(str::trim) {
        Some(own) if own.starts_with('(') => format!("(&{class}{own})"),
        Some(own) => format!("(&{class}({own}))"),
        None => class.to_owned(),
    };
    let found = forest.directory.people(bound.text("OU").unwrap_or(place), &filter).map_err(directory)?;
    let endpoint = |holder: &Holder| holder.chat_pool.is_some() && is_below(&holder.dn, CONTACTS);
    let mut found: Vec<Holder> = found.into_iter().filter(|holder| sort != Sort::Endpoints || endpoint(holder)).collect();
    if let Some(identity) = bound.text("Identity") {
        found = named(&found, identity);
        if found.is_empty() && !is_pattern(identity) {
            stage.report(not_found(identity))?;
        }
    }
    found.retain(|holder| condition.as_ref().is_none_or(|condition| condition.holds(&show(holder))));
    found.truncate(most);
    Ok(found)
}

/// The one that `-Identity` names.
///
/// # Errors
/// Nobody is, or several are.
pub(super) fn the_one(
    stage: &mut Stage<'_>,
    forest: &mut Forest<'_>,
    bound: &Bound,
    sort: Sort,
) -> Result<Option<Holder>, ErrorRecord> {
    let mut found = chosen(stage, forest, bound, sort, &|_| Value::Nil)?;
    if found.len() > 1 {
        let identity = bound.text("Identity").unwrap_or_default();
        return Err(failed("Identity", "InvalidData", "Filter failed to return unique result", identity));
    }
    Ok(found.pop())
}

/// `-DomainController` and `-Credential`.
fn ask(forest: &mut Forest<'_>, bound: &Bound) -> Result<(), ErrorRecord> {
    if bound.has("Credential") {
        let message = "The credential cannot be used: the lab takes no secure strings.";
        return Err(failed("Credential", "AuthenticationError", message, ""));
    }
    let Some(controller) = bound.text("DomainController") else { return Ok(()) };
    forest.directory.ask(controller).map_err(|message| failed("DomainController", "ResourceUnavailable", message, controller))
}

/// `-ResultSize`.
fn most(bound: &Bound) -> Result<usize, ErrorRecord> {
    match bound.text("ResultSize") {
        None => Ok(usize::MAX),
        Some(text) if text.eq_ignore_ascii_case("unlimited") => Ok(usize::MAX),
        Some(text) => {
            let number = text.trim().parse::<u32>().ok().filter(|number| i32::try_from(*number).is_ok());
            let message = format!("\"{text}\" is neither a whole number from 0 to 2147483647 nor \"Unlimited\".");
            let number = number.ok_or_else(|| failed("ResultSize", "InvalidArgument", message, text))?;
            Ok(usize::try_from(number).unwrap_or(usize::MAX))
        }
    }
}

/// `-Filter`, on the properties that such an object has.
fn condition(bound: &Bound, show: &dyn Fn(&Holder) -> Value) -> Result<Option<Condition>, ErrorRecord> {
    let Some(text) = bound.text("Filter") else { return Ok(None) };
    let blank = show(&Holder::default());
    let properties =
        blank.as_object().map(|object| object.adapted.iter().map(|property| property.name.clone()).collect::<Vec<_>>());
    let condition = Condition::parse(text, &properties.unwrap_or_default());
    condition
        .map(Some)
        .map_err(|why| failed("Filter", "InvalidArgument", format!("The filter \"{text}\" is not valid. {why}"), text))
}

/// Whether a name lies below another.
fn is_below(dn: &str, above: &str) -> bool {
    dn.to_lowercase().ends_with(&format!(",{}", above.to_lowercase()))
}

/// Those that an identity means: by SIP address, user principal name, domain and logon name, distinguished name, or the
/// display name, which may be a pattern.
fn named(all: &[Holder], identity: &str) -> Vec<Holder> {
    let folded = identity.trim().to_lowercase();
    let canonical = |text: &str| Dn::parse(text).map(|dn| dn.to_string().to_lowercase());
    let dn = canonical(identity).filter(|dn| dn.contains('='));
    let pattern = Wildcard::powershell(identity).ok().filter(|_| is_pattern(identity));
    let is = |own: &Option<String>| own.as_deref().is_some_and(|own| own.to_lowercase() == folded);
    let fits = |holder: &&Holder| {
        let logon = holder.account.as_deref().map(|account| format!("{NETBIOS}\\{account}"));
        holder.address.to_lowercase() == folded
            || is(&holder.principal)
            || is(&logon)
            || is(&holder.display_name)
            || dn.is_some() && canonical(&holder.dn) == dn
            || pattern.as_ref().zip(holder.display_name.as_deref()).is_some_and(|(pattern, name)| pattern.is_match(name))
    };
    all.iter().filter(fits).cloned().collect()
}

fn not_found(identity: &str) -> ErrorRecord {
    failed("Identity", "InvalidData", format!("Management object not found for identity \"{identity}\"."), identity)
}

/// An object of the directory as a property: its text is its distinguished name.
pub(super) fn id(dn: &str) -> Value {
    let name = Dn::parse(dn).and_then(|dn| dn.0.first().map(|part| part.value.clone())).unwrap_or_default();
    Value::typed(
        &["Microsoft.Rtc.Management.ADConnect.Core.ADObjectId", "System.Object"],
        Some(dn),
        [("DistinguishedName", Value::from(dn)), ("Name", name.into())],
    )
}

/// What the audit says of the objects that a cmdlet changed.
pub(super) fn note(stage: &mut Stage<'_>, dns: &[String]) {
    stage.wrote |= !dns.is_empty();
    let value = if let [only] = dns { only.as_str().into() } else { dns.to_vec().into() };
    stage.detail.insert("dn".to_owned(), value);
}
