//! Absolute paths of Windows, and what is refused as one.
//!
//! Refused is what two programs may read in two ways: relative paths, `C:x`, `..`, names that end in a dot or a space (Win32
//! drops both), device names, streams, and what PowerShell takes for a wildcard where it cannot be told not to. Square
//! brackets may stand in names: `-LiteralPath` takes them as they are, and so do `New-Item -Path` without `-Name` (by its
//! documentation) and `Copy-Item -Destination`, which is resolved without wildcards.

use std::fmt;

use super::ask::shown;

/// The longest path of a file, and of a folder, that Windows PowerShell can use (`MAX_PATH`, less the final zero; a folder
/// must leave room for a name of 8.3).
const LONGEST_FILE: usize = 259;
const LONGEST_FOLDER: usize = 247;

/// An absolute path below a drive or a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    /// `D:`, or `\\server\share`.
    root: String,
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// It is none that can be used safely; a text for people that names the argument.
    pub fn parse(text: &str, argument: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{argument}` is `{}`: {why}", shown(text)));
        if text.contains('/') {
            return wrong("write `\\` between the names");
        }
        let text = text.strip_suffix('\\').unwrap_or(text);
        let (root, rest) = if let Some(unc) = text.strip_prefix("\\\\") {
            let mut parts = unc.splitn(3, '\\');
            let (server, share) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            if server.is_empty() || share.is_empty() || matches!(server, "?" | ".") {
                return wrong("a path on a share is `\\\\server\\share\\folder`");
            }
            if let Some(why) = [server, share].into_iter().find_map(fault) {
                return wrong(&why);
            }
            (format!("\\\\{server}\\{share}"), parts.next())
        } else {
            let mut chars = text.chars();
            let drive = chars.next().filter(char::is_ascii_alphabetic);
            match (drive, chars.next(), chars.next()) {
                (Some(drive), Some(':'), Some('\\')) => (format!("{drive}:"), text.get(3..)),
                (Some(_), Some(':'), None) => (text.to_owned(), None),
                (Some(_), Some(':'), Some(_)) => return wrong("it starts in whatever folder is the current one of that drive"),
                _ => return wrong("a path starts with a drive, as in `D:\\data`, or with a share, as in `\\\\fs01\\data`"),
            }
        };
        let Some(rest) = rest.filter(|rest| !rest.is_empty()) else { return wrong("name a folder or a file below it") };
        if let Some(why) = rest.split('\\').find_map(fault) {
            return wrong(&why);
        }
        Ok(Path { text: text.to_owned(), root })
    }

    /// As [`Path::parse`], or a whole drive, such as `D:\`.
    ///
    /// # Errors
    /// As there.
    pub fn parse_or_drive(text: &str, argument: &str) -> Result<Self, String> {
        match text.as_bytes() {
            // Without the sign at the end it would be whatever folder is the current one of that drive.
            [letter, b':', b'\\'] if letter.is_ascii_alphabetic() => {
                Ok(Path { text: text.to_owned(), root: text.trim_end_matches('\\').to_owned() })
            }
            _ => Self::parse(text, argument),
        }
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The drive, such as `D:`; `None` on a share.
    #[must_use]
    pub fn drive(&self) -> Option<&str> {
        (!self.is_share()).then_some(self.root.as_str())
    }

    /// The drive or the share that it lies on: `D:`, or `\\\\server\\share`.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Whether it lies on a share.
    #[must_use]
    pub fn is_share(&self) -> bool {
        self.root.starts_with('\\')
    }

    /// What lies below it, by its relative path; itself for an empty one.
    #[must_use]
    pub fn join(&self, relative: &str) -> String {
        if relative.is_empty() { self.text.clone() } else { format!("{}\\{relative}", self.text) }
    }

    /// Whether `other` is the same or lies below it. Letter case does not count.
    #[must_use]
    pub fn holds(&self, other: &Path) -> bool {
        below(&self.text, &other.text).is_some()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.text))
    }
}

/// The path of `path` from `folder` on; `None` if it does not lie there. Empty for the folder itself.
#[must_use]
pub fn below<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    let (head, rest) = path.split_at_checked(folder.len())?;
    if head.to_lowercase() != folder.to_lowercase() {
        return None;
    }
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('\\') }
}

/// Why something is no name that means the same to everybody; `None` if it is.
#[must_use]
pub fn fault(name: &str) -> Option<String> {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let device = matches!(stem.as_str(), "con" | "prn" | "aux" | "nul" | "conin$" | "conout$")
        || numbered
            .is_some_and(|rest| rest.chars().count() == 1 && rest.chars().all(|c| c.is_ascii_digit() || "¹²³".contains(c)));
    let odd = |c: &char| c.is_control() || matches!(c, '<' | '>' | '"' | '|' | '?' | '*' | ':' | '/' | '`');
    if name.is_empty() {
        Some("it holds an empty name".to_owned())
    } else if matches!(name, "." | "..") {
        Some(format!("it holds `{name}`"))
    } else if name.ends_with(['.', ' ']) {
        Some(format!("`{}` ends with a space or a dot, which some programs drop", shown(name)))
    } else if let Some(odd) = name.chars().find(odd) {
        Some(format!("`{}` holds `{}`", shown(name), odd.escape_debug()))
    } else if device {
        Some(format!("`{}` is the name of a device", shown(name)))
    } else {
        None
    }
}

/// Why a path cannot be made: it is too long for Windows PowerShell. Counted in UTF-16, as Windows does.
#[must_use]
pub fn too_long(path: &str, folder: bool) -> Option<String> {
    let (length, most) = (path.encode_utf16().count(), if folder { LONGEST_FOLDER } else { LONGEST_FILE });
    (length > most).then(|| format!("`{}` would have {length} characters, and Windows PowerShell takes {most}", shown(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_a_drive_or_a_share_are_taken() {
        for (text, drive) in [
            ("D:\\data", Some("D:")),
            ("d:\\data\\", Some("d:")),
            ("C:\\Program Files\\Chat [old]\\x.y", Some("C:")),
            ("\\\\fs01.contoso.com\\c$\\data", None),
            ("D:\\it's\\$b;", Some("D:")),
        ] {
            let path = Path::parse(text, "from").unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(path.drive(), drive, "{text}");
        }
    }

    #[test]
    fn what_two_programs_may_read_in_two_ways_is_refused() {
        for wrong in [
            "",
            "data",
            "\\data",
            "C:",
            "C:\\",
            "C:x",
            "C:x\\y",
            "D:\\a\\..\\b",
            "D:\\.\\a",
            "D:\\a\\\\b",
            "D:\\a.",
            "D:\\a \\b",
            "D:\\a/b",
            "D:\\a*",
            "D:\\a?",
            "D:\\a`b",
            "D:\\a:stream",
            "D:\\con",
            "D:\\x\\NUL.txt",
            "D:\\com1",
            "D:\\a\u{7}b",
            "\\\\fs01",
            "\\\\fs01\\data",
            "\\\\?\\C:\\a",
            "\\\\.\\pipe\\x",
            "\\\\fs01\\\\a",
            "Ö:\\a",
            "HKLM:\\a",
            "D:\\a|b",
            "D:\\..",
        ] {
            assert!(Path::parse(wrong, "from").is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn a_whole_drive_is_taken_only_where_it_is_only_looked_at() {
        let root = Path::parse_or_drive("d:\\", "path").unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((root.as_str(), root.drive(), root.is_share()), ("d:\\", Some("d:"), false));
        assert!(Path::parse("D:\\", "path").is_err());
        for wrong in ["D:", "D:x", "\\\\fs01\\data", "\\", "Ö:\\", "D:\\\\"] {
            assert!(Path::parse_or_drive(wrong, "path").is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_lies_below_another_by_whole_names_and_without_regard_to_case() {
        assert_eq!(below("D:\\Data", "d:\\data\\x\\y"), Some("x\\y"));
        assert_eq!(below("D:\\Data", "d:\\data"), Some(""));
        assert_eq!(below("D:\\Data", "D:\\Database"), None);
        assert_eq!(below("D:\\Data", "D:\\Da"), None);
        assert_eq!(below("D:\\ä", "D:\\a\u{308}"), None);
    }

    #[test]
    fn paths_that_windows_powershell_cannot_use_are_told() {
        let path = format!("D:\\{}", "x".repeat(250));
        assert!(too_long(&path, false).is_none());
        assert!(too_long(&path, true).is_some());
        assert!(too_long(&format!("{path}1234567"), false).is_some());
    }
}
