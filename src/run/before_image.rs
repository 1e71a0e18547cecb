//! The before-image of an attempt: where it is kept, and what it must hold.
//!
//! The journal names it by its SHA-256. A file that is missing, or holds something else now, is told as such: it is never
//! taken for "nothing was kept", and nothing of it is believed.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::event::EvidenceRef;
use crate::{foreign, regular};

/// Where a before-image is kept, and what the journal says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeforeImage {
    /// Its file.
    pub path: PathBuf,
    /// Its SHA-256, in lower case.
    pub sha256: String,
    /// How large it is.
    pub bytes: u64,
}

impl BeforeImage {
    /// In the folder of the run's evidence.
    #[must_use]
    pub fn of(folder: &Path, kept: &EvidenceRef) -> Self {
        BeforeImage { path: folder.join(&kept.sha256), sha256: kept.sha256.clone(), bytes: kept.bytes }
    }

    /// Its bytes, proved to be those that were kept.
    ///
    /// # Errors
    /// It is missing, cannot be read, is larger than `most`, or was changed: a text for people.
    pub fn read(&self, most: u64) -> Result<Vec<u8>, String> {
        let named = foreign::one_line(&self.path.display().to_string(), 300);
        // What the journal says is a part of the path.
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            let said = foreign::one_line(&self.sha256, 80);
            return Err(format!("the before-image cannot be read: `{said}` is no SHA-256; `verify` tells what is wrong"));
        }
        let read = regular::read(&self.path, most.min(self.bytes)).map_err(|error| {
            format!("the before-image `{named}` cannot be read: {error}; it was kept before the attempt, so put it back first")
        })?;
        match read {
            _ if self.bytes > most => Err(format!("the before-image `{named}` has {} bytes, more than any", self.bytes)),
            Some(bytes) if bytes.len() as u64 == self.bytes && crate::plan::hex(&Sha256::digest(&bytes)) == self.sha256 => {
                Ok(bytes)
            }
            _ => Err(format!(
                "the before-image `{named}` was changed: it does not hold what the journal says ({} bytes with that SHA-256); \
                 nothing of it is believed, so put the right one back first",
                self.bytes
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(folder: &Path, bytes: &[u8]) -> BeforeImage {
        let sha256 = crate::plan::hex(&Sha256::digest(bytes));
        std::fs::write(folder.join(&sha256), bytes).unwrap();
        BeforeImage::of(folder, &EvidenceRef { sha256, bytes: bytes.len() as u64, kind: "before-image".to_owned() })
    }

    #[test]
    fn a_before_image_is_what_the_journal_says_or_is_not_read_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let image = kept(dir.path(), b"what it was");
        assert_eq!(image.read(100), Ok(b"what it was".to_vec()));
        assert!(image.read(10).is_err_and(|why| why.contains("more than any")));
        for changed in [&b"what it wa5"[..], b"what it was, and more", b""] {
            std::fs::write(&image.path, changed).unwrap();
            assert!(image.read(100).is_err_and(|why| why.contains("was changed")), "{changed:?}");
        }
        std::fs::remove_file(&image.path).unwrap();
        assert!(image.read(100).is_err_and(|why| why.contains("cannot be read") && why.contains("put it back")));
        let odd = BeforeImage { sha256: "../../etc/passwd".to_owned(), ..image };
        assert!(odd.read(100).is_err_and(|why| why.contains("is no SHA-256")));
    }

    #[cfg(unix)]
    #[test]
    fn a_before_image_is_not_read_through_a_link_or_from_a_pipe() {
        let dir = tempfile::tempdir().unwrap();
        let image = kept(dir.path(), b"what it was");
        let aside = dir.path().join("aside");
        std::fs::rename(&image.path, &aside).unwrap();
        std::os::unix::fs::symlink(&aside, &image.path).unwrap();
        assert!(image.read(100).is_err_and(|why| why.contains("symbolic link")));
        std::fs::remove_file(&image.path).unwrap();
        nix::unistd::mkfifo(&image.path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(image.read(100).is_err_and(|why| why.contains("not a regular file")));
    }
}
