//! The classes of WMI that the lab knows: properties and types as the reference of `Win32_*` lists them.

use std::path::Path;

use crate::lab::windows::DOMAIN;
use crate::lab::windows::machine::{Machine, Service, Start, State, same};
use crate::remoting::clixml::Value;

/// How large every drive of the lab says it is, in bytes.
const DRIVE: u64 = 64 << 30;
/// Files of a drive beyond so many are not counted.
const COUNTED: usize = 100_000;

/// An object of a class.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The class.
    pub class: &'static str,
    /// The classes above it, the nearest first.
    pub bases: &'static [&'static str],
    /// The property that tells it from others.
    pub key: &'static str,
    /// All properties.
    pub properties: Vec<(&'static str, Value)>,
    /// The properties that were asked for; `None`: all.
    pub only: Option<Vec<String>>,
}

impl Instance {
    /// A property.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.properties.iter().find(|(own, _)| same(own, name)).map(|(_, value)| value)
    }

    /// Whether a property was asked for.
    #[must_use]
    pub fn shows(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|asked| same(asked, name)))
    }

    /// The properties that were asked for.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.properties.iter().filter(|(name, _)| self.shows(name)).map(|(name, value)| (*name, value))
    }

    /// What the key says.
    #[must_use]
    pub fn key_text(&self) -> String {
        self.get(self.key).map(Value::to_text).unwrap_or_default()
    }
}

/// All objects of a class; `None` if there is no such class.
#[must_use]
pub fn instances(machine: &Machine, class: &str) -> Option<Vec<Instance>> {
    Some(match class.to_ascii_lowercase().as_str() {
        "win32_service" => {
            let mut all: Vec<Instance> = machine.services.iter().map(|one| service(machine, one)).collect();
            all.sort_by_key(|one| one.key_text().to_lowercase());
            all
        }
        "win32_operatingsystem" => vec![operating_system(machine)],
        "win32_logicaldisk" => machine.drives().into_iter().map(|letter| logical_disk(machine, letter)).collect(),
        "win32_computersystem" => vec![computer_system(machine)],
        _ => return None,
    })
}

fn service(machine: &Machine, service: &Service) -> Instance {
    let state = match service.state {
        State::Running => "Running",
        State::Stopped => "Stopped",
        State::StartPending => "Start Pending",
        State::StopPending => "Stop Pending",
    };
    let mode = match service.start {
        Start::Automatic => "Auto",
        Start::Manual => "Manual",
        Start::Disabled => "Disabled",
    };
    let kind = if service.path.contains("svchost") { "Share Process" } else { "Own Process" };
    let started = service.state != State::Stopped;
    let mut properties: Vec<(&str, Value)> = vec![
        ("AcceptPause", false.into()),
        ("AcceptStop", service.takes_stop().into()),
        ("Caption", service.display_name.as_str().into()),
        ("CheckPoint", 0u32.into()),
        ("CreationClassName", "Win32_Service".into()),
        ("Description", service.display_name.as_str().into()),
        ("DesktopInteract", false.into()),
        ("DisplayName", service.display_name.as_str().into()),
        ("ErrorControl", "Normal".into()),
        // 1077: no attempt to start it has been made since the last boot.
        ("ExitCode", (if started { 0u32 } else { 1077 }).into()),
        ("InstallDate", Value::Nil),
        ("Name", service.name.as_str().into()),
        ("PathName", service.path.as_str().into()),
        ("ProcessId", service.process.into()),
        ("ServiceSpecificExitCode", 0u32.into()),
        ("ServiceType", kind.into()),
        ("Started", started.into()),
        ("StartMode", mode.into()),
        ("StartName", service.account.as_str().into()),
        ("State", state.into()),
        ("Status", "OK".into()),
        ("SystemCreationClassName", "Win32_ComputerSystem".into()),
        ("SystemName", machine.name.to_uppercase().into()),
        ("TagId", 0u32.into()),
        ("WaitHint", 0u32.into()),
    ];
    // The property came with Windows 10 and Windows Server 2016; before, the flag is in the registry only.
    if major(machine) >= 10 {
        properties.push(("DelayedAutoStart", service.delayed.into()));
    }
    let bases: &[&str] = &["Win32_BaseService", "CIM_Service", "CIM_LogicalElement", "CIM_ManagedSystemElement"];
    Instance { class: "Win32_Service", bases, key: "Name", properties, only: None }
}

fn major(machine: &Machine) -> u32 {
    machine.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

fn date(milliseconds: i64) -> Value {
    jiff::Timestamp::from_millisecond(milliseconds).ok().into()
}

fn operating_system(machine: &Machine) -> Instance {
    let build = machine.version.rsplit('.').next().unwrap_or_default();
    let properties: Vec<(&str, Value)> = vec![
        ("BuildNumber", build.into()),
        ("Caption", machine.os.as_str().into()),
        ("CountryCode", "1".into()),
        ("CreationClassName", "Win32_OperatingSystem".into()),
        ("CSCreationClassName", "Win32_ComputerSystem".into()),
        ("CSName", machine.name.to_uppercase().into()),
        ("CurrentTimeZone", 0i16.into()),
        ("LastBootUpTime", date(machine.booted)),
        ("LocalDateTime", jiff::Timestamp::now().into()),
        ("Locale", "0409".into()),
        ("Name", format!("{}|C:\\Windows|\\Device\\Harddisk0\\Partition2", machine.os).into()),
        ("NumberOfProcesses", u32::try_from(machine.services.iter().filter(|one| one.process != 0).count()).unwrap_or(0).into()),
        ("OSArchitecture", "64-bit".into()),
        ("OSLanguage", 1033u32.into()),
        ("OSType", 18u16.into()),
        ("ProductType", 3u32.into()),
        ("Status", "OK".into()),
        ("SystemDirectory", "C:\\Windows\\system32".into()),
        ("SystemDrive", "C:".into()),
        ("Version", machine.version.as_str().into()),
        ("WindowsDirectory", "C:\\Windows".into()),
    ];
    let bases: &[&str] = &["CIM_OperatingSystem", "CIM_LogicalElement", "CIM_ManagedSystemElement"];
    Instance { class: "Win32_OperatingSystem", bases, key: "Name", properties, only: None }
}

fn logical_disk(machine: &Machine, letter: char) -> Instance {
    let used = size(&machine.files.join(letter.to_string()));
    let name = format!("{letter}:");
    let properties: Vec<(&str, Value)> = vec![
        ("Access", 0u16.into()),
        ("Caption", name.as_str().into()),
        ("Compressed", false.into()),
        ("CreationClassName", "Win32_LogicalDisk".into()),
        ("Description", "Local Fixed Disk".into()),
        ("DeviceID", name.as_str().into()),
        ("DriveType", 3u32.into()),
        ("FileSystem", "NTFS".into()),
        ("FreeSpace", DRIVE.saturating_sub(used).into()),
        ("MaximumComponentLength", 255u32.into()),
        ("MediaType", 12u32.into()),
        ("Name", name.as_str().into()),
        ("ProviderName", Value::Nil),
        ("Size", DRIVE.into()),
        ("SystemCreationClassName", "Win32_ComputerSystem".into()),
        ("SystemName", machine.name.to_uppercase().into()),
        ("VolumeName", (if letter == 'C' { "" } else { "Data" }).into()),
    ];
    let bases: &[&str] =
        &["CIM_LogicalDisk", "CIM_StorageExtent", "CIM_LogicalDevice", "CIM_LogicalElement", "CIM_ManagedSystemElement"];
    Instance { class: "Win32_LogicalDisk", bases, key: "DeviceID", properties, only: None }
}

/// The bytes of all files below a folder. What cannot be read is not counted.
fn size(folder: &Path) -> u64 {
    let mut waiting = vec![folder.to_path_buf()];
    let (mut bytes, mut counted) = (0u64, 0);
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            counted += 1;
            if counted > COUNTED {
                return bytes;
            }
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                bytes = bytes.saturating_add(metadata.len());
            }
        }
    }
    bytes
}

fn computer_system(machine: &Machine) -> Instance {
    let properties: Vec<(&str, Value)> = vec![
        ("AdminPasswordStatus", 3u16.into()),
        ("Caption", machine.name.to_uppercase().into()),
        ("CreationClassName", "Win32_ComputerSystem".into()),
        ("CurrentTimeZone", 0i16.into()),
        ("DNSHostName", machine.name.as_str().into()),
        ("Domain", DOMAIN.into()),
        ("DomainRole", 3u16.into()),
        ("Manufacturer", "relevo lab".into()),
        ("Model", "Virtual Machine".into()),
        ("Name", machine.name.to_uppercase().into()),
        ("NumberOfLogicalProcessors", 4u32.into()),
        ("NumberOfProcessors", 1u32.into()),
        ("PartOfDomain", true.into()),
        ("Status", "OK".into()),
        ("SystemType", "x64-based PC".into()),
        ("TotalPhysicalMemory", (16u64 << 30).into()),
    ];
    let bases: &[&str] =
        &["CIM_UnitaryComputerSystem", "CIM_ComputerSystem", "CIM_System", "CIM_LogicalElement", "CIM_ManagedSystemElement"];
    Instance { class: "Win32_ComputerSystem", bases, key: "Name", properties, only: None }
}
