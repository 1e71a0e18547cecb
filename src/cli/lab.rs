//! `relevo lab …`: the stand-in for all targets. Starts it, ends it, looks into it, and asks it to misbehave.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::common::{self, Format};
use super::messages::Result;
use crate::error::{Exit, Failure};
use crate::lab::audit::{self, Line};
use crate::lab::contoso::{ACCOUNTS, CONTROLLERS};
use crate::lab::control::{self, Order};
use crate::lab::directory::well_known::{DOMAIN, REALM};
use crate::lab::fault::{CALLS, Effect, Rule};
use crate::lab::files::{Files, Running, Trouble};
use crate::lab::{process, samba, serve};
use crate::time::Span;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// The lab's folder
    #[arg(long, value_name = "DIR", env = "RELEVO_LAB", global = true)]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Start the lab, or go on with it
    Up {
        /// What answers LDAP; a folder keeps what it began with, `embedded` if nothing is said
        #[arg(long, value_enum)]
        directory: Option<Directory>,
    },
    /// End the lab's process; its world stays on disk
    Down,
    /// Begin a fresh world
    Reset,
    /// Say where the lab is and how it stands
    Info {
        /// What is printed
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// List the operations that reached the lab
    Audit {
        /// Only those that wrote something
        #[arg(long)]
        writes: bool,
        /// What is printed: lines, or one JSON object per line
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
    /// Ask the lab to misbehave
    Fault(FaultArgs),
    /// Copy the world
    Snapshot {
        /// The copy's name
        name: String,
    },
    /// Put a copy in place of the world
    Restore {
        /// The copy's name
        name: String,
    },
    /// The lab's process
    #[command(hide = true)]
    Serve,
}

#[derive(Debug, clap::Args)]
struct FaultArgs {
    #[command(subcommand)]
    fault: Fault,
}

/// What a lab's domain controllers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Directory {
    /// The directory of this program
    Embedded,
    /// Samba's, where it is installed; Linux, as root
    Samba,
}

/// Which operations a fault is for.
#[derive(Debug, clap::Args)]
struct Which {
    /// Only this operation: add, modify, delete, modifydn, search, compare, bind or extended; on hosts a cmdlet, such as
    /// Stop-Service, or Create, Command, Send, Receive, Signal, Delete, Enumerate
    #[arg(long)]
    operation: Option<String>,
    /// Only on this object: a DN or `<GUID=…>`
    #[arg(long)]
    dn: Option<String>,
    /// Only on this domain controller
    #[arg(long)]
    dc: Option<String>,
    /// Only on this Windows host, such as gc01
    #[arg(long, conflicts_with_all = ["dn", "dc"], value_name = "HOST")]
    on: Option<String>,
    /// For so many operations; 0 until `clear`
    #[arg(long, default_value_t = 1)]
    times: u32,
}

#[derive(Debug, clap::Subcommand)]
enum Fault {
    /// Do it, and close the connection before the answer
    AnswerLost(Which),
    /// Close the connection and never do it; on hosts only
    RequestLost(Which),
    /// Do it, and close the connection in the middle of the answer; on hosts only
    AnswerCut(Which),
    /// Do it, and answer with what is no answer; on hosts only
    AnswerGarbled(Which),
    /// Wait so long before it is done
    Delay {
        /// How long
        length: Span,
        #[command(flatten)]
        which: Which,
    },
    /// Do it at once, and wait so long before the answer
    AnswerLate {
        /// How long
        length: Span,
        #[command(flatten)]
        which: Which,
    },
    /// Refuse it with this LDAP result code; on hosts, by an error with this number
    Refuse {
        /// The code, such as 50, 51 or 53; on hosts such as 5
        code: u32,
        #[command(flatten)]
        which: Which,
    },
    /// Let a domain controller take nothing from the others
    HoldReplication {
        /// Which
        dc: String,
    },
    /// Let it take everything again
    ReleaseReplication {
        /// Which
        dc: String,
    },
    /// How long a change takes to the other domain controllers
    ReplicationDelay {
        /// How long
        length: Span,
    },
    /// Let a domain controller not answer
    StopDc {
        /// Which
        dc: String,
    },
    /// Let it answer again
    StartDc {
        /// Which
        dc: String,
    },
    /// Let a Windows host not answer; its shells are gone
    StopHost {
        /// Which
        host: String,
    },
    /// Let it answer again
    StartHost {
        /// Which
        host: String,
    },
    /// Let a Windows host refuse every logon over TLS without a channel binding
    DemandBinding {
        /// Which
        host: String,
    },
    /// End all faults
    Clear,
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        let failure = Failure::new(trouble.exit, trouble.message);
        if trouble.hint.is_empty() { failure } else { failure.hint(trouble.hint) }
    }
}

pub fn lab(args: &Args) -> Result {
    let files = folder(args.dir.as_ref())?;
    match &args.verb {
        Verb::Up { directory } => up(&files, *directory),
        Verb::Down => {
            let stop = if samba::is(&files) { samba::stop } else { process::stop };
            let was_up = stop(&files).map_err(Failure::from)?;
            outln!("the lab in {} {}", files.dir().display(), if was_up { "is down; its world stays" } else { "was not up" });
            Ok(Exit::Done)
        }
        Verb::Reset if samba::is(&files) => {
            samba::reset(&files, &std::env::current_exe()?).map_err(Failure::from)?;
            outln!("the lab in {} has a fresh world", files.dir().display());
            Ok(Exit::Done)
        }
        Verb::Reset => {
            tell(&files, &Order::Reset, || files.prepare().and_then(|()| files.forget()).and_then(|()| files.load().map(drop)))?;
            outln!("the lab in {} has a fresh world", files.dir().display());
            Ok(Exit::Done)
        }
        Verb::Fault(_) | Verb::Snapshot { .. } | Verb::Restore { .. } if samba::is(&files) => {
            let message = format!(
                "the lab in {} is one with Samba's directory, which knows no faults and no copies",
                files.dir().display()
            );
            let hint = "the embedded directory does: `relevo lab up` with another `--dir`";
            Err(Failure::new(Exit::Refused, message).hint(hint).into())
        }
        Verb::Info { format } => info(&files, *format),
        Verb::Audit { writes, format } => show_audit(&files, *writes, *format),
        Verb::Fault(args) => {
            let order = order_of(&args.fault)?;
            tell(&files, &order, || Err(down(&files)))?;
            outln!("the lab will");
            Ok(Exit::Done)
        }
        Verb::Snapshot { name } => {
            tell(&files, &Order::Snapshot { name: name.clone() }, || files.snapshot(name))?;
            outln!("copied as `{name}`; `relevo lab restore {name}` brings it back");
            Ok(Exit::Done)
        }
        Verb::Restore { name } => {
            tell(&files, &Order::Restore { name: name.clone() }, || files.restore(name))?;
            outln!("the world is that of `{name}`");
            Ok(Exit::Done)
        }
        Verb::Serve => {
            process::become_own_session();
            if samba::is(&files) {
                samba::become_samba(&files).map_err(Failure::from)?;
                return Ok(Exit::Done);
            }
            serve::serve(&files, &common::me().name).map_err(Failure::from)?;
            Ok(Exit::Done)
        }
    }
}

/// The lab's folder: the one that was named, or the usual one.
pub fn folder(dir: Option<&PathBuf>) -> anyhow::Result<Files> {
    Ok(match dir {
        Some(dir) => Files::at(dir),
        None => Files::usual().map_err(Failure::from)?,
    })
}

/// Starts the lab if it is not up.
pub fn start(files: &Files) -> anyhow::Result<Running> {
    let program = std::env::current_exe()?;
    let running =
        if samba::is(files) { samba::start(files, &program, &common::me().name) } else { process::start(files, &program) };
    Ok(running.map_err(Failure::from)?)
}

/// Starts the lab with a fresh world.
pub fn start_fresh(files: &Files) -> anyhow::Result<Running> {
    if samba::is(files) {
        samba::reset(files, &std::env::current_exe()?).map_err(Failure::from)?;
        return start(files);
    }
    if process::up(files).is_none() {
        files.prepare().and_then(|()| files.forget()).map_err(Failure::from)?;
        return start(files);
    }
    tell(files, &Order::Reset, || Ok(()))?;
    start(files)
}

fn down(files: &Files) -> Trouble {
    Trouble::new(format!("no lab is up in {}", files.dir().display())).hint("`relevo lab up` starts it")
}

/// Gives an order to the lab if it is up; else does what can be done on its files alone.
fn tell(files: &Files, order: &Order, otherwise: impl FnOnce() -> std::result::Result<(), Trouble>) -> anyhow::Result<Value> {
    if process::is_locked(files) {
        let answer = match files.running() {
            Some(running) => control::order(&running, order).map_err(Failure::from)?,
            None => None,
        };
        return answer.ok_or_else(|| {
            Failure::new(Exit::Failed, format!("the lab in {} does not answer", files.dir().display()))
                .hint("`relevo lab down` ends it, `relevo lab up` starts it again with the same world")
                .into()
        });
    }
    otherwise().map_err(Failure::from)?;
    Ok(Value::Null)
}

/// Where the lab's domain controllers answer.
fn address(files: &Files) -> &'static str {
    if samba::is(files) { samba::ADDRESS } else { "127.0.0.1" }
}

fn up(files: &Files, directory: Option<Directory>) -> Result {
    if directory == Some(Directory::Embedded) && samba::is(files) {
        let message = format!("{} holds a lab with Samba's directory", files.dir().display());
        return Err(Failure::new(Exit::Refused, message).hint("`--dir DIR` names a folder for another lab").into());
    }
    let running = if directory == Some(Directory::Samba) {
        samba::start(files, &std::env::current_exe()?, &common::me().name).map_err(Failure::from)?
    } else {
        start(files)?
    };
    let (dir, address) = (files.dir().display(), address(files));
    outln!("the lab is up in {dir} (process {})", running.pid);
    if samba::is(files) {
        outln!("Samba's Active Directory: {DOMAIN}, one domain controller on {address}");
    } else {
        outln!("a stand-in for Active Directory: {DOMAIN}, {} domain controllers on {address}", CONTROLLERS.len());
    }
    for (name, ports) in &running.ports {
        outln!(
            "  {name}.{REALM}  ldaps://{address}:{}  ldap://{address}:{} (StartTLS)  global catalog ldaps://{address}:{}",
            ports.ldaps,
            ports.ldap,
            ports.gc_tls
        );
    }
    for (name, ports) in &running.hosts {
        outln!("  {name}.{REALM}  https://{address}:{}/wsman  http://{address}:{}/wsman (sealed)", ports.https, ports.http);
    }
    outln!("accounts (password in {dir}/NAME.password):");
    for (name, what) in ACCOUNTS {
        outln!("  {name}@{REALM}  {what}");
    }
    outln!("try:");
    outln!("  {}", example(files, &running));
    outln!("  relevo run PLAN --lab");
    Ok(Exit::Done)
}

/// A search to type.
fn example(files: &Files, running: &Running) -> String {
    let port = running.ports.get(CONTROLLERS[0]).map_or(0, |ports| ports.ldaps);
    let quoted = |path: PathBuf| format!("'{}'", path.display().to_string().replace('\'', "'\\''"));
    format!(
        "LDAPTLS_CACERT={} ldapsearch -x -H ldaps://{}:{port} -D svc-mig@{REALM} -y {} -b {DOMAIN} '(msRTCSIP-PrimaryUserAddress=sip:ocschat@{REALM})'",
        quoted(files.ca()),
        address(files),
        quoted(files.password("svc-mig"))
    )
}

fn info(files: &Files, format: Format) -> Result {
    let of_samba = samba::is(files);
    let running = if of_samba { samba::up(files) } else { process::up(files) };
    let state = match &running {
        Some(running) if of_samba => json!({ "pid": running.pid, "ports": running.ports }),
        Some(running) => control::order(running, &Order::Info).map_err(Failure::from)?.unwrap_or(Value::Null),
        None => Value::Null,
    };
    if format == Format::Json {
        let accounts: Vec<Value> = ACCOUNTS
            .iter()
            .map(|(name, what)| json!({ "name": format!("{name}@{REALM}"), "dn": crate::lab::contoso::dn_of(name), "password_file": files.password(name), "may": what }))
            .collect();
        common::print_json(&json!({
            "up": running.is_some(),
            "directory": if of_samba { "samba" } else { "embedded" },
            "dir": files.dir(),
            "ca": files.ca(),
            "targets": files.targets(),
            "realm": REALM,
            "domain": DOMAIN,
            "accounts": accounts,
            "snapshots": files.snapshot_names(),
            "state": state,
        }));
        return Ok(Exit::Done);
    }
    let Some(running) = running else {
        let world = if files.has_world() || of_samba && samba::has_world(files) { "; its world is on disk" } else { "" };
        outln!("no lab is up in {}{world}", files.dir().display());
        return Ok(Exit::Done);
    };
    outln!("the lab is up in {} (process {})", files.dir().display(), running.pid);
    if of_samba {
        outln!("  Samba's directory, which knows no faults; targets: {}", files.targets().display());
        for (name, ports) in &running.ports {
            outln!("  {name}.{REALM}  ldaps://{}:{}", samba::ADDRESS, ports.ldaps);
        }
        return Ok(Exit::Done);
    }
    let named = |key: &str| {
        let list = state["faults"][key].as_array().into_iter().flatten().filter_map(Value::as_str);
        list.map(str::to_owned).collect::<Vec<_>>()
    };
    let (stopped, held) = (named("stopped"), named("held"));
    for (name, ports) in &running.ports {
        let mut notes = format!("{} objects", state["objects"][name]);
        if stopped.contains(name) {
            notes.push_str(", stopped");
        }
        if held.contains(name) {
            notes.push_str(", takes nothing from the others");
        }
        outln!("  {name}.{REALM}  ldaps://127.0.0.1:{}  {notes}", ports.ldaps);
    }
    for (name, ports) in &running.hosts {
        let mut notes = format!("{} shells", state["shells"][name]);
        if stopped.contains(name) {
            notes.push_str(", stopped");
        }
        outln!("  {name}.{REALM}  https://127.0.0.1:{}/wsman  {notes}", ports.https);
    }
    let rules = state["faults"]["rules"].as_array().map_or(0, Vec::len);
    outln!("  {rules} faults wait for an operation; targets: {}", files.targets().display());
    Ok(Exit::Done)
}

fn show_audit(files: &Files, writes: bool, format: Format) -> Result {
    let lines = if samba::is(files) { samba::audit(files) } else { audit::read(&files.audit()) }.map_err(Failure::from)?;
    for line in lines.iter().filter(|line| !writes || line.wrote) {
        match format {
            Format::Json => outln!("{}", serde_json::to_string(line)?),
            Format::Text => outln!("{}", crate::view::escape::line(&words(line))),
        }
    }
    Ok(Exit::Done)
}

fn words(line: &Line) -> String {
    let lost = if line.answered { "" } else { " (the answer was lost)" };
    let about = line.dn.as_deref().unwrap_or(&line.name);
    let guid = line.guid.as_deref().map(|guid| format!(" {guid}")).unwrap_or_default();
    format!("{} {} {} {}: {} {about}{guid}{lost}", line.time, line.dc, line.account, line.operation, line.code)
}

fn order_of(fault: &Fault) -> anyhow::Result<Order> {
    const OPERATIONS: [&str; 8] = ["add", "modify", "delete", "modifydn", "search", "compare", "bind", "extended"];
    let rule = |effect: Effect, which: &Which| {
        let operation = which.operation.as_deref();
        // `Verb-Noun` is a cmdlet; whether there is one of that name is for the host to say.
        let of_host = which.on.is_some() || operation.is_some_and(|name| name.contains('-'));
        if let Some(operation) = operation {
            let (known, all) = if which.on.is_some() {
                let is_call = CALLS.iter().any(|call| call.eq_ignore_ascii_case(operation));
                (
                    operation.contains('-') || operation == "script" || is_call,
                    format!("cmdlets such as Stop-Service, `script`, {}", CALLS.join(", ")),
                )
            } else {
                (of_host || OPERATIONS.contains(&operation), format!("{}; with `--on HOST` any cmdlet", OPERATIONS.join(", ")))
            };
            if !known {
                let what = if of_host { "operation of the lab's hosts" } else { "LDAP operation of the lab" };
                let failure = Failure::new(Exit::Usage, format!("`{operation}` is no {what}"));
                return Err(failure.hint(format!("there are {all}")));
            }
        }
        if of_host && (which.dc.is_some() || which.dn.is_some()) {
            let failure = Failure::new(Exit::Usage, "`--dc` and `--dn` belong to operations of the directory");
            return Err(failure.hint("`--on HOST` names a Windows host"));
        }
        if !of_host && matches!(effect, Effect::RequestLost | Effect::AnswerCut | Effect::AnswerGarbled) {
            let failure = Failure::new(Exit::Usage, "only Windows hosts misbehave like this");
            return Err(failure.hint("`--on HOST` names one, `--operation Stop-Service` a cmdlet on whatever host"));
        }
        let left = Some(which.times).filter(|times| *times > 0);
        Ok(Order::Fault {
            rule: Rule {
                effect,
                operation: which.operation.clone(),
                dn: which.dn.clone(),
                dc: which.dc.clone(),
                host: which.on.clone(),
                left,
            },
        })
    };
    Ok(match fault {
        Fault::AnswerLost(which) => rule(Effect::AnswerLost, which)?,
        Fault::RequestLost(which) => rule(Effect::RequestLost, which)?,
        Fault::AnswerCut(which) => rule(Effect::AnswerCut, which)?,
        Fault::AnswerGarbled(which) => rule(Effect::AnswerGarbled, which)?,
        Fault::Delay { length, which } => rule(Effect::Delay(*length), which)?,
        Fault::AnswerLate { length, which } => rule(Effect::AnswerLate(*length), which)?,
        Fault::Refuse { code, which } => rule(Effect::Refuse(*code), which)?,
        Fault::HoldReplication { dc } => Order::Hold { dc: dc.clone() },
        Fault::ReleaseReplication { dc } => Order::Release { dc: dc.clone() },
        Fault::ReplicationDelay { length } => Order::ReplicationDelay { delay: *length },
        Fault::StopDc { dc } => Order::Stop { dc: dc.clone() },
        Fault::StartDc { dc } => Order::Start { dc: dc.clone() },
        Fault::StopHost { host } => Order::StopHost { host: host.clone() },
        Fault::StartHost { host } => Order::StartHost { host: host.clone() },
        Fault::DemandBinding { host } => Order::DemandBinding { host: host.clone() },
        Fault::Clear => Order::Clear,
    })
}
