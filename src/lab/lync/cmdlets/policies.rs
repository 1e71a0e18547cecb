//! `Get-`, `New-`, `Set-`, `Remove-`, `Grant-CsPersistentChatPolicy`: who may use Persistent Chat. A policy is off, unless
//! somebody turns it on.

use super::common::{FILTER, FORCE, IDENTITY, Known, LOCAL_STORE, TENANT, bare, give, missing, object, refusal};
use super::pools::pools;
use crate::lab::lync::deployment::{Deployment, Policy};
use crate::lab::lync::directory::Holder;
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::machine::same;
use crate::lab::windows::run::nobody_to_ask;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::ErrorRecord;

const ENABLE: Parameter = Parameter::new("EnablePersistentChat", Kind::Bool);
const DESCRIPTION: Parameter = Parameter::new("Description", Kind::Text);

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsPersistentChatPolicy",
        class: "Microsoft.Rtc.Management.Internal.GetPersistentChatPolicyCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, FILTER, LOCAL_STORE, TENANT],
        run: get,
    },
    Cs {
        name: "New-CsPersistentChatPolicy",
        class: "Microsoft.Rtc.Management.Internal.NewPersistentChatPolicyCmdlet",
        module: MODULE,
        parameters: &[IDENTITY.needed(), DESCRIPTION, ENABLE, FORCE, Parameter::new("InMemory", Kind::Switch), TENANT],
        run: new,
    },
    Cs {
        name: "Set-CsPersistentChatPolicy",
        class: "Microsoft.Rtc.Management.Internal.SetPersistentChatPolicyCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, DESCRIPTION, ENABLE, FORCE, TENANT],
        run: set,
    },
    Cs {
        name: "Remove-CsPersistentChatPolicy",
        class: "Microsoft.Rtc.Management.Internal.RemovePersistentChatPolicyCmdlet",
        module: MODULE,
        parameters: &[IDENTITY.needed(), FORCE, TENANT],
        run: remove,
    },
    Cs {
        name: "Grant-CsPersistentChatPolicy",
        class: "Microsoft.Rtc.Management.Internal.GrantPersistentChatPolicyCmdlet",
        module: MODULE,
        parameters: &[
            IDENTITY.needed(),
            Parameter::new("PolicyName", Kind::Any).at(1),
            Parameter::new("DomainController", Kind::Text),
            Parameter::new("PassThru", Kind::Switch),
        ],
        run: grant,
    },
];

fn shown(policy: &Policy) -> Value {
    let properties = vec![
        ("Identity", Value::from(policy.identity.as_str())),
        ("Description", policy.description.clone().map_or(Value::Nil, Value::from)),
        ("EnablePersistentChat", policy.enabled.into()),
    ];
    object("Microsoft.Rtc.Management.WritableConfig.Policy.PersistentChat.PersistentChatPolicy", &policy.identity, properties)
}

/// Whether a name is that of the policy: those that are granted to users are named with and without `Tag:`.
fn is(policy: &Policy, name: &str) -> bool {
    let tagged = policy.identity.strip_prefix("Tag:").is_some_and(|own| same(own, name));
    tagged || same(&policy.identity, name)
}

fn place(deployment: &Deployment, name: &str) -> Result<usize, ErrorRecord> {
    let found = deployment.policies.iter().position(|policy| is(policy, name));
    found.ok_or_else(|| missing("Persistent Chat policy", name))
}

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let known = forest.deployment.policies.iter().map(|policy| {
        let also = policy.identity.strip_prefix("Tag:").map(str::to_owned).into_iter().collect();
        Known { identity: policy.identity.clone(), also, value: shown(policy) }
    });
    give(stage, bound, "Persistent Chat policy", known.collect())
}

fn on(bound: &Bound) -> Option<bool> {
    bound.0.get("enablepersistentchat").and_then(Value::as_bool)
}

fn new(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let name = bound.text("Identity").unwrap_or_default();
    let identity = match name.split_once(':') {
        None if same(name, "Global") => {
            return Err(refusal("GlobalExists", "ResourceExists", "The global policy is always there.", name));
        }
        None => format!("Tag:{name}"),
        Some((kind, rest)) if same(kind, "Tag") => format!("Tag:{rest}"),
        Some((kind, site)) if same(kind, "Site") => {
            let all = pools(forest.deployment);
            let known = all.iter().find(|pool| same(&pool.site, site));
            format!("Site:{}", known.ok_or_else(|| missing("site", name))?.site)
        }
        Some(_) => return Err(missing("scope", name)),
    };
    if place(forest.deployment, &identity).is_ok() {
        let message = format!("The Persistent Chat policy \"{identity}\" exists.");
        return Err(refusal("PolicyExists", "ResourceExists", message, name));
    }
    let policy =
        Policy { identity, enabled: on(bound).unwrap_or(false), description: bound.text("Description").map(str::to_owned) };
    let kept = !bound.is_on("InMemory");
    if kept && !stage.should_process(&policy.identity, "New-CsPersistentChatPolicy") {
        return Ok(());
    }
    stage.output(shown(&policy));
    if kept {
        forest.publish().policies.push(policy);
        stage.wrote = true;
    }
    Ok(())
}

fn set(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let index = place(forest.deployment, bound.text("Identity").unwrap_or("Global"))?;
    let mut policy = forest.deployment.policies[index].clone();
    policy.enabled = on(bound).unwrap_or(policy.enabled);
    policy.description = bound.text("Description").map(str::to_owned).or(policy.description);
    keep(stage, forest, index, policy, "Set-CsPersistentChatPolicy");
    Ok(())
}

fn keep(stage: &mut Stage<'_>, forest: &mut Forest<'_>, index: usize, policy: Policy, cmdlet: &str) {
    if stage.should_process(&policy.identity, cmdlet) && forest.deployment.policies[index] != policy {
        forest.publish().policies[index] = policy;
        stage.wrote = true;
    }
}

fn remove(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let index = place(forest.deployment, bound.text("Identity").unwrap_or_default())?;
    let policy = forest.deployment.policies[index].clone();
    if same(&policy.identity, "Global") {
        // It stays, as it was after the installation.
        let fresh = Policy { identity: policy.identity, ..Policy::default() };
        keep(stage, forest, index, fresh, "Remove-CsPersistentChatPolicy");
        return Ok(());
    }
    let own = bare(&policy.identity).to_owned();
    let in_use = forest.deployment.granted.values().any(|name| same(name, &own)) && policy.identity.starts_with("Tag:");
    if in_use && !bound.is_on("Force") && !stage.what_if {
        return Err(nobody_to_ask("The policy is assigned to at least one user."));
    }
    if stage.should_process(&policy.identity, "Remove-CsPersistentChatPolicy") {
        let deployment = forest.publish();
        deployment.policies.remove(index);
        if in_use {
            deployment.granted.retain(|_, name| !same(name, &own));
        }
        stage.wrote = true;
    }
    Ok(())
}

/// Whether a name in `-Identity` means a user: its distinguished name, SIP address, user principal name, account with the
/// domain, or display name.
fn is_user(holder: &Holder, name: &str) -> bool {
    let address = holder.address.get(4..).unwrap_or_default();
    let account = holder.account.as_deref().is_some_and(|own| name.rsplit_once('\\').is_some_and(|(_, name)| same(own, name)));
    let texts = [Some(holder.dn.as_str()), Some(&holder.address), Some(address), holder.principal.as_deref()];
    let display = holder.display_name.as_deref();
    account || texts.into_iter().chain([display]).flatten().any(|own| same(own, name))
}

fn grant(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let name = bound.text("Identity").unwrap_or_default();
    let unavailable = |why: String| refusal("DirectoryUnavailable", "ResourceUnavailable", why, name);
    let users = forest.directory.holders().map_err(unavailable)?;
    let found: Vec<&Holder> = users.iter().filter(|holder| !holder.is_contact && is_user(holder, name)).collect();
    let user = match found.as_slice() {
        [user] => *user,
        [] => return Err(missing("user", name)),
        _ => return Err(refusal("AmbiguousUser", "InvalidArgument", format!("Several users are \"{name}\"."), name)),
    };
    let wanted = bound.0.get("policyname").filter(|value| !value.is_nil()).map(Value::to_text);
    let policy = match &wanted {
        None => None,
        Some(wanted) => {
            let policy = &forest.deployment.policies[place(forest.deployment, wanted)?];
            let own = policy.identity.strip_prefix("Tag:");
            // A global policy, and that of a site, hold by themselves.
            Some(own.ok_or_else(|| missing("Persistent Chat policy for users", wanted))?.to_owned())
        }
    };
    let key = user.dn.to_lowercase();
    if stage.should_process(&user.dn, "Grant-CsPersistentChatPolicy") {
        if forest.deployment.granted.get(&key) != policy.as_ref() {
            let granted = &mut forest.publish().granted;
            match policy {
                Some(policy) => granted.insert(key, policy),
                None => granted.remove(&key),
            };
            stage.wrote = true;
        }
        if bound.is_on("PassThru") {
            let properties = vec![
                ("Identity", Value::from(user.dn.as_str())),
                ("SipAddress", user.address.as_str().into()),
                ("DisplayName", user.display_name.clone().map_or(Value::Nil, Value::from)),
                ("Enabled", user.enabled.into()),
            ];
            stage.output(object("Microsoft.Rtc.Management.ADConnect.Schema.OCSUserOrAppContact", &user.dn, properties));
        }
    }
    Ok(())
}
