//! What was at a destination before a copy began, and what was to be copied. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::super::ask::shown;
use super::args::Args;
use super::tree::{File, Tree};

/// What evidence of this kind is called in the journal.
pub const KIND: &str = "windows.copy";
/// No image is larger.
pub const LARGEST: u64 = 256 << 20;

/// What is kept. Relative paths are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The machine's own name.
    pub machine: String,
    /// The source.
    pub from: String,
    /// The destination.
    pub to: String,
    /// How they are compared.
    pub verify: String,
    /// The destination and the folders above it that were not there, from the top.
    pub missing: Vec<String>,
    /// Folders below the destination that were there.
    pub had_folders: BTreeSet<String>,
    /// Files below it that were there.
    pub had_files: Vec<Kept>,
    /// Folders of the source.
    pub folders: BTreeSet<String>,
    /// Files of the source, as each attempt saw them.
    pub files: Vec<Kept>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Its relative path.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: i64,
    /// What it held, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Kept {
    fn of(key: &str, file: &File, sha256: Option<String>) -> Self {
        Kept { path: key.to_owned(), size: file.size, modified: file.modified, sha256 }
    }
}

impl Image {
    /// Takes what is at the destination before the first attempt. `missing` as in the field of that name.
    #[must_use]
    pub fn take(machine: &str, args: &Args, missing: Vec<String>, copy: &Tree) -> Self {
        Image {
            machine: machine.to_owned(),
            from: args.from.as_str().to_owned(),
            to: args.to.as_str().to_owned(),
            verify: args.verify.word().to_owned(),
            missing,
            had_folders: copy.folders.keys().cloned().collect(),
            had_files: copy.files.iter().map(|(key, file)| Kept::of(key, file, None)).collect(),
            folders: BTreeSet::new(),
            files: Vec::new(),
        }
    }

    /// Adds what an attempt is about to copy; earlier attempts' files stay, since they may be there.
    pub fn add(&mut self, source: &Tree, sha256: impl Fn(&File) -> Option<String>) {
        self.folders.extend(source.folders.keys().cloned());
        let known: BTreeSet<(String, u64, i64)> =
            self.files.iter().map(|kept| (kept.path.clone(), kept.size, kept.modified)).collect();
        for (key, file) in &source.files {
            if !known.contains(&(key.clone(), file.size, file.modified)) {
                self.files.push(Kept::of(key, file, sha256(file)));
            }
        }
    }

    /// Whether a file was there before.
    #[must_use]
    pub fn had(&self, key: &str) -> bool {
        // As it was taken: in the order of a map.
        self.had_files.binary_search_by(|kept| kept.path.as_str().cmp(key)).is_ok()
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From its bytes.
    ///
    /// # Errors
    /// They are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let mut image: Image = serde_json::from_slice(bytes)
            .map_err(|error| format!("the before-image cannot be read: {}", shown(&error.to_string())))?;
        image.had_files.sort_by(|one, two| one.path.cmp(&two.path));
        Ok(image)
    }

    #[cfg(test)]
    pub fn example(had: &[&str]) -> Self {
        let kept = |path: &&str| Kept { path: (*path).to_owned(), size: 1, modified: 0, sha256: None };
        Image {
            machine: "GC01".to_owned(),
            from: "D:\\from".to_owned(),
            to: "E:\\to".to_owned(),
            verify: "sha256".to_owned(),
            missing: vec!["E:\\to".to_owned()],
            had_folders: BTreeSet::new(),
            had_files: had.iter().map(kept).collect(),
            folders: BTreeSet::new(),
            files: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_comes_back_and_knows_what_was_there() {
        let mut image = Image::example(&["a", "b\\c"]);
        let mut source = Tree::default();
        source.files.insert("a".to_owned(), File { path: "A".to_owned(), size: 1, modified: 2 });
        image.add(&source, |_| Some("x".to_owned()));
        image.add(&source, |_| Some("x".to_owned()));
        assert_eq!(image.files.len(), 1, "the same file is kept once");
        let back = Image::from_bytes(&image.to_bytes());
        assert_eq!(back.as_ref(), Ok(&image));
        assert!(image.had("b\\c") && !image.had("b"));
        assert!(Image::from_bytes(b"{}").is_err());
    }
}
