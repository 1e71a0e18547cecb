//! What `windows.copy` takes.

use serde_json::Value as Json;

use super::super::ask::shown;
use super::super::path::Path;
use crate::connector::args;
use crate::run::connector::Call;

/// How a copy is held against its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// By what the files hold.
    Sha256,
    /// By size and time of the last change.
    Times,
}

impl Verify {
    /// The word in plans and before-images.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verify::Sha256 => "sha256",
            Verify::Times => "times",
        }
    }
}

/// The arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// A folder or a file.
    pub from: Path,
    /// A folder.
    pub to: Path,
    /// How they are compared.
    pub verify: Verify,
    /// Whether files that were there before and differ are replaced.
    pub overwrite: bool,
}

impl Args {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(call: &Call) -> Result<Self, String> {
        let path = |name: &str| Path::parse(&args::needed(call, name)?, name);
        let verify = match args::text(call, "verify")?.as_deref() {
            None | Some("sha256") => Verify::Sha256,
            Some("times") => Verify::Times,
            Some(other) => return Err(format!("`verify` is `sha256` or `times`, not `{}`", shown(other))),
        };
        let overwrite = match call.with.get("overwrite") {
            None | Some(Json::Null) => false,
            Some(Json::Bool(truth)) => *truth,
            Some(_) => return Err("`overwrite` is `true` or `false`".to_owned()),
        };
        let (from, to) = (path("from")?, path("to")?);
        if from.holds(&to) || to.holds(&from) {
            return Err(format!("`from` and `to` lie within one another: `{from}` and `{to}`"));
        }
        Ok(Args { from, to, verify, overwrite })
    }

    /// The shares among its paths.
    #[must_use]
    pub fn shares(&self) -> Vec<&Path> {
        [&self.from, &self.to].into_iter().filter(|path| path.is_share()).collect()
    }
}
