//! The audit: one line for every operation that reached the directory, and what came of it. Never a secret.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{Files, Trouble};

/// One operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When, in UTC.
    pub time: String,
    /// The domain controller.
    pub dc: String,
    /// The client's connection, counted from the start of the process.
    pub connection: u64,
    /// Who.
    pub account: String,
    /// The LDAP operation.
    pub operation: String,
    /// The name as the client wrote it.
    pub name: String,
    /// The object's name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dn: Option<String>,
    /// The object's GUID, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// The result code.
    pub code: i64,
    /// Whether something was written to the directory.
    pub wrote: bool,
    /// Whether the client was told.
    pub answered: bool,
    /// What else there is to tell.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub detail: serde_json::Value,
}

/// An audit that is being written.
#[derive(Debug)]
pub struct Audit {
    file: File,
}

impl Audit {
    /// Opens it for more.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(files: &Files) -> Result<Self, Trouble> {
        let path = files.audit();
        let mut options = File::options();
        options.create(true).append(true);
        let file = options.open(&path).map_err(|error| Trouble::new(format!("cannot open {}: {error}", path.display())))?;
        Ok(Audit { file })
    }

    /// Appends a line in one write, so that a kill leaves all of it or nothing.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn append(&mut self, line: &Line) -> Result<(), Trouble> {
        let text = serde_json::to_string(line).map_err(|error| Trouble::new(error.to_string()))?;
        self.file
            .write_all(format!("{text}\n").as_bytes())
            .map_err(|error| Trouble::new(format!("cannot write the audit: {error}")))
    }
}

/// Reads an audit; a last line that is not whole is left out.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<Vec<Line>, Trouble> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Trouble::new(format!("cannot read {}: {error}", path.display()))),
    }
}
