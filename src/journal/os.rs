//! What differs between operating systems: modes, owners, links, file systems, and making names durable.

use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::Path;

use crate::error::Exit;
use crate::regular;
pub use crate::regular::{one_regular_file, read_at_most};

/// Free space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this account may still write.
    pub bytes: u64,
    /// Files that may still be made; `None` where the file system does not count them.
    pub files: Option<u64>,
}

/// Who may use what is made in a run directory, beside its owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights {
    /// The group that it is given to, and whose members may write it.
    pub holders: Option<u32>,
    /// Everybody who gets as far as the file may read it: that is the voters, since nobody else may enter the run directory.
    pub readable: bool,
}

impl Rights {
    /// The same, but closed to voters.
    #[must_use]
    pub fn closed(self) -> Self {
        Rights { readable: false, ..self }
    }
}

/// Owner, group and mode of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// The account's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Permissions, with set-group-id and the sticky bit.
    pub mode: u32,
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

/// Makes a file that must not exist yet.
pub fn create_new(path: &Path, rights: Rights) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(false).write(true).create_new(true);
    create(&mut options, path, rights)
}

/// Opens a file for writing, or makes it. The file first: whoever may write it need not be allowed to make one.
pub fn open_or_create(path: &Path, rights: Rights) -> io::Result<File> {
    match open_regular(path, true) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    match create_new(path, rights) {
        // Another process made it in between.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open_regular(path, true),
        made => made,
    }
}

/// Opens a file to append to it, or makes it. Never through a link.
pub fn append_or_create(path: &Path, rights: Rights) -> io::Result<File> {
    match open_append(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    match create_new(path, rights) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => open_append(path),
    }
}

/// Whether there is a folder of that name itself, not a link to one.
pub fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Makes a file with this content, durable, under a name that must not exist. The directory is the caller's.
pub fn write_new(path: &Path, rights: Rights, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_new(path, rights)?;
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

    use nix::fcntl::OFlag;
    use nix::unistd::{Gid, Group, Uid, User, getgroups};

    use super::{File, FileId, Metadata, OpenOptions, Owned, Path, Rights, Space, fs, io};
    use crate::regular::{explain_link, no_follow};

    pub fn create(options: &mut OpenOptions, path: &Path, rights: Rights) -> io::Result<File> {
        let group = if rights.holders.is_some() { 0o060 } else { 0 };
        let readers = if rights.readable { 0o044 } else { 0 };
        no_follow(options);
        let file = options.mode(0o600).open(path)?;
        give(rights.holders, &file.metadata()?, |gid| Ok(nix::unistd::fchown(&file, None, Some(gid))?))?;
        // Set, not asked for: the umask may take bits that the group needs.
        file.set_permissions(fs::Permissions::from_mode(0o600 | group | readers))?;
        Ok(file)
    }

    /// Gives a new file or folder to the group, unless it has it already.
    fn give(group: Option<u32>, meta: &Metadata, to: impl FnOnce(Gid) -> io::Result<()>) -> io::Result<()> {
        match group {
            Some(gid) if gid != meta.gid() => to(Gid::from_raw(gid)),
            _ => Ok(()),
        }
    }

    /// A file that its owner alone may write, and that the holders of a shared run may read.
    pub fn create_signed(path: &Path, shared: bool) -> io::Result<File> {
        let mode = if shared { 0o640 } else { 0o600 };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        no_follow(&mut options);
        let file = options.mode(mode).open(path)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Makes a folder; the holders' group passes on to what is made in it (set-group-id).
    pub fn make_dir(path: &Path, rights: Rights) -> io::Result<()> {
        let group = if rights.holders.is_some() { 0o2070 } else { 0 };
        let readers = if rights.readable { 0o055 } else { 0 };
        make_folder(path, rights.holders, 0o700 | group | readers)
    }

    /// Makes a folder that everybody who gets as far as it may put files into, and take away none but their own. What is
    /// put in has the folder's group, so that holders can read it.
    pub fn make_drop_box(path: &Path, holders: Option<u32>) -> io::Result<()> {
        make_folder(path, holders, if holders.is_some() { 0o3773 } else { 0o3733 })
    }

    fn make_folder(path: &Path, group: Option<u32>, mode: u32) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)?;
        give(group, &fs::symlink_metadata(path)?, |gid| std::os::unix::fs::lchown(path, None, Some(gid.as_raw())))?;
        // After the group: changing that may clear the bit. And always: a folder above may have passed on a bit of its own.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
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
            return Some(format!("it belongs to {} and is not sticky (mode 1777)", account(meta.uid())));
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

    /// Opens a folder to a group that may enter and read it. Nothing passes on to what is made in it.
    pub fn open_to_voters(path: &Path, voters: u32) -> io::Result<()> {
        std::os::unix::fs::lchown(path, None, Some(voters))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o750))
    }

    /// Makes a folder and lets everybody enter and list it.
    pub fn make_public_dir(path: &Path) -> io::Result<()> {
        make_folder(path, None, 0o755)
    }

    /// Owner, group and mode.
    pub fn owned(meta: &Metadata) -> Option<Owned> {
        Some(Owned { uid: meta.uid(), gid: meta.gid(), mode: meta.mode() & 0o7777 })
    }

    /// The number of a group.
    pub fn group_id(group: &str) -> io::Result<u32> {
        let found = Group::from_name(group)?.ok_or_else(|| io::Error::other(format!("there is no group `{group}`")))?;
        Ok(found.gid.as_raw())
    }

    /// The name of a group.
    pub fn group_name(gid: u32) -> String {
        match Group::from_gid(Gid::from_raw(gid)) {
            Ok(Some(group)) => group.name,
            _ => format!("gid-{gid}"),
        }
    }

    /// The accounts that a group lists. Those that have it as their own group are not among them.
    pub fn listed_members(gid: u32) -> Vec<String> {
        Group::from_gid(Gid::from_raw(gid)).ok().flatten().map_or_else(Vec::new, |group| group.mem)
    }

    /// This process's account.
    pub fn my_uid() -> u32 {
        Uid::effective().as_raw()
    }

    /// Whether this process is of a group.
    pub fn am_member(gid: u32) -> bool {
        let gid = Gid::from_raw(gid);
        gid == Gid::effective() || getgroups().is_ok_and(|groups| groups.contains(&gid))
    }

    /// Whether an account is of a group.
    pub fn is_member(uid: u32, gid: u32) -> bool {
        User::from_uid(Uid::from_raw(uid)).ok().flatten().is_some_and(|user| belongs(&user, gid))
    }

    /// Whether the account of that name is of a group; `None` if there is no such account.
    pub fn is_member_by_name(name: &str, gid: u32) -> Option<bool> {
        User::from_name(name).ok().flatten().map(|user| belongs(&user, gid))
    }

    fn belongs(user: &User, gid: u32) -> bool {
        let gid = Gid::from_raw(gid);
        let listed =
            |name: std::ffi::CString| nix::unistd::getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&gid));
        user.gid == gid || std::ffi::CString::new(user.name.as_str()).is_ok_and(listed)
    }

    /// Whether a group has nobody in it but this account: the group of its own that many systems give to each account.
    pub fn is_own_group(uid: u32, gid: u32) -> bool {
        let (Ok(Some(user)), Ok(Some(group))) = (User::from_uid(Uid::from_raw(uid)), Group::from_gid(Gid::from_raw(gid))) else {
            return false;
        };
        user.gid == group.gid && user.name == group.name && group.mem.iter().all(|name| *name == user.name)
    }

    /// Whether anybody but the owner may write to it.
    pub fn others_may_write(meta: &Metadata) -> bool {
        meta.mode() & 0o022 != 0
    }

    /// The name of an account, if there is one of that number.
    ///
    /// # Errors
    /// The accounts cannot be asked.
    pub fn known_account(uid: u32) -> io::Result<Option<String>> {
        Ok(User::from_uid(Uid::from_raw(uid))?.map(|user| user.name))
    }

    /// The name of an account, or its number.
    pub fn account(uid: u32) -> String {
        known_account(uid).ok().flatten().unwrap_or_else(|| format!("uid-{uid}"))
    }

    pub fn current_account() -> String {
        account(my_uid())
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
    use super::{File, FileId, Metadata, OpenOptions, Owned, Path, Rights, Space, fs, io};

    /// Access rights come from the folder: `runs/` lies in the account's own profile or has been given to the shift.
    pub fn create(options: &mut OpenOptions, path: &Path, _rights: Rights) -> io::Result<File> {
        options.open(path)
    }

    pub fn create_signed(path: &Path, _shared: bool) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub fn make_dir(path: &Path, _rights: Rights) -> io::Result<()> {
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

    pub fn make_drop_box(path: &Path, _holders: Option<u32>) -> io::Result<()> {
        fs::create_dir(path)
    }

    pub fn make_public_dir(path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    pub fn open_to_voters(_path: &Path, _voters: u32) -> io::Result<()> {
        Ok(())
    }

    /// Without unsafe code, owners and access lists cannot be asked for.
    pub fn owned(_meta: &Metadata) -> Option<Owned> {
        None
    }

    pub fn group_id(_group: &str) -> io::Result<u32> {
        Err(io::Error::other("on Windows, give the group access to the folder itself"))
    }

    pub fn group_name(gid: u32) -> String {
        gid.to_string()
    }

    pub fn listed_members(_gid: u32) -> Vec<String> {
        Vec::new()
    }

    pub fn my_uid() -> u32 {
        0
    }

    pub fn am_member(_gid: u32) -> bool {
        false
    }

    pub fn is_member(_uid: u32, _gid: u32) -> bool {
        false
    }

    pub fn is_member_by_name(_name: &str, _gid: u32) -> Option<bool> {
        None
    }

    pub fn is_own_group(_uid: u32, _gid: u32) -> bool {
        false
    }

    pub fn others_may_write(_meta: &Metadata) -> bool {
        false
    }

    pub fn known_account(_uid: u32) -> io::Result<Option<String>> {
        Ok(None)
    }

    pub fn account(uid: u32) -> String {
        uid.to_string()
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
