//! What unfinished runs act on: a lock per target, for the whole machine.
//!
//! ```text
//! locks/                  itself locked while somebody looks and changes
//!   held                  one line per taking and leaving; the unfinished runs and what they act on
//!   <hash>.lock           locked by the kernel while a process changes the target, or together by those that read it
//! ```
//!
//! - The kernel's lock says that a process is alive that acts on the target. It ends with the process.
//! - The line in `held` outlives the process: a run that was killed, or that waits for a person, is unfinished, and what it
//!   has begun on the target may be half done.
//! - All targets of a run are taken at once or not at all, in one order, so that no two runs wait for each other.
//!
//! Only lines are added to `held`: a process that is killed while it writes tears at most its own. A line that cannot be
//! read is passed over. The run directory has the last word: an entry whose run is gone, or has ended, counts for nothing.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::machine::{HELD, Machine, MachineError};
use super::{chain, holder_alive, os, read};
use crate::plan::acts::Access;
use crate::run::event::Holder;
use crate::time::Timestamp;

/// So long the folder may be locked by somebody else, who only reads and adds a line.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long a target may be locked by nobody that lives: a dead holder's last child has not become its program yet, which
/// closes the lock; or the holder is just about to leave.
const UNSIGNED: Duration = Duration::from_millis(500);
/// From this length on, what is over is cleared away.
const CLEAR_AT: u64 = 256 << 10;
/// Longer is no list of unfinished runs.
const LONGEST: u64 = 64 << 20;

/// One unfinished run and what it acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub run: String,
    /// Its folder.
    pub dir: PathBuf,
    /// The plan's name.
    pub plan: String,
    /// The process that took the locks; it may be dead.
    pub holder: Holder,
    /// Since when.
    pub since: Timestamp,
    /// What it acts on.
    pub locks: BTreeMap<String, Access>,
    /// Runs that it was told to run beside, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
}

/// A line of `held`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// A run took its locks.
    Taken(Box<Entry>),
    /// A run has ended, or its process gave up before it began.
    Left { dir: PathBuf, holder: Holder },
}

/// Another run on the same targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other run; `None` if a process holds the lock and nothing is written of it.
    pub entry: Option<Entry>,
    /// What both act on.
    pub keys: Vec<String>,
}

/// What came of taking.
#[derive(Debug)]
pub enum Taking {
    /// All are ours.
    Taken(TargetLocks),
    /// Living processes hold some of them.
    Held(Vec<Conflict>),
    /// No process holds them, but runs on them are unfinished.
    Unfinished(Vec<Conflict>),
}

/// The locks of one run, held by this process. Dropped before [`TargetLocks::keep`], the run never began, and its entry goes.
#[derive(Debug)]
pub struct TargetLocks {
    machine: Machine,
    dir: PathBuf,
    holder: Holder,
    /// Locked; closed with the value.
    _files: Vec<File>,
    begun: bool,
}

impl TargetLocks {
    /// Takes everything that `entry` names. Entries of the same folder are earlier processes of the same run, and are
    /// replaced.
    ///
    /// # Errors
    /// The machine's folder cannot be used.
    pub fn take(machine: &Machine, entry: Entry) -> Result<Taking, MachineError> {
        let guard = Guard::take(machine)?;
        let mut held = Held::open(machine)?;
        let start = Instant::now();
        let others: Vec<Entry> = held.entries.iter().filter(|other| other.dir != entry.dir).cloned().collect();
        let mut files = Vec::new();
        for (key, access) in &entry.locks {
            loop {
                if let Some(file) = try_lock(machine, key, *access)? {
                    files.push(file);
                    break;
                }
                let meets = others.iter().filter(|other| meet(&entry, other).contains(key)).cloned();
                let living: Vec<Entry> = meets.filter(|other| holder_alive(&other.holder)).collect();
                if living.is_empty() && start.elapsed() < UNSIGNED {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                let mut conflicts: Vec<Conflict> = living.into_iter().map(|other| Conflict::of(&entry, other)).collect();
                if conflicts.is_empty() {
                    // A process of another container, perhaps: it is not seen, but its lock is.
                    let written = others.iter().rfind(|other| meet(&entry, other).contains(key)).cloned();
                    conflicts.push(Conflict { entry: written, keys: vec![key.clone()] });
                }
                return Ok(Taking::Held(conflicts));
            }
        }
        let mut living = Vec::new();
        let mut unfinished = Vec::new();
        for other in others {
            let conflict = Conflict::of(&entry, other.clone());
            if conflict.keys.is_empty() {
                continue;
            }
            // The kernel's lock was free, so such a process has lost its lock file; it acts all the same.
            if holder_alive(&other.holder) {
                living.push(conflict);
            } else if is_over(&other.dir) {
                held.add(&Line::Left { dir: other.dir, holder: other.holder })?;
            } else if conflict.keys.iter().any(|key| other.locks.get(key) == Some(&Access::Write))
                && !entry.beside.contains(&other.run)
                && !other.beside.contains(&entry.run)
            {
                unfinished.push(conflict);
            }
        }
        if !living.is_empty() {
            return Ok(Taking::Held(living));
        }
        if !unfinished.is_empty() {
            return Ok(Taking::Unfinished(unfinished));
        }
        for old in held.entries.iter().filter(|old| old.dir == entry.dir).cloned().collect::<Vec<_>>() {
            held.add(&Line::Left { dir: old.dir, holder: old.holder })?;
        }
        let (dir, holder) = (entry.dir.clone(), entry.holder.clone());
        held.add(&Line::Taken(Box::new(entry)))?;
        held.sync()?;
        drop(guard);
        Ok(Taking::Taken(TargetLocks { machine: machine.clone(), dir, holder, _files: files, begun: false }))
    }

    /// The run exists from now on: it stays unfinished if this process dies.
    pub fn keep(&mut self) {
        self.begun = true;
    }

    /// This process leaves the run. If it has `ended`, nothing more is held; otherwise it stays unfinished.
    ///
    /// # Errors
    /// It cannot be written down. Whoever takes the same targets next finds out by the run's own journal.
    pub fn leave(mut self, ended: bool) -> Result<(), MachineError> {
        let was_begun = std::mem::replace(&mut self.begun, true);
        if ended || !was_begun { self.forget() } else { Ok(()) }
    }

    fn forget(&self) -> Result<(), MachineError> {
        let _guard = Guard::take(&self.machine)?;
        let mut held = Held::open(&self.machine)?;
        held.add(&Line::Left { dir: self.dir.clone(), holder: self.holder.clone() })?;
        held.clear_away()
    }
}

impl Drop for TargetLocks {
    fn drop(&mut self) {
        if !self.begun {
            // The run has no folder, so the entry counts for nothing anyway.
            let _ = self.forget();
        }
    }
}

/// Forgets what the run in that folder acts on: it was ended by an order, and no process holds it.
///
/// # Errors
/// It cannot be written down.
pub fn forget(machine: &Machine, dir: &Path) -> Result<(), MachineError> {
    let _guard = Guard::take(machine)?;
    let mut held = Held::open(machine)?;
    let gone = held.entries.iter().filter(|entry| entry.dir == dir && !holder_alive(&entry.holder)).cloned();
    for entry in gone.collect::<Vec<_>>() {
        held.add(&Line::Left { dir: entry.dir, holder: entry.holder })?;
    }
    held.clear_away()
}

impl Conflict {
    fn of(entry: &Entry, other: Entry) -> Self {
        Conflict { keys: meet(entry, &other), entry: Some(other) }
    }
}

/// What both act on, and at least one of them changes.
fn meet(one: &Entry, other: &Entry) -> Vec<String> {
    let both = one.locks.iter().filter_map(|(key, access)| Some((key, access, other.locks.get(key)?)));
    both.filter(|(_, a, b)| **a == Access::Write || **b == Access::Write).map(|(key, ..)| key.clone()).collect()
}

/// Whether a run that no process holds is over: its folder is gone, or its journal says so. A folder that this account may
/// not read is not known to be.
fn is_over(dir: &Path) -> bool {
    match dir.symlink_metadata() {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(_) => read::past(dir).is_some_and(|past| !past.is_unfinished()),
    }
}

/// `None` if somebody else has it.
fn try_lock(machine: &Machine, key: &str, access: Access) -> Result<Option<File>, MachineError> {
    let name = format!("{}.lock", &chain::text(&chain::hash(key.as_bytes()))[..32]);
    let path = machine.locks().join(&name);
    let file = open_or_make(&machine.locks(), &name, &format!("{key}\n")).map_err(MachineError::io(&path))?;
    let locked = match access {
        Access::Write => file.try_lock(),
        Access::Read => file.try_lock_shared(),
    };
    match locked {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(MachineError::io(&path)(error)),
    }
}

/// Opens a common file for writing; makes it with this text if it is missing. The caller has the guard.
fn open_or_make(folder: &Path, name: &str, text: &str) -> io::Result<File> {
    let path = folder.join(name);
    // Without "make it if it is missing": in a folder like this one the system refuses that for another account's file.
    match os::open_regular(&path, true) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let draft = folder.join(format!(".{name}.{:016x}.new", os::random()));
    let made = os::create_common(&draft, true).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        fs::rename(&draft, &path)?;
        os::sync_dir(folder)?;
        Ok(file)
    });
    if made.is_err() {
        let _ = fs::remove_file(&draft);
    }
    made
}

/// The folder of locks, locked.
struct Guard(#[expect(dead_code, reason = "held until it is closed")] File);

impl Guard {
    fn take(machine: &Machine) -> Result<Self, MachineError> {
        let path = machine.locks();
        let failed = MachineError::io(&path);
        let start = Instant::now();
        let file = os::open_guard(&path).map_err(failed)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Guard(file)),
                Err(TryLockError::Error(error)) => return Err(MachineError::io(&path)(error)),
                Err(TryLockError::WouldBlock) if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(2)),
                Err(TryLockError::WouldBlock) => {
                    let why = "another process has kept it locked for more than ten seconds".to_owned();
                    return Err(MachineError { path, why, no_space: false });
                }
            }
        }
    }
}

/// The unfinished runs.
struct Held {
    path: PathBuf,
    file: File,
    entries: Vec<Entry>,
}

impl Held {
    fn open(machine: &Machine) -> Result<Self, MachineError> {
        let path = machine.locks().join(HELD);
        let read = || {
            let mut file = open_or_make(&machine.locks(), HELD, "")?;
            let bytes = os::read_at_most(&mut file, LONGEST)?.ok_or_else(|| io::Error::other("it is too long"))?;
            Ok((file, bytes))
        };
        let (mut file, bytes) = read().map_err(MachineError::io(&path))?;
        let mut entries = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            // A torn line is that of a process which was killed before its run began.
            if let Ok(line) = serde_json::from_slice(line) {
                fold(&mut entries, line);
            }
        }
        if bytes.last().is_some_and(|byte| *byte != b'\n') {
            file.write_all(b"\n").map_err(MachineError::io(&path))?;
        }
        Ok(Held { path, file, entries })
    }

    fn add(&mut self, line: &Line) -> Result<(), MachineError> {
        let written = serde_json::to_vec(line).map_err(io::Error::other).and_then(|mut text| {
            text.push(b'\n');
            self.file.seek(SeekFrom::End(0))?;
            self.file.write_all(&text)?;
            serde_json::from_slice(&text).map_err(io::Error::other)
        });
        fold(&mut self.entries, written.map_err(MachineError::io(&self.path))?);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), MachineError> {
        self.file.sync_all().map_err(MachineError::io(&self.path))
    }

    /// Clears away what is over, once that is worth it.
    fn clear_away(&mut self) -> Result<(), MachineError> {
        let failed = MachineError::io(&self.path);
        let mut clear = || {
            if self.entries.is_empty() {
                return self.file.set_len(0);
            }
            if self.file.metadata()?.len() < CLEAR_AT {
                return Ok(());
            }
            let mut text = Vec::new();
            for entry in &self.entries {
                serde_json::to_writer(&mut text, &Line::Taken(Box::new(entry.clone())))?;
                text.push(b'\n');
            }
            // Written over the beginning, then cut: killed in between, the rest is the newest lines again, in their order,
            // and says the same once more.
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&text)?;
            self.file.set_len(text.len() as u64)?;
            self.file.sync_all()
        };
        clear().map_err(failed)
    }
}

fn fold(entries: &mut Vec<Entry>, line: Line) {
    match line {
        Line::Taken(entry) => {
            entries.retain(|other| (&other.dir, &other.holder) != (&entry.dir, &entry.holder));
            entries.push(*entry);
        }
        Line::Left { dir, holder } => entries.retain(|other| (&other.dir, &other.holder) != (&dir, &holder)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        root: tempfile::TempDir,
        machine: Machine,
    }

    impl World {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let machine = Machine::at(&root.path().join("machine")).unwrap();
            World { root, machine }
        }

        /// A run of a process that does not live, with a folder whose journal cannot be read.
        fn entry(&self, run: &str, locks: &[(&str, Access)]) -> Entry {
            let dir = self.root.path().join(run);
            fs::create_dir_all(&dir).unwrap();
            let holder = Holder { host: "h".into(), boot_id: "b".into(), pid: 1, started: 1, user: "ann".into() };
            let locks = locks.iter().map(|(key, access)| ((*key).to_owned(), *access)).collect();
            let since = Timestamp::from_millis(0);
            Entry { run: run.into(), dir, plan: "p".into(), holder, since, locks, beside: Vec::new() }
        }

        fn take(&self, entry: Entry) -> Taking {
            TargetLocks::take(&self.machine, entry).unwrap()
        }

        fn taken(&self, entry: Entry) -> TargetLocks {
            match self.take(entry) {
                Taking::Taken(mut locks) => {
                    locks.keep();
                    locks
                }
                other => panic!("not taken: {other:?}"),
            }
        }
    }

    const CHANGES: &[(&str, Access)] = &[("sql01", Access::Write)];
    const READS: &[(&str, Access)] = &[("sql01", Access::Read)];

    fn of(conflicts: &[Conflict]) -> Vec<(Option<&str>, Vec<String>)> {
        conflicts.iter().map(|one| (one.entry.as_ref().map(|entry| entry.run.as_str()), one.keys.clone())).collect()
    }

    #[test]
    fn two_runs_never_change_one_target_at_once_and_any_number_reads_it() {
        let world = World::new();
        let first = world.taken(world.entry("a", READS));
        let second = world.taken(world.entry("b", READS));
        let other = world.taken(world.entry("c", &[("sql02", Access::Write)]));
        assert!(matches!(world.take(world.entry("d", CHANGES)), Taking::Held(_)));
        first.leave(true).unwrap();
        second.leave(true).unwrap();
        let changes = world.taken(world.entry("d", CHANGES));
        assert!(matches!(world.take(world.entry("e", READS)), Taking::Held(_)));
        changes.leave(true).unwrap();
        other.leave(true).unwrap();
        assert_eq!(fs::read(world.machine.locks().join(HELD)).unwrap(), b"", "nothing is held, nothing is kept");
    }

    #[test]
    fn a_run_whose_process_left_without_an_end_stays_in_the_way_until_it_ends() {
        let world = World::new();
        world.taken(world.entry("a", CHANGES)).leave(false).unwrap();
        match world.take(world.entry("b", CHANGES)) {
            Taking::Unfinished(conflicts) => assert_eq!(of(&conflicts), [(Some("a"), vec!["sql01".to_owned()])]),
            other => panic!("{other:?}"),
        }
        let beside = Entry { beside: vec!["a".into()], ..world.entry("b", CHANGES) };
        world.taken(beside).leave(false).unwrap();
        // Each knows of the other one; a third knows of neither.
        world.taken(world.entry("a", CHANGES)).leave(false).unwrap();
        assert!(matches!(world.take(world.entry("c", CHANGES)), Taking::Unfinished(both) if both.len() == 2));
        forget(&world.machine, &world.root.path().join("a")).unwrap();
        fs::remove_dir(world.root.path().join("b")).unwrap();
        world.taken(world.entry("c", CHANGES)).leave(true).unwrap();
    }

    #[test]
    fn a_dead_run_that_only_reads_is_in_nobodys_way() {
        let world = World::new();
        world.taken(world.entry("a", READS)).leave(false).unwrap();
        world.taken(world.entry("b", CHANGES)).leave(true).unwrap();
    }

    #[test]
    fn all_are_taken_or_none() {
        let world = World::new();
        let first = world.taken(world.entry("a", &[("m", Access::Write)]));
        let wanted = world.entry("b", &[("a", Access::Write), ("m", Access::Write), ("z", Access::Write)]);
        assert!(matches!(world.take(wanted), Taking::Held(_)));
        world.taken(world.entry("c", &[("a", Access::Write), ("z", Access::Write)])).leave(true).unwrap();
        first.leave(true).unwrap();
    }

    #[test]
    fn a_run_that_never_began_leaves_nothing_behind() {
        let world = World::new();
        drop(world.take(world.entry("a", CHANGES)));
        world.taken(world.entry("b", CHANGES)).leave(true).unwrap();
    }

    #[test]
    fn a_torn_line_hides_no_other_one() {
        let world = World::new();
        let held = world.machine.locks().join(HELD);
        world.taken(world.entry("a", CHANGES)).leave(false).unwrap();
        let mut text = fs::read(&held).unwrap();
        text.extend(b"{\"taken\":{\"run\":\"x");
        fs::write(&held, &text).unwrap();
        world.taken(world.entry("b", &[("sql02", Access::Write)])).leave(false).unwrap();
        let both = world.entry("c", &[("sql01", Access::Write), ("sql02", Access::Write)]);
        assert!(matches!(world.take(both), Taking::Unfinished(both) if both.len() == 2));
    }

    #[test]
    fn what_is_over_is_cleared_away_and_what_is_not_stays() {
        let world = World::new();
        world.taken(world.entry("a", CHANGES)).leave(false).unwrap();
        let many: Vec<String> = (0..2000).map(|n| format!("target-number-{n}")).collect();
        let many: Vec<(&str, Access)> = many.iter().map(|key| (key.as_str(), Access::Read)).collect();
        for _ in 0..6 {
            let mut entry = world.entry("b", &many);
            entry.locks.retain(|key, _| key.ends_with('7'));
            entry.beside = vec!["x".repeat(60_000)];
            world.taken(entry).leave(true).unwrap();
        }
        assert!(fs::metadata(world.machine.locks().join(HELD)).unwrap().len() < CLEAR_AT);
        assert!(matches!(world.take(world.entry("c", CHANGES)), Taking::Unfinished(_)));
    }
}
