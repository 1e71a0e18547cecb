//! `Get-ItemProperty`, `Set-ItemProperty`, and the keys of the registry.
//!
//! The keys of services say what the services are: `Start`, `DelayedAutostart`, `ImagePath`, `DisplayName` and others are not
//! kept a second time.

use std::collections::{BTreeMap, BTreeSet};

use super::items::{FORCE, LITERAL, PATH, existing, shown as shown_item};
use super::make::not_here;
use super::services::MODULE;
use crate::lab::windows::astray::not_found;
use crate::lab::windows::cmdlet::{Bound, Cmdlet, Done, Kind, Parameter, Stage};
use crate::lab::windows::drives::{Key, Spot};
use crate::lab::windows::errors::error;
use crate::lab::windows::machine::{Machine, Setting, Start, same};
use crate::remoting::clixml::{Content, Object, Property, Value};

const SERVICES: &str = "SYSTEM\\CurrentControlSet\\Services";
const KINDS: Kind = Kind::Enumeration(
    "Microsoft.Win32.RegistryValueKind",
    &["Unknown", "String", "ExpandString", "Binary", "DWord", "MultiString", "QWord"],
);

/// The cmdlets of this file.
pub const CMDLETS: &[Cmdlet] = &[
    Cmdlet {
        name: "Get-ItemProperty",
        class: "Microsoft.PowerShell.Commands.GetItemPropertyCommand",
        module: MODULE,
        parameters: &[PATH, LITERAL, Parameter::new("Name", Kind::Texts).also(&["PSProperty"]).at(1)],
        run: get_item_property,
    },
    Cmdlet {
        name: "Set-ItemProperty",
        class: "Microsoft.PowerShell.Commands.SetItemPropertyCommand",
        module: MODULE,
        parameters: &[
            PATH,
            LITERAL,
            Parameter::new("Name", Kind::Text).also(&["PSProperty"]).at(1).needed(),
            Parameter::new("Value", Kind::Any).at(2).needed(),
            Parameter::new("Type", KINDS),
            Parameter::new("PassThru", Kind::Switch),
            FORCE,
        ],
        run: set_item_property,
    },
];

/// A key as its path is shown.
pub(super) fn shown(key: &Key) -> String {
    format!("HKLM:\\{}", key.0)
}

/// As the registry's provider calls it.
fn full(key: &Key) -> String {
    format!("HKEY_LOCAL_MACHINE\\{}", key.0).trim_end_matches('\\').to_owned()
}

/// The service that a key is about.
fn service(machine: &Machine, key: &Key) -> Option<usize> {
    let (above, name) = key.0.rsplit_once('\\')?;
    if same(above, SERVICES) { machine.service(name) } else { None }
}

/// All keys of the machine.
fn paths(machine: &Machine) -> impl Iterator<Item = String> {
    let services = machine.services.iter().map(|service| format!("{SERVICES}\\{}", service.name));
    machine.registry.keys().cloned().chain(services)
}

/// The names of a path below a key, where it is the key or below it.
fn rest<'a>(key: &Key, path: &'a str) -> Option<std::str::Split<'a, char>> {
    let mut parts = path.split('\\');
    for own in key.0.split('\\').filter(|part| !part.is_empty()) {
        if !same(own, parts.next()?) {
            return None;
        }
    }
    Some(parts)
}

/// The name of the key directly below one that leads to a path.
fn below(key: &Key, path: &str) -> Option<String> {
    rest(key, path)?.next().map(str::to_owned)
}

/// The values of a key; `None` if there is no such key.
fn values(machine: &Machine, key: &Key) -> Option<BTreeMap<String, Setting>> {
    paths(machine).any(|path| rest(key, &path).is_some()).then_some(())?;
    let kept = machine.registry.iter().find(|(path, _)| same(path, &key.0));
    let mut values = kept.map(|(_, values)| values.clone()).unwrap_or_default();
    if let Some(index) = service(machine, key) {
        let service = &machine.services[index];
        let text = |text: &str| Setting::Text(text.to_owned());
        let start = match service.start {
            Start::Automatic => 2,
            Start::Manual => 3,
            Start::Disabled => 4,
        };
        let kind = if service.path.contains("svchost") { 0x20 } else { 0x10 };
        values.extend([
            ("DisplayName".to_owned(), text(&service.display_name)),
            ("ErrorControl".to_owned(), Setting::Number(1)),
            ("ImagePath".to_owned(), text(&service.path)),
            ("ObjectName".to_owned(), text(&service.account)),
            ("Start".to_owned(), Setting::Number(start)),
            ("Type".to_owned(), Setting::Number(kind)),
        ]);
        if service.delayed {
            values.insert("DelayedAutostart".to_owned(), Setting::Number(1));
        }
        if !service.depends_on.is_empty() {
            values.insert("DependOnService".to_owned(), Setting::Texts(service.depends_on.clone()));
        }
    }
    Some(values)
}

/// A key as `Get-Item` shows it; `None` if there is none.
pub(super) fn key(machine: &Machine, key: &Key) -> Option<Value> {
    let values = values(machine, key)?;
    let subkeys: BTreeSet<String> = paths(machine).filter_map(|path| below(key, &path)).map(|name| name.to_lowercase()).collect();
    let name = full(key);
    let count = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
    let mut extended = vec![Property::new("Property", texts(values.keys().cloned().collect()))];
    extended.extend(provided(key));
    extended.push(Property::new("PSIsContainer", true));
    Some(
        Object {
            type_names: ["Microsoft.Win32.RegistryKey", "System.MarshalByRefObject", "System.Object"].map(str::to_owned).to_vec(),
            to_string: Some(name.clone()),
            adapted: vec![
                Property::new("SubKeyCount", count(subkeys.len())),
                Property::new("View", Value::enumeration("Microsoft.Win32.RegistryView", "Default", 0)),
                Property::new("Handle", Value::Nil),
                Property::new("ValueCount", count(values.len())),
                Property::new("Name", name),
            ],
            extended,
            ..Object::default()
        }
        .into(),
    )
}

/// The keys directly below one; `None` if it is none itself.
pub(super) fn children(machine: &Machine, parent: &Key) -> Option<Vec<Value>> {
    values(machine, parent)?;
    let mut names: Vec<String> = paths(machine).filter_map(|path| below(parent, &path)).collect();
    names.sort_by_key(|name| name.to_lowercase());
    names.dedup_by(|one, other| same(one, other));
    let path = |name: &String| if parent.0.is_empty() { name.clone() } else { format!("{}\\{name}", parent.0) };
    Some(names.iter().filter_map(|name| key(machine, &Key(path(name)))).collect())
}

fn provided(key: &Key) -> Vec<Property> {
    let path = full(key);
    let (parent, name) = path.rsplit_once('\\').unwrap_or(("", &path));
    let at = |path: &str| format!("Microsoft.PowerShell.Core\\Registry::{path}");
    vec![
        Property::new("PSPath", at(&path)),
        Property::new("PSParentPath", at(parent)),
        Property::new("PSChildName", name),
        Property::new("PSDrive", "HKLM"),
        Property::new("PSProvider", "Microsoft.PowerShell.Core\\Registry"),
    ]
}

fn texts(items: Vec<String>) -> Value {
    let types = ["System.String[]", "System.Array", "System.Object"];
    let items = items.into_iter().map(Value::from).collect();
    Object { type_names: types.map(str::to_owned).to_vec(), content: Content::List(items), ..Object::default() }.into()
}

fn as_value(setting: &Setting) -> Value {
    match setting {
        Setting::Text(text) => text.as_str().into(),
        // A `DWORD` is a signed number to PowerShell.
        Setting::Number(number) => number.cast_signed().into(),
        Setting::Texts(items) => texts(items.clone()),
    }
}

fn get_item_property(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let names = bound.texts("Name");
    for spot in stage.spots(bound)? {
        let key = match spot {
            Spot::Key(key) => key,
            Spot::File(place) => {
                if let Some(found) = existing(stage, &place)? {
                    stage.output(shown_item(&found, true));
                }
                continue;
            }
        };
        let Some(values) = values(stage.machine, &key) else {
            stage.report(not_found(&shown(&key)))?;
            continue;
        };
        let mut extended = Vec::new();
        for name in &names {
            if !name.contains(['*', '?']) && !values.keys().any(|own| same(own, name)) {
                let message = format!("Property {name} does not exist at path {}.", full(&key));
                let exception = "System.Management.Automation.PSArgumentException";
                stage.report(error(exception, "InvalidArgument", exception, message, name.as_str()))?;
            }
        }
        let patterns: Vec<_> =
            names.iter().filter_map(|name| crate::lab::windows::wildcard::Wildcard::powershell(name).ok()).collect();
        for (name, setting) in &values {
            if names.is_empty() || patterns.iter().any(|pattern| pattern.is_match(name)) {
                extended.push(Property::new(name.as_str(), as_value(setting)));
            }
        }
        if extended.is_empty() && !names.is_empty() {
            continue;
        }
        extended.extend(provided(&key));
        let type_names = ["System.Management.Automation.PSCustomObject", "System.Object"].map(str::to_owned).to_vec();
        stage.output(Object { type_names, extended, ..Object::default() }.into());
    }
    Ok(())
}

/// A value for the registry: of the kind that was asked for, else of the one that was there, else of that which fits.
fn setting(value: &Value, kind: Option<&str>, before: Option<&Setting>) -> Option<Setting> {
    let number = || {
        let number = value.as_i64().or_else(|| value.to_text().trim().parse().ok())?;
        u32::try_from(number).ok().or_else(|| i32::try_from(number).ok().map(i32::cast_unsigned))
    };
    let items = || value.items().map(|items| items.iter().map(Value::to_text).collect::<Vec<_>>());
    match (kind, before) {
        (Some("DWord" | "QWord"), _) | (None, Some(Setting::Number(_))) => number().map(Setting::Number),
        (Some("MultiString"), _) | (None, Some(Setting::Texts(_))) => {
            Some(Setting::Texts(items().unwrap_or_else(|| vec![value.to_text()])))
        }
        (Some("String" | "ExpandString"), _) | (None, Some(Setting::Text(_))) => Some(Setting::Text(value.to_text())),
        (Some("Binary"), _) => None,
        _ => match (items(), value.as_i64()) {
            (Some(items), _) => Some(Setting::Texts(items)),
            (None, Some(_)) => number().map(Setting::Number),
            (None, None) => Some(Setting::Text(value.to_text())),
        },
    }
}

fn set_item_property(stage: &mut Stage<'_>, bound: &Bound) -> Done {
    let name = bound.text("Name").unwrap_or_default().to_owned();
    let value = bound.0.get("value").cloned().unwrap_or_default();
    for spot in stage.spots(bound)? {
        let Spot::Key(key) = spot else {
            stage.report(not_here())?;
            continue;
        };
        let Some(before) = values(stage.machine, &key) else {
            stage.report(not_found(&shown(&key)))?;
            continue;
        };
        let own = before.keys().find(|own| same(own, &name)).cloned().unwrap_or_else(|| name.clone());
        let Some(setting) = setting(&value, bound.text("Type"), before.get(&own)) else {
            let message = "The type of the value object did not match the specified RegistryValueKind or the object could not be \
                           properly converted.";
            stage.report(error("System.ArgumentException", "WriteError", "System.ArgumentException", message, Value::Nil))?;
            continue;
        };
        if !stage.should_process(&format!("Item: {} Property: {name}", full(&key)), "Set Property") {
            continue;
        }
        put(stage.machine, &key, &own, setting);
        stage.wrote = true;
        if bound.is_on("PassThru") {
            let mut extended = vec![Property::new(own.as_str(), value.clone())];
            extended.extend(provided(&key));
            let type_names = ["System.Management.Automation.PSCustomObject", "System.Object"].map(str::to_owned).to_vec();
            stage.output(Object { type_names, extended, ..Object::default() }.into());
        }
    }
    Ok(())
}

/// Writes a value. What a service is made of goes to the service.
fn put(machine: &mut Machine, key: &Key, name: &str, setting: Setting) {
    if let Some(index) = service(machine, key) {
        let service = &mut machine.services[index];
        match (name.to_ascii_lowercase().as_str(), &setting) {
            ("start", Setting::Number(number)) => {
                service.start = match number {
                    0..=2 => Start::Automatic,
                    3 => Start::Manual,
                    _ => Start::Disabled,
                };
                return;
            }
            ("delayedautostart", Setting::Number(number)) => {
                service.delayed = *number != 0;
                // Without the flag the value may still be there, and then it is zero.
            }
            ("displayname", Setting::Text(text)) => {
                service.display_name.clone_from(text);
                return;
            }
            ("imagepath", Setting::Text(text)) => {
                service.path.clone_from(text);
                return;
            }
            ("objectname", Setting::Text(text)) => {
                service.account.clone_from(text);
                return;
            }
            ("dependonservice", Setting::Texts(names)) => {
                service.depends_on.clone_from(names);
                return;
            }
            _ => {}
        }
    }
    let path = machine.registry.keys().find(|path| same(path, &key.0)).cloned().unwrap_or_else(|| key.0.clone());
    machine.registry.entry(path).or_default().insert(name.to_owned(), setting);
}
