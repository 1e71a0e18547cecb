//! From a path of Windows to a file of the lab: a folder per drive, shares by the machine that has them.

use std::path::{Path, PathBuf};

use super::super::machine::Machine;

/// The file that a path leads to; `None` if there is no such drive or share. Names are compared without regard to case.
#[must_use]
pub fn local(machine: &Machine, others: &[Machine], path: &str) -> Option<PathBuf> {
    if let Some(rest) = path.strip_prefix("\\\\") {
        let mut parts = rest.splitn(3, '\\');
        let (host, share, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let host = host.split('.').next()?;
        let owner = std::iter::once(machine).chain(others).find(|one| one.name.eq_ignore_ascii_case(host))?;
        let folder = owner.shares.iter().find(|(name, _)| name.eq_ignore_ascii_case(share)).map(|(_, folder)| folder)?;
        return local(owner, &[], &format!("{}\\{rest}", folder.trim_end_matches('\\')));
    }
    let (drive, rest) = path.split_once(":\\")?;
    if drive.len() != 1 || rest.split('\\').any(|part| part.is_empty() || part == "." || part == ".." || part.contains('/')) {
        return None;
    }
    let mut place = machine.files.join(drive.to_ascii_uppercase());
    if !place.is_dir() {
        return None;
    }
    for part in rest.split('\\') {
        place = existing(&place, part).unwrap_or_else(|| place.join(part));
    }
    Some(place)
}

fn existing(folder: &Path, name: &str) -> Option<PathBuf> {
    let exact = folder.join(name);
    if exact.exists() {
        return Some(exact);
    }
    let all = std::fs::read_dir(folder).ok()?;
    let same = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().to_lowercase() == name.to_lowercase();
    all.filter_map(Result::ok).find(same).map(|entry| entry.path())
}
