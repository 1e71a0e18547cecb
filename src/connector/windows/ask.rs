//! The looks that several actions share: what the machine is called, whether a path is there, what its files hold.

use std::collections::BTreeMap;

use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::answer::{Answer, Lost};
use crate::connector::powershell::session::Session;
use crate::connector::powershell::values;
use crate::foreign::one_line;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;

/// The key of an identity for the machine's own name. Not `host`'s, which is only how it is reached.
pub const MACHINE: &str = "host";

/// Paths in one `Get-FileHash`.
pub const HASHED_AT_ONCE: usize = 200;

/// Foreign text, safe to print.
pub fn shown(text: &str) -> String {
    one_line(text, 200)
}

/// A command that changed nothing gave no answer.
pub fn no_answer(lost: Lost) -> NoAnswer {
    NoAnswer::from(lost.reason)
}

/// What a look gave, all of it.
///
/// # Errors
/// It did not end, or complained.
pub async fn read(session: &mut Session, command: Command) -> Result<Vec<Value>, NoAnswer> {
    Ok(session.run(command).await.map_err(no_answer)?.read()?)
}

/// The machine's own name, in upper case: two names may lead to one machine, and one name to another machine tomorrow.
///
/// # Errors
/// The machine does not say.
pub async fn machine(session: &mut Session) -> Result<String, NoAnswer> {
    let objects = read(session, Command::new("Get-WmiObject").parameter("Class", "Win32_OperatingSystem")).await?;
    let system = objects.first().ok_or_else(|| "the host does not say what it is called".to_owned())?;
    Ok(values::text(system, "CSName")?.to_uppercase())
}

/// Why a step that is bound to one machine must not go on with this one; `None` if it is the same.
pub fn other_machine(bound: Option<&str>, now: &str) -> Option<String> {
    let bound = bound.filter(|bound| !bound.eq_ignore_ascii_case(now))?;
    Some(format!("the host is now the machine `{}`, and the step is bound to `{}`", shown(now), shown(bound)))
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is there.
    Nothing,
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// What is at a path.
///
/// # Errors
/// The host could not be asked, or may not say.
pub async fn kind(session: &mut Session, path: &str) -> Result<Kind, NoAnswer> {
    for (word, kind) in [("Container", Kind::Folder), ("Leaf", Kind::File)] {
        if is(session, path, word).await? {
            return Ok(kind);
        }
    }
    // What lies on a drive or a share that is away is not there either, and comes back with it.
    match root(path) {
        Some(root) if root != path && !is(session, &root, "Container").await? => {
            Err(format!("whether `{}` is there cannot be told: `{}` itself is not there", shown(path), shown(&root)).into())
        }
        _ => Ok(Kind::Nothing),
    }
}

async fn is(session: &mut Session, path: &str, what: &str) -> Result<bool, NoAnswer> {
    let command = Command::new("Test-Path").parameter("LiteralPath", path).parameter("PathType", what);
    match read(session, command).await?.as_slice() {
        [answer] if answer.as_bool().is_some() => Ok(answer.as_bool() == Some(true)),
        _ => Err(format!("whether `{}` is there: the answer is not understood", shown(path)).into()),
    }
}

/// The drive or the share of a path: `D:\`, `\\fs01\share`.
fn root(path: &str) -> Option<String> {
    if let Some(unc) = path.strip_prefix("\\\\") {
        let mut parts = unc.split('\\').filter(|part| !part.is_empty());
        return Some(format!("\\\\{}\\{}", parts.next()?, parts.next()?));
    }
    let (drive, _) = path.split_once(':')?;
    Some(format!("{drive}:\\"))
}

/// The SHA-256 of some files, in lower-case hex, by their paths in lower case; and what was complained of. A file that is in
/// neither could not be read.
///
/// # Errors
/// The host gave no answer.
pub async fn hashes(session: &mut Session, paths: &[String]) -> Result<(BTreeMap<String, String>, Option<String>), NoAnswer> {
    let list = Value::list(paths.iter().map(String::as_str));
    let command = Command::new("Get-FileHash").parameter("LiteralPath", list).parameter("Algorithm", "SHA256");
    let answer = session.run(command).await.map_err(no_answer)?;
    if has_no_such_cmdlet(&answer) {
        return Err("the host has no `Get-FileHash`, which came with Windows PowerShell 4.0".to_owned().into());
    }
    let complaint = answer.complaint();
    let mut found = BTreeMap::new();
    for object in &answer.objects {
        let (Ok(path), Ok(hash)) = (values::text(object, "Path"), values::text(object, "Hash")) else { continue };
        let hash = hash.to_lowercase();
        if hash.len() == 64 && hash.bytes().all(|c| c.is_ascii_hexdigit()) {
            found.insert(path.to_lowercase(), hash);
        }
    }
    Ok((found, complaint))
}

fn has_no_such_cmdlet(answer: &Answer) -> bool {
    answer.never_began() && answer.terminating.as_ref().is_some_and(|error| error.id.starts_with("CommandNotFoundException"))
}

/// What is free on the drive of a path such as `D:`, in bytes.
///
/// # Errors
/// The host does not say.
pub async fn free(session: &mut Session, drive: &str) -> Result<u64, NoAnswer> {
    let objects = read(session, Command::new("Get-WmiObject").parameter("Class", "Win32_LogicalDisk")).await?;
    let is_it = |object: &&Value| values::text(object, "DeviceID").is_ok_and(|id| id.eq_ignore_ascii_case(drive));
    let disk = objects.iter().find(is_it).ok_or_else(|| format!("the host has no drive `{}`", shown(drive)))?;
    let free = disk.get("FreeSpace").and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    Ok(free.ok_or_else(|| format!("the host does not say what is free on `{}`", shown(drive)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f46_another_machine_behind_the_same_name_is_told() {
        assert_eq!(other_machine(None, "GC01"), None);
        assert_eq!(other_machine(Some("gc01"), "GC01"), None);
        assert!(other_machine(Some("GC01"), "GC02").is_some_and(|why| why.contains("`GC02`") && why.contains("`GC01`")));
    }
}
