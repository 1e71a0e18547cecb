//! The name of this machine, which NTLM shows to the server ("workstation").

/// The machine's name without its domain; empty where the system has none.
#[cfg(unix)]
pub(super) fn name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    short(&name)
}

/// The machine's name without its domain; empty where the system has none.
#[cfg(windows)]
pub(super) fn name() -> String {
    short(&std::env::var("COMPUTERNAME").unwrap_or_default())
}

fn short(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_uppercase()
}
