//! Namespaces of our own: network, mounts and processes. Domain controllers want fixed ports, names that resolve, and
//! nobody else on port 389; and everything that is started here must be gone when the tests are.
//!
//! ```text
//! the test program ─ unshare ─ first process (reaps, then ends: everything dies) ─ the test program again, inside
//! ```
//!
//! Entered before a thread is started.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// Says which of the three this process is: absent outside, then `first`, then `inside`.
const STAGE: &str = "RELEVO_DIRECTORY_TESTS";
/// The folder of everything, in memory, gone with the namespace.
const FOLDER: &str = "RELEVO_DIRECTORY_FOLDER";
/// What the servers and their clients need to be found.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The addresses of the domain controllers, on the namespace's own loopback.
pub const ADDRESSES: [&str; 2] = ["10.53.0.1", "10.53.0.2"];

/// Where the test program is.
pub enum Stage {
    /// In the namespaces; everything may be written below this folder.
    Inside(PathBuf),
    /// The tests ran inside, or the namespaces could not be made.
    Ended(ExitCode),
    /// Not in the namespaces.
    Outside,
}

/// Where this process is. As the first process it does its work and comes back when the tests are over.
pub fn stage() -> Stage {
    match std::env::var(STAGE).as_deref() {
        Ok("inside") => Stage::Inside(PathBuf::from(std::env::var_os(FOLDER).expect("the first process names the folder"))),
        Ok("first") => Stage::Ended(first()),
        _ => Stage::Outside,
    }
}

/// Why the namespaces cannot be had here, if they cannot.
pub fn missing() -> Option<String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("needs root, for namespaces of its own".to_owned());
    }
    let absent: Vec<&str> =
        ["samba", "samba-tool", "samba_spnupdate", "ldbmodify", "ldapmodify", "kinit", "unshare", "ip", "zstd"]
            .into_iter()
            .filter(|program| !PATH.split(':').any(|folder| Path::new(folder).join(program).exists()))
            .collect();
    if !absent.is_empty() {
        return Some(format!("needs {} (tests/run installs them)", absent.join(", ")));
    }
    let tried = unshare().arg("true").stdin(Stdio::null()).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces here: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

/// Runs the test program again in namespaces of its own, with the same arguments.
pub fn enter() -> ExitCode {
    let program = std::env::current_exe().expect("a running program has a path");
    let status = unshare()
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(STAGE, "first")
        .status()
        .expect("unshare was there a moment ago");
    code(status.code())
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["-n", "-m", "-p", "-f", "--kill-child", "--mount-proc"]);
    command
}

fn code(code: Option<i32>) -> ExitCode {
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(101))
}

/// The first process of the namespace: prepares it, starts the tests, and collects whatever loses its parent.
#[expect(clippy::zombie_processes, reason = "collected with everything else that ends in here")]
fn first() -> ExitCode {
    // A folder of its own outside, in memory inside: what is written there is gone with the namespace.
    let folder = tempfile::Builder::new().prefix("relevo-ad-").tempdir().expect("a temporary folder");
    prepare(folder.path());
    let program = std::env::current_exe().expect("a running program has a path");
    let child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(STAGE, "inside")
        .env(FOLDER, folder.path())
        .env("PATH", format!("{PATH}:{}", std::env::var("PATH").unwrap_or_default()))
        .env("KRB5_CONFIG", folder.path().join("krb5.conf"))
        .env("KRB5CCNAME", format!("FILE:{}", folder.path().join("ccache").display()))
        .spawn()
        .expect("the test program starts again");
    let tests = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let ended = loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == tests => break Some(code),
            Ok(WaitStatus::Signaled(pid, ..)) if pid == tests => break None,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => panic!("waiting for the tests: {error}"),
        }
    };
    // The mount holds the folder until the namespace ends, which is in a moment; it is the empty folder below that stays.
    let _ = Command::new("umount").args(["-l"]).arg(folder.path()).status();
    code(ended)
}

fn prepare(folder: &Path) {
    must(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=0755", "tmpfs"]).arg(folder));
    must(Command::new("ip").args(["link", "set", "lo", "up"]));
    for address in ADDRESSES {
        must(Command::new("ip").args(["addr", "add", &format!("{address}/32"), "dev", "lo"]));
    }
    let [one, two] = ADDRESSES;
    let hosts = format!("127.0.0.1 localhost\n{one} dc1.contoso.lan dc1\n{two} dc2.contoso.lan dc2\n");
    let resolv = format!("nameserver {one}\nnameserver {two}\noptions timeout:1\n");
    for (name, text) in [("hosts", hosts), ("resolv.conf", resolv)] {
        let own = folder.join(name);
        std::fs::write(&own, text).expect("the folder is writable");
        must(Command::new("mount").arg("--bind").arg(own).arg(Path::new("/etc").join(name)));
    }
    let krb5 = include_str!("krb5.conf").replace("${KDC}", one);
    std::fs::write(folder.join("krb5.conf"), krb5).expect("the folder is writable");
}

/// Runs a program to its end.
///
/// # Panics
/// If it fails: tells what it said.
pub fn must(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}
