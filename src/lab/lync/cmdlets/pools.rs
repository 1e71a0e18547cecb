//! `Get-CsPool`, `Get-CsComputer`, `Get-CsSite`: where the services of the topology are.

use std::collections::BTreeSet;

use super::common::{FILTER, IDENTITY, Known, give, object, texts};
use super::services::services;
use crate::lab::lync::deployment::Deployment;
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::DOMAIN;
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::remoting::clixml::Value;

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsPool",
        class: "Microsoft.Rtc.Management.Xds.GetPoolCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, FILTER, Parameter::new("Site", Kind::Text)],
        run: get_pool,
    },
    Cs {
        name: "Get-CsComputer",
        class: "Microsoft.Rtc.Management.Xds.GetComputerCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, FILTER, Parameter::new("Pool", Kind::Text), Parameter::new("Local", Kind::Switch)],
        run: get_computer,
    },
    Cs {
        name: "Get-CsSite",
        class: "Microsoft.Rtc.Management.Xds.GetSiteCmdlet",
        module: MODULE,
        parameters: &[IDENTITY, FILTER],
        run: get_site,
    },
];

/// A pool of the topology: a file server and a database server are pools of one computer.
pub struct Pool {
    /// Its name.
    pub fqdn: String,
    /// The site.
    pub site: String,
    /// Identities of its services.
    pub services: Vec<String>,
    /// Its computers.
    pub computers: Vec<String>,
}

/// Every pool, in the order of the services.
#[must_use]
pub fn pools(deployment: &Deployment) -> Vec<Pool> {
    let mut all: Vec<Pool> = Vec::new();
    for service in services(deployment) {
        match all.iter_mut().find(|pool| pool.fqdn.eq_ignore_ascii_case(&service.pool)) {
            Some(pool) => pool.services.push(service.identity),
            None => all.push(Pool {
                computers: computers(deployment, &service.pool),
                fqdn: service.pool,
                site: service.site,
                services: vec![service.identity],
            }),
        }
    }
    all
}

fn computers(deployment: &Deployment, pool: &str) -> Vec<String> {
    let fronts = deployment.front_ends.iter().map(|own| (&own.fqdn, &own.servers));
    let chats = deployment.chat_pools.iter().map(|own| (&own.fqdn, &own.servers));
    let trusted = deployment.trusted_pools.iter().map(|own| (&own.fqdn, &own.computers));
    let found = fronts.chain(chats).chain(trusted).find(|(fqdn, _)| fqdn.eq_ignore_ascii_case(pool));
    found.map_or_else(|| vec![pool.to_owned()], |(_, computers)| computers.clone())
}

fn get_pool(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let site = bound.text("Site");
    let wanted = |pool: &Pool| site.is_none_or(|site| site.eq_ignore_ascii_case(&pool.site));
    let known = pools(forest.deployment).into_iter().filter(wanted).map(|pool| {
        let properties = vec![
            ("Identity", Value::from(pool.fqdn.as_str())),
            ("Services", texts(&pool.services)),
            ("Computers", texts(&pool.computers)),
            ("Fqdn", pool.fqdn.as_str().into()),
            ("Site", format!("Site:{}", pool.site).into()),
        ];
        let value = object("Microsoft.Rtc.Management.Deploy.Internal.Cluster", &pool.fqdn, properties);
        Known { identity: pool.fqdn, also: Vec::new(), value }
    });
    give(stage, bound, "pool", known.collect())
}

fn get_computer(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let (pool, local) = (bound.text("Pool"), format!("{}.{DOMAIN}", stage.machine.name));
    let of_pool = |own: &Pool| pool.is_none_or(|pool| pool.eq_ignore_ascii_case(&own.fqdn));
    let all = pools(forest.deployment).into_iter().filter(of_pool);
    let all = all.flat_map(|pool| pool.computers.into_iter().map(move |computer| (computer, pool.fqdn.clone())));
    let all = all.filter(|(computer, _)| !bound.is_on("Local") || computer.eq_ignore_ascii_case(&local));
    let known = all.map(|(fqdn, pool)| {
        let properties =
            vec![("Identity", Value::from(fqdn.as_str())), ("Pool", pool.as_str().into()), ("Fqdn", fqdn.as_str().into())];
        let value = object("Microsoft.Rtc.Management.Deploy.Internal.Machine", &fqdn, properties);
        Known { identity: fqdn, also: Vec::new(), value }
    });
    give(stage, bound, "computer", known.collect())
}

fn get_site(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let all = pools(forest.deployment);
    let names: BTreeSet<&str> = all.iter().map(|pool| pool.site.as_str()).collect();
    let known = names.into_iter().map(|name| {
        let identity = format!("Site:{name}");
        let own = all.iter().filter(|pool| pool.site == name);
        let properties = vec![
            ("Identity", Value::from(identity.as_str())),
            ("Services", texts(own.clone().flat_map(|pool| &pool.services))),
            ("Pools", texts(own.map(|pool| &pool.fqdn))),
            ("DisplayName", name.into()),
        ];
        let value = object("Microsoft.Rtc.Management.Deploy.Internal.Site+CentralSite", &identity, properties);
        Known { identity, also: vec![name.to_owned()], value }
    });
    give(stage, bound, "site", known.collect())
}
