//! Paths, and the places that they lead to.
//!
//! - A path is first taken apart as Windows does it: drive or share, then names; `.` and `..` are resolved on the text and
//!   never lead above the root.
//! - A name is then looked up in the folder that stands for the drive, without regard to case, part by part.
//! - Nothing that is a link in the real folder is followed: it is refused as if its owner had forbidden it. So whatever a
//!   path says, what it leads to lies in the folder of a machine.

use std::fs;

use super::astray::Astray;
use super::machine::{Machine, same};
use super::place::{ILLEGAL, Place, join, names};
use super::wildcard::{Wildcard, is_pattern, unescape};

/// A path into `HKLM:`, without the drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(pub String);

/// Where a path leads: to one of the two kinds of drives that the lab has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// Files.
    File(Place),
    /// The registry.
    Key(Key),
}

/// Who looks, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Eye<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The others.
    pub others: &'a [Machine],
    /// The account: relative paths begin in its folder.
    pub account: &'a str,
}

impl Eye<'_> {
    /// Where a path leads, each character of which stands for itself.
    ///
    /// # Errors
    /// It leads nowhere.
    pub fn literal(self, path: &str) -> Result<Spot, Astray> {
        let path = path.replace('/', "\\");
        let path = match path.split_once("::") {
            Some((provider, rest)) => {
                let short = provider.rsplit('\\').next().unwrap_or_default();
                if same(short, "Registry") {
                    return registry(rest);
                } else if !same(short, "FileSystem") {
                    return Err(Astray::Provider(provider.to_owned()));
                }
                rest
            }
            None => &path,
        };
        if let Some(unc) = path.strip_prefix("\\\\") {
            return self.share(path, unc).map(Spot::File);
        }
        let (drive, below) = match path.split_once(':') {
            Some((drive, below)) if !drive.contains('\\') => (drive.to_owned(), below.to_owned()),
            Some(_) => return Err(Astray::Format(path.to_owned())),
            None if path.starts_with('\\') => ("C".to_owned(), path.to_owned()),
            None => {
                let user = self.account.rsplit('\\').next().unwrap_or_default().split('@').next().unwrap_or_default();
                let user: String = user.chars().filter(|c| !ILLEGAL.contains(c) && !c.is_control()).collect();
                ("C".to_owned(), format!("\\Users\\{user}\\Documents\\{path}"))
            }
        };
        if same(&drive, "HKLM") {
            return Ok(Spot::Key(Key(join(&names(&below)))));
        }
        let letter = self.machine.drive(&drive).ok_or_else(|| Astray::Drive(drive.clone()))?;
        let place =
            Place { root: format!("{letter}:\\"), folder: self.machine.files.join(letter.to_string()), names: names(&below) };
        place.checked().map(Spot::File)
    }

    /// Where a path leads on a share.
    fn share(self, path: &str, unc: &str) -> Result<Place, Astray> {
        let mut parts = unc.splitn(3, '\\');
        let (server, share, below) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        if server.contains(ILLEGAL) || share.contains(ILLEGAL) {
            return Err(Astray::Illegal(path.to_owned()));
        }
        let missing = || Astray::Missing(path.to_owned());
        let machine = if self.machine.answers_to(server) {
            self.machine
        } else {
            let other = self.others.iter().find(|other| other.answers_to(server)).ok_or_else(missing)?;
            // The session holds no password that it could show there: without delegation it is nobody (the double hop).
            if !self.machine.delegates_to.iter().any(|name| same(name, &other.name)) {
                return Err(Astray::Denied(path.to_owned()));
            }
            other
        };
        let local = match machine.shares.iter().find(|(name, _)| same(name, share)) {
            Some((_, local)) => local.clone(),
            None => {
                // Administrative shares: a drive's letter with a dollar sign.
                let letter = share.strip_suffix('$').and_then(|drive| machine.drive(drive)).ok_or_else(missing)?;
                format!("{letter}:\\")
            }
        };
        let (drive, above) = local.split_once(':').ok_or_else(missing)?;
        let letter = machine.drive(drive).ok_or_else(missing)?;
        let drive = Place { root: String::new(), folder: machine.files.join(letter.to_string()), names: names(above) };
        let folder = match drive.look() {
            Ok(Some(found)) if found.is_dir => found.path,
            Ok(_) => return Err(missing()),
            Err(_) => return Err(Astray::Denied(path.to_owned())),
        };
        Place { root: format!("\\\\{server}\\{share}"), folder, names: names(below) }.checked()
    }

    /// Where a path with wildcards leads: to all that match and exist. Without wildcards: to one place, whether or not
    /// anything is there.
    ///
    /// # Errors
    /// It leads nowhere. That nothing matches is no error.
    pub fn expand(self, path: &str) -> Result<Vec<Spot>, Astray> {
        if !is_pattern(path) {
            return Ok(vec![self.literal(&unescape(path))?]);
        }
        let path = path.replace('/', "\\");
        // All before the first pattern is an ordinary path.
        let mut split = 0;
        for part in path.split_inclusive('\\') {
            if is_pattern(part) {
                break;
            }
            split += part.len();
        }
        let (before, patterns) = path.split_at(split);
        let start = match self.literal(&unescape(before))? {
            Spot::File(place) => place,
            Spot::Key(_) => return Err(Astray::Pattern(path.clone())),
        };
        let mut places = vec![start];
        for pattern in patterns.split('\\').filter(|pattern| !pattern.is_empty() && *pattern != ".") {
            let mut next = Vec::new();
            if pattern == ".." {
                next.extend(places.iter().map(Place::parent));
            } else if is_pattern(pattern) {
                let wildcard = Wildcard::powershell(pattern).map_err(|_| Astray::Pattern(path.clone()))?;
                for place in &places {
                    let children = place.children().unwrap_or_default();
                    next.extend(
                        children.into_iter().filter(|child| wildcard.is_match(child.place.name())).map(|child| child.place),
                    );
                }
            } else {
                let name = unescape(pattern);
                let below = places.iter().filter_map(|place| place.child(&name).ok());
                next.extend(below.filter(|place| matches!(place.look(), Ok(Some(_)))));
            }
            places = next;
        }
        Ok(places.into_iter().map(Spot::File).collect())
    }
}

/// Where a path of the registry's provider leads.
fn registry(path: &str) -> Result<Spot, Astray> {
    let (hive, below) = path.split_once('\\').unwrap_or((path, ""));
    if same(hive, "HKEY_LOCAL_MACHINE") || same(hive, "HKLM") {
        return Ok(Spot::Key(Key(join(&names(below)))));
    }
    Err(Astray::Missing(path.to_owned()))
}

impl Machine {
    /// The letter of a drive, if the machine has it.
    #[must_use]
    pub fn drive(&self, name: &str) -> Option<char> {
        let mut letters = name.chars();
        let letter = letters.next().filter(char::is_ascii_alphabetic)?.to_ascii_uppercase();
        let folder = self.files.join(letter.to_string());
        let is_folder = fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir());
        (letters.next().is_none() && is_folder).then_some(letter)
    }

    /// The letters of all its drives.
    #[must_use]
    pub fn drives(&self) -> Vec<char> {
        ('A'..='Z').filter(|letter| self.drive(&letter.to_string()).is_some()).collect()
    }
}
