//! A file on the server: an absolute path on a drive, or one on a share.

/// The path, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath(String);

/// What SQL Server and Windows take without long-path prefixes (`physical_device_name` is longer, `MAX_PATH` is not).
const LONGEST: usize = 259;

impl FilePath {
    /// Reads a path.
    ///
    /// # Errors
    /// It is not absolute, or names something else than one file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("`file` is `{}`: {why}; write `D:\\mig\\chat.bak` or `\\\\server\\share\\chat.bak`", super::shown(text))
        };
        let share = text.strip_prefix("\\\\");
        let drive = text.len() > 3 && text.as_bytes()[0].is_ascii_alphabetic() && text.get(1..3) == Some(":\\");
        let rest = match (share, drive) {
            (Some(rest), _) => rest,
            (None, true) => text.get(3..).unwrap_or_default(),
            (None, false) => return Err(wrong("it is not an absolute path")),
        };
        let parts: Vec<&str> = rest.split('\\').collect();
        if share.is_some() && parts.len() < 3 {
            return Err(wrong("it names no file on a share"));
        }
        let odd = |c: char| c.is_control() || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '/' | '[' | ']' | '`' | ';');
        // Windows drops dots and blanks at the end of a name: another name than the one that was meant.
        let bad = |part: &&str| part.is_empty() || part.ends_with(['.', ' ']) || part.starts_with(' ') || part.contains(odd);
        match parts.iter().find(|part| bad(part)) {
            Some(_) => Err(wrong("a part of it is no name, or its end is missing")),
            None if text.encode_utf16().count() > LONGEST => Err(wrong("it is too long")),
            None => Ok(FilePath(text.to_owned())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `D`; none on a share.
    #[must_use]
    pub fn drive(&self) -> Option<char> {
        self.0.chars().next().filter(char::is_ascii_alphabetic).map(|drive| drive.to_ascii_uppercase())
    }

    /// Whether another text names the same file: Windows does not care for case.
    #[must_use]
    pub fn is(&self, other: &str) -> bool {
        self.0.to_lowercase() == other.to_lowercase()
    }
}

impl FilePath {
    /// Whether another path lies below it, as if it were a folder.
    #[must_use]
    pub fn holds(&self, other: &str) -> bool {
        other.to_lowercase().strip_prefix(&self.0.to_lowercase()).is_some_and(|rest| rest.starts_with('\\'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_absolute_path() {
        for good in ["D:\\mig\\chat.bak", "d:\\a b\\c.bak", "\\\\nas01\\backup$\\chat.bak"] {
            assert!(FilePath::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "chat.bak",
            "D:chat.bak",
            "D:\\",
            "D:\\a\\",
            "D:\\..\\a",
            "D:\\a\\.\\b",
            "\\\\nas01\\share",
            "\\\\?\\D:\\a",
            "D:\\a*.bak",
            "D:\\a:b",
            "D:/a",
            "/tmp/a",
            "D:\\a\nb",
            "D:\\a.",
            "D:\\[a].bak",
        ] {
            assert!(FilePath::parse(bad).is_err(), "{bad}");
        }
        let path = FilePath::parse("d:\\Mig\\a.bak").unwrap_or_else(|why| panic!("{why}"));
        assert!(path.is("D:\\MIG\\A.BAK") && !path.is("D:\\MIG\\B.BAK"));
        assert_eq!(path.drive(), Some('D'));
    }
}
