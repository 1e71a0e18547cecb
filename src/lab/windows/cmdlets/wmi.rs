//! `Get-WmiObject` and `Get-CimInstance`: the same objects in two dresses.

use super::wmi_classes::{Instance, instances};
use super::wql::Condition;
use crate::lab::windows::cmdlet::{Bound, Cmdlet, Done, Kind, Parameter, Stage};
use crate::lab::windows::errors::about;
use crate::lab::windows::machine::same;
use crate::remoting::clixml::{Object, Property, Value};
use crate::remoting::psrp::ErrorRecord;

const CIM_EXCEPTION: &str = "Microsoft.Management.Infrastructure.CimException";

/// The cmdlets of this file.
pub const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "Get-WmiObject",
        class: "Microsoft.PowerShell.Commands.GetWmiObjectCommand",
        module: super::services::MODULE,
        parameters: &[
            Parameter::new("Class", Kind::Text).also(&["ClassName"]).at(0).needed(),
            Parameter::new("Property", Kind::Texts).at(1),
            Parameter::new("Filter", Kind::Text),
            Parameter::new("Namespace", Kind::Text).also(&["NS"]),
        ],
        run: get_wmi_object,
    },
    Cmdlet {
        name: "Get-CimInstance",
        class: "Microsoft.Management.Infrastructure.CimCmdlets.GetCimInstanceCommand",
        module: "CimCmdlets",
        parameters: &[
            Parameter::new("ClassName", Kind::Text).at(0).needed(),
            Parameter::new("Property", Kind::Texts).also(&["SelectProperties"]),
            Parameter::new("Filter", Kind::Text),
            Parameter::new("Namespace", Kind::Text),
        ],
        run: get_cim_instance,
    },
];

/// Why a query has no answer.
enum Unanswered {
    Namespace,
    Class,
    Query(String),
}

/// The instances that a call asks for. Properties that were not asked for have no value.
fn query(stage: &Stage<'_>, bound: &Bound, class: &str) -> Result<Vec<Instance>, Unanswered> {
    let namespace = bound.text("Namespace").unwrap_or("root\\cimv2").replace('/', "\\");
    if !same(&namespace, "root\\cimv2") {
        return Err(Unanswered::Namespace);
    }
    let all = instances(stage.machine, class).ok_or(Unanswered::Class)?;
    let properties = bound.texts("Property");
    let filter = bound.text("Filter").unwrap_or_default();
    let asked =
        if properties.is_empty() || properties.iter().any(|name| name == "*") { "*".to_owned() } else { properties.join(",") };
    let wrong =
        || Unanswered::Query(format!("select {asked} from {class}{}{filter}", if filter.is_empty() { "" } else { " where " }));
    let condition = match filter.trim() {
        "" => None,
        filter => Some(Condition::parse(filter).ok_or_else(wrong)?),
    };
    let mut found = Vec::new();
    for mut instance in all {
        let property = |name: &str| instance.get(name).cloned();
        let fits = condition.as_ref().map_or(Some(true), |condition| condition.holds(&property)).ok_or_else(wrong)?;
        if asked != "*" {
            if properties.iter().any(|name| instance.get(name).is_none()) {
                return Err(wrong());
            }
            instance.only = Some(properties.clone());
        }
        if fits {
            found.push(instance);
        }
    }
    Ok(found)
}

fn get_wmi_object(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let class = bound.text("Class").unwrap_or_default();
    match query(stage, bound, class) {
        Ok(instances) => {
            let server = stage.machine.name.to_uppercase();
            for instance in &instances {
                stage.output(management_object(instance, &server));
            }
            Ok(())
        }
        Err(why) => {
            let (category, exception, message) = match why {
                Unanswered::Namespace => {
                    ("InvalidArgument", "System.Management.ManagementException", "Invalid namespace ".to_owned())
                }
                Unanswered::Class => {
                    ("InvalidType", "System.Management.ManagementException", format!("Invalid class \"{class}\""))
                }
                Unanswered::Query(query) => {
                    ("InvalidArgument", "System.Management.ManagementException", format!("Invalid query \"{query}\""))
                }
            };
            let record = about("GetWMIManagementException", category, exception, message, "");
            stage.report(ErrorRecord { target: Value::Nil, ..record })
        }
    }
}

fn get_cim_instance(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let class = bound.text("ClassName").unwrap_or_default();
    match query(stage, bound, class) {
        Ok(instances) => {
            let server = stage.machine.name.to_uppercase();
            for instance in &instances {
                stage.output(cim_instance(instance, &server));
            }
            Ok(())
        }
        // The codes are those of [MS-WMI] section 2.2.11.
        Err(why) => {
            let (id, category, message) = match why {
                Unanswered::Namespace => ("HRESULT 0x8004100e", "ObjectNotFound", "Invalid namespace "),
                Unanswered::Class => ("HRESULT 0x80041010", "MetadataError", "Invalid class "),
                Unanswered::Query(_) => ("HRESULT 0x80041017", "InvalidArgument", "Invalid query "),
            };
            let mut record = about(id, category, CIM_EXCEPTION, message, class);
            record.category.target_name = format!("root\\cimv2:{class}");
            stage.report(record)
        }
    }
}

/// As `System.Management.ManagementObject` shows it.
fn management_object(instance: &Instance, server: &str) -> Value {
    let relative = format!("{}.{}=\"{}\"", instance.class, instance.key, escaped(&instance.key_text()));
    let path = format!("\\\\{server}\\root\\cimv2:{relative}");
    let derivation: Vec<Value> = instance.bases.iter().map(|base| Value::from(*base)).collect();
    let whole = instance.only.is_none();
    let known = |value: Value| if whole { value } else { Value::Nil };
    let mut adapted = vec![
        Property::new("__GENUS", 2),
        Property::new("__CLASS", instance.class),
        Property::new("__SUPERCLASS", known(instance.bases.first().copied().into())),
        Property::new("__DYNASTY", known(instance.bases.last().copied().into())),
        Property::new("__RELPATH", known(relative.into())),
        Property::new("__PROPERTY_COUNT", i32::try_from(instance.shown().count()).unwrap_or(i32::MAX)),
        Property::new("__DERIVATION", Value::array(if whole { derivation } else { Vec::new() })),
        Property::new("__SERVER", known(server.into())),
        Property::new("__NAMESPACE", known("root\\cimv2".into())),
        Property::new("__PATH", known(path.as_str().into())),
    ];
    adapted.extend(instance.shown().map(|(name, value)| Property::new(name, as_wmi(value))));
    let own = |class: &str| format!("System.Management.ManagementObject#root\\cimv2\\{class}");
    let bare = |class: &str| format!("System.Management.ManagementObject#{class}");
    let classes = || std::iter::once(instance.class).chain(instance.bases.iter().copied());
    let general = ["System.Management.ManagementObject", "System.Management.ManagementBaseObject"];
    let more = ["System.ComponentModel.Component", "System.MarshalByRefObject", "System.Object"];
    let type_names =
        classes().map(own).chain(classes().map(bare)).chain(general.iter().chain(&more).map(|name| (*name).to_owned()));
    Object {
        type_names: type_names.collect(),
        to_string: Some(if whole { path } else { String::new() }),
        adapted,
        extended: vec![Property::new("PSComputerName", server)],
        ..Object::default()
    }
    .into()
}

/// As `CimInstance` shows it.
fn cim_instance(instance: &Instance, server: &str) -> Value {
    let own = |class: &str| format!("Microsoft.Management.Infrastructure.CimInstance#root/cimv2/{class}");
    let bare = |class: &str| format!("Microsoft.Management.Infrastructure.CimInstance#{class}");
    let classes = || std::iter::once(instance.class).chain(instance.bases.iter().copied());
    let general = ["Microsoft.Management.Infrastructure.CimInstance", "System.Object"].map(str::to_owned);
    Object {
        type_names: classes().map(own).chain(classes().map(bare)).chain(general).collect(),
        to_string: Some(format!("{} ({} = \"{}\")", instance.class, instance.key, instance.key_text())),
        // Properties that were not asked for are there, without a value.
        adapted: instance
            .properties
            .iter()
            .map(|(name, value)| Property::new(*name, if instance.shows(name) { value.clone() } else { Value::Nil }))
            .chain([Property::new("PSComputerName", server)])
            .collect(),
        ..Object::default()
    }
    .into()
}

/// Dates are texts in WMI: `20260101080000.000000+000`.
fn as_wmi(value: &Value) -> Value {
    match value.as_timestamp() {
        Some(time) => time.strftime("%Y%m%d%H%M%S.%6f+000").to_string().into(),
        None => value.clone(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
