//! `Get-CsUser`, `Get-CsAdUser`, `Enable-CsUser` and `Disable-CsUser`.

#![expect(clippy::result_large_err, reason = "a cmdlet ends with an error record")]

use super::endpoints::domain;
use super::people::{DOMAIN_CONTROLLER, FILTER, IDENTITY, OU, RESULT_SIZE, Sort, chosen, directory, failed, id, note};
use crate::lab::lync::deployment::Deployment;
use crate::lab::lync::directory::Holder;
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::ErrorRecord;

/// What Lync keeps of a user, as far as the lab's schema has it.
const ATTRIBUTES: &[&str] = &[
    "msRTCSIP-PrimaryUserAddress",
    "msRTCSIP-UserEnabled",
    "msRTCSIP-PrimaryHomeServer",
    "msRTCSIP-OptionFlags",
    "msRTCSIP-DeploymentLocator",
    "msRTCSIP-Line",
];
/// Unified communications and enhanced presence, as of every user that Lync enables in the lab.
const OPTIONS: &str = "257";
const ADDRESS_TYPE: Kind = Kind::Enumeration(
    "Microsoft.Rtc.Management.AD.Cmdlets.AddressType",
    &["EmailAddress", "FirstLastName", "SamAccountName", "UserPrincipalName"],
);

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsUser",
        class: "Microsoft.Rtc.Management.AD.Cmdlets.GetUserCmdlet",
        module: MODULE,
        parameters: &[
            IDENTITY,
            Parameter::new("Credential", Kind::Any),
            DOMAIN_CONTROLLER,
            FILTER,
            Parameter::new("LdapFilter", Kind::Text),
            OU,
            RESULT_SIZE,
            Parameter::new("OnLyncServer", Kind::Switch),
            Parameter::new("OnOfficeCommunicationServer", Kind::Switch),
            Parameter::new("UnassignedUser", Kind::Switch),
        ],
        run: get,
    },
    Cs {
        name: "Get-CsAdUser",
        class: "Microsoft.Rtc.Management.AD.Cmdlets.GetAdUserCmdlet",
        module: MODULE,
        parameters: &[
            IDENTITY,
            Parameter::new("Credential", Kind::Any),
            DOMAIN_CONTROLLER,
            FILTER,
            Parameter::new("LdapFilter", Kind::Text),
            OU,
            RESULT_SIZE,
        ],
        run: get_account,
    },
    Cs {
        name: "Enable-CsUser",
        class: "Microsoft.Rtc.Management.AD.Cmdlets.EnableOcsUserCmdlet",
        module: MODULE,
        parameters: &[
            IDENTITY.needed(),
            Parameter::new("RegistrarPool", Kind::Text),
            Parameter::new("SipAddress", Kind::Text),
            Parameter::new("SipAddressType", ADDRESS_TYPE),
            Parameter::new("SipDomain", Kind::Text),
            DOMAIN_CONTROLLER,
            Parameter::new("PassThru", Kind::Switch),
        ],
        run: enable,
    },
    Cs {
        name: "Disable-CsUser",
        class: "Microsoft.Rtc.Management.AD.Cmdlets.DisableOcsUserCmdlet",
        module: MODULE,
        parameters: &[IDENTITY.needed(), DOMAIN_CONTROLLER, Parameter::new("PassThru", Kind::Switch)],
        run: disable,
    },
];

fn user(holder: &Holder, deployment: &Deployment) -> Value {
    let policy = deployment.granted.get(&holder.dn.to_lowercase()).cloned();
    Value::typed(
        &["Microsoft.Rtc.Management.ADConnect.Schema.ADUser", "System.Object"],
        Some(&holder.dn),
        [
            ("Identity", id(&holder.dn)),
            ("PersistentChatPolicy", policy.into()),
            ("RegistrarPool", holder.registrar.clone().into()),
            ("Enabled", holder.enabled.into()),
            ("SipAddress", holder.address.as_str().into()),
            ("LineURI", holder.line.clone().into()),
            ("EnterpriseVoiceEnabled", false.into()),
            ("HomeServer", holder.home.clone().into()),
            ("DisplayName", holder.display_name.clone().into()),
            ("SamAccountName", holder.account.clone().into()),
            ("UserPrincipalName", holder.principal.clone().into()),
            ("FirstName", holder.person.0.clone().into()),
            ("LastName", holder.person.1.clone().into()),
            ("WindowsEmailAddress", holder.mail.clone().into()),
            ("ProxyAddresses", Value::list(holder.proxies.iter().map(String::as_str))),
            ("Name", holder.name.as_str().into()),
            ("DistinguishedName", holder.dn.as_str().into()),
            ("Guid", uuid::Uuid::parse_str(&holder.guid).map_or(Value::Nil, Value::Guid)),
        ],
    )
}

fn account(holder: &Holder) -> Value {
    let address = Some(holder.address.as_str()).filter(|address| !address.is_empty());
    Value::typed(
        &["Microsoft.Rtc.Management.ADConnect.Schema.CSADUser", "System.Object"],
        Some(&holder.dn),
        [
            ("Identity", id(&holder.dn)),
            ("SipAddress", address.into()),
            ("Enabled", holder.enabled.into()),
            ("DisplayName", holder.display_name.clone().into()),
            ("SamAccountName", holder.account.clone().into()),
            ("UserPrincipalName", holder.principal.clone().into()),
            ("FirstName", holder.person.0.clone().into()),
            ("LastName", holder.person.1.clone().into()),
            ("WindowsEmailAddress", holder.mail.clone().into()),
            ("UserAccountControl", if holder.disabled { "AccountDisabled, NormalAccount" } else { "NormalAccount" }.into()),
            ("Name", holder.name.as_str().into()),
            ("DistinguishedName", holder.dn.as_str().into()),
            ("Guid", uuid::Uuid::parse_str(&holder.guid).map_or(Value::Nil, Value::Guid)),
        ],
    )
}

/// The users that a call means, and whatever else it asks of them.
fn users(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Result<Vec<Holder>, ErrorRecord> {
    let deployment = forest.deployment.clone();
    chosen(stage, forest, bound, Sort::Users, &|holder| user(holder, &deployment))
}

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    for holder in users(stage, forest, bound)? {
        let homed = holder.home.is_some();
        let unwanted = bound.is_on("OnOfficeCommunicationServer")
            || bound.is_on("OnLyncServer") && !homed
            || bound.is_on("UnassignedUser") && homed;
        if !unwanted {
            stage.output(user(&holder, forest.deployment));
        }
    }
    Ok(())
}

fn get_account(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    for holder in chosen(stage, forest, bound, Sort::Accounts, &account)? {
        stage.output(account(&holder));
    }
    Ok(())
}

fn enable(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let wrong = |id: &str, message: &str| failed(id, "InvalidArgument", message, "");
    let Some(pool) = bound.text("RegistrarPool") else {
        return Err(wrong("RegistrarPool", "The pool that the user is to be homed on is missing: -RegistrarPool."));
    };
    if !forest.deployment.front_ends.iter().any(|own| own.fqdn.eq_ignore_ascii_case(pool)) {
        return Err(failed(
            "RegistrarPool",
            "ObjectNotFound",
            format!("\"{pool}\" is not a Registrar pool of this topology."),
            pool,
        ));
    }
    if bound.has("SipAddress") == bound.has("SipAddressType") {
        return Err(wrong("SipAddress", "Either -SipAddress or -SipAddressType must be given."));
    }
    let found = chosen(stage, forest, bound, Sort::Accounts, &account)?;
    if found.len() > 1 && bound.has("SipAddress") {
        return Err(wrong("SipAddress", "One address cannot be given to several users."));
    }
    let home = forest.directory.home_of(pool).map_err(directory)?;
    let mut changed = Vec::new();
    for holder in found {
        if let Err(record) = enable_one(stage, forest, bound, &holder, &home, &mut changed) {
            note(stage, &changed);
            stage.report(record)?;
        }
    }
    pass(stage, forest, bound, &changed)
}

fn enable_one(
    stage: &mut Stage<'_>,
    forest: &mut Forest<'_>,
    bound: &Bound,
    holder: &Holder,
    home: &str,
    changed: &mut Vec<String>,
) -> Result<(), ErrorRecord> {
    let address = address_of(bound, holder)?;
    if !holder.address.is_empty() {
        let message = format!("\"{}\" is enabled already, with the address \"{}\".", holder.dn, holder.address);
        return Err(failed("UserAlreadyEnabled", "ResourceExists", message, &holder.dn));
    }
    let takers = forest.directory.takers(&address).map_err(directory)?;
    if let Some(taker) = takers.iter().find(|taker| !taker.eq_ignore_ascii_case(&holder.dn)) {
        let message = format!("The SIP address \"{address}\" is in use already: \"{taker}\" has it.");
        return Err(failed("SipAddressInUse", "ResourceExists", message, &address));
    }
    if !stage.should_process(&holder.dn, "Enable-CsUser") {
        return Ok(());
    }
    let mut proxies = without_sip(&holder.proxies);
    proxies.push(address.clone());
    let one = |text: &str| vec![text.to_owned()];
    let values = [
        ("msRTCSIP-PrimaryUserAddress", vec![address]),
        ("msRTCSIP-UserEnabled", one("TRUE")),
        ("msRTCSIP-PrimaryHomeServer", one(home)),
        ("msRTCSIP-OptionFlags", one(OPTIONS)),
        ("msRTCSIP-DeploymentLocator", one("SRV:")),
        ("proxyAddresses", proxies),
    ];
    forest.directory.replace(&holder.guid, &values).map_err(directory)?;
    changed.push(holder.dn.clone());
    Ok(())
}

/// The address that a user is to have. Its domain is not looked at, as Lync does not.
fn address_of(bound: &Bound, holder: &Holder) -> Result<String, ErrorRecord> {
    let sip_domain = bound.text("SipDomain");
    let at = |name: Option<String>| name.zip(sip_domain).map(|(name, domain)| format!("sip:{name}@{domain}"));
    let address = match bound.text("SipAddressType") {
        None => bound.text("SipAddress").map(str::to_owned),
        Some("EmailAddress") => holder.mail.as_deref().map(|mail| format!("sip:{mail}")),
        Some("UserPrincipalName") => holder.principal.as_deref().map(|name| format!("sip:{name}")),
        Some("SamAccountName") => at(holder.account.clone()),
        Some(_) => at(holder.person.0.as_deref().zip(holder.person.1.as_deref()).map(|(first, last)| format!("{first}.{last}"))),
    };
    let message = format!("No valid SIP address can be made for \"{}\".", holder.dn);
    address
        .filter(|address| domain(address).is_some())
        .ok_or_else(|| failed("SipAddress", "InvalidArgument", message, &holder.dn))
}

fn disable(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let mut changed = Vec::new();
    for holder in users(stage, forest, bound)? {
        if !stage.should_process(&holder.dn, "Disable-CsUser") {
            continue;
        }
        let mut values: Vec<(&str, Vec<String>)> = ATTRIBUTES.iter().map(|name| (*name, Vec::new())).collect();
        values.push(("proxyAddresses", without_sip(&holder.proxies)));
        if let Err(message) = forest.directory.replace(&holder.guid, &values) {
            note(stage, &changed);
            stage.report(directory(message))?;
            continue;
        }
        if forest.deployment.granted.contains_key(&holder.dn.to_lowercase()) {
            forest.deployment_mut().granted.remove(&holder.dn.to_lowercase());
        }
        changed.push(holder.dn);
    }
    pass(stage, forest, bound, &changed)
}

/// Tells what was changed, and shows it if that was asked for.
fn pass(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound, changed: &[String]) -> Done {
    if !changed.is_empty() {
        note(stage, changed);
    }
    for dn in changed.iter().filter(|_| bound.is_on("PassThru")) {
        for holder in forest.directory.people(dn, "(objectClass=user)").map_err(directory)? {
            stage.output(user(&holder, forest.deployment));
        }
    }
    Ok(())
}

fn without_sip(proxies: &[String]) -> Vec<String> {
    let is_sip = |proxy: &&String| proxy.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("sip:"));
    proxies.iter().filter(|proxy| !is_sip(proxy)).cloned().collect()
}
