//! Files of the Front End, through its plain PowerShell remoting: the restricted endpoint of Lync knows no files.

use sha2::{Digest as _, Sha256};

use super::super::cs::shown;
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::session::Session;
use crate::connector::powershell::values;
use crate::connector::windows::ask;
use crate::connector::windows::copy::modified;
use crate::connector::windows::path::{self, Path, too_long};
use crate::plan::hex;
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::Call;

/// A file that is fetched through the session holds no more than this: an answer may have 64 MiB, and its bytes travel as
/// text, four letters for three of them.
pub const FETCHED: u64 = 32 << 20;

/// A path to a file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The whole path.
    pub path: String,
    /// The folder that it is in.
    pub folder: String,
    /// Its name there.
    pub name: String,
}

impl Place {
    /// Reads an argument that names a file whose name ends so.
    ///
    /// # Errors
    /// It is missing, no absolute path, or ends otherwise.
    pub fn read(call: &Call, argument: &str, ending: &str) -> Result<Self, String> {
        Self::parse(&args::needed(call, argument)?, argument, ending)
    }

    /// As [`Place::read`], of a text.
    ///
    /// # Errors
    /// As there.
    pub fn parse(text: &str, argument: &str, ending: &str) -> Result<Self, String> {
        let path = Path::parse(text, argument)?;
        let whole = path.as_str();
        if let Some(why) = too_long(whole, false) {
            return Err(format!("`{argument}`: {why}"));
        }
        let (folder, name) = whole.rsplit_once('\\').unwrap_or_default();
        if folder.is_empty() || folder.starts_with("\\\\") && folder[2..].split('\\').count() < 2 {
            return Err(format!("`{argument}` is `{}`, which is no file", shown(text)));
        }
        if !name.to_lowercase().ends_with(ending) || name.len() <= ending.len() {
            return Err(format!("`{argument}` is `{}`; it has to end in `{ending}`", shown(text)));
        }
        Ok(Place { path: whole.to_owned(), folder: folder.to_owned(), name: name.to_owned() })
    }

    /// The name without its ending.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.name.rsplit_once('.').map_or(self.name.as_str(), |(stem, _)| stem)
    }

    /// A file beside it, `<stem>.<what>.zip`.
    #[must_use]
    pub fn beside(&self, what: &str) -> Place {
        let ending = self.name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let name = format!("{}.{what}.{ending}", self.stem());
        Place { path: format!("{}\\{name}", self.folder), folder: self.folder.clone(), name }
    }
}

/// The run, as a part of a file's name, cut to so many characters.
#[must_use]
pub fn run_in_name(call: &Call, longest: usize) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    call.run.chars().map(plain).take(longest).collect()
}

/// What belongs to one attempt, in a name: the run for people, the hash against chance.
#[must_use]
pub fn mark(call: &Call) -> String {
    let run = run_in_name(call, 40);
    let hash = hex(&Sha256::digest(call.attempt_id().as_bytes()));
    format!("{run}-{}-{}", call.attempt, &hash[..8])
}

/// A file in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// When it was last written, in UTC, for people.
    pub modified: String,
    /// The same in ticks of 100 ns, to tell one writing from another.
    pub ticks: i64,
}

impl Entry {
    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        format!("`{}`, {} bytes, written {}", shown(&self.name), self.size, self.modified)
    }
}

/// The command that lists a folder.
#[must_use]
pub fn listing(folder: &str) -> Command {
    Command::new("Get-ChildItem").parameter("LiteralPath", folder_path(folder)).switch("Force")
}

/// `D:` alone would be the current folder of that drive.
fn folder_path(folder: &str) -> String {
    if folder.ends_with(':') { format!("{folder}\\") } else { folder.to_owned() }
}

/// The files of a folder.
///
/// # Errors
/// It is not there, or the list is not whole.
pub async fn list(session: &mut Session, folder: &str) -> Result<Vec<Entry>, NoAnswer> {
    let objects = ask::read(session, listing(folder)).await?;
    let mut files = Vec::new();
    for object in objects.iter().filter(|object| object.as_object().is_some_and(|object| object.is("System.IO.FileInfo"))) {
        let full = values::text(object, "FullName")?;
        let Some(name) = path::below(folder, &full).filter(|name| !name.is_empty() && !name.contains('\\')) else {
            return Err(format!("the list of `{}` holds `{}`", shown(folder), shown(&full)).into());
        };
        let size = object.get("Length").and_then(Value::as_u64).ok_or_else(|| "a file of the list has no size".to_owned())?;
        let ticks = modified(object)?;
        let written = jiff::Timestamp::from_nanosecond(i128::from(ticks) * 100);
        let modified =
            written.map_or_else(|_| "at an unknown time".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
        files.push(Entry { name: name.to_owned(), size, modified, ticks });
    }
    Ok(files)
}

/// The one of that name.
#[must_use]
pub fn find<'e>(entries: &'e [Entry], name: &str) -> Option<&'e Entry> {
    entries.iter().find(|entry| entry.name.to_lowercase() == name.to_lowercase())
}

/// When a file was last written, in ticks; `None` if it is not there.
///
/// # Errors
/// As [`list`].
pub async fn written(session: &mut Session, place: &Place) -> Result<Option<i64>, NoAnswer> {
    let entries = list(session, &place.folder).await?;
    Ok(find(&entries, &place.name).map(|entry| entry.ticks))
}

/// The command that hashes a file.
#[must_use]
pub fn hashing(path: &str) -> Command {
    Command::new("Get-FileHash").parameter("LiteralPath", path).parameter("Algorithm", "SHA256")
}

/// The SHA-256 of a file, in lower-case hex.
///
/// # Errors
/// It cannot be told: the file is not there, in use, or the host is too old.
pub async fn hash(session: &mut Session, path: &str) -> Result<String, NoAnswer> {
    let (found, complaint) = ask::hashes(session, &[path.to_owned()]).await?;
    match (found.into_values().next(), complaint) {
        (Some(hash), None) => Ok(hash),
        (_, Some(why)) => Err(why.into()),
        (None, None) => Err(format!("the host gives no SHA-256 of `{}`", shown(path)).into()),
    }
}

/// A SHA-256 as an argument.
///
/// # Errors
/// It is none.
pub fn sha256(call: &Call) -> Result<Option<String>, String> {
    let Some(text) = args::text(call, "sha256")? else { return Ok(None) };
    let hash = text.trim().to_lowercase();
    let fits = hash.len() == 64 && hash.bytes().all(|c| c.is_ascii_hexdigit());
    if fits { Ok(Some(hash)) } else { Err(format!("`sha256` is `{}`, not 64 hexadecimal digits", shown(&text))) }
}

/// The command that fetches a file as bytes.
#[must_use]
pub fn fetching(path: &str) -> Command {
    Command::new("Get-Content").parameter("LiteralPath", path).parameter("Encoding", "Byte").switch("Raw")
}

/// The bytes of a file, which must not be larger than [`FETCHED`].
///
/// # Errors
/// It cannot be read, or what came is not bytes.
pub async fn fetch(session: &mut Session, path: &str) -> Result<Vec<u8>, NoAnswer> {
    let objects = ask::read(session, fetching(path)).await?;
    bytes(&objects).ok_or_else(|| format!("`{}` did not come as bytes", shown(path)).into())
}

/// One array of bytes, or the bytes one by one: as PowerShell sends them depends on its version.
fn bytes(objects: &[Value]) -> Option<Vec<u8>> {
    let one = |value: &Value| match value.primitive() {
        Value::U8(byte) => Some(*byte),
        _ => None,
    };
    match objects {
        [only] if only.as_bytes().is_some() => only.as_bytes().map(<[u8]>::to_vec),
        [only] if only.items().is_some() => only.items()?.iter().map(one).collect(),
        all => all.iter().map(one).collect(),
    }
}

/// The command that reads a file as one text.
#[must_use]
pub fn reading(path: &str) -> Command {
    Command::new("Get-Content").parameter("LiteralPath", path).switch("Raw")
}

/// The text of a file; empty for an empty one.
///
/// # Errors
/// It cannot be read.
pub async fn text(session: &mut Session, path: &str) -> Result<String, NoAnswer> {
    let objects = ask::read(session, reading(path)).await?;
    match objects.as_slice() {
        [] => Ok(String::new()),
        [only] if only.is_nil() => Ok(String::new()),
        [only] => only.as_str().map(str::to_owned).ok_or_else(|| format!("`{}` did not come as text", shown(path)).into()),
        several => Err(format!("`{}` came as {} things, not as one text", shown(path), several.len()).into()),
    }
}

/// The command that gives a file its name. It refuses where there is a file of that name.
#[must_use]
pub fn renaming(from: &str, name: &str) -> Command {
    Command::new("Rename-Item").parameter("LiteralPath", from).parameter("NewName", name).parameter("ErrorAction", "Stop")
}

/// The command that removes exactly this file.
#[must_use]
pub fn removal(path: &str) -> Command {
    Command::new("Remove-Item").parameter("LiteralPath", path).parameter("Confirm", false).parameter("ErrorAction", "Stop")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_apart_and_gets_names_beside_it() {
        let place = Place::parse("D:\\Migration\\group.chat.zip", "file", ".zip").unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((place.folder.as_str(), place.name.as_str(), place.stem()), ("D:\\Migration", "group.chat.zip", "group.chat"));
        assert_eq!(place.beside("part-r1-1-ab").path, "D:\\Migration\\group.chat.part-r1-1-ab.zip");
        for wrong in ["D:\\a.txt", "a.zip", "D:\\.zip", "D:\\a\\..\\b.zip", "\\\\fs01\\a.zip", "D:\\a*.zip"] {
            assert!(Place::parse(wrong, "file", ".zip").is_err(), "{wrong}");
        }
        assert_eq!(folder_path("D:"), "D:\\");
    }

    #[test]
    fn bytes_come_as_one_array_or_one_by_one() {
        assert_eq!(bytes(&[Value::Bytes(vec![1, 2])]), Some(vec![1, 2]));
        assert_eq!(bytes(&[Value::U8(1), Value::U8(2)]), Some(vec![1, 2]));
        assert_eq!(bytes(&[Value::list([Value::U8(7)])]), Some(vec![7]));
        assert_eq!(bytes(&[]), Some(Vec::new()));
        assert_eq!(bytes(&[Value::from("PK")]), None);
    }
}
