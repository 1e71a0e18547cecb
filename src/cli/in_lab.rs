//! `--lab`: the lab's targets file in place of the plan's. What a lab run needs to be resumed is kept with it.

use std::path::{Path, PathBuf};

use crate::connector::{Connectors, Options};
use crate::plan::Plan;
use crate::time::Span;

/// The longest wait in a lab, so that a weekend takes seconds.
const LONGEST_WAIT: Span = Span::from_secs(1);

/// Which world a lab run begins with.
#[cfg(feature = "lab")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum World {
    /// A fresh one.
    Fresh,
    /// The one that is there.
    Keep,
}

/// The connectors of this build: as they are, or so that a weekend takes seconds.
#[must_use]
pub fn connectors(lab: bool) -> Connectors {
    Connectors::standard(Options { longest_wait: lab.then_some(LONGEST_WAIT) })
}

/// What the lab makes of a plan: it may start at any time, and an attempt that failed is soon followed by the next.
pub fn adapt(plan: &mut Plan) {
    plan.window = None;
    for step in &mut plan.steps {
        step.retry.interval = step.retry.interval.min(LONGEST_WAIT);
        step.retry.max_interval = step.retry.max_interval.min(LONGEST_WAIT);
    }
}

/// The folder of the lab that `--lab` means: `RELEVO_LAB`, or the usual one.
///
/// # Errors
/// There is no such place, or this build has no lab.
#[cfg(feature = "lab")]
pub fn folder() -> anyhow::Result<PathBuf> {
    Ok(files(None)?.dir().to_owned())
}

/// The targets file of a lab.
#[must_use]
pub fn targets(folder: &Path) -> PathBuf {
    folder.join("targets.yaml")
}

#[cfg(feature = "lab")]
fn files(folder: Option<&Path>) -> anyhow::Result<crate::lab::files::Files> {
    let named = std::env::var_os("RELEVO_LAB").filter(|value| !value.is_empty()).map(PathBuf::from);
    super::lab::folder(folder.map(Path::to_owned).or(named).as_ref())
}

/// Sees to it that the lab is up, with that world.
///
/// # Errors
/// It does not start.
#[cfg(feature = "lab")]
pub fn enter(folder: Option<&Path>, world: World) -> anyhow::Result<()> {
    let files = files(folder)?;
    match world {
        World::Fresh => super::lab::start_fresh(&files)?,
        World::Keep => super::lab::start(&files)?,
    };
    Ok(())
}

/// Sees to it that the lab of a stored run is up, and where the run's own targets say.
///
/// # Errors
/// It does not start, or answers elsewhere now.
#[cfg(feature = "lab")]
pub fn enter_again(folder: &Path, texts: &[(PathBuf, String)]) -> anyhow::Result<()> {
    use crate::error::{Exit, Failure};
    enter(Some(folder), World::Keep)?;
    let path = targets(folder);
    let now = std::fs::read_to_string(&path).unwrap_or_default();
    if texts.iter().any(|(stored, text)| *stored == path && *text != now) {
        return Err(Failure::new(Exit::Unreachable, "the lab answers at other ports than when this run was started")
            .detail(format!("its targets file is {}", path.display()))
            .hint("another program has taken its ports; end that, then `relevo lab down` and `relevo lab up`")
            .into());
    }
    Ok(())
}

/// A build without the lab cannot go on with a run in it.
///
/// # Errors
/// Always.
#[cfg(not(feature = "lab"))]
pub fn enter_again(folder: &Path, _: &[(PathBuf, String)]) -> anyhow::Result<()> {
    use crate::error::{Exit, Failure};
    let message = format!("this run is one in the lab at {}, and this build has no lab", folder.display());
    Err(Failure::new(Exit::Refused, message).hint("resume with a build that has it").into())
}
