//! Which file a program's name stands for.
//!
//! Looked up here and not by the system, so that a preflight and the start agree, and so that nothing is ever taken
//! from a relative entry of `PATH`, which would be the folder of the plan.

use std::path::{Path, PathBuf};

/// The file of a program: absolute as it is, with a separator in it relative to `cwd`, and a bare name in `path`.
///
/// # Errors
/// A text for people.
pub fn find(name: &str, cwd: &Path, path: Option<&str>) -> Result<PathBuf, String> {
    if name.contains('/') || (cfg!(windows) && name.contains('\\')) {
        let file = cwd.join(name);
        return match why_not(&file) {
            None => Ok(file),
            Some(why) => Err(format!("the program `{name}` {why}")),
        };
    }
    if cfg!(windows) {
        // The system adds `.exe` and knows its own folders.
        return Ok(PathBuf::from(name));
    }
    let inherited;
    let path = if let Some(path) = path {
        std::ffi::OsStr::new(path)
    } else {
        inherited = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        &inherited
    };
    let mut refused = None;
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        let file = folder.join(name);
        match why_not(&file) {
            None => return Ok(file),
            Some("does not exist") => {}
            Some(why) => refused = refused.or(Some(format!("`{}` {why}", file.display()))),
        }
    }
    Err(refused.unwrap_or_else(|| format!("there is no program `{name}` in the PATH")))
}

/// Why a file cannot be run, if it cannot.
fn why_not(file: &Path) -> Option<&'static str> {
    let Ok(metadata) = std::fs::metadata(file) else { return Some("does not exist") };
    if !metadata.is_file() {
        return Some("is not a file");
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&metadata) & 0o111 == 0 {
        return Some("is not executable");
    }
    None
}
