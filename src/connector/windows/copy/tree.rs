//! What lies below a folder, as `Get-ChildItem` lists it. Pure.

use std::collections::BTreeMap;

use super::super::ask::shown;
use super::super::path::{below, fault};
use crate::connector::powershell::values;
use crate::remoting::clixml::Value;

/// `FileAttributes.Directory` and `FileAttributes.ReparsePoint`.
const DIRECTORY: i64 = 0x10;
const REPARSE_POINT: i64 = 0x400;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path from the folder on, in its own letters.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// When it was last written, in tenths of microseconds since 1970.
    pub modified: i64,
}

/// Everything below a folder, by relative paths in lower case: Windows takes no note of letter case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// What the relative paths are relative to.
    pub base: String,
    /// The files.
    pub files: BTreeMap<String, File>,
    /// The folders, by their own letters; the folder itself, if it is there, is the empty path.
    pub folders: BTreeMap<String, String>,
    /// What keeps it from being copied safely.
    pub faults: Vec<String>,
}

impl Tree {
    /// Reads a listing of what lies below `base`.
    ///
    /// # Errors
    /// An object of the listing is not understood.
    pub fn read(base: &str, objects: &[Value]) -> Result<Self, String> {
        let mut tree = Tree { base: base.to_owned(), ..Tree::default() };
        for object in objects {
            let full = values::text(object, "FullName")?;
            let path = below(base, &full).filter(|path| !path.is_empty());
            let path = path.ok_or_else(|| {
                format!("the host lists `{}` below `{}`; write the path as the host shows it", shown(&full), shown(base))
            })?;
            let attributes = object.get("Attributes").and_then(Value::as_i64);
            let is_folder = object.get("PSIsContainer").and_then(Value::as_bool);
            let is_folder = is_folder.or(attributes.map(|all| all & DIRECTORY != 0));
            let is_folder = is_folder.ok_or_else(|| format!("whether `{}` is a folder is not told", shown(&full)))?;
            if let Some(why) = path.split('\\').find_map(fault) {
                tree.faults.push(format!("`{}`: {why}", shown(path)));
            }
            let key = path.to_lowercase();
            if tree.files.contains_key(&key) || tree.folders.contains_key(&key) {
                tree.faults.push(format!("`{}` is there twice, in other letters", shown(path)));
                continue;
            }
            if !is_folder {
                let size = object.get("Length").and_then(Value::as_u64);
                let size = size.ok_or_else(|| format!("the size of `{}` is not told", shown(&full)))?;
                tree.files.insert(key, File { path: path.to_owned(), size, modified: modified(object)? });
                continue;
            }
            if attributes.is_some_and(|all| all & REPARSE_POINT != 0) {
                tree.faults.push(format!("`{}` is a junction or a link to another folder", shown(path)));
            }
            tree.folders.insert(key, path.to_owned());
        }
        Ok(tree)
    }

    /// A path in the letters that the host shows, from one in lower case.
    #[must_use]
    pub fn own<'a>(&'a self, key: &'a str) -> &'a str {
        self.files.get(key).map(|file| file.path.as_str()).or_else(|| self.folders.get(key).map(String::as_str)).unwrap_or(key)
    }

    /// The whole path of a relative one.
    #[must_use]
    pub fn whole(&self, path: &str) -> String {
        format!("{}\\{path}", self.base)
    }

    /// Of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.size).sum()
    }
}

/// When something was last written, in tenths of microseconds since 1970.
///
/// # Errors
/// It is not told, or without saying in which time zone.
pub fn modified(object: &Value) -> Result<i64, String> {
    let time = ["LastWriteTimeUtc", "LastWriteTime"].into_iter().find_map(|name| object.get(name)?.as_timestamp());
    let ticks = time.and_then(|time| i64::try_from(time.as_nanosecond() / 100).ok());
    ticks.ok_or_else(|| "the host's answer has no usable `LastWriteTimeUtc`".to_owned())
}

/// The folder that holds a relative path; empty for the top.
#[must_use]
pub fn parent(path: &str) -> &str {
    path.rsplit_once('\\').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(path: &str, size: Option<i64>, attributes: i32) -> Value {
        let mut pairs = vec![("FullName", Value::from(path)), ("PSIsContainer", Value::Bool(size.is_none()))];
        pairs.extend(size.map(|size| ("Length", Value::I64(size))));
        pairs.push(("LastWriteTimeUtc", Value::DateTime("2012-05-27T18:04:00.1234567Z".to_owned())));
        pairs.push(("Attributes", Value::enumeration("System.IO.FileAttributes", "x", attributes)));
        Value::object(pairs)
    }

    #[test]
    fn a_listing_becomes_files_and_folders_by_relative_paths() {
        let listing = [object("D:\\From\\Sub", None, 0x10), object("d:\\from\\Sub\\A.txt", Some(3), 0x20)];
        let tree = Tree::read("D:\\From", &listing).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(tree.folders.get("sub").map(String::as_str), Some("Sub"));
        let file = tree.files.get("sub\\a.txt").cloned();
        assert_eq!(file, Some(File { path: "Sub\\A.txt".to_owned(), size: 3, modified: 13_381_418_401_234_567 }));
        assert!(tree.faults.is_empty(), "{:?}", tree.faults);
    }

    #[test]
    fn what_cannot_be_copied_safely_is_told() {
        for (path, attributes, part) in [
            ("D:\\f\\a.", 0x20, "ends with"),
            ("D:\\f\\a:b", 0x20, "holds `:`"),
            ("D:\\f\\nul", 0x20, "device"),
            ("D:\\f\\A.TXT", 0x20, "twice"),
        ] {
            let listing = [object("D:\\f\\a.txt", Some(1), 0x20), object(path, Some(1), attributes)];
            let faults = Tree::read("D:\\f", &listing).map(|tree| tree.faults).unwrap_or_default();
            assert!(faults.iter().any(|fault| fault.contains(part)), "{path}: {faults:?}");
        }
        let junction = Tree::read("D:\\f", &[object("D:\\f\\j", None, 0x410)]).map(|tree| tree.faults).unwrap_or_default();
        assert!(junction.iter().any(|fault| fault.contains("junction")), "{junction:?}");
    }

    #[test]
    fn a_listing_that_is_not_understood_is_an_error() {
        assert!(Tree::read("D:\\f", &[object("E:\\g\\a.txt", Some(1), 0x20)]).is_err());
        assert!(Tree::read("D:\\f", &[object("D:\\fog\\a.txt", Some(1), 0x20)]).is_err());
        assert!(Tree::read("D:\\f", &[Value::object([("FullName", "D:\\f\\a")])]).is_err());
    }
}
