//! A source held against its copy: what is there, what is to be copied, what is in the way. Pure.

use super::super::ask::shown;
use super::args::{Args, Verify};
use super::image::Image;
use super::tree::{File, Tree};
use crate::plan::Verdict;

/// Names that are shown.
const SHOWN: usize = 5;
/// File systems keep times to 2 s at worst (FAT).
const SAME_TIME: i64 = 20_000_000;

/// How a file and its copy compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Same {
    /// They are the same.
    Yes,
    /// They are not.
    No,
    /// Of one size, and nobody has looked at what they hold.
    Unproved,
}

/// What was found. All paths are relative, in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Folders that are missing at the destination, what holds others first.
    pub folders: Vec<String>,
    /// Files that are missing there.
    pub absent: Vec<String>,
    /// Files that are not the same there, and may be copied over.
    pub differs: Vec<String>,
    /// Files that are not the same there and were there before us, and what is no file where one has to be.
    pub foreign: Vec<String>,
    /// Files of the same size whose content is not proved.
    pub unproved: Vec<String>,
    /// Files that are the same.
    pub same: usize,
    /// Of those, in bytes.
    pub same_bytes: u64,
}

/// Whether two files are the same. `hashes` are those of the source and of the copy, as far as they are known.
#[must_use]
pub fn same(verify: Verify, from: &File, to: &File, hashes: (Option<&str>, Option<&str>)) -> Same {
    if from.size != to.size {
        return Same::No;
    }
    let yes_or_no = |is_same| if is_same { Same::Yes } else { Same::No };
    match (verify, hashes) {
        (Verify::Times, _) => yes_or_no(is_same_time(from.modified, to.modified)),
        (Verify::Sha256, (Some(from), Some(to))) => yes_or_no(from == to),
        (Verify::Sha256, _) => Same::Unproved,
    }
}

/// Whether two times are the same, as file systems keep them.
#[must_use]
pub fn is_same_time(one: i64, two: i64) -> bool {
    one.abs_diff(two) <= SAME_TIME.unsigned_abs()
}

/// Holds a source against its copy. `image` says what was at the destination before the first attempt; without one, everything that is
/// there was there before. `judge` compares two files.
#[must_use]
pub fn compare(
    source: &Tree,
    copy: &Tree,
    image: Option<&Image>,
    overwrite: bool,
    judge: impl Fn(&File, &File) -> Same,
) -> Compared {
    let mut found = Compared::default();
    for key in source.folders.keys() {
        if copy.files.contains_key(key) {
            found.foreign.push(key.clone());
        } else if !copy.folders.contains_key(key) {
            found.folders.push(key.clone());
        }
    }
    for (key, file) in &source.files {
        if copy.folders.contains_key(key) {
            found.foreign.push(key.clone());
            continue;
        }
        let Some(there) = copy.files.get(key) else {
            found.absent.push(key.clone());
            continue;
        };
        match judge(file, there) {
            Same::Yes => {
                found.same += 1;
                found.same_bytes += file.size;
            }
            Same::Unproved => found.unproved.push(key.clone()),
            Same::No if overwrite || image.is_some_and(|image| !image.had(key)) => found.differs.push(key.clone()),
            Same::No => found.foreign.push(key.clone()),
        }
    }
    found
}

impl Compared {
    /// Whether everything is there and proved.
    #[must_use]
    pub fn is_done(&self) -> bool {
        [&self.folders, &self.absent, &self.differs, &self.foreign, &self.unproved].into_iter().all(Vec::is_empty)
    }

    /// What it means.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !self.foreign.is_empty() {
            Verdict::Conflict
        } else if self.is_done() {
            Verdict::Done
        } else if self.same == 0 && self.differs.is_empty() && self.unproved.is_empty() {
            Verdict::NotDone
        } else {
            Verdict::Partial
        }
    }

    /// For people: how far it is.
    #[must_use]
    pub fn words(&self, source: &Tree, args: &Args) -> String {
        let how = match args.verify {
            Verify::Sha256 => "by SHA-256",
            Verify::Times => "by size and time of the last change, not by content",
        };
        let mut parts = vec![format!(
            "{} of {} files ({} of {}) are at `{}`, compared {how}",
            self.same,
            source.files.len(),
            size(self.same_bytes),
            size(source.bytes()),
            args.to
        )];
        let mut add = |list: &[String], what: &str| {
            if !list.is_empty() {
                parts.push(format!("{} {what}: {}", list.len(), few(list, source)));
            }
        };
        add(&self.foreign, "were there before and are not the same");
        add(&self.absent, "are missing");
        add(&self.differs, "differ");
        add(&self.unproved, "have the right size and are not read yet");
        if !self.folders.is_empty() {
            parts.push(format!("{} folders are missing", self.folders.len()));
        }
        parts.join("; ")
    }
}

/// The first few of some names, as they are written in a tree.
#[must_use]
pub fn few(list: &[String], tree: &Tree) -> String {
    let names: Vec<String> = list.iter().take(SHOWN).map(|name| format!("`{}`", shown(tree.own(name)))).collect();
    let more = if list.len() > SHOWN { format!(" and {} more", list.len() - SHOWN) } else { String::new() };
    format!("{}{more}", names.join(", "))
}

/// Bytes for people.
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1_u64 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, u64, i64)]) -> Tree {
        let mut tree = Tree::default();
        tree.folders.insert(String::new(), String::new());
        for (path, size, modified) in files {
            tree.files.insert((*path).to_owned(), File { path: (*path).to_owned(), size: *size, modified: *modified });
        }
        tree
    }

    fn by_size(from: &File, to: &File) -> Same {
        same(Verify::Sha256, from, to, (Some("x"), Some(if from.modified == to.modified { "x" } else { "y" })))
    }

    #[test]
    fn f78_the_same_size_alone_is_never_the_same() {
        let file = |size, modified| File { path: "a".to_owned(), size, modified };
        let hashed = |from, to| same(Verify::Sha256, &file(1, 0), &file(1, 0), (from, to));
        assert_eq!(hashed(None, None), Same::Unproved);
        assert_eq!(hashed(Some("x"), None), Same::Unproved);
        assert_eq!(hashed(Some("x"), Some("x")), Same::Yes);
        assert_eq!(hashed(Some("x"), Some("y")), Same::No);
        assert_eq!(same(Verify::Sha256, &file(1, 0), &file(2, 0), (Some("x"), Some("x"))), Same::No);
        let timed = |from, to| same(Verify::Times, &file(1, from), &file(1, to), (None, None));
        assert_eq!(timed(0, 20_000_000), Same::Yes);
        assert_eq!(timed(0, 20_000_001), Same::No);
    }

    #[test]
    fn what_was_there_before_is_in_the_way_and_what_came_since_is_ours() {
        let source = tree(&[("a", 1, 0), ("b", 1, 0)]);
        let copy = tree(&[("a", 1, 9), ("b", 1, 9)]);
        let verdict = |image: Option<&Image>, overwrite| compare(&source, &copy, image, overwrite, by_size).verdict();
        assert_eq!(verdict(None, false), Verdict::Conflict);
        assert_eq!(verdict(None, true), Verdict::Partial);
        let image = |had: &[&str]| Image::example(had);
        assert_eq!(verdict(Some(&image(&["a"])), false), Verdict::Conflict);
        assert_eq!(verdict(Some(&image(&[])), false), Verdict::Partial);
    }

    #[test]
    fn how_far_a_copy_is() {
        let source = tree(&[("a", 1, 0), ("b", 1, 0)]);
        let verdict = |copy: &Tree| compare(&source, copy, None, false, by_size).verdict();
        assert_eq!(verdict(&Tree::default()), Verdict::NotDone);
        assert_eq!(verdict(&tree(&[])), Verdict::NotDone);
        assert_eq!(verdict(&tree(&[("a", 1, 0)])), Verdict::Partial);
        assert_eq!(verdict(&tree(&[("a", 1, 0), ("b", 1, 0), ("c", 5, 5)])), Verdict::Done);
        let mut odd = tree(&[("a", 1, 0)]);
        odd.folders.insert("b".to_owned(), "b".to_owned());
        assert_eq!(verdict(&odd), Verdict::Conflict);
        let unproved = compare(&source, &tree(&[("a", 1, 0), ("b", 1, 0)]), None, false, |_, _| Same::Unproved);
        assert_eq!(unproved.verdict(), Verdict::Partial);
    }

    #[test]
    fn names_are_told_in_the_letters_that_the_host_shows() {
        let mut source = Tree::default();
        let file = File { path: "Rooms\\Sales EU.txt".to_owned(), size: 1, modified: 0 };
        source.files.insert("rooms\\sales eu.txt".to_owned(), file);
        assert_eq!(few(&["rooms\\sales eu.txt".to_owned()], &source), "`Rooms\\Sales EU.txt`");
        assert_eq!(few(&["gone".to_owned()], &source), "`gone`");
    }

    #[test]
    fn an_empty_folder_is_copied_too() {
        let mut source = tree(&[]);
        source.folders.insert("empty".to_owned(), "Empty".to_owned());
        let found = compare(&source, &tree(&[]), None, false, by_size);
        assert_eq!((found.verdict(), found.folders), (Verdict::NotDone, vec!["empty".to_owned()]));
    }
}
