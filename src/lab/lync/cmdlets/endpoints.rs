//! `Get-`, `New-` and `Remove-CsPersistentChatEndpoint`: the contacts by which clients find a Persistent Chat pool.

#![expect(clippy::result_large_err, reason = "a cmdlet ends with an error record")]

use super::people::{DOMAIN_CONTROLLER, FILTER, IDENTITY, OU, RESULT_SIZE, Sort, chosen, directory, failed, id, note, the_one};
use crate::lab::lync::directory::{Holder, NewContact};
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::remoting::clixml::Value;

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsPersistentChatEndpoint",
        class: "Microsoft.Rtc.Management.AD.Cmdlets.GetPersistentChatEndpointCmdlet",
        module: MODULE,
        parameters: &[
            IDENTITY,
            Parameter::new("PersistentChatPoolFqdn", Kind::Text),
            Parameter::new("Credential", Kind::Any),
            DOMAIN_CONTROLLER,
            FILTER,
            Parameter::new("LdapFilter", Kind::Text),
            OU,
            RESULT_SIZE,
        ],
        run: get,
    },
    Cs {
        name: "New-CsPersistentChatEndpoint",
        class: "Microsoft.Rtc.Management.AD.Cmdlets.NewPersistentChatEndpointCmdlet",
        module: MODULE,
        parameters: &[
            Parameter::new("SipAddress", Kind::Text).needed(),
            Parameter::new("PersistentChatPoolFqdn", Kind::Text).needed(),
            Parameter::new("DisplayName", Kind::Text),
            Parameter::new("PassThru", Kind::Switch),
        ],
        run: create,
    },
    Cs {
        name: "Remove-CsPersistentChatEndpoint",
        class: "Microsoft.Rtc.Management.AD.Cmdlets.RemovePersistentChatEndpointCmdlet",
        module: MODULE,
        parameters: &[IDENTITY.needed(), Parameter::new("Force", Kind::Switch)],
        run: remove,
    },
];

fn shown(holder: &Holder) -> Value {
    Value::typed(
        &["Microsoft.Rtc.Management.ADConnect.Schema.OCSPersistentChatContact", "System.Object"],
        Some(&holder.dn),
        [
            ("Identity", id(&holder.dn)),
            ("RegistrarPool", holder.registrar.clone().into()),
            ("HomeServer", holder.home.clone().into()),
            ("OwnerUrn", holder.owner.clone().into()),
            ("SipAddress", holder.address.as_str().into()),
            ("DisplayName", holder.display_name.clone().into()),
            ("LineURI", holder.line.clone().into()),
            ("Enabled", holder.enabled.into()),
            ("Name", holder.name.as_str().into()),
            ("DistinguishedName", holder.dn.as_str().into()),
            ("Guid", uuid::Uuid::parse_str(&holder.guid).map_or(Value::Nil, Value::Guid)),
        ],
    )
}

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let pool = bound.text("PersistentChatPoolFqdn");
    if let Some(pool) = pool.filter(|pool| forest.deployment.chat_pool(pool).is_none()) {
        return Err(no_pool(pool));
    }
    for holder in chosen(stage, forest, bound, Sort::Endpoints, &shown)? {
        let own = holder.chat_pool.as_deref().unwrap_or_default();
        if pool.is_none_or(|pool| pool.eq_ignore_ascii_case(own)) {
            stage.output(shown(&holder));
        }
    }
    Ok(())
}

fn create(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let (address, pool) =
        (bound.text("SipAddress").unwrap_or_default(), bound.text("PersistentChatPoolFqdn").unwrap_or_default());
    let wrong = |why: &str| failed("SipAddress", "InvalidArgument", format!("The SIP address \"{address}\" {why}"), address);
    let Some(domain) = domain(address) else {
        return Err(wrong("is not valid: it must be of the form \"sip:name@domain\"."));
    };
    if !forest.deployment.sip_domains.iter().any(|own| own.eq_ignore_ascii_case(domain)) {
        return Err(wrong("is not valid: its domain is not a SIP domain of this deployment."));
    }
    let Some((chat_pool, next_hop)) = forest.deployment.chat_pool(pool).map(|own| (own.fqdn.clone(), own.next_hop.clone()))
    else {
        return Err(no_pool(pool));
    };
    // As the domain controller knows it that this Front End asks.
    let takers = forest.directory.takers(address).map_err(directory)?;
    if let Some(taker) = takers.first() {
        let message = format!("The SIP address \"{address}\" is in use already: \"{taker}\" has it.");
        return Err(failed("SipAddressInUse", "ResourceExists", message, address));
    }
    if !stage.should_process(address, "New-CsPersistentChatEndpoint") {
        return Ok(());
    }
    let display_name = bound.text("DisplayName").map(str::to_owned);
    let contact = NewContact { address: address.to_owned(), chat_pool, next_hop, display_name };
    let made = forest.directory.create_contact(&contact).map_err(directory)?;
    note(stage, std::slice::from_ref(&made.dn));
    if bound.is_on("PassThru") {
        stage.output(shown(&made));
    }
    Ok(())
}

fn remove(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let Some(contact) = the_one(stage, forest, bound, Sort::Endpoints)? else { return Ok(()) };
    if stage.should_process(&contact.dn, "Remove-CsPersistentChatEndpoint") {
        forest.directory.delete(&contact.guid).map_err(directory)?;
        note(stage, &[contact.dn]);
    }
    Ok(())
}

fn no_pool(pool: &str) -> crate::remoting::psrp::ErrorRecord {
    let message = format!("\"{pool}\" is not a Persistent Chat pool of this topology.");
    failed("PersistentChatPoolFqdn", "ObjectNotFound", message, pool)
}

/// The domain of an address, which must carry `sip:`.
pub(super) fn domain(address: &str) -> Option<&str> {
    let is_sip = address.get(..4)?.eq_ignore_ascii_case("sip:");
    let (name, domain) = address.get(4..)?.split_once('@')?;
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '@' | '<' | '>' | '"' | ';' | ',');
    (is_sip
        && !name.is_empty()
        && !domain.is_empty()
        && address.chars().skip(4).filter(|c| *c != '@').all(plain)
        && !domain.contains('@'))
    .then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_prefix_a_name_and_one_domain() {
        assert_eq!(domain("SIP:a.b@contoso.lan"), Some("contoso.lan"));
        for wrong in ["a@contoso.lan", "sip:@contoso.lan", "sip:a@", "sip:a", "sip:a@b@c", "sip:a b@c", "", "ßip:a@b"] {
            assert_eq!(domain(wrong), None, "{wrong}");
        }
    }
}
