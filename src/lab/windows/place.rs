//! A place on a drive, and the real file that stands for it.
//!
//! Names are looked up in the real folder without regard to case. Nothing that is a link there is followed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::astray::Astray;
use super::machine::same;

/// A path's longest text, in units of UTF-16, as long as nobody opts in to longer ones (`MAX_PATH` with its final zero).
const LONGEST: usize = 259;
/// A name's longest text, in units of UTF-16.
const LONGEST_NAME: usize = 255;
/// What cannot be in a name.
pub(super) const ILLEGAL: &[char] = &['<', '>', '"', '|', '?', '*', ':', '/', '\\'];
/// Names of devices, whatever extension they have.
const DEVICES: &[&str] = &["CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"];

/// Where a path leads, whether or not anything is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The root, as it is shown: `D:\`, or `\\fs01\share`.
    pub(super) root: String,
    /// The folder that stands for the root.
    pub(super) folder: PathBuf,
    /// The names below it, as they were asked for.
    pub(super) names: Vec<String>,
}

/// What is at a place.
#[derive(Debug, Clone)]
pub struct Found {
    /// The place.
    pub place: Place,
    /// The real file or folder.
    pub path: PathBuf,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// What is known of it.
    pub metadata: fs::Metadata,
}

/// Whether a name is a device's, so that no file can have it.
#[must_use]
pub fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let upper = stem.to_uppercase();
    let port = |prefix: &str| {
        let rest = upper.strip_prefix(prefix).map(|rest| rest.chars().collect::<Vec<_>>());
        rest.is_some_and(|rest| matches!(rest.as_slice(), ['1'..='9' | '¹' | '²' | '³']))
    };
    DEVICES.contains(&upper.as_str()) || port("COM") || port("LPT")
}

/// The names of a path below its root. Windows takes spaces and dots off the end of a name.
pub(super) fn names(below: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in below.split('\\') {
        match name {
            ".." => {
                names.pop();
            }
            name => match name.trim_end_matches([' ', '.']) {
                "" => {}
                name => names.push(name.to_owned()),
            },
        }
    }
    names
}

pub(super) fn join(names: &[String]) -> String {
    names.join("\\")
}

impl Place {
    /// Refuses names that cannot be.
    pub(super) fn checked(self) -> Result<Self, Astray> {
        let shown = self.shown();
        for name in &self.names {
            if name.contains(':') {
                return Err(Astray::Format(shown));
            }
            if name.contains(ILLEGAL) || name.contains(char::is_control) {
                return Err(Astray::Illegal(shown));
            }
        }
        let longest = self.names.iter().map(|name| name.encode_utf16().count()).max().unwrap_or(0);
        if shown.encode_utf16().count() > LONGEST || longest > LONGEST_NAME {
            return Err(Astray::TooLong(shown));
        }
        Ok(self)
    }

    /// As it is shown: as it was asked for.
    #[must_use]
    pub fn shown(&self) -> String {
        let between = if self.root.ends_with('\\') || self.names.is_empty() { "" } else { "\\" };
        format!("{}{between}{}", self.root, join(&self.names))
    }

    /// The last name, or the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.last().map_or(&self.root, String::as_str)
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Whether it is a root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.names.is_empty()
    }

    /// The place above; a root is above itself.
    #[must_use]
    pub fn parent(&self) -> Place {
        let mut parent = self.clone();
        parent.names.pop();
        parent
    }

    /// A place below, by one name or several.
    ///
    /// # Errors
    /// The name cannot be.
    pub fn child(&self, name: &str) -> Result<Place, Astray> {
        let mut child = self.clone();
        child.names.extend(names(name));
        child.checked()
    }

    /// Whether one of the names is a device's.
    #[must_use]
    pub fn is_device(&self) -> bool {
        self.names.iter().any(|name| is_device(name))
    }

    /// Whether a place is this one or below it.
    #[must_use]
    pub fn holds(&self, other: &Place) -> bool {
        let (own, others) = (self.real(), other.real());
        matches!((own, others), (Ok((own, _)), Ok((others, _))) if others.starts_with(&own))
    }

    /// The real path, and whether something is there. Names that do not exist are taken as they were asked for.
    ///
    /// # Errors
    /// [`Astray::Denied`] for a link, or where the folder cannot be read.
    pub fn real(&self) -> Result<(PathBuf, bool), Astray> {
        let denied = |_| Astray::Denied(self.shown());
        let mut path = self.folder.clone();
        let mut there = self.folder.is_dir();
        for name in &self.names {
            let mut next = path.join(name);
            // A device is not a file, and must not be opened as one where the lab itself runs on Windows.
            there &= !is_device(name);
            if there {
                there = match fs::symlink_metadata(&next) {
                    Ok(_) => true,
                    Err(_) => match in_other_case(&path, name).map_err(denied)? {
                        Some(found) => {
                            next = found;
                            true
                        }
                        None => false,
                    },
                };
            }
            if there && fs::symlink_metadata(&next).map_err(denied)?.file_type().is_symlink() {
                return Err(Astray::Denied(self.shown()));
            }
            path = next;
        }
        Ok((path, there))
    }

    /// What is there.
    ///
    /// # Errors
    /// As [`Place::real`].
    pub fn look(&self) -> Result<Option<Found>, Astray> {
        let (path, there) = self.real()?;
        if !there {
            return Ok(None);
        }
        let metadata = fs::symlink_metadata(&path).map_err(|_| Astray::Denied(self.shown()))?;
        Ok(Some(Found { place: self.clone(), is_dir: metadata.is_dir(), path, metadata }))
    }

    /// What is in a folder, by name. Links and names that Windows could not have are not there.
    ///
    /// # Errors
    /// It cannot be read, or is no folder.
    pub fn children(&self) -> Result<Vec<Found>, Astray> {
        let denied = |_| Astray::Denied(self.shown());
        let (path, there) = self.real()?;
        if !there {
            return Err(Astray::Missing(self.shown()));
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&path).map_err(denied)? {
            let entry = entry.map_err(denied)?;
            let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), fs::symlink_metadata(entry.path())) else {
                continue;
            };
            let mut place = self.clone();
            place.names.push(name);
            let Ok(place) = place.checked() else { continue };
            if metadata.is_dir() || metadata.is_file() {
                found.push(Found { place, path: entry.path(), is_dir: metadata.is_dir(), metadata });
            }
        }
        found.sort_by_cached_key(|found| found.place.name().to_lowercase());
        Ok(found)
    }
}

/// The entry of a folder whose name differs in case only.
fn in_other_case(folder: &Path, name: &str) -> io::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Below a file there is nothing.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|own| same(own, name)) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}
