//! `Get-CsTopology`, `Enable-CsTopology`: what is published, and letting it take effect.

use std::fmt::Write as _;

use super::common::{FORCE, LOCAL_STORE, REPORT, object, refusal, texts};
use super::pools::pools;
use super::report;
use super::services::services;
use crate::lab::lync::deployment::Deployment;
use crate::lab::lync::directory::Holder;
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::lab::windows::machine::same;
use crate::remoting::clixml::Value;

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[
    Cs {
        name: "Get-CsTopology",
        class: "Microsoft.Rtc.Management.Xds.GetTopologyCmdlet",
        module: MODULE,
        parameters: &[Parameter::new("AsXml", Kind::Switch), LOCAL_STORE],
        run: get,
    },
    Cs {
        name: "Enable-CsTopology",
        class: "Microsoft.Rtc.Management.Deployment.EnableTopologyCmdlet",
        module: MODULE,
        parameters: &[
            Parameter::new("GlobalCatalog", Kind::Text),
            Parameter::new("GlobalSettingsDomainController", Kind::Text),
            Parameter::new("SkipPrepareCheck", Kind::Bool),
            REPORT,
            FORCE,
        ],
        run: enable,
    },
];

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let deployment = &*forest.deployment;
    if bound.is_on("AsXml") {
        stage.output(Value::from(xml(deployment)));
        return Ok(());
    }
    let pools = pools(deployment);
    let instances = deployment.chat_pools.iter().map(|pool| format!("{}\\{}", pool.sql_host, pool.sql_instance));
    let mut sites: Vec<&str> = pools.iter().map(|pool| pool.site.as_str()).collect();
    sites.dedup();
    let properties = vec![
        ("SipDomains", texts(&deployment.sip_domains)),
        ("Sites", texts(sites)),
        ("Clusters", texts(pools.iter().map(|pool| &pool.fqdn))),
        ("Machines", texts(pools.iter().flat_map(|pool| &pool.computers))),
        ("SqlInstances", texts(instances)),
        ("Services", texts(services(deployment).iter().map(|service| &service.identity))),
    ];
    let kind = "Microsoft.Rtc.Management.Deploy.Internal.DefaultTopology";
    stage.output(object(kind, kind, properties));
    Ok(())
}

/// The topology as text. The real schema is not at hand: elements and attributes are the lab's own, what they list is what
/// the deployment holds.
fn xml(deployment: &Deployment) -> String {
    let mut text = String::from("<Topology>\r\n  <SipDomains>\r\n");
    for domain in &deployment.sip_domains {
        let _ = write!(text, "    <SipDomain Name=\"{}\" />\r\n", escaped(domain));
    }
    text.push_str("  </SipDomains>\r\n  <Clusters>\r\n");
    for pool in pools(deployment) {
        let _ = write!(text, "    <Cluster Fqdn=\"{}\" Site=\"{}\">\r\n", escaped(&pool.fqdn), escaped(&pool.site));
        for computer in &pool.computers {
            let _ = write!(text, "      <Machine Fqdn=\"{}\" />\r\n", escaped(computer));
        }
        for service in &pool.services {
            let _ = write!(text, "      <Service Identity=\"{}\" />\r\n", escaped(service));
        }
        let trusted = deployment.trusted_pools.iter().filter(|own| own.fqdn == pool.fqdn);
        for application in trusted.flat_map(|own| &own.applications) {
            let _ = write!(text, "      <TrustedApplication Id=\"{}\" />\r\n", escaped(application));
        }
        text.push_str("    </Cluster>\r\n");
    }
    text.push_str("  </Clusters>\r\n</Topology>\r\n");
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Pools of trusted applications that are in effect and not in the topology any more disappear from the directory, and with
/// them the contacts that belong to them. Those of other pools stay.
fn enable(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    if stage.should_process("the published topology", "Enable-CsTopology") {
        let published: Vec<String> = forest.deployment.trusted_pools.iter().map(|pool| pool.fqdn.clone()).collect();
        let gone = |pool: &String| !published.iter().any(|own| same(own, pool));
        let gone: Vec<String> = forest.deployment.in_effect.iter().filter(|pool| gone(pool)).cloned().collect();
        let unavailable = |why: String| refusal("DirectoryUnavailable", "ResourceUnavailable", why, "");
        let holders = forest.directory.holders().map_err(unavailable)?;
        let theirs = |holder: &&Holder| {
            holder.is_contact && holder.chat_pool.as_ref().is_some_and(|own| gone.iter().any(|pool| same(own, pool)))
        };
        for contact in holders.iter().filter(theirs) {
            forest.directory.delete(&contact.guid).map_err(unavailable)?;
            stage.wrote = true;
        }
        if forest.deployment.in_effect != published {
            forest.deployment_mut().in_effect = published;
            stage.wrote = true;
        }
    }
    report::write(stage, forest, bound, "Enable-CsTopology")
}
