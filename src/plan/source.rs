//! Reading a file of the plan language: only a regular file, only so much of it, only UTF-8.

use std::cell::OnceCell;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest file that is read.
pub const LARGEST: u64 = 32 * 1024 * 1024;

/// How many files one plan may consist of: the plan, its fragments, parameters, targets and window.
pub const MOST_FILES: usize = 256;

/// One text and where it came from.
#[derive(Debug)]
pub struct Source {
    /// The path as it was given; also for texts of the command line (`--param pool=…`).
    pub path: PathBuf,
    /// The folder in which relative paths of this file start.
    pub folder: PathBuf,
    /// The content.
    pub text: String,
    /// True for a file, false for a text of the command line.
    pub file: bool,
}

/// A file that cannot be read as text.
#[derive(Debug)]
pub struct Unreadable {
    /// What is wrong; lower case, without a final stop and without the path.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Every text of one load. Texts stay where they are until all trees that borrow from them are gone.
pub struct Library {
    slots: Vec<OnceCell<Source>>,
    used: std::cell::Cell<usize>,
}

impl Library {
    /// An empty one.
    pub fn new() -> Self {
        Library { slots: std::iter::repeat_with(OnceCell::new).take(MOST_FILES * 2).collect(), used: std::cell::Cell::new(0) }
    }

    /// Keeps a source and returns its number. `None` if there are too many.
    pub fn add(&self, source: Source) -> Option<u16> {
        let at = self.used.get();
        self.slots.get(at)?.set(source).ok()?;
        self.used.set(at + 1);
        u16::try_from(at).ok()
    }

    /// The source with that number.
    pub fn get(&self, at: u16) -> &Source {
        self.slots.get(usize::from(at)).and_then(OnceCell::get).unwrap_or_else(|| unreachable!("numbers come from `add`"))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.used.get()
    }

    /// Path and text of every file, in the order in which they were read.
    pub fn into_files(self) -> Vec<(PathBuf, String)> {
        self.slots
            .into_iter()
            .filter_map(OnceCell::into_inner)
            .filter(|source| source.file)
            .map(|source| (std::path::absolute(&source.path).unwrap_or(source.path), source.text))
            .collect()
    }
}

/// Reads a file.
///
/// The kind is asked before opening, since opening a named pipe blocks until somebody writes; and no more than the
/// limit is ever read, since a size can lie.
pub fn read(path: &Path) -> Result<Source, Unreadable> {
    let failed = |error: &std::io::Error| Unreadable {
        message: match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::PermissionDenied => "the file may not be read: permission denied".to_owned(),
            _ => format!("the file cannot be read: {error}"),
        },
        hint: String::new(),
    };
    let refuse = |message: &str, hint: &str| Unreadable { message: message.to_owned(), hint: hint.to_owned() };
    let kind = std::fs::metadata(path).map_err(|error| failed(&error))?;
    if kind.is_dir() {
        return Err(refuse("this is a directory", "name the file in it"));
    }
    if !kind.is_file() {
        return Err(refuse("this is not a regular file", "pipes and devices are not read; save the text to a file first"));
    }
    let too_large = || refuse("the file is larger than 32 MiB", "split the plan with `include`");
    if kind.len() > LARGEST {
        return Err(too_large());
    }
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::with_capacity(usize::try_from(kind.len()).unwrap_or(0) + 1);
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large());
    }
    let text = match bytes {
        bytes if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) => {
            return Err(refuse("the file is UTF-16", "save it as UTF-8 without a byte order mark"));
        }
        bytes => String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count() + 1;
            Unreadable {
                message: format!("the file is not UTF-8: the first wrong byte is in line {line}"),
                hint: "save it as UTF-8".to_owned(),
            }
        })?,
    };
    Ok(Source { path: path.to_owned(), folder: folder_of(path), text, file: true })
}

/// Takes a text that is kept, instead of the file of that path.
pub fn kept(path: &Path, texts: &[(PathBuf, String)]) -> Result<Source, Unreadable> {
    let same = |other: &Path| other == path || std::path::absolute(other).ok() == std::path::absolute(path).ok();
    match texts.iter().find(|(other, _)| same(other)) {
        Some((_, text)) => Ok(Source { path: path.to_owned(), folder: folder_of(path), text: text.clone(), file: true }),
        None => Err(Unreadable { message: "the run keeps no copy of this file".to_owned(), hint: String::new() }),
    }
}

/// The absolute folder of a file.
pub fn folder_of(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::canonicalize(folder).or_else(|_| std::path::absolute(folder)).unwrap_or_else(|_| folder.to_owned())
}
