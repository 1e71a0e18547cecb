//! Opens files that must be regular, of one name, and not behind a link: what stands under an expected name may have been
//! put there by somebody else.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

/// Opens an existing regular file of one name, not through a link.
///
/// # Errors
/// There is none, or it is something else.
pub fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let mut options = options.clone();
    no_follow(&mut options);
    let file = options.open(path).map_err(explain_link)?;
    one_regular_file(&file.metadata()?).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
    Ok(file)
}

/// Reads such a file whole; `None` if it holds more than `most` bytes.
///
/// # Errors
/// As [`open`], or it cannot be read.
pub fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    read_at_most(&mut open(OpenOptions::new().read(true), path)?, most)
}

/// Reads at most `limit` bytes; `None` if there is more.
///
/// # Errors
/// It cannot be read.
pub fn read_at_most(file: &mut File, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// Why a file is not to be trusted: not a regular file, or known under a second name.
///
/// # Errors
/// A text for people.
pub fn one_regular_file(meta: &Metadata) -> Result<(), &'static str> {
    if !meta.is_file() {
        return Err("not a regular file");
    }
    if links(meta) > 1 {
        return Err("the file has a second name (a hard link)");
    }
    Ok(())
}

#[cfg(unix)]
mod system {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    use nix::fcntl::OFlag;

    use super::{Metadata, OpenOptions, io};

    /// What is opened with these options is no link.
    pub fn no_follow(options: &mut OpenOptions) {
        // Not blocking: a FIFO under an expected name must not stop the program.
        options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    }

    /// The error for a link, in words.
    #[must_use]
    pub fn explain_link(error: io::Error) -> io::Error {
        if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) {
            io::Error::new(io::ErrorKind::InvalidData, "a symbolic link, which is not followed here")
        } else {
            error
        }
    }

    /// How many names a file has.
    #[must_use]
    pub fn links(meta: &Metadata) -> u64 {
        meta.nlink()
    }
}

/// Windows: whoever may put a link there may write the file itself.
#[cfg(windows)]
mod system {
    use super::{Metadata, OpenOptions, io};

    /// What is opened with these options is no link.
    pub fn no_follow(_options: &mut OpenOptions) {}

    /// The error for a link, in words.
    pub fn explain_link(error: io::Error) -> io::Error {
        error
    }

    /// Windows does not say.
    pub fn links(_meta: &Metadata) -> u64 {
        1
    }
}

pub use system::{explain_link, links, no_follow};
