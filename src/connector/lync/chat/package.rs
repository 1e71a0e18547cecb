//! Opens the ZIP of an export, without trusting it: what it says of itself is checked before anything is taken out, and what is
//! taken out is read as a stream under bounds. Nothing is ever written to a disk.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::time::Instant;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::super::cs::shown;

/// More parts than any export has; what a ZIP says of itself is held in memory.
const MOST_PARTS: u64 = 1000;
/// One part, unpacked.
const LARGEST_PART: u64 = 64 << 30;
/// How many times larger than packed a part may become. XML packs to a twentieth; deflate's own limit is a thousandth.
const MOST_TIMES: u64 = 250;
/// Below this nobody asks how it was packed.
const SMALL: u64 = 8 << 20;
/// One element, text or attribute list of XML: the only thing of a part that is held whole.
const LARGEST_PIECE: u64 = 16 << 20;
/// The record at the end of a ZIP, and the comment behind it.
const END: usize = 22;
const LONGEST_COMMENT: u64 = 65_535;
const END_MARK: &[u8] = b"PK\x05\x06";
const LOCATOR_MARK: &[u8] = b"PK\x06\x07";
const END64_MARK: &[u8] = b"PK\x06\x06";

/// One part, as the ZIP lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Unpacked, as it says.
    pub size: u64,
    place: usize,
}

/// An export that is open.
pub struct Package<R> {
    archive: ZipArchive<R>,
    /// In the order of the ZIP.
    pub parts: Vec<Part>,
}

impl<R: Read + Seek> Package<R> {
    /// Opens it and looks at every entry.
    ///
    /// # Errors
    /// It is no ZIP, or one that no export is.
    pub fn open(mut file: R) -> Result<Self, String> {
        count(&mut file)?;
        let mut archive = ZipArchive::new(file).map_err(|error| broken(&error))?;
        if archive.len() as u64 > MOST_PARTS {
            return Err(too_many(archive.len() as u64));
        }
        if archive.has_duplicate_names() {
            return Err("two parts of it have the same name".to_owned());
        }
        if archive.has_overlapping_files().map_err(|error| broken(&error))? {
            return Err("parts of it lie in one another, as in a file that was made to burst".to_owned());
        }
        let mut names = BTreeSet::new();
        let mut parts = Vec::new();
        for place in 0..archive.len() {
            let entry = archive.by_index_raw(place).map_err(|error| broken(&error))?;
            let name = entry.name().map_err(|error| broken(&error))?.into_owned();
            if let Some(why) = fault(&name) {
                return Err(format!("the part `{}` {why}", shown(&name)));
            }
            if !names.insert(name.to_lowercase()) {
                return Err(format!("two parts of it are called `{}`", shown(&name)));
            }
            if entry.encrypted() {
                return Err(format!("the part `{}` is encrypted", shown(&name)));
            }
            if entry.is_symlink() {
                return Err(format!("the part `{}` is a link", shown(&name)));
            }
            if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
                return Err(format!("the part `{}` is packed in a way that no export is: {}", shown(&name), entry.compression()));
            }
            let (size, packed) = (entry.size(), entry.compressed_size());
            if size > LARGEST_PART || bursts(size, packed) {
                return Err(burst(&name));
            }
            if !entry.is_dir() {
                parts.push(Part { name, size, place });
            }
        }
        Ok(Package { archive, parts })
    }

    /// A part by its name, as a bounded stream; `None` if there is none. `until` ends the reading.
    ///
    /// # Errors
    /// It cannot be unpacked.
    pub fn part(&mut self, name: &str, until: Option<Instant>) -> Result<Option<Bounded<impl Read + '_>>, String> {
        let Some(part) = self.parts.iter().find(|part| part.name.eq_ignore_ascii_case(name)) else { return Ok(None) };
        let entry = self.archive.by_index(part.place).map_err(|error| format!("the part `{name}`: {}", broken(&error)))?;
        let packed = entry.compressed_size();
        Ok(Some(Bounded { inner: BufReader::with_capacity(64 << 10, entry), packed, total: 0, piece: 0, until }))
    }
}

/// How many parts it says that it has: asked before the library takes them all into memory.
fn count(file: &mut (impl Read + Seek)) -> Result<(), String> {
    let wrong = |error: io::Error| format!("it cannot be read: {error}");
    let length = file.seek(SeekFrom::End(0)).map_err(wrong)?;
    let tail = length.min(END as u64 + LONGEST_COMMENT + 20);
    file.seek(SeekFrom::Start(length - tail)).map_err(wrong)?;
    let mut bytes = Vec::new();
    file.take(tail).read_to_end(&mut bytes).map_err(wrong)?;
    let at = |mark: &[u8]| -> Vec<usize> {
        bytes.windows(mark.len()).enumerate().filter(|(_, found)| *found == mark).map(|(at, _)| at).collect()
    };
    let ends = at(END_MARK);
    if ends.is_empty() {
        return Err("it is no ZIP, or its end is missing".to_owned());
    }
    for end in ends {
        let entries = bytes.get(end + 10..end + 12).map_or(0, |pair| u64::from(u16::from_le_bytes([pair[0], pair[1]])));
        if entries > MOST_PARTS && entries != u64::from(u16::MAX) {
            return Err(too_many(entries));
        }
    }
    for locator in at(LOCATOR_MARK) {
        let Some(offset) = bytes.get(locator + 8..locator + 16).and_then(|eight| eight.try_into().ok()).map(u64::from_le_bytes)
        else {
            continue;
        };
        let mut record = [0; 40];
        let found = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut record));
        if found.is_ok() && record.starts_with(END64_MARK) {
            let mut entries = [0; 8];
            entries.copy_from_slice(&record[32..40]);
            if u64::from_le_bytes(entries) > MOST_PARTS {
                return Err(too_many(u64::from_le_bytes(entries)));
            }
        }
    }
    file.rewind().map_err(wrong)
}

fn too_many(entries: u64) -> String {
    format!("it has {entries} parts, and an export has a handful")
}

fn burst(name: &str) -> String {
    format!("the part `{}` becomes much larger than data of chat rooms, as one that was made to burst", shown(name))
}

fn bursts(size: u64, packed: u64) -> bool {
    size > SMALL && size / MOST_TIMES > packed
}

/// Why no part of an export is called that.
fn fault(name: &str) -> Option<&'static str> {
    let odd = |c: char| c.is_control() || matches!(c, '\\' | ':');
    if name.is_empty() || name.len() > 255 {
        Some("has no usable name")
    } else if name.starts_with('/') || name.split('/').any(|step| matches!(step, "." | "..")) {
        Some("has a path that leads out of the file")
    } else {
        name.contains(odd).then_some("has a name that leads elsewhere on Windows")
    }
}

fn broken(error: &ZipError) -> String {
    match error {
        ZipError::Io(error) => format!("it cannot be unpacked: {error}"),
        other => format!("it is damaged, or no ZIP: {}", shown(&other.to_string())),
    }
}

/// A part while it is read. Gives up, with an error, where a bound is passed.
pub struct Bounded<R> {
    inner: BufReader<R>,
    packed: u64,
    total: u64,
    piece: u64,
    until: Option<Instant>,
}

impl<R> Bounded<R> {
    /// Another piece begins.
    pub fn renew(&mut self) {
        self.piece = 0;
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let from = self.fill_buf()?;
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let no = |why: &str| Err(io::Error::other(why.to_owned()));
        if self.piece > LARGEST_PIECE {
            return no("a single piece of it is larger than 16 MiB");
        }
        if self.total > LARGEST_PART || bursts(self.total, self.packed) {
            return no("it becomes much larger than data of chat rooms, as one that was made to burst");
        }
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return no("the step's time was over while it was read");
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.piece += count as u64;
        self.total += count as u64;
        self.inner.consume(count);
    }
}

#[cfg(test)]
#[path = "package_tests.rs"]
mod tests;
