//! `Get-CsService`: what the topology says of services and server roles.
//!
//! Types and properties are those that published code reads. A Front End pool has many roles; shown are those that the lab
//! plays. The identity of a database carries the instance, so that two on one computer can be told apart: the lab's own way.

use super::common::{FILTER, IDENTITY, Known, give, object, one_of, texts};
use crate::lab::lync::deployment::{ChatPool, Deployment};
use crate::lab::lync::forest::{Cs, Forest, MODULE};
use crate::lab::windows::cmdlet::{Bound, Done, Kind, Parameter, Stage};
use crate::remoting::clixml::Value;

const fn of(role: &'static str) -> Parameter {
    Parameter::new(role, Kind::Switch)
}

/// The cmdlets of this file.
pub const CMDLETS: &[Cs] = &[Cs {
    name: "Get-CsService",
    class: "Microsoft.Rtc.Management.Xds.GetServiceCmdlet",
    module: MODULE,
    parameters: &[
        IDENTITY,
        FILTER,
        Parameter::new("PoolFqdn", Kind::Text),
        of("ApplicationDatabase"),
        of("ApplicationServer"),
        of("ArchivingDatabase"),
        of("ArchivingServer"),
        of("BackupServer"),
        of("CentralManagement"),
        of("CentralManagementDatabase"),
        of("ConferencingServer").also(&["ConferenceServer"]),
        of("Director"),
        of("EdgeServer"),
        of("FileStore"),
        of("LegalInterceptServer"),
        of("ManagementServer"),
        of("MediationServer"),
        of("MonitoringDatabase"),
        of("MonitoringServer"),
        of("PersistentChatComplianceDatabase"),
        of("PersistentChatDatabase"),
        of("PersistentChatServer"),
        of("ProvisionDatabase"),
        of("ProvisionServer"),
        of("PstnGateway"),
        of("Registrar"),
        of("TrustedApplicationPool").also(&["ExternalServer"]),
        of("UserDatabase"),
        of("UserServer"),
        of("VideoGateway"),
        of("VideoInteropServer"),
        of("WacServer"),
        of("WebServer"),
    ],
    run: get,
}];

/// A service of the topology.
pub struct Service {
    /// `PersistentChatServer`: also the switch that asks for it.
    pub role: &'static str,
    /// `PersistentChatServer:pcpool.contoso.lan`.
    pub identity: String,
    /// The pool that it is in.
    pub pool: String,
    /// The site.
    pub site: String,
    /// How it is shown.
    pub value: Value,
}

fn get(stage: &mut Stage<'_>, forest: &mut Forest<'_>, bound: &Bound) -> Done {
    let mut switches: Vec<&str> = CMDLETS[0].parameters.iter().skip(3).map(|parameter| parameter.name).collect();
    switches.extend(["Identity", "Filter"]);
    one_of(bound, &switches)?;
    let pool = bound.text("PoolFqdn");
    let asked = |service: &Service| {
        let role = switches.iter().find(|name| bound.is_on(name)).is_none_or(|role| *role == service.role);
        role && pool.is_none_or(|pool| pool.eq_ignore_ascii_case(&service.pool))
    };
    let all = services(forest.deployment).into_iter().filter(asked);
    let known = all.map(|service| Known { identity: service.identity, also: Vec::new(), value: service.value });
    give(stage, bound, "service", known.collect())
}

/// Every service of the topology.
#[must_use]
pub fn services(deployment: &Deployment) -> Vec<Service> {
    let mut all = Vec::new();
    for (place, pool) in deployment.front_ends.iter().enumerate() {
        // The Central Management store has one home: the newest deployment.
        let roles = ["Registrar", "UserServer", "CentralManagement"];
        for role in &roles[..if place == 0 { 3 } else { 2 }] {
            let own = match *role {
                "Registrar" => vec![("UserServer", Value::from(format!("UserServer:{}", pool.fqdn)))],
                "UserServer" => vec![("Registrar", Value::from(format!("Registrar:{}", pool.fqdn)))],
                _ => Vec::new(),
            };
            all.push(service(role, &pool.fqdn, None, &pool.site, pool.version, own, &[]));
        }
    }
    for pool in &deployment.chat_pools {
        all.extend(chat_services(pool));
    }
    let site = deployment.front_ends.first().map_or("", |pool| pool.site.as_str());
    for store in &deployment.file_stores {
        let own =
            vec![("UncPath", format!("\\\\{}\\{}", store.fqdn, store.share).into()), ("ShareName", store.share.as_str().into())];
        all.push(service("FileStore", &store.fqdn, None, site, 6, own, &[]));
    }
    for (place, pool) in deployment.trusted_pools.iter().enumerate() {
        let registrar = (!pool.registrar.is_empty()).then(|| format!("Registrar:{}", pool.registrar));
        let own = vec![
            ("Registrar", registrar.clone().map_or(Value::Nil, Value::from)),
            ("FileStore", Value::Nil),
            ("ThrottleAsServer", true.into()),
            ("TreatAsAuthenticated", true.into()),
            ("OutboundOnly", false.into()),
            ("RequiresReplication", false.into()),
            ("Applications", texts(&pool.applications)),
            ("ServiceId", format!("1-ExternalServer-{}", place + 1).into()),
        ];
        let needs: Vec<String> = registrar.into_iter().collect();
        let version = deployment.front_ends.iter().find(|front| front.fqdn == pool.registrar).map_or(6, |front| front.version);
        all.push(service("TrustedApplicationPool", &pool.fqdn, None, site, version, own, &needs));
    }
    all
}

fn chat_services(pool: &ChatPool) -> [Service; 3] {
    let database = |role: &str| {
        let instance = if pool.sql_instance.is_empty() { String::new() } else { format!("\\{}", pool.sql_instance) };
        format!("{role}:{}{instance}", pool.sql_host)
    };
    let inactive = pool.servers.iter().filter(|server| !pool.active.contains(server));
    let registrar = format!("Registrar:{}", pool.next_hop);
    let (content, compliance) = (database("PersistentChatDatabase"), database("PersistentChatComplianceDatabase"));
    let own = vec![
        ("Registrar", Value::from(registrar.as_str())),
        ("FileStore", pool.file_store.as_str().into()),
        ("PersistentChatDatabase", content.as_str().into()),
        ("MirrorPersistentChatDatabase", Value::Nil),
        ("BackupPersistentChatDatabase", Value::Nil),
        ("BackupMirrorPersistentChatDatabase", Value::Nil),
        ("PersistentChatComplianceDatabase", compliance.as_str().into()),
        ("MirrorPersistentChatComplianceDatabase", Value::Nil),
        ("BackupPersistentChatComplianceDatabase", Value::Nil),
        ("BackupMirrorPersistentChatComplianceDatabase", Value::Nil),
        ("MtlsPort", Value::I32(5041)),
        ("DisplayName", pool.fqdn.as_str().into()),
        ("ActiveServers", texts(&pool.active)),
        ("InactiveServers", texts(inactive)),
        ("ServiceId", pool.service_id.as_str().into()),
    ];
    let needs = [registrar, pool.file_store.clone(), content.clone(), compliance.clone()];
    let store = |role: &'static str| {
        let instance = Some(pool.sql_instance.as_str());
        service(role, &pool.sql_host, instance, &pool.site, 6, Vec::new(), &[])
    };
    [
        service("PersistentChatServer", &pool.fqdn, None, &pool.site, 6, own, &needs),
        store("PersistentChatDatabase"),
        store("PersistentChatComplianceDatabase"),
    ]
}

/// `instance` is that of a database; the default one is empty.
fn service(
    role: &'static str,
    pool: &str,
    instance: Option<&str>,
    site: &str,
    version: u32,
    own: Vec<(&str, Value)>,
    needs: &[String],
) -> Service {
    let instance_shown = instance.filter(|name| !name.is_empty()).map_or_else(String::new, |name| format!("\\{name}"));
    let identity = format!("{role}:{pool}{instance_shown}");
    // A pool of trusted applications is an external server inside.
    let kind = if role == "TrustedApplicationPool" { "ExternalServer" } else { role };
    let mut properties = vec![("Identity", Value::from(identity.as_str()))];
    properties.extend(own);
    if let Some(instance) = instance {
        properties.push(("SqlInstanceName", instance.into()));
    }
    properties.extend([
        ("DependentServiceList", texts(needs)),
        ("SiteId", format!("Site:{site}").into()),
        ("PoolFqdn", pool.into()),
        ("Version", Value::I32(version.try_into().unwrap_or_default())),
        ("Role", role.into()),
    ]);
    let value = object(&format!("Microsoft.Rtc.Management.Xds.Display{kind}"), &identity, properties);
    Service { role, identity, pool: pool.to_owned(), site: site.to_owned(), value }
}
