//! What an attempt keeps in the run's folder, beside what programs print: reports, warnings, summaries, and which file it made.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::run::connector::Call;

/// Of a file that is read back here.
const LARGEST: u64 = 1 << 20;
/// What the note about an export is called.
const EXPORT: &str = "export.json";
/// What the note about an end is called.
const ENDED: &str = "ended";

/// Keeps bytes as a file of this attempt, synced. Where.
///
/// # Errors
/// It cannot be written; a text for people.
pub fn keep(call: &Call, kind: &str, bytes: &[u8]) -> Result<PathBuf, String> {
    let path = named(&call.scratch, kind);
    write(&path, bytes).map_err(|error| format!("`{}` cannot be written: {error}", path.display()))?;
    Ok(path)
}

fn named(scratch: &Path, kind: &str) -> PathBuf {
    let mut name = scratch.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(kind);
    scratch.with_file_name(name)
}

/// Where a person may put a file for this step, whichever attempt looks: `output/<step>.<name>` of the run.
#[must_use]
pub fn from_a_person(call: &Call, name: &str) -> Option<PathBuf> {
    let path = call.scratch.with_file_name(format!("{}.{name}", step(&call.scratch)?));
    std::path::absolute(path).ok()
}

/// Whole, or not there: a half-written one is never under the name.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    make(folder)?;
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(unix)]
fn make(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// Which file an attempt of this step is about to name, or was seen to have named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The final name.
    pub file: String,
    /// What it holds, in lower-case hex.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
    /// How many warnings there were, if that is known.
    pub warnings: Option<usize>,
}

/// Notes it before the file gets its name: whoever looks later knows which one is ours.
///
/// # Errors
/// As [`keep`].
pub fn note(call: &Call, made: &Made) -> Result<(), String> {
    let bytes = serde_json::to_vec_pretty(made).map_err(|error| error.to_string())?;
    keep(call, EXPORT, &bytes).map(|_| ())
}

/// Notes that the cmdlet of this attempt ended, and without a complaint: counts alone do not tell an end.
///
/// # Errors
/// As [`keep`].
pub fn note_end(call: &Call) -> Result<(), String> {
    keep(call, ENDED, &[]).map(|_| ())
}

/// Forgets the ends of earlier attempts, before another one begins.
///
/// # Errors
/// One of them stays; a text for people.
pub fn forget_ends(call: &Call) -> Result<(), String> {
    let ends = of_step(call, ENDED);
    for path in &ends {
        std::fs::remove_file(path).map_err(|error| format!("`{}` cannot be removed: {error}", path.display()))?;
    }
    #[cfg(unix)]
    if let Some(folder) = ends.first().and_then(|path| path.parent()) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| format!("`{}` cannot be synced: {error}", folder.display()))?;
    }
    Ok(())
}

/// Whether the last attempt that began was seen to end, without a complaint.
#[must_use]
pub fn ended(call: &Call) -> bool {
    !of_step(call, ENDED).is_empty()
}

/// What all attempts of this step have noted.
#[must_use]
pub fn noted(call: &Call) -> Vec<Made> {
    let read = |path: PathBuf| {
        let small = std::fs::metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST);
        small.then(|| std::fs::read(&path).ok()).flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok())
    };
    of_step(call, EXPORT).into_iter().filter_map(read).collect()
}

/// The files of that kind that attempts of this step have kept.
fn of_step(call: &Call, kind: &str) -> Vec<PathBuf> {
    let own = step(&call.scratch);
    let Some(entries) = call.scratch.parent().and_then(|folder| std::fs::read_dir(folder).ok()) else { return Vec::new() };
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(&format!(".{kind}")) && own.is_some() && step(path) == own
    };
    entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_ours).collect()
}

/// `export` of `output/export-2.probe`: names of steps have no dots.
fn step(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.split('.').next()?.rsplit_once('-')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_and_looks_of_a_step_are_told_from_those_of_another() {
        let of = |name: &str| step(Path::new(name));
        assert_eq!(of("output/export-1"), Some("export".to_owned()));
        assert_eq!(of("output/export-12.probe.export.json"), Some("export".to_owned()));
        assert_eq!(of("output/export-2-1.export.json"), Some("export-2".to_owned()));
        assert_eq!(of("output/export"), None);
    }
}
