//! What differs between operating systems: modes, owners, links, file systems, and making names durable.

use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::Path;

use crate::regular;
pub use crate::regular::{one_regular_file, read_at_most};
use crate::error::Exit;

/// Free space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this account may still write.
    pub bytes: u64,
    /// Files that may still be made; `None` where the file system does not count them.
    pub files: Option<u64>,
}

/// Identifies a file apart from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId(u64, u64);

/// Opens an existing regular file of one name, not through a link.
pub fn open_regular(path: &Path, write: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(write);
    regular::open(&options, path)
}

/// Opens an existing regular file to append to it.
pub fn open_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    regular::open(&options, path)
}

/// Cuts a file to a length, durably. Through a handle of its own: one that only appends may not cut everywhere.
pub fn truncate(path: &Path, length: u64) -> io::Result<()> {
    let file = open_regular(path, true)?;
    file.set_len(length)?;
    file.sync_all()
}

/// Makes a file that must not exist yet; readable by the account alone, or by the group of a shared run.
pub fn create_new(path: &Path, shared: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(false).write(true).create_new(true);
    create(&mut options, path, shared)
}

/// Makes a file or opens it; see [`create_new`].
pub fn create_or_open(path: &Path, shared: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    match create(&mut options, path, shared) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open_regular(path, true),
        made => made,
    }
}

/// Makes a file with this content, durable, under a name that must not exist. The directory is the caller's.
pub fn write_new(path: &Path, shared: bool, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_new(path, shared)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Unpredictable enough for a name that nobody else has.
pub fn random() -> u64 {
    // Each `RandomState` has keys from the system's own random numbers; pid and time tell forks and threads apart.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    hasher.write_u128(now.as_nanos());
    hasher.finish()
}

/// True for the errors that mean that no space is left: on the disk, in the quota, or below the process's limit.
pub fn no_space(error: &io::Error) -> bool {
    Exit::of_io(error) == Exit::NoSpace
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};

    use nix::unistd::{Gid, Group, Uid, User, getgroups};

    use super::{File, FileId, Metadata, OpenOptions, Path, Space, fs, io};
    use crate::regular::no_follow;

    pub fn create(options: &mut OpenOptions, path: &Path, shared: bool) -> io::Result<File> {
        let mode = if shared { 0o660 } else { 0o600 };
        no_follow(options);
        let file = options.mode(mode).open(path)?;
        // The umask may have taken bits that the group needs.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// A file that its owner alone may write, and that the group of a shared run may read.
    pub fn create_signed(path: &Path, shared: bool) -> io::Result<File> {
        let mode = if shared { 0o640 } else { 0o600 };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        no_follow(&mut options);
        let file = options.mode(mode).open(path)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Makes a folder; the group of a shared one passes on to what is made in it (set-group-id).
    pub fn make_dir(path: &Path, shared: bool) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)?;
        if shared {
            fs::set_permissions(path, fs::Permissions::from_mode(0o2770))?;
        }
        Ok(())
    }

    /// Makes a folder that every account of the machine uses: each may add to it, and remove only what is its own.
    pub fn make_common_dir(path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o1777))
    }

    /// Makes a file that every account may read, and write if `write`. It must not exist.
    pub fn create_common(path: &Path, write: bool) -> io::Result<File> {
        let mode = if write { 0o666 } else { 0o644 };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        no_follow(&mut options);
        let file = options.mode(mode).open(path)?;
        // The umask may have taken bits that the other accounts need.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Why a folder that every account uses cannot be trusted: somebody could take away what others put there.
    pub fn not_common(meta: &Metadata) -> Option<String> {
        let sticky = meta.mode() & 0o1000 != 0;
        let owner = Uid::from_raw(meta.uid());
        if !meta.is_dir() {
            return Some("it is not a folder (symbolic links are not followed)".to_owned());
        }
        if !sticky && owner != Uid::effective() && !owner.is_root() {
            return Some(format!("it belongs to {} and is not sticky (mode 1777)", account_of(meta)));
        }
        if !sticky && meta.mode() & 0o002 != 0 {
            return Some(format!("everybody may take away what lies there (mode {:04o}, not 1777)", meta.mode() & 0o7777));
        }
        None
    }

    /// What is locked for a short while by whoever reads and changes the files of a folder: the folder itself.
    pub fn open_guard(dir: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY).bits());
        options.open(dir).map_err(explain_link)
    }

    /// The machine's own folder, unless the environment says otherwise. It outlives a reboot.
    pub fn machine_folder() -> std::path::PathBuf {
        std::path::PathBuf::from("/var/tmp/relevo")
    }

    /// Gives a new folder to a group.
    pub fn give_to_group(path: &Path, group: &str) -> io::Result<()> {
        let found = Group::from_name(group)?.ok_or_else(|| io::Error::other(format!("there is no group `{group}`")))?;
        std::os::unix::fs::chown(path, None, Some(found.gid.as_raw()))?;
        // Changing the group may clear the bit.
        fs::set_permissions(path, fs::Permissions::from_mode(0o2770))
    }

    /// The group that a folder belongs to, by its name.
    pub fn group_of(path: &Path) -> io::Result<Option<String>> {
        let gid = Gid::from_raw(fs::metadata(path)?.gid());
        Ok(Group::from_gid(gid)?.map(|group| group.name))
    }

    /// Whether a folder says of itself that it is shared with a group.
    pub fn is_shared(meta: &Metadata) -> bool {
        meta.mode() & 0o2070 == 0o2070
    }

    /// Why somebody else could have written to it.
    pub fn not_private(meta: &Metadata, shared: bool) -> Option<String> {
        let mode = meta.mode() & 0o7777;
        if mode & 0o002 != 0 {
            return Some(format!("everybody may write to it (mode {mode:04o})"));
        }
        if shared {
            let gid = Gid::from_raw(meta.gid());
            let member = gid == Gid::effective() || getgroups().is_ok_and(|groups| groups.contains(&gid));
            if !member && !Uid::effective().is_root() {
                return Some(format!("it is shared with group {}, which you are not in", meta.gid()));
            }
            return None;
        }
        if mode & 0o020 != 0 {
            return Some(format!("its group may write to it (mode {mode:04o})"));
        }
        if Uid::from_raw(meta.uid()) != Uid::effective() {
            return Some(format!("it belongs to {}", account_of(meta)));
        }
        None
    }

    /// Whether anybody but the owner may write to it.
    pub fn others_may_write(meta: &Metadata) -> bool {
        meta.mode() & 0o022 != 0
    }

    /// The account that owns a file.
    pub fn account_of(meta: &Metadata) -> String {
        account(Uid::from_raw(meta.uid()))
    }

    fn account(uid: Uid) -> String {
        match User::from_uid(uid) {
            Ok(Some(user)) => user.name,
            _ => format!("uid-{uid}"),
        }
    }

    pub fn current_account() -> String {
        account(Uid::effective())
    }

    pub fn file_id(meta: &Metadata) -> FileId {
        FileId(meta.dev(), meta.ino())
    }

    pub fn sync_dir(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    pub fn space(path: &Path) -> io::Result<Space> {
        let found = nix::sys::statvfs::statvfs(path)?;
        #[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "the widths differ between systems")]
        let (blocks, size, all, free) =
            (found.blocks_available() as u64, found.fragment_size() as u64, found.files() as u64, found.files_available() as u64);
        Ok(Space { bytes: blocks.saturating_mul(size), files: (all > 0).then_some(free) })
    }

    pub fn host() -> String {
        nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "unknown".into())
    }

    /// Takes the default action (the end of the process) from the signal about a file that grew beyond the process's
    /// limit: the write then fails with an error, which the journal understands. Call it once, within the runtime,
    /// before the journal is opened. A handler, not "ignore": children start with the default again.
    ///
    /// # Errors
    /// The signal cannot be registered.
    pub fn ignore_file_size_signal() -> io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGXFSZ as i32)).map(drop)
    }
}

#[cfg(unix)]
pub use unix::*;

#[cfg(windows)]
mod windows {
    use super::{File, FileId, Metadata, OpenOptions, Path, Space, fs, io};

    /// Access rights come from the folder: `runs/` lies in the account's own profile or has been given to the shift.
    pub fn create(options: &mut OpenOptions, path: &Path, _shared: bool) -> io::Result<File> {
        options.open(path)
    }

    pub fn create_signed(path: &Path, _shared: bool) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub fn make_dir(path: &Path, _shared: bool) -> io::Result<()> {
        fs::create_dir(path)
    }

    /// Access rights come from the folder above.
    pub fn make_common_dir(path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    pub fn create_common(path: &Path, _write: bool) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    pub fn not_common(meta: &Metadata) -> Option<String> {
        (!meta.is_dir()).then(|| "it is not a folder".to_owned())
    }

    /// A folder cannot be locked: a file in it is.
    pub fn open_guard(dir: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join("guard"))
    }

    pub fn machine_folder() -> std::path::PathBuf {
        std::env::var_os("ProgramData").map_or_else(|| "C:\\ProgramData".into(), std::path::PathBuf::from).join("relevo")
    }

    pub fn give_to_group(_path: &Path, _group: &str) -> io::Result<()> {
        Err(io::Error::other("on Windows, give the group access to the folder itself"))
    }

    pub fn group_of(_path: &Path) -> io::Result<Option<String>> {
        Ok(None)
    }

    pub fn is_shared(_meta: &Metadata) -> bool {
        false
    }

    pub fn not_private(_meta: &Metadata, _shared: bool) -> Option<String> {
        None
    }

    pub fn others_may_write(_meta: &Metadata) -> bool {
        false
    }

    pub fn current_account() -> String {
        std::env::var("USERNAME").unwrap_or_else(|_| "unknown".into())
    }

    pub fn file_id(meta: &Metadata) -> FileId {
        use std::os::windows::fs::MetadataExt;
        // The creation time is the nearest that is stable without unsafe code.
        FileId(meta.creation_time(), 0)
    }

    /// NTFS journals names itself.
    pub fn sync_dir(_path: &Path) -> io::Result<()> {
        Ok(())
    }

    pub fn space(_path: &Path) -> io::Result<Space> {
        Ok(Space { bytes: u64::MAX, files: None })
    }

    pub fn host() -> String {
        std::env::var("COMPUTERNAME").unwrap_or_else(|_| "unknown".into())
    }

    /// Windows has no such signal.
    ///
    /// # Errors
    /// None.
    pub fn ignore_file_size_signal() -> io::Result<()> {
        Ok(())
    }
}

#[cfg(windows)]
pub use windows::*;

/// Why a file system cannot keep a journal: its locks or syncs do not hold what a local disk's do.
#[cfg(target_os = "linux")]
pub fn unfit_file_system(path: &Path) -> io::Result<Option<&'static str>> {
    // Numbers from statfs(2) and linux/magic.h.
    #[allow(clippy::useless_conversion, clippy::cast_lossless, reason = "the field's width differs between processors")]
    let magic = nix::sys::statfs::statfs(path)?.filesystem_type().0 as i64;
    Ok(match magic & 0xffff_ffff {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x6573_5546 => Some("FUSE"),
        0x0102_1997 => Some("9P"),
        0x00c3_6400 => Some("Ceph"),
        0x5346_414f => Some("AFS"),
        _ => None,
    })
}

/// Elsewhere the file system's kind is not known.
#[cfg(not(target_os = "linux"))]
pub fn unfit_file_system(path: &Path) -> io::Result<Option<&'static str>> {
    fs::metadata(path).map(|_| None)
}
