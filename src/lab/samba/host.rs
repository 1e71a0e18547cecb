//! Whether this machine can run a domain controller; asked before anything is made. And Samba's programs.

use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{ADDRESS, below};
use crate::error::Exit;
use crate::lab::files::{Files, Trouble};

const PROGRAMS: [&str; 4] = ["samba", "samba-tool", "ldbmodify", "ldbsearch"];
/// Kerberos, endpoint mapper, LDAP, passwords, LDAP over TLS, global catalog.
const TCP: [u16; 7] = [88, 135, 389, 464, 636, 3268, 3269];
/// The path of a socket has 107 bytes at most (unix(7)); Samba's lie some way below the folder.
const LONGEST: usize = 66;
const UDP: [u16; 3] = [88, 389, 464];

/// Whether it can be done at all.
///
/// # Errors
/// Says what is missing, and which packages bring it.
pub fn check(files: &Files) -> Result<(), Trouble> {
    if !cfg!(target_os = "linux") {
        return Err(Trouble::new("a lab with Samba's directory needs Linux")
            .hint("`relevo lab up` starts the embedded directory on any system")
            .exit(Exit::Refused));
    }
    let absent: Vec<&str> = PROGRAMS.into_iter().filter(|name| find(name).is_none()).collect();
    if !absent.is_empty() {
        return Err(Trouble::new(format!("{} is not installed; nothing was made", absent.join(", ")))
            .hint("on Debian the packages `samba-ad-dc`, `samba-ad-provision` and `ldb-tools` bring all of it; `relevo lab up` needs none")
            .exit(Exit::Unreachable));
    }
    if !is_root() {
        return Err(Trouble::new("a domain controller of Samba's needs root: its ports are below 1024; nothing was made")
            .hint("`relevo lab up` starts the embedded directory without")
            .exit(Exit::Refused));
    }
    let folder = files.dir().to_str().unwrap_or("%");
    if folder.len() > LONGEST || folder.chars().any(|c| c.is_control() || c.is_whitespace() || "%,;\"\\".contains(c)) {
        let message = format!("Samba cannot work in `{}`; nothing was made", files.dir().display());
        return Err(Trouble::new(message)
            .hint(format!("its folder may have {LONGEST} bytes, and no spaces, `%`, `,`, `;`, quotation marks or backslashes"))
            .exit(Exit::Refused));
    }
    Ok(())
}

/// Whether nobody else listens where it must.
///
/// # Errors
/// Names the ports.
pub fn check_ports() -> Result<(), Trouble> {
    let tcp = TCP.into_iter().filter_map(|port| TcpListener::bind((ADDRESS, port)).err().map(|error| (port, "tcp", error)));
    let udp = UDP.into_iter().filter_map(|port| UdpSocket::bind((ADDRESS, port)).err().map(|error| (port, "udp", error)));
    let taken: Vec<String> = tcp.chain(udp).map(|(port, kind, error)| format!("{port}/{kind} ({error})")).collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(Trouble::new(format!("a domain controller cannot listen on {ADDRESS}: {}; nothing was started", taken.join(", ")))
        .hint("`ss -lntup` says who does; a Samba server of this machine's own, or another lab with Samba, has these ports")
        .exit(Exit::Unreachable))
}

#[cfg(unix)]
fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// Where a program is. Folders for administrators are looked into even if `PATH` lacks them.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// One of Samba's programs with this lab's configuration, which stands behind the subcommand `words`.
pub fn program(files: &Files, name: &str, words: &[&str]) -> Command {
    let mut command = Command::new(find(name).unwrap_or_else(|| PathBuf::from(name)));
    command.args(words).arg(format!("--configfile={}", below(files, "smb.conf").display()));
    // Not this machine's realm, which may be a real one.
    command.env("KRB5_CONFIG", below(files, "krb5.conf"));
    command
}

/// Runs a program to its end; `input` may hold secrets and is never shown.
///
/// # Errors
/// It fails: says what it said last.
pub fn run(command: &mut Command, input: &str) -> Result<String, Trouble> {
    let name = PathBuf::from(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let cannot = |error: std::io::Error| Trouble::new(format!("`{name}` cannot be run: {error}"));
    // Their own accounts of changes would come before every word that matters.
    command.arg("--debuglevel=0").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early says why; a broken pipe does not.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(cannot)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing was said");
    let start = last.char_indices().rev().nth(400).map_or(0, |(at, _)| at);
    Err(Trouble::new(format!("`{name}` failed ({}): {}", output.status, &last[start..]))
        .hint("`relevo lab reset` builds the domain anew"))
}
