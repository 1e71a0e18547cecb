//! `relevo lab …`: the stand-in for all targets. Starts it, ends it, looks into it, and asks it to misbehave.

mod fault;
mod set;

use std::path::PathBuf;

use serde_json::{Value, json};

use super::common::{self, Format};
use super::messages::Result;
use crate::error::{Exit, Failure};
use crate::lab::audit::{self, Line};
use crate::lab::contoso::{ACCOUNTS, CONTROLLERS};
use crate::lab::control::{self, Order};
use crate::lab::directory::well_known::{DOMAIN, REALM};
use crate::lab::files::{Files, Trouble};
use crate::lab::kind::Kind;
use crate::lab::lync::contoso::FRONT_ENDS;
use crate::lab::running::Running;
use crate::lab::{process, samba, serve};

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
        /// What its worlds move from; a folder keeps what it began with, `lync2010` if nothing is said
        #[arg(long, value_enum)]
        world: Option<World>,
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
    Fault(fault::Args),
    /// Set something in the world: a mistake or a circumstance to try a plan with
    Set(set::Args),
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
    Serve {
        /// Become Samba's first process, not that of the hosts
        #[arg(long)]
        samba: bool,
    },
}

/// What a lab's domain controllers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Directory {
    /// The directory of this program
    Embedded,
    /// Samba's, where it is installed; Linux, as root
    Samba,
}

/// What a lab's worlds move from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum World {
    /// Group Chat of Lync Server 2010
    Lync2010,
    /// Group Chat of Office Communications Server 2007 R2
    Ocs2007r2,
}

impl From<World> for Kind {
    fn from(world: World) -> Kind {
        match world {
            World::Lync2010 => Kind::Lync2010,
            World::Ocs2007r2 => Kind::Ocs2007R2,
        }
    }
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
        Verb::Up { directory, world } => up(&files, *directory, world.map(Kind::from)),
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
        Verb::Snapshot { .. } | Verb::Restore { .. } if samba::is(&files) => {
            Err(only_embedded(&files, "which knows no copies").into())
        }
        Verb::Info { format } => info(&files, *format),
        Verb::Audit { writes, format } => show_audit(&files, *writes, *format),
        Verb::Fault(args) => {
            let order = args.order()?;
            if samba::is(&files) && !order.is_for_hosts() {
                return Err(only_embedded(&files, "which knows no faults; its hosts do, by `--on HOST`").into());
            }
            tell(&files, &order, || Err(down(&files)))?;
            outln!("the lab will");
            Ok(Exit::Done)
        }
        Verb::Set(args) => {
            tell(&files, &Order::Set { setting: args.setting() }, || Err(down(&files)))?;
            outln!("it is set; `relevo lab reset` ends it");
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
        Verb::Serve { samba } => {
            process::become_own_session();
            if *samba {
                samba::become_samba(&files).map_err(Failure::from)?;
                return Ok(Exit::Done);
            }
            serve::serve(&files, &common::me().name).map_err(Failure::from)?;
            Ok(Exit::Done)
        }
    }
}

/// What is refused where Samba is the directory.
fn only_embedded(files: &Files, what: &str) -> Failure {
    let message = format!("the lab in {} is one with Samba's directory, {what}", files.dir().display());
    Failure::new(Exit::Refused, message).hint("the embedded directory does: `relevo lab up` with another `--dir`")
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
    let running = if samba::is(files) { samba::start(files, &program) } else { process::start(files, &program) };
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

/// Sees to it that the folder's worlds are of this kind.
fn remember(files: &Files, kind: Kind, directory: Option<Directory>) -> anyhow::Result<()> {
    let another = "`--dir DIR` names a folder for another lab";
    if samba::is(files) || directory == Some(Directory::Samba) {
        let message = "a lab with Samba's directory has no Group Chat servers, so it is of no kind";
        return Err(Failure::new(Exit::Refused, message).hint(another).into());
    }
    if files.kind() == kind {
        return Ok(());
    }
    if files.has_world() {
        let message = format!("the world in {} moves from `{}`, not from `{kind}`", files.dir().display(), files.kind());
        return Err(Failure::new(Exit::Refused, message).hint(another).into());
    }
    Ok(files.set_kind(kind).map_err(Failure::from)?)
}

fn up(files: &Files, directory: Option<Directory>, world: Option<Kind>) -> Result {
    if let Some(kind) = world {
        remember(files, kind, directory)?;
    }
    if directory == Some(Directory::Embedded) && samba::is(files) {
        let message = format!("{} holds a lab with Samba's directory", files.dir().display());
        return Err(Failure::new(Exit::Refused, message).hint("`--dir DIR` names a folder for another lab").into());
    }
    let running = if directory == Some(Directory::Samba) {
        samba::start(files, &std::env::current_exe()?).map_err(Failure::from)?
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
        outln!("  {name}.{REALM}  https://127.0.0.1:{}/wsman  http://127.0.0.1:{}/wsman (sealed)", ports.https, ports.http);
        if ports.lync != 0 {
            outln!("  {name}.{REALM}  https://127.0.0.1:{}/OcsPowerShell (Lync)", ports.lync);
        }
        if ports.sip != 0 {
            outln!("  {FRONT_ENDS}  127.0.0.1:{} (SIP over TLS, for clients)", ports.sip);
        }
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
        Some(running) => {
            let mut state = control::order(running, &Order::Info).map_err(Failure::from)?.unwrap_or(Value::Null);
            // The process of the hosts is another one.
            if of_samba && state.is_object() {
                state["hosts_pid"] = state["pid"].take();
                state["pid"] = json!(running.pid);
            }
            state
        }
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
            "world": files.kind().to_string(),
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
        if of_samba && samba::is_running(files) {
            outln!("a part of the lab in {} is down; `relevo lab up` starts it", files.dir().display());
            return Ok(Exit::Done);
        }
        outln!("no lab is up in {}{world}", files.dir().display());
        return Ok(Exit::Done);
    };
    outln!("the lab is up in {} (process {})", files.dir().display(), running.pid);
    let named = |key: &str| {
        let list = state["faults"][key].as_array().into_iter().flatten().filter_map(Value::as_str);
        list.map(str::to_owned).collect::<Vec<_>>()
    };
    let (stopped, held) = (named("stopped"), named("held"));
    for (name, ports) in &running.ports {
        if of_samba {
            outln!("  {name}.{REALM}  ldaps://{}:{}  Samba's directory, which knows no faults", samba::ADDRESS, ports.ldaps);
            continue;
        }
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
        if ports.lync != 0 {
            outln!("  {name}.{REALM}  https://127.0.0.1:{}/OcsPowerShell", ports.lync);
        }
    }
    let rules = state["faults"]["rules"].as_array().map_or(0, Vec::len);
    outln!("  {rules} faults wait for an operation; targets: {}", files.targets().display());
    Ok(Exit::Done)
}

fn show_audit(files: &Files, writes: bool, format: Format) -> Result {
    let mut lines = audit::read(&files.audit()).map_err(Failure::from)?;
    if samba::is(files) {
        lines.extend(samba::audit(files).map_err(Failure::from)?);
        lines.sort_by_key(|line| line.time.parse::<jiff::Timestamp>().unwrap_or_default());
    }
    for line in lines.iter().filter(|line| !writes || line.wrote) {
        match format {
            Format::Json => outln!("{}", serde_json::to_string(line)?),
            Format::Text => outln!("{}", crate::foreign::line(&words(line))),
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
