//! Trusted applications, their pools and computers: `Get-` and `Remove-CsTrustedApplication`, `-CsTrustedApplicationPool`,
//! `-CsTrustedApplicationComputer`. A Group Chat deployment is such a pool. What is removed here is in effect in the directory
//! until `Enable-CsTopology`.

use super::common::{FILTER, FORCE, IDENTITY, Known, bare, give, missing, object, one_of, refusal};
use super::services::services;
use crate::lab::lync::deployment::{Deployment, TrustedPool};
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::DOMAIN;
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::machine::same;
use crate::remoting::clixml::Value;

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsTrustedApplication",
        class: "Microsoft.Rtc.Management.Xds.GetTrustedApplicationCmdlet",
        module: MODULE,
        parameters: &[
            IDENTITY,
            FILTER,
            Parameter::new("ApplicationId", Kind::Text),
            Parameter::new("TrustedApplicationPoolFqdn", Kind::Text),
        ],
        run: get_application,
    },
    Cs {
        name: "Get-CsTrustedApplicationPool",
        class: "Microsoft.Rtc.Management.Xds.GetTrustedApplicationPoolCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, FILTER, Parameter::new("PoolFqdn", Kind::Text)],
        run: get_pool,
    },
    Cs {
        name: "Get-CsTrustedApplicationComputer",
        class: "Microsoft.Rtc.Management.Xds.GetTrustedApplicationComputerCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, FILTER, Parameter::new("Pool", Kind::Text), Parameter::new("Local", Kind::Switch)],
        run: get_computer,
    },
    Cs {
        name: "Remove-CsTrustedApplication",
        class: "Microsoft.Rtc.Management.Xds.RemoveTrustedApplicationCmdlet",
        module: MODULE,
        parameters: &[IDENTITY.needed(), FORCE],
        run: remove_application,
    },
    Cs {
        name: "Remove-CsTrustedApplicationPool",
        class: "Microsoft.Rtc.Management.Xds.RemoveTrustedApplicationPoolCmdlet",
        module: MODULE,
        parameters: &[IDENTITY.needed(), FORCE],
        run: remove_pool,
    },
    Cs {
        name: "Remove-CsTrustedApplicationComputer",
        class: "Microsoft.Rtc.Management.Xds.RemoveTrustedApplicationComputerCmdlet",
        module: MODULE,
        parameters: &[IDENTITY.needed(), FORCE],
        run: remove_computer,
    },
];

/// What begins the id of an application. It may be left out.
const URN: &str = "urn:application:";

fn id(text: &str) -> &str {
    text.get(..URN.len()).filter(|start| same(start, URN)).map_or(text, |_| &text[URN.len()..])
}

fn applications(pool: &TrustedPool) -> impl Iterator<Item = Known> + '_ {
    pool.applications.iter().map(|application| {
        let identity = format!("{}/{application}", pool.fqdn);
        let properties = vec![
            ("Identity", Value::from(identity.as_str())),
            ("ApplicationId", application.as_str().into()),
            ("TrustedApplicationPoolFqdn", pool.fqdn.as_str().into()),
            ("LegacyApplicationName", id(application).into()),
        ];
        let value = object("Microsoft.Rtc.Management.Xds.DisplayTrustedApplication", &identity, properties);
        Known { also: vec![format!("{}/{}", pool.fqdn, id(application))], identity, value }
    })
}

fn get_application(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    one_of(bound, &["Identity", "ApplicationId"])?;
    one_of(bound, &["Identity", "TrustedApplicationPoolFqdn"])?;
    let (pool, application) = (bound.text("TrustedApplicationPoolFqdn"), bound.text("ApplicationId"));
    let pools = forest.deployment.trusted_pools.iter().filter(|own| pool.is_none_or(|pool| same(pool, &own.fqdn)));
    let all = pools.flat_map(applications);
    let all = all.filter(|known| {
        let own = known.identity.split_once('/').map_or("", |(_, id)| id);
        application.is_none_or(|wanted| same(id(wanted), id(own)))
    });
    give(stage, bound, "trusted application", all.collect())
}

fn get_pool(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let wanted = bound.text("PoolFqdn");
    let all = services(forest.deployment).into_iter().filter(|service| service.role == "TrustedApplicationPool");
    let all = all.filter(|service| wanted.is_none_or(|pool| same(pool, &service.pool)));
    let known = all.map(|service| Known { identity: service.identity, also: vec![service.pool], value: service.value });
    give(stage, bound, "pool of trusted applications", known.collect())
}

fn get_computer(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let (pool, local) = (bound.text("Pool"), format!("{}.{DOMAIN}", stage.machine.name));
    let pools = forest.deployment.trusted_pools.iter().filter(|own| pool.is_none_or(|pool| same(pool, &own.fqdn)));
    let all = pools.flat_map(|pool| pool.computers.iter().map(move |computer| (computer, pool)));
    let all = all.filter(|(computer, _)| !bound.is_on("Local") || same(computer, &local));
    let known = all.map(|(computer, pool)| {
        let properties = vec![
            ("Identity", Value::from(computer.as_str())),
            ("Pool", pool.fqdn.as_str().into()),
            ("Fqdn", computer.as_str().into()),
        ];
        let value = object("Microsoft.Rtc.Management.Xds.DisplayComputer", computer, properties);
        Known { identity: computer.clone(), also: Vec::new(), value }
    });
    give(stage, bound, "trusted application computer", known.collect())
}

/// Takes something out of the topology, if it is to be done for real.
fn take_out(stage: &mut Stage<'_>, forest: &mut Forest<'_>, name: &str, cmdlet: &str, how: impl FnOnce(&mut Deployment)) {
    if stage.should_process(name, cmdlet) {
        how(forest.publish());
        stage.wrote = true;
    }
}

fn remove_application(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let name = bound.text("Identity").unwrap_or_default();
    let pools = &forest.deployment.trusted_pools;
    let found = name.split_once('/').and_then(|(pool, application)| {
        let pool = pools.iter().position(|own| same(&own.fqdn, pool))?;
        let place = pools[pool].applications.iter().position(|own| same(id(own), id(application)))?;
        Some((pool, place))
    });
    let (pool, place) = found.ok_or_else(|| missing("trusted application", name))?;
    take_out(stage, forest, name, "Remove-CsTrustedApplication", |deployment| {
        deployment.trusted_pools[pool].applications.remove(place);
    });
    Ok(())
}

fn remove_pool(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let name = bound.text("Identity").unwrap_or_default();
    let kind = name.split_once(':').map(|(kind, _)| kind);
    let found = forest.deployment.trusted_pools.iter().position(|pool| same(&pool.fqdn, bare(name)));
    let place = found.filter(|_| kind.is_none_or(|kind| same(kind, "TrustedApplicationPool")));
    let place = place.ok_or_else(|| missing("pool of trusted applications", name))?;
    if forest.deployment.trusted_pools[place].registrar.is_empty() {
        let message = format!("The pool \"{name}\" has no Registrar; assign one to it before it is removed.");
        return Err(refusal("NoRegistrar", "InvalidOperation", message, name));
    }
    // Computers and applications go with it.
    take_out(stage, forest, name, "Remove-CsTrustedApplicationPool", |deployment| {
        deployment.trusted_pools.remove(place);
    });
    Ok(())
}

fn remove_computer(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let name = bound.text("Identity").unwrap_or_default();
    let pools = &forest.deployment.trusted_pools;
    let found = pools.iter().enumerate().find_map(|(pool, own)| {
        let place = own.computers.iter().position(|computer| same(computer, name))?;
        Some((pool, place))
    });
    let (pool, place) = found.ok_or_else(|| missing("trusted application computer", name))?;
    if pools[pool].computers.len() == 1 {
        let message = format!("\"{name}\" is the only computer of its pool; remove the pool.");
        return Err(refusal("OnlyComputer", "InvalidOperation", message, name));
    }
    take_out(stage, forest, name, "Remove-CsTrustedApplicationComputer", |deployment| {
        deployment.trusted_pools[pool].computers.remove(place);
    });
    Ok(())
}
