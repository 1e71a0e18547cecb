//! Files named by what they hold: before-images and reports, durable before a record refers to them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::DiskWait;
use super::os::Rights;
use super::{chain, os};
use crate::run::connector::Evidence;
use crate::run::event::EvidenceRef;

/// The folder's name in the run directory.
pub const NAME: &str = "evidence";

/// The evidence of one run.
#[derive(Debug, Clone)]
pub struct EvidenceStore {
    dir: PathBuf,
    rights: Rights,
    disk: DiskWait,
}

impl EvidenceStore {
    pub(super) fn of(run_dir: &Path, rights: Rights) -> Self {
        EvidenceStore { dir: run_dir.join(NAME), rights, disk: DiskWait::default() }
    }

    /// The same, telling `disk` when it waits.
    #[must_use]
    pub fn watched(self, disk: DiskWait) -> Self {
        EvidenceStore { disk, ..self }
    }

    /// The same in another folder.
    pub(super) fn at(dir: PathBuf, rights: Rights) -> Self {
        EvidenceStore { dir, rights, disk: DiskWait::default() }
    }

    /// The folder that holds it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Reads a file back, and makes sure that it still is what its name says.
    ///
    /// # Errors
    /// It is missing, cannot be read, or was changed.
    pub fn load(&self, reference: &EvidenceRef) -> io::Result<Vec<u8>> {
        if !reference.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) || reference.sha256.len() != 64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the name of the evidence is not a SHA-256"));
        }
        let path = self.dir.join(&reference.sha256);
        let mut file = os::open_regular(&path, false)?;
        let bytes = os::read_at_most(&mut file, reference.bytes)?;
        match bytes {
            Some(bytes) if chain::hash(&bytes) == reference.sha256.as_bytes() => Ok(bytes),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} was changed", path.display()))),
        }
    }
}

impl Evidence for EvidenceStore {
    fn store(&self, kind: &str, bytes: &[u8]) -> io::Result<EvidenceRef> {
        let _waiting = self.disk.begin();
        let hash = chain::hash(bytes);
        let sha256 = chain::text(&hash).to_owned();
        let reference = EvidenceRef { sha256, bytes: bytes.len() as u64, kind: kind.to_owned() };
        if self.load(&reference).is_ok() {
            // It may have been made by a process that died before it was durable.
            os::open_regular(&self.dir.join(&reference.sha256), true)?.sync_all()?;
            os::sync_dir(&self.dir)?;
            return Ok(reference);
        }
        let temporary = self.dir.join(format!(".{:016x}.new", os::random()));
        let made = os::write_new(&temporary, self.rights, bytes)
            .and_then(|()| fs::rename(&temporary, self.dir.join(&reference.sha256)))
            .and_then(|()| os::sync_dir(&self.dir));
        if made.is_err() {
            // The first error is the one that counts.
            let _ = fs::remove_file(&temporary);
        }
        made.map(|()| reference)
    }
}
