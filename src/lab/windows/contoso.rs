//! The hosts of a fresh world: two Group Chat servers, three Persistent Chat servers, a Front End, a file server, a database
//! server.
//!
//! Nobody publishes the short names of the Group Chat and Persistent Chat services: those here are the lab's own. A plan finds
//! them out, here as there.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::machine::{Machine, Service, Setting, Start, State};
use crate::lab::kind::Kind;

const PERSISTENT_CHAT: &str = "C:\\Program Files\\Microsoft Lync Server 2013\\Persistent Chat Server";
const SHARED: &str = "C:\\Windows\\system32\\svchost.exe -k";
const LYNC: &str = "C:\\Program Files\\Microsoft Lync Server 2013\\Server";
/// When the hosts started: 2025-11-15, 02:11:47.
const BOOTED: i64 = 1_763_172_707_000;
/// The first time of a file, in seconds since 1970: 2013-02-04, 08:00.
const FIRST_FILE: u64 = 1_359_964_800;

/// The rooms whose files are in the file repository.
pub const ROOMS: &[&str] = &[
    "Helpdesk",
    "Operación 24x7",
    "Bereitschaft – Zürich",
    "Δίκτυα",
    "開発チーム",
    "Склад",
    "Incidents (P1)",
    "Comité de dirección",
];
/// What the files are called.
const FILES: &[&str] = &[
    "Minutes.docx",
    "Año fiscal.xlsx",
    "netzplan.vsd",
    "screenshot.png",
    "трафик.csv",
    "手順書.txt",
    "read me.txt",
    "IMG_0042.JPG",
];

/// The machines, as they are at the beginning.
#[must_use]
pub fn machines() -> Vec<Machine> {
    machines_of(Kind::default())
}

/// The same for a world with that legacy deployment.
#[must_use]
pub fn machines_of(kind: Kind) -> Vec<Machine> {
    vec![
        group_chat(kind, "gc01", true),
        group_chat(kind, "gc02", false),
        // Installed, and waiting for what they are to take over.
        persistent_chat("pc01", State::Stopped),
        persistent_chat("pc02", State::Stopped),
        // One of a pool that has work of its own.
        persistent_chat("pc03", State::Running),
        front_end("fe01"),
        files(),
        database(),
    ]
}

fn machine(name: &str, (os, version): (&str, &str), mut services: Vec<Service>) -> Machine {
    services.extend(usual());
    let mut process = 1100;
    for service in &mut services {
        if service.state == State::Running {
            process += 44;
            service.process = process;
        }
    }
    let build = version.rsplit('.').next().unwrap_or_default();
    let windows = [("ProductName", os.trim_start_matches("Microsoft ").trim()), ("CurrentBuild", build)];
    let windows = windows.map(|(name, value)| (name.to_owned(), Setting::Text(value.to_owned())));
    Machine {
        name: name.to_owned(),
        os: os.to_owned(),
        version: version.to_owned(),
        booted: BOOTED,
        services,
        registry: [("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion".to_owned(), windows.into())].into(),
        ..Machine::default()
    }
}

const WINDOWS_2008: (&str, &str) = ("Microsoft Windows Server 2008 Standard ", "6.0.6002");
const WINDOWS_2008_R2: (&str, &str) = ("Microsoft Windows Server 2008 R2 Standard ", "6.1.7601");
const WINDOWS_2012: (&str, &str) = ("Microsoft Windows Server 2012 Standard", "6.2.9200");

fn running(service: Service) -> Service {
    Service { start: Start::Automatic, state: State::Running, ..service }
}

fn needs(service: Service, needed: &[&str]) -> Service {
    Service { depends_on: needed.iter().map(|name| (*name).to_owned()).collect(), ..service }
}

fn as_account(service: Service, account: &str) -> Service {
    Service { account: account.to_owned(), ..service }
}

/// Services that every Windows has.
fn usual() -> Vec<Service> {
    let shared = |name: &str, display: &str, group: &str, account: &str| {
        as_account(running(Service::new(name, display, &format!("{SHARED} {group}"))), account)
    };
    let (local, network, system) = ("NT AUTHORITY\\LocalService", "NT AUTHORITY\\NetworkService", "LocalSystem");
    let fixed = |service: Service| Service { can_stop: false, ..service };
    vec![
        fixed(shared("RpcEptMapper", "RPC Endpoint Mapper", "RPCSS", network)),
        fixed(shared("DcomLaunch", "DCOM Server Process Launcher", "DcomLaunch", system)),
        fixed(needs(shared("RpcSs", "Remote Procedure Call (RPC)", "rpcss", network), &["RpcEptMapper", "DcomLaunch"])),
        shared("EventLog", "Windows Event Log", "LocalServiceNetworkRestricted", local),
        needs(shared("Winmgmt", "Windows Management Instrumentation", "netsvcs", local), &["RpcSs"]),
        needs(shared("WinRM", "Windows Remote Management (WS-Management)", "NetworkService", network), &["RpcSs"]),
        shared("LanmanServer", "Server", "netsvcs", system),
        shared("LanmanWorkstation", "Workstation", "NetworkService", network),
        needs(shared("Netlogon", "Netlogon", "netsvcs", system), &["LanmanWorkstation"]),
        shared("W32Time", "Windows Time", "LocalService", local),
        shared("Schedule", "Task Scheduler", "netsvcs", system),
        needs(running(Service::new("Spooler", "Print Spooler", "C:\\Windows\\System32\\spoolsv.exe")), &["RpcSs"]),
        Service { delayed: true, ..shared("wuauserv", "Windows Update", "netsvcs", system) },
        Service { start: Start::Disabled, ..Service::new("RemoteRegistry", "Remote Registry", &format!("{SHARED} regsvc")) },
    ]
}

fn group_chat(kind: Kind, name: &str, compliance: bool) -> Machine {
    let (windows, product, folder, prefix) = match kind {
        Kind::Lync2010 => (WINDOWS_2008_R2, "Microsoft Lync Server 2010 Group Chat", "Microsoft Lync Server 2010", "LyncGC"),
        Kind::Ocs2007R2 => (
            WINDOWS_2008,
            "Office Communications Server 2007 R2, Group Chat",
            "Microsoft Office Communications Server 2007 R2",
            "OcsGC",
        ),
    };
    let service = |what: &str, program: &str| {
        let path = format!("\"C:\\Program Files\\{folder}\\Group Chat Server\\{what}\\{program}\"");
        let service = running(Service::new(&format!("{prefix}{what}"), &format!("{product} {what}"), &path));
        needs(as_account(service, "CONTOSO\\svc-groupchat"), &["RpcSs"])
    };
    let mut services = vec![
        service("Lookup", "LookupService.exe"),
        // It needs the Lookup service's queue, starts late, and takes a moment to let go of its clients.
        Service { delayed: true, slow_ms: 300, ..service("Channel", "ChannelService.exe") },
    ];
    if compliance {
        services.push(service("Compliance", "ComplianceService.exe"));
    }
    Machine { delegates_to: vec!["fs01".to_owned()], ..machine(name, windows, services) }
}

fn persistent_chat(name: &str, state: State) -> Machine {
    let service = |name: &str, what: &str, program: &str| {
        let display = format!("Lync Server 2013 {what}");
        let service = Service::new(name, &display, &format!("\"{PERSISTENT_CHAT}\\{program}\""));
        let account = "NT AUTHORITY\\NetworkService".to_owned();
        needs(Service { start: Start::Automatic, state, account, ..service }, &["RpcSs"])
    };
    let agent = Service::new(
        "REPLICA",
        "Lync Server Replica Replicator Agent",
        "\"C:\\Program Files\\Microsoft Lync Server 2013\\Server\\Replica Replicator Agent\\ReplicaReplicatorAgent.exe\"",
    );
    let services = vec![
        service("RTCCHAT", "Persistent Chat", "ChannelService.exe"),
        service("RTCCOMPLIANCE", "Persistent Chat Compliance", "ComplianceService.exe"),
        as_account(running(agent), "NT AUTHORITY\\NetworkService"),
    ];
    machine(name, WINDOWS_2012, services)
}

/// Whether a machine is a Front End of Lync.
#[must_use]
pub fn is_front_end(name: &str) -> bool {
    name == "fe01"
}

fn front_end(name: &str) -> Machine {
    let service = |name: &str, what: &str, program: &str| {
        let service = Service::new(name, &format!("Lync Server {what}"), &format!("\"{LYNC}\\{program}\""));
        needs(as_account(running(service), "NT AUTHORITY\\NetworkService"), &["RpcSs"])
    };
    let services = vec![
        service("RTCSRV", "Front-End", "Core\\RTCSrv.exe"),
        service("REPLICA", "Replica Replicator Agent", "Replica Replicator Agent\\ReplicaReplicatorAgent.exe"),
        service("MASTER", "Master Replicator Agent", "Master Replicator Agent\\MasterReplicatorAgent.exe"),
        service("FTA", "File Transfer Agent", "File Transfer Agent\\FileTransferAgent.exe"),
    ];
    Machine { delegates_to: vec!["fs01".to_owned(), "sql01".to_owned()], ..machine(name, WINDOWS_2012, services) }
}

fn files() -> Machine {
    let share = [("LyncShare".to_owned(), "D:\\LyncShare".to_owned())];
    Machine { shares: share.into(), ..machine("fs01", WINDOWS_2012, Vec::new()) }
}

fn database() -> Machine {
    let folder = "C:\\Program Files\\Microsoft SQL Server";
    let engine = |name: &str, instance: &str, id: &str| {
        let path = format!("\"{folder}\\{id}\\MSSQL\\Binn\\sqlservr.exe\" -s{instance}");
        let account = format!("NT Service\\{name}");
        as_account(running(Service::new(name, &format!("SQL Server ({instance})"), &path)), &account)
    };
    let agent = |name: &str, instance: &str, id: &str, engine: &str| {
        let path = format!("\"{folder}\\{id}\\MSSQL\\Binn\\SQLAGENT.EXE\" -i {instance}");
        let account = format!("NT Service\\{name}");
        needs(as_account(running(Service::new(name, &format!("SQL Server Agent ({instance})"), &path)), &account), &[engine])
    };
    let browser = Service::new("SQLBrowser", "SQL Server Browser", &format!("\"{folder}\\90\\Shared\\sqlbrowser.exe\""));
    let services = vec![
        engine("MSSQLSERVER", "MSSQLSERVER", "MSSQL11.MSSQLSERVER"),
        agent("SQLSERVERAGENT", "MSSQLSERVER", "MSSQL11.MSSQLSERVER", "MSSQLSERVER"),
        engine("MSSQL$RTC", "RTC", "MSSQL11.RTC"),
        agent("SQLAgent$RTC", "RTC", "MSSQL11.RTC", "MSSQL$RTC"),
        engine("MSSQL$PCHAT2", "PCHAT2", "MSSQL11.PCHAT2"),
        agent("SQLAgent$PCHAT2", "PCHAT2", "MSSQL11.PCHAT2", "MSSQL$PCHAT2"),
        as_account(running(browser), "NT AUTHORITY\\LocalService"),
    ];
    machine("sql01", WINDOWS_2012, services)
}

/// Fills the folder of a machine for a fresh world: always with the same bytes and the same times.
///
/// # Errors
/// The folder cannot be written.
pub fn write_files(machine: &Machine) -> io::Result<()> {
    for folder in ["C/Windows/System32", "C/Windows/Temp", "C/Program Files", "C/Users/svc-mig/Documents", "D"] {
        fs::create_dir_all(machine.files.join(folder))?;
    }
    for local in machine.shares.values() {
        fs::create_dir_all(machine.files.join(local.replace(":\\", "/").replace('\\', "/")))?;
    }
    match machine.name.as_str() {
        "gc01" => repository(&machine.files.join("D/GroupChatFiles"), UPLOADED)?,
        "gc02" => repository(&machine.files.join("D/GroupChatFiles"), 5)?,
        "sql01" => fs::create_dir_all(machine.files.join("D/Backup"))?,
        "fe01" => fs::create_dir_all(machine.files.join("D/Migration"))?,
        _ => {}
    }
    Ok(())
}

/// Files of the first Group Chat server.
pub const UPLOADED: u64 = 40;

/// Files that people uploaded to rooms, so many to each: the room, and the file's path below its folder, with `/`. Messages
/// name them.
pub fn uploads(each: u64) -> impl Iterator<Item = (&'static str, String)> {
    (0u64..).zip(ROOMS).flat_map(move |(place, room)| {
        (0..each).map(move |number| {
            let serial = place * each + number;
            let name = FILES.get(usize::try_from(serial % 8).unwrap_or(0)).copied().unwrap_or("file");
            (*room, format!("{}/{:02}/{number:03} {name}", 2013 + number % 3, 1 + number % 12))
        })
    })
}

/// Writes those files.
fn repository(folder: &Path, each: u64) -> io::Result<()> {
    let mut made = BTreeSet::new();
    for (serial, (room, path)) in (0u64..).zip(uploads(each)) {
        let path = folder.join(room).join(path);
        let parent = path.parent().unwrap_or(folder).to_owned();
        if made.insert(parent.clone()) {
            fs::create_dir_all(&parent)?;
        }
        let mut file = fs::File::create(path)?;
        file.write_all(&contents(serial))?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(FIRST_FILE + serial * 86_413))?;
    }
    Ok(())
}

/// Bytes that look like nothing, from 0 to some 4000 of them.
fn contents(serial: u64) -> Vec<u8> {
    // A linear congruential generator (Knuth's MMIX): enough to tell files apart.
    let mut state = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let length = if serial == 0 { 0 } else { usize::try_from(17 + serial * 97 % 4001).unwrap_or(0) };
    let mut bytes = Vec::new();
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend(state.to_be_bytes());
    }
    bytes.truncate(length);
    bytes
}
