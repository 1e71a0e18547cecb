//! Who may touch a run: nobody but its owner, *holders* (who may write its files), *voters* (who may read it and drop
//! letters). One place that reads this from the modes, and that says what somebody may do.
//!
//! - A folder has one group. A run with voters gives its own folder to them, so that they get in; what lies in it belongs to
//!   the holders' group. So holders must be voters as well.
//! - Holders can make up a history that fits. They are as trusted as whoever started the run.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::os::{self, Rights};
use super::{evidence, head, inbox, lock, read, run_dir};

/// Who may use a run directory, beside its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Circles {
    /// Nobody.
    Private,
    /// A group whose members may resume it, as `--group` makes it. They write the same files.
    Holders {
        /// The group.
        group: String,
    },
    /// A group that may read it and drop letters, as `--voters` makes it.
    Voters {
        /// The group.
        voters: String,
        /// The group whose members may resume it; `None`: its owner alone.
        holders: Option<String>,
    },
}

impl Circles {
    /// One line for people: what a vote in this run is worth.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Circles::Private => {
                "private: its owner's account alone can answer, and a vote of another account cannot reach it".into()
            }
            Circles::Holders { group } => format!(
                "shared with holders alone: everybody in group `{group}` may write the journal, so that four eyes are evidence \
                 here and no protection"
            ),
            Circles::Voters { voters, holders: None } => format!(
                "voters: group `{voters}` may read and vote and cannot write the journal, so that four eyes hold; its owner \
                 alone may write it"
            ),
            Circles::Voters { voters, holders: Some(group) } => format!(
                "voters: group `{voters}` may read and vote and cannot write the journal, so that four eyes hold against them; \
                 against its owner and the holders in group `{group}` they are evidence"
            ),
        }
    }
}

/// What this account may do with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Resume it: write its files.
    Hold,
    /// Read it and drop letters.
    Read,
    /// Nothing.
    Nothing,
}

/// What the modes of a run directory say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shares {
    /// Whose it is; `None` where that cannot be asked.
    owner: Option<u32>,
    voters: Option<u32>,
    holders: Option<u32>,
}

impl Shares {
    /// Reads them.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let Some(outer) = os::owned(&fs::symlink_metadata(dir)?) else {
            return Ok(Shares::default());
        };
        let owner = Some(outer.uid);
        if outer.mode & 0o2070 == 0o2070 {
            return Ok(Shares { owner, voters: None, holders: Some(outer.gid) });
        }
        if outer.mode & 0o070 != 0o050 {
            return Ok(Shares { owner, voters: None, holders: None });
        }
        // The outer folder belongs to the voters; the journal shows who else writes.
        let inner = fs::symlink_metadata(dir.join(read::NAME)).ok().and_then(|meta| os::owned(&meta));
        let holders = inner.filter(|inner| inner.mode & 0o020 != 0).map(|inner| inner.gid);
        Ok(Shares { owner, voters: Some(outer.gid), holders })
    }

    /// For people.
    pub fn circles(self) -> Circles {
        match (self.voters, self.holders) {
            (None, None) => Circles::Private,
            (None, Some(group)) => Circles::Holders { group: os::group_name(group) },
            (Some(voters), holders) => Circles::Voters { voters: os::group_name(voters), holders: holders.map(os::group_name) },
        }
    }

    /// How a file is made that voters may read, if there are any.
    pub fn rights(self) -> Rights {
        Rights { holders: self.holders, readable: self.voters.is_some() }
    }

    pub fn is_shared(self) -> bool {
        self.voters.is_some() || self.holders.is_some()
    }

    /// What this process may do.
    pub fn access(self) -> Access {
        let Some(owner) = self.owner else { return Access::Hold };
        let (me, is) = (os::my_uid(), |group: Option<u32>| group.is_some_and(os::am_member));
        let holds = is(self.holders) && (self.voters.is_none() || is(self.voters));
        if me == owner || (me == 0 && self.is_shared()) || holds {
            Access::Hold
        } else if is(self.voters) {
            Access::Read
        } else {
            Access::Nothing
        }
    }

    /// Whether an account may write the run's files.
    pub fn holds(self, uid: u32) -> bool {
        uid == 0 || self.owner == Some(uid) || self.holders.is_some_and(|group| os::is_member(uid, group))
    }

    /// Whether a file or folder belongs to the run's owner, who alone may write it.
    pub fn is_owner_of(self, path: &Path) -> bool {
        let found = fs::metadata(path).ok().and_then(|meta| os::owned(&meta));
        found.is_some_and(|found| Some(found.uid) == self.owner && found.mode & 0o022 == 0)
    }

    /// The owner's name.
    pub fn owner(self) -> String {
        self.owner.map_or_else(|| "somebody else".to_owned(), os::account)
    }

    /// Why somebody who is no holder could have written to it. `dropped` is for a folder that others may put files into.
    fn objection(self, meta: &Metadata, dropped: bool) -> Option<String> {
        let found = os::owned(meta)?;
        let mode = format!("mode {:04o}", found.mode);
        let drop_box = dropped && self.voters.is_some() && found.mode & 0o1000 != 0;
        if found.mode & 0o002 != 0 && !drop_box {
            return Some(format!("everybody may write to it ({mode})"));
        }
        if found.mode & 0o020 != 0 && Some(found.gid) != self.holders && !drop_box {
            let group = os::group_name(found.gid);
            return Some(format!("its group may write to it ({mode}, group `{group}`), and that is not a group of holders"));
        }
        if !self.holds(found.uid) {
            return Some(format!("it belongs to {}, who is not a holder of the run", os::account(found.uid)));
        }
        None
    }
}

/// What lies in a run directory and must not be a link, or anybody's but a holder's. Output and evidence are not looked
/// through: evidence is named by what it holds.
const FILES: [&str; 5] = [read::NAME, head::NAME, lock::NAME, run_dir::PLAN, run_dir::RESOLVED];
const FOLDERS: [&str; 5] = [run_dir::SOURCES, run_dir::TORN, run_dir::OUTPUT, evidence::NAME, inbox::NAME];
/// Folders that nothing is believed from. What is wrong with one is told, and it is not used; an abort has to get through.
const UNTRUSTED: [&str; 3] = [run_dir::LOG, inbox::DONE, inbox::REJECTED];
/// What is wrong with a file or folder: which, and why.
pub(super) type Objection = (PathBuf, String);

/// Looks for what somebody who is no holder could have written to, in the folder and in what lies in it. What is missing
/// is for those to report who need it. Returns what is wrong with folders that nothing is believed from.
///
/// # Errors
/// The first thing found that would have to be believed.
pub(super) fn check(dir: &Path, shares: Shares) -> Result<Vec<Objection>, Objection> {
    let look = |path: &Path, is_folder: bool, dropped: bool| -> Result<(), Objection> {
        let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
        let wrong = if is_folder {
            (!meta.is_dir()).then(|| "not a folder (symbolic links are not followed)".to_owned())
        } else {
            os::one_regular_file(&meta).err().map(str::to_owned)
        };
        wrong.or_else(|| shares.objection(&meta, dropped)).map_or(Ok(()), |why| Err((path.to_owned(), why)))
    };
    look(dir, true, false)?;
    for name in FILES {
        look(&dir.join(name), false, false)?;
    }
    for name in FOLDERS {
        look(&dir.join(name), true, name == inbox::NAME)?;
    }
    for entry in fs::read_dir(dir.join(run_dir::SOURCES)).into_iter().flatten().flatten() {
        look(&entry.path(), false, false)?;
    }
    let told = UNTRUSTED.iter().filter_map(|name| {
        let path = dir.join(name);
        // In a run of before the log is a file.
        let is_old_log = *name == run_dir::LOG && fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
        look(&path, !is_old_log, false).err()
    });
    Ok(told.collect())
}

/// Why a folder of the inbox is not to be used: a link, or one that others than holders could have put there.
pub(super) fn unfit_folder(path: &Path, shares: Shares) -> io::Result<Option<String>> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Ok(Some("it is not a folder (symbolic links are not followed)".to_owned()));
    }
    Ok(shares.objection(&meta, false))
}

/// The groups that a new run is shared with, as numbers.
pub(super) struct Groups {
    pub holders: Option<u32>,
    pub voters: Option<u32>,
}

impl Groups {
    /// Finds them, and makes sure that this account can give something to them.
    pub fn find(holders: Option<&str>, voters: Option<&str>) -> Result<Self, String> {
        let number = |option: &str, group: Option<&str>| -> Result<Option<u32>, String> {
            let Some(group) = group else { return Ok(None) };
            let gid = os::group_id(group).map_err(|error| format!("`--{option} {group}`: {error}"))?;
            if os::my_uid() != 0 && !os::am_member(gid) {
                let me = os::current_account();
                return Err(format!("`--{option} {group}`: `{me}` is not in that group, and can give it nothing"));
            }
            Ok(Some(gid))
        };
        let found = Groups { holders: number("group", holders)?, voters: number("voters", voters)? };
        if found.holders.is_some() && found.holders == found.voters {
            return Err("`--group` and `--voters` name the same group: its members would be holders; give `--group` alone".into());
        }
        Ok(found)
    }
}

/// Members of the holders' group that are not in the voters' group: they could not enter the run directory. Accounts that
/// have the holders' group as their own are not listed by the system, and not looked at.
#[must_use]
pub fn holders_left_out(holders: &str, voters: &str) -> Vec<String> {
    let (Ok(holders), Ok(voters)) = (os::group_id(holders), os::group_id(voters)) else { return Vec::new() };
    let out = |name: &String| os::is_member_by_name(name, voters) == Some(false);
    os::listed_members(holders).into_iter().filter(out).collect()
}

/// Folders from here up that others may not enter, nearest first.
#[must_use]
pub fn closed_above(path: &Path) -> Vec<PathBuf> {
    let closed = |path: &&Path| {
        let found = fs::metadata(path).ok().and_then(|meta| os::owned(&meta));
        found.is_some_and(|found| found.mode & 0o001 == 0)
    };
    path.ancestors().filter(closed).map(Path::to_owned).collect()
}

/// Why somebody other than this account and root decides what stands in a file or lies in a folder; `None` if nobody does.
#[must_use]
pub fn foreign(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    let found = os::owned(&meta)?;
    if found.uid != 0 && found.uid != os::my_uid() {
        return Some(format!("it belongs to `{}`", os::account(found.uid)));
    }
    // In a folder with the sticky bit nobody can replace what is another's.
    let sticky = meta.is_dir() && found.mode & 0o1000 != 0;
    if found.mode & 0o002 != 0 && !sticky {
        return Some(format!("everybody may write to it (mode {:04o})", found.mode));
    }
    if found.mode & 0o020 != 0 && !sticky && !os::is_own_group(found.uid, found.gid) {
        return Some(format!("everybody in group `{}` may write to it (mode {:04o})", os::group_name(found.gid), found.mode));
    }
    None
}
